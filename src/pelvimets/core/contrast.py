"""Does an image show what its sequence shows? If not, say 'review'.

Judged where the bones were found. On T1 fat is bright: the fatty marrow of the femora is
brighter than the red marrow of the spine, or much like it. On fat-suppressed diffusion it is the
other way round. On both, marrow is brighter than the muscle around the bones. An image with
another order is inverted, of another sequence, or without fat suppression. The limits lie
between what ``benchmarks/contrast.py`` measures on digital patients of all scanners and on
images given as what they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.distance import depth_mm, distance_mm
from pelvimets.core.findings import FlagLevel, QualityFlag
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

LARGEST_NEGATIVE_SHARE = 0.05
HIGHEST_FATTY_ON_DWI = 0.8
LOWEST_FATTY_ON_T1 = 0.6
LOWEST_MARROW_OVER_MUSCLE = 1.0
LARGEST_BRIGHT_SHARE = 0.1
LEAST_BONE_IN_ADC = 0.01

_FATTY = (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK)
_RED = (Bone.SACROCOCCYX, Bone.LUMBAR_VERTEBRA)
_COARSE_MM = 2.5
_INSIDE_MM, _AROUND_MM = 4.0, (4.0, 14.0)
_MUSCLE_PERCENTILE = 25  # around bones lie muscle and, brighter or darker, fat
_FEWEST_VOXELS = 40

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Contrast:
    """Ratios of signals that a sequence decides.

    Attributes:
        fatty_over_red: Marrow of the femora over that of sacrum and lumbar spine; None where
            too little of either is in the field.
        marrow_over_muscle: All marrow over the muscle around the bones; None likewise.
        negative_share: Negative signal over all signal, by magnitude; a magnitude image has none.
        bright_share: Voxels nearly as bright as the brightest; the air around a patient is
            dark, unless the image is inverted.
    """

    fatty_over_red: float | None
    marrow_over_muscle: float | None
    negative_share: float
    bright_share: float


def contrast_of(image: Volume, bones: Volume) -> Contrast:
    """Measure an image inside and around its bones (a label map on the same grid)."""
    steps = tuple(slice(None, None, max(int(_COARSE_MM / s), 1)) for s in image.geometry.spacing)
    values = np.asarray(image.array[steps], dtype=np.float32)
    labels = bones.array[steps]
    spacing = [s * (step.step or 1) for s, step in zip(image.geometry.spacing, steps, strict=True)]
    bone = labels > 0
    inside = bone & (depth_mm(bone, spacing) >= _INSIDE_MM)
    outside_mm = distance_mm(bone, spacing, _AROUND_MM[1])
    around = (outside_mm >= _AROUND_MM[0]) & (outside_mm <= _AROUND_MM[1])
    fatty, red = (_median(values, inside & np.isin(labels, part)) for part in (_FATTY, _RED))
    muscle = _percentile(values, around, _MUSCLE_PERCENTILE)
    total = float(np.abs(values).sum(dtype=np.float64))
    negative = float(-values[values < 0].sum(dtype=np.float64))
    return Contrast(
        fatty_over_red=_ratio(fatty, red),
        marrow_over_muscle=_ratio(_median(values, inside), muscle),
        negative_share=negative / total if total > 0 else 0.0,
        bright_share=float((values > 0.9 * np.percentile(values, 99.9)).mean()),
    )


def contrast_flags(image: Volume, bones: Volume, sequence: Sequence) -> tuple[QualityFlag, ...]:
    """Flags of an image whose signals contradict its sequence.

    Args:
        image: As acquired.
        bones: Label map on its grid.
        sequence: What the image is said to be.
    """
    if not np.isfinite(image.array).all():
        return (_flag("not-finite", "The image holds values that are not finite", sequence),)
    if image.array.min() == image.array.max():
        return (_flag("contrast", "The image is the same everywhere", sequence),)
    contrast = contrast_of(image, bones)
    if contrast.negative_share > LARGEST_NEGATIVE_SHARE:
        message = (
            f"{contrast.negative_share:.0%} of the signal is negative: an inverted image, "
            "a phase image, or a wrong rescale slope"
        )
        return (_flag("negative-signal", message, sequence),)
    wrong = (_fat_message(contrast, sequence), _muscle_message(contrast), _air_message(contrast))
    return tuple(_flag("contrast", message, sequence) for message in wrong if message)


def adc_flags(adc: Volume, bones: Volume) -> tuple[QualityFlag, ...]:
    """A flag if the ADC map lies elsewhere than the bones."""
    at = np.argwhere(bones.array > 0)
    if not len(at):
        return ()
    index = np.rint(adc.geometry.to_index(bones.geometry.to_lps(at)))
    inside = ((index >= 0) & (index < adc.geometry.shape)).all(axis=1)
    if inside.mean() >= LEAST_BONE_IN_ADC:
        return ()
    centre = adc.geometry.corners().mean(axis=0)
    distance = float(np.linalg.norm(bones.geometry.to_lps(at).mean(axis=0) - centre))
    message = f"The ADC map covers none of the bones: its centre lies {distance:.0f} mm from theirs"
    return (QualityFlag(FlagLevel.REVIEW, "adc-elsewhere", message),)


def _fat_message(contrast: Contrast, sequence: Sequence) -> str | None:
    ratio = contrast.fatty_over_red
    if ratio is None:
        return None
    if sequence is Sequence.DWI and ratio > HIGHEST_FATTY_ON_DWI:
        return (
            f"Fatty marrow is {ratio:.2f} times as bright as red marrow (at most "
            f"{HIGHEST_FATTY_ON_DWI:g} on fat-suppressed DWI): not a DWI, or fat was not suppressed"
        )
    if sequence is Sequence.T1 and ratio < LOWEST_FATTY_ON_T1:
        return (
            f"Fatty marrow is {ratio:.2f} times as bright as red marrow (at least "
            f"{LOWEST_FATTY_ON_T1:g} on T1): not a T1-weighted image, or fat was suppressed"
        )
    return None


def _muscle_message(contrast: Contrast) -> str | None:
    ratio = contrast.marrow_over_muscle
    if ratio is None or ratio >= LOWEST_MARROW_OVER_MUSCLE:
        return None
    return (
        f"Marrow is {ratio:.2f} times as bright as the muscle around it, and should be brighter: "
        "an inverted image, another sequence, or wrong bones"
    )


def _air_message(contrast: Contrast) -> str | None:
    if contrast.bright_share <= LARGEST_BRIGHT_SHARE:
        return None
    return f"{contrast.bright_share:.0%} of the image is as bright as its brightest: inverted?"


def _flag(code: str, message: str, sequence: Sequence) -> QualityFlag:
    return QualityFlag(FlagLevel.REVIEW, code, message, sequence)


def _median(values: FloatArray, mask: npt.NDArray[np.bool_]) -> float | None:
    return _percentile(values, mask, 50)


def _percentile(values: FloatArray, mask: npt.NDArray[np.bool_], share: float) -> float | None:
    chosen: npt.NDArray[Any] = values[mask]
    return None if chosen.size < _FEWEST_VOXELS else float(np.percentile(chosen, share))


def _ratio(above: float | None, below: float | None) -> float | None:
    """None where it says nothing; a signal over none at all is endless."""
    if above is None or below is None or (above <= 0 and below <= 0):
        return None
    return above / below if below > 0 else float("inf")
