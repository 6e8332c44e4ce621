"""Volumes to and from NIfTI files.

NIfTI counts patient axes as RAS (x to the right, y anterior), this package as LPS. Files are
read by nibabel, NIfTI-1 and NIfTI-2 alike, and written as NIfTI-1 by SimpleITK, with sform and
qform alike, so that any reader finds the same voxels.
"""

from __future__ import annotations

import errno
import gzip
import tempfile
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, OutputError, reason, shown
from pelvimets.io.nifti.header import damaged, read_header
from pelvimets.io.nifti.placement import Placement, placement_of
from pelvimets.io.record.temporary import owned_folder, remove_abandoned

_ASIDE = ".nifti-"
_VOXELS_FROM = 352  # bytes of a NIfTI-1 header as ITK writes it
SUFFIXES = (".nii.gz", ".nii")
_GZIP_LEVEL = 3  # on MR images a few percent larger than level 6, and about twice as fast
_STORED = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")
_CONVERTED = {"bool": "uint8", "float64": "float32"}
_DAMAGE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError)


def read_nifti(path: Path) -> Volume:
    """Read one 3D image or label map.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file, NIfTI-1 or NIfTI-2; a fourth axis of length one
            is dropped.

    Returns:
        The volume in the file's own voxel order and in its own number type, or as float32
        where the file scales its values.

    Raises:
        InputError: if the file is missing, damaged or truncated, is not a single 3D image of
            real numbers, holds values that are not finite, or does not say how it lies in
            the patient.
        GeometryError: if qform and sform differ, or its axes are not at right angles.
    """
    path = Path(path)
    image, place = _opened(path)
    array = _voxels(image, path)
    _check_finite(array, path)
    return Volume(np.ascontiguousarray(array.T), place.geometry)


def nifti_geometry(path: Path) -> Geometry:
    """The grid of an image from its header, before any voxel is read.

    Raises:
        InputError: if the file is missing or its header is damaged.
        GeometryError: if qform and sform differ, or its axes are not at right angles.
    """
    return _opened(Path(path))[1].geometry


def nifti_notes(path: Path) -> tuple[str, ...]:
    """What was put right to place an image in the patient; same errors as its geometry."""
    return _opened(Path(path))[1].notes


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a volume; the file appears whole or not at all.

    Args:
        path: Ends in ``.nii`` or ``.nii.gz``; an existing file is replaced.
        volume: Of 8, 16 or 32 bit integers or 32 bit floats, stored as such; bool is stored
            as uint8 and 64 bit floats as 32 bit.

    Raises:
        OutputError: if the name has another ending or the file cannot be written.
        TypeError: for any other number type.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise OutputError("A NIfTI file ends in .nii or .nii.gz", got=path)
    volume = volume.with_array(_storable(volume.array))
    try:
        _write_aside_and_move(volume, path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            "The NIfTI file cannot be written",
            got=f"{shown(path)}: {reason(error)}",
            remedy="Check that the folder exists, is writable and has free space",
        ) from error


def packed_nifti(volume: Volume) -> bytes:
    """An image as the content of a ``.nii.gz`` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        write_nifti(path, volume)
        return path.read_bytes()


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise InputError("There is no such NIfTI file", got=path)
    if not path.name.endswith(SUFFIXES):
        raise InputError("A NIfTI file ends in .nii or .nii.gz", got=path)


def _opened(path: Path) -> tuple[Any, Placement]:
    """The image with its voxels still on disk, and where they lie."""
    _check_is_file(path)
    stored = read_header(path)
    try:
        with LoggingOutputSuppressor():  # what it mends is judged in placement_of
            image: Any = nib.load(path, mmap=False)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    _check_header(image, path)
    return image, placement_of(image.header, stored["pixdim"][1:4], image.shape[:3], shown(path))


def _check_header(image: Any, path: Path) -> None:
    if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
        raise InputError("The file is not a NIfTI image", got=path)
    size = image.shape
    if len(size) < 3 or min(size) < 1 or any(n > 1 for n in size[3:]):
        raise InputError(
            "A NIfTI file must hold one 3D image",
            got=f"{shown(path)} with axes {' x '.join(map(str, size))}",
            remedy="Write each volume (each b-value) to a file of its own",
        )
    if image.get_data_dtype().kind not in "uif":
        raise InputError("A NIfTI file must hold one real number per voxel", got=path)


def _voxels(image: Any, path: Path) -> npt.NDArray[Any]:
    """Array (x, y, z) in the byte order of this machine; scaled values as float32."""
    try:
        array: npt.NDArray[Any] = np.asanyarray(image.dataobj).reshape(image.shape[:3], order="F")
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    scaled = array.dtype != image.get_data_dtype()
    with np.errstate(over="ignore"):  # becomes infinite, and is refused
        return array.astype("float32" if scaled else array.dtype.newbyteorder("="), copy=False)


def _check_finite(array: npt.NDArray[Any], path: Path) -> None:
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise InputError(
            "The NIfTI file holds values that are not finite",
            got=f"{count} of {array.size} voxels in {shown(path)}",
            remedy="Replace NaN and infinity, for instance by 0 outside the body",
        )


def _unreadable(path: Path, error: BaseException) -> InputError:
    return damaged(path, str(error).replace(str(path), shown(path)))


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    name = _CONVERTED.get(array.dtype.name, array.dtype.name)
    if name not in _STORED:
        raise TypeError(f"A NIfTI file is not written from {array.dtype}: cast it first")
    return np.ascontiguousarray(array, dtype=name)


def _write_aside_and_move(volume: Volume, path: Path) -> None:
    remove_abandoned(path.parent, f"{_ASIDE}*")
    with owned_folder(path.parent, _ASIDE) as folder:
        plain = folder / "image.nii"
        sitk.WriteImage(volume.to_sitk(), str(plain))
        stored = plain.read_bytes()
        _check_stored(stored, volume.array)
        if path.name.endswith(".gz"):
            packed = plain.with_suffix(".nii.gz")
            packed.write_bytes(gzip.compress(stored, _GZIP_LEVEL, mtime=0))
            plain = packed
        plain.replace(path)


def _check_stored(stored: bytes, array: npt.NDArray[Any]) -> None:
    """ITK writes to a full disk in silence.

    Raises:
        OSError: if the file does not hold the voxels that it was given.
    """
    needed = _VOXELS_FROM + array.nbytes
    if len(stored) != needed:
        raise OSError(errno.EIO, f"{len(stored)} of {needed} bytes were written")
    voxels = np.frombuffer(stored, np.uint8, offset=_VOXELS_FROM)
    if not np.array_equal(voxels, array.reshape(-1).view(np.uint8)):
        raise OSError(errno.EIO, "other voxels were written than were given")
