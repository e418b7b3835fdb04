"""Columns of cells into columns of values, and the faults of one file, counted.

Each reader takes cells as text and gives values of one kind; a cell at fault is told and left
blank.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from allocator.errors import Finding, Rank, Where, nearest, plural
from allocator.io.findings import Words, error, notice, warning
from allocator.schema import Column

__all__ = ["COLUMN_READERS", "Cells", "Faults", "default_values", "object_cells", "trimmed"]

Cells = np.ndarray
"""One column of cells as an object array of `str`."""


MAX_TEXT = 500
MAX_ID = 64
MAX_FINDINGS = 10_000
_CONTROL_IN_CELL = re.compile("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_INTEGER = r"[+-]?[0-9]{1,15}(?:\.0+)?"
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[,\uFF0C][0-9]{3})+(?:\.[0-9]+)?")
_SCIENTIFIC_ID = re.compile(r"[0-9]\.[0-9]+[eE]\+[0-9]+")


def _text(
    cells: Cells, column: Column, header: str, rows: np.ndarray, faults: Faults, _: bool
) -> pd.Series:
    longest = MAX_ID if column.kind == "id" else MAX_TEXT
    blank = cells == ""
    if column.required:
        faults.each("cell-blank", rows[blank], header, _BLANK, _FILL)
    elif column.default:
        cells = np.where(blank, str(column.default), cells)
    bad = np.fromiter(
        (len(c) > longest or _CONTROL_IN_CELL.search(c) is not None for c in cells),
        bool,
        len(cells),
    )
    faults.each(
        "cell-text",
        rows[bad],
        header,
        (
            f"文字超过{longest}个字符或含换行、控制字符。",
            f"The text is longer than {longest} characters or holds a line break or control character.",
        ),
        ("请缩短或删去换行。", "Shorten it or remove the line break."),
    )
    if column.kind == "id":
        ruined = np.fromiter(
            (_SCIENTIFIC_ID.fullmatch(c) is not None for c in cells), bool, len(cells)
        )
        faults.each(
            "id-looks-rounded",
            rows[ruined],
            header,
            (
                "代码像是被电子表格改成了科学计数。",
                "The code looks as if a spreadsheet had rounded it.",
            ),
            ("请把该列设为文本格式后重新导出。", "Format the column as text and export again."),
            rank=Rank.WARNING,
        )
    return pd.Series(np.where(bad, "", cells), dtype="str")


def _choice(
    cells: Cells, column: Column, header: str, rows: np.ndarray, faults: Faults, _: bool
) -> pd.Series:
    words = {c.casefold(): c for c in column.choices} | {w.casefold(): c for w, c in column.aliases}
    words[""] = "" if column.required or column.default is None else str(column.default)
    chosen = object_cells([words.get(c.casefold()) for c in cells])
    unknown = np.fromiter((c is None for c in chosen), bool, len(chosen))
    if column.required:
        faults.each("cell-blank", rows[cells == ""], header, _BLANK, _FILL)
    zh = "、".join(w for w in column.answers if not w.isascii()) or "、".join(column.choices)
    en = ", ".join(column.choices)
    for row, cell in zip(rows[unknown], cells[unknown], strict=True):
        near = nearest(cell.casefold(), (w for w in words if w)) if len(cell) < 40 else None
        faults.add(
            "cell-not-a-choice",
            int(row),
            header,
            (f"“{cell[:40]}”不在可选值中。", f"{cell[:40]!r} is not one of the choices."),
            (
                (f"是否为“{near}”?" if near else "") + f"可选:{zh}。",
                (f"Did you mean {words[near]!r}? " if near else "") + f"Choices: {en}.",
            ),
        )
    return pd.Series(np.where(unknown, "", chosen), dtype="str")


def _number(
    cells: Cells, column: Column, header: str, rows: np.ndarray, faults: Faults, thousands: bool
) -> pd.Series:
    if thousands:
        cells = object_cells([c.replace(",", "") if _THOUSANDS.fullmatch(c) else c for c in cells])
    whole = column.kind in ("integer", "year")
    blank = cells == ""
    good = (
        pd.Series(cells, dtype="str")
        .str.fullmatch(_INTEGER if whole else _NUMBER)
        .to_numpy(dtype=bool, copy=True)
    )
    values = np.full(len(cells), np.nan)
    values[good] = cells[good].astype(np.float64)
    endless = np.isinf(values)
    values[endless], good[endless] = np.nan, False
    for row, cell in zip(rows[~good & ~blank], cells[~good & ~blank], strict=True):
        faults.add("cell-not-a-number", int(row), header, *_number_words(cell, whole))
    if column.required:
        faults.each("cell-blank", rows[blank], header, _BLANK, _FILL)
    elif column.default is not None:
        values[blank] = float(str(column.default))
    _check_bounds(values, column, header, rows, faults)
    if whole and (column.required or column.default is not None):
        return pd.Series(np.nan_to_num(values).astype(np.int64))
    return pd.Series(values)


def _check_bounds(
    values: np.ndarray, column: Column, header: str, rows: np.ndarray, faults: Faults
) -> None:
    low, high = column.minimum, column.maximum
    if column.kind == "share":
        low, high = 0.0, 1.0
    elif column.kind == "year":
        low, high = 1900.0, 2150.0
    with np.errstate(invalid="ignore"):
        under = values < low if low is not None else np.zeros(len(values), dtype=bool)
        over = values > high if high is not None else np.zeros(len(values), dtype=bool)
    bad = under | over
    for row, value in zip(rows[bad], values[bad], strict=True):
        negative = value < 0 and low == 0
        hint = ("", "")
        if column.unit == "degree" and abs(value) <= 180:
            hint = ("经度、纬度是否填反?", "Are lon and lat swapped? ")
        elif column.unit == "degree":
            hint = ("像是投影坐标(米)?", "Projected metres? ")
        elif column.kind == "share" and 1 < value <= 100:
            hint = ("像是百分数?", "A percentage? ")
        faults.add(
            "cell-negative" if negative else "cell-out-of-range",
            int(row),
            header,
            (
                f"{value:g}{'是负数' if negative else '超出范围'}。",
                f"{value:g} is {'negative' if negative else 'out of range'}.",
            ),
            (
                f"{hint[0]}应在{_bounds(low, high)}之间。",
                f"{hint[1]}It must lie in {_bounds(low, high)}.",
            ),
        )
    values[bad] = np.nan


def _bounds(low: float | None, high: float | None) -> str:
    return f"[{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"


def _number_words(cell: str, whole: bool) -> tuple[Words, Words]:
    """Say why a cell is no number and what to write instead."""
    shown = cell[:40]
    what = (
        f"“{shown}”不是{'整数' if whole else '数字'}。",
        f"{shown!r} is not a {'whole ' if whole else ''}number.",
    )
    narrow = unicodedata.normalize("NFKC", cell).replace(",", "")
    if cell.casefold().strip("+-") in (
        "nan",
        "inf",
        "infinity",
        "-",
        "—",
        "–",
        "n/a",
        "na",
        "null",
        "none",
        "无",
        "/",
        "",
    ):
        return what, ("没有数据请留空。", "Leave the cell blank where there is no figure.")
    if _THOUSANDS.fullmatch(cell):
        return what, (
            f"请去掉千分位逗号(写{narrow}),或在 case.yaml 中声明 thousands: true。",
            f"Write {narrow} without separators, or declare thousands: true in case.yaml.",
        )
    if re.fullmatch(_NUMBER, narrow) and not cell.isascii():
        return what, (
            f"请用半角数字,写{narrow}。",
            f"Write {narrow} with ordinary (half-width) digits.",
        )
    match = re.fullmatch(f"({_NUMBER})\\s*(\\D{{1,6}})", narrow)
    if match:
        return what, (
            f"单位写在表头,这里只写{match[1]}。",
            f"Write {match[1]} only; the unit belongs in the header.",
        )
    if whole and re.fullmatch(_NUMBER, cell):
        return what, ("请写整数。", "Write a whole number.")
    return what, ("请只写数字,如 12 或 12.5。", "Write digits only, such as 12 or 12.5.")


class _Reader(Protocol):
    def __call__(
        self,
        cells: Cells,
        column: Column,
        header: str,
        rows: np.ndarray,
        faults: Faults,
        thousands: bool,
        /,
    ) -> pd.Series: ...


_BLANK: Words = ("空白。", "The cell is blank.")
_FILL: Words = ("请填写。", "Fill it in.")
COLUMN_READERS: Mapping[str, _Reader] = {
    "id": _text, "text": _text, "choice": _choice,
    "integer": _number, "number": _number, "share": _number, "year": _number,
}  # fmt: skip


def default_values(column: Column, count: int) -> pd.Series:
    """Return ``count`` cells of a column that is not there."""
    if column.kind in ("id", "text", "choice"):
        return pd.Series([str(column.default or "")] * count, dtype="str")
    whole = column.kind in ("integer", "year")
    if whole and (column.required or column.default is not None):
        return pd.Series(np.full(count, int(str(column.default or 0)), dtype=np.int64))
    return pd.Series(
        np.full(count, np.nan if column.default is None else float(str(column.default)))
    )


class Faults:
    """Collects findings of one file, up to a limit, and counts the rest."""

    def __init__(self, where: Where, found: list[Finding]) -> None:
        self.where = where
        self.found = found
        self.more = 0
        # Cells at fault before they were read as a column: they are blank because of it.
        self.told = {(f.where.row, f.where.column) for f in found if f.rank is Rank.ERROR}

    def add(self, code: str, row: int | None, column: str, what: Words, remedy: Words) -> None:
        """Keep an error; that a cell is blank only where no other fault emptied it."""
        if code == "cell-blank" and (row, column) in self.told:
            return
        self._keep(error(code, self._at(row, column), what, remedy))

    def warn(self, code: str, row: int | None, column: str, what: Words, remedy: Words) -> None:
        """Keep a warning."""
        self._keep(warning(code, self._at(row, column), what, remedy))

    def note(self, code: str, row: int | None, column: str, what: Words, remedy: Words) -> None:
        """Keep a notice."""
        self._keep(notice(code, self._at(row, column), what, remedy))

    def each(
        self,
        code: str,
        rows: Iterable[int],
        column: str,
        what: Words,
        remedy: Words,
        rank: Rank = Rank.ERROR,
    ) -> None:
        """Keep one finding a row."""
        tell = self.add if rank is Rank.ERROR else self.warn
        for row in rows:
            tell(code, int(row), column, what, remedy)

    def all(self) -> list[Finding]:
        """Return the findings kept, and a last one that counts the rest."""
        if not self.more:
            return self.found
        what = (
            f"该文件另有{self.more:,}处问题未列出。",
            f"{plural(self.more, 'more fault', 'more faults')} of this file not listed.",
        )
        return [
            *self.found,
            error(
                "too-many-faults",
                self.where,
                what,
                ("请先改正已列出的问题。", "Mend those listed first."),
            ),
        ]

    def _at(self, row: int | None, column: str) -> Where:
        return Where(file=self.where.file, sheet=self.where.sheet, row=row, column=column)

    def _keep(self, finding: Finding) -> None:
        if len(self.found) < MAX_FINDINGS:
            self.found.append(finding)
        else:
            self.more += 1


def object_cells(cells: Sequence[str | None] | Iterable[str | None]) -> Cells:
    """Return cells as an object array."""
    listed = list(cells)
    out = np.empty(len(listed), dtype=object)
    out[:] = listed
    return out


def trimmed(cells: Cells) -> Cells:
    """Return cells without blanks around them."""
    return object_cells([c.strip() for c in cells])
