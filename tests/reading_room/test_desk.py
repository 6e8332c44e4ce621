"""What a reader's steps leave in the output folder."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pelvimets.core.corrected import ReviewedStudy
from pelvimets.core.review import Remarks, Verdict
from pelvimets.errors import InputError, ReviewConflictError, ReviewError
from pelvimets.io.cohort.folder import read_case, read_cohort
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Bone, Sequence, Side
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.opening import export_case
from pelvimets.reading_room.readers import ReadAs
from pelvimets.report.data import findings_from_dict
from tests.web.conftest import Ticking


def _labels(path: Path) -> set[int]:
    return set(np.unique(np.asarray(nib.load(path).dataobj)).tolist()) - {0}


def _cube(desk: ReviewDesk, sequence: Sequence, lps: tuple[float, float, float]) -> bytes:
    """Voxels within 8 mm of a point."""
    grid = desk.geometry(sequence)
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (np.abs(points - lps).max(axis=-1) <= 8).astype(np.uint8).tobytes()


def _judge_all(desk: ReviewDesk, rejected: int = 3) -> None:
    for lesion in desk.lesions:
        verdict = Verdict.REJECTED if lesion.number == rejected else Verdict.ACCEPTED
        desk.decide(lesion.number, verdict)


def test_an_untouched_study_is_shown_as_it_was_found(desk: ReviewDesk, out: Path) -> None:
    assert desk.lesions == desk.findings.lesions
    assert not (out / "review.json").exists()
    assert desk.outputs_current


def test_a_rejection_is_saved_and_found_again(desk: ReviewDesk, out: Path) -> None:
    desk.decide(3, Verdict.REJECTED, "vessel")
    again = ReviewDesk(out)
    assert again.review == desk.review
    assert again.review.lesion(3).note == "vessel"
    assert _labels(out / "review" / "dwi_lesions.nii.gz") == {1, 2}
    assert _labels(out / "review" / "drawn" / "dwi_lesions.nii.gz") == {1, 2, 3}
    assert _labels(out / "dwi_lesions.nii.gz") == {1, 2, 3}


def test_a_new_shape_is_measured_on_its_own_grid(desk: ReviewDesk, out: Path) -> None:
    before = {lesion.number: lesion for lesion in desk.lesions}
    desk.draw(3, Sequence.T1, _cube(desk, Sequence.T1, (-84.0, 2.0, -54.0)))
    lesion = next(item for item in desk.lesions if item.number == 3)
    assert lesion.sequences == (Sequence.DWI, Sequence.T1)
    on_t1 = lesion.seen_on[Sequence.T1]
    voxel = desk.geometry(Sequence.T1).voxel_volume_mm3 / 1000
    mask = np.asarray(nib.load(out / "review" / "t1_lesions.nii.gz").dataobj) == on_t1.label
    assert on_t1.volume_cm3 == pytest.approx(mask.sum() * voxel)
    assert np.allclose(on_t1.centre_lps_mm, (-84.0, 2.0, -54.0), atol=2.5)
    assert lesion.seen_on[Sequence.DWI] == before[3].seen_on[Sequence.DWI]
    assert desk.review.lesion(3).edited == (Sequence.T1,)


def test_a_drawn_map_lies_on_the_image_for_another_reader(desk: ReviewDesk, out: Path) -> None:
    desk.draw(1, Sequence.T1, _cube(desk, Sequence.T1, (70.0, 12.0, 40.0)))
    image, mask = (
        nib.load(out / name) for name in ("images/t1.nii.gz", "review/t1_lesions.nii.gz")
    )
    assert np.allclose(image.affine, mask.affine, atol=1e-4)
    where = np.argwhere(np.asarray(mask.dataobj) == 1)
    centre_ras = nib.affines.apply_affine(mask.affine, where).mean(axis=0)
    assert np.allclose(centre_ras, (-70.0, -12.0, 40.0), atol=2.5)


def test_first_shape_comes_back(desk: ReviewDesk, out: Path) -> None:
    desk.draw(1, Sequence.DWI, _cube(desk, Sequence.DWI, (70.0, 12.0, 40.0)))
    desk.draw(3, Sequence.T1, _cube(desk, Sequence.T1, (-84.0, 2.0, -54.0)))
    desk.restore(1)
    desk.restore(3)
    assert desk.lesions == desk.findings.lesions
    assert desk.review.lesion(3).edited == ()
    for name in ("dwi_lesions.nii.gz", "t1_lesions.nii.gz"):
        first, last = (read_nifti(p) for p in (out / name, out / "review" / name))
        assert np.array_equal(first.array, last.array)


def test_an_added_lesion_is_placed_in_its_bone(desk: ReviewDesk) -> None:
    number = desk.add(Sequence.DWI, _cube(desk, Sequence.DWI, (-70.0, 12.0, 20.0)))
    lesion = next(item for item in desk.lesions if item.number == number)
    assert (number, lesion.part.bone, lesion.part.side) == (4, Bone.ILIUM, Side.RIGHT)
    assert lesion.score == 1.0
    assert lesion.adc_mean_um2_per_s == pytest.approx(1400)
    desk.remove(number)
    assert desk.lesions == desk.findings.lesions


def test_a_refused_step_changes_nothing(desk: ReviewDesk, out: Path) -> None:
    desk.decide(1, Verdict.ACCEPTED)
    text = (out / "review.json").read_text()
    lesions = desk.lesions
    nothing = bytes(desk.geometry(Sequence.DWI).n_voxels)
    with pytest.raises(ReviewError, match="Nothing of the lesion"):
        desk.draw(3, Sequence.DWI, nothing)
    with pytest.raises(ReviewError, match="does not fit"):
        desk.draw(3, Sequence.DWI, nothing[1:])
    with pytest.raises(ReviewError, match="no such lesion"):
        desk.decide(17, Verdict.ACCEPTED)
    assert (out / "review.json").read_text() == text
    assert desk.lesions == lesions


def test_signing_carries_the_review_into_the_outputs(out: Path) -> None:
    seen: list[ReviewedStudy] = []
    desk = ReviewDesk(out, regenerate=lambda _, study: seen.append(study), clock=Ticking())
    _judge_all(desk)
    desk.remark(Remarks(reader="Dr. Ada", comment="second reading"))
    assert not desk.outputs_current
    desk.sign()
    assert desk.outputs_current
    data = json.loads((out / "findings.json").read_text())
    assert [lesion.number for lesion in findings_from_dict(data).lesions] == [1, 2]
    assert data["review"]["reader"] == "Dr. Ada"
    assert data["review"]["lesions"] == {
        "pending": 0,
        "accepted": 2,
        "rejected": 1,
        "edited": 0,
        "added": 0,
    }
    assert (out / "lesions.csv").read_text().count("\n") == 3
    assert [lesion.number for lesion in seen[0].findings.lesions] == [1, 2]
    assert _labels(out / "review" / "dwi_lesions.nii.gz") == {1, 2}


def test_a_review_always_starts_from_the_model(out: Path) -> None:
    desk = ReviewDesk(out, clock=Ticking())
    model = (out / "findings.json").read_bytes()
    desk.decide(1, Verdict.REJECTED)
    desk.update_outputs()
    assert len(json.loads((out / "findings.json").read_text())["lesions"]) == 2
    again = ReviewDesk(out, clock=Ticking())
    assert len(again.findings.lesions) == 3
    again.decide(1, Verdict.PENDING)
    again.update_outputs()
    restored = json.loads((out / "findings.json").read_text())
    assert restored.pop("review")["lesions"]["pending"] == 3
    assert restored == json.loads(model)


def test_suspicion_follows_the_reader(out: Path) -> None:
    desk = ReviewDesk(out, clock=Ticking())
    for lesion in desk.lesions:
        desk.decide(lesion.number, Verdict.REJECTED)
    desk.update_outputs()
    assert json.loads((out / "findings.json").read_text())["m1_suspicion"]["suspected"] is False
    desk.add(Sequence.T1, _cube(desk, Sequence.T1, (-70.0, 12.0, 20.0)))
    desk.update_outputs()
    data = json.loads((out / "findings.json").read_text())
    assert data["m1_suspicion"]["suspected"] is True
    assert data["sequences"]["dwi"]["m1_suspected"] is False


def test_a_signed_review_becomes_a_case_to_train_on(out: Path, tmp_path: Path) -> None:
    desk = ReviewDesk(out, clock=Ticking())
    cohort = tmp_path / "cohort"
    with pytest.raises(ReviewError, match="not signed"):
        export_case(out, cohort)
    _judge_all(desk)
    desk.remark(Remarks(reader="Dr. Ada"))
    desk.sign()
    export_case(out, cohort)
    (patient,) = read_cohort(cohort).patients
    assert (patient.key, patient.m_stage) == ("patient-0042", "M1")
    case = read_case(patient, Sequence.DWI)
    assert case.lesions is not None
    assert case.bones is not None
    assert set(np.unique(case.lesions.array)) == {0, 1, 2}
    with pytest.raises(InputError, match="in the cohort already"):
        export_case(out, cohort)
    names = {p.name for p in (out / "review").glob("*.nii.gz")}
    parts = {f"{s}{kind}.nii.gz" for s in ("dwi", "t1") for kind in ("", "_bones", "_lesions")}
    assert names == {*parts, "adc.nii.gz"}


def test_what_is_no_output_of_a_run_is_refused(tmp_path: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"findings\.json is missing"):
        ReviewDesk(tmp_path)
    (out / "images" / "t1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"no image to show.*t1\.nii\.gz"):
        ReviewDesk(out)


def test_a_review_of_other_findings_is_refused(desk: ReviewDesk, out: Path) -> None:
    desk.decide(1, Verdict.ACCEPTED)
    kept = out / "review" / "findings_of_model.json"
    kept.write_text(kept.read_text() + "\n")
    with pytest.raises(InputError, match="of other findings"):
        ReviewDesk(out)


def test_a_signed_review_is_not_lost_to_a_viewer_with_an_older_state(
    desk: ReviewDesk, out: Path
) -> None:
    older = ReviewDesk(out, clock=Ticking())
    _judge_all(desk)
    desk.remark(Remarks(reader="Dr. Ada"))
    desk.sign()
    kept = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for step in (
        lambda: older.decide(1, Verdict.REJECTED),
        lambda: older.draw(1, Sequence.T1, _cube(older, Sequence.T1, (70.0, 12.0, 40.0))),
        lambda: older.remark(Remarks(reader="Dr. Bo")),
        older.update_outputs,
    ):
        with pytest.raises(ReviewConflictError, match="changed elsewhere"):
            step()
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == kept
    older.refresh()
    assert older.review == desk.review and older.review.signed
    assert older.lesions == desk.lesions
    older.reopen()
    with pytest.raises(ReviewConflictError):
        desk.reopen()


def test_a_viewer_of_a_result_that_was_made_anew_saves_nothing(desk: ReviewDesk, out: Path) -> None:
    findings = out / "findings.json"
    findings.write_text(findings.read_text().replace("patient-0042", "patient-0043"))
    with pytest.raises(ReviewConflictError):
        desk.decide(1, Verdict.ACCEPTED)
    assert not (out / "review.json").exists()
    desk.refresh()
    assert desk.findings.patient_key == "patient-0043"


def test_two_viewers_save_one_after_the_other(desk: ReviewDesk, out: Path) -> None:
    """Whoever comes second at the very same time meets a conflict, not half of each."""
    desks = [ReviewDesk(out) for _ in range(4)]
    outcomes: list[bool] = []

    def decide(mine: ReviewDesk) -> None:
        try:
            mine.decide(1, Verdict.ACCEPTED, note="seen")
            outcomes.append(True)
        except ReviewConflictError:
            outcomes.append(False)

    threads = [threading.Thread(target=decide, args=(mine,)) for mine in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]


def test_a_bone_is_drawn_anew_measured_and_taken_back(desk: ReviewDesk, out: Path) -> None:
    grid = desk.geometry(Sequence.DWI)
    first = read_nifti(out / "dwi_bones.nii.gz").array
    kept = (first == Bone.ILIUM) & (
        grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0] < 0
    )
    desk.draw_bone(Bone.ILIUM, Sequence.DWI, kept.astype(np.uint8).tobytes())
    again = ReviewDesk(out)
    assert again.review.bones == {Sequence.DWI: (Bone.ILIUM,)}
    assert gzip.decompress(again.image_bytes("dwi_bones")) != gzip.decompress(
        again.image_bytes("t1_bones")
    )
    ilium = next(lesion for lesion in again.lesions if lesion.number == 1)
    assert ilium.part.bone is not Bone.ILIUM  # its bone is not there any more
    _judge_all(again)
    again.remark(Remarks(reader="Dr. Ada"))
    again.sign()
    assert (read_nifti(out / "review" / "dwi_bones.nii.gz").array == Bone.ILIUM).sum() == kept.sum()
    burden = json.loads((out / "findings.json").read_text())["sequences"]["dwi"]["burden"]
    assert [b["side"] for b in burden if b["bone"] == "ilium"] == ["right"]
    assert np.array_equal(read_nifti(out / "dwi_bones.nii.gz").array, first)  # the model's own
    again.reopen()
    again.restore_bones(Sequence.DWI)
    assert ReviewDesk(out).review.bones == {}
    assert not (out / "review" / "drawn" / "dwi_bones.nii.gz").exists()


def test_each_of_two_readers_has_a_review_of_his_own(out: Path) -> None:
    before = (out / "findings.json").read_bytes()
    ada, bo = ReviewDesk(out, ReadAs("ada")), ReviewDesk(out, ReadAs("bo"))
    _judge_all(ada, rejected=1)
    _judge_all(bo, rejected=2)
    ada.remark(Remarks(reader="Ada"))
    ada.sign()
    assert ReviewDesk(out, ReadAs("bo")).review.signed is None
    assert ReviewDesk(out).review.pending == (1, 2, 3)
    assert (out / "findings.json").read_bytes() == before
    assert _labels(out / "readers" / "ada" / "review" / "dwi_lesions.nii.gz") == {2, 3}
    assert (out / "readers" / "ada" / "review" / "dwi.nii.gz").is_file()


def test_a_verified_report_needs_an_organisation(desk: ReviewDesk) -> None:
    _judge_all(desk)
    desk.remark(Remarks(reader="Ada", verified=True))
    with pytest.raises(ReviewError, match="organisation"):
        desk.sign()
    desk.remark(Remarks(organisation=" Ward 7 "))
    desk.sign()
    assert desk.review.organisation == "Ward 7"
