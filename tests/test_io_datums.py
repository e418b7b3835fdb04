"""Points of a map vendor among surveyed ones are found by the roads or the other table, and explained."""

import io_cases
import numpy as np
import pandas as pd
import pytest

from allocator.io.case import read_case
from allocator.io.coordinates import gcj02_to_wgs84, wgs84_to_gcj02
from allocator.io.datums import check_datums

METRE = 1 / 111_000


def roads(rng):
    """Return points every 100 m along twenty bent roads of a county."""
    starts, turns = rng.uniform((109.0, 25.0), (109.4, 25.4), (20, 2)), rng.uniform(0, 6.3, 20)
    steps = np.arange(200)[:, None, None] * 100 * METRE
    bend = turns + 0.004 * np.arange(200)[:, None] * rng.uniform(-1, 1, 20)
    return (starts + steps * np.stack([np.cos(bend), np.sin(bend)], axis=-1)).reshape(-1, 2)


def places(rng, points, key, townships=6):
    """Return a table of places within some 40 m of the points given."""
    near = points + rng.normal(0, 40 * METRE, points.shape)
    town = [f"{n % townships:02d}" for n in range(len(points))]
    ids = [f"{key[0]}{n:03d}" for n in range(len(points))]
    return pd.DataFrame(
        {key: ids, "township_id": town, "lon": near[:, 0], "lat": near[:, 1]},
        index=range(2, len(points) + 2),
    )


def shifted(table, rows, move=wgs84_to_gcj02):
    out = table.copy()
    lon, lat = move(out.loc[rows, "lon"].to_numpy(), out.loc[rows, "lat"].to_numpy())
    out.loc[rows, "lon"], out.loc[rows, "lat"] = lon, lat
    return out


def county(seed, n=60):
    rng = np.random.default_rng(seed)
    road = roads(rng)
    areas = places(rng, road[rng.choice(len(road), n, replace=False)], "area_id")
    sites = places(rng, areas[["lon", "lat"]].to_numpy()[: n // 2], "site_id")
    return road, {"areas": areas, "sites": sites}


@pytest.mark.parametrize("seed", range(3))
def test_the_townships_whose_points_are_a_vendors_are_named_by_the_roads(seed):
    road, tables = county(seed)
    wrong = tables["areas"].index[tables["areas"]["township_id"].isin(["02", "05"])]
    tables["areas"] = shifted(tables["areas"], wrong)
    (found,) = (f for f in check_datums(tables, road) if f.where.file == "areas.csv")
    assert (found.code, found.rank) == ("datum-mixed", "warning")
    told = int(found.what.en.split()[0])
    assert 17 <= told <= 20 and "in GCJ-02" in found.what.en
    assert found.where.row in wrong


def test_a_file_that_is_a_vendors_throughout_is_told_as_a_whole_and_so_is_one_converted_in_vain():
    road, tables = county(1)
    every = tables["areas"].index
    for move, words in ((wgs84_to_gcj02, "taken away"), (gcj02_to_wgs84, "put on again")):
        moved = {**tables, "areas": shifted(tables["areas"], every, move)}
        (found,) = (f for f in check_datums(moved, road) if f.where.file == "areas.csv")
        assert found.code == "datum-differs" and words in found.what.en


@pytest.mark.parametrize("seed", range(3))
def test_without_roads_sites_of_a_vendor_are_named_one_by_one_by_the_villages_they_stand_in(seed):
    _, tables = county(seed)
    wrong = tables["sites"].index[5:17]
    near = tables["areas"][["lon", "lat"]].to_numpy()[:30] + 20 * METRE
    tables["sites"][["lon", "lat"]] = near
    tables["sites"] = shifted(tables["sites"], wrong)
    (found,) = check_datums(tables)
    assert found.code == "datum-mixed" and "12 of 30 points" in found.what.en
    assert found.where.id == "s005" and "village" in found.what.en


@pytest.mark.parametrize("seed", range(8))
def test_points_of_one_system_are_told_nothing_of(seed):
    road, tables = county(seed)
    assert not list(check_datums(tables, road)) and not list(check_datums(tables))


@pytest.mark.parametrize("seed", range(8))
def test_points_that_lie_anyhow_are_told_nothing_of(seed):
    rng = np.random.default_rng(seed)
    road, tables = county(seed)
    for table in tables.values():
        table[["lon", "lat"]] = rng.uniform((109.0, 25.0), (109.4, 25.4), (len(table), 2))
    assert not list(check_datums(tables, road)) and not list(check_datums(tables))


def test_a_case_with_a_vendors_villages_says_so_and_goes_on(tmp_path):
    road, tables = county(3)
    vendor = shifted(tables["areas"], tables["areas"].index[tables["areas"]["township_id"] == "01"])
    vendor["area_class"], vendor["population"], vendor["registered_60"] = "village", 100, 20
    towns = "township_id,name_zh,population,year,area_class\n" + "".join(
        f"0{n},乡{n},1000,2020,township-seat\n" for n in range(6)
    )
    nodes = pd.DataFrame({"node_id": range(len(road)), "lon": road[:, 0], "lat": road[:, 1]})
    along = np.arange(len(road) - 20)
    edges = pd.DataFrame({"from_node": along, "to_node": along + 20, "km": 0.1})
    folder = io_cases.write(
        tmp_path / "case",
        {
            "townships.csv": towns,
            "areas.csv": vendor.to_csv(index=False),
            "case.yaml": io_cases.CASE["case.yaml"].replace("1500", "6000")
            + "travel: {network: {nodes: nodes.csv, edges: edges.csv}}\n",
            "nodes.csv": nodes.to_csv(index=False),
            "edges.csv": edges.to_csv(index=False),
        },
    )
    found = [f for f in read_case(folder).findings if f.code.startswith("datum")]
    assert [f.code for f in found] == ["datum-mixed"] and "of 60 points (a0" in found[0].what.en
