"""What bad problems and bad solves come to through the doors a planner uses: a scenario file, a run.

Rows of the table of faults are named in the docstrings; `test_faults` maps them.
"""

from __future__ import annotations

import ast
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_county

from allocator.cli import main
from allocator.errors import ExitCode, InputRefused, LimitReached, NoPlanExists, Rank
from allocator.io import runs
from allocator.io.case import read_case
from allocator.io.runs import read_run, stored_runs
from allocator.model import exact, highs, solve
from allocator.plan import Status
from allocator.prepare import prepare
from allocator.run import code_version, run
from allocator.study import roads, run_all
from allocator.study.work import Order, packed_case, work
from allocator.verify import verify

ROOT = Path(__file__).resolve().parents[1]
AREAS, SITES = tiny_county.FILES["areas.csv"], tiny_county.FILES["sites.csv"]
FAR = AREAS + "0399,03,village,108.30,25.90,300,80,10\n"
CARE = "elderly.resident"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return read_case(tiny_county.write(tmp_path_factory.mktemp("county") / "case"))


@pytest.fixture
def no_solver(monkeypatch):
    """No solver may be started."""

    def never():
        raise AssertionError("a solver was started")

    monkeypatch.setattr(highs, "quiet", never)


def _hard(service=CARE, share=1.0):
    return {"served": {"service": service, "share": share, "hard": True}}


def _command(folder, *options, files=None, **changes):
    """Run a scenario from its file; return the exit code and the folder of runs."""
    case = tiny_county.write(folder / "case", **(files or {}))
    path = tiny_county.write_scenario(folder / "base.yaml", **changes)
    out = folder / "runs"
    options = options or ("--no-report",)
    code = main(["run", str(case), str(path), "--out", str(out), "--lang", "en", *options])
    return code, out


def _told(capsys):
    """Return all that was printed, line ends of the terminal taken out."""
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


def test_a_village_without_a_site_in_reach_is_unmet_by_name_with_the_nearest_site(tmp_path):
    """Row 13: the run goes on."""
    done = run(
        read_case(tiny_county.write(tmp_path / "far", areas_csv=FAR)), tiny_county.scenario()
    )
    at, service = done.problem.areas.index("0399"), done.problem.services.index(CARE)
    need = done.problem.need[at, service]
    assert need.sum() > 0
    np.testing.assert_allclose(done.plan.unmet[at, service], need)
    (told,) = [f for f in done.findings if f.code == "places-out-of-reach" and f.where.id == CARE]
    assert told.rank is Rank.WARNING and "0399 → S3 (308 min)" in told.what.en
    assert "1 place reaches no site" in told.what.en
    assert "308" in told.what.zh and "未满足" in told.what.zh


def test_a_hard_rule_on_a_village_out_of_reach_is_refused_before_solving(
    tmp_path, no_solver, capsys
):
    """Row 13: refused only where a hard rule needs it served."""
    code, out = _command(tmp_path, files={"areas_csv": FAR}, rules=[_hard()])
    said = _told(capsys)
    assert code == ExitCode.REFUSED and not stored_runs(out)
    assert "rule-beyond-reach" in said and "0399" in said and "S3 (308 min)" in said


def test_a_share_that_can_be_reached_is_not_refused(tmp_path):
    """Row 13: the same county, asked for as much as has a site in reach."""
    case = read_case(tiny_county.write(tmp_path / "far", areas_csv=FAR))
    with pytest.raises(InputRefused) as caught:
        run(case, tiny_county.scenario(rules=[_hard()]))
    (found,) = [f for f in caught.value.findings if f.rank is Rank.ERROR]
    assert "97.3%" in found.what.en and "0399" in found.what.zh and found.where.file == "base.yaml"
    assert run(case, tiny_county.scenario(rules=[_hard(share=0.8)])).plan.is_complete


def test_no_need_at_all_gives_a_checked_plan_of_nothing(tmp_path):
    """Row 26: zero demand."""
    none = {"factor": {"elderly.day": 0, "elderly.home": 0, CARE: 0}}
    code, out = _command(tmp_path, need=none)
    assert code == ExitCode.PLAN
    assert main(["verify", *map(str, stored_runs(out))]) == ExitCode.PLAN
    (stored,) = stored_runs(out)
    plan = read_run(stored).plan
    assert plan.status is Status.PROVED and not len(plan.served) and plan.unmet.sum() == 0


@pytest.mark.parametrize(
    ("name", "rows"),
    [("sites_csv", "no-rows"), ("areas_csv", "no-rows"), ("nobody", "population-total")],
)
def test_no_sites_no_areas_and_nobody_are_refused(name, rows, tmp_path, no_solver, capsys):
    """Row 26: never a plan of an empty model."""
    nobody = [",".join([*line.split(",")[:5], "0", "0", "0"]) for line in AREAS.split()[1:]]
    files = {
        "sites_csv": {"sites_csv": SITES.split("\n")[0] + "\n"},
        "areas_csv": {"areas_csv": AREAS.split("\n")[0] + "\n"},
        "nobody": {"areas_csv": "\n".join([AREAS.split()[0], *nobody]) + "\n"},
    }[name]
    code, out = _command(tmp_path, files=files)
    assert code == ExitCode.REFUSED and not stored_runs(out)
    assert rows in _told(capsys)


def test_one_village_and_one_site_are_planned(tmp_path):
    """Row 26: every need is served or counted, and more is served than nothing."""
    files = {
        "townships_csv": "township_id,name_zh,name_en,population,year,area_class\n"
        "01,甲镇,Town A,2500,2020,county-town\n",
        "areas_csv": "\n".join(AREAS.split("\n")[:2]) + "\n",
        "sites_csv": "\n".join(SITES.split("\n")[:2]) + "\n",
        "homes_csv": "site_id,places,residents,care_workers\nS1,30,18,4\n",
    }
    done = run(read_case(tiny_county.write(tmp_path / "one", **files)), tiny_county.scenario())
    assert done.problem.sites == ("S1",) and verify(done.problem, done.plan) == ()
    assert done.plan.served.sum() + done.plan.unmet.sum() == pytest.approx(done.problem.need.sum())
    assert done.plan.served.sum() >= 18


def test_no_money_is_a_plan_whose_unmet_need_is_named_by_township(case):
    """Row 27: budget 0 and nothing hard."""
    none = {"capital": {"unit": "yuan", "supply": {"2026": 0}}, "running": {"unit": "yuan/year", "supply": {"2026": 0}}}  # fmt: skip
    done = run(case, tiny_county.scenario(resources=none))
    table = done.tables["townships"].query("year == 2030 and need > 0")
    assert done.plan.is_complete and set(table["name_en"]) == {"Town A", "Town B", "Town C"}
    np.testing.assert_allclose(table["unmet"], table["need"])


def test_one_yuan_short_of_a_hard_floor_is_no_plan_and_names_the_yuan(case, tmp_path, capsys):
    """Row 27: enough at the least cost, not with one yuan less."""
    floor = {"rules": [_hard(share=0.8)]}
    pools = tiny_county.SCENARIO["resources"]
    cheapest = run(case, tiny_county.scenario(**floor, objective=["running"], solve={"gap": 0}))
    used = cheapest.tables["pools"].set_index("pool").loc["running", "use"]

    def with_money(yuan):
        return {**pools, "running": {"unit": "yuan/year", "supply": {"2026": float(yuan)}}}

    assert run(case, tiny_county.scenario(**floor, resources=with_money(used + 0.01))).plan.is_complete  # fmt: skip
    code, out = _command(tmp_path, **floor, resources=with_money(used - 1))
    said = _told(capsys)
    assert code == ExitCode.NO_PLAN and not stored_runs(out)
    assert (
        "running money within supply" in said
        and "resident care of elders served to at least 80%" in said
    )
    assert "Tried: with this applied there is a plan" in said and "0.00 points" not in said


CONTRADICTION = (
    {"coverage": {"service": CARE, "within_minutes": 30, "share": 0.8, "hard": True}},
    {"sites": {"types": ["township-home", "township-centre", "embedded"], "at_most": 1}},
)


def test_hard_rules_that_contradict_are_named_and_without_any_of_them_there_is_a_plan(case):
    """Row 28: a minimal set in both languages, and the cheapest way out, tried."""
    with pytest.raises(NoPlanExists) as caught:
        run(case, tiny_county.scenario(rules=list(CONTRADICTION)))
    conflict, way = caught.value.findings
    assert caught.value.exit_code == ExitCode.NO_PLAN
    assert conflict.where.id == "coverage-01, sites-02"
    assert "80% of people within 30 minutes" in conflict.what.en and "at most 1 site" in conflict.what.en  # fmt: skip
    assert "不多于1处" in conflict.what.zh and "Tried" in way.remedy.en
    for left in CONTRADICTION:
        assert run(case, tiny_county.scenario(rules=[left])).plan.is_complete


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rules": [{"sites": {"types": ["township-centre"], "at_least": 9}}]}, "the case has 4"),
        ({"rules": [{"sites": {"types": ["township-centre"], "at_least": 4}}]}, "could hold them: 2"),
        ({"options": {"ban": [{"site": "S3"}], "force": [{"site": "S3"}]}}, "forced-and-banned"),
        ({"options": {"ban": [{"site": "S3"}], "force": [{"site": "S3", "type": "township-centre"}]}},
         "forced-and-banned"),
        ({"options": {"forbid": [{"type": "township-centre", "above_places": 5}]}}, "least-above-most"),
    ],
    ids=["sites", "sites-of-the-type", "forced-and-banned", "type-forced-site-banned", "least-above-allowed"],
)  # fmt: skip
def test_orders_no_site_can_keep_are_refused_before_solving(
    changes, told, tmp_path, no_solver, capsys
):
    """Rows 29 and 30."""
    code, out = _command(tmp_path, **changes)
    assert code == ExitCode.REFUSED and not stored_runs(out)
    assert told in _told(capsys)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("rules", "[{sites: {types: [township-centre], at_least: 3, at_most: 2}}]"),
        ("options", "{subsidies: [{places_min: 60, places_max: 20, yuan_place: 1}]}"),
    ],
)
def test_a_least_above_its_most_in_a_scenario_is_refused(key, text, tmp_path, no_solver, capsys):
    """Row 29: minimum above maximum, as written in the file."""
    case = tiny_county.write(tmp_path / "case")
    path = tiny_county.write_scenario(tmp_path / "base.yaml")
    lines = path.read_text("utf-8").split("\n")
    kept, skip = [], False
    for line in lines:
        skip = line.startswith(f"{key}:") or (skip and line[:1] in (" ", "-"))
        kept += [] if skip else [line]
    path.write_text("\n".join(kept) + f"\n{key}: {text}\n", "utf-8")
    assert main(["run", str(case), str(path), "--out", str(tmp_path / "runs")]) == ExitCode.REFUSED
    assert "above" in _told(capsys)


def test_a_clock_that_ends_before_any_plan_says_so_and_stores_nothing(tmp_path, capsys):
    """Row 31: the real solver, stopped at once."""
    code, out = _command(tmp_path, solve={"seconds": 1e-9})
    assert code == ExitCode.LIMIT and not stored_runs(out)
    assert "No plan was found within the limit" in _told(capsys)


def _stops_once(monkeypatch):
    """The solver ends once before any plan; what is asked of it later it answers."""
    real, calls = exact.solve_linear, []

    def solve(*args, **options):
        out = real(*args, **options)
        if options.get("relax") or calls:
            return out
        calls.append(1)
        return replace(out, status=Status.NO_PLAN_FOUND, values=None, value=np.nan, bound=-np.inf)

    monkeypatch.setattr(exact, "solve_linear", solve)


def test_what_breaks_rules_least_is_told_kept_apart_and_taken_for_a_plan_by_nothing(
    tmp_path, monkeypatch, capsys
):
    """Row 31: exit 5, each rule with its amount in both languages, and every command refuses the folder."""
    _stops_once(monkeypatch)
    code, out = _command(tmp_path, rules=list(CONTRADICTION))
    said = _told(capsys)
    assert code == ExitCode.LIMIT and not stored_runs(out)
    assert "plan-incomplete" in said and "rule-violated" in said and "solve.work_limit" in said
    (kept,) = out.glob("*-incomplete")
    assert kept.name in said and not runs.has_run(kept)
    stored = json.loads((kept / "findings.json").read_text("utf-8"))
    assert [f["code"] for f in stored] == ["plan-incomplete", "rule-violated"]
    assert stored[1]["id"] in ("coverage-01", "sites-02") and stored[1]["what"]["en"] in said
    assert "不满足“" in stored[1]["what"]["zh"] and "差" in stored[1]["what"]["zh"]
    assert "不是方案" in stored[0]["what"]["zh"] and "work_limit" in stored[0]["remedy"]["zh"]
    twin = tiny_county.write_scenario(tmp_path / "other.yaml", name="other")
    case = str(tmp_path / "case")
    assert main(["run", case, str(twin), "--out", str(out), "--no-report"]) == ExitCode.PLAN
    (other,) = stored_runs(out)
    _told(capsys)
    for more in (
        ["verify", str(kept)],
        ["report", str(kept), "--case", case, "--out", str(tmp_path / "made")],
        ["compare", str(other), str(kept)],
        ["worth", str(kept)],
        ["export", str(kept)],
        ["run", case, str(twin), "--out", str(out), "--start", str(kept)],
    ):
        assert main(more) == ExitCode.CHECK_FAILED, more
        assert "run-incomplete" in _told(capsys)
    assert not (tmp_path / "made").exists() or not list((tmp_path / "made").iterdir())


def test_what_was_found_within_the_limit_is_at_hand_in_python(case, monkeypatch):
    """Row 31: the error carries problem and sites; they fail their check and are no run."""
    _stops_once(monkeypatch)
    with pytest.raises(LimitReached) as caught:
        run(case, tiny_county.scenario(rules=list(CONTRADICTION)))
    found = caught.value.incomplete
    assert found.plan.status is Status.INCOMPLETE and len(found.plan.stints)
    assert verify(found.problem, found.plan)[0].code == "verify-incomplete"
    assert {v.rule for v in found.plan.violations} == {
        f.where.id for f in caught.value.findings if f.code == "rule-violated"
    }
    assert not hasattr(found, "tables") and not hasattr(found, "measures")


def test_a_study_counts_what_is_incomplete_as_a_run_without_a_plan(case, monkeypatch):
    """Row 31: recorded with the rules broken; nothing of it is compared."""
    _stops_once(monkeypatch)
    asked = tiny_county.scenario(rules=list(CONTRADICTION))
    order = Order(run="one", name="one", scenario=asked, case="c", code=code_version())
    made = work(order, {"c": packed_case(case)})
    assert made.kind == "limit" and made.files == {} and made.part == b""
    assert [f["code"] for f in made.findings] == ["plan-incomplete", "rule-violated"]


def _stopped(status, worse=2.0):
    """Return a solver that says it stopped early, its bound that much lower."""
    real = exact.solve_linear

    def solve(*args, **options):
        out = real(*args, **options)
        return out if options.get("relax") else replace(out, status=status, bound=out.bound - worse)

    return solve


def _texts(path):
    """Yield every text of a file, packed ones opened."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        yield path.name, pd.read_parquet(io.BytesIO(data)).to_csv()
    elif path.suffix == ".pdf":
        from pypdf import PdfReader

        yield path.name, "".join(p.extract_text() for p in PdfReader(path).pages)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                yield f"{path.name}/{name}", packed.read(name).decode("utf-8", "ignore")
    else:
        yield path.name, data.decode("utf-8", "ignore")


@pytest.mark.slow
@pytest.mark.parametrize("status", [Status.LIMIT, Status.INTERRUPTED])
def test_a_plan_at_a_limit_is_called_so_and_never_the_best_there_is(
    status, tmp_path, monkeypatch, capsys
):
    """Rows 32 and 33: incumbent, bound and gap; a notice; one word absent in every output."""
    pytest.importorskip("docx")
    pytest.importorskip("typst")
    pytest.importorskip("pypdf")
    monkeypatch.setattr(exact, "solve_linear", _stopped(status))
    code, out = _command(tmp_path, "--report")
    said = _told(capsys)
    assert code == ExitCode.PLAN and "limit" in said
    (path,) = stored_runs(out)
    plan = read_run(path).plan
    assert plan.status is status and plan.objectives[0].bound < plan.objectives[0].value
    assert plan.gap > 0 and f"{plan.gap:.2%}" in said
    made, case = tmp_path / "report", str(tmp_path / "case")
    formats = "html,docx,xlsx,pdf,gpkg" if status is Status.LIMIT else "html"
    twin = tiny_county.write_scenario(tmp_path / "other.yaml", name="other")
    assert main(["run", case, str(twin), "--out", str(out), "--no-report"]) == ExitCode.PLAN
    (other,) = [p for p in stored_runs(out) if p != path]
    for more in (
        ["report", str(path), str(other), "--case", case, "--out", str(made), "--to", formats],
        ["compare", str(path), str(other), "--lang", "zh"],
        ["verify", str(path)],
    ):
        assert main(more) == ExitCode.PLAN, more
    said += _told(capsys)
    pages = [text for name, text in _texts(made / "report.html")]
    assert any("limit" in p for p in pages) and any("限额" in p or "中途停止" in p for p in pages)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.suffix[1:] for p in files} >= {*formats.split(","), "xlsx", "gpkg", "parquet", "json"}
    for name, text in [("said", said), *(both for p in files for both in _texts(p))]:
        assert "optimal" not in text.lower() and "最优" not in text, name


def test_nothing_the_program_says_calls_a_plan_the_best_there_is():
    """Row 32: no text in the code but what developers read, nor in the data and scenarios shipped."""
    for path in sorted((ROOT / "allocator").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        notes = {
            id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef) and n.body and isinstance(n.body[0], ast.Expr)
        }  # fmt: skip
        for node in ast.walk(tree):
            text = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and isinstance(text, str) and id(node) not in notes:
                assert "optimal" not in text.lower() and "最优" not in text, (path.name, text)
    for folder in ("scenarios", "data", "allocator/report/templates"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".yaml", ".csv", ".html", ".css", ".js"):
                text = path.read_text("utf-8")
                assert "optimal" not in text.lower() and "最优" not in text, path.name


TWICE = """
import os, signal, sys, threading, time
from allocator.cli import main
from allocator.model import exact, highs, solve
sys.path.insert(0, {tests!r})
from test_model_relations import _hard_mip
real, times = exact.solve_linear, int(sys.argv.pop(1))
def interrupt():
    for n in range(times):
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)
def long(*args, **options):
    if options.get("relax"):
        return real(*args, **options)
    if times == 1:  # stopped with what it had
        found = real(*args, **options)
    threading.Thread(target=interrupt, daemon=True).start()
    linear, cost = _hard_mip(90)
    if times == 2:  # the solver does not hear the first request
        highs.highspy.Highs.cancelSolve = lambda self: None
    out = real(linear, cost, gap=0.0, seconds=60)
    assert times == 1 and out.status == "interrupted", out.status
    from dataclasses import replace
    return replace(found, status=out.status, bound=found.bound - 2)
exact.solve_linear = long
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("times", "code"), [(1, ExitCode.PLAN), (2, ExitCode.INTERRUPTED)])
def test_ctrl_c_once_keeps_the_plan_and_twice_ends_with_the_store_unharmed(times, code, tmp_path):
    """Row 33: real signals to a real command while the real solver runs."""
    first, out = _command(tmp_path)
    assert first == ExitCode.PLAN
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    other = tiny_county.write_scenario(tmp_path / "other.yaml", name="other")
    done = subprocess.run(
        [sys.executable, "-c", TWICE.format(tests=str(ROOT / "tests")), str(times), "run", str(tmp_path / "case"),
         str(other), "--out", str(out), "--no-report", "--lang", "en"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert ("Interrupted; what was stored before is unharmed" in done.stderr) == (times == 2)
    assert before == {p: p.read_bytes() for p in before}
    new = [p for p in stored_runs(out) if p.name.startswith("other-")]
    assert len(new) == (1 if times == 1 else 0)
    assert main(["verify", *map(str, stored_runs(out))]) == ExitCode.PLAN
    if new:
        assert read_run(new[0]).plan.status is Status.INTERRUPTED
        assert "interrupted" in done.stdout


def _patched(monkeypatch, change):
    """Let the solver answer otherwise than it found."""
    real = exact.solve_linear

    def solve(*args, **options):
        out = real(*args, **options)
        return out if options.get("relax") else change(out)

    monkeypatch.setattr(exact, "solve_linear", solve)


def _breaks(out):
    raise RuntimeError("the solver fell over")


LIES = {
    "values": lambda out: replace(out, values=np.clip(out.values + 0.3, 0, 1e9)),
    "infeasible": lambda out: replace(out, status=Status.INFEASIBLE, values=None, value=np.nan),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_solver_that_lies_is_rejected_and_nothing_is_stored(lie, tmp_path, monkeypatch, capsys):
    """Row 34: wrong values break rules by name; a claim that no plan exists is asked again."""
    _patched(monkeypatch, LIES[lie])
    code, out = _command(tmp_path)
    said = _told(capsys)
    assert not stored_runs(out)
    assert code == ExitCode.CHECK_FAILED
    told = {"values": "the plan breaks", "infeasible": "no-plan-unconfirmed"}
    assert told[lie] in said


class _Broken(highs.highspy.Highs):
    """A solver that ends in an error, as its status or as an exception says."""

    how = "status"

    def run(self):
        if self.how == "exception":
            raise RuntimeError("the solver fell over")
        return highs.highspy.HighsStatus.kError

    def startSolve(self):
        self.told = self.run()

    def wait(self, timeout=-1.0):
        return True, self.told


@pytest.mark.parametrize("how", ["status", "exception"])
def test_a_solver_that_breaks_down_is_rejected_and_nothing_is_stored(
    how, tmp_path, monkeypatch, capsys
):
    """Row 34: exit 4, in words, and no traceback."""
    monkeypatch.setattr(_Broken, "how", how)
    monkeypatch.setattr(highs, "quiet", _Broken)
    code, out = _command(tmp_path)
    said = _told(capsys)
    assert code == ExitCode.CHECK_FAILED and not stored_runs(out)
    assert "solver-broke-down" in said and "Traceback" not in said


def test_a_study_goes_on_where_the_solver_fails_in_one_run(case, tmp_path, monkeypatch):
    """Row 34: wrong values in one run, an exception in another; the third is stored."""
    real, calls = exact.solve_linear, []
    three = [tiny_county.scenario(name=name, solve={"seed": n}) for n, name in enumerate("abc")]

    def solve(*args, **options):
        out = real(*args, **options)
        if options.get("relax") or options.get("seed") not in (0, 1) or len(calls) > 1:
            return out
        calls.append(options["seed"])
        return LIES["values"](out) if options["seed"] == 0 else _breaks(out)

    monkeypatch.setattr(exact, "solve_linear", solve)
    stored, failed = run_all(case, three, tmp_path / "study", workers=1)
    assert calls == [0, 1] and [p.name[0] for p in stored] == ["c"]
    assert [(f.scenario, f.kind) for f in failed] == [("a", "check"), ("b", "bug")]
    assert "fell over" in failed[1].reason and "the plan breaks" in failed[0].reason


def dying_work(order, packed):
    """Do an order as a worker does; the run named b brings its whole process down."""
    if order.name == "b":
        os.abort()
    return work(order, packed)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a process that aborts")
def test_a_study_goes_on_where_the_solver_brings_its_process_down(case, tmp_path, monkeypatch):
    """Row 34: only the run that does it is given up, not those that ran beside it."""
    monkeypatch.setattr(roads, "work", dying_work)
    monkeypatch.setattr(roads, "MOST_DEATHS", 2)
    three = [tiny_county.scenario(name=name, solve={"seed": n}) for n, name in enumerate("abc")]
    stored, failed = run_all(case, three, tmp_path / "study", workers=2)
    assert [(f.scenario, f.kind) for f in failed] == [("b", "worker")]
    assert sorted(p.name[0] for p in stored) == ["a", "c"]


def _dear(case, factor):
    """The case with capital of every provision multiplied, and so counted in another unit."""
    types = {
        id: replace(t, provisions=tuple(
            replace(p, capital_yuan_fixed=p.capital_yuan_fixed * factor, capital_yuan_place=p.capital_yuan_place * factor,
                    price_by_service={s: v * factor for s, v in p.price_by_service.items()})
            for p in t.provisions))
        for id, t in case.catalogue.types.items()
    }  # fmt: skip
    return replace(case, catalogue=replace(case.catalogue, types=types))


def test_figures_twelve_orders_apart_are_told_and_give_the_same_checked_plan(case):
    """Row 35: money in units of 10^-7 yuan beside persons."""
    resources = tiny_county.SCENARIO["resources"]
    usual = run(case, tiny_county.scenario())
    assert not [f for f in usual.findings if f.code == "figures-far-apart"]
    wide = {**resources, "capital": {"unit": "yuan", "supply": {"2026": 6e13}}}
    done = run(_dear(case, 1e7), tiny_county.scenario(resources=wide))
    (told,) = [f for f in done.findings if f.code == "figures-far-apart"]
    low, high = (float(x) for x in told.what.en.split("from ")[1].split(",")[0].split(" to "))
    assert told.rank is Rank.WARNING and high / low > 1e12 and "数量级" in told.what.zh
    assert done.plan.objectives[0].value == pytest.approx(usual.plan.objectives[0].value, rel=1e-6)
    assert verify(done.problem, done.plan) == ()
    assert done.plan.stints.tolist() == usual.plan.stints.tolist()


def test_values_a_hair_off_leave_no_minus_nought_in_any_output(tmp_path, monkeypatch, capsys):
    """Row 36: 0.9999995 open, flows of -1e-12, through the command to the files it writes."""
    _patched(monkeypatch, lambda out: replace(out, values=np.where(
        np.abs(out.values - np.round(out.values)) < 1e-9,
        np.where(out.values > 0.5, out.values - 5e-7, -1e-12), out.values)))  # fmt: skip
    code, out = _command(tmp_path, "--report")
    assert code == ExitCode.PLAN
    (path,) = stored_runs(out)
    done = read_run(path)
    assert verify(done.problem, done.plan) == ()
    assert np.all(done.plan.places == np.round(done.plan.places))
    tables = [pd.read_parquet(p) for p in path.rglob("*.parquet")]
    for table in tables:
        for name in table.select_dtypes("number"):
            values = table[name].to_numpy(float)
            assert not np.any(np.signbit(values) & (values == 0)), name
    files = [p for p in tmp_path.rglob("*") if p.suffix in (".html", ".json", ".xlsx")]
    for name, text in [("said", _told(capsys)), *(both for p in files for both in _texts(p))]:
        if name.endswith("styles.xml"):  # patterns of negative numbers, not numbers
            continue
        assert not re.search(r"[^\d.\w]-0(\.0+)?(?![\d.])", text), name


def _renamed(tables, names):
    """Rewrite ids of areas and sites in the tables of a case."""
    return {
        name: "\n".join(",".join(names.get(cell, cell) for cell in line.split(",")) for line in text.split("\n"))
        for name, text in tables.items() if name.endswith(".csv")
    }  # fmt: skip


def _shuffled(tables, draw):
    out = {}
    for name, text in tables.items():
        head, *rows = text.strip().split("\n")
        draw.shuffle(rows)
        out[name] = "\n".join([head, *rows]) + "\n"
    return out


def _chosen(problem, plan, names):
    """Return the option and the places of every site, in the ids of the first case."""
    back = {v: k for k, v in names.items()}
    sites = [back.get(s, s) for s in problem.sites]
    state = {sites[problem.stint_site[p]]: problem.options[problem.stint_option[p]] for p in plan.stints}  # fmt: skip
    of = problem.stint_site[problem.offer_stint]
    places = np.bincount(of, plan.places, minlength=len(sites))
    return {s: (state[s], places[j]) for j, s in enumerate(sites)}


@pytest.mark.slow
@pytest.mark.parametrize("last", [None, "cost"])
def test_twenty_seeds_other_rows_and_other_names_give_one_plan(last, tmp_path):
    """Row 37: the same value throughout, and the same plan mapped back where cost decides ties.

    Without it an empty place costs nothing, so two sizes tie: sites and who is served stay.
    """
    objective = [*tiny_county.SCENARIO["objective"], *([last] if last else [])]
    values, plans = [], []
    for seed in range(20):
        draw = random.Random(seed)
        names = {}
        if seed % 2:
            ids = [f"S{n}" for n in range(1, 5)]
            names = dict(zip(ids, draw.sample([f"Z{n}" for n in range(10, 20)], 4), strict=True))
        files = _shuffled(_renamed(tiny_county.FILES, names), draw)
        given = {k.replace(".", "_"): v for k, v in files.items()}
        other = read_case(tiny_county.write(tmp_path / str(seed), **given))
        problem, _, _ = prepare(other, tiny_county.scenario(objective=objective))
        plan = solve(problem, gap=0.0, seed=seed)
        assert verify(problem, plan) == ()
        values.append([o.value for o in plan.objectives])
        plans.append(_chosen(problem, plan, names))
    np.testing.assert_allclose(values, np.broadcast_to(values[0], np.shape(values)), rtol=1e-5)
    for plan in plans[1:]:
        assert plan.keys() == plans[0].keys()
        for site, (state, places) in plan.items():
            assert state == plans[0][site][0]
            assert last is None or places == pytest.approx(plans[0][site][1])


def test_ctrl_c_at_any_write_of_a_run_leaves_the_old_run_and_nothing_else(case, tmp_path):
    """Row 33: whatever was being written when it came."""
    old, new = run(case, tiny_county.scenario()), run(case, tiny_county.scenario(need={"factor": {CARE: 0.5}}))  # fmt: skip
    path = runs.write_run(tmp_path / "base-1", old)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}

    def stopping(original, at):
        count = 0

        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == at:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        return call

    at, ended = 1, False
    for name in ("_write", "os.replace"):
        for at in range(1, 60):
            with pytest.MonkeyPatch.context() as patch:
                room, what = (runs, name) if name == "_write" else (runs.os, "replace")
                patch.setattr(room, what, stopping(getattr(room, what), at))
                try:
                    runs.write_run(path, new)
                    ended = True
                except KeyboardInterrupt:
                    ended = False
            if ended:
                break
            assert [p.name for p in tmp_path.iterdir()] == ["base-1"], (name, at)
            assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
        assert ended and at > 2
        assert read_run(path).id == new.id
        path = runs.write_run(path, old)
