"""How sure is each lesion? All evidence on a candidate, weighed by a logistic regression.

The lesion network sees one sequence. Here comes together what a reader would look at next:
the same place on the other sequence, the ADC, the size. False positives of the paper's
networks (nerve roots, cysts, haemangiomas, vessels) differ from metastases in just these. Where a
bone mask spills over the cortex, a candidate hugs its border or lies half outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pelvimets.config import EvidenceWeights, LesionSettings
from pelvimets.core.distance import depth_mm
from pelvimets.core.findings import LesionMasks, MarkedLesions
from pelvimets.core.geometry import Geometry
from pelvimets.core.joint import covered, other_of
from pelvimets.core.lanes import side_by_side
from pelvimets.core.lesions import faint_score, inside_bone, lesion_score, renumbered
from pelvimets.core.odds import log_odds_of
from pelvimets.core.resample import interpolate_probability, resample_labels
from pelvimets.core.segmentation import Segmented
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

_FAINT_SHARE = 0.25
_RIM_MM = 3.0  # bone less deep than this is the border of its mask
FEATURES = ("score", "mean", "volume", "other", "alone", "adc", "no_adc", "rim", "outside", "shape")
"""Names of the features, each with its weight in ``EvidenceWeights``."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one candidate.

    Attributes:
        score: The network's score, see ``lesions.lesion_score``.
        mean_probability: Mean of the network's probability.
        volume_cm3: Volume.
        other_score: Score in the same place on the other sequence; None where it was not
            read or does not reach.
        adc_um2_per_s: Median ADC; None where no map exists or it has no value there.
        rim_share: Of its voxels, at the border of the bone mask or outside of it.
        outside_share: Of its voxels, outside the bone mask.
        roundness: Shortest over longest principal extent, 0-1: a disc or an end plate is flat.
    """

    score: float
    mean_probability: float
    volume_cm3: float
    other_score: float | None = None
    adc_um2_per_s: float | None = None
    rim_share: float = 0.0
    outside_share: float = 0.0
    roundness: float = 0.0


def features(evidence: Evidence) -> npt.NDArray[np.float64]:
    """The evidence as numbers, in the order of ``FEATURES``.

    >>> dict(zip(FEATURES, features(Evidence(0.5, 0.5, 1.0)).tolist()))["alone"]
    1.0
    """
    other, adc = evidence.other_score, evidence.adc_um2_per_s
    return np.array(
        [
            log_odds_of(evidence.score),
            log_odds_of(evidence.mean_probability),
            np.log(max(evidence.volume_cm3, 1e-3)),
            0.0 if other is None else log_odds_of(other),
            float(other is None),
            0.0 if adc is None else adc / 1000 - 1,
            float(adc is None),
            evidence.rim_share,
            evidence.outside_share,
            evidence.roundness,
        ]
    )


def chance_of_metastasis(evidence: Evidence, weights: EvidenceWeights | None) -> float:
    """Score of a candidate, 0-1; without weights it is the network's own."""
    if weights is None:
        return evidence.score
    of_features = [getattr(weights, name) for name in FEATURES]
    return float(expit(weights.intercept + features(evidence) @ of_features))


def chance_of_faint(score: float, weights: EvidenceWeights | None) -> float:
    """Score of what stays below the threshold of a candidate, 0-1, to rank patients without one.

    The weights were fitted to candidates and would be sure of wide faint places; so the
    probability counts, at a quarter, below nearly all candidates.
    """
    return score if weights is None else _FAINT_SHARE * score


def chance_of_metastases(highest: float, weights: EvidenceWeights | None) -> float:
    """Score of a patient, 0-1, from the highest score of his candidates."""
    if weights is None:
        return highest
    return float(expit(weights.patient_intercept + weights.patient_slope * log_odds_of(highest)))


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What is known around the candidates of a sequence.

    Attributes:
        own: Probability of the sequence's network.
        other: That of the other sequence on the same grid, NaN outside its field; None if it
            was not read.
        adc: ADC map in um2/s on its own grid, or None.
        depth_mm: How deep in bone each voxel lies (z, y, x); 0 outside.
    """

    own: Volume
    other: npt.NDArray[np.float32] | None
    adc: Volume | None
    depth_mm: npt.NDArray[np.float32]


def surroundings(
    sequence: Sequence, own: Mapping[Sequence, Volume], adc: Volume | None, bones: Volume
) -> Surroundings:
    """What there is to weigh the candidates of a sequence by.

    Args:
        sequence: The sequence on which they were found.
        own: Lesion probability of each network that read the study.
        adc: ADC map in um2/s, or None.
        bones: Bone mask of the sequence.
    """
    other, grid = other_of(sequence, own), own[sequence].geometry
    there = None if other is None else _on_grid(other, grid)
    depth = depth_mm(bones.array > 0, bones.geometry.spacing)
    return Surroundings(own[sequence], there, adc, depth)


def weigh_lesions(
    found: Mapping[Sequence, Segmented], adc: Volume | None, settings: LesionSettings
) -> LesionMasks:
    """Score all candidates of a study and drop those below ``settings.smallest_score``.

    Args:
        found: Bones, candidates and probabilities of each sequence.
        adc: ADC map in um2/s on its own grid, or None.
        settings: With the weights of each sequence.

    Returns:
        Lesions numbered by falling volume, with their scores and those of the patient.
    """
    own = {s: one.own for s, one in found.items()}

    def weighed(sequence: Sequence) -> MarkedLesions:
        around = surroundings(sequence, own, adc, found[sequence].bones)
        return _weighed(sequence, found[sequence], around, settings)

    return LesionMasks(dict(zip(found, side_by_side(weighed, found), strict=True)))


def _weighed(
    sequence: Sequence, found: Segmented, around: Surroundings, settings: LesionSettings
) -> MarkedLesions:
    labels, weights = found.candidates, settings.of(sequence).evidence
    scores = candidate_scores(labels, around, weights, settings)
    good = [n for n, score in scores.items() if score >= settings.smallest_score]
    highest = max(scores.values()) if scores else _highest_faint(found, weights, settings)
    return MarkedLesions(
        mask=labels.with_array(renumbered(labels.array, good)),
        probability=found.probability,
        scores={new: scores[n] for new, n in enumerate(good, start=1)},
        patient_score=chance_of_metastases(highest, weights),
    )


def _highest_faint(
    found: Segmented, weights: EvidenceWeights | None, settings: LesionSettings
) -> float:
    inside = inside_bone(found.probability, found.bones, settings)
    return chance_of_faint(faint_score(inside, settings), weights)


def candidate_scores(
    labels: Volume, around: Surroundings, weights: EvidenceWeights | None, settings: LesionSettings
) -> dict[int, float]:
    """Score of each label of a sequence's label map."""
    evidence = gather_evidence(labels, around, settings)
    return {n: chance_of_metastasis(found, weights) for n, found in evidence.items()}


def gather_evidence(
    labels: Volume, around: Surroundings, settings: LesionSettings
) -> dict[int, Evidence]:
    """Evidence on each label of a sequence's label map.

    Args:
        labels: Label map of the candidates.
        around: What is known around them.
        settings: Smallest lesion.
    """
    if not labels.array.any():
        return {}
    boxes = cc3d.statistics(labels.array)["bounding_boxes"]
    adc = around.adc
    on_adc = resample_labels(labels, adc.geometry) if adc is not None else None
    evidence = {}
    for number in range(1, len(boxes)):
        box = boxes[number]
        mask = labels.array[box] == number
        values, depth = around.own.array[box][mask], around.depth_mm[box][mask]
        evidence[number] = Evidence(
            score=lesion_score(values, labels.geometry, settings),
            mean_probability=float(values.mean(dtype=np.float64)),
            volume_cm3=float(mask.sum() * labels.geometry.voxel_volume_mm3 / 1000),
            other_score=_score_there(around.other, labels.geometry, box, mask, settings),
            adc_um2_per_s=_median_there(adc, on_adc, number),
            rim_share=float(np.mean(depth <= _RIM_MM)),
            outside_share=float(np.mean(depth == 0)),
            roundness=_roundness(mask, labels.geometry.spacing),
        )
    return evidence


def _roundness(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    """Shortest over longest principal extent of a lesion; a voxel has the extent of its edges."""
    places = np.argwhere(mask) * np.array(spacing_mm)
    own = np.diag(np.square(spacing_mm) / 12)
    spread = (places - places.mean(axis=0)).T @ (places - places.mean(axis=0)) / len(places)
    shortest, _, longest = np.linalg.eigvalsh(spread + own)
    return float(np.sqrt(shortest / longest))


def _on_grid(other: Volume, grid: Geometry) -> npt.NDArray[np.float32]:
    """The other sequence's probability on this grid; NaN outside its field."""
    values = interpolate_probability(other.array, other.geometry, grid)
    values[~covered(other.geometry, grid)] = np.nan
    return values


def _score_there(
    there: npt.NDArray[np.float32] | None,
    grid: Geometry,
    box: tuple[slice, slice, slice],
    mask: npt.NDArray[np.bool_],
    settings: LesionSettings,
) -> float | None:
    """Score that the other sequence's network gives to a candidate's place."""
    if there is None:
        return None
    values = there[box][mask]
    if np.isnan(values).mean() > 0.5:
        return None
    return lesion_score(np.nan_to_num(values), grid, settings)


def _median_there(adc: Volume | None, labels: Volume | None, number: int) -> float | None:
    """Median ADC of a label on the map's own grid."""
    if adc is None or labels is None:
        return None
    values = adc.array[labels.array == number]
    values = values[values > 0]
    return float(np.median(values)) if values.size else None
