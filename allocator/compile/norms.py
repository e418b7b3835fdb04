"""The norms a scenario relies on and how its new items are provided, held against the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from allocator.case import Case
from allocator.catalogue import Standard
from allocator.errors import Finding, Rank, Text, Where, nearest
from allocator.rules import Floats
from allocator.scenario import CoverageRule, NursingRule, PlacesRule, Scenario, ServedRule
from allocator.standards import adjusted, bought_services, check_local, check_years, provided

__all__ = ["barred_offers", "case_under", "norm_findings", "norms_by_period", "share_by_period"]


def case_under(case: Case, scenario: Scenario) -> Case:
    """Return the case with the norms that the scenario changes; the case itself where it changes none."""
    if not scenario.standards:
        return case
    changes = [(c.standard, c.from_, c.value, c.group) for c in scenario.standards]
    return replace(case, catalogue=adjusted(case.catalogue, changes))


def norm_findings(case: Case, scenario: Scenario) -> tuple[Finding, ...]:
    """Return what stands against the norms, items and grants of a scenario; errors refuse it.

    Norms must be in force in every year of the plan from the first in which they are relied upon,
    and countable by the rule that relies on them. A changed norm below the national one is told.
    """
    here = case_under(case, scenario)
    catalogue = here.catalogue
    last = scenario.periods[-1].to
    found: list[Finding] = []
    for id, first in sorted(scenario.norms.items()):
        found += check_years(catalogue.norms, [id], range(first, last + 1))
    known = {s.id for s in catalogue.norms}
    for rule in scenario.rules:
        norm = getattr(rule.value, "standard", None)
        if norm is not None and norm in known and not any(f.where.id == norm for f in found):
            found += _unfit(here, scenario, rule.value, norm)
    if scenario.standards:
        changed = {c.standard for c in scenario.standards}
        local = tuple(s for s in catalogue.local if s.id in changed)
        found += check_local(case.catalogue, local, f"{last}-12-31")
        for c in scenario.standards:
            if c.group is not None and c.group not in catalogue.groups:
                found.append(_unknown("standards.group", scenario, c.group, list(catalogue.groups)))
    programmes = {s.programme for s in catalogue.steps}
    found += [_unknown("grants", scenario, g, list(programmes)) for g in scenario.grants if g not in programmes]  # fmt: skip
    stated = {k: (p.mode, p.reason.en if p.reason else "") for k, p in scenario.provision.items()}
    found += provided(catalogue, scenario.services, stated)[1]
    return tuple(found)


def _unfit(case: Case, scenario: Scenario, rule: object, id: str) -> list[Finding]:
    """A norm whose unit or group the rule cannot count."""
    found = []
    for s in {n.version: n for n in norms_by_period(case, scenario, id) if n is not None}.values():
        unit = case.catalogue.units[s.unit]
        group = case.catalogue.groups.get(s.group)
        if isinstance(rule, PlacesRule):
            fits = unit.per_persons > 0 and group is not None and group.is_counted_by_age
        elif isinstance(rule, CoverageRule) and rule.within_minutes is None:
            fits = unit.id == "minute"
        else:
            fits = unit.id == "share"
        if not fits:
            found.append(
                Finding(
                    Rank.ERROR, "standard-not-countable", Where(file=f"{scenario.name}.yaml", column="rules.standard", id=id),
                    Text(f"该规则无法按“{unit.name.zh}”、对象“{s.group}”计算。", f"The rule cannot count it: {unit.name.en}, group {s.group}."),
                    Text("床位规则需按年龄人口计的标准,覆盖规则需分钟或比例。", "A rule on places needs a norm by persons of an age; the others a share, or minutes of reach."),
                )
            )  # fmt: skip
    return found


def _unknown(column: str, scenario: Scenario, name: str, known: list[str]) -> Finding:
    near = nearest(name, known)
    hint = Text(f"是否指 {near}?", f"Did you mean {near}?") if near else Text("请核对。", "Check the spelling.")  # fmt: skip
    return Finding(
        Rank.ERROR, "unknown-name", Where(file=f"{scenario.name}.yaml", column=column, id=name),
        Text(f"目录中没有 {name}。", f"The catalogue has no {name}."), hint,
    )  # fmt: skip


def norms_by_period(case: Case, scenario: Scenario, id: str) -> list[Standard | None]:
    """Return the version in force at the end of each period, None where none is."""
    out: list[Standard | None] = []
    for p in scenario.periods:
        try:
            out.append(case.catalogue.standard(id, f"{p.to}-12-31"))
        except KeyError:
            out.append(None)
    return out


def share_by_period(
    case: Case, scenario: Scenario, rule: CoverageRule | ServedRule | NursingRule
) -> Floats:
    """Return (T,) the share a rule asks for: its own, or its norm's; 0 before the rule begins."""
    share = np.zeros(len(scenario.periods))
    norm = rule.standard if rule.share is None else None
    versions = norms_by_period(case, scenario, norm) if norm else [None] * len(share)
    for t, (period, version) in enumerate(zip(scenario.periods, versions, strict=True)):
        if rule.from_ is None or period.to >= rule.from_:
            share[t] = version.value if version is not None else rule.share or 0.0
    return share


def barred_offers(case: Case, scenario: Scenario) -> tuple[frozenset[str], frozenset[str]]:
    """Return the services that are bought, and the modes of one's own that may not offer them.

    Source: 符合条件的新增事项优先以政府购买服务方式提供; see `standards.provided`.
    """
    stated = {k: (p.mode, p.reason.en if p.reason else "") for k, p in scenario.provision.items()}
    bought = bought_services(case.catalogue, scenario.services, stated)
    own = frozenset(m for m, mode in case.catalogue.modes.items() if mode.needs_reason)
    return bought, own
