"""One scenario from people to plan: project, need, journeys, compile, solve, verify, measure.

Every stage is a function of what came before; `Shared` keeps stages that scenarios have in common.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.certificate import check_bound
from allocator.compile import with_joint_types
from allocator.compile.norms import case_under
from allocator.demand import Need
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
    refuse_if_any,
)
from allocator.forecast import (
    need_bands,
    sampled_people,
)
from allocator.incomplete import incomplete_findings
from allocator.journeys import (
    catchments_of,
    nearest_planned,
    nearest_today,
)
from allocator.measures.choice import free_choice, open_places
from allocator.measures.evaluation import reach_of
from allocator.measures.indicators import (
    Judged,
    State,
    evenness_of,
    measure,
    start_under,
    state_of,
)
from allocator.model import evaluate, explain, solve
from allocator.plan import Plan, Status
from allocator.preconditions import preconditions
from allocator.prepare import (
    Shared,
    bases_of,
    calibrated,
    check_journeys,
    forecast_of,
    need_key,
    placed,
    prepare,
    refuse_unknown_names,
    today_of,
)
from allocator.problem import Problem
from allocator.rules import Floats
from allocator.scenario import (
    Scenario,
)
from allocator.verify import verify

__all__ = ["Incomplete", "Run", "Shared", "code_version", "fitted", "flatter", "run", "run_id"]

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
    seen = forecast_of(case, scenario, shared)
    path_key = ("paths", scenario.population.model_dump_json(), scenario.years)
    paths = partial(shared.get, path_key, lambda: sampled_people(case, scenario))
    wanted = tables["needs"].groupby(["service", "year"])["need"].sum().to_dict()
    tables["bands"], sure = shared.get(
        ("bands", *need_key(scenario), *wanted.items()),
        lambda: need_bands(case, scenario, seen.population, need, paths(), wanted),
    )
    fit, fitted_well = calibrated(here, scenario, shared)
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
            *case.findings, *seen.findings, *named, *told, *fitted_well, *of_bound, *_limit_findings(plan, problem, scenario.solve.gap),
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


def _limit_findings(plan: Plan, problem: Problem, asked: float) -> list[Finding]:
    """Say that a limit came first, and which of several objectives in order it left open."""
    if plan.status is Status.PROVED:
        return []
    words = {o.id: o.words for o in problem.objectives}
    late = [o for o in plan.objectives if o.gap > asked]
    each = Text("", "")
    if 0 < len(late) < len(plan.objectives):
        zh = "、".join(f"“{words[o.id].zh}”{o.gap:.2%}" for o in late)
        en = ", ".join(f"{words[o.id].en} {o.gap:.2%}" for o in late)
        each = Text(f"其中{zh},其余目标已在{asked:.2%}以内。", f" Only {en}; the other objectives are within {asked:.2%}.")  # fmt: skip
    if plan.status is Status.INTERRUPTED:
        return [
            Finding(
                Rank.WARNING, "limit", Where(),
                Text(f"求解被中途停止,保留当时最好的方案,精度为 {plan.gap:.2%}。{each.zh}",
                     f"The solve was interrupted; this is the best plan until then, kept as at a limit. Its gap is {plan.gap:.2%}.{each.en}"),
                Text("如需更高精度,请重新运行且不要中断。", "Run it again without interrupting for a smaller gap."),
            )
        ]  # fmt: skip
    return [
        Finding(
            Rank.WARNING, "limit", Where(),
            Text(f"求解到达限额,精度为 {plan.gap:.2%}。{each.zh}", f"The solve stopped at a limit; its gap is {plan.gap:.2%}.{each.en}"),
            Text("如需更高精度,请放宽限额。", "Raise the limit for a smaller gap."),
        )
    ]  # fmt: skip


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
