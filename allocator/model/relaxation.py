"""A `Problem` seen from its sites: what each site decides alone, and the rows that it shares.

The linear form is ``min c z`` over ``z = (y stints, n places, x people served, u unmet, v extra)``.
Local to a site are its path of stints, the size limits and the capacity of its places. Shared, and
given prices, are the balance of every need and every other rule, as sparse rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from allocator.model.kernels import group_by
from allocator.model.shared import SharedRows, shared_rows
from allocator.problem import Problem
from allocator.rules import Floats, Ints

__all__ = ["Relaxation", "relax"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Relaxation:
    """Flat arrays for the compiled loops.

    Entries are (arc, group, period, future) with positive need, sorted by cell; a cell is
    (site, class, period, future).
    """

    entry_arc: Ints
    entry_group: npt.NDArray[np.int16]
    row: npt.NDArray[np.int32]  # (E,) balance row
    cost: Floats
    cap: Floats
    pp: Floats
    cell_ptr: Ints
    cell_most: Floats
    cell_free: npt.NDArray[np.bool_]
    cell_period: Ints
    cell_future: Ints
    cell_site: Ints
    cell_class: Ints
    site_cell: Ints
    need: Floats  # (B,)
    need_key: Ints  # (B,) flat position in Problem.need
    unmet_cost: Floats
    site_stint: Ints
    stint_order: Ints
    stint_cost: Floats
    offer_ptr: Ints
    offer_order: Ints
    offer_cost: Floats
    offer_occ: Floats
    ocell_ptr: Ints
    ocell: Ints
    shared: SharedRows
    problem: Problem
    notes: tuple[str, ...] = ()
    scratch: dict[str, Any] = field(default_factory=dict)


def relax(problem: Problem, objective: int = 0) -> Relaxation:
    """Return the compact form of a problem for one of its objectives."""
    pr = problem
    obj = pr.objectives[objective]
    sh = pr.shape
    n_i, n_s, n_g, n_t, n_w = pr.need.shape
    n_c, n_j = sh["c"], sh["j"]

    need_flat = pr.need.ravel()
    need_key = np.flatnonzero(need_flat > 0)
    row_of = np.full(need_flat.size, -1, np.int32)
    row_of[need_key] = np.arange(len(need_key), dtype=np.int32)

    # Cells with at least one offer, numbered by (site, class, period, future).
    offers = _offer_cells(pr)
    used_cell, ocell_ptr, ocell = offers
    cell_number = np.full(n_j * n_c * n_t * n_w, -1, np.int64)
    cell_number[used_cell] = np.arange(len(used_cell))
    rest, cell_future = np.divmod(used_cell, n_w)
    rest, cell_period = np.divmod(rest, n_t)
    cell_site, cell_class = np.divmod(rest, n_c)
    site_cell = np.searchsorted(cell_site, np.arange(n_j + 1))

    entry = _entries(pr, used_cell, row_of)
    entry_arc, entry_group, cell_ptr, row, cap = entry
    cell_of = np.repeat(np.arange(len(used_cell)), np.diff(cell_ptr))
    years = np.ones(n_t) if obj.period_weight is None else obj.period_weight
    chance = (
        pr.future_weight if obj.risk == "expected" else np.zeros(n_w)
    )  # else its rows weigh them
    weight = (years[:, None] * chance[None, :])[cell_period, cell_future]
    cost = np.zeros(len(row))
    if obj.person is not None:
        per = obj.person
        group = entry_group if per.shape[1] > 1 else np.zeros_like(entry_group)
        cost = per[entry_arc, group] * weight[cell_of]
    pp = pr.places_per_person[pr.arc_class[entry_arc], entry_group]

    unmet_cost = np.zeros(len(need_key))
    if obj.unmet is not None:
        full = np.broadcast_to(np.asarray(obj.unmet, float), (n_i, n_s, n_g))
        at = np.unravel_index(need_key, pr.need.shape)
        unmet_cost = full[at[0], at[1], at[2]] * years[at[3]] * chance[at[4]]

    n_p, n_f = sh["p"], sh["f"]
    key = pr.stint_site * (n_t + 1) + (n_t - pr.stint_first)
    stint_order = np.lexsort((np.arange(n_p), key))
    site_stint = np.searchsorted(pr.stint_site[stint_order], np.arange(n_j + 1))
    offer_ptr, offer_order = group_by(pr.offer_stint.astype(np.int64), n_p)
    offer_cost = np.zeros(n_f) if obj.place is None else obj.place.astype(float)
    offer_occ = pr.occupancy_max[pr.offer_class]

    # Places of an offer bounded by what could ever be used: a tighter, still valid, relaxation.
    total = np.bincount(cell_of, cap * pp, minlength=len(used_cell))
    offer_of = np.repeat(np.arange(n_f), np.diff(ocell_ptr))
    cell_most = np.zeros(len(used_cell))
    np.maximum.at(cell_most, ocell, (pr.offer_max * offer_occ)[offer_of])
    shared = shared_rows(
        pr,
        obj,
        entry_arc,
        entry_group,
        cell_of,
        cell_period,
        cell_future,
        row_of,
        len(row),
        len(need_key),
    )
    places_shared = np.zeros(n_f, bool)
    if shared.n.nnz:
        places_shared[np.unique(shared.n.indices)] = True
    wide = pr.offer_max * offer_occ
    reach = np.zeros(n_f)
    np.maximum.at(reach, offer_of, total[ocell])
    free_offer = (offer_cost == 0) & ~places_shared & (wide >= reach - 1e-9)
    cell_free = np.ones(len(used_cell), bool)
    np.logical_and.at(cell_free, ocell, free_offer[offer_of])
    for _ in range(2):  # an offer is free in all its cells or in none
        all_free = np.ones(n_f, bool)
        np.logical_and.at(all_free, offer_of, cell_free[ocell])
        np.logical_and.at(cell_free, ocell, all_free[offer_of])
    stint_cost = np.zeros(n_p) if obj.stint is None else obj.stint.astype(float)
    return Relaxation(
        entry_arc=entry_arc, entry_group=entry_group, row=row, cost=cost, cap=cap, pp=pp,
        cell_ptr=cell_ptr, cell_most=cell_most, cell_free=cell_free, cell_period=cell_period,
        cell_future=cell_future, cell_site=cell_site, cell_class=cell_class, site_cell=site_cell,
        need=need_flat[need_key], need_key=need_key, unmet_cost=unmet_cost,
        site_stint=site_stint, stint_order=stint_order, stint_cost=stint_cost,
        offer_ptr=offer_ptr, offer_order=offer_order, offer_cost=offer_cost, offer_occ=offer_occ,
        ocell_ptr=ocell_ptr, ocell=ocell, shared=shared, problem=pr,
    )  # fmt: skip


def _offer_cells(pr: Problem) -> tuple[Ints, Ints, Ints]:
    """Return the cells that any offer serves and, for each offer, its cells over its periods."""
    n_c, n_t, n_w = len(pr.classes), len(pr.periods), len(pr.futures)
    first = pr.stint_first[pr.offer_stint]
    length = (pr.stint_last[pr.offer_stint] - first + 1) * n_w
    ptr = np.zeros(len(first) + 1, np.int64)
    np.cumsum(length, out=ptr[1:])
    offer = np.repeat(np.arange(len(first)), length)
    within = np.arange(ptr[-1]) - ptr[offer]
    base = (pr.stint_site[pr.offer_stint] * n_c + pr.offer_class) * n_t + first
    cell = base[offer] * n_w + within
    used, number = np.unique(cell, return_inverse=True)
    return used, ptr, number.astype(np.int64)


def _entries(pr: Problem, used_cell: Ints, row_of: npt.NDArray[np.int32]) -> tuple[Any, ...]:
    """Return the entries of every used cell: arc, group, cell pointers, balance row, cap."""
    _, n_s, n_g, n_t, n_w = pr.need.shape
    n_c = len(pr.classes)
    arc_ptr, arc_order = group_by(pr.arc_site * n_c + pr.arc_class, len(pr.sites) * n_c)
    rest, w = np.divmod(used_cell, n_w)
    block, t = np.divmod(rest, n_t)
    count = (arc_ptr[block + 1] - arc_ptr[block]) * n_g
    ptr = np.zeros(len(used_cell) + 1, np.int64)
    np.cumsum(count, out=ptr[1:])
    cell = np.repeat(np.arange(len(used_cell), dtype=np.int32), count)
    within = np.arange(ptr[-1]) - ptr[cell]
    if n_g > 1:
        within, group = np.divmod(within, n_g)
    else:
        group = np.zeros(len(within), np.int64)
    arc = arc_order[arc_ptr[block[cell]] + within]
    service = pr.class_service[pr.arc_class[arc]]
    flat = (((pr.arc_area[arc] * n_s + service) * n_g + group) * n_t + t[cell]) * n_w + w[cell]
    row = row_of[flat]
    phi = pr.acceptance[arc, group if pr.acceptance.shape[1] > 1 else np.zeros_like(group)]
    cap = np.where(row >= 0, phi * pr.need.ravel()[flat], 0.0)
    keep = cap > 0
    if not keep.all():
        arc, group, row, cap, cell = arc[keep], group[keep], row[keep], cap[keep], cell[keep]
        np.cumsum(np.bincount(cell, minlength=len(used_cell)), out=ptr[1:])
    return arc, group.astype(np.int16), ptr, row.astype(np.int32), cap
