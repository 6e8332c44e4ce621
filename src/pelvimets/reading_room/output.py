"""What becomes of a review: findings that say who corrected what, and a case to train on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pelvimets.config import LesionSettings, settings_from_dict
from pelvimets.core.corrected import ReviewedStudy
from pelvimets.core.review import Origin, Review, Verdict
from pelvimets.core.study import SeriesRole
from pelvimets.errors import InputError, ReviewError
from pelvimets.io.cohort.folder import is_cohort, read_cohort, write_table
from pelvimets.io.record import review as store
from pelvimets.io.record.review import ReviewFolder
from pelvimets.labels import Sequence
from pelvimets.report.data import findings_to_dict


def lesion_settings(run: dict[str, Any]) -> LesionSettings:
    """The settings by which a run called a lesion suspicious; the defaults if unknown."""
    settings = run.get("settings")
    lesions = settings.get("lesions") if isinstance(settings, dict) else None
    return settings_from_dict(LesionSettings, lesions) if lesions else LesionSettings()


def reviewed_findings_to_dict(reviewed: ReviewedStudy) -> dict[str, Any]:
    """Plain data of corrected findings; ``review`` says who corrected what."""
    return {**findings_to_dict(reviewed.findings), "review": review_summary(reviewed.review)}


def review_summary(review: Review) -> dict[str, Any]:
    """Who reviewed, when, and how many lesions became what."""
    verdicts = Counter(entry.verdict for entry in review.lesions)
    return {
        "reader": review.reader,
        "signed": review.signed,
        "changed": review.changed,
        "comment": review.comment,
        "model_findings_sha256": review.findings_sha256,
        "lesions": {
            **{verdict.value: verdicts[verdict] for verdict in Verdict},
            "edited": sum(bool(e.edited) and e.origin is Origin.MODEL for e in review.lesions),
            "added": sum(e.origin is Origin.READER for e in review.lesions),
        },
        "notes": {str(e.number): e.note for e in review.lesions if e.note},
    }


def add_to_cohort(folder: ReviewFolder, key: str, review: Review, cohort: Path) -> Path:
    """Put a signed review into a cohort folder, as a patient to train on or to compare.

    Args:
        folder: The run's output with the review.
        key: The patient's key.
        review: The review; signed.
        cohort: A cohort folder, or one that does not exist yet.

    Returns:
        The patient's folder.

    Raises:
        ReviewError: if the review is not signed.
        InputError: if the patient is in the cohort already.
        OutputError: if it cannot be written.
    """
    if review.signed is None:
        raise ReviewError(
            "The review is not signed",
            got=folder.out,
            remedy="Open it with 'pelvimets view' and sign",
        )
    rows = _table_rows(cohort)
    if any(row["patient"] == key for row in rows):
        raise InputError("The patient is in the cohort already", got=key)
    case = store.complete_as_case(folder, cohort / key)
    found = any(entry.verdict is Verdict.ACCEPTED for entry in review.lesions)
    rows.append({"patient": key, "m_stage": "M1" if found else None})  # never M0
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_table(cohort / "patients.csv", [{c: row.get(c) for c in columns} for row in rows])
    return case


def _table_rows(cohort: Path) -> list[dict[str, object]]:
    if not is_cohort(cohort):
        return []
    return [
        {
            "patient": p.key,
            "split": p.split,
            "m_stage": p.m_stage,
            "scanner": p.scanner,
            "age": p.age_years,
            "psa": p.psa_ng_per_ml,
            **p.details,
        }
        for p in read_cohort(cohort).patients
    ]


def image_titles(run: dict[str, Any]) -> dict[str, str]:
    """Names of the images by key: a T1 is 'in phase' only where it is."""
    titles = {**{s.value: s.title for s in Sequence}, "adc": "ADC"}
    inputs = run.get("inputs") or {}
    if (inputs.get("t1") or {}).get("role") == SeriesRole.T1_LIKE:
        titles["t1"] = "T1"
    return titles
