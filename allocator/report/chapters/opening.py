"""Summary, background and basis, present state."""

from __future__ import annotations

from allocator.catalogue import Catalogue
from allocator.errors import NO_TEXT, Text, plural
from allocator.region import Region
from allocator.report import charts, maps, siting, tables
from allocator.report.cells import Quantity, money_text, written
from allocator.report.document import (
    Block,
    Chapter,
    Figure,
    Items,
    Paragraph,
    Stat,
    Stats,
)
from allocator.report.words import STATUS, Names, norm_source, word
from allocator.run import Run

__all__ = ["background", "facts", "present", "summary"]

HEADLINES = (
    "places", "places_per_1000", "nursing_share", "resident_met",
    "day_met", "home_met", "investment", "running_gap",
)  # fmt: skip
MOST_TARGETS = 5  # named in the summary
TREND = (
    "places_per_1000", "nursing_share", "township_centres", "destitute_met", "resident_met",
    "day_met", "home_met", "use_free", "care_workers",
)  # fmt: skip


def _value(run: Run, indicator: str, year: int) -> Quantity | None:
    table = run.tables["indicators"]
    rows = table[(table["indicator"] == indicator) & (table["year"] == year)]
    return tables.indicator_cell(rows.iloc[0]) if len(rows) else None


def _same(text: str) -> Text:
    return Text(text, text)


def facts(run: Run) -> tuple[tuple[Text, Text], ...]:
    """Return what stands on the first page: plan, years, gap, versions."""
    s, m = run.scenario, run.measures
    gap = written(Quantity(float(m["gap"]), "gap")).zh
    status = word(STATUS, str(m["status"]))
    code = str(run.inputs["code"])
    code_words = Text("源代码", "source tree") if code == "0" else _same(code)
    return (
        (Text("方案", "Scenario"), Text(f"{s.title.zh}（{s.name}）", f"{s.title.en} ({s.name})")),
        (Text("基准年与规划期", "Base year and term"), Text(f"{s.base_year} 年现状；{s.periods[0].from_}–{s.years[-1]} 年", f"{s.base_year}; plan {s.periods[0].from_}–{s.years[-1]}")),
        (Text("求解精度", "Gap of the solution"), Text(f"{gap}；{status.zh}", f"{gap}; {status.en}")),
        (Text("标准目录版本", "Catalogue version"), _same(str(run.inputs["catalogue"]))),
        (Text("运行编号", "Run id"), _same(run.id)),
        (Text("软件与求解器", "Software and solver"), Text(f"service-allocator {code_words.zh} · {m['solver']}", f"service-allocator {code_words.en} · {m['solver']}")),
    )  # fmt: skip


def summary(run: Run, names: Names) -> Chapter:
    """Headline numbers, what they mean, and the indicator table."""
    base, end = run.scenario.base_year, run.scenario.years[-1]
    table = run.tables["indicators"]
    stats = []
    for id in HEADLINES:
        now, then = _value(run, id, base), _value(run, id, end)
        if now is None or then is None:
            continue
        row = table[table["indicator"] == id].iloc[0]
        unit = tables.unit_of(id, row["unit"])
        if unit.zh == "%":
            unit = NO_TEXT
        title, before = Text(f"{row['zh']}（{end} 年）", f"{row['en']} ({end})"), written(now)
        words = Text(f"{base} 年：{before.zh}{_with(unit.zh)}", f"{base}: {before.en}{_with(unit.en)}")  # fmt: skip
        if id == "investment":
            total = Quantity(float(table[table["indicator"] == id]["value"].sum()), "money")
            then, title = total, Text("投资合计", "Investment, all periods")
            first = run.scenario.years[1]
            near = written(_value(run, id, first) or total)
            words = Text(f"其中至 {first} 年：{near.zh}{_with(unit.zh)}", f"of this by {first}: {near.en}{_with(unit.en)}")  # fmt: skip
        stats.append(Stat(title, written(then), unit, words))
    items = (
        *_said_of_projects(run),
        *_said_of_targets(run, names),
        *_said_of_losers(run),
        *_said_of_reach(run, names),
    )
    return Chapter("summary", Text("结论摘要", "Summary"), (Stats(tuple(stats)), Items(items), tables.indicators(run)))  # fmt: skip


def _with(unit: str) -> str:
    return f" {unit}" if unit else ""


def _said_of_projects(run: Run) -> list[Text]:
    projects = run.tables["projects"]
    lack = run.tables["payers"].query("payer == 'unassigned' and pool == 'capital'")
    missing = float(lack["yuan"].sum())
    gap = written(Quantity(float(run.measures["gap"]), "gap")).zh
    waiting = int((projects["unchecked"] != "").sum())
    closed = int((projects["mode"] == "close").sum())
    items = [
        Text(f"项目库共 {len(projects)} 项，涉及 {projects['site_id'].nunique()} 个地点，其中关停 {closed} 处、选址待核 {waiting} 项。",
             f"The project list has {plural(len(projects), 'entry', 'entries')} at {plural(projects['site_id'].nunique(), 'place')}; {plural(closed, 'is a closure', 'are closures')} and {plural(waiting, 'still needs', 'still need')} screening."),
    ]  # fmt: skip
    if missing >= 1:
        gone = money_text(missing)
        items.append(Text(f"尚无来源的建设资金（资金缺口）为 {gone.zh}。", f"Capital without a source yet: {gone.en}."))  # fmt: skip
    elif len(projects):
        items.append(Text("按设定的分担比例，建设资金均有来源。", "Under the shares set, all capital has a source."))  # fmt: skip
    items.append(
        Text(f"求解精度为 {gap}：按本报告所列数据与规则，再好的方案至多好出这一比例。",
             f"The gap is {gap}: under the data and rules stated here, no plan can be better by more than this.")
    )  # fmt: skip
    return items


def _said_of_targets(run: Run, names: Names) -> list[Text]:
    """Name the targets that the plan misses, a few of them."""
    every = tables.rules(run, names)
    missed = [t for n in sorted(every.flagged) if isinstance(t := every.rows[n][0], Text)]
    if not missed:
        return []
    shown, rest = missed[:MOST_TARGETS], len(missed) - MOST_TARGETS
    more = (f"等 {len(missed)} 项", f" and {rest} more") if rest > 0 else ("", "")
    return [
        Text(f"未达到的目标：{'；'.join(t.zh for t in shown)}{more[0]}。未达量见附录“方法与求解精度”。",
             f"Targets missed: {'; '.join(t.en for t in shown)}{more[1]}. By how much stands in the annex on method and gap.")
    ]  # fmt: skip


def _said_of_losers(run: Run) -> list[Text]:
    towns = run.tables["changes"]
    every = towns["township_id"].nunique()
    losing = towns[towns["change"] < -5e-4]
    lost = losing["township_id"].nunique()
    if not lost:
        return [Text("没有乡镇的服务满足率低于现状。", "In no township does the served share fall below today's.")]  # fmt: skip
    if lost > every / 2:
        return [
            Text(f"{every} 个乡镇中有 {lost} 个至少一项服务的满足率低于现状（需求随老龄化增长快于供给），详见“均衡”一章。",
                 f"In {lost} of {every} townships at least one service's served share falls below today's (need grows faster than supply); see the chapter on fairness.")
        ]  # fmt: skip
    zh = "、".join(sorted({str(n) for n in losing["name_zh"]}))
    en = ", ".join(sorted({str(n) for n in losing["name_en"]}))
    return [Text(f"可及性下降乡镇（至少一项服务）：{zh}。", f"Townships where at least one service falls: {en}.")]  # fmt: skip


def _said_of_reach(run: Run, names: Names) -> list[Text]:
    return [
        names.said(Text(f.what.zh + f.remedy.zh, f"{f.what.en} {f.remedy.en}"))
        for f in run.findings if f.code == "out-of-reach"
    ]  # fmt: skip


def background(run: Run, names: Names, catalogue: Catalogue | None) -> Chapter:
    """What is planned, for where and when, and on what basis."""
    s = run.scenario
    place = Text(run.inputs["title"]["zh"], run.inputs["title"]["en"])
    services = Text("、".join(names.service(x).zh for x in s.services), ", ".join(names.service(x).en.lower() for x in s.services))  # fmt: skip
    towns = run.tables["townships"]["township_id"].nunique()
    points = run.tables["areas"]["point"].nunique()
    periods = Text(
        "、".join(f"{p.title.zh if p.title else f'第{n}期'}（{p.from_}–{p.to} 年）" for n, p in enumerate(s.periods, 1)),
        ", ".join(f"{p.title.en if p.title else f'period {n}'} ({p.from_}–{p.to})" for n, p in enumerate(s.periods, 1)),
    )  # fmt: skip
    items = [
        Text(f"范围：{place.zh}全域，{towns} 个乡镇，{points} 个居民点（村、社区）。", f"Area: the whole of {place.en}, {plural(towns, 'township')}, {plural(points, 'settlement')} (villages and communities)."),
        Text(f"期限：以 {s.base_year} 年为现状，{periods.zh}。", f"Term: {s.base_year} is today; {periods.en}."),
        Text(f"对象：{services.zh}。", f"Services: {services.en}."),
        Text("目的：说明需要多少服务设施，建在哪里、多大规模、何时建成、由谁出资，谁得到服务、谁没有及原因，并与其他方案比较。",
             "Aim: to say how many places of which service are needed, where, of what size, by when and paid by whom; who is served, who is not and why; and how this compares with the alternatives."),
    ]  # fmt: skip
    if s.note is not None:
        items.append(Text(f"本方案：{s.note.zh}", f"This plan: {s.note.en}"))
    blocks: list[Block] = [Items(tuple(items))]
    if catalogue is not None:
        cited = _cited(run, catalogue)
        if cited:
            blocks += [
                Paragraph(Text("依据的国家标准和文件（具体条目、数值及核实情况见“采用的标准”一章）：", "National norms and documents relied on (clauses, values and marks stand in the chapter on norms):")),
                Items(cited),
            ]  # fmt: skip
    marks = Text(
        "数据性质：人口总数等为统计数；年龄结构、人口预测与需求为推算数；标明“模拟”的点位、设施和费用不是真实资料。逐项性质见附录“数据来源”。",
        "Kinds of data: totals of people are counted; ages, forecasts and need are modelled; points, facilities and costs marked synthetic are not real. See the annex on sources.",
    )
    blocks.append(Paragraph(marks, "note"))
    return Chapter("background", Text("规划背景与依据", "Background and basis"), tuple(blocks))


def _cited(run: Run, catalogue: Catalogue) -> tuple[Text, ...]:
    found: dict[str, set[str]] = {}
    for s in tables.norms(run, catalogue):
        if s.level == "national" and any(c.isdigit() for c in s.basis):
            found.setdefault(s.basis, set()).add(s.mark)
    items = []
    for basis, marks in sorted(found.items()):
        words = norm_source(basis)
        unsure = marks == {"unconfirmed"}
        items.append(
            Text(f"{words.zh}{'（尚未与原文核对）' if unsure else ''}；", f"{words.en}{' (not yet checked against the text)' if unsure else ''};")
        )  # fmt: skip
    return tuple(Text(t.zh[:-1], t.en[:-1]) for t in items)


def present(run: Run, region: Region, names: Names) -> Chapter:
    """Facilities of today, and how the main indicators move."""
    base = run.scenario.base_year
    head = Text(f"现状设施分布（{base} 年）", f"Facilities today ({base})")
    blocks: list[Block] = [
        siting.facilities_today(run, region, names),
        tables.gap_today(run, names),
        Figure("sites", head, maps.sites_map(run, region, names, head), is_map=True),
    ]
    panels = []
    table = run.tables["indicators"]
    for id in TREND:
        part = table[table["indicator"] == id].sort_values("year")
        if len(part):
            first = part.iloc[0]
            cells = [tables.indicator_cell(r) for r in part.itertuples()]
            unit = tables.unit_of(id, str(first["unit"]))
            label = Text(f"{first['zh']}（{unit.zh}）", f"{first['en']} ({unit.en})")
            if unit.zh == "%":
                label = Text(str(first["zh"]), str(first["en"]))
            panels.append((label, [int(y) for y in part["year"]], cells))
    title = Text("主要指标：现状与规划", "Main indicators, today and planned")
    blocks.append(Figure("trend", title, charts.small_multiples(title, panels), Text("空心点为现状；各小图纵轴从零起，尺度不同。", "The hollow point is today; each panel starts at zero and has its own scale.")))  # fmt: skip
    return Chapter("present", Text("现状与缺口", "Present state and gap"), tuple(blocks))
