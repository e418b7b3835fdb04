"""The same blocks as a PuLP problem: any solver PuLP drives, and LP or MPS text.

Variables are numbered (``y12``, ``x305``: kind and position), because PuLP folds distinct ids into
one name; `meaning` maps them back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pulp

from allocator.model.blocks import Block, objective_coefficients
from allocator.model.columns import Columns
from allocator.model.exact import Formulation, formulate, plan_from_values
from allocator.plan import Plan, Status
from allocator.problem import Problem
from allocator.rules import Floats, Link

__all__ = ["export", "meaning", "names", "solve_by_pulp", "to_pulp"]


def names(columns: Columns) -> list[str]:
    """Return the numbered name of every column: ``y``, ``n``, ``x``, ``u``, and ``a`` for the rest."""
    found = []
    starts = ((columns.y, "y"), (columns.n, "n"), (columns.x, "x"), (columns.u, "u"))
    ends = [columns.n, columns.x, columns.u, columns.u + len(columns.u_cell)]
    for (start, letter), end in zip(starts, ends, strict=True):
        found += [f"{letter}{k}" for k in range(end - start)]
    found += [f"a{k}" for k in range(columns.size - len(found))]
    return found


def meaning(problem: Problem, columns: Columns) -> list[str]:
    """Return in words what every column stands for, ids included."""
    p = problem
    words = []
    for s in range(len(p.stint_site)):
        span = f"{p.periods[p.stint_first[s]]}..{p.periods[p.stint_last[s]]}"
        words.append(
            f"{p.sites[p.stint_site[s]]}: {p.options[p.stint_from[s]]} -> "
            f"{p.options[p.stint_option[s]]}, {span}"
        )
    for f in range(len(p.offer_stint)):
        words.append(f"places of {p.classes[p.offer_class[f]]} in y{p.offer_stint[f]}")
    for a, g, t, w in zip(
        columns.x_arc, columns.x_group, columns.x_period, columns.x_future, strict=True
    ):
        words.append(
            f"{p.areas[p.arc_area[a]]} -> {p.sites[p.arc_site[a]]}, {p.classes[p.arc_class[a]]}, "
            f"{p.groups[g]}, {p.periods[t]}, {p.futures[w]}"
        )
    for cell in columns.u_cell:
        i, s, g, t, w = (int(v) for v in np.unravel_index(cell, p.need.shape))
        words.append(
            f"unmet: {p.areas[i]}, {p.services[s]}, {p.groups[g]}, {p.periods[t]}, {p.futures[w]}"
        )
    for (owner, kind), (_, shape) in columns.auxiliary.items():
        words += [f"{kind} of {owner} [{k}]" for k in range(int(np.prod(shape)))]
    return words


def to_pulp(
    form: Formulation, objective: int = 0, *, blocks: Sequence[Block] | None = None
) -> tuple[Any, list[Any]]:
    """Return a PuLP ``LpProblem`` and its variables in the order of the columns.

    Parameters
    ----------
    objective
        Position of the objective to minimise; constants are left out.
    blocks
        Rows to write; all by default. Rows without a finite bound are left out.
    """
    columns = form.columns
    model = pulp.LpProblem("plan", pulp.LpMinimize)
    variables = [
        pulp.LpVariable(
            name,
            None if columns.lower[k] == -np.inf else float(columns.lower[k]),
            None if columns.upper[k] == np.inf else float(columns.upper[k]),
            pulp.LpInteger if columns.integer[k] else pulp.LpContinuous,
        )
        for k, name in enumerate(names(columns))
    ]
    cost = objective_coefficients(form.problem, columns, form.problem.objectives[objective])
    model += pulp.LpAffineExpression((variables[k], float(cost[k])) for k in np.flatnonzero(cost))
    for number, block in enumerate(form.blocks if blocks is None else blocks):
        _put_rows(model, variables, block, f"r{number}")
    return model, variables


def _put_rows(model: Any, variables: list[Any], block: Block, name: str) -> None:
    """Add a block's rows; a row bounded on both sides becomes two."""
    m = block.matrix
    for r in range(m.shape[0]):
        at = slice(m.indptr[r], m.indptr[r + 1])
        entries = sorted(zip(m.indices[at].tolist(), m.data[at].tolist(), strict=True))
        terms = [(variables[c], v) for c, v in entries if v != 0.0]
        low, high = float(block.lower[r]), float(block.upper[r])
        if not terms:
            if low > 1e-9 or high < -1e-9:  # no column can help: a row that contradicts itself
                model += pulp.LpConstraint(
                    pulp.LpAffineExpression([(variables[0], 0.0)]), pulp.LpConstraintEQ,
                    f"{name}_{r}", 1.0,
                )  # fmt: skip
            continue
        sides = [(pulp.LpConstraintEQ, low, "")] if low == high else []
        if low != high:
            sides += [(pulp.LpConstraintGE, low, "l")] if np.isfinite(low) else []
            sides += [(pulp.LpConstraintLE, high, "u")] if np.isfinite(high) else []
        for sense, right, side in sides:
            row = pulp.LpAffineExpression(terms)
            model += pulp.LpConstraint(row, sense, f"{name}_{r}{side}", right)


def export(problem: Problem, form: str = "lp", *, objective: int = 0) -> str:
    """Return the whole problem as LP or MPS text, all link rows written out.

    Parameters
    ----------
    form
        ``lp`` or ``mps``.
    objective
        Which objective of the order is minimised.

    Raises
    ------
    ValueError
        When the form is another.
    """
    if form not in ("lp", "mps"):
        raise ValueError(f"no text form {form!r}: lp or mps")
    model, _ = to_pulp(formulate(problem, links=True), objective)
    return text_of(model, form)


def text_of(model: Any, form: str = "lp") -> str:
    """Return a PuLP problem as LP or MPS text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"plan.{form}"
        if form == "lp":
            model.writeLP(str(path), max_length=255)
        else:
            model.writeMPS(str(path))
        return path.read_text(encoding="utf-8")


def solve_by_pulp(problem: Problem, solver: Any = None, *, whole_places: bool = True) -> Plan:
    """Solve a problem through PuLP, each objective in turn under the ones before.

    PuLP reports no bound, so a plan it calls optimal has its value less the solver's own relative
    gap of 1e-9 as bound, and any other plan the relaxation's: read the exact road for proof.

    Parameters
    ----------
    solver
        Any PuLP solver object; the bundled CBC by default.
    """
    form = formulate(problem, whole_places=whole_places, links=bool(problem.rules_of(Link)))
    used = pulp.PULP_CBC_CMD(msg=False, gapRel=0.0) if solver is None else solver
    held: list[tuple[Floats, float]] = []
    bounds, values = [], None
    for number, objective in enumerate(problem.objectives):
        model, variables = to_pulp(form, number)
        for k, (cost, most) in enumerate(held):
            some = np.flatnonzero(cost)
            model += pulp.LpConstraint(
                pulp.LpAffineExpression((variables[c], float(cost[c])) for c in some),
                pulp.LpConstraintLE, f"held_{k}", most,
            )  # fmt: skip
        model.solve(used)
        if model.sol_status != pulp.LpSolutionOptimal:
            nothing = model.status == pulp.LpStatusInfeasible
            return _none(problem, Status.INFEASIBLE if nothing else Status.NO_PLAN_FOUND)
        values = np.array([v.varValue or 0.0 for v in variables])
        cost = objective_coefficients(problem, form.columns, objective)
        value = float(np.sum(cost * values))
        bounds.append((objective, value - 1e-9 * abs(value)))
        held.append((cost, value + objective.tolerance * max(abs(value), 1e-6) + 1e-7))
    assert values is not None
    return plan_from_values(
        problem, form.columns, values, bounds, status=Status.PROVED, road="exact",
        solver=f"PuLP {pulp.__version__} {used.name}",
    )  # fmt: skip


def _none(problem: Problem, status: Status) -> Plan:
    none = np.zeros(0, np.int64)
    return Plan(
        problem=problem.digest, status=status, stints=none,
        places=np.zeros(len(problem.offer_stint)), served_arc=none, served_group=none,
        served_period=none, served_future=none, served=np.zeros(0), unmet=problem.need.copy(),
        objectives=(), road="exact", solver=f"PuLP {pulp.__version__}",
    )  # fmt: skip
