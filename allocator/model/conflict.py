"""Why there is no plan: named rules in conflict, and the cheapest way out.

The conflict is irreducible: the rules contradict one another, and dropping any one of them makes
the rest satisfiable. The relaxation is found by letting every hard rule give way at a price scaled
by its own size, then tried: with all of it applied the problem has a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, hstack

from allocator.errors import NO_TEXT, Finding, Rank, Text, Where
from allocator.model.blocks import Block
from allocator.model.exact import Formulation, formulate
from allocator.model.highs import Linear, solve_linear, stacked
from allocator.model.least import may_give
from allocator.plan import Status
from allocator.problem import Problem
from allocator.rules import (
    Coverage,
    Deviation,
    Floats,
    Floor,
    Forced,
    Gini,
    Hub,
    Ints,
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
    Served,
    SiteCount,
)

__all__ = ["Explanation", "Relaxation", "apply_relaxations", "explanation", "is_satisfiable"]

_WHOLE = (Deviation, Forced, Gini, Hub, MeanTravel, Nearest, Referral, Resettlement, Room)
"""Rules that hold or do not: they give way by being dropped."""
_NODES = 20_000
_MARGIN = 1e-6


@dataclass(frozen=True, slots=True)
class Relaxation:
    """How far one rule gives way: ``amount`` by period in ``unit``; or the rule is dropped."""

    rule: str
    amount: tuple[float, ...]
    unit: str
    dropped: bool = False
    words: Text = NO_TEXT


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why there is no plan.

    Parameters
    ----------
    conflict
        Ids of the rules in conflict, in the problem's order; empty when the problem's own structure
        (sites, sizes, occupancy) already has no plan, or when there is a plan.
    is_irreducible
        Whether it was proved that dropping any member makes the rest satisfiable.
    relaxations
        The cheapest way out; empty when none was found.
    is_tried
        Whether the problem with all relaxations applied was shown to have a plan.
    """

    conflict: tuple[str, ...]
    is_irreducible: bool
    relaxations: tuple[Relaxation, ...]
    is_tried: bool
    findings: tuple[Finding, ...]


def explanation(problem: Problem) -> Explanation:
    """Explain why a problem has no plan.

    Returns
    -------
    Explanation
        With no findings when the problem has a plan.
    """
    form = formulate(problem)
    loose = [r for r in problem.rules if may_give(r)]
    structure = [r.id for r in problem.rules if r.id not in {q.id for q in loose}]
    oracle = _Oracle(form, structure)
    if oracle.holds([r.id for r in loose]) is not False:
        return Explanation((), True, (), True, ())
    if oracle.holds([]) is False:
        return Explanation((), True, (), False, (_structure_finding(),))
    conflict = _conflict(oracle, [r.id for r in loose])
    rules = [r for r in problem.rules if r.id in conflict]
    irreducible = all(
        oracle.holds([q.id for q in rules if q is not r]) is True for r in rules
    )  # fmt: skip
    relaxations = _cheapest(form, loose)
    tried = bool(relaxations) and is_satisfiable(apply_relaxations(problem, relaxations)) is True
    findings = (_conflict_finding(rules), *_ways_out(problem, relaxations, tried))
    return Explanation(tuple(r.id for r in rules), irreducible, relaxations, tried, findings)


def is_satisfiable(problem: Problem, rules: Sequence[str] | None = None) -> bool | None:
    """Return whether a plan keeps the named hard rules besides the structure; None if unknown."""
    loose = [r.id for r in problem.rules if may_give(r)]
    structure = [r.id for r in problem.rules if r.id not in loose]
    return _Oracle(formulate(problem), structure).holds(loose if rules is None else rules)


class _Oracle:
    """Asks the solver whether rules can be kept together, each set once."""

    def __init__(self, form: Formulation, structure: Sequence[str]) -> None:
        self._form, self._structure = form, set(structure)
        self._known: dict[frozenset[str], bool | None] = {}

    def holds(self, rules: Sequence[str]) -> bool | None:
        key = frozenset(rules)
        if key not in self._known:
            wanted = key | self._structure
            blocks = [b for b in self._form.blocks if b.rule in wanted]
            linear = _linear(self._form, blocks)
            cost = np.zeros(self._form.columns.size)
            out = solve_linear(linear, cost, gap=0.0, node_limit=_NODES)
            if out.status is Status.INTERRUPTED:  # there is no plan to keep
                raise KeyboardInterrupt
            self._known[key] = {
                Status.INFEASIBLE: False, Status.NO_PLAN_FOUND: None,
            }.get(out.status, True)  # fmt: skip
        return self._known[key]


def _linear(form: Formulation, blocks: Sequence[Block]) -> Linear:
    columns = form.columns
    return Linear(
        stacked([b.matrix for b in blocks]),
        np.concatenate([b.lower for b in blocks]), np.concatenate([b.upper for b in blocks]),
        columns.lower, columns.upper, columns.integer,
    )  # fmt: skip


def _conflict(oracle: _Oracle, rules: list[str]) -> set[str]:
    """Return an irreducible set by halving (QuickXplain, Junker 2004): drops whole parts at once.

    Only proved infeasibility drops a rule, so the set returned does contradict itself.
    """

    def search(kept: list[str], candidates: list[str], changed: bool) -> list[str]:
        if changed and oracle.holds(kept) is False:
            return []
        if len(candidates) == 1:
            return candidates
        half = len(candidates) // 2
        first, second = candidates[:half], candidates[half:]
        from_second = search(kept + first, second, bool(first))
        from_first = search(kept + from_second, first, bool(from_second))
        return from_first + from_second

    return set(search([], rules, False))


@dataclass(frozen=True, eq=False)
class _Elastic:
    """Columns by which one rule gives way: (rows, columns) coefficients, prices, whole or not."""

    rule: Rule
    matrix: csr_array
    price: Floats
    whole: bool


def _cheapest(form: Formulation, loose: Sequence[Rule]) -> tuple[Relaxation, ...]:
    """Let every hard rule give way, each scaled by its own size, and give way least."""
    blocks = {b.rule: b for b in form.blocks}
    largest = np.where(np.isfinite(form.columns.upper), form.columns.upper, form.problem.need.sum())
    elastic = [_give(form.problem, rule, blocks[rule.id], largest) for rule in loose]
    ids = {e.rule.id for e in elastic}
    columns = form.columns
    kept = [b for b in form.blocks if b.rule not in ids]
    widths = [len(e.price) for e in elastic]
    total = sum(widths)
    rows = [hstack([b.matrix, csr_array((b.matrix.shape[0], total))]) for b in kept]
    lower, upper = [b.lower for b in kept], [b.upper for b in kept]
    at = 0
    for e, width in zip(elastic, widths, strict=True):
        b = blocks[e.rule.id]
        left = csr_array((b.matrix.shape[0], at))
        right = csr_array((b.matrix.shape[0], total - at - width))
        rows.append(hstack([b.matrix, left, e.matrix, right]))
        lower.append(b.lower)
        upper.append(b.upper)
        at += width
    whole = np.repeat([e.whole for e in elastic], widths)
    linear = Linear(
        stacked([csr_array(r) for r in rows]), np.concatenate(lower), np.concatenate(upper),
        np.r_[columns.lower, np.zeros(total)],
        np.r_[columns.upper, np.where(whole, 1.0, np.inf)],
        np.r_[columns.integer, whole],
    )  # fmt: skip
    cost = np.r_[np.zeros(columns.size), np.concatenate([e.price for e in elastic])]
    out = solve_linear(linear, cost, gap=1e-4, node_limit=_NODES)
    if out.values is None:
        return ()
    found, at = [], columns.size
    for e, width in zip(elastic, widths, strict=True):
        given = out.values[at : at + width]
        at += width
        if given @ e.price > 1e-9:
            found.append(_relaxation(form, e.rule, given, out.values))
    return tuple(found)


def _give(problem: Problem, rule: Rule, block: Block, largest: Floats) -> _Elastic:
    """Return the columns by which a rule gives way, one a period or one switch for the rule."""
    rows, t_n = block.matrix.shape[0], len(problem.periods)
    if isinstance(rule, _WHOLE):
        # A rule that holds or does not: large enough a column frees all its rows.
        most = np.maximum(np.abs(block.matrix) @ largest, 1.0)
        sign = np.where(np.isfinite(block.lower), 1.0, -1.0)
        if isinstance(rule, Forced) and not rule.wanted:
            sign = -sign
        if isinstance(rule, Deviation | Gini):  # rows that only define the measure stay
            most = np.where(block.lower == block.upper, 0.0, most)
        return _Elastic(rule, csr_array((most * sign)[:, None]), np.ones(1), True)
    period = _period_of_rows(problem, rule, rows)
    counted = period >= 0
    size = np.ones(rows)
    sign = np.where(np.isfinite(block.lower), 1.0, -1.0)
    price = np.ones(t_n)
    if isinstance(rule, Resource):
        finite = np.where(np.isfinite(block.upper), block.upper, 0.0)
        price = np.full(t_n, 1.0 / max(1.0, float(finite.max(initial=0.0))))
    elif isinstance(rule, Served | Floor | Coverage):
        size = _whole_of_rows(problem, rule, rows)
        price = np.ones(t_n)
    elif isinstance(rule, PlacesRatio):
        price = np.full(t_n, 1.0 / max(1.0, float(rule.minimum.max(initial=0.0))))
    elif isinstance(rule, PlacesShare | Reserved):
        price = np.full(t_n, 1.0 / max(1.0, float(problem.offer_max.sum())))
    elif isinstance(rule, SiteCount):
        return _give_count(rule, rows, t_n)
    entries = np.flatnonzero(counted)
    matrix = np.zeros((rows, t_n))
    matrix[entries, period[entries]] = (sign * size)[entries]
    return _Elastic(rule, csr_array(matrix), price, False)


def _give_count(rule: SiteCount, rows: int, t_n: int) -> _Elastic:
    """A number of sites gives way on either side: the first T columns below, the next above."""
    both = np.hstack([np.eye(rows), -np.eye(rows)])
    top = float(np.minimum(rule.maximum, 1e6).max(initial=1.0))
    return _Elastic(rule, csr_array(both), np.full(2 * t_n, 1.0 / max(1.0, top)), False)


def _period_of_rows(problem: Problem, rule: Rule, rows: int) -> Ints:
    """Return the period of each row of a rule; -1 for rows that only define something."""
    t_n, w_n = len(problem.periods), len(problem.futures)
    r = np.arange(rows)
    if isinstance(rule, Served | Floor):
        return np.asarray((r // w_n) % t_n)
    if isinstance(rule, Coverage):
        return np.asarray(np.where(r >= rows - t_n, r - (rows - t_n), -1))
    if isinstance(rule, Reserved):
        return np.zeros(rows, np.int64)
    return np.asarray(r % t_n)


def _whole_of_rows(problem: Problem, rule: Rule, rows: int) -> Floats:
    """Return the people that a share is of, by row: need served, or people covered."""
    if isinstance(rule, Coverage):
        return np.asarray(np.r_[np.zeros(rows - len(problem.periods)), rule.people.sum(0)])
    assert isinstance(rule, Served | Floor)
    if isinstance(rule, Served):
        need = problem.need[rule.areas, rule.service][:, rule.groups].sum((0, 1))[None]
    else:
        parts = int(rule.part.max(initial=-1)) + 1
        need = np.zeros((parts, *problem.need.shape[3:]))
        inside = rule.part >= 0
        np.add.at(need, rule.part[inside], problem.need[inside, rule.service].sum(1))
    return np.asarray(need.ravel())


def _relaxation(form: Formulation, rule: Rule, given: Floats, values: Floats) -> Relaxation:
    """Return what a rule gives in its own terms, a touch more than the solver's tolerance."""
    p = form.problem
    if isinstance(rule, _WHOLE):
        words = Text(f"取消“{rule.words.zh}”", f"drop “{rule.words.en}”")
        return Relaxation(rule.id, (1.0,), "rule", True, words)
    places = values[form.columns.n : form.columns.n + len(p.offer_stint)]
    if isinstance(rule, PlacesShare):
        whole, part = (_by_period(p, v * places) for v in (rule.whole, rule.part))
        have = np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), rule.share)
        given = np.maximum(rule.share - have, 0.0)
    if isinstance(rule, Reserved):
        given = np.array([_reserved_excess(form, rule, values)])
    amount = np.where(given > 1e-9, given * (1 + _MARGIN) + _MARGIN, 0.0)
    if isinstance(rule, SiteCount):
        amount = np.where(given > 1e-6, np.ceil(given - 1e-6), 0.0)
    unit = {Resource: "use", PlacesRatio: "place", SiteCount: "site"}.get(type(rule), "share")
    if isinstance(rule, Resource):
        unit = p.pools[rule.pool]
    return Relaxation(rule.id, tuple(amount.tolist()), unit, False, _words(p, rule, amount, unit))


def _by_period(problem: Problem, places: Floats) -> Floats:
    return np.asarray(places @ problem.stint_periods[problem.offer_stint])


def _reserved_excess(form: Formulation, rule: Reserved, values: Floats) -> float:
    """Return by how much the kept share must fall for the use found to fit the places found."""
    p, columns = form.problem, form.columns
    (block,) = (b for b in form.blocks if b.rule == rule.id)
    z = values[: columns.size].copy()
    z[columns.n : columns.n + len(p.offer_stint)] = 0.0
    used = block.matrix @ z
    free = -(block.matrix @ (values[: columns.size] - z)) / max(1e-9, 1 - rule.share)
    over = used - (1 - rule.share) * free
    some = over > 1e-9
    return float(np.max(over[some] / np.where(free[some] > 0, free[some], 1.0), initial=0.0))


def _words(problem: Problem, rule: Rule, amount: Floats, unit: str) -> Text:
    """Return one sentence that says how far the rule gives way, by period."""
    names = problem.periods if len(amount) == len(problem.periods) else ("",) * len(amount)
    zh, en = [], []
    for k, a in enumerate(amount.tolist()):
        if a <= 0:
            continue
        name = names[k]
        if isinstance(rule, Resource):
            zh.append(f"{name}增加{_round(a)}")
            en.append(f"{_round(a)} more in {name}")
        elif isinstance(rule, SiteCount):
            low = k < len(problem.periods)
            name = problem.periods[k % len(problem.periods)]
            zh.append(f"{name}{'下限减' if low else '上限加'}{a:g}处")
            en.append(f"{a:g} {'fewer at least' if low else 'more at most'} in {name}")
        elif unit == "place":
            zh.append(f"{name}少{_round(a)}个")
            en.append(f"{_round(a)} {'place' if _round(a) == '1.00' else 'places'} fewer in {name}")
        else:
            points = f"{a * 100:.2f}" if a >= 1e-4 else f"{a * 100:.2g}"
            zh.append(f"{name}降低{points}个百分点")
            en.append(f"{points} points lower{f' in {name}' if name else ''}")
    return Text(f"{rule.words.zh}:{'、'.join(zh)}", f"{rule.words.en}: {', '.join(en)}")


def _round(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,.2f}"


def apply_relaxations(problem: Problem, relaxations: Sequence[Relaxation]) -> Problem:
    """Return the problem with every relaxation applied."""
    given = {r.rule: r for r in relaxations}
    rules = []
    for rule in problem.rules:
        relaxation = given.get(rule.id)
        if relaxation is None:
            rules.append(rule)
        elif not relaxation.dropped:
            rules.append(_relaxed(rule, np.array(relaxation.amount)))
    return replace(problem, rules=tuple(rules))


def _relaxed(rule: Rule, amount: Floats) -> Rule:
    if isinstance(rule, Resource):
        payers = tuple(
            replace(q, cap=tuple((np.asarray(q.cap) + q.share * amount).tolist()))
            for q in rule.payers
        )
        return replace(rule, supply=rule.supply + amount, payers=payers)
    if isinstance(rule, Served | Floor | Coverage | PlacesShare):
        return replace(rule, share=np.maximum(rule.share - amount, 0.0))
    if isinstance(rule, PlacesRatio):
        return replace(rule, minimum=rule.minimum - amount)
    if isinstance(rule, Reserved):
        return replace(rule, share=max(rule.share - float(amount.max()), 0.0))
    assert isinstance(rule, SiteCount)
    low, high = np.split(amount, 2)
    return replace(rule, minimum=rule.minimum - low, maximum=rule.maximum + high)


def _structure_finding() -> Finding:
    return Finding(
        Rank.ERROR, "no-plan-structure", Where(),
        Text(
            "即使不考虑任何目标和限额,现状、选项、规模和最低使用率之间已无可行方案。",
            "even without any target or limit, today's state, options, sizes and least occupancy leave no plan.",
        ),
        Text(
            "检查各地点的现状与选项、规模上下限和最低入住率。",
            "Check the sites' states and options, least and largest sizes, and least occupancy.",
        ),
    )  # fmt: skip


def _conflict_finding(rules: Sequence[Rule]) -> Finding:
    zh = "、".join(f"“{r.words.zh}”" for r in rules)
    en = ", ".join(f"“{r.words.en}”" for r in rules)
    one = len(rules) == 1
    return Finding(
        Rank.ERROR, "no-plan-conflict", Where(id=", ".join(r.id for r in rules)),
        Text(
            f"这条要求本身无法满足:{zh}。" if one else f"这些要求互相矛盾,没有任何方案能同时满足:{zh}。",
            f"this cannot be kept at all: {en}." if one else f"no plan keeps these together: {en}.",
        ),
        Text("放宽它,其余即可同时满足。", "Relax it and the others can be kept together.")
        if one
        else Text(
            "放宽其中任何一条,其余即可同时满足。",
            "Relax any one of them and the others can be kept together.",
        ),
    )  # fmt: skip


def _ways_out(
    problem: Problem, relaxations: Sequence[Relaxation], tried: bool
) -> tuple[Finding, ...]:
    if not relaxations:
        return ()
    zh = ";".join(r.words.zh for r in relaxations)
    en = "; ".join(r.words.en for r in relaxations)
    return (
        Finding(
            Rank.INFORMATION, "no-plan-way-out", Where(id=", ".join(r.rule for r in relaxations)),
            Text(f"代价最小的出路:{zh}。", f"the cheapest way out: {en}."),
            Text(
                "已验证:照此调整后存在可行方案。" if tried else "尚未验证调整后是否可行。",
                "Tried: with this applied there is a plan." if tried else "Not yet shown to suffice.",
            ),
        ),
    )  # fmt: skip
