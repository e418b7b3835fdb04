"""``allocator equity RUN``: the equity evaluation that a run stored, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from allocator.cli.show import AsJson, Language, chosen_language, print_table
from allocator.errors import ExitCode, Finding, InputRefused, Rank, Text, Where

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
    from allocator.io.runs import read_run

    language, stored = chosen_language(lang), read_run(run)
    table = evaluation(stored, read_run(before) if before else None, period)
    if base:
        table = table[table["base"].isin(base)].reset_index(drop=True)
    if out is not None:
        table.to_csv(out, index=False, encoding="utf-8-sig")
    if as_json:
        print_table(table, True)
        return int(ExitCode.PLAN)
    head = table[table["dimension"] == "county"]
    columns = ["service", "before", "after", "low", "high", "is_flagged", f"note_{language}"]
    shown = head[[c for c in columns if not (c in ("low", "high") and head[c].isna().all())]]
    print_table(shown, False)
    for caution in stored.measures.get("cautions", ()):
        typer.echo(caution[language])
    return int(ExitCode.PLAN)


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
    if before.problem.areas != run.problem.areas:
        raise _refused("runs-differ", "两次运行的村(社区)不同。", "The two runs are not over the same areas.")  # fmt: skip
    other = _stored(before, period).set_index(_KEY)["after"]
    table["before"] = other.reindex(pd.MultiIndex.from_frame(table[_KEY])).to_numpy()
    table["change"] = table["after"] - table["before"]
    return table


def _stored(run: Run, period: int) -> pd.DataFrame:
    if "equity" not in run.tables:
        raise _refused("equity-not-stored", "该运行结果没有均衡评估表。", "The run stored no equity evaluation.", Text("请重新运行该情景。", "Run the scenario again."))  # fmt: skip
    periods = run.scenario.periods
    if not 0 <= period <= len(periods):
        raise _refused("period-unknown", f"只有{len(periods)}个规划期。", f"There are {len(periods)} periods.")  # fmt: skip
    year = periods[period - 1].to
    table = run.tables["equity"]
    return table[table["year"] == year].reset_index(drop=True)


def _refused(code: str, zh: str, en: str, remedy: Text | None = None) -> InputRefused:
    way = remedy or Text("请核对后重试。", "Check and try again.")
    return InputRefused((Finding(Rank.ERROR, code, Where(), Text(zh, en), way),))
