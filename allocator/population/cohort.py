"""Cohort-component projection of any number of regions, draws, ages and both sexes at once.

Arrays end in ``(age, sex)``, males first. One step of ``w`` years ages groups ``w`` years wide:

    P(x+w, t+w) = (P(x, t) + M(x)/2) s(x) + M(x+w)/2
    births      = w sum_x f(x) (F(x, t) + F(x, t+w)) / 2, split by the sex ratio at birth

so half of a step's net migrants move at its start and half at its end, and births come from the
mean number of women. Sources: Preston, Heuveline, Guillot (2001) ch. 6; United Nations (2019)
*World Population Prospects: Methodology*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocator.population.lifetable import Survival

__all__ = [
    "AGES_5",
    "FERTILE_FIRST",
    "Projection",
    "flows_to_net",
    "project",
    "project_chunks",
    "step",
]

Floats = npt.NDArray[np.float64]

AGES_5 = (*(f"{a}-{a + 4}" for a in range(0, 100, 5)), "100+")
"""The 21 five-year age groups, as they are written in every table."""

FERTILE_FIRST = {1: 15, 5: 3}
"""Index of the first fertile age group (15 or 15-19), by width of the groups."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Persons at each step and the flows between, so that every step balances.

    ``persons[t+1] = persons[t] + births[t] - deaths[t] + migrants[t]`` in total and by sex.

    Parameters
    ----------
    width
        Years a step.
    persons
        (T+1, ..., age, sex).
    births
        (T, ..., sex) over the step.
    deaths
        (T, ..., sex) over the step, those of newborn and migrants included.
    migrants
        (T, ..., sex) net over the step, as realised: where more would leave than are there, only
        those who are there leave.
    """

    width: int
    persons: Floats
    births: Floats
    deaths: Floats
    migrants: Floats

    @property
    def imbalance(self) -> Floats:
        """(T, ..., sex) persons by which a step fails to balance; rounding apart it is zero."""
        by_sex = _over_ages(self.persons)
        return np.asarray(by_sex[1:] - (by_sex[:-1] + self.births - self.deaths + self.migrants))


def _over_ages(values: Floats) -> Floats:
    """Sum (..., age, sex) over ages; a product with ones is far quicker than a strided sum."""
    return np.asarray(np.ones(values.shape[-2]) @ values)


def step(
    persons: Floats,
    alive: Survival,
    fertility: Floats,
    srb: Floats | float,
    net: Floats | float = 0.0,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Age a population by one step.

    Parameters
    ----------
    persons
        (..., age, sex) at the start.
    alive
        Survival ratios over the step.
    fertility
        (..., fertile age) births a woman a year.
    srb
        (...) male births a female birth.
    net
        (..., age, sex) net migrants over the step, by age at migration.

    Returns
    -------
    persons (..., age, sex) at the end; births, deaths, net migrants (..., sex) over the step.
    """
    half = np.asarray(net, dtype=float) / 2
    start = np.maximum(persons + half, 0.0)
    survivors = start * alive.ages
    aged = np.empty(np.broadcast_shapes(survivors.shape, persons.shape))
    aged[..., 0, :] = 0.0
    aged[..., 1:, :] = survivors[..., :-1, :]
    aged[..., -1, :] += survivors[..., -1, :]
    moved = np.broadcast_to(half, aged.shape)
    end = np.maximum(aged + moved, 0.0)
    first = FERTILE_FIRST[alive.width]
    fertile = slice(first, first + fertility.shape[-1])
    women = (persons[..., fertile, 1] + end[..., fertile, 1]) / 2
    both = alive.width * np.einsum("...a,...a->...", fertility, women)
    boys = np.asarray(srb / (1.0 + np.asarray(srb)), dtype=float)
    births = np.stack([both * boys, both * (1.0 - boys)], axis=-1)
    newborn = births * alive.birth
    end[..., 0, :] = np.maximum(newborn + moved[..., 0, :], 0.0)
    aged[..., 0, :] = newborn
    present = _over_ages(start)
    deaths = present - _over_ages(survivors) + births - newborn
    migrants = present - _over_ages(persons) + _over_ages(end) - _over_ages(aged)
    return end, births, deaths, migrants


def project(
    persons: Floats,
    alive: Survival,
    fertility: Floats,
    srb: Floats | float,
    net: Floats | None = None,
    net_rate: Floats | None = None,
    flow_rate: Floats | None = None,
) -> Projection:
    """Project a population over T steps.

    Parameters
    ----------
    persons
        (..., age, sex) base population; age groups as wide as the step.
    alive
        Survival ratios with a leading axis of T steps: ``birth`` (T, ..., sex), ``ages``
        (T, ..., age, sex).
    fertility
        (T, ..., fertile age) births a woman a year.
    srb
        (T, ...) or one number: male births a female birth.
    net
        (T, ..., age, sex) net migrants a step, counts.
    net_rate
        (T, ..., age, sex) net migrants a person a year, of the population at the start.
    flow_rate
        (T, origin, destination, age, sex) movers a person of the origin a year; then the last
        leading axis of ``persons`` is the region.

    Raises
    ------
    ValueError
        When the base is negative or not finite, or shapes do not fit.
    """
    persons = np.asarray(persons, dtype=float)
    if not np.isfinite(persons).all() or (persons < 0).any():
        raise ValueError("the base population must be finite and not negative")
    if persons.shape[-2] != alive.ages.shape[-2]:
        raise ValueError(f"{persons.shape[-2]} age groups against {alive.ages.shape[-2]} ratios")
    steps = alive.ages.shape[0]
    male_female = np.broadcast_to(np.asarray(srb, dtype=float), np.shape(srb) or (steps,))
    lead = np.broadcast_shapes(
        persons.shape[:-2],
        alive.ages.shape[1:-2],
        fertility.shape[1:-1],
        np.shape(net)[1:-2] if net is not None else (),
        np.shape(net_rate)[1:-2] if net_rate is not None else (),
    )
    now = np.broadcast_to(persons, (*lead, *persons.shape[-2:]))
    path = np.empty((steps + 1, *now.shape))
    flows = [np.empty((steps, *lead, 2)) for _ in range(3)]
    path[0] = now
    for t in range(steps):
        moving: Floats | float = 0.0 if net is None else net[t]
        if net_rate is not None:
            moving = moving + alive.width * net_rate[t] * now
        if flow_rate is not None:
            moving = moving + flows_to_net(now, alive.width * flow_rate[t])
        ratios = Survival(alive.width, alive.birth[t], alive.ages[t])
        now, *parts = step(now, ratios, fertility[t], male_female[t], moving)
        path[t + 1] = now
        for flow, part in zip(flows, parts, strict=True):
            flow[t] = part
    return Projection(alive.width, path, *flows)


def project_chunks(
    persons: Floats,
    alive: Survival | Callable[[slice], Survival],
    fertility: Floats,
    srb: Floats | float,
    net: Floats | None = None,
    chunk_bytes: int = 64_000_000,
) -> Iterator[tuple[slice, Projection]]:
    """Project region by region in slices whose temporary memory stays near ``chunk_bytes``.

    The first leading axis of ``persons`` (region or draw) is cut; inputs whose matching axis has
    length 1 are shared by every slice.

    Parameters
    ----------
    persons, fertility, srb, net
        As for `project`, with one leading axis of regions after the steps.
    alive
        Survival ratios, or a function that makes those of a slice of regions, so that life
        tables too are held for one slice at a time.
    chunk_bytes
        Temporary memory aimed at; one region is the least.

    Yields
    ------
    The slice of regions and its `Projection`.
    """
    count, steps = persons.shape[0], fertility.shape[0]
    tables = 14 if callable(alive) else 1
    one = persons[0].size * 8 * (tables * steps + 8)
    size = max(1, int(chunk_bytes // max(one, 1)))

    def cut(array: Floats, part: slice) -> Floats:
        return array if array.shape[1] == 1 else array[:, part]

    for begin in range(0, count, size):
        part = slice(begin, min(begin + size, count))
        if callable(alive):
            ratios = alive(part)
        else:
            ratios = Survival(alive.width, cut(alive.birth, part), cut(alive.ages, part))
        ratio = srb if np.ndim(srb) < 2 else cut(np.asarray(srb), part)
        moving = None if net is None else cut(net, part)
        yield part, project(persons[part], ratios, cut(fertility, part), ratio, moving)


def flows_to_net(persons: Floats, flow_rate: Floats) -> Floats:
    """Net migrants by region from gross flows; they sum to zero over the regions.

    Parameters
    ----------
    persons
        (..., region, age, sex) at the start.
    flow_rate
        (origin, destination, age, sex) movers a person over the step; the diagonal is ignored.
        Where a region would lose more than all of a group, its flows are cut in proportion.
    """
    rate = np.array(flow_rate, dtype=float)
    regions = np.arange(rate.shape[0])
    rate[regions, regions] = 0.0
    total = rate.sum(axis=1)
    rate /= np.maximum(total, 1.0)[:, None]
    arriving = np.einsum("...oas,odas->...das", persons, rate)
    return np.asarray(arriving - persons * np.minimum(total, 1.0))
