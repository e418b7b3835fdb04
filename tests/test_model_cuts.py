"""Cuts raise the bound of a relaxation and cut no plan off."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from small_problems import WORDS, random_problem, three_hamlets

from allocator.model import highs
from allocator.model.blocks import link_rows, objective_coefficients, tightened
from allocator.model.cuts import cuts_of
from allocator.model.exact import formulate
from allocator.model.highs import solve_linear
from allocator.rules import Coverage, Link


def _cuts(form):
    [link] = form.problem.rules_of(Link)
    every = link_rows(form.problem, form.columns, link, np.arange(len(form.columns.x_arc)))
    return cuts_of(form.problem, form.columns, every.matrix), every


def _relaxed(form, cost, rounds=20):
    """Bounds without and with cuts, and the rows that were added."""
    cuts, every = _cuts(form)
    linear = form.linear.with_rows(every.matrix, every.lower, every.upper)
    first = out = solve_linear(linear, cost, relax=True)
    added = []
    for _ in range(rounds):
        rows = None if out.values is None else cuts(out.values)
        if rows is None:
            break
        added.append(rows)
        linear = linear.with_rows(*rows)
        out = solve_linear(linear, cost, relax=True)
    return first, out, added


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_no_cut_cuts_off_a_plan(seed):
    problem = random_problem(
        seed, most=60, families={"acceptance", "coverage", "resource", "capacity"}
    )
    form = formulate(problem)
    rng = np.random.default_rng(seed)
    cost = objective_coefficients(problem, form.columns, problem.objectives[0])
    _, relaxed, added = _relaxed(form, cost)
    for price in (cost, *(rng.normal(0, 1, form.columns.size) for _ in range(4))):
        out = solve_linear(form.linear, np.clip(price, -10, 1e6), gap=0.0)
        if out.values is None:
            continue
        whole = tightened(problem, form.columns, out.values)
        for rows, lower, upper in added:
            use = rows @ whole
            assert (use >= lower - 1e-5).all() and (use <= upper + 1e-5).all()
    best = solve_linear(form.linear, cost, gap=0.0)
    if best.values is not None and relaxed.values is not None:
        assert relaxed.value <= best.value + 1e-5 * max(1, abs(best.value))


def test_the_random_problems_are_cut():
    """Of the forty problems of the test above some give cuts of both kinds, so it can fail."""
    kinds = set()
    for seed in range(40):
        form = formulate(random_problem(
            seed, most=60, families={"acceptance", "coverage", "resource", "capacity"}
        ))  # fmt: skip
        cost = objective_coefficients(form.problem, form.columns, form.problem.objectives[0])
        for _, lower, upper in _relaxed(form, cost)[2]:
            kinds |= {"nested"} if (upper < np.inf).any() else set()
            kinds |= {"cover"} if (lower > -np.inf).any() else set()
    assert kinds == {"nested", "cover"}


def test_those_who_accept_both_of_two_sites_are_served_once():
    """Ten people go to A only; of ten others all go to B, half to A too. 150 pay for one site and a half.

    With all of A and half of B the links let in 10 + 5 + 5, so nobody seems unmet. But A serves the five
    who go to either, and half of B only half of the five who go nowhere else: 2.5 stay unmet.
    One whole site, A, leaves five.
    """
    problem = three_hamlets()
    [capital] = (r for r in problem.rules if r.id == "capital")
    rules = (*(r for r in problem.rules if r is not capital),
             replace(capital, supply=np.array([150.0])))  # fmt: skip
    problem = replace(
        problem, rules=rules, use_place=csr_array((2, 1)), offer_max=np.array([20.0, 20.0]),
        need=np.array([10.0, 10.0, 0.0]).reshape(3, 1, 1, 1, 1),
    )  # fmt: skip
    form = formulate(problem)
    cost = objective_coefficients(problem, form.columns, problem.objectives[0])
    first, out, _ = _relaxed(form, cost)
    assert first.value == pytest.approx(0, abs=1e-9)
    assert out.value == pytest.approx(2.5)
    assert solve_linear(form.linear, cost, gap=0.0).value == pytest.approx(5)


@pytest.mark.parametrize("price", [None, 1.0])
@pytest.mark.parametrize("areas", [3, 12])
def test_a_share_of_people_is_covered_by_whole_areas(price, areas):
    """Equal areas, each covered by one site alone; 60 % of three is two, 55 % of twelve is seven."""
    problem = _one_site_an_area(areas, price, 0.6 if areas == 3 else 0.55)
    form = formulate(problem)
    cost = np.zeros(form.columns.size)
    cost[form.columns.y + np.flatnonzero(problem.stint_option == 1)] = 1.0
    if price is not None:
        cost[form.columns.of("coverage", "short").ravel()] = 1.0
    first, out, _ = _relaxed(form, cost)
    whole = solve_linear(form.linear, cost, gap=0.0).value
    assert first.value == pytest.approx(0.6 * 3 if areas == 3 else 0.55 * 12)
    assert out.value == pytest.approx(2 if areas == 3 else 7)
    assert out.value == pytest.approx(whole)


def _one_site_an_area(n, price, share):
    """A problem of coverage alone: area k of 100 people is in reach of site k only."""
    base = three_hamlets()
    coverage = Coverage(
        id="coverage", words=WORDS, price=price, areas=np.arange(n), people=np.full((n, 1), 100.0),
        pair_area=np.arange(n), pair_offer=np.arange(n), share=np.array([share]),
    )  # fmt: skip
    return replace(
        base, areas=tuple(f"h{k:02}" for k in range(n)), sites=tuple(f"S{k:02}" for k in range(n)),
        need=np.ones((n, 1, 1, 1, 1)), site_start=np.zeros(n, np.int64),
        stint_site=np.repeat(np.arange(n), 2), stint_from=np.zeros(2 * n, np.int64),
        stint_option=np.tile([0, 1], n), stint_first=np.zeros(2 * n, np.int64),
        stint_last=np.zeros(2 * n, np.int64), offer_stint=2 * np.arange(n) + 1,
        offer_class=np.zeros(n, np.int64), offer_min=np.zeros(n), offer_max=np.full(n, 5.0),
        offer_module=np.zeros(n), arc_area=np.arange(n), arc_site=np.arange(n),
        arc_class=np.zeros(n, np.int64), arc_minutes=np.full(n, 5.0), acceptance=np.ones((n, 1)),
        use_stint=csr_array((2 * n, 1)), use_place=csr_array((n, 1)),
        rules=(*(r for r in base.rules if r.id != "capital"), coverage),
        objectives=base.objectives[:1],
    )  # fmt: skip


@pytest.mark.parametrize("first", (1, 2))
def test_the_solver_takes_another_number_of_threads_in_the_same_process(first):
    """Its workers are made once a process: a linear problem asked with another number was refused."""
    problem = three_hamlets()
    form = formulate(problem)
    cost = objective_coefficients(problem, form.columns, problem.objectives[0])
    values = [
        [solve_linear(form.linear, cost, threads=n, relax=relax, gap=0.0).value for relax in (False, True)]
        for n in (first, 3 - first, first)
    ]  # fmt: skip
    assert values[0] == pytest.approx(values[1]) and values[0] == pytest.approx(values[2])


@pytest.mark.parametrize("seed", range(4))
def test_a_simplex_stopped_after_few_steps_goes_on_to_the_same_relaxation(seed, monkeypatch):
    problem = random_problem(seed, risk="expected")
    form = formulate(problem)
    cost = objective_coefficients(problem, form.columns, problem.objectives[0])
    _, at_once = highs.relax_and_tighten(form.linear, cost, lambda values: None, 1)
    runs, solve = [], highs.solve_loaded
    monkeypatch.setattr(highs, "solve_loaded", lambda h: runs.append(h) or solve(h))
    monkeypatch.setattr(highs, "_steps_at_once", lambda rows, is_new: 3)
    _, in_turns = highs.relax_and_tighten(form.linear, cost, lambda values: None, 1, in_turns=True)
    assert len(runs) > 1
    assert in_turns.value == pytest.approx(at_once.value, rel=1e-9, abs=1e-9)
