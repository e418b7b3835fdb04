"""Rates of need: who needs which service, by named definition, age, sex and area class.

All come from tables, each row with ``mark`` and ``source``; see ``docs/population.md``:

* definitions: definition, title_zh, title_en, base_age, national_share, reference_year, groups;
* need: definition, group, age, sex, area_class, rate (persons in a need grade a person);
* care_modes: service, group, share, units_per_person, unit, alone_multiplier;
* living_alone: age, sex, area_class, share; destitute: area_class, base_age, share_of_elders,
  wish_collective;
* service_rates: service, group, age_from, age_to, sex, area_class, rate, unit (other services).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.errors import Finding, Rank, Text, Where, refuse_if_any
from allocator.population.cohort import AGES_5
from allocator.population.people import MARKS, unknown, weakest_mark
from allocator.population.rates import check_columns, check_numbers

__all__ = [
    "AREA_CLASSES",
    "DESTITUTE",
    "EVERYONE",
    "GROUPS",
    "Definition",
    "NeedRates",
    "ServiceRate",
]

Floats = npt.NDArray[np.float64]

AREA_CLASSES = ("urban", "rural")
"""Classes the rates tell apart; `NeedRates.class_of` maps a case's own classes to them."""

DESTITUTE = "destitute"
"""Group of destitute elders (特困) who wish collective support."""

EVERYONE = "all"
"""The one group of a service that knows no need grades."""

GROUPS: Mapping[str, Text] = {
    "destitute": Text("特困", "Destitute"),
    "severe": Text("重度失能", "Severe"),
    "moderate": Text("中度失能", "Moderate"),
    "mild": Text("轻度失能", "Mild"),
    "able": Text("能力完好", "Able"),
    "all": Text("全部", "All"),
}
"""Names of the groups of need."""

_CLASS_OF = {
    "urban": "urban",
    "county-town": "urban",
    "township-seat": "rural",
    "town": "urban",
    "city": "urban",
    "rural": "rural",
    "township": "rural",
    "village": "rural",
}


@dataclass(frozen=True)
class Definition:
    """A named definition of being in need of care; definitions differ about seven-fold.

    Parameters
    ----------
    id, title
        Name, and title in both languages.
    base_age, national_share, reference_year
        The cited national share of persons from ``base_age`` on, and its year.
    groups
        Need grades it tells apart.
    source, mark, confirmed
        Where the share comes from; whether the source was read.
    """

    id: str
    title: Text
    base_age: int
    national_share: float
    reference_year: int
    groups: tuple[str, ...]
    source: str
    mark: str = "modelled"
    confirmed: bool = False


@dataclass(frozen=True, eq=False)
class ServiceRate:
    """How much of a service one person needs.

    Parameters
    ----------
    service, group, unit
        Service, group it is for, unit of the amount.
    weight
        (area class, age, sex) amount a person.
    alone_multiplier
        How much more often people living alone want it; 1 for services without need grades.
    """

    service: str
    group: str
    unit: str
    weight: Floats
    alone_multiplier: float = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class NeedRates:
    """Everything that turns people into need.

    Parameters
    ----------
    definitions
        By id.
    grades
        (area class, age, sex) share of persons in a need grade, by (definition, group).
    modes
        Care modes: (service, group) to (share who want it, units a person, unit, multiplier).
    alone
        (area class, age, sex) share living alone, national.
    destitute
        (area class, age, sex) share of persons who are destitute and wish collective support.
    services
        Rates of services without need grades, by service.
    class_of
        Area class of a case to ``urban`` or ``rural``.
    mark
        Weakest mark of the tables.
    """

    definitions: Mapping[str, Definition]
    grades: Mapping[tuple[str, str], Floats]
    modes: Mapping[tuple[str, str], tuple[float, float, str, float]]
    alone: Floats
    destitute: Floats
    services: Mapping[str, tuple[ServiceRate, ...]] = field(default_factory=dict)
    class_of: Mapping[str, str] = field(default_factory=lambda: dict(_CLASS_OF))
    mark: str = "modelled"

    @property
    def known_services(self) -> tuple[str, ...]:
        """Services there are rates for, sorted."""
        return tuple(sorted({s for s, _ in self.modes} | set(self.services)))

    def definition(self, name: str) -> Definition:
        """Return a definition by name; an unknown one is refused with the nearest known."""
        if name not in self.definitions:
            raise unknown(
                "definition of need",
                "需求口径",
                name,
                sorted(self.definitions),
                "unknown-definition",
            )
        return self.definitions[name]

    def area_class(self, name: str) -> int:
        """Return the row of an area class: 0 urban, 1 rural."""
        if name not in self.class_of:
            raise unknown(
                "area class", "地区类别", name, sorted(self.class_of), "unknown-area-class"
            )
        return AREA_CLASSES.index(self.class_of[name])

    def rates_of(self, service: str, definition: str) -> tuple[ServiceRate, ...]:
        """Return the rates of a service under a definition, one a group.

        Raises
        ------
        InputRefused
            When the service or definition is unknown.
        """
        if service in self.services:
            return self.services[service]
        if service not in {s for s, _ in self.modes}:
            raise unknown("service", "服务", service, self.known_services, "unknown-service")
        rates = []
        for group in (*self.definition(definition).groups, DESTITUTE):
            if (service, group) not in self.modes:
                continue
            share, units, unit, multiplier = self.modes[service, group]
            if group == DESTITUTE:
                weight = self.destitute * share * units
            else:
                weight = self.grades[definition, group] * (1.0 - self.destitute) * share * units
            rates.append(ServiceRate(service, group, unit, weight, multiplier))
        return tuple(rates)

    def national_share(self, definition: str, standard: pd.DataFrame) -> float:
        """Return the share in need of a standard population at and above the definition's age.

        Parameters
        ----------
        definition
            Name of the definition.
        standard
            Table of age, sex, area_class, thousand.
        """
        found = self.definition(definition)
        persons = _grid(standard, "thousand")
        persons[:, : found.base_age // 5] = 0.0
        total = sum(self.grades[definition, g] for g in found.groups)
        return float((persons * total).sum() / persons.sum())

    @classmethod
    def from_tables(cls, tables: Mapping[str, pd.DataFrame]) -> NeedRates:
        """Build the rates from tables by name, as the module describes them.

        Raises
        ------
        InputRefused
            With every missing table, missing column and rate out of range at once.
        """
        refuse_if_any(_check_tables(tables))
        definitions = {
            str(row.definition): Definition(
                str(row.definition),
                Text(str(row.title_zh), str(row.title_en)),
                int(row.base_age),
                float(row.national_share),
                int(row.reference_year),
                tuple(str(row.groups).split(";")),
                str(row.source),
                str(row.mark),
                str(row.confirmed) == "yes",
            )
            for row in _records(tables["definitions"])
        }
        need = tables["need"]
        grades = {
            (name, group): _grid(
                need[(need["definition"] == name) & (need["group"] == group)], "rate"
            )
            for name, found in definitions.items()
            for group in found.groups
        }
        modes = {
            (str(r.service), str(r.group)): (
                float(r.share),
                float(r.units_per_person),
                str(r.unit),
                float(r.alone_multiplier),
            )
            for r in _records(tables["care_modes"])
        }
        destitute = np.zeros((2, len(AGES_5), 2))
        for row in _records(tables["destitute"]):
            place = AREA_CLASSES.index(str(row.area_class))
            share = float(row.share_of_elders) * float(row.wish_collective)
            destitute[place, int(row.base_age) // 5 :] = share
        marks = [str(m) for table in tables.values() for m in set(table.get("mark", []))]
        return cls(
            definitions=definitions,
            grades=grades,
            modes=modes,
            alone=_grid(tables["living_alone"], "share"),
            destitute=destitute,
            services=_services(tables.get("service_rates")),
            mark=weakest_mark(m for m in [*marks, "modelled"] if m in MARKS),
        )


_WANTED = {
    "definitions": ["definition", "title_zh", "title_en", "base_age", "national_share",
                    "reference_year", "groups", "mark", "confirmed", "source"],
    "need": ["definition", "group", "age", "sex", "area_class", "rate"],
    "care_modes": ["service", "group", "share", "units_per_person", "unit", "alone_multiplier"],
    "living_alone": ["age", "sex", "area_class", "share"],
    "destitute": ["area_class", "base_age", "share_of_elders", "wish_collective"],
}  # fmt: skip

_SERVICE_COLUMNS = ["service", "group", "age_from", "age_to", "sex", "area_class", "rate", "unit"]


_NUMBERS = {
    "base_age",
    "national_share",
    "reference_year",
    "units_per_person",
    "alone_multiplier",
} | {
    "age_from",
    "age_to",
}


def _check_tables(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    found: list[Finding] = []
    wanted = dict(_WANTED)
    if "service_rates" in tables:
        wanted["service_rates"] = _SERVICE_COLUMNS
    for name, columns in wanted.items():
        if name not in tables:
            what = Text(f"缺少表 {name}。", f"The table {name} is missing.")
            remedy = Text(f"需要列:{', '.join(columns)}。", f"It has columns {', '.join(columns)}.")
            found.append(Finding(Rank.ERROR, "missing-table", Where(file=name), what, remedy))
            continue
        lacking = check_columns(tables[name], name, columns)
        found += lacking
        if lacking:
            continue
        for column in ("rate", "share", "share_of_elders", "wish_collective"):
            if column in columns:
                found += _check_range(tables[name], name, column)
        found += check_numbers(tables[name], name, [c for c in columns if c in _NUMBERS])
        found += _check_words(tables[name], name)
    return found


def _check_words(table: pd.DataFrame, name: str) -> list[Finding]:
    known = {"sex": {"m", "f", "all"}, "area_class": {*AREA_CLASSES, "all"}, "age": set(AGES_5)}
    found = []
    for column, words in known.items():
        if column not in table.columns:
            continue
        for row, value in enumerate(table[column], start=2):
            if str(value) not in words:
                what = Text(f"“{value}”不可用。", f"'{value}' is not known here.")
                remedy = Text(f"可用:{sorted(words)}。", f"Known: {', '.join(sorted(words))}.")
                where = Where(file=name, row=row, column=column)
                found.append(Finding(Rank.ERROR, "unknown-word", where, what, remedy))
    return found


def _check_range(table: pd.DataFrame, name: str, column: str) -> list[Finding]:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    top = np.inf if name == "service_rates" else 1.0
    found = []
    for row in np.flatnonzero(~(np.isfinite(values) & (values >= 0) & (values <= top))):
        what = Text(f"{column} 不在允许范围内。", f"{column} is blank, text or out of range.")
        remedy = Text("请填 0 到 1 之间的数。", "Give a number from 0 to 1.")
        where = Where(file=name, row=int(row) + 2, column=column)
        found.append(Finding(Rank.ERROR, "bad-rate", where, what, remedy))
    return found


def _grid(table: pd.DataFrame, column: str) -> Floats:
    """Spread rows of age, sex and area class (``all`` in either) over (class, age, sex)."""
    out = np.zeros((2, len(AGES_5), 2))
    for row in _records(table):
        age = AGES_5.index(str(row.age))
        for c in _rows(str(row.area_class), AREA_CLASSES):
            for s in _rows(str(row.sex), _SEXES):
                out[c, age, s] = float(getattr(row, column))
    return out


_SEXES = ("m", "f")


def _rows(word: str, words: tuple[str, ...]) -> range:
    return range(len(words)) if word == "all" else range(words.index(word), words.index(word) + 1)


def _records(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())


def _services(table: pd.DataFrame | None) -> dict[str, tuple[ServiceRate, ...]]:
    """Rates of services by any age band; within a five-year group people are spread evenly."""
    if table is None:
        return {}
    out: dict[str, tuple[ServiceRate, ...]] = {}
    for (service, group), rows in table.groupby(["service", "group"], sort=True):
        weight = np.zeros((2, len(AGES_5), 2))
        for row in _records(rows):
            low = np.arange(len(AGES_5)) * 5.0
            high = np.append(low[1:], 200.0)
            top = float(row.age_to) if float(row.age_to) < 105 else 200.0
            overlap = np.minimum(high, top) - np.maximum(low, float(row.age_from))
            share = np.clip(overlap / (high - low), 0.0, 1.0)
            for c in _rows(str(row.area_class), AREA_CLASSES):
                for s in _rows(str(row.sex), _SEXES):
                    weight[c, :, s] += float(row.rate) * share
        one = ServiceRate(str(service), str(group), str(rows["unit"].iloc[0]), weight)
        out[str(service)] = (*out.get(str(service), ()), one)
    return out
