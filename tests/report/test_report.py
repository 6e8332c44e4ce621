"""Findings as data, and the report as one offline file."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from pelvimets.core.findings import (
    BonePart,
    Burden,
    Findings,
    FlagLevel,
    Lesion,
    QualityFlag,
    SequenceFindings,
    SequenceLesion,
)
from pelvimets.core.geometry import Geometry
from pelvimets.core.study import Acquisition, SeriesDecision, SeriesRole, Study
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.labels import LESION_COLOUR, Bone, Sequence, Side
from pelvimets.report.content import Provenance, Reviewed, report_content
from pelvimets.report.data import (
    findings_from_dict,
    findings_schema,
    findings_to_dict,
    lesions_csv,
    suspicion_wording,
)
from pelvimets.report.html import render_html
from pelvimets.report.overview import overviews
from pelvimets.report.pictures import Scan, lesion_planes
from tests.core.test_lesions import measured, study_masks

unit = st.floats(0, 1)
size = st.floats(0.2, 300)
part = st.builds(BonePart, st.sampled_from(Bone), st.sampled_from(Side))
seen = st.builds(
    SequenceLesion,
    st.integers(1, 99),
    size,
    size,
    st.tuples(*[st.floats(-300, 300)] * 3),
    unit,
    unit,
)
lesion = st.builds(
    Lesion,
    st.integers(1, 99),
    st.from_regex(r"\A2\.25\.[1-9][0-9]{5,30}\Z"),
    part,
    st.dictionaries(st.sampled_from(Sequence), seen, min_size=1),
    st.none() | size,
    st.none() | size,
)


@st.composite
def any_findings(draw):
    sequences = {
        s: SequenceFindings(
            s,
            tuple(draw(st.lists(seen, max_size=3))),
            draw(st.floats(0, 300)),
            (Burden(draw(part), draw(size), 0.1, draw(st.integers(0, 5))),),
            draw(unit),
            draw(st.booleans()),
        )
        for s in draw(st.sets(st.sampled_from(Sequence), min_size=1))
    }
    flags = draw(
        st.lists(
            st.builds(
                QualityFlag,
                st.sampled_from(FlagLevel),
                st.text(max_size=9),
                st.text(max_size=30),
                st.none() | st.sampled_from(Sequence),
            ),
            max_size=2,
        )
    )
    return Findings(
        "p1",
        "bundle 1",
        tuple(draw(st.lists(lesion, max_size=3))),
        sequences,
        draw(unit),
        any(f.m1_suspected for f in sequences.values()),
        tuple(flags),
    )


@settings(max_examples=40, deadline=None)
@given(any_findings())
def test_findings_survive_the_way_through_json_and_fit_the_schema(findings):
    data = findings_to_dict(findings)
    assert findings_from_dict(data) == findings


def test_the_schema_is_a_valid_schema():
    Draft202012Validator.check_schema(findings_schema())


def test_damaged_findings_are_refused_with_the_place():
    data = findings_to_dict(measured(*study_masks([((75, 10, 60), 14, 0.9)], [])))
    data["lesions"][0]["bone"] = "skull"
    with pytest.raises(InputError, match=r"lesions\[0\]\.bone"):
        findings_from_dict(data)


@pytest.fixture(scope="module")
def content():
    dwi_ball = ((75, 10, 60), 14, 0.9)
    bones, lesions = study_masks([dwi_ball], [dwi_ball, ((0, 60, 50), 12, 0.8)])
    findings = measured(bones, lesions)

    def acquisition(sequence, role):
        mask = bones.by_sequence[sequence]
        image = np.random.default_rng(0).normal(100, 10, mask.array.shape) + 20 * mask.array
        return Acquisition(mask.with_array(image.astype(np.float32)), role, "5 <b>dwi</b>")

    study = Study(
        "study-1",
        dwi=acquisition(Sequence.DWI, SeriesRole.HIGH_B_DWI),
        t1=acquisition(Sequence.T1, SeriesRole.T1_IN_PHASE),
        decisions=(SeriesDecision(5, "ep2d", 57, SeriesRole.HIGH_B_DWI, "DWI", "nearest b"),),
    )
    return report_content(study, bones, lesions, findings, Provenance("0.1", "first", "today"))


def test_the_report_opens_offline_and_escapes_what_it_prints(content):
    html = render_html(content)
    HTMLParser().feed(html)
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", html)
    assert "url(" not in html and "<script" not in html
    assert "5 &lt;b&gt;dwi&lt;/b&gt;" in html and "<b>dwi</b>" not in html


def test_the_report_never_says_m0_and_always_says_research(content):
    html = render_html(content)
    assert "Research use only" in html
    assert "Suspicious for M1b in the scanned field" in html
    assert not re.search(r"\bM0\b", html)


def test_each_lesion_is_shown_in_three_planes_on_each_sequence(content):
    for card in content.cards:
        captions = [picture.caption for picture in card.pictures]
        for view in ("axial", "coronal", "sagittal"):
            assert sum(caption.endswith(view) for caption in captions) == 2, captions
        for picture in card.pictures:
            pixels = np.asarray(Image.open(BytesIO(picture.png)).convert("RGB"))
            outlined = (pixels == LESION_COLOUR).all(axis=-1).sum() > 20
            assert outlined == ("not found" not in picture.caption), picture.caption


def test_a_lesion_carries_its_number_in_the_pictures():
    ball = ((75, 10, 60), 14, 0.9)
    bones, lesions = study_masks([ball], [])
    image = bones.by_sequence[Sequence.DWI]
    image = image.with_array(np.full(image.array.shape, 50, np.float32))
    scan = Scan("DWI", image, bones[Sequence.DWI], lesions[Sequence.DWI])

    def pixels(numbers):
        shown = lesion_planes(replace(scan, numbers=numbers), (75.0, 10.0, 60.0), "DWI")
        return [np.asarray(Image.open(BytesIO(p.png)).convert("RGB")).astype(int) for p in shown]

    for bare, one, two in zip(pixels({}), pixels({1: 1}), pixels({1: 2}), strict=True):
        assert (bare != one).any() and (one != two).any()
        changed = np.argwhere((bare != one).any(axis=-1))
        assert np.ptp(changed, axis=0).max() < 25  # a number beside the lesion, nothing else


def test_bones_that_touch_leave_no_crack_between_them():
    grid = Geometry.from_axes((20, 30, 30), (6.0, 4.0, 4.0))
    array = np.zeros(grid.shape, np.uint8)
    array[4:16, 8:22, 4:15], array[4:16, 8:22, 15:26] = 2, 3
    scan = Scan(
        "DWI", Volume(array.astype(np.float32), grid), Volume(array, grid), Volume(0 * array, grid)
    )
    front = next(p for p in overviews({Sequence.DWI: scan}) if p.caption == "Bones, coronal")
    pixels = np.asarray(Image.open(BytesIO(front.png)).convert("RGB"))
    height, width = pixels.shape[:2]
    middle = pixels[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4]
    assert (middle.max(axis=-1) > 60).all()


def test_a_t1_is_in_phase_only_where_it_is(content):
    assert any(
        "T1 in phase" in picture.caption for card in content.cards for picture in card.pictures
    )
    ball = ((75, 10, 60), 14, 0.9)
    bones, lesions = study_masks([], [ball])
    mask = bones.by_sequence[Sequence.T1]
    image = mask.with_array(mask.array.astype(np.float32))
    flag = QualityFlag(FlagLevel.NOTE, "cut-off", "Cut off", Sequence.T1)
    findings = replace(measured(bones, lesions), flags=(flag,))
    study = Study("study-2", t1=Acquisition(image, SeriesRole.T1_LIKE, "series 3 't1_tse'"))
    printed = render_html(
        report_content(study, bones, lesions, findings, Provenance("0.1", "b", "t"))
    )
    shown = printed.replace("T1 in phase</dt><dd>not available", "")
    assert "in phase" not in shown
    assert "T1: Cut off" in shown


def test_reader_remark_and_time_stand_under_the_statement(content):
    when, tally = "2026-03-01 08:05 (UTC+01:00)", "of 1 finding of the model 1 accepted"
    words = Reviewed("Dr. <Ada>", when, True, "second look", {1: "old"}, tally)
    study = Study("study-3", t1=None, dwi=None)
    bones, lesions = study_masks([((75, 10, 60), 14, 0.9)], [])
    findings = measured(bones, lesions)
    made = report_content(study, bones, lesions, findings, Provenance("0.1", "b", "t", words))
    page = render_html(made)
    assert (
        "by Dr. &lt;Ada&gt;, signed 2026-03-01 08:05 (UTC+01:00); Structured Report verified"
        in page
    )
    assert f"<dt>Verdicts</dt><dd>{tally}</dd>" in page
    assert "second look" in page and made.cards[0].note == "old"


def test_a_left_sided_lesion_is_on_the_right_of_the_coronal_picture(content):
    coronal = next(p for p in content.overviews if p.caption == "Bones, coronal")
    pixels = np.asarray(Image.open(BytesIO(coronal.png)).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 90) & (pixels[..., 2] < 60)
    assert np.argwhere(red)[:, 1].mean() > pixels.shape[1] / 2
    assert np.argwhere(red)[:, 0].mean() < pixels.shape[0] / 2  # the ilium is above the middle


def test_a_doubtful_result_makes_no_statement_in_either_direction():
    masks = study_masks([((75, 10, 60), 14, 0.9)], [])
    findings = measured(*masks)
    doubtful = Findings(
        **{
            **{f: getattr(findings, f) for f in findings.__dataclass_fields__},
            "flags": (QualityFlag(FlagLevel.REVIEW, "no-pelvis", "not a pelvis"),),
        }
    )
    assert "M1b" not in suspicion_wording(doubtful)
    assert findings_to_dict(doubtful)["m1_suspicion"]["suspected"] is None


def test_a_listed_lesion_without_suspicion_is_not_denied_by_the_statement():
    found = replace(measured(*study_masks([((75, 10, 60), 14, 0.9)], [])), m1_suspected=False)
    assert len(found.lesions) == 1
    assert suspicion_wording(found) == (
        "not suspicious for M1b in the scanned field: the lesion listed is too uncertain"
    )
    none = measured(*study_masks([], []))
    assert suspicion_wording(none) == "no lesion suspicious for M1b found in the scanned field"


def test_the_lesion_list_as_csv_has_a_row_per_lesion():
    findings = measured(*study_masks([((75, 10, 60), 14, 0.9)], []))
    header, row = lesions_csv(findings).splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["bone"], cells["side"], cells["seen_on"]) == ("ilium", "left", "dwi")
    assert cells["adc_mean_um2_per_s"] == "" and float(cells["volume_cm3"]) > 5
