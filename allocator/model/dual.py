"""The search for prices: each round the sites answer, and the prices move towards balance.

A volume iteration (Barahona and Anbil 2000, "The volume algorithm: producing primal solutions with
a subgradient method", Mathematical Programming 87): prices move from the best point along an
average of the slopes met so far, and the same average of the answers is nearly a plan.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from allocator.model import kernels
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Mask
from allocator.model.sheet import Risk
from allocator.rules import Floats

__all__ = ["Dual", "DualState", "search"]


class Dual:
    """The Lagrangian of a relaxation: value, slope and the sites' answer at given prices.

    Prices are one vector: a price for each need (B), then one for each shared row (M). Rows are
    ``low <= A z <= high``; a positive price charges use of the row.
    """

    def __init__(self, rx: Relaxation) -> None:
        self.rx = rx
        pr, sh = rx.problem, rx.shared
        self.b, self.m = len(rx.need), len(sh.low)
        self.e, self.p, self.f = len(rx.row), len(rx.stint_cost), len(rx.offer_cost)
        self.low = np.r_[np.full(self.b, -np.inf), np.where(np.isfinite(sh.low), -np.inf, 0.0)]
        self.high = np.r_[rx.unmet_cost, np.where(np.isfinite(sh.high), np.inf, 0.0)]
        self.gy, self.gn = sh.y.T.tocsr(), sh.n.T.tocsr()
        self.gx = None if sh.x is None else sh.x.T.tocsr()
        self.gu = None if sh.u is None else sh.u.T.tocsr()
        self.gv = None if sh.v is None else sh.v.T.tocsr()
        self.y, self.n = np.zeros(self.p), np.zeros(self.f)
        self.u, self.v = np.zeros(self.b), np.zeros(len(sh.extra_cost))
        self.x = np.zeros(self.e if self.gx is not None else 0)
        self.served = np.zeros(self.b)
        self.site_value = np.zeros(len(pr.sites))
        self.stint_value = np.zeros(self.p)
        self.idx = np.zeros(self.e, np.int32)
        self.ratio = np.zeros(self.e)
        self.x_len = np.zeros(len(rx.cell_most), np.int64)
        self.floor = np.zeros(len(rx.cell_most))
        self.cost = rx.cost
        self.stint_cost, self.offer_cost = rx.stint_cost, rx.offer_cost
        if self.gu is not None:  # the price of a need is held below what unmet costs, row prices in
            self.high[: self.b] = np.inf
        self.boxed = np.isfinite(sh.extra_low) & np.isfinite(sh.extra_high)
        self.by_value = None if sh.v is None else sh.v[sh.values :].T.tocsr()[sh.short.column]
        if not sh.has_values:  # what a shortfall costs hangs on no other price
            self._hold_shorts(self.low, self.high, sh.extra_cost[sh.short.column])
        self.calls = 0
        self.barred: Mask | None = None  # (P,) stints that no site may take

    def _hold_shorts(self, low: Floats, high: Floats, dear: Floats) -> None:
        """Hold the prices of rows between limits where a shortfall is cheaper than breaking them."""
        short = self.rx.shared.short
        row, under = self.b + short.row, short.sign > 0
        low[row[under]] = np.maximum(low[row[under]], -dear[under])
        high[row[~under]] = np.minimum(high[row[~under]], dear[~under])

    def within(self, price: Floats) -> None:
        """Move prices, in place, to the nearest that prove anything: those of risk and of shortfalls."""
        sh = self.rx.shared
        if not sh.has_values:
            return
        pi = price[self.b :]
        for risk in sh.risks:
            whole = 1.0 if risk.of < 0 else float(pi[risk.of])
            pi[risk.rows] = _onto(pi[risk.rows], whole, risk.most * whole)
        if self.by_value is not None and len(sh.short.column):
            dear = sh.extra_cost[sh.short.column] + self.by_value @ pi[sh.values :]
            low, high = self.low.copy(), self.high.copy()
            self._hold_shorts(low, high, np.maximum(dear, 0.0))
            np.clip(price, low, high, out=price)

    def capped(self, price: Floats) -> tuple[float, Floats]:
        """Return the bound, no lower, and prices with no need worth more than leaving it unmet costs."""
        price = price.copy()
        self.within(price)
        price[: self.b] = np.minimum(price[: self.b], self.unmet_cost(price))
        return self(price)[0], price

    def unmet_cost(self, price: Floats) -> Floats:
        """Return what leaving each need unmet costs, charges of rows in."""
        cost = self.rx.unmet_cost
        return cost if self.gu is None else cost + self.gu @ price[self.b :]

    def start(self) -> Floats:
        """Return prices to start from: futures weighed by their chance, nothing else priced."""
        price = np.zeros(self.b + self.m)
        for risk in self.rx.shared.risks:
            if risk.of < 0:
                price[self.b + risk.rows] = self.rx.problem.future_weight
        self.within(price)
        return price

    def __call__(self, price: Floats) -> tuple[float, Floats]:
        """Return the bound at these prices, moved to the nearest that prove anything, and the slope of each."""
        rx, pr, sh = self.rx, self.rx.problem, self.rx.shared
        self.calls += 1
        self.within(price)
        lam, pi = price[: self.b], price[self.b :]
        self.stint_cost = rx.stint_cost + self.gy @ pi
        if self.barred is not None:
            self.stint_cost[self.barred] = np.inf
        self.offer_cost = rx.offer_cost + self.gn @ pi
        if self.gx is not None:
            self.cost = rx.cost + self.gx @ pi
        kernels.choose(
            lam, self.cost, rx.row, rx.cap, rx.pp,
            rx.cell_ptr, rx.cell_most, rx.cell_free, self.floor, rx.site_cell,
            rx.site_stint, rx.stint_order, pr.stint_first, pr.stint_last, pr.stint_from,
            pr.stint_option, self.stint_cost,
            rx.offer_ptr, rx.offer_order, self.offer_cost, pr.offer_min, pr.offer_max,
            rx.offer_occ, rx.ocell_ptr, rx.ocell,
            pr.site_start, len(pr.periods), len(pr.options),
            self.idx, self.ratio, self.x_len, self.stint_value, self.y, self.n, self.site_value,
        )  # fmt: skip
        kernels.scatter(
            lam, self.cost, rx.row, rx.cap, rx.cell_ptr, self.idx, self.ratio, self.x_len,
            self.served, self.x, self.gx is not None,
        )  # fmt: skip
        slope = np.empty(self.b + self.m)
        bound = kernels.balance(rx.need, lam, self.unmet_cost(price), self.served, self.u, slope)
        bound += float(self.site_value.sum())
        if self.m:
            use = sh.y @ self.y + sh.n @ self.n
            if sh.x is not None:
                use += sh.x @ self.x
            if sh.u is not None:
                use += sh.u @ self.u
            # A row with both limits is charged at the limit its price points to.
            limit = np.where(pi >= 0, sh.high, sh.low)
            limit = np.where(
                np.isfinite(limit), limit, np.where(np.isfinite(sh.high), sh.high, sh.low)
            )
            limit[~np.isfinite(limit)] = 0.0
            if self.gv is not None and sh.v is not None:
                reduced = sh.extra_cost + self.gv @ pi
                self.v = np.where(
                    self.boxed, np.where(reduced < 0, sh.extra_high, sh.extra_low), 0.0
                )
                bound += float(reduced[self.boxed] @ self.v[self.boxed])
                use += sh.v @ self.v
                if sh.has_values:  # what is lacked counts in the rows of objectives
                    at, row = sh.short.column, sh.short.row
                    lack = np.maximum(sh.short.sign * (limit[row] - use[row]), 0.0)
                    lack[reduced[at] > 1e-9 * (1.0 + np.abs(pi[row]))] = 0.0
                    self.v[at] = lack
                    use += sh.v[:, at] @ lack
            bound -= float(pi @ limit)
            slope[self.b :] = use - limit
            both = np.isfinite(sh.low) & np.isfinite(sh.high) & (sh.low < sh.high) & (pi == 0)
            if both.any():
                inside = np.clip(use, sh.low, sh.high)
                slope[self.b :][both] = (use - inside)[both]
            for risk in sh.risks:  # their sum is given: what all have in common is the level
                whole = 1.0 if risk.of < 0 else float(pi[risk.of])
                share = pi[risk.rows] / whole if whole > 0 else pr.future_weight
                level = float(share @ slope[self.b + risk.rows])
                slope[self.b + risk.rows] -= level
                if risk.of >= 0:
                    slope[self.b + risk.of] += level
        return bound, slope


def _onto(v: Floats, whole: float, most: Floats) -> Floats:
    """Return the values nearest to ``v`` from 0 to ``most`` that add up to ``whole``."""
    if whole <= 0.0:
        return np.zeros(len(v))
    turns = np.sort(np.r_[v, v - most])
    total = np.clip(v - turns[:, None], 0.0, most).sum(1)
    out = np.clip(v - np.interp(-whole, -total, turns), 0.0, most)
    return np.asarray(out * (whole / max(float(out.sum()), 1e-300)))


@dataclass
class DualState:
    """What the search has found so far: ``bound`` is what the prices prove, ``branched`` the tree.

    ``clocked``: the clock ended the search; ``interrupted``: Ctrl-C did; ``stuck``: no way led up from the start.
    """

    price: Floats
    bound: float
    mean: Floats
    y_mean: Floats
    rounds: int
    history: list[tuple[float, float]]
    branched: float = -np.inf
    nodes: int = 0
    clocked: bool = False
    interrupted: bool = False
    stuck: bool = False


def scales(dual: Dual) -> Floats:
    """Return how fast each price may move: one over (use a person, squared, times persons).

    A need of D persons gets 1 / D. A row of use R at ``a`` units a person stands for R / a persons
    and gets 1 / (a R): its price then moves as far, in worth a person, as those of needs.
    """
    rx, sh = dual.rx, dual.rx.shared
    scale = np.ones(dual.b + dual.m)
    scale[: dual.b] = 1.0 / np.maximum(rx.need, 1e-9)
    if not dual.m:
        return scale
    offers = np.minimum(rx.problem.offer_max * rx.offer_occ, _reach(rx))
    size = np.bincount(rx.problem.offer_stint, offers, minlength=dual.p)
    size = np.maximum(size, 1.0)
    per, parts = np.zeros(dual.m), np.zeros(dual.m)
    for a, weight in ((sh.n, None), (sh.y, 1.0 / size), (sh.x, None), (sh.u, None), (sh.v, None)):
        if a is None or not a.nnz:
            continue
        b = abs(a)
        count = np.diff(b.indptr)
        total = b.sum(axis=1) if weight is None else b @ weight
        per += np.where(count > 0, total / np.maximum(count, 1), 0.0)
        parts += total if weight is None else b.sum(axis=1)
    low = np.where(np.isfinite(sh.low), np.abs(sh.low), 0.0)
    high = np.where(np.isfinite(sh.high), np.abs(sh.high), 0.0)
    use = np.maximum(low, high)
    use = np.where(use > 0, use, np.maximum(per, 1e-9) * np.median(rx.need))
    scale[dual.b :] = 3.0 / np.maximum(per * use, 1e-12)
    for risk in sh.risks:
        scale[dual.b + risk.rows] = _scale_of_risk(dual, risk)
    return scale


def _scale_of_risk(dual: Dual, risk: Risk) -> float:
    """Three times the persons of a future over what it may cost, squared: as of any other row."""
    rx, sh = dual.rx, dual.rx.shared
    people, cost = float(rx.need.sum()) / len(risk.rows), 0.0
    if sh.u is not None:
        cost += float((abs(sh.u[risk.rows]) @ rx.need).mean())
    if sh.x is not None:
        reach = max(float(rx.cap.sum()) / max(float(rx.need.sum()), 1e-9), 1.0)
        cost += float((abs(sh.x[risk.rows]) @ rx.cap).mean()) / reach
    if sh.v is not None and len(sh.short.column):
        most = np.where(np.isfinite(sh.low), np.abs(sh.low), 0.0)[sh.short.row]
        cost += float((abs(sh.v[risk.rows][:, sh.short.column]) @ most).mean())
    return 3.0 * people / max(cost, 1e-9) ** 2


def _worth(dual: Dual, price: Floats, bound: float) -> float:
    """Return what is at stake at these prices: a bound near zero is no measure of it."""
    return max(abs(bound), 0.3 * float(np.abs(price[: dual.b]) @ dual.rx.need), 1e-6)


def _reach(rx: Relaxation) -> Floats:
    """Return the most places each offer could ever see used in one period."""
    n_f = len(rx.offer_cost)
    cell = np.repeat(np.arange(len(rx.cell_most)), np.diff(rx.cell_ptr))
    total = np.bincount(cell, rx.cap * rx.pp, minlength=len(rx.cell_most))
    out = np.zeros(n_f)
    np.maximum.at(out, np.repeat(np.arange(n_f), np.diff(rx.ocell_ptr)), total[rx.ocell])
    return out


def search(
    dual: Dual,
    start: Floats,
    *,
    target: float = np.inf,
    rounds: int = 500,
    seconds: float = np.inf,
    gap: float = 0.0,
    scale: Floats | None = None,
    stall: float = 2e-5,
    warm: bool = False,
    ambition: float = 0.05,
    every: int = 50,
    trace: bool = False,
) -> DualState:
    """Raise the bound from a start; stop at a gap to the target, when it stalls or at a limit.

    ``ambition``: how far above the best bound the search aims, as a share of what is at stake;
    ``every``: rounds between looks at whether it stalls.
    """
    t0 = time.monotonic()
    scale = scales(dual) if scale is None else scale
    centre = np.clip(start, dual.low, dual.high)
    bound, slope = dual(centre)
    best = bound
    mean = slope.copy()
    y_mean = dual.y.copy()
    trial = np.empty_like(centre)
    factor, alpha_max = 0.1, 0.1
    goal = best + ambition * _worth(dual, centre, best)
    bad = 0
    history = [(0.0, best)]
    clocked = stuck = False
    last_check = best
    done = 1
    length, _, alpha = kernels.direction(slope, mean, centre, dual.low, dual.high, scale, alpha_max)
    for k in range(1, rounds + 1):
        done = k
        goal = min(goal, target)
        size = factor * max(goal - best, 1e-9 * abs(best)) / max(length, 1e-30)
        kernels.step(centre, mean, dual.low, dual.high, scale, size, trial)
        bound, slope = dual(trial)
        length, dot, alpha = kernels.direction(
            slope, mean, trial, dual.low, dual.high, scale, alpha_max
        )
        y_mean = alpha * dual.y + (1 - alpha) * y_mean
        if bound > best:
            centre, trial = trial, centre
            gain = bound - best
            best = bound
            bad = 0
            if dot > 0 and gain > 0:
                factor = min(factor * 1.1, 2.0)
            worth = _worth(dual, centre, best)
            if goal - best < 0.5 * ambition * worth and goal < target:
                goal = best + ambition * worth
        else:
            bad += 1
            if bad >= 5:
                factor = max(factor * 0.66, 1e-6)
                bad = 0
        if k == every and best <= history[0][1]:  # another start is wanted
            stuck = True
            break
        if k % every == 0:
            if best - last_check < 1e-3 * abs(best) and alpha_max > 1e-4:
                alpha_max *= 0.5
            if trace:
                print(k, round(time.monotonic() - t0, 2), best, factor, alpha_max, length)
            history.append((time.monotonic() - t0, best))
            if alpha_max < 0.05 and best - last_check < stall * abs(best):
                break
            last_check = best
        if target - best <= gap * abs(target):
            break
        if time.monotonic() - t0 > seconds:
            clocked = True
            break
    return DualState(centre, best, mean, y_mean, done, history, clocked=clocked, stuck=stuck)
