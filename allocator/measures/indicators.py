"""The tables of a run: sites, use, townships, needs, pools, projects, coverage and indicators.

One row a fact, years as rows: the base year (today) beside the last year of each period. Columns are
listed in ``docs/formats.md``. All totals of text, maps and sheets come from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.catalogue import FacilityType
from allocator.compile import origins
from allocator.errors import Finding, Rank, Text, Where, plural
from allocator.measures.choice import (
    Use,
    assigned,
    free_choice,
    of_residents,
    open_places,
    sent_on,
)
from allocator.measures.evaluation import (
    Bases,
    Stage,
    Start,
    equity_tables,
    people_of_stage,
    start_of,
)
from allocator.measures.funding import funding_tables
from allocator.measures.policy import policy_tables
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.rules import Floats, Referral, Resource
from allocator.scenario import Scenario

__all__ = [
    "INDICATORS",
    "Judged",
    "State",
    "evenness_of",
    "measure",
    "site_use",
    "start_under",
    "state_of",
]

RESIDENT, DAY, HOME = "elderly.resident", "elderly.day", "elderly.home"

INDICATORS: Mapping[str, tuple[Text, str, str]] = {
    "places_per_1000": (Text("每千名老年人养老床位数", "Places per 1,000 elders (60+)"), "place", "预期性"),
    "nursing_share": (Text("护理型床位占比", "Share of nursing places"), "share", "约束性"),
    "township_centres": (Text("乡镇区域养老服务中心覆盖率", "Townships with a regional centre"), "share", "预期性"),
    "destitute_met": (Text("特困人员集中供养意愿入住满足率", "Destitute elders who wish it, placed"), "share", "约束性"),
    "resident_met": (Text("机构照护需求满足率", "Resident-care need met"), "share", "预期性"),
    "day_met": (Text("日间照料需求满足率", "Day-care need met"), "share", "预期性"),
    "home_met": (Text("上门服务需求满足率", "Home-visit need met"), "share", "预期性"),
    "places": (Text("养老床位数", "Resident places"), "place", "预期性"),
    "use_assigned": (Text("床位使用率(规划安排)", "Bed use, as assigned"), "share", "预期性"),
    "use_free": (Text("床位使用率(自由选择)", "Bed use, free choice"), "share", "预期性"),
    "empty_free": (Text("空置床位(自由选择)", "Empty beds, free choice"), "place", "预期性"),
    "investment": (Text("投资", "Investment in the period"), "yuan", "预期性"),
    "running_gap": (Text("年运行缺口(财政承担)", "Yearly running gap (public money)"), "yuan/year", "预期性"),
    "care_workers": (Text("养老护理员", "Care workers"), "person", "预期性"),
    "coverage_day": (Text("日间照料可达人口占比(60+)", "People 60+ in reach of day care"), "share", "预期性"),
    "mean_minutes": (Text("平均出行时间(机构照护)", "Mean travel to resident care"), "minute", "预期性"),
    "p90_minutes": (Text("90分位出行时间(机构照护)", "90th-percentile travel to resident care"), "minute", "预期性"),
    "cost_person_day": (Text("每服务人日成本", "Cost a served person-day"), "yuan", "预期性"),
}  # fmt: skip


Evenness: TypeAlias = "tuple[dict[str, pd.DataFrame], tuple[Text, ...]]"
"""Tables of an equity evaluation and the cautions under them."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A plan with what it answers: scenario, problem, plan, people (area, year) by age band.

    ``bases`` are the people of the equity evaluation; without them it is left out.
    """

    scenario: Scenario
    problem: Problem
    plan: Plan
    people: Mapping[str, Floats]
    bases: Bases | None = None

    @property
    def years(self) -> tuple[int, ...]:
        """Last year of each period."""
        return tuple(p.to for p in self.scenario.periods)

    @property
    def stage(self) -> Stage | None:
        """The plan as the equity evaluation takes it, None without its people."""
        if self.bases is None:
            return None
        return Stage(self.scenario, self.problem, self.plan, self.bases)


@dataclass(frozen=True, eq=False)
class State:
    """A plan with its tables and the people of its first year: what others are compared with."""

    judged: Judged
    tables: Mapping[str, pd.DataFrame]
    people: pd.DataFrame | None


def state_of(case: Case, judged: Judged) -> State:
    """Return the state that a plan leaves, made once for all plans that are measured beside it."""
    stage = judged.stage
    people = None if stage is None else people_of_stage(case, stage, 0)
    return State(judged, _tables(case, judged), people)


def start_under(case: Case, today: State, reach: Mapping[str, Floats]) -> Start | None:
    """Return today as plans of scenarios with one ``reach`` are compared with it, None without people."""
    stage = today.judged.stage
    if stage is None or today.people is None:
        return None
    return start_of(case, stage, today.people, reach)


def evenness_of(tables: Mapping[str, pd.DataFrame], measures: Mapping[str, Any]) -> Evenness | None:
    """Return the equity evaluation that an earlier run holds, None where it made none."""
    made = {name: tables[name] for name in ("equity", "equity_curves") if name in tables}
    cautions = tuple(Text(c["zh"], c["en"]) for c in measures["cautions"])
    return (made, cautions) if len(made) == 2 else None


def measure(
    case: Case,
    scenario: Scenario,
    today: State,
    planned: Judged,
    start: Start | None = None,
    evenness: Evenness | None = None,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any], tuple[Finding, ...]]:
    """Return tables, scores and findings of a plan beside today's state.

    A score that has no value, such as the mean travel of nobody, is None. ``start`` is what the equity
    evaluation compares with (`start_under`); without it that is left out. ``evenness`` is that evaluation
    where the same plan for the same people was evaluated before.
    """
    both = [today.tables, _tables(case, planned)]
    tables = {name: pd.concat([b[name] for b in both], ignore_index=True) for name in both[0]}
    tables["pools"] = tables["pools"][tables["pools"]["year"] > scenario.base_year].reset_index(
        drop=True
    )
    if planned.problem.rules_of(Referral):
        tables["onward"] = _onward(planned)
    tables["projects"] = _projects(case, planned, tables)
    tables |= funding_tables(case.catalogue, scenario, planned.problem, planned.plan, tables)
    tables |= policy_tables(case, scenario)
    cautions: tuple[Text, ...] = ()
    stage = planned.stage
    if evenness is not None:
        tables |= evenness[0]
        cautions = evenness[1]
    elif stage is not None and start is not None:
        made, cautions = equity_tables(case, stage, start)
        tables |= made
    tables["indicators"] = _indicators(case, scenario, tables)
    tables["changes"] = _changes(tables["townships"], scenario)
    score = {
        str(i): {str(r.year): None if pd.isna(r.value) else r.value for r in rows.itertuples()}
        for i, rows in tables["indicators"].groupby("indicator")
    }
    plan = planned.plan
    measures: dict[str, Any] = {
        "score": score,
        "status": str(plan.status),
        "gap": plan.gap,
        "road": plan.road,
        "solver": plan.solver,
        "objectives": [
            {"id": o.id, "unit": o.unit, "value": o.value, "bound": o.bound, "gap": o.gap}
            for o in plan.objectives
        ],
        "shortfalls": {k: float(v) for k, v in sorted(plan.shortfalls.items())},
        "rules": [
            {"id": r.id, "zh": r.words.zh, "en": r.words.en, "hard": r.is_hard, "source": r.source}
            for r in planned.problem.rules
        ],
        "cautions": [{"zh": c.zh, "en": c.en} for c in cautions],
    }
    found = (*_roll_findings(case, tables["use"], scenario), *_findings(case, tables, scenario))
    return tables, measures, found


def _tables(case: Case, judged: Judged) -> dict[str, pd.DataFrame]:
    problem, plan = judged.problem, judged.plan
    own, free = assigned(plan), free_choice(problem, plan)
    lived, chose = of_residents(problem, own), of_residents(problem, free)
    flows = _flows(problem, lived, judged.years)
    return {
        "sites": _sites(case, judged),
        "use": _use(case, judged, own, free),
        "townships": _townships(case, judged, lived, chose),
        "needs": _needs(problem, plan, judged.years),
        "coverage": _coverage(case, judged),
        "access": _access(flows, judged.years, case),
        "areas": _areas(case, judged, lived),
        "flows": _flow_table(case, flows),
        "pools": _pools(judged),
        "money": _money(case, judged),
    }


def _mean(problem: Problem, future: Any) -> Floats:
    return np.asarray(problem.future_weight[future])


def _sites(case: Case, judged: Judged) -> pd.DataFrame:
    """State, mode, capital, running money and workers of each site by year."""
    problem, plan = judged.problem, judged.plan
    sites = case.region.sites.reset_index(drop=True)
    periods = len(problem.periods)
    in_place = np.zeros((len(sites), periods), np.int64)
    for p in plan.stints:
        in_place[problem.stint_site[p], problem.stint_first[p] : problem.stint_last[p] + 1] = p
    rows = []
    per = {name: site_use(problem, plan, name) for name in ("capital", "running", "care_workers")}
    for t, year in enumerate(judged.years):
        stint = in_place[:, t]
        new = problem.stint_first[stint] == t
        mode = np.array(problem.modes)[problem.stint_mode[stint]]
        rows.append(
            pd.DataFrame(
                {
                    "year": year,
                    "site_id": sites["site_id"],
                    "name_zh": sites["name_zh"],
                    "name_en": sites["name_en"],
                    "township_id": sites["township_id"],
                    "area_class": sites["area_class"],
                    "lon": sites["lon"],
                    "lat": sites["lat"],
                    "state": np.array(problem.options)[problem.stint_option[stint]],
                    "before": np.array(problem.options)[problem.stint_from[stint]],
                    "mode": np.where(new, mode, "keep"),
                    "capital_yuan": per["capital"][:, t],
                    "running_yuan_year": per["running"][:, t],
                    "care_workers": per["care_workers"][:, t],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def site_use(problem: Problem, plan: Plan, pool: str) -> Floats:
    """(J, T) use of a pool by each site, mean over futures; 0 where the pool is not planned."""
    out = np.zeros((len(problem.sites), len(problem.periods)))
    if pool not in problem.pools:
        return out
    k, periods = problem.pools.index(pool), len(problem.periods)
    part = slice(k * periods, (k + 1) * periods)
    fixed = problem.use_stint[plan.stints][:, part].toarray()
    np.add.at(out, problem.stint_site[plan.stints], fixed)
    by_place = problem.use_place[:, part].toarray() * plan.places[:, None]
    np.add.at(out, problem.stint_site[problem.offer_stint], by_place)
    arc, g, t = plan.served_arc, plan.served_group, plan.served_period
    c = problem.arc_class[arc]
    each = problem.use_person[c, g, k, t] + problem.use_minute[c, k] * problem.arc_minutes[arc]
    people = plan.served * _mean(problem, plan.served_future)
    np.add.at(out, (problem.arc_site[arc], t), each * people)
    return out


def _use(case: Case, judged: Judged, own: Use, free: Use) -> pd.DataFrame:
    """Places, nursing places, assigned and free-choice use by site, service and year."""
    problem = judged.problem
    places = open_places(problem, judged.plan)  # (J, C, T)
    nursing = {o.id: o.nursing_share for t in case.catalogue.types.values() for o in t.offers}
    share = np.array([nursing[c] for c in problem.classes])
    shape = (len(problem.sites), len(problem.services), len(problem.periods))

    def by_service(values: Floats) -> Floats:
        out = np.zeros(shape)
        for c, s in enumerate(problem.class_service):
            out[:, s] += values[:, c]
        return out

    def used(use: Use) -> Floats:
        out = np.zeros(shape)
        c = problem.arc_class[use.arc]
        people = use.people * problem.places_per_person[c, use.group] * _mean(problem, use.future)
        np.add.at(out, (problem.arc_site[use.arc], problem.class_service[c], use.period), people)
        return out

    total, nurse = by_service(places), by_service(places * share[:, None])
    mine, theirs = used(own), used(free)
    j, s, t = np.nonzero(total > 0)
    return pd.DataFrame(
        {
            "year": np.array(judged.years)[t],
            "site_id": np.array(problem.sites)[j],
            "service": np.array(problem.services)[s],
            "places": total[j, s, t],
            "nursing_places": nurse[j, s, t],
            "assigned": mine[j, s, t],
            "free_choice": theirs[j, s, t],
            "empty_assigned": total[j, s, t] - mine[j, s, t],
            "empty_free": total[j, s, t] - theirs[j, s, t],
        }
    ).sort_values(["year", "site_id", "service"], ignore_index=True)


def _townships(case: Case, judged: Judged, lived: Use, chose: Use) -> pd.DataFrame:
    """Need, people served, free choice and mean travel by township, service and year, by residence."""
    problem = judged.problem
    ids = sorted(case.region.townships["township_id"])
    part = np.array([ids.index(t) for t in origins(case)["township_id"]])
    shape = (len(ids), len(problem.services), len(problem.periods))

    def people(use: Use, weight: Floats | None = None) -> Floats:
        out = np.zeros(shape)
        c = problem.arc_class[use.arc]
        value = use.people * _mean(problem, use.future)
        if weight is not None:
            value = value * weight
        at = (part[problem.arc_area[use.arc]], problem.class_service[c], use.period)
        np.add.at(out, at, value)
        return out

    need = np.zeros(shape)
    own = np.tensordot(problem.need[: len(part)], problem.future_weight, 1)
    np.add.at(need, part, own.sum(2))
    served, chosen = people(lived), people(chose)
    minutes = people(lived, problem.arc_minutes[lived.arc])
    names = case.region.townships.set_index("township_id")
    elders = np.zeros((len(ids), len(problem.periods)))
    np.add.at(elders, part[: len(judged.people["60+"])], judged.people["60+"])
    everyone = np.zeros((len(ids), len(problem.periods)))
    np.add.at(everyone, part[: len(judged.people["all"])], judged.people["all"])
    i, s, t = np.indices(shape).reshape(3, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(need > 0, served / np.where(need > 0, need, 1), 1.0)
        mean = np.where(served > 1e-9, minutes / np.where(served > 1e-9, served, 1), np.nan)
    return pd.DataFrame(
        {
            "year": np.array(judged.years)[t],
            "township_id": np.array(ids)[i],
            "name_zh": names.loc[np.array(ids)[i], "name_zh"].to_numpy(),
            "name_en": names.loc[np.array(ids)[i], "name_en"].to_numpy(),
            "service": np.array(problem.services)[s],
            "people": everyone[i, t],
            "people_60": elders[i, t],
            "need": need[i, s, t],
            "served": served[i, s, t],
            "free_choice": chosen[i, s, t],
            "unmet": (need - served)[i, s, t],
            "share": share[i, s, t],
            "mean_minutes": mean[i, s, t],
        }
    ).sort_values(["year", "township_id", "service"], ignore_index=True)


def _needs(problem: Problem, plan: Plan, years: tuple[int, ...]) -> pd.DataFrame:
    """Need, served and unmet by service, group and year."""
    lives = ~problem.onward
    need = np.tensordot(problem.need[lives], problem.future_weight, 1).sum(0)  # (S, G, T)
    unmet = np.tensordot(plan.unmet[lives], problem.future_weight, 1).sum(0)
    s, g, t = np.indices(need.shape).reshape(3, -1)
    table = pd.DataFrame(
        {
            "year": np.array(years)[t],
            "service": np.array(problem.services)[s],
            "group": np.array(problem.groups)[g],
            "need": need[s, g, t],
            "served": (need - unmet)[s, g, t],
            "unmet": unmet[s, g, t],
        }
    )
    return table[table["need"] > 0].sort_values(["year", "service", "group"], ignore_index=True)


def _open_arcs(judged: Judged) -> Any:
    """(A, T) whether the site of an arc offers its class in the period."""
    places = open_places(judged.problem, judged.plan)
    return places[judged.problem.arc_site, judged.problem.arc_class] > 0


def _coverage(case: Case, judged: Judged) -> pd.DataFrame:
    """People 60+ with an open offer of a service in its reach, by area class, service and year."""
    problem, open_ = judged.problem, _open_arcs(judged)
    classes = case.region.areas.sort_values("area_id")["area_class"].to_numpy()
    people = judged.people["60+"]
    n = len(people)
    rows = []
    for s, service in enumerate(problem.services):
        for t, year in enumerate(judged.years):
            some = open_[:, t] & (problem.class_service[problem.arc_class] == s)
            reached = np.zeros(len(problem.areas), bool)
            reached[problem.arc_area[some]] = True
            for area_class in ("county", *sorted(set(classes))):
                chosen = np.ones(n, bool) if area_class == "county" else classes == area_class
                total = float(people[chosen, t].sum())
                covered = float(people[chosen & reached[:n], t].sum())
                rows.append(
                    (year, service, area_class, total, covered, covered / total if total else 1.0)
                )
    return pd.DataFrame(
        rows, columns=["year", "service", "area_class", "people_60", "covered", "share"]
    )


def _flows(problem: Problem, use: Use, years: tuple[int, ...]) -> pd.DataFrame:
    arc = use.arc
    return pd.DataFrame(
        {
            "year": np.array(years)[use.period],
            "area": problem.arc_area[arc],
            "site": problem.arc_site[arc],
            "service": np.array(problem.services)[problem.class_service[problem.arc_class[arc]]],
            "minutes": problem.arc_minutes[arc],
            "people": use.people * _mean(problem, use.future),
        }
    )


def _access(flows: pd.DataFrame, years: tuple[int, ...], case: Case) -> pd.DataFrame:
    """Mean and 90th-percentile minutes of people served, by area class, service and year."""
    classes = origins(case)["area_class"].to_numpy()
    flows = flows.assign(area_class=classes[flows["area"]])
    both = pd.concat([flows, flows.assign(area_class="county")])
    rows = []
    for (year, service, area_class), part in both.groupby(["year", "service", "area_class"]):
        minutes, people = part["minutes"].to_numpy(), part["people"].to_numpy()
        order = np.argsort(minutes, kind="stable")
        reach = np.cumsum(people[order])
        p90 = minutes[order][np.searchsorted(reach, 0.9 * reach[-1] - 1e-9)]
        rows.append(
            (year, service, area_class, people.sum(), float(minutes @ people / people.sum()), p90)
        )
    return pd.DataFrame(
        rows, columns=["year", "service", "area_class", "served", "mean_minutes", "p90_minutes"]
    )


def _flow_table(case: Case, flows: pd.DataFrame) -> pd.DataFrame:
    """People from township to site by service and year; flows of under 5 people join ``other``."""
    where = origins(case)["township_id"].to_numpy()
    sites = np.array(case.region.site_ids)
    table = flows.assign(township_id=where[flows["area"]], site_id=sites[flows["site"]])
    table["person_minutes"] = table["people"] * table["minutes"]
    keys = ["year", "service", "township_id", "site_id"]
    table = table.groupby(keys, as_index=False)[["people", "person_minutes"]].sum()
    table.loc[table["people"] < 5, "site_id"] = "other"
    table = table.groupby(keys, as_index=False)[["people", "person_minutes"]].sum()
    table["mean_minutes"] = table["person_minutes"] / table["people"]
    return table.drop(columns="person_minutes")


def _onward(judged: Judged) -> pd.DataFrame:
    """People sent on from site to site by service and year; of under 5 people ``to_site`` is ``other``."""
    problem = judged.problem
    sent = sent_on(problem, assigned(judged.plan))
    stands = np.full(len(problem.areas), -1)
    for rule in problem.rules_of(Referral):
        stands[rule.area] = rule.site  # type: ignore[attr-defined]
    flows = _flows(problem, sent, judged.years)
    sites = np.array(problem.sites, dtype=object)
    table = flows.assign(
        from_site=sites[stands[flows["area"]]], to_site=sites[flows["site"]],
        person_minutes=flows["people"] * flows["minutes"],
    )  # fmt: skip
    keys = ["year", "service", "from_site", "to_site"]
    table = table.groupby(keys, as_index=False)[["people", "person_minutes"]].sum()
    table.loc[table["people"] < 5, "to_site"] = "other"
    table = table.groupby(keys, as_index=False)[["people", "person_minutes"]].sum()
    table["mean_minutes"] = table["person_minutes"] / table["people"]
    return table.drop(columns="person_minutes")


def _areas(case: Case, judged: Judged, own: Use) -> pd.DataFrame:
    """Unnamed points with elders, whether each service is in reach, and the served share."""
    problem, open_ = judged.problem, _open_arcs(judged)
    areas = case.region.areas.sort_values("area_id")
    n = len(areas)
    service_of = problem.class_service[problem.arc_class]
    rows = []
    for t, year in enumerate(judged.years):
        frame = pd.DataFrame(
            {
                "year": year, "point": np.arange(1, n + 1), "township_id": areas["township_id"].to_numpy(),
                "area_class": areas["area_class"].to_numpy(), "lon": areas["lon"].to_numpy(),
                "lat": areas["lat"].to_numpy(), "people_60": judged.people["60+"][:, t].round(0),
            }
        )  # fmt: skip
        for s, service in enumerate(problem.services):
            reached = np.zeros(len(problem.areas), bool)
            reached[problem.arc_area[open_[:, t] & (service_of == s)]] = True
            need = np.tensordot(problem.need[:, s, :, t], problem.future_weight, 1).sum(1)
            got = np.zeros(len(problem.areas))
            some = (own.period == t) & (service_of[own.arc] == s)
            people = own.people[some] * _mean(problem, own.future[some])
            np.add.at(got, problem.arc_area[own.arc[some]], people)
            name = service.split(".")[-1]
            frame[f"reach_{name}"] = reached[:n]
            frame[f"share_{name}"] = np.where(need > 0, got / np.where(need > 0, need, 1), 1.0)[
                :n
            ].round(3)
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def _pools(judged: Judged) -> pd.DataFrame:
    """Use and supply of each pool by year; what is carried over is supplied again."""
    problem = judged.problem
    rows = []
    supply = {r.pool: r.supply for r in problem.rules_of(Resource)}  # type: ignore[attr-defined]
    for k, pool in enumerate(problem.pools):
        if pool not in judged.scenario.resources:
            continue  # a group of tiers of a divided pool
        use = site_use(problem, judged.plan, pool).sum(0)
        spec = judged.scenario.resources[pool]  # type: ignore[index]
        unit = spec.unit
        for t, year in enumerate(judged.years):
            most = float(supply[k][t]) - (float(use[:t].sum()) if spec.carry_over else 0.0)
            rows.append((year, pool, unit, float(use[t]), most if np.isfinite(most) else np.nan))
    return pd.DataFrame(rows, columns=["year", "pool", "unit", "use", "supply"])


def _projects(case: Case, planned: Judged, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The project list (项目库): every site whose state changes, when, what and for how much."""
    sites, use = tables["sites"], tables["use"]
    changed = sites[(sites["mode"] != "keep") & (sites["year"] > planned.scenario.base_year)]
    screens = case.region.sites.set_index("site_id")
    rows = []
    for number, row in enumerate(changed.itertuples(), 1):
        here = use[(use["site_id"] == row.site_id) & (use["year"] == row.year)].set_index("service")
        site = screens.loc[row.site_id]
        unchecked = [c for c in screens.columns if site[c] == "未核"]
        type_ = case.catalogue.types.get(row.state)
        name = type_.name if type_ else Text("关停", "closed")
        rows.append(
            {
                "number": number, "site_id": row.site_id, "name_zh": row.name_zh, "name_en": row.name_en,
                "township_id": row.township_id, "period": row.year, "mode": row.mode,
                "before": row.before, "type": row.state, "type_zh": name.zh, "type_en": name.en,
                "places_resident": _places(here, RESIDENT), "places_day": _places(here, DAY),
                "visits_home": _places(here, HOME), "capital_yuan": row.capital_yuan,
                "running_yuan_year": row.running_yuan_year, "care_workers": row.care_workers,
                "unchecked": "、".join(unchecked),
            }
        )  # fmt: skip
    columns = [
        "number", "site_id", "name_zh", "name_en", "township_id", "period", "mode", "before", "type",
        "type_zh", "type_en", "places_resident", "places_day", "visits_home", "capital_yuan",
        "running_yuan_year", "care_workers", "unchecked",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _places(here: pd.DataFrame, service: str) -> float:
    return float(here.loc[service, "places"]) if service in here.index else 0.0


def _indicators(case: Case, scenario: Scenario, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Indicator table (规划指标表): one row an indicator and year."""
    rows: list[tuple[str, int, float]] = []
    days = case.rates["service_days"].set_index("service")["days_per_unit_year"]
    for year in scenario.years:
        use = tables["use"][tables["use"]["year"] == year]
        beds = use[use["service"] == RESIDENT]
        towns = tables["townships"][tables["townships"]["year"] == year]
        elders = towns.drop_duplicates("township_id")["people_60"].sum()
        places, nursing = beds["places"].sum(), beds["nursing_places"].sum()
        needs = tables["needs"][tables["needs"]["year"] == year]
        sites = tables["sites"][tables["sites"]["year"] == year]
        county = (
            tables["access"].query("year == @year and area_class == 'county'").set_index("service")
        )
        cover = (
            tables["coverage"]
            .query("year == @year and area_class == 'county'")
            .set_index("service")
        )
        served = towns.groupby("service")["served"].sum()
        if "onward" in tables:
            sent = tables["onward"].query("year == @year").groupby("service")["people"].sum()
            served = served.add(sent, fill_value=0.0)
        person_days = float((served * days.reindex(served.index).fillna(0)).sum())
        running = float(sites["running_yuan_year"].sum())
        money = tables["money"].query("year == @year").set_index("item")["yuan_year"]
        yearly = float(money["running_gross"]) + _yearly_capital(case, sites)
        values = {
            "places_per_1000": 1000 * places / elders if elders else 0.0,
            "nursing_share": nursing / places if places else 0.0,
            "township_centres": _township_centres(case, sites),
            "destitute_met": _met(
                needs[(needs["service"] == RESIDENT) & (needs["group"] == "destitute")]
            ),
            "resident_met": _met(needs[needs["service"] == RESIDENT]),
            "day_met": _met(needs[needs["service"] == DAY]),
            "home_met": _met(needs[needs["service"] == HOME]),
            "places": places,
            "use_assigned": beds["assigned"].sum() / places if places else 0.0,
            "use_free": beds["free_choice"].sum() / places if places else 0.0,
            "empty_free": beds["empty_free"].sum(),
            "investment": sites["capital_yuan"].sum(),
            "running_gap": running,
            "care_workers": sites["care_workers"].sum(),
            "coverage_day": cover["share"].get(DAY, 0.0),
            "mean_minutes": county["mean_minutes"].get(RESIDENT, np.nan),
            "p90_minutes": county["p90_minutes"].get(RESIDENT, np.nan),
            "cost_person_day": yearly / person_days if person_days else np.nan,
        }
        rows += [(name, year, float(v)) for name, v in values.items()]
    table = pd.DataFrame(rows, columns=["indicator", "year", "value"])
    for column, part in (("zh", 0), ("en", 0), ("unit", 1), ("kind", 2)):
        picked = table["indicator"].map(lambda i, p=part: INDICATORS[i][p])
        table[column] = [getattr(v, column) if part == 0 else v for v in picked]
    return table


def _met(needs: pd.DataFrame) -> float:
    total = needs["need"].sum()
    return float(needs["served"].sum() / total) if total else 1.0


def _township_centres(case: Case, sites: pd.DataFrame) -> float:
    """Share of townships with a facility of the township tier that has several services."""
    centres = {
        t.id for t in case.catalogue.types.values() if t.tier == "township" and len(t.offers) > 1
    }
    towns = set(case.region.townships["township_id"])
    return len(set(sites.loc[sites["state"].isin(centres), "township_id"]) & towns) / len(towns)


def _money(case: Case, judged: Judged) -> pd.DataFrame:
    """Yearly running cost of all that stands, and who bears it: fees, insurance, public money."""
    problem, plan = judged.problem, judged.plan
    offers = {o.id: o for t in case.catalogue.types.values() for o in t.offers}
    fees = np.zeros((len(problem.classes), len(problem.groups), 2))
    for c, name in enumerate(problem.classes):
        for g, group in enumerate(problem.groups):
            fees[c, g] = (
                12 * offers[name].fee_yuan_month.get(group, 0.0),
                12 * offers[name].insurance_yuan_month.get(group, 0.0),
            )
    public = site_use(problem, plan, "running").sum(0)
    paid = np.zeros((len(judged.years), 2))
    kind = problem.arc_class[plan.served_arc]
    people = plan.served * _mean(problem, plan.served_future)
    np.add.at(paid, plan.served_period, fees[kind, plan.served_group] * people[:, None])
    rows = []
    for t, year in enumerate(judged.years):
        fee, insurance = paid[t]
        rows += [
            (year, "running_gross", float(public[t] + fee + insurance)), (year, "fees", float(fee)),
            (year, "insurance", float(insurance)), (year, "public", float(public[t])),
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=["year", "item", "yuan_year"])


def _yearly_capital(case: Case, sites: pd.DataFrame) -> float:
    """Straight-line yearly share of the capital of facilities new this year."""
    total = 0.0
    for row in sites[sites["capital_yuan"] != 0].itertuples():
        type_: FacilityType | None = case.catalogue.types.get(str(row.state))
        life = [p.life_years for p in type_.provisions if p.mode == row.mode] if type_ else []
        total += float(row.capital_yuan) / max(life[0] if life else 30.0, 1.0)  # type: ignore[arg-type]
    return total


def _changes(townships: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Who gains and who loses (可及性下降乡镇): served share by township against today."""
    keys = ["township_id", "name_zh", "name_en", "service"]
    first = townships[townships["year"] == scenario.base_year].set_index(keys)["share"]
    last = townships[townships["year"] == scenario.years[-1]].set_index(keys)["share"]
    table = pd.DataFrame({"share_today": first, "share_end": last}).reset_index()
    table["change"] = table["share_end"] - table["share_today"]
    return table


_OFF_ROLL = 0.1  # share of the beds of today between roll and model that a reader must be told of


def _roll_findings(case: Case, use: pd.DataFrame, scenario: Scenario) -> list[Finding]:
    """Tell where the beds said to be in use today lie far from the roll of the homes."""
    today = use[(use["year"] == scenario.base_year) & (use["service"] == RESIDENT)]
    homes = case.region.homes
    homes = homes[homes["site_id"].isin(today["site_id"])]
    places, lived = float(today["places"].sum()), float(homes["residents"].sum())
    modelled = float(today["assigned"].sum())
    if homes.empty or homes["residents"].isna().any() or not places:
        return []
    if abs(modelled - lived) <= _OFF_ROLL * places:
        return []
    return [
        Finding(
            Rank.WARNING, "today-off-the-roll", Where(file="homes.csv", column="residents"),
            Text(f"现状床位使用率按模型推算为 {modelled / places:.0%},按名册为 {lived / places:.0%}({lived:,.0f} 人住 {places:,.0f} 张床)。方案的现状列以推算为准。",
                 f"The model puts {modelled / places:.0%} of today's beds in use, the roll {lived / places:.0%} ({lived:,.0f} residents, {places:,.0f} beds). Figures of today are the model's."),
            Text("请用入住来源校准意愿曲线(need.willingness: calibrated),或核对名册、收费和参数,再采信床位数。",
                 "Calibrate the willingness curve by the origins of residents (need.willingness: calibrated), or check roll, fees and rates, before relying on numbers of beds."),
        )
    ]  # fmt: skip


def _findings(
    case: Case, tables: Mapping[str, pd.DataFrame], scenario: Scenario
) -> tuple[Finding, ...]:
    """What a reader must know of the result: need out of reach, chosen sites not yet checked."""
    found = []
    projects = tables["projects"]
    waiting = projects[projects["unchecked"] != ""]
    if len(waiting):
        ids = ", ".join(sorted(set(waiting["site_id"])))
        found.append(
            Finding(
                Rank.WARNING, "site-unchecked", Where(id=ids),
                Text(f"{len(waiting)} 个入选地点选址待核。", f"{plural(len(waiting), 'chosen site still has', 'chosen sites still have')} unchecked columns."),
                Text("请先完成三区三线、地灾、权属等核查。", "Check zoning, hazards, ownership before relying on them."),
            )
        )  # fmt: skip
    end = tables["coverage"][tables["coverage"]["year"] == scenario.years[-1]]
    for row in end[(end["area_class"] == "county") & (end["share"] < 1)].itertuples():
        out = row.people_60 - row.covered
        name = case.catalogue.services[str(row.service)].name
        found.append(
            Finding(
                Rank.INFORMATION, "out-of-reach", Where(id=str(row.service)),
                Text(f"规划期末仍有 {out:,.0f} 名老年人不在{name.zh}的可达范围内。", f"{plural(round(out), 'elder stays', 'elders stay')} out of reach of {name.en.lower()}."),
                Text("可考虑增设地点或流动服务。", "Consider more sites or mobile service."),
            )
        )  # fmt: skip
    return tuple(found)
