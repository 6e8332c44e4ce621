"""Join volumes of one kind that were made at several table positions, as whole bodies are.

Stations have the same rows, columns and orientation and lie one above the other along their
slice normal; neighbours overlap by less than half, or leave no more than half a slice between
them. The lowest one sets the grid. In an overlap each slice comes from the station in which
it lies deeper, since the ends of a station are distorted most. Slices that lie between those
of the grid are interpolated along the normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import FloatArray, Geometry
from pelvimets.core.series.facts import SeriesFacts
from pelvimets.core.series.kind import kind_of, same_kind

_LARGEST_OVERLAP = 0.5  # of the shorter station; beyond, it is a repeat
_LARGEST_GAP = 1.5  # of the spacing, between the last slice of one and the first of the next
_SAME_SLICE = 0.1  # of the spacing
_SAME_ECHO = 0.05


@dataclass(frozen=True)
class Pick:
    """A share of one slice of a joined volume: which station, which of its slices, how much."""

    station: int
    slice: int
    weight: float


@dataclass(frozen=True, eq=False)
class Joint:
    """Stations that make one volume.

    Attributes:
        stations: Places in the list of volumes, from the lowest along the slice normal.
        geometry: The joined grid.
        slices: Where each slice of it comes from; weights add up to 1, the largest first.
    """

    stations: tuple[int, ...]
    geometry: Geometry
    slices: tuple[tuple[Pick, ...], ...]

    @property
    def interpolated(self) -> bool:
        """Whether any slice lies between those that were acquired."""
        return any(len(picks) > 1 for picks in self.slices)


def joints(volumes: Sequence[SeriesFacts]) -> list[Joint]:
    """All sets of stations among the volumes of a study that fit together."""
    settings = SelectionSettings()
    left = [
        n
        for n, facts in enumerate(volumes)
        if facts.geometry is not None
        and facts.components == 1
        and kind_of(facts, settings).candidate
    ]
    found = []
    while left:
        alike = [n for n in left if n == left[0] or _may_join(volumes[left[0]], volumes[n])]
        left = [n for n in left if n not in alike]
        found += _chains(alike, volumes)
    return [_joint(chain, volumes) for chain in found if len(chain) > 1]


def _may_join(a: SeriesFacts, b: SeriesFacts) -> bool:
    """Whether two volumes differ in nothing but their place along the slice normal."""
    same_b = a.b_value == b.b_value and a.frame_of_reference == b.frame_of_reference
    settings = SelectionSettings()
    same_grade = kind_of(a, settings).grade == kind_of(b, settings).grade
    alike = same_b and same_grade and _same_echo(a, b) and same_kind(a, b)
    return alike and _same_columns(_grid(a), _grid(b))


def _same_echo(a: SeriesFacts, b: SeriesFacts) -> bool:
    if a.echo_time_ms is None or b.echo_time_ms is None:
        return a.echo_time_ms == b.echo_time_ms
    return abs(a.echo_time_ms - b.echo_time_ms) <= _SAME_ECHO * a.echo_time_ms


def _same_columns(a: Geometry, b: Geometry) -> bool:
    alike = (
        a.shape[1:] == b.shape[1:]
        and np.abs(a.axes - b.axes).max() < 2e-3
        and np.allclose(a.spacing, b.spacing, rtol=2e-3)
    )
    return bool(alike and np.abs(a.to_index(b.origin)[1:]).max() < _SAME_SLICE)


def _grid(facts: SeriesFacts) -> Geometry:
    assert facts.geometry is not None
    return facts.geometry


def _chains(alike: Sequence[int], volumes: Sequence[SeriesFacts]) -> list[list[int]]:
    """Volumes in order along the normal, cut where one does not go on from the one below.

    Of two at about the same place the one of the later series is taken.
    """
    base = _grid(volumes[alike[0]])
    span = {n: _span(base, _grid(volumes[n])) for n in alike}
    ordered = sorted(alike, key=lambda n: (span[n], -(volumes[n].number or 0)))
    chains: list[list[int]] = []
    while ordered:
        chain = [ordered[0]]
        for n in ordered[1:]:
            if _goes_on(span[chain[-1]], span[n]):
                chain.append(n)
            elif _is_repeat(span[chain[-1]], span[n]) and _is_later(volumes, n, chain[-1]):
                chain[-1] = n
        chains.append(chain)
        ordered = [n for n in ordered if n not in chain]
    return chains


def _span(base: Geometry, grid: Geometry) -> tuple[float, float]:
    """First and last slice in slices of the base grid."""
    first = float(base.to_index(grid.origin)[0])
    return first, first + grid.shape[0] - 1


def _goes_on(below: tuple[float, float], above: tuple[float, float]) -> bool:
    overlap = below[1] - above[0] + 1
    shorter = min(below[1] - below[0], above[1] - above[0]) + 1
    further = above[1] > below[1] and above[0] > below[0]
    return further and 1 - _LARGEST_GAP <= overlap <= _LARGEST_OVERLAP * shorter


def _is_repeat(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) < 1.0


def _is_later(volumes: Sequence[SeriesFacts], n: int, other: int) -> bool:
    return (volumes[n].number or 0) > (volumes[other].number or 0)


# --- the joined grid ---------------------------------------------------------------------------


def _joint(chain: Sequence[int], volumes: Sequence[SeriesFacts]) -> Joint:
    base = _grid(volumes[chain[0]])
    spans = [_span(base, _grid(volumes[n])) for n in chain]
    count = int(np.floor(spans[-1][1] + _SAME_SLICE)) + 1
    slices = tuple(_picks(k, spans) for k in range(count))
    geometry = Geometry((count, base.shape[1], base.shape[2]), base.matrix)
    return Joint(tuple(chain), geometry, slices)


def _picks(place: int, spans: Sequence[tuple[float, float]]) -> tuple[Pick, ...]:
    """The station in which the place lies deepest; between two stations a share of each."""
    depth = [min(place - low, high - place) for low, high in spans]
    owner = int(np.argmax(depth))
    if depth[owner] >= -_SAME_SLICE:
        return _within(owner, place - spans[owner][0], spans[owner])
    below = next(n for n, (a, b) in enumerate(pairwise(spans)) if a[1] < place < b[0])
    lower, upper = spans[below][1], spans[below + 1][0]
    share = (place - lower) / (upper - lower)
    last = round(spans[below][1] - spans[below][0])
    return _sorted(Pick(below, last, 1 - share), Pick(below + 1, 0, share))


def _within(station: int, at: float, span: tuple[float, float]) -> tuple[Pick, ...]:
    nearest = int(np.clip(round(at), 0, round(span[1] - span[0])))
    if abs(at - nearest) <= _SAME_SLICE:
        return (Pick(station, nearest, 1.0),)
    low = int(np.floor(at))
    return _sorted(Pick(station, low, 1 - (at - low)), Pick(station, low + 1, at - low))


def _sorted(one: Pick, other: Pick) -> tuple[Pick, ...]:
    return (one, other) if one.weight >= other.weight else (other, one)


def overlap(a: Geometry | None, b: Geometry | None) -> float:
    """Share of the smaller of two fields that the other one covers, by their boxes."""
    if a is None or b is None:
        return 0.0
    low, high = np.maximum(_low(a), _low(b)), np.minimum(_high(a), _high(b))
    common = float(np.prod(np.clip(high - low, 0, None)))
    return common / min(float(np.prod(_high(g) - _low(g))) for g in (a, b))


def _low(grid: Geometry) -> FloatArray:
    return np.asarray(grid.corners().min(axis=0), dtype=np.float64)


def _high(grid: Geometry) -> FloatArray:
    return np.asarray(grid.corners().max(axis=0), dtype=np.float64)
