"""Whom to annotate next: patients without masks, by how far an ensemble disagrees on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pelvimets.core.disagreement import disagreement_cm3
from pelvimets.core.lesions import near_bone
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmentation import lesion_probability, segment_bones
from pelvimets.core.segmenter import wanted_by
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError
from pelvimets.io.cohort.folder import CohortPatient, read_cohort
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.study import read_further_files
from pelvimets.labels import Sequence, Split
from pelvimets.model.bundle import bundle_folder, load_segmenter
from pelvimets.model.ensemble import Ensemble
from pelvimets.model.openvino_backend import OpenVinoSegmenter


@dataclass(frozen=True)
class Candidate:
    """A patient without masks of the lesions.

    Attributes:
        patient: Name.
        disagreement: Of the networks on the lesions, nats times cm3, over his images.
        lesions_cm3: Volume in which they expect lesions, on average.
    """

    patient: str
    disagreement: float
    lesions_cm3: float


def next_to_annotate(
    cohort: Path, bundle: Path, progress: Progress = silent
) -> tuple[Candidate, ...]:
    """Patients without masks of the lesions, those that would teach most first.

    Args:
        cohort: Patients with and without masks.
        bundle: An ensemble, as ``bundle`` makes it of ``train --folds``.
        progress: Told of each patient.

    Raises:
        CohortError: if nobody is left to annotate.
        InputError: if the bundle has a single network for the lesions.
    """
    segmenter = load_segmenter(bundle_folder(bundle))
    members = _members(segmenter)
    patients = [p for p in read_cohort(cohort).patients if _is_bare(p)]
    if not patients:
        raise CohortError(
            "Every patient of the cohort has masks of the lesions",
            got=cohort,
            remedy="Add patients with images alone (import --missing-lesions leave)",
        )
    found = []
    for number, patient in enumerate(patients):
        progress(patient.key, number, len(patients))
        found.append(_candidate(patient, segmenter, members))
    progress("", len(patients), len(patients))
    return tuple(sorted(found, key=lambda one: -one.disagreement))


def _is_bare(patient: CohortPatient) -> bool:
    """Whether nobody looked for lesions; test patients stay unseen."""
    drawn = any(patient.mask_path(s, "lesions").is_file() for s in patient.sequences)
    return not drawn and patient.split is not Split.TEST


def _members(segmenter: OpenVinoSegmenter) -> tuple[OpenVinoSegmenter, ...]:
    """The cascade with each of the lesion networks alone."""
    networks = segmenter.lesions
    counts = {len(n.members) if isinstance(n, Ensemble) else 1 for n in networks.values()}
    if min(counts) < 2:
        raise InputError(
            "Only several networks can disagree, and the bundle has one for the lesions",
            got=segmenter.name,
            remedy="Train with --folds, and make a bundle of the folder of the folds",
        )
    return tuple(
        replace(segmenter, lesions={s: _one(n, number) for s, n in networks.items()})
        for number in range(min(counts))
    )


def _one(network: object, number: int) -> Ensemble:
    assert isinstance(network, Ensemble)  # looked at before
    return Ensemble(network.members[number : number + 1])


def _candidate(
    patient: CohortPatient, segmenter: OpenVinoSegmenter, members: Iterable[OpenVinoSegmenter]
) -> Candidate:
    files = read_further_files(patient.further_paths(wanted_by(segmenter)))
    further = {kind: own.volume for kind, own in files.items()}
    segmenter, *members = (own.with_further(further) for own in (segmenter, *members))
    total = lesions = 0.0
    for sequence in patient.sequences:
        image = read_nifti(patient.image_path(sequence))
        bones = segment_bones(image, sequence, segmenter)
        found = [_probability(image, bones, sequence, member) for member in members]
        voxel_cm3 = float(np.prod(image.geometry.spacing)) / 1000
        total += disagreement_cm3(found, voxel_cm3)
        lesions += float(np.mean([own.sum() for own in found])) * voxel_cm3
    return Candidate(patient.key, round(total, 4), round(lesions, 3))


def _probability(
    image: Volume, bones: Volume, sequence: Sequence, member: OpenVinoSegmenter
) -> np.ndarray:
    """Where a lesion may lie; what a network says elsewhere was never taught and is not read."""
    found = lesion_probability(image, bones, sequence, member).array
    return found * near_bone(bones, member.settings.lesions.bone_margin_mm)
