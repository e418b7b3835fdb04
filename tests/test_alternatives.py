"""Beside a plan, by commands: others nearly as good, sites in all of them, and the price of orders."""

import json

import pandas as pd
import pytest
from io_cases import write

from allocator.alternatives import near_plans, shared_sites
from allocator.cli import main
from allocator.errors import ExitCode
from allocator.io.runs import read_run
from allocator.model.alternatives import states_of
from allocator.verify import verify

HOME = 10 * 90_000
"""Yuan of the smallest home: ten places."""
SITES = (
    "site_id,name_zh,name_en,township_id,lon,lat,today\n"
    "S1,甲地,Alder,01,109.21,25.11,township-home\nS2,乙地,Birch,02,109.31,25.21,\n"
    "S3,丙地,Cedar,02,109.311,25.211,\n"
)


def _scenario(capital, objective="[unmet, cost]", options="modes: [keep, build]"):
    return (
        "name: plan\ntitle: {zh: 方案, en: Plan}\nperiods: [{from: 2026, to: 2030}]\n"
        f"services: [elderly.resident]\noptions: {{{options}}}\nresources:\n"
        f"  capital: {{unit: yuan, supply: {{2026: {capital}}}}}\n"
        "  running: {unit: yuan/year, supply: {2026: unlimited}}\n"
        "  care_workers: {unit: person, supply: {2026: unlimited}}\n"
        f"objective: {objective}\n"
    )


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    return write(tmp_path_factory.mktemp("county"), {"sites.csv": SITES})


def _file(folder, name, text):
    path = folder / name / "plan.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def stored(county, tmp_path_factory):
    """A run with money for one home beside the standing one: at Birch or at Cedar, next to it."""
    scenario = _file(county, "one-home", _scenario(HOME + 1))
    out = tmp_path_factory.mktemp("runs")
    assert main(["run", str(county), str(scenario), "-o", str(out), "--no-report"]) == 0
    (path,) = out.glob("plan-*")
    return path


def _json(capsys, *given):
    capsys.readouterr()
    assert main([*map(str, given), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_other_of_two_neighbouring_sites_is_the_plan_nearly_as_good(stored, capsys):
    said = _json(capsys, "alternatives", stored, "--loss", 0.05, "--sites", 2, "--shared", "--kept")
    own, other = said["plans"]
    assert own["plan"] == 0 and own["sites"] == 0 and other["sites"] == 2
    assert 0 <= other["worse"] <= 0.05
    assert own["capital"] == other["capital"] == HOME
    home = {(c["site_id"], c["own"], c["other"]) for c in said["changes"]}
    assert home in (
        {("S2", "township-home", "absent"), ("S3", "absent", "township-home")},
        {("S3", "township-home", "absent"), ("S2", "absent", "township-home")},
    )
    answers = {row["site_id"]: row["in_every"] for row in said["shared"]}
    built = next(c["site_id"] for c in said["changes"] if c["own"] == "township-home")
    assert answers == {"S1": "yes", built: "no"}


def test_alternatives_of_a_stored_run_are_checked_plans_of_its_problem(stored):
    run = read_run(stored)
    near = near_plans(run, count=3, sites=2, loss=0.05)
    assert near.plans and list(near.table["plan"]) == list(range(len(near.plans) + 1))
    mine = states_of(run.problem, run.plan)
    for n, plan in enumerate(near.plans, 1):
        assert verify(run.problem, plan) == ()
        differs = (states_of(run.problem, plan) != mine).sum()
        assert (near.changes["plan"] == n).sum() == differs >= 2
    changed = shared_sites(run, near, loss=0.05)
    assert list(changed["in_every"]) == ["no"] and pd.isna(changed["worse_without"]).all()


def test_without_any_loss_allowed_no_other_plan_is_found_and_it_is_said(stored, capsys):
    assert main(["alternatives", str(stored), "--loss", "0", "--sites", "3", "--lang", "en"]) == 0
    assert "Only 0 other plans were found" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("lang", "words"),
    [("zh", ["近似同优方案", "本方案", "丙地", "未建", "是(已证明)"]), ("en", ["nearly as good", "Cedar", "not built", "yes, proved"])],
)  # fmt: skip
def test_alternatives_speak_both_languages(stored, capsys, lang, words):
    given = ["alternatives", str(stored), "--loss", "0.05", "--sites", "2", "--shared", "--kept"]
    assert main([*given, "--lang", lang]) == 0
    said = "".join(capsys.readouterr())
    assert all(word in said for word in words)


def test_a_forced_home_costs_its_ten_places(county, capsys):
    """Least cost builds nothing; the order takes the smallest home, ten places at 90,000."""
    scenario = _file(county, "cheap", _scenario("unlimited", "[cost]"))
    rows = _json(capsys, "price", county, scenario, "--force", "S2:township-home")
    (row,) = rows
    assert (row["order"], row["site_id"], row["possible"]) == ("force", "S2", "yes")
    assert row["capital"] == HOME and row["places:elderly.resident"] == 10
    assert 0 < row["worse"] <= HOME and row["least"] - 1e-6 <= row["worse"] <= row["most"] + 1e-6
    (larger,) = _json(capsys, "price", county, scenario, "--force", "S2:township-home:30")
    assert larger["capital"] == 3 * HOME and larger["worse"] == pytest.approx(3 * row["worse"])


def test_an_order_of_the_scenario_is_priced_against_the_scenario_without_it(county, capsys):
    """Money for one home: Birch banned, Cedar takes its place; both banned, its people go short."""
    options = "modes: [keep, build], ban: [{site: S2}]"
    scenario = _file(county, "banned", _scenario(HOME + 1, options=options))
    own, more = [
        row
        for row in _json(capsys, "price", county, scenario, "--ban", "S3")
        if row["objective"] == "unmet"
    ]
    assert (own["site_id"], more["site_id"]) == ("S2", "S3")
    assert own["capital"] == 0 and own["worse"] >= 0
    assert more["capital"] == -HOME and more["worse"] > 0
    assert more["served:elderly.resident"] < -0.3 < own["served:elderly.resident"]


def test_an_order_that_no_plan_keeps_is_told_with_its_reason(county, capsys):
    scenario = _file(county, "poor", _scenario(1000))
    (row,) = _json(capsys, "price", county, scenario, "--force", "S2:township-home")
    assert row["possible"] == "no"
    assert "资" in row["why_zh"] and "乙地" in row["why_zh"] and "Birch" in row["why_en"]
    given = ["price", str(county), str(scenario), "--force", "S2:township-home", "--lang", "zh"]
    assert main(given) == 0
    assert "没有可行方案" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("orders", "code"),
    [
        ([], ExitCode.USAGE), (["--force", "S2:township-home:many"], ExitCode.USAGE), (["--ban", "a:b:1:2"], ExitCode.USAGE),
        (["--force", "S9"], ExitCode.REFUSED), (["--ban", "S2:palace"], ExitCode.REFUSED),
    ],
)  # fmt: skip
def test_an_order_that_says_nothing_sensible_is_refused(county, capsys, orders, code):
    scenario = _file(county, "plain", _scenario("unlimited"))
    assert main(["price", str(county), str(scenario), *orders]) == code
    assert "Traceback" not in "".join(capsys.readouterr())
