"""``allocator roll RUN CASE``: plan again from next year's roll, what is committed kept (年度滚动)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from allocator.cli.show import AsJson, Language, chosen_language, console_for, findings, number, say
from allocator.errors import Text

if TYPE_CHECKING:
    import pandas as pd

    from allocator.errors import Finding
    from allocator.report.words import Names

__all__ = ["roll"]

_STATUS = {
    "done": Text("已建成", "done"), "under-way": Text("在建", "under way"),
    "committed": Text("已立项", "committed"), "dropped": Text("取消", "dropped"),
    "open": Text("未开工", "not begun"),
}  # fmt: skip


def roll(
    run: Annotated[Path, typer.Argument(help="run folder of the plan that is carried out")],
    folder: Annotated[Path, typer.Argument(help="next year's case folder")],
    progress: Annotated[
        Path | None, typer.Option(help="table of projects: site_id, status, places, paid_yuan")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for runs")] = Path("runs"),
    export: Annotated[
        Path | None, typer.Option(help="write plan, done, deviation and change to this .xlsx")
    ] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Plan again from next year's figures, keep committed projects, and say what changed."""
    from allocator.errors import refuse_if_any
    from allocator.io.case import read_case
    from allocator.io.paths import write_bytes
    from allocator.io.runs import read_run, write_run
    from allocator.io.tables import empty_table, read_table
    from allocator.report.words import Names
    from allocator.rolling import roll as roll_on
    from allocator.schema import PROGRESS
    from allocator.study.results import workbook_of

    language = chosen_language(lang)
    console = console_for(as_json)
    before, case = read_run(run), read_case(folder)
    told: pd.DataFrame = empty_table(PROGRESS)
    found: tuple[Finding, ...] = ()
    if progress is not None:
        told, found = read_table(progress, PROGRESS)
    refuse_if_any(found)
    with console.status(say(language, "计算中…", "working…")) as status:
        after = roll_on(before, case, told, say=lambda text: status.update(text))
        path = write_run(out / f"{after.scenario.name}-{after.id}", after)
    tables = {name: after.tables[name] for name in ("rolling", "rolling_figures")}
    if export is not None:
        write_bytes(export, workbook_of(tables))
    if as_json:
        plain = {n: json.loads(t.to_json(orient="records")) for n, t in tables.items()}
        print(json.dumps({"run": str(path), **plain}, ensure_ascii=False))
        return 0
    console.print(_sites(tables["rolling"], language, Names([after], None)))
    console.print(_figures(tables["rolling_figures"], after.scenario.base_year, language))
    findings(console, (*found, *after.findings), language)
    console.print(str(path), highlight=False)
    return 0


def _sites(rolling: pd.DataFrame, language: str, names: Names) -> Table:
    from allocator.rolling import CHANGES

    title = say(language, "计划、完成、偏差、调整", "Plan, done, deviation, change")
    table = Table(title=title)
    for zh, en in (("地点", "Site"), ("原计划", "Planned"), ("进度", "Status"), ("偏差", "Deviation"), ("新计划", "New plan"), ("调整", "Change")):  # fmt: skip
        table.add_column(say(language, zh, en))
    for row in rolling.itertuples():
        gaps = []
        if math.isfinite(row.deviation_places_resident):
            beds = f"{row.deviation_places_resident:+,.0f}"
            gaps.append(say(language, f"{beds}床", f"{beds} places"))
        if math.isfinite(row.deviation_yuan):
            gaps.append(f"{row.deviation_yuan / 1e4:+,.0f}" + say(language, "万元", " x 10k yuan"))
        table.add_row(
            names.site(str(row.site_id)).in_language(language),
            _project(row.planned_type, row.planned_period, row.planned_places_resident, language, names),
            _STATUS[str(row.status)].in_language(language) if row.planned_type else "—",
            say(language, ",", ", ").join(gaps) or "—",
            _project(row.new_type, row.new_period, row.new_places_resident, language, names),
            CHANGES[str(row.change)].in_language(language),
        )  # fmt: skip
    return table


def _project(type_: object, period: object, places: object, language: str, names: Names) -> str:
    if not type_:
        return "—"
    what = names.type(str(type_)).in_language(language)
    beds = float(str(places))
    size = say(language, f",{beds:,.0f}床", f", {beds:,.0f} places") if beds else ""
    return f"{what}{size}" + say(language, f"({period}年底前)", f" (by {period})")


def _figures(rows: pd.DataFrame, base: int, language: str) -> Table:
    year = int(rows["year"].iloc[0])
    table = Table(title=say(language, "指标", "Measures"))
    table.add_column(say(language, "指标", "Measure"))
    heads = (
        (f"原计划 {year}", f"Planned for {year}"), (f"现状 {base}", f"Today, {base}"),
        (f"新计划 {year}", f"New plan, {year}"),
    )  # fmt: skip
    for zh, en in heads:
        table.add_column(say(language, zh, en), justify="right")
    for row in rows.itertuples():
        cells = [number(float(v), str(row.unit), language) for v in (row.planned, row.today, row.new)]  # fmt: skip
        table.add_row(str(getattr(row, language)), *cells)
    return table
