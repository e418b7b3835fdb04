"""From a case and a scenario to the one problem: people, need, journeys, curves, compiled.

Every stage is a function of what came before; `Shared` keeps stages that scenarios have in common.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from allocator.calibration import CALIBRATED, calibrate_case
from allocator.case import Case
from allocator.compile import compile_problem, with_joint_types
from allocator.compile.joint import main_service
from allocator.compile.norms import case_under, norm_findings
from allocator.compile.onward import onward_services
from allocator.demand import Calibration, Need, WillingnessCurve
from allocator.errors import (
    Finding,
    InputRefused,
    Rank,
    Text,
    Where,
    nearest,
    plural,
    refuse_if_any,
)
from allocator.forecast import (
    Forecast,
    forecast,
    need_of,
    needs_registered,
    people_by_age,
)
from allocator.journeys import (
    Store,
    journeys,
    resettled_within,
    travel_findings,
)
from allocator.measures.evaluation import Bases
from allocator.model.alternatives import with_regret
from allocator.population import Population, persons_of_group
from allocator.problem import Problem
from allocator.rules import Floats
from allocator.scenario import (
    NearestRule,
    OptionSpec,
    OverflowRule,
    Period,
    PoolSpec,
    ReferralRule,
    RiskSpec,
    Scenario,
    SitesRule,
    SolveSpec,
)
from allocator.travel import Arcs

__all__ = [
    "Shared",
    "bases_of",
    "calibrated",
    "check_journeys",
    "forecast_of",
    "need_key",
    "placed",
    "prepare",
    "refuse_unknown_names",
    "today_of",
]


@dataclass(eq=False)
class Shared:
    """Stages already done, by what decides them; hand the same one to several runs of a case.

    At most ``most`` stages are kept, those used last, so that many runs do not fill the memory.
    ``store`` keeps journeys on networks and surfaces from one program run to the next.
    """

    done: dict[tuple[object, ...], Any] = field(default_factory=dict)
    most: int = 48
    store: Store | None = None

    def get(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """Return the stage under the key, made now if it is not there."""
        value = self.done.pop(key) if key in self.done else make()
        self.done[key] = value
        while len(self.done) > self.most:
            del self.done[next(iter(self.done))]
        return value


def _curves_of(
    case: Case, scenario: Scenario, calibrate: Callable[[str], Calibration], shared: Shared
) -> dict[str, WillingnessCurve]:
    """Return the willingness curve of each service that has one; ``calibrated`` is fitted now.

    Raises
    ------
    InputRefused
        When the scenario names a curve that the case does not have.
    """
    table = case.rates["willingness"]
    found: dict[str, WillingnessCurve] = {}
    for service in scenario.services:
        here = table[table["service"] == service]
        if not len(here):
            continue
        name = scenario.need.willingness.get(service, "assumed-default")
        if name == CALIBRATED and not _has_curve(case, service):
            found[service] = calibrate(service).curve
            continue
        if name not in set(here["curve"]):
            raise InputRefused((_unknown_curve(name, service, sorted(set(here["curve"]))),))
        found[service] = shared.get(
            ("curve", service, name), partial(WillingnessCurve.from_table, table, name, service)
        )
    return found


def _has_curve(case: Case, service: str) -> bool:
    """Whether the case brings its own calibrated curve of a service."""
    table = case.rates["willingness"]
    return bool(((table["service"] == service) & (table["curve"] == CALIBRATED)).any())


def _unknown_curve(name: str, service: str, known: list[str]) -> Finding:
    near = nearest(name, known) or ", ".join(known)
    return Finding(
        Rank.ERROR, "unknown-willingness", Where(file="willingness.csv", id=name),
        Text(f"{service} 没有名为 {name} 的意愿曲线。", f"{service} has no willingness curve named {name}."),
        Text(f"可用:{near}。", f"Did you mean: {near}?"),
    )  # fmt: skip


def check_journeys(
    case: Case, scenario: Scenario, shared: Shared | None = None
) -> tuple[Finding, ...]:
    """Return what is told of the journeys of a scenario; see `journeys.travel_findings`."""
    shared = Shared() if shared is None else shared
    case = with_joint_types(case, scenario)
    arcs, _ = _journeys(case, scenario, shared)
    key = ("told", *_journey_key(scenario))
    found: tuple[Finding, ...] = shared.get(key, lambda: travel_findings(case, scenario, arcs))
    return found


def _journey_key(scenario: Scenario) -> tuple[object, ...]:
    """Return what of a scenario decides its journeys."""
    moves, onward = resettled_within(scenario), onward_services(scenario)
    return scenario.placement, scenario.services, moves, onward


def _journeys(case: Case, scenario: Scenario, shared: Shared) -> tuple[dict[str, Arcs], Floats]:
    key = ("arcs", *_journey_key(scenario))
    made: tuple[dict[str, Arcs], Floats] = shared.get(
        key, lambda: journeys(case, scenario, shared.store)
    )
    return made


def bases_of(case: Case, scenario: Scenario, shared: Shared) -> Bases:
    """Return residents and registered persons by age in the last year of each period."""
    population = forecast_of(case, scenario, shared).population
    years = [p.to for p in scenario.periods]

    def in_need() -> dict[str, Any]:
        ages = {}
        for service in scenario.services:
            found = case.need_rates.rates_of(service, scenario.need.definition)
            ages[service] = np.any([(r.weight > 0).any(axis=(0, 2)) for r in found], axis=0)
        return ages

    ages = shared.get(("ages", scenario.services, scenario.need.definition), in_need)
    persons = {
        track: np.stack([population.at(y)[t].sum(axis=-1) for y in years], axis=2)
        for t, track in enumerate(population.tracks)
    }
    return Bases(persons, ages)


def _people_of_norms(case: Case, scenario: Scenario, population: Population) -> dict[str, Floats]:
    """Return (area, period) persons of the groups of the norms relied upon, mean over the futures."""
    years = [p.to for p in scenario.periods]
    groups = {s.group for id in scenario.norms for s in case.catalogue.norms if s.id == id}
    known = [case.catalogue.groups[g] for g in sorted(groups) if g in case.catalogue.groups]
    return {
        g.id: np.tensordot(population.future_weight, persons_of_group(population, g, years), axes=1)
        for g in known
        if g.is_counted_by_age and g.track in population.tracks
    }


def prepare(
    case: Case, scenario: Scenario, shared: Shared | None = None
) -> tuple[Problem, dict[str, Floats], Need]:
    """Return the problem of a scenario, the people behind it by age band, and the need."""
    shared = Shared() if shared is None else shared
    case = placed(case, scenario, shared)
    case = with_joint_types(case, scenario)
    here = case_under(case, scenario)
    population = forecast_of(case, scenario, shared).population
    key = ("need", *need_key(scenario))
    need = shared.get(key, lambda: need_of(case, scenario, population))
    arcs, site_minutes = _journeys(case, scenario, shared)
    people = people_by_age(population, [p.to for p in scenario.periods])
    people |= _people_of_norms(here, scenario, population)
    income = float(case.rates["income"]["yuan_month"].mean())
    problem = compile_problem(
        here, scenario, need=need, arcs=arcs, site_minutes=site_minutes,
        curves=_curves_of(case, scenario, lambda s: _calibration(case, scenario, s, shared, arcs), shared),
        income_yuan_month=income, people=people,
        priorities=case.rates["priorities"],
    )  # fmt: skip
    if scenario.risk.measure == "regret":
        problem = _with_regret(problem, scenario)
    return problem, people, need


def _with_regret(problem: Problem, scenario: Scenario) -> Problem:
    """Return the problem with its first objective as regret; each future is solved alone for it.

    Raises
    ------
    InputRefused
        When the objective counts sites or places, or a future alone has no plan.
    """
    try:
        return with_regret(problem, gap=scenario.solve.gap)
    except ValueError as reason:
        raise InputRefused(
            (
                Finding(
                    Rank.ERROR, "regret-not-possible", Where(file=f"{scenario.name}.yaml", column="risk"),
                    Text(f"不能按最大后悔值求解:{reason}。", f"Regret cannot be planned by: {reason}."),
                    Text("首要目标改为 unmet、travel 或 shortfall,并放宽硬性规则。", "Put unmet, travel or shortfall first, and price hard rules."),
                ),
            )
        ) from reason  # fmt: skip


def _calibration(
    case: Case, scenario: Scenario, service: str, shared: Shared, arcs: Mapping[str, Arcs]
) -> Calibration:
    """Return the curve fitted to today's residents, once for plan and today alike."""
    need = scenario.need
    factor = tuple(sorted(need.factor.items()))
    key = ("calibration", service, scenario.placement, need.definition, factor)

    def fit() -> Calibration:
        population = forecast_of(case, scenario, shared).population
        year = scenario.base_year
        year = year if year in population.years else scenario.periods[0].to
        period = Period.model_validate({"from": year, "to": year})
        now = scenario.model_copy(update={"periods": (period,)})
        return calibrate_case(case, scenario, service, need_of(case, now, population), arcs)

    made: Calibration = shared.get(key, fit)
    return made


def calibrated(
    case: Case, scenario: Scenario, shared: Shared
) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the fits of a scenario's calibrated curves, band by band, and what was found."""
    fits: list[pd.DataFrame] = []
    found: list[Finding] = []
    for service in scenario.services:
        if scenario.need.willingness.get(service) != CALIBRATED or _has_curve(case, service):
            continue
        arcs, _ = _journeys(case, scenario, shared)
        made = _calibration(case, scenario, service, shared, arcs)
        fits.append(
            made.fit.assign(service=service, confidence=made.confidence, dispersion=made.dispersion)
        )
        found += made.findings
    return (pd.concat(fits, ignore_index=True) if fits else pd.DataFrame()), found


def forecast_of(case: Case, scenario: Scenario, shared: Shared) -> Forecast:
    """Return the people, made once for all scenarios that differ in other things only."""
    spec = scenario.population.model_dump_json(exclude={"base", "phase_in", "services"})
    key = ("people", spec, needs_registered(scenario.population), scenario.years)
    made: Forecast = shared.get(key, lambda: forecast(case, scenario))
    return made


def need_key(scenario: Scenario) -> tuple[object, ...]:
    """Return what of a scenario decides its need."""
    need = scenario.need
    return (
        scenario.population.model_dump_json(),
        need.definition,
        json.dumps([need.factor, need.eligible], sort_keys=True),
        scenario.services,
        scenario.years,
    )


def placed(case: Case, scenario: Scenario, shared: Shared | None = None) -> Case:
    """Return the case with its points at the scenario's placement, where it has several."""
    table = case.placements
    if scenario.placement is None or table is None:
        return case
    made: Case = (shared or Shared()).get(
        ("case", scenario.placement), lambda: _moved(case, table, int(scenario.placement or 0))
    )
    return made


def _moved(case: Case, placements: pd.DataFrame, placement: int) -> Case:
    points = placements[placements["seed"] == placement]
    if not len(points):
        seeds = sorted(set(placements["seed"]))
        raise InputRefused(
            (
                Finding(
                    Rank.ERROR, "unknown-placement", Where(file="placements.csv", id=str(placement)),
                    Text("没有这个模拟点位种子。", "There is no such placement seed."),
                    Text(f"可用:{seeds[0]} 至 {seeds[-1]}。", f"Use {seeds[0]} to {seeds[-1]}."),
                ),
            )
        )  # fmt: skip
    return replace(case, region=case.region.placed(points))


def today_of(scenario: Scenario) -> Scenario:
    """Return the scenario's base year alone: what stands stays, nothing is added, nothing limited."""
    year = scenario.base_year
    unlimited = {
        name: PoolSpec(
            unit=pool.unit, supply={year: 1e30}, payers=pool.payers, sources=pool.sources
        )
        for name, pool in scenario.resources.items()
    }
    return scenario.model_copy(
        update={
            "base_year": year - 1,
            "population": scenario.population.started(year),
            "periods": (Period.model_validate({"from": year, "to": year}),),
            "options": OptionSpec(modes=("keep",)),
            "standards": (),
            "resources": unlimited,
            "rules": (),
            "objective": ({"unmet": 1.0, "travel": 1e-4},),
            "risk": RiskSpec(),
            "solve": SolveSpec(gap=1e-4, road="exact"),
        }
    )


def refuse_unknown_names(case: Case, scenario: Scenario) -> tuple[Finding, ...]:
    """Refuse names that the case does not have and norms not in force; return what else was found.

    Raises
    ------
    InputRefused
        With all such names at once.
    """
    sites, types = set(case.region.site_ids), set(case.catalogue.types)
    named = [("options.joint", t, types) for j in scenario.options.joint for t in j.types]
    types = types | {j.id for j in scenario.options.joint}
    named += [
        ("options.subsidies", t, types) for g in scenario.options.subsidies for t in g.types or ()
    ]
    tiers = {t.tier for t in case.catalogue.types.values()}
    named += [(f"resources.{k}.tiers", t, tiers) for k, p in scenario.resources.items() for t in p.tiers]  # fmt: skip
    named += [("need.eligible", s, set(case.catalogue.services)) for s in scenario.need.eligible]
    for spec in (*scenario.options.force, *scenario.options.ban):
        named.append(("options", spec.site, sites))
        named += [("options", spec.type, types)] if spec.type else []
    named += [("options.types", t, types) for t in scenario.options.types or ()]
    named += [("options.forbid", f.type, types) for f in scenario.options.forbid if f.type]
    named += [("services", s, set(case.catalogue.services)) for s in scenario.services]
    for rule in scenario.rules:
        for key in ("types", "hubs"):
            named += [(f"rules.{key}", t, types) for t in getattr(rule.value, key, None) or ()]
        if isinstance(rule.value, NearestRule):
            named.append(("services", rule.value.service, set(scenario.services)))
        if isinstance(rule.value, ReferralRule | OverflowRule):
            both = (rule.value.service, rule.value.onward)
            named += [("services", s, set(scenario.services)) for s in both]
    found: list[Finding] = []
    for where, name, known in named:
        if name not in known:
            near = nearest(name, known)
            hint = (
                Text(f"是否指 {near}?", f"Did you mean {near}?")
                if near
                else Text("请核对。", "Check the spelling.")
            )
            found.append(
                Finding(
                    Rank.ERROR, "unknown-name", Where(file=f"{scenario.name}.yaml", column=where, id=name),
                    Text(f"本县没有 {name}。", f"The case has no {name}."), hint,
                )
            )  # fmt: skip
    forced = {(f.site, f.type) for f in scenario.options.force}
    for ban in scenario.options.ban:
        if (ban.site, ban.type) in forced or (
            ban.type is None and any(s == ban.site for s, _ in forced)
        ):
            found.append(
                Finding(
                    Rank.ERROR, "forced-and-banned", Where(file=f"{scenario.name}.yaml", id=ban.site),
                    Text("同一地点既被指定又被禁止。", "The same site is forced and banned."),
                    Text("只保留其一。", "Keep one of the two."),
                )
            )  # fmt: skip
    for asked in (r.value for r in scenario.rules):
        if isinstance(asked, SitesRule) and asked.at_least > len(sites):
            found.append(
                Finding(
                    Rank.ERROR, "more-sites-than-there-are", Where(file=f"{scenario.name}.yaml", column="rules.sites"),
                    Text(f"要求至少{asked.at_least}处,本县备选地点只有{len(sites)}处。",
                         f"At least {plural(asked.at_least, 'site is', 'sites are')} asked for; the case has {len(sites)}."),
                    Text("请减少数量或补充备选地点。", "Ask for fewer, or add candidate sites."),
                )
            )  # fmt: skip
    found += _sizes_apart(case, scenario)
    return refuse_if_any([*found, *norm_findings(case, scenario)])


def _sizes_apart(case: Case, scenario: Scenario) -> list[Finding]:
    """Orders of size that leave a type no size at all: the most allowed lies below its least."""
    found: list[Finding] = []
    for f in scenario.options.forbid:
        type_ = case.catalogue.types.get(f.type or "")
        if type_ is None or f.area_class is not None or f.above_places is None:
            continue
        least = next(o.places_min for o in type_.offers if o.service == main_service(type_))
        if f.above_places < least:
            found.append(
                Finding(
                    Rank.ERROR, "least-above-most", Where(file=f"{scenario.name}.yaml", column="options.forbid", id=type_.id),
                    Text(f"{type_.name.zh}:规模下限{least:g}高于允许的上限{f.above_places:g}。",
                         f"{type_.name.en}: the least size, {least:g}, is above the most allowed, {f.above_places:g}."),
                    Text("请改正其一;若不设此类设施,请写 forbid: [{type: …}] 而不写 above_places。",
                         "Correct one of them; to plan none of the type write forbid: [{type: ...}] without above_places."),
                )
            )  # fmt: skip
    return found
