"""Area of the surface that cuts a block of 2 x 2 x 2 voxels, for every filling of the block.

The surface runs between voxel centres. Rules, which fix the area for all 256 fillings:

- A block edge between an inside and an outside corner is cut in its middle.
- On a face with two opposite corners inside, the surface keeps them apart if at most four
  corners of the block are inside; a block with more is treated as its complement.
- A cut polygon of more than three corners is split into the triangles whose total area is
  greatest in a block of unit spacing.

These give the areas of the ``surface-distance`` package (checked by a test), whose measures
define the normalised surface distance (Nikolov et al., J Med Internet Res 2021;23:e26151).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from pelvimets.evaluation.measures.masks import FloatArray, Spacing

Point = tuple[float, float, float]
Triangle = tuple[int, int, int]

CORNERS: tuple[tuple[int, int, int], ...] = tuple(
    (z, y, x) for z, y, x in product((0, 1), repeat=3)
)
"""Corners of the block; corner n is bit n of its code."""


@lru_cache(maxsize=32)
def element_areas_mm2(spacing: Spacing) -> FloatArray:
    """Surface area for each of the 256 codes of a block.

    Args:
        spacing: Voxel distance in mm (z, y, x).

    Returns:
        256 areas in mm2; 0 for an empty and for a full block.
    """
    scale = np.asarray(spacing)
    areas = np.zeros(256)
    for code in range(1, 128):
        triangles = np.array(_triangles(code)) * scale
        areas[code] = areas[255 - code] = _areas(triangles).sum()
    areas.setflags(write=False)
    return areas


def _areas(triangles: FloatArray) -> FloatArray:
    first, second, third = np.moveaxis(triangles, 1, 0)
    areas: FloatArray = np.linalg.norm(np.cross(second - first, third - first), axis=-1) / 2
    return areas


@lru_cache(maxsize=256)
def _triangles(code: int) -> tuple[tuple[Point, Point, Point], ...]:
    """Triangles of a block's surface in units of the spacing."""
    inside = {corner: bool(code >> bit & 1) for bit, corner in enumerate(CORNERS)}
    lone = sum(inside.values()) <= 4
    triangles: list[tuple[Point, Point, Point]] = []
    for polygon in _polygons(inside, lone):
        triangles += [(polygon[a], polygon[b], polygon[c]) for a, b, c in _widest(polygon)]
    return tuple(triangles)


def _polygons(inside: dict[tuple[int, int, int], bool], lone: bool) -> list[list[Point]]:
    """Closed polygons of edge middles, from the cuts on the six faces."""
    joined: dict[Point, list[Point]] = {}
    for first, second in _cuts(inside, lone):
        joined.setdefault(first, []).append(second)
        joined.setdefault(second, []).append(first)
    polygons = []
    while joined:
        polygon = [next(iter(joined))]
        while onward := [point for point in joined.pop(polygon[-1]) if point in joined]:
            polygon.append(onward[0])
        polygons.append(polygon)
    return polygons


def _cuts(inside: dict[tuple[int, int, int], bool], lone: bool) -> list[tuple[Point, Point]]:
    cuts = []
    for axis, side in product(range(3), (0, 1)):
        ring = [_place(corner, axis, side) for corner in ((0, 0), (1, 0), (1, 1), (0, 1))]
        middles = [_middle(ring[n], ring[(n + 1) % 4]) for n in range(4)]
        crossed = [n for n in range(4) if inside[ring[n]] != inside[ring[(n + 1) % 4]]]
        if len(crossed) == 2:
            cuts.append((middles[crossed[0]], middles[crossed[1]]))
        elif len(crossed) == 4:
            cuts += [(middles[n - 1], middles[n]) for n in range(4) if inside[ring[n]] == lone]
    return cuts


def _place(corner: tuple[int, int], axis: int, side: int) -> tuple[int, int, int]:
    place = list(corner)
    place.insert(axis, side)
    return place[0], place[1], place[2]


def _middle(first: tuple[int, int, int], second: tuple[int, int, int]) -> Point:
    z, y, x = ((a + b) / 2 for a, b in zip(first, second, strict=True))
    return z, y, x


def _widest(polygon: list[Point]) -> list[Triangle]:
    points = np.array(polygon)

    def width(triangles: list[Triangle]) -> float:
        return round(float(_areas(points[np.array(triangles)]).sum()), 9)

    return max(_splits(tuple(range(len(polygon)))), key=width)


def _splits(corners: tuple[int, ...]) -> list[list[Triangle]]:
    """All ways to split a polygon into triangles."""
    if len(corners) < 3:
        return [[]]
    first, last = corners[0], corners[-1]
    ways = []
    for n in range(1, len(corners) - 1):
        for left, right in product(_splits(corners[: n + 1]), _splits(corners[n:])):
            ways.append([*left, *right, (first, corners[n], last)])
    return ways
