"""The CLAIM 2024 checklist, filled as far as an evaluation's data allow.

Tejani A.S. et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
update, Radiol Artif Intell 2024;6:e240300. Items in short words of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pelvimets.evaluation.checks import Weight
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.report.run_facts import (
    RunFacts,
    network_words,
    preprocessing_words,
    version_words,
)
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
    fill: Callable[[CohortResults, RunFacts], str | None]


def claim_table(results: CohortResults, facts: RunFacts | None = None) -> Table:
    """All 44 items, each answered from the data and the run's records or left to the authors."""
    known = facts or RunFacts()
    given = {answer.item: answer.fill(results, known) for answer in _ANSWERS}
    rows = tuple(
        (str(n), section, item, given.get(n) or OPEN)
        for n, (section, item) in enumerate(ITEMS, start=1)
    )
    filled = sum(row[3] != OPEN for row in rows)
    notes = (
        f"{filled} of {len(rows)} items filled from the data and records of this evaluation.",
        "CLAIM 2024: Tejani A.S. et al., Radiol Artif Intell 2024;6:e240300.",
    )
    columns = ("No.", "Section", "Item", "Answer")
    return Table("claim_2024", "CLAIM 2024 checklist", columns, rows, notes)


def _source(results: CohortResults, facts: RunFacts) -> str | None:
    return IN_SILICO if results.settings.in_silico else None


def _missing(results: CohortResults, facts: RunFacts) -> str:
    count = sum(problem.code == "not computed" for problem in results.problems)
    return (
        f"What could not be computed is named per patient ({count} notes); patients without a "
        "prediction are listed, not counted as negative. Empty masks give no distance."
    )


def _acquisition(results: CohortResults, facts: RunFacts) -> str:
    return "Scanners, protocols and grids of the images: Table 1."


def _partitions(results: CohortResults, facts: RunFacts) -> str:
    sizes = ", ".join(
        f"{n} {split}" for split, n in results.characteristics["lesions"].patients.items()
    )
    return f"Splits of the patient table: {sizes}."


def _level(results: CohortResults, facts: RunFacts) -> str:
    return "Patient: no patient occurs twice (checked)."


def _size(results: CohortResults, facts: RunFacts) -> str:
    m1 = sum(fact.m_stage == "M1" for fact in results.facts)
    return f"{len(results.facts)} patients evaluated, {m1} with metastases. Planning: " + OPEN


def _measures(results: CohortResults, facts: RunFacts) -> str:
    settings = results.settings
    return (
        "Voxel: DSC, VS, HD, HD95, ASSD (border voxel centres), NSD at 2 mm (surface elements). "
        f"Lesion: {' and '.join(r.title(settings.smallest_iou) for r in MatchRule)}, "
        f"{settings.connectivity} neighbours. Patient: rates, AUC, calibration, decision curve."
    )


def _uncertainty(results: CohortResults, facts: RunFacts) -> str:
    return (
        f"{100 * results.settings.confidence_level:g} % intervals: Clopper-Pearson, Wilson, "
        f"DeLong (logit), bootstrap over patients ({results.settings.bootstrap_samples} samples). "
        "Tests as named in the tables, Holm's correction over the eight bones."
    )


def _robustness(results: CohortResults, facts: RunFacts) -> str | None:
    kinds = {test.between for test in results.group_tests}
    groups = "Detection and calibration in groups of patients and lesions: tables of groups."
    return f"Across {', '.join(sorted(kinds))}: Tables S1-S4. {groups}" if kinds else groups


def _numbers(results: CohortResults, facts: RunFacts) -> str:
    stages = {s: sum(f.m_stage == s for f in results.facts) for s in ("M0", "M1")}
    return f"{len(results.facts)} patients: {stages['M1']} M1, {stages['M0']} M0. Flow: Figure 1."


def _diagnostic(results: CohortResults, facts: RunFacts) -> str | None:
    parts = [
        f"{reading.title} {number_interval(result.patients.auc)}"
        for reading in Reading
        if (result := results.readings.get(reading))
        and result.patients is not None
        and result.patients.auc is not None
    ]
    return "AUC: " + "; ".join(parts) + ". Table 5." if parts else "Table 5."


def _failures(results: CohortResults, facts: RunFacts) -> str:
    parts = [
        f"{reading.title}: {result.lesions.missed} lesions missed, {result.lesions.false} false"
        for reading, result in results.readings.items()
        if result.lesions is not None
    ]
    return "; ".join(parts) + ". Worst cases in the overlays; false lesions by mimic in a table."


def _criteria(results: CohortResults, facts: RunFacts) -> str | None:
    reasons = [f"{why} ({n})" for step, why, n in facts.flow if step == "excluded"]
    return f"Excluded: {'; '.join(reasons)}. Figure 1." if reasons else None


def _preprocessing(results: CohortResults, facts: RunFacts) -> str | None:
    return preprocessing_words(facts) or None


def _model(results: CohortResults, facts: RunFacts) -> str | None:
    if not facts.networks:
        return None
    rest = f" {facts.unrecorded} predictions hold no record." if facts.unrecorded else ""
    return f"{network_words(facts)}; two 3D networks in cascade: see its model card.{rest}"


def _software(results: CohortResults, facts: RunFacts) -> str | None:
    words = []
    if facts.predicted_with:
        words.append(f"Prediction: {version_words(facts.predicted_with)}.")
    if facts.evaluated_with:
        words.append(f"Evaluation: {version_words(facts.evaluated_with)}.")
    return " ".join(words) or None


def _training(results: CohortResults, facts: RunFacts) -> str | None:
    if not facts.networks:
        return None
    return "Model card of the bundle (`pelvimets models`; MODEL_CARD.md in its folder)."


def _external(results: CohortResults, facts: RunFacts) -> str | None:
    return "This cohort is external: Figure 6, Tables 2 and 3." if results.external else None


def _internal(results: CohortResults, facts: RunFacts) -> str | None:
    splits = {fact.split for fact in results.facts}
    return None if results.external or splits != {"test"} else "This cohort is the test split."


def _limits(results: CohortResults, facts: RunFacts) -> str | None:
    warned = sorted({p.code for p in results.problems if p.weight is Weight.WARNING})
    if not warned and not results.settings.in_silico:
        return None
    words = [IN_SILICO] if results.settings.in_silico else []
    if warned:
        words.append(f"Warnings of this evaluation: {', '.join(warned)}.")
    return " ".join([*words, "Further limits: " + OPEN])


_ANSWERS = (
    _Answer(7, _source),
    _Answer(8, _criteria),
    _Answer(9, _preprocessing),
    _Answer(12, _missing),
    _Answer(13, _acquisition),
    _Answer(19, _partitions),
    _Answer(20, _level),
    _Answer(21, _size),
    _Answer(22, _model),
    _Answer(23, _software),
    _Answer(25, _training),
    _Answer(26, _training),
    _Answer(28, _measures),
    _Answer(29, _uncertainty),
    _Answer(30, _robustness),
    _Answer(32, _internal),
    _Answer(33, _external),
    _Answer(35, _numbers),
    _Answer(36, lambda *_: "Tables 2 and 3."),
    _Answer(37, lambda *_: "Tables 4 and 5, each with intervals."),
    _Answer(38, _diagnostic),
    _Answer(39, _failures),
    _Answer(40, _limits),
)
