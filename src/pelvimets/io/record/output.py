"""The output folder of a run: written aside, moved into place at the end."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pelvimets.errors import OutputError, ResourceError, reason, shown
from pelvimets.io.record.temporary import owned_folder, remove_abandoned

RECORD_NAME = "run.json"
_RESULT, _EARLIER = "result", "earlier"
_FLUSHED_AT_A_TIME = 16


def check_output(folder: Path, *, overwrite: bool, result_marker: str = RECORD_NAME) -> None:
    """Refuse before the work what would be refused after it.

    Raises:
        OutputError: if the folder exists and is not empty without ``overwrite``, is not the
            result of an earlier run, or cannot be created.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError("The output is a file, not a folder", got=folder)
    tidy(folder.absolute().parent)
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise _exists(folder)
        if not (folder / result_marker).is_file():
            raise OutputError(
                "The output folder holds something else than an earlier result",
                got=folder,
                remedy="Choose another folder; nothing but a result of pelvimets is overwritten",
            )
    _check_writable(_existing_parent(folder))


def tidy(place: Path) -> None:
    """Remove what killed runs have left in a folder; a result that one had moved aside comes back.

    What a living run is writing there is left alone.
    """
    remove_abandoned(place, ".?*.partial-*", _settle)


@contextmanager
def staged_folder(
    folder: Path, *, overwrite: bool = False, result_marker: str = RECORD_NAME
) -> Iterator[Path]:
    """A folder to write into that appears under its name only when all went well.

    It is written beside its place, and is on the disk before it takes its name::

        .NAME.partial-XXXXXXXX/result     what is written
        .NAME.partial-XXXXXXXX/earlier    the result that it replaces, for a moment

    On any error or interrupt the work folder is removed and an earlier result stays; after a kill
    the next run, or whoever reads the result, sees to it (``tidy``). ``result_marker`` is the
    file by which an earlier result is known.

    Raises:
        OutputError: as ``check_output``, before the work and again at its end, or if the result
            cannot be written or moved into place.
        ResourceError: if the disk is full.
    """
    folder = Path(folder)
    check_output(folder, overwrite=overwrite, result_marker=result_marker)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with owned_folder(folder.parent, f".{folder.name}.partial-", _settle) as work:
            (work / _RESULT).mkdir()
            yield work / _RESULT
            _flush(work / _RESULT)
            check_output(folder, overwrite=overwrite, result_marker=result_marker)
            _move_into_place(work, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a finished result with all the outputs it was asked for."""
    try:
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and not record.get("failed_outputs")


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
    result, earlier = work / _RESULT, work / _EARLIER
    result.chmod(0o777 & ~_umask())
    if folder.exists() and any(folder.iterdir()):
        folder.rename(earlier)
    elif folder.exists():
        folder.rmdir()
    result.rename(folder)


def _settle(work: Path) -> bool:
    """Before a work folder goes: an earlier result that nothing has replaced takes its name again.

    False keeps the work folder, as the name is taken by something else.
    """
    result, earlier = work / _RESULT, work / _EARLIER
    if not (earlier.is_dir() and result.is_dir()):
        return True
    place = work.with_name(work.name[1:].rpartition(".partial-")[0])
    try:
        earlier.rename(place)
    except OSError:
        return False
    return True


def _flush(folder: Path) -> None:
    """Have all on the disk: some disks tell only now that they are full.

    Many files at a time, as the disk then brings them in together.

    Raises:
        OSError: if something could not be written.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    with ThreadPoolExecutor(_FLUSHED_AT_A_TIME) as pool:
        list(pool.map(_flush_one, files))


def _flush_one(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _exists(folder: Path) -> OutputError:
    return OutputError(
        "The output folder exists already",
        got=folder,
        remedy="Choose another folder, or add --overwrite to replace the earlier result",
    )


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
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return _exists(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            "The disk is full", got=path, remedy="Free some space; nothing half-written was left"
        )
    return OutputError("The result cannot be written", got=f"{shown(path)}: {reason(error)}")
