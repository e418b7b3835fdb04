"""Ctrl-C on the price road, at every phase: once a plan is there it is kept, with a bound that holds."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from small_problems import just_enough, three_hamlets

from allocator.certificate import check_bound
from allocator.errors import Rank
from allocator.model import branch, exchange, highs, rescue, restricted, settle
from allocator.model.dual import Dual
from allocator.model.exchange import Exchange
from allocator.model.prices import solve_by_prices
from allocator.model.warm import carried
from allocator.plan import Plan, Status
from allocator.verify import verify
from benchmarks import instances, problems
from benchmarks.full import full_problem
from benchmarks.in_order import county_in_order

STEPS = (
    (Dual, "__call__"), (restricted, "_highs"), (highs.Hot, "solve"), (highs.Hot, "add_columns"),
    (branch, "_lower"), (exchange, "_swap"), (Exchange, "better"), (settle, "_exactly"),
)  # fmt: skip
"""What every phase does all the time: prices move, a relaxation or a small problem is solved, sites are exchanged."""


@contextmanager
def _ctrl_c(at: int, seen: list[str]):
    """Interrupt before the step numbered ``at``; ``seen`` becomes the name of each step come to."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in STEPS:

            def step(*args, _real=getattr(owner, name), _name=name, **options):
                seen.append(_name)
                if len(seen) == at + 1:
                    raise KeyboardInterrupt
                return _real(*args, **options)

            patch.setattr(owner, name, step)
        yield


def _one_period():
    """Sites stay in doubt after the first plan: they are settled one by one."""
    d = instances.capacitated(24, 7, seed=4)
    d["capacity"] = np.full(7, d["demand"].sum() / 3.4)
    problem = problems.capacitated_problem(d)
    return problem, lambda: solve_by_prices(problem, gap=1e-6, threads=1)


def _several_periods():
    problem = full_problem(instances.county_full(12, 5, seed=2))
    return problem, lambda: solve_by_prices(problem, gap=1e-3, threads=1)


def _from_an_earlier_plan():
    d = instances.county(60, 12, seed=1)
    before = problems.county_problem(d)
    problem = problems.county_problem({**d, "budget": 1.05 * d["budget"]})
    plan = solve_by_prices(before, gap=2e-3, threads=1)
    start = carried(before, plan, problem)
    return problem, lambda: solve_by_prices(problem, gap=1e-4, threads=1, start=start)


def _whole_needs_exchanged():
    rng = np.random.default_rng(3)
    place = rng.random((60, 2)) * 100
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    problem = problems.median_problem(distance, 6)
    return problem, lambda: solve_by_prices(problem, gap=1e-6, threads=1)


def _shares_exchanged():
    d = instances.covering(40, 12, p=4, share=0.2, seed=3)
    problem = problems.covering_problem(d)
    willing = replace(problem, acceptance=np.full((len(problem.arc_area), 1), 0.8))
    return willing, lambda: solve_by_prices(willing, gap=1e-6, threads=1)


def _a_plan_after_all():
    """Nothing comes of the usual steps; the whole problem is then solved, and the work goes on from it."""
    problem = just_enough(12, 2)
    return problem, lambda: solve_by_prices(problem, gap=1e-6, threads=1)


KINDS: tuple[Callable[[], tuple[object, Callable[[], Plan]]], ...] = (
    _one_period, _several_periods, _from_an_earlier_plan, _whole_needs_exchanged, _shares_exchanged,
    _a_plan_after_all,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__.strip("_"))
def test_from_the_first_plan_on_ctrl_c_keeps_the_best_so_far_wherever_it_comes(kind, monkeypatch):
    """Row 33: nothing before a plan; after it a checked plan, never a worse one later, its bound proved."""
    if kind is _one_period:  # of so few sites none would be left to branching
        monkeypatch.setattr(settle, "_FEW", 1)
        monkeypatch.setattr(settle, "_FEW_ENTRIES", 10)
    problem, solve = kind()
    steps: list[str] = []
    with _ctrl_c(-1, steps):
        whole = solve()
    best = whole.objectives[0]
    near = 1e-6 * max(1.0, abs(best.value))
    last = np.inf
    kept = 0
    # The last steps one by one, those before at even distances, and the first of every kind of step.
    firsts = {steps.index(name) for name in set(steps)}
    tried = {
        *np.linspace(0, len(steps) - 1, 14).astype(int),
        *range(len(steps) - 3, len(steps)),
        *firsts,
    }
    for at in sorted(n for n in tried if n >= 0):
        seen: list[str] = []
        with _ctrl_c(at, seen):
            if last == np.inf:
                try:
                    plan = solve()
                except KeyboardInterrupt:
                    assert at == 0 or "_swap" not in seen[:-1], "a set of sites was there"
                    continue
            else:
                plan = solve()
        assert seen[: at + 1] == steps[: at + 1]
        kept += 1
        (told,) = plan.objectives
        assert plan.status is Status.INTERRUPTED and plan.is_complete and not plan.reproducible
        assert verify(problem, plan) == ()
        assert told.value <= last + near, "an earlier interrupt left a better plan"
        assert told.bound <= best.value + near and best.bound <= told.value + near
        assert not [f for f in check_bound(problem, plan) if f.rank is Rank.ERROR]
        last = told.value
    assert kept >= 3


@pytest.mark.parametrize("when", ["running", "later"])
def test_what_the_solver_had_when_ctrl_c_came_is_kept_or_nothing_is(when, monkeypatch):
    """Row 33: HiGHS stops with a plan in hand; without one the command ends as before."""
    problem, solve = _one_period()
    real = restricted._highs

    def stopped(small, **options):
        z, value, bound, _ = real(small, **options)
        return (z if when == "running" else None), value, bound, restricted.INTERRUPTED

    monkeypatch.setattr(restricted, "_highs", stopped)
    if when == "later":
        with pytest.raises(KeyboardInterrupt):
            solve()
        return
    plan = solve()
    assert plan.status is Status.INTERRUPTED and verify(problem, plan) == ()


def test_twice_goes_through_even_with_a_plan(monkeypatch):
    """Row 33: the second Ctrl-C waits for nothing."""
    _, solve = _one_period()
    real, calls = restricted._highs, []

    def stopped(small, **options):
        calls.append(1)
        if len(calls) > 1:
            raise highs.StoppedTwice
        return real(small, **options)

    monkeypatch.setattr(restricted, "_highs", stopped)
    with pytest.raises(highs.StoppedTwice):
        solve()
    assert len(calls) == 2


def test_sites_that_break_rules_are_no_plan_for_ctrl_c_to_keep(monkeypatch):
    """Row 33: while hard rules give way there is no plan yet."""
    plain = three_hamlets()
    problem = replace(just_enough(18, 2), objectives=plain.objectives[:1])
    real, calls = rescue.solve_restricted, []

    def stopped(*args, **options):
        calls.append(1)
        if len(calls) == 3:  # what is found is asked of the rules as they stand
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(rescue, "solve_restricted", stopped)
    with pytest.raises(KeyboardInterrupt):
        solve_by_prices(problem, node_limit=1, threads=1)
    assert len(calls) == 3


@pytest.mark.slow
def test_ctrl_c_in_a_later_objective_or_future_keeps_the_plan_of_those_before():
    """The plan at hand stays; what was not asked any more has a bound that its prices, none, prove."""
    problem = county_in_order(instances.county(24, 6, seed=1), "both", 1)
    steps: list[str] = []
    with _ctrl_c(-1, steps):
        whole = solve_by_prices(problem, gap=1e-2, threads=1)
    kept, later = 0, 0
    for at in np.linspace(0, len(steps) - 1, 12).astype(int):
        with _ctrl_c(at, []):
            try:
                plan = solve_by_prices(problem, gap=1e-2, threads=1)
            except KeyboardInterrupt:
                assert kept == 0, "a plan was there before"
                continue
        kept += 1
        later += bool(np.isfinite(plan.objectives[0].held) and plan.prices_of(1)["balance"].any())
        assert plan.status is Status.INTERRUPTED and plan.is_complete and not plan.reproducible
        assert verify(problem, plan) == ()
        assert not [f for f in check_bound(problem, plan) if f.rank is Rank.ERROR]
        first, best = plan.objectives[0], whole.objectives[0]
        assert first.bound <= best.value + 1e-6 * abs(best.value)
        assert best.bound <= first.value + 1e-6 * abs(first.value)
    assert kept >= 4 and later >= 1
