"""Bones of another program in place of the network's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.predict import StudyInput, predict
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.io.exchange.given_bones import read_given_bones
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import HIP_BONE, Bone, Sequence
from tests.app.conftest import KnownStudy


def read_with(study: KnownStudy, bones: Path, out: Path) -> dict:
    """With networks that find no bone at all."""
    blind = study.bones.with_array(np.zeros_like(study.bones.array))
    networks = replace(study.segmenter, bones=blind)
    dwi, t1 = study.files[Sequence.DWI], study.files[Sequence.T1]
    source = StudyInput(dwi=dwi, t1=t1, adc=study.adc, bones=bones)
    predict(source, out, segmenter=networks)
    return json.loads((out / "findings.json").read_text())


def test_bones_stay_as_they_were_drawn_and_lesions_are_found_in_them(
    known_study: KnownStudy, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "bones.nii.gz", known_study.bones)
    findings = read_with(known_study, tmp_path / "bones.nii.gz", tmp_path / "out")
    for sequence in Sequence:
        written = read_nifti(tmp_path / "out" / f"{sequence}_bones.nii.gz").array
        assert (written == known_study.bones.array).mean() > 0.99
        for bone in Bone:
            own, true = written == bone, known_study.bones.array == bone
            assert 2 * (own & true).sum() / (own.sum() + true.sum()) > 0.9, bone
    assert len(findings["lesions"]) == 1
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "bones given" in json.dumps(record)


def test_a_folder_of_masks_named_as_totalsegmentator_does(
    known_study: KnownStudy, tmp_path: Path
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    array = known_study.bones.array
    hips = np.isin(array, HIP_BONE.members)
    left = known_study.bones.geometry.to_lps(np.argwhere(hips))[:, 0] > 0
    for name, chosen in (("hip_left", left), ("hip_right", ~left)):
        mask = np.zeros_like(array)
        mask[tuple(np.argwhere(hips)[chosen].T)] = 1
        write_nifti(folder / f"{name}.nii.gz", known_study.bones.with_array(mask))
    write_nifti(
        folder / "sacrum.nii.gz",
        known_study.bones.with_array((array == Bone.SACROCOCCYX).astype(np.uint8)),
    )
    write_nifti(folder / "urinary_bladder.nii.gz", known_study.bones)
    joined = read_given_bones(folder).array
    assert ((joined == HIP_BONE.value) == hips).all()
    assert ((joined == Bone.SACROCOCCYX) == (array == Bone.SACROCOCCYX)).all()
    assert set(np.unique(joined)) == {0, Bone.SACROCOCCYX, HIP_BONE.value}


def test_masks_that_cannot_be_used_are_refused(known_study: KnownStudy, tmp_path: Path) -> None:
    strange = known_study.bones.with_array(known_study.bones.array + 30)
    write_nifti(tmp_path / "strange.nii.gz", strange)
    with pytest.raises(InputError, match=r"no bone.*30"):
        read_given_bones(tmp_path / "strange.nii.gz")
    nothing = known_study.bones.with_array(np.zeros_like(known_study.bones.array))
    write_nifti(tmp_path / "empty.nii.gz", nothing)
    with pytest.raises(InputError, match="empty"):
        read_given_bones(tmp_path / "empty.nii.gz")
    (tmp_path / "folder").mkdir()
    write_nifti(tmp_path / "folder" / "liver.nii.gz", known_study.bones)
    with pytest.raises(InputError, match="named after a bone"):
        read_given_bones(tmp_path / "folder")


def test_bones_of_another_place_are_refused(known_study: KnownStudy, tmp_path: Path) -> None:
    grid = known_study.bones.geometry
    matrix = grid.matrix.copy()
    matrix[2, 3] += 900
    away = replace(grid, matrix=matrix)
    write_nifti(tmp_path / "away.nii.gz", Volume(known_study.bones.array, away))
    with pytest.raises(InputError, match="outside of the"):
        read_with(known_study, tmp_path / "away.nii.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()
