"""Voxel measures against MedPy, MONAI, SimpleITK and surface-distance."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_scenes import SPACING, ball
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.errors import GeometryError, InputError, SettingsError
from pelvimets.evaluation import (
    Surface,
    average_symmetric_surface_distance,
    dice,
    hausdorff_distance,
    intersection_over_union,
    measure_labels,
    normalised_surface_distance,
    summarise,
    surface_distances,
    volumetric_similarity,
)

EXACT = {"rel": 1e-6, "abs": 1e-6}


def _random_pair(seed, share):
    rng = np.random.default_rng(seed)
    return rng.random((7, 12, 10)) < share, rng.random((7, 12, 10)) < share


def _single_voxels():
    one, two = np.zeros((2, 4, 5, 6), bool)
    one[0, 0, 0] = two[3, 4, 5] = True
    return one, two


def _nested():
    return ball((0.5, 0.5, 0.5), 12), ball((0.5, 0.5, 0.5), 5)


def _touching_the_edge():
    one, two = np.zeros((2, 5, 8, 8), bool)
    one[:2, :4], two[1:, 3:] = True, True
    return one, two


PAIRS = {
    "sparse noise": _random_pair(0, 0.05),
    "dense noise": _random_pair(1, 0.5),
    "nearly full": _random_pair(2, 0.95),
    "single voxels": _single_voxels(),
    "shifted balls": (ball((0.5, 0.5, 0.5), 9), ball((0.5, 0.6, 0.45), 7)),
    "nested": _nested(),
    "edge": _touching_the_edge(),
    "identical": (ball((0.4, 0.5, 0.5), 8),) * 2,
    "one slice": (np.eye(9, dtype=bool)[None], np.eye(9, dtype=bool)[None, ::-1]),
    "full": (np.ones((4, 5, 6), bool), ball((0.5, 0.5, 0.5), 4, (4, 5, 6))),
}
pairs = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())


def _monai(function, reference, prediction, **options):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        tensors = [
            torch.tensor(np.ascontiguousarray(m))[None, None].float()
            for m in (prediction, reference)
        ]
        return function(*tensors, include_background=True, **options).item()


@pairs
def test_hausdorff_is_that_of_medpy_and_monai(pair):
    from medpy.metric import binary
    from monai.metrics import compute_hausdorff_distance

    found = hausdorff_distance(*pair, SPACING)
    assert found == pytest.approx(binary.hd(pair[1], pair[0], SPACING), **EXACT)
    monai = _monai(compute_hausdorff_distance, *pair, spacing=SPACING)
    assert found == pytest.approx(monai, **EXACT)


@pairs
def test_percentile_is_that_of_monai_and_pooled_that_of_medpy(pair):
    from medpy.metric import binary
    from monai.metrics import compute_hausdorff_distance

    found = hausdorff_distance(*pair, SPACING, percentile=95)
    monai = _monai(compute_hausdorff_distance, *pair, spacing=SPACING, percentile=95)
    assert found == pytest.approx(monai, **EXACT)
    distances = surface_distances(*pair, SPACING)
    pooled = np.concatenate([distances.from_reference, distances.from_prediction])
    expected = binary.hd95(pair[1], pair[0], SPACING)
    assert np.percentile(pooled, 95) == pytest.approx(expected, **EXACT)


@pairs
def test_average_distance_is_that_of_monai_and_its_halves_those_of_medpy(pair):
    from medpy.metric import binary
    from monai.metrics import compute_average_surface_distance

    found = average_symmetric_surface_distance(*pair, SPACING)
    monai = _monai(compute_average_surface_distance, *pair, spacing=SPACING, symmetric=True)
    assert found == pytest.approx(monai, **EXACT)
    distances = surface_distances(*pair, SPACING)
    assert distances.from_prediction.mean() == pytest.approx(
        binary.asd(pair[1], pair[0], SPACING), **EXACT
    )


@pairs
def test_surface_elements_are_those_of_surface_distance(pair):
    from surface_distance import metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its old import of scipy
        distances = metrics.compute_surface_distances(*pair, SPACING)
    for percentile in (100, 95):
        assert hausdorff_distance(
            *pair, SPACING, percentile=percentile, surface=Surface.ELEMENTS
        ) == pytest.approx(metrics.compute_robust_hausdorff(distances, percentile), **EXACT)
    for tolerance in (0.5, 2.0, 4.0):
        assert normalised_surface_distance(*pair, SPACING, tolerance_mm=tolerance) == pytest.approx(
            metrics.compute_surface_dice_at_tolerance(distances, tolerance), **EXACT
        )
    ours = surface_distances(*pair, SPACING, Surface.ELEMENTS)
    averages = metrics.compute_average_surface_distance(distances)
    assert np.average(ours.from_reference, weights=ours.reference_weights) == pytest.approx(
        averages[0], **EXACT
    )


@pairs
def test_overlap_is_that_of_simpleitk(pair):
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in pair]
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(*images)
    assert dice(*pair) == pytest.approx(measure.GetDiceCoefficient())
    assert intersection_over_union(*pair) == pytest.approx(measure.GetJaccardCoefficient())
    # SimpleITK: signed difference over the mean size, so 1 - |.| / 2
    assert volumetric_similarity(*pair) == pytest.approx(1 - abs(measure.GetVolumeSimilarity()) / 2)


@pytest.mark.parametrize("name", ["shifted balls", "nested", "single voxels", "identical"])
def test_hausdorff_is_that_of_simpleitk_on_solid_masks(name):
    # SimpleITK measures from all voxels, not from borders: the same unless masks are hollow.
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in PAIRS[name]]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*images)
    assert hausdorff_distance(*PAIRS[name], SPACING) == pytest.approx(
        measure.GetHausdorffDistance(), **EXACT
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.02, 0.98),
    spacing=st.tuples(*[st.floats(0.3, 9.0)] * 3),
)
def test_hausdorff_is_that_of_brute_force(seed, share, spacing):
    one, two = _random_pair(seed, share)
    one[3, 4, 5] = two[2, 2, 2] = True
    points = [np.argwhere(_border_by_definition(m)) * np.asarray(spacing) for m in (one, two)]
    gaps = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    expected = max(gaps.min(axis=1).max(), gaps.min(axis=0).max())
    assert hausdorff_distance(one, two, spacing) == pytest.approx(expected, rel=1e-5)


def _border_by_definition(mask):
    padded = np.pad(mask, 1)
    inner = np.ones_like(mask)
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    return mask & ~inner


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_measures_do_not_depend_on_order_or_on_where_the_masks_lie(seed):
    one, two = _random_pair(seed, 0.3)
    placed = [np.pad(m, ((3, 1), (0, 5), (2, 2))) for m in (two, one)]
    for measure in (hausdorff_distance, average_symmetric_surface_distance):
        assert measure(one, two, SPACING) == pytest.approx(measure(*placed, SPACING))
    assert normalised_surface_distance(one, two, SPACING) == pytest.approx(
        normalised_surface_distance(*placed, SPACING)
    )


NOTHING = np.zeros((3, 4, 5), bool)
SOMETHING = ball((0.5, 0.5, 0.5), 3, (3, 4, 5))


def test_two_empty_masks_have_no_measure():
    assert np.isnan(dice(NOTHING, NOTHING))
    assert np.isnan(volumetric_similarity(NOTHING, NOTHING))
    assert np.isnan(hausdorff_distance(NOTHING, NOTHING, SPACING))


@pytest.mark.parametrize("pair", [(NOTHING, SOMETHING), (SOMETHING, NOTHING)])
def test_one_empty_mask_has_no_overlap_and_no_distance(pair):
    assert dice(*pair) == 0
    assert volumetric_similarity(*pair) == 0
    for distance in (
        hausdorff_distance,
        average_symmetric_surface_distance,
        normalised_surface_distance,
    ):
        assert np.isnan(distance(*pair, SPACING))


def test_other_grids_are_refused():
    with pytest.raises(GeometryError, match="different grids"):
        dice(NOTHING, np.zeros((3, 4, 6), bool))
    with pytest.raises(GeometryError, match="different grids"):
        hausdorff_distance(NOTHING, np.zeros((3, 4, 6), bool), SPACING)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, np.nan, 1)])
def test_spacing_must_be_three_positive_numbers(spacing):
    with pytest.raises(InputError, match="three positive numbers"):
        hausdorff_distance(SOMETHING, SOMETHING, spacing)


def test_settings_outside_their_range_are_refused():
    with pytest.raises(SettingsError):
        hausdorff_distance(SOMETHING, SOMETHING, SPACING, percentile=101)
    with pytest.raises(SettingsError):
        normalised_surface_distance(SOMETHING, SOMETHING, SPACING, tolerance_mm=-1)


def test_label_maps_give_the_measures_of_each_mask():
    reference = ball((0.5, 0.4, 0.3), 7) + 2 * ball((0.5, 0.6, 0.75), 6).astype(np.uint8)
    prediction = ball((0.5, 0.45, 0.3), 7) + 3 * ball((0.5, 0.6, 0.75), 6).astype(np.uint8)
    measured = measure_labels(reference, prediction, SPACING, (1, 2, 4))
    pair = reference == 1, prediction == 1
    assert measured[1].dsc == dice(*pair)
    assert measured[1].hd_mm == hausdorff_distance(*pair, SPACING)
    assert measured[1].nsd_2mm == normalised_surface_distance(*pair, SPACING)
    assert measured[1].reference_cm3 == pytest.approx(pair[0].sum() * np.prod(SPACING) / 1000)
    assert measured[2].prediction_empty and not measured[2].reference_empty
    assert measured[4].reference_empty and np.isnan(measured[4].dsc)


def test_summary_counts_what_has_no_value():
    summary = summarise([1.0, 2.0, 3.0, 6.0, float("nan")])
    assert (summary.n, summary.n_nan, summary.mean, summary.median) == (4, 1, 3.0, 2.5)
    assert summary.sd == pytest.approx(np.std([1, 2, 3, 6], ddof=1))
    assert (summary.lower_quartile, summary.upper_quartile) == (1.75, 3.75)
    assert summarise([float("nan")]).n_nan == 1
    assert np.isnan(summarise([2.0]).sd)
