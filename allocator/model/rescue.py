"""Where the price road found no plan: the whole problem if it is small, else hard rules give way.

What hard rules ask is priced (`least`), so that the same search and a restricted problem always come to
some sites; whether these keep every rule after all is asked of the problem as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.least import dearest, softened
from allocator.model.limits import Limits
from allocator.model.primal import improve
from allocator.model.relaxation import Relaxation, relax
from allocator.model.restricted import Answer, solve_restricted

__all__ = ["Rescue", "rescue"]

_WHOLE = 20_000
"""Entries up to which the whole problem is handed to the exact solver."""
_ROUNDS, _STEPS, _NODES = 300, 3, 2_000
"""Rounds of the price search where hard rules give way, restricted problems after it, nodes of each at most."""
_SURE = 1e-6
"""How far the bound must be above what any plan could cost, in terms of all that it is summed from."""


@dataclass(frozen=True, eq=False)
class Rescue:
    """A plan after all; or that none exists; or an answer of the softened problem, which breaks rules."""

    answer: Answer | None = None
    is_infeasible: bool = False
    least: tuple[Relaxation, Answer] | None = None


def rescue(
    rx: Relaxation, state: DualState, *, gap: float, limits: Limits, threads: int, seed: int
) -> Rescue:
    """Look for a plan once more, and for the sites that break hard rules least, within the limits.

    Where no plan exists prices grow without end, and so does the bound they prove: above all that any plan
    could cost it says so.

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C came before a plan.
    """
    if _proves_none(rx, state):
        return Rescue(is_infeasible=True)
    every, entries = np.ones(len(rx.stint_cost), bool), np.arange(len(rx.row))
    is_small = len(entries) <= _WHOLE
    if is_small:
        whole = solve_restricted(
            rx, every, entries, gap=gap, limits=limits, threads=threads, seed=seed
        )
        if whole.status in ("kInfeasible", "kUnboundedOrInfeasible"):
            return Rescue(is_infeasible=True)
        if np.isfinite(whole.value):
            return Rescue(whole)
    soft = relax(softened(rx.problem))
    # A plan of the softened problem is none of the problem: it is kept apart.
    apart = Limits(limits.left, min(limits.nodes, _NODES))
    if is_small:
        least: Answer | None = solve_restricted(
            soft, every, entries, gap=gap, limits=apart, threads=threads, seed=seed
        )
    else:
        dual = Dual(soft)
        start = np.zeros(dual.b + dual.m)  # prices that found no plan lie far off
        found = search(dual, start, rounds=_ROUNDS, seconds=max(0.3 * apart.left, 0.01))
        least = improve(
            soft, dual, found, gap=gap, limits=apart, threads=threads, seed=seed, steps=_STEPS
        )
    limits.cut |= apart.cut
    if least is None or not np.isfinite(least.value):
        return Rescue()
    on = least.y > 0.5
    kept = solve_restricted(
        rx, on, least.entry, fixed=on, gap=gap, limits=limits, threads=threads, seed=seed
    )
    return Rescue(kept) if np.isfinite(kept.value) else Rescue(least=(soft, least))


def _proves_none(rx: Relaxation, state: DualState) -> bool:
    """Whether the bound is above what any plan could cost, beyond what rounding could do."""
    need, rows = state.price[: len(rx.need)], state.price[len(rx.need) :]
    limit = np.where(rows >= 0, rx.shared.high, rx.shared.low)
    size = float(np.abs(need) @ rx.need)
    size += float(np.abs(rows) @ np.where(np.isfinite(limit), np.abs(limit), 0.0))
    return state.bound > dearest(rx.problem) + _SURE * max(size, 1.0)
