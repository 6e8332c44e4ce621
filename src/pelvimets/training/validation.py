"""Measures during training: on whole images, on the grid on which the network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.core.judged import without_open_voxels
from pelvimets.labels import Bone, Sequence
from pelvimets.model.inputs import bone_input, further_channels, lesion_input
from pelvimets.model.padding import padded_probabilities
from pelvimets.training.patches import (
    Patch,
    PatchParameters,
    cut_patch,
    lesions_of,
    open_to_lesions,
)
from pelvimets.training.sample import OPEN_BONE, Sample, any_bone, drawn_bones
from pelvimets.training.settings import Task, TrainingSettings, Triple

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Measures = dict[str, tuple[float, float]]

_SMALLEST_LESION_MM3 = 200.0
_SMALLEST_BONE_MM3 = 1000.0


@dataclass(frozen=True, eq=False)
class Answer:
    """One whole image as the network saw it, and what it answered.

    Attributes:
        name: Of the sample.
        sequence: Which input it is.
        spacing_mm: Voxel distance (z, y, x).
        image: float32 (z, y, x).
        truth: ``Bone`` values, or 1 in metastases (z, y, x).
        found: The same of the network; background where nobody judged.
        drawn: Bones that a person drew one by one.
    """

    name: str
    sequence: Sequence
    spacing_mm: Triple
    image: npt.NDArray[np.float32]
    truth: npt.NDArray[np.uint8]
    found: npt.NDArray[np.uint8]
    drawn: tuple[Bone, ...] = tuple(Bone)


def answer_of(
    predict: Predict, sample: Sample, settings: TrainingSettings, spacing_mm: Triple | None
) -> Answer:
    """Read one whole image.

    Args:
        predict: Probabilities (outputs, z, y, x) of (inputs, z, y, x).
        sample: The image and its truth.
        settings: Of the run.
        spacing_mm: Grid of the stage that is on; None keeps the sample's voxels.
    """
    spacing_mm = spacing_mm or sample.spacing_mm
    patch = whole_image(sample, spacing_mm)
    read = _bones_of if settings.task is Task.BONES else _lesions_of
    truth, found = read(predict, sample, patch, settings)
    drawn = tuple(bone for bone in Bone if sample.values[bone] == bone)
    return Answer(sample.name, sample.sequence, spacing_mm, patch.image, truth, found, drawn)


def measures_of(answer: Answer, settings: TrainingSettings) -> Measures:
    """Counts of one image as (numerator, denominator) per measure; sums give the means."""
    voxel_mm3 = float(np.prod(answer.spacing_mm))
    if settings.task is Task.BONES:
        return bone_measures(answer.found, answer.truth, answer.sequence, voxel_mm3, answer.drawn)
    return lesion_measures(answer.found > 0, answer.truth > 0, answer.sequence, voxel_mm3)


def whole_image(sample: Sample, spacing_mm: Triple) -> Patch:
    """The sample on another grid, unchanged otherwise."""
    spacing = np.asarray(sample.spacing_mm)
    step = np.asarray(spacing_mm)
    shape = np.ceil(np.asarray(sample.image.shape) * spacing / step - 1e-6).astype(int)
    still = PatchParameters(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        matrix=np.diag(step / spacing),
        centre=(np.asarray(sample.image.shape) - 1) / 2,
        field=((0.0, 1.0),) * 3,
        gamma=1.0,
        bias=np.zeros((2, 3)),
        noise=0.0,
        blur_voxels=0.0,
        noise_seed=0,
    )
    return cut_patch(sample, still)


def _bones_of(
    predict: Predict, sample: Sample, patch: Patch, settings: TrainingSettings
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    probability = padded_probabilities(
        predict,
        bone_input(patch.image, _further(sample, patch, settings)),
        settings.network.multiple_of,
        settings.stages[-1].shape,
    )
    truth, found = drawn_bones(patch.truth, sample.values), probability.argmax(0).astype(np.uint8)
    return without_open_voxels(truth, found, OPEN_BONE)


def _further(
    sample: Sample, patch: Patch, settings: TrainingSettings
) -> list[npt.NDArray[np.float32]]:
    entries = settings.network.inputs
    return further_channels(entries, sample.sequence, patch.further, patch.image.shape)


def _lesions_of(
    predict: Predict, sample: Sample, patch: Patch, settings: TrainingSettings
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    bones = any_bone(patch.truth)
    channels = lesion_input(patch.image, bones, sample.sequence, _further(sample, patch, settings))
    probability = padded_probabilities(
        predict, channels, settings.network.multiple_of, settings.stages[-1].shape
    )[0]
    near = ndimage.binary_dilation(bones, iterations=1) & ~open_to_lesions(patch.truth)
    found = (probability >= 0.5) & near
    return lesions_of(patch.truth).astype(np.uint8), found.astype(np.uint8)


def bone_measures(
    found: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    sequence: Sequence,
    voxel_mm3: float,
    drawn: tuple[Bone, ...] = tuple(Bone),
) -> Measures:
    """Dice coefficient of each bone of at least 1 cm3, and their mean.

    Args:
        found: Predicted label map.
        truth: True label map.
        sequence: Part of the measures' names.
        voxel_mm3: Volume of a voxel.
        drawn: Bones to measure.
    """
    measures: Measures = {}
    for bone in drawn:
        a, b = found == bone, truth == bone
        if b.sum() * voxel_mm3 < _SMALLEST_BONE_MM3:
            continue
        dice = 2 * float((a & b).sum()) / float(a.sum() + b.sum())
        measures[f"dice_{sequence}_{bone.key}"] = (dice, 1.0)
    values = [value for value, _ in measures.values()]
    measures[f"dice_{sequence}"] = (sum(values), len(values))
    measures["score"] = (sum(values), len(values))
    return measures


def lesion_measures(
    found: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    sequence: Sequence,
    voxel_mm3: float,
) -> Measures:
    """Recall and precision of single lesions from 0.2 cm3, Dice of all lesion voxels."""
    both, either = float((found & truth).sum()), float(found.sum() + truth.sum())
    return {
        f"recall_{sequence}": _hits(truth, found, voxel_mm3),
        f"precision_{sequence}": _hits(found, truth, voxel_mm3),
        f"dice_{sequence}": (2 * both, either),
        "score": (2 * both, either),
    }


def _hits(
    mask: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], voxel_mm3: float
) -> tuple[int, int]:
    """Components of the mask (from 0.2 cm3) that touch the other mask, and all of them."""
    components, count = cc3d.connected_components(mask, return_N=True)
    if not count:
        return 0, 0
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3
    touched = np.bincount(components[other], minlength=count + 1)[1:] > 0
    large = sizes >= _SMALLEST_LESION_MM3
    return int((touched & large).sum()), int(large.sum())


def mean_measures(measured: list[Measures]) -> dict[str, float]:
    """Sum of numerators over sum of denominators, per measure."""
    totals: dict[str, list[float]] = {}
    for measures in measured:
        for name, (top, bottom) in measures.items():
            total = totals.setdefault(name, [0.0, 0.0])
            total[0] += top
            total[1] += bottom
    return {name: top / bottom if bottom else 0.0 for name, (top, bottom) in totals.items()}
