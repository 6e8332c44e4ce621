"""The Structured Report, read back with highdicom."""

from __future__ import annotations

import dataclasses

import highdicom as hd
import pydicom
import pytest
from dicom_out_study import STUDY_UID, axial, make_case, write

from pelvimets.core.findings import FlagLevel, QualityFlag
from pelvimets.labels import Sequence


@pytest.fixture(scope="module")
def case():
    grids = {
        Sequence.DWI: axial((5, 9, 7), (5.0, 2.0, 2.5)),
        Sequence.T1: axial((7, 12, 10), (4.0, 1.5, 2.0)),
    }
    return make_case(grids)


@pytest.fixture(scope="module")
def written(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    return {path.name: pydicom.dcmread(path) for path in write(folder, case)}


@pytest.fixture(scope="module")
def groups(written):
    content = hd.sr.EnhancedSR.from_dataset(written["sr.dcm"]).content
    return {
        "whole": content.get_image_measurement_groups(),
        "parts": content.get_volumetric_roi_measurement_groups(),
    }


def test_is_complete_preliminary_and_unverified_by_a_device(written):
    report = written["sr.dcm"]
    assert report.CompletionFlag == "COMPLETE"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.VerificationFlag == "UNVERIFIED"
    content = hd.sr.EnhancedSR.from_dataset(report).content
    (observer,) = content.get_observer_contexts()
    assert observer.observer_type.meaning == "Device"


def test_one_group_per_lesion_and_sequence(case, groups):
    lesions = [g for g in groups["parts"] if g.finding_type.value == "94222008"]
    meant = [(x.tracking_uid, s) for x in case.findings.lesions for s in x.sequences]
    assert len(meant) == 4
    assert [g.tracking_uid for g in lesions] == [uid for uid, _ in meant]


def test_values_are_those_of_the_findings(case, groups):
    lesion = case.findings.lesions[0]
    group = next(g for g in groups["parts"] if g.tracking_uid == lesion.tracking_uid)
    seen = lesion.seen_on[Sequence.DWI]
    values = {
        (m.name.meaning, m.derivation.meaning if m.derivation else ""): (m.value, m.unit.value)
        for m in group.get_measurements()
    }
    assert values["Volume", ""] == (pytest.approx(seen.volume_cm3, rel=1e-5), "cm3")
    assert values["Long Axis", ""] == (
        pytest.approx(seen.largest_axial_diameter_mm, rel=1e-5),
        "mm",
    )
    assert values["Probability of cancer", ""] == (pytest.approx(75), "%")
    assert values["Apparent Diffusion Coefficient", "Mean"] == (850, "um2/s")
    assert values["Apparent Diffusion Coefficient", "Median"] == (850, "um2/s")


def test_site_and_side(case, groups):
    sites = {g.tracking_uid: g.finding_sites[0] for g in groups["parts"]}
    for lesion in case.findings.lesions:
        site = sites[lesion.tracking_uid]
        assert site.value.value == lesion.part.bone.code.value
        assert site.laterality.meaning.lower() == lesion.part.side
    assert {lesion.part.side for lesion in case.findings.lesions} == {"left", "right"}


def test_references_lead_to_the_segment_and_to_its_images(written, groups):
    group = groups["parts"][0]
    segment, *images = group.referenced_segment
    sop = segment.ReferencedSOPSequence[0]
    target = written["dwi_seg.dcm"]
    assert sop.ReferencedSOPInstanceUID == target.SOPInstanceUID
    described = target.SegmentSequence[int(sop.ReferencedSegmentNumber) - 1]
    assert described.TrackingUID == group.tracking_uid
    assert images
    uids = {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in images}
    assert all(uid.startswith(f"{STUDY_UID}.3.") for uid in uids)


def test_burden_of_each_bone_and_side(case, groups):
    bones = [g for g in groups["parts"] if g.finding_type.value != "94222008"]
    burdens = [b for s in case.findings.sequences.values() for b in s.burden]
    assert len(bones) == len(burdens)
    for group, burden in zip(bones, burdens, strict=True):
        assert group.tracking_identifier == burden.part.title
        values = {m.name.value: m.value for m in group.get_measurements()}
        assert values["118565006"] == pytest.approx(burden.bone_volume_cm3, rel=1e-5)
        assert values["LESION_VOLUME"] == pytest.approx(burden.lesion_volume_cm3, rel=1e-5)


def test_what_holds_for_the_patient(case, written):
    text = written["sr.dcm"].to_json()
    assert "the ilium is cut off" in text
    groups = hd.sr.EnhancedSR.from_dataset(written["sr.dcm"]).content
    patient, dwi, t1 = groups.get_image_measurement_groups()
    counts = [g.get_measurements()[0].value for g in (patient, dwi, t1)]
    assert counts == [2, 2, 2]
    statement = patient.get_qualitative_evaluations()[0]
    assert statement.value.meaning == "Suspected"


def test_a_doubtful_result_states_no_suspicion(case, tmp_path):
    flag = QualityFlag(FlagLevel.REVIEW, "head", "this is no pelvis")
    doubtful = dataclasses.replace(case.findings, flags=(flag,))
    paths = write(tmp_path, dataclasses.replace(case, findings=doubtful))
    content = hd.sr.EnhancedSR.from_dataset(pydicom.dcmread(paths[2])).content
    for group in content.get_image_measurement_groups():
        values = [q.value.meaning for q in group.get_qualitative_evaluations()]
        assert values == ["Indeterminate", "Yes"]
