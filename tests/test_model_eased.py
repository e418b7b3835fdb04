"""Objectives that leave ties are eased first: a plan and a bound come where prices alone creep."""

from dataclasses import replace

import numpy as np
import pytest
from small_problems import three_hamlets

from allocator.certificate import check_bound
from allocator.errors import Rank
from allocator.model import prices, solve
from allocator.model.eased import eased
from allocator.verify import verify
from benchmarks import instances
from benchmarks.in_order import county_in_order


def test_only_an_objective_that_no_arc_costs_is_eased_by_the_next_or_by_travel():
    problem = three_hamlets()
    unmet, travel = problem.objectives
    by_next, by_minutes = eased(problem), eased(replace(problem, objectives=(unmet,)))
    # A tenth of what leaving all 20 unserved costs, over 20 times the median of the arcs' costs.
    assert by_next.objectives[0].person.ravel() == pytest.approx(0.01 * travel.person.ravel())
    assert by_minutes.objectives[0].person.ravel() == pytest.approx(0.01 * problem.arc_minutes)
    assert by_next.objectives[1] is travel
    assert np.array_equal(by_next.objectives[0].unmet, unmet.unmet)
    assert eased(replace(problem, objectives=(travel,))) is None
    assert eased(replace(problem, objectives=(replace(unmet, stint=np.ones(4)),))) is None
    alike = replace(problem, arc_minutes=np.full(4, 5.0), objectives=(unmet,))
    assert eased(alike) is None
    half = eased(problem, 0.5).objectives[0].person
    assert half == pytest.approx(0.5 * by_next.objectives[0].person)


@pytest.mark.slow
def test_eased_a_county_has_no_worse_a_plan_than_without(monkeypatch):
    """Least unmet, then distance, of 60 areas and 12 sites: both ways come to the same least unmet."""
    problem = county_in_order(instances.county(60, 12, seed=2), "order", 2)
    plan = solve(problem, road="prices", gap=0.01)
    assert verify(problem, plan) == () and plan.reproducible
    assert not [f for f in check_bound(problem, plan) if f.rank is Rank.ERROR]
    with monkeypatch.context() as patch:
        patch.setattr(prices, "eased", lambda problem: None)
        without = solve(problem, road="prices", gap=0.01)
    ours, theirs = plan.objectives[0], without.objectives[0]
    assert ours.value <= theirs.value * 1.01
    assert ours.bound <= theirs.value and theirs.bound <= ours.value
    assert ours.gap <= 0.08
