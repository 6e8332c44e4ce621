"""What is known of the annotations of a cohort, in words: for runs, cards and first lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pelvimets.core.judged import Judged
from pelvimets.io.cohort.annotation import read_judged
from pelvimets.io.cohort.folder import CohortPatient, is_cohort, read_patients


def cohort_words(folder: Path) -> str:
    """A cohort as a run's record and a model card name it, with bones that networks drew."""
    words = f"cohort {folder.absolute().name}"
    if not is_cohort(folder):
        return words
    judged = [own for patient in read_patients(folder) for own in judged_images(patient)]
    by = Counter(own.by or "other networks" for own in judged if own.predicted)
    total = len(judged)
    drawn = [f"bones of {count} of {total} images drawn by {name}" for name, count in by.items()]
    return f"{words} ({'; '.join(drawn)})" if drawn else words


def judged_images(patient: CohortPatient) -> tuple[Judged, ...]:
    """What was judged in each image of a patient."""
    return tuple(read_judged(patient.folder, sequence) for sequence in patient.sequences)
