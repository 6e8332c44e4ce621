"""Work on patients on a cluster, by Dask: many machines behind one scheduler.

Patients are handed out one to a worker's thread, and the next when one is done. What travels is
where the patient lies and what came out in a few numbers; images are read and written by the
worker, which must see the same folders at the same place. A worker that dies costs the patient
it worked on a second try elsewhere, and nothing more.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pelvimets import __version__
from pelvimets.errors import InputError, MissingExtraError, ResourceError
from pelvimets.io.outcome import Outcome, fault_of, outcome_of

Item = TypeVar("Item")
Result = TypeVar("Result")

_DIED = (
    "Every worker that tried it died, most likely for lack of memory. Start workers with more "
    "memory, or read this patient alone."
)
_LOOK_AGAIN_SECONDS = 5
_PATIENCE_SECONDS = 300.0
_CONNECT_SECONDS = 20


def each_on(
    address: str, work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Outcome[Item, Result]]:
    """The outcome of each item, in the order in which they end.

    Args:
        address: Of the scheduler, as ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
        work: A function of a module.
        items: Can be sent to other processes.

    Raises:
        MissingExtraError: if Dask is not installed.
        ResourceError: if there is no scheduler, no worker for five minutes, or it is lost.
        InputError: if a worker has another version or does not see the working folder.
    """
    with _connected(address) as client:
        handed_out: dict[Any, Item] = {}
        try:
            yield from _hand_out(client, work, deque(items), handed_out)
        finally:
            client.cancel(list(handed_out))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError(
            "Work on a cluster needs Dask",
            remedy="Install it with: pip install 'pelvimets[cluster]'",
        ) from error
    settings = {"timeout": _CONNECT_SECONDS, "name": "pelvimets"}
    try:
        with distributed.Client(address, **settings) as client:
            yield client
    except (OSError, TimeoutError) as error:
        raise ResourceError(
            "The cluster's scheduler cannot be reached, or no longer",
            got=f"{address}: {type(error).__name__}",
            remedy="Start one with 'dask scheduler' and give its address; what is done is kept, so "
            "the same command goes on",
        ) from error


def _hand_out(
    client: Any,
    work: Callable[[Item], Result],
    waiting: deque[Item],
    running: dict[Any, Item],
) -> Iterator[Outcome[Item, Result]]:
    distributed: Any = importlib.import_module("distributed")
    _same_version(client.run_on_scheduler(_version))
    known: set[str] = set()
    seen = time.monotonic()
    while waiting or running:
        threads = client.nthreads()
        seen = _still_there(threads, seen)
        known |= _checked(client, set(threads) - known)
        while waiting and len(running) < sum(threads.values()):
            task = (_on_worker, work, waiting[0], _here())
            running[client.submit(*task, pure=False)] = waiting.popleft()
        for future in _ended(distributed, running):
            yield _outcome_there(distributed, future, running.pop(future))


def _still_there(threads: dict[str, int], seen: float) -> float:
    now = time.monotonic()
    if threads:
        return now
    if now - seen > _PATIENCE_SECONDS:
        raise ResourceError(
            "The cluster has no worker",
            got=f"none for {_PATIENCE_SECONDS / 60:g} minutes",
            remedy="Start workers with 'dask worker ADDRESS --nthreads 1', then run it again: what "
            "is done is kept",
        )
    return seen


def _ended(distributed: Any, running: dict[Any, Any]) -> list[Any]:
    """Futures that ended; none after some seconds, so that new workers are seen."""
    if not running:
        time.sleep(0.2)
        return []
    try:
        wait = distributed.wait
        ended = wait(list(running), timeout=_LOOK_AGAIN_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        return []
    return list(ended.done)


def _outcome_there(distributed: Any, future: Any, item: Item) -> Outcome[Item, Result]:
    if future.status == "finished":
        found: Outcome[Item, Result] = future.result()
        return Outcome(item, found.result, found.fault)
    if future.cancelled():
        return Outcome(item, fault="The cluster dropped it; run it again.")
    error = future.exception()
    died = isinstance(error, distributed.scheduler.KilledWorker)
    return Outcome(item, fault=_DIED if died else fault_of(error))


def _on_worker(work: Callable[[Item], Result], item: Item, folder: str) -> Outcome[Item, Result]:
    if _here() != folder:  # relative paths mean the same as where the command was given
        os.chdir(folder)
    return outcome_of(work, item)


def _here() -> str:
    return str(Path.cwd())


def _version() -> str:
    return __version__


def _same_version(other: str) -> None:
    if other != __version__:
        raise InputError(
            "The cluster has another version of pelvimets",
            got=f"{other} there, {__version__} here",
            remedy="Install the same version for its scheduler and all workers",
        )


def _facts(folder: str) -> tuple[str, bool]:
    return __version__, Path(folder).is_dir()


def _checked(client: Any, workers: set[str]) -> set[str]:
    """Refuse workers that would do something else, before their first patient."""
    if not workers:
        return set()
    try:
        found = client.run(_facts, _here(), workers=list(workers), on_error="return")
    except ValueError:  # one of them left again
        return set()
    for answer in found.values():
        if isinstance(answer, OSError):
            continue
        _same_version(answer[0] if isinstance(answer, tuple) else "none")
        if not answer[1]:
            raise InputError(
                "A worker of the cluster does not see the folder in which this was started",
                remedy="Start it on a file system that all machines share, at the same path",
            )
    return workers
