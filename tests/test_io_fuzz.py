"""Any bytes in place of a layer, a network or a raster give a value or listed findings, never a traceback.

Tables, workbooks and YAML have fuzz of their own beside their tests; here are all other readers, and whole cases. Real
files are spoilt: bytes changed, cut off, put in, repeated.
"""

import hashlib
import io
import json
import pickle
import resource
import shutil
import time
from pathlib import Path

import geopandas as gpd
import io_cases
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Point, Polygon

from allocator.errors import InputRefused
from allocator.io import case, case_gaps, case_tables, rates
from allocator.io.case import read_case
from allocator.io.layers import read_layer, read_outline
from allocator.io.network_files import (
    read_cover_surface,
    read_edge_tables,
    read_osm,
    read_road_layer,
    read_speeds,
    read_surface,
)
from allocator.io.population_files import PopulationFile, read_people
from allocator.schema import SCHEMAS
from allocator.travel.journeys import Places, time_journeys

pytestmark = pytest.mark.filterwarnings("ignore")  # drivers warn of much that is then refused
MOST_SECONDS, MOST_MB = 10, 1024
MOST_KEPT = 100
SPOIL = st.lists(
    st.tuples(
        st.sampled_from(["change", "cut", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def spoilt(data: bytes, changes) -> bytes:
    for kind, where, some in changes:
        at = int(where * len(data))
        if kind == "change":
            data = data[:at] + some + data[at + len(some) :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + some + data[at:]
        else:
            data = data[:at] + data[at : at + 64] * 3 + data[at:]
    return data


def _points():
    return gpd.GeoDataFrame(
        {
            "area_id": ["001", "002", "003"], "township_id": ["01", "01", "02"],
            "population": [100, 200, 300],
        },
        geometry=[Point(109.2, 25.1), Point(109.3, 25.2), Point(109.25, 25.15)], crs=4490,
    )  # fmt: skip


def _lines():
    return gpd.GeoDataFrame(
        {"way": ["primary", "track"], "oneway": [1, 0]},
        geometry=[LineString([(109.2, 25.1), (109.3, 25.2)]), LineString([(109.3, 25.2), (109.25, 25.15)])],
        crs=4490,
    )  # fmt: skip


def _layer(path: Path):
    return read_layer(path, SCHEMAS["areas"], crs="EPSG:4490")


def _roads(path: Path):
    return read_road_layer(path, speeds={"*": 20.0}, oneway_column="oneway", crs="EPSG:4490")


def _vector(write, name, main):
    def make(folder: Path) -> Path:
        frame = _lines() if name.startswith("roads") else _points()
        write(frame, folder / name)
        return folder / (main or name)

    return make


def _raster(folder: Path, name: str, values) -> Path:
    rasterio = pytest.importorskip("rasterio")
    path = folder / name
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=9, count=1, dtype=values.dtype, crs="EPSG:4546",
        transform=rasterio.transform.from_origin(5e5, 2.8e6, 100, 100), nodata=-1,
    ) as out:  # fmt: skip
        out.write(values, 1)
    return path


def _speed(folder):
    return _raster(folder, "walk.tif", np.linspace(1, 5, 72, dtype=np.float32).reshape(8, 9))


def _cover(folder):
    (folder / "speeds.csv").write_text("class,mode,speed_kmh\n1,walk,4\n2,walk,2\n", "utf-8")
    return _raster(folder, "cover.tif", (np.arange(72, dtype=np.int16) % 2 + 1).reshape(8, 9))


def _outline(folder):
    square = Polygon([(109, 25), (109.5, 25), (109.5, 25.5), (109, 25.5)])
    path = folder / "outline.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": square.__geo_interface__}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), "utf-8")
    return path


def _edges(folder):
    (folder / "nodes.csv").write_text(
        "node_id,lon,lat\na,109.2,25.1\nb,109.3,25.2\nc,109.25,25.15\n", "utf-8"
    )
    (folder / "edges.csv").write_text(
        "from_node,to_node,km,minutes\na,b,2.5,7\nb,c,1.5,\n", "utf-8"
    )
    return folder / "edges.csv"


def _nodes(folder):
    return _edges(folder).with_name("nodes.csv")


def _cover_speeds(folder):
    return _cover(folder).with_name("speeds.csv")


def _matrix(folder):
    """Write a case whose journeys are a supplied matrix; return the matrix."""
    rows = "起点,终点,mode,minutes,road_km\n0101,S1,car,12.5,8\n0201,S1,,30,\n02,S2,walk,7,0.5\n"
    return io_cases.write(folder, {"matrix.csv": rows}) / "matrix.csv"


def _timed(path: Path):
    """Read the case and time its journeys by the matrix: none is negative or endless."""
    case = read_case(path.parent)
    for mode in ("car", "walk"):
        arcs = time_journeys(
            case.travel, Places(("0101", "0201"), NOWHERE, ("01", "02")),
            Places(("S1", "S2"), NOWHERE, ("01", "02")), mode=mode, within_minutes=1e6, crs="EPSG:4490",
        )  # fmt: skip
        assert np.isfinite(arcs.minutes).all() and (arcs.minutes >= 0).all()


NOWHERE = np.full((2, 2), np.nan)


def _osm(folder):
    osmium = pytest.importorskip("osmium")
    path = folder / "roads.osm.pbf"
    with osmium.SimpleWriter(str(path)) as out:
        for n, (lon, lat) in enumerate([(109.2, 25.1), (109.21, 25.11), (109.22, 25.1)], 1):
            out.add_node(osmium.osm.mutable.Node(id=n, location=(lon, lat)))
        out.add_way(osmium.osm.mutable.Way(id=1, nodes=[1, 2, 3], tags={"highway": "residential"}))
    return path


def _people(path):
    """Read a raster of persons, or a layer of zones with counts."""
    frame = _points()
    areas = pd.DataFrame(frame.drop(columns="geometry")).assign(
        area_class="village", lon=frame.geometry.x, lat=frame.geometry.y
    )
    towns = pd.DataFrame({"township_id": ["01", "02"], "population": [300, 300]})
    kind = "zones" if path.suffix == ".gpkg" else "raster"
    file = PopulationFile.model_validate({"year": 2020, kind: path.name, "control": "none"})
    spread = read_people(
        path.parent,
        file,
        areas=areas,
        townships=towns,
        outline=None,
        standard=None,
        crs="EPSG:4490",
    )
    if spread.totals is None:
        raise InputRefused(spread.findings)
    assert np.isfinite(spread.totals).all() and (spread.totals >= 0).all()


def _persons(folder):
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("exactextract")
    path = folder / "people.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=9, count=1, dtype="float32", crs="EPSG:4326",
        transform=rasterio.transform.from_origin(109.18, 25.22, 0.02, 0.02), nodata=-1,
    ) as out:  # fmt: skip
        out.write(np.linspace(1, 5, 72, dtype=np.float32).reshape(8, 9), 1)
    return path


def _zones(folder):
    square = [Polygon([(109.2, 25.1), (109.3, 25.1), (109.3, 25.2), (109.2, 25.2)])]
    frame = gpd.GeoDataFrame({"population": [12.0]}, geometry=square, crs=4326)
    frame.to_file(folder / "zones.gpkg", driver="GPKG")
    return folder / "zones.gpkg"


def _gpkg(frame, path):
    frame.to_file(path, layer="one", driver="GPKG")


COUNTY_NORM = "id,version,title_zh,title_en,value,unit,direction,group,level,payer,agency,basis,source,valid_from,valid_until,mark\nbeds,c,床位,Beds,41,bed-per-1000,higher,elderly-60,local,county,civil-affairs,县标准,a,2025-01-01,,stated\n"


def _of_case(name, text=None):
    """Write a whole case, one of its files to be spoilt."""

    def make(folder: Path) -> Path:
        return io_cases.write(folder, {name: text} if text else {}) / name

    return make


def _case_book(folder: Path) -> Path:
    tables = ("townships", "areas", "sites", "homes")
    io_cases.write(folder, {f"{t}.csv": None for t in tables})
    with pd.ExcelWriter(folder / "case.xlsx") as book:
        for t in tables:
            frame = pd.read_csv(io.StringIO(io_cases.CASE[f"{t}.csv"]), dtype=str)
            numbers = [c for c in frame if c in ("population", "year", "lon", "lat", "places", "residents", "care_workers", "registered_60", "registered_80")]  # fmt: skip
            frame.astype(dict.fromkeys(numbers, float)).to_excel(book, sheet_name=t, index=False)
    return folder / "case.xlsx"


def _case_outline(folder: Path) -> Path:
    io_cases.write(folder)
    return _outline(folder)


READERS = {
    "geojson": (_vector(lambda f, p: f.to_file(p, driver="GeoJSON"), "areas.geojson", None), _layer),
    "gpkg": (_vector(_gpkg, "areas.gpkg", None), _layer),
    "shp": (_vector(lambda f, p: f.to_file(p), "areas.shp", None), _layer),
    "dbf": (_vector(lambda f, p: f.to_file(p), "areas.shp", "areas.dbf"), lambda p: _layer(p.with_suffix(".shp"))),
    "parquet": (_vector(lambda f, p: f.to_parquet(p), "areas.parquet", None), _layer),
    "outline": (_outline, read_outline),
    "roads-gpkg": (_vector(_gpkg, "roads.gpkg", None), _roads),
    "roads-shp": (_vector(lambda f, p: f.to_file(p), "roads.shp", None), _roads),
    "edges": (_edges, lambda p: read_edge_tables(p.with_name("nodes.csv"), p, speed_kmh=20, crs="EPSG:4490")),
    "nodes": (_nodes, lambda p: read_edge_tables(p, p.with_name("edges.csv"), speed_kmh=20, crs="EPSG:4490")),
    "matrix": (_matrix, _timed),
    "cover-speeds": (_cover_speeds, lambda p: read_cover_surface(p.with_name("cover.tif"), p, modes=["walk"])),
    "osm": (_osm, lambda p: read_osm(p, mode="car", speeds=read_speeds())),
    "surface": (_speed, read_surface),
    "people": (_persons, _people),
    "zones": (_zones, _people),
    "case-yaml": (_of_case("case.yaml"), lambda p: read_case(p.parent)),
    "case-areas": (_of_case("areas.csv"), lambda p: read_case(p.parent)),
    "case-homes": (_of_case("homes.csv"), lambda p: read_case(p.parent)),
    "case-book": (_case_book, lambda p: read_case(p.parent)),
    "case-norms": (_of_case("standards.csv", COUNTY_NORM), lambda p: read_case(p.parent)),
    "case-costs": (_of_case("unit_costs.csv", "type,mode,capital_yuan_place\ntownship-home,build,88000\n"), lambda p: read_case(p.parent)),
    "case-outline": (_case_outline, lambda p: read_case(p.parent)),
    "cover": (_cover, lambda p: read_cover_surface(p, p.with_name("speeds.csv"), modes=["walk"])),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return by reader the folder of its whole file and the file's path; made when asked for."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = READERS[name][0](tmp_path_factory.mktemp(name))
        return made[name]

    return of


def outcome(whole, tmp_path_factory, name, data):
    source = whole(name)
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(source.parent, folder, dirs_exist_ok=True)
    path = folder / source.name
    path.write_bytes(data)
    begun = time.monotonic()
    try:
        READERS[name][1](path)
    except InputRefused as refused:
        assert refused.findings and all(f.what.zh and f.what.en for f in refused.findings)
    finally:
        shutil.rmtree(folder)
    assert time.monotonic() - begun < MOST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MOST_MB * 1024


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(whole, tmp_path_factory, name):
    READERS[name][1](whole(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=SPOIL)
def test_spoilt_bytes_give_a_value_or_findings(whole, tmp_path_factory, name, changes):
    outcome(whole, tmp_path_factory, name, spoilt(whole(name).read_bytes(), changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=400))
def test_any_bytes_give_a_value_or_findings(whole, tmp_path_factory, name, data):
    outcome(whole, tmp_path_factory, name, data)


def once(read):
    """Return a reader that reads the same bytes under the same name once, for the first of them."""
    kept = {}

    def of(*args, **options):
        key = tuple(map(content, (*args, *options.items())))
        if key not in kept:
            got = read(*args, **options)
            if len(kept) >= MOST_KEPT:
                return got
            kept[key] = got
        return fresh(kept[key])

    return of


def content(one):
    """Return what a reader is given: the bytes of a file or of a folder, and anything else by its digest."""
    if isinstance(one, Path):
        files = sorted(one.glob("*")) if one.is_dir() else [one]
        return one.name, *(p.read_bytes() if p.is_file() else None for p in files)
    return hashlib.sha256(pickle.dumps(one)).digest()


def fresh(value):
    """Return a value whose tables may be changed; all else is frozen."""
    if isinstance(value, tuple):
        return tuple(map(fresh, value))
    return value.copy() if isinstance(value, pd.DataFrame | np.ndarray) else value


@pytest.fixture
def unspoilt_parts_read_once(monkeypatch):
    """Read what no spoilt byte is in only once: a case has twenty files, and one of them is spoilt."""
    for room, name in (
        (case, "catalogue_and_findings"), (case, "read_policy"), (case_tables, "read_table"),
        (rates, "read_rate_table"), (case_gaps, "age_pattern"),
    ):  # fmt: skip
        monkeypatch.setattr(room, name, once(getattr(room, name)))


@pytest.mark.parametrize("name", [n for n in READERS if n.startswith("case")])
def test_what_is_read_once_is_told_each_time(whole, tmp_path, name, request):
    """Half a file is told alike when all is read again and when only that file is."""
    source = whole(name)
    shutil.copytree(source.parent, tmp_path / "case")
    half = tmp_path / "case" / source.name
    half.write_bytes(source.read_bytes()[: source.stat().st_size // 2])

    def told():
        with pytest.raises(InputRefused) as refused:
            READERS[name][1](half)
        return refused.value.findings

    plain = told()
    request.getfixturevalue("unspoilt_parts_read_once")
    assert [told(), told()] == [plain, plain]


@pytest.mark.long
@pytest.mark.usefixtures("unspoilt_parts_read_once")
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=SPOIL)
def test_spoilt_bytes_ten_thousand_times(whole, tmp_path_factory, name, changes):
    outcome(whole, tmp_path_factory, name, spoilt(whole(name).read_bytes(), changes))
