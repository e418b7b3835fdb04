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

from allocator.errors import Text

__all__ = [
    "CoverageRule",
    "NeedSpec",
    "OptionSpec",
    "Period",
    "PlacesRule",
    "PoolSpec",
    "PopulationSpec",
    "RuleSpec",
    "Scenario",
    "ServedRule",
    "SolveSpec",
    "merged",
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _unlimited(value: object) -> object:
    return 1e30 if value == "unlimited" else value


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


class PhaseInSpec(_Strict):
    """Move from one base of need to the other until a year (常住地提供)."""

    to: Literal["resident", "registered"]
    by: Year
    from_: Year | None = Field(default=None, alias="from")


class PopulationSpec(_Strict):
    """Which people: variant, base, phase-in, and sampled futures (0: none)."""

    variant: Literal["low", "medium", "high"] = "medium"
    base: Literal["resident", "registered"] = "resident"
    phase_in: PhaseInSpec | None = None
    futures: int = Field(default=0, ge=0, le=1000)


class NeedSpec(_Strict):
    """The named disability definition, willingness by service, and changes to them.

    ``flatten`` 0 is the curve as given, 1 makes distance count for nothing; ``factor`` multiplies
    the need of a service.
    """

    definition: str = "basic-adl"
    willingness: dict[str, str] = Field(default_factory=dict)
    flatten: Share = 0.0
    factor: dict[str, float] = Field(default_factory=dict)


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
    "keep", "build", "extend", "convert", "merge", "purchase", "entrust", "mobile", "close"
]


class OptionSpec(_Strict):
    """Levers: modes allowed, types allowed, and named sites forced or banned."""

    modes: tuple[Mode, ...] = ("keep", "build", "extend", "convert", "purchase", "mobile", "close")
    types: tuple[str, ...] | None = None
    forbid: tuple[ForbidSpec, ...] = ()
    force: tuple[ForceSpec, ...] = ()
    ban: tuple[ForceSpec, ...] = ()


class PayerSpec(_Strict):
    """A payer's share of a pool and its cap a period."""

    share: Share
    cap: Supply = 1e30


class PoolSpec(_Strict):
    """Supply of a pool by the first year of each period, payers and sources."""

    unit: str
    supply: dict[Year, Supply]
    payers: dict[str, PayerSpec] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()
    hard: bool = True

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


class CoverageRule(_Strict):
    """A share of people within the minutes of an open offer (potential)."""

    service: str
    within_minutes: float = Field(gt=0)
    share: Share
    area_class: str | None = None
    people: Literal["all", "60+", "65+", "80+"] = "60+"
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")


class ServedRule(_Strict):
    """A share of need served (realised)."""

    service: str
    share: Share
    group: str | None = None
    area_class: str | None = None
    hard: bool = False
    by: Literal["county", "township"] = "county"
    from_: Year | None = Field(default=None, alias="from")


class PlacesRule(_Strict):
    """Places a thousand persons of an age at least the value."""

    service: str = "elderly.resident"
    per_1000: float = Field(ge=0)
    people: Literal["all", "60+", "65+", "80+"] = "60+"
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")


class NursingRule(_Strict):
    """Share of nursing places (护理型床位占比) at least the value."""

    share: Share
    hard: bool = False
    from_: Year | None = Field(default=None, alias="from")


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


class ReservedRule(_Strict):
    """A share of places of a service kept for groups (特困保底)."""

    service: str = "elderly.resident"
    groups: tuple[str, ...] = ("destitute",)
    share: Share


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

    @model_validator(mode="after")
    def _one(self) -> RuleSpec:
        given = [k for k in type(self).model_fields if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("a rule has exactly one of: " + ", ".join(type(self).model_fields))
        return self

    @property
    def value(self) -> Any:
        """The one rule given."""
        return next(v for k in type(self).model_fields if (v := getattr(self, k)) is not None)


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
        Literal["capital", "running", "care_workers", "land", "vehicle_hours"], PoolSpec
    ]
    rules: tuple[RuleSpec, ...] = ()
    objective: tuple[ObjectiveName | dict[ObjectiveName, float], ...] = (
        "cost-to-targets",
        "unmet",
        "travel",
    )
    solve: SolveSpec = SolveSpec()
    abstract: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        last = self.base_year
        for p in self.periods:
            if p.from_ != last + 1:
                raise ValueError(f"period {p.id} must start in {last + 1}")
            if p.to < p.from_:
                raise ValueError(f"period {p.id} ends before it starts")
            last = p.to
        firsts = {p.from_ for p in self.periods}
        for pool, spec in self.resources.items():
            missing = sorted(firsts - spec.supply.keys())
            if missing:
                raise ValueError(
                    f"resources.{pool}.supply lacks {missing}; write a number or 'unlimited'"
                )
        return self

    @property
    def years(self) -> tuple[int, ...]:
        """Base year and the last year of each period: the years needed of a projection."""
        return (self.base_year, *(p.to for p in self.periods))

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
