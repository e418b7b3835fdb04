"""Maps of a run as drawings: points on the county's outline, every one with the footer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from allocator.errors import Text
from allocator.region import Region
from allocator.report import bands
from allocator.report.svg import (
    BLUE,
    DEEP,
    GREY,
    INK,
    LIGHT,
    MUTED,
    ORANGE,
    PALE,
    PAPER,
    SAND,
    Drawing,
    text_width,
)
from allocator.report.words import Names, short_town
from allocator.run import Run

__all__ = ["bands_map", "coverage_map", "elders_map", "gap_map", "locator_map", "sites_map", "siting_map", "town_box", "township_points"]  # fmt: skip

SHAPES = ("square", "diamond", "triangle", "circle", "down", "hexagon", "star")
LAND, SHORE = "#f6f4ee", "#8d8a7d"
WIDTH, MAP = 760.0, 560.0


class _Frame:
    """Degrees to drawing units: plate carrée true at the middle latitude, north up."""

    def __init__(
        self, region: Region, run: Run, x: float, y: float, width: float, most: float,
        bounds: tuple[float, float, float, float] | None = None,
    ) -> None:  # fmt: skip
        areas, sites = run.tables["areas"], run.tables["sites"]
        lon = pd.concat([areas["lon"], sites["lon"]])
        lat = pd.concat([areas["lat"], sites["lat"]])
        west, south, east, north = lon.min(), lat.min(), lon.max(), lat.max()
        self.rings: list[list[tuple[float, float]]] = []
        if region.outline is not None and len(region.outline):
            west, south, east, north = region.outline.total_bounds
            for shape in region.outline.geometry:
                for polygon in getattr(shape, "geoms", [shape]):
                    self.rings += [list(r.coords) for r in (polygon.exterior, *polygon.interiors)]
        self.whole = bounds is None
        if bounds is not None:
            west, south, east, north = bounds
        squeeze = math.cos(math.radians((south + north) / 2))
        wide, tall = max((east - west) * squeeze, 1e-6), max(north - south, 1e-6)
        self.scale = min((width - 20) / wide, (most - 20) / tall)
        self.west, self.north, self.squeeze = west, north, squeeze
        self.x = x + (width - wide * self.scale) / 2
        self.y = y + 10
        self.width, self.height = width, tall * self.scale + 20
        self.right, self.low = self.x + wide * self.scale, self.y + tall * self.scale

    def at(self, lon: float, lat: float) -> tuple[float, float]:
        return (
            self.x + (lon - self.west) * self.squeeze * self.scale,
            self.y + (self.north - lat) * self.scale,
        )

    def holds(self, lon: float, lat: float) -> bool:
        x, y = self.at(lon, lat)
        return self.whole or (self.x <= x <= self.right and self.y <= y <= self.low)

    def land(self, d: Drawing, seat: tuple[float, float] | None) -> None:
        if not self.whole:
            d.rect(
                self.x,
                self.y,
                self.right - self.x,
                self.low - self.y,
                LAND,
                stroke=SHORE,
                stroke_width=1,
            )
        elif self.rings:
            rings = [[self.at(*p[:2]) for p in ring] for ring in self.rings]
            d.rings(rings, LAND, stroke=SHORE, stroke_width=1.2, stroke_linejoin="round")
        if seat is not None and self.holds(*seat):
            x, y = self.at(*seat)
            d.circle(x, y, 5.5, "none", stroke=INK, stroke_width=1.2)
            d.circle(x, y, 2, INK)

    def arrow(self, d: Drawing) -> None:
        """Draw an arrow to the north in the corner of the map."""
        x, y = self.x + 14 if not self.whole else 16.0, self.y + 44
        d.path([(x, y - 22), (x + 6, y), (x, y - 5), (x - 6, y)], INK, True)
        d.text(x, y - 26, Text("北", "N"), 11, anchor="middle", weight=600)

    def scale_bar(self, d: Drawing, x: float, y: float) -> None:
        km = next(
            (k for k in (50, 20, 10, 5, 2, 1, 0.5) if k / 111.2 * self.scale < self.width / 4), 0.5
        )
        length = km / 111.2 * self.scale
        x -= length
        d.line(x, y, x + length, y, INK, 1.4)
        for end in (x, x + length):
            d.line(end, y - 4, end, y, INK, 1.4)
        d.text(
            x + length / 2,
            y - 6,
            Text(f"{km:g} 公里", f"{km:g} km"),
            10,
            anchor="middle",
            fill=MUTED,
        )


Bounds = tuple[float, float, float, float]


def _board(run: Run, title: Text, panels: int, region: Region, bounds: Bounds | None = None) -> tuple[Drawing, list[_Frame]]:  # fmt: skip
    width = WIDTH if panels == 1 else WIDTH / panels - 6
    frames = [
        _Frame(region, run, n * (width + 12), 8 if panels == 1 else 30, width, MAP, bounds)
        for n in range(panels)
    ]
    for frame in frames:
        frame.height = frames[0].height
    return Drawing(WIDTH, frames[0].y + frames[0].height, title), frames


def _finish(d: Drawing, run: Run, frame: _Frame, legend: Sequence[tuple[Callable[[float, float], None], Text]]) -> Drawing:  # fmt: skip
    """Add scale, legend, footer and disclaimer below the map."""
    if frame.whole:
        frame.scale_bar(d, d.width - 14, d.height - 4)
    else:
        frame.scale_bar(d, frame.right - 10, frame.low - 10)
    frame.arrow(d)
    y = d.height + 24
    x = 6.0
    for draw, words in legend:
        wide = 26 + max(text_width(words.zh, 12), text_width(words.en, 12)) + 16
        if x + wide > d.width:
            x, y = 6.0, y + 24
        draw(x + 10, y - 4)
        d.text(x + 24, y, words, 12)
        x += wide
    d.height = y + 12
    footer, disclaimer = run.inputs["map_footer"], run.inputs["disclaimer"]
    d.line(0, d.height, d.width, d.height, LIGHT)
    for words in (footer, disclaimer):
        text = Text(words["zh"], words["en"])
        d.paragraph(6, d.height + 16, text, 10.5, d.width - 12)
        lines = max(text_width(text.zh, 10.5), text_width(text.en, 10.5)) // (d.width - 24) + 1
        d.height += 15 * lines
    d.height += 12
    return d


def township_points(run: Run) -> pd.DataFrame:
    """Return a labelling point of each township: the mean of its areas' points."""
    areas = run.tables["areas"]
    first = areas[areas["year"] == areas["year"].min()]
    towns = run.tables["townships"].drop_duplicates("township_id").set_index("township_id")
    points = first.groupby("township_id")[["lon", "lat"]].mean()
    return towns[["name_zh", "name_en"]].join(points, how="inner").reset_index()


Box = tuple[float, float, float, float]
AROUND = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def _label(d: Drawing, taken: list[Box], x: float, y: float, text: Text, size: float, near: float, **look: Any) -> None:  # fmt: skip
    """Write a text near a point where it covers least of what stands; far ones get a line."""
    half = max(text_width(text.zh, size), text_width(text.en, size) * 0.92) / 2 + 1
    best: tuple[float, Box, float, float] | None = None
    for step in (0, 6, 13, 21, 30):
        for u, v in AROUND:
            cx = x + u * (near + half + step)
            cy = y + v * (near + size * 0.62 + step)
            box = (cx - half, cy - size * 0.62, cx + half, cy + size * 0.62)
            cost = step * 1.5 + sum(_overlap(box, other) for other in taken)
            if box[0] < 0 or box[2] > d.width:
                cost += 500
            if best is None or cost < best[0] - 1e-9:
                best = (cost, box, cx, cy)
    assert best is not None
    _, box, cx, cy = best
    if math.hypot(cx - x, cy - y) > near + half + 14:
        d.line(x, y, cx, cy, GREY, 0.6)
    taken.append(box)
    d.text(cx, cy + size * 0.36, text, size, anchor="middle", halo=True, **look)


def _overlap(a: Box, b: Box) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    tall = min(a[3], b[3]) - max(a[1], b[1])
    return wide * tall if wide > 0 and tall > 0 else 0.0


def _around(x: float, y: float, r: float) -> Box:
    return (x - r, y - r, x + r, y + r)


def _township_names(d: Drawing, frame: _Frame, run: Run, taken: list[Box], size: float = 11) -> None:  # fmt: skip
    for row in township_points(run).sort_values("lat", ascending=False).itertuples():
        x, y = frame.at(row.lon, row.lat)
        short = short_town(Text(str(row.name_zh), str(row.name_en)))
        name = Text(_cut(short.zh, 12), _cut(short.en, 24))
        _label(d, taken, x, y, name, size, 2, fill="#3c4650")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _shape_of(names: Names, types: Sequence[str]) -> Mapping[str, str]:
    return {t: SHAPES[n % len(SHAPES)] for n, t in enumerate(types)}


def _at_year(table: pd.DataFrame, year: int) -> pd.DataFrame:
    return table[table["year"] == year]


def _beds(run: Run, year: int) -> pd.Series:
    """Places in the house (resident and day) of each site that offers anything."""
    use = _at_year(run.tables["use"], year)
    inside = use["places"].where(use["service"] != "elderly.home", 0.0)
    return inside.groupby(use["site_id"]).sum()


def _open_types(run: Run) -> list[str]:
    """Types ever standing, largest first, so that a type keeps its mark on every map."""
    sites, use = run.tables["sites"], run.tables["use"]
    joined = use.merge(sites[["year", "site_id", "state"]], on=["year", "site_id"])
    return list(
        joined.groupby("state")["places"].max().sort_values(ascending=False, kind="stable").index
    )


def _radius(places: float) -> float:
    return 3.0 + 0.72 * math.sqrt(max(places, 0.0))


def _dot(
    d: Drawing, shape: str, r: float, fill: str, **more: object
) -> Callable[[float, float], None]:
    return lambda x, y: d.mark(shape, x, y, r, fill, **more)


def sites_map(run: Run, region: Region, names: Names, title: Text) -> Drawing:
    """Facilities of today by type and size."""
    year = run.scenario.base_year
    d, (frame,) = _board(run, title, 1, region)
    frame.land(d, region.seat)
    _people(d, frame, run, year)
    shapes = _shape_of(names, _open_types(run))
    beds = _beds(run, year)
    sites = _at_year(run.tables["sites"], year)
    standing = sites[sites["site_id"].isin(beds.index)]
    order = standing.assign(r=standing["site_id"].map(beds)).sort_values("r", ascending=False)
    taken: list[Box] = []
    for row in order.itertuples():
        x, y = frame.at(row.lon, row.lat)
        taken.append(_around(x, y, _radius(row.r)))
        d.mark(shapes[row.state], x, y, _radius(row.r), BLUE, stroke=PAPER, stroke_width=1, fill_opacity=0.88)  # fmt: skip
    _township_names(d, frame, run, taken)
    legend = [(_dot(d, shapes[t], 6, BLUE), names.type(t)) for t in dict.fromkeys(order["state"])]
    legend += [
        (_dot(d, "circle", 2.5, "#b9b5a5"), Text("居民点（无名点，大小示老年人数）", "Settlement (unnamed; size: elders)")),
        (_seat(d), Text("县城", "County seat")),
    ]  # fmt: skip
    return _finish(d, run, frame, legend)


def _seat(d: Drawing) -> Callable[[float, float], None]:
    def draw(x: float, y: float) -> None:
        d.circle(x, y, 5.5, "none", stroke=INK, stroke_width=1.2)
        d.circle(x, y, 2, INK)

    return draw


def _people(d: Drawing, frame: _Frame, run: Run, year: int) -> None:
    areas = _at_year(run.tables["areas"], year)
    for row in areas.itertuples():
        if not frame.holds(row.lon, row.lat):
            continue
        x, y = frame.at(row.lon, row.lat)
        d.circle(x, y, 1 + 0.07 * math.sqrt(row.people_60), "#c9c5b5", fill_opacity=0.75)


def coverage_map(run: Run, region: Region, service: str, title: Text) -> Drawing:
    """Settlements in and out of reach of a service, today beside the end of the plan."""
    column = f"reach_{service.split('.')[-1]}"
    d, frames = _board(run, title, 2, region)
    years = (run.scenario.base_year, run.scenario.years[-1])
    heads = (Text(f"现状（{years[0]} 年）", f"Today ({years[0]})"), Text(f"规划期末（{years[1]} 年）", f"End of plan ({years[1]})"))  # fmt: skip
    for frame, year, head in zip(frames, years, heads, strict=True):
        frame.land(d, region.seat)
        d.text(frame.x, 20, head, 14, weight=600)
        areas = _at_year(run.tables["areas"], year).sort_values(column)
        for row in areas.to_dict("records"):
            x, y = frame.at(row["lon"], row["lat"])
            r = 1.6 + 0.11 * math.sqrt(row["people_60"])
            if row[column]:
                d.circle(x, y, r, BLUE, fill_opacity=0.85)
            else:
                d.circle(x, y, r, PAPER, stroke=ORANGE, stroke_width=1.5)
    legend = [
        (_dot(d, "circle", 5, BLUE), Text("可达", "In reach")),
        (
            _dot(d, "circle", 5, PAPER, stroke=ORANGE, stroke_width=1.5),
            Text("不可达", "Out of reach"),
        ),
        (lambda x, y: None, Text("圆点大小示老年人数（60+）", "Size: people aged 60+")),
    ]
    return _finish(d, run, frames[0], legend)


def gap_map(run: Run, region: Region, service: str, title: Text) -> Drawing:
    """Share of need still unmet at the end, by settlement, in four steps of darkness."""
    column = f"share_{service.split('.')[-1]}"
    year = run.scenario.years[-1]
    d, (frame,) = _board(run, title, 1, region)
    frame.land(d, region.seat)
    steps = ((0.25, PALE), (0.5, SAND), (0.75, "#dd8a45"), (1.01, "#8c3503"))
    areas = _at_year(run.tables["areas"], year).sort_values(column, ascending=False)
    for row in areas.to_dict("records"):
        x, y = frame.at(row["lon"], row["lat"])
        missing = 1 - row[column]
        fill = next(colour for top, colour in steps if missing <= top)
        d.circle(x, y, 2 + 0.16 * math.sqrt(row["people_60"]), fill, stroke=PAPER, stroke_width=0.6)
    _township_names(d, frame, run, [])
    words = (
        ("25% 及以下", "25%–50%", "50%–75%", "75% 以上"),
        ("up to 25%", "25–50%", "50–75%", "over 75%"),
    )
    legend = [
        (_dot(d, "circle", 6, colour), Text(f"未满足 {zh}", f"Unmet {en}"))
        for (_, colour), zh, en in zip(steps, *words, strict=True)
    ]
    return _finish(d, run, frame, legend)


DASHES = ("none", "6 3", "1.5 3", "8 3 1.5 3", "3 2", "12 4")
TINTS = ("#2f78b3", "#4f8fc0", "#7aabd2", "#a3c6e0", "#c0d7ea", "#dbe8f3")
MOST_LAYERS = 9


def bands_map(
    run: Run, region: Region, names: Names, title: Text, steps: Sequence[float] = bands.STEPS
) -> Drawing | None:
    """Minutes to the nearest facility in bands, a layer a service at the end of the plan and today.

    Bands are told apart by lightness and by the line around them. None where no place has a point.
    """
    end = run.scenario.years[-1]
    d, (frame,) = _board(run, title, 1, region)
    layers, marked = [], []
    for when, label in (
        ("planned", Text(f"规划期末（{end} 年）", f"End of plan ({end})")),
        ("today", Text("现状", "Today")),
    ):
        found = bands.near(run, when)
        if found is None:
            continue
        for service in run.scenario.services:
            part = found[found["service"] == service]
            if part["minutes"].notna().any():
                name = names.service(service)
                words = Text(f"{label.zh}·{name.zh}", f"{label.en}: {name.en}")
                new = set(run.tables["projects"]["site_id"]) if when == "planned" else set()
                layer = _bands_of(region, frame, part, steps)
                for x, y, id in _facilities(run, frame, part):
                    mark, fill = ("diamond", ORANGE) if id in new else ("square", DEEP)
                    layer.mark(mark, x, y, 5, fill, stroke=PAPER, stroke_width=1)
                    marked.append(_around(x, y, 6))
                layers.append((words, layer))
    if not layers:
        return None
    frame.land(d, None)
    d.choice(layers[:MOST_LAYERS])
    if frame.rings:
        d.rings([[frame.at(*p[:2]) for p in r] for r in frame.rings], "none", stroke=SHORE, stroke_width=1.2)  # fmt: skip
    _township_names(d, frame, run, sorted(set(marked)))
    legend = [(_swatch(d, n, len(steps)), _between(low, high)) for n, (low, high) in enumerate(zip((0.0, *steps), steps, strict=False))]  # fmt: skip
    legend += [
        (lambda x, y: None, Text(f"无色：{steps[-1]:g} 分钟以上或不可达", f"No tint: over {steps[-1]:g} min or out of reach")),
        (_dot(d, "square", 5, DEEP, stroke=PAPER), Text("设施", "Facility")),
        (_dot(d, "diamond", 5, ORANGE, stroke=PAPER), Text("新增或调整的设施", "New or changed facility")),
    ]  # fmt: skip
    return _finish(d, run, frame, legend)


def _between(low: float, high: float) -> Text:
    if low == 0:
        return Text(f"{high:g} 分钟以内", f"Within {high:g} min")
    return Text(f"{low:g}–{high:g} 分钟", f"{low:g}–{high:g} min")


def _look(n: int, of: int) -> tuple[str, dict[str, object]]:
    """Tint and line of the n-th of some bands: from dark to light, each with a line of its own."""
    last = len(TINTS) - 1
    tint = (
        TINTS[round(1 + n * (last - 1) / max(of - 1, 1))]
        if of <= 3
        else TINTS[round(n * last / (of - 1))]
    )
    return tint, {"stroke": DEEP, "stroke_width": 1.1 if n else 1.6, "stroke_dasharray": DASHES[n]}


def _swatch(d: Drawing, n: int, of: int) -> Callable[[float, float], None]:
    tint, line = _look(n, of)
    return lambda x, y: d.rect(x - 9, y - 6, 18, 12, tint, **line)


def _bands_of(region: Region, frame: _Frame, part: pd.DataFrame, steps: Sequence[float]) -> Drawing:  # fmt: skip
    """Bands of one service and the lines between catchments."""
    d = Drawing(0, 0, Text("", ""))
    for row in bands.bands(part, region, steps).sort_values("step", ascending=False).itertuples():
        tint, line = _look(row.step, len(steps))
        d.rings(_rings(row.geometry, frame), tint, **line)
    for shape in bands.catchments(part, region).geometry:
        d.rings(_rings(shape, frame), "none", stroke=PAPER, stroke_width=0.8)
    return d


def _facilities(run: Run, frame: _Frame, part: pd.DataFrame) -> Iterator[tuple[float, float, str]]:
    """The facilities that somebody is nearest to, where they have a point."""
    sites = run.tables["sites"].drop_duplicates("site_id").dropna(subset=["lon", "lat"])
    for row in sites[sites["site_id"].isin(part["site_id"])].itertuples():
        yield *frame.at(row.lon, row.lat), str(row.site_id)


def _rings(shape: Any, frame: _Frame) -> list[list[tuple[float, float]]]:
    """The rings of polygons in units of the drawing; what is no polygon has none."""
    parts = [p for p in getattr(shape, "geoms", [shape]) if p.geom_type == "Polygon"]
    return [
        [frame.at(*c[:2]) for c in ring.coords]
        for p in parts
        for ring in (p.exterior, *p.interiors)
    ]


def town_box(run: Run) -> Bounds | None:
    """Return degrees around the county town's points, where they lie close in a wide county."""
    sites = _at_year(run.tables["sites"], run.scenario.years[-1])
    areas = _at_year(run.tables["areas"], run.scenario.base_year)
    areas = areas[areas["area_class"] == "county-town"]
    if len(areas) < 3:
        return None
    town = sites[sites["area_class"] == "county-town"]
    points = pd.concat([areas[["lon", "lat"]], town[["lon", "lat"]]])
    (west, south), (east, north) = points.min(), points.max()
    every = pd.concat([sites[["lon", "lat"]], run.tables["areas"][["lon", "lat"]]])
    span = every.max() - every.min()
    if east - west > span["lon"] / 3 or north - south > span["lat"] / 3:
        return None
    u, v = max((east - west) * 0.14, 0.004), max((north - south) * 0.14, 0.004)
    return (west - u, south - v, east + u, north + v)


NEAR, FAR, KEPT = ORANGE, SAND, PAPER


def siting_map(run: Run, region: Region, names: Names, title: Text, bounds: Bounds | None = None) -> Drawing:  # fmt: skip
    """The plan by phase: kept, changed and closed facilities, the changed ones with their number.

    ``bounds`` (west, south, east, north in degrees) enlarges a part.
    """
    year = run.scenario.years[-1]
    d, (frame,) = _board(run, title, 1, region, bounds)
    frame.land(d, region.seat)
    _people(d, frame, run, year)
    shapes = _shape_of(names, _open_types(run))
    beds = _beds(run, year)
    sites = _at_year(run.tables["sites"], year)
    sites = sites[[frame.holds(r.lon, r.lat) for r in sites.itertuples()]]
    projects = run.tables["projects"]
    number: dict[str, Any] = projects.groupby("site_id")["number"].last().to_dict()
    phase: dict[str, Any] = projects.groupby("site_id")["period"].min().to_dict()
    first = run.scenario.years[1]
    standing = sites[sites["site_id"].isin(beds.index)]
    order = standing.assign(r=standing["site_id"].map(beds)).sort_values("r", ascending=False)
    labels: list[tuple[float, float, float, str]] = []
    taken: list[Box] = []
    larger = 1.0 if bounds is None else 1.4
    for row in order.itertuples():
        x, y = frame.at(row.lon, row.lat)
        r = _radius(row.r) * larger
        changed = row.site_id in number
        fill = (NEAR if phase[row.site_id] <= first else FAR) if changed else KEPT
        look = {"stroke": PAPER if fill == NEAR else DEEP if fill == KEPT else ORANGE, "stroke_width": 1 if fill == NEAR else 1.4}  # fmt: skip
        d.mark(shapes[row.state], x, y, r, fill, **look)
        if changed:
            labels.append((x, y, r, str(number[row.site_id])))
        taken.append(_around(x, y, r))
    gone = sites[sites["site_id"].isin(number) & ~sites["site_id"].isin(beds.index)]
    for row in gone.itertuples():
        x, y = frame.at(row.lon, row.lat)
        d.mark("cross", x, y, 5, INK, stroke=INK)
        labels.append((x, y, 5.0, str(number[row.site_id])))
        taken.append(_around(x, y, 5))
    for x, y, r, text in sorted(labels):
        _label(d, taken, x, y, Text(text, text), 10.5, r * 0.8, weight=700)
    if bounds is None:
        _township_names(d, frame, run, taken, 10.5)
    periods = run.scenario.periods
    near = Text(f"近期（至 {first} 年）", f"Near term (by {first})")
    far = Text(f"远期（至 {year} 年）", f"Long term (by {year})")
    legend = [(_dot(d, shapes[t], 6, GREY), names.type(t)) for t in dict.fromkeys(order["state"])]
    legend.append((_dot(d, "circle", 6, NEAR), near))
    if len(periods) > 1:
        legend.append((_dot(d, "circle", 6, FAR, stroke=ORANGE, stroke_width=1.4), far))
    legend.append((_dot(d, "circle", 6, KEPT, stroke=DEEP, stroke_width=1.4), Text("保留", "Kept")))  # fmt: skip
    if len(gone):
        legend.append((_dot(d, "cross", 5, INK, stroke=INK), Text("关停", "Closed")))
    legend.append((lambda x, y: None, Text("数字为项目序号；大小示床位和日间名额", "Number: project; size: resident and day places")))  # fmt: skip
    return _finish(d, run, frame, legend)


def elders_map(run: Run, region: Region, title: Text) -> Drawing:
    """Where people aged 60 and over live, today beside the end of the plan."""
    d, frames = _board(run, title, 2, region)
    years = (run.scenario.base_year, run.scenario.years[-1])
    for frame, year in zip(frames, years, strict=True):
        frame.land(d, region.seat)
        d.text(frame.x, 20, Text(f"{year} 年", str(year)), 14, weight=600)
        areas = _at_year(run.tables["areas"], year).sort_values("people_60", ascending=False)
        for row in areas.itertuples():
            x, y = frame.at(row.lon, row.lat)
            d.circle(x, y, 0.6 + 0.17 * math.sqrt(row.people_60), BLUE, fill_opacity=0.45, stroke=DEEP, stroke_width=0.5)  # fmt: skip
    legend: list[tuple[Callable[[float, float], None], Text]] = []
    for people in (100, 500, 2000):
        r = 0.6 + 0.17 * math.sqrt(people)
        legend.append((_dot(d, "circle", r, BLUE, fill_opacity=0.45, stroke=DEEP, stroke_width=0.5), Text(f"{people} 名老年人", f"{people} elders")))  # fmt: skip
    return _finish(d, run, frames[0], legend)


def locator_map(run: Run, region: Region, id: str, title: Text) -> Drawing:
    """Where one site lies in the county, with the other facilities of the end of the plan."""
    year = run.scenario.years[-1]
    d = Drawing(300, 0, title)
    frame = _Frame(region, run, 0, 4, 300, 230)
    frame.land(d, region.seat)
    sites = _at_year(run.tables["sites"], year)
    open_ = set(_beds(run, year).index)
    for row in sites[sites["site_id"].isin(open_)].itertuples():
        x, y = frame.at(row.lon, row.lat)
        d.circle(x, y, 2.6, GREY)
    for row in sites[sites["site_id"] == id].itertuples():
        x, y = frame.at(row.lon, row.lat)
        d.circle(x, y, 9, "none", stroke=ORANGE, stroke_width=1.6)
        d.mark("diamond", x, y, 4.5, ORANGE)
    d.height = frame.y + frame.height
    footer = Text(run.inputs["map_footer"]["zh"], run.inputs["map_footer"]["en"])
    d.paragraph(4, d.height + 8, footer, 12, 292)
    d.height += 17.0 * (max(text_width(footer.zh, 12), text_width(footer.en, 12)) // 270 + 1) + 6
    return d
