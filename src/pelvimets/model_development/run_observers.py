"""Who hears of a run: nobody, or the run's own folder and another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pelvimets.io.record.run_folder import RunFolder

if TYPE_CHECKING:
    from pelvimets.training.observing import RunObserver, RunState


class SilentObserver:
    """Shows nothing; a ``RunObserver``."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        """Show nothing."""

    def step(self, state: RunState) -> None:
        """Show nothing."""

    def epoch(self, state: RunState) -> None:
        """Show nothing."""

    def picture(self, epoch: int, png: bytes) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Keeper:
    """Passes everything on, and keeps the pictures in the run."""

    observer: RunObserver
    folder: RunFolder

    def preparing(self, what: str, done: int, total: int) -> None:
        """Pass on."""
        self.observer.preparing(what, done, total)

    def note(self, line: str) -> None:
        """Pass on."""
        self.observer.note(line)

    def step(self, state: RunState) -> None:
        """Pass on."""
        self.observer.step(state)

    def epoch(self, state: RunState) -> None:
        """Pass on."""
        self.observer.epoch(state)

    def picture(self, epoch: int, png: bytes) -> None:
        """Keep, and pass on."""
        self.folder.write_picture(epoch, png)
        self.observer.picture(epoch, png)
