"""Grids in patient space, over every orientation an acquisition can have."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.geometry import Geometry, check_scale, closest_canonical
from pelvimets.core.resample import (
    from_sitk,
    labels_from_probabilities,
    network_grid,
    prepare,
    resample_image,
    resample_labels,
    smooth_labels,
)
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, SettingsError

ORIENTATIONS = [
    np.array(
        [[(s if a == p else 0.0) for a in range(3)] for p, s in zip(order, signs, strict=True)]
    )
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def oblique(axes, degrees):
    """The axes tilted about the patient's left-right axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return axes @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T


@pytest.mark.parametrize("axes", ORIENTATIONS, ids=range(48))
@pytest.mark.parametrize("degrees", [0, 20])
def test_voxels_keep_their_place_when_brought_to_canonical_axes(axes, degrees):
    geometry = Geometry.from_axes(
        (3, 4, 5), (5.0, 2.0, 1.5), (7.0, -3.0, 11.0), oblique(axes, degrees)
    )
    array = np.arange(60).reshape(3, 4, 5)
    canonical = Volume(array, geometry).canonical()
    for index in np.argwhere(canonical.array >= 0)[::7]:
        original = geometry.to_index(canonical.geometry.to_lps(index))
        assert np.allclose(original, np.rint(original), atol=1e-6)
        assert array[tuple(np.rint(original).astype(int))] == canonical.array[tuple(index)]
    superior, posterior, left = canonical.geometry.axes
    assert superior[2] > 0.9 and posterior[1] > 0.9 and left[0] > 0.9


@pytest.mark.parametrize("spacing", [(1e-3, 1e-3, 1e-3), (5.0, 0.01, 1.0), (1000.0,) * 3])
def test_a_size_that_no_body_has_is_refused(spacing):
    with pytest.raises(GeometryError, match="by its size"):
        check_scale(Geometry.from_axes((16, 40, 40), spacing))
    check_scale(Geometry.from_axes((16, 40, 40), (5.0, 0.3, 0.3)))


def test_closest_canonical_of_an_axial_head_up_grid_changes_nothing():
    geometry = Geometry.from_axes((3, 4, 5), (5.0, 2.0, 1.5))
    assert closest_canonical(geometry) == ((0, 1, 2), (False, False, False))


@pytest.mark.parametrize("axes", ORIENTATIONS[::5])
def test_simpleitk_sees_the_same_voxel_at_the_same_place(axes):
    geometry = Geometry.from_axes((3, 4, 5), (5.0, 2.0, 1.5), (7.0, -3.0, 11.0), oblique(axes, 15))
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = Volume(array, geometry).to_sitk()
    for k, j, i in [(0, 0, 0), (2, 3, 4), (1, 2, 0)]:
        assert np.allclose(
            image.TransformIndexToPhysicalPoint((i, j, k)), geometry.to_lps((k, j, i))
        )
        assert image.GetPixel((i, j, k)) == array[k, j, i]
    assert from_sitk(image).geometry.matches(geometry, 1e-6)


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
    index=st.tuples(*[st.floats(-5, 50)] * 3),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_index_and_patient_coordinates_are_inverse(shape, spacing, index, orientation):
    geometry = Geometry.from_axes(shape, spacing, (1.0, 2.0, 3.0), orientation)
    assert np.allclose(geometry.to_index(geometry.to_lps(index)), index, atol=1e-6)


def test_a_sheared_grid_is_refused():
    matrix = np.eye(4)
    matrix[0, 1] = 0.2
    with pytest.raises(GeometryError, match="right angles"):
        Geometry((2, 2, 2), matrix)


def test_array_and_grid_must_agree():
    with pytest.raises(GeometryError, match="differ in shape"):
        Volume(np.zeros((2, 2, 2)), Geometry.from_axes((2, 2, 3), (1, 1, 1)))


@given(
    shape=st.tuples(st.integers(4, 40), st.integers(20, 200), st.integers(20, 200)),
    spacing=st.tuples(st.floats(2, 8), st.floats(0.8, 3), st.floats(0.8, 3)),
)
def test_the_network_grid_covers_the_field_in_steps_of_the_network(shape, spacing):
    settings_ = GridSettings(largest_field_mm=(2000.0, 2000.0, 2000.0))
    field = Geometry.from_axes(shape, spacing, (5.0, 6.0, 7.0))
    grid = network_grid(field, settings_)
    assert grid.spacing == pytest.approx(settings_.spacing_mm)
    assert all(n % m == 0 for n, m in zip(grid.shape, settings_.multiple_of, strict=True))
    assert (grid.corners().min(axis=0) <= field.corners().min(axis=0) + 1e-6).all()
    assert (grid.corners().max(axis=0) >= field.corners().max(axis=0) - 1e-6).all()


def test_the_paper_grid_has_its_fixed_shape_over_the_field():
    field = Geometry.from_axes((28, 240, 240), (7.0, 2.0, 1.5))
    grid = network_grid(field, GridSettings(spacing_mm=None, shape=(64, 224, 224)))
    assert grid.shape == (64, 224, 224)
    assert np.allclose(grid.extent_mm(), field.extent_mm())


def test_a_linear_ramp_survives_resampling():
    field = Geometry.from_axes((30, 60, 60), (4.0, 1.5, 1.5))
    points = field.to_lps(np.indices(field.shape).reshape(3, -1).T)
    ramp = (points @ [1.0, 2.0, 3.0]).reshape(field.shape).astype(np.float32)
    target = Geometry.from_axes((10, 12, 12), (6.0, 4.0, 4.0), (20.0, 20.0, 25.0))
    expected = (target.to_lps(np.indices(target.shape).reshape(3, -1).T) @ [1.0, 2.0, 3.0]).reshape(
        target.shape
    )
    assert np.allclose(resample_image(Volume(ramp, field), target).array, expected, atol=0.05)


@pytest.mark.parametrize("axes", ORIENTATIONS[::3])
def test_prepare_gives_the_same_image_for_every_storage_order(axes):
    """The network sees the patient, not the way the slices were stored."""
    reference = blob_volume(np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]]))
    other = blob_volume(axes)
    grid = GridSettings(spacing_mm=(4.0, 4.0, 4.0))
    a = prepare(reference, grid, IntensitySettings())
    b = prepare(other, grid, IntensitySettings())
    assert a.geometry.matches(b.geometry)
    assert np.allclose(a.array, b.array, atol=1e-4)


def blob_volume(axes):
    """An asymmetric object on a cube of 24 voxels of 3 mm, centred at the origin."""
    n, step = 24, 3.0
    half = (n - 1) / 2 * step
    origin = -(np.asarray(axes).sum(axis=0) * half)
    geometry = Geometry.from_axes((n, n, n), (step,) * 3, tuple(origin), axes)
    points = geometry.to_lps(np.indices((n, n, n)).reshape(3, -1).T)
    values = np.exp(-((points - [10, -6, 4]) ** 2 / [200, 90, 400]).sum(axis=1))
    return Volume(values.reshape(n, n, n).astype(np.float32), geometry)


def test_outside_the_field_the_prepared_image_is_zero_and_inside_it_is_scored():
    volume = blob_volume(np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]]))
    prepared = prepare(volume, GridSettings(multiple_of=(64, 64, 64)), IntensitySettings())
    inside = resample_labels(
        volume.with_array(np.ones(volume.array.shape, np.uint8)), prepared.geometry
    ).array.astype(bool)
    assert (prepared.array[~inside] == 0).all()
    assert prepared.array[inside].mean() == pytest.approx(0, abs=1e-3)
    assert prepared.array[inside].std() == pytest.approx(1, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), orientation=st.sampled_from(ORIENTATIONS))
def test_interpolated_argmax_equals_the_argmax_of_full_interpolation(seed, orientation):
    rng = np.random.default_rng(seed)
    source = Geometry.from_axes((6, 8, 8), (4.0, 3.0, 3.0))
    logits = rng.normal(size=(4, *source.shape)) * 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=0)
    probabilities = probabilities.astype(np.float32)
    target = Geometry.from_axes((9, 10, 11), (2.0, 2.5, 1.5), (6.0, 5.0, 7.0), orientation)
    fast = labels_from_probabilities(probabilities, source, target)
    full = [
        np.nan_to_num(resample_image_exact(p, source, target, 1.0 if c == 0 else 0.0))
        for c, p in enumerate(probabilities)
    ]
    top = np.sort(full, axis=0)
    clear = (top[-1] - top[-2]) > 1e-2  # ties and impossible classes aside
    assert (fast[clear] == np.argmax(full, axis=0)[clear]).all()


def resample_image_exact(array, source, target, outside):
    return sitk.GetArrayFromImage(
        sitk.Resample(
            Volume(array, source).to_sitk(),
            Volume(np.zeros(target.shape, np.float32), target).to_sitk(),
            sitk.Transform(),
            sitk.sitkLinear,
            outside,
        )
    )


def test_smooth_labels_keep_the_volume_of_a_ball_from_thick_slices():
    thick = Geometry.from_axes((12, 60, 60), (8.0, 1.5, 1.5))
    points = thick.to_lps(np.indices(thick.shape).reshape(3, -1).T)
    ball = np.linalg.norm(points - [45, 45, 44], axis=1) < 25
    labels = Volume(np.where(ball, 3, 0).astype(np.uint8).reshape(thick.shape), thick)
    fine = Geometry.from_axes((46, 45, 45), (2.0, 2.0, 2.0))
    volume = (smooth_labels(labels, fine).array == 3).sum() * 8.0
    assert volume == pytest.approx(ball.sum() * thick.voxel_volume_mm3, rel=0.1)


@pytest.mark.parametrize("axes", ORIENTATIONS[::3])
def test_an_affine_and_itk_put_a_voxel_in_the_same_place(axes):
    geometry = Geometry.from_axes((3, 4, 5), (5.0, 2.0, 1.5), (7.0, -3.0, 11.0), oblique(axes, 15))
    volume = Volume(np.zeros(geometry.shape, np.float32), geometry)
    k, j, i = (n - 1 for n in geometry.shape)
    lps = geometry.to_lps(np.array([[k, j, i]]))[0]
    ras = (volume.affine @ [i, j, k, 1])[:3]
    np.testing.assert_allclose(ras, lps * [-1, -1, 1], atol=1e-6)
    there = volume.to_sitk().TransformIndexToPhysicalPoint((i, j, k))
    np.testing.assert_allclose(there, lps, atol=1e-6)


@pytest.mark.parametrize("spacing", [(4.0, 2.0, 1e30), (1e9, 1e9, 1e9), (0.01, 0.01, 0.01)])
def test_a_grid_of_no_sensible_size_is_refused(spacing):
    with pytest.raises(SettingsError, match=r"100 mm apart|voxels"):
        GridSettings(spacing_mm=spacing)


def test_a_part_of_a_volume_lies_where_it_lay():
    grid = Geometry.from_axes((5, 6, 7), (4.0, 2.0, 1.0), (-3.0, 10.0, 20.0))
    volume = Volume(np.arange(210).reshape(5, 6, 7), grid)
    part = volume.cut((slice(1, 4), slice(2, 3), slice(3, 7)))
    assert part.geometry.shape == (3, 1, 4)
    assert (part.array == volume.array[1:4, 2:3, 3:7]).all()
    np.testing.assert_allclose(part.geometry.to_lps([[0, 0, 0]]), grid.to_lps([[1, 2, 3]]))
    np.testing.assert_allclose(part.geometry.to_lps([[2, 0, 3]]), grid.to_lps([[3, 2, 6]]))
