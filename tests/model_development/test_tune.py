from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from PIL import Image
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import VerificationError
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.io.record.search_folder import SearchFolder
from pelvimets.io.record.search_storage import open_storage
from pelvimets.model.bundle import load_segmenter
from pelvimets.model_development.start import adopted, start_source
from pelvimets.model_development.tune import (
    TuneSummary,
    described_study,
    open_search,
    run_search,
)
from pelvimets.model_development.tune_output import PlannedSearch
from pelvimets.model_development.tune_samples import tune_data
from pelvimets.requests.train import TuneOptions, TuneRequest
from pelvimets.training.checkpoint import read_checkpoint
from pelvimets.training.fine_tuning import fine_tuned
from pelvimets.training.overrides import overridden
from pelvimets.training.pool import PhantomPool
from pelvimets.training.presets import DEFAULT_BONES, preset_settings
from pelvimets.training.sample import Sample
from pelvimets.training.search.records import Fate, TrialRecord
from pelvimets.training.search.searching import Objective, RunningTrial, Search
from pelvimets.training.search.space import (
    Choice,
    Range,
    default_space,
    space_of_given_weights,
    with_values,
)
from pelvimets.training.search.trial import train_trial
from pelvimets.training.settings import TrainingSettings, training_settings
from tests.training.conftest import Samples, made_sample
from tests.training.search_database import empty_database, no_wait_for_the_disk

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own advice on tiny runs

SPACE = {"learning_rate": Range(1e-4, 1e-2, log=True), "network.dropout": Range(0.0, 0.5)}


@pytest.fixture(scope="module", autouse=True)
def quick_disk() -> Iterator[None]:
    with no_wait_for_the_disk():
        yield


class Listener:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []
        self.begun_with: list[int] = []

    def preparing(self, what: str, done: int, total: int) -> None:
        assert done <= total

    def begun(self, records: Sequence[TrialRecord]) -> None:
        self.begun_with.append(len(records))

    def trial_share(self, share: float) -> None:
        assert 0 <= share <= 1

    def finished(self, trial: TrialRecord, records: Sequence[TrialRecord]) -> None:
        assert trial in records
        self.fates.append(trial.fate)


@contextmanager
def searching(folder: Path, options: TuneOptions) -> Iterator[tuple[Search, PlannedSearch]]:
    study = PlannedSearch(
        SearchFolder(folder), "default", DEFAULT_BONES, DEFAULT_BONES, SPACE, True
    )
    study.folder.make()
    if not (folder / "study.db").exists():
        empty_database(folder / "study.db")
    with open_storage(study.folder.url) as storage:
        yield open_search(storage, study, {"task": "bones"}, options), study


def searched(
    folder: Path, objective: Objective, listener: Listener | None = None, **given: Any
) -> TuneSummary:
    options = TuneOptions(pruner="none", **given)
    with searching(folder, options) as (search, study):
        return run_search(search, objective, study, options, listener or Listener())


def by_rate(trial: RunningTrial) -> float:
    for share in (0.5, 1.0):
        trial.report(share, share * float(trial.values["learning_rate"]))
    return float(trial.values["learning_rate"])


TINY: dict[str, Any] = {
    "network": {"channels": [4, 8]},
    "grid": {"spacing_mm": [8.0, 6.0, 6.0], "multiple_of": [2, 4, 4]},
    "stages": [{"until": 1.0, "spacing_mm": [8.0, 6.0, 6.0], "shape": [4, 8, 8], "batch": 2}],
    "steps_per_epoch": 2,
}


def write_patient(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    geometry = Geometry.from_axes((10, 30, 40), (5.0, 3.0, 3.0))
    bones = np.zeros(geometry.shape, dtype=np.uint8)
    bones[2:8, 5:20, 5:20], bones[2:8, 8:25, 25:36] = 5, 3
    image = np.random.default_rng(number).normal(100, 5, geometry.shape) + 30.0 * bones
    write_nifti(folder / "dwi.nii.gz", Volume(image.astype(np.float32), geometry))
    write_nifti(folder / "dwi_bones.nii.gz", Volume(bones, geometry))


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    rows = ["patient,split"]
    for number, split in enumerate(("train", "train", "validation")):
        write_patient(folder / f"p{number}", number)
        rows.append(f"p{number},{split}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_from_a_cohort_to_settings_that_train_takes_and_on_to_more_trials(
    cohort: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    space = {"network.width": [4, 6], "learning_rate": [1e-3, 1e-2]}
    (tmp_path / "space.yaml").write_text(json.dumps(space))  # JSON is YAML
    out = tmp_path / "study"
    words = ["tune", "bones", "--data", cohort, "-o", out, "--epochs", 2, "--workers", 0]
    words += ["--settings", tmp_path / "tiny.json", "--space", tmp_path / "space.yaml"]
    words += ["--pruner", "none", "--keep", 1]

    first = CliRunner().invoke(app, [str(w) for w in [*words, "--trials", 2]])
    assert first.exit_code == 0, first.output
    assert "trial 0 finished, score" in first.output
    assert "1 of 2" in first.output
    assert f"--settings {out}/best.json" in first.output.replace("\n", "")
    again = CliRunner().invoke(app, [str(w) for w in [*words, "--trials", 3]])
    assert again.exit_code == 0, again.output
    assert "going on after 2 of 3 trials" in again.output

    trials = rows_of(out / "trials.csv")
    assert [t["state"] for t in trials] == ["finished"] * 3
    top = max(trials, key=lambda t: float(t["score"]))
    base = overridden(preset_settings("bones", "default"), TINY)
    best = overridden(
        preset_settings("bones", "default"), json.loads((out / "best.json").read_text())
    )
    assert (best.grid.spacing_mm, best.steps_per_epoch) == ((8.0, 6.0, 6.0), 2)
    assert best.network.channels[0] == int(top["network.width"])
    assert best.learning_rate == float(top["learning_rate"])
    assert (best.epochs, best.validate_every) == (base.epochs, base.validate_every)
    run = training_settings(RunFolder(out / "trials" / top["run"]).read_settings())
    assert (run.network, run.epochs) == (best.network, 2)
    assert [p.parent.name for p in out.glob("trials/*/last.ckpt")] == [top["run"]]
    assert len(list(out.glob("samples/*/*.npz"))) == 3
    assert Image.open(out / "history.png").width > 800

    words[words.index("--epochs") + 1] = 3
    other = CliRunner().invoke(app, [str(w) for w in [*words, "--trials", 4]])
    assert other.exit_code == 1
    assert "settings.epochs: 2 before, 3 now" in str(other.exception)


def test_a_search_that_starts_from_a_run(cohort: Path, tmp_path: Path) -> None:
    """Each trial begins with the weights of the run, gently; what does not fit them is refused."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    common = ["--data", cohort, "--settings", tmp_path / "tiny.json", "--workers", 0]
    run, out = tmp_path / "run", tmp_path / "study"
    words = ["train", "bones", "-o", run, "--epochs", 1, *common]
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.output
    words = ["tune", "bones", "-o", out, "--from", run, "--epochs", 1, "--trials", 2, *common]
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.output
    trials = rows_of(out / "trials.csv")
    assert [t["state"] for t in trials] == ["finished"] * 2
    gentle = fine_tuned(overridden(preset_settings("bones", "default"), TINY))
    assert float(trials[0]["learning_rate"]) == gentle.learning_rate
    assert 1e-5 <= float(trials[1]["learning_rate"]) <= 1e-3
    begun = [read_checkpoint(out / "trials" / t["run"] / "best.ckpt") for t in trials]
    assert all(one["global_step"] == 0 or one["score_before"] is not None for one in begun)
    assert json.loads((out / "search.json").read_text())["start"] == "run run"

    (tmp_path / "space.json").write_text(json.dumps({"network.width": [4, 6]}))
    words[words.index("-o") + 1] = tmp_path / "other"
    wide = CliRunner().invoke(app, [str(w) for w in [*words, "--space", tmp_path / "space.json"]])
    assert wide.exit_code == 1 and "network.width" in str(wide.exception)
    assert not (tmp_path / "other").exists()


def test_a_search_from_the_shipped_bundle_is_gentle_on_its_grid(tmp_path: Path) -> None:
    request = TuneRequest("lesions", "phantom", tmp_path / "study", start_from="first", epochs=2)
    study = described_study(request)
    assert study.full == fine_tuned(
        adopted(preset_settings("lesions", "default"), start_source("first"))
    )
    assert study.base.grid == load_segmenter().settings.lesion_grid
    assert study.base.epochs == 2 and study.space == space_of_given_weights()
    assert set(study.space) == {"learning_rate", "network.dropout", "loss"}


def test_a_search_leaves_tables_figures_and_the_best_settings(tmp_path: Path) -> None:
    listener = Listener()
    summary = searched(tmp_path, by_rate, listener, trials=6)
    assert summary.notes == ()
    assert listener.fates == [Fate.FINISHED] * 6
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "history.png",
        "values.png",
        "importance.png",
    }
    importance = rows_of(tmp_path / "importance.csv")
    assert importance[0]["setting"] == "learning_rate"
    assert sum(float(r["importance"]) for r in importance) == pytest.approx(1, abs=1e-3)
    assert summary.best is not None
    assert json.loads(summary.settings.read_text()) == {
        "learning_rate": summary.best.values["learning_rate"],
        "network": {"dropout": summary.best.values["network.dropout"]},
    }
    table = rows_of(tmp_path / "trials.csv")
    assert table[0]["from"] == "preset"
    assert float(table[0]["learning_rate"]) == DEFAULT_BONES.learning_rate


def test_with_few_trials_importance_is_left_out_with_the_reason(tmp_path: Path) -> None:
    summary = searched(tmp_path, by_rate, trials=2)
    assert "No importance yet: it needs 4" in summary.notes[0]
    assert not (tmp_path / "importance.csv").exists()


def test_without_the_optional_packages_the_tables_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    summary = searched(tmp_path, by_rate, trials=5)
    assert ["matplotlib" in summary.notes[0], "scikit-learn" in summary.notes[1]] == [True] * 2
    assert {p.name for p in tmp_path.iterdir() if p.suffix in (".png", ".csv", ".json")} == {
        "trials.csv",
        "best.json",
    }


def test_a_search_whose_trials_all_fail_is_an_error_but_one_success_is_enough(
    tmp_path: Path,
) -> None:
    def failing(trial: RunningTrial) -> float:
        raise VerificationError("The loss is not finite", got=f"nan in trial {trial.number}")

    with pytest.raises(VerificationError, match=r"All 3 trials failed .*nan in trial 2"):
        searched(tmp_path, failing, trials=3)
    rows = rows_of(tmp_path / "trials.csv")
    assert [r["reason"] for r in rows][:1] == ["The loss is not finite (got nan in trial 0)."]
    summary = searched(tmp_path, by_rate, trials=4)
    assert summary.best is not None
    assert summary.best.number == 3


def test_no_trial_is_begun_after_the_time_is_over(tmp_path: Path) -> None:
    summary = searched(tmp_path, by_rate, trials=5, timeout_minutes=0.0)
    assert (summary.records, summary.best) == ((), None) or summary.best is None
    assert {r.fate for r in summary.records} <= {Fate.WAITING}


def test_only_checkpoints_of_the_best_are_kept(tmp_path: Path) -> None:
    def writing(trial: RunningTrial) -> float:
        run = tmp_path / "trials" / trial.run
        run.mkdir(parents=True)
        (run / "last.ckpt").write_text("weights")
        (run / "settings.json").write_text("{}")
        if trial.number == 1:
            raise optuna.TrialPruned
        return [0.2, 0.0, 0.9, 0.1, 0.8][trial.number]

    searched(tmp_path, writing, trials=5, keep=2)
    kept = sorted(p.parent.name for p in tmp_path.glob("trials/*/last.ckpt"))
    assert kept == ["0002", "0004"]
    assert len(list(tmp_path.glob("trials/*/settings.json"))) == 5


def test_the_data_of_a_study_are_known_by_patients_and_parts(cohort: Path) -> None:
    pool = PhantomPool(patients=9, simulated=0, validation_per_sequence=2)
    before = tune_data(cohort, pool, None, 0).identity
    assert (before["training_patients"], before["validation_patients"]) == (2, 1)
    table = (cohort / "patients.csv").read_text()
    (cohort / "patients.csv").write_text(table.replace("p1,train", "p1,validation"))
    assert tune_data(cohort, pool, None, 0).identity != before
    assert tune_data(None, pool, None, 0).identity["patients"] == 9
    assert tune_data(None, pool, None, 0).pool.start_with == 9


# ---- one trial on the real network


@pytest.fixture
def tiny() -> TrainingSettings:
    changes = {**TINY, "epochs": 4, "validate_every": 1, "precision": "32-true"}
    return overridden(DEFAULT_BONES, changes)


@pytest.fixture
def samples() -> Samples:
    return Samples(made_sample(0), made_sample(1))


class StubTrial:
    """Takes scores; stops at the given number of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.scores: dict[float, float] = {}
        self._stop_at = stop_at

    def start_over(self) -> None:
        self.scores.clear()

    def report(self, share: float, score: float) -> bool:
        self.scores[share] = score
        return len(self.scores) == self._stop_at


def test_a_trial_reports_each_validation_and_ends_with_the_last(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    trial = StubTrial()
    score = train_trial(tiny, samples, samples, tmp_path, trial)  # type: ignore[arg-type]
    assert list(trial.scores) == [0.25, 0.5, 0.75, 1.0]
    assert trial.scores[1.0] == score
    seldom, other = StubTrial(), tmp_path / "seldom"
    again = train_trial(
        replace(tiny, validate_every=3),
        samples,
        samples,
        other,
        seldom,  # type: ignore[arg-type]
    )
    assert list(seldom.scores) == [0.75, 1.0]
    assert again == pytest.approx(score)


def test_a_pruned_trial_ends_at_once(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    trial = StubTrial(stop_at=2)
    with pytest.raises(optuna.TrialPruned):
        train_trial(tiny, samples, samples, tmp_path, trial)  # type: ignore[arg-type]
    assert list(trial.scores) == [0.25, 0.5]


class StoppedSamples(Samples):
    """The worker is told to stop at the given read."""

    def read(self, name: str) -> Sample:
        try:
            return super().read(name)
        except KeyError:
            raise SystemExit(143) from None


def test_a_stopped_trial_goes_on_from_its_checkpoint(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    stopped = StoppedSamples(made_sample(0), made_sample(1), fail_at=14)
    options = TuneOptions(trials=1, pruner="none")
    with searching(tmp_path, options) as (search, study):

        def objective(source: Samples) -> Objective:
            return lambda trial: train_trial(
                with_values(tiny, trial.values),
                source,
                samples,
                study.folder.run(trial.run),
                trial,
            )

        with pytest.raises(SystemExit):
            run_search(search, objective(stopped), study, options, Listener())
        lost = search.records()[0]
        assert (lost.fate, 0 < max(lost.curve) < 20) == (Fate.LOST, True)
        run_search(search, objective(samples), study, options, Listener())
        retried = search.records()[1]
        assert (retried.fate, retried.run) == (Fate.FINISHED, lost.run)
        assert retried.curve.items() >= lost.curve.items()
        whole = StubTrial()
        settings = with_values(tiny, lost.values)
        folder = tmp_path / "whole"
        score = train_trial(settings, samples, samples, folder, whole)  # type: ignore[arg-type]
        assert retried.score == pytest.approx(score, abs=1e-6)


def test_default_space_and_options_are_plain() -> None:
    assert set(default_space()) == {
        "network.initialisation",
        "network.dropout",
        "network.width",
        "network.depth",
        "learning_rate",
        "loss",
    }
    assert isinstance(default_space()["loss"], Choice)
    assert asdict(TuneOptions())["sampler"] == "random"
