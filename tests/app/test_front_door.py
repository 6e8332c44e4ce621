"""What a user of the package types in Python."""

from __future__ import annotations

import ast
import gc
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pydicom
import pytest

import pelvimets
from pelvimets.core.findings import LESION_COLUMNS
from pelvimets.errors import InputError, OutputError
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Bone, Sequence
from tests.app.conftest import KnownStudy
from tests.io import dicom_samples

DWI, T1 = Sequence
PUBLIC = """
    Bone CohortOrder DigitalPatients EvaluationRequest EvaluationSettings Examined Findings Geometry
    Lesion PelvimetsError PhantomOrder Result Sequence Study TrainRequest Volume __version__
    evaluate make_cohort make_phantom predict read_study train
"""


def test_the_public_names_are_these_and_all_are_there() -> None:
    assert sorted(pelvimets.__all__) == sorted(PUBLIC.split())
    for name in pelvimets.__all__:
        assert getattr(pelvimets, name) is not None
        assert name in dir(pelvimets)
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        pelvimets.unknown  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse(Path(pelvimets.__file__).with_suffix(".pyi").read_text())
    imported = {a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert imported | {"__version__"} == set(pelvimets.__all__)
    assert Path(pelvimets.__file__).with_name("py.typed").is_file()


def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import pelvimets; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "['pelvimets']"


def test_a_study_is_read_in_memory_and_saved(known_study: KnownStudy, tmp_path: Path) -> None:
    study = pelvimets.read_study(dwi=known_study.files[DWI], t1=known_study.files[T1], name="m1")
    assert repr(study).startswith("Study(DWI Volume(")
    result = pelvimets.predict(study, segmenter=known_study.segmenter)
    assert repr(result) == "Result(1 lesions on DWI, T1 in phase; fixed)"
    (lesion,) = result.findings.lesions
    table = result.findings.lesions.to_dataframe()
    assert tuple(table.columns) == LESION_COLUMNS and len(table) == 1
    assert table.volume_cm3[0] == lesion.volume_cm3
    assert set(np.unique(result.bones["t1"].array)) <= {0, *Bone}
    assert result.lesions["dwi"].to_sitk().GetSize() == result.lesions["dwi"].array.shape[::-1]
    with pytest.raises(InputError, match="not read from DICOM"):
        result.save(tmp_path / "out", dicom=True)
    report = result.save(tmp_path / "out")
    assert report.is_file()
    saved = read_nifti(tmp_path / "out" / "t1_bones.nii.gz")
    np.testing.assert_array_equal(saved.array, result.bones["t1"].array)
    with pytest.raises(OutputError, match="exists"):
        result.save(tmp_path / "out")


def test_a_zip_of_dicom_is_read_and_its_results_point_back(
    known_study: KnownStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read_nifti(known_study.files[T1])
    slices = dicom_samples.t1(image.with_array(image.array.astype(np.uint16)))
    folder = dicom_samples.write(tmp_path / "files", slices)
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", folder))
    study = pelvimets.read_study(archive)
    result = pelvimets.predict(study, segmenter=known_study.segmenter)
    result.save(tmp_path / "out", dicom=True)
    segmentation = pydicom.dcmread(tmp_path / "out" / "dicom" / "t1_seg.dcm")
    assert segmentation.StudyInstanceUID == slices[0].StudyInstanceUID
    with monkeypatch.context() as broken:
        broken.setattr("pelvimets.app.predict.write_dicom", Mock(side_effect=ValueError("odd tag")))
        with pytest.raises(
            OutputError, match=r"DICOM results could not be written.*Masks and report are there"
        ):
            result.save(tmp_path / "half", dicom=True)
    assert (tmp_path / "half" / "report.html").is_file()
    assert not (tmp_path / "half" / "dicom").exists()
    unpacked = study.opened.paths(slices[0].SeriesInstanceUID)[0].parent
    assert unpacked.is_dir()
    del study, result
    gc.collect()
    assert not unpacked.exists()


def test_own_volumes_make_a_study(known_study: KnownStudy) -> None:
    """What lies in memory already needs no file."""
    from pelvimets.core.study import Acquisition, SeriesRole

    taken = Acquisition(read_nifti(known_study.files[T1]), SeriesRole.T1_IN_PHASE, "mine")
    study = pelvimets.Study("me", t1=taken)
    result = pelvimets.predict(study, segmenter=known_study.segmenter)
    assert [s.value for s in result.bones.by_sequence] == ["t1"]


@pytest.mark.parametrize("both", [True, False])
def test_a_study_is_dicom_or_nifti(tmp_path: Path, both: bool) -> None:
    given = {"path": tmp_path, "t1": tmp_path / "t1.nii.gz"} if both else {}
    with pytest.raises(InputError, match="both" if both else "neither"):
        pelvimets.read_study(**given)
