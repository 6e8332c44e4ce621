"""How images were made: from headers, kept at import and by predict, printed in Table 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dicom_samples import block, dwi, enhanced, item, t1, write

from pelvimets.evaluation.measures.case import CaseResult, SequenceResult, SequenceScores
from pelvimets.evaluation.tables.cohort import grid_table
from pelvimets.evaluation.tables.facts import PatientFacts
from pelvimets.io.cohort.acquisition import read_acquisition, read_sidecar, write_acquisition
from pelvimets.io.record.acquisitions import acquisition_to_dict
from pelvimets.io.study import read_study
from pelvimets.labels import Sequence


def test_classic_headers_give_flip_angle_bandwidth_and_scanner(tmp_path: Path):
    facts = {"Manufacturer": "Philips", "ManufacturerModelName": "Achieva", "PixelBandwidth": 450}
    facts["SliceThickness"] = 4.5
    write(tmp_path, [*dwi(block(), 800), *t1(block(), FlipAngle=13, **facts)])
    image = read_study(tmp_path).t1
    assert (image.flip_angle_deg, image.bandwidth_hz_per_px) == (13, 450)
    assert (image.scanner, image.thickness_mm) == ("Philips Achieva", 4.5)
    record = acquisition_to_dict(image)
    assert record["bandwidth_hz_per_px"] == 450 and "volume" not in record


def test_enhanced_headers_give_flip_angle_and_bandwidth(tmp_path: Path):
    dataset = enhanced(
        [(block(), None)],
        description="T1 dixon",
        MRImageFrameTypeSequence=item(FrameType=["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]),
        MREchoSequence=item(EffectiveEchoTime=2.3),
        MRTimingAndRelatedParametersSequence=item(RepetitionTime=5.0, FlipAngle=10.0),
        MRImagingModifierSequence=item(PixelBandwidth=300.0),
    )
    dataset.ImageType = ["DERIVED", "PRIMARY", "MIXED", "NONE"]
    dataset.EchoPulseSequence = "GRADIENT"
    write(tmp_path, [dataset])
    image = read_study(tmp_path / "I00000").t1
    assert (image.flip_angle_deg, image.bandwidth_hz_per_px) == (10, 300)


def test_sidecars_of_converters_are_read_in_our_units(tmp_path: Path):
    (tmp_path / "a_T1w.json").write_text(
        json.dumps(
            {"EchoTime": 0.0024, "RepetitionTime": 0.0067, "FlipAngle": 10, "PixelBandwidth": 450,
             "MagneticFieldStrength": 3, "Manufacturer": "Philips",
             "ManufacturersModelName": "Achieva", "PatientName": "never kept"}
        )
    )  # fmt: skip
    found = read_sidecar(tmp_path / "a_T1w.nii.gz")
    assert found == {
        "scanner": "Philips Achieva", "echo_time_ms": 2.4, "repetition_time_ms": 6.7,
        "flip_angle_deg": 10, "bandwidth_hz_per_px": 450, "field_strength_t": 3,
    }  # fmt: skip
    assert read_sidecar(tmp_path / "none.nii.gz") == {}
    (tmp_path / "bad.json").write_text("{")
    assert read_sidecar(tmp_path / "bad.nii") == {}


def test_the_reference_comes_before_the_record_of_the_prediction(tmp_path: Path):
    reference, prediction = tmp_path / "reference", tmp_path / "prediction"
    for folder in (reference, prediction):
        folder.mkdir()
    record = {"inputs": {"dwi": {"echo_time_ms": 60.0, "label": "x", "source": None}}}
    (prediction / "run.json").write_text(json.dumps(record))
    assert read_acquisition(reference, prediction) == {Sequence.DWI: {"echo_time_ms": 60.0}}
    digital = {"scanner": {"vendor": "ge", "model": "M", "diffusion": {"te_ms": 54.0}}}
    (reference / "patient.json").write_text(json.dumps(digital))
    assert read_acquisition(reference, prediction)[Sequence.DWI]["echo_time_ms"] == 54.0
    write_acquisition(reference, {Sequence.DWI: {"echo_time_ms": 78.0}, Sequence.T1: {}})
    assert read_acquisition(reference, prediction) == {Sequence.DWI: {"echo_time_ms": 78.0}}


def case(name, **protocol):
    result = SequenceResult({}, None, SequenceScores(), (24, 180, 156), (9, 2, 3.3), protocol)
    return CaseResult(name, {Sequence.DWI: result})


def test_table_1_prints_the_protocol_of_each_scanner():
    cases = [
        case("a", scanner="Philips Achieva", echo_time_ms=54.0, b_value_s_per_mm2=800.0),
        case("b", scanner="Philips Achieva", echo_time_ms=56.0, flip_angle_deg=90.0),
        case("c"),
    ]
    facts = [PatientFacts(n, scanner="achieva" if n != "c" else "intera") for n in "abc"]
    table = grid_table(facts, cases)
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert first["Maker and model"] == "Philips Achieva"
    assert (first["TE (ms)"], first["b-value (s/mm2)"]) == ("54.0-56.0", "800")
    assert (first["Flip angle (deg)"], first["TR (ms)"]) == ("90", "-")
    assert second["TE (ms)"] == "-"
    again = CaseResult.from_dict(json.loads(json.dumps(cases[0].to_dict())))
    assert again.sequences[Sequence.DWI].protocol["echo_time_ms"] == pytest.approx(54)
