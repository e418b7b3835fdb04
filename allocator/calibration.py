"""Willingness calibrated from where a case's residents came from (入住来源).

The table ``rates/origins.csv`` (home, origin, count) holds today's residents by home and place of
origin, as counts. A scenario asks for it by naming the curve ``calibrated``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from allocator.case import Case
from allocator.compile import class_offers, origins
from allocator.demand import Calibration, Need, WillingnessCurve, calibrate_willingness
from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.scenario import Scenario
from allocator.travel import Arcs

__all__ = ["CALIBRATED", "FULL_SHARE", "calibrate_case"]

CALIBRATED = "calibrated"
"""Name by which a scenario asks for the calibrated curve of a service."""

FULL_SHARE = 0.95
"""A home with this share of its places taken counts as full: who stayed away says nothing."""


def calibrate_case(
    case: Case, scenario: Scenario, service: str, need: Need, arcs: Mapping[str, Arcs]
) -> Calibration:
    """Fit the curve of a service to the origins of today's residents.

    Parameters
    ----------
    need
        Need of today, one year.
    arcs
        Journeys by reach class, from the rows of `compile.origins`.

    Raises
    ------
    InputRefused
        When the case has no table of origins, or the table does not fit homes and areas.
    """
    if "origins" not in case.rates:
        raise _no_origins(service)
    table = case.rates["origins"]
    renamed = {c: table[c].astype(str) for c in ("home", "origin") if c in table.columns}
    homes = case.region.homes
    at_home = set(homes["site_id"])
    minutes = _minutes(case, scenario, service, arcs, at_home)
    s = need.services.index(service)
    amount = need.amount[:, s, :, 0] @ need.future_weight
    people = dict(zip(need.areas, amount.sum(axis=1).tolist(), strict=True))
    taken = homes["residents"] / homes["places"].clip(lower=1)
    curves = case.rates["willingness"]
    bands = curves.loc[curves["service"] == service, "up_to_minutes"]
    return calibrate_willingness(
        table.assign(**renamed),
        people,
        minutes,
        service=service,
        bands=sorted({float(b) for b in bands}),
        full=set(homes.loc[taken >= FULL_SHARE, "site_id"]),
        default=_default(case, service),
        id=CALIBRATED,
    )


def _minutes(
    case: Case, scenario: Scenario, service: str, arcs: Mapping[str, Arcs], homes: set[str]
) -> dict[tuple[str, str], float]:
    """Fewest minutes by (area, home) over the reach classes of the service."""
    where = origins(case, scenario)
    ids, ordinary = (
        where["area_id"].to_numpy(),
        (where[["home", "onward"]] < 0).all(axis=1).to_numpy(),
    )
    sites = np.array(case.region.site_ids)
    is_home = np.isin(sites, sorted(homes))
    found: dict[tuple[str, str], float] = {}
    for offer in class_offers(case, scenario):
        if offer.service != service:
            continue
        here = arcs[offer.id]
        some = ordinary[here.origin] & is_home[here.destination]
        rows = zip(
            ids[here.origin[some]], sites[here.destination[some]], here.minutes[some], strict=True
        )
        for area, site, time in rows:
            pair = (str(area), str(site))
            found[pair] = min(found.get(pair, np.inf), float(time))
    for home in sorted(homes):  # a home out of everyone's reach is known all the same
        found.setdefault((str(ids[0]), home), np.inf)
    return found


def _default(case: Case, service: str) -> WillingnessCurve | None:
    """The assumed curve where it serves all groups alike; it fills bands without data."""
    table = case.rates["willingness"]
    name = "assumed-default"
    if not ((table["service"] == service) & (table["curve"] == name)).any():
        return None
    curve = WillingnessCurve.from_table(table, name, service)
    return curve if "all" in curve.steps else None


def _no_origins(service: str) -> InputRefused:
    where = Where(file="rates/origins.csv", id=service)
    what = Text("没有入住来源表,无法校准意愿曲线。", "There is no table of origins to calibrate the willingness curve from.")  # fmt: skip
    remedy = Text(
        "请在案例的 rates 文件夹提供 origins.csv(列 home、origin、count),或改用 assumed-default。",
        "Put origins.csv (home, origin, count) into the case's rates folder, or use assumed-default.",
    )
    return InputRefused((Finding(Rank.ERROR, "origins-missing", where, what, remedy),))
