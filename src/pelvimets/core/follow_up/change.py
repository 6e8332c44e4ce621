"""Change between two examinations: of each lesion, each bone, each region."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pelvimets.core.findings import BonePart, Burden, Findings, Lesion
from pelvimets.core.follow_up.matching import LesionPair, TimePoint
from pelvimets.labels import Bone, Sequence


class Region(StrEnum):
    """Regions of bone as in the form of MET-RADS-P, as far as a pelvic study shows them."""

    LUMBOSACRAL = "lumbosacral spine"
    PELVIS = "pelvis"
    LIMBS = "limbs (proximal femora)"


def region_of(part: BonePart) -> Region:
    """The region of a structure."""
    if part.bone in (Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX):
        return Region.LUMBOSACRAL
    femur = part.bone in (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK)
    return Region.LIMBS if femur else Region.PELVIS


@dataclass(frozen=True)
class Quantity:
    """A value at two time points; None where there is none."""

    before: float | None
    now: float | None

    @property
    def ratio(self) -> float | None:
        """Later value over that at the baseline."""
        if not self.before or self.now is None:
            return None
        return self.now / self.before

    @property
    def change_percent(self) -> float | None:
        """Change in percent of the baseline."""
        return None if self.ratio is None else 100 * (self.ratio - 1)


@dataclass(frozen=True)
class LesionChange:
    """What became of one lesion.

    Attributes:
        pair: The lesions.
        sequence: On which its volumes are compared; None where no sequence shows both.
        volume_cm3: On that sequence; without a partner on the one that shows most of it.
        adc_um2_per_s: Mean ADC, weighted by volume where there are several.
    """

    pair: LesionPair
    sequence: Sequence | None
    volume_cm3: Quantity
    adc_um2_per_s: Quantity

    @property
    def region(self) -> Region:
        """Where it lies."""
        return region_of(self.pair.part)


@dataclass(frozen=True)
class BoneChange:
    """Change of disease in a structure, on one sequence."""

    part: BonePart
    sequence: Sequence
    bone_volume_cm3: Quantity
    lesion_volume_cm3: Quantity
    lesions: Quantity
    adc_um2_per_s: Quantity


def lesion_changes(pairs: Iterable[LesionPair]) -> tuple[LesionChange, ...]:
    """The change of each lesion, in the order of the pairs."""
    return tuple(_lesion_change(pair) for pair in pairs)


def _lesion_change(pair: LesionPair) -> LesionChange:
    shown = [_shown(lesions) for lesions in (pair.before, pair.now)]
    common = shown[0] & shown[1] if pair.before and pair.now else shown[0] | shown[1]
    sides = (pair.before, pair.now)
    sequence = max(common, key=lambda s: sum(_volume(side, s) for side in sides), default=None)
    first, second = (None if not side else _volume(side, sequence) for side in sides)
    adc = Quantity(_adc(pair.before), _adc(pair.now))
    return LesionChange(pair, sequence, Quantity(first, second), adc)


def _shown(lesions: tuple[Lesion, ...]) -> set[Sequence]:
    return {s for lesion in lesions for s in lesion.seen_on}


def _volume(lesions: tuple[Lesion, ...], sequence: Sequence | None) -> float:
    if sequence is None:
        return sum(lesion.volume_cm3 for lesion in lesions)
    return sum(x.seen_on[sequence].volume_cm3 for x in lesions if sequence in x.seen_on)


def _adc(lesions: Iterable[Lesion]) -> float | None:
    """Mean over lesions, weighted by volume; None where none has an ADC."""
    known = [
        (lesion.adc_mean_um2_per_s, lesion.volume_cm3)
        for lesion in lesions
        if lesion.adc_mean_um2_per_s is not None and not math.isnan(lesion.adc_mean_um2_per_s)
    ]
    weight = sum(volume for _, volume in known)
    return sum(adc * volume for adc, volume in known) / weight if weight else None


def bone_changes(before: TimePoint, now: TimePoint) -> tuple[BoneChange, ...]:
    """Change in each structure that holds disease at one of two time points."""
    changes = []
    for sequence in Sequence:
        first, second = (_burden(point.findings, sequence) for point in (before, now))
        if first is None or second is None:
            continue
        for part in dict.fromkeys((*first, *second)):
            rows = first.get(part), second.get(part)
            if any(row is not None and row.lesions for row in rows):
                adc = [_adc(_in(point.findings, part, sequence)) for point in (before, now)]
                changes.append(_bone_change(part, sequence, rows, Quantity(adc[0], adc[1])))
    return tuple(changes)


def _bone_change(
    part: BonePart,
    sequence: Sequence,
    rows: tuple[Burden | None, Burden | None],
    adc: Quantity,
) -> BoneChange:
    values = {
        name: Quantity(*(None if row is None else float(getattr(row, name)) for row in rows))
        for name in ("bone_volume_cm3", "lesion_volume_cm3", "lesions")
    }
    return BoneChange(part, sequence, **values, adc_um2_per_s=adc)


def _burden(findings: Findings, sequence: Sequence) -> dict[BonePart, Burden] | None:
    found = findings.sequences.get(sequence)
    return None if found is None else {row.part: row for row in found.burden}


def _in(findings: Findings, part: BonePart, sequence: Sequence) -> list[Lesion]:
    return [x for x in findings.lesions if x.part == part and sequence in x.seen_on]
