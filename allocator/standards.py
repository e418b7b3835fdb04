"""Norms compared: within themselves, local against national, one version against another.

Nothing here repairs a norm: faults and shortfalls come back as `Finding` values. How a new item is
provided is settled here too: bought first, built for a stated reason.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd

from allocator.catalogue import DIRECTIONS, MARKS, Catalogue, Item, Standard, TargetGroup
from allocator.errors import Finding, Rank, Text, Where, nearest

__all__ = [
    "MARK_WORDS",
    "Change",
    "Provided",
    "adjusted",
    "below_national",
    "bought_services",
    "check_catalogue",
    "check_dates",
    "check_local",
    "check_provision",
    "check_years",
    "default_mode",
    "diff",
    "is_within",
    "norm_rows",
    "norm_table",
    "provided",
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


def _finding(
    rank: Rank,
    code: str,
    id: str,
    what: Text,
    remedy: Text,
    column: str = "",
    file: str = "standards.csv",
) -> Finding:
    return Finding(rank, code, Where(file=file, column=column, id=id), what, remedy)


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


def _at_fault(code: str, s: Standard, column: str, zh: str, en: str) -> Finding:
    remedy = Text("请更正目录文件。", "Mend the catalogue file.")
    return _finding(Rank.ERROR, code, s.id, Text(zh, en), remedy, column)


def check_catalogue(catalogue: Catalogue) -> tuple[Finding, ...]:
    """Find norms without value, known unit, direction, group, mark, source or order in time."""
    found: list[Finding] = []
    for s in catalogue.standards:
        if not math.isfinite(s.value) or s.value < 0:
            found.append(_at_fault("standard-value", s, "value", f"数值无效:{s.value}。", f"Not a value: {s.value}."))  # fmt: skip
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
                found.append(_at_fault(f"standard-{column}-unknown", s, column, zh, en))
        if not s.source.strip() or not s.basis.strip():
            found.append(_at_fault("standard-source", s, "source", "缺少依据或来源。", "Basis or source is missing."))  # fmt: skip
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
                Text(f"{local.title.zh}低于国家标准:地方 {_number(local)},国家 {_number(national)}({basis}),{_span(local)}。", f"{local.title.en}: below national: local {_number(local)}, national {_number(national)} ({basis}), {_span(local)}."),
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
                Text(f"{local.title.zh}低于国家标准:{words.zh},地方 {local.group},国家 {national.group}({basis})。", f"{local.title.en}: below national: {words.en}: local {local.group}, national {national.group} ({basis})."),
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
        if id not in catalogue.items or mode not in catalogue.modes:
            unknown = id if id not in catalogue.items else mode
            known = catalogue.items if id not in catalogue.items else catalogue.modes
            near = nearest(unknown, known)
            found.append(
                _finding(
                    Rank.ERROR, "provision-unknown", id,
                    Text(f"不认识“{unknown}”。", f"Unknown {unknown!r}."),
                    Text(f"是否为“{near}”?", f"Did you mean {near!r}?") if near else Text("请更正。", "Mend it."),
                    *_ITEM_MODE,
                )
            )  # fmt: skip
        elif (
            catalogue.items[id].is_new and catalogue.modes[mode].needs_reason and not reason.strip()
        ):
            found.append(_without_reason(catalogue.items[id], catalogue.modes[mode].name))
    return tuple(found)


def _without_reason(item: Item, mode: Text) -> Finding:
    return _finding(
        Rank.WARNING, "own-provision-without-reason", item.id,
        Text(f"新增事项“{item.name.zh}”拟自行提供({mode.zh}),未说明理由。", f"The new item '{item.name.en}' is to be provided in-house ({mode.en}) and no reason is stated."),
        Text("新增事项优先政府购买服务;自行举办请在情景 provision 中写明理由。", "New items go to purchase first; state under 'provision' why one's own provision is needed."),
        *_ITEM_MODE,
    )  # fmt: skip


_ITEM_MODE = ("mode", "items.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """How a place-based item of the planned services is provided, and why where it was stated."""

    item: Item
    mode: str
    reason: str = ""
    is_stated: bool = False


def provided(
    catalogue: Catalogue, services: Iterable[str], stated: Mapping[str, tuple[str, str]]
) -> tuple[tuple[Provided, ...], tuple[Finding, ...]]:
    """Settle how the items behind the planned services are provided.

    A new item is bought unless another mode is stated; where nobody sells its service it is
    provided in-house, and a reason is asked for. Other items are provided as stated, else built.

    Parameters
    ----------
    services
        Ids of the planned services.
    stated
        By item id: (mode, stated reason, blank where none is given).

    Returns
    -------
    items, findings
        Items by id, and what is unknown (errors), not for sale (error), without reason (warning) or
        bought by default (information).
    """
    planned = set(services)
    found = list(check_provision(catalogue, stated))
    settled: list[Provided] = []
    for id, item in sorted(catalogue.items.items()):
        if item.kind != "place" or item.service not in planned:
            continue
        sold = _is_sold(catalogue, item.service)
        mode, reason = stated.get(id, ("", ""))
        if not mode and item.is_new:
            mode = default_mode(item) if sold else "build"
            if sold:
                found.append(_bought_by_default(item, mode))
            else:
                known = catalogue.modes.get(mode)
                found.append(_without_reason(item, known.name if known else Text("自办", mode)))
        elif (
            mode in catalogue.modes
            and item.is_new
            and not catalogue.modes[mode].needs_reason
            and not sold
        ):
            found.append(_not_for_sale(item, mode))
        settled.append(
            Provided(
                item=item, mode=mode or default_mode(item), reason=reason, is_stated=id in stated
            )
        )
    return tuple(settled), tuple(found)


def _is_sold(catalogue: Catalogue, service: str) -> bool:
    """Whether a facility type offers the service by a mode that is not one's own building."""
    ready = {m for m, mode in catalogue.modes.items() if not mode.needs_reason}
    return any(
        p.mode in ready
        for t in catalogue.types.values()
        if any(o.service == service for o in t.offers)
        for p in t.provisions
    )


def _bought_by_default(item: Item, mode: str) -> Finding:
    return _finding(
        Rank.INFORMATION, "new-item-bought", item.id,
        Text(f"新增事项“{item.name.zh}”按缺省以政府购买服务提供({mode})。", f"The new item '{item.name.en}' is bought by default ({mode})."),
        Text("如需自行举办,请在情景 provision 中写明方式和理由。", "To build one's own, state mode and reason under 'provision'."),
        *_ITEM_MODE,
    )  # fmt: skip


def _not_for_sale(item: Item, mode: str) -> Finding:
    return _finding(
        Rank.ERROR, "provision-not-offered", item.id,
        Text(f"目录中没有可供“{mode}”的“{item.name.zh}”设施类型。", f"No facility type of the catalogue offers '{item.name.en}' by {mode}."),
        Text("请在目录中补充该方式,或改为自行举办并写明理由。", "Add such a type to the catalogue, or build one's own for a stated reason."),
        *_ITEM_MODE,
    )  # fmt: skip


def bought_services(
    catalogue: Catalogue, services: Iterable[str], stated: Mapping[str, tuple[str, str]]
) -> frozenset[str]:
    """Return the planned services whose new item is bought: one's own new facilities may not offer it."""
    items, _ = provided(catalogue, services, stated)
    return frozenset(
        p.item.service
        for p in items
        if p.item.is_new and p.mode in catalogue.modes and not catalogue.modes[p.mode].needs_reason
    )


def adjusted(
    catalogue: Catalogue, changes: Iterable[tuple[str, int, float | None, str | None]]
) -> Catalogue:
    """Return the catalogue with norms changed from a year on, as the county's own norms.

    Parameters
    ----------
    changes
        (id, first year, value or None, group or None); what is None stays as last in force. Ids the
        catalogue does not have are left out: `check_years` tells them.
    """
    local = list(catalogue.local)
    for id, year, value, group in sorted(changes, key=lambda c: (c[0], c[1])):
        start = f"{year}-01-01"
        versions = [s for s in local if s.id == id] or [
            s for s in catalogue.standards if s.id == id
        ]
        if not versions:
            continue
        last = max(versions, key=lambda s: (s.valid_from, _until(s)))
        kept = [
            replace(s, valid_until=min(_until(s), f"{year - 1}-12-31"))
            for s in versions
            if s.valid_from < start
        ]
        new = replace(
            last, version=start, value=last.value if value is None else value,
            group=last.group if group is None else group, level="local", valid_from=start,
            valid_until="", mark="assumed", source="scenario",
        )  # fmt: skip
        local = [s for s in local if s.id != id] + [*kept, new]
    return replace(catalogue, local=tuple(local))


MARK_WORDS = {
    "verified": Text("已核", "verified"), "stated": Text("据公开说明", "stated"),
    "unconfirmed": Text("未核实", "unconfirmed"), "assumed": Text("假定", "assumed"),
    "synthetic": Text("模拟", "synthetic"),
}  # fmt: skip


def norm_rows(catalogue: Catalogue, days: Iterable[str]) -> pd.DataFrame:
    """Return the norms in force on any of some days, number and year cited, names in both languages.

    Columns ``section``, ``id``, ``version``, ``title_zh``, ``title_en``, ``value``, ``unit_zh``,
    ``unit_en``, ``group_zh``, ``group_en``, ``direction``, ``level``, ``payer``, ``agency``,
    ``basis``, ``source``, ``valid_from``, ``valid_until``, ``mark``, ``item``, ``service``.
    """
    when = tuple(days)
    rows = []
    for s in sorted(catalogue.norms, key=lambda s: (s.section, s.id, s.valid_from)):
        if not any(s.is_valid(day) for day in when):
            continue
        unit, group = catalogue.units[s.unit].name, catalogue.groups[s.group].name
        rows.append(
            (s.section, s.id, s.version, s.title.zh, s.title.en, s.value, unit.zh, unit.en, group.zh,
             group.en, s.direction, s.level, s.payer, s.agency, s.basis, s.source, s.valid_from,
             s.valid_until, s.mark, s.item, s.service)
        )  # fmt: skip
    columns = ["section", "id", "version", "title_zh", "title_en", "value", "unit_zh", "unit_en",
               "group_zh", "group_en", "direction", "level", "payer", "agency", "basis", "source",
               "valid_from", "valid_until", "mark", "item", "service"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def norm_table(
    catalogue: Catalogue, on: str, language: str = "zh", sections: Iterable[str] | None = None
) -> pd.DataFrame:
    """Return the norms in force on a date in one language, with number, year and mark in words.

    Columns (headers in the language): id, title, value with unit, group, basis, source, in force,
    mark; unconfirmed norms say so.
    """
    rows = norm_rows(catalogue, [on])
    if sections is not None:
        rows = rows[rows["section"].isin(set(sections))]
    heads = {
        "zh": ("编号", "标准", "数值", "对象", "依据", "来源", "有效期", "核实情况"),
        "en": ("id", "norm", "value", "group", "basis", "source", "in force", "mark"),
    }[language]
    cells = [
        (r["id"], r[f"title_{language}"], f"{r['value']:,.10g} {r[f'unit_{language}']}", r[f"group_{language}"],
         r["basis"], r["source"], f"{r['valid_from']} – {r['valid_until'] or '…'}",
         MARK_WORDS[r["mark"]].in_language(language))
        for r in rows.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(cells, columns=list(heads))
