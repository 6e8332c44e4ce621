from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.config import GridSettings
from pelvimets.labels import Sequence
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.presets import DEFAULT_BONES
from pelvimets.training.sample import Sample, sample_from_arrays, truth_of
from pelvimets.training.settings import Stage, TrainingSettings


def made_sample(number: int, sequence: Sequence = Sequence.DWI) -> Sample:
    """A bright box (femoral head, 5) beside a darker one (ilium, 3) with a lesion in it."""
    rng = np.random.default_rng(number)
    bones = np.zeros((12, 24, 32), dtype=np.uint8)
    bones[2:10, 4:14, 3:13], bones[3:9, 6:20, 18:29] = 5, 3
    lesions = np.zeros(bones.shape, dtype=bool)
    lesions[4:7, 9:13, 21:25] = True
    mimics = np.zeros(bones.shape, dtype=bool)
    mimics[5:7, 6:8, 5:7] = True
    image = np.where(bones == 5, 2.0, np.where(bones == 3, 1.0, -0.5)) + 3 * lesions
    image = (image + rng.normal(0, 0.1, bones.shape)).astype(np.float32)
    spacing = (4.0, 2.0, 2.0)
    return sample_from_arrays(
        f"p{number}_{sequence.value}", sequence, spacing, image, truth_of(bones, lesions, mimics)
    )


class Samples:
    """A source of samples in memory; fails at the given read, as a killed run would."""

    def __init__(self, *samples: Sample, fail_at: int | None = None) -> None:
        self._samples = {sample.name: sample for sample in samples}
        self._left = fail_at

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._samples))

    def read(self, name: str) -> Sample:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyError("the power is gone")
        return self._samples[name]


@pytest.fixture
def sample() -> Sample:
    return made_sample(0)


def three_samples() -> Samples:
    return Samples(made_sample(0), made_sample(1, Sequence.T1), made_sample(2))


def tiny_settings() -> TrainingSettings:
    return replace(
        DEFAULT_BONES,
        network=NetworkSettings(channels=(4, 8), stem=(1, 2, 2)),
        grid=GridSettings(spacing_mm=(4.0, 4.0, 4.0), multiple_of=(2, 4, 4)),
        stages=(
            Stage(until=0.5, spacing_mm=(8.0, 4.0, 4.0), shape=(4, 8, 8), batch=2),
            Stage(until=1.0, spacing_mm=(4.0, 4.0, 4.0), shape=(8, 12, 12), batch=2),
        ),
        epochs=2,
        steps_per_epoch=3,
        warmup_steps=2,
        validate_every=1,
        precision="32-true",
    )


@pytest.fixture
def samples() -> Samples:
    return three_samples()


@pytest.fixture
def tiny() -> TrainingSettings:
    return tiny_settings()
