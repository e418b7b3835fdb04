"""People of rasters by age and sex, and of other zones, come to the villages; no person is lost."""

import geopandas as gpd
import io_cases
import numpy as np
import pytest
from shapely.geometry import box

from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.population_files import _sums
from allocator.travel.isochrones import cells_joined

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
pytest.importorskip("exactextract", reason="exactextract is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

AGES = [0, 1, *range(5, 85, 5)]
VILLAGES = {"0101": (109.10, 25.0), "0201": (109.25, 25.15), "0202": (109.30, 25.15)}


def raster(path, values, *, west=109.0, north=25.4, cell=0.01, nodata=-99999.0, crs="EPSG:4326"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1,
        dtype="float32", crs=crs, nodata=nodata,
        transform=rasterio.transform.from_origin(west, north, cell, cell),
    ) as out:  # fmt: skip
        out.write(values.astype(np.float32), 1)


def worldpop(folder, seed=1):
    """Write persons by age and sex on 40 x 50 cells; return them by (age, sex, row, column)."""
    people = np.random.default_rng(seed).uniform(0, 3, (len(AGES), 2, 40, 50)).astype(np.float32)
    for n, age in enumerate(AGES):
        for k, sex in enumerate("mf"):
            raster(folder / "worldpop" / f"chn_{sex}_{age:02d}_2020.tif", people[n, k])
    return people


def squares(path, side=0.05):
    shapes = [box(x, y, x + side, y + side) for x, y in VILLAGES.values()]
    frame = gpd.GeoDataFrame({"area_id": list(VILLAGES)}, geometry=shapes, crs=4326)
    frame.to_file(path, driver="GPKG")


def case(folder, words, **changes):
    declared = io_cases.CASE["case.yaml"].replace("declared_population: 1500\n", "")
    text = declared + f"population: {words}\n"
    return io_cases.write(folder, {"case.yaml": text, **changes})


def bare(first, second):
    """Return tables of townships with these totals, and of areas without figures."""
    towns = f"township_id,name_zh,population,year,area_class\n01,甲镇,{first:.0f},2020,county-town\n02,乙乡,{second:.0f},2020,township-seat\n"
    areas = io_cases.CASE["areas.csv"]
    for figures in ("1000,200,30", "300,90,12", "200,60,9"):
        areas = areas.replace(figures, ",,")
    return {"townships.csv": towns, "areas.csv": areas}


def by_village(case, column="persons"):
    return case.population.groupby("area_id")[column].sum()


SET = "{year: 2020, raster: 'worldpop/chn_{sex}_{age}_2020.tif', villages: v.gpkg, control: %s}"


def test_persons_of_each_cell_go_to_the_village_it_lies_in_by_age_and_sex(tmp_path):
    people = worldpop(tmp_path)
    squares(tmp_path / "v.gpkg")
    read = read_case(case(tmp_path, SET % "none", **{"townships.csv": io_cases.CASE["townships.csv"].replace("2020", "2019")}))  # fmt: skip
    for village, (x, y) in VILLAGES.items():
        column, row = round((x - 109.0) / 0.01), round((25.4 - y) / 0.01)
        mine = people[:, :, row - 5 : row, column : column + 5].sum((2, 3), dtype=float)
        mine_read = read.population[read.population["area_id"] == village]
        table = mine_read.pivot(index="age", columns="sex", values="persons")
        for k, sex in enumerate("mf"):
            assert table.loc["0-4", sex] == pytest.approx(mine[:2, k].sum(), rel=1e-5)
            assert table.loc["35-39", sex] == pytest.approx(mine[8, k], rel=1e-5)
            old = [f"{a}-{a + 4}" for a in range(80, 100, 5)] + ["100+"]
            assert table.loc[old, sex].sum() == pytest.approx(mine[-1, k], rel=1e-5)
            assert table.loc["80-84", sex] > table.loc["90-94", sex] > 0
    assert set(read.population["mark"]) == {"modelled"} and set(read.population["year"]) == {2020}
    codes = {f.code for f in read.findings}
    assert "people-from-raster" in codes and not codes & {"people-scaled", "data-gap-population"}
    assert sum(name.startswith("worldpop/") for name in read.digests) == 2 * len(AGES)


def test_townships_are_scaled_to_their_totals_and_the_factors_are_told(tmp_path):
    worldpop(tmp_path)
    squares(tmp_path / "v.gpkg")
    read = read_case(case(tmp_path, SET % "townships"))
    persons = by_village(read)
    assert persons["0101"] == pytest.approx(1000)
    assert persons["0201"] + persons["0202"] == pytest.approx(500)
    (told,) = (f for f in read.findings if f.code == "people-scaled")
    assert told.rank == "warning", "the made raster holds three times as many"


def test_without_shapes_cells_go_to_the_nearest_village_and_the_countys_total_is_kept(tmp_path):
    people = np.random.default_rng(2).uniform(0, 2, (40, 50))
    raster(tmp_path / "people.tif", people)
    outline = gpd.GeoDataFrame(geometry=[box(109.1, 25.05, 109.45, 25.35)], crs=4326)
    outline.to_file(tmp_path / "outline.geojson", driver="GeoJSON")
    words = "{year: 2020, raster: people.tif, control: none}"
    # A cell belongs to the village whose point is nearest to its middle, its edge cells in part.
    row, column = np.mgrid[5:35, 10:45]
    lon, lat = 109.005 + 0.01 * column, 25.395 - 0.01 * row
    points = np.array([[109.2, 25.1], [109.3, 25.2], [109.35, 25.25]])
    nearest = np.hypot(lon[..., None] - points[:, 0], lat[..., None] - points[:, 1]).argmin(-1)
    inside = people[5:35, 10:45]
    town = [inside[nearest == 0].sum(), inside[nearest > 0].sum()]
    read = read_case(case(tmp_path, words, **bare(*town)))
    inside = inside.sum()
    assert read.region.areas["population"].sum() == pytest.approx(inside, rel=1e-5)
    assert (read.region.areas["population"] > 0).all()
    assert not any(f.code == "people-apart" for f in read.findings)
    assert any(f.code == "data-gap-population" for f in read.findings), "ages are modelled still"


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_not_lost_where_shapes_run_through_their_corners(tmp_path, seed):
    raster(tmp_path / "ones.tif", np.ones((40, 50)))
    county = box(109.1, 25.05, 109.45, 25.35)
    points = np.random.default_rng(seed).uniform((109.1, 25.05), (109.45, 25.35), (12, 2)).round(2)
    parts = cells_joined([str(n) for n in range(12)], points, crs="EPSG:4326", outline=county)
    sums = _sums(tmp_path / "ones.tif", parts)
    assert sums.sum() == pytest.approx(30 * 35, abs=1e-3)
    assert sums == pytest.approx([g.area / 1e-4 for g in parts.geometry], abs=1e-3)


def test_zones_are_spread_by_land_and_every_person_of_a_zone_in_reach_is_kept(tmp_path):
    squares(tmp_path / "v.gpkg")
    # One half on each of two villages; one wholly in the first; one that touches none.
    zones = gpd.GeoDataFrame(
        {"persons": [100.0, 40.0, 7.0]},
        geometry=[box(109.275, 25.15, 109.325, 25.2), box(109.11, 25.01, 109.12, 25.02), box(109.4, 25.3, 109.41, 25.31)],
        crs=4326,
    )  # fmt: skip
    zones.to_file(tmp_path / "grid.geojson", driver="GeoJSON")
    words = (
        "{year: 2020, zones: grid.geojson, zones_column: persons, villages: v.gpkg, control: none}"
    )
    read = read_case(case(tmp_path, words, **bare(40, 100)))
    people = read.region.areas.set_index("area_id")["population"]
    assert people.to_dict() == pytest.approx({"0101": 40, "0201": 50, "0202": 50}, rel=1e-3)
    assert people.sum() == pytest.approx(140, abs=1e-9)
    (told,) = (f for f in read.findings if f.code == "people-apart")
    assert "140 persons of 147" in told.what.en


def negative(folder):
    raster(folder / "p.tif", np.full((40, 50), -1.0))


def north_down(folder):
    raster(folder / "p.tif", np.ones((40, 50)), crs=None)


def two_bands(folder):
    with rasterio.open(
        folder / "p.tif", "w", driver="GTiff", height=40, width=50, count=2, dtype="float32",
        crs="EPSG:4326", transform=rasterio.transform.from_origin(109.0, 25.4, 0.01, 0.01),
    ) as out:  # fmt: skip
        out.write(np.ones((2, 40, 50), np.float32))


def elsewhere(folder):
    raster(folder / "p.tif", np.ones((40, 50)), west=80.0)


def text(folder):
    (folder / "p.tif").write_text("no raster")


@pytest.mark.parametrize(
    ("words", "make", "code"),
    [
        ("{year: 2020, raster: p.tif}", negative, "raster-persons"),
        ("{year: 2020, raster: p.tif}", north_down, "raster-frame"),
        ("{year: 2020, raster: p.tif}", two_bands, "raster-bands"),
        ("{year: 2020, raster: p.tif}", elsewhere, "township-without-people"),
        ("{year: 2020, raster: p.tif}", text, "file-unreadable"),
        ("{year: 2020, raster: q.tif}", text, "file-missing"),
        ("{year: 2020, raster: ../p.tif}", text, "path-outside-folder"),
        ("{year: 2020, raster: 'p_{sex}_{age}.tif'}", text, "raster-set"),
        ("{year: 2020}", text, "population-files"),
        ("{year: 2020, raster: p.tif, zones: z.gpkg}", text, "population-files"),
        ("{year: 2020, zones: v.gpkg}", lambda f: squares(f / "v.gpkg"), "column-missing"),
        ("{year: 2020, zones: v.gpkg, zones_column: area_id, villages: outline.geojson}",
         lambda f: gpd.GeoDataFrame(geometry=[box(109, 25, 110, 26)], crs=4326).to_file(f / "outline.geojson", driver="GeoJSON"),
         "column-missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_people_is_a_finding(tmp_path, words, make, code):
    make(tmp_path)
    with pytest.raises(InputRefused) as caught:
        read_case(case(tmp_path, words))
    faults = [f for f in caught.value.findings if f.rank == "error"]
    assert [f.code for f in faults] == [code] and all(f.what.zh and f.remedy.en for f in faults)


def test_a_village_without_a_shape_is_named(tmp_path):
    squares(tmp_path / "v.gpkg")
    frame = gpd.read_file(tmp_path / "v.gpkg").iloc[:2]
    (tmp_path / "v.gpkg").unlink()
    frame.to_file(tmp_path / "v.gpkg", driver="GPKG")
    raster(tmp_path / "p.tif", np.ones((40, 50)))
    with pytest.raises(InputRefused, match="village-without-shape") as caught:
        read_case(case(tmp_path, "{year: 2020, raster: p.tif, villages: v.gpkg}"))
    assert "0202" in {f.where.id for f in caught.value.findings}
