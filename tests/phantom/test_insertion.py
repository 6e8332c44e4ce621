from __future__ import annotations

from dataclasses import replace

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from pelvimets.errors import InputError
from pelvimets.labels import Bone, Sequence
from pelvimets.phantom.disease.insertion import InsertionSettings, insert_metastases

SPACING = (4.0, 2.0, 2.0)
ALWAYS = InsertionSettings(none_probability=0.0, breaking_probability=0.0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Marrow of two levels in soft tissue, all with noise."""
    bones = np.zeros((20, 60, 60), np.uint8)
    bones[4:16, 8:52, 6:26] = Bone.ILIUM
    bones[4:16, 8:52, 34:54] = Bone.SACROCOCCYX
    image = np.where(bones == Bone.ILIUM, 800.0, np.where(bones > 0, 400.0, 300.0))
    image += np.random.default_rng(0).normal(0, 10, bones.shape)
    return image.astype(np.float32), bones


@pytest.mark.parametrize(
    ("sequence", "low", "high"), [(Sequence.T1, 0.25, 0.75), (Sequence.DWI, 1.5, 4.5)]
)
def test_lesions_differ_from_the_marrow_around_them_as_asked(
    sequence: Sequence, low: float, high: float
) -> None:
    image, bones = scene()
    ratios = []
    for seed in range(12):
        changed, lesions = insert_metastases(
            np.random.default_rng(seed), image, bones, SPACING, sequence, ALWAYS
        )
        labels = cc3d.connected_components(lesions)
        for number in range(1, int(labels.max()) + 1):
            inside = labels == number
            assert inside.sum() * np.prod(SPACING) >= 360
            ratios.append(float(np.median(changed[inside] / image[inside])))
        assert (bones[lesions] > 0).all()
    assert len(ratios) > 10
    assert low * 0.8 < np.percentile(ratios, 10) and np.percentile(ratios, 90) < high * 1.2


def test_what_lies_beyond_the_soft_border_is_untouched() -> None:
    image, bones = scene()
    changed, lesions = insert_metastases(
        np.random.default_rng(1), image, bones, SPACING, Sequence.T1, ALWAYS
    )
    beyond = ~ndimage.binary_dilation(lesions, np.ones((3, 3, 3)))
    assert lesions.any()
    np.testing.assert_array_equal(changed[beyond], image[beyond])


def test_the_same_seed_gives_the_same_and_some_copies_stay_as_they_are() -> None:
    image, bones = scene()
    twice = [
        insert_metastases(np.random.default_rng(5), image, bones, SPACING, Sequence.T1)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(twice[0][0], twice[1][0])
    never = replace(ALWAYS, none_probability=1.0)
    same, lesions = insert_metastases(
        np.random.default_rng(5), image, bones, SPACING, Sequence.T1, never
    )
    np.testing.assert_array_equal(same, image)
    assert not lesions.any()


def test_an_image_without_bone_is_refused() -> None:
    image, bones = scene()
    with pytest.raises(InputError, match="No bone"):
        insert_metastases(np.random.default_rng(0), image, 0 * bones, SPACING, Sequence.T1)
