"""The command line: exit codes a script can rely on, and no traceback for what we foresaw."""

from __future__ import annotations

import csv
import json

import io_cases
import pandas as pd
import pytest
import tiny_county

from allocator.cli import main
from allocator.errors import ExitCode
from allocator.io.case import read_case
from allocator.io.runs import write_run
from allocator.study import run_all


@pytest.mark.parametrize("given", [["nonsense"], ["run", "--nope"], ["compare"]])
def test_a_mistyped_command_is_a_usage_error(given: list[str], capsys):
    assert main(given) == ExitCode.USAGE
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("package", "release", "fine"),
    [("pulp", "4.0.1", False), ("pulp", "3.2.9", False), ("pulp", "3.3.2", True),
     ("highspy", "2.0rc1", False), ("highspy", "1.16.0", True)],
)  # fmt: skip
def test_an_unsupported_solver_release_is_told_at_the_start(
    package, release, fine, monkeypatch, capsys
):
    """Row 51."""
    from allocator.cli import versions

    real = versions.version
    monkeypatch.setattr(versions, "version", lambda n: release if n == package else real(n))
    assert main(["--help"]) == (0 if fine else ExitCode.REFUSED)
    said = "".join(capsys.readouterr())
    assert fine or (release in said and "pip install" in said)


def test_supported_releases_are_those_the_package_asks_for():
    import tomllib
    from pathlib import Path

    from allocator.cli.versions import SUPPORTED

    asked = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    for name, (first, end) in SUPPORTED.items():
        assert f"{name}>={first},<{end}" in asked["project"]["dependencies"]


def test_help_is_no_error(capsys):
    assert main(["--help"]) == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given",
    [["--to", "odt"], ["--to", ""], ["--lang", "fr"], ["--lang", "zh,de"], ["--minutes", "x"], ["--minutes", "0"]],
)  # fmt: skip
def test_a_report_in_an_unknown_format_or_language_or_of_odd_steps_is_a_usage_error(given, capsys):
    assert main(["report", "somewhere", "--case", "elsewhere", *given]) == ExitCode.USAGE
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_report_of_a_folder_without_runs_is_refused(tmp_path, capsys):
    given = ["report", str(tmp_path), "--case", str(tmp_path), "--lang", "en"]
    assert main(given) == ExitCode.REFUSED
    assert "no finished run" in "".join(capsys.readouterr())


def test_the_word_template_is_written_for_an_office_to_change(tmp_path, capsys):
    docx = pytest.importorskip("docx")
    assert main(["template", str(tmp_path / "office.docx"), "--lang", "zh"]) == 0
    text = [p.text for p in docx.Document(tmp_path / "office.docx").paragraphs]
    assert "{{ title }}" in text and "{{ body }}" in text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.replace(b'"score"', b'"sc0re"'), "changed, cut or removed"),
        (lambda d: d[: len(d) // 2], "changed, cut or removed"),
    ],
)
def test_verify_fails_loudly_on_a_run_that_was_edited_or_cut(tmp_path, capsys, spoil, said):
    path = write_run(tmp_path / "base-1", io_cases.run(measures={"score": {}}))
    assert main(["verify", str(path), "--lang", "en"]) == 0
    measures = path / "measures.json"
    measures.write_bytes(spoil(measures.read_bytes()))
    assert main(["verify", str(path), "--lang", "en"]) == ExitCode.CHECK_FAILED
    told = "".join(capsys.readouterr())
    assert said in told and "base-1/measures.json" in told


def test_verify_of_a_newer_run_names_both_formats(tmp_path, capsys, monkeypatch):
    from allocator.io import runs

    here = runs.FORMAT
    monkeypatch.setattr(runs, "FORMAT", here + 1)
    path = write_run(tmp_path / "base-1", io_cases.run())
    monkeypatch.setattr(runs, "FORMAT", here)
    assert main(["verify", str(path), "--lang", "en"]) == ExitCode.CHECK_FAILED
    told = "".join(capsys.readouterr())
    assert f"format {here + 1}" in told and "newer version" in told


def test_a_table_is_written_whole_with_marked_text_or_the_path_is_told(
    tmp_path, capsys, monkeypatch
):
    table = pd.DataFrame({"part": ["=1+1", "甲乡"], "after": [-0.5, 1.0]})
    monkeypatch.setattr("allocator.cli.equity.evaluation", lambda *_: table)
    path = write_run(tmp_path / "base-1", io_cases.run())
    out = tmp_path / "equity.csv"
    given = ["equity", str(path), "--json", "--lang", "en", "--out"]
    assert main([*given, str(out)]) == 0
    assert out.read_text("utf-8-sig").splitlines() == ["part,after", "'=1+1,-0.5", "甲乡,1.0"]
    (tmp_path / "taken").mkdir()
    assert main([*given, str(tmp_path / "taken")]) == ExitCode.REFUSED
    told = "".join(capsys.readouterr()).replace("\n", "")
    assert "file-not-writable" in told and "taken" in told and "Traceback" not in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base-1", "equity.csv", "taken"]


def test_a_fault_of_ours_ends_with_its_own_code(tmp_path, capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("allocator.io.runs.read_run", broken)
    assert main(["verify", str(tmp_path)]) == ExitCode.BUG
    assert "ZeroDivisionError: ours" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stored_study_is_reported_with_the_plan_asked_for(tmp_path, capsys):
    case, out = tiny_county.write(tmp_path / "county"), tmp_path / "study"
    ((stored,), _) = run_all(read_case(case), [tiny_county.scenario()], out)
    capsys.readouterr()
    assert main(["equity", str(stored), "--lang", "zh", "--base", "resident"]) == 0
    told = capsys.readouterr().out
    assert (
        "可及水平" in told
        and "常住人口" in told
        and "elderly.day" not in told
        and "nan" not in told
    )
    made = tmp_path / "report"
    given = ["report", str(out), "--plan", "base", "--case", str(case), "--out", str(made), "--to", "html,gpkg", "--lang", "zh"]  # fmt: skip
    assert main(given) == 0
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "基本" in page and "规划指标表" in page and "Indicator table" not in page
    assert {p.name for p in made.iterdir()} == {"report.html", "plan.gpkg"}
    assert main([*given[:3], "best-mix", *given[4:]]) == ExitCode.REFUSED
    assert "best-mix" in "".join(capsys.readouterr())


ROWS_AT_FAULT = "".join(
    f"{n:05},01,village,109.2,25.1,{'x' if n < 400 else n}\n" for n in range(3000)
)


def _county_with_400_bad_cells(folder):
    head = "area_id,township_id,area_class,lon,lat,population\n"
    return tiny_county.write(folder, areas_csv=head + ROWS_AT_FAULT)


@pytest.mark.parametrize("command", ["check", "run"])
def test_row_3_of_400_bad_cells_20_are_shown_and_all_stand_in_a_file(
    command, tmp_path, monkeypatch, capsys
):
    case = _county_with_400_bad_cells(tmp_path / "county")
    monkeypatch.chdir(tmp_path)
    more = [] if command == "check" else ["no-such-scenario.yaml"]
    assert main([command, str(case), *more, "--lang", "en"]) == ExitCode.REFUSED
    told = "".join(capsys.readouterr())
    assert told.count("[cell-not-a-number]") == 20 and "allocator-findings.csv" in told
    text = (tmp_path / "allocator-findings.csv").read_text(encoding="utf-8-sig")
    rows = [r for r in csv.DictReader(text.splitlines()) if r["code"] == "cell-not-a-number"]
    assert [int(r["row"]) for r in rows] == list(range(2, 402))
    assert {(r["file"], r["column"]) for r in rows} == {("areas.csv", "population")}


def test_row_3_all_findings_go_to_the_file_that_was_asked_for_alone(tmp_path, monkeypatch, capsys):
    case = _county_with_400_bad_cells(tmp_path / "county")
    monkeypatch.chdir(tmp_path)
    given = ["check", str(case), "--findings", str(tmp_path / "all.json")]
    assert main(given) == ExitCode.REFUSED
    found = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert sum(f["code"] == "cell-not-a-number" for f in found) == 400
    assert not (tmp_path / "allocator-findings.csv").exists()


def test_row_3_where_the_file_cannot_be_written_that_is_told_and_the_exit_code_stays(
    tmp_path, monkeypatch, capsys
):
    case = _county_with_400_bad_cells(tmp_path / "county")
    (tmp_path / "allocator-findings.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(case)]) == ExitCode.REFUSED
    assert "file-not-writable" in "".join(capsys.readouterr())


def test_few_findings_leave_no_file_behind(tmp_path, monkeypatch, capsys):
    case = tiny_county.write(tmp_path / "county", homes_csv="site_id,places\nS1,x\n")
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(case)]) == ExitCode.REFUSED
    assert not (tmp_path / "allocator-findings.csv").exists()
