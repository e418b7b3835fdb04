"""`Scenario`: one what-if, as data: periods, assumptions, levers, rules, objectives, solve options.

The models below are the file format itself (``docs/formats.md``); unknown keys are refused. A
scenario that ``extends`` another writes only what differs: mappings merge key by key, anything else
replaces what it extends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from allocator.errors import Text, Unfit

__all__ = [
    "CoverageRule",
    "EvenRule",
    "JointSpec",
    "MoveSpec",
    "NearestRule",
    "NeedSpec",
    "NormChange",
    "OptionSpec",
    "OverflowRule",
    "OwnWaySpec",
    "Period",
    "PhaseInSpec",
    "PlacesRule",
    "PoolSpec",
    "PopulationSpec",
    "ProvisionSpec",
    "ReferralRule",
    "RiskSpec",
    "RoomRule",
    "RuleSpec",
    "Scenario",
    "ServedRule",
    "ServiceBaseSpec",
    "SolveSpec",
    "SubsidySpec",
    "TierSpec",
    "merged",
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


UNLIMITED = 1e30
"""What a supply written ``unlimited`` is."""


def _unlimited(value: object) -> object:
    return UNLIMITED if value == "unlimited" else value


Supply = Annotated[float, BeforeValidator(_unlimited), Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Year = Annotated[int, Field(ge=1990, le=2100)]


class Title(_Strict):
    """A title in both languages."""

    zh: str = Field(max_length=120)
    en: str = Field(max_length=120)

    @property
    def text(self) -> Text:
        """The title as a `Text`."""
        return Text(self.zh, self.en)


class Note(_Strict):
    """A paragraph in both languages."""

    zh: str = Field(max_length=2000)
    en: str = Field(max_length=2000)


class Period(_Strict):
    """A planning period, from the first to the last year inclusive."""

    from_: Year = Field(alias="from")
    to: Year
    title: Title | None = None

    @property
    def id(self) -> str:
        """``2026-2030``."""
        return f"{self.from_}-{self.to}"

    @property
    def years(self) -> int:
        """Length in years."""
        return self.to - self.from_ + 1


Base = Literal["resident", "registered"]


class TierSpec(_Strict):
    """A tier of residents without local registration (梯度), entitled from a year on.

    ``share`` of those residents are in it; they get ``entitled`` of full service.
    """

    id: str = Field(max_length=60)
    share: Share
    from_: Year = Field(alias="from")
    entitled: Share = 1.0


class OwnWaySpec(_Strict):
    """A place that goes its own way (一城一策): a ``base`` it stays on, or its own years and tiers."""

    base: Base | None = None
    by: Year | None = None
    from_: Year | None = Field(default=None, alias="from")
    tiers: tuple[TierSpec, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> OwnWaySpec:
        if (self.base is None) == (self.by is None):
            raise Unfit("请写明保持的口径,或改换完成的年份,二者取一", "give either the base it stays on, or the year by which it has changed")  # fmt: skip
        _check_tiers(self.tiers)
        return self


class PhaseInSpec(_Strict):
    """Move from one base of need to the other until a year (常住地提供).

    ``from`` is the last year wholly on the old base, by default the base year; ``tiers`` let
    residents without registration join group by group; ``places`` are townships or areas that go
    their own way.
    """

    to: Base
    by: Year
    from_: Year | None = Field(default=None, alias="from")
    tiers: tuple[TierSpec, ...] = ()
    places: dict[str, OwnWaySpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> PhaseInSpec:
        _check_tiers(self.tiers)
        return self


def _check_tiers(tiers: tuple[TierSpec, ...]) -> None:
    if sum(t.share for t in tiers) > 1 + 1e-9:
        raise Unfit("各级比例之和大于 1", "the shares of the tiers sum to more than 1")


class ServiceBaseSpec(_Strict):
    """Base and phase-in of one service, in place of those of the scenario."""

    base: Base
    phase_in: PhaseInSpec | None = None


class MoveSpec(_Strict):
    """People of one area who live in another from a year on (易地搬迁); registration stays."""

    from_: str = Field(alias="from")
    to: str
    persons: float = Field(gt=0)
    year: Year


Totals = dict[Year, Annotated[float, Field(gt=0)]]


class PopulationSpec(_Strict):
    """Which people: variant, base, phase-in, controls, and sampled futures (0: none).

    ``futures`` is a number of sampled paths, drawn from ``seed``, or ``variants``: low, medium and
    high side by side. ``services`` gives single services a base of their own. ``county_total`` and
    ``place_total`` (by township) hold residents by year to a provincial control or a plan;
    ``drift`` lets shares of townships go on as between the last two censuses, where given.
    """

    variant: Literal["low", "medium", "high"] = "medium"
    base: Base = "resident"
    phase_in: PhaseInSpec | None = None
    services: dict[str, ServiceBaseSpec] = Field(default_factory=dict)
    futures: Annotated[int, Field(ge=0, le=1000)] | Literal["variants"] = 0
    seed: int = Field(default=1, ge=0)
    drift: bool = True
    county_total: Totals = Field(default_factory=dict)
    place_total: dict[str, Totals] = Field(default_factory=dict)
    moves: tuple[MoveSpec, ...] = ()

    @model_validator(mode="after")
    def _more_than_one(self) -> PopulationSpec:
        if self.futures == 1:
            raise Unfit("futures:0 表示没有,否则至少为 2", "futures: 0 for none, or two and more")
        return self

    def started(self, base_year: int) -> PopulationSpec:
        """Return the same with every phase-in's first year written out."""

        def begun(phase: PhaseInSpec | None) -> PhaseInSpec | None:
            if phase is None:
                return None
            places = {
                k: own.model_copy(update={"from_": own.from_ or phase.from_ or base_year})
                for k, own in phase.places.items()
            }
            return phase.model_copy(update={"from_": phase.from_ or base_year, "places": places})

        own = {
            s: spec.model_copy(update={"phase_in": begun(spec.phase_in)})
            for s, spec in self.services.items()
        }
        return self.model_copy(update={"phase_in": begun(self.phase_in), "services": own})


class NeedSpec(_Strict):
    """The named disability definition, willingness by service, and changes to them.

    ``flatten`` 0 is the curve as given, 1 makes distance count for nothing; ``factor`` multiplies
    the need of a service; ``eligible`` gives, by service and group, the share that may ask for it
    (groups not named: all).
    """

    definition: str = "basic-adl"
    willingness: dict[str, str] = Field(default_factory=dict)
    flatten: Share = 0.0
    factor: dict[str, float] = Field(default_factory=dict)
    eligible: dict[str, dict[str, Share]] = Field(default_factory=dict)


class ForbidSpec(_Strict):
    """Facilities of a type, at sites of a class, or above a size, that are not to be planned."""

    type: str | None = None
    area_class: str | None = None
    above_places: float | None = Field(default=None, ge=0)


class ForceSpec(_Strict):
    """A site that must (force) or must not (ban) hold a type from a year; ``type`` blank: any."""

    site: str
    type: str | None = None
    by: Year | None = None
    places: float | None = Field(default=None, gt=0)


Mode = Literal[
    "keep",
    "build",
    "extend",
    "shrink",
    "convert",
    "merge",
    "purchase",
    "entrust",
    "mobile",
    "close",
]


class SubsidySpec(_Strict):
    """A grant a new place by size of the facility, paid from outside the pools.

    Types and modes not given: all. Sizes count the places of the facility's main service.
    """

    types: tuple[str, ...] | None = None
    modes: tuple[Mode, ...] | None = None
    places_min: float = Field(default=0.0, ge=0)
    places_max: Supply = UNLIMITED
    yuan_place: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> SubsidySpec:
        if self.places_min > self.places_max:
            raise Unfit("places_min 大于 places_max", "places_min is above places_max")
        return self


class JointSpec(_Strict):
    """Facility types that may share one site (综合设施), and what sharing saves of their sum.

    ``saving`` is by item: ``staff`` and ``running`` of the fixed needs, ``floor_area``, ``capital``.
    """

    types: tuple[str, ...] = Field(min_length=2)
    saving: dict[Literal["staff", "running", "floor_area", "capital"], Share] = Field(
        default_factory=dict
    )

    @property
    def id(self) -> str:
        """The joint type's id: its parts in order, joined by ``+``."""
        return "+".join(self.types)


class OptionSpec(_Strict):
    """Levers: modes, types and joint sites allowed, sites forced or banned, grants by size."""

    modes: tuple[Mode, ...] = ("keep", "build", "extend", "convert", "purchase", "mobile", "close")
    types: tuple[str, ...] | None = None
    forbid: tuple[ForbidSpec, ...] = ()
    force: tuple[ForceSpec, ...] = ()
    ban: tuple[ForceSpec, ...] = ()
    joint: tuple[JointSpec, ...] = ()
    subsidies: tuple[SubsidySpec, ...] = ()


class PayerSpec(_Strict):
    """A payer's share of a pool and its cap a period (summed up to each period with ``carry_over``)."""

    share: Share
    cap: Supply = UNLIMITED


class PoolSpec(_Strict):
    """Supply of a pool by the first year of each period, payers and sources.

    ``tiers`` splits the supply among tiers of facilities by shares that sum to 1; each tier uses
    its own and what others lend, at most the share ``secondment`` of theirs. 1, or no tiers, is one
    county-wide pool. ``in_expectation``: the mean over futures stays within supply, not each of them.
    A pool is always ``hard``: what it lacks shows as unmet need. ``carry_over`` (capital only): what a period leaves may be spent in later ones,
    and what a payer has not paid of its cap by then may be paid later.
    """

    unit: str
    supply: dict[Year, Supply]
    payers: dict[str, PayerSpec] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()
    hard: Literal[True] = True
    in_expectation: bool = False
    tiers: dict[str, Share] = Field(default_factory=dict)
    secondment: Share = 1.0
    carry_over: bool = False

    @model_validator(mode="after")
    def _whole(self) -> PoolSpec:
        if self.tiers and abs(sum(self.tiers.values()) - 1) > 1e-6:
            raise Unfit("各级比例之和应为 1", "the shares of tiers must sum to 1")
        return self

    @model_validator(mode="before")
    @classmethod
    def _short_payers(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("payers"), Mapping):
            payers = {
                k: {"share": v} if isinstance(v, int | float) else v
                for k, v in data["payers"].items()
            }
            return {**data, "payers": payers}
        return data


class NormChange(_Strict):
    """A norm changed from a year on (动态调整): its value, the group it is for, or both.

    The other parts stay as last in force; the county's own version then stands before the national.
    """

    standard: str
    from_: Year = Field(alias="from")
    value: float | None = Field(default=None, ge=0)
    group: str | None = None


class ProvisionSpec(_Strict):
    """How a new item is provided, and the reason where a county builds its own (自行举办理由)."""

    mode: str
    reason: Note | None = None


class _Normed(_Strict):
    """A rule whose number may be the catalogue's: ``standard`` names the norm relied upon."""

    standard: str | None = None

    def _needs(self, *names: str) -> None:
        blank = [n for n in names if getattr(self, n) is None]
        if len(blank) != (self.standard is not None):
            raise Unfit(f"请写 {'、'.join(names)},或以 standard 代替其一", f"write {' and '.join(names)}, or 'standard' in place of one")  # fmt: skip


class CoverageRule(_Normed):
    """A share of people within the minutes of an open offer (potential).

    ``standard`` stands for ``within_minutes`` (a norm in minutes) or ``share``.
    """

    service: str
    within_minutes: float | None = Field(default=None, gt=0)
    share: Share | None = None
    area_class: str | None = None
    people: Literal["all", "60+", "65+", "80+"] = "60+"
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> CoverageRule:
        self._needs("within_minutes", "share")
        return self


class ServedRule(_Normed):
    """A share of need served (realised)."""

    service: str
    share: Share | None = None
    group: str | None = None
    area_class: str | None = None
    hard: bool = False
    by: Literal["county", "township"] = "county"
    from_: Year | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> ServedRule:
        self._needs("share")
        return self


class PlacesRule(_Normed):
    """Places a thousand persons of an age at least the value.

    With ``standard`` the persons are those of the norm's group, not ``people``.
    """

    service: str = "elderly.resident"
    per_1000: float | None = Field(default=None, ge=0)
    people: Literal["all", "60+", "65+", "80+"] = "60+"
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> PlacesRule:
        self._needs("per_1000")
        return self


class NursingRule(_Normed):
    """Share of nursing places (护理型床位占比) at least the value."""

    share: Share | None = None
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> NursingRule:
        self._needs("share")
        return self


class ResettleRule(_Strict):
    """A home closes only if its residents are served within the minutes (先安置后撤并)."""

    within_minutes: float = Field(gt=0)


class HubRule(_Strict):
    """Facilities of a type need one of the hub types within the minutes."""

    types: tuple[str, ...]
    hubs: tuple[str, ...]
    within_minutes: float = Field(gt=0)


class SitesRule(_Strict):
    """Bounds on the number of sites in the types."""

    types: tuple[str, ...]
    at_least: int = Field(default=0, ge=0)
    at_most: int = Field(default=1_000_000, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> SitesRule:
        if self.at_least > self.at_most:
            raise Unfit("at_least 大于 at_most", "at_least is above at_most")
        return self


class ReservedRule(_Strict):
    """A share of places of a service kept for groups (特困保底).

    ``types`` names the facilities that keep them (those run privately, say); blank: all.
    """

    service: str = "elderly.resident"
    groups: tuple[str, ...] = ("destitute",)
    share: Share
    types: tuple[str, ...] | None = None


class EvenRule(_Strict):
    """An index of inequality of townships' served shares stays below a limit; 0: all equal.

    ``hoover``: the share of what is served that would have to move for all to be served alike (also
    Robin Hood index). ``gini``: the index of Gini, townships weighted by need.
    """

    service: str
    at_most: Share
    index: Literal["hoover", "gini"] = "hoover"
    from_: Year | None = Field(default=None, alias="from")


class TravelRule(_Strict):
    """Those whom a service serves travel at most so many minutes on average."""

    service: str
    at_most_minutes: float = Field(gt=0)
    from_: Year | None = Field(default=None, alias="from")


class NearestRule(_Strict):
    """People use the nearest open place of a service that they would use at all (就近)."""

    service: str


class RoomRule(_Strict):
    """What is fitted into a standing building stays within its floor area."""

    modes: tuple[Mode, ...] = ("convert", "entrust", "merge")


class ReferralRule(_Strict):
    """Some of those whom a service serves at a site go on from there to another service (转诊、转介).

    Of those served at each site of the ``types`` (blank: all that offer ``service``), ``share`` are
    served by ``onward`` out of that site, wherever its reach allows.
    """

    service: str
    onward: str
    share: Share
    types: tuple[str, ...] | None = None
    from_: Year | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _another(self) -> ReferralRule:
        _refuse_onward_to_itself(self.service, self.onward)
        return self


class OverflowRule(_Strict):
    """All whom a service receives at a site go on from there to the onward service (分流)."""

    service: str
    onward: str
    types: tuple[str, ...] | None = None
    from_: Year | None = Field(default=None, alias="from")
    share: Literal[1] = 1

    @model_validator(mode="after")
    def _another(self) -> OverflowRule:
        _refuse_onward_to_itself(self.service, self.onward)
        return self


def _refuse_onward_to_itself(service: str, onward: str) -> None:
    if service == onward:
        raise ValueError(
            "people go on to another service; from a full site to the next of the same they go without a rule"
        )


class RuleSpec(_Strict):
    """One rule of a scenario: exactly one of the keys."""

    coverage: CoverageRule | None = None
    served: ServedRule | None = None
    places: PlacesRule | None = None
    nursing: NursingRule | None = None
    resettlement: ResettleRule | None = None
    hub: HubRule | None = None
    sites: SitesRule | None = None
    reserved: ReservedRule | None = None
    even: EvenRule | None = None
    travel: TravelRule | None = None
    room: RoomRule | None = None
    referral: ReferralRule | None = None
    overflow: OverflowRule | None = None
    nearest: NearestRule | None = None

    @model_validator(mode="after")
    def _one(self) -> RuleSpec:
        given = [k for k in type(self).model_fields if getattr(self, k) is not None]
        if len(given) != 1:
            known = ", ".join(type(self).model_fields)
            raise Unfit(f"每条规则只能是其中一种:{known}", f"a rule has exactly one of: {known}")
        return self

    @property
    def value(self) -> Any:
        """The one rule given."""
        return next(v for k in type(self).model_fields if (v := getattr(self, k)) is not None)


class RiskSpec(_Strict):
    """How the first objective weighs futures (``population.futures``).

    ``expected``: their weighted mean; ``worst``: the worst future; ``cvar``: the mean of the worst
    ``share`` of them; ``regret``: the largest excess over what each future could have alone, where
    the objective counts neither sites nor places.
    """

    measure: Literal["expected", "worst", "cvar", "regret"] = "expected"
    share: float = Field(default=0.1, gt=0, le=1)


class SolveSpec(_Strict):
    """Relative gap, work limit (a number of branch-and-bound nodes), seconds, road and seed."""

    gap: float = Field(default=1e-3, ge=0, le=1)
    work_limit: int | Literal["default"] = "default"
    seconds: float | None = Field(default=None, gt=0)
    road: Literal["auto", "exact", "prices"] = "auto"
    seed: int = 0


ObjectiveName = Literal[
    "cost-to-targets", "shortfall", "unmet", "travel", "cost", "capital", "running",
    "worst-area", "deviation", "change",
]  # fmt: skip


class Scenario(_Strict):
    """One scenario, complete: what ``extends`` names has been merged in."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: Title
    note: Note | None = None
    extends: str | None = None
    base_year: Year = 2025
    periods: tuple[Period, ...] = Field(min_length=1, max_length=12)
    discount_rate: float = Field(default=0.05, ge=0, le=0.5)
    placement: int | None = Field(default=None, ge=1)
    population: PopulationSpec = PopulationSpec()
    need: NeedSpec = NeedSpec()
    services: tuple[str, ...] = ("elderly.resident", "elderly.day", "elderly.home")
    options: OptionSpec = OptionSpec()
    resources: dict[
        Literal[
            "capital",
            "running",
            "care_workers",
            "land",
            "floor_area",
            "vehicle_hours",
            "purchased_places",
        ],
        PoolSpec,
    ]
    standards: tuple[NormChange, ...] = ()
    provision: dict[str, ProvisionSpec] = Field(default_factory=dict)
    grants: tuple[str, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    objective: tuple[ObjectiveName | dict[ObjectiveName, float], ...] = (
        "cost-to-targets",
        "unmet",
        "travel",
    )
    risk: RiskSpec = RiskSpec()
    solve: SolveSpec = SolveSpec()
    abstract: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        last = self.base_year
        for p in self.periods:
            if p.from_ != last + 1:
                raise Unfit(f"规划期 {p.id} 应从 {last + 1} 年开始", f"period {p.id} must start in {last + 1}")  # fmt: skip
            if p.to < p.from_:
                raise Unfit(f"规划期 {p.id} 的结束早于开始", f"period {p.id} ends before it starts")
            last = p.to
        self._check_phases()
        if self.risk.measure != "expected" and not self.population.futures:
            raise Unfit("risk 要权衡多种前景,须在 population.futures 写明前景数", "risk: futures are weighed, so population.futures must ask for some")  # fmt: skip
        carried = sorted(k for k, v in self.resources.items() if v.carry_over and k != "capital")
        if carried:
            raise Unfit(f"resources.{carried[0]}.carry_over:只有建设资金(capital)可以跨期结转", f"resources.{carried[0]}.carry_over: only capital is carried over")  # fmt: skip
        firsts = {p.from_ for p in self.periods}
        for pool, spec in self.resources.items():
            missing = sorted(firsts - spec.supply.keys())
            if missing:
                raise Unfit(f"resources.{pool}.supply 缺少 {missing};请写数字,或写 unlimited 表示不限", f"resources.{pool}.supply lacks {missing}; write a number or 'unlimited'")  # fmt: skip
        return self

    def _check_phases(self) -> None:
        spec = self.population.started(self.base_year)
        phases = [spec.phase_in, *(own.phase_in for own in spec.services.values())]
        for phase in (p for p in phases if p is not None):
            ways: list[PhaseInSpec | OwnWaySpec] = [phase, *phase.places.values()]
            for way in ways:
                if way.by is not None and way.from_ is not None and way.by < way.from_:
                    raise Unfit(f"从 {way.from_} 年开始的过渡不能在 {way.by} 年结束", f"a phase-in from {way.from_} cannot end in {way.by}")  # fmt: skip

    @property
    def norms(self) -> dict[str, int]:
        """First year of the plan in which each norm is relied upon, by its id."""
        first: dict[str, int] = {}
        start = self.periods[0].from_
        named = [(c.standard, c.from_) for c in self.standards]
        for rule in self.rules:
            if (id := getattr(rule.value, "standard", None)) is not None:
                named.append((id, getattr(rule.value, "from_", None) or start))
        for id, year in named:
            first[id] = min(first.get(id, year), max(year, start))
        return first

    @property
    def years(self) -> tuple[int, ...]:
        """Base year and the last year of each period: the years needed of a projection."""
        return (self.base_year, *(p.to for p in self.periods))

    def scaled(self, factor: float) -> Scenario:
        """Return the scenario with every limited supply and cap of its pools times a factor."""

        def cut(value: float) -> float:
            return value if value >= UNLIMITED else value * factor

        pools = {}
        for name, pool in self.resources.items():
            supply = {year: cut(v) for year, v in pool.supply.items()}
            payers = {k: p.model_copy(update={"cap": cut(p.cap)}) for k, p in pool.payers.items()}
            pools[name] = pool.model_copy(update={"supply": supply, "payers": payers})
        return self.model_copy(update={"resources": pools})

    @property
    def digest(self) -> str:
        """Digest of everything that decides a run."""
        data = self.model_dump(
            mode="json", by_alias=True, exclude={"name", "title", "note", "extends", "abstract"}
        )
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``change`` laid over it: mappings merge, all else replaces."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return out
