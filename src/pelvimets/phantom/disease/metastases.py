"""Metastases: where they sit, what they look like, how they grow.

Places follow the spread of prostate cancer along the vertebral venous plexus: spine and
pelvis before the femora, red marrow before yellow (Bubendorf L et al., Hum Pathol
2000;31:578; Messiou C et al., Br J Cancer 2009;101:1225). ADC of untreated metastases lies
about 600-1200 um2/s, after response above 1400 (Padhani AR et al., Radiology 2011;261:700).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.labels import Bone, Side
from pelvimets.phantom.anatomy.distances import distance_to_mm
from pelvimets.phantom.anatomy.healthy import Anatomy
from pelvimets.phantom.anatomy.patient import (
    Landmarks,
    Lesion,
    LesionCourse,
    LesionKind,
    Tissue,
    UInt8Array,
    UInt16Array,
)
from pelvimets.phantom.disease.blobs import BlobSettings, Box, blob_level, unravel
from pelvimets.phantom.disease.burden import BurdenSettings

BoolArray = npt.NDArray[np.bool_]

PREDILECTION: dict[Bone, float] = {
    Bone.LUMBAR_VERTEBRA: 0.22,
    Bone.SACROCOCCYX: 0.22,
    Bone.ILIUM: 0.24,
    Bone.ACETABULUM: 0.10,
    Bone.ISCHIUM: 0.08,
    Bone.PUBIS: 0.08,
    Bone.FEMORAL_NECK: 0.045,
    Bone.FEMORAL_HEAD: 0.015,
}

# Mean and standard deviation of the ADC in um2/s, and limits.
ADC_UM2_PER_S: dict[LesionKind, tuple[float, float, float, float]] = {
    LesionKind.SCLEROTIC: (780.0, 110.0, 550.0, 1100.0),
    LesionKind.LYTIC: (980.0, 120.0, 700.0, 1300.0),
    LesionKind.MIXED: (880.0, 120.0, 600.0, 1200.0),
    LesionKind.DIFFUSE: (800.0, 110.0, 550.0, 1100.0),
    LesionKind.TREATED: (1650.0, 160.0, 1410.0, 2200.0),
}


@dataclass(frozen=True)
class DiseaseSettings:
    """What metastases look like.

    Attributes:
        burden: Number and volume.
        kinds: Share of each kind; diffuse only above ``diffuse_above_cm3``.
        diffuse_above_cm3: Smaller diffuse lesions are drawn as sclerotic.
        breaking_probability: Chance of growth through the cortex.
        breaking_above_cm3: Smaller lesions stay inside.
        breaking_mm: How far beyond the bone.
        placement_z_mm: Span above the femoral heads in which lesions start.
        gap_mm: Smallest distance of two lesions.
        shape: Surface.
    """

    burden: BurdenSettings = field(default_factory=BurdenSettings)
    kinds: tuple[tuple[LesionKind, float], ...] = (
        (LesionKind.SCLEROTIC, 0.52),
        (LesionKind.MIXED, 0.25),
        (LesionKind.LYTIC, 0.10),
        (LesionKind.DIFFUSE, 0.08),
        (LesionKind.TREATED, 0.05),
    )
    diffuse_above_cm3: float = 12.0
    breaking_probability: float = 0.3
    breaking_above_cm3: float = 2.0
    breaking_mm: tuple[float, float] = (3.0, 8.0)
    placement_z_mm: tuple[float, float] = (-75.0, 185.0)
    gap_mm: float = 5.0
    shape: BlobSettings = field(default_factory=lambda: BlobSettings(elongation=2.4))


@dataclass(frozen=True)
class LesionDraw:
    """What is decided of a lesion before it meets the bone."""

    volume_cm3: float
    kind: LesionKind
    adc_um2_per_s: float
    breaking_mm: float


def draw_lesions(
    rng: np.random.Generator, volumes_cm3: tuple[float, ...], settings: DiseaseSettings
) -> tuple[LesionDraw, ...]:
    """Decide kind, ADC and cortex breaking of lesions of given volumes."""
    return tuple(_draw_lesion(rng, volume, settings) for volume in volumes_cm3)


def _draw_lesion(
    rng: np.random.Generator, volume_cm3: float, settings: DiseaseSettings
) -> LesionDraw:
    kinds, shares = zip(*settings.kinds, strict=True)
    kind = kinds[rng.choice(len(kinds), p=np.array(shares) / np.sum(shares))]
    if kind is LesionKind.DIFFUSE and volume_cm3 < settings.diffuse_above_cm3:
        kind = LesionKind.SCLEROTIC
    breaks = rng.random() < settings.breaking_probability
    reach = rng.uniform(*settings.breaking_mm)
    if not breaks or volume_cm3 < settings.breaking_above_cm3:
        reach = 0.0
    return LesionDraw(volume_cm3, kind, draw_adc(rng, kind), float(reach))


def draw_adc(rng: np.random.Generator, kind: LesionKind) -> float:
    """ADC of a lesion of a kind, um2/s."""
    mean, spread, low, high = ADC_UM2_PER_S[kind]
    return float(np.clip(rng.normal(mean, spread), low, high))


def place_lesions(
    rng: np.random.Generator,
    anatomy: Anatomy,
    draws: tuple[LesionDraw, ...],
    occupied: BoolArray,
    settings: DiseaseSettings,
) -> UInt16Array:
    """Grow the drawn lesions into bone; numbers from 1 in the order of the draws.

    Args:
        rng: Source of randomness.
        anatomy: The man.
        draws: What to place.
        occupied: Where no lesion may lie (z, y, x).
        settings: Distances.

    Returns:
        Lesion numbers (z, y, x). A lesion that finds no room is left out, so numbers may
        be missing.
    """
    lesions = np.zeros(anatomy.geometry.shape, np.uint16)
    blocked = occupied.copy()
    seeds = seed_voxels(anatomy, settings.placement_z_mm)
    for number, draw in enumerate(draws, start=1):
        for _ in range(12):
            centre = _draw_centre(rng, anatomy, seeds, blocked)
            if centre is None:
                break
            grown = grow(rng, anatomy, centre, draw, blocked, settings.shape)
            if grown is not None:
                box, mask = grown
                lesions[box][mask] = number
                block_around(blocked, box, mask, settings.gap_mm, anatomy.geometry)
                break
    return lesions


def seed_voxels(
    anatomy: Anatomy, placement_z_mm: tuple[float, float]
) -> dict[Bone, npt.NDArray[np.int64]]:
    """Marrow voxels (flat indices) of each structure in which a lesion may start."""
    heads = anatomy.landmarks
    level = 0.5 * (heads.left_head_mm[2] + heads.right_head_mm[2])
    low, high = (
        int(np.clip(k, 0, anatomy.geometry.shape[0]))
        for k in anatomy.geometry.to_index([[0.0, 0.0, level + z] for z in placement_z_mm])[:, 0]
    )
    plane = int(np.prod(anatomy.geometry.shape[1:]))
    slab = anatomy.bones[low:high] * (anatomy.marrow_fat_percent[low:high] > 0)
    flat = np.flatnonzero(slab)
    bone = slab.reshape(-1)[flat]
    return {b: flat[bone == b] + low * plane for b in Bone}


def _draw_centre(
    rng: np.random.Generator,
    anatomy: Anatomy,
    seeds: dict[Bone, npt.NDArray[np.int64]],
    blocked: BoolArray,
) -> tuple[int, int, int] | None:
    """A free marrow voxel: structure by predilection, then red marrow before yellow."""
    bones = [bone for bone in Bone if seeds[bone].size]
    if not bones:
        return None
    weights = np.array([PREDILECTION[bone] for bone in bones])
    for _ in range(60):
        bone = bones[rng.choice(len(bones), p=weights / weights.sum())]
        flat = int(seeds[bone][rng.integers(seeds[bone].size)])
        keep = 1.05 - anatomy.marrow_fat_percent.reshape(-1)[flat] / 100.0
        if not blocked.reshape(-1)[flat] and rng.random() < keep:
            return unravel(flat, blocked.shape)
    return None


def grow(
    rng: np.random.Generator,
    anatomy: Anatomy,
    centre: tuple[int, int, int],
    draw: LesionDraw,
    blocked: BoolArray,
    shape: BlobSettings,
) -> tuple[Box, BoolArray] | None:
    """A connected lesion of the drawn volume around a voxel, or none if there is no room.

    The level set of a rough ellipsoid is raised until the bone inside it holds the volume.
    """
    spacing = anatomy.geometry.spacing
    rough = 1.5 if draw.kind is LesionKind.DIFFUSE else 1.0
    style = BlobSettings(shape.elongation, shape.roughness * rough, shape.grain)
    box, level = blob_level(
        rng, anatomy.geometry.shape, spacing, centre, 4000.0 * draw.volume_cm3, style
    )
    allowed = _room(anatomy, box, centre, draw.breaking_mm) & ~blocked[box]
    local = tuple(c - s.start for c, s in zip(centre, box, strict=True))
    wanted = round(1000.0 * draw.volume_cm3 / anatomy.geometry.voxel_volume_mm3)
    mask = _connected_volume(level, allowed, (local[0], local[1], local[2]), wanted)
    return None if mask is None else (box, mask)


def _room(
    anatomy: Anatomy, box: Box, centre: tuple[int, int, int], breaking_mm: float
) -> BoolArray:
    """Where a lesion may grow: its own bone, and as far beyond the cortex as it breaks out."""
    part = anatomy.part[box]
    own = (part == anatomy.part[centre]) & (anatomy.bones[box] > 0)
    if breaking_mm <= 0.0:
        return np.asarray(own)
    near = distance_to_mm(own, anatomy.geometry.spacing)
    open_tissue = (part == 0) & ~np.isin(
        anatomy.tissue[box], (Tissue.AIR, Tissue.SKIN, Tissue.GAS, Tissue.CARTILAGE)
    )
    return np.asarray(own | ((near < breaking_mm) & open_tissue))


def _connected_volume(
    level: npt.NDArray[np.float32],
    allowed: BoolArray,
    centre: tuple[int, int, int],
    wanted: int,
) -> BoolArray | None:
    """Lowest levels of the allowed room, connected to the centre, of a wanted voxel count."""
    free = np.sort(level[allowed])
    if free.size < wanted or not allowed[centre]:
        return None
    count, mask = wanted, np.zeros_like(allowed)
    for _ in range(6):
        candidate = allowed & (level <= free[min(count, free.size) - 1])
        candidate[centre] = True
        labels, _ = ndimage.label(candidate, np.ones((3, 3, 3)))
        mask = labels == labels[centre]
        size = int(mask.sum())
        if size >= wanted or count >= free.size:
            break
        count += wanted - size
    if int(mask.sum()) < max(wanted * 0.95, 1):
        return None
    return _trimmed(mask, level, centre, wanted)


def _trimmed(
    mask: BoolArray,
    level: npt.NDArray[np.float32],
    centre: tuple[int, int, int],
    wanted: int,
) -> BoolArray | None:
    """Drop the highest levels beyond the wanted count; none if that tears the lesion apart."""
    excess = int(mask.sum()) - wanted
    if excess > 0:
        limit = np.sort(level[mask])[wanted - 1]
        mask = mask & (level <= limit)
        labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
        if not mask[centre]:
            return None
        mask = labels == labels[centre]
    return mask if int(mask.sum()) >= 0.85 * wanted else None


def block_around(
    blocked: BoolArray, box: Box, mask: BoolArray, gap_mm: float, geometry: Geometry
) -> None:
    """Mark a lesion and a rim around it as taken, in place."""
    reach = int(np.ceil(gap_mm / min(geometry.spacing)))
    wide = [
        slice(max(s.start - reach, 0), min(s.stop + reach, n))
        for s, n in zip(box, blocked.shape, strict=True)
    ]
    padding = [(s.start - w.start, w.stop - s.stop) for s, w in zip(box, wide, strict=True)]
    padded = np.pad(mask, padding)
    near = distance_to_mm(padded, geometry.spacing) <= gap_mm
    blocked[wide[0], wide[1], wide[2]] |= near


def describe_lesions(
    lesions: UInt16Array,
    anatomy: Anatomy,
    draws: tuple[LesionDraw, ...],
    courses: tuple[LesionCourse, ...] | None = None,
) -> tuple[UInt16Array, tuple[Lesion, ...]]:
    """Number the placed lesions from 1 without gaps and describe each.

    Args:
        lesions: Numbers of the draws (z, y, x).
        anatomy: The man, before disease.
        draws: By number, from 1.
        courses: By number, from 1; ``FIRST`` for all if none.

    Returns:
        The renumbered map and its table.
    """
    renumbered = np.zeros_like(lesions)
    table: list[Lesion] = []
    for number, box in enumerate(ndimage.find_objects(lesions.astype(np.int32)), start=1):
        if box is None:
            continue
        mask = lesions[box] == number
        course = LesionCourse.FIRST if courses is None else courses[number - 1]
        renumbered[box][mask] = len(table) + 1
        table.append(_describe(len(table) + 1, box, mask, anatomy, draws[number - 1], course))
    return renumbered, tuple(table)


def _describe(
    number: int, box: Box, mask: BoolArray, anatomy: Anatomy, draw: LesionDraw, course: LesionCourse
) -> Lesion:
    index = np.argwhere(mask).mean(axis=0) + [s.start for s in box]
    x, y, z = anatomy.geometry.to_lps(index)
    counts = np.bincount(anatomy.bones[box][mask], minlength=len(Bone) + 1)
    bone = Bone(int(np.argmax(counts[1:])) + 1)
    return Lesion(
        number=number,
        kind=draw.kind,
        bone=bone,
        side=_side(bone, float(x), anatomy.landmarks),
        centre_lps_mm=(float(x), float(y), float(z)),
        volume_cm3=float(mask.sum()) * anatomy.geometry.voxel_volume_mm3 / 1000.0,
        adc_um2_per_s=draw.adc_um2_per_s,
        breaks_cortex=bool(counts[0] > 0),
        course=course,
    )


def _side(bone: Bone, x_mm: float, landmarks: Landmarks) -> Side:
    offset = x_mm - landmarks.midline_x_mm
    if not bone.paired and abs(offset) < 10.0:
        return Side.MIDLINE
    return Side.LEFT if offset > 0 else Side.RIGHT


def bones_with_lesions(anatomy: Anatomy, lesions: UInt16Array) -> UInt8Array:
    """Bone map in which a metastasis beyond the cortex takes the nearest structure's label."""
    bones = anatomy.bones.copy()
    for box in ndimage.find_objects(lesions.astype(np.int32)):
        if box is None:
            continue
        view = bones[box]
        outside = (lesions[box] > 0) & (view == 0)
        if outside.any():
            nearest = ndimage.distance_transform_edt(
                view == 0, anatomy.geometry.spacing, return_distances=False, return_indices=True
            )
            view[outside] = view[tuple(nearest)][outside]
    return bones
