"""People, need and the norms both are measured by."""

from __future__ import annotations

from collections.abc import Sequence

from allocator.errors import Text
from allocator.region import Region
from allocator.report import charts, maps, policy, tables
from allocator.report.cells import Quantity, written
from allocator.report.document import Block, Chapter, Figure, Paragraph
from allocator.report.words import DEFINITIONS, MARKS, Names, word
from allocator.run import Run

__all__ = ["need", "population", "standards"]


def population(runs: Sequence[Run], region: Region, names: Names) -> Chapter:
    """The forecast, with its interval over sampled paths."""
    run = runs[0]
    totals = [_totals(r) for r in runs]
    years = list(totals[0].index)
    own = totals[0]
    words = Text(
        "；".join(f"{y} 年 {_n(own['people'][y])} 人，其中 60 岁及以上 {_n(own['people_60'][y])} 人（{100 * own['people_60'][y] / own['people'][y]:.1f}%）" for y in years),
        "; ".join(f"{y}: {_n(own['people'][y])} people, {_n(own['people_60'][y])} aged 60+ ({100 * own['people_60'][y] / own['people'][y]:.1f}%)" for y in years),
    )  # fmt: skip
    base = {"resident": Text("常住人口", "residents"), "registered": Text("户籍人口", "registered people")}[run.scenario.population.base]  # fmt: skip
    blocks: list[Block] = [
        Paragraph(Text(f"全县{base.zh}（推算）：{words.zh}。", f"{base.en.capitalize()} of the county (modelled): {words.en}.")),
        Paragraph(Text("预测按队列要素法，逐年推算出生、死亡与迁移，再分到乡镇和村（社区）；村一级只作计算单元，不单独公布。",
                       "The forecast follows each birth cohort through births, deaths and moves, then divides it over townships and villages; villages are units of calculation and not published.")),
    ]  # fmt: skip
    title, end = Text("人口预测", "Population forecast"), years[-1]
    lines = [
        _with_band(run, own, "people", "all", Text("总人口", "All people")),
        _with_band(run, own, "people_60", "60+", Text("60 岁及以上", "Aged 60+")),
    ]
    note = Text(
        "线为本方案采用的预测，色带为抽样路径的区间（见下表）。",
        "The line is the forecast of this plan, the band the interval over sampled paths (see the table below).",
    )
    same = [t.loc[end] for t in totals if list(t.index) == years]
    low, high = min(t["people"] for t in same), max(t["people"] for t in same)
    few, many = min(t["people_60"] for t in same), max(t["people_60"] for t in same)
    if max(high - low, many - few) >= 1:
        more = Text(
            f"本报告各方案所设人口不同：{end} 年总人口 {_between(low, high)} 人，60 岁及以上 {_between(few, many)} 人。",
            f" The plans of this report suppose other births or moves: {_between(low, high)} people in {end}, {_between(few, many)} aged 60+.",
        )
        note = Text(note.zh + more.zh, note.en + more.en)
    blocks.append(Figure("population", title, charts.bands(title, years, lines, Text("人", "persons")), note))  # fmt: skip
    head = Text(
        f"老年人口分布（60 岁及以上，{years[0]} 年与 {years[-1]} 年）",
        f"Where elders live (60+, {years[0]} and {years[-1]})",
    )
    blocks.append(Figure("elders", head, maps.elders_map(run, region, head), is_map=True))
    blocks += [tables.bands(run, names), tables.population(run)]
    return Chapter("population", Text("人口预测", "Population forecast"), tuple(blocks))


def _totals(run: Run):  # type: ignore[no-untyped-def]  # a frame by year
    towns = run.tables["townships"].drop_duplicates(["year", "township_id"])
    return towns.groupby("year")[["people", "people_60"]].sum()


def _with_band(run: Run, totals, column: str, ages: str, name: Text):  # type: ignore[no-untyped-def]  # a line of `charts.bands`
    """Return name, values and interval by year; the base year is counted or estimated, no band."""
    table = run.tables["bands"].query("kind == 'people' and id == @ages").set_index("year")
    years = list(totals.index)
    values = [float(totals[column][y]) for y in years]
    factor = {y: (r["low"] / r["expected"], r["high"] / r["expected"]) for y, r in table.iterrows()}
    low = [v * factor.get(y, (1.0, 1.0))[0] for y, v in zip(years, values, strict=True)]
    high = [v * factor.get(y, (1.0, 1.0))[1] for y, v in zip(years, values, strict=True)]
    return name, values, low, high


def _between(low: float, high: float) -> str:
    return _n(low) if high - low < 1 else f"{_n(low)}–{_n(high)}"


def _n(value: float) -> str:
    return written(Quantity(float(value), "people")).zh


def need(run: Run, names: Names) -> Chapter:
    """Need by service, group and township, and how much of it the plan serves."""
    services = tables.service_ids(run)
    end = run.scenario.years[-1]
    towns = run.tables["townships"]
    last = towns[towns["year"] == end]
    shown = {s: tables.published_shares(run, s, end) for s in services}
    rows = []
    for id, part in last.groupby("township_id"):
        amount = part.set_index("service")["need"]
        name = Text(str(part["name_zh"].iloc[0]), str(part["name_en"].iloc[0]))
        rows.append((name, [(float(amount.get(s, 0)), shown[s].get(str(id))) for s in services]))
    title = Text(f"各乡镇需求与满足（{end} 年）", f"Need and service by township ({end})")
    definition = word(DEFINITIONS, str(run.inputs["definition"]))
    mark = word(MARKS, str(run.inputs["need_mark"]))
    blocks: list[Block] = [
        Paragraph(Text(f"需求按“{definition.zh}”这一定义推算（性质：{mark.zh}）；换用别的失能定义，需求可相差数倍，引用时须同时写明定义。",
                       f"Need is estimated under one named definition, “{definition.en}” ({mark.en}); under another it may differ several times over, so cite it together with its definition.")),
        tables.needs(run, names),
        Figure("need", title, charts.need_bars(title, [names.service(s) for s in services], rows), Text("条末为满足率和需求人数（上门服务为月人次）；“*”按隐私要求不公布。", "At the end of a bar: served share and need (home visits: a month); “*” is withheld for privacy.")),
    ]  # fmt: skip
    blocks += [tables.townships(run, s, names) for s in services]
    return Chapter("need", Text("需求测算", "Need"), tuple(blocks))


def standards(run: Run, names: Names) -> Chapter:
    """Norms used, each with its mark, basic quality beside them, and how items are provided."""
    return Chapter(
        "standards", Text("采用的标准", "Norms used"), tuple(policy.norm_blocks(run, names))
    )
