"""Proof by settling sites over one period: what prices show to be out of question, then branching on the rest.

At any prices a stint that would raise the bound to the best plan known is in no better plan. Where
stints stay in doubt the search branches on the one least sure, with and without it, always at the weakest
bound; prices start from the parent's. Where few sites are left the rest is solved exactly.
"""

from __future__ import annotations

import heapq

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.limits import Limits
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer, Mask, solve_restricted
from allocator.rules import Floats, Ints

__all__ = ["in_doubt", "settle"]

_ROUNDS = 150
"""Rounds of the price search at a node."""
_FEW, _FEW_ENTRIES = 6, 2_000
"""Sites in doubt, or entries left, up to which the rest is solved exactly."""
_MOST_NODES, _MOST_ENTRIES = 500, 5e9
"""Nodes at most, and entries looked at in all of them: about half a minute's work."""


def settle(
    rx: Relaxation, dual: Dual, state: DualState, best: Answer, *, gap: float, limits: Limits,
    seed: int, trace: bool = False,
) -> tuple[float, Answer, int]:  # fmt: skip
    """Return a bound proved by branching, the best plan met, and the nodes looked at."""
    barred = np.zeros(dual.p, bool)
    heap: list[tuple[float, int, Floats, Mask]] = [(state.bound, 0, state.price, barred)]
    nodes, most = (
        0,
        min(_MOST_NODES, limits.nodes, int(_MOST_ENTRIES / (_ROUNDS * max(len(rx.row), 1)))),
    )
    while heap and nodes < most and not limits.over():
        bound, _, price, barred = heapq.heappop(heap)
        cutoff = best.value - 0.98 * gap * abs(best.value)
        if bound >= cutoff:
            continue
        nodes += 1
        found, y, barred = _at(rx, dual, price, barred, cutoff)
        bound = max(bound, found.bound)
        if bound >= cutoff:
            continue
        open_ = _in_doubt(rx, barred)
        if trace and nodes % 50 == 1:
            print("node", nodes, len(heap), bound, cutoff, int(open_.sum()))
        entries = _left(rx, barred)
        if open_.sum() <= _FEW or len(entries) <= _FEW_ENTRIES:
            best, bound = _exactly(rx, best, barred, entries, gap, limits, seed, bound)
            if bound < cutoff and bound < best.value - 0.98 * gap * abs(best.value):
                heapq.heappush(heap, (bound, -nodes, found.price, barred))
                break  # the limit came
            continue
        p = _least_sure(rx, y, barred, open_)
        same = rx.problem.stint_site == rx.problem.stint_site[p]
        without, only = barred.copy(), barred | same
        without[p], only[p] = True, barred[p]
        heapq.heappush(heap, (bound, 2 * nodes, found.price, without))
        heapq.heappush(heap, (bound, 2 * nodes + 1, found.price, only))
    dual.barred = None
    cutoff = best.value - 0.98 * gap * abs(best.value)
    return min([cutoff, *(b for b, *_ in heap)]), best, nodes


def in_doubt(rx: Relaxation, dual: Dual, state: DualState, best: Answer, gap: float) -> int:
    """Return how many sites prices leave in doubt, given a plan and the gap that is enough."""
    dual(state.price)
    over = dual.stint_value - dual.site_value[rx.problem.stint_site]
    cutoff = best.value - 0.98 * gap * abs(best.value)
    return int(_in_doubt(rx, state.bound + over >= cutoff).sum())


def _at(
    rx: Relaxation, dual: Dual, price: Floats, barred: Mask, cutoff: float
) -> tuple[DualState, Floats, Mask]:
    """Search prices at a node; return what was found, mean answers, and what is barred then."""
    site = rx.problem.stint_site
    dual.barred = barred
    found = search(dual, price, rounds=_ROUNDS, target=cutoff, stall=1e-7, every=25, ambition=0.005)
    dual(found.price)
    over = found.bound + dual.stint_value - dual.site_value[site] >= cutoff
    return found, found.y_mean, barred | over


def _in_doubt(rx: Relaxation, barred: Mask) -> Mask:
    """Sites (J,) with more than one stint left."""
    left = np.bincount(rx.problem.stint_site[~barred], minlength=len(rx.problem.sites))
    return np.asarray(left > 1)


def _least_sure(rx: Relaxation, y: Floats, barred: Mask, open_: Mask) -> int:
    """Return the stint, of a site in doubt, whose mean answer is nearest to a half."""
    offering = np.bincount(rx.problem.offer_stint, minlength=len(y)) > 0
    some = np.flatnonzero(~barred & open_[rx.problem.stint_site])
    mine = some[offering[some]] if offering[some].any() else some
    return int(mine[np.argmin(np.abs(y[mine] - 0.5))])


def _left(rx: Relaxation, barred: Mask) -> Ints:
    """Return the entries of what is not barred."""
    offer_of = np.repeat(np.arange(len(rx.offer_cost)), np.diff(rx.ocell_ptr))
    cells = np.zeros(len(rx.cell_most), bool)
    cells[rx.ocell[~barred[rx.problem.offer_stint][offer_of]]] = True
    return np.flatnonzero(np.repeat(cells, np.diff(rx.cell_ptr)))


def _exactly(
    rx: Relaxation, best: Answer, barred: Mask, entries: Ints, gap: float, limits: Limits, seed: int,
    bound: float,
) -> tuple[Answer, float]:  # fmt: skip
    """Solve what is left with all its people; return the better plan and a bound of this part."""
    found = solve_restricted(
        rx,
        ~barred,
        entries,
        gap=0.5 * gap,
        limits=limits,
        seed=seed,
    )
    if found.status == "kInfeasible":
        return best, np.inf
    return (found if found.value < best.value else best), max(bound, found.bound)
