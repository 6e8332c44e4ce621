"""The folder of a cross-validation: ``folds.json``, a run per fold, the samples of all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pelvimets.errors import InputError
from pelvimets.io.record.output import write_json

FOLDS_NAME = "folds.json"


@dataclass(frozen=True)
class FoldFolder:
    """Reads and writes who is in which fold."""

    folder: Path

    @property
    def samples(self) -> Path:
        """Where prepared samples of all folds are kept."""
        return self.folder / "samples"

    def run(self, fold: int) -> Path:
        """Folder of the run that is measured on a fold, from 1."""
        return self.folder / f"fold-{fold}"

    @property
    def is_there(self) -> bool:
        """Whether this is the folder of a cross-validation."""
        return (self.folder / FOLDS_NAME).is_file()

    def write(self, fold_of: Mapping[str, int]) -> None:
        """Keep the fold of each patient."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / FOLDS_NAME, dict(sorted(fold_of.items())))

    def read(self) -> dict[str, int] | None:
        """Fold of each patient; None if there is no cross-validation.

        Raises:
            InputError: if the file is damaged.
        """
        if not self.is_there:
            return None
        try:
            data = json.loads((self.folder / FOLDS_NAME).read_text(encoding="utf-8"))
            return {str(patient): int(fold) for patient, fold in data.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InputError("The folds cannot be read", got=f"{FOLDS_NAME}: {error}") from error
