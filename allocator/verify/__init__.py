"""An independent check of a plan: every rule and total recomputed in plain Python from `Problem`.

Shares no code with ``model/``: loops and dictionaries instead of sparse rows, so that a slip in the
formulation cannot hide itself. A plan is complete only if `verify` finds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from allocator.errors import Finding, Rank, Text, Where
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Rule
from allocator.verify.checks import CHECKS
from allocator.verify.facts import TOLERANCE, Facts, gather, over
from allocator.verify.values import objective_value, value_of

__all__ = ["CHECKS", "objective_value", "verify"]


def verify(problem: Problem, plan: Plan) -> tuple[Finding, ...]:
    """Return everything wrong with a plan; an empty tuple means it holds.

    Checks that the plan answers this problem, that its numbers are finite and in range, every rule
    of the problem, each objective's value, and that no bound is better than its plan. What says itself that
    it is no plan never holds.
    """
    found = list(_shape(problem, plan))
    if found:
        return tuple(found)
    if not plan.is_complete or plan.violations:
        found.append(_no_plan(plan))
    facts = gather(problem, plan)
    found += _acceptable(facts)
    for rule in problem.rules:
        found += [_violation(rule, what) for what in CHECKS[type(rule)](facts, rule)]
    if plan.is_complete:
        found += _objectives(facts)
    return tuple(found)


def _violation(rule: Rule, what: Text) -> Finding:
    return Finding(
        Rank.ERROR, f"verify-{type(rule).__name__.lower()}", Where(id=rule.id),
        Text(f"方案违反“{rule.words.zh}”:{what.zh}", f"the plan breaks “{rule.words.en}”: {what.en}"),
        Text("不要采用此方案;请重新求解。", "Do not use this plan; solve again."),
    )  # fmt: skip


def _plain(code: str, zh: str, en: str) -> Finding:
    return Finding(
        Rank.ERROR, f"verify-{code}", Where(),
        Text(f"方案核验未通过:{zh}", f"the plan failed its check: {en}"),
        Text("不要采用此方案;请重新求解。", "Do not use this plan; solve again."),
    )  # fmt: skip


def _no_plan(plan: Plan) -> Finding:
    broken = plan.violations
    zh = ":" + "、".join(f"“{v.words.zh}”" for v in broken) if broken else ""
    en = ": " + ", ".join(f"“{v.words.en}”" for v in broken) if broken else ""
    return Finding(
        Rank.ERROR, "verify-incomplete", Where(id=", ".join(v.rule for v in broken)),
        Text(f"这不是方案,不满足硬性要求{zh}。", f"This is no plan; it does not keep every hard rule{en}."),
        Text("不要采用;请放宽求解限额或所列要求后重算。", "Do not use it; raise the limit of the solve or relax the rules named, and run it again."),
    )  # fmt: skip


def _shape(problem: Problem, plan: Plan) -> Iterator[Finding]:
    if plan.problem != problem.digest:
        yield _plain("problem", "它所答的是另一个问题", "it answers another problem")
    if len(plan.places) != len(problem.offer_stint) or plan.unmet.shape != problem.need.shape:
        yield _plain("shape", "名额或未满足数与问题不符", "places or unmet do not fit the problem")
        return
    for name in ("places", "served", "unmet"):
        values = getattr(plan, name)
        if not np.all(np.isfinite(values)) or np.any(values < -TOLERANCE):
            yield _plain(
                "values", f"{name} 含负数或非有限数", f"{name} holds negative or non-finite numbers"
            )
    sets = {
        "stints": (plan.stints, len(problem.stint_site)),
        "served_arc": (plan.served_arc, len(problem.arc_area)),
        "served_group": (plan.served_group, len(problem.groups)),
        "served_period": (plan.served_period, len(problem.periods)),
        "served_future": (plan.served_future, len(problem.futures)),
    }
    for name, (index, size) in sets.items():
        if len(index) and (index.min() < 0 or index.max() >= size):
            yield _plain("index", f"{name} 指向不存在的对象", f"{name} names something unknown")
    if len({len(getattr(plan, n)) for n in (*list(sets)[1:], "served")}) != 1:
        yield _plain("shape", "各服务数组长度不一", "the served arrays differ in length")
    if len(set(plan.stints.tolist())) != len(plan.stints):
        yield _plain("index", "同一做法选用了两次", "a stint is chosen twice")


def _acceptable(facts: Facts) -> Iterator[Finding]:
    """Flows are within the willing share of their own need, and never counted twice."""
    p = facts.problem
    seen = set()
    one = p.acceptance.shape[1] == 1
    for a, g, t, w, x in facts.flows:
        if (a, g, t, w) in seen:
            yield _plain("flow", f"路线 {a}、人群 {g}、规划期 {t}、前景 {w} 出现两次", f"arc {a}, group {g}, period {t}, future {w} stands twice")  # fmt: skip
        seen.add((a, g, t, w))
        s = int(p.class_service[p.arc_class[a]])
        most = float(p.acceptance[a, 0 if one else g]) * float(p.need[p.arc_area[a], s, g, t, w])
        if over(x, most):
            yield _plain("flow", f"路线 {a} 服务 {x:.6g} 人,愿意者至多 {most:.6g} 人", f"arc {a} serves {x:.6g} of at most {most:.6g} willing")  # fmt: skip


def _objectives(facts: Facts) -> Iterator[Finding]:
    p, plan = facts.problem, facts.plan
    if [o.id for o in p.objectives] != [o.id for o in plan.objectives]:
        yield _plain("objective", "目标与问题不符", "its objectives are not the problem's")
        return
    for objective, stated in zip(p.objectives, plan.objectives, strict=True):
        value = value_of(facts, objective)
        near = TOLERANCE * max(1.0, abs(value))
        if not math.isfinite(stated.value) or abs(value - stated.value) > near:
            yield _plain("objective", f"{objective.id} 应为 {value:.9g},而非 {stated.value:.9g}", f"{objective.id} is {value:.9g}, not {stated.value:.9g}")  # fmt: skip
        if stated.bound > value + near or not math.isfinite(stated.bound):
            yield _plain("bound", f"{objective.id}:界 {stated.bound:.9g} 竟优于方案", f"{objective.id}: bound {stated.bound:.9g} is better than the plan")  # fmt: skip
        if stated.unit != objective.unit:
            yield _plain("objective", f"{objective.id} 的单位应为 {objective.unit},而非 {stated.unit}", f"{objective.id} is in {objective.unit}, not {stated.unit}")  # fmt: skip
