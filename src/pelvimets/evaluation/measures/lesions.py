"""Single lesions of a pair of masks, how they overlap, and which belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.distances import hausdorff_distance
from pelvimets.evaluation.measures.masks import BoolArray, Spacing, bounding_box, joint_box
from pelvimets.evaluation.settings import Connectivity, LesionInstances, MatchRule
from pelvimets.labels import Bone

LabelArray = npt.NDArray[np.integer]
OUTSIDE_BONE = "outside bone"


@dataclass(frozen=True)
class LesionRecord:
    """One lesion of a mask.

    Attributes:
        number: 1..n within its mask.
        volume_cm3: Volume.
        centre_lps_mm: Centre of mass.
        bone: Key of the structure that holds most of it, ``outside bone``, or None where no
            bone mask is known.
        score: Score of a predicted lesion, None if unknown.
        mimic: Name of the mimic that a predicted lesion overlaps most, None if it meets none
            or the truth names none.
    """

    number: int
    volume_cm3: float
    centre_lps_mm: tuple[float, float, float]
    bone: str | None = None
    score: float | None = None
    mimic: str | None = None


@dataclass(frozen=True)
class Overlap:
    """A reference lesion and a predicted lesion that share voxels.

    Attributes:
        reference, prediction: Their numbers.
        voxels, iou: Shared voxels; these over the voxels of either.
        hd_mm: Hausdorff distance of the two alone; None where no spacing was given.
    """

    reference: int
    prediction: int
    voxels: int
    iou: float
    hd_mm: float | None = None


@dataclass(frozen=True)
class SequenceLesions:
    """Lesions of both masks of one sequence and their overlaps."""

    reference: tuple[LesionRecord, ...]
    prediction: tuple[LesionRecord, ...]
    overlaps: tuple[Overlap, ...]


def number_lesions(
    mask: LabelArray | BoolArray,
    connectivity: Connectivity = 26,
    instances: LesionInstances = LesionInstances.COMPONENTS,
) -> npt.NDArray[np.int32]:
    """Number the lesions of a mask 1..n.

    Args:
        mask: (z, y, x); 0 is background.
        connectivity: 6, 18 or 26 neighbours join voxels to a component.
        instances: ``COMPONENTS`` ignores label values; ``LABELS`` takes each value as one
            lesion, connected or not.
    """
    if LesionInstances(instances) is LesionInstances.LABELS:
        values, index = np.unique(mask, return_inverse=True)
        offset = 0 if values[0] == 0 else 1
        return np.asarray(index.reshape(mask.shape) + offset, dtype=np.int32)
    steps = {6: 1, 18: 2, 26: 3}[connectivity]
    numbered: npt.NDArray[np.int32] = np.zeros(mask.shape, np.int32)
    if (box := bounding_box(mask != 0)) is not None:
        ndimage.label(mask[box], ndimage.generate_binary_structure(3, steps), numbered[box])
    return numbered


Meaning = TypeVar("Meaning")


@dataclass(frozen=True, eq=False)
class Named(Generic[Meaning]):
    """A label map (z, y, x) and what is known of its values."""

    labels: LabelArray
    of: Mapping[int, Meaning]


def describe_lesions(
    numbered: npt.NDArray[np.int32],
    geometry: Geometry,
    *,
    bones: LabelArray | None = None,
    scored: Named[float] | None = None,
    mimics: Named[str] | None = None,
) -> tuple[LesionRecord, ...]:
    """Volume, place and, for predictions, score and mimic of each lesion.

    Args:
        numbered: Lesions 1..n (z, y, x).
        geometry: Their grid.
        bones: ``Bone`` values on the same grid.
        scored: Label map as it was predicted, and score per label; a lesion takes the highest
            score of its labels.
        mimics: Values of known mimics on the same grid and their names.
    """
    places = np.nonzero(numbered)
    number = numbered[places]
    sizes = np.bincount(number, minlength=1)
    order = np.argsort(number, kind="stable")
    voxels = np.stack(places, axis=1)[order]
    ends = np.cumsum(sizes[1:])
    records = []
    for n, (stop, size) in enumerate(zip(ends, sizes[1:], strict=True), start=1):
        index = voxels[stop - size : stop]
        z, y, x = geometry.to_lps(index.mean(axis=0))
        records.append(
            LesionRecord(
                number=n,
                volume_cm3=int(size) * geometry.voxel_volume_mm3 / 1000,
                centre_lps_mm=(float(z), float(y), float(x)),
                bone=_bone_of(index, bones),
                score=_score_of(index, scored),
                mimic=_mimic_of(index, mimics),
            )
        )
    return tuple(records)


def _values(index: npt.NDArray[np.int64], array: LabelArray) -> Counter[int]:
    found = array[tuple(index.T)]
    return Counter(int(value) for value in found[found != 0])


def _bone_of(index: npt.NDArray[np.int64], bones: LabelArray | None) -> str | None:
    if bones is None:
        return None
    counted = _values(index, bones)
    known = [value for value, _ in counted.most_common() if value in Bone.__members__.values()]
    return Bone(known[0]).key if known else OUTSIDE_BONE


def _score_of(index: npt.NDArray[np.int64], scored: Named[float] | None) -> float | None:
    if scored is None:
        return None
    known = [scored.of[v] for v in _values(index, scored.labels) if v in scored.of]
    return max(known) if known else None


def _mimic_of(index: npt.NDArray[np.int64], mimics: Named[str] | None) -> str | None:
    if mimics is None:
        return None
    counted = _values(index, mimics.labels).most_common(1)
    if not counted:
        return None
    value = counted[0][0]
    return mimics.of.get(value, f"mimic {value}")


def find_overlaps(
    reference: npt.NDArray[np.int32],
    prediction: npt.NDArray[np.int32],
    spacing: Spacing | None = None,
) -> tuple[Overlap, ...]:
    """All pairs of lesions that share voxels, by reference and prediction number.

    Args:
        reference, prediction: Lesions 1..n (z, y, x).
        spacing: Voxel distance in mm; with it the pairs' Hausdorff distances are measured.
    """
    both = (reference > 0) & (prediction > 0)
    pairs, shared = np.unique(
        np.stack([reference[both], prediction[both]]), axis=1, return_counts=True
    )
    sizes = np.bincount(reference.ravel()), np.bincount(prediction.ravel())
    boxes = ndimage.find_objects(reference), ndimage.find_objects(prediction)
    found = []
    for (r, p), n in zip(pairs.T, shared, strict=True):
        iou = float(n / (sizes[0][r] + sizes[1][p] - n))
        distance = None
        if spacing is not None:
            box = joint_box(boxes[0][r - 1], boxes[1][p - 1])
            distance = hausdorff_distance(reference[box] == r, prediction[box] == p, spacing)
        found.append(Overlap(int(r), int(p), int(n), iou, distance))
    return tuple(found)


@dataclass(frozen=True)
class Matching:
    """Which lesions belong together.

    Attributes:
        pairs: (reference number, prediction number) of what was found.
        missed: Reference lesions not found.
        false: Predicted lesions that count as false.
        merging: Predictions that touch two or more reference lesions.
        split: Reference lesions touched by two or more predictions.
    """

    pairs: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    merging: tuple[int, ...]
    split: tuple[int, ...]

    @property
    def found(self) -> frozenset[int]:
        """Numbers of the reference lesions that were found."""
        return frozenset(reference for reference, _ in self.pairs)

    @property
    def hits(self) -> frozenset[int]:
        """Numbers of the predictions that found something."""
        return frozenset(prediction for _, prediction in self.pairs)


def match_lesions(
    lesions: SequenceLesions,
    rule: MatchRule = MatchRule.ONE_TO_ONE,
    smallest_iou: float = 0.1,
) -> Matching:
    """Match predicted to reference lesions; see ``MatchRule``."""
    if MatchRule(rule) is MatchRule.ONE_TO_ONE:
        pairs = _one_to_one(lesions.overlaps, smallest_iou)
        hits = {prediction for _, prediction in pairs}
    else:
        pairs = _best_of_each(lesions.overlaps)
        hits = {overlap.prediction for overlap in lesions.overlaps}
    found = {reference for reference, _ in pairs}
    return Matching(
        pairs=tuple(sorted(pairs)),
        missed=tuple(r.number for r in lesions.reference if r.number not in found),
        false=tuple(p.number for p in lesions.prediction if p.number not in hits),
        merging=_shared_by_several(overlap.prediction for overlap in lesions.overlaps),
        split=_shared_by_several(overlap.reference for overlap in lesions.overlaps),
    )


def _shared_by_several(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(number for number, count in Counter(numbers).items() if count > 1))


def _one_to_one(overlaps: tuple[Overlap, ...], smallest_iou: float) -> list[tuple[int, int]]:
    """As many pairs as possible, then the greatest sum of IoU."""
    allowed = [o for o in overlaps if o.iou >= smallest_iou]
    if not allowed:
        return []
    references = sorted({o.reference for o in allowed})
    predictions = sorted({o.prediction for o in allowed})
    gain = np.zeros((len(references), len(predictions)))
    per_pair = float(min(gain.shape) + 1)  # one more pair outweighs any sum of IoU
    for o in allowed:
        gain[references.index(o.reference), predictions.index(o.prediction)] = per_pair + o.iou
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [
        (references[row], predictions[column])
        for row, column in zip(rows, columns, strict=True)
        if gain[row, column] > 0
    ]


def _best_of_each(overlaps: tuple[Overlap, ...]) -> list[tuple[int, int]]:
    """Each touched reference lesion with the prediction that overlaps it most."""
    best: dict[int, Overlap] = {}
    for overlap in overlaps:
        if overlap.reference not in best or overlap.voxels > best[overlap.reference].voxels:
            best[overlap.reference] = overlap
    return [(o.reference, o.prediction) for o in best.values()]


@dataclass(frozen=True)
class LinkedLesion:
    """One lesion in the patient: its numbers on either sequence (empty where not seen)."""

    dwi: tuple[int, ...]
    t1: tuple[int, ...]


def link_sequences(dwi: Volume, t1: Volume) -> tuple[LinkedLesion, ...]:
    """Join the lesions of two sequences that lie in the same place of the patient.

    Lesions are joined where a voxel centre of one lies in a voxel of the other; a lesion that
    meets two of the other sequence joins them.

    Args:
        dwi, t1: Numbered lesions, each on its own grid.
    """
    touching = _met(t1, dwi) | {(d, t) for t, d in _met(dwi, t1)}
    numbers = [sorted(set(np.unique(volume.array).tolist()) - {0}) for volume in (dwi, t1)]
    return _groups(numbers[0], numbers[1], touching)


def _met(moving: Volume, fixed: Volume) -> set[tuple[int, int]]:
    """Pairs (number in ``fixed``, number in ``moving``) that share a place."""
    index = np.argwhere(moving.array > 0)
    if not index.size:
        return set()
    place = np.rint(fixed.geometry.to_index(moving.geometry.to_lps(index))).astype(int)
    within = (place >= 0) & (place < np.array(fixed.geometry.shape))
    inside: BoolArray = np.all(within, axis=1)
    met = fixed.array[tuple(place[inside].T)]
    own = moving.array[tuple(index[inside].T)]
    return {(int(f), int(m)) for f, m in zip(met[met > 0], own[met > 0], strict=True)}


def _groups(
    dwi: list[int], t1: list[int], touching: set[tuple[int, int]]
) -> tuple[LinkedLesion, ...]:
    group_of: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for key in [("dwi", n) for n in dwi] + [("t1", n) for n in t1]:
        group_of[key] = {key}
    for d, t in sorted(touching):
        joined = group_of["dwi", d] | group_of["t1", t]
        for key in joined:
            group_of[key] = joined
    unique = {id(group): group for group in group_of.values()}
    return tuple(
        LinkedLesion(
            tuple(sorted(n for name, n in group if name == "dwi")),
            tuple(sorted(n for name, n in group if name == "t1")),
        )
        for group in unique.values()
    )
