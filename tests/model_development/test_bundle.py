from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pelvimets.app.predict import predict
from pelvimets.calibration import candidates, fitting
from pelvimets.calibration.candidates import (
    DRAWINGS,
    CandidateCase,
    CasesByDrawing,
    candidate_cases,
)
from pelvimets.calibration.fitting import fit_calibration
from pelvimets.config import GridSettings, LesionSettings, settings_to_dict
from pelvimets.core.progress import silent
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError, OutputError
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.labels import Bone, LearnedFrom, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.settings import NetworkSettings
from pelvimets.model_development import calibrate as calibration
from pelvimets.model_development.bundle import BundleRequest, make_bundle
from pelvimets.model_development.calibrate import CalibrationRequest, FoundPatients, calibrate
from pelvimets.model_development.card import EvaluationFolders, add_test
from pelvimets.requests.predict import RunOptions, StudyInput
from pelvimets.training.module import build_network
from pelvimets.training.presets import DEFAULT_BONES, DEFAULT_LESIONS
from pelvimets.training.settings import Stage, TrainingSettings
from tests.app.conftest import LESION_MM, SETTINGS, KnownStudy, image_of
from tests.core.test_lesions import ball


def small(preset: TrainingSettings) -> TrainingSettings:
    return replace(
        preset,
        network=NetworkSettings(channels=(4, 8)),
        grid=GridSettings(spacing_mm=(8.0, 6.0, 6.0), multiple_of=(2, 4, 4)),
        stages=(Stage(until=1.0, spacing_mm=(8.0, 6.0, 6.0), shape=(4, 8, 8), batch=2),),
    )


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """A bundle of two networks that learned nothing."""
    folder = tmp_path_factory.mktemp("bundle")
    for preset in (DEFAULT_BONES, DEFAULT_LESIONS):
        settings = small(preset)
        run = RunFolder(folder / settings.task.value)
        run.write_settings(settings_to_dict(settings))
        run.write_data("cohort none")
        run.write_learned_from(LearnedFrom.REAL)
        torch.manual_seed(1)
        weights = build_network(settings).state_dict()
        state = {f"averaged.module.{name}": w for name, w in weights.items()}
        kept = {"state_dict": state, "global_step": 7, "seconds": 60.0}
        torch.save({**kept, "settings": settings_to_dict(settings)}, run.checkpoint)
    request = BundleRequest(
        folder / "bones", folder / "lesions", folder / "own", "own", "1", "Two steps.",
        notes=("Of no use.",),
    )  # fmt: skip
    make_bundle(request)
    return folder / "own"


def test_two_runs_become_a_bundle_that_reads(bundle: Path) -> None:
    segmenter = load_segmenter(bundle)
    assert segmenter.name == "own 1"
    assert segmenter.settings.bone_grid.spacing_mm == (8.0, 6.0, 6.0)
    card = (bundle / "model_card.md").read_text()
    assert "| bones | 4, 8 | 8 x 6 x 6 mm | cohort none | - | 7 | 1 |" in card
    assert "Of no use." in card
    assert "not calibrated" in card
    assert segmenter.learned_from is LearnedFrom.REAL
    assert "trained on images of real patients" in card


def test_a_bundle_says_what_it_learned_from(bundle: Path, tmp_path: Path) -> None:
    """Joined from its runs; where one does not know, the user must say it."""
    runs = [shutil.copytree(bundle.parent / name, tmp_path / name) for name in ("bones", "lesions")]
    RunFolder(runs[0]).write_learned_from(LearnedFrom.DIGITAL)
    request = BundleRequest(*runs, tmp_path / "out", "own", "1", "")
    assert load_segmenter(make_bundle(request)).learned_from is LearnedFrom.MIXED
    (runs[1] / "learned_from.txt").unlink()
    request = replace(request, out=tmp_path / "second")
    with pytest.raises(InputError, match="--learned-from digital, real or mixed"):
        make_bundle(request)
    said = replace(request, learned_from=LearnedFrom.DIGITAL)
    assert load_segmenter(make_bundle(said)).learned_from is LearnedFrom.DIGITAL


def test_the_shipped_bundle_says_digital() -> None:
    assert load_segmenter().learned_from is LearnedFrom.DIGITAL


def test_a_network_comes_from_another_bundle(bundle: Path, tmp_path: Path) -> None:
    """Own lesions with the shipped bones: the same network, its weights byte for byte."""
    request = BundleRequest(
        Path("first"), bundle.parent / "lesions", tmp_path / "out", "own", "1", "",
        lesions_t1=bundle,
    )  # fmt: skip
    made, shipped = load_segmenter(make_bundle(request)), load_segmenter()
    assert made.bones[Sequence.T1].files == shipped.bones[Sequence.T1].files
    assert made.settings.bone_grid == shipped.settings.bone_grid
    assert made.settings.lesions == LesionSettings()  # a calibration is of a whole bundle
    assert made.learned_from is LearnedFrom.MIXED
    card = (tmp_path / "out" / "model_card.md").read_text()
    assert f"(network of bundle {shipped.name})" in card
    with pytest.raises(InputError, match="different grids"):
        make_bundle(replace(request, lesions_t1=Path("first"), overwrite=True))


def test_a_patient_who_taught_one_network_cannot_test_the_other(
    bundle: Path, tmp_path: Path
) -> None:
    runs = [shutil.copytree(bundle.parent / name, tmp_path / name) for name in ("bones", "lesions")]
    for run, train, test in zip(runs, ("p1", "p2"), ("p2", "p1"), strict=True):
        RunFolder(run).write_splits({"train": [train], "validation": ["p3"], "test": [test]})
    with pytest.raises(CohortError, match="p1"):
        make_bundle(BundleRequest(*runs, tmp_path / "out", "own", "1", ""))
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_not_replaced_unasked(bundle: Path) -> None:
    request = BundleRequest(
        bundle.parent / "bones", bundle.parent / "lesions", bundle, "own", "2", ""
    )
    with pytest.raises(OutputError, match="exists already"):
        make_bundle(request)
    assert load_segmenter(bundle).name == "own 1"


@pytest.fixture
def cohort(known_study: KnownStudy, tmp_path: Path) -> Path:
    """Four men with the known lesion, four without; the segmenter sees it in all of them."""
    folder = tmp_path / "validation"
    none = known_study.lesions.with_array(np.zeros_like(known_study.lesions.array))
    for number in range(8):
        patient = folder / f"p{number}"
        patient.mkdir(parents=True)
        truth = known_study.lesions if number < 4 else none
        shutil.copy(known_study.adc, patient / "adc.nii.gz")
        for s in Sequence:
            write_nifti(patient / f"{s}.nii.gz", image_of(known_study.bones, truth, s))
            write_nifti(patient / f"{s}_bones.nii.gz", known_study.bones)
            write_nifti(patient / f"{s}_lesions.nii.gz", truth)
    (folder / "patients.csv").write_text("patient\n" + "".join(f"p{n}\n" for n in range(8)))
    return folder


def found_in(
    cohort: Path, segmenter: FixedSegmenter, work: Path, number: slice = slice(None)
) -> FoundPatients:
    patients = calibration.read_cohort(cohort).patients[number]
    return FoundPatients(patients, segmenter, work, silent)


def cases_of(found: FoundPatients) -> list[CandidateCase]:
    by_threshold = candidate_cases(found, found.segmenter.settings.lesions)
    return [case for cases in by_threshold.values() for case in cases]


def test_candidates_are_the_same_where_only_what_shows_is_gone_through(
    cohort: Path, known_study: KnownStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = found_in(cohort, known_study.segmenter, tmp_path / "work")
    cut = cases_of(found)
    monkeypatch.setattr(candidates._Place, "cut", lambda place: place)
    assert cases_of(found) == cut


def test_candidates_are_told_right_from_false(
    cohort: Path, known_study: KnownStudy, tmp_path: Path
) -> None:
    cases = cases_of(found_in(cohort, known_study.segmenter, tmp_path / "work"))
    sick = [case for case in cases if case.patient == "p0"]
    healthy = [case for case in cases if case.patient == "p7"]
    assert [c.right for case in sick for c in case.candidates] == [True] * 2 * len(DRAWINGS)
    assert [c.right for case in healthy for c in case.candidates] == [False] * 2 * len(DRAWINGS)
    assert sick[0].candidates[0].evidence.adc_um2_per_s == pytest.approx(800)
    assert sick[0].metastases == 1 and healthy[0].metastases == 0


def test_a_calibrated_bundle_reads_with_its_weights(
    bundle: Path,
    cohort: Path,
    known_study: KnownStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed = replace(known_study.segmenter, weights_sha256="0" * 64)
    monkeypatch.setattr(calibration, "load_segmenter", lambda folder: fixed)
    request = CalibrationRequest(bundle, (cohort,), tmp_path / "calibrated")
    with pytest.raises(CohortError, match=r"Too few metastases on DWI.*got 4 in 4 of 8"):
        calibrate(request, silent)
    assert not request.out.exists()
    monkeypatch.setattr("pelvimets.calibration.fitting.FEWEST", 2)
    monkeypatch.setattr(calibration, "FEWEST", 2)
    record = calibrate(request, silent)
    settings = load_segmenter(request.out).settings.lesions
    assert settings.dwi.evidence is not None and settings.t1.evidence is not None
    assert settings.smallest_score == record["smallest_score"]
    card = (request.out / "model_card.md").read_text()
    assert "## Calibration" in card and "cohort `validation`" in card
    assert load_segmenter(request.out).weights_sha256 == load_segmenter(bundle).weights_sha256


class BlindToTheIlium(FixedSegmenter):
    """Its bone network takes the ilium for background, on DWI alone and without being sure."""

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        found = 0.8 * super().bone_probabilities(image, sequence) + np.float32(0.2 / 9)
        if sequence is Sequence.DWI:
            found[0] += 0.4 * (found[Bone.ILIUM] > 0.5)
            found[Bone.ILIUM] /= 2
        return found


def test_bones_are_read_together_where_that_pays(
    bundle: Path,
    cohort: Path,
    known_study: KnownStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = BlindToTheIlium(
        known_study.bones, known_study.lesions, SETTINGS, weights_sha256="0" * 64
    )
    monkeypatch.setattr(calibration, "load_segmenter", lambda folder: blind)
    monkeypatch.setattr("pelvimets.calibration.fitting.FEWEST", 2)
    monkeypatch.setattr(calibration, "FEWEST", 2)
    request = CalibrationRequest(bundle, (cohort,), tmp_path / "calibrated")
    record = calibrate(request, silent)["bones"]
    assert record["patients"] == 8 and record["sequences"]["t1"]["share"] == 0
    dwi = record["sequences"]["dwi"]
    assert dwi["together"] > dwi["alone"] + 0.05
    settings = load_segmenter(request.out).settings.bones
    assert settings.other_in_dwi == dwi["share"] > 0 and settings.other_in_t1 == 0
    card = (request.out / "model_card.md").read_text()
    assert f"| DWI | {dwi['alone']:.3f} | {dwi['together']:.3f} | {dwi['share']:.0%} |" in card
    for number in range(5):  # bones that networks drew count for nothing
        (cohort / f"p{number}" / "annotation.json").write_text('{"dwi": {"judged": []}}')
    again = replace(request, out=tmp_path / "again")
    assert calibrate(again, silent)["bones"] is None


def test_an_unknown_split_is_refused(bundle: Path, cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"Unknown split.*best.*validation"):
        calibrate(CalibrationRequest(bundle, (cohort,), tmp_path / "out", "best"), silent)


def test_patients_of_the_same_name_in_two_cohorts_are_refused(
    bundle: Path, cohort: Path, tmp_path: Path
) -> None:
    with pytest.raises(CohortError, match=r"same name.*p0"):
        calibrate(CalibrationRequest(bundle, (cohort, cohort), tmp_path / "out"), silent)


@dataclass(frozen=True, eq=False)
class HalfBlindSegmenter(FixedSegmenter):
    """Sure on DWI; on T1 it sees the lesion of every second man, and of the others a trace."""

    turns: Iterator[int] = field(default_factory=count)

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        true = super().lesion_probabilities(image, bones, sequence)
        if sequence is Sequence.DWI:
            return true
        return np.asarray(true * np.float32(0.5 if next(self.turns) % 2 else 0.05))


def test_sequences_are_joined_where_that_pays(
    cohort: Path, known_study: KnownStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pelvimets.calibration.fitting.FEWEST", 1)
    half_blind = HalfBlindSegmenter(known_study.bones, known_study.lesions, SETTINGS)
    fitted = fit_calibration(found_in(cohort, half_blind, tmp_path / "work"), SETTINGS.lesions)
    joining = fitted.record["joining"]
    assert joining["apart"]["t1"][0] == 2  # of four
    assert joining["together"]["t1"][0] == 4
    assert joining["joined"]
    joint = fitted.settings.t1.joint
    assert joint is not None and joint.other > 0


@pytest.mark.parametrize("failing", ["apart", "together", "both"])
def test_where_one_way_leaves_too_few_candidates_the_other_is_taken(
    cohort: Path,
    known_study: KnownStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    monkeypatch.setattr("pelvimets.calibration.fitting.FEWEST", 1)
    plain = fitting.fit_reading

    def refusing(cases: CasesByDrawing, settings: LesionSettings) -> fitting.Fitted:
        if failing in ("both", "apart" if settings.t1.joint is None else "together"):
            raise CohortError(f"too few {'apart' if settings.t1.joint is None else 'together'}")
        return plain(cases, settings)

    monkeypatch.setattr(fitting, "fit_reading", refusing)
    half_blind = HalfBlindSegmenter(known_study.bones, known_study.lesions, SETTINGS)
    found = found_in(cohort, half_blind, tmp_path / "work")
    if failing == "both":
        with pytest.raises(CohortError, match="too few apart"):
            fit_calibration(found, SETTINGS.lesions)
        return
    fitted = fit_calibration(found, SETTINGS.lesions)
    assert (fitted.settings.t1.joint is None) == (failing == "together")
    assert "joining" not in fitted.record


def test_an_interrupted_calibration_goes_on(
    cohort: Path, known_study: KnownStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = found_in(cohort, known_study.segmenter, tmp_path / "work", slice(2))
    before = cases_of(two)
    monkeypatch.setattr(calibration, "run_networks", None)  # must not be called again
    assert cases_of(two) == before
    assert len(before) == 2 * len(DRAWINGS) * 2


def test_another_cohort_with_the_same_names_is_read_anew(
    cohort: Path, known_study: KnownStudy, tmp_path: Path
) -> None:
    first = found_in(cohort, known_study.segmenter, tmp_path / "work", slice(1))
    before = cases_of(first)
    for s in Sequence:  # the same name, and no lesion now
        shutil.copy(cohort / "p7" / f"{s}_lesions.nii.gz", cohort / "p0" / f"{s}_lesions.nii.gz")
    after = cases_of(first)
    assert {case.metastases for case in before} == {1}
    assert {case.metastases for case in after} == {0}


def test_a_card_takes_only_figures_of_its_own_bundle(
    bundle: Path, known_study: KnownStudy, cohort: Path, tmp_path: Path
) -> None:
    dwi, t1 = known_study.files[Sequence.DWI], known_study.files[Sequence.T1]
    other = FixedSegmenter(known_study.bones, known_study.lesions, SETTINGS)
    out = tmp_path / "predictions" / "p0"
    predict(StudyInput(dwi=dwi, t1=t1), out, RunOptions(), segmenter=other)
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    (evaluation / "results.json").write_text('{"voxel": [], "patients": [{"patient": "p0"}]}')
    folders = EvaluationFolders(evaluation, tmp_path / "predictions", cohort)
    before = (bundle / "model_card.md").read_bytes()
    with pytest.raises(InputError, match="not made by this bundle"):
        add_test(bundle, folders, "a test")
    assert (bundle / "model_card.md").read_bytes() == before


def test_the_known_lesion_lies_where_the_tests_think(known_study: KnownStudy) -> None:
    inside = Volume(ball(known_study.bones.geometry, LESION_MM, 5), known_study.bones.geometry)
    assert (known_study.lesions.array[inside.array] > 0).all()
