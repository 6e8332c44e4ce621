"""DICOM Segmentations of any maker: every segment with its name and its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from highdicom.seg import Segmentation
from pydicom.uid import UID

from pelvimets.core.annotation import LESION, Structure, structure_of
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.labels import LESION_CODE, Bone

_SEG_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_LESION_WORDS = re.compile(r"lesion|metasta|neoplasm|tumou?r", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class ForeignSegment:
    """One segment: what it is called, what that means here, and its voxels.

    Attributes:
        label: As its maker names it.
        meanings: Further names: meaning of its coded property.
        structure: A bone, ``lesion``, or None if neither names nor codes say.
        mask: 0 or 1 on the segment's own grid.
    """

    label: str
    meanings: tuple[str, ...]
    structure: Structure | None
    mask: Volume


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except (OSError, pydicom.errors.InvalidDicomError):
        return False
    return UID(str(header.get("SOPClassUID", ""))) in _SEG_CLASSES


def read_segments(path: Path) -> Iterator[ForeignSegment]:
    """Segments of one object, one at a time.

    Raises:
        InputError: if it cannot be read or its frames make no regular volume.
    """
    try:
        segmentation = Segmentation.from_dataset(pydicom.dcmread(path), copy=False)
        numbers = list(segmentation.segment_numbers)
    except (OSError, ValueError, AttributeError, pydicom.errors.InvalidDicomError) as error:
        raise InputError("The DICOM Segmentation cannot be read", got=f"{error}") from error
    for number in numbers:
        description = segmentation.get_segment_description(number)
        if number:
            yield _segment(segmentation, int(number), description)


def _segment(segmentation: Segmentation, number: int, description: object) -> ForeignSegment:
    try:
        read = segmentation.get_volume(
            segment_numbers=[number], combine_segments=False, allow_missing_positions=True
        )
    except (ValueError, RuntimeError, AttributeError) as error:
        raise InputError(
            "The frames of a DICOM Segmentation make no regular volume",
            got=f"segment {number}: {error}",
            remedy="Convert it to NIfTI on the image's grid",
        ) from error
    array = np.asarray(read.array)
    array = array[..., 0] if array.ndim == 4 else array
    # highdicom counts (slice, row, column) and gives LPS, as we do
    mask = Volume((array >= 0.5).astype(np.uint8), Geometry(array.shape, np.asarray(read.affine)))
    label = str(getattr(description, "segment_label", "") or "")
    type_ = getattr(description, "segmented_property_type", None)
    category = getattr(description, "segmented_property_category", None)
    meanings = tuple(str(code.meaning) for code in (type_, category) if code is not None)
    code = None if type_ is None else str(type_.value)
    return ForeignSegment(label, meanings, _meaning(label, meanings, code), mask)


def _meaning(label: str, meanings: tuple[str, ...], code: str | None) -> Structure | None:
    """By code, then by name; a lesion's name may carry a number and its bone."""
    if code == LESION_CODE.value or _LESION_WORDS.search(label):
        return LESION
    by_code = next((bone for bone in Bone if bone.code.value == code), None)
    if by_code is not None:
        return by_code
    names = (re.sub(r"[\s_-]*\d+$", "", label), label, *meanings)
    known = next((found for name in names if (found := structure_of(name)) is not None), None)
    if known is None and any(_LESION_WORDS.search(meaning) for meaning in meanings):
        return LESION
    return known
