"""Checks of an evaluation by itself: what would make its figures wrong or say too much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pelvimets.errors import CohortError, listed
from pelvimets.evaluation.measures.case import CaseResult
from pelvimets.evaluation.tables.facts import PatientFacts


class Weight(StrEnum):
    """How much a problem matters."""

    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """Something that a reader of the results must know.

    Attributes:
        weight: Note or warning.
        code: Short name.
        message: What is wrong and what to do.
        patient: Whom it concerns, if one.
    """

    weight: Weight
    code: str
    message: str
    patient: str | None = None


def check_patients_once(patients: Sequence[str]) -> None:
    """Refuse a patient that stands in a list twice.

    Raises:
        CohortError: with the names.
    """
    twice = sorted(name for name, count in Counter(patients).items() if count > 1)
    if twice:
        raise CohortError(
            "A patient occurs more than once",
            got=", ".join(twice),
            remedy="Give each patient one row and one folder",
        )


def check_splits(splits: Mapping[str, Mapping[str, str]], evaluated: Sequence[str]) -> None:
    """Refuse patients that a model was trained or tuned on.

    Args:
        splits: For each model (bones, lesions) the split of each patient.
        evaluated: Patients evaluated as a test.

    Raises:
        CohortError: naming model and patients.
    """
    for model, split_of in splits.items():
        seen = sorted(p for p in evaluated if split_of.get(p) in ("train", "validation"))
        if seen:
            raise CohortError(
                f"The {model} model has seen patients of this evaluation in training or tuning",
                got=listed(seen, most=10),
                remedy="Leave them out, or evaluate them as what they are with --split",
            )


def check_split_column(facts: Sequence[PatientFacts]) -> list[Problem]:
    """Warn if patients of several splits are evaluated together."""
    counted = Counter(fact.split for fact in facts if fact.split)
    if len(counted) < 2:
        return []
    words = ", ".join(f"{n} {split}" for split, n in sorted(counted.items()))
    return [
        Problem(
            Weight.WARNING,
            "mixed splits",
            f"Patients of several splits are evaluated together ({words}). Figures of training "
            "patients say nothing about new ones; choose one with --split.",
        )
    ]


def check_stages(facts: Sequence[PatientFacts]) -> list[Problem]:
    """Warn where the M stage contradicts the reference's lesions."""
    problems = []
    for fact in facts:
        if fact.m_stage is None or fact.lesions is None:
            continue
        if (fact.m_stage == "M1") != (fact.lesions > 0):
            problems.append(
                Problem(
                    Weight.WARNING,
                    "stage contradicts lesions",
                    f"The table says {fact.m_stage}, the reference has {fact.lesions} lesions. "
                    "The table's stage is used.",
                    fact.patient,
                )
            )
    return problems


def check_sums(facts: Sequence[PatientFacts], expected: Mapping[str, int] | None) -> list[Problem]:
    """Warn where counts do not add up: groups against their total, or against what is expected.

    Args:
        facts: The patients.
        expected: Number of patients by split, as stated elsewhere.
    """
    problems = []
    for name in ("m_stage", "scanner", "split"):
        known = [fact for fact in facts if getattr(fact, name)]
        if known and len(known) < len(facts):
            problems.append(
                Problem(
                    Weight.WARNING,
                    "counts do not add up",
                    f"{len(facts) - len(known)} of {len(facts)} patients have no "
                    f"{name.replace('_', ' ')}: its groups do not sum to all patients.",
                )
            )
    counted = Counter(fact.split for fact in facts)
    for split, number in (expected or {}).items():
        if counted[split] != number:
            problems.append(
                Problem(
                    Weight.WARNING,
                    "counts do not add up",
                    f"{split}: {counted[split]} patients, {number} expected.",
                )
            )
    return problems


def check_flow(flow: Sequence[tuple[str, int]], listed: int) -> list[Problem]:
    """Warn where the flow of patients does not add up.

    Args:
        flow: Step (screened, excluded, included) and patients, in order.
        listed: Patients in the table.
    """
    problems, left = [], None
    for step, patients in flow:
        if step == "excluded":
            left = None if left is None else left - patients
            continue
        if step == "included" and left is not None and left != patients:
            words = f"{left} patients are left after the exclusions, {patients} are included."
            problems.append(Problem(Weight.WARNING, "flow does not add up", words))
        left = patients
    if left is not None and left != listed:
        words = f"The flow ends with {left} patients, the table lists {listed}."
        problems.append(Problem(Weight.WARNING, "flow does not add up", words))
    return problems


def check_classes(facts: Sequence[PatientFacts]) -> list[Problem]:
    """Note a cohort without patients of one class."""
    stages = {fact.m_stage for fact in facts}
    return [
        Problem(
            Weight.WARNING,
            "one class only",
            f"The reference has no {stage} patients: {lost} and areas under ROC curves cannot "
            "be computed.",
        )
        for stage, lost in (("M1", "sensitivity"), ("M0", "specificity"))
        if stage not in stages
    ]


def check_scores(cases: Sequence[CaseResult]) -> list[Problem]:
    """Warn of scores that are NaN, missing, or only 0 and 1."""
    problems = []
    by_sequence: dict[str, list[float]] = {}
    for case in cases:
        for sequence, result in case.sequences.items():
            score = result.scores.patient_score
            by_sequence.setdefault(sequence.title, []).append(
                float("nan") if score is None else score
            )
    for title, scores in by_sequence.items():
        values = np.array(scores)
        known = values[np.isfinite(values)]
        if 0 < known.size < values.size:
            problems.append(
                Problem(
                    Weight.WARNING,
                    "scores missing",
                    f"{title}: {values.size - known.size} of {values.size} patients have no "
                    "patient score; no area from scores is given.",
                )
            )
        if known.size > 1 and set(known.tolist()) <= {0.0, 1.0}:
            problems.append(
                Problem(
                    Weight.WARNING,
                    "binary scores",
                    f"{title}: the patient scores are only 0 and 1. Their area is that of calls, "
                    "(sensitivity + specificity)/2; give unthresholded scores.",
                )
            )
    return problems


def case_problems(cases: Sequence[CaseResult]) -> list[Problem]:
    """What could not be computed in single patients."""
    return [
        Problem(Weight.WARNING, "not computed", message, case.patient)
        for case in cases
        for message in case.problems
    ]
