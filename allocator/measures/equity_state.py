"""The people and the state of services of a plan, in the tables that `equity_chapter` takes.

Read from `Problem` and `Plan` alone: who is in need, which open sites they can reach, how many
places stand there against whom, and what is spent a person.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
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
    need = _need(problem, period, future)  # those sent on are counted where they live
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
    here = problem.own_need[:, :, :, period, :]
    if future is not None:
        return np.asarray(here[..., future])
    return np.asarray(here @ (problem.future_weight / problem.future_weight.sum()))


def state_of_plan(
    problem: Problem,
    plan: Plan,
    period: int,
    *,
    future: int | None = None,
    reach: Mapping[str, npt.NDArray[np.float64]] | None = None,
    people: pd.DataFrame | None = None,
    part: npt.NDArray[np.int64] | None = None,
    running_pool: str = "running",
) -> pd.DataFrame:
    """Return the state of each service in a period of a plan.

    Parameters
    ----------
    reach
        By service (I,) minutes that count as covered; else any open site that the service's own
        limit lets people use.
    people
        ``area_id``, ``base``, ``persons``, optional ``service``: the people of each base against
        whom places stand and money is spent. Without it those in need, and no column ``base``.
    part
        (I,) part of the county of each area: what is spent on areas without people of a base, such
        as homes, is spread over the people of their part.
    running_pool
        Pool whose use is the spending; unknown pools give NaN.

    Returns
    -------
    pandas.DataFrame
        ``service``, ``area_id``, ``covered``, ``minutes``, ``access``, ``spending_yuan`` and, with
        ``people``, ``base``.
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
        limit = (reach or {}).get(service, np.inf)
        node = problem.arc_site[mine] * len(problem.classes) + problem.arc_class[mine]
        for base, persons in _persons(problem, people, service, need[:, s]).items():
            access = two_step(
                places.ravel(), persons, Arcs(area, node, minutes), np.ones_like
            )  # journeys beyond a class's limit are no arcs, so within it all weigh alike
            money = _a_person(spending[:, s], persons, part)
            rows = pd.DataFrame(
                {
                    "service": service,
                    "area_id": problem.areas,
                    "covered": (np.isfinite(nearest) & (nearest <= limit)).astype(float),
                    "minutes": np.where(np.isfinite(nearest), nearest, np.nan),
                    "access": access,
                    "spending_yuan": money,
                }
            )
            if people is not None:
                rows["base"] = base
                rows = rows[persons > 0]
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def _persons(
    problem: Problem, people: pd.DataFrame | None, service: str, need: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """(I,) persons of each base that a service is for."""
    if people is None:
        return {"need": need}
    mine = people[people["service"] == service] if "service" in people else people
    at = {a: n for n, a in enumerate(problem.areas)}
    found = {}
    for base, rows in mine.groupby("base", sort=True):
        count = np.zeros(len(at))
        np.add.at(count, rows["area_id"].map(at).to_numpy(), rows["persons"].to_numpy(float))
        found[str(base)] = count
    return found


def _a_person(
    yuan: npt.NDArray[np.float64],
    persons: npt.NDArray[np.float64],
    part: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.float64]:
    """(I,) yuan a person; money of areas without people goes to the people of their part."""
    out = np.divide(yuan, persons, where=persons > 0, out=np.zeros(len(persons)))
    if part is None:
        return out
    n = int(part.max()) + 1
    stray = np.bincount(part, weights=np.where(persons > 0, 0.0, yuan), minlength=n)
    whole = np.bincount(part, weights=persons, minlength=n)
    more = np.divide(stray, whole, where=whole > 0, out=np.zeros(n))
    return np.asarray(np.where(persons > 0, out + more[part], 0.0))


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
