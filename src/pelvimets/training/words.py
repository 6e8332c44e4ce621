"""What a run will do and what to mind, in words for its first lines and its record."""

from __future__ import annotations

from collections.abc import Collection, Container

from pelvimets.core.judged import Judged
from pelvimets.labels import Bone, FurtherInput, Sequence
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.sample import SampleSource
from pelvimets.training.settings import Task, TrainingSettings


def judged_notes(judged: list[Judged], task: Task) -> tuple[str, ...]:
    """What nobody judged in the images to learn from."""
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


def further_notes(
    there: Collection[Container[FurtherInput]], network: NetworkSettings
) -> tuple[str, ...]:
    """Further images that the network is to see and that patients to learn from lack.

    Args:
        there: Further images of each patient to learn from.
        network: Its form.
    """
    notes = []
    for kind in dict.fromkeys(k for s in Sequence for k in network.seen_beside(s)):
        lack = sum(kind not in own for own in there)
        if lack == len(there):
            notes.append(
                f"no patient to learn from has the further image {kind.value}: the network learns "
                "nothing of it; leave it out of network.inputs, or import it"
            )
        elif lack:
            notes.append(f"{lack} of {len(there)} patients to learn from lack {kind.value}")
    return tuple(notes)


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
