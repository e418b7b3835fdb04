"""The chapter on even provision (均衡评估): what the run stored, base and unit beside each index."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from allocator.errors import Text
from allocator.measures.equity import BASES, INDICES
from allocator.report import charts
from allocator.report.cells import Cell, Kind, Quantity
from allocator.report.document import Block, Chapter, Column, Figure, Items, Paragraph, Table
from allocator.report.words import AREA_CLASSES, GROUPS, Names, word
from allocator.run import Run

__all__ = ["equity_chapter"]

KINDS: dict[str, Kind] = {
    "persons": "people", "coverage": "share", "reached": "share", "mean-minutes": "minutes",
    "p90-minutes": "minutes", "access": "decimal", "spending": "yuan",
}  # fmt: skip
GROUP_INDICES = ("coverage", "mean-minutes", "p90-minutes", "access", "spending")
TOWN_INDICES = ("coverage", "mean-minutes", "access", "location-quotient")
DIMENSIONS = {
    "area_class": Text("地域", "Area class"), "age": Text("年龄", "Age"), "need": Text("需求等级", "Need grade"),
    "township": Text("乡镇", "Townships"),
}  # fmt: skip


def equity_chapter(run: Run, names: Names) -> Chapter:
    """Return the chapter; without blocks where the run stored no evaluation."""
    head = Text("附录:均衡评估", "Annex: how evenly services reach people")
    if "equity" not in run.tables:
        return Chapter("equity", head, (), annex=True)
    end = run.scenario.years[-1]
    table = run.tables["equity"]
    table = table[table["year"] == end]
    blocks: list[Block] = [
        Paragraph(
            Text(f"每项指标同时给出基数和单位:按需求人员、常住人口和户籍人口分别计算,“现状”为 {run.scenario.base_year} 年,“规划后”为 {end} 年。基数不同,结论可能相反。",
                 f"Each index states its base and unit: persons in need, residents and registered persons are told apart; “today” is {run.scenario.base_year}, “after” is {end}. The base can turn the answer round.")
        ),
        _headline(table, names),
        _split(table, names),
    ]  # fmt: skip
    blocks += _lorenz(run, end, names)
    blocks += [_groups(table, names), _townships(run, table, names)]
    cautions = tuple(Text(c["zh"], c["en"]) for c in run.measures.get("cautions", ()))
    if cautions:
        said = Text("“提示”一列依据的提示线：", "What the column of flags goes by:")
        blocks += [Paragraph(said), Items(cautions)]
    return Chapter("equity", head, tuple(blocks), annex=True)


def _cell(index: str, value: float) -> Quantity:
    return Quantity(float(value), KINDS.get(index, "index"))


def _change(index: str, value: float) -> Quantity:
    return Quantity(float(value), "change" if KINDS.get(index) == "share" else KINDS.get(index, "index"))  # fmt: skip


def _base(id: str) -> Text:
    return BASES.get(id, Text(id, id))


def _headline(table: pd.DataFrame, names: Names) -> Table:
    """Every index of the whole county, before and after, with its interval and whether it is flagged."""
    rows = table[(table["dimension"] == "county") & (table["index"] != "persons")]
    has_interval = bool(rows["low"].notna().any())
    columns = [
        Column("service", Text("服务", "Service")), Column("base", Text("基数", "Base")), Column("index", Text("指标", "Index"), wide=True),
        Column("unit", Text("单位", "Unit")), Column("before", Text("现状", "Today")), Column("after", Text("规划后", "After")),
        Column("change", Text("变化", "Change")),
    ]  # fmt: skip
    if has_interval:
        columns += [
            Column("low", Text("区间下限", "Low")),
            Column("high", Text("区间上限", "High")),
        ]
    columns.append(Column("flag", Text("提示", "Flag")))
    out: list[tuple[Cell, ...]] = []
    flagged = set()
    for n, r in enumerate(rows.to_dict("records")):
        index = str(r["index"])
        cells: list[Cell] = [
            names.service(str(r["service"])), _base(str(r["base"])), INDICES[index].name, INDICES[index].unit,
            _cell(index, r["before"]), _cell(index, r["after"]), _change(index, r["change"]),
        ]  # fmt: skip
        if has_interval:
            cells += [_cell(index, r["low"]), _cell(index, r["high"])]
        if r["is_flagged"]:
            flagged.add(n)
        cells.append(Text("需关注", "look here") if r["is_flagged"] else Text("—", "—"))
        out.append(tuple(cells))
    note = Text(
        "提示线为可调整的缺省值,不是法定标准。" + ("区间含抽样未来情景的五分之四。" if has_interval else ""),
        "Flag thresholds are configurable defaults, not law." + (" Intervals hold four in five of the sampled futures." if has_interval else ""),
    )  # fmt: skip
    title = Text("均衡指标:现状与规划后", "Indices of even provision: today and after")
    return Table("equity", title, tuple(columns), tuple(out), note=note, flagged=frozenset(flagged))


def _split(table: pd.DataFrame, names: Names) -> Table:
    """Where inequality comes from: the between share of Theil by each division."""
    rows = table[table["index"] == "theil-between"]
    columns = (
        Column("service", Text("服务", "Service")), Column("base", Text("基数", "Base")), Column("by", Text("分组", "Divided by")),
        Column("before", Text("组间占比,现状", "Between groups, today")), Column("after", Text("组间占比,规划后", "Between groups, after")),
    )  # fmt: skip
    out: list[tuple[Cell, ...]] = [
        (names.service(str(r["service"])), _base(str(r["base"])), word(DIMENSIONS, str(r["dimension"])),
         Quantity(float(r["before"]), "share"), Quantity(float(r["after"]), "share"))
        for r in rows.to_dict("records")
    ]  # fmt: skip
    note = Text("其余为组内差异;两者相加为100%。", "The rest is within groups; the two make 100 %.")
    return Table("equity-theil", Text("差异来源(泰尔指数分解)", "Where inequality comes from (Theil)"), columns, tuple(out), note=note)  # fmt: skip


def _parts(table: pd.DataFrame, dimensions: Sequence[str], indices: Sequence[str]) -> pd.DataFrame:
    some = table[table["dimension"].isin(dimensions) & table["index"].isin(indices)]
    keys = ["service", "base", "dimension", "part"]
    both = some.pivot_table(index=keys, columns="index", values=["before", "after"], sort=False, dropna=False)  # fmt: skip
    return both.dropna(how="all").reset_index()


def _value(row: pd.Series, when: str, index: str) -> Cell:
    return _cell(index, float(row[(when, index)])) if (when, index) in row.index else None


def _groups(table: pd.DataFrame, names: Names) -> Table:
    """Coverage, travel, access and spending by area class, age and need grade, today and after."""
    columns = [
        Column("service", Text("服务", "Service")), Column("base", Text("基数", "Base")),
        Column("by", Text("分组", "Divided by")), Column("part", Text("组别", "Group")),
    ]  # fmt: skip
    for i in GROUP_INDICES:
        columns += [
            Column(f"{i}-before", Text(f"{INDICES[i].name.zh},现状", f"{INDICES[i].name.en}, today")),
            Column(f"{i}-after", Text(f"{INDICES[i].name.zh},规划后", f"{INDICES[i].name.en}, after")),
        ]  # fmt: skip
    words = {**AREA_CLASSES, **GROUPS}
    out: list[tuple[Cell, ...]] = []
    for _, r in _parts(table, ("area_class", "age", "need"), GROUP_INDICES).iterrows():
        cells: list[Cell] = [
            names.service(str(r[("service", "")])), _base(str(r[("base", "")])),
            word(DIMENSIONS, str(r[("dimension", "")])), word(words, str(r[("part", "")])),
        ]  # fmt: skip
        for i in GROUP_INDICES:
            cells += [_value(r, "before", i), _value(r, "after", i)]
        out.append(tuple(cells))
    note = Text("人数不足5人的组不公布。可及水平为每千人名额,支出为元/人·年。", "Groups of fewer than five are withheld. Access is places a thousand persons, spending yuan a person a year.")  # fmt: skip
    return Table("equity-groups", Text("分人群可及与支出", "Access and spending by group"), tuple(columns), tuple(out), note=note)  # fmt: skip


def _townships(run: Run, table: pd.DataFrame, names: Names) -> Table:
    """Coverage, travel, access and location quotient by township, for residents where known."""
    base = "resident" if "resident" in set(table["base"]) else "need"
    towns = run.tables["townships"].drop_duplicates("township_id").set_index("township_id")
    columns = [Column("service", Text("服务", "Service")), Column("township", Text("乡镇", "Township"), wide=True)]  # fmt: skip
    for i in TOWN_INDICES:
        columns += [
            Column(f"{i}-before", Text(f"{INDICES[i].name.zh},现状", f"{INDICES[i].name.en}, today")),
            Column(f"{i}-after", Text(f"{INDICES[i].name.zh},规划后", f"{INDICES[i].name.en}, after")),
        ]  # fmt: skip
    out: list[tuple[Cell, ...]] = []
    for _, r in _parts(table[table["base"] == base], ("township",), TOWN_INDICES).iterrows():
        id = str(r[("part", "")])
        zh, en = (str(towns[name].get(id, id)) for name in ("name_zh", "name_en"))
        cells: list[Cell] = [names.service(str(r[("service", "")])), Text(zh, en)]
        for i in TOWN_INDICES:
            cells += [_value(r, "before", i), _value(r, "after", i)]
        out.append(tuple(cells))
    word_of = _base(base)
    title = Text(f"各乡镇可及水平(基数:{word_of.zh})", f"Access by township (base: {word_of.en})")
    return Table("equity-townships", title, tuple(columns), tuple(out))


def _lorenz(run: Run, year: int, names: Names) -> list[Block]:
    """Lorenz curves of the first service, for residents where known, today and after."""
    curves = run.tables.get("equity_curves")
    if curves is None or not len(curves):
        return []
    curves = curves[curves["year"] == year]
    base = "resident" if "resident" in set(curves["base"]) else str(curves["base"].iloc[0])
    services = [s for s in run.scenario.services if s in set(curves["service"])]
    if not services:
        return []
    mine = curves[(curves["service"] == services[0]) & (curves["base"] == base)]
    even = pd.DataFrame({"people_share": [0.0, 1.0], "access_share": [0.0, 1.0], "when": "= even"})
    label = {"before": Text("现状", "Today"), "after": Text("规划后", "After"), "= even": Text("完全均等", "Even")}  # fmt: skip
    both = pd.concat([mine, even], ignore_index=True)
    name = names.service(services[0])
    title = Text(f"洛伦兹曲线:{name.zh}(基数:{_base(base).zh})", f"Lorenz curves: {name.en} (base: {_base(base).en})")  # fmt: skip
    words = (Text("人口累计比例", "Share of people"), Text("可及水平累计比例", "Share of access"))
    drawing = charts.line_chart(title, both, "people_share", "access_share", "when", words, label)
    return [Figure("lorenz", title, drawing, Text("曲线越靠近直线,分布越均等。", "The nearer the straight line, the more even."))]  # fmt: skip
