"""The readers of one result: their folders, what they say, and the review that settles it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pelvimets.core.settling import Reading
from pelvimets.errors import InputError, ReviewError
from pelvimets.io.record import review as store
from pelvimets.io.record.review import ReviewFolder

_FEWEST = 2


@dataclass(frozen=True)
class ReadAs:
    """As whom a result is read.

    Attributes:
        reader: Name of one of several readers; his review is his own, and the outputs of the run
            stay as they are. None is the review that they follow.
        settle: Begin that review with what several readers say alike.
        blind: Show a reader nothing of what others say.
    """

    reader: str | None = None
    settle: bool = False
    blind: bool = False

    @property
    def key(self) -> str | None:
        """The reader's folder."""
        return None if self.reader is None else reader_key(self.reader)

    @property
    def role(self) -> str:
        """``single``, ``reader`` (one of several) or ``settle``."""
        if self.settle:
            return "settle"
        return "single" if self.reader is None else "reader"

    def readings(self, out: Path) -> tuple[Reading, ...]:
        """What the readers of a result say, as far as it is shown to this one.

        Raises:
            ReviewError: if there is nothing to settle yet.
        """
        if self.settle:
            return readings_to_settle(out)
        if self.reader is None or self.blind:
            return ()
        return readings_of(out, without=self.key)


def reader_key(name: str) -> str:
    """A name as a folder has it.

    >>> reader_key("Dr. Ada Müller")
    'dr-ada-muller'

    Raises:
        InputError: if nothing of the name can be kept.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    key = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60]
    if not key:
        raise InputError(
            "The reader's name has no letter a to z and no digit",
            got=name,
            remedy="Give initials or a number",
        )
    return key


def readings_of(out: Path, without: str | None = None) -> tuple[Reading, ...]:
    """The reviews of the readers of a result, in the order of their folders.

    Args:
        out: The output folder of a run.
        without: Key of a reader to leave out.

    Raises:
        InputError, GeometryError: if a review is damaged.
    """
    found = []
    original = None
    for key in store.readers(ReviewFolder(out)):
        folder = ReviewFolder(out, key)
        review = None if key == without else store.read_review(folder)
        if review is None:
            continue
        original = original or store.read_run_output(ReviewFolder(out)).lesions
        found.append(Reading(key, review, store.read_drawn(folder, original)))
    return tuple(found)


def readings_to_settle(out: Path) -> tuple[Reading, ...]:
    """The readings that a third review settles.

    Raises:
        ReviewError: if there are fewer than two, or one is not signed.
    """
    readings = readings_of(out)
    if len(readings) < _FEWEST:
        raise ReviewError(
            "There is nothing to settle: it takes the reviews of two readers",
            got=", ".join(r.name for r in readings) or "none",
            remedy="Each reader opens the result with --reader NAME and signs",
        )
    waiting = [reading.name for reading in readings if reading.review.signed is None]
    if waiting:
        raise ReviewError(
            "Not every reader has signed",
            got=", ".join(waiting),
            remedy="Settle it when they have",
        )
    return readings
