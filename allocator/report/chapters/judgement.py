"""How good the plan is: use, fairness, alternatives, uncertainty, limits."""

from __future__ import annotations

from collections.abc import Sequence

from allocator.errors import Text, plural
from allocator.region import Region
from allocator.report import charts, policy, siting, tables
from allocator.report.document import Block, Chapter, Figure, Items, Note, Paragraph
from allocator.report.spread import alternatives_of, spread_blocks
from allocator.report.words import Names
from allocator.run import Run

__all__ = ["alternatives", "fairness", "limits", "uncertainty", "use"]


def use(runs: Sequence[Run], names: Names) -> Chapter:
    """Places filled as assigned and by free choice, of each plan."""
    rows = []
    main = runs[0]
    base = main.scenario.base_year
    for run, year, name in [
        (main, base, tables.year_title(main, base)),
        *((r, r.scenario.years[-1], r.scenario.title.text) for r in runs),
    ]:
        table = run.tables["use"]
        beds = table[(table["service"] == "elderly.resident") & (table["year"] == year)]
        rows.append((name, float(beds["places"].sum()), float(beds["assigned"].sum()), float(beds["free_choice"].sum())))  # fmt: skip
    title = Text("床位使用：规划安排与自由选择", "Bed use: as assigned and by free choice")
    words = Text(
        "“规划安排”是统筹安排入住下的使用上限；“自由选择”按距离、费用意愿各自选择。床位再多，愿意去的人有限，偏远床位会空置。",
        "“As assigned” is an upper bound, with places given out centrally; “free choice” lets people choose by distance and fee. Remote beds stay empty however many there are.",
    )
    return Chapter("use", Text("床位使用", "Use of places"), (Figure("bed-use", title, charts.bed_use(title, rows), words),))  # fmt: skip


def fairness(runs: Sequence[Run], region: Region, names: Names) -> Chapter:
    """Served share by township before and after, and what each plan changes."""
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
        note = Text(
            "满足率下降多因老年人增加、需求增长快于供给；“*”按隐私要求不公布。",
            "Shares fall mostly because elders become more and need outgrows supply; “*” is withheld for privacy.",
        )
        blocks.append(Figure("dumbbells", title, charts.dumbbells(title, rows), note))
        blocks.append(tables.gains(runs, service, names))
    return Chapter("fairness", Text("均衡：规划前后", "Fairness before and after"), tuple(blocks))


def alternatives(runs: Sequence[Run]) -> Chapter:
    """Every plan in words and in one table."""
    if len(runs) < 2:
        words = Paragraph(Text("本报告只有一个方案，没有可比的其他方案。", "This report holds one plan; there is nothing to compare it with."), "warning")  # fmt: skip
        return Chapter("alternatives", Text("方案比较", "Alternatives compared"), (words,))
    said = {r.scenario.note.zh: r for r in reversed(runs) if r.scenario.note}
    told = [r for r in runs if r in said.values()]
    notes = Items(tuple(Text(f"{r.scenario.title.zh}：{r.scenario.note.zh}", f"{r.scenario.title.en}: {r.scenario.note.en}") for r in told if r.scenario.note))  # fmt: skip
    words = Paragraph(
        Text("每列为一个方案在规划期末的结果，投资为各期合计。可选做法更多的方案，结果不会更差（在求解精度之内），比较时须一并看到；求解精度大的方案还可能更好。",
             "One column a plan, at the end of the term; investment is over all periods. A plan that may choose from more can do no worse (within its gap): read it so. A plan with a large gap may yet be bettered."),
        "note",
    )  # fmt: skip
    blocks: tuple[Block, ...] = (words, tables.scoreboard(runs))
    if notes.items:
        blocks = (notes, *blocks)
    return Chapter("alternatives", Text("方案比较", "Alternatives compared"), blocks)


def uncertainty(
    runs: Sequence[Run], notes: Sequence[Note], names: Names, has_study: bool = False
) -> Chapter:
    """What moves the results, and which projects hold under every plan."""
    blocks: list[Block] = [
        Paragraph(
            Text("结果随意愿曲线、人口走势与点位的假定而变。下面给出重复计算的结果；未列出的假定未作检验。",
                 "Results move with the willingness curve, the population and the points assumed. What was repeated is below; what is not listed was not tested."),
        )
    ]  # fmt: skip
    blocks += spread_blocks(runs)
    titles = {r.scenario.name: r.scenario.title.text for r in runs}
    for note in notes:
        blocks.append(Paragraph(note.words))
        if note.lines is not None:
            x, y, series = note.lines
            words = (note.columns[x][0], note.columns[y][0])
            frame = note.table.dropna(subset=[x, y])
            blocks.append(Figure(f"note-{note.id}", note.title, charts.line_chart(note.title, frame, x, y, series, words, titles)))  # fmt: skip
        blocks.append(tables.note_table(note, titles))
    sure = None if has_study else siting.no_regret(alternatives_of(runs), names)
    if sure is not None:
        blocks.append(sure)
    if has_study:
        blocks.append(Paragraph(Text("各次运行结果的差别和多数运行都采用的做法见“多方案研究”一章。", "How the runs differ and which measures hold in most of them stands in the chapter on the study.")))  # fmt: skip
    if len(blocks) == 1:
        blocks.append(Paragraph(Text("本报告未附敏感性计算，也没有其他方案可比，稳妥项目清单无从得出。", "No repeated runs and no other plan are attached, so nothing can be said of what holds under all."), "warning"))  # fmt: skip
    return Chapter("uncertainty", Text("不确定性与稳妥项目", "Uncertainty, and what holds anyway"), tuple(blocks))  # fmt: skip


def limits(run: Run, names: Names) -> Chapter:
    """Risks, limits, what is left out, and what the county has not given."""
    projects = run.tables["projects"]
    waiting = int((projects["unchecked"] != "").sum())
    risks = [
        Text("护理员招聘不足时，床位即使建成也不能投用。", "Without the care workers, finished places cannot open."),
        Text("村级互助点依靠乡镇中心支撑，中心缓建时村级点也须缓建。", "Village points lean on a township centre; if the centre is put off, so are they."),
        Text("资金到位晚于计划时，宜先做稳妥项目清单所列各项。", "If money comes late, begin with the projects that hold under every plan."),
        Text("关停机构前须先完成在住老人（特困人员优先）的安置，原建筑仍用于养老。", "No home closes before its residents, the destitute first, are placed; its building keeps an elderly use."),
    ]  # fmt: skip
    if waiting:
        risks.insert(0, Text(f"{waiting} 项选址尚未核实三区三线、地灾、权属等，核实结果可能改变布局。", f"{plural(waiting, 'site is', 'sites are')} not yet screened for zoning, hazard, ownership; the outcome may change the layout."))  # fmt: skip
    limits = (
        Text("需求与人口为推算值，村一级仅作计算单元，公布到乡镇。", "Need and population are modelled; villages are units of calculation, results are published by township."),
        Text("“规划安排”假定可统筹安排入住，实际使用应同时看“自由选择”。", "“As assigned” supposes places are given out centrally; read “free choice” beside it."),
        Text("出行时间为道路里程或直线折算，未计公共交通班次、天气与季节。", "Travel is by road table or straight line; timetables, weather and seasons are not counted."),
        Text("投资与运行成本为单位造价推算，不替代可行性研究与预算评审。", "Costs follow unit costs; they do not replace a feasibility study or budget review."),
        Text("求解精度只说明计算，不说明数据的准确程度。", "The gap speaks of the calculation, not of the data's accuracy."),
    )  # fmt: skip
    scope = (
        Text("医疗服务、长期护理保险待遇资格与基金平衡", "Medical care, insurance entitlement and fund balance"),
        Text("土地征收、施工图与控制性详细规划调整", "Land acquisition, construction drawings, control-plan changes"),
        Text("机构评级、收费审批与从业人员培训安排", "Grading of homes, fee approval, training of staff"),
        Text("公众参与与专家论证程序", "Public participation and expert review"),
    )  # fmt: skip
    blocks: list[Block] = [
        Paragraph(Text("主要风险：", "Main risks:")), Items(tuple(risks)),
        Paragraph(Text("结果的局限：", "Limits of the results:")), Items(limits),
        Paragraph(Text("未纳入范围：", "Left out:")), Items(scope), *policy.out_of_scope(run),
    ]  # fmt: skip
    gaps = [f for f in run.findings if f.code.startswith("data-gap")]
    if gaps:
        blocks.append(Paragraph(Text("数据缺口清单：下列资料本县未提供，暂用带标注的缺省值代替；补齐后应重新计算。", "Data gaps: the county has not given these; marked defaults stand in. Run again when they are known.")))  # fmt: skip
        said = [names.said(Text(f.what.zh + f.remedy.zh, f"{f.what.en} {f.remedy.en}")) for f in gaps]  # fmt: skip
        blocks.append(Items(tuple(Text(t.zh.removeprefix("数据缺口:"), t.en.removeprefix("Data gap: ")) for t in said)))  # fmt: skip
    else:
        blocks.append(Paragraph(Text("数据缺口：读入资料时未登记数据缺口。", "Data gaps: reading the inputs recorded none.")))  # fmt: skip
    return Chapter("limits", Text("风险、局限与数据缺口", "Risks, limits and data gaps"), tuple(blocks))  # fmt: skip
