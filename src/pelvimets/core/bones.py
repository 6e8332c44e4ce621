"""From a raw bone label map to the bone mask: stray parts dropped, sides told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from pelvimets.config import BoneSettings
from pelvimets.core.findings import BonePart
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Side

FloatArray = npt.NDArray[np.float64]

_PAIR_SHARE = 0.1  # a side with less of a structure's voxels than this says nothing of the midline


def clean_bones(labels: Volume, settings: BoneSettings) -> Volume:
    """Keep the largest components of each bone (paper: two), drop crumbs.

    Vertebrae are separate bones under one label, so more of them are kept.

    Returns:
        uint8 label map on the same grid.
    """
    components = cc3d.connected_components(labels.array, connectivity=26)
    sizes = np.bincount(components.ravel())
    values = _value_of_component(components, labels.array, len(sizes))
    smallest = settings.smallest_component_cm3 * 1000 / labels.geometry.voxel_volume_mm3
    keep = np.zeros(len(sizes), dtype=bool)
    for bone in Bone:
        count = (
            settings.keep_vertebrae
            if bone is Bone.LUMBAR_VERTEBRA
            else settings.keep_components_per_bone
        )
        own = np.flatnonzero(values == bone)
        largest = own[np.argsort(sizes[own], kind="stable")[::-1][:count]]
        keep[largest[sizes[largest] >= smallest]] = True
    return labels.with_array(np.where(keep[components], labels.array, 0).astype(np.uint8))


def _value_of_component(
    components: npt.NDArray[np.integer[Any]], labels: npt.NDArray[np.integer[Any]], n: int
) -> npt.NDArray[np.uint8]:
    values = np.zeros(n, dtype=np.uint8)
    inside = components > 0
    values[components[inside]] = labels[inside]
    return values


@dataclass(frozen=True, eq=False)
class MidlinePlane:
    """The plane between the patient's sides; ``normal`` points to the patient's left."""

    point_lps_mm: FloatArray
    normal: FloatArray

    def signed_distance_mm(self, lps: FloatArray) -> FloatArray:
        """Distance of points (..., 3) from the plane; positive on the left."""
        return np.asarray((lps - self.point_lps_mm) @ self.normal)

    def side(self, bone: Bone, lps: FloatArray) -> Side:
        """Side of a point in a structure."""
        if not bone.paired:
            return Side.MIDLINE
        return Side.LEFT if float(self.signed_distance_mm(lps)) >= 0 else Side.RIGHT


def midline_plane(bones: Volume) -> MidlinePlane:
    """Estimate the midline from paired structures, vertebrae and sacrum.

    Starts at the midline bones (or the middle of all bones) and refines with the
    left-right pairs that the plane separates. Without any bone it is the field's middle.
    """
    points, values = _bone_points(bones)
    if len(points) == 0:
        centre = bones.geometry.corners().mean(axis=0)
        return MidlinePlane(centre, np.array([1.0, 0.0, 0.0]))
    central = points[~np.isin(values, [b for b in Bone if b.paired])]
    start = central.mean(axis=0) if len(central) else (points.min(axis=0) + points.max(axis=0)) / 2
    plane = MidlinePlane(start, np.array([1.0, 0.0, 0.0]))
    for _ in range(3):
        plane = _refined(plane, points, values)
    return plane


def _bone_points(bones: Volume) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    index = np.argwhere(bones.array > 0)
    step = max(len(index) // 60_000, 1)
    index = index[::step]
    return bones.geometry.to_lps(index), bones.array[tuple(index.T)]


def _refined(
    plane: MidlinePlane, points: FloatArray, values: npt.NDArray[np.uint8]
) -> MidlinePlane:
    left = plane.signed_distance_mm(points) >= 0
    middles, directions = [], []
    for bone in Bone:
        own = values == bone
        if not bone.paired or not own.any():
            continue
        share = left[own].mean()
        if _PAIR_SHARE < share < 1 - _PAIR_SHARE:
            a, b = points[own & left].mean(axis=0), points[own & ~left].mean(axis=0)
            middles.append((a + b) / 2)
            directions.append((a - b) / np.linalg.norm(a - b))
    if not middles:
        return plane
    normal = np.sum(directions, axis=0)
    normal = normal / np.linalg.norm(normal)
    return MidlinePlane(np.mean(middles, axis=0), np.asarray(normal, dtype=np.float64))


def sided_parts(bones: Volume, plane: MidlinePlane) -> Volume:
    """Label map that tells the sides apart.

    Returns:
        uint8 on the same grid: the bone's value, plus 100 where a paired structure lies on
        the right. ``part_of`` reads the values.
    """
    index = np.argwhere(bones.array > 0)
    result = bones.array.astype(np.uint8)
    right = plane.signed_distance_mm(bones.geometry.to_lps(index)) < 0
    paired = np.isin(bones.array[tuple(index.T)], [b for b in Bone if b.paired])
    result[tuple(index[right & paired].T)] += _RIGHT
    return bones.with_array(result)


_RIGHT = 100


def part_of(value: int) -> BonePart:
    """The structure and side of a value in ``sided_parts``.

    >>> part_of(103).title
    'right ilium'
    """
    bone = Bone(value % _RIGHT)
    if not bone.paired:
        return BonePart(bone, Side.MIDLINE)
    return BonePart(bone, Side.RIGHT if value > _RIGHT else Side.LEFT)


def volumes_cm3(parts: Volume) -> dict[BonePart, float]:
    """Volume of each structure and side present in a ``sided_parts`` map."""
    counts = np.bincount(parts.array.ravel(), minlength=256)
    voxel = parts.geometry.voxel_volume_mm3 / 1000
    return {part_of(int(v)): float(counts[v] * voxel) for v in np.flatnonzero(counts) if v}


def touches_border(mask: npt.NDArray[np.bool_], geometry: Geometry) -> bool:
    """Whether a mask reaches the outermost voxels of the field: the structure is cut off."""
    return any(
        bool(mask.take(end, axis=axis).any())
        for axis in range(3)
        for end in (0, geometry.shape[axis] - 1)
    )
