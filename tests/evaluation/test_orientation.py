"""Masks that another tool stored along other axes, or without numbers of lesions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic_cohort import write_cohort

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.case import CaseResult, measure_case
from pelvimets.evaluation.settings import EvaluationSettings, LesionInstances
from pelvimets.io.cohort.evaluation_input import CaseFolders, read_case_input
from pelvimets.io.cohort.folder import read_case, read_cohort
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import Sequence

TURNS = [
    ((0, 1, 2), (True, False, True)),
    ((2, 1, 0), (False, False, False)),
    ((1, 2, 0), (False, True, True)),
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> tuple[Path, Path]:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=2, images=False)


def turned(volume: Volume, order, flips) -> Volume:
    array = volume.array.transpose(order)
    array = array[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]
    return Volume(np.ascontiguousarray(array), volume.geometry.reoriented(order, flips))


def measured(reference: Path, prediction: Path, **settings: object) -> CaseResult:
    read = read_case_input(CaseFolders("p00", reference / "p00", prediction / "p00"))
    chosen = EvaluationSettings(**settings)
    return measure_case("p00", read.masks, read.scores, chosen, None, read.problems)


@pytest.mark.parametrize(("order", "flips"), TURNS)
@pytest.mark.parametrize("side", [0, 1])
def test_masks_in_another_orientation_are_measured_where_they_lie(
    cohort, tmp_path: Path, order, flips, side: int
):
    plain = measured(*cohort)
    assert plain.problems == ()
    folders = tmp_path / "reference", tmp_path / "prediction"
    for source, target in zip(cohort, folders, strict=True):
        shutil.copytree(source, target)
    for n, path in enumerate(sorted((folders[side] / "p00").glob("*.nii.gz"))):
        one = (order, flips) if n % 2 == 0 else TURNS[0]  # each file along axes of its own
        write_nifti(path, turned(read_nifti(path), *one))
    found = measured(*folders)
    assert found.problems == ()
    for sequence in Sequence:
        meant = plain.sequences[sequence]
        other = found.sequences[sequence]
        assert other.structures.keys() == meant.structures.keys()
        for name, values in meant.structures.items():
            assert vars(other.structures[name]) == pytest.approx(vars(values), nan_ok=True), name
        lesions, wanted = other.lesions, meant.lesions
        assert lesions is not None and wanted is not None
        assert sorted(r.volume_cm3 for r in lesions.prediction) == pytest.approx(
            sorted(r.volume_cm3 for r in wanted.prediction)
        )
        assert sorted(o.voxels for o in lesions.overlaps) == sorted(
            o.voxels for o in wanted.overlaps
        )


def test_another_place_is_still_another_grid():
    grid = Geometry.from_axes((4, 5, 6), (3.0, 2.0, 1.0))
    volume = Volume(np.arange(120).reshape(4, 5, 6), grid)
    for order, flips in TURNS:
        back = turned(volume, order, flips).turned_to(grid)
        np.testing.assert_array_equal(back.array, volume.array)
        assert back.geometry.matches(grid)
    moved = Geometry.from_axes((4, 5, 6), (3.0, 2.0, 1.0), (1.0, 0.0, 0.0))
    assert volume.turned_to(moved) is volume
    assert volume.turned_to(Geometry.from_axes((5, 4, 6), (3.0, 2.0, 1.0))) is volume


def test_a_cohort_is_read_with_masks_along_other_axes(tmp_path: Path):
    reference, _ = write_cohort(tmp_path, patients=1)
    (patient,) = read_cohort(reference).patients
    meant = read_case(patient, Sequence.T1)
    path = patient.mask_path(Sequence.T1, "bones")
    write_nifti(path, turned(read_nifti(path), *TURNS[2]))
    found = read_case(patient, Sequence.T1)
    assert found.bones is not None and meant.bones is not None
    np.testing.assert_array_equal(found.bones.array, meant.bones.array)


def test_lesions_without_numbers_are_told_where_numbers_are_asked_for(cohort, tmp_path: Path):
    reference, prediction = tmp_path / "reference", tmp_path / "prediction"
    for source, target in zip(cohort, (reference, prediction), strict=True):
        shutil.copytree(source, target)
    path = prediction / "p00" / "dwi_lesions.nii.gz"
    mask = read_nifti(path)
    two = np.zeros(mask.array.shape, np.uint8)
    two[1, 2, 2] = two[5, 12, 12] = two[8, 20, 4] = 1
    write_nifti(path, mask.with_array(two))
    found = measured(reference, prediction, instances=LesionInstances.LABELS)
    (problem,) = found.problems
    assert problem.startswith("DWI: the prediction's lesion mask has one value for 3 separate")
    assert "--instances components" in problem
    assert measured(reference, prediction).problems == ()
    two[8, 20, 4] = 2
    write_nifti(path, mask.with_array(two))
    assert measured(reference, prediction, instances=LesionInstances.LABELS).problems == ()
