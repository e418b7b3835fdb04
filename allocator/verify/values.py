"""The value of an objective, recomputed from a plan's contents."""

from __future__ import annotations

import numpy as np

from allocator.plan import Plan
from allocator.problem import Objective, Problem
from allocator.rules import Deviation, Floor, Served, WorstGroup
from allocator.verify.facts import Facts, deviation_in, gather, members_of, served_share

__all__ = ["objective_value", "value_of"]


def _worst_share(facts: Facts, rule: WorstGroup) -> float:
    """The least served share over parts, periods and futures."""
    p, worst = facts.problem, 1.0
    for areas in members_of(rule).values():
        for t in range(len(p.periods)):
            for w in range(len(p.futures)):
                got, need = served_share(facts, rule.service, areas, t, w)
                worst = min(worst, got / need) if need > 0 else worst
    return worst


def _deviation(facts: Facts, rule: Deviation, w: int) -> float:
    """People by which the parts are off the county's served share in a future, mean of periods."""
    periods = range(len(facts.problem.periods))
    return sum(deviation_in(facts, rule, t, w) for t in periods) / len(periods)


def objective_value(problem: Problem, plan: Plan, objective: Objective) -> float:
    """Return an objective's value recomputed from the plan, in plain Python."""
    return value_of(gather(problem, plan), objective)


def value_of(facts: Facts, objective: Objective) -> float:
    """Parts that all futures share, plus the futures' parts weighed as the objective says."""
    p, plan = facts.problem, facts.plan
    shared = objective.constant
    if objective.stint is not None:
        shared += sum(float(objective.stint[s]) for s in facts.stints)
    if objective.place is not None:
        shared += sum(
            float(c) * n for c, n in zip(objective.place, plan.places.tolist(), strict=True)
        )
    expected = 0.0  # shortfalls of rules on people are kept as their mean over futures
    futures = [_future_value(facts, objective, w) for w in range(len(p.futures))]
    for rule in p.rules:
        if objective.shortfalls and not rule.is_hard:
            priced = float(rule.price or 0.0) * plan.shortfalls.get(rule.id, 0.0)
            if not isinstance(rule, Served | Floor):
                shared += priced
            elif objective.risk == "expected":
                expected += priced
            else:
                for w, missing in enumerate(_missing_by_future(facts, rule)):
                    futures[w] += float(rule.price or 0.0) * missing
        if rule.id == objective.epigraph and isinstance(rule, WorstGroup):
            shared -= objective.epigraph_weight * _worst_share(facts, rule)
    return shared + expected + _weighed(p, objective, futures)


def _future_value(facts: Facts, objective: Objective, w: int) -> float:
    """The part of an objective that one future alone bears, shortfalls left out."""
    p, plan, total = facts.problem, facts.plan, 0.0
    weight = [1.0] * len(p.periods)
    if objective.period_weight is not None:
        weight = objective.period_weight.tolist()
    if objective.person is not None:
        one = objective.person.shape[1] == 1
        for a, g, t, of, x in facts.flows:
            if of == w:
                total += float(objective.person[a, 0 if one else g]) * x * weight[t]
    if objective.unmet is not None:
        each = np.broadcast_to(objective.unmet, p.need.shape[:3])
        for cell in np.argwhere(plan.unmet[..., w] > 0):
            i, s, g, t = (int(v) for v in cell)
            total += float(each[i, s, g]) * float(plan.unmet[i, s, g, t, w]) * weight[t]
    for rule in p.rules:
        if rule.id == objective.epigraph and isinstance(rule, Deviation):
            total += objective.epigraph_weight * _deviation(facts, rule, w)
    return total


def _missing_by_future(facts: Facts, rule: Served | Floor) -> list[float]:
    """People missing from a served share in each future, parts and periods summed."""
    p = facts.problem
    if isinstance(rule, Served):
        members, groups = {0: set(rule.areas.tolist())}, set(rule.groups.tolist())
    else:
        members, groups = members_of(rule), set(range(len(p.groups)))
    missing = [0.0] * len(p.futures)
    for w in range(len(p.futures)):
        for areas in members.values():
            for t in range(len(p.periods)):
                cells = [(i, rule.service, g, t, w) for i in areas for g in groups]
                need = sum(float(p.need[cell]) for cell in cells)
                got = sum(facts.by_cell.get(cell, 0.0) for cell in cells)
                missing[w] += max(0.0, float(rule.share[t]) * need - got)
    return missing


def _weighed(p: Problem, objective: Objective, futures: list[float]) -> float:
    """Weigh the futures' values: mean, worst, mean of the worst share, or worst regret."""
    if objective.risk == "worst":
        return max(futures)
    if objective.risk == "regret":
        assert objective.future_best is not None
        best = [float(b) for b in objective.future_best]
        return max(v - b for v, b in zip(futures, best, strict=True))
    weight = [float(v) for v in p.future_weight]
    if objective.risk == "cvar":
        left, total = objective.risk_share, 0.0
        for value, chance in sorted(zip(futures, weight, strict=True), reverse=True):
            part = min(left, chance)
            total, left = total + part * value, left - part
        return total / objective.risk_share
    return sum(value * chance for value, chance in zip(futures, weight, strict=True))
