"""Predicted masks and scores of a cohort against a reference: all tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pelvimets import __version__
from pelvimets.app.evaluation_output import write_evaluation
from pelvimets.core.progress import Progress, silent
from pelvimets.errors import InputError
from pelvimets.evaluation.checks import Problem, Weight, check_flow, check_splits
from pelvimets.evaluation.extra import check_study_extra
from pelvimets.evaluation.measured import Measured, absent
from pelvimets.evaluation.measures.case import CaseResult, measure_case, with_protocols
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.results import About, CohortResults, summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.tables.facts import EXTERNAL
from pelvimets.io.cohort.evaluation_input import (
    CaseFolders,
    fingerprint,
    on_both_sides,
    patients_of,
    read_case_input,
    read_flow,
    run_record_of,
    splits_of_models,
)
from pelvimets.io.cohort.facts import development_facts, facts_of
from pelvimets.io.cohort.folder import CohortPatient
from pelvimets.io.cohort.pictures import draw_pictures
from pelvimets.io.exchange.foreign import own_form
from pelvimets.io.phantom.record import is_digital
from pelvimets.io.record.output import check_output, staged_folder
from pelvimets.io.record.results import CaseStore
from pelvimets.io.workers import Jobs, each
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.requests.evaluate import EvaluationRequest

ALL_SPLITS = "all"
_NOT_MEASURED = "not measured"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A finished evaluation: figures and where they were written."""

    results: CohortResults
    report: Path

    def headlines(self) -> tuple[str, ...]:
        """The main figures in words."""
        return headlines(self.results)


def evaluate(
    request: EvaluationRequest,
    out: Path,
    *,
    jobs: Jobs = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Evaluated:
    """Measure every patient and write tables, figures, ``results.json`` and a report.

    Measured patients are kept beside the output until it is complete: an interrupted run
    goes on where it stopped.

    Args:
        request: What to evaluate.
        out: Folder of the result; it appears whole or not at all.
        jobs: Patients at a time, or a cluster.
        overwrite: Replace an earlier result.
        progress: Told of each measured patient.

    Raises:
        CohortError: if a cohort contradicts itself, or a patient was trained on.
        InputError: if nothing can be evaluated.
        MissingExtraError: without the ``study`` extra.
        OutputError: if the result cannot be written.
    """
    check_study_extra()
    out = Path(out)
    check_output(out, overwrite=overwrite)
    if is_digital(Path(request.reference)):
        request = replace(request, settings=replace(request.settings, in_silico=True))
    store = CaseStore(out.parent / f".{out.name}.cases")
    with own_form(request.prediction, request.form, request.reference, out) as (folder, notes):
        own = replace(request, prediction=folder)
        measured = measure_cohort(own, store, jobs=jobs, progress=progress)
    measured = replace(measured, problems=(*_foreign_problems(notes), *measured.problems))
    results = summarise_cohort(
        measured.cases,
        measured.facts,
        request.settings,
        About(
            all_facts=measured.all_facts,
            development=measured.development,
            problems=measured.problems,
            title=request.title,
            external=request.external,
            out_of_fold=read_out_of_fold(measured),
        ),
    )
    with staged_folder(out, overwrite=overwrite) as work:
        write_evaluation(work, results, measured, store, figures=request.figures)
    store.clear()
    return Evaluated(results, out / "report.html")


def read_out_of_fold(measured: Measured) -> bool:
    """Whether all predictions say that their networks did not learn from the patient."""
    records = measured.records
    return bool(records) and all((record or {}).get("out_of_fold") is True for record in records)


def _foreign_problems(notes: Sequence[str]) -> list[Problem]:
    return [Problem(Weight.WARNING, "foreign prediction", note) for note in notes]


def measure_cohort(
    request: EvaluationRequest, store: CaseStore, *, jobs: Jobs = 1, progress: Progress = silent
) -> Measured:
    """Measure the patients that both folders have; name the others.

    Raises:
        CohortError: if a cohort contradicts itself, or a patient was trained on.
        InputError: if no patient is left.
    """
    listed, _ = patients_of(request.reference)
    chosen = _chosen(request, listed)
    present = {p.key for p in patients_of(request.prediction)[0] if p.folder.is_dir()}
    folders = on_both_sides(chosen, Path(request.prediction), present)
    where = [(p.key, p.folder.is_dir()) for p in chosen]
    problems, excluded = absent(where, {p.key for p in listed}, present)
    cases, unmeasured = _measure_all(folders, request.settings, store, jobs, progress)
    if unmeasured:
        excluded[_NOT_MEASURED] = len(unmeasured)
    flow = read_flow(request.reference)
    problems += check_flow([(row.step, row.patients) for row in flow], len(listed))
    facts = tuple(facts_of(patient) for patient in listed)
    if request.external:
        facts = tuple(replace(fact, split=EXTERNAL) for fact in facts)
    names = {case.patient for case in cases}
    known = () if request.external else [fact.patient for fact in facts]
    return Measured(
        tuple(cases),
        tuple(fact for fact in facts if fact.patient in names),
        facts,
        (*problems, *unmeasured),
        excluded,
        listed=len(listed),
        flow=flow,
        development=development_facts(request.trained_on or {}, known),
        records=tuple(run_record_of(folder.prediction) for folder in folders),
    )


def _chosen(request: EvaluationRequest, listed: Sequence[CohortPatient]) -> list[CohortPatient]:
    """The patients of the split; none of them may be known to a model."""
    chosen = [p for p in listed if request.split in (None, ALL_SPLITS, p.split)]
    if not chosen:
        raise InputError(
            "No patient belongs to this split",
            got=request.split,
            remedy=f"The table has {sorted({str(p.split) for p in listed})}",
        )
    splits = splits_of_models(request.trained_on or {}, chosen)
    check_splits(splits, [patient.key for patient in chosen])
    return chosen


@dataclass(frozen=True)
class _Job:
    folders: CaseFolders
    settings: EvaluationSettings
    store: Path


def _measure_all(
    folders: Sequence[CaseFolders],
    settings: EvaluationSettings,
    store: CaseStore,
    jobs: Jobs,
    progress: Progress,
) -> tuple[list[CaseResult], list[Problem]]:
    """Measured patients in the order given, and those that could not be measured.

    Raises:
        InputError: if none could be.
    """
    work = [_Job(folder, settings, store.folder) for folder in folders]
    measured: dict[str, CaseResult] = {}
    faults: dict[str, str] = {}
    for done, ended in enumerate(each(_measure_one, work, jobs), start=1):
        patient = ended.item.folders.patient
        if ended.result is None:
            faults[patient] = ended.fault
        else:
            measured[patient] = ended.result
        progress(patient, done, len(work))
    if not measured:
        raise InputError(
            "No patient could be measured",
            got="; ".join(f"{patient}: {fault}" for patient, fault in sorted(faults.items())[:3]),
        )
    problems = [
        Problem(Weight.WARNING, _NOT_MEASURED, f"Left out, as it cannot be measured: {fault}", who)
        for who, fault in sorted(faults.items())
    ]
    return [measured[f.patient] for f in folders if f.patient in measured], problems


def _measure_one(job: _Job) -> CaseResult:
    store = CaseStore(job.store)
    settings = job.settings
    key = fingerprint(
        job.folders,
        {"connectivity": settings.connectivity, "instances": str(settings.instances)},
        __version__,
    )
    kept = store.load(job.folders.patient, key)
    if kept is not None:
        return kept
    read = read_case_input(job.folders)
    names = {kind.label: kind.value for kind in MimicKind}
    case = measure_case(
        job.folders.patient, read.masks, read.scores, settings, names, read.problems
    )
    case = with_protocols(case, read.protocols)
    for sequence, masks in read.masks.items():
        draw_pictures(job.folders, sequence, masks, store)
    store.keep(case, key)
    return case
