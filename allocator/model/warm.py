"""Starting from an earlier plan: its prices and stints in the positions of another problem, and a first plan from them.

Any prices bound any problem, so what is carried over needs no care to stay true; it only saves time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from allocator.model.dual import Dual, DualState
from allocator.model.limits import Limits
from allocator.model.master import near_use, plan_over_periods
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer, Mask, solve_restricted
from allocator.plan import Plan, relative_gap
from allocator.problem import Problem
from allocator.rules import Floats, Ints

__all__ = ["Start", "carried", "plan_from_old"]

_NEAREST = 2
"""Entries nearest to use that each need has in the plan near the old one."""
_AGREES, _SURE, _LIKELY = 0.35, 0.6, 0.2
"""Mean answer from which an old stint is kept at first and later, and from which another one is in play."""
_FEW, _SOME = 0.05, 0.15
"""Share of the sites that are decided anew at most, where old stints are kept at first and later."""
_FEW_NEEDS = 2_500
"""Needs below which the relaxation of all that is near costs less than the solver's own searches among sites."""
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

    One period. None where they disagree at more than a few sites, or no plan keeps the others as they were.
    """
    pr, y, best = rx.problem, state.y_mean, None
    held = np.zeros(len(y), bool)
    held[stints] = True
    idle = np.bincount(pr.offer_stint, minlength=len(y)) == 0
    for least, most in _tries(rx, held & (y > _SURE)):
        t0 = time.monotonic()
        fixed = held & (y > least)
        settled = _settled(rx, fixed)
        if 1.0 - settled.mean() > most:
            break
        open_ = fixed | ((held | idle | (y > _LIKELY)) & ~settled[pr.stint_site])
        entries = near_use(rx, dual, state, open_, _NEAREST, 0)
        answer = solve_restricted(
            rx, open_, entries, fixed=fixed, gap=min(gap * 0.2, 1e-3),
            limits=limits, seconds=max(0.3 * limits.left, 0.01), seed=seed,
            target=state.bound + 0.98 * gap * abs(state.bound),
        )  # fmt: skip
        if trace:
            print("near", int(settled.sum()), int(open_.sum()), len(entries), answer.status,
                  answer.value, answer.bound, round(time.monotonic() - t0, 2))  # fmt: skip
        if np.isfinite(answer.value) and (best is None or answer.value < best.value):
            best = answer
        if best is not None and relative_gap(best.value, state.bound) <= _FAR_OFF * gap:
            break
    return best


def _tries(rx: Relaxation, sure: Mask) -> list[tuple[float, float]]:
    """Return from which mean answer old stints are kept, try by try, and what share of sites that may leave open.

    Small problems go on to their relaxation; large ones decide more sites anew before that, and
    at once where answers waver at many.
    """
    few, some = (_AGREES, _FEW), (_SURE, _SOME)
    if len(rx.need) < _FEW_NEEDS:
        return [few]
    wavers = 1.0 - float(_settled(rx, sure).mean())
    return [some] if wavers > _FEW else [few, some]


def _settled(rx: Relaxation, fixed: Mask) -> Mask:
    """Which sites have a stint that is fixed."""
    settled = np.zeros(len(rx.problem.sites), bool)
    settled[rx.problem.stint_site[fixed]] = True
    return settled
