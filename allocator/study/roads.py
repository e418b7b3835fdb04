"""Three ways to have orders done: here, in processes of this machine, on a cluster.

Each takes orders one by one, so that few wait at a time, and yields outcomes as they end. None
instead of an order says that one of those in hand must end first. A worker
that dies takes nothing with it: its orders are done again, and only an order that killed
`MOST_DEATHS` workers is given up. A process that dies breaks off the orders beside it too; those
are then done one at a time, so that only the one that dies again is held to have killed it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from allocator.errors import StudyIncomplete, Text, Where
from allocator.io.findings import error, refusal
from allocator.study.work import Order, Outcome, work

__all__ = ["Roads", "has_dask", "here", "in_cluster", "in_processes"]

MOST_DEATHS = 4
PATIENCE_SECONDS = 300.0
"""How long a cluster may be without any worker."""

Pack = Callable[[str], bytes]
Orders = Iterator[Order | None]
Roads = Callable[[Orders, Pack], Iterator[Outcome]]


def has_dask() -> bool:
    """Whether `in_cluster` can be taken: the extra ``batch`` is installed."""
    from importlib.util import find_spec

    return find_spec("distributed") is not None


def here(orders: Orders, pack: Pack) -> Iterator[Outcome]:
    """Do orders one after another in this process."""
    for order in filter(None, orders):
        outcome = work(order, {})
        if outcome.lacks:
            outcome = work(order, {k: pack(k) for k in outcome.lacks})
        yield outcome


def in_processes(orders: Orders, pack: Pack, workers: int) -> Iterator[Outcome]:
    """Do orders in processes of this machine."""
    ready = _Again(orders)
    while ready.suspects or not ready.at_end:
        wide = 1 if ready.suspects else workers
        with ProcessPoolExecutor(wide, mp_context=get_context("spawn")) as pool:
            yield from _by_pool(pool, ready, pack, wide)


class _Again:
    """Orders, and before them those to be done again."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.again: list[tuple[Order, Mapping[str, bytes]]] = []
        self.suspects: list[tuple[Order, Mapping[str, bytes]]] = []
        self.deaths: dict[str, int] = {}
        self.at_end = False

    def next(self) -> tuple[Order, Mapping[str, bytes]] | None:
        if self.again:
            return self.again.pop(0)
        try:
            order = next(self.orders)
        except StopIteration:
            self.at_end = True
            return None
        return None if order is None else (order, {})

    def died(self, order: Order, *, alone: bool = False) -> Outcome | None:
        """Put an order whose worker died back; an outcome where it has killed too many."""
        self.at_end = False
        self.deaths[order.run] = self.deaths.get(order.run, 0) + 1
        if self.deaths[order.run] < MOST_DEATHS:
            (self.suspects if alone else self.again).append((order, {}))
            return None
        reason = f"{MOST_DEATHS} workers died over this run (out of memory, or killed)"
        return Outcome(run=order.run, kind="worker", reason=reason)


def _by_pool(
    pool: ProcessPoolExecutor, ready: _Again, pack: Pack, workers: int
) -> Iterator[Outcome]:
    """Do orders until there are none or the pool breaks; suspects, where there are any, one by one."""
    going: dict[Future[Outcome], Order] = {}
    alone, broken = bool(ready.suspects), False
    put_back = ready.suspects if alone else ready.again
    while True:
        while not broken and len(going) < (1 if alone else 2 * workers):
            given = (put_back.pop(0) if put_back else None) if alone else ready.next()
            if given is None:
                break
            try:
                going[pool.submit(work, *given)] = given[0]
            except BrokenProcessPool:
                put_back.insert(0, given)
                broken = True
        if not going:
            return
        done, _ = wait(going, return_when=FIRST_COMPLETED)
        for future in done:
            order = going.pop(future)
            outcome: Outcome | None = None
            try:
                outcome = future.result()
            except BrokenProcessPool:
                broken = True
                if alone:
                    outcome = ready.died(order, alone=True)
                else:
                    ready.suspects.append((order, {}))
            if outcome is not None and outcome.lacks:
                put_back.append((order, {k: pack(k) for k in order.needs}))
            elif outcome is not None:
                yield outcome


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A client of a scheduler, and how many runs it can do at a time."""

    client: Any
    local: Any

    def slots(self) -> int:
        """Return how many runs can go at a time; 0 while the scheduler does not answer."""
        try:
            return sum(self.client.ncores().values())
        except (OSError, TimeoutError):  # it ended between two questions
            return 0


def in_cluster(
    orders: Orders,
    pack: Pack,
    *,
    workers: int = 2,
    scheduler: str = "",
    scheduler_file: str = "",
    memory: str = "auto",
) -> Iterator[Outcome]:
    """Do orders by ``dask.distributed``: on a scheduler, else on workers started on this machine.

    Parameters
    ----------
    workers
        Processes started where no scheduler is named.
    scheduler, scheduler_file
        Address of a running scheduler, or the file that it wrote.
    memory
        Memory a started worker may use, such as ``2GiB``; it is started again beyond.

    Raises
    ------
    InputRefused
        When the scheduler does not answer.
    StudyIncomplete
        When the scheduler is lost on the way; what was stored stays.
    """
    with _cluster(workers, scheduler, scheduler_file, memory) as cluster:
        ready = _Again(orders)
        going: dict[Any, Order] = {}
        heard = time.monotonic()
        while True:
            slots = cluster.slots() if cluster.client.status == "running" else 0
            if slots:
                heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE_SECONDS:
                raise _lost(f"no worker for {PATIENCE_SECONDS:.0f} seconds", len(going))
            while len(going) < 2 * max(slots, 1):
                given = ready.next()
                if given is None:
                    break
                going[cluster.client.submit(work, *given, pure=False)] = given[0]
            if not going:
                return
            for future in _ended(cluster, going):
                order = going.pop(future)
                outcome = _taken(future, order, ready)
                if outcome is not None and outcome.lacks:
                    ready.again.append((order, {k: pack(k) for k in order.needs}))
                elif outcome is not None:
                    yield outcome


@contextlib.contextmanager
def _cluster(workers: int, scheduler: str, scheduler_file: str, memory: str) -> Iterator[_Cluster]:
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": MOST_DEATHS,
        "distributed.comm.timeouts.connect": "10s",
        "distributed.comm.retry.count": 0,
        # Runs take seconds, so nothing need be looked at fifty times a second.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.worker.memory.monitor-interval": "500ms",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler or scheduler_file:
            local = None
            try:
                client = Client(
                    **({"address": scheduler} if scheduler else {"scheduler_file": scheduler_file}),
                    timeout="10s", set_as_default=False,
                )  # fmt: skip
            except (OSError, TimeoutError, ValueError) as problem:
                raise _silent(scheduler or os.path.basename(scheduler_file)) from problem
        else:
            local = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, memory_limit=memory,
                    dashboard_address="127.0.0.1:0", host="127.0.0.1", silence_logs=logging.CRITICAL,
                )
            )  # fmt: skip
            client = Client(local, set_as_default=False)
        try:
            yield _Cluster(client, local)
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                client.close(timeout=2)


def _ended(cluster: _Cluster, going: Mapping[Any, Order]) -> list[Any]:
    """Return futures that have ended, waiting for one at most a second."""
    from distributed import wait as wait_for
    from distributed.client import FuturesCancelledError

    with contextlib.suppress(TimeoutError, FuturesCancelledError), cluster.client.as_current():
        wait_for(list(going), timeout=1.0, return_when="FIRST_COMPLETED")
    if cluster.client.status != "running":
        raise _lost("the scheduler is gone", len(going))
    return [f for f in list(going) if f.status != "pending"]


def _taken(future: Any, order: Order, ready: _Again) -> Outcome | None:
    """Return the outcome of a future that ended; None where the order is to be done again."""
    from distributed import KilledWorker

    if future.status in ("cancelled", "lost"):
        ready.at_end = False
        ready.again.append((order, {}))
        return None
    try:
        outcome: Outcome = future.result(timeout=60)
    except KilledWorker:
        return ready.died(order)
    except ModuleNotFoundError as problem:
        raise refusal(
            "worker-without-program", Where(id=str(problem.name)),
            ("计算节点上没有安装本软件或其依赖。", "A worker lacks this program or a package of it."),
            ("请在每个计算节点安装相同版本的 service-allocator[batch]。", "Install the same version of service-allocator[batch] on every worker."),
        ) from problem  # fmt: skip
    except (OSError, TimeoutError):
        return ready.died(order)
    finally:
        future.release()
    return outcome


def _silent(address: str) -> Exception:
    return refusal(
        "scheduler-silent", Where(id=address),
        ("调度器没有应答。", "The scheduler does not answer."),
        ("请核对地址,并确认调度器(dask scheduler)在运行。", "Check the address, and that a scheduler (dask scheduler) runs there."),
    )  # fmt: skip


def _lost(why: str, left: int) -> StudyIncomplete:
    words = Text(f"与调度器的连接中断({why})。", f"The cluster was lost: {why}.")
    return StudyIncomplete(
        (
            error(
                "cluster-lost", Where(), (words.zh, words.en),
                ("已完成的运行均已保存;恢复后用同一命令继续。", "Finished runs are stored; give the same command again to go on."),
            ),
        )
    )  # fmt: skip
