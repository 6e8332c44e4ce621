"""A real Dask scheduler and worker processes of this machine, and a way to lose one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WATCHED = "PELVIMETS_TEST_WATCHED"
_START_SECONDS = 120.0
_KILLED_AT = 2
_LOCAL = ("--host", "127.0.0.1", "--no-dashboard")


def dask(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT / "tests" / "io"), str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class LocalCluster:
    """A scheduler, and workers as many as are asked for.

    Attributes:
        address: Of the scheduler.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._workers = folder, list[subprocess.Popen[bytes]]()
        facts = folder / "scheduler.json"
        self._scheduler = dask("scheduler", *_LOCAL, "--port", "0", "--scheduler-file", str(facts))
        until = time.monotonic() + _START_SECONDS
        while not facts.exists() and time.monotonic() < until:
            time.sleep(0.2)
        self.address: str = json.loads(facts.read_text())["address"]

    def with_workers(self, count: int, watched: Path | None = None) -> list[int]:
        """Start workers until so many live; process numbers of all.

        Args:
            count: How many.
            watched: The first of them to write a second file below this folder is killed.
        """
        self._workers = [worker for worker in self._workers if worker.poll() is None]
        while len(self._workers) < count:
            place = self._folder / f"worker-{time.monotonic_ns()}"
            self._workers.append(
                dask(
                    *("worker", self.address, *_LOCAL, "--nthreads", "1", "--no-nanny"),
                    *("--local-directory", str(place), "--preload", "tests.dask_cluster"),
                    **({} if watched is None else {WATCHED: str(watched)}),
                )
            )
        return [worker.pid for worker in self._workers]

    def killed(self) -> list[int]:
        """Process numbers of the workers that were killed."""
        return [w.pid for w in self._workers if w.poll() == -signal.SIGKILL]

    def stop_workers(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._workers.clear()

    def close(self) -> None:
        self.stop_workers()
        self._scheduler.kill()
        self._scheduler.wait()


@contextmanager
def local_cluster(folder: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def dask_setup(worker: Any) -> None:
    """In a worker, by ``--preload``: die in the middle of a patient, once among all workers."""
    watched = os.environ.get(WATCHED)
    if watched is None:
        return
    written: set[str] = set()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | os.PathLike):
            return
        path, flags = str(arguments[0]), arguments[2]
        if flags & (os.O_WRONLY | os.O_RDWR) and path.startswith(watched):
            written.add(path)
            if len(written) == _KILLED_AT and _first(Path(watched)):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _first(watched: Path) -> bool:
    """Whether nobody was killed before."""
    try:
        watched.with_name(f"{watched.name}.killed").mkdir()
    except FileExistsError:
        return False
    return True
