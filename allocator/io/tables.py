"""CSV files and workbook sheets into tables of a `Schema`, with every fault at once.

Cells arrive as text and are read column by column; nothing is guessed and nothing repaired but
blanks around a cell. Rows of a table read here are indexed by their row in the file (header = 1).
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Where, nearest, plural
from allocator.io.columns import (
    COLUMN_READERS,
    Cells,
    Faults,
    default_values,
    object_cells,
    trimmed,
)
from allocator.io.findings import Words, error, notice, too_many_rows
from allocator.io.paths import MEBIBYTE, read_bytes
from allocator.schema import UNIT_WORDS, Column, Schema

__all__ = [
    "Grid",
    "column_of",
    "decoded",
    "empty_table",
    "encoding_differs",
    "grid_of",
    "read_grid",
    "read_table",
    "table_of",
]

MAX_BYTES = 200 * MEBIBYTE
MAX_ROWS = 1_000_000
MAX_COLUMNS = 200
MAX_LISTED = 12

_PERSONAL_HEADER = re.compile(
    r"身份证|证件号|手机|电话|联系方式|银行卡|家庭住址|^姓名$|老人姓名|联系人|"
    r"\bid[ _-]?card|id[ _-]?num|identity|passport|phone|mobile|\btel\b|bank[ _-]?account|person[ _-]?name",
    re.IGNORECASE,
)
_PERSONAL_CELL = re.compile(
    r"(?<![0-9.])[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"[0-9]{3}[0-9Xx](?![0-9A-Za-z])|(?<![0-9.])1[3-9][0-9]{9}(?![0-9.])"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_BRACKETED = re.compile(r"(.*?)\s*[(\[\uFF08\u3010]\s*(.*?)\s*[)\]\uFF09\u3011]")


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """Cells of a file or sheet as text: headers, columns, and the row in the file of each line."""

    where: Where
    headers: tuple[str, ...]
    columns: tuple[Cells, ...]
    rows: np.ndarray
    findings: tuple[Finding, ...] = field(default_factory=tuple)


def grid_of(
    lines: Sequence[tuple[int, Sequence[str]]],
    where: Where,
    found: tuple[Finding, ...],
    schema: Schema | None = None,
) -> Grid:
    """Return the grid of (row, cells); the first line is the header.

    Raises
    ------
    InputRefused
        When there is no line, or too many columns.
    """
    return _grid(lines, where, found, _expected(schema))


def read_table(
    path: Path,
    schema: Schema,
    *,
    encoding: str = "utf-8",
    thousands: bool = False,
    name: str = "",
    personal: bool = True,
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the table in a CSV file and everything found in it.

    Parameters
    ----------
    encoding
        ``utf-8`` (a byte-order mark is fine) or, declared by the user, ``gb18030``.
    thousands
        Whether the user declared that numbers carry thousands separators.
    name
        What findings call the file; its bare name where blank.
    personal
        Whether what looks like personal data is refused; ids of network nodes look like phones.

    Returns
    -------
    The columns of ``schema`` in order (ids and text as text, numbers as floats, required integers
    as integers), indexed by row in the file, and the findings. Cells at fault are blank; a table
    that could not be read at all is empty.
    """
    try:
        grid = read_grid(path, encoding=encoding, name=name, schema=schema)
    except InputRefused as refused:
        return empty_table(schema), refused.findings
    return table_of(grid, schema, thousands=thousands, personal=personal)


def read_grid(
    path: Path, *, encoding: str = "utf-8", name: str = "", schema: Schema | None = None
) -> Grid:
    """Return the cells of a CSV file as text.

    Raises
    ------
    InputRefused
        When the file is missing, too large, empty, in another encoding or not comma separated.
    """
    name = name or path.name
    where = Where(file=name)
    expected = _expected(schema)
    try:
        data = read_bytes(path, MAX_BYTES, name)
    except InputRefused as refused:
        if refused.findings[0].code == "file-missing" and schema is not None:
            raise _refuse(
                "file-missing",
                where,
                ("找不到文件。", "The file is not there, or is no ordinary file."),
                expected,
            ) from None
        raise
    text, found = decoded(data, encoding, name)
    if not text.strip():
        raise _refuse("file-empty", where, ("文件是空的。", "The file is empty."), expected)
    head = text[: text.find("\n") if "\n" in text else len(text)]
    if "," not in head:
        for mark, words in ((";", ("分号", "semicolons")), ("\t", ("制表符", "tabs"))):
            if mark in head:
                raise _refuse(
                    "separator-not-comma",
                    where,
                    (f"列之间用的是{words[0]}。", f"Columns are separated by {words[1]}."),
                    ("请另存为逗号分隔的CSV。", "Save it as CSV separated by commas."),
                )
    lines, faults = _lines(text, where)
    found += faults
    return _grid(lines, where, tuple(found), expected)


def _lines(text: str, where: Where) -> tuple[list[tuple[int, list[str]]], list[Finding]]:
    """Split CSV text into (row, cells); blank lines are left out but counted."""
    lines: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    row = 0
    try:
        for row, cells in enumerate(reader, start=1):
            if row > MAX_ROWS + 1:
                return lines, [too_many_rows(where, MAX_ROWS)]
            if any(cells):
                lines.append((row, cells))
    except csv.Error as problem:
        place = Where(file=where.file, row=row + 1)
        what = (f"CSV格式错误({problem})。", f"This is not CSV: {problem}.")
        return lines, [
            error(
                "csv-syntax", place, what, ("请检查引号是否成对。", "Check that quotes are paired.")
            )
        ]
    return lines, []


def _grid(
    lines: Sequence[tuple[int, Sequence[str]]],
    where: Where,
    found: tuple[Finding, ...],
    expected: Words,
) -> Grid:
    """Turn (row, cells) into columns; the first line is the header."""
    if not lines:
        if any(f.rank is Rank.ERROR for f in found):
            raise InputRefused(found)
        raise _refuse("file-empty", where, ("文件是空的。", "The file is empty."), expected)
    head = [cell.strip() for cell in lines[0][1]]
    while head and not head[-1]:
        head.pop()
    width = len(head)
    faults = Faults(where, list(found))
    if width > MAX_COLUMNS:
        raise _refuse(
            "too-many-columns",
            where,
            (
                f"有{width}列,上限{MAX_COLUMNS}列。",
                f"There are {width} columns; the limit is {MAX_COLUMNS}.",
            ),
            ("请删去不用的列。", "Leave out the columns that are not needed."),
        )
    body: list[tuple[int, Sequence[str]]] = []
    for row, cells in lines[1:]:
        if len(cells) == width:
            body.append((row, cells))
            continue
        if any(cells[width:]):
            faults.add(
                "row-too-long",
                row,
                "",
                (
                    f"该行有{len(cells)}格,表头有{width}列。",
                    f"The row has {plural(len(cells), 'cell')}, the header {width}.",
                ),
                ("含逗号的文字请加双引号。", "Put text that contains a comma in double quotes."),
            )
        body.append((row, [*cells[:width], *[""] * (width - len(cells))]))
    if not body:
        faults.add(
            "no-rows", None, "", ("只有表头,没有数据。", "There is a header and no row."), expected
        )
    columns = tuple(object_cells(c) for c in zip(*(cells for _, cells in body), strict=True))
    if not body:
        columns = tuple(object_cells(()) for _ in head)
    rows = np.fromiter((row for row, _ in body), dtype=np.int64, count=len(body))
    return Grid(
        where=where, headers=tuple(head), columns=columns, rows=rows, findings=tuple(faults.all())
    )


def table_of(
    grid: Grid, schema: Schema, *, thousands: bool = False, personal: bool = True
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the table of ``schema`` in a grid, and everything found; see `read_table`."""
    faults = Faults(grid.where, list(grid.findings))
    private = _personal(grid, faults) if personal else set()
    at = _matched(grid, schema, faults, private)
    data: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name in at and at[column.name] not in private:
            cells = trimmed(grid.columns[at[column.name]])
            header = grid.headers[at[column.name]]
            data[column.name] = COLUMN_READERS[column.kind](
                cells, column, header, grid.rows, faults, thousands
            )
        else:
            data[column.name] = default_values(column, len(grid.rows))
    table = pd.DataFrame(data)
    table.index = pd.Index(grid.rows, name="row")
    needed = [k for k in schema.key if schema.column(k).required]
    if schema.key and all(k in at and at[k] not in private for k in needed):
        _check_unique(table, schema, faults)
    return table, tuple(faults.all())


def empty_table(schema: Schema) -> pd.DataFrame:
    """Return the table of ``schema`` without rows."""
    return pd.DataFrame({c.name: default_values(c, 0) for c in schema.columns})


def decoded(data: bytes, encoding: str, name: str) -> tuple[str, list[Finding]]:
    """Return the text of ``data`` in UTF-8 or in the declared encoding.

    Raises
    ------
    InputRefused
        When it is in another encoding, named in the finding, or holds control characters.
    """
    where = Where(file=name)
    found: list[Finding] = []
    text: str | None = None
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = _decode(data, "utf-8-sig")
        if text is not None and encoding != "utf-8" and not data.isascii():
            found.append(encoding_differs(where, encoding))
        if text is None and encoding != "utf-8":
            text = _decode(data, encoding)
    if text is None or "\x00" in text:
        actual = _encoding_of(data)
        raise _refuse(
            "encoding-not-utf8",
            where,
            (
                f"文件编码是{actual},不是{encoding.upper()}。",
                f"The file is in {actual}, not in {encoding.upper()}.",
            ),
            (
                "请另存为“CSV UTF-8(逗号分隔)”;GBK/GB18030文件也可在 case.yaml 中声明 encoding: gb18030。",
                "Save it as CSV UTF-8; for GBK or GB18030 you may declare encoding: gb18030 in case.yaml.",
            ),
        )
    control = _CONTROL.search(text)
    if control:
        raise _refuse(
            "control-character",
            Where(file=name, row=text.count("\n", 0, control.start()) + 1),
            (
                f"含控制字符U+{ord(control.group()):04X}。",
                f"There is a control character U+{ord(control.group()):04X}.",
            ),
            ("请删去。", "Remove it."),
        )
    return text, found


def encoding_differs(where: Where, declared: str) -> Finding:
    """Return the notice that a file declared otherwise is in UTF-8 and was read so."""
    return notice(
        "encoding-differs",
        where,
        (
            f"声明为{declared},实为UTF-8,已按UTF-8读取。",
            f"Declared {declared}; it is UTF-8 and was read so.",
        ),
        ("请核对文字。", "Check the text."),
    )


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _encoding_of(data: bytes) -> str:
    """Name the encoding of bytes that are not what was declared."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    sample = data[:4096]
    if sample.count(0) > len(sample) // 5:
        return "UTF-16"
    if 0 in data:
        return "binary (not text)"
    for encoding, shown in (("gb18030", "GB18030/GBK"), ("big5", "Big5")):
        if _decode(data, encoding) is not None:
            return shown
    return "unknown"


def _personal(grid: Grid, faults: Faults) -> set[int]:
    """Refuse columns that look like identity, phone or name of a person; their positions."""
    private: set[int] = set()
    for position, (header, cells) in enumerate(zip(grid.headers, grid.columns, strict=True)):
        row = None
        if not _PERSONAL_HEADER.search(header):
            hit = _PERSONAL_CELL.search("\n".join(cells))
            if hit is None:
                continue
            row = int(grid.rows["\n".join(cells)[: hit.start()].count("\n")])
        private.add(position)
        faults.add(
            "personal-data",
            row,
            header[:60],
            (
                "疑似个人信息(身份证号、手机号、姓名等),已拒绝读取,内容不予显示。",
                "This looks like personal data (identity number, phone, name); it is refused and not shown.",
            ),
            ("请删去该列,名册只用汇总人数。", "Delete the column: rolls are counts."),
        )
    return private


def column_of(header: str, schema: Schema) -> Column | None:
    """Return the column a header stands for: its name in either language, or both, or a synonym.

    A unit in brackets is left aside here and checked by the reader.
    """
    name = _name_of(header, schema.headers)
    if name is None and (match := _BRACKETED.fullmatch(header.strip())):
        name = _name_of(match[1], schema.headers)
    return None if name is None else schema.column(name)


def _name_of(header: str, known: Mapping[str, str]) -> str | None:
    for word in (header, unicodedata.normalize("NFKC", header)):
        name = known.get(word.strip().lower())
        if name is not None:
            return name
        parts = {known.get(part) for part in re.split(r"[\s/|]+", word.strip().lower())}
        if len(parts) == 1 and None not in parts:
            return parts.pop()
    return None


def _matched(grid: Grid, schema: Schema, faults: Faults, private: set[int]) -> dict[str, int]:
    """Match headers to columns; missing, doubled and unknown ones become findings, private ones did."""
    known = schema.headers
    at: dict[str, int] = {}
    unknown: list[str] = []
    for position, header in enumerate(grid.headers):
        column = column_of(header, schema)
        name = None if column is None else column.name
        if column is not None and _name_of(header, known) is None:
            match = _BRACKETED.fullmatch(header.strip())
            _check_unit(column, match[2] if match else "", header, faults)
        if name is None:
            unknown += [header] if position not in private else []
        elif name in at:
            faults.add(
                "column-twice",
                1,
                header[:60],
                (
                    f"与列“{grid.headers[at[name]]}”重复。",
                    f"It repeats the column {grid.headers[at[name]]!r}.",
                ),
                ("请只保留一列。", "Keep one of the two."),
            )
        else:
            at[name] = position
    _missing(grid, schema, at, unknown, faults)
    return at


def _missing(
    grid: Grid, schema: Schema, at: dict[str, int], unknown: list[str], faults: Faults
) -> None:
    taken: set[str] = set()
    for column in schema.columns:
        if column.name in at:
            continue
        words = column.words
        near = next(
            (n for w in words if (n := nearest(w, (u for u in unknown if u not in taken)))), None
        )
        if near is not None:
            taken.add(near)
        if not column.required and near is None:
            continue
        tell = faults.add if column.required else faults.warn
        tell(
            "column-missing",
            1,
            column.name,
            (
                f"缺少列“{column.zh}”({column.name})。",
                f"The column {column.name!r} ({column.zh}) is missing.",
            ),
            (
                f"列“{near}”是否就是它?请改名。"
                if near
                else f"请加上该列,例如:{column.example or column.name}。",
                f"Did you mean it by {near!r}? Rename that."
                if near
                else f"Add it, for example: {column.example or column.name}.",
            ),
        )
    free = [c for c in schema.columns if c.name not in at and not c.required][:MAX_LISTED]
    zh = f",如{'、'.join(c.zh for c in free)}" if free else ""
    en = f", such as {', '.join(c.name for c in free)}" if free else ""
    for header in unknown:
        if header not in taken:
            faults.note(
                "column-unknown",
                1,
                header[:60] or "?",
                ("未知的列,未使用。", "The column is unknown and was not used."),
                (
                    f"无需处理,或改成格式说明中的列名{zh}。",
                    f"Leave it, or rename it as the page on formats says{en}.",
                ),
            )


def _check_unit(column: Column, unit: str, header: str, faults: Faults) -> None:
    word = unicodedata.normalize("NFKC", unit).strip().lower()
    words = {
        unicodedata.normalize("NFKC", w).lower()
        for w in (column.unit, *UNIT_WORDS.get(column.unit, ()))
    }
    if word and column.unit and word not in words:
        faults.add(
            "unit-differs",
            1,
            header[:60],
            (
                f"单位写的是“{unit}”,应为{column.unit}。",
                f"The unit given is {unit!r}; it must be {column.unit}.",
            ),
            ("请换算后改写表头。", "Convert the values and write the unit asked for."),
        )


def _check_unique(table: pd.DataFrame, schema: Schema, faults: Faults) -> None:
    """Refuse rows of equal key after folding case and width, naming both rows."""
    if table.empty:
        return
    keys = pd.Series("", index=range(len(table)), dtype="str")
    complete = np.ones(len(table), dtype=bool)
    for name in schema.key:
        cells = table[name].astype("str").reset_index(drop=True)
        if schema.column(name).kind in ("id", "text", "choice"):
            if schema.column(name).required:
                complete &= (cells != "").to_numpy(dtype=bool, copy=True)
            cells = cells.str.normalize("NFKC").str.casefold()
        keys = keys + "\x1f" + cells
    again = keys.duplicated().to_numpy(dtype=bool) & complete
    if not again.any():
        return
    rows = table.index.to_numpy()
    first = dict(zip(keys[~keys.duplicated()], rows[~keys.duplicated().to_numpy()], strict=True))
    for i in np.flatnonzero(again):
        shown = ", ".join(str(table[name].iloc[i]) for name in schema.key)
        earlier = int(first[keys[i]])
        faults.add(
            "row-twice",
            int(rows[i]),
            schema.key[-1] if len(schema.key) > 1 else schema.key[0],
            (f"“{shown}”与第{earlier}行重复。", f"{shown!r} repeats row {earlier}."),
            (
                "请删去或改正其中一行(大小写、空格不作区分)。",
                "Correct or remove one of them (case and blanks do not tell ids apart).",
            ),
        )


def _expected(schema: Schema | None) -> Words:
    if schema is None:
        return ("请提供文件。", "Provide the file.")
    needed = [c for c in schema.columns if c.required]
    example = ",".join(c.example or (c.choices[0] if c.choices else "…") for c in needed)
    return (
        f"应为{schema.zh}表,至少有列{'、'.join(c.zh for c in needed)};例如 {example}。",
        f"Expected the table '{schema.en}' with at least the columns {', '.join(c.name for c in needed)}; for example {example}.",
    )


def _refuse(code: str, where: Where, what: Words, remedy: Words) -> InputRefused:
    return InputRefused((error(code, where, what, remedy),))
