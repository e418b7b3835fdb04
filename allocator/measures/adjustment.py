"""What a change of standards costs, who is helped, and whether the money carries it (动态调整).

Tables from norms, people and unit costs alone; no plan is solved. What a plan really does about a
change is the difference of two runs (`allocator.compare`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from allocator.catalogue import Catalogue, Standard, TargetGroup
from allocator.errors import Finding, Rank, Text, Where
from allocator.measures.money import split_whole
from allocator.population import Population, persons_of_group
from allocator.standards import Change

__all__ = ["carried", "cost_of_changes", "people_by_track", "people_of_groups", "rank_changes"]


def _quantity(s: Standard | None, catalogue: Catalogue, people: Mapping[str, float]) -> float:
    """How many units the norm asks for, given persons by group."""
    if s is None:
        return 0.0
    unit = catalogue.units[s.unit]
    return s.value * people[s.group] / unit.per_persons


def cost_of_changes(
    changes: Iterable[Change],
    catalogue: Catalogue,
    people: pd.DataFrame,
    shares: Mapping[str, float],
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Say what each change costs, a year and payer, in units, yuan, workers and people helped.

    Parameters
    ----------
    catalogue
        Units, groups and unit costs; the unit cost of a change is found by the norm's id.
    people
        Columns ``group``, ``year``, ``persons``.
    shares
        Share of each payer, summing to 1; yuan are divided whole, by largest remainder.

    Returns
    -------
    table
        One row a change and year: ``id``, ``kinds``, ``year``, ``units`` (extra), ``capital_yuan``
        (for the extra beyond the year before, never negative), ``running_yuan``, ``workers``,
        ``persons_helped``, and ``yuan.<payer>`` whole yuan that sum to ``total_yuan``.
    findings
        A warning for each change that has no unit cost, no people, or no unit per person; such a
        change is left out of the table, never counted as free.
    """
    if abs(sum(shares.values()) - 1.0) > 1e-9:
        raise ValueError(f"the payers' shares sum to {sum(shares.values())}, not 1")
    counts: dict[int, dict[str, float]] = defaultdict(dict)
    for year, group, persons in people[["year", "group", "persons"]].itertuples(index=False):
        counts[int(year)][str(group)] = counts[int(year)].get(str(group), 0.0) + float(persons)
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for c in changes:
        missing = _uncosted(c, catalogue, counts)
        if missing:
            what = Text(f"无法测算:{missing.zh}。", f"Cannot be costed: {missing.en}.")
            remedy = Text(
                "请补充后重算;未计入合计。", "Supply it; the change is not in the totals."
            )
            where = Where(file="unit_costs.csv", id=c.id)
            findings.append(Finding(Rank.WARNING, "change-not-costed", where, what, remedy))
            continue
        rows += _cost_rows(c, catalogue, counts, shares)
    columns = ["id", "kinds", "year", "units", "capital_yuan", "running_yuan", "workers",
               "persons_helped", "total_yuan", *(f"yuan.{p}" for p in shares)]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), tuple(findings)


def _uncosted(
    c: Change, catalogue: Catalogue, counts: Mapping[int, Mapping[str, float]]
) -> Text | None:
    if c.id not in catalogue.unit_costs:
        return Text("缺少单位成本", "no unit cost")
    for s in (c.old, c.new):
        if s is None:
            continue
        if not catalogue.units[s.unit].per_persons:
            return Text("标准不按人口计量", "the norm is not counted by persons")
        if any(s.group not in year for year in counts.values()):
            return Text(f"缺少 {s.group} 人数", f"no persons of {s.group}")
    return None


def _cost_rows(
    c: Change,
    catalogue: Catalogue,
    counts: Mapping[int, Mapping[str, float]],
    shares: Mapping[str, float],
) -> list[dict[str, object]]:
    cost = catalogue.unit_costs[c.id]
    rows: list[dict[str, object]] = []
    built = 0.0
    for year in sorted(counts):
        if c.new is not None and year < int(c.new.valid_from[:4]):
            continue  # not yet in force: costs nothing
        people = counts[year]
        units = _quantity(c.new, catalogue, people) - _quantity(c.old, catalogue, people)
        capital = round(max(0.0, units - built) * cost.capital_yuan)
        built = max(built, units)
        running = round(units * cost.running_yuan_year)
        helped = units * cost.persons_helped
        if not cost.persons_helped or "widened" in c.kinds or "narrowed" in c.kinds:
            helped = _persons_touched(c, people)
        rows.append(
            {
                "id": c.id, "kinds": ", ".join(c.kinds), "year": year, "units": units,
                "capital_yuan": capital, "running_yuan": running, "workers": units * cost.workers,
                "persons_helped": helped, "total_yuan": capital + running,
                **{f"yuan.{p}": int(v) for p, v in zip(shares, split_whole(capital + running, list(shares.values())), strict=True)},
            }
        )  # fmt: skip
    return rows


def _persons_touched(c: Change, people: Mapping[str, float]) -> float:
    """Persons a change reaches: the newcomers to a group, or all of a group whose level changes."""
    before = people[c.old.group] if c.old else 0.0
    after = people[c.new.group] if c.new else 0.0
    if c.old and c.new and c.kinds[0] in ("raised", "lowered", "restated"):
        return max(before, after)
    return after - before


def rank_changes(
    costs: pd.DataFrame, budget_yuan_year: float | None = None, life_years: float = 1.0
) -> pd.DataFrame:
    """Rank changes that help someone by people helped per yuan, and say what a budget carries.

    Changes that take something away (withdrawn, lowered, narrowed) are no candidates and left out.

    Parameters
    ----------
    costs
        The table of `cost_of_changes`.
    budget_yuan_year
        Money a year; None leaves the budget columns out.
    life_years
        Years over which capital is spread to make it yearly.

    Returns
    -------
    pandas.DataFrame
        ``rank``, ``id``, ``yuan_year`` (mean), ``persons_helped`` (mean), ``persons_per_10k_yuan``,
        and with a budget ``cumulative_yuan`` and ``is_carried``: taken in rank order while the sum
        fits. A change that costs nothing and helps someone ranks first.
    """
    years = max(1, costs["year"].nunique())
    by = costs.groupby("id", sort=True)[["capital_yuan", "running_yuan", "persons_helped"]].sum()
    yearly = by["capital_yuan"] / life_years / years + by["running_yuan"] / years
    table = pd.DataFrame({"yuan_year": yearly, "persons_helped": by["persons_helped"] / years})
    ratio = table["persons_helped"] / table["yuan_year"].where(table["yuan_year"] > 0) * 10_000
    free = (table["yuan_year"] <= 0) & (table["persons_helped"] > 0)
    table["persons_per_10k_yuan"] = ratio.where(~free, math.inf).fillna(0.0)
    table = table[table["persons_helped"] > 0]
    table = table.reset_index().sort_values(
        ["persons_per_10k_yuan", "id"], ascending=[False, True], ignore_index=True
    )
    table.insert(0, "rank", range(1, len(table) + 1))
    if budget_yuan_year is not None:
        spent, sums, carried = 0.0, [], []
        for yuan in table["yuan_year"]:
            fits = spent + yuan <= budget_yuan_year
            spent += yuan if fits else 0.0
            sums.append(spent)
            carried.append(fits)
        table["cumulative_yuan"], table["is_carried"] = sums, carried
    return table


def carried(costs: pd.DataFrame, room: pd.DataFrame) -> pd.DataFrame:
    """Say of each pool and period what changes need, what money is free, and whether it carries them.

    Parameters
    ----------
    costs
        The table of `cost_of_changes`.
    room
        Columns ``pool`` (``capital``, ``running``), ``first``, ``last`` (years of the period),
        ``yuan``: money not yet used, of the period for capital, a year for running money.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``first``, ``last``, ``needed_yuan`` (capital summed, running money of the dearest
        year), ``room_yuan``, ``missing_yuan``, ``is_carried``.
    """
    rows = []
    for r in room.to_dict("records"):
        here = costs[(costs["year"] >= r["first"]) & (costs["year"] <= r["last"])]
        yearly = here.groupby("year")[["capital_yuan", "running_yuan"]].sum()
        if not len(yearly):
            needed = 0.0
        elif r["pool"] == "capital":
            needed = float(yearly["capital_yuan"].sum())
        else:
            needed = float(yearly["running_yuan"].max())
        missing = max(0.0, needed - float(r["yuan"]))
        rows.append((r["pool"], r["first"], r["last"], needed, r["yuan"], missing, missing <= 0))
    columns = ["pool", "first", "last", "needed_yuan", "room_yuan", "missing_yuan", "is_carried"]
    return pd.DataFrame(rows, columns=columns)


def people_of_groups(
    population: Population, groups: Iterable[TargetGroup], years: Iterable[int]
) -> pd.DataFrame:
    """Return ``group``, ``year``, ``persons`` of the groups that age tells, mean over the futures."""
    when = tuple(years)
    rows = []
    for group in groups:
        if group.is_counted_by_age and group.track in population.tracks:
            persons = persons_of_group(population, group, when).sum(axis=1)
            mean = population.future_weight @ persons
            rows += [(group.id, year, float(n)) for year, n in zip(when, mean, strict=True)]
    return pd.DataFrame(rows, columns=["group", "year", "persons"])


def people_by_track(
    population: Population, group: TargetGroup, years: Iterable[int], parts: Mapping[str, str]
) -> pd.DataFrame:
    """Return residents and registered persons of a group's ages, for `money.phase_in_steps`.

    Parameters
    ----------
    parts
        Place to report by area id, such as its township.

    Returns
    -------
    pandas.DataFrame
        ``place``, ``year``, ``track``, ``persons``, mean over the futures.
    """
    when = tuple(years)
    rows = []
    for track in population.tracks:
        persons = persons_of_group(population, replace(group, track=track), when)
        mean = np.tensordot(population.future_weight, persons, axes=1)
        for area, counts in zip(population.places, mean, strict=True):
            rows += [(parts[area], y, track, float(n)) for y, n in zip(when, counts, strict=True)]
    table = pd.DataFrame(rows, columns=["place", "year", "track", "persons"])
    return table.groupby(["place", "year", "track"], as_index=False)["persons"].sum()
