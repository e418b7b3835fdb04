"""What the tables of one case must agree on: ids, totals, places, and figures within figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import geopandas as gpd
import numpy as np
import pandas as pd

from allocator.catalogue import Catalogue
from allocator.errors import Finding, Where, nearest, plural
from allocator.io.findings import data_gap, error, warning
from allocator.population import AGES_5
from allocator.schema import SCHEMAS

__all__ = ["check_case"]

Tables = Mapping[str, pd.DataFrame]
EARTH_KM = 6371.0088
BOX_MARGIN = 0.05
OUTLINE_MARGIN = 0.02
MAX_EACH = 200
EVERYWHERE = ("areas", "sites", "townships")


class _Declared(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def base_year(self) -> int: ...
    @property
    def declared_population(self) -> int | None: ...
    @property
    def seat(self) -> tuple[float, float] | None: ...


def check_case(
    tables: Tables,
    outline: gpd.GeoDataFrame | None,
    file: _Declared,
    catalogue: Catalogue | None,
    told: Collection[tuple[str, int | None]] = (),
) -> list[Finding]:
    """Return everything in which the tables of a case disagree; each check is a function below.

    Parameters
    ----------
    told
        Tables and rows with a fault already: a cell at fault is blank, and no figure to compare.
    """
    found: list[Finding] = []
    found += check_known_ids(tables, file.id)
    found += check_declared_total(tables, file.declared_population)
    found += check_area_totals(tables)
    found += check_population(tables, file.base_year)
    found += check_parts_of_wholes(tables, told)
    found += check_facility_types(tables, catalogue)
    found += check_points(tables, outline, file.seat, told)
    found += check_distances(tables)
    return found


def check_known_ids(tables: Tables, county: str) -> Iterator[Finding]:
    """Ids that stand for a row of another table must be there."""
    townships, areas = set(tables["townships"]["township_id"]), set(tables["areas"]["area_id"])
    sites = set(tables["sites"]["site_id"])
    everywhere = areas | sites | townships | {county}
    for name, column, known, of in (
        ("areas", "township_id", townships, ("townships",)),
        ("sites", "township_id", townships, ("townships",)),
        ("homes", "site_id", sites, ("sites",)),
        ("population", "area_id", areas, ("areas",)),
        ("distances", "from_id", everywhere, EVERYWHERE),
        ("distances", "to_id", everywhere, EVERYWHERE),
        ("matrix", "from_id", everywhere, EVERYWHERE),
        ("matrix", "to_id", everywhere, EVERYWHERE),
        ("placements", "point_id", areas | sites, ("areas", "sites")),
    ):
        if name not in tables or not known:
            continue
        ids = tables[name][column]
        unknown = ids[(ids != "") & ~ids.isin(known)]
        counts = unknown.value_counts()
        for value, row in list(zip(unknown, unknown.index, strict=True))[: 20 * MAX_EACH]:
            if value not in counts.index:
                continue
            times = int(counts[value])
            counts = counts.drop(value)
            near = nearest(value, known) if len(known) < 5000 else None
            yield error(
                "id-unknown",
                _at(name, row, column, value),
                (
                    f"“{value}”不在{'、'.join(SCHEMAS[t].zh for t in of)}表中"
                    + (f"(共{times}行)。" if times > 1 else "。"),
                    f"{value!r} is not in the table {', '.join(of)}"
                    + (f" ({times} rows)." if times > 1 else "."),
                ),
                (
                    f"是否为“{near}”?" if near else "请改正,或在该表中补上。",
                    f"Did you mean {near!r}?" if near else "Correct it, or add it there.",
                ),
            )
    yield from _empty_townships(tables)


def _empty_townships(tables: Tables) -> Iterator[Finding]:
    townships = tables["townships"]
    if tables["areas"].empty:  # told when the table was read
        return
    bare = townships[
        ~townships["township_id"].isin(tables["areas"]["township_id"])
        & (townships["population"] > 0)
    ]
    for row, township in bare.iterrows():
        yield error(
            "township-without-areas",
            _at("townships", row, "township_id", township["township_id"]),
            (
                f"乡镇“{township['name_zh']}”没有村。",
                f"The township {township['name_zh']!r} has no areas.",
            ),
            (
                "请在村(社区)表中补上;只有乡镇数据时,每个乡镇写一行。",
                "Add its areas; where only townships are known, one row each.",
            ),
        )


def check_declared_total(tables: Tables, declared: int | None) -> Iterator[Finding]:
    """The townships' sum against the published total: over 1 % told, over 10 % refused."""
    total = int(tables["townships"]["population"].sum())
    if declared is None or not len(tables["townships"]):
        return
    apart = abs(total - declared) / max(declared, 1)
    if apart <= 0.01:
        return
    tell = error if apart > 0.10 else warning
    yield tell(
        "population-total",
        Where(file="townships.csv", column="population"),
        (
            f"乡镇合计{total:,}人,公布总数{declared:,}人,相差{apart:.1%}。",
            f"The townships sum to {total:,} persons; {declared:,} are declared: {apart:.1%} apart.",
        ),
        (
            "请核对乡镇人口或 declared_population。",
            "Check the townships' figures or declared_population.",
        ),
    )


def check_area_totals(tables: Tables) -> Iterator[Finding]:
    """Where all areas of a township have totals, their sum is compared with the township's."""
    areas, townships = tables["areas"], tables["townships"]
    sums = areas.groupby("township_id")["population"].agg(lambda s: s.sum(min_count=len(s)))
    for row, township in townships.iterrows():
        total, whole = (
            float(sums.get(township["township_id"], np.nan)),
            float(township["population"]),
        )
        if not np.isnan(total) and abs(total - whole) > 0.01 * max(whole, 1.0):
            yield warning(
                "population-township",
                _at("townships", row, "population", township["township_id"]),
                (
                    f"各村合计{total:,.0f}人,乡镇{whole:,.0f}人。",
                    f"Its areas sum to {total:,.0f} persons, the township has {whole:,.0f}.",
                ),
                (
                    "请核对口径(常住、户籍)和年份。",
                    "Check that both mean the same people and year.",
                ),
            )


def check_population(tables: Tables, base_year: int) -> Iterator[Finding]:
    """Age groups must be five-year groups, all there; resident totals those of the townships."""
    population, areas, townships = tables["population"], tables["areas"], tables["townships"]
    wrong = population[(population["age"] != "") & ~population["age"].isin(AGES_5)]
    for value, rows in wrong.groupby("age"):
        yield error(
            "age-group",
            _at("population", rows.index[0], "age", ""),
            (
                f"年龄组“{value}”不可用({len(rows)}行)。",
                f"{value!r} is no five-year age group ({plural(len(rows), 'row')}).",
            ),
            ("请写 0-4、5-9 … 95-99、100+。", "Write 0-4, 5-9 ... 95-99, 100+."),
        )
    late = population[population["year"] > base_year]
    if len(late):
        yield warning(
            "population-after-base-year",
            _at("population", late.index[0], "year", ""),
            (
                f"有{len(late)}行晚于基准年{base_year}。",
                f"{plural(len(late), 'row is', 'rows are')} later than the base year {base_year}.",
            ),
            ("请核对年份。", "Check the year."),
        )
    counted = population.groupby("area_id").size()
    bare = areas[~areas["area_id"].isin(counted.index)]
    for row, area in list(bare.iterrows())[:MAX_EACH]:
        if len(population):
            yield error(
                "area-without-people",
                _at("areas", row, "area_id", area["area_id"]),
                ("分年龄人口表中没有该村。", "The table of population has no row of this area."),
                ("请补上;无人居住请写0。", "Add it; write 0 where nobody lives."),
            )
    year = int(townships["year"].max()) if len(townships) else 0
    resident = population[(population["track"] == "resident") & (population["year"] == year)]
    if len(resident):
        total, whole = float(resident["persons"].sum()), float(townships["population"].sum())
        apart = abs(total - whole) / max(whole, 1.0)
        if apart > 0.01:
            tell = error if apart > 0.10 else warning
            yield tell(
                "population-total",
                Where(file="population.csv", column="persons"),
                (
                    f"{year}年常住人口合计{total:,.0f},乡镇合计{whole:,.0f},相差{apart:.1%}。",
                    f"Residents of {year} sum to {total:,.0f}, the townships to {whole:,.0f}: {apart:.1%} apart.",
                ),
                ("请核对两表。", "Check the two tables."),
            )


def check_parts_of_wholes(
    tables: Tables, told: Collection[tuple[str, int | None]] = ()
) -> Iterator[Finding]:
    """A part cannot exceed its whole; residents beyond places are told."""
    for name, part, whole, grave in (
        ("areas", "registered_80", "registered_60", True),
        ("areas", "registered_60", "population", False),
        ("homes", "nursing_places", "places", True),
        ("homes", "destitute_residents", "residents", True),
        ("homes", "residents", "places", False),
    ):
        table, schema = tables[name], SCHEMAS[name]
        over = table[table[part] > table[whole]]
        for row, values in list(over.iterrows())[:MAX_EACH]:
            where = _at(name, row, part, str(values.iloc[0]))
            if (name, where.row) in told:
                continue
            tell = error if grave else warning
            yield tell(
                "part-above-whole",
                where,
                (
                    f"{schema.column(part).zh}{values[part]:g}大于{schema.column(whole).zh}{values[whole]:g}。",
                    f"{part} {values[part]:g} is above {whole} {values[whole]:g}.",
                ),
                ("请核对两个数。", "Check the two figures."),
            )


def check_facility_types(tables: Tables, catalogue: Catalogue | None) -> Iterator[Finding]:
    """Today's types must be in the catalogue; a home needs a type, a facility a line in the roll."""
    sites, homes = tables["sites"], tables["homes"]
    known = set(catalogue.types) if catalogue is not None else set()
    for row, site in sites[sites["today"] != ""].iterrows():
        if known and site["today"] not in known:
            near = nearest(site["today"], known)
            yield error(
                "type-unknown",
                _at("sites", row, "today", site["site_id"]),
                (
                    f"设施类型“{site['today']}”不在目录中。",
                    f"The facility type {site['today']!r} is not in the catalogue.",
                ),
                (
                    f"是否为“{near}”?" if near else f"可用:{'、'.join(sorted(known))}。",
                    f"Did you mean {near!r}?" if near else f"Known: {', '.join(sorted(known))}.",
                ),
            )
    typed = set(sites.loc[sites["today"] != "", "site_id"])
    listed = set(sites["site_id"])
    for row, home in homes.iterrows():
        if home["site_id"] in listed and home["site_id"] not in typed:
            yield error(
                "home-without-type",
                _at("homes", row, "site_id", home["site_id"]),
                (
                    "名册有该机构,但地点表中没有现状设施类型。",
                    "The roll has this home, but its site has no type in today.",
                ),
                (
                    "请在现有与备选地点表的“现状设施类型”中填写。",
                    "Fill in the column today of the site.",
                ),
            )
    unstaffed = int(homes["care_workers"].isna().sum())
    if unstaffed:
        yield data_gap(
            "care-workers",
            Where(file="homes.csv", column="care_workers"),
            (
                f"{unstaffed}家机构没有护理员人数。",
                f"{plural(unstaffed, 'home has', 'homes have')} no count of care workers.",
            ),
            ("现状护理员按目录配比推算。", "Today's staff is taken from the catalogue's ratios."),
        )


def check_points(
    tables: Tables,
    outline: gpd.GeoDataFrame | None,
    seat: tuple[float, float] | None,
    told: Collection[tuple[str, int | None]] = (),
) -> Iterator[Finding]:
    """Points must be pairs, not (0, 0), and lie in the county; swapped axes are recognised."""
    box = _box(outline, seat)
    for name, key in (("areas", "area_id"), ("sites", "site_id")):
        table = tables[name]
        half = table["lon"].isna() != table["lat"].isna()
        null = (table["lon"] == 0) & (table["lat"] == 0)
        for row, values in list(table[half].iterrows())[:MAX_EACH]:
            where = _at(name, row, "lon", values[key])
            if (name, where.row) in told:
                continue
            yield error(
                "point-incomplete",
                where,
                ("经度、纬度只填了一个。", "Only one of lon and lat is given."),
                ("请补上另一个,或都留空。", "Fill in the other, or leave both blank."),
            )
        for row, values in list(table[null].iterrows())[:MAX_EACH]:
            yield error(
                "point-zero",
                _at(name, row, "lon", values[key]),
                ("坐标为(0, 0)。", "The point is (0, 0)."),
                ("没有坐标请留空。", "Leave both blank where there is none."),
            )
        placed = table[~half & ~null & table["lon"].notna()]
        if box is not None and len(placed):
            yield from _outside(name, key, placed, box, outline)


def _outside(
    name: str,
    key: str,
    placed: pd.DataFrame,
    box: tuple[float, float, float, float],
    outline: gpd.GeoDataFrame | None,
) -> Iterator[Finding]:
    lon, lat = placed["lon"].to_numpy(dtype=float), placed["lat"].to_numpy(dtype=float)
    out = ~_in_box(lon, lat, box)
    if out.any() and _in_box(lat[out], lon[out], box).mean() > 0.5:
        yield error(
            "points-swapped",
            Where(file=f"{name}.csv", column="lon"),
            (
                f"{out.mean():.0%}的点在县域范围外,经纬度对调后在内。",
                f"{out.mean():.0%} of the points lie outside the county; with lon and lat swapped they lie in it.",
            ),
            ("经纬度是否填反?", "Swapped? Exchange the two columns."),
        )
        return
    far = np.zeros(len(placed), dtype=bool)
    if outline is not None:
        points = gpd.GeoSeries(gpd.points_from_xy(lon, lat), crs=outline.crs)
        far = ~points.within(outline.union_all().buffer(OUTLINE_MARGIN)).to_numpy(dtype=bool) & ~out
    share = out.mean()
    for position in np.flatnonzero(out | far)[:MAX_EACH]:
        row = placed.index[position]
        existing = name == "areas" or bool(placed["today"].iloc[position])
        tell = error if out[position] or existing else warning
        yield tell(
            "point-outside",
            _at(name, row, "lon", str(placed[key].iloc[position])),
            (
                f"点({lon[position]:.4f}, {lat[position]:.4f})在县界外"
                + (f",共{share:.0%}的点在范围外。" if out[position] else "。"),
                f"The point ({lon[position]:.4f}, {lat[position]:.4f}) lies outside the county"
                + (f", as {share:.0%} of the points do." if out[position] else "."),
            ),
            (
                "请核对坐标、坐标系(crs)和县界。",
                "Check the point, the crs declared and the outline.",
            ),
        )


def _box(
    outline: gpd.GeoDataFrame | None, seat: tuple[float, float] | None
) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north of the county; two degrees around the seat at a pinch."""
    if outline is not None and len(outline):
        w, s, e, n = outline.total_bounds
        return w - BOX_MARGIN, s - BOX_MARGIN, e + BOX_MARGIN, n + BOX_MARGIN
    if seat is not None:
        return seat[0] - 2, seat[1] - 2, seat[0] + 2, seat[1] + 2
    return None


def _in_box(lon: np.ndarray, lat: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray((lon >= box[0]) & (lat >= box[1]) & (lon <= box[2]) & (lat <= box[3]))


def check_distances(tables: Tables) -> Iterator[Finding]:
    """A pair needs kilometres or minutes, not fewer than the straight line, of a likely size."""
    distances = tables.get("distances")
    if distances is None or distances.empty:
        return
    bare = distances[distances["road_km"].isna() & distances["minutes"].isna()]
    for row, pair in list(bare.iterrows())[:MAX_EACH]:
        yield error(
            "distance-blank",
            _at("distances", row, "road_km", f"{pair['from_id']} - {pair['to_id']}"),
            ("里程和时间都没填。", "Neither road_km nor minutes is given."),
            ("请至少填一个,或删去该行。", "Fill in one of them, or delete the row."),
        )
    for column, most, hint in (
        ("road_km", 300.0, ("米", "metres")),
        ("minutes", 600.0, ("秒", "seconds")),
    ):
        middle = distances[column].median()
        if middle > most:
            yield warning(
                "magnitude-unlikely",
                Where(file="distances.csv", column=column),
                (
                    f"{column} 的中位数为{middle:,.0f},是否误用{hint[0]}?",
                    f"The median of {column} is {middle:,.0f}: given in {hint[1]}?",
                ),
                ("请核对单位。", "Check the unit."),
            )
    straight = _straight_km(distances, tables)
    short = distances[distances["road_km"].to_numpy() < 0.98 * straight - 0.1]
    for row, pair in list(short.iterrows())[:MAX_EACH]:
        yield warning(
            "distance-below-straight",
            _at("distances", row, "road_km", f"{pair['from_id']} - {pair['to_id']}"),
            (
                f"里程{pair['road_km']:g}公里短于直线距离。",
                f"{pair['road_km']:g} km is shorter than the straight line.",
            ),
            ("请核对里程或坐标。", "Check the distance or the points."),
        )


def _straight_km(distances: pd.DataFrame, tables: Tables) -> np.ndarray:
    """Return great-circle kilometres of each pair; NaN where a point is unknown."""
    points = pd.concat(
        [
            tables[n][[k, "lon", "lat"]].set_axis(["id", "lon", "lat"], axis=1)
            for n, k in (("areas", "area_id"), ("sites", "site_id"))
        ]
    )
    at = points.drop_duplicates("id").set_index("id")
    ends = [
        np.deg2rad(at.reindex(distances[c])[["lon", "lat"]].to_numpy(dtype=float))
        for c in ("from_id", "to_id")
    ]
    (lon1, lat1), (lon2, lat2) = ends[0].T, ends[1].T
    half = (
        np.sin((lat2 - lat1) / 2) ** 2
        + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    )
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def _at(table: str, row: object, column: str, id: str) -> Where:
    """Return the place of a row; rows that came from another table carry its name before theirs."""
    name, _, number = str(row).rpartition(" ")
    if name:
        table, column = name, "building_id" if column == "site_id" else column
    return Where(
        file=f"{table}.csv", row=int(number) if number.isdigit() else None, column=column, id=id
    )
