"""One training run in a folder: checkpoints, logs, resume."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from pelvimets.errors import InputError
from pelvimets.training.module import SegmentationModule, build_network
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import TrainingSettings

LAST = "last.ckpt"


def train(
    settings: TrainingSettings,
    training: SampleSource,
    validation: SampleSource,
    folder: Path,
    *,
    start_from: Path | None = None,
    workers: int = 0,
    callbacks: Sequence[Callback] = (),
    devices: int | str = "auto",
    quiet: bool = False,
) -> SegmentationModule:
    """Train, or go on where an earlier run in the folder stopped.

    Args:
        settings: Of the run.
        training: Samples to learn from.
        validation: Samples to measure on.
        folder: Gets ``last.ckpt``, ``best.ckpt`` and ``log/version_N/metrics.csv``.
        start_from: Checkpoint whose weights a new run starts with, as far as shapes agree.
        workers: Processes that draw patches.
        callbacks: More of Lightning's callbacks.
        devices: As Lightning takes it; ``auto`` takes all there are.
        quiet: Without a progress bar.

    Returns:
        The module with its last weights.

    Raises:
        VerificationError: if the loss is not finite.
    """
    lightning.seed_everything(settings.seed)
    module = SegmentationModule(settings, training, validation, workers)
    last = folder / LAST
    if start_from is not None and not last.exists():
        take_weights(module, start_from)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=devices,
        max_epochs=settings.epochs,
        precision=settings.precision,  # type: ignore[arg-type]
        gradient_clip_val=settings.gradient_norm,
        check_val_every_n_epoch=settings.validate_every,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=CSVLogger(folder, name="log", flush_logs_every_n_steps=50),
        log_every_n_steps=min(50, settings.steps_per_epoch),
        callbacks=[*_callbacks(settings, folder), *callbacks],
        default_root_dir=folder,
        enable_model_summary=False,
        enable_progress_bar=not quiet,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    return module


def _callbacks(settings: TrainingSettings, folder: Path) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(
            folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        ),
        ModelCheckpoint(
            folder, filename="best", monitor="score", mode="max", enable_version_counter=False
        ),
    ]
    if settings.patience is not None:
        callbacks.append(EarlyStopping("score", mode="max", patience=settings.patience))
    return callbacks


def take_weights(module: SegmentationModule, checkpoint: Path) -> int:
    """Start from the averaged weights of another run where names and shapes agree.

    Returns:
        Number of tensors taken.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    given = _averaged(state)
    own = module.network.state_dict()
    fitting = {n: t for n, t in given.items() if n in own and own[n].shape == t.shape}
    module.network.load_state_dict(own | fitting)
    module.averaged.module.load_state_dict(own | fitting)
    return len(fitting)


def load_trained(
    settings: TrainingSettings, checkpoint: Path
) -> tuple[torch.nn.Module, int, float]:
    """The averaged network of a checkpoint, its steps and its minutes.

    Raises:
        InputError: if there is no such checkpoint.
    """
    if not checkpoint.is_file():
        raise InputError(
            "There is no checkpoint", got=checkpoint, remedy="Let the run finish an epoch first"
        )
    kept = torch.load(checkpoint, map_location="cpu", weights_only=False)
    prefix = "averaged.module."
    state = {
        n.removeprefix(prefix): t for n, t in kept["state_dict"].items() if n.startswith(prefix)
    }
    network = build_network(settings)
    network.load_state_dict(state)
    return network.eval(), int(kept["global_step"]), float(kept["seconds"]) / 60


def _averaged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "averaged.module."
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
