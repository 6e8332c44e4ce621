"""Being told to stop: a run ends after the step that is on and keeps its place within the epoch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

CODE = 128 + signal.SIGTERM


class StoppedWithinEpoch(SystemExit):
    """Raised between two steps of an epoch, where weights and their average belong together."""


@dataclass
class Request:
    """Whether someone has asked the run to stop."""

    made: bool = False


class HearsStop(Callback):
    """SIGTERM asks the run to stop; a second one ends the process at once.

    Lightning's own answer would end an epoch before its validation. Where several processes train
    together their launcher ends them.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Listen in place of Lightning, which puts back afterwards what was there before."""

        def hear(number: int, frame: FrameType | None) -> None:
            if pl_module.stop.made:
                raise SystemExit(CODE)
            pl_module.stop.made = True

        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, hear)


@dataclass(frozen=True, eq=False)
class Place:
    """Where within an epoch a run was stopped.

    Attributes:
        epoch: Its number, from 0.
        batches: Done of it.
        chance: State of the random numbers (dropout), of the CPU first, then of each GPU.
    """

    epoch: int
    batches: int
    chance: tuple[Tensor, ...] = field(repr=False)

    @classmethod
    def now(cls, epoch: int, batches: int) -> Place:
        """The place after so many batches."""
        there = torch.cuda.is_available()
        gpus = torch.cuda.get_rng_state_all() if there else []
        return cls(epoch, batches, (torch.get_rng_state(), *gpus))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> Place | None:
        """As a checkpoint keeps it; None of a checkpoint of a whole epoch."""
        return None if plain is None else cls(**{**plain, "chance": tuple(plain["chance"])})

    def to_plain(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"epoch": self.epoch, "batches": self.batches, "chance": list(self.chance)}

    def restore_chance(self) -> None:
        """Go on with the random numbers; other GPUs than then begin with their own."""
        torch.set_rng_state(self.chance[0])
        if len(self.chance) - 1 == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(list(self.chance[1:]))
