"""Follow-up from runs to page, JSON and Structured Report; with the phantom's own truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from pelvimets.app.predict import predict
from pelvimets.cli.main import app
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.errors import InputError, OutputError
from pelvimets.io.dicom.source_headers import read_source_headers, write_source_headers
from pelvimets.reading_room.follow_up import FollowUpOptions, follow_up
from pelvimets.report import printed
from pelvimets.requests.predict import RunOptions, StudyInput
from tests.app.conftest import LESION_MM, SETTINGS, image_of
from tests.core.test_lesions import ball
from tests.io.dicom_samples import t1, write

NEW_MM = (-75.0, 10.0, 60.0)


def schema() -> dict:
    path = resources.files("pelvimets.resources") / "schemas/follow_up.schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(known_study, tmp_path_factory):
    """Two DICOM studies of one man: his lesion has grown, another one is new."""
    folder = tmp_path_factory.mktemp("runs")
    bones, made = known_study.bones, []
    for number, (day, radius) in enumerate((("20250301", 10), ("20260302", 14))):
        inside = ball(bones.geometry, LESION_MM, radius)
        if number:
            inside |= ball(bones.geometry, NEW_MM, 9)
        lesions = bones.with_array(inside.astype(np.uint8))
        image = image_of(bones, lesions)
        volume = image.with_array(np.rint(image.array).astype(np.uint16))
        uid = f"1.2.826.0.1.3680043.8.498.99{number}"
        objects = t1(volume, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", StudyDate=day)
        for n, item in enumerate(objects):
            item.SOPInstanceUID = f"{uid}.1.{n}"
            item.PatientName = "ONE-PART"  # as pseudonyms are
        study = write(folder / f"study{number}", objects)
        out = folder / f"run{number}"
        networks = FixedSegmenter(bones, lesions, SETTINGS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(printed, "print_report", lambda content: b"%PDF-1.4\n%%EOF\n")
            predict(StudyInput(study), out, RunOptions(dicom=True), segmenter=networks)
        made.append(out)
    return made


@pytest.fixture(scope="module")
def out(runs, tmp_path_factory):
    """What the command leaves."""
    folder = tmp_path_factory.mktemp("follow_up") / "out"
    result = CliRunner().invoke(app, ["follow-up", *map(str, runs), "-o", str(folder)])
    assert result.exit_code == 0, result.output
    assert "for a reader to confirm" in result.output
    return folder


def test_page_data_and_report(out):
    data = json.loads((out / "follow_up.json").read_text())
    Draft202012Validator.check_schema(schema())
    assert not list(Draft202012Validator(schema()).iter_errors(data))
    (comparison,) = data["comparisons"]
    assert [row["fate"] for row in comparison["lesions"]] == ["matched", "new"]
    grown = comparison["lesions"][0]
    meant = 100 * ((14 / 10) ** 3 - 1)
    assert grown["volume_cm3"]["change_percent"] == pytest.approx(meant, rel=0.25)
    assert 5 in {row["category"] for row in comparison["regions"]}
    titles = [point["title"] for point in data["time_points"]]
    assert titles == ["baseline, 2025-03-01", "time point 2, 2026-03-02"]
    page = (out / "follow_up.html").read_text()
    assert "Research use only" in page and "for a reader to confirm" in page and "<svg" in page
    heads = [" ".join(x.split("<")[0].split()) for x in page.split("<h3>")[1:]]
    assert heads == ["1 before, 1 now: left ilium, matched", "2 now: right ilium, new"]
    captions = [x.split("<")[0] for x in page.split("<figcaption>")[1:]]
    assert captions == 2 * [
        f"{title}: T1, {view}" for view in ("axial", "coronal") for title in titles
    ]
    report = pydicom.dcmread(out / "follow_up_sr.dcm")
    studies = {
        item.StudyInstanceUID
        for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for item in report.get(name) or ()
    }
    assert studies == {f"1.2.826.0.1.3680043.8.498.99{n}" for n in (0, 1)}
    assert report.StudyInstanceUID.endswith("1") and report.VerificationFlag == "UNVERIFIED"
    texts = [str(item.value) for item in report.iterall() if item.VR in ("LO", "UT")]
    assert "5, highly likely to be progressing" in texts
    assert sum(text.startswith("rule: ") for text in texts) == 3  # one for each region


def program(name):
    """On the system or beside this Python; the test is skipped where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_dciodvfy_finds_no_error_in_the_report(out):
    command = [program("dciodvfy"), str(out / "follow_up_sr.dcm")]
    told = subprocess.run(command, capture_output=True, encoding="latin-1", check=False)
    lines = (told.stdout + told.stderr).splitlines()
    assert "EnhancedSR" in lines
    assert not [line for line in lines if line.startswith("Error")]
    # the made-up study has no time, and its patient a name of one part
    allowed = ("99PELVIMETS", "needed to build DICOMDIR", "Retired Person Name form")
    warnings = [line for line in lines if line.startswith("Warning")]
    assert not [line for line in warnings if not any(word in line for word in allowed)]


def lesions_read_by_dcmqi(path, tmp_path):
    told = tmp_path / "sr.json"
    command = [program("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(told)]
    subprocess.run(command, check=True, capture_output=True)
    for group in json.loads(told.read_text())["Measurements"]:
        if "ReferencedSegment" in group:
            values = {x["quantity"]["CodeMeaning"]: x["value"] for x in group["measurementItems"]}
            yield (
                group["TrackingUniqueIdentifier"],
                group["TrackingIdentifier"],
                float(values["Time Point Order"]),
                float(values["Volume"]),
            )


def lesions_read_by_highdicom(path, _):
    report = hd.sr.srread(path)
    for group in report.content.get_volumetric_roi_measurement_groups():
        values = {m.name.meaning: m.value for m in group.get_measurements()}
        yield (
            group.tracking_uid,
            group.tracking_identifier,
            values["Time Point Order"],
            values["Volume"],
        )


@pytest.mark.parametrize("read", [lesions_read_by_dcmqi, lesions_read_by_highdicom])
def test_others_read_each_lesion_at_each_time(out, tmp_path, read):
    data = json.loads((out / "follow_up.json").read_text())
    rows = list(read(out / "follow_up_sr.dcm", tmp_path))
    meant = [
        (f"lesion {track['title']}", n + 1, volume)
        for track in data["tracks"]
        for n, volume in enumerate(track["volume_cm3"])
        if track["lesions"][n]
    ]
    assert [(title, order) for _, title, order, _ in rows] == [row[:2] for row in meant]
    assert [row[3] for row in rows] == pytest.approx([row[2] for row in meant], rel=1e-4)
    assert len({uid for uid, *_ in rows}) == len(data["tracks"]) == 2


def test_what_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match="order of time"):
        follow_up(runs[::-1], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="not the output folder of a run"):
        follow_up([runs[0], tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="two time points"):
        follow_up(runs[:1], tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(OutputError):
        follow_up(runs, tmp_path / "full", FollowUpOptions(overwrite=True))


def test_another_patient_is_refused_unless_told(runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    headers = read_source_headers(other / "dicom")
    for header in (h for series in headers.values() for h in series):
        header.PatientID = "SOMEBODY-ELSE"
    write_source_headers(other / "dicom", headers)
    with pytest.raises(InputError, match="different patients") as caught:
        follow_up([runs[0], other], tmp_path / "out")
    assert "SOMEBODY" not in str(caught.value)
    shutil.rmtree(other / "dicom")
    with pytest.raises(InputError, match="Nothing says that the results are of one patient"):
        follow_up([runs[0], other], tmp_path / "out")
    told = FollowUpOptions(same_patient=True)
    assert follow_up([runs[0], other], tmp_path / "out", told).page.is_file()
