"""The bound of a plan recomputed from its stored prices, in plain Python and numpy.

Weak duality: charge every shared row at its price; what each site would then do alone costs no more
than in any plan, so the sum is a bound whatever the prices are. Nothing here is shared with
``model/``: rows are read anew from the rules, in the order in which prices are stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from allocator.certificate.charges import CHARGES, Account, NoProof, counted
from allocator.errors import Finding, Rank, Text, Where
from allocator.plan import FEWEST_SITES, Plan, priced_under
from allocator.problem import Problem
from allocator.rules import Floats, Ints

__all__ = ["bound_from_prices", "check_bound"]

TOLERANCE = 1e-6


def check_bound(problem: Problem, plan: Plan) -> tuple[Finding, ...]:
    """Return what is to be said of the bounds of a plan found by prices; nothing where prices prove all of them.

    An error where the stored prices prove less than the plan says they do; information where they cannot
    be recomputed for this problem, or where branching proved a part that prices alone do not.
    """
    if plan.road != "prices" or not plan.objectives or not plan.prices:
        return ()
    reached = [o.held - o.constant for o in plan.objectives]
    found: list[Finding] = []
    for number, objective in enumerate(plan.objectives):
        if not math.isfinite(objective.bound) and not plan.is_complete:
            continue
        stage = problem if len(problem.objectives) == 1 else problem.stage(number, reached[:number])
        under = priced_under(objective.id) if number else ""
        by_prices = float(plan.work.get(f"{under}price_bound", objective.bound))
        branched = bool(plan.work.get(f"{under}nodes"))
        proved = bound_from_prices(stage, plan.prices_of(number))
        found += _checked(objective.id, objective.bound, by_prices, branched, proved)
    return tuple(dict.fromkeys(found))


def _checked(
    name: str, claimed: float, by_prices: float, branched: bool, proved: float | None
) -> list[Finding]:
    """Return what is to be said of the bound of one objective."""
    if proved is None:
        return [
            _told(
                "bound-not-recomputed", name,
                "由价格得出的界未能重新计算:存储的价格不完整,或不是该问题的价格。",
                "The bound from prices could not be recomputed: the stored prices are incomplete, or not of this problem.",
            )
        ]  # fmt: skip
    scale = max(1.0, abs(by_prices), abs(proved))
    if by_prices > proved + TOLERANCE * scale or (
        not branched and claimed > proved + TOLERANCE * scale
    ):
        return [
            Finding(
                Rank.ERROR, "bound-not-proved", Where(id=name),
                Text(f"方案所称的界 {max(by_prices, claimed):.8g} 高于其价格所能证明的 {proved:.8g}。",
                     f"The plan says a bound of {max(by_prices, claimed):.8g}; its prices prove {proved:.8g} only."),
                Text("不要采信其求解精度;请重新求解。", "Do not rely on its gap; solve again."),
            )
        ]  # fmt: skip
    if claimed > proved + TOLERANCE * scale:
        return [
            _told(
                "bound-by-branching", name,
                f"价格证明了 {proved:.8g};至 {claimed:.8g} 的部分由分枝搜索证明,此处不重算。",
                f"Prices prove {proved:.8g}; the part up to {claimed:.8g} was proved by branching and is not recomputed here.",
            )
        ]  # fmt: skip
    return []


def _told(code: str, name: str, zh: str, en: str) -> Finding:
    return Finding(Rank.INFORMATION, code, Where(id=name), Text(zh, en), Text("无需处理。", "Nothing to do."))  # fmt: skip


def bound_from_prices(problem: Problem, prices: Mapping[str, Floats]) -> float | None:
    """Return the bound on the first objective that the prices prove, constant included.

    Under the rules `Held` of a problem it is one of the plans that keep those objectives.

    Parameters
    ----------
    prices
        ``Plan.prices``: ``balance`` (I, S, G, T, W) a person; for other rules a price a row.

    Returns
    -------
    float or None
        None when a price is missing or not allowed.
    """
    pr = problem
    balance = prices.get("balance")
    if balance is None or np.shape(balance) != pr.need.shape:
        return None
    try:
        account, leaving = _opened(pr, prices)
        if FEWEST_SITES in prices:
            account.total -= _charge_fewest(pr, prices[FEWEST_SITES], account.stint, leaving)
        for rule in pr.rules:
            charge = CHARGES.get(type(rule))
            priced = np.size(prices.get(rule.id, ())) or account.measured(rule)[0]
            if charge is not None and priced:
                charge(account, rule)
    except NoProof:
        return None
    # Worth more than leaving a need unmet costs, it proves less.
    worth = np.minimum(balance, leaving)
    account.total += float((worth * pr.need).sum())
    for j, arcs, offers in _sites(pr):
        account.total += _site(
            pr, j, arcs, offers, worth, account.arc, account.stint, account.place
        )
    return account.total + pr.objectives[0].constant


def _opened(pr: Problem, prices: Mapping[str, Floats]) -> tuple[Account, Floats]:
    """Return an account with the objectives' own costs, and (I, S, G, T, W) what leaving a need unmet costs."""
    n_a, n_g, n_t, n_w = len(pr.arc_area), len(pr.groups), len(pr.periods), len(pr.futures)
    parts, sure = counted(pr, prices)
    stint, place = np.zeros(len(pr.stint_site)), np.zeros(len(pr.offer_stint))
    arc, leaving = np.zeros((n_a, n_g, n_t, n_w)), np.zeros(pr.need.shape)
    for part in parts:
        obj = part.objective
        years = np.ones(n_t) if obj.period_weight is None else np.asarray(obj.period_weight, float)
        weight = years[:, None] * part.future
        if obj.stint is not None:
            stint += part.whole * np.asarray(obj.stint, float)
        if obj.place is not None:
            place += part.whole * np.asarray(obj.place, float)
        if obj.person is not None:
            arc += np.asarray(obj.person, float)[:, :, None, None] * weight
        if obj.unmet is not None:
            leaving += np.broadcast_to(obj.unmet, pr.need.shape[:3])[..., None, None] * weight
    service = pr.class_service[pr.arc_class]
    a, g, t, w = np.ogrid[:n_a, :n_g, :n_t, :n_w]
    flat = np.ravel_multi_index((pr.arc_area[a], service[a], g, t, w), pr.need.shape)
    offered = np.zeros((len(pr.sites), len(pr.classes), n_t), bool)
    for f, p in enumerate(pr.offer_stint.tolist()):
        offered[pr.stint_site[p], pr.offer_class[f], pr.stint_first[p] : pr.stint_last[p] + 1] = (
            True
        )
    willing = np.broadcast_to(pr.acceptance, (n_a, n_g))[:, :, None, None] * pr.need.ravel()[flat]
    there = (willing > 0) & offered[pr.arc_site, pr.arc_class][:, None, :, None]
    there = np.broadcast_to(there, arc.shape)
    return Account(pr, parts, prices, stint, place, arc, there, flat, total=sure), leaving


def _charge_fewest(pr: Problem, given: Floats, stint: Floats, leaving: Floats) -> float:
    """Charge sites and unmet need against the fewest whole sites; return price times that number.

    Places of K sites of at most ``size`` and the unmet hold all need: ``size K + unmet >= need``; K is
    whole, so ``K + unmet / (size f) >= ceil(need / size)`` with f the broken part of ``need / size``.
    """
    shape = (len(pr.services), len(pr.periods), len(pr.futures))
    if np.size(given) != math.prod(shape) or np.any(given > 0):
        raise NoProof
    total = 0.0
    for s, t, w in zip(*np.nonzero(given.reshape(shape)), strict=True):
        price = float(given.reshape(shape)[s, t, w])
        per_person = np.full(len(pr.groups), np.inf)
        room: dict[int, float] = {}
        for f, c in enumerate(pr.offer_class.tolist()):
            p = int(pr.offer_stint[f])
            if pr.class_service[c] == s:
                room[p] = room.get(p, 0.0) + float(pr.offer_max[f] * pr.occupancy_max[c])
                per_person = np.minimum(per_person, pr.places_per_person[c])
        size = max(room.values(), default=0.0)
        if size <= 0:
            raise NoProof
        number = float((pr.own_need[:, s, :, t, w] @ per_person).sum()) / size
        fewest = math.ceil(number)
        total += price * fewest
        for p, places in room.items():
            if places > 0 and pr.stint_first[p] <= t <= pr.stint_last[p]:
                stint[p] += price
        leaving[~pr.onward, s, :, t, w] += price * per_person / (size * (number - fewest + 1))
    return total


def _sites(pr: Problem) -> list[tuple[int, Ints, Ints]]:
    """Return (site, its arcs, its offers) of every site."""
    by_arc = np.argsort(pr.arc_site, kind="stable")
    arc_at = np.searchsorted(pr.arc_site[by_arc], np.arange(len(pr.sites) + 1))
    of = pr.stint_site[pr.offer_stint]
    by_offer = np.argsort(of, kind="stable")
    offer_at = np.searchsorted(of[by_offer], np.arange(len(pr.sites) + 1))
    return [
        (j, by_arc[arc_at[j] : arc_at[j + 1]], by_offer[offer_at[j] : offer_at[j + 1]])
        for j in range(len(pr.sites))
    ]


def _site(
    pr: Problem, j: int, arcs: Ints, offers: Ints, worth: Floats, arc_cost: Floats, stint: Floats,
    place: Floats,
) -> float:  # fmt: skip
    """Return the least charged cost of any path of stints of one site."""
    gains: dict[tuple[int, int, int], tuple[Floats, Floats]] = {}
    for c in np.unique(pr.offer_class[offers]):
        mine = arcs[pr.arc_class[arcs] == c]
        service = pr.class_service[c]
        need = pr.need[pr.arc_area[mine], service]
        gain = (worth[pr.arc_area[mine], service] - arc_cost[mine]) / pr.places_per_person[c][
            None, :, None, None
        ]
        room = (
            pr.acceptance[mine][:, :, None, None]
            * need
            * pr.places_per_person[c][None, :, None, None]
        )
        for t in range(len(pr.periods)):
            for w in range(len(pr.futures)):
                g, r = gain[:, :, t, w].ravel(), room[:, :, t, w].ravel()
                good = np.flatnonzero((g > 0) & (r > 0))
                good = good[np.argsort(-g[good], kind="stable")]
                gains[int(c), t, w] = (g[good], np.cumsum(r[good]))
    value = dict.fromkeys(np.flatnonzero(pr.stint_site == j).tolist(), 0.0)
    for p in value:
        value[p] = float(stint[p])
    for f in offers:
        value[int(pr.offer_stint[f])] += _offer(pr, int(f), gains, float(place[f]))
    best: dict[tuple[int, int], float] = {}
    n_t = len(pr.periods)
    for p in sorted(value, key=lambda p: -pr.stint_first[p]):
        after = (int(pr.stint_last[p]) + 1, int(pr.stint_option[p]))
        rest = 0.0 if after[0] == n_t else best.get(after, np.inf)
        here = (int(pr.stint_first[p]), int(pr.stint_from[p]))
        best[here] = min(best.get(here, np.inf), value[p] + rest)
    return best[0, int(pr.site_start[j])]


def _offer(
    pr: Problem, f: int, gains: Mapping[tuple[int, int, int], tuple[Floats, Floats]], price: float
) -> float:
    """Return the least charged cost of an offer over its number of places: it is convex in them."""
    p, c = int(pr.offer_stint[f]), int(pr.offer_class[f])
    occ = float(pr.occupancy_max[c])
    lists = [
        gains[c, t, w]
        for t in range(int(pr.stint_first[p]), int(pr.stint_last[p]) + 1)
        for w in range(len(pr.futures))
    ]
    low, high = float(pr.offer_min[f]), float(pr.offer_max[f])
    turns = np.concatenate([ends / occ for _, ends in lists])
    points = np.unique(np.clip(np.concatenate([[low, high], turns]), low, high))
    cost = price * points
    for gain, ends in lists:
        if len(ends):
            corners = np.concatenate([[0.0], ends])
            earned = np.concatenate([[0.0], np.cumsum(gain * np.diff(corners))])
            cost = cost - np.interp(points * occ, corners, earned)
    return float(cost.min())
