"""``population`` of ``case.yaml``: people of a raster or of other zones brought to the villages.

Counts are spread by the share of a cell or zone that lies in a village; no raster is resampled, so
every person is counted once. What falls outside all villages, and by how much townships were
scaled to their totals, is told. The result is modelled, whatever it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field

from allocator.errors import Finding, InputRefused, Where, plural
from allocator.io.case_gaps import age_pattern, age_table
from allocator.io.findings import error, library_missing, notice, refusal, warning
from allocator.io.layers import read_polygons
from allocator.io.network_files import checked_file, checked_frame, unreadable
from allocator.io.paths import digest_of_file, inside
from allocator.population import AGES_5
from allocator.schema import SCHEMAS
from allocator.travel.isochrones import cells_joined

__all__ = ["PopulationFile", "Spread", "read_people"]

Floats = np.ndarray
EQUAL_AREA = "+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m"
VILLAGE_REACH = 0.05  # degrees around points that a cell may reach where there is no outline
OPEN_FROM = 80  # the last age of a raster is open, and must not begin before it
MANY = 2.0  # a township scaled by more than this, up or down, is a warning
SHOWN = 10
NUDGE = 1e-6


class PopulationFile(BaseModel):
    """``population`` of ``case.yaml``: either ``raster`` or ``zones``.

    ``raster`` is a GeoTIFF of persons a cell; with ``{sex}`` (m, f) and ``{age}`` in its name it is a
    set of them by lowest age, as WorldPop names them. ``zones`` is a layer of polygons with counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    year: int = Field(ge=1990, le=2100)
    raster: str | None = None
    zones: str | None = None
    zones_column: str = "population"
    villages: str | None = None
    control: Literal["townships", "none"] = "townships"


@dataclass(frozen=True, eq=False)
class Spread:
    """People brought to the villages.

    Parameters
    ----------
    totals
        Persons by area, in the order of the table of areas; None where nothing could be read.
    table
        The table of population, where ages were given.
    """

    totals: Floats | None = None
    table: pd.DataFrame | None = None
    findings: tuple[Finding, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


def read_people(
    folder: Path,
    file: PopulationFile,
    *,
    areas: pd.DataFrame,
    townships: pd.DataFrame,
    outline: gpd.GeoDataFrame | None,
    standard: pd.DataFrame | None,
    crs: str,
) -> Spread:
    """Return the people of each village; every fault becomes a finding.

    Parameters
    ----------
    standard
        The standard population, by which the open age group of a raster is split.
    crs
        System of the points of ``areas``, in degrees.
    """
    reader = _Reader(folder, file.villages, crs)
    try:
        if (file.raster is None) == (file.zones is None):
            raise refusal(
                "population-files",
                Where(file="case.yaml", column="population"),
                ("应写 raster 或 zones 之一。", "Write either raster or zones."),
                ("请只写一种。", "Write one of them."),
            )
        villages = reader.villages(areas, outline)
        if file.zones is not None:
            persons = reader.zones(file.zones, file.zones_column, villages)[:, None, None]
            ages: tuple[int, ...] = ()
        else:
            persons, ages = reader.rasters(file.raster or "", villages, outline)
        if file.control == "townships":
            persons = (
                persons * _factors(persons.sum((1, 2)), areas, townships, reader)[:, None, None]
            )
    except InputRefused as refused:
        return Spread(findings=(*reader.found, *refused.findings), digests=reader.digests)
    except ImportError as problem:
        where = Where(file="case.yaml", column="population")
        reader.found.append(library_missing(problem.name or "", where))
        return Spread(findings=tuple(reader.found), digests=reader.digests)
    table = None
    if ages:
        grouped = _five_year(persons, ages, areas, standard)
        table = age_table(areas, grouped, file.year)
    return Spread(persons.sum((1, 2)), table, tuple(reader.found), reader.digests)


@dataclass(eq=False)
class _Reader:
    """Files of one case's people."""

    folder: Path
    layer: str | None
    crs: str

    def __post_init__(self) -> None:
        self.found: list[Finding] = []
        self.digests: dict[str, str] = {}

    def path(self, name: str, column: str) -> Path:
        """Return a file of the folder, its digest noted."""
        path = checked_file(inside(self.folder, name, Where(file="case.yaml", column=column)))
        self.digests[name] = digest_of_file(path)
        return path

    def polygons(self, name: str, column: str) -> gpd.GeoDataFrame:
        """Return a layer of polygons in the system of the points."""
        frame, found = read_polygons(self.path(name, column), crs=self.crs, name=name)
        self.found += found
        return frame.to_crs(self.crs)

    def villages(self, areas: pd.DataFrame, outline: gpd.GeoDataFrame | None) -> gpd.GeoDataFrame:
        """Return a shape for every area, in order: of the layer, else the cell of its point."""
        if self.layer is not None:
            frame = self.polygons(self.layer, "population.villages")
            known = SCHEMAS["areas"].headers
            key = next((c for c in frame.columns if known.get(str(c).lower()) == "area_id"), None)
            if key is None:
                raise _column_missing(self.layer, "area_id")
            ids = frame[key].astype(str).str.strip()
        else:
            placed = areas[areas["lon"].notna() & areas["lat"].notna()]
            points = placed[["lon", "lat"]].to_numpy(dtype=float)
            if not len(points):
                raise _without_shape(list(areas["area_id"]))
            reach = (
                outline.to_crs(self.crs).union_all()
                if outline is not None
                else shapely.multipoints(points).buffer(VILLAGE_REACH)
            )
            frame = cells_joined(list(placed["area_id"]), points, crs=self.crs, outline=reach)
            frame, ids = frame[~frame.is_empty], frame["destination_id"]
        shapes = gpd.GeoDataFrame({"area_id": ids}, geometry=frame.geometry, crs=self.crs)
        shapes = shapes.dissolve("area_id").reindex(areas["area_id"])
        if bare := list(shapes.index[shapes.geometry.isna()]):
            raise _without_shape(bare)
        return shapes.reset_index().set_crs(self.crs, allow_override=True)

    def zones(self, name: str, column: str, villages: gpd.GeoDataFrame) -> Floats:
        """Return persons by village from zones, each spread evenly over its villages' land."""
        zones = self.polygons(name, "population.zones")
        if column not in zones.columns:
            raise _column_missing(name, column)
        persons = pd.to_numeric(zones[column], errors="coerce").to_numpy(dtype=float)
        if not (np.isfinite(persons) & (persons >= 0)).all():
            raise refusal(
                "zones-figure",
                Where(file=name, column=column),
                ("人数缺失、为负或不是数字。", "A count is blank, negative or no number."),
                ("请改正。", "Correct it."),
            )
        lon, lat = shapely.centroid(shapely.union_all(villages.geometry.values)).coords[0]
        plane = EQUAL_AREA.format(lon=lon, lat=lat)
        a, b = zones.geometry.to_crs(plane).values, villages.geometry.to_crs(plane).values
        zone, village = shapely.STRtree(b).query(a, predicate="intersects")
        land = shapely.area(shapely.intersection(np.asarray(a)[zone], np.asarray(b)[village]))
        whole = np.bincount(zone, land, minlength=len(a))
        share = np.divide(land, whole[zone], out=np.zeros(len(land)), where=whole[zone] > 0)
        self._left_out(name, float(persons[whole > 0].sum()), float(persons.sum()))
        return np.bincount(village, share * persons[zone], minlength=len(b))

    def rasters(
        self, pattern: str, villages: gpd.GeoDataFrame, outline: gpd.GeoDataFrame | None
    ) -> tuple[Floats, tuple[int, ...]]:
        """Return (village, age, sex) persons of a raster or a set of them, and the lowest ages."""
        files, ages = self._set(pattern)
        county = outline if outline is not None else villages
        whole = gpd.GeoDataFrame(geometry=[county.to_crs(self.crs).union_all()], crs=self.crs)
        shapes = pd.concat([villages[["geometry"]], whole], ignore_index=True)
        sums = np.stack([_sums(self.path(f, "population.raster"), shapes) for f in files])
        persons = sums.reshape(max(len(ages), 1), -1, len(shapes)).transpose(2, 0, 1)
        self.found.append(
            notice(
                "people-from-raster",
                Where(file=pattern),
                (
                    f"由{len(files)}个栅格统计到村,缩放前合计{persons[:-1].sum():,.0f}人(推算)。",
                    f"{plural(len(files), 'raster was', 'rasters were')} summed by village: {persons[:-1].sum():,.0f} persons before scaling (modelled).",
                ),
                ("请核对来源、年份与许可。", "Check source, year and licence."),
            )
        )
        self._left_out(pattern, float(persons[:-1].sum()), float(persons[-1].sum()))
        return persons[:-1], ages

    def _set(self, pattern: str) -> tuple[list[str], tuple[int, ...]]:
        """Return the files of a set by age then sex, and its ages; a single file has none."""
        column = Where(file="case.yaml", column="population.raster")
        if "{" not in pattern:
            return [pattern], ()
        head, _, name = pattern.rpartition("/")
        parent = inside(self.folder, head, column) if head else self.folder
        words = re.escape(name).replace(r"\{sex\}", "(?P<sex>[mf])", 1)
        form = re.compile(words.replace(r"\{age\}", "(?P<age>[0-9]{1,3})", 1))
        there: dict[tuple[int, str], str] = {}
        if {"sex", "age"} <= set(form.groupindex) and parent.is_dir():
            for path in sorted(parent.iterdir()):
                if match := form.fullmatch(path.name):
                    there[int(match["age"]), match["sex"]] = f"{head}/{path.name}".lstrip("/")
        ages = tuple(sorted({a for a, _ in there}))
        steps = [a for a in ages if a != 1]
        if (
            steps != list(range(0, 5 * len(steps), 5))
            or not OPEN_FROM <= max(ages, default=0) <= 100
            or len(there) != 2 * len(ages)
        ):
            missing = [f"{s} {a}" for a in range(0, OPEN_FROM + 1, 5) for s in "mf" if (a, s) not in there]  # fmt: skip
            shown = ", ".join(missing[:SHOWN]) or "-"
            raise refusal(
                "raster-set",
                column,
                (
                    f"分性别、年龄的栅格不成套(缺 {shown})。",
                    f"The rasters by sex and age are no whole set (missing: {shown}).",
                ),
                (
                    "文件名须含 {sex}(m、f)和 {age}(0、1、5、10 … 至少 80)。",
                    "Names need {sex} (m, f) and {age}: 0, 1, 5, 10 ... to 80 or more.",
                ),
            )
        return [there[a, s] for a in ages for s in "mf"], ages

    def _left_out(self, name: str, inside_villages: float, whole: float) -> None:
        if abs(whole - inside_villages) > 0.01 * max(whole, 1.0):
            self.found.append(
                warning(
                    "people-apart",
                    Where(file=name),
                    (
                        f"各村合计{inside_villages:,.0f}人,全部为{whole:,.0f}人:有人落在村界外,或村界重叠。",
                        f"The villages hold {inside_villages:,.0f} persons of {whole:,.0f}: some lie outside all villages, or villages overlap.",
                    ),
                    ("请核对村界。", "Check the shapes of villages."),
                )
            )


def _sums(path: Path, shapes: gpd.GeoDataFrame) -> Floats:
    """Return the sum of a raster's persons over each shape, cells by the share that lies inside.

    Needs ``rasterio`` and ``exactextract`` (extra ``geo``).
    """
    import rasterio
    from exactextract import exact_extract
    from rasterio.errors import RasterioError

    where = Where(file=path.name)
    try:
        with rasterio.open(path) as raster:
            place = checked_frame(path, raster)
            if raster.count != 1:  # before any is looked at: a spoilt header may claim 65,535
                raise refusal(
                    "raster-bands",
                    where,
                    (
                        f"人口栅格应只有一个波段,此文件有{raster.count}个。",
                        f"A raster of persons has one band; this file has {raster.count}.",
                    ),
                    (
                        "请把所需波段另存为一个文件。",
                        "Save the band that is wanted as a file of its own.",
                    ),
                )
            there = shapes.to_crs(raster.crs)
            if not np.isfinite(there.total_bounds).all():
                raise ValueError("shapes cannot be brought to its system")
            # exactextract loses cells where an edge runs exactly through their corners (measured: 2 % of
            # a triangle along diagonals); moved by a millionth of a cell, shapes meet none.
            there = there.set_geometry(there.translate(NUDGE * place.a, 0.61803 * NUDGE * -place.e))
            found = exact_extract(raster, there, ["sum", "min"], output="pandas")
    except (RasterioError, RuntimeError, ValueError, MemoryError) as problem:
        if isinstance(problem, InputRefused):
            raise
        raise unreadable(path, "GeoTIFF", problem) from problem
    persons = found["sum"].to_numpy(dtype=float)
    persons = np.where(np.isnan(persons), 0.0, persons)
    if (found["min"].to_numpy(dtype=float) < 0).any() or np.isinf(persons).any():
        raise refusal(
            "raster-persons",
            where,
            ("人数为负或无穷。", "A cell holds a negative or endless number of persons."),
            ("请声明无数据值(nodata),或改正。", "Declare the value of no data, or correct it."),
        )
    return persons


def _factors(
    totals: Floats, areas: pd.DataFrame, townships: pd.DataFrame, reader: _Reader
) -> Floats:
    """Return by area what brings its township to its stated total; areas of unknown ones stay."""
    sums = pd.Series(totals).groupby(areas["township_id"].to_numpy()).sum()
    stated = townships.set_index("township_id")["population"].astype(float)
    stated = stated[~stated.index.duplicated()].reindex(sums.index)
    bare = sums.index[(sums <= 0) & (stated > 0)]
    if len(bare):
        raise refusal(
            "township-without-people",
            Where(file="townships.csv", column="population", id=str(bare[0])),
            (
                f"{len(bare)}个乡镇有人口但栅格或分区中没有人。",
                f"{plural(len(bare), 'township has', 'townships have')} people, and the raster or zones have none there.",
            ),
            ("请核对范围、坐标系和村界。", "Check extent, coordinate system and shapes."),
        )
    factor = (stated / sums.where(sums > 0)).fillna(1.0)
    far = ((factor > MANY) | (factor < 1 / MANY)).any()
    reader.found.append(
        (warning if far else notice)(
            "people-scaled",
            Where(file="case.yaml", column="population.control"),
            (
                f"已按乡镇总人口缩放,系数{factor.min():.2f}至{factor.max():.2f}。",
                f"Townships were scaled to their totals, by {factor.min():.2f} to {factor.max():.2f}.",
            ),
            (
                "系数远离1时请核对年份与口径;不缩放写 control: none。",
                "Where factors are far from 1, check year and who is counted; control: none leaves them.",
            ),
        )
    )
    return np.asarray(factor.reindex(areas["township_id"]), dtype=float)


def _five_year(
    persons: Floats, ages: tuple[int, ...], areas: pd.DataFrame, standard: pd.DataFrame | None
) -> Floats:
    """Return (area, five-year age, sex) persons: 0 and 1-4 joined, the open age split by pattern."""
    out = np.zeros((len(persons), len(AGES_5), 2))
    for n, age in enumerate(ages[:-1]):
        out[:, age // 5] += persons[:, n]
    first = ages[-1] // 5
    flat = np.ones((len(areas), len(AGES_5), 2))
    pattern = flat if standard is None else age_pattern(standard, areas)
    tail = pattern[:, first:]
    out[:, first:] += persons[:, -1, None] * tail / tail.sum(axis=1, keepdims=True)
    return out


def _column_missing(name: str, column: str) -> InputRefused:
    return refusal(
        "column-missing",
        Where(file=name, column=column),
        (f"缺少列“{column}”。", f"The column {column!r} is missing."),
        ("请补充或改名。", "Add it, or rename the one that is it."),
    )


def _without_shape(ids: list[str]) -> InputRefused:
    shown = ", ".join(ids[:SHOWN])
    return InputRefused(
        (
            error(
                "village-without-shape",
                Where(file="areas.csv", column="area_id", id=ids[0]),
                (
                    f"{len(ids)}个村没有面,也没有(独有的)点:{shown}。",
                    f"{plural(len(ids), 'area has', 'areas have')} neither a shape nor a point: {shown}.",
                ),
                (
                    "请提供村界图层(population.villages),或填写经纬度。",
                    "Provide a layer of villages (population.villages), or their points.",
                ),
            ),
        )
    )
