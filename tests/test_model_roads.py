"""Which road a problem takes: the price road holds a rule, or refuses it by name."""

from dataclasses import replace

import numpy as np
import pytest
from small_problems import WORDS, random_problem, three_hamlets

import allocator.model as model
from allocator.certificate import bound_from_prices
from allocator.errors import ExitCode, InputRefused
from allocator.model import not_priced, road_for, solve, solve_exactly
from allocator.model.prices import bound_at, shadow_prices
from allocator.problem import Objective
from allocator.rules import (
    Deviation,
    Gini,
    Rule,
)
from allocator.verify import verify

ONE = np.ones(1)
PARTS = np.array([0, 1, 2])
NEVER_UNASKED = (
    Gini(id="gini", words=WORDS, service=0, part=PARTS, ceiling=0.2 * ONE),
    Deviation(id="even", words=WORDS, service=0, part=PARTS, ceiling=0.3 * ONE),
)  # fmt: skip
HELD = {
    "Acceptance": "resource", "Balance": "resource", "Capacity": "resource",
    "Coverage": "coverage", "Deviation": "deviation", "Floor": "floor", "Forced": "forced",
    "Hub": "hub", "Link": "resource", "MeanTravel": "mean-travel", "Nearest": "nearest",
    "Referral": "referral", "Room": "room", "PlacesRatio": "places-ratio",
    "PlacesShare": "places-share", "Reserved": "reserved", "Resettlement": "resettlement",
    "Resource": "resource", "Scale": "resource", "Served": "served", "SiteCount": "site-count",
    "Gini": "gini", "SiteStates": "resource", "WorstGroup": "worst",
}  # fmt: skip


def _with(*rules):
    plain = three_hamlets()
    return replace(plain, rules=(*plain.rules, *rules), objectives=plain.objectives[:1])


def test_every_family_is_held_by_the_price_road():
    assert {f.__name__ for f in Rule.__subclasses__()} == set(HELD)


def test_all_that_the_price_road_cannot_answer_is_told_at_once():
    problem = replace(
        _with(*NEVER_UNASKED),
        objectives=(
            Objective(id="unmet", unit="person", unmet=np.ones((1, 1, 1)), risk="worst"),
            Objective(id="cost", unit="yuan", stint=np.ones(4)),
        ),
    )
    with pytest.raises(InputRefused) as refused:
        solve(problem, road="prices")
    assert refused.value.exit_code == ExitCode.REFUSED
    assert [(f.code, f.where.id) for f in refused.value.findings] == [
        ("objective-not-on-price-road", "cost"),
        ("objective-not-on-price-road", "unmet"),
    ]
    assert all(
        "road: exact" in f.remedy.en and "road: exact" in f.remedy.zh
        for f in refused.value.findings
    )


@pytest.mark.parametrize("rule", NEVER_UNASKED, ids=lambda r: r.id)
def test_the_price_road_is_never_taken_unasked_for_rules_it_is_not_known_to_plan_well(
    rule, monkeypatch
):
    monkeypatch.setattr(model, "LARGEST_EXACT", 0)
    assert road_for(_with()) == "prices"
    assert road_for(_with(rule)) == "exact"
    assert not_priced(_with()) == ()


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({*HELD.values(), "even"}))
def test_a_plan_of_the_price_road_keeps_the_rule_and_brackets_the_best(family):
    """On four random problems a family: the plan passes its check, the bound is no better than the best."""
    plans = 0
    for seed in range(4):
        problem = random_problem(seed, families={family}, risk="expected", most=60)
        problem = replace(problem, objectives=problem.objectives[:1])
        best = solve_exactly(problem, gap=1e-6, whole_places=False)
        plan = solve(problem, road="prices", threads=1)
        if not plan.is_complete:
            continue
        plans += 1
        assert verify(problem, plan) == ()
        assert best.is_complete
        (ours,), (theirs,) = plan.objectives, best.objectives
        near = 1e-5 * max(1.0, abs(theirs.value))
        proved = bound_from_prices(problem, plan.prices)
        assert proved == pytest.approx(plan.work["price_bound"], rel=1e-6, abs=1e-6)
        assert ours.bound <= theirs.value + near
        assert ours.value >= theirs.bound - near
    assert plans >= 2, "too few problems with a plan to say anything"


@pytest.mark.parametrize("seed", range(30))
def test_prices_of_all_families_mixed_prove_their_bound_apart_from_the_model(seed):
    """Spoiled prices, kept in their signs and below what shortfalls cost, prove what the price road says of them."""
    problem = random_problem(seed, families={*HELD.values(), "even"}, risk="expected", most=60)
    problem = replace(problem, objectives=problem.objectives[:1])
    prices, bound = shadow_prices(problem)
    assert bound_from_prices(problem, prices) == pytest.approx(bound, rel=1e-6, abs=1e-6)
    rng = np.random.default_rng(seed)
    spoiled = {k: v * rng.uniform(0.2, 1.0, np.shape(v)) for k, v in prices.items()}
    told = bound_from_prices(problem, spoiled)
    assert told == pytest.approx(bound_at(problem, spoiled), rel=1e-6, abs=1e-6)
    best = solve_exactly(problem, gap=1e-6, whole_places=False)
    if best.is_complete:
        assert told <= best.objectives[0].value + 1e-5 * max(1.0, abs(told))


@pytest.mark.parametrize(
    ("family", "seed"),
    [("served", 5), ("served", 12), ("served", 40), ("served", 50), ("floor", 5), ("floor", 33)],
)
def test_what_a_priced_share_lacks_counts_as_its_future_does_on_both_roads(family, seed):
    """Two futures: a person missing in one of them costs the price times its chance."""
    problem = random_problem(seed, families={family}, risk="expected", most=60)
    problem = replace(problem, objectives=problem.objectives[:1])
    assert len(problem.futures) == 2
    best = solve_exactly(problem, gap=1e-6, whole_places=False)
    assert best.shortfalls[family] > 1.0
    plan = solve(problem, road="prices", threads=1)
    (ours,), (theirs,) = plan.objectives, best.objectives
    near = 1e-5 * abs(theirs.value)
    assert verify(problem, plan) == ()
    assert ours.bound <= theirs.value + near and ours.value >= theirs.bound - near
    proved = bound_from_prices(problem, plan.prices)
    assert proved == pytest.approx(plan.work["price_bound"], rel=1e-6)
    assert proved <= theirs.value + near
