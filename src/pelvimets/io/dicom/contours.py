"""Outlines of masks along the edges of their voxels, and masks of outlines.

An outline runs through the corners of voxels, so that the mask comes back voxel by voxel. A hole
is part of the outline around it, reached through a channel of no width (the keyhole of DICOM
PS3.3 C.8.8.6.3): programs differ on holes that are outlines of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Corner = tuple[int, int]
Outline = npt.NDArray[np.int64]
"""Corners (n, 2) as (row, column); corner (r, c) is the upper left one of voxel (r, c)."""


def outlines(mask: BoolArray) -> list[Outline]:
    """The closed outlines of a mask of one slice, one for each part of it.

    Voxels that touch at a corner stay apart.

    >>> [outline.tolist() for outline in outlines(np.array([[True, True]]))]
    [[[0, 0], [0, 2], [1, 2], [1, 0]]]
    """
    ends: dict[Corner, list[Corner]] = defaultdict(list)
    for start, end in _edges(mask):
        ends[start].append(end)
    found = []
    for start in sorted(ends):
        while ends[start]:
            found.append(_straightened(_loop(start, ends)))
    return _with_holes(found)


def filled(loops: Iterable[Outline], shape: tuple[int, int]) -> BoolArray:
    """The mask of outlines whose sides run along rows and columns."""
    mask = np.zeros(shape, dtype=np.bool_)
    for loop in loops:
        for (row, column), (next_row, next_column) in zip(
            loop, np.roll(loop, -1, axis=0), strict=True
        ):
            if column == next_column:
                low, high = sorted((int(row), int(next_row)))
                mask[low:high, int(column) :] ^= True
    return mask


def _edges(mask: BoolArray) -> list[tuple[Corner, Corner]]:
    """Sides of voxels between inside and outside, the inside on the right hand."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (1, 0)),
        (padded[1:-1, :-2], (1, 0), (0, 0)),
    )
    edges = []
    for beside, (r0, c0), (r1, c1) in sides:
        for row, column in np.argwhere(inside & ~beside).tolist():
            edges.append(((row + r0, column + c0), (row + r1, column + c1)))
    return edges


def _loop(start: Corner, ends: dict[Corner, list[Corner]]) -> list[Corner]:
    """Follow the sides from a corner back to it; where two go on, the one to the right."""
    loop, here, came = [start], ends[start].pop(), start
    while here != start:
        loop.append(here)
        there = max(ends[here], key=lambda end: _to_the_right(came, here, end))
        ends[here].remove(there)
        came, here = here, there
    return loop


def _to_the_right(came: Corner, here: Corner, end: Corner) -> int:
    (r0, c0), (r1, c1), (r2, c2) = came, here, end
    return (c1 - c0) * (r2 - r1) - (r1 - r0) * (c2 - c1)


def _with_holes(loops: list[Outline]) -> list[Outline]:
    """Each hole joined to what lies to the left of it: an outline, or a hole joined before."""
    holes = sorted((x for x in loops if _is_hole(x)), key=lambda hole: tuple(_leftmost(hole)[::-1]))
    whole = [x for x in loops if not _is_hole(x)]
    for hole in holes:
        start = _leftmost(hole)
        reached = [_first_to_the_left(loop, start) for loop in whole]
        best = max(range(len(whole)), key=lambda n: reached[n][0])
        column, after = reached[best]
        at = int(np.flatnonzero((hole == start).all(axis=1))[0])
        gate = np.array([[start[0], column]])
        around = np.concatenate([gate, np.roll(hole, -at, axis=0), start[None], gate])
        loop = whole[best]
        whole[best] = np.concatenate([loop[: after + 1], around, loop[after + 1 :]])
    return [_without_repeats(loop) for loop in whole]


def _is_hole(loop: Outline) -> bool:
    """Outlines run with the inside on the right hand, so a hole runs the other way round."""
    rows, columns = loop.T
    return int(np.sum(columns * np.roll(rows, -1) - rows * np.roll(columns, -1))) < 0


def _leftmost(loop: Outline) -> Outline:
    """Its corner (row, column) furthest to the left, of these the uppermost."""
    return np.asarray(min(loop.tolist(), key=lambda corner: (corner[1], corner[0])))


def _first_to_the_left(loop: Outline, start: Outline) -> tuple[int, int]:
    """Where an outline is met from a corner to the left: column, and after which corner of it.

    The column is -1 where it is not met.
    """
    row, column = (int(v) for v in start)
    ends = np.roll(loop, -1, axis=0)
    low, high = np.minimum(loop, ends), np.maximum(loop, ends)
    met = (low[:, 0] <= row) & (row <= high[:, 0]) & (low[:, 1] <= column)
    columns = np.where(met, np.minimum(high[:, 1], column), -1)
    after = int(np.argmax(columns))
    return int(columns[after]), after


def _without_repeats(loop: Outline) -> Outline:
    """Without corners that repeat the one before."""
    return loop[np.any(loop != np.roll(loop, 1, axis=0), axis=1)]


def _straightened(loop: list[Corner]) -> Outline:
    """Without the corners at which the outline goes straight on."""
    points = np.asarray(loop, dtype=np.int64)
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    turns = np.any((points - before) != (after - points), axis=1)
    return points[turns]
