from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy import AnatomySettings
from pelvimets.training.data import PatchDataset
from pelvimets.training.patches import lesions_of
from pelvimets.training.phantom_samples import (
    TRAINED_SCANNERS,
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
    assert len(plans) == 60
    assert {plan.scanner for plan in plans} == set(TRAINED_SCANNERS) == {"discovery", "achieva"}
    assert len({plan.seed for plan in plans}) == 60


def test_a_simulated_examination_gives_a_sample_of_each_sequence() -> None:
    plan = next(p for p in simulated_plans(8) if p.lesion_volumes_cm3)
    dwi, t1 = simulate_samples(plan, DEFAULT_BONES.sample_grid, DEFAULT_BONES.intensity)
    assert dwi.name == simulated_name(plan, Sequence.DWI)
    assert (dwi.sequence, t1.sequence) == (Sequence.DWI, Sequence.T1)
    for sample in (dwi, t1):
        assert sample.spacing_mm == DEFAULT_BONES.sample_grid.spacing_mm
        assert set(np.unique(bones_of(sample.truth))) >= {2, 3, 4, 5, 7, 8}
        inside = sample.image[sample.image != 0].astype(np.float32)
        assert abs(float(inside.mean())) < 0.05
    assert lesions_of(dwi.truth).any()
    assert AnatomySettings().sources == ("mesh", "ct")


def test_simulated_samples_get_their_share(tiny: TrainingSettings) -> None:
    samples = [made_sample(n) for n in range(4)]
    samples[0] = replace(samples[0], name=f"{SIMULATED}1_dwi")
    settings = replace(tiny, simulated_share=0.6, steps_per_epoch=200)
    source = Samples(*samples)
    data = PatchDataset(source, settings, settings.stages[1], 0, source.names())
    drawn = Counter(data[n]["name"].startswith(SIMULATED) for n in range(300))
    assert 0.5 < drawn[True] / 300 < 0.7
