"""The design of a study: a few lines that stand for many runs.

`Study` is the file format; `expand` returns a `Member` a run, in one fixed order. Equal definitions
give equal scenarios, so equal run ids. All that a study can ask for multiplies: bases, ``changes``,
``axes``, the ``sweep`` of one norm, the points of a ``frontier`` and the draws of ``samples``.
``futures`` puts the plan of each base, as it stands, to what may come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from allocator.errors import Unfit
from allocator.scenario import Note, RuleSpec, Scenario, Title, merged

__all__ = ["Member", "Study", "changed", "expand", "plain_data", "with_rule"]

MOST_MEMBERS = 200_000
IDENTITY = ("service", "area_class", "group", "people", "by", "types", "hubs", "groups", "index")
"""Keys that say which rule is meant; a rule of the same kind and these keys is replaced."""

LESS_IS_TIGHTER = ("budget", "gini", "travel")
"""Limits of a frontier that are ceilings; the others are floors."""

Setting = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Steps(_Strict):
    """Evenly spaced values, both ends included."""

    from_: float = Field(alias="from")
    to: float
    steps: int = Field(ge=2, le=1000)

    @property
    def values(self) -> tuple[float, ...]:
        """The values, to six figures, so that equal definitions give equal ids."""
        return tuple(_six(v) for v in np.linspace(self.from_, self.to, self.steps))


Values = Steps | Annotated[tuple[Any, ...], Field(min_length=1, max_length=10_000)]


class Assumption(_Strict):
    """A named assumption that samples draw: a range (``whole`` numbers or not), or listed values."""

    from_: float | None = Field(default=None, alias="from")
    to: float | None = None
    whole: bool = False
    values: tuple[Any, ...] = ()
    title: Title | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Assumption:
        ranged = self.from_ is not None and self.to is not None
        if ranged == bool(self.values) or (self.from_ is None) != (self.to is None):
            raise Unfit(
                "请写 from 和 to,或写 values,二者取一", "write either from and to, or values"
            )
        return self

    def at(self, q: float) -> Any:
        """Return the value at a share ``q`` in [0, 1) of the range."""
        if self.values:
            return self.values[int(q * len(self.values))]
        assert self.from_ is not None and self.to is not None
        if self.whole:
            low, high = round(self.from_), round(self.to)
            return low + int(q * (high - low + 1))
        return _six(self.from_ + q * (self.to - self.from_))


class Samples(_Strict):
    """A Latin hypercube: ``count`` draws, each range cut into as many strata, one draw a stratum.

    Source: McKay, Beckman, Conover (1979). Keys of ``over`` are those of `changed`.
    """

    count: int = Field(ge=2, le=10_000)
    seed: int = Field(default=1, ge=0)
    over: dict[str, Assumption] = Field(min_length=1)


class Sweep(_Strict):
    """One norm over a range: the ``rule`` as in a scenario, and the key ``of`` it that varies."""

    rule: dict[str, dict[str, Any]] = Field(min_length=1, max_length=1)
    of: str = "share"
    values: Values


class Limit(_Strict):
    """A limit of a frontier that is a rule of a service."""

    service: str = "elderly.resident"
    values: Values


class CoverageLimit(Limit):
    """A share of people within the minutes of an open offer, as a hard rule."""

    service: str = "elderly.day"
    within_minutes: float = Field(gt=0)
    area_class: str | None = None
    people: Literal["all", "60+", "65+", "80+"] = "60+"


class Frontier(_Strict):
    """Limits crossed with one another (epsilon-constraint): each point is a run under all of them.

    ``budget`` is capital over all periods in yuan, split among them as in the base; ``coverage`` a
    potential share; ``floor`` the least served share of any township; ``gini`` the index of
    townships' served shares; ``travel`` the mean minutes of those served.
    Points that differ in the first of these limits alone go from the loosest to the
    tightest: a plan that keeps the next tighter limit too is its plan, and is not sought again.
    Source: Haimes, Lasdon, Wismer (1971).
    """

    budget: Values | None = None
    coverage: CoverageLimit | None = None
    floor: Limit | None = None
    gini: Limit | None = None
    travel: Limit | None = None

    @model_validator(mode="after")
    def _some(self) -> Frontier:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            raise Unfit("frontier 至少要有一项限额:budget、coverage、floor、gini 或 travel", "a frontier has at least one limit: budget, coverage, floor, gini or travel")  # fmt: skip
        return self


class Futures(_Strict):
    """What may come: changes crossed with axes and samples; each is one future.

    ``replan`` also solves every base freely in every future: the best of all is what regret is
    measured against.
    """

    axes: dict[str, Values] = Field(default_factory=dict)
    changes: tuple[dict[str, Any], ...] = ()
    samples: Samples | None = None
    replan: bool = True


class Study(_Strict):
    """Many runs from few lines; see the module for what multiplies what.

    ``axes`` maps a key of the scenario (``placement``, ``need.flatten``,
    ``resources.capital.supply.2026``, ``rules[4].coverage.share``, or ``budget``) to the values it
    takes; ``changes`` lists overrides, each may have a ``name``; ``rules`` of a change replaces the
    base's, ``more_rules`` stands beside them. ``cases`` names case folders (``*``:
    all), each run through the whole study. ``chosen`` is the run marked in charts.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: Title
    note: Note | None = None
    cases: tuple[str, ...] = ()
    base: tuple[str, ...] = Field(min_length=1)
    axes: dict[str, Values] = Field(default_factory=dict)
    changes: tuple[dict[str, Any], ...] = ()
    sweep: Sweep | None = None
    frontier: Frontier | None = None
    samples: Samples | None = None
    futures: Futures | None = None
    chosen: str | None = None

    @model_validator(mode="after")
    def _alone(self) -> Study:
        if self.futures is not None and (
            self.axes or self.changes or self.sweep or self.frontier or self.samples
        ):
            raise Unfit("futures 只能与 base 并列;axes、changes、samples 请写在 futures 之内", "futures stand beside base alone: write axes, changes, samples inside futures")  # fmt: skip
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run that a study stands for.

    Parameters
    ----------
    name
        Unique in the study; the scenario bears it too.
    settings
        What was set, by the name of the axis: the columns of the study's table.
    case
        Case folder; blank where the study runs one case.
    follows
        Member whose plan is kept as it stands (`run.follow`); blank where the run plans itself.
    looser
        Member that differs in one looser limit, looked at before this is solved (`run.looser`);
        blank where there is none.
    role
        ``run``; in a study of futures ``plan``, ``fixed`` or ``replanned``.
    """

    name: str
    scenario: Scenario
    settings: Mapping[str, Any] = field(default_factory=dict)
    case: str = ""
    follows: str = ""
    looser: str = ""
    role: str = "run"


def expand(
    study: Study, scenarios: Mapping[str, Scenario], cases: Sequence[str] = ("",)
) -> tuple[Member, ...]:
    """Return every member of a study, in order.

    Names are the base's, with ``-01``, ``-02`` ... where there are several.

    Raises
    ------
    ValueError
        When a changed scenario does not hold, a key leads nowhere, or there are too many members.
    """
    made = _futures(study, scenarios) if study.futures is not None else _crossed(study, scenarios)
    members = _with_looser(study, _named(list(made)))
    if len(members) * len(cases) > MOST_MEMBERS:
        raise _too_many(len(members))
    names = {m.name for m in members}
    if study.chosen is not None and study.chosen not in names:
        few = ", ".join(sorted(names)[:3])
        raise Unfit(f"chosen:研究中没有名为“{study.chosen}”的运行;运行名如 {few}", f"chosen names no run of the study: {study.chosen}; names are such as {few}")  # fmt: skip
    return tuple(replace(m, case=case) for case in cases for m in members)


def _crossed(study: Study, scenarios: Mapping[str, Scenario]) -> Iterator[Member]:
    parts = [_listed(study.changes), *_axes(study.axes), _swept(study.sweep)]
    parts += [*_limits(study.frontier), _drawn(study.samples)]
    count = len(study.base) * int(np.prod([float(len(p)) for p in parts]))
    if count > MOST_MEMBERS:
        raise _too_many(count)
    for base in study.base:
        for pick in product(*parts):
            yield _member(base, scenarios[base], pick)


def _with_looser(study: Study, members: list[Member]) -> list[Member]:
    """Return members of a frontier with the next looser one by its first limit."""
    if study.frontier is None:
        return members
    limit = next(n for n in type(study.frontier).model_fields if getattr(study.frontier, n) is not None)  # fmt: skip
    chains: dict[str, list[int]] = {}
    for n, m in enumerate(members):
        rest = {k: v for k, v in m.settings.items() if k != limit}
        chains.setdefault(repr(rest), []).append(n)
    sign = -1.0 if limit in LESS_IS_TIGHTER else 1.0
    found = list(members)
    for chain in chains.values():
        chain.sort(key=lambda n: (sign * members[n].settings[limit], n))
        for before, n in pairwise(chain):
            found[n] = replace(members[n], looser=members[before].name)
    return found


def _futures(study: Study, scenarios: Mapping[str, Scenario]) -> Iterator[Member]:
    assert study.futures is not None
    of = study.futures
    futures = list(product(_listed(of.changes), *_axes(of.axes), _drawn(of.samples)))
    for base in study.base:
        as_planned = {"base": base, "future": "as-planned"}
        yield Member(name=base, scenario=scenarios[base], settings=as_planned, role="plan")
    for number, pick in enumerate(futures, 1):
        names = [s["change"] for s, _ in pick if isinstance(s.get("change"), str)]
        future = names[0] if len(futures) == len(of.changes) and names else f"{number:03d}"
        for base in study.base:
            one = _member(base, scenarios[base], pick)
            settings = {**one.settings, "future": future}
            yield replace(one, settings=settings, follows=base, role="fixed")
            if of.replan:
                yield replace(one, settings=settings, role="replanned")


Step = tuple[Setting, tuple[tuple[str, Any], ...]]
"""What a step is called in the table, and the (key, value) it changes; key blank: merged whole."""


def _member(base: str, scenario: Scenario, pick: Sequence[Step]) -> Member:
    data = plain_data(scenario)
    settings: Setting = {"base": base}
    for called, changes in pick:
        settings |= called
        for key, value in changes:
            if key == "" and isinstance(value, Mapping):
                plain = _keyed(value)
                more = plain.pop("more_rules", ())
                data = merged(data, plain)
                if more:
                    data["rules"] = [*data.get("rules", ()), *more]
            elif key == "rule":
                data = with_rule(data, *value)
            else:
                data = changed(data, key, value)
    return Member(name=base, scenario=Scenario.model_validate(data), settings=settings)


def _listed(changes: Sequence[Mapping[str, Any]]) -> list[Step]:
    found: list[Step] = []
    for number, change in enumerate(changes, 1):
        name = str(change.get("name", number))
        found.append(({"change": name}, (("", {k: v for k, v in change.items() if k != "name"}),)))
    return found or [({}, ())]


def _axes(axes: Mapping[str, Values]) -> list[list[Step]]:
    return [[({key: v}, ((key, v),)) for v in _values(values)] for key, values in axes.items()]


def _swept(sweep: Sweep | None) -> list[Step]:
    if sweep is None:
        return [({}, ())]
    [(kind, spec)] = sweep.rule.items()
    return [
        ({f"{kind}.{sweep.of}": v}, (("rule", (kind, {**spec, sweep.of: v})),))
        for v in _values(sweep.values)
    ]


def _limits(frontier: Frontier | None) -> list[list[Step]]:
    if frontier is None:
        return []
    found: list[list[Step]] = []
    if frontier.budget is not None:
        found.append([({"budget": v}, (("budget", v),)) for v in _values(frontier.budget)])
    if frontier.coverage is not None:
        spec = frontier.coverage.model_dump(exclude={"values"}, exclude_none=True)
        found.append(_hard("coverage", "coverage", spec, "share", frontier.coverage.values))
    if frontier.floor is not None:
        spec = {"service": frontier.floor.service, "by": "township"}
        found.append(_hard("floor", "served", spec, "share", frontier.floor.values))
    if frontier.gini is not None:
        spec = {"service": frontier.gini.service, "index": "gini"}
        found.append(_ruled("gini", "even", spec, "at_most", frontier.gini.values))
    if frontier.travel is not None:
        spec = {"service": frontier.travel.service}
        found.append(_ruled("travel", "travel", spec, "at_most_minutes", frontier.travel.values))
    return found


def _hard(name: str, kind: str, spec: Setting, of: str, values: Values) -> list[Step]:
    """Return the steps of a limit that might be priced: a hard rule with each value."""
    return _ruled(name, kind, {**spec, "hard": True}, of, values)


def _ruled(name: str, kind: str, spec: Setting, of: str, values: Values) -> list[Step]:
    """Return the steps of a limit: a rule with each value."""
    return [({name: v}, (("rule", (kind, {**spec, of: v})),)) for v in _values(values)]


def _drawn(samples: Samples | None) -> list[Step]:
    if samples is None:
        return [({}, ())]
    keys = sorted(samples.over)
    draws = _hypercube(len(keys), samples.count, samples.seed)
    found: list[Step] = []
    for number, row in enumerate(draws, 1):
        values = {k: samples.over[k].at(float(q)) for k, q in zip(keys, row, strict=True)}
        found.append(({"sample": number, **values}, tuple(values.items())))
    return found


def _hypercube(dimensions: int, count: int, seed: int) -> np.ndarray:
    """(count, dimensions) shares in [0, 1), one in each of ``count`` strata of every dimension."""
    random = np.random.default_rng(seed)
    strata = np.column_stack([random.permutation(count) for _ in range(dimensions)])
    inside = random.random((count, dimensions))
    return np.asarray(np.minimum((strata + inside) / count, np.nextafter(1.0, 0.0)))


def changed(data: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the plain data of a scenario with one key set.

    Keys are joined by dots; ``[3]`` takes the third of a list, ``[elderly.day]`` a key that itself
    holds a dot. ``budget`` sets capital over all periods, yuan, split among them as before.

    Raises
    ------
    ValueError
        When the key leads into something that is no mapping, or past the end of a list.
    """
    if key == "budget":
        supply = data["resources"]["capital"]["supply"]
        amounts = {year: float(v) for year, v in supply.items() if v != "unlimited"}
        total = sum(amounts.values())
        if len(amounts) < len(supply) or total <= 0 or total >= 1e29:
            raise Unfit("budget 要求基础情景的建设资金(resources.capital.supply)各期都有限额", "budget needs a base whose capital is limited in every period")  # fmt: skip
        split = {year: _six(v / total * float(value)) for year, v in amounts.items()}
        return changed(data, "resources.capital.supply", split)
    return dict(_set(data, _steps(key), value, key))


def with_rule(data: Mapping[str, Any], kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a scenario with a rule in the place of the one alike, or added last."""
    rules = [dict(r) for r in data.get("rules", ())]

    wanted = _meant(kind, spec)
    alike = (n for n, r in enumerate(rules) if kind in r and _meant(kind, r[kind]) == wanted)
    at = next(alike, None)
    if at is None:
        rules.append({kind: dict(spec)})
    else:
        rules[at] = {kind: {**rules[at][kind], **spec}}
    return {**data, "rules": rules}


def _meant(kind: str, spec: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what a rule is about, defaults filled in."""
    rule = RuleSpec.model_validate({kind: dict(spec)}).value
    return tuple(getattr(rule, k, None) for k in IDENTITY)


def _set(data: Any, steps: Sequence[str | int], value: Any, key: str) -> Any:
    if not steps:
        both = isinstance(data, Mapping) and isinstance(value, Mapping)
        return merged(data, _keyed(value)) if both else value
    first, rest = steps[0], steps[1:]
    if isinstance(first, int):
        if not isinstance(data, list | tuple) or not 1 <= first <= len(data):
            raise Unfit(f"{key}:没有第 {first} 项;编号从 1 起", f"{key}: there is no number {first}; numbers start at 1")  # fmt: skip
        items = list(data)
        items[first - 1] = _set(items[first - 1], rest, value, key)
        return items
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise Unfit(f"{key}:{first} 的上一级不是“键: 值”", f"{key}: {first} lies in something that is no mapping")  # fmt: skip
    return {**data, first: _set(data.get(first), rest, value, key)}


def _steps(key: str) -> list[str | int]:
    """Return ``["rules", 4, "coverage"]`` of ``rules[4].coverage``."""
    found: list[str | int] = []
    rest = key
    while rest:
        if rest.startswith("["):
            inner, closed, rest = rest[1:].partition("]")
            if not closed or not inner:
                raise Unfit(f"{key}:方括号没有闭合", f"{key}: a bracket is not closed")  # fmt: skip
            found.append(int(inner) if inner.isdigit() else inner)
        else:
            cut = min((n for n in (rest.find("."), rest.find("[")) if n >= 0), default=len(rest))
            found.append(rest[:cut])
            rest = rest[cut:]
        rest = rest.removeprefix(".")
    if not found or "" in found:
        raise Unfit(f"“{key}”不是情景的键", f"{key!r} is no key of a scenario")
    return found


def _named(members: list[Member]) -> list[Member]:
    """Number the names that occur more than once."""
    total: dict[str, int] = {}
    for m in members:
        total[m.name] = total.get(m.name, 0) + 1
    count: dict[str, int] = {}
    named = []
    for m in members:
        name = m.name
        if total[name] > 1 and m.role != "plan":
            count[name] = count.get(name, 0) + 1
            digits = max(2, len(str(total[name])))
            suffix = f"-{count[name]:0{digits}d}"
            name = name[: 64 - len(suffix)] + suffix
        named.append(replace(m, name=name, scenario=m.scenario.model_copy(update={"name": name})))
    if len({m.name for m in named}) < len(named):
        raise Unfit("研究中有两次运行会同名:请缩短 base 中情景的名称", "two runs of the study would bear the same name: shorten names of bases")  # fmt: skip
    return named


def plain_data(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as its file would hold it: what was written, and no defaults."""
    return scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _keyed(value: Any) -> Any:
    """Return nested mappings with text keys, as the plain data of a scenario has them."""
    if isinstance(value, Mapping):
        return {str(k): _keyed(v) for k, v in value.items()}
    return value


def _values(values: Values) -> tuple[Any, ...]:
    return values.values if isinstance(values, Steps) else values


def _six(value: float) -> float:
    """Round to six figures: what is written in a file, and what an id is made from."""
    return float(f"{float(value):.6g}")


def _too_many(count: int) -> Unfit:
    return Unfit(
        f"一项研究至多 {MOST_MEMBERS:,} 次运行,这里有 {count:,} 次;请减少取值或样本",
        f"a study has at most {MOST_MEMBERS:,} runs, not {count:,}: take fewer values or samples",
    )
