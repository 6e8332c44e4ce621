"""Scanner files as they are: what a user gets, compared with independent readers.

The archives are not part of the repository; the tests skip where they are absent.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from pelvimets.core.resample import from_sitk
from pelvimets.core.study import SeriesRole
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, SelectionError
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.study import inspect, open_study, read_study

ARCHIVES = Path(
    os.environ.get("PELVIMETS_REAL_DATA", Path(__file__).parents[2].parent / "shared" / "real")
)


def archive(name: str) -> Path:
    path = ARCHIVES / name
    if not path.is_file():
        pytest.skip(f"{name} is absent; set PELVIMETS_REAL_DATA to the folder that holds it")
    return path


@pytest.fixture(scope="module")
def prostate():
    with open_study(archive("prostatex-0000.zip")) as opened:
        yield opened


def test_prostate_study(prostate):
    study = prostate.study
    assert study.dwi.label == "series 6 'ep2d_diff_tra_DYNDIST', b = 800"
    assert study.dwi.b_value_s_per_mm2 == 800
    assert study.dwi.notes == ()
    assert study.adc.label.startswith("series 7")
    inside = study.adc.volume.array[study.adc.volume.array > 0]
    assert 500 < np.median(inside) < 3000
    assert study.t1.role is SeriesRole.T1_LIKE
    assert any("not an in-phase T1, second choice" in note for note in study.t1.notes)
    assert study.dwi.volume.array.shape == (19, 128, 84)
    table = {d.number: d for d in study.decisions}
    assert table[6].b_values_s_per_mm2 == (50, 400, 800)
    assert "calculated b = 1000" in table[8].reason
    assert {n for n, d in table.items() if d.taken_as is None} == {3, 4, 5, 8}


@pytest.mark.parametrize("name", ["dwi", "t1", "adc"])
def test_prostate_volumes_equal_simpleitk(prostate, name):
    acquisition = getattr(prostate.study, name)
    headers = prostate.source_headers(acquisition.source)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(header.filename) for header in headers])
    other = from_sitk(reader.Execute())
    assert other.geometry.matches(acquisition.volume.geometry)
    np.testing.assert_array_equal(other.array, acquisition.volume.array)


def dcm2niix(files: list[Path], folder: Path) -> Path:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    source = folder / "in"
    source.mkdir()
    for n, path in enumerate(files):
        shutil.copy(path, source / f"{n}.dcm")
    call = [program, "-p", "n", "-o", folder, "-f", "out", source]  # -p n: values as displayed
    subprocess.run(call, check=True, capture_output=True)
    (image,) = folder.glob("out*.nii")
    return image


def test_highest_acquired_b_value_equals_dcm2niix(prostate, tmp_path: Path):
    dwi = prostate.study.dwi
    image = nibabel.load(
        dcm2niix(prostate.paths(dwi.source.series_instance_uid), tmp_path), mmap=False
    )
    b_values = np.loadtxt(next(tmp_path.glob("out*.bval")))
    single = nibabel.Nifti1Image(np.asarray(image.dataobj)[..., b_values.argmax()], image.affine)
    nibabel.save(single, tmp_path / "high.nii.gz")
    other, ours = read_nifti(tmp_path / "high.nii.gz").canonical(), dwi.volume.canonical()
    assert b_values.max() == dwi.b_value_s_per_mm2
    assert other.geometry.matches(ours.geometry, tolerance_mm=0.05)
    np.testing.assert_array_equal(other.array, ours.array)


def test_missing_slice_is_refused_with_its_place():
    path = archive("prostatex-0000-missing-slice.zip")
    with pytest.raises(GeometryError) as caught:
        read_study(path)
    assert "1 slice is missing between z = 17.20 and 22.89 mm, expected spacing 3.00" in str(
        caught.value
    )
    assert "not acquired" in str(caught.value)
    assert "missing between" in inspect(path)[0].reason


def test_incomplete_ge_series_is_refused_with_its_reason():
    path = archive("ge-dwi-part.zip")
    with pytest.raises(SelectionError, match="only 2 slices; at least 8 are needed"):
        read_study(path)
    assert inspect(path)[0].b_values_s_per_mm2 == (0, 1000)


def test_philips_directions_are_combined_and_flagged(tmp_path: Path):
    with open_study(archive("philips-dwi-classic.zip")) as opened:
        study = opened.study
        files = opened.paths(study.dwi.source.series_instance_uid)
        image = nibabel.load(dcm2niix(files, tmp_path), mmap=False)
    assert study.dwi.b_value_s_per_mm2 == 1000
    assert any("12 diffusion directions" in note for note in study.dwi.notes)
    assert "the header names the body part BRAIN" in study.dwi.notes
    assert study.notes == ("no T1: read on DWI alone",)
    others = [d for d in study.decisions if d.number != 701]
    assert all(d.taken_as is None and d.reason for d in others)
    b_values = np.loadtxt(next(tmp_path.glob("out*.bval")))
    parts = image.get_fdata()[..., b_values > 500]
    with np.errstate(divide="ignore"):
        trace = np.exp(np.log(parts).mean(axis=-1))
    nibabel.save(
        nibabel.Nifti1Image(trace.astype(np.float32), image.affine), tmp_path / "trace.nii.gz"
    )
    check_same(read_nifti(tmp_path / "trace.nii.gz").canonical(), study.dwi.volume.canonical())


def check_same(other: Volume, ours: Volume) -> None:
    assert other.geometry.matches(ours.geometry, tolerance_mm=0.05)
    np.testing.assert_allclose(other.array, ours.array, rtol=1e-4, atol=1e-3)


def test_nothing_of_the_patient_leaves_the_headers(prostate):
    study = prostate.study
    identifiers = {
        str(header.get(keyword))
        for header in prostate.headers(study.dwi.source.series_instance_uid)[:1]
        for keyword in ("PatientID", "PatientName")
    }
    said = repr((study.patient_key, study.notes, study.decisions, study.dwi.label))
    assert not [name for name in identifiers if name in said]
