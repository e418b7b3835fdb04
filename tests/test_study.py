"""A study's folder is whole whatever happens; what is done is never redone, what fails is named."""

import dataclasses
import io
import json
import os
import re
import shutil
import threading
import time
from importlib import import_module
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import tiny_county
from rich.console import Console
from tiny_county import scenario

from allocator.cli import main
from allocator.cli.products import named_runs, study_of
from allocator.cli.study import findings_of
from allocator.cli.study_view import study_view
from allocator.compare import _WORDS_ONLY, _flat, compare
from allocator.design import Study, expand
from allocator.errors import (
    CheckFailed,
    InputRefused,
    LimitReached,
    NoPlanExists,
    StudyIncomplete,
    Text,
)
from allocator.io import paths
from allocator.io.case import read_case
from allocator.io.runs import read_run, stored_runs
from allocator.io.scenarios import read_scenarios
from allocator.io.studies import read_study
from allocator.report.chapters import compose
from allocator.report.settings import setting_value, setting_words
from allocator.report.study_chapter import StudyView, study_chapter
from allocator.report.words import Names
from allocator.run import code_version, run_id
from allocator.scenario import Scenario
from allocator.study import counties, open_study, roads, run_all, run_study, runner, work
from allocator.study.claims import STALE_SECONDS, Claims
from allocator.study.counties import Counties
from allocator.study.parts import read_parts
from allocator.study.results import workbook_of
from allocator.study.store import Failure, Store

ROOT = Path(__file__).resolve().parents[1]
TITLE = {"zh": "研究", "en": "Study"}
BUDGETS = {"axes": {"budget": [2e6, 4e6, 6e6]}}


def made(given=None, **bases: Scenario):
    bases = bases or {"base": scenario()}
    study = Study.model_validate(
        {"name": "s", "title": TITLE, "base": list(bases), **(given or {})}
    )
    return study, expand(study, {n: s for n, s in bases.items()})


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    return read_case(tiny_county.write(tmp_path_factory.mktemp("county") / "case"))


@pytest.fixture(scope="session")
def finished(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "s"
    run_study(*made(BUDGETS), case, folder, road="here", workers=1)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "s")


@pytest.fixture
def no_runs(monkeypatch):
    """Nothing may be computed."""

    def never(*_, **__):
        raise AssertionError("a run was done")

    monkeypatch.setattr(work, "run", never)


def test_a_study_gives_one_row_a_run_with_settings_and_indicators(finished):
    table = open_study(finished).table()
    assert list(table["name"]) == ["base-01", "base-02", "base-03"]
    assert list(table["budget"]) == [2e6, 4e6, 6e6]
    assert (table["investment_all"] <= table["budget"] + 1).all()
    assert (table["investment_all"] > table["investment"] - 1).all()
    assert table["objective.shortfall+unmet+travel"].is_monotonic_decreasing
    for row, run in zip(table.itertuples(), open_study(finished).read_runs(), strict=True):
        end = run.tables["indicators"]
        assert row.id == run.id
        assert row.resident_met == end.loc[(end["indicator"] == "resident_met") & (end["year"] == 2030), "value"].item()  # fmt: skip


def test_duckdb_and_arrow_read_parts_alike(finished, monkeypatch):
    files = [str(p) for p in sorted((finished / "parts").iterdir())]
    one = read_parts(files, ["indicator", "gap"])
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    pd.testing.assert_frame_equal(one, read_parts(files, ["indicator", "gap"]), check_dtype=False)


def test_a_study_is_exported_with_text_that_no_spreadsheet_runs(folder, tmp_path):
    definition = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    definition["runs"][0]["settings"]["note"] = '=HYPERLINK("x")'
    (folder / "study.json").write_text(json.dumps(definition), encoding="utf-8")
    results = open_study(folder)
    text = results.export(tmp_path / "x.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK" in text and len(text.splitlines()) == 4
    book = openpyxl.load_workbook(results.export(tmp_path / "x.xlsx"))
    assert book.sheetnames == ["runs", "no-regret", "failed"]
    cells = [c for row in book["runs"].iter_rows() for c in row]
    assert all(c.data_type != "f" for c in cells)
    met = next(c.column for c in book["runs"][1] if c.value == "resident_met")
    assert book["runs"].cell(2, met).value == results.table()["resident_met"].iloc[0]
    with pytest.raises(InputRefused):
        results.export(tmp_path / "x.ods")


def test_sites_that_every_run_chooses_are_found(finished):
    found = open_study(finished).no_regret()
    sites = open_study(finished).sites()
    for row in found.itertuples():
        states = sites.drop(columns="state_today").loc[row.site_id]
        assert row.share_of_runs == (states != row.today).mean()
        assert row.share_of_state == ((states == row.state) & (states != row.today)).mean()
    assert found["share_of_runs"].iloc[0] == 1.0 and found["share_of_runs"].iloc[-1] == 0.0


def test_a_run_named_today_does_not_hide_what_stands_today(case, tmp_path):
    kept = scenario(name="today", options={"modes": ["keep"]})
    run_study(*made({}, today=kept), case, tmp_path / "s", road="here")
    results = open_study(tmp_path / "s")
    sites = results.sites()
    assert list(sites.columns) == ["state_today", "today"]
    assert (sites["state_today"] == sites["today"]).all()
    assert (results.no_regret()["share_of_runs"] == 0.0).all()
    (run,) = results.read_runs()
    assert (compare([run]).sites()["share_of_runs"] == 0.0).all()


def test_a_finished_study_is_not_done_again(case, folder, no_runs):
    before = contents(folder)
    done = run_study(*made(BUDGETS), case, folder, road="here")
    assert done.kept == 3 and not done.failures and not done.changes
    assert contents(folder) == before


def test_a_part_that_lacks_is_made_from_its_run(case, folder, no_runs):
    before = contents(folder)
    shutil.rmtree(folder / "parts")
    run_study(*made(BUDGETS), case, folder, road="here")
    assert contents(folder) == before


@pytest.mark.slow
def test_a_run_half_written_or_edited_is_done_again_and_others_are_kept(case, folder, monkeypatch):
    before = contents(folder)
    one, two, _ = stored_runs(folder)
    (one / "manifest.json").unlink()
    data = bytearray((two / "measures.json").read_bytes())
    data[50] ^= 1
    (two / "measures.json").write_bytes(data)
    with pytest.raises(CheckFailed):
        read_run(two)
    done = run_study(*made(BUDGETS), case, folder, road="here")
    assert done.kept == 1 and contents(folder) == before


def test_a_part_that_was_edited_is_refused_by_name(folder):
    part = sorted((folder / "parts").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(CheckFailed) as caught:
        open_study(folder).table()
    assert caught.value.findings[0].where.file == f"parts/{part.name}"


def test_a_cut_or_newer_record_of_a_study_is_refused(folder):
    path = folder / "study.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        open_study(folder)
    assert caught.value.findings[0].code == "study-changed"
    path.write_text(text.replace('"format": 1', '"format": 2'), encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        open_study(folder)
    assert caught.value.findings[0].code == "study-newer-format"


def test_an_input_changed_after_a_run_is_named_and_the_run_done_again(
    case, folder, tmp_path, monkeypatch
):
    changed = read_case(tiny_county.write(
        tmp_path / "case", homes_csv=tiny_county.FILES["homes.csv"].replace("20,6,2", "20,7,2")
    ))  # fmt: skip
    asked = []
    monkeypatch.setattr(work, "run", lambda case, s, **_: asked.append(s.name) or refuse())
    done = run_study(*made(BUDGETS), changed, folder, road="here")
    assert asked == ["base-01", "base-02", "base-03"]
    assert set(done.changes.values()) == {Text("输入 homes.csv", "input homes.csv")}
    again = run_study(*made({"axes": {"budget": [2e6, 4e6, 7e6]}}), changed, folder, road="here")
    assert again.changes == {"base-03": Text("情景", "scenario")} and asked[3:] == ["base-03"]
    monkeypatch.setattr(runner, "code_version", lambda: "9.9")
    monkeypatch.setattr(import_module("allocator.run"), "code_version", lambda: "9.9")
    last = run_study(*made(BUDGETS), changed, folder, road="here")
    assert set(last.changes) == {"base-01", "base-02", "base-03"}
    now = f"{code_version()} -> 9.9"
    assert {last.changes[n] for n in ("base-01", "base-02")} == {Text(f"程序 {now}", f"code {now}")}
    assert last.changes["base-03"].en == f"code {now}, scenario"


def refuse():
    raise LimitReached(())


def test_a_failing_run_is_recorded_with_its_reason_and_the_rest_go_on(case, tmp_path, monkeypatch):
    def odd(case, scenario, **_):
        if scenario.name == "base-02":
            raise RuntimeError("the solver crashed")
        raise LimitReached(())

    monkeypatch.setattr(work, "run", odd)
    told = []
    done = run_study(*made(BUDGETS), case, tmp_path / "s", road="here", progress=told.append)
    kinds = {f.scenario: f.kind for f in done.failures}
    assert kinds == {"base-01": "limit", "base-02": "bug", "base-03": "limit"}
    assert "the solver crashed" in done.failures[1].reason
    assert told[-1].done == told[-1].total == told[-1].failed == 3
    assert list(open_study(tmp_path / "s").runs()["state"]) == ["failed"] * 3
    asked = []
    monkeypatch.setattr(work, "run", lambda case, s, **_: asked.append(s.name) or refuse())
    run_study(*made(BUDGETS), case, tmp_path / "s", road="here")
    assert asked == ["base-02"], "what the same inputs would give again is not tried again"
    run_study(*made(BUDGETS), case, tmp_path / "s", road="here", retry_failed=True)
    assert asked[1:] == ["base-01", "base-02", "base-03"]


def test_a_scenario_that_does_not_fit_the_case_keeps_its_findings(case, tmp_path):
    wrong = made({"changes": [{"options": {"force": [{"site": "S9"}]}}]})
    done = run_study(*wrong, case, tmp_path / "s", road="here")
    (failure,) = done.failures
    assert failure.kind == "refused" and failure.findings[0]["code"] == "unknown-name"
    assert open_study(tmp_path / "s").failures()[0].findings == failure.findings


def test_nothing_stored_names_the_machine_or_the_user(finished, tmp_path):
    text = b"".join(v for k, v in contents(finished).items() if not k.endswith((".npz", ".parquet")))  # fmt: skip
    for secret in (str(finished.parent), os.getcwd(), os.path.expanduser("~") + "/", os.uname().nodename):  # fmt: skip
        assert secret.encode() not in text
    with Claims(tmp_path) as claims:
        claims.take("0" * 16)
        claim = b"".join(contents(tmp_path).values()).decode()
        assert os.uname().nodename not in claim and str(tmp_path) not in claim


def test_a_full_disk_stops_with_a_message_and_what_was_stored_stays(case, folder, monkeypatch):
    before = contents(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths.os, "fsync", full)
    with pytest.raises(InputRefused) as caught:
        run_study(*made({"axes": {"budget": [2e6, 3e6]}}), case, folder, road="here")
    assert "No space left" in str(caught.value)
    assert contents(folder) == before


@pytest.mark.parametrize("held", ["parts", "failed"])
def test_a_file_held_by_another_program_stops_with_its_path(case, folder, monkeypatch, held):
    """On Windows a file that Excel has open can be neither replaced nor removed."""
    (one, *_), before = stored_runs(folder), contents(folder)
    run = one.name.rsplit("-", 1)[-1]
    store = Store(folder)
    if held == "failed":
        store.put_failure(Failure("base-01", "reason", run=run))
        before = contents(folder)
    original = {"parts": os.replace, "failed": Path.unlink}[held]

    def refused(*given, **options):
        if any(f"{held}{os.sep}" in str(g) for g in given):
            raise PermissionError(13, "The process cannot access the file")
        return original(*given, **options)

    with monkeypatch.context() as windows:
        windows.setattr(
            *{"parts": (paths.os, "replace"), "failed": (Path, "unlink")}[held], refused
        )
        with pytest.raises(InputRefused) as caught:
            store.put(
                run, "base-01", work.run_files(read_run(one)), store.part_path(run).read_bytes()
            )
    (finding,) = caught.value.findings
    assert held in finding.where.file and "Excel" in finding.remedy.zh
    assert contents(folder) == before


def test_what_a_failing_run_says_names_no_folder_of_the_machine(case, tmp_path, monkeypatch):
    def odd(*_, **__):
        raise FileNotFoundError(2, "No such file", str(Path.home() / "secret-user" / "x.csv"))

    monkeypatch.setattr(work, "run", odd)
    (failure, *_) = run_study(*made(BUDGETS), case, tmp_path / "s", road="here").failures
    assert "No such file: 'x.csv'" in failure.reason and "secret-user" not in failure.reason


def test_a_folder_that_cannot_be_written_is_refused_before_any_run(case, tmp_path, no_runs):
    (tmp_path / "s").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        run_study(*made(BUDGETS), case, tmp_path / "s", road="here")
    assert caught.value.findings[0].code == "file-not-writable"
    assert (tmp_path / "s").read_text(encoding="utf-8") == "a file in the way"


def test_what_a_killed_runner_left_half_written_is_cleared(case, folder, no_runs):
    before = contents(folder)
    (folder / ".part-base-01-x-abc").mkdir()
    (folder / ".part-base-01-x-abc" / "problem.npz").write_bytes(b"half")
    (folder / "parts" / ".part-xyz").write_bytes(b"half")
    run_study(*made(BUDGETS), case, folder, road="here")
    assert contents(folder) == before


def test_runs_of_one_definition_and_parts_alone_say_the_same(case, finished, tmp_path, monkeypatch):
    by_id = {r.id: r for r in open_study(finished).read_runs()}

    def from_store(case, scenario, **_):
        return by_id[run_id(case, scenario)]

    monkeypatch.setattr(work, "run", from_store)
    run_study(*made(BUDGETS), case, tmp_path / "s", road="here", keep="parts")
    assert stored_runs(tmp_path / "s") == ()
    pd.testing.assert_frame_equal(open_study(tmp_path / "s").table(), open_study(finished).table())


def test_words_in_brackets_are_text_on_the_console(capsys):
    from allocator.cli.compare import _print

    table = pd.DataFrame({"setting": ["need.factor.[elderly.day]"], "[red]": ["[bold]x[/bold]"]})
    _print(Console(width=200), table, "t", "en")
    said = capsys.readouterr().out
    assert "need.factor.[elderly.day]" in said and "[bold]x[/bold]" in said and "[red]" in said


def test_equal_scenarios_of_a_study_are_run_once(case, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(work, "run", lambda case, s, **_: asked.append(s.name) or refuse())
    done = run_study(*made({"axes": {"budget": [6e6, 6e6]}}), case, tmp_path / "s", road="here")
    assert asked == ["base-01"] and len(done.failures) == 1


def many(folder, names, **changes):
    """Case folders of these names, some with a file changed, and their study of three budgets."""
    folders = {n: tiny_county.write(folder / n, **changes.get(n, {})) for n in names}
    study, _ = made(BUDGETS)
    return study, expand(study, {"base": scenario()}, tuple(folders)), folders


def test_many_cases_are_each_read_once_and_few_are_held(tmp_path, monkeypatch):
    study, members, folders = many(tmp_path, ("a", "b", "c", "d"), b={
        "homes_csv": tiny_county.FILES["homes.csv"].replace("20,6,2", "20,7,2")
    })  # fmt: skip
    asked, read, held = [], [], []
    monkeypatch.setattr(work, "run", lambda case, s, **_: asked.append(case.digests["homes.csv"]) or refuse())  # fmt: skip
    monkeypatch.setattr(counties, "read_case", lambda path: read.append(path.name) or read_case(path))  # fmt: skip
    monkeypatch.setattr(Counties, "_get", watched(Counties._get, held))
    done = run_study(study, members, folders, tmp_path / "s", road="here")
    assert read == ["a", "b", "c", "d"] and max(held) <= 2
    # Three counties are alike, and only their names differ: runs are shared between them.
    assert len(asked) == 6 and len(set(asked)) == 2 and len(done.ids) == 12
    assert [p.name for p in (tmp_path / "s").glob(".part-*")] == []


def test_a_case_changed_while_it_lies_aside_is_not_taken(tmp_path, monkeypatch):
    study, members, folders = many(tmp_path, ("p", "q", "r"))
    put = paths.write_bytes
    monkeypatch.setattr(counties, "write_bytes", lambda path, data: put(path, data[:-1] + b"x"))
    with pytest.raises(CheckFailed) as caught:
        run_study(study, members, folders, tmp_path / "s", road="here")
    assert caught.value.findings[0].code == "case-changed"


def test_a_faulty_county_is_recorded_with_its_reason_and_the_rest_go_on(tmp_path, monkeypatch):
    homes = tiny_county.FILES["homes.csv"]
    study, members, folders = many(tmp_path, ("a", "b", "c"), b={"homes_csv": homes.replace("20,6", "-20,6")})  # fmt: skip
    asked = []
    monkeypatch.setattr(work, "run", lambda case, s, **_: asked.append(s.name) or refuse())
    done = run_study(study, members, folders, tmp_path / "s", road="here")
    assert asked == ["base-01", "base-02", "base-03"]
    faulty = [f for f in done.failures if f.case == "b"]
    assert [(f.scenario, f.kind) for f in faulty] == [(f"base-0{n}", "refused") for n in (1, 2, 3)]
    assert all(f.findings[0]["file"] == "homes.csv" and f.findings[0]["row"] == 3 for f in faulty)
    (told,) = [f for f in findings_of(done.failures) if f.where.file == "b"]
    assert "homes.csv" in told.what.zh and "第 3 行" in told.what.zh and "row 3" in told.what.en
    runs = open_study(tmp_path / "s").runs()
    assert list(runs[runs["case"] == "b"]["state"]) == ["failed"] * 3

    again = run_study(study, members, folders, tmp_path / "s", road="here")
    assert again.kept == len(again.failures) and len(asked) == 3
    (folders["b"] / "homes.csv").write_text(homes.replace("20,6,2", "20,7,2"), encoding="utf-8")
    mended = run_study(study, members, folders, tmp_path / "s", road="here")
    assert len(asked) == 6 and [f.kind for f in mended.failures if f.case == "b"] == ["limit"] * 3
    assert set(mended.changes) == {"b: base-01", "b: base-02", "b: base-03"}
    assert all("faulty" in why.en for why in mended.changes.values())


def test_the_only_county_of_a_study_is_refused_at_once(tmp_path, no_runs):
    homes = tiny_county.FILES["homes.csv"].replace("20,6", "-20,6")
    study, members, folders = many(tmp_path, ("b",), b={"homes_csv": homes})
    with pytest.raises(InputRefused):
        run_study(study, members, folders, tmp_path / "s", road="here")


def test_sites_of_each_county_are_judged_by_its_own_runs(case, folder, tmp_path):
    definition = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    for r, county in zip(definition["runs"], ("a", "a", "b"), strict=True):
        r["case"] = county
    (folder / "study.json").write_text(json.dumps(definition), encoding="utf-8")
    results = open_study(folder)
    found = results.no_regret()
    assert set(results.sites("a")) == {"state_today", "base-01", "base-02"}
    one = results.sites("b")
    for row in found[found["case"] == "b"].itertuples():
        assert row.share_of_runs == (one.loc[row.site_id, "base-03"] != row.today)


def watched(get, sizes):
    def inner(self, name):
        case = get(self, name)
        sizes.append(len(self.held))
        return case

    return inner


@pytest.mark.slow
def test_a_plan_is_put_to_futures_as_it_stands_and_regret_is_told(case, tmp_path):
    asked = made(
        {"futures": {"changes": [{"name": "more", "need": {"factor": {"elderly.resident": 1.6}}}]}},
        base=scenario(), small=scenario(name="small", resources={
            **tiny_county.SCENARIO["resources"], "capital": {"unit": "yuan", "supply": {"2026": 2e6}}}),
    )  # fmt: skip
    done = run_study(*asked, case, tmp_path / "s", road="here")
    assert not done.failures
    results = open_study(tmp_path / "s")
    sites = results.sites()
    table = results.table()
    for base in ("base", "small"):
        (fixed,) = table[(table["role"] == "fixed") & (table["base"] == base)]["name"]
        assert list(sites[base]) == list(sites[fixed])
    value = table.set_index(["base", "future", "role"])["objective.shortfall+unmet+travel"]
    assert value["base", "more", "replanned"] <= value["base", "more", "fixed"] * (1 + 1e-3)
    regret = results.regret()
    assert (regret.min() >= 0).all() and regret["worst"].is_monotonic_increasing
    assert regret.index[0] == "base"
    assert set(results.frontier("investment_all")["name"]) == {"base", "small"}
    assert done.kept == 0 and run_study(*asked, case, tmp_path / "s", road="here").kept == 6


def test_a_point_of_a_frontier_takes_the_plan_of_looser_limits_that_keeps_its_own(
    case, tmp_path, monkeypatch
):
    asked = made({"frontier": {"budget": [4e6, 30e6, 60e6]}})
    assert [m.looser for m in asked[1]] == ["base-02", "base-03", ""]
    solved = []
    module = import_module("allocator.run")
    solve = module.solve
    monkeypatch.setattr(module, "solve", lambda problem, **k: solved.append(problem) or solve(problem, **k))  # fmt: skip
    done = run_study(*asked, case, tmp_path / "s", road="here")
    tight, middle, loose = open_study(tmp_path / "s").read_runs()
    planned = [p for p in solved if len(p.stint_site) > len(p.sites)]
    assert len(planned) == 2, "the middle one is not solved"
    assert middle.inputs["looser"] == loose.id and tight.inputs["looser"] == middle.id
    assert "plan-of-looser-limits" in {f.code for f in middle.findings}
    assert "plan-of-looser-limits" not in {f.code for f in tight.findings}
    alone = module.run(case, asked[1][1].scenario)
    (kept,), (own,) = middle.plan.objectives, alone.plan.objectives
    assert kept.bound <= own.value * (1 + 1e-9) and own.bound <= kept.value * (1 + 1e-9)
    assert middle.plan.gap <= asked[1][1].scenario.solve.gap
    assert not module.verify(middle.problem, middle.plan)
    # The evenness of the plan that is kept is not evaluated anew, and is what evaluation gives.
    never = import_module("allocator.measures.indicators")
    with monkeypatch.context() as patched:
        patched.setattr(never, "equity_tables", None)
        again = module.run(case, asked[1][1].scenario, looser=loose)
    fresh = dataclasses.replace(loose, inputs={**loose.inputs, "code": "other"})
    anew = module.run(case, asked[1][1].scenario, looser=fresh)
    assert set(again.tables) == set(anew.tables) and again.measures == anew.measures
    for name, table in anew.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table)
    assert module.run(case, asked[1][1].scenario, looser=loose).id == done.ids[1] != alone.id


@pytest.mark.long
@pytest.mark.parametrize("road", ["processes", "cluster"])
def test_a_frontier_ends_alike_in_one_process_and_in_two(case, tmp_path, road):
    asked = made({"frontier": {"budget": [4e6, 20e6, 30e6, 60e6]}})
    for name, way in (("one", "here"), ("two", road)):
        assert not run_study(*asked, case, tmp_path / name, road=way, workers=2).failures
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_point_tighter_than_one_without_a_plan_is_not_tried(case, tmp_path, monkeypatch):
    asked = []

    def none(case, s, **_):
        asked.append(s.name)
        raise NoPlanExists(())

    monkeypatch.setattr(work, "run", none)
    done = run_study(*made({"frontier": {"budget": [4e6, 6e6]}}), case, tmp_path / "s", road="here")
    assert asked == ["base-02"]
    assert {f.scenario: f.kind for f in done.failures} == {"base-01": "no-plan", "base-02": "no-plan"}  # fmt: skip
    assert "base-02" in done.failures[0].reason


def test_a_cluster_started_here_listens_on_this_machine_alone_and_on_any_free_port(monkeypatch):
    distributed = pytest.importorskip("distributed")
    asked = {}

    class Stopped(Exception):
        pass

    def never(**options):
        asked.update(options)
        raise Stopped

    monkeypatch.setattr(distributed, "LocalCluster", never)
    with pytest.raises(Stopped):
        list(roads.in_cluster(iter(()), bytes))
    assert asked["host"] == "127.0.0.1" and asked["dashboard_address"] == "127.0.0.1:0"


BEGUN = threading.Event()


def _slow(order, packed):
    BEGUN.set()
    time.sleep(1.0)


def test_a_scheduler_that_goes_away_ends_the_study_with_words_and_not_as_a_bug(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(roads, "work", _slow)
    orders = (work.Order(run=str(n), name=str(n), scenario=scenario(), case="c") for n in range(9))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        threading.Thread(target=lambda: BEGUN.wait(10) and cluster.close()).start()
        with pytest.raises(StudyIncomplete) as found:
            list(roads.in_cluster(orders, bytes, scheduler=cluster.scheduler_address))
    assert found.value.findings[0].code == "cluster-lost"


def test_run_all_gives_folders_in_the_order_of_the_scenarios(case, finished, tmp_path, monkeypatch):
    by_id = {r.id: r for r in open_study(finished).read_runs()}
    monkeypatch.setattr(work, "run", lambda case, s, **_: by_id[run_id(case, s)])
    scenarios = [m.scenario for m in made(BUDGETS)[1]]
    found, failures = run_all(case, scenarios[::-1], tmp_path / "runs", workers=1)
    assert [p.name.rsplit("-", 1)[0] for p in found] == ["base-03", "base-02", "base-01"]
    assert not failures


def test_a_claim_is_one_runners_while_it_lives(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take("r" * 16) and one.take("r" * 16)
        assert not two.take("r" * 16) and two.others() == (one.token,)
        one.release("r" * 16)
        assert two.take("r" * 16)
    assert list((tmp_path / ".claims").iterdir()) == []


def test_a_dead_runners_claim_is_taken_over_at_once(tmp_path):
    dead = Claims(tmp_path)
    dead.__enter__()
    dead.take("r" * 16)
    dead._stop.set()
    dead._handle.close()  # what the system does for a process that is killed
    with Claims(tmp_path) as alive:
        assert alive.others() == ()
        assert alive.take("r" * 16)


def test_a_claim_from_another_machine_counts_until_it_is_stale(tmp_path, monkeypatch):
    with monkeypatch.context() as far:
        far.setattr("allocator.study.claims._machine", lambda: "elsewhere")
        dead = Claims(tmp_path)
        dead.__enter__()
        dead.take("r" * 16)
        dead._stop.set()
        dead._handle.close()
    with Claims(tmp_path) as here:
        beat = os.stat(dead._own).st_mtime
        os.utime(dead._own, (beat, beat - STALE_SECONDS + 5))
        assert not here.take("r" * 16)
        os.utime(dead._own, (beat, beat - STALE_SECONDS - 1))
        assert here.take("r" * 16)
    stated = (ROOT / "docs" / "guide" / "on-a-cluster.md").read_text(encoding="utf-8")
    assert f"after {STALE_SECONDS:.0f} seconds without a sign of life" in stated


def test_two_runners_on_one_folder_share_the_runs_and_end_with_one_set(
    case, finished, tmp_path, monkeypatch
):
    by_id = {r.id: r for r in open_study(finished).read_runs()}
    asked = {"one": [], "two": []}

    def of(name):
        return lambda case, s, **_: asked[name].append(s.name) or by_id[run_id(case, s)]

    target = tmp_path / "s"
    with Claims(target) as other:  # a runner that has the second run
        ids = run_ids(case)
        other.take(ids[1])
        monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
        polls = []

        def finish(seconds):
            polls.append(seconds)
            if len(polls) == 3:
                store = Store(target)
                run = of("two")(case, made(BUDGETS)[1][1].scenario)
                store.put(ids[1], "base-02", work.run_files(run), work.part_bytes(run))
                other.release(ids[1])

        monkeypatch.setattr(runner.time, "sleep", finish)
        monkeypatch.setattr(work, "run", of("one"))
        done = run_study(*made(BUDGETS), case, target, road="here")
    assert asked == {"one": ["base-01", "base-03"], "two": ["base-02"]} and len(polls) == 3
    assert not done.failures
    shutil.rmtree(target / ".claims")
    shutil.rmtree(finished / ".claims", ignore_errors=True)
    assert contents(target) == contents(finished)


def run_ids(case):
    return [run_id(case, m.scenario) for m in made(BUDGETS)[1]]


def test_a_report_of_a_study_shows_every_run_the_frontier_and_its_steps(case, finished):
    results = open_study(finished)
    view, table = study_view(results), results.table()
    runs = list(results.read_runs())
    document = compose(runs, region=case.region, study=view)
    shown = document.tables["study-runs"]
    assert [r[0] for r in shown.rows] == list(table["name"])
    at = [c.id for c in shown.columns]
    for name in ("budget", "resident_met", "investment_all", "gap"):
        assert [r[at.index(name)].value for r in shown.rows] == pytest.approx(list(table[name]))
    assert {"study-frontier"} <= set(document.figures) and "no-regret" not in document.tables
    heads = [c.title for c in document.tables["scoreboard"].columns[3:]]
    assert len({h.zh for h in heads}) == len({h.en for h in heads}) == 3
    assert "200.0 万元" in heads[0].zh and "Budget 2.000 million yuan" in heads[0].en
    chosen = results.no_regret().query("share_of_state >= 0.5")
    assert len(document.tables["study-sites"].rows) == len(chosen)
    assert study_of([finished]).title == Text("研究", "Study") and study_of([*finished.iterdir()]) is None  # fmt: skip


def test_what_does_not_vary_is_no_setting_and_what_failed_is_named(case, folder):
    definition = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    for r in definition["runs"]:
        r["settings"]["base"] = "base"
    lost = definition["runs"][-1]["id"]
    (folder / "study.json").write_text(json.dumps(definition), encoding="utf-8")
    Store(folder).put_failure(Failure("base-03", "no plan at all", "no-plan", lost))
    view = study_view(open_study(folder))
    assert list(view.settings) == ["budget"]
    assert view.failed == (("base-03", Text("no plan at all", "no plan at all")),)
    chapter = study_chapter(view, Names([], None))
    (table,) = [b for b in chapter.blocks if getattr(b, "id", "") == "study-failed"]
    assert table.rows == view.failed


def test_compare_says_sites_and_services_in_words_and_writes_lists(finished, tmp_path, capsys):
    one, two, _ = stored_runs(finished)
    given = ["compare", str(one), str(two), "--out", str(tmp_path / "out"), "--lang"]
    assert main([*given, "en"]) == 0
    told = capsys.readouterr().out
    assert "elderly.day" not in told and "township-home" not in told and "Day care" in told
    assert main([*given, "zh"]) == 0
    told = capsys.readouterr().out
    assert "投资合计" in told and not re.search(r"\b(options|resources|need|rules)[.\[]", told)
    book = workbook_of(
        {"a": pd.DataFrame({"modes": [["keep", "build"], "x"], "n": [{"a": 1}, 2.0]})}
    )
    sheet = openpyxl.load_workbook(io.BytesIO(book))["a"]
    assert sheet["A2"].value == "keep, build" and sheet["B2"].value == "{'a': 1}"
    assert (tmp_path / "out" / "compare.xlsx").is_file()


def test_ctrl_c_in_a_run_of_a_study_stops_the_study_and_keeps_no_half_made_plan(case, monkeypatch):
    """The run that was interrupted is not stored as done: going on does it again."""
    from dataclasses import replace

    from allocator.plan import Status
    from allocator.study import work

    real = work.run

    def interrupted(*args, **options):
        made = real(*args, **options)
        return replace(made, plan=replace(made.plan, status=Status.INTERRUPTED))

    monkeypatch.setattr(work, "run", interrupted)
    monkeypatch.setattr(work, "_KEPT", work._Kept())
    order = work.Order(
        run="x", name="x", case="c", scenario=tiny_county.scenario(), code=work.code_version()
    )
    with pytest.raises(KeyboardInterrupt):
        work.work(order, {"c": work.packed_case(case)})


FAULTY = {
    "futures: {axes: {need.flatten: [0]}}\naxes: {need.flatten: [0]}": ("写在 futures 之内", "inside futures"),
    "axes: {need.flatten: [0, 2]}": ("need.flatten:不应大于1", "need.flatten: "),
    "axes: {'rules[99].coverage.share': [0.1]}": ("没有第 99 项", "no number 99"),
    "sweep: {rule: {places_ratio: {per_1000: 1}}, of: per_1000, values: [1]}": ("是否为“places”", "Did you mean 'places'"),
    "axes: {need.flatten: [0, 1]}\nchosen: zz": ("运行名如", "names are such as"),
    "frontier: {}": ("budget、coverage", "budget, coverage"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", FAULTY)
def test_a_fault_of_a_study_is_told_in_words_with_what_is_known(wrong, tmp_path):
    for name in ("base", "today"):
        text = (ROOT / "scenarios/rongshui" / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    head = "name: s\ntitle: {zh: 研究, en: Study}\nbase: [today]\n"
    (tmp_path / "s.yaml").write_text(head + wrong, encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        read_study(tmp_path / "s.yaml")
    (finding,) = refused.value.findings
    zh, en = (f"{getattr(finding.what, v)}{getattr(finding.remedy, v)}" for v in ("zh", "en"))
    assert FAULTY[wrong][0] in zh and FAULTY[wrong][1] in en
    assert "pydantic" not in zh + en and "validation error" not in zh + en
    assert not re.search("[A-Za-z]+ [a-z]+ [a-z]+ ", zh)


def test_settings_are_said_in_words():
    names = Names([], None)
    for key, zh, unit in (
        ("options.modes", "可用方式", ""), ("need.factor.[elderly.day]", "日间照料需求系数", ""), ("need.factor.elderly.day", "日间照料需求系数", ""),
        ("resources.capital.supply.2031", "建设资金（2031 年起）", "yuan"), ("resources.capital.payers.county.cap", "建设资金：县上限", "yuan"),
        ("rules[4].coverage.share", "规则 4（可达覆盖）：比例", ""), ("file homes.csv", "输入文件 homes.csv（指纹）", ""), ("zz.y", "zz.y", ""),
    ):  # fmt: skip
        words, own = setting_words(key, names)
        assert (words.zh, own) == (zh, unit)
    assert setting_value(["keep", "build"], "", names) == Text("保留、新建", "keep, build")
    assert setting_value(2.4e7, "yuan/year", names).zh == "2,400.0 万元/年"
    assert (
        setting_value(1e30, "yuan", names).zh == "不限"
        and setting_value([], "", names).en == "not set"
    )


@pytest.mark.parametrize("name", ["best-mix", "embedded-first", "tight-budget", "fast-ageing"])
def test_every_setting_of_the_shipped_scenarios_has_words(name):
    (spec,) = read_scenarios(ROOT / "scenarios/rongshui", [name])
    keys = dict(_flat(spec.model_dump(mode="json", by_alias=True, exclude=set(_WORDS_ONLY))))
    names = Names([], None)
    lacking = [k for k in keys if setting_words(k, names)[0].zh == k]
    assert not lacking
    parts = [setting_words(k, names)[0].zh for k in keys]
    assert not [p for p in parts if re.search("[a-z]{3,}", re.sub("事项 [^：]*", "", p))]


def test_a_run_is_told_by_what_was_set_and_by_its_name_where_that_is_much():
    table = pd.DataFrame({"name": ["a-1"], "base": ["a"], "future": ["001"], "need.flatten": [0.123456], "budget": [6e7], "x": [1.0]})  # fmt: skip
    known = {c: setting_words(c, Names([], None)) for c in ("base", "future", "need.flatten", "budget")}  # fmt: skip
    blank = Text("", "")

    def view(*settings):
        titles = {"a": Text("集中", "Central"), "001": Text("低方案", "low")}
        return StudyView(title=blank, note=blank, table=table, settings={s: known[s] for s in settings}, measures={}, titles=titles)  # fmt: skip

    assert (
        view("budget", "need.flatten").label("a-1").zh
        == "投资额度 6,000.0 万元、距离影响减弱程度 0.1235"
    )
    assert view("base", "future", "need.flatten").label("a-1").zh == "集中、低方案"
    assert view("base", "future", "need.flatten").label("a-1", with_plan=False).zh == "低方案"
    assert view("base", "need.flatten", "budget").label("a-1").zh == "a-1"


def test_the_folder_of_a_runs_documents_stands_for_the_run(finished, tmp_path):
    first = stored_runs(finished)[0]
    run = tmp_path / first.name
    shutil.copytree(first, run)
    (beside := tmp_path / f"{first.name}-report").mkdir()
    assert len(named_runs([run, beside])) == len(named_runs([beside])) == 1
    with pytest.raises(InputRefused):
        named_runs([tmp_path / "other-report"])


def test_failed_runs_name_services_in_words():
    said = {"what": {"zh": "要求“elderly.resident满足率不低于100%”无法满足。", "en": "elderly.resident: too much."}, "file": "", "row": None, "column": ""}  # fmt: skip
    failure = Failure("a-1", "x", "no-plan", "1", (said,), "")
    (told,) = findings_of((failure,))
    assert "机构照护满足率" in told.what.zh and "elderly." not in told.what.zh + told.what.en
