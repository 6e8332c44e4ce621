"""Volumes to and from NIfTI files, by SimpleITK.

NIfTI counts patient axes as RAS (x to the right, y anterior), this package as LPS; SimpleITK
turns one into the other on both ways, and writes sform and qform alike, so that any reader
finds the same voxels.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import from_sitk, to_sitk
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, InputError, OutputError
from pelvimets.io.nifti.header import NiftiHeader, damaged, read_header, voxel_blocks

SUFFIXES = (".nii.gz", ".nii")
_GZIP_LEVEL = 3  # on MR images a few percent larger than level 6, and about twice as fast
_STORED = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")
_FLOATS = {16: "f4", 64: "f8"}  # datatype codes of the header
_CONVERTED = {"bool": "uint8", "float64": "float32"}


def read_nifti(path: Path) -> Volume:
    """Read one 3D image or label map.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file; a fourth axis of length one is dropped.

    Returns:
        The volume in the file's own voxel order and, unless the file scales its values, in
        its own number type.

    Raises:
        InputError: if the file is missing, damaged or truncated, is not a single 3D image of
            real numbers, holds values that are not finite, or does not say how it lies in
            the patient.
        GeometryError: if its axes are not at right angles.
    """
    path = Path(path)
    header = _header(path)
    image = from_sitk(_execute(_reader(path), header, path))
    _check_scaled(image, path)
    return image


def nifti_geometry(path: Path) -> Geometry:
    """The grid of an image from its header, before any voxel is read.

    Raises:
        InputError: if the file is missing or its header is damaged.
        GeometryError: if its axes are not at right angles.
    """
    path = Path(path)
    _header(path)
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    _check_header(reader, path)
    axes = np.asarray(reader.GetDirection()).reshape(reader.GetDimension(), -1)[:3, :3].T[::-1]
    x, y, z = reader.GetSize()[:3]
    sx, sy, sz = reader.GetSpacing()[:3]
    ox, oy, oz = reader.GetOrigin()[:3]
    return Geometry.from_axes((z, y, x), (sz, sy, sx), (ox, oy, oz), axes)


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
        raise OutputError("A NIfTI file ends in .nii or .nii.gz", got=path.name)
    image = to_sitk(volume.with_array(_storable(volume.array)))
    try:
        _write_aside_and_move(image, path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            "The NIfTI file cannot be written",
            got=f"{path}: {error}",
            remedy="Check that the folder exists, is writable and has free space",
        ) from error


def _header(path: Path) -> NiftiHeader:
    if not path.is_file():
        raise InputError("There is no such NIfTI file", got=path)
    if not path.name.endswith(SUFFIXES):
        raise InputError("A NIfTI file ends in .nii or .nii.gz", got=path.name)
    return read_header(path)


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NiftiImageIO")
    return reader


def _execute(reader: sitk.ImageFileReader, header: NiftiHeader, path: Path) -> sitk.Image:
    try:
        reader.ReadImageInformation()
        _check_header(reader, path)
        _check_voxels(header, path)
        if reader.GetDimension() == 4:
            reader.SetExtractSize([*reader.GetSize()[:3], 0])
        image: sitk.Image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return image


def _unreadable(path: Path, error: RuntimeError) -> InputError:
    if "orthonormal" in str(error):
        return GeometryError(
            "The image axes are not at right angles",
            got=path,
            remedy="Resample the sheared volume to a regular grid first",
        )
    return damaged(path, str(error))


def _check_header(reader: sitk.ImageFileReader, path: Path) -> None:
    size = reader.GetSize()
    if len(size) < 3 or min(size) < 1 or any(n > 1 for n in size[3:]):
        raise InputError(
            "A NIfTI file must hold one 3D image",
            got=f"{path.name} with axes {' x '.join(map(str, size))}",
            remedy="Write each volume (each b-value) to a file of its own",
        )
    components = reader.GetNumberOfComponents()
    if components != 1 or "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError("A NIfTI file must hold one real number per voxel", got=path.name)
    if not any(_number(reader, key) > 0 for key in ("sform_code", "qform_code")):
        raise InputError(
            "The NIfTI file does not say how it lies in the patient",
            got=f"{path.name}: sform_code and qform_code are 0",
            remedy="Convert the DICOM files again, for instance with dcm2niix",
        )


def _check_voxels(header: NiftiHeader, path: Path) -> None:
    """Look at the stored bytes: ITK reads past a missing end, and NaN as 0, in silence."""
    kind = _FLOATS.get(header.datatype)
    wrong = 0
    for block in voxel_blocks(path, header):
        if kind is not None:
            values = np.frombuffer(block, header.byte_order + kind)
            wrong += values.size - int(np.isfinite(values).sum())
    _refuse_infinite(wrong, header.numbers, path)


def _number(reader: sitk.ImageFileReader, key: str) -> int:
    return int(reader.GetMetaData(key)) if reader.HasMetaDataKey(key) else 0


def _check_scaled(image: Volume, path: Path) -> None:
    """A slope can carry finite numbers beyond what a voxel holds."""
    if image.array.dtype.kind == "f":
        wrong = image.array.size - int(np.isfinite(image.array).sum())
        _refuse_infinite(wrong, image.array.size, path)


def _refuse_infinite(wrong: int, voxels: int, path: Path) -> None:
    if wrong:
        raise InputError(
            "The NIfTI file holds values that are not finite",
            got=f"{wrong} of {voxels} voxels in {path.name}",
            remedy="Replace NaN and infinity, for instance by 0 outside the body",
        )


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    name = _CONVERTED.get(array.dtype.name, array.dtype.name)
    if name not in _STORED:
        raise TypeError(f"A NIfTI file is not written from {array.dtype}: cast it first")
    return np.ascontiguousarray(array, dtype=name)


def _write_aside_and_move(image: sitk.Image, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".nifti-", dir=path.parent) as folder:
        plain = Path(folder) / "image.nii"
        sitk.WriteImage(image, str(plain))
        if path.name.endswith(".gz"):
            packed = plain.with_suffix(".nii.gz")
            packed.write_bytes(gzip.compress(plain.read_bytes(), _GZIP_LEVEL, mtime=0))
            plain = packed
        plain.replace(path)
