"""Reports on disk: which stored runs are meant, and the files written from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from allocator.case import Case
from allocator.catalogue import Catalogue
from allocator.errors import Where
from allocator.io.findings import refusal
from allocator.io.paths import read_bytes, shipped, write_bytes
from allocator.io.runs import has_run, is_incomplete, read_run, stored_runs
from allocator.report import Note, documents
from allocator.report.bands import STEPS
from allocator.report.study_chapter import StudyView
from allocator.run import Run

__all__ = ["DEFAULT_FORMATS", "REPORT", "named_runs", "study_of", "write_products"]

REPORT = "-report"
"""What the folder of a run's documents is named after the run's."""

DEFAULT_FORMATS = ("html", "xlsx", "gpkg")
LARGEST_TEMPLATE = 20 << 20


def named_runs(paths: Sequence[Path], plan: str = "") -> list[Run]:
    """Return the stored runs that run folders and study folders stand for, the plan first.

    Parameters
    ----------
    paths
        Folders of runs, or of studies (every finished run in them, or in their ``runs``).
    plan
        Name of the scenario to report; blank takes the first.

    Raises
    ------
    InputRefused
        When a folder holds no finished run, or no run has that name.
    CheckFailed
        When a stored run does not match its digests, or a folder holds what is no plan.
    """
    found: list[Path] = []
    for path in paths:
        run = path.with_name(path.name.removesuffix(REPORT) or path.name)
        if not has_run(path) and has_run(run):
            path = run  # the folder of a run's documents, named by a pattern or by mistake
        here = has_run(path) or is_incomplete(path)  # the latter is refused by name below
        below = (path,) if here else stored_runs(path) or stored_runs(path / "runs")
        if not below:
            raise refusal(
                "run-absent", Where(file=path.name),
                ("其中没有已完成的运行。", "There is no finished run in it."),
                ("请给出运行或研究的文件夹。", "Name the folder of a run or of a study."),
            )  # fmt: skip
        found += [p for p in below if p not in found]
    runs = [read_run(p) for p in found]
    if not plan:
        return runs
    first = [r for r in runs if r.scenario.name == plan]
    if not first:
        names = ", ".join(sorted({r.scenario.name for r in runs})[:20])
        raise refusal(
            "scenario-unknown", Where(id=plan),
            (f"没有名为“{plan}”的运行。", f"No run is named {plan!r}."),
            (f"现有：{names}。", f"There are: {names}."),
        )  # fmt: skip
    return [first[0], *(r for r in runs if r is not first[0])]


def _with_units(catalogue: Catalogue) -> Catalogue:
    """The case's catalogue with the shipped names of units, so that norms read well."""
    from allocator.io.policy_files import read_policy

    if catalogue.units:
        return catalogue
    return replace(catalogue, units=read_policy(shipped("data") / "catalogue").units)


def study_of(paths: Sequence[Path]) -> StudyView | None:
    """Return the study that a report is asked of, where one folder of one is named; else None."""
    if len(paths) != 1 or not (paths[0] / "study.json").is_file():
        return None
    from allocator.cli.study_view import study_view
    from allocator.study import open_study

    results = open_study(paths[0])
    return study_view(results) if len(results.cases) == 1 else None


def write_products(
    runs: Sequence[Run], case: Case, out: Path, notes: Sequence[Note] = (), *,
    to: Sequence[str] = DEFAULT_FORMATS, languages: Sequence[str] = ("zh", "en"), template: Path | None = None, font: str = "",
    study: StudyView | None = None,
    steps: Sequence[float] = STEPS,
) -> list[Path]:  # fmt: skip
    """Write the documents asked for; the first run is the plan reported.

    Raises as `allocator.report.documents`, and `InputRefused` when a file cannot be written.
    """
    region = case.region
    placement = runs[0].scenario.placement
    if placement is not None and case.placements is not None:
        region = region.placed(case.placements[case.placements["seed"] == placement])
    made = documents(
        runs, region=region, catalogue=_with_units(case.catalogue), notes=notes, to=to, languages=languages,
        template=None if template is None else read_bytes(template, LARGEST_TEMPLATE), font=font,
        study=study, steps=steps,
    )  # fmt: skip
    return [write_bytes(out / name, data) for name, data in made.items()]
