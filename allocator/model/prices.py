"""The price road: a proven bound from prices on all that sites share, and a plan beside it.

Shared rows get a price, each site then answers alone (`kernels`), and prices move until they
balance (`dual`). What stays in doubt goes to a small exact problem (`primal`, `restricted`), or,
where places are never short, to exchange of sites (`exchange`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.exchange import Exchange, fits, solve_exchange
from allocator.model.highs import StoppedTwice
from allocator.model.least import violations
from allocator.model.limits import Limits
from allocator.model.master import better_prices, plan_over_periods
from allocator.model.merge import merge_alike
from allocator.model.primal import complete_from, improve
from allocator.model.relaxation import Relaxation, relax
from allocator.model.rescue import Rescue, rescue
from allocator.model.restricted import INTERRUPTED, Answer, Mask
from allocator.model.settle import in_doubt, settle
from allocator.model.warm import Start, plan_from_old
from allocator.plan import ObjectiveValue, Plan, Status, relative_gap
from allocator.problem import Problem
from allocator.rules import Floats, Floor, Served

__all__ = [
    "bound_at",
    "place_worth",
    "prices_by_rule",
    "shadow_prices",
    "solve_by_prices",
    "start_from",
]

Progress = Callable[[str, float, float], None]
_ROUNDS, _ROUNDS_PERIODS = 700, 400
"""Rounds of the price search; over several periods a relaxation goes on from there (`master`)."""
_FAR, _NEAR = 0.05, 0.005
"""How far a search from nothing and from old prices aims above its best bound, of what is at stake."""
_FEW_ENTRIES = 300_000
"""Entries below which one thread answers: where cores are busy, two cost several times as much."""
_FEW_IN_DOUBT = 60
"""Sites in doubt up to which they are settled, and that before wider restricted problems are tried."""


def solve_by_prices(
    problem: Problem,
    *,
    gap: float = 1e-3,
    time_limit: float = np.inf,
    node_limit: int | None = None,
    work_limit: int | None = None,
    seed: int = 0,
    start: Start | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    trace: bool = False,
) -> Plan:
    """Find a plan and a proven bound for the first objective of a problem.

    Parameters
    ----------
    gap
        Relative gap at which to stop.
    time_limit, node_limit, work_limit
        Seconds of wall clock, nodes of each exact problem on the way, and rounds of the price search. A
        clock that ends some step makes the plan irreproducible, and the plan says so.
    start
        An earlier plan of a like problem in this one's positions, from `allocator.model.warm.carried`.
    progress
        Called with (stage, bound, value) as the work goes on.
    """
    import numba

    t0 = time.monotonic()
    c0 = time.process_time()
    rx = relax(problem)
    small = len(rx.row) < (2_000_000 if rx.cell_free.all() else _FEW_ENTRIES)
    cores = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(1 if small else max(1, min(threads, cores)))
    limits = Limits(time_limit, node_limit)
    if trace:
        print("relaxation", round(time.monotonic() - t0, 2))
    dual = Dual(rx)
    first = _cold_start(dual) if start is None else start_from(dual, start.prices)
    found = Rescue()
    try:
        if fits(rx):
            state, answer = _exchange(rx, dual, first, gap, limits, seed, trace)
        else:
            state, answer = _by_prices(
                rx, dual, first, start, gap=gap, limits=limits, rounds=work_limit,
                threads=threads, seed=seed, progress=progress, trace=trace,
            )  # fmt: skip
        if answer is None:
            limits.again()
            found = rescue(rx, state, gap=gap, limits=limits, threads=threads, seed=seed)
        if found.answer is not None:  # a plan after all: the work goes on from it
            state, answer = _plan(
                rx, dual, state, found.answer, gap=gap, limits=limits, threads=threads, seed=seed,
                trace=trace,
            )  # fmt: skip
    except StoppedTwice:
        raise
    except KeyboardInterrupt:
        if limits.best is None or limits.state is None:
            raise
        state, answer = limits.state, replace(limits.best, status=INTERRUPTED)
    late = limits.cut or state.clocked or limits.left < 0.0
    work = {
        "rounds": float(dual.calls + (state.rounds if fits(rx) else 0)),
        "wall_s": time.monotonic() - t0, "cpu_s": time.process_time() - c0,
    }  # fmt: skip
    told = partial(to_plan, state=state, gap=gap, seed=seed, late=late, work=work)
    plan = told(rx, answer=answer)
    if found.is_infeasible:
        plan = replace(plan, status=Status.INFEASIBLE, objectives=())
    elif answer is None and found.least is not None:
        soft, least = found.least
        plan = _incomplete(problem, told(soft, answer=least), plan)
    if progress is not None and plan.is_complete:
        progress("plan", plan.objectives[0].bound, plan.objectives[0].value)
    return plan


def _by_prices(
    rx: Relaxation, dual: Dual, first: Floats, start: Start | None, *, gap: float, limits: Limits,
    rounds: int | None, threads: int, seed: int, progress: Progress | None, trace: bool,
) -> tuple[DualState, Answer | None]:  # fmt: skip
    """Return prices and the plan that they lead to, from nothing or from an earlier plan."""
    several = len(rx.problem.periods) > 1
    rounds = rounds or (_ROUNDS_PERIODS if several else _ROUNDS)
    stall = max(gap * 0.02, 1e-6)
    ambition, every = (_FAR, 50) if start is None else (_NEAR, 25)
    state = search(
        dual, first, rounds=rounds, seconds=0.5 * limits.left, warm=start is not None, trace=trace,
        stall=stall if start is None else 5 * stall, ambition=ambition, every=every,
    )  # fmt: skip
    limits.cut |= state.clocked
    limits.state = state
    if progress is not None:
        progress("prices", state.bound, np.inf)
    best = None
    if several:
        state, best = plan_over_periods(
            rx, dual, state, gap=gap, limits=limits, threads=threads, seed=seed, trace=trace
        )
    elif start is not None:
        state, best = plan_from_old(
            rx, dual, state, start.stints, gap=gap, limits=limits, threads=threads,
            seed=seed, trace=trace,
        )  # fmt: skip
        if best is None or relative_gap(best.value, state.bound) > gap:  # then as without it
            left = max(0.5 * limits.left, 0.01)
            state = search(
                dual, state.price, rounds=rounds, seconds=left, stall=stall, warm=True,
                trace=trace, ambition=ambition, every=every,
            )  # fmt: skip
    limits.state = state
    return _plan(
        rx, dual, state, best, gap=gap, limits=limits, threads=threads, seed=seed, trace=trace
    )


def _incomplete(problem: Problem, least: Plan, none: Plan) -> Plan:
    """Return a plan of the softened problem as what it is of this one: it breaks rules, its bound holds."""
    broken = violations(problem, least)
    if not broken:  # within tolerances only: the solver found no plan at these sites
        return none
    priced = {r.id for r in problem.rules if not r.is_hard}
    return replace(
        least, problem=problem.digest, status=Status.INCOMPLETE, violations=broken,
        shortfalls={k: v for k, v in least.shortfalls.items() if k in priced},
        objectives=none.objectives,
    )  # fmt: skip


def _plan(
    rx: Relaxation, dual: Dual, state: DualState, best: Answer | None, *, gap: float,
    limits: Limits, threads: int, seed: int, trace: bool,
) -> tuple[DualState, Answer | None]:  # fmt: skip
    """Return a plan, and over one period a bound proved by settling sites where the gap asks for it."""
    several = len(rx.problem.periods) > 1
    first = partial(
        improve,
        rx,
        dual,
        state,
        gap=gap,
        limits=limits,
        threads=threads,
        seed=seed,
        trace=trace,
    )
    best = first(best=best) if several else first(best=best, steps=1)
    if several or best is None or _is_enough(best, state, gap):
        return state, best
    if in_doubt(rx, dual, state, best, gap) > _FEW_IN_DOUBT:
        best = first(best=best)
    if best is None or _is_enough(best, state, gap):
        return state, best
    if in_doubt(rx, dual, state, best, gap) > _FEW_IN_DOUBT:
        return state, best
    bound, best, nodes = settle(
        rx, dual, state, best, gap=gap, limits=limits, seed=seed, trace=trace
    )
    return replace(state, branched=bound, nodes=nodes), best


def _is_enough(best: Answer, state: DualState, gap: float) -> bool:
    """Whether a plan is within the gap: no more is tried."""
    return relative_gap(best.value, state.bound) <= gap


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
    """Return the bound, constant included, that given prices prove for a problem, without solving it.

    Any prices bound any problem: those of an old plan bound the new budget at once.
    """
    dual = Dual(relax(problem))
    price = np.minimum(np.maximum(start_from(dual, prices), dual.low), dual.high)
    return dual(price)[0] + problem.objectives[0].constant


def shadow_prices(problem: Problem, *, gap: float = 1e-3) -> tuple[dict[str, Floats], float]:
    """Return prices by rule id and the bound they prove on the first objective, without a plan."""
    rx = relax(problem)
    dual = Dual(rx)
    several = len(problem.periods) > 1
    state = search(
        dual, _cold_start(dual), rounds=_ROUNDS_PERIODS if several else _ROUNDS,
        seconds=np.inf, stall=max(gap * 0.02, 1e-6),
    )  # fmt: skip
    if several:
        state, _, _ = better_prices(rx, dual, state, gap=gap, limits=Limits())
    return prices_by_rule(rx, state.price), state.bound + problem.objectives[0].constant


def place_worth(
    problem: Problem, prices: Mapping[str, Floats], plan: Plan
) -> list[tuple[int, int, int, float]]:
    """Return (site, class, period, worth) of one more place wherever a plan has places.

    Worth in the unit of the first objective, summed over futures: what the next person in line at the
    site is worth there at these prices, 0 where places are left over. What the place costs is not taken off.
    """
    rx = relax(problem)
    dual = Dual(rx)
    price = np.minimum(np.maximum(start_from(dual, prices), dual.low), dual.high)
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


def _exchange(
    rx: Relaxation, dual: Dual, start: Floats, gap: float, limits: Limits, seed: int, trace: bool
) -> tuple[DualState, Answer | None]:
    """Solve by exchange, on merged needs where many are alike."""
    merged = merge_alike(rx)
    if merged is None:
        state, chosen = solve_exchange(
            rx, dual, start, gap=gap, deadline=limits.deadline, seed=seed, trace=trace
        )
        return state, _of_exchange(rx, state, chosen)
    small, group = merged
    if trace:
        print("merged", len(rx.need), "->", len(small.need), len(rx.row), "->", len(small.row))
    first = np.unique(group, return_index=True)[1]
    start = np.r_[start[: dual.b][first], start[dual.b :]]
    state, chosen = solve_exchange(
        small, Dual(small), start, gap=gap, deadline=limits.deadline, seed=seed, trace=trace
    )
    n_small = len(small.need)
    price = np.r_[state.price[:n_small][group], state.price[n_small:]]
    return replace(state, price=price), _of_exchange(rx, state, chosen)


def _of_exchange(rx: Relaxation, state: DualState, chosen: Mask) -> Answer:
    answer = Exchange.of(rx).answer(chosen)
    return replace(answer, status=INTERRUPTED) if state.interrupted else answer


def to_plan(
    rx: Relaxation,
    answer: Answer | None,
    *,
    state: DualState,
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
    """Return the shortfall of each priced rule, those of futures weighted."""
    sh = rx.shared
    price = {r.id: r.price for r in rx.problem.rules}
    weight = rx.problem.future_weight
    by_future = {r.id for r in rx.problem.rules if isinstance(r, Served | Floor)}
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
        lack[lack <= 1e-9] = 0.0
        if rule in by_future:  # rows are (part, period, future)
            lack = lack.reshape(-1, len(weight)) @ weight
        out[rule] = out.get(rule, 0.0) + float(lack.sum())
    return out
