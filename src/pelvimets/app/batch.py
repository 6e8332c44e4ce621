"""Many studies in turn: a cohort folder, or a folder of studies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pelvimets.app.predict import predict
from pelvimets.errors import InputError, OutputError
from pelvimets.io.cohort.folder import CohortPatient, is_cohort, read_cohort
from pelvimets.io.cohort.study_folders import has_nifti_images, studies_in
from pelvimets.io.record.output import RECORD_NAME, is_whole, tidy
from pelvimets.io.workers import Jobs, each
from pelvimets.labels import Sequence
from pelvimets.model.devices import chosen_device
from pelvimets.requests.predict import RunOptions, StudyInput


@dataclass(frozen=True)
class BatchCase:
    """One patient of a batch: the name of the result folder and where the study is."""

    name: str
    source: StudyInput


@dataclass(frozen=True)
class BatchOutcome:
    """What became of one patient: ``done``, ``earlier`` (finished before) or ``failed``.

    A patient whose result is there but for an extra output has failed, too.
    """

    name: str
    state: str
    message: str = ""
    seconds: float = 0.0


Told = Callable[[BatchOutcome, int, int], None]
"""Called with each finished patient: how many lie behind, and of how many."""


def batch_cases(path: Path) -> tuple[BatchCase, ...]:
    """The patients in a folder; empty if it is a single study.

    A folder with ``patients.csv`` is a cohort. Otherwise each direct sub-folder or zip with
    a study of its own is a patient; a folder whose parts belong to one study is that study.
    """
    if not path.is_dir():
        return ()
    if is_cohort(path):
        return tuple(BatchCase(p.key, _cohort_input(p)) for p in read_cohort(path).patients)
    return tuple(_case(found) for found in studies_in(path))


def _case(found: Path) -> BatchCase:
    name = found.name.removesuffix(".zip")
    if found.is_dir() and has_nifti_images(found):
        return BatchCase(name, _cohort_input(CohortPatient(name, found)))
    return BatchCase(name, StudyInput(path=found))


def _cohort_input(patient: CohortPatient) -> StudyInput:
    present = {s: patient.image_path(s) for s in patient.sequences}
    return StudyInput(
        dwi=present.get(Sequence.DWI),
        t1=present.get(Sequence.T1),
        adc=patient.adc_path if patient.adc_path.is_file() else None,
        name=patient.key,
        further=patient.further_paths(),
    )


def predict_batch(
    cases: tuple[BatchCase, ...],
    out: Path,
    options: RunOptions,
    *,
    jobs: Jobs,
    told: Told = lambda outcome, done, total: None,
) -> tuple[BatchOutcome, ...]:
    """Read each patient into ``out/<patient>``; one that fails does not stop the others.

    A patient whose whole result is there already is passed over, so that a stopped batch goes on
    where it was; ``options.overwrite`` reads all again.

    Raises:
        InputError: if two patients would share a result folder.
        SettingsError: if the device is not there.
    """
    _check_names(cases)
    chosen_device(options.device)
    outcomes = []
    for outcome in _outcomes(cases, out, options, jobs):
        outcomes.append(outcome)
        told(outcome, len(outcomes), len(cases))
    order = {case.name: n for n, case in enumerate(cases)}
    return tuple(sorted(outcomes, key=lambda outcome: order[outcome.name]))


def _check_names(cases: tuple[BatchCase, ...]) -> None:
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            "Two studies would be written to the same folder",
            got=", ".join(twice),
            remedy="Rename one of them",
        )


def _outcomes(
    cases: tuple[BatchCase, ...], out: Path, options: RunOptions, jobs: Jobs
) -> Iterator[BatchOutcome]:
    waiting = []
    tidy(out)
    for case in cases:
        if not options.overwrite and is_whole(out / case.name):
            yield BatchOutcome(case.name, "earlier")
        else:
            waiting.append(case)
    for ended in each(partial(_predict_one, out=out, options=options), waiting, jobs):
        if ended.fault:
            yield BatchOutcome(ended.item.name, "failed", ended.fault)
        else:
            yield BatchOutcome(ended.item.name, "done", seconds=ended.result or 0.0)
    tidy(out)


def _predict_one(case: BatchCase, out: Path, options: RunOptions) -> float:
    place = out / case.name
    again = (place / RECORD_NAME).is_file()  # a result without its extra outputs
    options = replace(options, overwrite=options.overwrite or again)
    summary = predict(case.source, place, options)
    if summary.failed:
        raise OutputError("; ".join(summary.failed), remedy="Masks and report are there")
    return summary.seconds
