"""Where the header of a NIfTI file says that its voxels lie.

A header can say it twice: as a rotation (qform) and as a matrix (sform), each with a code that
tells whether it counts. Tools differ in which of them they take, so the two must agree. The
rotation is kept as a rounded quaternion, which near half a turn is good to half a millimetre
over a pelvis; the matrix is exact, but need not be at right angles.
Source: the headers' definition, nifti1.h and nifti2.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from pelvimets.core.geometry import FloatArray, Geometry
from pelvimets.errors import GeometryError, InputError

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_PLACE_MM = 1.0
_EXACT_COSINE = 1e-4
_LARGEST_COSINE = 1e-2  # as accepted of the image orientation in DICOM


@dataclass(frozen=True)
class Placement:
    """The grid of an image, and what was put right to get it."""

    geometry: Geometry
    notes: tuple[str, ...] = ()


def placement_of(
    header: Any, sizes_mm: FloatArray, shape: tuple[int, int, int], name: str
) -> Placement:
    """The grid of a NIfTI image.

    Args:
        header: As nibabel reads it, NIfTI-1 or NIfTI-2.
        sizes_mm: Of a voxel (x, y, z), as stored: nibabel reads 0 as 1.
        shape: Voxels (x, y, z).
        name: What the file is called in messages.

    Raises:
        InputError: if neither qform nor sform counts.
        GeometryError: if both count and differ, or the axes are not at right angles.
    """
    rotation, matrix = _forms(header, sizes_mm, name)
    if rotation is None and matrix is None:
        raise InputError(
            "The NIfTI file does not say how it lies in the patient",
            got=f"{name}: sform_code and qform_code are 0",
            remedy="Convert the DICOM files again, for instance with dcm2niix",
        )
    if rotation is not None and matrix is not None:
        _check_same_place(header, rotation, matrix, shape, name)
    skew = 0.0 if matrix is None else _skew(matrix)
    if matrix is None or (rotation is not None and skew > _EXACT_COSINE):
        assert rotation is not None
        return Placement(_grid(rotation, shape))
    return _of_matrix(matrix, skew, shape, name)


def _forms(
    header: Any, sizes_mm: FloatArray, name: str
) -> tuple[FloatArray | None, FloatArray | None]:
    """RAS matrices of qform and sform, None where it does not count."""
    try:
        rotation = header.get_qform(coded=True)[0]
        matrix = header.get_sform(coded=True)[0]
    except (HeaderDataError, ValueError) as error:
        raise _no_grid(name, str(error)) from error
    if rotation is not None and not np.all(sizes_mm):
        if matrix is None:
            raise _no_grid(name, _sizes(sizes_mm))
        rotation = None  # it turns voxels without a size
    if matrix is not None:
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not np.isfinite(matrix).all() or lengths.min() <= 0:
            raise _no_grid(name, _sizes(lengths))
    return rotation, matrix


def _sizes(lengths: FloatArray) -> str:
    return f"voxels of {' x '.join(f'{v:g}' for v in lengths)} mm"


def _no_grid(name: str, found: str) -> GeometryError:
    return GeometryError(
        "The header of the NIfTI file names no place for its voxels",
        got=f"{name}: {found}",
        remedy="Convert the DICOM files again, for instance with dcm2niix",
    )


def _check_same_place(
    header: Any, rotation: FloatArray, matrix: FloatArray, shape: tuple[int, int, int], name: str
) -> None:
    apart = _farthest(rotation, matrix, shape)
    if apart > _SAME_PLACE_MM:
        codes = f"qform_code {int(header['qform_code'])}, sform_code {int(header['sform_code'])}"
        raise GeometryError(
            "The NIfTI file names two places for its voxels: its qform and its sform differ",
            got=f"{name}: up to {apart:.1f} mm apart, {codes}",
            remedy="Find out which of them is right, in a viewer, and store it as both; "
            "or convert the DICOM files again, for instance with dcm2niix",
        )


def _farthest(first: FloatArray, second: FloatArray, shape: tuple[int, int, int]) -> float:
    """Largest distance in mm between the two places of a corner voxel."""
    unit = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1)
    corners = np.vstack([unit * (np.array(shape)[:, None] - 1), np.ones(8)])
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())


def _skew(matrix: FloatArray) -> float:
    """Largest cosine between two axes: 0 at right angles."""
    unit = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return float(np.abs(unit.T @ unit - np.eye(3)).max())


def _of_matrix(
    matrix: FloatArray, skew: float, shape: tuple[int, int, int], name: str
) -> Placement:
    if skew > _LARGEST_COSINE:
        raise GeometryError(
            "The image axes are not at right angles",
            got=f"{name}: cosine {skew:.4f}",
            remedy="Resample the sheared volume to a regular grid first",
        )
    upright = _at_right_angles(matrix, shape)
    if skew <= _EXACT_COSINE:
        return Placement(_grid(upright, shape))
    note = (
        f"its axes are not quite at right angles (cosine {skew:.4f}); set upright, which moves "
        f"its voxels by up to {_farthest(matrix, upright, shape):.2f} mm"
    )
    return Placement(_grid(upright, shape), (note,))


def _at_right_angles(matrix: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    """The nearest rotation with the same voxel size, about the centre of the image."""
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / lengths)
    upright = matrix.copy()
    upright[:3, :3] = (left @ right) * lengths
    centre = (np.array(shape) - 1) / 2
    upright[:3, 3] += (matrix[:3, :3] - upright[:3, :3]) @ centre
    return upright


def _grid(ras: FloatArray, shape: tuple[int, int, int]) -> Geometry:
    lps = _RAS_TO_LPS @ ras
    return Geometry((shape[2], shape[1], shape[0]), lps[:, [2, 1, 0, 3]])
