"""Foreign label maps: names, regions, values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelvimets.core.annotation import (
    OWN_BONES,
    lesion_numbers,
    structure_of,
    truth_of,
    value_map,
)
from pelvimets.errors import InputError
from pelvimets.labels import Bone

MM = (2.0, 1.0, 1.0)


@given(st.sampled_from(list(Bone)), st.sampled_from(["{}", "Left {}", "{}_right", "R-{}"]))
def test_every_bone_is_known_by_key_and_title_on_either_side(bone: Bone, form: str):
    for name in (bone.key, bone.title, bone.key.upper()):
        assert structure_of(form.format(name)) is bone


@pytest.mark.parametrize(
    "name,meaning",
    [
        ("vertebrae_L5", Bone.LUMBAR_VERTEBRA),
        ("sacrum", Bone.SACROCOCCYX),
        ("Metastases", "lesion"),
        ("hip_left", None),  # ilium, ischium and pubis in one
        ("femur", None),
        ("tumor", None),  # may be the prostate's
        ("left", None),
    ],
)
def test_names_of_other_tools(name: str, meaning: object):
    assert structure_of(name) == meaning


def test_regions_are_taken_apart_where_each_value_has_one_bone():
    labels = {"background": 0, "bones": (1, 2, 3), "ilium": (1, 3), "pubis": 2, "lesion": 3}
    values = value_map(labels, {"bones": None})
    assert values.bones == {1: Bone.ILIUM, 3: Bone.ILIUM, 2: Bone.PUBIS}
    assert values.lesions == {3} and values.known == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "labels,given_names,message",
    [
        ({"prostate": 1, "ilium": 2}, {}, "prostate.*--map prostate=none"),
        ({"ilium": (1, 2), "pubis": (2, 3)}, {}, "value 2 in ilium and pubis"),
        ({"ignore": 1, "ilium": 2}, {"ignore": "lesion"}, "nobody judged"),
        ({"a": 1}, {"a": None}, "No label is a bone"),
        ({"ilium": 1}, {"b": Bone.PUBIS}, "no label of the name"),
    ],
)
def test_labels_that_cannot_be_mapped_are_refused(labels, given_names, message):
    with pytest.raises(InputError, match=message):
        value_map(labels, given_names)


def test_a_lesion_takes_the_nearest_bone_in_mm():
    array = np.zeros((5, 5, 1), np.uint8)
    array[0, 2], array[2, 2], array[2, 0] = 1, 3, 2  # 4 mm up, 2 mm aside
    values = value_map({"ilium": 1, "pubis": 2, "lesion": 3}, {})
    truth = truth_of(array, values, MM)
    assert truth.bones is not None and truth.lesions is not None
    assert truth.bones[2, 2, 0] == Bone.PUBIS and truth.lesions[2, 2, 0] == 1
    assert (truth.bones > 0).sum() == 3


def test_unknown_and_broken_values_are_refused():
    with pytest.raises(InputError, match="9"):
        truth_of(np.full((2, 2, 2), 9), OWN_BONES, MM)
    with pytest.raises(InputError, match="no whole numbers"):
        truth_of(np.full((2, 2, 2), 0.5), OWN_BONES, MM)
    with pytest.raises(InputError, match="numbers of lesions"):
        lesion_numbers(np.array([[[-1, 3]]]))


def test_lesions_of_one_value_are_counted_and_numbers_are_kept():
    array = np.zeros((3, 3, 9), np.float32)
    array[0, 0, :2], array[2, 2, 5:] = 255, 255
    assert set(np.unique(lesion_numbers(array))) == {0, 1, 2}
    array[2, 2, 5:] = 7
    assert set(np.unique(lesion_numbers(array))) == {0, 7, 255}
    assert not lesion_numbers(np.zeros((2, 2, 2), np.uint8)).any()
