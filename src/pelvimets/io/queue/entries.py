"""What the queue holds: a study, where it is, and an object as it arrives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class StudyState(StrEnum):
    """Where a study is."""

    RECEIVING = "receiving"
    READY = "ready"
    READING = "reading"
    READ = "read"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class QueuedStudy:
    """A study of the queue; ``key`` names it everywhere, since its UID is the patient's.

    Attributes:
        key: 16 hexadecimal digits.
        uid: Study Instance UID.
        state: Where it is.
        round: How often its images changed, from 1.
        first_object, last_object, changed: Seconds since 1970.
        tries: Of the step that it waits for.
        not_before: When the next try may be.
        reason: Why it was refused, or why a step is tried again.
        objects: How many came.
        bytes: Their size.
        kept: Whether its files are still there.
    """

    key: str
    uid: str
    state: StudyState
    round: int
    first_object: float
    last_object: float
    changed: float
    tries: int
    not_before: float
    reason: str
    read_digest: str
    done_digest: str
    result_bytes: int
    kept: bool
    objects: int
    bytes: int


@dataclass(frozen=True)
class Arrival:
    """An object as it arrives.

    Attributes:
        study: Study Instance UID.
        uid: SOP Instance UID.
        sha256: Of its content.
        size: Bytes.
        image: Whether it is an MR image, which a reading depends on.
    """

    study: str
    uid: str
    sha256: str
    size: int
    image: bool


def study_key(uid: str) -> str:
    """The name of a study in folders and logs.

    >>> study_key("1.2.3")
    'c47f5b18b8a430e6'
    """
    return hashlib.sha256(uid.encode()).hexdigest()[:16]
