"""What a report says of the policy behind a plan: norms cited, how items are provided, what is left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from allocator.errors import Text, plural
from allocator.report.cells import Cell
from allocator.report.document import Block, Column, Items, Paragraph, Table
from allocator.report.words import PAYERS, Names, norm_source, word
from allocator.run import Run
from allocator.standards import MARK_WORDS

__all__ = ["items", "norm_blocks", "out_of_scope", "standards"]

LEVELS = {
    "national": Text("国家", "national"), "local": Text("地方", "local"), "example": Text("示例", "example"),
    "reference": Text("参考", "reference"), "default": Text("缺省", "default"),
}  # fmt: skip
USED = {
    "rule": Text("规则依据", "a rule relies on it"),
    "service": Text("所涉服务", "of a planned service"),
}
CITED = ("national", "provincial", "local")
PLURALS = {
    "bed": "beds", "city": "cities", "class": "classes", "community": "communities", "dwelling": "dwellings", "facility": "facilities",
    "factor": "times", "function": "functions", "hectare": "hectares", "item": "items", "minute": "minutes", "person": "persons",
    "township": "townships", "vehicle": "vehicles", "village": "villages", "worker": "workers", "year": "years", "area": "areas",
}  # fmt: skip
NOTE = Text(
    "“未核实”为常识性引用,原文未重新核对,引用前须与标准原文核对;“据公开说明”来自二手资料。",
    "“unconfirmed” is general knowledge of the cited standard, its text not re-read: check it before citing. “stated” is second-hand.",
)


def standards(run: Run, *, cited: bool = True) -> Table:
    """Norms of the plan's services with value, group, number and year, and mark.

    Those that are cited: national, provincial and local ones and those of a rule; or the others, which
    are defaults, figures for reference and examples elsewhere. What the catalogue holds of other
    services stays out of a report. Runs stored before norms were kept list the ids of those unconfirmed.
    """
    title = Text("采用的标准", "Norms used")
    id = "standards"
    if not cited:
        title = Text(
            "缺省值、参考值与外地实例", "Defaults, reference figures and examples elsewhere"
        )
        id = "standards-others"
    if "standards" not in run.tables:
        two = (
            Column("standard", Text("标准", "Standard")),
            Column("mark", Text("核实情况", "Mark")),
        )
        short = tuple((s, MARK_WORDS["unconfirmed"]) for s in run.inputs["unconfirmed_standards"])
        return Table(id, title, two, short, flagged=frozenset(range(len(short))))
    table = run.tables["standards"]
    table = table[table["used"] != ""]
    table = table[(table["level"].isin(CITED) | (table["used"] == "rule")) == cited]
    use = (Column("use", Text("用途", "Use")),)[: table["used"].nunique() > 1]
    columns = (
        Column("standard", Text("标准", "Norm"), wide=True), Column("value", Text("数值", "Value")),
        Column("group", Text("对象", "Group")), Column("level", Text("层级", "Level")),
        Column("basis", Text("依据(标准号与年份)", "Basis (number and year)"), wide=True),
        Column("span", Text("有效期", "In force")), *use,
        Column("mark", Text("核实情况", "Mark")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    for n, r in enumerate(table.to_dict("records")):
        if r["mark"] == "unconfirmed":
            flagged.add(n)
        rows.append(
            (
                Text(r["title_zh"], r["title_en"]), _amount(float(r["value"]), r["unit_zh"], r["unit_en"]),
                Text(r["group_zh"], r["group_en"]), word(LEVELS, r["level"]), norm_source(str(r["basis"])),
                _span(str(r["valid_from"]), str(r["valid_until"] or "")), *(USED[r["used"]] for _ in use), word(MARK_WORDS, r["mark"]),
            )
        )  # fmt: skip
    return Table(id, title, columns, tuple(rows), note=NOTE, flagged=frozenset(flagged))


def _amount(value: float, zh: str, en: str) -> Text:
    """Return the value of a norm with its unit, shares as per cent."""
    if en == "share":
        share = f"{100 * value:,.10g}%"
        return Text(share, share)
    shown = f"{value:,.10g}"
    unit = PLURALS.get(en, en) if value != 1 else en
    return Text(f"{shown} {zh}", f"{shown} {unit.replace('m2', 'm²')}")


def _span(first: str, last: str) -> Text:
    if not last:
        return Text(f"{first} 起", f"from {first}")
    return Text(f"{first} 至 {last}", f"{first} to {last}")


def _quality(run: Run) -> Table:
    columns = (
        Column("quality", Text("项目", "Aspect"), wide=True), Column("criterion", Text("要求", "Criterion"), wide=True),
        Column("basis", Text("依据(标准号与年份)", "Basis (number and year)"), wide=True), Column("mark", Text("核实情况", "Mark")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    for n, r in enumerate(run.tables["quality"].to_dict("records")):
        if r["mark"] == "unconfirmed":
            flagged.add(n)
        known = pd.notna(r["value"])
        amount = _amount(float(r["value"]), r["unit_zh"], r["unit_en"]) if known else None
        zh = f"{r['criterion_zh']} {amount.zh}" if amount else r["criterion_zh"]
        en = f"{r['criterion_en']} {amount.en}" if amount else r["criterion_en"]
        rows.append((Text(r["name_zh"], r["name_en"]), Text(zh, en), norm_source(str(r["basis"])), word(MARK_WORDS, r["mark"])))  # fmt: skip
    title = Text("基本质量标准", "Basic quality standards")
    return Table("quality", title, columns, tuple(rows), flagged=frozenset(flagged))


def items(run: Run, names: Names) -> Table | None:
    """How the place-based items of the plan are provided, who pays, and why where one builds one's own."""
    if "items" not in run.tables:
        return None
    table = run.tables["items"]
    table = table[table["is_planned"]]
    if not len(table):
        return None
    columns = (
        Column("item", Text("事项", "Item"), wide=True), Column("domain", Text("领域", "Domain")),
        Column("service", Text("服务", "Service")), Column("mode", Text("提供方式", "Provision")),
        Column("new", Text("新增", "New")), Column("reason", Text("自行举办理由", "Reason for one's own"), wide=True),
        Column("payer", Text("支出责任", "Payers")), Column("mark", Text("核实情况", "Mark")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in table.to_dict("records"):
        who = [word(PAYERS, p) for p in str(r["payer"]).split("|") if p]
        rows.append(
            (
                Text(r["name_zh"], r["name_en"]), Text(r["domain_zh"], r["domain_en"]), names.service(str(r["service"])),
                Text(r["mode_zh"], r["mode_en"]), Text("是", "yes") if r["is_new"] else Text("否", "no"),
                Text(r["reason_zh"] or "—", r["reason_en"] or "—"),
                Text("、".join(w.zh for w in who), ", ".join(w.en for w in who)), word(MARK_WORDS, r["mark"]),
            )
        )  # fmt: skip
    note = Text(
        "新增事项优先以政府购买服务方式提供;自行举办的写明理由。",
        "New items go to purchase of service first; one's own provision states its reason.",
    )
    return Table("items", Text("事项与提供方式", "Items and how they are provided"), columns, tuple(rows), note=note)  # fmt: skip


def norm_blocks(run: Run, names: Names) -> list[Block]:
    """The norms of the plan, basic quality beside them, items, and how many norms are unconfirmed."""
    has = "standards" in run.tables
    blocks: list[Block] = [standards(run)]
    if has and len((rest := standards(run, cited=False)).rows):
        blocks.append(Paragraph(Text(f"另有缺省值、参考值和外地实例 {len(rest.rows)} 项，列于附录“参数与假定”。", f"{plural(len(rest.rows), 'default, reference figure or example elsewhere stands', 'defaults, reference figures and examples elsewhere stand')} in the annex on parameters."), "note"))  # fmt: skip
    if has and len(run.tables["quality"]):
        blocks.append(_quality(run))
    provided = items(run, names)
    if provided is not None:
        blocks.append(provided)
    shown = run.tables["standards"] if has else None
    marked = (
        int(((shown["used"] != "") & (shown["mark"] == "unconfirmed")).sum())
        if shown is not None
        else len(run.inputs["unconfirmed_standards"])
    )
    if marked:
        blocks.append(Paragraph(Text(f"本章和附录所列标准中有 {marked} 项尚未核实，引用前须与原文核对。", f"{plural(marked, 'of the norms here and in the annex is', 'of the norms here and in the annex are')} unconfirmed: check them against the text before citing."), "warning"))  # fmt: skip
    return blocks


def out_of_scope(run: Run) -> list[Block]:
    """What the policy names and the plan does not decide (未纳入范围), and items that are not sited."""
    if "out_of_scope" not in run.tables:
        return []
    lines = [
        Text(f"{r['name_zh']}:{r['reason_zh']}", f"{r['name_en']}: {r['reason_en']}")
        for r in run.tables["out_of_scope"].to_dict("records")
    ]
    table = run.tables["items"]
    for kind, zh, en in (
        ("cash", "现金给付事项(不涉及选址)", "Cash items, nothing to site"),
        ("administrative", "行政服务事项(不涉及选址)", "Administrative items, nothing to site"),
        ("place", "本方案未规划的设施类事项", "Place-based items this plan does not cover"),
    ):
        mine: Any = table[(table["kind"] == kind) & ~table["is_planned"]]
        if len(mine):
            lines.append(Text(f"{zh}:{'、'.join(mine['name_zh'])}", f"{en}: {'; '.join(mine['name_en'])}"))  # fmt: skip
    return [Items(tuple(lines))] if lines else []
