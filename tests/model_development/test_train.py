"""Runs on cohorts: what is checked, prepared and kept, and what a run may start from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.cli.training_bar import duration, epoch_words
from pelvimets.config import settings_to_dict
from pelvimets.core.geometry import Geometry
from pelvimets.core.judged import Judged
from pelvimets.core.progress import RunObserver, silent
from pelvimets.core.splits import Splits
from pelvimets.core.strata import drawn_folds
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, CohortError, InputError, PelvimetsError, SettingsError
from pelvimets.io.cohort.annotation import write_judged
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.record.fold_folder import FoldFolder
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.io.record.settings_file import read_settings_file
from pelvimets.labels import Bone, Sequence
from pelvimets.model.bundle import bundle_folder, load_segmenter
from pelvimets.model.ensemble import Ensemble
from pelvimets.model_development.bundle import BundleRequest, make_bundle
from pelvimets.model_development.calibrate import CalibrationRequest, calibrate
from pelvimets.model_development.folds import train_folds
from pelvimets.model_development.samples import (
    begin_pool,
    cohort_splits,
    members_of,
    prepare_cohort,
    sample_store,
)
from pelvimets.model_development.start import adopted, load_start, start_notes, start_source
from pelvimets.model_development.train import RunSummary, run_settings, train_run
from pelvimets.requests.train import Device, TrainRequest
from pelvimets.training.checkpoint import read_checkpoint
from pelvimets.training.module import SegmentationModule
from pelvimets.training.observing import RunState
from pelvimets.training.pool import PhantomPool
from pelvimets.training.presets import DEFAULT_BONES, DEFAULT_LESIONS, PAPER_BONES
from pelvimets.training.run import load_trained
from pelvimets.training.settings import Task, TrainingSettings

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, on tiny runs

SHAPE = (10, 30, 40)
GEOMETRY = Geometry.from_axes(SHAPE, (5.0, 3.0, 3.0))
STAGE = {"until": 1.0, "spacing_mm": [8.0, 6.0, 6.0], "shape": [4, 8, 8], "batch": 2}
SMALL: dict[str, Any] = {
    "network": {"channels": [4, 8]},
    "sample_grid": {"spacing_mm": [8.0, 6.0, 6.0]},
    "stages": [STAGE],
    "steps_per_epoch": 2,
    "validate_every": 1,
    "epochs": 1,
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    return tmp_path / "small.json"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    for number in range(3):
        write_patient(folder / f"p{number}", number)
    (folder / "patients.csv").write_text("patient,split\np0,train\np1,train\np2,validation\n")
    return folder


def write_patient(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    bones = np.zeros(SHAPE, dtype=np.uint8)
    bones[2:8, 5:20, 5:20], bones[2:8, 8:25, 25:36] = 5, 3
    lesions = np.zeros(SHAPE, dtype=np.uint16)
    lesions[4:6, 10:14, 28:32] = 1
    image = np.random.default_rng(number).normal(100, 5, SHAPE) + 30.0 * bones
    write_nifti(folder / "dwi.nii.gz", Volume(image.astype(np.float32), GEOMETRY))
    write_mask(folder / "dwi_bones.nii.gz", bones)
    write_mask(folder / "dwi_lesions.nii.gz", lesions)


def write_mask(path: Path, mask: np.ndarray) -> None:
    write_nifti(path, Volume(mask, GEOMETRY))


def settings_of(task: str, small: Path) -> TrainingSettings:
    return chosen(task, small.parent / "new", settings=small)


def chosen(task: str, run: Path, **more: Any) -> TrainingSettings:
    return run_settings(TrainRequest(task, "phantom", run, **more))


def trained(settings: TrainingSettings, data: Path | str, run: Path, **more: Any) -> RunSummary:
    return train_run(settings, TrainRequest(settings.task.value, data, run, **more))


def test_from_bones_to_lesions_and_on(cohort: Path, small: Path, tmp_path: Path) -> None:
    """A run of each network; the second starts from the first, then goes on."""
    bones, lesions = tmp_path / "bones", tmp_path / "lesions"
    (cohort / "patients.csv").write_text("patient\np0\np1\np2\n")
    done = trained(settings_of("bones", small), cohort, bones, workers=0)
    assert done.steps == 2 and done.data == "cohort cohort"
    assert done.best is not None and 0 <= done.best <= 1
    kept = RunFolder(bones).read_splits()
    assert kept is not None and sorted(map(len, kept.values())) == [1, 1, 1]
    assert [p.name for p in (bones / "pictures").iterdir()] == ["epoch_0001.png"]
    options = {"start_from": bones, "split_of": bones, "workers": 0}
    begun = trained(settings_of("lesions", small), cohort, lesions, **options)
    assert begun.data == "cohort cohort, starting from run bones"
    assert RunFolder(lesions).read_splits() == kept
    on = trained(chosen("lesions", lesions, epochs=2), cohort, lesions, workers=0)
    assert on.steps == 4
    assert len(RunFolder(lesions).read_curve()) == 2


def test_real_backgrounds_stand_beside_the_cohort(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    """Bones from the mask that lies there; metastases are put in; the run says so."""
    real = tmp_path / "hospital"
    write_patient(real / "r1", 7)
    (real / "r1" / "dwi_lesions.nii.gz").unlink()
    (real / "patients.csv").write_text("patient\nr1\n")
    run = tmp_path / "run"
    settings = settings_of("lesions", small)
    done = trained(settings, cohort, run, backgrounds=real, workers=0)
    assert done.data == "cohort cohort, real images of hospital with metastases put in"
    store = sample_store(run / "samples" / "train")
    made = [store.read(name) for name in store.names() if name.startswith("real-r1-")]
    assert len(made) == 12
    assert 0 < sum(len(sample.lesion_centres) > 0 for sample in made) < 12
    with pytest.raises(SettingsError, match="lesion network alone"):
        trained(settings_of("bones", small), cohort, tmp_path / "b", backgrounds=real)
    write_patient(real / "r2", 8)
    (real / "patients.csv").write_text("patient\nr1\nr2\n")
    with pytest.raises(CohortError, match="r2 has metastases"):
        trained(settings, cohort, tmp_path / "c", backgrounds=real)


def test_a_network_of_one_sequence_learns_from_it_alone(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    for patient in ("p0", "p1", "p2"):
        for kind in ("", "_bones", "_lesions"):
            shutil.copy(
                cohort / patient / f"dwi{kind}.nii.gz", cohort / patient / f"t1{kind}.nii.gz"
            )
    run = tmp_path / "run"
    settings = chosen("bones", run, settings=small, sequence=Sequence.T1)
    assert settings.sequences == ("t1",)
    trained(settings, cohort, run, workers=0)
    assert chosen("bones", run).sequences == ("t1",)  # a begun run keeps it
    store = sample_store(run / "samples" / "train")
    assert store.names() == ("p0_dwi", "p0_t1", "p1_dwi", "p1_t1")
    assert replace(store, sequences=("t1",)).names() == ("p0_t1", "p1_t1")
    (table,) = run.glob("log/version_*/metrics.csv")
    (columns,) = (line for line in table.read_text().splitlines() if "score" in line)
    assert "dice_t1" in columns and "dice_dwi" not in columns
    with pytest.raises(SettingsError, match="Choose from dwi, t1"):
        replace(settings, sequences=("t2",))


def test_a_run_goes_on_as_it_began_or_not_at_all(cohort: Path, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(settings_of("bones", small), cohort, run, workers=0)
    before = (run / "settings.json").read_bytes()
    with pytest.raises(SettingsError, match="for the other network"):
        chosen("lesions", run)
    other = chosen("bones", run, preset="default", epochs=3)
    with pytest.raises(SettingsError, match=r"steps_per_epoch 100 instead of 2"):
        trained(other, cohort, run)
    same = chosen("bones", run)
    assert same.precision in ("bf16-mixed", "32-true")  # timed once, then kept
    assert same == replace(settings_of("bones", small), precision=same.precision)
    with pytest.raises(InputError, match=r"began on other data \(got cohort cohort\)"):
        trained(same, "phantom", run)
    (cohort / "patients.csv").write_text("patient,split\np0,train\np1,test\np2,validation\n")
    with pytest.raises(CohortError, match=r"have changed since this run began \(got p1\)"):
        trained(same, cohort, run)
    assert (run / "settings.json").read_bytes() == before


def test_the_paper_preset_runs_on_its_own_path(cohort: Path, tmp_path: Path) -> None:
    """Its loss, optimiser and augmentation on a whole field of fixed shape, made smaller."""
    grid = {"shape": [8, 16, 24]}
    stage = {"until": 1.0, "spacing_mm": None, "shape": [8, 16, 24], "batch": 2}
    changes = {"grid": grid, "sample_grid": grid, "stages": [stage], "steps_per_epoch": 2}
    (tmp_path / "paper.yaml").write_text(
        f"{json.dumps(changes)[:-1]}, network: {{channels: [4, 8]}}}}"
    )
    settings = chosen(
        "bones", tmp_path / "run", preset="paper", settings=tmp_path / "paper.yaml", epochs=2
    )
    assert settings.loss == PAPER_BONES.loss and settings.patience == PAPER_BONES.patience
    done = trained(settings, cohort, tmp_path / "run", workers=0)
    assert done.steps == 4
    with np.load(tmp_path / "run/samples/train/p0_dwi.npz") as sample:
        assert sample["image"].shape == (8, 16, 24)
    network, _, _ = load_trained(settings, tmp_path / "run" / "last.ckpt")
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_two_processes_train_one_run(cohort: Path, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "bones", "--data", cohort, "-o", run, "--settings", small, "--epochs", 2]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = ["-m", "tests.model_development.two_processes", tmp_path]
    done = subprocess.run(
        list(map(str, [*torchrun, *script, *words, "--workers", 0])),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    ranks = [(tmp_path / f"rank{rank}.txt").read_text() for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert done.stdout.count("Epoch 2 of 2, step 2,") == 1  # half of the steps each
    assert done.stdout.count("Trained 2 steps") == 1
    assert [p.name for p in run.glob("log/*")] == ["version_0"]
    assert len(list(run.glob("tensorboard/*/events.*"))) == 1
    assert len(list(run.glob("pictures/*.png"))) == 2
    assert len(list(run.glob("samples/*/*.npz"))) == 3
    assert not list(run.glob("**/*.part"))


def test_samples_are_prepared_once_and_again_when_a_file_changes(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    settings, store = settings_of("bones", small), tmp_path / "store"

    def prepared() -> dict[str, int]:
        names = prepare_cohort(read_cohort(cohort), settings, store)
        assert names == {"train": ("p0_dwi", "p1_dwi"), "validation": ("p2_dwi",)}
        return {p.name: p.stat().st_mtime_ns for p in store.glob("*/*.npz")}

    first = prepared()
    assert prepared() == first
    (cohort / "p1" / "dwi_lesions.nii.gz").unlink()
    second = prepared()
    assert {name for name in first if first[name] != second[name]} == {"p1_dwi.npz"}
    with np.load(store / "train" / "p1_dwi.npz") as sample:
        assert sample["truth"].max() < 16
    other = chosen("bones", tmp_path / "new")
    with pytest.raises(SettingsError, match="another sample_grid"):
        prepare_cohort(read_cohort(cohort), other, store)
    with pytest.raises(SettingsError, match="another sample_grid"):
        begin_pool(other, store, PhantomPool(0, 0, 0, 0))
    assert {p.name: p.stat().st_mtime_ns for p in store.glob("*/*.npz")} == second


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def bones_of(value: int) -> Callable[[Path], None]:
    mask = np.full(SHAPE, value, dtype=np.uint8)
    return lambda folder: write_mask(folder / "dwi_bones.nii.gz", mask)


def half_lesions(folder: Path) -> None:
    write_mask(folder / "dwi_lesions.nii.gz", np.full(SHAPE, 0.5, dtype=np.float32))


def shifted_bones(folder: Path) -> None:
    elsewhere = Geometry.from_axes(SHAPE, (5.0, 3.0, 3.0), (1.0, 0.0, 0.0))
    write_nifti(folder / "dwi_bones.nii.gz", Volume(np.ones(SHAPE, np.uint8), elsewhere))


def cut_image(folder: Path) -> None:
    path = folder / "dwi.nii.gz"
    path.write_bytes(path.read_bytes()[:5000])


FAULTS = [
    (bones_of(12), r"Unknown values in the mask of the bones \(got \[12\]\)"),
    (bones_of(0), "The mask of the bones is empty"),
    (half_lesions, r"Unknown values in the mask of the lesions \(got \[0\.5\]\)"),
    (shifted_bones, r"does not lie on the grid of its image.*patient p1"),
    (cut_image, r"p1, DWI: The NIfTI file is damaged"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_faulty_cases_are_refused_before_the_first_epoch(
    cohort: Path, small: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(cohort / "p1")
    with pytest.raises(CohortError, match=message):
        trained(settings_of("lesions", small), cohort, tmp_path / "run")
    assert not (tmp_path / "run" / "settings.json").exists()


class Told(RunObserver):
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


def test_images_that_nobody_annotated_are_left_out_and_named(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    lose("dwi_lesions.nii.gz")(cohort / "p1")
    told, request = Told(), TrainRequest("lesions", cohort, tmp_path / "run", workers=0)
    train_run(settings_of("lesions", small), request, told)
    assert told.lines[0].startswith("Learns lesions from 1 images, measured on 1 (1 with lesions)")
    assert "1 images left out: p1 DWI: no mask of the lesions" in told.lines[1]
    lose("dwi_bones.nii.gz")(cohort / "p0")
    again = TrainRequest("lesions", cohort, tmp_path / "none", workers=0)
    with pytest.raises(CohortError, match="No case of the split train can be used"):
        train_run(settings_of("lesions", small), again)
    assert not (tmp_path / "none").exists()  # a failed run leaves no folder


def test_a_validation_without_lesions_is_told_and_has_no_score(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    write_mask(cohort / "p2" / "dwi_lesions.nii.gz", np.zeros(SHAPE, np.uint16))
    told, request = Told(), TrainRequest("lesions", cohort, tmp_path / "run", workers=0)
    done = train_run(settings_of("lesions", small), request, told)
    assert any("no validation image shows a metastasis" in line for line in told.lines)
    assert done.score is None or done.score == 0.0  # 0 if the network found some


def test_minutes_hold_within_an_epoch(cohort: Path, small: Path, tmp_path: Path) -> None:
    settings = replace(settings_of("bones", small), minutes=0.02, epochs=1, steps_per_epoch=100_000)
    request = TrainRequest("bones", cohort, tmp_path / "run", workers=0)
    done = train_run(settings, request)
    assert 0 < done.steps < 100_000 and done.minutes < 0.5 and done.score is not None
    assert RunFolder(request.out).has_trained


def test_fine_tuning_measures_first_and_keeps_what_is_better(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    run, fine = tmp_path / "run", tmp_path / "fine"
    long = replace(settings_of("bones", small), epochs=8, steps_per_epoch=6)
    train_run(long, TrainRequest("bones", cohort, run, workers=0))
    request = TrainRequest("bones", cohort, fine, start_from=run, settings=small, workers=0)
    settings = run_settings(request)
    assert settings.learning_rate == pytest.approx(0.15 * DEFAULT_BONES.learning_rate)
    harmful = replace(settings, learning_rate=1.0, warmup_steps=0, average_decay=0.0)
    done = train_run(harmful, request)
    assert done.before is not None and done.best is not None and done.best >= done.before
    if done.best == done.before:  # no step made it better
        first, steps, _ = load_trained(harmful, fine / "best.ckpt")
        given, _, _ = load_trained(long, run / "last.ckpt")
        assert steps == 0
        for name, weight in given.state_dict().items():
            assert torch.equal(weight, first.state_dict()[name])


def test_fine_tuning_that_was_broken_off_is_bundled_from_the_best(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    class Falls(Told):
        def epoch(self, state: RunState) -> None:
            raise ConnectionResetError("the machine went away")

    run, fine = tmp_path / "run", tmp_path / "fine"
    train_run(settings_of("bones", small), TrainRequest("bones", cohort, run, workers=0))
    request = TrainRequest("bones", cohort, fine, start_from=run, settings=small, workers=0)
    with pytest.raises(ConnectionResetError):
        train_run(run_settings(request), request, Falls())
    assert RunFolder(fine).chosen_checkpoint == fine / "best.ckpt"
    assert RunFolder(run).chosen_checkpoint == run / "last.ckpt"


def test_fine_tuning_that_could_not_be_measured_is_bundled_from_its_last_weights(
    cohort: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SegmentationModule, "_measurable", lambda self: False)
    run, fine = tmp_path / "run", tmp_path / "fine"
    train_run(settings_of("lesions", small), TrainRequest("lesions", cohort, run, workers=0))
    request = TrainRequest("lesions", cohort, fine, start_from=run, settings=small, workers=0)
    done = train_run(run_settings(request), request)
    assert done.before is None and done.score is None
    assert RunFolder(fine).chosen_checkpoint == fine / "last.ckpt"


def test_all_faults_are_listed(cohort: Path, small: Path, tmp_path: Path) -> None:
    bones_of(12)(cohort / "p0")
    cut_image(cohort / "p2")
    with pytest.raises(CohortError, match=r"2 case\(s\) cannot.*p0, DWI.*p2"):
        prepare_cohort(read_cohort(cohort), settings_of("bones", small), tmp_path / "store")


def test_splits_of_a_cohort(cohort: Path, small: Path, tmp_path: Path) -> None:
    given = cohort_splits(read_cohort(cohort), None, 0)
    assert given == Splits(train=("p0", "p1"), validation=("p2",))
    bones = RunFolder(tmp_path / "bones")
    bones.write_settings({})
    bones.write_splits({"train": ["p2"], "validation": [], "test": ["p7"]})
    settings = settings_of("lesions", small)
    with pytest.raises(CohortError, match="p2: validation of this run, train of run bones"):
        trained(settings, cohort, tmp_path / "lesions", split_of=bones.folder)
    with pytest.raises(InputError, match="keeps no splits"):
        trained(settings, cohort, tmp_path / "lesions", split_of=tmp_path)
    (cohort / "patients.csv").write_text("patient,split\np0,train\n")
    with pytest.raises(CohortError, match="no patient in the split validation"):
        cohort_splits(read_cohort(cohort), None, 0)


def test_a_run_starts_from_the_shipped_bundle(cohort: Path, small: Path, tmp_path: Path) -> None:
    source = start_source("first")
    assert source.is_bundle and source.words.startswith("bundle first") and source.splits is None
    adapted = adopted(DEFAULT_BONES, source)
    assert adapted.grid.spacing_mm == load_segmenter().settings.bone_grid.spacing_mm
    start = load_start(source, DEFAULT_LESIONS, Sequence.T1)
    other = load_start(source, DEFAULT_LESIONS, Sequence.DWI)
    assert start.task is Task.LESIONS and set(start.weights) == set(other.weights)
    assert not torch.equal(start.weights["head.bias"], other.weights["head.bias"])
    alone = replace(DEFAULT_LESIONS, sequences=("t1",))
    default = load_start(source, DEFAULT_LESIONS), load_start(source, alone)
    for found, expected in zip(default, (other, start), strict=True):
        assert torch.equal(found.weights["head.bias"], expected.weights["head.bias"])
    assert "better train two" in start_notes(source, DEFAULT_LESIONS)[0]
    assert start_notes(source, alone) == start_notes(source, DEFAULT_BONES) == ()
    with pytest.raises(SettingsError, match="another kind of grid"):
        chosen("bones", tmp_path, preset="paper", start_from="first")
    with pytest.raises(InputError, match=r"nothing to start from.*shipped bundle: first"):
        start_source(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"bundle first [\d.]+ do not fit.*stem\.weight is 24 x 1"):
        trained(settings_of("bones", small), cohort, tmp_path / "run", start_from="first")
    assert not (tmp_path / "run").exists()


def test_a_file_of_settings_that_cannot_be_read(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.yaml", "a: [b"), ("c.json", "[1]"), ("d.yml", "- 1")):
        (tmp_path / name).write_text(text)
        with pytest.raises(SettingsError, match="file of settings"):
            read_settings_file(tmp_path / name)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings_file(tmp_path / "gone.json")


def test_the_command_names_an_unknown_setting(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"network": {"chanels": [1, 2]}}')
    words = ["train", "bones", "--data", cohort, "-o", tmp_path / "run"]
    answer = CliRunner().invoke(app, [*map(str, words), "--settings", str(tmp_path / "wrong.json")])
    assert isinstance(answer.exception, PelvimetsError)
    assert "network.chanels" in str(answer.exception)
    assert not (tmp_path / "run").exists()


def test_what_is_printed_of_an_epoch() -> None:
    state = RunState(3, 60, 300, 0.05, 125.0, 5400.0, 0.81234, 0.4, 0.5, validated=True)
    assert epoch_words(state) == (
        "Epoch 3 of 60, step 300, loss 0.812, score 0.400 (best 0.500), 2 min trained, "
        "about 1 h 30 min left"
    )
    assert duration(59.7) == "1 min" and duration(3599) == "1 h 0 min"


def test_a_run_says_which_bones_networks_drew(cohort: Path, small: Path, tmp_path: Path) -> None:
    predicted = frozenset(bone.key for bone in Bone)
    for patient in ("p0", "p1"):
        write_judged(cohort / patient, {Sequence.DWI: Judged(frozenset(), predicted, "first 0.4")})
    run = tmp_path / "run"
    request = TrainRequest("lesions", cohort, run, workers=0)
    done = train_run(settings_of("lesions", small), request)
    assert done.data == "cohort cohort (bones of 2 of 3 images drawn by first 0.4)"
    assert RunFolder(run).read_data() == done.data
    with np.load(run / "samples/train/p0_dwi.npz") as sample:
        assert not sample["values"].any() and sample["truth"].any()


def test_folds_train_measure_and_become_an_ensemble(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    """Each patient is measured once; the bundle averages; out of fold one network reads."""
    for number in (3, 4):
        write_patient(cohort / f"p{number}", number)
    rows = ["patient,split,m_stage", *(f"p{n},,M{n % 2}" for n in range(4)), "p4,test,M1"]
    (cohort / "patients.csv").write_text("\n".join(rows) + "\n")
    runs, words = tmp_path / "runs", ["train", "lesions", "--data", str(cohort), "--folds", "2"]
    words += ["--settings", str(small), "--workers", "0"]
    done = CliRunner().invoke(app, [*words, "-o", str(runs)])
    assert done.exit_code == 0, done.output
    assert "Fold 2 of 2" in done.output and "Best scores of the folds" in done.output
    splits = [RunFolder(runs / f"fold-{n}").read_splits() for n in (1, 2)]
    measured = [key for own in splits if own for key in own["validation"]]
    assert sorted(measured) == ["p0", "p1", "p2", "p3"]
    assert all(own and own["test"] == ("p4",) for own in splits)
    again = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "b"), "--split-of", str(runs)])
    assert again.exit_code == 0, again.output
    assert FoldFolder(tmp_path / "b").read() == FoldFolder(runs).read()
    words = ["bundle", "--bones", "first", "--lesions", str(runs), "--lesions-t1", str(runs)]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "two")])
    assert done.exit_code == 0 and "COHORT --out-of-fold" in done.output
    for lesions in load_segmenter(tmp_path / "two").unseen_by("p0").lesions.values():
        assert isinstance(lesions, Ensemble) and len(lesions.members) == 1
    made = make_bundle(
        BundleRequest(bundle_folder(), runs, tmp_path / "bundle", "own", "1", "Test.")
    )
    segmenter = load_segmenter(made)
    assert segmenter.cross_validated == {"p0", "p1", "p2", "p3"}
    channels = np.random.default_rng(0).normal(size=(3, 8, 16, 16)).astype(np.float32)
    whole = segmenter.lesions[Sequence.DWI](channels)
    alone = {p: segmenter.unseen_by(p).lesions[Sequence.DWI] for p in ("p0", "p1", "p2", "p3")}
    fold_of = FoldFolder(runs).read() or {}
    own = {fold_of[p]: network(channels) for p, network in alone.items()}
    np.testing.assert_allclose(whole, (own[1] + own[2]) / 2, atol=1e-6)
    assert not np.allclose(own[1], own[2])
    assert segmenter.unseen_by("stranger") is segmenter
    assert "takes 2 times as long" in (made / "model_card.md").read_text()
    with pytest.raises(BundleError, match="averages several"):
        _ = segmenter.lesions[Sequence.DWI].files
    request = CalibrationRequest(made, (cohort,), tmp_path / "c")
    with pytest.raises(CohortError, match=r"learned from these patients.*--out-of-fold"):
        calibrate(request, silent)
    with pytest.raises(CohortError, match=r"Too few metastases on DWI.*4 in 4 of 4 patients"):
        calibrate(replace(request, out_of_fold=True), silent)  # p4 is set aside
    with pytest.raises(CohortError, match=r"1 in 1 of 1 patients"):
        calibrate(replace(request, out_of_fold=True, split="test"), silent)
    (cohort / "p0" / "dwi_lesions.nii.gz").unlink()
    with pytest.raises(CohortError, match=r"3 in 3 of 3 patients"):
        calibrate(replace(request, out_of_fold=True), silent)
    with pytest.raises(CohortError, match="knows no folds"):
        calibrate(replace(request, bundle=Path("first"), out_of_fold=True), silent)


def test_folds_that_contradict_are_refused(cohort: Path, small: Path, tmp_path: Path) -> None:
    request = TrainRequest("bones", cohort, tmp_path / "runs", settings=small, folds=3, workers=0)
    with pytest.raises(InputError, match="no such fold"):
        train_folds(replace(request, fold=4))
    (cohort / "patients.csv").write_text("patient,fold\np0,1\np1,2\np2,\n")
    with pytest.raises(CohortError, match=r"holds no fold for some patients \(got p2"):
        train_folds(request)
    (cohort / "patients.csv").write_text("patient,fold,person\np0,1,a\np1,2,a\np2,3,b\n")
    with pytest.raises(CohortError, match="one person stand in two folds"):
        train_folds(request)
    assert not (tmp_path / "runs").exists()


def test_folds_without_a_metastasis_are_refused_before_training(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    """No table says who has metastases: the masks do, also when folds are drawn."""
    for number in (3, 4, 5):
        write_patient(cohort / f"p{number}", number)
    for number in (2, 3, 4, 5):
        write_mask(cohort / f"p{number}" / "dwi_lesions.nii.gz", np.zeros(SHAPE, np.uint16))
    table = cohort / "patients.csv"
    table.write_text("patient\n" + "".join(f"p{n}\n" for n in range(6)))
    assert [m.m_stage for m in members_of(read_cohort(cohort).patients)] == ["M1"] * 2 + ["M0"] * 4
    request = TrainRequest("lesions", cohort, tmp_path / "runs", settings=small, folds=3, workers=0)
    with pytest.raises(CohortError, match=r"without a metastasis.*fold \d: p.*2 patients.*fewer"):
        train_folds(request)
    table.write_text("patient,fold\n" + "".join(f"p{n},{1 + (n > 1)}\n" for n in range(6)))
    with pytest.raises(CohortError, match=r"got fold 2: p2, p3, p4, p5"):
        train_folds(replace(request, folds=2))
    assert not (tmp_path / "runs").exists()
    table.write_text("patient\n" + "".join(f"p{n}\n" for n in range(6)))
    drawn = drawn_folds(members_of(read_cohort(cohort).patients), 2, 2021)
    assert {drawn["p0"], drawn["p1"]} == {1, 2}


def test_a_fold_on_another_grid_than_the_others_is_refused_before_training(
    cohort: Path, small: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    begun = RunFolder(runs / "fold-1")
    begun.write_settings(settings_to_dict(run_settings(TrainRequest("bones", cohort, runs))))
    begun.checkpoint.touch()
    grid = {"grid": {"spacing_mm": [6.0, 3.0, 3.0]}}
    small.write_text(json.dumps(SMALL | grid))
    request = TrainRequest("bones", cohort, runs, settings=small, folds=3, fold=2, workers=0)
    with pytest.raises(SettingsError, match=r"Fold 1 was trained on another grid.*6.0, 3.0"):
        train_folds(request)
    assert not (runs / "fold-2").exists()


def test_a_device_that_is_not_there_is_refused(cohort: Path, small: Path, tmp_path: Path) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    request = TrainRequest("bones", cohort, tmp_path / "run", device=Device.MPS)
    with pytest.raises(SettingsError, match=r"no such device.*cpu"):
        train_run(settings_of("bones", small), request)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kept", ["last.ckpt", "part.ckpt"])
def test_a_signal_to_the_whole_group_ends_without_a_traceback(
    cohort: Path, small: Path, tmp_path: Path, kept: str
) -> None:
    """As scancel sends it: to the workers that draw patches, too; also in the first epoch."""
    run, first = tmp_path / "run", kept == "part.ckpt"
    if first:
        small.write_text(json.dumps(SMALL | {"steps_per_epoch": 10_000}))
    begun = run / ("log/version_0/metrics.csv" if first else kept)
    words = [sys.executable, "-m", "pelvimets", "train", "bones", "--data", cohort, "-o", run]
    words += ["--settings", small, "--epochs", 10_000, "--workers", 1]
    process = subprocess.Popen(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    for _ in range(1200):
        if begun.is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in said, said
    assert "The same command goes on" in said and RunFolder(run).can_go_on
    assert RunFolder(run).has_trained != first
    if first:
        assert read_checkpoint(run / kept)["global_step"] >= 50
        with pytest.raises(InputError, match="There is nothing to start from"):
            start_source(run)


def test_a_run_stopped_before_it_begins_leaves_no_empty_folder(tmp_path: Path) -> None:
    for name, kept in (("empty", False), ("prepared", True)):
        run = tmp_path / name
        with pytest.raises(SystemExit), RunFolder(run).gone_if_failed():
            (run / "samples").mkdir(parents=True)
            if kept:
                (run / "samples" / "one.npz").touch()
            raise SystemExit(143)
        assert run.exists() == kept
