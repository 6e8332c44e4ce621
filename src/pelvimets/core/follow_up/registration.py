"""Bones of one examination laid onto those of another, rigidly (SimpleITK).

The surface distance of the bones is registered, not the images: two examinations differ in coil,
gain and disease, while bones keep their shape.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from pelvimets.core.bones import midline_plane, part_of, sided_parts
from pelvimets.core.findings import BonePart
from pelvimets.core.follow_up.settings import MatchSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone

FloatArray = npt.NDArray[np.float64]

_MARGIN_VOXELS = 3
_LEAST_VOXELS = 200
_BETTER = 0.01
_LARGEST_OWN_SHIFT_MM = 25.0
_RING = (Bone.SACROCOCCYX, Bone.ILIUM, Bone.ACETABULUM, Bone.ISCHIUM, Bone.PUBIS)
_FEMUR = (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK)


@dataclass(frozen=True, eq=False)
class Rigid:
    """From points of the baseline to points of the later examination, LPS mm.

    Attributes:
        matrix: Rotation, 3 x 3.
        offset_mm: Added after it.
    """

    matrix: FloatArray
    offset_mm: FloatArray

    def __call__(self, points_mm: npt.ArrayLike) -> FloatArray:
        """Points (..., 3) where they lie later."""
        return np.asarray(np.asarray(points_mm, dtype=np.float64) @ self.matrix.T + self.offset_mm)

    def inverse(self) -> Rigid:
        """From the later examination to the baseline."""
        return Rigid(self.matrix.T, -self.matrix.T @ self.offset_mm)

    @property
    def turn_deg(self) -> float:
        """Angle of the rotation."""
        cosine = (np.trace(self.matrix) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass(frozen=True, eq=False)
class Registration:
    """How the bones of one sequence lie in two examinations.

    Attributes:
        all_bones: Of all bones together.
        bodies: Of bodies on their own, by name, where that fits better.
        overlap: Dice of the bones once laid onto each other.
        overlap_before: Dice as they lay.
        shift_mm: How far the middle of the bones moved.
    """

    all_bones: Rigid
    bodies: dict[str, Rigid]
    overlap: float
    overlap_before: float
    shift_mm: float

    def of(self, part: BonePart) -> Rigid:
        """The transform that holds for a structure."""
        return self.bodies.get(body_of(part), self.all_bones)


def body_of(part: BonePart) -> str:
    """The rigid body that a structure belongs to.

    >>> from pelvimets.labels import Side
    >>> body_of(BonePart(Bone.FEMORAL_NECK, Side.LEFT)), body_of(BonePart(Bone.PUBIS, Side.RIGHT))
    ('left femur', 'pelvic ring')
    """
    if part.bone in _FEMUR:
        return f"{part.side} femur"
    return "pelvic ring" if part.bone in _RING else "lumbar spine"


def register_bones(before: Volume, now: Volume, settings: MatchSettings) -> Registration:
    """Lay the bones of the baseline onto those of a later examination.

    Args:
        before: Bone label map of the baseline.
        now: Bone label map of the same sequence, later.
        settings: Grid and whether bodies move on their own.
    """
    bones = [_sided_on_grid(volume, settings.grid_mm) for volume in (before, now)]
    common = sorted(set(np.unique(bones[0].array)) & set(np.unique(bones[1].array)) - {0})
    still = Rigid(np.eye(3), np.zeros(3))
    if not common:
        return Registration(still, {}, 0.0, 0.0, 0.0)
    first, second = (_mask(volume, common) for volume in bones)
    start = Rigid(np.eye(3), _middle(second) - _middle(first))
    best = max((still, start), key=lambda rigid: overlap_of(first, second, rigid))
    whole = _registered(first, second, best, settings)
    whole = max((best, whole), key=lambda rigid: overlap_of(first, second, rigid))
    bodies = _bodies(bones[0], bones[1], common, whole, settings) if settings.bodies else {}
    middle = _middle(first)
    return Registration(
        whole,
        bodies,
        overlap_of(first, second, whole),
        overlap_of(first, second, still),
        float(np.linalg.norm(whole(middle) - middle)),
    )


def _bodies(
    before: Volume, now: Volume, common: list[int], whole: Rigid, settings: MatchSettings
) -> dict[str, Rigid]:
    values: dict[str, list[int]] = {}
    for value in common:
        values.setdefault(body_of(part_of(int(value))), []).append(value)
    found = {}
    for name, own in values.items():
        first, second = _mask(before, own), _mask(now, own)
        if min(first.array.sum(), second.array.sum()) < _LEAST_VOXELS:
            continue
        moved = _registered(first, second, whole, settings)
        middle = _middle(first)
        shift = float(np.linalg.norm(moved(middle) - whole(middle)))
        gain = overlap_of(first, second, moved) - overlap_of(first, second, whole)
        if gain > _BETTER and shift < _LARGEST_OWN_SHIFT_MM:
            found[name] = moved
    return found


def _sided_on_grid(bones: Volume, grid_mm: float) -> Volume:
    """Bones with their sides on a grid of equal voxels around them."""
    sided = sided_parts(bones, midline_plane(bones)) if bones.array.any() else bones
    index = np.argwhere(sided.array > 0)
    if not len(index):
        return sided
    points = sided.geometry.to_lps(index)
    low = points.min(axis=0) - _MARGIN_VOXELS * grid_mm
    shape = np.ceil((points.max(axis=0) - low) / grid_mm).astype(int) + 1 + _MARGIN_VOXELS
    grid = Geometry.from_axes(
        (int(shape[2]), int(shape[1]), int(shape[0])),
        (grid_mm, grid_mm, grid_mm),
        (float(low[0]), float(low[1]), float(low[2])),
    )
    return resample_labels(sided, grid)


def _mask(bones: Volume, values: Collection[int]) -> Volume:
    return bones.with_array(np.isin(bones.array, list(values)))


def _middle(mask: Volume) -> FloatArray:
    middle: FloatArray = mask.geometry.to_lps(np.argwhere(mask.array)).mean(axis=0)
    return middle


def overlap_of(before: Volume, now: Volume, rigid: Rigid) -> float:
    """Dice of two masks, the first one moved; both on grids of the same voxel."""
    points = rigid(before.geometry.to_lps(np.argwhere(before.array)))
    common = float(values_at(now, points).sum())
    return 2 * common / max(float(before.array.sum() + now.array.sum()), 1.0)


def values_at(volume: Volume, points_mm: FloatArray) -> npt.NDArray[np.int64]:
    """Values at points (n, 3), nearest voxel; 0 outside the field."""
    index = np.rint(volume.geometry.to_index(points_mm)).astype(np.int64)
    inside = ((index >= 0) & (index < np.asarray(volume.array.shape))).all(axis=1)
    values = np.zeros(len(index), dtype=np.int64)
    values[inside] = volume.array[tuple(index[inside].T)]
    return values


def _registered(before: Volume, now: Volume, start: Rigid, settings: MatchSettings) -> Rigid:
    """Minimise the mean squared difference of the clipped signed distances."""
    fixed, moving = (_distance(mask, settings.clip_mm).to_sitk() for mask in (before, now))
    transform = sitk.Euler3DTransform()
    transform.SetCenter(_middle(before).tolist())
    transform.SetMatrix(start.matrix.ravel().tolist())
    centre = np.asarray(transform.GetCenter())
    transform.SetTranslation((start(centre) - centre).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in one order: the same input, the same result
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 80, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([3, 2])
    method.SetSmoothingSigmasPerLevel([0, 0])
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # the two do not meet at all
        return start
    matrix = np.asarray(transform.GetMatrix(), dtype=np.float64).reshape(3, 3)
    moved = centre + np.asarray(transform.GetTranslation())
    return Rigid(matrix, moved - matrix @ centre)


def _distance(mask: Volume, clip_mm: float) -> Volume:
    """Signed distance to the surface, negative inside, clipped (float32, mm)."""
    reach = int(np.ceil(clip_mm / mask.geometry.spacing[0]))
    array = np.pad(mask.array, reach)
    spacing = mask.geometry.spacing
    outside = ndimage.distance_transform_edt(~array, spacing)
    inside = ndimage.distance_transform_edt(array, spacing)
    matrix = mask.geometry.matrix.copy()
    matrix[:3, 3] = mask.geometry.to_lps([-reach] * 3)
    z, y, x = array.shape
    signed = np.clip(outside - inside, -clip_mm, clip_mm).astype(np.float32)
    return Volume(signed, Geometry((z, y, x), matrix))
