"""The cases of a study: each read once, the faulty ones named, their bytes kept for the workers."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from allocator.case import Case
from allocator.design import Member
from allocator.errors import CheckFailed, InputRefused, Where
from allocator.io.case import read_case
from allocator.io.findings import error
from allocator.io.paths import digest_of, not_writable, write_bytes
from allocator.run import code_version, run_id
from allocator.study.work import packed_case

__all__ = ["PARENTS", "Cases", "Counties"]

PARENTS = ("follows", "looser")
"""What a member builds on, by the name it has in `Member`."""
Cases = Mapping[str, Case | Path]


class Counties:
    """Cases by name with their digests, keys and run ids; use it as a context.

    One case is held as it is. Of several, each is read once, when its runs get their ids; what
    workers need of it then lies in a hidden folder of the study until the runner ends. A case
    whose files are refused is in ``faults``; the one case of a study is refused at once.
    """

    MOST = 2
    """Cases held in memory at a time."""

    def __init__(self, cases: Cases, folder: Path) -> None:
        self.cases, self.folder = cases, folder
        self.held: dict[str, Case] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, InputRefused] = {}
        self._key_of: dict[str, str] = {}
        self._name_of: dict[str, str] = {}
        self._digest: dict[str, str] = {}
        self._spool: Path | None = None

    def __enter__(self) -> Counties:
        return self

    def __exit__(self, *_: object) -> None:
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)

    def key(self, name: str) -> str:
        """Return the key of a case: a digest of what it was read from."""
        return self._key_of[name]

    def packed(self, key: str) -> bytes | None:
        """Return the bytes of a case for `work`; None where the key is no case's.

        Raises
        ------
        CheckFailed
            When the bytes were changed since they were laid aside.
        """
        if key not in self._name_of:
            return None
        name = self._name_of[key]
        if key not in self._digest:
            return packed_case(self._get(name))
        assert self._spool is not None
        data = (self._spool / key).read_bytes()
        if digest_of(data) != self._digest[key]:
            raise CheckFailed(
                (
                    error(
                        "case-changed", Where(id=name),
                        ("研究进行中,该案例的暂存数据被改动。", "The data of this case were changed while the study ran."),
                        ("请重新运行该研究。", "Run the study again."),
                    ),
                )
            )  # fmt: skip
        return data

    def ids(self, members: Sequence[Member]) -> tuple[str, ...]:
        """Return the run id of each member; a member of a faulty case gets one from its faults.

        Raises
        ------
        InputRefused
            When the only case of the study is faulty.
        """
        named = {(m.case, m.name): m for m in members}
        found: dict[tuple[str, str], str] = {}
        for key in named:
            waiting = [key]
            while waiting:
                m = named[waiting[-1]]
                parents = {k: (m.case, getattr(m, k)) for k in PARENTS if getattr(m, k)}
                missing = [p for p in parents.values() if p not in found]
                waiting += missing
                if not missing:
                    known = {k: found[p] for k, p in parents.items()}
                    found[waiting.pop()] = self._id(m, known)
        return tuple(found[m.case, m.name] for m in members)

    def _id(self, member: Member, parents: Mapping[str, str]) -> str:
        if self._is_read(member.case):
            return run_id(self._get(member.case), member.scenario, **parents)
        faults = [f.as_dict() for f in self.faults[member.case].findings]
        text = json.dumps(
            [member.case, member.scenario.digest, code_version(), faults], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _is_read(self, name: str) -> bool:
        """Read a case the first time it is asked for; say whether its files were accepted."""
        if name in self.facts:
            return name not in self.faults
        try:
            case = self._get(name)
        except InputRefused as fault:
            if len(self.cases) == 1:
                raise
            self.faults[name] = fault
            self.facts[name] = {"id": "", "title": {"zh": name, "en": name}, "digests": {}, "catalogue": "", "is_faulty": True}  # fmt: skip
            return False
        self.facts[name] = {
            "id": case.id,
            "title": {"zh": case.region.title.zh, "en": case.region.title.en},
            "digests": dict(sorted(case.digests.items())),
            "catalogue": case.catalogue.version,
        }
        text = json.dumps([name, self.facts[name]], sort_keys=True)
        key = "case-" + hashlib.sha256(text.encode()).hexdigest()[:16]
        self._key_of[name], self._name_of[key] = key, name
        if len(self.cases) > self.MOST and not isinstance(self.cases[name], Case):
            self._lay_aside(key, packed_case(case))
        return True

    def _get(self, name: str) -> Case:
        given = self.cases[name]
        if isinstance(given, Case):
            return given
        case = self.held.pop(name) if name in self.held else read_case(given)
        self.held[name] = case
        while len(self.held) > self.MOST:
            del self.held[next(iter(self.held))]
        return case

    def _lay_aside(self, key: str, data: bytes) -> None:
        """Keep the bytes of a case in a folder that the next runner clears where this one dies."""
        try:
            if self._spool is None:
                self._spool = Path(tempfile.mkdtemp(dir=self.folder, prefix=".part-cases-"))
        except OSError as problem:
            raise not_writable(self.folder, problem) from problem
        write_bytes(self._spool / key, data)
        self._digest[key] = digest_of(data)
