"""Seconds and memory of each stage of a run, and the progress that a user sees."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from pelvimets.core.progress import Progress
from pelvimets.errors import ResourceError

MIB = 1024 * 1024


@dataclass
class StageClock:
    """Measures stages; memory is the process's peak so far, as the system counts it.

    Stages of two sequences run side by side: their seconds overlap.
    """

    progress: Progress
    total: int
    stages: list[dict[str, Any]] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block."""
        self.progress(name, len(self.stages), self.total)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.stages.append(
            {"stage": name, "seconds": round(seconds, 3), "peak_memory_mib": peak_memory_mib()}
        )

    @property
    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._began


def peak_memory_mib() -> int:
    """The largest resident memory of this process so far."""
    info = psutil.Process().memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is None:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(peak // MIB)


def check_memory(needed_mib: float, what: str, limit_mib: float | None = None) -> None:
    """Refuse work that does not fit the machine, or a limit that was set.

    Raises:
        ResourceError: if less memory is available or allowed than needed.
    """
    available = min(psutil.virtual_memory().available, _address_space_left()) / MIB
    allowed = available if limit_mib is None else min(available, limit_mib)
    if needed_mib > allowed:
        by_limit = limit_mib is not None and limit_mib <= available
        raise ResourceError(
            f"{what} needs about {needed_mib:.0f} MiB of memory",
            got=f"{allowed:.0f} MiB {'allowed' if by_limit else 'available'}",
            remedy=("Raise --memory-limit" if by_limit else "Close other programs")
            + ", add --small-tiles, use a machine with more memory, or resample the images to "
            "larger voxels first",
        )


def _address_space_left() -> float:
    """Bytes that a limit of the shell (ulimit -v) leaves, and what is in memory already."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    now = psutil.Process().memory_info()
    return float(limit - now.vms + now.rss)
