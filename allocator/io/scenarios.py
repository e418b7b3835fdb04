"""Scenario files of one folder: merged along ``extends``, checked, every fault with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocator.errors import Finding, InputRefused, Where, nearest, plural
from allocator.io.findings import error, refusal
from allocator.io.paths import checked_name, inside
from allocator.io.yaml_file import Document, KeyPath, read_yaml, validated
from allocator.scenario import Scenario, merged

__all__ = ["read_scenarios", "scenario_names"]

MAX_FILES = 10_000
_OWN = ("name", "title", "note", "abstract")
"""Keys that a scenario does not take over from what it extends."""


def scenario_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the scenario files in a folder, sorted.

    Raises
    ------
    InputRefused
        When there is no such folder, or no scenario in it.
    """
    names = sorted(p.stem for p in folder.glob("*.yaml")) if folder.is_dir() else []
    if not names or len(names) > MAX_FILES:
        raise refusal(
            "scenarios-missing",
            Where(file=folder.name),
            (
                f"文件夹中有{len(names)}个情景文件(*.yaml)。",
                f"The folder holds {plural(len(names), 'scenario file')} (*.yaml).",
            ),
            (
                f"请给出含1至{MAX_FILES}个情景文件的文件夹。",
                f"Name a folder with 1 to {MAX_FILES} scenario files.",
            ),
        )
    return tuple(names)


def read_scenarios(folder: Path | str, names: Iterable[str] | None = None) -> tuple[Scenario, ...]:
    """Return the scenarios named, in that order; all that are not ``abstract`` where None.

    Raises
    ------
    InputRefused
        With every fault of every file: unknown names and keys with the nearest known one, values
        out of bounds, cycles of ``extends``; each with file and line.
    """
    folder = Path(folder)
    reader = _Reader(folder, scenario_names(folder))
    scenarios = []
    for name in reader.known if names is None else tuple(names):
        scenario = reader.scenario(name, wanted=names is not None)
        if scenario is not None:
            scenarios.append(scenario)
    if reader.findings:
        raise InputRefused(tuple(dict.fromkeys(reader.findings)))
    return tuple(scenarios)


@dataclass(frozen=True, slots=True)
class _Layered(Document):
    """A document merged from several files; each key path knows its own."""

    files: Mapping[KeyPath, str]

    def where(self, path: KeyPath = ()) -> Where:
        while path and path not in self.lines:
            path = path[:-1]
        file = self.files.get(path, self.file) if path else self.file
        return Where(file=file, row=self.lines.get(path, 1), column=".".join(path))


class _Reader:
    def __init__(self, folder: Path, known: tuple[str, ...]) -> None:
        self.folder = folder
        self.known = known
        self.findings: list[Finding] = []
        self.documents: dict[str, Document | None] = {}

    def scenario(self, name: str, wanted: bool) -> Scenario | None:
        """Return a scenario; None where it is abstract or at fault (then found)."""
        document = self._merged(name, (), Where(id=name))
        if document is None:
            return None
        abstract = isinstance(document.data, Mapping) and document.data.get("abstract") is True
        try:
            scenario = validated(Scenario, document)
        except InputRefused as refused:
            # What an abstract file leaves open is for those that extend it.
            self.findings += [
                f for f in refused.findings if not (abstract and f.code == "key-missing")
            ]
            scenario = None
        if scenario is not None and scenario.name != name:
            self.findings.append(
                error(
                    "scenario-name",
                    document.where(("name",)),
                    (
                        f"name 写的是“{scenario.name}”,文件名是“{name}”。",
                        f"The name is {scenario.name!r}, the file's {name!r}.",
                    ),
                    ("两者须一致。", "They must be the same."),
                )
            )
        if abstract and wanted:
            self.findings.append(
                error(
                    "scenario-abstract",
                    document.where(("abstract",)),
                    (
                        f"情景“{name}”只供继承,不能运行。",
                        f"The scenario {name!r} is abstract: it is there to be extended.",
                    ),
                    ("请选择继承它的情景。", "Choose one that extends it."),
                )
            )
        return None if abstract else scenario

    def _document(self, name: str, where: Where) -> Document | None:
        if name in self.documents:
            return self.documents[name]
        document = None
        try:
            checked_name(name, where)
            if name not in self.known:
                near = nearest(name, self.known)
                listed = "、".join(self.known[:20]), ", ".join(self.known[:20])
                raise refusal(
                    "scenario-unknown",
                    where,
                    (f"没有名为“{name}”的情景。", f"There is no scenario {name!r}."),
                    (
                        f"是否为“{near}”?" if near else f"可用:{listed[0]}。",
                        f"Did you mean {near!r}?" if near else f"Known: {listed[1]}.",
                    ),
                )
            document = read_yaml(inside(self.folder, f"{name}.yaml"))
        except InputRefused as refused:
            self.findings += refused.findings
        self.documents[name] = document
        return document

    def _merged(self, name: str, chain: tuple[str, ...], where: Where) -> Document | None:
        """Return a file's document laid over that of the one it extends."""
        if name in chain:
            circle = " → ".join((*chain, name))
            self.findings.append(
                error(
                    "extends-cycle",
                    where,
                    (f"extends 形成循环:{circle}。", f"extends runs in a circle: {circle}."),
                    ("请断开循环。", "Break it."),
                )
            )
            return None
        document = self._document(name, where)
        if document is None or not isinstance(document.data, Mapping):
            return document
        base_name = document.data.get("extends")
        if not isinstance(base_name, str):
            return document
        base = self._merged(base_name, (*chain, name), document.where(("extends",)))
        if base is None or not isinstance(base.data, Mapping):
            return None
        return _overlaid(base, document)


def _overlaid(base: Document, change: Document) -> Document:
    """Return ``change`` over ``base``; places point to the file that wrote each key last."""
    kept = {k: v for k, v in base.data.items() if k not in _OWN}
    data = merged(kept, change.data)
    lines, raw = dict(change.lines), dict(change.raw)
    files: dict[KeyPath, str] = {path: change.file for path in change.lines}
    for path, line in base.lines.items():
        if path and path not in lines and path[0] not in _OWN and _written(data, path):
            lines[path] = line
            files[path] = base.where(path).file
            if path in base.raw:
                raw[path] = base.raw[path]
    return _Layered(change.file, data, lines, raw, files)


def _written(data: Any, path: KeyPath) -> bool:
    """Whether a path still leads to something in merged data."""
    for step in path:
        if isinstance(data, Mapping):
            found = next((k for k in data if str(k) == step), None)
            if found is None:
                return False
            data = data[found]
        elif isinstance(data, list):
            if not step.isdigit() or int(step) >= len(data):
                return False
            data = data[int(step)]
        else:
            return False
    return True
