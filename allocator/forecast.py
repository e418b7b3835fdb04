"""People and need of a case under a scenario: tracks, small areas, futures, bases, and bands.

What a case gives decides the method: townships are parents of their areas, shares of the census
before carry the drift to the town, two censuses by age carry the cohorts, and the roll of
registered elders is used where it is given. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.demand import Need, NeedRates, estimate_need
from allocator.errors import Finding, InputRefused, Rank, Text, Where, nearest
from allocator.population import (
    AGES_5,
    Move,
    PhaseIn,
    Population,
    ShareHistory,
    SmallAreaMethod,
    Tier,
    Uncertainty,
    VitalRates,
    estimate_ages,
    move,
    registered_only,
    sample_futures,
    small_area_projection,
    stack_tracks,
    variant_futures,
    weakest_mark,
)
from allocator.rules import Floats
from allocator.scenario import OwnWaySpec, PhaseInSpec, PopulationSpec, Scenario, TierSpec

__all__ = [
    "AGE_BANDS",
    "Forecast",
    "base_people",
    "forecast",
    "need_bands",
    "need_of",
    "needs_registered",
    "people_by_age",
    "project",
    "sampled_people",
    "small_area_method",
    "vital_rates",
]

AGE_BANDS = {"all": 0, "60+": 60, "65+": 65, "80+": 80}
"""First age of each band of people that rules and measures speak of."""

BAND_PATHS = 256
BAND_SHARE = 0.8
_CHUNK = 64  # futures projected at once
_PEOPLE = {"all": (0, None), "0-14": (0, 15), "60+": (60, None), "80+": (80, None)}


@dataclass(frozen=True, eq=False)
class Forecast:
    """The people of a case's areas, and what a planner should know of how they came about."""

    population: Population
    findings: tuple[Finding, ...] = ()


def project(case: Case, scenario: Scenario) -> Population:
    """Return the people of the case's areas for the years a scenario needs; see `forecast`."""
    return forecast(case, scenario).population


def forecast(case: Case, scenario: Scenario) -> Forecast:
    """Project residents and, where the case or the roll gives them, registered people.

    Raises
    ------
    InputRefused
        When a place named by the scenario is unknown, rates do not fit, or a year wanted lies
        before the case's people.
    """
    spec = scenario.population
    bases, found = base_people(case, needs_registered(spec))
    launch = min(b.years[-1] for b in bases.values())
    rates = vital_rates(case, scenario, launch)
    method = small_area_method(case, spec)
    ends = {p.to for p in scenario.periods}
    wanted = sorted(ends | {y for y in (scenario.base_year,) if y >= launch})
    parts: dict[str, Population] = {}
    for track, base in bases.items():
        own = (rates, method) if track == "resident" else registered_only(rates, method)
        parts[track], told = _projected(base, *own, wanted)
        found += [f for f in told if f not in found]
    people = next(iter(parts.values()))
    if len(parts) == 2:
        people = stack_tracks(parts["resident"], parts["registered"])
    if spec.moves:
        people = move(people, [Move(m.from_, m.to, m.persons, m.year) for m in spec.moves])
    return Forecast(people, tuple(found))


def needs_registered(spec: PopulationSpec) -> bool:
    """Whether a service counts registered people at any time or place."""
    ways = [(spec.base, spec.phase_in), *((s.base, s.phase_in) for s in spec.services.values())]
    for base, phase in ways:
        own = [] if phase is None else [phase.to, *(w.base for w in phase.places.values())]
        if "registered" in (base, *own):
            return True
    return False


def base_people(
    case: Case, registered: bool = False
) -> tuple[dict[str, Population], list[Finding]]:
    """Return today's people by track, at the last census or at the two last 5 or 10 years apart.

    Elders of the registered track are scaled to the roll of the areas (registered 60+ and 80+)
    unless the track itself was counted. With ``registered`` and no such track, one is made of the
    residents' ages and the roll, and told.
    """
    table, found = case.population, []
    tracks = {}
    for track in sorted(set(table["track"]), key=("resident", "registered").index):
        tracks[track] = _base(case, track)
    roll = _roll(case)
    if "registered" in tracks:
        rows = table[table["track"] == "registered"]
        if roll and set(rows["mark"]) != {"counted"}:
            tracks["registered"] = _with_roll(tracks["registered"], roll, keep_total=True)
    elif registered and roll and "resident" in tracks:
        tracks["registered"] = _with_roll(tracks["resident"], roll, keep_total=False)
        found.append(_made_of_roll())
    return tracks, found


def _base(case: Case, track: str) -> Population:
    table = case.population[case.population["track"] == track]
    years = sorted({int(y) for y in table["year"]})
    taken = years[-1:]
    if len(years) > 1 and years[-1] - years[-2] in (5, 10):
        taken = years[-2:]
    areas = case.region.area_ids
    persons = np.zeros((1, 1, len(areas), len(taken), len(AGES_5), 2))
    table = table[table["year"].isin(taken)]
    i = table["area_id"].map({a: n for n, a in enumerate(areas)}).to_numpy()
    y = table["year"].map({y: n for n, y in enumerate(taken)}).to_numpy()
    a = table["age"].map({a: n for n, a in enumerate(AGES_5)}).to_numpy()
    s = table["sex"].map({"m": 0, "f": 1}).to_numpy()
    np.add.at(persons, (0, 0, i, y, a, s), table["persons"].to_numpy(dtype=float))
    mark = weakest_mark(("modelled", *set(table["mark"])))
    years_held = tuple(taken)
    return Population(places=areas, years=years_held, persons=persons, tracks=(track,), mark=mark)


def _roll(case: Case) -> dict[int, Floats]:
    """Registered persons from 60 and from 80 on by area, NaN where blank; empty without any."""
    areas = case.region.areas
    counts = {a: areas[f"registered_{a}"].to_numpy(dtype=float) for a in (60, 80)}
    return {a: c for a, c in counts.items() if np.isfinite(c).any()}


def _with_roll(people: Population, roll: Mapping[int, Floats], keep_total: bool) -> Population:
    """Scale elders to the roll; the younger fill up the total, or stay as they are."""
    persons = people.persons.copy()
    now = persons[0, 0, :, -1]
    total = now.sum(axis=(1, 2))
    if not keep_total:
        known = np.nan_to_num(roll.get(60, np.full(len(total), np.nan)), nan=-1.0)
        elders = now[:, 12:].sum(axis=(1, 2))
        total = total + np.where(known < 0, 0.0, known - elders)
    persons[0, 0, :, -1] = estimate_ages(total, now, aged=roll)
    mark = weakest_mark((people.mark, "modelled"))
    return replace(people, persons=persons, tracks=("registered",), mark=mark)


def vital_rates(case: Case, scenario: Scenario, launch: int) -> VitalRates:
    """Return the rates of the county, as many futures as the scenario asks for.

    Tables take rows of the case's own id as region where there are any, else those of ``CN``;
    uncertainty those of the case, of ``county``, then of ``CN``. Sampled paths start at the base
    year: what lies before is past and shared.
    """
    spec = scenario.population
    names = ("low", "medium", "high") if spec.futures == "variants" else (spec.variant,)
    mortality, fertility, migration = (
        _own_rows(case.rates, name, case.id) for name in ("mortality", "fertility", "migration")
    )
    made = {
        v: VitalRates.from_tables(mortality, fertility, migration, variant=v, region=case.id)
        for v in names
    }
    rates = made[spec.variant] if len(made) == 1 else variant_futures(made)
    if isinstance(spec.futures, str) or spec.futures == 0:
        return rates
    return _sampled(case, scenario, rates, spec.futures, launch)


def _sampled(
    case: Case, scenario: Scenario, rates: VitalRates, count: int, launch: int
) -> VitalRates:
    table = case.rates["uncertainty"]
    regions = set(table["region"].astype(str))
    region = next((r for r in (case.id, "county") if r in regions), "CN")
    first, last = launch - launch % 5, max(scenario.years)
    periods = rates.at(list(range(first, last + 5, 5)))
    by = Uncertainty.from_table(table, region)
    return sample_futures(periods, by, count, scenario.population.seed, since=scenario.base_year)


def _own_rows(tables: Mapping[str, pd.DataFrame], name: str, region: str) -> pd.DataFrame:
    """Rows of the region, or the nation's in its place."""
    if name not in tables:
        return pd.DataFrame({"region": [], "from_year": [], "variant": [], "net_per_1000": []})
    table = tables[name]
    if "region" not in table.columns:
        return table
    names = table["region"].astype(str)
    own = table[names == (region if (names == region).any() else "CN")]
    if own.empty:
        where = Where(file=f"rates/{name}.csv", column="region", id=region)
        what = Text(f"没有 {region} 或 CN 的行。", f"It has rows neither of {region} nor of CN.")
        remedy = Text("请补充。", "Add them.")
        raise InputRefused((Finding(Rank.ERROR, "unknown-region", where, what, remedy),))
    return own.assign(region=region)


def small_area_method(case: Case, spec: PopulationSpec) -> SmallAreaMethod:
    """Return how places move within the county, from what the case and the scenario give."""
    towns = case.region.townships
    known = set(towns["township_id"])
    lost = [p for p in spec.place_total if p not in known]
    if lost:
        raise _unknown(lost, known, "population.place_total")
    return SmallAreaMethod(
        history=_history(towns) if spec.drift else None,
        parents=dict(case.region.township_of_area),
        county_total=dict(spec.county_total),
        place_total={k: dict(v) for k, v in spec.place_total.items()},
    )


def _history(towns: pd.DataFrame) -> ShareHistory | None:
    """Shares at the census before, and now; those not given share the rest as they do today."""
    if "share_before" not in towns.columns:
        return None
    before = towns["share_before"].to_numpy(dtype=float)
    now = towns["population"].to_numpy(dtype=float)
    given = np.isfinite(before) & (before > 0) & (now > 0)
    if given.sum() < 2:
        return None
    rest = max(100.0 - float(before[given].sum()), 0.0)
    others = ~given & (now > 0)
    if others.any() and rest > 0.5:
        before = np.where(others, rest * now / max(float(now[others].sum()), 1.0), before)
        given |= others
    year = int(towns["year"].max())
    said = towns["year_before"].to_numpy(dtype=float)
    earlier = int(np.nanmin(said)) if np.isfinite(said).any() else year - 10
    if earlier >= year:
        where = Where(file="townships.csv", column="year_before")
        what = Text(f"上次普查年份 {earlier} 不早于 {year}。", f"The census before, {earlier}, is not before {year}.")  # fmt: skip
        remedy = Text("请更正年份。", "Correct the year.")
        raise InputRefused((Finding(Rank.ERROR, "census-years", where, what, remedy),))
    places = tuple(towns["township_id"][given])
    shares = np.stack([before[given] / 100.0, now[given] / now.sum()], axis=1)
    return ShareHistory(places, (earlier, year), shares)


def _projected(
    base: Population, rates: VitalRates, method: SmallAreaMethod, wanted: list[int]
) -> tuple[Population, list[Finding]]:
    """Project in slices of futures, keeping the years wanted alone, so that memory is bounded."""
    found: list[Finding] = []
    parts = []
    for begin in range(0, len(rates.futures), _CHUNK):
        some = rates.part(slice(begin, begin + _CHUNK)) if len(rates.futures) > 1 else rates
        made = small_area_projection(base, some, to=max(wanted), method=method)
        parts.append(made.population.for_years(wanted))
        found += [f for f in made.findings if f.code not in {g.code for g in found}]
    if len(parts) == 1:
        return parts[0], found
    persons = np.concatenate([p.persons for p in parts], axis=1)
    futures, weight = rates.futures, rates.future_weight
    return replace(parts[0], persons=persons, futures=futures, future_weight=weight), found


def need_of(case: Case, scenario: Scenario, population: Population) -> Need:
    """Return the need of a scenario's services in the last year of each period.

    Bases and phase-ins go by service, tiers and places of their own way included; a table
    ``places`` of the rates (place_id, need_factor, living_alone_factor) brings in local surveys by
    township or area.
    """
    spec = scenario.population.started(scenario.base_year)
    areas = case.region.areas
    own = {
        s: (spec.services[s].base, spec.services[s].phase_in)
        if s in spec.services
        else (spec.base, spec.phase_in)
        for s in scenario.services
    }
    lost = sorted(set(spec.services) - set(scenario.services))
    if lost:
        raise _unknown(lost, set(scenario.services), "population.services")
    phases = {s: _phase_in(case, base, phase) for s, (base, phase) in own.items()}
    need = estimate_need(
        population,
        case.need_rates,
        services=scenario.services,
        definition=scenario.need.definition,
        years=[p.to for p in scenario.periods],
        area_class=dict(zip(areas["area_id"], areas["area_class"], strict=True)),
        base={s: base for s, (base, _) in own.items()},
        phase_in={s: p for s, p in phases.items() if p is not None},
        living_alone=_local(case, "living_alone_factor"),
        multiplier=_local(case, "need_factor"),
    )
    factor, eligible = scenario.need.factor, scenario.need.eligible
    share = np.array(
        [
            [factor.get(s, 1.0) * eligible.get(s, {}).get(g, 1.0) for g in need.groups]
            for s in need.services
        ]
    )
    return replace(need, amount=need.amount * share[:, :, None, None])


def _phase_in(case: Case, base: str, phase: PhaseInSpec | None) -> PhaseIn | None:
    if phase is None:
        return None
    assert phase.from_ is not None  # written out by `PopulationSpec.started`
    town = case.region.township_of_area
    lost = [p for p in phase.places if p not in town.index and p not in set(town)]
    if lost:
        raise _unknown(lost, {*town.index, *town}, "population.phase_in.places")
    main = PhaseIn(
        to=phase.to, start=base, since=phase.from_, by=phase.by, tiers=_tiers(phase.tiers)
    )
    overrides: dict[str, PhaseIn] = {}
    for place, way in sorted(phase.places.items(), key=lambda item: item[0] in town.index):
        own = _own_way(way, main)
        overrides |= {
            a: own for a in ([place] if place in town.index else town.index[town == place])
        }
    return replace(main, overrides=overrides)


def _own_way(way: OwnWaySpec, main: PhaseIn) -> PhaseIn:
    if way.base is not None:
        return PhaseIn(to=way.base, start=way.base, since=main.since, by=main.since)
    assert way.by is not None and way.from_ is not None
    return PhaseIn(
        to=main.to, start=main.start, since=way.from_, by=way.by, tiers=_tiers(way.tiers)
    )


def _tiers(tiers: Iterable[TierSpec]) -> tuple[Tier, ...]:
    return tuple(Tier(t.id, t.share, t.from_, t.entitled) for t in tiers)


def _local(case: Case, column: str) -> dict[str, float]:
    """A figure of the table ``places`` by area; an area's own row rules over its township's."""
    table = case.rates.get("places")
    if table is None or column not in table.columns:
        return {}
    town = case.region.township_of_area
    rows = dict(zip(table["place_id"].astype(str), table[column].astype(float), strict=True))
    lost = sorted(set(rows) - set(town.index) - set(town))
    if lost:
        raise _unknown(lost, {*town.index, *town}, "rates/places.csv")
    bad = [p for p, v in rows.items() if not (np.isfinite(v) and v >= 0)]
    if bad:
        what = Text(f"{column} 须为非负数。", f"{column} must be a number of zero or more.")
        remedy = Text("请更正该表。", "Correct the table.")
        where = [Where(file="rates/places.csv", column=column, id=p) for p in bad]
        raise InputRefused(tuple(Finding(Rank.ERROR, "bad-rate", w, what, remedy) for w in where))
    given = {a: rows[t] for a, t in town.items() if t in rows}
    return given | {a: v for a, v in rows.items() if a in town.index}


def people_by_age(population: Population, years: Iterable[int]) -> dict[str, Floats]:
    """Return (area, year) residents by band of `AGE_BANDS`, mean over the futures."""
    picked = population.for_years(years)
    track = picked.tracks.index("resident") if "resident" in picked.tracks else 0
    mean = np.tensordot(picked.future_weight, picked.persons[track], axes=1)  # (i, y, a, s)
    return {name: mean[:, :, low // 5 :].sum(axis=(2, 3)) for name, low in AGE_BANDS.items()}


def sampled_people(case: Case, scenario: Scenario) -> Population:
    """Return the county's people in two classes (town, country) along `BAND_PATHS` sampled paths."""
    rates, areas = case.need_rates, case.region.areas
    classes = {
        a: ("urban", "rural")[rates.area_class(c)]
        for a, c in zip(areas["area_id"], areas["area_class"], strict=True)
    }
    spec = scenario.population
    bases, _ = base_people(case, needs_registered(spec))
    if not needs_registered(spec) and "resident" in bases:
        bases = {"resident": bases["resident"]}
    launch = min(b.years[-1] for b in bases.values())
    alone = scenario.model_copy(update={"population": spec.model_copy(update={"futures": 0})})
    paths = _sampled(case, alone, vital_rates(case, alone, launch), BAND_PATHS, launch)
    method = SmallAreaMethod(county_total=dict(spec.county_total))
    ends = [p.to for p in scenario.periods]
    parts = {}
    for track, base in bases.items():
        one = base.select(years=base.years[-1:]).grouped(classes)
        own, how = (paths, method) if track == "resident" else registered_only(paths, method)
        made = small_area_projection(one, own, to=max(ends), method=how)
        parts[track] = made.population.for_years(ends)
    people = next(iter(parts.values()))
    if len(parts) == 2:
        people = stack_tracks(parts["resident"], parts["registered"])
    return people


def need_bands(
    case: Case,
    scenario: Scenario,
    population: Population,
    need: Need,
    people: Population,
    planned: Mapping[tuple[str, int], float] | None = None,
) -> tuple[pd.DataFrame, Finding]:
    """Return how sure need is: a band by service and by age of the people, and it in words.

    The width of the band of ``people`` (`sampled_people`) relative to its mean is laid on the
    expected figures of the run. Places that go their own way count as the others here.

    Parameters
    ----------
    planned
        Need by (service, year) that the plan reckons with, today's residents of homes among it, so
        that the band stands around the figure of the other tables; None for ``need`` itself.

    Returns
    -------
    Table of year, kind (``service`` or ``people``), id, unit, expected, low, high,
    relative_width, share inside, paths. And the finding ``need-band`` of the last year.
    """
    ends = [p.to for p in scenario.periods]
    rough = _rough_need(scenario, people, case.need_rates)
    rows = []
    for name, (low, high) in _PEOPLE.items():
        expected = population.total(low, high)[0].sum(axis=1)  # (future, year)
        paths_of = people.total(low, high)[0].sum(axis=1)
        for year, values in zip(ends, paths_of.T, strict=True):
            mean = float(population.future_weight @ expected[:, population.years.index(year)])
            rows.append(("people", name, "persons", year, mean, values))
    for service in need.services:
        total, paths_of = need.total(service), rough.total(service)
        for t, year in enumerate(need.years):
            mean = float(need.future_weight @ total[t])
            mean = (planned or {}).get((service, year), mean)
            rows.append(("service", service, need.units[service], year, mean, paths_of[t]))
    table = pd.DataFrame([_band_row(*r) for r in rows])
    return table, _band_finding(case, table)


def _rough_need(scenario: Scenario, people: Population, rates: NeedRates) -> Need:
    spec = scenario.population.started(scenario.base_year)
    bases, phases = {}, {}
    for service in scenario.services:
        own = spec.services.get(service)
        bases[service] = spec.base if own is None else own.base
        phase = spec.phase_in if own is None else own.phase_in
        if phase is not None:
            assert phase.from_ is not None
            phases[service] = PhaseIn(
                to=phase.to, start=bases[service], since=phase.from_, by=phase.by,
                tiers=_tiers(phase.tiers),
            )  # fmt: skip
    return estimate_need(
        people,
        rates,
        services=scenario.services,
        definition=scenario.need.definition,
        years=[p.to for p in scenario.periods],
        area_class={p: p for p in people.places},
        base=bases,
        phase_in=phases,
    )


def _band_row(
    kind: str, name: str, unit: str, year: int, expected: float, paths: Floats
) -> dict[str, object]:
    mean = float(paths.mean())
    low, high = np.quantile(paths, [(1 - BAND_SHARE) / 2, (1 + BAND_SHARE) / 2])
    factor = (low / mean, high / mean) if mean > 0 else (1.0, 1.0)
    return {
        "year": year, "kind": kind, "id": name, "unit": unit, "expected": expected,
        "low": expected * factor[0], "high": expected * factor[1],
        "relative_width": factor[1] - factor[0], "share": BAND_SHARE, "paths": BAND_PATHS,
    }  # fmt: skip


def _band_finding(case: Case, table: pd.DataFrame) -> Finding:
    year = int(table["year"].max())
    half = {
        (str(r["kind"]), str(r["id"])): 50.0 * float(r["relative_width"])
        for r in table[table["year"] == year].to_dict("records")
    }
    names = {s: v.name for s, v in case.catalogue.services.items()}
    shown = [(names.get(i, Text(i, i)), w) for (kind, i), w in half.items() if kind == "service"]
    young, old = half["people", "0-14"], half["people", "60+"]
    zh = "、".join(f"{n.zh} ±{w:.1f}%" for n, w in shown)
    en = ", ".join(f"{n.en} ±{w:.1f} %" for n, w in shown)
    wider = young > old
    return Finding(
        Rank.INFORMATION,
        "need-band",
        Where(id=str(year)),
        Text(
            f"{year} 年需求的 80% 区间:{zh};人口:0–14 岁 ±{young:.1f}%,60 岁以上 ±{old:.1f}%。"
            + ("儿童类需求的区间比老年人宽:老年人已经在世,儿童尚未出生。" if wider else ""),
            f"80 % bands of need in {year}: {en}; of people: ages 0-14 ±{young:.1f} %, 60+ ±{old:.1f} %."
            + (" Children's bands are wider than elders': elders are alive, children are not born." if wider else ""),
        ),
        Text(
            "区间只含生育、死亡和迁移的不确定性,不含失能率和意愿。",
            "Bands hold births, deaths and migration, not the rates of need or willingness.",
        ),
    )  # fmt: skip


def _made_of_roll() -> Finding:
    return Finding(
        Rank.WARNING,
        "registered-from-roll",
        Where(file="areas.csv", column="registered_60"),
        Text(
            "没有户籍分年龄人口:60 岁以上按户籍人数,其余按常住人口。",
            "No registered people by age: elders are the roll's, the younger are the residents.",
        ),
        Text(
            "在 population.csv 中给出 track 为 registered 的行。",
            "Give rows of the track 'registered' in population.csv.",
        ),
    )


def _unknown(names: Iterable[str], known: set[str], where: str) -> InputRefused:
    found = []
    for name in names:
        near = nearest(name, known)
        hint = Text(f"是否指 {near}?", f"Did you mean {near}?") if near else Text("请核对。", "Check the id.")  # fmt: skip
        what = Text(f"没有“{name}”。", f"There is no '{name}'.")
        found.append(Finding(Rank.ERROR, "unknown-place", Where(column=where, id=name), what, hint))
    return InputRefused(tuple(found))
