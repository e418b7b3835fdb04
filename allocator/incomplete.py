"""What is said where a limit came before any plan and what was found breaks hard rules."""

from __future__ import annotations

import math
from collections.abc import Mapping

from allocator.errors import Finding, Rank, Text, Where, plural
from allocator.plan import Plan, Violation
from allocator.problem import Problem

__all__ = ["incomplete_findings"]

_UNITS: Mapping[str, Text] = {
    "person": Text("人", "persons"),
    "place": Text("个名额", "places"),
    "site": Text("处", "sites"),
    "m2": Text("平方米", "m2"),
    "person-minute": Text("人·分钟", "person-minutes"),
    "yuan": Text("元", "yuan"),
    "yuan/year": Text("元/年", "yuan a year"),
}


def incomplete_findings(
    problem: Problem, plan: Plan, pools: Mapping[str, str]
) -> tuple[Finding, ...]:
    """Return that there is no plan yet, and each rule that the sites found break, by how much.

    Parameters
    ----------
    pools
        Unit of each pool, by the name before any colon (``capital`` of ``capital:township``).
    """
    return (
        _no_plan_yet(problem, plan),
        *(_broken(problem, v, pools) for v in plan.violations),
    )


def _no_plan_yet(problem: Problem, plan: Plan) -> Finding:
    names = {o.id: o.words for o in problem.objectives}
    zh, en = "", ""
    for o in plan.objectives:
        if math.isfinite(o.bound):
            unit = _UNITS.get(o.unit, Text(o.unit, o.unit))
            zh += f"已证明:任何方案的“{names[o.id].zh or o.id}”都不低于{o.bound:,.6g}{unit.zh}。"
            en += (
                f" Proved: in no plan is “{names[o.id].en or o.id}” below {o.bound:,.6g} {unit.en}."
            )
    count = len(plan.violations)
    return Finding(
        Rank.ERROR, "plan-incomplete", Where(),
        Text(
            f"在限定的计算量内未找到满足全部硬性要求的方案,是否存在也未能证明。所找到的布点中违反最少的仍不满足{count}条要求,不是方案。{zh}",
            f"No plan that keeps every hard rule was found within the limit, nor was it proved that none exists. The sites found that break least still break {plural(count, 'rule')}: they are no plan.{en}",
        ),
        Text(
            "请放宽 solve.work_limit 或 solve.seconds 后重算,或放宽下列要求。",
            "Raise solve.work_limit or solve.seconds and run it again, or relax the rules named below.",
        ),
    )  # fmt: skip


def _broken(problem: Problem, violation: Violation, pools: Mapping[str, str]) -> Finding:
    name = pools.get(violation.unit.partition(":")[0], violation.unit)
    unit = _UNITS.get(name, Text(name, name))
    some = [
        (period, f"{amount:,.6g}")
        for period, amount in zip(problem.periods, violation.amounts, strict=True)
        if amount > 0
    ]
    zh = "、".join(f"{period}差{amount}{unit.zh}" for period, amount in some)
    en = ", ".join(f"by {amount} {unit.en} in {period}" for period, amount in some)
    return Finding(
        Rank.ERROR, "rule-violated", Where(id=violation.rule),
        Text(f"不满足“{violation.words.zh}”:{zh}。", f"“{violation.words.en}” is broken {en}."),
        Text("放宽该要求至少这么多,这些布点即满足它。", "Relax it by so much and these sites keep it."),
    )  # fmt: skip
