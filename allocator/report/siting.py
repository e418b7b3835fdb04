"""Sites one by one (一点一表): screening, catchment, alternatives, and why each was chosen or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from allocator.catalogue import Catalogue
from allocator.errors import NO_TEXT, Text
from allocator.region import Region
from allocator.report import maps
from allocator.report.cells import FEW, SMALLEST, WITHHELD, Cell, Quantity, written
from allocator.report.document import Column, Figure, Items, Page, Table
from allocator.report.words import AREA_CLASSES, BUILDINGS, MODES, POOLS, SCREENS, Names, word
from allocator.run import Run

__all__ = ["catchments", "facilities_today", "no_regret", "pages", "siting"]

PERSON, MINUTES, KM = Text("人", "persons"), Text("分钟", "minutes"), Text("公里", "km")
METRES2 = Text("平方米", "m²")
FULL = 0.995
RESIDENT = "elderly.resident"
ANSWERS = {
    "是": Text("是", "yes"),
    "否": Text("否", "no"),
    "未核": Text("未核", "unchecked"),
    "": Text("未核", "unchecked"),
}


@dataclass(frozen=True, eq=False)
class _Looked:
    """What the pages look things up in, made once for a report."""

    runs: tuple[Run, ...]
    names: Names
    sites: pd.DataFrame
    end: pd.DataFrame
    places: pd.DataFrame
    flows: pd.DataFrame
    projects: pd.DataFrame
    towns: Mapping[str, Text]
    chosen: Mapping[str, tuple[int, int]]
    at: Mapping[str, tuple[float, float]]
    town_of: Mapping[str, str]

    @property
    def run(self) -> Run:
        return self.runs[0]


def _look(runs: Sequence[Run], region: Region, names: Names) -> _Looked:
    run = runs[0]
    end = run.scenario.years[-1]
    sites, use, flows = run.tables["sites"], run.tables["use"], run.tables["flows"]
    towns = run.tables["townships"].drop_duplicates("township_id")
    sources = {str(r.township_id): Text(str(r.name_zh), str(r.name_en)) for r in towns.itertuples()}  # fmt: skip
    if "onward" in run.tables:  # those whom a site sends on come from there, not from a township
        sent = run.tables["onward"].rename(columns={"to_site": "site_id"})
        flows = pd.concat([flows, sent.assign(township_id="onward:" + sent["from_site"].astype(str))])  # fmt: skip
        for id in sorted(set(sent["from_site"])):
            name = names.site(str(id))
            sources[f"onward:{id}"] = Text(f"转自{name.zh}", f"sent on from {name.en}")
    return _Looked(
        tuple(runs), names, region.sites.set_index("site_id"), sites[sites["year"] == end].set_index("site_id"),
        use[use["year"] == end], flows[flows["year"] == end], run.tables["projects"],
        sources,
        _chosen(runs), _points(sites[sites["year"] == end]),
        {str(r.site_id): str(r.township_id) for r in sites[sites["year"] == end].itertuples()},
    )  # fmt: skip


def _planning(runs: Sequence[Run]) -> list[Run]:
    """Runs that may change anything: one that keeps today as it is says nothing of a site."""
    return [r for r in runs if len(r.tables["projects"])]


def _chosen(runs: Sequence[Run]) -> dict[str, tuple[int, int]]:
    """(runs that offer places at a site it does not offer today, runs that plan) by site."""
    planning = _planning(runs)
    count: dict[str, int] = {}
    for run in planning:
        projects = run.tables["projects"]
        standing = projects[projects["mode"] != "close"]
        for site in standing["site_id"].unique():
            count[str(site)] = count.get(str(site), 0) + 1
    sites = runs[0].tables["sites"]["site_id"].unique()
    return {str(s): (count.get(str(s), 0), len(planning)) for s in sites}


def facilities_today(run: Run, region: Region, names: Names) -> Table:
    """Facilities of today by type: how many, places, nursing places, people on the roll, use.

    Beside the roll stands the use that need and willingness would give today, as plans are judged.
    """
    base = run.scenario.base_year
    use = run.tables["use"]
    here = use[(use["year"] == base) & (use["service"] == "elderly.resident")].set_index("site_id")
    sites = run.tables["sites"]
    standing = sites[(sites["year"] == base) & sites["site_id"].isin(here.index)].set_index("site_id")  # fmt: skip
    roll = region.homes.groupby("site_id")["residents"].sum()
    joined = here.join(standing[["state"]]).join(roll)
    columns = (
        Column("type", Text("类型", "Type"), wide=True), Column("number", Text("数量", "Number"), Text("处", "sites"), summed=True),
        Column("places", Text("床位", "Resident places"), Text("张", "places"), summed=True),
        Column("nursing", Text("其中护理型", "of these nursing"), Text("张", "places"), summed=True),
        Column("people", Text("在住（名册）", "Residents on the roll"), PERSON, summed=True), Column("use", Text("使用率", "In use")),
        Column("modelled", Text("推算入住", "Residents, modelled"), PERSON, summed=True),
    )  # fmt: skip
    note = Text("“推算入住”由需求与意愿曲线得出，各方案的现状以它为准；与名册相差大时，请用入住来源校准意愿曲线。", "“Modelled” follows from need and the willingness curve, and is what plans take for today; where it lies far from the roll, calibrate the curve by the origins of residents.")  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for state, part in joined.groupby("state", sort=True):
        rows.append((names.type(str(state)), *_facility_cells(part)))
    total: tuple[Cell, ...] = (Text("合计", "Total"), *_facility_cells(joined)) if rows else ()
    return Table("facilities", Text(f"现状养老机构（{base} 年）", f"Resident facilities today ({base})"), columns, tuple(rows), total, note)  # fmt: skip


def _facility_cells(part: pd.DataFrame) -> tuple[Cell, ...]:
    places, people = float(part["places"].sum()), float(part["residents"].sum(min_count=1))
    return (
        Quantity(float(len(part)), "count"), Quantity(places, "count"), Quantity(float(part["nursing_places"].sum()), "count"),
        Quantity(people, "people"), Quantity(people / places if places else math.nan, "share"),
        Quantity(float(part["assigned"].sum()), "people"),
    )  # fmt: skip


def siting(runs: Sequence[Run], region: Region, names: Names) -> Table:
    """选址表: every site looked at, chosen or not, and why."""
    look = _look(runs, region, names)
    columns = (
        Column("site", Text("地点", "Site"), wide=True), Column("township", Text("乡镇", "Township")),
        Column("building", Text("现状", "Today")), Column("end", Text("规划期末", "At the end")),
        Column("screening", Text("选址核查", "Screening"), wide=True), *_CHOSEN[: _several(look)],
        Column("why", Text("选用或未选用的理由", "Why chosen or not"), wide=True),
    )  # fmt: skip
    rows = []
    flagged = set()
    for n, id in enumerate(look.end.index):
        here = look.end.loc[id]
        screening = _screening(look, id)
        if screening.zh != "已核":
            flagged.add(n)
        said = _reasons(look, id)
        rows.append(
            (
                names.site(id), look.towns.get(str(here["township_id"]), Text("—", "—")), _today(look, id),
                names.type(str(here["state"])), screening, *_times(look, id),
                Text("；".join(r.zh for r in said) + "。", "; ".join(r.en for r in said) + "."),
            )
        )  # fmt: skip
    return Table(
        "siting", Text("选址表", "Siting table"), columns, tuple(rows),
        note=Text("“选用方案数”为本报告所列可作调整的方案中，在该地点新建、改造或扩建的方案个数。",
                  "“Chosen by”: of the plans of this report that may change anything, how many build, convert or extend there.") if _several(look) else NO_TEXT,
        flagged=frozenset(flagged),
    )  # fmt: skip


_CHOSEN = (Column("chosen", Text("选用方案数", "Chosen by")),)


def _several(look: _Looked) -> bool:
    """Whether there are plans to count; of a single one the state at the end says all."""
    return len(_planning(look.runs)) > 1


def _times(look: _Looked, id: str) -> tuple[Text, ...]:
    """Return by how many plans a site is chosen, as a cell; none where there is one plan."""
    times, every = look.chosen[id]
    return (Text(f"{times}/{every}", f"{times} of {every}"),)[: _several(look)]


def _today(look: _Looked, id: str) -> Text:
    sites = look.run.tables["sites"]
    first = sites[(sites["year"] == look.run.scenario.base_year) & (sites["site_id"] == id)]
    state = str(first["state"].iloc[0]) if len(first) else ""
    if state in ("", "none", "absent") and "building" in look.sites and id in look.sites.index:
        return word(BUILDINGS, str(look.sites.loc[id, "building"] or ""))
    return look.names.type(state)


def _answers(look: _Looked, id: str) -> dict[str, str]:
    if id not in look.sites.index:
        return {}
    row = look.sites.loc[id]
    return {s: str(row[s]) for s in SCREENS if s in look.sites.columns}


def _screening(look: _Looked, id: str) -> Text:
    answers = _answers(look, id)
    no = [word(SCREENS, s) for s, a in answers.items() if a == "否"]
    open_ = [word(SCREENS, s) for s, a in answers.items() if a not in ("是", "否")]
    if no:
        return Text("核查为否：" + "、".join(n.zh for n in no), "ruled out: " + ", ".join(n.en for n in no))  # fmt: skip
    if open_:
        return Text("选址待核：" + "、".join(n.zh for n in open_), "to check: " + ", ".join(n.en for n in open_))  # fmt: skip
    return Text("已核", "checked")


def _points(sites: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Kilometres east and north of each site, true at the middle latitude."""
    squeeze = math.cos(math.radians(float(sites["lat"].mean())))
    return {str(r.site_id): (111.2 * squeeze * r.lon, 111.2 * r.lat) for r in sites.itertuples()}


def _km(look: _Looked, a: str, b: str) -> float:
    """Straight line between two sites, km."""
    (x, y), (u, v) = look.at[a], look.at[b]
    return math.hypot(x - u, y - v)


def _far(look: _Looked, a: str, b: str) -> Text:
    km = _km(look, a, b)
    return (
        Text("不足 0.1 公里", "under 0.1 km")
        if km < 0.1
        else Text(f"约 {km:.1f} 公里", f"{km:.1f} km")
    )


def _near(look: _Looked, id: str, among: Sequence[str]) -> list[str]:
    others = [s for s in among if s != id and s in look.at]
    return sorted(others, key=lambda s: (_km(look, id, s), s))


def _standing(look: _Looked) -> list[str]:
    return [str(s) for s in look.places["site_id"].unique()]


def _reasons(look: _Looked, id: str) -> list[Text]:
    """Say in planners' words why a site has what it has at the end of the plan."""
    mine = look.projects[look.projects["site_id"] == id]
    served = look.places[look.places["site_id"] == id]
    standing = _standing(look)
    near = _near(look, id, standing)
    if len(served):
        out = [_served_words(look, served)]
        town = look.town_of[id]
        alone = not [s for s in standing if s != id and look.town_of[s] == town]
        if alone:
            out.append(Text("是本乡镇期末唯一设施", "the only facility of its township at the end"))  # fmt: skip
        elif near:
            km = _far(look, id, near[0])
            other = look.names.site(near[0])
            out.append(Text(f"最近的其他设施为{other.zh}，直线距离{km.zh}", f"the nearest other is {other.en}, {km.en} in a straight line"))  # fmt: skip
        if not len(mine):
            out.insert(0, Text("保留现状", "kept as it is"))
        return out
    if len(mine) and str(mine["mode"].iloc[-1]) == "close":
        if not near:
            return [Text("关停", "closed")]
        other, km = look.names.site(near[0]), _far(look, id, near[0])
        return [
            Text(f"关停，在住老人先安置；最近的接续设施为{other.zh}，直线距离{km.zh}", f"closed once its residents are placed; the nearest facility that goes on is {other.en}, {km.en} in a straight line")
        ]  # fmt: skip
    return _why_not(look, id, near)


def _served_words(look: _Looked, served: pd.DataFrame) -> Text:
    """What a site does at the end, service by service, each in its own unit; under five withheld."""
    users = served.groupby("service")["assigned"].sum().round(6)
    zh, en = [], []
    for service in (s for s in look.run.scenario.services if users.get(s, 0.0) > 0):
        name, unit, count = look.names.service(service), look.names.unit(service), users[service]
        if count < SMALLEST:
            zh.append(f"{name.zh}不足5{unit.zh}")
            en.append(f"{name.en.lower()} fewer than 5 {unit.en}")
            continue
        shown = written(Quantity(float(count), "people"))
        zh.append(f"{name.zh} {shown.zh} {unit.zh}")
        en.append(f"{name.en.lower()} {shown.en} {unit.en}")
    if not zh:
        return Text("规划期末没有服务对象", "nobody is assigned to it at the end")
    return Text(f"规划期末安排{'、'.join(zh)}", f"assigned at the end: {', '.join(en)}")


def _why_not(look: _Looked, id: str, near: Sequence[str]) -> list[Text]:
    screening = _screening(look, id)
    if "否" in screening.zh:
        return [Text(f"{screening.zh}，不得选用", f"{screening.en}; may not be used")]
    out = []
    town = look.town_of[id]
    same = [s for s in near if look.town_of[s] == town]
    if same:
        other, km = look.names.site(same[0]), _far(look, id, same[0])
        out.append(Text(f"本乡镇已有{other.zh}，直线距离{km.zh}", f"its township has {other.en}, {km.en} in a straight line"))  # fmt: skip
    full = _used_up(look.run)
    if full:
        out.append(Text(f"{'、'.join(w.zh for w in full)}在期末已用满", f"{' and '.join(w.en.lower() for w in full)} used up at the end"))  # fmt: skip
    return out or [Text("在规模和服务范围的要求下未被选用", "not taken up under the rules on size and reach")]  # fmt: skip


def _used_up(run: Run) -> list[Text]:
    pools = run.tables["pools"]
    last = pools[pools["year"] == run.scenario.years[-1]]
    return [
        word(POOLS, str(r.pool)) for r in last.itertuples()
        if r.supply == r.supply and 0 < r.supply < 1e29 and r.use >= FULL * r.supply
    ]  # fmt: skip


def _sources(look: _Looked, id: str, service: str) -> tuple[Cell, Text, Cell]:
    """People served at a site, the townships they come from, and their mean journey."""
    part = look.flows[(look.flows["site_id"] == id) & (look.flows["service"] == service)]
    part = part.sort_values(["people", "township_id"], ascending=[False, True])
    people = float(part["people"].sum())
    shown = part[part["people"].round(6) >= SMALLEST]
    rest = people - float(shown["people"].sum())
    hidden = 0 < round(rest, 6) < SMALLEST
    names = [(look.towns.get(str(r.township_id), Text("其他乡镇", "other townships")), written(Quantity(r.people, "people")).zh) for r in shown.itertuples()]  # fmt: skip
    zh = "、".join(f"{n.zh} {v}" for n, v in names) or "—"
    en = ", ".join(f"{n.en} {v}" for n, v in names) or "—"
    total: Cell = Quantity(people, "people")
    if people < SMALLEST:
        total = FEW
    elif hidden:
        total = WITHHELD
    timed = part.dropna(subset=["mean_minutes"])
    weight = float(timed["people"].sum())
    minutes: Cell = None
    if weight > 0:
        minutes = Quantity(float((timed["mean_minutes"] * timed["people"]).sum()) / weight, "minutes")  # fmt: skip
    return total, Text(zh, en), minutes


def catchments(runs: Sequence[Run], region: Region, names: Names) -> Table:
    """Who goes where at the end: each facility's users by township, and their journey."""
    look = _look(runs, region, names)
    columns = (
        Column("site", Text("设施", "Facility"), wide=True), Column("township", Text("所在乡镇", "Township")),
        Column("service", Text("服务", "Service")), *_FROM,
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    order = {s: n for n, s in enumerate(look.run.scenario.services)}
    table = look.flows[look.flows["site_id"].isin(look.end.index)]
    pairs = sorted({(str(r.site_id), order.get(str(r.service), 99), str(r.service)) for r in table.itertuples()})  # fmt: skip
    for id, _, service in pairs:
        people, where, minutes = _sources(look, id, service)
        town = look.towns.get(look.town_of[id], Text("—", "—"))
        rows.append((names.site(id), town, names.service(service), where, people, names.unit(service), minutes))  # fmt: skip
    title = Text(f"设施服务范围（{look.run.scenario.years[-1]} 年）", f"Catchments of facilities ({look.run.scenario.years[-1]})")  # fmt: skip
    return Table("catchments", title, columns, tuple(rows), note=Text(
        "按规划安排计；来自不足5人的乡镇的服务对象不列，也不计入合计；“<5”为不足5人，按隐私要求不公布。", "As assigned by the plan; users from townships with fewer than 5 are left out of the list and of its sum; “<5” is fewer than 5, withheld for privacy."))  # fmt: skip


_FROM = (
    Column("from", Text("来自（乡镇及人数）", "From (townships and users)"), wide=True),
    Column("people", Text("所列合计", "Sum of these")), Column("unit", Text("单位", "Unit")),
    Column("minutes", Text("平均出行", "Mean travel"), MINUTES),
)  # fmt: skip


def no_regret(runs: Sequence[Run], names: Names) -> Table | None:
    """Projects by the share of plans that do the same there; None where there is one plan only."""
    planning = _planning(runs)
    if len(planning) < 2:
        return None
    kept = [{(str(r.site_id), str(r.type)) for r in run.tables["projects"].itertuples()} for run in planning]  # fmt: skip
    columns = (
        Column("site", Text("地点", "Site"), wide=True), Column("type", Text("做法", "Measure"), wide=True),
        Column("times", Text("选用方案数", "Chosen by"), Text("个", "plans")), Column("share", Text("占比", "Share of plans")),
    )  # fmt: skip
    counted: dict[tuple[str, str], int] = {}
    for found in kept:
        for key in found:
            counted[key] = counted.get(key, 0) + 1
    own = planning[0].tables["projects"]
    mine = {(str(r.site_id), str(r.type)) for r in own.itertuples()}
    listed = sorted((k for k in mine if 2 * counted[k] >= len(planning)), key=lambda k: (-counted[k], k))  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (names.site(site), names.type(kind), Quantity(counted[site, kind], "count"), Quantity(counted[site, kind] / len(planning), "share"))
        for site, kind in listed
    ]  # fmt: skip
    sure = frozenset(n for n, k in enumerate(listed) if counted[k] == len(planning))
    words = Text(
        f"比较了 {len(planning)} 个可作调整的方案，列出半数以上方案都采用的做法；其余 {len(mine) - len(listed)} 项因方案而异。",
        f"{len(planning)} plans that may change anything are compared; measures taken by half of them or more are listed, the other {len(mine) - len(listed)} differ from plan to plan.",
    )
    firm = Text(f"各方案都采用的有 {len(sure)} 项（加底色），可先行实施。", f" {len(sure)} {'is' if len(sure) == 1 else 'are'} taken by every plan (shaded) and can go first.")  # fmt: skip
    none = Text("没有一项为所有方案共有，先后次序须由主管部门权衡。", " None is common to all, so the order is for the bureaus to weigh.")  # fmt: skip
    more = firm if sure else none
    words = Text(words.zh + more.zh, words.en + more.en)
    return Table("no-regret", Text("稳妥项目清单", "Projects that hold under most plans"), columns, tuple(rows), note=words, flagged=sure)  # fmt: skip


def pages(runs: Sequence[Run], region: Region, names: Names, catalogue: Catalogue | None) -> tuple[Page, ...]:  # fmt: skip
    """一点一表: one page for each site of the project list."""
    look = _look(runs, region, names)
    return tuple(_page(look, region, str(id), catalogue) for id in look.projects["site_id"].drop_duplicates())  # fmt: skip


def _page(look: _Looked, region: Region, id: str, catalogue: Catalogue | None) -> Page:
    name = look.names.site(id)
    row = look.end.loc[id]
    town = look.towns.get(str(row["township_id"]), Text("—", "—"))
    numbers = "、".join(str(n) for n in look.projects[look.projects["site_id"] == id]["number"])
    blocks: list[Any] = [
        Figure(f"page-{id}-map", Text("位置", "Where it is"), maps.locator_map(look.run, region, id, Text(f"{name.zh}位置图", f"Where {name.en} is")), is_map=False),
        _facts_table(look, id, catalogue), _screening_table(look, id),
    ]  # fmt: skip
    served = _catchment_table(look, id)
    if served.rows:
        blocks.append(served)
    others = _others_table(look, id)
    if others.rows:
        blocks.append(others)
    times = look.chosen[id]
    said = _reasons(look, id)
    more = [] if times[1] < 2 else [Text(f"{times[1]} 个可作调整的方案中有 {times[0]} 个在此新建、改造或扩建", f"{times[0]} of {times[1]} plans that may change anything build, convert or extend here")]  # fmt: skip
    screening = _screening(look, id)
    if screening.zh != "已核":
        said.append(Text(f"{screening.zh}，须先完成核查", f"{screening.en}; to be done first"))
    blocks.append(Items(tuple(Text(f"{r.zh}。", f"{r.en[:1].upper()}{r.en[1:]}.") for r in [*said, *more])))  # fmt: skip
    return Page(f"site-{id}", Text(f"项目 {numbers}：{name.zh}（{town.zh}）", f"Project {numbers}: {name.en} ({town.en})"), tuple(blocks))  # fmt: skip


def _facts_table(look: _Looked, id: str, catalogue: Catalogue | None) -> Table:
    rows: list[tuple[Text, Cell, Text | None]] = []
    names = look.names
    place = look.sites.loc[id] if id in look.sites.index else pd.Series(dtype=object)
    rows.append((Text("地域", "Area"), word(AREA_CLASSES, str(look.end.loc[id, "area_class"])), None))  # fmt: skip
    if "building" in place:
        rows.append((Text("现状用房", "Building today"), _today(look, id), None))
    for column, words in (("floor_area_m2", Text("现有建筑面积", "Floor area today")), ("land_m2", Text("用地面积", "Land"))):  # fmt: skip
        if column in place and place[column] == place[column] and place[column] is not None:
            rows.append((words, Quantity(float(place[column]), "count"), METRES2))
    rows += _home_today(look, id)
    for r in look.projects[look.projects["site_id"] == id].itertuples():
        before, after = names.type(str(r.before)), names.type(str(r.type))
        closes = str(r.mode) == "close"
        rows += [
            (Text("完成年份", "By the end of"), Quantity(float(r.period), "year"), None),
            (Text("做法", "Measure"), Text(f"{word(MODES, str(r.mode)).zh}：{before.zh} → {after.zh}", f"{word(MODES, str(r.mode)).en}: {before.en} → {after.en}"), None),
            *(
                (what, Quantity(float(value), "count"), unit)
                for what, value, unit in (
                    (Text("床位", "Resident places"), r.places_resident, Text("张", "places")),
                    (Text("日间照料名额", "Day places"), r.places_day, Text("个", "places")),
                    (Text("上门服务能力", "Home visits"), r.visits_home, Text("人次/月", "a month")),
                )
                if value and not closes
            ),
        ]  # fmt: skip
        if closes:
            continue
        rows += [
            (Text("投资", "Capital"), Quantity(float(r.capital_yuan), "money"), Text("万元", "million yuan")),
            (Text("年运行费用（财政承担）", "Running a year, public"), Quantity(float(r.running_yuan_year), "money"), Text("万元/年", "million yuan a year")),
            (Text("护理员", "Care workers"), Quantity(float(r.care_workers), "people1"), PERSON),
        ]  # fmt: skip
        kind = catalogue.types.get(str(r.type)) if catalogue is not None else None
        offers = [
            o for o in (kind.offers if kind else ()) if o.service in look.run.scenario.services
        ]
        if offers:
            zh = "、".join(
                f"{names.service(o.service).zh} {o.within_minutes:g} 分钟" for o in offers
            )
            en = ", ".join(f"{names.service(o.service).en.lower()} {o.within_minutes:g} minutes" for o in offers)  # fmt: skip
            rows.append((Text("服务时限", "Serves within"), Text(zh, en), None))
    columns = (Column("what", Text("内容", "Item"), wide=True), Column("value", Text("数值", "Value"), wide=True))  # fmt: skip
    told = tuple((what, _with_unit(value, unit)) for what, value, unit in rows)
    return Table(f"page-{id}-facts", Text("基本情况", "The project"), columns, told)


def _home_today(look: _Looked, id: str) -> list[tuple[Text, Cell, Text | None]]:
    """Places and residents of a home of today: those whom a closure has to place first."""
    use = look.run.tables["use"]
    mine = use[(use["year"] == look.run.scenario.base_year) & (use["site_id"] == id) & (use["service"] == RESIDENT)]  # fmt: skip
    if not len(mine):
        return []
    places, people = float(mine["places"].sum()), float(mine["assigned"].sum())
    residents: Cell = FEW if 0 < round(people, 6) < SMALLEST else Quantity(people, "people")
    return [
        (Text("现状床位", "Places today"), Quantity(places, "count"), Text("张", "places")),
        (Text("现状在住老人", "Residents today"), residents, PERSON),
    ]


def _with_unit(value: Cell, unit: Text | None) -> Text:
    shown = written(value)
    if unit is None:
        return shown
    return Text(f"{shown.zh} {unit.zh}", f"{shown.en} {unit.en}")


def _screening_table(look: _Looked, id: str) -> Table:
    answers = _answers(look, id)
    columns = tuple(Column(s, word(SCREENS, s)) for s in answers)
    row = tuple(ANSWERS.get(a, Text(a, a)) for a in answers.values())
    return Table(f"page-{id}-screening", Text("选址核查", "Screening"), columns, (row,) if row else ())  # fmt: skip


def _catchment_table(look: _Looked, id: str) -> Table:
    part = look.flows[look.flows["site_id"] == id]
    columns = (Column("service", Text("服务", "Service")), *_FROM)
    services = [s for s in look.run.scenario.services if s in set(part["service"])]
    rows: list[tuple[Cell, ...]] = []
    for service in services:
        people, where, minutes = _sources(look, id, service)
        rows.append((look.names.service(service), where, people, look.names.unit(service), minutes))
    return Table(f"page-{id}-catchment", Text("服务范围（规划期末）", "Catchment at the end"), columns, tuple(rows))  # fmt: skip


def _others_table(look: _Looked, id: str) -> Table:
    columns = (
        Column("site", Text("附近其他地点", "Other site nearby"), wide=True), Column("km", Text("直线距离", "Straight line"), KM),
        Column("end", Text("规划期末", "At the end")), Column("screening", Text("选址核查", "Screening"), wide=True), *_CHOSEN[: _several(look)],
    )  # fmt: skip
    near = _near(look, id, list(look.end.index))[:4]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (look.names.site(s), Quantity(_km(look, id, s), "decimal"), look.names.type(str(look.end.loc[s, "state"])), _screening(look, s), *_times(look, s))
        for s in near
    )  # fmt: skip
    return Table(f"page-{id}-others", Text("比选地点", "Alternatives"), columns, rows)
