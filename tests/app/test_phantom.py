"""Digital patients on disk: layout, same bytes, a cohort that goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.phantom import check_cohort, make_cohort, make_phantom
from pelvimets.errors import CohortError, OutputError
from pelvimets.io.cohort.folder import read_case, read_cohort
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.phantom.record import is_digital
from pelvimets.labels import Sequence, Split
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import PatientSettings
from pelvimets.phantom.cohort.record import man_drawn
from pelvimets.requests.phantom import CohortOrder, Examined, PhantomOrder

COARSE = PatientSettings(anatomy=AnatomySettings(spacing_mm=5.0))
ORDER = CohortOrder(
    Population.LESIONS, 2, seed=3, examined=Examined(scanner="achieva", base=COARSE)
)


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory) -> Path:
    return make_cohort(ORDER, tmp_path_factory.mktemp("cohort") / "made")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_cohort_is_read_back_with_truth_on_the_image_grids(cohort_folder: Path):
    cohort = read_cohort(cohort_folder)
    assert len(cohort.patients) == 2
    for patient in cohort.patients:
        record = json.loads((patient.folder / "patient.json").read_text())
        assert patient.m_stage == record["m_stage"] and patient.split is Split.TRAIN
        assert patient.psa_ng_per_ml == record["plan"]["psa_ng_per_ml"]
        assert read_nifti(patient.adc_path).array.max() < 4096
        for sequence in Sequence:
            case = read_case(patient, sequence)
            assert case.bones is not None and set(np.unique(case.bones.array)) >= set(range(1, 9))
            assert case.lesions is not None and case.mimics is not None
            numbers = set(np.unique(case.lesions.array)) - {0}
            seen = {
                lesion["number"]: lesion["in_image"][sequence.value] for lesion in record["lesions"]
            }
            drawn = {number: found for number, found in seen.items() if found and found["drawn"]}
            assert numbers == set(drawn)
            assert all(found["volume_cm3"] >= 0.2 for found in drawn.values())
            assert all(found["cnr"] >= 1.5 for found in drawn.values())


def test_flow_and_order_are_kept_beside_the_table(cohort_folder: Path):
    assert (cohort_folder / "flow.csv").read_text().startswith("step,reason,patients\nscreened,")
    record = json.loads((cohort_folder / "cohort.json").read_text())
    assert record["order"]["seed"] == 3 and record["order"]["population"] == "lesions"
    assert is_digital(cohort_folder) and not is_digital(cohort_folder / "p0001")


def test_other_records_that_speak_of_digital_patients_make_no_digital_cohort(tmp_path: Path):
    (tmp_path / "cohort.json").write_text('{"notice": "real men beside an in-silico cohort"}')
    assert not is_digital(tmp_path)


def test_a_patient_made_alone_has_the_same_bytes(cohort_folder: Path, tmp_path: Path):
    member = ORDER.members()[1]
    alone = PhantomOrder(
        member.plan.seed,
        population=Population.LESIONS,
        part=member.plan.part,
        examined=Examined(scanner="achieva", base=COARSE),
    )
    make_phantom(alone, tmp_path / "alone")
    assert files(tmp_path / "alone") == files(cohort_folder / member.key)


def test_disease_of_a_cohort_is_read_for_the_check(cohort_folder: Path, tmp_path: Path):
    men = [man_drawn(json.loads(p.read_text())) for p in cohort_folder.glob("*/patient.json")]
    table = read_cohort(cohort_folder).patients
    assert sorted(man.lesions for man in men) == sorted(int(p.details["lesions"]) for p in table)
    shutil.copytree(cohort_folder, tmp_path / "cohort")
    record_path = tmp_path / "cohort" / "p0001" / "patient.json"
    record = json.loads(record_path.read_text())
    seen = {"volume_cm3": 0.3, "centre_lps_mm": [0, 0, 0], "cnr": 2.0, "drawn": True}
    record["lesions"] = [{"drawn": True, "in_image": {"dwi": seen, "t1": None}}]
    record_path.write_text(json.dumps(record))
    rows = {row.reference.title: row for row in check_cohort(tmp_path / "cohort")}
    assert rows["Smallest metastasis, cm3"].state == "off"
    assert rows["Lowest CNR"].state == "ok"


def test_interrupted_cohort_goes_on_and_ends_the_same(cohort_folder: Path, tmp_path: Path):
    stopped = tmp_path / "stopped"
    shutil.copytree(cohort_folder, stopped)
    shutil.rmtree(stopped / "p0002")
    (stopped / "patients.csv").unlink()
    calls = []
    make_cohort(ORDER, stopped, progress=lambda *call: calls.append(call))
    assert calls == [("", 1, 2), ("p0002", 2, 2)]
    assert files(stopped) == files(cohort_folder)


def test_other_settings_or_a_folder_in_use_are_refused(cohort_folder: Path, tmp_path: Path):
    with pytest.raises(CohortError, match="other settings"):
        make_cohort(replace(ORDER, seed=4), cohort_folder)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(CohortError, match="new folder"):
        make_cohort(ORDER, tmp_path)
    with pytest.raises(OutputError):
        make_phantom(PhantomOrder(1), cohort_folder)


def test_external_patients_are_test_patients():
    assert PhantomOrder(1, population=Population.EXTERNAL).plan().part is Split.TEST
    assert PhantomOrder(1).plan() is None
    assert PhantomOrder(1).chosen_scanner().name == "discovery"
    assert PhantomOrder(1, population=Population.BONES).chosen_scanner().name != "avanto"


def test_second_time_point_lies_beside_the_first(tmp_path: Path):
    diseased = replace(COARSE, metastases_probability=1.0)
    order = PhantomOrder(5, examined=Examined(scanner="achieva", follow_up=True, base=diseased))
    make_phantom(order, tmp_path / "man")
    first, later = (
        json.loads((tmp_path / "man" / part / "patient.json").read_text())
        for part in (".", "follow_up")
    )
    assert (first["time_point"], later["time_point"]) == (0, 1)
    assert first["drawn"] == later["drawn"] and first["examination"] != later["examination"]
    assert {lesion["course"] for lesion in first["lesions"]} == {"first"}
    assert {lesion["course"] for lesion in later["lesions"]} - {"first"}
    make_phantom(
        replace(order, examined=replace(order.examined, follow_up=False)),
        tmp_path / "man",
        overwrite=True,
    )
    assert not (tmp_path / "man" / "follow_up").exists()


def test_a_patient_who_cannot_be_made_stops_no_other(tmp_path: Path, monkeypatch) -> None:
    made = []

    def make(order: PhantomOrder, out: Path) -> None:
        if out.name == "p0002":
            raise ZeroDivisionError("of a rare anatomy")
        made.append(out.name)

    monkeypatch.setattr("pelvimets.app.phantom.make_phantom", make)
    with pytest.raises(CohortError, match=r"1 of 3 patients .* p0002: An unexpected ZeroDiv"):
        make_cohort(replace(ORDER, patients=3), tmp_path / "new")
    assert made == ["p0001", "p0003"]
    assert not (tmp_path / "new" / "patients.csv").exists()
