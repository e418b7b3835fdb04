"""Charts of runs as drawings: each says its numbers beside its marks, so none needs colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from allocator.errors import Text
from allocator.report.cells import Quantity, written
from allocator.report.svg import (
    BLUE,
    DEEP,
    GREY,
    INK,
    LIGHT,
    MUTED,
    ORANGE,
    PALE,
    PAPER,
    SAND,
    Drawing,
    broken_at,
    text_width,
)
from allocator.report.words import short_town

__all__ = [
    "bands",
    "bed_use",
    "dumbbells",
    "line_chart",
    "need_bars",
    "small_multiples",
    "spread",
    "stacked",
]

FILLS = (DEEP, PALE, BLUE, SAND, GREY, ORANGE, LIGHT)


def small_multiples(title: Text, panels: Sequence[tuple[Text, Sequence[int], Sequence[Quantity]]]) -> Drawing:  # fmt: skip
    """One small line a figure over the years, its values written at the points."""
    across, wide, tall = 3, 246, 138
    rows = -(-len(panels) // across)
    d = Drawing(760, rows * tall + 4, title)
    for n, (name, years, values) in enumerate(panels):
        x0, y0 = (n % across) * (wide + 11), (n // across) * tall
        d.rect(x0, y0 + 2, wide, tall - 12, PAPER, stroke=LIGHT, stroke_width=1)
        d.text(x0 + 10, y0 + 21, name, 12, weight=600)
        top = max((q.value for q in values), default=1.0) or 1.0
        left, right, low, high = x0 + 34, x0 + wide - 34, y0 + tall - 36, y0 + 56
        step = (right - left) / max(len(values) - 1, 1)
        points = [(left + i * step, low - (low - high) * max(q.value, 0) / top) for i, q in enumerate(values)]  # fmt: skip
        d.line(x0 + 10, low, x0 + wide - 10, low, LIGHT)
        d.path(points, stroke=DEEP, stroke_width=2)
        for i, ((x, y), q, year) in enumerate(zip(points, values, years, strict=True)):
            d.circle(x, y, 4, PAPER if i == 0 else DEEP, stroke=DEEP, stroke_width=2)
            d.text(x, y - 9, written(q), 11.5, anchor="middle", weight=600, halo=True)
            d.text(x, low + 15, str(year), 10.5, anchor="middle", fill=MUTED)
    return d


def _legend(d: Drawing, y: float, entries: Sequence[tuple[str, Text]], x: float = 6) -> None:
    for fill, words in entries:
        d.rect(x, y - 10, 14, 11, fill, stroke=MUTED, stroke_width=0.6)
        d.text(x + 20, y, words, 12)
        x += 20 + max(text_width(words.zh, 12), text_width(words.en, 12)) + 22


def bed_use(title: Text, rows: Sequence[tuple[Text, float, float, float]]) -> Drawing:
    """Places by plan: filled as assigned, filled by free choice, and the whole bar."""
    d = Drawing(760, 40 + 52 * len(rows), title)
    _legend(
        d, 16,
        [(DEEP, Text("规划安排入住", "Filled, as assigned")), (BLUE, Text("自由选择入住", "Filled, free choice")), (PAPER, Text("全部床位", "All places"))],
    )  # fmt: skip
    top = max((places for _, places, _, _ in rows), default=1) or 1
    left, room = 196, 420
    for n, (name, places, own, free) in enumerate(rows):
        y = 36 + n * 52
        for at, line in _lines(name, 186, 12.5):
            d.text(left - 10, y + at, line, 12.5, anchor="end")
        scale = room / top
        d.rect(left, y, places * scale, 34, PAPER, stroke=MUTED, stroke_width=1)
        d.rect(left, y + 2, own * scale, 14, DEEP)
        d.rect(left, y + 18, free * scale, 14, BLUE)
        x = left + places * scale + 8
        d.text(x, y + 14, Text(f"共 {places:,.0f} 张", f"{places:,.0f} places"), 11.5, weight=600)
        d.text(
            x,
            y + 29,
            Text(f"自由选择下空置 {places - free:,.0f}", f"{places - free:,.0f} empty"),
            11,
            fill=MUTED,
        )
    return d


def need_bars(
    title: Text,
    services: Sequence[Text],
    rows: Sequence[tuple[Text, Sequence[tuple[float, float | None]]]],
) -> Drawing:
    """Served share of need by township, one column a service; ``rows`` hold (need, share).

    A share of None is withheld and drawn as an empty track.
    """
    d = Drawing(760, 64 + 22 * len(rows), title)
    _legend(d, 16, [(PALE, Text("需求（满格为 100%）", "Need (full: 100%)")), (DEEP, Text("已满足", "Served"))])  # fmt: skip
    left = 126.0
    wide = (760 - left) / len(services)
    for s, name in enumerate(services):
        d.text(left + s * wide, 44, name, 12, weight=600)
        room = wide - 104
        for n, (_, both) in enumerate(rows):
            y = 52 + n * 22
            need, share = both[s]
            x = left + s * wide
            d.rect(x, y, room, 14, PALE)
            of = written(Quantity(need, "people")).zh if need >= 5 else "<5"
            if share is None:
                d.text(x + room + 6, y + 11, Text(f"* / {of}", f"* of {of}"), 10.5, fill=MUTED)
                continue
            d.rect(x, y + 3, room * min(share, 1.0), 8, DEEP)
            words = f"{100 * share:.0f}%"
            d.text(x + room + 6, y + 11, Text(f"{words} / {of} 人", f"{words} of {of}"), 10.5, fill=MUTED)  # fmt: skip
    for n, (name, _) in enumerate(rows):
        d.text(left - 8, 63 + n * 22, _short(short_town(name), 118, 11.5), 11.5, anchor="end")
    return d


def stacked(title: Text, bars: Sequence[tuple[Text, Sequence[float]]], parts: Sequence[Text]) -> Drawing:  # fmt: skip
    """Money by part, one bar a row; each part labelled where it has room, and in a legend."""
    d = Drawing(760, 46 + 46 * len(bars), title)
    _legend(d, 16, [(FILLS[n % len(FILLS)], p) for n, p in enumerate(parts)])
    left, room = 150, 480
    top = max((sum(v) for _, v in bars), default=1) or 1
    for n, (name, values) in enumerate(bars):
        y, x = 36 + n * 46, float(left)
        d.text(left - 10, y + 19, name, 12.5, anchor="end")
        for k, v in enumerate(values):
            w = v / top * room
            fill = FILLS[k % len(FILLS)]
            d.rect(x, y, w, 28, fill, stroke=PAPER, stroke_width=1)
            label = written(Quantity(v, "money"))
            if w > text_width(label.en, 10.5) + 8:
                ink = PAPER if fill in (DEEP, BLUE, ORANGE) else INK
                d.text(x + w / 2, y + 18, label, 10.5, anchor="middle", fill=ink)
            x += w
        total = written(Quantity(sum(values), "money"))
        words = Text(f"{total.zh} 万元", f"{total.en} m yuan")
        d.text(x + 8, y + 18, words, 11.5, weight=600)
    return d


def dumbbells(title: Text, rows: Sequence[tuple[Text, float | None, float | None]]) -> Drawing:
    """Served share by township, today to the end; who loses is drawn hollow; None is withheld."""
    d = Drawing(760, 66 + 21 * len(rows), title)
    d.circle(14, 12, 5, GREY)
    d.text(26, 16, Text("现状", "Today"), 12)
    d.circle(94, 12, 5, DEEP)
    d.text(106, 16, Text("规划期末：提高", "End: gains"), 12)
    d.mark("diamond", 220, 12, 5, PAPER, stroke=ORANGE, stroke_width=2)
    d.text(232, 16, Text("规划期末：下降", "End: loses"), 12)
    left, room = 156, 530
    low = 50 + 21 * len(rows)
    for k in range(0, 101, 20):
        x = left + room * k / 100
        d.line(x, 34, x, low, LIGHT)
        d.text(x, low + 14, f"{k}%", 10.5, anchor="middle", fill=MUTED)
    for n, (name, before, after) in enumerate(rows):
        y = 46 + n * 21
        if before is None or after is None:
            d.text(left + 4, y + 4, "*", 11.5, fill=MUTED)
            d.text(left - 12, y + 4, _short(short_town(name), 146, 11.5), 11.5, anchor="end")
            continue
        a, b = (left + room * min(max(v, 0), 1) for v in (before, after))
        d.text(left - 12, y + 4, _short(short_town(name), 146, 11.5), 11.5, anchor="end")
        loses = after < before - 5e-4
        d.line(a, y, b, y, ORANGE if loses else BLUE, 3)
        d.circle(a, y, 4.5, GREY)
        d.mark("diamond" if loses else "circle", b, y, 5, PAPER if loses else DEEP, stroke=ORANGE if loses else DEEP, stroke_width=2)  # fmt: skip
    return d


def line_chart(title: Text, table: pd.DataFrame, x: str, y: str, series: str, words: tuple[Text, Text], titles: Mapping[str, Text] | None = None) -> Drawing:  # fmt: skip
    """Lines of y over x, one a series, each named at its end and told apart by its dashes."""
    d = Drawing(760, 330, title)
    left, right, low, high = 64.0, 560.0, 270.0, 34.0
    xs, ys = table[x].astype(float), table[y].astype(float)
    x0, x1 = xs.min(), max(xs.max(), xs.min() + 1e-9)
    top = max(ys.max(), 1e-9)
    bottom = min(ys.min(), 0.0)

    def at(u: float, v: float) -> tuple[float, float]:
        return (
            left + (right - left) * (u - x0) / (x1 - x0),
            low - (low - high) * (v - bottom) / (top - bottom),
        )

    for k in range(5):
        v = bottom + (top - bottom) * k / 4
        _, py = at(x0, v)
        d.line(left, py, right, py, LIGHT)
        d.text(left - 8, py + 4, f"{v:,.2f}" if top <= 2 else f"{v:,.0f}", 10.5, anchor="end", fill=MUTED)  # fmt: skip
    for u in sorted(set(xs))[:: max(1, len(set(xs)) // 8)]:
        px, _ = at(u, bottom)
        d.text(px, low + 16, f"{u:g}", 10.5, anchor="middle", fill=MUTED)
    d.text(left, 18, words[1], 12, fill=MUTED)
    d.text((left + right) / 2, low + 38, words[0], 12, anchor="middle", fill=MUTED)
    groups = [("", table)] if not series else list(table.groupby(series, sort=True))
    ends: list[float] = []
    dashes = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4")
    for n, (name, part) in enumerate(groups):
        part = part.sort_values(x)
        points = [at(float(u), float(v)) for u, v in zip(part[x], part[y], strict=True)]
        stroke = (DEEP, ORANGE, BLUE, GREY, INK)[n % 5]
        d.path(points, stroke=stroke, stroke_width=2, stroke_dasharray=dashes[n % 6] or "none")
        for px, py in points:
            d.circle(px, py, 2.6, stroke)
        end = points[-1][1]
        while any(abs(end - e) < 14 for e in ends):
            end += 14
        ends.append(end)
        label = (titles or {}).get(str(name), Text(str(name), str(name)))
        d.text(right + 10, end + 4, _short(label, 186, 11.5), 11.5, fill=INK)
    return d


def bands(title: Text, years: Sequence[int], series: Sequence[tuple[Text, Sequence[float], Sequence[float], Sequence[float]]], unit: Text) -> Drawing:  # fmt: skip
    """Lines over the years, each with the range (lowest, highest) drawn behind it."""
    d = Drawing(760, 300, title)
    left, right, low, high = 84.0, 590.0, 252.0, 34.0
    step = _round_step(max((v for _, _, _, most in series for v in most), default=1.0) * 1.04 / 4)
    top = 4 * step
    span = max(years[-1] - years[0], 1)

    def at(year: float, v: float) -> tuple[float, float]:
        return left + 26 + (right - left - 52) * (year - years[0]) / span, low - (
            low - high
        ) * v / top

    d.text(left, 18, unit, 12, fill=MUTED)
    for k in range(5):
        v = step * k
        _, y = at(years[0], v)
        d.line(left, y, right, y, LIGHT)
        d.text(left - 8, y + 4, written(Quantity(v, "people")), 10.5, anchor="end", fill=MUTED)
    for year in years:
        x, _ = at(year, 0)
        d.text(x, low + 18, str(year), 10.5, anchor="middle", fill=MUTED)
    for n, (name, values, least, most) in enumerate(series):
        stroke = (DEEP, ORANGE, BLUE)[n % 3]
        there = [at(y, v) for y, v in zip(years, most, strict=True)]
        back = [at(y, v) for y, v in zip(reversed(years), reversed(list(least)), strict=True)]
        d.path([*there, *back], (PALE, SAND, LIGHT)[n % 3], True, fill_opacity=0.7)
        points = [at(y, v) for y, v in zip(years, values, strict=True)]
        d.path(points, stroke=stroke, stroke_width=2, stroke_dasharray=("none", "7 3", "2 3")[n % 3])  # fmt: skip
        for (x, y), v in zip(points, values, strict=True):
            d.circle(x, y, 3, stroke)
            d.text(x, y - 8, written(Quantity(v, "people")), 10.5, anchor="middle", halo=True)
        d.text(right + 14, points[-1][1] + 4, name, 12, fill=INK)
    return d


def _round_step(value: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(k * power for k in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if k * power >= value - 1e-9)


def spread(title: Text, panels: Sequence[tuple[Text, Sequence[tuple[Text, Sequence[Quantity], Quantity]]]]) -> Drawing:  # fmt: skip
    """One panel a figure: each plan's values over the repeats as ticks on a bar, the middle bold."""
    rows = max((len(p[1]) for p in panels), default=0)
    wide, tall = 374.0, 50.0 + 30 * rows
    d = Drawing(760, tall * -(-len(panels) // 2), title)
    for n, (name, entries) in enumerate(panels):
        x0, y0 = (n % 2) * (wide + 12), (n // 2) * tall
        d.text(x0, y0 + 16, name, 12, weight=600)
        values = [q.value for _, qs, _ in entries for q in qs]
        least, most = min(values, default=0.0), max(values, default=1.0)
        left, room = x0 + 116, wide - 116 - 44
        scale = room / (most - least) if most > least else 0.0
        for k, (plan, quantities, middle) in enumerate(entries):
            y = y0 + 40 + k * 30
            at = [left + (q.value - least) * scale for q in quantities]
            d.text(left - 20, y + 4, _short(plan, 96, 11), 11, anchor="end")
            d.rect(min(at), y - 5, max(max(at) - min(at), 1.0), 10, PALE)
            for x in at:
                d.line(x, y - 5, x, y + 5, BLUE, 1)
            x = left + (middle.value - least) * scale
            d.line(x, y - 9, x, y + 9, DEEP, 2.4)
            d.text(x, y - 11, written(middle), 10, anchor="middle", weight=600, halo=True)
    return d


def _lines(name: Text, room: float, size: float) -> list[tuple[float, Text]]:
    """Return a name in one line, or in two where it is too long for one, with their places."""
    if max(text_width(name.zh, size), text_width(name.en, size)) <= room:
        return [(22.0, name)]
    zh, en = (_halves(v, room, size) for v in (name.zh, name.en))
    return [(14.0, Text(zh[0], en[0])), (30.0, Text(zh[1], en[1]))]


def _halves(text: str, room: float, size: float) -> tuple[str, str]:
    first, *rest = broken_at(text, size, room)
    glue = " " if text.isascii() else ""
    return first, _cut(glue.join(rest), room, size)


def _short(text: Text, room: float, size: float) -> Text:
    return Text(*(_cut(v, room, size) for v in (text.zh, text.en)))


def _cut(text: str, room: float, size: float) -> str:
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text + "…"
