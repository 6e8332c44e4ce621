"""The files of the queue: what arrived, what was read of it, what was refused.

::

    FOLDER/queue.sqlite
    FOLDER/incoming/KEY/*.dcm       objects of a study, byte for byte as they came
    FOLDER/results/KEY/ROUND/       what 'predict --dicom' writes
    FOLDER/refused/KEY/*.dcm        objects of a study that cannot be read, with reason.txt

No name of a file or folder is of the patient.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from pelvimets.errors import OutputError, reason
from pelvimets.io.dicom.frames import MR_CLASSES
from pelvimets.io.pacs.outcome import Received
from pelvimets.io.pacs.sound import fault_of
from pelvimets.io.queue.entries import Arrival, QueuedStudy, StudyState, study_key
from pelvimets.io.queue.studies import StudyQueue
from pelvimets.io.record.output import tidy, write_text

REASON_NAME = "reason.txt"
_ARRIVING = ".arriving"
_GB = 1e9


class NoRoomError(Exception):
    """The folder holds as much as it may, or the disk is nearly full."""


class UnsoundError(Exception):
    """An object that cannot be used; the message says why."""


@dataclass(frozen=True)
class Limits:
    """How much may lie in the folder, and how much the disk must have left."""

    disk_limit_gb: float
    least_free_gb: float


class Inbox:
    """Takes objects in, so that what is confirmed survives a killed process and a lost current."""

    def __init__(self, folder: Path, queue: StudyQueue, limits: Limits) -> None:
        self._folder, self._queue, self._limits = folder, queue, limits
        self._lock = threading.Lock()
        try:
            self._arriving.mkdir(parents=True, exist_ok=True)
            (folder / "results").mkdir(exist_ok=True)
            (folder / "refused").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                "The folder of the queue cannot be made", got=reason(error)
            ) from error

    @property
    def _arriving(self) -> Path:
        return self._folder / "incoming" / _ARRIVING

    def incoming(self, key: str) -> Path:
        """Folder of the objects of a study."""
        return self._folder / "incoming" / key

    def refused(self, key: str) -> Path:
        """Where they lie once the study was refused."""
        return self._folder / "refused" / key

    def results(self, study: QueuedStudy) -> Path:
        """Folder of a reading."""
        return self._folder / "results" / study.key / str(study.round)

    def has_room(self) -> bool:
        """Whether more may be taken in."""
        free = shutil.disk_usage(self._folder).free
        used = self._queue.used_bytes()
        return free >= self._limits.least_free_gb * _GB and used < self._limits.disk_limit_gb * _GB

    def take(self, study: str, item: Received) -> bool:
        """Take in an object of a study; it is on the disk and in the queue when this returns.

        Returns:
            Whether it is new.

        Raises:
            NoRoomError: if there is no room.
            UnsoundError: if it is not whole, or of another study.
        """
        if fault := fault_of(item, study, None):
            raise UnsoundError(fault)
        arrival = Arrival(
            study,
            item.sop_instance_uid,
            hashlib.sha256(item.content).hexdigest(),
            len(item.content),
            item.dataset().SOPClassUID in MR_CLASSES,
        )
        if self._queue.knows(arrival):
            return False
        if not self.has_room():
            raise NoRoomError
        self._write(arrival, item.content)
        self._queue.arrived(arrival)
        return True

    def _write(self, arrival: Arrival, content: bytes) -> None:
        key = study_key(arrival.study)
        aside = self._arriving / uuid.uuid4().hex
        try:
            with aside.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            with self._lock:
                self._take_back(key)
                self.incoming(key).mkdir(exist_ok=True)
                aside.replace(self.incoming(key) / _file_name(arrival.uid))
                _flush_folder(self.incoming(key))
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise NoRoomError from error

    def _take_back(self, key: str) -> None:
        """A refused study that goes on lies with the others again."""
        if self.refused(key).is_dir() and not self.incoming(key).exists():
            (self.refused(key) / REASON_NAME).unlink(missing_ok=True)
            self.refused(key).rename(self.incoming(key))

    def ready(self, key: str) -> Path:
        """Folder of the objects of a study that is about to be read."""
        with self._lock:
            self._take_back(key)
        return self.incoming(key)

    def put_aside(self, study: QueuedStudy) -> None:
        """Move a refused study aside and write its reason beside it; again does no harm."""
        with self._lock:
            target = self.refused(study.key)
            if self.incoming(study.key).is_dir():
                shutil.rmtree(target, ignore_errors=True)
                self.incoming(study.key).rename(target)
            if target.is_dir():
                write_text(target / REASON_NAME, study.reason + "\n")

    def remove(self, study: QueuedStudy) -> None:
        """Remove what a finished study has left."""
        self._queue.forget_files(study)
        with self._lock:
            shutil.rmtree(self.incoming(study.key), ignore_errors=True)
            shutil.rmtree(self._folder / "results" / study.key, ignore_errors=True)

    def restarted(self) -> None:
        """After a process that ended anyhow: what was never confirmed goes."""
        for left in self._arriving.iterdir():
            left.unlink(missing_ok=True)
        for study in self._queue.studies():
            if study.state is StudyState.REFUSED:
                self.put_aside(study)
            tidy(self._folder / "results" / study.key)
        for folder in (self._folder / "incoming").iterdir():
            if folder.name != _ARRIVING and folder.is_dir():
                named = {_file_name(uid) for uid in self._queue.objects(folder.name)}
                for file in folder.iterdir():
                    if file.name not in named:
                        file.unlink()


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _file_name(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:32] + ".dcm"


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
