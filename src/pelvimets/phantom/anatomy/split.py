"""Hip bones and femora of other programs into the eight structures, by the convention."""

from __future__ import annotations

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.labels import HIP_BONE, PROXIMAL_FEMUR, Bone
from pelvimets.phantom.anatomy.convention import NECK_INFERIOR, NECK_LATERAL, Part, structures
from pelvimets.phantom.anatomy.patient import Landmarks

FloatArray = npt.NDArray[np.float64]

_PROXIMAL_MM = 100.0
_FITS = 3
_FACING = -0.2  # cosine to the axis of the neck, away from the shaft
_FEWEST_POINTS = 20
_RADII_MM = (16.0, 33.0)
_APART_MM = (110.0, 280.0)
_UNIONS = {HIP_BONE.value: Part.HIP, PROXIMAL_FEMUR.value: Part.FEMUR}


def split_unions(labels: Volume) -> Volume:
    """Name the structures inside hip bones and femora that were drawn as one.

    Args:
        labels: ``Bone`` values, or those of ``HIP_BONE`` and ``PROXIMAL_FEMUR``.

    Returns:
        ``Bone`` values (uint8); the shaft of the femur is background. What was named stays.

    Raises:
        InputError: if the femoral heads are not found, since the convention rests on them.
    """
    if not np.isin(labels.array, list(_UNIONS)).any():
        return labels.with_array(labels.array.astype(np.uint8))
    part = np.zeros(labels.array.shape, np.uint8)
    for value, own in _UNIONS.items():
        part[labels.array == value] = own
    x, y, z = _places(labels.geometry)
    named = structures(part, x, y, z, landmarks_of(labels))
    kept = np.isin(labels.array, list(Bone))
    return labels.with_array(np.where(kept, labels.array, named).astype(np.uint8))


def landmarks_of(labels: Volume) -> Landmarks:
    """Femoral heads, from a mask of the femora: the largest ball in the medial upper part of each.

    Raises:
        InputError: if there are not two of plausible size and distance.
    """
    femur = np.isin(labels.array, (PROXIMAL_FEMUR.value, Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK))
    sides = cc3d.largest_k(femur, k=2, connectivity=26) if femur.any() else np.zeros((1, 1, 1))
    if sides.max() < 2:
        raise _no_heads(f"{int(sides.max())} femora")
    heads = [_head(sides == side, labels.geometry) for side in (1, 2)]
    (right, first), (left, second) = sorted(heads, key=lambda head: head[0][0])
    apart = left[0] - right[0]
    radius = (first + second) / 2
    if not _APART_MM[0] < apart < _APART_MM[1]:
        raise _no_heads(f"{apart:.0f} mm between the femora")
    if not _RADII_MM[0] < radius < _RADII_MM[1]:
        raise _no_heads(f"a radius of {radius:.0f} mm")
    return Landmarks(left, right, radius)


Point = tuple[float, float, float]


def _head(femur: npt.NDArray[np.bool_], geometry: Geometry) -> tuple[Point, float]:
    """Centre (LPS mm) and radius of the head of one femur."""
    depth = edt.edt(np.ascontiguousarray(femur), anisotropy=geometry.spacing, black_border=False)
    index = np.argwhere(femur)
    places = geometry.to_lps(index)
    upper = places[:, 2] > places[:, 2].max() - _PROXIMAL_MM
    middle = 0.5 * (geometry.to_lps(np.array([[0, 0, 0]])) + _last(geometry))[0, 0]
    from_middle = np.abs(places[:, 0] - middle)
    medial = upper & (from_middle <= np.median(from_middle[upper]))
    depths = depth[tuple(index.T)]
    deepest = np.where(medial, depths, 0)
    radius = float(deepest.max())
    centre = places[deepest > radius - min(geometry.spacing)].mean(axis=0)
    surface = places[depths <= 1.01 * max(geometry.spacing)]
    towards_socket = np.array([np.sign(middle - centre[0]) * NECK_LATERAL, 0.0, NECK_INFERIOR])
    for _ in range(_FITS):
        centre, radius = _fitted(surface, centre, radius, towards_socket)
    x, y, z = (float(value) for value in centre)
    return (x, y, z), radius + min(geometry.spacing) / 2  # voxels reach beyond their centres


def _fitted(
    surface: FloatArray, centre: FloatArray, radius: float, towards_socket: FloatArray
) -> tuple[FloatArray, float]:
    """Sphere through the surface of the head that faces the socket, by least squares."""
    arms = surface - centre
    distance = np.linalg.norm(arms, axis=1)
    facing = arms @ towards_socket > _FACING * distance
    own = surface[facing & (distance > 0.7 * radius) & (distance < 1.35 * radius)]
    if len(own) < _FEWEST_POINTS:
        return centre, radius
    table = np.column_stack([2 * own, np.ones(len(own))])
    solved, *_ = np.linalg.lstsq(table, (own**2).sum(axis=1), rcond=None)
    found = solved[:3]
    return found, float(np.sqrt(max(solved[3] + found @ found, 0.0)))


def _last(geometry: Geometry) -> npt.NDArray[np.float64]:
    return geometry.to_lps(np.array([[n - 1 for n in geometry.shape]]))


def _places(geometry: Geometry) -> tuple[npt.NDArray[np.float64], ...]:
    """LPS coordinates of all voxels, each (z, y, x)."""
    index = np.indices(geometry.shape).reshape(3, -1).T
    places = geometry.to_lps(index)
    return tuple(places[:, axis].reshape(geometry.shape) for axis in range(3))


def _no_heads(got: str) -> InputError:
    return InputError(
        "The femoral heads are not found, on which the division of hip bone and femur rests",
        got=got,
        remedy="Give both femora down to the trochanters, or masks of the eight structures",
    )
