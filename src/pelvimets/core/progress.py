"""How far a long piece of work is: one form of it for everything that takes time."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each step; the command line draws a bar with the time left from it."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """``what`` is begun or finished; ``done`` of ``total`` steps lie behind."""
        ...


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody sees."""
