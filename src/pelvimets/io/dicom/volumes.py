"""Split the frames of a series into volumes, and stack each by its geometry.

One series may hold several b-values, echoes, image types, directions, averages and time
points. Instance numbers and file names play no part, except as the last way to tell repeats
of a slice apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pelvimets.core.series.facts import Declared, SeriesFacts
from pelvimets.core.stacking import check_alike, stack_planes
from pelvimets.errors import GeometryError, InputError
from pelvimets.io.dicom.declared import declared_of
from pelvimets.io.dicom.frames import Frame
from pelvimets.io.dicom.grouping import (
    Group,
    Nominal,
    groups_of,
    nominal_b,
    plane_of,
    slice_numbers,
)
from pelvimets.io.dicom.joining import stations_in
from pelvimets.io.dicom.pixels import content_digest
from pelvimets.io.dicom.scan import ScannedSeries
from pelvimets.io.dicom.volume import Component, DicomVolume


def volumes_of(series: ScannedSeries) -> list[DicomVolume]:
    """All volumes of a series; one without frames, with the reason, for other objects."""
    if not series.frames:
        return [DicomVolume(_not_mr(series))]
    frames, notes, clash = _without_copies(series.frames)
    b_of, declared = nominal_b(frames), declared_of(frames)

    def facts_of(members: Sequence[Frame]) -> SeriesFacts:
        return _facts(series, members, b_of, declared)

    groups = [
        replace(group, frames=station)
        for group in groups_of(frames, facts_of)
        for station in stations_in(group.frames)
    ]
    volumes = [_volume(group, facts_of(group.frames), notes) for group in groups]
    return [_with_defect(volume, clash) for volume in volumes] if clash else volumes


def _not_mr(series: ScannedSeries) -> SeriesFacts:
    objects = ", ".join(f"{count} x {name}" for name, count in sorted(series.others.items()))
    kind = "not MR" if series.modality not in ("MR", "") else "no MR image"
    return SeriesFacts(
        series_instance_uid=series.series_instance_uid,
        number=series.number,
        description=series.description,
        images=sum(series.others.values()),
        unusable=f"{kind}: {objects}",
    )


# --- copies --------------------------------------------------------------------------------


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...], str | None]:
    """Drop files that repeat an image, broken ones first; tell of two images under one name."""
    copies: dict[tuple[str, int | None], list[Frame]] = {}
    for frame in frames:
        copies.setdefault((frame.sop_instance_uid, frame.index), []).append(frame)
    kept, broken, clashes = [], 0, 0
    for same in copies.values():
        whole = [frame for frame in same if _is_whole(frame)] if len(same) > 1 else same
        broken += len(same) - len(whole) if whole else len(same) - 1
        first = (whole or same)[0]
        kept.append(first)
        clashes += not all(_same_image(first, other) for other in whole[1:])
    clash = (
        "Two different images carry the same SOP Instance UID. "
        "Give a folder that holds each image once."
    )
    dropped = len(frames) - len(kept) - broken
    notes: tuple[str, ...] = (f"{dropped} copies of images dropped",) if dropped else ()
    if broken:
        notes += (f"{broken} broken copies of images passed over",)
    return kept, notes, clash if clashes else None


def _is_whole(frame: Frame) -> bool:
    if frame.truncated or frame.plane is None:
        return False
    try:
        content_digest(frame)
    except InputError:
        return False
    return True


def _same_image(first: Frame, second: Frame) -> bool:
    if replace(first, path=second.path) != second:
        return False
    return _digest(first) == _digest(second)


def _digest(frame: Frame) -> str:
    try:
        return content_digest(frame)
    except InputError:
        return str(frame.path)  # cannot be compared, so counts as different


# --- one volume ----------------------------------------------------------------------------


def _volume(group: Group, facts: SeriesFacts, notes: tuple[str, ...]) -> DicomVolume:
    if facts.unusable:
        return DicomVolume(facts)
    try:
        _check_whole(group.frames)
        components, more = _components(group.frames)
        stacked = [_stacked(component) for component in components]
    except GeometryError as error:
        return DicomVolume(replace(facts, defect=str(error)))
    facts = replace(
        facts,
        images=sum(len(component) for component in stacked),
        components=len(stacked),
        over_time=_over_time(stacked),
        geometry=stack_planes([plane_of(f) for f in stacked[0]]).geometry,
    )
    if group.left_over:
        notes += (
            f"{group.left_over} more images of its kind left out: they fill no stack with it",
        )
    return DicomVolume(facts, tuple(stacked), notes + more)


def _with_defect(volume: DicomVolume, defect: str) -> DicomVolume:
    return DicomVolume(replace(volume.facts, defect=defect, geometry=None))


def _facts(
    series: ScannedSeries, frames: Sequence[Frame], b_of: Nominal, declared: Declared
) -> SeriesFacts:
    """What most of the frames say: a header may wobble inside a volume."""
    b_value = _usual(b_of[frame.b_value] for frame in frames)
    gray = all(frame.gray for frame in frames)
    declared = replace(
        declared,
        thickness_mm=_usual(frame.counts.thickness_mm for frame in frames),
        spacing_mm=_usual(frame.counts.spacing_mm for frame in frames),
    )
    return SeriesFacts(
        series_instance_uid=series.series_instance_uid,
        number=series.number,
        description=series.description,
        images=len(frames),
        image_type=_usual(frame.image_type for frame in frames) or (),
        protocol=series.protocol,
        sequence_name=_usual(frame.sequence_name for frame in frames) or "",
        scanning_sequence=_usual(frame.scanning_sequence for frame in frames) or (),
        scan_options=_usual(frame.scan_options for frame in frames) or (),
        echo_time_ms=_usual(frame.echo_time_ms for frame in frames),
        repetition_time_ms=_usual(frame.repetition_time_ms for frame in frames),
        inversion_time_ms=_usual(frame.inversion_time_ms for frame in frames),
        flip_angle_deg=_usual(frame.flip_angle_deg for frame in frames),
        bandwidth_hz_per_px=_usual(frame.bandwidth_hz_per_px for frame in frames),
        scanner=_usual(frame.scanner for frame in frames) or "",
        field_strength_t=_usual(frame.field_strength_t for frame in frames),
        b_value=b_value,
        directionality=_usual(frame.directionality for frame in frames) or "",
        contrast_agent=_any_agent(frames),
        declared=declared,
        frame_of_reference=_usual(frame.frame_of_reference_uid for frame in frames) or "",
        unusable=None if gray else "colour picture, not an MR image of its own",
    )


T = TypeVar("T")


def _any_agent(frames: Sequence[Frame]) -> bool | None:
    stated = {frame.contrast_agent for frame in frames} - {None}
    return any(stated) if stated else None


def _usual(values: Iterable[T]) -> T | None:
    """The most frequent value that says something, the first of several; None if none does."""
    counts = Counter(value for value in values if value not in (None, "", ()))
    return counts.most_common(1)[0][0] if counts else None


def _check_whole(frames: Sequence[Frame]) -> None:
    short = len({frame.path for frame in frames if frame.truncated})
    if short:
        raise GeometryError(
            "Files are cut short: they hold fewer bytes than their pixels need",
            got=f"{short} of {len({frame.path for frame in frames})} files",
            remedy="Copy or export the series again",
        )
    placeless = sum(frame.plane is None for frame in frames)
    if placeless:
        raise GeometryError(
            "Images state no position, orientation or pixel spacing",
            got=f"{placeless} of {len(frames)} images",
            remedy="Export the original series; screen captures cannot be placed in the patient",
        )
    check_alike([plane_of(frame) for frame in frames])


def _stacked(component: Sequence[Frame]) -> Component:
    stack = stack_planes([plane_of(frame) for frame in component])
    return tuple(component[n] for n in stack.order)


def _over_time(components: Sequence[Component]) -> bool:
    return len({c[0].temporal_position for c in components}) == len(components) > 1


# --- repeats of a slice --------------------------------------------------------------------

_TellApart = Callable[[Frame], Hashable]
_WAYS: tuple[_TellApart, ...] = (
    lambda f: f.temporal_position,
    lambda f: f.direction,
    lambda f: f.acquisition_number,
    lambda f: f.b_value,
    lambda f: (f.temporal_position, f.direction),
    lambda f: (f.acquisition_number, f.direction),
    lambda f: (f.temporal_position, f.acquisition_number, f.direction),
)


def _components(frames: Sequence[Frame]) -> tuple[list[list[Frame]], tuple[str, ...]]:
    """Frames of each direction, average or time point, and what was put right."""
    places = slice_numbers(frames)
    if max(Counter(places).values()) == 1:
        return [list(frames)], ()
    for way in _WAYS:
        if parts := _parted(frames, places, way):
            return parts, ()
    kept, dropped = _without_equal_content(frames, places)
    if dropped:
        parts, notes = _components(kept)
        return parts, (f"{dropped} copies of images under new identifiers dropped", *notes)
    return _by_instance_number(frames, places), ()


def _parted(
    frames: Sequence[Frame], places: Sequence[int], way: _TellApart
) -> list[list[Frame]] | None:
    """Parts that hold every slice exactly once, or None if this way gives none such."""
    parts: dict[Hashable, list[int]] = {}
    for n, frame in enumerate(frames):
        parts.setdefault(way(frame), []).append(n)
    for members in parts.values():
        if len({places[n] for n in members}) != len(members):
            return None
    sizes = Counter(len(members) for members in parts.values())
    if len(sizes) > 1:
        raise GeometryError(
            "Directions, averages or time points of one volume differ in their number of slices",
            got=", ".join(f"{count} of {size} slices" for size, count in sorted(sizes.items())),
            remedy="Export the whole series again, or choose another one",
        )
    return [[frames[n] for n in members] for members in parts.values()]


def _without_equal_content(
    frames: Sequence[Frame], places: Sequence[int]
) -> tuple[list[Frame], int]:
    """Drop copies; only images with the same instance number are suspected and compared."""
    numbers = Counter(zip(places, (f.instance_number for f in frames), strict=True))
    repeated = {place for (place, _), count in numbers.items() if count > 1}
    seen: set[tuple[int, str]] = set()
    kept: list[Frame] = []
    for frame, place in zip(frames, places, strict=True):
        mark = (place, _digest(frame)) if place in repeated else (place, f"{len(kept)}")
        if mark not in seen:
            kept.append(frame)
        seen.add(mark)
    return kept, len(frames) - len(kept)


def _by_instance_number(frames: Sequence[Frame], places: Sequence[int]) -> list[list[Frame]]:
    """The n-th image of each slice belongs to the n-th repeat, if all slices have as many."""
    at_place: dict[int, list[Frame]] = {}
    for frame, place in sorted(zip(frames, places, strict=True), key=_instance_order):
        at_place.setdefault(place, []).append(frame)
    counts = sorted({len(found) for found in at_place.values()})
    if len(counts) > 1:
        raise GeometryError(
            "Different images lie at one slice position",
            got=f"{counts[0]} to {counts[-1]} images for each of {len(at_place)} positions",
            remedy="Give a folder that holds each image once, or choose another series",
        )
    return [[found[n] for found in at_place.values()] for n in range(counts[0])]


def _instance_order(item: tuple[Frame, int]) -> tuple[int, int]:
    return item[0].instance_number, item[0].index or 0
