"""The CLAIM 2024 checklist, filled as far as an evaluation's data allow.

Tejani A.S. et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
update, Radiol Artif Intell 2024;6:e240300. Items in short words of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.settings import MatchRule
from pelvimets.evaluation.tables.table import IN_SILICO, Table, number_interval

OPEN = "To be filled by the authors."

ITEMS: tuple[tuple[str, str], ...] = (
    ("Title, abstract", "Named as a study of AI, with the kind of technology"),
    ("Title, abstract", "Structured summary of design, methods, results, conclusions"),
    ("Introduction", "Background, intended use and role of the method"),
    ("Introduction", "Aims, objectives, hypotheses"),
    ("Study design", "Prospective or retrospective"),
    ("Study design", "Goal of the study"),
    ("Data", "Sources of data"),
    ("Data", "Inclusion and exclusion criteria"),
    ("Data", "Preprocessing"),
    ("Data", "Choice of subsets of the data"),
    ("Data", "De-identification"),
    ("Data", "Handling of missing data"),
    ("Data", "Image acquisition"),
    ("Reference standard", "How the reference standard was obtained"),
    ("Reference standard", "Why this reference standard"),
    ("Reference standard", "Who annotated"),
    ("Reference standard", "Annotation of the test set"),
    ("Reference standard", "Variability between and within annotators"),
    ("Partitions", "How data were assigned to partitions"),
    ("Partitions", "Level at which partitions are disjoint"),
    ("Testing data", "Intended sample size"),
    ("Model", "Description of the model"),
    ("Model", "Software, libraries, packages"),
    ("Model", "Initial values of parameters"),
    ("Training", "Training procedure"),
    ("Training", "Selection of the final model"),
    ("Training", "Ensembles"),
    ("Evaluation", "Measures of performance"),
    ("Evaluation", "Measures of significance and uncertainty"),
    ("Evaluation", "Robustness or sensitivity analysis"),
    ("Evaluation", "Explainability"),
    ("Evaluation", "Evaluation on internal data"),
    ("Evaluation", "Testing on external data"),
    ("Evaluation", "Registration of a clinical trial"),
    ("Results", "Patients included and excluded"),
    ("Results", "Demographic and clinical characteristics by partition"),
    ("Results", "Performance with uncertainty"),
    ("Results", "Diagnostic performance with precision"),
    ("Results", "Analysis of failures"),
    ("Discussion", "Limitations"),
    ("Discussion", "Implications for practice, intended use"),
    ("Other", "Study protocol, further technical details"),
    ("Other", "Availability of software, model, data"),
    ("Other", "Funding and role of funders"),
)


@dataclass(frozen=True)
class _Answer:
    item: int
    fill: Callable[[CohortResults], str | None]


def claim_table(results: CohortResults) -> Table:
    """All 44 items, each answered from the data or left to the authors."""
    given = {answer.item: answer.fill(results) for answer in _ANSWERS}
    rows = tuple(
        (str(n), section, item, given.get(n) or OPEN)
        for n, (section, item) in enumerate(ITEMS, start=1)
    )
    filled = sum(row[3] != OPEN for row in rows)
    notes = (
        f"{filled} of {len(rows)} items filled from the data of this evaluation.",
        "CLAIM 2024: Tejani A.S. et al., Radiol Artif Intell 2024;6:e240300.",
    )
    columns = ("No.", "Section", "Item", "Answer")
    return Table("claim_2024", "CLAIM 2024 checklist", columns, rows, notes)


def _source(results: CohortResults) -> str | None:
    return IN_SILICO if results.settings.in_silico else None


def _missing(results: CohortResults) -> str:
    count = sum(problem.code == "not computed" for problem in results.problems)
    return (
        f"What could not be computed is named per patient ({count} notes); patients without a "
        "prediction are listed, not counted as negative. Empty masks give no distance."
    )


def _acquisition(results: CohortResults) -> str:
    return "Grids of the images by scanner: Table 1. " + OPEN


def _partitions(results: CohortResults) -> str:
    sizes = ", ".join(
        f"{n} {split}" for split, n in results.characteristics["lesions"].patients.items()
    )
    return f"Splits of the patient table: {sizes}."


def _level(results: CohortResults) -> str:
    return "Patient: no patient occurs twice (checked)."


def _size(results: CohortResults) -> str:
    m1 = sum(fact.m_stage == "M1" for fact in results.facts)
    return f"{len(results.facts)} patients evaluated, {m1} with metastases. Planning: " + OPEN


def _measures(results: CohortResults) -> str:
    settings = results.settings
    return (
        "Voxel: DSC, VS, HD, HD95, ASSD (border voxel centres), NSD at 2 mm (surface elements). "
        f"Lesion: {' and '.join(r.title(settings.smallest_iou) for r in MatchRule)}, "
        f"{settings.connectivity} neighbours. Patient: rates, AUC, calibration, decision curve."
    )


def _uncertainty(results: CohortResults) -> str:
    return (
        f"{100 * results.settings.confidence_level:g} % intervals: Clopper-Pearson, Wilson, "
        f"DeLong (logit), bootstrap over patients ({results.settings.bootstrap_samples} samples). "
        "Tests as named in the tables, Holm's correction over structures."
    )


def _robustness(results: CohortResults) -> str | None:
    kinds = {test.between for test in results.group_tests}
    return f"Across {', '.join(sorted(kinds))}: Tables S1-S4." if kinds else None


def _numbers(results: CohortResults) -> str:
    stages = {s: sum(f.m_stage == s for f in results.facts) for s in ("M0", "M1")}
    return f"{len(results.facts)} patients: {stages['M1']} M1, {stages['M0']} M0. Flow: Figure 1."


def _diagnostic(results: CohortResults) -> str | None:
    parts = [
        f"{reading.title} {number_interval(result.patients.auc)}"
        for reading in Reading
        if (result := results.readings.get(reading))
        and result.patients is not None
        and result.patients.auc is not None
    ]
    return "AUC: " + "; ".join(parts) + ". Table 5." if parts else "Table 5."


def _failures(results: CohortResults) -> str:
    parts = [
        f"{reading.title}: {result.lesions.missed} lesions missed, {result.lesions.false} false"
        for reading, result in results.readings.items()
        if result.lesions is not None
    ]
    return "; ".join(parts) + ". Worst cases in the overlays; false lesions by mimic in a table."


_ANSWERS = (
    _Answer(7, _source),
    _Answer(12, _missing),
    _Answer(13, _acquisition),
    _Answer(19, _partitions),
    _Answer(20, _level),
    _Answer(21, _size),
    _Answer(28, _measures),
    _Answer(29, _uncertainty),
    _Answer(30, _robustness),
    _Answer(35, _numbers),
    _Answer(36, lambda results: "Tables 2 and 3."),
    _Answer(37, lambda results: "Tables 4 and 5, each with intervals."),
    _Answer(38, _diagnostic),
    _Answer(39, _failures),
)
