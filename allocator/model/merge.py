"""Needs that are alike in every arc are one need: an exact shrinking before prices are sought."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from allocator.model.relaxation import Relaxation
from allocator.rules import Floats, Ints

__all__ = ["merge_alike"]


@njit(cache=True)
def _mix(a):
    a ^= a >> np.uint64(30)
    a *= np.uint64(0xBF58476D1CE4E5B9)
    a ^= a >> np.uint64(27)
    a *= np.uint64(0x94D049BB133111EB)
    return a ^ (a >> np.uint64(31))


@njit(cache=True)
def _signatures(cell_ptr, row, cost_bits, phi_bits, n_rows):
    """Return two 64-bit sums a need over its entries: equal sums, equal arcs."""
    one = np.zeros(n_rows, np.uint64)
    two = np.zeros(n_rows, np.uint64)
    for c in range(len(cell_ptr) - 1):
        base = _mix(np.uint64(c + 1))
        for e in range(cell_ptr[c], cell_ptr[c + 1]):
            h = _mix(base ^ cost_bits[e]) ^ phi_bits[e]
            one[row[e]] += _mix(h)
            two[row[e]] += _mix(h ^ np.uint64(0x9E3779B97F4A7C15))
    return one, two


def merge_alike(rx: Relaxation) -> tuple[Relaxation, Ints] | None:
    """Return the merged relaxation and the merged row of every need, or None if few are alike.

    Two needs are alike when they have the same entries, at the same costs a person, the same
    accepted share, and the same cost of unmet need, and no shared row tells them apart.
    """
    if rx.shared.x is not None or rx.shared.u is not None:
        return None
    n_b = len(rx.need)
    share = np.round(rx.cap / rx.need[rx.row], 12)
    one, two = _signatures(
        rx.cell_ptr, rx.row, rx.cost.view(np.uint64), (share + 2.0 * rx.pp).view(np.uint64), n_b
    )
    order = np.lexsort((two, one))
    same = (np.diff(one[order]) == 0) & (np.diff(two[order]) == 0)
    same &= np.diff(rx.unmet_cost[order]) == 0
    group = np.empty(n_b, np.int64)
    group[order] = np.concatenate([[0], np.cumsum(~same)])
    n_new = int(group.max()) + 1 if n_b else 0
    if n_new > 0.8 * n_b:
        return None
    _, first = np.unique(group, return_index=True)
    # Rows keep the order of their first member.
    by_first = np.argsort(first, kind="stable")
    rank = np.empty(n_new, np.int64)
    rank[by_first] = np.arange(n_new)
    group, first = rank[group], first[by_first]
    need: Floats = np.asarray(np.bincount(group, rx.need, minlength=n_new), float)
    chosen = np.zeros(n_b, bool)
    chosen[first] = True
    keep = chosen[rx.row]
    cell = np.repeat(np.arange(len(rx.cell_most)), np.diff(rx.cell_ptr))[keep]
    ptr = np.zeros(len(rx.cell_ptr), np.int64)
    np.cumsum(np.bincount(cell, minlength=len(rx.cell_most)), out=ptr[1:])
    row = group[rx.row[keep]]
    small = replace(
        rx, entry_arc=rx.entry_arc[keep], entry_group=rx.entry_group[keep], row=row.astype(np.int32),
        cost=rx.cost[keep], cap=share[keep] * need[row], pp=rx.pp[keep], cell_ptr=ptr, need=need,
        need_key=rx.need_key[first], unmet_cost=rx.unmet_cost[first],
    )  # fmt: skip
    return small, group
