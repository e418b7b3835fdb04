"""The chapter on a study: every run in a row, the frontier, what moves results, regret, what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from allocator.errors import Text
from allocator.report.cells import Cell, Kind, Quantity, money_text, written
from allocator.report.document import Block, Chapter, Column, Figure, Paragraph, Table
from allocator.report.settings import setting_value
from allocator.report.study_charts import frontier_chart, regret_chart, tornado_chart
from allocator.report.words import Names

__all__ = ["StudyView", "study_chapter"]

MOST_RUNS, MOST_TOLD = 60, 2
"""Runs listed, and settings that tell a run apart in a title."""
HALF = 0.5
KINDS: Mapping[str, tuple[Kind, Text]] = {
    "share": ("share", Text("%", "%")), "yuan": ("money", Text("万元", "million yuan")),
    "yuan/year": ("money", Text("万元/年", "million yuan a year")), "minute": ("minutes", Text("分钟", "minutes")),
    "place": ("count", Text("张", "places")), "person": ("count", Text("人", "persons")),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """What a study came to, as a report shows it.

    Parameters
    ----------
    title, note
        The study's own.
    table
        One row a run that has a plan: ``name``, what was set and what came of it.
    settings, measures
        Columns of ``table`` that are shown, with their words and units.
    cost, gain
        The two columns of frontier and steps.
    frontier, steps, tornado, regret
        As `compare.trade_offs` gives them; None where the study asks for none.
    sites
        Share of runs that do the same at each site (`StudyResults.no_regret`).
    failed
        Name and reason of every run without a plan.
    titles
        Words of plans and futures by name, as settings and the table of regret name them.
    """

    title: Text
    note: Text
    table: pd.DataFrame
    settings: Mapping[str, tuple[Text, str]]
    measures: Mapping[str, tuple[Text, str]]
    cost: str = ""
    gain: str = "resident_met"
    frontier: pd.DataFrame | None = None
    steps: pd.DataFrame | None = None
    tornado: pd.DataFrame | None = None
    regret: pd.DataFrame | None = None
    sites: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: tuple[tuple[str, Text], ...] = ()
    titles: Mapping[str, Text] = field(default_factory=dict)

    def words(self, column: str) -> tuple[Text, str]:
        """Return the words and unit of a column; its name where it has none."""
        return {**self.measures, **self.settings}.get(column, (Text(column, column), ""))

    def label(self, name: str, *, with_plan: bool = True) -> Text:
        """Return what was set in a run, to tell it from the others; its name where nothing was."""
        row = self.table[self.table["name"] == name]
        told = [c for c in self.settings if c in ("base", "future")] if "future" in self.settings else list(self.settings)  # fmt: skip
        told = [c for c in told if with_plan or c != "base"]
        if not len(row) or not told or len(told) > MOST_TOLD:
            return Text(name, name)
        said = [(c, self.words(c)[0], self.value(c, row[c].iloc[0])) for c in told]
        zh = "、".join(v.zh if c in ("base", "future") else f"{w.zh} {v.zh}" for c, w, v in said)
        en = ", ".join(v.en if c in ("base", "future") else f"{w.en.lower()} {v.en}" for c, w, v in said)  # fmt: skip
        return Text(zh, en[:1].upper() + en[1:])

    def value(self, column: str, value: object) -> Text:
        """Return the value of a setting in words, with its unit."""
        if str(value) in self.titles:
            return self.titles[str(value)]
        return setting_value(value, self.words(column)[1], Names([], None))


def study_chapter(view: StudyView, names: Names) -> Chapter:
    """Return the chapter; figures and tables are left out where the study asks for none."""
    count = len(view.table)
    lost = Text(f"，另有 {len(view.failed)} 次没有得出方案", f"; {len(view.failed)} more gave no plan") if view.failed else Text("", "")  # fmt: skip
    varied = [w for w, _ in view.settings.values()]
    blocks: list[Block] = [
        Paragraph(
            Text(f"研究“{view.title.zh}”把同一计算做了 {count} 次{lost.zh}，各次只改动：{'、'.join(w.zh for w in varied) or '—'}。{view.note.zh}",
                 f"The study “{view.title.en}” does the same calculation {count} times{lost.en}; the runs differ in: {', '.join(w.en.lower() for w in varied) or '—'}. {view.note.en}".rstrip())
        )
    ]  # fmt: skip
    (cost, cost_unit), (gain, gain_unit) = view.words(view.cost), view.words(view.gain)
    if view.frontier is not None and len(view.frontier):
        title = Text(f"{gain.zh}与{cost.zh}", f"{gain.en} by {cost.en.lower()}")
        drawn = frontier_chart(view.frontier, cost, gain, _writer(cost_unit), _writer(gain_unit))
        words = Text(
            "每点为一次运行；圆点连成前沿，叉号在这两项上都不优于另一方案（其他方面仍可能更好），星号为所选方案。",
            "A point is a run; discs make the frontier, crosses are no better than another in these two (they may be in others), the star is the plan chosen.",
        )
        blocks.append(Figure("study-frontier", title, drawn, words))
    if view.steps is not None and len(view.steps):
        blocks.append(_steps(view))
    if view.tornado is not None and len(view.tornado):
        ends = {c: [view.value(str(s), v) for s, v in zip(view.tornado["setting"], view.tornado[c], strict=True)] for c in ("low", "high")}  # fmt: skip
        told = view.tornado.assign(
            setting=[view.words(str(s))[0] for s in view.tornado["setting"]], **ends
        )
        title = Text(f"各项假设对{gain.zh}的影响", f"How far assumptions move: {gain.en.lower()}")
        blocks.append(
            Figure(
                "study-tornado", title, tornado_chart(told, gain, _writer(gain_unit), titled=False)
            )
        )
    if view.regret is not None and len(view.regret):
        title = Text(
            "各方案在各种情形下比最好的差多少", "How much worse than the best known, by future"
        )
        blocks.append(Figure("study-regret", title, regret_chart(_named(view, view.regret), _writer(""), titled=False), _regret_words(view, view.regret)))  # fmt: skip
    blocks.append(_runs(view))
    if len(view.sites) and (view.sites["share_of_state"] >= HALF).any():
        blocks.append(_sites(view, names))
    if view.failed:
        columns = (Column("run", Text("运行", "Run")), Column("why", Text("没有方案的原因", "Why there is no plan"), wide=True))  # fmt: skip
        blocks.append(Table("study-failed", Text("没有得出方案的运行", "Runs without a plan"), columns, view.failed))  # fmt: skip
    return Chapter("study", Text("多方案研究", "The study"), tuple(blocks))


def _named(view: StudyView, regret: pd.DataFrame) -> pd.DataFrame:
    """Return the table of regret with plans by their titles and futures by short names."""

    def said(name: object) -> Text:
        return view.titles.get(str(name), Text(str(name), str(name)))

    short = {f: Text(f"情形 {f}", f"Future {f}") if str(f).isdigit() else said(f) for f in regret.columns if f != "worst"}  # fmt: skip
    return regret.set_axis([said(n) for n in regret.index]).rename(columns=short)


def _regret_words(view: StudyView, regret: pd.DataFrame) -> Text:
    told = [(f, view.titles[str(f)]) for f in regret.columns if str(f).isdigit() and str(f) in view.titles]  # fmt: skip
    zh = "".join(f"情形 {f}：{t.zh}。" for f, t in told)
    en = " ".join(f"Future {f}: {t.en}." for f, t in told)
    return Text(
        f"数值为首要目标值与该情形下已知最好方案之差，0 为最好；目标及单位见附录“方法与求解精度”。{zh}",
        f"Figures are the first objective less that of the best plan known in the future, 0 the best; the annex on method names the objective and its unit. {en}".rstrip(),
    )


def _runs(view: StudyView) -> Table:
    shown = {**view.settings, **view.measures}
    columns = [Column("run", Text("运行", "Run"))]
    for name, (words, unit) in shown.items():
        columns.append(Column(name, words, KINDS[unit][1] if unit in KINDS else Text("", "")))
    columns.append(Column("gap", Text("求解精度", "Gap")))
    rows: list[tuple[Cell, ...]] = []
    for r in view.table.head(MOST_RUNS).to_dict("records"):
        cells = [
            view.value(name, r[name]) if isinstance(r[name], str) else _cell(r[name], unit)
            for name, (_, unit) in shown.items()
        ]
        rows.append((str(r["name"]), *cells, Quantity(float(r["gap"]), "gap")))
    more = len(view.table) - len(rows)
    note = Text(f"另有 {more} 次运行见研究文件夹中的 table.csv。", f"{more} more runs stand in table.csv of the study's folder.") if more else Text("", "")  # fmt: skip
    return Table("study-runs", Text("各次运行的设定与结果（规划期末）", "Runs: what was set and what came of it (end of plan)"), tuple(columns), tuple(rows), note=note)  # fmt: skip


def _steps(view: StudyView) -> Table:
    assert view.steps is not None
    (cost, cost_unit), (gain, gain_unit) = view.words(view.cost), view.words(view.gain)
    is_share = gain_unit == "share"
    point = Text("每增加一个百分点", "For each percentage point") if is_share else Text("每增加一个单位", "For each unit")  # fmt: skip
    cost_unit_words = KINDS[cost_unit][1] if cost_unit in KINDS else Text("", "")
    columns = (
        Column("from", Text("由", "From"), wide=True), Column("to", Text("到", "To"), wide=True),
        Column("cost", Text(f"多花：{cost.zh}", f"More {cost.en.lower()}"), cost_unit_words),
        Column("gain", Text(f"多得：{gain.zh}", f"More: {gain.en.lower()}"), Text("个百分点", "percentage points") if is_share else Text("", "")),
        Column("point", point, cost_unit_words),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for r in view.steps.to_dict("records"):
        each = float(r["cost_per_gain"]) / (100 if is_share else 1)
        gained = Quantity(float(r["gain"]), "change") if is_share else _cell(r["gain"], gain_unit)
        rows.append((view.label(str(r["from"])), view.label(str(r["to"])), _cell(r["cost"], cost_unit), gained, _cell(each, cost_unit)))  # fmt: skip
    return Table("study-steps", Text("沿前沿每一步多花多少、多得多少", "What each step along the frontier costs and brings"), columns, tuple(rows))  # fmt: skip


def _sites(view: StudyView, names: Names) -> Table:
    found = view.sites[view.sites["share_of_state"] >= HALF]
    found = found.sort_values("share_of_state", ascending=False, kind="stable")
    columns = (
        Column("site", Text("地点", "Site"), wide=True), Column("today", Text("现状", "Today")), Column("state", Text("做法", "Measure"), wide=True),
        Column("share", Text("采用此做法的运行占比", "Runs that do this")),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (names.site(str(r["site_id"])), names.type(str(r["today"])), names.type(str(r["state"])), Quantity(float(r["share_of_state"]), "share"))
        for r in found.to_dict("records")
    ]  # fmt: skip
    sure = frozenset(n for n, share in enumerate(found["share_of_state"]) if share == 1.0)
    words = Text(
        f"列出半数以上运行都采用的做法；{len(sure)} 处在全部运行中相同（加底色）。",
        f"Measures of half the runs or more; {len(sure)} are the same in every run (shaded).",
    )
    return Table("study-sites", Text("多数运行都采用的做法", "Measures that hold in most runs"), columns, tuple(rows), note=words, flagged=sure)  # fmt: skip


def _cell(value: object, unit: str) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        kind: Kind = KINDS[unit][0] if unit in KINDS else "exact"
        return Quantity(float(value) if unit in KINDS else float(f"{value:.4g}"), kind)
    return str(value)


def _said(value: object, unit: str) -> Text:
    """Return a setting's value with its unit, for running text."""
    if unit.startswith("yuan") and isinstance(value, int | float):
        return money_text(float(value))
    shown, words = written(_cell(value, unit)), KINDS[unit][1] if unit in KINDS else Text("", "")
    tail = words if words.zh not in ("", "%") else None
    return Text(f"{shown.zh} {tail.zh}", f"{shown.en} {tail.en}") if tail else shown


def _writer(unit: str) -> Callable[[float], Text]:
    return lambda v: _said(float(f"{v:.6g}") if unit not in KINDS else v, unit)
