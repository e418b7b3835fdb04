"""Objectives of a scenario as linear functions of stints, places, people served and unmet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from allocator.compile.stints import Stints, annuity, present_value
from allocator.errors import Text
from allocator.problem import Objective
from allocator.rules import Floats, Ints
from allocator.scenario import Scenario

__all__ = ["make_objectives"]

_WORDS = {
    "shortfall": Text("未达标准的缺口", "shortfall from targets"),
    "unmet": Text("按优先级加权的未满足需求", "unmet need, by priority"),
    "travel": Text("服务出行时间", "travel of people served"),
    "cost": Text("规划期净现值成本", "net present cost"),
    "capital": Text("投资现值", "present value of investment"),
    "running": Text("运行资金现值", "present value of running money"),
    "worst-area": Text("相对薄弱乡镇满足率", "served share of the worst township"),
    "deviation": Text("各乡镇满足率离差", "deviation of townships' served shares"),
    "change": Text("与现状的变动", "change from today"),
    "weighted": Text("加权目标", "weighted objective"),
}
_UNITS = {
    "shortfall": "person", "unmet": "weighted person-year", "travel": "person-hour", "cost": "yuan",
    "capital": "yuan", "running": "yuan", "worst-area": "share", "deviation": "person",
    "change": "site",
}  # fmt: skip


def make_objectives(
    scenario: Scenario,
    stints: Stints,
    *,
    need_shape: tuple[int, ...],
    services: tuple[str, ...],
    groups: tuple[str, ...],
    arc_minutes: Floats,
    class_service: Ints,
    use_person: Floats,
    arc_class: Ints,
    pools: tuple[str, ...],
    priorities: pd.DataFrame,
) -> tuple[Objective, ...]:
    """Return the scenario's objectives in order; a mapping of names is one weighted sum.

    ``cost-to-targets`` (达标最小投资) stands for two: least shortfall, then least net present cost.
    """
    years = np.array([float(p.years) for p in scenario.periods])
    weight = np.zeros((1, len(services), len(groups)))
    for row in priorities.itertuples(index=False):
        if row.service in services and row.group in groups:
            weight[0, services.index(row.service), groups.index(row.group)] = row.weight

    def running_person() -> Floats:
        k = pools.index("running")
        return np.asarray(use_person[arc_class, :, k, 0])

    def one(name: str) -> Objective:
        base = Objective(id=name, unit=_UNITS[name], words=_WORDS[name])
        if name == "shortfall":
            return replace(base, shortfalls=True)
        if name == "unmet":
            return replace(base, unmet=weight, period_weight=years)
        if name == "travel":
            return replace(base, person=arc_minutes[:, None] / 60, period_weight=years)
        if name in ("cost", "capital", "running"):
            return _money(base, name, scenario, stints, pools, running_person)
        if name == "change":
            changed = (stints.option != stints.from_) & (stints.first >= 0)
            return replace(base, stint=changed.astype(float))
        return replace(base, epigraph=name)

    found: list[Objective] = []
    for entry in scenario.objective:
        if isinstance(entry, Mapping):
            found.append(_weighted({n: (one(n), w) for n, w in entry.items()}, years))
        elif entry == "cost-to-targets":
            found += [one("shortfall"), one("cost")]
        else:
            found.append(one(entry))
    if scenario.risk.measure in ("worst", "cvar"):
        weighed = {"risk": scenario.risk.measure, "risk_share": scenario.risk.share}
        found[0] = replace(found[0], **weighed)  # type: ignore[arg-type]
    return tuple(found)


def _money(
    base: Objective,
    name: str,
    scenario: Scenario,
    stints: Stints,
    pools: tuple[str, ...],
    running_person: Callable[[], Floats],
) -> Objective:
    """Money is real and discounted; capital is credited with unexpired straight-line life."""
    periods = len(scenario.periods)
    worth, yearly = present_value(scenario), annuity(scenario)
    end = scenario.periods[-1].to + 1
    opened = np.array([scenario.periods[t].from_ for t in stints.first])
    left = np.clip(1 - (end - opened) / stints.life, 0, 1)
    left = np.where(np.isfinite(stints.life), left, 0.0)
    last_worth = (1 + scenario.discount_rate) ** -float(end - scenario.base_year)
    factor = worth[stints.first] - left * last_worth
    stint, place = np.zeros(len(stints.site)), np.zeros(len(stints.offer_stint))
    person = None
    if name in ("cost", "capital"):
        stint = stint + stints.capital * factor
        place = place + stints.capital_place * factor[stints.offer_stint]
    if name in ("cost", "running") and "running" in pools:
        k = pools.index("running")
        part = slice(k * periods, (k + 1) * periods)
        stint = stint + stints.use_stint[:, part] @ yearly
        place = place + stints.use_place[:, part] @ yearly
        person = running_person()
    return replace(base, stint=stint, place=place, person=person, period_weight=yearly)


def _weighted(parts: Mapping[str, tuple[Objective, float]], years: Floats) -> Objective:
    """One objective from several: person and unmet terms carry their own period weights."""
    out = Objective(
        id="+".join(parts), unit="weighted", words=_WORDS["weighted"], period_weight=years
    )
    total: dict[str, Floats | None] = {"stint": None, "place": None, "person": None, "unmet": None}
    for part, weight in parts.values():
        if part.epigraph:
            out = replace(out, epigraph=part.epigraph, epigraph_weight=weight)
        if part.shortfalls:
            if weight != 1:
                raise ValueError("in a weighted objective the weight of shortfall is 1")
            out = replace(out, shortfalls=True)
        for key in total:
            value = getattr(part, key)
            if value is None:
                continue
            if key in ("person", "unmet") and part.period_weight is not None:
                value = value * float((part.period_weight / years).mean())
            old = total[key]
            total[key] = value * weight if old is None else old + value * weight
    return replace(out, **total)  # type: ignore[arg-type]
