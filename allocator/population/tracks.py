"""Which people a service counts: resident or registered, phased in, by tier and by place.

*Resident* (常住) people live in a place; *registered* (户籍) people have their registration there.
A mountain county registers more people than live there, so moving from the registered to the
resident base lowers need in its villages; an inflow town is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.population.people import Population, unknown

__all__ = ["BASES", "Move", "PhaseIn", "Tier", "absent_from", "eligible", "move"]

Floats = npt.NDArray[np.float64]

BASES = ("resident", "registered")


@dataclass(frozen=True)
class Tier:
    """A tier of residents without local registration (梯度), entitled from a year on.

    Parameters
    ----------
    id
        Name, such as ``over-5-years`` or ``residence-permit``.
    share
        Share of the residents without local registration who are in the tier.
    from_year
        First year in which the tier is served.
    entitled
        Share of full service the tier gets from then on.
    """

    id: str
    share: float
    from_year: int
    entitled: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.entitled <= 1):
            raise ValueError(f"tier {self.id}: shares lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class PhaseIn:
    """A change of base in equal yearly steps, with places that go their own way (一城一策).

    Parameters
    ----------
    start, to
        ``registered`` or ``resident``: the base before and after.
    since, by
        Last year wholly on the old base, and first year wholly on the new one.
    tiers
        Residents without local registration join tier by tier instead of step by step; the shares
        sum to at most 1, and who is in no tier is served from ``by`` on.
    overrides
        Phase-in of single places, by area id.
    """

    to: str = "resident"
    start: str = "registered"
    since: int
    by: int
    tiers: tuple[Tier, ...] = ()
    overrides: Mapping[str, PhaseIn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for base in (self.start, self.to):
            if base not in BASES:
                raise unknown("base", "口径", base, BASES, "unknown-base")
        if self.by < self.since:
            raise ValueError(f"a phase-in from {self.since} cannot end in {self.by}")
        if sum(t.share for t in self.tiers) > 1 + 1e-9:
            raise ValueError("the shares of the tiers sum to more than 1")
        if any(nested.overrides for nested in self.overrides.values()):
            raise ValueError("an override has no overrides of its own")

    def weight(self, year: int) -> float:
        """Return the share of the change done in a year, from 0 to 1."""
        if year >= self.by:
            return 1.0
        return max(0.0, (year - self.since) / (self.by - self.since))

    def joined(self, year: int) -> float:
        """Return the share of residents without local registration served in a year."""
        if not self.tiers or year >= self.by:
            return self.weight(year)
        return sum(t.share * t.entitled for t in self.tiers if year >= t.from_year)


def eligible(
    population: Population,
    years: Sequence[int],
    base: str = "resident",
    phase_in: PhaseIn | None = None,
) -> Floats:
    """Return the persons a service counts.

    On the way from registered to resident, cells with more residents than registered people gain
    the difference as its tiers join; cells with fewer lose it with the yearly steps. Need may so
    rise in one place and fall in another in the same year.

    Parameters
    ----------
    population
        With the tracks that are asked for.
    years
        Years wanted.
    base
        ``resident`` or ``registered``; a phase-in rules instead where given.
    phase_in
        Change of base over the years.

    Returns
    -------
    (future, place, year, age, sex) persons.

    Raises
    ------
    InputRefused
        When a base is unknown or the population has no such track.
    """
    wanted = {base} if phase_in is None else {phase_in.start, phase_in.to}
    if phase_in is not None:
        for own in phase_in.overrides.values():
            wanted |= {own.start, own.to}
    for name in sorted(wanted):
        if name not in BASES:
            raise unknown("base", "口径", name, BASES, "unknown-base")
        if name not in population.tracks:
            raise _no_track(name)
    held = population.for_years(years)
    order = {y: i for i, y in enumerate(held.years)}
    rows = [order[y] for y in years]
    track = {name: held.persons[held.tracks.index(name)][:, :, rows] for name in sorted(wanted)}
    if phase_in is None:
        return np.asarray(track[base])
    for place in phase_in.overrides:
        if place not in population.places:
            raise unknown("place", "地区", place, population.places, "unknown-place")
    out = np.empty_like(next(iter(track.values())))
    for i, place in enumerate(population.places):
        rule = phase_in.overrides.get(place, phase_in)
        before, after = track[rule.start][:, i], track[rule.to][:, i]
        done = np.array([rule.weight(y) for y in years])[:, None, None]
        join = done
        if rule.to == "resident" and rule.start == "registered":
            join = np.array([rule.joined(y) for y in years])[:, None, None]
        gain, loss = np.maximum(after - before, 0.0), np.maximum(before - after, 0.0)
        out[:, i] = before + join * gain - done * loss
    return np.asarray(out)


def absent_from(registered: Population, absent: Floats) -> Population:
    """Return the residents who remain of a registered population when some live elsewhere.

    Parameters
    ----------
    registered
        One track of registered people.
    absent
        (place, age, sex) or broadcastable share of the registered who live elsewhere (外出).
    """
    share = np.broadcast_to(absent, (*registered.persons.shape[2:3], *registered.persons.shape[4:]))
    if (share < 0).any() or (share > 1).any():
        raise ValueError("shares absent lie in [0, 1]")
    stays = registered.persons * (1.0 - share)[None, None, :, None]
    return replace(registered, tracks=("resident",), persons=stays, mark=_at_least(registered.mark))


def _at_least(mark: str) -> str:
    return "modelled" if mark == "counted" else mark


@dataclass(frozen=True)
class Move:
    """People registered in one place who live in another, such as a resettlement community.

    Parameters
    ----------
    origin, destination
        Area ids: the village of registration, the community of residence.
    persons
        Persons who move.
    year
        First year in which they live at the destination.
    """

    origin: str
    destination: str
    persons: float
    year: int


def move(population: Population, moves: Iterable[Move], track: str = "resident") -> Population:
    """Return the population after moves of residence within one track; registration stays.

    Those who move have the ages of their origin; at most all who are there move. Totals over the
    places do not change.

    Raises
    ------
    InputRefused
        When a place or track is unknown.
    """
    if track not in population.tracks:
        raise unknown("track", "口径", track, population.tracks, "unknown-track")
    persons = population.persons.copy()
    t = population.tracks.index(track)
    position = {place: i for i, place in enumerate(population.places)}
    for one in moves:
        for place in (one.origin, one.destination):
            if place not in position:
                raise unknown("place", "地区", place, population.places, "unknown-place")
        i, j = position[one.origin], position[one.destination]
        for y, year in enumerate(population.years):
            if year < one.year:
                continue
            there = persons[t, :, i, y]
            total = there.sum(axis=(-2, -1), keepdims=True)
            share = np.minimum(one.persons / np.maximum(total, 1e-12), 1.0)
            persons[t, :, j, y] += share * there
            persons[t, :, i, y] = (1.0 - share) * there
    return replace(population, persons=persons, mark=_at_least(population.mark))


def _no_track(name: str) -> InputRefused:
    words = {"resident": "常住", "registered": "户籍"}[name]
    return InputRefused(
        (
            Finding(
                Rank.ERROR,
                "track-missing",
                Where(id=name),
                Text(f"人口数据没有{words}口径。", f"The population holds no {name} track."),
                Text(
                    f"请补充{words}人口,或改用另一口径。",
                    f"Give {name} counts, or ask for the other base.",
                ),
            ),
        )
    )
