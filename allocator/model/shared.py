"""Rows that sites share, one function a rule family, as sparse rows over all columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allocator.errors import Text
from allocator.model.blocks import offering
from allocator.model.rows import stretches
from allocator.model.sheet import SharedRows, Sheet
from allocator.model.valued import add_held, add_risk
from allocator.plan import FEWEST_SITES
from allocator.problem import Objective, Problem
from allocator.rules import (
    Acceptance,
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
    Served,
    SiteCount,
    WorstGroup,
)

__all__ = ["SharedRows", "shared_rows"]

_MOST_COUNTED = 100
"""Among more whole sites than these, less than one more in the bound is little."""


def shared_rows(
    pr: Problem,
    obj: Objective,
    entry_arc: Ints,
    entry_group: Ints,
    cell_of: Ints,
    cell_period: Ints,
    cell_future: Ints,
    row_of: NDArray[np.int32],
    n_entries: int,
    n_needs: int,
) -> SharedRows:
    """Return the shared rows of every rule of a problem but the balance."""
    s = Sheet(pr, obj)
    s.entry_arc, s.entry_group = entry_arc, entry_group.astype(np.int64)
    s.row_of, s.n_entries, s.n_needs = row_of, n_entries, n_needs
    by_entry = any(isinstance(r, _OVER_ENTRIES) for r in pr.rules) or obj.risk != "expected"
    if by_entry or len(pr.periods) > 1:
        s.entry_t, s.entry_w = cell_period[cell_of], cell_future[cell_of]
    else:
        s.entry_t = s.entry_w = np.zeros(1, np.int64)
    for rule in pr.rules:
        add = _ADD.get(type(rule))
        if add is not None:
            add(s, rule)
    _add_fewest(s)
    values = s.rows
    if obj.risk != "expected":
        add_risk(s, obj, -1)
    for rule in pr.rules:
        if isinstance(rule, Held):
            add_held(s, rule)
    return s.made(values)


def _need_at(s: Sheet, service: int, areas: Ints, groups: Ints) -> tuple[Ints, Floats]:
    """Return flat positions (areas, groups, T, W) in need, and the needs."""
    _, n_s, n_g, n_t, n_w = s.pr.need.shape
    t, w = np.arange(n_t)[:, None], np.arange(n_w)[None, :]
    head = (areas[:, None] * n_s + service) * n_g + groups[None, :]
    flat = (head[:, :, None, None] * n_t + t) * n_w + w
    return flat, s.pr.need.ravel()[flat]


def _entry_service(s: Sheet) -> Ints:
    return s.pr.class_service[s.pr.arc_class[s.entry_arc]]


def _add_resource(s: Sheet, r: Resource) -> None:
    pr = s.pr
    n_t, n_w = len(pr.periods), len(pr.futures)
    k = r.pool
    person = pr.use_person[:, :, k, :]
    minute = pr.use_minute[:, k]
    by_people = bool(person.any() or minute.any())
    futures = n_w if by_people and not r.in_expectation else 1
    tightest = r.most
    periods = np.flatnonzero(np.isfinite(tightest))
    if not len(periods):
        return
    rows = s.open(r, -np.inf, np.repeat(tightest[periods], futures), len(periods) * futures)
    rows = rows.reshape(len(periods), futures)
    for block, use in (("y", pr.use_stint), ("n", pr.use_place)):
        part = use[:, k * n_t : (k + 1) * n_t].tocoo()
        place = np.full(n_t, -1)
        place[periods] = np.arange(len(periods))
        keep = place[part.col] >= 0
        for w in range(futures):
            s.put(block, rows[place[part.col[keep]], w], part.row[keep], part.data[keep])
    if by_people:
        c = pr.arc_class[s.entry_arc]
        use = person[c, s.entry_group, s.entry_t] + minute[c] * pr.arc_minutes[s.entry_arc]
        if futures == 1:
            use = use * pr.future_weight[s.entry_w]
        place = np.full(n_t, -1)
        place[periods] = np.arange(len(periods))
        e = np.flatnonzero((place[s.entry_t] >= 0) & (use != 0))
        of = s.entry_w[e] if futures > 1 else np.zeros(len(e), np.int64)
        s.put("x", rows[place[s.entry_t[e]], of], e, use[e])


def _add_acceptance(s: Sheet, r: Acceptance) -> None:
    pr = s.pr
    _, n_s, n_g, n_t, n_w = pr.need.shape
    group = s.entry_group if pr.acceptance.shape[1] > 1 else np.zeros_like(s.entry_group)
    phi = pr.acceptance[s.entry_arc, group]
    if not len(phi) or phi.min() >= 1.0:
        return
    area = pr.arc_area[s.entry_arc]
    flat = (((area * n_s + _entry_service(s)) * n_g + s.entry_group) * n_t + s.entry_t) * n_w
    flat = flat + s.entry_w
    levels = np.unique(phi[phi < 1.0])
    for alpha in levels:
        at_level = np.zeros(pr.need.size, bool)
        at_level[flat[phi == alpha]] = True
        e = np.flatnonzero((phi <= alpha) & at_level[flat])
        # One arc alone is already held by its own limit.
        count = np.bincount(flat[e], minlength=pr.need.size)
        e = e[count[flat[e]] > 1]
        keys, number = np.unique(flat[e], return_inverse=True)
        if len(keys):
            rows = s.open(r, -np.inf, alpha * pr.need.ravel()[keys], len(keys))
            s.put("x", rows[number], e, np.ones(len(e)))


def _add_served(s: Sheet, r: Served) -> None:
    pr = s.pr
    areas = np.zeros(len(pr.areas), bool)
    areas[r.areas] = True
    part = np.where(areas, 0, -1)
    _share_rows(s, r, r.service, part, r.groups, r.share)


def _add_floor(s: Sheet, r: Floor) -> None:
    _share_rows(s, r, r.service, r.part, np.arange(len(s.pr.groups)), r.share)


def _part_need(s: Sheet, service: int, part: Ints, groups: Ints) -> Floats:
    """Return the need (N, T, W) of each part."""
    n = int(part.max()) + 1 if len(part) else 0
    total = s.pr.need[:, service][:, groups].sum(1)
    out = np.zeros((n, *total.shape[1:]))
    np.add.at(out, part[part >= 0], total[part >= 0])
    return out


def _part_entries(s: Sheet, service: int, part: Ints, groups: Ints) -> tuple[Ints, Ints]:
    """Return the entries of a service and groups in any part, and their parts."""
    wanted = np.zeros(len(s.pr.groups), bool)
    wanted[groups] = True
    of = part[s.pr.arc_area[s.entry_arc]]
    e = np.flatnonzero((of >= 0) & (_entry_service(s) == service) & wanted[s.entry_group])
    return e, of[e]


def _share_rows(s: Sheet, r: Rule, service: int, part: Ints, groups: Ints, share: Floats) -> None:
    need = _part_need(s, service, part, groups)
    n, n_t, n_w = need.shape
    low = np.asarray(share, float)[None, :, None] * need
    future = np.broadcast_to(np.arange(n_w), low.shape).ravel()
    rows = s.open(r, low.ravel(), np.inf, low.size, future).reshape(n, n_t, n_w)
    e, of = _part_entries(s, service, part, groups)
    s.put("x", rows[of, s.entry_t[e], s.entry_w[e]], e, np.ones(len(e)))


def _add_worst(s: Sheet, r: WorstGroup) -> None:
    if not s.wants(r):
        return
    groups = np.arange(len(s.pr.groups))
    need = _part_need(s, r.service, r.part, groups)
    n, n_t, n_w = need.shape
    z = s.columns(1, 0.0, 0.0, 1.0)
    s.measure(r, z, -1.0, -1)
    rows = s.open(r, np.where(need > 0, 0.0, -np.inf).ravel(), np.inf, need.size).reshape(
        n, n_t, n_w
    )
    s.put("v", rows[need > 0], z, -1.0)
    e, of = _part_entries(s, r.service, r.part, groups)
    t, w = s.entry_t[e], s.entry_w[e]
    s.put("x", rows[of, t, w], e, 1.0 / need[of, t, w])


def _add_deviation(s: Sheet, r: Deviation) -> None:
    _add_mean_deviation(s, r)
    if r.ceiling is not None:
        _add_ceiling(s, r, np.asarray(r.ceiling, float))


def _add_ceiling(s: Sheet, r: Deviation, ceiling: Floats) -> None:
    """Each part's people over or under its share of all served, together at most 2 ceiling of them (Hoover)."""
    for t, _, need, e, of in _served_parts(s, r.service, r.part):
        share = need / need.sum()
        parts = np.flatnonzero(need > 0)
        d = s.columns(len(parts), 0.0, 0.0, need[parts] + share[parts] * need.sum())
        for sign in (1.0, -1.0):
            rows = s.open(_hard(r), -np.inf, 0.0, len(parts))
            s.put("v", rows, d, -1.0)
            for row, q in zip(rows, parts, strict=True):
                s.put("x", row, e, sign * ((of == q) - share[q]))
        limit = s.open(r, -np.inf, 0.0, 1)[0]
        s.put("v", limit, d, 1.0)
        s.put("x", limit, e, np.full(len(e), -2.0 * ceiling[t]))


def _add_gini(s: Sheet, r: Gini) -> None:
    """Of every two parts, the difference of people served weighed by the other's need; together below the ceiling."""
    for t, _, need, e, of in _served_parts(s, r.service, r.part):
        share = need / need.sum()
        first, second = np.triu_indices(len(need), 1)
        both = (need[first] > 0) | (need[second] > 0)
        first, second = first[both], second[both]
        most = share[second] * need[first] + share[first] * need[second]
        d = s.columns(len(first), 0.0, 0.0, most)
        for sign in (1.0, -1.0):
            rows = s.open(_hard(r), -np.inf, 0.0, len(first))
            s.put("v", rows, d, -1.0)
            for q in range(len(need)):
                mine = e[of == q]
                for at, value in (
                    (first == q, sign * share[second]),
                    (second == q, -sign * share[first]),
                ):
                    for row, a_person in zip(rows[at], value[at], strict=True):
                        s.put("x", row, mine, np.full(len(mine), a_person))
        limit = s.open(r, -np.inf, 0.0, 1)[0]
        s.put("v", limit, d, 1.0)
        s.put("x", limit, e, np.full(len(e), -float(r.ceiling[t])))


def _served_parts(
    s: Sheet, service: int, part: Ints
) -> Iterator[tuple[int, int, Floats, Ints, Ints]]:
    """Yield (period, future, need of each part, entries in any part, their parts) where there is need."""
    groups = np.arange(len(s.pr.groups))
    need = _part_need(s, service, part, groups)
    e, of = _part_entries(s, service, part, groups)
    for t, w in np.ndindex(need.shape[1:]):
        if need[:, t, w].sum() > 0:
            here = (s.entry_t[e] == t) & (s.entry_w[e] == w)
            yield t, w, need[:, t, w], e[here], of[here]


def _add_mean_deviation(s: Sheet, r: Deviation) -> None:
    """How far each part's share is from the county's is a column; times its need it is people."""
    if not s.wants(r):
        return
    groups = np.arange(len(s.pr.groups))
    need = _part_need(s, r.service, r.part, groups)
    _, n_t, n_w = need.shape
    total = need.sum(0)
    e, of = _part_entries(s, r.service, r.part, groups)
    t, w = s.entry_t[e], s.entry_w[e]
    for ti in range(n_t):
        for wi in range(n_w):
            if total[ti, wi] <= 0:
                continue
            here = (t == ti) & (w == wi)
            for q in np.flatnonzero(need[:, ti, wi] > 0):
                d = s.columns(1, 0.0, 0.0, 1.0)
                s.measure(r, d, float(need[q, ti, wi]) / n_t, wi)
                mine = 1.0 / need[q, ti, wi]
                value = np.where(of[here] == q, mine, 0.0) - 1.0 / total[ti, wi]
                rows = s.open(r, 0.0, np.inf, 2)
                s.put("v", rows, d, 1.0)
                s.put("x", rows[0], e[here], value)
                s.put("x", rows[1], e[here], -value)


def _add_capacity(s: Sheet, r: Capacity) -> None:
    """Least use of places: a shared row for every cell of an offer that asks for it."""
    pr = s.pr
    least = pr.occupancy_min[pr.offer_class]
    f = np.flatnonzero(least > 0)
    if not len(f):
        return
    n_c, n_t, n_w = len(pr.classes), len(pr.periods), len(pr.futures)
    site = pr.stint_site[pr.offer_stint]
    present = pr.stint_periods[pr.offer_stint[f]]
    q, t = np.nonzero(present)
    block = (site[f[q]] * n_c + pr.offer_class[f[q]]) * n_t + t
    keys, number = np.unique(block, return_inverse=True)
    rows = s.open(r, 0.0, np.inf, len(keys) * n_w).reshape(len(keys), n_w)
    for w in range(n_w):
        s.put("n", rows[number, w], f[q], -least[f[q]])
    mine = (pr.arc_site[s.entry_arc] * n_c + pr.arc_class[s.entry_arc]) * n_t + s.entry_t
    at = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
    e = np.flatnonzero(keys[at] == mine)
    pp = pr.places_per_person[pr.arc_class[s.entry_arc[e]], s.entry_group[e]]
    s.put("x", rows[at[e], s.entry_w[e]], e, pp)


def _add_reserved(s: Sheet, r: Reserved) -> None:
    pr = s.pr
    n_c, n_t, n_w = len(pr.classes), len(pr.periods), len(pr.futures)
    of_class = np.zeros(n_c, bool)
    of_class[r.classes] = True
    others = np.ones(len(pr.groups), bool)
    others[r.groups] = False
    f = np.flatnonzero(of_class[pr.offer_class])
    site = pr.stint_site[pr.offer_stint]
    q, t = np.nonzero(pr.stint_periods[pr.offer_stint[f]])
    block = (site[f[q]] * n_c + pr.offer_class[f[q]]) * n_t + t
    keys, number = np.unique(block, return_inverse=True)
    if not len(keys):
        return
    rows = s.open(r, -np.inf, 0.0, len(keys) * n_w).reshape(len(keys), n_w)
    for w in range(n_w):
        s.put("n", rows[number, w], f[q], -(1.0 - r.share))
    mine = (pr.arc_site[s.entry_arc] * n_c + pr.arc_class[s.entry_arc]) * n_t + s.entry_t
    at = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
    e = np.flatnonzero((keys[at] == mine) & others[s.entry_group])
    pp = pr.places_per_person[pr.arc_class[s.entry_arc[e]], s.entry_group[e]]
    s.put("x", rows[at[e], s.entry_w[e]], e, pp)


def _add_resettlement(s: Sheet, r: Resettlement) -> None:
    """A row a group, period and future: those of one group do not stand in for another's."""
    pr = s.pr
    need = pr.need[r.area, r.service]  # (G, T, W)
    rows = s.open(r, 0.0, np.inf, need.size).reshape(need.shape)
    closed = np.zeros(len(pr.options), bool)
    closed[r.closed_options] = True
    p = np.flatnonzero((pr.stint_site == r.site) & closed[pr.stint_option])
    q, t = np.nonzero(pr.stint_periods[p])
    for g in range(need.shape[0]):
        for w in range(need.shape[2]):
            s.put("y", rows[g, t, w], p[q], -need[g, t, w])
    near = np.zeros(len(pr.arc_area), bool)
    near[r.arcs] = True
    near &= (pr.arc_area == r.area) & (pr.class_service[pr.arc_class] == r.service)
    e = np.flatnonzero(near[s.entry_arc])
    s.put("x", rows[s.entry_group[e], s.entry_t[e], s.entry_w[e]], e, np.ones(len(e)))


def _stints_in(pr: Problem, options: Ints) -> Ints:
    of = np.zeros(len(pr.options), bool)
    of[options] = True
    return np.flatnonzero(of[pr.stint_option])


def _add_hub(s: Sheet, r: Hub) -> None:
    pr = s.pr
    n_t = len(pr.periods)
    points = _stints_in(pr, r.point_options)
    q, t = np.nonzero(pr.stint_periods[points])
    block = pr.stint_site[points[q]] * n_t + t
    keys, number = np.unique(block, return_inverse=True)
    if not len(keys):
        return
    rows = s.open(r, -np.inf, 0.0, len(keys))
    s.put("y", rows[number], points[q], np.ones(len(q)))
    row_at = np.full(len(pr.sites) * n_t, -1)
    row_at[keys] = rows
    hubs = _stints_in(pr, r.hub_options)
    for site, hub in zip(r.pair_site, r.pair_hub, strict=True):
        h = hubs[pr.stint_site[hubs] == hub]
        q, t = np.nonzero(pr.stint_periods[h])
        row = row_at[site * n_t + t]
        keep = row >= 0
        s.put("y", row[keep], h[q[keep]], np.full(int(keep.sum()), -1.0))


def _add_site_count(s: Sheet, r: SiteCount) -> None:
    pr = s.pr
    rows = s.open(r, r.minimum, r.maximum, len(pr.periods))
    p = _stints_in(pr, r.options)
    q, t = np.nonzero(pr.stint_periods[p])
    s.put("y", rows[t], p[q], np.ones(len(q)))


def _add_forced(s: Sheet, r: Forced) -> None:
    p = _stints_in(s.pr, r.options)
    p = p[(s.pr.stint_site[p] == r.site) & s.pr.stint_periods[p, r.period]]
    rows = s.open(r, 1.0, np.inf, 1) if r.wanted else s.open(r, -np.inf, 0.0, 1)
    s.put("y", rows[0], p, np.ones(len(p)))


def _add_places_ratio(s: Sheet, r: PlacesRatio) -> None:
    _places(s, r, np.asarray(r.offer_weight, float)[:, None], np.asarray(r.minimum, float))


def _add_places_share(s: Sheet, r: PlacesShare) -> None:
    share = np.asarray(r.share, float)
    value = (
        np.asarray(r.part, float)[:, None] - np.asarray(r.whole, float)[:, None] * share[None, :]
    )
    _places(s, r, value, np.zeros(len(share)))


def _places(s: Sheet, r: Rule, value: Floats, low: Floats) -> None:
    pr = s.pr
    rows = s.open(r, low, np.inf, len(pr.periods))
    f, t = np.nonzero(pr.stint_periods[pr.offer_stint])
    value = np.broadcast_to(value, (len(pr.offer_stint), len(pr.periods)))
    s.put("n", rows[t], f, value[f, t])


def _add_coverage(s: Sheet, r: Coverage) -> None:
    pr = s.pr
    n_t = len(pr.periods)
    people = np.asarray(r.people, float)
    for t in range(n_t):
        some = np.flatnonzero(people[:, t] > 0)
        if not len(some):
            continue
        col = np.full(len(r.areas), -1)
        col[some] = s.columns(len(some), 0.0, 0.0, 1.0)
        main = s.open(r, float(r.share[t]) * people[:, t].sum(), np.inf, 1)
        s.put("v", main[0], col[some], people[some, t])
        # Potential coverage is a definition, never itself a shortfall.
        link = s.open(_hard(r), -np.inf, 0.0, len(some))
        row = np.full(len(r.areas), -1)
        row[some] = link
        s.put("v", link, col[some], np.ones(len(some)))
        area, stint = r.pairs(pr.offer_stint)
        there = (row[area] >= 0) & pr.stint_periods[stint, t]
        s.put("y", row[area[there]], stint[there], np.full(int(there.sum()), -1.0))


def _add_fewest(s: Sheet) -> None:
    """Fewest whole sites that need implies, a row a service, period and future where opening costs.

    Places of K sites of at most ``size`` and the unmet hold all need, ``size K + unmet >= need``;
    K is whole, so ``K + unmet / (size f) >= ceil(need / size)`` with f the broken part of
    ``need / size`` (mixed-integer rounding: Nemhauser and Wolsey 1990, "A recursive procedure to
    generate all cuts for 0-1 mixed integer programs", Mathematical Programming 46).
    """
    pr = s.pr
    if s.obj.stint is None or not np.any(np.asarray(s.obj.stint) > 0):
        return
    _, n_s, n_g, n_t, n_w = pr.need.shape
    per_person = np.zeros((n_s, n_g))
    room = np.zeros((n_s, len(pr.stint_site)))
    number = np.zeros((n_s, n_t, n_w))  # of the largest sites that hold all need
    for service in range(n_s):
        offers = np.flatnonzero(pr.class_service[pr.offer_class] == service)
        if not len(offers):
            continue
        places = pr.offer_max[offers] * pr.occupancy_max[pr.offer_class[offers]]
        room[service] = np.bincount(pr.offer_stint[offers], places, minlength=room.shape[1])
        per_person[service] = pr.places_per_person[np.unique(pr.offer_class[offers])].min(0)
        need = np.einsum("igtw,g->tw", pr.own_need[:, service], per_person[service])
        number[service] = need / max(room[service].max(), 1e-9)
    fewest = np.ceil(number)
    broken = number - fewest + 1.0
    told = (number > 1.0) & (fewest <= _MOST_COUNTED) & (broken >= 0.01)
    if not told.any():
        return
    rule = Rule(id=FEWEST_SITES, words=Text("最少整处数", "Fewest whole sites"))
    rows = s.open(rule, np.where(told, fewest, 0.0).ravel(), np.inf, told.size).reshape(told.shape)
    for service, t, w in zip(*np.nonzero(told), strict=True):
        row = rows[service, t, w]
        p = np.flatnonzero((room[service] > 0) & pr.stint_periods[:, t])
        s.put("y", row, p, 1.0)
        flat, _ = _need_at(s, int(service), np.flatnonzero(~pr.onward), np.arange(n_g))
        u = s.row_of[flat[:, :, t, w]].astype(np.int64)
        size = room[service].max() * broken[service, t, w]
        share = np.broadcast_to(per_person[service] / size, u.shape)
        s.put("u", row, u[u >= 0], share[u >= 0])


def _hard(r: Rule) -> Rule:
    """The rule as it stands for a definition: that is never itself a shortfall."""
    return Rule(id=r.id, words=r.words, source=r.source, price=None)


def _add_mean_travel(s: Sheet, r: MeanTravel) -> None:
    """Minutes over what is allowed on average, over all served of the service."""
    pr, n_w = s.pr, len(s.pr.futures)
    minutes = np.asarray(r.minutes, float)
    limited = np.flatnonzero(np.isfinite(minutes))
    if not len(limited):
        return
    rows = s.open(r, -np.inf, 0.0, len(limited) * n_w).reshape(len(limited), n_w)
    place = np.full(len(minutes), -1)
    place[limited] = np.arange(len(limited))
    counts = (_entry_service(s) == r.service) & ~pr.onward[pr.arc_area[s.entry_arc]]
    e = np.flatnonzero(counts & (place[s.entry_t] >= 0))
    t = s.entry_t[e]
    over = pr.arc_minutes[s.entry_arc[e]] - minutes[t]
    s.put("x", rows[place[t], s.entry_w[e]], e, over)


def _add_room(s: Sheet, r: Room) -> None:
    rows = s.open(r, -np.inf, 0.0, len(r.stints))
    place = np.full(len(s.pr.stint_site), -1)
    place[r.stints] = np.arange(len(r.stints))
    f = np.flatnonzero((place[s.pr.offer_stint] >= 0) & (r.offer_area > 0))
    s.put("n", rows[place[s.pr.offer_stint[f]]], f, r.offer_area[f])
    s.put("y", rows, r.stints, -np.asarray(r.room, float))


def _add_referral(s: Sheet, r: Referral) -> None:
    """People sent on from a site: a share of those served there."""
    pr = s.pr
    shape = (len(r.site), len(pr.groups), len(pr.periods), len(pr.futures))
    rows = s.open(r, 0.0, 0.0, int(np.prod(shape))).reshape(shape)
    onward = _entry_service(s) == r.service
    here = np.isin(pr.arc_class[s.entry_arc], r.classes)
    for n, (site, area) in enumerate(zip(r.site, r.area, strict=True)):
        out = np.flatnonzero(onward & (pr.arc_area[s.entry_arc] == area))
        come = np.flatnonzero(here & (pr.arc_site[s.entry_arc] == site))
        for e, value in ((out, np.ones(len(out))), (come, -r.share[s.entry_t[come]])):
            s.put("x", rows[n, s.entry_group[e], s.entry_t[e], s.entry_w[e]], e, value)


def _add_nearest(s: Sheet, r: Nearest) -> None:
    """Where a nearer site is open nobody goes farther: a row an entry with farther ones, nearest first."""
    pr = s.pr
    mine = np.flatnonzero(_entry_service(s) == r.service)
    arc = s.entry_arc[mine]
    cell = (pr.arc_area[arc], s.entry_group[mine], s.entry_t[mine], s.entry_w[mine])
    _, _, n_g, n_t, n_w = pr.need.shape
    key = np.ravel_multi_index(cell, (len(pr.areas), n_g, n_t, n_w))
    order = np.lexsort((arc, pr.arc_class[arc], pr.arc_site[arc], pr.arc_minutes[arc], key))
    mine, arc, key, minutes = mine[order], arc[order], key[order], pr.arc_minutes[arc][order]
    rank = np.unique(np.column_stack([key, minutes]), axis=0, return_inverse=True)[1].ravel()
    after = np.searchsorted(rank, rank, "right")
    length = np.searchsorted(key, key, "right") - after
    some = np.flatnonzero(length)
    if not len(some):
        return
    need = pr.need[cell[0], r.service, cell[1], cell[2], cell[3]][order][some]
    rows = s.open(r, -np.inf, need, len(some))
    row, at = stretches(after[some], length[some])
    s.put("x", rows[row], mine[at], np.ones(len(at)))
    opened, stint = offering(pr, arc[some], cell[2][order][some])
    s.put("y", rows[opened], stint, need[opened])


_ADD: dict[type[Rule], Callable[[Sheet, Any], None]] = {
    Acceptance: _add_acceptance, Capacity: _add_capacity, Coverage: _add_coverage,
    Deviation: _add_deviation, Floor: _add_floor, Forced: _add_forced, Gini: _add_gini,
    Hub: _add_hub,
    MeanTravel: _add_mean_travel, Nearest: _add_nearest, Referral: _add_referral, Room: _add_room,
    PlacesRatio: _add_places_ratio, PlacesShare: _add_places_share, Reserved: _add_reserved,
    Resettlement: _add_resettlement, Resource: _add_resource, Served: _add_served,
    SiteCount: _add_site_count, WorstGroup: _add_worst,
}  # fmt: skip
_OVER_ENTRIES = (
    Acceptance,
    Capacity,
    Deviation,
    Floor,
    Gini,
    Held,
    MeanTravel,
    Nearest,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Served,
    WorstGroup,
)
