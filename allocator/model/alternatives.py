"""Beside the best plan: others nearly as good, sites that all of them share, and prices of orders.

All ask the exact road the same problem with a few rows more or a rule less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, hstack

from allocator.model.blocks import Block, objective_coefficients
from allocator.model.exact import Formulation, formulate, solve_exactly, solve_formulation
from allocator.plan import Plan, Status
from allocator.problem import Problem
from allocator.rules import Floats, Forced, Ints

__all__ = [
    "Dearer",
    "OrderPrice",
    "SiteProof",
    "alternatives",
    "order_price",
    "sites_in_every_plan",
    "states_of",
    "with_regret",
]


def states_of(problem: Problem, plan: Plan) -> Ints:
    """Return (J, T) the option each site is in."""
    states = np.full((len(problem.sites), len(problem.periods)), -1)
    for p in plan.stints:
        span = slice(problem.stint_first[p], problem.stint_last[p] + 1)
        states[problem.stint_site[p], span] = problem.stint_option[p]
    return states


def alternatives(
    problem: Problem,
    plan: Plan,
    *,
    count: int = 3,
    sites: int = 1,
    loss: float = 0.01,
    gap: float = 1e-3,
    node_limit: int | None = None,
    seed: int = 0,
) -> tuple[Plan, ...]:
    """Return plans nearly as good that differ from the plan and from each other.

    Parameters
    ----------
    count
        How many at most.
    sites
        Least number of sites whose states differ in some period, from every plan before.
    loss
        How much worse each objective may be, relative to the plan's value.

    Returns
    -------
    tuple of Plan
        Fewer than ``count`` when no more exist (or none was found within the node limit). Bounds
        are those of the plan given: they hold for the problem without the extra rows.
    """
    form = _within(formulate(problem), plan, loss)
    found: list[Plan] = []
    for _ in range(count):
        form = _apart(form, states_of(problem, [plan, *found][-1]), sites)
        other = solve_formulation(form, gap=gap, node_limit=node_limit, seed=seed)
        if not other.is_complete:
            break
        bounds = [
            replace(o, bound=min(known.bound, o.value))
            for o, known in zip(other.objectives, plan.objectives, strict=True)
        ]
        found.append(replace(other, objectives=tuple(bounds)))
    return tuple(found)


def _within(form: Formulation, plan: Plan, loss: float) -> Formulation:
    """Add a row an objective: no worse than the plan by more than the loss."""
    rows, most = [], []
    for objective, known in zip(form.problem.objectives, plan.objectives, strict=True):
        value = known.value - known.constant
        rows.append(objective_coefficients(form.problem, form.columns, objective))
        most.append(value + loss * max(abs(value), 1e-6) + 1e-6)
    block = Block(
        "within-loss", csr_array(np.array(rows)), np.full(len(rows), -np.inf), np.array(most)
    )
    return replace(form, blocks=(*form.blocks, block))


def _apart(form: Formulation, states: Ints, least: int) -> Formulation:
    """Differ from the states at ``least`` sites: ``d[j] <= sum_t (1 - y in that state at t)``.

    One column ``d[j] <= 1`` a site; ``sum d >= least``.
    """
    p, columns = form.problem, form.columns
    sites, periods = states.shape
    wide = [
        replace(b, matrix=csr_array(hstack([b.matrix, csr_array((b.matrix.shape[0], sites))])))
        for b in form.blocks
    ]
    same = p.stint_periods & (p.stint_option[:, None] == states[p.stint_site])
    rows = np.zeros((sites + 1, columns.size + sites))
    for s in np.flatnonzero(same.any(1)):
        rows[p.stint_site[s], columns.y + s] = same[s].sum()
    rows[np.arange(sites), columns.size + np.arange(sites)] = 1.0
    rows[sites, columns.size :] = 1.0
    lower = np.r_[np.full(sites, -np.inf), float(least)]
    upper = np.r_[np.full(sites, float(periods)), np.inf]
    block = Block("apart", csr_array(rows), lower, upper)
    longer = replace(
        columns, size=columns.size + sites,
        lower=np.r_[columns.lower, np.zeros(sites)], upper=np.r_[columns.upper, np.ones(sites)],
        integer=np.r_[columns.integer, np.zeros(sites, bool)],
    )  # fmt: skip
    return Formulation(p, longer, (*wide, block))


@dataclass(frozen=True, slots=True)
class SiteProof:
    """Whether a site is in its option, in the last period, in every plan within the loss.

    ``in_every`` is True (proved), False (``value`` is a plan without it) or None (not settled).
    ``bound`` is what any plan without it must cost at least.
    """

    site: str
    option: str
    in_every: bool | None
    bound: float
    value: float


def sites_in_every_plan(
    problem: Problem,
    plan: Plan,
    *,
    options: Sequence[int],
    loss: float = 0.01,
    node_limit: int | None = None,
    sites: Sequence[int] | None = None,
    others: Sequence[Plan] = (),
    progress: Callable[[str], None] | None = None,
) -> tuple[SiteProof, ...]:
    """Prove which sites' options are in every plan within a loss of the first objective.

    Each site that the plan has in one of ``options`` in the last period is forbidden that option in
    turn; where the bound of what is left passes the loss, no plan does without it.

    Parameters
    ----------
    sites
        Positions of the sites to ask about; None asks about all.
    others
        Plans already known: one within the loss that lacks a site settles it without a solve.
    progress
        Called with the id of each site that takes a solve.
    """
    first = replace(problem, objectives=problem.objectives[:1])
    value = plan.objectives[0].value
    most = value + loss * max(abs(value - plan.objectives[0].constant), 1e-6)
    last, proofs = len(problem.periods) - 1, []
    ends = [(p.objectives[0].value, states_of(problem, p)[:, last]) for p in others]
    for j, option in enumerate(states_of(problem, plan)[:, last]):
        if option not in options or (sites is not None and j not in sites):
            continue
        name = problem.sites[j], problem.options[option]
        without = min((v for v, end in ends if end[j] != option), default=np.inf)
        if without <= most:
            proofs.append(SiteProof(*name, False, plan.objectives[0].bound, without))
            continue
        if progress is not None:
            progress(problem.sites[j])
        ban = Forced(
            id=f"without-{j}", words=problem.objectives[0].words, site=j,
            options=np.array([option]), period=last, wanted=False,
        )  # fmt: skip
        other = solve_exactly(
            replace(first, rules=(*problem.rules, ban)), gap=loss / 4, node_limit=node_limit
        )
        bound, found = np.inf, np.inf
        if other.objectives:
            bound, found = other.objectives[0].bound, other.objectives[0].value
        elif other.status is not Status.INFEASIBLE:
            bound = -np.inf
        settled = True if bound > most else (False if found <= most else None)
        proofs.append(SiteProof(*name, settled, float(bound), float(found)))
    return tuple(proofs)


@dataclass(frozen=True, slots=True)
class Dearer:
    """How much worse one objective is under an order; ``least`` and ``most`` are proven."""

    id: str
    unit: str
    value: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class OrderPrice:
    """What an order costs (点名方案代价): the plans without and with it, and what lies between.

    ``possible`` is True, False (proved: no plan keeps the order) or None (none was found in time).
    Positive ``dearer`` is worse. ``fewer_served`` counts persons, summed over services and periods,
    futures weighted.
    """

    free: Plan
    ordered: Plan
    possible: bool | None
    dearer: tuple[Dearer, ...] = ()
    fewer_served: float = np.nan


def order_price(
    free: Problem,
    ordered: Problem,
    *,
    gap: float = 1e-3,
    node_limit: int | None = None,
    known: Plan | None = None,
) -> OrderPrice:
    """Return what an order costs: the same problem without it and with it, both solved.

    Parameters
    ----------
    free, ordered
        Problems over the same needs and objectives; the second has the order as well.
    known
        Plan of ``free``, where it is already solved.

    Raises
    ------
    ValueError
        When the problems differ in their needs.
    """
    if not np.array_equal(free.need, ordered.need):
        raise ValueError("an order is priced over equal needs")
    a = known or solve_exactly(free, gap=gap, node_limit=node_limit)
    b = solve_exactly(ordered, gap=gap, node_limit=node_limit)
    if not (a.is_complete and b.is_complete):
        possible = False if b.status is Status.INFEASIBLE else None
        return OrderPrice(a, b, possible)
    dearer = tuple(
        Dearer(o.id, o.unit, o.value - f.value, o.bound - f.value, o.value - f.bound)
        for f, o in zip(a.objectives, b.objectives, strict=True)
    )
    people = [float((plan.unmet @ p.future_weight).sum()) for plan, p in ((b, ordered), (a, free))]
    return OrderPrice(a, b, True, dearer, people[0] - people[1])


def with_regret(problem: Problem, *, gap: float = 1e-3, node_limit: int | None = None) -> Problem:
    """Return the problem with its first objective as min-max regret.

    Each future is solved alone; its best value, less what all futures share, is what the regret is
    counted from. As shared parts (sites, places) differ between those plans, the objective must
    count unmet need, service or shortfalls only.

    Raises
    ------
    ValueError
        When the first objective counts sites or places, or a future alone has no plan.
    """
    first = problem.objectives[0]
    if first.stint is not None or first.place is not None:
        raise ValueError(f"{first.id}: regret is of people's part alone, without sites and places")
    best: list[float] = []
    for w, name in enumerate(problem.futures):
        alone = replace(
            problem, futures=(name,), future_weight=np.ones(1), need=problem.need[..., w : w + 1],
            objectives=(replace(first, risk="expected"),),
        )  # fmt: skip
        plan = solve_exactly(alone, gap=gap, node_limit=node_limit)
        if not plan.is_complete:
            raise ValueError(f"future {name} has no plan of its own")
        best.append(plan.objectives[0].bound - first.constant)
    chosen: Floats = np.array(best)
    objective = replace(first, risk="regret", future_best=chosen)
    return replace(problem, objectives=(objective, *problem.objectives[1:]))
