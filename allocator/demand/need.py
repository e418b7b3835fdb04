"""From people to need: persons, visits or pupils by area, service, group, year and future."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.demand.rates import NeedRates
from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.population.people import Population, unknown, weakest_mark
from allocator.population.tracks import PhaseIn, eligible

__all__ = ["Need", "estimate_need"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Need:
    """Need of services before price and distance: how many would want it, were it next door.

    Parameters
    ----------
    areas, services, groups, years, futures, future_weight
        Sets of the axes; weights of the futures sum to 1.
    amount
        (area, service, group, year, future) in the service's unit.
    units
        Unit by service.
    definition
        Name of the definition of need behind the need grades.
    base
        Which people were counted, in words.
    mark
        ``modelled`` or ``synthetic``; need is never counted.
    """

    areas: tuple[str, ...]
    services: tuple[str, ...]
    groups: tuple[str, ...]
    years: tuple[int, ...]
    futures: tuple[str, ...]
    future_weight: Floats
    amount: Floats
    units: Mapping[str, str]
    definition: str
    base: str
    mark: str

    def total(self, service: str) -> Floats:
        """Return (year, future) need of a service over all areas and groups."""
        if service not in self.services:
            raise unknown("service", "服务", service, self.services, "unknown-service")
        total: Floats = self.amount[:, self.services.index(service)].sum(axis=(0, 1))
        return total

    def expected(self) -> Floats:
        """Return (area, service, group, year) mean over the futures."""
        return np.asarray(self.amount @ self.future_weight)

    def band(self, share: float = 0.8) -> pd.DataFrame:
        """Return the band of each service's total over the futures, by year.

        Parameters
        ----------
        share
            Probability inside the band.

        Returns
        -------
        Table of service, year, unit, expected, low, high and ``relative_width``, the width over
        the expected total, so that it shows which services are less certain (children's are).
        """
        rows = []
        for service in self.services:
            total = self.total(service)
            order = np.argsort(total, axis=1)
            weight = self.future_weight[order]
            reached = np.cumsum(weight, axis=1) - weight / 2
            ranked = np.take_along_axis(total, order, axis=1)
            for y, year in enumerate(self.years):
                low, high = (
                    float(np.interp(q, reached[y], ranked[y]))
                    for q in ((1 - share) / 2, (1 + share) / 2)
                )
                mean = float(total[y] @ self.future_weight)
                width = (high - low) / mean if mean else 0.0
                rows.append((service, year, self.units[service], mean, low, high, width))
        columns = ["service", "year", "unit", "expected", "low", "high", "relative_width"]
        return pd.DataFrame(rows, columns=columns)

    def table(self) -> pd.DataFrame:
        """Return one row an area, service, group, year and future with a positive amount."""
        i, s, g, t, w = np.nonzero(self.amount > 0)

        def names(axis: Sequence[object], rows: npt.NDArray[np.intp]) -> list[object]:
            return [axis[r] for r in rows]

        return pd.DataFrame(
            {
                "area": names(self.areas, i),
                "service": names(self.services, s),
                "group": names(self.groups, g),
                "year": names(self.years, t),
                "future": names(self.futures, w),
                "amount": self.amount[i, s, g, t, w],
            }
        )


def estimate_need(
    population: Population,
    rates: NeedRates,
    *,
    services: Iterable[str],
    definition: str,
    years: Iterable[int],
    area_class: Mapping[str, str],
    base: str | Mapping[str, str] = "resident",
    phase_in: PhaseIn | Mapping[str, PhaseIn] | None = None,
    groups: Iterable[str] | None = None,
    living_alone: Mapping[str, float] | None = None,
    multiplier: Mapping[str, float] | None = None,
) -> Need:
    """Estimate the need of services from people.

    ``need = sum over age and sex of persons x rate(definition, group, age, sex, class) x care-mode
    share x units``, times ``(1 + (m - 1) a) / (1 + (m - 1) A)`` where people living alone want the
    service ``m`` times as often, ``a`` is the local share living alone and ``A`` the national: a
    place like the nation has the factor 1.

    Parameters
    ----------
    population
        People of the areas, with the tracks the base asks for.
    rates
        Need rates, care modes and service rates.
    services
        Service ids; sorted in the result.
    definition
        Name of the definition of need; it must be named, for definitions differ about seven-fold.
    years
        Years wanted, inside the population's.
    area_class
        Class of every area (``county-town``, ``township``, ``village``, ``urban`` ...).
    base
        ``resident`` or ``registered``, for all services or by service.
    phase_in
        Change of base, for all services or by service; it rules over ``base``.
    groups
        Groups of the result; by default those the definition and the services know.
    living_alone
        Ratio of a place's share living alone to the national rates (1 where not given).
    multiplier
        Factor on all need of a place, such as a local survey over these rates.

    Raises
    ------
    InputRefused
        When a definition, service, group, area class or base is unknown, or a year is outside.
    """
    wanted = tuple(sorted(set(services)))
    when = tuple(sorted(set(years)))
    rates.definition(definition)
    of_service = {s: rates.rates_of(s, definition) for s in wanted}
    known = sorted({r.group for parts in of_service.values() for r in parts})
    group_ids = tuple(known) if groups is None else tuple(sorted(set(groups)))
    for group in group_ids:
        if group not in known:
            raise _beyond(group, definition, known, rates)
    classes = _classes(population.places, area_class, rates)
    local = np.array([(living_alone or {}).get(p, 1.0) for p in population.places])
    factor = np.array([(multiplier or {}).get(p, 1.0) for p in population.places])
    amount = np.zeros(
        (len(population.places), len(wanted), len(group_ids), len(when), len(population.futures))
    )
    counted: dict[tuple[str, int], Floats] = {}
    words = []
    for s, service in enumerate(wanted):
        own_base = base if isinstance(base, str) else base.get(service, "resident")
        own_phase = (
            phase_in if isinstance(phase_in, PhaseIn) or phase_in is None else phase_in.get(service)
        )
        key = (own_base, id(own_phase))
        if key not in counted:
            counted[key] = eligible(population, when, own_base, own_phase)
        words.append(f"{service}: {_base_words(own_base, own_phase)}")
        for rate in of_service[service]:
            if rate.group not in group_ids:
                continue
            more = rate.alone_multiplier - 1.0
            alone = np.clip(rates.alone[classes] * local[:, None, None], 0.0, 1.0)
            lift = (1.0 + more * alone) / (1.0 + more * rates.alone[classes])
            weight = rate.weight[classes] * lift * factor[:, None, None]
            part = np.einsum("wiyas,ias->iyw", counted[key], weight)
            amount[:, s, group_ids.index(rate.group)] += part
    return Need(
        areas=population.places,
        services=wanted,
        groups=group_ids,
        years=when,
        futures=population.futures,
        future_weight=population.future_weight,
        amount=amount,
        units={s: parts[0].unit for s, parts in of_service.items()},
        definition=definition,
        base="; ".join(words),
        mark=weakest_mark((population.mark, rates.mark, "modelled")),
    )


def _base_words(base: str, phase_in: PhaseIn | None) -> str:
    if phase_in is None:
        return base
    return f"{phase_in.start} to {phase_in.to}, {phase_in.since}-{phase_in.by}"


def _classes(
    places: tuple[str, ...], area_class: Mapping[str, str], rates: NeedRates
) -> npt.NDArray[np.intp]:
    lacking = [p for p in places if p not in area_class]
    if lacking:
        what = Text("没有地区类别。", "It has no area class.")
        remedy = Text("请为每个地区填写类别。", "Give every area a class.")
        raise InputRefused(
            tuple(
                Finding(Rank.ERROR, "area-class-missing", Where(id=p), what, remedy)
                for p in lacking
            )
        )
    return np.array([rates.area_class(area_class[p]) for p in places], dtype=np.intp)


def _beyond(group: str, definition: str, known: Sequence[str], rates: NeedRates) -> InputRefused:
    """Refusal of a group that the definition does not tell apart, naming one that does."""
    others = [d for d, found in sorted(rates.definitions.items()) if group in found.groups]
    if not others:
        return unknown("group", "人群", group, known, "unknown-group")
    what = Text(
        f"需求口径“{definition}”不区分“{group}”。",
        f"The definition '{definition}' does not tell '{group}' apart.",
    )
    remedy = Text(
        f"改用口径 {others[0]},或只取 {', '.join(known)}。",
        f"Use the definition '{others[0]}', or ask for {', '.join(known)} only.",
    )
    return InputRefused(
        (Finding(Rank.ERROR, "need-beyond-definition", Where(id=group), what, remedy),)
    )
