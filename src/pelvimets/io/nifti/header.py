"""The header of a NIfTI file as it is stored, NIfTI-1 or NIfTI-2.

Libraries mend a wrong header in silence (they take a voxel size of 0 for 1, move the voxels'
place), so what they say of one cannot be trusted; here the stored numbers are judged first,
before anything is unpacked or memory is taken.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from pelvimets.errors import InputError, shown

_KINDS: dict[int, tuple[Any, bytes]] = {348: (Nifti1Header, b"n+1"), 540: (Nifti2Header, b"n+2")}
_LARGEST_RATIO = 1100  # of gzip: unpacked bytes per packed byte, a little above what is possible
_SFORM = ("srow_x", "srow_y", "srow_z")
_QFORM = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")


def read_header(path: Path) -> Any:
    """Read and judge the header, and whether the file can hold what it promises.

    Returns:
        The header of nibabel with the numbers as they are stored.

    Raises:
        InputError: if the file is no NIfTI file, or its header contradicts itself.
    """
    header = _stored(path)
    _check_start(header, path)
    _check_place(header, path)
    _check_length(header, path)
    return header


def damaged(path: Path, reason: str) -> InputError:
    """The error of a file that cannot be read."""
    return InputError(
        "The NIfTI file is damaged or truncated",
        got=f"{shown(path)}: {(reason.splitlines() or ['no reason given'])[-1]}",
        remedy="Copy or convert it again",
    )


def _stored(path: Path) -> Any:
    raw = _beginning(path)
    for order in "<>":
        size = int(np.frombuffer(raw[:4].ljust(4, b"\0"), f"{order}i4")[0])
        if size not in _KINDS or len(raw) < size:
            continue
        kind, magic = _KINDS[size]
        header = kind(raw[:size], endianness=order, check=False)
        if bytes(header["magic"])[:3] != magic:
            raise damaged(path, "it does not say that it is one NIfTI file with its voxels")
        return header
    raise damaged(path, "it does not begin with a NIfTI header")


def _beginning(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            return stream.read(max(_KINDS))
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, getattr(error, "strerror", None) or str(error)) from error


def _check_start(header: Any, path: Path) -> None:
    offset, size = float(header["vox_offset"]), header.sizeof_hdr
    if not math.isfinite(offset) or offset < size:
        raise InputError(
            "The NIfTI file's voxels would begin inside its header",
            got=f"{shown(path)}: data offset {offset:g}, header of {size} bytes",
            remedy="Convert the images again",
        )


def _check_place(header: Any, path: Path) -> None:
    """That what says where the image lies is finite."""
    used = list(header["pixdim"][1:4])
    used += [n for name in _SFORM for n in header[name] if header["sform_code"] > 0]
    used += [header[name] for name in _QFORM if header["qform_code"] > 0]
    if not np.isfinite(used).all():
        raise InputError(
            "The NIfTI file's place in the patient is not finite",
            got=path,
            remedy="Convert the images again",
        )


def _check_length(header: Any, path: Path) -> None:
    """Without unpacking: no file holds more than its size allows."""
    count = int(header["dim"][0])
    axes = [int(n) for n in header["dim"][1 : 1 + count]] if 1 <= count <= 7 else []
    if not axes or min(axes) < 1:
        raise damaged(path, f"axes {' x '.join(map(str, axes)) or count}")
    try:
        item = header.get_data_dtype().itemsize
    except (HeaderDataError, KeyError) as error:
        raise damaged(path, f"number type {int(header['datatype'])} is not known") from error
    end = int(header["vox_offset"]) + math.prod(axes) * item
    stored = path.stat().st_size
    most = stored * _LARGEST_RATIO if path.name.endswith(".gz") else stored
    if most < end:
        raise damaged(path, f"{stored} bytes, for {end} bytes unpacked")
