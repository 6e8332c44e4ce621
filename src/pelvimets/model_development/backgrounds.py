"""Real images without metastases as training samples: bones found, metastases put in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pelvimets.core.progress import Progress
from pelvimets.core.segmentation import segment_bones
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, SettingsError
from pelvimets.io.cohort.folder import CohortPatient, read_case, read_cohort
from pelvimets.io.cohort.sample_index import SampleIndex
from pelvimets.io.record.arrays import ArrayFolder
from pelvimets.io.record.stamps import stamp
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.training.backgrounds import COPIES, background_name, background_samples
from pelvimets.training.settings import Task, TrainingSettings
from pelvimets.training.store import SampleStore


@dataclass(frozen=True)
class Backgrounds:
    """Real images in which no metastasis is known.

    Attributes:
        cohort: Folder; bone masks are taken where they lie there, else the bundle draws them.
        bundle: Folder of a bundle; None takes the shipped one.
    """

    cohort: Path
    bundle: Path | None = None

    @property
    def words(self) -> str:
        """What a run learns from."""
        return f"real images of {self.cohort.absolute().name} with metastases put in"


def prepare_backgrounds(
    backgrounds: Backgrounds,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress,
) -> tuple[str, ...]:
    """Make the samples that are not there or out of date.

    Args:
        backgrounds: The images.
        settings: Of the run.
        folder: Gets the samples.
        progress: Is told of each patient.

    Returns:
        Their names.

    Raises:
        SettingsError: if bones are to be learned, of which there is no truth.
        CohortError: if a metastasis is marked in an image, or no bone is found.
    """
    if settings.task is not Task.LESIONS:
        raise SettingsError(
            "Real backgrounds teach the lesion network alone",
            got=settings.task.value,
            remedy="Train bones on annotated images or on digital patients",
        )
    patients = read_cohort(backgrounds.cohort).patients
    segmenter = load_segmenter(backgrounds.bundle)
    names: list[str] = []
    for number, patient in enumerate(patients):
        progress("Preparing real backgrounds", number, len(patients))
        for sequence in patient.sequences:
            if sequence.value in settings.sequences:
                _prepare(patient, sequence, segmenter, settings, folder)
                names += [background_name(patient.key, n, sequence) for n in range(COPIES)]
    return tuple(names)


def _prepare(
    patient: CohortPatient,
    sequence: Sequence,
    segmenter: Segmenter,
    settings: TrainingSettings,
    folder: Path,
) -> None:
    store, index = SampleStore(ArrayFolder(folder)), SampleIndex(folder)
    last = background_name(patient.key, COPIES - 1, sequence)
    masks = [patient.mask_path(sequence, kind) for kind in ("bones", "lesions")]
    now = stamp([patient.image_path(sequence), *masks])
    if last in store.names() and index.stamp_of(last) == now:
        return
    image, bones = read_background(patient, sequence, segmenter)
    for sample in background_samples(
        patient.key, sequence, image, bones, settings.sample_grid, settings.intensity
    ):
        store.write(sample)
    index.note(last, now)


def read_background(
    patient: CohortPatient, sequence: Sequence, segmenter: Segmenter
) -> tuple[Volume, Volume]:
    """A real image without metastases, and its bones: from their mask, or as the bundle draws them.

    Raises:
        CohortError: if a metastasis is marked in it, or no bone is found.
    """
    case = read_case(patient, sequence)
    if case.lesions is not None and case.lesions.array.any():
        raise CohortError(
            f"Patient {patient.key} has metastases on {sequence.title}",
            remedy="Real backgrounds are images in which none is known",
        )
    bones = case.bones or segment_bones(case.image, sequence, segmenter)
    if not bones.array.any():
        raise CohortError(
            f"No bone is found on {sequence.title} of patient {patient.key}",
            remedy="Give a mask of the bones, or leave the patient out",
        )
    return case.image, bones
