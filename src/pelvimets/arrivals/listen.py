"""Listen: studies arrive by themselves, are read, and their results are sent on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from pelvimets.arrivals.pacs import Call
from pelvimets.arrivals.steps import Steps, Tell
from pelvimets.errors import InputError, OutputError, PelvimetsError
from pelvimets.io.apart import StoppedError
from pelvimets.io.pacs.outcome import Received
from pelvimets.io.pacs.query import Wanted, find_studies, objects_of
from pelvimets.io.pacs.receiver import NO_ROOM, NOT_UNDERSTOOD, Listening, receiving
from pelvimets.io.pacs.transfer import fetch
from pelvimets.io.queue.entries import StudyState, study_key
from pelvimets.io.queue.inbox import Inbox, Limits, NoRoomError, UnsoundError
from pelvimets.io.queue.settings import ListenSettings
from pelvimets.io.queue.status import Health, serving_status
from pelvimets.io.queue.studies import StudyQueue, read_queue
from pelvimets.io.record.locks import held
from pelvimets.io.workers import fault_of
from pelvimets.model.bundle import load_segmenter

_LOCK_NAME = ".listening"
_TICK_S = 0.25
_DAY_S = 86400.0
_SUCCESS = 0x0000


@dataclass(frozen=True)
class Listener:
    """What is listening.

    Attributes:
        port: Where objects are taken in; None where nobody may send.
        status_address: Of the status page; empty where there is none.
        queue: The queue.
    """

    port: int | None
    status_address: str
    queue: StudyQueue


@contextmanager
def listening(settings: ListenSettings, tell: Tell) -> Iterator[Listener]:
    """Take studies in, read them and send their results, as long as this lasts.

    Args:
        settings: Who may send, where to, and the limits.
        tell: Told of each event, from several threads.

    Raises:
        PelvimetsError: if the folder, the port, the bundle or a certificate cannot be used, or
            another process listens in the folder.
    """
    _check(settings)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(held(settings.folder / _LOCK_NAME, wait_s=1.0))
        queue = StudyQueue(settings.folder)
        stack.callback(queue.close)
        limits = Limits(settings.disk_limit_gb, settings.least_free_gb)
        inbox = Inbox(settings.folder, queue, limits)
        queue.restarted()
        inbox.restarted()
        stop = threading.Event()
        steps = Steps(queue, inbox, settings, tell, stop.is_set)
        workers = Workers(settings, steps, stop)
        stack.enter_context(workers.running())
        port = stack.enter_context(_receiver(settings, inbox, tell))
        address = stack.enter_context(_status(settings, queue, workers.health))
        yield Listener(port, address, queue)


def _check(settings: ListenSettings) -> None:
    """What would fail later fails now."""
    load_segmenter(settings.bundle)
    addresses = (*settings.destinations, *((settings.poll,) if settings.poll else ()))
    for address in addresses:
        Call(ae_title=settings.ae_title).node(address)


@contextmanager
def _receiver(settings: ListenSettings, inbox: Inbox, tell: Tell) -> Iterator[int | None]:
    if not settings.allow:
        yield None
        return
    how = Listening(
        settings.ae_title,
        settings.bind,
        settings.port,
        settings.allow,
        settings.tls,
        settings.users,
    )

    def take(study: str, item: Received) -> int:
        try:
            inbox.take(study, item)
        except NoRoomError:
            tell(study_key(study), "an object is not taken in: there is no room left")
            return NO_ROOM
        except UnsoundError as error:
            tell(study_key(study), f"an object is not taken in: it {error}")
            return NOT_UNDERSTOOD
        return _SUCCESS

    with receiving(how, take) as port:
        yield port


@contextmanager
def _status(
    settings: ListenSettings, queue: StudyQueue, health: Callable[[], Health]
) -> Iterator[str]:
    if not settings.status_port:
        yield ""
        return
    with serving_status(
        settings.status_bind, settings.status_port, queue.studies, health
    ) as address:
        yield address


class Workers:
    """Threads that move studies on: one settles and polls, one reads, one sends."""

    def __init__(self, settings: ListenSettings, steps: Steps, stop: threading.Event) -> None:
        self._settings, self._steps, self._stop = settings, steps, stop
        self._polled = float("-inf")
        self._faults: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run as long as this lasts; a reading that has begun is given up at the end."""
        jobs = {"settle": self._settle, "read": self._steps.read_next}
        jobs["send"] = self._steps.send_next
        if self._settings.poll:
            jobs["poll"] = self._poll
        threads = [
            threading.Thread(target=self._over_and_over, args=job, name=job[0])
            for job in jobs.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def health(self) -> Health:
        """Whether all goes its way."""
        room = self._steps.inbox.has_room()
        return Health(room=room, faults=tuple(self._faults.values()))

    def _over_and_over(self, name: str, step: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            try:
                busy = step()
                self._faults.pop(name, None)
            except StoppedError:
                return
            except Exception as error:  # one bad moment must not end the listening
                words = str(error) if isinstance(error, PelvimetsError) else fault_of(error)
                if self._faults.get(name) != words:
                    self._steps.tell("-", f"{name}: {words}")
                self._faults[name] = words
                self._stop.wait(1.0)
                busy = False
            if not busy:
                self._stop.wait(_TICK_S)

    def _settle(self) -> bool:
        queue = self._steps.queue
        for study in queue.settle(self._settings.quiet_seconds):
            self._steps.tell(study.key, f"complete: {study.objects} objects")
        old = time.time() - self._settings.keep_days * _DAY_S
        for study in queue.studies(StudyState.DONE):
            if study.kept and max(study.changed, study.last_object) < old:
                self._steps.inbox.remove(study)
                self._steps.tell(study.key, "its files are removed")
        return False

    def _poll(self) -> bool:
        if time.monotonic() - self._polled < self._settings.poll_seconds:
            return False
        self._polled = time.monotonic()
        node = Call(ae_title=self._settings.ae_title).node(self._settings.poll)
        since = datetime.now(UTC).date() - timedelta(days=self._settings.poll_days)
        for found in find_studies(node, Wanted(modality="MR", since=since)):
            listed = sorted(objects_of(node, found.uid, mr_only=True))
            listing = sha256("\n".join(listed).encode()).hexdigest()
            if self._steps.queue.listed(found.uid, listing, self._settings.quiet_seconds):
                self._fetch(found.uid, listing)
        return False

    def _fetch(self, uid: str, listing: str) -> None:
        steps, key = self._steps, study_key(uid)
        node = Call(ae_title=self._settings.ae_title).node(self._settings.poll)
        if not steps.inbox.has_room():
            raise OutputError("Nothing is fetched: there is no room left")
        outcome = fetch(uid, node)
        new = sum(steps.inbox.take(uid, item) for item in outcome.objects)
        if outcome.missing:
            raise InputError("The PACS did not hand over all of a study", got=f"{key}")
        steps.queue.fetched(uid, listing)
        steps.tell(key, f"fetched: {new} new objects")


def read_again(folder: Path, key: str) -> None:
    """Give a refused study another chance; a process that listens there reads it.

    Raises:
        InputError: if there is no queue, no such study, or it was not refused.
    """
    read_queue(folder)
    queue = StudyQueue(folder)
    try:
        queue.again(key)
    finally:
        queue.close()
