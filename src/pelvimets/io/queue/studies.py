"""The queue: which study is where, in SQLite.

Each change is one transaction that is on the disk when it returns, so a process that is killed
finds the state that it last confirmed::

    receiving --quiet--> ready --> reading --> read --sent everywhere--> done
                                      |
                                      +--> refused, with its reason

An object that is new to a study, or differs from what came under its name, takes the study back
to ``receiving``: its next reading is another ``round``. A restart takes ``reading`` back to
``ready``.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pelvimets.errors import InputError, OutputError
from pelvimets.io.queue.entries import Arrival, QueuedStudy, StudyState, study_key

QUEUE_NAME = "queue.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
  key TEXT PRIMARY KEY, uid TEXT NOT NULL, state TEXT NOT NULL, round INTEGER NOT NULL,
  first_object REAL NOT NULL, last_object REAL NOT NULL, changed REAL NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', read_digest TEXT NOT NULL DEFAULT '',
  done_digest TEXT NOT NULL DEFAULT '',
  result_bytes INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS objects (
  study TEXT NOT NULL, uid TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  image INTEGER NOT NULL, PRIMARY KEY (study, uid));
CREATE TABLE IF NOT EXISTS sent (
  uid TEXT NOT NULL, node TEXT NOT NULL, study TEXT NOT NULL, confirmed INTEGER NOT NULL,
  at REAL NOT NULL, PRIMARY KEY (uid, node));
CREATE TABLE IF NOT EXISTS listed (
  uid TEXT PRIMARY KEY, listing TEXT NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS fetched (
  uid TEXT NOT NULL, listing TEXT NOT NULL, PRIMARY KEY (uid, listing));
"""


class StudyQueue:
    """The queue of a folder; safe to use from several threads.

    Raises:
        OutputError: if the database cannot be opened.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._now, self._lock = now, threading.RLock()
        try:
            self._base = sqlite3.connect(
                folder / QUEUE_NAME, isolation_level=None, check_same_thread=False, timeout=30.0
            )
            self._base.row_factory = sqlite3.Row
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise OutputError("The queue cannot be opened", got=error) from error

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._base.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    # --- what is there ---------------------------------------------------------------------

    def studies(self, *states: StudyState) -> tuple[QueuedStudy, ...]:
        """Studies in these states, or all, the longest known first."""
        with self._lock:
            return _studies(self._base, states)

    def study(self, key: str) -> QueuedStudy:
        """One study.

        Raises:
            InputError: if there is none of this key.
        """
        for study in self.studies():
            if study.key == key:
                return study
        raise InputError("There is no such study in the queue", got=key)

    def knows(self, arrival: Arrival) -> bool:
        """Whether just this object has come already, and is kept."""
        with self._lock:
            row = self._base.execute(
                "SELECT sha256 FROM objects WHERE study=? AND uid=?",
                (study_key(arrival.study), arrival.uid),
            ).fetchone()
        return row is not None and row["sha256"] == arrival.sha256

    def used_bytes(self) -> int:
        """Size of all objects and results that are kept."""
        with self._lock:
            row = self._base.execute(
                "SELECT (SELECT COALESCE(SUM(bytes), 0) FROM objects)"
                " + (SELECT COALESCE(SUM(result_bytes), 0) FROM studies WHERE kept=1) AS used"
            ).fetchone()
        return int(row["used"])

    def digest(self, key: str) -> str:
        """Of the images that a reading depends on."""
        with self._lock:
            rows = self._base.execute(
                "SELECT uid, sha256 FROM objects WHERE study=? AND image=1 ORDER BY uid", (key,)
            ).fetchall()
        return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()

    # --- what happens ----------------------------------------------------------------------

    def arrived(self, arrival: Arrival) -> None:
        """An object is on the disk: from here on it counts."""
        key, now = study_key(arrival.study), self._now()
        with self._change() as base:
            base.execute(
                "INSERT INTO studies (key, uid, state, round, first_object, last_object, changed)"
                " VALUES (?, ?, ?, 0, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (key, arrival.study, StudyState.DONE, now, now, now),
            )
            base.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                (key, arrival.uid, arrival.sha256, arrival.size, arrival.image),
            )
            base.execute("UPDATE studies SET kept=1, last_object=? WHERE key=?", (now, key))
            if arrival.image:
                base.execute(
                    "UPDATE studies SET round=round+1, state=?, changed=?, tries=0, not_before=0,"
                    " reason='' WHERE key=? AND state<>?",
                    (StudyState.RECEIVING, now, key, StudyState.RECEIVING),
                )

    def settle(self, quiet_s: float) -> tuple[QueuedStudy, ...]:
        """Studies for which nothing came for so long are complete; those that became so."""
        quiet_since = self._now() - quiet_s
        settled = []
        with self._lock:
            for study in self.studies(StudyState.RECEIVING):
                if study.last_object <= quiet_since:
                    known = study.done_digest == self.digest(study.key)
                    self.move(study, StudyState.DONE if known else StudyState.READY)
                    settled.append(study)
        return tuple(settled)

    def next(self, state: StudyState) -> QueuedStudy | None:
        """The study that waits longest in a state and may be tried."""
        waiting = [s for s in self.studies(state) if s.not_before <= self._now()]
        return min(waiting, key=lambda study: study.changed, default=None)

    def move(self, study: QueuedStudy, state: StudyState, reason: str = "") -> bool:
        """To another state, unless something new came since the study was looked at.

        Returns:
            Whether it was moved.
        """
        with self._change() as base:
            done = base.execute(
                "UPDATE studies SET state=?, changed=?, reason=?, tries=0, not_before=0"
                " WHERE key=? AND state=? AND round=?",
                (state, self._now(), reason, study.key, study.state, study.round),
            )
            return done.rowcount == 1

    def begin(self, study: QueuedStudy) -> bool:
        """A ready study is being read; whether nothing new came since it was looked at."""
        with self._change() as base:
            done = base.execute(
                "UPDATE studies SET state=?, changed=? WHERE key=? AND state=? AND round=?",
                (StudyState.READING, self._now(), study.key, StudyState.READY, study.round),
            )
            return done.rowcount == 1

    def finish(self, study: QueuedStudy) -> bool:
        """All results of a reading are where they should be, unless new images came meanwhile."""
        with self._change() as base:
            done = base.execute(
                "UPDATE studies SET state=?, changed=?, reason='', tries=0, not_before=0,"
                " done_digest=read_digest WHERE key=? AND state=? AND round=?",
                (StudyState.DONE, self._now(), study.key, StudyState.READ, study.round),
            )
            return done.rowcount == 1

    def was_read(self, study: QueuedStudy, digest: str, result_bytes: int) -> bool:
        """A reading is on the disk; of these images, unless new ones came meanwhile."""
        with self._change() as base:
            done = base.execute(
                "UPDATE studies SET state=?, changed=?, reason='', tries=0, not_before=0,"
                " read_digest=?, result_bytes=? WHERE key=? AND state=? AND round=?",
                (
                    *(StudyState.READ, self._now(), digest, result_bytes),
                    *(study.key, StudyState.READING, study.round),
                ),
            )
            return done.rowcount == 1

    def put_off(self, study: QueuedStudy, state: StudyState, reason: str, pause_s: float) -> None:
        """Back to a state, to be tried again after a pause."""
        with self._change() as base:
            base.execute(
                "UPDATE studies SET state=?, tries=tries+1, not_before=?, reason=?"
                " WHERE key=? AND state=? AND round=?",
                (state, self._now() + pause_s, reason, study.key, study.state, study.round),
            )

    def restarted(self) -> None:
        """What a process that ended was reading is ready to be read again."""
        with self._change() as base:
            base.execute(
                "UPDATE studies SET state=? WHERE state=?", (StudyState.READY, StudyState.READING)
            )

    def again(self, key: str) -> None:
        """Give a refused study another chance.

        Raises:
            InputError: if there is none of this key, or it is not refused.
        """
        study = self.study(key)
        if study.state is not StudyState.REFUSED:
            raise InputError("Only a refused study is tried again", got=study.state.value)
        self.move(study, StudyState.READY)

    def objects(self, key: str) -> set[str]:
        """SOP Instance UIDs of a study that are kept."""
        with self._lock:
            rows = self._base.execute("SELECT uid FROM objects WHERE study=?", (key,)).fetchall()
        return {row["uid"] for row in rows}

    def forget_files(self, study: QueuedStudy) -> None:
        """Its files are about to be removed; what was sent stays known."""
        with self._change() as base:
            base.execute("UPDATE studies SET kept=0 WHERE key=?", (study.key,))
            base.execute("DELETE FROM objects WHERE study=?", (study.key,))

    # --- what was sent ---------------------------------------------------------------------

    def sending(self, study: QueuedStudy, uid: str, node: str) -> bool | None:
        """Say that an object is about to be sent.

        Returns:
            True if the node confirmed it before; False if it was being sent before, and nobody
            knows whether it arrived; None if it was not.
        """
        with self._change() as base:
            row = base.execute(
                "SELECT confirmed FROM sent WHERE uid=? AND node=?", (uid, node)
            ).fetchone()
            if row is not None:
                return bool(row["confirmed"])
            base.execute(
                "INSERT INTO sent VALUES (?, ?, ?, 0, ?)", (uid, node, study.key, self._now())
            )
            return None

    def confirmed(self, uid: str, node: str) -> None:
        """A node has stored an object."""
        with self._change() as base:
            base.execute(
                "UPDATE sent SET confirmed=1, at=? WHERE uid=? AND node=?",
                (self._now(), uid, node),
            )

    # --- what was polled -------------------------------------------------------------------

    def listed(self, uid: str, listing: str, quiet_s: float) -> bool:
        """What a PACS lists of a study; whether it is unchanged for so long, and to be fetched.

        A listing that was fetched once stays so, also after a moment in which the PACS listed
        something else: one that is taking objects in may.
        """
        with self._change() as base:
            row = base.execute("SELECT * FROM listed WHERE uid=?", (uid,)).fetchone()
            if row is None or row["listing"] != listing:
                base.execute(
                    "INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", (uid, listing, self._now())
                )
                return False
            known = "SELECT 1 FROM fetched WHERE uid=? AND listing=?"
            if base.execute(known, (uid, listing)).fetchone() is not None:
                return False
            return bool(self._now() - row["since"] >= quiet_s)

    def fetched(self, uid: str, listing: str) -> None:
        """What was listed is here."""
        with self._change() as base:
            base.execute("INSERT OR IGNORE INTO fetched VALUES (?, ?)", (uid, listing))


def read_queue(folder: Path) -> tuple[QueuedStudy, ...]:
    """The studies of a folder that another process may be listening in.

    Raises:
        InputError: if there is no queue.
    """
    file = folder / QUEUE_NAME
    if not file.is_file():
        raise InputError(
            "There is no queue in this folder",
            remedy="Give the --folder of 'pelvimets listen'",
        )
    base = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)
    try:
        base.row_factory = sqlite3.Row
        return _studies(base, ())
    except sqlite3.Error as error:
        raise InputError("The queue cannot be read", got=error) from error
    finally:
        base.close()


def _studies(base: sqlite3.Connection, states: tuple[StudyState, ...]) -> tuple[QueuedStudy, ...]:
    wanted = f"WHERE s.state IN ({','.join('?' * len(states))})" if states else ""
    rows = base.execute(
        "SELECT s.*, COUNT(o.uid) AS objects, COALESCE(SUM(o.bytes), 0) AS bytes FROM studies s"
        f" LEFT JOIN objects o ON o.study = s.key {wanted}"
        " GROUP BY s.key ORDER BY s.first_object, s.key",
        [state.value for state in states],
    ).fetchall()
    return tuple(
        QueuedStudy(**{**dict(row), "state": StudyState(row["state"]), "kept": bool(row["kept"])})
        for row in rows
    )
