"""Networks compiled for this machine, kept for the next run in a folder of the user's own.

A file there is as good as a program, so the folder must belong to the user and be closed to
everybody else, and each file begins with the checksum of what follows. Whatever is in doubt is
not used; the network is then compiled again, and nothing else changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "PELVIMETS_CACHE"
_OFF = frozenset({"off", "no", "none", "0", "false"})
_SUFFIX = ".compiled"
_DIGEST = hashlib.sha256().digest_size
_MOST_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class CompiledFolder:
    """Implements ``model.openvino_backend.CompiledStore``; no error ever leaves it."""

    folder: Path

    def read(self, key: str) -> bytes | None:
        """What was kept under a key; None if there is nothing that can be trusted."""
        try:
            if not _private(self.folder):
                return None
            path = self.folder / f"{key}{_SUFFIX}"
            data = path.read_bytes()
            os.utime(path)  # the last used are kept longest
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, key: str, content: bytes) -> None:
        """Keep something for later; the longest unused goes where too much is kept."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _private(self.folder):
                return
            self._make_room(_DIGEST + len(content))
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(hashlib.sha256(content).digest() + content)
            Path(file.name).replace(self.folder / f"{key}{_SUFFIX}")

    def _make_room(self, needed: int) -> None:
        kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in kept)
        while kept and size + needed > _MOST_BYTES:
            oldest = kept.pop(0)
            size -= oldest.stat().st_size
            oldest.unlink()


def compiled_folder() -> CompiledFolder | None:
    """Where compiled networks are kept; None where the user wants none kept.

    The environment variable ``PELVIMETS_CACHE`` names another folder, or says ``off``.
    """
    wanted = os.environ.get(ENVIRONMENT, "")
    if wanted.lower() in _OFF:
        return None
    if wanted:
        return CompiledFolder(Path(wanted) / "networks")
    base = _user_caches()
    return None if base is None else CompiledFolder(base / "pelvimets" / "networks")


def _user_caches() -> Path | None:
    """The user's folder for what can be made again; None where none is known."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return Path(local) if local else None
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        given = os.environ.get("XDG_CACHE_HOME")
        return Path(given) if given else Path.home() / ".cache"
    except RuntimeError:  # no home folder is known
        return None


def _private(folder: Path) -> bool:
    """Whether a folder is the user's own and closed to all others."""
    if sys.platform == "win32":  # the user's own profile folder is closed by the system
        return folder.is_dir()
    found = folder.lstat()
    closed = not stat.S_IMODE(found.st_mode) & 0o077
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and closed
