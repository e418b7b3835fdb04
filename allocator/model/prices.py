"""The price road: a proven bound from prices on all that sites share, and a plan beside it.

Shared rows get a price, each site then answers alone (`kernels`), and prices move until they
balance (`dual`). What stays in doubt goes to a small exact problem (`primal`, `restricted`), or,
where places are never short, to exchange of sites (`exchange`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from allocator.model.dual import Dual, DualState, search
from allocator.model.eased import eased
from allocator.model.exchange import Exchange, fits, solve_exchange
from allocator.model.highs import StoppedTwice
from allocator.model.least import values_of, violations
from allocator.model.limits import Limits
from allocator.model.master import (
    FEW_NEEDS,
    at_sites,
    better_prices,
    plan_in_doubt,
    plan_over_periods,
    served_anew,
)
from allocator.model.merge import merge_alike
from allocator.model.primal import complete_from, improve
from allocator.model.relaxation import Relaxation, relax
from allocator.model.rescue import Rescue, rescue
from allocator.model.restricted import INTERRUPTED, Answer, Mask
from allocator.model.settle import in_doubt, settle
from allocator.model.warm import Start, plan_from_old
from allocator.model.worth import (
    ROUNDS,
    ROUNDS_PERIODS,
    cold_start,
    half_of_unmet,
    prices_by_rule,
    start_from,
)
from allocator.plan import ObjectiveValue, Plan, Status, priced_under, relative_gap
from allocator.problem import Objective, Problem
from allocator.rules import Floats, Floor, Held, Served

__all__ = ["solve_by_prices"]

Progress = Callable[[str, float, float], None]
_FAR, _NEAR = 0.05, 0.005
"""How far a search from nothing and from old prices aims above its best bound, of what is at stake."""
_AGAIN = 4
"""Searches at most that go on from where the first one stalled."""
_MOST_EASED, _LESS_EASED = 0.7, (0.2, 0.04)
"""Of the time what an eased problem may take; what it is eased by until it is not eased any more."""
_FEW_NODES = 50
"""Nodes of each exact problem where nobody says, under objectives in order or risk: gaps stay that none can close."""
_MANY_TIES = 20_000
"""Entries above which small exact problems of an objective that is eased would hold nearly all of them."""
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
    """Find a plan and a proven bound for each objective of a problem, in order.

    Parameters
    ----------
    gap
        Relative gap at which to stop.
    time_limit, node_limit, work_limit
        Of each objective: seconds of wall clock, nodes of each exact problem on the way, and rounds of the
        price search. A clock that ends some step makes the plan irreproducible, and the plan says so.
    start
        An earlier plan of a like problem in this one's positions, from `allocator.model.warm.carried`.
    progress
        Called with (stage, bound, value) as the work goes on.
    """
    import numba

    t0, c0 = time.monotonic(), time.process_time()
    rx = relax(problem)
    small = len(rx.row) < (2_000_000 if rx.cell_free.all() else _FEW_ENTRIES)
    cores = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(1 if small else max(1, min(threads, cores)))
    if trace:
        print("relaxation", round(time.monotonic() - t0, 2))
    how = _How(gap, time_limit, node_limit, work_limit, seed, threads, progress, trace)
    first, several = problem.objectives[0], len(problem.objectives) > 1
    if node_limit is None and (several or first.risk != "expected"):
        how = replace(how, nodes=_FEW_NODES)
    now = replace(how, gap=_asked(first, gap)) if several else how
    easier = eased(problem) if start is None and not fits(rx) else None
    done = _solve(rx, now, start) if easier is None else _from_eased(rx, easier, now)
    plan = done.plan
    if several:
        plan = _in_order(problem, done, how)
    elif plan.is_complete and (first.risk != "expected" or plan.status is Status.INTERRUPTED):
        plan = _valued(problem, [plan], [np.inf])
    work = {**plan.work, "wall_s": time.monotonic() - t0, "cpu_s": time.process_time() - c0}
    return replace(plan, work=work)


@dataclass(frozen=True)
class _How:
    """How a problem is to be solved, as `solve_by_prices` was asked."""

    gap: float
    seconds: float
    nodes: int | None
    rounds: int | None
    seed: int
    threads: int
    progress: Progress | None
    trace: bool

    @property
    def stall(self) -> float:
        """Relative gain below which a price search has stalled."""
        return max(0.02 * self.gap, 1e-6)


@dataclass(frozen=True, eq=False)
class _Done:
    """A plan of one objective, and the answer that it is made of; None where there is no plan."""

    plan: Plan
    answer: Answer | None


def _asked(objective: Objective, gap: float) -> float:
    """Objectives that follow may cost this one its tolerance: it is solved that much closer."""
    return max(gap - objective.tolerance, 0.5 * gap)


def _solve(
    rx: Relaxation, how: _How, start: Start | None, best: Answer | None = None,
    first: Floats | None = None,
) -> _Done:  # fmt: skip
    """Find a plan and a bound for the first objective, from an earlier plan, or from a plan and prices at hand."""
    problem, gap, seed, threads = rx.problem, how.gap, how.seed, how.threads
    limits = Limits(how.seconds, how.nodes)
    dual = Dual(rx)
    if first is None:
        first = cold_start(dual) if start is None else start_from(dual, start.prices)
    found = Rescue()
    try:
        if fits(rx):
            state, answer = _exchange(rx, dual, first, gap, limits, seed, how.trace)
        else:
            state, answer = _by_prices(rx, dual, first, start, how, limits, best)
        if answer is None and best is None:
            limits.again()
            found = rescue(rx, state, gap=gap, limits=limits, threads=threads, seed=seed)
        if found.answer is not None:  # a plan after all: the work goes on from it
            state, answer = _plan(
                rx, dual, state, found.answer, gap=gap, limits=limits, threads=threads, seed=seed,
                trace=how.trace,
            )  # fmt: skip
        if dual.gu is not None:
            bound, price = dual.capped(state.price)
            state = replace(state, bound=bound, price=price) if bound >= state.bound else state
    except StoppedTwice:
        raise
    except KeyboardInterrupt:
        if limits.best is None or limits.state is None:
            raise
        state, answer = limits.state, replace(limits.best, status=INTERRUPTED)
    late = limits.cut or state.clocked or limits.left < 0.0
    work = {"rounds": float(dual.calls + (state.rounds if fits(rx) else 0))}
    told = partial(to_plan, state=state, gap=gap, seed=seed, late=late, work=work)
    plan = told(rx, answer=answer)
    if found.is_infeasible:
        plan = replace(plan, status=Status.INFEASIBLE, objectives=())
    elif answer is None and found.least is not None:
        soft, least = found.least
        plan = _incomplete(problem, told(soft, answer=least), plan)
    if how.progress is not None and plan.is_complete:
        how.progress("plan", plan.objectives[0].bound, plan.objectives[0].value)
    return _Done(plan, answer)


def _from_eased(rx: Relaxation, easier: Problem, how: _How) -> _Done:
    """Return the plan of an eased problem as one of the problem itself, and what prices prove of that."""
    problem, limits = rx.problem, Limits(how.seconds)
    part = replace(how, seconds=_MOST_EASED * how.seconds, progress=None)
    done = _solve(relax(easier), part, None)
    if done.answer is None:
        return _solve(rx, how, None)
    if done.plan.status is Status.INTERRUPTED:
        return _as_it_is(problem, done)
    prices = done.plan.prices
    try:
        for factor in _LESS_EASED:
            less = relax(eased(problem, factor) or easier)
            dual = Dual(less)
            state = _climbed(dual, start_from(dual, prices), replace(how, seconds=limits.left))
            if not limits.over():
                state, _, _ = better_prices(
                    less, dual, state, gap=how.gap, limits=limits, trace=how.trace
                )
            prices = prices_by_rule(less, state.price)
        left = max(limits.left, 0.05 * how.seconds)
        last = replace(how, seconds=left)
        found = _solve(rx, last, None, done.answer, start_from(Dual(rx), prices))
    except StoppedTwice:
        raise
    except KeyboardInterrupt:
        return _as_it_is(problem, replace(done, plan=replace(done.plan, status=Status.INTERRUPTED)))
    sure = found.plan.reproducible and done.plan.reproducible and not limits.cut
    return replace(found, plan=replace(found.plan, reproducible=sure))


def _climbed(dual: Dual, first: Floats, how: _How) -> DualState:
    """Return better prices from such as are near."""
    return search(
        dual, first, rounds=how.rounds or ROUNDS, seconds=how.seconds, warm=True, trace=how.trace,
        stall=how.stall, ambition=_NEAR, every=25,
    )  # fmt: skip


def _climbed_on(dual: Dual, state: DualState, how: _How, limits: Limits) -> DualState:
    """Return better prices where a search stalled short of them: looked for anew nearby while that gains."""
    for _ in range(_AGAIN):
        more = _climbed(dual, state.price, replace(how, seconds=0.2 * limits.left))
        limits.cut |= more.clocked
        if more.bound - state.bound <= how.stall * abs(state.bound):
            break
        state = more
    return state


def _by_prices(
    rx: Relaxation, dual: Dual, first: Floats, start: Start | None, how: _How, limits: Limits,
    best: Answer | None,
) -> tuple[DualState, Answer | None]:  # fmt: skip
    """Return prices and the plan that they lead to, from nothing, an earlier plan, or the plan at hand."""
    gap, seed, threads, trace, progress = how.gap, how.seed, how.threads, how.trace, how.progress
    several = len(rx.problem.periods) > 1
    held = any(isinstance(r, Held) for r in rx.problem.rules)
    hard = several or len(rx.problem.objectives) > 1 or rx.shared.has_values
    rounds = how.rounds or (ROUNDS_PERIODS if several else ROUNDS)
    if best is not None and not held:  # of an eased problem: its plan stays, its prices get better
        state = _climbed(dual, first, how)
        limits.state, limits.cut = state, limits.cut or state.clocked
        best = at_sites(rx, best, best.entry, limits=limits, seed=seed)
        if best is None or len(rx.row) > _MANY_TIES:
            return state, best
        return _plan(
            rx, dual, state, best, gap=gap, limits=limits, threads=threads, seed=seed, trace=trace
        )
    ambition, every = (_FAR, 50) if start is None else (_NEAR, 25)
    look = partial(
        search, dual, rounds=rounds, seconds=0.5 * limits.left, warm=start is not None, trace=trace,
        stall=how.stall if start is None else 5 * how.stall, ambition=ambition, every=every,
    )  # fmt: skip
    state = look(first)
    if start is None and state.stuck and not several:
        state, hard = look(half_of_unmet(dual)), True
    if start is None and not several and how.rounds is None:
        state = _climbed_on(dual, state, how, limits)
    limits.cut |= state.clocked
    limits.state = state
    if progress is not None:
        progress("prices", state.bound, np.inf)
    if best is not None:
        best = served_anew(rx, dual, state, best, limits=limits, seed=seed)
    if held and not several:
        state, _, _ = better_prices(
            rx, dual, state, gap=gap, limits=limits, links=True, trace=trace
        )
    if hard:
        state, found = plan_over_periods(
            rx, dual, state, gap=gap, limits=limits, threads=threads, seed=seed, trace=trace
        )
        best = _better(best, found)
    elif start is None and len(rx.need) >= FEW_NEEDS and not limits.over():
        found = plan_in_doubt(
            rx, dual, state, state.y_mean > 0.5, gap=gap, limits=limits, seed=seed, trace=trace
        )
        best = _better(best, found)
    elif start is not None:
        state, best = plan_from_old(
            rx, dual, state, start.stints, gap=gap, limits=limits, threads=threads,
            seed=seed, trace=trace,
        )  # fmt: skip
        if best is None or relative_gap(best.value, state.bound) > gap:  # then as without it
            left = max(0.5 * limits.left, 0.01)
            state = search(
                dual, state.price, rounds=rounds, seconds=left, stall=how.stall, warm=True,
                trace=trace, ambition=ambition, every=every,
            )  # fmt: skip
    limits.state = state
    return _plan(
        rx, dual, state, best, gap=gap, limits=limits, threads=threads, seed=seed, trace=trace
    )


def _better(one: Answer | None, other: Answer | None) -> Answer | None:
    if one is None or other is None:
        return one or other
    return other if other.value < one.value else one


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


def _in_order(problem: Problem, done: _Done, how: _How) -> Plan:
    """Return the plan of the last objective, each before it held within its tolerance of the best plan found."""
    plans, held = [done.plan], [np.inf]
    if done.answer is None:
        return _none_of(problem, done.plan)
    for number, objective in enumerate(problem.objectives[1:], 1):
        before = problem.objectives[number - 1]
        at_hand = [p for p in plans if p.is_complete][-1]
        value, other = values_of(problem, at_hand)[number - 1 : number + 1]
        held[-1] = value + before.tolerance * max(abs(value), 1e-6) + 1e-7
        stage = problem.stage(number, held)
        if plans[-1].status is not Status.INTERRUPTED:
            last = number == len(problem.objectives) - 1
            now = replace(how, gap=how.gap if last else _asked(objective, how.gap))
            try:
                size = max(abs(other), 1e-6) / max(abs(value), 1e-6)
                done = _after(stage, done, before, now, size)
            except StoppedTwice:
                raise
            except KeyboardInterrupt:
                done = replace(done, plan=replace(at_hand, status=Status.INTERRUPTED))
        if done.plan.status is Status.INTERRUPTED and done.plan.objectives[0].id != objective.id:
            done = _as_it_is(stage, done)
        plans.append(done.plan)
        held.append(np.inf)
    return _valued(problem, plans, held)


def _after(stage: Problem, done: _Done, before: Objective, how: _How, size: float) -> _Done:
    """Return the plan of a later objective, from that of the one before it."""
    rx = relax(stage)
    first = _prices_after(Dual(rx), done.plan.prices, before.id, size)
    found = _solve(rx, how, None, done.answer, first)
    return found if found.answer is not None else replace(found, answer=done.answer)


def _as_it_is(stage: Problem, done: _Done) -> _Done:
    """Return the plan at hand for an objective that is not asked any more: what no prices prove bounds it."""
    rx = relax(stage)
    dual = Dual(rx)
    none = dual.start()
    told = (_unasked(stage.objectives[0], dual(none)[0]),)
    prices = prices_by_rule(rx, none)
    return replace(
        done, plan=replace(done.plan, objectives=told, prices=prices, work={}, reproducible=False)
    )


def _prices_after(dual: Dual, prices: Mapping[str, Floats], before: str, size: float) -> Floats:
    """Return prices to start from once the objective before is held: its own, times what proves most.

    Held at a price, the objective before brings its prices with it; how dear it is no one knows yet.
    ``size``: about what one unit of the objective before is of this one.
    """
    own, zero = start_from(dual, {**prices, f"held:{before}": np.ones(1)}), dual.start()
    given = zero != 0.0

    def at(factor: float) -> tuple[float, Floats]:
        price = np.where(given, zero, factor * own)
        return dual(np.clip(price, dual.low, dual.high, out=price))[0], price

    tried = {f: at(f) for f in 10.0 ** np.arange(-8.0, 9.0)}
    for step in (3.0, 1.7, 1.3, 1.1):
        top = max(tried, key=lambda f: tried[f][0])
        tried |= {f: at(f) for f in (top / step, top * step)}
    if max(found[0] for found in tried.values()) > at(0.0)[0]:
        return max(tried.values(), key=lambda found: found[0])[1]
    # None proves more than nothing does: of those of the size that both objectives have, the best.
    tried = {f: at(f) for f in size * 2.0 ** np.arange(-3.0, 4.0)}
    return max(tried.values(), key=lambda found: found[0])[1]


def _unasked(objective: Objective, bound: float) -> ObjectiveValue:
    """Return a bound, and nothing else, of an objective that was not solved."""
    return ObjectiveValue(
        objective.id, objective.unit, np.inf, bound + objective.constant, objective.constant
    )


def _none_of(problem: Problem, plan: Plan) -> Plan:
    """Return that there is no plan, as of the whole problem."""
    later = tuple(_unasked(o, -np.inf) for o in problem.objectives[1:]) if plan.objectives else ()
    return replace(plan, problem=problem.digest, objectives=(*plan.objectives, *later))


def _valued(problem: Problem, plans: Sequence[Plan], held: Sequence[float]) -> Plan:
    """Return the last plan with the bounds and prices of all, its values computed once more."""
    last = [p for p in plans if p.is_complete][-1]
    objectives: list[ObjectiveValue] = []
    prices: dict[str, Floats] = {}
    work = {"rounds": sum(p.work.get("rounds", 0.0) for p in plans)}
    parts = zip(problem.objectives, plans, values_of(problem, last), held, strict=True)
    for number, (o, plan, value, most) in enumerate(parts):
        start = priced_under(o.id) if number else ""
        prices |= {start + rule: price for rule, price in plan.prices.items()}
        work |= {start + k: plan.work[k] for k in ("price_bound", "nodes") if k in plan.work}
        bound = min(plan.objectives[0].bound - o.constant, value)
        objectives.append(
            ObjectiveValue(o.id, o.unit, value + o.constant, bound + o.constant, o.constant, most + o.constant)
        )  # fmt: skip
    stopped = [p.status for p in plans if p.status is not Status.PROVED]
    status = Status.LIMIT if stopped else Status.PROVED
    return replace(
        last, problem=problem.digest, objectives=tuple(objectives), prices=prices, work=work,
        status=Status.INTERRUPTED if Status.INTERRUPTED in stopped else status,
        reproducible=all(p.reproducible for p in plans),
    )  # fmt: skip


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
    other = done.v.copy()
    other[sh.short.column] = 0.0
    use = use + sh.v @ other
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
