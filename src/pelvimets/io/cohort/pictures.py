"""Pictures of a measured patient, kept in the store beside his measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pelvimets.core.judged import Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import PelvimetsError
from pelvimets.evaluation.figures.overlays import RgbArray, bone_overlay, lesion_overlay
from pelvimets.evaluation.measures.case import LESIONS, SequenceMasks
from pelvimets.io.cohort.evaluation_input import CaseFolders
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.record.results import CaseStore, read_picture, write_picture
from pelvimets.labels import Sequence


def picture_name(patient: str, sequence: Sequence, kind: str) -> str:
    """File name of a patient's picture."""
    return f"{patient}_{sequence.value}_{kind}.png"


def draw_pictures(
    folders: CaseFolders, sequence: Sequence, masks: SequenceMasks, store: CaseStore
) -> None:
    """Pictures of one sequence, if its image can be read and lies on the grid of the masks."""
    path = folders.image_path(sequence)
    if not path.is_file():
        return
    try:
        image = read_nifti(path)
    except PelvimetsError:
        return  # pictures are an extra; the masks themselves were measured
    for kind, draw, reference, prediction in (
        ("bones", bone_overlay, *_judged_bones(masks)),
        (LESIONS, lesion_overlay, masks.reference_lesions, masks.prediction_lesions),
    ):
        if reference is None or not reference.geometry.matches(image.geometry):
            continue
        if prediction is not None and not prediction.geometry.matches(image.geometry):
            prediction = None
        target = store.pictures() / picture_name(folders.patient, sequence, kind)
        write_picture(target, draw(image, reference, prediction))


def _judged_bones(masks: SequenceMasks) -> tuple[Volume | None, Volume | None]:
    """Bones of the reference and of the prediction, without those that nobody judged.

    None where no bone was judged.
    """
    if masks.judged is None:
        return masks.reference_bones, masks.prediction_bones
    values = Judged(masks.judged).values
    of_reference = [value for value in values.values() if value]
    of_prediction = [int(bone) for bone, value in values.items() if value]
    return (
        _only(masks.reference_bones, of_reference),
        _only(masks.prediction_bones, of_prediction),
    )


def _only(mask: Volume | None, kept: list[int]) -> Volume | None:
    if mask is None or not kept:
        return None
    return mask.with_array(np.where(np.isin(mask.array, kept), mask.array, 0))


def kept_picture(
    store: CaseStore, patient: str, sequence: Sequence, kind: str
) -> Callable[[], RgbArray] | None:
    """A picture that was drawn, read when it is called; None where there is none."""
    path = store.pictures() / picture_name(patient, sequence, kind)
    return partial(read_picture, path) if path.is_file() else None
