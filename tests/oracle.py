"""A second truth: every path of every site tried, each with a linear problem written here.

Reads `Problem` only; nothing of ``allocator.model`` is used.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import LinearConstraint, milp
from small_problems import configurations

from allocator.rules import (
    Coverage,
    Deviation,
    Floor,
    Forced,
    Gini,
    Hub,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Served,
    SiteCount,
    WorstGroup,
)


class _Lp:
    """Named variables and rows of one configuration."""

    def __init__(self):
        self.names, self.low, self.high, self.whole = {}, [], [], []
        self.rows, self.lower, self.upper = [], [], []

    def var(self, name, low=0.0, high=np.inf, whole=False):
        self.names[name] = len(self.names)
        self.low.append(low)
        self.high.append(high)
        self.whole.append(int(whole))
        return name

    def row(self, terms, lower=-np.inf, upper=np.inf):
        self.rows.append(terms)
        self.lower.append(lower)
        self.upper.append(upper)

    def solve(self, cost, extra=()):
        n = len(self.names)
        rows = [*self.rows, *(terms for terms, _ in extra)]
        lower = [*self.lower, *(-np.inf for _ in extra)]
        upper = [*self.upper, *(most for _, most in extra)]
        a = np.zeros((len(rows), n))
        for r, terms in enumerate(rows):
            for name, v in terms.items():
                a[r, self.names[name]] += v
        c = np.zeros(n)
        for name, v in cost.items():
            c[self.names[name]] += v
        result = milp(
            c, constraints=LinearConstraint(a, lower, upper), bounds=(self.low, self.high),
            integrality=self.whole, options={"mip_rel_gap": 0.0},
        )  # fmt: skip
        return result.fun if result.status == 0 else None


def _fixed_rules_hold(p, chosen, rules):
    """Rules on states alone: judged, not written."""

    def option(j, t):
        (s,) = [
            q for q in chosen if p.stint_site[q] == j and p.stint_first[q] <= t <= p.stint_last[q]
        ]
        return int(p.stint_option[s])

    sites, periods = range(len(p.sites)), range(len(p.periods))
    for r in rules:
        if isinstance(r, SiteCount):
            for t in periods:
                n = sum(option(j, t) in r.options for j in sites)
                if not r.minimum[t] <= n <= r.maximum[t]:
                    return False
        elif isinstance(r, Forced):
            if (option(r.site, r.period) in r.options) != r.wanted:
                return False
        elif isinstance(r, Hub):
            for t in periods:
                for j in sites:
                    if option(j, t) in r.point_options and not any(
                        option(h, t) in r.hub_options
                        for a, h in zip(r.pair_site, r.pair_hub, strict=True) if a == j
                    ):  # fmt: skip
                        return False
    return True


def _write(p, chosen, whole_places):
    """Return the linear problem of one configuration and its costs an objective."""
    lp = _Lp()
    areas, services, groups = len(p.areas), len(p.services), len(p.groups)
    periods, futures = range(len(p.periods)), range(len(p.futures))
    rules = p.rules
    offers = [f for f in range(len(p.offer_stint)) if p.offer_stint[f] in chosen]
    places = {}  # (site, class, t) -> offers
    for f in offers:
        m = p.offer_module[f]
        lp.var(("n", f), p.offer_min[f], p.offer_max[f], whole=whole_places)
        if m > 0:
            lp.var(("m", f), 0, np.inf, whole=True)
            lp.row({("n", f): 1.0, ("m", f): -m}, 0, 0)
        s = p.offer_stint[f]
        for t in range(p.stint_first[s], p.stint_last[s] + 1):
            places.setdefault((p.stint_site[s], p.offer_class[f], t), []).append(f)
    phi = np.broadcast_to(p.acceptance, (len(p.arc_area), groups))
    x = []
    for a in range(len(p.arc_area)):
        s = p.class_service[p.arc_class[a]]
        for g in range(groups):
            for t in periods:
                for w in futures:
                    d = p.need[p.arc_area[a], s, g, t, w]
                    if (p.arc_site[a], p.arc_class[a], t) in places and phi[a, g] * d > 0:
                        x.append(lp.var((a, g, t, w), 0, phi[a, g] * d))
    by_cell, by_place = {}, {}
    for name in x:
        a, g, t, w = name
        c = p.arc_class[a]
        by_cell.setdefault((p.arc_area[a], p.class_service[c], g, t, w), []).append(name)
        by_place.setdefault((p.arc_site[a], c, t, w), []).append(name)
    for cell, d in np.ndenumerate(p.need):
        lp.var(("u", *cell), 0, np.inf)
        names = by_cell.get(cell, [])
        lp.row({("u", *cell): 1.0, **dict.fromkeys(names, 1.0)}, d, d)
        for level in {phi[n[0], n[1]] for n in names}:
            lp.row({n: 1.0 for n in names if phi[n[0], n[1]] <= level}, upper=level * d)
    for (j, c, t), fs in places.items():
        for w in futures:
            use = {n: p.places_per_person[c, n[1]] for n in by_place.get((j, c, t, w), [])}
            lp.row({**use, **{("n", f): -p.occupancy_max[c] for f in fs}}, upper=0)
            lp.row({**use, **{("n", f): -p.occupancy_min[c] for f in fs}}, lower=0)
            for r in rules:
                if isinstance(r, Reserved) and c in r.classes:
                    other = {n: v for n, v in use.items() if n[1] not in r.groups}
                    lp.row({**other, **{("n", f): -(1 - r.share) for f in fs}}, upper=0)

    def standing(f, t):
        s = p.offer_stint[f]
        return p.stint_first[s] <= t <= p.stint_last[s]

    def share_rows(r, members, which, short):
        for n, part in enumerate(members):
            for t in periods:
                for w in futures:
                    got, d = {}, 0.0
                    for i in part:
                        for g in which:
                            d += p.need[i, r.service, g, t, w]
                            got.update(dict.fromkeys(by_cell.get((i, r.service, g, t, w), []), 1.0))
                    yield (n, t, w), got, d
                    if short and not r.is_hard:
                        lp.var((r.id, n, t, w))
                        got[r.id, n, t, w] = 1.0

    onward = {i for r in rules if isinstance(r, Referral) for i in r.area}
    shortfalls = {}  # rule -> {name: weight}
    auxiliary = {}
    for r in rules:
        short = {}
        if isinstance(r, Resource):
            k, cols = r.pool, len(p.periods)
            fixed, each = p.use_stint.toarray(), p.use_place.toarray()
            for t in periods:
                const = sum(fixed[s, k * cols + t] for s in chosen)
                most = min([r.supply[t], *(q.cap[t] / q.share for q in r.payers)])
                spread = [[w] for w in futures]
                if r.in_expectation:
                    spread = [list(futures)]
                for ws in spread:
                    terms = {("n", f): each[f, k * cols + t] for f in offers}
                    for n in x:
                        if n[2] == t and n[3] in ws:
                            c = p.arc_class[n[0]]
                            v = (
                                p.use_person[c, n[1], k, t]
                                + p.use_minute[c, k] * p.arc_minutes[n[0]]
                            )
                            terms[n] = v * (p.future_weight[n[3]] if r.in_expectation else 1.0)
                    lp.row(terms, upper=most - const)
        elif isinstance(r, Coverage):
            for t in periods:
                got = {
                    i
                    for i, f in zip(r.pair_area, r.pair_offer, strict=True)
                    if f in offers and standing(f, t)
                }
                have = sum(r.people[i, t] for i in got)
                terms = {}
                if not r.is_hard:
                    terms = {lp.var((r.id, t)): 1.0}
                    short[r.id, t] = 1.0
                lp.row(terms, lower=r.share[t] * r.people[:, t].sum() - have - 1e-9)
        elif isinstance(r, Served | Floor):
            if isinstance(r, Served):
                members, which = [list(r.areas)], list(r.groups)
            else:
                members = [np.flatnonzero(r.part == q) for q in range(r.part.max() + 1)]
                which = range(groups)
            for key, got, d in share_rows(r, members, which, False):
                if not r.is_hard:
                    short[lp.var((r.id, *key))] = p.future_weight[key[2]]
                    got[(r.id, *key)] = 1.0
                lp.row(got, lower=r.share[key[1]] * d)
        elif isinstance(r, PlacesRatio | PlacesShare):
            for t in periods:
                now = [f for f in offers if standing(f, t)]
                if isinstance(r, PlacesRatio):
                    terms, least = {("n", f): r.offer_weight[f] for f in now}, r.minimum[t]
                else:
                    terms, least = {("n", f): r.part[f] - r.share[t] * r.whole[f] for f in now}, 0.0
                if not r.is_hard:
                    short[lp.var((r.id, t))] = 1.0
                    terms[r.id, t] = 1.0
                lp.row(terms, lower=least)
        elif isinstance(r, Resettlement):
            for t in periods:
                closed = any(
                    p.stint_site[s] == r.site and p.stint_option[s] in r.closed_options
                    and p.stint_first[s] <= t <= p.stint_last[s] for s in chosen
                )  # fmt: skip
                for g in range(groups):
                    for w in futures:
                        if closed:
                            names = by_cell.get((r.area, r.service, g, t, w), [])
                            lp.row(
                                {n: 1.0 for n in names if n[0] in r.arcs},
                                lower=p.need[r.area, r.service, g, t, w],
                            )
        elif isinstance(r, WorstGroup):
            z = lp.var((r.id, "z"), 0, 1)
            members = [np.flatnonzero(r.part == q) for q in range(r.part.max() + 1)]
            for _, got, d in share_rows(r, members, range(groups), False):
                lp.row({**got, z: -d}, lower=0)
            auxiliary[r.id] = {z: -1.0}
        elif isinstance(r, Deviation):
            members = [np.flatnonzero(r.part == q) for q in range(r.part.max() + 1)]
            everyone = {
                key[1:]: (got, d)
                for key, got, d in share_rows(
                    r, [np.flatnonzero(r.part >= 0)], range(groups), False
                )
            }
            auxiliary[r.id] = {}
            for key, got, d in share_rows(r, members, range(groups), False):
                all_got, all_d = everyone[key[1:]]
                e = lp.var((r.id, *key))
                auxiliary[r.id][e] = p.future_weight[key[2]] / len(p.periods)
                gap = dict(got)
                for n in all_got:
                    gap[n] = gap.get(n, 0.0) - (d / all_d if all_d else 0.0)
                lp.row({**gap, e: 1.0}, lower=0)
                lp.row({**{n: -v for n, v in gap.items()}, e: 1.0}, lower=0)
            for (t, w), (got, _) in everyone.items() if r.ceiling is not None else ():
                if members:
                    off = {(r.id, q, t, w): 0.5 for q in range(len(members))}
                    lp.row({**off, **{n: -r.ceiling[t] for n in got}}, upper=0)
        elif isinstance(r, Gini):
            members = [np.flatnonzero(r.part == q) for q in range(r.part.max() + 1)]
            parts = {key: (got, d) for key, got, d in share_rows(r, members, range(groups), False)}
            for t, w in np.ndindex(len(periods), len(futures)):
                mine = [parts[q, t, w] for q in range(len(members))]
                need = sum(d for _, d in mine)
                total = {}
                for a, (got, d) in enumerate(mine):
                    total.update(dict.fromkeys(got, -r.ceiling[t]))
                    for b in range(a):
                        e = lp.var((r.id, a, b, t, w))
                        total[e] = 1.0
                        apart = {n: mine[b][1] / need for n in got if need}
                        apart |= {n: -d / need for n in mine[b][0] if need}
                        lp.row({**apart, e: 1.0}, lower=0)
                        lp.row({**apart, e: -1.0}, upper=0)
                lp.row(total, upper=0)
        elif isinstance(r, MeanTravel):
            for t, w in np.ndindex(len(periods), len(futures)):
                if r.minutes[t] < np.inf:
                    over = {
                        n: p.arc_minutes[n[0]] - r.minutes[t] for n in x
                        if n[2:] == (t, w) and p.class_service[p.arc_class[n[0]]] == r.service
                        and p.arc_area[n[0]] not in onward
                    }  # fmt: skip
                    lp.row(over, upper=0)
        elif isinstance(r, Nearest):
            # What stands is known here: whoever has a nearer open place may not use a farther one.
            for cell, names in by_cell.items():
                if cell[1] == r.service:
                    least = min(p.arc_minutes[n[0]] for n in names)
                    lp.row({n: 1.0 for n in names if p.arc_minutes[n[0]] > least}, upper=0)
        elif isinstance(r, Room):
            for s, room in zip(r.stints, r.room, strict=True):
                inside = {("n", f): r.offer_area[f] for f in offers if p.offer_stint[f] == s}
                if s in chosen:
                    lp.row(inside, upper=room)
        elif isinstance(r, Referral):
            for site, area in zip(r.site, r.area, strict=True):
                for g, t, w in np.ndindex(groups, len(periods), len(futures)):
                    terms = dict.fromkeys(by_cell.get((area, r.service, g, t, w), []), 1.0)
                    for c in r.classes:
                        for n in by_place.get((site, c, t, w), []):
                            if n[1] == g:
                                terms[n] = terms.get(n, 0.0) - r.share[t]
                    lp.row(terms, lower=0, upper=0)
        shortfalls[r.id] = short

    costs = []
    for number, o in enumerate(p.objectives):
        fixed, by_future = {}, [{} for _ in futures]
        const = o.constant
        if o.stint is not None:
            const += sum(o.stint[s] for s in chosen)
        if o.place is not None:
            fixed.update({("n", f): o.place[f] for f in offers})
        scale = np.ones(len(p.periods)) if o.period_weight is None else o.period_weight
        if o.person is not None:
            each = np.broadcast_to(o.person, (len(p.arc_area), groups))
            for n in x:
                by_future[n[3]][n] = each[n[0], n[1]] * scale[n[2]]
        if o.unmet is not None:
            each = np.broadcast_to(o.unmet, (areas, services, groups))
            for cell in np.ndindex(p.need.shape):
                i, s, g, t, w = cell
                by_future[w]["u", *cell] = each[i, s, g] * scale[t]
        for r in rules:
            if o.shortfalls and not r.is_hard:
                for name, v in shortfalls[r.id].items():
                    if isinstance(r, Served | Floor):
                        by_future[name[3]][name] = r.price
                    else:
                        fixed[name] = r.price * v
            if r.id == o.epigraph:
                for name, v in auxiliary[r.id].items():
                    if isinstance(r, Deviation):
                        w = name[3]
                        by_future[w][name] = o.epigraph_weight * v / p.future_weight[w]
                    else:
                        fixed[name] = o.epigraph_weight * v
        cost = dict(fixed)
        if o.risk == "expected":
            for w in futures:
                for name, v in by_future[w].items():
                    cost[name] = cost.get(name, 0.0) + p.future_weight[w] * v
        elif o.risk in ("worst", "regret"):
            top = lp.var(("top", number), -np.inf)
            cost[top] = 1.0
            for w in futures:
                best = o.future_best[w] if o.risk == "regret" else 0.0
                lp.row({**by_future[w], top: -1.0}, upper=best)
        else:
            eta = lp.var(("eta", number), -np.inf)
            cost[eta] = 1.0
            for w in futures:
                e = lp.var(("excess", number, w))
                cost[e] = p.future_weight[w] / o.risk_share
                lp.row({**by_future[w], eta: -1.0, e: -1.0}, upper=0.0)
        costs.append((cost, const))
    return lp, costs


def best_by_enumeration(p, *, whole_places=False):
    """Return the value of each objective in order over all configurations; None if none is feasible."""
    written = [
        (*_write(p, chosen, whole_places), [])
        for chosen in configurations(p)
        if _fixed_rules_hold(p, chosen, p.rules)
    ]
    values = []
    for number, o in enumerate(p.objectives):
        found = []
        for lp, costs, extra in written:
            cost, const = costs[number]
            value = lp.solve(cost, extra)
            found.append(np.inf if value is None else value + const)
        best = min(found, default=np.inf)
        if not np.isfinite(best):
            return None
        values.append(best)
        plain = best - o.constant
        room = o.tolerance * max(abs(plain), 1e-6) + 1e-7
        keep = []
        for (lp, costs, extra), v in zip(written, found, strict=True):
            if v <= best + room + 1e-9:
                cost, const = costs[number]
                keep.append((lp, costs, [*extra, (cost, best + room - const)]))
        written = keep
    return values
