"""From prices to a plan: restricted exact problems, each wider than the last."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from allocator.model.dual import Dual, DualState
from allocator.model.limits import Limits
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer, Mask, solve_restricted
from allocator.plan import relative_gap
from allocator.rules import Floats, Ints

__all__ = ["Candidates", "candidates", "complete_from", "improve"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """How near each entry is to being of use at given prices, and how sure each stint is."""

    lack: Floats  # (E,) what the entry lacks, a person; <= 0: of use
    order: Ints  # entries with least lack first, as far as they may ever be wanted
    certain: int  # how many of ``order`` are of use
    y_mean: Floats


def candidates(rx: Relaxation, dual: Dual, state: DualState, most: int) -> Candidates:
    """Rate every entry at the best prices found."""
    dual(state.price)
    lam = state.price[: dual.b]
    n_cells = len(rx.cell_most)
    offer_of = np.repeat(np.arange(len(rx.offer_cost)), np.diff(rx.ocell_ptr))
    periods = np.maximum(np.diff(rx.ocell_ptr), 1)
    floor = np.full(n_cells, np.inf)
    np.minimum.at(floor, rx.ocell, (dual.offer_cost / periods / rx.offer_occ)[offer_of])
    floor = np.maximum(np.maximum(floor, 0.0), np.where(rx.cell_free, 0.0, dual.floor / 0.97))
    lack = np.repeat(floor, np.diff(rx.cell_ptr)) * rx.pp - (lam[rx.row] - dual.cost)
    chance = np.zeros(n_cells)
    np.maximum.at(chance, rx.ocell, state.y_mean[rx.problem.offer_stint][offer_of])
    # An entry of a cell that is hardly ever chosen waits until wider rounds.
    lack = lack + np.repeat(np.where(chance > 0.02, 0.0, 1e6), np.diff(rx.cell_ptr))
    certain = int(np.count_nonzero(lack <= 0))
    take = min(len(lack), certain + most)
    order = np.argpartition(lack, take - 1)[:take] if take < len(lack) else np.arange(len(lack))
    order = order[np.argsort(lack[order], kind="stable")]
    return Candidates(lack, order, certain, state.y_mean)


def improve(
    rx: Relaxation,
    dual: Dual,
    state: DualState,
    *,
    gap: float,
    limits: Limits,
    threads: int,
    seed: int,
    best: Answer | None = None,
    steps: int = 5,
    trace: bool = False,
) -> Answer | None:
    """Solve wider and wider restricted problems, so many at most, until the gap to the bound is met."""
    pr = rx.problem
    n_b = len(rx.need)
    found = candidates(rx, dual, state, 24 * n_b)
    y = state.y_mean
    target = state.bound + 0.98 * gap * abs(state.bound)
    plans = [(0.3, 0.7, 3), (0.2, 0.8, 6), (0.1, 0.9, 10), (0.03, 0.97, 16), (0.005, 2.0, 24)]
    if len(pr.periods) > 1:  # equal paths share their weight: sure stints look unsure
        plans = [(0.1, 0.97, 6), (0.04, 0.98, 12), (0.01, 2.0, 24)]
    if best is not None and relative_gap(best.value, state.bound) <= gap:
        return best
    at = 0
    while at < min(len(plans), steps):
        cut, sure, width = plans[at]
        if best is not None and limits.over():
            break
        kept = None
        entries = np.sort(found.order[: found.certain + width * n_b])
        if (
            best is not None and rx.shared.has_values
        ):  # few plans keep what is held: that at hand does
            kept, entries = best.y > 0.5, np.union1d(entries, best.entry)
        stints, fixed = _pick(rx, y, cut, sure, kept)
        t0 = time.monotonic()
        part = max(0.4 * limits.left, min(limits.left, 10.0), 1.0)
        answer = solve_restricted(
            rx, stints, entries, fixed=fixed, start_y=None if best is None else best.y,
            gap=min(gap * 0.2, 1e-3), limits=limits, seconds=part, threads=threads, seed=seed,
            target=target,
        )  # fmt: skip
        if trace:
            print("restricted", cut, width, int(stints.sum()), len(entries), answer.status,
                  answer.value, answer.bound, round(time.monotonic() - t0, 2))  # fmt: skip
        if best is None or answer.value < best.value:
            best = answer if np.isfinite(answer.value) else best
        if best is not None and best.value <= target:
            break
        at += 1
    return best


def _pick(
    rx: Relaxation, y: Floats, cut: float, sure: float, kept: Mask | None = None
) -> tuple[Mask, Mask]:
    """Return the stints left in play, those of a plan ``kept`` among them, and those held in place."""
    pr = rx.problem
    fixed = y > sure if kept is None else (y > sure) & kept
    if len(pr.periods) > 1:  # a path is fixed only where all of it is sure
        share = np.zeros(len(pr.sites))
        np.add.at(share, pr.stint_site[fixed], (pr.stint_last - pr.stint_first + 1)[fixed])
        whole = share >= len(pr.periods)
        fixed &= whole[pr.stint_site]
    settled = np.zeros(len(pr.sites), bool)
    settled[pr.stint_site[fixed]] = True
    stints = (y > cut) & (~settled[pr.stint_site] | fixed)
    # Every site keeps a way through: the stints of no offer, and its most likely path.
    idle = np.bincount(pr.offer_stint, minlength=len(y)) == 0
    stints |= idle & ~settled[pr.stint_site]
    if len(pr.periods) > 1:
        stints |= likely_paths(rx, y)
    if kept is not None:
        stints |= kept
    return stints, fixed & stints


def likely_paths(rx: Relaxation, weight: Floats) -> Mask:
    """Return, for each site, the path of stints with the greatest mean weight."""
    pr = rx.problem
    n_t, n_o = len(pr.periods), len(pr.options)
    on = np.zeros(len(weight), bool)
    for j in range(len(pr.sites)):
        mine = rx.stint_order[rx.site_stint[j] : rx.site_stint[j + 1]]
        best = np.full((n_t + 1, n_o), -np.inf)
        best[n_t] = 0.0
        pick = np.full((n_t + 1, n_o), -1)
        for p in mine:
            length = pr.stint_last[p] + 1 - pr.stint_first[p]
            value = weight[p] * length + best[pr.stint_last[p] + 1, pr.stint_option[p]]
            if value > best[pr.stint_first[p], pr.stint_from[p]]:
                best[pr.stint_first[p], pr.stint_from[p]] = value
                pick[pr.stint_first[p], pr.stint_from[p]] = p
        t, o = 0, pr.site_start[j]
        while t < n_t and pick[t, o] >= 0:
            p = pick[t, o]
            on[p] = True
            t, o = pr.stint_last[p] + 1, pr.stint_option[p]
    return on


def complete_from(rx: Relaxation, answer: Answer) -> Answer:
    """Return the answer with whole stints, and people within needs and places to the last bit."""
    pr = rx.problem
    y = np.round(answer.y)
    held = y[pr.offer_stint] > 0.5
    n = np.where(held, np.clip(answer.n, pr.offer_min, pr.offer_max), 0.0)
    module = pr.offer_module
    whole = (module > 0) & held
    n[whole] = np.round(n[whole] / module[whole]) * module[whole]
    x = np.clip(answer.x, 0.0, rx.cap[answer.entry])
    cell = np.searchsorted(rx.cell_ptr, answer.entry, side="right") - 1
    offer_of = np.repeat(np.arange(len(n)), np.diff(rx.ocell_ptr))
    room = np.bincount(rx.ocell, (n * rx.offer_occ)[offer_of], minlength=len(rx.cell_most))
    use = np.bincount(cell, x * rx.pp[answer.entry], minlength=len(room))
    x *= np.minimum(1.0, room / np.maximum(use, 1e-300))[cell]
    row = rx.row[answer.entry]
    total = np.bincount(row, x, minlength=len(rx.need))
    x *= np.minimum(1.0, rx.need / np.maximum(total, 1e-300))[row]
    x[x < 1e-9] = 0.0
    return replace(answer, y=y, n=n, x=x)
