"""Services, facility types and dated norms, each figure with its source and its mark.

Numbers stand in catalogue files, none in code. A mark says how far a figure may be trusted:
``verified``, ``stated``, ``unconfirmed`` (norms) or ``assumed``, ``synthetic`` (demonstration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from allocator.errors import Text

__all__ = ["Catalogue", "FacilityType", "Offer", "Provision", "Service", "Standard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One public service: id, name, unit of need, and the groups that use it."""

    id: str
    name: Text
    unit: str
    unit_words: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a facility type provides of one service: its reach class, scale and running costs.

    ``staff`` is workers a person served by need grade; ``fee_yuan_month`` and
    ``insurance_yuan_month`` are income a person served; ``groups`` empty means all.
    """

    id: str
    service: str
    places_min: float
    places_max: float
    module: float
    within_minutes: float
    travel: str
    occupancy_min: float
    occupancy_max: float
    running_yuan_place_year: float
    running_yuan_person_year: Mapping[str, float]
    staff: Mapping[str, float]
    fee_yuan_month: Mapping[str, float]
    insurance_yuan_month: Mapping[str, float]
    floor_area_m2_place: float
    nursing_share: float
    groups: tuple[str, ...]
    mark: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """How a facility comes to be: mode, the states it may come from, setup, life and capital."""

    mode: str
    from_states: tuple[str, ...]
    capital_yuan_fixed: float
    capital_yuan_place: float
    setup_years: float
    life_years: float
    mark: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityType:
    """One kind of facility: where it may stand, what it offers, how it comes to be."""

    id: str
    name: Text
    tier: str
    area_classes: tuple[str, ...]
    running_yuan_year: float
    staff_fixed: float
    offers: tuple[Offer, ...]
    provisions: tuple[Provision, ...]
    ownership: str
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """One dated norm, with everything a reviewer asks of it."""

    id: str
    version: str
    title: Text
    value: float
    unit: str
    direction: str
    group: str
    level: str
    payer: str
    agency: str
    basis: str
    source: str
    valid_from: str
    valid_until: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Services, facility types and standards of one version."""

    version: str
    services: Mapping[str, Service]
    types: Mapping[str, FacilityType]
    standards: tuple[Standard, ...] = field(default_factory=tuple)

    def standard(self, id: str, on: str) -> Standard:
        """Return the standard of that id valid on the ISO date ``on``.

        Raises
        ------
        KeyError
            When none is valid on that date.
        """
        for s in self.standards:
            if s.id == id and s.valid_from <= on and (not s.valid_until or on <= s.valid_until):
                return s
        raise KeyError(f"no standard {id!r} is valid on {on}")
