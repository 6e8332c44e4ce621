"""References of which a person judged but a part."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_cohort import GRIDS, balls_on, bones_on

from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.evaluation.measures.case import SequenceMasks, measure_case
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.io.cohort.annotation import ANNOTATION_NAME, read_judged, write_judged
from pelvimets.io.cohort.evaluation_input import CaseFolders, read_case_input
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import HIP_BONE, Bone, Sequence

GRID = GRIDS["dwi"]
BONES, LESIONS = bones_on(GRID), balls_on(GRID, [((64, 64, 60), 12), ((36, 72, 60), 12)])


def measured(reference_bones: np.ndarray, found: np.ndarray, judged: Judged):
    masks = SequenceMasks(
        Volume(reference_bones, GRID),
        Volume(found, GRID),
        judged=None if judged.whole else judged.structures,
    )
    result = measure_case("p", {Sequence.DWI: masks}, {}, EvaluationSettings())
    assert not result.problems
    return result.sequences[Sequence.DWI].structures


def test_bones_that_nobody_drew_are_not_measured() -> None:
    ilium = np.where(BONES == Bone.ILIUM, BONES, 0)
    structures = measured(ilium, BONES, Judged(frozenset({"ilium"})))
    assert set(structures) == {"ilium"} and structures["ilium"].dsc == 1


def test_merged_hip_bones_are_measured_as_one() -> None:
    merged = np.where(np.isin(BONES, HIP_BONE.members), HIP_BONE.value, BONES)
    structures = measured(merged, BONES, Judged(frozenset({"hip_bone", "sacrococcyx"})))
    assert set(structures) == {"hip_bone", "sacrococcyx"} and structures["hip_bone"].dsc == 1


def test_voxels_left_open_count_for_nothing() -> None:
    reference, found = BONES.copy(), BONES.copy()
    reference[:5], found[:5] = UNJUDGED_BONE, Bone.PUBIS
    structures = measured(reference, found, Judged())
    assert structures["lumbar_vertebra"].dsc == structures["ilium"].dsc == 1
    lesions = LESIONS.copy()
    lesions[LESIONS == 2] = UNJUDGED_LESION
    for prediction, expected in ((LESIONS, 1), (np.where(LESIONS == 2, LESIONS, 0), 0)):
        masks = SequenceMasks(
            reference_lesions=Volume(lesions, GRID), prediction_lesions=Volume(prediction, GRID)
        )
        result = measure_case("p", {Sequence.DWI: masks}, {}, EvaluationSettings())
        own = result.sequences[Sequence.DWI].lesions
        assert own is not None and len(own.reference) == 1 and len(own.prediction) == expected


def test_the_folder_says_what_was_judged(tmp_path) -> None:
    reference, prediction = tmp_path / "r", tmp_path / "p"
    for folder in (reference, prediction):
        folder.mkdir()
        write_nifti(folder / "dwi_bones.nii.gz", Volume(BONES, GRID))
    write_judged(reference, {Sequence.DWI: Judged(frozenset({"ilium"}))})
    folders = CaseFolders("x", reference, prediction)
    assert read_case_input(folders).masks[Sequence.DWI].judged == {"ilium"}
    (reference / ANNOTATION_NAME).write_text('{"dwi": {"judged": ["skull"]}}')
    with pytest.raises(CohortError, match="skull"):
        read_judged(reference, Sequence.DWI)
    assert "skull" in read_case_input(folders).problems[0]
