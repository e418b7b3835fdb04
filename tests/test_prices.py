"""The price road: its interval always holds the true value, and its prices prove their bound."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from small_problems import random_problem

from allocator.certificate import bound_from_prices, check_bound
from allocator.model import formulate, solve
from allocator.model.curve import bound_curve, coverage_curve
from allocator.model.dual import Dual, search
from allocator.model.exact import solve_exactly
from allocator.model.limits import Limits
from allocator.model.master import Master, plan_in_doubt
from allocator.model.prices import _climbed_on, _How, solve_by_prices
from allocator.model.relaxation import relax
from allocator.model.restricted import restrict
from allocator.model.warm import carried, plan_near
from allocator.model.worth import bound_at, cold_start, start_from
from allocator.plan import FEWEST_SITES, Status, relative_gap
from allocator.rules import Resettlement
from allocator.verify import verify
from benchmarks import instances, problems
from benchmarks.full import full_problem


def _small_county(seed):
    d = instances.county(12, 4, seed=seed)
    d["budget"] *= 0.6
    return d


def _transport(cost, area, need, room, cap_site, budget_row=None):
    """Least cost of serving people with sizes free, by linear programming (scipy)."""
    from scipy.optimize import linprog

    a_ub, b_ub = [], []
    for i in range(len(need)):
        a_ub.append((area == i).astype(float))
        b_ub.append(need[i])
    a_ub += room[0]
    b_ub += room[1]
    made = linprog(cost, np.array(a_ub), b_ub, bounds=cap_site, method="highs")
    return made.fun if made.status == 0 else np.inf


def _brute_county(d):
    """Try every kind at every site; sizes and people by a linear programme."""
    n_sites, n_kinds = d["n_sites"], len(d["fixed"])
    best = 0.0
    for pick in itertools.product(range(-1, n_kinds), repeat=n_sites):
        arcs = np.flatnonzero(
            np.array([pick[j] == k for j, k in zip(d["site"], d["kind"], strict=True)], bool)
        )
        sites = [j for j in range(n_sites) if pick[j] >= 0]
        if not len(arcs) or not sites:
            continue
        kinds = np.array([pick[j] for j in sites])
        money = d["budget"] - d["fixed"][kinds].sum()
        if money < (d["smallest"] * d["per_place"])[kinds].sum():
            continue
        cost = np.r_[-d["value"][arcs], np.zeros(len(sites))]
        area = np.r_[d["area"][arcs], np.full(len(sites), -1)]
        rows, rhs = [], []
        for q, j in enumerate(sites):
            row = np.r_[(d["site"][arcs] == j).astype(float), np.zeros(len(sites))]
            row[len(arcs) + q] = -1.0
            rows.append(row)
            rhs.append(0.0)
        rows.append(np.r_[np.zeros(len(arcs)), d["per_place"][kinds]])
        rhs.append(money)
        bounds = [(0, None)] * len(arcs) + list(
            zip(d["smallest"][kinds], d["largest"][kinds], strict=True)
        )
        best = min(best, _transport(cost, area, d["demand"], (rows, rhs), bounds))
    return best


def _brute_covering(d):
    """Try every set of p sites."""
    best = 0.0
    reach = np.zeros((len(d["demand"]), d["n_sites"]), bool)
    reach[d["area"], d["site"]] = True
    for pick in itertools.combinations(range(d["n_sites"]), d["p"]):
        best = max(best, float(d["demand"][reach[:, pick].any(axis=1)].sum()))
    return -best


def _interval_holds(problem, truth):
    plan = solve_by_prices(problem, gap=1e-6, threads=1, time_limit=20)
    value, bound = plan.objectives[0].value, plan.objectives[0].bound
    slack = 1e-6 * max(1.0, abs(truth))
    assert bound <= truth + slack
    assert value >= truth - slack
    return plan


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_interval_holds_the_best_county_plan(seed):
    d = _small_county(seed)
    d = {**d, **{k: d[k][:2] for k in ("smallest", "largest", "fixed", "per_place")}}
    keep = d["kind"] < 2
    d = {**d, **{k: d[k][keep] for k in ("area", "site", "kind", "value")}}
    _interval_holds(problems.county_problem(d), _brute_county(d))


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_the_best_covering_plan(seed):
    d = instances.covering(40, 9, p=3, share=0.1, seed=seed)
    _interval_holds(problems.covering_problem(d), _brute_covering(d))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_branching_proves_the_best_median(seed, whole):
    """Whole distances prove a step of one; other distances end within the gap asked."""
    rng = np.random.default_rng(seed)
    n, p = 14, 2 + seed % 3
    place = rng.random((n, 2)) * 100
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    distance = np.round(distance) if whole else distance
    truth = min(distance[:, pick].min(axis=1).sum() for pick in itertools.combinations(range(n), p))
    plan = solve_by_prices(problems.median_problem(distance, p), gap=1e-6, threads=1)
    assert plan.objectives[0].value == pytest.approx(truth, rel=1e-9)
    assert truth * (1 - 2e-6) <= plan.objectives[0].bound <= truth * (1 + 1e-9)


def test_a_loose_gap_never_bounds_above_the_best():
    """Sites settled for less than the slack count in the bound."""
    for seed in range(20):
        d = instances.covering(30, 8, p=3, share=0.12, seed=seed)
        d["demand"] = d["demand"] * 0.37
        plan = solve_by_prices(problems.covering_problem(d), gap=0.05, threads=1)
        truth = _brute_covering(d)
        assert plan.objectives[0].bound <= truth + 1e-9
        assert truth <= plan.objectives[0].value + 1e-9


@pytest.mark.long
def test_the_interval_holds_in_a_thousand_cases():
    for seed in range(1000):
        d = instances.covering(30, 8, p=1 + seed % 4, share=0.05 + 0.02 * (seed % 7), seed=seed)
        _interval_holds(problems.covering_problem(d), _brute_covering(d))


def test_stored_prices_prove_the_bound_in_plain_python():
    for problem in (
        problems.county_problem(_small_county(5)),
        problems.capacitated_problem(instances.capacitated(30, 6, seed=2)),
        problems.covering_problem(instances.covering(40, 9, p=3, share=0.1, seed=1)),
    ):
        plan = solve_by_prices(problem, gap=1e-4, threads=1, time_limit=20)
        again = bound_from_prices(problem, plan.prices)
        assert again is not None
        assert again == pytest.approx(plan.work["price_bound"], rel=1e-6)
        if plan.work["nodes"] == 0:  # branching proves more than prices do
            assert again >= plan.objectives[0].bound - 1e-6 * abs(again)
        assert again <= plan.objectives[0].value + 1e-6 * abs(again)


def _brute_capacitated(d):
    """Try every set of sites; people by a linear programme."""
    from scipy.optimize import linprog

    per_person, n, best = d["cost"] / d["demand"][d["area"]], len(d["capacity"]), np.inf
    for k in range(1, n + 1):
        for pick in itertools.combinations(range(n), k):
            if d["capacity"][list(pick)].sum() < d["demand"].sum():
                continue
            arcs = np.flatnonzero(np.isin(d["site"], pick))
            served = np.array([(d["area"][arcs] == i) for i in range(len(d["demand"]))], float)
            used = np.array([(d["site"][arcs] == j) for j in range(n)], float)
            made = linprog(
                per_person[arcs], used, d["capacity"], served, d["demand"], method="highs"
            )
            if made.status == 0:
                best = min(best, made.fun + d["opening"][list(pick)].sum())
    return best


@pytest.mark.parametrize("seed", range(4))
def test_sites_are_settled_until_the_plan_is_proved_the_best(seed):
    """Sites of one size that hold 3.4 times less than all need: fewest whole sites, then branching."""
    d = instances.capacitated(24, 7, seed=seed)
    d["capacity"] = np.full(7, d["demand"].sum() / 3.4)
    problem = problems.capacitated_problem(d)
    plan = solve_by_prices(problem, gap=1e-6, threads=1)
    assert plan.status is Status.PROVED
    assert plan.objectives[0].value == pytest.approx(_brute_capacitated(d), rel=2e-6)
    assert verify(problem, plan) == ()
    proved = bound_from_prices(problem, plan.prices)
    assert plan.prices[FEWEST_SITES].size == 1
    assert proved == pytest.approx(plan.work["price_bound"], rel=1e-6)
    assert proved <= plan.objectives[0].value * (1 + 1e-9)


def test_the_fewest_whole_sites_raise_the_bound_and_any_price_on_them_bounds():
    d = instances.capacitated(24, 7, seed=1)
    d["capacity"] = np.full(7, d["demand"].sum() / 3.4)
    d["opening"] = 20.0 * d["opening"]  # so that as few as can be are open
    problem = problems.capacitated_problem(d)
    plan = solve_by_prices(problem, gap=1e-6, threads=1)
    truth = _brute_capacitated(d)
    assert (plan.prices[FEWEST_SITES] < 0).all()
    without = {k: v for k, v in plan.prices.items() if k != FEWEST_SITES}
    assert bound_from_prices(problem, without) < bound_from_prices(problem, plan.prices)
    for factor in (0.3, 0.9, 1.2, 3.0):
        other = {**plan.prices, FEWEST_SITES: plan.prices[FEWEST_SITES] * factor}
        assert bound_from_prices(problem, other) <= truth * (1 + 1e-9)
    assert bound_from_prices(problem, {**plan.prices, FEWEST_SITES: np.array([1.0])}) is None


def test_a_bound_that_its_prices_do_not_prove_is_found_out():
    problem = problems.county_problem(instances.county(60, 12, seed=5))
    plan = solve_by_prices(problem, gap=2e-2, threads=1)
    assert plan.work["nodes"] == 0
    assert check_bound(problem, plan) == ()
    head = plan.objectives[0]
    better = 0.5 * (head.value + head.bound)
    for told in (
        replace(plan, objectives=(replace(head, bound=better),)),
        replace(plan, work={**plan.work, "price_bound": better}),
        replace(plan, prices={**plan.prices, "budget": plan.prices["budget"] * 1.5}),
    ):
        assert [f.code for f in check_bound(problem, told)] == ["bound-not-proved"]
    branched = replace(
        plan, objectives=(replace(head, bound=better),), work={**plan.work, "nodes": 3.0}
    )
    assert [f.code for f in check_bound(problem, branched)] == ["bound-by-branching"]
    unpriced = replace(plan, prices={**plan.prices, "budget": np.array([-1.0])})
    assert [f.code for f in check_bound(problem, unpriced)] == ["bound-not-recomputed"]


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_over_several_periods_the_relaxation_goes_on_from_the_search(seed):
    """Its prices are proven in plain Python, its plan is verified, and the exact road's interval overlaps."""
    problem = full_problem(instances.county_full(12, 4, seed=seed))
    plan = solve_by_prices(problem, gap=5e-3, threads=1, time_limit=30)
    exact = solve_exactly(problem, gap=1e-4)
    value, bound = plan.objectives[0].value, plan.objectives[0].bound
    assert not verify(problem, plan)
    assert bound_from_prices(problem, plan.prices) == pytest.approx(bound, rel=1e-6)
    assert bound <= exact.objectives[0].value + 1e-6 * abs(value)
    assert value >= exact.objectives[0].bound - 1e-6 * abs(value)


def test_entries_left_out_of_the_relaxation_join_until_none_pays():
    """Started from too few entries, the relaxation ends at the value of the one with all entries."""
    problem = full_problem(instances.county_full(20, 6, seed=1))
    rx = relax(problem)
    dual = Dual(rx)
    every = np.ones(len(rx.stint_cost), bool)
    cell = np.repeat(np.arange(len(rx.cell_most)), np.diff(rx.cell_ptr))
    _, one_each = np.unique(cell, return_index=True)
    master = Master(rx, restrict(rx, every, one_each))
    while True:
        price, cells = master.prices(dual)
        dual(price)
        more = master.paying(dual, price, cells)
        if not len(more):
            break
        before = master.value
        master.join(more)
        assert master.value <= before + 1e-6 * abs(before)
    whole = Master(rx, restrict(rx, every, np.arange(len(rx.row))))
    assert len(master.entry) < len(rx.row)
    assert master.value == pytest.approx(whole.value, rel=1e-6)
    assert dual(price)[0] >= whole.value - 1e-6 * abs(whole.value)


def test_a_plan_is_irreproducible_only_where_the_clock_ended_some_step():
    problem = problems.county_problem(instances.county(200, 40, seed=1))
    free = solve_by_prices(problem, gap=1e-2, threads=1)
    ample = solve_by_prices(problem, gap=1e-2, threads=1, time_limit=500)
    assert free.reproducible and ample.reproducible
    assert np.array_equal(free.stints, ample.stints)
    assert np.array_equal(free.served, ample.served)
    late = solve_by_prices(problem, gap=0.0, threads=1, time_limit=0.05)
    assert not late.reproducible
    assert late.objectives[0].bound <= free.objectives[0].value


def test_no_clock_and_no_nodes_still_give_a_plan_and_say_limit():
    """Two nodes at most in any exact problem: the work ends by itself, twice at the same plan."""
    problem = problems.county_problem(instances.county(80, 16, seed=1))
    one, two = (solve(problem, gap=0.0, node_limit=2, road="prices") for _ in range(2))
    assert one.status is Status.LIMIT and one.reproducible
    assert np.array_equal(one.stints, two.stints)
    assert verify(problem, one) == ()


def test_any_prices_bound_the_plan_from_below():
    problem = problems.county_problem(_small_county(3))
    plan = solve_by_prices(problem, gap=1e-3, threads=1, time_limit=20)
    rng = np.random.default_rng(0)
    for _ in range(10):
        spoiled = {k: v * rng.uniform(0.5, 1.5, np.shape(v)) for k, v in plan.prices.items()}
        bound = bound_at(problem, spoiled)
        assert bound <= plan.objectives[0].value + 1e-6
        assert bound_from_prices(problem, spoiled) == pytest.approx(bound, rel=1e-9)


def test_a_negative_price_on_money_proves_nothing():
    problem = problems.county_problem(_small_county(3))
    plan = solve_by_prices(problem, gap=1e-2, threads=1, time_limit=20)
    assert bound_from_prices(problem, {**plan.prices, "budget": np.array([-1.0])}) is None


def test_old_prices_bound_a_larger_budget_without_solving():
    d = _small_county(4)
    plan = solve_by_prices(problems.county_problem(d), gap=1e-3, threads=1, time_limit=20)
    richer = problems.county_problem({**d, "budget": 1.2 * d["budget"]})
    bound = bound_at(richer, plan.prices)
    start = carried(problems.county_problem(d), plan, richer)
    solved = solve_by_prices(richer, gap=1e-3, threads=1, time_limit=20, start=start)
    assert bound <= solved.objectives[0].value + 1e-6
    assert solved.objectives[0].value <= plan.objectives[0].value + 1e-6


def _without_the_first(d, problem):
    """The county with its first area and first site gone, the others under their old names."""
    keep = (d["area"] > 0) & (d["site"] > 0)
    less = {k: v[keep] if k in ("area", "site", "kind", "value") else v for k, v in d.items()}
    less |= {"area": less["area"] - 1, "site": less["site"] - 1}
    less |= {"demand": d["demand"][1:], "n_sites": d["n_sites"] - 1}
    made = problems.county_problem(less)
    return replace(made, areas=problem.areas[1:], sites=problem.sites[1:])


@pytest.mark.parametrize("seed", range(4))
def test_an_earlier_plan_carries_over_by_names_and_its_start_proves_as_much(seed):
    d = instances.county(60, 12, seed=seed)
    problem = problems.county_problem(d)
    plan = solve_by_prices(problem, gap=2e-3, threads=1)
    after = _without_the_first(d, problem)
    start = carried(problem, plan, after)
    assert np.array_equal(start.prices["balance"], plan.prices["balance"][1:])
    there = plan.stints[problem.stint_site[plan.stints] > 0]
    assert [after.sites[j] for j in after.stint_site[start.stints]] == [
        problem.sites[j] for j in problem.stint_site[there]
    ]
    assert np.array_equal(after.stint_option[start.stints], problem.stint_option[there])
    warm = solve_by_prices(after, gap=2e-3, threads=1, start=start)
    cold = solve_by_prices(after, gap=2e-3, threads=1)
    assert verify(after, warm) == ()
    assert warm.gap <= max(2e-3, cold.gap + 5e-4)  # so few sites leave a gap that no price closes
    assert warm.objectives[0].bound <= cold.objectives[0].value + 1e-6
    assert cold.objectives[0].bound <= warm.objectives[0].value + 1e-6
    known = cold.objectives[0].bound
    assert known - 0.05 * abs(known) <= bound_at(after, start.prices) <= known + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", (1, 2))
def test_more_money_for_a_large_county_is_planned_near_the_old_plan(seed):
    """So many sites waver at more money that few decided anew would leave most of it unspent."""
    d = instances.county(2600, 120, seed=seed)
    before = problems.county_problem(d)
    after = problems.county_problem({**d, "budget": 1.1 * d["budget"]})
    old = solve_by_prices(before, gap=2e-3, threads=1)
    assert old.gap <= 2e-3 and verify(before, old) == ()
    start = carried(before, old, after)
    rx = relax(after)
    dual = Dual(rx)
    state = search(dual, start_from(dual, start.prices), warm=True, ambition=0.005, every=25)
    found = plan_near(rx, dual, state, start.stints, gap=2e-3, limits=Limits(), seed=0)
    assert found is not None
    assert relative_gap(found.value, state.bound) <= 2e-3
    likely = state.y_mean > 0.5
    found = plan_in_doubt(rx, dual, state, likely, gap=2e-3, limits=Limits(), seed=0)
    assert found is not None and found.value >= state.bound
    far = replace(state, bound=1.1 * state.bound)  # no relaxation comes near such a bound
    assert plan_in_doubt(rx, dual, far, likely, gap=2e-3, limits=Limits(), seed=0) is None
    warm = solve_by_prices(after, gap=2e-3, threads=1, start=start)
    assert warm.gap <= 2e-3 and verify(after, warm) == ()


@pytest.mark.slow
def test_a_search_that_stalls_short_of_the_bound_goes_on():
    """Its steps had shrunk to nothing 0.18 % below: the plan then stayed outside the gap for a minute and more."""
    dual = Dual(relax(problems.county_problem(instances.county(5000, 500, seed=24))))
    first = search(dual, cold_start(dual), rounds=500, stall=4e-5, ambition=0.05, every=50)
    how = _How(2e-3, np.inf, None, None, 0, 1, None, False)
    limits = Limits()
    better = _climbed_on(dual, first, how, limits)
    assert better.bound - first.bound > 1e-3 * abs(first.bound)
    assert dual(better.price)[0] == pytest.approx(better.bound, rel=1e-12)
    assert not limits.cut


def test_a_new_year_takes_the_prices_of_the_last_one_known():
    before = full_problem(instances.county_full(9, 4, n_periods=2, seed=2))
    after = full_problem(instances.county_full(9, 4, n_periods=3, seed=2))
    plan = solve_by_prices(before, gap=1e-2, threads=1, time_limit=30)
    start = carried(before, plan, after)
    old, new = plan.prices["balance"], start.prices["balance"]
    assert np.array_equal(new[..., :2, :], old)
    assert np.array_equal(new[..., 2, :], old[..., 1, :])
    assert start.prices["capital"].tolist() == [*plan.prices["capital"], plan.prices["capital"][1]]
    assert bound_at(after, start.prices) > 0.0
    solved = solve_by_prices(after, gap=1e-2, threads=1, time_limit=30, start=start)
    assert bound_at(after, start.prices) <= solved.objectives[0].value + 1e-6


def test_the_same_seed_gives_the_same_plan_on_one_thread_and_two():
    problem = problems.county_problem(instances.county(60, 12, seed=8))
    a = solve_by_prices(problem, gap=1e-3, threads=1)
    b = solve_by_prices(problem, gap=1e-3, threads=2)
    assert np.array_equal(a.stints, b.stints)
    assert a.objectives[0].bound == pytest.approx(b.objectives[0].bound, rel=1e-12)


def test_a_plan_keeps_needs_places_and_budget():
    d = instances.county(60, 12, seed=9)
    problem = problems.county_problem(d)
    plan = solve_by_prices(problem, gap=1e-3, threads=1)
    by_area = np.bincount(problem.arc_area[plan.served_arc], plan.served, minlength=60)
    assert np.all(by_area <= d["demand"] + 1e-6)
    assert np.allclose(by_area + plan.unmet.ravel(), d["demand"], atol=1e-6)
    spent = problem.use_stint[plan.stints].sum() + (problem.use_place.toarray()[:, 0] @ plan.places)
    assert spent <= d["budget"] * (1 + 1e-6)
    at = problem.arc_site[plan.served_arc] * 4 + problem.arc_class[plan.served_arc]
    used = np.bincount(at, plan.served, minlength=48)
    room = np.zeros(48)
    np.add.at(room, problem.stint_site[problem.offer_stint] * 4 + problem.offer_class, plan.places)
    assert np.all(used <= room + 1e-6)


def test_the_curve_is_bounded_at_every_count():
    d = instances.covering(40, 9, p=9, share=0.1, seed=3)
    curve = coverage_curve(d["area"], d["site"], d["demand"], 9)
    for p in range(1, 10):
        truth = -_brute_covering({**d, "p": p})
        assert curve.covered[p - 1] <= truth + 1e-9
        assert curve.bound[p - 1] >= truth - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_every_count_of_the_curve_has_the_plan_it_tells_of(seed):
    """Each plan covers what the curve says, more sites never cover fewer, and exchange betters greed."""
    d = instances.covering(3000, 400, p=400, share=0.01, seed=seed)
    d["demand"] = d["demand"] * (1.0 if seed else 0.37)
    curve = coverage_curve(d["area"], d["site"], d["demand"], 400, points=6, rounds=60)
    greed = coverage_curve(d["area"], d["site"], d["demand"], 400, points=0)
    reach = np.zeros((3000, 400), bool)
    reach[d["area"], d["site"]] = True
    for count in range(1, 401):
        sites = curve.sites(count)
        assert len(set(sites.tolist())) == count
        told = float(d["demand"][reach[:, sites].any(axis=1)].sum())
        assert told == pytest.approx(curve.covered[count - 1], rel=1e-9)
    assert np.all(np.diff(curve.covered) >= -1e-6)
    assert np.all(curve.covered >= greed.covered * (1 - 1e-12))
    assert curve.covered.sum() > 1.001 * greed.covered.sum()
    assert np.all(curve.bound >= curve.covered)


def test_any_worth_vector_bounds_the_whole_curve():
    d = instances.covering(40, 9, p=9, share=0.1, seed=4)
    order = np.argsort(d["site"], kind="stable")
    ptr = np.searchsorted(d["site"][order], np.arange(10))
    worth = d["demand"] * np.random.default_rng(1).random(40)
    bound = bound_curve(ptr, d["area"][order].astype(np.int32), d["demand"], worth)
    for p in range(1, 10):
        assert bound[p - 1] >= -_brute_covering({**d, "p": p}) - 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_resettlement_is_priced_by_the_rows_the_exact_road_writes(seed):
    """A row a group, of the home's own arcs and service only, as in the formulation."""
    problem = random_problem(seed, families={"resettlement"}, risk="expected")
    (rule,) = problem.rules_of(Resettlement)
    form = formulate(problem)
    (block,) = (b for b in form.blocks if b.rule == rule.id)
    relaxed = relax(problem)
    first, end = next((a, b) for name, a, b in relaxed.shared.rule if name == rule.id)
    ours = relaxed.shared.y[first:end].toarray()
    columns = form.columns
    theirs = block.matrix[:, columns.y : columns.n].toarray()
    assert np.allclose(ours, theirs)
    period, future = relaxed.cell_period, relaxed.cell_future
    cell = np.repeat(np.arange(len(relaxed.cell_most)), np.diff(relaxed.cell_ptr))
    named = [
        (int(a), int(g), int(period[c]), int(future[c]))
        for a, g, c in zip(relaxed.entry_arc, relaxed.entry_group, cell, strict=True)
    ]
    x = relaxed.shared.x[first:end].toarray() if relaxed.shared.x is not None else None
    for row in range(end - first):
        mine = {} if x is None else {named[e]: x[row, e] for e in np.flatnonzero(x[row])}
        at = np.flatnonzero(block.matrix[[row], columns.x : columns.u].toarray())
        there = {
            (int(columns.x_arc[e]), int(columns.x_group[e]), int(columns.x_period[e]), int(columns.x_future[e])): 1.0
            for e in at
        }  # fmt: skip
        assert mine == there


@pytest.mark.parametrize("seed", range(12))
def test_links_leave_every_plan_and_cut_the_relaxation(seed):
    from allocator.model.highs import model_of, quiet

    problem = problems.capacitated_problem(instances.capacitated(30, 6, seed=seed))
    if seed % 2:
        problem = random_problem(seed, families={"resource"}, risk="expected")
    rx = relax(problem)
    stints, entries = np.ones(len(rx.stint_cost), bool), np.arange(len(rx.row))
    held = np.zeros(len(stints), bool)

    def best(links, is_relaxed):
        small = restrict(rx, stints, entries, fixed=held, links=links)
        h = quiet()
        h.setOptionValue("mip_rel_gap", 1e-9)
        h.passModel(model_of(small.linear, small.cost, is_relaxed))
        h.run()
        return h.getInfo().objective_function_value

    whole = best(False, False)
    assert best(True, False) == pytest.approx(whole, rel=1e-6, abs=1e-6)
    plain, linked = best(False, True), best(True, True)
    assert plain <= linked + 1e-6 and linked <= whole + 1e-6
    if seed % 2 == 0:
        assert linked > plain + 1e-6 * abs(plain)
