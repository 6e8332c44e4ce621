"""Metastases and mimics for training samples, placed straight on the sampled grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.anatomy.atlas import PART_SHIFT, TISSUE_MASK
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.anatomy.patient import MimicKind, Tissue, UInt8Array
from pelvimets.phantom.disease.blobs import BlobSettings, Box, blob_level, unravel
from pelvimets.phantom.samples.contrast import Contrast, lesion_signal, mimic_signal

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DiseaseSampling:
    """How much disease a sample holds.

    Attributes:
        lesion_probability: Share of samples with metastases.
        most_lesions: Largest number.
        median_volume_cm3: Of one metastasis, before bone limits it.
        volume_spread: Standard deviation of the logarithm of the volume.
        smallest_cm3: Smaller ones are not drawn.
        largest_cm3: Upper limit of a single volume.
        breaking_probability: Chance of growth through the cortex.
        mimic_probability: Share of samples with mimics.
        most_mimics: Largest number.
        mimic_kinds: Kinds in use.
    """

    lesion_probability: float = 0.7
    most_lesions: int = 8
    median_volume_cm3: float = 2.5
    volume_spread: float = 1.3
    smallest_cm3: float = 0.2
    largest_cm3: float = 80.0
    breaking_probability: float = 0.25
    mimic_probability: float = 0.6
    most_mimics: int = 6
    mimic_kinds: tuple[MimicKind, ...] = tuple(MimicKind)


@dataclass(frozen=True, eq=False)
class Patch:
    """One metastasis or mimic on the fine grid."""

    box: Box
    mask: BoolArray
    signal: float
    texture: float
    noise: npt.NDArray[np.float32]
    part: int
    label: int

    @property
    def is_lesion(self) -> bool:
        """Whether it is a metastasis."""
        return self.label == 0


# Tissue in which the centre of a mimic lies, and its largest volume in cm3.
_HOME: dict[MimicKind, tuple[tuple[Tissue, ...], float]] = {
    MimicKind.HAEMANGIOMA: ((Tissue.RED_MARROW,), 6.0),
    MimicKind.BONE_ISLAND: ((Tissue.RED_MARROW, Tissue.YELLOW_MARROW), 1.0),
    MimicKind.CYST: ((Tissue.RED_MARROW, Tissue.YELLOW_MARROW), 3.0),
    MimicKind.END_PLATE: ((Tissue.DISC_ANNULUS, Tissue.DISC_NUCLEUS), 8.0),
    MimicKind.TARLOV_CYST: ((Tissue.CSF,), 5.0),
    MimicKind.NERVE_ROOT: ((Tissue.CSF, Tissue.NERVE), 1.5),
    MimicKind.VESSEL: ((Tissue.VEIN, Tissue.ARTERY), 6.0),
    MimicKind.LYMPH_NODE: ((Tissue.VEIN, Tissue.ARTERY), 4.0),
    MimicKind.RED_MARROW_ISLAND: ((Tissue.RED_MARROW,), 6.0),
    MimicKind.FRACTURE_OEDEMA: ((Tissue.RED_MARROW,), 15.0),
}


def draw_patches(
    rng: np.random.Generator,
    code: UInt8Array,
    spacing_mm: tuple[float, ...],
    contrast: Contrast,
    settings: DiseaseSampling,
) -> list[Patch]:
    """Mimics first, metastases over them.

    Args:
        rng: Source of randomness.
        code: Atlas code on the fine grid (z, y, x).
        spacing_mm: Of the fine grid (z, y, x).
        contrast: Of the image.
        settings: Amounts.
    """
    spacing = (spacing_mm[0], spacing_mm[1], spacing_mm[2])
    tissue = code & np.uint8(TISSUE_MASK)
    patches = _mimics(rng, code, tissue, spacing, contrast, settings)
    patches += _lesions(rng, code, tissue, spacing, contrast, settings)
    return patches


def _lesions(
    rng: np.random.Generator,
    code: UInt8Array,
    tissue: UInt8Array,
    spacing: tuple[float, float, float],
    contrast: Contrast,
    settings: DiseaseSampling,
) -> list[Patch]:
    if rng.random() >= settings.lesion_probability:
        return []
    marrow = np.flatnonzero((tissue == Tissue.RED_MARROW) | (tissue == Tissue.YELLOW_MARROW))
    if marrow.size == 0:
        return []
    centres = rng.choice(marrow, int(rng.integers(1, settings.most_lesions + 1)))
    drawn = [_lesion(rng, code, int(c), spacing, contrast, settings) for c in centres]
    return [patch for patch in drawn if patch is not None]


def _lesion(
    rng: np.random.Generator,
    code: UInt8Array,
    flat: int,
    spacing: tuple[float, float, float],
    contrast: Contrast,
    settings: DiseaseSampling,
) -> Patch | None:
    volume = settings.median_volume_cm3 * np.exp(settings.volume_spread * rng.standard_normal())
    volume = float(np.clip(volume, settings.smallest_cm3 * 1.3, settings.largest_cm3))
    centre = unravel(flat, code.shape)
    box, level = blob_level(rng, code.shape, spacing, centre, 1000.0 * volume, BlobSettings())
    bone = (code[box] >> PART_SHIFT) == code[centre] >> PART_SHIFT
    if rng.random() < settings.breaking_probability:
        bone = ndimage.binary_dilation(bone, iterations=int(rng.integers(1, 4)))
    mask = (level < 1.0) & bone
    if mask.sum() * np.prod(spacing) < 1000.0 * settings.smallest_cm3:
        return None
    noise = smooth_noise(rng, level.shape, (2.5, 2.5, 2.5))
    return Patch(
        box,
        mask,
        lesion_signal(rng, contrast),
        rng.uniform(0.02, 0.3),
        noise,
        int(code[centre] >> PART_SHIFT),
        0,
    )


def _mimics(
    rng: np.random.Generator,
    code: UInt8Array,
    tissue: UInt8Array,
    spacing: tuple[float, float, float],
    contrast: Contrast,
    settings: DiseaseSampling,
) -> list[Patch]:
    if rng.random() >= settings.mimic_probability or not settings.mimic_kinds:
        return []
    kinds = rng.choice(len(settings.mimic_kinds), int(rng.integers(1, settings.most_mimics + 1)))
    drawn = [_mimic(rng, code, tissue, spacing, contrast, settings.mimic_kinds[k]) for k in kinds]
    return [patch for patch in drawn if patch is not None]


def _mimic(
    rng: np.random.Generator,
    code: UInt8Array,
    tissue: UInt8Array,
    spacing: tuple[float, float, float],
    contrast: Contrast,
    kind: MimicKind,
) -> Patch | None:
    home, largest = _HOME[kind]
    places = np.flatnonzero(np.isin(tissue, home))
    if places.size == 0:
        return None
    centre = unravel(int(rng.choice(places)), code.shape)
    volume = largest * rng.uniform(0.05, 1.0) ** 2
    shape = BlobSettings(elongation=1.5, roughness=0.1)
    box, level = blob_level(rng, code.shape, spacing, centre, 1000.0 * volume, shape)
    mask = (level < 1.0) & _allowed(kind, code[box], tissue[box])
    if not mask.any():
        return None
    noise = smooth_noise(rng, level.shape, (2.5, 2.5, 2.5))
    signal = mimic_signal(rng, contrast, kind)
    part = int(code[centre] >> PART_SHIFT)
    return Patch(box, mask, signal, rng.uniform(0.0, 0.15), noise, part, kind.label)


def _allowed(kind: MimicKind, code: UInt8Array, tissue: UInt8Array) -> BoolArray:
    """Where a mimic may lie: in marrow, in a vessel, or anywhere outside bone."""
    part = code >> np.uint8(PART_SHIFT)
    if kind is MimicKind.END_PLATE:
        return np.isin(part, (Part.LUMBAR, Part.SACRUM))
    if kind.in_bone:
        return np.asarray(part > 0)
    if kind is MimicKind.VESSEL:
        return np.isin(tissue, (Tissue.VEIN, Tissue.ARTERY))
    outside = np.asarray((part == 0) & (tissue != Tissue.AIR))
    return outside | (part == Part.SACRUM) if kind is MimicKind.TARLOV_CYST else outside
