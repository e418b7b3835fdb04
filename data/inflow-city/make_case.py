"""Make the synthetic inflow city (流入城市): more residents than registered, the opposite of Rongshui.

Run ``python data/inflow-city/make_case.py`` to write the tables of this folder again; the same seed
gives the same bytes. Everything is synthetic: no place, home or person of any real city is meant.

The rule
--------
* Five townships (one old town, two factory towns, a new town, a rural township) with eight areas
  each, spread as a seeded cloud around the township's point.
* Residents of an area come from the township's total by a seeded share; ages by a template: an
  ageing one in the old town and the countryside, a working-age one where factories are.
* Registered persons are residents of each age times a ratio of the township and age: under 1 where
  people arrive to work, over 1 in the countryside that they leave. Young adults' ratios lie
  furthest from 1, elders' nearest: arrivals age only slowly into need.
* Homes: one public home in each township, sized by registered elders, hence short where residents
  outnumber them.
"""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

SEED = 20_260
HERE = Path(__file__).parent
SEAT = (113.900, 23.100)
AREAS = 8
AGES = (*(f"{a}-{a + 4}" for a in range(0, 100, 5)), "100+")

# id, zh, en, residents, class of the first area, registered/resident of workers, of elders, offset
TOWNSHIPS = (
    ("900001101", "示例老城街道", "Sample Old Town", 96_000, "county-town", 0.90, 1.05, (0.00, 0.00)),
    ("900001102", "示例工业一镇", "Sample Factory Town One", 128_000, "township-seat", 0.28, 0.55, (0.09, 0.04)),
    ("900001103", "示例工业二镇", "Sample Factory Town Two", 104_000, "township-seat", 0.34, 0.60, (-0.10, 0.05)),
    ("900001104", "示例新城镇", "Sample New Town", 82_000, "township-seat", 0.55, 0.70, (0.05, -0.09)),
    ("900001105", "示例山区乡", "Sample Hill Township", 18_000, "township-seat", 1.55, 1.15, (-0.14, -0.13)),
)  # fmt: skip
OLD = (4, 5, 5, 5, 6, 7, 7, 7, 7, 7, 8, 8, 7, 6, 5, 3.5, 2, 1.2, 0.5, 0.1, 0.02)
YOUNG = (4, 4, 3, 6, 13, 15, 14, 11, 8, 7, 5.5, 4, 2, 1.4, 0.9, 0.5, 0.3, 0.12, 0.04, 0.01, 0.002)
SITES = ("是",) * 8


def main() -> None:
    """Write townships, areas, population, sites and homes."""
    random = Random(SEED)
    townships, areas, people, sites, homes = [], [], [], [], []
    for number, (tid, zh, en, total, first, workers, elders, offset) in enumerate(TOWNSHIPS, 1):
        townships.append((tid, zh, en, total, 2025, first, "synthetic"))
        at = (SEAT[0] + offset[0], SEAT[1] + offset[1])
        ages = OLD if number in (1, 5) else YOUNG
        sizes = shares(random, total)
        for k, size in enumerate(sizes):
            aid = f"{tid}{k + 1:03d}"
            kind = first if k == 0 or first == "county-town" else "village"
            point = jitter(random, at, 0.012 if kind == "county-town" else 0.035)
            rows = pyramid(aid, size, ages, workers, elders)
            people += rows
            areas.append(
                (
                    aid,
                    "",
                    "",
                    tid,
                    kind,
                    *point,
                    size,
                    elderly(rows, 60),
                    elderly(rows, 80),
                    "synthetic",
                )
            )
        old = sum(a[8] for a in areas if a[3] == tid)
        plot = jitter(random, at, 0.01)
        kind = "county-town" if first == "county-town" else "township-seat"
        here = (
            f"C{number:02d}",
            f"示例设施{number:02d}",
            f"Sample facility {number:02d}",
            tid,
            kind,
            *plot,
        )
        sites.append(
            (
                *here,
                "county-home" if number == 1 else "township-home",
                "none",
                3000,
                4000,
                10,
                *SITES,
                "synthetic",
            )
        )
        places = max(20, round(old * 0.02 / 10) * 10)
        homes.append(
            (
                here[0],
                places,
                places // 2,
                round(places * 0.7),
                round(places * 0.06),
                round(places * 0.12),
                0,
                "synthetic",
            )
        )
        for extra in range(3):
            spot = jitter(random, at, 0.03)
            n = 5 + (number - 1) * 3 + extra + 1
            building = ("none", "idle-school", "vacant-building")[extra]
            sites.append(
                (
                    f"C{n:02d}",
                    f"示例设施{n:02d}",
                    f"Sample facility {n:02d}",
                    tid,
                    kind,
                    *spot,
                    "",
                    building,
                    1500 + 500 * extra,
                    2000,
                    12,
                    *SITES,
                    "synthetic",
                )
            )
    write("townships", "township_id,name_zh,name_en,population,year,area_class,mark", townships)
    write(
        "areas",
        "area_id,name_zh,name_en,township_id,area_class,lon,lat,population,registered_60,registered_80,mark",
        areas,
    )
    write("population", "area_id,year,track,sex,age,persons,mark", people)
    screening = "zoning,hazard,flood,land_use,ownership,structure,fire_access,consent"
    write(
        "sites",
        f"site_id,name_zh,name_en,township_id,area_class,lon,lat,today,building,floor_area_m2,land_m2,medical_minutes,{screening},mark",
        sorted(sites),
    )
    write(
        "homes",
        "site_id,places,nursing_places,residents,destitute_residents,care_workers,day_places,mark",
        homes,
    )


def shares(random: Random, total: int) -> list[int]:
    """Divide a township's residents among its areas; the parts sum to the total."""
    weights = [random.uniform(0.6, 1.8) for _ in range(AREAS)]
    parts = [int(total * w / sum(weights)) for w in weights]
    parts[0] += total - sum(parts)
    return parts


def jitter(random: Random, at: tuple[float, float], spread: float) -> tuple[float, float]:
    """Return a point near another, degrees rounded to about ten metres."""
    return (round(at[0] + random.gauss(0, spread), 4), round(at[1] + random.gauss(0, spread), 4))


def pyramid(
    aid: str, size: int, ages: tuple[float, ...], workers: float, elders: float
) -> list[tuple[object, ...]]:
    """Return resident and registered persons by sex and age; more women at the oldest ages."""
    rows: list[tuple[object, ...]] = []
    for track in ("registered", "resident"):
        for sex in ("f", "m"):
            for n, (age, share) in enumerate(zip(AGES, ages, strict=True)):
                women = 0.48 if n < 12 else min(0.75, 0.50 + 0.03 * (n - 12))
                persons = size * share / sum(ages) * (women if sex == "f" else 1 - women)
                if track == "registered":
                    persons *= elders if n >= 12 else workers if n >= 4 else (workers + elders) / 2
                rows.append((aid, 2025, track, sex, age, round(persons, 1), "synthetic"))
    return rows


def elderly(rows: list[tuple[object, ...]], least: int) -> int:
    """Count registered persons from an age up."""
    return round(
        sum(
            float(str(r[5]))
            for r in rows
            if r[2] == "registered" and int(str(r[4]).split("-")[0].rstrip("+")) >= least
        )
    )


def write(name: str, header: str, rows: list[tuple[object, ...]]) -> None:
    """Write one table beside this script."""
    with (HERE / f"{name}.csv").open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
