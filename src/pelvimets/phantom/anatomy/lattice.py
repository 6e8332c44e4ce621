"""Smooth fields from coarse lattices: linear interpolation, axis by axis."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


def interpolation_matrix(
    at: npt.NDArray[np.floating], nodes: npt.NDArray[np.floating]
) -> Float32Array:
    """Weights (len(at), len(nodes)) of linear interpolation between evenly spaced nodes.

    Positions beyond the nodes are extrapolated.
    """
    step = nodes[1] - nodes[0]
    position = (at - nodes[0]) / step
    low = np.clip(np.floor(position).astype(int), 0, len(nodes) - 2)
    weight = position - low
    rows = np.arange(len(at))
    matrix = np.zeros((len(at), len(nodes)), np.float32)
    matrix[rows, low] = 1.0 - weight
    matrix[rows, low + 1] = weight
    return matrix


def upsample(lattice: Float32Array, matrices: tuple[Float32Array, ...]) -> Float32Array:
    """Interpolate a lattice (z, y, x) with one matrix per axis."""
    mz, my, mx = matrices
    planes: Float32Array = np.matmul(my, np.tensordot(mz, lattice, axes=(1, 0)))
    return np.asarray(np.matmul(planes, mx.T))


def nodes_over(low: float, high: float, step: float) -> npt.NDArray[np.float64]:
    """At least two evenly spaced positions from ``low`` to ``high``, at most ``step`` apart."""
    return np.linspace(low, high, max(2, int(np.ceil((high - low) / step)) + 1))


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], cell: tuple[float, float, float]
) -> Float32Array:
    """Noise of unit variance at the lattice points, linear between them.

    Args:
        rng: Source of randomness.
        shape: Voxels (z, y, x).
        cell: Distance of lattice points in voxels (z, y, x).
    """
    counts = [max(2, int(np.ceil(n / c)) + 2) for n, c in zip(shape, cell, strict=True)]
    lattice = rng.standard_normal(counts, dtype=np.float32)
    offsets = rng.random(3)
    matrices = tuple(
        interpolation_matrix(np.arange(n) / c + o, np.arange(k, dtype=float))
        for n, c, k, o in zip(shape, cell, counts, offsets, strict=True)
    )
    return upsample(lattice, matrices)
