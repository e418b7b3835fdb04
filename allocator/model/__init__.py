"""Finding a plan: the formulation as sparse blocks, and the roads to its solution."""

from __future__ import annotations

from collections.abc import Callable

from allocator.errors import Finding
from allocator.model.exact import Formulation, formulate, solve_exactly
from allocator.plan import Plan
from allocator.problem import Problem

__all__ = ["Formulation", "explain", "formulate", "solve", "solve_exactly"]


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
    """Solve a problem by the exact road."""
    return solve_exactly(
        problem,
        gap=gap,
        node_limit=node_limit,
        seconds=seconds,
        seed=seed,
        threads=threads,
        progress=progress,
    )


def explain(problem: Problem) -> tuple[Finding, ...]:
    """Say why there is no plan."""
    return ()
