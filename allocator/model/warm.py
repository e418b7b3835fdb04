"""Starting from an earlier plan: its prices and stints in the positions of another problem, and a first plan from them.

Any prices bound any problem, so what is carried over needs no care to stay true; it only saves time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from allocator.model.dual import Dual, DualState
from allocator.model.limits import Limits
from allocator.model.master import (
    FEW_NEEDS,
    FEWEST,
    kept,
    near_use,
    plan_in_doubt,
    plan_over_periods,
    unsettled,
)
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer, solve_restricted
from allocator.plan import Plan, relative_gap
from allocator.problem import Problem
from allocator.rules import Floats, Ints

__all__ = ["Start", "carried", "plan_from_old"]

_AGREES, _LIKELY = 0.35, 0.2
"""Mean answer from which an old stint is kept, and from which another one is in play."""
_FEW, _WAVERS = 0.05, 0.6
"""Share of the sites that are decided anew at most, and the mean answer of an old stint below which its site wavers."""
_FAR_OFF = 2.0
"""Times the gap from which a plan is so far off that too few sites were decided anew."""


@dataclass(frozen=True, eq=False)
class Start:
    """Prices by rule id, and the stints (m,) of an earlier plan that a problem still has."""

    prices: dict[str, Floats]
    stints: Ints


def carried(before: Problem, plan: Plan, after: Problem) -> Start:
    """Return what a plan of one problem says for another, by names of areas, sites, services and the rest.

    A period that was not there takes the prices of the nearest by position from the end or start;
    an area, service, group or future that was not there is not priced, a stint not there left out.
    A rule's prices carry over where it has as many rows, or a row a period in both.
    """
    at = [
        _positions(before.areas, after.areas), _positions(before.services, after.services),
        _positions(before.groups, after.groups), _periods(before.periods, after.periods),
        _positions(before.futures, after.futures),
    ]  # fmt: skip
    prices: dict[str, Floats] = {}
    for rule, old in plan.prices.items():
        if rule == "balance":
            balance = np.asarray(old, float)
            for axis, where in enumerate(at):
                balance = np.take(balance, np.maximum(where, 0), axis=axis)
                shape = [-1 if k == axis else 1 for k in range(5)]
                balance = np.where((where >= 0).reshape(shape), balance, 0.0)
            prices[rule] = balance
        elif len(old) == len(before.periods) != len(after.periods):
            prices[rule] = np.asarray(old, float)[at[3]]
        else:
            prices[rule] = np.asarray(old, float)
    return Start(prices, _stints(before, plan, after))


def _positions(old: tuple[str, ...], new: tuple[str, ...]) -> Ints:
    """Return where each new name was, -1 where it was not."""
    if old == new:
        return np.arange(len(new))
    where = {name: k for k, name in enumerate(old)}
    return np.array([where.get(name, -1) for name in new], np.int64)


def _periods(old: tuple[str, ...], new: tuple[str, ...]) -> Ints:
    """Return where each new period was; one that was not takes the last known before it, else the first."""
    found = _positions(old, new)
    if (found < 0).all():
        return np.minimum(np.arange(len(new)), len(old) - 1)
    last = int(found[found >= 0][0])
    for k, p in enumerate(found):
        last = found[k] = p if p >= 0 else last
    return found


def _stints(before: Problem, plan: Plan, after: Problem) -> Ints:
    """Return the positions in ``after`` of the stints of a plan."""
    site = _positions(after.sites, before.sites)
    option = _positions(after.options, before.options)
    period = _positions(after.periods, before.periods)
    mode = _positions(after.modes, before.modes)
    p = np.asarray(plan.stints, np.int64)

    def modes(problem: Problem, stints: Ints, names: Ints) -> Ints:
        if not len(problem.stint_mode):
            return np.full(len(stints), -1)
        of = problem.stint_mode[stints]
        return np.where(of >= 0, names[of] if len(names) else -1, -1)

    old = np.column_stack([
        site[before.stint_site[p]], option[before.stint_from[p]], option[before.stint_option[p]],
        period[before.stint_first[p]], period[before.stint_last[p]], modes(before, p, mode),
    ])  # fmt: skip
    every = np.arange(len(after.stint_site))
    own = np.arange(len(after.modes))
    new = np.column_stack([
        after.stint_site, after.stint_from, after.stint_option, after.stint_first, after.stint_last,
        modes(after, every, own),
    ])  # fmt: skip
    where = {tuple(key): k for k, key in enumerate(new.tolist())}
    return np.array(
        sorted(where[key] for key in map(tuple, old.tolist()) if key in where), dtype=np.int64
    )


def plan_from_old(
    rx: Relaxation, dual: Dual, state: DualState, stints: Ints, *, gap: float, limits: Limits,
    threads: int, seed: int, trace: bool = False,
) -> tuple[DualState, Answer | None]:  # fmt: skip
    """Return prices and a plan of one period: near the old plan, else by one descent from the prices."""
    best = plan_near(rx, dual, state, stints, gap=gap, limits=limits, seed=seed, trace=trace)
    if best is not None and relative_gap(best.value, state.bound) <= gap:
        return state, best
    state, found = plan_over_periods(
        rx, dual, state, gap=gap, limits=limits, threads=threads, seed=seed, again=False,
        trace=trace,
    )  # fmt: skip
    if found is None or (best is not None and best.value <= found.value):
        return state, best
    return state, found


def plan_near(
    rx: Relaxation, dual: Dual, state: DualState, stints: Ints, *, gap: float, limits: Limits,
    seed: int, trace: bool = False,
) -> Answer | None:  # fmt: skip
    """Return a plan that decides anew only the sites where old plan and new prices disagree.

    One period. Where they disagree at more than a few, or no good plan keeps the others as they were, a large
    problem decides more of them by one descent. None where neither leads to a plan.
    """
    t0 = time.monotonic()
    held = np.zeros(len(state.y_mean), bool)
    held[stints] = True
    large = len(rx.need) >= FEW_NEEDS
    agreed = held & (state.y_mean > (_WAVERS if large else _AGREES))
    best = None
    if unsettled(rx, agreed) <= _FEW * len(rx.problem.sites):
        fixed, open_ = kept(rx, state, held, _AGREES, _LIKELY)
        answer = solve_restricted(
            rx, open_, near_use(rx, dual, state, open_, FEWEST, 0), fixed=fixed,
            gap=min(gap * 0.2, 1e-3), limits=limits, seconds=max(0.3 * limits.left, 0.01), seed=seed,
            target=state.bound + 0.98 * gap * abs(state.bound),
        )  # fmt: skip
        if trace:
            print("near", unsettled(rx, fixed), answer.status, answer.value, answer.bound,
                  round(time.monotonic() - t0, 2))  # fmt: skip
        best = answer if np.isfinite(answer.value) else None
        if best is not None and relative_gap(best.value, state.bound) <= _FAR_OFF * gap:
            return best
    if large:
        found = plan_in_doubt(rx, dual, state, held, gap=gap, limits=limits, seed=seed, trace=trace)
        if found is not None and (best is None or found.value < best.value):
            best = found
    return best
