"""Map layers into tables: GeoPackage, Shapefile, GeoJSON and Parquet; the county's outline.

A layer's coordinate system is declared by the file, or by the user; geometries must be valid.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from allocator.errors import Finding, InputRefused, Where, plural
from allocator.io.coordinates import DATUMS, GEOGRAPHIC, to_degrees
from allocator.io.findings import error, notice, refusal, too_many_rows, warning
from allocator.io.paths import MEBIBYTE, read_bytes, sized_file
from allocator.io.shapefile import (
    BYTES,
    read_shapefile,
    refuse_undeclared_text,
    stated_encoding,
    with_long_names,
)
from allocator.io.tables import (
    MAX_ROWS,
    Grid,
    column_of,
    empty_table,
    encoding_differs,
    table_of,
)
from allocator.schema import Schema

__all__ = [
    "LAYER_SUFFIXES",
    "own_system",
    "read_layer",
    "read_outline",
    "read_polygons",
]

LAYER_SUFFIXES = (".gpkg", ".shp", ".geojson", ".parquet")
MAX_BYTES = 500 * MEBIBYTE
MAX_GEOJSON = 100 * MEBIBYTE
MAX_VERTICES = 2_000_000
VERTEX_BYTES, SHAPE_BYTES = 32, 64
"""Most bytes of a vertex (x, y, z, m) and of what stands around a plain shape's vertices."""
MAX_EACH = 200


def read_outline(path: Path, name: str = "") -> tuple[gpd.GeoDataFrame, tuple[Finding, ...]]:
    """Return the outline of a county from GeoJSON, in degrees, and what was found.

    Raises
    ------
    InputRefused
        When it is no GeoJSON, too large, in another coordinate system, or holds an empty,
        self-crossing or other than polygonal geometry.
    """
    frame, found = _geojson(path, name or path.name)
    where = Where(file=name or path.name)
    wrong = ~frame.geom_type.isin(["Polygon", "MultiPolygon"])
    if wrong.any():
        raise refusal(
            "outline-not-polygon",
            where,
            ("县界应为面。", "The outline must consist of polygons."),
            ("请提供面图层。", "Provide a layer of polygons."),
        )
    return frame, found


def read_layer(
    path: Path,
    schema: Schema,
    *,
    crs: str | None = None,
    encoding: str | None = None,
    layer: str | None = None,
    name: str = "",
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the table of ``schema`` in a layer: its attributes, and ``lon``, ``lat`` from shapes.

    Parameters
    ----------
    crs
        The declared coordinate system (``EPSG:...``, ``GCJ-02``, ``BD-09``). A file that
        declares another is refused; one that declares none is read in it, with a finding.
    encoding
        Of a Shapefile's texts; ``gb18030`` where the user declares GBK.
    layer
        Layer of a GeoPackage; its only one where None.

    Returns
    -------
    The table, points in degrees (polygons by a point inside them), indexed by the number of the
    feature plus one, and the findings.
    """
    name = name or path.name
    where = Where(file=name)
    try:
        frame, found = _frame(path, name, encoding, layer)
        if len(frame) > MAX_ROWS:
            raise InputRefused((too_many_rows(where, MAX_ROWS),))
        if path.suffix.lower() == ".shp":
            frame, cut = with_long_names(frame, schema, where)
            found = (*found, *cut)
        frame, points = _points(frame, crs, where)
    except InputRefused as refused:
        return empty_table(schema), refused.findings
    stored = _codes_as_numbers(frame, schema, where)
    grid = _grid(frame, where, (*found, *points, *stored))
    table, all_found = table_of(grid, schema)
    return table, all_found


def read_polygons(
    path: Path, *, crs: str, name: str = ""
) -> tuple[gpd.GeoDataFrame, tuple[Finding, ...]]:
    """Return a layer of polygons with its attributes, and what was found.

    Parameters
    ----------
    crs
        The system of a file that declares none, with a finding.

    Raises
    ------
    InputRefused
        When it is no readable layer, or has empty, self-crossing or other than polygonal shapes.
    """
    where = Where(file=name or path.name)
    frame, found = _frame(path, name or path.name, None, None)
    shaped = frame._geometry_column_name in frame.columns and len(frame) > 0
    if not shaped or not frame.geom_type.isin(["Polygon", "MultiPolygon"]).all():
        raise refusal(
            "layer-not-polygons",
            where,
            ("应为面图层。", "The layer must consist of polygons."),
            ("请提供面图层。", "Provide a layer of polygons."),
        )
    if frame.crs is None:
        return frame.set_crs(crs), (*found, _undeclared(where, crs))
    return frame, found


def _geojson(path: Path, name: str) -> tuple[gpd.GeoDataFrame, tuple[Finding, ...]]:
    """Read GeoJSON strictly: bounded before it is parsed, every geometry valid."""
    where = Where(file=name)
    data = read_bytes(path, MAX_GEOJSON, name)
    if data.count(b"[") > MAX_VERTICES:
        raise _too_large(where)
    try:
        content = json.loads(data.decode("utf-8-sig"))
        features = _features(content)
        shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in features]
        rows = [dict(f.get("properties") or {}) for f in features]
        declared = _declared(content)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        shapely.GEOSException,
    ) as problem:
        raise refusal(
            "geojson-syntax",
            where,
            ("文件不是有效的GeoJSON。", "This is not valid GeoJSON."),
            ("请提供 FeatureCollection,UTF-8编码。", "Provide a FeatureCollection in UTF-8."),
        ) from problem
    found: list[Finding] = []
    if declared is None:
        found.append(_undeclared(where, "EPSG:4326"))
    elif declared not in GEOGRAPHIC:
        raise _differs(where, declared, " / ".join(GEOGRAPHIC))
    frame = gpd.GeoDataFrame(
        pd.DataFrame(rows), geometry=gpd.GeoSeries(shapes, crs=declared or "EPSG:4326")
    )
    frame = _checked(frame, where, found)
    w, s, e, n = frame.total_bounds
    if w < -180 or e > 180 or s < -90 or n > 90:
        raise refusal(
            "layer-not-degrees",
            where,
            ("坐标不是度,像是投影坐标(米)。", "The coordinates are no degrees: projected metres?"),
            ("请转换为经纬度。", "Convert them to longitude and latitude."),
        )
    return frame, tuple(found)


def _features(content: Any) -> Sequence[Any]:
    if content["type"] == "FeatureCollection":
        features = content["features"]
        if not isinstance(features, list) or not features:
            raise ValueError("no features")
        return features
    if content["type"] == "Feature":
        return [content]
    return [{"geometry": content, "properties": {}}]


def _declared(content: Any) -> str | None:
    """Return the system a GeoJSON declares in its old ``crs`` member, as ``EPSG:...``."""
    member = content.get("crs")
    if member is None:
        return None
    written = str(member["properties"]["name"]).upper()
    if written.endswith("CRS84"):
        return "EPSG:4326"
    return "EPSG:" + written.rsplit(":", 1)[-1]


def _frame(
    path: Path, name: str, encoding: str | None, layer: str | None
) -> tuple[gpd.GeoDataFrame, tuple[Finding, ...]]:
    """Read a layer of any of the formats, geometries checked."""
    where = Where(file=name)
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return _geojson(path, name)
    if suffix not in LAYER_SUFFIXES:
        raise refusal(
            "layer-format",
            where,
            (f"不支持的格式{suffix[:20]}。", f"The format {suffix[:20]} is not read."),
            (
                "请用 GeoPackage、Shapefile、GeoJSON 或 Parquet。",
                "Use GeoPackage, Shapefile, GeoJSON or Parquet.",
            ),
        )
    sized_file(path, MAX_BYTES, name)
    found: list[Finding] = []
    try:
        if suffix == ".parquet":
            frame = _parquet(path, where)
        else:
            frame = _pyogrio(path, where, encoding, layer, found)
    except InputRefused:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        ImportError,
        zipfile.BadZipFile,
    ) as problem:
        raise refusal(
            "layer-not-readable",
            where,
            (
                f"无法读取图层({type(problem).__name__})。",
                f"The layer cannot be read ({type(problem).__name__}).",
            ),
            (
                "请检查文件是否完整(Shapefile须有 .shp、.shx、.dbf)。",
                "Check that it is whole (a Shapefile is .shp, .shx and .dbf).",
            ),
        ) from problem
    return _checked(frame, where, found), tuple(found)


def _parquet(path: Path, where: Where) -> gpd.GeoDataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        meta = pq.read_metadata(path)
        if meta.num_rows > MAX_ROWS:
            raise InputRefused((too_many_rows(where, MAX_ROWS),))
        if b"geo" in (meta.metadata or {}):
            _refuse_large_shapes(_geometry_bytes(meta), meta.num_rows, where)
            return gpd.read_parquet(path)
        return gpd.GeoDataFrame(pq.read_table(path).to_pandas())
    except pa.ArrowException as problem:
        raise ValueError(str(problem)) from problem


def _pyogrio(
    path: Path, where: Where, encoding: str | None, layer: str | None, found: list[Finding]
) -> gpd.GeoDataFrame:
    import pyogrio

    layers = [str(row[0]) for row in pyogrio.list_layers(path)]
    if layer is None and len(layers) != 1:
        raise refusal(
            "layer-not-named",
            where,
            (
                f"文件有{len(layers)}个图层:{'、'.join(layers[:10])}。",
                f"The file has {plural(len(layers), 'layer')}: {', '.join(layers[:10])}.",
            ),
            ("请只保留一个。", "Keep one of them."),
        )
    shapefile = path.suffix.lower() == ".shp"
    if shapefile and encoding is None:
        refuse_undeclared_text(path, where)
    _refuse_large_layer(path, layer or layers[0], where)
    if not shapefile:
        frame = pyogrio.read_dataframe(path, layer=layer or layers[0])
    else:
        if encoding is not None and stated_encoding(path) == "utf-8":
            found.append(encoding_differs(where, encoding))
            encoding = None
        frame = read_shapefile(path, encoding)
    return frame if isinstance(frame, gpd.GeoDataFrame) else gpd.GeoDataFrame(frame)


def _refuse_large_layer(path: Path, layer: str, where: Where) -> None:
    """Refuse too many features or vertices before any shape is made; one shape may hold them all."""
    import pyogrio

    bare = {"layer": layer, "encoding": BYTES if path.suffix.lower() == ".shp" else None}
    count = int(pyogrio.read_info(path, force_feature_count=True, **bare)["features"])
    if count > MAX_ROWS:
        raise InputRefused((too_many_rows(where, MAX_ROWS),))
    _, _, shapes, _ = pyogrio.raw.read(path, columns=[], **bare)
    if shapes is not None:
        _refuse_large_shapes(sum(len(s) for s in shapes if s is not None), count, where)


def _geometry_bytes(meta: Any) -> int:
    """Return the bytes of the main geometry of a GeoParquet file before it was packed."""
    main = str(json.loads(meta.metadata[b"geo"]).get("primary_column", ""))
    return sum(
        part.total_uncompressed_size
        for g in range(meta.num_row_groups)
        for c in range(meta.num_columns)
        if (part := meta.row_group(g).column(c)).path_in_schema == main
    )


def _refuse_large_shapes(size: int, count: int, where: Where) -> None:
    """Refuse shapes of so many bytes that they hold too many vertices, whatever they are."""
    if size > MAX_VERTICES * VERTEX_BYTES + count * SHAPE_BYTES:
        raise _too_large(where)


def _checked(frame: gpd.GeoDataFrame, where: Where, found: list[Finding]) -> gpd.GeoDataFrame:
    """Refuse empty and invalid geometries by number; drop heights with a finding."""
    if frame._geometry_column_name not in frame.columns:
        return frame
    shapes = np.asarray(frame.geometry.values, dtype=object)
    if int(shapely.get_num_coordinates(shapes).sum()) > MAX_VERTICES:
        raise _too_large(where)
    empty = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    invalid = ~shapely.is_valid(shapes) & ~empty
    at, owner = shapely.get_coordinates(shapes, return_index=True)
    endless = np.zeros(len(shapes), dtype=bool)
    endless[owner[~np.isfinite(at).all(axis=1)]] = True
    faults = []
    for n in np.flatnonzero(empty | invalid | endless)[:MAX_EACH]:
        reason = "empty" if empty[n] else str(shapely.is_valid_reason(shapes[n])).split("[")[0]
        faults.append(
            error(
                "geometry-invalid",
                Where(file=where.file, row=int(n) + 2, column="geometry", id=_label(frame, int(n))),
                (
                    f"第{n + 1}个要素的图形无效({reason})。",
                    f"The geometry of feature {n + 1} is invalid: {reason}.",
                ),
                (
                    "请在GIS中修复(自相交、空图形)。",
                    "Repair it in a GIS (self-crossing or empty shapes).",
                ),
            )
        )
    if faults:
        raise InputRefused(tuple(faults))
    if shapely.has_z(shapes).any():
        found.append(
            notice(
                "heights-dropped",
                where,
                (
                    f"{int(shapely.has_z(shapes).sum())}个要素带高程,已舍去。",
                    f"{plural(int(shapely.has_z(shapes).sum()), 'feature carries', 'features carry')} heights, which are dropped.",
                ),
                ("无需处理。", "Nothing to do."),
            )
        )
        frame = frame.set_geometry(
            gpd.GeoSeries(shapely.force_2d(shapes), index=frame.index, crs=frame.crs)
        )
    return frame


def _label(frame: gpd.GeoDataFrame, n: int) -> str:
    """Return the first attribute of a feature, by which a person may know it."""
    for column in frame.columns:
        if column != frame._geometry_column_name:
            return str(frame[column].iloc[n])[:60]
    return ""


def _points(
    frame: gpd.GeoDataFrame, crs: str | None, where: Where
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return attributes with ``lon`` and ``lat`` from the shapes, and what was found."""
    if frame._geometry_column_name not in frame.columns:
        return pd.DataFrame(frame), ()
    found: list[Finding] = []
    own = own_system(frame, crs, where)
    if own is None:
        found.append(_undeclared(where, crs or "EPSG:4490"))
    # A datum of map vendors is never declared by a file: the user's word goes before EPSG:4326.
    used = crs if crs is not None and (own is None or crs.upper() in DATUMS) else own or "EPSG:4490"
    shapes = frame.geometry.values
    inside = shapely.point_on_surface(np.asarray(shapes, dtype=object))
    lon, lat, _, more = to_degrees(shapely.get_x(inside), shapely.get_y(inside), used, where)
    table = pd.DataFrame(frame.drop(columns=frame._geometry_column_name))
    table = table.drop(
        columns=[c for c in table.columns if str(c).lower() in ("lon", "lat", "经度", "纬度")]
    )
    table["lon"], table["lat"] = lon, lat
    return table, (*found, *more)


def own_system(frame: gpd.GeoDataFrame, crs: str | None, where: Where) -> str | None:
    """Return the system a layer states as ``EPSG:...``, None where it states none.

    Raises
    ------
    InputRefused
        When ``crs`` was declared and the layer states another.
    """
    if frame.crs is None:
        return None
    own = frame.crs.to_string() if frame.crs.to_authority() else None
    if own is None:
        own = f"EPSG:{frame.crs.to_epsg()}" if frame.crs.to_epsg() else "undefined"
    if crs is not None and not _same(own, crs):
        raise _differs(where, own, crs)
    return own


def _same(own: str, crs: str) -> bool:
    same = {"EPSG:4326", "EPSG:4490", "OGC:CRS84", *DATUMS}
    return own.upper() == crs.upper() or {own.upper(), crs.upper()} <= same


def _codes_as_numbers(table: pd.DataFrame, schema: Schema, where: Where) -> list[Finding]:
    """Tell columns of ids that the layer holds as numbers, which have no leading zeros."""
    found = []
    for n, name in enumerate(map(str, table.columns)):
        column = column_of(name, schema)
        is_number = pd.api.types.is_numeric_dtype(table.dtypes.iloc[n])
        if column is not None and column.kind == "id" and is_number:
            found.append(
                warning(
                    "number-in-id-column",
                    Where(file=where.file, row=1, column=name[:60]),
                    (
                        "代码列被存成数字,前导零可能已丢失。",
                        "The codes are stored as numbers; leading zeros may be lost.",
                    ),
                    ("请把该字段改为文本。", "Make it a field of text."),
                )
            )
    return found


def _grid(table: pd.DataFrame, where: Where, found: tuple[Finding, ...]) -> Grid:
    """Turn typed attributes into text cells."""
    # By position: a damaged or careless file may give one name twice, which `table_of` tells.
    columns = tuple(_cells(table.iloc[:, n]) for n in range(table.shape[1]))
    return Grid(
        where=where,
        headers=tuple(str(c) for c in table.columns),
        columns=columns,
        rows=np.arange(2, len(table) + 2, dtype=np.int64),
        findings=found,
    )


def _cells(values: pd.Series) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    missing = values.isna().to_numpy(dtype=bool)
    out[:] = ["" if gone else _cell(v) for v, gone in zip(values, missing, strict=True)]
    return out


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return repr(float(value)).removesuffix(".0")
    return str(value)


def _undeclared(where: Where, used: str) -> Finding:
    return notice(
        "crs-undeclared",
        where,
        (
            f"文件没有声明坐标系,按{used}读取。",
            f"The file declares no coordinate system; it was read as {used}.",
        ),
        ("请核对。", "Check that it is so."),
    )


def _differs(where: Where, own: str, wanted: str) -> InputRefused:
    return refusal(
        "crs-differs",
        where,
        (f"文件的坐标系是{own},声明的是{wanted}。", f"The file is in {own}; {wanted} is declared."),
        (
            "请统一坐标系:转换文件,或改正 case.yaml 的 crs。",
            "Make them one: convert the file, or correct crs in case.yaml.",
        ),
    )


def _too_large(where: Where) -> InputRefused:
    return refusal(
        "layer-too-large",
        where,
        (
            f"图层超过{MAX_VERTICES:,}个顶点或{MAX_ROWS:,}个要素。",
            f"The layer has more than {MAX_VERTICES:,} vertices or {MAX_ROWS:,} features.",
        ),
        ("请简化图形。", "Simplify the shapes."),
    )
