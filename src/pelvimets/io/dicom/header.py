"""Look up attributes of one frame, wherever classic or enhanced DICOM keeps them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# Sequences of functional groups whose items speak of the frame itself (PS3.3 C.7.6.16, C.8.13.5);
# others, such as references to other images, must not be mixed in.
_GROUPS = frozenset(
    {
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "FrameContentSequence",
        "FrameAnatomySequence",
        "PixelValueTransformationSequence",
        "MRImageFrameTypeSequence",
        "MRTimingAndRelatedParametersSequence",
        "MREchoSequence",
        "MRModifierSequence",
        "MRImagingModifierSequence",
        "MRFOVGeometrySequence",
        "MRDiffusionSequence",
        "DiffusionGradientDirectionSequence",
        "ContrastBolusUsageSequence",
        "UnassignedSharedConvertedAttributesSequence",
        "UnassignedPerFrameConvertedAttributesSequence",
    }
)
_PHILIPS_GROUP = 0x2005140F


class Header:
    """Attributes of one frame: its own groups first, then the shared ones, then the object's."""

    def __init__(self, layers: Sequence[Dataset]) -> None:
        self._layers = tuple(layers)

    def get(self, *keywords: str) -> Any:
        """First value present under any of the keywords, in their order; None if there is none."""
        for keyword in keywords:
            for layer in self._layers:
                value = layer.get(keyword)
                if value is not None and value != "":
                    return value
        return None

    def private(self, group: int, element: int) -> Any:
        """Value of a private attribute by its tag; None if absent or empty."""
        for layer in self._layers:
            if (group, element) in layer:
                value = layer[group, element].value
                if value is not None and value != "" and value != b"":
                    return value
        return None

    def text(self, *keywords: str) -> str:
        """As one stripped string; '' if absent."""
        value = self.get(*keywords)
        return "" if value is None else str(value).strip()

    def tokens(self, *keywords: str) -> tuple[str, ...]:
        """As upper-case strings, one for each value."""
        value = self.get(*keywords)
        values = [] if value is None else value if _is_many(value) else [value]
        return tuple(text for v in values if (text := str(v).strip().upper()))

    def number(self, *keywords: str) -> float | None:
        """As one finite number; None if absent or not a number."""
        return as_number(self.get(*keywords))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """As exactly ``count`` numbers, else None."""
        value = self.get(keyword)
        if value is None or not _is_many(value) or len(value) != count:
            return None
        numbers = [as_number(v) for v in value]
        return None if None in numbers else tuple(n for n in numbers if n is not None)


def frame_headers(dataset: Dataset) -> Iterator[Header]:
    """One header for each frame of an object; classic objects have one."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        yield Header([dataset])
        return
    shared = [
        layer
        for item in dataset.get("SharedFunctionalGroupsSequence") or []
        for layer in _flattened(item)
    ]
    for item in per_frame:
        yield Header([*_flattened(item), *shared, dataset])


def _flattened(item: Dataset) -> Iterator[Dataset]:
    yield item
    for element in item:
        if element.VR == "SQ" and (element.keyword in _GROUPS or element.tag == _PHILIPS_GROUP):
            for inner in element.value[:1]:
                yield from _flattened(inner)


def as_number(value: Any) -> float | None:
    r"""One finite number of a DICOM value: number, text, padded bytes, first of many.

    >>> as_number(b"800 "), as_number("1000\\8\\0"), as_number(None)
    (800.0, 1000.0, None)
    """
    if _is_many(value):
        value = value[0] if len(value) else None
    if value is None:
        return None
    if isinstance(value, bytes):
        return _number_of_bytes(value)
    try:
        number = float(str(value).split("\\")[0].strip(" \0"))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _number_of_bytes(value: bytes) -> float | None:
    """Of text, or of a little-endian float where the private tag's type is unknown."""
    text = value.rstrip(b" \0").split(b"\\")[0]
    try:
        return float(text.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        pass
    kinds = {4: "<f", 8: "<d"}
    if len(value) not in kinds:
        return None
    (number,) = struct.unpack(kinds[len(value)], value)
    return float(number) if 0 <= number < 1e9 else None


def _is_many(value: Any) -> bool:
    return isinstance(value, MultiValue | list | tuple)
