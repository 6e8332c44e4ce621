"""DICOM results as other people's programs read them: dicom3tools, dcmqi, DCMTK."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_out_study import STUDY_UID, axial, make_case, turned, write

from pelvimets.core.review import Verdict, begin_review
from pelvimets.io.dicom.seg import segment_maps
from pelvimets.io.dicom.signoff import SignOff
from pelvimets.labels import Sequence

GRID = axial((5, 9, 7), (5.0, 2.0, 2.5))
GRIDS = {
    "axial": GRID,
    "negated": GRID.reoriented((0, 1, 2), (True, True, False)),
    "sagittal": GRID.reoriented((2, 0, 1), (False, True, False)),
    "oblique": turned(GRID, (12, -7, 20)),
}


def tool(name: str) -> str:
    """Path of a program on the system or beside this Python; skips where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, encoding="latin-1", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def complaints(path: Path) -> list[str]:
    """What dciodvfy says beyond the name of the object; private codes are allowed to be so."""
    done = subprocess.run(
        [tool("dciodvfy"), str(path)], capture_output=True, encoding="latin-1", check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    assert any("99PELVIMETS" in line for line in found) == (path.name == "sr.dcm")
    return [line for line in found if "99PELVIMETS" not in line]


@pytest.fixture(scope="module", params=[None, (4, 2, 9, 6, 7)], ids=["classic", "enhanced"])
def study(request, tmp_path_factory):
    grids = {Sequence.DWI: GRIDS["oblique"], Sequence.T1: GRIDS["axial"]}
    case = make_case(grids, frame_numbers=request.param)
    return case, write(tmp_path_factory.mktemp("dicom"), case)


def test_dciodvfy_has_no_complaint(study):
    for path in study[1]:
        assert complaints(path) == [], path.name


def test_dciodvfy_has_no_complaint_about_a_verified_report(study, tmp_path):
    case, signed = study[0], "2026-03-01T08:05:00.000+01:00"
    begun = begin_review(case.findings, "a" * 64, signed)
    review = dataclasses.replace(
        begun,
        lesions=tuple(dataclasses.replace(e, verdict=Verdict.ACCEPTED) for e in begun.lesions),
        reader="M\u00fcller, Ada",
        comment="second reading",
        organisation="Klinik f\u00fcr Radiologie",
        signed=signed,
        verified=True,
    )
    lesions = {s: marked.mask for s, marked in case.lesions.by_sequence.items()}
    signoff = SignOff(review, case.bones.by_sequence, lesions)
    paths = {path.name: path for path in write(tmp_path, case, signoff=signoff)}
    assert pydicom.dcmread(paths["sr.dcm"]).VerificationFlag == "VERIFIED"
    for path in paths.values():
        assert complaints(path) == [], path.name


@pytest.mark.parametrize("name", GRIDS)
def test_dcmqi_reads_the_same_voxels(tmp_path, name):
    program = tool("segimage2itkimage")
    geometry = GRIDS[name]
    case = make_case({Sequence.DWI: geometry})
    path = write(tmp_path, case)[0]
    run(program, "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd")
    maps = segment_maps(
        case.bones.by_sequence[Sequence.DWI],
        case.lesions[Sequence.DWI],
        case.findings,
        Sequence.DWI,
        STUDY_UID,
    )
    for segment in maps.segments:
        layer = maps.lesions if segment.lesion else maps.bones
        image = sitk.ReadImage(str(tmp_path / f"{segment.number}.nrrd"))
        assert itk_places(image) == places(layer == segment.number, geometry), segment.label


def places(mask: np.ndarray, geometry) -> set[tuple[float, ...]]:
    points = geometry.to_lps(np.argwhere(mask))
    assert len(points)
    return {tuple(p) for p in np.round(points, 2) + 0.0}


def itk_places(image: sitk.Image) -> set[tuple[float, ...]]:
    index = np.argwhere(sitk.GetArrayViewFromImage(image))[:, ::-1]
    points = [image.TransformIndexToPhysicalPoint(i) for i in index.tolist()]
    return {tuple(p) for p in np.round(points, 2) + 0.0}


def test_dcmqi_names_segments_and_sides(study, tmp_path):
    program = tool("segimage2itkimage")
    run(program, "--inputDICOM", study[1][0], "--outputDirectory", tmp_path, "-t", "nrrd")
    meta = json.loads((tmp_path / "meta.json").read_text())
    segments = {s["SegmentLabel"]: s for (s,) in meta["segmentAttributes"]}
    left = segments["left ilium"]
    assert left["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "22356005"
    assert left["SegmentedPropertyTypeModifierCodeSequence"]["CodeMeaning"] == "Left"
    assert left["recommendedDisplayRGBValue"] == pytest.approx([221, 204, 119], abs=2)


def test_dcmqi_reads_the_measurements(study, tmp_path):
    program = tool("tid1500reader")
    case, files = study
    out = tmp_path / "sr.json"
    run(program, "--inputDICOM", files[2], "--outputMetadata", out)
    groups = json.loads(out.read_text())["Measurements"]
    volumes = {}
    for group in groups:
        if group["TrackingIdentifier"].startswith("lesion"):
            values = {m["quantity"]["CodeMeaning"]: m["value"] for m in group["measurementItems"]}
            volumes.setdefault(group["TrackingUniqueIdentifier"], []).append(
                float(values["Volume"])
            )
    assert volumes == {
        lesion.tracking_uid: [
            pytest.approx(seen.volume_cm3, rel=1e-5) for seen in lesion.seen_on.values()
        ]
        for lesion in case.findings.lesions
    }


def test_dcmtk_prints_the_report(study):
    text = run(tool("dsrdump"), study[1][2])
    assert "Imaging Measurement Report" in text
    assert "Verification Flag   : UNVERIFIED" in text
    assert '"lesion 1"' in text


def test_dcmtk_gives_the_pdf_back(study, tmp_path):
    out = tmp_path / "report.pdf"
    run(tool("dcm2pdf"), study[1][3], out)
    assert out.read_bytes().rstrip(b"\0").endswith(b"the report")
