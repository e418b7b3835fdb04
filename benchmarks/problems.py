"""Measured instances as `Problem` values: the same door that planners' cases come through."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from allocator.errors import Text
from allocator.model.kernels import group_by
from allocator.problem import Objective, Problem
from allocator.rules import Balance, Capacity, Link, Resource, Scale, SiteCount, SiteStates

_STRUCTURE = (
    Balance(id="balance", words=Text("供需平衡", "Needs are served or counted")),
    Capacity(id="capacity", words=Text("容量", "Use stays within places")),
    Link(id="link", words=Text("开放", "Served only where open")),
    Scale(id="scale", words=Text("规模", "Sizes stay in their range")),
    SiteStates(id="site", words=Text("一址一态", "One option a site")),
)


def ids(prefix: str, n: int) -> tuple[str, ...]:
    """Return n ids that sort as their numbers do."""
    return tuple(map(f"{prefix}%0{len(str(n))}d".__mod__, range(n)))


def sorted_arcs(area, kind, site, n_areas, n_kinds, n_sites):
    """Return the order of arcs by (area, class, site)."""
    _, order = group_by(np.asarray(site, np.int64), n_sites)
    key = np.asarray(area, np.int64) * n_kinds + kind
    _, second = group_by(key[order], n_areas * n_kinds)
    return order[second]


def single_period(
    *,
    demand,
    n_sites,
    area,
    site,
    kind,
    n_kinds,
    person,
    unmet,
    stint,
    places,
    offer_min,
    offer_max,
    use_stint=None,
    use_place=None,
    budget=None,
    rules=(),
    unit="person",
    constant=0.0,
):
    """Return a one-period problem: kind k at site j is option k + 1, today closed (option 0)."""
    n_areas = len(demand)
    order = sorted_arcs(area, kind, site, n_areas, n_kinds, n_sites)
    kind = np.broadcast_to(kind, len(area))
    j = np.repeat(np.arange(n_sites), n_kinds + 1)
    o = np.tile(np.arange(n_kinds + 1), n_sites)
    n_p, n_f = len(j), n_sites * n_kinds
    f_stint = np.flatnonzero(o > 0)
    zero = np.zeros(n_p, np.int64)
    pools = ("budget",) if budget is not None else ()
    shape = len(pools)
    stint_cost = np.zeros(n_p)
    stint_cost[f_stint] = 0.0 if stint is None else np.broadcast_to(stint, n_f)
    us = np.zeros((n_p, shape))
    uf = np.zeros((n_f, shape))
    if shape:
        us[f_stint, 0] = np.broadcast_to(use_stint, n_f)
        uf[:, 0] = np.broadcast_to(use_place, n_f)
        rules = (
            *rules,
            Resource(id="budget", words=Text("预算", "Money"), pool=0, supply=np.array([budget])),
        )
    return Problem(
        areas=ids("a", n_areas), sites=ids("s", n_sites), options=("closed", *ids("kind", n_kinds)),
        services=("service",), classes=ids("kind", n_kinds), groups=("all",), periods=("now",), pools=pools,
        period_years=np.ones(1), need=np.asarray(demand, float).reshape(-1, 1, 1, 1, 1),
        site_start=np.zeros(n_sites, np.int64), stint_site=j, stint_from=zero, stint_option=o,
        stint_first=zero, stint_last=zero,
        offer_stint=f_stint, offer_class=np.tile(np.arange(n_kinds), n_sites),
        offer_min=np.broadcast_to(np.asarray(offer_min, float), n_f).copy(),
        offer_max=np.broadcast_to(np.asarray(offer_max, float), n_f).copy(), offer_module=np.zeros(n_f),
        class_service=np.zeros(n_kinds, np.int64), occupancy_min=np.zeros(n_kinds), occupancy_max=np.ones(n_kinds),
        places_per_person=np.ones((n_kinds, 1)),
        arc_area=np.asarray(area, np.int64)[order], arc_site=np.asarray(site, np.int64)[order],
        arc_class=np.asarray(kind, np.int64)[order], arc_minutes=np.zeros(len(order)), acceptance=np.ones((len(order), 1)),
        use_stint=csr_array(us), use_place=csr_array(uf), use_person=np.zeros((n_kinds, 1, shape, 1)), use_minute=np.zeros((n_kinds, shape)),
        rules=(*_STRUCTURE, *rules),
        objectives=(Objective(
            id="objective", unit=unit, stint=stint_cost, place=places, person=np.asarray(person, float)[order][:, None],
            unmet=None if unmet is None else np.full((1, 1, 1), float(unmet)), constant=constant,
        ),),
    )  # fmt: skip


def county_problem(d: dict) -> Problem:
    """Places of several kinds under one budget; value served is counted negative."""
    n_sites, n_kinds = d["n_sites"], len(d["fixed"])
    tile = lambda v: np.tile(v, n_sites)  # noqa: E731
    return single_period(
        demand=d["demand"], n_sites=n_sites, area=d["area"], site=d["site"], kind=d["kind"], n_kinds=n_kinds,
        person=-d["value"], unmet=0.0, stint=None, places=None, offer_min=tile(d["smallest"]), offer_max=tile(d["largest"]),
        use_stint=tile(d["fixed"]), use_place=tile(d["per_place"]), budget=d["budget"], unit="valued person",
    )  # fmt: skip


def capacitated_problem(d: dict) -> Problem:
    """Capacitated location with split demand; leaving a person unserved costs more than any plan."""
    n_sites = len(d["capacity"])
    per_person = d["cost"] / d["demand"][d["area"]]
    forbid = 2.0 * (
        float(np.max(per_person)) + float(np.sum(d["opening"])) / float(d["demand"].min())
    )
    return single_period(
        demand=d["demand"], n_sites=n_sites, area=d["area"], site=d["site"], kind=np.zeros(len(d["area"]), np.int64), n_kinds=1,
        person=per_person, unmet=forbid, stint=d["opening"], places=None, offer_min=0.0, offer_max=d["capacity"], unit="cost",
    )  # fmt: skip


def covering_problem(d: dict) -> Problem:
    """Maximal covering: people served count, each site serves all in reach, p sites."""
    n_sites = d["n_sites"]
    total = float(d["demand"].sum())
    count = SiteCount(
        id="sites", words=Text("选址数", "Number of sites"), options=np.array([1]),
        minimum=np.zeros(1), maximum=np.array([float(d["p"])]),
    )  # fmt: skip
    return single_period(
        demand=d["demand"], n_sites=n_sites, area=d["area"], site=d["site"], kind=np.zeros(len(d["area"]), np.int64), n_kinds=1,
        person=np.full(len(d["area"]), -1.0), unmet=0.0, stint=None, places=None, offer_min=0.0, offer_max=total, rules=(count,),
    )  # fmt: skip


def median_problem(distance: np.ndarray, p: int) -> Problem:
    """P-median on a full distance table: every node a client of one person and a site."""
    n = len(distance)
    area, site = np.divmod(np.arange(n * n), n)
    count = SiteCount(
        id="sites", words=Text("选址数", "Number of sites"), options=np.array([1]),
        minimum=np.zeros(1), maximum=np.array([float(p)]),
    )  # fmt: skip
    far = float(distance[np.isfinite(distance)].max())
    return single_period(
        demand=np.ones(n), n_sites=n, area=area, site=site, kind=np.zeros(n * n, np.int64), n_kinds=1,
        person=distance.ravel(), unmet=(n + 1) * far, stint=None, places=None, offer_min=0.0, offer_max=float(n), rules=(count,), unit="distance",
    )  # fmt: skip
