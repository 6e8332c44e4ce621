"""The samples of a search: made once, shared by its trials and workers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

from pelvimets.app.train import PhantomPool, draw_pool, prepare_cohort
from pelvimets.io.arrays import ArrayFolder
from pelvimets.io.cohort import Split, read_cohort
from pelvimets.io.search_folder import locked
from pelvimets.labels import Sequence
from pelvimets.training.fixed_samples import FixedSamples
from pelvimets.training.phantom_samples import validation_samples
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.store import SampleStore


class PreparingObserver(Protocol):
    """Hears how the preparation goes."""

    def preparing(self, done: int, total: int) -> None:
        """Samples are being prepared."""
        ...


def data_identity(data: Path | None, pool: PhantomPool) -> dict[str, Any]:
    """What is learned from, whatever the folder is called on the machine of a worker."""
    if data is None:
        return {
            "source": "digital patients",
            "patients": pool.patients,
            "validation_per_sequence": pool.validation_per_sequence,
        }
    patients = read_cohort(data).patients
    lines = sorted(f"{p.key} {p.split}" for p in patients)
    return {
        "source": "cohort",
        "patients": len(patients),
        "patients_and_splits_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def prepared_samples(
    base: TrainingSettings,
    data: Path | None,
    store: Path,
    pool: PhantomPool,
    observer: PreparingObserver,
) -> tuple[FixedSamples, FixedSamples]:
    """All samples, before the first trial, so that every trial has the same.

    The first worker makes them; the others wait for it.
    """
    training, validation = (SampleStore(ArrayFolder(store / n)) for n in ("train", "validation"))
    with locked(store):
        if data is None:
            _draw_patients(store, base, pool, observer)
        else:
            prepare_cohort(read_cohort(data), base, store)
    if data is None:
        return _first_of_phantom(training, validation, pool)
    return _of_cohort(training, data, Split.TRAIN), _of_cohort(validation, data, Split.VALIDATION)


def _draw_patients(
    store: Path, base: TrainingSettings, pool: PhantomPool, observer: PreparingObserver
) -> None:
    grid, intensity = base.sample_grid, base.intensity
    validation = SampleStore(ArrayFolder(store / "validation"))
    wanted = pool.validation_per_sequence
    total = pool.patients + 2 * wanted
    there = set(validation.names())
    if len(there) < 2 * wanted:
        for number, sample in enumerate(validation_samples(wanted, grid, intensity)):
            observer.preparing(number, total)
            if sample.name not in there:
                validation.write(sample)
    for number in range(pool.patients):
        observer.preparing(2 * wanted + number, total)
        draw_pool(store / "train", grid, intensity, number + 1)
    observer.preparing(total, total)


def _first_of_phantom(
    training: SampleStore, validation: SampleStore, pool: PhantomPool
) -> tuple[FixedSamples, FixedSamples]:
    names = validation.names()
    chosen = [
        name
        for sequence in Sequence
        for name in [n for n in names if n.endswith(f"_{sequence.value}")][
            : pool.validation_per_sequence
        ]
    ]
    return (
        FixedSamples(training, training.names()[: pool.patients]),
        FixedSamples(validation, tuple(chosen)),
    )


def _of_cohort(store: SampleStore, data: Path, split: Split) -> FixedSamples:
    patients = read_cohort(data).of_split(split)
    names = {f"{p.key}_{s.value}" for p in patients for s in p.sequences}
    return FixedSamples(store, tuple(n for n in store.names() if n in names))
