"""The header of a NIfTI file as it is stored.

ITK mends a wrong header in silence (it moves the voxels' place, takes NaN for 0), so what it
says of one cannot be trusted; here the stored numbers are judged first.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pelvimets.errors import InputError

_HEADER_BYTES, _NIFTI_2_BYTES = 348, 540
_ITEM_BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8}
_LARGEST_RATIO = 1100  # of gzip: unpacked bytes per packed byte, a little above what is possible
_BLOCK = 1 << 22
_FIELDS = {  # place in bytes, and type
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "6f"),
    "srow": (280, "12f"),
    "magic": (344, "4s"),
}


@dataclass(frozen=True)
class NiftiHeader:
    """What must be known before the voxels are read.

    Attributes:
        byte_order: ``<`` or ``>``.
        start: Where the voxels begin, in bytes.
        datatype: Code of the number type.
        item_bytes: Of one number.
        numbers: How many there are.
    """

    byte_order: str
    start: int
    datatype: int
    item_bytes: int
    numbers: int

    @property
    def end(self) -> int:
        """Where the voxels end, in bytes."""
        return self.start + self.numbers * self.item_bytes


def read_header(path: Path) -> NiftiHeader:
    """Read and judge the header, and whether the file can hold what it promises.

    Raises:
        InputError: if the file is missing, is no NIfTI file, or its header contradicts itself.
    """
    with stored_bytes(path) as stream:
        raw = _some(stream, _HEADER_BYTES, path)
    order = _byte_order(raw, path)
    field = {
        name: struct.unpack_from(order + kind, raw, at) for name, (at, kind) in _FIELDS.items()
    }
    if field["magic"][0] != b"n+1\0":
        raise damaged(path, "it does not say that it is one NIfTI file with its voxels")
    header = NiftiHeader(
        byte_order=order,
        start=_start(field["vox_offset"][0], path),
        datatype=field["datatype"][0],
        item_bytes=_ITEM_BYTES.get(field["datatype"][0], max(field["bitpix"][0], 0) // 8),
        numbers=_numbers(field["dim"], path),
    )
    _check_place(field, path)
    _check_length(header, path)
    return header


def stored_bytes(path: Path) -> BinaryIO:
    """The file's bytes, unpacked if it is packed."""
    try:
        return cast("BinaryIO", gzip.open(path) if path.name.endswith(".gz") else path.open("rb"))
    except OSError as error:
        raise damaged(path, error.strerror or "cannot be opened") from error


def voxel_blocks(path: Path, header: NiftiHeader) -> Iterator[bytes]:
    """The voxels' bytes, block by block of whole numbers.

    Raises:
        InputError: if the file ends before them, or is damaged.
    """
    with stored_bytes(path) as stream:
        at = _skip(stream, header.start, path)
        while at < header.end:
            block = _some(stream, min(_BLOCK, header.end - at), path)
            at += len(block)
            yield block


def damaged(path: Path, reason: str) -> InputError:
    """The error of a file that cannot be read."""
    return InputError(
        "The NIfTI file is damaged or truncated",
        got=f"{path.name}: {(reason.splitlines() or ['no reason given'])[-1]}",
        remedy="Copy or convert it again",
    )


def _byte_order(raw: bytes, path: Path) -> str:
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", raw)
        if size == _HEADER_BYTES:
            return order
        if size == _NIFTI_2_BYTES:
            raise InputError(
                "NIfTI-2 is not read",
                got=path.name,
                remedy="Save the image as NIfTI-1, for instance with nibabel or SimpleITK",
            )
    raise damaged(path, "it does not begin with a NIfTI header")


def _start(offset: float, path: Path) -> int:
    if not math.isfinite(offset) or offset < _HEADER_BYTES:
        raise InputError(
            "The NIfTI file's voxels would begin inside its header",
            got=f"{path.name}: data offset {offset:g}, header of {_HEADER_BYTES} bytes",
            remedy="Convert the images again",
        )
    return int(offset)


def _numbers(dim: tuple[int, ...], path: Path) -> int:
    axes = dim[1 : 1 + dim[0]] if 1 <= dim[0] <= 7 else ()
    if not axes or min(axes) < 1:
        raise damaged(path, f"axes {' x '.join(map(str, axes)) or dim[0]}")
    return math.prod(axes)


def _check_place(field: dict[str, tuple[Any, ...]], path: Path) -> None:
    """That what says where the image lies is finite."""
    used = list(field["pixdim"][1:4])
    if field["sform_code"][0] > 0:
        used += field["srow"]
    if field["qform_code"][0] > 0:
        used += field["quatern"]
    if not all(math.isfinite(value) for value in used):
        raise InputError(
            "The NIfTI file's place in the patient is not finite",
            got=path.name,
            remedy="Convert the images again",
        )


def _check_length(header: NiftiHeader, path: Path) -> None:
    """Without unpacking: no file holds more than its size allows."""
    stored = path.stat().st_size
    most = stored * _LARGEST_RATIO if path.name.endswith(".gz") else stored
    if most < header.end:
        raise damaged(path, f"{stored} bytes, for {header.end} bytes unpacked")


def _skip(stream: BinaryIO, size: int, path: Path) -> int:
    left = size
    while left > 0:
        left -= len(_some(stream, min(_BLOCK, left), path))
    return size


def _some(stream: BinaryIO, size: int, path: Path) -> bytes:
    """Exactly so many bytes."""
    try:
        data = stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from error
    if len(data) < size:
        raise damaged(path, f"it ends {size - len(data)} bytes early")
    return data
