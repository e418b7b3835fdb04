"""From prices to a plan over several periods: the relaxation of the entries that pay, and a descent along it.

A price search over several periods comes near the bound and then creeps. The relaxation over the stints
it left likely and the entries nearest to use is small; its row prices are better prices, entries that
these show to pay are added until none are left, and the bound is what the sites answer to them. From its basis
sites are fixed, surest first, the relaxation and the answers of the search counting half each; and again
block by block where the gap is not met. Over one period the same descent decides the sites in doubt alone.

Source: column generation in the manner of Dantzig and Wolfe (1960), by entries instead of whole site plans.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from allocator.model.dive import Paths, descend, paths_of
from allocator.model.dual import Dual, DualState
from allocator.model.highs import relax_and_tighten
from allocator.model.limits import Limits
from allocator.model.primal import candidates, likely_paths
from allocator.model.relaxation import Relaxation
from allocator.model.restricted import Answer, Mask, Restricted, restrict, solve_restricted
from allocator.rules import Floats, Ints

__all__ = [
    "FEWEST", "FEW_NEEDS", "Master", "at_sites", "better_prices", "kept", "near_use", "plan_in_doubt",
    "plan_over_periods", "served_anew", "unsettled",
]  # fmt: skip

_NEAREST = 6
"""Entries nearest to use that each need starts with."""
FEWEST = 2
"""The same where most sites are held."""
_SURE, _HARDLY = 0.8, 0.1
"""Mean answer from which a stint is held, and from which another is in play, in a descent over sites in doubt."""
FEW_NEEDS = 2_500
"""Needs below which the relaxation of all that is near costs less than trying fewer sites first."""
_MORE = 4
"""Entries that each need gains at most in a round."""
_ROUNDS = 12
_LIKELY = 0.01
"""Mean answer from which a stint is in play."""
_BLOCK, _BLOCKS = 12, 40
"""Sites that are decided again at a time, a tenth of all at least; and how often at most."""
_MOST = 600_000
"""Entries up to which the relaxation is built."""


class Master:
    """The relaxation of a restricted problem, kept warm while entries join it."""

    def __init__(self, rx: Relaxation, small: Restricted) -> None:
        self.rx, self.small = rx, small
        _, self.hot = relax_and_tighten(small.linear, small.cost, lambda _: None, 1)
        self.entry = small.entry
        self.column = small.x + np.arange(len(small.entry))
        self.inside = np.zeros(len(rx.row), bool)
        self.inside[small.entry] = True
        self._cell = np.repeat(np.arange(len(rx.cell_most)), np.diff(rx.cell_ptr))
        self._shared = None if rx.shared.x is None else rx.shared.x.tocsc()

    @property
    def value(self) -> float:
        """Value of the relaxation; it bounds nothing while entries that pay are left out."""
        return self.hot.value

    def prices(self, dual: Dual) -> tuple[Floats, Floats]:
        """Return prices (B + M) of needs and shared rows within their limits, and prices of cells."""
        row = self.hot.row_prices
        n_b, at = len(self.rx.need), self.small.shared_row
        price = np.r_[row[:n_b], -row[at : at + dual.m]]
        there = self.small.cell_row >= 0
        cells = np.full(len(there), np.inf)
        cells[there] = np.maximum(-row[self.small.cell_row[there]], 0.0)
        return np.clip(price, dual.low, dual.high), cells

    def paying(self, dual: Dual, price: Floats, cells: Floats) -> Ints:
        """Return entries outside that would lower the value, the best few of each need."""
        rx = self.rx
        gain = price[rx.row] - dual.cost - cells[self._cell] * rx.pp
        scale = 1e-9 * max(1.0, float(np.abs(price[: len(rx.need)]).max(initial=0.0)))
        found = np.flatnonzero((gain > scale) & ~self.inside)
        return found[_first(rx.row[found], -gain[found] * rx.cap[found], _MORE)]

    def join(self, entries: Ints) -> None:
        """Add entries and solve on from the last basis."""
        rx = self.rx
        rows = [rx.row[entries].astype(np.int64), self.small.cell_row[self._cell[entries]]]
        values = [np.ones(len(entries)), rx.pp[entries]]
        owner = [np.arange(len(entries))] * 2
        if self._shared is not None:
            part = self._shared[:, entries].tocoo()
            rows.append(self.small.shared_row + part.row)
            values.append(part.data)
            owner.append(part.col)
        first = self.hot.add_columns(
            rx.cost[entries], rx.cap[entries],
            np.concatenate(owner), np.concatenate(rows), np.concatenate(values),
        )  # fmt: skip
        self.entry = np.r_[self.entry, entries]
        self.column = np.r_[self.column, first + np.arange(len(entries))]
        self.inside[entries] = True

    def answer(self) -> Answer | None:
        """Return what the relaxation says as it stands."""
        z = self.hot.values
        if z is None:
            return None
        s = self.small
        return Answer(
            self.value, -np.inf, "descent", z[: s.n], z[s.n : s.x], self.entry, z[self.column],
            z[s.v : len(s.cost)],
        )  # fmt: skip


def better_prices(
    rx: Relaxation, dual: Dual, state: DualState, *, gap: float, limits: Limits,
    links: bool = False, trace: bool = False,
) -> tuple[DualState, Master | None, Mask]:  # fmt: skip
    """Return better prices with their bound, the relaxation they are from, and the stints in it.

    With ``links`` people are held to sites one by one, where they are not too many: it is the price road's own
    bound then, at ten times the work. None where the relaxation is too large or has no value: the prices are then
    as they were.
    """
    stints = _in_play(rx, state)
    entries = near_use(rx, dual, state, stints, _NEAREST, 1)
    if len(entries) > _MOST:
        return state, None, stints
    t0 = time.monotonic()
    master = Master(rx, restrict(rx, stints, entries, links=links))
    for _ in range(_ROUNDS):
        if master.hot.values is None:
            return state, None, stints
        price, cells = master.prices(dual)
        bound, _ = dual(price)
        if bound > state.bound:
            state = replace(state, price=price, bound=bound)
        more = master.paying(dual, price, cells)
        if trace:
            print("master", len(master.entry), master.value, bound, state.bound, len(more),
                  round(time.monotonic() - t0, 2))  # fmt: skip
        near = master.value - state.bound <= 0.05 * gap * abs(master.value)
        if not len(more) or near or limits.over():
            break
        master.join(more)
    return state, master, stints


def plan_over_periods(
    rx: Relaxation, dual: Dual, state: DualState, *, gap: float, limits: Limits, seed: int,
    threads: int, again: bool = True, trace: bool = False,
) -> tuple[DualState, Answer | None]:  # fmt: skip
    """Return better prices with their bound, and a plan; None where the relaxation leads to none.

    Without ``again`` there is one descent only, and none where the relaxation, which leaves out links,
    is farther below the bound than the gap.
    """
    t0 = time.monotonic()
    state, master, stints = better_prices(rx, dual, state, gap=gap, limits=limits, trace=trace)
    if master is None:
        return state, None
    if not again and master.value < state.bound - gap * abs(state.bound):
        return state, None
    limits.state = state
    target = state.bound + 0.98 * gap * abs(state.bound)
    answer = _descended(
        rx, master, stints, state, target if again else np.inf, limits, seed, threads, trace
    )
    if trace and answer is not None:
        print("plan", answer.value, round(time.monotonic() - t0, 2))
    return state, answer


def plan_in_doubt(
    rx: Relaxation, dual: Dual, state: DualState, held: Mask, *, gap: float, limits: Limits,
    seed: int, trace: bool = False,
) -> Answer | None:  # fmt: skip
    """Return a plan by one descent over the sites in doubt; stints of ``held`` that are sure stay in place.

    None where the relaxation of what is in play is farther from the bound than the gap: below, it leaves out too
    much that binds; above, a plan among it would be no good.
    """
    t0 = time.monotonic()
    fixed, stints = kept(rx, state, held, _SURE, _HARDLY)
    entries = near_use(rx, dual, state, stints, FEWEST, 0)
    master = Master(rx, restrict(rx, stints, entries, fixed=fixed))
    off = np.inf if master.hot.values is None else abs(master.value - state.bound)
    if off > gap * abs(state.bound):
        return None
    answer = _descended(rx, master, stints, state, np.inf, limits, seed, 1, trace)
    if trace and answer is not None:
        print("in doubt", unsettled(rx, fixed), answer.value, round(time.monotonic() - t0, 2))
    return answer


def kept(
    rx: Relaxation, state: DualState, held: Mask, sure: float, likely: float
) -> tuple[Mask, Mask]:
    """Return the stints of ``held`` that are sure, and with them those in play at the other sites."""
    pr, y = rx.problem, state.y_mean
    fixed = held & (y > sure)
    settled = np.zeros(len(pr.sites), bool)
    settled[pr.stint_site[fixed]] = True
    idle = np.bincount(pr.offer_stint, minlength=len(y)) == 0
    return fixed, fixed | ((held | idle | (y > likely)) & ~settled[pr.stint_site])


def unsettled(rx: Relaxation, fixed: Mask) -> int:
    """How many sites have no stint that is fixed."""
    return len(rx.problem.sites) - len(np.unique(rx.problem.stint_site[fixed]))


def served_anew(
    rx: Relaxation, dual: Dual, state: DualState, best: Answer, *, limits: Limits, seed: int
) -> Answer | None:
    """Return the plan at the sites of another, people served anew; None where it does not hold here."""
    near = near_use(rx, dual, state, best.y > 0.5, _NEAREST, 1)
    return at_sites(rx, best, np.union1d(best.entry, near), limits=limits, seed=seed)


def at_sites(
    rx: Relaxation, best: Answer, entries: Ints, *, limits: Limits, seed: int
) -> Answer | None:
    """Return the best service over some entries at the sites of a plan; None where it does not hold here."""
    on = best.y > 0.5
    answer = solve_restricted(rx, on, entries, fixed=on, gap=1e-6, limits=limits, seed=seed)
    return answer if np.isfinite(answer.value) else None


def _in_play(rx: Relaxation, state: DualState) -> Mask:
    """Stints that the search left likely, those of no offer, and each site's likeliest path."""
    idle = np.bincount(rx.problem.offer_stint, minlength=len(state.y_mean)) == 0
    return np.asarray((state.y_mean > _LIKELY) | idle | likely_paths(rx, state.y_mean))


def near_use(
    rx: Relaxation, dual: Dual, state: DualState, stints: Mask, nearest: int, a_cell: int
) -> Ints:
    """Entries of what stints offer: those of use at the prices found, the nearest to it of each need and cell."""
    lack = candidates(rx, dual, state, 1).lack
    cell = np.repeat(np.arange(len(rx.cell_most)), np.diff(rx.cell_ptr))
    offered = np.zeros(len(rx.cell_most), bool)
    offer_of = np.repeat(np.arange(len(rx.offer_cost)), np.diff(rx.ocell_ptr))
    offered[rx.ocell[stints[rx.problem.offer_stint][offer_of]]] = True
    there = np.flatnonzero(offered[cell])
    taken = lack <= 0
    taken[there[_first(rx.row[there], lack[there], nearest)]] = True
    taken[there[_first(cell[there], lack[there], a_cell)]] = True
    return np.flatnonzero(taken & offered[cell])


def _first(key: npt.NDArray[np.integer], worth: Floats, most: int) -> Ints:
    """Return positions of the ``most`` least of each key."""
    order = np.lexsort((worth, key))
    new = np.r_[True, np.diff(key[order]) != 0][: len(order)]
    start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return order[np.arange(len(order)) - start < most]


def _descended(
    rx: Relaxation, master: Master, stints: Mask, state: DualState, target: float, limits: Limits,
    seed: int, threads: int, trace: bool,
) -> Answer | None:  # fmt: skip
    """Fix sites along the relaxation, then again block by block until the target is met.

    Places that come in units are made whole afterwards.
    """
    paths = paths_of(rx.problem, stints)
    relaxed = master.hot.values
    found = descend(rx.problem, master.hot, paths, len(rx.problem.sites), guide=state.y_mean)
    if relaxed is None or found is None or (found[0] < 0).any():
        return None
    chosen = found[0]
    if trace:
        print("descent", master.value)
    whole = not np.any(rx.problem.offer_module > 0)
    keep = partial(_keep, master, limits) if whole else None
    if keep is not None:
        keep()
    if master.value > target:
        chosen = _by_blocks(
            rx, master, stints, state, paths, chosen, relaxed, target, limits, keep, trace
        )
    if whole:
        return master.answer()
    on = _on(paths, chosen, len(stints))
    answer = solve_restricted(
        rx, on, np.sort(master.entry), fixed=on, gap=1e-4, limits=limits, threads=threads, seed=seed
    )
    return answer if np.isfinite(answer.value) else None


def _keep(master: Master, limits: Limits) -> None:
    """Keep what the relaxation says, all sites fixed, as the best plan so far if it is."""
    answer = master.answer()
    if answer is not None:
        limits.keep(answer)


def _by_blocks(
    rx: Relaxation, master: Master, stints: Mask, state: DualState, paths: Paths, chosen: Ints,
    relaxed: Floats, target: float, limits: Limits, keep: Callable[[], None] | None, trace: bool,
) -> Ints:  # fmt: skip
    """Free a site that is far from the relaxation, with those it shares most needs with, and descend on them anew.

    The others stay; what is no better is taken back, what is better is kept. A relaxation of one block is
    some hundred iterations from the last, so a step costs a twentieth of a whole descent.
    """
    pr, hot = rx.problem, master.hot
    sites = len(pr.sites)
    shared = _needs_shared(rx, master.entry)
    tried = np.zeros(sites)
    size = max(_BLOCK, sites // 10)
    best = master.value
    for _ in range(_BLOCKS):
        if best <= target or limits.over():
            break
        away = np.abs(_on(paths, chosen, len(stints)) - relaxed[: len(stints)])
        far = np.bincount(pr.stint_site, away, minlength=sites) / (1.0 + 3.0 * tried)
        centre = int(np.argmax(far))
        block = np.union1d(np.argsort(-shared[centre], kind="stable")[:size], [centre])
        tried[block] += 0.5
        tried[centre] += 1.0
        mine = np.flatnonzero(np.isin(pr.stint_site, block))
        hot.bounds(mine, np.zeros(len(mine)), stints[mine].astype(float))
        hot.solve()
        start = chosen.copy()
        start[block] = -1
        found = descend(pr, hot, paths, sites, guide=state.y_mean, chosen=start)
        if found is not None and (found[0] >= 0).all() and master.value < best:
            chosen, best = found[0], master.value
            if keep is not None:
                keep()
        else:
            on = _on(paths, chosen, len(stints))[mine].astype(float)
            hot.bounds(mine, on, on)
            hot.solve()
        if trace:
            print("block", centre, best, round(limits.left, 1))
    return chosen


def _needs_shared(rx: Relaxation, entries: Ints) -> Floats:
    """How many needs (J, J) every two sites may both serve."""
    cell = np.searchsorted(rx.cell_ptr, entries, side="right") - 1
    pairs = np.unique(np.column_stack([rx.cell_site[cell], rx.row[entries]]), axis=0)
    shape = (len(rx.problem.sites), len(rx.need))
    reach = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    return np.asarray((reach @ reach.T).toarray())


def _on(paths: Paths, chosen: Ints, stints: int) -> Mask:
    """Which stints (P,) the paths chosen are of."""
    on = np.zeros(stints, bool)
    on[[p for c in chosen for p in paths.stints[c]]] = True
    return on
