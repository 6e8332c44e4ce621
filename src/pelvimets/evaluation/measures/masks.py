"""What every measure asks of its masks: boolean, three axes, one grid, a spacing in mm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.errors import GeometryError, InputError

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]
Box = tuple[slice, slice, slice]


def as_mask(array: npt.ArrayLike) -> BoolArray:
    """A boolean mask of three axes; numbers other than 0 count as inside.

    Raises:
        InputError: if the array has not three axes.
    """
    mask = np.asarray(array)
    if mask.ndim != 3:
        raise InputError("A mask has three axes (z, y, x)", got=f"shape {mask.shape}")
    return mask.astype(bool, copy=False)


def as_pair(reference: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Two masks of one shape.

    Raises:
        GeometryError: if the shapes differ.
    """
    first, second = as_mask(reference), as_mask(prediction)
    if first.shape != second.shape:
        raise GeometryError(
            "Reference and prediction lie on different grids",
            got=f"reference {first.shape}, prediction {second.shape}",
            remedy="Resample the prediction to the grid of the reference with nearest neighbour",
        )
    return first, second


def as_spacing(spacing: Any) -> Spacing:
    """Voxel distance in mm (z, y, x).

    Raises:
        InputError: if these are not three positive finite numbers.
    """
    values = np.asarray(spacing, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or (values <= 0).any():
        raise InputError("A spacing is three positive numbers in mm (z, y, x)", got=spacing)
    return float(values[0]), float(values[1]), float(values[2])


def bounding_box(mask: BoolArray) -> tuple[slice, slice, slice] | None:
    """Smallest box that holds the mask; None if the mask is empty."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        if inside.size == 0:
            return None
        slices.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return slices[0], slices[1], slices[2]


def joint_crop(reference: BoolArray, prediction: BoolArray) -> tuple[BoolArray, BoolArray] | None:
    """Both masks cut to the box that holds them both; None if either is empty."""
    boxes = bounding_box(reference), bounding_box(prediction)
    if boxes[0] is None or boxes[1] is None:
        return None
    joint = tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(boxes[0], boxes[1], strict=True)
    )
    return reference[joint], prediction[joint]


def joint_box(first: Box | None, second: Box | None) -> Box:
    """Smallest box that holds both; one voxel where there is neither."""
    present = [box for box in (first, second) if box is not None]
    if not present:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    z, y, x = (
        slice(min(b[axis].start for b in present), max(b[axis].stop for b in present))
        for axis in range(3)
    )
    return z, y, x
