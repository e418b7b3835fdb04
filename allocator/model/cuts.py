"""Rows that whole sites keep anyway and a relaxation may not: they raise the bound, and change no plan.

Nested willingness: who accepts a far place accepts every nearer one. Split a need of D people into bands
alike in what they accept. Those who accept nothing farther than a level alpha are served nearby or not
at all, so beside the rows of `Acceptance` this holds per need, level alpha, set N of arcs with phi > alpha:

``sum over phi <= alpha of x + sum over N of (x - (phi - alpha) D sum of y) <= alpha D``

An open arc of N serves at most (phi - alpha) D people who would not go as far; all others it serves
are among the alpha D who would. With alpha = 0 and one arc it is that arc's link. A relaxation with a
column a band keeps all of these by itself; written where violated they cost far fewer columns.

Covers: a share of people in reach is reached by whole areas. With a set S of areas covered,
``beta = share * people - people of S`` is left to cover, and for any unit d > 0, with f the fraction of
beta / d, rounding gives

``sum over areas not in S of (floor(people / d) + min(frac(people / d), f) / f) v + short / (d f) >= ceil(beta / d)``

Source: mixed-integer rounding, Marchand and Wolsey (2001); with d above all people the knapsack covers
of Carr, Fleischer, Leung, Phillips (2000). Where areas are few, the strongest of all such rows is found by
listing every choice of areas (polarity, Balas 1998).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from allocator.model.columns import Columns
from allocator.model.highs import Linear, solve_linear
from allocator.model.rows import stretches
from allocator.problem import Problem
from allocator.rules import Acceptance, Coverage, Floats, Ints

__all__ = ["Cuts", "cuts_of"]

Cuts = Callable[[Floats], tuple[csr_array, Floats, Floats] | None]
"""Given the values of a relaxation: rows that they violate with lower and upper limits, or None."""

_TINY = 1e-9
_SLACK = 1e-3
"""Share of a row's limit by which it must be violated to be written."""
_VIOLATED = 1e-3
"""Share by which a cover, whose right side is 1, must be violated."""
_FEW = 10
"""Areas up to which every choice of them is listed."""


def cuts_of(problem: Problem, columns: Columns, links: csr_array) -> Cuts:
    """Return the cuts of a problem, from the link rows ``x <= phi D sum of y`` of all its arcs."""
    graded = any(isinstance(rule, Acceptance) for rule in problem.rules)
    bands = _nested(columns, links) if graded else None

    def violated(values: Floats) -> tuple[csr_array, Floats, Floats] | None:
        nested = bands.violated(values) if bands else None
        found = [] if nested is None else [nested]
        found += _covers(problem, columns, values)
        if not found:
            return None
        rows, lower, upper = zip(*found, strict=True)
        return csr_array(vstack(rows)), np.concatenate(lower), np.concatenate(upper)

    return violated


@dataclass(frozen=True, eq=False)
class _Nested:
    """Every (need, level) that may be cut; entries of a row stand together.

    Attributes
    ----------
    row, x
        (E,) the row of each entry and its position among the columns of people served.
    near
        (E,) most people the arc serves who go no farther than the level; 0 for the arcs beyond.
    limit
        (R,) alpha D.
    open
        (X, columns) the stints that offer each arc, as rows of ones.
    first
        Where the columns of people served begin.
    """

    row: Ints
    x: Ints
    near: Floats
    limit: Floats
    open: csr_array
    first: int

    def violated(self, values: Floats) -> tuple[csr_array, Floats, Floats] | None:
        """Return the strongest cut of each row that these values violate, None if there is none."""
        served = values[self.first : self.first + self.open.shape[0]][self.x]
        over = served - self.near * (self.open @ values)[self.x]
        kept = (self.near == 0) | (over > _TINY)
        excess = np.bincount(self.row, np.where(kept, over, 0.0), len(self.limit)) - self.limit
        cut = excess > _SLACK * self.limit + 1e-6
        if not cut.any():
            return None
        some = np.flatnonzero(kept & cut[self.row])
        row = (np.cumsum(cut) - 1)[self.row[some]]
        count = int(cut.sum())
        shape = (count, self.open.shape[1])
        people = coo_array((np.ones(len(some)), (row, self.first + self.x[some])), shape=shape)
        weight = coo_array((self.near[some], (row, self.x[some])), (count, self.open.shape[0]))
        rows = csr_array(people.tocsr() - weight.tocsr() @ self.open)
        return rows, np.full(count, -np.inf), self.limit[cut]


def _nested(columns: Columns, links: csr_array) -> _Nested:
    most = columns.upper[columns.x : columns.x + len(columns.x_arc)]
    of_stints = links[:, columns.y : columns.n].tocoo()
    open_ = csr_array(
        (np.ones(of_stints.nnz), (of_stints.row, columns.y + of_stints.col)), shape=links.shape
    )
    phi = columns.x_phi
    order = np.lexsort((phi, columns.x_cell))
    cell, level = columns.x_cell[order], phi[order]
    last = np.r_[(cell[1:] != cell[:-1]) | (level[1:] > level[:-1] + 1e-12), True]
    nearer = np.r_[cell[1:] == cell[:-1], False]
    end = np.flatnonzero(last & nearer)  # the last arc at a level that is not its need's highest
    first_of = np.searchsorted(cell, cell[end], "left")
    row, at = stretches(first_of, np.searchsorted(cell, cell[end], "right") - first_of)
    x = order[at]
    need = most[x] / phi[x]
    near = np.where(at <= end[row], 0.0, (phi[x] - level[end][row]) * need)
    # most = phi D: an arc at the level stands for alpha D people.
    return _Nested(row, x, near, most[order[end]], open_, columns.x)


def _covers(
    problem: Problem, columns: Columns, values: Floats
) -> Iterator[tuple[csr_array, Floats, Floats]]:
    """Yield covers of each rule of coverage and period that these values violate."""
    for rule in problem.rules:
        if not isinstance(rule, Coverage):
            continue
        covered = columns.of(rule.id, "covered")
        for t in range(covered.shape[1]):
            people = rule.people[:, t]
            goal = float(rule.share[t] * people.sum())
            short = np.zeros(0, np.int64)
            if not rule.is_hard:
                short = columns.of(rule.id, "short")[t]
            at = np.r_[covered[:, t], short]
            if goal <= 0:
                continue
            covers = _listed if len(people) <= _FEW else _rounded
            found = list(covers(people, goal, values[at]))
            if not found:
                continue
            weights = np.unique(np.round(found, 12), axis=0)
            rows = np.zeros((len(weights), columns.size))
            rows[:, at] = weights
            yield csr_array(rows), np.ones(len(rows)), np.full(len(rows), np.inf)


def _listed(people: Floats, goal: float, values: Floats) -> Iterator[Floats]:
    """Yield the cover most violated, and those that would be were one area more or fewer covered."""
    n = len(people)
    choice = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    missing = np.maximum(goal - choice @ people, 0.0) / goal
    if len(values) > n:
        points = np.column_stack([choice, missing])
    else:
        points = choice[missing <= _TINY].astype(float)
    size = points.shape[1]
    every = Linear(
        csr_array(points), np.ones(len(points)), np.full(len(points), np.inf),
        np.zeros(size), np.full(size, 1e3), np.zeros(size, bool),
    )  # fmt: skip
    scale = np.r_[np.ones(n), np.full(size - n, goal)]
    first = np.maximum(values, 0.0) / scale
    beside = np.repeat(first[None], 2 * n, axis=0)
    beside[np.arange(2 * n), np.arange(2 * n) // 2] = np.arange(2 * n) % 2
    for at in (first, *beside):
        out = solve_linear(every, at, relax=True)
        if out.values is None or out.value > 1 - _VIOLATED:
            if at is first:
                return
            continue
        yield out.values / scale


def _rounded(people: Floats, goal: float, values: Floats) -> Iterator[Floats]:
    """Yield for each number of surest areas the rounded cover, over all units, most violated."""
    n = len(people)
    order = np.lexsort((-people, -values[:n].round(6)))
    left = goal - np.r_[0.0, np.cumsum(people[order])]
    for k in np.flatnonzero(left > _TINY * goal):
        others, beta = order[k:], left[k]
        at = np.r_[others, np.arange(n, len(values))]
        best: tuple[float, Floats | None] = (1 - _VIOLATED, None)
        for unit in (*np.unique(people[others]), 2 * max(people.max(), beta)):
            part = beta / unit - np.floor(beta / unit) if unit > 0 else 0.0
            if part < 1e-3:  # a shortfall would weigh a thousand times its people
                continue
            whole = np.floor(people[others] / unit)
            weight = whole + np.minimum(people[others] / unit - whole, part) / part
            weight = np.r_[weight, np.full(len(values) - n, 1 / (unit * part))]
            weight /= np.ceil(beta / unit)
            if weight @ values[at] < best[0]:
                best = (float(weight @ values[at]), weight)
        if best[1] is not None:
            full = np.zeros(len(values))
            full[at] = best[1]
            yield full
