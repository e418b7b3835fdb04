"""What a panel asks beside a plan: others nearly as good, sites none does without, the price of an order.

Each answer is a table; the solves behind it are those of `allocator.model.alternatives`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.measures.indicators import site_use
from allocator.model import explain, solve
from allocator.model.alternatives import (
    OrderPrice,
    alternatives,
    order_price,
    sites_in_every_plan,
    states_of,
)
from allocator.plan import Plan
from allocator.prepare import Shared, prepare, refuse_unknown_names
from allocator.problem import Problem
from allocator.run import Run
from allocator.scenario import ForceSpec, Scenario
from allocator.verify import verify

__all__ = ["NearPlans", "near_plans", "order_prices", "plan_figures", "shared_sites"]

Progress = Callable[[str], None]


def plan_figures(problem: Problem, plan: Plan) -> dict[str, float]:
    """Return what a plan comes to at the end of the last period.

    Keys: ``capital`` (yuan, all periods together), any other pool by its id (its use in the last
    period), ``places:SERVICE``, ``served:SERVICE`` (persons or visits, futures weighted).
    """
    last, found = len(problem.periods) - 1, {}
    for pool in problem.pools:
        use = site_use(problem, plan, pool).sum(0)
        found[pool] = float(use.sum() if pool == "capital" else use[last])
    open_ = problem.stint_periods[problem.offer_stint, last]
    kind = problem.class_service[problem.offer_class]
    served = (problem.need - plan.unmet)[~problem.onward][..., last, :] @ problem.future_weight
    for s, service in enumerate(problem.services):
        found[f"places:{service}"] = float(plan.places[open_ & (kind == s)].sum())
        found[f"served:{service}"] = float(served[:, s].sum())
    return found


@dataclass(frozen=True, eq=False)
class NearPlans:
    """Plans nearly as good as a run's own.

    Parameters
    ----------
    plans
        The plans, each checked; the run's own is not among them.
    table
        A row a plan, the run's own first as 0: ``plan``, ``sites`` (whose state differs from the
        run's own plan in some period), ``worse`` (largest loss of an objective, a share of its
        value), then `plan_figures`.
    changes
        A row a site and period in which a plan differs: ``plan, site_id, period, own, other``.
    """

    plans: tuple[Plan, ...]
    table: pd.DataFrame
    changes: pd.DataFrame


def near_plans(
    run: Run, *, count: int = 3, sites: int = 1, loss: float = 0.01, node_limit: int | None = None
) -> NearPlans:
    """Return plans that lose little against a run's plan and differ from it and from one another.

    Parameters
    ----------
    count
        How many at most.
    sites
        Least number of sites whose state differs in some period.
    loss
        How much worse each objective may be, a share of its value.
    """
    problem, own = run.problem, run.plan
    solve_ = run.scenario.solve
    found = alternatives(
        problem, own, count=count, sites=sites, loss=loss, gap=solve_.gap, node_limit=node_limit,
        seed=solve_.seed,
    )  # fmt: skip
    plans = tuple(plan for plan in found if not verify(problem, plan))
    mine = states_of(problem, own)
    rows: list[dict[str, Any]] = []
    changes = []
    for n, plan in enumerate((own, *plans)):
        other = states_of(problem, plan)
        worse = max(
            (o.value - k.value) / max(abs(k.value - k.constant), 1e-6)
            for o, k in zip(plan.objectives, own.objectives, strict=True)
        )
        differs = int((mine != other).any(1).sum())
        rows.append({"plan": n, "sites": differs, "worse": worse, **plan_figures(problem, plan)})
        changes += [
            (n, problem.sites[j], problem.periods[t], problem.options[mine[j, t]],
             problem.options[other[j, t]])
            for j, t in np.argwhere(mine != other)
        ]  # fmt: skip
    columns = ["plan", "site_id", "period", "own", "other"]
    return NearPlans(plans, pd.DataFrame(rows), pd.DataFrame(changes, columns=columns))


def shared_sites(
    run: Run,
    near: NearPlans | None = None,
    *,
    loss: float = 0.01,
    kept: bool = False,
    node_limit: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return which of a plan's sites are in every plan within a loss of the first objective.

    Parameters
    ----------
    near
        Plans already known; what one of them lacks needs no proof.
    kept
        Whether to ask about facilities that stay as they are today too, not of changes alone.

    Returns
    -------
    pandas.DataFrame
        ``site_id``, ``option`` at the horizon, ``in_every`` (``yes`` proved, ``no`` a plan without
        it is known, ``open`` not settled), ``worse_without``: what any plan without it loses at
        least, a share of the value (inf where there is none; blank where not proved).
    """
    problem = run.problem
    end = states_of(problem, run.plan)[:, -1]
    offering = np.unique(problem.stint_option[problem.offer_stint])
    some = np.flatnonzero(np.isin(end, offering) & (kept | (end != problem.site_start)))
    proofs = sites_in_every_plan(
        problem, run.plan, options=offering.tolist(), loss=loss, node_limit=node_limit,
        sites=some.tolist(), others=near.plans if near is not None else (), progress=progress,
    )  # fmt: skip
    first = run.plan.objectives[0]
    scale = max(abs(first.value - first.constant), 1e-6)
    words = {True: "yes", False: "no", None: "open"}
    rows = [
        (p.site, p.option, words[p.in_every],
         (p.bound - first.value) / scale if p.in_every else np.nan)
        for p in proofs
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["site_id", "option", "in_every", "worse_without"])


def order_prices(
    case: Case,
    scenario: Scenario,
    *,
    force: Sequence[ForceSpec] = (),
    ban: Sequence[ForceSpec] = (),
    shared: Shared | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return what each order on a named site costs (点名方案代价).

    An order of the scenario is priced against the scenario without it, all others kept; one handed
    in against the scenario as it is.

    Returns
    -------
    pandas.DataFrame
        ``order`` (force, ban), ``site_id``, ``type`` (blank: any), ``possible`` (``yes``, ``no``
        proved, ``open``), ``objective``, ``unit``, ``worse`` and between what is proved of it
        (``least``, ``most``), then by `plan_figures` what the plan with the order has more than the
        plan without; and ``why_zh``, ``why_en`` where no plan keeps it. A row an objective.

    Raises
    ------
    InputRefused
        When the case has no such site or type, or a site is both forced and banned.
    """
    shared = Shared() if shared is None else shared
    solved: dict[str, tuple[Problem, Plan]] = {}
    rows: list[dict[str, Any]] = []
    pairs = list(_pairs(scenario, force, ban))
    for _, _, _, ordered in pairs:
        refuse_unknown_names(case, ordered)
    for kind, spec, free, ordered in pairs:
        if progress is not None:
            progress(f"{kind} {spec.site}")
        if free.digest not in solved:
            problem, _, _ = prepare(case, free, shared)
            solved[free.digest] = problem, _solved(problem, free)
        problem, plan = solved[free.digest]
        wanted, _, _ = prepare(case, ordered, shared)
        nodes = ordered.solve.work_limit
        price = order_price(
            problem, wanted, gap=ordered.solve.gap, known=plan,
            node_limit=None if nodes == "default" else int(nodes),
        )  # fmt: skip
        rows += _rows(kind, spec, problem, wanted, price)
    return pd.DataFrame(rows)


def _pairs(
    scenario: Scenario, force: Sequence[ForceSpec], ban: Sequence[ForceSpec]
) -> list[tuple[str, ForceSpec, Scenario, Scenario]]:
    """Return (kind, order, scenario without it, scenario with it)."""
    found = []
    for kind, more in (("force", force), ("ban", ban)):
        own: tuple[ForceSpec, ...] = getattr(scenario.options, kind)
        for n, spec in enumerate(own):
            found.append((kind, spec, _ordered(scenario, kind, own[:n] + own[n + 1 :]), scenario))
        for spec in more:
            found.append((kind, spec, scenario, _ordered(scenario, kind, (*own, spec))))
    return found


def _ordered(scenario: Scenario, kind: str, orders: tuple[ForceSpec, ...]) -> Scenario:
    options = scenario.options.model_copy(update={kind: orders})
    return scenario.model_copy(update={"options": options})


def _solved(problem: Problem, scenario: Scenario) -> Plan:
    nodes = scenario.solve.work_limit
    return solve(
        problem, gap=scenario.solve.gap, seed=scenario.solve.seed, road="exact",
        node_limit=None if nodes == "default" else int(nodes),
    )  # fmt: skip


def _rows(
    kind: str, spec: ForceSpec, free: Problem, ordered: Problem, price: OrderPrice
) -> list[dict[str, Any]]:
    words = {True: "yes", False: "no", None: "open"}
    head: dict[str, Any] = {
        "order": kind, "site_id": spec.site, "type": spec.type or "", "possible": words[price.possible],
    }  # fmt: skip
    if price.possible is not True:
        why = explain(ordered)[:1] if price.possible is False else ()
        told = why[0].what if why else None
        return [{**head, "why_zh": told.zh if told else "", "why_en": told.en if told else ""}]
    with_, without = plan_figures(ordered, price.ordered), plan_figures(free, price.free)
    more = {k: _difference(with_[k], without.get(k, 0.0)) for k in with_}
    return [
        {**head, "objective": d.id, "unit": d.unit, "worse": _difference(d.value, 0.0),
         "least": _difference(d.least, 0.0), "most": _difference(d.most, 0.0), **more,
         "why_zh": "", "why_en": ""}
        for d in price.dearer
    ]  # fmt: skip


def _difference(a: float, b: float) -> float:
    """``a - b``, plain 0 where only the solver's tolerance is left."""
    return 0.0 if abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b)) else a - b
