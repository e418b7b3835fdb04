"""HiGHS as a function on arrays: rows and columns in, status, values, bound and work out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from allocator.plan import Status
from allocator.rules import Floats

__all__ = ["Linear", "Outcome", "solve_linear", "version"]


@dataclass(frozen=True, eq=False)
class Linear:
    """A mixed-integer linear problem: minimise ``cost z`` under row and column bounds."""

    matrix: csr_array
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats
    integer: npt.NDArray[np.bool_]

    def with_rows(self, matrix: csr_array, lower: Floats, upper: Floats) -> Linear:
        """Return the problem with more rows below."""
        from scipy.sparse import vstack

        return Linear(
            csr_array(vstack([self.matrix, matrix])),
            np.r_[self.row_lower, lower],
            np.r_[self.row_upper, upper],
            self.lower,
            self.upper,
            self.integer,
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the solver itself says: status, values (None without a solution), bound, work."""

    status: Status
    values: Floats | None
    value: float
    bound: float
    nodes: int
    iterations: int


def version() -> str:
    """Return the solver's name and version."""
    return f"HiGHS {highspy.Highs().version()}"


def solve_linear(
    problem: Linear,
    cost: Floats,
    *,
    relax: bool = False,
    gap: float = 1e-3,
    node_limit: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    start: Floats | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Minimise a linear cost with HiGHS.

    Parameters
    ----------
    relax
        Whether whole numbers may be fractional.
    gap
        Relative gap at which the solver may stop.
    node_limit, seconds
        Work limit in branch-and-bound nodes, and wall-clock limit (irreproducible).
    start
        Values of a known solution, columns in order.
    progress
        Called with a line of text at each better plan.
    """
    h = highspy.Highs()
    for option, value in {
        "output_flag": False,
        "threads": threads,
        "random_seed": seed,
        "mip_rel_gap": gap,
        "mip_abs_gap": 1e-9,
        **({"mip_max_nodes": node_limit} if node_limit else {}),
        **({"time_limit": float(seconds)} if seconds else {}),
    }.items():
        h.setOptionValue(option, value)
    h.passModel(_model(problem, cost, relax))
    if start is not None and not relax:
        given = highspy.HighsSolution()
        given.col_value = list(start)
        h.setSolution(given)
    if progress is not None and not relax:
        say = progress

        def better(event: highspy.HighsCallbackEvent) -> None:
            out = event.data_out
            say(f"{out.objective_function_value:,.1f} (bound {out.mip_dual_bound:,.1f})")

        h.cbMipImprovingSolution.subscribe(better)
    h.run()
    return _outcome(h, problem, relax)


def _model(problem: Linear, cost: Floats, relax: bool) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    rows, columns = problem.matrix.shape
    lp.num_col_, lp.num_row_ = columns, rows
    lp.col_cost_ = cost
    lp.col_lower_, lp.col_upper_ = problem.lower, problem.upper
    lp.row_lower_, lp.row_upper_ = problem.row_lower, problem.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = problem.matrix.indptr.astype(np.int32)
    lp.a_matrix_.index_ = problem.matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = problem.matrix.data
    if not relax and problem.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[i] for i in problem.integer.astype(int)]
    return lp


def _outcome(h: highspy.Highs, problem: Linear, relax: bool) -> Outcome:
    model, info = h.getModelStatus(), h.getInfo()
    kind = highspy.HighsModelStatus
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    infeasible = (kind.kInfeasible, kind.kUnboundedOrInfeasible)
    if model == kind.kOptimal:
        status = Status.PROVED
    elif model in infeasible:
        return Outcome(Status.INFEASIBLE, None, np.nan, np.nan, 0, 0)
    elif not found:
        status = Status.NO_PLAN_FOUND
    else:
        status = Status.INTERRUPTED if model == kind.kInterrupt else Status.LIMIT
    values = np.array(h.getSolution().col_value) if found else None
    is_mip = not relax and bool(problem.integer.any())
    value = float(info.objective_function_value)
    bound = float(info.mip_dual_bound) if is_mip else value
    return Outcome(
        status, values, value, bound,
        int(info.mip_node_count) if is_mip else 0, int(info.simplex_iteration_count),
    )  # fmt: skip


def stacked(parts: Sequence[csr_array]) -> csr_array:
    """Return sparse blocks one below the other."""
    from scipy.sparse import vstack

    return csr_array(vstack(list(parts)))
