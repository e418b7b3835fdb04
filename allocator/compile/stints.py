"""Which stints each site may follow, with their offers and what they use of each pool."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

from allocator.case import Case
from allocator.catalogue import FacilityType, Provision
from allocator.compile.joint import main_service
from allocator.compile.norms import barred_offers
from allocator.rules import Floats, Ints
from allocator.scenario import Scenario
from allocator.schema import SCREENING

__all__ = [
    "POOLS", "TO_DATE", "Stints", "annuity", "make_stints", "pools_of", "present_value", "tiers_of",
]  # fmt: skip

POOLS = (
    "capital", "running", "care_workers", "land", "floor_area", "vehicle_hours", "purchased_places",
)  # fmt: skip
CLOSED = "closed"
TO_DATE = "to-date"
BARE = {
    "none": "absent",
    "idle-school": "idle-school",
    "vacant-building": "vacant-building",
    "leased": "leased",
}
SCREENS = (
    "zoning",
    "hazard",
    "flood",
    "land_use",
    "ownership",
    "structure",
    "fire_access",
    "consent",
)


@dataclass(frozen=True, eq=False)
class Stints:
    """Stints and offers of all sites as arrays (see `problem.Problem`), and their money by part.

    ``capital`` (P,) and ``capital_place`` (F,) are yuan at the opening period's prices, before
    discounting; ``life`` (P,) years.
    """

    options: tuple[str, ...]
    modes: tuple[str, ...]
    start: Ints
    site: Ints
    from_: Ints
    option: Ints
    first: Ints
    last: Ints
    mode: Ints
    offer_stint: Ints
    offer_class: Ints
    offer_min: Floats
    offer_max: Floats
    offer_module: Floats
    capital: Floats
    capital_place: Floats
    life: Floats
    use_stint: csr_array
    use_place: csr_array


@dataclass(frozen=True)
class _Stint:
    site: int
    from_: str
    option: str
    first: int
    last: int
    mode: str
    type: FacilityType | None
    provision: Provision | None
    kept: Mapping[str, float] | None  # places by service of a facility kept as it is
    least: Mapping[str, float]  # places by service already there, for an extension
    size: tuple[float, float] = (0.0, math.inf)  # bounds of the main service's places
    grant: float = 0.0  # yuan a new place of the main service
    most: Mapping[str, float] = field(default_factory=dict)  # places by service at most


def make_stints(
    case: Case, scenario: Scenario, classes: Sequence[str], pools: Sequence[str]
) -> Stints:
    """Return every stint that the case and the scenario's levers allow.

    A site keeps today's state until it changes once; what a plan opens stays to the horizon. A
    provision that takes longer to set up than its period opens in the next one. A site with a
    screening column of 否 takes nothing new.
    """
    found: list[_Stint] = []
    start: list[str] = []
    homes = case.region.homes.set_index("site_id")
    for j, site in enumerate(case.region.sites.itertuples(index=False)):
        home = homes.loc[site.site_id] if site.site_id in homes.index else None
        state = str(site.today) or BARE[str(site.building)]
        start.append(state)
        found += _stints_of_site(case, scenario, j, site, state, home)
    bought, own = barred_offers(case, scenario)
    found = [s for s in found if _serves(s, scenario, bought, own)]
    return _arrays(case, scenario, found, start, classes, pools)


def _stints_of_site(
    case: Case, scenario: Scenario, j: int, site: object, state: str, home: pd.Series | None
) -> Iterator[_Stint]:
    last = len(scenario.periods) - 1
    today = case.catalogue.types.get(state)
    existing = _places_today(today, home)
    for until in range(last + 1):
        yield _Stint(j, state, state, 0, until, "keep", today, None, existing, {})
    levers = scenario.options
    if today is not None and "close" in levers.modes and today.ownership != "bureau":
        for t in range(last + 1):
            yield _Stint(j, state, CLOSED, t, last, "close", None, None, None, {})
    if "shrink" in levers.modes and today is not None and home is not None and existing:
        yield from _smaller(j, today, home, existing, last)
    if any(getattr(site, c) == SCREENING[1] for c in SCREENS):
        return
    for type_ in case.catalogue.types.values():
        joint = any(type_.id == spec.id for spec in levers.joint)
        if levers.types is not None and type_.id not in levers.types and not joint:
            continue
        if str(site.area_class) not in type_.area_classes:  # type: ignore[attr-defined]
            continue
        if _is_forbidden(scenario, type_, str(site.area_class)):  # type: ignore[attr-defined]
            continue
        if not any(o.service in scenario.services for o in type_.offers):
            continue
        for provision in type_.provisions:
            if provision.mode not in levers.modes or state not in provision.from_states:
                continue
            if provision.mode != "extend" and _is_anothers(today, scenario):
                continue
            for t in range(last + 1):
                opens = _opening_period(scenario, t, provision.setup_years)
                if opens is not None and (opens == t or t == 0):
                    least = existing if provision.mode == "extend" and existing else {}
                    for low, high, grant in _size_steps(
                        scenario,
                        type_,
                        provision.mode,
                        _sizes(scenario, str(site.site_id), type_, least),  # type: ignore[attr-defined]
                    ):
                        yield _Stint(
                            j, state, type_.id, opens, last, provision.mode, type_, provision, None,
                            least, (low, high), grant,
                        )  # fmt: skip


def _smaller(
    j: int, today: FacilityType, home: pd.Series, existing: Mapping[str, float], last: int
) -> Iterator[_Stint]:
    """A home of today with fewer places (压减), as many as it has residents and its type at least."""
    main = main_service(today)
    floor = next(o.places_min for o in today.offers if o.service == main)
    least = {main: max(floor, float(home["residents"]))}
    if least[main] < existing[main]:
        for t in range(last + 1):
            yield _Stint(
                j, today.id, today.id, t, last, "shrink", today, None, None, least, most=existing
            )


def _is_anothers(today: FacilityType | None, scenario: Scenario) -> bool:
    """Whether a facility of another bureau serves needs that the scenario does not plan.

    A school is given another use only where its pupils are planned for in the same problem.
    """
    if today is None or today.ownership != "bureau":
        return False
    return any(o.service not in scenario.services for o in today.offers)


def _sizes(
    scenario: Scenario, site: str, type_: FacilityType, least: Mapping[str, float]
) -> tuple[float, float]:
    """Bounds of the main service's places at a site, as the scenario's levers leave them."""
    service = main_service(type_)
    main = next(o for o in type_.offers if o.service == service)
    named = _named_places(scenario, site, type_)
    if named is not None:
        return named, named
    low = max(main.places_min, least.get(service, 0.0))
    return low, min(main.places_max, _most_places(scenario, type_))


def _size_steps(
    scenario: Scenario, type_: FacilityType, mode: str, sizes: tuple[float, float]
) -> list[tuple[float, float, float]]:
    """Cut the sizes of a facility where grants begin and end: (least, most, grant a place)."""
    low, high = sizes
    grants = [
        g
        for g in scenario.options.subsidies
        if (g.types is None or type_.id in g.types) and (g.modes is None or mode in g.modes)
    ]
    edges = {g.places_min for g in grants} | {math.floor(g.places_max) + 1.0 for g in grants}
    cuts = [0.0, *sorted(e for e in edges if low < e <= high)]
    steps = []
    for least, after in zip(cuts, [*cuts[1:], math.inf], strict=True):
        at = max(least, low)
        grant = sum(g.yuan_place for g in grants if g.places_min <= at <= g.places_max)
        steps.append((least, after - 1.0, grant))
    return steps


def pools_of(scenario: Scenario) -> tuple[str, ...]:
    """Return the pools a problem needs: the scenario's, and groups of tiers of a divided one.

    A pool divided among tiers is followed for every group of tiers but the whole, named
    ``care_workers:township+village``: what a group uses fits its own supply and what the others
    lend exactly when each tier can be served (the cut condition of a flow through one hub). What is
    carried over is followed as ``capital:to-date``, where each period bears all spent until then, and
    so are its groups of tiers (``capital:township:to-date``).
    """
    found: list[str] = []
    for pool in POOLS:
        spec = scenario.resources.get(pool)  # type: ignore[call-overload]
        if spec is None:
            continue
        found.append(pool)
        if spec.carry_over:
            found.append(f"{pool}:{TO_DATE}")
        tiers = sorted(spec.tiers)
        if spec.secondment < 1:
            for size in range(1, len(tiers)):
                end = f":{TO_DATE}" if spec.carry_over else ""
                found += [f"{pool}:{'+'.join(some)}{end}" for some in combinations(tiers, size)]
    return tuple(found)


def tiers_of(pool: str) -> frozenset[str] | None:
    """Return the tiers a pool follows, None for all."""
    tiers = pool.removesuffix(f":{TO_DATE}").partition(":")[2]
    return frozenset(tiers.split("+")) if tiers else None


def _serves(s: _Stint, scenario: Scenario, bought: frozenset[str], own: frozenset[str]) -> bool:
    """Whether a stint that opens something still offers a service; new items are bought first."""
    if s.type is None or s.provision is None or s.mode not in own:
        return True
    return any(o.service in scenario.services and o.service not in bought for o in s.type.offers)


def _is_forbidden(scenario: Scenario, type_: FacilityType, area_class: str) -> bool:
    return any(
        f.above_places is None and f.type in (None, type_.id) and f.area_class in (None, area_class)
        for f in scenario.options.forbid
    )


def _opening_period(scenario: Scenario, t: int, setup_years: float) -> int | None:
    """First period by whose end a facility begun in period ``t`` serves; None past the horizon."""
    left = setup_years
    for later in range(t, len(scenario.periods)):
        if left < scenario.periods[later].years:
            return later
        left -= scenario.periods[later].years
    return None


def _places_today(type_: FacilityType | None, home: pd.Series | None) -> Mapping[str, float] | None:
    """Places by service of a facility as the roll of homes counts them."""
    if type_ is None:
        return None
    places: dict[str, float] = {}
    for offer in type_.offers:
        if home is not None and offer.service == "elderly.resident":
            places[offer.service] = float(home["places"])
        elif home is not None and offer.service == "elderly.day":
            places[offer.service] = float(home["day_places"])
        else:
            places[offer.service] = offer.places_min
    return places


def _arrays(
    case: Case,
    scenario: Scenario,
    found: list[_Stint],
    start: Sequence[str],
    classes: Sequence[str],
    pools: Sequence[str],
) -> Stints:
    found = sorted(
        found, key=lambda s: (s.site, s.option, s.from_, s.first, s.last, s.mode, s.size)
    )
    options = tuple(sorted({s.option for s in found} | {s.from_ for s in found} | {CLOSED}))
    modes = tuple(sorted({s.mode for s in found}))
    at = {o: n for n, o in enumerate(options)}
    class_at = {c: n for n, c in enumerate(classes)}
    periods = len(scenario.periods)
    offers: list[tuple[int, int, float, float, float, float]] = []
    capital = np.zeros(len(found))
    life = np.full(len(found), np.inf)
    use_y: list[tuple[int, int, float]] = []
    use_n: list[tuple[int, int, float]] = []
    pool_at = {k: n for n, k in enumerate(pools)}
    bought, own = barred_offers(case, scenario)
    site_ids = case.region.site_ids
    land = case.region.sites["land_m2"].to_numpy(float) if "land" in pools else np.zeros(0)

    def put(
        use: list[tuple[int, int, float]], row: int, pool: str, tier: str, span: range, v: float
    ) -> None:
        for name, k in pool_at.items() if v else ():
            tiers = tiers_of(name)
            if name.partition(":")[0] == pool and (tiers is None or tier in tiers):
                when = range(span.start, periods) if name.endswith(f":{TO_DATE}") else span
                use.extend((row, k * periods + t, v) for t in when)

    for p, s in enumerate(found):
        if s.type is None:
            continue
        span, tier = range(s.first, s.last + 1), s.type.tier
        if not any(o.service in scenario.services for o in s.type.offers):
            continue
        put(use_y, p, "running", tier, span, s.type.running_yuan_year)
        put(use_y, p, "care_workers", tier, span, s.type.staff_fixed)
        if len(land) and s.mode == "build" and np.isfinite(land[s.site]):
            put(use_y, p, "land", tier, span, land[s.site])
        if s.provision is not None:
            already = sum(_capital_place(s, k) * n for k, n in s.least.items())
            capital[p] = s.provision.capital_yuan_fixed - already
            life[p] = s.provision.life_years
            put(use_y, p, "capital", tier, range(s.first, s.first + 1), capital[p])
        for offer in s.type.offers:
            if offer.service not in scenario.services or offer.id not in class_at:
                continue
            if offer.service in bought and s.provision is not None and s.mode in own:
                continue
            low, high, module = offer.places_min, offer.places_max, offer.module
            if s.kept is not None:
                low = high = s.kept[offer.service]
                module = 0.0
            else:
                low = max(low, s.least.get(offer.service, 0.0))
                high = min(
                    high, _most_places(scenario, s.type), s.most.get(offer.service, math.inf)
                )
                low = min(low, high) if offer.service != main_service(s.type) and s.most else low
                if offer.service == main_service(s.type):
                    named = _named_places(scenario, site_ids[s.site], s.type)
                    if named is not None:
                        low, high, module = named, named, 0.0
                    low, high = max(low, s.size[0]), min(high, s.size[1])
            if high <= 0 or low > high:
                continue
            per_place = _capital_place(s, offer.service)
            f = len(offers)
            offers.append((p, class_at[offer.id], low, high, module, per_place))
            put(use_n, f, "capital", tier, range(s.first, s.first + 1), per_place)
            put(use_n, f, "running", tier, span, offer.running_yuan_place_year)
            put(use_n, f, "floor_area", tier, span, offer.floor_area_m2_place)
            put(use_n, f, "purchased_places", tier, span, 1.0 if s.mode == "purchase" else 0.0)
    table = np.array(offers, dtype=float).reshape(-1, 6)
    shape = len(pools) * periods
    return Stints(
        options, modes, np.array([at[s] for s in start]),
        np.array([s.site for s in found]), np.array([at[s.from_] for s in found]),
        np.array([at[s.option] for s in found]), np.array([s.first for s in found]),
        np.array([s.last for s in found]), np.array([modes.index(s.mode) for s in found]),
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3],
        table[:, 4], capital, table[:, 5], life,
        _sparse(use_y, len(found), shape), _sparse(use_n, len(offers), shape),
    )  # fmt: skip


def _capital_place(s: _Stint, service: str) -> float:
    """Capital a place: the main service bears the provision's price less any grant.

    Other services share the building, save where they have a price of their own.
    """
    if s.provision is None or s.type is None:
        return 0.0
    main = main_service(s.type)
    price = s.provision.price_by_service.get(service)
    if price is None:
        price = s.provision.capital_yuan_place if service == main else 0.0
    return max(price - s.grant, 0.0) if service == main else price


def _named_places(scenario: Scenario, site: str, type_: FacilityType) -> float | None:
    """Places that a forced site is to have, where the scenario names them."""
    for spec in scenario.options.force:
        if spec.site == site and spec.type in (None, type_.id) and spec.places is not None:
            return spec.places
    return None


def _most_places(scenario: Scenario, type_: FacilityType) -> float:
    return min(
        (
            f.above_places
            for f in scenario.options.forbid
            if f.above_places is not None and f.type in (None, type_.id)
        ),
        default=math.inf,
    )


def _sparse(entries: list[tuple[int, int, float]], rows: int, columns: int) -> csr_array:
    r, c, v = zip(*entries, strict=True) if entries else ((), (), ())
    return csr_array(
        coo_array((np.array(v, float), (np.array(r, int), np.array(c, int))), shape=(rows, columns))
    )


def present_value(scenario: Scenario) -> Floats:
    """(T,) worth today of one yuan paid in the first year of each period."""
    years = np.array([p.from_ - scenario.base_year for p in scenario.periods], float)
    return np.asarray((1 + scenario.discount_rate) ** -years)


def annuity(scenario: Scenario) -> Floats:
    """(T,) worth today of one yuan paid in every year of each period."""
    worth = []
    for p in scenario.periods:
        years = np.arange(p.from_, p.to + 1) - scenario.base_year
        worth.append(float(((1 + scenario.discount_rate) ** -years.astype(float)).sum()))
    return np.array(worth)
