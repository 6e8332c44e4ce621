"""The folder of a training run: settings, data in words, checkpoint, log."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelvimets.errors import InputError


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes what a run keeps beside Lightning's own files."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.folder / "last.ckpt"

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Keep the settings as plain data; the folder is made where it is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings_path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def read_settings(self) -> dict[str, Any]:
        """Settings of the run as plain data.

        Raises:
            InputError: if the folder is not that of a run.
        """
        try:
            data = json.loads(self._settings_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                "This is not the folder of a run",
                got=self.folder,
                remedy="Name the folder given to train with -o",
            ) from error
        if not isinstance(data, dict):
            raise InputError("The settings of a run are no JSON object", got=self._settings_path)
        return data

    def write_data(self, words: str) -> None:
        """Keep what the run learned from."""
        self._data_path.write_text(words + "\n", encoding="utf-8")

    def read_data(self) -> str:
        """What the run learned from."""
        return self._data_path.read_text(encoding="utf-8").strip()

    def read_curve(self) -> tuple[tuple[int, float], ...]:
        """(step, score) of each validation, parts of a resumed run joined."""
        points: dict[int, float] = {}
        for path in sorted(self.folder.glob("log/version_*/metrics.csv"), key=_part):
            with path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    if row.get("score"):
                        points[int(row["step"]) + 1] = float(row["score"])
        return tuple(sorted(points.items()))

    @property
    def _settings_path(self) -> Path:
        return self.folder / "settings.json"

    @property
    def _data_path(self) -> Path:
        return self.folder / "data.txt"


def _part(path: Path) -> int:
    return int(path.parent.name.removeprefix("version_"))
