"""Rows of every rule family as sparse blocks: one function a family.

Each ``add_<family>`` takes the problem, its columns and the rule, and returns a `Block` of rows
``lower <= A z <= upper``. The formulas use the letters of `problem` and are collected, with their
sources, in ``docs/formulation.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from allocator.model.columns import Columns
from allocator.model.objectives import objective_coefficients, risk_block, tighten_risk
from allocator.model.rows import INF, Block, Rows, stretches
from allocator.problem import Problem
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Coverage,
    Deviation,
    Floats,
    Floor,
    Forced,
    Gini,
    Held,
    Hub,
    Ints,
    Link,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Rule,
    Scale,
    Served,
    SiteCount,
    SiteStates,
    WorstGroup,
)

__all__ = [
    "FAMILIES",
    "Block",
    "blocks_of",
    "link_rows",
    "objective_coefficients",
    "risk_block",
    "tightened",
]


def add_balance(problem: Problem, columns: Columns, rule: Balance) -> Block:
    """Everyone in need is served or unmet: ``sum_a x + u = D`` over (i, s, g, t, w) with D > 0."""
    rows = Rows(columns)
    place = np.full(problem.need.size, -1)
    place[columns.u_cell] = np.arange(len(columns.u_cell))
    rows.put(place[columns.x_cell], columns.x + np.arange(len(columns.x_arc)), 1.0)
    rows.put(np.arange(len(columns.u_cell)), columns.u + np.arange(len(columns.u_cell)), 1.0)
    need = problem.need.ravel()[columns.u_cell]
    return rows.block(rule, need, need, len(need))


def add_acceptance(problem: Problem, columns: Columns, rule: Acceptance) -> Block:
    """Few accept far or dear places: ``sum of x with phi <= alpha is at most alpha D``.

    One row a (i, s, g, t, w) and level alpha < 1 held by at least two columns; a level held by one
    column alone is its bound.
    """
    rows = Rows(columns)
    order = np.lexsort((columns.x_phi, columns.x_cell))
    cell, level = columns.x_cell[order], columns.x_phi[order]
    if not len(order):
        return rows.block(rule, -INF, 0.0, 0)
    new_cell = np.r_[True, cell[1:] != cell[:-1]]
    first = np.maximum.accumulate(np.where(new_cell, np.arange(len(cell)), 0))
    ends = np.r_[(cell[1:] != cell[:-1]) | (level[1:] > level[:-1] + 1e-12), True]
    end = np.flatnonzero(ends)
    length = end - first[end] + 1
    keep = (level[end] < 1 - 1e-12) & (length > 1)
    end, length = end[keep], length[keep]
    row, entry = stretches(first[end], length)
    rows.put(row, columns.x + order[entry], 1.0)
    upper = level[end] * problem.need.ravel()[cell[end]]
    return rows.block(rule, -INF, upper, len(end))


def add_capacity(problem: Problem, columns: Columns, rule: Capacity) -> Block:
    """Use stays within places: ``occ_min n <= sum (places a person) x <= occ_max n``.

    Per (j, c, t, w) that some stint offers; the lower side only where occ_min > 0.
    """
    z = problem.shape
    rows = Rows(columns)
    shape = (z["j"], z["c"], z["t"], z["w"])
    f, t = np.nonzero(problem.stint_periods[problem.offer_stint])
    site, kind = problem.stint_site[problem.offer_stint[f]], problem.offer_class[f]
    arc = columns.x_arc
    x_key = np.ravel_multi_index(
        (problem.arc_site[arc], problem.arc_class[arc], columns.x_period, columns.x_future), shape
    )
    n_key = np.concatenate(
        [np.ravel_multi_index((site, kind, t, np.full(len(f), w)), shape) for w in range(z["w"])]
    )
    taken = np.zeros(int(np.prod(shape)), bool)
    taken[x_key] = taken[n_key] = True
    keys = np.flatnonzero(taken)
    row = np.cumsum(taken) - 1
    x_row, n_row = row[x_key], row[n_key]
    used = problem.places_per_person[problem.arc_class[arc], columns.x_group]
    count = len(keys)
    key_class = np.unravel_index(keys, shape)[1]
    many = np.tile(f, z["w"])
    rows.put(n_row, columns.n + many, -problem.occupancy_max[problem.offer_class[many]])
    rows.put(x_row, columns.x + np.arange(len(arc)), used)
    upper = rows.block(rule, -INF, 0.0, count)
    low = problem.occupancy_min[key_class] > 0
    if not low.any():
        return upper
    place = np.cumsum(low) - 1
    more = Rows(columns)
    some = low[x_row]
    more.put(place[x_row[some]], columns.x + np.flatnonzero(some), used[some])
    some = low[n_row]
    more.put(
        place[n_row[some]], columns.n + many[some],
        -problem.occupancy_min[problem.offer_class[many[some]]],
    )  # fmt: skip
    lower = more.block(rule, 0.0, INF, int(low.sum()))
    return _joined(rule, [upper, lower])


def add_scale(problem: Problem, columns: Columns, rule: Scale) -> Block:
    """Moderate scale: ``q_min y <= n <= q_max y`` for each offer; ``n = module m``, m whole."""
    rows = Rows(columns)
    f = np.arange(len(problem.offer_stint))
    count = len(f)
    rows.put(f, columns.n + f, 1.0)
    rows.put(f, columns.y + problem.offer_stint, -problem.offer_max)
    low = np.flatnonzero(problem.offer_min > 0)
    rows.put(count + np.arange(len(low)), columns.n + low, 1.0)
    rows.put(
        count + np.arange(len(low)), columns.y + problem.offer_stint[low], -problem.offer_min[low]
    )
    modular = np.flatnonzero(problem.offer_module > 0)
    first = count + len(low)
    if len(modular):
        rows.put(first + np.arange(len(modular)), columns.n + modular, 1.0)
        rows.put(
            first + np.arange(len(modular)),
            columns.of(rule.id, "modules"),
            -problem.offer_module[modular],
        )
    total = first + len(modular)
    lower, upper = np.full(total, -INF), np.full(total, INF)
    upper[:count] = 0.0
    lower[count:] = 0.0
    upper[first:] = 0.0
    return rows.block(rule, lower, upper, total)


def link_rows(problem: Problem, columns: Columns, rule: Rule, which: Ints) -> Block:
    """Nobody is served where nothing is open: ``x <= phi D * sum of y offering (c) at j in t``.

    Implied by capacity and scale for whole y, so only the rows ``which`` (positions among the x
    columns) that a relaxation violates are written.
    """
    rows = Rows(columns)
    row, chosen = offering(problem, columns.x_arc[which], columns.x_period[which])
    most = columns.upper[columns.x + which]
    rows.put(np.arange(len(which)), columns.x + which, 1.0)
    rows.put(row, columns.y + chosen, -most[row])
    return rows.block(rule, -INF, 0.0, len(which))


def offering(problem: Problem, arc: Ints, t: Ints) -> tuple[Ints, Ints]:
    """Return pairs of a position and a stint that offers its arc's class at its site in its period."""
    z = problem.shape
    key = (problem.arc_site[arc] * z["c"] + problem.arc_class[arc]) * z["t"] + t
    f, period = np.nonzero(problem.stint_periods[problem.offer_stint])
    stint = problem.offer_stint[f]
    offer_key = (problem.stint_site[stint] * z["c"] + problem.offer_class[f]) * z["t"] + period
    order = np.argsort(offer_key, kind="stable")
    left = np.searchsorted(offer_key[order], key, "left")
    length = np.searchsorted(offer_key[order], key, "right") - left
    row, at = stretches(left, length)
    return row, stint[order[at]]


def add_link(problem: Problem, columns: Columns, rule: Link) -> Block:
    """All links at once; the exact road adds only violated ones through `link_rows`."""
    return link_rows(problem, columns, rule, np.arange(len(columns.x_arc)))


def add_site(problem: Problem, columns: Columns, rule: SiteStates) -> Block:
    """One path of stints a site: unit flow from today's state through the options and periods.

    ``sum of y starting at 0 = 1``; for each (j, o, t > 0):
    ``sum of y ending at t - 1 in o = sum of y starting at t from o``.
    """
    z = problem.shape
    rows = Rows(columns)
    p = np.arange(z["p"])
    first = problem.stint_first == 0
    rows.put(problem.stint_site[first], columns.y + p[first], 1.0)
    shape = (z["j"], z["o"], z["t"] + 1)
    later, inner = ~first, problem.stint_last < z["t"] - 1
    start = np.ravel_multi_index(
        (problem.stint_site, problem.stint_from, problem.stint_first), shape
    )
    end = np.ravel_multi_index(
        (problem.stint_site, problem.stint_option, problem.stint_last + 1), shape
    )
    keys, row = np.unique(np.r_[start[later], end[inner]], return_inverse=True)
    rows.put(z["j"] + row[: later.sum()], columns.y + p[later], -1.0)
    rows.put(z["j"] + row[later.sum() :], columns.y + p[inner], 1.0)
    right = np.r_[np.ones(z["j"]), np.zeros(len(keys))]
    return rows.block(rule, right, right, len(right))


def add_resource(problem: Problem, columns: Columns, rule: Resource) -> Block:
    """Use of a pool within supply: ``use[k,t,w] <= supply[t]``, and ``share use <= cap`` a payer."""
    z = problem.shape
    t_count, k = z["t"], rule.pool
    rows = Rows(columns)
    columns_of = slice(k * t_count, (k + 1) * t_count)
    by_person = bool(
        len(columns.x_arc)
        and (np.any(problem.use_person[:, :, k]) or np.any(problem.use_minute[:, k]))
    )
    futures = z["w"] if by_person and not rule.in_expectation else 1
    use_y = coo_array(problem.use_stint[:, columns_of])
    use_n = coo_array(problem.use_place[:, columns_of])
    for w in range(futures):
        rows.put(w * t_count + use_y.col, columns.y + use_y.row, use_y.data)
        rows.put(w * t_count + use_n.col, columns.n + use_n.row, use_n.data)
    if by_person:
        arc = columns.x_arc
        kind = problem.arc_class[arc]
        use = problem.use_person[kind, columns.x_group, k, columns.x_period]
        use = use + problem.use_minute[kind, k] * problem.arc_minutes[arc]
        if rule.in_expectation:
            use = use * problem.future_weight[columns.x_future]
        some = np.flatnonzero(use)
        w_of = 0 if rule.in_expectation else columns.x_future[some]
        rows.put(w_of * t_count + columns.x_period[some], columns.x + some, use[some])
    upper = np.tile(np.where(rule.most >= 1e29, INF, rule.most), futures)
    return rows.block(rule, -INF, upper, futures * t_count)


def add_coverage(problem: Problem, columns: Columns, rule: Coverage) -> Block:
    """Potential access: ``v <= sum of y within reach``; people-weighted share of v at least a target."""
    z = problem.shape
    rows = Rows(columns)
    covered = columns.of(rule.id, "covered")  # (n, T)
    n = len(rule.areas)
    area, stint = rule.pairs(problem.offer_stint)
    pair, t = np.nonzero(problem.stint_periods[stint])
    rows.put(area[pair] * z["t"] + t, columns.y + stint[pair], -1.0)
    rows.put(np.arange(n * z["t"]), covered.ravel(), 1.0)
    rows.put(n * z["t"] + np.broadcast_to(np.arange(z["t"]), covered.shape), covered, rule.people)
    if not rule.is_hard:
        rows.put(n * z["t"] + np.arange(z["t"]), columns.of(rule.id, "short")[:, 0], 1.0)
    lower = np.r_[np.full(n * z["t"], -INF), rule.share * rule.people.sum(0)]
    upper = np.r_[np.zeros(n * z["t"]), np.full(z["t"], INF)]
    return rows.block(rule, lower, upper, len(lower))


def _share_of_need(
    problem: Problem,
    columns: Columns,
    service: int,
    part: Ints,
    groups: Ints | None,
    least: int = 0,
) -> tuple[Ints, Ints, Floats]:
    """Return (row, x column, need by row): rows are (part, t, w), of ``least`` parts or more."""
    z = problem.shape
    parts = max(int(part.max(initial=-1)) + 1, least)
    wanted = np.ones(z["g"], bool)
    if groups is not None:
        wanted[:] = False
        wanted[groups] = True
    arc = columns.x_arc
    some = np.flatnonzero(
        (part[problem.arc_area[arc]] >= 0)
        & (problem.class_service[problem.arc_class[arc]] == service)
        & wanted[columns.x_group]
    )
    p = part[problem.arc_area[arc[some]]]
    row = (p * z["t"] + columns.x_period[some]) * z["w"] + columns.x_future[some]
    need = np.zeros((parts, z["t"], z["w"]))
    inside = part >= 0
    np.add.at(need, part[inside], problem.need[inside, service][:, wanted].sum(1))
    return row, columns.x + some, need.ravel()


def add_served(problem: Problem, columns: Columns, rule: Served) -> Block:
    """Realised access: ``sum of x >= share * sum of D`` over the areas and groups, per (t, w)."""
    z = problem.shape
    part = np.full(z["i"], -1)
    part[rule.areas] = 0
    return _at_least_share(problem, columns, rule, rule.service, part, rule.groups, rule.share)


def add_floor(problem: Problem, columns: Columns, rule: Floor) -> Block:
    """No part below a share: ``sum of x in part >= share * sum of D in part``, per (part, t, w)."""
    return _at_least_share(problem, columns, rule, rule.service, rule.part, None, rule.share)


def _at_least_share(
    problem: Problem, columns: Columns, rule: Rule, service: int, part: Ints,
    groups: Ints | None, share: Floats,
) -> Block:  # fmt: skip
    z = problem.shape
    rows = Rows(columns)
    least = 1 if isinstance(rule, Served) else 0
    row, x, need = _share_of_need(problem, columns, service, part, groups, least)
    rows.put(row, x, 1.0)
    if not rule.is_hard:
        short = columns.of(rule.id, "short").ravel()
        rows.put(np.arange(len(short)), short, 1.0)
    share_of_row = np.broadcast_to(share[:, None], (z["t"], z["w"])).ravel()
    lower = need * np.tile(share_of_row, len(need) // len(share_of_row))
    return rows.block(rule, lower, INF, len(need))


def add_places_ratio(problem: Problem, columns: Columns, rule: PlacesRatio) -> Block:
    """Places for people: ``sum weight n >= minimum[t]`` over offers in place in t."""
    z = problem.shape
    rows = Rows(columns)
    _put_places(problem, columns, rows, lambda t: rule.offer_weight)
    if not rule.is_hard:
        rows.put(np.arange(z["t"]), columns.of(rule.id, "short")[:, 0], 1.0)
    return rows.block(rule, rule.minimum, INF, z["t"])


def add_places_share(problem: Problem, columns: Columns, rule: PlacesShare) -> Block:
    """A share of places: ``sum part n - share[t] * sum whole n >= 0`` over offers in place in t."""
    z = problem.shape
    rows = Rows(columns)
    _put_places(problem, columns, rows, lambda t: rule.part - rule.share[t] * rule.whole)
    if not rule.is_hard:
        rows.put(np.arange(z["t"]), columns.of(rule.id, "short")[:, 0], 1.0)
    return rows.block(rule, 0.0, INF, z["t"])


def _put_places(
    problem: Problem, columns: Columns, rows: Rows, weight: Callable[[int], Floats]
) -> None:
    for t in range(len(problem.periods)):
        w = np.where(problem.stint_periods[problem.offer_stint, t], weight(t), 0.0)
        some = np.flatnonzero(w)
        rows.put(t, columns.n + some, w[some])


def add_resettlement(problem: Problem, columns: Columns, rule: Resettlement) -> Block:
    """先安置后撤并: ``sum of x from the home's residents nearby >= D * sum of y closed``, per (g, t, w)."""
    z = problem.shape
    rows = Rows(columns)
    near = np.zeros(z["a"], bool)
    near[rule.arcs] = True
    arc = columns.x_arc
    of_service = problem.class_service[problem.arc_class[arc]] == rule.service
    some = np.flatnonzero(near[arc] & of_service & (problem.arc_area[arc] == rule.area))
    shape = (z["g"], z["t"], z["w"])
    row = np.ravel_multi_index(
        (columns.x_group[some], columns.x_period[some], columns.x_future[some]), shape
    )
    rows.put(row, columns.x + some, 1.0)
    stint, t = np.nonzero(
        problem.stint_periods
        & (problem.stint_site == rule.site)[:, None]
        & np.isin(problem.stint_option, rule.closed_options)[:, None]
    )
    need = problem.need[rule.area, rule.service]  # (G, T, W)
    for g in range(z["g"]):
        for w in range(z["w"]):
            rows.put((g * z["t"] + t) * z["w"] + w, columns.y + stint, -need[g, t, w])
    return rows.block(rule, 0.0, INF, int(np.prod(shape)))


def add_hub(problem: Problem, columns: Columns, rule: Hub) -> Block:
    """A point needs a hub: ``sum of y[point] <= sum of y[hub] in reach``, per (point site, t)."""
    z = problem.shape
    rows = Rows(columns)
    at_site = problem.stint_site
    point = np.isin(problem.stint_option, rule.point_options)
    hub = np.isin(problem.stint_option, rule.hub_options)
    sites = np.unique(at_site[point])
    place = np.full(z["j"], -1)
    place[sites] = np.arange(len(sites))
    stint, t = np.nonzero(problem.stint_periods & point[:, None])
    rows.put(place[at_site[stint]] * z["t"] + t, columns.y + stint, 1.0)
    for site, hub_site in zip(rule.pair_site, rule.pair_hub, strict=True):
        if place[site] < 0:
            continue
        stint, t = np.nonzero(problem.stint_periods & (hub & (at_site == hub_site))[:, None])
        rows.put(place[site] * z["t"] + t, columns.y + stint, -1.0)
    return rows.block(rule, -INF, 0.0, len(sites) * z["t"])


def add_site_count(problem: Problem, columns: Columns, rule: SiteCount) -> Block:
    """Bounds on the number of sites: ``minimum[t] <= sum of y in the options <= maximum[t]``."""
    z = problem.shape
    rows = Rows(columns)
    stint, t = np.nonzero(
        problem.stint_periods & np.isin(problem.stint_option, rule.options)[:, None]
    )
    rows.put(t, columns.y + stint, 1.0)
    upper = np.where(rule.maximum >= 1e5 * 9, INF, rule.maximum)
    return rows.block(rule, rule.minimum, upper, z["t"])


def add_forced(problem: Problem, columns: Columns, rule: Forced) -> Block:
    """A named site in (or out of) options: ``sum of y at j in the options in t = 1`` (or 0)."""
    rows = Rows(columns)
    stint = np.flatnonzero(
        problem.stint_periods[:, rule.period]
        & (problem.stint_site == rule.site)
        & np.isin(problem.stint_option, rule.options)
    )
    rows.put(np.zeros(len(stint)), columns.y + stint, 1.0)
    right = 1.0 if rule.wanted else 0.0
    return rows.block(rule, right, right, 1)


def add_reserved(problem: Problem, columns: Columns, rule: Reserved) -> Block:
    """Places kept for groups: ``sum of x of other groups <= (1 - share) n`` per (j, c, t, w)."""
    z = problem.shape
    rows = Rows(columns)
    shape = (z["j"], z["c"], z["t"], z["w"])
    arc = columns.x_arc
    other = ~np.isin(columns.x_group, rule.groups)
    some = np.flatnonzero(other & np.isin(problem.arc_class[arc], rule.classes))
    key = np.ravel_multi_index(
        (
            problem.arc_site[arc[some]], problem.arc_class[arc[some]],
            columns.x_period[some], columns.x_future[some],
        ),
        shape,
    )  # fmt: skip
    keys, row = np.unique(key, return_inverse=True)
    used = problem.places_per_person[problem.arc_class[arc[some]], columns.x_group[some]]
    rows.put(row, columns.x + some, used)
    f, t = np.nonzero(problem.stint_periods[problem.offer_stint])
    for w in range(z["w"]):
        n_key = np.ravel_multi_index(
            (
                problem.stint_site[problem.offer_stint[f]], problem.offer_class[f],
                t, np.full(len(f), w),
            ),
            shape,
        )  # fmt: skip
        at = np.searchsorted(keys, n_key)
        known = (
            (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == n_key)
            if len(keys)
            else np.zeros(len(f), bool)
        )
        rows.put(at[known], columns.n + f[known], -(1 - rule.share))
    return rows.block(rule, -INF, 0.0, len(keys))


def add_worst_group(problem: Problem, columns: Columns, rule: WorstGroup) -> Block:
    """Max-min: ``z * sum of D in part <= sum of x in part``, per (part, t, w) with need."""
    rows = Rows(columns)
    row, x, need = _share_of_need(problem, columns, rule.service, rule.part, None)
    rows.put(row, x, 1.0)
    some = np.flatnonzero(need > 0)
    rows.put(some, columns.of(rule.id, "worst")[0], -need[some])
    return rows.block(rule, 0.0, INF, len(need))


def add_deviation(problem: Problem, columns: Columns, rule: Deviation) -> Block:
    """Mean absolute deviation: ``x(part) - share(county) D(part) = over - under``, per (part, t, w).

    ``share(county) = x(county) / D(county)`` is linear because D is data. With a ceiling also
    ``sum over + sum under <= 2 ceiling[t] x(county)``, per (t, w).
    """
    z = problem.shape
    rows = Rows(columns)
    row, x, need = _share_of_need(problem, columns, rule.service, rule.part, None)
    many = z["t"] * z["w"]
    by_tw = need.reshape(-1, many)
    county = np.where(by_tw.sum(0) > 0, by_tw.sum(0), 1.0)
    weight = by_tw / county
    rows.put(row, x, 1.0)
    tw = row % many
    for part in range(len(by_tw)):
        rows.put(part * many + tw, x, -weight[part, tw])
    everything = np.arange(len(need))
    over, under = (columns.of(rule.id, kind).ravel() for kind in ("over", "under"))
    rows.put(everything, over, -1.0)
    rows.put(everything, under, 1.0)
    if rule.ceiling is None:
        return rows.block(rule, 0.0, 0.0, len(need))
    for kind in (over, under):
        rows.put(len(need) + everything % many, kind, 1.0)
    rows.put(len(need) + tw, x, -2 * rule.ceiling[tw // z["w"]])
    lower = np.r_[np.zeros(len(need)), np.full(many, -INF)]
    return rows.block(rule, lower, 0.0, len(need) + many)


def add_gini(problem: Problem, columns: Columns, rule: Gini) -> Block:
    """Gini index: ``W_q S_p - W_p S_q = over - under`` per (pair of parts, t, w), ``S_p = x(p)``.

    ``sum over + sum under <= ceiling[t] sum of S``, per (t, w). W_p, a part's share of the need of
    all parts, is data; S is a column of its own, so that rows of pairs stay short.
    """
    z = problem.shape
    rows = Rows(columns)
    row, x, need = _share_of_need(problem, columns, rule.service, rule.part, None)
    many = z["t"] * z["w"]
    by_tw = need.reshape(-1, many)
    weight = by_tw / np.where(by_tw.sum(0) > 0, by_tw.sum(0), 1.0)
    served = columns.of(rule.id, "served").reshape(-1, many)
    first, second = np.triu_indices(len(by_tw), 1)
    over, under = (columns.of(rule.id, kind).reshape(-1, many) for kind in ("over", "under"))
    pair = np.arange(over.size).reshape(-1, many)
    for columns_, value in (
        (served[first], weight[second]), (served[second], -weight[first]), (over, -1.0), (under, 1.0),
    ):  # fmt: skip
        rows.put(pair.ravel(), columns_.ravel(), np.broadcast_to(value, pair.shape).ravel())
    own = over.size + np.arange(served.size)
    rows.put(over.size + row, x, 1.0)
    rows.put(own, served.ravel(), -1.0)
    limit = over.size + served.size + np.arange(many)
    for kind in (over, under):
        rows.put(np.broadcast_to(limit, kind.shape).ravel(), kind.ravel(), 1.0)
    most = np.broadcast_to(-np.repeat(rule.ceiling, z["w"]), served.shape)
    rows.put(np.broadcast_to(limit, served.shape).ravel(), served.ravel(), most.ravel())
    lower = np.r_[np.zeros(over.size + served.size), np.full(many, -INF)]
    return rows.block(rule, lower, 0.0, len(lower))


def add_mean_travel(problem: Problem, columns: Columns, rule: MeanTravel) -> Block:
    """Mean travel: ``sum (minutes of the arc - minutes[t]) x <= 0`` over the service, per (t, w).

    Those sent on from a site are not counted again.
    """
    z = problem.shape
    rows = Rows(columns)
    arc, t = columns.x_arc, columns.x_period
    of_service = problem.class_service[problem.arc_class[arc]] == rule.service
    counts = of_service & ~problem.onward[problem.arc_area[arc]]
    some = np.flatnonzero(counts & np.isfinite(rule.minutes[t]))
    row = t[some] * z["w"] + columns.x_future[some]
    rows.put(row, columns.x + some, problem.arc_minutes[arc[some]] - rule.minutes[t[some]])
    return rows.block(rule, -INF, 0.0, z["t"] * z["w"])


def add_nearest(problem: Problem, columns: Columns, rule: Nearest) -> Block:
    """Nearest first: ``sum of x farther than a <= D (1 - sum y offering at a)``, per arc, (g, t, w)."""
    z = problem.shape
    rows = Rows(columns)
    arc = columns.x_arc
    mine = np.flatnonzero(problem.class_service[problem.arc_class[arc]] == rule.service)
    cell = (problem.arc_area[arc[mine]], columns.x_group[mine], columns.x_period[mine], columns.x_future[mine])  # fmt: skip
    key = np.ravel_multi_index(cell, (z["i"], z["g"], z["t"], z["w"]))
    minutes = problem.arc_minutes[arc[mine]]
    order = np.lexsort((minutes, key))
    mine, key, minutes = mine[order], key[order], minutes[order]
    # Farther arcs of the same need follow an arc in this order, past those equally far.
    rank = np.unique(np.column_stack([key, minutes]), axis=0, return_inverse=True)[1].ravel()
    after = np.searchsorted(rank, rank, "right")
    length = np.searchsorted(key, key, "right") - after
    some = np.flatnonzero(length)  # the farthest arcs ask nothing
    row, at = stretches(after[some], length[some])
    rows.put(row, columns.x + mine[at], 1.0)
    i, g, t, w = (v[order][some] for v in cell)
    need = problem.need[i, rule.service, g, t, w]
    opened, stint = offering(problem, arc[mine[some]], t)
    rows.put(opened, columns.y + stint, need[opened])
    return rows.block(rule, -INF, need, len(some))


def add_room(problem: Problem, columns: Columns, rule: Room) -> Block:
    """Offers fit their building: ``sum area n <= room y``, per stint named."""
    rows = Rows(columns)
    place = np.full(len(problem.stint_site), -1)
    place[rule.stints] = np.arange(len(rule.stints))
    f = np.flatnonzero((place[problem.offer_stint] >= 0) & (rule.offer_area > 0))
    rows.put(place[problem.offer_stint[f]], columns.n + f, rule.offer_area[f])
    rows.put(np.arange(len(rule.stints)), columns.y + rule.stints, -rule.room)
    return rows.block(rule, -INF, 0.0, len(rule.stints))


def add_referral(problem: Problem, columns: Columns, rule: Referral) -> Block:
    """Onward flows: ``sum x from the onward origin = share[t] * sum x at the site``, per (site, g, t, w)."""
    z = problem.shape
    rows = Rows(columns)
    arc = columns.x_arc
    shape = (len(rule.site), z["g"], z["t"], z["w"])
    onward = problem.class_service[problem.arc_class[arc]] == rule.service
    here = np.isin(problem.arc_class[arc], rule.classes)
    for n, (site, area) in enumerate(zip(rule.site, rule.area, strict=True)):
        out = np.flatnonzero(onward & (problem.arc_area[arc] == area))
        come = np.flatnonzero(here & (problem.arc_site[arc] == site))
        for some, value in ((out, np.ones(len(out))), (come, -rule.share[columns.x_period[come]])):
            g, t, w = (v[some] for v in (columns.x_group, columns.x_period, columns.x_future))
            rows.put(
                np.ravel_multi_index((np.full(len(g), n), g, t, w), shape), columns.x + some, value
            )
    return rows.block(rule, 0.0, 0.0, int(np.prod(shape)))


def add_held(problem: Problem, columns: Columns, rule: Held) -> Block:
    """An objective at most what was reached of it: ``cost z <= most``, risk and all."""
    cost = objective_coefficients(problem, columns, problem.objective(rule.objective))
    return Block(rule.id, csr_array(cost[None, :]), np.array([-INF]), np.array([rule.most]))


def _joined(rule: Rule, parts: Sequence[Block]) -> Block:
    return Block(
        rule.id,
        csr_array(vstack([b.matrix for b in parts])),
        np.concatenate([b.lower for b in parts]),
        np.concatenate([b.upper for b in parts]),
    )


FAMILIES: dict[type[Rule], Callable[..., Block]] = {
    Balance: add_balance,
    Acceptance: add_acceptance,
    Capacity: add_capacity,
    Scale: add_scale,
    Link: add_link,
    SiteStates: add_site,
    Resource: add_resource,
    Coverage: add_coverage,
    Served: add_served,
    PlacesRatio: add_places_ratio,
    PlacesShare: add_places_share,
    Resettlement: add_resettlement,
    Hub: add_hub,
    SiteCount: add_site_count,
    Forced: add_forced,
    Reserved: add_reserved,
    Floor: add_floor,
    WorstGroup: add_worst_group,
    Deviation: add_deviation,
    Gini: add_gini,
    MeanTravel: add_mean_travel,
    Nearest: add_nearest,
    Room: add_room,
    Referral: add_referral,
    Held: add_held,
}


def blocks_of(problem: Problem, columns: Columns, *, links: bool = False) -> list[Block]:
    """Return the rows of every rule and risk of the problem; links only when asked for."""
    found = [
        FAMILIES[type(rule)](problem, columns, rule)
        for rule in problem.rules
        if links or not isinstance(rule, Link)
    ]
    risks = (risk_block(problem, columns, objective) for objective in problem.objectives)
    return found + [block for block in risks if block is not None]


def tightened(problem: Problem, columns: Columns, values: Floats) -> Floats:
    """Return the values with every auxiliary column at the least its rows ask.

    A solver leaves shortfalls, epigraphs and risk levels slack once no later objective counts them.
    """
    z = values.copy()
    for rule in problem.rules:
        kinds = [kind for owner, kind in columns.auxiliary if owner == rule.id]
        if not kinds or kinds == ["modules"]:
            continue
        for kind in kinds:
            z[columns.of(rule.id, kind)] = 0.0
        block = FAMILIES[type(rule)](problem, columns, rule)
        if isinstance(rule, Coverage):
            covered = columns.of(rule.id, "covered").ravel()
            have = -(block.matrix @ z)[: len(covered)]
            z[covered] = np.clip(have, 0.0, 1.0)
        have = block.matrix @ z
        if "short" in kinds:
            short = columns.of(rule.id, "short").ravel()
            rows = slice(len(have) - len(short), None)
            z[short] = np.maximum(block.lower[rows] - have[rows], 0.0)
        if "worst" in kinds:
            at = columns.of(rule.id, "worst")[0]
            need = -block.matrix[:, [at]].toarray().ravel()
            some = need > 0
            z[at] = float(np.clip(np.min(have[some] / need[some], initial=1.0), 0.0, 1.0))
        if "served" in kinds:
            at = columns.of(rule.id, "served").ravel()
            first = columns.of(rule.id, "over").size
            z[at] = have[first : first + len(at)]
            have = block.matrix @ z
        if "over" in kinds:
            for kind, sign in (("over", 1.0), ("under", -1.0)):
                at = columns.of(rule.id, kind).ravel()
                z[at] = np.maximum(sign * have[: len(at)], 0.0)
    for objective in problem.objectives:
        if objective.risk != "expected":
            tighten_risk(problem, columns, objective, z)
    return z
