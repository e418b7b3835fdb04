"""Several runs side by side: differences of inputs beside differences of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from allocator.run import Run

__all__ = ["Comparison", "compare", "extra"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of one case under the same base year; every view is a table."""

    runs: tuple[Run, ...]

    def table(self, year: int | None = None) -> pd.DataFrame:
        """Indicators as rows, scenarios as columns, at a year (the last one by default)."""
        frames = []
        for run in self.runs:
            rows = run.tables["indicators"]
            at = year if year is not None else int(rows["year"].max())
            frames.append(
                rows[rows["year"] == at].set_index("indicator")["value"].rename(run.scenario.name)
            )
        words = (
            self.runs[0].tables["indicators"].drop_duplicates("indicator").set_index("indicator")
        )
        return words[["zh", "en", "unit", "kind"]].join(pd.concat(frames, axis=1))

    def by_year(self) -> pd.DataFrame:
        """Indicators as rows; (scenario, year) as columns, today once in front."""
        found: dict[tuple[str, int], pd.Series] = {}
        for run in self.runs:
            rows = run.tables["indicators"]
            for year, part in rows.groupby("year"):
                base = year == run.scenario.base_year
                key = ("today", int(year)) if base else (run.scenario.name, int(year))  # type: ignore[call-overload]
                found.setdefault(key, part.set_index("indicator")["value"])
        return pd.DataFrame(found)

    def inputs(self) -> pd.DataFrame:
        """What differs between the scenarios: setting as rows, scenarios as columns."""
        flat = {
            r.scenario.name: dict(_flat(r.scenario.model_dump(mode="json", by_alias=True)))
            for r in self.runs
        }
        table = pd.DataFrame(flat).drop(index=["name", "extends"], errors="ignore")
        table = table[~table.index.str.startswith(("title", "note"))]
        differs = table.apply(lambda row: len({repr(v) for v in row}) > 1, axis=1)
        return table[differs].fillna("")

    def sites(self) -> pd.DataFrame:
        """State of every site at the end, one column a scenario, with the share of runs that change it."""
        columns = {}
        for run in self.runs:
            rows = run.tables["sites"]
            last = rows[rows["year"] == rows["year"].max()].set_index("site_id")
            columns[run.scenario.name] = last["state"]
        today = self.runs[0].tables["sites"]
        today = today[today["year"] == self.runs[0].scenario.base_year].set_index("site_id")
        table = pd.DataFrame({"today": today["state"], **columns})
        changed = table[list(columns)].ne(table["today"], axis=0)
        table["share_of_runs"] = changed.mean(axis=1)
        return table

    def no_regret(self) -> tuple[str, ...]:
        """Sites that change, and into the same state, in every run."""
        table = self.sites()
        names = [r.scenario.name for r in self.runs]
        same = table[names].nunique(axis=1) == 1
        return tuple(table.index[same & (table[names[0]] != table["today"])])

    def gains(self, service: str = "elderly.resident") -> pd.DataFrame:
        """Change of the served share by township against today, one column a scenario."""
        columns = {}
        for run in self.runs:
            rows = run.tables["changes"]
            rows = rows[rows["service"] == service].set_index("township_id")
            columns[run.scenario.name] = rows["change"]
        names = (
            self.runs[0].tables["townships"].drop_duplicates("township_id").set_index("township_id")
        )
        return names[["name_zh", "name_en"]].join(pd.DataFrame(columns))

    def dominated(self, indicators: Mapping[str, int], year: int | None = None) -> dict[str, str]:
        """Runs that another beats or equals on all indicators (1: more is better, -1: less)."""
        table = self.table(year)
        values = table.loc[list(indicators), [r.scenario.name for r in self.runs]].T
        signed = values * np.array(list(indicators.values()))
        found = {}
        for name, row in signed.iterrows():
            for other, better in signed.iterrows():
                if other != name and (better >= row - 1e-9).all() and (better > row + 1e-9).any():
                    found[str(name)] = str(other)
                    break
        return found


def compare(runs: Sequence[Run]) -> Comparison:
    """Return a comparison of runs of one case.

    Raises
    ------
    ValueError
        When there is no run, or the runs are of different cases.
    """
    if not runs:
        raise ValueError("nothing to compare: hand in at least one run")
    cases = {r.inputs["case"] for r in runs}
    if len(cases) > 1:
        raise ValueError(f"runs of different cases cannot be compared: {sorted(cases)}")
    return Comparison(tuple(runs))


def extra(before: Run, after: Run) -> pd.DataFrame:
    """Return what a change takes: places, money and workers of one run more than of another.

    Parameters
    ----------
    before, after
        Runs of one case and the same periods, such as without and with a raised standard.

    Returns
    -------
    pandas.DataFrame
        ``year``, ``measure`` (``places``, ``served``, ``capital_yuan``, ``running_yuan_year``,
        ``care_workers``, ``missing``), ``part`` (service, payer, rule or blank), ``before``,
        ``after``, ``extra``. Yuan of payers are whole and sum to the rounded use of the pool.

    Raises
    ------
    ValueError
        When the cases or periods differ.
    """
    if before.inputs["case"] != after.inputs["case"]:
        raise ValueError("runs of different cases cannot be compared")
    if [p.to for p in before.scenario.periods] != [p.to for p in after.scenario.periods]:
        raise ValueError("the runs have different periods")
    both = pd.DataFrame({"before": _amounts(before), "after": _amounts(after)}).fillna(0.0)
    both["extra"] = both["after"] - both["before"]
    return both.rename_axis(["year", "measure", "part"]).reset_index()


def _amounts(run: Run) -> pd.Series:
    """Places and people by service, yuan by payer, workers and missed targets, by year."""
    names = ("use", "needs", "sites")
    use, needs, sites = (
        t[t["year"] > run.scenario.base_year] for t in (run.tables[n] for n in names)
    )
    found: dict[tuple[int, str, str], float] = {}

    def put(measure: str, rows: pd.Series) -> None:
        for key, value in rows.items():
            year, part = key if isinstance(key, tuple) else (key, "")
            found[int(str(year)), measure, str(part)] = float(value)

    put("places", use.groupby(["year", "service"])["places"].sum())
    put("served", needs.groupby(["year", "service"])["served"].sum())
    paid = run.tables["payers"]
    for pool, measure in (("capital", "capital_yuan"), ("running", "running_yuan_year")):
        put(measure, paid[paid["pool"] == pool].groupby(["year", "payer"])["yuan"].sum())
    put("care_workers", sites.groupby("year")["care_workers"].sum())
    end = run.scenario.years[-1]
    for rule, missed in run.measures["shortfalls"].items():
        found[end, "missing", str(rule)] = float(missed)
    index = pd.MultiIndex.from_tuples(list(found))
    return pd.Series(list(found.values()), index=index)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
