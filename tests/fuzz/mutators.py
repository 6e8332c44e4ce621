"""Inputs damaged at random, the same ones for the same seed."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

Rng = np.random.Generator

NUMBERS = (0, 1, -1, 2, 7, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31))
FLOATS = (0.0, -0.0, 1e-300, 1e30, -1e30, 1e300, 3e38, float("nan"), float("inf"), float("-inf"))
TEXTS = ("", " ", "x", "\\", "1\\2", "-1", "1e300", "nan", "Ä" * 40, "A" * 5000, "../..", "\0")
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "nan", -1, 0, 1, 10**30, 0.5, -1e300, 1e300, [], {}, [[]]),
    *([1], [0, 0, 0], [-1, 1, 1], [1e9] * 3, [None] * 3, ["a", "b", "c"], {"x": 1}, "A" * 300),
)


def damaged_bytes(rng: Rng, data: bytes) -> bytes:
    """Flipped, cut, repeated, zeroed or foreign bytes in one to four places."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not content:
            break
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 65))
        way = int(rng.integers(6))
        if way == 0:
            content[at] ^= 1 << int(rng.integers(8))
        elif way == 1:
            del content[at:]
        elif way == 2:
            del content[at : at + length]
        elif way == 3:
            content[at:at] = content[at : at + length]
        elif way == 4:
            content[at : at + length] = bytes(len(content[at : at + length]))
        else:
            content[at : at + length] = rng.bytes(length)
    return bytes(content)


_NIFTI_1 = (
    *((40 + 2 * n, "h") for n in range(8)),
    *((70, "h"), (72, "h"), (252, "h"), (254, "h"), (123, "B"), (344, "B"), (345, "B")),
    *((76 + 4 * n, "f") for n in range(8)),
    *((at, "f") for at in (108, 112, 116)),
    *((256 + 4 * n, "f") for n in range(18)),
)


def nifti(rng: Rng, plain: bytes) -> bytes:
    """One to three fields of an unpacked NIfTI-1 header, or bytes anywhere."""
    if rng.random() < 0.3:
        return damaged_bytes(rng, plain)
    content = bytearray(plain)
    for _ in range(int(rng.integers(1, 4))):
        at, kind = _NIFTI_1[int(rng.integers(len(_NIFTI_1)))]
        if kind == "f":
            with np.errstate(over="ignore"):
                content[at : at + 4] = np.float32(FLOATS[int(rng.integers(len(FLOATS)))]).tobytes()
        else:
            value = NUMBERS[int(rng.integers(len(NUMBERS)))]
            size = struct.calcsize(kind)
            content[at : at + size] = (value % 256**size).to_bytes(size, "little")
    return bytes(content)


def dicom(rng: Rng, images: list[Dataset]) -> list[bytes]:
    """A series as files: elements changed or left out in one image or all, or bytes damaged."""
    images = copy.deepcopy(images)
    damage_bytes = rng.random() < 0.4
    chosen = images if rng.random() < 0.3 else [images[int(rng.integers(len(images)))]]
    if not damage_bytes:
        keywords = [element.keyword for element in images[0] if element.keyword != "PixelData"]
        keyword = keywords[int(rng.integers(len(keywords)))]
        for image in chosen:
            _spoil(rng, image, keyword)
    files = [encoded(image) for image in images]
    if damage_bytes:
        at = int(rng.integers(len(files)))
        files[at] = damaged_bytes(rng, files[at])
    if rng.random() < 0.1:
        files.append(files[int(rng.integers(len(files)))])
    return files


def _spoil(rng: Rng, image: Dataset, keyword: str) -> None:
    if keyword not in image:
        return
    if rng.random() < 0.25:
        del image[keyword]
        return
    element = image[keyword]
    kind = element.VR
    if kind == "US":
        element.value = abs(NUMBERS[int(rng.integers(len(NUMBERS)))]) % 65536
    elif kind in ("FD", "FL"):
        element.value = FLOATS[int(rng.integers(len(FLOATS)))]
    elif kind == "SQ":
        element.value = []
    else:
        element._value = TEXTS[int(rng.integers(len(TEXTS)))]


def encoded(image: Dataset) -> bytes:
    content = io.BytesIO()
    try:
        image.save_as(content, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, struct.error, KeyError, OverflowError):
        return _half_a_file(image)
    return content.getvalue()


def _half_a_file(image: Dataset) -> bytes:
    """What cannot be written is half a file."""
    return b"\0" * 128 + b"DICM" + str(image.get("SOPInstanceUID", "")).encode()


PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zipped(rng: Rng, files: list[bytes]) -> bytes:
    """The files in a zip of any packing, damaged."""
    packing = PACKINGS[int(rng.integers(len(PACKINGS)))]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packing) as archive:
        for number, data in enumerate(files):
            archive.writestr(f"SURNAME_Given/{number}", data)
    return damaged_bytes(rng, content.getvalue())


def json_document(rng: Rng, document: Any) -> Any:
    """One value anywhere in plain data replaced or left out."""
    document = json.loads(json.dumps(document))
    places = list(_places(document, ()))
    return with_value(document, places[int(rng.integers(len(places)))], _json_value(rng))


LEFT_OUT = object()


def with_value(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value in a place, or without it."""
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    if value is LEFT_OUT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


def _json_value(rng: Rng) -> Any:
    n = int(rng.integers(-2, len(JSON_VALUES)))
    return LEFT_OUT if n < 0 else JSON_VALUES[n]


def _places(value: Any, before: tuple[Any, ...]) -> Any:
    steps = value.keys() if isinstance(value, dict) else range(len(value))
    for step in steps:
        yield (*before, step)
        if isinstance(value[step], dict | list):
            yield from _places(value[step], (*before, step))
