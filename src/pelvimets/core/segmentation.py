"""The two cascaded steps on each sequence: bones, then lesions inside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pelvimets.core.bones import clean_bones
from pelvimets.core.findings import BoneMasks
from pelvimets.core.lesions import label_lesions
from pelvimets.core.resample import (
    interpolate_probability,
    labels_from_probabilities,
    prepare,
    resample_labels,
)
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence


@dataclass(frozen=True, eq=False)
class Segmented:
    """What the networks found on each sequence, every volume on its image's own grid.

    Attributes:
        bones: Bone masks.
        candidates: Label maps (uint16) of what may be lesions.
        probability: Of metastasis (float32).
    """

    bones: BoneMasks
    candidates: dict[Sequence, Volume]
    probability: dict[Sequence, Volume]


def segment_study(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Segmented:
    """Run the cascade on each sequence by itself.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it.
    """
    bones: dict[Sequence, Volume] = {}
    candidates: dict[Sequence, Volume] = {}
    probability: dict[Sequence, Volume] = {}
    for sequence, image in images.items():
        with stage(f"bones on {sequence.title}"):
            bones[sequence] = segment_bones(image, sequence, segmenter)
        with stage(f"lesions on {sequence.title}"):
            candidates[sequence], probability[sequence] = segment_lesions(
                image, bones[sequence], sequence, segmenter
            )
    return Segmented(BoneMasks(bones), candidates, probability)


def segment_bones(image: Volume, sequence: Sequence, segmenter: Segmenter) -> Volume:
    """Bone label map (uint8) on the image's own grid."""
    settings = segmenter.settings
    prepared = prepare(image, settings.bone_grid, settings.intensity)
    probabilities = segmenter.bone_probabilities(prepared, sequence)
    labels = labels_from_probabilities(probabilities, prepared.geometry, image.geometry)
    return clean_bones(image.with_array(labels), settings.bones)


def segment_lesions(
    image: Volume, bones: Volume, sequence: Sequence, segmenter: Segmenter
) -> tuple[Volume, Volume]:
    """Candidates (label map, uint16) and probability (float32) on the image's own grid.

    Without any bone there is nothing to look in: both are zero.
    """
    settings = segmenter.settings
    prepared = prepare(image, settings.lesion_grid, settings.intensity)
    bones_on_grid = resample_labels(bones, prepared.geometry)
    found = segmenter.lesion_probabilities(prepared, bones_on_grid, sequence)
    probability = image.with_array(
        interpolate_probability(found, prepared.geometry, image.geometry)
    )
    return label_lesions(probability, bones, settings.lesions.on(sequence)), probability
