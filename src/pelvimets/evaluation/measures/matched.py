"""Segmentation of single lesions: DSC, VS and HD of matched pairs, as the paper gives them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np

from pelvimets.evaluation.measures.case import CaseResult
from pelvimets.evaluation.measures.lesions import SequenceLesions, match_lesions
from pelvimets.evaluation.measures.overlap import volumetric_similarity_of_counts
from pelvimets.evaluation.measures.voxel import Summary, summarise
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.intervals import (
    Interval,
    percentile_interval,
    ratio_replicates,
    resample_counts,
)
from pelvimets.labels import Sequence

PAIR_MEASURES = ("dsc", "vs", "hd_mm")


@dataclass(frozen=True)
class MatchedPair:
    """A lesion of the reference and the prediction that found it.

    Attributes:
        patient, sequence: Where.
        bone, volume_cm3: Of the reference lesion.
        predicted_cm3: Volume of the prediction.
        dsc, vs, hd_mm: Of this pair alone.
    """

    patient: str
    sequence: Sequence
    bone: str | None
    volume_cm3: float
    predicted_cm3: float
    dsc: float
    vs: float
    hd_mm: float


@dataclass(frozen=True)
class MatchedSummary:
    """Pairs of one sequence.

    Attributes:
        pairs, patients: How many, in how many patients.
        by_measure: Described over pairs.
        means: Mean over pairs with its bootstrap interval over patients.
    """

    pairs: int
    patients: int
    by_measure: Mapping[str, Summary]
    means: Mapping[str, Interval]


def matched_pairs(
    cases: Ordered[CaseResult], settings: EvaluationSettings
) -> tuple[MatchedPair, ...]:
    """Every pair that the match rule of the settings joins."""
    return tuple(
        pair
        for case in cases
        for sequence, result in case.sequences.items()
        if result.lesions is not None
        for pair in _pairs_of(case.patient, sequence, result.lesions, settings)
    )


def _pairs_of(
    patient: str, sequence: Sequence, lesions: SequenceLesions, settings: EvaluationSettings
) -> list[MatchedPair]:
    matching = match_lesions(lesions, settings.rule, settings.smallest_iou)
    overlaps = {(o.reference, o.prediction): o for o in lesions.overlaps}
    reference = {record.number: record for record in lesions.reference}
    prediction = {record.number: record for record in lesions.prediction}
    found = []
    for pair in matching.pairs:
        one, two, overlap = reference[pair[0]], prediction[pair[1]], overlaps[pair]
        found.append(
            MatchedPair(
                patient,
                sequence,
                one.bone,
                one.volume_cm3,
                two.volume_cm3,
                dsc=2 * overlap.iou / (1 + overlap.iou),
                vs=volumetric_similarity_of_counts(one.volume_cm3, two.volume_cm3),
                hd_mm=float("nan") if overlap.hd_mm is None else overlap.hd_mm,
            )
        )
    return found


def summarise_matched(
    pairs: Ordered[MatchedPair], settings: EvaluationSettings
) -> dict[Sequence, MatchedSummary]:
    """Describe the pairs of each sequence that has any."""
    summaries = {}
    for number, sequence in enumerate(Sequence):
        own = [pair for pair in pairs if pair.sequence is sequence]
        if own:
            rng = np.random.default_rng([settings.seed, 10, number])
            summaries[sequence] = _summary(own, settings, rng)
    return summaries


def _summary(
    pairs: Ordered[MatchedPair], settings: EvaluationSettings, rng: np.random.Generator
) -> MatchedSummary:
    patients = list(dict.fromkeys(pair.patient for pair in pairs))
    member = np.array([[pair.patient == name for pair in pairs] for name in patients], float)
    counts = resample_counts(rng, len(patients), settings.bootstrap_samples)
    described, means = {}, {}
    for name in PAIR_MEASURES:
        values = np.array([getattr(pair, name) for pair in pairs])
        described[name] = summarise(values)
        known = np.isfinite(values)
        sums, sizes = member @ np.where(known, values, 0.0), member @ known
        means[name] = percentile_interval(
            described[name].mean, ratio_replicates(counts, sums, sizes), settings.confidence_level
        )
    return MatchedSummary(len(pairs), len(patients), described, means)
