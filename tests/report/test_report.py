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
from pelvimets.core.study import Acquisition, SeriesDecision, SeriesRole, Study
from pelvimets.errors import InputError
from pelvimets.labels import LESION_COLOUR, Bone, Sequence, Side
from pelvimets.report.content import Provenance, report_content
from pelvimets.report.data import (
    findings_from_dict,
    findings_schema,
    findings_to_dict,
    lesions_csv,
    suspicion_wording,
)
from pelvimets.report.html import render_html
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


def test_each_lesion_has_a_picture_per_sequence_that_shows_it(content):
    assert [len(card.pictures) for card in content.cards] == [2, 2]
    for card in content.cards:
        shown = [p for p in card.pictures if "not found" not in p.caption]
        for picture in shown:
            pixels = np.asarray(Image.open(BytesIO(picture.png)).convert("RGB"))
            assert (pixels == LESION_COLOUR).all(axis=-1).sum() > 20


def test_a_left_sided_lesion_is_on_the_right_of_the_coronal_picture(content):
    coronal = next(p for p in content.overviews if p.caption.startswith("DWI, coronal, proj"))
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
