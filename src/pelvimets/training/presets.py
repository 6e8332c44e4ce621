"""Presets: ``default`` for the time of two cores, ``paper`` after the paper.

``residual`` and ``attention`` are the default with another network. The last patches of
``default`` are nearly as large as what is read at once: instance normalisation takes mean and
deviation over the whole patch, and a network that only knows small ones reads large fields worse.
Their grid is finer than the thin parts of the pubis (``benchmarks/grid_ceiling.py``).

The paper gives grid, loss, optimiser, rates, batches, epochs, shear up to 5 degrees and
shifts up to a tenth. It does not give width, depth or the patience of early stopping; those
are chosen here. Weights are not averaged there.
"""

from __future__ import annotations

from dataclasses import replace
from math import radians, tan

from pelvimets.config import PAPER_GRID, GridSettings, IntensitySettings
from pelvimets.errors import SettingsError
from pelvimets.model.settings import NETWORKS
from pelvimets.training.settings import (
    Augmentation,
    LossSettings,
    PatchCentres,
    Stage,
    Task,
    TrainingSettings,
)

_NETWORK = NETWORKS["unet"]
_SAMPLE_GRID = GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=(1, 1, 1))

DEFAULT_BONES = TrainingSettings(
    task=Task.BONES,
    grid=GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=_NETWORK.multiple_of),
    sample_grid=_SAMPLE_GRID,
    network=_NETWORK,
    stages=(
        Stage(until=0.33, spacing_mm=(8.0, 6.0, 6.0), shape=(24, 48, 48), batch=4),
        Stage(until=0.7, spacing_mm=(4.0, 4.0, 4.0), shape=(48, 64, 64), batch=2),
        Stage(until=1.0, spacing_mm=(4.0, 2.0, 2.0), shape=(48, 128, 160), batch=1),
    ),
)

DEFAULT_LESIONS = replace(
    DEFAULT_BONES,
    task=Task.LESIONS,
    grid=GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=_NETWORK.multiple_of),
    stages=(
        Stage(until=0.2, spacing_mm=(4.0, 4.0, 4.0), shape=(24, 48, 48), batch=4),
        Stage(until=1.0, spacing_mm=(4.0, 2.0, 2.0), shape=(48, 96, 128), batch=1),
    ),
    loss=LossSettings(small_lesion_cm3=2.0),
    centres=PatchCentres(on_lesion=0.5, on_mimic=0.25, on_bone=0.25),
)

PAPER_BONES = TrainingSettings(
    task=Task.BONES,
    grid=PAPER_GRID,
    sample_grid=PAPER_GRID,
    intensity=IntensitySettings(clip_percentiles=(0.0, 100.0)),
    network=NETWORKS["paper"],
    stages=(Stage(until=1.0, spacing_mm=None, shape=(64, 224, 224), batch=2),),
    augmentation=Augmentation(
        rotation_degrees=0.0,
        scale=0.0,
        shear=tan(radians(5.0)),
        translation=0.1,
        flip_left_right=False,
        gamma=0.0,
        bias=0.0,
        noise=0.0,
        blur_voxels=0.0,
        shorter_field=0.0,
    ),
    loss=LossSettings(cross_entropy=0.0, overlap=1.0),
    centres=PatchCentres(on_bone=0.0),
    epochs=300,
    steps_per_epoch=342,  # 683 patients
    optimiser="adam",
    learning_rate=1e-4,
    schedule="constant",
    warmup_steps=0,
    weight_decay=0.0,
    average_decay=0.0,
    precision="32-true",
    validate_every=1,
    patience=20,
)

PAPER_LESIONS = replace(
    PAPER_BONES,
    task=Task.LESIONS,
    stages=(Stage(until=1.0, spacing_mm=None, shape=(64, 224, 224), batch=5),),
    epochs=250,
    steps_per_epoch=54,  # 266 patients
    learning_rate=0.01,
)

_PRESETS = {
    ("default", Task.BONES): DEFAULT_BONES,
    ("default", Task.LESIONS): DEFAULT_LESIONS,
    ("paper", Task.BONES): PAPER_BONES,
    ("paper", Task.LESIONS): PAPER_LESIONS,
} | {
    (name, default.task): replace(default, network=NETWORKS[name])
    for name in ("residual", "attention")
    for default in (DEFAULT_BONES, DEFAULT_LESIONS)
}


def preset_settings(task: str, preset: str) -> TrainingSettings:
    """Settings by name.

    Raises:
        SettingsError: if the task or the preset is unknown.

    >>> preset_settings("lesions", "paper").learning_rate
    0.01
    """
    known = {(name, kind.value): settings for (name, kind), settings in _PRESETS.items()}
    if (preset, task) not in known:
        raise SettingsError(
            "Unknown training",
            got=f"{task}, preset {preset}",
            remedy="Train bones or lesions, with preset default, paper, residual or attention",
        )
    return known[preset, task]
