"""Folders for the time of a run; what a killed run has left is removed by the next one.

Each holds a file of an owner that its process holds as long as it lives, by whatever end; so a
folder whose owner can be held belongs to nobody any more, on another machine of the same disk
and in another container too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_OWNER = ".pelvimets-owner"
_BEING_MADE_S = 1.0  # between making an owner and holding it

Settle = Callable[[Path], bool]
"""Last orders for a folder that is about to be removed; False keeps it."""


def _always(folder: Path) -> bool:
    return True


@contextmanager
def owned_folder(place: Path, prefix: str, settle: Settle = _always) -> Iterator[Path]:
    """A new folder of this process, removed at the end.

    Args:
        place: Where.
        prefix: How its name begins.
        settle: Called before it is removed.

    Raises:
        OSError: if it cannot be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    lock = FileLock(folder / _OWNER)
    with contextlib.suppress(OSError, NotImplementedError):  # a disk that cannot: see abandoned
        lock.acquire(blocking=False)
    try:
        yield folder
    finally:
        lock.release()
        if settle(folder):
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(place: Path, pattern: str, settle: Settle = _always) -> None:
    """Remove the folders that ended processes of this user have left; others are untouched.

    Args:
        place: Where to look.
        pattern: Of their names, as for ``glob``.
        settle: As for ``owned_folder``.
    """
    with contextlib.suppress(OSError):
        for folder in list(place.glob(pattern)):
            if _is_own_folder(folder):
                _remove_if_abandoned(folder, settle)


def _is_own_folder(folder: Path) -> bool:
    """A link, or a folder of another user, may be a trap."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return not hasattr(os, "geteuid") or folder.stat().st_uid == os.geteuid()


def _remove_if_abandoned(folder: Path, settle: Settle) -> None:
    owner = folder / _OWNER
    if not owner.is_file() or time.time() - owner.stat().st_mtime < _BEING_MADE_S:
        return
    lock = FileLock(owner)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError, NotImplementedError):
        return  # it lives, or the disk knows no owners
    lock.release()
    if settle(folder):
        shutil.rmtree(folder, ignore_errors=True)
