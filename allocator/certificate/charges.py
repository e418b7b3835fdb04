"""What the prices of each rule family's rows add to the cost of each choice, and what they are sure of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["CHARGES", "Account", "Counted", "NoProof", "counted", "in_place"]


class NoProof(Exception):
    """The prices are not prices of this problem, or prove nothing."""


@dataclass(frozen=True, eq=False)
class Counted:
    """How much an objective counts: ``whole`` what all futures share, ``future`` (W,) what each bears alone."""

    objective: Objective
    whole: float
    future: Floats


def counted(pr: Problem, prices: Mapping[str, Floats]) -> tuple[list[Counted], float]:
    """Return how prices count the first objective and those held, and what that is sure of.

    The first counts once, one held as its price says; futures count by their chance or, under risk, by the
    prices of their rows, which add up to the whole (its dual: Rockafellar and Uryasev 2000).
    """
    found, sure = [], 0.0
    held = [r for r in pr.rules if isinstance(r, Held)]
    for objective, rule in [
        (pr.objectives[0], None),
        *((pr.objective(r.objective), r) for r in held),
    ]:
        whole = 1.0
        if rule is not None:
            (whole,) = np.ravel(prices.get(rule.id, np.zeros(1))).tolist()
            if whole < 0 or not math.isfinite(rule.most):
                raise NoProof
            sure -= whole * rule.most
        future = whole * np.asarray(pr.future_weight, float)
        if objective.risk != "expected":
            future = _weighed(
                pr, objective, whole, np.ravel(prices.get(f"risk:{objective.id}", ()))
            )
            if objective.risk == "regret":
                sure -= float(future @ np.asarray(objective.future_best, float))
        found.append(Counted(objective, whole, future))
    return found, sure


def _weighed(pr: Problem, objective: Objective, whole: float, given: Floats) -> Floats:
    """Return the weights of futures that the prices of a risk are, made to add up to the last bit."""
    if whole == 0.0:
        return np.zeros(len(pr.futures))
    if (
        len(given) != len(pr.futures)
        or np.any(given < 0)
        or abs(given.sum() - whole) > 1e-9 * whole
    ):
        raise NoProof
    if objective.risk == "cvar":
        most = whole * np.asarray(pr.future_weight, float) / objective.risk_share
        if np.any(given > most * (1 + 1e-9)):
            raise NoProof
    return np.asarray(given * (whole / given.sum()))


@dataclass(eq=False)
class Account:
    """What prices add to the cost of each choice, and what they are sure of."""

    pr: Problem
    counted: list[Counted]
    prices: Mapping[str, Floats]
    stint: Floats  # (P,)
    place: Floats  # (F,)
    arc: Floats  # (A, G, T, W) a person
    there: NDArray[np.bool_]  # (A, G, T, W) people who may go, at a site that may offer it then
    flat: Ints  # (A, G, T, W) position in need
    at: dict[str, int] = field(default_factory=dict)  # rows taken by rule id; rules may share one
    total: float = 0.0

    def rows(
        self,
        rule: Rule,
        low: Floats | float,
        high: Floats | float,
        count: int,
        *,
        defines: bool = False,
        future: Ints | int = -1,
    ) -> Floats:
        """Take the prices of the next rows ``low <= use <= high``; return them (count,).

        A price above 0 charges use and pays the upper limit, one below 0 the lower. What a priced rule
        lacks costs its price, in a ``future`` or (-1) in all, so there a row's price is at most that,
        unless it only ``defines`` a column.
        """
        stored = np.ravel(self.prices.get(rule.id, ())).astype(float)
        first = self.at.get(rule.id, 0)
        price = stored[first : first + count]
        if len(price) != count:
            raise NoProof
        self.at[rule.id] = first + count
        limit = np.where(price >= 0, np.broadcast_to(high, count), np.broadcast_to(low, count))
        used = price != 0
        if not np.isfinite(limit[used]).all():
            raise NoProof
        if rule.price is not None and not defines:
            parts = [c for c in self.counted if c.objective.shortfalls]
            each = sum(
                (np.append(c.future, c.whole) for c in parts), np.zeros(len(self.pr.futures) + 1)
            )
            most = rule.price * each[np.asarray(future)]
            if np.any(np.abs(price) > most * (1 + 1e-12) + 1e-12):
                raise NoProof
        self.total -= float(price[used] @ limit[used])
        return price

    def measured(self, rule: Rule) -> tuple[bool, float, Floats]:
        """Return whether any objective counts a measure, and how much: shared by all futures, and of each (W,)."""
        parts = [
            c
            for c in self.counted
            if c.objective.epigraph == rule.id and c.objective.epigraph_weight
        ]
        whole = sum(c.objective.epigraph_weight * c.whole for c in parts)
        none = np.zeros(len(self.pr.futures))
        return (
            bool(parts),
            whole,
            sum((c.objective.epigraph_weight * c.future for c in parts), none),
        )

    def boxed(self, reduced: Floats | float) -> None:
        """Add columns from 0 to 1 at these costs: each is 1 where that is cheaper.

        A column to another end counts its cost times that end.
        """
        self.total += float(np.minimum(reduced, 0.0).sum())


def in_place(pr: Problem, stints: Ints) -> list[tuple[int, int]]:
    """Return (stint, period) of every period of these stints, stints in order."""
    return [
        (p, t)
        for p in stints.tolist()
        for t in range(int(pr.stint_first[p]), int(pr.stint_last[p]) + 1)
    ]


def _among(pr: Problem, options: Ints) -> Ints:
    return np.flatnonzero(np.isin(pr.stint_option, options))


def _charge_resource(acc: Account, rule: Resource) -> None:
    """The pool's use in each limited period; in each future apart where people use it."""
    pr, k, n_t = acc.pr, rule.pool, len(acc.pr.periods)
    limit = rule.most
    finite = np.flatnonzero(np.isfinite(limit))
    by_people = bool(pr.use_person[:, :, k].any() or pr.use_minute[:, k].any())
    n_w = len(pr.futures) if by_people and not rule.in_expectation else 1
    if not len(finite):
        return
    given = acc.rows(rule, -np.inf, np.repeat(limit[finite], n_w), len(finite) * n_w)
    price = np.zeros((n_t, n_w))
    price[finite] = given.reshape(len(finite), n_w)
    acc.stint += pr.use_stint[:, k * n_t : (k + 1) * n_t] @ price.sum(1)
    acc.place += pr.use_place[:, k * n_t : (k + 1) * n_t] @ price.sum(1)
    if by_people:
        c = pr.arc_class
        use = pr.use_person[c, :, k, :] + (pr.use_minute[c, k] * pr.arc_minutes)[:, None, None]
        share = price if n_w > 1 or not rule.in_expectation else price * pr.future_weight
        acc.arc += use[:, :, :, None] * share


def _charge_acceptance(acc: Account, rule: Acceptance) -> None:
    """Of each need, what goes over arcs accepted by at most alpha; one arc alone is held by its own limit."""
    pr = acc.pr
    phi = np.broadcast_to(pr.acceptance, (len(pr.arc_area), len(pr.groups)))[:, :, None, None]
    phi = np.broadcast_to(phi, acc.there.shape)
    for alpha in np.unique(phi[acc.there & (phi < 1.0)]):
        at_level = np.zeros(pr.need.size, bool)
        at_level[acc.flat[acc.there & (phi == alpha)]] = True
        inside = acc.there & (phi <= alpha) & at_level[acc.flat]
        count = np.bincount(acc.flat[inside], minlength=pr.need.size)
        keys = np.flatnonzero(count > 1)
        price = np.zeros(pr.need.size)
        price[keys] = acc.rows(rule, -np.inf, alpha * pr.need.ravel()[keys], len(keys))
        acc.arc += np.where(inside, price[acc.flat], 0.0)


def _parts(
    acc: Account, service: int, part: Ints, groups: Ints
) -> tuple[Floats, NDArray[np.bool_], Ints]:
    """Return need (N, T, W) of each part, the arcs and groups in any (A, G), and the part of each arc."""
    pr = acc.pr
    inside = np.flatnonzero(part >= 0)
    need = np.zeros((int(part.max(initial=-1)) + 1, len(pr.periods), len(pr.futures)))
    for i in inside.tolist():
        need[part[i]] += pr.need[i, service][groups].sum(0)
    of = part[pr.arc_area]
    mine = (of >= 0) & (pr.class_service[pr.arc_class] == service)
    return need, mine[:, None] & np.isin(np.arange(len(pr.groups)), groups)[None, :], of


def _needed(need: Floats) -> Iterator[tuple[int, int, float]]:
    """Yield (period, future, need of all parts) where there is any."""
    for t, w in np.ndindex(need.shape[1:]):
        if need[:, t, w].sum() > 0:
            yield t, w, float(need[:, t, w].sum())


def _charge_share(
    acc: Account, rule: Rule, service: int, part: Ints, groups: Ints, share: Floats
) -> None:
    need, mine, of = _parts(acc, service, part, groups)
    low = np.asarray(share, float)[None, :, None] * need
    future = np.broadcast_to(np.arange(need.shape[2]), need.shape).ravel()
    price = acc.rows(rule, low.ravel(), np.inf, low.size, future=future).reshape(need.shape)
    acc.arc += np.where(mine[:, :, None, None], price[of][:, None], 0.0)


def _charge_served(acc: Account, rule: Served) -> None:
    part = np.full(len(acc.pr.areas), -1)
    part[rule.areas] = 0
    _charge_share(acc, rule, rule.service, part, rule.groups, rule.share)


def _charge_floor(acc: Account, rule: Floor) -> None:
    _charge_share(acc, rule, rule.service, rule.part, np.arange(len(acc.pr.groups)), rule.share)


def _charge_worst(acc: Account, rule: WorstGroup) -> None:
    """The least share z is a column from 0 to 1 that an objective wants high."""
    wanted, weight, _ = acc.measured(rule)
    if not wanted:
        return
    need, mine, of = _parts(acc, rule.service, rule.part, np.arange(len(acc.pr.groups)))
    some = need > 0
    low = np.where(some, 0.0, -np.inf)
    price = acc.rows(rule, low.ravel(), np.inf, need.size).reshape(need.shape)
    acc.boxed(-weight - price[some].sum())
    if not some.any():
        return
    a_person = np.where(some, price / np.where(some, need, 1.0), 0.0)
    acc.arc += np.where(mine[:, :, None, None], a_person[of][:, None], 0.0)


def _charge_deviation(acc: Account, rule: Deviation) -> None:
    _charge_mean_deviation(acc, rule)
    if rule.ceiling is not None:
        _charge_ceiling(acc, rule, np.asarray(rule.ceiling, float))


def _charge_ceiling(acc: Account, rule: Deviation, ceiling: Floats) -> None:
    """How far each part's people are from its share of all served is a column below what both could be."""
    need, mine, of = _parts(acc, rule.service, rule.part, np.arange(len(acc.pr.groups)))
    for t, w, whole in _needed(need):
        parts = np.flatnonzero(need[:, t, w] > 0)
        above = acc.rows(rule, -np.inf, 0.0, len(parts), defines=True)
        below = acc.rows(rule, -np.inf, 0.0, len(parts), defines=True)
        (limit,) = acc.rows(rule, -np.inf, 0.0, 1)
        own = need[parts, t, w]
        acc.boxed((limit - above - below) * 2.0 * own)
        net = above - below
        each = np.full(len(of), -2.0 * ceiling[t] * limit - float((net * own).sum()) / whole)
        for q, a_person in zip(parts.tolist(), net.tolist(), strict=True):
            each[of == q] += a_person
        acc.arc[:, :, t, w] += np.where(mine, each[:, None], 0.0)


def _charge_gini(acc: Account, rule: Gini) -> None:
    """Of every two parts, the difference of people served weighed by the other's need is a column."""
    need, mine, of = _parts(acc, rule.service, rule.part, np.arange(len(acc.pr.groups)))
    for t, w, whole in _needed(need):
        pairs = [
            (p, q)
            for p in range(len(need))
            for q in range(p + 1, len(need))
            if need[p, t, w] > 0 or need[q, t, w] > 0
        ]
        above = acc.rows(rule, -np.inf, 0.0, len(pairs), defines=True)
        below = acc.rows(rule, -np.inf, 0.0, len(pairs), defines=True)
        (limit,) = acc.rows(rule, -np.inf, 0.0, 1)
        each = np.full(len(of), -float(rule.ceiling[t]) * limit)
        for n, (p, q) in enumerate(pairs):
            own, other = float(need[p, t, w]), float(need[q, t, w])
            acc.boxed((limit - above[n] - below[n]) * 2.0 * own * other / whole)
            each[of == p] += (above[n] - below[n]) * other / whole
            each[of == q] -= (above[n] - below[n]) * own / whole
        acc.arc[:, :, t, w] += np.where(mine, each[:, None], 0.0)


def _charge_mean_deviation(acc: Account, rule: Deviation) -> None:
    """Each part's distance from the county's share, above and below, is a column from 0 to 1."""
    wanted, _, weight = acc.measured(rule)
    if not wanted:
        return
    pr = acc.pr
    need, mine, of = _parts(acc, rule.service, rule.part, np.arange(len(pr.groups)))
    for t, w, whole in _needed(need):
        for q in np.flatnonzero(need[:, t, w] > 0):
            own = float(need[q, t, w])
            above, below = acc.rows(rule, 0.0, np.inf, 2)
            cost = float(weight[w]) * own / len(pr.periods)
            acc.boxed(cost + above + below)
            each = (above - below) * (np.where(of == q, 1.0 / own, 0.0) - 1.0 / whole)
            acc.arc[:, :, t, w] += np.where(mine, each[:, None], 0.0)


def _cells(pr: Problem, offers: Ints) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Return the (site, class, period) that offers fill, sorted, and (offer, which of these) pairs."""
    pairs = [
        (f, (int(pr.stint_site[p]), int(pr.offer_class[f]), t))
        for f in offers.tolist()
        for p, t in in_place(pr, pr.offer_stint[[f]])
    ]
    cells = sorted({c for _, c in pairs})
    number = {c: n for n, c in enumerate(cells)}
    return cells, [(f, number[c]) for f, c in pairs]


def _charge_cells(
    acc: Account, price: Floats, cells: list[tuple[int, int, int]], groups: Ints
) -> None:
    """Charge places used by people of the groups in each cell (cells, W)."""
    pr = acc.pr
    for n, (j, c, t) in enumerate(cells):
        mine = np.flatnonzero((pr.arc_site == j) & (pr.arc_class == c))
        per = pr.places_per_person[c][groups]
        acc.arc[np.ix_(mine, groups, np.array([t]))] += (per[:, None] * price[n][None, :])[
            None, :, None, :
        ]


def _charge_capacity(acc: Account, rule: Capacity) -> None:
    """Least use of the places of offers that ask for it."""
    pr = acc.pr
    least = pr.occupancy_min[pr.offer_class]
    cells, pairs = _cells(pr, np.flatnonzero(least > 0))
    if not cells:
        return
    n_w = len(pr.futures)
    price = acc.rows(rule, 0.0, np.inf, len(cells) * n_w).reshape(len(cells), n_w)
    for f, n in pairs:
        acc.place[f] -= least[f] * price[n].sum()
    _charge_cells(acc, price, cells, np.arange(len(pr.groups)))


def _charge_reserved(acc: Account, rule: Reserved) -> None:
    """People of other groups within the places that are not kept."""
    pr = acc.pr
    cells, pairs = _cells(pr, np.flatnonzero(np.isin(pr.offer_class, rule.classes)))
    if not cells:
        return
    n_w = len(pr.futures)
    price = acc.rows(rule, -np.inf, 0.0, len(cells) * n_w).reshape(len(cells), n_w)
    for f, n in pairs:
        acc.place[f] -= (1.0 - rule.share) * price[n].sum()
    _charge_cells(acc, price, cells, np.setdiff1d(np.arange(len(pr.groups)), rule.groups))


def _charge_resettlement(acc: Account, rule: Resettlement) -> None:
    """Residents of a home that is closed are served near."""
    pr = acc.pr
    need = pr.need[rule.area, rule.service]  # (G, T, W)
    price = acc.rows(rule, 0.0, np.inf, need.size).reshape(need.shape)
    closed = _among(pr, rule.closed_options)
    for p, t in in_place(pr, closed[pr.stint_site[closed] == rule.site]):
        acc.stint[p] -= float((price[:, t] * need[:, t]).sum())
    near = np.isin(np.arange(len(pr.arc_area)), rule.arcs) & (pr.arc_area == rule.area)
    near &= pr.class_service[pr.arc_class] == rule.service
    acc.arc[near] += price[None]


def _charge_hub(acc: Account, rule: Hub) -> None:
    """A point in a period against the hubs in its reach."""
    pr = acc.pr
    points = in_place(pr, _among(pr, rule.point_options))
    keys = sorted({(int(pr.stint_site[p]), t) for p, t in points})
    if not keys:
        return
    price = dict(zip(keys, acc.rows(rule, -np.inf, 0.0, len(keys)).tolist(), strict=True))
    for p, t in points:
        acc.stint[p] += price[int(pr.stint_site[p]), t]
    hubs = in_place(pr, _among(pr, rule.hub_options))
    for site, hub in zip(rule.pair_site.tolist(), rule.pair_hub.tolist(), strict=True):
        for p, t in hubs:
            if pr.stint_site[p] == hub:
                acc.stint[p] -= price.get((site, t), 0.0)


def _charge_count(acc: Account, rule: SiteCount) -> None:
    """Sites in the options, each period."""
    price = acc.rows(rule, rule.minimum, rule.maximum, len(acc.pr.periods))
    for p, t in in_place(acc.pr, _among(acc.pr, rule.options)):
        acc.stint[p] += price[t]


def _charge_forced(acc: Account, rule: Forced) -> None:
    """A named site in, or out of, the options in a period."""
    pr = acc.pr
    (price,) = acc.rows(rule, 1.0 if rule.wanted else -np.inf, np.inf if rule.wanted else 0.0, 1)
    for p, t in in_place(pr, _among(pr, rule.options)):
        if pr.stint_site[p] == rule.site and t == rule.period:
            acc.stint[p] += price


def _charge_places(acc: Account, rule: Rule, each: Floats, low: Floats) -> None:
    """Places of each period (F, T) weighed, at least so many."""
    price = acc.rows(rule, low, np.inf, len(acc.pr.periods))
    for f, p in enumerate(acc.pr.offer_stint.tolist()):
        for _, t in in_place(acc.pr, np.array([p])):
            acc.place[f] += price[t] * each[f, t]


def _charge_ratio(acc: Account, rule: PlacesRatio) -> None:
    each = np.repeat(np.asarray(rule.offer_weight, float)[:, None], len(acc.pr.periods), 1)
    _charge_places(acc, rule, each, np.asarray(rule.minimum, float))


def _charge_kind(acc: Account, rule: PlacesShare) -> None:
    share = np.asarray(rule.share, float)
    each = np.asarray(rule.part, float)[:, None] - np.asarray(rule.whole, float)[:, None] * share
    _charge_places(acc, rule, each, np.zeros(len(share)))


def _charge_coverage(acc: Account, rule: Coverage) -> None:
    """Covered areas are columns from 0 to 1, held by the sites in reach and asked for by people."""
    pr, people = acc.pr, np.asarray(rule.people, float)
    area, stint = rule.pairs(pr.offer_stint)
    for t in range(len(pr.periods)):
        some = np.flatnonzero(people[:, t] > 0)
        if not len(some):
            continue
        (main,) = acc.rows(rule, float(rule.share[t]) * people[:, t].sum(), np.inf, 1)
        link = np.zeros(len(rule.areas))
        link[some] = acc.rows(rule, -np.inf, 0.0, len(some), defines=True)
        acc.boxed(main * people[some, t] + link[some])
        for i, p in zip(area.tolist(), stint.tolist(), strict=True):
            if people[i, t] > 0 and pr.stint_first[p] <= t <= pr.stint_last[p]:
                acc.stint[p] -= link[i]


def _charge_mean_travel(acc: Account, rule: MeanTravel) -> None:
    """Minutes over what is allowed on average."""
    pr, minutes = acc.pr, np.asarray(rule.minutes, float)
    limited = np.flatnonzero(np.isfinite(minutes))
    if not len(limited):
        return
    n_w = len(pr.futures)
    price = acc.rows(rule, -np.inf, 0.0, len(limited) * n_w).reshape(len(limited), n_w)
    mine = pr.class_service[pr.arc_class] == rule.service
    mine = np.flatnonzero(mine & ~pr.onward[pr.arc_area])
    for n, t in enumerate(limited.tolist()):
        over = pr.arc_minutes[mine] - minutes[t]
        acc.arc[mine, :, t] += over[:, None, None] * price[n][None, None, :]


def _charge_room(acc: Account, rule: Room) -> None:
    """Floor that offers take, against the floor of their building."""
    price = acc.rows(rule, -np.inf, 0.0, len(rule.stints))
    for n, p in enumerate(rule.stints.tolist()):
        acc.stint[p] -= price[n] * rule.room[n]
        for f in np.flatnonzero(acc.pr.offer_stint == p).tolist():
            acc.place[f] += price[n] * max(float(rule.offer_area[f]), 0.0)


def _charge_referral(acc: Account, rule: Referral) -> None:
    """Those whom a site sends on, against a share of those served there."""
    pr = acc.pr
    shape = (len(rule.site), len(pr.groups), len(pr.periods), len(pr.futures))
    price = acc.rows(rule, 0.0, 0.0, math.prod(shape)).reshape(shape)
    onward = pr.class_service[pr.arc_class] == rule.service
    here = np.isin(pr.arc_class, rule.classes)
    for n, (site, area) in enumerate(zip(rule.site.tolist(), rule.area.tolist(), strict=True)):
        acc.arc[onward & (pr.arc_area == area)] += price[n]
        come = here & (pr.arc_site == site)
        acc.arc[come] -= price[n] * np.asarray(rule.share, float)[:, None]


def _charge_nearest(acc: Account, rule: Nearest) -> None:
    """Of each need, arcs nearest first: what goes farther, against what is open nearer."""
    pr = acc.pr
    offering: dict[tuple[int, int, int], list[int]] = {}
    for f, c in enumerate(pr.offer_class.tolist()):
        for p, t in in_place(pr, pr.offer_stint[[f]]):
            offering.setdefault((int(pr.stint_site[p]), c, t), []).append(p)
    mine = np.flatnonzero(pr.class_service[pr.arc_class] == rule.service)
    for i in range(len(pr.areas)):
        near = sorted(
            mine[pr.arc_area[mine] == i].tolist(),
            key=lambda a: (pr.arc_minutes[a], pr.arc_site[a], pr.arc_class[a], a),
        )
        for g, t, w in np.ndindex(acc.there.shape[1:]):
            need = float(pr.need[i, rule.service, g, t, w])
            there = [a for a in near if acc.there[a, g, t, w]]
            for a in there:
                farther = [b for b in there if pr.arc_minutes[b] > pr.arc_minutes[a]]
                if not farther:
                    continue
                (price,) = acc.rows(rule, -np.inf, need, 1)
                acc.arc[farther, g, t, w] += price
                for p in set(offering[int(pr.arc_site[a]), int(pr.arc_class[a]), t]):
                    acc.stint[p] += price * need


CHARGES: dict[type[Rule], Callable[[Account, Any], None]] = {
    Acceptance: _charge_acceptance, Capacity: _charge_capacity, Coverage: _charge_coverage,
    Deviation: _charge_deviation, Floor: _charge_floor, Forced: _charge_forced, Gini: _charge_gini, Hub: _charge_hub,
    MeanTravel: _charge_mean_travel, Nearest: _charge_nearest, Referral: _charge_referral, Room: _charge_room,
    PlacesRatio: _charge_ratio, PlacesShare: _charge_kind, Reserved: _charge_reserved,
    Resettlement: _charge_resettlement, Resource: _charge_resource, Served: _charge_served,
    SiteCount: _charge_count, WorstGroup: _charge_worst,
}  # fmt: skip
