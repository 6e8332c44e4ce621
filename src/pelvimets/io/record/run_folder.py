"""The folder of a training run.

::

    RUN/settings.json       as given to this run
    RUN/data.txt            what it learns from, in words
    RUN/learned_from.txt    digital, real or mixed, where that is known
    RUN/begun_with.json     score of weights of the same network that it began with
    RUN/split.json          names of the patients learned from, measured on, set aside
    RUN/last.ckpt           after the last epoch
    RUN/best.ckpt           after the best validation
    RUN/part.ckpt           where the run was told to stop within an epoch, until that is done
    RUN/log/version_N/metrics.csv    one part for each start of the run
    RUN/tensorboard/
    RUN/pictures/epoch_0001.png      validation images, truth beside prediction
    RUN/samples/            prepared samples, unless they are kept elsewhere
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelvimets.core.progress import RunObserver, RunState
from pelvimets.errors import InputError
from pelvimets.io.record.output import write_bytes, write_json, write_text
from pelvimets.labels import LearnedFrom


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes what a run keeps beside Lightning's own files."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.folder / "last.ckpt"

    @property
    def chosen_checkpoint(self) -> Path:
        """The checkpoint of which a bundle is made.

        The last one; of a run that began with weights of the same network the best one, which
        may be those weights themselves.
        """
        best = self.folder / "best.ckpt"
        return best if self._begun_path.is_file() and best.is_file() else self.checkpoint

    def note_begun_with(self, score: float) -> None:
        """Keep that the run began with weights of the same network, and what they score."""
        write_json(self._begun_path, {"score": score})

    @property
    def _begun_path(self) -> Path:
        return self.folder / "begun_with.json"

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here."""
        return self._settings_path.is_file()

    @property
    def has_trained(self) -> bool:
        """Whether an epoch was finished, so that there is a network to take."""
        return self.is_run and self.checkpoint.is_file()

    @property
    def can_go_on(self) -> bool:
        """Whether a step was kept: an epoch was finished, or the run was stopped within one."""
        return self.has_trained or (self.is_run and (self.folder / "part.ckpt").is_file())

    @contextmanager
    def gone_if_failed(self) -> Iterator[None]:
        """Remove the folder if it is new and its run fails before anything was kept in it.

        Prepared samples of a run that was interrupted stay: they serve when it begins again.
        """
        new = not self.folder.exists()
        try:
            yield
        except BaseException as error:
            unused = new and self.folder.is_dir() and not self.is_run
            if unused and (isinstance(error, Exception) or not _has_file(self.folder)):
                shutil.rmtree(self.folder)
            raise

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Keep the settings as plain data; the folder is made where it is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._settings_path, settings)

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
        write_text(self._data_path, words + "\n")

    def read_data(self) -> str:
        """What the run learned from."""
        return self._data_path.read_text(encoding="utf-8").strip()

    def write_learned_from(self, kind: LearnedFrom) -> None:
        """Keep what kind of patients the run learned from."""
        write_text(self._learned_from_path, kind.value + "\n")

    def read_learned_from(self) -> LearnedFrom:
        """What kind of patients the run learned from; unknown of runs of earlier versions."""
        if not self._learned_from_path.is_file():
            return LearnedFrom.UNKNOWN
        kept = self._learned_from_path.read_text(encoding="utf-8").strip()
        try:
            return LearnedFrom(kept)
        except ValueError as error:
            raise InputError(
                "A run says something unknown of what it learned from",
                got=kept,
                remedy=f"Write one of {', '.join(LearnedFrom)} into {self._learned_from_path.name}",
            ) from error

    def write_splits(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Keep the names of the patients in each part of the cohort."""
        write_json(self._splits_path, splits)

    def read_splits(self) -> dict[str, tuple[str, ...]] | None:
        """Names of patients per part; None of a run on digital patients, who have no names.

        Raises:
            InputError: if the file is damaged.
        """
        if not self._splits_path.is_file():
            return None
        try:
            data = json.loads(self._splits_path.read_text(encoding="utf-8"))
            return {str(part): tuple(map(str, names)) for part, names in data.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(
                "The splits of a run cannot be read", got=f"{self._splits_path}: {error}"
            ) from error

    def write_picture(self, epoch: int, png: bytes) -> None:
        """Keep the picture of a validation."""
        pictures = self.folder / "pictures"
        pictures.mkdir(exist_ok=True)
        write_bytes(pictures / f"epoch_{epoch:04d}.png", png)

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
    def _splits_path(self) -> Path:
        return self.folder / "split.json"

    @property
    def _learned_from_path(self) -> Path:
        return self.folder / "learned_from.txt"

    @property
    def _data_path(self) -> Path:
        return self.folder / "data.txt"


def _has_file(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _part(path: Path) -> int:
    return int(path.parent.name.removeprefix("version_"))


@dataclass(frozen=True)
class KeepsRecord(RunObserver):
    """Passes everything on; keeps in the run what it began with, and its pictures."""

    observer: RunObserver
    folder: RunFolder

    def preparing(self, what: str, done: int, total: int) -> None:
        """Pass on."""
        self.observer.preparing(what, done, total)

    def note(self, line: str) -> None:
        """Pass on."""
        self.observer.note(line)

    def begun_with(self, score: float) -> None:
        """Keep, and pass on."""
        self.folder.note_begun_with(score)
        self.observer.begun_with(score)

    def step(self, state: RunState) -> None:
        """Pass on."""
        self.observer.step(state)

    def epoch(self, state: RunState) -> None:
        """Pass on."""
        self.observer.epoch(state)

    def picture(self, epoch: int, png: bytes) -> None:
        """Keep, and pass on."""
        self.folder.write_picture(epoch, png)
        self.observer.picture(epoch, png)
