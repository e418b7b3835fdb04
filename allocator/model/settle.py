"""Proof by settling sites over one period: what prices show to be out of question, then branching on the rest.

At any prices a stint that would raise the bound to the best plan known is in no better plan. Where
stints stay in doubt the search branches on the one least sure, with and without it, always at the weakest
bound; prices start from the parent's. Where few sites are left the rest is solved exactly.
"""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.highs import StoppedTwice
from allocator.model.limits import Limits
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import INTERRUPTED, Answer, Mask, solve_restricted
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
    """Return a bound proved by branching, the best plan met, and the nodes looked at.

    Ctrl-C ends it with the best plan so far, its status `INTERRUPTED`, and the bound proved by then.
    """
    heap: list[tuple[float, int, Floats, Mask]] = [
        (state.bound, 0, state.price, np.zeros(dual.p, bool))
    ]
    nodes, most = (
        0,
        min(_MOST_NODES, limits.nodes, int(_MOST_ENTRIES / (_ROUNDS * max(len(rx.row), 1)))),
    )
    node = heap[0]
    try:
        while heap and nodes < most and not limits.over():
            node = heapq.heappop(heap)
            if node[0] >= _cutoff(best, gap):
                continue
            nodes += 1
            best, parts, done = _split(rx, dual, node, best, gap, limits, seed, nodes)
            for part in parts:
                heapq.heappush(heap, part)
            if trace and nodes % 50 == 1:
                print("node", nodes, len(heap), node[0], best.value)
            if not done:
                break  # the limit came
    except StoppedTwice:
        raise
    except KeyboardInterrupt:
        heap.append(node)
        limits.keep(best)
        best = replace(limits.best or best, status=INTERRUPTED)
    dual.barred = None
    return min([_cutoff(best, gap), *(b for b, *_ in heap)]), best, nodes


def _cutoff(best: Answer, gap: float) -> float:
    """The bound from which on a part holds no plan that would matter."""
    return best.value - 0.98 * gap * abs(best.value)


def _split(
    rx: Relaxation, dual: Dual, node: tuple[float, int, Floats, Mask], best: Answer, gap: float,
    limits: Limits, seed: int, number: int,
) -> tuple[Answer, list[tuple[float, int, Floats, Mask]], bool]:  # fmt: skip
    """Look at a node: return the best plan, the parts that stay open, and False where a limit stopped it."""
    bound, _, price, barred = node
    cutoff = _cutoff(best, gap)
    found, barred = _at(rx, dual, price, barred, cutoff)
    bound = max(bound, found.bound)
    if bound >= cutoff:
        return best, [], True
    open_ = _in_doubt(rx, barred)
    entries = _left(rx, barred)
    if open_.sum() <= _FEW or len(entries) <= _FEW_ENTRIES:
        best, bound = _exactly(rx, best, barred, entries, gap, limits, seed, bound)
        if bound >= _cutoff(best, gap):
            return best, [], True
        return best, [(bound, -number, found.price, barred)], False
    p = _least_sure(rx, found.y_mean, barred, open_)
    same = rx.problem.stint_site == rx.problem.stint_site[p]
    without, only = barred.copy(), barred | same
    without[p], only[p] = True, barred[p]
    return best, [
        (bound, 2 * number, found.price, without), (bound, 2 * number + 1, found.price, only),
    ], True  # fmt: skip


def in_doubt(rx: Relaxation, dual: Dual, state: DualState, best: Answer, gap: float) -> int:
    """Return how many sites prices leave in doubt, given a plan and the gap that is enough."""
    dual(state.price)
    over = dual.stint_value - dual.site_value[rx.problem.stint_site]
    return int(_in_doubt(rx, state.bound + over >= _cutoff(best, gap)).sum())


def _at(
    rx: Relaxation, dual: Dual, price: Floats, barred: Mask, cutoff: float
) -> tuple[DualState, Mask]:
    """Search prices at a node; return what was found and what is barred then."""
    site = rx.problem.stint_site
    dual.barred = barred
    found = search(dual, price, rounds=_ROUNDS, target=cutoff, stall=1e-7, every=25, ambition=0.005)
    dual(found.price)
    over = found.bound + dual.stint_value - dual.site_value[site] >= cutoff
    return found, barred | over


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
