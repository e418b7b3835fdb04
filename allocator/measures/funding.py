"""Who pays for a plan: the money of each site divided among payers to the whole yuan, grants first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from allocator.catalogue import Catalogue
from allocator.measures.money import UNFUNDED, grants, split_costs
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.scenario import Scenario

__all__ = ["UNASSIGNED", "funding_tables"]

UNASSIGNED = "unassigned"
_POOLS = {"capital": "capital_yuan", "running": "running_yuan_year"}
_MONTHS = 12
_BEDS = "elderly.resident"


def funding_tables(
    catalogue: Catalogue,
    scenario: Scenario,
    problem: Problem,
    plan: Plan,
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """Return ``costs`` (by site), ``payers`` (their sums) and ``grants`` of a plan, in whole yuan.

    Capital is of the period, running public money of a year. What no payer's share covers is
    `UNASSIGNED`. By pool and year the payers sum to the rounded use of the pool.
    """
    sites = tables["sites"]
    sites = sites[sites["year"] > scenario.base_year]
    granted = _grants(catalogue, scenario, problem, plan, sites, tables["use"])
    parts, shares = [], []
    for pool, column in _POOLS.items():
        if pool not in scenario.resources:
            continue
        rows = sites[["site_id", "year", column]].set_axis(["site", "period", "yuan"], axis=1)
        parts.append(rows.assign(pool=pool, yuan=rows["yuan"].clip(lower=0.0)))
        stated = {k: p.share for k, p in sorted(scenario.resources[pool].payers.items())}
        rest = 1.0 - sum(stated.values())
        if rest > 1e-9:
            stated[UNASSIGNED] = rest
        total = sum(stated.values())
        shares += [(pool, name, share / total) for name, share in stated.items()]
    columns = ["year", "pool", "site_id", "payer", "yuan"]
    if not parts:
        costs = pd.DataFrame(columns=columns)
    else:
        payers = pd.DataFrame(shares, columns=["pool", "payer", "share"])
        costs = split_costs(pd.concat(parts, ignore_index=True), payers, granted)
        costs = costs.rename(columns={"site": "site_id", "period": "year"})[columns]
        costs["payer"] = costs["payer"].replace(UNFUNDED, UNASSIGNED)
    summed = costs.groupby(["year", "pool", "payer"], sort=True)["yuan"].sum().reset_index()
    return {
        "costs": costs.sort_values(columns[:-1], ignore_index=True),
        "payers": summed,
        "grants": granted.rename(columns={"site": "site_id", "period": "year"}),
    }


def _grants(
    catalogue: Catalogue,
    scenario: Scenario,
    problem: Problem,
    plan: Plan,
    sites: pd.DataFrame,
    use: pd.DataFrame,
) -> pd.DataFrame:
    """What the grant programmes of the scenario pay for the beds of each site and year."""
    columns = ["site", "pool", "period", "payer", "programme", "yuan"]
    wanted = [s for s in catalogue.steps if s.programme in scenario.grants]
    if not wanted:
        return pd.DataFrame(columns=columns)
    tables = []
    months = _occupied(problem, plan)
    for period, on in ((p.to, f"{p.from_}-12-31") for p in scenario.periods):
        here = sites[sites["year"] == period]
        beds = use[(use["year"] == period) & (use["service"] == _BEDS)]
        places = beds.groupby("site_id")["places"].sum()
        new = here[here["mode"] != "keep"][["site_id", "mode"]]
        t = [p.to for p in scenario.periods].index(period)
        for pool, rows in (("capital", new), ("running", here[["site_id", "mode"]])):
            table = rows.rename(columns={"site_id": "site"}).assign(period=period)
            table["places"] = table["site"].map(places).fillna(0.0)
            if pool == "running":
                table = table.merge(months[months["period"] == t].drop(columns="period"), on="site")
            steps = [s for s in wanted if s.pool == pool]
            tables.append(grants(table[table["places"] > 0], steps, on))
    out = [t for t in tables if len(t)]
    return pd.concat(out, ignore_index=True) if out else pd.DataFrame(columns=columns)


def _occupied(problem: Problem, plan: Plan) -> pd.DataFrame:
    """Occupied place-months a year of residential care by site, period and group, mean over futures."""
    arc = plan.served_arc
    kind = problem.arc_class[arc]
    resident = np.array([s == _BEDS for s in problem.services], dtype=bool)
    some = resident[problem.class_service[kind]]
    people = plan.served * np.asarray(problem.future_weight[plan.served_future])
    table = pd.DataFrame(
        {
            "site": np.array(problem.sites, dtype=object)[problem.arc_site[arc]][some],
            "period": plan.served_period[some],
            "group": np.array(problem.groups, dtype=object)[plan.served_group][some],
            "occupied_place_months": (_MONTHS * people)[some],
        }
    )
    return table.groupby(["site", "period", "group"], as_index=False)["occupied_place_months"].sum()
