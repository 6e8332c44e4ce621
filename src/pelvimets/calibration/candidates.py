"""Candidates of a validation cohort, as each way of drawing gives them, held against the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.config import JointSettings, LesionSettings
from pelvimets.core.evidence import Evidence, Surroundings, gather_evidence, surroundings
from pelvimets.core.joint import log_odds, other_of, read_together
from pelvimets.core.lesions import (
    FAINT,
    faint_score,
    inside_bone,
    label_above,
    near_bone,
    shown_lesions,
)
from pelvimets.core.segmentation import Found
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.lesions import find_overlaps
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.labels import Sequence


@dataclass(frozen=True)
class Drawing:
    """How candidates are drawn from a probability; see ``EvidenceWeights``."""

    threshold: float
    grow_to: float | None = None

    def __str__(self) -> str:
        grown = "" if self.grow_to is None else f" grown to {self.grow_to:g}"
        return f"{self.threshold:g}{grown}"


DRAWINGS = (
    *(Drawing(threshold) for threshold in (0.1, 0.2, 0.35, 0.5)),
    *(Drawing(high, low) for high, low in ((0.35, 0.1), (0.5, 0.1), (0.5, 0.2), (0.7, 0.2))),
)
"""The ways among which the best is chosen."""


@dataclass(frozen=True)
class Candidate:
    """A predicted lesion before it is weighed; ``right`` if it meets a metastasis."""

    evidence: Evidence
    right: bool


@dataclass(frozen=True)
class CandidateCase:
    """Candidates of one sequence of one patient, drawn in one way.

    Attributes:
        patient, sequence: Whose.
        person: Whose images they are: all of one person are left out together.
        metastases: Reference lesions on the sequence.
        candidates: As they are drawn.
        faint: See ``core.lesions.faint_score``; counts where there are no candidates.
        voxels: Lesion voxels in (both, prediction, reference).
    """

    patient: str
    person: str
    sequence: Sequence
    metastases: int
    candidates: tuple[Candidate, ...]
    faint: float
    voxels: tuple[int, int, int]


CasesByDrawing = Mapping[Drawing, tuple[CandidateCase, ...]]


@dataclass(frozen=True, eq=False)
class JointVoxels:
    """Voxels near the bones of one sequence: both networks' logits (n,), and the truth (n,)."""

    own: npt.NDArray[np.float32]
    other: npt.NDArray[np.float32]
    right: BoolArray


BoolArray = npt.NDArray[np.bool_]
_SMALLEST_IOU = EvaluationSettings().smallest_iou


_VOXELS = 30_000  # of a sequence of a patient, to fit how sequences are joined


def joint_voxels(patient: FoundPatient, sequence: Sequence, margin_mm: float) -> JointVoxels | None:
    """Some voxels near the bones of one sequence, where the other one looked, too."""
    other = other_of(sequence, patient.own)
    if other is None:
        return None
    found = patient.sequences[sequence]
    inside = near_bone(found.bones, margin_mm)
    here, there = log_odds(found.own, other, JointSettings().reach_mm)
    places = np.flatnonzero(inside & ~np.isnan(there))
    seed = int.from_bytes(hashlib.sha256(patient.key.encode()).digest()[:8])
    drawn = np.random.default_rng(seed).choice(places, min(_VOXELS, len(places)), replace=False)
    real = found.truth.array > 0
    return JointVoxels(*(array.ravel()[drawn] for array in (here, there, real)))


def candidate_cases(found: Iterable[FoundPatient], settings: LesionSettings) -> CasesByDrawing:
    """Candidates of all patients as each way of drawing gives them.

    Args:
        found: The patients.
        settings: How sequences are joined, smallest lesion.
    """
    gathered: dict[Drawing, list[CandidateCase]] = {way: [] for way in DRAWINGS}
    for patient in found:
        probability = read_together(patient.own, settings)
        for sequence, one in patient.sequences.items():
            bones = one.bones
            around = surroundings(sequence, patient.own, patient.adc, bones)
            inside = inside_bone(probability[sequence], bones, settings)
            place = _Place(one.truth, inside, around).cut()
            for way, cases in gathered.items():
                own = replace(settings, threshold=way.threshold, grow_to=way.grow_to)
                cases.append(_case(patient, sequence, place, own))
    return {way: tuple(cases) for way, cases in gathered.items()}


@dataclass(frozen=True, eq=False)
class _Place:
    """What candidates of one sequence are drawn from and weighed by, on one grid.

    Attributes:
        truth: Reference lesions, numbered.
        inside: Probability where a lesion may lie, 0 elsewhere.
        around: What is known around them.
    """

    truth: Volume
    inside: Volume
    around: Surroundings

    def cut(self) -> _Place:
        """The same where anything is to be seen, to be gone through in several ways."""
        shown = (self.inside.array >= FAINT) | (self.truth.array > 0)
        found = ndimage.find_objects(shown.astype(np.uint8))
        z, y, x = found[0] if found else (slice(0, 1),) * 3
        box = (z, y, x)
        other = self.around.other
        around = replace(
            self.around,
            own=self.around.own.cut(box),
            other=None if other is None else other[box],
            depth_mm=self.around.depth_mm[box],
        )
        return _Place(self.truth.cut(box), self.inside.cut(box), around)


def _case(
    patient: FoundPatient,
    sequence: Sequence,
    place: _Place,
    settings: LesionSettings,
) -> CandidateCase:
    truth, inside, around = place.truth, place.inside, place.around
    labels = shown_lesions(label_above(inside, settings), around.own, settings)
    evidence = gather_evidence(labels, around, settings)
    right = right_labels(labels.array, truth.array)
    found, real = labels.array > 0, truth.array > 0
    return CandidateCase(
        patient=patient.key,
        person=patient.person,
        sequence=sequence,
        metastases=len(np.unique(truth.array[real])),
        candidates=tuple(Candidate(e, n in right) for n, e in evidence.items()),
        faint=0.0 if evidence else faint_score(inside, settings),
        voxels=(int((found & real).sum()), int(found.sum()), int(real.sum())),
    )


@dataclass(frozen=True, eq=False)
class FoundAndTrue(Found):
    """What the networks found on one sequence, and the reference lesions, numbered."""

    truth: Volume


@dataclass(frozen=True, eq=False)
class FoundPatient:
    """What the networks found in one patient, and the truth.

    Attributes:
        key: Of the patient.
        person: Whose images they are; one may have several patients' worth.
        sequences: Each sequence that he has.
        adc: ADC map in um2/s, or None.
    """

    key: str
    person: str
    sequences: dict[Sequence, FoundAndTrue]
    adc: Volume | None

    @property
    def own(self) -> dict[Sequence, Volume]:
        """Lesion probability of each sequence's network."""
        return {s: found.own for s, found in self.sequences.items()}


def right_labels(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> set[int]:
    """Labels that meet a reference lesion with enough overlap over union."""
    overlaps = find_overlaps(truth.astype(np.int32), found.astype(np.int32))
    return {overlap.prediction for overlap in overlaps if overlap.iou >= _SMALLEST_IOU}
