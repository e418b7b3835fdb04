"""A county of three townships and four sites whose plans take half a second; all figures made up."""

from __future__ import annotations

from pathlib import Path

import yaml

from allocator.design import plain_data
from allocator.scenario import Scenario

FILES = {
    "case.yaml": "id: '000002'\ntitle: {zh: 小县, en: Small county}\nbase_year: 2025\nseat: [109.2, 25.1]\n"
    "travel: {method: straight-line, detour: 1.4, speed_kmh: {walk: 4, older-walk: 3, bus: 25, car: 30, team: 30}}\n",
    "townships.csv": "township_id,name_zh,name_en,population,year,area_class\n01,甲镇,Town A,4000,2020,county-town\n"
    "02,乙乡,Town B,2000,2020,township-seat\n03,丙乡,Town C,1500,2020,township-seat\n",
    "areas.csv": "area_id,township_id,area_class,lon,lat,population,registered_60,registered_80\n"
    "0101,01,county-town,109.20,25.10,2500,500,80\n0102,01,village,109.24,25.12,1500,320,50\n"
    "0201,02,township-seat,109.32,25.20,800,200,30\n0202,02,village,109.37,25.24,1200,330,60\n"
    "0301,03,township-seat,109.10,25.22,600,150,20\n0302,03,village,109.05,25.26,900,260,45\n",
    "sites.csv": "site_id,township_id,area_class,lon,lat,today,building\n"
    "S1,01,county-town,109.21,25.11,township-home,none\nS2,02,township-seat,109.32,25.20,township-home,none\n"
    "S3,03,township-seat,109.10,25.22,,idle-school\nS4,01,county-town,109.20,25.10,,leased\n",
    "homes.csv": "site_id,places,residents,care_workers\nS1,30,18,4\nS2,20,6,2\n",
}
SCENARIO = {
    "name": "base",
    "title": {"zh": "基本", "en": "Base"},
    "periods": [{"from": 2026, "to": 2030}],
    "resources": {
        "capital": {"unit": "yuan", "supply": {"2026": 6e6}, "payers": {"county": 1.0}},
        "running": {"unit": "yuan/year", "supply": {"2026": 2e6}},
        "care_workers": {"unit": "person", "supply": {"2026": 30}},
    },
    "rules": [
        {"coverage": {"service": "elderly.day", "area_class": "county-town", "within_minutes": 15, "share": 0.8}}
    ],
    "objective": [{"shortfall": 1, "unmet": 1, "travel": 0.0001}],
}  # fmt: skip


def write(folder: Path, **changes: str) -> Path:
    """Write the case folder, some files changed (``homes_csv=...``)."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {name.replace("_", "."): text for name, text in changes.items()}
    for name, text in {**FILES, **given}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def write_scenario(path: Path, **changes: object) -> Path:
    """Write the scenario as a file, with top-level keys replaced."""
    data = plain_data(scenario(**changes))
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def scenario(**changes: object) -> Scenario:
    """The scenario, with top-level keys replaced."""
    return Scenario.model_validate({**SCENARIO, **changes})
