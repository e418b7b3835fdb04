"""Charts of many runs: frontier, tornado, regret. Shapes and numbers say all; colour adds nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from allocator.errors import Text
from allocator.report.svg import DEEP, GREY, INK, LIGHT, MUTED, PALE, PAPER, Drawing, text_width

__all__ = ["frontier_chart", "regret_chart", "tornado_chart"]

Written = Callable[[float], Text]
"""How a value is written in both languages."""


def frontier_chart(
    table: pd.DataFrame, cost: Text, gain: Text, write_cost: Written, write_gain: Written
) -> Drawing:
    """Runs by cost and gain: discs on the frontier, crosses dominated, a named star the chosen one.

    Parameters
    ----------
    table
        As `compare.frontier` gives it: name, cost, gain, dominated_by, is_chosen.
    """
    d = Drawing(760, 420, Text(f"{cost.zh}与{gain.zh}", f"{gain.en} by {cost.en}"))
    x_of, y_of = _scale(table.iloc[:, 1], 74, 690), _scale(table.iloc[:, 2], 356, 58)
    _legend(d, (("circle", Text("前沿方案", "on the frontier")), ("cross", Text("两项均不优于其他方案", "no better than another in both")), ("star", Text("所选方案", "the chosen plan"))))  # fmt: skip
    d.line(74, 366, 706, 366, GREY)
    d.line(64, 52, 64, 366, GREY)
    for value in _ticks(table.iloc[:, 1], write_cost):
        d.line(x_of(value), 366, x_of(value), 371, GREY)
        d.text(x_of(value), 386, write_cost(value), 11, anchor="middle", fill=MUTED)
    for value in _ticks(table.iloc[:, 2], write_gain):
        d.line(64, y_of(value), 706, y_of(value), LIGHT)
        d.text(58, y_of(value) + 4, write_gain(value), 11, anchor="end", fill=MUTED)
    d.text(706, 408, cost, 12, anchor="end", weight=600)
    d.text(64, 44, gain, 12, weight=600)
    line = table[table["dominated_by"] == ""]
    if len(line) > 1:
        d.path([(x_of(r[1]), y_of(r[2])) for r in line.itertuples(index=False)], stroke=DEEP, stroke_width=1.6)  # fmt: skip
    for r in table.itertuples(index=False):
        x, y = x_of(float(r[1])), y_of(float(r[2]))
        if r.dominated_by:
            d.mark("cross", x, y, 5, GREY, stroke=MUTED)
        else:
            d.mark("circle", x, y, 5, DEEP, stroke=PAPER, stroke_width=1)
    for r in table[table["is_chosen"]].itertuples(index=False):
        x, y = x_of(float(r[1])), y_of(float(r[2]))
        d.mark("star", x, y, 11, PAPER, stroke=INK, stroke_width=2)
        end = x > 480
        d.text(x - 14 if end else x + 14, y + 20, str(r.name), 12, anchor="end" if end else "start", weight=600, halo=True)  # fmt: skip
    return d


def tornado_chart(
    table: pd.DataFrame, measure: Text, write: Written, most: int = 12, *, titled: bool = True
) -> Drawing:
    """How far each assumption moves a measure: a bar from its low to its high end, both written.

    Parameters
    ----------
    table
        As `compare.tornado` gives it.
    most
        How many assumptions are drawn, the widest first.
    titled
        Whether the title stands in the drawing, not only in its description.
    """
    rows = table.head(most)
    d = Drawing(760, 66 + 34 * len(rows), Text(f"各项假设对{measure.zh}的影响", f"How far assumptions move {measure.en}"))  # fmt: skip
    if titled:
        d.text(6, 18, d.label, 13, weight=600)
    d.text(6, 36, Text("空心端为假设取低值，实心端为取高值；数字为该处的指标值。", "Open end: the assumption is low; filled end: it is high; figures are the measure there."), 11, fill=MUTED)  # fmt: skip
    both = pd.concat([rows["at_low"], rows["at_high"]])
    x_of = _scale(both, 320, 660)
    for n, r in enumerate(rows.itertuples(index=False)):
        y = 62 + 34 * n
        d.text(6, y, _named(r.setting), 12, weight=600)
        low, high = _short(r.low), _short(r.high)
        d.text(6, y + 14, Text(f"{low.zh} – {high.zh}", f"{low.en} – {high.en}"), 10.5, fill=MUTED)
        a, b = x_of(float(r.at_low)), x_of(float(r.at_high))
        d.rect(min(a, b), y - 6, max(abs(b - a), 1.0), 12, PALE, stroke=DEEP, stroke_width=1)
        d.circle(a, y, 5, PAPER, stroke=DEEP, stroke_width=2)
        d.circle(b, y, 5, DEEP, stroke=DEEP, stroke_width=2)
        left, right = (r.at_low, r.at_high) if a <= b else (r.at_high, r.at_low)
        d.text(min(a, b) - 9, y + 4, write(float(left)), 11, anchor="end")
        d.text(max(a, b) + 9, y + 4, write(float(right)), 11)
    return d


def regret_chart(table: pd.DataFrame, write: Written, *, titled: bool = True) -> Drawing:
    """Regret of plans (rows) in futures (columns): a number a cell, and a bar as long as it.

    Parameters
    ----------
    table
        As `compare.regret` gives it, names as text or in words; ``worst`` is the last column.
    titled
        Whether the title stands in the drawing, not only in its description.
    """
    futures = list(table.columns)
    rows = [_named(n) for n in table.index]
    left = 24 + max((text_width(t, 12) for n in rows for t in (n.zh, n.en)), default=0)
    wide = max(76.0, min(120.0, (740 - left) / max(len(futures), 1)))
    d = Drawing(left + wide * len(futures) + 16, 78 + 40 * len(table), Text("遗憾值：各方案在各情形下比最好的差多少", "Regret: how much worse than the best known, by future"))  # fmt: skip
    if titled:
        d.text(6, 18, d.label, 13, weight=600)
    top = max(float(table.max(axis=None, skipna=True)), 1e-12)
    for n, future in enumerate(futures):
        words = Text("最坏", "worst") if future == "worst" else _named(future)
        d.text(left + n * wide + 4, 46, words, 11.5, weight=600)
    for m, (_, row) in enumerate(table.iterrows()):
        y = 58 + 40 * m
        d.text(6, y + 14, rows[m], 12, weight=700 if m == 0 else 400)
        for n, future in enumerate(futures):
            x, value = left + n * wide + 4, float(row[future])
            if math.isnan(value):
                d.text(x, y + 14, Text("不成立", "does not hold"), 11.5, fill=MUTED)
                continue
            d.text(x, y + 14, write(value), 12, weight=600 if future == "worst" else 400)
            d.rect(x, y + 20, (wide - 14) * value / top, 7, DEEP if future == "worst" else GREY)
    return d


def _legend(d: Drawing, entries: Sequence[tuple[str, Text]]) -> None:
    x = 70.0
    for shape, words in entries:
        fill = DEEP if shape == "circle" else PAPER
        d.mark(shape, x, 18, 6, fill, stroke=INK if shape == "star" else MUTED, stroke_width=1.5)
        d.text(x + 14, 22, words, 12)
        x += 14 + max(text_width(words.zh, 12), text_width(words.en, 12)) + 30


def _scale(values: pd.Series, low: float, high: float) -> Callable[[float], float]:
    """Return where values lie between two ends of an axis."""
    least, most = float(values.min()), float(values.max())
    span = most - least or 1.0
    return lambda v: low + (high - low) * (v - least) / span


def _ticks(values: pd.Series, write: Written) -> list[float]:
    """Return up to five values along an axis, none of which is written like another."""
    least, most = float(values.min()), float(values.max())
    every = [least] if least == most else [least + (most - least) * n / 4 for n in range(5)]
    return list({write(v): v for v in reversed(every)}.values())


def _named(value: object) -> Text:
    return value if isinstance(value, Text) else Text(str(value), str(value))


def _short(value: object) -> Text:
    if not isinstance(value, float):
        return _named(value)
    return _named(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")
