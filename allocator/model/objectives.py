"""Objectives as coefficients of every column, and the rows that weigh risk over futures."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from allocator.model.columns import Columns
from allocator.model.rows import INF, Block
from allocator.problem import Objective, Problem
from allocator.rules import Deviation, Floats, Floor, Served, WorstGroup

__all__ = ["objective_coefficients", "risk_block", "tighten_risk"]


def objective_coefficients(problem: Problem, columns: Columns, objective: Objective) -> Floats:
    """Return the coefficient of every column in an objective, risk over futures included.

    The rows that tie the risk's own columns to the futures come from `risk_block`.
    """
    fixed, by_future = _parts(problem, columns, objective)
    if objective.risk == "expected":
        return np.asarray(fixed + problem.future_weight @ by_future)
    fixed[columns.of(objective.id, "level")] = 1.0
    if objective.risk == "cvar":
        share = problem.future_weight / objective.risk_share
        fixed[columns.of(objective.id, "excess")] = share
    return fixed


def _parts(problem: Problem, columns: Columns, objective: Objective) -> tuple[Floats, Floats]:
    """Return the coefficients that all futures share, and (W, columns) those of each future."""
    z = problem.shape
    fixed, by_future = np.zeros(columns.size), np.zeros((z["w"], columns.size))
    if objective.stint is not None:
        fixed[columns.y : columns.y + z["p"]] += objective.stint
    if objective.place is not None:
        fixed[columns.n : columns.n + z["f"]] += objective.place
    weight = np.ones(z["t"]) if objective.period_weight is None else objective.period_weight
    if objective.person is not None and len(columns.x_arc):
        group = columns.x_group if objective.person.shape[1] > 1 else 0
        value = objective.person[columns.x_arc, group] * weight[columns.x_period]
        by_future[columns.x_future, columns.x + np.arange(len(value))] += value
    if objective.unmet is not None:
        each = np.broadcast_to(objective.unmet, problem.need.shape[:3])[..., None, None]
        each = np.broadcast_to(each * weight[:, None], problem.need.shape).ravel()
        future = columns.u_cell % z["w"]
        by_future[future, columns.u + np.arange(len(future))] += each[columns.u_cell]
    for rule in problem.rules:
        if objective.shortfalls and (rule.id, "short") in columns.auxiliary:
            short = columns.of(rule.id, "short")
            price = float(rule.price or 0.0)
            if isinstance(rule, Served | Floor):
                for w in range(z["w"]):
                    by_future[w, short[..., w]] += price
            else:
                fixed[short] += price
        if rule.id == objective.epigraph and isinstance(rule, WorstGroup):
            fixed[columns.of(rule.id, "worst")] -= objective.epigraph_weight
        elif rule.id == objective.epigraph and isinstance(rule, Deviation):
            for kind in ("over", "under"):
                for w in range(z["w"]):
                    at = columns.of(rule.id, kind)[..., w]
                    by_future[w, at] += objective.epigraph_weight / z["t"]
    return fixed, by_future


def risk_block(problem: Problem, columns: Columns, objective: Objective) -> Block | None:
    """Risk over futures: ``level >= value[w] (- best[w])``, or ``level + excess[w] >= value[w]``.

    ``value[w]`` leaves out what all futures share. Conditional value at risk as the linear
    programme of Rockafellar and Uryasev (2000). None for the expected value.
    """
    if objective.risk == "expected":
        return None
    futures = len(problem.futures)
    _, by_future = _parts(problem, columns, objective)
    by_future[:, columns.of(objective.id, "level")] = -1.0
    upper = np.zeros(futures)
    if objective.risk == "cvar":
        by_future[np.arange(futures), columns.of(objective.id, "excess")] = -1.0
    elif objective.risk == "regret":
        if objective.future_best is None:
            raise ValueError(f"{objective.id}: regret needs future_best, see with_regret")
        upper = objective.future_best.astype(float)
    elif objective.risk != "worst":
        raise ValueError(f"{objective.id}: unknown risk {objective.risk!r}")
    return Block(objective.id, csr_array(by_future), np.full(futures, -INF), upper)


def tighten_risk(problem: Problem, columns: Columns, objective: Objective, z: Floats) -> None:
    """Set the level of a risk (and the excesses above it) to what the futures' values say."""
    value = _parts(problem, columns, objective)[1] @ z
    if objective.risk == "regret" and objective.future_best is not None:
        value = value - objective.future_best
    level = float(value.max())
    if objective.risk == "cvar":
        order = np.argsort(-value, kind="stable")
        reached = np.cumsum(problem.future_weight[order]) >= objective.risk_share - 1e-12
        level = float(value[order[int(np.argmax(reached))]])
        z[columns.of(objective.id, "excess")] = np.maximum(value - level, 0.0)
    z[columns.of(objective.id, "level")] = level
