"""The people and the state of services of a plan, in the tables that `equity_chapter` takes.

Read from `Problem` and `Plan` alone: who is in need, which open sites they can reach, how many
places stand there against whom, and what is spent a person.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from allocator.measures.inequality import Arcs, two_step
from allocator.plan import Plan
from allocator.problem import Problem

__all__ = ["people_in_need", "state_of_plan"]


def people_in_need(
    problem: Problem, areas: pd.DataFrame, period: int, future: int | None = None
) -> pd.DataFrame:
    """Return the people in need of a period as ``people`` rows of base ``need``.

    Parameters
    ----------
    areas
        ``area_id``, ``township``, ``area_class`` of each area of the problem.
    period
        Position of the period.
    future
        Position of the future; None takes the weighted mean.
    """
    need = _need(problem, period, future)
    i, s, g = np.nonzero(need > 0)
    table = pd.DataFrame(
        {
            "area_id": np.asarray(problem.areas, dtype=object)[i],
            "service": np.asarray(problem.services, dtype=object)[s],
            "need": np.asarray(problem.groups, dtype=object)[g],
            "base": "need",
            "persons": need[i, s, g],
        }
    )
    known = areas[["area_id", "township", "area_class"]]
    missing = sorted(set(problem.areas) - set(known["area_id"]))
    if missing:
        raise ValueError(f"areas without township: {missing[:5]}")
    return table.merge(known, on="area_id", how="left", sort=True)


def _need(problem: Problem, period: int, future: int | None) -> np.ndarray:
    here = problem.need[:, :, :, period, :]
    if future is not None:
        return np.asarray(here[..., future])
    return np.asarray(here @ (problem.future_weight / problem.future_weight.sum()))


def state_of_plan(
    problem: Problem,
    plan: Plan,
    period: int,
    *,
    future: int | None = None,
    within_minutes: dict[str, float] | None = None,
    running_pool: str = "running",
) -> pd.DataFrame:
    """Return the state of each service in a period of a plan.

    Parameters
    ----------
    within_minutes
        By service, the reach that counts as covered; else any open site that the service's own
        limit lets people use.
    running_pool
        Pool whose use is the spending; unknown pools give NaN.

    Returns
    -------
    pandas.DataFrame
        ``service``, ``area_id``, ``covered``, ``minutes``, ``access``, ``spending_yuan``.
    """
    need = _need(problem, period, future).sum(axis=2)
    places = _open_places(problem, plan, period)
    spending = _spending(problem, plan, period, future, running_pool)
    parts = []
    for s, service in enumerate(problem.services):
        mine = problem.class_service[problem.arc_class] == s
        mine &= places[problem.arc_site, problem.arc_class] > 0
        area, minutes = problem.arc_area[mine], problem.arc_minutes[mine]
        nearest = np.full(len(problem.areas), np.inf)
        np.minimum.at(nearest, area, minutes)
        reach = (within_minutes or {}).get(service, np.inf)
        node = problem.arc_site[mine] * len(problem.classes) + problem.arc_class[mine]
        access = two_step(
            places.ravel(), need[:, s], Arcs(area, node, minutes), np.ones_like
        )  # journeys beyond a class's limit are no arcs, so within it all weigh alike
        persons = need[:, s]
        money = np.divide(spending[:, s], persons, where=persons > 0, out=np.zeros(len(persons)))
        parts.append(
            pd.DataFrame(
                {
                    "service": service,
                    "area_id": problem.areas,
                    "covered": (np.isfinite(nearest) & (nearest <= reach)).astype(float),
                    "minutes": np.where(np.isfinite(nearest), nearest, np.nan),
                    "access": access,
                    "spending_yuan": money,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _chosen(problem: Problem, plan: Plan, period: int) -> np.ndarray:
    """(P,) whether a stint is chosen and in place in the period."""
    chosen = np.zeros(len(problem.stint_site), dtype=bool)
    chosen[plan.stints] = True
    return np.asarray(chosen & problem.stint_periods[:, period])


def _open_places(problem: Problem, plan: Plan, period: int) -> np.ndarray:
    """(J, C) places open in the period."""
    live = _chosen(problem, plan, period)[problem.offer_stint]
    places = np.zeros((len(problem.sites), len(problem.classes)))
    at = problem.stint_site[problem.offer_stint[live]], problem.offer_class[live]
    np.add.at(places, at, plan.places[live])
    return places


def _spending(
    problem: Problem, plan: Plan, period: int, future: int | None, pool: str
) -> np.ndarray:
    """(I, S) yearly yuan spent on the people of each area: a site's running cost by its users."""
    shape = (len(problem.areas), len(problem.services))
    if pool not in problem.pools:
        return np.full(shape, np.nan)
    k = problem.pools.index(pool)
    column = k * len(problem.periods) + period
    stints = _chosen(problem, plan, period)
    live = stints[problem.offer_stint]
    cost = np.zeros(len(problem.sites))
    by_stint = problem.use_stint[:, [column]].toarray()[:, 0]
    by_place = problem.use_place[:, [column]].toarray()[:, 0]
    np.add.at(cost, problem.stint_site[stints], by_stint[stints])
    owner = problem.stint_site[problem.offer_stint[live]]
    np.add.at(cost, owner, by_place[live] * plan.places[live])
    here = plan.served_period == period
    if future is not None:
        here &= plan.served_future == future
        weight = np.ones(int(here.sum()))
    else:
        share = problem.future_weight / problem.future_weight.sum()
        weight = share[plan.served_future[here]]
    arc, persons = plan.served_arc[here], plan.served[here] * weight
    site, kind = problem.arc_site[arc], problem.arc_class[arc]
    direct = problem.use_person[kind, plan.served_group[here], k, period] * persons
    users = np.bincount(site, weights=persons, minlength=len(problem.sites))
    unit = np.divide(cost, users, where=users > 0, out=np.zeros(len(users)))
    spent = np.zeros(shape)
    np.add.at(spent, (problem.arc_area[arc], problem.class_service[kind]), persons * unit[site] + direct)  # fmt: skip
    return spent
