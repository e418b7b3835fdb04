"""A plan fast where branching is slow: dive along the relaxation, then mend small parts exactly.

The relaxation, tightened by links, gives the bound. From its basis sites are fixed a part at a
time, the surest first, until every site has its path; places are made whole; then the sites the
relaxation was least sure of are freed again, a few at a time, and solved exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from allocator.model.columns import Columns
from allocator.model.highs import Hot, Linear, Outcome, solve_linear
from allocator.plan import Status, relative_gap
from allocator.problem import Problem
from allocator.rules import Floats, Ints

__all__ = ["dive"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Paths:
    """Every path of stints of every site, sorted by site; ``uses`` (paths, P)."""

    site: Ints
    stints: tuple[tuple[int, ...], ...]


def dive(
    problem: Problem,
    columns: Columns,
    hot: Hot,
    linear: Linear,
    cost: Floats,
    *,
    gap: float,
    seed: int,
    rounds: int = 6,
    mends: int = 2,
    say: Callable[[str], None] | None = None,
) -> Outcome | None:
    """Return a plan's values and the relaxation's bound, or None where no plan came of it.

    Parameters
    ----------
    hot
        The relaxation, solved and kept warm; its columns are fixed and freed again here.
    linear
        The same problem with whole numbers.
    rounds, mends
        Parts in which sites are fixed; how often a part of them is freed again.
    """
    relaxed, bound = hot.values, hot.bound
    if relaxed is None:
        return None
    paths = _paths(problem)
    weight = np.array([relaxed[columns.y + np.array(p)].min() for p in paths.stints])
    chosen = _descend(problem, columns, hot, paths, rounds)
    if chosen is None:
        return None
    best = _whole(problem, columns, linear, cost, paths, chosen, None, seed)
    if best is None:
        return None
    order = np.argsort(weight[chosen], kind="stable")
    size = max(6, len(order) // 10)
    for k in range(mends):
        if relative_gap(best.value, bound) <= gap:
            break
        if say:
            say(f"{best.value:,.1f} (bound {bound:,.1f})")
        free = _part(problem, order, k, size)
        out = _whole(problem, columns, linear, cost, paths, chosen, free, seed, best)
        if out is not None and out.value < best.value - 1e-9:
            best = out
            chosen = _chosen(columns, paths, out.values, len(problem.sites))
    status = Status.PROVED if relative_gap(best.value, bound) <= gap else Status.LIMIT
    return replace(best, status=status, bound=min(bound, best.value))


def _paths(problem: Problem) -> _Paths:
    """List the paths of stints from today's state to the last period."""
    periods = len(problem.periods)
    starts: dict[tuple[int, int, int], list[int]] = {}
    for p in range(len(problem.stint_site)):
        key = (int(problem.stint_site[p]), int(problem.stint_from[p]), int(problem.stint_first[p]))
        starts.setdefault(key, []).append(p)
    site: list[int] = []
    found: list[tuple[int, ...]] = []
    for j in range(len(problem.sites)):
        open_ = [((), int(problem.site_start[j]), 0)]
        while open_:
            taken, state, t = open_.pop()
            if t == periods:
                site.append(j)
                found.append(taken)
                continue
            for p in reversed(starts.get((j, state, t), [])):
                after = (*taken, p)
                open_.append((after, int(problem.stint_option[p]), int(problem.stint_last[p]) + 1))
    return _Paths(np.array(site), tuple(found))


def _descend(
    problem: Problem, columns: Columns, hot: Hot, paths: _Paths, rounds: int
) -> Ints | None:
    """Fix the surest sites, solve, and again until all are fixed; None where it cannot go on."""
    sites = len(problem.sites)
    chosen = np.full(sites, -1)
    for k in range(rounds):
        values = hot.values
        if values is None:
            return None
        weight = np.array([values[columns.y + np.array(p)].min() for p in paths.stints])
        top = _best_path(paths, weight, sites)
        left = np.flatnonzero(chosen < 0)
        if not len(left):
            break
        sure = weight[top[left]]
        count = len(left) if k == rounds - 1 else max((sure > 0.999).sum(), -(-len(left) // 3))
        now = left[np.argsort(-sure, kind="stable")[:count]]
        chosen[now] = top[now]
        _fix(problem, columns, hot, paths, chosen[now], now)
        hot.solve()
        if hot.values is None:
            now = _give_way(problem, columns, hot, paths, chosen, now)
            if hot.values is None:
                return None
    return chosen if (chosen >= 0).all() else None


def _give_way(
    problem: Problem, columns: Columns, hot: Hot, paths: _Paths, chosen: Ints, now: Ints
) -> Ints:
    """Free the half of the sites just fixed that were least sure, until a plan exists again."""
    while hot.values is None and len(now):
        freed, now = now[len(now) // 2 :], now[: len(now) // 2]
        chosen[freed] = -1
        stints = np.flatnonzero(np.isin(problem.stint_site, freed))
        hot.bounds(columns.y + stints, np.zeros(len(stints)), np.ones(len(stints)))
        hot.solve()
    return now


def _fix(
    problem: Problem, columns: Columns, hot: Hot, paths: _Paths, chosen: Ints, sites: Ints
) -> None:
    stints = np.flatnonzero(np.isin(problem.stint_site, sites))
    on = np.isin(stints, [p for c in chosen for p in paths.stints[c]]).astype(float)
    hot.bounds(columns.y + stints, on, on)


def _best_path(paths: _Paths, weight: Floats, sites: int) -> Ints:
    """Return the heaviest path of each site, the first of equals."""
    order = np.lexsort((np.arange(len(weight)), -weight, paths.site))
    first = np.r_[True, np.diff(paths.site[order]) > 0]
    top = np.full(sites, -1)
    top[paths.site[order][first]] = order[first]
    return top


def _part(problem: Problem, order: Ints, k: int, size: int) -> Ints:
    """Return the sites freed in mend ``k``: the least sure first, then overlapping windows."""
    step = size // 2
    begin = (k * step) % max(len(order), 1)
    return np.take(order, np.arange(begin, begin + size), mode="wrap")


def _chosen(columns: Columns, paths: _Paths, values: Floats | None, sites: int) -> Ints:
    assert values is not None
    weight = np.array([values[columns.y + np.array(p)].min() for p in paths.stints])
    return _best_path(paths, weight, sites)


def _whole(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    cost: Floats,
    paths: _Paths,
    chosen: Ints,
    free: Ints | None,
    seed: int,
    start: Outcome | None = None,
) -> Outcome | None:
    """Solve exactly with all sites fixed to their paths but those in ``free``."""
    lower, upper = linear.lower.copy(), linear.upper.copy()
    stints = np.arange(len(problem.stint_site))
    fixed = np.ones(len(stints), bool) if free is None else ~np.isin(problem.stint_site, free)
    on = np.isin(stints, [p for c in chosen for p in paths.stints[c]])
    lower[columns.y + stints[fixed]] = upper[columns.y + stints[fixed]] = on[fixed]
    live = on | ~fixed
    dead = np.flatnonzero(~live[problem.offer_stint])
    upper[columns.n + dead] = 0.0
    lower[columns.n + dead] = 0.0
    there = _offered(problem, live)
    arc = columns.x_arc
    shut = ~there[problem.arc_site[arc], problem.arc_class[arc], columns.x_period]
    upper[columns.x + np.flatnonzero(shut)] = 0.0
    part = replace(linear, lower=lower, upper=upper)
    out = solve_linear(
        part, cost, gap=2e-4, node_limit=10 if free is not None else 200, seed=seed,
        start=None if start is None else start.values,
    )  # fmt: skip
    return out if out.values is not None else None


def _offered(problem: Problem, live: Mask) -> Mask:
    """(J, C, T) whether a stint still live offers the class."""
    there = np.zeros((len(problem.sites), len(problem.classes), len(problem.periods)), bool)
    stint = problem.offer_stint
    f, t = np.nonzero(problem.stint_periods[stint] & live[stint][:, None])
    there[problem.stint_site[stint[f]], problem.offer_class[f], t] = True
    return there
