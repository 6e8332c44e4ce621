"""The output folder of a run: written aside, moved into place at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pelvimets.errors import OutputError, ResourceError

RECORD_NAME = "run.json"


def check_output(folder: Path, *, overwrite: bool, result_marker: str = RECORD_NAME) -> None:
    """Refuse before the work what would be refused after it.

    Raises:
        OutputError: if the folder exists and is not empty without ``overwrite``, is not the
            result of an earlier run, or cannot be created.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError("The output is a file, not a folder", got=folder)
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise OutputError(
                "The output folder exists already",
                got=folder,
                remedy="Choose another folder, or add --overwrite to replace the earlier result",
            )
        if not (folder / result_marker).is_file():
            raise OutputError(
                "The output folder holds something else than an earlier result",
                got=folder,
                remedy="Choose another folder; nothing but a result of pelvimets is overwritten",
            )
    _check_writable(_existing_parent(folder))


@contextmanager
def staged_folder(
    folder: Path, *, overwrite: bool = False, result_marker: str = RECORD_NAME
) -> Iterator[Path]:
    """A folder to write into that appears under its name only when all went well.

    On any error or interrupt the work folder is removed and an earlier result stays.
    ``result_marker`` is the file by which an earlier result is known.

    Raises:
        OutputError: as ``check_output``, or if the result cannot be moved into place.
        ResourceError: if the disk is full.
    """
    folder = Path(folder)
    check_output(folder, overwrite=overwrite, result_marker=result_marker)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield work
        _move_into_place(work, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; the file appears whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes; the file appears whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, keys in the order given; NaN becomes null."""
    write_text(path, json.dumps(_without_nan(data), indent=2, ensure_ascii=False) + "\n")


def _without_nan(data: Any) -> Any:
    if isinstance(data, float) and data != data:
        return None
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return data


def _move_into_place(work: Path, folder: Path) -> None:
    work.chmod(0o777 & ~_umask())
    if not folder.exists():
        work.rename(folder)
        return
    if not any(folder.iterdir()):
        folder.rmdir()
        work.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent)) / "result"
    folder.rename(old)
    try:
        work.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old.parent, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _existing_parent(folder: Path) -> Path:
    parent = folder.absolute()
    while not parent.exists():
        parent = parent.parent
    return parent


def _check_writable(parent: Path) -> None:
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            "The output folder cannot be created",
            got=parent,
            remedy="Choose a place that you may write to",
        )


def _unwritable(path: Path, error: OSError) -> OutputError | ResourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            "The disk is full", got=path, remedy="Free some space; nothing half-written was left"
        )
    return OutputError("The result cannot be written", got=f"{path}: {error.strerror or error}")
