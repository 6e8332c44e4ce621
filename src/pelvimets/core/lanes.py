"""Work that is done side by side in threads: the libraries below let go of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_LANES = 4


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], most: int = MOST_LANES
) -> list[Result]:
    """The result for each item, in their order; as many at a time as there are cores.

    The work must not depend on the order. What it raises for the first item that fails is
    raised here, when all have ended.
    """
    given = list(items)
    lanes = min(len(given), _cores(), most)
    if lanes <= 1:
        return [work(item) for item in given]
    with ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(work, given))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
