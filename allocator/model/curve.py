"""Coverage for every number of sites at once: a plan and a proven bound at each count.

The plan opens sites by greed (each the one that adds most people), so the sets are nested. The
bound is Lagrangian: with a worth ``w_i <= D_i`` put on covering area ``i``, no ``p`` sites cover
more than ``sum (D_i - w_i)`` plus the ``p`` greatest sums of ``w`` in reach of a site. One worth
vector bounds every count; a few, each tuned at one count, bound the whole curve.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from allocator.model.kernels import group_by
from allocator.rules import Floats, Ints

__all__ = ["Curve", "bound_curve", "coverage_curve"]


@dataclass(frozen=True, eq=False)
class Curve:
    """People covered and bound for 1, 2, ... sites; ``order`` the sites as they open.

    ``worths`` (m, I) are the worth vectors that prove the bound (see `bound_curve`).
    """

    covered: Floats
    bound: Floats
    order: Ints
    worths: Floats

    @property
    def gaps(self) -> Floats:
        """Relative gap at every count."""
        safe = np.where(self.covered > 0, self.covered, 1.0)
        return np.where(self.covered > 0, np.abs(self.bound - self.covered) / safe, 0.0)


@njit(cache=True)
def _greedy_order(site_ptr, site_area, area_ptr, area_site, demand):
    """Open sites one by one, each the one that adds most; gains are kept exact throughout."""
    n = len(site_ptr) - 1
    gain = np.zeros(n)
    for j in range(n):
        for k in range(site_ptr[j], site_ptr[j + 1]):
            gain[j] += demand[site_area[k]]
    heap = [(-gain[j], j) for j in range(n)]
    heapq.heapify(heap)
    done = np.zeros(len(demand), np.bool_)
    is_open = np.zeros(n, np.bool_)
    order = np.empty(n, np.int64)
    covered = np.empty(n)
    total = 0.0
    for m in range(n):
        while True:
            v, j = heapq.heappop(heap)
            if -v == gain[j]:
                break
            heapq.heappush(heap, (-gain[j], j))
        is_open[j] = True
        order[m] = j
        total += gain[j]
        covered[m] = total
        if gain[j] > 0.0:
            for k in range(site_ptr[j], site_ptr[j + 1]):
                i = site_area[k]
                if not done[i]:
                    done[i] = True
                    for q in range(area_ptr[i], area_ptr[i + 1]):
                        gain[area_site[q]] -= demand[i]
        gain[j] = 0.0
    return order, covered


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
    seconds: float = np.inf,
    points: int = 9,
    rounds: int = 45,
    trace: bool = False,
) -> Curve:
    """Return covered people and a proven bound for every number of sites.

    Parameters
    ----------
    area, site
        (A,) pairs in reach.
    demand
        (I,) people of each area.
    seconds, points, rounds
        Limit of wall time; number of counts at which worths are tuned; rounds at each.
    """
    t0 = time.monotonic()
    demand = np.asarray(demand, float)
    site_ptr, order = group_by(np.asarray(site, np.int64), n_sites)
    site_area = np.asarray(area)[order].astype(np.int32)
    area_ptr, order = group_by(np.asarray(area, np.int64), len(demand))
    area_site = np.asarray(site)[order].astype(np.int32)
    del order
    opened, covered = _greedy_order(site_ptr, site_area, area_ptr, area_site, demand)
    del area_ptr, area_site
    total = covered[-1]
    if trace:
        print("greedy", round(time.monotonic() - t0, 2))
    bound = np.minimum(bound_curve(site_ptr, site_area, demand, demand), total)
    worths = [demand]
    # Counts at which greed covers given shares: where the curve bends is where bounds are hard.
    shares = 1.0 - np.geomspace(0.75, 0.004, points)
    counts = np.unique(np.searchsorted(covered, shares * total) + 1)
    counts = counts[(counts >= 1) & (counts <= n_sites)]
    worth = demand * 0.7
    for number, p in enumerate(counts):
        left = seconds - (time.monotonic() - t0)
        if left <= 0:
            break
        until = time.monotonic() + left / (len(counts) - number)
        goal = float(covered[p - 1])
        worth, best = _tune(site_ptr, site_area, demand, worth, int(p), goal, rounds, until)
        worths.append(worth)
        bound = np.minimum(bound, bound_curve(site_ptr, site_area, demand, worth))
        if trace:
            print(
                "count",
                p,
                "covered",
                goal,
                "bound",
                best,
                round(best / goal - 1, 4),
                round(time.monotonic() - t0, 1),
            )
    return Curve(covered, np.maximum(np.minimum(bound, total), covered), opened, np.array(worths))


def _tune(
    site_ptr: Ints,
    site_area: Ints,
    demand: Floats,
    start: Floats,
    p: int,
    goal: float,
    rounds: int,
    until: float,
) -> tuple[Floats, float]:
    """Lower the bound at one count by a volume iteration; return the worths and the bound."""
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
        size = factor * max(best - goal, 1e-4 * goal) / max(_length(centre, mean, demand), 1e-9)
        _move(centre, mean, demand, size, trial)
    return centre, best
