"""Samples of which a person judged but a part: what is kept, taught and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.volume import Volume
from pelvimets.io.record.arrays import ArrayFolder
from pelvimets.labels import HIP_BONE, Bone, Sequence
from pelvimets.training.data import network_item
from pelvimets.training.patches import Patch
from pelvimets.training.sample import (
    ONE_BY_ONE,
    OPEN_BONE,
    UNION_VALUES,
    AnnotatedImage,
    Sample,
    any_bone,
    bones_of,
    prepare_sample,
)
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.store import SampleStore
from pelvimets.training.validation import answer_of, measures_of

SHAPE, SPACING = (8, 16, 16), (4.0, 4.0, 4.0)
GRID = GridSettings(spacing_mm=SPACING, multiple_of=(1, 1, 1))
HIP = UNION_VALUES[HIP_BONE.value]


def made(judged: Judged) -> Sample:
    """Ilium, pubis, a hip bone, a part that nobody judged; a lesion half left open."""
    geometry = Geometry.from_axes(SHAPE, SPACING)
    bones = np.zeros(SHAPE, np.uint8)
    bones[:, 2:5], bones[:, 6:9], bones[:, 10:12] = Bone.ILIUM, Bone.PUBIS, HIP_BONE.value
    bones[:, 13:15] = UNJUDGED_BONE
    lesions = np.zeros(SHAPE, np.uint16)
    lesions[2:4, 2:5], lesions[4:6, 2:5] = 1, UNJUDGED_LESION
    image = np.random.default_rng(0).normal(100, 5, SHAPE) + bones
    volume = Volume(image.astype(np.float32), geometry)
    masks = (Volume(bones, geometry), Volume(lesions, geometry), None)
    given = AnnotatedImage(volume, *masks, judged)
    return prepare_sample("p_dwi", Sequence.DWI, given, GRID, IntensitySettings())


def test_a_sample_keeps_what_was_judged(tmp_path) -> None:
    sample = made(Judged(frozenset({"ilium", "hip_bone"})))
    assert sample.values == (0, 0, 0, 3, HIP, 0, 0, HIP, HIP)
    assert set(np.unique(bones_of(sample.truth))) == {0, 3, 8, HIP, OPEN_BONE}
    assert not any_bone(sample.truth)[bones_of(sample.truth) == OPEN_BONE].any()
    store = SampleStore(ArrayFolder(tmp_path))
    store.write(sample)
    assert store.read("p_dwi").values == sample.values
    store.write(replace(sample, values=ONE_BY_ONE))
    assert store.read("p_dwi").values == ONE_BY_ONE


def test_predicted_bones_guide_and_do_not_teach(tiny: TrainingSettings) -> None:
    """A pubis that networks drew: background to the bone network, bone to that of lesions."""
    judged = Judged(frozenset({"ilium"}), frozenset({"pubis"}), "first")
    sample, rng = made(judged), np.random.default_rng(0)
    patch = Patch(sample.image.astype(np.float32), sample.truth)
    bones = network_item(sample, patch, SPACING, tiny, rng)
    pubis = bones_of(sample.truth) == Bone.PUBIS
    assert not bones["target"].numpy()[pubis].any()
    assert bones["values"].tolist() == [0, 0, 0, 3, 0, 0, 0, 0, 0]
    lesions = network_item(sample, patch, SPACING, replace(tiny, task=Task.LESIONS), rng)
    assert lesions["image"][1].numpy()[pubis].mean() > 0.5


def test_lesions_left_open_are_outside_the_loss(tiny: TrainingSettings) -> None:
    sample = made(Judged())
    patch = Patch(sample.image.astype(np.float32), sample.truth)
    settings = replace(tiny, task=Task.LESIONS)
    item = network_item(sample, patch, SPACING, settings, np.random.default_rng(0))
    left_open = np.zeros(SHAPE, bool)
    left_open[4:6, 2:5] = True
    assert not item["region"].numpy()[left_open].any()
    assert item["target"].sum() == (2 * 3 * SHAPE[2])


def test_measures_leave_out_what_nobody_judged(tiny: TrainingSettings) -> None:
    """A network that fills everything else with pubis scores as one that does not."""
    sample = made(Judged(frozenset({"ilium"})))
    truth = torch.from_numpy((bones_of(sample.truth) == Bone.ILIUM).astype(np.int64))

    def answer(elsewhere: int):
        classes = torch.where(truth > 0, int(Bone.ILIUM), elsewhere)
        one_hot = torch.nn.functional.one_hot(classes, 9).movedim(-1, 0).float().numpy()

        def predict(channels):
            assert channels.shape[1:] == one_hot.shape[1:]
            return one_hot

        settings = replace(tiny, grid=GRID)
        found = answer_of(predict, sample, settings, None)
        return measures_of(found, settings), found

    measures, found = answer(int(Bone.PUBIS))
    assert measures["score"] == (1.0, 1) and "dice_dwi_pubis" not in measures
    assert not found.found[bones_of(sample.truth) == OPEN_BONE].any()
    assert answer(0)[0] == measures
