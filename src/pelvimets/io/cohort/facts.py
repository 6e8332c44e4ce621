"""What a cohort's table tells of its patients, as an evaluation describes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pelvimets.evaluation.tables.facts import PatientFacts
from pelvimets.io.cohort.evaluation_input import patients_of
from pelvimets.io.cohort.folder import CohortPatient


def development_facts(
    cohorts: Mapping[str, Path], known: Collection[str]
) -> dict[str, tuple[PatientFacts, ...]]:
    """Patients of the cohorts that models were developed on.

    Args:
        cohorts: By model.
        known: Patients described already.
    """
    return {
        model: tuple(facts_of(p) for p in patients_of(folder)[0] if p.key not in known)
        for model, folder in cohorts.items()
    }


def facts_of(patient: CohortPatient) -> PatientFacts:
    """A row of the table as facts; cells that are no numbers are left out."""
    numbers = {}
    for name, cell in patient.details.items():
        try:
            numbers[name] = float(cell)
        except ValueError:
            continue
    return PatientFacts(
        patient.key,
        patient.m_stage,
        None if patient.split is None else str(patient.split),
        patient.scanner,
        patient.details.get("dataset") or None,
        patient.age_years,
        patient.psa_ng_per_ml,
        _clinical(patient, numbers),
        _count(numbers),
        numbers.get("lesion_volume_cm3"),
        numbers.get("field_strength_t", numbers.get("field_strength")),
    )


def _clinical(patient: CohortPatient, numbers: Mapping[str, float]) -> dict[str, float]:
    """Free PSA and its share of the total, as in the paper's Tables 2 and 3."""
    free = numbers.get("free_psa", numbers.get("f_psa"))
    if free is None or free != free:
        return {}
    found = {"F-PSA (ng/ml)": free}
    if patient.psa_ng_per_ml:
        found["F/T-PSA"] = free / patient.psa_ng_per_ml
    return found


def _count(numbers: Mapping[str, float]) -> int | None:
    found = next((numbers[n] for n in ("lesions", "lesion_count") if n in numbers), None)
    return None if found is None else int(found)
