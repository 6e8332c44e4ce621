from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.labels import Bone, Sequence
from pelvimets.training.module import pictured
from pelvimets.training.pictures import PANEL_WIDTH, picture_row, sheet
from pelvimets.training.sample import Sample, bones_of
from pelvimets.training.settings import Task
from pelvimets.training.validation import Answer
from tests.training.conftest import Samples, made_sample

YELLOW, BLUE = (240, 200, 30), (0, 190, 255)


def answer(sample: Sample, truth: np.ndarray, found: np.ndarray) -> Answer:
    image = sample.image.astype(np.float32)
    return Answer("p0_dwi", Sequence.DWI, sample.spacing_mm, image, truth, found)


def has(panel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((panel == colour).all(axis=-1).any())


def test_lesions_are_outlined_in_their_panels_alone(sample: Sample) -> None:
    truth = np.zeros(sample.truth.shape, np.uint8)
    found = truth.copy()
    truth[4:7, 9:13, 21:25], found[4:7, 8:12, 20:24] = 1, 1
    row = picture_row(answer(sample, truth, found), Task.LESIONS, "p0")
    panels = [row[:, n * (PANEL_WIDTH + 6) :][:, :PANEL_WIDTH] for n in range(4)]
    assert [has(panel, YELLOW) for panel in panels] == [True, False, True, False]
    assert [has(panel, BLUE) for panel in panels] == [False, True, False, True]


def test_pixels_are_square_and_the_head_is_up(sample: Sample) -> None:
    """24 x 32 voxels of 2 mm fill 300 pixels across, so 225 down; 12 slices of 4 mm the same."""
    truth = np.zeros(sample.truth.shape, np.uint8)
    truth[9:12, 4:14, 3:13] = Bone.ILIUM
    row = picture_row(answer(sample, truth, truth), Task.BONES, "p0")
    assert row.shape == (24 + 225, 4 * PANEL_WIDTH + 3 * 6, 3)
    coronal = row[24:, 2 * (PANEL_WIDTH + 6) :][:, :PANEL_WIDTH].astype(int)
    coloured = np.ptp(coronal, axis=-1) > 20
    assert coloured[: 225 // 4].any() and not coloured[225 // 2 :].any()


def test_an_empty_image_is_black(sample: Sample) -> None:
    nothing = np.zeros(sample.truth.shape, np.uint8)
    blank = replace(answer(sample, nothing, nothing), image=np.zeros(nothing.shape, np.float32))
    assert not picture_row(blank, Task.BONES, "").any()


@pytest.mark.parametrize("task", list(Task))
def test_the_sheet_holds_all_rows(sample: Sample, task: Task) -> None:
    bones = bones_of(sample.truth)
    row = picture_row(answer(sample, bones, bones), task, "p0")
    whole = sheet([row, row[:100]], task, "title")
    assert whole.shape == (row.shape[0] + 100 + 3 * 24, row.shape[1], 3)


def test_two_of_each_sequence_are_pictured_for_lesions_with_a_lesion() -> None:
    plain = [made_sample(n, Sequence.DWI if n % 2 else Sequence.T1) for n in range(8)]
    bare = [replace(s, lesion_centres=s.lesion_centres[:0]) for s in plain[:2]]
    source = Samples(*bare, *plain[2:])
    assert pictured(source, Task.BONES) == {"p0_t1", "p1_dwi", "p2_t1", "p3_dwi"}
    assert pictured(source, Task.LESIONS) == {"p2_t1", "p3_dwi", "p4_t1", "p5_dwi"}
