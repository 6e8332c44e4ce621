"""From a folder to a study: splitting, choice, pixels and refusals, on files."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import (
    NAME,
    PATIENT_ID,
    adc,
    block,
    ct,
    dwi,
    enhanced,
    item,
    slices,
    t1,
    uid,
    write,
)
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from pelvimets.core.study import SeriesRole
from pelvimets.errors import GeometryError, InputError, SelectionError
from pelvimets.io.dicom.scan import scan
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.study import inspect, open_study, read_nifti_study, read_study


def values(acquisition) -> np.ndarray:
    return acquisition.volume.array


def rows(path: Path):
    return {d.number: d for d in inspect(path)}


# --- splitting -----------------------------------------------------------------------------


def test_b_values_of_one_series_are_split(tmp_path: Path):
    low, mid, high = (block(seed=n) for n in range(3))
    write(tmp_path, [*dwi(low, 0), *dwi(mid, 400), *dwi(high, 800), *adc(mid), *t1(low)])
    study = read_study(tmp_path)
    np.testing.assert_array_equal(values(study.dwi), high.array)
    np.testing.assert_array_equal(values(study.adc), mid.array)
    np.testing.assert_array_equal(values(study.t1), low.array)
    assert study.dwi.b_value_s_per_mm2 == 800
    assert study.dwi.role is SeriesRole.HIGH_B_DWI
    assert "b = 800" in study.dwi.label
    assert rows(tmp_path)[5].b_values_s_per_mm2 == (0, 400, 800)
    assert [d.taken_as for d in study.decisions] == ["dwi", "adc", "t1"]
    assert study.decisions == inspect(tmp_path)


def test_two_echoes_in_one_series_are_told_apart(tmp_path: Path):
    opposed, in_phase = block(seed=1), block(seed=2)
    plain = {"description": "t1_fl2d_opp-in", "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
    plain["description"] = "t1_fl2d dual"
    write(
        tmp_path,
        [
            *t1(opposed, EchoTime=1.23, tag=1, **plain),
            *t1(in_phase, EchoTime=2.46, tag=2, first_instance=100, **plain),
        ],
    )
    study = read_study(tmp_path)
    assert study.t1.role is SeriesRole.T1_IN_PHASE
    assert study.t1.echo_time_ms == pytest.approx(2.46)
    np.testing.assert_array_equal(values(study.t1), in_phase.array)
    assert study.notes == ("no high-b DWI: read on T1 alone",)


def test_dixon_images_of_one_series_are_told_apart(tmp_path: Path):
    kinds = ["W", "F", "OP", "IP"]
    files = [
        dataset
        for n, kind in enumerate(kinds)
        for dataset in t1(
            block(seed=n),
            description="mDIXON-All",
            ImageType=["ORIGINAL", "PRIMARY", kind, "M", "FFE"],
            tag=kind,
            first_instance=1 + 100 * n,
        )
    ]
    write(tmp_path, files)
    np.testing.assert_array_equal(values(read_study(tmp_path).t1), block(seed=3).array)


def directions(volumes, **more) -> list[Dataset]:
    vectors = np.eye(3).tolist()
    return [
        dataset
        for n, volume in enumerate(volumes)
        for dataset in dwi(
            volume,
            1000,
            ImageType=["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
            tag=f"direction {n}",
            first_instance=1 + 50 * n,
            DiffusionDirectionality="DIRECTIONAL",
            DiffusionGradientOrientation=vectors[n],
            **more,
        )
    ]


def test_directions_become_a_trace_by_geometric_mean(tmp_path: Path):
    parts = [block(seed=n) for n in range(3)]
    parts[1].array[0, 0, 0] = 0
    write(tmp_path, [*directions(parts), *dwi(block(), 0)])
    image = read_study(tmp_path).dwi
    expected = np.prod([p.array.astype(float) for p in parts], axis=0) ** (1 / 3)
    np.testing.assert_allclose(values(image), expected, rtol=1e-5)
    assert any("geometric mean" in note for note in image.notes)
    assert len(image.source.sop_instance_uids) == 10


def test_acquired_trace_comes_before_its_directions(tmp_path: Path):
    trace = block(seed=9)
    write(tmp_path, [*directions([block(seed=n) for n in range(3)]), *dwi(trace, 1000, number=6)])
    image = read_study(tmp_path).dwi
    np.testing.assert_array_equal(values(image), trace.array)
    assert image.notes == ()


def test_incomplete_direction_is_refused(tmp_path: Path):
    write(tmp_path, directions([block(seed=n) for n in range(3)])[:-1])
    with pytest.raises(GeometryError, match="differ in their number of slices"):
        read_study(tmp_path)


def test_repeats_without_any_mark_are_paired_by_instance_number(tmp_path: Path):
    first, second = block(seed=1), block(seed=2)
    write(tmp_path, [*dwi(first, 1000), *dwi(second, 1000, tag="again", first_instance=2000)])
    expected = np.sqrt(first.array.astype(float) * second.array)
    np.testing.assert_allclose(values(read_study(tmp_path).dwi), expected, rtol=1e-5)


def test_dynamic_series_is_no_t1(tmp_path: Path):
    phases = [
        dataset
        for n in range(3)
        for dataset in t1(
            block(seed=n), description="t1_vibe_tra", tag=n, TemporalPositionIdentifier=n + 1
        )
    ]
    write(tmp_path, [*phases, *dwi(block(), 1000)])
    assert read_study(tmp_path).t1 is None
    assert "3 time points" in rows(tmp_path)[8].reason


def test_b_values_that_differ_by_rounding_belong_together(tmp_path: Path):
    truth = block()

    def jitter(dataset, k):
        dataset.DiffusionBValue = 1000.0 + k % 3

    write(tmp_path, dwi(truth, 1000, edit=jitter))
    study = read_study(tmp_path)
    np.testing.assert_array_equal(values(study.dwi), truth.array)


# --- enhanced ------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
def test_enhanced_object_in_scrambled_order(tmp_path: Path, legacy):
    low, high = block(seed=1), block(seed=2)
    order = np.random.default_rng(4).permutation(20).tolist()
    dataset = enhanced([(low, 0.0), (high, 1000.0)], legacy=legacy, order=order)
    write(tmp_path, [dataset])
    with open_study(tmp_path) as opened:
        image = opened.study.dwi
        header = opened.source_headers(image.source)[0]
    np.testing.assert_array_equal(values(image), high.array)
    assert image.source.sop_instance_uids == (dataset.SOPInstanceUID,)
    for k, number in enumerate(image.source.frame_numbers):
        group = header.PerFrameFunctionalGroupsSequence[number - 1]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(image.volume.geometry.to_lps([k, 0, 0]), position)


def test_enhanced_dixon_by_frame_type_and_rescaling(tmp_path: Path):
    truth = block()
    dataset = enhanced(
        [(truth, None)],
        description="T1 dixon",
        MRImageFrameTypeSequence=item(FrameType=["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]),
        PixelValueTransformationSequence=item(
            RescaleSlope=0.5, RescaleIntercept=-4.0, RescaleType="US"
        ),
        MREchoSequence=item(EffectiveEchoTime=2.3),
        MRTimingAndRelatedParametersSequence=item(RepetitionTime=5.0, FlipAngle=10.0),
    )
    dataset.ImageType = ["DERIVED", "PRIMARY", "MIXED", "NONE"]
    dataset.EchoPulseSequence = "GRADIENT"
    write(tmp_path, [dataset])
    image = read_study(tmp_path / "I00000").t1
    assert image.role is SeriesRole.T1_IN_PHASE
    assert image.echo_time_ms == pytest.approx(2.3)
    np.testing.assert_allclose(values(image), truth.array * 0.5 - 4)


# --- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_pixels(tmp_path: Path, syntax):
    truth = block((8, 64, 64), (5.0, 3.0, 3.0))
    files = dwi(truth, 1000)
    for dataset in files:
        dataset.compress(syntax, generate_instance_uid=False)
    write(tmp_path, files)
    np.testing.assert_array_equal(values(read_study(tmp_path).dwi), truth.array)


def test_packing_that_cannot_be_decoded_names_the_remedy(tmp_path: Path):
    files = dwi(block(), 1000)
    for dataset in files:
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2
    write(tmp_path, files)
    with pytest.raises(InputError, match=r"MPEG2.*cannot be decoded.*gdcmconv"):
        read_study(tmp_path)


def test_damaged_compressed_pixels(tmp_path: Path):
    files = dwi(block((8, 64, 64), (5.0, 3.0, 3.0)), 1000)
    for dataset in files:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    write(tmp_path, files)
    victim = tmp_path / "I00002"
    victim.write_bytes(victim.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cannot be decoded|cut short"):
        read_study(tmp_path)


def test_file_without_preamble_and_implicit_vr(tmp_path: Path):
    truth = block()
    for n, dataset in enumerate(dwi(truth, 1000)):
        del dataset.file_meta
        pydicom.dcmwrite(tmp_path / f"{n}", dataset, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(values(read_study(tmp_path).dwi), truth.array)


def test_foreign_files_and_directory_records_are_passed_over(tmp_path: Path):
    write(tmp_path / "a" / "b" / "c", dwi(block(), 1000))
    write(tmp_path / "a" / "other", t1(block()))
    (tmp_path / "readme.txt").write_text("text")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "liar.dcm").write_bytes(bytes(128) + b"DICM" + b"\x99" * 50)
    (tmp_path / "bare").write_bytes(b"\x08\x00" + b"\xff" * 30)
    record = Dataset()
    record.SOPClassUID, record.SOPInstanceUID = MediaStorageDirectoryStorage, uid("dicomdir")
    record.file_meta = pydicom.dataset.FileMetaDataset()
    record.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    record.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    record.file_meta.MediaStorageSOPInstanceUID = record.SOPInstanceUID
    record.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    study = read_study(tmp_path)
    assert study.dwi is not None
    assert study.t1 is not None
    assert study.notes == ("5 files were not DICOM and passed over",)


def test_damaged_headers_are_counted(tmp_path: Path):
    write(tmp_path, [*dwi(block(), 1000), *t1(block((9, 12, 14)))], seed=None)
    victim = tmp_path / "I00018"
    victim.write_bytes(victim.read_bytes().replace(b"UI", b"Dz"))
    study = read_study(tmp_path)
    assert study.notes == ("damaged DICOM files passed over: 1",)
    assert values(study.t1).shape[0] == 8


def test_any_damage_is_read_or_explained(tmp_path: Path):
    rng = np.random.default_rng(7)
    write(tmp_path, [*dwi(block((8, 12, 14)), 1000), *t1(block((8, 12, 14)))], seed=None)
    good = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    outcomes = set()
    for _ in range(25):
        touched = [list(good)[n] for n in rng.integers(len(good), size=3)]
        for path in touched:
            content = bytearray(good[path])
            for at in rng.integers(128, len(content) - 336, size=4):
                content[at] = rng.integers(256)
            path.write_bytes(content)
        try:
            outcomes.add(type(read_study(tmp_path)))
        except InputError as error:
            outcomes.add(type(error))
        for path in touched:
            path.write_bytes(good[path])
    assert len(outcomes) >= 3


def test_other_objects_get_a_row(tmp_path: Path):
    state = slices(block(), number=99, description="PS")[0]
    state.SOPClassUID, state.Modality = GrayscaleSoftcopyPresentationStateStorage, "PR"
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    colour = slices(block(), number=50, description="colour", SamplesPerPixel=3)
    write(tmp_path, [*dwi(block(), 1000), state, *colour, *ct(block())])
    table = rows(tmp_path)
    assert "Presentation State" in table[99].reason
    assert "colour picture" in table[50].reason
    assert table[2].reason == "not MR: 10 x CT Image Storage"
    assert table[5].taken_as == "dwi"


def test_implicit_private_tags_survive(tmp_path: Path):
    def siemens(dataset, k):
        dataset.Manufacturer = "SIEMENS"
        dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "800")
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    files = dwi(block(), None)
    for k, dataset in enumerate(files):
        siemens(dataset, k)
    write(tmp_path, files)
    assert read_study(tmp_path).dwi.b_value_s_per_mm2 == 800


# --- refusals ------------------------------------------------------------------------------


def test_no_dicom(tmp_path: Path):
    (tmp_path / "a.txt").write_text("x")
    for call in (inspect, read_study):
        with pytest.raises(InputError, match=r"no DICOM.*1 other and 0 damaged files.*--dwi"):
            call(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_study(tmp_path / "absent")
    with pytest.raises(InputError, match="NIfTI file is not a DICOM study"):
        (tmp_path / "a.nii.gz").write_bytes(b"")
        read_study(tmp_path / "a.nii.gz")


def test_wrong_modality(tmp_path: Path):
    write(tmp_path, ct(block()))
    with pytest.raises(InputError, match=r"no MR images.*10 objects of modality CT"):
        read_study(tmp_path)


def test_two_patients_are_refused_without_naming_them(tmp_path: Path):
    write(tmp_path / "a", dwi(block(), 1000))
    write(tmp_path / "b", t1(block(), patient="ANOTHER-1", study="second"))
    for call in (inspect, read_study):
        with pytest.raises(InputError, match=r"more than one patient .got 2 patients") as caught:
            call(tmp_path)
        assert PATIENT_ID not in str(caught.value)
        assert "ANOTHER" not in str(caught.value)


def test_two_studies_of_a_patient_are_refused(tmp_path: Path):
    write(tmp_path / "a", dwi(block(), 1000))
    write(tmp_path / "b", t1(block(), study="second"))
    with pytest.raises(InputError, match="more than one MR study"):
        read_study(tmp_path)


def test_diffusion_without_b_value(tmp_path: Path):
    write(tmp_path, [*dwi(block(), None), *t1(block())])
    with pytest.raises(SelectionError, match=r"no b-value.*--dwi-series none"):
        read_study(tmp_path)
    assert read_study(tmp_path, dwi_series="none").dwi is None
    assert read_study(tmp_path, dwi_series="5").dwi.b_value_s_per_mm2 is None


def test_nothing_serves(tmp_path: Path):
    write(tmp_path, [*dwi(block(), 50), *t1(block((5, 12, 14)))])
    with pytest.raises(SelectionError, match=r"No series serves.*b = 50.*only 5 slices"):
        read_study(tmp_path)
    assert {d.taken_as for d in inspect(tmp_path)} == {None}


def test_sequence_left_out_and_series_asked_for(tmp_path: Path):
    write(tmp_path, [*dwi(block(), 1000), *t1(block()), *t1(block(), number=9)])
    study = read_study(tmp_path, t1_series="8", dwi_series="none")
    assert study.dwi is None
    assert study.t1.label.startswith("series 8")
    with pytest.raises(SelectionError, match="matches more than one series"):
        read_study(tmp_path, t1_series="vibe")


# --- the patient ---------------------------------------------------------------------------


def test_key_is_stable_and_names_nobody(tmp_path: Path):
    write(tmp_path / "a", dwi(block(), 1000))
    write(tmp_path / "b", t1(block(seed=3)))
    write(tmp_path / "c", t1(block(), study="another"))
    keys = [read_study(tmp_path / name).patient_key for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
    study = read_study(tmp_path / "a")
    for secret in (PATIENT_ID, NAME, "SECRET", "4711", "19500101"):
        assert secret not in repr(
            (study.patient_key, study.decisions, study.notes, study.dwi.label)
        )


def test_other_body_part_and_moved_patient_are_noted(tmp_path: Path):
    head = dwi(block(), 1000, BodyPartExamined="HEAD")
    write(tmp_path, [*head, *t1(block(), FrameOfReferenceUID=uid("other frame"))])
    study = read_study(tmp_path)
    assert "the header names the body part HEAD" in study.dwi.notes
    assert any("different frames of reference" in note for note in study.notes)
    assert study.t1.notes == ()


def test_implausible_adc_is_left_out_with_a_note(tmp_path: Path):
    wild = block()
    wild = wild.with_array((wild.array.astype(np.uint32) * 100_000).astype(np.uint32))
    write(tmp_path, [*dwi(block(), 1000), *adc(wild)])
    study = read_study(tmp_path)
    assert study.adc is None
    assert any("fit no known unit" in note for note in study.notes)


def test_reading_is_quiet_about_odd_headers(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = dwi(block(), 1000, PatientAge="very old", SeriesDescription="x" * 80 + "diff")
        write(tmp_path, files)
    assert read_study(tmp_path).dwi is not None


def test_scan_counts(tmp_path: Path):
    write(tmp_path, [*dwi(block(), 1000), *t1(block())])
    found = scan(tmp_path)
    assert sorted(len(s.frames) for s in found.series) == [10, 10]
    assert len(found.identities) == len(found.studies) == 1


# --- NIfTI ---------------------------------------------------------------------------------


def test_nifti_study(tmp_path: Path):
    for n, name in enumerate(("dwi", "t1")):
        write_nifti(tmp_path / f"{name}.nii.gz", block(seed=n))
    write_nifti(tmp_path / "adc.nii.gz", block().with_array(np.full((10, 12, 14), 1.1, np.float32)))
    study = read_nifti_study(
        dwi=tmp_path / "dwi.nii.gz", t1=tmp_path / "t1.nii.gz", adc=tmp_path / "adc.nii.gz"
    )
    np.testing.assert_array_equal(values(study.dwi), block(seed=0).array)
    assert study.adc.volume.array.max() == pytest.approx(1100.0)
    assert [d.taken_as for d in study.decisions] == ["dwi", "t1", "adc"]
    assert study.notes == ()
    alone = read_nifti_study(t1=tmp_path / "t1.nii.gz")
    assert alone.notes == ("no high-b DWI: read on T1 alone",)
    assert alone.patient_key != study.patient_key
    with pytest.raises(InputError, match="No image was given"):
        read_nifti_study(adc=tmp_path / "adc.nii.gz")


@pytest.mark.parametrize(
    ("attributes", "taken"),
    [
        ({"description": "T1 W/O CONTRAST", "ContrastBolusAgent": "NO CONTRAST"}, True),
        ({"description": "T1 tra nativ", "ContrastBolusAgent": "NATIVE"}, True),
        ({"description": "T1 dynamic", "ContrastBolusAgent": "ohne KM"}, True),
        ({"description": "T1 造影なし", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, True),
        ({"description": "T1 造影後", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, False),
        ({"description": "T1 非增强", "SpecificCharacterSet": "GB18030"}, True),
        ({"description": "T1增强", "SpecificCharacterSet": "GB18030"}, False),
        ({"description": "T1 W/O CONTRAST", "ContrastBolusAgent": "Gadovist"}, False),
    ],
)
def test_an_agent_is_told_by_header_and_words(tmp_path: Path, attributes: dict, taken: bool):
    spin_echo = {"ScanningSequence": ["SE"], "RepetitionTime": 600.0, "EchoTime": 11.0}
    write(
        tmp_path,
        t1(block(), **{"ImageType": ["ORIGINAL", "PRIMARY", "M"], **spin_echo} | attributes),
    )
    (decision,) = inspect(tmp_path)
    assert decision.description == attributes["description"]
    assert decision.taken_as == ("t1" if taken else None), decision.reason
    if not taken:
        assert "contrast-enhanced" in decision.reason


@pytest.mark.parametrize(
    ("usage", "taken"),
    [
        ({"ContrastBolusAgentAdministered": "NO"}, True),
        ({"ContrastBolusAgentPhase": "PRE_CONTRAST"}, True),
        ({"ContrastBolusAgentAdministered": "YES"}, False),
        ({"ContrastBolusAgentPhase": "POST_CONTRAST"}, False),
    ],
)
def test_an_enhanced_object_says_of_each_frame_whether_an_agent_was_given(tmp_path, usage, taken):
    group = item(ContrastBolusAgentNumber=1, **usage)
    image = enhanced(
        [(block(), None)],
        description="T1 VIBE tra",
        ContrastBolusUsageSequence=group,
        MREchoSequence=item(EffectiveEchoTime=2.46),
        MRTimingAndRelatedParametersSequence=item(RepetitionTime=5.0, FlipAngle=10.0),
    )
    image.EchoPulseSequence = "GRADIENT"
    image.ContrastBolusAgentSequence = item(ContrastBolusAgentNumber=1)
    write(tmp_path, [image])
    (decision,) = inspect(tmp_path)
    assert decision.taken_as == ("t1" if taken else None), decision.reason
