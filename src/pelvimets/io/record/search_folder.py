"""The folder of a search: runs of its trials, tables, figures, the best settings."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelvimets.errors import OutputError
from pelvimets.io.cohort.folder import table_text
from pelvimets.io.record.locks import held
from pelvimets.io.record.output import write_bytes, write_json, write_text
from pelvimets.io.record.results import figure_bytes
from pelvimets.io.record.search_storage import sqlite_url

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOCK_NAME = ".lock"


@dataclass(frozen=True)
class SearchFolder:
    """Reads and writes what a search keeps beside its database."""

    folder: Path

    @property
    def url(self) -> str:
        """The database in the folder."""
        return sqlite_url(self.folder / "study.db")

    @property
    def samples(self) -> Path:
        """Where prepared samples are kept, for all trials."""
        return self.folder / "samples"

    @property
    def best(self) -> Path:
        """The best settings."""
        return self.folder / "best.json"

    def make(self) -> None:
        """Make the folder where it is missing.

        Raises:
            OutputError: if it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                "The folder of the search cannot be made", got=f"{self.folder}: {error.strerror}"
            ) from error

    def run(self, name: str) -> Path:
        """Folder of the run of a trial."""
        return self.folder / "trials" / name

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep what the search is about, for the reader; the database holds it as well."""
        write_json(self.folder / "search.json", plan)

    def write_best(self, settings: Mapping[str, Any]) -> None:
        """Keep the best settings as ``train --settings`` takes them."""
        write_json(self.best, settings)

    def write_table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a table as CSV."""
        write_text(self.folder / f"{name}.csv", table_text(rows))

    def write_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG."""
        write_bytes(self.folder / f"{name}.png", figure_bytes(figure, "png"))

    def drop_checkpoints(self, runs: Collection[str]) -> None:
        """Delete the checkpoints of these runs; settings and log stay."""
        for name in runs:
            for checkpoint in self.run(name).glob("*.ckpt"):
                _remove(checkpoint)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among all workers that share a folder; it is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / _LOCK_NAME):
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
