"""A plan fast where branching is slow: dive along the relaxation.

The relaxation, tightened by links, gives the bound. From its basis sites are fixed a part at a
time, the surest first, until every site has its path; then places are made whole and service is
solved exactly. Where the plan is not near enough to the bound and few columns are left that a better
plan could use, branching goes on from it. Where it is far from the bound, the sites on which it
differs from the relaxation are decided again, exactly; nearer plans gain a tenth of a percent by
that in half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from allocator.model.columns import Columns, offered
from allocator.model.highs import Hot, Linear, Outcome, StoppedTwice, solve_linear
from allocator.plan import Status, relative_gap
from allocator.problem import Problem
from allocator.rules import Coverage, Floats, Ints

__all__ = ["Paths", "descend", "dive", "paths_of"]

_PART = 3
"""One site in so many, at least, is fixed at each step; slower descents ended at the same plans."""
_BRANCHED = 10_000
"""Columns of people served up to which branching follows."""
_NODES, _CHECKS = 10, 30
"""Nodes of such a search, and how often it may ask whether to stop: a root may take long by itself."""
_FAR = 5e-3
"""Relative gap above which sites are decided again; branching follows where it is no more."""
_SURE = 0.99
"""How far an area is covered in the relaxation to be held so with others at once."""
_FREED = 8
"""Sites decided exactly where the descent ends with a site that fits nowhere."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Every path of stints of every site, sorted by site."""

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
    solves: int = 60,
) -> Outcome | None:
    """Return a plan's values and the relaxation's bound, or None where no plan came of it.

    Parameters
    ----------
    hot
        The relaxation, solved and kept warm; its columns are fixed and freed again here.
    linear
        The same problem with whole numbers.
    solves
        How many relaxations may be solved on the way down.
    """
    if hot.values is None:
        return None
    bound, paths, reduced, relaxed = hot.bound, paths_of(problem), hot.reduced, hot.values
    back = hot.remember()
    held = _hold_coverage(problem, columns, hot)
    best = _plan(problem, columns, hot, linear, cost, paths, solves, seed)
    stopped = best is not None and best.status is Status.INTERRUPTED
    try:
        if not stopped and len(held) and (best is None or relative_gap(best.value, bound) > gap):
            free = np.r_[held, columns.y + np.arange(len(problem.stint_site))]
            hot.bounds(free, columns.lower[free], columns.upper[free])
            back()
            found = _plan(problem, columns, hot, linear, cost, paths, solves, seed)
            if found is not None and (best is None or found.value < best.value):
                best = found
            stopped = found is not None and found.status is Status.INTERRUPTED
        if best is None:
            return None
        if not stopped and relative_gap(best.value, bound) > _FAR:
            best = _decide_again(problem, columns, linear, cost, best, relaxed, gap, seed)
            stopped = best.status is Status.INTERRUPTED
        if not stopped and gap < relative_gap(best.value, bound) <= _FAR:
            best, bound = _branch(problem, columns, linear, cost, best, bound, reduced, gap, seed)
            stopped = best.status is Status.INTERRUPTED
    except StoppedTwice:
        raise
    except KeyboardInterrupt:  # between two solves; what was found stays
        if best is None:
            raise
        stopped = True
    status = Status.PROVED if relative_gap(best.value, bound) <= gap else Status.LIMIT
    return replace(
        best, status=Status.INTERRUPTED if stopped else status, bound=min(bound, best.value)
    )


def _decide_again(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    cost: Floats,
    best: Outcome,
    relaxed: Floats,
    gap: float,
    seed: int,
) -> Outcome:
    """Return a plan no worse, sites free on which plan and relaxation differ, the others as they are.

    Its status says whether the search was interrupted.

    Source: relaxation induced neighbourhoods, Danna, Rothberg, Le Pape (2005).
    """
    if best.values is None:
        return best
    y = slice(columns.y, columns.n)
    on = best.values[y] > 0.5
    differ = np.unique(problem.stint_site[np.abs(best.values[y] - relaxed[y]) > 1e-6])
    free = np.isin(problem.stint_site, differ)
    part = _kept(problem, columns, linear, on, free)
    out = solve_linear(
        part, cost, gap=gap, node_limit=_NODES, checks=_CHECKS, seed=seed,
        start=best.values,
    )  # fmt: skip
    better = out if out.values is not None and out.value < best.value else best
    return replace(better, status=out.status)


def _branch(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    cost: Floats,
    best: Outcome,
    bound: float,
    reduced: Floats,
    gap: float,
    seed: int,
) -> tuple[Outcome, float]:
    """Go on from a plan by branching where few columns are left; return plan and bound.

    A stint whose reduced cost exceeds what the plan lies above the bound is in no better plan.
    """
    live = reduced[columns.y : columns.n] <= best.value - bound
    part, people = _without(problem, columns, linear, live)
    if people > _BRANCHED:
        return best, bound
    out = solve_linear(
        part, cost, gap=gap, node_limit=_NODES, checks=_CHECKS, seed=seed, start=best.values
    )
    if out.status is Status.INFEASIBLE or not np.isfinite(out.bound):
        return best, bound
    if out.values is not None and out.value < best.value:
        best = out
    best = replace(best, status=out.status)
    return best, max(bound, min(out.bound, best.value))


def _without(
    problem: Problem, columns: Columns, linear: Linear, live: npt.NDArray[np.bool_]
) -> tuple[Linear, int]:
    """Shut all stints but those live and what only they offer; count columns of people left."""
    lower, upper = linear.lower.copy(), linear.upper.copy()
    upper[columns.y : columns.n] = np.minimum(upper[columns.y : columns.n], live)
    dead = np.flatnonzero(~live[problem.offer_stint])
    upper[columns.n + dead] = 0.0
    lower[columns.n + dead] = 0.0
    there = offered(problem, live)
    arc = columns.x_arc
    shut = ~there[problem.arc_site[arc], problem.arc_class[arc], columns.x_period]
    upper[columns.x + np.flatnonzero(shut)] = 0.0
    return replace(linear, lower=lower, upper=upper), int((~shut).sum())


def _kept(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    on: npt.NDArray[np.bool_],
    free: npt.NDArray[np.bool_],
) -> Linear:
    """Keep sites at the stints that are on, all but those free."""
    part, _ = _without(problem, columns, linear, on | free)
    lower = part.lower.copy()
    y = slice(columns.y, columns.n)
    lower[y] = np.where(free, lower[y], on)
    return replace(part, lower=lower)


def _hold_coverage(problem: Problem, columns: Columns, hot: Hot) -> Ints:
    """Hold covered the areas that the relaxation covers, surest first, until coverage rules are met.

    Parts of many sites cover an area in the relaxation; a descent that closes them one by one
    would see too late that none is left. Returns the columns held, none where they cannot be
    covered together.
    """
    rules = [r for r in problem.rules if isinstance(r, Coverage)]
    back = hot.remember()
    held = np.zeros(0, np.int64)
    while hot.values is not None:
        wanted, sure = _to_hold(rules, columns, hot.values, held)
        if not len(wanted):
            return held
        now = wanted[sure >= _SURE] if (sure >= _SURE).any() else wanted[[int(sure.argmax())]]
        hot.bounds(now, np.ones(len(now)), columns.upper[now])
        held = np.r_[held, now]
        hot.solve()
    hot.bounds(held, columns.lower[held], columns.upper[held])
    back()
    return held[:0]


def _to_hold(
    rules: list[Coverage], columns: Columns, values: Floats, held: Ints
) -> tuple[Ints, Floats]:
    """Return columns still to be held that meet the rules, and how far each is covered by now."""
    found = [np.zeros(0, np.int64)]
    for rule in rules:
        covered = columns.of(rule.id, "covered")
        for t in range(covered.shape[1]):
            at, people = covered[:, t], rule.people[:, t]
            share = np.where(np.isin(at, held), 2.0, values[at])
            reached = float(np.minimum(share, 1.0) @ people)
            goal = min(float(rule.share[t]) * float(people.sum()), reached) - 1e-6
            order = np.lexsort((-people, -share.round(6)))
            met = np.cumsum(people[order])
            prefix = order[: int(np.searchsorted(met, goal)) + 1] if goal > 0 else order[:0]
            found.append(at[prefix[share[prefix] < 2.0]])
    wanted = np.concatenate(found)
    return wanted, values[wanted]


def _plan(
    problem: Problem,
    columns: Columns,
    hot: Hot,
    linear: Linear,
    cost: Floats,
    paths: Paths,
    solves: int,
    seed: int,
) -> Outcome | None:
    """Descend once, then make places whole; where a site fits nowhere, the last are freed again."""
    descent = descend(problem, hot, paths, solves, first=columns.y)
    if descent is None:
        return None
    chosen, fixed = descent
    for freed in (0, _FREED, 3 * _FREED) if (chosen < 0).any() else (0,):
        chosen[fixed[len(fixed) - freed :]] = -1
        found = _whole(problem, columns, linear, cost, paths, chosen, seed)
        if found is not None:
            return found
    return None


def paths_of(problem: Problem, kept: npt.NDArray[np.bool_] | None = None) -> Paths:
    """List the paths of stints (of those ``kept``) from today's state to the last period."""
    periods = len(problem.periods)
    starts: dict[tuple[int, int, int], list[int]] = {}
    for p in range(len(problem.stint_site)) if kept is None else np.flatnonzero(kept).tolist():
        key = (int(problem.stint_site[p]), int(problem.stint_from[p]), int(problem.stint_first[p]))
        starts.setdefault(key, []).append(p)
    site: list[int] = []
    found: list[tuple[int, ...]] = []
    for j in range(len(problem.sites)):
        open_: list[tuple[tuple[int, ...], int, int]] = [((), int(problem.site_start[j]), 0)]
        while open_:
            taken, state, t = open_.pop()
            if t == periods:
                site.append(j)
                found.append(taken)
                continue
            for p in reversed(starts.get((j, state, t), [])):
                after = (*taken, p)
                open_.append((after, int(problem.stint_option[p]), int(problem.stint_last[p]) + 1))
    return Paths(np.array(site), tuple(found))


def descend(
    problem: Problem,
    hot: Hot,
    paths: Paths,
    solves: int,
    *,
    first: int = 0,
    guide: Floats | None = None,
    chosen: Ints | None = None,
) -> tuple[Ints, list[int]] | None:
    """Fix the surest sites, solve, and again until all are fixed; None where it cannot go on.

    Where a part of the sites cannot have their paths together, the less sure half gives way; a
    path that one site cannot have even alone is not tried again.

    Parameters
    ----------
    first
        The first column of the stints in the relaxation.
    guide
        (P,) how likely each stint is by other means; counts half.
    chosen
        Paths of sites that are fixed already, -1 at those to be fixed.

    Returns
    -------
    tuple
        The path (a position in ``paths``) of each site, -1 for none; sites in the order fixed.
    """
    sites = len(problem.sites)
    chosen = np.full(sites, -1) if chosen is None else chosen.copy()
    banned: list[int] = []
    fixed: list[int] = []
    for _ in range(solves):
        left = np.flatnonzero(chosen < 0)
        if not len(left):
            return chosen, fixed
        values = hot.values
        if values is None:
            return None
        likely = values[first : first + len(problem.stint_site)]
        likely = likely if guide is None else 0.5 * (likely + guide)
        weight = np.array([likely[list(p)].min() for p in paths.stints])
        weight[banned] = -1.0
        top = _best_path(paths, weight, sites)
        sure = weight[top[left]]
        if (sure < 0).any():
            return chosen, fixed  # some site fits nowhere: the last few are chosen exactly
        count = max(int((sure > 0.999).sum()), -(-len(left) // _PART))
        now = left[np.argsort(-sure, kind="stable")[:count]]
        surest = int(now[0])
        chosen[now] = top[now]
        _fix(problem, first, hot, paths, chosen[now], now)
        hot.solve()
        if hot.values is None and not len(_give_way(problem, first, hot, chosen, now)):
            banned.append(int(top[surest]))
        fixed += [int(j) for j in now if chosen[j] >= 0]
    return chosen, fixed


def _give_way(problem: Problem, first: int, hot: Hot, chosen: Ints, now: Ints) -> Ints:
    """Free the half of the sites just fixed that were least sure, until a plan exists again."""
    while hot.values is None and len(now):
        freed, now = now[len(now) // 2 :], now[: len(now) // 2]
        chosen[freed] = -1
        stints = np.flatnonzero(np.isin(problem.stint_site, freed))
        hot.bounds(first + stints, np.zeros(len(stints)), np.ones(len(stints)))
        hot.solve()
    if hot.values is None:
        hot.restart()
    return now


def _fix(problem: Problem, first: int, hot: Hot, paths: Paths, chosen: Ints, sites: Ints) -> None:
    stints = np.flatnonzero(np.isin(problem.stint_site, sites))
    on = np.isin(stints, [p for c in chosen if c >= 0 for p in paths.stints[c]]).astype(float)
    hot.bounds(first + stints, on, on)


def _best_path(paths: Paths, weight: Floats, sites: int) -> Ints:
    """Return the heaviest path of each site, the first of equals."""
    order = np.lexsort((np.arange(len(weight)), -weight, paths.site))
    first = np.r_[True, np.diff(paths.site[order]) > 0]
    top = np.full(sites, -1)
    top[paths.site[order][first]] = order[first]
    return top


def _whole(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    cost: Floats,
    paths: Paths,
    chosen: Ints,
    seed: int,
) -> Outcome | None:
    """Solve exactly with sites fixed to their paths, those without one free."""
    stints = np.arange(len(problem.stint_site))
    on = np.isin(stints, [p for c in chosen if c >= 0 for p in paths.stints[c]])
    free = np.isin(problem.stint_site, np.flatnonzero(chosen < 0))
    part = _kept(problem, columns, linear, on, free)
    out = solve_linear(part, cost, gap=2e-4, node_limit=200, seed=seed)
    if out.values is None and out.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return out if out.values is not None else None
