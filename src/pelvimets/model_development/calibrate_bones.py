"""Calibration of the bones: how much the other sequence counts in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pelvimets.app.further import furnished
from pelvimets.calibration.bones import AnsweredPatient, fit_shares
from pelvimets.core.further import seeing
from pelvimets.core.judged import Judged
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmentation import bone_answer
from pelvimets.io.cohort.annotation import read_judged
from pelvimets.io.cohort.folder import CohortPatient, read_case
from pelvimets.io.nifti.study import read_nifti_study
from pelvimets.labels import Bone, Sequence
from pelvimets.model.openvino_backend import OpenVinoSegmenter

FEWEST, MOST = 4, 16  # patients with both sequences and bones drawn on them


def with_bones_together(
    segmenter: OpenVinoSegmenter,
    patients: tuple[CohortPatient, ...],
    progress: Progress = silent,
    *,
    out_of_fold: bool = False,
) -> tuple[OpenVinoSegmenter, dict[str, Any] | None]:
    """The networks with the shares that suit the patients, and a record of the choice.

    Args:
        segmenter: The networks.
        patients: Of the validation cohorts; as many as are needed are read.
        progress: Told of each patient.
        out_of_fold: Read each patient by the networks that did not learn from him.

    Returns:
        As they were, and None, where too few patients have bones drawn on both sequences.
    """
    drawn = drawn_on_both(patients)
    if len(drawn) < FEWEST:
        return segmenter, None
    step = max(len(drawn) // MOST, 1)
    chosen = drawn[::step][:MOST]
    found = answered(segmenter, chosen, progress, out_of_fold=out_of_fold)
    fitted = fit_shares(found, segmenter.settings.bones)
    settings = replace(segmenter.settings, bones=fitted.settings)
    return replace(segmenter, settings=settings), fitted.record


def drawn_on_both(patients: Iterable[CohortPatient]) -> list[CohortPatient]:
    """Those with bones that a person drew one by one on both sequences."""
    return [
        patient
        for patient in patients
        if set(patient.sequences) == set(Sequence)
        and all(
            patient.mask_path(s, "bones").is_file() and _one_by_one(read_judged(patient.folder, s))
            for s in Sequence
        )
    ]


def answered(
    segmenter: OpenVinoSegmenter,
    patients: list[CohortPatient],
    progress: Progress,
    *,
    out_of_fold: bool,
) -> Iterator[AnsweredPatient]:
    """What the bone network says of each patient, and what was drawn."""
    for number, patient in enumerate(patients):
        progress(f"bones of {patient.key}", number, len(patients))
        own = segmenter.unseen_by(patient.key) if out_of_fold else segmenter
        study = read_nifti_study(
            dwi=patient.image_path(Sequence.DWI), t1=patient.image_path(Sequence.T1)
        )
        networks = seeing(own, furnished(study, own, patient.further_paths()))
        cases = {s: read_case(patient, s) for s in Sequence}
        yield AnsweredPatient(
            {s: bone_answer(image, s, networks) for s, image in study.images.items()},
            {s: case.bones for s, case in cases.items() if case.bones is not None},
            {s: _one_by_one(case.judged) for s, case in cases.items()},
        )
    progress("", len(patients), len(patients))


def _one_by_one(judged: Judged) -> tuple[Bone, ...]:
    return tuple(bone for bone, value in judged.values.items() if value == bone)
