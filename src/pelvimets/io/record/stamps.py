"""Whether something made from files still fits them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def stamp(files: Iterable[Path]) -> str:
    """A short hash of each file's name, size and time of change.

    It changes when a file is changed, appears or goes.
    """
    state = [(path.name, *_size_and_time(path)) for path in files]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:12]


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return -1, 0
    return found.st_size, found.st_mtime_ns
