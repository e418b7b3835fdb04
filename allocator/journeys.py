"""Who reaches what in a case: arcs by reach class, minutes between sites, and what is told of them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.compile import class_offers, origins
from allocator.errors import Finding, InputRefused, Rank, Text, Where, plural
from allocator.rules import Floats
from allocator.scenario import Scenario
from allocator.travel import Arcs
from allocator.travel.checks import check_against_straight_line, check_missing_pairs
from allocator.travel.journeys import (
    Places,
    journey_parts,
    moved,
    standing,
    time_journeys,
    time_nearest,
)
from allocator.travel.modes import MODES
from allocator.travel.network import snap

__all__ = [
    "NEAREST",
    "Store",
    "catchments_of",
    "journeys",
    "minutes_among",
    "nearest_planned",
    "nearest_today",
    "resettled_within",
    "travel_findings",
]

Store = Callable[[Mapping[str, object], Callable[[], Arcs]], Arcs]
"""Keeps arcs under the digest of everything they were made from."""

DAY = 24 * 60.0
SHOWN = 20
NEAREST = Text("最近地点:", "Nearest:")
"""Begins the list of single places in `places-out-of-reach`, which a published report leaves out."""
# No journey on the ground is faster along the straight line.
FASTEST_KMH = 150.0
BETWEEN_SITES = "car"


def journeys(
    case: Case, scenario: Scenario, store: Store | None = None
) -> tuple[dict[str, Arcs], Floats]:
    """Return arcs by reach class from `compile.origins` to the sites, and minutes between sites.

    Those whom a site sends on set out there. Residents of a home stand where the home stands; should it close they may be moved as far as
    the scenario's resettlement rule says, beyond the limit that holds for others. Between sites
    the mode is ``car``.

    Parameters
    ----------
    store
        Where arcs on networks and surfaces are kept; they are made anew where there is none.
    """
    places, sites = _origins(case, scenario), _sites(case)
    made: dict[tuple[str, float], Arcs] = {}
    found: dict[str, Arcs] = {}
    moves, lives = resettled_within(scenario), origins(case, scenario)["home"].to_numpy() >= 0
    for offer in class_offers(case, scenario):
        most = offer.within_minutes
        wide = max(most, moves) if offer.service == "elderly.resident" else most
        key = (offer.travel, wide)
        if key not in made:
            made[key] = _timed(case, places, sites, *key, store)
        found[offer.id] = made[key]
        if wide > most:
            keep = (made[key].minutes <= most) | lives[made[key].origin]
            found[offer.id] = Arcs(*(getattr(made[key], f.name)[keep] for f in fields(Arcs)))
    between = _timed(case, sites, sites, BETWEEN_SITES, DAY, store)
    minutes = np.full((len(sites.ids), len(sites.ids)), np.inf)
    minutes[between.origin, between.destination] = between.minutes
    np.fill_diagonal(minutes, 0.0)
    return found, minutes


def minutes_among(case: Case, site: str, areas: Sequence[str], mode: str) -> Floats:
    """Return (n + 1, n + 1) minutes between a site (first) and some areas by a mode of travel.

    inf where there is no way; 0 from a place to itself.

    Raises
    ------
    InputRefused
        When the case lacks the site or an area.
    """
    sites, places = _sites(case), _areas(case)
    missing = sorted({site} - set(sites.ids) | set(areas) - set(places.ids))
    if missing:
        raise InputRefused(tuple(_not_of_the_case(m) for m in missing))
    a, b = sites.take([i == site for i in sites.ids]), places.take(np.isin(places.ids, areas))
    ends = Places(a.ids + b.ids, np.vstack([a.lonlat, b.lonlat]), a.township_id + b.township_id)
    arcs = _timed(case, ends, ends, mode, DAY)
    minutes = np.full((len(ends.ids), len(ends.ids)), np.inf)
    minutes[arcs.origin, arcs.destination] = arcs.minutes
    np.fill_diagonal(minutes, 0.0)
    order = [0, *(1 + b.ids.index(i) for i in areas)]
    return minutes[np.ix_(order, order)]


def _not_of_the_case(id: str) -> Finding:
    return Finding(
        Rank.ERROR, "unknown-name", Where(id=id),
        Text(f"本县没有 {id}。", f"The case has no {id}."),
        Text("请给出该方案所用的案例文件夹。", "Name the case folder that the plan was made from."),
    )  # fmt: skip


def resettled_within(scenario: Scenario) -> float:
    """Return the minutes within which residents of a closing home may be placed; 0 without a rule."""
    return max(
        (r.resettlement.within_minutes for r in scenario.rules if r.resettlement is not None),
        default=0.0,
    )


def _origins(case: Case, scenario: Scenario) -> Places:
    where, ids = origins(case, scenario), case.region.site_ids
    at = np.maximum(where["home"], where["onward"])
    stands = {a: ids[j] for a, j in zip(where["area_id"], at, strict=True) if j >= 0}
    return Places(
        tuple(where["area_id"]),
        where[["lon", "lat"]].to_numpy(float),
        tuple(where["township_id"]),
        stands,
    )


def _areas(case: Case) -> Places:
    areas = case.region.areas.sort_values("area_id")
    points = areas[["lon", "lat"]].to_numpy(float)
    return Places(tuple(areas["area_id"]), points, tuple(areas["township_id"]))


def _sites(case: Case) -> Places:
    sites = case.region.sites
    points = sites[["lon", "lat"]].to_numpy(float)
    return Places(tuple(sites["site_id"]), points, tuple(sites["township_id"]))


def _timed(
    case: Case, a: Places, b: Places, mode: str, within: float, store: Store | None = None
) -> Arcs:
    spec, crs = case.travel, case.region.crs

    def make() -> Arcs:
        return time_journeys(spec, a, b, mode=mode, within_minutes=within, crs=crs)

    if store is None or not {"network", "surface"} & set(spec.methods):
        return make()
    ends = hashlib.sha256((a.digest + b.digest).encode()).hexdigest()
    parts = {**journey_parts(spec, mode=mode), "ends": ends, "within": within, "crs": crs}
    return store(parts, make)


def travel_findings(
    case: Case, scenario: Scenario, arcs: Mapping[str, Arcs]
) -> tuple[Finding, ...]:
    """Return what a planner must know of the journeys before anything is solved.

    Sites that cannot be travelled to (an error for one that stands today), places out of reach of
    every site, pairs a table leaves out, journeys shorter than the straight line, and how far
    points lie from the network.

    Parameters
    ----------
    arcs
        Journeys by reach class, as `journeys` gives them.
    """
    modes = sorted({o.travel for o in class_offers(case, scenario)})
    return (
        *_lost_sites(case, modes),
        *_lost_places(case, modes),
        *_snapped(case, modes),
        *_unreached(case, scenario, arcs),
        *_left_out(case, modes),
        *_too_short(case, scenario, arcs),
    )


def _lost_sites(case: Case, modes: list[str]) -> Iterator[Finding]:
    sites, today = _sites(case), case.region.sites["today"].to_numpy() != ""
    told: dict[tuple[int, str], tuple[bool, list[str]]] = {}
    for mode in modes:
        for n, reasons in enumerate(_reasons(case, sites, mode, "to_id")):
            why = reasons[0]
            if why in _LOST:
                known, by = told.setdefault((n, why), (False, []))
                told[n, why] = (known or "" in reasons, [*by, mode])
    for (n, why), (timed, by) in sorted(told.items()):
        yield Finding(
            Rank.ERROR if today[n] and not timed else Rank.WARNING,
            f"site-{why}",
            Where(file="sites.csv", id=sites.ids[n]),
            Text(
                f"该设施{_LOST[why].zh}({'、'.join(by)})。",
                f"This facility {_LOST[why].en} ({', '.join(by)}).",
            ),
            _TIMED if timed else _MEND,
        )


def _lost_places(case: Case, modes: list[str]) -> Iterator[Finding]:
    areas = _areas(case)
    for mode in modes:
        lost = [n for n, r in enumerate(_reasons(case, areas, mode, "from_id")) if r[0] in _LOST]
        if lost:
            shown = ", ".join(areas.ids[n] for n in lost[:SHOWN])
            yield Finding(
                Rank.WARNING,
                "places-off-the-map",
                Where(file="areas.csv", id=mode),
                Text(
                    f"{mode}:{len(lost)} 个村不在路网或可通行地面上:{shown}。",
                    f"{mode}: {plural(len(lost), 'place is', 'places are')} off the network or the surface: {shown}.",
                ),
                _TIMED if len(case.travel.methods) > 1 else _MEND,
            )


def _reasons(case: Case, places: Places, mode: str, side: str) -> tuple[tuple[str, ...], ...]:
    return standing(case.travel, places, mode=mode, crs=case.region.crs, side=side)


_LOST: Mapping[str, Text] = {
    "barrier": Text("位于不可通行处", "stands on a barrier"),
    "outside": Text("在图幅之外", "lies outside the map"),
    "zero-speed": Text("所在栅格速度为零", "stands on a cell of zero speed"),
    "off-network": Text("离路网过远", "is too far from any road"),
}
_TIMED = Text("已改用次选来源计时;请核对坐标与路网。", "The next source timed it; check its point and the roads.")  # fmt: skip
_MEND = Text("核对坐标,或补充道路与地类数据。", "Check its point, or complete the roads and the land cover.")  # fmt: skip


def _snapped(case: Case, modes: list[str]) -> Iterator[Finding]:
    """How far the points lie from the roads; the way is walked."""
    if "network" not in case.travel.methods:
        return
    for mode in modes:
        network = case.travel.networks[mode]
        km = np.concatenate(
            [
                snap(network, moved(p.lonlat, case.region.crs, network.crs)).km
                for p in (_areas(case), _sites(case))
            ]
        )
        km = km[np.isfinite(km)]
        if not len(km):
            continue
        middle, most = 1000 * float(np.median(km)), 1000 * float(km.max())
        yield Finding(
            Rank.INFORMATION,
            "snap-distance",
            Where(file="network", id=mode),
            Text(
                f"{mode}:点到路网中位 {middle:,.0f} 米,最远 {most:,.0f} 米。",
                f"{mode}: points lie {middle:,.0f} m from the roads at the median, {most:,.0f} m at most.",
            ),
            Text("这段路按步行计时。", "That way is walked."),
        )


def _unreached(case: Case, scenario: Scenario, arcs: Mapping[str, Arcs]) -> Iterator[Finding]:
    """Places from which no site at all could serve them, with the nearest site and its time."""
    areas, sites = _areas(case), _sites(case)
    offers, from_all = class_offers(case, scenario), len(_origins(case, scenario).ids)
    for service in scenario.services:
        mine = [o for o in offers if o.service == service]
        if not mine:
            continue
        reached = np.zeros(from_all, dtype=bool)
        for offer in mine:
            reached[arcs[offer.id].origin] = True
        lost = np.flatnonzero(~reached[: len(areas.ids)])
        if not len(lost):
            continue
        widest = max(mine, key=lambda o: (o.within_minutes, o.id))
        some = areas.take(~reached[: len(areas.ids)])
        minutes, site = time_nearest(
            case.travel, some, sites, mode=widest.travel, within_minutes=DAY, crs=case.region.crs
        )
        by = MODES.get(widest.travel, Text(widest.travel, widest.travel))
        shown = [
            f"{some.ids[n]} → {sites.ids[site[n]]} ({minutes[n]:.0f} min)"
            if site[n] >= 0
            else f"{some.ids[n]} → –"
            for n in np.argsort(-minutes, kind="stable")[:SHOWN]
        ]
        name = case.catalogue.services[service].name
        listed = "; ".join(shown) + (f"; +{len(lost) - SHOWN}" if len(lost) > SHOWN else "")
        yield Finding(
            Rank.WARNING,
            "places-out-of-reach",
            Where(id=service),
            Text(
                f"{name.zh}:{len(lost)} 个村在时限内(最宽{widest.within_minutes:g}分钟,{by.zh})无任何地点可达,需求计入未满足。{NEAREST.zh}{listed.replace(' min)', '分钟)').replace('; ', '、')}。",
                f"{name.en}: {plural(len(lost), 'place reaches', 'places reach')} no site within the limits (at most {widest.within_minutes:g} minutes, {by.en}); the need counts as unmet. {NEAREST.en} {listed}.",
            ),
            Text(
                "可增设备选地点、放宽时限或安排流动服务。",
                "Add candidate sites, widen the limit or plan mobile service.",
            ),
        )


def _left_out(case: Case, modes: list[str]) -> Iterator[Finding]:
    """Pairs that a table or matrix knows both ends of and gives no journey for."""
    spec = case.travel
    if spec.methods[0] not in ("matrix", "road-table"):
        return
    areas, sites = _areas(case), _sites(case)
    known_a = [not r[0] for r in _reasons(case, areas, modes[0], "from_id")]
    known_b = [not r[0] for r in _reasons(case, sites, modes[0], "to_id")]
    a, b = areas.take(known_a), sites.take(known_b)
    arcs = _timed(case, a, b, modes[0], np.inf)
    for finding in check_missing_pairs(arcs, len(a.ids), len(b.ids)):
        yield Finding(
            finding.rank, finding.code, Where(file=spec.methods[0]), finding.what, finding.remedy
        )


def _too_short(case: Case, scenario: Scenario, arcs: Mapping[str, Arcs]) -> Iterator[Finding]:
    """Journeys shorter than the straight line, each pair once, whatever the mode."""
    if set(case.travel.methods) == {"straight-line"}:
        return
    a, b = _origins(case, scenario), _sites(case)
    told: set[tuple[str, ...]] = set()
    for offer in class_offers(case, scenario):
        found = check_against_straight_line(
            arcs[offer.id], a.lonlat, b.lonlat, a.ids, b.ids,
            fastest_kmh=FASTEST_KMH, crs=case.region.crs,
        )  # fmt: skip
        for finding in found:
            if (finding.what.en,) not in told:
                told.add((finding.what.en,))
                yield finding


def nearest_today(case: Case, scenario: Scenario, people_60: Floats) -> pd.DataFrame:
    """Return the nearest facility that stands today, for every place and service of a scenario.

    Parameters
    ----------
    people_60
        (I,) people of 60 and over by area, in order of id.

    Returns
    -------
    Columns ``service, point, township_id, area_class, people_60, site_id, minutes, in_limit``: a
    row a place and service; ``site_id`` blank and ``minutes`` NaN where nothing stands or no way
    leads there; ``in_limit`` whether it lies within the limit of what it offers.
    """
    today = case.region.sites["today"].to_numpy()
    return _nearest(case, {s: today for s in scenario.services}, people_60)


def nearest_planned(
    case: Case, scenario: Scenario, people_60: Floats, sites: pd.DataFrame, use: pd.DataFrame
) -> pd.DataFrame:
    """Return the nearest facility open at the end of a plan, for every place and service.

    Parameters
    ----------
    people_60
        (I,) people of 60 and over by area at the end, in order of id.
    sites, use
        The tables of a run: the state of each site by year, and its places by service.

    Returns
    -------
    As `nearest_today`.
    """
    end = scenario.years[-1]
    state = sites[sites["year"] == end].set_index("site_id")["state"]
    open_ = use[(use["year"] == end) & (use["places"] > 0)]
    ids = case.region.sites["site_id"]
    standing = {}
    for service in scenario.services:
        there = ids.isin(open_.loc[open_["service"] == service, "site_id"])
        standing[service] = state.reindex(ids).fillna("").where(there.to_numpy(), "").to_numpy()
    return _nearest(case, standing, people_60)


def _nearest(case: Case, standing_types: Mapping[str, np.ndarray], people_60: Floats) -> pd.DataFrame:  # fmt: skip
    """Return the nearest of the sites where a type stands, ``""`` for none, by service."""
    areas, sites = _areas(case), _sites(case)
    table = case.region.areas.sort_values("area_id")
    types = case.catalogue.types

    @functools.cache
    def timed(stands: tuple[bool, ...], mode: str) -> tuple[Floats, np.ndarray]:
        return time_nearest(
            case.travel,
            areas,
            sites.take(stands),
            mode=mode,
            within_minutes=DAY,
            crs=case.region.crs,
        )

    rows = []
    for service, stands in standing_types.items():
        best = np.full(len(areas.ids), np.inf)
        where = np.full(len(areas.ids), -1, dtype=np.int64)
        inside = np.zeros(len(areas.ids), dtype=bool)
        for type_ in sorted(set(stands[stands != ""])):
            at = np.flatnonzero(stands == type_)
            for offer in types[type_].offers if type_ in types else ():
                if offer.service != service:
                    continue
                minutes, site = timed(tuple(stands == type_), offer.travel)
                inside |= minutes <= offer.within_minutes
                nearer = minutes < best
                best[nearer], where[nearer] = minutes[nearer], at[site[nearer]]
        names = np.array([*sites.ids, ""], dtype=object)
        rows.append(
            pd.DataFrame(
                {
                    "service": service,
                    "point": np.arange(1, len(areas.ids) + 1),
                    "township_id": table["township_id"].to_numpy(),
                    "area_class": table["area_class"].to_numpy(),
                    "people_60": people_60,
                    "site_id": names[where],
                    "minutes": np.where(np.isfinite(best), best, np.nan),
                    "in_limit": inside,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def catchments_of(nearest_places: pd.DataFrame) -> pd.DataFrame:
    """Return who is nearest to each facility, from a table such as that of `nearest_today`.

    Returns
    -------
    Columns ``service, site_id`` (blank: no facility), ``places``, ``people_60``,
    ``mean_minutes`` (weighted by people), ``max_minutes``.
    """
    table = nearest_places.assign(person_minutes=lambda t: t["people_60"] * t["minutes"])
    grouped = table.groupby(["service", "site_id"], as_index=False)
    out = grouped.agg(
        places=("point", "size"),
        people_60=("people_60", "sum"),
        person_minutes=("person_minutes", lambda s: s.sum(min_count=1)),
        max_minutes=("minutes", "max"),
    )
    people = out["people_60"].where(out["people_60"] > 0)
    out.insert(4, "mean_minutes", out["person_minutes"] / people)
    return out.drop(columns="person_minutes")
