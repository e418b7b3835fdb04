"""How a case, need, journeys and a scenario become one `Problem`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.case import Case
from allocator.catalogue import Offer
from allocator.compile.joint import with_joint_types
from allocator.compile.objectives import make_objectives
from allocator.compile.onward import onward_origins, with_onward_need
from allocator.compile.rules import Sets, make_rules
from allocator.compile.stints import (
    Stints,
    annuity,
    make_stints,
    pools_of,
    present_value,
    tiers_of,
)  # fmt: skip
from allocator.demand import Need, WillingnessCurve
from allocator.problem import Problem
from allocator.rules import Floats, Ints
from allocator.scenario import Scenario
from allocator.travel import Arcs

__all__ = [
    "annuity", "class_offers", "compile_problem", "make_stints", "origins", "present_value",
    "with_joint_types",
]  # fmt: skip


def class_offers(case: Case, scenario: Scenario) -> tuple[Offer, ...]:
    """Return the offers of the scenario's services, one a reach class, sorted by id."""
    found = {
        o.id: o
        for t in case.catalogue.types.values()
        for o in t.offers
        if o.service in scenario.services
    }
    return tuple(found[k] for k in sorted(found))


def origins(case: Case, scenario: Scenario | None = None) -> pd.DataFrame:
    """Return where people set out: areas, the residents of each home with any, each kind in id order.

    With a scenario, then the onward origins of its referrals: a row a rule and site. Columns
    ``area_id, township_id, area_class, lon, lat, home, onward, service``; ``home`` is the position of
    the site where residents live and ``onward`` of that from which people are sent on, -1 for
    others; ``service`` is the one they are sent on to, "" for others.
    """
    areas = case.region.areas[["area_id", "township_id", "area_class", "lon", "lat"]].copy()
    areas["home"] = -1
    areas["onward"], areas["service"] = -1, ""
    sites = case.region.sites.reset_index(drop=True)
    homes = case.region.homes[case.region.homes["residents"] > 0]
    at = {s: n for n, s in enumerate(sites["site_id"])}
    rows = sites.iloc[[at[s] for s in homes["site_id"]]][
        ["township_id", "area_class", "lon", "lat"]
    ]
    rows = rows.assign(
        area_id=[f"home:{s}" for s in homes["site_id"]],
        home=[at[s] for s in homes["site_id"]], onward=-1, service="",
    )  # fmt: skip
    kinds = [areas, rows] if scenario is None else [areas, rows, onward_origins(case, scenario)]
    return pd.concat([k.sort_values("area_id") for k in kinds if len(k)], ignore_index=True)


def compile_problem(
    case: Case,
    scenario: Scenario,
    *,
    need: Need,
    arcs: Mapping[str, Arcs],
    site_minutes: Floats,
    curves: Mapping[str, WillingnessCurve],
    income_yuan_month: float,
    people: Mapping[str, Floats],
    priorities: pd.DataFrame,
) -> Problem:
    """Return the one problem of a scenario.

    Parameters
    ----------
    need
        Need of the region's areas in the last year of each period.
    arcs
        Journeys by reach class, from the rows of `origins` with the scenario to the region's sites.
    site_minutes
        (J, J) minutes between sites, inf out of reach.
    curves
        Willingness by service; none means everyone accepts within the limit.
    people
        (I, T) people of the areas by age band, ``all``, ``60+``, ``65+``, ``80+``.
    priorities
        Weight of an unmet unit: columns ``service, group, weight``.
    """
    where = origins(case, scenario)
    offers = class_offers(case, scenario)
    classes = tuple(o.id for o in offers)
    services = tuple(s for s in need.services if s in scenario.services)
    groups = need.groups
    pools = pools_of(scenario)
    stints = make_stints(case, scenario, classes, pools)
    class_service = np.array([services.index(o.service) for o in offers], np.int64)
    amount = _need_with_homes(case, need, where, services)
    area, site, kind, minutes = _arcs(arcs, classes, where, [o.service for o in offers])
    acceptance = _acceptance(
        offers, groups, kind, minutes, curves, scenario, income_yuan_month,
        at_home=where["home"].to_numpy()[area] >= 0,
        sent_on=where["onward"].to_numpy()[area] >= 0,
        wanted=amount.sum((0, 3, 4))[class_service] > 0,
    )  # fmt: skip
    use_person, use_minute = _use_by_person(case, offers, groups, pools, len(scenario.periods))
    padded = {
        k: np.vstack([v, np.zeros((len(where) - len(v), v.shape[1]))]) for k, v in people.items()
    }
    sets = Sets(
        where, stints, services, groups, classes, class_service, pools, amount, padded,
        area, site, kind, minutes, site_minutes,
    )  # fmt: skip
    objectives = make_objectives(
        scenario, stints, need_shape=amount.shape, services=services, groups=groups,
        arc_minutes=minutes, class_service=class_service, use_person=use_person, arc_class=kind,
        pools=pools, priorities=priorities,
    )  # fmt: skip
    problem = Problem(
        areas=tuple(where["area_id"]), sites=case.region.site_ids, options=stints.options,
        services=services, classes=classes, groups=groups,
        periods=tuple(p.id for p in scenario.periods), pools=pools, futures=need.futures,
        period_years=np.array([float(p.years) for p in scenario.periods]),
        future_weight=need.future_weight, need=amount,
        site_start=stints.start, stint_site=stints.site, stint_from=stints.from_,
        stint_option=stints.option, stint_first=stints.first, stint_last=stints.last,
        modes=stints.modes, stint_mode=stints.mode,
        offer_stint=stints.offer_stint, offer_class=stints.offer_class,
        offer_min=stints.offer_min, offer_max=stints.offer_max, offer_module=stints.offer_module,
        class_service=class_service,
        occupancy_min=np.array([o.occupancy_min for o in offers]),
        occupancy_max=np.array([o.occupancy_max for o in offers]),
        places_per_person=np.ones((len(offers), len(groups))),
        arc_area=area, arc_site=site, arc_class=kind, arc_minutes=minutes, acceptance=acceptance,
        use_stint=stints.use_stint, use_place=stints.use_place,
        use_person=use_person, use_minute=use_minute,
        rules=make_rules(case, scenario, sets), objectives=objectives,
    )  # fmt: skip
    return with_onward_need(problem)


def _need_with_homes(
    case: Case, need: Need, where: pd.DataFrame, services: Sequence[str]
) -> Floats:
    """Add the residents of today's homes as need at their home, taken out of the county's need.

    In every period a home has as many residents as the roll counts today: newcomers take the
    places of those who leave. So a home that closes in any period finds its residents to protect.
    """
    picked = [need.services.index(s) for s in services]
    amount = need.amount[:, picked]
    n_areas, homes = amount.shape[0], case.region.homes.set_index("site_id")
    full = np.zeros((len(where), *amount.shape[1:]))
    full[:n_areas] = amount
    if "elderly.resident" not in services:
        return full
    s = list(services).index("elderly.resident")
    county = amount[:, s].sum(0)  # (G, T, W)
    ordinary = np.array([g != "destitute" for g in need.groups])[:, None, None]
    total = np.where(ordinary, county, 0.0).sum(0)
    share = np.where(ordinary & (total > 0), county / np.where(total > 0, total, 1.0), 0.0)
    lives = np.flatnonzero(where["home"] >= 0)
    for i in lives:
        home = homes.loc[where["area_id"].iloc[i].removeprefix("home:")]
        destitute = float(home["destitute_residents"])
        full[i, s] = share * (float(home["residents"]) - destitute)
        if "destitute" in need.groups:
            full[i, s, need.groups.index("destitute")] = destitute
    moved = full[lives, s].sum(0)
    full[:n_areas, s] *= np.clip(1 - moved / np.where(county > 0, county, 1.0), 0.0, 1.0)
    return full


def _arcs(
    arcs: Mapping[str, Arcs], classes: Sequence[str], where: pd.DataFrame, services: Sequence[str]
) -> tuple[Ints, Ints, Ints, Floats]:
    """Stack the journeys of all classes, sorted by (area, class, site).

    Those sent on have journeys to their service only; ``services`` are those of the classes.
    """
    kind = np.concatenate([np.full(len(arcs[c].origin), n) for n, c in enumerate(classes)])
    area = np.concatenate([arcs[c].origin for c in classes])
    site = np.concatenate([arcs[c].destination for c in classes])
    minutes = np.concatenate([arcs[c].minutes for c in classes])
    order = np.lexsort((site, kind, area))
    goes = where["service"].to_numpy(object)[area[order]]
    order = order[(goes == "") | (goes == np.array(services, object)[kind[order]])]
    return area[order], site[order], kind[order], minutes[order]


def _acceptance(
    offers: Sequence[Offer],
    groups: Sequence[str],
    kind: Ints,
    minutes: Floats,
    curves: Mapping[str, WillingnessCurve],
    scenario: Scenario,
    income_yuan_month: float,
    at_home: npt.NDArray[np.bool_],
    sent_on: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.bool_],
) -> Floats:
    """(A, G) willingness; residents of a home that moves and those sent on accept any place in reach.

    ``wanted`` (C, G) says where there is any need; elsewhere willingness is 0.
    """
    phi = np.zeros((len(kind), len(groups)))
    for c, offer in enumerate(offers):
        some = np.flatnonzero(kind == c)
        curve = curves.get(offer.service)
        for g, group in enumerate(groups):
            if not wanted[c, g] or (offer.groups and group not in offer.groups):
                continue
            if curve is None:
                phi[some, g] = 1.0
                continue
            net_fee = offer.fee_yuan_month.get(group, 0.0) - offer.insurance_yuan_month.get(
                group, 0.0
            )
            flat = scenario.need.flatten
            shape = curve.flattened(np.inf if flat == 1 else 1.0 / (1.0 - flat)) if flat else curve
            phi[some, g] = shape.acceptance(
                minutes[some], group, max(net_fee, 0.0), income_yuan_month
            )
        willing = sent_on[some]
        if offer.service == "elderly.resident":
            willing = willing | at_home[some]
        allowed = np.array([not offer.groups or g in offer.groups for g in groups])
        phi[some[willing]] = np.where(allowed, 1.0, 0.0)
    return np.round(phi, 6)


def _use_by_person(
    case: Case, offers: Sequence[Offer], groups: Sequence[str], pools: Sequence[str], periods: int
) -> tuple[Floats, Floats]:
    """What a person served uses: running money net of fees, never below 0, workers, team hours."""
    tier = {o.id: t.tier for t in case.catalogue.types.values() for o in t.offers}
    use = np.zeros((len(offers), len(groups), len(pools), periods))
    minute = np.zeros((len(offers), len(pools)))
    for c, offer in enumerate(offers):
        for k, name in enumerate(pools):
            pool, tiers = name.partition(":")[0], tiers_of(name)
            if tiers is not None and tier[offer.id] not in tiers:
                continue
            if pool == "vehicle_hours" and offer.minutes_visit > 0:
                use[c, :, k] = offer.minutes_visit / 60
                minute[c, k] = 2 / 60 / offer.visits_trip
            for g, group in enumerate(groups):
                if pool == "running":
                    income = offer.fee_yuan_month.get(group, 0.0)
                    income += offer.insurance_yuan_month.get(group, 0.0)
                    net = offer.running_yuan_person_year.get(group, 0.0) - 12 * income
                    use[c, g, k] = max(net, 0.0)
                elif pool == "care_workers":
                    use[c, g, k] = offer.staff.get(group, 0.0)
    return use, minute


def stints_of(case: Case, scenario: Scenario) -> Stints:
    """Return the stints a scenario allows, with their capital, for project lists."""
    classes = tuple(o.id for o in class_offers(case, scenario))
    pools = pools_of(scenario)
    return make_stints(case, scenario, classes, pools)
