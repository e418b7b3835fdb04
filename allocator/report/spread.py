"""How far results move when the same plan is worked out again: points placed anew, other people."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from allocator.errors import Text
from allocator.report import charts
from allocator.report.cells import Quantity
from allocator.report.document import Block, Column, Figure, Paragraph, Table
from allocator.report.tables import indicator_cell, unit_of
from allocator.run import Run

__all__ = ["alternatives_of", "few_of", "repeats", "spread_blocks"]

SHOWN = (
    "resident_met", "day_met", "home_met", "use_free", "empty_free", "investment", "running_gap",
    "mean_minutes",
)  # fmt: skip
MOST = 8
"""Alternatives that stand side by side in tables of plans."""
DRAWN = ("resident_met", "day_met", "use_free", "running_gap")


def repeats(runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs that differ in nothing but the placement of their points, in order of first sight."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        spec = run.scenario.model_dump(mode="json", by_alias=True)
        for key in ("name", "placement", "extends"):
            spec.pop(key, None)
        groups.setdefault(json.dumps(spec, sort_keys=True, ensure_ascii=False), []).append(run)
    return list(groups.values())


def alternatives_of(runs: Sequence[Run]) -> list[Run]:
    """One run of each group: the first run itself, then those placed as it is where there are such."""
    wanted = runs[0].scenario.placement
    return [
        next((r for r in group if r.scenario.placement == wanted), group[0])
        for group in repeats(runs)
    ]


def few_of(alternatives: Sequence[Run]) -> list[Run]:
    """The plan reported and few others, so that they stand side by side: each title once, then in even steps."""
    first, rest = alternatives[0], list(alternatives[1:])
    if len(rest) < MOST:
        return [first, *rest]
    own: dict[str, Run] = {}
    for run in rest:
        if (
            run.scenario.extends != first.scenario.extends
            or run.scenario.note != first.scenario.note
        ):
            own.setdefault(str(run.scenario.note), run)
    wanted = list(own.values())[: MOST - 1]
    free = [r for r in rest if r not in wanted]
    room = MOST - 1 - len(wanted)
    at = {round(x) for x in np.linspace(0, len(free) - 1, room)} if room else set()
    chosen = {id(r) for r in [*wanted, *(free[n] for n in at)]}
    return [first, *(r for r in rest if id(r) in chosen)]


def spread_blocks(runs: Sequence[Run]) -> tuple[Block, ...]:
    """A chart and a table of lowest, middle and highest values over placements; empty without any."""
    groups = [g for g in repeats(runs) if len({r.scenario.placement for r in g}) > 1]
    if not groups:
        return ()
    count = max(len(g) for g in groups)
    words = Paragraph(
        Text(
            f"示例点位为模拟，单组点位的结果不作数。下面把每个方案在至多 {count} 组点位上各算一遍，列出规划期末结果的范围；比较方案时应看范围是否分开，而不是看单个数。",
            f"The points are made up, so one placement proves nothing. Each plan was worked out on up to {count} placements; the ranges at the end of the plan are below. Compare plans by whether their ranges lie apart, not by single figures.",
        )
    )
    title = Text("换一组点位后各方案结果的范围", "Range of results when the points are placed anew")
    panels = []
    for id in DRAWN:
        entries = []
        for group in groups:
            cells = _cells(group, id)
            if cells:
                entries.append((group[0].scenario.title.text, cells, _middle(cells)))
        if entries:
            row = _row(groups[0][0], id)
            panels.append((Text(str(row["zh"]), str(row["en"])), entries))
    note = Text(
        "每条细线为一组点位的结果，粗线为中位数，底色为最低到最高。",
        "A thin line is one placement, the bold one the middle, the bar runs from lowest to highest.",
    )
    return (
        words,
        Figure("spread", title, charts.spread(title, panels), note),
        _table(groups, title),
    )


def _row(run: Run, id: str) -> dict[str, object]:
    table = run.tables["indicators"]
    return table[table["indicator"] == id].iloc[0].to_dict()  # type: ignore[no-any-return]


def _cells(group: Sequence[Run], id: str) -> list[Quantity]:
    """The indicator of each run at the end; investment over all periods."""
    found = []
    for run in group:
        table = run.tables["indicators"]
        part = table[table["indicator"] == id].sort_values("year")
        if not len(part):
            continue
        last = indicator_cell(next(part.tail(1).itertuples()))
        if id == "investment":
            last = Quantity(float(part["value"].sum()), last.kind)
        if last.value == last.value:
            found.append(last)
    return found


def _middle(cells: Sequence[Quantity]) -> Quantity:
    return Quantity(float(np.median([c.value for c in cells])), cells[0].kind)


def _table(groups: Sequence[Sequence[Run]], title: Text) -> Table:
    columns = (
        Column("indicator", Text("指标", "Indicator"), wide=True), Column("unit", Text("单位", "Unit")),
        Column("plan", Text("方案", "Plan"), wide=True), Column("count", Text("点位组数", "Placements"), Text("组", "number")),
        Column("low", Text("最低", "Lowest")), Column("middle", Text("中位数", "Middle")), Column("high", Text("最高", "Highest")),
    )  # fmt: skip
    rows = []
    for id in SHOWN:
        for group in groups:
            cells = _cells(group, id)
            if not cells:
                continue
            row = _row(group[0], id)
            name = Text(str(row["zh"]), str(row["en"]))
            if id == "investment":
                name = Text("投资合计", "Investment, all periods")
            values = [c.value for c in cells]
            rows.append(
                (
                    name, unit_of(id, str(row["unit"])), group[0].scenario.title.text, Quantity(float(len(cells)), "count"),
                    Quantity(min(values), cells[0].kind), _middle(cells), Quantity(max(values), cells[0].kind),
                )
            )  # fmt: skip
    return Table("spread", title, columns, tuple(rows))
