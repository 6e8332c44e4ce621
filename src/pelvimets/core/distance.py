"""Distances from and into a mask, worked out only around it: the rest of a field is far away."""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]


def box_around(mask: BoolArray, room: Sequence[int] = (0, 0, 0)) -> Box | None:
    """The smallest box that holds a mask (z, y, x), with some voxels of room; None if empty.

    >>> box_around(np.eye(4, dtype=bool)[None], (1, 1, 0))
    (slice(0, 1, None), slice(0, 4, None), slice(0, 4, None))
    """
    ends = []
    for axis, extra in enumerate(room):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(hits):
            return None
        ends.append((max(int(hits[0]) - extra, 0), int(hits[-1]) + 1 + extra))
    z, y, x = (slice(low, min(high, n)) for (low, high), n in zip(ends, mask.shape, strict=True))
    return z, y, x


def depth_mm(mask: BoolArray, spacing: Sequence[float]) -> FloatArray:
    """Distance of each voxel of a mask to the nearest voxel outside it, mm; 0 outside."""
    depth = np.zeros(mask.shape, dtype=np.float32)
    box = box_around(mask, (1, 1, 1))
    if box is not None:
        depth[box] = _distance(mask[box], spacing)
    return depth


def distance_mm(mask: BoolArray, spacing: Sequence[float], reach_mm: float) -> FloatArray:
    """Distance of each voxel to the mask, mm; 0 inside, infinite where it is beyond the reach."""
    distance = np.full(mask.shape, np.inf, dtype=np.float32)
    box = box_around(mask, [int(reach_mm / step) + 1 for step in spacing])
    if box is not None:
        near = _distance(~mask[box], spacing)
        distance[box] = np.where(near <= reach_mm, near, np.float32(np.inf))
    return distance


def _distance(inside: BoolArray, spacing: Sequence[float]) -> FloatArray:
    plain = np.ascontiguousarray(inside)
    return np.asarray(edt.edt(plain, anisotropy=tuple(spacing), black_border=False))
