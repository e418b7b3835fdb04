"""Rows that sites share as they are collected: triplets by block, and columns of their own.

What an objective counts besides its own costs, shortfalls and measures, is noted with its future, so that any
objective of a problem, and not only the first, may stand in a row: one held, or one that weighs risk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from allocator.problem import Objective, Problem
from allocator.rules import Floats, Held, Ints, Rule

__all__ = ["Risk", "SharedRows", "Sheet", "Shorts"]


@dataclass(frozen=True, eq=False)
class Risk:
    """A row a future, ``value[w] - level - excess[w] <= best[w]``: its prices (W,) weigh the futures.

    They add up to 1, or to the price of the row ``of`` where an objective held weighs risk, and each is at most
    ``most`` of that.
    """

    rows: Ints
    most: Floats
    of: int  # -1: the objective itself


@dataclass(frozen=True, eq=False)
class Shorts:
    """Columns of what priced rules lack: each alone in its row, on the side of ``sign`` (1: low, -1: high)."""

    column: Ints
    row: Ints
    sign: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedRows:
    """Sparse rows ``low <= A z <= high`` over all columns, and extra box columns.

    Rows from ``values`` on are of objectives: those held, and of risk over futures. ``short`` are columns of
    shortfalls; the others without an end are levels and excesses of risk.
    """

    y: csr_array  # (M, P)
    n: csr_array  # (M, F)
    x: csr_array | None  # (M, E)
    u: csr_array | None  # (M, B)
    v: csr_array | None  # (M, V)
    low: Floats
    high: Floats
    rule: tuple[tuple[str, int, int], ...]  # (id, first row, end)
    extra_cost: Floats
    extra_low: Floats
    extra_high: Floats
    short: Shorts
    risks: tuple[Risk, ...]
    values: int

    @property
    def has_values(self) -> bool:
        """Whether any row is of an objective."""
        return self.values < len(self.low)


class Sheet:
    """Triplets of the rows collected so far."""

    def __init__(self, pr: Problem, obj: Objective) -> None:
        self.pr, self.obj = pr, obj
        self.objectives = (
            obj,
            *(pr.objective(r.objective) for r in pr.rules if isinstance(r, Held)),
        )
        self.rows = 0
        self.extra = 0
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.rule: list[tuple[str, int, int]] = []
        self.parts: dict[str, list[tuple[Ints, Ints, Floats]]] = {k: [] for k in "ynxuv"}
        self.extra_cost: list[Floats] = []
        self.extra_low: list[Floats] = []
        self.extra_high: list[Floats] = []
        self.shorts: list[tuple[Ints, Ints, float]] = []  # columns, rows, sign
        # What an objective counts besides its own costs: columns, value of one, future (-1: all share it).
        self.lacks: list[tuple[Ints, Floats, Ints]] = []
        self.measures: dict[str, list[tuple[Ints, Floats, Ints]]] = {}
        self.risks: list[Risk] = []
        # What entry, period and need each column stands for.
        self.entry_arc = self.entry_group = self.entry_t = self.entry_w = np.zeros(0, np.int64)
        self.row_of: NDArray[np.int32] = np.zeros(0, np.int32)
        self.n_entries = self.n_needs = 0

    def open(
        self, rule: Rule, low: Floats | float, high: Floats | float, count: int,
        future: Ints | int = -1,
    ) -> Ints:  # fmt: skip
        """Start ``count`` rows for a rule; a priced rule gets a shortfall column a row, of all futures or one."""
        at = np.arange(self.rows, self.rows + count)
        low = np.broadcast_to(np.asarray(low, float), count).copy()
        high = np.broadcast_to(np.asarray(high, float), count).copy()
        self.low.append(low)
        self.high.append(high)
        self.rule.append((rule.id, self.rows, self.rows + count))
        self.rows += count
        if rule.price is not None:
            for some, sign in ((np.isfinite(low), 1.0), (np.isfinite(high), -1.0)):
                col = self.columns(int(some.sum()), 0.0, 0.0, np.inf)
                self.put("v", at[some], col, np.full(len(col), sign))
                self.shorts.append((col, at[some], sign))
                of = np.broadcast_to(np.asarray(future), count)[some]
                self.lacks.append((col, np.full(len(col), rule.price), of))
        return at

    def measure(self, rule: Rule, col: Ints, value: float, future: int) -> None:
        """Note what one of each column adds to an objective that counts a measure, in which future."""
        found = self.measures.setdefault(rule.id, [])
        found.append((col, np.full(len(col), value), np.full(len(col), future)))

    def counts(self, objective: Objective) -> list[tuple[Ints, Floats, Ints]]:
        """Return columns, what one adds to an objective, and the future."""
        found = list(self.lacks) if objective.shortfalls else []
        if objective.epigraph is not None:
            weight = objective.epigraph_weight
            of = self.measures.get(objective.epigraph, [])
            found += [(col, value * weight, future) for col, value, future in of]
        return found

    def wants(self, rule: Rule) -> bool:
        """Whether an objective counts a measure."""
        return any(o.epigraph == rule.id and o.epigraph_weight != 0.0 for o in self.objectives)

    def columns(self, count: int, cost: Floats | float, low: float, high: Floats | float) -> Ints:
        """Start ``count`` columns from ``low`` to ``high``; return their positions."""
        at = np.arange(self.extra, self.extra + count)
        self.extra += count
        self.extra_cost.append(np.broadcast_to(np.asarray(cost, float), count).copy())
        self.extra_low.append(np.full(count, float(low)))
        self.extra_high.append(np.broadcast_to(np.asarray(high, float), count).copy())
        return at

    def put(self, block: str, row: Ints, col: Ints, value: Floats | float) -> None:
        """Add a value a row and column of a block: ``y``, ``n``, ``x``, ``u``, or ``v`` for columns of rows."""
        row, col, value = np.broadcast_arrays(row, col, np.asarray(value, float))
        self.parts[block].append((row.ravel(), col.ravel(), value.ravel()))

    def made(self, values: int) -> SharedRows:
        """Return all rows; those from ``values`` on are of objectives."""
        pr, parts = self.pr, self.parts
        x = self._matrix("x", self.n_entries) if parts["x"] else None
        u = self._matrix("u", self.n_needs) if parts["u"] else None
        v = self._matrix("v", self.extra) if self.extra else None
        return SharedRows(
            y=self._matrix("y", len(pr.stint_site)), n=self._matrix("n", len(pr.offer_stint)),
            x=x, u=u, v=v, low=_join(self.low), high=_join(self.high), rule=tuple(self.rule),
            extra_cost=_costs(self), extra_low=_join(self.extra_low),
            extra_high=_join(self.extra_high), short=_shorts(self), risks=tuple(self.risks),
            values=values,
        )  # fmt: skip

    def _matrix(self, block: str, n: int) -> csr_array:
        if not self.parts[block]:
            return csr_array((self.rows, n))
        row, col, val = (np.concatenate(p) for p in zip(*self.parts[block], strict=True))
        made = coo_array((val, (row, col)), shape=(self.rows, n)).tocsr()
        made.eliminate_zeros()
        return made


def _join(parts: Iterable[Floats]) -> Floats:
    parts = list(parts)
    return np.concatenate(parts) if parts else np.zeros(0)


def _shorts(s: Sheet) -> Shorts:
    col, row, sign = zip(*s.shorts, strict=True) if s.shorts else ((), (), ())
    ones = [np.full(len(c), v) for c, v in zip(col, sign, strict=True)]
    whole = np.zeros(0, np.int64)
    return Shorts(np.concatenate([whole, *col]), np.concatenate([whole, *row]), _join(ones))


def _costs(s: Sheet) -> Floats:
    """Return what each extra column costs in the objective; what risk weighs costs nothing by itself."""
    cost = _join(s.extra_cost)
    chance = np.append(
        s.pr.future_weight if s.obj.risk == "expected" else 0.0 * s.pr.future_weight, 1.0
    )
    for col, value, future in s.counts(s.obj):
        np.add.at(cost, col, value * chance[future])
    return cost
