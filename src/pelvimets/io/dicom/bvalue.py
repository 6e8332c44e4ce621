"""b-value and directionality of one frame, from the standard or the vendors' own attributes.

Sources: DICOM PS3.3 C.8.13.5.9 (MR Diffusion Macro); the vendors' conformance statements;
the private attributes as they stand in real files. GE adds 1e9 to the b-value of some images.
"""

from __future__ import annotations

import re
from typing import Any

from pelvimets.io.dicom.header import Header, as_number

_GE_OFFSET = 1e9
_LARGEST = 20_000.0
_KINDS = ("ISOTROPIC", "DIRECTIONAL", "NONE")
_SEQUENCE_B = re.compile(r"_b(\d{1,5})(?![\d_])", re.IGNORECASE)
_NAMED_B = re.compile(r"(?<![a-z])b[ _=-]?(\d{2,5})(?!\d|[ _-]\d)", re.IGNORECASE)


def b_value(header: Header) -> float | None:
    """b-value in s/mm2, None if the header states none.

    In this order: (0018,9087); Siemens (0019,100C); Philips (2001,1003); GE (0043,1039), first
    value less its offset; United Imaging (0065,1009); the sequence's name, as in
    ``*ep_b800t``; the series' description where it names exactly one.
    """
    for value in _stated(header):
        number = as_number(value)
        if number is not None and 0 <= number % _GE_OFFSET <= _LARGEST:
            return number % _GE_OFFSET
    return _named(header)


def _stated(header: Header) -> tuple[Any, ...]:
    if header.text("Manufacturer").upper().startswith("PHILIPS"):
        private = header.private(0x2001, 0x1003)
    elif header.text("Manufacturer").upper().startswith("GE"):
        private = header.private(0x0043, 0x1039)
    elif header.text("Manufacturer").upper().startswith("UIH"):
        private = header.private(0x0065, 0x1009)
    else:
        private = header.private(0x0019, 0x100C)
    return header.get("DiffusionBValue"), private


def _named(header: Header) -> float | None:
    if found := _SEQUENCE_B.search(header.text("SequenceName", "PulseSequenceName")):
        return float(found.group(1))
    names = set(_NAMED_B.findall(header.text("SeriesDescription")))
    return float(names.pop()) if len(names) == 1 else None


def directionality(header: Header) -> str:
    """'ISOTROPIC' (a trace), 'DIRECTIONAL', 'NONE', or '' where nothing is stated."""
    stated = header.text("DiffusionDirectionality").upper()
    if stated in _KINDS:
        return stated
    if stated == "BMATRIX":
        return "DIRECTIONAL"
    return _private_directionality(header)


def _private_directionality(header: Header) -> str:
    maker = header.text("Manufacturer").upper()
    if maker.startswith("SIEMENS"):
        text = _as_text(header.private(0x0019, 0x100D)).upper()
        return text if text in _KINDS else ""
    if maker.startswith("PHILIPS") and _as_text(header.private(0x2001, 0x1004)).upper() == "I":
        return "ISOTROPIC"
    if maker.startswith("GE") and as_number(header.private(0x0043, 0x1030)) == 14:
        return "ISOTROPIC"
    return ""


def direction(header: Header) -> tuple[float, ...] | None:
    """Gradient direction, only to tell images apart; None if none is stated."""
    vector = header.numbers("DiffusionGradientOrientation", 3)
    if vector is not None:
        return tuple(round(v, 4) for v in vector)
    siemens = header.private(0x0019, 0x100E)
    if siemens is not None and not isinstance(siemens, bytes):
        return tuple(round(float(v), 4) for v in siemens)
    private = [
        header.private(group, element + n)
        for group, element in ((0x2005, 0x10B0), (0x0019, 0x10BB))
        for n in range(3)
    ]
    numbers = tuple(round(n, 4) for value in private if (n := as_number(value)) is not None)
    return numbers or None


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return "" if value is None else str(value).strip(" \0")
