"""Files that one process at a time may hold; the system lets go of them when it ends, however."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pelvimets.errors import OutputError

_FOREVER = -1.0


@contextmanager
def held(path: Path, wait_s: float = _FOREVER) -> Iterator[None]:
    """Hold a file; it is made where it is missing, and stays.

    Args:
        path: The file.
        wait_s: How long to wait for another holder; forever by default.

    Raises:
        OutputError: if another process holds it for longer, or it cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise OutputError(
            "Another process is writing here",
            got=path.parent,
            remedy="Wait until it has ended, and try again",
        ) from error
    except OSError as error:
        raise OutputError(
            "The folder cannot be written to", got=f"{path.parent}: {error.strerror or error}"
        ) from error
    try:
        yield
    finally:
        lock.release()
