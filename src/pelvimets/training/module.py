"""The network in training, as Lightning runs it."""

from __future__ import annotations

import time
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from pelvimets.config import settings_to_dict
from pelvimets.errors import VerificationError
from pelvimets.model.variants import make_network
from pelvimets.training.data import Item, PatchDataset, channels_last, loader
from pelvimets.training.losses import bone_loss, lesion_loss
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import Stage, Task, TrainingSettings
from pelvimets.training.validation import Measures, mean_measures, measure_sample


class SegmentationModule(lightning.LightningModule):
    """One of the two networks with its loss, schedule and averaged weights.

    Args:
        settings: Of the run.
        training: Samples to learn from.
        validation: Samples to measure on; never learned from.
        workers: Processes that draw patches; 0 draws in this one.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        training: SampleSource,
        validation: SampleSource,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.settings, self._workers = settings, workers
        self._training, self._validation = training, validation
        self.network = build_network(settings)
        decay = get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=decay)
        self._seconds_before, self._started = 0.0, time.monotonic()
        self._measured: list[Measures] = []

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0-1, by steps or by the clock."""
        settings = self.settings
        by_steps = self.global_step / (settings.epochs * settings.steps_per_epoch)
        if settings.minutes is None:
            return min(by_steps, 1.0)
        return min(max(by_steps, self.seconds / (60 * settings.minutes)), 1.0)

    @property
    def seconds(self) -> float:
        """Time trained so far, earlier parts of a resumed run included."""
        return self._seconds_before + time.monotonic() - self._started

    def stage(self) -> Stage:
        """The stage that is on now."""
        return next(s for s in self.settings.stages if self.progress < s.until or s.until == 1)

    def train_dataloader(self) -> DataLoader[Item]:
        """Patches of the coming epoch."""
        stage = self.stage()
        dataset = PatchDataset(self._training, self.settings, stage, self.current_epoch)
        return loader(dataset, stage.batch, self._workers)

    def val_dataloader(self) -> DataLoader[str]:
        """Names of the validation samples."""
        return DataLoader(list(self._validation.names()), batch_size=1)  # type: ignore[arg-type]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW or Adam; the rate is set step by step."""
        settings = self.settings
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.optimiser]
        optimiser: torch.optim.Optimizer = kind(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        return optimiser

    def on_train_start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_batch_start(self, batch: Item, batch_idx: int) -> None:
        """Set the learning rate."""
        rate = self.settings.learning_rate * rate_factor(
            self.settings, self.global_step, self.progress
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self.log("learning_rate", rate, batch_size=1)

    def training_step(self, batch: Item, batch_idx: int) -> Tensor:
        """Loss of a batch.

        Raises:
            VerificationError: if the loss is not finite, with the samples of the batch.
        """
        logits = self.network(channels_last(batch["image"]))
        loss = self._loss(logits, batch)
        if not bool(torch.isfinite(loss)):
            raise VerificationError(
                "The loss is not finite",
                got=f"{float(loss)} at step {self.global_step}, samples {batch['name']}",
                remedy="Look at these samples; lower the learning rate; try precision 32-true",
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1, prog_bar=True)
        return loss

    def _loss(self, logits: Tensor, batch: Item) -> Tensor:
        if self.settings.task is Task.BONES:
            return bone_loss(logits, batch["target"], self.settings.loss)
        return lesion_loss(logits, batch["target"], batch["region"], self.settings.loss)

    def on_train_batch_end(self, outputs: Any, batch: Item, batch_idx: int) -> None:
        """Follow the weights with their average."""
        self.averaged.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        """Log the time and stop when the schedule has ended."""
        self.log("minutes", self.seconds / 60)
        if self.progress >= 1:
            self.trainer.should_stop = True

    def validation_step(self, batch: list[str], batch_idx: int) -> None:
        """Measure one whole image."""
        sample = self._validation.read(batch[0])
        spacing_mm = self.stage().spacing_mm
        self._measured.append(measure_sample(self.predict, sample, self.settings, spacing_mm))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation images."""
        for name, value in mean_measures(self._measured).items():
            self.log(name, value, prog_bar=name == "score")
        self._measured.clear()

    @torch.no_grad()
    def predict(self, channels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Probabilities (outputs, z, y, x) of the averaged network for (inputs, z, y, x)."""
        image = torch.from_numpy(channels)[None].to(self.device)
        logits = self.averaged(channels_last(image))[0].float()
        probability = logits.softmax(0) if self.settings.task is Task.BONES else logits.sigmoid()
        return np.asarray(probability.cpu())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the clock and the settings."""
        checkpoint["seconds"] = self.seconds
        checkpoint["settings"] = settings_to_dict(self.settings)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the clock."""
        self._seconds_before = checkpoint["seconds"]


def build_network(settings: TrainingSettings) -> nn.Module:
    """The network of a task."""
    network = make_network(settings.network, *settings.task.channels)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def rate_factor(settings: TrainingSettings, step: int, progress: float) -> float:
    """Share of the highest learning rate: linear warm-up, then the schedule."""
    rise = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
    fall = 0.5 * (1 + np.cos(np.pi * progress)) if settings.schedule == "cosine" else 1.0
    return float(rise * fall)
