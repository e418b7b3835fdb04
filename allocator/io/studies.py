"""Study files: which scenarios, crossed with which values."""

from __future__ import annotations

from pathlib import Path

from allocator.errors import InputRefused, nearest
from allocator.io.findings import refusal
from allocator.io.scenarios import read_scenarios, scenario_names
from allocator.io.yaml_file import read_yaml, validated
from allocator.scenario import Scenario, Study, expand

__all__ = ["read_study"]


def read_study(path: Path | str) -> tuple[Study, tuple[Scenario, ...]]:
    """Return a study and every scenario it stands for; bases lie in the folder above the study's.

    Raises
    ------
    InputRefused
        With every fault of the study and of the scenarios it names.
    """
    path = Path(path)
    study = validated(Study, document := read_yaml(path))
    folder = path.parent if study.base[0] in _known(path.parent) else path.parent.parent
    known = scenario_names(folder)
    for name in study.base:
        if name not in known:
            near = nearest(name, known)
            raise refusal(
                "scenario-unknown", document.where(("base",)),
                (f"没有名为“{name}”的情景。", f"There is no scenario {name!r}."),
                (f"是否为“{near}”?" if near else "请核对 base。", f"Did you mean {near!r}?" if near else "Check base."),
            )  # fmt: skip
    scenarios = {s.name: s for s in read_scenarios(folder, study.base)}
    try:
        return study, expand(study, scenarios)
    except ValueError as problem:
        raise InputRefused(
            refusal(
                "study-change", document.where(("axes",)),
                (f"修改后的情景不成立:{problem}", f"A changed scenario does not hold: {problem}"),
                ("请核对 axes 与 changes 中的键和值。", "Check the keys and values of axes and changes."),
            ).findings
        ) from problem  # fmt: skip


def _known(folder: Path) -> set[str]:
    return {p.stem for p in folder.glob("*.yaml")} if folder.is_dir() else set()
