"""A case times its journeys by any source it has, in order of preference, and tells what is lost."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from io_cases import CASE, write

from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.travel_cache import cached_arcs
from allocator.journeys import (
    catchments_of,
    journeys,
    nearest_planned,
    nearest_today,
    travel_findings,
)
from allocator.scenario import Scenario
from allocator.travel import METHODS, distance_km, make_network, nearest
from allocator.travel.journeys import Places, TravelSpec, time_journeys, time_nearest

POINTS = {"0101": (109.20, 25.10), "0201": (109.30, 25.20), "0202": (109.35, 25.25),
          "S1": (109.21, 25.11), "S2": (109.31, 25.21)}  # fmt: skip
BEDS = Scenario.model_validate(
    {
        "name": "base", "title": {"zh": "基本", "en": "Base"}, "services": ["elderly.resident"],
        "periods": [{"from": 2026, "to": 2030}],
        "resources": {"capital": {"unit": "yuan", "supply": {2026: "unlimited"}}},
    }
)  # fmt: skip


def case_with(tmp_path, travel="", **files):
    text = CASE["case.yaml"] + (f"travel: {travel}\n" if travel else "")
    return read_case(write(tmp_path, {"case.yaml": text, **files}))


def minutes_of(case):
    arcs, _ = journeys(case, BEDS)
    a = arcs["beds"]
    ids = [*case.region.area_ids, "home:S1"]
    return {
        (ids[i], case.region.site_ids[j]): (float(t), METHODS[m])
        for i, j, t, m in zip(a.origin, a.destination, a.minutes, a.method, strict=True)
    }


def places(*ids, points=True, townships=None):
    xy = np.array([POINTS[i] if points else (np.nan, np.nan) for i in ids])
    return Places(ids, xy, townships or tuple("01" for _ in ids))


def test_points_alone_are_timed_by_straight_lines_and_a_table_comes_before_them(tmp_path):
    plain = minutes_of(case_with(tmp_path / "a"))
    assert {m for _, m in plain.values()} == {"straight-line"}
    rows = "from_id,to_id,road_km\n0101,S1,15\n0201,S1,20\n"
    both = minutes_of(case_with(tmp_path / "b", **{"distances.csv": rows}))
    assert both["0101", "S1"] == (pytest.approx(15 / 30 * 60 + 5), "road-table")
    assert both["0202", "S2"] == plain["0202", "S2"], "the table knows neither end"
    assert both["0101", "S2"] == plain["0101", "S2"], "the table does not know the site"


def test_a_pair_that_a_table_knows_both_ends_of_and_does_not_give_stays_out_of_reach(tmp_path):
    rows = "from_id,to_id,minutes\n0101,S1,12\n0201,S2,9\n"
    case = case_with(tmp_path, **{"matrix.csv": rows})
    got = minutes_of(case)
    assert got["0101", "S1"] == (17.0, "matrix") and ("0101", "S2") not in got
    assert got["0202", "S2"][1] == "straight-line"
    found = {f.code: f for f in travel_findings(case, BEDS, journeys(case, BEDS)[0])}
    assert found["pairs-missing"].what.en.startswith("2 pairs")
    assert found["pairs-missing"].where.file == "matrix"


def test_a_matrix_is_directed_and_rows_of_a_mode_come_before_those_of_none():
    table = pd.DataFrame({"from_id": ["0101", "S1", "0101"], "to_id": ["S1", "0101", "S1"],
                          "mode": ["", "", "car"], "minutes": [10.0, 30.0, 7.0], "road_km": np.nan})  # fmt: skip
    spec = TravelSpec(methods=("matrix",), speed_kmh={"car": 30, "bus": 20}, matrix=table)

    def go(a, b, mode):
        arcs = time_journeys(
            spec, places(a), places(b), mode=mode, within_minutes=60, crs="EPSG:4490"
        )
        return arcs.minutes.tolist()

    assert go("0101", "S1", "bus") == [10.0] and go("S1", "0101", "bus") == [30.0]
    assert go("0101", "S1", "car") == [7.0] and go("S1", "0101", "car") == []


def test_a_table_of_one_way_legs_serves_both_ways_only_where_the_case_says_so():
    table = pd.DataFrame(
        {"from_id": ["S1"], "to_id": ["0101"], "road_km": [10.0], "minutes": np.nan}
    )
    spec = TravelSpec(methods=("road-table",), speed_kmh={"car": 30}, distances=table)

    def go(one):
        return time_journeys(one, places("0101"), places("S1"), mode="car", within_minutes=60, crs="EPSG:4490").minutes.tolist()  # fmt: skip

    assert go(spec) == [20.0] and go(replace(spec, both_ways=False)) == []


def test_a_site_without_a_row_is_reached_through_the_seat_of_its_township_and_this_is_told(
    tmp_path,
):
    rows = "from_id,to_id,road_km\n0101,01,3\n0201,02,4\n0202,02,5\n01,02,20\n"
    case = case_with(tmp_path, "{method: road-table}", **{"distances.csv": rows})
    got = minutes_of(case)
    assert got["0101", "S1"][0] == pytest.approx(3 / 30 * 60 + 5)
    assert got["0201", "S1"][0] == pytest.approx(24 / 30 * 60 + 5)
    assert {f.code for f in case.findings} >= {"data-gap-distances-sites"}


def network_files():
    nodes = "node_id,lon,lat\n" + "".join(f"n{k},{x},{y}\n" for k, (x, y) in POINTS.items())
    chain = ["0101", "S1", "0201", "S2", "0202"]
    legs = itertools.pairwise(chain)
    edges = "from_node,to_node,km,minutes\n" + "".join(f"n{a},n{b},8,6\n" for a, b in legs)
    return {"nodes.csv": nodes, "edges.csv": edges}


def test_a_network_in_case_yaml_times_the_journeys_and_keeps_them_by_digest(tmp_path):
    case = case_with(
        tmp_path / "case", "{network: {nodes: nodes.csv, edges: edges.csv}}", **network_files()
    )
    got = minutes_of(case)
    assert got["0101", "S1"] == (pytest.approx(11.0), "network")
    assert got["0202", "S1"][0] == pytest.approx(6 * 3 + 5)
    assert {"nodes.csv", "edges.csv"} <= set(case.digests)
    made = []

    def store(parts, make):
        return cached_arcs(tmp_path / "kept", parts, lambda: made.append(1) or make())

    one, _ = journeys(case, BEDS, store)
    count = len(made)
    two, _ = journeys(case, BEDS, store)
    assert count and len(made) == count and one["beds"].digest == two["beds"].digest
    slower = replace(case, travel=replace(case.travel, access_minutes={"car": 9.0}))
    assert journeys(slower, BEDS, store)[0]["beds"].minutes[0] == pytest.approx(
        one["beds"].minutes[0] + 4
    )


def test_a_road_layer_in_chinese_kinds_of_road_is_a_network_too(tmp_path):
    import geopandas as gpd
    from shapely import LineString

    write(tmp_path)
    line = LineString([POINTS[k] for k in ("0101", "S1", "0201", "S2", "0202")])
    gpd.GeoDataFrame({"等级": ["县道"]}, geometry=[line], crs="EPSG:4490").to_file(
        tmp_path / "roads.gpkg"
    )
    case = case_with(
        tmp_path, "{network: {layer: roads.gpkg, way_column: 等级, speeds: {县道: 40}}}"
    )
    got = minutes_of(case)
    km = float(distance_km([POINTS["0101"]], [POINTS["S1"]])[0])
    assert got["0101", "S1"] == (pytest.approx(km / 40 * 60 + 5, rel=1e-3), "network")


def raster(path, values):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    from rasterio.transform import from_origin

    with rasterio.open(path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1,
                       dtype="float32", crs="EPSG:4490", transform=from_origin(109.15, 25.30, 0.01, 0.01),
                       nodata=-1) as file:  # fmt: skip
        file.write(values.astype("float32"), 1)


def test_a_surface_times_journeys_and_an_existing_facility_on_a_barrier_is_refused(tmp_path):
    write(tmp_path)
    speed = np.full((25, 25), 30.0)
    raster(tmp_path / "car.tif", speed)
    travel = "{surface: {speed: {car: car.tif, walk: car.tif}}, method: surface}"
    case = case_with(tmp_path, travel)
    km = float(distance_km([POINTS["0101"]], [POINTS["S2"]])[0])
    assert minutes_of(case)["0101", "S2"][0] == pytest.approx(km / 30 * 60 + 5, rel=0.05)
    for site, rank in (("S1", "error"), ("S2", "warning")):
        x, y = POINTS[site]
        spoilt = speed.copy()
        spoilt[int((25.30 - y) / 0.01), int((x - 109.15) / 0.01)] = -1
        raster(tmp_path / "car.tif", spoilt)
        again = case_with(tmp_path, travel)
        found = travel_findings(again, BEDS, journeys(again, BEDS)[0])
        assert [(f.code, f.rank, f.where.id) for f in found if f.code.startswith("site-")] == [("site-barrier", rank, site)]  # fmt: skip


def test_land_cover_with_speeds_by_class_is_a_surface(tmp_path):
    write(tmp_path)
    raster(tmp_path / "cover.tif", np.full((25, 25), 3.0))
    rows = "class,mode,speed_kmh\n3,car,30\n3,walk,3\n"
    travel = "{surface: {land_cover: cover.tif, cover_speeds: cover.csv}, method: surface}"
    case = case_with(tmp_path, travel, **{"cover.csv": rows})
    assert (
        case.travel.surfaces["car"].speed_kmh.max() == 30
        and case.travel.surfaces["walk"].speed_kmh.max() == 3
    )
    with pytest.raises(InputRefused) as caught:
        case_with(tmp_path, travel, **{"cover.csv": "class,mode,speed_kmh\n3,car,-1\n"})
    assert {(f.code, f.where.row) for f in caught.value.findings if f.rank == "error"} == {
        ("cell-negative", 2)
    }


@pytest.mark.parametrize(
    ("travel", "code"),
    [
        ("{method: network}", "travel-source-missing"),
        ("{method: [matrix, straight-line]}", "travel-source-missing"),
        ("{speed_kmh: {cra: 30}}", "travel-mode-unknown"),
        ("{network: {nodes: nodes.csv}}", "network-files"),
        ("{network: {osm: roads.pbf}}", "file-missing"),
        ("{network: {layer: ../roads.gpkg}}", "path-outside-folder"),
        ("{surface: {speed: {}}}", "surface-mode-missing"),
        ("{method: helicopter}", "value-not-allowed"),
        ("{nettwork: {}}", "key-unknown"),
    ],
)  # fmt: skip
def test_what_travel_asks_for_and_is_not_there_is_refused(tmp_path, travel, code):
    with pytest.raises(InputRefused) as caught:
        case_with(tmp_path, travel)
    assert code in {f.code for f in caught.value.findings if f.rank == "error"}


def test_villages_out_of_reach_are_named_with_the_nearest_site_and_its_time(tmp_path):
    far = CASE["areas.csv"].replace("109.35,25.25", "110.05,25.25")
    case = case_with(tmp_path, "{speed_kmh: {car: 30}}", **{"areas.csv": far})
    found = {f.code: f for f in travel_findings(case, BEDS, journeys(case, BEDS)[0])}
    text = found["places-out-of-reach"].what.en
    minutes = 1.4 * float(distance_km([(110.05, 25.25)], [POINTS["S2"]])[0]) / 30 * 60
    assert "1 place reaches no site" in text and f"0202 → S2 ({minutes:.0f} min)" in text


def test_journeys_shorter_than_the_straight_line_are_told_with_the_pair(tmp_path):
    case = case_with(tmp_path, **{"matrix.csv": "from_id,to_id,minutes,road_km\n0101,S2,2,1\n"})
    found = [f for f in travel_findings(case, BEDS, journeys(case, BEDS)[0])]
    short = [f for f in found if f.code == "journey-shorter-than-straight-line"]
    assert len(short) == 1 and "0101 → S2" in short[0].what.en


def test_the_nearest_facility_today_is_known_for_every_place_and_so_is_its_catchment(tmp_path):
    case = case_with(tmp_path)
    people = np.array([200.0, 90.0, 60.0])
    table = nearest_today(case, BEDS, people)
    assert list(table["site_id"]) == ["S1"] * 3 and table["minutes"].is_monotonic_increasing
    assert table["in_limit"].tolist() == (table["minutes"] <= 60).tolist()
    [row] = catchments_of(table).to_dict("records")
    assert (row["site_id"], row["places"], row["people_60"]) == ("S1", 3, 350.0)
    assert row["mean_minutes"] == pytest.approx(people @ table["minutes"] / 350)


def test_the_nearest_planned_facility_is_one_that_has_places_at_the_end(tmp_path):
    case = case_with(tmp_path)
    sites = pd.DataFrame(
        [(y, s, "township-home") for y in (2025, 2030) for s in ("S1", "S2")],
        columns=["year", "site_id", "state"],
    )
    use = pd.DataFrame(
        [(2025, "S1", 20.0), (2030, "S1", 0.0), (2030, "S2", 10.0)],
        columns=["year", "site_id", "places"],
    ).assign(service="elderly.resident")
    people = np.array([200.0, 90.0, 60.0])
    table = nearest_planned(case, BEDS, people, sites, use)
    assert list(table["site_id"]) == ["S2"] * 3 and table["minutes"].notna().all()
    moved = case.region.sites.assign(today=["", "township-home"])
    there = replace(case, region=replace(case.region, sites=moved))
    pd.testing.assert_frame_equal(table, nearest_today(there, BEDS, people))
    none = nearest_planned(case, BEDS, people, sites, use.assign(places=0.0))
    assert (none["site_id"] == "").all() and none["minutes"].isna().all()


@pytest.mark.parametrize("methods", [("network",), ("network", "straight-line"), ("straight-line", "network")])  # fmt: skip
@pytest.mark.parametrize("within", [40.0, 1440.0])
def test_the_nearest_at_once_is_the_nearest_of_all_journeys(methods, within):
    """Also where ends lie off the network, or beside each other off the road."""
    rng = np.random.default_rng(3)
    side = 12
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * 1000.0
    number = np.arange(side * side).reshape(side, side)
    a = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    b = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    kept = rng.random(len(a)) > 0.45
    km = np.full(kept.sum(), 1.0)
    network = make_network(
        xy, a[kept], b[kept], km=km, minutes=km * rng.uniform(2, 9, len(km)), crs="EPSG:4546", both_ways=True
    )  # fmt: skip

    def ends(n, seed):
        points = np.random.default_rng(seed).uniform(-3000, side * 1000 + 2000, (n, 2))
        return Places(tuple(f"{seed}-{k}" for k in range(n)), points, ("01",) * n)

    spec = TravelSpec(
        methods=methods, speed_kmh={"car": 30.0}, access_minutes={"car": 2.0}, snap_within_km=0.9,
        networks={"car": network}, walk_kmh=4.0,
    )  # fmt: skip
    people, sites = ends(300, 1), ends(25, 2)
    asked = {"mode": "car", "within_minutes": within, "crs": "EPSG:4546"}
    minutes, best = nearest(time_journeys(spec, people, sites, **asked), 300)
    at_once, chosen = time_nearest(spec, people, sites, **asked)
    np.testing.assert_allclose(at_once, minutes, rtol=1e-9)
    assert (chosen == best).all() and (np.isfinite(minutes).sum() > 60)


def test_a_service_that_nothing_offers_today_leaves_blanks_not_zero_minutes(tmp_path):
    case = case_with(tmp_path)
    bare = replace(case, region=replace(case.region, sites=case.region.sites.assign(today="")))
    table = nearest_today(bare, BEDS, np.ones(3))
    assert (
        table["minutes"].isna().all()
        and (table["site_id"] == "").all()
        and not table["in_limit"].any()
    )
    assert catchments_of(table)["mean_minutes"].isna().all()
