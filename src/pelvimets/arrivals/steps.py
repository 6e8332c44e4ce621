"""The steps of a study that arrived by itself: read it, send its results. Each may be done again.

A step first looks whether it was done, then does it, then says so in the queue. Whatever moment
a process is killed at, the next one does no more than the step that was not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pelvimets.app.predict import predict
from pelvimets.arrivals.pacs import DICOM_FOLDER, Call
from pelvimets.errors import InputError, OutputError, PelvimetsError, ResourceError
from pelvimets.io.apart import DiedError, FailedError, apart
from pelvimets.io.pacs.nodes import Node
from pelvimets.io.pacs.query import objects_of
from pelvimets.io.pacs.transfer import object_uid, store
from pelvimets.io.queue.entries import QueuedStudy, StudyState
from pelvimets.io.queue.inbox import Inbox, folder_bytes
from pelvimets.io.queue.settings import ListenSettings
from pelvimets.io.queue.studies import StudyQueue
from pelvimets.io.record.output import is_whole
from pelvimets.requests.predict import RunOptions, StudyInput

Tell = Callable[[str, str], None]
"""Told of an event: key of the study, words."""

_MOST_TRIES = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 600.0


@dataclass(frozen=True)
class ReadingOrder:
    """What to read, and where the result goes."""

    study: Path
    out: Path
    bundle: Path | None
    memory_limit_mib: int | None


@dataclass(frozen=True)
class ReadingEnd:
    """How a reading ended: read, unless it is refused for good or short of something."""

    refused: str = ""
    short: str = ""


def read_study_apart(order: ReadingOrder) -> ReadingEnd:
    """Read a study with its DICOM results, in the process that this is called in."""
    options = RunOptions(
        bundle=order.bundle,
        overwrite=True,
        dicom=True,
        memory_limit_mib=order.memory_limit_mib,
    )
    try:
        summary = predict(StudyInput(order.study), order.out, options)
    except (ResourceError, OutputError) as error:
        return ReadingEnd(short=str(error))
    except PelvimetsError as error:
        return ReadingEnd(refused=str(error))
    return ReadingEnd(refused="; ".join(summary.failed))


@dataclass(frozen=True)
class Steps:
    """The steps over one queue."""

    queue: StudyQueue
    inbox: Inbox
    settings: ListenSettings
    tell: Tell
    stopped: Callable[[], bool]

    def read_next(self) -> bool:
        """Read the study that waits longest; whether there was one."""
        study = self.queue.next(StudyState.READY)
        if study is None or not self.queue.begin(study):
            return False
        study = self.queue.study(study.key)
        digest, place = self.queue.digest(study.key), self.inbox.results(study)
        self.tell(study.key, f"reading {study.objects} objects")
        end = ReadingEnd()
        if not is_whole(place):
            end = self._read(self.inbox.ready(study.key), place)
        self._after_reading(study, digest, end)
        return True

    def _read(self, source: Path, place: Path) -> ReadingEnd:
        place.parent.mkdir(parents=True, exist_ok=True)
        order = ReadingOrder(source, place, self.settings.bundle, self.settings.memory_limit_mib)
        try:
            return apart(read_study_apart, order, self.stopped)
        except DiedError:
            return ReadingEnd(short="The process that read it died, most likely for lack of memory")
        except FailedError as error:
            return ReadingEnd(refused=str(error))

    def _after_reading(self, study: QueuedStudy, digest: str, end: ReadingEnd) -> None:
        if end.short and study.tries + 1 < _MOST_TRIES:
            self.queue.put_off(study, StudyState.READY, end.short, pause_s(study.tries))
            self.tell(study.key, f"is tried again later: {end.short}")
        elif end.short or end.refused:
            words = end.refused or end.short
            if self.queue.move(study, StudyState.REFUSED, words):
                self.inbox.put_aside(self.queue.study(study.key))
                self.tell(study.key, f"refused: {words}")
        elif self.queue.was_read(study, digest, folder_bytes(self.inbox.results(study))):
            self.tell(study.key, "read")
        else:
            self.tell(study.key, "more came while it was read; it is read again")

    def send_next(self) -> bool:
        """Send the results of the study that waits longest; whether there was one."""
        study = self.queue.next(StudyState.READ)
        if study is None:
            return False
        try:
            for address in self.settings.destinations:
                self._send(study, address)
        except (InputError, OutputError) as error:
            self.queue.put_off(study, StudyState.READ, str(error), pause_s(study.tries))
            self.tell(study.key, f"is sent again later: {error}")
            return True
        if self.queue.finish(study):
            self.tell(study.key, "done")
        return True

    def _send(self, study: QueuedStudy, address: str) -> None:
        node = Call(ae_title=self.settings.ae_title).node(address)
        there: set[str] | None = None
        for file in sorted((self.inbox.results(study) / DICOM_FOLDER).glob("*.dcm")):
            uid = object_uid(file)
            before = self.queue.sending(study, uid, node.title)
            if before is False and there is None:
                there = self._held(study.uid, node)
            if before is True:
                continue
            if not (there and uid in there):
                store([file], node)
                self.tell(study.key, f"{file.name} sent to {node.title}")
            self.queue.confirmed(uid, node.title)

    def _held(self, study_uid: str, node: Node) -> set[str]:
        """What the node holds, after a send whose end nobody saw; nothing if it cannot tell."""
        try:
            return set(objects_of(node, study_uid))
        except InputError:
            return set()


def pause_s(tries: int) -> float:
    """Before the next try.

    >>> pause_s(0), pause_s(3), pause_s(50)
    (10.0, 80.0, 600.0)
    """
    return min(_FIRST_PAUSE_S * 2.0 ** min(tries, 20), _LONGEST_PAUSE_S)
