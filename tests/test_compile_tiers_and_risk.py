"""Referral between tiers, money carried over, futures weighed, and buildings of other bureaus."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError
from small_county import corner, whole_county, written

from allocator.compile.stints import make_stints
from allocator.errors import InputRefused, Text
from allocator.model import solve
from allocator.prepare import prepare, refuse_unknown_names
from allocator.rules import Forced, Referral, Reserved, Resource
from allocator.run import run
from allocator.verify import verify

FEW = ("S01", "S02", "S21", "S53")
EASY = {"rules": [], "objective": ["unmet", "travel"]}


def _solved(**changes):
    problem, _, _ = prepare(corner(FEW), written("best-mix", **{**EASY, **changes}))
    plan = solve(problem, gap=0.02)
    assert plan.is_complete and verify(problem, plan) == ()
    return problem, plan


@cache
def _free():
    return _solved()


def _served(problem, plan, mask):
    return plan.served[mask[plan.served_arc]].sum()


def _referred(problem, plan, rule):
    """Served in the classes of a rule, and served onward out of the sites that they came to."""
    here = np.isin(problem.arc_class, rule.classes)
    onward = np.isin(problem.arc_area, rule.area)
    return _served(problem, plan, here), _served(problem, plan, onward)


@pytest.mark.parametrize(
    ("key", "spec", "share"),
    [("referral", {"share": 0.4}, 0.4), ("overflow", {}, 1.0)],
)
def test_those_who_are_to_go_on_are_served_onward_from_where_the_site_stands(key, spec, share):
    both = {"service": "elderly.day", "onward": "elderly.resident"}
    problem, plan = _solved(rules=[{key: {**both, **spec}}])
    (rule,) = problem.rules_of(Referral)
    assert rule.id.startswith(key) and (rule.share == share).all()
    for site, area in zip(rule.site, rule.area, strict=True):
        mine = problem.arc_area == area
        assert (problem.class_service[problem.arc_class[mine]] == rule.service).all()
        here = mine & (problem.arc_site == site)
        assert not here.any() or problem.arc_minutes[here].min() == problem.arc_minutes[mine].min()
        assert (problem.acceptance[mine] == 1).any(axis=1).all()
    come, on = _referred(problem, plan, rule)
    assert come > 0 and on == pytest.approx(share * come, abs=1e-5)
    free, free_plan = _free()
    assert free_plan.objectives[0].bound <= plan.objectives[0].value + 1e-6
    assert not free.rules_of(Referral)


def test_a_referral_to_a_service_that_is_not_planned_is_refused():
    spec = {"service": "elderly.day", "onward": "clinic.visit", "share": 0.1}
    with pytest.raises(InputRefused) as caught:
        refuse_unknown_names(corner(FEW), written("best-mix", rules=[{"referral": spec}]))
    assert "clinic.visit" in caught.value.findings[0].what.en


def _capital(carry, first, second):
    pool = {"unit": "yuan", "supply": {2026: first, 2031: second}, "carry_over": carry}
    resources = written("best-mix").model_dump(mode="json", by_alias=True)["resources"]
    return {"resources": {**resources, "capital": pool}}


def _spent(problem, plan):
    rule = next(r for r in problem.rules_of(Resource) if r.id == "resource-capital")
    cols = slice(rule.pool * 2, rule.pool * 2 + 2)
    stint = problem.use_stint[plan.stints][:, cols].sum(0)
    return stint + plan.places @ problem.use_place[:, cols].toarray()


@pytest.mark.parametrize(("carry", "possible"), [(False, False), (True, True)])
def test_money_left_over_pays_for_a_later_opening_only_where_it_is_carried_over(carry, possible):
    """All money comes first; a centre at the school may open in the second period alone."""
    orders = {
        "modes": ["keep", "convert"], "types": ["township-centre"],
        "force": [{"site": "S21", "type": "township-centre", "by": 2031}],
    }  # fmt: skip
    problem, _, _ = prepare(
        corner(FEW), written("best-mix", **EASY, **_capital(carry, 50e6, 0.0), options=orders)
    )
    site = problem.sites.index("S21")
    early = Forced(
        id="not-yet", words=Text("暂不", "not yet"), site=site, period=0, wanted=False,
        options=np.array([problem.options.index("township-centre")]),
    )  # fmt: skip
    problem = replace(problem, rules=(*problem.rules, early))
    plan = solve(problem, gap=0.02)
    assert plan.is_complete is possible
    if possible:
        assert verify(problem, plan) == ()
        first, second = _spent(problem, plan)
        assert first == pytest.approx(0) and second > 0
        to_date = next(r for r in problem.rules_of(Resource) if r.id == "resource-capital:to-date")
        assert second <= to_date.supply[1]


def test_money_is_not_spent_before_it_comes():
    saved, plan = _solved(**_capital(True, 0.0, 50e6))
    assert _spent(saved, plan)[0] == pytest.approx(0) and _spent(saved, plan)[1] > 0


SCHOOLS = ("S01", "S21", "S23")
CENTRES = {"S21": 40.0, "S23": 60.0}


def _capped(carry, cap):
    """Two centres, their sizes given, that must stand by the end; the county pays a half, capped."""
    pool = {
        "unit": "yuan", "supply": {2026: 60e6, 2031: 60e6}, "carry_over": carry,
        "payers": {"county": {"share": 0.5, "cap": cap}, "region": 0.5},
    }  # fmt: skip
    orders = {
        "modes": ["keep", "convert"], "types": ["township-centre"],
        "force": [{"site": s, "type": "township-centre", "by": 2031, "places": n} for s, n in CENTRES.items()],
    }  # fmt: skip
    resources = written("best-mix").model_dump(mode="json", by_alias=True)["resources"]
    changes = {"resources": {"capital": pool, **{k: v for k, v in resources.items() if k != "capital"}}}  # fmt: skip
    scenario = written("best-mix", **EASY, **changes, options=orders)
    # Pools were cut to the corner's share of the county: the cap is put back as it was asked.
    capital = scenario.resources["capital"]
    payers = {**capital.payers, "county": capital.payers["county"].model_copy(update={"cap": cap})}
    whole = capital.model_copy(update={"payers": payers, "supply": {2026: 60e6, 2031: 60e6}})
    scenario = scenario.model_copy(update={"resources": {**scenario.resources, "capital": whole}})
    return prepare(corner(SCHOOLS), scenario)[0]


def _price_of_centres():
    """Yuan to open each centre, read from the catalogue."""
    centre = corner(SCHOOLS).catalogue.types["township-centre"]
    way = next(p for p in centre.provisions if "idle-school" in p.from_states)
    assert not way.price_by_service
    return {s: way.capital_yuan_fixed + n * way.capital_yuan_place for s, n in CENTRES.items()}


def _possible(prices, carry, cap):
    """By hand: every choice of a period of opening for each centre."""
    for when in itertools.product((0, 1), repeat=len(prices)):
        paid = [0.5 * sum(y for y, t in zip(prices, when, strict=True) if t == p) for p in (0, 1)]
        if carry and paid[0] <= cap and sum(paid) <= 2 * cap:
            return True
        if not carry and max(paid) <= cap:
            return True
    return False


@pytest.mark.parametrize("carry", [False, True])
def test_what_a_payer_may_pay_is_carried_over_with_the_money(carry):
    """Every cap between what is too little for one centre and enough for both, tried by hand."""
    prices = list(_price_of_centres().values())
    edges = sorted({0.5 * y for y in (*prices, sum(prices), sum(prices) / 2)})
    outcomes = set()
    for cap in [e * f for e in edges for f in (0.99, 1.01)]:
        problem = _capped(carry, cap)
        plan = solve(problem, gap=0.02)
        assert plan.is_complete is _possible(prices, carry, cap), (carry, cap)
        outcomes.add(plan.is_complete)
        if plan.is_complete:
            assert verify(problem, plan) == ()
            assert sum(_spent(problem, plan)) == pytest.approx(sum(prices))
    assert outcomes == {False, True}
    between = 1.01 * 0.5 * max(sum(prices) / 2, *(y for y in prices if y < max(prices)))
    assert _possible(prices, True, between) and not _possible(prices, False, between)


def test_a_plan_past_what_a_payer_may_pay_to_date_fails_its_check():
    enough, short = (_capped(True, f * 0.25 * sum(_price_of_centres().values())) for f in (1.01, 0.99))  # fmt: skip
    plan = solve(enough, gap=0.02)
    assert plan.is_complete and verify(enough, plan) == ()
    told = verify(short, replace(plan, problem=short.digest))
    assert "resource-capital:to-date" in {f.where.id for f in told}
    assert all("county pays" in f.what.en for f in told)


def _by_tier(problem, plan, period):
    """Capital of a plan up to a period by tier of the facility opened."""
    types = corner(FEW).catalogue.types
    k, last = problem.pools.index("capital"), len(problem.periods)
    found = {}
    for stints, use, amount in (
        (plan.stints, problem.use_stint[plan.stints], np.ones(len(plan.stints))),
        (problem.offer_stint, problem.use_place, plan.places),
    ):
        yuan = use.toarray()[:, k * last : k * last + period + 1].sum(1) * amount
        for s, y in zip(stints, yuan, strict=True):
            type_ = types.get(problem.options[problem.stint_option[s]])
            if y and type_ is not None:
                found[type_.tier] = found.get(type_.tier, 0.0) + y
    return found


@pytest.mark.parametrize("carry", [False, True])
def test_capital_is_divided_among_tiers_as_workers_are(carry):
    """All of it for villages and communities: no centre is converted, which is else the first to be."""
    shares = {"county": 0.0, "township": 0.0, "village": 0.5, "community": 0.5}
    given = _capital(carry, 20e6, 20e6)["resources"]
    capital = {**given["capital"], "tiers": shares, "secondment": 0.0}
    problem, plan = _solved(resources={**given, "capital": capital})
    free, free_plan = _solved(resources=given)
    assert ("capital:township:to-date" if carry else "capital:township") in problem.pools
    assert _by_tier(free, free_plan, 1).get("township", 0.0) > 0
    whole = next(r for r in problem.rules_of(Resource) if r.id == "resource-capital").supply
    for period in (0, 1):
        spent = _by_tier(problem, plan, period)
        assert set(spent) <= {"village", "community"}
        assert all(y <= 0.5 * (whole[period] if carry else whole[: period + 1].sum()) + 1 for y in spent.values())  # fmt: skip


def test_a_tier_that_no_type_has_is_refused():
    given = _capital(False, 1e6, 1e6)["resources"]
    capital = {**given["capital"], "tiers": {"county": 0.5, "twonship": 0.5}, "secondment": 0.0}
    with pytest.raises(InputRefused) as caught:
        refuse_unknown_names(corner(FEW), written("best-mix", resources={**given, "capital": capital}))  # fmt: skip
    (found,) = [f for f in caught.value.findings if f.code == "unknown-name"]
    assert found.where.id == "twonship" and "township" in found.remedy.en


@pytest.mark.parametrize("mean", [False, True])
def test_a_pool_is_kept_in_every_future_or_on_average_as_asked(mean):
    resources = written("best-mix").model_dump(mode="json", by_alias=True)["resources"]
    resources["care_workers"]["in_expectation"] = mean
    problem, _, _ = prepare(corner(FEW), written("best-mix", **EASY, resources=resources))
    rules = {r.id: r.in_expectation for r in problem.rules_of(Resource)}
    assert rules["resource-care_workers"] is mean and not rules["resource-capital"]
    with pytest.raises(ValidationError, match="hard"):
        written(
            "best-mix", resources={**resources, "running": {**resources["running"], "hard": False}}
        )


def test_only_capital_is_carried_over():
    resources = _capital(False, 1.0, 1.0)["resources"]
    resources["running"] = {**resources["running"], "carry_over": True}
    with pytest.raises(ValidationError, match="only capital"):
        written("best-mix", resources=resources)


@pytest.mark.parametrize("measure", ["worst", "cvar", "regret"])
def test_a_scenario_weighs_its_futures_as_it_says(measure):
    spread = {"population": {"variant": "medium", "base": "resident", "futures": "variants"}}
    objective = {"objective": ["unmet"], "services": ["elderly.resident", "childcare.under3"]}
    problem, plan = _solved(**spread, **objective, risk={"measure": measure, "share": 0.5})
    first = problem.objectives[0]
    assert len(problem.futures) > 1 and first.risk == measure
    each = np.einsum("isgtw,t,sg->w", plan.unmet, first.period_weight, first.unmet[0])
    weight = problem.future_weight
    if measure == "worst":
        expected = each.max()
    elif measure == "regret":
        expected = (each - first.future_best).max()
    else:
        order, left, expected = np.argsort(-each), 0.5, 0.0
        for w in order:
            part = min(left, weight[w])
            expected, left = expected + part * each[w] / 0.5, left - part
    assert plan.objectives[0].value == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_regret_of_sites_and_a_weight_without_futures_are_refused():
    spread = {"population": {"variant": "medium", "base": "resident", "futures": "variants"}}
    with pytest.raises(InputRefused) as caught:
        prepare(corner(FEW), written("best-mix", **spread, objective=["cost"], risk={"measure": "regret"}))  # fmt: skip
    assert caught.value.findings[0].code == "regret-not-possible"
    with pytest.raises(ValidationError, match="futures"):
        written("best-mix", risk={"measure": "worst"})


def _with_a_school(case):
    """The idle school S21 runs as a primary school, which the catalogue lets become a centre."""
    sites = case.region.sites.copy()
    sites.loc[sites["site_id"] == "S21", ["today", "building"]] = ["primary-school", "none"]
    centre = case.catalogue.types["township-centre"]
    ways = tuple(
        replace(p, from_states=(*p.from_states, "primary-school")) if p.mode == "convert" else p
        for p in centre.provisions
    )
    types = {**case.catalogue.types, "township-centre": replace(centre, provisions=ways)}
    region = replace(case.region, sites=sites)
    return replace(case, region=region, catalogue=replace(case.catalogue, types=types))


@pytest.mark.parametrize("planned", [False, True])
def test_a_school_becomes_a_centre_only_where_its_pupils_are_planned_for(planned):
    case = _with_a_school(corner(FEW))
    services = ["elderly.resident", "elderly.day", *(["school.primary"] if planned else [])]
    scenario = written("best-mix", services=services)
    stints = make_stints(case, scenario, (), ("capital",))
    mine = stints.site == list(case.region.sites["site_id"]).index("S21")
    assert ("township-centre" in {stints.options[o] for o in stints.option[mine]}) is planned


def test_children_become_fewer_and_elders_more_in_the_same_problem():
    """Seven services compete for the same money; the need of each moves its own way."""
    services = [
        "elderly.resident", "elderly.day", "childcare.under3", "kindergarten", "school.primary",
        "clinic.visit", "health.township-centre",
    ]  # fmt: skip
    problem, _, _ = prepare(whole_county(), written("best-mix", **EASY, services=services))
    need = dict(zip(problem.services, problem.need.sum((0, 2))[..., 0], strict=True))
    assert need["school.primary"][1] < 0.8 * need["school.primary"][0]
    assert need["elderly.resident"][1] > 1.1 * need["elderly.resident"][0]
    assert all((n > 0).all() for n in need.values())
    capital = next(r for r in problem.rules_of(Resource) if r.id == "resource-capital").pool
    uses = problem.use_place[:, capital * 2 : capital * 2 + 2].sum(1) > 0
    assert len(set(problem.class_service[problem.offer_class[uses]])) >= 5


def test_what_is_carried_over_is_supplied_again_in_the_table_of_pools():
    force = {"modes": ["keep", "convert"], "force": [{"site": "S21", "type": "township-centre", "by": 2026}]}  # fmt: skip
    done = run(corner(FEW), written("best-mix", **EASY, **_capital(True, 50e6, 1e6), options=force))
    rows = done.tables["pools"].query("pool == 'capital'")
    first, second = (rows[rows["year"] == y].iloc[0] for y in (2030, 2035))
    given = done.scenario.resources["capital"].supply
    assert second["supply"] == pytest.approx(given[2026] + given[2031] - first["use"])
    assert first["use"] > 0


def test_a_half_empty_home_shrinks_where_running_money_is_short_and_keeps_its_residents():
    """Each place kept costs running money; fewer places leave more of it for people."""
    case = corner(FEW)
    home = case.region.homes.set_index("site_id").loc["S02"]
    assert home["residents"] < home["places"]
    problem, _, _ = prepare(
        case,
        written("best-mix", rules=[], objective=["running"], options={"modes": ["keep", "shrink"]}),
    )
    plan = solve(problem, gap=0.0)
    assert plan.is_complete and verify(problem, plan) == ()
    mode = problem.modes.index("shrink")
    shrunk = [s for s in plan.stints if problem.stint_mode[s] == mode]
    assert "S02" in {problem.sites[problem.stint_site[s]] for s in shrunk}
    floor = min(o.places_min for o in case.catalogue.types["township-home"].offers)
    for f in np.flatnonzero(np.isin(problem.offer_stint, shrunk)):
        if problem.sites[problem.stint_site[problem.offer_stint[f]]] == "S02":
            assert plan.places[f] == pytest.approx(max(floor, home["residents"]))
            assert problem.offer_max[f] == home["places"]


def test_places_may_be_reserved_at_some_types_alone():
    asked = {"share": 0.3, "types": ["township-centre"]}
    problem, _, _ = prepare(corner(FEW), written("best-mix", **{**EASY, "rules": [{"reserved": asked}]}))  # fmt: skip
    (rule,) = problem.rules_of(Reserved)
    assert [problem.classes[c] for c in rule.classes] == ["elderly.resident/township-centre"]
