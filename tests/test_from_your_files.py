"""From an Excel file of villages to a report, by commands alone."""

import json
import shutil

import geopandas as gpd
import numpy as np
import openpyxl
import pytest
from planner_files import fill, gcj02, road_table, villages

from allocator.cli import main
from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.schema import SCHEMAS


def said(capsys):
    capture = capsys.readouterr()
    return capture.out + capture.err


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    """A folder whose workbook holds the villages with a map vendor's points, copied by tests."""
    folder = tmp_path_factory.mktemp("surveyed")
    assert main(["init", str(folder), "--crs", "GCJ-02"]) == 0
    return folder


def copied(surveyed, folder, sheets):
    shutil.copytree(surveyed, folder)
    fill(folder / "case.xlsx", sheets)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sheets", "crs", "gap"),
    [(gcj02, "GCJ-02", "data-gap-distances"), (road_table, "EPSG:4490", "data-gap-coordinates-areas")],
)  # fmt: skip
def test_a_workbook_of_villages_becomes_a_report_by_commands_alone(
    tmp_path, capsys, sheets, crs, gap
):
    folder = tmp_path / "county"
    made = ["init", str(folder), "--code", "360100", "--title", "青石县", "--crs", crs]
    assert main([*made, "--lang", "zh"]) == 0
    fill(folder / "case.xlsx", sheets())
    assert main(["check", str(folder), "--lang", "zh", "--findings", str(tmp_path / "f.json")]) == 0
    codes = {f["code"] for f in json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))}
    assert gap in codes and "data-gap-speeds" in codes
    text = said(capsys)
    assert "12 个村" in text and f"下一步:allocator run {folder}" in text.replace("\n", "")
    out = tmp_path / "runs"
    plan = ["run", str(folder), "first-plan", "-o", str(out)]
    assert main([*plan, "--lang", "zh"]) == 0
    text += said(capsys)
    assert "各目标求解精度:指标未达量 0.0" in text and "report.html" in text.split("报告:")[-1]
    for word in ("column ", "older-walk", "care_modes", "(build)"):
        assert word not in text, "a Chinese reader is told in Chinese"
    assert main([*plan, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "proved" and result["gap"] <= 0.001
    met = result["score"]["resident_met"]
    assert met["2030"] >= 0.6 - 1e-6 and met["2030"] > met["2025"]
    used = result["score"]["day_met"]["2030"] > 0.0
    assert used == (sheets is gcj02), "day care is used where a town area lies in reach on foot"
    (report,) = out.glob("*-report")
    html = (report / "report.html").read_text(encoding="utf-8")
    assert "falls: ." not in html, "a township without an English name goes by its own"
    assert "青石县" in html and "数据缺口清单" in html and "没有本地出行速度" in html
    assert "weighted person-year</td>" not in html and "老年人步行2.7" in html
    book = openpyxl.load_workbook(report / "plan.xlsx", read_only=True)
    today = next(rows for s in book if (rows := list(s.values)) and any("在住（名册）" in str(v) for row in rows for v in row))  # fmt: skip
    head = next(n for n, row in enumerate(today) if any("在住（名册）" in str(v) for v in row))
    at = next(n for n, v in enumerate(today[head]) if "在住（名册）" in str(v))
    assert 44 in [row[at] for row in today[head + 1 :]], "the roll's own count"
    drawn = set(gpd.list_layers(report / "plan.gpkg")["name"])
    assert ("catchments" in drawn) == (sheets is gcj02), "without points there is nothing to draw"


def test_an_unfilled_template_says_what_to_fill_and_runs_nothing(tmp_path, capsys):
    folder = tmp_path / "county"
    assert main(["init", str(folder)]) == 0
    assert main(["check", str(folder), "--lang", "en"]) == 2
    text = said(capsys)
    for sheet in ("townships", "areas", "homes"):
        assert sheet in text
    assert "unit_costs" not in text.split("data-gap")[0]


def test_one_fault_neither_hides_others_nor_brings_false_ones(surveyed, tmp_path, capsys):
    """A column of persons, a code as a number, a blank cell: each is told, and all beside it, once."""
    folder = copied(surveyed, tmp_path / "county", gcj02())
    book = openpyxl.load_workbook(folder / "case.xlsx")
    areas, homes = (book[f"{SCHEMAS[n].zh} {n}"] for n in ("areas", "homes"))
    at = {cell.value.split(" ")[1]: cell.column for cell in areas[1]}
    areas.cell(1, len(at) + 1, "联系人")
    areas.cell(2, len(at) + 1, "张三")
    areas.cell(2, at["area_id"], 360101001)
    areas.cell(3, at["registered_60"], "约300")
    areas.cell(4, at["township_id"], "360109")
    places = next(c.column for c in homes[1] if " places" in c.value)
    homes.cell(2, places).value = None
    areas.cell(5, at["lat"], 114.5)
    areas.cell(6, at["area_class"], "山区")
    book.save(folder / "case.xlsx")
    with pytest.raises(InputRefused) as caught:
        read_case(folder)
    told = [(f.code, f.where.row) for f in caught.value.findings if f.rank != "information"]
    assert sorted(told, key=str) == [
        ("cell-blank", 2), ("cell-not-a-choice", 6), ("cell-not-a-number", 3), ("cell-out-of-range", 5), ("id-unknown", 4), ("number-in-id-column", 2), ("personal-data", None),
    ]  # fmt: skip
    assert main(["check", str(folder), "--lang", "zh"]) == 2
    text = said(capsys).replace("\n", "")
    assert "可选:县城、乡镇驻地、集镇、村" in text and "经度、纬度是否填反" in text
    assert "第4行" in text and "不在乡镇表中" in text and "row 4" not in text and "张三" not in text


def test_a_sheet_that_cannot_be_read_brings_no_faults_of_others(surveyed, tmp_path):
    folder = copied(surveyed, tmp_path / "county", {**gcj02(), "areas": []})
    with pytest.raises(InputRefused) as caught:
        read_case(folder)
    errors = [f for f in caught.value.findings if f.rank == "error"]
    assert [(f.code, f.where.sheet) for f in errors] == [("no-rows", "村(社区) areas")]
    assert (
        "村代码、乡镇代码" in errors[0].remedy.zh and "area_id, township_id" in errors[0].remedy.en
    )


def test_parts_above_their_whole_are_told_by_the_words_of_the_sheet(surveyed, tmp_path):
    sheets = gcj02()
    sheets["areas"][0] |= {"registered_60": 10, "registered_80": 11}
    folder = copied(surveyed, tmp_path / "county", sheets)
    with pytest.raises(InputRefused) as caught:
        read_case(folder)
    (fault,) = [f for f in caught.value.findings if f.rank == "error"]
    assert fault.what.zh == "户籍80岁以上人数11大于户籍60岁以上人数10。"


def test_points_of_a_map_vendor_come_back_to_where_they_are(surveyed, tmp_path):
    folder = copied(surveyed, tmp_path / "county", gcj02())
    case = read_case(folder)
    truth = np.array([[v["lon"], v["lat"]] for v in villages()])
    metres = np.abs(case.region.areas[["lon", "lat"]].to_numpy() - truth) * 111_000
    assert metres.max() < 0.2 and case.region.crs == "EPSG:4490"
    sites = case.region.sites
    assert sites["lon"].notna().all(), "homes without a point stand at the seat of their township"
    plots = sites["name_en"][sites["name_en"] != ""]
    assert plots.is_unique and "东岭乡 seat (nominal)" in set(plots)


def test_drop_downs_offer_chinese_words_first_and_the_english_ones_too(surveyed):
    sheet = openpyxl.load_workbook(surveyed / "case.xlsx")[f"{SCHEMAS['areas'].zh} areas"]
    lists = [v.formula1.strip('"') for v in sheet.data_validations.dataValidation if v.type == "list"]  # fmt: skip
    assert "县城,乡镇驻地,集镇,村,county-town,township-seat,village" in lists


def test_optional_sheets_replace_defaults_and_leave_the_list_of_gaps(surveyed, tmp_path):
    buildings = [{"building_id": "B1", "name_zh": "旧小学", "township_id": "360103", "lon": 114.385,
                  "lat": 27.42, "kind": "闲置校舍", "floor_area_m2": 1500, "zoning": "是"}]  # fmt: skip
    costs = [{"type": "township-centre", "mode": "新建", "capital_yuan_place": 88000}]
    origins = [
        {"site_id": "J01", "from_id": v["area_id"], "residents": 3 if v["township_id"] == "360101" else 1}
        for v in villages()
    ]  # fmt: skip
    sheets = {**gcj02(), "buildings": buildings, "unit_costs": costs, "origins": origins}
    folder = copied(surveyed, tmp_path / "county", sheets)
    case = read_case(folder)
    site = case.region.sites.set_index("site_id").loc["B1"]
    assert (site["building"], site["zoning"], site["hazard"]) == ("idle-school", "是", "未核")
    assert site["lon"] != 114.385, "points of idle buildings are converted too"
    build = next(p for p in case.catalogue.types["township-centre"].provisions if p.mode == "build")
    assert build.capital_yuan_place == 88000 and build.mark == "stated"
    assert build.capital_yuan_fixed == 1500000, "what the sheet leaves blank stays the catalogue's"
    curve = case.rates["willingness"].query("curve == 'calibrated'")
    assert (
        list(curve["service"].unique()) == ["elderly.resident"]
        and (curve["calibrated"] == "yes").all()
    )
    codes = {f.code for f in case.findings}
    assert "willingness-calibrated" in codes and "data-gap-unit-costs" in codes
    assert not {"data-gap-origins", "data-gap-catalogue"} & codes


@pytest.mark.parametrize(
    ("sheet", "row", "code", "column"),
    [
        ("buildings", {"building_id": "J01", "township_id": "360101"}, "id-in-two-tables", "building_id"),
        ("buildings", {"building_id": "B1", "township_id": "360109", "lon": 114.5, "lat": 27.5}, "id-unknown", "township_id"),
        ("unit_costs", {"type": "township-center", "mode": "新建", "capital_yuan_place": 1}, "type-unknown", "type"),
        ("unit_costs", {"type": "embedded", "mode": "撤并转型", "capital_yuan_place": 1}, "mode-unknown", "mode"),
        ("origins", {"site_id": "J09", "from_id": "360101001", "residents": 1}, "id-unknown", "site_id"),
        ("origins", {"site_id": "J01", "from_id": "360109001", "residents": 1}, "id-unknown", "from_id"),
        ("matrix", {"from_id": "360101001", "to_id": "nowhere", "minutes": 3}, "id-unknown", "to_id"),
    ],
)  # fmt: skip
def test_what_an_optional_sheet_gets_wrong_is_told_by_sheet_row_and_column(
    surveyed, tmp_path, sheet, row, code, column
):
    folder = copied(surveyed, tmp_path / "county", {**gcj02(), sheet: [row]})
    with pytest.raises(InputRefused) as caught:
        read_case(folder)
    faults = [f for f in caught.value.findings if f.rank == "error"]
    assert [f.code for f in faults] == [code]
    where = faults[0].where
    assert (where.file, where.row, where.column) == (
        "case.xlsx",
        2,
        column,
    ) and sheet in where.sheet


def test_villages_may_be_h3_cells(tmp_path):
    h3 = pytest.importorskip("h3", reason="h3 is not installed")
    folder = tmp_path / "county"
    assert main(["init", str(folder)]) == 0
    sheets = gcj02()
    cells = [h3.latlng_to_cell(v["lat"], v["lon"], 9) for v in villages()]
    areas = [{k: v for k, v in a.items() if k not in ("lon", "lat")} | {"h3": c} for a, c in zip(sheets["areas"], cells, strict=True)]  # fmt: skip
    fill(folder / "case.xlsx", {**sheets, "areas": areas})
    case = read_case(folder)
    middle = np.array([h3.cell_to_latlng(c)[::-1] for c in cells])
    assert np.allclose(case.region.areas[["lon", "lat"]].to_numpy(), middle)
