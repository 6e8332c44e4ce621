"""DICOM results on every kind of source, read back with libraries that did not write them."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import datetime

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_out_study import (
    MOMENT,
    PDF,
    STUDY_UID,
    axial,
    make_case,
    turned,
    write,
)

from pelvimets.core.findings import LesionMasks
from pelvimets.core.geometry import Geometry
from pelvimets.core.review import Origin, Verdict, begin_review
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, OutputError, VerificationError
from pelvimets.io.dicom.report import encapsulated_pdf
from pelvimets.io.dicom.seg import build_segmentation, segment_maps
from pelvimets.io.dicom.signoff import SignOff
from pelvimets.io.dicom.source import source_images
from pelvimets.io.dicom.source_headers import read_source_headers, write_source_headers
from pelvimets.io.dicom.verify import verify_segmentation
from pelvimets.labels import Bone, Sequence

GRID = axial((5, 9, 7), (5.0, 2.0, 2.5))  # 63 pixels: frames do not end on a byte
ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product([False, True], repeat=3)
]


def write_one(folder, geometry, *, kind="BINARY", **options):
    """The Segmentation of a DWI on a grid, proven by the product; its maps."""
    case = make_case({Sequence.DWI: geometry}, **options)
    source = source_images(case.study.dwi, case.headers)
    maps = segment_maps(
        case.bones.by_sequence[Sequence.DWI],
        case.lesions[Sequence.DWI],
        case.findings,
        Sequence.DWI,
        STUDY_UID,
    )
    result = build_segmentation(
        maps, source, Sequence.DWI, kind=kind, bundle="fixed 1.0", moment=MOMENT
    )
    path = folder / "dwi_seg.dcm"
    result.save_as(path, enforce_file_format=True)
    verify_segmentation(path, maps, geometry)
    return path, maps


def places(mask: np.ndarray, geometry: Geometry) -> set[tuple[float, ...]]:
    """Where a mask marks the patient: LPS mm to a hundredth."""
    points = geometry.to_lps(np.argwhere(mask))
    return {tuple(p) for p in np.round(points, 2) + 0.0}


def highdicom_places(path) -> dict[int, set[tuple[float, ...]]]:
    """The same for each segment, as highdicom reads the file."""
    volume = hd.seg.segread(path).get_volume(allow_missing_positions=True)
    found = {}
    for channel, number in enumerate(volume.get_channel_values("ReferencedSegmentNumber")):
        index = np.argwhere(volume.array[..., channel])
        points = volume.map_indices_to_reference(index)
        found[number] = {tuple(p) for p in np.round(points, 2) + 0.0}
    return found


def assert_same_places(path, maps, geometry):
    found = highdicom_places(path)
    for segment in maps.segments:
        layer = maps.lesions if segment.lesion else maps.bones
        meant = places(layer == segment.number, geometry)
        assert meant
        assert found[segment.number] == meant, segment.label


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_all_orientations_keep_every_voxel_in_its_place(tmp_path, order, flips):
    geometry = GRID.reoriented(order, flips)
    path, maps = write_one(tmp_path, geometry)
    assert {s.label for s in maps.segments} >= {"left ilium", "right ilium"}
    assert_same_places(path, maps, geometry)


@pytest.mark.parametrize("degrees", [(20, 0, 0), (-15, 10, 30), (7, -80, 45), (180, 0, 90)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True)])
def test_oblique_grids_and_negated_cosines(tmp_path, degrees, flips):
    geometry = turned(GRID, degrees).reoriented((0, 1, 2), flips)
    path, maps = write_one(tmp_path, geometry)
    assert_same_places(path, maps, geometry)


@pytest.mark.parametrize("flips", [(False, False, False), (True, True, False)])
def test_enhanced_source_is_referred_to_frame_by_frame(tmp_path, flips):
    geometry = turned(GRID, (5, 5, 5)).reoriented((0, 1, 2), flips)
    numbers = (9, 2, 4, 6, 12)
    path, maps = write_one(tmp_path, geometry, frame_numbers=numbers)
    assert_same_places(path, maps, geometry)
    for frame in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence:
        at = geometry.to_index(frame.PlanePositionSequence[0].ImagePositionPatient)
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert int(source.ReferencedFrameNumber) == numbers[round(at[0])]


def test_classic_source_is_referred_to_slice_by_slice(tmp_path):
    path, _ = write_one(tmp_path, GRID)
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    assert frames
    for frame in frames:
        k = round(GRID.to_index(frame.PlanePositionSequence[0].ImagePositionPatient)[0])
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == f"{STUDY_UID}.3.{k + 1}"


@pytest.mark.parametrize("shape", [(1, 9, 7), (4, 8, 8), (3, 5, 3)])
def test_single_slices_and_any_frame_size(tmp_path, shape):
    geometry = axial(shape)
    path, maps = write_one(tmp_path, geometry, with_lesions=shape[0] > 1)
    assert maps.segments
    verify_segmentation(path, maps, geometry)


def test_label_map_has_one_value_per_voxel_and_the_lesion_wins(tmp_path):
    path, maps = write_one(tmp_path, GRID, kind="LABELMAP")
    written = pydicom.dcmread(path)
    assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert written.SegmentationType == "LABELMAP"
    assert set(np.unique(written.pixel_array)) == {0, *(s.number for s in maps.segments)}
    lesion = next(s for s in maps.segments if s.lesion)
    assert highdicom_places(path)[lesion.number] == places(maps.lesions == lesion.number, GRID)


def test_segments_say_what_where_and_by_whom(tmp_path):
    path, maps = write_one(tmp_path, GRID)
    written = pydicom.dcmread(path)
    assert written.SegmentsOverlap == "YES"
    by_label = {s.SegmentLabel: s for s in written.SegmentSequence}
    left = by_label["left ilium"]
    assert left.SegmentedPropertyTypeCodeSequence[0].CodeValue == Bone.ILIUM.code.value
    side = left.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert side[0].CodeMeaning == "Left"
    assert (
        "SegmentedPropertyTypeModifierCodeSequence"
        not in (by_label["sacrococcyx"].SegmentedPropertyTypeCodeSequence[0])
    )
    lesion = by_label["lesion 1, left ilium"]
    assert lesion.SegmentedPropertyTypeCodeSequence[0].CodeValue == "94222008"
    region = lesion.AnatomicRegionSequence[0]
    assert (region.CodeValue, region.AnatomicRegionModifierSequence[0].CodeMeaning) == (
        "22356005",
        "Left",
    )
    meant = next(s for s in maps.segments if s.lesion and s.lesion.number == 1)
    assert lesion.TrackingUID == meant.lesion.tracking_uid
    assert lesion.TrackingID == "lesion 1"
    for segment in written.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmParameters == "bundle=fixed 1.0"
    colour = hd.color.CIELabColor.from_dicom_value(left.RecommendedDisplayCIELabValue)
    assert np.abs(np.subtract(colour.to_rgb(), Bone.ILIUM.colour)).max() <= 1


def test_empty_frames_are_left_out(tmp_path):
    path, maps = write_one(tmp_path, GRID)
    layers = [(maps.lesions if s.lesion else maps.bones) == s.number for s in maps.segments]
    filled = sum(int(layer.any(axis=(1, 2)).sum()) for layer in layers)
    assert int(pydicom.dcmread(path).NumberOfFrames) == filled


def _tampered(path, change):
    written = pydicom.dcmread(path)
    change(written)
    written.save_as(path)


def _flip_bit(written):
    data = bytearray(written.PixelData)
    data[len(data) // 2] ^= 1
    written.PixelData = bytes(data)


def _shift(written):
    for frame in written.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        position.ImagePositionPatient = [float(v) + 2.0 for v in position.ImagePositionPatient]


def _mirror(written):
    plane = written.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [-float(v) for v in plane.ImageOrientationPatient]


def _swap_tracking(written):
    a, b = written.SegmentSequence[:2]
    a.TrackingUID, b.TrackingUID = b.TrackingUID, a.TrackingUID


def _swap_segments(written):
    for frame in written.PerFrameFunctionalGroupsSequence:
        item = frame.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = {1: 2, 2: 1}.get(
            item.ReferencedSegmentNumber, item.ReferencedSegmentNumber
        )


@pytest.mark.parametrize("change", [_flip_bit, _shift, _mirror, _swap_tracking, _swap_segments])
def test_proof_finds_what_was_changed(tmp_path, change):
    path, maps = write_one(tmp_path, GRID)
    _tampered(path, change)
    with pytest.raises(VerificationError):
        verify_segmentation(path, maps, GRID)


@pytest.fixture(scope="module")
def case():
    return make_case({Sequence.DWI: GRID, Sequence.T1: axial((7, 12, 10), (4.0, 1.5, 2.0))})


@pytest.fixture(scope="module")
def written(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    return {path.name: pydicom.dcmread(path) for path in write(folder, case)}


def test_all_files_are_written(written):
    assert list(written) == ["dwi_seg.dcm", "t1_seg.dcm", "sr.dcm", "report.dcm"]


def test_patient_and_study_are_those_of_the_source(written):
    for dataset in written.values():
        assert dataset.PatientName == "Müller^Jörg"
        assert (dataset.PatientID, dataset.PatientBirthDate) == ("ID-7", "19500101")
        assert (dataset.StudyInstanceUID, dataset.AccessionNumber) == (STUDY_UID, "A1")
        assert dataset.StudyDescription == "MR Pelvis"
        assert dataset.PatientAge == "076Y"
        assert (dataset.ContentDate, dataset.ContentTime) == ("20260304", "050607")


def test_what_the_source_lacks_stays_empty_and_the_source_is_untouched(tmp_path):
    case = make_case({Sequence.T1: GRID})
    for header in case.headers[f"{STUDY_UID}.3"]:
        for keyword in ("PatientName", "PatientBirthDate", "StudyID", "AccessionNumber"):
            delattr(header, keyword)
        header.PatientSex = "U"
    before = [header.to_json() for header in case.headers[f"{STUDY_UID}.3"]]
    for path in write(tmp_path, case):
        dataset = pydicom.dcmread(path)
        for keyword in ("PatientName", "PatientBirthDate", "StudyID", "PatientSex"):
            assert not dataset[keyword].value
    assert [header.to_json() for header in case.headers[f"{STUDY_UID}.3"]] == before


def test_a_pseudonym_of_one_part_is_copied_without_a_warning(tmp_path):
    case = make_case({Sequence.T1: GRID})
    for header in case.headers[f"{STUDY_UID}.3"]:
        header.PatientName = "ProstateX-0000"
    for path in write(tmp_path, case):
        assert pydicom.dcmread(path).PatientName == "ProstateX-0000"


def test_same_input_gives_the_same_files(case, tmp_path):
    first, second = write(tmp_path / "a", case), write(tmp_path / "b", case)
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_uids_follow_the_content_not_the_time(case, tmp_path, written):
    later = write(tmp_path / "a", case, clock=lambda: datetime(2027, 1, 1))
    assert [pydicom.dcmread(p).SOPInstanceUID for p in later] == [
        d.SOPInstanceUID for d in written.values()
    ]
    marked = case.lesions.by_sequence[Sequence.DWI]
    edited = marked.mask.array.copy()
    edited[tuple(np.argwhere(edited == 1)[0])] = 0
    less = dataclasses.replace(marked, mask=marked.mask.with_array(edited))
    masks = LesionMasks({**case.lesions.by_sequence, Sequence.DWI: less})
    changed = dataclasses.replace(case, lesions=masks)
    dwi, t1, sr, _ = (pydicom.dcmread(p) for p in write(tmp_path / "b", changed))
    assert dwi.SOPInstanceUID != written["dwi_seg.dcm"].SOPInstanceUID
    assert sr.SOPInstanceUID != written["sr.dcm"].SOPInstanceUID
    assert t1.SeriesInstanceUID != dwi.SeriesInstanceUID


def reviewed(case, **changes):
    """A review of a case that accepts everything."""
    begun = begin_review(case.findings, "a" * 64, "2026-03-01T08:00:00.000+01:00")
    entries = tuple(dataclasses.replace(e, verdict=Verdict.ACCEPTED) for e in begun.lesions)
    return dataclasses.replace(begun, lesions=entries, **changes)


def signoff(case, review):
    lesions = {s: marked.mask for s, marked in case.lesions.by_sequence.items()}
    return SignOff(review, case.bones.by_sequence, lesions)


def made(dataset):
    return {item.SegmentLabel: item.SegmentAlgorithmType for item in dataset.SegmentSequence}


def test_a_segment_that_nobody_touched_stays_automatic(case, tmp_path):
    uid = case.findings.lesions[0].tracking_uid
    mask = case.lesions.by_sequence[Sequence.DWI].mask
    label = case.findings.lesions[0].seen_on[Sequence.DWI].label
    first = mask.array.copy()
    first[tuple(np.argwhere(first == label)[0])] = 0  # the reader added this voxel
    kept = signoff(case, reviewed(case))
    kept = dataclasses.replace(kept, lesions={**kept.lesions, Sequence.DWI: mask.with_array(first)})
    dwi, t1, *_ = (pydicom.dcmread(p) for p in write(tmp_path / "lesion", case, signoff=kept))
    touched = {label for label, how in made(dwi).items() if how != "AUTOMATIC"}
    assert len(touched) == 1 and touched.pop().startswith("lesion 1")
    assert set(made(t1).values()) == {"AUTOMATIC"}
    bones = case.bones.by_sequence[Sequence.T1]
    before = bones.array.copy()
    before[tuple(np.argwhere(before == Bone.SACROCOCCYX)[0])] = 0
    drawn = signoff(case, reviewed(case, bones={Sequence.T1: (Bone.SACROCOCCYX,)}))
    drawn = dataclasses.replace(drawn, bones={**drawn.bones, Sequence.T1: bones.with_array(before)})
    dwi, t1, *_ = (pydicom.dcmread(p) for p in write(tmp_path / "bone", case, signoff=drawn))
    assert [label for label, how in made(t1).items() if how == "SEMIAUTOMATIC"] == ["sacrococcyx"]
    assert set(made(dwi).values()) == {"AUTOMATIC"}
    own = reviewed(case)
    entries = tuple(
        dataclasses.replace(e, origin=Origin.READER) if e.tracking_uid == uid else e
        for e in own.lesions
    )
    own = signoff(case, dataclasses.replace(own, lesions=entries))
    dwi, *_ = (pydicom.dcmread(p) for p in write(tmp_path / "own", case, signoff=own))
    manual = [s for s in dwi.SegmentSequence if s.SegmentAlgorithmType == "MANUAL"]
    assert [s.TrackingUID for s in manual] == [uid]


SIGNED = "2026-03-01T08:05:00.000+01:00"


@pytest.mark.parametrize(
    ("organisation", "signed", "flag"),
    [("Ward 7", SIGNED, "VERIFIED"), ("", SIGNED, "UNVERIFIED"), ("Ward 7", None, "UNVERIFIED")],
)
def test_the_report_is_verified_where_a_named_reader_asks(
    case, tmp_path, organisation, signed, flag
):
    review = reviewed(
        case, reader="Dr. Ada Reader", comment="old fracture", signed=signed,
        verified=True, organisation=organisation,
    )  # fmt: skip
    paths = write(tmp_path, case, signoff=signoff(case, review))
    report = pydicom.dcmread(paths[-2])
    assert report.VerificationFlag == flag
    assert pydicom.dcmread(paths[-1]).VerificationFlag == flag
    text = report.to_json()
    assert "Verdicts: of 2 findings of the model" in text
    assert "old fracture" in text and "Dr. Ada Reader^" in text
    if flag == "VERIFIED":
        item = report.VerifyingObserverSequence[0]
        assert item.VerifyingObserverName == "Dr. Ada Reader^"
        assert item.VerifyingOrganization == "Ward 7"
        when = datetime.strptime(str(item.VerificationDateTime), "%Y%m%d%H%M%S%z")
        assert when == datetime.fromisoformat(SIGNED)
    assert ("signed 2026-03-01" in text) == (signed is not None)


def test_headers_kept_beside_the_results_serve_as_well(case, tmp_path, written):
    write_source_headers(tmp_path, case.headers)
    kept = dataclasses.replace(case, headers=read_source_headers(tmp_path))
    again = [pydicom.dcmread(p) for p in write(tmp_path / "again", kept)]
    assert again == list(written.values())


def test_report_object_holds_the_pdf(written):
    report = written["report.dcm"]
    assert encapsulated_pdf(report) == PDF
    assert report.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert report.VerificationFlag == "UNVERIFIED"
    shown = {item.ReferencedSOPInstanceUID for item in report.SourceInstanceSequence}
    assert shown == {written[n].SOPInstanceUID for n in ("dwi_seg.dcm", "t1_seg.dcm", "sr.dcm")}


def test_a_report_that_is_no_pdf_is_refused(case, tmp_path):
    with pytest.raises(OutputError, match="not a PDF"):
        write(tmp_path, case, pdf=b"<html>")


def test_nifti_input_is_refused_before_anything_is_written(case, tmp_path):
    image = dataclasses.replace(case.study.dwi, source=None)
    other = dataclasses.replace(case, study=dataclasses.replace(case.study, dwi=image))
    with pytest.raises(InputError, match="need a DICOM study"):
        write(tmp_path / "out", other)
    assert not (tmp_path / "out").exists()


def test_missing_headers_are_refused(case, tmp_path):
    other = dataclasses.replace(case, headers={f"{STUDY_UID}.3": case.headers[f"{STUDY_UID}.3"]})
    with pytest.raises(InputError, match="headers of the source images"):
        write(tmp_path, other)


def test_headers_that_lie_elsewhere_are_refused(tmp_path):
    case = make_case({Sequence.T1: GRID})
    headers = case.headers[f"{STUDY_UID}.3"]
    headers[0].ImagePositionPatient, headers[1].ImagePositionPatient = (
        headers[1].ImagePositionPatient,
        headers[0].ImagePositionPatient,
    )
    with pytest.raises(VerificationError, match="different places"):
        write(tmp_path, case)


def test_masks_and_findings_must_agree(case, tmp_path):
    fewer = dataclasses.replace(case.findings, lesions=case.findings.lesions[:1])
    with pytest.raises(VerificationError, match="different lesions"):
        write(tmp_path, dataclasses.replace(case, findings=fewer))


def test_no_lesion_and_nothing_at_all(tmp_path):
    clean = make_case({Sequence.DWI: GRID}, with_lesions=False)
    names = [p.name for p in write(tmp_path / "clean", clean)]
    assert names == ["dwi_seg.dcm", "sr.dcm", "report.dcm"]
    empty = make_case({Sequence.DWI: GRID}, with_lesions=False, with_bones=False)
    names = [p.name for p in write(tmp_path / "empty", empty)]
    assert names == ["sr.dcm", "report.dcm"]


def test_many_lesions_are_written_one_segment_each(tmp_path):
    geometry = axial((2, 20, 20), (5.0, 1.0, 1.0))
    marks = np.zeros(geometry.shape, dtype=np.uint16)
    marks[1, 1::4, 1::4] = np.arange(1, 26).reshape(5, 5)
    case = make_case({Sequence.DWI: geometry})
    volume = Volume(marks, geometry)
    known = case.lesions.by_sequence[Sequence.DWI]
    masks = LesionMasks({Sequence.DWI: dataclasses.replace(known, mask=volume)})
    findings = _measured(case, masks)
    maps = segment_maps(
        case.bones.by_sequence[Sequence.DWI], volume, findings, Sequence.DWI, STUDY_UID
    )
    assert len(maps.of_kind(lesions=True)) == 25
    write(tmp_path, dataclasses.replace(case, lesions=masks, findings=findings))


def _measured(case, masks):
    from dicom_out_study import SETTINGS

    from pelvimets.core.measure import Origin, measure

    return measure(
        case.bones,
        masks,
        None,
        SETTINGS,
        Origin(patient_key="p1", bundle="fixed 1.0", uid_seed="s"),
    )
