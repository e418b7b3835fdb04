"""Townships and villages, controlled to their county.

The county is projected by cohort components. Every place is aged with the county's rates, brought
to its own total by migrants of the model age profile, and raked to the county by age and sex, so
the places sum to the county in every year. What was raked, and by how much, is kept.

Sources: Smith, Tayman, Swanson (2013) ch. 7-10; Hamilton, Perry (1962); Swanson, Schlottmann,
Schmidt (2010); Hauer (2019) *Scientific Data* 6:190005 for ratios and differences of cohorts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.population.cohort import Projection, project, step
from allocator.population.lifetable import Survival, life_table, survival
from allocator.population.people import MARKS, Population, stack_tracks, unknown, weakest_mark
from allocator.population.raking import control, rake
from allocator.population.rates import VitalRates

__all__ = [
    "ShareHistory",
    "SmallAreaMethod",
    "SmallAreaProjection",
    "drifted_totals",
    "estimate_ages",
    "hamilton_perry",
    "project_county",
    "project_small_areas",
    "registered_only",
    "share_of_growth",
    "small_area_chunks",
    "small_area_projection",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShareHistory:
    """Shares of places in their county at two or more censuses, which carry the drift to the town.

    Parameters
    ----------
    places
        Area ids; those of the base, or their parents.
    years
        Census years, ascending.
    shares
        (place, year) shares or totals; normed to sum 1 a year.
    """

    places: tuple[str, ...]
    years: tuple[int, ...]
    shares: Floats

    def __post_init__(self) -> None:
        if self.shares.shape != (len(self.places), len(self.years)) or len(self.years) < 2:
            raise ValueError("shares must be (place, year) with two or more years")
        if not (self.shares > 0).all():
            raise ValueError("shares must be positive; leave out places that are not known")

    @property
    def drift(self) -> Floats:
        """(place,) yearly change of the log share between the last two censuses."""
        normed = self.shares / self.shares.sum(axis=0)
        span = self.years[-1] - self.years[-2]
        return np.asarray(np.log(normed[:, -1] / normed[:, -2]) / span)


@dataclass(frozen=True, eq=False, kw_only=True)
class SmallAreaMethod:
    """How places within a county move.

    Parameters
    ----------
    history
        Shares at past censuses; None leaves the places to their own age structure.
    parents
        Parent (township) of every place (village); then history and totals are of the parents,
        parents are controlled to the county and places to their parents.
    half_life_years
        Years after which the yearly drift of log shares is half: drift does not go on for ever.
    drift_cap
        Largest yearly drift of a log share, either way.
    county_total
        Total of the county by year (province or plan control), linear between; empty: as projected.
    place_total
        Totals of single places (or parents) by year, such as a resettlement community or a result
        of `share_of_growth`, linear from the base and held after; the others share the rest.
    ratio_cap
        Largest cohort-change ratio of a place relative to its county's, and the smallest inverse.
    """

    history: ShareHistory | None = None
    parents: Mapping[str, str] | None = None
    half_life_years: float = 10.0
    drift_cap: float = 0.05
    county_total: Mapping[int, float] = field(default_factory=dict)
    place_total: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    ratio_cap: float = 2.0


@dataclass(frozen=True, eq=False)
class SmallAreaProjection:
    """A projection of places and everything that shows how it came about.

    Parameters
    ----------
    population
        The places at every fifth year from the base.
    county
        The county's projection, leading axis of futures.
    place_factor
        (step, future, place) fitted over seed, by which places were raked.
    cell_factor
        (step, future, age x sex) the same for the county's cells.
    findings
        What a planner should know: large factors, held rates, modelled ages.
    """

    population: Population
    county: Projection
    place_factor: Floats
    cell_factor: Floats
    findings: tuple[Finding, ...] = ()


def drifted_totals(now: Floats, drift: Floats, years: float, method: SmallAreaMethod) -> Floats:
    """Return shares of places after some years of damped drift; they sum to 1.

    Parameters
    ----------
    now
        (..., place) totals or shares at the start.
    drift
        (place,) yearly change of the log share.
    years
        Years since the start of the drift.
    """
    decay = np.log(2.0) / method.half_life_years
    reach = (1.0 - np.exp(-decay * years)) / decay
    moved = now * np.exp(np.clip(drift, -method.drift_cap, method.drift_cap) * reach)
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True))


def share_of_growth(before: Floats, now: Floats, whole: Floats | float) -> Floats:
    """Share-of-growth totals: each place takes its past share of the county's change.

    The plus-minus rule keeps a growing place from falling when county growth turns: gains and
    losses are scaled apart (Akers, Siegel 1965), and no place goes below zero.

    Parameters
    ----------
    before, now
        (place,) totals at two past dates.
    whole
        Total of the county at the wanted date.
    """
    change = now - before
    gap = float(whole) - float(now.sum()) - float(change.sum())
    size = np.abs(change)
    weight = size / size.sum() if size.sum() > 0 else now / now.sum()
    moved = np.maximum(now + change + gap * weight, 0.0)
    return np.asarray(moved * float(whole) / moved.sum())


def hamilton_perry(
    before: Floats, now: Floats, interval: int, ratios: Floats, cap: float = 2.0
) -> Floats:
    """Constrained Hamilton-Perry seed of the next five years for each place.

    The change of a cohort in a place since the last census, relative to the county's, goes on:
    as a ratio where the cohort grew against the county, as a difference where it shrank or grew
    by more than ``cap`` (a ratio would explode there); never below zero.

    Parameters
    ----------
    before, now
        (place, age, sex) at two censuses ``interval`` (5 or 10) years apart.
    interval
        Years between the censuses.
    ratios
        (..., age, sex) the county's cohort-change ratios over the next five years: group a+1 at
        the end over group a at the start; the last two entries are the open group's.
    cap
        Largest ratio of a place's cohort change to the county's; its inverse is the smallest.

    Returns
    -------
    (..., place, age, sex) seed; the youngest group follows the child-woman ratio of the place.
    """
    if interval not in (5, 10):
        raise ValueError(f"censuses 5 or 10 years apart, not {interval}")
    jump = interval // 5
    past, present = before[..., : 20 - jump, :], now[..., jump:20, :]
    whole_past, whole_now = past.sum(axis=0), present.sum(axis=0)
    county = np.divide(whole_now, whole_past, out=np.ones_like(whole_now), where=whole_past > 0)
    expected = past * county
    relative = np.divide(present, expected, out=np.ones_like(expected), where=expected > 0)
    factor = np.ones_like(now)
    difference = np.zeros_like(now)
    cohort = slice(jump - 1, 19)  # groups of today whose next step repeats the last change
    ratio_ok = (relative >= 1.0) & (relative <= cap)
    factor[..., cohort, :] = np.where(ratio_ok, relative ** (1.0 / jump), 1.0)
    bounded = np.clip(relative, 1.0 / cap, cap) * expected - expected
    difference[..., cohort, :] = np.where(ratio_ok, 0.0, bounded / jump)
    moved = now * factor * ratios[..., None, :, :] + difference
    aged = np.zeros_like(moved)
    aged[..., 1:, :] = moved[..., :-1, :]
    aged[..., -1, :] += moved[..., -1, :]
    women = np.maximum(now[..., 3:10, 1].sum(axis=-1), 1e-9)
    ratio = now[..., 0, :] / women[..., None]
    aged[..., 0, :] = ratio * aged[..., 3:10, 1].sum(axis=-1)[..., None]
    return np.asarray(np.maximum(aged, 0.0))


def estimate_ages(
    totals: Floats,
    donor: Floats,
    *,
    county: Floats | None = None,
    aged: Mapping[int, Floats] | None = None,
) -> Floats:
    """Age and sex of places that only have totals; the result is always modelled.

    Parameters
    ----------
    totals
        (place,) persons.
    donor
        (age, sex) or (place, age, sex) pattern of a like place or of the county.
    county
        (age, sex) counts the places must sum to; None: not controlled.
    aged
        Persons at and above an age (60, 80 ...) by place, such as registered 60+ and 80+ counts
        by village; NaN where unknown. Each open interval between the ages is scaled to them.

    Returns
    -------
    (place, age, sex) persons that sum to the totals.
    """
    totals = np.asarray(totals, dtype=float)
    seed = np.broadcast_to(donor, (len(totals), *np.shape(donor)[-2:])).astype(float)
    seed = seed / np.maximum(seed.sum(axis=(-2, -1), keepdims=True), 1e-12)
    seed = seed * totals[:, None, None]
    if aged:
        seed = _scale_to_aged(
            seed, totals, {k: np.asarray(v, dtype=float) for k, v in aged.items()}
        )
    if county is None:
        return seed
    flat = seed.reshape(len(totals), -1)
    return rake(flat, totals, np.asarray(county, dtype=float).reshape(-1)).table.reshape(seed.shape)


def _scale_to_aged(seed: Floats, totals: Floats, aged: Mapping[int, Floats]) -> Floats:
    """Scale the age intervals of each place so that persons at and above each age are as given."""
    bounds = [0, *sorted(aged)]
    over = {0: totals}
    for age in bounds[1:]:
        modelled = seed[:, age // 5 :].sum(axis=(1, 2))
        over[age] = np.minimum(
            np.where(np.isnan(aged[age]), modelled, aged[age]), over[bounds[bounds.index(age) - 1]]
        )
    out = seed.copy()
    for low, high in zip(bounds, [*bounds[1:], None], strict=True):
        part = slice(low // 5, None if high is None else high // 5)
        want = over[low] - (0.0 if high is None else over[high])
        have = seed[:, part].sum(axis=(1, 2))
        scale = np.divide(want, have, out=np.zeros_like(have), where=have > 0)
        out[:, part] = seed[:, part] * scale[:, None, None]
    return out


def project_small_areas(
    base: Population,
    rates: VitalRates,
    *,
    to: int,
    years: Sequence[int] | None = None,
    method: SmallAreaMethod | None = None,
    registered: tuple[VitalRates, SmallAreaMethod] | None = None,
) -> Population:
    """Project places to a year, controlled to their county; see `small_area_projection`.

    Parameters
    ----------
    base
        Persons at one base year, or at two censuses 5 or 10 years apart (then cohort changes of
        the places go on, Hamilton-Perry). The last year is where the projection starts.
    rates
        The county's rates, one future or many.
    to
        Last year wanted; steps are of five years, years between are interpolated.
    years
        Years of the result; by default every fifth year from the base, and ``to``.
    method
        Drift, controls and caps.
    registered
        Rates and method of a second, registered track; by default the same births and deaths, no
        net migration (registration stays where people leave) and no drift.
    """
    method = method or SmallAreaMethod()
    result = small_area_projection(base, rates, to=to, method=method).population
    if len(base.tracks) > 1:
        own, how = registered or registered_only(rates, method)
        second = base.select(track=base.tracks[1])
        other = small_area_projection(second, own, to=to, method=how).population
        result = stack_tracks(result, other)
    launch = base.years[-1]
    wanted = years or sorted({*(y for y in result.years if y <= to), launch, to})
    return result.for_years(wanted)


def registered_only(
    rates: VitalRates, method: SmallAreaMethod
) -> tuple[VitalRates, SmallAreaMethod]:
    """Return rates and method of registered people: no net migration, no drift, no totals.

    Registration stays where people leave, and drift and plan totals are those of residents.
    """
    closed = replace(rates, net_rate=np.zeros_like(rates.net_rate))
    return closed, replace(method, history=None, county_total={}, place_total={})


def small_area_projection(
    base: Population,
    rates: VitalRates,
    *,
    to: int,
    method: SmallAreaMethod | None = None,
) -> SmallAreaProjection:
    """Project the first track of places and keep county, factors and findings.

    Arguments as `project_small_areas`, which projects a second track too.
    """
    method = method or SmallAreaMethod()
    launch = base.years[-1]
    if to < launch:
        raise _refuse("year-before-base", f"{to}", f"早于基年 {launch}。", f"lies before {launch}.")
    steps = max(1, -(-(to - launch) // 5))
    starts = [launch + 5 * k for k in range(steps)]
    now = base.persons[0, :, :, -1]
    here = rates.at(starts)
    alive = survival(life_table(here.mx))
    county = project_county(
        now.sum(axis=1), rates, launch=launch, to=to, county_total=method.county_total
    )
    groups = _Groups.of(base.places, method, float(now.sum() / len(now)))
    interval = base.years[-1] - base.years[-2] if len(base.years) > 1 else 0
    before = base.persons[0, :, :, -2] if interval in (5, 10) else None
    count = county.persons.shape[1]
    place = np.broadcast_to(now, (count, *now.shape[1:]))
    path = [place]
    place_factor, cell_factor = [], []
    shares = groups.totals(place)
    for t in range(steps):
        ratios = Survival(5, alive.birth[t][:, None], alive.ages[t][:, None])
        srb, fertility = float(here.srb[t]), here.fertility[t][:, None]
        if before is not None:
            cohort = _county_ratios(county.persons[t], county.persons[t + 1])
            seed = np.stack(
                [
                    hamilton_perry(
                        before[min(w, len(before) - 1)],
                        place[w],
                        interval,
                        cohort[w],
                        method.ratio_cap,
                    )
                    for w in range(count)
                ]
            )
        else:
            net = _local_migrants(place, here.net_rate[t], here.profile)
            seed = step(place, ratios, fertility, srb, net)[0]
        cells = county.persons[t + 1].reshape(count, -1)
        total = cells.sum(axis=-1, keepdims=True)
        when = launch, launch + 5 * (t + 1)
        wanted = groups.wanted(shares, seed, total, when, method)
        if groups.drift is not None or method.place_total:
            seed = _bring_to(seed, wanted, groups, here.profile)
        group_seed = groups.sum(seed)
        fitted = rake(group_seed.reshape(*group_seed.shape[:2], -1), wanted, cells)
        place = groups.spread(seed, fitted.table.reshape(group_seed.shape))
        path.append(place)
        before, interval = (None, 0) if before is None else (path[-2], 5)
        place_factor.append(fitted.place_factor)
        cell_factor.append(fitted.cell_factor)
    population = Population(
        places=base.places,
        years=(launch, *(y + 5 for y in starts)),
        persons=np.stack(path, axis=2)[None],
        tracks=base.tracks[:1],
        futures=rates.futures if count > 1 else ("expected",),
        future_weight=rates.future_weight if count > 1 else np.ones(1),
        mark=weakest_mark((base.mark, rates.mark, MARKS[1])),
    )
    factors = np.stack(place_factor), np.stack(cell_factor)
    return SmallAreaProjection(
        population, county, *factors, _findings(factors[0], groups, rates, starts)
    )


def small_area_chunks(
    base: Population,
    rates: VitalRates,
    *,
    to: int,
    method: SmallAreaMethod | None = None,
    futures: int = 64,
) -> Iterator[SmallAreaProjection]:
    """Project in slices of ``futures`` futures, so that memory does not grow with their number.

    Weights within a slice are those of the whole divided by the slice's sum. Other arguments as
    `project_small_areas`; base with one future.
    """
    for begin in range(0, len(rates.futures), futures):
        part = rates.part(slice(begin, begin + futures))
        yield small_area_projection(base, part, to=to, method=method)


@dataclass(frozen=True, eq=False)
class _Groups:
    """The level at which totals are controlled: parents, or the places themselves."""

    names: tuple[str, ...]
    row: npt.NDArray[np.intp]
    drift: Floats | None
    base_total: float

    @classmethod
    def of(cls, places: tuple[str, ...], method: SmallAreaMethod, base_total: float) -> _Groups:
        of_place = [method.parents[p] if method.parents else p for p in places]
        names = tuple(sorted(set(of_place)))
        row = np.array([names.index(p) for p in of_place])
        listed = [*method.place_total]
        if method.history is not None and not set(names) & set(method.history.places):
            listed.append(method.history.places[0])
        for name in listed:
            if name not in names:
                raise unknown("place", "地区", name, names, "unknown-place")
        if method.history is None:
            return cls(names, row, None, base_total)
        known = dict(zip(method.history.places, method.history.drift, strict=True))
        return cls(names, row, np.array([known.get(n, 0.0) for n in names]), base_total)

    def sum(self, persons: Floats) -> Floats:
        """Sum (future, place, age, sex) to (future, group, age, sex)."""
        if len(self.names) == persons.shape[1]:
            return np.ascontiguousarray(persons[:, np.argsort(self.row)])
        out = np.zeros((persons.shape[0], len(self.names), *persons.shape[2:]))
        for g in range(len(self.names)):
            out[:, g] = persons[:, self.row == g].sum(axis=1)
        return out

    def totals(self, persons: Floats) -> Floats:
        """Return (future, group) shares of the county."""
        total = self.sum(persons).sum(axis=(-2, -1))
        return np.asarray(total / np.maximum(total.sum(axis=-1, keepdims=True), 1e-12))

    def wanted(
        self,
        start: Floats,
        seed: Floats,
        county: Floats,
        when: tuple[int, int],
        method: SmallAreaMethod,
    ) -> Floats:
        """Return (future, group) totals wanted in a year, summing to the county's.

        ``start`` are the shares at launch, ``county`` the (future, 1) total, ``when`` the launch
        and the year.
        """
        launch, year = when
        if self.drift is None:
            shares = self.totals(seed)
        else:
            shares = drifted_totals(start, self.drift, float(year - launch), method)
        totals = shares * county
        if not method.place_total:
            return np.asarray(totals)
        given = np.array([n in method.place_total for n in self.names])
        for g in np.flatnonzero(given):
            path = method.place_total[self.names[g]]
            years = sorted(path)
            first = start[:, g] * float(self.base_total)
            at = [np.interp(year, [launch, *years], [f, *(path[y] for y in years)]) for f in first]
            totals[:, g] = at
        rest = county[:, 0] - totals[:, given].sum(axis=1)
        others = totals[:, ~given].sum(axis=1)
        factor = np.maximum(rest, 0.0) / np.maximum(others, 1e-12)
        totals[:, ~given] *= factor[:, None]
        return np.asarray(totals)

    def spread(self, seed: Floats, fitted: Floats) -> Floats:
        """Control places to their fitted groups, cell by cell."""
        out = np.empty_like(seed)
        for g in range(len(self.names)):
            mine = self.row == g
            parts = np.moveaxis(seed[:, mine], 1, 0)
            out[:, mine] = np.moveaxis(control(parts, fitted[:, g]), 0, 1)
        return out


def project_county(
    base: Floats,
    rates: VitalRates,
    *,
    launch: int,
    to: int,
    county_total: Mapping[int, float] | None = None,
) -> Projection:
    """Project one region for every future of its rates.

    Parameters
    ----------
    base
        (future or 1, age, sex) persons in the year ``launch``.
    rates
        Its rates, one future or many.
    launch, to
        First and last year; steps are of five years and reach ``to`` or beyond.
    county_total
        Totals by year, linear between, which net migration is made to reach; after the last
        given year the rates rule again.
    """
    steps = max(1, -(-(to - launch) // 5))
    here = rates.at([launch + 5 * k for k in range(steps)])
    alive = survival(life_table(here.mx))
    count = len(rates.futures)
    now = np.broadcast_to(base, (count, *base.shape[-2:]))
    parts = []
    years = sorted(county_total or {})
    totals = [(county_total or {})[y] for y in years]
    first = float(base.sum() / len(base))
    for t, start in enumerate(here.start_years):
        one = Survival(5, alive.birth[t : t + 1], alive.ages[t : t + 1])
        amount = 5.0 * here.net_rate[t] * now.sum(axis=(-2, -1))
        for _ in range(6):
            net = _by_profile(now, amount, here.profile)
            part = project(now, one, here.fertility[t : t + 1], float(here.srb[t]), net[None])
            if not years or start + 5 > years[-1]:
                break
            want = np.interp(start + 5, [launch, *years], [first, *totals])
            amount = amount + want - part.persons[-1].sum(axis=(-2, -1))
        parts.append(part)
        now = part.persons[-1]
    return Projection(
        5,
        np.concatenate([parts[0].persons[:1], *(p.persons[1:] for p in parts)]),
        np.concatenate([p.births for p in parts]),
        np.concatenate([p.deaths for p in parts]),
        np.concatenate([p.migrants for p in parts]),
    )


def _by_profile(persons: Floats, amount: Floats, profile: Floats) -> Floats:
    """Spread (...) net migrants over ages: arrivals by the profile, departures by who is there."""
    arriving = np.broadcast_to(profile, persons.shape)
    leaving = (
        arriving
        * persons
        / np.maximum(persons.sum(axis=-1, keepdims=True).sum(axis=-2, keepdims=True), 1e-12)
    )
    leaving = leaving / np.maximum(leaving.sum(axis=(-2, -1), keepdims=True), 1e-12)
    share = np.where(amount[..., None, None] >= 0, arriving, leaving)
    return np.asarray(share * amount[..., None, None])


def _local_migrants(place: Floats, net_rate: Floats, profile: Floats) -> Floats:
    rate = np.broadcast_to(net_rate, place.shape[:1])
    return _by_profile(place, 5.0 * rate[:, None] * place.sum(axis=(-2, -1)), profile)


def _county_ratios(now: Floats, later: Floats) -> Floats:
    """(..., age, sex) cohort-change ratios of the county over one step."""
    ratios = np.empty_like(now)
    top, bottom = later[..., 1:-1, :], now[..., :-2, :]
    ratios[..., :-2, :] = np.divide(top, bottom, out=np.ones_like(top), where=bottom > 0)
    old = now[..., -2:, :].sum(axis=-2)
    last = np.divide(later[..., -1, :], old, out=np.zeros_like(old), where=old > 0)
    ratios[..., -2:, :] = last[..., None, :]
    return ratios


def _bring_to(seed: Floats, wanted: Floats, groups: _Groups, profile: Floats) -> Floats:
    """Move people in or out of each group by the age profile until it has its wanted total."""
    group = groups.sum(seed)
    for _ in range(3):
        gap = wanted - group.sum(axis=(-2, -1))
        group = np.maximum(group + _by_profile(group, gap, profile), 0.02 * group)
    return groups.spread(seed, group)


def _refuse(code: str, name: str, zh: str, en: str) -> InputRefused:
    remedy = Text("请改年份。", "Choose another year.")
    what = Text(f"{name} {zh}", f"{name} {en}")
    return InputRefused((Finding(Rank.ERROR, code, Where(id=name), what, remedy),))


def _findings(
    factor: Floats, groups: _Groups, rates: VitalRates, starts: Sequence[int]
) -> tuple[Finding, ...]:
    found = []
    far = np.abs(np.log(np.maximum(factor, 1e-9))).max(axis=(0, 1))
    for name, size in zip(groups.names, far, strict=True):
        if size > np.log(1.25):
            what = Text(
                f"控制到县级时调整达 {np.exp(size):.2f} 倍。",
                f"Raking to the county moved it by a factor of {np.exp(size):.2f}.",
            )
            remedy = Text("请核对其基年人口和份额。", "Check its base population and shares.")
            found.append(Finding(Rank.WARNING, "raked-far", Where(id=name), what, remedy))
    if starts[-1] > rates.start_years[-1] + 4 or starts[0] < rates.start_years[0]:
        what = Text(
            f"生命率仅覆盖 {rates.start_years[0]}-{rates.start_years[-1] + 5} 年,其外沿用最近一期。",
            f"Rates cover {rates.start_years[0]}-{rates.start_years[-1] + 5}; beyond, the nearest"
            " period holds on.",
        )
        remedy = Text("请补充远期生命率。", "Add later periods to the rates.")
        found.append(Finding(Rank.WARNING, "rates-held", Where(file="rates"), what, remedy))
    return tuple(found)
