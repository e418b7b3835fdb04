"""One scenario from people to plan: project, need, journeys, compile, solve, verify, measure.

Every stage is a function of what came before; `Shared` keeps stages that scenarios have in common.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.compile import class_offers, compile_problem, origins
from allocator.demand import Need, NeedRates, WillingnessCurve, estimate_need
from allocator.errors import (
    CheckFailed,
    Finding,
    InputRefused,
    LimitReached,
    NoPlanExists,
    Rank,
    Text,
    Where,
    nearest,
)
from allocator.measures.choice import free_choice, open_places
from allocator.measures.indicators import Judged, measure
from allocator.model import evaluate, explain, solve
from allocator.plan import Plan, Status
from allocator.population import (
    AGES_5,
    PhaseIn,
    Population,
    VitalRates,
    project_small_areas,
    stack_tracks,
)
from allocator.problem import Problem
from allocator.rules import Floats
from allocator.scenario import OptionSpec, Period, PoolSpec, Scenario, SolveSpec
from allocator.travel import Arcs, road_table, straight_line
from allocator.verify import verify

__all__ = [
    "Run",
    "Shared",
    "code_version",
    "fitted",
    "journeys",
    "need_of",
    "prepare",
    "project",
    "run",
    "run_id",
    "today_of",
]

Progress = Callable[[str], None]
AGE_BANDS = {"all": 0, "60+": 60, "65+": 65, "80+": 80}


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """Everything one scenario came to, able to stand alone.

    Parameters
    ----------
    id
        Digest of inputs, scenario and code version.
    inputs
        Case, digests, catalogue version, definitions, versions: plain data.
    tables
        Results by name, each with declared columns (``docs/formats.md``).
    measures
        Scores and indicator values: plain data.
    """

    id: str
    scenario: Scenario
    inputs: Mapping[str, Any]
    problem: Problem
    plan: Plan
    tables: Mapping[str, pd.DataFrame]
    measures: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()

    @property
    def score(self) -> Mapping[str, Any]:
        """The headline measures by indicator and year."""
        score: Mapping[str, Any] = self.measures["score"]
        return score


@dataclass(eq=False)
class Shared:
    """Stages already done, by what decides them; hand the same one to several runs of a case.

    At most ``most`` stages are kept, those used last, so that many runs do not fill the memory.
    """

    done: dict[tuple[object, ...], Any] = field(default_factory=dict)
    most: int = 48

    def get(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """Return the stage under the key, made now if it is not there."""
        value = self.done.pop(key) if key in self.done else make()
        self.done[key] = value
        while len(self.done) > self.most:
            del self.done[next(iter(self.done))]
        return value


def code_version() -> str:
    """Version of the installed package, ``0`` when run from a bare folder."""
    try:
        return version("service-allocator")
    except PackageNotFoundError:
        return "0"


def run_id(case: Case, scenario: Scenario, follows: str = "") -> str:
    """Digest of everything that decides a run; 16 hexadecimal digits.

    ``follows`` is the id of the run whose plan is kept as it stands, blank where there is none.
    """
    parts: list[Any] = [
        scenario.digest,
        code_version(),
        dict(sorted(case.digests.items())),
        case.catalogue.version,
    ]
    if follows:
        parts.append({"follows": follows})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def project(case: Case, scenario: Scenario) -> Population:
    """Return the people of the case's areas for the years a scenario needs."""
    rates = VitalRates.from_tables(
        case.rates["mortality"], case.rates["fertility"], case.rates.get("migration"),
        variant=scenario.population.variant,
    )  # fmt: skip
    table = case.population
    years = sorted(set(scenario.years) | {int(table["year"].max())})
    tracks = {}
    for track in sorted(set(table["track"])):
        base = _base_population(case, table[table["track"] == track])
        tracks[track] = project_small_areas(base, rates, to=max(years), years=years)
    if len(tracks) == 1:
        return next(iter(tracks.values()))
    return stack_tracks(tracks["resident"], tracks["registered"])


def _base_population(case: Case, table: pd.DataFrame) -> Population:
    year = int(table["year"].max())
    table = table[table["year"] == year]
    ages = AGES_5
    areas = case.region.area_ids
    persons = np.zeros((1, 1, len(areas), 1, len(ages), 2))
    at = {a: n for n, a in enumerate(areas)}
    age_at = {a: n for n, a in enumerate(ages)}
    i = table["area_id"].map(at).to_numpy()
    a = table["age"].map(age_at).to_numpy()
    s = table["sex"].map({"m": 0, "f": 1}).to_numpy()
    np.add.at(persons, (0, 0, i, 0, a, s), table["persons"].to_numpy(dtype=float))
    return Population(places=areas, years=(year,), persons=persons, mark="modelled")


def need_of(case: Case, scenario: Scenario, population: Population) -> Need:
    """Return the need of a scenario's services in the last year of each period."""
    spec = scenario.population
    phase = None
    if spec.phase_in is not None:
        phase = PhaseIn(
            to=spec.phase_in.to, start=spec.base, since=spec.phase_in.from_ or scenario.base_year,
            by=spec.phase_in.by,
        )  # fmt: skip
    areas = case.region.areas
    need = estimate_need(
        population,
        NeedRates.from_tables(case.rates),
        services=scenario.services,
        definition=scenario.need.definition,
        years=[p.to for p in scenario.periods],
        area_class=dict(zip(areas["area_id"], areas["area_class"], strict=True)),
        base=spec.base,
        phase_in=phase,
    )
    factor = np.array([scenario.need.factor.get(s, 1.0) for s in need.services])
    return Need(**{**need.__dict__, "amount": need.amount * factor[:, None, None, None]})


def curves_of(case: Case, scenario: Scenario) -> dict[str, WillingnessCurve]:
    """Return the willingness curve of each service that has one.

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
        if name not in set(here["curve"]):
            raise InputRefused((_unknown_curve(name, service, sorted(set(here["curve"]))),))
        found[service] = WillingnessCurve.from_table(table, name, service)
    return found


def _unknown_curve(name: str, service: str, known: list[str]) -> Finding:
    near = nearest(name, known) or ", ".join(known)
    return Finding(
        Rank.ERROR, "unknown-willingness", Where(file="willingness.csv", id=name),
        Text(f"{service} 没有名为 {name} 的意愿曲线。", f"{service} has no willingness curve named {name}."),
        Text(f"可用:{near}。", f"Did you mean: {near}?"),
    )  # fmt: skip


def journeys(case: Case, scenario: Scenario) -> tuple[dict[str, Arcs], Floats]:
    """Return arcs by reach class from `compile.origins` to the sites, and minutes between sites.

    Residents of a home stand where the home stands. Between sites the mode is ``car``.
    """
    where, sites, travel = origins(case), case.region.sites, case.travel
    made: dict[tuple[str, float], Arcs] = {}
    found: dict[str, Arcs] = {}
    table = case.distances
    at_home = {
        a: s for a, s in zip(where["area_id"], sites["site_id"].iloc[where["home"].clip(lower=0)], strict=True)
        if a.startswith("home:")
    }  # fmt: skip

    def arcs(frm: pd.DataFrame, ids: list[str], mode: str, within: float) -> Arcs:
        speed, access = travel.speed_kmh[mode], travel.access_minutes.get(mode, 0.0)
        if travel.method == "road-table" and table is not None:
            return road_table(
                table, ids, list(sites["site_id"]), speed_kmh=speed, within_minutes=within,
                access_minutes=access, stands_at=at_home, both_ways=True,
            )  # fmt: skip
        return straight_line(
            frm[["lon", "lat"]].to_numpy(float), sites[["lon", "lat"]].to_numpy(float),
            detour=travel.detour, speed_kmh=speed, access_minutes=access, within_minutes=within,
            crs=case.region.crs,
        )  # fmt: skip

    for offer in class_offers(case, scenario):
        key = (offer.travel, offer.within_minutes)
        if key not in made:
            made[key] = arcs(where, list(where["area_id"]), *key)
        found[offer.id] = made[key]
    between = arcs(sites, list(sites["site_id"]), "car", 24 * 60.0)
    minutes = np.full((len(sites), len(sites)), np.inf)
    minutes[between.origin, between.destination] = between.minutes
    np.fill_diagonal(minutes, 0.0)
    return found, minutes


def people_by_age(population: Population, years: Iterable[int]) -> dict[str, Floats]:
    """Return (area, year) residents by band of `AGE_BANDS`, mean over the futures."""
    picked = population.for_years(years)
    track = picked.tracks.index("resident")
    mean = np.tensordot(picked.future_weight, picked.persons[track], axes=1)  # (i, y, a, s)
    return {name: mean[:, :, low // 5 :].sum(axis=(2, 3)) for name, low in AGE_BANDS.items()}


def prepare(
    case: Case, scenario: Scenario, shared: Shared | None = None
) -> tuple[Problem, dict[str, Floats], Need]:
    """Return the problem of a scenario, the people behind it by age band, and the need."""
    shared = Shared() if shared is None else shared
    if scenario.placement is not None and case.placements is not None:
        case = shared.get(("case", scenario.placement), lambda: _placed(case, scenario))
    spec = scenario.population
    population = shared.get(
        ("people", spec.variant, spec.futures, scenario.years), lambda: project(case, scenario)
    )
    need_key = (
        "need",
        spec,
        scenario.need.definition,
        tuple(sorted(scenario.need.factor.items())),
        scenario.services,
        scenario.years,
    )
    need = shared.get(need_key, lambda: need_of(case, scenario, population))
    arcs, site_minutes = shared.get(
        ("arcs", scenario.placement, scenario.services), lambda: journeys(case, scenario)
    )
    people = people_by_age(population, [p.to for p in scenario.periods])
    income = float(case.rates["income"]["yuan_month"].mean())
    problem = compile_problem(
        case, scenario, need=need, arcs=arcs, site_minutes=site_minutes,
        curves=curves_of(case, scenario), income_yuan_month=income, people=people,
        priorities=case.rates["priorities"],
    )  # fmt: skip
    return problem, people, need


def _placed(case: Case, scenario: Scenario) -> Case:
    assert case.placements is not None
    points = case.placements[case.placements["seed"] == scenario.placement]
    if not len(points):
        seeds = sorted(set(case.placements["seed"]))
        raise InputRefused(
            (
                Finding(
                    Rank.ERROR, "unknown-placement", Where(file="placements.csv", id=str(scenario.placement)),
                    Text("没有这个模拟点位种子。", "There is no such placement seed."),
                    Text(f"可用:{seeds[0]} 至 {seeds[-1]}。", f"Use {seeds[0]} to {seeds[-1]}."),
                ),
            )
        )  # fmt: skip
    return Case(**{**case.__dict__, "region": case.region.placed(points)})


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
            "periods": (Period.model_validate({"from": year, "to": year}),),
            "options": OptionSpec(modes=("keep",)),
            "resources": unlimited,
            "rules": (),
            "objective": ({"unmet": 1.0, "travel": 1e-4},),
            "solve": SolveSpec(gap=1e-4, road="exact"),
        }
    )


def run(
    case: Case,
    scenario: Scenario,
    *,
    shared: Shared | None = None,
    progress: Progress | None = None,
    follow: Run | None = None,
) -> Run:
    """Run one scenario from people to a checked and measured plan.

    Parameters
    ----------
    follow
        A run whose sites and places are kept as they stand; only who is served where is decided
        anew. So a plan made for one future is judged in another.

    Raises
    ------
    InputRefused
        The scenario does not fit the case; all findings at once.
    NoPlanExists
        Hard rules contradict; the findings name them and the way out. With ``follow``: the plan
        cannot keep the hard rules here.
    LimitReached
        A limit came before any plan.
    CheckFailed
        The plan did not pass its independent check.
    """
    say = progress or (lambda text: None)
    shared = Shared() if shared is None else shared
    _refuse_unknown_names(case, scenario)
    say("population and need")
    problem, people, need = prepare(case, scenario, shared)
    solve_spec = scenario.solve
    nodes = None if solve_spec.work_limit == "default" else int(solve_spec.work_limit)
    say("solving")
    if follow is not None:
        problem = replace(problem, occupancy_min=np.zeros_like(problem.occupancy_min))
        plan = evaluate(problem, fitted(follow.problem, follow.plan, problem))
        if not plan.is_complete:
            raise NoPlanExists((_does_not_hold(follow),))
    else:
        plan = solve(
            problem, gap=solve_spec.gap, node_limit=nodes, seconds=solve_spec.seconds,
            seed=solve_spec.seed, road=solve_spec.road, progress=progress,
        )  # fmt: skip
    if plan.status is Status.INFEASIBLE:
        raise NoPlanExists(explain(problem))
    if plan.status is Status.NO_PLAN_FOUND:
        raise LimitReached((_nothing_in_time(),))
    say("checking")
    broken = verify(problem, plan)
    if broken:
        raise CheckFailed(broken)
    base = today_of(scenario)
    base_key = (
        "today",
        scenario.placement,
        scenario.population,
        scenario.need.model_dump_json(),
        scenario.services,
    )
    base_problem, base_plan, base_people = shared.get(base_key, lambda: _today(case, base, shared))
    here = case
    if scenario.placement is not None and case.placements is not None:
        here = shared.get(("case", scenario.placement), lambda: _placed(case, scenario))
    tables, measures, found = measure(
        here, scenario,
        Judged(base, base_problem, base_plan, base_people),
        Judged(scenario, problem, plan, people),
    )  # fmt: skip
    inputs = _inputs(case, scenario, need)
    if follow is not None:
        inputs["follows"] = follow.id
    return Run(
        id=run_id(case, scenario, follow.id if follow is not None else ""), scenario=scenario,
        inputs=inputs,
        problem=problem, plan=plan, tables=tables, measures=measures,
        findings=(*case.findings, *_limit_findings(plan), *found),
    )  # fmt: skip


def _today(case: Case, base: Scenario, shared: Shared) -> tuple[Problem, Plan, dict[str, Floats]]:
    problem, people, _ = prepare(case, base, shared)
    plan = solve(problem, gap=base.solve.gap, seed=base.solve.seed, road="exact")
    broken = verify(problem, plan)
    if broken:
        raise CheckFailed(broken)
    return problem, plan, people


def fitted(made_for: Problem, plan: Plan, problem: Problem) -> Plan:
    """Return a plan in the positions of another problem over the same sites and periods.

    Raises
    ------
    InputRefused
        When the other problem does not allow a stint of the plan, or an offer in it.
    """
    where = {key: p for p, key in enumerate(_stint_keys(problem))}
    keys = _stint_keys(made_for)
    offers = {
        (int(s), problem.classes[c]): f
        for f, (s, c) in enumerate(zip(problem.offer_stint, problem.offer_class, strict=True))
    }
    places = np.zeros(len(problem.offer_stint))
    lost = sorted({keys[p][0] for p in plan.stints if keys[p] not in where})
    for f in np.flatnonzero(plan.places > 0):
        stint, name = keys[made_for.offer_stint[f]], made_for.classes[made_for.offer_class[f]]
        at = offers.get((where[stint], name)) if stint in where else None
        if at is None:
            lost.append(str(stint[0]))
        else:
            places[at] = plan.places[f]
    if lost:
        raise InputRefused(tuple(_cannot_follow(site) for site in sorted(set(lost))))
    stints = np.array(sorted(where[keys[p]] for p in plan.stints), dtype=np.int64)
    return replace(plan, problem=problem.digest, stints=stints, places=places)


def _stint_keys(problem: Problem) -> list[tuple[object, ...]]:
    """Site, option before, option, first and last period, mode of each stint, by name."""
    modes = problem.stint_mode if len(problem.stint_mode) else np.full(len(problem.stint_site), -1)
    return [
        (
            problem.sites[j], problem.options[a], problem.options[b], problem.periods[first],
            problem.periods[last], problem.modes[m] if m >= 0 else "",
        )
        for j, a, b, first, last, m in zip(
            problem.stint_site, problem.stint_from, problem.stint_option, problem.stint_first,
            problem.stint_last, modes, strict=True,
        )
    ]  # fmt: skip


def _cannot_follow(site: object) -> Finding:
    return Finding(
        Rank.ERROR, "plan-does-not-fit", Where(id=str(site)),
        Text("此情景不允许原方案在该地点的安排。", "The scenario does not allow what the plan does at this site."),
        Text("两个情景的地点、设施类型和方式须一致。", "Both scenarios need the same sites, types and modes."),
    )  # fmt: skip


def _does_not_hold(follow: Run) -> Finding:
    return Finding(
        Rank.ERROR, "plan-does-not-hold", Where(id=follow.scenario.name),
        Text("原方案在这种情形下不能同时满足全部硬性要求。", "As it stands, the plan cannot keep all hard rules here."),
        Text("请改用软性目标,或为这种情形另作方案。", "Price the rule instead of making it hard, or plan anew for this future."),
    )  # fmt: skip


def _nothing_in_time() -> Finding:
    return Finding(
        Rank.ERROR, "no-plan-in-time", Where(),
        Text("在限定的计算量内未找到方案。", "No plan was found within the limit."),
        Text("请放宽 solve.work_limit 或 solve.seconds。", "Raise solve.work_limit or solve.seconds."),
    )  # fmt: skip


def _limit_findings(plan: Plan) -> list[Finding]:
    if plan.status is Status.PROVED:
        return []
    return [
        Finding(
            Rank.WARNING, "limit", Where(),
            Text(f"求解到达限额,精度为 {plan.gap:.2%}。", f"The solve stopped at a limit; its gap is {plan.gap:.2%}."),
            Text("如需更高精度,请放宽限额。", "Raise the limit for a smaller gap."),
        )
    ]  # fmt: skip


def _refuse_unknown_names(case: Case, scenario: Scenario) -> None:
    """Refuse sites, types and services that a scenario names and the case does not have."""
    sites, types = set(case.region.site_ids), set(case.catalogue.types)
    named: list[tuple[str, str, set[str]]] = []
    for spec in (*scenario.options.force, *scenario.options.ban):
        named.append(("options", spec.site, sites))
        named += [("options", spec.type, types)] if spec.type else []
    named += [("options.types", t, types) for t in scenario.options.types or ()]
    named += [("options.forbid", f.type, types) for f in scenario.options.forbid if f.type]
    named += [("services", s, set(case.catalogue.services)) for s in scenario.services]
    for rule in scenario.rules:
        for key in ("types", "hubs"):
            named += [(f"rules.{key}", t, types) for t in getattr(rule.value, key, ())]
    found = []
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
    if found:
        raise InputRefused(tuple(found))


def _inputs(case: Case, scenario: Scenario, need: Need) -> dict[str, Any]:
    """What a run was made from, as plain data."""
    packages = {}
    for name in ("numpy", "pandas", "scipy", "highspy", "pulp"):
        packages[name] = version(name)
    standards = [s.id for s in case.catalogue.standards if s.mark == "unconfirmed"]
    return {
        "case": case.id,
        "title": {"zh": case.region.title.zh, "en": case.region.title.en},
        "crs": case.region.crs,
        "digests": dict(sorted(case.digests.items())),
        "catalogue": case.catalogue.version,
        "unconfirmed_standards": standards,
        "definition": need.definition,
        "base": need.base,
        "need_mark": need.mark,
        "code": code_version(),
        "packages": packages,
        "scenario_digest": scenario.digest,
        "disclaimer": {"zh": case.disclaimer.zh, "en": case.disclaimer.en},
        "map_footer": {"zh": case.map_footer.zh, "en": case.map_footer.en},
        "sources": [dict(s) for s in case.sources],
        "finest_published": case.finest_published,
    }


def flatter(
    case: Case, done: Run, factor: float, shared: Shared | None = None
) -> tuple[float, float]:
    """Return resident places used by free choice, and places, of a plan under a flatter curve.

    Sites stay as planned; only willingness changes. ``factor`` 0 is the curve as given, 1 makes
    distance count for nothing. Figures are of the last period.
    """
    scenario = done.scenario
    need = scenario.need.model_copy(update={"flatten": factor})
    problem, _, _ = prepare(case, scenario.model_copy(update={"need": need}), shared)
    use = free_choice(problem, done.plan)
    last = len(problem.periods) - 1
    resident = problem.class_service == problem.services.index("elderly.resident")
    some = (use.period == last) & resident[problem.arc_class[use.arc]]
    people = use.people[some] * problem.future_weight[use.future[some]]
    places = open_places(problem, done.plan)[:, resident, last].sum()
    return float(people.sum()), float(places)
