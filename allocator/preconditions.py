"""What a compiled problem is refused for, or told of, before any solver is started.

A hard rule may ask for what no plan can give whatever else it does: people served whom no site can
reach, more sites than could ever hold the types. Saying so needs no solver, and names the places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from allocator.errors import Finding, Rank, Text, Where, plural
from allocator.problem import Problem
from allocator.rules import Floats, Floor, Referral, Rule, Served, SiteCount

__all__ = ["coefficient_range", "preconditions"]

WIDEST = 1e12
"""Ratio of the largest to the smallest coefficient above which a planner is told."""
SHOWN = 20


def preconditions(problem: Problem, file: str = "") -> tuple[Finding, ...]:
    """Return errors for hard rules that no plan can keep, and a warning where figures lie far apart.

    Hard `Served` and `Floor` rules are held against the need that any site could reach, hard
    `SiteCount` rules against the sites that could hold their options. Sites that could send nobody
    on, and groups that the onward service is not planned for, are told. ``file`` is where the
    rules stand.
    """
    found = (
        *_beyond_reach(problem), *_too_many_sites(problem), *_no_way_on(problem),
        *_far_apart(problem),
    )  # fmt: skip
    return tuple(replace(f, where=replace(f.where, file=file)) for f in found)


def coefficient_range(problem: Problem) -> tuple[float, float]:
    """Return the smallest and the largest coefficient of use in a problem, persons and places being 1."""
    minutes = problem.arc_minutes[problem.arc_minutes > 0]
    by_minute = np.abs(problem.use_minute[problem.use_minute != 0])
    ends = [minutes.min(), minutes.max()] if len(minutes) else []
    parts = [
        np.ones(1), problem.use_stint.data, problem.use_place.data, problem.use_person.ravel(),
        problem.places_per_person.ravel(), *(by_minute * end for end in ends),
    ]  # fmt: skip
    size = np.abs(np.concatenate(parts))
    size = size[size > 0]
    return float(size.min()), float(size.max())


def _beyond_reach(problem: Problem) -> Iterator[Finding]:
    for rule in problem.rules:
        if not rule.is_hard:
            continue
        if isinstance(rule, Served):
            areas, groups = rule.areas, rule.groups
            part = np.full(len(problem.areas), -1)
            part[areas] = 0
        elif isinstance(rule, Floor):
            part, groups = rule.part, np.arange(len(problem.groups))
        else:
            continue
        yield from _share_beyond_reach(problem, rule, rule.service, part, groups, rule.share)


def _share_beyond_reach(
    problem: Problem, rule: Rule, service: int, part: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64], share: Floats,
) -> Iterator[Finding]:  # fmt: skip
    """An error where more of a part's need is asked for than lives where any site could serve it."""
    need = problem.need[:, service][:, groups]  # (I, G', T, W)
    there = _reachable(problem, service)[:, groups]  # (I, G', T)
    short: set[int] = set()
    least = math.inf
    for members in (np.flatnonzero(part == p) for p in range(int(part.max(initial=-1)) + 1)):
        whole = need[members].sum((0, 1))  # (T, W)
        reached = (need[members] * there[members][..., None]).sum((0, 1))
        lacks = reached < share[:, None] * whole * (1 - 1e-9) - 1e-9
        if not lacks.any():
            continue
        least = min(least, float((reached[lacks] / whole[lacks]).min()))
        out = (need[members].max(-1) > 0) & ~there[members]
        short |= set(members[out[:, :, lacks.any(1)].any((1, 2))].tolist())
    if short:
        yield _out_of_reach(problem, rule, sorted(short), float(share.max()), least)


def _no_way_on(problem: Problem) -> Iterator[Finding]:
    """Warnings where a site has nothing to send people on to, or sends on a group not planned for."""
    for rule in problem.rules_of(Referral):
        assert isinstance(rule, Referral)
        where = Where(column="rules", id=rule.id)
        most = problem.need[rule.area, rule.service].max(-1)  # (m, G, T)
        there = _reachable(problem, rule.service)[rule.area]
        lost = rule.site[((most > 0) & ~there).any((1, 2))]
        if len(lost):
            ids = [problem.sites[j] for j in sorted(lost.tolist())[:SHOWN]]
            more = len(lost) - len(ids)
            zh = "、".join(ids) + (f"等{len(lost)}处" if more > 0 else "")
            en = ", ".join(ids) + (f" and {more} more" if more > 0 else "")
            yield Finding(
                Rank.WARNING, "no-way-on", where,
                Text(f"“{rule.words.zh}”:这些地点时限内没有可转往之处,该转的人不能在此接受服务:{zh}。",
                     f"“{rule.words.en}”: from these sites nothing is in reach to go on to, so those concerned are not served there: {en}."),
                Text("请增设备选地点,或用 types 缩小该规则的范围。", "Add candidate sites, or name the rule's types."),
            )  # fmt: skip
        own = problem.own_need[:, rule.service].sum((0, 2, 3)) > 0
        strange = np.flatnonzero((most > 0).any((0, 2)) & ~own) if own.any() else ()
        if len(strange):
            names = [problem.groups[g] for g in strange]
            yield Finding(
                Rank.WARNING, "group-sent-on-unknown", where,
                Text(f"“{rule.words.zh}”:转出的人群不是后续服务的对象:{'、'.join(names)};其收费、成本和人员按零计。",
                     f"“{rule.words.en}”: the onward service is not planned for those sent on ({', '.join(names)}); their fees, cost and staff count as nothing."),
                Text("请选用对象相同的两项服务。", "Choose two services for the same groups."),
            )  # fmt: skip


def _reachable(problem: Problem, service: int) -> npt.NDArray[np.bool_]:
    """(I, G, T) whether people of an area and group accept a place that a site could offer."""
    z = problem.shape
    offered = np.zeros((z["j"], z["c"], z["t"]), bool)
    stint = problem.offer_stint
    some = problem.offer_max > 0
    f, t = np.nonzero(problem.stint_periods[stint] & some[:, None])
    offered[problem.stint_site[stint[f]], problem.offer_class[f], t] = True
    arcs = np.flatnonzero(problem.class_service[problem.arc_class] == service)
    phi = np.broadcast_to(problem.acceptance, (z["a"], z["g"]))[arcs] > 0
    open_ = offered[problem.arc_site[arcs], problem.arc_class[arcs]]
    area, found = problem.arc_area[arcs], np.zeros((z["i"], z["g"], z["t"]), bool)
    for g, at in np.ndindex(z["g"], z["t"]):
        found[:, g, at] = np.bincount(area[phi[:, g] & open_[:, at]], minlength=z["i"]) > 0
    return found


def _out_of_reach(
    problem: Problem, rule: Rule, short: list[int], share: float, most: float
) -> Finding:
    ids = [problem.areas[i] for i in short[:SHOWN]]
    more = len(short) - len(ids)
    zh = "、".join(ids) + (f"等{len(short)}处" if more > 0 else "")
    en = ", ".join(ids) + (f" and {more} more" if more > 0 else "")
    return Finding(
        Rank.ERROR, "rule-beyond-reach", Where(column="rules", id=rule.id),
        Text(
            f"“{rule.words.zh}”为硬性要求({share:.1%}),但时限内有地点可达的需求至多{most:.1%}。无地点可达:{zh}。",
            f"“{rule.words.en}” is hard and asks for {share:.1%}; at most {most:.1%} of the need has any site in reach. Out of reach: {en}.",
        ),
        Text(
            "请增设备选地点、放宽时限,或将该要求改为可有偿未达(hard: false)。",
            "Add candidate sites, widen the limit, or let the rule be missed at a price (hard: false).",
        ),
    )  # fmt: skip


def _too_many_sites(problem: Problem) -> Iterator[Finding]:
    for rule in problem.rules:
        if not isinstance(rule, SiteCount) or not rule.is_hard:
            continue
        stints = np.isin(problem.stint_option, rule.options)
        able = np.zeros((len(problem.sites), len(problem.periods)), bool)
        p, t = np.nonzero(problem.stint_periods & stints[:, None])
        able[problem.stint_site[p], t] = True
        count = able.sum(0)
        lacks = np.flatnonzero(rule.minimum > count)
        if not len(lacks):
            continue
        first = int(lacks[0])
        yield Finding(
            Rank.ERROR, "more-sites-than-there-are", Where(column="rules.sites", id=rule.id),
            Text(
                f"“{rule.words.zh}”:{problem.periods[first]}至少要{rule.minimum[first]:g}处,能设此类设施的地点只有{count[first]}处。",
                f"“{rule.words.en}”: {plural(rule.minimum[first], 'site is', 'sites are')} asked for in {problem.periods[first]}; sites that could hold them: {count[first]}.",
            ),
            Text("请减少数量、放开供给方式或补充备选地点。", "Ask for fewer, allow more modes, or add candidate sites."),
        )  # fmt: skip


def _far_apart(problem: Problem) -> Iterator[Finding]:
    low, high = coefficient_range(problem)
    if high / low <= WIDEST:
        return
    orders = math.log10(high / low)
    yield Finding(
        Rank.WARNING, "figures-far-apart", Where(),
        Text(
            f"单位用量从{low:.3g}到{high:.3g},相差{orders:.0f}个数量级。求解前已逐行换算,结果按原单位核验。",
            f"Uses range from {low:.3g} to {high:.3g}, {orders:.0f} orders of magnitude apart. Rows are scaled before solving; the plan is checked in the units given.",
        ),
        Text("请核对单位(元与万元、人与千人、小时与分钟)。", "Check the units: yuan or 10,000 yuan, persons or thousands, hours or minutes."),
    )  # fmt: skip
