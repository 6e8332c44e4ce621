"""One trial of a search: a training run that reports its validation score as it goes."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import optuna
import torch
from lightning.pytorch.callbacks import Callback

from pelvimets.errors import VerificationError
from pelvimets.training.module import SegmentationModule
from pelvimets.training.run import LAST, train
from pelvimets.training.sample import SampleSource
from pelvimets.training.search.searching import RunningTrial
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.start import Start

Watch = Callable[[float], None]


@dataclass(frozen=True)
class TrialOptions:
    """How a trial is trained.

    Attributes:
        start: Weights that it starts with.
        workers: Processes that draw patches.
        watch: Called with the share of the schedule that is done.
    """

    start: Start | None = None
    workers: int = 0
    watch: Watch = lambda share: None


def train_trial(
    settings: TrainingSettings,
    training: SampleSource,
    validation: SampleSource,
    folder: Path,
    trial: RunningTrial,
    options: TrialOptions | None = None,
) -> float:
    """Train on one device, and measure at the end of the schedule.

    Args:
        settings: With the values of the trial.
        training: Samples to learn from.
        validation: Samples to measure on.
        folder: Of the run; one that was stopped is gone on with.
        trial: Gets the scores.
        options: How.

    Returns:
        Score of the last weights at the end of the schedule.

    Raises:
        TrialPruned: if the trial is worse than others were at the same share.
        VerificationError: if the loss is not finite or there is no score.
    """
    if not (folder / LAST).exists():
        trial.start_over()
    _free_memory()  # that a trial before could not free while its error was about
    options = options or TrialOptions()
    reports = _Reports(trial, options.watch)
    with _quiet():
        module = train(
            settings,
            training,
            validation,
            folder,
            start=options.start,
            workers=options.workers,
            callbacks=(reports,),
            devices=1,
            quiet=True,
        )
        if reports.pruned:
            raise optuna.TrialPruned
        if reports.share < 1:
            module.trainer.validate(module, verbose=False)
    if reports.score is None:
        raise VerificationError("The trial ended without a validation score")
    return reports.score


class _Reports(Callback):
    """Reports each validation score, and stops the training if the trial is to be pruned."""

    def __init__(self, trial: RunningTrial, watch: Watch) -> None:
        self._trial, self._watch = trial, watch
        self.share, self.pruned = 0.0, False
        self.score: float | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any
    ) -> None:
        """Say how far the trial is."""
        self._watch(_progress(pl_module))

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Report the score."""
        if "score" not in trainer.callback_metrics or trainer.global_step == 0:
            return  # of the weights that it starts with
        self.share, self.score = _progress(pl_module), float(trainer.callback_metrics["score"])
        if self._trial.report(self.share, self.score) and self.share < 1:
            self.pruned = True
            trainer.should_stop = True


def _progress(module: lightning.LightningModule) -> float:
    assert isinstance(module, SegmentationModule)
    return module.progress


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's words on devices, seeds and workers, which every trial would repeat."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
