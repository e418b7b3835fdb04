"""What a study came to: its parts read together, one row a run."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from allocator.compare.trade_offs import STATE_TODAY, frontier, marginal, regret, tornado
from allocator.design import Study
from allocator.errors import CheckFailed, Where
from allocator.io.findings import error, neutralised, refusal
from allocator.io.paths import write_bytes
from allocator.io.runs import read_run
from allocator.run import Run
from allocator.study.parts import read_parts
from allocator.study.store import Failure, Store, part_holds, read_definition

__all__ = ["StudyResults", "open_study"]


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study's folder, read: every table is made from the parts, checked by their digests.

    Parameters
    ----------
    folder
        The study's folder.
    definition
        What ``study.json`` says.
    """

    folder: Path
    definition: Mapping[str, Any]

    @property
    def study(self) -> Study:
        """The study's own definition."""
        return Study.model_validate(self.definition["study"])

    @cached_property
    def _store(self) -> Store:
        return Store(self.folder, self.definition["keep"] == "runs")

    @cached_property
    def _parts(self) -> dict[str, Path]:
        """Parts of the study's runs by id; a changed part is refused, an absent one left out."""
        found: dict[str, Path] = {}
        broken = []
        for run in dict.fromkeys(r["id"] for r in self.definition["runs"]):
            path = self._store.part_path(run)
            if path is None:
                continue
            if not part_holds(path):
                broken.append(path)
            found[run] = path
        if broken:
            raise CheckFailed(
                tuple(
                    error(
                        "part-changed", Where(file=f"parts/{p.name}"),
                        ("结果文件被改动或截断。", "The part was changed or cut after the run."),
                        ("请重新运行该研究:只补算缺少的部分。", "Run the study again: only what lacks is done."),
                    )
                    for p in broken
                )
            )  # fmt: skip
        return found

    def runs(self) -> pd.DataFrame:
        """Every run of the study: name, case, id, role, whom it follows, its settings, its state."""
        failed = {f.run for f in self.failures()}
        rows = []
        for r in self.definition["runs"]:
            state = "done" if r["id"] in self._parts else "failed" if r["id"] in failed else "open"
            known = {k: r[k] for k in ("name", "case", "id", "role", "follows")}
            rows.append({**known, "state": state, **_flat(r["settings"])})
        return pd.DataFrame(rows)

    def failures(self) -> tuple[Failure, ...]:
        """Runs that have no plan, with the reason."""
        ids = dict.fromkeys(r["id"] for r in self.definition["runs"])
        told = {r["id"]: r for r in reversed(self.definition["runs"])}
        found = (self._store.recorded_failure(i) for i in ids)
        return tuple(
            Failure(told[f.run]["name"], f.reason, f.kind, f.run, f.findings, told[f.run]["case"])
            for f in found
            if f is not None
        )

    def settings(self) -> tuple[str, ...]:
        """Names of what the study varied, in order of first use."""
        return tuple(
            dict.fromkeys(k for r in self.definition["runs"] for k in _flat(r["settings"]))
        )

    def table(self, year: int | None = None) -> pd.DataFrame:
        """Return one row a run: settings, indicators at a year (the last by default), objectives.

        ``investment_all`` is the capital of all periods together, yuan. Columns of objectives are ``objective.<id>`` and ``bound.<id>``; ``gap`` and ``status`` say
        how well each was solved.
        """
        long = self.long("indicator", "objective", "bound", "gap", "shortfall")
        runs = self.runs()
        runs = runs[runs["state"] == "done"].drop(columns="state")
        if not len(long):
            return runs
        capital = long[(long["kind"] == "indicator") & (long["id"] == "investment")]
        if year is None:
            long = long[long["year"] == long.groupby("run")["year"].transform("max")]
        else:
            long = long[(long["year"] == year) | (long["kind"] != "indicator")]
        short = long["kind"] == "shortfall"
        named = long["id"].where(long["kind"] == "indicator", long["kind"] + "." + long["id"])
        wide = (
            long[~short].assign(column=named).pivot(index="run", columns="column", values="value")
        )
        wide = wide.rename(columns={"gap.plan": "gap"})
        wide["short"] = long[short].groupby("run")["value"].sum().reindex(wide.index).fillna(0.0)
        wide["investment_all"] = capital.groupby("run")["value"].sum()
        wide["status"] = long[long["kind"] == "gap"].set_index("run")["text"]
        first = [c for c in long[long["kind"] == "indicator"]["id"].unique() if c in wide]
        first.append("investment_all")
        rest = sorted(c for c in wide.columns if c not in first)
        order = [*sorted(first), *rest]
        return runs.merge(wide[order], left_on="id", right_index=True).reset_index(drop=True)

    def long(self, *kinds: str) -> pd.DataFrame:
        """Return rows of the parts of some kinds (`parts`), as they are stored."""
        return read_parts([str(p) for p in self._parts.values()], kinds)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the study's cases, in order; one blank name where it has one case."""
        return tuple(dict.fromkeys(r["case"] for r in self.definition["runs"]))

    def sites(self, case: str = "") -> pd.DataFrame:
        """State of every site of a case at the end: sites as rows, runs as columns, and its state today.

        ``case`` may be left out where the study has one.
        """
        runs = [r for r in self.definition["runs"] if r["case"] == (case or self.cases[0])]
        long = self.long("site")
        long = long[long["run"].isin({r["id"] for r in runs})]
        years = long.groupby("run")["year"]
        end = long[long["year"] == years.transform("max")]
        today = long[long["year"] == years.transform("min")]
        wide = end.pivot(index="id", columns="run", values="text")
        names = {r["id"]: r["name"] for r in reversed(runs)}
        wide = wide.rename(columns=names)
        wide.insert(0, STATE_TODAY, today.groupby("id")["text"].first())
        return wide.rename_axis(index="site_id", columns=None)

    def no_regret(self) -> pd.DataFrame:
        """Share of runs that change each site, its commonest new state, and the share of that one.

        A site with a share of 1 is without regret: every run of the study that has a plan acts there.
        In a study of several cases each is judged by its own runs, and named in the column ``case``.
        """
        if len(self.cases) == 1:
            return self._no_regret(self.cases[0])
        tables = []
        for case in self.cases:
            table = self._no_regret(case)
            table.insert(0, "case", case)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _no_regret(self, case: str) -> pd.DataFrame:
        wide = self.sites(case)
        today, states = wide[STATE_TODAY], wide.drop(columns=STATE_TODAY)
        acts = states.ne(today, axis=0)
        rows = []
        for site, new in states.where(acts).iterrows():
            counts = new.dropna().value_counts()
            top = counts.index[0] if len(counts) else ""
            share = float(counts.iloc[0]) / states.shape[1] if len(counts) else 0.0
            rows.append((site, today[site], top, float(acts.loc[site].mean()), share))
        columns = ["site_id", "today", "state", "share_of_runs", "share_of_state"]
        table = pd.DataFrame(rows, columns=columns)
        order = ["share_of_runs", "share_of_state", "site_id"]
        return table.sort_values(order, ascending=[False, False, True], ignore_index=True)

    def frontier(self, cost: str = "budget", gain: str = "resident_met") -> pd.DataFrame:
        """Runs by cost and gain, dominated ones named, the study's chosen one marked.

        Of a study of futures the plans as planned alone: what comes is nothing to choose from.
        """
        return frontier(self._choices(), cost, gain, self.study.chosen)

    def _choices(self) -> pd.DataFrame:
        table = self.table()
        return table[table["role"].isin(("run", "plan"))].reset_index(drop=True)

    def marginal(self, cost: str = "budget", gain: str = "resident_met") -> pd.DataFrame:
        """What each step along the frontier costs and brings."""
        return marginal(self._choices(), cost, gain)

    def tornado(self, measure: str = "resident_met") -> pd.DataFrame:
        """How far each thing varied moves a measure."""
        return tornado(self.table(), measure, self.settings())

    def regret(self, measure: str = "") -> pd.DataFrame:
        """Plans as rows, futures as columns; by the objective where no measure is named.

        Raises
        ------
        InputRefused
            When the study has no futures.
        """
        table = self.table()
        if "future" not in table:
            raise refusal(
                "study-without-futures", Where(file=self.folder.name),
                ("该研究没有 futures,无从比较遗憾值。", "The study has no futures, so there is no regret to show."),
                ("请在研究文件中写 futures。", "Write futures into the study file."),
            )  # fmt: skip
        measures = [c for c in table.columns if c.startswith("objective.")]
        return regret(table, measure or measures[0])

    def read_runs(self) -> Iterator[Run]:
        """Read the stored run folders one by one, in the order of the study."""
        for run in dict.fromkeys(r["id"] for r in self.definition["runs"]):
            path = self._store.run_path(run)
            if path is not None:
                yield read_run(path)

    def export(self, path: Path | str) -> Path:
        """Write the table to ``.csv`` or ``.xlsx``; the workbook holds sites and failures too.

        Raises
        ------
        InputRefused
            When the name ends otherwise, or the file cannot be written (open in Excel, say).
        """
        path = Path(path)
        if path.suffix == ".csv":
            return write_bytes(path, csv_of(self.table()))
        if path.suffix != ".xlsx":
            raise refusal(
                "export-format", Where(file=path.name),
                ("只能导出为 .csv 或 .xlsx。", "A study is exported to .csv or .xlsx."),
                ("请改用其中一种后缀。", "Give the file one of these endings."),
            )  # fmt: skip
        failed = pd.DataFrame(
            [(f.scenario, f.case, f.kind, f.reason) for f in self.failures()],
            columns=["name", "case", "kind", "reason"],
        )
        sheets = {"runs": self.table(), "no-regret": self.no_regret(), "failed": failed}
        return write_bytes(path, workbook_of(sheets))


def open_study(folder: Path | str) -> StudyResults:
    """Return what is stored of a study, finished or not.

    Raises
    ------
    InputRefused
        When the folder holds no study.
    """
    folder = Path(folder)
    return StudyResults(folder, read_definition(folder))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with nested values as text, so that each is one cell."""
    return {
        k: v if isinstance(v, str | int | float | bool) or v is None else repr(v)
        for k, v in settings.items()
    }


def csv_of(table: pd.DataFrame) -> bytes:
    """Return a table as CSV for a spreadsheet: text that it could take for a formula is marked."""
    out = table.copy()
    for column in out.columns:
        if not pd.api.types.is_numeric_dtype(out[column]):
            out[column] = [neutralised(v) if isinstance(v, str) else v for v in out[column]]
    text: str = out.to_csv(index=False, lineterminator="\r\n")
    return b"\xef\xbb\xbf" + text.encode("utf-8")


def workbook_of(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    """Return a workbook of tables; text stays text, whatever it begins with."""
    import datetime

    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"created": datetime.datetime(2026, 1, 1)})
    bold = book.add_format({"bold": True})
    for name, table in sheets.items():
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        for at, column in enumerate(table.columns):
            sheet.write_string(0, at, str(column), bold)
            for row, value in enumerate(table[column], 1):
                if isinstance(value, list | tuple):
                    sheet.write_string(row, at, ", ".join(map(str, value)))
                elif isinstance(value, bool | str | dict):
                    sheet.write_string(row, at, str(value))
                elif value is not None and not pd.isna(value):
                    sheet.write_number(row, at, float(value))
    book.close()
    return out.getvalue()
