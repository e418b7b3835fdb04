"""A workbook of sheets into tables: nothing evaluated, every limit checked before it is opened.

A sheet is found by the table's name in either language. Formulas are never computed: a cell counts
by the value last stored for it, and one without is refused.
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from allocator.errors import Finding, InputRefused, Where, plural
from allocator.io.columns import Faults
from allocator.io.findings import refusal, too_many_rows, warning
from allocator.io.paths import MEBIBYTE, read_bytes
from allocator.io.tables import (
    MAX_COLUMNS,
    MAX_ROWS,
    Grid,
    column_of,
    empty_table,
    grid_of,
    table_of,
)
from allocator.schema import SCHEMAS, Schema

__all__ = ["PLAIN_SHEETS", "read_workbook"]

MAX_BYTES = 50 * MEBIBYTE
MAX_UNPACKED = 300 * MEBIBYTE
MAX_STRINGS = 60 * MEBIBYTE
MAX_RATIO = 200
MAX_ENTRIES = 1000
MAX_CELLS = 20_000_000
LAST_ROW = 1_048_576  # of any sheet of the format
PLAIN_SHEETS = ("说明 readme", "字典 dictionary", "数据缺口清单 gaps")
"""Sheets of the template that hold no data."""

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*?ref="([A-Z0-9:]{1,24})"')
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_DOCTYPE = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)
_CHUNK = MEBIBYTE
_FRESH_SHEET = (
    "请把数据复制到一张新工作表,再删去旧表。",
    "Copy the data to a fresh sheet and delete the old one.",
)

Tables = dict[str, tuple[pd.DataFrame, tuple[Finding, ...]]]


def read_workbook(
    path: Path, *, schemas: Mapping[str, Schema] = SCHEMAS, thousands: bool = False, name: str = ""
) -> tuple[Tables, Mapping[str, str]]:
    """Return table and findings by schema name for each sheet that has one, and the sheets' titles.

    Raises
    ------
    InputRefused
        When the file is no workbook, larger (also unpacked) than allowed, holds macros, links to
        other files or document types, or cannot be read.
    """
    name = name or path.name
    where = Where(file=name)
    data = read_bytes(path, MAX_BYTES, name)
    merged, has_formulas = _inspected(data, where)
    from openpyxl.utils.exceptions import InvalidFileException

    tables: Tables = {}
    titles: dict[str, str] = {}
    try:
        # As written, and as last stored; the same where nothing is a formula.
        books = [_opened(data, only) for only in ((False, True) if has_formulas else (False,))]
        try:
            for sheet in books[0].worksheets:
                schema = _schema_of(sheet.title, schemas)
                if schema is None:
                    continue
                place = Where(file=name, sheet=sheet.title)
                if schema.name in tables:
                    raise refusal(
                        "sheet-twice",
                        place,
                        ("该表有两个工作表。", "Two sheets hold this table."),
                        ("请只保留一个。", "Keep one of them."),
                    )
                ranges = merged.get(str(getattr(sheet, "_worksheet_path", "")).lstrip("/"), [])
                stored = books[-1][sheet.title]
                try:
                    grid = _grid(sheet, stored, schema, place, ranges)
                    tables[schema.name] = table_of(grid, schema, thousands=thousands)
                except InputRefused as refused:
                    tables[schema.name] = (empty_table(schema), refused.findings)
                titles[schema.name] = sheet.title
        finally:
            for book in books:
                book.close()
    except InputRefused:
        raise
    except (
        InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError,
        IndexError, OSError, EOFError, SyntaxError, NotImplementedError, AssertionError, RuntimeError,
    ) as problem:  # fmt: skip
        raise _not_readable(where, type(problem).__name__) from problem
    return tables, titles


def _opened(data: bytes, values: bool) -> Any:
    """Open a workbook for reading; what openpyxl does not support (drop-downs ...) is no matter."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return openpyxl.load_workbook(
            io.BytesIO(data), read_only=True, data_only=values, keep_links=False
        )


def _schema_of(title: str, schemas: Mapping[str, Schema]) -> Schema | None:
    word = title.strip().casefold()
    for schema in schemas.values():
        known = {schema.name, schema.zh, schema.en}
        if word in {k.casefold() for k in known} or word == f"{schema.zh} {schema.name}".casefold():
            return schema
    return None


def _inspected(data: bytes, where: Where) -> tuple[dict[str, list[str]], bool]:
    """Check an archive before it is opened; return the merged ranges by entry, and if formulas stand in it.

    Every entry is unpacked in pieces and counted, whatever its header claims.
    """
    merged: dict[str, list[str]] = {}
    has_formulas = False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise _too_large(where)
            names = [e.filename.lower() for e in entries]
            if "xl/workbook.xml" not in names:
                raise _not_readable(where, "xl/workbook.xml")
            _refuse_parts(names, where)
            if sum(e.file_size for e in entries) > MAX_UNPACKED:
                raise _too_large(where)
            total = 0
            for entry in entries:
                if entry.flag_bits & 1:
                    raise _not_readable(where, "encrypted")
                size, ranges, formulas = _scanned(archive, entry, MAX_UNPACKED - total, where)
                total += size
                has_formulas |= formulas
                if ranges:
                    merged[entry.filename] = ranges
    except InputRefused:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        zipfile.LargeZipFile,
    ) as problem:
        raise _not_readable(where, type(problem).__name__) from problem
    except Exception as problem:
        # zlib.error, lzma.LZMAError and their like share no base below Exception.
        if type(problem).__module__ in ("zlib", "_lzma", "lzma", "_bz2", "bz2", "struct"):
            raise _not_readable(where, type(problem).__name__) from problem
        raise
    return merged, has_formulas


def _refuse_parts(names: list[str], where: Where) -> None:
    for part, code, what, remedy in (
        (
            "vbaproject",
            "workbook-macros",
            ("工作簿含宏。", "The workbook holds macros."),
            ("请另存为不含宏的 .xlsx。", "Save it as .xlsx without macros."),
        ),
        (
            "xl/externallinks/",
            "workbook-links",
            ("工作簿链接到其他文件。", "The workbook links to other files."),
            ("请断开外部链接(粘贴为数值)。", "Break the links: paste as values."),
        ),
    ):
        if any(part in n for n in names):
            raise refusal(code, where, what, remedy)


def _scanned(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int, where: Where
) -> tuple[int, list[str], bool]:
    """Return the true size of an entry, its merged ranges and if it may hold formulas; refuse bombs."""
    is_xml = entry.filename.lower().endswith((".xml", ".rels", ".vml"))
    most = MAX_STRINGS if "sharedstrings" in entry.filename.lower() else left
    has_formulas = False
    size, rows, tail = 0, 0, b""
    ranges: list[str] = []
    with archive.open(entry) as f:
        while chunk := f.read(_CHUNK):
            if size == 0 and is_xml and chunk[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<"):
                raise _not_readable(where, "UTF-16")
            size += len(chunk)
            packed = max(entry.compress_size, 1)
            if size > most or (size > 10 * MEBIBYTE and size / packed > MAX_RATIO):
                raise _too_large(where)
            if is_xml:
                text = tail + chunk
                if _DOCTYPE.search(text):
                    raise refusal(
                        "workbook-doctype",
                        where,
                        (
                            "工作簿内含文档类型或实体定义。",
                            "The workbook defines document types or entities.",
                        ),
                        ("请用电子表格软件重新保存。", "Save it again with a spreadsheet program."),
                    )
                if b"mergeCell " in text:
                    ranges += [m.decode() for m in _MERGED.findall(text) if len(ranges) < 1000]
                rows += len(_ROW.findall(chunk)) if b"row" in chunk else 0
                if rows > MAX_ROWS:
                    raise InputRefused((too_many_rows(where, MAX_ROWS),))
                if not has_formulas and (b"<f" in text or b":f" in text):
                    has_formulas = _FORMULA.search(text) is not None
                tail = text[-64:] if not text.endswith(b">") else b""
    return size, list(dict.fromkeys(ranges)), has_formulas


def _grid(sheet: Any, stored: Any, schema: Schema, where: Where, ranges: list[str]) -> Grid:
    """Read a sheet's cells as text; formulas by their stored values, errors and dates told."""
    found: list[Finding] = []
    if sheet.sheet_state != "visible":
        found.append(
            warning(
                "sheet-hidden",
                where,
                ("工作表被隐藏,仍已读取。", "The sheet is hidden; it was read all the same."),
                ("请核对内容。", "Check what it holds."),
            )
        )
    faults = Faults(where, found)
    for one in ranges:
        faults.add(
            "cells-merged",
            _row_of(one),
            re.sub("[0-9:].*", "", one),
            (f"合并单元格{one}。", f"The cells {one} are merged."),
            ("请取消合并并逐格填写。", "Unmerge them and fill in each cell."),
        )
    from openpyxl.cell.read_only import EMPTY_CELL

    lines: list[tuple[int, list[str]]] = []
    kinds: list[str] = []
    headers: list[str] = []
    formulas = cells_read = 0
    for row, (cells, values) in enumerate(_rows(sheet, stored), start=1):
        if row > MAX_ROWS and (row > LAST_ROW or any(c.value is not None for c in cells)):
            raise refusal(
                "too-many-rows",
                replace(where, row=row),
                (
                    f"工作表在第{MAX_ROWS:,}行以后仍有内容。",
                    f"The sheet goes on beyond row {MAX_ROWS:,}.",
                ),
                _FRESH_SHEET,
            )
        cells_read += len(cells)
        if cells_read > MAX_CELLS:
            raise refusal(
                "too-many-cells",
                where,
                (
                    f"工作表超过{MAX_CELLS:,}个单元格(含只有格式的空白单元格)。",
                    f"The sheet has more than {MAX_CELLS:,} cells, blank ones with a format among them.",
                ),
                _FRESH_SHEET,
            )
        if any(c.value is not None for c in cells[MAX_COLUMNS:] if c is not EMPTY_CELL):
            raise refusal(
                "too-many-columns",
                replace(where, row=row),
                (f"超过{MAX_COLUMNS}列。", f"There are more than {MAX_COLUMNS} columns."),
                ("请删去不用的列。", "Leave out the columns that are not needed."),
            )
        cells = cells[:MAX_COLUMNS]
        texts = []
        for position, cell in enumerate(cells):
            kind = kinds[position] if position < len(kinds) else ""
            header = headers[position] if position < len(headers) else ""
            value = values[position].value if position < len(values) else None
            if stored is sheet and cell.data_type == "f":
                value = None  # the formula itself, which is never a value
            formulas += cell.data_type == "f" and value is not None
            texts.append(
                _cell(cell, value, kind, row, header or _letter(position), faults)
                if headers or cell.value is not None
                else ""
            )
        if any(texts):
            if not lines:
                headers = [t.strip() for t in texts]
                kinds = [c.kind if (c := column_of(h, schema)) else "" for h in headers]
            lines.append((row, texts))
    if formulas:
        faults.note(
            "formula-values",
            None,
            "",
            (
                f"{formulas}个公式按最后保存的值读取。",
                f"{plural(formulas, 'formula was', 'formulas were')} read by the value last stored.",
            ),
            ("请确认已重新计算后保存。", "Make sure the workbook was recalculated and saved."),
        )
    return grid_of(lines, where, tuple(faults.all()), schema)


def _rows(sheet: Any, stored: Any) -> Iterator[tuple[Any, Any]]:
    """Yield rows of cells as written and as stored; what the sheet claims of its size is ignored.

    Spreadsheet programs claim A1:XFD1048576 for a sheet of ten rows whose columns were formatted as
    a whole and whose last row was hidden: refusing the claim would refuse ordinary files.
    """
    for one in (sheet, stored):
        one.reset_dimensions()
    if stored is sheet:
        return ((row, row) for row in sheet.iter_rows())
    return zip(sheet.iter_rows(), stored.iter_rows(), strict=False)


def _cell(cell: Any, value: object, kind: str, row: int, column: str, faults: Faults) -> str:
    """Return a cell as text, or blank with a finding."""
    if cell.value is None:
        return ""
    if cell.data_type == "e" or (
        cell.data_type == "f"
        and isinstance(value, str)
        and re.fullmatch(r"#[A-Z/0!?]{2,10}", value)
    ):
        shown = str(value if value is not None else cell.value)[:20]
        faults.add(
            "cell-error",
            row,
            column,
            (f"单元格为错误值{shown}。", f"The cell is the error {shown}."),
            ("请改正公式或填写数值。", "Mend the formula or write the value."),
        )
        return ""
    if cell.data_type == "f":
        if value is None:
            faults.add(
                "formula-without-value",
                row,
                column,
                (
                    "公式没有保存结果;本程序不计算公式。",
                    "The formula has no stored value; formulas are never computed.",
                ),
                ("请重新计算后保存,或粘贴为数值。", "Recalculate and save, or paste as values."),
            )
            return ""
    else:
        value = cell.value
    if isinstance(value, datetime.date | datetime.time):
        faults.add(
            "cell-date",
            row,
            column,
            ("单元格被存成日期。", "The cell was stored as a date."),
            ("请设为文本格式后重新填写。", "Format the cell as text and write it again."),
        )
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        if kind == "id":
            faults.add(
                "number-in-id-column",
                row,
                column,
                (
                    "代码被存成数字,前导零可能已丢失。",
                    "The code was stored as a number; leading zeros may be lost.",
                ),
                (
                    "请把该列设为文本格式后重新填写。",
                    "Format the column as text and write the code again.",
                ),
            )
            return ""
        return repr(value).removesuffix(".0")
    return str(value)


def _row_of(reference: str) -> int | None:
    match = re.search("[0-9]+", reference)
    return int(match.group()) if match else None


def _letter(position: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(position + 1))


def _too_large(where: Where) -> InputRefused:
    return refusal(
        "workbook-too-large",
        where,
        (
            "工作簿过大,或解压后异常膨胀。",
            "The workbook is too large, or swells beyond measure when unpacked.",
        ),
        ("请只保留数据,重新保存。", "Keep the data only and save it again."),
    )


def _not_readable(where: Where, reason: str) -> InputRefused:
    return refusal(
        "workbook-not-readable",
        where,
        (f"不是可读的 .xlsx 工作簿({reason})。", f"This is no readable .xlsx workbook ({reason})."),
        ("请用电子表格软件另存为 .xlsx。", "Save it as .xlsx with a spreadsheet program."),
    )
