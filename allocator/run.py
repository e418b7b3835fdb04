"""One scenario from people to plan: project, need, journeys, compile, solve, verify, measure.

Every stage is a function of what came before; `Shared` keeps stages that scenarios have in common.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

from allocator.calibration import CALIBRATED, calibrate_case
from allocator.case import Case
from allocator.certificate import check_bound
from allocator.compile import compile_problem, with_joint_types
from allocator.compile.joint import main_service
from allocator.compile.norms import case_under, norm_findings
from allocator.compile.onward import onward_services
from allocator.demand import Calibration, Need, WillingnessCurve
from allocator.errors import (
    AllocatorError,
    CheckFailed,
    Finding,
    InputRefused,
    LimitReached,
    NoPlanExists,
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
    need_bands,
    need_of,
    needs_registered,
    people_by_age,
    project,
    sampled_people,
)
from allocator.incomplete import incomplete_findings
from allocator.journeys import (
    Store,
    catchments_of,
    journeys,
    nearest_planned,
    nearest_today,
    resettled_within,
    travel_findings,
)
from allocator.measures.choice import free_choice, open_places
from allocator.measures.evaluation import Bases, reach_of
from allocator.measures.indicators import (
    Judged,
    State,
    evenness_of,
    measure,
    start_under,
    state_of,
)
from allocator.model import evaluate, explain, solve
from allocator.model.alternatives import with_regret
from allocator.plan import Plan, Status
from allocator.population import Population, persons_of_group
from allocator.preconditions import preconditions
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
from allocator.verify import verify

__all__ = [
    "Incomplete",
    "Run",
    "Shared",
    "check_journeys",
    "code_version",
    "fitted",
    "journeys",
    "need_of",
    "prepare",
    "project",
    "refuse_unknown_names",
    "run",
    "run_id",
    "today_of",
]

Progress = Callable[[str], None]


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Incomplete:
    """What a run came to where a limit came before any plan: sites that break hard rules, and the bound.

    It is no `Run`: nothing measures, compares or reports it.
    """

    id: str
    scenario: Scenario
    problem: Problem
    plan: Plan
    findings: tuple[Finding, ...]


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


def code_version() -> str:
    """Version of the installed package, ``0`` when run from a bare folder."""
    try:
        return version("service-allocator")
    except PackageNotFoundError:
        return "0"


def run_id(
    case: Case, scenario: Scenario, follows: str = "", looser: str = "", starts: str = ""
) -> str:
    """Digest of everything that decides a run; 16 hexadecimal digits.

    ``follows`` is the id of the run whose plan is kept as it stands, ``looser`` that of the run with
    looser limits that is looked at first, ``starts`` that of the run whose prices the work starts from;
    blank where there is none.
    """
    parts: list[Any] = [
        scenario.digest,
        code_version(),
        dict(sorted(case.digests.items())),
        case.catalogue.version,
    ]
    if follows:
        parts.append({"follows": follows})
    if looser:
        parts.append({"looser": looser})
    if starts:
        parts.append({"starts": starts})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def curves_of(
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
    population = people_of(case, scenario, shared)
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


def people_of(case: Case, scenario: Scenario, shared: Shared) -> Population:
    """Return the projected people of a scenario, projected once for all that share them."""
    return _people(case, scenario, shared).population


def people_of_norms(case: Case, scenario: Scenario, population: Population) -> dict[str, Floats]:
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
    population = _people(case, scenario, shared).population
    key = ("need", *_need_key(scenario))
    need = shared.get(key, lambda: need_of(case, scenario, population))
    arcs, site_minutes = _journeys(case, scenario, shared)
    people = people_by_age(population, [p.to for p in scenario.periods])
    people |= people_of_norms(here, scenario, population)
    income = float(case.rates["income"]["yuan_month"].mean())
    problem = compile_problem(
        here, scenario, need=need, arcs=arcs, site_minutes=site_minutes,
        curves=curves_of(case, scenario, lambda s: _calibration(case, scenario, s, shared, arcs), shared),
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
        population = _people(case, scenario, shared).population
        year = scenario.base_year
        year = year if year in population.years else scenario.periods[0].to
        period = Period.model_validate({"from": year, "to": year})
        now = scenario.model_copy(update={"periods": (period,)})
        return calibrate_case(case, scenario, service, need_of(case, now, population), arcs)

    made: Calibration = shared.get(key, fit)
    return made


def _calibrated(
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


def _people(case: Case, scenario: Scenario, shared: Shared) -> Forecast:
    """Return the people, made once for all scenarios that differ in other things only."""
    spec = scenario.population.model_dump_json(exclude={"base", "phase_in", "services"})
    key = ("people", spec, needs_registered(scenario.population), scenario.years)
    made: Forecast = shared.get(key, lambda: forecast(case, scenario))
    return made


def _need_key(scenario: Scenario) -> tuple[object, ...]:
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


def run(
    case: Case,
    scenario: Scenario,
    *,
    shared: Shared | None = None,
    progress: Progress | None = None,
    follow: Run | None = None,
    looser: Run | None = None,
    start: Run | None = None,
) -> Run:
    """Run one scenario from people to a checked and measured plan.

    Parameters
    ----------
    follow
        A run whose sites and places are kept as they stand; only who is served where is decided
        anew. So a plan made for one future is judged in another.
    looser
        A run of the same scenario but for looser hard limits. Where its plan keeps these limits
        too, it is the plan here, with the bound proved there; else this is solved as without it.
    start
        A run of a like scenario whose prices and stints the price road starts from; the exact road
        starts anew. It is part of the run's id.

    Raises
    ------
    InputRefused
        The scenario does not fit the case; all findings at once.
    NoPlanExists
        Hard rules contradict; the findings name them and the way out. With ``follow``: the plan
        cannot keep the hard rules here.
    LimitReached
        A limit came before any plan; the findings name what the sites found break, if any were.
    CheckFailed
        The plan did not pass its independent check.
    """
    say = progress or (lambda text: None)
    shared = Shared() if shared is None else shared
    named = refuse_unknown_names(case, scenario)
    say("population and need")
    problem, people, need = prepare(case, scenario, shared)
    here = placed(case, scenario, shared)
    asked = preconditions(problem, f"{scenario.name}.yaml")
    told = refuse_if_any((*check_journeys(here, scenario, shared), *asked))
    parents = {
        k: r.id
        for k, r in (("follows", follow), ("looser", looser), ("starts", start))
        if r is not None
    }
    solve_spec = scenario.solve
    nodes = None if solve_spec.work_limit == "default" else int(solve_spec.work_limit)
    say("solving")
    kept = None
    if follow is not None:
        problem = replace(problem, occupancy_min=np.zeros_like(problem.occupancy_min))
        plan = evaluate(problem, fitted(follow.problem, follow.plan, problem))
        if not plan.is_complete:
            raise NoPlanExists((_does_not_hold(follow),))
    elif (kept := _kept(problem, looser, solve_spec.gap)) is not None:
        plan = kept
    else:
        plan = solve(
            problem, gap=solve_spec.gap, node_limit=nodes, seconds=solve_spec.seconds,
            seed=solve_spec.seed, road=solve_spec.road, progress=progress,
            start=None if start is None else (start.problem, start.plan),
        )  # fmt: skip
    if plan.status is Status.INFEASIBLE:
        why = explain(problem)
        raise NoPlanExists(why) if why else CheckFailed((_not_confirmed(),))
    if plan.status is Status.NO_PLAN_FOUND:
        raise LimitReached((_nothing_in_time(),))
    if plan.status is Status.INCOMPLETE:
        raise _incomplete(run_id(case, scenario, **parents), scenario, problem, plan)
    say("checking")
    of_bound = check_bound(problem, plan)
    # What is kept was verified here.
    broken = () if kept is not None else verify(problem, plan)
    broken = (*broken, *(f for f in of_bound if f.rank is Rank.ERROR))
    if broken:
        raise CheckFailed(broken)
    base = today_of(scenario)
    base_key = (
        "today",
        scenario.placement,
        base.population.model_dump_json(),
        scenario.need.model_dump_json(),
        scenario.services,
    )
    today, near, caught = shared.get(base_key, lambda: _today(case, base, shared))
    here = case_under(here, scenario)
    whole = with_joint_types(here, scenario)
    reach = reach_of(whole, scenario)
    inputs = _inputs(case, scenario, need)
    like = kept is not None and looser is not None and _lives_alike(looser, scenario, inputs)
    alike = looser if like and looser is not None and _same(reach, reach_of(whole, looser.scenario)) else None  # fmt: skip
    start_key = ("start", *base_key, *((s, m.tobytes()) for s, m in sorted(reach.items())))
    tables, measures, found = measure(
        whole, scenario, today,
        Judged(scenario, problem, plan, people, bases_of(case, scenario, shared)),
        shared.get(start_key, lambda: start_under(whole, today, reach)),
        None if alike is None else evenness_of(alike.tables, alike.measures),
    )  # fmt: skip
    seen = _people(case, scenario, shared)
    path_key = ("paths", scenario.population.model_dump_json(), scenario.years)
    paths = partial(shared.get, path_key, lambda: sampled_people(case, scenario))
    wanted = tables["needs"].groupby(["service", "year"])["need"].sum().to_dict()
    tables["bands"], sure = shared.get(
        ("bands", *_need_key(scenario), *wanted.items()),
        lambda: need_bands(case, scenario, seen.population, need, paths(), wanted),
    )
    fit, fitted_well = _calibrated(here, scenario, shared)
    if len(fit):
        tables["calibration"] = fit
    tables |= {"nearest": near, "catchments": caught}
    planned = nearest_planned(whole, scenario, people["60+"][:, -1], tables["sites"], tables["use"])
    tables |= {"nearest_planned": planned, "catchments_planned": catchments_of(planned)}
    inputs |= parents
    return Run(
        id=run_id(case, scenario, **parents), scenario=scenario,
        inputs=inputs,
        problem=problem, plan=plan, tables=tables, measures=measures,
        findings=(
            *case.findings, *seen.findings, *named, *told, *fitted_well, *of_bound, *_limit_findings(plan),
            *([_kept_from(looser)] if kept is not None and looser is not None else ()), *found, sure,
        ),
    )  # fmt: skip


def _kept(problem: Problem, looser: Run | None, gap: float) -> Plan | None:
    """Return the plan of a run with looser limits where it holds here within the gap asked, else None.

    Of several objectives in order only the first one's bound carries over, so there it is not tried.
    """
    if looser is None or looser.plan.gap > gap or len(problem.objectives) > 1:
        return None
    if not looser.plan.is_complete or not problem.tightens(looser.problem):
        return None
    plan = replace(looser.plan, problem=problem.digest, work={}, prices={})
    return None if verify(problem, plan) else plan


def _lives_alike(looser: Run, scenario: Scenario, inputs: Mapping[str, Any]) -> bool:
    """Whether the same people live under a run's plan, from the same files and the same program."""
    own = ("base_year", "periods", "population", "need", "services", "placement")
    made = ("digests", "catalogue", "code")
    return all(getattr(looser.scenario, k) == getattr(scenario, k) for k in own) and all(
        looser.inputs.get(k) == inputs[k] for k in made
    )


def _same(one: Mapping[str, Floats], two: Mapping[str, Floats]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


def _kept_from(looser: Run) -> Finding:
    name = looser.scenario.name
    return Finding(
        Rank.INFORMATION, "plan-of-looser-limits", Where(id=name),
        Text(f"限额更宽的“{name}”的方案也满足此处的限额,直接采用;在那里证得的界在此同样成立。",
             f"The plan of {name}, whose limits are looser, keeps the limits here too and is taken; the bound proved there holds here."),
        Text("无需处理。", "Nothing to do."),
    )  # fmt: skip


def _today(case: Case, base: Scenario, shared: Shared) -> tuple[State, pd.DataFrame, pd.DataFrame]:
    """Return today's state, the nearest facility of every place, and catchments."""
    problem, people, _ = prepare(case, base, shared)
    plan = solve(problem, gap=base.solve.gap, seed=base.solve.seed, road="exact")
    broken = verify(problem, plan)
    if broken:
        raise CheckFailed(broken)
    here = placed(case, base, shared)
    judged = Judged(base, problem, plan, people, bases_of(case, base, shared))
    near = nearest_today(here, base, people["60+"][:, 0])
    return state_of(with_joint_types(here, base), judged), near, catchments_of(near)


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


def _incomplete(id: str, scenario: Scenario, problem: Problem, plan: Plan) -> AllocatorError:
    """Return that a limit came before any plan, with what breaks hard rules least and by how much."""
    of_bound = check_bound(problem, plan)
    if any(f.rank is Rank.ERROR for f in of_bound):
        return CheckFailed(of_bound)
    units = {str(name): pool.unit for name, pool in scenario.resources.items()}
    findings = (*incomplete_findings(problem, plan, units), *of_bound)
    found = Incomplete(id=id, scenario=scenario, problem=problem, plan=plan, findings=findings)
    return LimitReached(findings, incomplete=found)


def _nothing_in_time() -> Finding:
    return Finding(
        Rank.ERROR, "no-plan-in-time", Where(),
        Text("在限定的计算量内未找到方案。", "No plan was found within the limit."),
        Text("请放宽 solve.work_limit 或 solve.seconds。", "Raise solve.work_limit or solve.seconds."),
    )  # fmt: skip


def _not_confirmed() -> Finding:
    return Finding(
        Rank.ERROR, "no-plan-unconfirmed", Where(),
        Text("求解器称无可行方案,但逐条核对要求时未能证实,结果不予采用。",
             "The solver said that no plan exists; asked again rule by rule it did not confirm it. The answer is rejected."),
        Text("请再试一次;若仍如此,请换一个求解种子(solve.seed)或放宽精度。",
             "Try again; if it happens again, change solve.seed or widen solve.gap."),
    )  # fmt: skip


def _limit_findings(plan: Plan) -> list[Finding]:
    if plan.status is Status.PROVED:
        return []
    if plan.status is Status.INTERRUPTED:
        return [
            Finding(
                Rank.WARNING, "limit", Where(),
                Text(f"求解被中途停止,保留当时最好的方案,精度为 {plan.gap:.2%}。",
                     f"The solve was interrupted; this is the best plan until then, kept as at a limit. Its gap is {plan.gap:.2%}."),
                Text("如需更高精度,请重新运行且不要中断。", "Run it again without interrupting for a smaller gap."),
            )
        ]  # fmt: skip
    return [
        Finding(
            Rank.WARNING, "limit", Where(),
            Text(f"求解到达限额,精度为 {plan.gap:.2%}。", f"The solve stopped at a limit; its gap is {plan.gap:.2%}."),
            Text("如需更高精度,请放宽限额。", "Raise the limit for a smaller gap."),
        )
    ]  # fmt: skip


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
