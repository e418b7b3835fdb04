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

__all__ = ["Formulation", "evaluate", "explain", "formulate", "road_for", "solve", "solve_exactly"]

_NOT_PRICED = (
    Coverage, Deviation, Floor, Gini, Hub, MeanTravel, Nearest, PlacesRatio, PlacesShare, Referral,
    Reserved, Resettlement, Room, Served, WorstGroup,
)  # fmt: skip
LARGEST_EXACT = 150_000  # columns of people served up to which the exact road is taken unasked


def road_for(problem: Problem) -> str:
    """Return the road a problem's size calls for: ``exact`` or ``prices``.

    The price road answers one expected objective under resources and numbers of sites; anything
    else stays on the exact road, however large, until that road is shown to hold it.
    """
    simple = len(problem.objectives) == 1 and problem.objectives[0].risk == "expected"
    simple = simple and not any(isinstance(r, _NOT_PRICED) for r in problem.rules)
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

        return solve_by_prices(
            problem, gap=gap, time_limit=seconds or math.inf, seed=seed, threads=threads,
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
