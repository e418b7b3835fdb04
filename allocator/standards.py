"""Norms compared: within themselves, local against national, one version against another.

Nothing here changes a norm or repairs one: faults and shortfalls come back as `Finding` values, and
what a change of standard means in quantities, yuan and workers comes back as tables.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd

from allocator.catalogue import DIRECTIONS, MARKS, Catalogue, Item, Standard, TargetGroup
from allocator.errors import Finding, Rank, Text, Where, nearest

__all__ = [
    "Change",
    "below_national",
    "check_catalogue",
    "check_dates",
    "check_local",
    "check_provision",
    "check_years",
    "cost_of_changes",
    "default_mode",
    "diff",
    "is_within",
    "norm_table",
    "rank_changes",
]

_FOREVER = "9999-12-31"


def is_within(groups: Mapping[str, TargetGroup], inner: str, outer: str) -> bool:
    """Whether everyone of the group ``inner`` belongs to ``outer``; every group is within itself."""
    seen: set[str] = set()
    front = [inner]
    while front:
        here = front.pop()
        if here == outer:
            return True
        if here not in seen:
            seen.add(here)
            front += groups[here].within if here in groups else ()
    return False


def _finding(rank: Rank, code: str, id: str, what: Text, remedy: Text, column: str = "") -> Finding:
    return Finding(rank, code, Where(file="standards.csv", column=column, id=id), what, remedy)


def _span(s: Standard) -> str:
    return f"{s.valid_from} – {s.valid_until or '…'}"


def _until(s: Standard) -> str:
    return s.valid_until or _FOREVER


def _overlap(a: Standard, b: Standard) -> bool:
    return a.valid_from <= _until(b) and b.valid_from <= _until(a)


def _by_id(standards: Iterable[Standard]) -> dict[str, list[Standard]]:
    found: dict[str, list[Standard]] = defaultdict(list)
    for s in standards:
        found[s.id].append(s)
    return {k: sorted(v, key=lambda s: (s.valid_from, _until(s))) for k, v in sorted(found.items())}


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check_dates(standards: Iterable[Standard]) -> tuple[Finding, ...]:
    """Find dates that are no dates, versions that overlap (errors) and gaps in time (warnings)."""
    found: list[Finding] = []
    for id, versions in _by_id(standards).items():
        bad = [
            s for s in versions
            if not _is_date(s.valid_from) or (s.valid_until and not _is_date(s.valid_until))
            or _until(s) < s.valid_from
        ]  # fmt: skip
        for s in bad:
            found.append(
                _finding(
                    Rank.ERROR, "standard-dates", id,
                    Text(f"起止日期无效:{_span(s)}。", f"The dates are not in order: {_span(s)}."),
                    Text("请按 YYYY-MM-DD 填写,止期不早于起期。", "Write YYYY-MM-DD, the end not before the start."),
                    "valid_from",
                )
            )  # fmt: skip
        good = [s for s in versions if s not in bad]
        for a, b in pairwise(good):
            if _overlap(a, b):
                found.append(
                    _finding(
                        Rank.ERROR, "standard-overlap", id,
                        Text(f"两个版本时间重叠:{_span(a)} 与 {_span(b)}。", f"Two versions overlap in time: {_span(a)} and {_span(b)}."),
                        Text("请在旧版本填写止期。", "End the older version before the newer one starts."),
                        "valid_until",
                    )
                )  # fmt: skip
            elif date.fromisoformat(_until(a)) + timedelta(days=1) < date.fromisoformat(
                b.valid_from
            ):
                found.append(
                    _finding(
                        Rank.WARNING, "standard-gap", id,
                        Text(f"{a.valid_until} 与 {b.valid_from} 之间没有有效标准。", f"No version is in force between {a.valid_until} and {b.valid_from}."),
                        Text("请补上空档期的标准。", "State the norm of the time between."),
                        "valid_from",
                    )
                )  # fmt: skip
    return tuple(found)


def check_years(
    standards: Iterable[Standard], ids: Iterable[str], years: Iterable[int]
) -> tuple[Finding, ...]:
    """Find norms that a scenario relies on and that are not in force throughout a year (errors).

    Parameters
    ----------
    ids
        Ids of the norms relied upon.
    years
        Years of the scenario; a norm must be in force on the first and the last day of each.
    """
    known = _by_id(standards)
    found: list[Finding] = []
    for id in sorted(set(ids)):
        if id not in known:
            near = nearest(id, known)
            hint = Text(f"是否为 {near}?", f"Did you mean {near}?") if near else Text("", "")
            found.append(
                _finding(Rank.ERROR, "standard-unknown", id, Text("没有这一标准。", "There is no such norm."), hint)
            )  # fmt: skip
            continue
        spans = "; ".join(_span(s) for s in known[id])
        for year in sorted(set(years)):
            days = (f"{year}-01-01", f"{year}-12-31")
            if not all(any(s.is_valid(day) for s in known[id]) for day in days):
                found.append(
                    _finding(
                        Rank.ERROR, "standard-not-valid", id,
                        Text(f"{year}年标准不在有效期内,有效期:{spans}。", f"Not in force throughout {year}; in force {spans}."),
                        Text("请延长有效期,或换用该年有效的标准。", "Extend the dates, or use a norm in force in that year."),
                        "valid_until",
                    )
                )  # fmt: skip
    return tuple(found)


def check_catalogue(catalogue: Catalogue) -> tuple[Finding, ...]:
    """Find norms without value, known unit, direction, group, mark, source or order in time."""
    found: list[Finding] = []

    def refuse(code: str, s: Standard, column: str, zh: str, en: str) -> None:
        remedy = Text("请更正目录文件。", "Mend the catalogue file.")
        found.append(_finding(Rank.ERROR, code, s.id, Text(zh, en), remedy, column))

    for s in catalogue.standards:
        if not math.isfinite(s.value) or s.value < 0:
            refuse(
                "standard-value", s, "value", f"数值无效:{s.value}。", f"Not a value: {s.value}."
            )
        for column, known in (
            ("unit", catalogue.units), ("group", catalogue.groups),
            ("direction", DIRECTIONS), ("mark", MARKS),
        ):  # fmt: skip
            word = getattr(s, column)
            if word not in known:
                near = nearest(word, known)
                zh, en = f"不认识“{word}”。", f"Unknown {column} {word!r}."
                if near:
                    zh, en = zh + f"是否为“{near}”?", en + f" Did you mean {near!r}?"
                refuse(f"standard-{column}-unknown", s, column, zh, en)
        if not s.source.strip() or not s.basis.strip():
            refuse(
                "standard-source", s, "source", "缺少依据或来源。", "Basis or source is missing."
            )
    return (*found, *check_dates(catalogue.standards))


def _worse(local: Standard, national: Standard) -> bool:
    slack = 1e-9 * max(1.0, abs(national.value))
    if national.direction == "higher":
        return local.value < national.value - slack
    if national.direction == "lower":
        return local.value > national.value + slack
    return False


def _number(s: Standard) -> str:
    return f"{s.value:g} {s.unit}"


def _compare(
    local: Standard, national: Standard, groups: Mapping[str, TargetGroup]
) -> list[Finding]:
    """Compare one local version with one national version in force at the same time."""
    basis = national.basis
    found: list[Finding] = []
    if local.unit != national.unit:
        found.append(
            _finding(
                Rank.ERROR, "standard-unit-differs", local.id,
                Text(f"单位不同:地方为 {local.unit},国家为 {national.unit}({basis})。", f"Units differ: local {local.unit}, national {national.unit} ({basis})."),
                Text("请换算为国家标准的单位。", "Restate the local norm in the national unit."),
                "unit",
            )
        )  # fmt: skip
    if local.direction != national.direction:
        found.append(
            _finding(
                Rank.ERROR, "standard-direction-differs", local.id,
                Text(f"方向不同:地方为 {local.direction},国家为 {national.direction}({basis})。", f"Directions differ: local {local.direction}, national {national.direction} ({basis})."),
                Text("请核对是下限还是上限。", "Check whether the figure is a minimum or a maximum."),
                "direction",
            )
        )  # fmt: skip
    if not found and _worse(local, national):
        found.append(
            _finding(
                Rank.WARNING, "below-national", local.id,
                Text(f"低于国家标准:地方 {_number(local)},国家 {_number(national)}({basis}),{_span(local)}。", f"Below national: local {_number(local)}, national {_number(national)} ({basis}), {_span(local)}."),
                Text("地方标准不得低于国家标准,请提高。", "A local norm may not be below the national one: raise it."),
                "value",
            )
        )  # fmt: skip
    if not is_within(groups, national.group, local.group):
        narrower = is_within(groups, local.group, national.group)
        words = (
            Text("对象范围窄于国家标准", "The target group is narrower than the national one")
            if narrower
            else Text("对象范围与国家标准不同", "The target group is not the national one")
        )
        found.append(
            _finding(
                Rank.WARNING, "standard-group-narrower" if narrower else "standard-group-differs", local.id,
                Text(f"低于国家标准:{words.zh},地方 {local.group},国家 {national.group}({basis})。", f"Below national: {words.en}: local {local.group}, national {national.group} ({basis})."),
                Text("请把对象扩大到国家标准的范围。", "Widen the group to the national one."),
                "group",
            )
        )  # fmt: skip
    return found


def check_local(national: Catalogue, local: Iterable[Standard], on: str) -> tuple[Finding, ...]:
    """Compare local norms with the national ones: value, unit, direction, group and dates.

    Only norms of level ``national`` with a direction bind; each pair of versions in force at the
    same time is compared. A local norm that ended before ``on`` (ISO date) with no successor is a
    warning; a local norm the national list does not hold is information.
    """
    standards = tuple(local)
    binding = _by_id(
        s for s in national.standards if s.level == "national" and s.direction != "none"
    )
    others = {s.id for s in national.standards}
    found = list(check_dates(standards))
    for id, versions in _by_id(standards).items():
        if id not in binding:
            if id not in others:
                near = nearest(id, others)
                hint = Text(f"若为 {near},请更正编号。", f"If {near} is meant, mend the id.")
                found.append(
                    _finding(
                        Rank.INFORMATION, "standard-local-addition", id,
                        Text("国家目录没有此项,按地方新增处理。", "The national list has no such norm: a local addition."),
                        hint if near else Text("新增事项应作财政承受能力评估。", "An addition needs an affordability assessment."),
                    )
                )  # fmt: skip
            continue
        for mine in versions:
            for theirs in binding[id]:
                if _overlap(mine, theirs):
                    found += _compare(mine, theirs, national.groups)
        last = max(_until(s) for s in versions)
        still = any(s.is_valid(on) for s in binding[id])
        if last < on and still:
            found.append(
                _finding(
                    Rank.WARNING, "standard-expired", id,
                    Text(f"地方标准已于 {last} 到期,{on} 无有效版本。", f"The local norm ended on {last}; none is in force on {on}."),
                    Text("请延期或换用新版本;此前按国家标准执行。", "Extend or renew it; until then the national norm applies."),
                    "valid_until",
                )
            )  # fmt: skip
    return tuple(found)


def below_national(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that say a local norm is below the national one, by value or group."""
    codes = ("below-national", "standard-group-narrower", "standard-group-differs")
    return tuple(f for f in findings if f.code in codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One norm that two versions of a catalogue state differently.

    ``kind`` is ``added``, ``withdrawn``, ``raised``, ``lowered``, ``widened``, ``narrowed``,
    ``regrouped``, ``unit-changed`` or ``restated``; *raised* means better for people. A norm whose
    value and group both change gives one change, named by the value; ``kinds`` lists both.
    """

    id: str
    kinds: tuple[str, ...]
    old: Standard | None
    new: Standard | None

    @property
    def kind(self) -> str:
        """The first of the kinds."""
        return self.kinds[0]

    @property
    def title(self) -> Text:
        """Title of the norm, of the new version where there is one."""
        s = self.new or self.old
        return s.title if s else Text("", "")


def diff(
    old: Iterable[Standard],
    new: Iterable[Standard],
    groups: Mapping[str, TargetGroup],
    *,
    on_old: str,
    on_new: str,
) -> tuple[Change, ...]:
    """List what changes from the norms in force on ``on_old`` to those in force on ``on_new``.

    The two may be one catalogue seen on two ISO dates.
    """
    before = {s.id: s for s in old if s.is_valid(on_old)}
    after = {s.id: s for s in new if s.is_valid(on_new)}
    changes: list[Change] = []
    for id in sorted(before.keys() | after.keys()):
        a, b = before.get(id), after.get(id)
        kinds: tuple[str, ...] = ("added",) if a is None else ("withdrawn",) if b is None else ()
        if a is not None and b is not None:
            kinds = _kinds(a, b, groups)
        if kinds:
            changes.append(Change(id=id, kinds=kinds, old=a, new=b))
    return tuple(changes)


def _kinds(a: Standard, b: Standard, groups: Mapping[str, TargetGroup]) -> tuple[str, ...]:
    kinds: list[str] = []
    if a.unit != b.unit or a.direction != b.direction:
        kinds.append("unit-changed")
    elif a.value != b.value:
        if b.direction == "none":
            kinds.append("restated")
        else:
            kinds.append("lowered" if _worse(b, a) else "raised")
    if a.group != b.group:
        if is_within(groups, a.group, b.group):
            kinds.append("widened")
        else:
            kinds.append("narrowed" if is_within(groups, b.group, a.group) else "regrouped")
    return tuple(kinds)


def _quantity(s: Standard | None, catalogue: Catalogue, people: Mapping[str, float]) -> float:
    """How many units the norm asks for, given persons by group."""
    if s is None:
        return 0.0
    unit = catalogue.units[s.unit]
    return s.value * people[s.group] / unit.per_persons


def cost_of_changes(
    changes: Iterable[Change],
    catalogue: Catalogue,
    people: pd.DataFrame,
    shares: Mapping[str, float],
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Say what each change costs, a year and payer, in units, yuan, workers and people helped.

    Parameters
    ----------
    catalogue
        Units, groups and unit costs; the unit cost of a change is found by the norm's id.
    people
        Columns ``group``, ``year``, ``persons``.
    shares
        Share of each payer, summing to 1; yuan are divided whole, by largest remainder.

    Returns
    -------
    table
        One row a change and year: ``id``, ``kinds``, ``year``, ``units`` (extra), ``capital_yuan``
        (for the extra beyond the year before, never negative), ``running_yuan``, ``workers``,
        ``persons_helped``, and ``yuan.<payer>`` whole yuan that sum to ``total_yuan``.
    findings
        A warning for each change that has no unit cost, no people, or no unit per person; such a
        change is left out of the table, never counted as free.
    """
    if abs(sum(shares.values()) - 1.0) > 1e-9:
        raise ValueError(f"the payers' shares sum to {sum(shares.values())}, not 1")
    counts: dict[int, dict[str, float]] = defaultdict(dict)
    for year, group, persons in people[["year", "group", "persons"]].itertuples(index=False):
        counts[int(year)][str(group)] = counts[int(year)].get(str(group), 0.0) + float(persons)
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for c in changes:
        missing = _uncosted(c, catalogue, counts)
        if missing:
            what = Text(f"无法测算:{missing.zh}。", f"Cannot be costed: {missing.en}.")
            remedy = Text(
                "请补充后重算;未计入合计。", "Supply it; the change is not in the totals."
            )
            findings.append(_finding(Rank.WARNING, "change-not-costed", c.id, what, remedy))
            continue
        rows += _cost_rows(c, catalogue, counts, shares)
    columns = ["id", "kinds", "year", "units", "capital_yuan", "running_yuan", "workers",
               "persons_helped", "total_yuan", *(f"yuan.{p}" for p in shares)]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), tuple(findings)


def _uncosted(
    c: Change, catalogue: Catalogue, counts: Mapping[int, Mapping[str, float]]
) -> Text | None:
    if c.id not in catalogue.unit_costs:
        return Text("缺少单位成本", "no unit cost")
    for s in (c.old, c.new):
        if s is None:
            continue
        if not catalogue.units[s.unit].per_persons:
            return Text("标准不按人口计量", "the norm is not counted by persons")
        if any(s.group not in year for year in counts.values()):
            return Text(f"缺少 {s.group} 人数", f"no persons of {s.group}")
    return None


def _cost_rows(
    c: Change,
    catalogue: Catalogue,
    counts: Mapping[int, Mapping[str, float]],
    shares: Mapping[str, float],
) -> list[dict[str, object]]:
    cost = catalogue.unit_costs[c.id]
    rows: list[dict[str, object]] = []
    built = 0.0
    for year in sorted(counts):
        people = counts[year]
        units = _quantity(c.new, catalogue, people) - _quantity(c.old, catalogue, people)
        capital = round(max(0.0, units - built) * cost.capital_yuan)
        built = max(built, units)
        running = round(units * cost.running_yuan_year)
        helped = units * cost.persons_helped
        if not cost.persons_helped or "widened" in c.kinds or "narrowed" in c.kinds:
            helped = _persons_touched(c, people)
        rows.append(
            {
                "id": c.id, "kinds": ", ".join(c.kinds), "year": year, "units": units,
                "capital_yuan": capital, "running_yuan": running, "workers": units * cost.workers,
                "persons_helped": helped, "total_yuan": capital + running,
                **{f"yuan.{p}": v for p, v in _whole(capital + running, shares).items()},
            }
        )  # fmt: skip
    return rows


def _persons_touched(c: Change, people: Mapping[str, float]) -> float:
    """Persons a change reaches: the newcomers to a group, or all of a group whose level changes."""
    before = people[c.old.group] if c.old else 0.0
    after = people[c.new.group] if c.new else 0.0
    if c.old and c.new and c.kinds[0] in ("raised", "lowered", "restated"):
        return max(before, after)
    return after - before


def _whole(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide whole yuan by shares, the largest remainders first; the parts sum to the total."""
    sign = -1 if total < 0 else 1
    exact = {p: abs(total) * s for p, s in shares.items()}
    parts = {p: math.floor(x) for p, x in exact.items()}
    left = abs(total) - sum(parts.values())
    order = sorted(exact, key=lambda p: (parts[p] - exact[p], p))
    for p in order[:left]:
        parts[p] += 1
    return {p: sign * v for p, v in parts.items()}


def rank_changes(
    costs: pd.DataFrame, budget_yuan_year: float | None = None, life_years: float = 1.0
) -> pd.DataFrame:
    """Rank changes that help someone by people helped per yuan, and say what a budget carries.

    Changes that take something away (withdrawn, lowered, narrowed) are no candidates and left out.

    Parameters
    ----------
    costs
        The table of `cost_of_changes`.
    budget_yuan_year
        Money a year; None leaves the budget columns out.
    life_years
        Years over which capital is spread to make it yearly.

    Returns
    -------
    pandas.DataFrame
        ``rank``, ``id``, ``yuan_year`` (mean), ``persons_helped`` (mean), ``persons_per_10k_yuan``,
        and with a budget ``cumulative_yuan`` and ``is_carried``: taken in rank order while the sum
        fits. A change that costs nothing and helps someone ranks first.
    """
    years = max(1, costs["year"].nunique())
    by = costs.groupby("id", sort=True)[["capital_yuan", "running_yuan", "persons_helped"]].sum()
    yearly = by["capital_yuan"] / life_years / years + by["running_yuan"] / years
    table = pd.DataFrame({"yuan_year": yearly, "persons_helped": by["persons_helped"] / years})
    ratio = table["persons_helped"] / table["yuan_year"].where(table["yuan_year"] > 0) * 10_000
    free = (table["yuan_year"] <= 0) & (table["persons_helped"] > 0)
    table["persons_per_10k_yuan"] = ratio.where(~free, math.inf).fillna(0.0)
    table = table[table["persons_helped"] > 0]
    table = table.reset_index().sort_values(
        ["persons_per_10k_yuan", "id"], ascending=[False, True], ignore_index=True
    )
    table.insert(0, "rank", range(1, len(table) + 1))
    if budget_yuan_year is not None:
        spent, sums, carried = 0.0, [], []
        for yuan in table["yuan_year"]:
            fits = spent + yuan <= budget_yuan_year
            spent += yuan if fits else 0.0
            sums.append(spent)
            carried.append(fits)
        table["cumulative_yuan"], table["is_carried"] = sums, carried
    return table


def default_mode(item: Item) -> str:
    """Return how an item is provided unless someone says otherwise: new place-based ones by purchase.

    Source: 符合条件的新增事项优先以政府购买服务方式提供 (policy article of 2025-06-11).
    """
    return item.mode or ("purchase" if item.is_new and item.kind == "place" else "build")


def check_provision(
    catalogue: Catalogue, choices: Mapping[str, tuple[str, str]]
) -> tuple[Finding, ...]:
    """Find new items that a plan builds itself without saying why, and modes nobody knows.

    Parameters
    ----------
    choices
        By item id: (mode, stated reason, blank where none is given).
    """
    found: list[Finding] = []
    for id, (mode, reason) in sorted(choices.items()):
        where = Where(file="items.csv", column="mode", id=id)
        if id not in catalogue.items or mode not in catalogue.modes:
            unknown = id if id not in catalogue.items else mode
            known = catalogue.items if id not in catalogue.items else catalogue.modes
            near = nearest(unknown, known)
            found.append(
                Finding(
                    Rank.ERROR, "provision-unknown", where,
                    Text(f"不认识“{unknown}”。", f"Unknown {unknown!r}."),
                    Text(f"是否为“{near}”?", f"Did you mean {near!r}?") if near else Text("请更正。", "Mend it."),
                )
            )  # fmt: skip
        elif (
            catalogue.items[id].is_new and catalogue.modes[mode].needs_reason and not reason.strip()
        ):
            name = catalogue.items[id].name
            found.append(
                Finding(
                    Rank.WARNING, "own-provision-without-reason", where,
                    Text(f"新增事项“{name.zh}”拟自行提供({mode}),未说明理由。", f"The new item '{name.en}' is to be provided in-house ({mode}) and no reason is stated."),
                    Text("新增事项优先政府购买服务;自行举办请写明理由。", "New items go to purchase first; state why one's own provision is needed."),
                )
            )  # fmt: skip
    return tuple(found)


_MARK_WORDS = {
    "verified": Text("已核", "verified"), "stated": Text("转述", "stated"),
    "unconfirmed": Text("未经核实", "unconfirmed"), "assumed": Text("假设", "assumed"),
    "synthetic": Text("模拟", "synthetic"),
}  # fmt: skip


def norm_table(
    catalogue: Catalogue, on: str, language: str = "zh", sections: Iterable[str] | None = None
) -> pd.DataFrame:
    """Return the norms in force on a date as a table for a report, number and year cited.

    Columns (headers in the language): id, title, value with unit, group, basis, source, in force,
    mark in words; unconfirmed norms say so.
    """
    wanted = None if sections is None else set(sections)
    heads = {
        "zh": ("编号", "标准", "数值", "对象", "依据", "来源", "有效期", "核实情况"),
        "en": ("id", "norm", "value", "group", "basis", "source", "in force", "mark"),
    }[language]
    rows = []
    for s in sorted(catalogue.standards, key=lambda s: (s.section, s.id, s.valid_from)):
        if s.is_valid(on) and (wanted is None or s.section in wanted):
            unit = catalogue.units[s.unit].name.in_language(language)
            group = catalogue.groups[s.group].name.in_language(language)
            mark = _MARK_WORDS[s.mark].in_language(language)
            rows.append(
                (s.id, s.title.in_language(language), f"{s.value:,.10g} {unit}", group, s.basis,
                 s.source, _span(s), mark)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(heads))
