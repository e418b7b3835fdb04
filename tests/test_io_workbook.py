"""Workbooks: the template comes back as a case; bombs, macros, formulas and merged cells do not."""

import io
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from child import read_in_child
from hypothesis import given, settings
from hypothesis import strategies as st
from io_cases import CASE, write

from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.scenarios import read_scenarios
from allocator.io.template import GAPS, SHEETS, header_of, template_workbook, write_template
from allocator.io.workbook import read_workbook
from allocator.schema import SCHEMAS

TOWNS = "乡镇 townships"


def book(rows=(("01", "甲镇", "", 1000, 2020),), change=None):
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = TOWNS
    sheet.append(["乡镇代码", "乡镇名称", "英文名称", "总人口", "年份"])
    for row in rows:
        sheet.append(row)
    if change is not None:
        change(made, sheet)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def read(tmp_path, data):
    path = tmp_path / "case.xlsx"
    path.write_bytes(data)
    return read_workbook(path)[0]


def found(tmp_path, data):
    return read(tmp_path, data)["townships"][1]


def refused(tmp_path, data):
    with pytest.raises(InputRefused) as caught:
        read(tmp_path, data)
    return caught.value.findings[0].code


def repacked(data, changes):
    """Return an archive with entries changed or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, content in changes.items():
            new.writestr(name, content(old.read(name)) if callable(content) else content)
    return out.getvalue()


def test_a_template_filled_in_is_the_case_that_csv_files_give(tmp_path):
    folder = tmp_path / "book"
    write_template(folder)
    made = openpyxl.load_workbook(folder / "case.xlsx")
    for name in ("townships", "areas", "sites", "homes"):
        schema = SCHEMAS[name]
        sheet = made[f"{schema.zh} {name}"]
        assert [c.value for c in sheet[1]] == [header_of(c) for c in schema.columns]
        head, *rows = (line.split(",") for line in CASE[f"{name}.csv"].splitlines())
        for row in rows:
            given_cells = dict(zip(head, row, strict=True))
            cells = []
            for column in schema.columns:
                text = given_cells.get(column.name, "")
                numeric = column.kind in ("integer", "number", "year") and text
                cells.append(float(text) if numeric else text or None)
            sheet.append(cells)
    made.save(folder / "case.xlsx")
    files = {k: v for k, v in CASE.items() if k.startswith(("catalogue/", "case.yaml"))}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    one, two = read_case(folder), read_case(write(tmp_path / "csv"))
    for name in ("townships", "areas", "sites", "homes"):
        assert getattr(one.region, name).equals(getattr(two.region, name)), name
    assert one.population.equals(two.population)
    assert read_scenarios(folder / "scenarios")[0].name == "first-plan"


def test_a_template_is_never_written_over(tmp_path):
    write_template(tmp_path)
    with pytest.raises(InputRefused) as caught:
        write_template(tmp_path)
    assert caught.value.findings[0].code == "file-exists"


def test_the_template_is_the_same_bytes_every_time_and_has_drop_downs():
    data = template_workbook()
    assert data == template_workbook()
    made = openpyxl.load_workbook(io.BytesIO(data))
    lists = [
        v for v in made["现有与备选地点 sites"].data_validations.dataValidation if v.type == "list"
    ]
    assert len(lists) >= 9 and any("未核" in v.formula1 for v in lists)
    assert made["字典 dictionary"].max_row == 1 + sum(len(SCHEMAS[n].columns) for n in SHEETS)
    gaps = made["数据缺口清单 gaps"]
    assert gaps.max_row == 1 + len(GAPS) and "入住来源" in [c.value for c in gaps["A"]]


def test_a_number_in_a_column_of_codes_is_refused_with_the_remedy(tmp_path):
    faults = found(tmp_path, book([(1, "甲镇", "", 1000, 2020), ("007", "乙", "", 5, 2020)]))
    assert next((f.code, f.where.sheet, f.where.row, f.where.column) for f in faults) == (
        "number-in-id-column",
        TOWNS,
        2,
        "乡镇代码",
    )
    assert "as text" in faults[0].remedy.en
    table = read(tmp_path, book([("007", "乙", "", 5, 2020), ("1e5", "丙", "", 5, 2020)]))[
        "townships"
    ][0]
    assert list(table["township_id"]) == ["007", "1e5"]


def test_formulas_without_a_stored_value_errors_and_dates_are_refused_by_cell(tmp_path):
    def change(made, sheet):
        sheet["D2"] = "=1+1"
        sheet["B3"] = "#REF!"
        sheet["B3"].data_type = "e"
        import datetime

        sheet["B4"] = datetime.date(2025, 1, 2)

    rows = [(f"0{n}", "甲", "", 5, 2020) for n in range(1, 4)]
    faults = {
        (f.code, f.where.row)
        for f in found(tmp_path, book(rows, change))
        if f.where.column != "name_zh"
    }
    assert {("formula-without-value", 2), ("cell-error", 3), ("cell-date", 4)} <= faults


def test_a_formula_counts_by_its_stored_value_and_is_told(tmp_path):
    data = book(change=lambda made, sheet: sheet.__setitem__("D2", "=1+1"))
    data = repacked(
        data,
        {
            "xl/worksheets/sheet1.xml": lambda x: x.replace(
                b"<f>1+1</f><v></v>", b"<f>1+1</f><v>77</v>"
            ).replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>77</v>")
        },
    )
    table, faults = read(tmp_path, data)["townships"]
    assert list(table["population"]) == [77] and [
        f.code for f in faults if f.rank == "information"
    ] == ["formula-values"]


def test_merged_cells_are_refused_and_a_hidden_sheet_is_told(tmp_path):
    def change(made, sheet):
        sheet.merge_cells("A4:B5")
        made.create_sheet("x")
        sheet.sheet_state = "hidden"

    faults = {f.code: f for f in found(tmp_path, book(change=change))}
    assert faults["cells-merged"].where.row == 4 and faults["cells-merged"].rank == "error"
    assert faults["sheet-hidden"].rank == "warning"


GOOD = book()


def rows_of_xml(count, cells=b'<c r="A%d"><v>%d</v></c>'):
    rows = b"".join(b'<row r="%d">' % n + cells % (n, n * 7919 % 1_000_003) + b"</row>" for n in range(3, count))  # fmt: skip
    return lambda x: x.replace(b"</sheetData>", rows + b"</sheetData>")


SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
SST = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><sst>&b;</sst>'
HOSTILE = {
    "bomb in a picture": (lambda: {"xl/media/x.xml": b"<x>" + b"0" * (290 << 20) + b"</x>"}, "workbook-too-large"),
    "bomb in the sheet": (lambda: {SHEET: lambda x: x.replace(b"<sheetData>", b"<sheetData>" + b" " * (200 << 20))}, "workbook-too-large"),
    "texts": (lambda: {STRINGS: SST + b"".join(b"<si><t>%d</t></si>" % n for n in range(4_500_000)) + b"</sst>"}, "workbook-too-large"),
    "rows": (lambda: {SHEET: rows_of_xml(1_048_577)}, "too-many-rows"),
    "claims of cells": (lambda: {SHEET: rows_of_xml(20_000, b'<c r="A%d"><v>%d</v></c><c r="XFD1"/>')}, "too-many-cells"),
    "columns": (lambda: {SHEET: rows_of_xml(9, b'<c r="A%d"><v>1</v></c><c r="ZZ1"><v>%d</v></c>')}, "too-many-columns"),
    "billion laughs": (lambda: {STRINGS: LAUGHS}, "workbook-doctype"),
    "macros": (lambda: {"xl/vbaProject.bin": b"x"}, "workbook-macros"),
    "external link": (lambda: {"xl/externalLinks/externalLink1.xml": b"<x/>"}, "workbook-links"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("name", HOSTILE)
def test_row_22_hostile_workbooks_are_refused_within_two_seconds_and_200_mebibytes(tmp_path, name):
    """Measured in a process of its own, libraries loaded before the clock starts; all its memory counts."""
    changes, code = HOSTILE[name]
    (tmp_path / "case.xlsx").write_bytes(repacked(book(), changes()))
    outcome = read_in_child("workbook", tmp_path / "case.xlsx")
    assert code in outcome.codes
    assert outcome.seconds < 2 and outcome.mebibytes < 200


def test_xml_of_workbooks_is_read_by_the_parser_that_knows_no_entities():
    import openpyxl.worksheet._reader as reader

    assert reader.iterparse.__module__.startswith("defusedxml")


def test_what_is_no_workbook_is_refused(tmp_path):
    assert refused(tmp_path, b"not a workbook") == "workbook-not-readable"
    assert refused(tmp_path, GOOD[: len(GOOD) // 2]) == "workbook-not-readable"


def test_a_column_beyond_the_limit_is_refused_and_blank_ones_are_not(tmp_path):
    def beyond(value):
        return lambda made, sheet: sheet.cell(2, 260).__setattr__("value", value)

    def styled(made, sheet):
        sheet.cell(2, 260).number_format = "0.0"

    (fault,) = found(tmp_path, book(change=beyond("x")))
    assert (fault.code, fault.where.sheet, fault.where.row) == ("too-many-columns", TOWNS, 2)
    table, faults = read(tmp_path, book(change=styled))["townships"]
    assert len(table) == 1 and not faults


def test_a_formula_in_a_part_of_an_unusual_name_is_no_value(tmp_path):
    data = book(change=lambda made, sheet: sheet.__setitem__("B2", "=1+1"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read(SHEET).replace(b"<f>", b"<f\n>")
    faults = found(tmp_path, repacked(data, {SHEET: sheet}))
    assert [(f.code, f.where.row) for f in faults if f.code.startswith("formula")] == [
        ("formula-without-value", 2)
    ]


def at_the_end(rows):
    return lambda x: x.replace(b"</sheetData>", rows + b"</sheetData>")


FAR = b'<row r="%d"><c r="XFD%d" s="1">%s</c></row>'
ORDINARY = {
    "dimension": lambda x: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', x),
    "format of all columns": lambda x: x.replace(b"<sheetData>", b'<cols><col min="1" max="16384" style="1"/></cols><sheetData>'),
    "border of the last cell": at_the_end(FAR % (1_048_576, 1_048_576, b"")),
    "last row hidden": at_the_end(b'<row r="1048576" hidden="1"/>'),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("name", ORDINARY)
def test_row_22_a_sheet_that_claims_seventeen_billion_cells_is_read_for_what_it_holds(
    tmp_path, name
):
    """Spreadsheet programs claim them for a format of whole rows and columns, or one cell at the end."""
    data = repacked(book(), {SHEET: ORDINARY[name]})
    table, faults = read(tmp_path, data)["townships"]
    assert len(table) == 1 and not faults
    outcome = read_in_child("workbook", tmp_path / "case.xlsx")
    assert outcome.codes == () and outcome.seconds < 2 and outcome.mebibytes < 200


@pytest.mark.parametrize(
    "name", ["a value in the last rows", "a row beyond any sheet", "blank cells"]
)
def test_row_22_a_sheet_too_large_is_refused_by_name_with_what_to_do(tmp_path, name):
    rows, code, row = {
        "a value in the last rows": (FAR % (1_048_550, 1_048_550, b"<v>1</v>"), "too-many-rows", 1_048_550),
        "a row beyond any sheet": (b'<row r="99999999999"/>', "too-many-rows", 1_048_577),
        "blank cells": (b"".join(FAR % (n, n, b"") for n in range(3, 1_300)), "too-many-cells", None),
    }[name]  # fmt: skip
    (fault,) = found(tmp_path, repacked(book(), {SHEET: at_the_end(rows)}))
    assert (fault.code, fault.where.sheet, fault.where.row) == (code, TOWNS, row)
    assert "fresh sheet" in fault.remedy.en and "新工作表" in fault.remedy.zh


def test_text_that_looks_like_a_formula_stays_text(tmp_path):
    def change(made, sheet):
        sheet["B2"] = "=HYPERLINK(1)"
        sheet["B2"].data_type = "s"

    assert list(read(tmp_path, book(change=change))["townships"][0]["name_zh"]) == ["=HYPERLINK(1)"]


CELLS = (
    st.none()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.dates()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
)


def outcome(folder, data):
    path = folder / "case.xlsx"
    path.write_bytes(data)
    try:
        tables, _ = read_workbook(path)
    except InputRefused as problem:
        assert problem.findings
        return
    for table, faults in tables.values():
        assert len(table) or any(f.rank == "error" for f in faults)


def spoiled(edits):
    data = bytearray(GOOD)
    for at, byte in edits:
        data[at % len(data)] = byte
    return bytes(data)


EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)


def xml_spoiled(edits):
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        text = bytearray(archive.read("xl/worksheets/sheet1.xml"))
    for at, byte in edits:
        text[at % len(text)] = byte
    return repacked(GOOD, {"xl/worksheets/sheet1.xml": bytes(text)})


BOOKS = (
    st.lists(st.lists(CELLS, max_size=5), max_size=4).map(
        lambda rows: book(tuple(map(tuple, rows)))
    )
    | EDITS.map(spoiled)
    | EDITS.map(xml_spoiled)
)


@settings(max_examples=25, deadline=10_000)
@given(data=BOOKS)
def test_any_workbook_gives_tables_or_findings(tmp_path_factory, data):
    outcome(tmp_path_factory.mktemp("fuzz"), data)


@pytest.mark.long
@settings(max_examples=10_000, deadline=10_000)
@given(data=BOOKS)
def test_any_workbook_gives_tables_or_findings_ten_thousand_times(tmp_path_factory, data):
    outcome(tmp_path_factory.mktemp("fuzz"), data)
