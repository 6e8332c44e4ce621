from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pelvimets.errors import InputError, VerificationError
from pelvimets.training.module import SegmentationModule, rate_factor
from pelvimets.training.run import load_trained, train
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.start import start_of_checkpoint
from tests.training.conftest import Samples, made_sample

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own advice on tiny runs


def weights(settings: TrainingSettings, run: Path) -> np.ndarray:
    network, _, _ = load_trained(settings, run / "last.ckpt")
    return torch.cat([p.flatten() for p in network.state_dict().values()]).numpy()


def test_a_killed_run_goes_on_to_the_same_result(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    settings = replace(tiny, precision="32-true")
    train(settings, samples, samples, tmp_path / "whole")
    three = (made_sample(0), made_sample(1), made_sample(2))
    # 6 patches and 3 images in the first epoch, then the power goes in the second
    broken = Samples(*(samples.read(n) for n in samples.names()), fail_at=8)
    with pytest.raises(KeyError, match="power"):
        train(settings, broken, Samples(*three), tmp_path / "parts")
    assert (tmp_path / "parts" / "last.ckpt").exists()
    train(settings, samples, samples, tmp_path / "parts")
    np.testing.assert_array_equal(
        weights(settings, tmp_path / "parts"), weights(settings, tmp_path / "whole")
    )


@pytest.mark.parametrize("task", list(Task))
def test_training_lowers_the_loss_and_logs_what_it_measured(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path, task: Task
) -> None:
    settings = replace(
        tiny,
        task=task,
        stages=(tiny.stages[1],),
        epochs=6,
        steps_per_epoch=8,
        validate_every=3,
        learning_rate=1e-2,
        average_decay=0.5,
    )
    module = train(settings, samples, samples, tmp_path)
    rows = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("train_loss")
    losses = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert losses[-1] < 0.9 * losses[0]
    measured = {name: float(v) for name, v in module.trainer.callback_metrics.items()}
    assert 0 <= measured["score"] <= 1
    named = "dice_t1_ilium" if task is Task.BONES else "recall_t1"
    assert named in measured


def test_a_loss_that_is_not_finite_names_its_samples(
    tiny: TrainingSettings, tmp_path: Path
) -> None:
    bad = made_sample(7)
    bad.image[4:8] = np.nan
    with pytest.raises(VerificationError, match=r"p7_dwi"):
        train(tiny, Samples(bad), Samples(bad), tmp_path)


def test_no_sample_no_training(tiny: TrainingSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample"):
        train(tiny, Samples(), Samples(), tmp_path)


def test_a_new_run_takes_the_weights_that_fit(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    bones = replace(tiny, epochs=1)
    train(bones, samples, samples, tmp_path / "bones")
    lesions = replace(tiny, task=Task.LESIONS, epochs=1, learning_rate=0.0, weight_decay=0.0)
    train(
        lesions,
        samples,
        samples,
        tmp_path / "lesions",
        start=start_of_checkpoint(tmp_path / "bones" / "last.ckpt", "bones"),
    )
    given, _, _ = load_trained(bones, tmp_path / "bones" / "last.ckpt")
    taken, _, _ = load_trained(lesions, tmp_path / "lesions" / "last.ckpt")
    inner = "down.1.convolutions.0.0.weight"
    torch.testing.assert_close(taken.state_dict()[inner], given.state_dict()[inner])
    assert taken.state_dict()["stem.weight"].shape[1] == 3


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
