"""From bone parts and soft tissue to the atlas code: marrow, cortex, joints, discs, nerves.

Pure functions for ``tools/build_anatomy.py``; distances come from anatomy textbooks and are
rounded to the 2 mm of the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.atlas import PART_SHIFT
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.patient import Landmarks, Tissue, UInt8Array

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

CORTEX_MM = 2.01
SHAFT_CORTEX_MM = 6.0
SHAFT_BELOW_MM = -75.0
SACRAL_CANAL_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Bones of one source on the atlas grid.

    Attributes:
        geometry: Grid.
        lumbar: One mask per vertebra, from L1 to L5.
        sacrum: With coccyx.
        hip: Both hip bones.
        femur: Both femora.
        landmarks: Femoral heads.
    """

    geometry: Geometry
    lumbar: tuple[BoolArray, ...]
    sacrum: BoolArray
    hip: BoolArray
    femur: BoolArray
    landmarks: Landmarks

    @property
    def part(self) -> UInt8Array:
        """``Part`` values (z, y, x)."""
        part = np.zeros(self.geometry.shape, np.uint8)
        part[np.any(self.lumbar, axis=0)] = Part.LUMBAR
        part[self.sacrum] = Part.SACRUM
        part[self.hip] = Part.HIP
        part[self.femur] = Part.FEMUR
        return part

    @property
    def coordinates(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """LPS mm (z, y, x), each broadcastable to the grid."""
        origin = self.geometry.origin[::-1]
        axes = (
            o + np.arange(n) * s
            for o, n, s in zip(origin, self.geometry.shape, self.geometry.spacing, strict=True)
        )
        z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
        return z, y, x


def atlas_code(soft: UInt8Array, skeleton: Skeleton, lumbar_canal: BoolArray) -> UInt8Array:
    """Soft tissue and skeleton as one code per voxel.

    Args:
        soft: ``Tissue`` values where there is no bone (z, y, x).
        skeleton: Bones.
        lumbar_canal: Dural sac down to the sacrum (z, y, x).

    Returns:
        ``Tissue`` and ``Part`` (z, y, x).
    """
    part = skeleton.part
    sacral, fat = sacral_canal(skeleton)
    canal = (lumbar_canal & (part == 0)) | sacral
    part[sacral | fat] = Part.NONE
    tissue = np.where(soft == Tissue.AIR, np.uint8(Tissue.AIR), soft).astype(np.uint8)
    free = part == 0
    tissue[fat & free] = Tissue.INTERMUSCULAR_FAT
    _write(tissue, cartilage(skeleton), Tissue.CARTILAGE, free & (soft != Tissue.AIR))
    _write_discs(tissue, skeleton, canal, free)
    tissue[canal & free] = Tissue.CSF
    roots = nerves(skeleton, lumbar_canal | sacral)
    _write(tissue, roots, Tissue.NERVE, free & (soft != Tissue.AIR))
    marrow_and_cortex(tissue, part, skeleton)
    return tissue | (part << np.uint8(PART_SHIFT))


def _write(tissue: UInt8Array, mask: BoolArray, value: Tissue, where: BoolArray) -> None:
    tissue[mask & where] = value


def marrow_and_cortex(tissue: UInt8Array, part: UInt8Array, skeleton: Skeleton) -> None:
    """Fill bones with marrow inside a cortex, in place; the femoral shaft has a thick one."""
    z, _, _ = skeleton.coordinates
    for value in (Part.LUMBAR, Part.SACRUM, Part.HIP, Part.FEMUR):
        bone = part == value
        depth = depth_mm(bone, skeleton.geometry.spacing)
        cortex = depth <= CORTEX_MM
        if value == Part.FEMUR:
            cortex |= (z < SHAFT_BELOW_MM) & (depth < SHAFT_CORTEX_MM)
        fatty = Tissue.YELLOW_MARROW if value == Part.FEMUR else Tissue.RED_MARROW
        tissue[bone] = np.where(cortex[bone], Tissue.CORTICAL_BONE, fatty)


def cartilage(skeleton: Skeleton) -> BoolArray:
    """Hip joints, sacroiliac joints and symphysis: what lies between two close bones."""
    spacing = skeleton.geometry.spacing
    hip, femur, sacrum = (
        distance_to_mm(bone, spacing) for bone in (skeleton.hip, skeleton.femur, skeleton.sacrum)
    )
    z, y, x = skeleton.coordinates
    heads = (skeleton.landmarks.left_head_mm, skeleton.landmarks.right_head_mm)
    near = np.minimum(
        *(np.sqrt((x - h[0]) ** 2 + (y - h[1]) ** 2 + (z - h[2]) ** 2) for h in heads)
    )
    joint = (hip < 5.0) & (femur < 5.0) & (near < skeleton.landmarks.head_radius_mm + 8.0)
    joint |= (hip < 4.5) & (sacrum < 4.5)
    middle = skeleton.landmarks.midline_x_mm
    one, other = (
        distance_to_mm((skeleton.hip & side), spacing) < 8.0 for side in (x > middle, x <= middle)
    )
    return np.asarray(joint | (one & other))


def _write_discs(tissue: UInt8Array, skeleton: Skeleton, canal: BoolArray, free: BoolArray) -> None:
    """Discs between neighbouring vertebral bodies, in front of the canal, in place."""
    front = _canal_front(canal, skeleton.geometry.shape)
    chain = [*skeleton.lumbar, skeleton.sacrum]
    for upper, lower in pairwise(chain):
        box = _box_around(upper, 13)
        spacing = skeleton.geometry.spacing
        above = distance_to_mm(upper[box], spacing)
        below = distance_to_mm(lower[box], spacing)
        between = (above + below < 15.0) & (above < 12.0) & (below < 12.0) & free[box]
        rows = np.arange(box[1].start, box[1].stop)[None, :, None]
        between &= rows < front[box[0], None, None] - 1
        disc = _largest(ndimage.binary_opening(between, _IN_PLANE, iterations=2))
        nucleus = depth_mm(disc, spacing) > 3.0
        view = tissue[box]
        view[disc] = Tissue.DISC_ANNULUS
        view[nucleus] = Tissue.DISC_NUCLEUS


_IN_PLANE = ndimage.generate_binary_structure(2, 1)[None]


def _largest(mask: BoolArray) -> BoolArray:
    """The largest connected part, nothing if there is none."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()))


def _canal_front(canal: BoolArray, shape: tuple[int, ...]) -> FloatArray:
    """First row of the canal in each slice, taken from the nearest slice that has one."""
    slices = np.flatnonzero(canal.any(axis=(1, 2)))
    if slices.size == 0:
        return np.full(shape[0], float(shape[1]))
    rows = [float(np.flatnonzero(canal[k].any(axis=1))[0]) for k in slices]
    return np.interp(np.arange(shape[0]), slices, rows)


def _box_around(mask: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    z, y, x = (
        slice(max(s.start - margin, 0), min(s.stop + margin, n))
        for s, n in zip(ndimage.find_objects(mask.astype(np.uint8))[0], mask.shape, strict=True)
    )
    return z, y, x


def sacral_canal(skeleton: Skeleton) -> tuple[BoolArray, BoolArray]:
    """Dural sac (to S2) and the fat around and below it inside the sacrum."""
    z, y, x = skeleton.coordinates
    path = sacral_path(skeleton)
    level = z[:, 0, 0]
    inside = (level >= path[0, 0]) & (level <= path[-1, 0])
    centre = np.interp(level, path[:, 0], path[:, 1])[:, None, None]
    share = np.interp(level, path[:, 0], np.linspace(0.0, 1.0, len(path)))[:, None, None]
    middle = skeleton.landmarks.midline_x_mm
    radius2 = ((y - centre) / 0.75) ** 2 + (x - middle) ** 2
    slab = inside[:, None, None]
    sac = slab & (share > 0.35) & (radius2 < (3.0 + 5.0 * share) ** 2)
    fat = slab & (radius2 < (5.0 + 5.0 * share) ** 2) & ~sac
    return np.asarray(sac), np.asarray(fat)


def sacral_path(skeleton: Skeleton) -> FloatArray:
    """Points (z, y) mm of the sacral canal, upwards: behind two thirds of the sacrum."""
    z, y, x = skeleton.coordinates
    strip = skeleton.sacrum & (np.abs(x - skeleton.landmarks.midline_x_mm) < 8.0)
    slices = np.flatnonzero(strip.any(axis=(1, 2)))
    start = slices[0] + round((1.0 - SACRAL_CANAL_SHARE) * len(slices))
    points = []
    for k in range(start, slices[-1] + 1):
        rows = np.flatnonzero(strip[k].any(axis=1))
        if rows.size:
            front, back = y[0, rows[0], 0], y[0, rows[-1], 0]
            points.append((z[k, 0, 0], front + 0.66 * (back - front)))
    path = np.array(points)
    path[:, 1] = ndimage.gaussian_filter1d(path[:, 1], 5.0, mode="nearest")
    return path


def nerves(skeleton: Skeleton, canal: BoolArray) -> BoolArray:
    """Cauda equina, lumbar and sacral roots, sciatic nerves (z, y, x)."""
    out = np.zeros(skeleton.geometry.shape, bool)
    for root in (*_lumbar_roots(skeleton, canal), *_sacral_roots(skeleton)):
        for side in (1.0, -1.0):
            _draw_tube(out, skeleton, root, side)
    return out | _cauda(skeleton, canal)


Tube = list[tuple[float, float, float, float]]


def _lumbar_roots(skeleton: Skeleton, canal: BoolArray) -> list[Tube]:
    """One tube per vertebra, right half: (lateral, y, z, radius) in mm."""
    z, y, _ = skeleton.coordinates
    tubes: list[Tube] = []
    for vertebra in skeleton.lumbar:
        slices = np.flatnonzero(vertebra.any(axis=(1, 2)))
        level = float(z[int(np.median(slices)), 0, 0]) - 6.0
        k = round(skeleton.geometry.to_index([0.0, 0.0, level])[0])
        rows = np.flatnonzero(canal[np.clip(k, 0, len(canal) - 1)].any(axis=1))
        if rows.size == 0:
            continue
        back = float(y[0, int(rows.mean()), 0])
        tubes.append(
            [
                (6.0, back, level + 4.0, 1.6),
                (15.0, back - 4.0, level, 2.2),
                (21.0, back - 7.0, level - 4.0, 3.4),
                (30.0, back - 15.0, level - 16.0, 2.2),
                (38.0, back - 22.0, level - 42.0, 2.0),
            ]
        )
    return tubes


def _sacral_roots(skeleton: Skeleton) -> list[Tube]:
    """L5-S3 roots that meet in the sciatic nerve, which leaves behind the hip joint."""
    path = sacral_path(skeleton)
    half = abs(skeleton.landmarks.left_head_mm[0] - skeleton.landmarks.midline_x_mm)
    notch = (0.60 * half, 44.0, 32.0, 4.5)
    behind = (0.82 * half, 44.0, -4.0, 5.0)
    sciatic: Tube = [
        notch,
        behind,
        (0.84 * half, 42.0, -45.0, 5.0),
        (0.82 * half, 34.0, -130.0, 4.5),
    ]
    tubes = [sciatic]
    for share, lateral in ((0.80, 24.0), (0.50, 20.0), (0.2, 16.0)):
        z, y = path[int(share * (len(path) - 1))]
        start = (5.0, float(y), float(z) + 6.0, 1.8)
        ganglion = (0.6 * lateral, float(y) - 5.0, float(z), 3.0)
        front = (lateral, float(y) - 22.0, float(z) - 8.0, 2.4)
        tubes.append([start, ganglion, front, notch])
    return tubes


def _draw_tube(out: BoolArray, skeleton: Skeleton, tube: Tube, side: float) -> None:
    """Mark a tube through points on one side of the midline, in place."""
    spacing = np.array(skeleton.geometry.spacing)
    middle = skeleton.landmarks.midline_x_mm
    for first, second in pairwise(tube):
        a, b = np.array(first), np.array(second)
        steps = max(2, int(np.linalg.norm((b - a)[:3])))
        for share in np.linspace(0.0, 1.0, steps):
            lateral, y, z, radius = a + share * (b - a)
            index = skeleton.geometry.to_index([middle + side * lateral, y, z])
            low = np.maximum(np.ceil(index - radius / spacing), 0).astype(int)
            high = np.floor(index + radius / spacing).astype(int) + 1
            box = tuple(slice(p, max(p, q)) for p, q in zip(low, high, strict=True))
            grid = np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij")
            offset = (np.stack(grid, axis=-1) - index) * spacing
            ball = (offset**2).sum(axis=-1) <= radius**2
            view = out[box]
            view |= ball[: view.shape[0], : view.shape[1], : view.shape[2]]


def _cauda(skeleton: Skeleton, canal: BoolArray) -> BoolArray:
    """Threads of the cauda equina: every other row of the back half of the sac."""
    _, _, x = skeleton.coordinates
    rows = np.cumsum(canal, axis=1)
    total = canal.sum(axis=1, keepdims=True)
    back = canal & (rows > 0.6 * total) & (rows < total)
    columns = np.round((x - skeleton.landmarks.midline_x_mm) / skeleton.geometry.spacing[2])
    return np.asarray(back & (columns % 3 == 0))
