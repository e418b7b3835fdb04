"""``allocator routes RUN CASE``: visits by teams as real routes, beside what the plan allotted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from allocator.cli.show import AsJson, Language, chosen_language, console_for, findings, number, say

__all__ = ["routes"]


def routes(
    run: Annotated[Path, typer.Argument(help="run folder of the plan")],
    folder: Annotated[Path, typer.Argument(help="case folder that the plan was made from")],
    hours: Annotated[float, typer.Option(min=1, max=24, help="hours of a shift")] = 8.0,
    days: Annotated[float, typer.Option(min=1, max=31, help="working days a month")] = 21.5,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Check mobile and home visits by real routes: vehicles and hours each base needs (needs PyVRP)."""
    from allocator.io.case import read_case
    from allocator.io.runs import read_run
    from allocator.report.words import Names
    from allocator.routes import Shift, check_routes

    language = chosen_language(lang)
    console = console_for(as_json)
    done, case = read_run(run), read_case(folder)
    with console.status(say(language, "排线路…", "routing…")) as status:
        found = check_routes(
            done, case, shift=Shift(hours=hours, days_month=days), progress=status.update
        )
    if as_json:
        told = [{"code": f.code, "id": f.where.id, "zh": f.what.zh, "en": f.what.en} for f in found.findings]  # fmt: skip
        print(json.dumps({"bases": found.table.to_dict("records"), "findings": told}, ensure_ascii=False))  # fmt: skip
        return 0
    names = Names([done], None)
    table = Table(title=say(language, "上门服务线路核对(每月)", "Visits by real routes (a month)"))
    for zh, en in (("站点", "Base"), ("时期", "Period"), ("上门次数", "Visits"), ("村", "Places"), ("每轮线路", "Tours a round"), ("车辆", "Vehicles"), ("线路车时", "Hours on routes"), ("方案车时", "Hours planned")):  # fmt: skip
        table.add_column(say(language, zh, en), justify="right")
    for row in found.table.to_dict("records"):
        cells = [number(row[c], "", language) for c in _FIGURES]
        table.add_row(names.site(row["site_id"]).in_language(language), row["period"], *cells)
    for period, rows in found.table.groupby("period"):
        total = say(language, "合计", "Total")
        cells = [number(rows[c].sum(), "", language) for c in _FIGURES]
        table.add_row(total, str(period), *cells)
    console.print(table)
    findings(console, found.findings, language)
    return 0


_FIGURES = ("visits", "places", "tours", "vehicles", "hours", "hours_planned")
