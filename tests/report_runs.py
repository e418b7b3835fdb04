"""A small made county and made runs of it, every table consistent, for the report's tests."""

from __future__ import annotations

from typing import Any, cast

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import box

from allocator.errors import Finding, Rank, Text, Where
from allocator.measures.indicators import INDICATORS
from allocator.region import Region
from allocator.report.document import Table
from allocator.run import Run
from allocator.scenario import Scenario

DISCLAIMER = {
    "zh": "演示数据:除人口总数、行政区划名称外均为模拟,不反映示例县实际,不得作为决策依据",
    "en": "Demonstration data: simulated except population totals and names; not for decisions",
}
FOOTER = {
    "zh": "示意图,未经地图审核,不得公开;界线不作划界依据",
    "en": "Sketch, not reviewed, not for publication; boundaries are no legal basis",
}
SERVICES = ("elderly.resident", "elderly.day", "elderly.home")


def sheet_title(table: Table) -> str:
    """The first cell of a table's sheet: sheets hold money in 万元 in both languages."""
    return f"{table.title.zh}  {table.title.en.replace('million yuan', '10,000 yuan')}"


def frame(towns: int = 6, sites: int = 14, seed: int = 1) -> Region:
    rng = np.random.default_rng(seed)
    ids = [f"9999{n:02d}" for n in range(towns)]
    townships = pd.DataFrame(
        {
            "township_id": ids,
            "name_zh": [f"示例{'镇' if n < 2 else '乡'}{n + 1}" for n in range(towns)],
            "name_en": [f"Sample Township {n + 1}" for n in range(towns)],
            "population": rng.integers(6000, 40000, towns),
        }
    )
    home = rng.uniform((109.0, 25.0), (109.8, 25.6), (towns, 2))
    rows = []
    for n in range(towns):
        for k in range(6):
            lon, lat = home[n] + rng.normal(0, 0.04, 2)
            rows.append(
                (f"{ids[n]}{k:03d}", ids[n], "county-town" if n == 0 else "village", lon, lat)
            )
    areas = pd.DataFrame(rows, columns=["area_id", "township_id", "area_class", "lon", "lat"])
    at = rng.integers(0, towns, sites)
    points = home[at] + rng.normal(0, 0.03, (sites, 2))
    standing = pd.DataFrame(
        {
            "site_id": [f"S{n:02d}" for n in range(sites)],
            "name_zh": [f"示例设施{n:02d}" for n in range(sites)],
            "name_en": [f"Example facility {n:02d}" for n in range(sites)],
            "township_id": [ids[n] for n in at],
            "area_class": "village",
            "lon": points[:, 0],
            "lat": points[:, 1],
            "today": ["township-home" if n < sites // 2 else "" for n in range(sites)],
            "zoning": ["是" if n % 3 else "未核" for n in range(sites)],
        }
    )
    here = standing["site_id"][standing["today"] != ""]
    roll = pd.DataFrame({"site_id": here, "residents": 11 + np.arange(len(here))})
    return Region(
        id="999900", title=Text("示例县", "Sample County"), crs="EPSG:4490", townships=townships,
        areas=areas, sites=standing, homes=roll, seat=(float(home[0, 0]), float(home[0, 1])),
        outline=gpd.GeoDataFrame(geometry=[box(108.85, 24.85, 109.95, 25.75)], crs="EPSG:4490"),
    )  # fmt: skip


def scenario(name: str = "best-mix", title: tuple[str, str] = ("优化配置", "Best mix")) -> Scenario:
    return Scenario.model_validate(
        {
            "name": name,
            "title": {"zh": title[0], "en": title[1]},
            "base_year": 2025,
            "periods": [{"from": 2026, "to": 2030}, {"from": 2031, "to": 2035}],
            "resources": {
                "capital": {
                    "unit": "yuan",
                    "supply": {2026: 60e6, 2031: 40e6},
                    "payers": {"central": 0.4, "region": 0.3, "county": 0.2},
                },
                "running": {"unit": "yuan/year", "supply": {2026: 9e6, 2031: 11e6}},
                "care_workers": {"unit": "person", "supply": {2026: 180, 2031: "unlimited"}},
            },
        }
    )


def made_run(region: Region, spec: Scenario | None = None, seed: int = 3, **replaced: Any) -> Run:
    """A run whose tables agree with one another; no solver took part."""
    spec = scenario() if spec is None else spec
    rng = np.random.default_rng(seed)
    years = spec.years
    tables = _tables(region, spec, rng, years)
    tables.update(replaced)
    inputs = {
        "case": region.id, "title": {"zh": region.title.zh, "en": region.title.en}, "crs": region.crs,
        "digests": {"areas.csv": "ab" * 32}, "catalogue": "2025.1", "unconfirmed_standards": ["norm-a"],
        "definition": "basic-adl", "base": "resident", "need_mark": "modelled", "code": "0.1.0",
        "packages": {"numpy": "2"}, "scenario_digest": spec.digest, "disclaimer": DISCLAIMER,
        "map_footer": FOOTER, "sources": [{"what": "人口总数", "licence": "公开"}], "finest_published": "township",
    }  # fmt: skip
    measures = {
        "status": "proved", "gap": 0.0004, "road": "exact", "solver": "HiGHS 1.9", "score": {},
        "objectives": [
            {"id": "unmet", "unit": "person", "value": 412.5, "bound": 412.33, "gap": 0.0004},
            {"id": "capital", "unit": "yuan", "value": 8.1e7, "bound": 8.1e7, "gap": 0.0},
        ],
        "shortfalls": {"coverage-1": 0.05},
        "rules": [
            {"id": "coverage-1", "zh": "日间照料覆盖不低于80%", "en": "Day care reaches 80%", "hard": False, "source": "scenario"},
            {"id": "balance", "zh": "需求要么满足要么计为未满足", "en": "Need is served or unmet", "hard": True, "source": "design"},
        ],
    }  # fmt: skip
    findings = (
        Finding(Rank.WARNING, "data-gap-income", Where(file="rates/income.csv"), Text("缺少本地收入资料。", "Local incomes are not given."), Text("请补充。", "Please add them.")),
        Finding(Rank.INFORMATION, "out-of-reach", Where(id="elderly.day"), Text("120 名老年人在规划期末仍够不着 elderly.day。", "120 elders stay out of reach of elderly.day."), Text("可考虑流动服务。", "Consider mobile service.")),
    )  # fmt: skip
    return Run(
        id="0123456789abcdef", scenario=spec, inputs=inputs, problem=cast(Any, None), plan=cast(Any, None),
        tables=tables, measures=measures, findings=findings,
    )  # fmt: skip


def _tables(region: Region, spec: Scenario, rng: np.random.Generator, years: tuple[int, ...]) -> dict[str, pd.DataFrame]:  # fmt: skip
    base = years[0]
    sites, towns = region.sites, region.townships
    n = len(sites)
    grown = rng.choice(
        ["", "regional-centre", "mutual-aid-point", "embedded"], n, p=[0.35, 0.2, 0.3, 0.15]
    )
    size = {
        "township-home": 40,
        "county-home": 150,
        "regional-centre": 80,
        "mutual-aid-point": 10,
        "embedded": 30,
    }
    site_rows, use_rows, project_rows = [], [], []
    before = sites["today"].to_numpy(dtype=object)
    state = before.copy()
    for t, year in enumerate(years):
        previous = state.copy()
        if t:
            turn = (np.arange(n) % 2 == t % 2) & (grown != "")
            state = np.where(turn, grown, state).astype(object)
        for k, s in enumerate(sites.itertuples()):
            changed = bool(t and state[k] != previous[k])
            capital = size.get(str(state[k]), 0) * 85_000.0 * changed
            here = size.get(str(state[k]), 0)
            site_rows.append(
                (year, s.site_id, s.name_zh, s.name_en, s.township_id, s.area_class, s.lon, s.lat, state[k],
                 previous[k], "build" if changed else "keep", capital, here * 6000.0, here / 6)
            )  # fmt: skip
            if here:
                for service, part in zip(SERVICES, (1.0, 0.5, 0.7), strict=True):
                    if state[k] == "mutual-aid-point" and service == "elderly.resident":
                        continue
                    places = here * part
                    own = places * rng.uniform(0.05, 0.95)
                    free = own * rng.uniform(0.5, 0.98)
                    use_rows.append(
                        (
                            year,
                            s.site_id,
                            service,
                            places,
                            places / 2,
                            own,
                            free,
                            places - own,
                            places - free,
                        )
                    )
            if changed:
                res = 0.0 if state[k] == "mutual-aid-point" else float(here)
                project_rows.append(
                    (len(project_rows) + 1, s.site_id, s.name_zh, s.name_en, s.township_id, year, "build", previous[k],
                     state[k], {"regional-centre": "区域养老服务中心", "mutual-aid-point": "互助点", "embedded": "嵌入式服务设施"}[state[k]],
                     {"regional-centre": "Regional centre", "mutual-aid-point": "Mutual-aid point", "embedded": "Embedded facility"}[state[k]],
                     res, here * 0.5, here * 0.7, capital, here * 6000.0, here / 6, "zoning" if s.zoning == "未核" else "")
                )  # fmt: skip
    site_cols = ["year", "site_id", "name_zh", "name_en", "township_id", "area_class", "lon", "lat", "state", "before", "mode", "capital_yuan", "running_yuan_year", "care_workers"]  # fmt: skip
    use_cols = ["year", "site_id", "service", "places", "nursing_places", "assigned", "free_choice", "empty_assigned", "empty_free"]  # fmt: skip
    project_cols = ["number", "site_id", "name_zh", "name_en", "township_id", "period", "mode", "before", "type", "type_zh", "type_en", "places_resident", "places_day", "visits_home", "capital_yuan", "running_yuan_year", "care_workers", "unchecked"]  # fmt: skip
    site_table = pd.DataFrame(site_rows, columns=site_cols)
    use = pd.DataFrame(use_rows, columns=use_cols)
    town_rows, share0 = [], {}
    for t, year in enumerate(years):
        for row in towns.itertuples():
            people = row.population * (1 - 0.03 * t)
            elders = people * (0.16 + 0.035 * t)
            for s, service in enumerate(SERVICES):
                key = (row.township_id, service)
                need = elders * (0.02, 0.03, 0.05)[s]
                share0.setdefault(key, rng.uniform(0.05, 0.5))
                share = min(0.999, max(share0[key] + t * rng.uniform(-0.05, 0.25), 0.02))
                served = need * share
                town_rows.append((year, row.township_id, row.name_zh, row.name_en, service, people, elders, need, served, served * 0.85, need - served, share, rng.uniform(12, 55)))  # fmt: skip
    townships = pd.DataFrame(town_rows, columns=["year", "township_id", "name_zh", "name_en", "service", "people", "people_60", "need", "served", "free_choice", "unmet", "share", "mean_minutes"])  # fmt: skip
    area_rows = []
    for t, year in enumerate(years):
        for k, a in enumerate(region.areas.itertuples()):
            r = rng.uniform(0, 1, 3) + 0.2 * t
            area_rows.append((year, k + 1, a.township_id, a.area_class, a.lon, a.lat, (3.0 if k == 4 else float(rng.integers(6, 500))), r[0] > 0.6, min(r[0], 1.0), r[1] > 0.5, min(r[1], 1.0), r[2] > 0.4, min(r[2], 1.0)))  # fmt: skip
    areas = pd.DataFrame(area_rows, columns=["year", "point", "township_id", "area_class", "lon", "lat", "people_60", "reach_resident", "share_resident", "reach_day", "share_day", "reach_home", "share_home"])  # fmt: skip
    needs = townships.groupby(["year", "service"], as_index=False)[
        ["need", "served", "unmet"]
    ].sum()
    needs.insert(2, "group", "severe")
    classes = ("county", *sorted(set(region.areas["area_class"])))
    coverage = pd.DataFrame([(y, s, c, 1000.0, 1000 * v, v) for y in years for s in SERVICES for c in classes for v in [rng.uniform(0.3, 1)]], columns=["year", "service", "area_class", "people_60", "covered", "share"])  # fmt: skip
    access = pd.DataFrame([(y, s, c, 100.0, v, 2 * v) for y in years for s in SERVICES for c in classes for v in [rng.uniform(5, 40)]], columns=["year", "service", "area_class", "served", "mean_minutes", "p90_minutes"])  # fmt: skip
    flows = pd.DataFrame([(y, s, t, "S00", 12.0, 20.0) for y in years for s in SERVICES for t in towns["township_id"]], columns=["year", "service", "township_id", "site_id", "people", "mean_minutes"])  # fmt: skip
    planned = site_table[site_table["year"] > base]
    by_year = planned.groupby("year")[["capital_yuan", "running_yuan_year", "care_workers"]].sum()
    pool_rows, payer_rows = [], []
    for year, r in by_year.iterrows():
        pool_rows += [(year, "capital", "yuan", r["capital_yuan"], 6e7), (year, "running", "yuan/year", r["running_yuan_year"], 9e6), (year, "care_workers", "person", r["care_workers"], np.nan)]  # fmt: skip
        parts = {"central": 0.4, "county": 0.2, "region": 0.3}
        paid = {k: round(r["capital_yuan"] * v) for k, v in parts.items()}
        paid["unassigned"] = round(r["capital_yuan"]) - sum(paid.values())
        payer_rows += [(year, "capital", k, v) for k, v in paid.items()]
    money_rows = []
    for year, r in site_table.groupby("year")[["running_yuan_year"]].sum().iterrows():
        public = r["running_yuan_year"]
        money_rows += [(year, "running_gross", public * 3), (year, "fees", public * 1.5), (year, "insurance", public * 0.5), (year, "public", public)]  # fmt: skip
    indicator_rows = []
    for year in years:
        beds = use[(use["year"] == year) & (use["service"] == SERVICES[0])]
        here, town = site_table[site_table["year"] == year], townships[townships["year"] == year]
        met = town.groupby("service")[["served", "need"]].sum()
        elders = town.drop_duplicates("township_id")["people_60"].sum()
        values = {
            "places_per_1000": 1000 * beds["places"].sum() / elders, "nursing_share": 0.5, "township_centres": 0.3,
            "destitute_met": 1.0, "resident_met": met["served"].iloc[2] / met["need"].iloc[2],
            "day_met": met["served"].iloc[0] / met["need"].iloc[0], "home_met": met["served"].iloc[1] / met["need"].iloc[1],
            "places": beds["places"].sum(), "use_assigned": beds["assigned"].sum() / beds["places"].sum(),
            "use_free": beds["free_choice"].sum() / beds["places"].sum(), "empty_free": beds["empty_free"].sum(),
            "investment": here["capital_yuan"].sum(), "running_gap": here["running_yuan_year"].sum(),
            "care_workers": here["care_workers"].sum(), "coverage_day": 0.6, "mean_minutes": 22.4, "p90_minutes": 51.0,
            "cost_person_day": 63.27,
        }  # fmt: skip
        for name, v in values.items():
            words, unit, kind = INDICATORS[name]
            indicator_rows.append((name, year, float(v), words.zh, words.en, unit, kind))
    keys = ["township_id", "name_zh", "name_en", "service"]
    first = townships[townships["year"] == base].set_index(keys)["share"]
    last = townships[townships["year"] == years[-1]].set_index(keys)["share"]
    changes = pd.DataFrame({"share_today": first, "share_end": last}).reset_index()
    changes["change"] = changes["share_end"] - changes["share_today"]
    band_rows = [
        (year, kind, id, "person", v, 0.97 * v, 1.03 * v, 0.06, 0.8, 256)
        for kind, ids in (("people", ("all", "0-14", "60+", "80+")), ("service", SERVICES))
        for id in ids for year in years[1:] for v in [float(rng.uniform(1e3, 1e5))]
    ]  # fmt: skip
    bands = pd.DataFrame(band_rows, columns=["year", "kind", "id", "unit", "expected", "low", "high", "relative_width", "share", "paths"])  # fmt: skip
    return {
        "bands": bands,
        "sites": site_table, "use": use, "townships": townships, "needs": needs, "coverage": coverage, "access": access,
        "areas": areas, "flows": flows, "changes": changes,
        "pools": pd.DataFrame(pool_rows, columns=["year", "pool", "unit", "use", "supply"]),
        "payers": pd.DataFrame(payer_rows, columns=["year", "pool", "payer", "yuan"]),
        "money": pd.DataFrame(money_rows, columns=["year", "item", "yuan_year"]),
        "projects": pd.DataFrame(project_rows, columns=project_cols),
        "indicators": pd.DataFrame(indicator_rows, columns=["indicator", "year", "value", "zh", "en", "unit", "kind"]),
    }  # fmt: skip
