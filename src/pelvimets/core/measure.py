"""Masks of both sequences to findings: one lesion list, burden per bone, suspicion."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.config import LesionSettings
from pelvimets.core.bones import (
    midline_plane,
    part_of,
    sided_parts,
    volumes_cm3,
)
from pelvimets.core.findings import (
    BoneMasks,
    BonePart,
    Burden,
    Findings,
    Lesion,
    LesionMasks,
    Lesions,
    MarkedLesions,
    QualityFlag,
    SequenceFindings,
    SequenceLesion,
)
from pelvimets.core.lesions import measure_lesions
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import LearnedFrom, Sequence

_SAME_LESION_OVERLAP = 0.1


@dataclass(frozen=True)
class _Seen:
    """A lesion on one sequence with its place."""

    sequence: Sequence
    lesion: SequenceLesion
    part: BonePart


@dataclass(frozen=True)
class Origin:
    """Whose findings they are, and what found them.

    Attributes:
        patient_key: Name that identifies nobody.
        bundle: Name and version of the networks.
        uid_seed: Text from which tracking UIDs are derived; the same text gives the same UIDs.
        flags: Quality flags found before.
        learned_from: What the networks were trained on.
    """

    patient_key: str
    bundle: str
    uid_seed: str
    flags: tuple[QualityFlag, ...] = ()
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN


def measure(
    bones: BoneMasks,
    lesions: LesionMasks,
    adc: Volume | None,
    settings: LesionSettings,
    origin: Origin,
) -> Findings:
    """Measure the masks of a study.

    Args:
        bones: Bone masks per sequence.
        lesions: Lesion masks and probabilities per sequence.
        adc: ADC map in um2/s on its own grid, or None.
        settings: Smallest lesion and operating point.
        origin: Whose findings they are.
    """
    parts = {s: sided_parts(b, midline_plane(b)) for s, b in bones.by_sequence.items()}
    findings = {s: _sequence_findings(s, parts[s], lesions.by_sequence[s], settings) for s in parts}
    seen = [
        _Seen(s, lesion, part_of_lesion(lesion, lesions[s], parts[s]))
        for s, found in findings.items()
        for lesion in found.lesions
    ]
    return Findings(
        patient_key=origin.patient_key,
        bundle=origin.bundle,
        lesions=Lesions(_lesion_list(_joined(seen, lesions), lesions, adc, origin.uid_seed)),
        sequences=findings,
        patient_score=_patient_score(findings, settings),
        m1_suspected=any(f.m1_suspected for f in findings.values()),
        flags=origin.flags,
        learned_from=origin.learned_from,
    )


def _patient_score(
    findings: Mapping[Sequence, SequenceFindings], settings: LesionSettings
) -> float:
    """The highest score of the sequences that decide; of all where none of them decides."""
    scores = {s: f.patient_score for s, f in findings.items()}
    deciding = [score for s, score in scores.items() if settings.of(s).decides]
    return max(deciding or scores.values(), default=0.0)


def _sequence_findings(
    sequence: Sequence,
    parts: Volume,
    marked: MarkedLesions,
    settings: LesionSettings,
) -> SequenceFindings:
    measured = measure_lesions(marked.mask, marked.probability, settings, marked.scores)
    score = max((lesion.score for lesion in measured), default=0.0)
    return SequenceFindings(
        sequence=sequence,
        lesions=measured,
        total_lesion_volume_cm3=sum(lesion.volume_cm3 for lesion in measured),
        burden=burden_per_part(parts, marked.mask),
        patient_score=score if marked.patient_score is None else marked.patient_score,
        m1_suspected=settings.of(sequence).decides
        and any(lesion.score >= settings.operating_point for lesion in measured),
    )


def burden_per_part(parts: Volume, lesions: Volume) -> tuple[Burden, ...]:
    """Disease in each structure and side of a ``sided_parts`` map on the lesions' grid."""
    voxel = parts.geometry.voxel_volume_mm3 / 1000
    hit = lesions.array > 0
    within = np.bincount(parts.array[hit], minlength=256)
    pairs = np.unique(np.stack([parts.array[hit], lesions.array[hit]]), axis=1)
    touching = np.bincount(pairs[0], minlength=256)
    whole = volumes_cm3(parts)
    values = np.flatnonzero(np.bincount(parts.array.ravel()))
    return tuple(
        Burden(part_of(int(v)), whole[part_of(int(v))], float(within[v] * voxel), int(touching[v]))
        for v in values
        if v
    )


def part_of_lesion(lesion: SequenceLesion, mask: Volume, parts: Volume) -> BonePart:
    """The structure and side that hold most of the lesion; the nearest one if none does."""
    inside = parts.array[mask.array == lesion.label]
    counts = np.bincount(inside[inside > 0], minlength=1)
    if counts.any():
        return part_of(int(counts.argmax()))
    return _nearest_part(np.asarray(lesion.centre_lps_mm), parts)


def _nearest_part(point: npt.NDArray[np.float64], parts: Volume) -> BonePart:
    index = np.argwhere(parts.array > 0)
    distance = np.linalg.norm(parts.geometry.to_lps(index) - point, axis=1)
    return part_of(int(parts.array[tuple(index[distance.argmin()])]))


def _joined(seen: Ordered[_Seen], lesions: LesionMasks) -> list[dict[Sequence, _Seen]]:
    """Lesions of both sequences paired one to one where they overlap in the patient."""
    if len(lesions.by_sequence) < 2:
        return [{item.sequence: item} for item in seen]
    overlap = _overlaps(lesions[Sequence.DWI], lesions[Sequence.T1])
    partner = _one_to_one(overlap)
    by_key = {(item.sequence, item.lesion.label): item for item in seen}
    joined = []
    for item in seen:
        if item.sequence is Sequence.DWI:
            pair = {Sequence.DWI: item}
            if item.lesion.label in partner:
                pair[Sequence.T1] = by_key[Sequence.T1, partner[item.lesion.label]]
            joined.append(pair)
        elif item.lesion.label not in partner.values():
            joined.append({Sequence.T1: item})
    return joined


def _overlaps(dwi: Volume, t1: Volume) -> dict[tuple[int, int], float]:
    """Overlap of each pair of lesions over the smaller one, on the finer of both grids."""
    if dwi.geometry.voxel_volume_mm3 < t1.geometry.voxel_volume_mm3:
        t1 = resample_labels(t1, dwi.geometry)
    else:
        dwi = resample_labels(dwi, t1.geometry)
    size_dwi, size_t1 = np.bincount(dwi.array.ravel()), np.bincount(t1.array.ravel())
    both = (dwi.array > 0) & (t1.array > 0)
    pairs, counts = np.unique(
        np.stack([dwi.array[both], t1.array[both]]), axis=1, return_counts=True
    )
    return {
        (int(a), int(b)): float(n / min(size_dwi[a], size_t1[b]))
        for (a, b), n in zip(pairs.T, counts, strict=True)
    }


def _one_to_one(overlap: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """Greedy pairs by falling overlap; ties by number, so that the result is stable."""
    partner: dict[int, int] = {}
    for (a, b), share in sorted(overlap.items(), key=lambda item: (-item[1], item[0])):
        if share >= _SAME_LESION_OVERLAP and a not in partner and b not in partner.values():
            partner[a] = b
    return partner


def _lesion_list(
    joined: list[dict[Sequence, _Seen]],
    lesions: LesionMasks,
    adc: Volume | None,
    uid_seed: str,
) -> tuple[Lesion, ...]:
    def volume(pair: dict[Sequence, _Seen]) -> float:
        return max(item.lesion.volume_cm3 for item in pair.values())

    ordered = sorted(joined, key=lambda pair: -volume(pair))
    adc_masks = (
        {s: resample_labels(lesions[s], adc.geometry) for s in lesions.by_sequence} if adc else {}
    )
    return tuple(
        _lesion(number, pair, adc, adc_masks, uid_seed) for number, pair in enumerate(ordered, 1)
    )


def _lesion(
    number: int,
    pair: dict[Sequence, _Seen],
    adc: Volume | None,
    adc_masks: Mapping[Sequence, Volume],
    uid_seed: str,
) -> Lesion:
    first = pair.get(Sequence.DWI) or pair[Sequence.T1]
    mean, median = (
        lesion_adc(first.lesion.label, adc_masks[first.sequence], adc) if adc else (None, None)
    )
    return Lesion(
        number=number,
        tracking_uid=tracking_uid(f"{uid_seed}/lesion/{number}"),
        part=first.part,
        seen_on={s: item.lesion for s, item in pair.items()},
        adc_mean_um2_per_s=mean,
        adc_median_um2_per_s=median,
    )


def lesion_adc(label: int, mask: Volume, adc: Volume) -> tuple[float | None, float | None]:
    """Mean and median ADC (um2/s) of a lesion; None where the map has no value.

    Args:
        label: The lesion's number.
        mask: Lesion label map on the ADC map's grid.
        adc: ADC map in um2/s; 0 means no value.
    """
    values = adc.array[mask.array == label]
    values = values[values > 0]
    if values.size == 0:
        return None, None
    return float(values.mean(dtype=np.float64)), float(np.median(values))


def tracking_uid(text: str) -> str:
    """A DICOM UID (2.25, PS3.5 B.2) from the text's hash.

    >>> tracking_uid("a") == tracking_uid("a") != tracking_uid("b")
    True
    """
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return f"2.25.{uuid.UUID(bytes=digest, version=4).int}"
