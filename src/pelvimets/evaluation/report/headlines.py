"""The main figures of an evaluation in words."""

from __future__ import annotations

from pelvimets.evaluation.by_reading import ReadingResult
from pelvimets.evaluation.measures.patients import PatientFigures
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.tables.table import number_interval, percent_interval


def headlines(results: CohortResults) -> tuple[str, ...]:
    """The main figures of an evaluation in words, one line for each reading."""
    found = {reading: results.readings.get(reading) for reading in Reading}
    return tuple(
        f"{reading.title}: " + ", ".join(_parts(own, results.settings.smallest_iou))
        for reading, own in found.items()
        if own is not None
    )


def _parts(own: ReadingResult, smallest_iou: float) -> list[str]:
    parts = [] if own.patients is None else _of_patients(own.patients)
    if own.lesions is not None:
        for rule, found in own.by_rule.items():
            rates = f"{found.found}/{found.reference_lesions} lesions found"
            false = f"{found.false_per_patient.estimate:.2f} false per patient"
            parts.append(f"{rates}, {false} ({rule.title(smallest_iou)})")
    return parts


def _of_patients(patients: PatientFigures) -> list[str]:
    rates = {name: patients.rates[name].clopper_pearson for name in ("sensitivity", "specificity")}
    parts = [f"{name} {percent_interval(rate)} %" for name, rate in rates.items()]
    if patients.withheld.patients:
        parts.append(f"no statement on {patients.withheld.patients} patients")
    if patients.auc is not None:
        parts.append(f"AUC {number_interval(patients.auc)}")
    return parts
