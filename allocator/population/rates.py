"""Vital rates of a county: mortality, fertility and migration by five-year period.

Three tables make them, one row a figure, each with ``mark`` and ``source``:

* mortality: region, from_year, age (0, 1, 5 ... 100), mx_m, mx_f;
* fertility: region, from_year, variant (low, medium, high), tfr, srb, share_15_19 ... share_45_49
  (percent of births, summing to 100);
* migration (optional): region, from_year, variant, net_per_1000 (net migrants a year a thousand
  residents). Without it net migration is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.errors import Finding, Rank, Text, Where, nearest, refuse_if_any
from allocator.population.lifetable import ABRIDGED_AGES
from allocator.population.people import MARKS, unknown, weakest_mark

__all__ = ["FERTILE_AGES", "ROGERS_CASTRO", "RogersCastro", "VitalRates", "check_columns"]

Floats = npt.NDArray[np.float64]

FERTILE_AGES = tuple(f"{a}-{a + 4}" for a in range(15, 50, 5))
"""The seven fertile age groups."""

_SHARES = [f"share_{a}_{a + 4}" for a in range(15, 50, 5)]


@dataclass(frozen=True)
class RogersCastro:
    """Seven-parameter model schedule of migration by age.

    ``m(x) = a1 exp(-alpha1 x) + a2 exp(-alpha2 (x - mu2) - exp(-lambda2 (x - mu2))) + c``

    The defaults are the standard schedule of Rogers, Castro (1981) *Model Migration Schedules*,
    IIASA RR-81-30: children move with young adults, movement peaks in the early twenties.
    """

    a1: float = 0.02
    alpha1: float = 0.10
    a2: float = 0.06
    alpha2: float = 0.10
    mu2: float = 20.0
    lambda2: float = 0.40
    c: float = 0.003

    def intensity(self, ages: Floats) -> Floats:
        """Return m(x) at the given exact ages."""
        x = np.asarray(ages, dtype=float)
        labour = np.exp(-self.alpha2 * (x - self.mu2) - np.exp(-self.lambda2 * (x - self.mu2)))
        return np.asarray(self.a1 * np.exp(-self.alpha1 * x) + self.a2 * labour + self.c)

    def profile(self, alive: Floats | None = None) -> Floats:
        """Return (21, 2) shares of migrants by five-year age and sex; they sum to 1.

        Parameters
        ----------
        alive
            (21, 2) weights, such as person-years lived or the population; by default the sexes
            move alike and the groups from age 85 fade out, for few are left to move.
        """
        middle = np.arange(2.5, 105.0, 5.0)
        share = np.repeat(self.intensity(middle)[:, None], 2, axis=1)
        fade = np.clip((102.5 - middle) / 20.0, 0.0, 1.0)[:, None] if alive is None else alive
        share = share * fade
        return np.asarray(share / share.sum())


ROGERS_CASTRO = RogersCastro()


@dataclass(frozen=True, eq=False, kw_only=True)
class VitalRates:
    """Rates of one region by five-year period, for one or more futures.

    Parameters
    ----------
    start_years
        (P,) first year of each period; before the first and after the last it holds on.
    mx
        (P, W, 22, sex) deaths a person-year, W futures (1 where all share them).
    fertility
        (P, W, 7) births a woman a year at ages 15-19 ... 45-49.
    srb
        (P,) male births a female birth.
    net_rate
        (P, W) net migrants a resident a year.
    profile
        (21, sex) shares of migrants by age and sex, summing to 1.
    futures, future_weight
        Ids and weights of the futures.
    """

    start_years: tuple[int, ...]
    mx: Floats
    fertility: Floats
    srb: Floats
    net_rate: Floats
    profile: Floats = field(default_factory=ROGERS_CASTRO.profile)
    futures: tuple[str, ...] = ("expected",)
    future_weight: Floats = field(default_factory=lambda: np.ones(1))
    mark: str = "modelled"

    def __post_init__(self) -> None:
        periods, count = len(self.start_years), len(self.futures)
        for name, tail in (("mx", (22, 2)), ("fertility", (7,)), ("net_rate", ())):
            shape = getattr(self, name).shape
            if shape[0] != periods or shape[1] not in (1, count) or shape[2:] != tail:
                raise ValueError(
                    f"{name} has shape {shape}; wanted ({periods}, 1 or {count}, *{tail})"
                )
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite")

    def periods(self, years: Sequence[int]) -> npt.NDArray[np.intp]:
        """Return the index of the period that holds each year."""
        index = np.searchsorted(self.start_years, np.asarray(years), side="right") - 1
        return np.clip(index, 0, len(self.start_years) - 1)

    def at(self, years: Sequence[int]) -> VitalRates:
        """Return the rates of the periods that hold the given years."""
        rows = self.periods(years)
        return replace(
            self,
            start_years=tuple(int(y) for y in years),
            mx=self.mx[rows],
            fertility=self.fertility[rows],
            srb=self.srb[rows],
            net_rate=self.net_rate[rows],
        )

    def part(self, futures: slice) -> VitalRates:
        """Return some of the futures; their weights are normed to sum 1."""
        weight = self.future_weight[futures]

        def cut(values: Floats) -> Floats:
            return values if values.shape[1] == 1 else values[:, futures]

        return replace(
            self,
            mx=cut(self.mx),
            fertility=cut(self.fertility),
            net_rate=cut(self.net_rate),
            futures=self.futures[futures],
            future_weight=weight / weight.sum(),
        )

    @property
    def tfr(self) -> Floats:
        """(P, W) total fertility rate, children a woman."""
        return np.asarray(5.0 * self.fertility.sum(axis=-1))

    @classmethod
    def from_tables(
        cls,
        mortality: pd.DataFrame,
        fertility: pd.DataFrame,
        migration: pd.DataFrame | None = None,
        *,
        variant: str = "medium",
        region: str = "CN",
        profile: Floats | None = None,
    ) -> VitalRates:
        """Build the rates of one region and variant from tables as the module describes them.

        Raises
        ------
        InputRefused
            With every missing column, unknown region or variant, bad rate or period at once.
        """
        checked = [
            *check_columns(mortality, "mortality", ["region", "from_year", "age", "mx_m", "mx_f"]),
            *check_columns(
                fertility, "fertility", ["region", "from_year", "variant", "tfr", "srb", *_SHARES]
            ),
        ]
        if migration is not None:
            wanted = ["region", "from_year", "variant", "net_per_1000"]
            checked += check_columns(migration, "migration", wanted)
        refuse_if_any(checked)
        for table in (mortality, fertility):
            regions = sorted(set(table["region"].astype(str)))
            if region not in regions:
                raise unknown("region", "区域", region, regions, "unknown-region")
        variants = sorted(set(fertility["variant"].astype(str)))
        if variant not in variants:
            raise unknown("variant", "方案", variant, variants, "unknown-variant")
        deaths = mortality[mortality["region"].astype(str) == region]
        births = fertility[
            (fertility["region"].astype(str) == region) & (fertility["variant"] == variant)
        ].sort_values("from_year")
        starts = tuple(sorted({int(y) for y in deaths["from_year"]}))
        refuse_if_any(_check_rates(deaths, births, starts))
        blocks = [deaths[deaths["from_year"] == y].sort_values("age") for y in starts]
        mx = np.stack([b[["mx_m", "mx_f"]].to_numpy(dtype=float) for b in blocks])
        rows = births.set_index("from_year").loc[list(starts)]
        shares = rows[_SHARES].to_numpy(dtype=float) / 100.0
        shares = shares / shares.sum(axis=1, keepdims=True)
        asfr = rows["tfr"].to_numpy(dtype=float)[:, None] * shares / 5.0
        net = np.zeros(len(starts))
        marks = [*set(mortality.get("mark", [])), *set(fertility.get("mark", [])), "modelled"]
        if migration is not None:
            here = migration[
                (migration["region"].astype(str) == region) & (migration["variant"] == variant)
            ].set_index("from_year")
            net = here["net_per_1000"].reindex(list(starts)).ffill().bfill().fillna(0.0).to_numpy()
            net = net.astype(float) / 1000.0
            marks += [*set(migration.get("mark", []))]
        return cls(
            start_years=starts,
            mx=mx[:, None],
            fertility=asfr[:, None],
            srb=rows["srb"].to_numpy(dtype=float),
            net_rate=net[:, None],
            profile=ROGERS_CASTRO.profile() if profile is None else profile,
            mark=weakest_mark(m for m in marks if m in MARKS),
        )

    @classmethod
    def stack(cls, rates: Mapping[str, VitalRates], weights: Mapping[str, float]) -> VitalRates:
        """Set several variants side by side as weighted futures.

        Parameters
        ----------
        rates
            One set of single-future rates a future id; same periods.
        weights
            Weight a future id; normed to sum 1.
        """
        parts = list(rates.values())
        weight = np.array([weights[name] for name in rates], dtype=float)
        return replace(
            parts[0],
            mx=np.concatenate([p.mx for p in parts], axis=1),
            fertility=np.concatenate([p.fertility for p in parts], axis=1),
            net_rate=np.concatenate([p.net_rate for p in parts], axis=1),
            futures=tuple(rates),
            future_weight=weight / weight.sum(),
            mark=weakest_mark(p.mark for p in parts),
        )


def check_columns(table: pd.DataFrame, name: str, wanted: Sequence[str]) -> list[Finding]:
    """Return one error a missing column, with the nearest column there as a hint."""
    found = []
    for column in wanted:
        if column in table.columns:
            continue
        near = nearest(column, [str(c) for c in table.columns])
        hint = Text(
            f"是否把 {near} 改为 {column}?" if near else f"请补列 {column}。",
            f"Is it '{near}'? Rename it." if near else f"Add the column {column}.",
        )
        found.append(
            Finding(
                Rank.ERROR,
                "missing-column",
                Where(file=name, column=column),
                Text(f"缺少列 {column}。", f"Column {column} is missing."),
                hint,
            )
        )
    return found


def _bad(name: str, column: str, zh: str, en: str) -> Finding:
    remedy = Text("请更正该表。", "Correct the table.")
    return Finding(Rank.ERROR, "bad-rate", Where(file=name, column=column), Text(zh, en), remedy)


def _check_rates(
    deaths: pd.DataFrame, births: pd.DataFrame, starts: tuple[int, ...]
) -> list[Finding]:
    found = []
    ages = list(ABRIDGED_AGES)
    for year in starts:
        here = sorted(int(a) for a in deaths.loc[deaths["from_year"] == year, "age"])
        if here != ages:
            zh, en = (
                f"{year} 年起应有 22 个年龄组。",
                f"From {year}: wanted ages {ages}, got {here}.",
            )
            found.append(_bad("mortality", "age", zh, en))
    for name, table, columns in (
        ("mortality", deaths, ["mx_m", "mx_f"]),
        ("fertility", births, ["tfr", "srb", *_SHARES]),
    ):
        for column in columns:
            values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
            if not np.isfinite(values).all() or (values < 0).any():
                zh, en = (
                    f"{column} 有空值、负值或非数字。",
                    f"{column} holds blanks, text or negatives.",
                )
                found.append(_bad(name, column, zh, en))
    lacking = [y for y in starts if y not in set(births["from_year"].astype(int))]
    if lacking:
        zh, en = f"缺少 {lacking} 起各期。", f"No row for the periods from {lacking}."
        found.append(_bad("fertility", "from_year", zh, en))
    if births["from_year"].duplicated().any():
        found.append(_bad("fertility", "from_year", "时期重复。", "A period stands twice."))
    return found
