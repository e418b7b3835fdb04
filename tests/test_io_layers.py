"""Map layers: each format gives the same table; wrong shapes and systems are refused by feature."""

import json
import warnings
from pathlib import Path

import geopandas as gpd
import io_cases
import numpy as np
import pandas as pd
import pytest
import shapely
from child import read_in_child
from shapely.geometry import LineString, Point, Polygon

from allocator.errors import InputRefused
from allocator.io import layers
from allocator.io.case import read_case
from allocator.io.layers import read_layer, read_outline
from allocator.schema import SCHEMAS

AREAS = SCHEMAS["areas"]
SQUARE = Polygon([(109, 25), (109.5, 25), (109.5, 25.5), (109, 25.5)])


def frame(crs="EPSG:4490"):
    points = [Point(109.1, 25.1), Point(109.2, 25.2)]
    data = {
        "area_id": ["001", "002"],
        "township_id": ["01", "01"],
        "name_zh": ["甲村", "乙村"],
        "population": [10.0, 20.5],
    }
    return gpd.GeoDataFrame(data, geometry=points, crs="EPSG:4490").to_crs(crs)


def outline(tmp_path, geometry, **more):
    path = tmp_path / "outline.geojson"
    collection = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {"id": "x7"}, "geometry": geometry}],
        **more,
    }
    path.write_text(json.dumps(collection), encoding="utf-8")
    return path


def refused(path):
    with pytest.raises(InputRefused) as caught:
        read_outline(path)
    return caught.value.findings[0]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".shp"])
def test_each_format_gives_the_same_table(tmp_path, suffix):
    path = tmp_path / f"areas{suffix}"
    made = frame()
    if suffix == ".parquet":
        made.to_parquet(path)
    elif suffix == ".shp":
        made.rename(columns={"township_id": "township_i", "population": "人口"}).to_file(
            path, encoding="UTF-8"
        )
    else:
        made.to_file(path)
    table, found = read_layer(path, AREAS)
    assert not [f for f in found if f.rank == "error"]
    assert list(table["area_id"]) == ["001", "002"] and list(table["name_zh"]) == ["甲村", "乙村"]
    assert np.allclose(table[["lon", "lat"]], [[109.1, 25.1], [109.2, 25.2]], atol=1e-6)
    assert list(table["population"]) == [10.0, 20.5]


def test_a_shapefile_in_gbk_is_refused_until_declared(tmp_path):
    path = tmp_path / "areas.shp"
    made = frame().rename(columns={"township_id": "township_i", "population": "人口"})
    made.to_file(path, encoding="GBK")
    (tmp_path / "areas.cpg").unlink()
    dbf = tmp_path / "areas.dbf"
    raw = bytearray(dbf.read_bytes())
    raw[29] = 0  # no code page in the header either
    dbf.write_bytes(bytes(raw))
    _, found = read_layer(path, AREAS)
    assert [f.code for f in found] == ["encoding-undeclared"]
    table, _ = read_layer(path, AREAS, encoding="gb18030")
    assert list(table["name_zh"]) == ["甲村", "乙村"]


CHINESE = {
    "村代码": ["001", "002"], "村名称": ["甲村", "乙村"], "乡镇代码": ["01", "01"], "总人口": [10, 20],
    "户籍60岁以上人数": [3, 4], "户籍80岁以上人数": [1, 2],
}  # fmt: skip


def shapefile(tmp_path, columns, encoding="UTF-8", edit=lambda dbf: dbf):
    points = [Point(109.1, 25.1), Point(109.2, 25.2)]
    path = tmp_path / "areas.shp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gpd.GeoDataFrame(columns, geometry=points, crs=4490).to_file(path, encoding=encoding)
    table = tmp_path / "areas.dbf"
    table.write_bytes(edit(table.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("encoding", "declared"), [("UTF-8", None), ("UTF-8", "gb18030"), ("GBK", "gb18030"), ("GBK", None)]
)  # fmt: skip
def test_chinese_fields_cut_to_ten_bytes_are_read_by_their_full_names_and_told(
    tmp_path, encoding, declared
):
    path = shapefile(tmp_path, CHINESE, encoding)
    table, found = read_layer(path, AREAS, encoding=declared)
    assert not [f for f in found if f.rank == "error"]
    assert list(table["registered_60"]) == [3, 4] and list(table["registered_80"]) == [1, 2]
    assert list(table["name_zh"]) == ["甲村", "乙村"] and list(table["township_id"]) == ["01"] * 2
    told = {f.code: f.what.en for f in found}
    assert ("registered_60" in told.get("field-names-cut", "")) == (encoding == "GBK")
    assert ("encoding-differs" in told) == (encoding == "UTF-8" and declared is not None)


def test_a_field_cut_within_a_letter_is_read_without_the_letter(tmp_path):
    """UTF-8 has three bytes a letter: of 乡镇代码 ten bytes hold 乡镇代 and a third of 码."""
    path = shapefile(tmp_path, CHINESE)
    assert "乡镇代码".encode()[:10] + b"\0" in (tmp_path / "areas.dbf").read_bytes()
    _, found = read_layer(path, AREAS)
    assert "乡镇代 → township_id" in next(f for f in found if f.code == "field-names-cut").what.zh


@pytest.mark.parametrize("names", [("登记60", "登记80"), ("60+", "80+"), ("60岁以上", "80岁以上")])
def test_short_fields_of_registered_people_are_counts(tmp_path, names):
    rows = {"area_id": ["1", "2"], "乡镇代码": ["01", "01"], names[0]: [3, 4], names[1]: [1, 2]}
    table, found = read_layer(shapefile(tmp_path, rows), AREAS)
    assert list(table["registered_60"]) == [3, 4] and list(table["registered_80"]) == [1, 2]
    assert not [f for f in found if f.rank == "error"]


def test_a_cut_name_that_fits_two_columns_is_refused_and_never_blank_in_silence(tmp_path):
    rows = {"area_id": ["1", "2"], "township_id": ["01", "01"], "registered_60": [3, 4], "registered_80": [1, 2]}  # fmt: skip
    _, found = read_layer(shapefile(tmp_path, rows), AREAS)
    (fault,) = [f for f in found if f.rank == "error"]
    assert fault.code == "field-name-ambiguous" and fault.where.column == "registered"
    assert "registered_60 or registered_80" in fault.what.en and "60+、80+" in fault.remedy.zh


def test_a_needed_field_that_is_not_understood_is_refused_with_the_nearest_name(tmp_path):
    rows = {"村代号": ["1", "2"], "乡镇代码": ["01", "01"], "老人数": [5, 6]}
    _, found = read_layer(shapefile(tmp_path, rows), AREAS)
    (fault,) = [f for f in found if f.rank == "error"]
    assert (fault.code, fault.where.column) == ("column-missing", "area_id")
    assert "'村代号'" in fault.remedy.en
    (left,) = [f for f in found if f.code == "column-unknown"]
    assert left.where.column == "老人数"
    assert "registered_60" in left.remedy.en and "户籍60岁以上人数" in left.remedy.zh


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".parquet"])
def test_codes_of_twelve_digits_stay_whole_and_codes_stored_as_numbers_are_told(tmp_path, suffix):
    path = tmp_path / f"areas{suffix}"
    points = [Point(109.1, 25.1), Point(109.2, 25.2)]
    rows = {"area_id": [450225100001, 450225100002], "乡镇代码": ["007", "010"]}
    made = gpd.GeoDataFrame(rows, geometry=points, crs=4490)
    if suffix == ".parquet":
        made.to_parquet(path)
    else:
        made.to_file(path, **({"encoding": "GBK"} if suffix == ".shp" else {}))
    table, found = read_layer(path, AREAS)
    assert list(table["area_id"]) == ["450225100001", "450225100002"]
    assert list(table["township_id"]) == ["007", "010"]
    (told,) = [f for f in found if f.code == "number-in-id-column"]
    assert told.where.column == "area_id" and told.rank == "warning"


def test_a_zone_of_cgcs2000_comes_to_degrees_and_polygons_to_a_point_inside(tmp_path):
    path = tmp_path / "areas.gpkg"
    frame("EPSG:4546").to_file(path)
    table, _ = read_layer(path, AREAS)
    assert np.allclose(table[["lon", "lat"]], [[109.1, 25.1], [109.2, 25.2]], atol=1e-6)
    gpd.GeoDataFrame(
        {"area_id": ["1"], "township_id": ["01"]}, geometry=[SQUARE], crs="EPSG:4490"
    ).to_file(tmp_path / "p.gpkg")
    table, _ = read_layer(tmp_path / "p.gpkg", AREAS)
    assert SQUARE.contains(Point(table["lon"].iloc[0], table["lat"].iloc[0]))


def test_another_system_than_declared_is_refused_and_none_is_told(tmp_path):
    path = tmp_path / "areas.gpkg"
    frame("EPSG:4546").to_file(path)
    _, found = read_layer(path, AREAS, crs="EPSG:4490")
    assert [f.code for f in found] == ["crs-differs"] and "EPSG:4546" in found[0].what.en
    frame().set_crs(None, allow_override=True).to_parquet(tmp_path / "a.parquet")
    _, found = read_layer(tmp_path / "a.parquet", AREAS, crs="EPSG:4490")
    assert [f.code for f in found if f.rank == "information" and "crs" in f.code] == [
        "crs-undeclared"
    ]


def test_a_parquet_table_without_shapes_is_read(tmp_path):
    pd.DataFrame(
        {"area_id": ["1"], "township_id": ["01"], "lon": [109.5], "lat": [25.5]}
    ).to_parquet(tmp_path / "a.parquet")
    table, found = read_layer(tmp_path / "a.parquet", AREAS)
    assert table["lon"].iloc[0] == 109.5 and not [f for f in found if f.rank == "error"]


BOW = [[[109, 25], [110, 26], [110, 25], [109, 26], [109, 25]]]
RING = [[[109, 25], [109.5, 25], [109.5, 25.5], [109, 25]]]


def test_empty_and_self_crossing_shapes_are_refused_with_their_id(tmp_path):
    fault = refused(outline(tmp_path, {"type": "Polygon", "coordinates": BOW}))
    assert (
        fault.code == "geometry-invalid"
        and fault.where.id == "x7"
        and "Self-intersection" in fault.what.en
    )
    assert (
        refused(outline(tmp_path, {"type": "Polygon", "coordinates": []})).code
        == "geometry-invalid"
    )


def test_heights_are_dropped_with_a_finding(tmp_path):
    ring = [[[x, y, 300.0] for x, y in RING[0]]]
    made, found = read_outline(outline(tmp_path, {"type": "Polygon", "coordinates": ring}))
    assert not made.geometry.has_z.any() and "heights-dropped" in {f.code for f in found}


def test_points_other_systems_metres_and_nonsense_are_no_outline(tmp_path):
    crs = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}}
    assert (
        refused(outline(tmp_path, {"type": "Point", "coordinates": [1, 2]})).code
        == "outline-not-polygon"
    )
    assert (
        refused(outline(tmp_path, {"type": "Polygon", "coordinates": RING}, **crs)).code
        == "crs-differs"
    )
    metres = [[[x * 1e5, y * 1e5] for x, y in RING[0]]]
    assert (
        refused(outline(tmp_path, {"type": "Polygon", "coordinates": metres})).code
        == "layer-not-degrees"
    )
    path = tmp_path / "outline.geojson"
    for text in (
        "",
        "{}",
        "[" * 5000,
        '{"type": "FeatureCollection", "features": [1]}',
        '{"type":"Polygon","coordinates":"x"}',
    ):
        path.write_text(text, encoding="utf-8")
        assert refused(path).code in ("geojson-syntax", "geometry-invalid")


def test_too_many_vertices_are_refused_before_parsing(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "MAX_VERTICES", 3)
    assert (
        refused(outline(tmp_path, {"type": "Polygon", "coordinates": RING})).code
        == "layer-too-large"
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp", ".parquet"])
def test_row_24_ten_million_vertices_are_refused_within_two_seconds_and_a_gibibyte(
    tmp_path, suffix
):
    path = tmp_path / f"areas{suffix}"
    many = 10_000_000
    if suffix == ".geojson":
        start, end = b'{"type":"LineString","coordinates":[', b"]}"
        path.write_bytes(start + b",".join([b"[109,25]"] * many) + end)
    else:
        line = shapely.linestrings(np.linspace((109.0, 25.0), (109.5, 25.5), many))
        made = gpd.GeoDataFrame({"area_id": ["1"]}, geometry=[line], crs=4490)
        made.to_parquet(path) if suffix == ".parquet" else made.to_file(path)
        del made, line
    outcome = read_in_child("areas", path)
    assert outcome.codes == ("layer-too-large",)
    assert outcome.seconds < 2 and outcome.mebibytes < 1024


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".parquet", ".geojson"])
def test_too_many_features_are_refused(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"areas{suffix}"
    made = frame()[["area_id", "geometry"]]
    made.to_parquet(path) if suffix == ".parquet" else made.to_file(path)
    monkeypatch.setattr(layers, "MAX_ROWS", 1)
    assert [f.code for f in read_layer(path, AREAS)[1]] == ["too-many-rows"]


def test_a_vertex_at_infinity_is_refused_with_its_id(tmp_path):
    made = frame()
    made.geometry = [Point(109.1, 25.1), LineString([(109, 25), (np.inf, 25)])]
    made.to_parquet(tmp_path / "areas.parquet")
    _, found = read_layer(tmp_path / "areas.parquet", AREAS)
    assert [(f.code, f.where.id, f.where.row) for f in found] == [("geometry-invalid", "002", 3)]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".parquet", ".geojson", ".exe"])
def test_a_broken_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"areas{suffix}"
    path.write_bytes(b"\x00\x01nonsense" * 20)
    table, found = read_layer(path, AREAS)
    assert not len(table) and found[0].rank == "error"


def test_a_column_that_a_file_holds_twice_is_told(tmp_path):
    frame = gpd.GeoDataFrame(
        {"area_id": ["1"], "area_ie": ["2"]}, geometry=[Point(109.2, 25.1)], crs=4490
    )
    frame.to_file(tmp_path / "areas.shp")
    table = tmp_path / "areas.dbf"
    table.write_bytes(table.read_bytes().replace(b"area_ie", b"area_id"))
    _, found = read_layer(tmp_path / "areas.shp", SCHEMAS["areas"])
    assert "column-twice" in {f.code for f in found}


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".gpkg", ".shp", ".geojson", ".parquet"])
def test_each_format_of_villages_gives_the_same_region(tmp_path, suffix):
    plain = read_case(io_cases.write(tmp_path / "plain")).region
    rows = pd.read_csv(tmp_path / "plain" / "areas.csv", dtype={"area_id": str, "township_id": str})
    changes = {} if suffix == ".csv" else {"areas.csv": None}
    folder = io_cases.write(tmp_path / "case", changes)
    points = gpd.points_from_xy(rows["lon"], rows["lat"])
    shaped = gpd.GeoDataFrame(rows.drop(columns=["lon", "lat"]), geometry=points, crs="EPSG:4490")
    path = folder / f"areas{suffix}"
    if suffix == ".xlsx":
        with pd.ExcelWriter(folder / "case.xlsx") as book:
            rows.to_excel(book, sheet_name="areas", index=False)
    elif suffix == ".parquet":
        shaped.to_parquet(path)
    elif suffix == ".shp":
        # Ten letters a field name: those that one column alone begins with come back whole.
        names = {"registered_60": "60+", "registered_80": "80+"}
        shaped.rename(columns=names | {"township_id": "township_i"}).to_file(path, encoding="UTF-8")
    elif suffix != ".csv":
        shaped.to_file(path)
    region = read_case(folder).region
    for name in ("townships", "areas", "sites", "homes"):
        one, two = getattr(region, name), getattr(plain, name)
        pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-9, obj=name)
    assert (region.id, region.crs, region.seat) == (plain.id, plain.crs, plain.seat)
