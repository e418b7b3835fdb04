"""The variables of the formulation: where each stands in the long vector, with bounds and kind.

``y`` (stints, binary), ``n`` (places of offers), ``x`` (people served), ``u`` (people unmet), then
the auxiliary variables of rules (shortfalls, coverage ``v``, modules, epigraphs) and of objectives
that weigh risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocator.problem import Objective, Problem
from allocator.rules import (
    Coverage,
    Deviation,
    Floats,
    Floor,
    Gini,
    Ints,
    PlacesRatio,
    PlacesShare,
    Rule,
    Scale,
    Served,
    WorstGroup,
)

__all__ = ["Columns", "make_columns", "offered"]


@dataclass(frozen=True, eq=False)
class Columns:
    """Positions and bounds of all variables of a problem.

    ``x_*`` describe the columns of people served: arc, group, period, future, the need cell they
    draw on (flat index into ``problem.need``) and the share willing; ``u_cell`` the cells with any need.
    ``auxiliary`` maps (rule or objective id, kind) to (start, shape).
    """

    size: int
    y: int
    n: int
    x: int
    u: int
    x_arc: Ints
    x_group: Ints
    x_period: Ints
    x_future: Ints
    x_cell: Ints
    x_phi: Floats
    u_cell: Ints
    auxiliary: Mapping[tuple[str, str], tuple[int, tuple[int, ...]]]
    lower: Floats
    upper: Floats
    integer: npt.NDArray[np.bool_]

    def of(self, rule: str, kind: str) -> Ints:
        """Return the positions of a rule's auxiliary variables, in their shape."""
        start, shape = self.auxiliary[rule, kind]
        return (start + np.arange(int(np.prod(shape)))).reshape(shape)


def make_columns(problem: Problem, *, whole_places: bool = False) -> Columns:
    """Lay out the variables of a problem.

    Parameters
    ----------
    whole_places
        Whether places are whole numbers; offers with a module always come in whole modules.
    """
    z = problem.shape
    there = offered(problem)
    service = problem.class_service[problem.arc_class]
    need = problem.need[problem.arc_area, service]  # (A, G, T, W)
    accepted = np.broadcast_to(problem.acceptance > 0, (z["a"], z["g"]))
    open_ = there[problem.arc_site, problem.arc_class]  # (A, T)
    mask = (need > 0) & accepted[:, :, None, None] & open_[:, None, :, None]
    flat, span = np.flatnonzero(mask), z["g"] * z["t"] * z["w"]
    arc = np.repeat(np.arange(z["a"]), np.count_nonzero(mask.reshape(z["a"], span), axis=1))
    inner = flat - arc * span
    group, period, future = (at[inner] for at in np.unravel_index(np.arange(span), mask.shape[1:]))
    cell = ((problem.arc_area * z["s"] + service) * span)[arc] + inner
    most = need.ravel()[flat]
    u_cell = np.flatnonzero(problem.need.ravel() > 0)
    phi = problem.acceptance[arc, group if problem.acceptance.shape[1] > 1 else 0]

    y, n = 0, z["p"]
    x = n + z["f"]
    u = x + len(arc)
    size = u + len(u_cell)
    lower = [np.zeros(size)]
    upper = [
        np.ones(z["p"]),
        problem.offer_max.astype(float),
        phi * most,
        problem.need.ravel()[u_cell],
    ]
    auxiliary: dict[tuple[str, str], tuple[int, tuple[int, ...]]] = {}
    owners: tuple[Rule | Objective, ...] = (*problem.rules, *problem.objectives)
    for owner in owners:
        for kind, shape, low, high in _auxiliary(owner, problem):
            auxiliary[owner.id, kind] = (size, shape)
            count = int(np.prod(shape))
            lower.append(np.full(count, low))
            upper.append(np.full(count, high))
            size += count
    integer = np.zeros(size, bool)
    integer[: z["p"]] = True
    sized = problem.offer_max > problem.offer_min  # a fixed size stays as it is, whole or not
    integer[n : n + z["f"]] = whole_places & sized & (problem.offer_max >= 1)
    for (_, kind), (start, shape) in auxiliary.items():
        if kind == "modules":
            integer[start : start + shape[0]] = True
    return Columns(
        size, y, n, x, u, arc, group, period, future, cell, phi, u_cell, auxiliary,
        np.concatenate(lower), np.concatenate(upper), integer,
    )  # fmt: skip


def offered(problem: Problem, live: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
    """Return (J, C, T) whether a stint, of those ``live`` if given, could offer the class."""
    z = problem.shape
    there = np.zeros((z["j"], z["c"], z["t"]), bool)
    stint = problem.offer_stint
    in_place = problem.stint_periods if live is None else problem.stint_periods & live[:, None]
    f, t = np.nonzero(in_place[stint])
    there[problem.stint_site[stint[f]], problem.offer_class[f], t] = True
    return there


def _auxiliary(
    rule: Rule | Objective, problem: Problem
) -> list[tuple[str, tuple[int, ...], float, float]]:
    """Return (kind, shape, lower, upper) of the variables a rule or an objective adds."""
    z = problem.shape
    found: list[tuple[str, tuple[int, ...], float, float]] = []
    if isinstance(rule, Scale) and np.any(problem.offer_module > 0):
        found.append(("modules", (int((problem.offer_module > 0).sum()),), 0.0, np.inf))
    if isinstance(rule, Objective) and rule.risk != "expected":
        found.append(("level", (1,), -np.inf, np.inf))
        if rule.risk == "cvar":
            found.append(("excess", (z["w"],), 0.0, np.inf))
    if isinstance(rule, Coverage):
        found.append(("covered", (len(rule.areas), z["t"]), 0.0, 1.0))
    if isinstance(rule, WorstGroup):
        found.append(("worst", (1,), 0.0, 1.0))
    if isinstance(rule, Deviation):
        parts = int(rule.part.max(initial=-1)) + 1
        found.append(("over", (parts, z["t"], z["w"]), 0.0, np.inf))
        found.append(("under", (parts, z["t"], z["w"]), 0.0, np.inf))
    if isinstance(rule, Gini):
        parts = int(rule.part.max(initial=-1)) + 1
        pairs = parts * (parts - 1) // 2
        found.append(("over", (pairs, z["t"], z["w"]), 0.0, np.inf))
        found.append(("under", (pairs, z["t"], z["w"]), 0.0, np.inf))
        found.append(("served", (parts, z["t"], z["w"]), 0.0, np.inf))
    if isinstance(rule, Coverage | Served | PlacesRatio | PlacesShare) and not rule.is_hard:
        per_future = z["w"] if isinstance(rule, Served) else 1
        found.append(("short", (z["t"], per_future), 0.0, np.inf))
    if isinstance(rule, Floor) and not rule.is_hard:
        parts = int(rule.part.max(initial=-1)) + 1
        found.append(("short", (parts, z["t"], z["w"]), 0.0, np.inf))
    return found
