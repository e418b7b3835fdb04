"""Carrying a study out: what is stored is kept, what lacks is done, what fails is named."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from allocator.design import Member, Study
from allocator.errors import Text, Where
from allocator.io.findings import refusal
from allocator.io.paths import not_writable, read_bytes, without_folders
from allocator.io.runs import MANIFEST, read_manifest
from allocator.run import code_version
from allocator.study.claims import Claims
from allocator.study.counties import PARENTS, Cases, Counties
from allocator.study.roads import Roads, has_dask, here, in_cluster, in_processes
from allocator.study.store import Failure, Store, changes_since
from allocator.study.work import Order, Outcome, packed_run

__all__ = ["Done", "Progress", "carry_out", "road_of"]

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is. ``left_seconds`` is an estimate from the runs done so far; None before."""

    name: str
    done: int
    total: int
    kept: int
    failed: int
    elapsed_seconds: float
    left_seconds: float | None


@dataclass(frozen=True, slots=True)
class Done:
    """What a study came to.

    ``kept`` runs were stored before; ``changes`` says why runs of an earlier definition were done
    anew; ``seconds`` is the sum of the runs' own time.
    """

    folder: Path
    members: tuple[Member, ...]
    ids: tuple[str, ...]
    failures: tuple[Failure, ...]
    kept: int
    changes: Mapping[str, Text]
    seconds: float


def road_of(
    workers: int = 2,
    *,
    scheduler: str = "",
    scheduler_file: str = "",
    memory: str = "auto",
    road: str = "auto",
) -> tuple[Roads, Text]:
    """Return the way runs are done, and what to say of it.

    Parameters
    ----------
    road
        ``auto``: a scheduler where one is named, else workers started by ``dask.distributed``,
        else (without the extra ``batch``) processes; with one worker, this process.
        ``here``, ``processes`` and ``cluster`` ask for one.

    Raises
    ------
    InputRefused
        When a cluster is asked for and the extra ``batch`` is not installed.
    """
    wants_cluster = bool(scheduler or scheduler_file) or road == "cluster"
    if wants_cluster and not has_dask():
        raise refusal(
            "batch-not-installed", Where(id="batch"),
            ("未安装 dask.distributed,不能使用计算集群。", "dask.distributed is not installed, so no cluster can be used."),
            ("请安装 service-allocator[batch],或不指定调度器。", "Install service-allocator[batch], or name no scheduler."),
        )  # fmt: skip
    if road == "here" or (road == "auto" and workers <= 1 and not wants_cluster):
        return here, Text(
            "在本进程内依次计算。", "Runs are done one after another in this process."
        )
    if not wants_cluster and (road == "processes" or not has_dask()):
        missing = road != "processes"
        return partial(in_processes, workers=workers), Text(
            f"在本机 {workers} 个进程中计算" + ("(未安装 dask.distributed;安装 service-allocator[batch] 后可用集群)。" if missing else "。"),
            f"Runs are done in {workers} processes of this machine" + ("; dask.distributed is not installed (service-allocator[batch] adds clusters)." if missing else "."),
        )  # fmt: skip
    cluster = partial(
        in_cluster, workers=workers, scheduler=scheduler, scheduler_file=scheduler_file,
        memory=memory,
    )  # fmt: skip
    if scheduler or scheduler_file:
        return cluster, Text("由已有的调度器分配计算。", "Runs are done by the scheduler named.")
    return cluster, Text(
        f"由本机 {workers} 个工作进程计算(dask.distributed)。",
        f"Runs are done by {workers} workers on this machine (dask.distributed).",
    )


def carry_out(
    study: Study | None,
    members: Sequence[Member],
    cases: Cases,
    folder: Path,
    *,
    road: Roads = here,
    keep_runs: bool = True,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Done:
    """Run the members of a study into a folder; see `run_study`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise not_writable(folder, problem) from problem
    store = Store(folder, keep_runs, keep_parts=study is not None)
    changes: dict[str, Text] = {}
    with Claims(folder) as claims, Counties(cases, folder) as keys:
        if not claims.others():
            store.clear_halves()
        ids = keys.ids(members)
        if study is not None:
            definition = _definition(study, members, ids, keys, keep_runs)
            old = store.definition()
            changes = changes_since(old, definition) if old is not None else {}
            store.write_definition(definition)
        batch = _Batch(members, ids, keys, store, claims, progress, retry_failed)
        batch.carry_out(road)
    failed = tuple(batch.failures[i] for i in dict.fromkeys(ids) if i in batch.failures)
    return Done(folder, tuple(members), ids, failed, batch.kept, changes, batch.seconds)


class _Batch:
    """One carrying out: what is still to be done, and by whom."""

    def __init__(
        self,
        members: Sequence[Member],
        ids: Sequence[str],
        keys: Counties,
        store: Store,
        claims: Claims,
        progress: Callable[[Progress], None] | None,
        retry_failed: bool,
    ) -> None:
        self.keys, self.store, self.claims = keys, store, claims
        self.say = progress or (lambda _: None)
        self.retry_failed = retry_failed
        self.member: dict[str, Member] = {}
        self.parents_of: dict[str, dict[str, str]] = {}
        by_name = {(m.case, m.name): i for m, i in zip(members, ids, strict=True)}
        for m, i in zip(members, ids, strict=True):
            self.member.setdefault(i, m)
            known = {k: by_name[m.case, getattr(m, k)] for k in PARENTS if getattr(m, k)}
            self.parents_of.setdefault(i, known)
        self.parents = {p for known in self.parents_of.values() for p in known.values()}
        self.failures: dict[str, Failure] = {}
        self.done: set[str] = set()
        self.kept = self.paced_from = 0
        self.seconds = 0.0
        self.begun = time.monotonic()
        self.first = 0.0
        self.order_of: dict[str, Order] = {}

    def carry_out(self, road: Roads) -> None:
        for run in self.member:
            known = None if self.retry_failed else self.store.failure(run)
            if self._is_done(run):
                self._count(run)
            elif known is not None:
                self.failures[run] = known
        self.kept = len(self.done) + len(self.failures)
        self._tell("")
        self._give_up_faulty()
        self.paced_from = len(self.done) + len(self.failures)
        self.begun = time.monotonic()
        self._through(road, self._left())

    def _give_up_faulty(self) -> None:
        """Record the runs of cases whose files are faulty; the other cases go on."""
        for run in self._left():
            member = self.member[run]
            fault = self.keys.faults.get(member.case)
            if fault is not None:
                findings = tuple(f.as_dict() for f in fault.findings)
                reason = without_folders(str(fault))
                self._fail(Failure(member.name, reason, "refused", run, findings, member.case))

    def _through(self, road: Roads, todo: list[str]) -> None:
        """Do runs; those that another runner has claimed are waited for, or taken over."""
        while todo:
            elsewhere: list[str] = []
            for outcome in road(self._orders(todo, elsewhere), self._pack):
                self._take(outcome)
            left = set(self._left())
            todo = [i for i in elsewhere if i in left]
            if todo:
                time.sleep(POLL_SECONDS)

    def _orders(self, todo: Sequence[str], elsewhere: list[str]) -> Iterator[Order | None]:
        """Yield orders as soon as the runs they build on are done; None where one must end first."""
        waiting, passed = deque(todo), 0
        while waiting:
            run = waiting.popleft()
            member = self.member[run]
            if not self._is_ready(run):
                waiting.append(run)
                passed += 1
                if passed < len(waiting):
                    continue
                if not self.order_of:  # what they wait for is done by another runner
                    elsewhere += waiting
                    return
                passed = 0
                yield None
                continue
            passed = 0
            if not self.claims.take(run):
                elsewhere.append(run)
                continue
            if self._found_by_now(run):
                self.claims.release(run)
                continue
            follow, looser = (self.parents_of[run].get(k, "") for k in PARENTS)
            if follow in self.failures:
                self._fail(Failure(member.name, f"there is no plan to follow: {member.follows}", "no-plan", run, case=member.case))  # fmt: skip
                continue
            if looser in self.failures:
                reason = f"with looser limits there is none: {member.looser}"
                self._fail(
                    Failure(member.name, reason, self.failures[looser].kind, run, case=member.case)
                )
                continue
            order = Order(
                run=run, name=member.name, scenario=member.scenario, case=self.keys.key(member.case),
                follow=follow, looser=looser, code=code_version(),
                keep_run=self.store.keep_runs or run in self.parents, is_parent=run in self.parents,
            )  # fmt: skip
            self.order_of[run] = order
            yield order

    def _is_ready(self, run: str) -> bool:
        return all(p in self.done or p in self.failures for p in self.parents_of[run].values())

    def _found_by_now(self, run: str) -> bool:
        """Whether another runner has done the run since we looked."""
        if self.store.find(run, self.member[run].name) and self._is_done(run):
            self._count(run)
            self._tell(self.member[run].name)
            return True
        known = None if self.retry_failed else self.store.failure(run)
        if known is not None:
            self.failures[run] = known
            self._tell(known.scenario)
        return known is not None

    def _is_done(self, run: str) -> bool:
        if run in self.parents and not self.store.keep_runs:
            return self.store.is_done(run) and self.store.run_path(run) is not None
        return self.store.is_done(run)

    def _take(self, outcome: Outcome) -> None:
        order = self.order_of.pop(outcome.run)
        self.seconds += outcome.seconds
        if outcome.kind:
            self._fail(
                Failure(
                    order.name,
                    outcome.reason,
                    outcome.kind,
                    order.run,
                    outcome.findings,
                    self.member[order.run].case,
                )
            )
            return
        self.store.put(order.run, order.name, outcome.files, outcome.part)
        self.claims.release(order.run)
        self._count(order.run)
        self._tell(order.name)

    def _fail(self, failure: Failure) -> None:
        self.store.put_failure(failure)
        self.claims.release(failure.run)
        self.failures[failure.run] = failure
        self._tell(failure.scenario)

    def _count(self, run: str) -> None:
        self.done.add(run)
        self.failures.pop(run, None)

    def _left(self) -> list[str]:
        return [i for i in self.member if i not in self.done and i not in self.failures]

    def _tell(self, name: str) -> None:
        ended, total = len(self.done) + len(self.failures), len(self.member)
        spent = time.monotonic() - self.begun
        here = ended - self.paced_from
        if here == 1:
            self.first = spent
        # Starting workers and reading their libraries is in the first run's time, not in the pace.
        pace = (spent - self.first) / (here - 1) if here > 1 else spent
        left = pace * (total - ended) if here > 0 else None
        self.say(Progress(name, ended, total, self.kept, len(self.failures), spent, left))

    def _pack(self, key: str) -> bytes:
        case = self.keys.packed(key)
        if case is not None:
            return case
        path = self.store.run_path(key)
        assert path is not None, "a run to follow is stored before those that follow it"
        names = [*read_manifest(path)["files"], MANIFEST]
        return packed_run({n: read_bytes(path / n, 4 << 30) for n in names})


def _definition(
    study: Study, members: Sequence[Member], ids: Sequence[str], keys: Counties, keep_runs: bool
) -> dict[str, Any]:
    by_name = {(m.case, m.name): i for m, i in zip(members, ids, strict=True)}
    return {
        "study": study.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "code": code_version(),
        "keep": "runs" if keep_runs else "parts",
        "cases": keys.facts,
        "runs": [
            {
                "name": m.name, "case": m.case, "id": i, "role": m.role,
                "scenario": m.scenario.digest, "settings": dict(m.settings),
                **{k: by_name.get((m.case, getattr(m, k)), "") for k in PARENTS},
            }
            for m, i in zip(members, ids, strict=True)
        ],
    }  # fmt: skip
