"""Joint sites (综合设施): facility types that share one site become one more type of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from allocator.case import Case
from allocator.catalogue import FacilityType, Offer, Provision
from allocator.errors import Text
from allocator.scenario import JointSpec, Scenario

__all__ = ["joint_type", "with_joint_types"]


def with_joint_types(case: Case, scenario: Scenario) -> Case:
    """Return the case with the joint types of a scenario in its catalogue.

    The parts keep their reach classes, so people go to a joint site as they would to its parts.
    """
    known = case.catalogue.types
    made = {
        spec.id: joint_type(spec, [known[t] for t in spec.types])
        for spec in scenario.options.joint
        if spec.id not in known
    }
    if not made:
        return case
    # Parts come last: where a reach class is looked up by its id, the part's own figures stand.
    return replace(case, catalogue=replace(case.catalogue, types={**made, **known}))


def joint_type(spec: JointSpec, parts: Sequence[FacilityType]) -> FacilityType:
    """Return the type that stands for several at one site, with what sharing saves.

    It may stand where all its parts may, and comes to be in the ways that all of them know.
    """
    save = {item: 1 - spec.saving.get(item, 0.0) for item in ("staff", "running", "floor_area")}
    offers: dict[str, Offer] = {}
    for part in parts:
        for offer in part.offers:
            area = offer.floor_area_m2_place * save["floor_area"]
            offers[offer.id] = replace(offer, floor_area_m2_place=area)
    classes = [c for c in parts[0].area_classes if all(c in p.area_classes for p in parts)]
    return FacilityType(
        id=spec.id,
        name=Text("+".join(p.name.zh for p in parts), " + ".join(p.name.en for p in parts)),
        tier=parts[0].tier,
        area_classes=tuple(classes),
        running_yuan_year=sum(p.running_yuan_year for p in parts) * save["running"],
        staff_fixed=sum(p.staff_fixed for p in parts) * save["staff"],
        offers=tuple(offers[k] for k in sorted(offers)),
        provisions=tuple(_provisions(spec, parts)),
        ownership=parts[0].ownership,
        source="; ".join(dict.fromkeys(p.source for p in parts)),
        mark="assumed",
    )


def _provisions(spec: JointSpec, parts: Sequence[FacilityType]) -> list[Provision]:
    """Ways that every part knows, from the states that all of them may come from."""
    keep, found = 1 - spec.saving.get("capital", 0.0), []
    for first in parts[0].provisions:
        ways = [first]
        for part in parts[1:]:
            same = [p for p in part.provisions if p.mode == first.mode]
            ways += [p for p in same if set(p.from_states) & set(first.from_states)][:1]
        states = [s for s in first.from_states if all(s in w.from_states for w in ways)]
        if len(ways) < len(parts) or not states:
            continue
        price = {
            main_service(part): way.capital_yuan_place * keep
            for part, way in zip(parts, ways, strict=True)
        }
        found.append(
            replace(
                first,
                from_states=tuple(states),
                capital_yuan_fixed=sum(w.capital_yuan_fixed for w in ways) * keep,
                capital_yuan_place=price[main_service(parts[0])],
                setup_years=max(w.setup_years for w in ways),
                life_years=min(w.life_years for w in ways),
                price_by_service=price,
                mark="assumed",
            )
        )
    return found


def main_service(type_: FacilityType) -> str:
    """Return the service that a facility's size is counted in: residential care where it has any."""
    services = [o.service for o in type_.offers]
    return "elderly.resident" if "elderly.resident" in services else services[0]
