"""Whoever is killed when, a study that is gone on with ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_county
import yaml

from allocator.errors import ExitCode

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
RUNNER = "from allocator.cli import main; main()"


def _inputs(folder, runs):
    """Write the case, its scenario and a study of so many runs."""
    scenarios = folder / "scenarios"
    (scenarios / "studies").mkdir(parents=True)
    tiny_county.write_scenario(scenarios / "base.yaml")
    study = {
        "name": "s", "title": {"zh": "研究", "en": "Study"}, "base": ["base"],
        "axes": {"budget": {"from": 2e6, "to": 6e6, "steps": runs}},
    }  # fmt: skip
    path = scenarios / "studies" / "s.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), "utf-8")
    return tiny_county.write(folder / "case"), path


def _contents(folder):
    """Return every file of a study but the claims, which are gone when no runner lives."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".claims" not in p.parts
    }


class _Cluster:
    """A scheduler and two workers, each a process of its own in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        self.scheduler, self.workers = None, []
        self.mend()

    def mend(self):
        """Start again what was killed; workers of a dead scheduler go with it."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.stop()
            self.file = self.folder / f"scheduler-{self.number}.json"
            self.scheduler = self._start(
                "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
            )  # fmt: skip
            _until(self.file.is_file)
        self.workers = [w for w in self.workers if w.poll() is None]
        while len(self.workers) < 2:
            self.workers.append(
                self._start("worker", "--scheduler-file", str(self.file), "--nthreads", "1", "--no-dashboard",
                            "--no-nanny", "--host", "127.0.0.1", "--memory-limit", "0")
            )  # fmt: skip

    def _start(self, what, *options):
        self.number += 1
        here = self.folder / f"{what}-{self.number}"
        here.mkdir()
        return subprocess.Popen(
            [sys.executable, "-m", "dask", what, *options], cwd=here, env=ENV,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self):
        for process in (self.scheduler, *self.workers):
            if process is not None:
                process.kill()
                process.wait()
        self.workers = []


def _until(holds, seconds=60.0):
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, "what was waited for did not come"
        time.sleep(0.05)


def _runner(case, study, out, cluster=None):
    """Start a study; what it says goes to a file beside its folder."""
    there = ["--scheduler-file", str(cluster.file)] if cluster else ["--plain"]
    with (out.parent / f"{out.name}.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", RUNNER, "study", str(case), str(study), "--out", str(out), "--lang", "en", *there],
            env=ENV, cwd=out.parent, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _parts(folder):
    return len(list((folder / "s" / "parts").glob("*.parquet")))


@pytest.mark.long
@pytest.mark.parametrize(("runs", "kills"), [(12, 3), (200, 20)])
def test_killed_worker_scheduler_and_runner_lose_and_double_nothing(runs, kills, tmp_path):
    case, study = _inputs(tmp_path, runs)
    whole = _runner(case, study, tmp_path / "undisturbed")
    assert whole.wait(timeout=1800) == 0, (tmp_path / "undisturbed.txt").read_text("utf-8")

    draw = random.Random(runs)
    victims = ["worker", "scheduler", "runner"] * (kills // 3 + 1)
    out, killed, stored = tmp_path / "killed", [], 0
    cluster = _Cluster(tmp_path)
    try:
        runner = _runner(case, study, out, cluster)
        while (code := runner.poll()) != 0:
            if code is not None:  # killed, or told that the cluster was lost
                assert code in (-signal.SIGKILL, int(ExitCode.STUDY_INCOMPLETE), int(ExitCode.REFUSED)), (tmp_path / "killed.txt").read_text("utf-8")  # fmt: skip
                cluster.mend()
                runner = _runner(case, study, out, cluster)
            at_least = min(runs - 1, runs * (len(killed) + 1) // (kills + 1))
            due = len(killed) < kills and _parts(out) >= max(at_least, 1)
            if due:
                time.sleep(draw.random())  # anywhere within a run
                victim = victims[len(killed)]
                process = {"worker": cluster.workers[0], "scheduler": cluster.scheduler, "runner": runner}[victim]  # fmt: skip
                process.kill()
                process.wait()
                killed.append(victim)
                assert _parts(out) >= stored  # what was stored stays
                stored = _parts(out)
                if victim == "worker":
                    cluster.mend()
            time.sleep(0.02)
    finally:
        cluster.stop()
    assert len(killed) == kills
    assert _contents(out / "s") == _contents(tmp_path / "undisturbed" / "s")
    names = [r["name"] for r in json.loads((out / "s" / "study.json").read_bytes())["runs"]]
    assert len(set(names)) == runs == _parts(out)
