"""The cohort layout: what is read, and which contradictions are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import block, t1, uid, write

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, OutputError
from pelvimets.io.cohort.folder import is_cohort, read_case, read_cohort, table_text, write_table
from pelvimets.io.cohort.study_folders import studies_in
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Sequence, Split

GRID = Geometry.from_axes((3, 4, 5), (8.0, 2.0, 2.0))


def add_patient(folder: Path, key: str, files: dict[str, Geometry]) -> None:
    (folder / key).mkdir(parents=True)
    for name, grid in files.items():
        write_nifti(folder / key / f"{name}.nii.gz", Volume(np.ones(grid.shape, "uint8"), grid))


@pytest.fixture
def cohort_folder(tmp_path: Path) -> Path:
    add_patient(tmp_path, "p1", {"dwi": GRID, "t1": GRID, "dwi_bones": GRID, "adc": GRID})
    add_patient(tmp_path, "p2", {"t1": GRID})
    rows = [
        {"patient": "p1", "split": "train", "m_stage": "M1b", "age": 71.5, "psa": 12, "site": "A"},
        {"patient": "p2", "split": "", "m_stage": "m0", "age": "", "psa": "", "site": "B"},
    ]
    write_table(tmp_path / "patients.csv", rows)
    return tmp_path


def test_table_and_files_are_read(cohort_folder: Path):
    assert is_cohort(cohort_folder) and not is_cohort(cohort_folder / "p1")
    cohort = read_cohort(cohort_folder)
    first, second = cohort.patients
    assert (first.split, first.m_stage, first.age_years, first.psa_ng_per_ml) == (
        Split.TRAIN,
        "M1",
        71.5,
        12.0,
    )
    assert first.details == {"site": "A"}
    assert (second.split, second.m_stage, second.age_years) == (None, "M0", None)
    assert first.sequences == (Sequence.DWI, Sequence.T1)
    assert second.sequences == (Sequence.T1,)
    assert cohort.of_split(Split.TRAIN) == (first,)
    assert cohort.patient("p2") is second
    assert first.adc_path.is_file()


def test_case_holds_the_masks_that_are_there(cohort_folder: Path):
    case = read_case(read_cohort(cohort_folder).patient("p1"), Sequence.DWI)
    assert case.bones is not None and case.bones.array.sum() == 60
    assert case.lesions is None and case.mimics is None


def test_mask_on_another_grid_is_refused(cohort_folder: Path):
    moved = Geometry.from_axes(GRID.shape, GRID.spacing, (0.0, 0.0, 1.0))
    path = cohort_folder / "p2" / "t1_lesions.nii.gz"
    write_nifti(path, Volume(np.ones(moved.shape, "uint8"), moved))
    with pytest.raises(GeometryError, match=r"t1_lesions\.nii\.gz of patient p2"):
        read_case(read_cohort(cohort_folder).patient("p2"), Sequence.T1)


@pytest.mark.parametrize(
    "table,message",
    [
        ("patient,split\np1,train\np1,test\n", "more than once"),
        ("patient,split\np1,holdout\n", "unknown split"),
        ("patient,m_stage\np1,MX\n", "unknown M stage"),
        ("patient,age\np1,old\n", "age is no number"),
        ("patient\nabsent\n", "has no folder"),
        ("patient\n../p1\n", "name of a folder"),
        ("patient,split\np1,train,7\n", "does not fit its header"),
        ("name,split\np1,train\n", "does not fit its header"),
        ("patient,split\n", "has no patient"),
    ],
)
def test_contradictions_are_refused(cohort_folder: Path, table: str, message: str):
    (cohort_folder / "patients.csv").write_text(table)
    with pytest.raises(CohortError, match=message):
        read_cohort(cohort_folder)


def test_no_table_no_image_no_such_patient(cohort_folder: Path):
    with pytest.raises(CohortError, match="no such patient"):
        read_cohort(cohort_folder).patient("p9")
    (cohort_folder / "p2" / "t1.nii.gz").unlink()
    with pytest.raises(CohortError, match="p2 has no image"):
        read_cohort(cohort_folder)
    (cohort_folder / "patients.csv").unlink()
    with pytest.raises(CohortError, match="columns are patient, split"):
        read_cohort(cohort_folder)


def test_table_text_and_a_place_that_cannot_be_written(tmp_path: Path):
    assert table_text([]) == "\n"
    assert table_text([{"a": "x,y", "b": None}]) == 'a,b\n"x,y",\n'
    with pytest.raises(OutputError):
        write_table(tmp_path / "no" / "t.csv", [{"a": 1}])


def test_a_damaged_study_is_not_left_out_of_a_folder_of_studies(tmp_path):
    for patient in "abc":
        write(tmp_path / patient, t1(block(seed=1), StudyInstanceUID=uid(patient)))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no DICOM")
    for path in (tmp_path / "c").iterdir():
        data = bytearray(path.read_bytes())
        data[132:300] = b"Uj" * 84  # the meta header: the parser knows no such type
        path.write_bytes(data)
    assert [path.name for path in studies_in(tmp_path)] == ["a", "b", "c"]
    assert studies_in(tmp_path / "a") == ()
