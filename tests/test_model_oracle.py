"""Brute force over every path of every site, written from `Problem` alone, agrees with the exact road."""

from dataclasses import replace

import numpy as np
import pytest
from oracle import best_by_enumeration
from small_problems import WORDS, random_problem, three_hamlets

from allocator.model import solve_exactly
from allocator.plan import Status
from allocator.rules import Held, Nearest, Rule
from allocator.verify import verify


def _agree(seed, most):
    problem = random_problem(seed, most=most)
    whole = seed % 3 == 0
    best = best_by_enumeration(problem, whole_places=whole)
    plan = solve_exactly(problem, gap=0.0, whole_places=whole)
    if best is None:
        assert plan.status is Status.INFEASIBLE
        return
    assert plan.status is Status.PROVED
    # An earlier objective may end anywhere within its tolerance; what was proved of it is its bound.
    found = [*(o.bound for o in plan.objectives[:-1]), plan.objectives[-1].value]
    # A later objective feels the solver's tolerance on the row that holds an earlier one.
    np.testing.assert_allclose(found[:1], best[:1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, best, rtol=2e-4, atol=2e-4)
    assert verify(problem, plan) == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_brute_force_and_the_exact_road_find_the_same_value(seed):
    _agree(seed, most=60)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1500))
def test_brute_force_agrees_on_five_hundred_more(seed):
    _agree(seed, most=200)


def test_the_mixtures_switch_every_family_on():
    """The fifty problems hold every rule family but `Held`, which only a plan at hand can ask for."""
    seen = {type(r) for seed in range(50) for r in random_problem(seed, most=60).rules}
    assert seen == set(Rule.__subclasses__()) - {Held}


def test_three_hamlets_are_solved_as_by_hand(three_hamlets):
    """320 pay for two homes with 12 places in all: 8 of 20 people stay unmet, 10 minutes each."""
    plan = solve_exactly(three_hamlets, gap=0.0)
    assert plan.stints.tolist() == [1, 3]
    unmet, travel = plan.objectives
    assert unmet.value == pytest.approx(8) and unmet.bound == pytest.approx(8)
    assert travel.value == pytest.approx(120)
    assert best_by_enumeration(three_hamlets) == pytest.approx([8, 120])


def test_enough_money_serves_all_but_who_will_not_go():
    """With 1,000, both homes of 12 serve everybody: 12 near A, the rest at B."""
    problem = three_hamlets()
    rules = list(problem.rules)
    rules[-1] = type(rules[-1])(
        id="capital", words=rules[-1].words, pool=0, supply=np.array([1000.0])
    )
    plan = solve_exactly(three_hamlets(rules=tuple(rules)), gap=0.0)
    assert plan.objectives[0].value == pytest.approx(0)
    assert plan.objectives[1].value == pytest.approx(200)


def test_where_people_go_to_the_nearest_place_a_full_one_turns_them_away():
    """Hamlet 2 is nearer A. 330 buys 13 places at two homes, but not where they are needed then: with
    both open hamlet 2 may not go on to B, so 12 are served, as with A alone."""
    money = replace(three_hamlets().rules[-1], supply=np.array([330.0]))
    free = three_hamlets(arc_minutes=np.array([10.0, 5.0, 10.0, 10.0]))
    free = replace(free, rules=(*free.rules[:-1], money))
    held = replace(free, rules=(*free.rules, Nearest(id="nearest", words=WORDS, service=0)))
    plans = [solve_exactly(p, gap=0.0) for p in (free, held)]
    assert [p.objectives[0].value for p in plans] == [pytest.approx(7), pytest.approx(8)]
    assert verify(held, plans[1]) == ()
    told = verify(held, replace(plans[0], problem=held.digest))
    assert any("past a nearer place" in f.what.en for f in told)
