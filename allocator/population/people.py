"""`Population`: persons by track, future, place, year, five-year age group and sex."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from allocator.errors import Finding, InputRefused, Rank, Text, Where, nearest
from allocator.population.cohort import AGES_5

__all__ = ["MARKS", "Population", "stack_tracks", "unknown", "weakest_mark"]

Floats = npt.NDArray[np.float64]

MARKS = ("counted", "modelled", "synthetic")
"""How a figure came about, from the strongest to the weakest."""


def weakest_mark(marks: Iterable[str]) -> str:
    """Return the weakest of several marks; what rests on a weak figure is as weak."""
    return max(marks, key=MARKS.index, default="counted")


def unknown(what: str, zh: str, name: str, known: Sequence[str], code: str) -> InputRefused:
    """Build a refusal of an unknown name, with the nearest known one as a hint."""
    near = nearest(name, known)
    listed = ", ".join(known[:12])
    hint = Text(f"是否指 {near}?", f"Did you mean {near}?") if near else Text("", "")
    return InputRefused(
        (
            Finding(
                Rank.ERROR,
                code,
                Where(id=name),
                Text(f"未知的{zh}“{name}”。", f"Unknown {what} '{name}'."),
                Text(f"{hint.zh}可用:{listed}。", f"{hint.en} Known: {listed}.".strip()),
            ),
        )
    )


@dataclass(frozen=True, eq=False)
class Population:
    """Persons of some places, by five-year age group and sex, for some years.

    Parameters
    ----------
    places
        Area ids, sorted.
    years
        Years (1 July), ascending.
    persons
        (track, future, place, year, age, sex) persons; finite and not negative.
    tracks
        ``("resident",)`` (常住) or ``("resident", "registered")`` (常住、户籍).
    futures, future_weight
        Ids and weights of the futures; the weights sum to 1.
    mark
        ``counted``, ``modelled`` or ``synthetic``; a projection is never counted.
    """

    places: tuple[str, ...]
    years: tuple[int, ...]
    persons: Floats
    tracks: tuple[str, ...] = ("resident",)
    futures: tuple[str, ...] = ("expected",)
    future_weight: Floats = field(default_factory=lambda: np.ones(1))
    mark: str = "modelled"
    ages: tuple[str, ...] = AGES_5

    sexes: ClassVar[tuple[str, str]] = ("m", "f")

    def __post_init__(self) -> None:
        sets = (self.tracks, self.futures, self.places, self.years, self.ages, self.sexes)
        want = tuple(len(items) for items in sets)
        if self.persons.shape != want:
            raise ValueError(f"persons has shape {self.persons.shape}; the sets ask for {want}")
        if not np.isfinite(self.persons).all() or (self.persons < 0).any():
            raise ValueError("persons must be finite and not negative")
        for name, items in (("places", self.places), ("years", self.years)):
            if list(items) != sorted(set(items)):  # type: ignore[type-var]
                raise ValueError(f"{name} must be sorted and unique")
        if self.mark not in MARKS:
            raise ValueError(f"mark is {self.mark!r}; expected one of {MARKS}")
        if len(self.future_weight) != len(self.futures):
            raise ValueError("one weight a future is wanted")
        if abs(float(np.sum(self.future_weight)) - 1.0) > 1e-9:
            raise ValueError("the weights of the futures must sum to 1")

    def at(self, year: int) -> Floats:
        """Return (track, future, place, age, sex) persons of one year, linear between years.

        Raises
        ------
        InputRefused
            When the year lies outside those held.
        """
        if not self.years[0] <= year <= self.years[-1]:
            raise InputRefused(
                (
                    Finding(
                        Rank.ERROR,
                        "year-outside-projection",
                        Where(id=str(year)),
                        Text(
                            f"{year} 年不在预测期 {self.years[0]}-{self.years[-1]} 内。",
                            f"{year} lies outside the projection {self.years[0]}-{self.years[-1]}.",
                        ),
                        Text("请延长预测期。", "Project further, or ask for another year."),
                    ),
                )
            )
        right = int(np.searchsorted(self.years, year))
        if self.years[right] == year:
            return self.persons[:, :, :, right]
        before, after = self.years[right - 1], self.years[right]
        share = (year - before) / (after - before)
        held = self.persons
        return (1 - share) * held[:, :, :, right - 1] + share * held[:, :, :, right]

    def for_years(self, years: Iterable[int]) -> Population:
        """Return the population at the given years, linear between those held."""
        wanted = tuple(sorted(set(years)))
        return replace(self, years=wanted, persons=np.stack([self.at(y) for y in wanted], axis=3))

    def select(
        self,
        *,
        track: str | None = None,
        places: Iterable[str] | None = None,
        years: Iterable[int] | None = None,
        futures: Iterable[str] | None = None,
    ) -> Population:
        """Return a part of the population; places come sorted, weights are renormed.

        Raises
        ------
        InputRefused
            When a track or place is unknown, with the nearest known one.
        """
        out = self if years is None else self.for_years(years)
        if track is not None:
            if track not in out.tracks:
                raise unknown("track", "口径", track, out.tracks, "unknown-track")
            t = out.tracks.index(track)
            out = replace(out, tracks=(track,), persons=out.persons[t : t + 1])
        if places is not None:
            keep = tuple(sorted(set(places)))
            position = {place: i for i, place in enumerate(out.places)}
            for place in keep:
                if place not in position:
                    raise unknown("place", "地区", place, out.places, "unknown-place")
            rows = [position[p] for p in keep]
            out = replace(out, places=keep, persons=out.persons[:, :, rows])
        if futures is not None:
            names = tuple(futures)
            for name in names:
                if name not in out.futures:
                    raise unknown("future", "情景", name, out.futures, "unknown-future")
            rows = [out.futures.index(n) for n in names]
            weight = out.future_weight[rows]
            out = replace(
                out,
                futures=names,
                future_weight=weight / weight.sum(),
                persons=out.persons[:, rows],
            )
        return out

    def age_slice(self, low: int = 0, high: int | None = None) -> slice:
        """Return the groups from age ``low`` to below ``high``; both multiples of five."""
        if low % 5 or (high is not None and high % 5):
            raise ValueError("age bounds are multiples of five here")
        return slice(low // 5, None if high is None else high // 5)

    def total(self, low: int = 0, high: int | None = None) -> Floats:
        """Return (track, future, place, year) persons aged ``low`` to below ``high``."""
        total: Floats = self.persons[..., self.age_slice(low, high), :].sum(axis=(-2, -1))
        return total

    def band(self, values: Floats, share: float = 0.8) -> tuple[Floats, Floats]:
        """Return the weighted lower and upper quantile over futures (axis 1) of ``values``.

        Parameters
        ----------
        values
            (track, future, ...) figures, such as those of `total`.
        share
            Probability inside the band.
        """
        order = np.argsort(values, axis=1)
        weight = self.future_weight[order]
        reached = np.cumsum(weight, axis=1) - weight / 2
        ranked = np.take_along_axis(values, order, axis=1)

        def quantile(q: float) -> Floats:
            first = np.minimum((reached < q).sum(axis=1, keepdims=True), values.shape[1] - 1)
            return np.take_along_axis(ranked, first, axis=1)[:, 0]

        return quantile((1 - share) / 2), quantile((1 + share) / 2)

    def grouped(self, parents: Mapping[str, str]) -> Population:
        """Return the population summed to parent areas (township of a village, and so on)."""
        names = tuple(sorted({parents[p] for p in self.places}))
        rows = np.array([names.index(parents[p]) for p in self.places])
        total = np.zeros((*self.persons.shape[:2], len(names), *self.persons.shape[3:]))
        for row in range(len(names)):
            total[:, :, row] = self.persons[:, :, rows == row].sum(axis=2)
        return replace(self, places=names, persons=total)


def stack_tracks(resident: Population, registered: Population) -> Population:
    """Set a resident and a registered population of the same places and years side by side."""
    for name in ("places", "years", "futures", "ages"):
        if getattr(resident, name) != getattr(registered, name):
            raise ValueError(f"the two tracks differ in {name}")
    return replace(
        resident,
        tracks=("resident", "registered"),
        persons=np.concatenate([resident.persons[:1], registered.persons[:1]]),
        mark=weakest_mark((resident.mark, registered.mark)),
    )
