"""Services, facility types and dated norms, each figure with its source and its mark.

Numbers stand in catalogue files, none in code. A mark says how far a figure may be trusted:
``verified``, ``stated``, ``unconfirmed`` (norms) or ``assumed``, ``synthetic`` (demonstration).

The policy side of the catalogue stands beside the norms: the items of the nine domains, the
national basic elderly-care list, target groups, units, payers, central-local tiers, subsidy steps,
quality standards, provision modes, unit costs and what is out of scope.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from allocator.errors import NO_TEXT, Text

__all__ = [
    "DIRECTIONS",
    "MARKS",
    "BasicListEntry",
    "Catalogue",
    "EquityFlag",
    "FacilityType",
    "Funder",
    "Item",
    "Offer",
    "OutOfScope",
    "Provision",
    "ProvisionMode",
    "QualityStandard",
    "Service",
    "SharingTier",
    "Standard",
    "SubsidyStep",
    "TargetGroup",
    "Unit",
    "UnitCost",
]

MARKS = ("verified", "stated", "unconfirmed", "assumed", "synthetic")
DIRECTIONS = ("higher", "lower", "none")


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
    ``insurance_yuan_month`` are income a person served; ``groups`` empty means all. Where a team
    travels to people: ``minutes_visit`` is spent at the door, ``visits_trip`` are made a journey,
    and each place served is called at ``trips_month`` times a month at least.
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
    minutes_visit: float = 0.0
    visits_trip: float = 1.0
    trips_month: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """How a facility comes to be: mode, the states it may come from, setup, life and capital.

    ``capital_yuan_place`` is of the facility's main service; ``price_by_service`` stands instead
    where several services bear a price of their own (joint sites).
    """

    mode: str
    from_states: tuple[str, ...]
    capital_yuan_fixed: float
    capital_yuan_place: float
    setup_years: float
    life_years: float
    mark: str
    source: str
    price_by_service: Mapping[str, float] = field(default_factory=dict)


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
    """One dated norm, with everything a reviewer asks of it.

    ``direction`` says which way is better for people: ``higher`` (the value is a minimum),
    ``lower`` (a maximum) or ``none`` (a figure to read, not to compare). ``level`` is
    ``national``, ``local``, ``example`` (one place's figure) or ``default`` (ours, configurable).
    Dates are ISO, ``valid_until`` blank while in force. ``basis`` cites number and year.
    ``item`` and ``service`` tie it to an `Item` and a `Service`, blank where there is none;
    ``section`` is a heading for tables.
    """

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
    section: str = ""
    item: str = ""
    service: str = ""
    note: Text = NO_TEXT

    def is_valid(self, on: str) -> bool:
        """Whether the norm is in force on the ISO date ``on``."""
        return self.valid_from <= on and (not self.valid_until or on <= self.valid_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """People a norm or an item is for; ``within`` names the groups that contain this one.

    A group that an age tells has a ``track`` (``resident``, ``registered``) and completed years of
    age ``age_from`` to ``age_to``, both included; NaN where age does not tell it.
    """

    id: str
    name: Text
    within: tuple[str, ...] = ()
    track: str = ""
    age_from: float = math.nan
    age_to: float = math.nan

    @property
    def is_counted_by_age(self) -> bool:
        """Whether a population by age gives the persons of the group."""
        return bool(self.track) and self.age_from <= self.age_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of norms: what is counted, and for how many persons (0: not for persons)."""

    id: str
    name: Text
    counts: str
    per_persons: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of the nine domains.

    ``kind`` is ``place`` (needs siting), ``cash`` or ``administrative``; ``sharing`` is ``tiers``
    (five central-local tiers), ``own-rule``, ``local`` or ``fund``; ``handling`` says how someone
    registered elsewhere is served: ``direct``, ``cross-region`` or ``transfer``; ``is_new`` marks a
    new eligible item, whose ``mode`` is purchase unless a reason is stated.
    """

    id: str
    domain: int
    domain_name: Text
    name: Text
    kind: str
    group: str
    level: str
    payer: str
    agency: str
    sharing: str
    handling: str
    basis: str
    source: str
    valid_from: str
    valid_until: str
    mark: str
    service: str = ""
    is_new: bool = False
    mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicListEntry:
    """One of the sixteen entries of the national basic elderly-care list.

    ``siting`` is ``none``, ``beds``, ``outreach``, ``priority``, ``demand``, ``home`` or
    ``shelter``; ``hard`` marks a floor that no plan may break.
    """

    number: int
    name: Text
    group: str
    kind: str
    siting: str
    hard: bool
    service: str
    basis: str
    source: str
    mark: str
    note: Text = NO_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Funder:
    """One payer: a level of government, a fund, a fee or private money, and the pools it pays."""

    id: str
    name: Text
    kind: str
    pools: tuple[str, ...]
    share: float
    capped: bool
    mark: str
    source: str
    note: Text = NO_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingTier:
    """The central share of one province or separately planned city."""

    tier: int
    place: Text
    kind: str
    central_share: float
    basis: str
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyStep:
    """A grant a place, by size and mode.

    ``modes`` empty means all; ``places_max`` may be infinite; ``per`` is ``place`` (once) or
    ``occupied-place-month``; ``group`` blank means every client.
    """

    programme: str
    name: Text
    payer: str
    pool: str
    modes: tuple[str, ...]
    places_min: float
    places_max: float
    group: str
    per: str
    yuan: float
    valid_from: str
    valid_until: str
    basis: str
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityStandard:
    """A basic quality standard (基本质量标准): what is looked at, and the least that will do."""

    id: str
    name: Text
    service: str
    aspect: str
    criterion: Text
    value: float
    unit: str
    basis: str
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionMode:
    """A way to provide: setup, contract, price, market limit, quality floor.

    ``price_factor`` multiplies the running cost of one's own provision; ``market_share_max`` is the
    share of need that suppliers can take; ``replaces_trips_share`` is the share of visits a remote
    mode replaces; ``needs_reason`` asks for a stated reason where the item is new.
    """

    mode: str
    name: Text
    setup_years: float
    contract_years: float
    price_factor: float
    market_share_max: float
    replaces_trips_share: float
    quality_floor: str
    needs_reason: bool
    basis: str
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """What one more unit of a norm costs: capital, running a year, workers, people helped."""

    standard: str
    capital_yuan: float
    running_yuan_year: float
    workers: float
    persons_helped: float
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScope:
    """Something the policy names that the plan does not decide (未纳入范围), and why."""

    id: str
    name: Text
    reason: Text
    source: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityFlag:
    """A threshold that flags an equity index, or a reading of its values, with its caution.

    ``kind`` is ``flag`` (with ``side``, ``above`` or ``below``) or ``reading`` (from ``threshold``
    to ``upper``).
    """

    kind: str
    index: str
    side: str
    threshold: float
    upper: float
    unit: str
    name: Text
    caution: Text
    source: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Services, facility types, standards and policy tables of one version.

    ``local`` holds the county's own norms; where one is in force it stands before the national one.
    """

    version: str
    services: Mapping[str, Service]
    types: Mapping[str, FacilityType]
    standards: tuple[Standard, ...] = field(default_factory=tuple)
    local: tuple[Standard, ...] = ()
    items: Mapping[str, Item] = field(default_factory=dict)
    basic_list: tuple[BasicListEntry, ...] = ()
    groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    funders: Mapping[str, Funder] = field(default_factory=dict)
    tiers: tuple[SharingTier, ...] = ()
    steps: tuple[SubsidyStep, ...] = ()
    quality: tuple[QualityStandard, ...] = ()
    modes: Mapping[str, ProvisionMode] = field(default_factory=dict)
    unit_costs: Mapping[str, UnitCost] = field(default_factory=dict)
    out_of_scope: tuple[OutOfScope, ...] = ()
    flags: tuple[EquityFlag, ...] = ()

    @property
    def norms(self) -> tuple[Standard, ...]:
        """Every version of every norm that counts here: the county's own, and the others' ids."""
        own = {s.id for s in self.local}
        return (*self.local, *(s for s in self.standards if s.id not in own))

    def standard(self, id: str, on: str) -> Standard:
        """Return the standard of that id valid on the ISO date ``on``, the county's own first.

        Raises
        ------
        KeyError
            When none is valid on that date.
        """
        for s in (*self.local, *self.standards):
            if s.id == id and s.is_valid(on):
                return s
        raise KeyError(f"no standard {id!r} is valid on {on}")
