"""What a folder of prepared samples was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pelvimets.io.record.output import write_json

_SETTINGS, _STAMPS = "prepared.json", "stamps.json"


class SampleIndex:
    """Keeps how samples were prepared, and a stamp of the files that each was made from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps: dict[str, str] = _read(folder / _STAMPS) or {}

    def prepared_as(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """How the samples here were prepared; a folder without a note is taken as these say."""
        path = self._folder / _SETTINGS
        found = _read(path)
        if found is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(path, settings)
            return {name: self.plain(value) for name, value in settings.items()}
        return {name: found.get(name) for name in settings}

    @staticmethod
    def plain(settings: Any) -> Any:
        """Settings as they come back from a file."""
        return json.loads(json.dumps(settings))

    def stamp_of(self, name: str) -> str | None:
        """Stamp of a sample's files when it was made, None if unknown."""
        return self._stamps.get(name)

    def note(self, name: str, stamp: str) -> None:
        """Keep the stamp of a sample that was made."""
        self._stamps[name] = stamp
        write_json(self._folder / _STAMPS, self._stamps)


def _read(path: Path) -> dict[str, Any] | None:
    """None if the file is missing or damaged: then samples are made again."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
