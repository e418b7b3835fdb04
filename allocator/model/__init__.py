"""Finding a plan: the formulation as sparse blocks, and the roads to its solution."""

from __future__ import annotations

import math
from collections.abc import Callable

from allocator.errors import Finding
from allocator.model.columns import make_columns
from allocator.model.exact import Formulation, evaluate, formulate, solve_exactly
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import (
    Coverage,
    Deviation,
    Floor,
    Gini,
    Hub,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Room,
    Served,
    WorstGroup,
)

__all__ = [
    "Formulation",
    "evaluate",
    "explain",
    "formulate",
    "road_for",
    "solve",
    "solve_exactly",
]

_NOT_UNASKED = (
    Coverage, Deviation, Floor, Gini, Hub, MeanTravel, Nearest, PlacesRatio, PlacesShare,
    Referral, Reserved, Resettlement, Room, Served, WorstGroup,
)  # fmt: skip
LARGEST_EXACT = 150_000  # columns of people served up to which the exact road is taken unasked


def road_for(problem: Problem) -> str:
    """Return the road a problem's size calls for: ``exact`` or ``prices``.

    The price road holds every rule, but is taken unasked only under resources and numbers of sites: how
    near its plans come under the others has not been measured.
    """
    simple = not any(isinstance(r, _NOT_UNASKED) for r in problem.rules)
    large = len(make_columns(problem).x_arc) > LARGEST_EXACT
    return "prices" if simple and large else "exact"


def solve(
    problem: Problem,
    *,
    gap: float = 1e-3,
    node_limit: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    road: str = "auto",
    start: tuple[Problem, Plan] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Solve a problem by the road asked for, or by the one its size calls for.

    Parameters
    ----------
    gap
        Relative gap asked of each objective.
    node_limit, seconds
        Work limit a stage in nodes; wall-clock limit a stage in seconds (irreproducible).
    road
        ``auto``, ``exact`` or ``prices``.
    start
        An earlier problem and its plan: on the price road its prices and stints are where the work
        starts, carried over by names; the exact road starts anew.

    Raises
    ------
    ValueError
        When the road is none of these, or the problem has no objective.
    """
    if road not in ("auto", "exact", "prices"):
        raise ValueError(f"no road {road!r}: auto, exact or prices")
    if not problem.objectives:
        raise ValueError("a problem needs an objective")
    if (road_for(problem) if road == "auto" else road) == "prices":
        from allocator.model.prices import solve_by_prices
        from allocator.model.warm import carried

        return solve_by_prices(
            problem, gap=gap, time_limit=math.inf if seconds is None else seconds, node_limit=node_limit, seed=seed, threads=threads,
            start=carried(*start, problem) if start is not None and start[1].prices else None,
            progress=None if progress is None else _told(progress),
        )  # fmt: skip
    return solve_exactly(
        problem, gap=gap, node_limit=node_limit, seconds=seconds, seed=seed, threads=threads,
        progress=progress,
    )  # fmt: skip


def _told(progress: Callable[[str], None]) -> Callable[[str, float, float], None]:
    """Return a listener of the price road that tells a line of text."""
    return lambda stage, bound, value: progress(f"{stage}: {value:,.1f} (bound {bound:,.1f})")


def explain(problem: Problem) -> tuple[Finding, ...]:
    """Say in planners' words why there is no plan, and the cheapest way out."""
    from allocator.model.conflict import explanation

    return explanation(problem).findings
