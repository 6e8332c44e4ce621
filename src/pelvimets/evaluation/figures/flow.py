"""Boxes of the flow of patients: screened, excluded, evaluated, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pelvimets.evaluation.figures import (
    FlowStep,
)
from pelvimets.evaluation.measured import FlowRow, Measured
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults


def flow_steps(results: CohortResults, measured: Measured) -> list[FlowStep]:
    """From the first look, where the reference tells of it, to those evaluated."""
    steps = _enrolment(measured.flow)
    total = measured.listed
    chosen = len(results.facts) + sum(measured.excluded.values())
    other = {"other splits": total - chosen} if total > chosen else {}
    if not steps:
        steps = [FlowStep((f"In the reference (n = {total})",), {})]
    if other:
        steps[-1] = replace(steps[-1], excluded=other)
        steps.append(FlowStep((f"Chosen for this evaluation (n = {chosen})",), {}))
    steps[-1] = replace(steps[-1], excluded=measured.excluded)
    lesions = sum(fact.lesions or 0 for fact in results.facts)
    words = (f"Evaluated (n = {len(results.facts)})", f"{lesions} lesions in the reference")
    return [*steps, FlowStep(words, {})]


def _enrolment(flow: Sequence[FlowRow]) -> list[FlowStep]:
    """Boxes of ``flow.csv``: one for each row that is no exclusion."""
    steps: list[FlowStep] = []
    for row in flow:
        if row.step != "excluded":
            name = "Screened" if row.step == "screened" else f"Included: {row.reason}"
            steps.append(FlowStep((f"{name} (n = {row.patients})",), {}))
        elif steps and row.patients:
            excluded = {**steps[-1].excluded, row.reason: row.patients}
            steps[-1] = replace(steps[-1], excluded=excluded)
    return steps


def flow_arms(results: CohortResults) -> list[tuple[str, ...]]:
    """With and without metastases, and what the prediction said of them."""
    reading = next((r for r in (Reading.EITHER, *Reading) if r in results.readings), None)
    calls = {c.patient: c.called for c in results.readings[reading].calls} if reading else {}
    arms = []
    for stage, name in (("M1", "With metastases"), ("M0", "Without metastases")):
        members = [fact.patient for fact in results.facts if fact.m_stage == stage]
        said = [calls[patient] for patient in members if patient in calls]
        words = {True: "called suspicious", False: "called not suspicious", None: "no statement"}
        counted = (f"{text} (n = {said.count(value)})" for value, text in words.items())
        arms.append((f"{name} (n = {len(members)})", *(counted if calls else ())))
    return arms
