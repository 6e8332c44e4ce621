"""What surrounds bone in drawn samples, in many shapes: discs, joints, ligaments, end plates.

On real scans these are what a network takes for bone or for a lesion. The anatomies hold one
shape of each; here a sample gets its own: flat or bulging discs, facet joints with or without
a gap, a thin or thick joint, ligaments and insertions along the cortex. Bone parts, and so the
labels, stay as they are: none of it is bone, none of it a lesion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.anatomy.atlas import PART_SHIFT, TISSUE_MASK
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.anatomy.patient import Tissue, UInt8Array

BoolArray = npt.NDArray[np.bool_]

_SOFT = (
    Tissue.INTERMUSCULAR_FAT,
    Tissue.VISCERAL_FAT,
    Tissue.SUBCUTANEOUS_FAT,
    Tissue.MUSCLE,
)
_DISC = (Tissue.DISC_NUCLEUS, Tissue.DISC_ANNULUS)


@dataclass(frozen=True)
class DressingSettings:
    """How often each change is made to a sample.

    Attributes:
        dry_disc_probability: Discs whose nucleus is gone.
        bulging_disc_probability: Discs one fine voxel wider than the atlas has them.
        facet_probability: Facet joints filled with cartilage and capsule in place of fat.
        thick_joint_probability: Cartilage one fine voxel thicker.
        ligament_probability: Ligaments and insertions along the cortex.
        ligament_share: Part of the bones' surface that they cover: low, high.
        ligament_cell_mm: Size of their patches: low, high.
    """

    dry_disc_probability: float = 0.35
    bulging_disc_probability: float = 0.35
    facet_probability: float = 0.6
    thick_joint_probability: float = 0.35
    ligament_probability: float = 0.7
    ligament_share: tuple[float, float] = (0.05, 0.45)
    ligament_cell_mm: tuple[float, float] = (12.0, 45.0)


def dress(
    rng: np.random.Generator,
    code: UInt8Array,
    spacing_mm: tuple[float, ...],
    settings: DressingSettings,
) -> UInt8Array:
    """An atlas code on a fine grid with its own discs, joints and ligaments.

    Args:
        rng: Source of randomness.
        code: ``Tissue`` and ``Part`` (z, y, x); left as it is.
        spacing_mm: (z, y, x).
        settings: How often.

    Returns:
        A changed copy; every voxel keeps its ``Part``.
    """
    tissue = code & np.uint8(TISSUE_MASK)
    part = code >> np.uint8(PART_SHIFT)
    soft = np.isin(tissue, _SOFT) & (part == Part.NONE)
    if rng.random() < settings.ligament_probability:
        tissue[_ligaments(rng, part > 0, soft, spacing_mm, settings)] = Tissue.TENDON
    if rng.random() < settings.facet_probability:
        tissue[_between(part == Part.LUMBAR) & soft] = Tissue.CARTILAGE
    if rng.random() < settings.thick_joint_probability:
        tissue[_grown(tissue == Tissue.CARTILAGE) & soft] = Tissue.CARTILAGE
    if rng.random() < settings.bulging_disc_probability:
        tissue[_grown(np.isin(tissue, _DISC)) & soft] = Tissue.DISC_ANNULUS
    if rng.random() < settings.dry_disc_probability:
        tissue[tissue == Tissue.DISC_NUCLEUS] = Tissue.DISC_ANNULUS
    return np.asarray(tissue | (part << np.uint8(PART_SHIFT)))


def _ligaments(
    rng: np.random.Generator,
    bone: BoolArray,
    soft: BoolArray,
    spacing_mm: tuple[float, ...],
    settings: DressingSettings,
) -> BoolArray:
    """Patches of the layer of soft tissue that touches bone."""
    cell = rng.uniform(*settings.ligament_cell_mm)
    z, y, x = (max(1.0, cell / s) for s in spacing_mm)
    shape = (bone.shape[0], bone.shape[1], bone.shape[2])
    level = smooth_noise(rng, shape, (z, y, x))
    rim = _grown(bone) & soft
    if not rim.any():
        return rim
    share = rng.uniform(*settings.ligament_share)
    return np.asarray(rim & (level > np.quantile(level[rim], 1.0 - share)))


def _grown(mask: BoolArray) -> BoolArray:
    """The mask and its six neighbours."""
    out = mask.copy()
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        out[tuple(ahead)] |= mask[tuple(behind)]
        out[tuple(behind)] |= mask[tuple(ahead)]
    return out


def _between(mask: BoolArray) -> BoolArray:
    """Gaps of one or two voxels that the mask encloses along an axis."""
    out = np.zeros_like(mask)
    for axis in range(3):
        moved = np.moveaxis(mask, axis, 0)
        gap = np.moveaxis(out, axis, 0)
        gap[1:-1] |= moved[:-2] & moved[2:]
        gap[1:-2] |= moved[:-3] & moved[3:]
        gap[2:-1] |= moved[:-3] & moved[3:]
    return out & ~mask
