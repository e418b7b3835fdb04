"""The report's story: indicators, gap, project list, money, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocator.catalogue import Catalogue
from allocator.errors import NO_TEXT, Text
from allocator.region import Region
from allocator.report import charts, maps, policy, tables
from allocator.report.cells import Quantity, clean, money_text, written
from allocator.report.document import (
    Block,
    Chapter,
    Document,
    Figure,
    Items,
    Note,
    Paragraph,
    Stat,
    Stats,
)
from allocator.report.equity import equity_chapter
from allocator.report.words import PAYERS, POOLS, STATUS, Names, word
from allocator.run import Run

__all__ = ["compose"]

HEADLINES = (
    "places", "places_per_1000", "nursing_share", "resident_met",
    "day_met", "home_met", "investment", "running_gap",
)  # fmt: skip
TREND = (
    "places_per_1000", "nursing_share", "township_centres", "destitute_met", "resident_met",
    "day_met", "home_met", "use_free", "care_workers",
)  # fmt: skip


def compose(runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None, notes: Sequence[Note] = ()) -> Document:  # fmt: skip
    """Return the report of runs, the first being the one recommended.

    Raises
    ------
    ValueError
        When there is no run, or the runs are of different cases.
    InputRefused
        When a name holds a control character.
    """
    if not runs:
        raise ValueError("nothing to report: hand in at least one run")
    if len({r.inputs["case"] for r in runs}) > 1:
        raise ValueError("runs of different cases cannot stand in one report")
    _refuse_control_characters(runs, notes)
    run, names = runs[0], Names(runs, catalogue)
    facts = _facts(run)
    place = Text(run.inputs["title"]["zh"], run.inputs["title"]["en"])
    title = run.scenario.title.text
    chapters = [
        _summary(run, names), _present(run, region, names), _gap(run, region, names), _plan(run, region, names),
        _money(run), _use(runs, names), _fairness(runs, names), _alternatives(runs), _uncertainty(run, notes), _method(run),
        _assumptions(run, names), _gaps(run), _limits(run), equity_chapter(run, names), _annex(run),
    ]  # fmt: skip
    return Document(
        title=Text(f"{place.zh}基本养老服务设施布局方案", f"Elderly-care facilities of {place.en}: a placement plan"),
        subtitle=Text(f"推荐方案（附求解精度）：{title.zh}", f"Recommended plan (with its gap): {title.en}"),
        disclaimer=Text(run.inputs["disclaimer"]["zh"], run.inputs["disclaimer"]["en"]),
        map_footer=Text(run.inputs["map_footer"]["zh"], run.inputs["map_footer"]["en"]),
        facts=facts, chapters=tuple(c for c in chapters if c.blocks),
    )  # fmt: skip


def _refuse_control_characters(runs: Sequence[Run], notes: Sequence[Note]) -> None:
    texts = [(r.scenario.name, t) for r in runs for t in (r.scenario.title.zh, r.scenario.title.en)]
    for frame in [t for r in runs for t in r.tables.values()] + [n.table for n in notes]:
        for column in frame.select_dtypes(exclude=["number", "bool"]):
            texts += [(str(column), v) for v in frame[column].unique() if isinstance(v, str)]
    clean(texts)


def _value(run: Run, indicator: str, year: int) -> Quantity | None:
    table = run.tables["indicators"]
    rows = table[(table["indicator"] == indicator) & (table["year"] == year)]
    return tables.indicator_cell(rows.iloc[0]) if len(rows) else None


def _facts(run: Run) -> tuple[tuple[Text, Text], ...]:
    s, m = run.scenario, run.measures
    gap = written(Quantity(float(m["gap"]), "gap")).zh
    status = word(STATUS, str(m["status"]))
    return (
        (Text("方案", "Scenario"), Text(f"{s.title.zh}（{s.name}）", f"{s.title.en} ({s.name})")),
        (Text("基准年与规划期", "Base year and term"), Text(f"{s.base_year} 年现状；{s.periods[0].from_}–{s.years[-1]} 年", f"{s.base_year}; plan {s.periods[0].from_}–{s.years[-1]}")),
        (Text("求解精度", "Gap of the solution"), Text(f"{gap}；{status.zh}", f"{gap}; {status.en}")),
        (Text("标准目录版本", "Catalogue version"), _same(str(run.inputs["catalogue"]))),
        (Text("运行编号", "Run id"), _same(run.id)),
        (Text("软件与求解器", "Software and solver"), _same(f"{run.inputs['code']} · {m['solver']}")),
    )  # fmt: skip


def _same(text: str) -> Text:
    return Text(text, text)


def _summary(run: Run, names: Names) -> Chapter:
    base, end = run.scenario.base_year, run.scenario.years[-1]
    table = run.tables["indicators"]
    stats = []
    for id in HEADLINES:
        now, then = _value(run, id, base), _value(run, id, end)
        if now is None or then is None:
            continue
        row = table[table["indicator"] == id].iloc[0]
        unit, _ = tables._place(id, row["unit"])
        if unit.zh == "%":
            unit = NO_TEXT
        title, before = Text(f"{row['zh']}({end})", f"{row['en']} ({end})"), written(now)
        words = Text(f"{base} 年：{before.zh}", f"{base}: {before.en}")
        if id == "investment":
            total = Quantity(float(table[table["indicator"] == id]["value"].sum()), "money")
            then, title = total, Text("投资合计", "Investment, all periods")
            first = run.scenario.years[1]
            near = written(_value(run, id, first) or total)
            words = Text(f"其中至 {first} 年：{near.zh}", f"of this by {first}: {near.en}")
        stats.append(Stat(title, written(then), unit, words))
    projects, towns = run.tables["projects"], run.tables["changes"]
    losers = towns[towns["change"] < -5e-4]
    missing = (
        run.tables["payers"].query("payer == 'unassigned' and pool == 'capital'")["yuan"].sum()
    )
    gap = written(Quantity(float(run.measures["gap"]), "gap")).zh
    waiting = int((projects["unchecked"] != "").sum())
    gone = money_text(float(missing))
    items = [
        Text(f"项目库共 {len(projects)} 项，涉及 {projects['site_id'].nunique()} 个地点；其中 {waiting} 项选址待核。",
             f"The project list has {len(projects)} entries at {projects['site_id'].nunique()} places; {waiting} of them still need screening."),
        Text(f"尚无来源的资金（资金缺口）为 {gone.zh}。", f"Money without a source yet: {gone.en}."),
        Text(f"求解精度为 {gap}：按本报告所列数据与规则，再好的方案至多好出这一比例。",
             f"The gap is {gap}: under the data and rules stated here, no plan can be better by more than this."),
    ]  # fmt: skip
    if len(losers):
        zh = "、".join(sorted({str(n) for n in losers["name_zh"]}))
        en = ", ".join(sorted({str(n) for n in losers["name_en"]}))
        items.append(Text(f"可及性下降乡镇（至少一项服务）：{zh}。", f"Townships where at least one service falls: {en}."))  # fmt: skip
    else:
        items.append(Text("没有乡镇的服务满足率低于现状。", "In no township does the served share fall below today's."))  # fmt: skip
    found = [f for f in run.findings if f.code == "out-of-reach"]
    for f in found:
        zh, en = f.what.zh, f.what.en
        for id, name in names.services.items():
            zh, en = zh.replace(id, name.zh), en.replace(id, name.en.lower())
        items.append(Text(zh + f.remedy.zh, f"{en} {f.remedy.en}"))
    return Chapter("summary", Text("结论摘要", "Summary"), (Stats(tuple(stats)), Items(tuple(items)), tables.indicators(run)))  # fmt: skip


def _present(run: Run, region: Region, names: Names) -> Chapter:
    base = run.scenario.base_year
    towns = run.tables["townships"].drop_duplicates(["year", "township_id"])
    people = towns.groupby("year")[["people", "people_60"]].sum()
    words = "；".join(
        f"{y} 年 {written(Quantity(r.people, 'people')).zh} 人，其中 60 岁及以上 {written(Quantity(r.people_60, 'people')).zh} 人（{100 * r.people_60 / r.people:.1f}%）"
        for y, r in people.iterrows()
    )
    en = "; ".join(
        f"{y}: {written(Quantity(r.people, 'people')).en} people, {written(Quantity(r.people_60, 'people')).en} aged 60+ ({100 * r.people_60 / r.people:.1f}%)"
        for y, r in people.iterrows()
    )
    blocks: list[Block] = [
        Paragraph(Text(f"全县人口（推算）：{words}。", f"Population of the county (modelled): {en}.")),
        Figure("sites", Text(f"现状设施分布（{base} 年）", f"Facilities today ({base})"), maps.sites_map(run, region, names, Text("现状设施分布图", "Map of facilities today")), is_map=True),
    ]  # fmt: skip
    panels = []
    table = run.tables["indicators"]
    for id in TREND:
        part = table[table["indicator"] == id].sort_values("year")
        if len(part):
            first = part.iloc[0]
            cells = [tables.indicator_cell(r) for r in part.itertuples()]
            panels.append((Text(first["zh"], first["en"]), [int(y) for y in part["year"]], cells))
    title = Text("主要指标走势", "Main indicators over the plan")
    blocks.append(Figure("trend", title, charts.small_multiples(title, panels), Text("空心点为现状。比例以百分数计。", "The hollow point is today.")))  # fmt: skip
    return Chapter("present", Text("现状与指标", "Where we stand"), tuple(blocks))


def _gap(run: Run, region: Region, names: Names) -> Chapter:
    services = tables.service_ids(run)
    end = run.scenario.years[-1]
    towns = run.tables["townships"]
    last = towns[towns["year"] == end]
    shown = {s: tables.published_shares(run, s, end) for s in services}
    rows = []
    for id, part in last.groupby("township_id"):
        need = part.set_index("service")["need"]
        name = Text(str(part["name_zh"].iloc[0]), str(part["name_en"].iloc[0]))
        rows.append((name, [(float(need.get(s, 0)), shown[s].get(str(id))) for s in services]))
    title = Text(f"各乡镇需求与满足（{end} 年）", f"Need and service by township ({end})")
    blocks: list[Block] = []
    mapped = [s for s in services if f"reach_{s.split('.')[-1]}" in run.tables["areas"]]
    for s in mapped[:2]:
        name = names.service(s)
        head = Text(f"{name.zh}可达范围：规划前后", f"{name.en} in reach: before and after")
        blocks.append(Figure(f"coverage-{s.split('.')[-1]}", head, maps.coverage_map(run, region, s, head), is_map=True))  # fmt: skip
    blocks += [tables.coverage(run, names)]
    blocks.append(Figure("need", title, charts.need_bars(title, [names.service(s) for s in services], rows), Text("条末为满足率和需求人数；“*”按隐私要求不公布。", "At the end of a bar: served share and need; “*” is withheld for privacy.")))  # fmt: skip
    if mapped:
        name = names.service(mapped[0])
        head = Text(f"规划期末{name.zh}未满足需求（{end} 年）", f"{name.en} still unmet at the end ({end})")  # fmt: skip
        blocks.append(Figure("gap", head, maps.gap_map(run, region, mapped[0], head), is_map=True))
    blocks += [tables.townships(run, s, names) for s in services]
    blocks.append(tables.needs(run, names))
    return Chapter("gap", Text("需求与缺口", "Need and gap"), tuple(blocks))


def _plan(run: Run, region: Region, names: Names) -> Chapter:
    head = Text(f"规划布局（{run.scenario.years[-1]} 年）", f"The plan ({run.scenario.years[-1]})")
    return Chapter(
        "plan", Text("布局与项目库", "Layout and project list"),
        (
            Figure("siting", head, maps.siting_map(run, region, names, head), is_map=True),
            tables.projects(run, names),
            tables.access(run, names),
        ),
    )  # fmt: skip


def _money(run: Run) -> Chapter:
    blocks: list[Block] = [tables.payers(run)]
    table = run.tables["payers"]
    capital = table[table["pool"] == "capital"]
    if len(capital):
        who = list(capital["payer"].drop_duplicates())
        who = [p for p in who if p != "unassigned"] + [p for p in who if p == "unassigned"]
        bars = []
        for year, part in capital.groupby("year"):
            by = part.set_index("payer")["yuan"]
            bars.append((tables.year_title(run, int(str(year))), [float(by.get(p, 0)) for p in who]))  # fmt: skip
        title = Text("建设资金来源", "Capital by payer")
        blocks.append(Figure("payers", title, charts.stacked(title, bars, [word(PAYERS, p) for p in who])))  # fmt: skip
    yearly = run.tables["money"]
    parts = [p for p in ("fees", "insurance", "public") if p in set(yearly["item"])]
    bars = []
    for year, part in yearly.groupby("year"):
        by = part.set_index("item")["yuan_year"]
        bars.append((tables.year_title(run, int(str(year))), [max(float(by.get(p, 0)), 0.0) for p in parts]))  # fmt: skip
    title = Text("年运行费用由谁承担", "Who bears the yearly running cost")
    words = [Text("服务收费", "Fees"), Text("长期护理保险", "Long-term care insurance"), Text("财政承担（年运行缺口）", "Public money (yearly running gap)")]  # fmt: skip
    blocks.append(Figure("running", title, charts.stacked(title, bars, words[: len(parts)])))
    blocks += [tables.money(run), tables.pools(run)]
    return Chapter("money", Text("资金与人员", "Money and staff"), tuple(blocks))


def _use(runs: Sequence[Run], names: Names) -> Chapter:
    rows = []
    main = runs[0]
    for run, year, name in [
        (main, main.scenario.base_year, tables.year_title(main, main.scenario.base_year)),
        *((r, r.scenario.years[-1], r.scenario.title.text) for r in runs),
    ]:
        use = run.tables["use"]
        beds = use[(use["service"] == "elderly.resident") & (use["year"] == year)]
        rows.append((name, float(beds["places"].sum()), float(beds["assigned"].sum()), float(beds["free_choice"].sum())))  # fmt: skip
    title = Text("床位使用：规划安排与自由选择", "Bed use: as assigned and by free choice")
    words = Text(
        "“规划安排”是统筹安排入住下的使用上限；“自由选择”按距离、费用意愿各自选择。床位再多，愿意去的人有限，偏远床位会空置。",
        "“As assigned” is an upper bound, with places given out centrally; “free choice” lets people choose by distance and fee. Remote beds stay empty however many there are.",
    )
    return Chapter("use", Text("床位使用", "Use of places"), (Figure("bed-use", title, charts.bed_use(title, rows), words), tables.use(main, names)))  # fmt: skip


def _fairness(runs: Sequence[Run], names: Names) -> Chapter:
    run = runs[0]
    blocks: list[Block] = []
    for service in tables.service_ids(run)[:1]:
        table = run.tables["changes"]
        table = table[table["service"] == service]
        base, end = run.scenario.base_year, run.scenario.years[-1]
        first, last = (tables.published_shares(run, service, y) for y in (base, end))
        rows = [
            (Text(str(r.name_zh), str(r.name_en)), first.get(str(r.township_id)), last.get(str(r.township_id)))
            for r in table.itertuples()
        ]  # fmt: skip
        name = names.service(service)
        title = Text(f"各乡镇{name.zh}满足率：现状与规划期末", f"{name.en}: served share by township, today and end")  # fmt: skip
        blocks.append(Figure("dumbbells", title, charts.dumbbells(title, rows)))
        blocks.append(tables.gains(runs, service, names))
    return Chapter(
        "fairness", Text("哪些乡镇受益、哪些下降", "Who gains and who loses"), tuple(blocks)
    )


def _alternatives(runs: Sequence[Run]) -> Chapter:
    if len(runs) < 2:
        return Chapter("alternatives", Text("方案比较", "Alternatives"), ())
    notes = [Items(tuple(Text(f"{r.scenario.title.zh}:{r.scenario.note.zh}", f"{r.scenario.title.en}: {r.scenario.note.en}") for r in runs if r.scenario.note))]  # fmt: skip
    words = Paragraph(
        Text("每列为一个方案的规划期末值；投资为末期投资。某方案包含更多可选做法时，结果不会更差，比较时应一并看到。",
             "One column a plan, at the end of the term; investment is that of the last period. A plan that may choose from more can do no worse: read it so."),
        "note",
    )  # fmt: skip
    return Chapter("alternatives", Text("方案比较", "Alternatives"), (*(n for n in notes if n.items), words, tables.scoreboard(runs)))  # fmt: skip


def _uncertainty(run: Run, notes: Sequence[Note]) -> Chapter:
    blocks: list[Block] = [
        Paragraph(
            Text("结果随意愿曲线、人口走势与点位的假定而变。下列各表给出重复计算的结果；未列出的假定未作检验。",
                 "Results move with the willingness curve, the population and the placement assumed. The tables below repeat the run; what is not listed was not tested."),
        )
    ]  # fmt: skip
    for note in notes:
        blocks.append(Paragraph(note.words))
        if note.lines is not None:
            x, y, series = note.lines
            words = (note.columns[x][0], note.columns[y][0])
            frame = note.table.dropna(subset=[x, y])
            blocks.append(Figure(f"note-{note.id}", note.title, charts.line_chart(note.title, frame, x, y, series, words)))  # fmt: skip
        blocks.append(tables.note_table(note))
    if not notes:
        blocks.append(Paragraph(Text("本报告未附敏感性计算。", "No repeated runs are attached to this report."), "warning"))  # fmt: skip
    return Chapter("uncertainty", Text("不确定性", "Uncertainty"), tuple(blocks))


def _method(run: Run) -> Chapter:
    m = run.measures
    gap = written(Quantity(float(m["gap"]), "gap")).zh
    status = word(STATUS, str(m["status"]))
    items = (
        Text("先推算分村、分年龄人口，再按失能等级估算需求，按到达时间和费用折算愿意接受服务的比例。",
             "People by place and age are projected, need is estimated by grade, and the share willing to use a service follows travel time and fee."),
        Text("在资金、人员、规模、可达和先安置后撤并等规则下，同时决定在哪里、何时、建多大、谁去哪里。",
             "Under rules on money, staff, size, reach and resettlement first, one calculation decides where, when, how large, and who goes where."),
        Text("方案由另一段不共用代码的程序逐条复核，复核不通过的方案不会出现在报告中。",
             "Every plan is checked rule by rule by separate code; one that fails never reaches a report."),
        Text(f"求解状态：{status.zh}；求解精度 {gap}；{m['solver']}。", f"Status: {status.en}; gap {gap}; {m['solver']}."),
    )  # fmt: skip
    return Chapter("method", Text("方法与求解精度", "Method and gap"), (Items(items), tables.objectives(run), tables.rules(run)))  # fmt: skip


def _assumptions(run: Run, names: Names) -> Chapter:
    s = run.scenario
    variant = {"low": "低", "medium": "中", "high": "高"}[s.population.variant]
    base = {"resident": Text("常住人口", "residents"), "registered": Text("户籍人口", "registered people")}[s.population.base]  # fmt: skip
    curves = "、".join(sorted(set(s.need.willingness.values()))) or "assumed-default"
    items = [
        Text(f"人口：{variant}方案；口径：{base.zh}。", f"Population: {s.population.variant} variant; counted are {base.en}."),
        Text(f"失能定义：{run.inputs['definition']}；需求数据性质：{run.inputs['need_mark']}。", f"Definition of disability: {run.inputs['definition']}; need is {run.inputs['need_mark']}."),
        Text(f"意愿曲线：{curves}；默认曲线为假定，未用本地数据校准。", f"Willingness curve: {curves}; the default one is assumed, not calibrated locally."),
        Text(f"意愿曲线放平程度：{s.need.flatten:g}（0 为原曲线，1 为距离不起作用）。", f"Curve flattened by {s.need.flatten:g} (0: as given; 1: distance counts for nothing)."),
        Text(f"折现率：{100 * s.discount_rate:g}%。", f"Discount rate: {100 * s.discount_rate:g}%."),
        Text("服务：" + "、".join(names.service(x).zh for x in s.services) + "。", "Services: " + ", ".join(names.service(x).en for x in s.services) + "."),
    ]  # fmt: skip
    if s.population.phase_in is not None:
        p = s.population.phase_in
        items.append(Text(f"至 {p.by} 年逐步改按{ {'resident': '常住', 'registered': '户籍'}[p.to] }人口提供。", f"Moves to {p.to} people by {p.by}."))  # fmt: skip
    for name, pool in s.resources.items():
        supply = [(y, v) for y, v in sorted(pool.supply.items())]
        shown = [(y, None if v >= 1e29 else v) for y, v in supply]
        zh = "；".join(f"{y} 年起 {_amount(v, pool.unit).zh}" for y, v in shown)
        en = "; ".join(f"from {y}: {_amount(v, pool.unit).en}" for y, v in shown)
        items.append(Text(f"{word(POOLS, name).zh}:{zh}。", f"{word(POOLS, name).en}: {en}."))
    blocks: list[Block] = [Items(tuple(items)), *policy.norm_blocks(run, names)]
    return Chapter("assumptions", Text("假定与标准", "Assumptions and norms"), tuple(blocks))


def _amount(value: float | None, unit: str) -> Text:
    if value is None:
        return Text("不限", "unlimited")
    if unit.startswith("yuan"):
        text = money_text(value)
        return Text(text.zh + "/年", text.en + " a year") if "year" in unit else text
    return Text(f"{value:,.0f} 人" if unit == "person" else f"{value:,.0f} {unit}", f"{value:,.0f} {unit}s")  # fmt: skip


def _gaps(run: Run) -> Chapter:
    gaps = [f for f in run.findings if f.code.startswith("data-gap")]
    rest = [f for f in run.findings if not f.code.startswith("data-gap") and f.code != "out-of-reach"]  # fmt: skip
    blocks: list[Block] = []
    if gaps:
        blocks.append(Paragraph(Text("下列资料本县未提供，暂用带标注的默认值代替；补齐后应重新计算。", "The county has not given these; marked defaults stand in. Run again when they are known.")))  # fmt: skip
        blocks.append(Items(tuple(Text(f.what.zh + f.remedy.zh, f"{f.what.en} {f.remedy.en}") for f in gaps)))  # fmt: skip
    else:
        blocks.append(Paragraph(Text("读入资料时未登记数据缺口。", "Reading the inputs recorded no data gap.")))  # fmt: skip
    if rest:
        blocks.append(Paragraph(Text("计算过程中另有下列提示：", "Other findings on the way:")))
        blocks.append(Items(tuple(Text(f.what.zh + f.remedy.zh, f"{f.what.en} {f.remedy.en}") for f in rest)))  # fmt: skip
    return Chapter("data-gaps", Text("数据缺口清单", "Data gaps"), tuple(blocks))


def _limits(run: Run) -> Chapter:
    limits = (
        Text("需求与人口为推算值，村一级仅作计算单元，公布到乡镇。", "Need and population are modelled; villages are units of calculation, results are published by township."),
        Text("“规划安排”假定可统筹安排入住，实际使用以“自由选择”为下限参考。", "“As assigned” supposes places are given out centrally; read “free choice” beside it."),
        Text("出行时间为道路里程或直线折算，未计公共交通班次、天气与季节。", "Travel is by road table or straight line; timetables, weather and seasons are not counted."),
        Text("投资与运行成本为单位造价推算，不替代可行性研究与预算评审。", "Costs follow unit costs; they do not replace a feasibility study or budget review."),
        Text("求解精度只说明计算，不说明数据的准确程度。", "The gap speaks of the calculation, not of the data's accuracy."),
    )  # fmt: skip
    scope = (
        Text(
            "医疗服务、长期护理保险待遇资格与基金平衡",
            "Medical care, insurance entitlement and fund balance",
        ),
        Text(
            "土地征收、施工图与控制性详细规划调整",
            "Land acquisition, construction drawings, control-plan changes",
        ),
        Text(
            "机构评级、收费审批与从业人员培训安排",
            "Grading of homes, fee approval, training of staff",
        ),
        Text("公众参与与专家论证程序", "Public participation and expert review"),
    )
    return Chapter(
        "limits", Text("局限与未纳入范围", "Limits and what is left out"),
        (Items(limits), Paragraph(Text("未纳入范围：", "Left out:")), Items(scope), *policy.out_of_scope(run)),
    )  # fmt: skip


def _annex(run: Run) -> Chapter:
    sources: list[Any] = list(run.inputs["sources"])
    lines = [_same(" · ".join(str(v) for v in s.values() if v)) for s in sources]
    digests = [f"{k}: {str(v)[:16]}" for k, v in run.inputs["digests"].items()]
    packages = ", ".join(f"{k} {v}" for k, v in sorted(run.inputs["packages"].items()))
    blocks: list[Block] = [Paragraph(Text("数据来源", "Data sources"))] if lines else []
    if lines:
        blocks.append(Items(tuple(lines)))
    blocks.append(Paragraph(Text(f"输入文件指纹：{';'.join(digests) or '—'}。", f"Digests of the inputs: {'; '.join(digests) or '—'}."), "note"))  # fmt: skip
    blocks.append(Paragraph(Text(f"软件：{packages}。坐标系：{run.inputs['crs']}。", f"Software: {packages}. Coordinates: {run.inputs['crs']}."), "note"))  # fmt: skip
    if "standards" in run.tables:
        blocks.append(policy.standards(run, used=False))
    return Chapter("annex", Text("附录：来源与留痕", "Annex: sources and provenance"), tuple(blocks), annex=True)  # fmt: skip
