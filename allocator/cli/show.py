"""Tables and numbers on a terminal, in the reader's language."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from allocator.compare import Comparison
from allocator.errors import Finding, InputRefused, Rank, StudyIncomplete, Text, Where
from allocator.region import AREA_CLASSES
from allocator.run import Run
from allocator.study import Failure

__all__ = [
    "AsJson",
    "Language",
    "Strict",
    "chosen_language",
    "console_for",
    "findings",
    "in_full",
    "indicator_table",
    "language_of",
    "number",
    "print_table",
    "say",
    "scoreboard",
    "townships",
    "unfinished",
]

Language = Annotated[str, typer.Option("--lang", help="zh or en", show_default="of the system")]
AsJson = Annotated[bool, typer.Option("--json", help="print plain JSON instead of tables")]
Strict = Annotated[bool, typer.Option("--strict", help="exit 2 on any warning")]

SCORE = (
    "coverage_day", "resident_met", "day_met", "home_met", "destitute_met", "mean_minutes",
    "p90_minutes", "places", "use_assigned", "use_free", "empty_free", "investment_all", "running_gap",
    "cost_person_day", "care_workers",
)  # fmt: skip


def language_of(arguments: list[str]) -> str:
    """Return zh or en: as asked by ``--lang``, else as the system's locale says."""
    for n, word in enumerate(arguments):
        if word == "--lang" and n + 1 < len(arguments):
            return "zh" if arguments[n + 1].startswith("zh") else "en"
        if word.startswith("--lang="):
            return "zh" if word.split("=", 1)[1].startswith("zh") else "en"
    locale = (
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    )
    return "zh" if locale.lower().startswith("zh") else "en"


def chosen_language(lang: str) -> str:
    """Return zh or en as asked by an option, else as the system's locale says."""
    return ("zh" if lang.startswith("zh") else "en") if lang else language_of([])


def console_for(as_json: bool = False) -> Console:
    """Return where tables go: the terminal's width, 160 in a file; beside plain JSON, standard error."""
    return Console(stderr=as_json, width=None if Console().is_terminal else 160)


def print_table(table: pd.DataFrame, as_json: bool) -> None:
    """Print any table: records of plain JSON, or rows that fold to the terminal."""
    if as_json:
        typer.echo(table.to_json(orient="records", force_ascii=False))
        return
    shown = Table(show_lines=False)
    for column in table.columns:
        shown.add_column(str(column), overflow="fold")
    for row in table.itertuples(index=False):
        shown.add_row(*(f"{x:,.6g}" if isinstance(x, float) else str(x) for x in row))
    console = Console()
    Console(width=None if console.is_terminal else 200, markup=False, highlight=False).print(shown)


def number(value: float, unit: str, language: str) -> str:
    """Return a value as a planner reads it: 万元 in Chinese, million yuan in English."""
    if value is None or math.isnan(value):
        return "—"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "index":
        return f"{value:.2f}"
    if unit.startswith("yuan") and abs(value) >= 10_000:
        return f"{value / 1e4:,.0f} 万元" if language == "zh" else f"¥{value / 1e6:,.2f} m"
    if unit.startswith("yuan"):
        return f"{value:,.0f} 元" if language == "zh" else f"¥{value:,.0f}"
    if unit == "minute":
        return f"{value:,.1f} 分" if language == "zh" else f"{value:,.1f} min"
    return f"{value:,.1f}" if abs(value) < 100 and value != round(value) else f"{value:,.0f}"


def say(language: str, zh: str, en: str) -> str:
    """Return the sentence in the reader's language."""
    return zh if language == "zh" else en


def indicator_table(runs: Sequence[Run], language: str) -> Table:
    """规划指标表: indicators by scenario, today / each period's end."""
    first = runs[0]
    table = Table(
        title=say(
            language, "规划指标表(现状 / 近期 / 远期)", "Planning indicators (today / near / far)"
        )
    )
    table.add_column(say(language, "指标", "Indicator"), no_wrap=False, min_width=16)
    table.add_column(say(language, "现状", "Today"), justify="right")
    for run in runs:
        title = run.scenario.title.text.in_language(language)
        years = " / ".join(str(p.to) for p in run.scenario.periods)
        table.add_column(f"{title}\n{years}", justify="right")
    rows = first.tables["indicators"]
    for name, part in rows.groupby("indicator", sort=False):
        unit = part["unit"].iloc[0]
        today = part.loc[part["year"] == first.scenario.base_year, "value"].iloc[0]
        cells = []
        for run in runs:
            own = run.tables["indicators"]
            mine = own[own["indicator"] == name].set_index("year")["value"]
            cells.append(
                " / ".join(number(mine[p.to], unit, language) for p in run.scenario.periods)
            )
        table.add_row(part[language].iloc[0], number(today, unit, language), *cells)
    return table


def scoreboard(comparison: Comparison, language: str) -> Table:
    """Headline measures at the end of the last period, one column a scenario, gap last."""
    from allocator.report.words import Names

    runs = comparison.runs
    year = runs[0].scenario.years[-1]
    values = comparison.table(year)
    table = Table(title=say(language, f"方案比较({year} 年)", f"Plans compared ({year})"))
    table.add_column(say(language, "指标", "Measure"), min_width=16)
    for run in runs:
        table.add_column(run.scenario.title.text.in_language(language), justify="right")
    values.loc["investment_all"] = values.loc["investment"]
    values.loc["investment_all", ["zh", "en"]] = ["投资合计", "Investment, all periods"]
    spent = comparison.one_a_run(year).set_index("name")["investment_all"]
    values.loc["investment_all", comparison.names] = spent[comparison.names]
    words = Names(runs, None)
    for name in SCORE:
        row = values.loc[name]
        table.add_row(
            row[language], *(number(row[r.scenario.name], row["unit"], language) for r in runs)
        )
    for area_class, place in AREA_CLASSES.items():
        if area_class == "county":
            continue
        cells = []
        for run in runs:
            part = run.tables["coverage"]
            part = part[(part["year"] == year) & (part["area_class"] == area_class)]
            cells.append(" / ".join(f"{s:.0%}" for s in part.sort_values("service")["share"]))
        services = sorted(set(runs[0].tables["coverage"]["service"]))
        names = " / ".join(words.service(s).in_language(language) for s in services)
        table.add_row(
            say(language, f"可达率·{place.zh}：{names}", f"In reach, {place.en.lower()}: {names}"),
            *cells,
        )
    table.add_row(
        say(language, "求解精度(gap)", "Gap of the solve"), *(f"{r.plan.gap:.3%}" for r in runs)
    )
    return table


def townships(
    run: Run, language: str, kept: Run | None = None, service: str = "elderly.resident"
) -> Table:
    """Who gains and who loses by township, for one service.

    Against the run that keeps today's facilities where there is one, since need grows meanwhile;
    otherwise against today.
    """
    rows = _changes(run, service)
    columns = [("现状", "Today"), ("规划期末", "End of plan")]
    before = rows["share_today"]
    if kept is not None:
        before = _changes(kept, service)["share_end"].reindex(rows.index)
        columns.insert(1, ("期末（维持现状）", "End, today's kept"))
    rows = rows.assign(before=before, change=rows["share_end"] - before).sort_values("change")
    title = run.scenario.title.text.in_language(language)
    table = Table(
        title=say(
            language, f"各乡镇满足率变化:{title}", f"Change of served share by township: {title}"
        )
    )
    table.add_column(say(language, "乡镇", "Township"))
    for zh, en in (*columns, ("变化", "Change")):
        table.add_column(say(language, zh, en), justify="right")
    for row in rows.itertuples():
        name = row.name_zh if language == "zh" else row.name_en or row.name_zh
        mark = "▲" if row.change > 5e-4 else "▼" if row.change < -5e-4 else " "
        shares = [row.share_today, *([row.before] if kept is not None else []), row.share_end]
        table.add_row(name, *(f"{v:.1%}" for v in shares), f"{mark} {row.change:+.1%}")
    return table


def _changes(run: Run, service: str) -> pd.DataFrame:
    rows = run.tables["changes"]
    return rows[rows["service"] == service].set_index("township_id")


MOST_SHOWN = 20
RANKS = {
    Rank.ERROR: ("必须改正", "To be mended"),
    Rank.WARNING: ("请留意", "To be looked at"),
    Rank.INFORMATION: ("说明与数据缺口", "Notes and data gaps"),
}
ALL_FINDINGS = Path("allocator-findings.csv")
"""Where all findings go when there are more than are shown, in the folder the command was given in."""


def in_full(console: Console, found: Sequence[Finding], language: str) -> None:
    """Write all findings to a file where some were not shown, and say where; older ones go."""
    from allocator.io.findings import write_findings

    if len(found) <= MOST_SHOWN:
        return
    try:
        path = write_findings(ALL_FINDINGS, found)
    except InputRefused as refused:
        findings(console, refused.findings, language)
        return
    words = say(language, f"全部 {len(found)} 条见 {path}", f"All {len(found)} are in {path}")
    console.print(words, markup=False, highlight=False)


def findings(
    console: Console, found: Sequence[Finding], language: str, most: int = MOST_SHOWN
) -> None:
    """Print findings, errors first, under a heading a rank; only so many, with the count of the rest."""
    style = {Rank.ERROR: "red", Rank.WARNING: "yellow", Rank.INFORMATION: "dim"}
    order = list(style)
    ordered = sorted(found, key=lambda f: order.index(f.rank))
    counts = Counter(f.rank for f in ordered)
    for n, f in enumerate(ordered[:most]):
        if len(counts) > 1 and (n == 0 or f.rank != ordered[n - 1].rank):
            head = say(language, *RANKS[f.rank])
            console.print(f"{head} ({counts[f.rank]})", style="bold", highlight=False)
        console.print(f.line(language), style=style[f.rank], markup=False, highlight=False)
    if len(ordered) > most:
        console.print(
            say(language, f"… 另有 {len(ordered) - most} 条", f"… and {len(ordered) - most} more"),
            style="dim",
        )


def unfinished(failures: Sequence[Failure], remedy: Text) -> StudyIncomplete:
    """Return the error that names the scenarios of a study that did not run, each with its reason."""
    return StudyIncomplete(
        tuple(
            Finding(
                Rank.ERROR, "run-failed", Where(id=f.scenario), Text(f.reason, f.reason), remedy
            )
            for f in failures
        )
    )
