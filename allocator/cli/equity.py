"""``allocator equity RUN``: the equity evaluation that a run stored, before and after."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from allocator.cli.show import AsJson, Language, chosen_language, print_table, say
from allocator.errors import ExitCode, Finding, InputRefused, Rank, Text, Where, plural

if TYPE_CHECKING:
    from allocator.run import Run

__all__ = ["equity", "evaluation"]

_KEY = ["service", "index", "base", "dimension", "part"]


def equity(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    before: Annotated[
        Path | None, typer.Option(help="another run to compare with; default: today")
    ] = None,
    period: Annotated[int, typer.Option(help="which period, from 1; 0 is the last")] = 0,
    base: Annotated[
        list[str] | None, typer.Option(help="only these bases: need, resident, registered")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV of the whole table")] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Show how evenly a plan's services reach people: in need, residents, registered persons."""
    from allocator.io.paths import write_bytes
    from allocator.io.runs import read_run
    from allocator.study.results import csv_of

    language, stored = chosen_language(lang), read_run(run)
    table = evaluation(stored, read_run(before) if before else None, period)
    if base:
        table = table[table["base"].isin(base)].reset_index(drop=True)
    if out is not None:
        write_bytes(out, csv_of(table))
    if as_json:
        print_table(table, True)
        return int(ExitCode.PLAN)
    _tell(stored, table[table["dimension"] == "county"], language)
    for caution in stored.measures.get("cautions", ()):
        typer.echo(caution[language])
    return int(ExitCode.PLAN)


def _tell(run: Run, head: pd.DataFrame, language: str) -> None:
    """Print a table a service: an index a row, before and after by base, a mark at what is flagged."""
    from rich.console import Console
    from rich.table import Table

    from allocator.measures.equity import BASES, INDICES
    from allocator.report.words import Names

    names = Names([run], None)
    console = Console()
    console = Console(width=None if console.is_terminal else 160, markup=False, highlight=False)
    for service, rows in head.groupby("service", sort=True):
        bases = [b for b in BASES if (rows["base"] == b).any()]
        table = Table(title=names.service(str(service)).in_language(language))
        table.add_column(say(language, "指标(全县)", "Index (whole county)"))
        table.add_column(say(language, "单位", "Unit"))
        for base in bases:
            words = BASES[base].in_language(language)
            table.add_column(say(language, f"{words}:前 → 后", f"{words}: before → after"), justify="right")  # fmt: skip
        for index in dict.fromkeys(rows["index"]):
            what = INDICES[str(index)]
            one = rows[rows["index"] == index].set_index("base")
            cells = [_cell(one.loc[b]) if b in one.index else "—" for b in bases]
            table.add_row(what.name.in_language(language), what.unit.in_language(language), *cells)
        console.print(table)
        flagged = rows[rows["is_flagged"]]
        for note in flagged[f"note_{language}"]:
            console.print(f"  ! {note}")


def _cell(row: pd.Series) -> str:
    """Return before and after, the interval where futures gave one, and a mark where flagged."""
    before, after, low, high = (_figure(float(row[c])) for c in ("before", "after", "low", "high"))
    interval = f" [{low}, {high}]" if low != "—" else ""
    return f"{before} → {after}{interval}{' !' if row['is_flagged'] else ''}"


def _figure(value: float) -> str:
    if math.isnan(value):
        return "—"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def evaluation(run: Run, before: Run | None = None, period: int = 0) -> pd.DataFrame:
    """Return the stored evaluation at the end of a period, beside today or another run.

    Parameters
    ----------
    before
        Run whose figures of the same period stand as ``before``; None keeps today's.
    period
        From 1; 0 is the last.

    Raises
    ------
    InputRefused
        When a run stored no evaluation, there is no such period, or the runs differ in their areas.
    """
    table = _stored(run, period)
    if before is None:
        return table
    if _places(before) != _places(run):
        raise _refused("runs-differ", "两次运行的村(社区)不同。", "The two runs are not over the same areas.")  # fmt: skip
    other = _stored(before, period).set_index(_KEY)["after"]
    table["before"] = other.reindex(pd.MultiIndex.from_frame(table[_KEY])).to_numpy()
    table["change"] = table["after"] - table["before"]
    return table


def _places(run: Run) -> tuple[str, ...]:
    """Return the areas of a run where people live."""
    both = zip(run.problem.areas, run.problem.onward, strict=True)
    return tuple(area for area, onward in both if not onward)


def _stored(run: Run, period: int) -> pd.DataFrame:
    if "equity" not in run.tables:
        raise _refused("equity-not-stored", "该运行结果没有均衡评估表。", "The run stored no equity evaluation.", Text("请重新运行该情景。", "Run the scenario again."))  # fmt: skip
    periods = run.scenario.periods
    if not 0 <= period <= len(periods):
        raise _refused("period-unknown", f"只有{len(periods)}个规划期。", f"The run has {plural(len(periods), 'period')}.")  # fmt: skip
    year = periods[period - 1].to
    table = run.tables["equity"]
    return table[table["year"] == year].reset_index(drop=True)


def _refused(code: str, zh: str, en: str, remedy: Text | None = None) -> InputRefused:
    way = remedy or Text("请核对后重试。", "Check and try again.")
    return InputRefused((Finding(Rank.ERROR, code, Where(), Text(zh, en), way),))
