"""Networks and surfaces from files: OSM extracts, road layers, node and edge tables, GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyproj import CRS
from pyproj.exceptions import CRSError

from allocator.errors import Finding, InputRefused, Rank, Text, Where, refuse_if_any
from allocator.io.layers import own_system
from allocator.io.shapefile import refuse_undeclared_text
from allocator.io.tables import read_table
from allocator.schema import Column, Schema
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
MAX_FAULTS = 1_000
NODES = Schema(
    "nodes", "路网节点", "Nodes of a network",
    (
        Column("node_id", "节点编号", "id", synonyms=("节点",), example="n1"),
        Column("lon", "经度", "number", minimum=-1e8, maximum=1e8, synonyms=("x",), example="109.25"),
        Column("lat", "纬度", "number", minimum=-1e8, maximum=1e8, synonyms=("y",), example="25.07"),
    ),
    ("node_id",),
)  # fmt: skip
EDGES = Schema(
    "edges", "路段", "Edges of a network",
    (
        Column("from_node", "起点", "id", example="n1"),
        Column("to_node", "终点", "id", example="n2"),
        Column("km", "公路里程", "number", "km", minimum=0, synonyms=("里程", "road_km"), example="1.2"),
        Column("minutes", "时间", "number", "minute", required=False, minimum=0),
    ),
    (),
)  # fmt: skip
COVER_SPEEDS = Schema(
    "cover_speeds", "地类速度", "Speeds by land cover",
    (
        Column("class", "地类", "integer", example="10"),
        Column("mode", "出行方式", "id", example="walk"),
        Column("speed_kmh", "速度", "number", minimum=0, maximum=200, example="4"),
    ),
    ("class", "mode"),
)  # fmt: skip
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

    where = Where(file=path.name)
    if checked_file(path).suffix.lower() == ".shp" and encoding is None:
        refuse_undeclared_text(path, where)
    try:
        layer = gpd.read_file(path, **({"encoding": encoding} if encoding else {}))
    except (DataSourceError, UnicodeDecodeError) as error:
        raise unreadable(path, "layer", error) from error
    missing = [c for c in (speed_column, oneway_column) if c and c not in layer.columns]
    if not speed_column and speeds and set(speeds) != {ANY} and way_column not in layer.columns:
        missing.append(way_column)
    own = own_system(layer, crs, where) if "geometry" in layer else None
    system = crs or own
    if missing or system is None or (not speeds and not speed_column):
        raise _refused(
            path, "layer-columns",
            Text(f"缺少列 {missing}、坐标系或速度。",
                 f"Columns {missing}, the coordinate system or the speeds are missing."),
            Text("声明坐标系及速度列,或按道路类别给出速度。",
                 "Declare the system and a speed column, or give speeds by kind of road."),
        )  # fmt: skip
    _known_system(path, system)
    refuse_if_any(_figures(path, layer, speed_column, oneway_column))
    parts = layer.explode(ignore_index=True)
    parts = parts[parts.geom_type == "LineString"]
    if parts.empty:
        raise _refused(
            path, "network-empty",
            Text("没有线要素。", "It has no lines."), Text("使用道路中心线图层。", "Use a layer of road lines."),
        )  # fmt: skip
    if speed_column:
        kmh = pd.to_numeric(parts[speed_column]).to_numpy(float)
    else:
        by_way = dict(speeds or {})
        words = parts[way_column] if way_column in parts else pd.Series(ANY, index=parts.index)
        kmh = np.array([by_way.get(str(w), by_way.get(ANY, 0.0)) for w in words])
    oneway = None
    if oneway_column:
        oneway = pd.to_numeric(parts[oneway_column]).fillna(0).to_numpy(int)
    lines = parts.geometry.to_numpy()
    try:
        if not (np.abs(shapely.get_coordinates(lines)) < _FARTHEST).all():
            raise ValueError("a vertex lies nowhere on earth")
        return network_from_lines(
            lines, speed_kmh=kmh, oneway=oneway, crs=system, spacing_km=spacing_km
        )
    except ValueError as error:
        raise unreadable(path, "layer", error) from error


def _figures(
    path: Path, layer: pd.DataFrame, speed: str | None, oneway: str | None
) -> list[Finding]:
    """Tell every road whose speed or direction is no figure: none is closed in silence."""
    found = []
    for column, choices, (zh, en) in (
        (speed, None, ("速度应为 0 至 200 公里/时", "A speed is 0 to 200 km/h")),
        (oneway, (-1, 0, 1), ("方向应为 1、-1、0 或空白", "A direction is 1, -1, 0 or blank")),
    ):
        if column is None:
            continue
        values = pd.to_numeric(layer[column], errors="coerce")
        if choices is None:
            good = (values >= 0) & (values <= 200)
        else:
            good = values.isin(choices) | layer[column].isna() | (layer[column] == "")
        for n in np.flatnonzero(~good.to_numpy(bool))[:MAX_FAULTS].tolist():
            shown = str(layer[column].iloc[n])[:20]
            found.append(
                Finding(
                    Rank.ERROR, "road-figure", Where(file=path.name, row=n + 2, column=column),
                    Text(f"第{n + 1}条路的值为“{shown}”;{zh}。", f"Road {n + 1} has {shown!r}. {en}."),
                    Text("请改正;不通行写 0。", "Correct it; a closed road has speed 0."),
                )
            )  # fmt: skip
    return found


def read_edge_tables(
    nodes: Path,
    edges: Path,
    *,
    speed_kmh: float,
    crs: str,
    both_ways: bool = True,
    encoding: str = "utf-8",
) -> Network:
    """Read a network from ``node_id, lon, lat`` and ``from_node, to_node, km[, minutes]``.

    Both are CSV as the tables of a case are: headers in either language, ids as text. Blank minutes
    are km at ``speed_kmh``.

    Raises
    ------
    InputRefused
        With every fault of both: columns missing, an id unknown or given twice, a figure that is
        none, negative or nowhere on earth.
    """
    _known_system(nodes, crs)
    points, found = read_table(nodes, NODES, encoding=encoding, personal=False)
    links, more = read_table(edges, EDGES, encoding=encoding, personal=False)
    index = pd.Index(points["node_id"])
    told = bool(len(index)) and index.is_unique and "" not in index
    ends = [
        index.get_indexer(pd.Index(links[c])) if told else np.zeros(len(links), int)
        for c in ("from_node", "to_node")
    ]
    named = (links[["from_node", "to_node"]] != "").all(axis=1)
    lost = [
        Finding(
            Rank.ERROR, "network-row", Where(file=edges.name, row=int(row)),
            Text("起点或终点不在节点表中。", "An end is not in the table of nodes."),
            Text("改正编号,或在节点表中补上。", "Correct the id, or add the node."),
        )
        for row in links.index[named & ((ends[0] < 0) | (ends[1] < 0))]
    ]  # fmt: skip
    refuse_if_any([*found, *more, *lost])
    km = links["km"].to_numpy(float)
    return make_network(
        points[["lon", "lat"]].to_numpy(float), ends[0], ends[1],
        km=km, minutes=links["minutes"].fillna(links["km"] / speed_kmh * 60).to_numpy(float),
        crs=crs, both_ways=both_ways,
    )  # fmt: skip


def _known_system(path: Path, crs: str) -> None:
    """Refuse a system no library knows; GCJ-02 and BD-09 are none for roads."""
    try:
        CRS.from_user_input(crs)
    except CRSError as error:
        raise _refused(
            path, "crs-unknown",
            Text(f"不认识坐标系“{crs[:40]}”。", f"The coordinate system {crs[:40]!r} is not known."),
            Text("请写 EPSG:4490 这样的编号;路网须先由 GCJ-02、BD-09 转换。",
                 "Write a code such as EPSG:4490; convert roads in GCJ-02 or BD-09 first."),
        ) from error  # fmt: skip


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
    table, found = read_table(speeds, COVER_SPEEDS)
    refuse_if_any(found)
    rows = next((r for m in modes if len(r := table[table["mode"] == m])), table.iloc[:0])
    if rows.empty:
        raise _refused(
            speeds, "cover-speed",
            Text(f"没有 {modes[0]} 的分类速度。", f"There is no speed by class for {modes[0]}."),
            Text("每类一行:整数类别、速度 0 至 200。", "One row a class: a whole number, and 0 to 200 km/h."),
        )  # fmt: skip
    code, kmh = rows["class"], rows["speed_kmh"]
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
