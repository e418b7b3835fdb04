"""Groups that a problem treats alike are solved as one and split again, exactly.

Where two groups of a service accept, cost, use and count the same, any plan for their sum splits in
proportion to need into a plan for each, and the other way round.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Ints, Referral, Reserved, Served

__all__ = ["merged", "representatives", "split"]


def representatives(problem: Problem) -> Ints:
    """Return (S, G) the first group that the problem treats as it treats each group."""
    z = problem.shape
    found = np.tile(np.arange(z["g"]), (z["s"], 1))
    service_of_arc = problem.class_service[problem.arc_class]
    for s in range(z["s"]):
        arcs = np.flatnonzero(service_of_arc == s)
        classes = np.flatnonzero(problem.class_service == s)
        for g in range(1, z["g"]):
            for h in range(g):
                if found[s, h] == h and _alike(problem, s, g, h, arcs, classes):
                    found[s, g] = h
                    break
    return found


def _alike(problem: Problem, s: int, g: int, h: int, arcs: Ints, classes: Ints) -> bool:
    if problem.acceptance.shape[1] > 1:
        willing = problem.acceptance[arcs]
        if not np.array_equal(willing[:, g], willing[:, h]):
            return False
    for array in (problem.places_per_person[classes], problem.use_person[classes]):
        if not np.array_equal(array[:, g], array[:, h]):
            return False
    for objective in problem.objectives:
        person, unmet = objective.person, objective.unmet
        if person is not None and person.shape[1] > 1:
            each = person[arcs]
            if not np.array_equal(each[:, g], each[:, h]):
                return False
        if unmet is not None:
            full = np.broadcast_to(unmet, problem.need.shape[:3])[:, s]
            if not np.array_equal(full[:, g], full[:, h]):
                return False
    for rule in problem.rules:
        # Those who come and those sent on are of one group, and split by different needs.
        if isinstance(rule, Referral) and s in (
            rule.service, *problem.class_service[rule.classes].tolist()
        ):  # fmt: skip
            return False
        touches = (isinstance(rule, Served) and rule.service == s) or (
            isinstance(rule, Reserved) and bool(np.isin(rule.classes, classes).any())
        )
        if touches and (g in rule.groups) != (h in rule.groups):  # type: ignore[attr-defined]
            return False
    return True


def merged(problem: Problem) -> Problem:
    """Return the problem with the need of groups alike gathered in the first of them."""
    first = representatives(problem)
    if np.array_equal(first, np.tile(np.arange(first.shape[1]), (len(first), 1))):
        return problem
    need = np.zeros_like(problem.need)
    for s in range(first.shape[0]):
        for g in range(first.shape[1]):
            need[:, s, first[s, g]] += problem.need[:, s, g]
    return replace(problem, need=need)


def split(problem: Problem, plan: Plan) -> Plan:
    """Return a plan of the merged problem as one of the problem, each group by its need."""
    first = representatives(problem)
    whole = merged(problem).need
    share = np.zeros_like(problem.need)
    for s in range(first.shape[0]):
        for g in range(first.shape[1]):
            total = whole[:, s, first[s, g]]
            share[:, s, g] = problem.need[:, s, g] / np.where(total > 0, total, 1.0)
    area = problem.arc_area[plan.served_arc]
    service = problem.class_service[problem.arc_class[plan.served_arc]]
    parts = []
    for g in range(first.shape[1]):
        here = np.flatnonzero(first[service, g] == plan.served_group)
        t, w = plan.served_period[here], plan.served_future[here]
        people = plan.served[here] * share[area[here], service[here], g, t, w]
        some = people > 0
        parts.append(
            (
                plan.served_arc[here][some],
                np.full(int(some.sum()), g),
                t[some],
                w[some],
                people[some],
            )
        )
    arc, group, period, future, people = (np.concatenate(v) for v in zip(*parts, strict=True))
    order = np.lexsort((future, period, group, arc))
    unmet = np.zeros_like(problem.need)
    for s in range(first.shape[0]):
        for g in range(first.shape[1]):
            unmet[:, s, g] = plan.unmet[:, s, first[s, g]] * share[:, s, g]
    return replace(
        plan, problem=problem.digest, served_arc=arc[order], served_group=group[order],
        served_period=period[order], served_future=future[order], served=people[order], unmet=unmet,
    )  # fmt: skip
