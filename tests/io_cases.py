"""A tiny case folder, catalogue and run that a reader can check by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from allocator import rules
from allocator.errors import Finding, Rank, Text, Where
from allocator.plan import ObjectiveValue, Plan, Status
from allocator.problem import Objective, Problem
from allocator.run import Run
from allocator.scenario import Scenario

CATALOGUE = {
    "services.csv": "id,name_zh,name_en,unit,unit_zh,unit_en\nelderly.resident,机构养老,Resident care,person,人,persons\n",
    "facility_types.csv": "id,name_zh,name_en,tier,area_classes,mark\ntownship-home,敬老院,Township home,township,village|township-seat,synthetic\n",
    "offers.csv": (
        "type,id,service,places_min,places_max,within_minutes,travel,occupancy_max,staff_mild,staff_severe,groups,mark\n"
        "township-home,beds,elderly.resident,10,60,60,car,0.95,0.1,0.3,severe|destitute,synthetic\n"
    ),
    "provisions.csv": "type,mode,from_states,capital_yuan_place,life_years,mark\ntownship-home,build,absent,90000,30,synthetic\n",
    "standards.csv": (
        "id,version,title_zh,title_en,value,unit,direction,group,level,basis,source,valid_from,valid_until,mark\n"
        "beds,1,床位,Beds,30,bed-per-1000,higher,elderly-60,national,示例标准 2020,a,2020-01-01,2024-12-31,stated\n"
        "beds,2,床位,Beds,40,bed-per-1000,higher,elderly-60,national,示例标准 2025,b,2025-01-01,,stated\n"
    ),
}
CASE = {
    "case.yaml": "id: 000001\ntitle: {zh: 示例, en: Example}\nbase_year: 2025\ndeclared_population: 1500\ncatalogue: catalogue\nseat: [109.2, 25.1]\n",
    "townships.csv": "township_id,name_zh,population,year,area_class\n01,甲镇,1000,2020,county-town\n02,乙乡,500,2020,township-seat\n",
    "areas.csv": "area_id,township_id,area_class,lon,lat,population,registered_60,registered_80\n0101,01,county-town,109.20,25.10,1000,200,30\n0201,02,village,109.30,25.20,300,90,12\n0202,02,village,109.35,25.25,200,60,9\n",
    "sites.csv": "site_id,township_id,lon,lat,today\nS1,01,109.21,25.11,township-home\nS2,02,109.31,25.21,\n",
    "homes.csv": "site_id,places,residents,care_workers\nS1,20,10,3\n",
    **{f"catalogue/{name}": text for name, text in CATALOGUE.items()},
}


def write(folder: Path, changes: dict[str, str | bytes | None] | None = None) -> Path:
    """Write the tiny case with some files changed, or left out where None."""
    for name, text in {**CASE, **(changes or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        elif text is not None:
            path.write_text(text, encoding="utf-8")
    return folder


def scenario(name: str = "base") -> Scenario:
    return Scenario.model_validate(
        {
            "name": name,
            "title": {"zh": "基本", "en": "Base"},
            "periods": [{"from": 2026, "to": 2030}],
            "resources": {"capital": {"unit": "yuan", "supply": {2026: "unlimited"}}},
        }
    )


def problem() -> Problem:
    def none(n: int) -> np.ndarray:
        return np.zeros(n, dtype=np.int64)

    payer = rules.Payer("county", 1.0, (float("inf"), 3.0))
    return Problem(
        areas=("a",), sites=("s",), options=("absent", "home"), services=("e",), classes=("c",),
        groups=("g",), periods=("2026-2030",), pools=("capital",), period_years=np.array([5.0]),
        need=np.full((1, 1, 1, 1, 1), 7.0), site_start=none(1), stint_site=none(2),
        stint_from=none(2), stint_option=np.array([0, 1]), stint_first=none(2), stint_last=none(2),
        offer_stint=np.array([1]), offer_class=none(1), offer_min=np.zeros(1),
        offer_max=np.full(1, 10.0), offer_module=np.zeros(1), class_service=none(1),
        occupancy_min=np.zeros(1), occupancy_max=np.ones(1), places_per_person=np.ones((1, 1)),
        arc_area=none(1), arc_site=none(1), arc_class=none(1), arc_minutes=np.full(1, 3.0),
        acceptance=np.full((1, 1), 0.5), use_stint=csr_array(np.array([[0.0], [2.0]])),
        use_place=csr_array(np.array([[1.0]])), use_person=np.zeros((1, 1, 1, 1)),
        use_minute=np.zeros((1, 1)),
        rules=(
            rules.Balance(id="balance", words=Text("平衡", "balance")),
            rules.Resource(id="money", words=Text("钱", "money"), pool=0, supply=np.array([np.inf]), payers=(payer,), price=2.5),
        ),
        objectives=(Objective(id="cost", unit="yuan", stint=np.array([0.0, 1.0])),),
    )  # fmt: skip


def run(name: str = "base", measures: dict | None = None) -> Run:
    made = problem()
    index = np.zeros(1, dtype=np.int64)
    plan = Plan(
        problem=made.digest, status=Status.PROVED, stints=np.array([1]), places=np.array([3.0]),
        served_arc=index, served_group=index, served_period=index, served_future=index,
        served=np.array([3.0]), unmet=np.full((1, 1, 1, 1, 1), 4.0),
        objectives=(ObjectiveValue("cost", "yuan", 1.0, 0.9),), road="exact",
        prices={"money": np.array([[1.0, 2.0]])}, work={"nodes": 1.0},
    )  # fmt: skip
    return Run(
        id="0123456789abcdef",
        scenario=scenario(name),
        inputs={"case": "example"},
        problem=made,
        plan=plan,
        tables={"sites": pd.DataFrame({"site": ["a", "b"], "places": [1.0, 2.0]})},
        measures=measures or {"score": {"served": 0.43}},
        findings=(
            Finding(Rank.WARNING, "code", Where("f.csv", row=2), Text("甲", "a"), Text("乙", "b")),
        ),
    )
