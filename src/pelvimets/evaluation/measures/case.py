"""One patient measured: everything that the cohort's figures are made from, as plain data.

Matching is left to the cohort level, so that one measured case serves every match rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, without_open_voxels
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError
from pelvimets.evaluation.measures.lesions import (
    LinkedLesion,
    Named,
    SequenceLesions,
    describe_lesions,
    find_overlaps,
    link_sequences,
    number_lesions,
)
from pelvimets.evaluation.measures.unions import measure_union
from pelvimets.evaluation.measures.voxel import VoxelMeasures, measure_labels, measure_mask
from pelvimets.evaluation.settings import EvaluationSettings, LesionInstances
from pelvimets.labels import UNIONS, Bone, BoneUnion, Sequence

LESIONS = "lesions"
"""Name of all lesions together among the structures."""


@dataclass(frozen=True, eq=False)
class SequenceMasks:
    """Masks of one sequence; None where there is none.

    Attributes:
        reference_bones, prediction_bones: ``Bone`` values.
        reference_lesions, prediction_lesions: 0 is background.
        mimics: Values of known mimics of the reference.
        drawn: Keys of the structures that the prediction's program draws at all; None for all.
            What it never draws is not measured, rather than found empty.
        judged: Keys of bones and unions that a person drew in the reference; None for all. The
            others are not measured, and neither are voxels that he left open.
    """

    reference_bones: Volume | None = None
    prediction_bones: Volume | None = None
    reference_lesions: Volume | None = None
    prediction_lesions: Volume | None = None
    mimics: Volume | None = None
    drawn: frozenset[str] | None = None
    judged: frozenset[str] | None = None

    def without_open_voxels(self) -> SequenceMasks:
        """All masks with background where the reference says that nobody judged."""
        kept: dict[str, Any] = {}
        for kind, value in (("bones", UNJUDGED_BONE), ("lesions", UNJUDGED_LESION)):
            names = f"reference_{kind}", f"prediction_{kind}"
            reference, found = (getattr(self, name) for name in names)
            if reference is not None and (reference.array == value).any():
                other = reference if found is None else found
                arrays = without_open_voxels(reference.array, other.array, value)
                kept[names[0]] = reference.with_array(arrays[0])
                kept[names[1]] = None if found is None else found.with_array(arrays[1])
        return replace(self, **kept)


@dataclass(frozen=True)
class SequenceScores:
    """Scores of a prediction on one sequence; None where the prediction gives none.

    Attributes:
        patient_score: Unthresholded.
        m1_suspected: The sequence's own call.
        lesion_scores: By label.
        withheld: Whether the prediction makes no statement on this patient, neither way.
    """

    patient_score: float | None = None
    m1_suspected: bool | None = None
    lesion_scores: Mapping[int, float] = field(default_factory=dict)
    withheld: bool = False


@dataclass(frozen=True)
class SequenceResult:
    """One sequence of one patient, measured.

    Attributes:
        structures: Voxel measures by bone key, and of ``lesions``.
        lesions: None if either lesion mask is missing.
        scores: As predicted.
        shape, spacing_mm: Grid of the reference (z, y, x).
        protocol: How the image was made, as far as known: names with units, and values.
    """

    structures: Mapping[str, VoxelMeasures]
    lesions: SequenceLesions | None
    scores: SequenceScores
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    protocol: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseResult:
    """One patient, measured.

    Attributes:
        patient: Name.
        sequences: By sequence.
        linked_reference, linked_prediction: Lesions of both sequences joined by place; None
            unless both sequences have lesion masks.
        problems: What could not be computed, in words.
    """

    patient: str
    sequences: Mapping[Sequence, SequenceResult]
    linked_reference: tuple[LinkedLesion, ...] | None = None
    linked_prediction: tuple[LinkedLesion, ...] | None = None
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CaseResult:
        """Rebuild from plain data.

        Raises:
            ValueError: if they are no case.
        """
        sequences = {name: {**own, **_with_nan(own)} for name, own in data["sequences"].items()}
        try:
            return msgspec.convert({**data, "sequences": sequences}, cls, str_keys=True)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None


def _with_nan(sequence: Mapping[str, Any]) -> dict[str, Any]:
    """The measures of its structures; JSON has null where a measure does not exist."""
    structures = sequence["structures"].items()
    nan = float("nan")
    return {
        "structures": {
            key: {name: nan if value is None else value for name, value in measures.items()}
            for key, measures in structures
        }
    }


def measure_case(
    patient: str,
    masks: Mapping[Sequence, SequenceMasks],
    scores: Mapping[Sequence, SequenceScores],
    settings: EvaluationSettings,
    mimic_names: Mapping[int, str] | None = None,
    problems: tuple[str, ...] = (),
) -> CaseResult:
    """Measure one patient.

    What cannot be computed (a mask missing, on another grid, or with unknown labels) is named
    in the result's problems; the rest is computed.

    Args:
        patient: Name.
        masks: Masks per sequence.
        scores: Scores per sequence; may lack sequences.
        settings: How lesions are told apart.
        mimic_names: Names of the values in the mimic masks.
        problems: Known already, for example from reading.
    """
    notes = list(problems)
    results: dict[Sequence, SequenceResult] = {}
    numbered: dict[str, dict[Sequence, Volume]] = {"reference": {}, "prediction": {}}
    for sequence, given in masks.items():
        checked = _on_one_grid(given, sequence, notes).without_open_voxels()
        score = scores.get(sequence, SequenceScores())
        structures = _bone_measures(checked, sequence, notes)
        lesions = None
        if checked.reference_lesions is not None and checked.prediction_lesions is not None:
            masks_of_lesions = checked.reference_lesions, checked.prediction_lesions
            notes += _not_numbered(masks_of_lesions, sequence, settings)
            pair = _numbered(*masks_of_lesions, settings)
            numbered["reference"][sequence], numbered["prediction"][sequence] = pair
            structures[LESIONS] = measure_mask(
                pair[0].array > 0, pair[1].array > 0, pair[0].geometry.spacing
            )
            lesions = _lesions(pair, checked, score, mimic_names)
        grid = checked.reference_bones or checked.reference_lesions
        results[sequence] = SequenceResult(
            structures,
            lesions,
            score,
            None if grid is None else grid.geometry.shape,
            None if grid is None else grid.geometry.spacing,
        )
    return CaseResult(
        patient,
        results,
        _link(numbered["reference"]),
        _link(numbered["prediction"]),
        tuple(notes),
    )


def with_protocols(
    case: CaseResult, protocols: Mapping[Sequence, Mapping[str, float | str]]
) -> CaseResult:
    """The case with what is known of how its images were made."""
    sequences = {
        sequence: replace(result, protocol=dict(protocols.get(sequence, {})))
        for sequence, result in case.sequences.items()
    }
    return replace(case, sequences=sequences)


def _link(volumes: Mapping[Sequence, Volume]) -> tuple[LinkedLesion, ...] | None:
    if set(volumes) != set(Sequence):
        return None
    return link_sequences(volumes[Sequence.DWI], volumes[Sequence.T1])


def _on_one_grid(masks: SequenceMasks, sequence: Sequence, notes: list[str]) -> SequenceMasks:
    """Masks that share the voxels of the reference, in its order; others are left out."""
    reference = masks.reference_bones or masks.reference_lesions
    kept: dict[str, Any] = {}
    for name, volume in vars(masks).items():
        kept[name] = volume
        if not isinstance(volume, Volume) or reference is None:
            continue
        kept[name] = turned = volume.turned_to(reference.geometry)
        if turned.geometry.matches(reference.geometry):
            continue
        kept[name] = None
        words = name.replace("_", " ")
        notes.append(
            f"{sequence.title}: the {words} lie on another grid than the reference "
            f"({_grid_words(volume)}; reference {_grid_words(reference)}); left out. "
            "Resample them to the reference with nearest neighbour."
        )
    return SequenceMasks(**kept)


def _grid_words(volume: Volume) -> str:
    spacing = " x ".join(f"{mm:.3g}" for mm in volume.geometry.spacing)
    return f"{volume.array.shape} voxels of {spacing} mm"


def _bone_measures(
    masks: SequenceMasks, sequence: Sequence, notes: list[str]
) -> dict[str, VoxelMeasures]:
    if masks.reference_bones is None or masks.prediction_bones is None:
        return {}
    pair = masks.reference_bones, masks.prediction_bones
    for name, volume in zip(("reference", "prediction"), pair, strict=True):
        allowed = {0, *(int(b) for b in Bone)}
        named = masks.drawn if name == "prediction" else masks.judged
        allowed |= {u.value for u in UNIONS if named and u.key in named}
        unknown = sorted(set(np.unique(volume.array).tolist()) - allowed)
        if unknown:
            notes.append(
                f"{sequence.title}: the {name}'s bone mask has unknown labels "
                f"{unknown[:10]}; they are not measured. Known are 1-8 (Table 4's order)."
            )
    arrays, geometry = (pair[0].array, pair[1].array), pair[0].geometry
    bones = [bone for bone in Bone if _counts(bone.key, masks.drawn, masks.judged)]
    measured = measure_labels(*arrays, geometry.spacing, bones)
    unions = [union for union in UNIONS if _union_counts(union, masks)]
    return {
        **{Bone(label).key: measures for label, measures in measured.items()},
        **{union.key: measure_union(union, *arrays, geometry) for union in unions},
    }


def _counts(key: str, *lists: frozenset[str] | None) -> bool:
    return all(keys is None or key in keys for keys in lists)


def _union_counts(union: BoneUnion, masks: SequenceMasks) -> bool:
    """Whether one side has the union and the other has it, or all of its members."""
    sides = (masks.drawn, masks.judged)
    members = [bone.key for bone in union.members]
    as_one = [keys is not None and union.key in keys for keys in sides]
    as_parts = [_counts_all(members, keys) for keys in sides]
    if union.reaches_further and as_one[1]:
        return False  # where the reference's femur goes on, there is nothing to compare with
    return any(as_one) and all(one or parts for one, parts in zip(as_one, as_parts, strict=True))


def _counts_all(keys: list[str], known: frozenset[str] | None) -> bool:
    return all(_counts(key, known) for key in keys)


def _not_numbered(
    masks: tuple[Volume, Volume], sequence: Sequence, settings: EvaluationSettings
) -> list[str]:
    """What a mask of one value means where each value is to be one lesion."""
    if settings.instances is not LesionInstances.LABELS:
        return []
    notes = []
    for name, mask in zip(("reference", "prediction"), masks, strict=True):
        parts = int(number_lesions(mask.array > 0, settings.connectivity).max())
        if parts > 1 and len(np.unique(mask.array[mask.array > 0])) == 1:
            notes.append(
                f"{sequence.title}: the {name}'s lesion mask has one value for {parts} separate "
                "parts; by label values they count as one lesion. Number its lesions, or "
                "evaluate with --instances components."
            )
    return notes


def _numbered(
    reference: Volume, prediction: Volume, settings: EvaluationSettings
) -> tuple[Volume, Volume]:
    if reference.array.shape != prediction.array.shape:
        raise GeometryError("Lesion masks differ in shape")
    first, second = (
        volume.with_array(number_lesions(volume.array, settings.connectivity, settings.instances))
        for volume in (reference, prediction)
    )
    return first, second


def _bones_to_name_lesions(masks: SequenceMasks) -> npt.NDArray[Any] | None:
    """The reference's bones, or those found where a person drew but some."""
    sides = [masks.reference_bones, masks.prediction_bones]
    bones = next((side for side in sides[:: 1 if masks.judged is None else -1] if side), None)
    return None if bones is None else bones.array


def _lesions(
    pair: tuple[Volume, Volume],
    masks: SequenceMasks,
    scores: SequenceScores,
    mimic_names: Mapping[int, str] | None,
) -> SequenceLesions:
    bone_array = _bones_to_name_lesions(masks)
    assert masks.prediction_lesions is not None
    return SequenceLesions(
        describe_lesions(pair[0].array, pair[0].geometry, bones=bone_array),
        describe_lesions(
            pair[1].array,
            pair[1].geometry,
            bones=bone_array,
            scored=Named(masks.prediction_lesions.array, scores.lesion_scores or {}),
            mimics=None if masks.mimics is None else Named(masks.mimics.array, mimic_names or {}),
        ),
        find_overlaps(pair[0].array, pair[1].array, pair[0].geometry.spacing),
    )
