"""How much the other sequence counts in the bones of each, from a validation cohort. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.config import BoneSettings
from pelvimets.core.joint import other_of
from pelvimets.core.joint_bones import BoneAnswer, laid_on, mixed
from pelvimets.core.segmentation import bones_of
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

SHARES = tuple(round(0.1 * n, 1) for n in range(10))
LEAST_GAIN = 0.002  # of the mean DSC, below which a sequence is read by itself
_SMALLEST_CM3 = 1.0


@dataclass(frozen=True, eq=False)
class AnsweredPatient:
    """What the bone network says of a patient, and what is true.

    Attributes:
        answers: Of each sequence.
        truth: Label map (z, y, x) of each sequence, on its image's own grid.
        drawn: Bones that a person drew on each.
    """

    answers: Mapping[Sequence, BoneAnswer]
    truth: Mapping[Sequence, Volume]
    drawn: Mapping[Sequence, tuple[Bone, ...]]


@dataclass(frozen=True)
class FittedBones:
    """The chosen shares, and the mean DSC of the bones for each share that was tried.

    Attributes:
        settings: For the bundle.
        record: Plain data for the model card.
    """

    settings: BoneSettings
    record: dict[str, Any]


def fit_shares(patients: Iterable[AnsweredPatient], settings: BoneSettings) -> FittedBones:
    """Choose the share of the other sequence with the highest mean DSC of the bones.

    Args:
        patients: Each with both sequences.
        settings: Of the bundle so far.
    """
    measured = {s: list[list[float]]() for s in Sequence}
    for patient in patients:
        for sequence, own in measured.items():
            own.append(_scores(patient, sequence, settings))
    means = {s: np.nanmean(np.asarray(rows), axis=0) for s, rows in measured.items()}
    chosen = {s: _best(scores) for s, scores in means.items()}
    record = {
        s.value: {
            "share": SHARES[chosen[s]],
            "alone": round(float(scores[0]), 4),
            "together": round(float(scores[chosen[s]]), 4),
        }
        for s, scores in means.items()
    }
    fitted = replace(
        settings,
        other_in_dwi=SHARES[chosen[Sequence.DWI]],
        other_in_t1=SHARES[chosen[Sequence.T1]],
    )
    return FittedBones(fitted, {"patients": len(measured[Sequence.DWI]), "sequences": record})


def _best(scores: npt.NDArray[np.floating]) -> int:
    best = int(scores.argmax())
    return best if scores[best] - scores[0] >= LEAST_GAIN else 0


def _scores(patient: AnsweredPatient, sequence: Sequence, settings: BoneSettings) -> list[float]:
    """Mean DSC of one image for each share; NaN where no bone is large enough."""
    here, other = patient.answers[sequence], other_of(sequence, patient.answers)
    placed = laid_on(other, here) if other is not None else None
    truth, drawn = patient.truth[sequence], patient.drawn[sequence]
    if placed is None:
        alone = mean_dsc(bones_of(here, truth, settings), truth, drawn)
        return [alone] * len(SHARES)
    answers = (mixed(here, placed, share) for share in SHARES)
    return [mean_dsc(bones_of(answer, truth, settings), truth, drawn) for answer in answers]


def mean_dsc(found: Volume, truth: Volume, drawn: tuple[Bone, ...]) -> float:
    """Mean Dice similarity coefficient of the bones that were drawn, from 1 cm3; else NaN.

    Args:
        found, truth: Label maps on one grid.
        drawn: Bones that count.
    """
    sizes = np.bincount(truth.array.ravel(), minlength=len(Bone) + 1)
    listed = np.bincount(found.array.ravel(), minlength=len(Bone) + 1)
    both = np.bincount(truth.array[found.array == truth.array], minlength=len(Bone) + 1)
    smallest = _SMALLEST_CM3 * 1000 / truth.geometry.voxel_volume_mm3
    large = [bone for bone in drawn if sizes[bone] >= smallest]
    if not large:
        return float("nan")
    return float(np.mean([2 * both[bone] / (sizes[bone] + listed[bone]) for bone in large]))
