"""Persons of a target group that an age and a track tell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from allocator.catalogue import TargetGroup
from allocator.population.people import Population

__all__ = ["persons_of_group"]

_WIDTH = 5  # years of an age group


def persons_of_group(
    population: Population, group: TargetGroup, years: Iterable[int]
) -> npt.NDArray[np.float64]:
    """Return (future, place, year) persons of a group, in the order of the years given.

    A five-year age group that the group's ages cut is taken by the share of its years.

    Raises
    ------
    ValueError
        When age does not tell the group, or the population lacks its track.
    """
    if not group.is_counted_by_age or group.track not in population.tracks:
        raise ValueError(f"age and track do not tell the group {group.id!r}")
    track = population.tracks.index(group.track)
    low = np.arange(len(population.ages), dtype=float) * _WIDTH
    high = low + _WIDTH
    high[-1] = np.inf
    above = np.clip(np.minimum(high, group.age_to + 1) - np.maximum(low, group.age_from), 0, _WIDTH)
    share = above / _WIDTH
    persons = np.stack([population.at(y)[track] for y in years], axis=2)  # (w, i, y, a, s)
    return np.asarray(np.einsum("wiyas,a->wiy", persons, share))
