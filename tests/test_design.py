"""A study file stands for the runs it says, and equal files stand for equal runs."""

import numpy as np
import pytest
from tiny_county import SCENARIO, scenario

from allocator.design import Study, changed, expand, with_rule
from allocator.errors import InputRefused
from allocator.io.studies import case_folders, read_study

TITLE = {"zh": "研究", "en": "Study"}


def study(**given):
    return Study.model_validate({"name": "s", "title": TITLE, "base": ["base"], **given})


def members(**given):
    return expand(study(**given), {"base": scenario()})


def test_bases_axes_and_changes_multiply():
    made = members(
        axes={"placement": [1, 2, 3], "need.flatten": {"from": 0, "to": 0.5, "steps": 3}},
        changes=[{"name": "low", "population": {"variant": "low"}}, {"name": "as-is"}],
    )
    assert len(made) == 18 and len({m.scenario.digest for m in made}) == 18
    assert made[0].name == "base-01" and made[-1].name == "base-18"
    assert made[4].settings == {"base": "base", "change": "low", "placement": 2, "need.flatten": 0.25}  # fmt: skip
    assert made[4].scenario.placement == 2 and made[4].scenario.population.variant == "low"
    assert all(m.scenario.name == m.name for m in made)


def test_equal_definitions_give_equal_scenarios_whatever_the_order_of_keys():
    over = {"need.flatten": {"from": 0, "to": 0.5}, "budget": {"from": 1e6, "to": 9e6}}
    one = members(samples={"count": 8, "seed": 3, "over": over})
    two = members(samples={"count": 8, "seed": 3, "over": dict(reversed(over.items()))})
    other = members(samples={"count": 8, "seed": 4, "over": over})
    assert [m.scenario.digest for m in one] == [m.scenario.digest for m in two]
    assert {m.scenario.digest for m in one}.isdisjoint(m.scenario.digest for m in other)


def test_a_hypercube_has_one_draw_in_each_stratum_of_every_assumption():
    over = {
        "need.flatten": {"from": 0, "to": 1},
        "placement": {"from": 1, "to": 20, "whole": True},
        "population.variant": {"values": ["low", "high"]},
    }
    made = members(samples={"count": 20, "over": over})
    flat = np.sort([m.settings["need.flatten"] for m in made])
    assert (np.floor(flat * 20) == np.arange(20)).all()
    assert sorted(m.settings["placement"] for m in made) == list(range(1, 21))
    assert [m.settings["population.variant"] for m in made].count("low") == 10


def test_a_budget_is_split_among_periods_as_before():
    data = {"resources": {"capital": {"supply": {"2026": 60e6, "2031": 30e6}}}}
    split = changed(data, "budget", 30e6)["resources"]["capital"]["supply"]
    assert split == {"2026": 20e6, "2031": 10e6}
    unlimited = {"resources": {"capital": {"supply": {"2026": "unlimited"}}}}
    with pytest.raises(ValueError, match="limited in every period"):
        changed(unlimited, "budget", 1e6)


def test_keys_lead_into_lists_and_names_with_dots():
    assert changed(SCENARIO, "rules[1].coverage.share", 0.9)["rules"][0]["coverage"]["share"] == 0.9
    assert changed(SCENARIO, "need.factor[elderly.day]", 2.0)["need"] == {"factor": {"elderly.day": 2.0}}  # fmt: skip
    assert SCENARIO["rules"][0]["coverage"]["share"] == 0.8
    for wrong in ("rules[2].coverage.share", "rules[1", "a..b", "name.x"):
        with pytest.raises(ValueError):
            changed(SCENARIO, wrong, 1)


def test_a_sweep_replaces_the_rule_it_means_and_no_other():
    made = members(
        sweep={
            "rule": {"coverage": {"service": "elderly.day", "area_class": "county-town", "within_minutes": 15}},
            "values": [0.7, 1.0],
        }
    )  # fmt: skip
    assert [m.scenario.rules[0].coverage.share for m in made] == [0.7, 1.0]
    assert all(len(m.scenario.rules) == 1 for m in made)
    other = with_rule(SCENARIO, "coverage", {"service": "elderly.home", "within_minutes": 30, "share": 0.5})  # fmt: skip
    assert len(other["rules"]) == 2


def test_points_of_a_frontier_are_hard_limits():
    made = members(
        frontier={
            "budget": [2e6, 4e6],
            "coverage": {"within_minutes": 15, "area_class": "county-town", "values": [0.5, 0.9]},
            "floor": {"values": [0.3]},
        }
    )
    assert [(m.settings["budget"], m.settings["coverage"]) for m in made] == [(2e6, 0.5), (2e6, 0.9), (4e6, 0.5), (4e6, 0.9)]  # fmt: skip
    coverage, floor = (r.value for r in made[1].scenario.rules)
    assert coverage.hard and coverage.share == 0.9 and floor.hard and floor.by == "township"
    assert made[1].scenario.resources["capital"].supply == {2026: 2e6}


def test_a_frontier_may_limit_inequality_and_travel():
    made = members(
        frontier={
            "gini": {"values": [0.1, 0.2]},
            "travel": {"service": "elderly.day", "values": [12]},
        }
    )
    assert [(m.settings["gini"], m.settings["travel"]) for m in made] == [(0.1, 12), (0.2, 12)]
    *_, even, travel = (r.value for r in made[1].scenario.rules)
    assert (even.index, even.at_most, even.service) == ("gini", 0.2, "elderly.resident")
    assert (travel.service, travel.at_most_minutes) == ("elderly.day", 12)


def test_futures_put_each_plan_as_it_stands_to_what_may_come():
    made = members(
        futures={"changes": [{"name": "many", "need": {"factor": {"elderly.day": 1.5}}}]}
    )
    plan, fixed, anew = made
    assert (plan.role, fixed.role, anew.role) == ("plan", "fixed", "replanned")
    assert fixed.follows == plan.name == "base" and anew.follows == ""
    assert fixed.scenario.digest == anew.scenario.digest != plan.scenario.digest
    assert fixed.settings["future"] == "many"
    with pytest.raises(ValueError, match="futures"):
        study(futures={"changes": [{"name": "x"}]}, axes={"placement": [1]})


def test_a_study_cannot_stand_for_too_many_runs_or_mark_one_it_has_not():
    with pytest.raises(ValueError, match="at most"):
        members(axes={"placement": list(range(1, 1001)), "need.flatten": {"from": 0, "to": 1, "steps": 1000}})  # fmt: skip
    with pytest.raises(ValueError, match="chosen"):
        members(chosen="other")


def write(folder, text):
    path = folder / "studies" / "s.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (folder / "base.yaml").write_text(
        "name: base\ntitle: {zh: 基本, en: Base}\nperiods: [{from: 2026, to: 2030}]\n"
        "resources: {capital: {unit: yuan, supply: {2026: 6000000}}}\n", encoding="utf-8",
    )  # fmt: skip
    return path


def test_a_study_file_is_read_with_the_scenarios_above_it(tmp_path):
    path = write(tmp_path, "name: s\ntitle: {zh: 研究, en: Study}\nbase: [base]\naxes: {budget: [1, 2]}\n")  # fmt: skip
    read, made = read_study(path, ("a", "b"))
    assert read.name == "s" and [(m.case, m.name) for m in made] == [("a", "base-01"), ("a", "base-02"), ("b", "base-01"), ("b", "base-02")]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("base: [bass]", "scenario-unknown"),
        ("base: [base]\naxis: {placement: [1]}", "key-unknown"),
        ("base: [base]\naxes: {population.variant: [middle]}", "value-not-allowed"),
        ("base: [base]\naxes: {budjet: [1]}", "key-unknown"),
    ],
)
def test_a_faulty_study_file_is_refused_with_its_reason(tmp_path, text, code):
    path = write(tmp_path, f"name: s\ntitle: {{zh: 研究, en: Study}}\n{text}\n")
    with pytest.raises(InputRefused) as caught:
        read_study(path)
    assert caught.value.findings[0].code == code


def test_cases_of_a_study_are_folders_with_a_case_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.yaml").write_text("id: 1", encoding="utf-8")
    assert list(case_folders(tmp_path, ["*"])) == ["a", "b"]
    assert list(case_folders(tmp_path, ["b"])) == ["b"]
    for wrong in ("c", "../a"):
        with pytest.raises(InputRefused):
            case_folders(tmp_path, [wrong])
