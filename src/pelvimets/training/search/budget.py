"""The schedule of a preset, squeezed into the time of one trial."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from pelvimets.training.settings import TrainingSettings

_VALIDATIONS = 10
_FEWEST_STEPS = 5


def in_minutes(settings: TrainingSettings, minutes: float) -> TrainingSettings:
    """Settings whose schedule ends after so many minutes, or with the preset's own steps.

    Epochs become short enough that several validations lie in the time.
    """
    per_epoch = min(settings.steps_per_epoch, max(_FEWEST_STEPS, ceil(_VALIDATIONS * minutes)))
    steps = settings.epochs * settings.steps_per_epoch
    return replace(
        _for_steps(settings, min(ceil(60 * minutes), steps)),
        minutes=minutes,
        steps_per_epoch=per_epoch,
        epochs=ceil(steps / per_epoch),
        validate_every=1,
    )


def in_epochs(settings: TrainingSettings, epochs: int) -> TrainingSettings:
    """Settings with so many epochs, measured about ten times and after the last one."""
    often = max(1, epochs // _VALIDATIONS)
    return replace(
        _for_steps(settings, epochs * settings.steps_per_epoch),
        minutes=None,
        epochs=epochs,
        validate_every=max(n for n in range(1, often + 1) if epochs % n == 0),
    )


def _for_steps(settings: TrainingSettings, steps: int) -> TrainingSettings:
    """Warm-up of at most a tenth of the steps, weights averaged over at most a twentieth.

    Where only the time is known, one step a second is taken.
    """
    return replace(
        settings,
        warmup_steps=min(settings.warmup_steps, steps // 10),
        average_decay=max(0.0, min(settings.average_decay, 1 - 20 / max(steps, 1))),
    )
