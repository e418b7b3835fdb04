"""The classic location models as short presets of the one problem.

Each takes a cost (or minutes) matrix, areas by sites, and returns a `Problem`; it is solved, checked and
measured like any other, so published instances test the whole of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from allocator.errors import Text, plural
from allocator.problem import Objective, Problem
from allocator.rules import (
    Balance,
    Capacity,
    Coverage,
    Floats,
    Link,
    Rule,
    Scale,
    Served,
    SiteCount,
    SiteStates,
)

__all__ = [
    "capacitated",
    "maximal_covering",
    "p_center",
    "p_median",
    "set_covering",
    "uncapacitated",
]

_OPEN = np.array([1])


def set_covering(minutes: Floats, radius_minutes: float) -> Problem:
    """Fewest sites that put every area within a radius (LSCP; Toregas et al. 1971).

    Parameters
    ----------
    minutes
        (I, J) travel minutes.
    """
    base = _sites(minutes.shape[1], minutes.shape[0])
    rules = (*base.rules, _covered(minutes, radius_minutes, np.ones(len(minutes)), None))
    count = Objective(
        id="sites", unit="site", words=Text("设施数", "sites"), stint=_opened(base, 1.0)
    )
    return replace(base, rules=rules, objectives=(count,))


def maximal_covering(minutes: Floats, weight: Floats, radius_minutes: float, sites: int) -> Problem:
    """Most people within a radius of ``sites`` sites (MCLP; Church and ReVelle 1974).

    The objective counts the people left out; (I,) ``weight`` counts people.
    """
    base = _sites(minutes.shape[1], minutes.shape[0])
    rules = (
        *base.rules, _at_most(sites), _covered(minutes, radius_minutes, weight, 1.0),
    )  # fmt: skip
    left = Objective(
        id="uncovered", unit="person", words=Text("未覆盖人口", "people left out"), shortfalls=True
    )
    return replace(base, rules=rules, objectives=(left,))


def p_median(cost: Floats, weight: Floats, sites: int) -> Problem:
    """Least weighted distance to ``sites`` sites (p-median; Hakimi 1964)."""
    base = _served(cost, weight, np.full(cost.shape[1], np.ceil(weight.sum())))
    return replace(base, rules=(*base.rules, _at_most(sites)))


def p_center(cost: Floats, sites: int) -> Problem:
    """Least largest distance to ``sites`` sites (p-center; Hakimi 1964).

    Every area is one future in which it alone has a need; the objective is the worst future.
    """
    areas = len(cost)
    base = _served(cost, np.ones(areas), np.full(cost.shape[1], 1.0))
    need = np.zeros((areas, 1, 1, 1, areas))
    need[np.arange(areas), 0, 0, 0, np.arange(areas)] = 1.0
    return replace(
        base, rules=(*base.rules, _at_most(sites)), need=need,
        futures=tuple(f"only-{a}" for a in base.areas), future_weight=np.full(areas, 1 / areas),
        objectives=(replace(base.objectives[0], risk="worst"),),
    )  # fmt: skip


def uncapacitated(cost: Floats, opening: Floats, weight: Floats | None = None) -> Problem:
    """Least cost of opening and serving, sites of any size (UFLP).

    Parameters
    ----------
    cost
        (I, J) cost of a unit of weight.
    opening
        (J,) cost of a site.
    """
    each = np.ones(len(cost)) if weight is None else weight
    return _with_opening(_served(cost, each, np.full(len(opening), np.ceil(each.sum()))), opening)


def capacitated(cost: Floats, opening: Floats, weight: Floats, capacity: Floats) -> Problem:
    """Least cost of opening and serving within (J,) capacities; demand may be split (CFLP)."""
    return _with_opening(_served(cost, weight, np.asarray(capacity, float)), opening)


def _with_opening(base: Problem, opening: Floats) -> Problem:
    first = replace(base.objectives[0], stint=_opened(base, opening))
    return replace(base, objectives=(first,))


def _opened(base: Problem, cost: Floats | float) -> Floats:
    """(P,) the cost of each site at its open stint."""
    stint = np.zeros(len(base.stint_site))
    stint[base.stint_option == 1] = cost
    return stint


def _at_most(sites: int) -> Rule:
    return SiteCount(
        id="sites", words=Text(f"最多{sites}处", f"at most {plural(sites, 'site')}"), options=_OPEN,
        minimum=np.zeros(1), maximum=np.full(1, float(sites)),
    )  # fmt: skip


def _covered(minutes: Floats, radius: float, people: Floats, price: float | None) -> Rule:
    area, site = np.nonzero(minutes <= radius)
    return Coverage(
        id="covered", price=price,
        words=Text(f"{radius:g}分钟内可达", f"within {radius:g} minutes"),
        areas=np.arange(len(minutes)), people=np.asarray(people, float)[:, None], pair_area=area,
        pair_offer=site, share=np.ones(1),
    )  # fmt: skip


def _sites(sites: int, areas: int) -> Problem:
    """Sites that are closed or open with one place, areas without need, nothing asked."""
    j = np.arange(sites)
    return Problem(
        areas=tuple(f"area-{i:05d}" for i in range(areas)),
        sites=tuple(f"site-{k:05d}" for k in j), options=("closed", "open"), services=("service",),
        classes=("place",), groups=("all",), periods=("now",), period_years=np.ones(1),
        need=np.zeros((areas, 1, 1, 1, 1)), site_start=np.zeros(sites, np.int64),
        stint_site=np.repeat(j, 2), stint_from=np.zeros(2 * sites, np.int64),
        stint_option=np.tile([0, 1], sites), stint_first=np.zeros(2 * sites, np.int64),
        stint_last=np.zeros(2 * sites, np.int64), offer_stint=2 * j + 1,
        offer_class=np.zeros(sites, np.int64), offer_min=np.ones(sites), offer_max=np.ones(sites),
        offer_module=np.zeros(sites), class_service=np.zeros(1, np.int64),
        occupancy_min=np.zeros(1), occupancy_max=np.ones(1), places_per_person=np.ones((1, 1)),
        arc_area=np.zeros(0, np.int64), arc_site=np.zeros(0, np.int64),
        arc_class=np.zeros(0, np.int64), arc_minutes=np.zeros(0), acceptance=np.ones((0, 1)),
        use_stint=csr_array((2 * sites, 0)), use_place=csr_array((sites, 0)),
        use_person=np.zeros((1, 1, 0, 1)), use_minute=np.zeros((1, 0)),
        rules=(
            Balance(id="balance", words=Text("供需平衡", "needs are served or counted")),
            Capacity(id="capacity", words=Text("容量", "use stays within places")),
            Scale(id="scale", words=Text("规模", "sizes in range")),
            Link(id="link", words=Text("开放", "served only where open")),
            SiteStates(id="site", words=Text("一址一态", "one state a site")),
        ),
        objectives=(),
    )  # fmt: skip


def _served(cost: Floats, weight: Floats, size: Floats) -> Problem:
    """Everyone is served over every finite arc; least total cost."""
    areas, sites = cost.shape
    base = _sites(sites, areas)
    area, site = np.nonzero(np.isfinite(cost))
    everyone = Served(
        id="all-served", words=Text("全部得到服务", "everyone is served"), service=0,
        areas=np.arange(areas), groups=np.zeros(1, np.int64), share=np.ones(1),
    )  # fmt: skip
    objective = Objective(
        id="cost", unit="cost", words=Text("总成本", "total cost"), person=cost[area, site][:, None]
    )
    return replace(
        base, need=np.asarray(weight, float).reshape(-1, 1, 1, 1, 1), offer_min=size,
        offer_max=size, arc_area=area, arc_site=site, arc_class=np.zeros(len(area), np.int64),
        arc_minutes=cost[area, site], acceptance=np.ones((len(area), 1)),
        rules=(*base.rules, everyone), objectives=(objective,),
    )  # fmt: skip
