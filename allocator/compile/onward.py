"""Those whom a site sends on to another service: where they set out, and the most they can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.problem import Problem
from allocator.rules import Floats, Referral
from allocator.scenario import OverflowRule, ReferralRule, Scenario

__all__ = ["onward_origins", "onward_services", "with_onward_need"]


def onward_services(scenario: Scenario) -> tuple[tuple[int, str], ...]:
    """Return the number (from 1) of each rule that sends people on, and the service they go on to."""
    rules = ((n, spec.value) for n, spec in enumerate(scenario.rules, 1))
    return tuple((n, r.onward) for n, r in rules if isinstance(r, ReferralRule | OverflowRule))


def onward_origins(case: Case, scenario: Scenario) -> pd.DataFrame:
    """Return a row for each rule that sends people on and each site, as `compile.origins` has them.

    A site that never offers the rule's service has its row too, without need.
    """
    sites = case.region.sites.reset_index(drop=True)
    columns = ["township_id", "area_class", "lon", "lat"]
    parts = [
        sites[columns].assign(
            area_id=[f"onward:{n:02d}:{s}" for s in sites["site_id"]],
            home=-1, onward=np.arange(len(sites)), service=service,
        )
        for n, service in onward_services(scenario)
    ]  # fmt: skip
    return pd.concat(parts) if parts else pd.DataFrame()


def with_onward_need(problem: Problem) -> Problem:
    """Return the problem with the need of each onward origin, unmet at no price in any objective.

    The need is the most that the site could send on: ``share[t]`` of the fewer of those who could
    come (acceptance times need, over the arcs to it) and those whom the largest of its stints can
    hold. Who is sent on may come to a site that sends on itself: the bound is from above, and each
    pass over the rules keeps it one.
    """
    rules = problem.rules_of(Referral)
    if not rules:
        return problem
    phi = np.broadcast_to(problem.acceptance, (len(problem.arc_area), len(problem.groups)))
    service = problem.class_service[problem.arc_class]
    flows = []  # (origin, onward service, share (T, 1), room (G, T, 1), arcs to the site)
    for rule in rules:
        assert isinstance(rule, Referral)
        here = np.isin(problem.arc_class, rule.classes)
        for site, area, room in zip(rule.site, rule.area, _room(problem, rule), strict=True):
            come = np.flatnonzero(here & (problem.arc_site == site))
            flows.append((area, rule.service, rule.share[:, None], room[..., None], come))
    need = problem.need.copy()
    for area, onward, share, room, _ in flows:
        need[area, onward] = share * room
    for _ in range(len(rules) + 1):
        before = need.copy()
        for area, onward, share, room, come in flows:
            willing = phi[come][:, :, None, None] * before[problem.arc_area[come], service[come]]
            need[area, onward] = share * np.minimum(willing.sum(0), room)
    free = problem.onward[:, None, None]
    objectives = tuple(
        o if o.unmet is None
        else replace(o, unmet=np.where(free, 0.0, np.broadcast_to(o.unmet, need.shape[:3])))
        for o in problem.objectives
    )  # fmt: skip
    return replace(problem, need=need, objectives=objectives)


def _room(problem: Problem, rule: Referral) -> Floats:
    """(m, G, T) persons of one group that the largest stint of each site can hold in the classes."""
    offers = np.flatnonzero(np.isin(problem.offer_class, rule.classes))
    kind, stint = problem.offer_class[offers], problem.offer_stint[offers]
    places = problem.offer_max[offers] * problem.occupancy_max[kind]
    held = np.zeros((len(problem.stint_site), len(problem.groups)))
    np.add.at(held, stint, places[:, None] / problem.places_per_person[kind])
    room = np.zeros((len(rule.site), len(problem.groups), len(problem.periods)))
    for n, site in enumerate(rule.site):
        mine = problem.stint_site == site
        there = held[mine][:, :, None] * problem.stint_periods[mine][:, None, :]
        room[n] = there.max(0, initial=0.0)
    return room
