"""What echo-planar imaging does along the phase encoding (y): shift, stretch, ghost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.physics.sampling import Axis

Float32Array = npt.NDArray[np.float32]
_SUBSAMPLES = 3


def distorted(
    lines: Float32Array, shift_mm: Float32Array, source: Axis, target: Axis
) -> Float32Array:
    """Move signal along y to where the scanner sees it; where lines crowd, signal piles up.

    Args:
        lines: Signal (z, y on ``source``, x); its content per voxel, not per mm.
        shift_mm: Displacement of each of its voxels, posterior positive, same shape.
        source, target: Axes along y.

    Returns:
        float32 (z, y on ``target``, x); mean signal per voxel, so that a uniform object
        without displacement keeps its value.
    """
    fine = _between_lines(lines)
    moved = _between_lines(shift_mm)
    positions_mm = source.first_mm + source.step_mm * np.arange(fine.shape[1]) / _SUBSAMPLES
    row = (positions_mm[None, :, None] + moved - target.first_mm) / target.step_mm
    weight = source.step_mm / _SUBSAMPLES / target.step_mm
    return _splatted(fine, row.astype(np.float32), target.count) * np.float32(weight)


def _between_lines(array: Float32Array) -> Float32Array:
    """Insert interpolated lines along y."""
    count = array.shape[1]
    position = np.arange((count - 1) * _SUBSAMPLES + 1) / _SUBSAMPLES
    below = np.minimum(position.astype(int), count - 2)
    share = (position - below).astype(np.float32)[None, :, None]
    return np.asarray(array[:, below] * (1 - share) + array[:, below + 1] * share)


def _splatted(values: Float32Array, row: Float32Array, count: int) -> Float32Array:
    nz, _, nx = values.shape
    below = np.floor(row).astype(np.int32)
    share = row - below
    z = np.arange(nz, dtype=np.int32)[:, None, None]
    x = np.arange(nx, dtype=np.int32)[None, None, :]
    # one spare row at each end takes what leaves the field of view
    total = np.zeros(nz * (count + 2) * nx)
    for index, part in ((below, values * (1 - share)), (below + 1, values * share)):
        slot = np.clip(index + 1, 0, count + 1)
        flat = ((z * (count + 2) + slot) * nx + x).ravel()
        total += np.bincount(flat, weights=part.ravel(), minlength=total.size)
    return np.asarray(total.reshape(nz, count + 2, nx)[:, 1:-1], np.float32)


def with_ghost(image: Float32Array, share: float, phase_rad: float) -> Float32Array:
    """Add the N/2 ghost: a weak copy half a field of view away along y; complex sum, magnitude."""
    copy = np.roll(image, image.shape[1] // 2, axis=1)
    real = image * (1.0 - share) + share * np.cos(phase_rad) * copy
    imaginary = share * np.sin(phase_rad) * copy
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)
