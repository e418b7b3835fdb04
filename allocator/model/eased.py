"""An objective that is as well met by any arc, eased by a little of what comes after it.

Where leaving people unserved is all that costs, every site in reach is as good as another: prices of such a
problem creep, and small exact problems hold nearly everyone. With a small part of the next objective, or of
travel where none follows, ties are told apart. Its plan is a plan of the problem, and its prices are near
those that prove most; both are only where the work on the problem itself starts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from allocator.problem import Objective, Problem
from allocator.rules import Floats

__all__ = ["eased"]

_PART = 0.1
"""What the next objective may weigh, served all, against this one, served none."""


def eased(problem: Problem, factor: float = 1.0) -> Problem | None:
    """Return the problem with its first objective eased, ``factor`` of the usual; None where none is needed.

    Only objectives that cost nothing a person served, a place or a site are eased.
    """
    objective = problem.objectives[0]
    own = (objective.person, objective.place, objective.stint)
    if any(v is not None and np.any(v != 0) for v in own):
        return None
    next_ = problem.objectives[1] if len(problem.objectives) > 1 else None
    if next_ is None or not _tells_apart(next_):
        next_ = Objective(id="travel", unit="", person=problem.arc_minutes[:, None])
        if not _tells_apart(next_):
            return None
    # Against what it costs to serve everybody over some arc.
    need = float((problem.own_need * problem.future_weight).sum())
    assert next_.person is not None  # it tells arcs apart
    served = need * float(np.median(np.abs(next_.person)))
    part = factor * _PART * _all_unserved(problem, objective) / max(served, 1e-12)
    more = replace(
        objective, person=_times(next_.person, part), place=_times(next_.place, part), stint=_times(next_.stint, part)
    )  # fmt: skip
    return replace(problem, objectives=(more, *problem.objectives[1:]))


def _tells_apart(objective: Objective) -> bool:
    """Whether it costs more to serve people over some arcs than over others."""
    return objective.person is not None and float(np.ptp(objective.person)) > 0.0


def _times(values: Floats | None, part: float) -> Floats | None:
    return None if values is None else np.asarray(values, float) * part


def _all_unserved(problem: Problem, objective: Objective) -> float:
    """Return about what an objective costs where nobody is served."""
    need = (problem.own_need * problem.future_weight).sum((3, 4))  # (I, S, G)
    total = 0.0
    if objective.unmet is not None:
        total += float((np.broadcast_to(objective.unmet, need.shape) * need).sum())
    if objective.shortfalls:
        prices = [r.price for r in problem.rules if r.price is not None]
        total += float(np.mean(prices) * need.sum()) if prices else 0.0
    if objective.epigraph is not None:
        total += abs(objective.epigraph_weight)
    return total
