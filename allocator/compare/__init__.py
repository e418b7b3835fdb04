"""Several runs side by side: differences of inputs beside differences of results.

The first run is the one that others are compared with. `trade_offs` holds what is asked of many runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from allocator.compare.change import extra
from allocator.compare.trade_offs import (
    BETTER,
    STATE_TODAY,
    dominated,
    frontier,
    marginal,
    regret,
    tornado,
)
from allocator.errors import Finding, Rank, Text, Where, refuse_if_any
from allocator.run import Run

__all__ = [
    "BETTER",
    "Comparison",
    "compare",
    "dominated",
    "extra",
    "frontier",
    "marginal",
    "regret",
    "tornado",
]

_WORDS_ONLY = ("name", "extends", "title", "note", "abstract")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of one case under the same base year; every view is a table."""

    runs: tuple[Run, ...]

    @property
    def names(self) -> list[str]:
        """Names of the runs' scenarios, in order."""
        return [r.scenario.name for r in self.runs]

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
        """What differs between the runs' inputs: setting as rows, scenarios as columns.

        Settings of the scenarios by key (``rules[4].coverage.share``), then ``code``, the
        ``catalogue`` and each ``file`` of the case that differs, by the head of its digest.
        """
        flat = {}
        for r in self.runs:
            settings = r.scenario.model_dump(mode="json", by_alias=True, exclude=set(_WORDS_ONLY))
            made_from = {
                "code": r.inputs.get("code", ""),
                "catalogue": str(r.inputs.get("catalogue", ""))[:12],
                **{f"file {n}": d[:12] for n, d in r.inputs.get("digests", {}).items()},
            }
            flat[r.scenario.name] = {**dict(_flat(settings)), **made_from}
        table = pd.DataFrame(flat)
        differs = table.apply(lambda row: len({repr(v) for v in row}) > 1, axis=1)
        table = table[~table.index.str.endswith((".title.zh", ".title.en"))]
        return table[differs.reindex(table.index)].fillna("")

    def differences(self, year: int | None = None) -> pd.DataFrame:
        """Differences of inputs beside differences of results, against the first run.

        Rows ``input`` hold the settings as they are; rows ``result`` the indicators' change.
        """
        inputs = self.inputs()
        first, rest = self.names[0], self.names[1:]
        results = self.table(year)[self.names]
        change = results[rest].sub(results[first], axis=0)
        change.insert(0, first, results[first])
        change = change[(change[rest].abs() > 1e-9).any(axis=1)]
        parts = {"input": inputs.astype(object), "result": change.astype(object)}
        return pd.concat(parts, names=["side", "what"])

    def sites(self) -> pd.DataFrame:
        """State of every site today and at the end, one column a scenario, and the share of runs that change it."""
        columns = {}
        for run in self.runs:
            rows = run.tables["sites"]
            last = rows[rows["year"] == rows["year"].max()].set_index("site_id")
            columns[run.scenario.name] = last["state"]
        today = self.runs[0].tables["sites"]
        today = today[today["year"] == self.runs[0].scenario.base_year].set_index("site_id")
        table = pd.DataFrame({STATE_TODAY: today["state"], **columns})
        changed = table[list(columns)].ne(table[STATE_TODAY], axis=0)
        table["share_of_runs"] = changed.mean(axis=1)
        return table

    def site_changes(self) -> pd.DataFrame:
        """Sites where a run differs from the first: which appear, vanish or change, and how.

        Returns
        -------
        pandas.DataFrame
            ``site_id``, ``run``, ``what`` (``appears``: only this run acts there; ``vanishes``: only
            the first does; ``changes``: both, into another state or size), ``first``, ``state``,
            ``places_first``, ``places`` (all services together).
        """
        states, places = self.sites(), self._places()
        first = self.names[0]
        rows = []
        for name in self.names[1:]:
            for site in states.index:
                today, a, b = (states.loc[site, c] for c in (STATE_TODAY, first, name))
                before, n, m = (float(places.loc[site, c]) for c in (STATE_TODAY, first, name))
                if a == b and abs(n - m) < 0.5:
                    continue
                idle_first = a == today and abs(n - before) < 0.5
                idle = b == today and abs(m - before) < 0.5
                what = "appears" if idle_first else "vanishes" if idle else "changes"
                rows.append((site, name, what, a, b, n, m))
        columns = ["site_id", "run", "what", "first", "state", "places_first", "places"]
        return pd.DataFrame(rows, columns=columns)

    def _places(self) -> pd.DataFrame:
        """Places of each site today and at the end, all services together, one column a run."""
        use, base = self.runs[0].tables["use"], self.runs[0].scenario.base_year
        columns = {STATE_TODAY: use[use["year"] == base].groupby("site_id")["places"].sum()}
        for run in self.runs:
            use = run.tables["use"]
            last = use[use["year"] == run.scenario.years[-1]]
            columns[run.scenario.name] = last.groupby("site_id")["places"].sum()
        index = self.runs[0].tables["sites"]["site_id"].unique()
        return pd.DataFrame(columns).reindex(index).fillna(0.0)

    def no_regret(self) -> tuple[str, ...]:
        """Sites that change, and into the same state, in every run."""
        table = self.sites()
        same = table[self.names].nunique(axis=1) == 1
        return tuple(table.index[same & (table[self.names[0]] != table[STATE_TODAY])])

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

    def who(self, by: str = "township") -> pd.DataFrame:
        """Who gains and who loses against the first run, by township or by group.

        Returns
        -------
        pandas.DataFrame
            ``service``; ``township_id`` and names, or ``group``; ``need`` in the first run, persons;
            the served share of the first run, then each other run's change of it.
        """
        keys = ["service", "township_id"] if by == "township" else ["service", "group"]
        shares, need = {}, None
        for run in self.runs:
            rows = run.tables["townships" if by == "township" else "needs"]
            rows = rows[rows["year"] == run.scenario.years[-1]].groupby(keys)
            sums = rows[["need", "served"]].sum()
            need = sums["need"] if need is None else need
            shares[run.scenario.name] = sums["served"] / sums["need"].where(sums["need"] > 0)
        table = pd.DataFrame(shares)
        first = self.names[0]
        table[self.names[1:]] = table[self.names[1:]].sub(table[first], axis=0)
        table.insert(0, "need", need)
        table = table.reset_index()
        if by == "township":
            words = self.runs[0].tables["townships"].drop_duplicates("township_id")
            names = words[["township_id", "name_zh", "name_en"]]
            table = names.merge(table, on="township_id", how="right")
        return table

    def one_a_run(self, year: int | None = None) -> pd.DataFrame:
        """One row a run: ``name``, indicators, ``gap``: what the functions of `trade_offs` take.

        ``investment_all`` is the capital of all periods together, yuan.
        """
        table = self.table(year)[self.names].T.rename_axis(index="name").reset_index()
        spent = [
            r.tables["indicators"].query("indicator == 'investment'")["value"].sum()
            for r in self.runs
        ]
        return table.assign(investment_all=spent, gap=[r.plan.gap for r in self.runs])

    def marginal(self, cost: str, gain: str, year: int | None = None) -> pd.DataFrame:
        """What each step from plan to plan costs and brings; see `trade_offs.marginal`."""
        return marginal(self.one_a_run(year), cost, gain)

    def dominated(
        self, indicators: Mapping[str, int] | None = None, year: int | None = None
    ) -> dict[str, str]:
        """Runs that another beats or equals on all indicators (1: more is better, -1: less).

        Without indicators: all that have a better direction (`BETTER`).
        """
        table = self.one_a_run(year)
        known = (
            {k: v for k, v in BETTER.items() if k in table} if indicators is None else indicators
        )
        return dominated(table, known)


def compare(runs: Sequence[Run]) -> Comparison:
    """Return a comparison of runs of one case; the first is the one to compare with.

    Runs of one scenario, made from different inputs say, are told apart by the head of their ids.

    Raises
    ------
    ValueError
        When there is no run.
    InputRefused
        When the runs are of different cases, or one is named twice.
    """
    if not runs:
        raise ValueError("nothing to compare: hand in at least one run")
    refuse_if_any(_not_comparable(runs))
    names = [r.scenario.name for r in runs]
    return Comparison(
        tuple(_told_apart(r) if names.count(r.scenario.name) > 1 else r for r in runs)
    )


def _not_comparable(runs: Sequence[Run]) -> list[Finding]:
    """What keeps runs from standing side by side."""
    found = []
    cases = sorted({str(r.inputs["case"]) for r in runs})
    if len(cases) > 1:
        found.append(Finding(
            Rank.ERROR, "runs-of-different-cases", Where(id=", ".join(cases)),
            Text(f"这些结果属于不同的案例({'、'.join(cases)}),不能并列比较。", f"These runs are of different cases ({', '.join(cases)}) and cannot stand side by side."),
            Text("请只比较同一案例的结果。", "Compare runs of one case."),
        ))  # fmt: skip
    keys = [
        (r.scenario.name, r.id) for r in runs
    ]  # alike under two names they may stand side by side
    for run in {k: r for k, r in zip(keys, runs, strict=True) if keys.count(k) > 1}.values():
        found.append(Finding(
            Rank.ERROR, "run-twice", Where(id=f"{run.scenario.name}-{run.id}"),
            Text("同一个结果给出了两次。", "One run is named twice."),
            Text("请去掉重复的结果,或给出另一个情景的结果。", "Leave it out, or name a run of another scenario."),
        ))  # fmt: skip
    return found


def _told_apart(run: Run) -> Run:
    name = f"{run.scenario.name[:55]}-{run.id[:8]}"
    return replace(run, scenario=run.scenario.model_copy(update={"name": name}))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of nested data, keys as studies write them."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if item is not None or not path.startswith("rules["):
                yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        for n, item in enumerate(value, 1):
            yield from _flat(item, f"{path}[{n}]")
    else:
        yield path, value
