"""Many runs, each stored when done: what is finished is never redone, what failed is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from allocator.case import Case
from allocator.errors import AllocatorError, CheckFailed
from allocator.io.runs import read_run, write_run
from allocator.io.travel_cache import store_in
from allocator.run import Run, Shared, run, run_id
from allocator.scenario import Scenario

__all__ = ["JOURNEYS", "Failure", "run_all", "table"]

JOURNEYS = ".journeys"
"""Folder beside the runs where journeys on networks and surfaces are kept by digest."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """A scenario that gave no run, and why."""

    scenario: str
    reason: str


def run_all(
    case: Case,
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[Path], list[Failure]]:
    """Run scenarios into run folders under ``folder``, two at a time by default.

    A run already stored under the same id is kept as it is; one that fails its digests is done
    again. A worker that dies takes nothing with it: what it had not stored is done here.

    Returns
    -------
    paths, failures
        Run folders in the order of the scenarios (failed ones left out), and the failures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = {s.name: run_id(case, s) for s in scenarios}
    where = {s.name: folder / f"{s.name}-{ids[s.name]}" for s in scenarios}
    todo = [s for s in scenarios if not _is_stored(where[s.name])]
    say = progress or (lambda name, done, total: None)
    for n, scenario in enumerate(s for s in scenarios if s not in todo):
        say(scenario.name, n + 1, len(scenarios))
    done = len(scenarios) - len(todo)
    failures: list[Failure] = []
    for name, reason in _results(case, todo, where, workers or min(2, os.cpu_count() or 1)):
        done += 1
        say(name, done, len(scenarios))
        if reason:
            failures.append(Failure(name, reason))
    failed = {f.scenario for f in failures}
    return [where[s.name] for s in scenarios if s.name not in failed], failures


def _is_stored(path: Path) -> bool:
    if not (path / "manifest.json").exists():
        return False
    try:
        read_run(path)
    except CheckFailed:
        return False
    return True


def _results(
    case: Case, todo: Sequence[Scenario], where: dict[str, Path], workers: int
) -> Iterator[tuple[str, str]]:
    """Yield (scenario, reason of failure or blank) as runs end."""
    if workers == 1 or len(todo) < 2:
        yield from _one_after_another(case, todo, where)
        return
    left = {s.name: s for s in todo}
    try:
        with ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(case, where[todo[0].name].parent / JOURNEYS),
        ) as pool:
            jobs = {pool.submit(_in_worker, s, where[s.name]): s.name for s in todo}
            for job in as_completed(jobs):
                name = jobs[job]
                reason = job.result()
                left.pop(name)
                yield name, reason
    except BrokenProcessPool:
        yield from _one_after_another(case, list(left.values()), where)


def _one_after_another(
    case: Case, todo: Sequence[Scenario], where: dict[str, Path]
) -> Iterator[tuple[str, str]]:
    shared = Shared()
    if todo:
        shared.store = store_in(where[todo[0].name].parent / JOURNEYS)
    for scenario in todo:
        yield scenario.name, _store(case, scenario, where[scenario.name], shared)


def _store(case: Case, scenario: Scenario, path: Path, shared: Shared) -> str:
    try:
        write_run(path, run(case, scenario, shared=shared))
    except AllocatorError as problem:
        return str(problem)
    return ""


_WORKER: dict[str, object] = {}


def _begin(case: Case, kept: Path) -> None:
    _WORKER["case"], _WORKER["shared"] = case, Shared(store=store_in(kept))


def _in_worker(scenario: Scenario, path: Path) -> str:
    case, shared = _WORKER["case"], _WORKER["shared"]
    assert isinstance(case, Case) and isinstance(shared, Shared)
    return _store(case, scenario, path, shared)


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return indicators of many runs: one row a run, indicator and year."""
    frames = [
        r.tables["indicators"].assign(
            scenario=r.scenario.name, run=r.id, placement=r.scenario.placement
        )
        for r in runs
    ]
    return pd.concat(frames, ignore_index=True)
