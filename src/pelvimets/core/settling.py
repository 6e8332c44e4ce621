"""Several readers of one study: where they differ, and a review in which that is settled. Pure.

Each reader has a review of his own. The settled review is a third one: it begins with what all
readers say alike, leaves the rest open, and takes one reader's word or a new shape for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.core import review as steps
from pelvimets.core.findings import Findings
from pelvimets.core.review import BoolArray, Drawing, Drawn, LesionReview, Origin, Review, Verdict
from pelvimets.labels import Sequence

ABSENT = "absent"
_SAME_LESION = 0.1  # Dice of two lesions that both readers added
_SAME_SHAPE = 0.9


@dataclass(frozen=True, eq=False)
class Reading:
    """One reader's review with his drawn label maps.

    Attributes:
        key: Name of his folder.
        review: His review.
        drawn: Label map per sequence, rejected lesions included.
    """

    key: str
    review: Review
    drawn: Drawn

    @property
    def name(self) -> str:
        """As the reader wrote it."""
        return self.review.reader or self.key


@dataclass(frozen=True)
class Opinion:
    """What a reader says of a lesion; ``verdict`` is ``absent`` where he has none there."""

    name: str
    verdict: str
    edited: bool = False
    note: str = ""


def opinions(entry: LesionReview, drawn: Drawn, readings: Ordered[Reading]) -> dict[str, Opinion]:
    """What each reader says of a lesion of the settled review, by the reader's key."""
    found = {}
    for reading in readings:
        theirs = _counterpart(entry, drawn, reading)
        found[reading.key] = (
            Opinion(reading.name, ABSENT)
            if theirs is None
            else Opinion(reading.name, theirs.verdict.value, bool(theirs.edited), theirs.note)
        )
    return found


def differ(entry: LesionReview, drawn: Drawn, readings: Ordered[Reading]) -> bool:
    """Whether the readers' verdicts on a lesion, or their shapes of it, differ."""
    theirs = [_counterpart(entry, drawn, reading) for reading in readings]
    present = [t for t in theirs if t is not None]
    if len(present) < len(theirs) or len({t.verdict for t in present}) > 1:
        return True
    if not present or present[0].verdict is not Verdict.ACCEPTED:
        return False
    shapes = [_masks(t, r.drawn) for t, r in zip(present, readings, strict=True)]
    return any(_dice(shapes[0], other) < _SAME_SHAPE for other in shapes[1:])


def begin_settled(
    findings: Findings, sha256: str, original: Drawn, readings: Ordered[Reading], now: str
) -> Drawing:
    """A review in which all that the readers say alike is said, and the rest is open.

    Args:
        findings: As the model left them.
        sha256: Hash of their file.
        original: Label maps of the model.
        readings: The readers' reviews, at least two.
        now: Time of the beginning.
    """
    begun = steps.begin_review(findings, sha256, now)
    agreed = tuple(_agreed(entry, original, readings) for entry in begun.lesions)
    drawing = Drawing(replace(begun, lesions=agreed), dict(original))
    for entry in begun.lesions:
        if not differ(entry, original, readings):
            drawing = _with_shape(drawing, entry.number, entry, readings[0], now)
    for reading in readings:
        for entry in reading.review.lesions:
            if entry.origin is Origin.READER and entry.verdict is not Verdict.REJECTED:
                drawing = _with_added(drawing, entry, reading, readings, now)
    return drawing


def adopt(drawing: Drawing, number: int, reading: Reading, now: str) -> Drawing:
    """Take a reader's verdict on a lesion, and his shape of it if he accepts it.

    Raises:
        ReviewError: if the review is signed, there is no such lesion, or the shape would cover
            another lesion whole.
    """
    entry = drawing.review.lesion(number)
    theirs = _counterpart(entry, drawing.drawn, reading)
    verdict = Verdict.REJECTED if theirs is None else theirs.verdict
    judged = steps.decide(drawing.review, number, now, verdict=verdict)
    taken = Drawing(judged, drawing.drawn)
    if theirs is None or verdict is Verdict.REJECTED:
        return taken
    return _with_shape(taken, number, theirs, reading, now)


def _agreed(entry: LesionReview, drawn: Drawn, readings: Ordered[Reading]) -> LesionReview:
    if differ(entry, drawn, readings):
        return entry
    theirs = _counterpart(entry, drawn, readings[0])
    return entry if theirs is None else replace(entry, verdict=theirs.verdict)


def _counterpart(entry: LesionReview, drawn: Drawn, reading: Reading) -> LesionReview | None:
    """The same lesion in a reader's review: by its UID, else by its place."""
    entries = reading.review.lesions
    by_uid = next((e for e in entries if e.tracking_uid == entry.tracking_uid), None)
    if by_uid is not None or entry.origin is Origin.MODEL:
        return by_uid
    own = _masks(entry, drawn)
    added = [e for e in entries if e.origin is Origin.READER]
    scores = [(_dice(own, _masks(e, reading.drawn)), -e.number, e) for e in added]
    best = max(scores, default=None, key=lambda score: score[:2])
    return best[2] if best is not None and best[0] >= _SAME_LESION else None


def _masks(entry: LesionReview, drawn: Drawn) -> dict[Sequence, BoolArray]:
    return {s: drawn[s].array == label for s, label in entry.labels.items() if s in drawn}


def _dice(first: Mapping[Sequence, BoolArray], second: Mapping[Sequence, BoolArray]) -> float:
    """Over all sequences together; 1 where both are empty."""
    both = sum(int((first[s] & second[s]).sum()) for s in first.keys() & second.keys())
    sizes = sum(int(mask.sum()) for masks in (first, second) for mask in masks.values())
    return 2 * both / sizes if sizes else 1.0


def _with_shape(
    drawing: Drawing, number: int, theirs: LesionReview, reading: Reading, now: str
) -> Drawing:
    """A lesion in a reader's shape on each sequence; where he has none it goes last."""
    wanted = _masks(theirs, reading.drawn)
    own = _masks(drawing.review.lesion(number), drawing.drawn)
    order = sorted(own.keys() | wanted.keys(), key=lambda s: (s not in wanted, s))
    for sequence in order:
        shape = wanted.get(sequence)
        if shape is None:
            shape = np.zeros(drawing.drawn[sequence].array.shape, dtype=bool)
        if sequence not in own or not np.array_equal(own[sequence], shape):
            drawing = steps.draw(drawing.review, drawing.drawn, number, sequence, shape, now)
    return drawing


def _with_added(
    drawing: Drawing,
    entry: LesionReview,
    reading: Reading,
    readings: Ordered[Reading],
    now: str,
) -> Drawing:
    """A reader's own lesion, unless another reader's is there for it already."""
    known = (e for e in drawing.review.lesions if e.origin is Origin.READER)
    if any(
        _dice(_masks(e, drawing.drawn), _masks(entry, reading.drawn)) >= _SAME_LESION for e in known
    ):
        return drawing
    shapes = [(s, m) for s, m in _masks(entry, reading.drawn).items() if m.any()]
    if not shapes:
        return drawing
    sequence, mask = shapes[0]
    drawing = steps.add_lesion(
        drawing.review, drawing.drawn, sequence, mask, now, entry.tracking_uid
    )
    added = drawing.review.lesions[-1]
    for sequence, mask in shapes[1:]:
        drawing = steps.draw(drawing.review, drawing.drawn, added.number, sequence, mask, now)
    added = drawing.review.lesions[-1]
    alike = not differ(added, drawing.drawn, readings)
    verdict = Verdict.ACCEPTED if alike else Verdict.PENDING
    return Drawing(steps.decide(drawing.review, added.number, now, verdict=verdict), drawing.drawn)
