"""The published tables of a run, as cells: indicators, projects, money, townships, alternatives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from allocator.catalogue import Catalogue, Standard
from allocator.errors import NO_TEXT, Text
from allocator.report.cells import FEW, SMALLEST, WITHHELD, Cell, Kind, Quantity, withhold
from allocator.report.document import Column, Note, Table
from allocator.report.words import (
    AREA_CLASSES,
    GROUPS,
    LICENCES,
    MARKS,
    MODES,
    MONEY_ITEMS,
    PAYERS,
    POOLS,
    RULE_SOURCES,
    SCREENS,
    TERMS,
    UNITS,
    Names,
    objective_name,
    word,
)
from allocator.run import Run

__all__ = [
    "access", "bands", "coverage", "gains", "gap_today", "indicator_cell", "indicators", "money", "needs", "norms", "note_table", "objectives",
    "payer_order", "payers", "pools", "population", "projects", "published_shares", "rules", "scoreboard", "service_ids",
    "sources", "terms", "townships", "unit_of", "use", "year_title",
]  # fmt: skip

YUAN = Text("万元", "million yuan")
YUAN_YEAR = Text("万元/年", "million yuan a year")
PERSON, PLACE = Text("人", "persons"), Text("张", "places")
MINUTES = Text("分钟", "minutes")
POINTS = Text("个百分点", "percentage points")
WITHHELD_NOTE = Text(
    "“<5”为不足5人，按隐私要求不公布；“*”为避免由合计倒推而一并隐去。",
    "“<5” is fewer than 5 persons, withheld for privacy; “*” is withheld so that sums do not give it away.",
)
KINDS = {
    "约束性": Text("约束性", "binding"),
    "预期性": Text("预期性", "expected"),
}


def service_ids(run: Run) -> list[str]:
    """Services of a run, in the scenario's order."""
    present = set(run.tables["townships"]["service"])
    return [s for s in run.scenario.services if s in present]


def year_title(run: Run, year: int) -> Text:
    """Return ``现状（2025）`` or the period's title with its last year."""
    if year == run.scenario.base_year:
        return Text(f"现状（{year}）", f"Today ({year})")
    for n, period in enumerate(run.scenario.periods):
        if period.to == year:
            last = n == len(run.scenario.periods) - 1
            zh = "近期" if n == 0 and not last else "远期" if last else f"第{n + 1}期"
            en = "Near term" if n == 0 and not last else "Long term" if last else f"Period {n + 1}"
            if period.title is not None:
                zh = period.title.zh
                en = period.title.en[:1].upper() + period.title.en[1:]
            return Text(f"{zh}（{year}）", f"{en} ({year})")
    return Text(str(year), str(year))


def _place(id: str, unit: str) -> tuple[Text, Kind]:
    """Unit words and kind of an indicator."""
    if unit == "share":
        return Text("%", "%"), "share"
    if unit == "yuan":
        return (Text("元", "yuan"), "yuan") if id.startswith("cost_person") else (YUAN, "money")
    if unit == "yuan/year":
        return YUAN_YEAR, "money"
    if unit == "minute":
        return MINUTES, "minutes"
    if unit == "person":
        return PERSON, "count"
    return PLACE, "decimal" if "per_1000" in id else "count"


def unit_of(id: str, unit: str) -> Text:
    """Return the words of an indicator's unit."""
    return _place(id, unit)[0]


def indicator_cell(row: Any) -> Quantity:
    """Return the cell of a row of the indicator table."""
    return Quantity(float(row.value), _place(str(row.indicator), str(row.unit))[1])


def indicators(run: Run) -> Table:
    """规划指标表： each indicator today and at the end of each period."""
    table = run.tables["indicators"]
    years = sorted(set(table["year"]))
    columns = [Column("indicator", Text("指标", "Indicator"), wide=True), Column("unit", Text("单位", "Unit")), Column("kind", Text("属性", "Kind"))]  # fmt: skip
    columns += [Column(str(y), year_title(run, y)) for y in years]
    rows: list[tuple[Cell, ...]] = []
    for id in table["indicator"].drop_duplicates():
        part = table[table["indicator"] == id].set_index("year")
        first = part.iloc[0]
        unit, kind = _place(str(id), str(first["unit"]))
        cells: list[Cell] = [Quantity(float(part["value"][y]), kind) if y in part.index else None for y in years]  # fmt: skip
        rows.append((Text(first["zh"], first["en"]), unit, KINDS.get(first["kind"], str(first["kind"])), *cells))  # fmt: skip
    note = Text(
        "投资为该规划期内合计；其余为各年末数。“约束性”指标须达到，“预期性”指标力争达到。",
        "Investment is the sum of the period; the others are at the end of the year. Binding indicators must be met, expected ones are aimed at.",
    )
    return Table("indicators", Text("规划指标表", "Indicator table"), tuple(columns), tuple(rows), note=note)  # fmt: skip


def _screens(unchecked: str) -> Text:
    names = [word(SCREENS, s) for s in unchecked.split("、") if s]
    if not names:
        return Text("已核", "checked")
    return Text(
        "选址待核：" + "、".join(n.zh for n in names), "to check: " + ", ".join(n.en for n in names)
    )


def _town_names(run: Run) -> dict[str, Text]:
    towns = run.tables["townships"].drop_duplicates("township_id")
    return {str(r.township_id): Text(str(r.name_zh), str(r.name_en)) for r in towns.itertuples()}


def _site_name(row: Any) -> Text:
    zh = str(row.name_zh) or str(row.site_id)
    return Text(zh, str(row.name_en) or zh)


def projects(run: Run, names: Names) -> Table:
    """项目库： every site whose state changes, with its money and what is still to be checked."""
    towns = _town_names(run)
    columns = (
        Column("number", Text("序号", "No.")),
        Column("site", Text("项目", "Project"), wide=True),
        Column("township", Text("乡镇", "Township")),
        Column("period", Text("期末年", "By")),
        Column("mode", Text("方式", "Mode")),
        Column("type", Text("由 → 到", "From → to"), wide=True),
        Column(
            "places_resident", Text("床位", "Resident places"), Text("张", "places"), summed=True
        ),
        Column("places_day", Text("日间名额", "Day places"), Text("个", "places"), summed=True),
        Column(
            "visits_home", Text("上门能力", "Home visits"), Text("人次/月", "a month"), summed=True
        ),
        Column("capital", Text("投资", "Capital"), YUAN, summed=True),
        Column("running", Text("年运行（财政）", "Running, public"), YUAN_YEAR),
        Column("care_workers", Text("护理员", "Care workers"), PERSON),
        Column("unchecked", Text("选址核查", "Screening"), wide=True),
    )
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    table = run.tables["projects"]
    for n, r in enumerate(table.itertuples()):
        before, after = names.type(str(r.before)), Text(str(r.type_zh), str(r.type_en))
        if str(r.unchecked):
            flagged.add(n)
        rows.append(
            (
                Quantity(r.number, "year"), _site_name(r), towns.get(str(r.township_id), str(r.township_id)),
                Quantity(r.period, "year"), word(MODES, str(r.mode)),
                Text(f"{before.zh} → {after.zh}", f"{before.en} → {after.en}"),
                Quantity(r.places_resident, "count"), Quantity(r.places_day, "count"),
                Quantity(r.visits_home, "count"), Quantity(r.capital_yuan, "money"),
                Quantity(r.running_yuan_year, "money"), Quantity(r.care_workers, "people1"),
                _screens(str(r.unchecked)),
            )
        )  # fmt: skip
    total: tuple[Cell, ...] = (
        None, Text("合计", "Total"), None, None, None, None,
        Quantity(table["places_resident"].sum(), "count"), Quantity(table["places_day"].sum(), "count"),
        Quantity(table["visits_home"].sum(), "count"), Quantity(table["capital_yuan"].sum(), "money"), None, None, None,
    )  # fmt: skip
    return Table(
        "projects", Text("项目库", "Project list"), columns, tuple(rows), total if rows else (),
        Text("床位等为该项目建成后的总规模；同一地点分期变动时各列一行。年运行和护理员为建成当期期末数，各期不宜相加，全县合计见“年运行费用及承担”和“资源使用与余量”两表。选址待核项须先完成核查。",
             "Places are the project's whole size once done; a site that changes twice has two rows. Running money and workers are those of the period in which it opens and do not add up over periods: the county's sums stand in the tables of running cost and of resources. Items to check must be checked first."),
        frozenset(flagged),
    )  # fmt: skip


def payers(run: Run, pool: str = "capital") -> Table:
    """资金筹措表： money of a pool by payer and period; what has no source yet stands last."""
    table = run.tables["payers"]
    years = sorted(set(table["year"]))
    table = table[table["pool"] == pool]
    by = table.pivot_table(index="payer", columns="year", values="yuan", aggfunc="sum", fill_value=0, sort=False)  # fmt: skip
    columns = (
        Column("payer", Text("资金来源", "Payer"), wide=True),
        *(Column(str(y), year_title(run, y), summed=True) for y in years),
    )
    order = payer_order(by.index)
    rows: tuple[tuple[Cell, ...], ...] = tuple((word(PAYERS, p), *(Quantity(float(by.loc[p].get(y, 0)), "money") for y in years)) for p in order)  # fmt: skip
    sums = table.groupby("year")["yuan"].sum()
    total: tuple[Cell, ...] = (
        Text("合计", "Total"),
        *(Quantity(float(sums.get(y, 0)), "money") for y in years),
    )
    title = Text("资金筹措表：建设资金（万元）", "Sources of capital (million yuan)")
    if pool != "capital":
        what = word(POOLS, pool)
        title = Text(f"资金筹措表：{what.zh}（万元/年）", f"Sources of {what.en[:1].lower()}{what.en[1:]} (million yuan a year)")  # fmt: skip
    return Table(
        "payers" if pool == "capital" else f"payers-{pool}", title, columns, rows, total if rows else (),
        flagged=frozenset(n for n, p in enumerate(order) if p == "unassigned"),
    )  # fmt: skip


def payer_order(payers: Iterable[object]) -> list[str]:
    """Return payers from the centre downwards; what has no source yet stands last."""
    rank = {p: n for n, p in enumerate(PAYERS)}
    return sorted({str(p) for p in payers}, key=lambda p: (rank.get(p, len(rank) - 1.5), p))


def pools(run: Run) -> Table:
    """Use and supply of money, staff and other pools, and what is left."""
    columns = (
        Column("pool", Text("资源", "Resource"), wide=True), Column("year", Text("期末年", "By")), Column("unit", Text("单位", "Unit")),
        Column("use", Text("使用", "Use")), Column("supply", Text("可用", "Available")), Column("share", Text("使用占比", "Share used")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in run.tables["pools"].itertuples():
        is_yuan = str(r.unit).startswith("yuan")
        kind: Kind = "money" if is_yuan else "people1"
        unit = {"yuan": YUAN, "yuan/year": YUAN_YEAR, "person": PERSON}.get(str(r.unit), Text(str(r.unit), str(r.unit)))  # fmt: skip
        free = pd.isna(r.supply) or r.supply >= 1e29
        supply: Cell = Text("不限", "unlimited") if free else Quantity(float(r.supply), kind)
        share = None if free or not r.supply else Quantity(r.use / r.supply, "share")
        rows.append((word(POOLS, str(r.pool)), Quantity(r.year, "year"), unit, Quantity(float(r.use), kind), supply, share))  # fmt: skip
    return Table(
        "pools", Text("资源使用与余量", "Resources used and available"), columns, tuple(rows)
    )


def money(run: Run) -> Table:
    """Yearly running money of all that stands, and who bears it."""
    table = run.tables["money"].pivot(index="item", columns="year", values="yuan_year")
    years = list(table.columns)
    columns = (Column("item", Text("项目", "Item"), wide=True), *(Column(str(y), year_title(run, int(y))) for y in years))  # fmt: skip
    items = [i for i in MONEY_ITEMS if i in table.index]
    rows: tuple[tuple[Cell, ...], ...] = tuple((word(MONEY_ITEMS, i), *(Quantity(float(table.loc[i, y]), "money") for y in years)) for i in items)  # fmt: skip
    return Table("money", Text("年运行费用及承担（万元/年）", "Yearly running cost and who bears it (million yuan a year)"), columns, rows)  # fmt: skip


def gap_today(run: Run, names: Names) -> Table:
    """现状缺口： need, what is served and what lacks today, by service."""
    base = run.scenario.base_year
    table = run.tables["needs"]
    sums = table[table["year"] == base].groupby("service")[["need", "served", "unmet"]].sum()
    columns = (
        Column("service", Text("服务", "Service"), wide=True), Column("need", Text("需求", "Need")), Column("served", Text("已满足", "Served")),
        Column("unmet", Text("缺口", "Gap")), Column("unit", Text("单位", "Unit")), Column("share", Text("满足率", "Served share")),
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for s in service_ids(run):
        need, served, unmet = (float(sums[c].get(s, 0.0)) for c in ("need", "served", "unmet"))
        share: Cell = Quantity(served / need, "share") if need else None
        rows.append([names.service(s), Quantity(need, "people"), Quantity(served, "people"), Quantity(unmet, "people"), names.unit(s), share])  # fmt: skip
    hidden = withhold(rows, [(1, 2, 3)], totals=False)
    for row in hidden:
        if any(isinstance(c, str) for c in row[1:4]):
            row[5] = WITHHELD
    return Table("gap-today", Text(f"现状需求与缺口（{base} 年）", f"Need and gap today ({base})"), columns, tuple(tuple(r) for r in hidden))  # fmt: skip


def townships(run: Run, service: str, names: Names) -> Table:
    """Need and service by township at the end, beside the share of today."""
    table = run.tables["townships"]
    table = table[table["service"] == service]
    first = table[table["year"] == run.scenario.base_year].set_index("township_id")
    last = table[table["year"] == run.scenario.years[-1]]
    end, unit = run.scenario.years[-1], names.unit(service)
    columns = (
        Column("township", Text("乡镇", "Township"), wide=True),
        Column("people_60", Text(f"{end} 年老年人", f"Aged 60+ in {end}"), PERSON),
        Column("need", Text("需求", "Need"), unit), Column("served", Text("规划满足", "Served"), unit),
        Column("unmet", Text("未满足", "Unmet"), unit), Column("free", Text("自由选择满足", "Served, free choice"), unit),
        Column("today", Text("现状满足率", "Share today")), Column("share", Text("期末满足率", "Share at end")),
        Column("change", Text("变化", "Change"), POINTS), Column("minutes", Text("平均出行", "Mean travel"), MINUTES),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in last.itertuples():
        before = float(first["share"][r.township_id])
        rows.append(
            (
                Text(str(r.name_zh), str(r.name_en)), Quantity(r.people_60, "people"), Quantity(r.need, "people"),
                Quantity(r.served, "people"), Quantity(r.unmet, "people"), Quantity(r.free_choice, "people"),
                Quantity(before, "share"), Quantity(r.share, "share"), Quantity(r.share - before, "change"),
                Quantity(r.mean_minutes, "minutes"),
            )
        )  # fmt: skip
    hidden = withhold(rows, [(2, 3, 4)])
    total: tuple[Cell, ...] = (
        Text("合计", "Total"), *(Quantity(float(last[c].sum()), "people") for c in ("people_60", "need", "served", "unmet", "free_choice")),
        None, None, None, None,
    )  # fmt: skip
    now, then = (published_shares(run, service, y) for y in (run.scenario.base_year, end))
    for row, id in zip(hidden, last["township_id"], strict=True):
        secret = {FEW, WITHHELD} & {c for c in row[2:5] if isinstance(c, str)}
        if id not in now:
            row[6] = row[8] = WITHHELD
        if secret or id not in then:
            row[7] = row[8] = WITHHELD
    name = names.service(service)
    return Table(
        f"townships-{service.split('.')[-1]}",
        Text(f"各乡镇{name.zh}需求与满足", f"{name.en}: need and service by township"),
        columns, tuple(tuple(r) for r in hidden), total, WITHHELD_NOTE,
    )  # fmt: skip


def published_shares(run: Run, service: str, year: int) -> dict[str, float]:
    """Return the served share of each township where neither served nor unmet are under five people.

    A share beside a need would give the count away, so charts and tables leave those out.
    """
    table = run.tables["townships"]
    table = table[(table["service"] == service) & (table["year"] == year)]
    few = table[["need", "served", "unmet"]].round(6)
    shown = ~((few > 0) & (few < SMALLEST)).any(axis=1)
    return {str(r.township_id): float(r.share) for r in table[shown].itertuples()}


def needs(run: Run, names: Names) -> Table:
    """Need, served and unmet by service and group at the end."""
    end = run.scenario.years[-1]
    table = run.tables["needs"]
    columns = (
        Column("service", Text("服务", "Service")), Column("group", Text("人群", "Group")),
        Column("need", Text("需求", "Need")), Column("served", Text("满足", "Served")),
        Column("unmet", Text("未满足", "Unmet")), Column("unit", Text("单位", "Unit")),
    )  # fmt: skip
    rows = [
        (names.service(str(r.service)), word(GROUPS, str(r.group)), Quantity(r.need, "people"), Quantity(r.served, "people"), Quantity(r.unmet, "people"), names.unit(str(r.service)))
        for r in table[table["year"] == end].itertuples()
    ]  # fmt: skip
    hidden = withhold(rows, [(2, 3, 4)], totals=False)
    return Table("needs", Text(f"{end} 年分人群需求", f"Need by group, {end}"), columns, tuple(tuple(r) for r in hidden), note=WITHHELD_NOTE)  # fmt: skip


def bands(run: Run, names: Names) -> Table:
    """How sure people and need are: expected figures and their interval over sampled paths."""
    frame = run.tables["bands"]
    ages = {
        "all": Text("总人口", "All people"), "0-14": Text("0–14 岁", "Aged 0-14"),
        "60+": Text("60 岁及以上", "Aged 60+"), "80+": Text("80 岁及以上", "Aged 80+"),
    }  # fmt: skip
    columns = (
        Column("what", Text("人口或需求", "People or need")), Column("unit", Text("单位", "Unit")),
        Column("year", Text("年份", "Year")), Column("expected", Text("预期", "Expected")),
        Column("low", Text("下限", "Low")), Column("high", Text("上限", "High")),
        Column("width", Text("半宽（占预期）", "Half-width (of expected)")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in frame.to_dict("records"):
        is_people = r["kind"] == "people"
        service = names.service(str(r["id"]))
        name, unit = Text(f"需求：{service.zh}", f"Need: {service.en}"), names.unit(str(r["id"]))
        if is_people:
            name, unit = ages[str(r["id"])], PERSON
        rows.append(
            (
                name, unit, Quantity(float(r["year"]), "year"),
                *(Quantity(float(r[c]), "people") for c in ("expected", "low", "high")),
                Quantity(float(r["relative_width"]) / 2, "share"),
            )
        )  # fmt: skip
    share, paths = float(frame["share"].iloc[0]), int(frame["paths"].iloc[0])
    note = Text(
        f"区间为 {paths} 条抽样路径中居中的 {share:.0%}，只含出生、死亡和迁移的不确定性，不含失能率和意愿。",
        f"Intervals hold the middle {share:.0%} of {paths} sampled paths: births, deaths and moves, not the rates of need or willingness.",
    )
    return Table("bands", Text("人口与需求的区间", "Intervals of people and need"), columns, tuple(rows), note=note)  # fmt: skip


def coverage(run: Run, names: Names) -> Table:
    """Share of elders with an open offer in reach, by area class and year."""
    return _by_class(run, names, "coverage", "share", "share", Text("老年人可达占比", "Elders in reach of a service"))  # fmt: skip


def access(run: Run, names: Names) -> Table:
    """Mean and 90th-percentile travel of people served, by area class at the end."""
    return _by_class(run, names, "access", "mean_minutes", "minutes", Text("平均出行时间（分钟）", "Mean travel (minutes)"), "p90_minutes")  # fmt: skip


def _by_class(run: Run, names: Names, table: str, column: str, kind: Kind, title: Text, also: str = "") -> Table:  # fmt: skip
    frame = run.tables[table]
    years = sorted(set(frame["year"]))
    columns = [
        Column("service", Text("服务", "Service")),
        Column("area_class", Text("地域", "Area")),
    ]
    for y in years:
        columns.append(Column(str(y), year_title(run, y)))
        if also:
            columns.append(Column(f"{y}-p90", Text(f"90分位（{y}）", f"90th percentile ({y})")))
    rows: list[tuple[Cell, ...]] = []
    order = [c for c in AREA_CLASSES if c in set(frame["area_class"])]
    for service in service_ids(run):
        for area_class in order:
            part = frame[(frame["service"] == service) & (frame["area_class"] == area_class)].set_index("year")  # fmt: skip
            cells: list[Cell] = []
            for y in years:
                for c in (column, also) if also else (column,):
                    known = y in part.index and part[c][y] == part[c][y]
                    cells.append(Quantity(float(part[c][y]), kind) if known else "—")
            rows.append((names.service(service), word(AREA_CLASSES, area_class), *cells))
    gone = any("—" in row for row in rows)
    note = Text("“—”：该年没有人使用该项服务。", "“—”: nobody uses the service that year.") if gone else NO_TEXT  # fmt: skip
    return Table(table, title, tuple(columns), tuple(rows), note=note)


def use(run: Run, names: Names) -> Table:
    """Places of each facility at the end: assigned, free choice, empty."""
    end = run.scenario.years[-1]
    sites = run.tables["sites"]
    sites = sites[sites["year"] == end].set_index("site_id")
    towns = _town_names(run)
    columns = (
        Column("site", Text("设施", "Facility"), wide=True), Column("township", Text("乡镇", "Township")), Column("type", Text("类型", "Type")),
        Column("service", Text("服务", "Service")), Column("unit", Text("单位", "Unit")), Column("places", Text("名额", "Places"), summed=False),
        Column("assigned", Text("规划安排", "Assigned")), Column("empty", Text("空置", "Empty")),
        Column("free", Text("自由选择", "Free choice")), Column("empty_free", Text("空置（自由选择）", "Empty, free choice")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    table = run.tables["use"]
    for r in table[table["year"] == end].itertuples():
        site = sites.loc[r.site_id]
        cells: list[Cell] = [
            Text(site["name_zh"] or r.site_id, site["name_en"] or site["name_zh"] or r.site_id),
            towns.get(str(site["township_id"]), str(site["township_id"])), names.type(str(site["state"])), names.service(str(r.service)), names.unit(str(r.service)),
            Quantity(r.places, "count"), Quantity(r.assigned, "people"), Quantity(r.empty_assigned, "count"),
            Quantity(r.free_choice, "people"), Quantity(r.empty_free, "count"),
        ]  # fmt: skip
        (hidden,) = withhold([cells], [], totals=False)
        for n in (6, 8):  # places less the empty ones would give the people away
            if hidden[n] == "<5":
                hidden[n + 1] = "*"
        rows.append(tuple(hidden))
    return Table("use", Text(f"设施使用（{end}）", f"Use of facilities ({end})"), columns, tuple(rows), note=WITHHELD_NOTE)  # fmt: skip


def scoreboard(runs: Sequence[Run]) -> Table:
    """Indicators of every alternative at the end of the plan, today first."""
    main = runs[0]
    table = main.tables["indicators"]
    end, base = main.scenario.years[-1], main.scenario.base_year
    columns = [Column("indicator", Text("指标", "Indicator"), wide=True), Column("unit", Text("单位", "Unit")), Column("today", year_title(main, base))]  # fmt: skip
    columns += [Column(r.scenario.name, r.scenario.title.text) for r in runs]
    rows: list[tuple[Cell, ...]] = []
    for id in table["indicator"].drop_duplicates():
        first = table[table["indicator"] == id].iloc[0]
        unit, kind = _place(str(id), str(first["unit"]))
        cells: list[Cell] = []
        for run, year in [(main, base), *((r, r.scenario.years[-1]) for r in runs)]:
            t = run.tables["indicators"]
            v = t[(t["indicator"] == id) & (t["year"] == year)]["value"]
            if id == "investment" and year != base:
                v = pd.Series([t[t["indicator"] == id]["value"].sum()])
            cells.append(Quantity(float(v.iloc[0]), kind) if len(v) else None)
        title = Text("投资合计", "Investment, all periods") if id == "investment" else Text(first["zh"], first["en"])  # fmt: skip
        rows.append((title, unit, *cells))
    gaps: list[Cell] = [Quantity(float(r.measures["gap"]), "gap") for r in runs]
    rows.append((Text("求解精度", "Gap of the solution"), Text("%", "%"), None, *gaps))
    return Table("scoreboard", Text(f"方案比较（{end}）", f"Alternatives compared ({end})"), tuple(columns), tuple(rows))  # fmt: skip


def _both_shown(run: Run, service: str) -> set[str]:
    """Townships whose share may be published both today and at the end."""
    years = (run.scenario.base_year, run.scenario.years[-1])
    first, last = (published_shares(run, service, y) for y in years)
    return set(first) & set(last)


def gains(runs: Sequence[Run], service: str, names: Names) -> Table:
    """Change of the served share by township against today, one column a plan."""
    main = runs[0].tables["changes"]
    main = main[main["service"] == service]
    columns = [Column("township", Text("乡镇", "Township"), wide=True)]
    columns += [Column(r.scenario.name, r.scenario.title.text) for r in runs]
    values = {}
    for r in runs:
        changes = r.tables["changes"]
        mine = changes[changes["service"] == service].set_index("township_id")["change"]
        shown = _both_shown(r, service)
        values[r.scenario.name] = {
            k: Quantity(float(v), "change") for k, v in mine.items() if k in shown
        }
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    for n, row in enumerate(main.itertuples()):
        if row.change < -5e-4:
            flagged.add(n)
        cells = [v.get(row.township_id, WITHHELD) for v in values.values()]
        rows.append((Text(str(row.name_zh), str(row.name_en)), *cells))
    name = names.service(service)
    return Table("gains", Text(f"各乡镇{name.zh}满足率较现状的变化（个百分点）", f"{name.en}: change of the served share against today (percentage points)"), tuple(columns), tuple(rows), flagged=frozenset(flagged))  # fmt: skip


_UNITS = {"yuan": ("money", YUAN), "minute": ("minutes", MINUTES), "person": ("people1", PERSON), "share": ("share", Text("%", "%"))}  # fmt: skip


def objectives(run: Run) -> Table:
    """Each objective with its value, proven bound and gap, also in its own unit."""
    columns = (
        Column("objective", Text("目标（按次序）", "Objective, in order"), wide=True), Column("unit", Text("单位", "Unit")),
        Column("value", Text("方案值", "Value")), Column("bound", Text("可证明的界", "Proven bound")),
        Column("gap", Text("求解精度", "Gap")), Column("apart", Text("相差", "Apart")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for o in run.measures["objectives"]:
        known = _UNITS.get(o["unit"])
        kind: Kind = known[0] if known else "decimal"  # type: ignore[assignment]
        unit = known[1] if known else word(UNITS, str(o["unit"]))
        rows.append((objective_name(str(o["id"])), unit, Quantity(o["value"], kind), Quantity(o["bound"], kind), Quantity(o["gap"], "gap"), Quantity(abs(o["value"] - o["bound"]), kind)))  # fmt: skip
    return Table("objectives", Text("目标与求解精度", "Objectives and gap"), columns, tuple(rows))


def rules(run: Run, names: Names) -> Table:
    """Every rule of the plan in words, hard or priced, and by how much it is missed."""
    columns = (
        Column("rule", Text("规则", "Rule"), wide=True), Column("hard", Text("性质", "Kind")),
        Column("short", Text("未达量", "Missed by")), Column("source", Text("依据", "Basis")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    missed = run.measures["shortfalls"]
    sites = re.compile("|".join(map(re.escape, sorted(names.sites, key=len, reverse=True))) or "$^")

    def alike(rule: Mapping[str, Any]) -> str:
        return f"{sites.sub('', rule['zh'])} {rule['hard']} {rule['source']}"

    met = [r for r in run.measures["rules"] if missed.get(r["id"], 0.0) <= 1e-6]
    times = Counter(alike(r) for r in met if sites.search(r["zh"]))
    told: set[str] = set()
    for r in run.measures["rules"]:
        short = missed.get(r["id"], 0.0)
        what = names.said(Text(r["zh"], r["en"]))
        if short > 1e-6:
            flagged.add(len(rows))
        elif times[alike(r)] > 1:
            if alike(r) in told:
                continue
            told.add(alike(r))
            count = times[alike(r)]
            what = Text(f"{what.zh}（同类共 {count} 处）", f"{what.en} ({count} sites alike)")
        cell: Cell = Text(f"{short:,.2f}", f"{short:,.2f}") if short > 1e-6 else Text("—", "—")
        kind = Text("刚性", "hard") if r["hard"] else Text("目标", "target")
        rows.append((what, kind, cell, word(RULE_SOURCES, str(r["source"]))))
    return Table("rules", Text("约束与目标", "Rules and targets"), columns, tuple(rows), flagged=frozenset(flagged))  # fmt: skip


def norms(run: Run, catalogue: Catalogue) -> list[Standard]:
    """Norms of the run's services that bind or are taken for want of a better one."""
    known = {s for s in run.scenario.services}
    groups = ("elderly", "disabled-elders", "destitute", "difficulty")
    return [
        s for s in catalogue.standards
        if s.level in ("national", "provincial", "local", "default")
        and (s.service in known or (not s.service and s.group.startswith(groups)))
    ]  # fmt: skip


def population(run: Run) -> Table:
    """People and elders of each township today and at the end of each period."""
    table = run.tables["townships"].drop_duplicates(["year", "township_id"])
    years = sorted(int(y) for y in set(table["year"]))
    columns = [Column("township", Text("乡镇", "Township"), wide=True)]
    for y in years:
        columns.append(Column(f"people-{y}", Text(f"{y} 年人口", f"People {y}"), PERSON, summed=True))  # fmt: skip
    for y in years:
        columns.append(Column(f"elders-{y}", Text(f"{y} 年 60 岁及以上", f"Aged 60+ {y}"), PERSON, summed=True))  # fmt: skip
    columns.append(
        Column("share", Text(f"{years[-1]} 年老年人占比", f"Share of elders {years[-1]}"))
    )
    wide = {y: table[table["year"] == y].set_index("township_id") for y in years}
    rows: list[tuple[Cell, ...]] = []
    for id, first in wide[years[0]].iterrows():
        people = [Quantity(float(wide[y]["people"][id]), "people") for y in years]
        elders = [Quantity(float(wide[y]["people_60"][id]), "people") for y in years]
        name = Text(str(first["name_zh"]), str(first["name_en"]))
        share = Quantity(elders[-1].value / people[-1].value if people[-1].value else 0.0, "share")
        rows.append((name, *people, *elders, share))
    sums = [Quantity(float(wide[y][c].sum()), "people") for c in ("people", "people_60") for y in years]  # fmt: skip
    part = Quantity(sums[-1].value / sums[len(years) - 1].value, "share")
    return Table("population", Text("分乡镇人口预测", "Population forecast by township"), tuple(columns), tuple(rows), (Text("合计", "Total"), *sums, part))  # fmt: skip


def sources(run: Run) -> Table:
    """Data sources with licence and mark."""
    columns = (
        Column("what", Text("资料", "What"), wide=True), Column("files", Text("文件", "Files")), Column("source", Text("来源", "Source"), wide=True),
        Column("licence", Text("许可", "Licence")), Column("mark", Text("性质", "Kind")),
    )  # fmt: skip
    rows = []
    for s in run.inputs["sources"]:
        title, place = str(s.get("title") or s.get("what") or ""), str(s.get("source", ""))
        what = Text(str(s.get("title_zh") or title), title)
        where = Text(str(s.get("source_zh") or place), place)
        rows.append((what, str(s.get("files", "")), where, word(LICENCES, str(s.get("licence", ""))), word(MARKS, str(s.get("mark", "")))))  # fmt: skip
    return Table("sources", Text("数据来源", "Data sources"), columns, tuple(rows))


def terms() -> Table:
    """The words of the report, explained."""
    columns = (Column("term", Text("用语", "Word")), Column("meaning", Text("含义", "Meaning"), wide=True))  # fmt: skip
    return Table("terms", Text("用语说明", "Words of this report"), columns, tuple(TERMS))


def note_table(note: Note, titles: Mapping[str, Text] | None = None) -> Table:
    """Return a study's own table as cells; ``titles`` name the scenarios in it."""
    columns = tuple(Column(id, title) for id, (title, _) in note.columns.items())
    if titles is None:
        titles = {}
    rows: list[tuple[Cell, ...]] = []
    for record in note.table[list(note.columns)].to_dict("records"):
        cells: list[Cell] = []
        for id, (_, kind) in note.columns.items():
            v = record[id]
            if kind == "text":
                cells.append(titles.get(str(v), str(v)))
                continue
            cells.append(Quantity(float(v), kind))  # type: ignore[arg-type]
        rows.append(tuple(cells))
    return Table(note.id, note.title, columns, tuple(rows), note=NO_TEXT)
