"""What OpenVINO's telemetry left under the home folder before it was switched off."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_CLIENT_IDS = ("openvino_ga_cid", "openvino_ga_uid")
_COUNT = "stats"
_CONSENT = "openvino_telemetry"


def remove_telemetry() -> tuple[str, ...]:
    """Remove the client id and the count of uses that OpenVINO wrote when it was imported.

    Nothing is touched where the user has answered OpenVINO's own question about telemetry: then
    the files belong to that answer. A file that cannot be removed stays.

    Returns:
        Names of the files removed.
    """
    folder = _folder()
    if folder is None or (folder / _CONSENT).exists():
        return ()
    present = [name for name in _CLIENT_IDS if (folder / name).is_file()]
    if present and (folder / _COUNT).is_file():
        present.append(_COUNT)
    removed = []
    for name in present:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
            removed.append(name)
    if removed:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if nothing else lies there
    return tuple(removed)


def _folder() -> Path | None:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base) / "Intel Corporation" if base else None
    try:
        return Path.home() / "intel"
    except RuntimeError:  # no home folder is known
        return None
