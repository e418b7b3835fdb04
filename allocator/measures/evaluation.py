"""The equity evaluation of a run: today and each period's end, on every base, stored as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.case import Case
from allocator.compile import origins
from allocator.compile.norms import norms_by_period
from allocator.errors import Text
from allocator.measures.equity import Evaluated, Future, equity_chapter, evaluated
from allocator.measures.equity_state import people_in_need, state_of_plan
from allocator.plan import Plan
from allocator.population import AGES_5
from allocator.problem import Problem
from allocator.rules import Floats
from allocator.scenario import CoverageRule, Scenario

__all__ = ["Bases", "Stage", "Start", "equity_tables", "people_of_stage", "reach_of", "start_of"]

_POINTS = 51
_BANDS = ((0, "0-14"), (3, "15-59"), (12, "60-69"), (14, "70-79"), (16, "80+"))


@dataclass(frozen=True, eq=False)
class Bases:
    """Persons that a service may be for.

    Parameters
    ----------
    persons
        By track (future, area, year, age) persons of five-year age groups, both sexes.
    ages
        By service (age,) whether people of the age may need it.
    """

    persons: Mapping[str, Floats]
    ages: Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Stage:
    """A plan, what it answers, and the people behind it."""

    scenario: Scenario
    problem: Problem
    plan: Plan
    bases: Bases


@dataclass(frozen=True, eq=False)
class Start:
    """Today as plans are compared with it, and what counts as covered there and in the plans.

    Parameters
    ----------
    reach
        By service (I,) minutes within which it covers (`reach_of`).
    """

    reach: Mapping[str, Floats]
    today: Evaluated


def people_of_stage(case: Case, stage: Stage, t: int) -> pd.DataFrame:
    """Return persons in need, residents and registered persons of period ``t``, as `equity_chapter` takes them."""
    return _people(stage, _where(case, stage.scenario), t)


def _where(case: Case, scenario: Scenario | None = None) -> pd.DataFrame:
    return origins(case, scenario).rename(columns={"township_id": "township"})


def start_of(case: Case, today: Stage, first: pd.DataFrame, reach: Mapping[str, Floats]) -> Start:
    """Return today as the plans of all scenarios with one ``reach`` are compared with it.

    ``first`` are the people of today's stage (`people_of_stage`).
    """
    return Start(
        reach, evaluated(first, _state(today, reach, _where(case, today.scenario), first, 0))
    )


def equity_tables(
    case: Case, planned: Stage, start: Start
) -> tuple[dict[str, pd.DataFrame], tuple[Text, ...]]:
    """Return the tables ``equity`` and ``equity_curves``, and the cautions to print under them.

    One row a year, service, base, index and part; ``before`` is today (`start_of`). With several
    futures each row has the interval that holds four in five of them.
    """
    where, reach = _where(case, planned.scenario), start.reach
    tables, curves = [], []
    cautions: tuple[Text, ...] = ()
    for t, period in enumerate(planned.scenario.periods):
        people = _people(planned, where, t)
        futures: tuple[Future, ...] = ()
        if len(planned.problem.futures) > 1:
            futures = tuple(_future(planned, reach, where, t, w) for w in range(len(planned.problem.futures)))  # fmt: skip
        chapter = equity_chapter(
            people, _state(planned, reach, where, people, t), case.catalogue.flags,
            before=start.today, futures=futures,
        )  # fmt: skip
        tables.append(chapter.table.assign(year=period.to))
        curves.append(_sampled(chapter.curves).assign(year=period.to))
        cautions = chapter.cautions
    made = {
        "equity": pd.concat(tables, ignore_index=True),
        "equity_curves": pd.concat(curves, ignore_index=True),
    }
    return made, cautions


def _sampled(curves: pd.DataFrame) -> pd.DataFrame:
    """Return Lorenz curves at `_POINTS` even shares of people, so that a store holds few rows."""
    keys = ["service", "base", "when"]
    at = np.linspace(0.0, 1.0, _POINTS)
    parts = []
    for key, rows in curves.groupby(keys, sort=True):
        share = np.interp(at, rows["people_share"], rows["access_share"])
        named = dict(zip(keys, key, strict=True))
        parts.append(pd.DataFrame({**named, "people_share": at, "access_share": share}))
    return pd.concat(parts, ignore_index=True) if parts else curves


def _future(
    stage: Stage, reach: Mapping[str, Floats], where: pd.DataFrame, t: int, w: int
) -> Future:
    people = _people(stage, where, t, w)
    state = _state(stage, reach, where, people, t, w)
    return Future(float(stage.problem.future_weight[w]), people, state)


def _people(stage: Stage, where: pd.DataFrame, t: int, w: int | None = None) -> pd.DataFrame:
    """Persons in need, residents and registered persons by area, service and age or grade."""
    problem = stage.problem
    keys = where[["area_id", "township", "area_class"]]
    names, counts = [], []
    edges = [*(low for low, _ in _BANDS), len(AGES_5)]
    for track, persons in stage.bases.persons.items():
        here = persons[:, :, t]
        mean = np.tensordot(problem.future_weight, here, axes=1) if w is None else here[w]
        for service in problem.services:
            wanted = mean * stage.bases.ages[service]
            for k, (low, band) in enumerate(_BANDS):
                some = wanted[:, low : edges[k + 1]].sum(axis=1)
                if some.any():
                    names.append((service, track, band))
                    counts.append(some)
    in_need = people_in_need(problem, keys, t, w)
    if not names:
        return in_need
    n = len(counts[0])
    rows = keys.iloc[np.tile(np.arange(n), len(names))].reset_index(drop=True)
    for column, values in zip(("service", "base", "age"), zip(*names, strict=True), strict=True):
        rows[column] = np.repeat(np.array(values, dtype=object), n)
    rows["persons"] = np.concatenate(counts)
    return pd.concat([in_need, rows], ignore_index=True)


def _state(
    stage: Stage,
    reach: Mapping[str, Floats],
    where: pd.DataFrame,
    people: pd.DataFrame,
    t: int,
    w: int | None = None,
) -> pd.DataFrame:
    parts, _ = pd.factorize(where["township"], sort=True)
    more = len(where) - len(next(iter(reach.values()), where))  # onward origins, where nobody lives
    reach = {s: np.pad(m, (0, more), constant_values=np.inf) for s, m in reach.items()}
    return state_of_plan(
        stage.problem, stage.plan, t, future=w, reach=reach, people=people, part=np.asarray(parts)
    )


def reach_of(case: Case, scenario: Scenario) -> dict[str, Floats]:
    """Return by service (I,) minutes within which it counts as covering, by the coverage rules.

    A service without such a rule counts within its own limit.
    """
    where = _where(case)
    found: dict[str, Floats] = {}
    for rule in (r.value for r in scenario.rules):
        if not isinstance(rule, CoverageRule):
            continue
        minutes = rule.within_minutes
        if minutes is None and rule.standard is not None:
            norms = [n.value for n in norms_by_period(case, scenario, rule.standard) if n]
            minutes = min(norms, default=np.inf)
        mine = found.setdefault(rule.service, np.full(len(where), np.inf))
        here = np.ones(len(where), bool)
        if rule.area_class is not None:
            here = (where["area_class"] == rule.area_class).to_numpy()
        mine[here] = np.minimum(mine[here], minutes if minutes is not None else np.inf)
    return found
