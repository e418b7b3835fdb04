"""The folder of a study: what is done, whole or absent, whoever was killed when.

::

    study.json                     the definition, and every run with its settings and id
    <scenario>-<id>/               a run folder (`io.runs`), unless only parts are kept
    parts/<id>-<digest>.parquet    the part of a run (`parts`)
    failed/<id>.json               why a run has no plan
    .claims/                       which runner does what, while it lives
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocator.errors import Text, Where
from allocator.io.findings import refusal
from allocator.io.paths import digest_of, not_writable, read_bytes, write_bytes
from allocator.io.runs import is_whole, read_run, write_run_files
from allocator.io.values import json_bytes
from allocator.study.parts import part_bytes, part_name

__all__ = ["FORMAT", "Failure", "Store", "changes_since", "part_holds", "read_definition"]

FORMAT = 1
DEFINITION = "study.json"
LASTING = ("refused", "no-plan", "check", "limit")
"""Failures that the same code and inputs would give again, so they are not tried again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that gave no plan, and why.

    ``case`` is blank in a study of one case. ``kind`` is ``refused``, ``no-plan``, ``check``, ``limit``, ``worker`` (it died) or ``bug``.
    """

    scenario: str
    reason: str
    kind: str = "bug"
    run: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()
    case: str = ""


class Store:
    """A study's folder.

    Parameters
    ----------
    keep_runs
        Whether whole run folders are kept, or parts alone.
    keep_parts
        Whether parts are kept beside run folders: not for a handful of runs that are read whole.
    """

    def __init__(self, folder: Path, keep_runs: bool = True, keep_parts: bool = True) -> None:
        self.folder = folder
        self.keep_runs, self.keep_parts = keep_runs, keep_parts
        self._runs: dict[str, Path] = {}
        self._parts: dict[str, Path] = {}
        self.scan()

    def scan(self) -> None:
        """Look again at what is there."""
        self._runs = {
            p.name.rsplit("-", 1)[-1]: p
            for p in sorted(self.folder.glob("*-*"))
            if not p.name.startswith(".") and (p / "manifest.json").is_file()
        }
        self._parts = {
            p.name.split("-")[0]: p for p in sorted((self.folder / "parts").glob("*-*.parquet"))
        }

    def run_path(self, run_id: str) -> Path | None:
        """Return the folder of a run, None where there is none."""
        return self._runs.get(run_id)

    def part_path(self, run_id: str) -> Path | None:
        """Return the part of a run, None where there is none."""
        return self._parts.get(run_id)

    def is_done(self, run_id: str) -> bool:
        """Whether a run is stored whole; a part that lacks is made again from the run."""
        run, part = self.run_path(run_id), self.part_path(run_id)
        if self.keep_runs and (run is None or not is_whole(run)):
            return False
        if not self.keep_parts or (part is not None and part_holds(part)):
            return True
        if run is None or not is_whole(run):
            return False
        self._put_part(run_id, part_bytes(read_run(run)))
        return True

    def find(self, run_id: str, name: str) -> bool:
        """Whether a run is stored by now, also by another runner."""
        path = self.folder / f"{name}-{run_id}"
        if run_id not in self._runs and (path / "manifest.json").is_file():
            self._runs[run_id] = path
        if run_id not in self._parts:
            for part in (self.folder / "parts").glob(f"{run_id}-*.parquet"):
                self._parts[run_id] = part
        return self.is_done(run_id)

    def failure(self, run_id: str) -> Failure | None:
        """Return the lasting failure of a run, None where there is none or it may be tried again."""
        failed = self.recorded_failure(run_id)
        return failed if failed is not None and failed.kind in LASTING else None

    def recorded_failure(self, run_id: str) -> Failure | None:
        """Return the failure of a run that is on record, None where there is none."""
        path = self.folder / "failed" / f"{run_id}.json"
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_bytes())
            return Failure(
                data["scenario"], data["reason"], data["kind"], data["run"], tuple(data["findings"]),
                data.get("case", ""),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, run_id: str, name: str, files: Mapping[str, bytes], part: bytes) -> None:
        """Store a run: its folder, then its part; each appears whole."""
        if self.keep_runs:
            old = self._runs.get(run_id)
            self._runs[run_id] = write_run_files(old or self.folder / f"{name}-{run_id}", files)
        if self.keep_parts:
            self._put_part(run_id, part)
        _remove(self.folder / "failed" / f"{run_id}.json")

    def put_failure(self, failure: Failure) -> None:
        """Record why a run has no plan."""
        data = {
            "run": failure.run,
            "scenario": failure.scenario,
            "kind": failure.kind,
            "reason": failure.reason,
            "findings": list(failure.findings),
            **({"case": failure.case} if failure.case else {}),
        }
        write_bytes(self.folder / "failed" / f"{failure.run}.json", json_bytes(data))

    def write_definition(self, data: Mapping[str, Any]) -> None:
        """Write ``study.json``."""
        write_bytes(self.folder / DEFINITION, json_bytes({"format": FORMAT, **data}))

    def definition(self) -> dict[str, Any] | None:
        """Return what ``study.json`` says, None where there is none yet."""
        if not (self.folder / DEFINITION).is_file():
            return None
        return read_definition(self.folder)

    def clear_halves(self) -> None:
        """Remove what killed runners left half written; only where no other runner lives."""
        for left in self.folder.glob(".part-*"):
            shutil.rmtree(left, ignore_errors=True)
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
        for room in ("parts", "failed"):
            for left in (self.folder / room).glob(".part-*"):
                left.unlink(missing_ok=True)
        for left in (self.folder / ".claims").glob("*.old"):
            left.unlink(missing_ok=True)

    def _put_part(self, run_id: str, data: bytes) -> None:
        path = self.folder / "parts" / part_name(run_id, data)
        old = self._parts.get(run_id)
        self._parts[run_id] = write_bytes(path, data)
        if old is not None and old != path:
            _remove(old)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise not_writable(path, problem) from problem


def part_holds(path: Path) -> bool:
    """Whether a part has the digest in its name."""
    try:
        return (
            path.name.removesuffix(".parquet").split("-")[-1] == digest_of(path.read_bytes())[:16]
        )
    except OSError:
        return False


def read_definition(folder: Path) -> dict[str, Any]:
    """Return what a study's ``study.json`` says.

    Raises
    ------
    InputRefused
        When it is not there, cut, or of a newer format.
    """
    where = Where(file=f"{folder.name}/{DEFINITION}")
    try:
        data = json.loads(read_bytes(folder / DEFINITION, name=where.file))
        newer = int(data["format"]) > FORMAT
        whole = isinstance(data["runs"], list)
    except (ValueError, KeyError, TypeError) as problem:
        raise refusal(
            "study-changed", where,
            ("研究的登记文件被改动或截断。", "The study's own record was changed or cut."),
            ("请重新运行该研究:已完成的运行会保留。", "Run the study again: finished runs are kept."),
        ) from problem  # fmt: skip
    if newer or not whole:
        raise refusal(
            "study-newer-format", where,
            ("该研究由更新版本的软件写成。", "The study was written by a newer version."),
            ("请升级本软件。", "Use a newer version of this program."),
        )  # fmt: skip
    found: dict[str, Any] = data
    return found


def changes_since(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Text]:
    """Say why runs of an earlier definition are done anew: name to input, scenario or code.

    Compares runs of one name, in one case, whose ids differ.
    """
    before = {(r["case"], r["name"]): r for r in old["runs"]}
    found: dict[str, Text] = {}
    for r in new["runs"]:
        was = before.get((r["case"], r["name"]))
        if was is None or was["id"] == r["id"]:
            continue
        reasons = _input_changes(old["cases"].get(r["case"], {}), new["cases"][r["case"]])
        name = f"{r['case']}: {r['name']}" if r["case"] else r["name"]
        if old["code"] != new["code"]:
            both = f"{old['code']} -> {new['code']}"
            reasons.append(Text(f"程序 {both}", f"code {both}"))
        if was["scenario"] != r["scenario"]:
            reasons.append(Text("情景", "scenario"))
        if any(was.get(k) != r[k] for k in ("follows", "looser")) and not reasons:
            reasons.append(Text("所依据的运行", "the run it builds on"))
        reasons = reasons or [Text("已变化", "changed")]
        found[name] = Text("、".join(x.zh for x in reasons), ", ".join(x.en for x in reasons))
    return found


def _input_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Text]:
    if old.get("is_faulty") or new.get("is_faulty"):
        return [Text("输入 案例文件原有错误或现有错误", "input: files that were or are faulty")]
    was, now = old.get("digests", {}), new.get("digests", {})
    names = [n for n in sorted({*was, *now}) if was.get(n) != now.get(n)]
    found = [Text(f"输入 {'、'.join(names)}", f"input {', '.join(names)}")] if names else []
    if old.get("catalogue") != new.get("catalogue"):
        found.append(Text("输入 标准目录", "input catalogue"))
    return found
