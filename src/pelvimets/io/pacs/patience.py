"""How often and how long to wait for a node, and who is told of the progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Watch = Callable[[int, int | None, str], None]
"""Told of what is done so far, of all (None where nobody knows), and of what: objects or bytes."""


def unwatched(done: int, total: int | None, unit: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Patience:
    """Tries and the pauses between them, each twice as long as the one before.

    Attributes:
        tries: At least one.
        first_pause_s: Before the second try.
        longest_pause_s: No pause is longer.

    >>> list(Patience(4, 1.0, 3.0).pauses_s)
    [1.0, 2.0, 3.0]
    """

    tries: int = 1
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0

    @property
    def pauses_s(self) -> Iterator[float]:
        """One less than there are tries."""
        for n in range(self.tries - 1):
            yield min(self.first_pause_s * 2**n, self.longest_pause_s)

    def each(self, sleep: Callable[[float], None] = time.sleep) -> Iterator[bool]:
        """One item for each try, after its pause; True for the last one."""
        yield self.tries <= 1
        for n, pause in enumerate(self.pauses_s):
            sleep(pause)
            yield n == self.tries - 2


ONCE = Patience()
