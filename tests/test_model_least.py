"""Where a limit comes before any plan: the sites that break hard rules least, called what they are."""

import math
from dataclasses import replace

import numpy as np
import pytest
from small_problems import WORDS, just_enough, random_problem, three_hamlets
from test_model_roads import HELD

from allocator.certificate import bound_from_prices, check_bound
from allocator.io.values import from_plain, to_plain
from allocator.model import exact, rescue, solve, solve_exactly
from allocator.model.least import may_give, violations
from allocator.model.prices import solve_by_prices
from allocator.plan import Status
from allocator.rules import (
    Coverage,
    Deviation,
    Floor,
    Forced,
    Gini,
    Hub,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Served,
    SiteCount,
)
from allocator.verify import verify

ROADS = ("exact", "prices")


def _in_place(problem, plan, site, t):
    """The stint of a plan at a site in a period."""
    (p,) = [
        p for p in plan.stints.tolist()
        if problem.stint_site[p] == site and problem.stint_first[p] <= t <= problem.stint_last[p]
    ]  # fmt: skip
    return p


def _flows(plan):
    return list(
        zip(plan.served_arc.tolist(), plan.served_group.tolist(), plan.served_period.tolist(),
            plan.served_future.tolist(), plan.served.tolist(), strict=True)
    )  # fmt: skip


def _lack(problem, plan, rule, t, w):
    """By how much a rule is broken in a period and future: counted here, apart from the model."""
    p, places = problem, plan.places
    sites = range(len(p.sites))
    option = {j: int(p.stint_option[_in_place(p, plan, j, t)]) for j in sites}
    offers = [f for f in range(len(places)) if p.offer_stint[f] in plan.stints and p.stint_first[p.offer_stint[f]] <= t <= p.stint_last[p.offer_stint[f]]]  # fmt: skip
    flows = [(a, g, x) for a, g, tt, ww, x in _flows(plan) if (tt, ww) == (t, w)]
    kind = {a: int(p.arc_class[a]) for a, _, _ in flows}
    service = {a: int(p.class_service[c]) for a, c in kind.items()}

    def served(areas, s, groups=range(len(p.groups))):
        return sum(
            x for a, g, x in flows if service[a] == s and p.arc_area[a] in areas and g in groups
        )

    def need(areas, s, groups=range(len(p.groups))):
        return sum(p.need[i, s, g, t, w] for i in areas for g in groups)

    def parts(r):
        return [
            set(np.flatnonzero(r.part == q).tolist())
            for q in range(int(r.part.max(initial=-1)) + 1)
        ]

    match rule:
        case Resource():
            if not rule.in_expectation:
                use = _use(p, plan, rule.pool, t, w)
            elif w == 0:
                use = sum(
                    p.future_weight[v] * _use(p, plan, rule.pool, t, v)
                    for v in range(len(p.futures))
                )
            else:
                return 0.0
            return max(0.0, use - rule.most[t])
        case Served():
            areas, groups = set(rule.areas.tolist()), set(rule.groups.tolist())
            return max(
                0.0,
                rule.share[t] * need(areas, rule.service, groups)
                - served(areas, rule.service, groups),
            )
        case Floor():
            return sum(
                max(0.0, rule.share[t] * need(q, rule.service) - served(q, rule.service))
                for q in parts(rule)
            )
        case Coverage():
            reached = {
                int(i) for i, f in zip(rule.pair_area, rule.pair_offer, strict=True) if f in offers
            }
            covered = sum(rule.people[i, t] for i in reached)
            return max(0.0, rule.share[t] * rule.people[:, t].sum() - covered)
        case PlacesRatio():
            return max(0.0, rule.minimum[t] - sum(rule.offer_weight[f] * places[f] for f in offers))
        case PlacesShare():
            return max(
                0.0, sum((rule.share[t] * rule.whole[f] - rule.part[f]) * places[f] for f in offers)
            )
        case SiteCount():
            count = sum(option[j] in rule.options for j in sites)
            return max(0.0, rule.minimum[t] - count, count - rule.maximum[t])
        case Forced():
            return float(t == rule.period and (option[rule.site] in rule.options) != rule.wanted)
        case Hub():
            return sum(
                1.0 for j in sites if option[j] in rule.point_options
                and not any(option[h] in rule.hub_options for k, h in zip(rule.pair_site, rule.pair_hub, strict=True) if k == j)
            )  # fmt: skip
        case Resettlement():
            if option[rule.site] not in rule.closed_options:
                return 0.0
            here = [
                (g, x)
                for a, g, x in flows
                if a in rule.arcs and p.arc_area[a] == rule.area and service[a] == rule.service
            ]
            return sum(
                max(
                    0.0,
                    p.need[rule.area, rule.service, g, t, w] - sum(x for h, x in here if h == g),
                )
                for g in range(len(p.groups))
            )
        case Reserved():
            lack = 0.0
            for j in sites:
                for c in rule.classes.tolist():
                    use = sum(
                        x * p.places_per_person[c, g] for a, g, x in flows
                        if p.arc_site[a] == j and kind[a] == c and g not in rule.groups
                    )  # fmt: skip
                    room = sum(
                        places[f]
                        for f in offers
                        if p.stint_site[p.offer_stint[f]] == j and p.offer_class[f] == c
                    )
                    lack += max(0.0, use - (1 - rule.share) * room)
            return lack
        case Deviation() | Gini():
            groups = [q for q in parts(rule) if need(q, rule.service) > 0]
            all_need = sum(need(q, rule.service) for q in groups)
            all_served = sum(served(q, rule.service) for q in groups)
            if not all_need:
                return 0.0
            if isinstance(rule, Deviation):
                off = (
                    sum(
                        abs(served(q, rule.service) - all_served * need(q, rule.service) / all_need)
                        for q in groups
                    )
                    / 2
                )
            else:
                off = sum(
                    abs(need(b, rule.service) * served(a, rule.service) - need(a, rule.service) * served(b, rule.service))
                    for n, a in enumerate(groups) for b in groups[n + 1 :]
                ) / all_need  # fmt: skip
            return max(0.0, off - rule.ceiling[t] * all_served)
        case MeanTravel():
            if not math.isfinite(rule.minutes[t]):
                return 0.0
            return max(
                0.0,
                sum(
                    (p.arc_minutes[a] - rule.minutes[t]) * x
                    for a, _, x in flows
                    if service[a] == rule.service
                ),
            )
        case Nearest():
            phi = np.broadcast_to(p.acceptance, (len(p.arc_area), len(p.groups)))
            open_ = {(int(p.stint_site[p.offer_stint[f]]), int(p.offer_class[f])) for f in offers}
            past = 0.0
            for a, g, x in flows:
                nearer = [
                    b for b in range(len(p.arc_area))
                    if p.arc_area[b] == p.arc_area[a] and p.class_service[p.arc_class[b]] == rule.service and phi[b, g] > 0
                    and p.arc_minutes[b] < p.arc_minutes[a] and (int(p.arc_site[b]), int(p.arc_class[b])) in open_
                ]  # fmt: skip
                past += x if service[a] == rule.service and nearer else 0.0
            return past
        case Room():
            return sum(
                max(0.0, sum(rule.offer_area[f] * places[f] for f in offers if p.offer_stint[f] == s) - room)
                for s, room in zip(rule.stints.tolist(), rule.room.tolist(), strict=True)
                if s in plan.stints and p.stint_first[s] <= t <= p.stint_last[s]
            )  # fmt: skip
        case Referral():
            lack = 0.0
            for j, i in zip(rule.site.tolist(), rule.area.tolist(), strict=True):
                for g in range(len(p.groups)):
                    come = sum(
                        x
                        for a, h, x in flows
                        if h == g and p.arc_site[a] == j and kind[a] in rule.classes
                    )
                    lack += max(0.0, rule.share[t] * come - served({i}, rule.service, {g}))
            return lack
    raise AssertionError(rule)


def _use(p, plan, pool, t, w):
    at = pool * len(p.periods) + t
    use = sum(p.use_stint.toarray()[s, at] for s in plan.stints.tolist())
    use += float(p.use_place.toarray()[:, at] @ plan.places)
    for a, g, tt, ww, x in _flows(plan):
        if (tt, ww) == (t, w):
            c = p.arc_class[a]
            use += x * (p.use_person[c, g, pool, t] + p.use_minute[c, pool] * p.arc_minutes[a])
    return use


def _recounted(problem, plan):
    """Rule id -> what it lacks by period in the worst future, where that is anything."""
    found = {}
    for rule in problem.rules:
        if may_give(rule):
            amounts = [
                max(_lack(problem, plan, rule, t, w) for w in range(len(problem.futures)))
                for t in range(len(problem.periods))
            ]
            if max(amounts) > 1e-5:
                found[rule.id] = amounts
    return found


def _best_value(problem):
    """The least unmet over all choices of sites that keep every rule, each tried."""
    sites, pools = len(problem.sites), len(problem.pools)
    weight = problem.use_place.toarray() * problem.offer_max[:, None]
    supply = np.array([r.supply[0] for r in problem.rules if isinstance(r, Resource)])
    picks = (np.arange(1 << sites)[:, None] >> np.arange(sites)) & 1
    use = picks @ weight[:, :pools]
    kept = np.abs(use - supply).max(1) < 1e-6
    return float(problem.need.sum() - (picks[kept] @ problem.offer_max).max())


@pytest.mark.parametrize("road", ROADS)
def test_a_limit_before_any_plan_leaves_the_least_broken_sites_and_the_bound(road):
    """Row 31: one node of branching, on sites whose uses must add up to just what there is."""
    problem = just_enough(18, 2)
    plan = solve(problem, road=road, node_limit=1, threads=1)
    assert plan.status is Status.INCOMPLETE and not plan.is_complete
    (told,) = plan.objectives
    assert told.value == math.inf and plan.gap == math.inf
    assert told.bound <= _best_value(problem) + 1e-6
    assert told.bound > 0.5 * _best_value(problem)
    said = {v.rule: (v.unit, list(v.amounts)) for v in plan.violations}
    again = _recounted(problem, plan)
    assert said.keys() == again.keys()
    for rule, (unit, amounts) in said.items():
        assert amounts == pytest.approx(again[rule], rel=1e-6)
        assert unit == (rule.replace("pool", "p") if rule.startswith("pool") else "place")
        assert max(amounts) < 0.1 * problem.offer_max.sum() * 100  # far from nothing at all
    assert [v.words for v in plan.violations] == [WORDS] * len(said)
    codes = [f.code for f in verify(problem, plan)]
    assert codes[0] == "verify-incomplete" and len(codes) == 1 + len(said)
    if road == "prices":
        assert bound_from_prices(problem, plan.prices) == pytest.approx(told.bound, rel=1e-6)
        assert check_bound(problem, plan) == ()
    again = solve(problem, road=road, node_limit=1, threads=1)
    assert again.reproducible and np.array_equal(again.stints, plan.stints)


@pytest.mark.parametrize("road", ROADS)
def test_with_more_work_the_same_problem_has_a_plan(road):
    problem = just_enough(12, 2)
    plan = solve(problem, road=road, threads=1)
    assert plan.is_complete and not plan.violations and verify(problem, plan) == ()
    assert plan.objectives[0].value == pytest.approx(_best_value(problem))
    assert plan.objectives[0].bound <= _best_value(problem) + 1e-6


@pytest.mark.parametrize("road", ROADS)
def test_proved_to_have_no_plan_is_said_so_and_not_called_incomplete(road):
    problem = just_enough(18, 2, off=0.5)
    told = []
    plan = solve(
        problem, road=road, node_limit=1, threads=1, progress=lambda line: told.append(line)
    )
    assert plan.status is Status.INFEASIBLE and not any("plan" in line for line in told)


def _first_says_nothing(monkeypatch):
    """The solver stops once before any plan; relaxations and later solves are its own."""
    real, calls = exact.solve_linear, []

    def stopped(*args, **options):
        out = real(*args, **options)
        if options.get("relax") or calls:
            return out
        calls.append(1)
        return replace(
            out, status=Status.NO_PLAN_FOUND, values=None, value=math.nan, bound=-math.inf
        )

    monkeypatch.setattr(exact, "solve_linear", stopped)


def _short_of_places(**changes):
    """Three hamlets that ask for both homes in full, 24 places: 440 of capital, of which there is 320."""
    plain = three_hamlets()
    asked = PlacesRatio(id="ratio", words=WORDS, offer_weight=np.ones(2), minimum=np.array([24.0]))
    return replace(plain, rules=(*plain.rules, asked), **changes)


def test_the_rule_that_gives_least_of_its_size_gives(monkeypatch):
    """12 places fewer are half of 24; 120 of capital more are three eighths of 320."""
    problem = _short_of_places()
    assert solve_exactly(problem).status is Status.INFEASIBLE
    _first_says_nothing(monkeypatch)
    plan = solve_exactly(problem)
    assert plan.status is Status.INCOMPLETE
    (broken,) = plan.violations
    assert (broken.rule, broken.unit) == ("capital", "capital")
    assert broken.amounts == (pytest.approx(120.0),)
    assert plan.places.tolist() == [12.0, 12.0]
    assert [o.id for o in plan.objectives] == ["unmet", "travel"]
    # What the relaxation bounds still holds: all but the half of hamlet 2 that goes to neither.
    assert plan.objectives[0].bound <= 0.0 + 1e-6 and plan.objectives[1].bound == -math.inf


def test_groups_alike_are_told_apart_again_in_what_breaks_rules(monkeypatch):
    plain = _short_of_places()
    half = np.repeat(plain.need / 2, 2, axis=2)
    problem = replace(
        plain, groups=("a", "b"), need=half, places_per_person=np.ones((1, 2)), use_person=np.zeros((1, 2, 1, 1)),
    )  # fmt: skip
    _first_says_nothing(monkeypatch)
    plan = solve_exactly(problem)
    assert plan.status is Status.INCOMPLETE and plan.problem == problem.digest
    assert plan.unmet.shape == problem.need.shape
    assert {v.rule: list(v.amounts) for v in plan.violations} == {"capital": [pytest.approx(120.0)]}
    assert [f.code for f in verify(problem, plan)] == ["verify-incomplete", "verify-resource"]


def test_where_every_rule_holds_after_all_it_is_simply_a_plan(monkeypatch):
    problem = three_hamlets()
    _first_says_nothing(monkeypatch)
    plan = solve_exactly(problem)
    assert plan.is_complete and not plan.violations and verify(problem, plan) == ()
    assert plan.objectives[0].value == pytest.approx(8.0)


def test_a_large_problem_of_the_price_road_softens_what_it_found_no_plan_for(monkeypatch):
    """Not handed over whole: the search and the restricted problems of the softened rules."""
    monkeypatch.setattr(rescue, "_WHOLE", 0)
    problem = just_enough(18, 2)
    plan = solve_by_prices(problem, node_limit=1, threads=1)
    assert plan.status is Status.INCOMPLETE
    assert {v.rule: list(v.amounts) for v in plan.violations} == {
        rule: pytest.approx(amounts) for rule, amounts in _recounted(problem, plan).items()
    }
    assert plan.objectives[0].bound <= _best_value(problem) + 1e-6
    assert bound_from_prices(problem, plan.prices) == pytest.approx(plan.objectives[0].bound)


def test_prices_that_grow_without_end_prove_that_there_is_no_plan(monkeypatch):
    """The bound passes what any plan could cost; nothing is handed to the exact solver."""
    monkeypatch.setattr(rescue, "solve_restricted", None)
    problem = _short_of_places(objectives=three_hamlets().objectives[:1])
    assert solve_by_prices(problem, threads=1).status is Status.INFEASIBLE


@pytest.mark.slow
@pytest.mark.parametrize("whole", [0, 20_000])
def test_the_price_road_says_that_no_plan_exists_only_where_none_does(whole, monkeypatch):
    monkeypatch.setattr(rescue, "_WHOLE", whole)
    said = {True: 0, False: 0}
    for seed in range(60):
        problem = random_problem(seed, risk="expected", most=60)
        rules = tuple(replace(r, price=None) if seed % 2 else r for r in problem.rules)
        problem = replace(problem, rules=rules, objectives=problem.objectives[:1])
        plan = solve_by_prices(problem, threads=1)
        exists = solve_exactly(problem, whole_places=False).status is not Status.INFEASIBLE
        assert exists or not plan.is_complete
        if plan.status is Status.INFEASIBLE:
            assert not exists
        if plan.status is Status.INCOMPLETE:
            assert {v.rule for v in plan.violations} == _recounted(problem, plan).keys()
        said[exists] += 1
    assert min(said.values()) > 5


@pytest.mark.parametrize("family", sorted({*HELD.values(), "even"}))
def test_what_is_broken_is_counted_as_an_independent_count_does(family):
    """A plan of a problem without its rules, judged by them: amounts by period, for every family."""
    broken = 0
    for seed in range(12):
        problem = random_problem(seed, families={family}, risk="expected", most=60)
        rules = tuple(replace(r, price=None) if not r.is_hard else r for r in problem.rules)
        problem = replace(problem, rules=rules)
        bare = replace(problem, rules=tuple(r for r in rules if not may_give(r)))
        plan = solve_exactly(bare, gap=1e-6)
        if not plan.is_complete:
            continue
        plan = replace(plan, problem=problem.digest)
        said = {v.rule: list(v.amounts) for v in violations(problem, plan)}
        again = _recounted(problem, plan)
        assert said.keys() == again.keys()
        for rule, amounts in said.items():
            assert amounts == pytest.approx(again[rule], rel=1e-6, abs=1e-6)
        found = verify(problem, plan)
        assert {f.where.id for f in found if f.where.id} == said.keys()
        broken += len(said)
    assert (broken > 0) == (family not in ("deviation", "worst")), "these two ask nothing"


def test_what_is_broken_is_stored_with_the_plan_and_read_back():
    plan = solve(just_enough(18, 2), road="exact", node_limit=1, threads=1)
    assert from_plain(to_plain(plan.violations, {}), {}) == plan.violations
