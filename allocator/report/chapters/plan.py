"""Layout and phasing, catchments, money and staff."""

from __future__ import annotations

from collections.abc import Sequence

from allocator.errors import Text, plural
from allocator.region import Region
from allocator.report import charts, maps, siting, tables
from allocator.report.bands import STEPS
from allocator.report.cells import Quantity, money_text, written
from allocator.report.document import Block, Chapter, Figure, Paragraph
from allocator.report.words import PAYERS, POOLS, Names, word
from allocator.run import Run

__all__ = ["layout", "money", "reach", "staff"]


def layout(runs: Sequence[Run], region: Region, names: Names) -> Chapter:
    """Where what is built when: map by phase, project list, siting table."""
    run = runs[0]
    end = run.scenario.years[-1]
    head = Text(f"规划布局与分期（{end} 年）", f"Layout and phasing ({end})")
    blocks: list[Block] = [Paragraph(_phases(run))]
    blocks.append(Figure("siting", head, maps.siting_map(run, region, names, head), is_map=True))
    box = maps.town_box(run)
    if box is not None:
        near = Text(
            f"县城规划布局放大图（{end} 年）", f"Layout in the county town, enlarged ({end})"
        )
        blocks.append(Figure("siting-town", near, maps.siting_map(run, region, names, near, box), is_map=True))  # fmt: skip
    blocks += [tables.projects(run, names), siting.siting(runs, region, names)]
    return Chapter("plan", Text("布局、分期与项目库", "Layout, phasing and project list"), tuple(blocks))  # fmt: skip


def _phases(run: Run) -> Text:
    projects = run.tables["projects"]
    zh, en = [], []
    for period in run.scenario.periods:
        part = projects[projects["period"] == period.to]
        title = tables.year_title(run, period.to)
        money = money_text(float(part["capital_yuan"].sum()))
        opened = part[part["mode"] != "close"]
        zh.append(
            f"{title.zh}实施 {len(opened)} 项、关停 {len(part) - len(opened)} 处，投资 {money.zh}"
        )
        en.append(f"{title.en}: {plural(len(opened), 'measure')}, {len(part) - len(opened)} to close, {money.en}")  # fmt: skip
    return Text("；".join(zh) + "。", "; ".join(en) + ".")


_BANDS_WORDS = Text(
    "按居民点的单元绘制，不按街道；白线为最近设施的分界。最近的设施不一定是方案安排的设施。",
    "Drawn by cells of places, not by streets; white lines part those nearest to one facility from the next. The nearest facility need not be the one the plan assigns.",
)


def reach(runs: Sequence[Run], region: Region, names: Names, steps: Sequence[float] = STEPS) -> Chapter:  # fmt: skip
    """Who can reach what before and after, who goes where, and what stays unserved."""
    run = runs[0]
    services, end = tables.service_ids(run), run.scenario.years[-1]
    blocks: list[Block] = []
    mapped = [s for s in services if f"reach_{s.split('.')[-1]}" in run.tables["areas"]]
    for s in mapped[:2]:
        name = names.service(s)
        head = Text(f"{name.zh}可达范围：规划前后", f"{name.en} in reach: before and after")
        blocks.append(Figure(f"coverage-{s.split('.')[-1]}", head, maps.coverage_map(run, region, s, head), is_map=True))  # fmt: skip
    head = Text("到最近设施的时间", "Minutes to the nearest facility")
    if (drawn := maps.bands_map(run, region, names, head, steps)) is not None:
        blocks.append(Figure("bands", head, drawn, _BANDS_WORDS, is_map=True))
    blocks += [tables.coverage(run, names), tables.access(run, names)]
    if mapped:
        name = names.service(mapped[0])
        head = Text(f"规划期末{name.zh}未满足需求（{end} 年）", f"{name.en} still unmet at the end ({end})")  # fmt: skip
        blocks.append(Figure("gap", head, maps.gap_map(run, region, mapped[0], head), is_map=True))
    blocks.append(siting.catchments(runs, region, names))
    return Chapter("reach", Text("服务范围", "Catchments"), tuple(blocks))


def money(run: Run) -> Chapter:
    """Capital by payer and period, yearly running money and who bears it."""
    blocks: list[Block] = [tables.payers(run)]
    table = run.tables["payers"]
    capital = table[table["pool"] == "capital"]
    if len(capital):
        who = tables.payer_order(capital["payer"])
        bars = []
        for year, part in capital.groupby("year"):
            by = part.groupby("payer")["yuan"].sum()
            bars.append((tables.year_title(run, int(str(year))), [float(by.get(p, 0)) for p in who]))  # fmt: skip
        title = Text("建设资金来源（万元）", "Capital by payer (million yuan)")
        blocks.append(Figure("payers", title, charts.stacked(title, bars, [word(PAYERS, p) for p in who])))  # fmt: skip
    yearly = run.tables["money"]
    known = {"fees": Text("服务收费", "Fees"), "insurance": Text("长期护理保险", "Long-term care insurance"), "public": Text("财政承担（年运行缺口）", "Public money (yearly running gap)")}  # fmt: skip
    parts = [p for p in known if p in set(yearly["item"])]
    bars = []
    for year, part in yearly.groupby("year"):
        by = part.set_index("item")["yuan_year"]
        bars.append((tables.year_title(run, int(str(year))), [max(float(by.get(p, 0)), 0.0) for p in parts]))  # fmt: skip
    title = Text(
        "年运行费用由谁承担（万元/年）", "Who bears the yearly running cost (million yuan a year)"
    )
    blocks += [
        *(tables.payers(run, str(p)) for p in table["pool"].drop_duplicates() if p != "capital")
    ]
    blocks += [tables.money(run), Figure("running", title, charts.stacked(title, bars, [known[p] for p in parts]))]  # fmt: skip
    blocks.append(Paragraph(_left_over(run, ("capital", "running"))))
    return Chapter("money", Text("资金筹措", "Money"), tuple(blocks))


def _left_over(run: Run, pools: Sequence[str]) -> Text:
    zh, en = [], []
    for r in run.tables["pools"].itertuples():
        if str(r.pool) not in pools or not (r.supply == r.supply and r.supply < 1e29):
            continue
        share = written(Quantity(r.use / r.supply if r.supply else 0.0, "share")).zh
        what = word(POOLS, str(r.pool))
        zh.append(f"{r.year} 年{what.zh}使用 {share}")
        en.append(f"{what.en} in {r.year}: {share} used")
    if not zh:
        return Text("资金未设上限。", "No limit was set on money.")
    return Text("可用额度的使用情况：" + "；".join(zh) + "。", "Of what is available: " + "; ".join(en) + ".")  # fmt: skip


def staff(run: Run, names: Names) -> Chapter:
    """Care workers needed today and at the end of each period, and every pool's use."""
    table = run.tables["indicators"]
    part = table[table["indicator"] == "care_workers"].sort_values("year")
    blocks: list[Block] = []
    if len(part):
        said = [(int(r.year), written(Quantity(float(r.value), "count")).zh) for r in part.itertuples()]  # fmt: skip
        now, last = said[0], said[-1]
        blocks.append(
            Paragraph(Text(f"养老护理员：{'、'.join(f'{y} 年 {v} 人' for y, v in said)}。{now[0]} 至 {last[0]} 年须新增 {written(Quantity(float(part['value'].iloc[-1] - part['value'].iloc[0]), 'count')).zh} 人，招聘与培训应先于设施投用。",
                           f"Care workers: {', '.join(f'{v} in {y}' for y, v in said)}. Hiring and training {written(Quantity(float(part['value'].iloc[-1] - part['value'].iloc[0]), 'count')).en} more has to come before the facilities open."))
        )  # fmt: skip
    blocks.append(tables.pools(run))
    return Chapter("staff", Text("人员与资源", "Staff and other resources"), tuple(blocks))
