"""Requests of ``train`` and ``tune``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pelvimets.labels import Sequence
from pelvimets.options import Request, group, option

PHANTOM = "phantom"
_DATA = f"Cohort folder, or '{PHANTOM}' for digital patients."
_CHANGES = "JSON or YAML file of settings that replace those of the preset."


class Device(StrEnum):
    """What to compute on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"
    XPU = "xpu"


@dataclass(frozen=True)
class DigitalPatients:
    """Digital patients to learn from.

    Attributes:
        patients: Drawn samples, one sequence each.
        simulated: Men examined in full, on two scanners each.
        anatomy: Build from these alone; () takes all that training sees.
    """

    patients: int = option(
        "Digital patients: drawn samples, one sequence each.", default=1000, least=2
    )
    simulated: int = option(
        "Digital patients: examined in full, on two scanners each.", default=150, least=0
    )
    anatomy: tuple[str, ...] = option(
        "Digital patients: build from this anatomy alone; may be repeated.", default=()
    )


@dataclass(frozen=True)
class TrainRequest(Request):
    """One network to train, or a run to go on with.

    Attributes:
        task: ``bones`` or ``lesions``.
        data: Cohort folder, or ``"phantom"`` for digital patients.
        out: Folder of the run; resumed if there.
        preset: By name; None takes ``default`` for a new run, its own for one that has begun.
        settings: File of settings that replace single ones.
        sequence: Learn from this one alone; None from both.
        minutes, epochs: Length of the run; None leaves it to the settings.
        start_from: Run or bundle whose weights a new run starts with.
        from_sequence: Which network, if the bundle has one for each sequence; None takes that of
            the one sequence that is learned, else of DWI.
        split_of: Run whose patients keep their split.
        samples: Where prepared samples are kept; None in the run.
        digital: How many digital patients.
        backgrounds: Cohort of real images without metastases, to put some into.
        workers: Processes that draw patches.
        folds: Train so many runs, each measured on another part of the patients.
        fold: Of these, this one alone.
        device: What to compute on.
        federated: Train as one site of several, inside a job of NVFLARE.
    """

    task: str = option("bones or lesions.", argument=True)
    data: str | Path = option(_DATA, "--data")
    out: Path = option("Folder of the run; resumed if there.", "--out", "-o")
    preset: str | None = option(
        "default, paper, residual or attention; a begun run keeps its own. [default]", default=None
    )
    settings: Path | None = option(_CHANGES, default=None)
    sequence: Sequence | None = option(
        "Learn from this one alone, for a network of its own. [default: both]", default=None
    )
    minutes: float | None = option("The schedule ends after this time.", default=None, least=0.1)
    epochs: int | None = option("Number of epochs.", default=None, least=1)
    start_from: str | Path | None = option(
        "Run or bundle whose weights a new run starts with.", "--from", default=None
    )
    from_sequence: Sequence | None = option(
        "Which network, if the bundle has one for each sequence. [default: of the one that is "
        "learned, else dwi]",
        default=None,
    )
    split_of: Path | None = option(
        "Run whose patients keep their split, such as that of the bones.", default=None
    )
    samples: Path | None = option(
        "Folder for prepared samples, to share between runs.", default=None
    )
    digital: DigitalPatients = group(DigitalPatients)
    backgrounds: Path | None = option(
        "Lesions: cohort of real images without metastases, to put some into.", default=None
    )
    workers: int = option("Processes that draw patches.", default=1, least=0)
    folds: int | None = option(
        "Cross-validation: so many runs, each measured on another part of the patients.",
        default=None,
        least=2,
    )
    fold: int | None = option("Of the --folds, train this one alone.", default=None, least=1)
    device: Device = option("What to compute on.", default=Device.AUTO)
    federated: bool = option(
        "Inside a job of NVFLARE: train with other sites, weights are shared, images stay.",
        "--federated",
        default=False,
    )

    @property
    def cohort(self) -> Path | None:
        """The cohort; None for digital patients."""
        return None if str(self.data) == PHANTOM else Path(self.data)


@dataclass(frozen=True)
class TuneOptions(Request):
    """How a worker searches.

    Attributes:
        trials: Of the whole search, all workers together.
        timeout_minutes: No new trial is begun after this; None has no end.
        sampler: ``random`` or ``tpe``.
        pruner: ``median``, ``hyperband`` or ``none``.
        seed: Of the drawn values.
        storage: URL of the database; None keeps it in the folder.
        study: Name in the database; None takes that of the folder.
        keep: Checkpoints are kept of so many of the best trials.
        workers: Processes that draw patches.
        patients: Digital patients to learn from.
        validation: Digital patients of each sequence to measure on.
        samples: Where prepared samples are kept; None in the folder.
        split_of: Run whose patients keep their part of the cohort.
    """

    trials: int = option("Trials of the whole study, all workers together.", default=30, least=1)
    timeout_minutes: float | None = option(
        "Begin no trial after so many minutes.", "--timeout", default=None, least=0
    )
    sampler: str = option("random, as in the paper, or tpe.", default="random")
    pruner: str = option("Stops poor trials early: median, hyperband or none.", default="median")
    seed: int = option("Of the drawn values.", default=0, least=0)
    storage: str | None = option(
        "Database; for many workers postgresql://USER@HOST/NAME. Without it, SQLite in the folder.",
        default=None,
        variable="PELVIMETS_STORAGE",
    )
    study: str | None = option(
        "Name in the database; without it, that of the folder.", default=None
    )
    keep: int = option("Keep the checkpoints of the best.", default=3, least=1)
    workers: int = option("Processes that draw patches.", default=1, least=0)
    patients: int = option("Digital patients to learn from.", default=200, least=2)
    validation: int = option("Digital patients of each sequence to measure on.", default=6, least=1)
    samples: Path | None = option(
        "Folder for prepared samples, to share between studies.", default=None
    )
    split_of: Path | None = option("Run whose patients keep their split.", default=None)


@dataclass(frozen=True)
class TuneRequest(Request):
    """A search over the settings of training, or one to go on with.

    Attributes:
        task: ``bones`` or ``lesions``.
        data: Cohort folder, or ``"phantom"`` for digital patients.
        out: Folder of the search; gone on with if there.
        minutes_per_trial, epochs: Length of a trial; at most one.
        preset: Settings to start from.
        settings: File of settings that replace single ones of the preset.
        space: File of the settings to search; None takes the default space.
        start_from: Bundle or run with whose weights each trial starts.
        from_sequence: Which network, if the bundle has one for each sequence; None takes that of
            the one sequence that is learned, else of DWI.
        options: How to search.

    Raises:
        ValueError: if both lengths are given.
    """

    task: str = option("bones or lesions.", argument=True)
    data: str | Path = option(_DATA, "--data")
    out: Path = option("Folder of the study; gone on with if there.", "--out", "-o")
    minutes_per_trial: float | None = option(
        "The schedule of a trial ends after this time.", default=None, least=0.05
    )
    epochs: int | None = option("Epochs of a trial.", default=None, least=1)
    preset: str = option("Settings to start from.", default="default")
    settings: Path | None = option(_CHANGES, default=None)
    space: Path | None = option(
        "JSON or YAML with the settings to search and their values.", default=None
    )
    start_from: str | Path | None = option(
        "Run or bundle whose weights each trial starts with.", "--from", default=None
    )
    from_sequence: Sequence | None = option(
        "Which network, if the bundle has one for each sequence. [default: of the one that is "
        "learned, else dwi]",
        default=None,
    )
    options: TuneOptions = group(TuneOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes_per_trial is not None and self.epochs is not None:
            raise ValueError("Give either --minutes-per-trial or --epochs, not both.")

    @property
    def cohort(self) -> Path | None:
        """The cohort; None for digital patients."""
        return None if str(self.data) == PHANTOM else Path(self.data)
