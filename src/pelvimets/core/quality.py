"""Is the result anatomically possible? If not, say 'review' rather than hand over nonsense.

Plausible ranges are wide: adults, with a margin for cut-off fields and coarse grids. Volumes hold
all true masks of the digital patients with a quarter less and a third more
(``python -m benchmarks.true_volumes``); distances come from anthropometry of adult hips (head
centres 145-205 mm apart).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.config import LesionSettings
from pelvimets.core.bones import midline_plane, part_of, sided_parts, touches_border
from pelvimets.core.findings import (
    PARTLY_READ,
    BoneMasks,
    BonePart,
    FlagLevel,
    QualityFlag,
)
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence, Side

FloatArray = npt.NDArray[np.float64]

SMALLEST_TOTAL_CM3 = 100.0
SMALLEST_SHARE_OF_FIELD = 0.03
FEWEST_STRUCTURES = 4
HEAD_DISTANCE_MM = (120.0, 240.0)
LARGEST_PAIR_RATIO = 2.0
LEAST_AGREEMENT = 0.5

PLAUSIBLE_VOLUME_CM3 = {
    Bone.LUMBAR_VERTEBRA: (20.0, 700.0),
    Bone.SACROCOCCYX: (80.0, 600.0),
    Bone.ILIUM: (60.0, 740.0),
    Bone.ACETABULUM: (20.0, 160.0),
    Bone.FEMORAL_HEAD: (20.0, 130.0),
    Bone.FEMORAL_NECK: (30.0, 300.0),
    Bone.ISCHIUM: (10.0, 150.0),
    Bone.PUBIS: (7.0, 110.0),
}
"""Per structure and side; the lower bound holds only for structures inside the field."""


@dataclass(frozen=True)
class _Part:
    part: BonePart
    volume_cm3: float
    centre: FloatArray
    cut_off: bool


def bone_flags(bones: Volume, sequence: Sequence) -> tuple[QualityFlag, ...]:
    """Flags of one sequence's bone mask."""
    parts = _parts(bones)
    missing = _presence(parts, float(np.prod(bones.geometry.extent_mm())) / 1000)
    if missing is not None:
        return (QualityFlag(FlagLevel.REVIEW, "no-pelvis", missing, sequence),)
    checks: tuple[tuple[str, FlagLevel, Callable[[list[_Part]], list[str]]], ...] = (
        ("bone-order", FlagLevel.REVIEW, _order),
        ("head-distance", FlagLevel.REVIEW, _head_distance),
        ("bone-volume", FlagLevel.REVIEW, _volumes),
        ("bone-asymmetry", FlagLevel.NOTE, _asymmetry),
        ("cut-off", FlagLevel.NOTE, _cut_off),
    )
    return tuple(
        QualityFlag(level, code, message, sequence)
        for code, level, check in checks
        for message in check(parts)
    )


def _parts(bones: Volume) -> list[_Part]:
    sided = sided_parts(bones, midline_plane(bones))
    voxel = bones.geometry.voxel_volume_mm3 / 1000
    found = []
    for value in np.unique(sided.array):
        if value:
            mask = sided.array == value
            centre = bones.geometry.to_lps(np.argwhere(mask).mean(axis=0))
            cut = touches_border(mask, bones.geometry)
            found.append(_Part(part_of(int(value)), float(mask.sum() * voxel), centre, cut))
    return found


def _presence(parts: list[_Part], field_cm3: float) -> str | None:
    """Too little bone: under 100 cm3, in a slab of a few cm under 3 % of the field."""
    smallest = min(SMALLEST_TOTAL_CM3, SMALLEST_SHARE_OF_FIELD * field_cm3)
    total = sum(p.volume_cm3 for p in parts)
    structures = {p.part.bone for p in parts}
    if total < smallest or len(structures) < FEWEST_STRUCTURES:
        return (
            f"{len(structures)} of 8 bony structures found, {total:.0f} cm3 in all: "
            "this does not look like a pelvis"
        )
    return None


def _centres(parts: list[_Part]) -> dict[Bone, FloatArray]:
    grouped: dict[Bone, list[_Part]] = {}
    for p in parts:
        grouped.setdefault(p.part.bone, []).append(p)
    return {
        bone: np.average([p.centre for p in group], axis=0, weights=[p.volume_cm3 for p in group])
        for bone, group in grouped.items()
    }


_ABOVE = (
    (Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX),
    (Bone.LUMBAR_VERTEBRA, Bone.FEMORAL_HEAD),
    (Bone.SACROCOCCYX, Bone.ISCHIUM),
    (Bone.ILIUM, Bone.FEMORAL_HEAD),
    (Bone.ILIUM, Bone.ISCHIUM),
    (Bone.FEMORAL_HEAD, Bone.ISCHIUM),
)
_BEHIND = (
    (Bone.SACROCOCCYX, Bone.PUBIS),
    (Bone.ISCHIUM, Bone.PUBIS),
    (Bone.SACROCOCCYX, Bone.FEMORAL_HEAD),
)


def _order(parts: list[_Part]) -> list[str]:
    """Structures on the wrong side of each other: an upside-down or reversed volume."""
    centre = _centres(parts)
    wrong = [
        f"{upper.title} below {lower.title}"
        for upper, lower in _ABOVE
        if upper in centre and lower in centre and centre[upper][2] < centre[lower][2]
    ]
    wrong += [
        f"{back.title} in front of {front.title}"
        for back, front in _BEHIND
        if back in centre and front in centre and centre[back][1] < centre[front][1]
    ]
    return (
        [f"Bones out of order ({', '.join(wrong)}): check the volume's orientation"]
        if wrong
        else []
    )


def _head_distance(parts: list[_Part]) -> list[str]:
    heads = [p.centre for p in parts if p.part.bone is Bone.FEMORAL_HEAD]
    if len(heads) != 2:
        return []
    distance = float(np.linalg.norm(heads[0] - heads[1]))
    low, high = HEAD_DISTANCE_MM
    if low <= distance <= high:
        return []
    return [f"Femoral heads {distance:.0f} mm apart (plausible {low:.0f}-{high:.0f} mm)"]


def _volumes(parts: list[_Part]) -> list[str]:
    messages = []
    for p in parts:
        low, high = PLAUSIBLE_VOLUME_CM3[p.part.bone]
        if p.volume_cm3 > high or (p.volume_cm3 < low and not p.cut_off):
            messages.append(
                f"{p.part.title} measures {p.volume_cm3:.0f} cm3 "
                f"(plausible {low:.0f}-{high:.0f} cm3)"
            )
    return messages


def _asymmetry(parts: list[_Part]) -> list[str]:
    by_part = {p.part: p for p in parts}
    messages = []
    for bone in Bone:
        left, right = (by_part.get(BonePart(bone, side)) for side in (Side.LEFT, Side.RIGHT))
        if left is None or right is None or left.cut_off or right.cut_off:
            continue
        small, large = sorted((left.volume_cm3, right.volume_cm3))
        if large > LARGEST_PAIR_RATIO * small:
            messages.append(
                f"{bone.title} differs between the sides: {small:.0f} and {large:.0f} cm3"
            )
    return messages


def _cut_off(parts: list[_Part]) -> list[str]:
    names = [p.part.title for p in parts if p.cut_off and p.part.bone is not Bone.LUMBAR_VERTEBRA]
    return [f"Cut off by the field of view: {', '.join(names)}"] if names else []


def field_flags(bones: BoneMasks) -> tuple[QualityFlag, ...]:
    """Which part of a tall field was read, per sequence."""
    flags = []
    for sequence, (low, high) in bones.read_mm.items():
        ends = bones.by_sequence[sequence].geometry.corners()[:, 2]
        message = (
            f"Only a part of the field was read, around the pelvis: {high - low:.0f} of "
            f"{np.ptp(ends):.0f} mm, from z = {low:.0f} to {high:.0f} mm "
            f"(the field: {ends.min():.0f} to {ends.max():.0f} mm). "
            "What lies above and below was not read"
        )
        flags.append(QualityFlag(FlagLevel.NOTE, PARTLY_READ, message, sequence))
    return tuple(flags)


def network_flags(
    sequences: Iterable[Sequence], settings: LesionSettings
) -> tuple[QualityFlag, ...]:
    """Flags of sequences on which the networks find lesions too badly to decide.

    A note while another sequence decides; review where none is left that does.
    """
    present = tuple(sequences)
    weak = [s for s in present if not settings.of(s).decides]
    level = FlagLevel.REVIEW if len(weak) == len(present) else FlagLevel.NOTE
    return tuple(QualityFlag(level, "weak-network", _weak_message(s), s) for s in weak)


def _weak_message(sequence: Sequence) -> str:
    return (
        f"These networks find lesions badly on {sequence.title} (see their model card): "
        "lesions seen on it alone are listed, but raise no suspicion"
    )


def agreement_flags(dwi: Volume, t1: Volume) -> tuple[QualityFlag, ...]:
    """A flag if the bones of both sequences do not lie in the same place.

    Compared inside the common field, as overlap over the smaller of both.
    """
    coarse, fine = (dwi, t1) if _coarser(dwi, t1) else (t1, dwi)
    other = resample_labels(fine, coarse.geometry).array > 0
    field = resample_labels(fine.with_array(np.ones_like(fine.array)), coarse.geometry).array > 0
    own = (coarse.array > 0) & field
    smaller = min(own.sum(), other.sum())
    if smaller == 0:
        return ()
    share = float((own & other).sum() / smaller)
    if share >= LEAST_AGREEMENT:
        return ()
    message = (
        f"Bones of DWI and T1 overlap by only {share:.0%} in the common field: "
        "the patient moved, or one mask is wrong"
    )
    return (QualityFlag(FlagLevel.REVIEW, "sequences-disagree", message),)


def _coarser(a: Volume, b: Volume) -> bool:
    return a.geometry.voxel_volume_mm3 >= b.geometry.voxel_volume_mm3
