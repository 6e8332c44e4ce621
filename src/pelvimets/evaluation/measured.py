"""Measured patients of a cohort, with what is known of them and of how they came to be there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pelvimets.evaluation.checks import Problem, Weight
from pelvimets.evaluation.measures.case import CaseResult
from pelvimets.evaluation.tables.facts import PatientFacts


@dataclass(frozen=True)
class FlowRow:
    """One line of ``flow.csv``: patients that came, left or stayed."""

    step: str
    reason: str
    patients: int


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


def absent(
    chosen: Sequence[tuple[str, bool]], listed: Collection[str], present: Collection[str]
) -> tuple[list[Problem], dict[str, int]]:
    """Patients that lie on one side only.

    Args:
        chosen: Patients to be evaluated, and whether their reference is there.
        listed: All that the reference's table names.
        present: Those predicted.

    Returns:
        A problem for each, and how many are left out by reason.
    """
    without_reference = [key for key, there in chosen if not there]
    without_prediction = [key for key, there in chosen if there and key not in present]
    texts = {
        "missing prediction": (
            without_prediction,
            "There is no prediction; the patient is left out.",
        ),
        "missing reference": (without_reference, "There is no reference folder; left out."),
        "unknown patient": (
            sorted(set(present) - set(listed)),
            "Predicted, but not in the reference; left out.",
        ),
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
