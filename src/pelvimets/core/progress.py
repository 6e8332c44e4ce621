"""How far a long piece of work is: one form for all that takes time, a fuller one for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Told of each step; the command line draws a bar with the time left from it."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """``what`` is begun or finished; ``done`` of ``total`` steps lie behind."""
        ...


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        epoch: The one that is on or has just ended, from 1.
        epochs: The most there will be.
        step: Optimiser steps done.
        share: Of the whole training that is done, 0-1.
        seconds: Trained so far, earlier parts of a resumed run included.
        remaining_seconds: Estimate; None before the first step.
        loss: Of the last step; after an epoch its mean.
        score: Of the last validation, None before the first.
        best: The highest score so far.
        validated: Whether this epoch ended with a validation.
    """

    epoch: int
    epochs: int
    step: int
    share: float
    seconds: float
    remaining_seconds: float | None
    loss: float | None
    score: float | None
    best: float | None
    validated: bool = False


class RunObserver:
    """Told how a training goes on; shows nothing, until a method is overridden."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Samples are being prepared."""

    def note(self, line: str) -> None:
        """Something to know before the first step."""

    def begun_with(self, score: float) -> None:
        """The weights of the same network that the run begins with were measured."""

    def step(self, state: RunState) -> None:
        """A step was done."""

    def epoch(self, state: RunState) -> None:
        """An epoch has ended, with its validation if there was one."""

    def picture(self, epoch: int, png: bytes) -> None:
        """The picture of a validation, as PNG."""
