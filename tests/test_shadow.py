"""What one more of something is worth, and what other budgets can reach at best: proved, so never contradicted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_county
from small_problems import random_problem

from allocator.cli import main
from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.runs import write_run
from allocator.model import solve_exactly
from allocator.model.prices import solve_by_prices
from allocator.rules import Resource
from allocator.run import run
from allocator.shadow import worth_of
from benchmarks import instances, problems


def _with_supply(problem, pool, factor):
    """The problem with all of one pool's limits changed."""
    rules = []
    for rule in problem.rules:
        if isinstance(rule, Resource) and problem.pools[rule.pool] == pool:
            payers = tuple(replace(p, cap=tuple(factor * c for c in p.cap)) for p in rule.payers)
            rule = replace(rule, supply=rule.supply * factor, payers=payers)
        rules.append(rule)
    return replace(problem, rules=tuple(rules))


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    folder = tiny_county.write(tmp_path_factory.mktemp("worth") / "case")
    scarce = {
        **tiny_county.SCENARIO["resources"],
        "capital": {"unit": "yuan", "supply": {"2026": 1.5e6}, "payers": {"county": 1.0}},
    }
    return run(read_case(folder), tiny_county.scenario(resources=scarce))


def test_no_plan_of_another_budget_is_below_what_prices_prove(county):
    """The county's own scenario, solved anew with less and more of each pool."""
    found = worth_of(county.problem, county.plan, changes=(-0.4, -0.1, 0.2, 1.0))
    assert len(found.budgets)
    for row in found.budgets.itertuples():
        other = solve_exactly(_with_supply(county.problem, row.pool, 1.0 + row.change), gap=1e-6)
        value = other.objectives[0].value
        assert row.bound <= value + 1e-5 * abs(value), (row.pool, row.change)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_other_budgets_hold_on_random_problems_on_either_road(seed):
    problem = random_problem(seed, families={"resource"}, risk="expected")
    for plan in (
        solve_exactly(problem, gap=1e-6),
        solve_by_prices(problem, gap=1e-4, threads=1),
    ):
        found = worth_of(problem, plan, changes=(-0.3, 0.5))
        assert found.bound <= found.value + 1e-6 * abs(found.value)
        assert (found.resources["worth"] >= -1e-9).all()
        for row in found.budgets.itertuples():
            other = solve_exactly(_with_supply(problem, row.pool, 1.0 + row.change), gap=1e-6)
            if other.is_complete:
                assert row.bound <= other.objectives[0].value + 1e-5 * abs(row.bound)


def test_a_yuan_more_is_worth_what_the_price_says():
    """Where prices close the gap, a small change of the budget moves the value by price times change."""
    problem = problems.county_problem(instances.county(60, 12, seed=2))
    plan = solve_by_prices(problem, gap=1e-5, threads=1)
    found = worth_of(problem, plan)
    (row,) = found.resources.to_dict("records")
    assert row["supply"] == problem.rules_of(Resource)[0].most[0]
    assert row["worth"] > 0
    more = 1.0 + 0.01
    other = solve_by_prices(_with_supply(problem, "budget", more), gap=1e-5, threads=1)
    gained = plan.objectives[0].value - other.objectives[0].value
    assert 0 < gained <= 0.01 * row["supply"] * row["worth"] + row["at_most"] - row["worth"]


def test_places_that_are_full_are_worth_something_and_idle_ones_nothing():
    problem = problems.county_problem(instances.county(60, 12, seed=2))
    plan = solve_by_prices(problem, gap=1e-4, threads=1)
    places = worth_of(problem, plan).places
    assert set(places["site_id"]) == {
        problem.sites[j] for j in problem.stint_site[problem.offer_stint[plan.places > 0]]
    }
    assert places["worth"].max() > 0
    more = replace(plan, places=plan.places * 1e6)
    assert worth_of(problem, more).places["worth"].max() == 0


def test_a_regret_has_no_prices():
    problem = problems.county_problem(instances.county(12, 4, seed=1))
    plan = solve_by_prices(problem, gap=1e-2, threads=1)
    regret = replace(problem.objectives[0], risk="regret")
    with pytest.raises(InputRefused) as refused:
        worth_of(replace(problem, objectives=(regret,)), plan)
    assert [f.code for f in refused.value.findings] == ["no-price-of-regret"]


def test_the_command_speaks_both_languages_and_json(county, tmp_path, capsys):
    folder = write_run(tmp_path / "base-1", county)
    for language, words in (
        ("zh", ("制约本方案的是", "建设资金", "不可能低于")),
        ("en", ("holds this plan back", "Capital", "proved not below")),
    ):
        assert main(["worth", str(folder), "--lang", language]) == 0
        said = capsys.readouterr().out
        assert all(w in said for w in words), said
        assert "nan" not in said
    assert main(["worth", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"unit", "value", "bound", "resources", "budgets", "places", "people"}
    assert told["bound"] <= told["value"]
    assert np.isfinite([r["worth"] for r in told["people"]]).all()


def test_a_run_by_prices_is_checked_by_them_and_another_starts_from_it(tmp_path, capsys):
    """By commands: run, verify with the bound recomputed, run a changed scenario from the first run's prices."""
    import yaml

    from allocator.io.runs import read_run

    case = tiny_county.write(tmp_path / "case")
    plain = {
        **tiny_county.SCENARIO, "rules": [], "objective": ["unmet"],
        "solve": {"road": "prices", "gap": 0.01},
    }  # fmt: skip
    richer = {**plain, "name": "richer", "resources": {
        **plain["resources"],
        "running": {"unit": "yuan/year", "supply": {"2026": 2.2e6}},
    }}  # fmt: skip
    for made in (plain, richer):
        text = yaml.safe_dump(made, allow_unicode=True)
        (tmp_path / f"{made['name']}.yaml").write_text(text, encoding="utf-8")
    runs = tmp_path / "runs"
    asked = ["run", str(case), "--no-report", "--out", str(runs)]
    assert main([*asked, *[str(tmp_path / "base.yaml")]]) == 0
    (first,) = runs.glob("base-*")
    assert main(["verify", str(first), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert "bound-not-proved" not in {f["code"] for f in told}
    assert main([*asked, str(tmp_path / "richer.yaml"), "--start", str(first)]) == 0
    (second,) = runs.glob("richer-*")
    started, was = read_run(second), read_run(first)
    assert started.inputs["starts"] == was.id
    assert started.plan.road == "prices"
    assert started.plan.objectives[0].bound <= was.plan.objectives[0].value
    assert main(["verify", str(second)]) == 0
    assert main(["compare", str(first), str(second)]) == 0
    capsys.readouterr()
    assert main(["compare", str(first), str(first), "--lang", "en"]) == 2
    assert "run-twice" in "".join(capsys.readouterr())
