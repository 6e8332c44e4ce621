"""Prepared training samples: of a cohort, checked and made once, or of digital patients."""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pelvimets.config import GridSettings, IntensitySettings, settings_to_dict
from pelvimets.core.progress import Progress, silent
from pelvimets.core.splits import Splits, completed_splits
from pelvimets.core.strata import Member
from pelvimets.errors import CohortError, InputError, SettingsError, listed
from pelvimets.io.cohort.annotation import ANNOTATION_NAME, read_judged
from pelvimets.io.cohort.folder import Case, Cohort, CohortPatient, read_case, read_further
from pelvimets.io.cohort.sample_index import SampleIndex
from pelvimets.io.record.arrays import ArrayFolder
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.io.record.stamps import stamp
from pelvimets.io.workers import beside, fault_of
from pelvimets.labels import Sequence
from pelvimets.model_development.lesion_masks import stage_of_masks
from pelvimets.training.pool import PhantomPool, draw_first, draw_validation, fill
from pelvimets.training.sample import AnnotatedImage, Sample, prepare_sample, with_further
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.store import SampleStore

_KINDS = ("bones", "lesions", "mimics")


def sample_store(folder: Path, chosen: tuple[str, ...] | None = None) -> SampleStore:
    """Samples in a folder; all of them, or the chosen ones."""
    return SampleStore(ArrayFolder(folder), chosen)


def check_store(
    store: Path, settings: TrainingSettings, sources: tuple[str, ...] | None = None
) -> None:
    """Refuse samples that were prepared in another way; note how a new store is prepared.

    Raises:
        SettingsError: if the grid, the intensities, the anatomies or the further images differ.
    """
    wanted: dict[str, Any] = {
        "sample_grid": settings_to_dict(settings.sample_grid),
        "intensity": settings_to_dict(settings.intensity),
        "anatomy": sources,
    }
    wanted |= {"inputs": settings.network.inputs} if settings.network.inputs else {}
    found = SampleIndex(store).prepared_as(wanted)
    differing = [name for name in wanted if found[name] != SampleIndex.plain(wanted[name])]
    if differing:
        raise SettingsError(
            "The prepared samples do not fit these settings",
            got=f"{store}: another {' and another '.join(differing)}",
            remedy="Choose another folder for the samples (--samples), or delete this one",
        )


def cohort_splits(cohort: Cohort, elsewhere: Splits | None, seed: int) -> Splits:
    """Who is learned from, measured on, set aside: by the table, else drawn 8:1:1.

    Args:
        cohort: The patients.
        elsewhere: Of another run, whose patients keep their part.
        seed: Of the draw.

    Raises:
        CohortError: if only some patients have a split in the table, or one part is empty.
    """
    given = {p.key: None if p.split is None else p.split.value for p in cohort.patients}
    splits = completed_splits(given, elsewhere, seed, members_of(cohort.patients))
    for part in ("train", "validation"):
        if not getattr(splits, part):
            raise CohortError(f"The cohort has no patient in the split {part}")
    return splits


def members_of(patients: Iterable[CohortPatient]) -> tuple[Member, ...]:
    """What is known of patients that are to be parted; M stages by the masks where no table is."""
    return tuple(
        Member(
            p.key,
            p.details.get("person") or p.key,
            p.m_stage or stage_of_masks(p),
            p.scanner or "",
        )
        for p in patients
    )


def splits_of_run(run: Path) -> Splits:
    """Who was where in another run.

    Raises:
        InputError: if that run keeps none, as one on digital patients.
    """
    kept = RunFolder(run).read_splits()
    if kept is None:
        raise InputError(
            "That run keeps no splits of patients",
            got=run,
            remedy="Name a run on a cohort with --split-of",
        )
    return Splits(**kept)


def prepare_cohort(
    cohort: Cohort,
    settings: TrainingSettings,
    store: Path,
    splits: Splits | None = None,
    progress: Progress = silent,
) -> dict[str, tuple[str, ...]]:
    """Check every case and bring it to the sample grid, once.

    A case is prepared again when one of its files has changed.

    Args:
        cohort: The patients.
        settings: Of the run.
        store: Gets the samples, in ``train`` and ``validation``.
        splits: Who belongs where; None takes the table's.
        progress: Is told of each patient.

    Returns:
        Names of the samples for training and for validation.

    Images that nobody annotated for this network are passed over (``left_out``).

    Raises:
        CohortError: with the list of all cases whose masks do not lie on their image or hold
            unknown values, or that cannot be read; or if a split has no case left.
        SettingsError: if the store holds samples of other settings.
    """
    splits = splits or cohort_splits(cohort, None, settings.seed)
    check_store(store, settings)
    parts = {part: _Maker(settings, store / part) for part in ("train", "validation")}
    places = [(key, part) for part in parts for key in getattr(splits, part)]
    faults: list[str] = []
    for number, (key, part) in enumerate(places):
        progress("Preparing patients", number, len(places))
        faults += parts[part].prepare(cohort.patient(key))
    if faults:
        raise CohortError(f"{len(faults)} case(s) cannot be used for training", got=listed(faults))
    for part, maker in parts.items():
        if not maker.names:
            keys = [f"{key}: {why}" for key, why in left_out(cohort, settings, splits) if key]
            raise CohortError(
                f"No case of the split {part} can be used for training",
                got=listed(keys),
                remedy="Draw them, or import with --fill-bones (bones for the lesion network) or "
                "--missing-lesions empty",
            )
    return {part: tuple(maker.names) for part, maker in parts.items()}


def left_out(cohort: Cohort, settings: TrainingSettings, splits: Splits) -> list[tuple[str, str]]:
    """Images that nobody annotated for this network, and what they lack."""
    return [
        (f"{key} {sequence.title}", why)
        for key in (*splits.train, *splits.validation)
        for sequence in cohort.patient(key).sequences
        if sequence.value in settings.sequences
        and (why := lacks(cohort.patient(key), sequence, settings.task))
    ]


def lacks(patient: CohortPatient, sequence: Sequence, task: Task) -> str:
    """What an image lacks for a network to learn from it; empty if it has all."""
    if not patient.mask_path(sequence, "bones").is_file():
        return "no mask of the bones"
    if task is Task.LESIONS and not patient.mask_path(sequence, "lesions").is_file():
        return "no mask of the lesions"
    if task is Task.BONES and not read_judged(patient.folder, sequence).structures:
        return "bones drawn by networks alone"
    return ""


class _Maker:
    """Makes the samples of one part of a cohort that are not there or out of date."""

    def __init__(self, settings: TrainingSettings, folder: Path) -> None:
        self._settings, self._store = settings, sample_store(folder)
        self._index, self._there = SampleIndex(folder), set(self._store.names())
        self.names: list[str] = []

    def prepare(self, patient: CohortPatient) -> list[str]:
        """Make what is missing of a patient; what is wrong with the cases."""
        faults = []
        for sequence in patient.sequences:
            if lacks(patient, sequence, self._settings.task):
                continue
            try:
                self._prepare(patient, sequence)
            except Exception as error:
                faults.append(f"patient {patient.key}, {sequence.title}: {fault_of(error)}")
        return faults

    def _prepare(self, patient: CohortPatient, sequence: Sequence) -> None:
        name = f"{patient.key}_{sequence.value}"
        self.names.append(name)
        masks = [patient.mask_path(sequence, kind) for kind in _KINDS]
        further = patient.further_paths(self._settings.network.seen_beside(sequence)).values()
        now = stamp([patient.image_path(sequence), *masks, *_annotation_of(patient), *further])
        if name in self._there and self._index.stamp_of(name) == now:
            return
        case = read_case(patient, sequence)
        self._store.write(_sample(name, case, self._settings))
        self._index.note(name, now)


def _sample(name: str, case: Case, settings: TrainingSettings) -> Sample:
    assert case.bones is not None  # looked at before
    given = AnnotatedImage(case.image, case.bones, case.lesions, case.mimics, case.judged)
    form = (settings.sample_grid, settings.intensity)
    sample = prepare_sample(name, case.sequence, given, *form)
    wanted = settings.network.seen_beside(case.sequence)
    further = read_further(case, wanted) if wanted else {}
    return with_further(sample, case.image, further, *form)


def _annotation_of(patient: CohortPatient) -> tuple[Path, ...]:
    """The file that says what was judged, where there is one."""
    path = patient.folder / ANNOTATION_NAME
    return (path,) if path.is_file() else ()


def begin_pool(
    settings: TrainingSettings, store: Path, pool: PhantomPool, progress: Progress = silent
) -> None:
    """Draw the digital patients without whom training cannot begin.

    Raises:
        SettingsError: if the store holds samples of other settings, or further images are asked
            for.
    """
    if settings.network.inputs:
        raise SettingsError(
            "Digital patients drawn in training have no further images",
            got=f"network.inputs {', '.join(settings.network.inputs)}",
            remedy="Make a cohort of them with phantom cohort --inputs, and train on it",
        )
    check_store(store, settings, pool.sources)
    form = (settings.sample_grid, settings.intensity)
    draw_validation(sample_store(store / "validation"), *form, pool, progress)
    draw_first(sample_store(store / "train"), *form, pool, progress)


def fill_pool(settings: TrainingSettings, store: Path, pool: PhantomPool) -> BaseProcess:
    """Draw the other digital patients beside this process; it ends with this one."""
    return beside(draw_pool, store / "train", settings.sample_grid, settings.intensity, pool)


def draw_pool(
    folder: Path, grid: GridSettings, intensity: IntensitySettings, pool: PhantomPool
) -> None:
    """Draw and simulate digital patients into a folder until the pool is full."""
    fill(sample_store(folder), grid, intensity, pool)
