"""Are all slices of a volume here? What its own header, its series and its study say against it.

A stack that lost every second slice, or its upper third, is as regular as a whole one. The
evidence: the spacing and thickness that the header states, the numbers of images that it
declares, the numbers the images carry, and other images of the same acquisition that have
slices where this one has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.series.facts import SeriesFacts, Verdict
from pelvimets.core.series.stations import overlap
from pelvimets.core.study import SeriesRole

_WIDE = 1.5  # of the stated spacing: at least every second slice may be missing
_WIDEST = 4.5
_LARGEST_GAP = 1.05  # of the thickness, beside the slice itself; protocols leave up to all of it
_CONTIGUOUS = 1.8  # of the thickness: so far apart, a numbering in steps tells of lost slices
_TOLERANCE = 0.1  # of the spacing
_SAME_PLACE = 0.1  # of a voxel
_SAME_TIME = 0.01
_SAME_FIELD = 0.5  # of the smaller field: images of one acquisition show one place


def lost_slices(
    number: int, volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict]
) -> str | None:
    """What is missing of a volume, None where nothing says that something is; nor of a station.

    Args:
        number: Place of the volume in the lists.
        volumes: All volumes of the study.
        verdicts: What each is.
    """
    facts = volumes[number]
    if facts.geometry is None or facts.geometry.shape[0] == 1 or facts.station_of > 1:
        return None
    missing = (
        _by_siblings(number, volumes, verdicts)
        or _by_parts(facts)
        or _by_slice_count(facts, facts.geometry)
        or _by_spacing(facts, facts.geometry)
        or _by_image_count(facts, facts.geometry)
    )
    return None if missing is None else f"slices are missing: {missing}"


# --- the volume's own header -----------------------------------------------------------------


def _by_spacing(facts: SeriesFacts, geometry: Geometry) -> str | None:
    """The slices lie farther apart than spacing or thickness allow."""
    actual, stated = geometry.spacing[0], facts.declared.spacing_mm
    thick = facts.declared.thickness_mm
    if stated is not None and not _is_gap(stated, thick, actual):
        steps = actual / stated
        if _is_copy(facts) and thick is not None and actual < _CONTIGUOUS * thick:
            return None
        if _WIDE < steps < _WIDEST and abs(steps - round(steps)) <= _TOLERANCE * steps:
            return f"{_apart(actual)}, and the header says {stated:.2f} mm"
        return None
    if thick is None or stated is not None:
        return None
    if actual > (1 + _LARGEST_GAP) * thick:
        return f"{_apart(actual)}, and each is only {thick:.2f} mm thick"
    if facts.declared.number_step > 1 and actual >= _CONTIGUOUS * thick:
        step = facts.declared.number_step
        return f"{_apart(actual)}, each {thick:.2f} mm thick, and numbered in steps of {step}"
    return None


def _is_gap(stated: float, thick: float | None, actual: float) -> bool:
    """Old scanners write the gap between two slices where the distance of centres belongs."""
    if thick is None or stated >= thick:
        return False
    return abs(actual - (thick + stated)) <= _TOLERANCE * actual


def _apart(actual: float) -> str:
    return f"they lie {actual:.2f} mm apart"


def _by_slice_count(facts: SeriesFacts, geometry: Geometry) -> str | None:
    wanted, here = facts.declared.slices, geometry.shape[0]
    if wanted is None or here >= wanted or _is_copy(facts):
        return None
    return f"the header declares {wanted} in a volume, and {here} are here"


def _by_image_count(facts: SeriesFacts, geometry: Geometry) -> str | None:
    """Fewer images than declared, where whole volumes left out do not explain it."""
    wanted, here = facts.declared.images, facts.declared.found
    if wanted is None or not 0 < here < wanted or _is_copy(facts):
        return None
    thick = facts.declared.thickness_mm
    contiguous = thick is None or geometry.spacing[0] < _WIDE * thick
    if wanted % geometry.shape[0] == 0 and contiguous:
        return None
    return f"the header declares {wanted} images, and {here} are here"


def _is_copy(facts: SeriesFacts) -> bool:
    """Whether counts and spacing may be those of the images that these were made from."""
    return "SECONDARY" in facts.image_type


def _by_parts(facts: SeriesFacts) -> str | None:
    lost = facts.declared.parts
    return f"{lost} of the files that the images were spread over are not here" if lost else None


# --- other images of the same acquisition ----------------------------------------------------


def _by_siblings(
    number: int, volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict]
) -> str | None:
    own = volumes[number].geometry
    assert own is not None
    for n in _siblings(number, volumes, verdicts):
        other = volumes[n].geometry
        absent = [] if other is None else _absent(own, other)
        if other is not None and absent:
            return (
                f"{len(absent)} that {_name(volumes[n], volumes[number])} has, "
                f"{_where(absent, other)}; {own.shape[0]} are here"
            )
    return None


def _siblings(
    number: int, volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict]
) -> Iterator[int]:
    """Volumes that must have the same slices: of the same series, then of the same acquisition."""
    facts = volumes[number]
    for n, other in enumerate(volumes):
        same = other.series_instance_uid == facts.series_instance_uid
        if n != number and same and not other.stations:
            yield n
    for n, other in enumerate(volumes):
        if other.series_instance_uid == facts.series_instance_uid:
            continue
        together = _made_with(verdicts[number], verdicts[n]) and _same_timing(facts, other)
        together = together and overlap(facts.geometry, other.geometry) >= _SAME_FIELD
        if together and not _explained(n, number, volumes, verdicts):
            yield n


_PARTS_OF = {
    SeriesRole.HIGH_B_DWI: (SeriesRole.LOW_B_DWI, SeriesRole.ADC),
    SeriesRole.ADC: (SeriesRole.HIGH_B_DWI,),
}


def _made_with(own: Verdict, other: Verdict) -> bool:
    """Whether images of such kinds come from one acquisition."""
    if own.role is SeriesRole.T1_IN_PHASE:
        return not other.candidate and (
            "Dixon" in other.reason or other.reason.startswith("opposed phase")
        )
    return other.role in _PARTS_OF.get(own.role, ())


def _same_timing(a: SeriesFacts, b: SeriesFacts) -> bool:
    """Equal repetition times and flip angles; a computed map may state none."""
    pairs = (
        (a.repetition_time_ms, b.repetition_time_ms),
        (a.flip_angle_deg, b.flip_angle_deg),
    )
    return all(
        one is None or two is None or abs(one - two) <= _SAME_TIME * max(one, two)
        for one, two in pairs
    )


def _explained(
    sibling: int, number: int, volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict]
) -> bool:
    """Whether another volume of this one's kind has all the sibling's slices."""
    grid = volumes[sibling].geometry
    if grid is None:
        return True
    return any(
        verdict.candidate
        and verdict.role is verdicts[number].role
        and facts.geometry is not None
        and n not in (sibling, number)
        and _aligned(facts.geometry, grid)
        and not _absent(facts.geometry, grid)
        for n, (facts, verdict) in enumerate(zip(volumes, verdicts, strict=True))
    )


def _name(sibling: SeriesFacts, own: SeriesFacts) -> str:
    b_value = "" if sibling.b_value is None else f" at b = {sibling.b_value:g}"
    if sibling.series_instance_uid == own.series_instance_uid:
        return f"the same series{b_value}"
    return f"{sibling.label}{b_value}"


def _aligned(own: Geometry, other: Geometry) -> bool:
    """Whether both have the same rows and columns, and slices that coincide or interleave."""
    same_plane = (
        own.shape[1:] == other.shape[1:]
        and np.abs(own.axes - other.axes).max() < 2e-3
        and np.allclose(own.spacing[1:], other.spacing[1:], rtol=1e-3)
    )
    if not same_plane:
        return False
    at = _in(own, other)
    halves, steps = 2 * at[:, 0], own.spacing[0] / other.spacing[0]
    off = np.abs(halves - np.rint(halves)).max() / 2, np.abs(at[:, 1:]).max()
    return bool(max(off) < _SAME_PLACE and abs(steps - round(steps)) < _SAME_PLACE)


def _absent(own: Geometry, other: Geometry) -> list[int]:
    """Slices of the other grid where this one has none; none if the grids are not aligned."""
    if not _aligned(own, other):
        return []
    at = _in(own, other)[:, 0]
    return [k for k in range(other.shape[0]) if np.abs(at - k).min() > _SAME_PLACE]


def _in(own: Geometry, other: Geometry) -> np.ndarray:
    """Index of the first pixel of each own slice in the other grid."""
    index = np.zeros((own.shape[0], 3))
    index[:, 0] = np.arange(own.shape[0])
    return other.to_index(own.to_lps(index))


def _where(slices: Sequence[int], grid: Geometry) -> str:
    """Where the missing slices lie, along the body axis that the stack is nearest to."""
    ends = grid.to_lps([[slices[0], 0, 0], [slices[-1], 0, 0]])
    axis = int(np.abs(grid.axes[0]).argmax())
    low, high = sorted((float(ends[0][axis]), float(ends[1][axis])))
    return f"at {'xyz'[axis]} = {low:.2f} to {high:.2f} mm"
