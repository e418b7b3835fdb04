"""What a worker does: an order in, the bytes of a run or the reason of its failure out.

A worker needs nothing but this package: case and followed plan come with the order where the worker
does not hold them yet, and what it makes goes back as bytes. So workers may stand in other folders
and on other machines, and only the runner writes.
"""

from __future__ import annotations

import pickle
import threading
import time
import traceback
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from allocator.case import Case
from allocator.errors import (
    AllocatorError,
    CheckFailed,
    InputRefused,
    LimitReached,
    NoPlanExists,
    _WithFindings,
)
from allocator.io.paths import without_folders
from allocator.io.runs import run_files, run_of_files
from allocator.plan import Status
from allocator.run import Run, Shared, code_version, run
from allocator.scenario import Scenario
from allocator.study.parts import part_bytes

__all__ = ["Order", "Outcome", "packed_case", "packed_run", "work"]

MOST_KEPT = 4
"""Cases and followed runs that a worker keeps at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run to be done.

    ``case``, ``follow`` and ``looser`` are keys of what goes with the order: `work` is handed their bytes, or
    holds them from an earlier order. A run that others build on (``is_parent``) is held by its worker.
    """

    run: str
    name: str
    scenario: Scenario
    case: str
    follow: str = ""
    looser: str = ""
    code: str = ""
    keep_run: bool = True
    is_parent: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what the order needs."""
        return tuple(k for k in (self.case, self.follow, self.looser) if k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an order: files and part, or a failure, or what the worker lacks."""

    run: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    part: bytes = b""
    seconds: float = 0.0
    kind: str = ""
    reason: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()
    lacks: tuple[str, ...] = ()


class _Kept(threading.local):
    """What this thread of this worker holds, by key, the last used last."""

    def __init__(self) -> None:
        self.things: dict[str, Any] = {}


_KEPT = _Kept()


def packed_case(case: Case) -> bytes:
    """Return a case as bytes for `work`, packed lightly: they cross networks and wait on disks."""
    return zlib.compress(pickle.dumps(case, protocol=pickle.HIGHEST_PROTOCOL), 1)


def packed_run(files: Mapping[str, bytes]) -> bytes:
    """Return the files of a run to follow as bytes for `work`."""
    return pickle.dumps(dict(files), protocol=pickle.HIGHEST_PROTOCOL)


def work(order: Order, packed: Mapping[str, bytes]) -> Outcome:
    """Do an order; never raises for what a scenario, a case or a solver can do wrong."""
    begun = time.perf_counter()
    if order.code != code_version():
        reason = f"the worker has version {code_version()} of the program, not {order.code}"
        return Outcome(run=order.run, kind="worker", reason=reason)
    lacks = tuple(k for k in order.needs if k not in _KEPT.things and k not in packed)
    if lacks:
        return Outcome(run=order.run, lacks=lacks)
    try:
        case, shared = _held(order.case, packed, _unpacked_case)
        follow, looser = (
            _held(key, packed, _unpacked_run) if key else None
            for key in (order.follow, order.looser)
        )
        made = run(case, order.scenario, shared=shared, follow=follow, looser=looser)
        if made.plan.status is Status.INTERRUPTED:
            raise KeyboardInterrupt  # of a study no half-made plan is kept: it is done again
        files = run_files(made) if order.keep_run else {}
        if order.is_parent:
            _keep(order.run, made)
        seconds = time.perf_counter() - begun
        return Outcome(run=order.run, files=files, part=part_bytes(made), seconds=seconds)
    except AllocatorError as problem:
        found = problem.findings if isinstance(problem, _WithFindings) else ()
        findings = tuple(f.as_dict() for f in found)
        return Outcome(
            run=order.run, kind=_kind(problem), reason=without_folders(str(problem)), findings=findings,
            seconds=time.perf_counter() - begun,
        )  # fmt: skip
    except Exception as problem:  # a bug of ours or of a solver: this run fails, the rest go on
        return Outcome(run=order.run, kind="bug", reason=_told(problem))


def _held(key: str, packed: Mapping[str, bytes], unpack: Any) -> Any:
    things = _KEPT.things
    value = things.pop(key) if key in things else unpack(packed[key])
    _keep(key, value)
    return value


def _keep(key: str, value: Any) -> None:
    """Hold a thing for the orders to come: the next point of a frontier builds on the run before."""
    things = _KEPT.things
    things[key] = value
    while len(things) > MOST_KEPT:
        del things[next(iter(things))]


def _unpacked_case(data: bytes) -> tuple[Case, Shared]:
    return pickle.loads(zlib.decompress(data)), Shared()


def _unpacked_run(data: bytes) -> Run:
    return run_of_files(pickle.loads(data))


def _kind(problem: AllocatorError) -> str:
    kinds = ((InputRefused, "refused"), (NoPlanExists, "no-plan"), (CheckFailed, "check"), (LimitReached, "limit"))  # fmt: skip
    return next((name for kind, name in kinds if isinstance(problem, kind)), "bug")


def _told(problem: Exception) -> str:
    """Return an exception in a line, with the place in the code and no path of the machine."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    said = without_folders(f"{type(problem).__name__}: {problem}")
    return f"{said} ({PurePath(last.filename).name}:{last.lineno})"
