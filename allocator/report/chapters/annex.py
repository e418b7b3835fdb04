"""Annexes: method, parameters, sources, words, provenance, and one page a site."""

from __future__ import annotations

from collections.abc import Sequence

from allocator.catalogue import Catalogue
from allocator.errors import Finding, Text
from allocator.journeys import NEAREST
from allocator.region import Region
from allocator.report import policy, siting, tables
from allocator.report.cells import Quantity, money_text, written
from allocator.report.document import Block, Chapter, Column, Items, Paragraph, Table
from allocator.report.words import CURVES, DEFINITIONS, MARKS, POOLS, STATUS, Names, word
from allocator.run import Run
from allocator.standards import below_national

__all__ = ["method", "parameters", "provenance", "sites", "sources", "terms", "use"]


def method(run: Run, names: Names) -> Chapter:
    """How the plan was found and checked, and how far it may be from the best."""
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
    return Chapter("method", Text("附录：方法与求解精度", "Annex: method and gap"), (Items(items), tables.objectives(run), tables.rules(run, names)), annex=True)  # fmt: skip


def parameters(run: Run, names: Names) -> Chapter:
    """What the plan supposes, in words."""
    s = run.scenario
    variant = {"low": "低", "medium": "中", "high": "高"}[s.population.variant]
    base = {"resident": Text("常住人口", "residents"), "registered": Text("户籍人口", "registered people")}[s.population.base]  # fmt: skip
    curves = [word(CURVES, c) for c in sorted(set(s.need.willingness.values()))] or [CURVES["assumed-default"]]  # fmt: skip
    definition, mark = word(DEFINITIONS, str(run.inputs["definition"])), word(MARKS, str(run.inputs["need_mark"]))  # fmt: skip
    items = [
        Text(f"人口：{variant}方案；口径：{base.zh}。", f"Population: {s.population.variant} variant; counted are {base.en}."),
        Text(f"失能定义：{definition.zh}；需求数据性质：{mark.zh}。", f"Definition of disability: {definition.en}; need is {mark.en}."),
        Text(f"意愿曲线：{'、'.join(c.zh for c in curves)}；默认曲线为假定，未用本地数据校准。", f"Willingness: {', '.join(c.en for c in curves)}; the default one is assumed, not calibrated locally."),
        Text(f"意愿曲线放平程度：{s.need.flatten:g}（0 为原曲线，1 为距离不起作用）。", f"Curve flattened by {s.need.flatten:g} (0: as given; 1: distance counts for nothing)."),
        Text(f"折现率：每年 {100 * s.discount_rate:g}%。", f"Discount rate: {100 * s.discount_rate:g}% a year."),
        Text("服务：" + "、".join(names.service(x).zh for x in s.services) + "。", "Services: " + ", ".join(names.service(x).en for x in s.services) + "."),
    ]  # fmt: skip
    for service, factor in sorted(s.need.factor.items()):
        name = names.service(service)
        items.append(Text(f"{name.zh}需求按 {factor:g} 倍计。", f"Need of {name.en.lower()} is multiplied by {factor:g}."))  # fmt: skip
    if s.population.phase_in is not None:
        p = s.population.phase_in
        items.append(Text(f"至 {p.by} 年逐步改按{ {'resident': '常住', 'registered': '户籍'}[p.to] }人口提供。", f"Moves to {p.to} people by {p.by}."))  # fmt: skip
    for name_, pool in s.resources.items():
        supply = [(y, v) for y, v in sorted(pool.supply.items())]
        shown = [(y, None if v >= 1e29 else v) for y, v in supply]
        zh = "；".join(f"{y} 年起 {_amount(v, pool.unit).zh}" for y, v in shown)
        en = "; ".join(f"from {y}: {_amount(v, pool.unit).en}" for y, v in shown)
        items.append(Text(f"{word(POOLS, name_).zh}：{zh}。", f"{word(POOLS, name_).en}: {en}."))
    blocks: list[Block] = [Items(tuple(items))]
    if "standards" in run.tables and (rest := policy.standards(run, cited=False)).rows:
        blocks.append(rest)
    return Chapter("parameters", Text("附录：参数与假定", "Annex: parameters and assumptions"), tuple(blocks), annex=True)  # fmt: skip


def _amount(value: float | None, unit: str) -> Text:
    if value is None:
        return Text("不限", "unlimited")
    if unit.startswith("yuan"):
        text = money_text(value)
        return Text(text.zh + "/年", text.en + " a year") if "year" in unit else text
    return Text(f"{value:,.0f} 人" if unit == "person" else f"{value:,.0f} {unit}", f"{value:,.0f} {unit}s")  # fmt: skip


def sources(run: Run, names: Names) -> Chapter:
    """Data sources with marks, and what was found on the way."""
    blocks: list[Block] = []
    table = tables.sources(run)
    if table.rows:
        blocks.append(table)
    low = below_national(run.findings)
    if low:
        blocks.append(Paragraph(Text("本地标准低于国家标准的事项：", "Local norms below the national ones:"), "warning"))  # fmt: skip
        blocks.append(Items(tuple(_said(f, names) for f in low)))
    rest = [f for f in run.findings if not f.code.startswith("data-gap") and f.code != "out-of-reach" and f not in low]  # fmt: skip
    if rest:
        blocks.append(Paragraph(Text("计算过程中另有下列提示：", "Other findings on the way:")))
        blocks.append(Items(tuple(_said(f, names) for f in rest)))
    return Chapter("sources", Text("附录：数据来源", "Annex: data sources"), tuple(blocks), annex=True)  # fmt: skip


def _said(finding: Finding, names: Names) -> Text:
    what, remedy = _without_places(finding.what), finding.remedy
    return names.said(Text(what.zh + remedy.zh, f"{what.en} {remedy.en}"))


def _without_places(what: Text) -> Text:
    """Leave out codes of single villages: the township is the finest that is published."""
    return Text(what.zh.partition(NEAREST.zh)[0], what.en.partition(NEAREST.en)[0].rstrip())


def use(run: Run, names: Names) -> Chapter:
    """Every facility's use at the end."""
    return Chapter("facility-use", Text("附录：各设施使用情况", "Annex: use of each facility"), (tables.use(run, names),), annex=True)  # fmt: skip


def terms() -> Chapter:
    """The words of the report."""
    return Chapter("terms", Text("附录：用语说明", "Annex: words explained"), (tables.terms(),), annex=True)  # fmt: skip


def provenance(run: Run) -> Chapter:
    """Digests, versions, coordinate system."""
    columns = (
        Column("file", Text("输入文件", "Input file"), wide=True),
        Column("digest", Text("指纹（SHA-256 前 16 位）", "Digest (SHA-256, first 16)")),
    )
    digests = tuple((str(k), str(v)[:16]) for k, v in run.inputs["digests"].items())
    packages = ", ".join(f"{k} {v}" for k, v in sorted(run.inputs["packages"].items()))
    lines = (
        Text(f"软件：{packages}。坐标系：{run.inputs['crs']}。", f"Software: {packages}. Coordinates: {run.inputs['crs']}."),
        Text(f"方案指纹：{str(run.inputs['scenario_digest'])[:16]}；标准目录版本：{run.inputs['catalogue']}；运行编号：{run.id}。",
             f"Digest of the scenario: {str(run.inputs['scenario_digest'])[:16]}; catalogue version: {run.inputs['catalogue']}; run id: {run.id}."),
    )  # fmt: skip
    blocks: list[Block] = [Paragraph(t, "note") for t in lines]
    title = Text("输入文件及其指纹", "Input files and their digests")
    blocks.append(Table("digests", title, columns, digests))
    return Chapter("provenance", Text("附录：留痕", "Annex: provenance"), tuple(blocks), annex=True)  # fmt: skip


def sites(runs: Sequence[Run], region: Region, names: Names, catalogue: Catalogue | None) -> Chapter:  # fmt: skip
    """一点一表: a page for each site of the project list."""
    return Chapter("sites", Text("附录：一点一表", "Annex: one page a site"), siting.pages(runs, region, names, catalogue), annex=True)  # fmt: skip
