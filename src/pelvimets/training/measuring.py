"""How a whole cascade does on unseen digital patients, by the same steps as in reading."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.segmentation import segment_bones, segment_lesions
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.sampler import TrainingSample, draw_sample
from pelvimets.training.phantom_samples import FIELD_MM, VALIDATION_SAMPLER, field_of
from pelvimets.training.settings import Task
from pelvimets.training.validation import (
    Measures,
    bone_measures,
    lesion_measures,
    mean_measures,
)

TEST_SEEDS = 3_000_000
ACQUIRED_MM = (5.0, 2.0, 2.0)


def measure_cascade(segmenter: Segmenter, per_sequence: int) -> dict[Task, dict[str, float]]:
    """Dice of the bones; recall, precision and Dice of the lesions inside predicted bones.

    Args:
        segmenter: The networks.
        per_sequence: Digital patients of each sequence, from seeds set aside.
    """
    measured: dict[Task, list[Measures]] = {task: [] for task in Task}
    for drawn in unseen_patients(per_sequence):
        sequence = Sequence(drawn.sequence)
        geometry = Geometry.from_axes(drawn.image.shape, drawn.spacing_mm, drawn.origin_lps_mm)
        image = Volume(drawn.image, geometry)
        bones = segment_bones(image, sequence, segmenter)
        lesions, _ = segment_lesions(image, bones, sequence, segmenter)
        voxel_mm3 = geometry.voxel_volume_mm3
        measured[Task.BONES].append(bone_measures(bones.array, drawn.bones, sequence, voxel_mm3))
        measured[Task.LESIONS].append(
            lesion_measures(lesions.array > 0, drawn.lesions > 0, sequence, voxel_mm3)
        )
    return {task: mean_measures(values) for task, values in measured.items()}


def unseen_patients(per_sequence: int) -> Iterator[TrainingSample]:
    """Digital patients of the test seeds, at an acquired grid, cut to their field of view."""
    shape = tuple(int(np.ceil(f / s)) for f, s in zip(FIELD_MM, ACQUIRED_MM, strict=True))
    missing = dict.fromkeys(Sequence, per_sequence)
    seed = TEST_SEEDS
    while any(missing.values()):
        rng = np.random.default_rng(seed)
        drawn = draw_sample(rng, (shape[0], shape[1], shape[2]), ACQUIRED_MM, VALIDATION_SAMPLER)
        seed += 1
        if missing[Sequence(drawn.sequence)]:
            missing[Sequence(drawn.sequence)] -= 1
            yield field_of(drawn)
