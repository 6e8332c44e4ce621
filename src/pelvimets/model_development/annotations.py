"""What is known of the annotations of a cohort, in words: for runs, cards and first lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pelvimets.core.judged import Judged
from pelvimets.core.splits import Splits
from pelvimets.errors import listed
from pelvimets.io.cohort.annotation import read_judged
from pelvimets.io.cohort.folder import Cohort, CohortPatient, is_cohort, read_patients
from pelvimets.labels import Bone
from pelvimets.model_development.samples import lacks, left_out
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import Task, TrainingSettings


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
    return (*first, *_judged_notes(judged, settings.task))


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


def _judged_notes(judged: list[Judged], task: Task) -> tuple[str, ...]:
    if task is Task.LESIONS:
        bare = sum(bool(own.open_bones) and not own.predicted for own in judged)
        note = (
            f"in {bare} of {len(judged)} images some bones are not drawn: lesions in them are not "
            "learned. import --fill-bones first has the networks draw them"
        )
        return (note,) if bare else ()
    absent = [
        bone.title
        for bone in Bone
        if judged and all(own.values[bone] != int(bone) for own in judged)
    ]
    note = (
        f"nobody drew {', '.join(absent)} one by one in any image to learn from: what the network "
        "says of them is not taught (with --from it begins with what the other network knows)"
    )
    return (note,) if absent else ()


def first_lines(
    settings: TrainingSettings,
    training: SampleSource,
    validation: SampleSource,
    notes: tuple[str, ...],
) -> tuple[str, ...]:
    """What a run will do, in words: images, steps, how often each is seen, and what to mind."""
    names, last = training.names(), settings.stages[-1]
    steps = settings.epochs * settings.steps_per_epoch
    seen = steps * last.batch / max(len(names), 1)
    length = (
        f"up to {steps} steps, which show each image about {seen:.0f} times"
        if settings.minutes is None
        else f"{settings.minutes:g} minutes at most, {steps} steps if they suffice"
    )
    measured = validation.names()
    shown = sum(len(validation.read(name).lesion_centres) > 0 for name in measured)
    lines = [
        f"Learns {settings.task.value} from {len(names)} images, measured on {len(measured)}"
        f"{f' ({shown} with lesions)' if settings.task is Task.LESIONS else ''}: {length}.",
        *(f"note: {note}" for note in notes),
    ]
    if settings.task is Task.LESIONS and not shown:
        lines.append(
            "note: no validation image shows a metastasis, so that no score can be measured and "
            "none be chosen by it: give some in the column split, or train --folds 5"
        )
    return tuple(lines)
