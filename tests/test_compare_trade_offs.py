"""Frontiers, marginal cost, tornado and regret, on tables a reader works out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from allocator.compare import dominated, frontier, marginal, regret, tornado
from allocator.errors import Text
from allocator.report.study_charts import frontier_chart, regret_chart, tornado_chart

PLANS = pd.DataFrame(
    {
        "name": ["a", "b", "c", "d"],
        "budget": [10.0, 20.0, 30.0, 30.0],
        "resident_met": [0.5, 0.8, 0.7, 0.9],
    }
)


def said(value):
    return Text(f"{value:.1f}", f"{value:.1f}")


def test_a_plan_is_dominated_by_one_as_good_in_all_and_better_in_one():
    assert dominated(PLANS, {"budget": -1, "resident_met": 1}) == {"c": "b"}
    equal = pd.DataFrame({"name": ["a", "b"], "x": [1.0, 1.0]})
    assert dominated(equal, {"x": 1}) == {}


def test_a_dominating_plan_is_never_itself_dominated():
    random = np.random.default_rng(1)
    table = pd.DataFrame(random.random((60, 3)), columns=["x", "y", "z"])
    table["name"] = [f"p{n}" for n in range(60)]
    found = dominated(table, {"x": 1, "y": 1, "z": -1})
    assert found and not set(found.values()) & set(found)
    values = table.set_index("name")[["x", "y", "z"]] * [1, 1, -1]
    assert all((values.loc[b] >= values.loc[w]).all() for w, b in found.items())


def test_a_plan_without_a_figure_dominates_nothing():
    table = pd.DataFrame({"name": ["a", "b"], "x": [1.0, math.nan], "y": [1.0, 1.0]})
    assert dominated(table, {"x": 1, "y": 1}) == {"b": "a"}


def test_the_frontier_marks_the_chosen_plan_and_names_dominated_ones():
    line = frontier(PLANS, "budget", "resident_met", "b")
    assert list(line["name"]) == ["a", "b", "c", "d"]
    assert list(line["dominated_by"]) == ["", "", "b", ""]
    assert list(line.loc[line["is_chosen"], "name"]) == ["b"]


def test_marginal_cost_is_that_of_each_step_along_the_frontier():
    steps = marginal(PLANS, "budget", "resident_met")
    assert list(steps["from"]) == ["a", "b"] and list(steps["to"]) == ["b", "d"]
    assert list(steps["cost_per_gain"]) == pytest.approx([10 / 0.3, 10 / 0.1])
    flat = PLANS.assign(resident_met=[0.5, 0.5, 0.5, 0.5])
    assert len(marginal(flat, "budget", "resident_met")) == 0


def test_the_tornado_puts_the_assumption_that_moves_most_first():
    random = np.random.default_rng(2)
    x, y = random.random(400), random.random(400)
    table = pd.DataFrame({"name": range(400), "x": x, "y": y, "word": np.where(x > 0.5, "u", "v"), "one": 1.0})  # fmt: skip
    table["m"] = 10 * x - y
    found = tornado(table, "m", ["y", "x", "word", "one"]).set_index("setting")
    assert list(found.index) == ["x", "word", "y"]
    assert found.loc["x", "swing"] == pytest.approx(7.5, abs=0.3)
    assert found.loc["x", "rank_correlation"] > 0.95 > 0.3 > abs(found.loc["y", "rank_correlation"])
    assert (found.loc["word", "low"], found.loc["word", "high"]) == ("v", "u")


def test_regret_is_against_the_best_known_in_each_future():
    rows = [
        ("a", "as-planned", "plan", 5.0), ("b", "as-planned", "plan", 6.0),
        ("a", "grow", "fixed", 20.0), ("b", "grow", "fixed", 12.0),
        ("a", "grow", "replanned", 11.0), ("b", "grow", "replanned", 10.0),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["base", "future", "role", "objective.x"])
    found = regret(table, "objective.x")
    assert list(found.index) == ["b", "a"]
    assert list(found.loc["b"]) == [1.0, 2.0, 2.0] and list(found.loc["a"]) == [0.0, 10.0, 10.0]


def test_a_plan_that_does_not_hold_somewhere_has_no_worst_regret():
    rows = [("a", "x", "plan", 5.0), ("b", "x", "plan", 6.0), ("a", "y", "fixed", 20.0)]
    table = pd.DataFrame(rows, columns=["base", "future", "role", "objective.x"])
    found = regret(table, "objective.x")
    assert math.isnan(found.loc["b", "y"]) and math.isnan(found.loc["b", "worst"])
    assert found.index[0] == "a"


def test_charts_tell_plans_apart_without_colour():
    drawn = frontier_chart(
        frontier(PLANS, "budget", "resident_met", "b"), Text("投资", "Budget"), Text("满足率", "Met"), said, said
    ).render(("en",))  # fmt: skip
    assert ">b</text>" in drawn and "no better than another in both" in drawn
    table = pd.DataFrame({"x": [0.1, 0.9], "y": [1.0, 2.0]}, index=["a", "b"]).rename(columns={"y": "worst"})  # fmt: skip
    matrix = regret_chart(table, said).render(("zh",))
    assert ">0.9</text>" in matrix and "最坏" in matrix
    bars = tornado_chart(tornado(PLANS.assign(k=[1.0, 2.0, 3.0, 4.0]), "resident_met", ["k"]), Text("满足率", "Met"), said).render(("en",))  # fmt: skip
    assert ">0.5</text>" in bars and ">0.9</text>" in bars


def test_no_two_ticks_of_a_frontier_are_written_alike():
    table = pd.DataFrame({"name": ["a", "b"], "cost": [1.0, 2.0], "gain": [0.74801, 0.74802], "dominated_by": ["", ""], "is_chosen": [False, False]})  # fmt: skip
    drawn = frontier_chart(table, said(0), said(0), said, said).render(("en",))
    assert drawn.count(">0.7<") == 1


def test_a_tornado_and_regret_are_said_in_words_and_may_go_without_their_title():
    low, high = Text("低方案", "low"), Text("高方案", "high")
    table = pd.DataFrame({"setting": [Text("人口方案", "Variant")], "low": [low], "high": [high], "at_low": [0.1], "at_high": [0.4]})  # fmt: skip
    bare = tornado_chart(table, Text("满足率", "share"), said, titled=False).render(("zh",))
    assert "低方案 – 高方案" in bare and bare.count("各项假设对满足率的影响") < tornado_chart(table, Text("满足率", "share"), said).render(("zh",)).count("各项假设对满足率的影响")  # fmt: skip
    regrets = pd.DataFrame({Text("情形 1", "Future 1"): [0.0], "worst": [0.0]}, index=[Text("集中", "Central")])  # fmt: skip
    assert "集中" in regret_chart(regrets, said).render(("zh",)) and "情形 1" in regret_chart(regrets, said).render(("zh",))  # fmt: skip
