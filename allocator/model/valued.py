"""Rows of whole objectives: one held to what was reached of it, and risk over futures.

``value[w]`` is what a future alone adds to an objective. Under risk a level, a column, is at least each of them
(worst), each less its best (regret), or each less an excess that costs its share (conditional value at risk:
Rockafellar and Uryasev 2000).
"""

from __future__ import annotations

import numpy as np

from allocator.model.sheet import Risk, Sheet
from allocator.problem import Objective
from allocator.rules import Floats, Held, Ints, Rule

__all__ = ["add_held", "add_risk"]


def _add_value(s: Sheet, objective: Objective, rows: Ints, weight: Floats) -> None:
    """Put what each future alone adds to an objective into the row of that future, weighed (W,)."""
    pr = s.pr
    years = (
        np.ones(len(pr.periods))
        if objective.period_weight is None
        else np.asarray(objective.period_weight, float)
    )
    if objective.person is not None:
        group = s.entry_group if objective.person.shape[1] > 1 else np.zeros_like(s.entry_group)
        value = objective.person[s.entry_arc, group] * years[s.entry_t] * weight[s.entry_w]
        e = np.flatnonzero(value)
        s.put("x", rows[s.entry_w[e]], e, value[e])
    if objective.unmet is not None:
        key = np.flatnonzero(pr.need.ravel() > 0)
        i, service, g, t, w = np.unravel_index(key, pr.need.shape)
        each = np.broadcast_to(np.asarray(objective.unmet, float), pr.need.shape[:3])
        value = each[i, service, g] * years[t] * weight[w]
        u = np.flatnonzero(value)
        s.put("u", rows[w[u]], u, value[u])
    for col, value, future in s.counts(objective):
        own = future >= 0
        s.put("v", rows[future[own]], col[own], value[own] * weight[future[own]])


def add_risk(s: Sheet, objective: Objective, of: int) -> Ints:
    """Rows ``value[w] - level (- excess[w]) <= 0``, or ``<= best[w]``; return the columns of level and excesses."""
    pr, n_w = s.pr, len(s.pr.futures)
    best = np.zeros(n_w)
    if objective.risk == "regret":
        if objective.future_best is None:
            raise ValueError(f"{objective.id}: regret needs future_best, see with_regret")
        best = np.asarray(objective.future_best, float)
    alone = 1.0 if of < 0 else 0.0
    level = s.columns(1, alone, -np.inf, np.inf)
    rule = Rule(id=f"risk:{objective.id}", words=objective.words)
    rows = s.open(rule, -np.inf, best, n_w)
    s.put("v", rows, level, -1.0)
    _add_value(s, objective, rows, np.ones(n_w))
    most, columns = np.ones(n_w), level
    if objective.risk == "cvar":
        most = np.minimum(pr.future_weight / objective.risk_share, 1.0)
        share = pr.future_weight / objective.risk_share
        excess = s.columns(n_w, alone * share, 0.0, np.inf)
        s.put("v", rows, excess, -1.0)
        columns = np.r_[level, excess]
    elif objective.risk not in ("worst", "regret"):
        raise ValueError(f"{objective.id}: unknown risk {objective.risk!r}")
    s.risks.append(Risk(rows, most, of))
    return columns


def add_held(s: Sheet, r: Held) -> None:
    """An objective at most what was reached of it, risk and all."""
    pr, objective = s.pr, s.pr.objective(r.objective)
    row = s.open(r, -np.inf, r.most, 1)
    if objective.stint is not None:
        s.put("y", row, np.arange(len(pr.stint_site)), objective.stint)
    if objective.place is not None:
        s.put("n", row, np.arange(len(pr.offer_stint)), objective.place)
    for col, value, future in s.counts(objective):
        s.put("v", row, col[future < 0], value[future < 0])
    if objective.risk == "expected":
        _add_value(s, objective, np.repeat(row, len(pr.futures)), pr.future_weight)
        return
    level, *excess = add_risk(s, objective, int(row[0])).tolist()
    s.put("v", row, np.array([level]), 1.0)
    if excess:
        s.put("v", row, np.array(excess), pr.future_weight / objective.risk_share)
