"""`county_full` as a `Problem`: five services, four groups, three periods, stints of six options.

The generator gives raw data. The formulation here: each site is kept, built, converted or closed
along allowed transitions; a new or converted option opens at the first period at its cost, may be
followed by one more change; capital pays each opening and its places at opening, workers each
period; unmet need is counted by persons with a weight a service (resident care dearest), higher
grade before lower.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree

from allocator.errors import Text
from allocator.problem import Objective, Problem
from allocator.rules import Resource
from benchmarks.problems import _STRUCTURE, ids, sorted_arcs

SERVICES = ("resident", "day", "visits", "kindergarten", "clinic")
# Weight of one person unserved: a choice of this benchmark, in the spirit of cost a place.
WORTH = np.array([10.0, 3.0, 1.0, 2.0, 0.3])
GRADE = np.array([1.0, 1.0, 1.5, 1.5])


def full_problem(d: dict) -> Problem:
    """Return the whole county problem; persons unserved, weighted, are minimised."""
    n_i, n_s, n_g, n_t = d["need"].shape
    n_j, n_o = len(d["site_km"]), d["n_options"]
    closed = n_o
    offers = d["offers"]
    n_c = len(offers)  # a class an offer: its radius is its own
    area, site, kind, km = [], [], [], []
    for c, offer in enumerate(offers):
        near = cKDTree(d["area_km"]).sparse_distance_matrix(
            cKDTree(d["site_km"]), offer[7], output_type="coo_matrix"
        )
        area.append(near.row)
        site.append(near.col)
        kind.append(np.full(len(near.row), c))
        km.append(near.data)
    area, site, kind, km = (np.concatenate(v) for v in (area, site, kind, km))
    order = sorted_arcs(area, kind, site, n_i, n_c, n_j)
    area, site, kind, km = area[order], site[order], kind[order], km[order]

    start = np.where(d["today"] < 0, closed, d["today"])
    stints = _stints(start, d["convert"], n_o, n_t)
    j, frm, opt, first, last, cost_open = stints
    n_p = len(j)
    f_stint, f_class = [], []
    for c, offer in enumerate(offers):
        p = np.flatnonzero(opt == int(offer[0]))
        f_stint.append(p)
        f_class.append(np.full(len(p), c))
    f_stint, f_class = np.concatenate(f_stint), np.concatenate(f_class)
    order = np.lexsort((f_class, f_stint))
    f_stint, f_class = f_stint[order], f_class[order]
    n_f = len(f_stint)
    # Pools: capital once at opening (none for what stands today), workers while open.
    new = frm != opt
    fixed = np.bincount(offers[:, 0].astype(int), offers[:, 4], minlength=n_o + 1)
    us = coo_array(
        (
            np.where(new, cost_open + np.where(frm == closed, fixed[opt], 0.0), 0.0),
            (np.arange(n_p), first),
        ),
        shape=(n_p, 2 * n_t),
    ).tocsr()
    us.eliminate_zeros()
    rows, cols, vals = [], [], []
    fresh = np.flatnonzero(new[f_stint])
    rows.append(fresh)
    cols.append(first[f_stint[fresh]])
    vals.append(offers[f_class[fresh], 5])
    for t in range(n_t):
        on = np.flatnonzero((first[f_stint] <= t) & (t <= last[f_stint]))
        rows.append(on)
        cols.append(np.full(len(on), n_t + t))
        vals.append(offers[f_class[on], 6])
    uf = coo_array(
        (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(n_f, 2 * n_t)
    ).tocsr()
    minutes = km * 2.0
    unmet = np.broadcast_to(WORTH[None, :, None] * GRADE[None, None, :], (1, n_s, n_g))
    return Problem(
        areas=ids("a", n_i), sites=ids("s", n_j), options=(*ids("option", n_o), "shut"), services=SERVICES,
        classes=ids("class", n_c), groups=("g1-village", "g1-town", "g2-village", "g2-town"), periods=ids("t", n_t),
        pools=("capital", "workers"), period_years=np.full(n_t, 5.0), need=d["need"][..., None].astype(float),
        site_start=start.astype(np.int64), stint_site=j, stint_from=frm, stint_option=opt, stint_first=first, stint_last=last,
        offer_stint=f_stint, offer_class=f_class, offer_min=offers[f_class, 2], offer_max=offers[f_class, 3], offer_module=np.zeros(n_f),
        class_service=offers[:, 1].astype(np.int64), occupancy_min=np.zeros(n_c), occupancy_max=np.ones(n_c),
        places_per_person=np.ones((n_c, n_g)), arc_area=area.astype(np.int64), arc_site=site.astype(np.int64),
        arc_class=kind.astype(np.int64), arc_minutes=minutes, acceptance=np.ones((len(area), 1)),
        use_stint=csr_array(us), use_place=csr_array(uf), use_person=np.zeros((n_c, n_g, 2, n_t)), use_minute=np.zeros((n_c, 2)),
        rules=(
            *_STRUCTURE,
            Resource(id="capital", words=Text("建设资金", "Capital"), pool=0, supply=np.asarray(d["capital"], float)),
            Resource(id="workers", words=Text("护理人员", "Care workers"), pool=1, supply=np.asarray(d["workers"], float)),
        ),
        objectives=(Objective(
            id="unmet", unit="weighted person-period", person=(0.002 * minutes)[:, None], unmet=unmet, period_weight=np.ones(n_t),
        ),),
    )  # fmt: skip


def _stints(start, convert, n_o, n_t):
    """Return every stint a site can reach: from, option, first, last, cost of its opening."""
    rows = []
    closed = n_o
    for j, s in enumerate(start):
        states = {(0, int(s), 2)}  # boundary, option, changes left
        seen = set()
        stints = set()
        while states:
            t, o, left = states.pop()
            if (t, o, left) in seen:
                continue
            seen.add((t, o, left))
            moves = [(o, 0.0, 0)] if t == 0 else []
            if left > 0:
                if o == closed:
                    moves += [(b, 0.0, 1) for b in range(n_o)] if t == 0 or s == closed else []
                else:
                    moves += [
                        (b, convert[o, b], 1) for b in range(n_o) if np.isfinite(convert[o, b])
                    ]
                    moves.append((closed, 0.0, 1))
            for b, cost, spent in moves:
                for end in range(t, n_t):
                    stints.add((j, o, b, t, end, cost))
                    if end + 1 < n_t:
                        states.add((end + 1, b, left - spent))
        rows += sorted(stints)
    j, frm, opt, first, last, cost = (np.array(v) for v in zip(*rows, strict=True))
    return j, frm, opt, first, last, cost
