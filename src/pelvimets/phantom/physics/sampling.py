"""From the patient's fine grid to the scanner's voxels, one axis at a time.

Both grids share their axes, so averaging over a voxel, the slice profile and the loss of
high spatial frequencies are each one matrix per axis. The product is exact and quick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
_SUBSAMPLES = 8


@dataclass(frozen=True)
class Axis:
    """Voxel centres along one patient axis: ``first_mm + n * step_mm`` for n < count."""

    first_mm: float
    step_mm: float
    count: int

    @classmethod
    def centred(cls, centre_mm: float, step_mm: float, count: int) -> Axis:
        """An axis whose middle lies at ``centre_mm``."""
        return cls(centre_mm - step_mm * (count - 1) / 2, step_mm, count)

    @property
    def centres_mm(self) -> npt.NDArray[np.float64]:
        """Voxel centres."""
        return self.first_mm + self.step_mm * np.arange(self.count, dtype=np.float64)

    def moved(self, offset_mm: float) -> Axis:
        """The same axis, shifted."""
        return Axis(self.first_mm + offset_mm, self.step_mm, self.count)


def averaging(source: Axis, target: Axis, width_mm: float, edge_mm: float = 0.0) -> Float32Array:
    """Matrix (target, source) that averages a linearly interpolated source over each voxel.

    Args:
        source: Axis of the patient's grid; beyond its ends lies air.
        target: Axis of the scanner's grid.
        width_mm: Width of the voxel or of the slice at half height.
        edge_mm: Length of the slopes of a trapezoid slice profile; 0 for a box.
    """
    reach = (width_mm + edge_mm) / 2
    offsets = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES * 2 * reach - reach
    weight = _trapezoid(offsets, width_mm, edge_mm)
    matrix = np.zeros((target.count, source.count))
    for offset, share in zip(offsets, weight / weight.sum(), strict=True):
        matrix += share * _interpolation(source, target.centres_mm + offset)
    return matrix.astype(np.float32)


def _trapezoid(
    offset_mm: npt.NDArray[np.float64], width_mm: float, edge_mm: float
) -> npt.NDArray[np.float64]:
    if edge_mm <= 0.0:
        return np.ones_like(offset_mm)
    return np.clip((width_mm / 2 + edge_mm / 2 - np.abs(offset_mm)) / edge_mm, 0.0, 1.0)


def _interpolation(source: Axis, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    position = (points_mm - source.first_mm) / source.step_mm
    matrix = np.zeros((len(points_mm), source.count))
    below = np.floor(position).astype(int)
    for index, share in ((below, 1.0 - (position - below)), (below + 1, position - below)):
        inside = (index >= 0) & (index < source.count)
        matrix[np.nonzero(inside)[0], index[inside]] += share[inside]
    return matrix


def band_limit(count: int, acquired_fraction: float) -> Float32Array:
    """Matrix (count, count) that keeps the measured part of k-space along one axis.

    The outer tenth is tapered, as scanners do; what ringing remains is Gibbs ringing.
    """
    frequency = np.abs(np.fft.fftfreq(count)) * 2.0  # 1 at the edge of k-space
    taper = 0.12 * acquired_fraction
    window = np.clip((acquired_fraction - frequency) / taper, 0.0, 1.0)
    window = 0.5 - 0.5 * np.cos(np.pi * window)
    if acquired_fraction >= 1.0:
        window = np.ones(count)
    spectrum = np.fft.fft(np.eye(count), axis=0) * window[:, None]
    return np.ascontiguousarray(np.fft.ifft(spectrum, axis=0).real, dtype=np.float32)


def along_z(matrix: Float32Array, array: Float32Array) -> Float32Array:
    """Apply a matrix along the first axis of (z, y, x)."""
    flat = matrix @ array.reshape(array.shape[0], -1)
    return np.asarray(flat.reshape(matrix.shape[0], *array.shape[1:]))


def along_y(matrix: Float32Array, array: Float32Array) -> Float32Array:
    """Apply a matrix along the second axis of (z, y, x)."""
    return np.asarray(np.matmul(matrix, array))


def along_x(matrix: Float32Array, array: Float32Array) -> Float32Array:
    """Apply a matrix along the third axis of (z, y, x)."""
    return np.asarray(np.matmul(array, matrix.T))
