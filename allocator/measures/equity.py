"""The equity evaluation (均衡评估): one call, one report chapter, base and unit beside each index.

An index without its base is no answer: the same beds can be even by people and uneven by area
(Gini 0.070 against 0.639 for Chinese hospital beds, Jin et al. 2015). So every row says of whom, in
which unit, and, where a threshold flags it, with which caution. Thresholds are catalogue data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.catalogue import EquityFlag
from allocator.errors import Text
from allocator.measures.inequality import (
    agglomeration,
    density_index,
    gini,
    interval,
    location_quotient,
    lorenz,
    means_by,
    quantiles_by,
    theil,
    variation,
    weighted_mean,
)

__all__ = [
    "BASES",
    "INDICES",
    "EquityChapter",
    "Evaluated",
    "Future",
    "equity_chapter",
    "evaluated",
]

DIMENSIONS = ("township", "area_class", "age", "need")
_KEY = ["service", "base", "index", "dimension", "part"]
_PER_1000 = 1000.0
_TAIL = 0.9


@dataclass(frozen=True, slots=True)
class _Index:
    name: Text
    unit: Text
    better: str


INDICES = {
    "persons": _Index(Text("人数", "Persons"), Text("人", "persons"), "none"),
    "coverage": _Index(Text("覆盖率", "Coverage"), Text("人口比例", "share of persons"), "higher"),
    "reached": _Index(Text("可达率", "Within any reach"), Text("人口比例", "share of persons"), "higher"),
    "mean-minutes": _Index(Text("平均出行时间", "Mean travel"), Text("分钟,可达人口", "minutes, of those within reach"), "lower"),
    "p90-minutes": _Index(Text("第90百分位出行时间", "90th percentile of travel"), Text("分钟,可达人口", "minutes, of those within reach"), "lower"),
    "access": _Index(Text("可及水平(两步移动搜索)", "Access (two-step floating catchment)"), Text("名额/千人", "places a thousand persons"), "higher"),
    "least-access": _Index(Text("相对薄弱乡镇可及水平", "Access of the worst township"), Text("占全县平均", "share of the county's mean"), "higher"),
    "gini": _Index(Text("基尼系数(按人口)", "Gini coefficient, by persons"), Text("0至1", "0 to 1"), "lower"),
    "gini-area": _Index(Text("基尼系数(按面积)", "Gini coefficient, by land area"), Text("0至1", "0 to 1"), "lower"),
    "theil": _Index(Text("泰尔指数", "Theil index"), Text("奈特", "nats"), "lower"),
    "theil-between": _Index(Text("泰尔指数组间占比", "Between-group share of Theil"), Text("比例", "share"), "none"),
    "theil-within": _Index(Text("泰尔指数组内占比", "Within-group share of Theil"), Text("比例", "share"), "none"),
    "cv": _Index(Text("变异系数", "Coefficient of variation"), Text("倍", "ratio"), "lower"),
    "location-quotient": _Index(Text("区位熵", "Location quotient"), Text("倍", "ratio"), "none"),
    "hrad": _Index(Text("资源集聚度", "HRAD, concentration by area"), Text("倍", "ratio"), "none"),
    "hrad-pad": _Index(Text("资源与人口集聚度之比", "HRAD over PAD"), Text("倍", "ratio"), "none"),
    "hrdi": _Index(Text("资源密度指数", "HRDI, resource density"), Text("(名额/千人·名额/平方千米)的平方根", "root of places a thousand x places a km2"), "higher"),
    "spending": _Index(Text("人均支出", "Spending a person"), Text("元/人·年", "yuan a person a year"), "none"),
}  # fmt: skip
BASES = {
    "resident": Text("常住人口", "residents"), "registered": Text("户籍人口", "registered persons"),
    "need": Text("有需求人员", "persons in need"),
}  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Future:
    """One sampled future: its weight, its people and its state, in the tables of `equity_chapter`."""

    weight: float
    people: pd.DataFrame
    state: pd.DataFrame


@dataclass(frozen=True, eq=False, slots=True)
class Evaluated:
    """People and the state of services they live under, with every index of it."""

    joined: _Joined
    values: pd.Series


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class EquityChapter:
    """Tables of the chapter.

    Parameters
    ----------
    table
        ``service``, ``index``, ``base``, ``unit_zh``, ``unit_en``, ``dimension``, ``part``,
        ``before``, ``after``, ``change``, ``low``, ``high``, ``is_flagged``, ``note_zh``,
        ``note_en``; ``dimension`` is ``county`` for the whole. NaN where nothing is to be said.
    curves
        Lorenz curves: ``service``, ``base``, ``when``, ``people_share``, ``access_share``.
    cautions
        Sentences to print under the chapter, each once.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    cautions: tuple[Text, ...] = field(default=())

    def headline(self) -> pd.DataFrame:
        """Return the rows of the whole county."""
        return self.table[self.table["dimension"] == "county"].reset_index(drop=True)

    def flagged(self) -> pd.DataFrame:
        """Return the rows that a threshold flags."""
        return self.table[self.table["is_flagged"]].reset_index(drop=True)


def equity_chapter(
    people: pd.DataFrame,
    after: pd.DataFrame,
    flags: Iterable[EquityFlag],
    *,
    before: pd.DataFrame | Evaluated | None = None,
    people_before: pd.DataFrame | None = None,
    area_km2: pd.Series | None = None,
    futures: Sequence[Future] = (),
    level: float = 0.8,
    suppress_below: float = 5.0,
) -> EquityChapter:
    """Evaluate how evenly services reach people, before and after, by region and group.

    Parameters
    ----------
    people
        ``area_id``, ``township``, ``area_class``, ``base`` (``resident``, ``registered`` or
        ``need``), ``persons``; optional ``service`` (else the same people for all), ``age``,
        ``need``. Rows of one base add up to its people.
    after, before
        State of services: ``service``, ``area_id``, ``covered`` (share of people within the
        standard's reach), ``minutes`` to the nearest open site (NaN: none in reach), ``access``
        (places a person, two-step), ``spending_yuan`` (a person a year; NaN: not known); optional
        ``base`` where access and spending are counted against the people of each base. An area that
        is not listed has nothing in reach. ``before`` may be `evaluated` already, once for many.
    people_before
        People of ``before``; those of ``after`` where none are given.
    flags
        Thresholds and readings, as a catalogue holds them.
    area_km2
        Land by township; without it indices by area are left out.
    futures
        Sampled futures; they give the interval ``low`` to ``high`` of each row.
    level
        Share of futures that an interval holds.
    suppress_below
        Parts of fewer persons are not shown (privacy).

    Raises
    ------
    ValueError
        When an area of ``after`` has no people row, or a table lacks a column.
    """
    marks = tuple(flags)
    now = evaluated(people, after, area_km2)
    table = now.values.rename("after").to_frame()
    then = before
    if isinstance(then, pd.DataFrame):
        then = evaluated(people if people_before is None else people_before, then, area_km2)
    table["before"] = np.nan if then is None else then.values
    if futures:
        drawn = pd.DataFrame(
            {k: evaluated(f.people, f.state, area_km2).values for k, f in enumerate(futures)}
        )
        weights = np.array([f.weight for f in futures])
        drawn = drawn.reindex(table.index)
        bounds = [_interval(row, weights, level) for row in drawn.to_numpy(dtype=float)]
        table[["low", "high"]] = np.array(bounds).reshape(len(table), 2)
    else:
        table["low"] = table["high"] = np.nan
    rows = _hide_small(table.reset_index(), suppress_below)
    rows["change"] = rows["after"] - rows["before"]
    _annotate(rows, marks)
    order = {name: k for k, name in enumerate(INDICES)}
    rows["_order"] = rows["index"].map(order)
    rows = rows.sort_values(["service", "base", "dimension", "_order", "part"], ignore_index=True)
    columns = ["service", "index", "base", "unit_zh", "unit_en", "dimension", "part", "before",
               "after", "change", "low", "high", "is_flagged", "note_zh", "note_en"]  # fmt: skip
    curves = [_curves(now.joined, "after"), _curves([] if then is None else then.joined, "before")]
    cautions = tuple(dict.fromkeys(f.caution for f in marks if f.kind == "flag"))
    return EquityChapter(
        table=rows[columns], curves=pd.concat(curves, ignore_index=True), cautions=cautions
    )


def evaluated(
    people: pd.DataFrame, state: pd.DataFrame, area_km2: pd.Series | None = None
) -> Evaluated:
    """Return every index of one state of services; see `equity_chapter` for the tables.

    Raises
    ------
    ValueError
        When an area of the state has no people row, or a table lacks a column.
    """
    _require(people, ("area_id", "township", "area_class", "base", "persons"), "people")
    joined = _joined(people, state)
    return Evaluated(joined, _values(joined, area_km2))


def _require(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [c for c in columns if c not in table]
    if missing:
        raise ValueError(f"the table {name} lacks {missing}")


_Joined: TypeAlias = "list[tuple[str, str, pd.DataFrame]]"
"""Service, base, and the people of that base with the state of their area."""


def _joined(people: pd.DataFrame, state: pd.DataFrame) -> _Joined:
    """Return people with the state of their area; nothing in reach where an area is not listed."""
    _require(
        state, ("service", "area_id", "covered", "minutes", "access", "spending_yuan"), "state"
    )
    unknown = sorted(set(state["area_id"].unique()) - set(people["area_id"].unique()))
    if unknown:
        raise ValueError(f"areas without people: {unknown[:5]}")
    keys = ["area_id", "base"] if "base" in state else ["area_id"]
    parts: _Joined = []
    for service, here in state.groupby("service", sort=True):
        if here.duplicated(keys).any():
            raise ValueError(f"an area stands twice in the state of {service}")
        mine = people[people["service"] == service] if "service" in people else people
        table = mine.merge(here.drop(columns="service"), on=keys, how="left", sort=True)
        table[["covered", "access"]] = table[["covered", "access"]].fillna(0.0)
        parts += [
            (str(service), str(base), rows) for base, rows in table.groupby("base", sort=True)
        ]
    return parts


def _values(joined: _Joined, area_km2: pd.Series | None) -> pd.Series:
    """Return every index as one series over service, base, index, dimension and part."""
    found: dict[tuple[str, ...], float] = {}
    for service, base, rows in joined:
        key = (service, base)
        figures = rows[list(_FIGURES)].to_numpy(dtype=float)
        parts = {d: _Parts.of(rows[d]) for d in DIMENSIONS if d in rows}
        whole = _Parts(("county",), np.zeros(len(rows), np.int64))
        for dimension, split in {"county": whole, **parts}.items():
            _part_rows(found, key, dimension, split, figures)
        _county_rows(found, key, figures, parts)
        _township_rows(found, key, figures, parts["township"], area_km2)
    index = pd.MultiIndex.from_tuples(list(found), names=_KEY)
    return pd.Series(list(found.values()), index=index, dtype=float)


_FIGURES = ("persons", "covered", "minutes", "access", "spending_yuan")


@dataclass(frozen=True, eq=False, slots=True)
class _Parts:
    """The values of a column in order, and which of them each row has."""

    names: tuple[str, ...]
    codes: np.ndarray

    @classmethod
    def of(cls, column: pd.Series) -> _Parts:
        codes, names = pd.factorize(column, sort=True)
        return cls(tuple(str(n) for n in names), np.asarray(codes))

    def labels(self) -> npt.NDArray[np.object_]:
        """Return the value of each row as text; rows without one have ``nan``."""
        named: npt.NDArray[np.object_] = np.array([*self.names, "nan"], dtype=object)
        return np.asarray(named[self.codes], dtype=object)

    def sums(self, values: np.ndarray) -> pd.Series:
        """Return the sum of values by name."""
        there = self.codes >= 0
        total = np.bincount(self.codes[there], values[there], len(self.names))
        return pd.Series(total, index=list(self.names))


def _part_rows(
    found: dict[tuple[str, ...], float], key: tuple[str, str], dimension: str, split: _Parts, figures: np.ndarray
) -> None:  # fmt: skip
    """Indices that hold of any part of the people; ``figures`` has the columns of `_FIGURES`."""
    w, covered, minutes, access, money = figures.T
    near, known = np.isfinite(minutes), np.isfinite(money)
    at, count = split.codes, len(split.names)
    some = at >= 0
    values = {
        "persons": np.bincount(at[some], w[some], count),
        "coverage": means_by(covered, w, at, count),
        "reached": means_by(near.astype(float), w, at, count),
        "mean-minutes": means_by(minutes[near], w[near], at[near], count),
        "p90-minutes": quantiles_by(minutes[near], w[near], at[near], count, _TAIL),
        "access": means_by(access, w, at, count) * _PER_1000,
        "spending": means_by(money[known], w[known], at[known], count),
    }
    for index, of_parts in values.items():
        for part, value in zip(split.names, of_parts.tolist(), strict=True):
            found[(*key, index, dimension, part)] = value


def _county_rows(
    found: dict[tuple[str, ...], float], key: tuple[str, str], figures: np.ndarray, parts: Mapping[str, _Parts]
) -> None:  # fmt: skip
    """Indices that compare people with one another."""
    w, level = figures[:, _FIGURES.index("persons")], figures[:, _FIGURES.index("access")]
    mean = weighted_mean(level, w)
    there = mean > 0  # where nothing is in reach of anyone, evenness says nothing
    found[(*key, "gini", "county", "county")] = gini(level, w) if there else np.nan
    found[(*key, "cv", "county", "county")] = variation(level, w) if there else np.nan
    found[(*key, "theil", "county", "county")] = theil(level, w).total if there else np.nan
    if not there:
        return
    for dimension, split in parts.items():
        divided = theil(level, w, split.labels())
        within = 1.0 - divided.between_share if divided.total > 0 else 0.0
        found[(*key, "theil-between", dimension, "all")] = divided.between_share
        found[(*key, "theil-within", dimension, "all")] = within
    towns = parts["township"]
    of = means_by(level, w, towns.codes, len(towns.names))
    found[(*key, "least-access", "county", "county")] = float(np.nanmin(of)) / mean


def _township_rows(
    found: dict[tuple[str, ...], float],
    key: tuple[str, str],
    figures: np.ndarray,
    towns: _Parts,
    area_km2: pd.Series | None,
) -> None:
    """Indices of a township's share of the resource, against its people and its land."""
    w, level = figures[:, _FIGURES.index("persons")], figures[:, _FIGURES.index("access")]
    resource, people = towns.sums(level * w), towns.sums(w)
    tables: dict[str, np.ndarray] = {"location-quotient": location_quotient(resource, people)}
    if area_km2 is not None:
        land = area_km2.reindex(resource.index).astype(float)
        if land.isna().any() or (land <= 0).any():
            raise ValueError("land is missing or not positive for a township")
        tables["hrad"], tables["hrad-pad"] = agglomeration(resource, people, land)
        tables["hrdi"] = density_index(resource, people, land)
        found[(*key, "gini-area", "county", "county")] = gini(resource / land, land)
    for index, values in tables.items():
        for part, value in zip(resource.index, values, strict=True):
            found[(*key, index, "township", str(part))] = float(value)


def _interval(row: np.ndarray, weights: np.ndarray, level: float) -> tuple[float, float]:
    known = np.isfinite(row)
    return interval(row[known], weights[known], level) if known.any() else (np.nan, np.nan)


def _hide_small(rows: pd.DataFrame, suppress_below: float) -> pd.DataFrame:
    """Blank the parts of too few persons, and say so."""
    persons = rows[rows["index"] == "persons"].set_index(["service", "base", "dimension", "part"])["after"]  # fmt: skip
    of = pd.MultiIndex.from_frame(rows[["service", "base", "dimension", "part"]])
    count = persons.reindex(of).to_numpy(dtype=float)
    rows["is_hidden"] = (count < suppress_below) & (count > 0)
    rows.loc[rows["is_hidden"], ["before", "after", "low", "high"]] = np.nan
    return rows


def _annotate(rows: pd.DataFrame, flags: Sequence[EquityFlag]) -> None:
    """Write unit, base, reading, flag and their words into the rows."""
    limits = {f.index: f for f in flags if f.kind == "flag"}
    readings = [f for f in flags if f.kind == "reading"]
    notes_zh, notes_en, flagged = [], [], []
    columns = (rows[c] for c in ("index", "base", "after", "is_hidden"))
    for index, base_id, value, is_hidden in zip(*columns, strict=True):
        what, base = INDICES[index], BASES.get(base_id, Text(base_id, base_id))
        words = [
            Text(
                f"{what.name.zh};基数:{base.zh};单位:{what.unit.zh}",
                f"{what.name.en}; base: {base.en}; unit: {what.unit.en}",
            )
        ]
        words += [f.name for f in readings if _reads(f, index, value)][-1:]
        limit = limits.get(index)
        is_flagged = limit is not None and _beyond(limit, value)
        if limit is not None and is_flagged:
            side = Text("高于", "above") if limit.side == "above" else Text("低于", "below")
            words.append(
                Text(
                    f"{side.zh}提示线 {limit.threshold:g}",
                    f"{side.en} the flag at {limit.threshold:g}",
                )
            )
        if is_hidden:
            words.append(Text("人数过少,不公布", "too few persons to show"))
        notes_zh.append(";".join(w.zh for w in words))
        notes_en.append("; ".join(w.en for w in words))
        flagged.append(is_flagged)
    rows["unit_zh"] = rows["index"].map(lambda k: INDICES[k].unit.zh)
    rows["unit_en"] = rows["index"].map(lambda k: INDICES[k].unit.en)
    rows["note_zh"], rows["note_en"], rows["is_flagged"] = notes_zh, notes_en, flagged


def _beyond(limit: EquityFlag, value: float) -> bool:
    if not np.isfinite(value):
        return False
    return value > limit.threshold if limit.side == "above" else value < limit.threshold


def _reads(flag: EquityFlag, index: str, value: float) -> bool:
    """Whether a reading names this value of an index; the last reading holds its upper end too."""
    if flag.index != index or not np.isfinite(value) or value < flag.threshold:
        return False
    return value < flag.upper or flag.upper >= 1.0


def _curves(joined: _Joined, when: str) -> pd.DataFrame:
    parts = []
    for service, base, rows in joined:
        x, y = lorenz(rows["access"], rows["persons"])
        parts.append(
            pd.DataFrame(
                {"service": service, "base": base, "when": when, "people_share": x, "access_share": y}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
