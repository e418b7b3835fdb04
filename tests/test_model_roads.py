"""Which road a problem takes, and that both come to the same: every rule, objectives in order, every risk."""

from dataclasses import replace

import numpy as np
import pytest
from small_problems import WORDS, random_problem, three_hamlets

import allocator.model as model
from allocator.certificate import bound_from_prices, check_bound
from allocator.model import road_for, solve, solve_exactly
from allocator.model.worth import bound_at, shadow_prices
from allocator.plan import Status
from allocator.rules import (
    Deviation,
    Gini,
    Rule,
)
from allocator.verify import verify

ONE = np.ones(1)
PARTS = np.array([0, 1, 2])
MIXTURES = (*range(11), 18)
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
    "Gini": "gini", "Held": "served", "SiteStates": "resource", "WorstGroup": "worst",
}  # fmt: skip


def _with(*rules):
    plain = three_hamlets()
    return replace(plain, rules=(*plain.rules, *rules), objectives=plain.objectives[:1])


def test_every_family_is_held_by_the_price_road():
    assert {f.__name__ for f in Rule.__subclasses__()} == set(HELD)


@pytest.mark.parametrize("rule", NEVER_UNASKED, ids=lambda r: r.id)
def test_the_price_road_is_never_taken_unasked_for_rules_it_is_not_known_to_plan_well(
    rule, monkeypatch
):
    monkeypatch.setattr(model, "LARGEST_EXACT", 0)
    assert road_for(_with()) == "prices"
    assert road_for(_with(rule)) == "exact"


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


def _stages(problem, plan):
    """Each objective's own problem, those before it held to what the plan says."""
    reached = [o.held - o.constant for o in plan.objectives]
    return [problem.stage(n, reached[:n]) for n in range(len(problem.objectives))]


def _agrees_in_every_stage(seed, risk=None):
    """The intervals of both roads overlap, the plan passes its check, its prices prove each bound."""
    problem = random_problem(seed, most=60, risk=risk)
    plan = solve(problem, road="prices", gap=1e-4)
    if plan.status is Status.INFEASIBLE:
        assert solve_exactly(problem, gap=1e-6, whole_places=False).status is Status.INFEASIBLE
        return False
    assert verify(problem, plan) == ()
    assert {f.code for f in check_bound(problem, plan)} <= {"bound-by-branching"}
    for number, (stage, told) in enumerate(
        zip(_stages(problem, plan), plan.objectives, strict=True)
    ):
        best = solve_exactly(stage, gap=1e-6, whole_places=False).objectives[0]
        near = 1e-4 * max(1.0, abs(best.value))
        assert told.bound <= best.value + near
        assert told.value <= told.held + near
        if number == len(problem.objectives) - 1:
            assert told.value >= best.bound - near
    return True


@pytest.mark.parametrize("risk", ["expected", "worst", "cvar", "regret"])
@pytest.mark.parametrize("seed", MIXTURES)
def test_objectives_in_order_and_risk_agree_on_both_roads(seed, risk):
    _agrees_in_every_stage(seed, risk)


@pytest.mark.long
@pytest.mark.parametrize("risk", ["expected", "worst", "cvar", "regret"])
def test_both_roads_agree_on_a_thousand_mixtures(risk):
    found = [_agrees_in_every_stage(seed, risk) for seed in range(2000, 2250)]
    assert sum(found) >= 150, "too few problems with a plan to say anything"


def test_the_mixtures_have_objectives_in_order_under_every_risk():
    seen = {
        (len(p.objectives), p.objectives[0].risk)
        for risk in ("expected", "worst", "cvar", "regret")
        for p in (random_problem(seed, most=60, risk=risk) for seed in MIXTURES)
    }
    assert seen == {(n, r) for n in (1, 2) for r in ("expected", "worst", "cvar", "regret")}


def test_a_second_objective_betters_the_first_plan_without_giving_it_up():
    """Three hamlets: 8 of 20 stay unmet at least; of plans with 8, the least travel is 120 minutes."""
    plan = solve(three_hamlets(), road="prices", gap=1e-6)
    unmet, travel = plan.objectives
    assert (unmet.value, unmet.bound) == pytest.approx((8.0, 8.0), rel=1e-5)
    assert travel.value == pytest.approx(120.0, rel=1e-5)
    assert unmet.held == pytest.approx(8.0, rel=1e-5) and travel.held == np.inf


@pytest.mark.parametrize("spoil", ["weights", "held", "share"])
def test_prices_that_weigh_futures_wrongly_prove_nothing(spoil):
    """Weights of futures add up to one and keep below their share of the worst; what is held costs no less than nothing."""
    problem = next(
        p for p in (random_problem(s, families={"served"}, risk="cvar") for s in range(50))
        if p.objectives[0].risk == "cvar" and len(p.objectives) > 1
    )  # fmt: skip
    plan = solve(problem, road="prices", gap=1e-3)
    weights = plan.prices["risk:main"]
    assert weights.sum() == pytest.approx(1.0)
    assert bound_from_prices(problem, plan.prices_of(0)) is not None
    if spoil == "weights":
        prices = {**plan.prices_of(0), "risk:main": weights * 1.1}
    elif spoil == "share":
        prices = {**plan.prices_of(0), "risk:main": np.array([0.0, 1.0])}
    else:
        problem = _stages(problem, plan)[1]
        prices = {**plan.prices_of(1), "held:main": np.array([-1.0])}
    assert bound_from_prices(problem, prices) is None


def test_a_plan_that_gives_up_what_was_reached_breaks_the_rule_that_holds_it():
    """Both homes leave 8 of 20 unmet: a stage that holds unmet at 7 is not kept, one at 8 is."""
    problem = three_hamlets()
    plan = solve_exactly(problem.stage(1, [8.0]), gap=0.0)
    kept, broken = problem.stage(1, [8.0]), problem.stage(1, [7.0])
    assert verify(kept, plan) == ()
    found = verify(broken, replace(plan, problem=broken.digest))
    assert [(f.code, f.where.id) for f in found] == [("verify-held", "held:unmet")]
