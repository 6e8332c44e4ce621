"""What a reader adds to the DICOM results: who drew each segment, and who answers for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from highdicom.seg import SegmentAlgorithmTypeValues as Made
from pydicom.dataset import Dataset

from pelvimets.core.bones import midline_plane, sided_parts
from pelvimets.core.review import Origin, Review
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

_LONGEST_NAME = 64  # letters of a component group, PS3.5 6.2


@dataclass(frozen=True, eq=False)
class SignOff:
    """A review with the masks that the model had made, to tell what was drawn by hand.

    Attributes:
        review: The reader's review.
        bones, lesions: Label maps of the model per sequence.
    """

    review: Review
    bones: Mapping[Sequence, Volume] = field(default_factory=dict)
    lesions: Mapping[Sequence, Volume] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        """Whether a named reader answers for the report."""
        review = self.review
        return bool(review.verified and review.signed and review.reader and review.organisation)


def made_bone(signoff: SignOff | None, sequence: Sequence, value: int, parts: np.ndarray) -> Made:
    """How a bone on one side was made: by hand as well only if a voxel of it differs.

    Args:
        signoff: The review; None where no reader was.
        sequence: Which of the sequences.
        value: The part in ``parts``.
        parts: Sided parts (z, y, x) as they stand.
    """
    if signoff is None or not signoff.review.bones.get(sequence):
        return Made.AUTOMATIC
    first = signoff.bones[sequence]
    before = sided_parts(first, midline_plane(first)).array == value
    return _made(before, parts == value)


def made_lesion(
    signoff: SignOff | None, sequence: Sequence, tracking_uid: str, lesions: np.ndarray
) -> Made:
    """How a lesion was made; ``lesions`` is the label map (z, y, x) as it stands."""
    if signoff is None:
        return Made.AUTOMATIC
    entry = next(e for e in signoff.review.lesions if e.tracking_uid == tracking_uid)
    if entry.origin is Origin.READER:
        return Made.MANUAL
    label = entry.labels[sequence]
    return _made(signoff.lesions[sequence].array == label, lesions == label)


def _made(before: np.ndarray, after: np.ndarray) -> Made:
    if not before.any():
        return Made.MANUAL
    return Made.AUTOMATIC if np.array_equal(before, after) else Made.SEMIAUTOMATIC


def person_name(name: str) -> str:
    """A name as typed, as a DICOM person name.

    What is typed is not taken apart into family and given names, which no rule can do for all
    languages, unless the reader wrote it so.

    >>> person_name("Dr. Ada Reader"), person_name("Reader, Ada"), person_name("Reader^Ada")
    ('Dr. Ada Reader^', 'Reader^Ada', 'Reader^Ada')
    """
    clean = name.replace("\\", " ").replace("=", " ").strip()[: _LONGEST_NAME - 1]
    if "^" in clean:
        return clean
    family, comma, given = clean.partition(",")
    return f"{family.strip()}^{given.strip()}" if comma else f"{clean}^"


def observer(signoff: SignOff | None) -> sr.ObserverContext | None:
    """The reader as an observer beside the device."""
    if signoff is None or not signoff.review.reader:
        return None
    return sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
            name=person_name(signoff.review.reader)
        ),
    )


def verification(signoff: SignOff | None) -> dict[str, Any]:
    """What ``EnhancedSR`` is told of the verification."""
    if signoff is None or not signoff.verified:
        return {"is_verified": False, "is_final": False}
    return {
        "is_verified": True,
        "is_final": True,
        "verifying_observer_name": person_name(signoff.review.reader),
        "verifying_organization": signoff.review.organisation,
    }


def stamp_verification(document: Dataset, signoff: SignOff | None) -> None:
    """Set the time of the verification to that of the signature, by the reader's clock."""
    if signoff is None or not signoff.verified or signoff.review.signed is None:
        return
    signed = datetime.fromisoformat(signoff.review.signed).astimezone()
    for item in document.VerifyingObserverSequence:
        item.VerificationDateTime = signed.strftime("%Y%m%d%H%M%S%z")


def remarks(signoff: SignOff | None) -> list[str]:
    """What the reader says, line by line."""
    if signoff is None:
        return []
    review = signoff.review
    reader, signed = review.reader or "a reader", "not signed"
    if review.signed:
        local = datetime.fromisoformat(review.signed).astimezone()
        signed = f"signed {local:%Y-%m-%d %H:%M} (UTC{local:%z})"
    lines = [f"Reviewed by {reader}, {signed}", f"Verdicts: {review.tally}"]
    if review.comment.strip():
        lines.append(f"Remark: {review.comment.strip()}")
    lines += [f"Lesion {e.number}: {e.note.strip()}" for e in review.lesions if e.note.strip()]
    return lines
