"""Work on patients, one after the other or several at a time.

Whatever goes wrong with one patient is that patient's outcome and stops no other. A process that
works for another one ends with it, however that ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from pelvimets.errors import PelvimetsError

Item = TypeVar("Item")
Result = TypeVar("Result")

_DIED = "The worker process died, most likely for lack of memory. Use fewer --jobs."
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item.

    Attributes:
        item: What was worked on.
        result: None if it failed.
        fault: Why it failed; empty if it did not.
    """

    item: Item
    result: Result | None = None
    fault: str = ""


def each(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[Outcome[Item, Result]]:
    """The outcome of each item, in the order in which they end.

    Args:
        work: A function of a module, as it is sent to other processes.
        items: Can be sent likewise.
        jobs: How many at a time; with one, or one item, no process is started.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from (_outcome(work, item) for item in items)
        return
    waiting = deque(items)
    while waiting:
        suspects = yield from _until_one_dies(work, waiting, min(jobs, len(waiting)))
        for item in suspects:  # each alone, to tell who kills his process
            yield from _alone(work, item)


def fault_of(error: Exception) -> str:
    """What went wrong, in words. Of an unexpected error only its place: its text may hold names."""
    if isinstance(error, PelvimetsError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Not enough memory. Use fewer --jobs, or close other programs."
    own = [
        f"{Path(frame.filename).relative_to(_PACKAGE).as_posix()}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    place = f" in {own[-1]}" if own else ""
    return f"An unexpected {type(error).__name__}{place}: a fault of pelvimets, please report it."


def beside(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start work in a process that ends with this one."""
    process = multiprocessing.get_context("spawn").Process(
        target=_bound, args=(work, *arguments), daemon=True
    )
    process.start()
    return process


def _bound(work: Callable[..., None], *arguments: Any) -> None:
    _end_with_parent()
    work(*arguments)


def _outcome(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    try:
        return Outcome(item, work(item))
    except Exception as error:
        return Outcome(item, fault=fault_of(error))


def _until_one_dies(
    work: Callable[[Item], Result], waiting: deque[Item], jobs: int
) -> Generator[Outcome[Item, Result], None, list[Item]]:
    """Take items from those that wait; returns those that were worked on when a process died."""
    running: dict[Future[Outcome[Item, Result]], Item] = {}
    with _pool(jobs) as pool, contextlib.suppress(BrokenProcessPool):
        while waiting or running:
            while waiting and len(running) < jobs:
                future = pool.submit(_outcome, work, waiting[0])
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
            yield pool.submit(_outcome, work, item).result()
        except BrokenProcessPool:
            yield Outcome(item, fault=_DIED)


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """In a worker: stop as soon as the process that started it is gone, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
