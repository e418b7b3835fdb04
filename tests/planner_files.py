"""A small county as a planner would type it into the template: three townships, twelve villages."""

from pathlib import Path

import numpy as np
import openpyxl

from allocator.io.coordinates import wgs84_to_gcj02
from allocator.io.template import SHEETS
from allocator.schema import SCHEMAS

TOWNS = [
    {"township_id": "360101", "name_zh": "青石镇", "population": 18000, "area_class": "县城"},
    {"township_id": "360102", "name_zh": "东岭乡", "population": 6000, "area_class": "乡镇驻地"},
    {"township_id": "360103", "name_zh": "西坪乡", "population": 5000, "area_class": "乡镇驻地"},
]
CENTRES = {"360101": (114.50, 27.50), "360102": (114.62, 27.56), "360103": (114.38, 27.42)}
HOMES = [
    {"site_id": "J01", "name_zh": "青石镇敬老院", "township_id": "360101", "places": 60,
     "residents": 35, "destitute_residents": 20, "care_workers": 6},
    {"site_id": "J02", "name_zh": "东岭敬老院", "township_id": "360102", "places": 40,
     "residents": 9, "destitute_residents": 8},
]  # fmt: skip


def villages() -> list[dict]:
    """Return four villages a township, with the points of a survey (WGS 84)."""
    rows = []
    for town in TOWNS:
        x, y = CENTRES[town["township_id"]]
        for n in range(4):
            people = town["population"] // 4
            rows.append(
                {
                    "area_id": f"{town['township_id']}{n + 1:03d}",
                    "name_zh": f"{town['name_zh'][:2]}第{n + 1}村",
                    "township_id": town["township_id"],
                    "area_class": town["area_class"] if n == 0 else "村",
                    "lon": x + 0.02 * np.cos(n),
                    "lat": y + 0.02 * np.sin(n),
                    "registered_60": int(people * 0.2),
                    "registered_80": int(people * 0.03),
                }
            )
    return rows


def gcj02() -> dict[str, list[dict]]:
    """Return sheets with coordinates as a map vendor gives them."""
    rows = []
    for row in villages():
        lon, lat = wgs84_to_gcj02(np.array([row["lon"]]), np.array([row["lat"]]))
        rows.append({**row, "lon": round(float(lon[0]), 6), "lat": round(float(lat[0]), 6)})
    return _sheets(rows)


def road_table() -> dict[str, list[dict]]:
    """Return sheets without coordinates: village to township, township to county town."""
    rows = [{k: v for k, v in r.items() if k not in ("lon", "lat")} for r in villages()]
    legs = [
        {"from_id": r["area_id"], "to_id": r["township_id"], "road_km": 3.5 + n % 4}
        for n, r in enumerate(rows)
    ]
    legs += [
        {"from_id": "360102", "to_id": "360101", "road_km": 17},
        {"from_id": "360103", "to_id": "360101", "road_km": 21},
    ]
    return {**_sheets(rows), "distances": legs}


def _sheets(areas: list[dict]) -> dict[str, list[dict]]:
    return {"townships": [{**t, "year": 2020} for t in TOWNS], "areas": areas, "homes": HOMES}


def fill(book: Path, sheets: dict[str, list[dict]]) -> None:
    """Type rows into the sheets of a template, by the English half of each header."""
    made = openpyxl.load_workbook(book)
    for name, rows in sheets.items():
        assert name in SHEETS
        sheet = made[f"{SCHEMAS[name].zh} {name}"]
        at = {cell.value.split(" ")[1]: cell.column for cell in sheet[1]}
        for number, row in enumerate(rows, start=2):
            for column, value in row.items():
                sheet.cell(number, at[column], value)
    made.save(book)
