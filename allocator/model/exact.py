"""The exact road: sparse blocks straight into HiGHS, objectives in order, links to tighten the relaxation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.sparse import csr_array

from allocator.model.alike import merged, split
from allocator.model.blocks import (
    Block,
    blocks_of,
    link_rows,
    objective_coefficients,
    tightened,
)
from allocator.model.columns import Columns, make_columns
from allocator.model.cuts import cuts_of
from allocator.model.dive import dive
from allocator.model.highs import (
    Hot,
    Linear,
    Outcome,
    StoppedTwice,
    relax_and_tighten,
    solve_linear,
    stacked,
    version,
)
from allocator.model.least import elastic, violations
from allocator.plan import ObjectiveValue, Plan, Status
from allocator.problem import Objective, Problem
from allocator.rules import Floats, Floor, Link, Rule, Served

__all__ = [
    "Formulation",
    "evaluate",
    "formulate",
    "plan_from_values",
    "relaxed_prices",
    "solve_exactly",
    "solve_formulation",
]

_DEFAULT_NODES = 200_000
_SECONDS = 60.0
_LEAST_NODES, _LEAST_GAP = 2_000, 1e-4
"""Nodes at most of the search for what breaks hard rules least, and its gap."""
_LARGE = 2_000
"""Columns of people served above which a dive comes before, and instead of, branching."""
_FEW_LINKS = 60_000
"""Links up to which all are added to the relaxation at once."""
_ROUNDS = 20
"""Rounds of links and cuts at most; on the demonstration county the bound has settled by then."""


@dataclass(frozen=True, eq=False)
class Formulation:
    """A problem as rows and columns; ``blocks`` keep which rows belong to which rule."""

    problem: Problem
    columns: Columns
    blocks: tuple[Block, ...]

    @property
    def linear(self) -> Linear:
        """All blocks as one linear problem."""
        return Linear(
            stacked([b.matrix for b in self.blocks]),
            np.concatenate([b.lower for b in self.blocks]),
            np.concatenate([b.upper for b in self.blocks]),
            self.columns.lower,
            self.columns.upper,
            self.columns.integer,
        )


def formulate(problem: Problem, *, whole_places: bool = True, links: bool = False) -> Formulation:
    """Return the rows and columns of a problem; ``links`` writes all link rows at once."""
    columns = make_columns(problem, whole_places=whole_places)
    return Formulation(problem, columns, tuple(blocks_of(problem, columns, links=links)))


def solve_exactly(
    problem: Problem,
    *,
    gap: float = 1e-3,
    node_limit: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    whole_places: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Solve a problem by HiGHS, each objective in turn under the ones before.

    Parameters
    ----------
    gap
        Relative gap asked of each objective.
    node_limit, seconds
        Work limit a stage in nodes; wall-clock limit a stage, which makes a run irreproducible.

    Returns
    -------
    Plan
        Status ``infeasible`` or ``no-plan-found`` carries no stints. Where a limit came before any plan
        and a search within the same limits again found sites that break hard rules, they are returned
        as ``incomplete``, with what they break.
    """
    smaller = merged(problem)
    form = formulate(smaller, whole_places=whole_places)
    again = partial(
        solve_formulation, form, gap=gap, node_limit=node_limit, seconds=seconds, seed=seed,
        threads=threads, progress=progress,
    )  # fmt: skip
    plan = again()
    if plan.status is Status.NO_PLAN_FOUND:
        least, values = _least(
            form, plan, node_limit=node_limit, seconds=seconds, seed=seed, threads=threads
        )
        # Where every rule holds after all it is a plan, and the work goes on from it.
        plan = again(start=values) if least is not None and not least.violations else least or plan
    if smaller is problem:
        return plan
    if not len(plan.stints):
        return replace(plan, problem=problem.digest, unmet=problem.need.copy())
    return split(problem, plan)


def _least(
    form: Formulation, plan: Plan, *, node_limit: int | None, seconds: float | None, seed: int,
    threads: int,
) -> tuple[Plan | None, Floats | None]:  # fmt: skip
    """Return the sites that break hard rules least, marked incomplete, and their columns; None if none came."""
    problem, columns = form.problem, form.columns
    cost = objective_coefficients(problem, columns, problem.objectives[0])
    linear, cost = elastic(problem, columns, form.blocks, cost)
    clock = _SECONDS if seconds is None and len(columns.x_arc) > _LARGE else seconds
    out = solve_linear(
        linear, cost, gap=_LEAST_GAP, node_limit=min(node_limit or _LEAST_NODES, _LEAST_NODES),
        seconds=clock, seed=seed, threads=threads,
    )  # fmt: skip
    if out.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if out.values is None:
        return None, None
    values = out.values[: columns.size]
    found = plan_from_values(
        problem, columns, values, [], status=Status.INCOMPLETE, road="exact", solver=version(),
        seed=seed, reproducible=plan.reproducible and clock is None, work={"nodes": out.nodes},
    )  # fmt: skip
    broken = violations(problem, found)
    return replace(found, objectives=plan.objectives, violations=broken), values


def evaluate(problem: Problem, plan: Plan, *, keep_places: bool = True) -> Plan:
    """Return the best service of a problem with a plan's sites fixed: a linear problem.

    The plan may answer another problem over the same sites and stints, so a plan made for one
    future, willingness or budget can be judged under another.

    Parameters
    ----------
    keep_places
        Whether places stay too; otherwise their number is free within the chosen options.

    Raises
    ------
    ValueError
        When the plan's stints or places do not fit the problem.
    """
    z = problem.shape
    if len(plan.places) != z["f"] or np.any(plan.stints >= z["p"]):
        raise ValueError("the plan's stints and offers are not those of the problem")
    form = formulate(problem, whole_places=not keep_places)
    columns = form.columns
    lower, upper, integer = columns.lower.copy(), columns.upper.copy(), columns.integer.copy()
    chosen = np.isin(np.arange(z["p"]), plan.stints).astype(float)
    stints = slice(columns.y, columns.y + z["p"])
    lower[stints] = upper[stints] = chosen
    integer[stints] = False
    if keep_places:
        places = slice(columns.n, columns.n + z["f"])
        lower[places] = upper[places] = plan.places
        integer[:] = False
    fixed = replace(form, columns=replace(columns, lower=lower, upper=upper, integer=integer))
    return solve_formulation(fixed, gap=0.0, seed=plan.seed)


def solve_formulation(
    form: Formulation,
    *,
    gap: float = 1e-3,
    node_limit: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    start: Floats | None = None,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Solve rows and columns that may hold more than the problem: fixed sites, extra rows.

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C came before any plan, or twice; once, with a plan, ends with that plan.
    """
    problem, columns, linear = form.problem, form.columns, form.linear
    outcomes: list[tuple[Objective, Outcome]] = []
    clocked = False
    for objective in problem.objectives:
        if any(o.status is Status.INTERRUPTED for _, o in outcomes):
            outcomes.append((objective, _unasked(problem, form, objective)))
            continue
        cost = objective_coefficients(problem, columns, objective)
        # Objectives that follow may cost this one its tolerance: it is solved that much closer.
        last = objective is problem.objectives[-1]
        asked = gap if last else max(gap - objective.tolerance, 0.5 * gap)
        try:
            out, linear, by_clock = _stage(
                problem, columns, linear, cost, objective.id, gap=asked, node_limit=node_limit,
                seconds=seconds, seed=seed, threads=threads, start=start, progress=progress,
            )  # fmt: skip
        except KeyboardInterrupt as stop:
            if start is None or isinstance(stop, StoppedTwice):
                raise
            unasked = _unasked(problem, form, objective)
            outcomes.append((objective, replace(unasked, status=Status.INTERRUPTED)))
            continue
        clocked = clocked or by_clock
        if out.values is None and start is None:
            if out.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            return _no_plan(problem, out.status, seed, out.bound, not by_clock)
        if out.values is None:  # the plan in hand stays, whatever a later stage could not find
            interrupted = out.status is Status.INTERRUPTED
            out = _unasked(problem, form, objective)
            outcomes.append((objective, replace(out, status=Status.INTERRUPTED) if interrupted else out))  # fmt: skip
            continue
        outcomes.append((objective, out))
        start = out.values
        room = objective.tolerance * max(abs(out.value), 1e-6) + 1e-7
        linear = linear.with_rows(
            csr_array(cost[None, :]), np.array([-np.inf]), np.array([out.value + room])
        )
    if start is None:
        return _no_plan(problem, Status.NO_PLAN_FOUND, seed, -np.inf, True)
    stopped = [o.status for _, o in outcomes if o.status is not Status.PROVED]
    return plan_from_values(
        problem, columns, start, [(o, out.bound) for o, out in outcomes],
        status=stopped[0] if stopped else Status.PROVED,
        road="exact", solver=version(), seed=seed,
        reproducible=not (stopped and (clocked or Status.INTERRUPTED in stopped)),
        work={
            "nodes": sum(o.nodes for _, o in outcomes),
            "iterations": sum(o.iterations for _, o in outcomes),
            "rows": linear.matrix.shape[0], "columns": columns.size,
        },
    )  # fmt: skip


def relaxed_prices(problem: Problem) -> tuple[dict[str, Floats], float]:
    """Return what one more unit on the right of each row of each rule adds to the relaxation, and its value.

    Of the first objective, with links and cuts; the value, constant included, bounds every plan. Links
    and cuts do not speak of supplies: with another supply the value moves by price times change at least.
    Empty and minus infinity where the relaxation has no solution.
    """
    form = formulate(merged(problem))
    objective = form.problem.objectives[0]
    cost = objective_coefficients(form.problem, form.columns, objective)
    _, hot = _with_links(form.problem, form.columns, form.linear, cost)
    if hot is None:
        _, hot = relax_and_tighten(form.linear, cost, lambda _: None, 1, in_turns=True)
    if hot.values is None:
        return {}, -np.inf
    prices, at = {}, 0
    every = hot.row_prices
    for block in form.blocks:
        rows = len(block.lower)
        prices[block.rule] = every[at : at + rows]
        at += rows
    return prices, hot.value + objective.constant


def _stage(
    problem: Problem,
    columns: Columns,
    linear: Linear,
    cost: Floats,
    name: str,
    *,
    gap: float,
    node_limit: int | None,
    seconds: float | None,
    seed: int,
    threads: int,
    start: Floats | None,
    progress: Callable[[str], None] | None,
) -> tuple[Outcome, Linear, bool]:
    """Solve one objective; return what came of it, the rows with links, and whether by the clock."""
    hot = None
    if linear.integer[columns.y : columns.n].any():  # of fixed sites places imply the links
        linear, hot = _with_links(problem, columns, linear, cost)
    if progress:
        progress(f"{name}: {linear.matrix.shape[0]:,} rows, {columns.size:,} columns")
    relaxed = hot.bound if hot is not None and hot.values is not None else -np.inf
    dived = None
    if hot is not None and start is None and len(columns.x_arc) > _LARGE:
        dived = dive(problem, columns, hot, linear, cost, gap=gap, seed=seed)
    # Branching alone has no other limit that bounds its root.
    alone = dived is None and hot is not None and len(columns.x_arc) > _LARGE
    clock = _SECONDS if alone and seconds is None else seconds
    out = dived or solve_linear(
        linear, cost, gap=gap, node_limit=node_limit or _DEFAULT_NODES, seconds=clock,
        seed=seed, threads=threads, start=start, progress=progress,
    )  # fmt: skip
    if out.values is None:
        out = replace(out, bound=float(np.fmax(out.bound, relaxed)))
    return out, linear, clock is not None


def _unasked(problem: Problem, form: Formulation, objective: Objective) -> Outcome:
    """Return a bound, and nothing else, of an objective that was not solved: the relaxation's."""
    cost = objective_coefficients(problem, form.columns, objective)
    least = np.where(cost > 0, form.columns.lower, form.columns.upper)
    bound = float(np.where(cost == 0, 0.0, cost * np.where(cost == 0, 0.0, least)).sum())
    if not np.isfinite(bound):
        out = solve_linear(form.linear, cost, relax=True)
        bound = out.bound if out.values is not None else 0.0
    return Outcome(Status.LIMIT, None, np.nan, bound, 0, 0)


def _with_links(
    problem: Problem, columns: Columns, linear: Linear, cost: Floats
) -> tuple[Linear, Hot | None]:
    """Solve the relaxation with the links and cuts that tighten it; they never change plans.

    Links that are not many stand in it from the start: adding only those violated, again and
    again, took three times as long. Cuts (`model/cuts.py`) follow where violated.
    """
    rule = next(iter(problem.rules_of(Link)), None)
    if rule is None or not len(columns.x_arc):
        return linear, None
    every = link_rows(problem, columns, rule, np.arange(len(columns.x_arc)))
    most = columns.upper[columns.x : columns.x + len(columns.x_arc)]
    cuts = cuts_of(problem, columns, every.matrix)
    few = len(most) <= _FEW_LINKS
    written = np.full(len(most), few)
    if few:
        linear = linear.with_rows(every.matrix, every.lower, every.upper)

    def more(values: Floats) -> tuple[csr_array, Floats, Floats] | None:
        excess = every.matrix @ values - every.upper
        found = np.flatnonzero((excess > 1e-6 + 0.02 * most) & ~written)
        if len(found) < 1 + len(excess) // 200:
            return cuts(values)
        written[found] = True
        return csr_array(every.matrix[found]), every.lower[found], every.upper[found]

    return relax_and_tighten(linear, cost, more, _ROUNDS, in_turns=True)


def plan_from_values(
    problem: Problem,
    columns: Columns,
    values: Floats,
    bounds: list[tuple[Objective, float]],
    *,
    status: Status,
    road: str,
    solver: str,
    seed: int = 0,
    reproducible: bool = True,
    work: dict[str, float] | None = None,
) -> Plan:
    """Return the plan that the values of all columns say, snapped to whole stints and places."""
    z = problem.shape
    chosen = np.flatnonzero(values[columns.y : columns.y + z["p"]] > 0.5)
    places = values[columns.n : columns.n + z["f"]].copy()
    near = np.round(places)
    places = np.where(np.abs(places - near) < 1e-5, near, places)
    places[~np.isin(problem.offer_stint, chosen)] = 0.0
    x = values[columns.x : columns.x + len(columns.x_arc)]
    some = np.flatnonzero(x > 1e-7)
    served = np.minimum(x[some], columns.upper[columns.x + some])
    got = np.zeros(problem.need.size)
    np.add.at(got, columns.x_cell[some], served)
    unmet = np.maximum(problem.need.ravel() - got, 0.0).reshape(problem.need.shape)
    final = values.copy()
    final[columns.y : columns.y + z["p"]] = np.isin(np.arange(z["p"]), chosen)
    final[columns.n : columns.n + z["f"]] = places
    final[columns.x : columns.x + len(x)] = 0.0
    final[columns.x + some] = served
    final[columns.u : columns.u + len(columns.u_cell)] = unmet.ravel()[columns.u_cell]
    final = tightened(problem, columns, final)
    shortfalls = {
        rule.id: _shortfall(problem, rule, final[columns.of(rule.id, "short")])
        for rule in problem.rules
        if (rule.id, "short") in columns.auxiliary
    }
    objectives = []
    for objective, bound in bounds:
        value = float(np.sum(objective_coefficients(problem, columns, objective) * final))
        constant = objective.constant
        objectives.append(
            ObjectiveValue(
                objective.id, objective.unit, value + constant,
                min(bound, value) + constant, constant,
            )
        )  # fmt: skip
    return Plan(
        problem=problem.digest, status=status, stints=chosen, places=places,
        served_arc=columns.x_arc[some], served_group=columns.x_group[some],
        served_period=columns.x_period[some], served_future=columns.x_future[some],
        served=served, unmet=unmet, shortfalls=shortfalls, objectives=tuple(objectives),
        road=road, solver=solver, seed=seed, reproducible=reproducible, work=work or {},
    )  # fmt: skip


def _shortfall(problem: Problem, rule: Rule, short: Floats) -> float:
    """Sum of a rule's shortfalls, those of futures weighted."""
    if isinstance(rule, Served | Floor):
        return float((short @ problem.future_weight).sum())
    return float(short.sum())


def _no_plan(problem: Problem, status: Status, seed: int, bound: float, reproducible: bool) -> Plan:
    """Return that there is no plan, or that a limit came before any: then with the bound proved until then."""
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    bounds = [bound, *(-np.inf for _ in problem.objectives[1:])]
    known = status is Status.NO_PLAN_FOUND
    return Plan(
        problem=problem.digest, status=status, stints=none,
        places=np.zeros(len(problem.offer_stint)), served_arc=none, served_group=none,
        served_period=none, served_future=none, served=empty, unmet=problem.need.copy(),
        objectives=tuple(
            ObjectiveValue(o.id, o.unit, np.inf, b + o.constant, o.constant)
            for o, b in zip(problem.objectives, bounds, strict=False) if known
        ),
        road="exact", solver=version(), seed=seed, reproducible=reproducible,
    )  # fmt: skip
