"""Unpack a zip that comes from outside, and refuse one that is hostile, damaged or too large."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pelvimets.errors import ArchiveError, ResourceError

_BLOCK = 1 << 20
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError, OSError),
)
_OF_THE_ZIP = (None, errno.EINVAL)  # bz2 says no number; a place before the file's start
_ENCRYPTED = 0x1
_GIVE_A_FOLDER = "Unpack it with your own tool, look at what is inside, and give the folder"


@dataclass(frozen=True)
class ArchiveLimits:
    """What a zip may unpack to.

    Attributes:
        largest_bytes: Of all files together, unpacked.
        largest_files: Number of files.
        largest_ratio: Unpacked bytes per packed byte; checked above ``ratio_from_bytes``, as
            empty images pack very well.
        ratio_from_bytes: Unpacked size from which the ratio counts.
    """

    largest_bytes: int = 8 * 1024**3
    largest_files: int = 50_000
    largest_ratio: float = 200.0
    ratio_from_bytes: int = 100 * 1024**2


def is_zip(path: Path) -> bool:
    """Whether the file starts like a zip (also an empty or truncated one)."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> int:
    """Unpack every file of a zip into a folder, under numbered names.

    The names in the archive are checked and then not used: they often hold a patient's name,
    may be too long for the disk, or may differ by upper and lower case only.

    Args:
        archive: The zip.
        folder: An existing, empty folder.
        limits: Default ``ArchiveLimits()``.

    Returns:
        Number of files written.

    Raises:
        ArchiveError: if the zip is truncated, damaged or encrypted, names a path outside its
            folder, holds links or special files, or exceeds the limits.
        ResourceError: if the disk has not enough room.
    """
    limits = limits or ArchiveLimits()
    with _opened(archive) as zipped:
        members = [info for info in zipped.infolist() if not info.is_dir()]
        _check_members(members, limits)
        _check_room(folder, sum(info.file_size for info in members))
        left = limits.largest_bytes
        for number, info in enumerate(members):
            left -= _unpack_one(zipped, info, folder / f"{number:06d}", left)
    return len(members)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as zipped:
            yield zipped
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_ZIP:
            raise  # of the disk
        raise ArchiveError(
            "The zip is damaged or truncated",
            got=_nameless(error),
            remedy="Copy or download it again",
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(
            "The zip uses a packing that cannot be read",
            got=_nameless(error),
            remedy=_GIVE_A_FOLDER,
        ) from error


def _nameless(error: Exception) -> str:
    """What the library says, up to the name of a member: it often is that of the patient."""
    said = re.split(r"""['"]|\b(?:for )?file\b""", str(error), flags=re.IGNORECASE)[0].strip()
    return said or type(error).__name__


def _check_members(members: list[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    if not members:
        raise ArchiveError("The zip holds no files", remedy="Give the zip of one MR study")
    for number, info in enumerate(members, start=1):
        _check_member(info, f"member {number} of {len(members)}")
    if len(members) > limits.largest_files:
        raise ArchiveError(
            f"The zip holds more than {limits.largest_files} files",
            got=len(members),
            remedy="Give the zip of one study only",
        )
    _check_size(members, limits)


def _check_member(info: zipfile.ZipInfo, which: str) -> None:
    name = info.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or "\0" in name:
        raise ArchiveError(
            "The zip names a path outside its folder", got=which, remedy=_GIVE_A_FOLDER
        )
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        raise ArchiveError(
            "The zip holds a link or a special file", got=which, remedy=_GIVE_A_FOLDER
        )
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError("The zip is encrypted", remedy=_GIVE_A_FOLDER)


def _check_size(members: list[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    unpacked = sum(info.file_size for info in members)
    packed = max(1, sum(info.compress_size for info in members))
    if unpacked > limits.largest_bytes:
        raise _too_large(unpacked, limits.largest_bytes)
    if unpacked > limits.ratio_from_bytes and unpacked / packed > limits.largest_ratio:
        raise ArchiveError(
            f"The zip unpacks to more than {limits.largest_ratio:g} times its size",
            got=f"{unpacked / packed:.0f} times",
            remedy=_GIVE_A_FOLDER,
        )


def _too_large(size: int, limit: int) -> ArchiveError:
    return ArchiveError(
        f"The zip unpacks to more than {limit / 1e9:.3g} GB",
        got=f"at least {size / 1e9:.3g} GB",
        remedy="Give the zip of one study only, or the unpacked folder",
    )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"Unpacking the zip needs {needed / 1e9:.3g} GB of temporary disk",
            got=f"{free / 1e9:.3g} GB free",
            remedy="Free some disk, or set TMPDIR to a larger one",
        )


def _unpack_one(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one file; count real bytes, since the size that a zip declares can lie."""
    written = 0
    with zipped.open(info) as source, target.open("wb") as sink:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > left:
                raise _too_large(written, left)
            sink.write(block)
    return written
