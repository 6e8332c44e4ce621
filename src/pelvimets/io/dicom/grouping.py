"""Tell the volumes of one series apart: by what differs in kind, not by a header that wobbles.

Images at one position that differ in their headers are different volumes. Where the parts
of a series share no position and fill one regular stack together, what differs between their
headers says nothing, and they are one volume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.core.series.facts import SeriesFacts
from pelvimets.core.series.kind import same_kind
from pelvimets.core.stacking import Plane, check_alike, stack_planes
from pelvimets.errors import GeometryError
from pelvimets.io.dicom.frames import Frame

SAME_SLICE_MM = 0.02
_SAME_ECHO_MS = 0.05
_SAME_ECHO_SHARE = 0.05

Nominal = dict[float | None, float | None]
FactsOf = Callable[[Sequence[Frame]], SeriesFacts]


@dataclass(frozen=True, eq=False)
class Group:
    """Frames of one volume, and how many frames of the same kind fit into no volume with them."""

    frames: tuple[Frame, ...]
    left_over: int = 0


def groups_of(frames: Sequence[Frame], facts_of: FactsOf) -> list[Group]:
    """The volumes among the frames of a series, in the order of their first frames.

    Args:
        frames: Of one series, each image once.
        facts_of: What the headers of some frames say.
    """
    b_of, echo_of = nominal_b(frames), _nominal_echo(frames)
    split: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        split.setdefault(_kind(frame, b_of, echo_of), []).append(frame)
    parts = [
        _Part(n, tuple(members), facts_of(members)) for n, members in enumerate(split.values())
    ]
    return _rejoined(parts)


def nominal_b(frames: Sequence[Frame]) -> Nominal:
    """Nominal b-value for each stated one: values that differ by rounding belong together."""
    stated = [frame.b_value for frame in frames if frame.b_value is not None]
    return _clustered(stated, lambda value: max(4.0, 0.02 * value), round)


def _nominal_echo(frames: Sequence[Frame]) -> Nominal:
    stated = [frame.echo_time_ms for frame in frames if frame.echo_time_ms is not None]
    return _clustered(stated, lambda value: _SAME_ECHO_MS, lambda value: value)


def _clustered(
    values: Sequence[float], reach: Callable[[float], float], name: Callable[[float], float]
) -> Nominal:
    """The most frequent value of each run of values that lie within reach of the next."""
    counts = Counter(values)
    clusters: list[list[float]] = []
    for value in sorted(counts):
        if clusters and value - clusters[-1][-1] <= reach(value):
            clusters[-1].append(value)
        else:
            clusters.append([value])
    nominal: Nominal = {None: None}
    for cluster in clusters:
        usual = max(cluster, key=lambda value: (counts[value], -value))
        nominal.update(dict.fromkeys(cluster, float(name(usual))))
    return nominal


def _kind(frame: Frame, b_of: Nominal, echo_of: Nominal) -> Hashable:
    """What sets volumes of one series apart; mixed sizes or orientations are a defect instead."""
    b_value = b_of[frame.b_value]
    trace = bool(b_value) and frame.directionality == "ISOTROPIC"
    return frozenset(frame.image_type), b_value, echo_of[frame.echo_time_ms], trace, frame.gray


# --- parts that are one volume ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """Frames with one header; ``number`` keeps the order of their first frames."""

    number: int
    frames: tuple[Frame, ...]
    facts: SeriesFacts


def _rejoined(parts: Sequence[_Part]) -> list[Group]:
    if len(parts) == 1:
        return [Group(parts[0].frames)]
    one_b = len({part.facts.b_value for part in parts} - {None}) <= 1
    left = sorted(parts, key=lambda part: (-len(part.frames), part.number))
    volumes: list[list[_Part]] = []
    while left:
        members = _grown(left[0], left[1:], one_b)
        volumes.append(members)
        left = [part for part in left if part not in members]
    volumes.sort(key=lambda members: min(part.number for part in members))
    return [Group(_frames(members), _left_over(members, volumes, one_b)) for members in volumes]


def _grown(base: _Part, others: Sequence[_Part], one_b: bool) -> list[_Part]:
    """The largest set, begun with ``base``, of parts that fill one regular stack together."""
    members = [base]
    for part in others:
        if all(_alike(part, member, one_b) and _apart(part, member) for member in members):
            members.append(part)
    while len(members) > 1 and not _is_regular(_frames(members)):
        members.pop()
    return members


def _frames(members: Iterable[_Part]) -> tuple[Frame, ...]:
    ordered = sorted(members, key=lambda part: part.number)
    return tuple(frame for part in ordered for frame in part.frames)


def _left_over(members: Sequence[_Part], volumes: Sequence[Sequence[_Part]], one_b: bool) -> int:
    """Frames of smaller volumes that are of the same kind as this one."""
    size = len(_frames(members))
    return sum(
        len(_frames(other))
        for other in volumes
        if other is not members
        and len(_frames(other)) < size
        and all(_alike(a, b, one_b) for a in members for b in other)
    )


def _alike(first: _Part, second: _Part, one_b: bool) -> bool:
    """Whether nothing that both headers state tells two parts apart in kind."""
    a, b = _filled(first.facts, second.facts), _filled(second.facts, first.facts)
    if (first.facts.b_value != second.facts.b_value and not one_b) or a.b_value != b.b_value:
        return False
    if first.frames[0].gray != second.frames[0].gray or not _same_echo(a, b):
        return False
    return {a.directionality, b.directionality} != {"ISOTROPIC", "DIRECTIONAL"} and same_kind(a, b)


def _filled(facts: SeriesFacts, other: SeriesFacts) -> SeriesFacts:
    """With what the other states, where the header says nothing."""
    return replace(
        facts,
        b_value=other.b_value if facts.b_value is None else facts.b_value,
        echo_time_ms=other.echo_time_ms if facts.echo_time_ms is None else facts.echo_time_ms,
        directionality=facts.directionality or other.directionality,
    )


def _same_echo(a: SeriesFacts, b: SeriesFacts) -> bool:
    if a.echo_time_ms is None or b.echo_time_ms is None:
        return a.echo_time_ms == b.echo_time_ms
    largest = max(a.echo_time_ms, b.echo_time_ms)
    return abs(a.echo_time_ms - b.echo_time_ms) <= _SAME_ECHO_SHARE * largest


def _apart(first: _Part, second: _Part) -> bool:
    """Whether two parts share no position and hold each of theirs equally often."""
    frames = [*first.frames, *second.frames]
    if not _can_be_stacked(frames):
        return False
    places = slice_numbers(frames)
    mine, other = Counter(places[: len(first.frames)]), Counter(places[len(first.frames) :])
    return not mine.keys() & other.keys() and {*mine.values()} == {*other.values()}


def _is_regular(frames: Sequence[Frame]) -> bool:
    at_place = dict(zip(slice_numbers(frames), frames, strict=True))
    try:
        stack_planes([plane_of(frame) for frame in at_place.values()])
    except GeometryError:
        return False
    return True


def _can_be_stacked(frames: Sequence[Frame]) -> bool:
    planes = [frame.plane for frame in frames if frame.plane is not None]
    try:
        check_alike(planes)
    except GeometryError:
        return False
    return len(planes) == len(frames)


def plane_of(frame: Frame) -> Plane:
    """The plane of a frame that is known to have one."""
    assert frame.plane is not None
    return frame.plane


def slice_numbers(frames: Sequence[Frame]) -> list[int]:
    """Number of each frame's position along the slice normal of the first frame."""
    row, column = np.reshape(plane_of(frames[0]).orientation, (2, 3))
    along = np.array([plane_of(frame).position for frame in frames]) @ np.cross(row, column)
    order = np.argsort(along)
    numbers = np.empty(len(frames), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > SAME_SLICE_MM)])
    return [int(n) for n in numbers]
