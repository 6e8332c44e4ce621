from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.physics.protocols import draw_scanner
from pelvimets.phantom.physics.scanner import SCANNERS
from pelvimets.training.data import PatchDataset
from pelvimets.training.patches import lesions_of
from pelvimets.training.phantom_samples import (
    EXAMINATIONS,
    TRAINED_SCANNERS,
    place_of,
    simulate_samples,
    simulated_name,
    simulated_plans,
)
from pelvimets.training.presets import DEFAULT_BONES
from pelvimets.training.sample import SIMULATED, bones_of
from pelvimets.training.settings import TrainingSettings
from tests.training.conftest import Samples, made_sample


def test_two_scanners_are_never_trained_on() -> None:
    plans = simulated_plans(60)
    assert len({plan.seed for plan in plans}) == 60
    places = [place_of(plan, n)[0] for plan in plans for n in range(EXAMINATIONS)]
    assert {place.name for place in places} == {"drawn", *TRAINED_SCANNERS}
    held_out = [scanner for name, scanner in SCANNERS.items() if name not in TRAINED_SCANNERS]
    assert len(held_out) == 2
    for scanner in held_out:
        assert scanner.diffusion not in [place.diffusion for place in places]
        assert scanner.dixon not in [place.dixon for place in places]


def test_the_same_man_is_examined_in_the_same_places() -> None:
    plan = simulated_plans(1)[0]
    assert place_of(plan, 1) == place_of(plan, 1)
    assert place_of(plan, 1) != place_of(plan, 2)


def test_drawn_protocols_stand_around_the_named_ones() -> None:
    drawn = [draw_scanner(np.random.default_rng(n)) for n in range(200)]
    for name, scanner in SCANNERS.items():
        for value in ("te_ms", "tr_ms", "muscle_snr", "phase_bandwidth_hz", "fat_suppression"):
            values = [getattr(other.diffusion, value) for other in drawn]
            assert min(values) < getattr(scanner.diffusion, value) < max(values), (name, value)
        for value in ("te_in_ms", "tr_ms", "flip_deg", "muscle_snr", "pixel_bandwidth_hz"):
            values = [getattr(other.dixon, value) for other in drawn]
            assert min(values) < getattr(scanner.dixon, value) < max(values), (name, value)


def test_each_examination_gives_a_sample_of_each_sequence() -> None:
    plan = next(p for p in simulated_plans(8) if p.lesion_volumes_cm3)
    samples = list(simulate_samples(plan, DEFAULT_BONES.sample_grid, DEFAULT_BONES.intensity))
    named = [simulated_name(plan, n, s) for n in range(EXAMINATIONS) for s in Sequence]
    assert [sample.name for sample in samples] == named
    assert [sample.sequence for sample in samples] == [*Sequence] * EXAMINATIONS
    for sample in samples:
        assert sample.spacing_mm == DEFAULT_BONES.sample_grid.spacing_mm
        assert set(np.unique(bones_of(sample.truth))) >= {2, 3, 4, 5, 7, 8}
        inside = sample.image[sample.image != 0].astype(np.float32)
        assert abs(float(inside.mean())) < 0.05
        assert lesions_of(sample.truth).any()
    assert AnatomySettings().sources == TRAINING_SOURCES


def test_simulated_samples_get_their_share(tiny: TrainingSettings) -> None:
    samples = [made_sample(n) for n in range(4)]
    samples[0] = replace(samples[0], name=f"{SIMULATED}1_dwi")
    settings = replace(tiny, simulated_share=0.6, steps_per_epoch=200)
    source = Samples(*samples)
    data = PatchDataset(source, settings, settings.stages[1], 0, source.names())
    drawn = Counter(data[n]["name"].startswith(SIMULATED) for n in range(300))
    assert 0.5 < drawn[True] / 300 < 0.7
