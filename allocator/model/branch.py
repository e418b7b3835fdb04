"""Proof by branching where only the choice of sites matters: median, covering, uncapacitated.

In gains over leaving a need unmet, the problem is ``max sum_i max_{j open} g_ij - sum_j f_j`` over
at most ``p`` open sites. With a worth ``w_i >= 0`` put on each need, no set of sites gains more
than ``sum w_i`` plus the ``p`` greatest of ``sum_i max(g_ij - w_i, 0) - f_j`` (Cornuejols, Fisher and
Nemhauser 1977, "Location of bank accounts to optimize float", Management Science 23). A site whose
change of state would lower that bound to the best plan known is settled; on the rest the search
branches, always at the node of the weakest bound.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from allocator.model.kernels import direction, step
from allocator.rules import Floats, Ints

__all__ = ["Proof", "Ranked", "prove"]

Sites = npt.NDArray[np.bool_]
States = npt.NDArray[np.int8]  # a site: FREE, SHUT or OPEN
FREE, SHUT, OPEN = -1, 0, 1


@dataclass(frozen=True, eq=False)
class Ranked:
    """Gains of each need, greatest first: ``site`` and ``gain`` within ``ptr[i]:ptr[i + 1]``."""

    ptr: Ints
    site: npt.NDArray[np.int32]
    gain: Floats
    opening: Floats
    size: Floats  # persons of each need: how far its worth may move at once
    p: int

    @property
    def unit(self) -> float:
        """The step between values of plans: 1 where all gains and openings are whole, else 0."""
        whole = np.all(self.gain == np.round(self.gain))
        shut = ~np.isfinite(self.opening)
        return float(whole and np.all((self.opening == np.round(self.opening)) | shut))

    def without(self, closed: Sites) -> Ranked:
        """Return the same without the gains at closed sites."""
        keep = ~closed[self.site]
        kept = np.concatenate([[0], np.cumsum(keep)])
        return Ranked(
            kept[self.ptr], self.site[keep], self.gain[keep], self.opening, self.size, self.p
        )


@dataclass(frozen=True, eq=False)
class Proof:
    """What branching proved: no plan gains over ``bound``; the worths prove ``root`` alone."""

    bound: float
    root: float
    worth: Floats
    gain: float
    is_open: Sites
    nodes: int
    rounds: int
    interrupted: bool = False


@njit(cache=True)
def _rate(ptr, site, gain, opening, worth, state, surplus):
    """Sum what each site that is not shut gains over the worths; return the sum of worths."""
    total = 0.0
    for j in range(len(surplus)):
        surplus[j] = -opening[j] if state[j] != SHUT else -np.inf
    for i in range(len(worth)):
        w = worth[i]
        total += w
        for k in range(ptr[i], ptr[i + 1]):
            if gain[k] <= w:
                break
            surplus[site[k]] += gain[k] - w
    return total


@njit(cache=True)
def _select(surplus, state, p, chosen):
    """Choose the sites of greatest surplus; return their sum, the least chosen, the next, the places left."""
    total = 0.0
    left = p
    free = np.empty(len(state))
    n = 0
    for j in range(len(state)):
        chosen[j] = state[j] == OPEN
        if chosen[j]:
            total += surplus[j]
            left -= 1
        elif state[j] == FREE and surplus[j] > 0.0:
            free[n] = surplus[j]
            n += 1
    if left <= 0:
        return total, np.inf, 0.0, left
    cut, after = 0.0, 0.0
    if n > left:
        order = np.sort(free[:n])
        cut, after = order[n - left], order[n - left - 1]
    taken = 0
    for j in range(len(state)):  # above the cut first, so that ties never overfill
        if state[j] == FREE and surplus[j] > cut:
            chosen[j] = True
            total += surplus[j]
            taken += 1
    if cut > 0.0:
        for j in range(len(state)):
            if taken == left:
                break
            if state[j] == FREE and surplus[j] == cut:
                chosen[j] = True
                total += surplus[j]
                taken += 1
    return total, cut, after, left


@njit(cache=True)
def _settle(surplus, state, chosen, bound, cut, after, left, goal):
    """Shut or open the sites whose other state cannot reach the goal; return how many."""
    count = 0
    for j in range(len(state)):
        if state[j] != FREE:
            continue
        if left <= 0:
            state[j] = SHUT
            count += 1
        elif chosen[j]:
            if bound - surplus[j] + after < goal:
                state[j] = OPEN
                count += 1
        elif bound - cut + surplus[j] < goal:
            state[j] = SHUT
            count += 1
    return count


@njit(cache=True)
def _lower(
    ptr, site, gain, opening, size, p, worth, state, goal, best, rounds, settle, surplus, chosen, often
):  # fmt: skip
    """Lower the bound of a node, settling sites on the way if asked; return the bound and the rounds taken.

    ``worth`` becomes the best worths found, ``often`` how often each site was chosen of late. Stops
    when the bound falls below ``goal``, the least gain that would still be of use.
    """
    n_i = len(worth)
    centre = -worth  # prices as `direction` and `step` move them: upwards
    low, high = np.full(n_i, -np.inf), np.zeros(n_i)
    trial, slope, mean = centre.copy(), np.empty(n_i), np.zeros(n_i)
    lowest = np.inf
    factor, alpha, bad = 1.0, 0.3, 0
    for k in range(rounds):
        total = _rate(ptr, site, gain, opening, -trial, state, surplus)
        sum_chosen, cut, after, left = _select(surplus, state, p, chosen)
        bound = total + sum_chosen
        if settle:
            _settle(surplus, state, chosen, bound, cut, after, left, goal)
        for i in range(n_i):
            reach = 0.0
            w = -trial[i]
            for q in range(ptr[i], ptr[i + 1]):
                if gain[q] <= w:
                    break
                if chosen[site[q]]:
                    reach += 1.0
            slope[i] = 1.0 - reach
        share = 1.0 if k == 0 else alpha
        for j in range(len(often)):
            often[j] = (1.0 - share) * often[j] + share * chosen[j]
        if k == 0:
            mean[:] = slope
        length, _, _ = direction(slope, mean, trial, low, high, size, alpha)
        if bound < lowest:
            bad = 0 if lowest - bound > 1e-4 * (lowest - best) else bad + 1
            lowest = bound
            centre[:] = trial
            factor = min(factor * 1.1, 2.0)
        else:
            bad += 1
        if bad >= 4:
            factor *= 0.7
            alpha = max(0.9 * alpha, 0.02)
            bad = 0
        if lowest < goal or length <= 1e-18 or factor < 1e-3:
            break
        move = factor * (lowest - best) / length
        step(centre, mean, low, high, size, move, trial)
    worth[:] = -centre
    return lowest, k + 1


@njit(cache=True)
def _gain(ptr, site, gain, opening, chosen):
    """Return what a set of open sites gains."""
    total = 0.0
    for j in range(len(chosen)):
        if chosen[j]:
            total -= opening[j]
    for i in range(len(ptr) - 1):
        for k in range(ptr[i], ptr[i + 1]):
            if chosen[site[k]]:
                total += gain[k]
                break
    return total


def prove(
    ranked: Ranked,
    worth: Floats,
    is_open: Sites,
    *,
    polish: Callable[[Sites], Sites],
    shake: Callable[[Sites], Sites],
    slack: float,
    deadline: float,
    root_rounds: int = 600,
    node_rounds: int = 60,
    most_nodes: int = 20_000,
) -> Proof:
    """Bound the gain of every set of sites, and better the plan where a node happens on one.

    Ctrl-C ends it with the best set and the bound by then.

    Parameters
    ----------
    worth, is_open
        First worths of needs; the best set of sites known.
    polish, shake
        Better a set of sites by exchange; the same after a random change of a few sites.
    slack
        The bound need not come nearer than this to the best gain.
    deadline
        On the monotonic clock; what is proved by then is returned.
    """
    r = ranked
    n_j = len(r.opening)
    surplus, chosen, often = np.zeros(n_j), np.zeros(n_j, bool), np.zeros(n_j)
    best = float(_gain(r.ptr, r.site, r.gain, r.opening, is_open))
    taken = 0
    unit = r.unit
    # The least gain worth looking for: the next whole one, or better than the slack.
    whole = slack < unit
    more = 0.999 * unit if whole else max(slack, 1e-9 * abs(best))

    def lowered(state: States, w: Floats, rounds: int, settle: bool = True) -> float:
        nonlocal taken
        bound, k = _lower(
            r.ptr, r.site, r.gain, r.opening, r.size, r.p, w, state, best + more, best,
            rounds, settle, surplus, chosen, often,
        )  # fmt: skip
        taken += k
        return float(bound)

    def better(sites: Sites) -> float:
        """Return what a set of sites gains, and keep it if it is the best so far."""
        nonlocal best, is_open
        value = float(_gain(r.ptr, r.site, r.gain, r.opening, sites))
        if value > best + 1e-9 * abs(best):
            best, is_open = value, sites.copy()
        return value

    state = np.where(np.isfinite(r.opening), FREE, SHUT).astype(np.int8)
    worth = worth.copy()
    root, root_worth, interrupted = np.inf, worth.copy(), False
    at_hand = np.inf  # what the sets looked at just now gain at most
    heap: list[tuple[float, int, States, Floats, Floats]] = []
    nodes = 1

    def keep(bound: float, state: States, w: Floats) -> None:
        """Keep a node for later while anything is left to choose in it and to be gained."""
        better(chosen)
        if bound >= best + more and (state == FREE).any():
            heapq.heappush(heap, (-bound, nodes, state, w, often.copy()))

    def shaken(most: int, bound: float) -> None:
        """Shake the best plan until ``most`` shakes in a row gave nothing, or it is good enough."""
        calm = 0
        while calm < most and time.monotonic() < deadline and bound >= best + more:
            before = best
            better(shake(is_open))
            calm = calm + 1 if best <= before else 0

    try:
        # The worths of the root prove its bound alone: no site is settled yet.
        root = at_hand = lowered(state, worth, root_rounds, settle=False)
        root_worth = worth.copy()
        # A better plan settles more sites, and those left tell a better one.
        while at_hand >= best + more:
            before = best
            for cut in (0.5, 0.8, 0.3, 0.1):
                first = np.argsort(-often, kind="stable")[: r.p]
                some = np.zeros(n_j, bool)
                some[first] = often[first] > cut
                better(polish(some))
            if best == before:
                break
            at_hand = min(at_hand, lowered(state, worth, node_rounds))
        r = r.without(state == SHUT)
        keep(at_hand, state, worth)
        at_hand = -np.inf
        next_shake = 100
        most_nodes = min(most_nodes, int(5e7 / len(worth)))
        while heap and time.monotonic() < deadline and nodes < most_nodes:
            top, _, state, w, likely = heapq.heappop(heap)
            if -top < best + more:
                heap.clear()  # none of the others bounds more
                break
            at_hand = -top
            if nodes > next_shake:
                shaken(next_shake // 3, -top)
                next_shake *= 2
            doubt = np.where(state == FREE, np.abs(likely - 0.5), np.inf)
            j = int(np.argmin(doubt))
            for side in (OPEN, SHUT):
                child, moved = state.copy(), w.copy()
                child[j] = side
                often[:] = likely
                bound = min(-top, lowered(child, moved, node_rounds))
                nodes += 1
                keep(bound, child, moved)
            at_hand = -np.inf
    except KeyboardInterrupt:
        interrupted = True
    # All that was put aside gains less than ``best + more``.
    rest = max(-heap[0][0] if heap else -np.inf, at_hand)
    bound = min(root, max(best if whole else best + more, rest))
    return Proof(bound, root, root_worth, best, is_open, nodes, taken, interrupted)
