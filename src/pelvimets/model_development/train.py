"""Training runs: settings, data, splits and the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pelvimets.config import settings_to_dict
from pelvimets.core.progress import RunObserver
from pelvimets.core.splits import Splits, check_splits
from pelvimets.errors import CohortError, InputError, listed
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.io.phantom.record import phantom_command, refuse_unseen
from pelvimets.io.record.run_folder import KeepsRecord, RunFolder
from pelvimets.io.record.settings_file import read_settings_file
from pelvimets.labels import LearnedFrom
from pelvimets.model_development.annotations import annotation_notes, cohort_words
from pelvimets.model_development.backgrounds import Backgrounds, prepare_backgrounds
from pelvimets.model_development.samples import (
    begin_pool,
    cohort_splits,
    draw_pool,
    fill_pool,
    prepare_cohort,
    sample_store,
    splits_of_run,
)
from pelvimets.model_development.start import (
    StartSource,
    adopted,
    load_start,
    start_notes,
    start_source,
)
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES
from pelvimets.requests.train import DigitalPatients, TrainRequest
from pelvimets.training.fine_tuning import fine_tuned
from pelvimets.training.overrides import check_goes_on, overridden
from pelvimets.training.pool import PhantomPool
from pelvimets.training.presets import preset_settings
from pelvimets.training.settings import TrainingSettings, training_settings
from pelvimets.training.words import first_lines

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from pelvimets.training.module import SegmentationModule
    from pelvimets.training.store import SampleStore

__all__ = [
    "Backgrounds",
    "PhantomPool",
    "RunSummary",
    "draw_pool",
    "prepare_cohort",
    "run_settings",
    "train",
    "train_run",
]

_START_WORDS = ", starting from "


@dataclass(frozen=True)
class RunSummary:
    """What a run came to.

    Attributes:
        steps: Optimiser steps.
        minutes: Time trained, earlier parts of a resumed run included.
        score: Of the last validation; None if there was none.
        best: The highest.
        data: What it learned from, in words.
        before: Score of the weights that it started with; None without such.
    """

    steps: int
    minutes: float
    score: float | None
    best: float | None
    data: str
    before: float | None = None


def run_settings(request: TrainRequest) -> TrainingSettings:
    """Settings of a run: preset, then the bundle started from, then a file, then the length.

    Without a preset and a file, a run that has begun keeps its own.

    Raises:
        SettingsError: if a name is unknown or a value does not fit.
    """
    settings = _chosen(request)
    if request.sequence is not None:
        settings = replace(settings, sequences=(request.sequence.value,))
    if request.minutes is not None:
        settings = replace(settings, minutes=request.minutes)
    return settings if request.epochs is None else replace(settings, epochs=request.epochs)


def _chosen(request: TrainRequest) -> TrainingSettings:
    folder = RunFolder(request.out)
    if folder.can_go_on and request.preset is None and request.settings is None:
        return overridden(training_settings(folder.read_settings()), {"task": request.task})
    settings = preset_settings(request.task, request.preset or "default")
    if request.start_from is not None:
        source = start_source(request.start_from)
        settings = adopted(settings, source)
        if source.has_network_of(settings.task):
            settings = fine_tuned(settings)
    if request.settings is not None:
        settings = overridden(settings, read_settings_file(request.settings))
    return settings


def train(request: TrainRequest, observer: RunObserver | None = None) -> RunSummary:
    """Train a network, or go on with a run that was stopped.

    Of several processes the first one prepares and writes.

    Args:
        request: What to train, on what.
        observer: Is told of progress.

    Raises:
        SettingsError: if a setting is unknown, or the run began with other ones.
        CohortError: if the cohort contradicts itself or cannot be used, with all its faults.
        InputError: if the run began on other data, or the weights to start with do not fit.
    """
    return train_run(run_settings(request), request, observer)


def train_run(
    settings: TrainingSettings,
    request: TrainRequest,
    observer: RunObserver | None = None,
    splits: Splits | None = None,
    before: Callable[[], None] = lambda: None,
) -> RunSummary:
    """Train with settings that are chosen already; see ``train``.

    Args:
        settings: Of the run.
        request: What to train, on what.
        observer: Is told of progress.
        splits: Who is learned from and measured on; None takes the table's or draws.
        before: Called on the first process once the data are checked.
    """
    if request.federated:
        from pelvimets.training.federated import federated_settings

        settings = federated_settings(settings)
    folder = RunFolder(request.out)
    with folder.gone_if_failed():
        return _train_run(settings, request, observer, splits, before)


def _train_run(
    settings: TrainingSettings,
    request: TrainRequest,
    observer: RunObserver | None,
    splits: Splits | None,
    before: Callable[[], None],
) -> RunSummary:
    from pelvimets.training.devices import accelerator_of
    from pelvimets.training.processes import first_alone, launched
    from pelvimets.training.run import train

    folder = RunFolder(request.out)
    accelerator = accelerator_of(request.device.value)
    settings = _with_precision(settings, folder)
    source = None if request.start_from is None else start_source(request.start_from)
    shown = KeepsRecord(observer or RunObserver(), folder)
    job = _Job(settings, request, source, shown, splits)
    new = source is not None and not folder.can_go_on
    start = load_start(source, settings, request.from_sequence) if source and new else None
    chosen = first_alone(job.prepare)
    if launched().first:
        before()
    background = job.data is None and launched().first
    filler = fill_pool(settings, job.store, job.pool) if background else None
    training, validation = (job.samples(part, chosen) for part in ("train", "validation"))
    for line in first_lines(settings, training, validation, job.notes) if launched().first else ():
        shown.note(line)
    try:
        module = train(
            settings,
            training,
            validation,
            request.out,
            start=start,
            workers=request.workers,
            observer=shown,
            callbacks=_meetings(request, training),
            devices=accelerator,
        )
    finally:
        if filler is not None:
            filler.terminate()
    return _summary(module, folder.read_data())


def _meetings(request: TrainRequest, training: SampleStore) -> list[Callback]:
    """What meets the other sites, if this is one of a federation."""
    if not request.federated:
        return []
    from pelvimets.training.federated import Exchange, FlareChannel

    patients = {name.rpartition("_")[0] for name in training.names()}
    return [Exchange(FlareChannel(), len(patients))]


def _summary(module: SegmentationModule, data: str) -> RunSummary:
    return RunSummary(
        steps=module.global_step,
        minutes=module.seconds / 60,
        score=module.score,
        best=module.best_score,
        data=data,
        before=module.score_before,
    )


def pool_of(digital: DigitalPatients) -> PhantomPool:
    """The digital patients that a run draws."""
    return PhantomPool(
        digital.patients,
        digital.simulated,
        start_with=min(digital.patients, 40),
        sources=digital.anatomy or TRAINING_SOURCES,
    )


def _with_precision(settings: TrainingSettings, folder: RunFolder) -> TrainingSettings:
    """Settings with the precision that a run keeps, or with the faster one for a new run."""
    from pelvimets.training.precision import AUTO, chosen_precision

    if settings.precision != AUTO:
        return settings
    before = training_settings(folder.read_settings()) if folder.can_go_on else settings
    return replace(settings, precision=chosen_precision(before))


@dataclass(frozen=True)
class _Job:
    """One run before it begins: what it was asked for, and the checks of that."""

    settings: TrainingSettings
    request: TrainRequest
    source: StartSource | None
    observer: RunObserver
    given_splits: Splits | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of start and annotations before training begins."""
        begins = self.source is not None and not self.folder.can_go_on
        start = start_notes(self.source, self.settings) if self.source and begins else ()
        if self.data is None:
            return start
        cohort, splits = read_cohort(self.data), self._splits(self.data)
        return (*start, *annotation_notes(cohort, self.settings, splits))

    @property
    def data(self) -> Path | None:
        """The cohort; None for digital patients."""
        return self.request.cohort

    @property
    def folder(self) -> RunFolder:
        """Of the run."""
        return RunFolder(self.request.out)

    @property
    def store(self) -> Path:
        """Where prepared samples are kept."""
        return self.request.samples or self.request.out / "samples"

    @property
    def pool(self) -> PhantomPool:
        """The digital patients."""
        return pool_of(self.request.digital)

    @property
    def backgrounds(self) -> Backgrounds | None:
        """Real images to put metastases into, beside the others."""
        cohort = self.request.backgrounds
        return None if cohort is None else Backgrounds(cohort)

    def samples(self, part: str, chosen: Mapping[str, tuple[str, ...]]) -> SampleStore:
        """The prepared samples of ``train`` or ``validation``; all there are, or those chosen."""
        store = sample_store(self.store / part, chosen.get(part))
        return replace(store, sequences=self.settings.sequences)

    @property
    def split_of(self) -> Path | None:
        """Run whose patients keep their split."""
        return self.request.split_of

    def prepare(self) -> Mapping[str, tuple[str, ...]]:
        """Check everything, prepare the samples, and write what the run keeps of itself.

        Returns:
            Names of the samples for training and validation; empty takes all there are.
        """
        if self.folder.can_go_on:
            check_goes_on(training_settings(self.folder.read_settings()), self.settings)
            self._check_same_data()
        self.folder.folder.mkdir(parents=True, exist_ok=True)
        names: dict[str, tuple[str, ...]] = {}
        splits: Splits | None = None
        if self.data is None:
            begin_pool(self.settings, self.store, self.pool, self.observer.preparing)
        else:
            refuse_unseen(self.data)
            splits = self._splits(self.data)
            names = prepare_cohort(
                read_cohort(self.data), self.settings, self.store, splits, self.observer.preparing
            )
        if self.backgrounds is not None:
            real = prepare_backgrounds(
                self.backgrounds, self.settings, self.store / "train", self.observer.preparing
            )
            if names:  # a cohort's samples are named one by one; of digital patients all are taken
                names["train"] += real
        self._write(splits)
        return names

    def _write(self, splits: Splits | None) -> None:
        if not self.folder.can_go_on:
            start = "" if self.source is None else f"{_START_WORDS}{self.source.words}"
            self.folder.write_data(f"{self._data_words}{start}")
            self.folder.write_learned_from(self._learned_from)
        if splits is not None:
            self.folder.write_splits(asdict(splits))
        self.folder.write_settings(settings_to_dict(self.settings))

    @property
    def _learned_from(self) -> LearnedFrom:
        digital = self.data is None or phantom_command(self.data) is not None
        kinds = [LearnedFrom.DIGITAL if digital else LearnedFrom.REAL]
        kinds += [LearnedFrom.REAL] if self.backgrounds is not None else []
        kinds += [self.source.learned_from] if self.source is not None else []
        return kinds[0].with_others(*kinds)

    @property
    def _data_words(self) -> str:
        words = self.pool.words if self.data is None else cohort_words(self.data)
        return words if self.backgrounds is None else f"{words}, {self.backgrounds.words}"

    def _check_same_data(self) -> None:
        data, _, start = self.folder.read_data().partition(_START_WORDS)
        if data != self._data_words or (self.source and start != self.source.words):
            raise InputError(
                "This run began on other data",
                got=f"{self.folder.read_data()}",
                remedy="Give the same to go on; choose another folder for a new run",
            )

    def _splits(self, data: Path) -> Splits:
        kept = self.folder.read_splits() if self.folder.can_go_on else None
        before = None if kept is None else Splits(**kept)
        elsewhere = before or self._splits_elsewhere()
        splits = self.given_splits or cohort_splits(
            read_cohort(data), elsewhere, self.settings.seed
        )
        if before is not None and splits != before:
            moved = set(before.of_patient.items()) ^ set(splits.of_patient.items())
            raise CohortError(
                "The patients or their splits have changed since this run began",
                got=listed(sorted({patient for patient, _ in moved})),
                remedy="Choose another folder for a new run",
            )
        check_splits({"this run": splits, **self._others()})
        return splits

    def _splits_elsewhere(self) -> Splits | None:
        return None if self.split_of is None else splits_of_run(self.split_of)

    def _others(self) -> dict[str, Splits]:
        """Splits of the runs that this one hangs on."""
        others = {
            f"run {run.absolute().name}": self._splits_elsewhere()
            for run in (self.split_of,)
            if run is not None
        }
        if self.source is not None:
            others[self.source.words] = self.source.splits
        return {name: splits for name, splits in others.items() if splits is not None}
