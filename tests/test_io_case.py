"""A case folder: everything wrong is told at once, everything missing stands in the gaps' list."""

from pathlib import Path

import numpy as np
import pytest
from child import read_in_child
from io_cases import CASE, write

from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.coordinates import wgs84_to_gcj02


def refused(folder):
    with pytest.raises(InputRefused) as caught:
        read_case(folder)
    return [f for f in caught.value.findings if f.rank == "error"]


def codes(findings):
    return {f.code for f in findings}


def test_a_good_case_is_read_sorted_by_id_with_a_digest_a_file(tmp_path):
    case = read_case(write(tmp_path))
    assert case.id == "000001"
    assert case.region.area_ids == ("0101", "0201", "0202") and case.region.site_ids == ("S1", "S2")
    assert {"case.yaml", "areas.csv", "sites.csv", "homes.csv"} <= set(case.digests)
    assert set(case.catalogue.types) == {"township-home"}


def test_row_order_does_not_change_what_is_read(tmp_path):
    head, *rows = CASE["areas.csv"].splitlines()
    shuffled = "\n".join([head, *reversed(rows)]) + "\n"
    one = read_case(write(tmp_path / "a"))
    two = read_case(write(tmp_path / "b", {"areas.csv": shuffled}))
    assert one.region.areas.equals(two.region.areas) and one.population.equals(two.population)


def test_faults_of_all_files_are_told_at_once(tmp_path):
    folder = write(
        tmp_path,
        {
            "case.yaml": CASE["case.yaml"] + "budjet: 1\n",
            "townships.csv": "township_id,name_zh,population,year\n01,甲,x,2020\n",
            "homes.csv": "site_id,places,residents\nS1,-1,2\n",
            "sites.csv": None,
        },
    )
    found = refused(folder)
    assert {f.where.file for f in found} >= {"case.yaml", "townships.csv", "homes.csv"}
    assert {"key-unknown", "cell-not-a-number", "cell-negative"} <= codes(found)


def test_a_missing_folder_is_refused(tmp_path):
    assert codes(refused(tmp_path / "none")) == {"folder-missing"}


@pytest.mark.parametrize(("declared", "rank"), [(1500, None), (1530, "warning"), (1800, "error")])
def test_totals_apart_by_over_one_percent_are_told_and_over_ten_refused(tmp_path, declared, rank):
    text = CASE["case.yaml"].replace("1500", str(declared))
    try:
        found = read_case(write(tmp_path, {"case.yaml": text})).findings
    except InputRefused as problem:
        found = problem.findings
    totals = [f for f in found if f.code == "population-total"]
    assert [f.rank for f in totals] == ([rank] if rank else [])
    assert all("1,500" in f.what.en and f"{declared:,}" in f.what.en for f in totals)


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        ("areas.csv", "0101,01,", "0101,09,", "id-unknown"),
        ("homes.csv", "S1,20", "S9,20", "id-unknown"),
        ("homes.csv", "S1,20", "S2,20", "home-without-type"),
        ("sites.csv", "township-home", "township-hom", "type-unknown"),
        ("areas.csv", "200,30", "200,300", "part-above-whole"),
        ("areas.csv", "109.20,25.10", "0,0", "point-zero"),
        ("areas.csv", "109.20,25.10", "109.20,", "point-incomplete"),
        ("areas.csv", "109.20,25.10", "99.20,25.10", "point-outside"),
        ("case.yaml", "crs", "crs", None),
    ],
)
def test_what_tables_disagree_on_is_refused_by_row(tmp_path, file, old, new, code):
    if code is None:
        read_case(write(tmp_path))
        return
    found = refused(write(tmp_path, {file: CASE[file].replace(old, new)}))
    assert code in codes(found)
    fault = next(f for f in found if f.code == code)
    assert fault.where.file == file and fault.where.row == 2


def test_swapped_axes_are_recognised(tmp_path):
    head, *rows = CASE["areas.csv"].splitlines()
    swapped = [head]
    for row in rows:
        cells = row.split(",")
        cells[3], cells[4] = cells[4], cells[3]
        swapped.append(",".join(cells))
    areas = "\n".join(swapped).replace("109.", "89.")
    found = refused(
        write(
            tmp_path, {"areas.csv": areas, "case.yaml": CASE["case.yaml"].replace("109.2", "89.2")}
        )
    )
    assert "points-swapped" in codes(found)
    assert "Swapped?" in next(f for f in found if f.code == "points-swapped").remedy.en


def test_an_unknown_coordinate_system_is_refused(tmp_path):
    found = refused(write(tmp_path, {"case.yaml": CASE["case.yaml"] + "crs: mars\n"}))
    assert codes(found) == {"crs-unknown"}


def test_points_in_gcj02_and_in_a_zone_of_cgcs2000_come_to_the_same_degrees(tmp_path):
    from pyproj import Transformer

    plain = read_case(write(tmp_path / "plain"))
    lon, lat = np.array([109.20, 109.30, 109.35]), np.array([25.10, 25.20, 25.25])
    zone = Transformer.from_crs("EPSG:4490", "EPSG:4546", always_xy=True).transform(lon, lat)
    for name, points in (("GCJ-02", wgs84_to_gcj02(lon, lat)), ("EPSG:4546", zone)):
        lines = CASE["areas.csv"].splitlines()
        for n, (x, y) in enumerate(zip(*points, strict=True), start=1):
            cells = lines[n].split(",")
            cells[3], cells[4] = repr(float(x)), repr(float(y))
            lines[n] = ",".join(cells)
        changes = {
            "areas.csv": "\n".join(lines) + "\n",
            "sites.csv": "site_id,township_id,today\nS1,01,township-home\n",
            "distances.csv": "from_id,to_id,road_km\n0101,S1,3\n",
            "case.yaml": CASE["case.yaml"] + f"crs: {name}\n",
        }
        case = read_case(write(tmp_path / name.replace(":", ""), changes))
        moved = case.region.areas[["lon", "lat"]].to_numpy()
        assert np.abs(moved - plain.region.areas[["lon", "lat"]].to_numpy()).max() < 1e-6
        assert case.region.crs == "EPSG:4490"
        assert ("coordinates-approximate" in codes(case.findings)) == (name == "GCJ-02")


LEAST = {
    "areas.csv": "area_id,township_id,registered_60,registered_80\n0101,01,200,30\n0201,02,90,12\n0202,02,60,9\n",
    "sites.csv": None,
    "homes.csv": "site_id,township_id,places,residents,care_workers\nS1,01,20,10,\n",
    "distances.csv": "from_id,to_id,road_km\n0101,01,2\n0201,02,7\n0202,02,9\n01,02,21.5\n",
}


def test_the_least_a_county_must_bring_is_enough_and_every_default_is_listed(tmp_path):
    case = read_case(write(tmp_path, LEAST))
    assert case.region.site_ids == ("01", "02", "S1")
    assert case.population["persons"].sum() == pytest.approx(1500)
    ages = case.population.assign(low=case.population["age"].str.extract(r"^(\d+)")[0].astype(int))
    elders = ages[ages["low"] >= 60].groupby("area_id")["persons"].sum()
    assert elders["0101"] == pytest.approx(200) and elders["0202"] == pytest.approx(60)
    assert set(case.population["mark"]) == {"modelled"}
    gaps = {f.code for f in case.findings if f.code.startswith("data-gap-")}
    assert {
        "data-gap-sites",
        "data-gap-population",
        "data-gap-coordinates-areas",
        "data-gap-care-workers",
        "data-gap-outline",
    } <= gaps
    assert all("数据缺口" in f.what.zh for f in case.findings if f.code in gaps)


def test_places_with_neither_coordinates_nor_distances_are_refused(tmp_path):
    found = refused(write(tmp_path, {**LEAST, "distances.csv": None}))
    assert codes(found) == {"place-unknown"} and "0101" in found[0].what.en


def test_distances_shorter_than_the_straight_line_and_of_unlikely_size_are_told(tmp_path):
    rows = "from_id,to_id,road_km\n0101,S2,1\n0201,S1,99000\n0202,S1,88000\n"
    found = {f.code: f for f in read_case(write(tmp_path, {"distances.csv": rows})).findings}
    assert found["distance-below-straight"].where.row == 2
    assert "metres" in found["magnitude-unlikely"].what.en


@pytest.mark.parametrize(
    ("file", "text", "column"),
    [
        ("homes.csv", "site_id,places,residents\nS1,-20,10\n", "places"),
        ("population.csv", "area_id,year,sex,age,persons\n0101,2020,f,60-64,-5\n", "persons"),
        ("unit_costs.csv", "type,mode,capital_yuan_place\ntownship-home,build,-9\n", "capital_yuan_place"),
        ("distances.csv", "from_id,to_id,road_km\n0101,S1,-1\n", "road_km"),
        ("distances.csv", "from_id,to_id,minutes\n0101,S1,-1\n", "minutes"),
        ("matrix.csv", "from_id,to_id,minutes\n0101,S1,-0.5\n", "minutes"),
        ("catalogue/provisions.csv", "type,mode,from_states,capital_yuan_place,life_years,mark\ntownship-home,build,absent,-1,30,synthetic\n", "capital_yuan_place"),
        ("catalogue/offers.csv", CASE["catalogue/offers.csv"].replace("beds,elderly.resident,10", "beds,elderly.resident,-10"), "places_min"),
    ],
)  # fmt: skip
def test_row_7_negative_people_capacity_cost_and_time_are_refused(tmp_path, file, text, column):
    found = refused(write(tmp_path, {file: text}))
    assert ("cell-negative", file, 2, column) in [
        (f.code, f.where.file, f.where.row, f.where.column) for f in found
    ]


COSTS = "type,mode,capital_yuan_place,capital_yuan_fixed\ntownship-home,build,"


@pytest.mark.parametrize(
    ("cells", "said"),
    [("90,", "thousand yuan"), ("9,", "ten thousand yuan"), ("95000,", None), ("0,", None), ("2000,", None)],
)  # fmt: skip
def test_row_11_thousand_yuan_in_a_column_of_yuan_are_told(tmp_path, cells, said):
    found = read_case(write(tmp_path, {"unit_costs.csv": f"{COSTS}{cells}\n"})).findings
    told = [f for f in found if f.code == "magnitude-unlikely"]
    assert len(told) == (said is not None)
    for f in told:
        assert f"given in {said}?" in f.what.en and "90,000" in f.what.en and f.rank == "warning"
        assert (f.where.file, f.where.row, f.where.column) == (
            "unit_costs.csv",
            2,
            "capital_yuan_place",
        )


@pytest.mark.parametrize("unit", ["千元", "万元", "thousand yuan"])
def test_row_11_another_unit_declared_in_the_header_is_refused(tmp_path, unit):
    rows = f"设施类型,方式,每床或名额投资({unit})\ntownship-home,新建,90\n"
    found = refused(write(tmp_path, {"unit_costs.csv": rows}))
    assert codes(found) == {"unit-differs"} and unit in found[0].what.en


def test_age_groups_other_than_five_year_ones_are_refused(tmp_path):
    rows = "area_id,year,sex,age,persons\n0101,2020,f,60+,5\n"
    found = refused(write(tmp_path, {"population.csv": rows}))
    assert {"age-group", "area-without-people"} <= codes(found)


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "a\\b", "C:x", "CON", "..", "a/../../b", "//host/share"]
)
def test_a_catalogue_outside_the_folder_is_refused(tmp_path, name):
    text = CASE["case.yaml"].replace("catalogue: catalogue", f"catalogue: '{name}'")
    assert codes(refused(write(tmp_path, {"case.yaml": text}))) == {"path-outside-folder"}


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    folder = write(tmp_path / "case", {"areas.csv": None})
    secret = tmp_path / "secret.csv"
    secret.write_text(CASE["areas.csv"], encoding="utf-8")
    (folder / "areas.csv").symlink_to(secret)
    assert "path-outside-folder" in codes(refused(folder))


def test_gb18030_files_are_read_where_the_case_declares_it(tmp_path):
    towns = CASE["townships.csv"].encode("gb18030")
    found = refused(write(tmp_path / "a", {"townships.csv": towns}))
    assert "encoding-not-utf8" in codes(found)
    folder = write(
        tmp_path / "b",
        {"townships.csv": towns, "case.yaml": CASE["case.yaml"] + "encoding: gb18030\n"},
    )
    assert list(read_case(folder).region.townships["name_zh"]) == ["甲镇", "乙乡"]


def test_a_rate_table_of_the_county_goes_before_the_shipped_one(tmp_path):
    folder = write(tmp_path, {"rates/income.csv": "area_class,yuan_month\ncounty-town,1\n"})
    assert list(read_case(folder).rates["income"]["yuan_month"]) == [1]


@pytest.mark.parametrize("data", [b"", b"not a workbook", b"PK\x03\x04 cut off"])
def test_a_workbook_that_cannot_be_read_is_told_and_the_files_beside_it_are_read(tmp_path, data):
    changes = dict.fromkeys(("townships.csv", "areas.csv", "homes.csv"))
    alone = refused(write(tmp_path / "a", {**changes, "case.xlsx": data}))
    assert {f.where.file for f in alone if f.code == "workbook-not-readable"} == {"case.xlsx"}
    assert "file-missing" not in codes(alone)
    beside = refused(write(tmp_path / "b", {"case.xlsx": data}))
    assert codes(beside) == {"workbook-not-readable"}


HUGE = {
    "areas.csv": "", "areas.gpkg": "", "case.xlsx": "", "case.yaml": "", "outline.geojson": "", "standards.csv": "",
    "rates/income.csv": "", "catalogue/offers.csv": "", "catalogue/standards.csv": "",
    "roads.osm.pbf": "travel: {method: network, network: {osm: roads.osm.pbf}}\n",
    "people.tif": "population: {raster: people.tif, year: 2020}\n",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("name", HUGE)
def test_a_file_beyond_its_limit_is_refused_without_being_read(tmp_path, name):
    """Four gigabytes that take no room on the disk."""
    changes = {"areas.csv": None} if name == "areas.gpkg" else {}
    if HUGE[name]:
        changes["case.yaml"] = CASE["case.yaml"] + HUGE[name]
    folder = write(tmp_path, changes)
    (folder / name).parent.mkdir(exist_ok=True)
    with (folder / name).open("wb") as f:
        f.truncate(4 << 30)
    outcome = read_in_child("case", folder)
    assert {"file-too-large", "yaml-too-large", "file-size"} & set(outcome.codes)
    assert outcome.seconds < 5 and outcome.mebibytes < 400
