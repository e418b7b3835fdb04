"""What a study costs beyond its runs: two workers against one, and both against bare runs.

    python -m benchmarks.studies [--runs 1000] [--bare 80] [--one 200] [--json]

The study is ``scenarios/rongshui/studies/nothing-built.yaml``: today's facilities of the demonstration
county put to as many draws of six assumptions; no layout is optimised. Blocks alternate, so
that a machine that grows slower meets all alike: bare runs, half of the study on two workers, runs on
one worker, the other half (gone on with, in the same folder), bare runs. Every block starts its own
processes, and their start counts. ``cpu`` is CPU time of all processes of a block, runner, scheduler and
workers together: on a machine shared with others it says more than ``wall``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CASE = ROOT / "data" / "rongshui"
STUDY = ROOT / "scenarios" / "rongshui" / "studies" / "nothing-built.yaml"
COUNTIES, SCENARIOS, CORES = 2844, 10, (2, 16, 128)
WARM = 8
"""Runs before bare ones are timed: what runs share is made in them, once a worker in a study too."""


@dataclass(frozen=True, slots=True)
class Block:
    """One timed block: what was done in it, seconds, and the most memory of one of its processes."""

    what: str
    runs: int
    wall: float
    cpu: float
    runner_cpu: float
    peak_mb: float


def bare(first: int, count: int) -> tuple[int, float, float]:
    """Run members of the study one after another with nothing of a study around them."""
    from allocator.io.case import read_case
    from allocator.io.studies import read_study
    from allocator.run import Shared, run

    case, shared = read_case(CASE), Shared()
    members = read_study(STUDY)[1]
    for member in members[-WARM:]:
        run(case, member.scenario, shared=shared)
    begun = time.monotonic(), time.process_time()
    for member in members[first : first + count]:
        run(case, member.scenario, shared=shared)
    return count, time.monotonic() - begun[0], time.process_time() - begun[1]


def study(folder: str, first: int, count: int, workers: int) -> tuple[int, float, float]:
    """Run members of the study as ``allocator study`` does; finished ones are kept."""
    from allocator.io.case import read_case
    from allocator.io.studies import read_study
    from allocator.study import run_study

    begun = time.monotonic()
    definition, members = read_study(STUDY)
    done = run_study(
        definition, members[first : first + count], read_case(CASE), Path(folder), workers=workers,
        road="cluster", keep="parts",
    )  # fmt: skip
    assert not done.failures, done.failures[0]
    return len(set(done.ids)) - done.kept, time.monotonic() - begun, sum(_cpu())


def timed(what: str, work: Callable[..., tuple[int, float, float]], *given: Any) -> Block:
    """Do a block in a process of its own, so that its CPU time and that of its children is known."""
    here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_told, args=(there, work, given))
    process.start()
    there.close()
    runs, wall, cpu, own, peak = here.recv()
    process.join()
    return Block(what, runs, wall, cpu, own, peak)


def _told(door: Any, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    runs, wall, cpu = work(*given)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(k).ru_maxrss for k in kinds) / 1024
    door.send((runs, wall, cpu, _cpu()[0], peak))


def _cpu() -> tuple[float, float]:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(k) for k in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return used[0].ru_utime + used[0].ru_stime, used[1].ru_utime + used[1].ru_stime


def summed(blocks: list[Block], what: str) -> Block:
    """Return all blocks of one kind as one."""
    mine = [b for b in blocks if b.what == what]
    runs, wall, cpu, own = (sum(getattr(b, k) for b in mine) for k in ("runs", "wall", "cpu", "runner_cpu"))  # fmt: skip
    return Block(what, int(runs), wall, cpu, own, max(b.peak_mb for b in mine))


def estimate(run_cpu: float, runner_cpu: float, read_cpu: float, cores: int) -> float:
    """Return hours for `COUNTIES` x `SCENARIOS` what-ifs of a county like the measured one.

    Runs are spread over the cores; what the one runner does for each run, and its reading of
    each county's files, is done by one core while the others work, so the longer of the two counts.
    """
    runs = COUNTIES * SCENARIOS
    spread = runs * run_cpu / cores
    alone = runs * runner_cpu + COUNTIES * read_cpu
    return max(spread, alone) / 3600


def measured(runs: int, bare_runs: int, one_runs: int) -> dict[str, Any]:
    """Return the blocks and what follows from them."""
    half, few = runs // 2, bare_runs // 2
    with tempfile.TemporaryDirectory() as room:
        both, alone = f"{room}/two/nothing-built", f"{room}/one/nothing-built"
        blocks = [
            timed("bare", bare, 0, few),
            timed("two workers", study, both, 0, half, 2),
            timed("one worker", study, alone, half - one_runs // 2, one_runs, 1),
            timed("two workers", study, both, 0, runs, 2),
            timed("bare", bare, runs - few, few),
        ]
    plain, one, two = (summed(blocks, w) for w in ("bare", "one worker", "two workers"))
    per = {b.what: b.cpu / b.runs for b in (plain, one, two)}
    return {
        "blocks": [asdict(b) for b in blocks],
        "completed": two.runs,
        "speedup_wall": (two.runs / two.wall) / (one.runs / one.wall),
        "cpu_s_a_run": per,
        "overhead_cpu": per["two workers"] / per["bare"] - 1,
        "runner_cpu_s_a_run": two.runner_cpu / two.runs,
        "estimate_hours": {
            c: estimate(per["two workers"], two.runner_cpu / two.runs, 2 * _read_cpu(), c)
            for c in CORES
        },
    }


def _read_cpu() -> float:
    """CPU seconds of reading a county's files."""
    from allocator.io.case import read_case

    read_case(CASE)
    begun = time.process_time()
    read_case(CASE)
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--bare", type=int, default=80)
    parser.add_argument("--one", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measured(given.runs, given.bare, given.one)
    if given.json:
        print(json.dumps(found))
        return
    for b in found.pop("blocks"):
        print(f"{b['what']:12} {b['runs']:5} runs  wall {b['wall']:7.1f} s  cpu {b['cpu']:7.1f} s  runner {b['runner_cpu']:6.1f} s  peak {b['peak_mb']:5.0f} MB")  # fmt: skip
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
