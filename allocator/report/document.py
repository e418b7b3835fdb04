"""`Document`: a report as data, before any format: chapters of blocks with text in both languages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from allocator.errors import NO_TEXT, Text
from allocator.report.cells import Cell, Quantity
from allocator.report.svg import Drawing

__all__ = [
    "Block",
    "Chapter",
    "Column",
    "Document",
    "Figure",
    "Items",
    "Note",
    "Page",
    "Paragraph",
    "Stat",
    "Stats",
    "Table",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a published table: id, heading, unit in each language, and how it is summed."""

    id: str
    title: Text
    unit: Text = NO_TEXT
    summed: bool = False
    wide: bool = False

    @property
    def heading(self) -> Text:
        """Heading with the unit in brackets."""
        if not self.unit.zh:
            return self.title
        return Text(f"{self.title.zh}（{self.unit.zh}）", f"{self.title.en} ({self.unit.en})")


@dataclass(frozen=True)
class Table:
    """A published table: cells by row, a total row where the columns add up, and a note."""

    id: str
    title: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    note: Text = NO_TEXT
    flagged: frozenset[int] = frozenset()

    def value(self, row: str, column: str) -> float:
        """Return the number in a row (by its first cell, Chinese or as is) and column."""
        n = [c.id for c in self.columns].index(column)
        for cells in (*self.rows, *((self.total,) if self.total else ())):
            first = cells[0]
            if (first.zh if isinstance(first, Text) else first) == row:
                cell = cells[n]
                if isinstance(cell, Quantity):
                    return cell.value
                raise KeyError(f"{self.id}: {row}, {column} is not a number: {cell}")
        raise KeyError(f"{self.id}: no row {row}")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``tone`` sets a warning or a side note apart."""

    text: Text
    tone: Literal["body", "note", "warning"] = "body"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Stat:
    """One headline number: what, value, and what it was today."""

    title: Text
    value: Text
    unit: Text
    before: Text


@dataclass(frozen=True, slots=True)
class Stats:
    """Headline numbers side by side."""

    stats: tuple[Stat, ...]


@dataclass(frozen=True)
class Figure:
    """A map or chart with its title and caption; ``words`` say in a sentence what it shows."""

    id: str
    title: Text
    drawing: Drawing
    words: Text = NO_TEXT
    is_map: bool = False


@dataclass(frozen=True)
class Page:
    """A page of its own inside a chapter, such as one site's (一点一表)."""

    id: str
    title: Text
    blocks: tuple[Paragraph | Items | Table | Figure, ...]


Block = Paragraph | Items | Stats | Table | Figure | Page


@dataclass(frozen=True)
class Chapter:
    """A titled run of blocks."""

    id: str
    title: Text
    blocks: tuple[Block, ...]
    annex: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: Text
    subtitle: Text
    disclaimer: Text
    map_footer: Text
    facts: tuple[tuple[Text, Text], ...]
    chapters: tuple[Chapter, ...]

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by its id; tables inside pages, which repeat them by site, are left out."""
        return {b.id: b for c in self.chapters for b in c.blocks if isinstance(b, Table)}

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure by its id."""
        return {b.id: b for c in self.chapters for b in c.blocks if isinstance(b, Figure)}


@dataclass(frozen=True)
class Note:
    """A study's own table for the report: flatter willingness curves, spread over placements.

    Parameters
    ----------
    id
        Stable id; also the name of its sheet.
    title, words
        Heading, and what the table says.
    table
        Numbers and text, columns as in ``columns``.
    columns
        Heading and kind (`cells.Kind`, or ``text``) by column; a column left out is not shown.
    lines
        (x, y, series) columns to draw as a line chart; ``series`` may be blank.
    """

    id: str
    title: Text
    words: Text
    table: pd.DataFrame
    columns: dict[str, tuple[Text, str]]
    lines: tuple[str, str, str] | None = None
    chapter: str = field(default="uncertainty")
