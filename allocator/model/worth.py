"""Prices by rule, and what they say without a plan: a bound, what one more is worth, where to start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from allocator.model.dual import Dual, search
from allocator.model.limits import Limits
from allocator.model.master import better_prices
from allocator.model.relaxation import Relaxation, relax
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Floats

__all__ = [
    "ROUNDS",
    "ROUNDS_PERIODS",
    "bound_at",
    "cold_start",
    "half_of_unmet",
    "place_worth",
    "prices_by_rule",
    "shadow_prices",
    "start_from",
]

ROUNDS, ROUNDS_PERIODS = 700, 400
"""Rounds of the price search; over several periods a relaxation goes on from there (`master`)."""


def cold_start(dual: Dual) -> Floats:
    """Return the first prices of needs: half their cost when unmet, over many periods; else none.

    With one period the search climbs from nothing in a few rounds, and the cost of unmet need may
    be a mere prohibition.
    """
    several = len(dual.rx.problem.periods) > 1
    return half_of_unmet(dual) if several else np.minimum(dual.start(), dual.high)


def half_of_unmet(dual: Dual) -> Floats:
    """Return prices of needs of half what leaving them unmet costs."""
    start = dual.start()
    start[: dual.b] = 0.5 * dual.unmet_cost(start)
    return np.minimum(start, dual.high)


def start_from(dual: Dual, prices: Mapping[str, Floats]) -> Floats:
    """Return a price vector from prices by rule id; a rule not named starts at zero."""
    rx = dual.rx
    start = dual.start()
    balance = prices.get("balance")
    if balance is not None and balance.size == rx.problem.need.size:
        start[: dual.b] = balance.ravel()[rx.need_key]
    seen: dict[str, int] = {}
    for rule, lo, hi in rx.shared.rule:
        old = prices.get(rule)
        at = seen.get(rule, 0)
        if old is not None and len(old) >= at + hi - lo:
            start[dual.b + lo : dual.b + hi] = old[at : at + hi - lo]
        seen[rule] = at + hi - lo
    return start


def prices_by_rule(rx: Relaxation, price: Floats) -> dict[str, Floats]:
    """Return prices by rule id: ``balance`` in the shape of need, others a value a row."""
    b = len(rx.need)
    balance = np.zeros(rx.problem.need.size)
    balance[rx.need_key] = price[:b]
    out: dict[str, Floats] = {"balance": balance.reshape(rx.problem.need.shape)}
    for rule, lo, hi in rx.shared.rule:
        part = price[b + lo : b + hi]
        out[rule] = np.concatenate([out[rule], part]) if rule in out else part.copy()
    return out


def bound_at(problem: Problem, prices: Mapping[str, Floats]) -> float:
    """Return the bound, constant included, that given prices prove for a problem, without solving it.

    Any prices bound any problem: those of an old plan bound the new budget at once.
    """
    dual = Dual(relax(problem))
    price = np.clip(start_from(dual, prices), dual.low, dual.high)
    return dual.capped(price)[0] + problem.objectives[0].constant


def shadow_prices(problem: Problem, *, gap: float = 1e-3) -> tuple[dict[str, Floats], float]:
    """Return prices by rule id and the bound they prove on the first objective, without a plan."""
    rx = relax(problem)
    dual = Dual(rx)
    several = len(problem.periods) > 1
    state = search(
        dual, cold_start(dual), rounds=ROUNDS_PERIODS if several else ROUNDS,
        seconds=np.inf, stall=max(gap * 0.02, 1e-6),
    )  # fmt: skip
    if several:
        state, _, _ = better_prices(rx, dual, state, gap=gap, limits=Limits())
    bound, price = dual.capped(state.price)
    return prices_by_rule(rx, price), bound + problem.objectives[0].constant


def place_worth(
    problem: Problem, prices: Mapping[str, Floats], plan: Plan
) -> list[tuple[int, int, int, float]]:
    """Return (site, class, period, worth) of one more place wherever a plan has places.

    Worth in the unit of the first objective, summed over futures: what the next person in line at the
    site is worth there at these prices, 0 where places are left over. What the place costs is not taken off.
    """
    rx = relax(problem)
    dual = Dual(rx)
    price = np.clip(start_from(dual, prices), dual.low, dual.high)
    dual(price)
    gain = (price[: dual.b][rx.row] - dual.cost) / rx.pp
    kept = np.zeros(len(rx.stint_cost), bool)
    kept[plan.stints] = True
    offer_of = np.repeat(np.arange(len(rx.offer_cost)), np.diff(rx.ocell_ptr))
    held = np.where(kept[problem.offer_stint], plan.places, 0.0) * rx.offer_occ
    room = np.bincount(rx.ocell, held[offer_of], minlength=len(rx.cell_most))
    worth: dict[tuple[int, int, int], float] = {}
    for cell in np.flatnonzero(room > 0):
        at = np.arange(rx.cell_ptr[cell], rx.cell_ptr[cell + 1])
        at = at[np.argsort(-gain[at], kind="stable")]
        full = np.cumsum(rx.cap[at] * rx.pp[at])
        next_ = int(np.searchsorted(full, room[cell], side="right"))
        key = (int(rx.cell_site[cell]), int(rx.cell_class[cell]), int(rx.cell_period[cell]))
        more = max(float(gain[at[next_]]), 0.0) if next_ < len(at) else 0.0
        worth[key] = worth.get(key, 0.0) + more
    return [(*key, value) for key, value in sorted(worth.items())]
