"""Rules of a scenario, resolved to the sets of a problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.case import Case
from allocator.compile.norms import norms_by_period, share_by_period
from allocator.compile.stints import TO_DATE, Stints, tiers_of
from allocator.demand import GROUPS
from allocator.errors import Text, plural
from allocator.region import AREA_CLASSES
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Coverage,
    Deviation,
    Floats,
    Floor,
    Forced,
    Gini,
    Hub,
    Ints,
    Link,
    MeanTravel,
    Nearest,
    Payer,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Rule,
    Scale,
    Served,
    SiteCount,
    SiteStates,
    WorstGroup,
)
from allocator.scenario import (
    CoverageRule,
    EvenRule,
    ForceSpec,
    HubRule,
    NearestRule,
    NursingRule,
    OverflowRule,
    PlacesRule,
    ReferralRule,
    ReservedRule,
    ResettleRule,
    RoomRule,
    Scenario,
    ServedRule,
    SitesRule,
    TravelRule,
)

__all__ = ["Sets", "make_rules"]

POOL_WORDS = {
    "capital": Text("投资", "capital"),
    "running": Text("年运行资金", "running money"),
    "care_workers": Text("养老护理员", "care workers"),
    "land": Text("用地", "land"),
    "floor_area": Text("建筑面积", "floor area"),
    "vehicle_hours": Text("车辆工时", "vehicle-hours"),
    "purchased_places": Text("可购买的民办床位", "places that suppliers can sell"),
}
TIER_WORDS = {
    "county": Text("县级", "county"),
    "township": Text("乡镇级", "township"),
    "village": Text("村级", "village"),
    "community": Text("社区", "community"),
}


@dataclass(frozen=True, eq=False)
class Sets:
    """Everything rules are resolved against."""

    areas: pd.DataFrame  # of `compile.origins`
    stints: Stints
    services: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    class_service: Ints
    pools: tuple[str, ...]
    need: Floats
    people: Mapping[str, Floats]  # "60+" ... -> (I, T)
    arc_area: Ints
    arc_site: Ints
    arc_class: Ints
    arc_minutes: Floats
    site_minutes: Floats  # (J, J)

    @property
    def ordinary(self) -> npt.NDArray[np.bool_]:
        """(I,) areas where people live at home."""
        at_site = self.areas[["home", "onward"]].to_numpy() >= 0
        return np.asarray(~at_site.any(axis=1))


def make_rules(case: Case, scenario: Scenario, sets: Sets) -> tuple[Rule, ...]:
    """Return structural rules, pools, levers and the scenario's own rules, ids unique."""
    found = [*_structural(), *_pools(scenario, sets), *_levers(case, scenario, sets)]
    for number, spec in enumerate(scenario.rules, 1):
        found += _of_spec(case, scenario, sets, spec.value, f"{number:02d}")
    part = _part(sets)
    main = "elderly.resident" if "elderly.resident" in sets.services else sets.services[0]
    service = sets.services.index(main)
    names = {n for e in scenario.objective for n in (e if isinstance(e, Mapping) else (e,))}
    if "worst-area" in names:
        words = Text("相对薄弱乡镇", "worst township")
        found.append(WorstGroup(id="worst-area", words=words, service=service, part=part))
    if "deviation" in names:
        words = Text("乡镇间离差", "deviation between townships")
        found.append(Deviation(id="deviation", words=words, service=service, part=part))
    return tuple(found)


def _structural() -> Iterator[Rule]:
    yield Balance(
        id="balance",
        words=Text(
            "每份需求要么得到服务,要么计为未满足", "every need is served or counted as unmet"
        ),
    )
    yield Acceptance(
        id="acceptance",
        words=Text("远而贵的服务只有部分人愿意使用", "few accept far or dear places"),
    )
    yield Capacity(id="capacity", words=Text("使用不超过床位和名额", "use stays within places"))
    yield Scale(id="scale", words=Text("规模适度", "moderate scale"))
    yield Link(
        id="link", words=Text("没有设施就没有服务", "nobody is served where nothing is open")
    )
    yield SiteStates(
        id="site", words=Text("每个地点同一时期只有一种状态", "one state a site at a time")
    )


def _pools(scenario: Scenario, sets: Sets) -> Iterator[Rule]:
    for number, name in enumerate(sets.pools):
        pool, tiers = name.partition(":")[0], tiers_of(name)
        spec = scenario.resources[pool]  # type: ignore[index]
        supply = np.array([spec.supply[p.from_] for p in scenario.periods], float)
        # What a period leaves may be spent later, and so may what its payers had not yet paid.
        most = np.arange(1, len(supply) + 1) if spec.carry_over else np.ones(len(supply))
        payers = tuple(
            Payer(who, p.share, tuple(np.where(p.cap >= 1e29, np.inf, p.cap * most).tolist()))
            for who, p in sorted(spec.payers.items())
        )
        words = POOL_WORDS[pool]
        if spec.carry_over:
            supply = np.cumsum(supply)
        if name.endswith(f":{TO_DATE}"):
            words = Text(
                f"累计{words.zh}(含结转)", f"{words.en} to date, with what is carried over"
            )
        if tiers is not None:
            own = sum(share for tier, share in spec.tiers.items() if tier in tiers)
            supply, payers = supply * (own + spec.secondment * (1 - own)), ()
            zh = "、".join(TIER_WORDS.get(t, Text(t, t)).zh for t in sorted(tiers))
            words = Text(
                f"{zh}{words.zh}(含借调)", f"{', '.join(sorted(tiers))} {words.en} with secondment"
            )
        yield Resource(
            id=f"resource-{name}",
            words=Text(f"{words.zh}不超过可用数额", f"{words.en} within supply"),
            pool=number,
            supply=np.where(supply >= 1e29, np.inf, supply),
            payers=payers,
            in_expectation=spec.in_expectation,
        )


def _levers(case: Case, scenario: Scenario, sets: Sets) -> Iterator[Rule]:
    for wanted, specs in ((True, scenario.options.force), (False, scenario.options.ban)):
        for n, spec in enumerate(specs, 1):
            word = Text("指定", "forced") if wanted else Text("禁止", "banned")
            site = list(case.region.sites["site_id"]).index(spec.site)
            name, type_ = _site_name(case, site), case.catalogue.types.get(spec.type or "")
            what = type_.name if type_ else Text(spec.type or "", spec.type or "")
            for t in _periods_from(scenario, spec.by):
                yield Forced(
                    id=f"{'force' if wanted else 'ban'}-{n:02d}-{t}",
                    words=Text(
                        f"{word.zh}{name.zh}{what.zh}",
                        f"{word.en}: {f'{what.en} at ' if what.en else ''}{name.en}",
                    ),
                    site=site,
                    options=_options(
                        sets, (spec.type,) if spec.type else _any_type(case, sets, spec)
                    ),
                    period=t,
                    wanted=wanted,
                )


def _site_name(case: Case, site: int) -> Text:
    """Name of a site, its id where it has none."""
    row = case.region.sites.iloc[site]
    zh = str(row["name_zh"] or row["site_id"])
    return Text(zh, str(row["name_en"] or zh))


def _any_type(case: Case, sets: Sets, spec: ForceSpec) -> tuple[str, ...]:
    return tuple(o for o in sets.stints.options if o in case.catalogue.types)


def _periods_from(scenario: Scenario, year: int | None) -> list[int]:
    """Periods that end in or after the year; all where none is given."""
    return [t for t, p in enumerate(scenario.periods) if year is None or p.to >= year]


def _share(scenario: Scenario, share: float, from_: int | None) -> Floats:
    wanted = _periods_from(scenario, from_)
    return np.array([share if t in wanted else 0.0 for t in range(len(scenario.periods))])


def _options(sets: Sets, names: tuple[str, ...]) -> Ints:
    return np.array([n for n, o in enumerate(sets.stints.options) if o in names], np.int64)


def _part(sets: Sets) -> Ints:
    """Township of each area as a number; residents of homes and those sent on belong to none."""
    codes, _ = pd.factorize(sets.areas["township_id"], sort=True)
    return np.where(sets.ordinary, codes, -1).astype(np.int64)


def _of_spec(case: Case, scenario: Scenario, sets: Sets, spec: object, n: str) -> Iterator[Rule]:
    if isinstance(spec, CoverageRule):
        yield from _coverage(case, scenario, sets, spec, n)
    elif isinstance(spec, ServedRule):
        yield _served(case, scenario, sets, spec, n)
    elif isinstance(spec, PlacesRule):
        yield _places(case, scenario, sets, spec, n)
    elif isinstance(spec, NursingRule):
        share = {o.id: o.nursing_share for t in case.catalogue.types.values() for o in t.offers}
        whole = _offers_of(sets, "elderly.resident").astype(float)
        part = whole * np.array([share[sets.classes[c]] for c in sets.stints.offer_class])
        asked = share_by_period(case, scenario, spec)
        yield PlacesShare(
            id=f"nursing-{n}", price=None if spec.hard else 1.0, source=_source(case, scenario, spec.standard),
            words=Text(f"护理型床位占比不低于{asked.max():.0%}", f"nursing places at least {asked.max():.0%}"),
            part=part, whole=whole, share=asked,
        )  # fmt: skip
    elif isinstance(spec, ResettleRule):
        yield from _resettlement(case, sets, spec)
    elif isinstance(spec, HubRule):
        near = np.argwhere(sets.site_minutes <= spec.within_minutes)
        yield Hub(
            id=f"hub-{n}", words=Text("村级点须有乡镇中心支撑", "points need a hub in reach"),
            point_options=_options(sets, spec.types), hub_options=_options(sets, spec.hubs),
            pair_site=near[:, 0], pair_hub=near[:, 1],
        )  # fmt: skip
    elif isinstance(spec, SitesRule):
        t = len(scenario.periods)
        yield SiteCount(
            id=f"sites-{n}",
            words=_count_words(case, spec),
            options=_options(sets, spec.types),
            minimum=np.full(t, float(spec.at_least)), maximum=np.full(t, float(spec.at_most)),
        )  # fmt: skip
    elif isinstance(spec, EvenRule):
        name = _service(case, spec.service)
        limited = _share(scenario, 1.0, spec.from_) > 0
        if spec.index == "gini":
            yield Gini(
                id=f"even-{n}", words=Text(f"{name.zh}乡镇间满足率基尼系数不超过{spec.at_most:.3g}", f"{name.en}: Gini index of townships' served shares at most {spec.at_most:.3g}"),
                service=sets.services.index(spec.service), part=_part(sets),
                ceiling=np.where(limited, spec.at_most, 1.0),
            )  # fmt: skip
            return
        yield Deviation(
            id=f"even-{n}", words=Text(f"{name.zh}乡镇间须调剂的服务不超过{100 * spec.at_most:.3g}%", f"{name.en}: at most {100 * spec.at_most:.3g}% would have to move between townships"),
            service=sets.services.index(spec.service), part=_part(sets),
            ceiling=np.where(limited, spec.at_most, 1.0),
        )  # fmt: skip
    elif isinstance(spec, TravelRule):
        name = _service(case, spec.service)
        limited = _share(scenario, 1.0, spec.from_) > 0
        yield MeanTravel(
            id=f"travel-{n}", words=Text(f"{name.zh}平均出行不超过{spec.at_most_minutes:g}分钟", f"{name.en}: mean travel at most {spec.at_most_minutes:g} minutes"),
            service=sets.services.index(spec.service),
            minutes=np.where(limited, spec.at_most_minutes, np.inf),
        )  # fmt: skip
    elif isinstance(spec, ReferralRule | OverflowRule):
        yield _referral(case, scenario, sets, spec, n)
    elif isinstance(spec, NearestRule):
        name = _service(case, spec.service)
        yield Nearest(
            id=f"nearest-{n}", words=Text(f"{name.zh}就近使用", f"{name.en}: people use the nearest open place"),
            service=sets.services.index(spec.service),
        )  # fmt: skip
    elif isinstance(spec, RoomRule):
        yield _room(case, sets, spec, n)
    elif isinstance(spec, ReservedRule):
        classes = _classes(case, sets, spec.service, spec.types)
        groups = np.array([sets.groups.index(g) for g in spec.groups], np.int64)
        whom = [_group(g) for g in spec.groups]
        yield Reserved(
            id=f"reserved-{n}", words=Text(f"为{'、'.join(g.zh for g in whom)}对象保留{spec.share:.0%}床位", f"{spec.share:.0%} of places kept for {', '.join(g.en.lower() for g in whom)}"),
            classes=classes, groups=groups, share=spec.share,
        )  # fmt: skip


def _count_words(case: Case, spec: SitesRule) -> Text:
    """Say the bounds of a number of sites; one that is not stated is left out."""
    types = case.catalogue.types
    names = [types[t].name if t in types else Text(t, t) for t in spec.types]
    zh, en = "、".join(n.zh for n in names), ", ".join(n.en for n in names)
    if spec.at_most >= SitesRule.model_fields["at_most"].default:
        return Text(
            f"{zh}不少于{spec.at_least}处", f"{en}: at least {plural(spec.at_least, 'site')}"
        )
    if not spec.at_least:
        return Text(f"{zh}不多于{spec.at_most}处", f"{en}: at most {plural(spec.at_most, 'site')}")
    return Text(f"{zh}数量 {spec.at_least}–{spec.at_most}", f"{en}: {spec.at_least} to {spec.at_most} sites")  # fmt: skip


def _room(case: Case, sets: Sets, spec: RoomRule, n: str) -> Room:
    """Standing buildings of known floor area; a joint type's parts save what its offers say."""
    stints, types = sets.stints, case.catalogue.types
    floor = case.region.sites["floor_area_m2"].to_numpy(float)[stints.site]
    modes = [m for m, name in enumerate(stints.modes) if name in spec.modes]
    some = np.flatnonzero(np.isin(stints.mode, modes) & (floor > 0))
    area = {(t.id, o.id): o.floor_area_m2_place for t in types.values() for o in t.offers}
    each = [
        area.get((stints.options[stints.option[p]], sets.classes[c]), 0.0)
        for p, c in zip(stints.offer_stint, stints.offer_class, strict=True)
    ]
    return Room(
        id=f"room-{n}", words=Text("改造规模不超过现有建筑面积", "conversions fit the building's floor area"),
        stints=some, room=floor[some], offer_area=np.array(each, float),
    )  # fmt: skip


def _service(case: Case, id: str) -> Text:
    """Name of a service, its id where the catalogue has none."""
    known = case.catalogue.services.get(id)
    return known.name if known else Text(id, id)


def _group(id: str) -> Text:
    """Name of a group of need, its id where it has none."""
    return GROUPS.get(id, Text(id, id))


def _classes(case: Case, sets: Sets, service: str, types: tuple[str, ...] | None) -> Ints:
    """Reach classes of a service, of the facility types named or of all."""
    known = case.catalogue.types.values()
    named = {o.id for t in known if types is None or t.id in types for o in t.offers}
    mine = sets.class_service == sets.services.index(service)
    return np.flatnonzero(mine & np.isin(np.array(sets.classes), sorted(named)))


def _referral(
    case: Case, scenario: Scenario, sets: Sets, spec: ReferralRule | OverflowRule, n: str
) -> Referral:
    """Every site with its onward origin; one that never offers the service sends nobody on."""
    origins = np.flatnonzero(sets.areas["area_id"].str.startswith(f"onward:{n}:"))
    whole = isinstance(spec, OverflowRule)
    name, to = _service(case, spec.service), _service(case, spec.onward)
    return Referral(
        id=f"{'overflow' if whole else 'referral'}-{n}",
        words=Text(
            f"{name.zh}就地接收者全部转由{to.zh}服务" if whole else f"{name.zh}服务对象中{spec.share:.1%}转由{to.zh}服务",
            f"all whom {name.en.lower()} receives go on to {to.en.lower()}" if whole else f"{spec.share:.1%} of those served by {name.en.lower()} go on to {to.en.lower()}",
        ),
        site=sets.areas["onward"].to_numpy(np.int64)[origins], area=origins.astype(np.int64),
        classes=_classes(case, sets, spec.service, spec.types),
        service=sets.services.index(spec.onward), share=_share(scenario, float(spec.share), spec.from_),
    )  # fmt: skip


def _offers_of(sets: Sets, service: str) -> npt.NDArray[np.bool_]:
    if service not in sets.services:
        return np.zeros(len(sets.stints.offer_class), bool)
    wanted = sets.class_service == sets.services.index(service)
    return np.asarray(wanted[sets.stints.offer_class])


def _areas(sets: Sets, area_class: str | None) -> Ints:
    chosen = sets.ordinary
    if area_class is not None:
        chosen &= (sets.areas["area_class"] == area_class).to_numpy()
    return np.flatnonzero(chosen)


def _source(case: Case, scenario: Scenario, standard: str | None) -> str:
    """Number and year of the norms that a rule rests on, and whether one is unconfirmed."""
    if standard is None:
        return "design"
    norms = [s for s in norms_by_period(case, scenario, standard) if s is not None]
    words = list(dict.fromkeys(s.basis for s in norms))
    if any(s.mark == "unconfirmed" for s in norms):
        words.append("未核实 unconfirmed")
    return "; ".join(words)


def _places(case: Case, scenario: Scenario, sets: Sets, spec: PlacesRule, n: str) -> PlacesRatio:
    wanted = _share(scenario, 1.0, spec.from_)
    if spec.standard is None:
        assert spec.per_1000 is not None
        minimum = sets.people[spec.people].sum(0) * spec.per_1000 / 1000
        value, per = spec.per_1000, 1000.0
    else:
        versions = norms_by_period(case, scenario, spec.standard)
        minimum, value, per = np.zeros(len(wanted)), 0.0, 1000.0
        for t, s in enumerate(versions):
            if s is not None and wanted[t]:
                per, value = case.catalogue.units[s.unit].per_persons, s.value
                minimum[t] = sets.people[s.group][:, t].sum() * value / per
    name = _service(case, spec.service)
    return PlacesRatio(
        id=f"places-{n}", price=None if spec.hard else 1.0, source=_source(case, scenario, spec.standard),
        words=Text(f"{name.zh}每{per:,.0f}人不少于{value:g}", f"{name.en}: at least {value:g} per {per:,.0f} persons"),
        offer_weight=_offers_of(sets, spec.service).astype(float),
        minimum=np.where(wanted > 0, minimum, 0.0),
    )  # fmt: skip


def _coverage(
    case: Case, scenario: Scenario, sets: Sets, spec: CoverageRule, n: str
) -> Iterator[Coverage]:
    """One rule, or one a distinct reach where the norm of reach changes over the plan."""
    share = share_by_period(case, scenario, spec)
    if spec.within_minutes is not None:
        yield _covered(case, scenario, sets, spec, f"coverage-{n}", spec.within_minutes, share)
        return
    assert spec.standard is not None
    reach = [s.value if s else None for s in norms_by_period(case, scenario, spec.standard)]
    values = sorted({r for r in reach if r is not None}, reverse=True)
    for k, minutes in enumerate(values):
        id = f"coverage-{n}" if len(values) == 1 else f"coverage-{n}-{k + 1}"
        part = np.where([r == minutes for r in reach], share, 0.0)
        yield _covered(case, scenario, sets, spec, id, minutes, part)


def _covered(
    case: Case, scenario: Scenario, sets: Sets, spec: CoverageRule, id: str, minutes: float, share: Floats
) -> Coverage:  # fmt: skip
    areas = _areas(sets, spec.area_class)
    position = np.full(len(sets.areas), -1)
    position[areas] = np.arange(len(areas))
    near = (position[sets.arc_area] >= 0) & (sets.arc_minutes <= minutes)
    stints = sets.stints
    arcs = pd.DataFrame(
        {
            "area": position[sets.arc_area[near]],
            "site": sets.arc_site[near],
            "class": sets.arc_class[near],
        }
    )
    offers = pd.DataFrame(
        {
            "site": stints.site[stints.offer_stint],
            "class": stints.offer_class,
            "offer": np.arange(len(stints.offer_class)),
        }
    )[_offers_of(sets, spec.service)]
    pairs = arcs.merge(offers, on=["site", "class"])[["area", "offer"]].drop_duplicates()
    pairs = pairs.sort_values(["area", "offer"])
    name, where = _service(case, spec.service), Text("", "")
    if spec.area_class:
        place = AREA_CLASSES.get(spec.area_class, Text(spec.area_class, spec.area_class))
        where = Text(f"({place.zh})", f" ({place.en.lower()})")
    return Coverage(
        id=id, price=None if spec.hard else 1.0, source=_source(case, scenario, spec.standard),
        words=Text(
            f"{share.max():.0%}人口{minutes:g}分钟内可达{name.zh}{where.zh}",
            f"{share.max():.0%} of people within {minutes:g} minutes of {name.en.lower()}{where.en}",
        ),
        areas=areas, people=sets.people[spec.people][areas],
        pair_area=pairs["area"].to_numpy(np.int64), pair_offer=pairs["offer"].to_numpy(np.int64),
        share=share,
    )  # fmt: skip


def _served(case: Case, scenario: Scenario, sets: Sets, spec: ServedRule, n: str) -> Rule:
    service = sets.services.index(spec.service)
    share = share_by_period(case, scenario, spec)
    name, who = _service(case, spec.service), _group(spec.group) if spec.group else Text("", "")
    words = Text(
        f"{name.zh}{f'({who.zh})' if who.zh else ''}满足率不低于{share.max():.0%}",
        f"{f'{who.en.lower()}: ' if who.en else ''}need for {name.en.lower()} served to at least {share.max():.0%}",
    )
    source = _source(case, scenario, spec.standard)
    price = None if spec.hard else 1.0
    if spec.by == "township":
        return Floor(
            id=f"floor-{n}",
            price=price,
            words=words,
            source=source,
            service=service,
            part=_part(sets),
            share=share,
        )
    groups = [sets.groups.index(spec.group)] if spec.group else range(len(sets.groups))
    areas = _areas(sets, spec.area_class)
    if spec.area_class is None:
        areas = np.arange(len(sets.areas))
    return Served(
        id=f"served-{n}", price=price, words=words, source=source, service=service, areas=areas,
        groups=np.array(list(groups), np.int64), share=share,
    )  # fmt: skip


def _resettlement(case: Case, sets: Sets, spec: ResettleRule) -> Iterator[Rule]:
    """One rule a home: any state without places to live in counts as closed, a merged home too."""
    stints, service = sets.stints, sets.services.index("elderly.resident")
    housing = np.unique(stints.offer_stint[_offers_of(sets, "elderly.resident")])
    houses = np.isin(np.arange(len(stints.site)), housing)
    for i in np.flatnonzero(sets.areas["home"].to_numpy() >= 0):
        site = int(sets.areas["home"].iloc[i])
        arcs = np.flatnonzero((sets.arc_area == i) & (sets.arc_minutes <= spec.within_minutes))
        name = _site_name(case, site)
        yield Resettlement(
            id=f"resettlement-{case.region.sites['site_id'].iloc[site]}",
            words=Text(
                f"{name.zh}关停、撤并前先安置在住老人",
                f"residents of {name.en} are placed before it closes or merges",
            ),
            site=site, area=int(i), service=service, arcs=arcs,
            closed_options=np.unique(stints.option[(stints.site == site) & ~houses]),
        )  # fmt: skip
