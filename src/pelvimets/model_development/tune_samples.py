"""The samples of a search: made once, the same for all its trials and workers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pelvimets.core.progress import Progress
from pelvimets.core.splits import Splits
from pelvimets.io.cohort.folder import Cohort, read_cohort
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.io.record.search_folder import locked
from pelvimets.labels import Sequence
from pelvimets.model_development.samples import (
    begin_pool,
    cohort_splits,
    prepare_cohort,
    sample_store,
    splits_of_run,
)
from pelvimets.training.pool import PhantomPool
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.store import SampleStore


@dataclass(frozen=True)
class TuneData:
    """What a search learns from.

    Attributes:
        cohort: The patients, None for digital ones.
        splits: Their parts.
        pool: Number of digital patients.
    """

    cohort: Cohort | None
    splits: Splits | None
    pool: PhantomPool

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for all workers, whatever folders are called on theirs."""
        if self.splits is None:
            return {
                "source": "digital patients",
                "patients": self.pool.patients,
                "validation_per_sequence": self.pool.validation_per_sequence,
            }
        lines = "\n".join(f"{p} {part}" for p, part in sorted(self.splits.of_patient.items()))
        return {
            "source": "cohort",
            "training_patients": len(self.splits.train),
            "validation_patients": len(self.splits.validation),
            "patients_and_parts_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        }

    def describe(self, run: RunFolder) -> None:
        """Write into the run of a trial what it learned from, as training does."""
        if self.cohort is None or self.splits is None:
            run.write_data("digital patients")
        else:
            run.write_data(f"cohort {self.cohort.folder.absolute().name}")
            run.write_splits(asdict(self.splits))


def tune_data(data: Path | None, pool: PhantomPool, split_of: Path | None, seed: int) -> TuneData:
    """Read the cohort and part it, or take digital patients.

    Args:
        data: Cohort folder; None takes digital patients.
        pool: Number of digital patients.
        split_of: Run whose patients keep their part.
        seed: Of the draw of the parts, where the table of the cohort gives none.

    Raises:
        CohortError: if the cohort contradicts itself.
        InputError: if the run keeps no parts.
    """
    if data is None:
        return TuneData(None, None, replace(pool, start_with=pool.patients))
    cohort = read_cohort(data)
    elsewhere = None if split_of is None else splits_of_run(split_of)
    return TuneData(cohort, cohort_splits(cohort, elsewhere, seed), pool)


def prepared_samples(
    data: TuneData, settings: TrainingSettings, store: Path, progress: Progress
) -> tuple[SampleStore, SampleStore]:
    """All samples for training and validation, before the first trial.

    Of several workers that share the folder the first makes them; the others wait for it.

    Raises:
        CohortError: with all cases that cannot be used.
        SettingsError: if the folder holds samples of other settings.
    """
    with locked(store):
        if data.cohort is None:
            begin_pool(settings, store, data.pool, progress)
            names = _first_patients(store, data.pool)
        else:
            names = prepare_cohort(data.cohort, settings, store, data.splits, progress)
    training, validation = (
        replace(sample_store(store / part, names[part]), sequences=settings.sequences)
        for part in ("train", "validation")
    )
    return training, validation


def _first_patients(store: Path, pool: PhantomPool) -> dict[str, tuple[str, ...]]:
    """The wanted number of samples, as a shared folder may hold more."""
    validation = sample_store(store / "validation").names()
    each = [[n for n in validation if n.endswith(f"_{s.value}")] for s in Sequence]
    return {
        "train": sample_store(store / "train").names()[: pool.patients],
        "validation": tuple(n for names in each for n in names[: pool.validation_per_sequence]),
    }
