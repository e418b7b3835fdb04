"""A plan spoiled in any field never passes its check."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest
from small_problems import random_problem

from allocator.model import solve_exactly
from allocator.plan import ObjectiveValue, Plan, Violation
from allocator.verify import CHECKS, objective_value, verify

PROBLEMS = {seed: random_problem(seed, most=60) for seed in (2, 3, 5, 7, 12)}
# Fields that describe how the plan was found, not what it says; nothing in a problem contradicts them.
ABOUT = {"status", "road", "solver", "seed", "reproducible", "work", "prices"}


@pytest.fixture(scope="module")
def plans():
    found = {}
    for seed, problem in PROBLEMS.items():
        plan = solve_exactly(problem, gap=0.0, whole_places=False)
        if plan.is_complete:
            assert verify(problem, plan) == ()
            found[seed] = plan
    assert len(found) >= 3
    return found


def _with(plan, name, index, value):
    array = getattr(plan, name).copy()
    array[index] = value
    return replace(plan, **{name: array})


def _spoiled(problem, plan):
    """Each field moved beyond the tolerance, at the entry where it weighs most."""
    big = int(np.argmax(plan.served))
    yield "problem", replace(plan, problem="0" * 64)
    yield "stints", replace(plan, stints=plan.stints[1:])
    yield "stints", replace(plan, stints=np.append(plan.stints, len(problem.stint_site)))
    yield "stints", replace(plan, stints=np.r_[plan.stints, plan.stints[:1]])
    others = np.setdiff1d(np.arange(len(problem.stint_site)), plan.stints)
    for other in others:
        yield "stints", replace(plan, stints=np.sort(np.r_[plan.stints[1:], other]))
    for value in (-1.0, np.nan, np.inf, 1e6):
        yield "places", _with(plan, "places", int(np.argmax(plan.places)), value)
        yield "served", _with(plan, "served", big, value)
        yield "unmet", _with(plan, "unmet", (0, 0, 0, 0, 0), value)
    for f in np.flatnonzero(plan.places > 0.01):
        yield "places", _with(plan, "places", f, 0.0)
    for n, x in enumerate(plan.served):
        yield "served", _with(plan, "served", n, x * 1.01 + 1e-3)
        yield "served", _with(plan, "served", n, x * 0.99 - 1e-4)
    for cell in np.ndindex(plan.unmet.shape):
        yield "unmet", _with(plan, "unmet", cell, plan.unmet[cell] + 1e-2)
    sizes = {
        "served_arc": len(problem.arc_area), "served_group": len(problem.groups),
        "served_period": len(problem.periods), "served_future": len(problem.futures),
    }  # fmt: skip
    for name, size in sizes.items():
        yield name, _with(plan, name, big, size)
        yield name, _with(plan, name, big, -1)
        yield name, replace(plan, **{name: getattr(plan, name)[1:]})
        old = int(getattr(plan, name)[big])
        if size > 1:
            yield name, _with(plan, name, big, (old + 1) % size)
    for n, o in enumerate(plan.objectives):
        for changed in (
            replace(o, value=o.value + 1e-3 * max(1, abs(o.value))),
            replace(o, value=float("nan")),
            replace(o, bound=o.value + 1e-3 * max(1, abs(o.value))),
            replace(o, bound=float("-inf")),
            replace(o, unit="other"),
            replace(o, id="other"),
        ):
            both = (*plan.objectives[:n], changed, *plan.objectives[n + 1 :])
            yield "objectives", replace(plan, objectives=both)
    yield "objectives", replace(plan, objectives=plan.objectives[:-1])
    broken = Violation(problem.rules[0].id, problem.rules[0].words, "person", (1.0,))
    yield "violations", replace(plan, violations=(broken,))
    for rule, short in plan.shortfalls.items():
        if short > 0.01:
            yield "shortfalls", replace(plan, shortfalls={**plan.shortfalls, rule: 0.0})
            yield "shortfalls", replace(plan, shortfalls={**plan.shortfalls, rule: short * 2})


def test_every_spoiled_field_is_caught(plans):
    touched = set()
    for seed, plan in plans.items():
        for n, (name, bad) in enumerate(_spoiled(PROBLEMS[seed], plan)):
            touched.add(name)
            assert verify(PROBLEMS[seed], bad), f"problem {seed}: spoil {n} of {name} passed"
    assert touched == {f.name for f in fields(Plan)} - ABOUT


def test_a_plan_of_another_problem_is_refused(plans):
    first, second = list(plans)[:2]
    codes = {f.code for f in verify(PROBLEMS[first], plans[second])}
    assert codes & {"verify-problem", "verify-shape"}


def test_every_family_has_a_check():
    from allocator.rules import Rule

    assert set(CHECKS) == set(Rule.__subclasses__())


def test_the_value_of_an_objective_is_recomputed(plans):
    for seed, plan in plans.items():
        for objective, stated in zip(PROBLEMS[seed].objectives, plan.objectives, strict=True):
            again = objective_value(PROBLEMS[seed], plan, objective)
            assert isinstance(stated, ObjectiveValue)
            assert again == pytest.approx(stated.value, rel=1e-6, abs=1e-6)


def test_every_fault_is_told_in_both_languages(plans):
    told = set()
    for seed, plan in plans.items():
        p = PROBLEMS[seed]
        names = {*p.areas, *p.services, *p.sites, *p.classes, *map(str, p.periods)}
        names |= {o.id for o in p.objectives} | {o.unit for o in p.objectives} | {"other"}
        names |= {f.name for f in fields(Plan)}
        names |= {y.id for r in p.rules for y in getattr(r, "payers", ())}
        for _, bad in _spoiled(p, plan):
            for fault in verify(p, bad):
                rule = next((r.words.zh for r in p.rules if r.id == fault.where.id), "")
                zh = fault.what.zh.replace(rule, "")
                for name in sorted(names, key=len, reverse=True):
                    zh = zh.replace(name, "")
                zh = re.sub(r"\b(nan|inf|\d(\.\d+)?e[+-]\d+)\b", "", zh)
                assert not re.search("[A-Za-z]{2,}", zh), fault.what.zh
                assert not re.search("[\u4e00-\u9fff]", fault.what.en.replace(rule, ""))
                told.add(fault.code)
    assert len(told) > 10
