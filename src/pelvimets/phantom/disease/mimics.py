"""What can be taken for a metastasis: benign findings with their own truth label.

Every kind can be switched. Frequencies are per man and set higher than in a clinic
(haemangiomas 10-27 %, Tarlov cysts 5-9 %), so that a cohort holds enough of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.distances import distance_to_mm
from pelvimets.phantom.anatomy.healthy import Anatomy
from pelvimets.phantom.anatomy.patient import Mimic, MimicKind, Tissue, UInt8Array
from pelvimets.phantom.disease.blobs import BlobSettings, Box, blob_level, unravel

BoolArray = npt.NDArray[np.bool_]
Centre = tuple[int, int, int]


@dataclass(frozen=True)
class MimicSetting:
    """One kind.

    Attributes:
        probability: Chance that a man has it at all.
        most: Largest number in one man.
        volume_cm3: Range of one.
        elongation: Largest ratio of half axes.
        roughness: Of the surface.
    """

    probability: float
    most: int
    volume_cm3: tuple[float, float]
    elongation: float = 1.4
    roughness: float = 0.08


_DEFAULT: dict[MimicKind, MimicSetting] = {
    MimicKind.HAEMANGIOMA: MimicSetting(0.25, 2, (0.3, 5.0)),
    MimicKind.BONE_ISLAND: MimicSetting(0.20, 3, (0.06, 0.9), roughness=0.15),
    MimicKind.CYST: MimicSetting(0.15, 2, (0.1, 1.5)),
    MimicKind.END_PLATE: MimicSetting(0.35, 2, (1.5, 7.0)),
    MimicKind.TARLOV_CYST: MimicSetting(0.10, 2, (0.4, 4.0)),
    MimicKind.NERVE_ROOT: MimicSetting(0.90, 8, (0.1, 0.6), elongation=2.5),
    MimicKind.VESSEL: MimicSetting(0.40, 2, (0.8, 3.0)),
    MimicKind.LYMPH_NODE: MimicSetting(0.35, 4, (0.15, 2.5), elongation=1.8),
    MimicKind.RED_MARROW_ISLAND: MimicSetting(0.30, 3, (0.3, 4.0), roughness=0.3),
    MimicKind.FRACTURE_OEDEMA: MimicSetting(0.08, 1, (2.0, 15.0), 2.8, 0.3),
}


@dataclass(frozen=True)
class MimicSettings:
    """Which kinds occur, and how.

    Attributes:
        kinds: Kinds in use; leave one out to switch it off.
        each: Numbers and sizes.
        always: Every kind in use occurs in every man (for galleries and tests).
    """

    kinds: tuple[MimicKind, ...] = tuple(MimicKind)
    each: dict[MimicKind, MimicSetting] = field(default_factory=lambda: dict(_DEFAULT))
    always: bool = False


def place_mimics(
    rng: np.random.Generator, anatomy: Anatomy, settings: MimicSettings
) -> tuple[UInt8Array, UInt8Array, UInt8Array, tuple[Mimic, ...]]:
    """Put mimics into a man.

    Args:
        rng: Source of randomness; each kind has its own stream, so that switching one off
            leaves the others as they are.
        anatomy: The man.
        settings: What occurs.

    Returns:
        Tissue map, marrow fat map and mimic map (z, y, x), all new, and the table.
    """
    tissue, fat = anatomy.tissue.copy(), anatomy.marrow_fat_percent.copy()
    labels = np.zeros(anatomy.geometry.shape, np.uint8)
    table: list[Mimic] = []
    streams = rng.spawn(len(MimicKind))
    for kind, stream in zip(MimicKind, streams, strict=True):
        setting = settings.each[kind]
        if kind not in settings.kinds:
            continue
        if not settings.always and stream.random() >= setting.probability:
            continue
        for _ in range(int(stream.integers(1, setting.most + 1))):
            placed = _place(stream, anatomy, labels, kind, setting)
            if placed is not None:
                box, mask = placed
                labels[box][mask] = kind.label
                _fill(stream, kind, tissue[box], fat[box], mask)
                table.append(_describe(kind, anatomy, box, mask))
    return tissue, fat, labels, tuple(table)


def _place(
    rng: np.random.Generator,
    anatomy: Anatomy,
    labels: UInt8Array,
    kind: MimicKind,
    setting: MimicSetting,
) -> tuple[Box, BoolArray] | None:
    places = _homes(kind, anatomy)
    if places.size == 0:
        return None
    low, high = np.log(setting.volume_cm3)
    style = BlobSettings(setting.elongation, setting.roughness)
    for _ in range(10):
        centre = unravel(int(places[rng.integers(places.size)]), labels.shape)
        volume_mm3 = 1000.0 * float(np.exp(rng.uniform(low, high)))
        box, level = blob_level(
            rng, labels.shape, anatomy.geometry.spacing, centre, volume_mm3, style
        )
        mask = (level < 1.0) & _room(kind, anatomy, box, centre) & (labels[box] == 0)
        if mask.sum() * anatomy.geometry.voxel_volume_mm3 > 0.3 * volume_mm3:
            return box, mask
    return None


def _homes(kind: MimicKind, anatomy: Anatomy) -> npt.NDArray[np.int64]:
    """Voxels (flat indices) in which the centre of a mimic may lie."""
    return np.flatnonzero(_HOMES[kind](anatomy))


def _within(anatomy: Anatomy, *bones: Bone) -> BoolArray:
    return np.asarray((anatomy.marrow_fat_percent > 0) & np.isin(anatomy.bones, bones))


def _haemangioma(anatomy: Anatomy) -> BoolArray:
    return _within(anatomy, Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX)


def _bone_island(anatomy: Anatomy) -> BoolArray:
    return _within(anatomy, *Bone)


def _cyst(anatomy: Anatomy) -> BoolArray:
    """Marrow next to the hip joint."""
    return _within(anatomy, Bone.ACETABULUM, Bone.FEMORAL_HEAD) & _near(
        anatomy, Tissue.CARTILAGE, 7.0
    )


def _end_plate(anatomy: Anatomy) -> BoolArray:
    near = _near(anatomy, Tissue.DISC_ANNULUS, 4.0)
    return near & _within(anatomy, Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX)


def _tarlov(anatomy: Anatomy) -> BoolArray:
    """The sacral canal and foramina."""
    canal = np.isin(anatomy.tissue, (Tissue.CSF, Tissue.NERVE))
    return canal & _box_of(anatomy, Bone.SACROCOCCYX)


def _nerve_root(anatomy: Anatomy) -> BoolArray:
    """Nerve outside the dural sac, in the field of the pelvis."""
    return np.isin(anatomy.tissue, (Tissue.NERVE,))


def _vessel(anatomy: Anatomy) -> BoolArray:
    return np.isin(anatomy.tissue, (Tissue.VEIN,)) & _near_bone(anatomy, 12.0)


def _lymph_node(anatomy: Anatomy) -> BoolArray:
    fats = (Tissue.VISCERAL_FAT, Tissue.INTERMUSCULAR_FAT)
    return np.isin(anatomy.tissue, fats) & _near(anatomy, Tissue.VEIN, 9.0)


def _red_island(anatomy: Anatomy) -> BoolArray:
    return _within(anatomy, Bone.FEMORAL_NECK, Bone.ILIUM, Bone.PUBIS, Bone.ISCHIUM)


def _fracture(anatomy: Anatomy) -> BoolArray:
    """Insufficiency fractures: sacral alae, pubic rami, femoral necks."""
    middle = _within(anatomy, Bone.SACROCOCCYX)
    x = anatomy.geometry.origin[0] + anatomy.geometry.spacing[2] * np.arange(
        anatomy.geometry.shape[2]
    )
    ala = np.abs(x - anatomy.landmarks.midline_x_mm) > 22.0
    return np.asarray((middle & ala) | _within(anatomy, Bone.PUBIS, Bone.FEMORAL_NECK))


_HOMES: dict[MimicKind, Callable[[Anatomy], BoolArray]] = {
    MimicKind.HAEMANGIOMA: _haemangioma,
    MimicKind.BONE_ISLAND: _bone_island,
    MimicKind.CYST: _cyst,
    MimicKind.END_PLATE: _end_plate,
    MimicKind.TARLOV_CYST: _tarlov,
    MimicKind.NERVE_ROOT: _nerve_root,
    MimicKind.VESSEL: _vessel,
    MimicKind.LYMPH_NODE: _lymph_node,
    MimicKind.RED_MARROW_ISLAND: _red_island,
    MimicKind.FRACTURE_OEDEMA: _fracture,
}


def _near(anatomy: Anatomy, tissue: Tissue, distance_mm: float) -> BoolArray:
    """Voxels within about a distance of a tissue."""
    steps = max(1, round(distance_mm / anatomy.geometry.spacing[0]))
    return np.asarray(ndimage.maximum_filter(anatomy.tissue == tissue, 2 * steps + 1))


def _near_bone(anatomy: Anatomy, distance_mm: float) -> BoolArray:
    steps = max(1, round(distance_mm / anatomy.geometry.spacing[0]))
    return np.asarray(ndimage.maximum_filter(anatomy.bones > 0, 2 * steps + 1))


def _box_of(anatomy: Anatomy, bone: Bone) -> BoolArray:
    """The bounding box of a structure."""
    out = np.zeros(anatomy.geometry.shape, bool)
    boxes = ndimage.find_objects((anatomy.bones == bone).astype(np.uint8))
    if boxes:
        out[boxes[0]] = True
    return out


def _room(kind: MimicKind, anatomy: Anatomy, box: Box, centre: Centre) -> BoolArray:
    """Where a mimic may extend."""
    tissue, part = anatomy.tissue[box], anatomy.part[box]
    if kind is MimicKind.VESSEL:
        return np.isin(tissue, (Tissue.VEIN,))
    if kind is MimicKind.NERVE_ROOT:
        return np.isin(tissue, (Tissue.NERVE, Tissue.INTERMUSCULAR_FAT, Tissue.MUSCLE))
    if kind is MimicKind.LYMPH_NODE:
        return np.isin(tissue, (Tissue.VISCERAL_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.MUSCLE))
    if kind is MimicKind.TARLOV_CYST:
        return np.isin(part, (Part.SACRUM,)) | np.isin(tissue, (Tissue.CSF, Tissue.NERVE))
    own = np.asarray(part == anatomy.part[centre])
    if kind is MimicKind.END_PLATE:
        return np.asarray(own & _band(anatomy, box))
    marrow = (anatomy.bones[box] > 0) & (tissue != Tissue.CORTICAL_BONE)
    return np.asarray(own & marrow)


def _band(anatomy: Anatomy, box: Box, depth_mm: float = 9.0) -> BoolArray:
    """The part of a box within some millimetres of a disc."""
    disc = np.isin(anatomy.tissue[box], (Tissue.DISC_ANNULUS, Tissue.DISC_NUCLEUS))
    if not disc.any():
        return np.zeros(disc.shape, bool)
    distance = distance_to_mm(disc, anatomy.geometry.spacing)
    return np.asarray(distance < depth_mm)


_TISSUE: dict[MimicKind, tuple[Tissue, ...]] = {
    MimicKind.HAEMANGIOMA: (Tissue.HAEMANGIOMA,),
    MimicKind.BONE_ISLAND: (Tissue.BONE_ISLAND,),
    MimicKind.CYST: (Tissue.BONE_CYST,),
    MimicKind.END_PLATE: (Tissue.END_PLATE_OEDEMA, Tissue.END_PLATE_FAT),
    MimicKind.TARLOV_CYST: (Tissue.TARLOV_CYST,),
    MimicKind.NERVE_ROOT: (Tissue.NERVE,),
    MimicKind.VESSEL: (Tissue.VEIN,),
    MimicKind.LYMPH_NODE: (Tissue.LYMPH_NODE,),
    MimicKind.RED_MARROW_ISLAND: (Tissue.RED_MARROW_ISLAND,),
    MimicKind.FRACTURE_OEDEMA: (Tissue.FRACTURE_OEDEMA,),
}


def _fill(
    rng: np.random.Generator, kind: MimicKind, tissue: UInt8Array, fat: UInt8Array, mask: BoolArray
) -> None:
    """Write a mimic into the maps, in place."""
    choices = _TISSUE[kind]
    tissue[mask] = choices[rng.integers(len(choices))]
    fat[mask] = rng.integers(22, 40) if kind is MimicKind.RED_MARROW_ISLAND else 0


def _describe(kind: MimicKind, anatomy: Anatomy, box: Box, mask: BoolArray) -> Mimic:
    index = np.argwhere(mask).mean(axis=0) + [s.start for s in box]
    x, y, z = (float(v) for v in anatomy.geometry.to_lps(index))
    counts = np.bincount(anatomy.bones[box][mask], minlength=len(Bone) + 1)[1:]
    bone = Bone(int(counts.argmax()) + 1) if kind.in_bone and counts.any() else None
    volume = float(mask.sum()) * anatomy.geometry.voxel_volume_mm3 / 1000.0
    return Mimic(kind, bone, (x, y, z), volume)
