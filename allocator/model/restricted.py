"""The small exact problem: the stints and people that prices leave in doubt, given to HiGHS.

Columns left out are held at zero (or a stint held in place), so a plan found here is a plan of
the whole problem, and never more: its bound is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from allocator.model.relaxation import Relaxation
from allocator.model.rows import stretches
from allocator.rules import Floats, Ints

__all__ = ["Answer", "solve_restricted"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answer:
    """What HiGHS found: value (inf when nothing), y, n, x by entry, extra columns, row prices."""

    value: float
    bound: float
    status: str
    y: Floats
    n: Floats
    entry: Ints
    x: Floats
    v: Floats
    need_price: Floats
    shared_price: Floats
    nodes: int


def solve_restricted(
    rx: Relaxation,
    stints: Mask,
    entries: Ints,
    *,
    relaxed: bool = False,
    fixed: Mask | None = None,
    start_y: Floats | None = None,
    gap: float = 1e-4,
    seconds: float = np.inf,
    threads: int = 1,
    seed: int = 0,
    links: bool = False,
    target: float = -np.inf,
    effort: float = 0.05,
    whole: bool = True,
) -> Answer:
    """Solve with the given stints and entries only; ``fixed`` stints are in place."""
    pr, sh = rx.problem, rx.shared
    n_p, n_f, n_b, n_v = len(rx.stint_cost), len(rx.offer_cost), len(rx.need), len(sh.extra_cost)
    ps = np.flatnonzero(stints)
    fs = np.flatnonzero(stints[pr.offer_stint])
    cell = np.searchsorted(rx.cell_ptr, entries, side="right") - 1
    offered = np.zeros(len(rx.cell_most), bool)
    offer_of = np.repeat(np.arange(n_f), np.diff(rx.ocell_ptr))
    oc_keep = stints[pr.offer_stint][offer_of]
    offered[rx.ocell[oc_keep]] = True
    keep = offered[cell]
    es, cell = entries[keep], cell[keep]
    unmet = (sh.u is not None) or bool(np.any(rx.unmet_cost != 0))
    # columns: y, n, x, u, v
    o_n, o_x = len(ps), len(ps) + len(fs)
    o_u = o_x + len(es)
    o_v = o_u + (n_b if unmet else 0)
    size = o_v + n_v
    pos_p = np.full(n_p, -1)
    pos_p[ps] = np.arange(len(ps))
    pos_f = np.full(n_f, -1)
    pos_f[fs] = o_n + np.arange(len(fs))
    cost = np.concatenate(
        [
            rx.stint_cost[ps],
            rx.offer_cost[fs],
            rx.cost[es],
            rx.unmet_cost if unmet else [],
            sh.extra_cost,
        ]
    )
    low = np.zeros(size)
    high = np.concatenate(
        [np.ones(len(ps)), pr.offer_max[fs], rx.cap[es], rx.need if unmet else [], sh.extra_high]
    )
    low[o_v:] = sh.extra_low
    if fixed is not None:
        low[: len(ps)] = fixed[ps]
    rows: list[Ints] = []
    cols: list[Ints] = []
    vals: list[Floats] = []
    row_low: list[Floats] = []
    row_high: list[Floats] = []
    at = 0

    def add(r: Any, c: Any, v: Any) -> None:
        r, c, v = np.broadcast_arrays(r, c, np.asarray(v, float))
        rows.append(r.ravel())
        cols.append(c.ravel())
        vals.append(v.ravel())

    # balance
    add(np.asarray(rx.row[es], np.int64), o_x + np.arange(len(es)), 1.0)
    if unmet:
        add(np.arange(n_b), o_u + np.arange(n_b), 1.0)
    row_low.append(rx.need if unmet else np.full(n_b, -np.inf))
    row_high.append(rx.need)
    at = n_b
    # capacity of cells
    used = np.unique(cell)
    number = np.full(len(rx.cell_most), -1)
    number[used] = at + np.arange(len(used))
    add(number[cell], o_x + np.arange(len(es)), rx.pp[es])
    here = oc_keep & (number[rx.ocell] >= 0)
    add(number[rx.ocell[here]], pos_f[offer_of[here]], -rx.offer_occ[offer_of[here]])
    row_low.append(np.full(len(used), -np.inf))
    row_high.append(np.zeros(len(used)))
    at += len(used)
    # scale; offers nothing is sent to still have their least size
    stint = pos_p[pr.offer_stint[fs]]
    most = pr.offer_max[fs]
    add(at + np.arange(len(fs)), pos_f[fs], 1.0)
    add(at + np.arange(len(fs)), stint, -most)
    row_low.append(np.full(len(fs), -np.inf))
    row_high.append(np.zeros(len(fs)))
    at += len(fs)
    some = np.flatnonzero(pr.offer_min[fs] > 0)
    add(at + np.arange(len(some)), pos_f[fs[some]], 1.0)
    add(at + np.arange(len(some)), stint[some], -pr.offer_min[fs[some]])
    row_low.append(np.zeros(len(some)))
    row_high.append(np.full(len(some), np.inf))
    at += len(some)
    # paths of stints: unit flow over (site, boundary, option)
    n_t, n_o = len(pr.periods), len(pr.options)
    tail = (pr.stint_site[ps] * (n_t + 1) + pr.stint_first[ps]) * n_o + pr.stint_from[ps]
    head = (pr.stint_site[ps] * (n_t + 1) + pr.stint_last[ps] + 1) * n_o + pr.stint_option[ps]
    last = pr.stint_last[ps] == n_t - 1
    keys, where = np.unique(np.r_[tail, head[~last]], return_inverse=True)
    add(at + where[: len(ps)], np.arange(len(ps)), 1.0)
    add(at + where[len(ps) :], np.flatnonzero(~last), -1.0)
    source = np.zeros(len(keys))
    start = (np.arange(len(pr.sites)) * (n_t + 1)) * n_o + pr.site_start
    there = np.searchsorted(keys, start)
    ok = (there < len(keys)) & (keys[np.minimum(there, len(keys) - 1)] == start)
    source[there[ok]] = 1.0
    row_low.append(source)
    row_high.append(source)
    at += len(keys)
    if links:
        row = at + np.arange(len(es))
        add(row, o_x + np.arange(len(es)), 1.0)
        cell_offer_ptr, order = _by_cell(rx.ocell, offer_of, oc_keep, len(rx.cell_most))
        count = np.diff(cell_offer_ptr)[cell]
        rep, place = stretches(cell_offer_ptr[cell], count)
        offer = order[place]
        add(row[rep], pos_p[pr.offer_stint[offer]], -rx.cap[es][rep])
        row_low.append(np.full(len(es), -np.inf))
        row_high.append(np.zeros(len(es)))
        at += len(es)
    m0 = at
    shared = _shared_part(sh, ps, fs, es, unmet, n_b)
    if shared is not None:
        coo = shared.tocoo()
        add(m0 + coo.row.astype(np.int64), coo.col.astype(np.int64), coo.data)
        row_low.append(sh.low)
        row_high.append(sh.high)
        at += len(sh.low)
    matrix = coo_array(
        (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(at, size)
    ).tocsr()
    integer = np.zeros(size, bool)
    if not relaxed:
        integer[: len(ps)] = True
        if whole:
            integer[o_n:o_x] = pr.offer_module[fs] > 0
    module = pr.offer_module[fs]
    if not relaxed and whole and np.any(module > 0):  # places in whole modules: n = module * count
        unit = np.ones(size)
        unit[o_n:o_x] = np.where(module > 0, module, 1.0)
        matrix = (matrix.multiply(unit[None, :])).tocsr()
        cost, low, high = cost * unit, low / unit, high / unit
    else:
        unit = None
    start_z = None
    if start_y is not None:
        start_z = start_y[ps]
    z, value, bound, status, dual, nodes = _highs(
        cost, low, high, matrix, np.concatenate(row_low), np.concatenate(row_high), integer,
        gap=gap, seconds=seconds, threads=threads, seed=seed, start=start_z,
        target=target, effort=effort,
    )  # fmt: skip
    y, n = np.zeros(n_p), np.zeros(n_f)
    if z is None:
        return Answer(
            np.inf,
            bound,
            status,
            y,
            n,
            es,
            np.zeros(len(es)),
            np.zeros(n_v),
            np.zeros(n_b),
            np.zeros(len(sh.low)),
            nodes,
        )
    if unit is not None:
        z = z * unit
    y[ps], n[fs] = z[:o_n], z[o_n:o_x]
    return Answer(
        value, bound, status, y, n, es, z[o_x:o_u], z[o_v:],
        dual[:n_b], -dual[m0 : m0 + len(sh.low)], nodes,
    )  # fmt: skip


def _by_cell(ocell: Ints, offer: Ints, keep: Mask, n_cells: int) -> tuple[Ints, Ints]:
    """Return (pointers, offers) of each cell."""
    from allocator.model.kernels import group_by

    ptr, order = group_by(ocell[keep], n_cells)
    return ptr, offer[keep][order]


def _shared_part(sh: Any, ps: Ints, fs: Ints, es: Ints, unmet: bool, n_b: int) -> csr_array | None:
    """Return the shared rows over the columns that are kept."""
    from scipy.sparse import hstack

    if not len(sh.low):
        return None
    m = len(sh.low)
    blocks = [sh.y.tocsc()[:, ps], sh.n.tocsc()[:, fs]]
    blocks.append(csr_array((m, len(es))) if sh.x is None else sh.x.tocsc()[:, es])
    if unmet:
        blocks.append(csr_array((m, n_b)) if sh.u is None else sh.u)
    if sh.v is not None:
        blocks.append(sh.v)
    return csr_array(hstack(blocks).tocsr())


def _highs(
    cost: Floats, low: Floats, high: Floats, matrix: csr_array, row_low: Floats, row_high: Floats,
    integer: Mask, *, gap: float, seconds: float, threads: int, seed: int,
    start: Floats | None, target: float,
    effort: float,
) -> tuple[Floats | None, float, float, str, Floats, int]:  # fmt: skip
    """Hand arrays to HiGHS; return (z, value, bound, status, row prices, nodes)."""
    import highspy

    highspy.Highs.resetGlobalScheduler(True)
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = matrix.shape[1], matrix.shape[0]
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, low, high
    model.row_lower_, model.row_upper_ = row_low, row_high
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    if integer.any():
        kinds = np.array([highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger])
        model.integrality_ = kinds[integer.astype(int)].tolist()
    h.setOptionValue("mip_rel_gap", gap)
    h.setOptionValue("threads", threads)
    h.setOptionValue("random_seed", seed)
    if np.isfinite(seconds):
        h.setOptionValue("time_limit", max(seconds, 0.01))
    if integer.any():
        h.setOptionValue("mip_heuristic_effort", effort)
        if np.isfinite(target):
            h.setOptionValue("objective_target", target)
    h.passModel(model)
    if start is not None and integer.any():
        h.setSolution(len(start), np.arange(len(start), dtype=np.int32), start)
    h.run()
    info = h.getInfo()
    status = str(h.getModelStatus()).rsplit(".", 1)[-1]
    bound = info.mip_dual_bound if integer.any() else info.objective_function_value
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if not feasible:
        return None, np.inf, bound, status, np.zeros(matrix.shape[0]), 0
    solution = h.getSolution()
    dual = np.array(solution.row_dual) if not integer.any() else np.zeros(matrix.shape[0])
    nodes = int(info.mip_node_count) if integer.any() else 0
    return np.array(solution.col_value), info.objective_function_value, bound, status, dual, nodes
