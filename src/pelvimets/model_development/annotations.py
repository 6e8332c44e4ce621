"""What is known of the annotations of a cohort, in words: for runs, cards and first lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pelvimets.core.judged import Judged
from pelvimets.core.splits import Splits
from pelvimets.errors import listed
from pelvimets.io.cohort.annotation import read_judged
from pelvimets.io.cohort.folder import Cohort, CohortPatient, is_cohort, read_patients
from pelvimets.model_development.samples import lacks, left_out
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.words import further_notes, judged_notes


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


def annotation_notes(cohort: Cohort, settings: TrainingSettings, splits: Splits) -> tuple[str, ...]:
    """What is not judged in the patients to learn from: structures, bones, whole images."""
    judged = _judged_to_learn_from(cohort, settings, splits)
    bare = left_out(cohort, settings, splits)
    named = listed([f"{name}: {why}" for name, why in bare])
    first = [f"{len(bare)} images left out: {named}"] if bare else []
    further = [cohort.patient(key).further_paths() for key in splits.train]
    return (*first, *judged_notes(judged, settings.task), *further_notes(further, settings.network))


def _judged_to_learn_from(
    cohort: Cohort, settings: TrainingSettings, splits: Splits
) -> list[Judged]:
    known = {patient.key: patient for patient in cohort.patients}
    return [
        read_judged(known[key].folder, sequence)
        for key in splits.train
        for sequence in known[key].sequences
        if sequence.value in settings.sequences and not lacks(known[key], sequence, settings.task)
    ]
