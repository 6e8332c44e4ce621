"""The two cascaded steps on each sequence, bones and lesions inside them; each read together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pelvimets.config import BoneSettings, LesionSettings
from pelvimets.core.bones import clean_bones
from pelvimets.core.joint import read_together
from pelvimets.core.joint_bones import BoneAnswer, bones_together
from pelvimets.core.lanes import MOST_LANES, side_by_side
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

_MOST_VOXELS = 40e6  # of all images together; larger ones one after the other, for memory


@dataclass(frozen=True, eq=False)
class Found:
    """What the networks of one sequence found, on its image's own grid.

    Attributes:
        bones: Bone label map (uint8) from this sequence alone, in which lesions are looked for:
            what is metastasis here may be no bone to the network of the other sequence.
        own: Probability of metastasis (float32) from this sequence alone.
        whole_bones: Bone label map (uint8) from all sequences that were read.
    """

    bones: Volume
    own: Volume
    whole_bones: Volume


@dataclass(frozen=True, eq=False)
class Segmented(Found):
    """The same after all sequences were read together.

    Attributes:
        probability: Of metastasis (float32), from all sequences that were read.
        candidates: Label map (uint16) of what may be lesions.
    """

    probability: Volume
    candidates: Volume


def segment_study(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> dict[Sequence, Segmented]:
    """Run the cascade on each sequence by itself, then read them together.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it, in threads of their own.
    """
    found = run_networks(images, segmenter, stage)
    with stage("read sequences together"):
        return gather_candidates(found, segmenter.settings.lesions)


def run_networks(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> dict[Sequence, Found]:
    """Bones, and the probability of metastasis in those of each sequence by itself.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it.
    """

    def ask(sequence: Sequence) -> BoneAnswer:
        with stage(f"bones on {sequence.title}"):
            return bone_answer(images[sequence], sequence, segmenter)

    def look(sequence: Sequence) -> Volume:
        with stage(f"lesions on {sequence.title}"):
            return lesion_probability(images[sequence], bones[sequence], sequence, segmenter)

    large = sum(image.geometry.n_voxels for image in images.values()) > _MOST_VOXELS
    lanes = 1 if large else MOST_LANES
    answers = dict(zip(images, side_by_side(ask, images, lanes), strict=True))
    with stage("read bones together"):
        bones = bone_masks(answers, images, segmenter.settings.bones, lanes)
        whole = whole_bones(answers, bones, segmenter.settings.bones)
    del answers
    own = dict(zip(images, side_by_side(look, images, lanes), strict=True))
    return {s: Found(bones[s], own[s], whole[s]) for s in images}


def bone_masks(
    answers: Mapping[Sequence, BoneAnswer],
    images: Mapping[Sequence, Volume],
    settings: BoneSettings,
    lanes: int = MOST_LANES,
) -> dict[Sequence, Volume]:
    """Bone label maps (uint8) on the images' own grids, from each sequence by itself."""
    drawn = side_by_side(lambda s: bones_of(answers[s], images[s], settings), images, lanes)
    return dict(zip(images, drawn, strict=True))


def whole_bones(
    answers: Mapping[Sequence, BoneAnswer], alone: Mapping[Sequence, Volume], settings: BoneSettings
) -> dict[Sequence, Volume]:
    """The same from all sequences; ``alone`` where the others say nothing."""
    together = bones_together(answers, settings)
    return {
        s: mask if together[s] is answers[s] else bones_of(together[s], mask, settings)
        for s, mask in alone.items()
    }


def gather_candidates(
    found: Mapping[Sequence, Found], settings: LesionSettings
) -> dict[Sequence, Segmented]:
    """Candidates on each sequence from what the networks say of all of them.

    Args:
        found: Bones and lesion probability of each sequence's network.
        settings: With threshold and joint weights of each sequence.
    """
    own = {s: one.own for s, one in found.items()}
    together = read_together(own, settings)

    def gather(sequence: Sequence) -> Segmented:
        one = found[sequence]
        labels = label_lesions(together[sequence], one.bones, settings.on(sequence))
        candidates = shown_lesions(labels, one.own, settings)
        return Segmented(one.bones, one.own, one.whole_bones, together[sequence], candidates)

    return dict(zip(found, side_by_side(gather, found), strict=True))


def segment_bones(image: Volume, sequence: Sequence, segmenter: Segmenter) -> Volume:
    """Bone label map (uint8) on the image's own grid, of an image by itself."""
    return bones_of(bone_answer(image, sequence, segmenter), image, segmenter.settings.bones)


def bone_answer(image: Volume, sequence: Sequence, segmenter: Segmenter) -> BoneAnswer:
    """What the bone network says of an image by itself."""
    settings = segmenter.settings
    prepared = prepare(image, settings.bone_grid, settings.intensity)
    found = segmenter.bone_probabilities(prepared, sequence)
    return BoneAnswer(found, prepared.geometry, image.geometry)


def bones_of(answer: BoneAnswer, image: Volume, settings: BoneSettings) -> Volume:
    """Bone label map (uint8) on the image's own grid, from what the network says."""
    labels = labels_from_probabilities(answer.probabilities, answer.grid, image.geometry)
    return clean_bones(image.with_array(labels), settings)


def lesion_probability(
    image: Volume, bones: Volume, sequence: Sequence, segmenter: Segmenter
) -> Volume:
    """Probability of metastasis (float32) on the image's own grid; zero without any bone."""
    settings = segmenter.settings
    prepared = prepare(image, settings.lesion_grid, settings.intensity)
    bones_on_grid = resample_labels(bones, prepared.geometry)
    found = segmenter.lesion_probabilities(prepared, bones_on_grid, sequence)
    return image.with_array(interpolate_probability(found, prepared.geometry, image.geometry))
