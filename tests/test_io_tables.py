"""Tables: every fault at once, with file, row, column and remedy; nothing repaired."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.io.findings import neutralised, restored, write_findings
from allocator.io.tables import read_table
from allocator.schema import SCHEMAS

HEAD = "township_id,name_zh,population,year\n"


def read(tmp_path, text, schema="townships", **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_table(path, SCHEMAS[schema], **options)


def errors(findings):
    return [(f.code, f.where.row, f.where.column) for f in findings if f.rank == "error"]


def test_a_missing_an_empty_and_a_headed_file_say_what_was_expected(tmp_path):
    _, found = read_table(tmp_path / "none.csv", SCHEMAS["townships"])
    assert found[0].code == "file-missing" and "450225100,融水镇,150326,2020" in found[0].remedy.en
    assert read(tmp_path, "")[1][0].code == "file-empty"
    found = read(tmp_path, HEAD)[1]
    assert found[0].code == "no-rows" and "150326" in found[0].remedy.zh


def test_all_missing_columns_are_told_at_once_with_the_nearest_header(tmp_path):
    _, found = read(tmp_path, "township_id,populaton\n01,5\n")
    missing = {f.where.column: f for f in found if f.code == "column-missing"}
    assert set(missing) == {"name_zh", "population", "year"}
    assert "'populaton'" in missing["population"].remedy.en


def test_four_hundred_bad_cells_in_three_thousand_rows_are_all_in_one_refusal(tmp_path):
    lines = [f"{i:05},村,{'x' if i < 400 else i},2020\n" for i in range(3000)]
    table, found = read(tmp_path, HEAD + "".join(lines))
    assert len(table) == 3000
    assert [f.where.row for f in found] == list(range(2, 402))
    path = write_findings(tmp_path / "findings.json", found)
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 400
    text = write_findings(tmp_path / "f.csv", found).read_text(encoding="utf-8-sig")
    assert len(list(csv.reader(text.splitlines()))) == 401


def test_ids_equal_after_trimming_case_and_width_are_refused_with_both_rows(tmp_path):
    _, found = read(tmp_path, HEAD + "a1,x,1,2020\n A1 ,y,1,2020\nＡ1,z,1,2020\n")
    assert errors(found) == [("row-twice", 3, "township_id"), ("row-twice", 4, "township_id")]
    assert "row 2" in found[0].what.en


def test_codes_stay_text(tmp_path):
    ids = ["010", "007", "1e5", "450225100001", "00"]
    table, found = read(tmp_path, HEAD + "".join(f"{i},x,1,2020\n" for i in ids))
    assert list(table["township_id"]) == ids and not found


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("NaN", "blank"), ("inf", "blank"), ("-", "blank"), ('"1,234"', "1234 without separators"),
        ("１２", "half-width"), ("12人", "Write 12 only"), ("1.5", "whole number"), ("abc", "digits only"),
        ("1_000", "digits only"), ("0x1F", "digits only"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_with_its_own_remedy(tmp_path, cell, hint):
    _, found = read(tmp_path, f"{HEAD}01,x,{cell},2020\n")
    assert errors(found) == [("cell-not-a-number", 2, "population")]
    assert hint in found[0].remedy.en and found[0].remedy.zh


def test_a_blank_required_cell_is_refused(tmp_path):
    assert errors(read(tmp_path, HEAD + "01,x,,2020\n")[1]) == [("cell-blank", 2, "population")]


def test_thousands_separators_are_read_where_declared(tmp_path):
    table, found = read(tmp_path, HEAD + '01,x,"1,234",2020\n', thousands=True)
    assert list(table["population"]) == [1234] and not found


def test_a_negative_count_is_refused(tmp_path):
    assert errors(read(tmp_path, HEAD + "01,x,-3,2020\n")[1]) == [
        ("cell-negative", 2, "population")
    ]


def test_metres_given_as_degrees_are_refused_with_a_hint(tmp_path):
    _, found = read(tmp_path, "area_id,township_id,lon,lat\n1,01,36512345,2773000\n", "areas")
    assert [f.code for f in found] == ["cell-out-of-range"] * 2
    assert "Projected metres?" in found[0].remedy.en


def test_utf8_with_and_without_a_mark_and_either_line_end_are_read_alike(tmp_path):
    text = HEAD + "01,镇,1,2020\n"
    plain = read(tmp_path, text)[0]
    for data in (b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode()):
        table, found = read(tmp_path, data)
        assert table.equals(plain) and not found


@pytest.mark.parametrize(
    ("encoding", "shown"), [("gbk", "GB18030"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16")]
)
def test_other_encodings_are_refused_by_name(tmp_path, encoding, shown):
    _, found = read(tmp_path, (HEAD + "01,融水镇,1,2020\n").encode(encoding))
    assert [f.code for f in found] == ["encoding-not-utf8"] and shown in found[0].what.en


def test_gb18030_is_read_where_declared(tmp_path):
    table, found = read(
        tmp_path, (HEAD + "01,融水镇,1,2020\n").encode("gb18030"), encoding="gb18030"
    )
    assert list(table["name_zh"]) == ["融水镇"] and not found


def test_semicolons_are_refused(tmp_path):
    assert read(tmp_path, "a;b\n1;2\n")[1][0].code == "separator-not-comma"


def test_headers_are_accepted_in_both_languages_with_units(tmp_path):
    table, found = read(tmp_path, "乡镇代码,乡镇名称 name_zh,总人口（人）,年份\n01,镇,5,2020\n")
    assert list(table["population"]) == [5] and not found


def test_another_unit_in_the_header_is_refused(tmp_path):
    _, found = read(tmp_path, "乡镇代码,乡镇名称,总人口(万人),年份\n01,镇,5,2020\n")
    assert errors(found) == [("unit-differs", 1, "总人口(万人)")]


@pytest.mark.parametrize("header", ["身份证号", "联系电话", "手机", "id_card", "phone", "姓名"])
def test_columns_named_like_personal_data_are_refused(tmp_path, header):
    _, found = read(tmp_path, f"{HEAD.strip()},{header}\n01,镇,5,2020,x\n")
    assert [f.code for f in found] == ["personal-data"]


@pytest.mark.parametrize("value", ["11010519491231002X", "13800138000"])
def test_cells_that_look_like_personal_data_are_refused_and_not_shown(tmp_path, value):
    _, found = read(tmp_path, f"{HEAD.strip()},note\n01,镇,5,2020,\n02,镇,5,2020,{value}\n")
    assert [(f.code, f.where.row) for f in found] == [("personal-data", 3)]
    assert value not in found[0].line("en") + found[0].line("zh")


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\u202e"])
def test_control_characters_are_refused(tmp_path, sign):
    _, found = read(tmp_path, f"{HEAD}01,a{sign}b,5,2020\n")
    assert found[0].code in ("control-character", "encoding-not-utf8")


def test_a_line_break_in_a_name_is_refused_and_a_long_name_is_not(tmp_path):
    _, found = read(tmp_path, f'{HEAD}01,"a\nb",5,2020\n02,{"长" * 300},5,2020\n')
    assert errors(found) == [("cell-text", 2, "name_zh")]


def test_chinese_choices_are_accepted_and_others_get_the_nearest(tmp_path):
    head = "area_id,year,sex,age,persons\n"
    table, found = read(tmp_path, head + "1,2020,女,0-4,2\n1,2020,fem,5-9,2\n", "population")
    assert table["sex"].iloc[0] == "f" and table["track"].iloc[0] == "resident"
    assert errors(found) == [("cell-not-a-choice", 3, "sex")] and "f" in found[0].remedy.en


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_formula_like_text_is_neutralised_and_comes_back(text):
    assert restored(neutralised(text)) == text
    assert neutralised(text)[:1] not in tuple("=+-@\t\r")


CELLS = st.sampled_from(
    [
        "1",
        "-1",
        "",
        "x",
        "1,2",
        '"',
        "NaN",
        "１",
        "1e400",
        "\t",
        "\r",
        "=A1",
        "是",
        "\x00",
        "0" * 70,
    ]
)


def outcome(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(text)
    for name in ("areas", "homes", "distances"):
        table, found = read_table(path, SCHEMAS[name])
        assert list(table.columns) == [c.name for c in SCHEMAS[name].columns]
        assert len(table) or any(f.rank == "error" for f in found)
        for column in SCHEMAS[name].columns:
            if column.minimum is not None and len(table):
                values = table[column.name].to_numpy(dtype=float)
                assert not (values < column.minimum).any() and not np.isinf(values).any()


ROWS = st.lists(st.lists(CELLS | st.text(max_size=4), max_size=8).map(",".join), max_size=8)
TEXTS = ROWS.map(
    lambda rows: "\n".join(
        ["area_id,township_id,lon,lat,site_id,from_id,to_id,places", *rows]
    ).encode("utf-8", "replace")
)


@settings(max_examples=60, deadline=10_000)
@given(data=TEXTS | st.binary(max_size=200))
def test_any_bytes_give_a_table_or_findings(tmp_path_factory, data):
    outcome(tmp_path_factory, data)


@pytest.mark.long
@settings(max_examples=10_000, deadline=10_000)
@given(data=TEXTS | st.binary(max_size=400))
def test_any_bytes_give_a_table_or_findings_ten_thousand_times(tmp_path_factory, data):
    outcome(tmp_path_factory, data)
