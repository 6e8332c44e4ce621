"""Random contrast: one intensity per tissue, sometimes like MR, sometimes arbitrary.

Arbitrary contrast teaches a network shape instead of grey values (Billot et al., Med Image
Anal 2023;86:102789). The MR-like values are relative, fat on T1 = 1; they only need the
right order. Signal from physics is made elsewhere.

In a part of the images each tissue is split into sub-classes at random places, each with its
own mean: intensities are then a mixture of Gaussians (FetalSynthSeg; Zalevskyi V et al., MELBA
2026). What surrounds bone (discs, cartilage, cortex, ligaments) varies most between people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.patient import MimicKind, Tissue

Float32Array = npt.NDArray[np.float32]
N_TISSUES = max(Tissue) + 1

# Relative signal: T1 in phase (spoiled gradient echo), DWI (b about 800, fat suppressed).
_TYPICAL: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (0.0, 0.0),
    Tissue.SKIN: (0.45, 0.12),
    Tissue.SUBCUTANEOUS_FAT: (1.0, 0.06),
    Tissue.INTERMUSCULAR_FAT: (0.95, 0.07),
    Tissue.VISCERAL_FAT: (0.92, 0.07),
    Tissue.MUSCLE: (0.38, 0.20),
    Tissue.TENDON: (0.10, 0.05),
    Tissue.URINE: (0.20, 0.12),
    Tissue.BLADDER_WALL: (0.36, 0.25),
    Tissue.PROSTATE_PERIPHERAL: (0.38, 0.42),
    Tissue.PROSTATE_CENTRAL: (0.37, 0.45),
    Tissue.SEMINAL_VESICLE: (0.32, 0.35),
    Tissue.BOWEL_WALL: (0.38, 0.45),
    Tissue.BOWEL_FLUID: (0.30, 0.30),
    Tissue.STOOL: (0.45, 0.20),
    Tissue.GAS: (0.01, 0.01),
    Tissue.ARTERY: (0.50, 0.06),
    Tissue.VEIN: (0.45, 0.10),
    Tissue.CSF: (0.18, 0.30),
    Tissue.NERVE: (0.36, 0.65),
    Tissue.DISC_NUCLEUS: (0.34, 0.30),
    Tissue.DISC_ANNULUS: (0.26, 0.12),
    Tissue.CARTILAGE: (0.42, 0.20),
    Tissue.CORTICAL_BONE: (0.06, 0.03),
    Tissue.RED_MARROW: (0.60, 0.20),
    Tissue.YELLOW_MARROW: (0.88, 0.08),
}

# Signal of what lies in bone, relative to marrow (T1) and to muscle (DWI): low, high.
_MIMIC_SIGNAL: dict[MimicKind, tuple[tuple[float, float], tuple[float, float]]] = {
    MimicKind.HAEMANGIOMA: ((1.05, 1.6), (0.9, 2.2)),
    MimicKind.BONE_ISLAND: ((0.02, 0.25), (0.05, 0.3)),
    MimicKind.CYST: ((0.2, 0.5), (0.6, 1.6)),
    MimicKind.END_PLATE: ((0.45, 1.5), (0.4, 1.6)),
    MimicKind.TARLOV_CYST: ((0.2, 0.4), (0.8, 2.0)),
    MimicKind.NERVE_ROOT: ((0.45, 0.75), (2.0, 4.0)),
    MimicKind.VESSEL: ((0.3, 1.2), (0.3, 3.0)),
    MimicKind.LYMPH_NODE: ((0.45, 0.75), (2.5, 5.0)),
    MimicKind.RED_MARROW_ISLAND: ((0.65, 0.9), (1.0, 1.7)),
    MimicKind.FRACTURE_OEDEMA: ((0.5, 0.85), (1.1, 2.0)),
}


_AROUND_BONE = (
    Tissue.DISC_NUCLEUS,
    Tissue.DISC_ANNULUS,
    Tissue.CARTILAGE,
    Tissue.TENDON,
    Tissue.NERVE,
    Tissue.SKIN,
    Tissue.BOWEL_WALL,
    Tissue.BOWEL_FLUID,
    Tissue.STOOL,
    Tissue.ARTERY,
    Tissue.VEIN,
    Tissue.CORTICAL_BONE,
)
_MARROW = (Tissue.RED_MARROW, Tissue.YELLOW_MARROW)
_DARK = (Tissue.AIR, Tissue.GAS)
BRIGHTEST_CORTEX = 0.9  # of red marrow


@dataclass(frozen=True)
class ContrastSettings:
    """Ranges of the signal; spreads are standard deviations of its logarithm.

    Attributes:
        spread: Between images, MR-like contrast: low, high.
        around_bone_spread: In addition, of what surrounds bone and is not labelled.
        split_probability: Images whose tissues are split into sub-classes.
        classes: Number of sub-classes: lowest, highest.
        class_spread: Between the sub-classes of a tissue.
        marrow_class_spread: The same in marrow, where more would be a lesion.
        class_cell_mm: Size of the places of one sub-class.
    """

    spread: tuple[float, float] = (0.08, 0.35)
    around_bone_spread: tuple[float, float] = (0.1, 0.6)
    split_probability: float = 0.5
    classes: tuple[int, int] = (2, 4)
    class_spread: tuple[float, float] = (0.1, 0.45)
    marrow_class_spread: tuple[float, float] = (0.03, 0.12)
    class_cell_mm: tuple[float, float] = (8.0, 45.0)


@dataclass(frozen=True, eq=False)
class Contrast:
    """Mean and texture amplitude per ``Tissue`` value.

    Attributes:
        sequence: Kind of contrast.
        mean: Signal.
        texture: Amplitude of fine texture.
        classes: Factors of the mean (sub-class, tissue); one row of ones if none is split.
        class_cell_mm: Size of the places of one sub-class.
    """

    sequence: Sequence
    mean: Float32Array
    texture: Float32Array
    classes: Float32Array
    class_cell_mm: float

    @property
    def marrow(self) -> float:
        """Signal of red marrow."""
        return float(self.mean[Tissue.RED_MARROW])

    @property
    def muscle(self) -> float:
        """Signal of muscle."""
        return float(self.mean[Tissue.MUSCLE])


def draw_contrast(
    rng: np.random.Generator,
    sequence: Sequence,
    realistic_probability: float,
    settings: ContrastSettings,
) -> Contrast:
    """Draw the signal of each tissue for one image."""
    realistic = rng.random() < realistic_probability
    mean = _realistic(rng, sequence, settings) if realistic else _arbitrary(rng, sequence)
    texture = mean * rng.uniform(0.02, 0.18, mean.shape)
    return Contrast(
        sequence,
        mean.astype(np.float32),
        texture.astype(np.float32),
        _draw_classes(rng, settings).astype(np.float32),
        float(rng.uniform(*settings.class_cell_mm)),
    )


def _draw_classes(rng: np.random.Generator, settings: ContrastSettings) -> npt.NDArray[np.float64]:
    """Factors (sub-class, tissue); air and gas stay dark."""
    if rng.random() >= settings.split_probability:
        return np.ones((1, N_TISSUES))
    low, high = settings.classes
    count = int(rng.integers(low, high + 1))
    spread = rng.uniform(*settings.class_spread, N_TISSUES)
    spread[list(_MARROW)] = rng.uniform(*settings.marrow_class_spread, len(_MARROW))
    spread[list(_DARK)] = 0.0
    return np.exp(rng.normal(0.0, 1.0, (count, N_TISSUES)) * spread)


def _realistic(
    rng: np.random.Generator, sequence: Sequence, settings: ContrastSettings
) -> npt.NDArray[np.float64]:
    column = 0 if sequence == Sequence.T1 else 1
    mean = np.zeros(N_TISSUES)
    for tissue, values in _TYPICAL.items():
        mean[tissue] = values[column]
    spread = np.full(N_TISSUES, rng.uniform(*settings.spread))
    around = list(_AROUND_BONE)
    spread[around] = np.hypot(spread[around], rng.uniform(*settings.around_bone_spread))
    mean *= np.exp(rng.normal(0.0, 1.0, mean.shape) * spread)
    ceiling = BRIGHTEST_CORTEX * mean[Tissue.RED_MARROW]
    mean[Tissue.CORTICAL_BONE] = min(mean[Tissue.CORTICAL_BONE], ceiling)
    if sequence == Sequence.DWI:
        mean = _fat_suppression(rng, mean)
    return mean


def _fat_suppression(
    rng: np.random.Generator, mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Good suppression mostly; in some images fat stays as bright as muscle or brighter."""
    fats = [Tissue.SUBCUTANEOUS_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.VISCERAL_FAT]
    factor = rng.uniform(2.0, 7.0) if rng.random() < 0.2 else rng.uniform(0.5, 2.0)
    mean[fats] *= factor
    return mean


def _arbitrary(rng: np.random.Generator, sequence: Sequence) -> npt.NDArray[np.float64]:
    mean = rng.uniform(0.05, 1.0, N_TISSUES)
    fats = [Tissue.SUBCUTANEOUS_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.VISCERAL_FAT]
    mean[fats] = rng.uniform(0.05, 1.0) * rng.uniform(0.9, 1.1, 3)
    mean[[Tissue.AIR, Tissue.GAS]] = rng.uniform(0.0, 0.04, 2)
    marrow = [Tissue.RED_MARROW, Tissue.YELLOW_MARROW]
    ceiling = 0.5 if sequence == Sequence.DWI else 1.0
    mean[marrow] = rng.uniform(0.15, ceiling) * rng.uniform(0.7, 1.3, 2)
    mean[Tissue.CORTICAL_BONE] = rng.uniform(0.0, BRIGHTEST_CORTEX * mean[Tissue.RED_MARROW])
    return mean


def lesion_signal(rng: np.random.Generator, contrast: Contrast) -> float:
    """Signal of one metastasis: above the marrow on DWI, below it on T1 (the paper)."""
    reference = contrast.marrow
    if contrast.sequence == Sequence.T1:
        return reference * rng.uniform(0.2, 0.72)
    return max(reference, 0.6 * contrast.muscle) * rng.uniform(1.5, 4.5)


def mimic_signal(rng: np.random.Generator, contrast: Contrast, kind: MimicKind) -> float:
    """Signal of one mimic."""
    t1, dwi = _MIMIC_SIGNAL[kind]
    if contrast.sequence == Sequence.T1:
        return contrast.marrow * rng.uniform(*t1)
    return max(contrast.muscle, 0.08) * rng.uniform(*dwi)
