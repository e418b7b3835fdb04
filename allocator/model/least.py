"""The sites that break hard rules least, where a limit came before any plan.

What a plan is (needs and places, sizes, states of sites) stays as it is; every other hard rule gives
way at a price, scaled by the rule's own size and far above all that the objective could save by it.
What comes of it is no plan while a rule is broken: it tells which, and by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, hstack

from allocator.model.blocks import FAMILIES, Block, objective_coefficients, tightened
from allocator.model.columns import Columns, make_columns
from allocator.model.highs import Linear, stacked
from allocator.plan import Plan, Violation
from allocator.problem import Problem
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Coverage,
    Deviation,
    Floats,
    Floor,
    Forced,
    Gini,
    Held,
    Hub,
    Link,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Rule,
    Scale,
    Served,
    SiteCount,
    SiteStates,
    WorstGroup,
)

__all__ = ["dearest", "elastic", "may_give", "softened", "values_of", "violations"]

_STRUCTURE = (Balance, Acceptance, Capacity, Scale, Link, SiteStates, WorstGroup, Held)
_DEAR = 100.0
"""What breaking a rule by its whole size costs, of all that is at stake in the objective."""
_TOLERANCE = 1e-6
_PLACES = (PlacesRatio, PlacesShare, Reserved)
_SITES = (SiteCount, Hub, Forced)


def may_give(rule: Rule) -> bool:
    """Whether a rule is hard and asks more than what every plan is; a measure without a ceiling asks nothing."""
    measures = isinstance(rule, Deviation) and rule.ceiling is None
    return rule.is_hard and not isinstance(rule, _STRUCTURE) and not measures


def softened(problem: Problem) -> Problem:
    """Return the problem with every hard rule that may give priced, for its first objective alone."""
    objective, dear = problem.objectives[0], dearest(problem)
    rules = []
    for rule in problem.rules:
        if may_give(rule):
            rule = replace(rule, price=_price(problem, rule, dear))
        elif not rule.is_hard and not objective.shortfalls:
            rule = replace(rule, price=0.0)
        rules.append(rule)
    return replace(
        problem, rules=tuple(rules),
        objectives=(replace(objective, shortfalls=True, risk="expected"), *problem.objectives[1:]),
    )  # fmt: skip


def elastic(
    problem: Problem, columns: Columns, blocks: Sequence[Block], cost: Floats
) -> tuple[Linear, Floats]:
    """Return rows and cost with columns appended by which each row of a rule that may give gives way."""
    rules, dear = {r.id: r for r in problem.rules}, dearest(problem)
    slack: list[csr_array] = []
    price: list[Floats] = []
    first = np.cumsum([0, *(len(b.lower) for b in blocks)])
    for at, block in zip(first, blocks, strict=False):
        rule = rules.get(block.rule)
        if rule is None or not may_give(rule):
            continue
        each = _price(problem, rule, dear)
        for limit, sign in ((block.lower, 1.0), (block.upper, -1.0)):
            rows = np.flatnonzero(np.isfinite(limit) & ~_defines(problem, rule, block))
            entries = (np.full(len(rows), sign), (at + rows, np.arange(len(rows))))
            slack.append(csr_array(entries, shape=(first[-1], len(rows))))
            price.append(np.full(len(rows), each))
    more = np.concatenate(price) if price else np.zeros(0)
    matrix = csr_array(hstack([stacked([b.matrix for b in blocks]), *slack]))
    linear = Linear(
        matrix,
        np.concatenate([b.lower for b in blocks]), np.concatenate([b.upper for b in blocks]),
        np.r_[columns.lower, np.zeros(len(more))], np.r_[columns.upper, np.full(len(more), np.inf)],
        np.r_[columns.integer, np.zeros(len(more), bool)],
    )  # fmt: skip
    return linear, np.r_[cost, more]


def violations(problem: Problem, plan: Plan) -> tuple[Violation, ...]:
    """Return what the sites, places and people of a plan break, rule by rule in the problem's order."""
    columns = make_columns(problem)
    z = tightened(problem, columns, _values(problem, columns, plan))
    found = []
    for rule in problem.rules:
        if not may_give(rule):
            continue
        block = FAMILIES[type(rule)](problem, columns, rule)
        have = block.matrix @ z
        lack = np.maximum(np.maximum(block.lower - have, have - block.upper), 0.0)
        scale = np.maximum(abs(block.matrix) @ np.abs(z), 1.0)
        lack[lack <= _TOLERANCE * scale] = 0.0
        if isinstance(rule, Deviation):  # rows count those over and those under
            lack /= 2.0
        amounts = _by_period(problem, columns, rule, block, lack)
        if np.any(amounts > 0):
            found.append(
                Violation(rule.id, rule.words, _unit(problem, rule), tuple(amounts.tolist()))
            )
    return tuple(found)


def values_of(problem: Problem, plan: Plan) -> list[float]:
    """Return the value of each objective of a problem in a plan, constants left out."""
    columns = make_columns(problem)
    z = tightened(problem, columns, _values(problem, columns, plan))
    return [float(objective_coefficients(problem, columns, o) @ z) for o in problem.objectives]


def _values(problem: Problem, columns: Columns, plan: Plan) -> Floats:
    """Return the columns of stints, places, people served and unmet as a plan has them."""
    z, n_g, n_t, n_w = np.zeros(columns.size), *problem.need.shape[2:]
    z[columns.y + plan.stints] = 1.0
    z[columns.n : columns.n + len(plan.places)] = plan.places
    shape = (max(len(problem.arc_area), 1), n_g, n_t, n_w)
    keys = np.ravel_multi_index(
        (columns.x_arc, columns.x_group, columns.x_period, columns.x_future), shape
    )
    mine = np.ravel_multi_index(
        (plan.served_arc, plan.served_group, plan.served_period, plan.served_future), shape
    )
    z[columns.x + np.searchsorted(keys, mine)] = plan.served
    z[columns.u : columns.u + len(columns.u_cell)] = plan.unmet.ravel()[columns.u_cell]
    return z


def _defines(problem: Problem, rule: Rule, block: Block) -> npt.NDArray[np.bool_]:
    """Whether each row only defines a column: who is covered, how far parts are apart."""
    if isinstance(rule, Coverage):
        return np.arange(len(block.lower)) < len(block.lower) - len(problem.periods)
    if isinstance(rule, Deviation | Gini):
        return np.asarray(block.lower == block.upper)
    return np.zeros(len(block.lower), bool)


def _by_period(
    problem: Problem, columns: Columns, rule: Rule, block: Block, lack: Floats
) -> Floats:
    """Return what rows lack by period (T,): summed within a future, in the worst one."""
    n_t, n_w = len(problem.periods), len(problem.futures)
    row = np.arange(len(lack))
    total = np.zeros((n_t, n_w))
    if isinstance(rule, Room):
        return np.asarray(lack @ problem.stint_periods[rule.stints])
    if isinstance(rule, Forced):
        total[rule.period] = lack.sum()
    elif isinstance(rule, Reserved | Nearest):
        where = block.matrix.tocoo()
        people = (where.col >= columns.x) & (where.col < columns.u)
        of = np.zeros(len(lack), np.int64)
        of[where.row[people]] = where.col[people] - columns.x
        if isinstance(rule, Nearest):  # who goes past two nearer places is one person
            cell, mine = np.unique(columns.x_cell[of], return_inverse=True)
            most = np.zeros(len(cell))
            np.maximum.at(most, mine, lack)
            first = np.unique(mine, return_index=True)[1]
            lack, of = most, of[first]
        np.add.at(total, (columns.x_period[of], columns.x_future[of]), lack)
    elif isinstance(rule, Resource):
        np.add.at(total, (row % n_t, row // n_t), lack)
    elif isinstance(rule, PlacesRatio | PlacesShare | SiteCount | Hub | Coverage):
        np.add.at(total[:, 0], row % n_t, lack)
    else:
        np.add.at(total, (row // n_w % n_t, row % n_w), lack)
    return np.asarray(total.max(1))


def _unit(problem: Problem, rule: Rule) -> str:
    if isinstance(rule, Resource):
        return problem.pools[rule.pool]
    if isinstance(rule, MeanTravel):
        return "person-minute"
    if isinstance(rule, Room):
        return "m2"
    return (
        "place" if isinstance(rule, _PLACES) else "site" if isinstance(rule, _SITES) else "person"
    )


def _price(problem: Problem, rule: Rule, dear: float) -> float:
    """Return the price of breaking a rule by one unit of a row, where all at stake is ``dear``."""
    return _DEAR * (dear or 1.0) / max(_size(problem, rule), 1e-6)


def dearest(problem: Problem) -> float:
    """Return what the first objective costs at most in any plan, constant left out.

    All needs at their dearest, each site at its dearest stint in every period, priced rules wholly unmet.
    """
    p, o = problem, problem.objectives[0]
    periods = len(p.periods)
    years = np.ones(periods) if o.period_weight is None else np.abs(o.period_weight)
    need = np.einsum("isgtw,t,w->isg", p.need, years, p.future_weight)
    dear = np.zeros(p.need.shape[:3])
    if o.unmet is not None:
        dear = np.maximum(dear, np.broadcast_to(o.unmet, dear.shape))
    if o.person is not None:
        person = np.broadcast_to(o.person, (len(p.arc_area), len(p.groups)))
        np.maximum.at(dear, (p.arc_area, p.class_service[p.arc_class]), person)
    stint = np.zeros(len(p.stint_site)) if o.stint is None else np.maximum(o.stint, 0.0)
    if o.place is not None:
        place = np.maximum(o.place, 0.0) * p.offer_max
        stint = stint + np.bincount(p.offer_stint, place, minlength=len(stint))
    of_site = np.zeros(len(p.sites))
    np.maximum.at(of_site, p.stint_site, stint)
    total = float((need * dear).sum()) + periods * float(of_site.sum())
    if o.epigraph:
        total += abs(o.epigraph_weight) * max(float(p.need.sum()), 1.0)
    if o.shortfalls:
        rows = periods * len(p.futures)
        total += sum(r.price * rows * _all_of(p, r) for r in p.rules if r.price is not None)
    return total


def _all_of(problem: Problem, rule: Rule) -> float:
    """Return the most that a priced rule can lack in a period and future, parts of the county summed."""
    if isinstance(rule, PlacesShare):
        return float(problem.offer_max.sum()) * len(problem.sites)
    return _size(problem, rule) * (len(problem.areas) if isinstance(rule, Floor) else 1)


def _size(problem: Problem, rule: Rule) -> float:
    """Return the size of a rule in the unit of its rows: what it asks, or what it is asked of."""
    p = problem
    if isinstance(rule, Resource):
        n_t = len(p.periods)
        of = slice(rule.pool * n_t, (rule.pool + 1) * n_t)
        use = p.use_place[:, of].max(axis=1).toarray().ravel() * p.offer_max
        by_stint = np.bincount(p.offer_stint, use, minlength=len(p.stint_site))
        by_stint = by_stint + p.use_stint[:, of].max(axis=1).toarray().ravel()
        supply = rule.most[np.isfinite(rule.most) & (rule.most < 1e29)]
        return max(float(supply.max(initial=0.0)), float(by_stint.max(initial=0.0)))
    if isinstance(rule, SiteCount):
        most = rule.maximum[rule.maximum < len(p.sites)]
        return max(float(most.max(initial=1.0)), float(rule.minimum.max(initial=1.0)))
    if isinstance(rule, PlacesRatio):
        return float(rule.minimum.max(initial=0.0)) or float(p.offer_max.max(initial=1.0))
    if isinstance(rule, PlacesShare | Reserved):
        return float(p.offer_max.max(initial=1.0))
    if isinstance(rule, Room):
        return float(rule.room.max(initial=1.0))
    if isinstance(rule, Coverage):
        return float(rule.people.sum(0).max(initial=0.0))
    if isinstance(rule, Hub | Forced):
        return 1.0
    return _people(p, rule)


def _people(problem: Problem, rule: Rule) -> float:
    """Return the people, or their minutes, that a rule on people served is about."""
    p = problem
    if isinstance(rule, Resettlement):
        return float(p.need[rule.area, rule.service].max(initial=0.0))
    if isinstance(rule, Served):
        return float(p.need[rule.areas, rule.service][:, rule.groups].sum((0, 1)).max(initial=0.0))
    assert isinstance(rule, Floor | Deviation | Gini | MeanTravel | Nearest | Referral)
    everyone = float(p.need[:, rule.service].sum((0, 1)).max(initial=0.0))
    if isinstance(rule, MeanTravel):
        minutes = rule.minutes[np.isfinite(rule.minutes)]
        return everyone * max(float(minutes.max(initial=0.0)), 1.0)
    if isinstance(rule, Floor):
        return everyone / max(int(rule.part.max(initial=-1)) + 1, 1)
    if isinstance(rule, Nearest | Referral):
        return float(p.need[:, rule.service].max(initial=0.0))
    return everyone
