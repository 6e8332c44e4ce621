"""One training run in a folder: checkpoints, logs, resume."""

from __future__ import annotations

import ctypes
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pelvimets.core.progress import RunObserver
from pelvimets.errors import InputError
from pelvimets.training.checkpoint import WholeFiles, read_checkpoint
from pelvimets.training.module import SegmentationModule, build_network
from pelvimets.training.observing import Checkpoints, Reporter
from pelvimets.training.precision import chosen_precision
from pelvimets.training.processes import Processes, cluster, launched
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.start import Start, averaged_weights, take_weights
from pelvimets.training.stopping import HearsStop

LAST, BEST, PART = "last.ckpt", "best.ckpt", "part.ckpt"
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def train(
    settings: TrainingSettings,
    training: SampleSource,
    validation: SampleSource,
    folder: Path,
    *,
    start: Start | None = None,
    workers: int = 0,
    observer: RunObserver | None = None,
    callbacks: Sequence[Callback] = (),
    devices: int | str = "auto",
    quiet: bool = False,
) -> SegmentationModule:
    """Train, or go on where an earlier run in the folder stopped.

    Args:
        settings: Of the run.
        training: Samples to learn from.
        validation: Samples to measure on.
        folder: Gets ``last.ckpt``, ``best.ckpt``, ``log/version_N/metrics.csv`` and
            ``tensorboard/``; ``part.ckpt`` if SIGTERM ends the run within an epoch.
        start: Weights that a new run starts with.
        workers: Processes that draw patches.
        observer: Is told of each step and epoch.
        callbacks: More of Lightning's callbacks.
        devices: ``auto``, ``cpu``, ``cuda`` or ``mps`` takes one for each process that was
            launched; a number trains apart from them, on so many devices.
        quiet: The CSV log alone, without pictures and TensorBoard; for many short runs.

    Returns:
        The module with its last weights.

    Raises:
        VerificationError: if the loss is not finite.
        InputError: if the weights to start with do not fit.
    """
    keep_freed_memory()
    settings = replace(settings, precision=chosen_precision(settings))
    kind = devices if isinstance(devices, str) else "auto"
    processes = launched() if isinstance(devices, str) else Processes()
    lightning.seed_everything(settings.seed, verbose=False)
    module = SegmentationModule(
        settings, training, validation, workers, processes, pictures=not quiet
    )
    kept = next((path for path in (folder / PART, folder / LAST) if path.exists()), None)
    begins = start is not None and kept is None
    whole = not take_weights(module, start) if start is not None and begins else False
    further = [Reporter(observer)] if observer else []
    with _own_words():
        trainer = lightning.Trainer(
            accelerator=kind,
            devices=processes.local if isinstance(devices, str) else devices,
            num_nodes=processes.machines,
            plugins=_plugins(processes),
            max_epochs=settings.epochs,
            precision=settings.precision,  # type: ignore[arg-type]
            gradient_clip_val=settings.gradient_norm,
            check_val_every_n_epoch=settings.validate_every,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            logger=_loggers(folder, quiet),
            log_every_n_steps=min(50, settings.steps_per_epoch),
            callbacks=[*_callbacks(settings, folder), *further, *callbacks],
            default_root_dir=folder,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        if whole:
            _measure_start(trainer, module, folder)
        trainer.fit(module, ckpt_path=kept)
    return module


def _measure_start(trainer: lightning.Trainer, module: SegmentationModule, folder: Path) -> None:
    """Measure weights of the same network before the first step; they are the best so far."""
    trainer.validate(module, verbose=False)
    trainer.save_checkpoint(folder / BEST)
    module.score_before = module.score


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next step.

    A step frees and asks for the same large arrays; given back to the system each time, their
    pages cost a fifth of the time on a CPU. Known to glibc alone; elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_MMAP_MAX, 0)


def _plugins(processes: Processes) -> list[Any]:
    environment = cluster() if processes.world > 1 else None
    return [WholeFiles(), environment or LightningEnvironment()]


def _loggers(folder: Path, quiet: bool) -> list[Logger]:
    table = CSVLogger(folder, name="log", flush_logs_every_n_steps=50)
    return [table] if quiet else [table, TensorBoardLogger(folder, name="tensorboard")]


def _callbacks(settings: TrainingSettings, folder: Path) -> list[Callback]:
    callbacks: list[Callback] = [
        HearsStop(),
        Checkpoints(folder / LAST, folder / BEST, folder / PART),
    ]
    if settings.patience is not None:
        callbacks.append(EarlyStopping("score", mode="max", patience=settings.patience))
    return callbacks


@contextmanager
def _own_words() -> Iterator[None]:
    """Without Lightning's hints and the deprecations inside libraries; errors still show."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for library in ("lightning", "torch", "tensorboard", "google", "multiprocessing"):
                warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def load_trained(
    settings: TrainingSettings, checkpoint: Path
) -> tuple[torch.nn.Module, int, float]:
    """The averaged network of a checkpoint, its steps and its minutes.

    Raises:
        InputError: if there is no such checkpoint, or it cannot be read or does not fit.
    """
    if not checkpoint.is_file():
        raise InputError(
            "There is no checkpoint", got=checkpoint, remedy="Let the run finish an epoch first"
        )
    kept = read_checkpoint(checkpoint)
    network = build_network(settings)
    try:
        network.load_state_dict(averaged_weights(kept))
    except RuntimeError as error:
        raise InputError(
            "A checkpoint does not fit the settings of its run",
            got=checkpoint,
            remedy="Take the folder of the run as it was trained",
        ) from error
    return network.eval(), int(kept["global_step"]), float(kept["seconds"]) / 60
