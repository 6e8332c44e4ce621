"""What headers say of how many images there should be, to tell where some were lost.

Sources: DICOM PS3.3 C.7.6.1.1 (Images in Acquisition), C.3.5 (Number of Series Related
Instances), C.7.6.16.2.2 (In-Stack Position Number), C.7.6.16.2.2.4 (concatenations); the
conformance statements of GE (0021,104F) and Philips (2001,1018) for slices of a volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING

from pelvimets.core.series.facts import Declared
from pelvimets.io.dicom.header import Header

if TYPE_CHECKING:
    from pelvimets.io.dicom.frames import Frame


@dataclass(frozen=True)
class Counts:
    """What one frame's header says of its siblings; None where it says nothing.

    Attributes:
        thickness_mm, spacing_mm: Of the slices.
        slices: Of one volume, by the vendor's private count.
        images: Of the acquisition or of the series.
        stack, place: Stack of an enhanced object, and the slice's number in it.
        whole, part, parts: Concatenation that the object is a part of, which, and of how many.
    """

    thickness_mm: float | None
    spacing_mm: float | None
    slices: int | None
    images: int | None
    stack: str
    place: int | None
    whole: str
    part: int | None
    parts: int | None


def counts(header: Header) -> Counts:
    """Read the counts of one frame."""
    philips = header.text("Manufacturer").upper().startswith("PHILIPS")
    return Counts(
        thickness_mm=_positive(header.number("SliceThickness")),
        spacing_mm=_positive(header.number("SpacingBetweenSlices")),
        slices=_count(header.private(0x2001, 0x1018) if philips else _of_ge(header)),
        images=_count(header.get("NumberOfSeriesRelatedInstances", "ImagesInAcquisition")),
        stack=header.text("StackID"),
        place=_count(header.get("InStackPositionNumber")),
        whole=header.text("ConcatenationUID"),
        part=_count(header.get("InConcatenationNumber")),
        parts=_count(header.get("InConcatenationTotalNumber")),
    )


def _of_ge(header: Header) -> object:
    is_ge = header.text("Manufacturer").upper().startswith("GE")
    return header.private(0x0021, 0x104F) if is_ge else None


def _positive(number: float | None) -> float | None:
    return abs(number) if number else None


def _count(value: object) -> int | None:
    """A whole number above 0; bytes of an unknown type say nothing."""
    return int(value) if isinstance(value, int) and value > 0 else None


def declared_of(frames: Sequence[Frame]) -> Declared:
    """What the frames of a series say together; thickness and spacing are left to each volume."""
    of_volume = {c.slices for frame in frames if (c := frame.counts).slices}
    of_series = {c.images for frame in frames if (c := frame.counts).images}
    numbers = sorted({frame.instance_number for frame in frames if frame.index is None})
    return Declared(
        slices=of_volume.pop() if len(of_volume) == 1 else _stacked_slices(frames),
        images=of_series.pop() if len(of_series) == 1 else None,
        found=len(frames) if numbers else 0,
        number_step=gcd(*(b - a for a, b in pairwise(numbers))) or 1,
        parts=_lost_parts(frames),
    )


def _stacked_slices(frames: Sequence[Frame]) -> int | None:
    """The highest place in the only stack, if places number positions and not frames."""
    if len({frame.counts.stack for frame in frames}) != 1:
        return None
    pairs = {
        (frame.counts.place, frame.plane.position)
        for frame in frames
        if frame.plane is not None and frame.counts.place is not None
    }
    places, positions = {place for place, _ in pairs}, {position for _, position in pairs}
    if not pairs or not len(pairs) == len(places) == len(positions):
        return None
    return max(place for place in places if place is not None)


def _lost_parts(frames: Sequence[Frame]) -> int:
    """Parts of concatenations that are declared, or passed over in the numbering, and not here."""
    found: dict[str, set[int]] = {}
    wanted: dict[str, int] = {}
    for frame in frames:
        of = frame.counts
        if of.whole and of.part is not None:
            found.setdefault(of.whole, set()).add(of.part)
            wanted[of.whole] = max(wanted.get(of.whole, 0), of.parts or 0, of.part)
    return sum(wanted[whole] - len(parts) for whole, parts in found.items())
