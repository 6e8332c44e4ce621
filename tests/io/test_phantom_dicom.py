"""DICOM studies of digital patients: vendor tags, validity, and the same image for all readers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

sys.path.insert(0, str(Path(__file__).parents[1] / "phantom"))
from simple_patient import simple_patient
from small_scanner import coarse

from pelvimets.core.study import SeriesRole
from pelvimets.errors import OutputError
from pelvimets.io.phantom.study import write_phantom_study
from pelvimets.io.study import read_study
from pelvimets.phantom.choices import DicomStyle
from pelvimets.phantom.physics.imaging import WHOLE, ImagedPatient, examine
from pelvimets.phantom.physics.scanner import Scanner, scanner_of
from pelvimets.phantom.physics.sequences import DixonImage

NO_DICOM = {"README.TXT", "viewer.ini", "thumbs.db"}


def tiny(scanner: Scanner) -> Scanner:
    return replace(
        scanner,
        diffusion=replace(scanner.diffusion, field=coarse(scanner.diffusion.field, 48, 14)),
        dixon=replace(scanner.dixon, field=coarse(scanner.dixon.field, 56, 18)),
    )


@pytest.fixture(scope="module")
def patient():
    return simple_patient()


@pytest.fixture(scope="module", params=list(DicomStyle), ids=str)
def study(request, patient, tmp_path_factory) -> tuple[DicomStyle, ImagedPatient, Path]:
    style = request.param
    imaged = examine(
        patient,
        tiny(scanner_of(style.vendor)),
        examination_number=2,
        wanted=WHOLE,
    )
    folder = tmp_path_factory.mktemp(style.value) / "dicom"
    count = write_phantom_study(folder, imaged, style)
    assert count == len(dicom_files(folder))
    return style, imaged, folder


def dicom_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in NO_DICOM)


def by_description(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    series = defaultdict(list)
    for path in dicom_files(folder):
        ds = pydicom.dcmread(path)
        series[ds.SeriesDescription].append(ds)
    return series


def test_nobody_is_named_and_identifiers_differ(study):
    _, _, folder = study
    read = [ds for group in by_description(folder).values() for ds in group]
    assert {str(ds.PatientName) for ds in read} == {"Phantom^7"}
    assert {ds.PatientIdentityRemoved for ds in read} == {"YES"}
    assert {ds.PatientBirthDate for ds in read} == {""}
    assert len({ds.StudyInstanceUID for ds in read}) == 1
    instances = Counter(ds.SOPInstanceUID for ds in read)
    assert max(instances.values()) == 1


def test_files_that_are_no_dicom_lie_among_them(study):
    _, _, folder = study
    for name in NO_DICOM:
        path = next(folder.rglob(name))
        with pytest.raises(InvalidDicomError):
            pydicom.dcmread(path)


def test_b_values_stand_where_the_vendor_writes_them(study):
    style, imaged, folder = study
    expected = set(imaged.diffusion.by_b)
    series = by_description(folder)
    dwi = next(group for name, group in series.items() if "b800" in name or "TRACEW" in name)
    if style is DicomStyle.PHILIPS:
        frames = dwi[0].PerFrameFunctionalGroupsSequence
        found = {float(f.MRDiffusionSequence[0].DiffusionBValue) for f in frames}
    elif style is DicomStyle.PHILIPS_CLASSIC:
        found = {float(ds[0x2001, 0x1003].value) for ds in dwi}
        assert found == {float(ds.DiffusionBValue) for ds in dwi}
    elif style is DicomStyle.GE:
        coded = {int(ds[0x0043, 0x1039].value[0]) for ds in dwi}
        assert coded == {0, 1_000_000_800}
        found = {float(value % 1_000_000_000) for value in coded}
    else:
        found = {float(ds[0x0019, 0x100C].value) for ds in dwi}
        assert {ds.SequenceName for ds in dwi} == {f"*ep_b{b:.0f}t" for b in found}
    assert found == expected


def test_our_own_reader_finds_every_sequence_and_the_same_pixels(study):
    _, imaged, folder = study
    read = read_study(folder)
    highest = max(imaged.diffusion.by_b)
    assert read.dwi is not None and read.t1 is not None and read.adc is not None
    assert read.dwi.b_value_s_per_mm2 == highest
    assert read.t1.role is SeriesRole.T1_IN_PHASE
    pairs = (
        (read.dwi.volume, imaged.diffusion.by_b[highest], imaged.diffusion.geometry),
        (read.adc.volume, imaged.diffusion.adc_um2_per_s, imaged.diffusion.geometry),
        (read.t1.volume, imaged.dixon.images[DixonImage.IN_PHASE], imaged.dixon.geometry),
    )
    for volume, array, geometry in pairs:
        canonical = volume.canonical()
        assert canonical.geometry.matches(geometry, tolerance_mm=1e-2)
        np.testing.assert_allclose(canonical.array, array, atol=0.76)  # half a rescale step


def test_same_study_same_bytes(study, tmp_path):
    style, imaged, folder = study
    write_phantom_study(tmp_path / "again", imaged, style)
    for path in dicom_files(folder):
        again = tmp_path / "again" / path.relative_to(folder)
        assert path.read_bytes() == again.read_bytes()


def test_other_examination_is_another_study(study, tmp_path):
    style, imaged, folder = study
    write_phantom_study(tmp_path / "later", imaged, style, examination=1)
    first, later = (pydicom.dcmread(dicom_files(f)[0]) for f in (folder, tmp_path / "later"))
    assert first.StudyInstanceUID != later.StudyInstanceUID
    assert first.PatientID == later.PatientID and first.StudyDate < later.StudyDate


def test_a_folder_in_use_is_refused(study):
    style, imaged, folder = study
    with pytest.raises(OutputError, match="empty folder"):
        write_phantom_study(folder, imaged, style)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
def test_dciodvfy_finds_no_error(study):
    _, _, folder = study
    seen = set()
    for path in dicom_files(folder):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        kind = (ds.SeriesNumber, tuple(ds.ImageType))
        if kind in seen:
            continue
        seen.add(kind)
        text = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True).stderr
        errors = [line for line in text.splitlines() if line.startswith("Error")]
        assert not errors, (path.name, errors)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is missing")
def test_dcm2niix_reads_the_same_geometry(study, tmp_path):
    _, imaged, folder = study
    command = ["dcm2niix", "-o", str(tmp_path), "-f", "%s_%d", "-b", "n", str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    affines: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for path in tmp_path.glob("*.nii*"):
        image = nib.as_closest_canonical(nib.load(path))
        affines[image.shape[:3]].append(image.affine)
    for geometry in (imaged.diffusion.geometry, imaged.dixon.geometry):
        found = affines[geometry.shape[::-1]]
        assert len(found) >= 2, sorted(affines)
        for affine in found:
            # canonical NIfTI runs to the right and forward: compare the corners' extent
            last = np.array(geometry.shape[::-1]) - 1
            corners = np.array(np.meshgrid(*((0, n) for n in last), indexing="ij"))
            ras = corners.reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
            own = geometry.to_lps(corners.reshape(3, -1).T[:, ::-1]) * [-1, -1, 1]
            key = np.lexsort(np.round(ras, 1).T), np.lexsort(np.round(own, 1).T)
            np.testing.assert_allclose(ras[key[0]], own[key[1]], atol=0.05)
