"""Two readers of one result, and the third review in which their differences are settled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.review import Remarks, Verdict
from pelvimets.errors import InputError, ReviewConflictError, ReviewError
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Sequence
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.opening import export_case
from pelvimets.reading_room.readers import ReadAs, reader_key
from pelvimets.web.payload import study_payload
from tests.reading_room.test_desk import _cube

A, R = Verdict.ACCEPTED, Verdict.REJECTED
PUBIS = (10.0, -40.0, -30.0)


def desk_of(out: Path, reader: str | None = None, **options: bool) -> ReviewDesk:
    return ReviewDesk(out, ReadAs(reader, **options))


def read(out: Path, name: str, verdicts: tuple[Verdict, ...]) -> ReviewDesk:
    desk = desk_of(out, name)
    for number, verdict in enumerate(verdicts, start=1):
        desk.decide(number, verdict)
    return desk


def sign(desk: ReviewDesk, name: str) -> None:
    desk.remark(Remarks(reader=name))
    desk.sign()


@pytest.fixture
def two(out: Path) -> Path:
    """Ada and Bo agree on lesion 1, differ on 2, draw 3 differently; Bo adds one."""
    ada, bo = read(out, "Ada", (A, A, A)), read(out, "Bo", (A, R, A))
    bo.draw(3, Sequence.DWI, _cube(bo, Sequence.DWI, (-84.0, 2.0, -54.0)))
    bo.add(Sequence.DWI, _cube(bo, Sequence.DWI, PUBIS))
    sign(ada, "Ada")
    sign(bo, "Bo")
    return out


def test_a_name_becomes_a_folder() -> None:
    assert reader_key("Dr. Ada Müller") == "dr-ada-muller"
    assert reader_key("../../etc") == "etc"
    with pytest.raises(InputError, match="no letter"):
        reader_key("  ..  ")


def test_a_reader_sees_the_others_unless_blind(two: Path) -> None:
    open_eyes = study_payload(desk_of(two, "Ada"))
    assert open_eyes["role"] == "reader"
    assert open_eyes["lesions"][1]["readings"]["bo"]["verdict"] == "rejected"
    blind = study_payload(desk_of(two, "Ada", blind=True))
    assert all(lesion["readings"] == {} for lesion in blind["lesions"])
    new = study_payload(desk_of(two, "Cy"))
    assert new["reader_name"] == "Cy"
    assert [lesion["verdict"] for lesion in new["lesions"]] == ["pending"] * 3


def test_what_readers_say_alike_is_settled_and_the_rest_is_open(two: Path) -> None:
    desk = desk_of(two, settle=True)
    verdicts = [entry.verdict.value for entry in desk.review.lesions]
    assert verdicts == ["accepted", "pending", "pending", "pending"]
    assert [desk.differs(n) for n in (1, 2, 3, 4)] == [False, True, True, True]
    assert desk.opinions(4)["ada"].verdict == "absent"
    assert desk.opinions(3)["bo"].edited


def test_a_readers_word_and_shape_are_taken(two: Path) -> None:
    desk = desk_of(two, settle=True)
    desk.adopt(2, "bo")
    desk.adopt(3, "bo")
    desk.adopt(4, "ada")  # Ada has no such lesion
    assert [e.verdict.value for e in desk.review.lesions] == [
        *("accepted", "rejected", "accepted", "rejected")
    ]
    again = desk_of(two, settle=True)
    label = again.review.lesion(3).labels[Sequence.DWI]
    settled = read_nifti(two / "review" / "drawn" / "dwi_lesions.nii.gz").array == label
    bos = read_nifti(two / "readers" / "bo" / "review" / "dwi_lesions.nii.gz").array == label
    assert np.array_equal(settled, bos) and settled.any()
    sign(again, "Consensus of Ada and Bo")
    findings = json.loads((two / "findings.json").read_text())
    assert [lesion["number"] for lesion in findings["lesions"]] == [1, 3]
    with pytest.raises(ReviewError, match="no such reader"):
        again.adopt(1, "cy")


def test_all_three_reviews_flow_into_cohorts(two: Path, tmp_path: Path) -> None:
    desk = desk_of(two, settle=True)
    for number in (2, 3, 4):
        desk.adopt(number, "ada")
    sign(desk, "Both")
    lesions = {}
    for name in ("Ada", "Bo", None):
        case = export_case(two, tmp_path / str(name), name)
        lesions[name] = read_nifti(case / "dwi_lesions.nii.gz").array > 0
        assert (case / "t1_bones.nii.gz").is_file()
    assert np.array_equal(lesions["Ada"], lesions[None])
    assert not np.array_equal(lesions["Ada"], lesions["Bo"])


def test_nothing_is_settled_before_all_have_signed(two: Path) -> None:
    desk_of(two, "Bo").reopen()
    with pytest.raises(ReviewError, match="Not every reader has signed"):
        desk_of(two, settle=True)
    with pytest.raises(ReviewError, match="nothing to settle"):
        _alone(two)


def _alone(out: Path) -> ReviewDesk:
    for path in (out / "readers" / "bo").rglob("review.json"):
        path.unlink()
    return desk_of(out, settle=True)


def test_lesions_that_both_add_at_one_place_are_one(out: Path) -> None:
    for name in ("Ada", "Bo"):
        desk = read(out, name, (A, A, A))
        desk.add(Sequence.DWI, _cube(desk, Sequence.DWI, PUBIS))
        sign(desk, name)
    desk = desk_of(out, settle=True)
    assert [e.verdict for e in desk.review.lesions] == [A, A, A, A]
    assert not desk.differs(4)


def test_a_conflict_is_a_conflict_between_readers_windows_too(two: Path) -> None:
    first, second = desk_of(two, settle=True), desk_of(two, settle=True)
    first.adopt(2, "ada")
    with pytest.raises(ReviewConflictError):
        second.adopt(2, "bo")
