"""The two cascaded steps on each sequence, bones and lesions inside them; then both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pelvimets.config import LesionSettings
from pelvimets.core.bones import clean_bones
from pelvimets.core.findings import BoneMasks
from pelvimets.core.joint import read_together
from pelvimets.core.lesions import label_lesions, shown_lesions
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
        probability: Of metastasis (float32), from all sequences that were read.
        own: The same from the sequence's own network alone.
    """

    bones: BoneMasks
    candidates: dict[Sequence, Volume]
    probability: dict[Sequence, Volume]
    own: dict[Sequence, Volume]


def segment_study(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Segmented:
    """Run the cascade on each sequence by itself, then read them together.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it.
    """
    bones, own = run_networks(images, segmenter, stage)
    with stage("read sequences together"):
        return gather_candidates(bones, own, segmenter.settings.lesions)


def run_networks(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> tuple[BoneMasks, dict[Sequence, Volume]]:
    """Bones and probability of metastasis on each sequence by itself.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it.
    """
    bones: dict[Sequence, Volume] = {}
    own: dict[Sequence, Volume] = {}
    for sequence, image in images.items():
        with stage(f"bones on {sequence.title}"):
            bones[sequence] = segment_bones(image, sequence, segmenter)
        with stage(f"lesions on {sequence.title}"):
            own[sequence] = lesion_probability(image, bones[sequence], sequence, segmenter)
    return BoneMasks(bones), own


def gather_candidates(
    bones: BoneMasks, own: dict[Sequence, Volume], settings: LesionSettings
) -> Segmented:
    """Candidates on each sequence from what the networks say of all of them.

    Args:
        bones: Bone masks.
        own: Lesion probability of each sequence's network.
        settings: With threshold and joint weights of each sequence.
    """
    probability = read_together(own, settings)
    candidates = {
        s: shown_lesions(
            label_lesions(probability[s], bones.by_sequence[s], settings.on(s)), own[s], settings
        )
        for s in own
    }
    return Segmented(bones, candidates, probability, own)


def segment_bones(image: Volume, sequence: Sequence, segmenter: Segmenter) -> Volume:
    """Bone label map (uint8) on the image's own grid."""
    settings = segmenter.settings
    prepared = prepare(image, settings.bone_grid, settings.intensity)
    probabilities = segmenter.bone_probabilities(prepared, sequence)
    labels = labels_from_probabilities(probabilities, prepared.geometry, image.geometry)
    return clean_bones(image.with_array(labels), settings.bones)


def lesion_probability(
    image: Volume, bones: Volume, sequence: Sequence, segmenter: Segmenter
) -> Volume:
    """Probability of metastasis (float32) on the image's own grid; zero without any bone."""
    settings = segmenter.settings
    prepared = prepare(image, settings.lesion_grid, settings.intensity)
    bones_on_grid = resample_labels(bones, prepared.geometry)
    found = segmenter.lesion_probabilities(prepared, bones_on_grid, sequence)
    return image.with_array(interpolate_probability(found, prepared.geometry, image.geometry))
