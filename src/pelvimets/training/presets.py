"""Presets: ``default`` for the time of two cores, ``paper`` as printed there."""

from __future__ import annotations

from dataclasses import replace

from pelvimets.config import GridSettings
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.settings import (
    PatchCentres,
    Stage,
    Task,
    TrainingSettings,
)

_NETWORK = NetworkSettings()
_SAMPLE_GRID = GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=(1, 1, 1))

DEFAULT_BONES = TrainingSettings(
    task=Task.BONES,
    grid=GridSettings(spacing_mm=(4.0, 4.0, 4.0), multiple_of=_NETWORK.multiple_of),
    sample_grid=_SAMPLE_GRID,
    network=_NETWORK,
    stages=(
        Stage(until=0.33, spacing_mm=(8.0, 6.0, 6.0), shape=(24, 48, 48), batch=4),
        Stage(until=1.0, spacing_mm=(4.0, 4.0, 4.0), shape=(48, 64, 64), batch=2),
    ),
)

DEFAULT_LESIONS = replace(
    DEFAULT_BONES,
    task=Task.LESIONS,
    grid=GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=_NETWORK.multiple_of),
    stages=(
        Stage(until=0.25, spacing_mm=(6.0, 4.0, 4.0), shape=(24, 48, 48), batch=4),
        Stage(until=1.0, spacing_mm=(4.0, 2.0, 2.0), shape=(40, 80, 80), batch=3),
    ),
    centres=PatchCentres(on_lesion=0.5, on_mimic=0.25, on_bone=0.25),
)
