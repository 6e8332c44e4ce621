"""Truth masks on the image's own grid: a voxel belongs to what fills half of it.

On diffusion images the truth follows the displacement of the image, as a reader who draws
on the image would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.physics.sampling import Float32Array, along_x, along_y, along_z

Box = tuple[slice, slice, slice]
Split = tuple[Box, Float32Array]
Projection = Callable[[Float32Array, Box], Split]
_HALF = 0.5


def straight_projection(wz: Float32Array, wy: Float32Array, wx: Float32Array) -> Projection:
    """Filling of voxels by averaging along the three axes.

    Args:
        wz, wy, wx: Averaging matrices (target, source) of a sequence without distortion.
    """

    def project(crop: Float32Array, box: Box) -> Split:
        rows = tuple(_reached(w, part) for w, part in zip((wz, wy, wx), box, strict=True))
        filled = along_z(wz[rows[0], box[0]], crop)
        filled = along_y(np.ascontiguousarray(wy[rows[1], box[1]]), filled)
        return (rows[0], rows[1], rows[2]), along_x(wx[rows[2], box[2]], filled)

    return project


def displaced_projection(
    wz: Float32Array, wx: Float32Array, source_row: Float32Array
) -> Projection:
    """Filling of voxels of a diffusion image.

    Args:
        wz, wx: Averaging matrices along z and x.
        source_row: For each voxel of the image (z, y, x) the row of the patient's grid that
            its signal comes from, fractional; NaN where none does.
    """
    missing = np.isnan(source_row)
    row = np.where(missing, -10.0, source_row).astype(np.float32)
    below = np.floor(row).astype(np.int32)
    share = row - below

    def project(crop: Float32Array, box: Box) -> Split:
        rz, rx = _reached(wz, box[0]), _reached(wx, box[2])
        lines = along_x(wx[rx, box[2]], along_z(wz[rz, box[0]], crop))
        lines = np.pad(lines, ((0, 0), (1, 1), (0, 0)))
        last = lines.shape[1] - 1
        part = (rz, slice(None), rx)
        first = below[part] - box[1].start + 1
        low = np.take_along_axis(lines, np.clip(first, 0, last), axis=1)
        high = np.take_along_axis(lines, np.clip(first + 1, 0, last), axis=1)
        return (rz, slice(0, source_row.shape[1]), rx), low + (high - low) * share[part]

    return project


def label_map(
    labels: npt.NDArray[Any],
    shape: tuple[int, int, int],
    project: Projection,
    *,
    keep_small: bool,
) -> npt.NDArray[Any]:
    """Labels on the image grid.

    Args:
        labels: Label values on the patient's grid, 0 for none.
        shape: Shape of the image.
        project: Filling of the image's voxels by a part of the patient.
        keep_small: Keep a label that fills nowhere half a voxel but in sum at least half of
            one: it gets the voxels it fills most, as many as its volume asks for.

    Returns:
        Label map of the same number type.
    """
    total = np.zeros(shape, np.float32)
    best = np.zeros(shape, np.float32)
    owner = np.zeros(shape, labels.dtype)
    small: list[tuple[int, Split]] = []
    for value, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        where, filled = project((labels[box] == value).astype(np.float32), box)
        if filled.size == 0:
            continue
        total[where] += filled
        ahead = filled > best[where]
        owner[where][ahead] = value
        np.maximum(best[where], filled, out=best[where])
        if keep_small and filled.max() < _HALF <= filled.sum():
            small.append((value, (where, filled)))
    owner[total < _HALF] = 0
    for value, (where, filled) in small:
        _keep_fullest(owner[where], filled, value)
    return owner


def _keep_fullest(owner: npt.NDArray[Any], filled: Float32Array, value: int) -> None:
    count = max(1, round(float(filled.sum())))
    fullest = np.argsort(filled, axis=None, kind="stable")[::-1][:count]
    owner[np.unravel_index(fullest, filled.shape)] = value


def _reached(matrix: Float32Array, columns: slice) -> slice:
    """Rows of the matrix that touch these columns."""
    touched = np.flatnonzero(matrix[:, columns].any(axis=1))
    return slice(int(touched[0]), int(touched[-1]) + 1) if touched.size else slice(0, 0)
