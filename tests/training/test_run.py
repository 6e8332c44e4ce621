"""A run: what it learns, what it keeps, and that it goes on after it was stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pelvimets
from pelvimets.errors import InputError, OutputError, VerificationError
from pelvimets.training.checkpoint import WholeFiles, read_checkpoint
from pelvimets.training.data import loader
from pelvimets.training.module import SegmentationModule, rate_factor
from pelvimets.training.observing import RunState, remaining_seconds
from pelvimets.training.processes import Processes, launched
from pelvimets.training.run import load_trained, train
from pelvimets.training.sample import ONE_BY_ONE
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.start import Start, start_of_checkpoint, take_weights
from tests.training.conftest import Samples, made_sample

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, on tiny runs


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in the same order in every process, so that results agree to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.steps: list[RunState] = []
        self.epochs: list[RunState] = []
        self.pictures: dict[int, bytes] = {}

    def preparing(self, what: str, done: int, total: int) -> None:
        raise AssertionError("nothing is prepared here")

    def step(self, state: RunState) -> None:
        self.steps.append(state)

    def epoch(self, state: RunState) -> None:
        self.epochs.append(state)

    def picture(self, epoch: int, png: bytes) -> None:
        self.pictures[epoch] = png


def weights(settings: TrainingSettings, run: Path) -> np.ndarray:
    network, _, _ = load_trained(settings, run / "last.ckpt")
    return torch.cat([p.flatten() for p in network.state_dict().values()]).numpy()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    """A run that nobody disturbed."""
    from tests.training.conftest import three_samples, tiny_settings

    run, notes = tmp_path_factory.mktemp("whole"), Notes()
    train(tiny_settings(), three_samples(), three_samples(), run, observer=notes)
    return run, notes


def test_a_run_that_broke_off_goes_on_to_the_same_result(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path, whole: tuple[Path, Notes]
) -> None:
    # 6 patches in the first epoch, then the power goes in the second
    broken = Samples(*(samples.read(n) for n in samples.names()), fail_at=8)
    with pytest.raises(KeyError, match="power"):
        train(tiny, broken, samples, tmp_path, quiet=True)
    assert (tmp_path / "last.ckpt").exists()
    train(tiny, samples, samples, tmp_path, quiet=True)
    np.testing.assert_array_equal(weights(tiny, tmp_path), weights(tiny, whole[0]))


def test_a_run_killed_while_it_writes_goes_on_to_the_same_result(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path, whole: tuple[Path, Notes]
) -> None:
    command = [sys.executable, "-m", "tests.training.killed", str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    read_checkpoint(tmp_path / "last.ckpt")  # of the first epoch, and whole
    assert list(tmp_path.glob(".*.part"))
    train(tiny, samples, samples, tmp_path, quiet=True)
    np.testing.assert_array_equal(weights(tiny, tmp_path), weights(tiny, whole[0]))


@pytest.mark.parametrize("seed", range(int(os.environ.get("PELVIMETS_KILLS", "2"))))
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(
    tiny: TrainingSettings,
    samples: Samples,
    tmp_path: Path,
    whole: tuple[Path, Notes],
    seed: int,
) -> None:
    """The moment is drawn from the seed; more of them: PELVIMETS_KILLS=40."""
    command = [sys.executable, "-m", "tests.training.killed", str(tmp_path), "left-alone"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(tmp_path.iterdir()):
        time.sleep(0.01)
    time.sleep(float(np.random.default_rng(seed).uniform(0.0, 3.0)))
    process.kill()
    process.wait()
    train(tiny, samples, samples, tmp_path, quiet=True)
    np.testing.assert_array_equal(weights(tiny, tmp_path), weights(tiny, whole[0]))


def test_a_machine_that_has_srun_gives_no_hint_about_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert launched() == Processes() and not list(recwarn)


class Stops(Notes):
    """Has the process told to stop while a step is on, as scancel does."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, state: RunState) -> None:
        super().step(state)
        if state.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_run_told_to_stop_within_an_epoch_keeps_its_steps(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path, at: int, workers: int
) -> None:
    """Three steps an epoch; at the third the epoch is finished first."""
    dropping = replace(tiny, network=replace(tiny.network, dropout=0.3))
    folders = tmp_path / "whole", tmp_path / "stopped"
    train(dropping, samples, samples, folders[0], quiet=True)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        train(
            dropping,
            samples,
            samples,
            folders[1],
            quiet=True,
            observer=Stops(at),
            workers=workers,
        )
    assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert (folders[1] / "part.ckpt").exists() == (at != 3)
    assert (folders[1] / "last.ckpt").exists() == (at > 2)
    if at != 3:
        assert read_checkpoint(folders[1] / "part.ckpt")["global_step"] == at
    notes = Notes()
    module = train(
        dropping, samples, samples, folders[1], quiet=True, observer=notes, workers=workers
    )
    assert [s.step for s in notes.steps] == list(range(at + 1, 7)) and module.global_step == 6
    assert not (folders[1] / "part.ckpt").exists()
    np.testing.assert_array_equal(weights(dropping, folders[1]), weights(dropping, folders[0]))


def test_a_run_that_has_ended_trains_no_further(
    tiny: TrainingSettings, samples: Samples, whole: tuple[Path, Notes]
) -> None:
    before = (whole[0] / "last.ckpt").read_bytes()
    module = train(tiny, samples, samples, whole[0], quiet=True)
    assert module.global_step == 6
    assert (whole[0] / "last.ckpt").read_bytes() == before


def test_what_an_observer_is_told(whole: tuple[Path, Notes]) -> None:
    notes = whole[1]
    assert [s.step for s in notes.steps] == [1, 2, 3, 4, 5, 6]
    assert notes.steps[-1].share == 1 and notes.steps[-1].remaining_seconds == 0
    assert notes.steps[2].remaining_seconds is not None
    assert [(s.epoch, s.epochs, s.step) for s in notes.epochs] == [(1, 2, 3), (2, 2, 6)]
    assert all(s.validated and 0 <= s.score <= s.best for s in notes.epochs)


def test_logs_and_pictures_of_a_run(whole: tuple[Path, Notes]) -> None:
    run, notes = whole
    rows = (run / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    assert "score" in rows[0] and "learning_rate" in rows[0] and len(rows) > 3
    assert len(list((run / "tensorboard" / "version_0").glob("events.*"))) == 1
    assert sorted(notes.pictures) == [1, 2]
    (run / "seen.png").write_bytes(notes.pictures[2])
    with Image.open(run / "seen.png") as sheet:
        assert sheet.width == 4 * 300 + 3 * 6
        assert sheet.height > 3 * 150  # three images below each other


@pytest.mark.parametrize("task", list(Task))
def test_training_lowers_the_loss_and_logs_what_it_measured(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path, task: Task
) -> None:
    settings = replace(
        tiny,
        task=task,
        stages=(tiny.stages[1],),
        epochs=5,
        steps_per_epoch=8,
        validate_every=3,
        learning_rate=1e-2,
        average_decay=0.5,
        precision="bf16-mixed",
    )
    notes = Notes()
    module = train(settings, samples, samples, tmp_path, observer=notes, quiet=True)
    losses = [state.loss for state in notes.epochs]
    assert losses[-1] < 0.9 * losses[0]
    assert [state.validated for state in notes.epochs] == [False, False, True, False, True]
    measured = {name: float(v) for name, v in module.trainer.callback_metrics.items()}
    assert 0 <= measured["score"] <= 1
    named = "dice_t1_ilium" if task is Task.BONES else "recall_t1"
    assert named in measured
    assert not (tmp_path / "tensorboard").exists() and not notes.pictures


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(checkpoint: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/1: No space left")

    WholeFiles().save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"cannot be written.*No space left"):
        WholeFiles().save_checkpoint({"epoch": 2}, tmp_path / "last.ckpt")
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt") == {"epoch": 1}


def test_a_loss_that_is_not_finite_names_its_samples(
    tiny: TrainingSettings, tmp_path: Path
) -> None:
    bad = made_sample(7)
    bad.image[4:8] = np.nan
    with pytest.raises(VerificationError, match=r"p7_dwi"):
        train(tiny, Samples(bad), Samples(bad), tmp_path, quiet=True)


def test_a_gradient_that_is_not_finite_names_its_samples(
    tiny: TrainingSettings, samples: Samples
) -> None:
    module = SegmentationModule(tiny, samples, samples)
    module._names = ["p1_dwi"]
    first = next(module.network.parameters())
    first.grad = torch.full_like(first, torch.inf)
    with pytest.raises(VerificationError, match=r"gradient is not finite.*p1_dwi"):
        module.on_before_optimizer_step(torch.optim.SGD(module.network.parameters()))


def test_gradients_in_half_precision_are_right_however_flat_the_patches(
    tiny: TrainingSettings, samples: Samples
) -> None:
    """Where a level is two slices high, channels-last memory made weight gradients at random."""
    flat = replace(tiny.stages[0], until=1.0)  # 4 slices, then 2
    settings = replace(tiny, stages=(flat,))
    module = SegmentationModule(settings, samples, samples)
    images = torch.randn(2, 1, *flat.shape)
    target = torch.randint(0, 9, (2, *flat.shape))

    def gradients(*, half: bool) -> dict[str, torch.Tensor]:
        module.zero_grad()
        for size in (10**3, 10**4, 10**5):  # memory that is given out next is full of NaN
            torch.full((size,), torch.nan, dtype=torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = module.network(module._ordered(images))
        values = torch.tensor(ONE_BY_ONE).expand(2, -1)
        module._loss(logits, {"target": target, "values": values}).backward()
        return {n: p.grad.clone() for n, p in module.network.named_parameters()}

    exact = gradients(half=False)
    for _ in range(10):
        for name, gradient in gradients(half=True).items():
            error = (gradient - exact[name]).norm() / exact[name].norm().clamp(min=1e-3)
            assert error < 0.2, name


def test_no_sample_no_training(tiny: TrainingSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample"):
        train(tiny, Samples(), Samples(), tmp_path, quiet=True)


def test_a_new_run_takes_the_weights_of_the_other_network_that_fit(
    tiny: TrainingSettings, samples: Samples, whole: tuple[Path, Notes]
) -> None:
    module = SegmentationModule(replace(tiny, task=Task.LESIONS), samples, samples)
    given = start_of_checkpoint(whole[0] / "last.ckpt", "run whole")
    left = take_weights(module, given)
    assert set(left) == {"stem.weight", "head.weight", "head.bias"}
    inner = "down.1.convolutions.0.0.weight"
    torch.testing.assert_close(module.network.state_dict()[inner], given.weights[inner])
    torch.testing.assert_close(module.averaged.module.state_dict()[inner], given.weights[inner])
    assert module.network.state_dict()["stem.weight"].shape[1] == 3


def test_a_network_with_a_fine_level_takes_weights_of_one_without(
    tiny: TrainingSettings, samples: Samples, whole: tuple[Path, Notes]
) -> None:
    given = start_of_checkpoint(whole[0] / "last.ckpt", "run whole")
    fine = replace(tiny, network=replace(tiny.network, fine=4))
    module = SegmentationModule(fine, samples, samples)
    assert take_weights(module, given) == ()
    image = torch.randn(1, 1, 8, 16, 16)
    before = SegmentationModule(tiny, samples, samples)
    take_weights(before, given)
    with torch.no_grad():
        torch.testing.assert_close(module.network(image), before.network(image))
    fine_weights = {n: t for n, t in module.network.state_dict().items() if n.startswith("fine.")}
    for name, tensor in fine_weights.items():
        torch.testing.assert_close(module.averaged.module.state_dict()[name], tensor)
    wider = replace(fine, network=replace(fine.network, fine=6))
    other = Start("run fine", Task.BONES, module.network.state_dict())
    with pytest.raises(InputError, match="do not fit"):
        take_weights(SegmentationModule(wider, samples, samples), other)


def test_weights_of_the_same_network_must_all_fit(
    tiny: TrainingSettings, samples: Samples, whole: tuple[Path, Notes]
) -> None:
    given = start_of_checkpoint(whole[0] / "last.ckpt", "run whole")
    wider = replace(tiny, network=replace(tiny.network, channels=(4, 12)))
    with pytest.raises(InputError, match=r"run whole do not fit.*down\.1\..* is 8 x 4 x 3 x 3 x 3"):
        take_weights(SegmentationModule(wider, samples, samples), given)
    unknown = Start("bundle x", Task.BONES, {"a": torch.zeros(1)})
    with pytest.raises(InputError, match=r"stem\.weight is not there"):
        take_weights(SegmentationModule(tiny, samples, samples), unknown)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_text("no")
    for path in (tmp_path / "last.ckpt", tmp_path / "gone.ckpt"):
        with pytest.raises(InputError, match="cannot be read"):
            start_of_checkpoint(path, "run")


class Runs:
    """Unpickled with trust, it makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, (f"touch {self.made}",)


@pytest.fixture
def crafted(whole: tuple[Path, Notes], tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint like any other, but for a program in it, and what the program makes."""
    kept, made = read_checkpoint(whole[0] / "last.ckpt"), tmp_path / "ran"
    torch.save(kept | {"more": Runs(made)}, tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert made.exists()  # the program works, for whoever trusts it
    made.unlink()
    return tmp_path / "last.ckpt", made


def test_a_crafted_checkpoint_runs_nothing(
    tiny: TrainingSettings, samples: Samples, crafted: tuple[Path, Path]
) -> None:
    path, made = crafted
    for reading in (
        lambda: start_of_checkpoint(path, "run"),
        lambda: load_trained(tiny, path),
        lambda: train(tiny, samples, samples, path.parent, quiet=True),
    ):
        with pytest.raises(InputError, match="could run a program"):
            reading()
        assert not made.exists()


def test_older_checkpoints_with_an_enum_in_them_are_read(
    whole: tuple[Path, Notes], tmp_path: Path
) -> None:
    kept = read_checkpoint(whole[0] / "last.ckpt")
    kept["settings"]["task"] = Task.BONES
    torch.save(kept, tmp_path / "old.ckpt")
    assert start_of_checkpoint(tmp_path / "old.ckpt", "run").task is Task.BONES
    del kept["settings"]
    torch.save(kept, tmp_path / "older.ckpt")
    assert start_of_checkpoint(tmp_path / "older.ckpt", "run").task is None


@pytest.mark.parametrize("part", ["state_dict", "global_step", "seconds"])
def test_a_checkpoint_of_something_else_is_refused(
    whole: tuple[Path, Notes], tmp_path: Path, part: str
) -> None:
    kept = read_checkpoint(whole[0] / "last.ckpt")
    torch.save({**kept, part: None}, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match=f"no {part} in it"):
        start_of_checkpoint(tmp_path / "last.ckpt", "run")


def test_the_rate_rises_then_falls_to_zero(tiny: TrainingSettings) -> None:
    settings = replace(tiny, warmup_steps=10)
    assert rate_factor(settings, 0, 0.0) == pytest.approx(0.1)
    assert rate_factor(settings, 50, 0.5) == pytest.approx(0.5)
    assert rate_factor(settings, 99, 1.0) == pytest.approx(0.0, abs=1e-9)
    assert rate_factor(replace(settings, schedule="constant"), 50, 0.9) == 1.0


def test_the_clock_ends_a_timed_run(tiny: TrainingSettings, samples: Samples) -> None:
    module = SegmentationModule(replace(tiny, minutes=1.0), samples, samples)
    module._started -= 40.0
    assert module.progress == pytest.approx(40 / 60, abs=0.01)
    assert module.stage() is tiny.stages[1]


def test_the_end_is_estimated_from_the_voxels_still_to_come(tiny: TrainingSettings) -> None:
    """Stages of 512 and 2304 voxels a step: after half the first, 128 of 1408 parts are done."""
    assert remaining_seconds(tiny.stages, 0.0, 0.25, 1.0) == pytest.approx(10.0)
    assert remaining_seconds(tiny.stages, 0.5, 0.75, 3.0) == pytest.approx(3.0)
    assert remaining_seconds(tiny.stages, 0.5, 0.5, 3.0) is None


def test_nothing_that_is_shipped_unpickles_with_trust() -> None:
    trusting = re.compile(r"weights_only=False|pickle\.loads?\(|allow_pickle=True")
    sources = Path(pelvimets.__file__).parent.rglob("*.py")
    assert [p.name for p in sources if trusting.search(p.read_text(encoding="utf-8"))] == []


class _SignalsHeard:
    """Says which signals the process that draws its items would answer."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int) -> list[bool]:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        ignored = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        return [signal.SIGTERM in held, signal.SIGINT in held, ignored]


def test_a_worker_hears_no_signal_from_its_first_moment_on() -> None:
    """Held back when it is forked, so that none is heard before it is ignored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    batches = iter(loader(_SignalsHeard(), batch=1, workers=1))  # type: ignore[arg-type]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert [bool(said) for said in next(batches)] == [True, True, True]
