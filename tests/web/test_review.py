"""The pure steps of a review and what they make of findings and masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.core import review as steps
from pelvimets.core.geometry import Geometry
from pelvimets.core.review import LesionReview, Origin, Review, Verdict
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, ReviewError
from pelvimets.io.record.review import ReviewFolder, read_review, write_review
from pelvimets.io.record.review_data import review_from_dict, review_to_dict
from pelvimets.labels import Sequence

NOW = "2026-03-01T08:00:00.000+00:00"
LATER = "2026-03-01T09:00:00.000+00:00"
GRID = Geometry.from_axes((2, 4, 5), (4.0, 2.0, 2.0))


def _entry(number: int, label: int, verdict: Verdict = Verdict.PENDING) -> LesionReview:
    return LesionReview(number, f"2.25.{number}", Origin.MODEL, {Sequence.DWI: label}, verdict)


def _review(*entries: LesionReview) -> Review:
    return Review("a" * 64, NOW, NOW, entries)


def _drawn(**labels: int) -> dict[Sequence, Volume]:
    """A map in which column n of the first slice holds the given label: ``c0=1, c2=2``."""
    array = np.zeros(GRID.shape, np.uint16)
    for column, label in labels.items():
        array[0, :, int(column[1:])] = label
    return {Sequence.DWI: Volume(array, GRID)}


def _column(column: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[0, :, column] = True
    return mask


def test_a_verdict_leaves_the_note_and_a_note_leaves_the_verdict() -> None:
    review = steps.decide(_review(_entry(1, 1)), 1, LATER, verdict=Verdict.ACCEPTED)
    review = steps.decide(review, 1, LATER, note="sclerotic")
    assert (review.lesion(1).verdict, review.lesion(1).note) == (Verdict.ACCEPTED, "sclerotic")
    assert review.changed == LATER


def test_rejected_lesions_leave_the_corrected_masks_but_not_the_drawn_ones() -> None:
    drawn = _drawn(c0=1, c2=2)
    review = _review(_entry(1, 1, Verdict.REJECTED), _entry(2, 2))
    corrected = steps.corrected_masks(review, drawn)[Sequence.DWI].array
    assert set(np.unique(corrected)) == {0, 2}
    assert set(np.unique(drawn[Sequence.DWI].array)) == {0, 1, 2}


def test_drawing_moves_a_lesion_and_wins_over_another() -> None:
    drawing = steps.draw(
        _review(_entry(1, 1), _entry(2, 2)),
        _drawn(c0=1, c2=2, c3=2),
        1,
        Sequence.DWI,
        _column(2),
        LATER,
    )
    array = drawing.drawn[Sequence.DWI].array
    assert array[0, 0].tolist() == [0, 0, 1, 2, 0]
    assert drawing.review.lesion(1).edited == (Sequence.DWI,)


def test_a_drawing_that_swallows_another_lesion_is_refused() -> None:
    review, drawn = _review(_entry(1, 1), _entry(2, 2)), _drawn(c0=1, c2=2)
    with pytest.raises(ReviewError, match="lesion 2"):
        steps.draw(review, drawn, 1, Sequence.DWI, _column(2), LATER)
    rejected = steps.decide(review, 2, LATER, verdict=Verdict.REJECTED)
    assert steps.draw(rejected, drawn, 1, Sequence.DWI, _column(2), LATER)


def test_an_empty_or_misfit_drawing_is_refused() -> None:
    review, drawn = _review(_entry(1, 1)), _drawn(c0=1)
    with pytest.raises(ReviewError, match="Nothing of the lesion"):
        steps.draw(review, drawn, 1, Sequence.DWI, np.zeros(GRID.shape, bool), LATER)
    with pytest.raises(ReviewError, match="does not fit"):
        steps.draw(review, drawn, 1, Sequence.DWI, np.ones((1, 1, 1), bool), LATER)
    with pytest.raises(ReviewError, match="no such sequence"):
        steps.draw(review, drawn, 1, Sequence.T1, _column(1), LATER)


def test_a_readers_lesion_gets_a_new_number_and_label_and_can_go_again() -> None:
    review, drawn = _review(_entry(4, 9)), _drawn(c0=9)
    added = steps.add_lesion(review, drawn, Sequence.DWI, _column(3), LATER, "2.25.77")
    entry = added.review.lesion(5)
    assert (entry.origin, entry.verdict, entry.labels) == (
        Origin.READER,
        Verdict.ACCEPTED,
        {Sequence.DWI: 10},
    )
    gone = steps.remove_added(added.review, added.drawn, 5, LATER)
    assert [e.number for e in gone.review.lesions] == [4]
    assert np.array_equal(gone.drawn[Sequence.DWI].array, drawn[Sequence.DWI].array)
    with pytest.raises(ReviewError, match="Reject it instead"):
        steps.remove_added(gone.review, gone.drawn, 4, LATER)


def test_signing_needs_every_verdict_and_a_name_and_closes_the_review() -> None:
    review = _review(_entry(1, 1), _entry(2, 2, Verdict.REJECTED))
    with pytest.raises(ReviewError, match="needs a name"):
        steps.sign(review, LATER)
    named = steps.remark(review, LATER, steps.Remarks(reader="  Dr. Ada "))
    with pytest.raises(ReviewError, match="pending: 1"):
        steps.sign(named, LATER)
    signed = steps.sign(steps.decide(named, 1, LATER, verdict=Verdict.ACCEPTED), LATER)
    assert (signed.signed, signed.reader) == (LATER, "Dr. Ada")
    for change in (
        lambda: steps.decide(signed, 1, LATER, note="late"),
        lambda: steps.remark(signed, LATER, steps.Remarks(comment="late")),
        lambda: steps.sign(signed, LATER),
        lambda: steps.draw(signed, _drawn(c0=1), 1, Sequence.DWI, _column(1), LATER),
        lambda: steps.add_lesion(signed, _drawn(c0=1), Sequence.DWI, _column(1), LATER, "2.25.1"),
    ):
        with pytest.raises(ReviewError, match="signed"):
            change()
    assert steps.decide(steps.reopen(signed, LATER), 1, LATER, note="now").signed is None


_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
_entries = st.builds(
    LesionReview,
    number=st.integers(1, 900),
    tracking_uid=st.just("2.25.4711"),
    origin=st.sampled_from(Origin),
    labels=st.dictionaries(st.sampled_from(Sequence), st.integers(1, 65535)),
    verdict=st.sampled_from(Verdict),
    note=_texts,
    edited=st.sampled_from([(), (Sequence.DWI,), (Sequence.DWI, Sequence.T1)]),
)
_reviews = st.builds(
    Review,
    findings_sha256=st.just("0" * 64),
    started=st.just(NOW),
    changed=st.just(LATER),
    lesions=st.lists(_entries, max_size=4).map(tuple),
    reader=_texts,
    comment=_texts,
    signed=st.sampled_from([None, LATER]),
)


@given(_reviews)
@settings(max_examples=40, deadline=None)
def test_every_review_survives_its_plain_data(review: Review) -> None:
    assert review_from_dict(review_to_dict(review)) == review


def test_a_review_is_written_and_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    folder = ReviewFolder(tmp_path)
    assert read_review(folder) is None
    review = replace(_review(_entry(1, 1)), reader="Åsa")
    write_review(folder, review)
    assert read_review(folder) == review
    assert [p.name for p in tmp_path.iterdir()] == ["review.json"]
    text = folder.review.read_text(encoding="utf-8")
    folder.review.write_text(text.replace('"pending"', '"perhaps"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"perhaps.*lesions"):
        read_review(folder)
    folder.review.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        read_review(folder)
