"""What became of one patient's work, wherever it was done."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pelvimets.errors import PelvimetsError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item.

    Attributes:
        item: What was worked on.
        result: None if it failed.
        fault: Why it failed; empty if it did not.
    """

    item: Item
    result: Result | None = None
    fault: str = ""


def outcome_of(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    """Do one item's work; whatever goes wrong is its outcome."""
    try:
        return Outcome(item, work(item))
    except Exception as error:
        return Outcome(item, fault=fault_of(error))


def fault_of(error: Exception) -> str:
    """What went wrong, in words. Of an unexpected error only its place: its text may hold names."""
    if isinstance(error, PelvimetsError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Not enough memory. Use fewer --jobs, or close other programs."
    own = [
        f"{Path(frame.filename).relative_to(_PACKAGE).as_posix()}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    place = f" in {own[-1]}" if own else ""
    return f"An unexpected {type(error).__name__}{place}: a fault of pelvimets, please report it."
