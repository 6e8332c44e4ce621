"""What a run tells while it goes on, to whoever watches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.checkpoint import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from pelvimets.core.progress import RunObserver, RunState
from pelvimets.training.module import SegmentationModule
from pelvimets.training.settings import Stage
from pelvimets.training.stopping import CODE, StoppedWithinEpoch


class Reporter(Callback):
    """Tells an observer of the start, each step and epoch; on the first process alone."""

    def __init__(self, observer: RunObserver) -> None:
        self._observer = observer
        self._share, self._began = 0.0, 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock of the estimate; report what the weights given score, if anything."""
        self._share, self._began = pl_module.share_of_steps, time.monotonic()
        if trainer.is_global_zero and pl_module.score_before is not None:
            self._observer.begun_with(pl_module.score_before)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, *rest: Any, **others: Any
    ) -> None:
        """Report the step."""
        if trainer.is_global_zero:
            self._observer.step(self._state(pl_module, pl_module.last_loss))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Report the epoch, and its picture."""
        loss = trainer.callback_metrics.get("train_loss")
        if not trainer.is_global_zero:
            return
        if pl_module.picture is not None:
            self._observer.picture(pl_module.current_epoch + 1, pl_module.picture)
        mean = pl_module.last_loss if loss is None else float(loss)
        self._observer.epoch(self._state(pl_module, mean))

    def _state(self, module: SegmentationModule, loss: float | None) -> RunState:
        return RunState(
            epoch=module.current_epoch + 1,
            epochs=module.settings.epochs,
            step=module.global_step,
            share=module.progress,
            seconds=module.seconds,
            remaining_seconds=self._remaining(module),
            loss=loss,
            score=module.score,
            best=module.best_score,
            validated=module.validated,
        )

    def _remaining(self, module: SegmentationModule) -> float | None:
        settings, share = module.settings, module.share_of_steps
        passed = time.monotonic() - self._began
        by_steps = remaining_seconds(settings.stages, self._share, share, passed)
        if settings.minutes is None:
            return by_steps
        by_clock = max(60 * settings.minutes - module.seconds, 0.0)
        return by_clock if by_steps is None else min(by_clock, by_steps)


class Checkpoints(Checkpoint):
    """Keeps ``last.ckpt`` after each epoch and ``best.ckpt`` after each better validation.

    A run that was told to stop within an epoch keeps ``part.ckpt`` until that epoch is done.
    """

    def __init__(self, last: Path, best: Path, part: Path) -> None:
        self._last, self._best, self._part = last, best, part

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Keep the best."""
        if pl_module.improved and trainer.state.fn is TrainerFn.FITTING:
            trainer.save_checkpoint(self._best)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Keep the last, and the logs that belong to it."""
        trainer.save_checkpoint(self._last)
        if trainer.is_global_zero:
            self._part.unlink(missing_ok=True)
        for logger in trainer.loggers:
            logger.save()
        if pl_module.stop.made:
            raise SystemExit(CODE)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException
    ) -> None:
        """Keep what was done of an epoch if that is why the run ends."""
        if isinstance(exception, StoppedWithinEpoch):
            trainer.save_checkpoint(self._part)


def remaining_seconds(
    stages: tuple[Stage, ...], began: float, now: float, passed_seconds: float
) -> float | None:
    """Seconds to the end, as steps cost in proportion to the voxels of their patches.

    Args:
        stages: Of the run.
        began: Share (0-1) of the steps done when the clock was started.
        now: Share done now.
        passed_seconds: Between both.

    >>> stages = (Stage(0.5, None, (8, 8, 8), 1), Stage(1.0, None, (16, 8, 8), 1))
    >>> remaining_seconds(stages, 0.0, 0.25, 10.0)  # a sixth of the work is done
    50.0
    """
    done = _work(stages, now) - _work(stages, began)
    if done <= 0:
        return None
    return passed_seconds * (_work(stages, 1.0) - _work(stages, now)) / done


def _work(stages: tuple[Stage, ...], share: float) -> float:
    total, start = 0.0, 0.0
    for stage in stages:
        z, y, x = stage.shape
        total += max(min(share, stage.until) - start, 0.0) * z * y * x * stage.batch
        start = stage.until
    return total
