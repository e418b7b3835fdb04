"""Run folders: whole or absent, whatever happens; the same run gives the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from io_cases import run

from allocator.errors import CheckFailed, InputRefused
from allocator.io import paths, runs
from allocator.io.json_schemas import json_schemas
from allocator.io.runs import find_run, has_run, read_run, stored_runs, write_run

HERE = Path(__file__).parent


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_a_run_comes_back_equal(tmp_path):
    made = run()
    back = read_run(write_run(tmp_path / "base-1", made))
    assert back.problem.digest == made.problem.digest == back.plan.problem
    assert back.scenario == made.scenario and back.findings == made.findings
    assert back.measures == made.measures and back.inputs == made.inputs
    assert back.tables["sites"].equals(made.tables["sites"])
    for name in ("stints", "places", "served", "served_arc", "unmet"):
        one, two = getattr(back.plan, name), getattr(made.plan, name)
        assert np.array_equal(one, two) and one.dtype == two.dtype
    assert back.plan.objectives == made.plan.objectives and back.plan.status is made.plan.status
    assert np.array_equal(back.plan.prices["money"], made.plan.prices["money"])


def test_equal_runs_give_equal_bytes(tmp_path):
    one = contents(write_run(tmp_path / "a", run()))
    assert contents(write_run(tmp_path / "b", run())) == one
    assert contents(write_run(tmp_path / "a", run())) == one
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_manifest_tells_versions_and_digests_and_nothing_of_the_machine(tmp_path):
    path = write_run(tmp_path / "a", run())
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, json_schemas()["manifest"])
    jsonschema.validate(
        json.loads((path / "findings.json").read_text(encoding="utf-8")), json_schemas()["findings"]
    )
    assert set(manifest["files"]) == set(contents(path)) - {"manifest.json"}
    text = b"".join(
        data for name, data in contents(path).items() if name.endswith(".json")
    ).decode()
    assert str(tmp_path) not in text and str(Path.home()) + "/" not in text


def test_a_path_of_the_machine_is_never_stored(tmp_path):
    with pytest.raises(ValueError, match="absolute paths"):
        write_run(tmp_path / "a", run(measures={"file": str(Path.cwd() / "x")}))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("how", ["edit", "cut", "remove"])
def test_every_file_changed_cut_or_removed_is_caught(tmp_path, how):
    path = write_run(tmp_path / "a", run())
    for name, data in contents(path).items():
        file = path / name
        if how == "remove" and name != "manifest.json":
            file.unlink()
        else:
            middle = len(data) // 2
            file.write_bytes(
                data[:middle]
                if how == "cut"
                else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            )
        with pytest.raises(CheckFailed) as caught:
            read_run(path)
        assert caught.value.exit_code == 4 and caught.value.findings[0].where.file == f"a/{name}"
        file.write_bytes(data)
    read_run(path)


def test_a_newer_format_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FORMAT", 2)
    path = write_run(tmp_path / "a", run())
    monkeypatch.setattr(runs, "FORMAT", 1)
    with pytest.raises(CheckFailed) as caught:
        read_run(path)
    assert caught.value.findings[0].code == "run-newer-format" and "format 2" in str(caught.value)


def test_a_folder_without_a_manifest_reads_as_absent(tmp_path):
    path = write_run(tmp_path / "base-0123456789abcdef", run())
    assert find_run(tmp_path, "0123456789abcdef") == path and stored_runs(tmp_path) == (path,)
    (path / "manifest.json").unlink()
    assert not has_run(path) and find_run(tmp_path, "0123456789abcdef") is None
    with pytest.raises(InputRefused) as caught:
        read_run(path)
    assert caught.value.findings[0].code == "run-absent"


@pytest.mark.parametrize("name", ["CON", "a b", "x:y"])
def test_a_run_folder_has_a_safe_name(tmp_path, name):
    with pytest.raises(InputRefused):
        write_run(tmp_path / name, run())


def test_a_full_disk_leaves_the_old_run_and_nothing_else(tmp_path, monkeypatch):
    path = write_run(tmp_path / "a", run())
    before = contents(path)
    written = []

    def full(file, data):
        written.append(file)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        original(file, data)

    original = runs._write
    monkeypatch.setattr(runs, "_write", full)
    with pytest.raises(InputRefused) as caught:
        write_run(path, run(measures={"score": {"served": 1}}))
    assert "No space left" in str(caught.value)
    assert contents(path) == before and os.listdir(tmp_path) == ["a"]


def test_one_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = paths.write_bytes(tmp_path / "x.json", b"old")

    def fails(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(paths.os, "replace", fails)
    with pytest.raises(InputRefused) as caught:
        paths.write_bytes(path, b"new")
    assert "Excel" in caught.value.findings[0].remedy.en
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.json"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from io_cases import run
from allocator.io import runs
at, count = int(sys.argv[2]), 0
def counted(original):
    def call(*arguments, **options):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    return call
runs._write = counted(runs._write)
os.fsync = counted(os.fsync)
os.replace = counted(os.replace)
pid = None
for at in range(1, 200):
    pid = os.fork()
    if pid == 0:
        count = 0
        runs.write_run(sys.argv[1], run(measures={{"score": {{"served": 2}}}}))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    state = "none"
    if runs.has_run(sys.argv[1]):
        state = str(runs.read_run(sys.argv[1]).measures["score"]["served"])
    print(at, "done" if status == 0 else "killed", state, flush=True)
    if status == 0:
        break
    import shutil
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if sys.argv[3] == "over":
        at = 0
        runs.write_run(sys.argv[1], run(measures={{"score": {{"served": 1}}}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("over", [False, True], ids=["fresh", "over an older run"])
def test_killed_at_any_write_a_run_is_whole_or_absent(tmp_path, over):
    target = tmp_path / "base-1"
    if over:
        write_run(target, run(measures={"score": {"served": 1}}))
    script = KILLED.format(here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-c", script, str(target), "0", "over" if over else "fresh"],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 20 and lines[-1][1:] == ["done", "2"]
    states = {state for _, how, state in lines if how == "killed"}
    # Killed before the last rename: what was there before, or nothing; after it: the new run.
    assert states <= ({"1", "2", "none"} if over else {"2", "none"}) and len(states) > 1
