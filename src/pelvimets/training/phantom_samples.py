"""Training samples drawn from digital patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.intensity import normalise
from pelvimets.labels import Sequence
from pelvimets.phantom.sampler import FieldSettings, SamplerSettings, TrainingSample, draw_sample
from pelvimets.training.sample import Sample, sample_from_arrays

FIELD_MM = (320.0, 304.0, 416.0)
TRAINING_SEEDS = 1_000_000
VALIDATION_SEEDS = 2_000_000

VALIDATION_SAMPLER = SamplerSettings(
    realistic_probability=1.0, field_of_view=FieldSettings(small_probability=0.15)
)


def draw_training_sample(
    seed: int,
    grid: GridSettings,
    intensity: IntensitySettings,
    settings: SamplerSettings | None = None,
) -> Sample:
    """One digital patient with one sequence, prepared as in reading.

    Args:
        seed: The patient; the same seed gives the same sample.
        grid: Its spacing is used.
        intensity: As in reading.
        settings: Ranges of the sampler.
    """
    spacing = grid.spacing_mm or (4.0, 2.0, 2.0)
    z, y, x = (int(np.ceil(f / s)) for f, s in zip(FIELD_MM, spacing, strict=True))
    drawn = draw_sample(np.random.default_rng(seed), (z, y, x), spacing, settings)
    return _prepared(f"{seed}_{drawn.sequence}", drawn, intensity)


def validation_samples(
    per_sequence: int, grid: GridSettings, intensity: IntensitySettings
) -> Iterator[Sample]:
    """The first digital patients of the validation seeds, equally many of both sequences."""
    missing = dict.fromkeys(Sequence, per_sequence)
    seed = VALIDATION_SEEDS
    while any(missing.values()):
        sample = draw_training_sample(seed, grid, intensity, VALIDATION_SAMPLER)
        seed += 1
        if missing[sample.sequence]:
            missing[sample.sequence] -= 1
            yield sample


def field_of(drawn: TrainingSample) -> TrainingSample:
    """The part of a drawn sample inside its field of view, as a scanner would give it."""
    box = tuple(
        slice(int(hits[0]), int(hits[-1]) + 1)
        for hits in (
            np.flatnonzero(drawn.valid.any(axis=tuple(a for a in range(3) if a != axis)))
            for axis in range(3)
        )
    )
    start = [s.start * step for s, step in zip(box, drawn.spacing_mm, strict=True)]
    x, y, z = drawn.origin_lps_mm
    return replace(
        drawn,
        image=drawn.image[box],
        bones=drawn.bones[box],
        lesions=drawn.lesions[box],
        mimics=drawn.mimics[box],
        valid=drawn.valid[box],
        origin_lps_mm=(x + start[2], y + start[1], z + start[0]),
    )


def _prepared(name: str, drawn: TrainingSample, intensity: IntensitySettings) -> Sample:
    cut = field_of(drawn)
    return sample_from_arrays(
        name,
        Sequence(cut.sequence),
        cut.spacing_mm,
        normalise(cut.image, intensity, cut.valid),
        cut.bones,
        cut.lesions > 0,
        cut.mimics > 0,
    )
