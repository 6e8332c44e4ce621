"""Settings of a run that starts from weights of the same network: gentler and shorter."""

from __future__ import annotations

from dataclasses import replace

from pelvimets.training.settings import TrainingSettings

_RATE, _WARMUP, _EPOCHS, _STEPS = 0.15, 50, 20, 50


def fine_tuned(settings: TrainingSettings) -> TrainingSettings:
    """A seventh of the rate, a short warm-up, the last patches alone, 1000 steps.

    A high rate at the start, and coarse patches, would first undo what the weights know. The
    average follows faster, as there are fewer steps; it begins with the weights started from.
    """
    return replace(
        settings,
        learning_rate=round(settings.learning_rate * _RATE, 8),
        warmup_steps=_WARMUP,
        stages=(replace(settings.stages[-1], until=1.0),),
        epochs=_EPOCHS,
        steps_per_epoch=_STEPS,
        average_decay=0.98 if settings.average_decay else 0.0,
        validate_every=2,
    )
