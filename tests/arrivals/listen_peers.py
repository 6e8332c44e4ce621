"""A listening process, a sender and a receiver that counts, for the tests of listening."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynetdicom
import pytest
from pydicom.dataset import Dataset

from pelvimets.errors import InputError
from pelvimets.io.queue.entries import QueuedStudy, StudyState
from pelvimets.io.queue.studies import read_queue
from tests.io.pacs_peers import free_port, program

ROOT = Path(__file__).parents[2]
WAIT_S = 600.0
RESULTS = 3  # a Segmentation, a Structured Report and a PDF of a study with T1 alone


@dataclass
class Listening:
    """A folder in which processes listen one after the other."""

    folder: Path
    settings: dict[str, Any]
    process: subprocess.Popen | None = None

    @property
    def port(self) -> int:
        return int(self.settings["port"])

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self, *kill: str) -> None:
        file = self.folder.with_suffix(".json")
        file.write_text(json.dumps({**self.settings, "folder": str(self.folder)}))
        command = [sys.executable, "-m", "tests.arrivals.listening", str(file), *kill]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests/io"), str(ROOT / "src")])
        environment = {**os.environ, "PYTHONPATH": paths}
        with self.log.open("ab") as log:
            log.write(f"--- start {kill}\n".encode())
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def started(self) -> None:
        """Wait until it listens."""
        starts = self.log.read_text().count("--- start")
        self.wait(lambda: self.log.read_text().split("--- start")[starts].count("port ") > 0)

    def wait(self, done: Any, seconds: float = WAIT_S) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if done():
                return
            time.sleep(0.1)
        pytest.fail(f"nothing happened:\n{self.log.read_text()[-3000:]}")

    def died(self) -> None:
        """Wait until it has killed itself."""
        assert self.process is not None
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it lives on:\n{self.log.read_text()[-3000:]}")
        assert code == -signal.SIGKILL, self.log.read_text()[-3000:]

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def studies(self) -> tuple[QueuedStudy, ...]:
        try:
            return read_queue(self.folder)
        except InputError:
            return ()

    def reached(self, state: StudyState, count: int = 1) -> tuple[QueuedStudy, ...]:
        unwanted = StudyState.REFUSED if state is not StudyState.REFUSED else None

        def there() -> bool:
            states = [s.state for s in self.studies()]
            if states and set(states) == {unwanted}:
                pytest.fail(self.log.read_text()[-2000:])
            return states.count(state) >= count

        self.wait(there)
        return self.studies()


@contextmanager
def a_listener(folder: Path, **settings: Any) -> Iterator[Listening]:
    usual = {
        "port": free_port(),
        "bind": "127.0.0.1",
        "allow": ["SENDER"],
        "quiet_seconds": 1.0,
        "least_free_gb": 0.0,
        "status_port": 0,
    }
    listener = Listening(folder, {**usual, **settings})
    try:
        yield listener
    finally:
        listener.kill()


def storescu(folder: Path, port: int, *more: str, title: str = "SENDER") -> int:
    """Send all files of a folder; the exit code."""
    command = [program("storescu"), "-aet", title, "-aec", "PELVIMETS", *more]
    command += ["+sd", "+r", "127.0.0.1", str(port), str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    sys.stdout.write(told.stdout + told.stderr)  # shown where a test fails
    return told.returncode


@dataclass
class Counting:
    """A node that counts what it is sent."""

    port: int = 0
    came: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    series: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"COUNTER@127.0.0.1:{self.port}"


@contextmanager
def counting(*, searchable: bool = True) -> Iterator[Counting]:
    told = Counting()

    def keep(event: Any) -> int:
        status = told.statuses.pop(0) if told.statuses else 0x0000
        if status == 0x0000:
            uid = str(event.request.AffectedSOPInstanceUID)
            told.came[uid] += 1
            told.series[uid] = str(event.dataset.SeriesInstanceUID)
            told.kinds[uid] = str(event.dataset.Modality)
        return status

    def listing(event: Any) -> Iterator[tuple[int, Dataset]]:
        of_series = event.identifier.QueryRetrieveLevel == "SERIES"
        for uid, series in list(told.series.items()):
            if of_series or series == event.identifier.SeriesInstanceUID:
                row = Dataset()
                row.SeriesInstanceUID, row.SOPInstanceUID = series, uid
                yield 0xFF00, row

    entity = pynetdicom.AE("COUNTER")
    entity.maximum_associations = 200  # those that ask whether anybody is there count, too
    for context in pynetdicom.AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax)
    handlers = [(pynetdicom.evt.EVT_C_STORE, keep)]
    if searchable:
        find = pynetdicom.sop_class.StudyRootQueryRetrieveInformationModelFind
        entity.add_supported_context(find)
        handlers.append((pynetdicom.evt.EVT_C_FIND, listing))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    told.port = server.socket.getsockname()[1]
    try:
        yield told
    finally:
        server.shutdown()
