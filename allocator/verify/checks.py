"""A check of each rule family: sentences on what a plan breaks, none where it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from allocator.errors import Text, plural
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Coverage,
    Deviation,
    Floor,
    Forced,
    Gini,
    Held,
    Hub,
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
from allocator.verify.facts import (
    TOLERANCE,
    Facts,
    deviation_in,
    members_of,
    missing_share,
    over,
    served_share,
)
from allocator.verify.values import value_of

__all__ = ["CHECKS"]


def check_balance(facts: Facts, rule: Balance) -> Iterator[Text]:
    """Served and unmet add up to the need of every cell."""
    p, unmet = facts.problem, facts.plan.unmet
    for cell, need in np.ndenumerate(p.need):
        got = facts.by_cell.get(cell, 0.0) + float(unmet[cell])  # type: ignore[call-overload]
        if abs(got - need) > TOLERANCE * max(1.0, float(need)):
            yield Text(f"{p.areas[cell[0]]} {p.services[cell[1]]}:已满足与未满足合计 {got:.6g},需求为 {need:.6g}", f"{p.areas[cell[0]]} {p.services[cell[1]]}: served and unmet are {got:.6g} of {need:.6g}")  # fmt: skip


def check_acceptance(facts: Facts, rule: Acceptance) -> Iterator[Text]:
    """At every level alpha, flows accepted by at most alpha serve at most alpha of the need."""
    p = facts.problem
    one = p.acceptance.shape[1] == 1
    by_cell: dict[tuple[int, int, int, int, int], list[tuple[float, float]]] = defaultdict(list)
    for a, g, t, w, x in facts.flows:
        s = int(p.class_service[p.arc_class[a]])
        phi = float(p.acceptance[a, 0 if one else g])
        by_cell[int(p.arc_area[a]), s, g, t, w].append((phi, x))
    for cell, flows in by_cell.items():
        total, need = 0.0, float(p.need[cell])
        ordered = sorted(flows)
        for n, (phi, x) in enumerate(ordered):
            total += x
            if n + 1 < len(ordered) and ordered[n + 1][0] <= phi + 1e-12:
                continue
            if over(total, phi * need):
                yield Text(f"{p.areas[cell[0]]}:服务 {total:.6g} 人,愿意者仅 {phi * need:.6g} 人", f"{p.areas[cell[0]]}: {total:.6g} served where {phi * need:.6g} are willing")  # fmt: skip


def check_capacity(facts: Facts, rule: Capacity) -> Iterator[Text]:
    """Use of each site and class is within the occupancy bounds of its places."""
    p = facts.problem
    used: dict[tuple[int, int, int, int], float] = defaultdict(float)
    for a, g, t, w, x in facts.flows:
        c = int(p.arc_class[a])
        used[int(p.arc_site[a]), c, t, w] += x * float(p.places_per_person[c, g])
    keys = set(used) | {(j, c, t, w) for j, c, t in facts.places for w in range(len(p.futures))}
    for j, c, t, w in keys:
        n = facts.places.get((j, c, t), 0.0)
        u = used.get((j, c, t, w), 0.0)
        if over(u, n * float(p.occupancy_max[c])):
            yield Text(f"{p.sites[j]} {p.classes[c]} {p.periods[t]}:使用 {u:.6g},名额仅 {n:.6g}", f"{p.sites[j]} {p.classes[c]} {p.periods[t]}: {u:.6g} used of {n:.6g}")  # fmt: skip
        if p.occupancy_min[c] > 0 and over(n * float(p.occupancy_min[c]), u):
            yield Text(f"{p.sites[j]} {p.classes[c]} {p.periods[t]}:名额 {n:.6g},仅使用 {u:.6g}", f"{p.sites[j]} {p.classes[c]} {p.periods[t]}: only {u:.6g} of {n:.6g} used")  # fmt: skip


def check_scale(facts: Facts, rule: Scale) -> Iterator[Text]:
    """Every offer in place is within its sizes, and none has places elsewhere."""
    p, chosen = facts.problem, set(facts.stints)
    for f, n in enumerate(facts.plan.places.tolist()):
        stint = int(p.offer_stint[f])
        where = f"{p.sites[int(p.stint_site[stint])]} {p.classes[int(p.offer_class[f])]}"
        if stint not in chosen:
            if n > TOLERANCE:
                yield Text(f"{where}:做法未采用,却有名额 {n:.6g}", f"{where}: {n:.6g} places of an option not in place")  # fmt: skip
            continue
        low, high, module = (float(v[f]) for v in (p.offer_min, p.offer_max, p.offer_module))
        if over(n, high) or over(low, n):
            yield Text(f"{where}:名额 {n:.6g} 不在 {low:g} 至 {high:g} 之间", f"{where}: {n:.6g} places outside {low:g} to {high:g}")  # fmt: skip
        if module > 0 and abs(n / module - round(n / module)) > 1e-5:
            yield Text(f"{where}:名额 {n:.6g} 不是 {module:g} 的整数倍", f"{where}: {n:.6g} places are not whole units of {module:g}")  # fmt: skip


def check_link(facts: Facts, rule: Link) -> Iterator[Text]:
    """Everyone served is served at a site that offers the class in the period."""
    p = facts.problem
    for a, _, t, _, x in facts.flows:
        if x > TOLERANCE and (int(p.arc_site[a]), int(p.arc_class[a]), t) not in facts.places:
            yield Text(f"{p.sites[int(p.arc_site[a])]} 未开设 {p.classes[int(p.arc_class[a])]} 却安排了服务", f"{p.sites[int(p.arc_site[a])]} serves {p.classes[int(p.arc_class[a])]} unopened")  # fmt: skip


def check_site(facts: Facts, rule: SiteStates) -> Iterator[Text]:
    """Stints of a site follow one another from today's state, one in place at a time."""
    p = facts.problem
    for j, name in enumerate(p.sites):
        state = int(p.site_start[j])
        for t in range(len(p.periods)):
            now = facts.at.get((j, t), [])
            if len(now) != 1:
                yield Text(f"{name} {p.periods[t]}:同时有 {len(now)} 种状态", f"{name} {p.periods[t]}: {len(now)} states at once")  # fmt: skip
                break
            stint = now[0]
            if int(p.stint_first[stint]) == t:
                if int(p.stint_from[stint]) != state:
                    yield Text(f"{name} {p.periods[t]}:由并不存在的状态转来", f"{name} {p.periods[t]}: comes from a state it was not in")  # fmt: skip
                state = int(p.stint_option[stint])


def check_resource(facts: Facts, rule: Resource) -> Iterator[Text]:
    """Use of the pool, and each payer's share of it, is within supply in every future."""
    p, k = facts.problem, rule.pool
    use = pool_use(facts, k)
    periods, futures = len(p.periods), range(len(p.futures))
    for t in range(periods):
        worst = [use[t, w] for w in futures]
        if rule.in_expectation:
            worst = [sum(float(p.future_weight[w]) * use[t, w] for w in futures)]
        for u in worst:
            if over(u, float(rule.supply[t])):
                yield Text(f"{p.periods[t]}:使用 {u:,.6g},可用仅 {rule.supply[t]:,.6g}", f"{p.periods[t]}: {u:,.6g} used of {rule.supply[t]:,.6g}")  # fmt: skip
            for payer in rule.payers:
                if over(payer.share * u, payer.cap[t]):
                    yield Text(f"{p.periods[t]}:{payer.id} 负担 {payer.share * u:,.6g},超过其上限", f"{p.periods[t]}: {payer.id} pays {payer.share * u:,.6g} over its cap")  # fmt: skip


def pool_use(facts: Facts, pool: int) -> dict[tuple[int, int], float]:
    """Use of a pool by (period, future)."""
    p, plan = facts.problem, facts.plan
    periods, futures = len(p.periods), len(p.futures)
    fixed = [0.0] * periods
    stint_rows, place_rows = p.use_stint.toarray(), p.use_place.toarray()
    for t in range(periods):
        column = pool * periods + t
        fixed[t] = sum(float(stint_rows[s, column]) for s in facts.stints)
        fixed[t] += sum(
            float(v) * n for v, n in zip(place_rows[:, column], plan.places.tolist(), strict=True)
        )
    use = {(t, w): fixed[t] for t in range(periods) for w in range(futures)}
    for a, g, t, w, x in facts.flows:
        c = int(p.arc_class[a])
        each = float(p.use_person[c, g, pool, t])
        use[t, w] += x * (each + float(p.use_minute[c, pool]) * float(p.arc_minutes[a]))
    return use


def check_coverage(facts: Facts, rule: Coverage) -> Iterator[Text]:
    """The people-weighted share of areas with an open offer in reach meets the target."""
    p = facts.problem
    short = facts.plan.shortfalls.get(rule.id, 0.0)
    missing = 0.0
    for t in range(len(p.periods)):
        covered = covered_people(facts, rule, t)
        target = float(rule.share[t]) * sum(rule.people[:, t].tolist())
        missing += max(0.0, target - covered)
    allowed = 0.0 if rule.is_hard else short
    if over(missing, allowed):
        yield Text(f"距目标尚差 {missing:.6g} 人,方案只申报 {allowed:.6g} 人", f"{missing:.6g} people short of the target, {allowed:.6g} declared")  # fmt: skip


def covered_people(facts: Facts, rule: Coverage, t: int) -> float:
    """People of areas with a qualifying open offer in reach in a period."""
    p = facts.problem
    standing = {s for (_, at), stints in facts.at.items() if at == t for s in stints}
    reached = {
        int(i)
        for i, f in zip(rule.pair_area.tolist(), rule.pair_offer.tolist(), strict=True)
        if int(p.offer_stint[f]) in standing
    }
    return sum(float(rule.people[i, t]) for i in sorted(reached))


def check_served(facts: Facts, rule: Served) -> Iterator[Text]:
    """The served share of the areas and groups meets the target."""
    members = {0: set(rule.areas.tolist())}
    missing = missing_share(facts, rule, members, set(rule.groups.tolist()))
    allowed = 0.0 if rule.is_hard else facts.plan.shortfalls.get(rule.id, 0.0)
    if over(missing, allowed):
        yield Text(f"距要求的比例尚差 {missing:.6g} 人,方案只申报 {allowed:.6g} 人", f"{missing:.6g} people short of the share, {allowed:.6g} declared")  # fmt: skip


def check_floor(facts: Facts, rule: Floor) -> Iterator[Text]:
    """The served share of every part meets the target."""
    groups = set(range(len(facts.problem.groups)))
    missing = missing_share(facts, rule, members_of(rule), groups)
    allowed = 0.0 if rule.is_hard else facts.plan.shortfalls.get(rule.id, 0.0)
    if over(missing, allowed):
        yield Text(f"距底线尚差 {missing:.6g} 人,方案只申报 {allowed:.6g} 人", f"{missing:.6g} people short of the floor, {allowed:.6g} declared")  # fmt: skip


def _weighted_places(facts: Facts, weight: list[float], t: int) -> float:
    p, total = facts.problem, 0.0
    for f, n in enumerate(facts.plan.places.tolist()):
        s = int(p.offer_stint[f])
        if int(p.stint_first[s]) <= t <= int(p.stint_last[s]):
            total += weight[f] * n
    return total


def check_places_ratio(facts: Facts, rule: PlacesRatio) -> Iterator[Text]:
    """Places in being are at least the number the ratio asks."""
    missing = sum(
        max(0.0, float(rule.minimum[t]) - _weighted_places(facts, rule.offer_weight.tolist(), t))
        for t in range(len(facts.problem.periods))
    )
    allowed = 0.0 if rule.is_hard else facts.plan.shortfalls.get(rule.id, 0.0)
    if over(missing, allowed):
        yield Text(f"尚差名额 {missing:.6g},方案只申报 {allowed:.6g}", f"{missing:.6g} places short, {allowed:.6g} declared")  # fmt: skip


def check_places_share(facts: Facts, rule: PlacesShare) -> Iterator[Text]:
    """The part's share of places meets the target."""
    missing = 0.0
    for t in range(len(facts.problem.periods)):
        part = _weighted_places(facts, rule.part.tolist(), t)
        whole = _weighted_places(facts, rule.whole.tolist(), t)
        missing += max(0.0, float(rule.share[t]) * whole - part)
    allowed = 0.0 if rule.is_hard else facts.plan.shortfalls.get(rule.id, 0.0)
    if over(missing, allowed):
        yield Text(f"距要求的比例尚差名额 {missing:.6g},方案只申报 {allowed:.6g}", f"{missing:.6g} places short of the share, {allowed:.6g} declared")  # fmt: skip


def check_resettlement(facts: Facts, rule: Resettlement) -> Iterator[Text]:
    """Where the home is closed, its residents are served over the arcs that count."""
    p = facts.problem
    near = {
        a for a in rule.arcs.tolist()
        if int(p.arc_area[a]) == rule.area
        and int(p.class_service[p.arc_class[a]]) == rule.service
    }  # fmt: skip
    closed = set(rule.closed_options.tolist())
    for t in range(len(p.periods)):
        if not any(int(p.stint_option[s]) in closed for s in facts.at.get((rule.site, t), [])):
            continue
        for g in range(len(p.groups)):
            for w in range(len(p.futures)):
                need = float(p.need[rule.area, rule.service, g, t, w])
                got = sum(
                    x for a, gg, tt, ww, x in facts.flows
                    if (gg, tt, ww) == (g, t, w) and a in near
                )  # fmt: skip
                if over(need, got):
                    yield Text(f"{p.sites[rule.site]} 关停时有 {need - got:.6g} 名在住老人未安置", f"{p.sites[rule.site]} closes with {need - got:.6g} residents unplaced")  # fmt: skip


def check_hub(facts: Facts, rule: Hub) -> Iterator[Text]:
    """Every point in place has at least as many hubs in reach as it has points."""
    p = facts.problem
    points, hubs = set(rule.point_options.tolist()), set(rule.hub_options.tolist())
    reach: dict[int, set[int]] = defaultdict(set)
    for j, h in zip(rule.pair_site.tolist(), rule.pair_hub.tolist(), strict=True):
        reach[j].add(h)

    def is_in(j: int, t: int, options: set[int]) -> bool:
        return any(int(p.stint_option[s]) in options for s in facts.at.get((j, t), []))

    for j, name in enumerate(p.sites):
        for t in range(len(p.periods)):
            if is_in(j, t, points) and not any(is_in(h, t, hubs) for h in reach[j]):
                yield Text(f"{name} {p.periods[t]}:可达范围内没有中心", f"{name} {p.periods[t]}: no hub in reach")  # fmt: skip


def check_site_count(facts: Facts, rule: SiteCount) -> Iterator[Text]:
    """The number of sites in the options is within bounds."""
    p, options = facts.problem, set(rule.options.tolist())
    for t in range(len(p.periods)):
        n = sum(
            1 for j in range(len(p.sites))
            if any(int(p.stint_option[s]) in options for s in facts.at.get((j, t), []))
        )  # fmt: skip
        if n < rule.minimum[t] or n > rule.maximum[t]:
            yield Text(f"{p.periods[t]}:共 {n} 处", f"{p.periods[t]}: {plural(n, 'site')}")


def check_forced(facts: Facts, rule: Forced) -> Iterator[Text]:
    """The named site is in the options (or in none of them) in the period."""
    p, options = facts.problem, set(rule.options.tolist())
    here = facts.at.get((rule.site, rule.period), [])
    if any(int(p.stint_option[s]) in options for s in here) != rule.wanted:
        where = f"{p.sites[rule.site]} {p.periods[rule.period]}"
        yield Text(where, where)


def check_reserved(facts: Facts, rule: Reserved) -> Iterator[Text]:
    """Other groups use at most the share of places that is not kept."""
    p = facts.problem
    classes, groups = set(rule.classes.tolist()), set(rule.groups.tolist())
    used: dict[tuple[int, int, int, int], float] = defaultdict(float)
    for a, g, t, w, x in facts.flows:
        c = int(p.arc_class[a])
        if c in classes and g not in groups:
            used[int(p.arc_site[a]), c, t, w] += x * float(p.places_per_person[c, g])
    for (j, c, t, _), u in used.items():
        n = facts.places.get((j, c, t), 0.0)
        if over(u, (1 - rule.share) * n):
            yield Text(f"{p.sites[j]}:名额 {n:.6g},其他人群占用 {u:.6g}", f"{p.sites[j]}: others use {u:.6g} of {n:.6g} places")  # fmt: skip


def check_deviation(facts: Facts, rule: Deviation) -> Iterator[Text]:
    """Half of the parts' deviation is within the ceiling's share of the people served."""
    if rule.ceiling is None:
        return
    p, members = facts.problem, members_of(rule)
    everyone = set().union(*members.values()) if members else set()
    for t in range(len(p.periods)):
        for w in range(len(p.futures)):
            got, need = served_share(facts, rule.service, everyone, t, w)
            moved = deviation_in(facts, rule, t, w) / 2
            if over(moved, float(rule.ceiling[t]) * got, need):
                yield Text(f"{p.periods[t]}:服务 {got:.6g} 人,需调整 {moved:.6g} 人才能均等", f"{p.periods[t]}: {moved:.6g} of {got:.6g} would have to move")  # fmt: skip


def check_gini(facts: Facts, rule: Gini) -> Iterator[Text]:
    """Differences between all pairs of parts are within the ceiling's share of the people served."""
    p, members = facts.problem, list(members_of(rule).values())
    for t in range(len(p.periods)):
        for w in range(len(p.futures)):
            parts = [served_share(facts, rule.service, areas, t, w) for areas in members]
            got, need = (
                (sum(values) for values in zip(*parts, strict=True)) if parts else (0.0, 0.0)
            )
            apart = 0.0
            for n, (mine, my_need) in enumerate(parts):
                for other, other_need in parts[n + 1 :]:
                    apart += abs(other_need * mine - my_need * other) / need if need > 0 else 0.0
            if over(apart, float(rule.ceiling[t]) * got, need):
                yield Text(f"{p.periods[t]}:基尼系数 {apart / got:.6g},上限 {float(rule.ceiling[t]):.6g}", f"{p.periods[t]}: Gini {apart / got:.6g}, ceiling {float(rule.ceiling[t]):.6g}")  # fmt: skip


def check_mean_travel(facts: Facts, rule: MeanTravel) -> Iterator[Text]:
    """People of the service spend at most the stated minutes on average; those sent on are not counted again."""
    p = facts.problem
    onward = {i for r in p.rules if isinstance(r, Referral) for i in r.area.tolist()}
    people: dict[tuple[int, int], float] = defaultdict(float)
    minutes: dict[tuple[int, int], float] = defaultdict(float)
    for a, _, t, w, x in facts.flows:
        mine = int(p.class_service[int(p.arc_class[a])]) == rule.service
        if mine and int(p.arc_area[a]) not in onward:
            people[t, w] += x
            minutes[t, w] += x * float(p.arc_minutes[a])
    for (t, w), n in people.items():
        if n > 0 and over(minutes[t, w], float(rule.minutes[t]) * n):
            yield Text(f"{p.periods[t]}:平均 {minutes[t, w] / n:.6g} 分钟", f"{p.periods[t]}: {minutes[t, w] / n:.6g} minutes on average")  # fmt: skip


def check_nearest(facts: Facts, rule: Nearest) -> Iterator[Text]:
    """Nobody goes past an open place that they reach sooner and would use."""
    p = facts.problem
    phi = np.broadcast_to(p.acceptance, (len(p.arc_area), len(p.groups)))
    offers = set(zip(p.offer_stint.tolist(), p.offer_class.tolist(), strict=True))
    near: dict[tuple[int, int, int], float] = defaultdict(lambda: np.inf)
    for a in range(len(p.arc_area)):
        j, c = int(p.arc_site[a]), int(p.arc_class[a])
        if int(p.class_service[c]) != rule.service:
            continue
        for t in range(len(p.periods)):
            if any((s, c) in offers for s in facts.at[j, t]):
                for g in np.flatnonzero(phi[a] > 0).tolist():
                    key = (int(p.arc_area[a]), g, t)
                    near[key] = min(near[key], float(p.arc_minutes[a]))
    for a, g, t, _, x in facts.flows:
        i = int(p.arc_area[a])
        own = int(p.class_service[int(p.arc_class[a])]) == rule.service
        if own and float(p.arc_minutes[a]) > near[i, g, t] and over(x, 0.0):
            yield Text(f"{p.areas[i]} {p.periods[t]}:{x:.6g} 人越过了更近的设施", f"{p.areas[i]} {p.periods[t]}: {x:.6g} go past a nearer place")  # fmt: skip


def check_room(facts: Facts, rule: Room) -> Iterator[Text]:
    """What each stint named offers fits the floor of its building."""
    p, chosen = facts.problem, set(facts.stints)
    used: dict[int, float] = defaultdict(float)
    for f, n in enumerate(facts.plan.places.tolist()):
        used[int(p.offer_stint[f])] += n * float(rule.offer_area[f])
    for s, room in zip(rule.stints.tolist(), rule.room.tolist(), strict=True):
        if s in chosen and over(used[s], room):
            yield Text(f"{p.sites[int(p.stint_site[s])]}:需 {used[s]:.6g} 平方米,仅有 {room:.6g} 平方米", f"{p.sites[int(p.stint_site[s])]}: {used[s]:.6g} m2 in {room:.6g}")  # fmt: skip


def check_referral(facts: Facts, rule: Referral) -> Iterator[Text]:
    """Just the share of those served at a site goes on from there to the onward service."""
    p, classes = facts.problem, set(rule.classes.tolist())
    at: dict[tuple[int, int, int, int], float] = defaultdict(float)
    for a, g, t, w, x in facts.flows:
        if int(p.arc_class[a]) in classes:
            at[int(p.arc_site[a]), g, t, w] += x
    for site, area in zip(rule.site.tolist(), rule.area.tolist(), strict=True):
        for g, t, w in product(range(len(p.groups)), range(len(p.periods)), range(len(p.futures))):
            x = at.get((site, g, t, w), 0.0)
            sent = float(rule.share[t]) * x
            on = facts.by_cell.get((area, rule.service, g, t, w), 0.0)
            if over(sent, on) or over(on, sent):
                yield Text(f"{p.sites[site]} {p.periods[t]}:服务 {x:.6g} 人,转介 {on:.6g} 人,应为 {sent:.6g} 人", f"{p.sites[site]} {p.periods[t]}: {on:.6g} of {x:.6g} go on, not {sent:.6g}")  # fmt: skip


def check_held(facts: Facts, rule: Held) -> Iterator[Text]:
    """An objective is no worse than was reached of it."""
    objective = facts.problem.objective(rule.objective)
    value = value_of(facts, objective) - objective.constant
    if over(value, rule.most):
        yield Text(
            f"为 {value:.9g},至多应为 {rule.most:.9g}",
            f"it is {value:.9g}, at most {rule.most:.9g} was reached",
        )


def check_nothing(facts: Facts, rule: Rule) -> Iterator[Text]:
    """A measure that only enters an objective; its value is checked there."""
    yield from ()


CHECKS: dict[type[Rule], Callable[..., Iterator[Text]]] = {
    Balance: check_balance,
    Acceptance: check_acceptance,
    Capacity: check_capacity,
    Scale: check_scale,
    Link: check_link,
    SiteStates: check_site,
    Resource: check_resource,
    Coverage: check_coverage,
    Served: check_served,
    PlacesRatio: check_places_ratio,
    PlacesShare: check_places_share,
    Resettlement: check_resettlement,
    Hub: check_hub,
    SiteCount: check_site_count,
    Forced: check_forced,
    Reserved: check_reserved,
    Floor: check_floor,
    WorstGroup: check_nothing,
    Deviation: check_deviation,
    Gini: check_gini,
    MeanTravel: check_mean_travel,
    Nearest: check_nearest,
    Room: check_room,
    Referral: check_referral,
    Held: check_held,
}
