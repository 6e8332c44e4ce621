"""No message repeats the name of a user's file or folder: it may be a patient's."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import PelvimetsError
from pelvimets.io.nifti.study import read_nifti_study

SECRET = "Mueller_Joerg"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / SECRET
    (folder / "out").mkdir(parents=True)
    (folder / "out" / f"{SECRET}.txt").write_text("notes")
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(np.ones((40, 40, 20), np.uint8), affine), folder / f"{SECRET}.nii.gz")
    affine[0, 1] = 1.0
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), affine), folder / f"{SECRET}_skew.nii")
    (folder / f"{SECRET}_cut.nii.gz").write_bytes(b"no")
    (folder / f"{SECRET}.zip").write_bytes(b"PK no zip")
    (folder / "dicom").mkdir()
    (folder / "dicom" / f"{SECRET}.dcm").write_text("text")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "{place}/absent", "-o", "{place}/new"],
        ["predict", "{place}/{name}.zip", "-o", "{place}/new"],
        ["predict", "{place}/dicom", "-o", "{place}/new"],
        ["predict", "--t1", "{place}/absent.nii", "-o", "{place}/new"],
        ["predict", "--t1", "{place}/{name}.png", "-o", "{place}/new"],
        ["predict", "--t1", "{place}/{name}_skew.nii", "-o", "{place}/new"],
        ["predict", "--dwi", "{place}/{name}_cut.nii.gz", "-o", "{place}/new"],
        ["predict", "--t1", "{place}/{name}.nii.gz", "-o", "{place}/out"],
        ["predict", "--t1", "{place}/{name}.nii.gz", "-o", "{place}/out", "--overwrite"],
        ["predict", "--t1", "{place}/{name}.nii.gz", "-o", "{place}/{name}.zip"],
        ["inspect", "{place}/absent"],
        ["inspect", "{place}/{name}.nii.gz"],
        ["push", "{place}/out", "http://localhost:1"],
        ["push", "{place}", "http://localhost:1"],
        ["fetch", "1.2", "http://localhost:1", "-o", "{place}/out"],
        [
            "evaluate",
            "--predictions",
            "{place}/absent",
            "--reference",
            "{place}",
            "-o",
            "{place}/x",
        ],
        ["import", "nnunet", "{place}", "-o", "{place}/new"],
    ],
)
def test_an_error_does_not_repeat_the_name(place: Path, words: list[str]):
    arguments = [word.format(place=place, name=SECRET) for word in words]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, PelvimetsError), (result.exception, result.output)
    assert SECRET not in str(result.exception)
    assert SECRET not in result.output


def test_a_study_of_files_calls_them_by_what_they_are(place: Path):
    study = read_nifti_study(t1=place / f"{SECRET}.nii.gz", dwi=place / f"{SECRET}.nii.gz")
    assert study.t1 is not None and study.t1.label == "T1 file"
    assert [row.description for row in study.decisions] == ["DWI file", "T1 file"]
    assert SECRET not in repr(study)
