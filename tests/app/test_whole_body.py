"""A field from the thighs to the skull: the pelvis in it is read, and the report says so."""

import json
import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from pelvimets.app.predict import predict
from pelvimets.core.budget import Extent, estimate
from pelvimets.core.field import likeness, part_to_read, parts_to_read, search_windows
from pelvimets.core.geometry import Geometry
from pelvimets.core.pipeline import process_study
from pelvimets.core.study import Acquisition, SeriesRole, Study
from pelvimets.io.study import read_study
from pelvimets.labels import Bone, Sequence
from pelvimets.requests.predict import RunOptions, StudyInput
from tests.app.conftest import LESION_MM
from tests.app.whole_body import SHOULDERS, body, part, write_study
from tests.core.test_bones import pelvis


@pytest.fixture(scope="module")
def made():
    return body()


@pytest.fixture(scope="module")
def study(made, tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("body"), made)


def test_stations_become_the_whole_body(made, study):
    read = read_study(study)
    for acquisition in (read.dwi, read.t1):
        assert acquisition.volume.geometry.matches(made.image.geometry)
        np.testing.assert_array_equal(acquisition.volume.array, made.image.array)
        assert "4 stations joined to one volume" in acquisition.notes


def of(image) -> Study:
    return Study("p", dwi=Acquisition(image, SeriesRole.HIGH_B_DWI, "dwi"))


def test_the_pelvis_is_found_and_nothing_else_is_read(made):
    where = part_to_read(made.image, Sequence.DWI, made.segmenter)
    low, high = where.range_mm
    assert -150 < low < -70  # below the ischium
    assert 150 < high < 300  # above the iliac crest and L5
    result = process_study(of(made.image), made.segmenter)
    bones = result.bones.by_sequence[Sequence.DWI]
    assert bones.geometry.matches(made.image.geometry)
    inside = where.cut(bones).array
    np.testing.assert_array_equal(bones.array.sum(), inside.sum())
    assert set(np.unique(inside)) == {0, *Bone}
    (lesion,) = result.findings.lesions  # the one in the spine at z = 390 was not read
    assert lesion.seen_on[Sequence.DWI].centre_lps_mm == pytest.approx(LESION_MM, abs=4)
    assert result.findings.reliable


def test_the_part_is_read_as_a_pelvic_study_is(made):
    """The same voxels as a study of their own give the same masks and scores."""
    where = part_to_read(made.image, Sequence.DWI, made.segmenter)
    tall = process_study(of(made.image), made.segmenter)
    alone = process_study(of(where.cut(made.image)), made.segmenter)
    of_tall, of_alone = (r.lesions.by_sequence[Sequence.DWI] for r in (tall, alone))
    for tall_mask, mask in (
        (tall.bones[Sequence.DWI], alone.bones[Sequence.DWI]),
        (of_tall.mask, of_alone.mask),
        (of_tall.probability, of_alone.probability),
    ):
        np.testing.assert_array_equal(where.cut(tall_mask).array, mask.array)
    assert of_tall.scores == of_alone.scores
    assert tall.findings.patient_score == alone.findings.patient_score
    assert not alone.findings.partly_read


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("flip", [False, True])
def test_any_orientation_of_the_tall_image(made, order, flip):
    grid = made.image.geometry.reoriented(order, (flip, flip, False))
    array = made.image.array.transpose(order)
    array = array[::-1, ::-1] if flip else array
    where = part_to_read(replace(made.image, array=array, geometry=grid), Sequence.T1,
                         made.segmenter)  # fmt: skip
    straight = part_to_read(made.image, Sequence.T1, made.segmenter)
    assert where.range_mm == pytest.approx(straight.range_mm, abs=12.0)
    back = where.restored(where.cut(replace(made.image, array=array, geometry=grid)))
    assert back.array.shape == array.shape


def test_a_pelvic_field_is_read_whole(made):
    low, high = made.image.geometry.to_index([[0, 0, -150.0], [0, 0, 250.0]])[:, 0]
    images = {Sequence.DWI: part(made.image, round(low), round(high))}
    assert parts_to_read(images, made.segmenter) == {}


def test_a_tall_field_without_a_pelvis_makes_no_statement(made):
    low = round(made.image.geometry.to_index([0, 0, 240.0])[0])
    chest = part(made.image, low, made.image.array.shape[0])
    result = process_study(of(chest), made.segmenter)
    assert result.findings.partly_read and not result.findings.reliable


def test_the_search_counts_in_the_estimate(made):
    settings = made.segmenter.settings
    tall, count = made.image.geometry, len(search_windows(made.image.geometry, settings))
    low = round((made.image.array.shape[0] - 70) / 2)
    middle = part(made.image, low, low + 70).geometry  # 420 mm: read whole
    assert count == 9 and search_windows(middle, settings) == []
    point = Geometry.from_axes((1, 1, 1), (5.0, 5.0, 5.0))
    costs = [estimate(Extent((grid,)), settings) for grid in (point, middle, tall)]
    start, short, long = (cost.seconds for cost in costs)
    assert long - start > 3 * (short - start)
    assert costs[2].memory_mib < 2 * costs[1].memory_mib


def test_shoulders_are_no_hips(made):
    """What is round and lies beside a spine is less like a pelvis than a pelvis."""
    upper = round(made.bones.geometry.to_index([0, 0, SHOULDERS[0][2] - 140])[0])
    chest = part(made.bones, upper, upper + 46)
    assert likeness(pelvis(), Sequence.DWI) > 0.6
    assert likeness(chest, Sequence.DWI) < 0.2


def test_the_report_says_which_part_was_read(made, study, tmp_path):
    summary = predict(
        StudyInput(path=study), tmp_path / "out", RunOptions(dicom=True), segmenter=made.segmenter
    )
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())
    wording = findings["m1_suspicion"]["wording"]
    assert wording == "suspicious for M1b in the part of the scanned field that was read"
    notes = [flag for flag in findings["flags"] if flag["code"] == "field-read"]
    assert {flag["sequence"] for flag in notes} == {"dwi", "t1"}
    assert re.search(r"Only a part of the field was read.*of 1080 mm", notes[0]["message"])
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Only a part of the field was read, around the pelvis" in report
    assert "Bones outside the part of the field that was read were not seen" in report
    assert "4 stations joined to one volume" in report
    assert summary.findings.partly_read and summary.findings.reliable
    mask = nibabel.load(tmp_path / "out" / "dwi_bones.nii.gz")
    assert mask.shape == made.image.array.shape[::-1]
    written = dcmread(tmp_path / "out" / "dicom" / "dwi_seg.dcm")
    assert len({s.SeriesInstanceUID for s in written.ReferencedSeriesSequence}) == 4
    report = dcmread(tmp_path / "out" / "dicom" / "sr.dcm")
    texts = [str(e.value) for e in report.iterall() if e.keyword == "TextValue"]
    assert sum("Only a part of the field was read" in text for text in texts) == 2


def test_dwi_alone_may_be_tall(made):
    """A pelvic T1 beside a whole-body DWI: each is read in its own field."""
    low, high = made.image.geometry.to_index([[0, 0, -120.0], [0, 0, 200.0]])[:, 0]
    small = part(made.image, round(low), round(high))
    both = replace(of(made.image), t1=Acquisition(small, SeriesRole.T1_IN_PHASE, "t1"))
    result = process_study(both, made.segmenter)
    assert set(result.bones.read_mm) == {Sequence.DWI}
    assert result.findings.lesions[0].sequences == (Sequence.DWI, Sequence.T1)
    assert isinstance(result.bones.by_sequence[Sequence.T1].geometry, Geometry)
    assert result.findings.reliable
