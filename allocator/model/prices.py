"""The price road: a proven bound from prices on all that sites share, and a plan beside it.

Shared rows get a price, each site then answers alone (`kernels`), and prices move until they
balance (`dual`). What stays in doubt goes to a small exact problem (`primal`, `restricted`), or,
where places are never short, to exchange of sites (`exchange`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.exchange import Exchange, fits, solve_exchange
from allocator.model.master import plan_over_periods
from allocator.model.merge import merge_alike
from allocator.model.primal import INTERRUPTED, complete_from, improve
from allocator.model.relaxation import Relaxation, relax
from allocator.model.restricted import Answer
from allocator.plan import ObjectiveValue, Plan, Status, relative_gap
from allocator.problem import Problem
from allocator.rules import Floats

__all__ = ["bound_at", "prices_by_rule", "solve_by_prices", "start_from"]

Progress = Callable[[str, float, float], None]
_ROUNDS, _ROUNDS_PERIODS = 700, 400
"""Rounds of the price search; over several periods a relaxation goes on from there (`master`)."""


def solve_by_prices(
    problem: Problem,
    *,
    gap: float = 1e-3,
    time_limit: float = np.inf,
    work_limit: int | None = None,
    seed: int = 0,
    start_prices: Mapping[str, Floats] | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    trace: bool = False,
) -> Plan:
    """Find a plan and a proven bound for the first objective of a problem.

    Parameters
    ----------
    gap
        Relative gap at which to stop.
    time_limit, work_limit
        Seconds of wall clock, and rounds of the price search. A clock that ends the work makes
        the plan irreproducible, and the plan says so.
    start_prices
        Prices of an earlier plan of a like problem, by rule id (a warm start).
    progress
        Called with (stage, bound, value) as the work goes on.
    """
    import numba

    t0 = time.monotonic()
    c0 = time.process_time()
    rx = relax(problem)
    small = len(rx.row) < (2_000_000 if rx.cell_free.all() else 50_000)
    cores = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(1 if small else max(1, min(threads, cores)))
    deadline = t0 + time_limit
    if trace:
        print("relaxation", round(time.monotonic() - t0, 2))
    dual = Dual(rx)
    start = _cold_start(dual) if start_prices is None else start_from(dual, start_prices)
    if fits(rx):
        state, answer = _exchange(rx, dual, start, gap, deadline, seed, trace)
    else:
        several = len(problem.periods) > 1
        state = search(
            dual, start, rounds=work_limit or (_ROUNDS_PERIODS if several else _ROUNDS), seconds=0.5 * time_limit,
            stall=max(gap * 0.02, 1e-6), trace=trace, warm=start_prices is not None,
        )  # fmt: skip
        if progress is not None:
            progress("prices", state.bound, np.inf)
        best = None
        if several:
            state, best = plan_over_periods(
                rx, dual, state, gap=gap, deadline=deadline, threads=threads, seed=seed, trace=trace
            )
        answer = improve(
            rx, dual, state, gap=gap, deadline=deadline, threads=threads, seed=seed, best=best, trace=trace,
        )  # fmt: skip
    late = time.monotonic() > deadline
    plan = to_plan(rx, dual, state, answer, gap=gap, seed=seed, late=late, work={
        "rounds": float(dual.calls + state.rounds * (state.nodes > 0)), "wall_s": time.monotonic() - t0, "cpu_s": time.process_time() - c0,
    })  # fmt: skip
    if progress is not None:
        progress("plan", plan.objectives[0].bound, plan.objectives[0].value)
    return plan


def _cold_start(dual: Dual) -> Floats:
    """Return the first prices of needs: half their cost when unmet, over many periods; else none.

    With one period the search climbs from nothing in a few rounds, and the cost of unmet need may
    be a mere prohibition.
    """
    start = np.zeros(dual.b + dual.m)
    if len(dual.rx.problem.periods) > 1:
        start[: dual.b] = 0.5 * dual.rx.unmet_cost
    start = np.minimum(start, dual.high)
    return start


def start_from(dual: Dual, prices: Mapping[str, Floats]) -> Floats:
    """Return a price vector from prices by rule id; a rule not named starts at zero."""
    rx = dual.rx
    start = np.zeros(dual.b + dual.m)
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
    """Return the bound that given prices prove for a problem, without solving it.

    Any prices bound any problem: those of an old plan bound the new budget at once.
    """
    dual = Dual(relax(problem))
    price = np.minimum(np.maximum(start_from(dual, prices), dual.low), dual.high)
    return dual(price)[0]


def _exchange(
    rx: Relaxation, dual: Dual, start: Floats, gap: float, deadline: float, seed: int, trace: bool
) -> tuple[DualState, Answer | None]:
    """Solve by exchange, on merged needs where many are alike."""
    merged = merge_alike(rx)
    if merged is None:
        state, chosen = solve_exchange(
            rx, dual, start, gap=gap, deadline=deadline, seed=seed, trace=trace
        )
        return state, Exchange.of(rx).answer(chosen)
    small, group = merged
    if trace:
        print("merged", len(rx.need), "->", len(small.need), len(rx.row), "->", len(small.row))
    first = np.unique(group, return_index=True)[1]
    start = np.r_[start[: dual.b][first], start[dual.b :]]
    state, chosen = solve_exchange(
        small, Dual(small), start, gap=gap, deadline=deadline, seed=seed, trace=trace
    )
    n_small = len(small.need)
    price = np.r_[state.price[:n_small][group], state.price[n_small:]]
    return replace(state, price=price), Exchange.of(rx).answer(chosen)


def to_plan(
    rx: Relaxation,
    dual: Dual,
    state: DualState,
    answer: Answer | None,
    *,
    gap: float,
    seed: int,
    late: bool,
    work: Mapping[str, float],
) -> Plan:
    """Return the plan of an answer, its value recomputed from the arrays that it carries."""
    pr = rx.problem
    obj = pr.objectives[0]
    prices = prices_by_rule(rx, state.price)
    if answer is None:
        empty = np.zeros(0, np.int64)
        return Plan(
            problem=pr.digest, status=Status.NO_PLAN_FOUND, stints=empty,
            places=np.zeros(len(rx.offer_cost)), served_arc=empty, served_group=empty,
            served_period=empty, served_future=empty, served=np.zeros(0), unmet=pr.need.copy(),
            objectives=(ObjectiveValue(obj.id, obj.unit, np.inf, state.bound + obj.constant, obj.constant),),
            road="prices", solver="prices", seed=seed, work=work, prices=prices, reproducible=not late,
        )  # fmt: skip
    done = complete_from(rx, answer)
    e, x = done.entry[done.x > 0], done.x[done.x > 0]
    cell = np.searchsorted(rx.cell_ptr, e, side="right") - 1
    order = np.lexsort(
        (rx.cell_future[cell], rx.cell_period[cell], rx.entry_group[e], rx.entry_arc[e])
    )
    e, x, cell = e[order], x[order], cell[order]
    served = np.bincount(rx.row[e], x, minlength=len(rx.need))
    unmet_flat = pr.need.ravel().copy()
    unmet_flat[rx.need_key] = np.maximum(rx.need - served, 0.0)
    u = unmet_flat[rx.need_key]
    value = float(
        rx.stint_cost @ done.y + rx.offer_cost @ done.n + rx.cost[e] @ x + rx.unmet_cost @ u
    )
    value += float(rx.shared.extra_cost @ done.v) if len(done.v) else 0.0
    bound = min(max(state.bound, state.branched), value)
    work = {**work, "price_bound": state.bound + obj.constant, "nodes": float(state.nodes)}
    status = Status.PROVED if relative_gap(value, bound) <= gap else Status.LIMIT
    if done.status == INTERRUPTED:
        status, late = Status.INTERRUPTED, True
    return Plan(
        problem=pr.digest, status=status, stints=np.flatnonzero(done.y > 0.5), places=done.n,
        served_arc=rx.entry_arc[e], served_group=rx.entry_group[e].astype(np.int64),
        served_period=rx.cell_period[cell], served_future=rx.cell_future[cell], served=x,
        unmet=unmet_flat.reshape(pr.need.shape), shortfalls=_shortfalls(rx, done),
        objectives=(ObjectiveValue(obj.id, obj.unit, value + obj.constant, bound + obj.constant, obj.constant),),
        road="prices", solver="prices", seed=seed, reproducible=not late, work=work, prices=prices,
    )  # fmt: skip


def _shortfalls(rx: Relaxation, done: Answer) -> dict[str, float]:
    """Return the shortfall of each priced rule."""
    sh = rx.shared
    price = {r.id: r.price for r in rx.problem.rules}
    out: dict[str, float] = {}
    if sh.v is None:
        return out
    x = np.zeros(len(rx.row))
    x[done.entry] = done.x
    u = rx.need - np.bincount(rx.row, x, minlength=len(rx.need))
    use = sh.y @ done.y + sh.n @ done.n
    use = use if sh.x is None else use + sh.x @ x
    use = use if sh.u is None else use + sh.u @ u
    cover = np.where(np.isinf(sh.extra_high), 0.0, done.v)
    use = use + sh.v @ cover
    for rule, lo, hi in sh.rule:
        if price.get(rule) is None:
            continue
        lack = np.maximum(sh.low[lo:hi] - use[lo:hi], 0.0) + np.maximum(
            use[lo:hi] - sh.high[lo:hi], 0.0
        )
        out[rule] = out.get(rule, 0.0) + float(lack[lack > 1e-9].sum())
    return out
