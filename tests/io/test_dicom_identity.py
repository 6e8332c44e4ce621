"""Series of one study whose headers say different things of the patient."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_samples import NAME, PATIENT_ID, block, dwi, t1, write
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import InputError
from pelvimets.io.study import inspect, read_study

ISSUED = {"IssuerOfPatientID": "HOSPITAL"}
UTF_8 = {"SpecificCharacterSet": "ISO_IR 192"}
NO_ID = "the patient's id is missing in a part of the images; the name is the same"
NO_ISSUER = "the issuer of the patient's id is missing in a part of the images; the id is the same"


def study(folder: Path, first: dict, second: dict) -> Path:
    """DWI and T1 of one study, each with its own word on the patient."""
    for images, attributes in ((dwi(block(), 800.0), first), (t1(block()), second)):
        for image in images:
            for keyword, value in attributes.items():
                setattr(image, keyword, value)
        write(folder, images)
    return folder


@pytest.mark.parametrize(
    ("first", "second", "notes"),
    [
        ({}, {}, ()),
        (ISSUED, ISSUED, ()),
        (ISSUED, {}, (NO_ISSUER,)),
        (ISSUED, {"PatientName": NAME.lower()}, (NO_ISSUER,)),
        (ISSUED, {"PatientName": "", "PatientBirthDate": ""}, (NO_ISSUER,)),
        ({}, {"PatientID": ""}, (NO_ID,)),
        ({}, {"PatientID": "", "PatientName": "Secret^Person"}, (NO_ID,)),
        ({}, {"PatientID": "", "PatientName": "Secret Person^^"}, (NO_ID,)),
        (UTF_8, {**UTF_8, "PatientID": "", "PatientName": f"{NAME}=秘密^人"}, (NO_ID,)),
        ({}, {"PatientID": "", "PatientBirthDate": ""}, (NO_ID,)),
        (ISSUED, {"PatientID": ""}, (NO_ID,)),
        ({"PatientID": ""}, {"PatientID": "", "PatientName": NAME.title()}, ()),
        ({}, {"PatientName": "Other^Name"}, ()),
    ],
)
def test_what_the_rest_proves_is_one_patient_with_a_note(tmp_path: Path, first, second, notes):
    for n, pair in enumerate([(first, second), (second, first)]):
        read = read_study(study(tmp_path / str(n), *pair))
        assert read.dwi is not None and read.t1 is not None
        assert read.notes == notes
        assert NAME not in repr(read) and PATIENT_ID not in repr(read)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"PatientID": "OTHER"}),
        (ISSUED, {"IssuerOfPatientID": "CLINIC"}),
        (ISSUED, {"PatientName": "Other^Name"}),
        (ISSUED, {"PatientBirthDate": "19600101"}),
        ({}, {"PatientID": "", "PatientName": "Other^Name"}),
        ({}, {"PatientID": "", "PatientName": ""}),
        ({}, {"PatientID": "", "PatientBirthDate": "19600101"}),
    ],
)
def test_what_contradicts_is_refused_until_the_user_says_so(tmp_path: Path, first, second):
    folder = study(tmp_path / "in", first, second)
    for read in (read_study, inspect):
        with pytest.raises(InputError, match=r"got 2 patients.*--same-patient") as caught:
            read(folder)
        assert "SECRET" not in str(caught.value) and "4711" not in str(caught.value)
    read = read_study(folder, same_patient=True)
    assert read.notes == ("headers name 2 patients, taken as one at the user's word",)
    assert {d.taken_as for d in inspect(folder, same_patient=True)} == {"dwi", "t1"}


def test_a_third_that_contradicts_one_of_two_is_another_patient(tmp_path: Path):
    folder = study(tmp_path / "in", {}, {"PatientID": ""})
    other = t1(block(), number=9)
    for image in other:
        image.PatientID = "OTHER"
    write(folder, other)
    with pytest.raises(InputError, match="got 2 patients"):
        read_study(folder)


def test_the_command_takes_the_word_of_its_user(tmp_path: Path):
    folder = str(study(tmp_path / "in", {}, {"PatientID": "OTHER"}))
    assert isinstance(CliRunner().invoke(app, ["inspect", folder]).exception, InputError)
    result = CliRunner().invoke(app, ["inspect", folder, "--same-patient"])
    assert result.exit_code == 0 and "T1 in phase" in result.output
