"""Which lesion of one examination is which of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from scipy.optimize import linear_sum_assignment

from pelvimets.core.findings import BonePart, Findings, Lesion
from pelvimets.core.follow_up.registration import Registration, body_of, register_bones, values_at
from pelvimets.core.follow_up.settings import MatchSettings
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence


@dataclass(frozen=True, eq=False)
class TimePoint:
    """One examination as it was read.

    Attributes:
        title: As printed: a day, or 'baseline'.
        findings: What was measured, a reader's corrections included.
        bones: Bone label maps.
        lesions: Lesion label maps; ``Lesion.seen_on`` names the labels.
    """

    title: str
    findings: Findings
    bones: Mapping[Sequence, Volume]
    lesions: Mapping[Sequence, Volume]


class Fate(StrEnum):
    """What became of a lesion."""

    MATCHED = "matched"
    MERGED = "merged"
    SPLIT = "split"
    NEW = "new"
    VANISHED = "vanished"
    NOT_IN_FIELD_BEFORE = "not in the field before"
    NOT_IN_FIELD_NOW = "not in the field now"


@dataclass(frozen=True)
class LesionPair:
    """Lesions of two examinations that are one, or one that has no partner.

    Attributes:
        before: Lesions at the baseline; several have grown together.
        now: Lesions later; several have come of one.
        fate: What that means.
        overlap_share: Largest common volume as a share of the smaller; 0 without.
        distance_mm: Of the centres, once the bones lie on each other; NaN without a partner.
    """

    before: tuple[Lesion, ...]
    now: tuple[Lesion, ...]
    fate: Fate
    overlap_share: float = 0.0
    distance_mm: float = float("nan")

    @property
    def part(self) -> BonePart:
        """The structure that holds it, as it was first seen."""
        return (self.before or self.now)[0].part


@dataclass(frozen=True, eq=False)
class Matched:
    """Two examinations laid onto each other."""

    pairs: tuple[LesionPair, ...]
    registrations: dict[Sequence, Registration] = field(default_factory=dict)


def match(before: TimePoint, now: TimePoint, settings: MatchSettings) -> Matched:
    """Register the bones of each sequence that both have, and match the lesions by place.

    Lesions that overlap are one, also if several grew together or one fell apart; of the rest the
    nearest are, in the same body and within reach.
    """
    shared = [s for s in Sequence if s in before.bones and s in now.bones]
    registrations = {s: register_bones(before.bones[s], now.bones[s], settings) for s in shared}
    if not shared:  # other sequences show the same bones
        first, second = next(iter(before.bones)), next(iter(now.bones))
        only = register_bones(before.bones[first], now.bones[second], settings)
        registrations = {first: only}
    scene = _Scene(before, now, registrations, settings)
    return Matched(tuple(_pairs(scene)), registrations)


@dataclass(frozen=True, eq=False)
class _Scene:
    before: TimePoint
    now: TimePoint
    registrations: dict[Sequence, Registration]
    settings: MatchSettings

    def _registration(self, lesion: Lesion) -> Registration:
        known = [self.registrations[s] for s in lesion.seen_on if s in self.registrations]
        return known[0] if known else next(iter(self.registrations.values()))

    def centre_now(self, lesion: Lesion) -> np.ndarray:
        """Where a lesion of the baseline should lie later, LPS mm."""
        return self._registration(lesion).of(lesion.part)(_centre(lesion))

    def centre_before(self, lesion: Lesion) -> np.ndarray:
        """Where a later lesion should have lain."""
        return self._registration(lesion).of(lesion.part).inverse()(_centre(lesion))

    def overlaps(self, lesion: Lesion) -> dict[int, float]:
        """Share of the smaller volume in common, by the number of the later lesion."""
        found: dict[int, float] = {}
        for sequence, seen in lesion.seen_on.items():
            if sequence not in self.registrations or sequence not in self.now.lesions:
                continue
            mask = self.before.lesions[sequence]
            points = mask.geometry.to_lps(np.argwhere(mask.array == seen.label))
            moved = self.registrations[sequence].of(lesion.part)(points)
            counts = np.bincount(values_at(self.now.lesions[sequence], moved))
            for other in self.now.findings.lesions:
                there = other.seen_on.get(sequence)
                if there is not None and there.label < len(counts):
                    common = counts[there.label] * mask.geometry.voxel_volume_mm3 / 1000
                    share = float(common / min(seen.volume_cm3, there.volume_cm3))
                    found[other.number] = max(found.get(other.number, 0.0), min(share, 1.0))
        return found


def _pairs(scene: _Scene) -> list[LesionPair]:
    before = {lesion.number: lesion for lesion in scene.before.findings.lesions}
    now = {lesion.number: lesion for lesion in scene.now.findings.lesions}
    shares = {
        (number, other): share
        for number, lesion in before.items()
        for other, share in scene.overlaps(lesion).items()
        if share >= scene.settings.overlap_share
    }
    pairs = []
    for first, second in _components(shares):
        fate = Fate.MERGED if len(first) > len(second) else Fate.SPLIT
        pair = LesionPair(
            tuple(before.pop(n) for n in sorted(first)),
            tuple(now.pop(n) for n in sorted(second)),
            Fate.MATCHED if len(first) == len(second) else fate,
            max(share for (a, _), share in shares.items() if a in first),
        )
        pairs.append(_with_distance(pair, scene))
    for first_one, second_one in _nearest(list(before.values()), list(now.values()), scene):
        del before[first_one.number], now[second_one.number]
        pairs.append(_with_distance(LesionPair((first_one,), (second_one,), Fate.MATCHED), scene))
    pairs += [LesionPair((lesion,), (), _gone(lesion, scene)) for lesion in before.values()]
    pairs += [LesionPair((), (lesion,), _come(lesion, scene)) for lesion in now.values()]
    return sorted(pairs, key=lambda p: (not p.before, -_volume(p.before or p.now)))


def _components(shares: Mapping[tuple[int, int], float]) -> list[tuple[set[int], set[int]]]:
    """Lesions that hang together, each set with its own."""
    groups: list[tuple[set[int], set[int]]] = []
    for first, second in shares:
        touching = [g for g in groups if first in g[0] or second in g[1]]
        joined = (
            {first}.union(*(g[0] for g in touching)),
            {second}.union(*(g[1] for g in touching)),
        )
        groups = [g for g in groups if g not in touching] + [joined]
    return groups


def _nearest(before: list[Lesion], now: list[Lesion], scene: _Scene) -> list[tuple[Lesion, Lesion]]:
    if not (before and now):
        return []
    far = 1e6
    distances = np.full((len(before), len(now)), far)
    for i, lesion in enumerate(before):
        for j, other in enumerate(now):
            distance = float(np.linalg.norm(scene.centre_now(lesion) - _centre(other)))
            same = body_of(lesion.part) == body_of(other.part)
            if same and distance <= scene.settings.distance_mm:
                distances[i, j] = distance
    rows, columns = linear_sum_assignment(distances)
    return [
        (before[i], now[j]) for i, j in zip(rows, columns, strict=True) if distances[i, j] < far
    ]


def _with_distance(pair: LesionPair, scene: _Scene) -> LesionPair:
    first = np.average([scene.centre_now(x) for x in pair.before], axis=0, weights=_v(pair.before))
    second = np.average([_centre(x) for x in pair.now], axis=0, weights=_v(pair.now))
    distance = float(np.linalg.norm(first - second))
    return LesionPair(pair.before, pair.now, pair.fate, pair.overlap_share, distance)


def _v(lesions: tuple[Lesion, ...]) -> list[float]:
    return [lesion.volume_cm3 for lesion in lesions]


def _volume(lesions: tuple[Lesion, ...]) -> float:
    return sum(_v(lesions))


def _centre(lesion: Lesion) -> np.ndarray:
    return np.asarray(next(iter(lesion.seen_on.values())).centre_lps_mm)


def _gone(lesion: Lesion, scene: _Scene) -> Fate:
    there = _in_field(scene.centre_now(lesion), scene.now, lesion)
    return Fate.VANISHED if there else Fate.NOT_IN_FIELD_NOW


def _come(lesion: Lesion, scene: _Scene) -> Fate:
    there = _in_field(scene.centre_before(lesion), scene.before, lesion)
    return Fate.NEW if there else Fate.NOT_IN_FIELD_BEFORE


def _in_field(point_mm: np.ndarray, other: TimePoint, lesion: Lesion) -> bool:
    """Whether a place lies in the field of an examination, on a sequence that shows the lesion."""
    grids = [other.bones[s].geometry for s in lesion.seen_on if s in other.bones]
    grids = grids or [bones.geometry for bones in other.bones.values()]
    return any(
        bool(((index := grid.to_index(point_mm)) > -0.5).all())
        and bool((index < np.asarray(grid.shape) - 0.5).all())
        for grid in grids
    )
