"""Exchange of sites where places are never short: covering, median and uncapacitated location.

One period, one option a site, places without limit or price: a plan is a set of open sites, and a
need goes to the cheapest open one. Sets are built from prices and by greed, and bettered by
exchanging one open site for a closed one (Resende and Werneck 2007, "A fast swap-based local
search procedure for location problems"); prices bound them from below.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from allocator.model.branch import Proof, Ranked, prove
from allocator.model.dual import Dual, DualState, search
from allocator.model.kernels import group_by
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer
from allocator.plan import relative_gap
from allocator.rules import Floats, Ints

__all__ = ["Exchange", "fits", "solve_exchange"]


def fits(rx: Relaxation) -> bool:
    """Whether only the choice of sites matters: free places, one period, at most a site count."""
    pr = rx.problem
    if len(pr.periods) > 1 or len(pr.futures) > 1 or len(rx.shared.low) > 1:
        return False
    if not rx.cell_free.all() or np.any(pr.offer_min > 0) or rx.shared.v is not None:
        return False
    if rx.shared.x is not None or rx.shared.u is not None or rx.shared.n.nnz:
        return False
    if rx.shared.has_values:
        return False
    offering = np.bincount(pr.offer_stint, minlength=len(rx.stint_cost))
    per_site = np.bincount(pr.stint_site, offering > 0, minlength=len(pr.sites))
    idle = np.bincount(pr.stint_site, offering == 0, minlength=len(pr.sites))
    if per_site.max(initial=0) > 1 or idle.min(initial=1) < 1 or offering.max(initial=0) > 1:
        return False
    if np.any(rx.stint_cost[offering == 0] != 0):
        return False
    if len(rx.shared.low):
        y = rx.shared.y.tocoo()
        ones = np.all(y.data == 1.0) and np.array_equal(np.sort(y.col), np.flatnonzero(offering))
        return bool(ones and rx.shared.low[0] <= 0)
    return True


@njit(cache=True)
def _closest(area_ptr, by_area, site_of, gain, cap, is_open, first, second, first_site):
    """For every need find its best and second best gain among open sites, and the best site."""
    for i in range(len(area_ptr) - 1):
        b1 = b2 = 0.0
        s1 = -1
        for k in range(area_ptr[i], area_ptr[i + 1]):
            e = by_area[k]
            if is_open[site_of[e]]:
                v = gain[e]
                if v > b1:
                    b2 = b1
                    b1 = v
                    s1 = site_of[e]
                elif v > b2:
                    b2 = v
        first[i], second[i], first_site[i] = b1, b2, s1


@njit(cache=True)
def _greedy(site_ptr, row, gain, opening, is_open, best, p):
    """Open the site that adds most until p are open or none adds; lazy evaluation."""
    n = len(site_ptr) - 1
    value = np.empty(n)
    for k in range(n):
        value[k] = -np.inf if is_open[k] else np.inf
    count = 0
    for k in range(n):
        count += is_open[k]
    while count < p:
        while True:
            j = np.argmax(value)
            old = value[j]
            if not np.isfinite(old) and old < 0:
                return count
            s = -opening[j]
            for e in range(site_ptr[j], site_ptr[j + 1]):
                d = gain[e] - best[row[e]]
                if d > 0:
                    s += d
            value[j] = s
            top = -np.inf
            if old == np.inf:
                # first pass: rate every site once
                for q in range(n):
                    if value[q] == np.inf:
                        s2 = -opening[q]
                        for e in range(site_ptr[q], site_ptr[q + 1]):
                            d = gain[e] - best[row[e]]
                            if d > 0:
                                s2 += d
                        value[q] = s2
                continue
            for q in range(n):
                if q != j and value[q] > top:
                    top = value[q]
            if s >= top - 1e-12:
                break
        if s <= 0.0:
            return count
        is_open[j] = True
        value[j] = -np.inf
        count += 1
        for e in range(site_ptr[j], site_ptr[j + 1]):
            if gain[e] > best[row[e]]:
                best[row[e]] = gain[e]
    return count


@njit(cache=True)
def _swap(
    site_ptr, row, gain, opening, is_open, area_ptr, by_area, site_of, first, second, first_site, p, order, limit
):  # fmt: skip
    """Take the best exchange, opening or closing for each candidate in turn until none helps."""
    n = len(site_ptr) - 1
    loss = np.zeros(n)
    for i in range(len(first)):
        if first_site[i] >= 0:
            loss[first_site[i]] += first[i] - second[i]
    extra = np.zeros(n)
    touched = np.empty(n, np.int64)
    count = 0
    for j in range(n):
        count += is_open[j]
    moves = 0
    calm = 0
    at = 0
    while calm < n and moves < limit:
        j = order[at]
        at = (at + 1) % n
        calm += 1
        if is_open[j]:
            if opening[j] > loss[j] + 1e-9:  # closing pays
                is_open[j] = False
                count -= 1
                _shut(
                    j,
                    site_ptr,
                    row,
                    gain,
                    is_open,
                    area_ptr,
                    by_area,
                    site_of,
                    first,
                    second,
                    first_site,
                    loss,
                )
                moves += 1
                calm = 0
            continue
        win = -opening[j]
        m = 0
        for e in range(site_ptr[j], site_ptr[j + 1]):
            i = row[e]
            v = gain[e]
            if v > second[i]:
                s = first_site[i]
                if v > first[i]:
                    win += v - first[i]
                if s >= 0:
                    # if s closes, this need falls to j rather than to its second
                    d = min(v, first[i]) - second[i]
                    if extra[s] == 0.0:
                        touched[m] = s
                        m += 1
                    extra[s] += d
        best = 0.0
        out = -2
        if count < p:
            best, out = win, -1
        for q in range(n):
            if is_open[q]:
                d = win + opening[q] - loss[q] + extra[q]
                if d > best:
                    best = d
                    out = q
        for k in range(m):
            extra[touched[k]] = 0.0
        if out > -2 and best > 1e-9:
            if out >= 0:
                is_open[out] = False
                _shut(
                    out,
                    site_ptr,
                    row,
                    gain,
                    is_open,
                    area_ptr,
                    by_area,
                    site_of,
                    first,
                    second,
                    first_site,
                    loss,
                )
            else:
                count += 1
            is_open[j] = True
            for e in range(site_ptr[j], site_ptr[j + 1]):
                i = row[e]
                v = gain[e]
                if v > first[i]:
                    s = first_site[i]
                    if s >= 0:
                        loss[s] -= first[i] - second[i]
                    second[i] = first[i]
                    first[i] = v
                    first_site[i] = j
                    loss[j] += first[i] - second[i]
                elif v > second[i]:
                    s = first_site[i]
                    loss[s] -= v - second[i]
                    second[i] = v
            moves += 1
            calm = 0
    return moves


@njit(cache=True)
def _shut(
    j, site_ptr, row, gain, is_open, area_ptr, by_area, site_of, first, second, first_site, loss
):
    """Give the needs of a site that closes to their next best."""
    for e in range(site_ptr[j], site_ptr[j + 1]):
        i = row[e]
        if first_site[i] == j or (gain[e] >= second[i] and gain[e] > 0):
            s = first_site[i]
            if s >= 0:
                loss[s] -= first[i] - second[i]
            b1 = b2 = 0.0
            s1 = -1
            for k in range(area_ptr[i], area_ptr[i + 1]):
                f = by_area[k]
                if is_open[site_of[f]]:
                    v = gain[f]
                    if v > b1:
                        b2 = b1
                        b1 = v
                        s1 = site_of[f]
                    elif v > b2:
                        b2 = v
            first[i], second[i], first_site[i] = b1, b2, s1
            if s1 >= 0:
                loss[s1] += b1 - b2
    loss[j] = 0.0


@dataclass
class Exchange:
    """Arrays of one uncapacitated problem: gain of an entry over leaving its need unmet."""

    rx: Relaxation
    site_ptr: Ints
    site_of: npt.NDArray[np.int32]
    gain: Floats
    opening: Floats
    p: int
    area_ptr: Ints
    by_area: npt.NDArray[np.int32]
    stint: Ints

    @classmethod
    def of(cls, rx: Relaxation) -> Exchange:
        """Lay out the arrays by site and by need."""
        pr = rx.problem
        n_j = len(pr.sites)
        site_ptr = rx.cell_ptr[rx.site_cell]
        site_of = np.repeat(np.arange(n_j, dtype=np.int32), np.diff(site_ptr))
        gain = (rx.unmet_cost[rx.row] - rx.cost) * rx.cap
        stint = np.full(n_j, -1)
        stint[pr.stint_site[pr.offer_stint]] = pr.offer_stint
        opening = np.where(stint >= 0, rx.stint_cost[stint], np.inf)
        p = int(min(rx.shared.high[0], n_j)) if len(rx.shared.low) else n_j
        area_ptr, by_area = group_by(rx.row, len(rx.need))
        return cls(
            rx, site_ptr, site_of, gain, opening, p, area_ptr, by_area.astype(np.int32), stint
        )

    def value(self, is_open: np.ndarray, first: Floats) -> float:
        """Return the objective of a set of open sites."""
        total = float(self.rx.unmet_cost @ self.rx.need)
        return total - float(first.sum()) + float(self.opening[is_open].sum())

    def better(self, is_open: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
        """Fill up a set of sites by greed, then exchange until nothing helps."""
        is_open = is_open.copy()
        n = len(self.rx.need)
        first, second, site = np.zeros(n), np.zeros(n), np.full(n, -1, np.int64)
        args = (self.area_ptr, self.by_area, self.site_of, self.gain, self.rx.cap)
        _closest(*args, is_open, first, second, site)
        _greedy(self.site_ptr, self.rx.row, self.gain, self.opening, is_open, first.copy(), self.p)
        _closest(*args, is_open, first, second, site)
        order = rng.permutation(len(is_open))
        _swap(
            self.site_ptr, self.rx.row, self.gain, self.opening, is_open, self.area_ptr,
            self.by_area, self.site_of, first, second, site, self.p, order, 100000,
        )  # fmt: skip
        _closest(*args, is_open, first, second, site)
        return self.value(is_open, first), is_open

    def shaken(self, is_open: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a set of sites with a twentieth shut and half as many opened, at random."""
        out = is_open.copy()
        here = np.flatnonzero(is_open)
        count = min(len(here), max(3, len(here) // 20))
        out[rng.choice(here, count, replace=False)] = False
        there = np.flatnonzero(~out & np.isfinite(self.opening))
        out[rng.choice(there, min(len(there), count // 2), replace=False)] = True
        return out

    def closest(self, is_open: np.ndarray) -> tuple[Floats, Floats, Ints]:
        """Return the best and second best gain of every need among open sites, and the best site."""
        n = len(self.rx.need)
        first, second, site = np.zeros(n), np.zeros(n), np.full(n, -1, np.int64)
        args = (self.area_ptr, self.by_area, self.site_of, self.gain, self.rx.cap)
        _closest(*args, is_open, first, second, site)
        return first, second, site

    def ranked(self) -> Ranked:
        """Return the gains of every need, greatest first, without those that are none."""
        row = np.repeat(np.arange(len(self.rx.need)), np.diff(self.area_ptr))
        gain = self.gain[self.by_area]
        order = np.lexsort((-gain, row))
        order = order[gain[order] > 0]
        ptr = np.searchsorted(row[order], np.arange(len(self.rx.need) + 1))
        return Ranked(
            ptr, self.site_of[self.by_area[order]], gain[order], self.opening, self.rx.need, self.p
        )

    def first_prices(self, dual: Dual, is_open: np.ndarray) -> Floats:
        """Return prices near a set of sites: a need it serves is worth half to any other site."""
        first, second, _ = self.closest(is_open)
        return self.prices_of(dual, 0.5 * (first + second))

    def prices_of(self, dual: Dual, worth: Floats) -> Floats:
        """Return the prices that say the same as a worth of each need over leaving it unmet."""
        rx = self.rx
        n = len(rx.need)
        price = np.zeros(dual.b + dual.m)
        price[:n] = rx.unmet_cost - worth / rx.need
        if dual.m:
            dual(price)
            surplus = np.sort(-dual.site_value)[::-1]
            price[n] = max(surplus[min(self.p, len(surplus)) - 1], 0.0)
        return price

    def answer(self, is_open: np.ndarray) -> Answer:
        """Return the plan of a set of open sites."""
        rx, pr = self.rx, self.rx.problem
        first, _, site = self.closest(is_open)
        y = np.zeros(len(rx.stint_cost))
        y[self.stint[is_open]] = 1.0
        offering = np.bincount(pr.offer_stint, minlength=len(y)) > 0
        idle = np.flatnonzero(~offering)
        free = idle[np.unique(pr.stint_site[idle], return_index=True)[1]]
        y[free[~is_open[pr.stint_site[free]]]] = 1.0
        entry = _entries_used(self.area_ptr, self.by_area, self.site_of, site)
        x = rx.cap[entry]
        use = np.bincount(self.site_of[entry], x * rx.pp[entry], minlength=len(is_open))
        places = np.zeros(len(rx.offer_cost))
        site_of_offer = pr.stint_site[pr.offer_stint]
        needed = use[site_of_offer] / rx.offer_occ
        places[:] = np.where(is_open[site_of_offer], np.minimum(needed, pr.offer_max), 0.0)
        return Answer(
            self.value(is_open, first), -np.inf, "exchange", y, places, entry, x, np.zeros(0),
        )  # fmt: skip


@njit(cache=True)
def _entries_used(area_ptr, by_area, site_of, site):
    out = np.empty(len(site), np.int64)
    m = 0
    for i in range(len(site)):
        if site[i] < 0:
            continue
        for k in range(area_ptr[i], area_ptr[i + 1]):
            if site_of[by_area[k]] == site[i]:
                out[m] = by_area[k]
                m += 1
                break
    return out[:m]


def solve_exchange(
    rx: Relaxation,
    dual: Dual,
    start: Floats,
    *,
    gap: float,
    deadline: float,
    seed: int,
    trace: bool = False,
) -> tuple[DualState, npt.NDArray[np.bool_]]:
    """Find a set of sites and bound it: by branching, or in turn with prices until the gap is met.

    Branching wants whole needs: everybody goes to one site. Where only a share of a need would go
    to a site, prices and exchange alternate. Ctrl-C ends it with the best set and the bound by then.
    """
    ex = Exchange.of(rx)
    rng = np.random.default_rng(seed)
    t0 = time.monotonic()
    value, chosen = ex.better(np.zeros(len(rx.problem.sites), bool), rng)
    if trace:
        print("greedy and exchange", value, round(time.monotonic() - t0, 2))
    try:
        if np.array_equal(rx.cap, rx.need[rx.row]):
            state, chosen = _branch(ex, dual, start, chosen, gap, deadline, rng)
        else:
            state, chosen = _alternate(ex, dual, start, value, chosen, gap, deadline, rng, trace)
    except KeyboardInterrupt:  # before anything better was found or proved
        price = np.clip(start, dual.low, dual.high)
        bound, slope = dual(price)
        state = DualState(price, bound, slope, dual.y.copy(), 1, [], interrupted=True)
    if trace:
        print("bound", state.bound, state.branched, round(time.monotonic() - t0, 2))
    return state, chosen


def _branch(
    ex: Exchange, dual: Dual, start: Floats, chosen: np.ndarray, gap: float, deadline: float,
    rng: np.random.Generator,
) -> tuple[DualState, np.ndarray]:  # fmt: skip
    """Bound by worths of needs, then by branching; the worths of the root become prices."""
    rx = ex.rx
    n = len(rx.need)
    if np.any(start):
        worth = np.maximum(rx.unmet_cost - start[:n], 0.0) * rx.need
    else:
        first, second, _ = ex.closest(chosen)
        worth = 0.5 * (first + second)
    all_unmet = float(rx.unmet_cost @ rx.need)
    first, _, _ = ex.closest(chosen)
    proof = prove(
        ex.ranked(), worth, chosen, polish=lambda sites: ex.better(sites, rng)[1],
        shake=lambda sites: ex.better(ex.shaken(sites, rng), rng)[1],
        slack=0.98 * gap * abs(ex.value(chosen, first)), deadline=deadline,
    )  # fmt: skip
    try:
        state = _proved(ex, dual, proof, all_unmet)
    except KeyboardInterrupt:
        state = replace(_proved(ex, dual, proof, all_unmet), interrupted=True)
    return state, proof.is_open


def _proved(ex: Exchange, dual: Dual, proof: Proof, all_unmet: float) -> DualState:
    """Return the worths of the root as prices, and what branching proved beyond them."""
    price = ex.prices_of(dual, proof.worth)
    bound, slope = dual(price)
    return DualState(
        price, bound, slope, dual.y.copy(), proof.rounds, [], all_unmet - proof.bound, proof.nodes,
        interrupted=proof.interrupted,
    )  # fmt: skip


def _alternate(
    ex: Exchange, dual: Dual, start: Floats, value: float, chosen: np.ndarray, gap: float,
    deadline: float, rng: np.random.Generator, trace: bool,
) -> tuple[DualState, np.ndarray]:  # fmt: skip
    """Alternate price search and exchange until the gap is met."""
    price = start if np.any(start) else ex.first_prices(dual, chosen)
    state: DualState | None = None
    try:
        for lap in range(8):
            state = search(
                dual, price, rounds=300, seconds=max(deadline - time.monotonic(), 0.01),
                target=value, gap=gap, stall=gap * 0.01, trace=trace, warm=lap > 0,
            )  # fmt: skip
            price = state.price
            if relative_gap(value, state.bound) <= gap or time.monotonic() > deadline:
                break
            likely = state.y_mean[ex.stint]
            before = value
            for cut in (0.5, 0.8, 0.3):
                keep = likely > cut
                if keep.sum() > ex.p:
                    keep = np.zeros(len(keep), bool)
                    keep[np.argsort(-likely, kind="stable")[: ex.p]] = True
                v, o = ex.better(keep, rng)
                if v < value:
                    value, chosen = v, o
                if time.monotonic() > deadline:
                    break
            if trace:
                print("lap", lap, "bound", state.bound, "value", value)
            if relative_gap(value, state.bound) <= gap:
                break
            if value >= before and lap > 1 and state.rounds < 300:
                break
    except KeyboardInterrupt:
        if state is None:
            raise
        state = replace(state, interrupted=True)
    assert state is not None
    return state, chosen
