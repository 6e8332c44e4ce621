"""Two or more examinations: each compared with the first and with the one before it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass

from pelvimets.core.findings import Lesion
from pelvimets.core.follow_up.change import (
    BoneChange,
    LesionChange,
    bone_changes,
    lesion_changes,
)
from pelvimets.core.follow_up.matching import Matched, TimePoint, match
from pelvimets.core.follow_up.response import Suggestion, suggestions
from pelvimets.core.follow_up.settings import FollowUpSettings
from pelvimets.errors import InputError
from pelvimets.labels import Sequence


@dataclass(frozen=True, eq=False)
class Comparison:
    """A later examination beside an earlier one.

    Attributes:
        before, now: Index of the time points.
        matched: Pairs and how the bones were laid onto each other.
        lesions: Change of each lesion.
        bones: Change in each structure with disease.
        suggestions: A response category per region.
    """

    before: int
    now: int
    matched: Matched
    lesions: tuple[LesionChange, ...]
    bones: tuple[BoneChange, ...]
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True)
class Track:
    """One lesion, or several that hang together, over time.

    Attributes:
        title: As printed.
        lesions: Of each time point; empty where it is not there.
    """

    title: str
    lesions: tuple[tuple[Lesion, ...], ...]

    @property
    def volumes_cm3(self) -> tuple[float, ...]:
        """Of each time point."""
        return tuple(sum(x.volume_cm3 for x in own) for own in self.lesions)


@dataclass(frozen=True, eq=False)
class Course:
    """All time points of a patient.

    Attributes:
        points: In order of time.
        main: The last beside the first.
        steps: Each beside the one before it.
        tracks: Lesions over time, by their largest volume.
    """

    points: tuple[TimePoint, ...]
    main: Comparison
    steps: tuple[Comparison, ...]
    tracks: tuple[Track, ...]

    def total_volume_cm3(self, sequence: Sequence) -> tuple[float | None, ...]:
        """Volume of all lesions on a sequence at each time point; None where it was not read."""
        found = [point.findings.sequences.get(sequence) for point in self.points]
        return tuple(None if f is None else f.total_lesion_volume_cm3 for f in found)


def follow(
    points: Ordered[TimePoint],
    settings: FollowUpSettings,
    *,
    suspicious_score: float,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Course:
    """Compare time points.

    Args:
        points: Two or more, in order of time.
        settings: Of matching and of the rule.
        suspicious_score: Score from which on a new lesion counts as suspicious.
        told: Of comparisons done, and of all.

    Raises:
        InputError: if there are fewer than two, or nothing was read at one of them.
    """
    if len(points) < 2:
        raise InputError("A follow-up needs two time points or more", got=len(points))
    wanted = [(n, n + 1) for n in range(len(points) - 1)]
    wanted += [] if len(points) == 2 else [(0, len(points) - 1)]
    made = []
    for number, (first, second) in enumerate(wanted):
        told(number, len(wanted))
        made.append(_compare(points, first, second, settings, suspicious_score))
    told(len(wanted), len(wanted))
    steps = tuple(made[: len(points) - 1])
    return Course(tuple(points), made[-1], steps, _tracks(points, steps))


def _compare(
    points: Ordered[TimePoint],
    first: int,
    second: int,
    settings: FollowUpSettings,
    suspicious_score: float,
) -> Comparison:
    before, now = points[first], points[second]
    matched = match(before, now, settings.match)
    changes = lesion_changes(matched.pairs)
    suggested = suggestions(
        changes,
        settings.response,
        suspicious_score=suspicious_score,
        reliable=before.findings.reliable and now.findings.reliable,
    )
    return Comparison(first, second, matched, changes, bone_changes(before, now), suggested)


def _tracks(points: Ordered[TimePoint], steps: tuple[Comparison, ...]) -> tuple[Track, ...]:
    """Lesions that hang together from step to step."""
    nodes = [(n, x.number) for n, point in enumerate(points) for x in point.findings.lesions]
    group = {node: {node} for node in nodes}
    for step in steps:
        for pair in step.matched.pairs:
            own = [(step.before, x.number) for x in pair.before]
            own += [(step.now, x.number) for x in pair.now]
            joined = set().union(*(group[node] for node in own))
            group.update(dict.fromkeys(joined, joined))
    lesions = {(n, x.number): x for n, point in enumerate(points) for x in point.findings.lesions}
    tracks = []
    for members in {id(members): members for members in group.values()}.values():
        rows = tuple(
            tuple(lesions[node] for node in sorted(members) if node[0] == n)
            for n in range(len(points))
        )
        last = next(row for row in reversed(rows) if row)
        numbers = "+".join(str(x.number) for x in last)
        tracks.append(Track(f"{numbers}, {last[0].part.title}", rows))
    return tuple(sorted(tracks, key=lambda track: -max(track.volumes_cm3)))
