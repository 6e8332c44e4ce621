"""From the planes of single slices to one regular grid; the order of files plays no part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pelvimets.core.geometry import FloatArray, Geometry
from pelvimets.errors import GeometryError

_EXPORT_AGAIN = "Export the whole series again, or choose another one"
_ORIENTATION_TOLERANCE = 2e-3
_SAME_POSITION_MM = 0.01
_UNEVEN = 0.1  # of the expected spacing
_GAP = 1.5  # of the expected spacing
_SIDEWAYS_PIXELS = 0.5


@dataclass(frozen=True)
class Plane:
    """Where one slice lies, as DICOM states it.

    Attributes:
        position: LPS mm of the centre of the first pixel (Image Position).
        orientation: Unit vectors along a row and down a column (Image Orientation).
        rows, columns: Number of pixels.
        pixel_spacing_mm: Between rows, between columns.
        thickness_mm: Slice thickness or spacing, used only for a single slice.
    """

    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along the slice normal, and the grid they form."""

    order: tuple[int, ...]
    geometry: Geometry


def stack_planes(planes: Sequence[Plane]) -> Stack:
    """Order slices along their normal and build the grid.

    Args:
        planes: In any order; each position once.

    Returns:
        ``order``, the indices of ``planes`` along the array's first axis (ascending along
        row x column), and the grid: array axes are (slice, down a column, along a row).

    Raises:
        GeometryError: on mixed sizes, pixel spacings or orientations, two slices at one
            position, a missing slice (with its place), uneven spacing or a sheared stack.
    """
    check_alike(planes)
    row, column, normal = _unit_axes(planes[0])
    positions = np.array([plane.position for plane in planes], dtype=np.float64)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    spacing = _slice_spacing(positions[order], along[order], planes[0])
    _check_not_sheared(positions[order], normal, min(planes[0].pixel_spacing_mm))
    row_mm, column_mm = planes[0].pixel_spacing_mm
    geometry = Geometry.from_axes(
        (len(planes), planes[0].rows, planes[0].columns),
        (spacing, row_mm, column_mm),
        planes[order[0]].position,
        np.array([normal, column, row]),
    )
    return Stack(tuple(int(n) for n in order), geometry)


def check_alike(planes: Sequence[Plane]) -> None:
    """Refuse slices that differ in size, pixel spacing or orientation.

    Raises:
        GeometryError: with what was found.
    """
    _check_one({(p.rows, p.columns) for p in planes}, planes, "image sizes")
    _check_one(
        {tuple(round(s, 4) for s in p.pixel_spacing_mm) for p in planes}, planes, "pixel spacings"
    )
    first = np.array(planes[0].orientation)
    off = [
        p for p in planes if np.abs(np.array(p.orientation) - first).max() > _ORIENTATION_TOLERANCE
    ]
    if off:
        raise GeometryError(
            "Mixed orientations in one volume",
            got=f"{len(planes) - len(off)} slices lie along {_short(planes[0].orientation)}, "
            f"{len(off)} along others, such as {_short(off[0].orientation)}",
            remedy=_EXPORT_AGAIN,
        )


def _check_one(kinds: set[tuple[float, ...]], planes: Sequence[Plane], name: str) -> None:
    if len(kinds) > 1:
        listed = ", ".join(" x ".join(f"{v:g}" for v in kind) for kind in sorted(kinds))
        raise GeometryError(
            f"Mixed {name} among the {len(planes)} slices of one volume",
            got=listed,
            remedy=_EXPORT_AGAIN,
        )


def _short(orientation: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in orientation) + ")"


def _unit_axes(plane: Plane) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Exactly orthonormal axes, from cosines that a header rounds."""
    row = np.array(plane.orientation[:3], dtype=np.float64)
    column = np.array(plane.orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    skew = abs(float(row @ column))
    if min(lengths) < 0.9 or max(lengths) > 1.1 or skew > 1e-2:
        raise GeometryError(
            "The image orientation is not a pair of unit vectors at right angles",
            got=_short(plane.orientation),
            remedy=_EXPORT_AGAIN,
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _slice_spacing(positions: FloatArray, along: FloatArray, plane: Plane) -> float:
    if len(along) == 1:
        return plane.thickness_mm or 1.0
    steps = np.diff(along)
    if steps.min() < _SAME_POSITION_MM:
        raise _double(positions[int(steps.argmin())], int((steps < _SAME_POSITION_MM).sum()))
    expected = _usual_step(steps)
    wide = np.flatnonzero(steps > _GAP * expected)
    if wide.size:
        raise _gap(positions, steps, wide, expected)
    if np.abs(steps - expected).max() > max(_UNEVEN * expected, 0.05):
        raise GeometryError(
            f"The slices are spaced unevenly, expected {expected:.2f} mm",
            got=f"{steps.min():.2f} to {steps.max():.2f} mm",
            remedy=_EXPORT_AGAIN,
        )
    return float((along[-1] - along[0]) / (len(along) - 1))


def _usual_step(steps: FloatArray) -> float:
    """The step most slices have; the smaller one on a tie, so that a gap shows as the gap."""
    counts = Counter(round(float(step), 1) for step in steps)
    most = max(counts.values())
    usual = min(step for step, count in counts.items() if count == most)
    near = steps[np.abs(steps - usual) <= 0.1]
    return float(np.median(near))


def _double(position: FloatArray, count: int) -> GeometryError:
    return GeometryError(
        "Different images lie at one slice position",
        got=f"{count} pairs, the first at {_place(position)}",
        remedy="Give a folder that holds each image once",
    )


def _gap(
    positions: FloatArray, steps: FloatArray, wide: np.ndarray, expected: float
) -> GeometryError:
    places = [f"between {_between(positions[n], positions[n + 1])}" for n in wide[:3]]
    missing = sum(max(1, round(float(steps[n]) / expected) - 1) for n in wide)
    more = f" and {len(wide) - 3} more places" if len(wide) > 3 else ""
    plural = "slices are" if missing > 1 else "slice is"
    return GeometryError(
        f"{missing} {plural} missing {', '.join(places)}{more}, expected spacing {expected:.2f} mm",
        got=", ".join(f"{steps[n]:.2f} mm" for n in wide[:3]),
        remedy=_EXPORT_AGAIN,
    )


def _between(first: FloatArray, second: FloatArray) -> str:
    axis = int(np.abs(second - first).argmax())
    low, high = sorted((float(first[axis]), float(second[axis])))
    return f"{'xyz'[axis]} = {low:.2f} and {high:.2f} mm"


def _place(position: FloatArray) -> str:
    return "x, y, z = " + ", ".join(f"{value:.2f}" for value in position) + " mm"


def _check_not_sheared(positions: FloatArray, normal: FloatArray, pixel_mm: float) -> None:
    offset = positions - positions[0]
    sideways = np.linalg.norm(offset - np.outer(offset @ normal, normal), axis=1).max()
    if sideways > _SIDEWAYS_PIXELS * pixel_mm:
        raise GeometryError(
            "The slices are not stacked along their normal",
            got=f"shifted sideways by up to {sideways:.2f} mm",
            remedy="Resample a sheared stack to a regular grid first, or choose another series",
        )
