"""The demonstration: seven scenarios of one county, checked, compared, told and stored."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from allocator.case import Case
from allocator.cli.products import write_products
from allocator.cli.show import (
    console_for,
    findings,
    indicator_table,
    say,
    scoreboard,
    townships,
    unfinished,
)
from allocator.compare import Comparison, compare
from allocator.errors import Rank, Text
from allocator.io.case import read_case
from allocator.io.paths import shipped
from allocator.io.runs import read_run
from allocator.io.scenarios import read_scenarios
from allocator.report import Note
from allocator.run import Run, Shared, flatter
from allocator.study import run_all

__all__ = ["run_demo", "willingness_note"]

ORDER = (
    "best-mix",
    "embedded-first",
    "county-centre",
    "remote-home",
    "today",
    "tight-budget",
    "fast-ageing",
)
LONG = ("tight-budget", "fast-ageing", "best-mix")
"""Scenarios that take longest, begun first so that no process is left with one at the end."""
EQUAL_MONEY = ("remote-home", "county-centre", "embedded-first", "best-mix")
FLATTEN = (0.0, 0.25, 0.5, 0.75, 1.0)


def run_demo(out: Path, language: str, placement: int, as_json: bool) -> int:
    """Run the demonstration county and print what a planner asks first."""
    begun = time.perf_counter()
    console = console_for(as_json)
    case = read_case(shipped("data") / "rongshui")
    scenarios = [
        s.model_copy(update={"placement": placement}) if placement != 1 else s
        for s in read_scenarios(shipped("scenarios") / "rongshui", ORDER)
    ]
    console.print(case.disclaimer.in_language(language), style="yellow")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(
            say(language, "求解并核验", "solving and checking"), total=len(scenarios)
        )
        paths, failures = run_all(
            case, sorted(scenarios, key=lambda s: LONG.index(s.name) if s.name in LONG else len(LONG)),
            out / "runs",
            progress=lambda name, done, total: bar.update(task, completed=done, description=name),
        )  # fmt: skip
    runs = sorted((read_run(p) for p in paths), key=lambda r: ORDER.index(r.scenario.name))
    both = compare(runs)
    notes = [willingness_note(case, [r for r in runs if r.scenario.name in EQUAL_MONEY])]
    products = write_products(runs, case, out / "report", notes)
    if as_json:
        print(
            json.dumps(
                {
                    "runs": {r.scenario.name: r.measures for r in runs},
                    "products": [str(p) for p in products],
                },
                ensure_ascii=False,
            )
        )
    else:
        _tell(console, case, both, notes[0], language)
        for path in products:
            console.print(str(path), highlight=False)
        seconds = time.perf_counter() - begun
        console.print(
            say(language, f"用时 {seconds:.0f} 秒", f"{seconds:.0f} seconds"), style="dim"
        )
    if failures:
        raise unfinished(failures, Text("见原因。", "See the reason."))
    return 0


def _tell(console: Console, case: Case, both: Comparison, note: Note, language: str) -> None:
    for n in range(0, len(both.runs), 4):
        console.print(indicator_table(both.runs[n : n + 4], language))
    console.print(scoreboard(both, language))
    kept = next((r for r in both.runs if r.scenario.name == "today"), None)
    console.print(townships(both.runs[0], language, kept))
    table = Table(title=note.title.in_language(language))
    for name, (words, _) in note.columns.items():
        table.add_column(
            words.in_language(language), justify="left" if name == "scenario" else "right"
        )
    for _, row in note.table.iterrows():
        table.add_row(
            *(
                f"{row[c]:,.2f}"
                if c == "flatten"
                else f"{row[c]:,.0f}"
                if isinstance(row[c], float)
                else str(row[c])
                for c in note.columns
            )
        )
    console.print(table)
    console.print(note.words.in_language(language), highlight=False)
    console.print(
        say(
            language,
            "优化配置可选的方式最多,在同样资金下结果不可能更差(以求解精度为限);这不证明其他布局有误。",
            "best-mix may choose among everything the others may, so under equal money it cannot do worse (within the gap); that alone proves nothing against the others.",
        ),
        highlight=False,
    )
    findings(console, [f for f in case.findings if f.rank is not Rank.INFORMATION], language)


def willingness_note(case: Case, runs: Sequence[Run]) -> Note:
    """Repeat free choice of each plan under flatter willingness and say where the large home wins."""
    shared = Shared()
    rows: list[dict[str, Any]] = []
    for run in runs:
        for factor in FLATTEN:
            served, places = flatter(case, run, factor, shared)
            rows.append(
                {
                    "scenario": run.scenario.name,
                    "flatten": factor,
                    "served": served,
                    "empty": places - served,
                }
            )
    table = pd.DataFrame(rows)
    return Note(
        id="willingness",
        title=Text(
            "距离意愿更弱时的床位使用(自由选择,规划期末)",
            "Bed use under flatter willingness (free choice, end of plan)",
        ),
        words=_turning_point(table),
        table=table,
        columns={
            "scenario": (Text("情景", "Scenario"), "text"),
            "flatten": (
                Text(
                    "曲线平缓程度(0=假设曲线,1=距离不影响)",
                    "Flatness (0 assumed curve, 1 distance is nothing)",
                ),
                "decimal",
            ),
            "served": (Text("入住人数", "People served"), "people"),
            "empty": (Text("空置床位", "Empty beds"), "people"),
        },
        lines=("flatten", "served", "scenario"),
    )


def _turning_point(table: pd.DataFrame) -> Text:
    """Say at which flatness the large remote home serves more than embedded-first, if at any."""
    wide = table.pivot(index="flatten", columns="scenario", values="served")
    if not {"remote-home", "embedded-first"} <= set(wide.columns):
        return Text("缺少可比情景。", "The scenarios to compare are not all there.")
    wins = wide.index[wide["remote-home"] > wide["embedded-first"]]
    if not len(wins):
        return Text(
            "在所试的各条曲线下,远郊集中建设服务的人数都不超过县城嵌入方案;曲线为假设,未经本地校准。",
            "Under every curve tried, the large remote home serves no more people than embedded-first; the curves are assumed, not calibrated locally.",
        )
    return Text(
        f"曲线平缓程度达到 {wins[0]:g} 时,远郊集中建设服务的人数超过县城嵌入方案;曲线为假设,未经本地校准。",
        f"From a flatness of {wins[0]:g} on, the large remote home serves more people than embedded-first; the curves are assumed, not calibrated locally.",
    )
