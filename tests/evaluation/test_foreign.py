"""Predictions of other programs: nnU-Net, TotalSegmentator, DICOM Segmentations of any maker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_cohort import GRIDS, write_cohort

from pelvimets.app.evaluate import evaluate
from pelvimets.errors import InputError
from pelvimets.evaluation import dice
from pelvimets.evaluation.settings import EvaluationSettings, LesionInstances
from pelvimets.io.exchange.foreign import form_of, target_of
from pelvimets.io.exchange.forms import PredictionForm
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import Bone, Sequence
from pelvimets.requests.evaluate import EvaluationRequest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
QUICK = EvaluationSettings(bootstrap_samples=50, in_silico=True)
NAMES = {
    "background": 0, "L5": 1, "sacrum": 2, "ilium": [3, 11], "acetabulum": 4, "femoral head": 5,
    "femoral neck": 6, "ischium": 7, "pubis": 8, "metastasis": [9, 11], "prostate": 12,
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 5, images=False)


def mask(folder, patient, kind, sequence="dwi"):
    return read_nifti(folder / patient / f"{sequence}_{kind}.nii.gz")


def rows(results):
    return {(r.patient, r.sequence.value, r.structure): r.measures for r in results.voxel}


def run(prediction, reference, out, **more):
    request = EvaluationRequest(prediction, reference, QUICK, figures=False, **more)
    return evaluate(request, out).results


def test_an_nnunet_folder_gives_the_figures_of_the_same_masks(cohort, tmp_path):
    reference, prediction = cohort
    folder = tmp_path / "nnunet"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"labels": NAMES}))
    for path in sorted(prediction.glob("p*")):
        for sequence in GRIDS:
            bones, lesions = (
                mask(prediction, path.name, k, sequence) for k in ("bones", "lesions")
            )
            both = np.where(lesions.array > 0, 9, bones.array)
            both[(lesions.array > 0) & (bones.array == 3)] = 11
            target = folder / f"{path.name}_{sequence}.nii.gz"
            write_nifti(target, bones.with_array(both.astype(np.uint8)))
    write_nifti(folder / "stranger.nii.gz", bones)
    assert form_of(folder) is PredictionForm.NNUNET
    found = run(folder, reference, tmp_path / "out")
    own = rows(run(prediction, reference, tmp_path / "own"))
    foreign = rows(found)
    assert set(foreign) == set(own)
    for key, measures in foreign.items():
        if key[2] in ("lesions", "ilium"):
            assert measures.dsc == pytest.approx(own[key].dsc, nan_ok=True)
    words = [p.message for p in found.problems]
    assert any("stranger.nii.gz" in w for w in words)
    assert any("'prostate' has no counterpart" in w for w in words)
    assert not list(tmp_path.glob(".out*"))  # the copy is gone


def test_totalsegmentator_is_held_against_unions_of_our_bones(cohort, tmp_path):
    reference, prediction = cohort
    folder = tmp_path / "total"
    for path in sorted(prediction.glob("p*")):
        bones = mask(prediction, path.name, "bones")
        case = folder / path.name
        case.mkdir(parents=True)
        hip = np.isin(bones.array, [3, 4, 7, 8])
        left = np.arange(bones.array.shape[2])[None, None, :] > 15
        shaft = np.isin(bones.array, [5, 6])
        shaft[:1, 3:6, 3:6] = True  # reaches below our structures
        files = {
            "hip_left": hip & left, "hip_right": hip & ~left, "sacrum": bones.array == 2,
            "femur_left": shaft, "vertebrae_L5": bones.array == 1, "spleen": hip,
        }  # fmt: skip
        for name, array in files.items():
            write_nifti(case / f"{name}.nii.gz", bones.with_array(array.astype(np.uint8)))
    assert form_of(folder) is PredictionForm.TOTALSEGMENTATOR
    results = run(folder, reference, tmp_path / "out")
    found = rows(results)
    truth = mask(reference, "p02", "bones").array
    predicted = mask(prediction, "p02", "bones").array
    members = [Bone.ILIUM, Bone.ACETABULUM, Bone.ISCHIUM, Bone.PUBIS]
    expected = dice(np.isin(truth, members), np.isin(predicted, members))
    assert found["p02", "dwi", "hip_bone"].dsc == pytest.approx(expected)
    heads = [np.isin(array, [5, 6]) for array in (truth, predicted)]
    assert not heads[0][0].any()  # the slice that only the shaft reaches
    assert found["p02", "dwi", "proximal_femur"].dsc == pytest.approx(dice(*heads))
    measured = {key[2] for key in found}
    assert measured == {"hip_bone", "proximal_femur", "sacrococcyx", "lumbar_vertebra"}
    assert "Hip bone" in (tmp_path / "out" / "tables" / "table4_bones.csv").read_text()


def test_names_of_other_programs():
    assert target_of("femur_right").key == "proximal_femur"
    assert target_of("sacrum") is Bone.SACROCOCCYX
    assert target_of("bone metastases") == "lesion" and target_of("colon") is None


def test_a_folder_of_strangers_is_refused(cohort, tmp_path):
    folder = tmp_path / "nnunet"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"labels": NAMES}))
    write_nifti(folder / "nobody.nii.gz", mask(cohort[1], "p00", "bones"))
    with pytest.raises(InputError, match="belongs to a patient"):
        run(folder, cohort[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def attributes(number, label, code):
    """A segment in the words of dcmqi's JSON."""
    return {
        "labelID": number,
        "SegmentDescription": label,
        "SegmentLabel": label,
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "another program",
        "SegmentedPropertyCategoryCodeSequence": {
            "CodeValue": "49755003", "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Morphologically Altered Structure",
        },
        "SegmentedPropertyTypeCodeSequence": code,
        "recommendedDisplayRGBValue": [255, 0, 0],
    }  # fmt: skip


def made(tool, folder, target):
    done = subprocess.run(
        [tool, "--inputImageList", folder / "made.nii.gz", "--inputDICOMDirectory",
         folder / "dicom", "--outputDICOM", target, "--inputMetadata", folder / "meta.json",
         "--skip", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert target.is_file(), done.stdout + done.stderr


def test_segmentations_of_another_maker_find_their_voxels(tmp_path):
    from dicom_samples import block, t1, write

    from pelvimets.io.study import read_study

    write(tmp_path / "dicom", t1(block()))
    image = read_study(tmp_path / "dicom").t1.volume
    lesions = np.zeros(image.geometry.shape, np.uint8)
    middle = image.geometry.shape[0] // 2
    lesions[middle, 2:5, 3:6], lesions[middle + 1, 7:9, 8:11] = 1, 2  # first slices stay empty
    write_nifti(tmp_path / "made.nii.gz", image.with_array(lesions))
    code = {"CodeValue": "4147007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Mass"}
    meta = {
        "ContentCreatorName": "x", "ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "seg", "SeriesNumber": "300", "InstanceNumber": "1",
        "segmentAttributes": [[attributes(1, "Tumor A", code), attributes(2, "Tumor B", code)]],
    }  # fmt: skip
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    target = tmp_path / "seg" / "p1" / "result.dcm"
    target.parent.mkdir(parents=True)
    tool = Path(sys.executable).parent / "itkimage2segimage"
    made(tool, tmp_path, target)
    reference = tmp_path / "reference" / "p1"
    reference.mkdir(parents=True)
    write_nifti(reference / "t1_lesions.nii.gz", image.with_array(lesions))
    assert form_of(tmp_path / "seg") is PredictionForm.DICOM_SEG
    results = run(tmp_path / "seg", tmp_path / "reference", tmp_path / "out")
    measures = rows(results)["p1", "t1", "lesions"]
    assert measures.dsc == 1.0 and measures.hd_mm == 0.0
    assert next(iter(results.readings.values())).lesions.found == 2

    # one object per lesion, as some makers write them: lesions of all objects are kept apart
    for number in (1, 2):
        one = image.with_array((lesions == number).astype(np.uint8))
        write_nifti(tmp_path / "made.nii.gz", one)
        meta["segmentAttributes"] = [[attributes(1, "Lesion", code)]]
        (tmp_path / "meta.json").write_text(json.dumps(meta))
        target = tmp_path / "parts" / "p1" / f"lesion{number}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        made(tool, tmp_path, target)
    labels = EvaluationSettings(bootstrap_samples=50, instances=LesionInstances.LABELS)
    request = EvaluationRequest(tmp_path / "parts", tmp_path / "reference", labels, figures=False)
    again = evaluate(request, tmp_path / "again").results
    assert rows(again)["p1", "t1", "lesions"].dsc == 1.0
    assert next(iter(again.readings.values())).lesions.found == 2


def test_our_own_segmentation_gives_back_bones_and_lesions(tmp_path):
    from dicom_out_study import axial, make_case, write

    other = axial((9, 24, 20), (4.0, 1.8, 2.1))
    case = make_case({Sequence.DWI: axial(), Sequence.T1: other})
    write(tmp_path / "objects", case)
    for path in (tmp_path / "objects").rglob("*.dcm"):
        (tmp_path / "seg" / "p1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "seg" / "p1" / path.name).write_bytes(path.read_bytes())
    for sequence, bones in case.bones.by_sequence.items():
        folder = tmp_path / "reference" / "p1"
        folder.mkdir(parents=True, exist_ok=True)
        write_nifti(folder / f"{sequence}_bones.nii.gz", bones)
        write_nifti(folder / f"{sequence}_lesions.nii.gz", case.lesions[sequence])
    found = rows(run(tmp_path / "seg", tmp_path / "reference", tmp_path / "out"))
    assert found
    for measures in found.values():
        assert measures.dsc == 1.0
