"""Coverage for every number of sites at once: a plan and a proven bound at each count.

Greed (each site the one that adds most people) gives nested plans at every count. At some counts in the
hard range the plan is then improved: each site in turn is taken out and the best one put in its place, until
no such exchange gains. From these plans sites are added and dropped by greed to the counts between.

The bound is Lagrangian: with a worth ``w_i <= D_i`` put on covering area ``i``, no ``p`` sites cover
more than ``sum (D_i - w_i)`` plus the ``p`` greatest sums of ``w`` in reach of a site. One worth
vector bounds every count; a few, each tuned at one count, bound the whole curve.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from allocator.model.kernels import group_by
from allocator.rules import Floats, Ints

__all__ = ["Curve", "bound_curve", "coverage_curve"]

_NEAR = 0.02
"""Counts nearer by ratio than this to one worked on are not worked on themselves."""


@dataclass(frozen=True, eq=False)
class Curve:
    """People covered and bound for 1, 2, ... sites.

    ``plans`` hold the sites of each count: ``plan`` (N,) says which of them a count takes.
    ``worths`` (m, I) are the worth vectors that prove the bound (see `bound_curve`).
    """

    covered: Floats
    bound: Floats
    plan: Ints
    plans: tuple[Ints, ...]
    worths: Floats

    def sites(self, count: int) -> Ints:
        """Return the sites of the plan with so many."""
        made: Ints = self.plans[self.plan[count - 1]]
        return made[:count]

    @property
    def gaps(self) -> Floats:
        """Relative gap at every count."""
        safe = np.where(self.covered > 0, self.covered, 1.0)
        return np.where(self.covered > 0, np.abs(self.bound - self.covered) / safe, 0.0)


@njit(cache=True, nogil=True)
def _add(j, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss):
    """Open a site: areas it is the first to cover leave the gains of others, and of the second its loss."""
    lost = 0.0
    for k in range(site_ptr[j], site_ptr[j + 1]):
        i = site_area[k]
        if count[i] == 0:
            lost += demand[i]
            for q in range(area_ptr[i], area_ptr[i + 1]):
                gain[area_site[q]] -= demand[i]
        elif count[i] == 1:
            loss[owner[i]] -= demand[i]
        count[i] += 1
        owner[i] += j
    loss[j] = lost


@njit(cache=True, nogil=True)
def _drop(j, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss):
    """Close a site; return the site of the greatest gain among those that gained by it."""
    best, most = -1, 0.0
    for k in range(site_ptr[j], site_ptr[j + 1]):
        i = site_area[k]
        count[i] -= 1
        owner[i] -= j
        if count[i] == 0:
            for q in range(area_ptr[i], area_ptr[i + 1]):
                other = area_site[q]
                gain[other] += demand[i]
                if gain[other] > most:
                    best, most = other, gain[other]
        elif count[i] == 1:
            loss[owner[i]] += demand[i]
    loss[j] = 0.0
    return best


@njit(cache=True, nogil=True)
def _top(heap, gain, is_open):
    """Return the closed site of the greatest gain, -1 where none is; the heap holds no gain too low."""
    while len(heap):
        v, j = heap[0]
        if is_open[j]:
            heapq.heappop(heap)
        elif -v == gain[j]:
            return j
        else:
            heapq.heapreplace(heap, (-gain[j], j))
    return -1


@njit(cache=True, nogil=True)
def _exchange(
    turn, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss, is_open
):
    """Take each open site out and put the best one in its place; return how much was gained."""
    heap = [(-gain[j], j) for j in range(len(gain)) if not is_open[j]]
    if len(heap) == 0:
        return 0.0
    heapq.heapify(heap)
    told = np.full(len(gain), -1)  # the site whose leaving a rise in gain was last told of
    won = 0.0
    for j in turn:
        if not is_open[j]:
            continue
        near = _drop(j, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss)
        is_open[j] = False
        new = j
        if near >= 0 and gain[near] > gain[new] + 1e-9:
            new = near
        far = _top(heap, gain, is_open)
        if far >= 0 and gain[far] > gain[new] + 1e-9:
            new = far
        won += gain[new] - gain[j]
        if new != j:  # gains that rose are no longer what the heap holds at most
            for k in range(site_ptr[j], site_ptr[j + 1]):
                i = site_area[k]
                if count[i] == 0:
                    for q in range(area_ptr[i], area_ptr[i + 1]):
                        other = area_site[q]
                        if told[other] != j:
                            told[other] = j
                            heapq.heappush(heap, (-gain[other], np.int64(other)))  # type: ignore[misc]
        _add(new, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss)
        is_open[new] = True
    return won


@njit(cache=True, nogil=True)
def _grow(
    many, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss, is_open
):
    """Open so many more sites, each the one that adds most; return them and what each adds."""
    heap = [(-gain[j], j) for j in range(len(gain)) if not is_open[j]]
    heapq.heapify(heap)
    order, added = np.empty(many, np.int64), np.empty(many)
    for m in range(many):
        j = _top(heap, gain, is_open)
        order[m], added[m] = j, gain[j]
        _add(j, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss)
        is_open[j] = True
    return order, added


@njit(cache=True, nogil=True)
def _shrink(
    many, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss, is_open
):
    """Close so many sites, each the one that is missed least; return them and what each loses."""
    heap = [(loss[j], j) for j in range(len(gain)) if is_open[j]]
    heapq.heapify(heap)
    order, lost = np.empty(many, np.int64), np.empty(many)
    for m in range(many):
        while True:  # losses only rise as sites close, so what the heap holds is at most the loss
            v, j = heap[0]
            if v == loss[j]:
                break
            heapq.heapreplace(heap, (loss[j], j))
        heapq.heappop(heap)
        order[m], lost[m] = j, loss[j]
        _drop(j, site_ptr, site_area, area_ptr, area_site, demand, count, owner, gain, loss)
        is_open[j] = False
    return order, lost


@njit(cache=True, parallel=True)
def _site_sums(site_ptr, site_area, worth, out):
    for j in prange(len(out)):
        s = 0.0
        for k in range(site_ptr[j], site_ptr[j + 1]):
            s += worth[site_area[k]]
        out[j] = s


@njit(cache=True)
def _counts(site_ptr, site_area, chosen, mean, alpha):
    """Blend the number of chosen sites that reach each area into its running mean."""
    for i in range(len(mean)):
        mean[i] *= 1.0 - alpha
    for j in chosen:
        for k in range(site_ptr[j], site_ptr[j + 1]):
            mean[site_area[k]] += alpha


@njit(cache=True)
def _move(centre, mean, demand, size, out):
    """Raise the worth of areas reached too seldom, lower it where reached twice."""
    for i in range(len(centre)):
        v = centre[i] + size * demand[i] * (1.0 - mean[i])
        out[i] = min(max(v, 0.0), demand[i])


@njit(cache=True)
def _length(centre, mean, demand):
    total = 0.0
    for i in range(len(mean)):
        g = 1.0 - mean[i]
        if (g > 0.0 and centre[i] >= demand[i]) or (g < 0.0 and centre[i] <= 0.0):
            continue
        total += demand[i] * g * g
    return total


def bound_curve(site_ptr: Ints, site_area: Ints, demand: Floats, worth: Floats) -> Floats:
    """Return the bound that one worth vector proves at every count of sites."""
    sums = np.zeros(len(site_ptr) - 1)
    _site_sums(site_ptr, site_area, worth, sums)
    return float((demand - worth).sum()) + np.cumsum(-np.sort(-sums))


def coverage_curve(
    area: Ints,
    site: Ints,
    demand: Floats,
    n_sites: int,
    *,
    gap: float = 0.005,
    seconds: float = np.inf,
    points: int = 40,
    rounds: int = 100,
    passes: int = 12,
    seed: int = 0,
    trace: bool = False,
) -> Curve:
    """Return covered people and a proven bound for every number of sites.

    Always where the gap is widest, the plan is improved and worths are tuned; both help the counts around.

    Parameters
    ----------
    area, site
        (A,) pairs in reach.
    demand
        (I,) people of each area.
    gap
        Relative gap at which a count is good enough.
    seconds, points, rounds, passes
        Limit of wall time; number of counts worked on; rounds of tuning and passes of exchange at each.
    """
    t0 = time.monotonic()
    demand = np.asarray(demand, float)
    site_ptr, order = group_by(np.asarray(site, np.int64), n_sites)
    site_area = np.asarray(area)[order].astype(np.int32)
    area_ptr, order = group_by(np.asarray(area, np.int64), len(demand))
    area_site = np.asarray(site)[order].astype(np.int32)
    del order
    pairs = (site_ptr, site_area, area_ptr, area_site, demand)
    opened, added = _grow(n_sites, *pairs, *_state(pairs, np.zeros(0, np.int64)))
    covered = np.cumsum(added)
    total = covered[-1]
    bound = np.minimum(bound_curve(site_ptr, site_area, demand, demand), total)
    plans, plan = [opened], np.zeros(n_sites, np.int64)
    worths, tuned_at = [demand], [0]
    untried = np.ones(n_sites, bool)
    counts = np.arange(1, n_sites + 1)
    rng = np.random.default_rng(seed)
    for _ in range(points):
        wide = np.where(untried, bound - (1.0 + gap) * covered, -np.inf) / covered
        p = int(np.argmax(wide)) + 1
        left = seconds - (time.monotonic() - t0)
        if wide[p - 1] <= 0.0 or left <= 0.0:
            break
        untried &= np.abs(np.log(counts / p)) > _NEAR
        until = time.monotonic() + 0.3 * left
        made, first, values = _around(pairs, plans[plan[p - 1]][:p], covered, passes, rng, until)
        here = slice(first - 1, first - 1 + len(values))
        plan[here][values > covered[here]] = len(plans)
        covered[here] = np.maximum(covered[here], values)
        plans.append(made)
        nearest = int(np.argmin(np.abs(np.log((np.array(tuned_at) + 1e-9) / p))))
        start = worths[nearest] if nearest else 0.7 * demand
        goal = float(covered[p - 1])
        worth, best = _tune(
            site_ptr, site_area, demand, start, p, goal, total, rounds, t0 + seconds
        )
        worths.append(worth)
        tuned_at.append(p)
        bound = np.minimum(bound, bound_curve(site_ptr, site_area, demand, worth))
        if trace:
            gaps = bound / covered - 1
            print(
                "count", p, "covered", goal, "bound", best, round(best / goal - 1, 4), "worst",
                round(gaps.max(), 4), int((gaps > 0.02).sum()), round(time.monotonic() - t0, 1),
            )  # fmt: skip
    bound = np.maximum(np.minimum(bound, total), covered)
    return Curve(covered, bound, plan, tuple(plans), np.array(worths))


def _state(pairs: tuple[Any, ...], sites: Ints) -> tuple[Any, ...]:
    """Return (sites that cover each area, sum of their numbers, gains, losses, who is open) with sites open."""
    site_ptr, site_area, _, _, demand = pairs
    n = len(site_ptr) - 1
    gain, is_open = np.zeros(n), np.zeros(n, np.bool_)
    _site_sums(site_ptr, site_area, demand, gain)
    state = (np.zeros(len(demand), np.int32), np.zeros(len(demand), np.int64), gain, np.zeros(n))
    for j in sites:
        _add(j, *pairs, *state)  # type: ignore[call-arg]
    is_open[sites] = True
    return *state, is_open


def _around(
    pairs: tuple[Any, ...], sites: Ints, covered: Floats, passes: int, rng: np.random.Generator,
    until: float,
) -> tuple[Ints, int, Floats]:  # fmt: skip
    """Improve a plan and carry it to fewer and to more sites, as long as that betters what is known.

    Returns the sites in order, the first count they serve, and people covered from that count on. Each end
    is a count where what is known is as good, so that more sites never cover fewer.
    """
    demand, n, p = pairs[-1], len(covered), len(sites)
    state = _state(pairs, sites)
    count, is_open = state[0], state[-1]
    for _ in range(passes):
        turn = rng.permutation(np.flatnonzero(is_open))
        won = _exchange(turn, *pairs, *state)  # type: ignore[call-arg]
        if won <= 1e-6 * covered[p - 1] or time.monotonic() > until:
            break
    here = float(demand[count > 0].sum())
    fewer = tuple(a.copy() for a in state)
    gone, down = [np.zeros(0, np.int64)], [np.array([here])]
    at, step = p, 64
    while at > 1 and (at == p or down[-1][-1] > covered[at - 1]):
        order, lost = _shrink(min(step, at - 1), *pairs, *fewer)  # type: ignore[call-arg]
        gone.append(order)
        down.append(down[-1][-1] - np.cumsum(lost))
        at, step = at - len(order), 2 * step
    first = at
    new, up = [np.zeros(0, np.int64)], [np.array([here])]
    at, step = p, 64
    while at < n and (at == p or up[-1][-1] > covered[at - 1]):
        order, added = _grow(min(step, n - at), *pairs, *state)  # type: ignore[call-arg]
        new.append(order)
        up.append(up[-1][-1] + np.cumsum(added))
        at, step = at + len(order), 2 * step
    made = np.concatenate(
        [np.flatnonzero(fewer[-1]), np.concatenate(gone)[::-1], np.concatenate(new)]
    )
    return made, first, np.concatenate([np.concatenate(down)[::-1], *up[1:]])


def _tune(
    site_ptr: Ints,
    site_area: Ints,
    demand: Floats,
    start: Floats,
    p: int,
    goal: float,
    total: float,
    rounds: int,
    until: float,
) -> tuple[Floats, float]:
    """Lower the bound at one count by a volume iteration; return the worths and the bound.

    Given up half-way where it is not below the total, which bounds every count.
    """
    n = len(site_ptr) - 1
    sums, trial = np.zeros(n), start.copy()
    centre, best = start.copy(), np.inf
    mean = np.zeros(len(demand))
    factor, bad, alpha = 0.5, 0, 1.0
    for k in range(rounds):
        _site_sums(site_ptr, site_area, trial, sums)
        chosen = np.argpartition(-sums, p - 1)[:p] if p < n else np.arange(n)
        value = float((demand - trial).sum() + sums[chosen].sum())
        _counts(site_ptr, site_area, np.sort(chosen), mean, alpha)
        alpha = 0.15 if k < 2 * rounds // 3 else 0.08
        if value < best:
            best = value
            centre[:] = trial
            factor = min(factor * 1.15, 2.0)
            bad = 0
        else:
            bad += 1
            if bad >= 3:
                factor *= 0.6
                bad = 0
        if time.monotonic() > until or best - goal <= 1e-3 * goal:
            break
        if k == rounds // 2 and best >= total:
            break
        size = factor * max(best - goal, 1e-4 * goal) / max(_length(centre, mean, demand), 1e-9)
        _move(centre, mean, demand, size, trial)
    return centre, best
