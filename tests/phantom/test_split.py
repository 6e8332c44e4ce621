"""Undivided hip bones and femora, as other programs draw them, against the convention."""

from __future__ import annotations

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.labels import HIP_BONE, PROXIMAL_FEMUR, Bone
from pelvimets.phantom.anatomy.atlas import load_atlas
from pelvimets.phantom.anatomy.convention import Part, structures
from pelvimets.phantom.anatomy.split import landmarks_of, split_unions

AS_DRAWN = {
    Part.LUMBAR: Bone.LUMBAR_VERTEBRA,
    Part.SACRUM: Bone.SACROCOCCYX,
    Part.HIP: HIP_BONE.value,
    Part.FEMUR: PROXIMAL_FEMUR.value,
}


def undivided(source: str) -> Volume:
    """The parts of an atlas on a grid twice as coarse along z, as other programs name them."""
    atlas = load_atlas(source)
    part = atlas.part[::2]
    labels = np.zeros(part.shape, np.uint8)
    for own, value in AS_DRAWN.items():
        labels[part == own] = value
    step = atlas.geometry.spacing[0]
    origin = atlas.geometry.to_lps(np.array([[0, 0, 0]]))[0]
    return Volume(labels, Geometry.from_axes(part.shape, (2 * step, step, step), tuple(origin)))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("source", ["mesh-2", "ref-002", "jhu-9"])
def test_heads_are_found_in_the_femora_and_the_eight_follow(source: str) -> None:
    atlas, labels = load_atlas(source), undivided(source)
    found = landmarks_of(labels)
    for own, true in (
        (found.left_head_mm, atlas.landmarks.left_head_mm),
        (found.right_head_mm, atlas.landmarks.right_head_mm),
    ):
        assert np.linalg.norm(np.subtract(own, true)) < 3
    assert found.head_radius_mm == pytest.approx(atlas.landmarks.head_radius_mm, abs=2)
    divided = split_unions(labels).array
    index = np.indices(labels.geometry.shape).reshape(3, -1).T
    x, y, z = (a.reshape(labels.geometry.shape) for a in labels.geometry.to_lps(index).T)
    truth = structures(atlas.part[::2], x, y, z, atlas.landmarks)
    for bone in Bone:
        least = 0.87 if bone is Bone.ACETABULUM else 0.95  # a shell: 1 mm of radius is much of it
        assert dice(divided == bone, truth == bone) > least, bone


def test_what_was_named_stays_named() -> None:
    labels = undivided("mesh-2")
    named = split_unions(labels)
    named.array[named.array == Bone.PUBIS] = Bone.ISCHIUM
    assert (split_unions(named).array == named.array).all()
    half = labels.with_array(np.where(labels.array == HIP_BONE.value, named.array, labels.array))
    again = split_unions(half).array
    assert (
        again[labels.array == HIP_BONE.value] == named.array[labels.array == HIP_BONE.value]
    ).all()


def test_without_two_heads_nothing_is_divided() -> None:
    labels = undivided("mesh-2")
    hips = labels.with_array(np.where(labels.array == PROXIMAL_FEMUR.value, 0, labels.array))
    with pytest.raises(InputError, match=r"femoral heads.*0 femora"):
        split_unions(hips)
    left = labels.array.copy()
    middle = load_atlas("mesh-2").landmarks.midline_x_mm
    index = np.indices(left.shape).reshape(3, -1).T
    x = labels.geometry.to_lps(index)[:, 0].reshape(left.shape)
    left[(x < middle) & (left == PROXIMAL_FEMUR.value)] = 0
    with pytest.raises(InputError, match=r"1 femora|mm between"):
        split_unions(labels.with_array(left))
