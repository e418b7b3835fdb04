"""A plan's contents gathered once, and what checks and values both read of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Deviation, Floor, Gini, Served, WorstGroup

__all__ = [
    "TOLERANCE",
    "Facts",
    "deviation_in",
    "gather",
    "members_of",
    "missing_share",
    "over",
    "served_share",
]

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Facts:
    """A plan's contents by name, gathered once."""

    problem: Problem
    plan: Plan
    stints: tuple[int, ...]
    at: dict[tuple[int, int], list[int]]  # (site, period) -> stints in place
    places: dict[tuple[int, int, int], float]  # (site, class, period) -> places
    flows: list[tuple[int, int, int, int, float]]  # arc, group, period, future, people
    by_cell: dict[tuple[int, int, int, int, int], float]  # (i, s, g, t, w) -> people


def gather(problem: Problem, plan: Plan) -> Facts:
    """Return the contents of a plan by site, class, period and cell of need."""
    stints = tuple(int(p) for p in plan.stints)
    at: dict[tuple[int, int], list[int]] = defaultdict(list)
    for p in stints:
        for t in range(int(problem.stint_first[p]), int(problem.stint_last[p]) + 1):
            at[int(problem.stint_site[p]), t].append(p)
    chosen = set(stints)
    places: dict[tuple[int, int, int], float] = defaultdict(float)
    for f, n in enumerate(plan.places.tolist()):
        p = int(problem.offer_stint[f])
        if p not in chosen:
            continue
        for t in range(int(problem.stint_first[p]), int(problem.stint_last[p]) + 1):
            places[int(problem.stint_site[p]), int(problem.offer_class[f]), t] += n
    flows = list(
        zip(
            plan.served_arc.tolist(), plan.served_group.tolist(), plan.served_period.tolist(),
            plan.served_future.tolist(), plan.served.tolist(), strict=True,
        )
    )  # fmt: skip
    by_cell: dict[tuple[int, int, int, int, int], float] = defaultdict(float)
    for a, g, t, w, x in flows:
        s = int(problem.class_service[problem.arc_class[a]])
        by_cell[int(problem.arc_area[a]), s, g, t, w] += x
    return Facts(problem, plan, stints, at, places, flows, by_cell)


def over(value: float, limit: float, scale: float = 0.0) -> bool:
    """Whether ``value`` exceeds ``limit`` beyond the relative tolerance."""
    return value > limit + TOLERANCE * max(1.0, abs(value), abs(limit), scale)


def missing_share(
    facts: Facts, rule: Served | Floor, members: dict[int, set[int]], groups: set[int]
) -> float:
    """People missing from a served share: parts and periods summed, futures weighted."""
    p, missing = facts.problem, 0.0
    service, share = rule.service, rule.share.tolist()
    weight = [1.0] * len(p.futures) if rule.is_hard else p.future_weight.tolist()
    for areas in members.values():
        for t in range(len(p.periods)):
            for w in range(len(p.futures)):
                need = sum(float(p.need[i, service, g, t, w]) for i in areas for g in groups)
                got = sum(
                    facts.by_cell.get((i, service, g, t, w), 0.0) for i in areas for g in groups
                )
                least = share[t] * need - TOLERANCE * max(1.0, need)
                missing += max(0.0, least - got) * weight[w]
    return missing


def members_of(rule: Floor | WorstGroup | Deviation | Gini) -> dict[int, set[int]]:
    """Return the areas of each part."""
    members: dict[int, set[int]] = defaultdict(set)
    for i, part in enumerate(rule.part.tolist()):
        if part >= 0:
            members[part].add(i)
    return members


def served_share(
    facts: Facts, service: int, areas: set[int], t: int, w: int
) -> tuple[float, float]:
    """Return people served by a service in the areas, and their need."""
    p = facts.problem
    groups = range(len(p.groups))
    need = sum(float(p.need[i, service, g, t, w]) for i in areas for g in groups)
    got = sum(facts.by_cell.get((i, service, g, t, w), 0.0) for i in areas for g in groups)
    return got, need


def deviation_in(facts: Facts, rule: Deviation, t: int, w: int) -> float:
    """Return what parts are apart from the share of the county, in persons, in one period and future."""
    members, total = members_of(rule), 0.0
    everyone = set().union(*members.values()) if members else set()
    got_all, need_all = served_share(facts, rule.service, everyone, t, w)
    share = got_all / need_all if need_all else 0.0
    for areas in members.values():
        got, need = served_share(facts, rule.service, areas, t, w)
        total += abs(got - share * need)
    return total
