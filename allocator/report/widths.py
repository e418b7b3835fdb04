"""Widths of a table's columns on paper: none narrower than its longest word, and what size that takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from allocator.report.cells import Quantity, written
from allocator.report.document import Table

__all__ = ["Layout", "broken", "laid_out"]

PADDING = 0.95
"""White space beside a cell's text, both sides together, em."""
LONGEST = 11.0
"""A word longer than this (em) is broken rather than given a column of its own width."""
WHOLE, HEAD = 6.1, 4.1
"""Chinese characters that stay together (em): six in a cell, the name of a service; four in a heading."""
EASE = 0.4
"""Share of what columns like beyond what they need that is worth a smaller text."""
BOLD = 1.08
MOST_UPRIGHT = 11
"""Columns that a table may have on an upright page."""
_WORD = re.compile(r"(?:[^\s\-\u2e80-\uffff]|-(?=\d))+-?|[\u2e80-\uffff]")
_NARROW, _BROAD = set("iljtfrI.,:;'|()[] 1"), set("mwMW@%—…")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table stands on paper: size of its text (pt), page on its side or not, widths (em)."""

    size: float
    is_wide: bool
    widths: tuple[float, ...]


def laid_out(
    table: Table,
    language: str,
    *,
    room: float,
    wide_room: float,
    sizes: Sequence[float],
    most: int = MOST_UPRIGHT,
) -> Layout:
    """Return the largest size at which every word of a table has room, upright before on its side.

    Parameters
    ----------
    room, wide_room
        Width of the text on an upright page and on one on its side, pt.
    sizes
        Sizes of text that may be taken, pt, the largest first.
    most
        Columns that a table may have upright.
    """
    columns = [_column(table, n, language) for n in range(len(table.columns))]
    upright = [] if len(columns) > most else [(s, False, room / s) for s in sizes]
    tries = [*upright, *((s, True, wide_room / s) for s in sizes)]
    least, liked = sum(low for low, _ in columns), sum(high for _, high in columns)
    easy = least + EASE * (liked - least)
    fitting = [t for t in tries if least <= t[2]] or tries[-1:]
    near = [t for t in fitting if t[1] == fitting[0][1]]
    size, is_wide, em = next((t for t in near if easy <= t[2]), near[-1])
    return Layout(size, is_wide, _shared(columns, em))


def _shared(columns: Sequence[tuple[float, float]], room: float) -> tuple[float, ...]:
    """Give each column what it needs, then share the rest by what each would like."""
    least, liked = sum(low for low, _ in columns), sum(high for _, high in columns)
    if least >= room:
        return tuple(low * room / least for low, _ in columns)
    if liked <= room:
        return tuple(high * room / liked for _, high in columns)
    part = (room - least) / (liked - least)
    return tuple(low + (high - low) * part for low, high in columns)


def _column(table: Table, n: int, language: str) -> tuple[float, float]:
    """Return the least and the liked width of a column, em."""
    head = table.columns[n].heading.in_language(language)
    rows = [*table.rows, *((table.total,) if table.total else ())]
    cells = [written(r[n]).in_language(language) for r in rows if r[n] is not None]
    is_number = any(isinstance(r[n], Quantity) for r in table.rows)
    lengths = sorted(_em(c) for c in cells) or [0.0]
    longest = lengths[-1]
    if not is_number:  # long text may wrap, short text should not
        usual = lengths[3 * len(lengths) // 4 if len(lengths) > 3 else -1]
        longest = min(longest, 9.0) + 0.4 * min(max(usual - 9.0, 0.0), 60.0)
    word = max((_least(c, is_number) for c in cells), default=0.0)
    least = max(word, BOLD * _least(head, False, HEAD), 2.2)
    return least + PADDING, max(longest, least, BOLD * min(_em(head), 4.6)) + 1.8


def _least(text: str, is_number: bool, whole: float = WHOLE) -> float:
    """Return what a text needs: its longest word, and some Chinese characters together."""
    if is_number:
        return min(_em(text), LONGEST)
    words = max((_em(w) for w in _WORD.findall(text)), default=0.0)
    return max(
        min(words, LONGEST), min(_em(text), whole) if re.search(r"[\u3400-\u9fff]", text) else 0.0
    )


def _em(text: str) -> float:
    """Return the width of a text, em, rather too wide than too narrow."""
    return sum(_wide(c) for c in text)


def _wide(char: str) -> float:
    if ord(char) > 0x2E7F:
        return 1.0
    if char in _NARROW:
        return 0.36 if char != "1" else 0.56
    if char in _BROAD:
        return 0.95
    return 0.66 if char.isupper() else 0.56


def broken(text: str) -> str:
    """Return a text whose words longer than a column may be broken where a line ends."""

    def cut(found: re.Match[str]) -> str:
        word = found[0]
        return word if _em(word) <= LONGEST else "\u200b".join(word)

    return _WORD.sub(cut, text)
