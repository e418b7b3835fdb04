"""Many runs, each stored when done: what is finished is never redone, what failed is named.

A study is the same pure `run` many times, here, in processes or on a cluster. Its folder can be
read at any moment (`open_study`), and the same command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from allocator.case import Case
from allocator.design import Member, Study
from allocator.scenario import Scenario
from allocator.study.counties import Cases
from allocator.study.results import StudyResults, open_study
from allocator.study.runner import Done, Progress, carry_out, road_of
from allocator.study.store import Failure

__all__ = [
    "Done",
    "Failure",
    "Progress",
    "StudyResults",
    "open_study",
    "road_of",
    "run_all",
    "run_study",
]


def run_study(
    study: Study,
    members: Sequence[Member],
    cases: Case | Cases,
    folder: Path | str,
    *,
    workers: int = 2,
    road: str = "auto",
    scheduler: str = "",
    scheduler_file: str = "",
    memory: str = "auto",
    keep: str = "runs",
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Done:
    """Run every member of a study into a folder, going on where an earlier call was stopped.

    Parameters
    ----------
    study, members
        As `allocator.io.studies.read_study` gives them.
    cases
        One case, or cases (or their folders, read when wanted) by the name that members bear.
    workers, road, scheduler, scheduler_file, memory
        Where runs are done: see `road_of`.
    keep
        ``runs``: run folders and parts; ``parts``: parts alone, a few kB a run.
    retry_failed
        Whether runs that are known to have no plan are tried again.
    progress
        Called after every run.

    Raises
    ------
    InputRefused
        When the only case has faults (of several, a faulty one is recorded as failed), the folder cannot be written, or the scheduler does not answer.
    StudyIncomplete
        When the cluster is lost on the way.
    """
    if keep not in ("runs", "parts"):
        raise ValueError("keep is runs or parts")
    given = {m.case: cases for m in members} if isinstance(cases, Case) else cases
    way, _ = road_of(
        workers, scheduler=scheduler, scheduler_file=scheduler_file, memory=memory, road=road
    )
    return carry_out(
        study, members, given, Path(folder), road=way, keep_runs=keep == "runs",
        retry_failed=retry_failed, progress=progress,
    )  # fmt: skip


def run_all(
    case: Case,
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    workers: int = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[Path], list[Failure]]:
    """Run scenarios into run folders under ``folder``, by default in two processes.

    Returns
    -------
    paths, failures
        Run folders in the order of the scenarios (failed ones left out), and the failures.
    """
    say = progress or (lambda name, done, total: None)
    road, _ = road_of(workers, road="processes" if workers > 1 and len(scenarios) > 1 else "here")
    done = carry_out(
        None, [Member(name=s.name, scenario=s) for s in scenarios], {"": case}, folder, road=road,
        progress=lambda p: say(p.name, p.done, p.total),
    )  # fmt: skip
    failed = {f.run for f in done.failures}
    by_id = {p.name.rsplit("-", 1)[-1]: p for p in sorted(folder.glob("*-*")) if p.is_dir()}
    return [by_id[i] for i in done.ids if i not in failed], list(done.failures)
