"""Predicted masks and scores of a cohort against a reference: all tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pelvimets import __version__
from pelvimets.app.evaluation_facts import development_facts, facts_of
from pelvimets.app.evaluation_pictures import draw_pictures
from pelvimets.app.requests.evaluate import EvaluationRequest
from pelvimets.app.workers import each
from pelvimets.errors import CohortError, InputError, MissingExtraError
from pelvimets.evaluation.checks import Problem, Weight, check_flow, check_splits
from pelvimets.evaluation.measures.case import CaseResult, measure_case, with_protocols
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults, summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.tables.facts import EXTERNAL, PatientFacts
from pelvimets.evaluation.tables.table import number_interval, percent_interval
from pelvimets.io.cohort.evaluation_input import (
    CaseFolders,
    FlowRow,
    fingerprint,
    is_digital,
    patients_of,
    read_case_input,
    read_flow,
    read_run_record,
)
from pelvimets.io.cohort.folder import CohortPatient
from pelvimets.io.exchange.foreign import own_form
from pelvimets.io.record.output import check_output, staged_folder
from pelvimets.io.record.results import CaseStore
from pelvimets.phantom.anatomy.patient import MimicKind

ALL_SPLITS = "all"
_NOT_MEASURED = "not measured"
_STUDY_PACKAGES = ("matplotlib", "pandas", "sklearn", "statsmodels", "yaml")


class EvaluationObserver(Protocol):
    """Told of each measured patient."""

    def measured(self, patient: str, done: int, total: int) -> None:
        """``done`` of ``total`` patients lie behind."""
        ...


class Quiet:
    """An observer that says nothing."""

    def measured(self, patient: str, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A finished evaluation: figures and where they were written."""

    results: CohortResults
    report: Path

    def headlines(self) -> tuple[str, ...]:
        """The main figures in words."""
        return headlines(self.results)


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured patients with what is known of them.

    Attributes:
        cases: Measured.
        facts, all_facts: Of these, and of all patients that the tables describe.
        problems: Found on the way.
        excluded: Patients left out, by reason.
        listed: Patients that the reference's table names.
        flow: How they came to be there; () where the reference does not say.
        development: Patients that each model was developed on, the measured ones aside.
        records: Record of each measured prediction; None without one.
    """

    cases: tuple[CaseResult, ...]
    facts: tuple[PatientFacts, ...]
    all_facts: tuple[PatientFacts, ...]
    problems: tuple[Problem, ...]
    excluded: Mapping[str, int]
    listed: int
    flow: tuple[FlowRow, ...] = ()
    development: Mapping[str, tuple[PatientFacts, ...]] = field(default_factory=dict)
    records: tuple[Mapping[str, Any] | None, ...] = ()


def check_study_extra() -> None:
    """Refuse early where the packages for statistics and figures are missing.

    Raises:
        MissingExtraError: with the command that installs them.
    """
    missing = [name for name in _STUDY_PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "Statistics and figures need further packages",
            got=f"missing: {', '.join(missing)}",
            remedy="Install them with: pip install 'pelvimets[study]'",
        )


def evaluate(
    request: EvaluationRequest,
    out: Path,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    observer: EvaluationObserver | None = None,
) -> Evaluated:
    """Measure every patient and write tables, figures, ``results.json`` and a report.

    Measured patients are kept beside the output until it is complete: an interrupted run
    goes on where it stopped.

    Args:
        request: What to evaluate.
        out: Folder of the result; it appears whole or not at all.
        jobs: Patients at a time.
        overwrite: Replace an earlier result.
        observer: Told of progress.

    Raises:
        CohortError: if a cohort contradicts itself, or a patient was trained on.
        InputError: if nothing can be evaluated.
        MissingExtraError: without the ``study`` extra.
        OutputError: if the result cannot be written.
    """
    from pelvimets.app.evaluation_output import write_evaluation

    check_study_extra()
    out = Path(out)
    check_output(out, overwrite=overwrite)
    if is_digital(request.reference):
        request = replace(request, settings=replace(request.settings, in_silico=True))
    store = CaseStore(out.parent / f".{out.name}.cases")
    with own_form(request.prediction, request.form, request.reference, out) as (folder, notes):
        own = replace(request, prediction=folder)
        measured = measure_cohort(own, store, jobs=jobs, observer=observer)
    measured = replace(measured, problems=(*_foreign_problems(notes), *measured.problems))
    results = summarise_cohort(
        measured.cases,
        measured.facts,
        request.settings,
        all_facts=measured.all_facts,
        development=measured.development,
        problems=measured.problems,
        title=request.title,
        external=request.external,
    )
    with staged_folder(out, overwrite=overwrite) as work:
        write_evaluation(work, results, measured, store, figures=request.figures)
    store.clear()
    return Evaluated(results, out / "report.html")


def _foreign_problems(notes: Sequence[str]) -> list[Problem]:
    return [Problem(Weight.WARNING, "foreign prediction", note) for note in notes]


def measure_cohort(
    request: EvaluationRequest,
    store: CaseStore,
    *,
    jobs: int = 1,
    observer: EvaluationObserver | None = None,
) -> Measured:
    """Measure the patients that both folders have; name the others.

    Raises:
        CohortError: if a cohort contradicts itself, or a patient was trained on.
        InputError: if no patient is left.
    """
    listed, _ = patients_of(request.reference)
    predicted, _ = patients_of(request.prediction)
    all_facts = tuple(facts_of(patient) for patient in listed)
    chosen = [p for p in listed if request.split in (None, ALL_SPLITS, p.split)]
    if not chosen:
        raise InputError(
            "No patient belongs to this split",
            got=request.split,
            remedy=f"The table has {sorted({str(p.split) for p in listed})}",
        )
    _check_training(request, chosen)
    present = {patient.key for patient in predicted if patient.folder.is_dir()}
    folders = [
        CaseFolders(p.key, p.folder, Path(request.prediction) / p.key)
        for p in chosen
        if p.key in present and p.folder.is_dir()
    ]
    problems, excluded = _absent(chosen, {p.key for p in listed}, present)
    if not folders:
        raise InputError(
            "Prediction and reference have no patient in common",
            got=f"{len(present)} predicted, {len(chosen)} in the reference",
            remedy="Name the folders of both after the patients of the reference",
        )
    cases, unmeasured = _measure_all(folders, request.settings, store, jobs, observer or Quiet())
    if unmeasured:
        excluded[_NOT_MEASURED] = len(unmeasured)
    names = {case.patient for case in cases}
    flow = read_flow(request.reference)
    problems += check_flow([(row.step, row.patients) for row in flow], len(listed))
    if request.external:
        all_facts = tuple(replace(fact, split=EXTERNAL) for fact in all_facts)
    facts = tuple(fact for fact in all_facts if fact.patient in names)
    known = () if request.external else [fact.patient for fact in all_facts]
    return Measured(
        tuple(cases),
        facts,
        all_facts,
        (*problems, *unmeasured),
        excluded,
        listed=len(listed),
        flow=flow,
        development=development_facts(request.trained_on or {}, known),
        records=tuple(read_run_record(folder.prediction) for folder in folders),
    )


def _check_training(request: EvaluationRequest, chosen: Sequence[CohortPatient]) -> None:
    """Refuse a patient that either model has seen."""
    splits: dict[str, dict[str, str]] = {}
    for model, folder in (request.trained_on or {}).items():
        table, named = patients_of(folder)
        if not named:
            raise CohortError("A training cohort needs its patients.csv", got=folder)
        splits[model] = {p.key: str(p.split) for p in table if p.split is not None}
    for model in ("bones", "lesions"):
        own = {p.key: p.details.get(f"split_{model}", "").lower() for p in chosen}
        if any(own.values()):
            splits.setdefault(model, {}).update({k: v for k, v in own.items() if v})
    check_splits(splits, [patient.key for patient in chosen])


def _absent(
    chosen: Sequence[CohortPatient], listed: set[str], present: set[str]
) -> tuple[list[Problem], dict[str, int]]:
    without_reference = [p.key for p in chosen if not p.folder.is_dir()]
    without_prediction = [p.key for p in chosen if p.folder.is_dir() and p.key not in present]
    extra = sorted(present - listed)
    texts = {
        "missing prediction": (
            without_prediction,
            "There is no prediction; the patient is left out.",
        ),
        "missing reference": (without_reference, "There is no reference folder; left out."),
        "unknown patient": (extra, "Predicted, but not in the reference; left out."),
    }
    problems = [
        Problem(Weight.WARNING, code, text, patient)
        for code, (patients, text) in texts.items()
        for patient in patients
    ]
    excluded = {
        "no prediction": len(without_prediction),
        "no reference": len(without_reference),
    }
    return problems, {reason: n for reason, n in excluded.items() if n}


@dataclass(frozen=True)
class _Job:
    folders: CaseFolders
    settings: EvaluationSettings
    store: Path


def _measure_all(
    folders: Sequence[CaseFolders],
    settings: EvaluationSettings,
    store: CaseStore,
    jobs: int,
    observer: EvaluationObserver,
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
        observer.measured(patient, done, len(work))
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


def settings_to_plain(settings: EvaluationSettings) -> dict[str, object]:
    """Settings for the run record."""
    return asdict(settings)


def headlines(results: CohortResults) -> tuple[str, ...]:
    """The main figures of an evaluation in words, one line each."""
    lines = []
    for reading in Reading:
        result = results.readings.get(reading)
        if result is None:
            continue
        parts = []
        if result.patients is not None:
            for name in ("sensitivity", "specificity"):
                cell = percent_interval(result.patients.rates[name].clopper_pearson)
                parts.append(f"{name} {cell} %")
            if result.patients.withheld.patients:
                parts.append(f"no statement on {result.patients.withheld.patients} patients")
            if result.patients.auc is not None:
                parts.append(f"AUC {number_interval(result.patients.auc)}")
        if result.lesions is not None:
            for rule, found in result.by_rule.items():
                title = rule.title(results.settings.smallest_iou)
                rates = f"{found.found}/{found.reference_lesions} lesions found"
                false = f"{found.false_per_patient.estimate:.2f} false per patient"
                parts.append(f"{rates}, {false} ({title})")
        lines.append(f"{reading.title}: " + ", ".join(parts))
    return tuple(lines)
