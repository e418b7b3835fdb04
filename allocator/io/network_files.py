"""Networks and surfaces from files: OSM extracts, road layers, node and edge tables, GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.travel.modes import ANY, Speeds
from allocator.travel.network import (
    Network,
    make_network,
    network_from_lines,
    network_from_vertices,
)
from allocator.travel.surface import Surface, speeds_from_land_cover

__all__ = [
    "checked_file",
    "checked_frame",
    "read_cover_surface",
    "read_edge_tables",
    "read_osm",
    "read_road_layer",
    "read_speeds",
    "read_surface",
    "unreadable",
]

MAX_BYTES = 2_000_000_000
MAX_CELLS = 400_000_000
_ONE_WAY = {"yes": 1, "true": 1, "1": 1, "-1": -1, "reverse": -1}
_CLOSED = {"no", "private"}


def _refused(path: Path, code: str, what: Text, remedy: Text) -> InputRefused:
    return InputRefused((Finding(Rank.ERROR, code, Where(file=path.name), what, remedy),))


def checked_file(path: Path) -> Path:
    """Return the path of a file that is there and of a size that may be read; refuse another."""
    if not path.is_file():
        raise _refused(
            path, "file-missing",
            Text("文件不存在。", "The file is not there."), Text("核对文件名。", "Check its name."),
        )  # fmt: skip
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise _refused(
            path, "file-size",
            Text(f"文件大小为 {size} 字节。", f"The file has {size} bytes."),
            Text("须大于 0 且不超过 2 GB;可先裁剪。", "It must have some, at most 2 GB; cut it first."),
        )  # fmt: skip
    return path


def unreadable(path: Path, kind: str, error: Exception) -> InputRefused:
    """Return the refusal of a file that is not of its kind."""
    return _refused(
        path, "file-unreadable",
        Text(f"不是可读的 {kind} 文件({type(error).__name__})。",
             f"It cannot be read as {kind} ({type(error).__name__})."),
        Text("核对格式,重新导出。", "Check the format and export it again."),
    )  # fmt: skip


def read_speeds(path: Path | None = None) -> Speeds:
    """Return the table of speeds; by default the one that comes with the project."""
    if path is None:
        beside = Path(__file__).parents[2] / "data" / "travel" / "speeds.csv"
        shipped = files("allocator") / "shipped" / "data" / "travel" / "speeds.csv"
        path = beside if beside.is_file() else Path(str(shipped))
    return Speeds(pd.read_csv(checked_file(path), dtype={"way": str}, encoding="utf-8-sig"))


def read_osm(
    path: Path,
    *,
    mode: str,
    speeds: Speeds,
    population_class: str = "adult",
    spacing_km: float = 0.2,
) -> Network:
    """Read the streets of an OpenStreetMap extract (``.pbf``) that one mode may use.

    One-way streets hold for all but walkers; a posted limit caps the speed of a car. Needs
    ``osmium`` (extra ``geo``). OpenStreetMap data is under ODbL: name its contributors.

    Raises
    ------
    InputRefused
        When the file is missing, too large, not an extract, or has no way for the mode.
    """
    checked_file(path)  # told even where the reader is not installed
    import osmium

    by_way = speeds.of(mode, population_class)
    vertex: list[int] = []
    xy: list[tuple[float, float]] = []
    line: list[int] = []
    kmh: list[float] = []
    oneway: list[int] = []
    source = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY)
    source = source.with_locations().with_filter(osmium.filter.KeyFilter("highway"))
    try:
        way: Any
        for way in source:
            if not way.is_way():
                continue
            speed = _osm_speed(way.tags, mode, by_way)
            nodes = [n for n in way.nodes if n.location.valid()]
            if speed <= 0 or len(nodes) < 2:
                continue
            vertex += [n.ref for n in nodes]
            xy += [(n.location.lon, n.location.lat) for n in nodes]
            line += [len(kmh)] * len(nodes)
            kmh.append(speed)
            oneway.append(_osm_direction(way.tags, mode))
    except (RuntimeError, ValueError) as error:
        raise unreadable(path, "OSM PBF", error) from error
    if not kmh:
        raise _refused(
            path, "network-empty",
            Text(f"没有可供 {mode} 通行的道路。", f"It has no way open to {mode}."),
            Text("核对范围与出行方式。", "Check its extent and the mode of travel."),
        )  # fmt: skip
    try:
        return network_from_vertices(
            vertex, xy, line, speed_kmh=kmh, oneway=oneway, crs="EPSG:4326", spacing_km=spacing_km
        )
    except ValueError as error:
        raise unreadable(path, "OSM PBF", error) from error


def _osm_speed(tags: Any, mode: str, by_way: Mapping[str, float]) -> float:
    """Return the speed of a way for a mode, 0 where it is closed to it."""
    kind = tags.get("highway", "")
    on_foot, by_bicycle = mode == "walk", mode == "bicycle"
    if kind in ("proposed", "construction", "raceway", "platform", "bus_stop", "elevator"):
        return 0.0
    if (on_foot or by_bicycle) and kind.split("_")[0] in ("motorway", "trunk"):
        return 0.0
    key = "foot" if on_foot else "bicycle" if by_bicycle else "motor_vehicle"
    if tags.get(key, tags.get("access", "")) in _CLOSED or tags.get("area") == "yes":
        return 0.0
    speed = by_way.get(kind, by_way.get(kind.removesuffix("_link"), by_way.get(ANY, 0.0)))
    if not (on_foot or by_bicycle):
        posted = tags.get("maxspeed", "")
        if posted.isdigit() and int(posted) > 0:
            speed = min(speed, float(posted))
    return speed


def _osm_direction(tags: Any, mode: str) -> int:
    if mode == "walk" or (mode == "bicycle" and tags.get("oneway:bicycle") == "no"):
        return 0
    stated = tags.get("oneway")
    if stated is not None:
        return _ONE_WAY.get(stated, 0)
    round_about = tags.get("junction") == "roundabout" or tags.get("highway") == "motorway"
    return int(round_about)


_FARTHEST = 1e8
"""Degrees or metres: no coordinate of a place on earth is as large."""


def read_road_layer(
    path: Path,
    *,
    speeds: Mapping[str, float] | None = None,
    way_column: str = "way",
    speed_column: str | None = None,
    oneway_column: str | None = None,
    crs: str | None = None,
    encoding: str | None = None,
    spacing_km: float = 0.2,
) -> Network:
    """Read a road layer of lines (Shapefile, GeoPackage, GeoJSON).

    Parameters
    ----------
    speeds, way_column
        Speed by the words of that column; ``*`` is every other word. Used where there is no
        ``speed_column``.
    speed_column
        Column of km/h.
    oneway_column
        Column of 1 along, -1 against, 0 or blank both ways.
    crs
        Declared where the file states none.
    encoding
        Of a shapefile without a ``.cpg``, such as ``GBK``.
    """
    import geopandas as gpd
    import shapely
    from pyogrio.errors import DataSourceError

    try:
        layer = gpd.read_file(checked_file(path), **({"encoding": encoding} if encoding else {}))
    except (DataSourceError, UnicodeDecodeError) as error:
        raise unreadable(path, "layer", error) from error
    missing = [c for c in (speed_column, oneway_column) if c and c not in layer.columns]
    if not speed_column and speeds and set(speeds) != {ANY} and way_column not in layer.columns:
        missing.append(way_column)
    system = crs or (layer.crs.to_string() if layer.crs is not None else None)
    if missing or system is None or (not speeds and not speed_column):
        raise _refused(
            path, "layer-columns",
            Text(f"缺少列 {missing}、坐标系或速度。",
                 f"Columns {missing}, the coordinate system or the speeds are missing."),
            Text("声明坐标系及速度列,或按道路类别给出速度。",
                 "Declare the system and a speed column, or give speeds by kind of road."),
        )  # fmt: skip
    parts = layer.explode(ignore_index=True)
    parts = parts[parts.geom_type == "LineString"]
    if parts.empty:
        raise _refused(
            path, "network-empty",
            Text("没有线要素。", "It has no lines."), Text("使用道路中心线图层。", "Use a layer of road lines."),
        )  # fmt: skip
    if speed_column:
        kmh = pd.to_numeric(parts[speed_column], errors="coerce").fillna(0).to_numpy(float)
    else:
        by_way = dict(speeds or {})
        words = parts[way_column] if way_column in parts else pd.Series(ANY, index=parts.index)
        kmh = np.array([by_way.get(str(w), by_way.get(ANY, 0.0)) for w in words])
    oneway = None
    if oneway_column:
        stated = pd.to_numeric(parts[oneway_column], errors="coerce").fillna(0)
        oneway = np.sign(stated.to_numpy(float)).astype(int)
    lines = parts.geometry.to_numpy()
    try:
        if not (np.abs(shapely.get_coordinates(lines)) < _FARTHEST).all():
            raise ValueError("a vertex lies nowhere on earth")
        return network_from_lines(
            lines, speed_kmh=kmh, oneway=oneway, crs=system, spacing_km=spacing_km
        )
    except ValueError as error:
        raise unreadable(path, "layer", error) from error


def read_edge_tables(
    nodes: Path, edges: Path, *, speed_kmh: float, crs: str, both_ways: bool = True
) -> Network:
    """Read a network from ``node_id, lon, lat`` and ``from_node, to_node, km[, minutes]``.

    Blank minutes are km at ``speed_kmh``.

    Raises
    ------
    InputRefused
        When columns are missing, an id is unknown or given twice, or a figure is not possible.
    """
    try:
        points = pd.read_csv(checked_file(nodes), dtype={"node_id": str}, encoding="utf-8-sig")
        links = pd.read_csv(
            checked_file(edges), dtype={"from_node": str, "to_node": str}, encoding="utf-8-sig"
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise unreadable(nodes, "CSV", error) from error
    found = [
        *_missing(nodes, points, ("node_id", "lon", "lat")),
        *_missing(edges, links, ("from_node", "to_node", "km")),
    ]
    if found:
        raise InputRefused(tuple(found))
    index = pd.Index(points["node_id"])
    km = pd.to_numeric(links["km"], errors="coerce")
    stated = links["minutes"] if "minutes" in links else pd.Series(np.nan, index=links.index)
    minutes = pd.to_numeric(stated, errors="coerce").fillna(km / speed_kmh * 60)
    unknown = ~links["from_node"].isin(index) | ~links["to_node"].isin(index)
    bad = unknown | ~(km >= 0) | ~(minutes >= 0) | np.isinf(km) | np.isinf(minutes)
    twice = index.duplicated()
    blank = points[["lon", "lat"]].apply(pd.to_numeric, errors="coerce").isna().any(axis=1)
    for path, rows in ((nodes, twice | blank.to_numpy()), (edges, bad.to_numpy())):
        for row in np.flatnonzero(rows).tolist():
            found.append(
                Finding(
                    Rank.ERROR, "network-row", Where(file=path.name, row=row + 2),
                    Text("节点重复、未知,或数值有误。", "A node is repeated or unknown, or a figure is not possible."),
                    Text("改正该行。", "Correct the row."),
                )
            )  # fmt: skip
    if found:
        raise InputRefused(tuple(found))
    return make_network(
        points[["lon", "lat"]].to_numpy(float),
        index.get_indexer(pd.Index(links["from_node"])),
        index.get_indexer(pd.Index(links["to_node"])),
        km=km.to_numpy(float), minutes=minutes.to_numpy(float), crs=crs, both_ways=both_ways,
    )  # fmt: skip


def _missing(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> list[Finding]:
    return [
        Finding(
            Rank.ERROR, "column-missing", Where(file=path.name, column=c),
            Text("缺少该列。", "The column is missing."), Text("补充该列。", "Add it."),
        )
        for c in columns
        if c not in table.columns
    ]  # fmt: skip


def read_surface(speed: Path, height: Path | None = None) -> Surface:
    """Read a friction surface: a GeoTIFF of km/h, and one of metres above sea on the same cells.

    No-data cells are barriers. Needs ``rasterio`` (extra ``geo``).

    Raises
    ------
    InputRefused
        When a file is no north-up GeoTIFF with a coordinate system, is too large, has negative
        speeds, or the two rasters differ.
    """
    layers, frame = _aligned([speed, *([height] if height else [])])
    if (layers[0] < 0).any() or np.isinf(layers[0]).any():
        raise _values(speed)
    return Surface(layers[0], *frame, layers[1] if len(layers) > 1 else None)


def read_cover_surface(
    cover: Path,
    speeds: Path,
    *,
    modes: Sequence[str],
    barriers: Path | None = None,
    height: Path | None = None,
) -> Surface:
    """Read a surface from land cover: GeoTIFF of class codes, and a table of speeds by class.

    Parameters
    ----------
    speeds
        CSV with ``class, mode, speed_kmh``; a class that a mode does not name is closed to it.
    modes
        The mode, and those whose rows stand in where it has none, in that order.
    barriers
        GeoTIFF on the same cells; cells that are not 0 are closed.
    height
        GeoTIFF of metres above sea on the same cells.

    Raises
    ------
    InputRefused
        When a file cannot be used, the rasters differ, or no row is for any of the modes.
    """
    given = [p for p in (cover, barriers, height) if p is not None]
    layers, frame = _aligned(given)
    at = {p: layer for p, layer in zip(given, layers, strict=True)}
    try:
        table = pd.read_csv(checked_file(speeds), encoding="utf-8-sig", dtype={"mode": str})
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise unreadable(speeds, "CSV", error) from error
    missing = _missing(speeds, table, ("class", "mode", "speed_kmh"))
    if missing:
        raise InputRefused(tuple(missing))
    rows = next((r for m in modes if len(r := table[table["mode"] == m])), table.iloc[:0])
    code = pd.to_numeric(rows["class"], errors="coerce")
    kmh = pd.to_numeric(rows["speed_kmh"], errors="coerce")
    bad = ~((kmh >= 0) & (kmh <= 200) & (code == code.round())) | code.duplicated()
    at_fault: list[int | None] = [int(n) + 2 for n in rows.index[bad]]
    if bad.any() or rows.empty:
        raise InputRefused(
            tuple(
                Finding(
                    Rank.ERROR, "cover-speed", Where(file=speeds.name, row=row),
                    Text(f"没有 {modes[0]} 的分类速度,或数值有误。",
                         f"There is no speed by class for {modes[0]}, or a figure is not possible."),
                    Text("每类一行:整数类别、速度 0 至 200。", "One row a class: a whole number, and 0 to 200 km/h."),
                )
                for row in at_fault or [None]
            )
        )  # fmt: skip
    closed = None if barriers is None else np.nan_to_num(at[barriers], nan=0.0) != 0
    codes = np.where(np.isfinite(at[cover]), at[cover], -(2**31))
    speed = speeds_from_land_cover(
        codes, dict(zip(code.astype(int), kmh.astype(float), strict=True)), barriers=closed
    )
    return Surface(speed, *frame, None if height is None else at[height])


def checked_frame(path: Path, raster: Any) -> Any:
    """Return how an open raster lies; refuse one without a system, not north up, or too large."""
    place = raster.transform
    straight = place.b == 0 and place.d == 0 and place.a > 0 and place.e < 0
    if raster.crs is None or not straight or raster.width * raster.height > MAX_CELLS:
        raise _refused(
            path, "raster-frame",
            Text("须有坐标系、正北向上且不超过 4 亿个栅格。",
                 "It needs a coordinate system, north up, and at most 4e8 cells."),
            Text("重投影或裁剪。", "Reproject or cut it."),
        )  # fmt: skip
    return place


def _aligned(
    paths: Sequence[Path],
) -> tuple[list[np.ndarray], tuple[float, float, float, float, str]]:
    """Return the first bands of rasters on the same cells, and west, north, cell sizes, system."""
    import rasterio
    from rasterio.errors import RasterioError

    layers, frames = [], []
    for path in paths:
        try:
            with rasterio.open(checked_file(path)) as raster:
                place = checked_frame(path, raster)
                layers.append(raster.read(1, masked=True).astype(np.float64).filled(np.nan))
                frames.append((place.c, place.f, place.a, -place.e, raster.crs.to_string()))
        except RasterioError as error:
            raise unreadable(path, "GeoTIFF", error) from error
    if any(f != frames[0] for f in frames) or any(x.shape != layers[0].shape for x in layers):
        raise _values(paths[0])
    return layers, frames[0]


def _values(path: Path) -> InputRefused:
    return _refused(
        path, "raster-values",
        Text("速度为负,或各栅格不对齐。", "A speed is negative, or the rasters lie on other cells."),
        Text("核对数值并对齐栅格。", "Check the values and align the rasters."),
    )  # fmt: skip
