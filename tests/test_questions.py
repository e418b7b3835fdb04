"""The sixteen questions of planners: each file asks its question, compiles and solves at small size."""

from functools import cache

import pytest
from small_county import SCENARIOS, SITES, corner, share

from allocator.io.studies import read_study
from allocator.model import explain, solve
from allocator.plan import Status
from allocator.prepare import Shared, prepare
from allocator.verify import verify

FEW = ("S01", "S02", "S21", "S40", "S52", "S53")
FILES = tuple(sorted((SCENARIOS / "questions").glob("*.yaml")))


@cache
def variants(path):
    return tuple(m.scenario for m in read_study(path)[1])


@cache
def shared(sites):
    return Shared()


def _problem(scenario, sites=FEW):
    case = corner(sites)
    return prepare(case, scenario.scaled(share(case)), shared(sites))[0]


def test_there_is_a_file_for_each_of_the_sixteen_questions():
    assert [p.stem[:2] for p in FILES] == [f"{n:02d}" for n in range(1, 17)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_variants_of_a_question_differ_in_their_problems(path):
    first, *_, last = variants(path)
    assert _problem(first, SITES).digest != _problem(last, SITES).digest


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_last_variant_of_each_question_has_a_checked_plan(path):
    problem = _problem(variants(path)[-1])
    plan = solve(problem, gap=0.05)
    assert plan.is_complete and verify(problem, plan) == ()


@pytest.mark.long
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_variant_of_each_question_has_a_checked_plan_or_says_which_order_is_too_dear(path):
    """A corner has money for its share of people, not for one home of 500 places."""
    seen = set()
    for scenario in variants(path):
        problem = _problem(scenario, SITES)
        seen.add(problem.digest)
        plan = solve(problem, gap=0.05)
        if plan.status is Status.INFEASIBLE:
            assert any(f.places for f in scenario.options.force)
            conflict = explain(problem)[0].where.id
            assert "force-" in conflict and "resource-" in conflict
        else:
            assert plan.is_complete and verify(problem, plan) == ()
    assert len(seen) > 1
