"""The rolling year: next year's roll, committed projects kept, and what changed told site by site."""

import json

import pytest
import tiny_county
from tiny_county import FILES, scenario

from allocator.cli import main
from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.runs import read_run, write_run
from allocator.io.tables import read_table
from allocator.rolling import _resized, next_scenario, roll
from allocator.run import run
from allocator.schema import PROGRESS

NEXT = {
    "case_yaml": FILES["case.yaml"].replace("base_year: 2025", "base_year: 2026"),
    "sites_csv": FILES["sites.csv"].replace("S2,02,township-seat,109.32,25.20,township-home,none", "S2,02,township-seat,109.32,25.20,township-centre,none"),
    "homes_csv": "site_id,places,residents,care_workers,day_places\nS1,30,18,4,0\nS2,26,9,5,15\n",
}  # fmt: skip
TOLD = "site_id,status,places,paid_yuan\nS2,done,,2200000\nS3,under-way,,500000\n"


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    case = read_case(tiny_county.write(tmp_path_factory.mktemp("first") / "case"))
    made = run(case, scenario())
    projects = made.tables["projects"].set_index("site_id")
    assert list(projects["type"]) == ["township-centre", "township-centre", "embedded"]
    return made


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    return read_case(tiny_county.write(tmp_path_factory.mktemp("second") / "case", **NEXT))


def progress(tmp_path, text=TOLD):
    (tmp_path / "progress.csv").write_text(text, encoding="utf-8")
    table, found = read_table(tmp_path / "progress.csv", PROGRESS)
    assert not found
    return table


def test_a_year_on_done_is_compared_and_committed_is_kept(before, later, tmp_path):
    after = roll(before, later, progress(tmp_path))
    rows = after.tables["rolling"].set_index("site_id")
    done, going = rows.loc["S2"], rows.loc["S3"]
    assert (done["change"], done["status"]) == ("done", "done")
    planned = before.tables["projects"].set_index("site_id")
    assert done["deviation_places_resident"] == 26 - planned.loc["S2", "places_resident"]
    assert done["deviation_yuan"] == pytest.approx(2.2e6 - planned.loc["S2", "capital_yuan"])
    assert going["new_type"] == "township-centre" and going["change"] == "kept"
    assert going["new_places_resident"] == pytest.approx(planned.loc["S3", "places_resident"])
    # 6.0 m less the 2.2 m paid for what is done; what is under way is borne whole by the new plan
    assert after.scenario.resources["capital"].supply == {2027: pytest.approx(3.8e6)}
    assert [p.id for p in after.scenario.periods] == ["2027-2030"]
    figures = after.tables["rolling_figures"].set_index("indicator")
    assert figures.loc["places", "today"] == 56
    assert figures.loc["places", "planned"] == before.score["places"]["2030"]
    assert figures.loc["places", "new"] == after.score["places"]["2030"]


def test_a_dropped_project_is_not_planned_again(before, later, tmp_path):
    table = progress(tmp_path, "site_id,status\nS3,dropped\n")
    rows = roll(before, later, table).tables["rolling"].set_index("site_id")
    assert rows.loc["S3", "new_type"] != "township-centre"
    assert rows.loc["S3", "change"] in ("dropped", "other-type")


@pytest.mark.parametrize(("today", "is_done"), [(56, False), (60, False), (90, True), (101, True)])
def test_a_home_to_be_extended_is_done_only_once_it_has_grown(today, is_done):
    here = {"today_places_resident": today, "planned_places_resident": 101.0}
    assert _resized(here, 56.0) is is_done


def test_what_does_not_fit_is_told_at_once(before, later, tmp_path):
    table = progress(tmp_path, "site_id,status\nS9,done\nS1,under-way\nS3,done\n")
    with pytest.raises(InputRefused) as found:
        next_scenario(before, later, table)
    codes = [f.code for f in found.value.findings]
    assert codes == ["progress-unknown-site", "progress-without-project", "progress-not-standing"]
    first = read_case(tiny_county.write(tmp_path / "same"))
    with pytest.raises(InputRefused) as found:
        next_scenario(before, first, table.iloc[:0])
    assert [f.code for f in found.value.findings] == ["roll-not-later"]


def test_the_command_stores_the_run_and_prints_both_languages(before, later, tmp_path, capsys):
    old = write_run(tmp_path / f"base-{before.id}", before)
    case = tiny_county.write(tmp_path / "next", **NEXT)
    progress(tmp_path)
    given = ["roll", str(old), str(case), "--progress", str(tmp_path / "progress.csv"), "--out", str(tmp_path / "runs")]  # fmt: skip
    assert main([*given, "--lang", "zh", "--export", str(tmp_path / "rolling.xlsx")]) == 0
    text = capsys.readouterr().out
    assert "计划、完成、偏差、调整" in text and "已建成" in text and "保留" in text
    assert (tmp_path / "rolling.xlsx").read_bytes()[:2] == b"PK"
    (folder,) = (tmp_path / "runs").iterdir()
    stored = read_run(folder)
    assert stored.inputs["rolled_from"] == before.id and "rolling" in stored.tables
    assert main([*given, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert {r["site_id"]: r["change"] for r in plain["rolling"]}["S2"] == "done"
