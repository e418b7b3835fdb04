"""HiGHS as a function on arrays: rows and columns in, status, values, bound and work out."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from allocator.errors import CheckFailed, Finding, Rank, Text, Where
from allocator.plan import Status
from allocator.rules import Floats, Ints

__all__ = [
    "Hot",
    "Linear",
    "Outcome",
    "StoppedTwice",
    "model_of",
    "quiet",
    "relax_and_tighten",
    "solve_linear",
    "stacked",
    "version",
]


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


class StoppedTwice(KeyboardInterrupt):
    """Ctrl-C came again while the solver was already stopping: nothing is waited for any more."""


def version() -> str:
    """Return the solver's name and version."""
    return f"HiGHS {quiet().version()}"


def solve_linear(
    problem: Linear,
    cost: Floats,
    *,
    relax: bool = False,
    gap: float = 1e-3,
    node_limit: int | None = None,
    checks: int | None = None,
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
    checks
        How often a search may ask whether to stop: a work limit that also holds at a root that takes
        long, where nodes have not begun.
    start
        Values of a known solution, columns in order.
    progress
        Called with a line of text at each better plan.

    Raises
    ------
    CheckFailed
        When the solver breaks down: what it leaves behind is no answer.
    StoppedTwice
        When Ctrl-C comes again before the solver has stopped.
    """
    scaled, factor, _ = _scaled(problem, cost)
    h = quiet()
    for option, value in {
        "threads": threads,
        "random_seed": seed,
        "mip_rel_gap": gap,
        "mip_abs_gap": 1e-9 * factor,
        **({"mip_max_nodes": node_limit} if node_limit else {}),
        **({"time_limit": float(seconds)} if seconds is not None else {}),
    }.items():
        h.setOptionValue(option, value)
    if h.passModel(model_of(scaled, cost * factor, relax)) == highspy.HighsStatus.kError:
        raise _broke_down("the model was not taken")
    is_mip = not relax and bool(problem.integer.any())
    if start is not None and is_mip:
        given = highspy.HighsSolution()
        given.col_value = list(start)
        h.setSolution(given)
    if progress is not None and is_mip:
        say = progress

        def better(event: highspy.HighsCallbackEvent) -> None:
            out = event.data_out
            say(
                f"{out.objective_function_value / factor:,.1f}"
                f" (bound {out.mip_dual_bound / factor:,.1f})"
            )

        h.cbMipImprovingSolution.subscribe(better)
    asked = 0
    if checks is not None and is_mip:

        def stop(event: highspy.HighsCallbackEvent) -> None:
            nonlocal asked
            asked += 1
            if asked > checks:
                event.interrupt()

        h.cbMipInterrupt.subscribe(stop)
    if is_mip:
        run_heard(h)
    else:
        _checked(h, solve_loaded(h))
    out = _outcome(h, cost, factor, is_mip)
    if out.status is Status.INTERRUPTED and checks is not None and asked > checks:
        empty = out.values is None
        out = replace(out, status=Status.NO_PLAN_FOUND if empty else Status.LIMIT)
    if out.status is Status.PROVED and out.value - out.bound > 2 * gap * abs(out.value) + 1e-6:
        # Seen with HiGHS 1.16: "optimal" with the given start, far from its own bound.
        if start is not None:
            return solve_linear(
                problem, cost, relax=relax, gap=gap, node_limit=node_limit, seconds=seconds,
                seed=seed, threads=threads, progress=progress,
            )  # fmt: skip
        return replace(out, status=Status.LIMIT)
    return out


def relax_and_tighten(
    problem: Linear,
    cost: Floats,
    violated: Callable[[Floats], tuple[csr_array, Floats, Floats] | None],
    rounds: int,
    *,
    in_turns: bool = False,
) -> tuple[Linear, Hot]:
    """Solve the relaxation, add the rows it violates, and go on from the same basis.

    Parameters
    ----------
    violated
        Given the relaxation's values, returns more rows with their bounds, or None to stop.
    rounds
        How often at most.
    in_turns
        Whether a simplex that takes very many steps goes on the other way (`solve_relaxation`).

    Returns
    -------
    Linear
        The problem with all rows added; unchanged when the relaxation has no solution.
    Hot
        The relaxation with all rows, solved and warm.
    """
    scaled, factor, scale = _scaled(problem, cost)
    h = quiet()
    h.setOptionValue("threads", 1)
    # Rows come scaled; the solver's own scaling on top doubles the time of the dual simplex.
    h.setOptionValue("simplex_scale_strategy", 0)
    h.passModel(model_of(scaled, cost * factor, True))
    for n in range(rounds):
        solve_relaxation(h, in_turns, is_new=n == 0)
        if h.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            break
        more = violated(np.array(h.getSolution().col_value))
        if more is None:
            break
        matrix, lower, upper = more
        problem = problem.with_rows(matrix, lower, upper)
        more_rows = replace(problem, matrix=matrix, row_lower=lower, row_upper=upper)
        part, _, more_scale = _scaled(more_rows, cost)
        scale = np.r_[scale, more_scale]
        m = part.matrix
        h.addRows(
            m.shape[0], part.row_lower, part.row_upper, m.nnz, m.indptr[:-1].astype(np.int32),
            m.indices.astype(np.int32), m.data,
        )  # fmt: skip
    else:
        solve_relaxation(h, in_turns)
    return problem, Hot(h, factor, scale, in_turns)


class Hot:
    """A solved relaxation that keeps its basis while columns are fixed and freed."""

    def __init__(self, h: highspy.Highs, factor: float, rows: Floats, in_turns: bool) -> None:
        self._h, self._factor, self._rows, self._in_turns = h, factor, rows, in_turns
        self.bound = self.value

    @property
    def values(self) -> Floats | None:
        """Values of all columns; None where the relaxation has no solution."""
        if self._h.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return np.array(self._h.getSolution().col_value)

    @property
    def reduced(self) -> Floats:
        """What a unit of each column adds to the relaxation's value beyond what it is worth."""
        return np.array(self._h.getSolution().col_dual) / self._factor

    @property
    def value(self) -> float:
        """The relaxation's value as it was solved last."""
        return float(self._h.getInfo().objective_function_value) / self._factor

    @property
    def row_prices(self) -> Floats:
        """What one more unit on the right of each row adds to the value."""
        return np.array(self._h.getSolution().row_dual) * self._rows / self._factor

    def add_columns(
        self, cost: Floats, upper: Floats, column: Ints, row: Ints, value: Floats
    ) -> int:
        """Add columns from 0 to ``upper`` with entries (column, row, value); solve on; return the first."""
        first, count = int(self._h.getNumCol()), len(cost)
        order = np.lexsort((row, column))
        start = np.searchsorted(column[order], np.arange(count))
        self._h.addCols(
            count, cost * self._factor, np.zeros(count), upper, len(row), start.astype(np.int32),
            row[order].astype(np.int32), (value * self._rows[row])[order],
        )  # fmt: skip
        solve_relaxation(self._h, self._in_turns)
        return first

    def bounds(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Set bounds of columns."""
        self._h.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def solve(self) -> None:
        """Solve again from the last basis."""
        solve_relaxation(self._h, self._in_turns)

    def remember(self) -> Callable[[], None]:
        """Return a function that leads back to today's basis."""
        basis = self._h.getBasis()

        def back() -> None:
            self._h.setBasis(basis)
            solve_relaxation(self._h, self._in_turns)

        return back

    def restart(self) -> None:
        """Solve again from nothing, where the last basis leads nowhere."""
        self._h.clearSolver()
        solve_relaxation(self._h, self._in_turns, is_new=True)


def quiet() -> highspy.Highs:
    """Return a solver that prints nothing; its first construction would print a banner."""
    global _BANNER_GONE
    if not _BANNER_GONE:
        sys.stdout.flush()
        kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 1)
            h = highspy.Highs()
            ctypes.CDLL(None).fflush(None) if os.name == "posix" else None
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nowhere)
        _BANNER_GONE = True
    else:
        h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    return h


_BANNER_GONE = False


def run_heard(h: highspy.Highs) -> None:
    """Run the solver; the first Ctrl-C asks it to stop with what it has, the second goes through.

    Raises
    ------
    CheckFailed
        When the solver breaks down.
    StoppedTwice
        When Ctrl-C comes again before the solver has stopped.
    """
    alone = threading.current_thread() is threading.main_thread()
    _checked(h, _run_in_thread(h) if alone else solve_loaded(h))


def _checked(h: highspy.Highs, status: highspy.HighsStatus | None) -> None:
    if status is None or status == highspy.HighsStatus.kError:
        raise _broke_down(h.modelStatusToString(h.getModelStatus()))


def solve_loaded(h: highspy.Highs) -> highspy.HighsStatus:
    """Run the solver on what was passed to it, and return its status.

    Raises
    ------
    CheckFailed
        When the solver ends in an exception of its own.
    """
    try:
        status = h.run()
        if (
            status == highspy.HighsStatus.kError
            and h.getModelStatus() == highspy.HighsModelStatus.kNotset
        ):  # refused: the workers of the process were made for another number of threads
            highspy.Highs.resetGlobalScheduler(True)
            status = h.run()
        return status
    except (RuntimeError, MemoryError) as problem:
        raise _broke_down(str(problem) or "out of memory") from problem


def solve_relaxation(h: highspy.Highs, in_turns: bool, *, is_new: bool = False) -> None:
    """Solve what was passed, without whole numbers, from its last basis.

    The simplex may go round in circles: ``in_turns``, after a number of steps it is stopped, and goes on from
    where it stands with the other of dual and primal, which ends them. The last turn has no limit.
    """
    if not in_turns:
        solve_loaded(h)
        return
    steps = _steps_at_once(h.getNumRow(), is_new)
    try:
        for turn in range(_TURNS):
            h.setOptionValue("simplex_strategy", (_DUAL, _PRIMAL)[turn % 2])
            h.setOptionValue("simplex_iteration_limit", steps if turn < _TURNS - 1 else _ANY)
            solve_loaded(h)
            if h.getModelStatus() != highspy.HighsModelStatus.kIterationLimit:
                return
    finally:
        h.setOptionValue("simplex_strategy", _DUAL)


_DUAL, _PRIMAL, _TURNS, _ANY = 1, 4, 9, 2**31 - 1
"""Numbers of the two ways of the simplex, how many turns it has, and any number of steps."""


def _steps_at_once(rows: int, is_new: bool) -> int:
    """Return how many steps no sound solve has been seen to take: four a row for a new problem, one from a basis.

    Too few cost dear: each turn of a new problem starts anew, and the primal is slow on it.
    """
    return max(20_000, 4 * rows) if is_new else max(10_000, rows)


def _run_in_thread(h: highspy.Highs) -> highspy.HighsStatus | None:
    """Run the solver beside this thread, which waits and hears Ctrl-C."""
    h.HandleKeyboardInterrupt = True
    h.startSolve()
    asked = False
    while True:
        try:
            ended, status = h.wait(0.2)
            if ended:
                return status
            if asked:  # a solve that was only starting forgets the first request
                h.cancelSolve()
        except KeyboardInterrupt:
            h.cancelSolve()
            if asked:
                raise StoppedTwice from None
            asked = True


def _broke_down(what: str) -> CheckFailed:
    return CheckFailed(
        (
            Finding(
                Rank.ERROR, "solver-broke-down", Where(),
                Text(f"求解器出错中止({what}),没有可用的结果。", f"The solver broke down ({what}); it left no answer."),
                Text("请再试一次;若仍如此,请核对数据的单位和量级,或报告此问题。",
                     "Try again; if it happens again, check the units and sizes of the data, or report it."),
            ),
        )
    )  # fmt: skip


def _scaled(problem: Linear, cost: Floats) -> tuple[Linear, float, Floats]:
    """Scale rows, and the cost if need be, by powers of two, so tolerances mean the same to each.

    Yuan and persons stand in one matrix; without this a row in yuan would be held 10^7 times more
    sharply than one in shares. Powers of two leave every digit as it was.
    """
    largest = np.zeros(problem.matrix.shape[0])
    filled = np.diff(problem.matrix.indptr) > 0
    if filled.any():
        starts = problem.matrix.indptr[:-1][filled]
        largest[filled] = np.maximum.reduceat(np.abs(problem.matrix.data), starts)
    rows = _power(largest)
    top = float(np.abs(cost).max(initial=0.0))
    factor = 1.0 if 1e-2 <= top <= 1e6 or top == 0 else float(_power(np.array([top / 1e3]))[0])
    matrix = csr_array(
        (
            problem.matrix.data * np.repeat(rows, np.diff(problem.matrix.indptr)),
            problem.matrix.indices,
            problem.matrix.indptr,
        ),
        shape=problem.matrix.shape,
    )
    return (
        Linear(
            matrix, problem.row_lower * rows, problem.row_upper * rows,
            problem.lower, problem.upper, problem.integer,
        ),
        factor,
        rows,
    )  # fmt: skip


def _power(size: Floats) -> Floats:
    """Return the power of two nearest to 1/size; 1 where the size is 0."""
    safe = np.where(size > 0, size, 1.0)
    return np.asarray(np.exp2(-np.round(np.log2(safe))))


def model_of(problem: Linear, cost: Floats, relax: bool) -> highspy.HighsLp:
    """Return the arrays as the solver takes them; ``relax``: whole numbers may be fractional."""
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


def _outcome(h: highspy.Highs, cost: Floats, factor: float, is_mip: bool) -> Outcome:
    model, info = h.getModelStatus(), h.getInfo()
    kind = highspy.HighsModelStatus
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if model in (kind.kOptimal, kind.kModelEmpty):
        status = Status.PROVED
    elif model in (kind.kInfeasible, kind.kUnboundedOrInfeasible):
        return Outcome(Status.INFEASIBLE, None, np.nan, np.nan, 0, 0)
    elif model == kind.kInterrupt:  # with or without a plan
        status = Status.INTERRUPTED
    else:
        status = Status.LIMIT if found else Status.NO_PLAN_FOUND
    values = np.array(h.getSolution().col_value) if found or model == kind.kModelEmpty else None
    # Summed in one fixed order: the order of a dense product hangs on the number of cores.
    value = float(np.sum(cost * values)) if values is not None else np.nan
    bound = float(info.mip_dual_bound) / factor if is_mip else value
    return Outcome(
        status, values, value, bound,
        int(info.mip_node_count) if is_mip else 0, int(info.simplex_iteration_count),
    )  # fmt: skip


def stacked(parts: Sequence[csr_array]) -> csr_array:
    """Return sparse blocks one below the other."""
    from scipy.sparse import vstack

    return csr_array(vstack(list(parts)))
