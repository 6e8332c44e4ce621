"""DICOM results of a run: names in any alphabet, refused early, and never at the masks' cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from pelvimets.app import predict as main_path
from pelvimets.app.batch import BatchCase, predict_batch
from pelvimets.app.predict import predict
from pelvimets.cli.main import app
from pelvimets.errors import InputError
from pelvimets.requests.predict import RunOptions, StudyInput
from tests.app.conftest import image_of
from tests.io.dicom_samples import t1, write

DICOM = RunOptions(dicom=True)
NAMES = {"t1_seg.dcm", "sr.dcm", "report.dcm", "source_headers.json.gz"}
CORE = {"findings.json", "lesions.csv", "report.html", "run.json", "t1_bones.nii.gz"}


@pytest.fixture(scope="module")
def images(known_study) -> list[Dataset]:
    image = image_of(known_study.bones, known_study.lesions)
    volume = image.with_array(np.rint(image.array).astype(np.uint16))
    return t1(volume)


def study(folder: Path, images: list[Dataset], **attributes: object) -> Path:
    for image in images:
        for keyword, value in attributes.items():
            setattr(image, keyword, value)
    return write(folder, images)


class Unused:
    """Networks that must not be asked."""

    def __init__(self, inner):
        self.name, self.settings, self.weights_sha256 = inner.name, inner.settings, ""
        self.learned_from = inner.learned_from

    def bone_probabilities(self, image, sequence):
        raise AssertionError("the networks ran")


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_results_carry_the_name_as_unicode(known_study, images, tmp_path, character_set, name):
    source = study(tmp_path / "in", images, SpecificCharacterSet=character_set, PatientName=name)
    summary = predict(StudyInput(source), tmp_path / "out", DICOM, segmenter=known_study.segmenter)
    assert summary.failed == ()
    folder = tmp_path / "out" / "dicom"
    assert {path.name for path in folder.iterdir()} == NAMES
    for path in folder.glob("*.dcm"):
        result = pydicom.dcmread(path)
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert str(result.PatientName) == name
        assert name.encode() in path.read_bytes()
    assert not list((tmp_path / "out").glob(".rehearsal*"))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"FrameOfReferenceUID": ""}, "frame of reference"),
        ({"StudyDate": "yesterday"}, "ValueError|Invalid|DA"),
    ],
)
def test_what_dicom_results_need_is_checked_before_the_networks(
    known_study, images, tmp_path, attributes, said
):
    before = {keyword: images[0].get(keyword, "") for keyword in attributes}
    with pydicom.config.disable_value_validation():
        source = study(tmp_path / "in", images, SpecificCharacterSet="ISO_IR 192", **attributes)
    blind = Unused(known_study.segmenter)
    with pytest.raises(InputError, match=f"DICOM results cannot be made of this study .*({said})"):
        predict(StudyInput(source), tmp_path / "out", DICOM, segmenter=blind)
    assert not (tmp_path / "out").exists()
    study(tmp_path / "again", images, **before)


@pytest.fixture
def broken(monkeypatch):
    """Writing DICOM results fails, with the patient's name in the message."""

    def fail(*args, **options):
        raise ValueError("no element for SECRET^PERSON, HOSPITAL-4711")

    monkeypatch.setattr(main_path, "write_dicom", fail)


def test_masks_and_report_stay_where_dicom_results_fail(known_study, images, tmp_path, broken):
    source = study(tmp_path / "in", images, SpecificCharacterSet="", PatientName="SECRET^PERSON")
    out = tmp_path / "out"
    summary = predict(StudyInput(source), out, DICOM, segmenter=known_study.segmenter)
    (failed,) = summary.failed
    assert failed.startswith("The DICOM results could not be written (got ValueError: no element")
    assert "SECRET" not in failed and "4711" not in failed
    assert {path.name for path in out.iterdir()} >= CORE
    assert not (out / "dicom").exists()
    assert json.loads((out / "run.json").read_text())["failed_outputs"] == [failed]


def test_the_command_says_so_and_exits_with_1(known_study, images, tmp_path, broken, monkeypatch):
    source = study(tmp_path / "in", images, SpecificCharacterSet="", PatientName="SECRET^PERSON")
    monkeypatch.setattr(main_path, "load_segmenter", lambda *given: known_study.segmenter)
    arguments = ["predict", str(source), "--dicom", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "The DICOM results could not be written" in result.output
    assert "Masks and report are there." in result.output and "Report: " in result.output
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_batch_makes_up_for_it_later(known_study, images, tmp_path, monkeypatch):
    source = study(tmp_path / "in", images, SpecificCharacterSet="", PatientName="A^B")
    monkeypatch.setattr(main_path, "load_segmenter", lambda *given: known_study.segmenter)
    cases = (BatchCase("p1", StudyInput(source)),)

    with monkeypatch.context() as patch:
        patch.setattr(main_path, "write_dicom", lambda *args, **options: 1 / 0)
        (first,) = predict_batch(cases, tmp_path, DICOM, jobs=1)
    assert first.state == "failed" and "ZeroDivisionError" in first.message
    assert (tmp_path / "p1" / "report.html").is_file()
    for state in ("done", "earlier"):
        (again,) = predict_batch(cases, tmp_path, DICOM, jobs=1)
        assert again.state == state
    assert (tmp_path / "p1" / "dicom" / "sr.dcm").is_file()
