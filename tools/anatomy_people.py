"""People whose source is a label map: bones, muscles and organs on the atlas grid.

Development only. ``ts``: subjects of the TotalSegmentator data set, trunk without skin and
below the groin; ``ref``: TCIA Pelvic-Reference-Data as labelled by ``pelvic-annonation``, whole
pelvis and thighs without organs and with a coarse spine. Each lends the other what it lacks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from anatomy_bones import GRID, parted, register, signed_distance, symphysis, warp
from scipy import ndimage

from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.lattice import interpolation_matrix, upsample
from pelvimets.phantom.anatomy.patient import Landmarks
from pelvimets.phantom.anatomy.tissues import Skeleton

Masks = dict[str, np.ndarray]
CLIP_MM = 6.0
BLEND_MM = 8.0
HEAD_MARGIN_MM = 0.3
DISC_MM = 5.0
SPINE_END_MM = 25.0
LUMBAR = tuple(f"vertebrae_L{n}" for n in range(1, 6))
NECK_LATERAL, NECK_INFERIOR = 0.77, 0.64

# Values of the reference people; the muscles keep their numbers in the name.
REF_BONES = {"hip": 1, "femur": 2, "sacrum": 3, "spine": 4}
REF_MUSCLES = range(5, 29)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map in patient axes.

    Attributes:
        array: Values (z superior, y posterior, x left).
        spacing_mm: (z, y, x).
    """

    array: np.ndarray
    spacing_mm: tuple[float, float, float]

    def mask(self, *values: int) -> np.ndarray:
        """Voxels of the values."""
        return np.isin(self.array, values)


@dataclass(frozen=True, eq=False)
class Person:
    """What one label map gives on the atlas grid.

    Attributes:
        bones: ``hip``, ``femur``, ``sacrum`` and the vertebrae or ``spine``.
        soft: Muscles, organs, vessels, ``body`` where there is a skin.
        landmarks: Femoral heads, origin between them.
        bottom_mm: Lower end of the field.
    """

    bones: Masks
    soft: Masks
    landmarks: Landmarks
    bottom_mm: float

    @property
    def bone(self) -> np.ndarray:
        """All bones together, gaps between vertebrae closed, for registration."""
        spine = [m for n, m in self.bones.items() if n not in ("hip", "femur", "sacrum")]
        closed = ndimage.binary_closing(np.any(spine, axis=0), iterations=4)
        return closed | self.bones["hip"] | self.bones["sacrum"] | self.bones["femur"]


def read_ts(folder: Path, name: str) -> Person:
    """One subject of the TotalSegmentator data set."""
    label_map = _read(folder / f"{name}.nii.gz")
    values = {n: int(v) for v, n in json.loads((folder / "ts-labels.json").read_text()).items()}
    bones = {n: label_map.mask(values[n]) for n in LUMBAR}
    bones["sacrum"] = label_map.mask(values["vertebrae_S1"], values["sacrum"])
    bones["hip"] = label_map.mask(values["hip_left"], values["hip_right"])
    bones["femur"] = label_map.mask(values["femur_left"], values["femur_right"])
    named = ("hip_", "femur_", "vertebrae_", "sacrum")
    soft = {n: label_map.mask(v) for n, v in values.items() if not n.startswith(named)}
    return _on_grid(label_map, bones, soft)


def read_ref(folder: Path, number: str) -> Person:
    """One of the reference people."""
    label_map = _read(folder / f"pelvic-ref-{number}.nii.gz")
    bones = {name: label_map.mask(value) for name, value in REF_BONES.items()}
    bones["spine"] = ndimage.binary_closing(bones["spine"], iterations=2) & label_map.mask(4, 29)
    soft = {f"muscle_{value}": label_map.mask(value) for value in REF_MUSCLES}
    soft["body"] = largest(label_map.array > 0)
    return _on_grid(label_map, bones, soft)


def _read(path: Path) -> LabelMap:
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    x, y, z = image.GetSpacing()
    return LabelMap(sitk.GetArrayFromImage(image), (z, y, x))


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part."""
    labels, _ = ndimage.label(mask)
    return labels == np.argmax(np.bincount(labels.reshape(-1))[1:]) + 1


def _on_grid(label_map: LabelMap, bones: Masks, soft: Masks) -> Person:
    spacing = np.array(label_map.spacing_mm)
    heads = [femoral_head(bones["femur"], spacing, side) for side in (1.0, -1.0)]
    origin = 0.5 * (heads[0][0] + heads[1][0])
    left, right = (_triple((centre - origin)[::-1]) for centre, _ in heads)
    radius = 0.5 * (heads[0][1] + heads[1][1])
    index = [
        (np.arange(n) * s + o + c) / step
        for n, s, o, c, step in zip(
            GRID.shape, GRID.spacing, GRID.origin[::-1], origin, spacing, strict=True
        )
    ]
    distances = {
        name: _sampled(mask, index, spacing) for name, mask in (bones | soft).items() if mask.any()
    }
    body = distances.pop("body", None)
    kept = _disjoint(distances)
    if body is not None:
        kept["body"] = body > 0
    return Person(
        {name: kept[name] for name in bones},
        {name: kept[name] for name in soft if name in kept},
        Landmarks(left, right, radius),
        float(-origin[0]),
    )


def femoral_head(
    femur: np.ndarray, spacing_mm: np.ndarray, side: float
) -> tuple[np.ndarray, float]:
    """Centre (z, y, x) in mm and radius of one femoral head: a sphere through its surface.

    The side of the neck is left out. Surface voxels lie half a voxel inside the surface.
    """
    middle = np.argwhere(femur)[:, 2].mean()
    x = np.arange(femur.shape[2])
    half = femur & (side * (x - middle) > 0)[None, None, :]
    surface = np.argwhere(half & ~ndimage.binary_erosion(half, border_value=1)) * spacing_mm
    lateral = side * surface[:, 2]
    medial = surface[lateral < lateral.min() + 8.0]
    inwards = np.array([0.0, 0.0, side * 22.0])
    centre, radius = medial.mean(axis=0) + inwards, 25.0
    neck = np.array([-NECK_INFERIOR, 0.0, side * NECK_LATERAL])
    for step in range(40):
        offset = surface - centre
        distance = np.linalg.norm(offset, axis=1)
        band = max(3.0, 8.0 - 0.4 * step)
        near = (np.abs(distance - radius) < band) & (offset @ neck < 0.25 * distance)
        centre, radius = _sphere(surface[near])
    return centre, radius + 0.5 * float(np.prod(spacing_mm) ** (1.0 / 3.0))


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares sphere through points."""
    terms = np.column_stack([2.0 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(terms, (points**2).sum(axis=1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre))


def _sampled(mask: np.ndarray, index: list[np.ndarray], spacing_mm: np.ndarray) -> np.ndarray:
    """Distance to the surface on the atlas grid, mm, positive inside.

    Distances are taken in each slice and interpolated between slices (Raya SP, Udupa JK,
    IEEE Trans Med Imaging 1990;9:32), so thick slices leave no steps.
    What the upper end of the field cuts goes on above it.
    """
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    box = tuple(
        slice(max(s.start - 8, 0), min(s.stop + 8, n)) for s, n in zip(box, mask.shape, strict=True)
    )
    plane = tuple(spacing_mm[1:])
    distance = np.stack([_plane_distance(m, plane) for m in mask[box]])
    distance = ndimage.gaussian_filter(distance, 0.6)
    matrices = []
    for positions, extent in zip(index, box, strict=True):
        nodes = np.arange(extent.start, extent.stop, dtype=float)
        matrices.append(interpolation_matrix(np.clip(positions, nodes[0], nodes[-1]), nodes))
    sampled = upsample(distance.astype(np.float32), tuple(matrices))
    for axis, (positions, extent) in enumerate(zip(index, box, strict=True)):
        outside = (positions < extent.start - 0.5) | (positions > extent.stop - 0.5)
        if axis == 0 and extent.stop == len(mask):
            outside &= positions < extent.start
        sampled[(slice(None),) * axis + (outside,)] = -CLIP_MM
    return sampled


def _plane_distance(plane: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    if not plane.any():
        return np.full(plane.shape, -CLIP_MM, np.float32)
    distance = depth_mm(plane, spacing_mm) - distance_to_mm(plane, spacing_mm)
    return np.clip(distance, -CLIP_MM, CLIP_MM)


def _triple(point: np.ndarray) -> tuple[float, float, float]:
    first, second, third = point.tolist()
    return first, second, third


def _disjoint(distances: Masks) -> Masks:
    """Masks of which each voxel belongs to the deepest."""
    best = np.zeros(GRID.shape, np.float32)
    owner = np.zeros(GRID.shape, np.uint8)
    for number, distance in enumerate(distances.values(), start=1):
        deeper = distance > best
        best[deeper], owner[deeper] = distance[deeper], number
    return {name: owner == number for number, name in enumerate(distances, start=1)}


@dataclass(frozen=True, eq=False)
class Loan:
    """What one person lends another: masks warped onto the borrower."""

    bones: Masks
    soft: Masks


def lend(lender: Person, borrower: Person) -> sitk.Transform:
    """Transform from the borrower's to the lender's space, by their bones.

    A spine that names its vertebrae ends with L1, one that does not goes on: the upper end of
    the shorter tells nothing.
    """
    z = np.arange(GRID.shape[0]) * GRID.spacing[0] + GRID.origin[2]
    spines = [
        p.bones["vertebrae_L1" if "vertebrae_L1" in p.bones else "spine"]
        for p in (borrower, lender)
    ]
    top = min(float(z[spine.any(axis=(1, 2))].max()) for spine in spines) - SPINE_END_MM
    level = (z > max(borrower.bottom_mm, lender.bottom_mm) + 4.0) & (z < top)
    valid = np.broadcast_to(level[:, None, None], GRID.shape)
    return register(borrower.bone, lender.bone, np.ascontiguousarray(valid), 45.0, shrink=3)


def loan(lender: Person, transform: sitk.Transform) -> Loan:
    """All masks of the lender on the borrower: bones smoothly, the rest by nearest voxel."""
    transform = _tabulated(transform)
    bones = {
        name: warp(signed_distance(mask, 12.0), transform) for name, mask in lender.bones.items()
    }
    soft = {name: mask for name, mask in lender.soft.items() if name != "body"}
    numbers = np.zeros(GRID.shape, np.uint8)
    for number, mask in enumerate(soft.values(), start=1):
        numbers[mask] = number
    warped = warp(numbers, transform, nearest=True)
    kept = {name: warped == number for number, name in enumerate(soft, start=1)}
    if "body" in lender.soft:
        kept["body"] = warp(lender.soft["body"], transform) > 0.5
    return Loan(_disjoint(bones), kept)


def _tabulated(transform: sitk.Transform) -> sitk.Transform:
    """The same displacements, worked out once for every voxel of the atlas grid."""
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, GRID.shape[::-1], GRID.origin, GRID.spacing[::-1]
    )
    return sitk.DisplacementFieldTransform(field)


def ref_skeleton(person: Person, borrowed: Loan) -> Skeleton:
    """Own pelvis and femora, lumbar vertebrae borrowed."""
    hip, femur = sound_hips(person.bones["hip"]), _sound(_smooth(person.bones["femur"]), 2)
    femur = round_heads(femur, person.landmarks)
    sacrum = _sound(person.bones["sacrum"], 1)
    taken = hip | femur | sacrum
    lumbar = _spaced([borrowed.bones[name] & ~taken for name in LUMBAR], sacrum)
    return Skeleton(GRID, lumbar, sacrum & ~hip, hip & ~femur, femur, person.landmarks)


def ts_skeleton(person: Person, borrowed: Loan) -> Skeleton:
    """Own bones; below the field those of the lender, over a band from one to the other."""
    z = (np.arange(GRID.shape[0]) * GRID.spacing[0] + GRID.origin[2])[:, None, None]
    own = np.clip((z - person.bottom_mm - 3.0) / BLEND_MM, 0.0, 1.0)
    joined = {}
    for name, whole in (("hip", sound_hips), ("femur", lambda mask: _sound(mask, 2))):
        here = signed_distance(whole(person.bones[name]), 12.0)
        there = signed_distance(whole(borrowed.bones[name]), 12.0)
        joined[name] = own * here + (1.0 - own) * there > 0
    joined["hip"] = parted(joined["hip"])
    sacrum = _sound(person.bones["sacrum"], 1)
    femur = round_heads(joined["femur"], person.landmarks)
    hip = joined["hip"] & ~femur
    lumbar = tuple(person.bones[name] & ~(sacrum | hip) for name in LUMBAR)
    return Skeleton(GRID, lumbar, sacrum & ~hip, hip, femur, person.landmarks)


def _smooth(mask: np.ndarray) -> np.ndarray:
    """A thick bone without the steps of hand-drawn slices."""
    return ndimage.gaussian_filter(mask.astype(np.float32), 1.0) > 0.5


def round_heads(femur: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """The femur without what a coarse drawing adds to its heads beside the neck."""
    out = femur.copy()
    z, y, x = (
        np.arange(n) * s + o
        for n, s, o in zip(GRID.shape, GRID.spacing, GRID.origin[::-1], strict=True)
    )
    for side, head in ((1.0, landmarks.left_head_mm), (-1.0, landmarks.right_head_mm)):
        dx, dy, dz = x - head[0], (y - head[1])[:, None], (z - head[2])[:, None, None]
        distance = np.sqrt(dx**2 + dy**2 + dz**2)
        towards_neck = NECK_LATERAL * side * dx - NECK_INFERIOR * dz
        beyond = (distance > landmarks.head_radius_mm + HEAD_MARGIN_MM) & (
            towards_neck < 0.72 * distance
        )
        out &= ~(beyond & (distance < landmarks.head_radius_mm + 6.0))
        outside = out & (distance > landmarks.head_radius_mm + HEAD_MARGIN_MM) & (side * x > 0)
        out &= ~(outside & ~largest(outside))
    return out


def sound_hips(hip: np.ndarray) -> np.ndarray:
    """Both hip bones, each closed on its own, apart at the symphysis."""
    left = (np.arange(GRID.shape[2]) >= symphysis(hip))[None, None, :]
    return parted(_sound(hip & left, 2) | _sound(hip & ~left, 2))


def _spaced(lumbar: list[np.ndarray], sacrum: np.ndarray) -> tuple[np.ndarray, ...]:
    """Room for discs: vertebral bodies that a loan pressed together give way, half each."""
    out = list(lumbar)
    for n, lower in enumerate([*lumbar[1:], sacrum]):
        out[n] = _away(out[n], lower)
        if n + 1 < len(lumbar):
            out[n + 1] = _away(out[n + 1], lumbar[n])
    return tuple(_sound(mask, 1) for mask in out)


def _away(vertebra: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The vertebra without what lies too near another in its front half, the body."""
    rows = np.flatnonzero(vertebra.any(axis=(0, 2)))
    front = np.arange(vertebra.shape[1]) < rows[0] + 0.45 * len(rows)
    near = distance_to_mm(other, GRID.spacing) < DISC_MM
    return vertebra & ~(near & front[None, :, None])


def _sound(mask: np.ndarray, closing: int) -> np.ndarray:
    """Small gaps closed, cavities filled, crumbs dropped."""
    padded = np.pad(mask, closing, mode="edge")
    closed = ndimage.binary_closing(padded, iterations=closing)
    inner = tuple(slice(closing, -closing) for _ in range(3))
    filled = ndimage.binary_fill_holes(closed[inner])
    labels, _ = ndimage.label(filled)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    return sizes[labels] > 400
