"""Countries in the tidy layout of the UN's five-year tables: inputs in, projection out.

Tables (thousands of persons, five-year periods from 1 July to 1 July):

* population_5x5: iso3, variant, year, age, pop_m, pop_f, of which only the base year is read;
* mx_5x5: iso3, period, age, mx_m, mx_f;
* pasfr_5x5: iso3, period, age, pasfr_pct;
* summary_5y: iso3, period, tfr_medium, tfr_high, tfr_low, net_mig_thousand, srb, e0_m, e0_f;
* migration_5x5 (optional): iso3, period, age, mig_m, mig_f, net thousands a period.

What is missing and can be stood in for is, with a finding that says how; what cannot is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where, refuse_if_any
from allocator.population.cohort import AGES_5, Projection, project
from allocator.population.lifetable import ABRIDGED_AGES, Survival, fit_to_e0, life_table, survival
from allocator.population.people import unknown
from allocator.population.rates import FERTILE_AGES, ROGERS_CASTRO, VitalRates, check_columns

__all__ = ["UN_TABLES", "VARIANTS", "UnProjection", "project_un", "residual_profile", "un_rates"]

Floats = npt.NDArray[np.float64]

VARIANTS = ("low", "medium", "high")

UN_TABLES: Mapping[str, tuple[str, ...]] = {
    "population_5x5": ("variant", "year", "age", "pop_m", "pop_f"),
    "mx_5x5": ("period", "age", "mx_m", "mx_f"),
    "pasfr_5x5": ("period", "age", "pasfr_pct"),
    "summary_5y": ("period", "tfr_medium"),
    "migration_5x5": ("period", "age", "mig_m", "mig_f"),
}
"""Columns each table must have, beyond iso3."""

_VARIANT_STEP = {"low": (-0.25, -0.4, -0.5), "high": (0.25, 0.4, 0.5)}
_FIRST_VARIANT_PERIOD = 2020
_USUAL_SRB = 1.05


@dataclass(frozen=True, eq=False)
class UnProjection:
    """A country's projection.

    Parameters
    ----------
    table
        year, age, pop_m, pop_f in thousands, 1 July, every fifth year from the base.
    flows
        period, births, deaths, net_migrants, imbalance in thousands, both sexes.
    projection
        Persons in thousands and all flows by sex.
    findings
        What stood in for missing figures, and how migrants were given ages.
    """

    table: pd.DataFrame
    flows: pd.DataFrame
    projection: Projection
    findings: tuple[Finding, ...]


class _Notes(list[Finding]):
    """Findings gathered on the way."""

    def add(self, rank: Rank, code: str, file: str, what: Text, remedy: Text) -> None:
        self.append(Finding(rank, code, Where(file=f"{file}.csv"), what, remedy))


def project_un(
    tables: Mapping[str, pd.DataFrame],
    *,
    start: int,
    to: int,
    variant: str = "medium",
    profile: str = "model",
) -> UnProjection:
    """Project a country from its base year, reading no later population.

    Parameters
    ----------
    tables
        By name as the module describes; ``model_mortality`` (sex, e0, age, mx) and
        ``model_fertility`` (tfr, age, share_percent) stand in for missing mx and pasfr.
    start, to
        First and last year, a multiple of five years apart; 1 July.
    variant
        ``low``, ``medium`` or ``high`` fertility.
    profile
        Ages of migrants where migration_5x5 has none: ``model`` (Rogers-Castro schedule, sexes
        alike) or ``residual`` (what the last past period's populations imply, the rest by model).

    Raises
    ------
    InputRefused
        With every fault that cannot be stood in for.
    """
    if variant not in VARIANTS:
        raise unknown("variant", "方案", variant, VARIANTS, "unknown-variant")
    if profile not in ("model", "residual"):
        raise unknown("profile", "年龄模式", profile, ("model", "residual"), "unknown-profile")
    refuse_if_any([*_check_years(start, to), *_check_tables(tables)])
    notes = _Notes()
    periods = list(range(start, to, 5))
    summary = _Summary(tables["summary_5y"], notes)
    base = _base(tables["population_5x5"], start, variant, notes)
    mx = _mortality(tables, summary, periods or [start], notes)
    if np.isnan(base).any():
        base = _open_up(base, mx[0], start, notes)
    alive = survival(life_table(mx))
    tfr = summary.tfr(variant, periods)
    shares = _fertility_shares(tables, tfr, periods, notes)
    srb = summary.column("srb", periods, _USUAL_SRB)
    net = _migration(tables, summary, periods, profile, notes)
    ratios = Survival(5, alive.birth[: len(periods)], alive.ages[: len(periods)])
    found = project(base, ratios, tfr[:, None] * shares / 5.0, srb, net)
    years = [start, *(y + 5 for y in periods)]
    table = pd.DataFrame(
        {
            "year": np.repeat(years, len(AGES_5)),
            "age": list(AGES_5) * len(years),
            "pop_m": found.persons[..., 0].ravel(),
            "pop_f": found.persons[..., 1].ravel(),
        }
    )
    both = {
        "births": found.births,
        "deaths": found.deaths,
        "net_migrants": found.migrants,
        "imbalance": found.imbalance,
    }
    flows = pd.DataFrame({"period": [f"{y}-{y + 5}" for y in periods]})
    for name, values in both.items():
        flows[name] = values.sum(axis=-1)
    _note_clipped(found, net, periods, notes)
    return UnProjection(table, flows, found, tuple(notes))


def un_rates(
    tables: Mapping[str, pd.DataFrame], *, start: int, to: int, variant: str = "medium"
) -> tuple[Floats, VitalRates]:
    """Return the (21, sex) base population in thousands and the rates of a country.

    Net migration becomes a rate of the base year's population, ages by the model profile.
    Arguments and refusals as `project_un`.
    """
    refuse_if_any([*_check_years(start, to), *_check_tables(tables)])
    notes = _Notes()
    periods = list(range(start, to, 5))
    summary = _Summary(tables["summary_5y"], notes)
    base = _base(tables["population_5x5"], start, variant, notes)
    mx = _mortality(tables, summary, periods, notes)
    if np.isnan(base).any():
        base = _open_up(base, mx[0], start, notes)
    tfr = summary.tfr(variant, periods)
    shares = _fertility_shares(tables, tfr, periods, notes)
    net = _migration(tables, summary, periods, "model", notes).sum(axis=(-2, -1))
    rates = VitalRates(
        start_years=tuple(periods),
        mx=mx[:, None],
        fertility=(tfr[:, None] * shares / 5.0)[:, None],
        srb=summary.column("srb", periods, _USUAL_SRB),
        net_rate=(net / base.sum() / 5.0)[:, None],
    )
    return base, rates


def residual_profile(
    before: Floats, after: Floats, alive: Survival, fertility: Floats, srb: float
) -> Floats:
    """Net migrants by age and sex that two populations imply over a step.

    The residual of a cohort, after survival, is given half to the age it starts in and half to
    the age it ends in (Siegel, Hamilton 1952; average of the forward and the reverse method).

    Parameters
    ----------
    before, after
        (age, sex) persons one step apart.
    alive, fertility, srb
        Survival ratios, births a woman a year, and sex ratio at birth of the step.
    """
    lead = Survival(alive.width, alive.birth[None], alive.ages[None])
    closed = project(before, lead, fertility[None], srb).persons[-1]
    gap = after - closed
    net = gap / 2.0
    net[0] = gap[0]
    net[:-1] += gap[1:] / 2.0 / np.sqrt(np.maximum(alive.ages[:-1], 0.2))
    return np.asarray(net)


def _check_years(start: int, to: int) -> list[Finding]:
    if to >= start and (to - start) % 5 == 0 and start % 5 == 0:
        return []
    what = Text(f"年份 {start}-{to} 不可用。", f"The years {start} to {to} cannot be used.")
    remedy = Text(
        "请用能被5整除的年份,且 --to 不早于 --from。",
        "Use years divisible by five, with --to not before --from.",
    )
    return [Finding(Rank.ERROR, "bad-years", Where(id=f"{start}-{to}"), what, remedy)]


def _check_tables(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    found: list[Finding] = []
    for name, columns in UN_TABLES.items():
        if name in tables:
            found += check_columns(tables[name], f"{name}.csv", columns)
            found += _check_country(tables[name], name)
            found += _check_numbers(tables[name], name)
    for name in ("population_5x5", "summary_5y"):
        if name not in tables:
            what = Text(f"缺少 {name}.csv。", f"{name}.csv is missing; no projection without it.")
            columns = ("iso3", *UN_TABLES[name])
            remedy = Text(f"需要列:{', '.join(columns)}。", f"Columns: {', '.join(columns)}.")
            found.append(
                Finding(Rank.ERROR, "missing-table", Where(file=f"{name}.csv"), what, remedy)
            )
    return found


def _check_country(table: pd.DataFrame, name: str) -> list[Finding]:
    if "iso3" not in table.columns:
        return []
    countries = sorted({str(c) for c in table["iso3"].dropna()})
    if len(countries) <= 1:
        return []
    what = Text(f"含多个国家:{countries}。", f"It holds several countries: {', '.join(countries)}.")
    remedy = Text("请一国一个文件夹。", "Keep one country a folder.")
    return [Finding(Rank.ERROR, "several-countries", Where(file=f"{name}.csv"), what, remedy)]


def _check_numbers(table: pd.DataFrame, name: str) -> list[Finding]:
    """Text, infinities and, but for migration, negatives are refused; blanks may be stood in for."""
    found = []
    words = {"iso3", "variant", "period", "age"}
    signed = {"mig_m", "mig_f", "net_mig_thousand"}
    for column in (c for c in table.columns if c not in words):
        text = table[column]
        number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float)
        blank = text.isna().to_numpy() | (text.astype(str).str.strip() == "").to_numpy()
        bad = (~np.isfinite(number) & ~blank) | ((number < 0) & (column not in signed))
        for row in np.flatnonzero(bad):
            what = Text(
                f"“{text.iloc[row]}”不是可用的数。", f"'{text.iloc[row]}' is not a usable number."
            )
            remedy = Text("请更正。", "Correct it.")
            where = Where(file=f"{name}.csv", row=int(row) + 2, column=str(column))
            found.append(Finding(Rank.ERROR, "bad-number", where, what, remedy))
    return found


def _starts(periods: pd.Series) -> pd.Series:
    """First year of ``2020-2025`` (or of a bare ``2020``)."""
    return periods.astype(str).str.extract(r"^\s*(\d{4})")[0].astype(float)


def _first_ages(ages: pd.Series) -> pd.Series:
    """First age of ``5-9``, ``5`` or ``100+``."""
    return ages.astype(str).str.extract(r"^\s*(\d+)")[0].astype(float)


def _base(table: pd.DataFrame, start: int, variant: str, notes: _Notes) -> Floats:
    """Return (21, 2) base population; groups a lower open group hides are NaN."""
    year = pd.to_numeric(table["year"], errors="coerce")
    here = table[(year == start) & (table["variant"] == "estimate")]
    if here.empty:
        here = table[(year == start) & (table["variant"] == variant)]
        if not here.empty:
            what = Text(
                f"{start} 年没有估计值,以 {variant} 方案为基年。",
                f"{start} has no estimate; the base is the {variant} variant itself.",
            )
            remedy = Text("请优先用估计年份。", "Start from an estimated year where you can.")
            notes.add(Rank.WARNING, "base-projected", "population_5x5", what, remedy)
    if here.empty:
        years = sorted({int(y) for y in year[table["variant"] == "estimate"].dropna()})
        what = Text(f"没有 {start} 年人口。", f"There is no population of {start}.")
        remedy = Text(f"可用年份:{years}。", f"Estimates there are: {', '.join(map(str, years))}.")
        where = Where(file="population_5x5.csv", id=str(start))
        raise InputRefused((Finding(Rank.ERROR, "base-missing", where, what, remedy),))
    first = _first_ages(here["age"])
    values = here[["pop_m", "pop_f"]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    grid = np.full((len(AGES_5), 2), np.nan)
    for age, row in zip(first, values, strict=True):
        if np.isfinite(age) and age % 5 == 0 and age <= 100:
            grid[int(age) // 5] = row
    open_from = 100
    for age, word in zip(first, here["age"].astype(str), strict=True):
        if "+" in word and age < 100:
            open_from = int(age)
    grid[open_from // 5 + 1 :] = np.nan
    lacking = [AGES_5[i] for i in range(open_from // 5 + 1) if not np.isfinite(grid[i]).all()]
    if lacking:
        what = Text(
            f"{start} 年缺少年龄组 {lacking}。", f"{start} lacks the ages {', '.join(lacking)}."
        )
        remedy = Text("请补全基年人口。", "Complete the base population.")
        where = Where(file="population_5x5.csv", id=str(start))
        raise InputRefused((Finding(Rank.ERROR, "base-incomplete", where, what, remedy),))
    return grid


def _open_up(base: Floats, mx: Floats, start: int, notes: _Notes) -> Floats:
    """Split a lower open group over the ages above by the life table's person-years lived."""
    first = int(np.argmax(np.isnan(base[:, 0]))) - 1
    table = life_table(mx)
    lived = table.lived[first + 1 :]  # abridged ages run one ahead: 0 and 1-4 are apart
    out = base.copy()
    out[first:] = base[first] * lived / lived.sum(axis=0)
    what = Text(
        f"{start} 年开口组为 {first * 5}+,按生命表拆分。",
        f"The open group of {start} is {first * 5}+; split by the life table.",
    )
    remedy = Text("高龄人口为模拟值。", "Counts above that age are modelled.")
    notes.add(Rank.WARNING, "open-group-split", "population_5x5", what, remedy)
    return out


class _Summary:
    """The table of one row a period, with blanks stood in for."""

    def __init__(self, table: pd.DataFrame, notes: _Notes) -> None:
        numbers = table.drop(columns=[c for c in ("iso3", "period") if c in table.columns])
        numbers = numbers.apply(pd.to_numeric, errors="coerce")
        numbers.index = pd.Index(_starts(table["period"]))
        self.rows = numbers[~numbers.index.isna() & ~numbers.index.duplicated()].sort_index()
        self.notes = notes

    def known(self, column: str) -> bool:
        """Whether a column has any figure."""
        return column in self.rows.columns and bool(self.rows[column].notna().any())

    def column(self, name: str, periods: Sequence[int], usual: float | None) -> Floats:
        """Return a column at the periods; between and beyond its figures, linear and held."""
        if not self.known(name):
            if usual is None:
                what = Text(f"{name} 没有数值。", f"{name} has no figures.")
                remedy = Text("请补齐该列。", "Fill the column.")
                where = Where(file="summary_5y.csv", column=name)
                raise InputRefused((Finding(Rank.ERROR, "column-empty", where, what, remedy),))
            what = Text(f"缺少 {name},按 {usual:g} 计。", f"{name} is missing; taken as {usual:g}.")
            remedy = Text("请补充该列。", "Add the column.")
            self.notes.add(Rank.WARNING, "stood-in", "summary_5y", what, remedy)
            return np.full(len(periods), usual)
        held = self.rows[name].dropna()
        lacking = [p for p in periods if p not in held.index]
        if lacking:
            what = Text(
                f"{name} 缺 {lacking} 期,用邻期。",
                f"{name} lacks {lacking}; its neighbours stand in.",
            )
            remedy = Text("请补齐。", "Fill these periods.")
            self.notes.add(Rank.WARNING, "stood-in", "summary_5y", what, remedy)
        years = held.index.to_numpy(dtype=float)
        at = np.asarray(periods, dtype=float)
        return np.asarray(np.interp(at, years, held.to_numpy(dtype=float)))

    def tfr(self, variant: str, periods: Sequence[int]) -> Floats:
        """Return total fertility at the periods; low and high fall back on the UN's half child."""
        medium = self.column("tfr_medium", periods, None)
        if variant == "medium":
            return medium
        name = f"tfr_{variant}"
        index = [min(max((p - _FIRST_VARIANT_PERIOD) // 5, -1), 2) for p in periods]
        steps = np.array([0.0 if i < 0 else _VARIANT_STEP[variant][i] for i in index])
        shifted = np.maximum(medium + steps, 0.3)
        if not self.known(name):
            what = Text(
                f"缺少 {name},按中方案加减 0.25、0.4、0.5。",
                f"{name} is missing; medium shifted by 0.25, 0.4, then 0.5 children.",
            )
            remedy = Text("请补充该列。", "Add the column.")
            self.notes.add(Rank.WARNING, "stood-in", "summary_5y", what, remedy)
            return np.asarray(shifted)
        given = self.rows[name].reindex([float(p) for p in periods]).to_numpy(dtype=float)
        return np.asarray(np.where(np.isfinite(given), given, shifted))


def _grid(
    table: pd.DataFrame, ages: Sequence[int], columns: Sequence[str]
) -> tuple[list[int], Floats]:
    """Spread a table over (period, age, column); blanks are NaN."""
    start, age = _starts(table["period"]), _first_ages(table["age"])
    periods = sorted({int(p) for p in start.dropna()})
    grid = np.full((len(periods), len(ages), len(columns)), np.nan)
    values = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    row_of = {p: i for i, p in enumerate(periods)}
    age_of = {a: i for i, a in enumerate(ages)}
    for p, a, row in zip(start, age, values, strict=True):
        if np.isfinite(p) and int(a) in age_of:
            grid[row_of[int(p)], age_of[int(a)]] = row
    return periods, grid


def _fill(values: Floats, at: Sequence[float], want: Sequence[float]) -> Floats:
    """Interpolate the first axis of a grid to wanted points, holding the ends; NaN are gaps."""
    out = np.full((len(want), *values.shape[1:]), np.nan)
    x = np.asarray(at, dtype=float)
    for cell in np.ndindex(values.shape[1:]):
        column = values[(slice(None), *cell)]
        good = np.isfinite(column)
        if good.any():
            out[(slice(None), *cell)] = np.interp(want, x[good], column[good])
    return out


def _mortality(
    tables: Mapping[str, pd.DataFrame], summary: _Summary, periods: Sequence[int], notes: _Notes
) -> Floats:
    """Return (P, 22, 2) death rates: given, interpolated, or modelled from life expectancy."""
    if "mx_5x5" not in tables or tables["mx_5x5"].empty:
        return _model_mortality(tables, summary, periods, notes)
    have, grid = _grid(tables["mx_5x5"], ABRIDGED_AGES, ["mx_m", "mx_f"])
    logs = np.log(np.maximum(grid, 1e-9))
    lacking = [p for p in periods if p not in have or not np.isfinite(grid[have.index(p)]).all()]
    if lacking:
        what = Text(
            f"{lacking} 期缺死亡率,由邻期插补。",
            f"Death rates of {lacking} lack figures; interpolated.",
        )
        remedy = Text("请补齐 mx。", "Complete the rates.")
        notes.add(Rank.WARNING, "stood-in", "mx_5x5", what, remedy)
    filled = _fill(logs, have, [float(p) for p in periods])
    if np.isnan(filled).any():  # ages nobody gives: along the ages, and Gompertz above the last
        ages = np.array(ABRIDGED_AGES, dtype=float)
        for p in range(len(periods)):
            for s in range(2):
                filled[p, :, s] = _along_ages(ages, filled[p, :, s])
    rates = np.asarray(np.exp(filled))
    far = [p for p in lacking if p > max(have) or p < min(have)]
    if far and summary.known("e0_m") and summary.known("e0_f"):
        e0 = np.stack([summary.column(c, periods, None) for c in ("e0_m", "e0_f")], axis=-1)
        rows = [periods.index(p) for p in far]
        rates[rows] = fit_to_e0(rates[rows], e0[rows])
    return rates


def _along_ages(ages: Floats, logs: Floats) -> Floats:
    good = np.flatnonzero(np.isfinite(logs))
    if len(good) < 4:
        what = Text("死亡率年龄组太少。", "The death rates give too few ages.")
        remedy = Text("请补齐 0、1、5……100 岁各组。", "Give the ages 0, 1, 5 ... 100.")
        raise InputRefused(
            (Finding(Rank.ERROR, "mx-too-few", Where(file="mx_5x5.csv"), what, remedy),)
        )
    out = np.interp(ages, ages[good], logs[good])
    last = good[-1]
    slope = (logs[good[-1]] - logs[good[-3]]) / (ages[good[-1]] - ages[good[-3]])
    out[last:] = logs[last] + slope * (ages[last:] - ages[last])
    return np.minimum(out, np.log(0.9))


def _model_mortality(
    tables: Mapping[str, pd.DataFrame], summary: _Summary, periods: Sequence[int], notes: _Notes
) -> Floats:
    if "model_mortality" not in tables or not (summary.known("e0_m") and summary.known("e0_f")):
        what = Text(
            "缺少 mx_5x5.csv,且无平均预期寿命。", "mx_5x5.csv is missing, and e0_m, e0_f too."
        )
        remedy = Text(
            "请补充其中之一。", "Give the death rates, or e0_m and e0_f in summary_5y.csv."
        )
        raise InputRefused(
            (Finding(Rank.ERROR, "missing-table", Where(file="mx_5x5.csv"), what, remedy),)
        )
    e0 = np.stack([summary.column(c, periods, None) for c in ("e0_m", "e0_f")], axis=-1)
    model = tables["model_mortality"]
    rates = np.empty((len(periods), len(ABRIDGED_AGES), 2))
    for s, sex in enumerate("mf"):
        mine = model[model["sex"] == sex].pivot(index="e0", columns="age", values="mx").sort_index()
        levels = mine.index.to_numpy(dtype=float)
        logs = np.log(mine.to_numpy(dtype=float))
        for a in range(len(ABRIDGED_AGES)):
            rates[:, a, s] = np.exp(np.interp(e0[:, s], levels, logs[:, a]))
    what = Text(
        "缺少 mx_5x5.csv,按预期寿命用模型生命表代替。",
        "mx_5x5.csv is missing; model life tables with the life expectancy of summary_5y stand in.",
    )
    remedy = Text("结果为粗略估计,请补充死亡率。", "The result is rough: give death rates by age.")
    notes.add(Rank.WARNING, "stood-in", "mx_5x5", what, remedy)
    return fit_to_e0(rates, e0)


def _fertility_shares(
    tables: Mapping[str, pd.DataFrame], tfr: Floats, periods: Sequence[int], notes: _Notes
) -> Floats:
    """Return (P, 7) shares of births by age of mother, summing to 1."""
    ages = [int(a.split("-")[0]) for a in FERTILE_AGES]
    if "pasfr_5x5" in tables and not tables["pasfr_5x5"].empty:
        have, grid = _grid(tables["pasfr_5x5"], ages, ["pasfr_pct"])
        lacking = [p for p in periods if p not in have or np.isnan(grid[have.index(p)]).all()]
        if lacking:
            what = Text(
                f"{lacking} 期缺生育模式,用邻期。",
                f"Ages of mothers lack {lacking}; neighbours stand in.",
            )
            remedy = Text("请补齐。", "Fill these periods.")
            notes.add(Rank.WARNING, "stood-in", "pasfr_5x5", what, remedy)
        shares = np.nan_to_num(_fill(grid, have, [float(p) for p in periods]))[..., 0]
        total = shares.sum(axis=1, keepdims=True)
        if (total > 0).all():
            return np.asarray(shares / total)
    if "model_fertility" not in tables:
        what = Text("缺少 pasfr_5x5.csv。", "pasfr_5x5.csv is missing or empty.")
        remedy = Text(
            "请给出 15-19 至 45-49 各组占比。", "Give percents of births by age 15-19 ... 45-49."
        )
        raise InputRefused(
            (Finding(Rank.ERROR, "missing-table", Where(file="pasfr_5x5.csv"), what, remedy),)
        )
    model = tables["model_fertility"].pivot(index="tfr", columns="age", values="share_percent")
    model = model[list(FERTILE_AGES)].sort_index()
    levels = model.index.to_numpy(dtype=float)
    shares = np.stack(
        [np.interp(tfr, levels, model[a].to_numpy(dtype=float)) for a in model], axis=-1
    )
    what = Text(
        "缺少生育模式,按总和生育率取模型模式。",
        "Ages of mothers are missing; a model by total fertility stands in.",
    )
    remedy = Text("请补充 pasfr_5x5.csv。", "Give pasfr_5x5.csv.")
    notes.add(Rank.WARNING, "stood-in", "pasfr_5x5", what, remedy)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _migration(
    tables: Mapping[str, pd.DataFrame],
    summary: _Summary,
    periods: Sequence[int],
    profile: str,
    notes: _Notes,
) -> Floats:
    """Return (P, 21, 2) net migrants: by age where given, else the total with a profile."""
    given = np.full((len(periods), len(AGES_5), 2), np.nan)
    if "migration_5x5" in tables and not tables["migration_5x5"].empty:
        have, grid = _grid(tables["migration_5x5"], range(0, 101, 5), ["mig_m", "mig_f"])
        for row, period in enumerate(periods):
            if period in have and np.isfinite(grid[have.index(period)]).any():
                given[row] = np.nan_to_num(grid[have.index(period)])
    lacking = [p for row, p in enumerate(periods) if np.isnan(given[row]).any()]
    if not lacking:
        return given
    total = summary.column("net_mig_thousand", periods, 0.0)
    pattern = np.zeros((len(AGES_5), 2))
    if profile == "residual":
        pattern = _past_pattern(tables, summary, periods[0], notes)
    model = ROGERS_CASTRO.profile()
    spread = pattern + (total - pattern.sum())[:, None, None] * model
    what = Text(
        f"{lacking} 期净迁移无年龄,按 {profile} 年龄模式分摊(男女相同)。",
        f"Net migrants of {lacking} have no ages; spread by the {profile} profile"
        + (" (Rogers-Castro standard schedule, sexes alike)." if profile == "model" else "."),
    )
    remedy = Text(
        "有分年龄迁移时请提供 migration_5x5.csv。", "Give migration_5x5.csv where you have ages."
    )
    notes.add(Rank.INFORMATION, "migration-profile", "migration_5x5", what, remedy)
    return np.where(np.isnan(given), spread, given)


def _past_pattern(
    tables: Mapping[str, pd.DataFrame], summary: _Summary, start: int, notes: _Notes
) -> Floats:
    """Net migrants by age of the five years before the base, from the two estimates around it."""
    before = start - 5
    quiet = _Notes()
    try:
        first = _base(tables["population_5x5"], before, "estimate", quiet)
        last = _base(tables["population_5x5"], start, "estimate", quiet)
    except InputRefused:
        first = last = np.full((len(AGES_5), 2), np.nan)
    if np.isnan(first).any() or np.isnan(last).any():
        what = Text(
            f"无 {before} 年估计人口,改用模型模式。",
            f"No full estimate of {before}; the model profile is used.",
        )
        remedy = Text("请补充过去人口。", "Give past populations.")
        notes.add(Rank.WARNING, "stood-in", "population_5x5", what, remedy)
        return np.zeros((len(AGES_5), 2))
    mx = _mortality(tables, summary, [before], quiet)
    alive = survival(life_table(mx))
    tfr = summary.tfr("medium", [before])
    shares = _fertility_shares(tables, tfr, [before], quiet)
    srb = summary.column("srb", [before], _USUAL_SRB)
    one = Survival(5, alive.birth[0], alive.ages[0])
    return residual_profile(first, last, one, tfr[0] * shares[0] / 5.0, float(srb[0]))


def _note_clipped(found: Projection, net: Floats, periods: Sequence[int], notes: _Notes) -> None:
    """Say where more people would have left than were there."""
    short = np.abs(found.migrants - net.sum(axis=-2)).sum(axis=-1)
    for period, gap in zip(periods, short, strict=True):
        if gap > 0.5:
            what = Text(
                f"{period} 期有 {gap:.1f} 千人净迁出超过在场人数,未计。",
                f"From {period}, {gap:.1f} thousand more would leave than are there; they stay out.",
            )
            remedy = Text("请检查迁移年龄。", "Check the ages of migrants.")
            notes.add(Rank.WARNING, "migration-clipped", "migration_5x5", what, remedy)
