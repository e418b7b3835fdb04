"""Plans nearly as good, sites in all of them, the price of an order, and regret, against enumeration."""

from dataclasses import replace

import numpy as np
import pytest
from oracle import best_by_enumeration
from small_problems import WORDS, random_problem, three_hamlets

from allocator.model import solve_exactly
from allocator.model.alternatives import (
    alternatives,
    order_price,
    sites_in_every_plan,
    states_of,
    with_regret,
)
from allocator.rules import Forced
from allocator.verify import verify

LOSS = 0.3


def _cases(count, families=frozenset({"resource", "floor"})):
    seed = 0
    while count:
        problem = random_problem(seed, most=40, families=families, risk="expected")
        problem = replace(problem, objectives=problem.objectives[:1])
        plan = solve_exactly(problem, gap=0.0)
        if plan.is_complete and len(problem.sites) > 1:
            yield problem, plan
            count -= 1
        seed += 1


def test_alternatives_differ_lose_little_and_pass_their_check():
    some = 0
    for problem, plan in _cases(10):
        found = alternatives(problem, plan, count=3, sites=1, loss=LOSS, gap=0.0)
        all_states = [states_of(problem, p) for p in (plan, *found)]
        for n, other in enumerate(found):
            assert verify(problem, other) == ()
            value = plan.objectives[0].value - plan.objectives[0].constant
            assert other.objectives[0].value <= plan.objectives[0].value + LOSS * abs(value) + 1e-4
            for before in all_states[: n + 1]:
                assert (before != all_states[n + 1]).any(1).sum() >= 1
        some += len(found)
    assert some >= 5


def test_sites_in_every_plan_are_those_enumeration_cannot_do_without():
    kinds = set()
    for problem, plan in _cases(8):
        proofs = sites_in_every_plan(problem, plan, options=(0, 1, 2), loss=LOSS)
        assert len(proofs) == len(problem.sites)
        most = plan.objectives[0].value + LOSS * abs(
            plan.objectives[0].value - plan.objectives[0].constant
        )
        states = states_of(problem, plan)
        for j, proof in enumerate(proofs):
            ban = Forced(id="ban", words=WORDS, site=j, options=states[j, -1:],
                         period=len(problem.periods) - 1, wanted=False)  # fmt: skip
            best = best_by_enumeration(
                replace(problem, rules=(*problem.rules, ban)), whole_places=True
            )
            needed = best is None or bool(best[0] > most)
            if proof.in_every is not None:
                assert proof.in_every is needed
            kinds.add(proof.in_every)
    assert {True, False} <= kinds


def test_an_order_to_open_costs_what_it_displaces():
    """With 220 only one home of 12 can stand. At A it serves 13 of h1 and h2, so all 12 places are
    used; ordered to B it reaches h2 and h3 only: 10, two fewer."""
    problem = three_hamlets()
    order = Forced(id="order", words=WORDS, site=1, options=np.array([1]), period=0)
    money = replace(problem.rules[-1], supply=np.array([220.0]))
    free = replace(problem, rules=(*problem.rules[:-1], money))
    price = order_price(free, replace(free, rules=(*free.rules, order)), gap=0.0)
    assert price.possible and price.fewer_served == pytest.approx(2)
    unmet = price.dearer[0]
    assert (unmet.id, unmet.value) == ("unmet", pytest.approx(2))
    assert unmet.least <= 2 + 1e-6 and unmet.most >= 2 - 1e-6
    with pytest.raises(ValueError, match="equal needs"):
        order_price(replace(free, need=free.need * 2), free)


def test_an_order_that_nothing_can_keep_has_no_price():
    problem = three_hamlets()
    order = Forced(id="order", words=WORDS, site=1, options=np.array([], int), period=0)
    price = order_price(problem, replace(problem, rules=(*problem.rules, order)))
    assert price.possible is False and price.dearer == () and np.isnan(price.fewer_served)


def test_a_known_plan_without_the_site_settles_it_without_a_solve():
    asked = []
    for problem, plan in _cases(6):
        near = alternatives(problem, plan, count=4, sites=1, loss=LOSS, gap=0.0)
        ask = {"options": (0, 1, 2), "loss": LOSS}
        plain = sites_in_every_plan(problem, plan, **ask)
        quick = sites_in_every_plan(problem, plan, **ask, others=near, progress=asked.append)
        for a, b in zip(plain, quick, strict=True):
            assert (a.site, a.option) == (b.site, b.option)
            assert a.in_every is None or a.in_every == b.in_every
    assert 0 < len(asked) < 6 * 3


def test_least_regret_is_what_enumeration_finds():
    tried = 0
    for seed in range(60):
        problem = random_problem(seed, most=30, families={"resource"}, risk="expected")
        if len(problem.futures) < 2:
            continue
        first = replace(problem.objectives[0], stint=None, place=None)
        problem = with_regret(replace(problem, objectives=(first,)), gap=0.0)
        plan = solve_exactly(problem, gap=0.0, whole_places=False)
        if not plan.is_complete:
            continue
        assert plan.objectives[0].value == pytest.approx(
            best_by_enumeration(problem)[0], rel=1e-5, abs=1e-5
        )
        assert verify(problem, plan) == ()
        tried += 1
        if tried == 6:
            break
    assert tried == 6
