"""A reader's review of the findings: verdicts, notes, corrected shapes, signature. Pure.

The model's lesions are never changed in place. A review holds one entry per lesion, and the
*drawn* label maps hold every lesion as the reader left it, rejected ones too, so that a verdict
can be taken back. ``apply_review`` turns both into corrected findings and masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pelvimets.core.findings import Findings, Lesion
from pelvimets.core.volume import Volume
from pelvimets.errors import ReviewError
from pelvimets.labels import Bone, Sequence

Drawn = Mapping[Sequence, Volume]
BoolArray = npt.NDArray[np.bool_]


class Verdict(StrEnum):
    """What the reader says of a lesion."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Origin(StrEnum):
    """Who found a lesion."""

    MODEL = "model"
    READER = "reader"


@dataclass(frozen=True)
class LesionReview:
    """The review of one lesion.

    Attributes:
        number: The lesion's number in the findings; a reader's own lesions count on.
        tracking_uid: DICOM UID, kept through the review.
        origin: Who found it.
        labels: Its number in the drawn label map of each sequence that shows it.
        verdict: The reader's judgement.
        note: Free text.
        edited: Sequences on which the reader changed its shape.
    """

    number: int
    tracking_uid: str
    origin: Origin
    labels: dict[Sequence, int]
    verdict: Verdict = Verdict.PENDING
    note: str = ""
    edited: tuple[Sequence, ...] = ()


@dataclass(frozen=True)
class Review:
    """The review of a study; times are ISO 8601 with zone.

    Attributes:
        findings_sha256: Hash of the findings file that was reviewed.
        started, changed: When it was begun and last changed.
        lesions: One entry per lesion, by number.
        reader: Who reviews; needed for the signature.
        comment: Remark on the whole study.
        signed: When it was signed, or None while it is open.
        verified: Whether the reader stands for the Structured Report too; means something once
            the review is signed.
        organisation: For whom the reader verifies.
        bones: Structures that the reader drew anew, per sequence.
    """

    findings_sha256: str
    started: str
    changed: str
    lesions: tuple[LesionReview, ...]
    reader: str = ""
    comment: str = ""
    signed: str | None = None
    verified: bool = False
    organisation: str = ""
    bones: dict[Sequence, tuple[Bone, ...]] = field(default_factory=dict)

    def lesion(self, number: int) -> LesionReview:
        """The entry of a lesion.

        Raises:
            ReviewError: if there is no such lesion.
        """
        for entry in self.lesions:
            if entry.number == number:
                return entry
        raise ReviewError("There is no such lesion", got=number)

    @property
    def pending(self) -> tuple[int, ...]:
        """Numbers of the lesions without a verdict."""
        return tuple(e.number for e in self.lesions if e.verdict is Verdict.PENDING)

    @property
    def tally(self) -> str:
        """How many findings were accepted, rejected, added, reshaped, or are open, in words.

        >>> one = LesionReview(1, "1.2", Origin.MODEL, {}, Verdict.REJECTED)
        >>> two = LesionReview(2, "1.3", Origin.READER, {}, Verdict.ACCEPTED)
        >>> Review("a" * 64, "", "", (one, two)).tally
        'of 1 finding of the model 0 accepted, 1 rejected; 1 added by a reader'
        """
        model = [e for e in self.lesions if e.origin is Origin.MODEL]
        said = {v: sum(e.verdict is v for e in model) for v in Verdict}
        left = [e for e in self.lesions if e.verdict is not Verdict.REJECTED]
        added = sum(e.origin is Origin.READER for e in left)
        reshaped = sum(e.origin is Origin.MODEL and bool(e.edited) for e in left)
        words = (
            f"of {len(model)} finding{'' if len(model) == 1 else 's'} of the model "
            f"{said[Verdict.ACCEPTED]} accepted, {said[Verdict.REJECTED]} rejected"
        )
        words += f", {said[Verdict.PENDING]} open" if said[Verdict.PENDING] else ""
        words += f"; {reshaped} of them drawn anew" if reshaped else ""
        return words + (f"; {added} added by a reader" if added else "; none added")

    def rejected_labels(self, sequence: Sequence) -> tuple[int, ...]:
        """Labels of the rejected lesions in a sequence's drawn map."""
        return tuple(
            entry.labels[sequence]
            for entry in self.lesions
            if entry.verdict is Verdict.REJECTED and sequence in entry.labels
        )


def begin_review(findings: Findings, findings_sha256: str, now: str) -> Review:
    """An open review in which nothing is judged yet."""
    entries = tuple(
        LesionReview(
            lesion.number,
            lesion.tracking_uid,
            Origin.MODEL,
            {sequence: seen.label for sequence, seen in lesion.seen_on.items()},
        )
        for lesion in sorted(findings.lesions, key=lambda lesion: lesion.number)
    )
    return Review(findings_sha256, started=now, changed=now, lesions=entries)


def decide(
    review: Review,
    number: int,
    now: str,
    *,
    verdict: Verdict | None = None,
    note: str | None = None,
) -> Review:
    """Judge a lesion or note something about it; None leaves a part as it is.

    Raises:
        ReviewError: if the review is signed or there is no such lesion.
    """
    entry = review.lesion(number)
    changed = replace(
        entry,
        verdict=entry.verdict if verdict is None else verdict,
        note=entry.note if note is None else note,
    )
    return _with_entry(review, changed, now)


@dataclass(frozen=True)
class Remarks:
    """What a reader says of the study as a whole; None leaves a part as it is."""

    reader: str | None = None
    comment: str | None = None
    verified: bool | None = None
    organisation: str | None = None


def remark(review: Review, now: str, remarks: Remarks) -> Review:
    """Set the reader's name, the remark on the study, or whether the report is verified.

    Raises:
        ReviewError: if the review is signed.
    """
    check_open(review)
    given = {name: value for name, value in vars(remarks).items() if value is not None}
    for name in ("reader", "organisation"):
        if name in given:
            given[name] = given[name].strip()
    return replace(review, changed=now, **given)


def sign(review: Review, now: str) -> Review:
    """Sign: every lesion is judged and the reader is known.

    Raises:
        ReviewError: if a lesion is pending, the reader is unnamed, a verified report names no
            organisation, or it is signed already.
    """
    check_open(review)
    if not review.reader:
        raise ReviewError("A signature needs a name", remedy="Enter the reader's name")
    if review.verified and not review.organisation:
        raise ReviewError(
            "A verified report names the organisation for which the reader answers",
            remedy="Enter it, or leave the report unverified",
        )
    if review.pending:
        raise ReviewError(
            "Not every lesion is judged",
            got="pending: " + ", ".join(map(str, review.pending)),
            remedy="Accept or reject each of them",
        )
    return replace(review, changed=now, signed=now)


def reopen(review: Review, now: str) -> Review:
    """Take the signature back so that the review can be changed."""
    return replace(review, changed=now, signed=None)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A review and its drawn label maps after a change of shape."""

    review: Review
    drawn: dict[Sequence, Volume] = field(default_factory=dict)


def draw(
    review: Review, drawn: Drawn, number: int, sequence: Sequence, mask: BoolArray, now: str
) -> Drawing:
    """Give a lesion a new shape on one sequence; what is drawn wins over other lesions.

    Args:
        review: An open review.
        drawn: Label maps of all lesions, rejected ones included.
        number: The lesion.
        sequence: Where it is drawn; the lesion may be new to this sequence.
        mask: Its voxels (z, y, x) on that sequence's grid; none means not visible there.
        now: Time of the change.

    Raises:
        ReviewError: if it is signed, the mask does not fit, or a lesion would vanish.
    """
    entry = review.lesion(number)
    label = entry.labels.get(sequence) or _free_label(review, drawn, sequence)
    changed = replace(
        entry,
        labels={**entry.labels, sequence: label},
        edited=tuple(s for s in Sequence if s is sequence or s in entry.edited),
    )
    updated = _with_entry(review, changed, now)
    maps = {**drawn, sequence: painted(drawn, sequence, label, mask)}
    _check_none_vanished(updated, maps, number)
    return Drawing(updated, maps)


def add_lesion(
    review: Review, drawn: Drawn, sequence: Sequence, mask: BoolArray, now: str, tracking_uid: str
) -> Drawing:
    """Add a lesion that the reader found; it counts as accepted.

    Raises:
        ReviewError: if the review is signed, the mask does not fit or is empty.
    """
    check_open(review)
    number = max((e.number for e in review.lesions), default=0) + 1
    entry = LesionReview(number, tracking_uid, Origin.READER, {}, Verdict.ACCEPTED)
    with_it = replace(review, lesions=(*review.lesions, entry))
    return draw(with_it, drawn, number, sequence, mask, now)


def remove_added(review: Review, drawn: Drawn, number: int, now: str) -> Drawing:
    """Take back a lesion that the reader had added.

    Raises:
        ReviewError: if the review is signed, or the model found the lesion.
    """
    check_open(review)
    entry = review.lesion(number)
    if entry.origin is not Origin.READER:
        raise ReviewError(
            "A lesion of the model is not deleted", got=number, remedy="Reject it instead"
        )
    maps = dict(drawn)
    for sequence, label in entry.labels.items():
        array = drawn[sequence].array
        maps[sequence] = drawn[sequence].with_array(np.where(array == label, 0, array))
    kept = tuple(e for e in review.lesions if e.number != number)
    return Drawing(replace(review, lesions=kept, changed=now), maps)


def restore(
    review: Review, drawn: Drawn, original: Drawn, findings: Findings, number: int, now: str
) -> Drawing:
    """Give a lesion of the model its first shape back, where no other lesion lies now.

    Raises:
        ReviewError: if the review is signed, or the reader added the lesion.
    """
    entry = review.lesion(number)
    lesion = next((item for item in findings.lesions if item.number == number), None)
    if lesion is None:
        raise ReviewError("A lesion of the reader has no first shape", got=number)
    maps = dict(drawn)
    for sequence, label in entry.labels.items():
        first = original[sequence].array == label if sequence in lesion.seen_on else False
        array = np.where(drawn[sequence].array == label, 0, drawn[sequence].array)
        maps[sequence] = drawn[sequence].with_array(
            np.where(first & (array == 0), label, array).astype(array.dtype)
        )
    labels = {s: seen.label for s, seen in lesion.seen_on.items()}
    updated = _with_entry(review, replace(entry, labels=labels, edited=()), now)
    _check_none_vanished(updated, maps, number)
    return Drawing(updated, maps)


def corrected_masks(review: Review, drawn: Drawn) -> dict[Sequence, Volume]:
    """The drawn label maps without the rejected lesions."""
    return {
        sequence: volume.with_array(
            np.where(
                np.isin(volume.array, review.rejected_labels(sequence)), 0, volume.array
            ).astype(np.uint16)
        )
        for sequence, volume in drawn.items()
    }


def _with_entry(review: Review, entry: LesionReview, now: str) -> Review:
    check_open(review)
    lesions = tuple(entry if e.number == entry.number else e for e in review.lesions)
    return replace(review, lesions=lesions, changed=now)


def check_open(review: Review) -> None:
    """Refuse a change of a signed review.

    Raises:
        ReviewError: if it is signed.
    """
    if review.signed is not None:
        raise ReviewError(
            "The review is signed", got=review.signed, remedy="Reopen it to change it"
        )


def _free_label(review: Review, drawn: Drawn, sequence: Sequence) -> int:
    if sequence not in drawn:
        raise ReviewError("The study has no such sequence", got=sequence.value)
    taken = [e.labels[sequence] for e in review.lesions if sequence in e.labels]
    return max([int(drawn[sequence].array.max()), *taken]) + 1


def painted(drawn: Drawn, sequence: Sequence, label: int, mask: BoolArray) -> Volume:
    """A label map in which a label has the voxels of a mask and no others.

    Raises:
        ReviewError: if the mask does not fit.
    """
    volume = drawn[sequence]
    if mask.shape != volume.array.shape:
        raise ReviewError(
            "The drawing does not fit the image",
            got=f"drawing {mask.shape}, image {volume.array.shape}",
        )
    array = np.where(volume.array == label, 0, volume.array)
    return volume.with_array(np.where(mask, label, array).astype(np.uint16))


def _check_none_vanished(review: Review, drawn: Drawn, changed: int) -> None:
    present = {s: set(np.unique(v.array).tolist()) for s, v in drawn.items()}
    for entry in review.lesions:
        if any(label in present[s] for s, label in entry.labels.items()):
            continue
        if entry.number == changed:
            raise ReviewError(
                "Nothing of the lesion would be left", got=changed, remedy="Reject it instead"
            )
        if entry.verdict is not Verdict.REJECTED:
            raise ReviewError(
                "The drawing covers another lesion whole",
                got=f"lesion {entry.number}",
                remedy="Reject that lesion first",
            )


def kept_lesions(review: Review, lesions: tuple[Lesion, ...]) -> tuple[Lesion, ...]:
    """The lesions that the reader did not reject."""
    rejected = {e.number for e in review.lesions if e.verdict is Verdict.REJECTED}
    return tuple(lesion for lesion in lesions if lesion.number not in rejected)
