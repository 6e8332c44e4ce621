"""Stations of a DICOM study: found inside one series, joined over several, read as one image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pelvimets.core.series.facts import Declared, SeriesFacts
from pelvimets.core.series.stations import Joint, joints
from pelvimets.core.stacking import stack_planes
from pelvimets.errors import GeometryError
from pelvimets.io.dicom.frames import Frame
from pelvimets.io.dicom.grouping import plane_of, slice_numbers
from pelvimets.io.dicom.pixels import Array32, read_slices
from pelvimets.io.dicom.volume import Blend, DicomVolume

_FEWEST_SLICES = 3
_NUMBERED_GAP = 1.5  # of the spacing, between stations that an acquisition number tells apart
_RUN_GAP = 0.9  # between others: they overlap, or it would be one stack with slices missing
_LARGEST_OVERLAP = 0.5


# --- stations inside one series ----------------------------------------------------------------


def stations_in(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    """Frames of one kind, parted into table positions that overlap; one part if there are none.

    The acquisition number tells them apart, or else the order of the instance numbers: a
    station is a run of evenly spaced slices.
    """
    if any(frame.plane is None for frame in frames) or _is_stack(frames):
        return [tuple(frames)]
    for parts, gap in ((_by_acquisition(frames), _NUMBERED_GAP), (_by_runs(frames), _RUN_GAP)):
        if len(parts) > 1 and all(_is_station(part) for part in parts) and _go_on(parts, gap):
            return parts
    return [tuple(frames)]


def _by_acquisition(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    parts: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(frame.acquisition_number, []).append(frame)
    return [tuple(part) for part in parts.values()]


def _by_runs(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    """Cut where the step from one instance to the next is not the usual one."""
    ordered = sorted(frames, key=lambda frame: (frame.instance_number, frame.index or 0))
    row, column = np.reshape(plane_of(ordered[0]).orientation, (2, 3))
    along = np.array([plane_of(frame).position for frame in ordered]) @ np.cross(row, column)
    steps = np.diff(along)
    if not len(steps):
        return [tuple(ordered)]
    usual = Counter(round(float(step), 1) for step in steps).most_common(1)[0][0]
    cuts = [0, *(int(n) + 1 for n in np.flatnonzero(np.abs(steps - usual) > 0.1)), len(ordered)]
    return [tuple(ordered[a:b]) for a, b in pairwise(cuts)]


def _is_station(frames: Sequence[Frame]) -> bool:
    return len(frames) >= _FEWEST_SLICES and _is_stack(frames)


def _is_stack(frames: Sequence[Frame]) -> bool:
    try:
        stack_planes([plane_of(frame) for frame in frames])
    except GeometryError:
        return False
    return True


def _go_on(parts: Sequence[Sequence[Frame]], largest_gap: float) -> bool:
    """Whether each part reaches farther than the one below, and starts inside it or just above."""
    places = slice_numbers([frame for part in parts for frame in part])
    row, column = np.reshape(plane_of(parts[0][0]).orientation, (2, 3))
    normal = np.cross(row, column)
    spans = []
    for part in parts:
        along = np.array([plane_of(frame).position for frame in part]) @ normal
        spans.append((along.min(), along.max(), np.ptp(along) / (len(part) - 1)))
    spans.sort()
    return len(set(places)) > 1 and all(
        b[1] > a[1]
        and a[1] - b[0] <= _LARGEST_OVERLAP * min(a[1] - a[0], b[1] - b[0])
        and b[0] - a[1] < largest_gap * a[2]
        for a, b in pairwise(spans)
    )


# --- stations joined -----------------------------------------------------------------------------


def with_joined(volumes: Sequence[DicomVolume]) -> list[DicomVolume]:
    """The volumes of a study, and behind them those that stations make together."""
    found = joints([volume.facts for volume in volumes])
    of = {n: len(joint.stations) for joint in found for n in joint.stations}
    marked = [
        replace(volume, facts=replace(volume.facts, station_of=of.get(n, 1)))
        for n, volume in enumerate(volumes)
    ]
    return [*marked, *(_joined(joint, volumes) for joint in found)]


def _joined(joint: Joint, volumes: Sequence[DicomVolume]) -> DicomVolume:
    parts = [volumes[n] for n in joint.stations]
    blend = tuple(
        tuple((parts[pick.station].components[0][pick.slice], pick.weight) for pick in picks)
        for picks in joint.slices
    )
    nearest = tuple(picks[0][0] for picks in blend)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    if joint.interpolated:
        notes += ("slices of a station that lie between those of the lowest one are interpolated",)
    return DicomVolume(_joined_facts(joint, parts), (nearest,), notes, blend)


def _joined_facts(joint: Joint, parts: Sequence[DicomVolume]) -> SeriesFacts:
    first = parts[0].facts
    declared = Declared(first.declared.thickness_mm, first.declared.spacing_mm)
    return replace(
        first,
        stations=tuple((part.facts.series_instance_uid, part.facts.number) for part in parts),
        images=len(joint.slices),
        declared=declared,
        geometry=joint.geometry,
    )


def read_blend(blend: Blend, *, same_scale: bool) -> Array32:
    """Values (slice, row, column) of a joined volume.

    Args:
        blend: For each slice the frames that it is made of, and their shares.
        same_scale: Whether the values are comparable as they stand; else those of Philips are
            brought to the scale of the first station (value / (rescale slope x scale slope)).
    """
    wanted = list(dict.fromkeys(frame for picks in blend for frame, _ in picks))
    factors = _factors(wanted) if not same_scale else [1.0] * len(wanted)
    place = {frame: n for n, frame in enumerate(wanted)}
    planes = read_slices(wanted) * np.array(factors, dtype=np.float32)[:, None, None]
    return np.stack([_mixed(planes, picks, place) for picks in blend])


def _mixed(
    planes: Array32, picks: Iterable[tuple[Frame, float]], place: dict[Frame, int]
) -> Array32:
    parts = [planes[place[frame]] * np.float32(weight) for frame, weight in picks]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float32)


def _factors(frames: Sequence[Frame]) -> list[float]:
    scales = [frame.slope * (frame.private_scale_slope or 0.0) for frame in frames]
    if not all(scales):
        return [1.0] * len(frames)
    return [scales[0] / scale for scale in scales]
