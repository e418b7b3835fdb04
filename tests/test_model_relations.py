"""What must happen to a plan's value when its problem changes, and what bad problems get."""

import signal
import threading
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from small_problems import WORDS, random_problem, structural, three_hamlets

from allocator.model import (
    dive,
    evaluate,
    exact,
    primal,
    road_for,
    settle,
    solve,
    solve_exactly,
)
from allocator.model.highs import Linear, Outcome, StoppedTwice, solve_linear
from allocator.plan import Status, relative_gap
from allocator.problem import Objective
from allocator.rules import Floor, Forced, Hub, Resource, Served, SiteCount
from allocator.verify import verify
from benchmarks.instances import county
from benchmarks.problems import county_problem

SEEDS = [s for s in range(40) if s % 3][:16]


def _first(problem, **options):
    plan = solve_exactly(problem, gap=0.0, whole_places=False, **options)
    return plan.objectives[0].bound if plan.is_complete else np.inf


def _same(a, b):
    return a == b or a == pytest.approx(b, rel=1e-6, abs=1e-6)


def _plain(seed):
    """A problem with one expected objective, so that values may be compared."""
    families = {"resource", "reserved", "floor"} | ({"referral"} if seed % 2 else set())
    problem = random_problem(seed, most=60, families=families)
    return replace(problem, objectives=problem.objectives[:1])


def _permuted_arcs(problem, rng):
    order = rng.permutation(len(problem.arc_area))
    person = {
        n: replace(o, person=o.person[order]) if o.person is not None else o
        for n, o in enumerate(problem.objectives)
    }
    return replace(
        problem, arc_area=problem.arc_area[order], arc_site=problem.arc_site[order],
        arc_class=problem.arc_class[order], arc_minutes=problem.arc_minutes[order],
        acceptance=problem.acceptance[order], objectives=tuple(person.values()),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_rows_and_names_do_not_change_the_value(seed):
    """Row 37."""
    problem = _plain(seed)
    best = _first(problem)
    assert _same(best, _first(_permuted_arcs(problem, np.random.default_rng(seed))))
    renamed = replace(
        problem, areas=tuple(f"村 {n}-{n}" for n in problem.areas),
        sites=tuple(f"z{n}" for n in problem.sites),
    )  # fmt: skip
    assert _same(best, _first(renamed))


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_the_same_run_gives_the_same_plan_and_seeds_the_same_value(seed):
    problem = _plain(seed)
    one, two = (solve_exactly(problem, gap=0.0) for _ in range(2))
    for f in fields(one):
        a, b = getattr(one, f.name), getattr(two, f.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    values = [_first(problem, seed=s) for s in range(5)]
    assert all(_same(v, values[0]) for v in values)


@pytest.mark.parametrize("seed", SEEDS)
def test_twice_the_need_and_twice_the_size_cost_twice(seed):
    problem = _plain(seed)
    first = problem.objectives[0]
    twice = replace(
        problem, need=problem.need * 2, offer_min=problem.offer_min * 2,
        offer_max=problem.offer_max * 2, offer_module=problem.offer_module * 2,
        use_stint=problem.use_stint * 2,
        rules=tuple(
            replace(r, supply=r.supply * 2,
                    payers=tuple(replace(q, cap=tuple(2 * c for c in q.cap)) for q in r.payers))
            if isinstance(r, Resource) else r for r in problem.rules
        ),
        objectives=(replace(first, stint=first.stint * 2, constant=0.0),),
    )  # fmt: skip
    assert _same(2 * (_first(problem) - first.constant), _first(twice))


@pytest.mark.parametrize("seed", SEEDS)
def test_more_money_is_never_worse_and_fewer_arcs_never_better(seed):
    problem = _plain(seed)
    best = _first(problem)
    richer = tuple(
        replace(r, supply=r.supply * 1.5) if isinstance(r, Resource) else r for r in problem.rules
    )
    assert _first(replace(problem, rules=richer)) <= best + 1e-6
    near = np.flatnonzero(problem.arc_minutes <= np.median(problem.arc_minutes))
    o = problem.objectives[0]
    tighter = replace(
        problem, arc_area=problem.arc_area[near], arc_site=problem.arc_site[near],
        arc_class=problem.arc_class[near], arc_minutes=problem.arc_minutes[near],
        acceptance=problem.acceptance[near], objectives=(replace(o, person=o.person[near]),),
    )  # fmt: skip
    assert _first(tighter) >= best - 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_useless_site_changes_nothing(seed):
    problem = _plain(seed)
    z = problem.shape
    o = problem.objectives[0]
    more = replace(
        problem, sites=(*problem.sites, "zz"), site_start=np.r_[problem.site_start, 0],
        stint_site=np.r_[problem.stint_site, z["j"]], stint_from=np.r_[problem.stint_from, 0],
        stint_option=np.r_[problem.stint_option, 0], stint_first=np.r_[problem.stint_first, 0],
        stint_last=np.r_[problem.stint_last, z["t"] - 1],
        use_stint=csr_array(np.vstack([problem.use_stint.toarray(), np.zeros((1, z["k"] * z["t"]))])),
        objectives=(replace(o, stint=np.r_[o.stint, 0.0]),),
    )  # fmt: skip
    assert _same(_first(problem), _first(more))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_area_cut_in_two_at_the_same_point_changes_nothing(seed):
    problem = _plain(seed)
    n = len(problem.areas)
    cut = np.flatnonzero(problem.arc_area == 0)
    need = np.concatenate([problem.need, problem.need[:1] * 0.4])
    need[0] *= 0.6
    o = problem.objectives[0]
    rules = tuple(
        replace(r, part=np.r_[r.part, r.part[0]]) if hasattr(r, "part") else r
        for r in problem.rules
    )
    halves = replace(
        problem, areas=(*problem.areas, "zz"), need=need, rules=rules,
        arc_area=np.r_[problem.arc_area, np.full(len(cut), n)],
        arc_site=np.r_[problem.arc_site, problem.arc_site[cut]],
        arc_class=np.r_[problem.arc_class, problem.arc_class[cut]],
        arc_minutes=np.r_[problem.arc_minutes, problem.arc_minutes[cut]],
        acceptance=np.vstack([problem.acceptance, problem.acceptance[cut]]),
        objectives=(
            replace(o, person=np.vstack([o.person, o.person[cut]]),
                    unmet=np.concatenate([o.unmet, o.unmet[:1]])),
        ),
    )  # fmt: skip
    assert _same(_first(problem), _first(halves))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_evaluated_with_its_own_sites_keeps_its_value(seed):
    problem = random_problem(seed, most=60)
    plan = solve_exactly(problem, gap=0.0)
    if not plan.is_complete:
        return
    again = evaluate(problem, plan)
    assert again.is_complete and verify(problem, again) == ()
    assert again.objectives[-1].value <= plan.objectives[-1].value * (1 + 1e-3) + 1e-3
    assert again.stints.tolist() == plan.stints.tolist()
    free = evaluate(problem, plan, keep_places=False)
    assert free.objectives[0].bound <= again.objectives[0].bound + 1e-6


def test_a_need_that_nothing_reaches_becomes_named_unmet_or_a_refusal():
    """Row 13: unmet where nothing asks for more; no plan where a hard rule does."""
    problem = three_hamlets()
    keep = np.flatnonzero(problem.arc_area != 2)
    o = problem.objectives
    lone = replace(
        problem, arc_area=problem.arc_area[keep], arc_site=problem.arc_site[keep],
        arc_class=problem.arc_class[keep], arc_minutes=problem.arc_minutes[keep],
        acceptance=problem.acceptance[keep],
        objectives=(o[0], replace(o[1], person=o[1].person[keep])),
    )  # fmt: skip
    plan = solve_exactly(lone, gap=0.0)
    assert plan.unmet[2, 0, 0, 0, 0] == 4.0 and verify(lone, plan) == ()
    hard = Served(id="served", words=WORDS, service=0, areas=np.array([2]), groups=np.array([0]),
                  share=np.ones(1))  # fmt: skip
    assert solve_exactly(replace(lone, rules=(*lone.rules, hard))).status is Status.INFEASIBLE


def test_nothing_to_plan_gives_a_checked_trivial_plan():
    """Row 26: no need, no site, one of each."""
    problem = three_hamlets()
    idle = replace(problem, need=problem.need * 0)
    plan = solve_exactly(idle)
    assert plan.objectives[0].value == 0 and verify(idle, plan) == ()
    none = np.zeros(0, np.int64)
    bare = replace(
        problem, sites=(), site_start=none, stint_site=none, stint_from=none, stint_option=none,
        stint_first=none, stint_last=none, offer_stint=none, offer_class=none,
        offer_min=np.zeros(0), offer_max=np.zeros(0), offer_module=np.zeros(0), arc_area=none,
        arc_site=none, arc_class=none, arc_minutes=np.zeros(0), acceptance=np.zeros((0, 1)),
        use_stint=csr_array((0, 1)), use_place=csr_array((0, 1)),
        objectives=(Objective(id="unmet", unit="person", unmet=np.ones((1, 1, 1))),),
    )  # fmt: skip
    plan = solve_exactly(bare)
    assert plan.objectives[0].value == pytest.approx(20) and verify(bare, plan) == ()
    with pytest.raises(ValueError, match="objective"):
        solve(replace(problem, objectives=()))
    with pytest.raises(ValueError, match="road"):
        solve(problem, road="shortcut")
    assert road_for(problem) == "exact"


def test_no_money_means_named_shortfall():
    """Row 27: with a budget of 0 everybody is unmet, and the plan says so."""
    problem = three_hamlets()
    broke = replace(problem.rules[-1], supply=np.zeros(1))
    plan = solve_exactly(replace(problem, rules=(*structural(), broke)), gap=0.0)
    assert plan.is_complete and plan.unmet.sum() == pytest.approx(20)


@pytest.mark.parametrize(
    "extra",
    [
        SiteCount(id="s", words=WORDS, options=np.array([1]), minimum=np.full(1, 3.0), maximum=np.full(1, 9.0)),
        Hub(id="h", words=WORDS, point_options=np.array([0, 1]), hub_options=np.array([], int),
            pair_site=np.array([0]), pair_hub=np.array([1])),
        Forced(id="f", words=WORDS, site=0, options=np.array([], int), period=0),
    ],
    ids=["more-sites-than-candidates", "no-hub-anywhere", "forced-into-nothing"],
)  # fmt: skip
def test_rules_no_site_can_keep_are_no_plan(extra):
    """Rows 28-30: never a plan of zeros."""
    problem = three_hamlets()
    plan = solve_exactly(replace(problem, rules=(*problem.rules, extra)))
    assert plan.status is Status.INFEASIBLE and not len(plan.stints) and not plan.objectives


def _hard_mip(n=60):
    """A knapsack that takes branching: minimise under a parity row."""
    rng = np.random.default_rng(0)
    weight = rng.integers(1000, 9999, (12, n)).astype(float)
    half = np.floor(weight.sum(1) / 2)
    return Linear(
        csr_array(weight), half, half + 1, np.zeros(n), np.ones(n), np.ones(n, bool)
    ), rng.random(n)


def test_a_limit_before_any_plan_says_so_and_reports_no_zeros():
    """Row 31."""
    linear, cost = _hard_mip()
    out = solve_linear(linear, cost, node_limit=1)
    assert out.status is Status.NO_PLAN_FOUND and out.values is None and np.isnan(out.value)


def test_a_limit_with_a_plan_is_called_a_limit_with_its_gap(monkeypatch):
    """Row 32: an early stop keeps the best plan and the bound, and is not called proved."""
    problem = three_hamlets()
    real = exact.solve_linear

    def stopped(*args, **options):
        out = real(*args, **options)
        return (
            replace(out, status=Status.LIMIT, bound=out.bound - 2.0)
            if not options.get("relax")
            else out
        )

    monkeypatch.setattr(exact, "solve_linear", stopped)
    plan = solve_exactly(problem)
    assert plan.status is Status.LIMIT and plan.is_complete
    assert plan.objectives[0].gap == pytest.approx(2 / 8, rel=1e-3)
    assert verify(problem, plan) == ()


def test_one_interrupt_keeps_the_best_plan_so_far(monkeypatch):
    """Row 33: later objectives are left unasked, with a bound that holds."""
    problem = three_hamlets()
    real = exact.solve_linear

    def interrupted(*args, **options):
        out = real(*args, **options)
        return out if options.get("relax") else replace(out, status=Status.INTERRUPTED)

    monkeypatch.setattr(exact, "solve_linear", interrupted)
    plan = solve_exactly(problem)
    assert plan.status is Status.INTERRUPTED and len(plan.objectives) == 2
    assert verify(problem, plan) == ()


def test_ctrl_c_stops_the_solver_without_losing_the_process():
    """Row 33: the signal itself, sent to the main thread while the solver runs."""
    linear, cost = _hard_mip(90)
    # A job in the background starts without the handler.
    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.7, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    try:
        out = solve_linear(linear, cost, gap=0.0, seconds=30)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, was)
    assert out.status in (Status.NO_PLAN_FOUND, Status.INTERRUPTED)


def test_ctrl_c_between_two_solves_keeps_the_plan_of_the_objectives_before(monkeypatch):
    """Row 33: once, as at a limit and not to be repeated; twice, or before any plan, it goes through."""
    problem = three_hamlets()
    real = exact._with_links

    def stopping(at, kind):
        calls = 0

        def call(*args):
            nonlocal calls
            calls += 1
            if calls == at:
                raise kind
            return real(*args)

        return call

    monkeypatch.setattr(exact, "_with_links", stopping(2, KeyboardInterrupt))
    plan = solve_exactly(problem)
    assert plan.status is Status.INTERRUPTED and plan.is_complete and not plan.reproducible
    assert plan.objectives[0].value == pytest.approx(8) and verify(problem, plan) == ()
    for at, kind in ((1, KeyboardInterrupt), (2, StoppedTwice)):
        monkeypatch.setattr(exact, "_with_links", stopping(at, kind))
        with pytest.raises(kind):
            solve_exactly(problem)


@pytest.mark.parametrize("what", ["_decide_again", "_branch"])
def test_ctrl_c_in_a_dive_keeps_the_plan_it_came_to(monkeypatch, what):
    """Row 33: the descent's plan stays where what would better it is interrupted."""
    problem = random_problem(0, most=60, families={"resource", "reserved", "floor"})
    problem = replace(problem, objectives=problem.objectives[:1])
    monkeypatch.setattr(exact, "_LARGE", 0)
    monkeypatch.setattr(dive, "_FAR", -1.0 if what == "_decide_again" else np.inf)
    called = []

    def stopped(*_):
        called.append(what)
        raise KeyboardInterrupt

    monkeypatch.setattr(dive, what, stopped)
    monkeypatch.setattr(dive, "relative_gap", lambda value, bound: max(0.01, relative_gap(value, bound)))  # fmt: skip
    plan = solve_exactly(problem, gap=0.0)
    assert called and plan.status is Status.INTERRUPTED and not plan.reproducible
    assert plan.objectives[0].bound <= plan.objectives[0].value and verify(problem, plan) == ()


def test_ctrl_c_on_the_price_road_keeps_the_best_answer_so_far(monkeypatch):
    """Row 33, on the other road."""
    problem = county_problem(county(12, 4, seed=0))
    real, calls = primal.solve_restricted, []

    def call(*args, **options):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return replace(real(*args, **options), value=1e6)  # not good enough to stop at

    monkeypatch.setattr(primal, "solve_restricted", call)
    monkeypatch.setattr(settle, "solve_restricted", call)
    plan = solve(problem, road="prices", gap=0.0)
    assert len(calls) == 2 and plan.status is Status.INTERRUPTED and not plan.reproducible
    assert verify(problem, plan) == ()
    calls.append(1)
    with pytest.raises(KeyboardInterrupt):
        solve(problem, road="prices", gap=0.0)


@pytest.mark.parametrize("wrong", ["value", "status"])
def test_a_solver_that_lies_is_caught(monkeypatch, wrong):
    """Row 34: moved values fail the check; a wrong status never makes a plan of zeros."""
    problem = three_hamlets()
    real = exact.solve_linear

    def lying(*args, **options):
        out = real(*args, **options)
        if options.get("relax"):
            return out
        if wrong == "value":
            return replace(out, values=np.clip(out.values + 0.3, 0, 1e9))
        return Outcome(Status.NO_PLAN_FOUND, None, np.nan, np.nan, 0, 0)

    monkeypatch.setattr(exact, "solve_linear", lying)
    plan = solve_exactly(problem)
    if wrong == "value":
        assert verify(problem, plan)
    else:
        assert plan.status is Status.NO_PLAN_FOUND
        assert all(o.value == np.inf for o in plan.objectives)


def test_twelve_orders_of_magnitude_still_give_a_checked_plan():
    """Row 35: money in 10^-6 of a yuan beside persons."""
    problem = three_hamlets()
    rules = (*problem.rules[:-1], replace(problem.rules[-1], supply=np.array([320e9])))
    wide = replace(
        problem, use_stint=problem.use_stint * 1e9, use_place=problem.use_place * 1e9, rules=rules
    )
    plan = solve_exactly(wide, gap=0.0)
    assert plan.objectives[0].value == pytest.approx(8) and verify(wide, plan) == ()


def test_values_a_hair_off_are_snapped_and_checked(monkeypatch):
    """Row 36: 0.9999995 open, a flow of -1e-12, no -0.0."""
    problem = three_hamlets()
    real = exact.solve_linear

    def hairy(*args, **options):
        out = real(*args, **options)
        if options.get("relax"):
            return out
        return replace(out, values=np.where(out.values > 0.5, out.values - 5e-7, -1e-12))

    monkeypatch.setattr(exact, "solve_linear", hairy)
    plan = solve_exactly(problem)
    assert verify(problem, plan) == ()
    for name in ("places", "served", "unmet"):
        values = getattr(plan, name)
        assert np.all(values >= 0) and not np.any(np.signbit(values))
    assert np.all(plan.places == np.round(plan.places))


def _with_limits(problem, budget, share):
    """The problem with other money and a hard least share of each hamlet served."""
    rules = [
        replace(r, supply=np.full_like(r.supply, budget)) if isinstance(r, Resource) else r
        for r in problem.rules
    ]
    part = np.arange(len(problem.areas))
    floor = Floor(id="floor", words=WORDS, service=0, part=part, share=np.full(len(problem.periods), share))  # fmt: skip
    return replace(problem, rules=(*rules, floor))


@pytest.mark.parametrize("tighter", [(310.0, 0.1), (320.0, 0.2), (320.0, 0.1)])
def test_a_problem_with_tighter_hard_limits_alone_is_known_as_such(tighter):
    """Then a bound of the looser one is a bound here, and a plan that holds here holds there."""
    loose = _with_limits(three_hamlets(), 320.0, 0.1)
    tight = _with_limits(three_hamlets(), *tighter)
    assert tight.tightens(loose)
    assert loose.tightens(tight) == (tighter == (320.0, 0.1))
    assert _first(tight) >= _first(loose) - 1e-9


def test_a_problem_that_differs_in_anything_else_tightens_nothing():
    loose = _with_limits(three_hamlets(), 320.0, 0.1)
    tight = _with_limits(three_hamlets(), 310.0, 0.1)
    priced = [replace(r, price=1.0) if isinstance(r, Floor) else r for r in tight.rules]
    changed = [replace(r, share=r.share + 0.1) if isinstance(r, Floor) else r for r in priced]
    before = replace(loose, rules=(*loose.rules[:-1], priced[-1]))
    for other in (
        replace(tight, need=tight.need * 1.01),
        replace(tight, arc_minutes=tight.arc_minutes + 1.0),
        replace(tight, objectives=(replace(tight.objectives[0], constant=1.0),)),
        replace(tight, rules=tight.rules[:-1]),
    ):
        assert not other.tightens(loose)
    assert not replace(loose, rules=tuple(changed)).tightens(before), "a priced rule is no limit"


@pytest.mark.parametrize(
    ("value", "bound", "gap"),
    [(0.0, 0.0, 0.0), (2.0, 1.0, 0.5), (-2.0, -3.0, 0.5), (0.0, -1e-3, 1e3), (np.inf, 1.0, np.inf)],
)
def test_a_gap_is_a_number_wherever_there_is_a_value(value, bound, gap):
    assert relative_gap(value, bound) == pytest.approx(gap)
