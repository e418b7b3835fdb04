"""Free choice: who would go where if nobody were assigned.

The planner's assignment is an upper bound on use; this is the other side, shown beside every plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Floats, Ints, Referral, Reserved

__all__ = ["Use", "assigned", "free_choice", "of_residents", "open_places", "sent_on"]


@dataclass(frozen=True, eq=False)
class Use:
    """People by arc, group, period and future: parallel arrays."""

    arc: Ints
    group: Ints
    period: Ints
    future: Ints
    people: Floats


def assigned(plan: Plan) -> Use:
    """Return the planner's assignment of a plan."""
    return Use(
        plan.served_arc, plan.served_group, plan.served_period, plan.served_future, plan.served
    )


def of_residents(problem: Problem, use: Use) -> Use:
    """Return the use by those who live in the areas, without those whom a site sends on."""
    return _part(use, ~problem.onward[problem.arc_area[use.arc]])


def sent_on(problem: Problem, use: Use) -> Use:
    """Return the use by those whom a site sends on."""
    return _part(use, problem.onward[problem.arc_area[use.arc]])


def _part(use: Use, some: npt.NDArray[np.bool_]) -> Use:
    return Use(use.arc[some], use.group[some], use.period[some], use.future[some], use.people[some])


def open_places(problem: Problem, plan: Plan) -> Floats:
    """Return (J, C, T) places in being."""
    places = np.zeros((len(problem.sites), len(problem.classes), len(problem.periods)))
    f, t = np.nonzero(problem.stint_periods[problem.offer_stint] & (plan.places > 0)[:, None])
    np.add.at(
        places,
        (problem.stint_site[problem.offer_stint[f]], problem.offer_class[f], t),
        plan.places[f],
    )
    return places


def free_choice(problem: Problem, plan: Plan, rounds: int = 12) -> Use:
    """Send people to the open place they accept most readily, the nearest first.

    Of a need D, ``phi_1 D`` try the best open place; where more come than there are places, places
    are shared out in proportion, and of those turned away ``phi_2 / phi_1`` try the next, and so
    on. Groups with reserved places come first; those whom a site sends on choose after those who
    come themselves, as many as came to it. Deterministic; no optimiser.
    """
    left = open_places(problem, plan)[..., None].repeat(len(problem.futures), -1)
    left = left * problem.occupancy_max[:, None, None]
    first = {int(g) for r in problem.rules_of(Reserved) for g in r.groups}  # type: ignore[attr-defined]
    order = sorted(range(len(problem.groups)), key=lambda g: (g not in first, g))
    queues = [*([g] for g in order if g in first), [g for g in order if g not in first]]
    parts, need = [], problem.own_need
    for _ in range(rounds):
        now = replace(problem, need=need)
        came = _joined([_choose(now, left, groups, rounds) for groups in queues])
        parts.append(came)
        need = _going_on(problem, came)
        if not need.any():
            break
    return _joined(parts)


def _joined(parts: list[Use]) -> Use:
    return Use(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("arc", "group", "period", "future", "people"))
    )  # fmt: skip


def _going_on(problem: Problem, came: Use) -> Floats:
    """(I, S, G, T, W) need at onward origins of those who came: each referral's share of them."""
    need = np.zeros_like(problem.need)
    kind, site = problem.arc_class[came.arc], problem.arc_site[came.arc]
    for rule in problem.rules_of(Referral):
        assert isinstance(rule, Referral)
        origin = np.full(len(problem.sites), -1)
        origin[rule.site] = rule.area
        some = np.isin(kind, rule.classes) & (origin[site] >= 0)
        g, t, w = came.group[some], came.period[some], came.future[some]
        at = (origin[site[some]], np.full(len(g), rule.service), g, t, w)
        flat = np.ravel_multi_index(at, need.shape)
        np.add.at(need.reshape(-1), flat, rule.share[t] * came.people[some])
    return need


def _choose(problem: Problem, left: Floats, groups: list[int], rounds: int) -> Use:
    """One queue: the groups compete for what is left; ``left`` is used up in place."""
    service = problem.class_service[problem.arc_class]
    arc, g, t, w = _options(problem, left, groups)
    one = problem.acceptance.shape[1] == 1
    phi = problem.acceptance[arc, 0 if one else g]
    cell = np.ravel_multi_index((problem.arc_area[arc], service[arc], g, t, w), problem.need.shape)
    order = np.lexsort((arc, problem.arc_minutes[arc], -phi, cell))
    arc, g, t, w, phi, cell = (v[order] for v in (arc, g, t, w, phi, cell))
    new = np.r_[True, cell[1:] != cell[:-1]] if len(cell) else np.zeros(0, bool)
    begin = np.maximum.accumulate(np.where(new, np.arange(len(cell)), 0))
    rank = np.arange(len(cell)) - begin
    people = np.zeros(len(cell))
    trying = np.where(rank == 0, phi * problem.need.ravel()[cell], 0.0)
    site, kind = problem.arc_site[arc], problem.arc_class[arc]
    per = problem.places_per_person[kind, g]
    for k in range(rounds):
        now = np.flatnonzero((rank == k) & (trying > 1e-9))
        if not len(now):
            break
        at = (site[now], kind[now], t[now], w[now])
        asked = np.zeros_like(left)
        np.add.at(asked, at, trying[now] * per[now])
        share = np.minimum(1.0, left / np.where(asked > 0, asked, 1.0))[at]
        got = trying[now] * share
        people[now] = got
        np.subtract.at(left, at, got * per[now])
        np.maximum(left, 0.0, out=left)
        after = now + 1
        more = (after < len(cell)) & (cell[np.minimum(after, len(cell) - 1)] == cell[now])
        source, target = now[more], after[more]
        trying[target] = (trying[source] - people[source]) * phi[target] / phi[source]
    some = people > 1e-9
    return Use(arc[some], g[some], t[some], w[some], people[some])


def _options(problem: Problem, left: Floats, groups: list[int]) -> tuple[Ints, ...]:
    """Every (arc, group, period, future) with need, willingness and an open place."""
    service = problem.class_service[problem.arc_class]
    wanted = np.zeros(len(problem.groups), bool)
    wanted[groups] = True
    there = np.asarray(left[problem.arc_site, problem.arc_class].any(-1))  # (A, T)
    need = problem.need[problem.arc_area, service] > 0
    willing = np.broadcast_to(problem.acceptance > 0, (len(service), len(wanted)))
    return np.nonzero(need & (willing & wanted)[:, :, None, None] & there[:, None, :, None])
