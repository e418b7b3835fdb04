"""Cells of published tables: one value, one kind, one way to write it in each language.

Every format of the report (page, sheet, layer, document) starts from these cells, so a number is the
same number everywhere. Counts of people under five are withheld, with a second cell where a sum
would give the first away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from allocator.errors import Finding, InputRefused, Rank, Text, Where

__all__ = [
    "FEW",
    "SMALLEST",
    "WITHHELD",
    "Cell",
    "Kind",
    "Quantity",
    "clean",
    "money_text",
    "plain",
    "withhold",
    "written",
]

Kind = Literal[
    "count", "people", "people1", "share", "change", "money", "yuan", "minutes", "decimal", "index", "year", "gap",
    "exact",
]  # fmt: skip
FEW, WITHHELD = "<5", "*"
SMALLEST = 5.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its kind; ``money`` is in yuan and shown in 万元 or million yuan."""

    value: float
    kind: Kind


Cell = Quantity | Text | str | None


def written(cell: Cell) -> Text:
    """Return a cell as readers see it, in Chinese and in English."""
    if cell is None:
        return Text("—", "—")
    if isinstance(cell, Text):
        return cell
    if isinstance(cell, str):
        return Text(cell, cell)
    v, kind = cell.value, cell.kind
    if math.isnan(v):
        return Text("—", "—")
    if kind == "money":
        return Text(_number(v / 1e4, 1), _number(v / 1e6, 3))
    if kind == "exact":
        return _same(f"{v:,.10g}".replace("-", "\N{MINUS SIGN}"))
    if kind == "year":
        return _same(str(int(v)))
    if kind == "share":
        return _same(_number(100 * v, 1) + "%")
    if kind == "gap":
        return _same(_number(100 * v, 3) + "%")
    if kind == "change":
        points = _number(100 * v, 1)
        sign = "+" if v > 0 and points != "0.0" else ""
        return _same(f"{sign}{points}")
    places = {
        "count": 0,
        "people": 0,
        "people1": 1,
        "yuan": 1,
        "minutes": 1,
        "decimal": 1,
        "index": 3,
    }[kind]
    return _same(_number(v, places))


def _same(text: str) -> Text:
    return Text(text, text)


def _number(value: float, places: int) -> str:
    """Thousands separated, a true minus sign, never ``-0``."""
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):
        text = text.removeprefix("-")
    return text.replace("-", "\N{MINUS SIGN}")


def money_text(yuan: float) -> Text:
    """Return an amount with its unit, for running text."""
    shown = written(Quantity(yuan, "money"))
    return Text(f"{shown.zh} 万元", f"{shown.en} million yuan")


def plain(cell: Cell) -> float | str:
    """Return a cell for a sheet: the number in the unit shown (money in 万元)， or text."""
    if isinstance(cell, Quantity):
        if math.isnan(cell.value):
            return "—"
        return cell.value / 1e4 if cell.kind == "money" else cell.value
    return written(cell).zh


def withhold(
    rows: Sequence[Sequence[Cell]], sums: Sequence[Sequence[int]], *, totals: bool = True
) -> list[list[Cell]]:
    """Return rows with counts of people under five withheld.

    Parameters
    ----------
    rows
        Cells; those of kind ``people`` are judged.
    sums
        Groups of column positions, the first the sum of the others: where one of a group is
        withheld, a second one is too.
    totals
        Whether column totals are published, so that a lone withheld cell of a column needs a second.
    """
    out = [list(row) for row in rows]
    for row in out:
        for n, cell in enumerate(row):
            if _is_people(cell) and 0 < round(_value(cell), 6) < SMALLEST:
                row[n] = FEW
    columns = sorted({n for row in rows for n, cell in enumerate(row) if _is_people(cell)})
    changed = True
    while changed:
        changed = any([_guard_row(row, group) for row in out for group in sums])
        if totals:
            changed = any([_guard_column(out, n) for n in columns]) or changed
    return out


def _is_people(cell: Cell) -> bool:
    return isinstance(cell, Quantity) and cell.kind == "people"


def _value(cell: Cell) -> float:
    return cell.value if isinstance(cell, Quantity) else math.nan


def _guard_row(row: list[Cell], group: Sequence[int]) -> bool:
    hidden = [n for n in group if row[n] in (FEW, WITHHELD)]
    if len(hidden) != 1:
        return False
    others = [n for n in group[1:] if _is_people(row[n])] or [
        n for n in group if _is_people(row[n])
    ]
    if not others:
        return False
    row[min(others, key=lambda n: _value(row[n]))] = WITHHELD
    return True


def _guard_column(rows: list[list[Cell]], n: int) -> bool:
    hidden = [row for row in rows if row[n] in (FEW, WITHHELD)]
    if len(hidden) != 1:
        return False
    shown = [row for row in rows if _is_people(row[n]) and _value(row[n]) > 0]
    if not shown:
        return False
    min(shown, key=lambda row: _value(row[n]))[n] = WITHHELD
    return True


def clean(texts: Iterable[tuple[str, str]]) -> None:
    """Refuse control characters in (where, text) pairs: no format can lay them out.

    Raises
    ------
    InputRefused
        Naming every text that has one.
    """
    found = []
    for where, text in texts:
        if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in text):
            found.append(
                Finding(
                    Rank.ERROR, "control-character", Where(column=where, id=repr(text)[:60]),
                    Text("名称中含控制字符。", "The text holds a control character."),
                    Text("请删除后重新计算。", "Remove it and run again."),
                )
            )  # fmt: skip
    if found:
        raise InputRefused(tuple(found))
