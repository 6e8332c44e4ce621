from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.training.patches import (
    cut_patch,
    draw_parameters,
    jittered_bones,
    lesion_weights,
    lesions_of,
)
from pelvimets.training.sample import MIMIC_BIT, Sample, bones_of
from pelvimets.training.settings import Augmentation, PatchCentres, Stage
from pelvimets.training.validation import whole_image

NOTHING = Augmentation(0, 0, 0, 0, False, 0, 0, 0, 0, 0)
FINE = Stage(until=1.0, spacing_mm=(4.0, 2.0, 2.0), shape=(8, 16, 16), batch=1)


def test_the_unchanged_grid_gives_the_sample_back(sample: Sample) -> None:
    patch = whole_image(sample, sample.spacing_mm)
    np.testing.assert_array_equal(patch.truth, sample.truth)
    np.testing.assert_allclose(patch.image, sample.image.astype(np.float32), atol=2e-3)


def test_a_coarser_grid_keeps_the_size_of_the_bones_in_mm(sample: Sample) -> None:
    patch = whole_image(sample, (4.0, 4.0, 4.0))
    assert patch.image.shape == (12, 12, 16)
    for bone in (3, 5):
        fine = (bones_of(sample.truth) == bone).sum() * 16
        assert (bones_of(patch.truth) == bone).sum() * 64 == pytest.approx(fine, rel=0.15)
    assert patch.image[bones_of(patch.truth) == 5].mean() == pytest.approx(2.0, abs=0.35)


def test_the_same_draw_gives_the_same_patch(sample: Sample) -> None:
    def patch(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        drawn = draw_parameters(sample, FINE, Augmentation(), PatchCentres(), rng)
        return cut_patch(sample, drawn).image

    np.testing.assert_array_equal(patch(3), patch(3))
    assert not np.array_equal(patch(3), patch(4))


@pytest.mark.parametrize("seed", range(12))
def test_image_and_truth_move_together(sample: Sample, seed: int) -> None:
    """Intensity tells the bones apart, so wherever a patch goes the labels must agree with it."""
    moving = replace(NOTHING, rotation_degrees=10, scale=0.1, shear=0.05, flip_left_right=True)
    rng = np.random.default_rng(seed)
    drawn = draw_parameters(sample, FINE, moving, PatchCentres(on_bone=1.0), rng)
    patch = cut_patch(sample, drawn)
    background = (patch.truth == 0) & (patch.image != 0)
    bright = patch.image[(patch.truth == 5)]
    assert np.median(patch.image[background]) == pytest.approx(-0.5, abs=0.2)
    if bright.size > 50:
        assert np.median(bright) == pytest.approx(2.0, abs=0.3)


def test_patches_centred_on_lesions_hold_one(sample: Sample) -> None:
    centres = PatchCentres(on_lesion=1.0, on_bone=0.0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        patch = cut_patch(sample, draw_parameters(sample, FINE, NOTHING, centres, rng))
        assert lesions_of(patch.truth).any()


def test_a_shorter_field_is_empty_outside_and_z_scored_inside(sample: Sample) -> None:
    still = draw_parameters(
        sample, FINE, NOTHING, PatchCentres(on_bone=1.0), np.random.default_rng(1)
    )
    cut = replace(still, field=((0.25, 1.0), (0.0, 0.5), (0.0, 1.0)))
    patch = cut_patch(sample, cut)
    assert not patch.image[:2].any()
    assert not patch.truth[:, 8:].any()
    inside = patch.image[patch.image != 0]
    assert inside.mean() == pytest.approx(0, abs=0.02)
    assert inside.std() == pytest.approx(1, abs=0.02)


def test_gamma_and_bias_leave_mean_and_deviation(sample: Sample) -> None:
    still = draw_parameters(sample, FINE, NOTHING, PatchCentres(), np.random.default_rng(5))
    plain = cut_patch(sample, still).image
    changed = cut_patch(sample, replace(still, gamma=1.6, bias=np.full((2, 3), 0.2))).image
    inside = plain != 0
    assert changed[inside].mean() == pytest.approx(plain[inside].mean(), abs=1e-3)
    assert changed[inside].std() == pytest.approx(plain[inside].std(), rel=1e-3)
    assert not np.allclose(changed, plain, atol=0.05)


def test_truth_bits_do_not_disturb_each_other(sample: Sample) -> None:
    assert set(np.unique(bones_of(sample.truth))) == {0, 3, 5}
    assert lesions_of(sample.truth).sum() == 48
    assert ((sample.truth & MIMIC_BIT) > 0).sum() == 8
    np.testing.assert_array_equal(sample.lesion_centres, [[5, 10, 22]])


def test_jittered_bones_stay_near_the_bones(sample: Sample) -> None:
    true = bones_of(sample.truth) > 0
    masks = [
        jittered_bones(sample.truth, sample.spacing_mm, np.random.default_rng(seed))
        for seed in range(40)
    ]
    shares = [2 * (m & true).sum() / (m.sum() + true.sum()) for m in masks]
    assert np.median(shares) > 0.7
    assert len({m.tobytes() for m in masks}) > 10
    left_out = [not m[lesions_of(sample.truth)].any() for m in masks]
    assert 0 < sum(left_out) < 20


def test_without_bones_the_mask_is_empty(sample: Sample) -> None:
    nothing = np.zeros_like(sample.truth)
    assert not jittered_bones(nothing, sample.spacing_mm, np.random.default_rng(0)).any()


def test_small_metastases_weigh_more() -> None:
    """0.064, 1 and 4 cm3 on voxels of 1 / 125 cm3, against 4 cm3: sqrt of the ratio, at most 5."""
    lesions = np.zeros((20, 20, 60), dtype=bool)
    lesions[:2, :2, :2] = lesions[:5, :5, 10:15] = lesions[:10, :10, 20:25] = True
    weights = lesion_weights(lesions, 1 / 125, 4.0)
    assert weights[0, 0, 0] == 5.0
    assert weights[0, 0, 10] == pytest.approx(2.0)
    assert weights[0, 0, 20] == pytest.approx(1.0)
    assert weights[19, 19, 59] == 1.0
    assert (lesion_weights(lesions, 1 / 125, 0.0) == 1.0).all()
    assert (lesion_weights(np.zeros((2, 2, 2), dtype=bool), 1.0, 4.0) == 1.0).all()
