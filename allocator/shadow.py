"""Shadow prices (边际效益): what one more yuan, worker, site, place or person is worth to a plan.

Charge every shared rule at a price, and what sites would then do alone bounds every plan (weak duality);
the same prices bound the plan of any other budget, so what-ifs are screened before one is solved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.model.exact import relaxed_prices
from allocator.model.worth import place_worth, shadow_prices
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Floats, Resource, SiteCount

__all__ = ["STEPS", "Worth", "worth_of"]

STEPS: Mapping[str, float] = {"capital": 1e6, "running": 1e5, "land": 100.0, "floor_area": 100.0}
"""How much of a pool one step is, in its own unit; 1 of any other."""


@dataclass(frozen=True, eq=False)
class Worth:
    """What more of something is worth, in the unit of the first objective (less is better).

    Parameters
    ----------
    unit, value, bound
        Unit, value and proved bound of the first objective.
    resources
        A row a limit and period: ``rule, pool, period, step, supply, worth`` (of one step more, per step
        while prices hold) and ``at_most`` (proved: no plan gains more from one step).
    budgets
        A row a pool that is worth anything and change: ``pool, change`` (a share of its supply in all
        periods) and ``bound``: no plan under the changed supply has a lower value.
    places
        A row a site, class and period with places in the plan: ``site_id, class, period, worth`` of one more.
    people
        A row an area, service and period: ``area_id, service, period, need, worth`` of one person less in
        need, mean over groups by their need.
    """

    unit: str
    value: float
    bound: float
    resources: pd.DataFrame
    budgets: pd.DataFrame
    places: pd.DataFrame
    people: pd.DataFrame

    @property
    def by_pool(self) -> pd.Series:
        """What all of each pool's supply is worth at its prices, most first."""
        return _by_pool(self.resources).sort_values(ascending=False, kind="stable")


def worth_of(
    problem: Problem, plan: Plan, *, changes: tuple[float, ...] = (-0.2, -0.1, 0.1, 0.2, 0.5)
) -> Worth:
    """Return what more of each resource, place and person is worth to a plan, and bounds of other budgets.

    A plan found by prices carries them. Otherwise pools are priced by the exact road's relaxation, with
    its cuts, and places and people by prices of needs.

    Raises
    ------
    InputRefused
        The first objective is a regret over futures: another supply moves the best of each future, too.
    """
    objective = problem.objectives[0]
    if objective.risk == "regret":
        raise InputRefused((_no_price_of_regret(),))
    by_prices = plan.road == "prices" and bool(plan.prices)
    prices = plan.prices_of(0) if by_prices else shadow_prices(problem)[0]
    if by_prices:
        limits, base = _of_price_road(problem, prices), float(plan.work["price_bound"])
    else:
        rows, base = relaxed_prices(problem)
        limits = _of_relaxation(problem, rows)
    first = plan.objectives[0]
    bound = max(first.bound, base)
    resources = _resources(problem, limits, max(first.value - base, 0.0))
    return Worth(
        objective.unit, first.value, bound, resources, _budgets(resources, base, bound, changes),
        _places(problem, prices, plan), _people(problem, prices),
    )  # fmt: skip


def _no_price_of_regret() -> Finding:
    return Finding(
        Rank.ERROR, "no-price-of-regret", Where(column="risk.measure"),
        Text("首要目标是最大后悔值:限额一变,各前景自身的最好值也随之改变,边际效益无从谈起。", "The first objective is a regret: another supply moves each future's own best too, so its prices say nothing of it."),
        Text("请对按平均、最坏或 CVaR 求解的情景使用。", "Use it on a scenario solved on the mean, the worst case or CVaR."),
    )  # fmt: skip


def _of_price_road(problem: Problem, prices: Mapping[str, Floats]) -> dict[str, Floats]:
    """What one more of each limited pool, or one more site, is worth by rule id (T,): of the price road."""
    found = {}
    for rule in problem.rules:
        given = np.asarray(prices.get(rule.id, np.zeros(0)), float)
        if isinstance(rule, Resource) and len(given):  # rows of limited periods, futures within
            limited = np.isfinite(rule.most)
            worth = np.zeros(len(problem.periods))
            worth[limited] = given.reshape(int(limited.sum()), -1).sum(1)
            found[rule.id] = worth
        elif isinstance(rule, SiteCount) and len(given):
            found[rule.id] = np.maximum(given, 0.0)
    return found


def _of_relaxation(problem: Problem, rows: Mapping[str, Floats]) -> dict[str, Floats]:
    """The same of the exact road's relaxation: rows of a pool are futures, periods within."""
    return {
        rule.id: np.maximum(-rows[rule.id].reshape(-1, len(problem.periods)).sum(0), 0.0)
        for rule in problem.rules
        if isinstance(rule, Resource | SiteCount) and rule.id in rows
    }


def _resources(problem: Problem, limits: Mapping[str, Floats], gap: float) -> pd.DataFrame:
    """A row a limit and period."""
    rows = []
    for rule in problem.rules:
        if rule.id not in limits or not isinstance(rule, Resource | SiteCount):
            continue
        pool = problem.pools[rule.pool] if isinstance(rule, Resource) else "sites"
        supply = rule.most if isinstance(rule, Resource) else rule.maximum
        step = STEPS.get(pool, 1.0)
        for t in np.flatnonzero(np.isfinite(supply)):
            worth = float(limits[rule.id][t]) * step
            rows.append((rule.id, pool, problem.periods[t], step, supply[t], worth, worth + gap))
    columns = ["rule", "pool", "period", "step", "supply", "worth", "at_most"]
    return pd.DataFrame(rows, columns=columns)


def _by_pool(resources: pd.DataFrame) -> pd.Series:
    whole = resources["worth"] / resources["step"] * resources["supply"]
    return whole.groupby(resources["pool"], sort=False).sum()


def _budgets(
    resources: pd.DataFrame, base: float, bound: float, changes: tuple[float, ...]
) -> pd.DataFrame:
    """What the prices prove for other supplies: their bound moves by price times change.

    With less of it no plan is better than now, so there the bound of today's plan holds too.
    """
    rows = []
    for pool, whole in _by_pool(resources).items():
        if pool != "sites" and whole > 0:
            rows += [
                (pool, change, max(base - change * whole, bound if change < 0 else -np.inf))
                for change in changes
            ]
    return pd.DataFrame(rows, columns=["pool", "change", "bound"])


def _places(problem: Problem, prices: Mapping[str, Floats], plan: Plan) -> pd.DataFrame:
    rows = [
        (problem.sites[j], problem.classes[c], problem.periods[t], worth)
        for j, c, t, worth in place_worth(problem, prices, plan)
    ]
    return pd.DataFrame(rows, columns=["site_id", "class", "period", "worth"])


def _people(problem: Problem, prices: Mapping[str, Floats]) -> pd.DataFrame:
    """Mean worth of a person over groups and futures, by need."""
    need, price = problem.own_need, np.asarray(prices["balance"], float)
    chance = problem.future_weight
    people = (need * chance).sum((2, 4))  # (I, S, T)
    total = (need * price).sum((2, 4))
    i, s, t = np.nonzero(people > 0)
    return pd.DataFrame({
        "area_id": np.asarray(problem.areas)[i], "service": np.asarray(problem.services)[s],
        "period": np.asarray(problem.periods)[t], "need": people[i, s, t],
        "worth": total[i, s, t] / people[i, s, t],
    })  # fmt: skip
