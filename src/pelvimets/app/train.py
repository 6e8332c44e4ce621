"""Training runs: samples from a cohort or from digital patients, and the run."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pelvimets.config import GridSettings, IntensitySettings, settings_to_dict
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.io.arrays import ArrayFolder
from pelvimets.io.cohort import Case, Cohort, CohortPatient, Split, read_case, read_cohort
from pelvimets.io.run_folder import RunFolder
from pelvimets.labels import Bone
from pelvimets.training.phantom_samples import (
    TRAINING_SEEDS,
    draw_training_sample,
    validation_samples,
)
from pelvimets.training.sample import prepare_sample
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.store import SampleStore


@dataclass(frozen=True)
class PhantomPool:
    """How many digital patients to draw.

    Attributes:
        patients: Training samples; drawn in the background while training runs.
        validation_per_sequence: Samples of each sequence set aside.
        start_with: Training begins when so many are there.
    """

    patients: int = 1000
    validation_per_sequence: int = 12
    start_with: int = 40


def train_run(
    settings: TrainingSettings,
    data: Path | None,
    run: Path,
    *,
    start_from: Path | None = None,
    samples: Path | None = None,
    pool: PhantomPool | None = None,
    workers: int = 1,
) -> None:
    """Train a network, or go on with a run that was stopped.

    Args:
        settings: Of the run; kept in ``settings.json``.
        data: Cohort folder; None draws digital patients.
        run: Folder of the run.
        start_from: Checkpoint whose weights a new run starts with.
        samples: Where prepared samples are kept; default in the run.
        pool: Number of digital patients.
        workers: Processes that draw patches.
    """
    from pelvimets.training.run import train

    folder = RunFolder(run)
    folder.write_settings(settings_to_dict(settings))
    folder.write_data(_words(data))
    store = samples or run / "samples"
    training, validation = _samples(store / "train"), _samples(store / "validation")
    filler = None
    if data is None:
        filler = _start_phantom(settings, store, pool or PhantomPool())
    else:
        prepare_cohort(read_cohort(data), settings, store)
    try:
        train(settings, training, validation, run, start_from=start_from, workers=workers)
    finally:
        if filler is not None:
            filler.terminate()


def _samples(folder: Path) -> SampleStore:
    return SampleStore(ArrayFolder(folder))


def _words(data: Path | None) -> str:
    return "digital patients drawn on the fly" if data is None else f"cohort {data.name}"


def prepare_cohort(cohort: Cohort, settings: TrainingSettings, store: Path) -> None:
    """Bring every case to the sample grid, once.

    Raises:
        CohortError: if there is no training or validation patient, or a case lacks its mask.
    """
    for split, name in ((Split.TRAIN, "train"), (Split.VALIDATION, "validation")):
        patients = cohort.of_split(split)
        if not patients:
            raise CohortError(f"The cohort has no patient in the split {split.value}")
        folder = _samples(store / name)
        there = set(folder.names())
        for patient in patients:
            _prepare_patient(patient, settings, folder, there)


def _prepare_patient(
    patient: CohortPatient, settings: TrainingSettings, folder: SampleStore, there: set[str]
) -> None:
    for sequence in patient.sequences:
        name = f"{patient.key}_{sequence.value}"
        if name in there:
            continue
        case = read_case(patient, sequence)
        bones = _checked_bones(case, settings.task)
        folder.write(
            prepare_sample(
                name,
                sequence,
                case.image,
                bones,
                case.lesions,
                case.mimics,
                settings.sample_grid,
                settings.intensity,
            )
        )


def _checked_bones(case: Case, task: Task) -> Volume:
    where = f"Patient {case.patient.key}, {case.sequence.title}"
    if case.bones is None:
        raise CohortError(f"{where}: no mask of the bones", remedy="Both networks need it")
    if task is Task.LESIONS and case.lesions is None:
        raise CohortError(
            f"{where}: no mask of the lesions", remedy="Write an empty one where there is none"
        )
    values = np.unique(case.bones.array)
    if not np.isin(values, [0, *Bone]).all():
        raise CohortError(
            f"{where}: unknown values in the mask of the bones",
            got=sorted(set(values.tolist()) - {0, *Bone}),
            remedy=f"Use 0 and {min(Bone):d} to {max(Bone):d}, in the order of 'labels'",
        )
    return case.bones


def _start_phantom(
    settings: TrainingSettings, store: Path, pool: PhantomPool
) -> multiprocessing.process.BaseProcess:
    grid, intensity = settings.sample_grid, settings.intensity
    validation = _samples(store / "validation")
    if len(validation.names()) < 2 * pool.validation_per_sequence:
        for sample in validation_samples(pool.validation_per_sequence, grid, intensity):
            validation.write(sample)
    draw_pool(store / "train", grid, intensity, pool.start_with)
    filler = multiprocessing.get_context("spawn").Process(
        target=draw_pool,
        args=(store / "train", grid, intensity, pool.patients),
        daemon=True,
    )
    filler.start()
    return filler


def draw_pool(
    folder: Path, grid: GridSettings, intensity: IntensitySettings, patients: int
) -> None:
    """Draw digital patients into a folder until there are so many."""
    store = _samples(folder)
    there = {int(name.split("_")[0]) for name in store.names()}
    for seed in range(TRAINING_SEEDS, TRAINING_SEEDS + patients):
        if seed not in there:
            store.write(draw_training_sample(seed, grid, intensity))
