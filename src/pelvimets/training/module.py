"""The network in training, as Lightning runs it."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from pelvimets.config import settings_to_dict
from pelvimets.errors import VerificationError
from pelvimets.labels import Sequence
from pelvimets.model.variants import make_network
from pelvimets.training.data import Item, PatchDataset, channels_last, loader, steps_of
from pelvimets.training.losses import bone_loss, lesion_loss
from pelvimets.training.pictures import RgbArray, picture_row, png_bytes, sheet
from pelvimets.training.processes import Processes, gathered
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import Stage, Task, TrainingSettings
from pelvimets.training.stopping import CODE, Place, Request, StoppedWithinEpoch
from pelvimets.training.validation import Answer, Measures, answer_of, mean_measures, measures_of

PICTURED_PER_SEQUENCE = 2


class SegmentationModule(lightning.LightningModule):
    """One of the two networks with its loss, schedule and averaged weights.

    Args:
        settings: Of the run.
        training: Samples to learn from.
        validation: Samples to measure on; never learned from.
        workers: Processes that draw patches; 0 draws in this one.
        processes: Where this one stands among those that train together.
        pictures: Whether validations are pictured.

    Attributes:
        last_loss: Of the last step, None before the first.
        score: Of the last validation, None before the first.
        score_before: Of the weights that the run started with, None without such.
        best_score: The highest so far.
        improved: Whether the last validation was the best.
        validated: Whether the epoch that is on ended with a validation.
        picture: PNG of the validation of this epoch, None without one.
        validation_seconds: Time of the last validation, 0 before the first.
        stop: Whether someone asked to stop; heard between two steps.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        training: SampleSource,
        validation: SampleSource,
        workers: int = 0,
        processes: Processes | None = None,
        *,
        pictures: bool = True,
    ) -> None:
        super().__init__()
        self.settings, self._workers = settings, workers
        self.processes, self._pictures = processes or Processes(), pictures
        self._training, self._validation = training, validation
        self.network = build_network(settings)
        decay = get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=decay)
        self.averaged.requires_grad_(False)
        self._seconds_before, self._started = 0.0, time.monotonic()
        self._agreed_seconds: float | None = None
        self._measured: list[Measures] = []
        self._rows: list[tuple[str, RgbArray]] = []
        self._pictured: frozenset[str] | None = None
        self._names: list[str] = []
        self.last_loss: float | None = None
        self.score: float | None = None
        self.score_before: float | None = None
        self.best_score: float | None = None
        self.improved = self.validated = False
        self.picture: bytes | None = None
        self.validation_seconds, self._validation_began = 0.0, 0.0
        self.stop = Request()
        self._place: Place | None = None

    @property
    def share_of_steps(self) -> float:
        """Share of all steps that is done, 0-1."""
        steps = self.settings.epochs * steps_of(self.settings, self.processes.world)
        return min(self.global_step / steps, 1.0)

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0-1, by steps or by the clock."""
        minutes = self.settings.minutes
        if minutes is None:
            return self.share_of_steps
        usable = max(60 * minutes - self.validation_seconds, 1.0)
        return min(max(self.share_of_steps, self.seconds / usable), 1.0)

    @property
    def seconds(self) -> float:
        """Time trained so far, earlier parts of a resumed run included.

        Of several processes the first one's clock counts, as last agreed on.
        """
        if self._agreed_seconds is not None:
            return self._agreed_seconds
        return self._seconds_before + time.monotonic() - self._started

    def _agree_on_time(self) -> None:
        if self.processes.world > 1:
            self._agreed_seconds = None
            self._agreed_seconds = self.trainer.strategy.broadcast(self.seconds)

    def stage(self) -> Stage:
        """The stage that is on now."""
        return next(s for s in self.settings.stages if self.progress < s.until or s.until == 1)

    def train_dataloader(self) -> DataLoader[Item]:
        """Patches of the coming epoch, this process's share of them."""
        self._agree_on_time()
        names = self.trainer.strategy.broadcast(self._training.names())
        stage, epoch, place = self.stage(), self.current_epoch, self._place
        dataset = PatchDataset(self._training, self.settings, stage, epoch, names, self.processes)
        done = place.batches if place is not None and place.epoch == epoch else 0
        return loader(dataset, stage.batch, self._workers, done)

    def val_dataloader(self) -> DataLoader[str]:
        """Names of the validation samples for this process; empty ones make all equally many."""
        names, here = self._validation.names(), self.processes
        names += ("",) * (-len(names) % here.world)
        return DataLoader(list(names[here.rank :: here.world]), batch_size=1)  # type: ignore[arg-type]

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
        """Start the clock; a run that had ended trains no further."""
        self._started = time.monotonic()
        self._agree_on_time()
        self.trainer.should_stop = self.progress >= 1
        if self._place is not None:
            self._place.restore_chance()

    def on_train_epoch_start(self) -> None:
        """Nothing was measured in this epoch yet."""
        self.improved, self.validated, self.picture = False, False, None

    def on_train_batch_start(self, batch: Item, batch_idx: int) -> None:
        """Set the learning rate; chance of an epoch (dropout) depends on nothing before it.

        Lightning tells of no epoch's start where a run goes on after the one before.
        """
        if batch_idx == 0:
            seeds = [self.settings.seed, self.current_epoch, self.processes.rank]
            torch.manual_seed(int(np.random.default_rng(seeds).integers(2**63)))
        if self.settings.minutes is not None:
            self._agree_on_time()
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
        self._names = batch["name"]
        logits = self.network(self._ordered(batch["image"]))
        loss = self._loss(logits, batch)
        self.last_loss = float(loss.detach())
        if not math.isfinite(self.last_loss):
            raise VerificationError(
                "The loss is not finite",
                got=f"{self.last_loss} at step {self.global_step}, samples {batch['name']}",
                remedy="Look at these samples; lower the learning rate; try precision 32-true",
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        return loss

    def _ordered(self, image: Tensor) -> Tensor:
        return channels_last(image) if takes_channels_last(self.settings) else image.contiguous()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse a gradient that would spoil all weights; with 16-mixed its scaler skips it.

        Raises:
            VerificationError: with the samples of the batch.
        """
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = float(nn.utils.get_total_norm(gradients))
        if not math.isfinite(norm) and self.settings.precision != "16-mixed":
            raise VerificationError(
                "The gradient is not finite",
                got=f"{norm} at step {self.global_step}, samples {self._names}",
                remedy="Look at these samples; lower the learning rate; try precision 32-true",
            )

    def _loss(self, logits: Tensor, batch: Item) -> Tensor:
        if self.settings.task is Task.BONES:
            return bone_loss(logits, batch["target"], self.settings.loss, batch["values"])
        return lesion_loss(
            logits,
            batch["target"],
            batch["region"],
            batch["weight"],
            batch["group"],
            self.settings.loss,
        )

    def on_train_batch_end(self, outputs: Any, batch: Item, batch_idx: int) -> None:
        """Follow the weights with their average; the end of the run is always measured."""
        self.averaged.update_parameters(self.network)
        if self.progress >= 1:
            self.trainer.check_val_every_n_epoch = 1
        if self._out_of_time():
            self.trainer.check_val_every_n_epoch = 1
            self.trainer.should_stop = True
        if self.stop.made and not (self.trainer.is_last_batch or self.trainer.should_stop):
            self._place = Place.now(self.current_epoch, batch_idx + 1)
            raise StoppedWithinEpoch(CODE)

    def _out_of_time(self) -> bool:
        """Whether the minutes are over, with the time of a last validation if one was timed."""
        minutes = self.settings.minutes
        return minutes is not None and self.seconds + self.validation_seconds >= 60 * minutes

    def on_train_epoch_end(self) -> None:
        """Log the time and stop when the schedule has ended."""
        self._place = None
        self._agree_on_time()
        self.log("minutes", self.seconds / 60)
        if self.progress >= 1:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Start the clock of the validation."""
        self._validation_began = time.monotonic()

    def validation_step(self, batch: list[str], batch_idx: int) -> None:
        """Measure one whole image."""
        name = batch[0]
        if not name:
            return
        sample = self._validation.read(name)
        answer = answer_of(self.predict, sample, self.settings, self.stage().spacing_mm)
        self._measured.append(measures_of(answer, self.settings))
        if self._pictures and name in self._names_pictured():
            self._rows.append((name, self._row(answer, self._measured[-1])))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation images, and picture some of them."""
        means = mean_measures(gathered(self._measured, self.processes))
        for name, value in means.items():
            self.log(name, value)
        self.validated = True
        self._judge(means["score"] if self._measurable() else None)
        rows = sorted(gathered(self._rows, self.processes), key=lambda named: named[0])
        if rows:
            self._show([row for _, row in rows])
        self._measured.clear()
        self._rows.clear()
        self.validation_seconds = time.monotonic() - self._validation_began

    def _measurable(self) -> bool:
        """Whether any validation image holds something to be found, or had something found."""
        measured = gathered(self._measured, self.processes)
        return any(measures["score"][1] > 0 for measures in measured)

    def _judge(self, score: float | None) -> None:
        """Compare with the best so far; a score of nothing is none."""
        best, self.score = self.best_score, score
        self.improved = score is not None and (best is None or score > best)
        if self.improved:
            self.best_score = score

    def _names_pictured(self) -> frozenset[str]:
        if self._pictured is None:
            self._pictured = pictured(self._validation, self.settings.task)
        return self._pictured

    def _row(self, answer: Answer, measures: Measures) -> RgbArray:
        score = mean_measures([measures])["score"]
        return picture_row(
            answer,
            self.settings.task,
            f"{answer.name}, {answer.sequence.title}: DSC {score:.2f}",
        )

    def _show(self, rows: list[RgbArray]) -> None:
        title = (
            f"Validation of the {self.settings.task.value}, epoch {self.current_epoch + 1}, "
            f"step {self.global_step}: "
            + ("nothing to measure" if self.score is None else f"mean DSC {self.score:.3f}")
        )
        rgb = sheet(rows, self.settings.task, title)
        self.picture = png_bytes(rgb)
        for logger in self.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("validation", rgb, self.global_step, dataformats="HWC")

    @torch.no_grad()
    def predict(self, channels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Probabilities (outputs, z, y, x) of the averaged network for (inputs, z, y, x)."""
        image = torch.from_numpy(channels)[None].to(self.device)
        logits = self.averaged(self._ordered(image))[0].float()
        probability = logits.softmax(0) if self.settings.task is Task.BONES else logits.sigmoid()
        return np.asarray(probability.cpu())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the clock, the scores and the settings."""
        checkpoint["seconds"] = self.seconds
        checkpoint["scores"] = (self.score, self.best_score)
        checkpoint["validation_seconds"] = self.validation_seconds
        checkpoint["score_before"] = self.score_before
        checkpoint["place"] = None if self._place is None else self._place.to_plain()
        plain = settings_to_dict(self.settings)
        checkpoint["settings"] = plain | {"task": self.settings.task.value}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the clock and the scores."""
        self._seconds_before = checkpoint["seconds"]
        self.score, self.best_score = checkpoint.get("scores", (None, None))
        self.validation_seconds = checkpoint.get("validation_seconds", 0.0)
        self.score_before = checkpoint.get("score_before")
        self._place = Place.from_plain(checkpoint.get("place"))


def pictured(source: SampleSource, task: Task) -> frozenset[str]:
    """The first images of each sequence by name; for lesions, the first that show one."""
    found: dict[Sequence, list[str]] = {sequence: [] for sequence in Sequence}
    for name in source.names():
        sample = source.read(name)
        wanted = task is Task.BONES or len(sample.lesion_centres) > 0
        if wanted and len(found[sample.sequence]) < PICTURED_PER_SEQUENCE:
            found[sample.sequence].append(name)
        if all(len(names) == PICTURED_PER_SEQUENCE for names in found.values()):
            break
    return frozenset(name for names in found.values() for name in names)


def build_network(settings: TrainingSettings) -> nn.Module:
    """The network of a task."""
    network = make_network(settings.network, *settings.channels)
    if takes_channels_last(settings):
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def takes_channels_last(settings: TrainingSettings) -> bool:
    """Whether the memory order that convolutions on a CPU prefer is safe.

    It is not where a level is two slices high: there PyTorch (2.13, oneDNN) computes the
    gradient of a bfloat16 convolution's weights from memory that nobody has written.
    """
    levels = range(len(settings.network.channels))
    heights = {
        stage.shape[0] // settings.network.stem[0] // 2**level
        for stage in settings.stages
        for level in levels
    }
    return 2 not in heights


def rate_factor(settings: TrainingSettings, step: int, progress: float) -> float:
    """Share of the highest learning rate: linear warm-up, then the schedule."""
    rise = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
    fall = 0.5 * (1 + np.cos(np.pi * progress)) if settings.schedule == "cosine" else 1.0
    return float(rise * fall)
