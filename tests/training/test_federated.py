"""Sites that train together: what they hand in and take, and a whole job of NVFLARE."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pelvimets.errors import InputError, MissingExtraError, ResourceError, SettingsError
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.training.checkpoint import read_checkpoint
from pelvimets.training.federated import (
    Exchange,
    FlareChannel,
    federated_settings,
    rounds_of,
    shared_weights,
)
from pelvimets.training.module import SegmentationModule
from pelvimets.training.run import train
from pelvimets.training.settings import TrainingSettings
from tests.model_development.test_train import write_patient
from tests.training.conftest import Samples

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, on tiny runs

ROOT = Path(__file__).parents[2]
Weights = Mapping[str, np.ndarray[Any, Any]]


class Others:
    """Answers what a site hands in with that, moved: as if others had learned something else."""

    def __init__(self, last_round: int = 100) -> None:
        self.sent: list[tuple[Weights, int, float | None]] = []
        self.answered: list[Weights] = []
        self._last = last_round

    def receive(self) -> Weights | None:
        if len(self.sent) >= self._last:
            return None
        shared = {n: w + np.float32(0.01) for n, w in self.sent[-1][0].items()} if self.sent else {}
        self.answered.append(shared)
        return shared

    def send(self, weights: Weights, patients: int, score: float | None) -> None:
        self.sent.append((weights, patients, score))


def test_a_site_measures_and_keeps_what_all_share(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    settings, others = replace(tiny, epochs=3, validate_every=2), Others()
    meeting = Exchange(others, patients=3)
    module = train(settings, samples, samples, tmp_path, callbacks=[meeting], quiet=True)
    assert [patients for _, patients, _ in others.sent] == [3] * rounds_of(settings) == [3, 3, 3]
    kept = read_checkpoint(tmp_path / "last.ckpt")["state_dict"]
    final = others.answered[-1]
    assert any(name.startswith("network.") for name in final)
    assert any(name.startswith("averaged.module.") for name in final)
    for name, weight in final.items():
        np.testing.assert_array_equal(kept[name].numpy(), weight)
        np.testing.assert_array_equal(others.sent[-1][0][name], weight)  # nobody trains at the end
    assert others.sent[-1][2] == module.score
    moved = others.sent[1][0]["network." + next(iter(module.network.state_dict()))]
    begun = others.answered[1]["network." + next(iter(module.network.state_dict()))]
    assert 0 < np.abs(moved - begun).max() < 0.1  # one epoch of training away


def test_weights_of_another_network_are_refused(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    class Strangers(Others):
        def receive(self) -> Weights | None:
            return {"network.other": np.zeros(3, np.float32)}

    with pytest.raises(InputError, match=r"not those of this site's network.*same settings"):
        train(tiny, samples, samples, tmp_path, callbacks=[Exchange(Strangers(), 3)], quiet=True)


def test_others_that_end_too_early_are_named(
    tiny: TrainingSettings, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match=r"ended before.*after 1 of 2"):
        train(tiny, samples, samples, tmp_path, callbacks=[Exchange(Others(2), 3)], quiet=True)


def test_sites_do_not_stop_by_the_clock_or_for_lack_of_gain(tiny: TrainingSettings) -> None:
    assert federated_settings(replace(tiny, patience=3)).patience is None
    with pytest.raises(SettingsError, match="--epochs instead of --minutes"):
        federated_settings(replace(tiny, minutes=2.0))


@pytest.mark.skipif(find_spec("nvflare") is not None, reason="NVFLARE is installed")
def test_without_nvflare_it_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"pelvimets\[train,federated\]"):
        FlareChannel()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nvflare") is None, reason="the extra 'federated' is not installed")
def test_three_hospitals_end_with_one_network(tmp_path: Path) -> None:
    """The mean of their first rounds is weighted by patients; all keep the same at the end."""
    cohorts, runs = tmp_path / "cohorts", tmp_path / "runs"
    for number, (site, patients) in enumerate({"north": 2, "south": 3, "west": 5}.items()):
        rows = ["patient,split"]
        for n in range(patients + 1):
            write_patient(cohorts / site / f"p{n}", 10 * number + n)
            rows.append(f"p{n},{'validation' if n == patients else 'train'}")
        (cohorts / site / "patients.csv").write_text("\n".join(rows) + "\n")
        assert len(read_cohort(cohorts / site).patients) == patients + 1
    settings = tmp_path / "settings.json"
    settings.write_text(
        '{"network": {"channels": [4, 8], "stem": [1, 2, 2]}, "steps_per_epoch": 2, "epochs": 2, '
        '"validate_every": 1, "precision": "32-true", "grid": {"spacing_mm": [4, 4, 4], '
        '"multiple_of": [2, 4, 4]}, "stages": [{"until": 1.0, "spacing_mm": [4, 4, 4], "shape": '
        "[8, 12, 12], "
        '"batch": 2}]}'
    )
    job = [sys.executable, str(ROOT / "docs" / "federated" / "job.py"), "bones"]
    job += ["--simulate", str(cohorts), "--settings", str(settings), "-o", str(runs)]
    ended = subprocess.run(
        [*job, "--workers", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    states = [
        read_checkpoint(runs / site / "last.ckpt")["state_dict"]
        for site in ("north", "south", "west")
    ]
    shared = [n for n in states[0] if n.startswith(("network.", "averaged.module."))]
    for name in shared:
        for other in states[1:]:
            torch.testing.assert_close(states[0][name], other[name], rtol=0, atol=1e-6)


def test_shared_weights_are_those_of_both_networks(
    tiny: TrainingSettings, samples: Samples
) -> None:
    module = SegmentationModule(tiny, samples, samples)
    names = {name.partition(".")[0] for name in shared_weights(module)}
    assert names == {"network", "averaged"}
    assert len(shared_weights(module)) == 2 * len(module.network.state_dict())
