"""nnU-Net data sets and folders of pairs: what is unclear is refused, with what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.exchange import import_nnunet
from pelvimets.core.judged import UNJUDGED_BONE
from pelvimets.errors import CohortError, InputError
from pelvimets.io.cohort.importing import PlannedPatient, check_names
from pelvimets.io.exchange.nnunet import Channel, NnunetOptions, plan_nnunet
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.pairs import PairsOptions, find_files, plan_pairs
from pelvimets.labels import Bone, Sequence
from tests.io.exchange_samples import GRIDS, write_dataset

SHAPE = GRIDS[Sequence.DWI].shape
ONE = np.ones(SHAPE, np.uint8)
LABELS: dict[str, object] = {"background": 0, "ilium": 1}


def dataset(folder: Path, **options: object) -> Path:
    given = {"labels": LABELS, "cases": {"a": ONE, "b": ONE}, **options}
    return write_dataset(folder, **given)


def change(folder: Path, **keys: object) -> None:
    path = folder / "dataset.json"
    description = {**json.loads(path.read_text()), **keys}
    path.write_text(json.dumps({k: v for k, v in description.items() if v is not None}))


@pytest.mark.parametrize(
    "keys,message",
    [
        ({"numTraining": 3}, "2 in imagesTr, numTraining 3"),
        ({"channel_names": None, "modality": {"0": "MRI"}}, "of version 1"),
        ({"file_ending": ".nrrd"}, "Only NIfTI"),
        ({"labels": {"0": "background"}}, "no numbers"),
        ({"dataset": {}}, "one by one"),
        ({"channel_names": {"0": "DWI", "1": "ADC"}}, "one file per channel"),
        ({"channel_names": {"0": "T2"}}, "which is DWI and which is T1"),
        ({"channel_names": ["DWI", "ADC"]}, "one file per channel"),
        ({"channel_names": {"DWI": 0, "ADC": 0}}, "no numbers with names"),
        ({"channel_names": {"DWI": "T1"}}, "no numbers with names"),
        ({"channel_names": "DWI"}, "no numbers with names"),
        ({"channel_names": []}, "no numbers with names"),
        ({"labels": ["background", "ilium"]}, "no numbers"),
        ({"labels": {"background": 0, "prostate": 1}}, "--map prostate=none"),
    ],
)
def test_what_a_description_leaves_unclear_is_refused(tmp_path: Path, keys, message):
    folder = dataset(tmp_path / "Dataset001_A")
    change(folder, **keys)
    with pytest.raises(InputError, match=message):
        plan_nnunet([folder], NnunetOptions())


@pytest.mark.parametrize(
    "names", [{"0": "T1", "1": "DWI"}, ["T1", "DWI"], {"T1": 0, "DWI": 1}, {"T1": "0", "DWI": "1"}]
)
def test_channels_are_read_in_every_way_they_are_written(tmp_path: Path, names):
    folder = dataset(tmp_path / "Dataset001_A", channels={"0": "T1", "1": "DWI"})
    change(folder, channel_names=names)
    images = plan_nnunet([folder], NnunetOptions()).patients[0].images
    assert images[Sequence.T1].path.name == "a_0000.nii.gz"
    assert images[Sequence.DWI].path.name == "a_0001.nii.gz"


@pytest.mark.parametrize("labels", [{}, {"ignore": None}])
def test_voxels_that_nobody_judged_are_never_background(tmp_path: Path, labels):
    named = {"background": 0, "ilium": 1, "ignore": 2}
    unsure = ONE.copy()
    unsure[0, 0, :3] = 2
    folder = dataset(tmp_path / "Dataset001_A", labels=named, cases={"a": ONE, "b": unsure})
    options = NnunetOptions(labels=labels, empty_lesions=True)
    plan = plan_nnunet([folder], options)
    assert "labelled 'ignore' are kept apart" in plan.notes[-1]
    import_nnunet([folder], tmp_path / "out", options)
    kept = read_nifti(tmp_path / "out" / "b" / "dwi_bones.nii.gz").array
    assert (kept[unsure == 2] == UNJUDGED_BONE).all() and (kept[unsure == 1] == Bone.ILIUM).all()
    with pytest.raises(InputError, match="nothing else"):
        plan_nnunet([folder], replace(options, labels={"ignore": "lesion"}))


def test_a_label_for_unjudged_voxels_that_is_never_used_does_no_harm(tmp_path: Path):
    named = {"background": 0, "ilium": 1, "ignore": 2}
    folder = dataset(tmp_path / "Dataset001_A", labels=named)
    options = NnunetOptions(empty_lesions=True)
    import_nnunet([folder], tmp_path / "out", options)
    assert (read_nifti(tmp_path / "out" / "a" / "dwi_bones.nii.gz").array == 3).all()


def test_missing_parts_are_refused(tmp_path: Path):
    folder = dataset(tmp_path / "Dataset001_A")
    (folder / "labelsTr" / "b.nii.gz").unlink()
    with pytest.raises(CohortError, match=r"without a mask.*got b dwi.*--missing-bones leave"):
        import_nnunet([folder], tmp_path / "out", NnunetOptions())
    import_nnunet([folder], tmp_path / "out", NnunetOptions(optional=("bones", "lesions")))
    assert (tmp_path / "out" / "a" / "dwi_bones.nii.gz").is_file()
    assert [p.name for p in (tmp_path / "out" / "b").glob("dwi*.nii.gz")] == ["dwi.nii.gz"]
    (folder / "labelsTr" / "a.nii.gz").unlink()
    with pytest.raises(CohortError, match=r"No training case has a file in labelsTr \(got a; b\)"):
        plan_nnunet([folder], NnunetOptions())
    (folder / "dataset.json").write_text("{")
    with pytest.raises(CohortError, match="no JSON"):
        plan_nnunet([folder], NnunetOptions())
    (folder / "dataset.json").unlink()
    with pytest.raises(CohortError, match="DatasetNNN_Name inside nnUNet_raw"):
        plan_nnunet([folder], NnunetOptions())


def test_names_given_by_the_user_win(tmp_path: Path):
    labels = {"background": 0, "hip bone": 1, "bladder": 2}
    channels = {"0": "first", "1": "second", "2": "third"}
    folder = dataset(tmp_path / "Dataset001_A", labels=labels, channels=channels)
    options = NnunetOptions(
        labels={"hip bone": Bone.ILIUM, "bladder": None},
        channels={0: Channel.T1, 1: Channel.NONE, 2: Channel.DWI},
    )
    patient = plan_nnunet([folder], options).patients[0]
    assert patient.images[Sequence.DWI].path.name == "a_0002.nii.gz"
    assert patient.images[Sequence.T1].path.name == "a_0000.nii.gz"
    with pytest.raises(InputError, match="no label of the name"):
        plan_nnunet([folder], replace(options, labels={"hips": None}))
    with pytest.raises(CohortError, match="each at most once"):
        twice = {0: Channel.T1, 1: Channel.T1, 2: Channel.DWI}
        plan_nnunet([folder], replace(options, channels=twice))


def test_two_data_sets_must_not_contradict_each_other(tmp_path: Path):
    first = dataset(tmp_path / "Dataset001_A")
    with pytest.raises(CohortError, match="two masks of one kind"):
        plan_nnunet([first, first], NnunetOptions())
    other = dataset(
        tmp_path / "Dataset002_B", labels={"background": 0, "lesion": 1}, held_out=("a",)
    )
    with pytest.raises(CohortError, match="case a into different splits"):
        plan_nnunet([first, other], NnunetOptions())


def test_a_fold_that_is_of_another_data_set_is_refused(tmp_path: Path):
    folder = dataset(tmp_path / "Dataset001_A")
    (folder / "splits_final.json").write_text('[{"train": ["a"], "val": ["c"]}]')
    with pytest.raises(CohortError, match="b; c"):
        plan_nnunet([folder], NnunetOptions())
    with pytest.raises(CohortError, match="fold 4"):
        plan_nnunet([folder], NnunetOptions(fold=4))
    for text in ('[["a"], ["b"]]', '[{"train": "a", "val": "b"}]'):
        (folder / "splits_final.json").write_text(text)
        with pytest.raises(CohortError, match="no list of folds"):
            plan_nnunet([folder], NnunetOptions())


@pytest.mark.parametrize(
    "name,patient,slot",
    [
        ("p1_dwi.nii.gz", "p1", "dwi"),
        ("p1_b800.nii", "p1", "dwi"),
        ("Smith-3_t1_in_phase.nii.gz", "Smith-3", "t1"),
        ("p1/ADC map.nii.gz", "p1", "adc"),
        ("site/p1/t1_lesions.nii.gz", "site_p1", "t1_lesions"),
        ("masks/p1_T1w_bones.nii.gz", "p1", "t1_bones"),
        ("dwi/bones/p1.nii.gz", "p1", "dwi_bones"),
        ("sub-1/ses-2/anat/sub-1_ses-2_T1w.nii.gz", "sub-1_ses-2", "t1"),
        ("p1/t1_opp.nii.gz", "", ""),
        ("p1/t2.nii.gz", "p1", "t2"),
        ("p1_stir.nii.gz", "p1", "stir"),
        ("p1/t2_tse.nii.gz", "", ""),
        ("masks/p1_fat.nii.gz", "", ""),
        ("p1/t1_fat_sat.nii.gz", "", ""),
        ("p1/dwi_seg.nii.gz", "", ""),
        ("p1/dwi_t1_bones.nii.gz", "", ""),
        ("dwi.nii.gz", "", ""),
    ],
)
def test_names_of_files_say_what_they_are(tmp_path: Path, name: str, patient: str, slot: str):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (found,) = find_files(tmp_path, PairsOptions())
    assert (found.patient, found.slot) == (patient, slot)


@pytest.mark.parametrize(
    "names,message",
    [
        (["p1/b800.nii.gz", "p1/b1000.nii.gz"], "p1/b1000.nii.gz and p1/b800.nii.gz are both dwi"),
        (["p1/dwi_bones.nii.gz"], "no image dwi"),
        (["p1/dwi.nii.gz", "p1/t1.nii.gz", "p1/bones.nii.gz"], "it names no sequence"),
        (["p1/t2_tse.nii.gz"], "no file was recognised"),
        (["p1/t2.nii.gz"], "p1/t2.nii.gz: no image dwi or t1"),
        (["p1/dwi.nii.gz"], "without a mask"),
    ],
)
def test_unclear_folders_are_refused(tmp_path: Path, names: list[str], message: str):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(CohortError, match=message):
        plan_pairs(tmp_path, find_files(tmp_path, PairsOptions()), PairsOptions())


def test_patterns_are_checked(tmp_path: Path):
    (tmp_path / "p1_a.nii.gz").touch()
    for pattern in (("flair", "{patient}.nii.gz"), ("dwi", "a.nii.gz")):
        with pytest.raises(InputError, match="names what it finds"):
            find_files(tmp_path, PairsOptions(patterns=(pattern,)))
    both = (("dwi", "{patient}_a.nii.gz"), ("t1", "{patient}_*.nii.gz"))
    with pytest.raises(InputError, match="fits several patterns"):
        find_files(tmp_path, PairsOptions(patterns=both))
    with pytest.raises(InputError, match="no NIfTI file"):
        find_files(tmp_path / "p1", PairsOptions())


def test_names_that_are_no_folders_or_differ_by_case_alone_are_refused():
    with pytest.raises(CohortError, match="name of a folder"):
        check_names([PlannedPatient("../p1", {})])
    with pytest.raises(CohortError, match="P1, p1"):
        check_names([PlannedPatient("P1", {}), PlannedPatient("p1", {})])
