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

from allocator.model.highs import Linear, model_of, quiet, run_heard
from allocator.model.limits import Limits
from allocator.model.relaxation import Relaxation
from allocator.model.rows import stretches
from allocator.rules import Floats, Ints

__all__ = ["INTERRUPTED", "Answer", "Mask", "Restricted", "restrict", "solve_restricted"]

Mask = npt.NDArray[np.bool_]
INTERRUPTED = "kInterrupt"
"""Status of an answer that Ctrl-C left the best so far, in the solver's own words."""
_MOST_LINKS = 50_000
"""Links of people to what is in doubt up to which they are written out: they say far more than capacities."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What HiGHS found: value (inf when nothing), y, n, x by entry, extra columns."""

    value: float
    bound: float
    status: str
    y: Floats
    n: Floats
    entry: Ints
    x: Floats
    v: Floats


@dataclass(frozen=True, eq=False)
class Restricted:
    """The small problem as rows and columns: y and n of all stints and offers, x of some entries, u, v.

    Rows in order: a need each, a cell each (``cell_row``, -1 where none), links, sizes, paths, and
    from ``shared_row`` on the shared rows.
    """

    linear: Linear
    cost: Floats
    entry: Ints
    n: int
    x: int
    u: int
    v: int
    cell_row: Ints
    shared_row: int


def restrict(
    rx: Relaxation, stints: Mask, entries: Ints, *, fixed: Mask | None = None, whole: bool = False,
    links: bool = False,
) -> Restricted:  # fmt: skip
    """Return the problem with the given stints and entries only; ``fixed`` stints are in place.

    ``whole``: places that come in units are counted in units, so that their columns are whole.
    ``links``: people are held to stints one by one where it is in doubt whether anything is in place,
    and such people are not too many.
    """
    pr, sh = rx.problem, rx.shared
    n_p, n_f, n_b, n_v = len(rx.stint_cost), len(rx.offer_cost), len(rx.need), len(sh.extra_cost)
    ps = np.flatnonzero(stints)
    fs = np.flatnonzero(stints[pr.offer_stint])
    cell = np.searchsorted(rx.cell_ptr, entries, side="right") - 1
    offered = np.zeros(len(rx.cell_most), bool)
    offer_of = np.repeat(np.arange(n_f), np.diff(rx.ocell_ptr))
    kept = stints[pr.offer_stint][offer_of]
    offered[rx.ocell[kept]] = True
    es, cell = entries[offered[cell]], cell[offered[cell]]
    unmet = (sh.u is not None) or bool(np.any(rx.unmet_cost != 0))
    o_n, o_x = n_p, n_p + n_f
    o_u = o_x + len(es)
    o_v = o_u + (n_b if unmet else 0)
    size = o_v + n_v
    cost = np.r_[
        rx.stint_cost, rx.offer_cost, rx.cost[es], rx.unmet_cost if unmet else [], sh.extra_cost
    ]
    low = np.zeros(size)
    most = np.where(stints[pr.offer_stint], pr.offer_max, 0.0)
    high = np.r_[stints.astype(float), most, rx.cap[es], rx.need if unmet else [], sh.extra_high]
    low[o_v:] = sh.extra_low
    if fixed is not None:
        low[:n_p] = fixed & stints
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
    here = kept & (number[rx.ocell] >= 0)
    add(number[rx.ocell[here]], o_n + offer_of[here], -rx.offer_occ[offer_of[here]])
    row_low.append(np.full(len(used), -np.inf))
    row_high.append(np.zeros(len(used)))
    at += len(used)
    # links, person by person where it is in doubt whether anything is in place
    sure = np.full(len(rx.cell_most), not links)
    if links and fixed is not None:
        sure[rx.ocell[kept & fixed[pr.offer_stint][offer_of]]] = True
    doubt = np.flatnonzero(~sure[cell])
    if 0 < len(doubt) <= _MOST_LINKS:
        add(at + np.arange(len(doubt)), o_x + doubt, 1.0)
        offering = np.flatnonzero(kept & ~sure[rx.ocell])
        begin = np.searchsorted(cell[doubt], rx.ocell[offering], side="left")
        length = np.searchsorted(cell[doubt], rx.ocell[offering], side="right") - begin
        which, link = stretches(begin, length)
        add(at + link, pr.offer_stint[offer_of[offering[which]]], -rx.cap[es[doubt[link]]])
        row_low.append(np.full(len(doubt), -np.inf))
        row_high.append(np.zeros(len(doubt)))
        at += len(doubt)
    # scale; offers nothing is sent to still have their least size
    stint = pr.offer_stint[fs]
    add(at + np.arange(len(fs)), o_n + fs, 1.0)
    add(at + np.arange(len(fs)), stint, -pr.offer_max[fs])
    row_low.append(np.full(len(fs), -np.inf))
    row_high.append(np.zeros(len(fs)))
    at += len(fs)
    some = np.flatnonzero(pr.offer_min[fs] > 0)
    add(at + np.arange(len(some)), o_n + fs[some], 1.0)
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
    add(at + where[: len(ps)], ps, 1.0)
    add(at + where[len(ps) :], ps[~last], -1.0)
    source = np.zeros(len(keys))
    start = (np.arange(len(pr.sites)) * (n_t + 1)) * n_o + pr.site_start
    there = np.searchsorted(keys, start)
    ok = (there < len(keys)) & (keys[np.minimum(there, len(keys) - 1)] == start)
    source[there[ok]] = 1.0
    row_low.append(source)
    row_high.append(source)
    at += len(keys)
    shared_row = at
    shared = _shared_part(sh, es, unmet, n_b)
    if shared is not None:
        coo = shared.tocoo()
        add(at + coo.row.astype(np.int64), coo.col.astype(np.int64), coo.data)
        row_low.append(sh.low)
        row_high.append(sh.high)
        at += len(sh.low)
    matrix = csr_array(
        coo_array(
            (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(at, size)
        )
    )
    integer = np.zeros(size, bool)
    integer[:n_p] = True
    if whole:  # places in whole modules: n = module * count
        integer[o_n:o_x] = pr.offer_module > 0
        unit = np.ones(size)
        unit[o_n:o_x] = np.where(pr.offer_module > 0, pr.offer_module, 1.0)
        matrix = csr_array(matrix.multiply(unit[None, :]))
        cost, low, high = cost * unit, low / unit, high / unit
    linear = Linear(matrix, np.concatenate(row_low), np.concatenate(row_high), low, high, integer)
    return Restricted(linear, cost, es, o_n, o_x, o_u, o_v, number, shared_row)


def solve_restricted(
    rx: Relaxation,
    stints: Mask,
    entries: Ints,
    *,
    fixed: Mask | None = None,
    start_y: Floats | None = None,
    gap: float = 1e-4,
    limits: Limits,
    seconds: float = np.inf,
    threads: int = 1,
    seed: int = 0,
    target: float = -np.inf,
) -> Answer:
    """Solve with the given stints and entries only, stints and places whole, in ``seconds`` of the limits at most.

    What is found is a plan, and kept as the best so far where it is.

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C came while the solver ran; what it had found by then is kept.
    """
    whole = bool(np.any(rx.problem.offer_module > 0))
    small = restrict(rx, stints, entries, fixed=fixed, whole=whole, links=True)
    z, value, bound, status = _highs(
        small, gap=gap, seconds=min(seconds, limits.left), threads=threads, seed=seed, start=start_y,
        target=target, nodes=limits.nodes,
    )  # fmt: skip
    limits.cut |= status == "kTimeLimit"
    if z is None and status == INTERRUPTED:
        raise KeyboardInterrupt
    if z is None:
        return Answer(
            np.inf, bound, status, np.zeros(small.n), np.zeros(small.x - small.n), small.entry,
            np.zeros(len(small.entry)), np.zeros(len(small.cost) - small.v),
        )  # fmt: skip
    places = z[small.n : small.x]
    if whole:
        module = rx.problem.offer_module
        places = places * np.where(module > 0, module, 1.0)
    answer = Answer(
        value, bound, status, z[: small.n], places, small.entry, z[small.x : small.u], z[small.v :]
    )
    limits.keep(answer)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return answer


def _shared_part(sh: Any, es: Ints, unmet: bool, n_b: int) -> csr_array | None:
    """Return the shared rows over the columns that are kept."""
    from scipy.sparse import hstack

    if not len(sh.low):
        return None
    m = len(sh.low)
    blocks = [sh.y, sh.n]
    blocks.append(csr_array((m, len(es))) if sh.x is None else sh.x.tocsc()[:, es])
    if unmet:
        blocks.append(csr_array((m, n_b)) if sh.u is None else sh.u)
    if sh.v is not None:
        blocks.append(sh.v)
    return csr_array(hstack(blocks).tocsr())


def _highs(
    small: Restricted, *, gap: float, seconds: float, threads: int, seed: int,
    start: Floats | None, target: float, nodes: int,
) -> tuple[Floats | None, float, float, str]:  # fmt: skip
    """Hand the arrays to HiGHS; return (z, value, bound, status)."""
    import highspy

    highspy.Highs.resetGlobalScheduler(True)  # its workers are of the last number of threads asked
    h = quiet()
    h.setOptionValue("mip_rel_gap", gap)
    h.setOptionValue("mip_max_nodes", nodes)
    h.setOptionValue("threads", threads)
    h.setOptionValue("random_seed", seed)
    if np.isfinite(seconds):
        h.setOptionValue("time_limit", max(seconds, 0.01))
    if np.isfinite(target):
        h.setOptionValue("objective_target", target)
    h.passModel(model_of(small.linear, small.cost, False))
    if start is not None:
        h.setSolution(len(start), np.arange(len(start), dtype=np.int32), start)
    run_heard(h)
    info = h.getInfo()
    status = str(h.getModelStatus()).rsplit(".", 1)[-1]
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    z = np.array(h.getSolution().col_value) if feasible else None
    value = info.objective_function_value if feasible else np.inf
    return z, value, info.mip_dual_bound, status
