"""Work on patients, one after the other or several at a time.

Whatever goes wrong with one patient is that patient's outcome and stops no other. A process that
works for another one ends with it, however that ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from pelvimets.io.outcome import Outcome, fault_of, outcome_of

__all__ = ["Cluster", "Jobs", "Outcome", "beside", "each", "fault_of"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_DIED = "The worker process died, most likely for lack of memory. Use fewer --jobs."


@dataclass(frozen=True)
class Cluster:
    """The scheduler of a cluster, as ``tcp://HOST:PORT``; see ``io.cluster``."""

    address: str


Jobs = int | Cluster
"""How many patients at a time on this machine, or the cluster that has them."""


def each(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: Jobs
) -> Iterator[Outcome[Item, Result]]:
    """The outcome of each item, in the order in which they end.

    Args:
        work: A function of a module, as it is sent to other processes.
        items: Can be sent likewise.
        jobs: How many at a time; with one, or one item, no process is started. Or a cluster.
    """
    if isinstance(jobs, Cluster):
        from pelvimets.io.cluster import each_on

        yield from each_on(jobs.address, work, items)
        return
    if jobs <= 1 or len(items) <= 1:
        yield from (outcome_of(work, item) for item in items)
        return
    waiting = deque(items)
    while waiting:
        suspects = yield from _until_one_dies(work, waiting, min(jobs, len(waiting)))
        for item in suspects:  # each alone, to tell who kills his process
            yield from _alone(work, item)


def beside(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start work in a process that ends with this one."""
    process = multiprocessing.get_context("spawn").Process(
        target=_bound, args=(work, *arguments), daemon=True
    )
    process.start()
    return process


def _bound(work: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    work(*arguments)


def _until_one_dies(
    work: Callable[[Item], Result], waiting: deque[Item], jobs: int
) -> Generator[Outcome[Item, Result], None, list[Item]]:
    """Take items from those that wait; returns those that were worked on when a process died."""
    running: dict[Future[Outcome[Item, Result]], Item] = {}
    with _pool(jobs) as pool, contextlib.suppress(BrokenProcessPool):
        while waiting or running:
            while waiting and len(running) < jobs:
                future = pool.submit(outcome_of, work, waiting[0])
                running[future] = waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                del running[future]
                yield outcome
    suspects = []
    for future, item in running.items():
        if future.exception() is None:
            yield future.result()
        else:
            suspects.append(item)
    return suspects


def _alone(work: Callable[[Item], Result], item: Item) -> Iterator[Outcome[Item, Result]]:
    with _pool(1) as pool:
        try:
            yield pool.submit(outcome_of, work, item).result()
        except BrokenProcessPool:
            yield Outcome(item, fault=_DIED)


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=end_with_parent)


def end_with_parent() -> None:
    """In a worker: stop as soon as the process that started it is gone, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
