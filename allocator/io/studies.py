"""Study files: which scenarios, crossed with which values, for which cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from allocator.design import Member, Study, expand
from allocator.errors import Text, Unfit, Where, nearest
from allocator.io.findings import refusal
from allocator.io.paths import inside
from allocator.io.scenarios import read_scenarios, scenario_names
from allocator.io.yaml_file import read_yaml, refused, validated
from allocator.scenario import RuleSpec, Scenario

__all__ = ["case_folders", "read_study"]


def read_study(path: Path | str, cases: Sequence[str] = ("",)) -> tuple[Study, tuple[Member, ...]]:
    """Return a study and every run it stands for; bases lie in the folder above the study's.

    Parameters
    ----------
    cases
        Names of the case folders, each run through the whole study; one blank name for one case.

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
        return study, expand(study, scenarios, cases)
    except ValidationError as problem:
        model = RuleSpec if problem.title == RuleSpec.__name__ else Scenario
        raise refused(model, document, problem) from problem
    except ValueError as problem:
        said = problem.text if isinstance(problem, Unfit) else Text(str(problem), str(problem))
        raise refusal(
            "study-change", document.where(("axes",)),
            (f"修改后的情景不成立:{said.zh}。", f"A changed scenario does not hold: {said.en}."),
            ("请核对 axes 与 changes 等处的键和值。", "Check the keys and values of axes, changes and the like."),
        ) from problem  # fmt: skip


def case_folders(root: Path | str, names: Sequence[str]) -> dict[str, Path]:
    """Return the case folders that a study of many cases names, by name; ``*`` stands for all.

    Parameters
    ----------
    root
        The folder that holds the case folders.

    Raises
    ------
    InputRefused
        When a folder is not there or holds no ``case.yaml``.
    """
    root = Path(root)
    there = sorted(p.parent.name for p in root.glob("*/case.yaml"))
    wanted = there if tuple(names) == ("*",) else list(dict.fromkeys(names))
    for name in wanted or ["*"]:
        if name not in there:
            near = nearest(name, there)
            raise refusal(
                "case-unknown", Where(file=root.name, id=name),
                (f"此处没有名为“{name}”的案例文件夹(含 case.yaml)。", f"There is no case folder {name!r} (with a case.yaml) here."),
                (f"是否为“{near}”?" if near else "请核对 cases。", f"Did you mean {near!r}?" if near else "Check cases."),
            )  # fmt: skip
    return {name: inside(root, name) for name in wanted}


def _known(folder: Path) -> set[str]:
    return {p.stem for p in folder.glob("*.yaml")} if folder.is_dir() else set()
