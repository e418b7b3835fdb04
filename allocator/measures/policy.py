"""What a plan rests on, as tables a report prints: norms, items and how they are provided, quality."""

from __future__ import annotations

import pandas as pd

from allocator.case import Case
from allocator.scenario import Scenario
from allocator.standards import norm_rows, provided

__all__ = ["policy_tables"]


def policy_tables(case: Case, scenario: Scenario) -> dict[str, pd.DataFrame]:
    """Return ``standards``, ``items``, ``quality`` and ``out_of_scope`` of a scenario.

    ``standards`` holds every norm in force today or at the end of a period, ``used`` saying what for:
    ``rule`` (a rule relies on it), ``service`` (of a planned service) or blank. ``items`` holds all
    items of the nine domains, the planned ones with mode and reason.
    """
    catalogue = case.catalogue
    days = [f"{year}-12-31" for year in scenario.years]
    norms = norm_rows(catalogue, days)
    norms["used"] = [
        "rule" if id in scenario.norms else "service" if service in scenario.services else ""
        for id, service in zip(norms["id"], norms["service"], strict=True)
    ]
    stated = {k: (p.mode, p.reason.en if p.reason else "") for k, p in scenario.provision.items()}
    settled, _ = provided(catalogue, scenario.services, stated)
    how = {p.item.id: p for p in settled}
    items = []
    for id, item in sorted(catalogue.items.items()):
        mode = how[id].mode if id in how else ""
        words = catalogue.modes[mode].name if mode in catalogue.modes else None
        spec = scenario.provision.get(id)
        reason = spec.reason if spec is not None and id in how else None
        items.append(
            (id, item.domain, item.domain_name.zh, item.domain_name.en, item.name.zh, item.name.en,
             item.kind, item.service, id in how, item.is_new, mode, words.zh if words else mode,
             words.en if words else mode, reason.zh if reason else "", reason.en if reason else "",
             item.payer, item.handling, item.basis, item.mark)
        )  # fmt: skip
    quality = [
        (q.id, q.name.zh, q.name.en, q.service, q.criterion.zh, q.criterion.en, q.value,
         catalogue.units[q.unit].name.zh if q.unit in catalogue.units else q.unit,
         catalogue.units[q.unit].name.en if q.unit in catalogue.units else q.unit, q.basis, q.mark)
        for q in catalogue.quality
        if q.service in scenario.services
    ]  # fmt: skip
    outside = [
        (o.id, o.name.zh, o.name.en, o.reason.zh, o.reason.en, o.mark)
        for o in catalogue.out_of_scope
    ]
    return {
        "standards": norms,
        "items": pd.DataFrame(
            items,
            columns=["id", "domain", "domain_zh", "domain_en", "name_zh", "name_en", "kind", "service",
                     "is_planned", "is_new", "mode", "mode_zh", "mode_en", "reason_zh", "reason_en",
                     "payer", "handling", "basis", "mark"],
        ),
        "quality": pd.DataFrame(
            quality,
            columns=["id", "name_zh", "name_en", "service", "criterion_zh", "criterion_en", "value",
                     "unit_zh", "unit_en", "basis", "mark"],
        ),
        "out_of_scope": pd.DataFrame(
            outside, columns=["id", "name_zh", "name_en", "reason_zh", "reason_en", "mark"]
        ),
    }  # fmt: skip
