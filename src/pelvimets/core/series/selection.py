"""Choose, among the volumes of a study, the high-b DWI, the ADC map and the T1 in phase.

The choice rests on header facts (``core.series.facts``); every series gets a row that says whether
it was taken and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.series.asked import NONE, asked_dwi, asked_t1
from pelvimets.core.series.completeness import lost_slices
from pelvimets.core.series.facts import SeriesFacts, Verdict
from pelvimets.core.series.kind import T1_ROLES, assess
from pelvimets.core.series.ranking import alike, fitting, preference, share_place
from pelvimets.core.series.table import Choice, refusal_of, series_table
from pelvimets.core.study import SeriesDecision, SeriesRole
from pelvimets.errors import InputError


@dataclass(frozen=True)
class Selection:
    """What was taken, a row per series, and why the study must be refused, if so."""

    dwi: Choice | None
    adc: Choice | None
    t1: Choice | None
    decisions: tuple[SeriesDecision, ...]
    refusal: InputError | None = None


def select(
    volumes: Sequence[SeriesFacts],
    *,
    dwi_series: str | None = None,
    t1_series: str | None = None,
    settings: SelectionSettings | None = None,
) -> Selection:
    """Choose the volumes to read.

    Args:
        volumes: Facts of every volume of the study.
        dwi_series, t1_series: Number, UID or part of the description of the series to take in
            place of the automatic choice; ``'none'`` leaves the sequence out.
        settings: Default ``SelectionSettings()``.

    Returns:
        The choice. ``refusal`` is set where what would be taken cannot be read, or nothing
        serves; it is not raised, so that the table can be shown.

    Raises:
        SelectionError: if a series asked for is not there, is ambiguous or is no MR volume.
    """
    settings = settings or SelectionSettings()
    verdicts = _verdicts(volumes, settings)
    dwi = _choose_dwi(volumes, verdicts, dwi_series, settings)
    t1 = _choose_t1(volumes, verdicts, t1_series)
    dwi, t1 = _in_one_place(volumes, verdicts, dwi, t1)
    adc = _choose_adc(volumes, verdicts, dwi)
    decisions = series_table(volumes, verdicts, (dwi, adc, t1))
    asked_none = (dwi_series or "").lower() == NONE
    refusal = refusal_of(volumes, verdicts, (dwi, t1), asked_none, decisions)
    return Selection(dwi, adc, t1, decisions, refusal)


def _verdicts(volumes: Sequence[SeriesFacts], settings: SelectionSettings) -> list[Verdict]:
    kinds = [_as_station(assess(facts, settings), facts) for facts in volumes]
    return [replace(kind, lost=lost_slices(n, volumes, kinds)) for n, kind in enumerate(kinds)]


def _as_station(verdict: Verdict, facts: SeriesFacts) -> Verdict:
    """A station gives way to the volume that it is a part of; that one says what it is made of."""
    if facts.station_of > 1:
        text = f"one of {facts.station_of} stations joined to one volume"
        return replace(verdict, reason=f"{verdict.reason}; {text}", candidate=False)
    if facts.stations:
        note = f"{len(facts.stations)} stations joined to one volume"
        return replace(verdict, notes=(*verdict.notes, note))
    return verdict


# --- each sequence -----------------------------------------------------------------------


def _choose_dwi(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    wanted: str | None,
    settings: SelectionSettings,
) -> Choice | None:
    if wanted is not None:
        return asked_dwi(volumes, verdicts, wanted, settings)
    return _best(volumes, verdicts, (SeriesRole.HIGH_B_DWI,))


def _choose_t1(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], wanted: str | None
) -> Choice | None:
    if wanted is not None:
        return asked_t1(volumes, verdicts, wanted)
    return _best(volumes, verdicts, T1_ROLES)


def _best(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], roles: tuple[SeriesRole, ...]
) -> Choice | None:
    found = fitting(verdicts, roles)
    if not found:
        return None
    best = min(found, key=lambda n: preference(volumes[n], verdicts[n]))
    return _taken(volumes, verdicts, best, found)


def _taken(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], best: int, rivals: Sequence[int]
) -> Choice:
    """The choice with a word on those that are as good: in the same place, and elsewhere."""
    twins = [n for n in rivals if n != best and alike(volumes, verdicts, n, best)]
    apart = [n for n in twins if not share_place(volumes, n, best)]
    beside = sorted({volumes[n].label for n in twins if n not in apart})
    notes = verdicts[best].notes
    if beside:
        notes += (
            f"{volumes[best].label} taken as the later one; {', '.join(beside)} "
            "would serve as well",
        )
    if apart:
        others = ", ".join(sorted({volumes[n].label for n in apart}))
        notes += (f"other stations of its kind, which do not fit to it, are left out: {others}",)
    return Choice(best, verdicts[best].role, notes)


def _in_one_place(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    dwi: Choice | None,
    t1: Choice | None,
) -> tuple[Choice | None, Choice | None]:
    """The best pair that shows the same part of the body, where the best of each do not.

    What was asked for stays.
    """
    if dwi is None or t1 is None or share_place(volumes, dwi.index, t1.index):
        return dwi, t1
    of_dwi, of_t1 = (
        [choice.index] if choice.asked else fitting(verdicts, roles)
        for choice, roles in ((dwi, (SeriesRole.HIGH_B_DWI,)), (t1, T1_ROLES))
    )
    pairs = [(d, t) for d in of_dwi for t in of_t1 if share_place(volumes, d, t)]
    if not pairs:
        return dwi, t1
    best = min(pairs, key=lambda pair: [preference(volumes[n], verdicts[n]) for n in pair])
    return (
        _moved(volumes, verdicts, dwi, best[0], of_dwi),
        _moved(volumes, verdicts, t1, best[1], of_t1),
    )


def _moved(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    before: Choice,
    index: int,
    rivals: Sequence[int],
) -> Choice:
    if index == before.index:
        return before
    taken = _taken(volumes, verdicts, index, rivals)
    first = volumes[before.index].label
    note = (
        f"taken because it shows the same part of the body as the other sequence; {first} does not"
    )
    return replace(taken, notes=(*taken.notes, note))


def _choose_adc(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], dwi: Choice | None
) -> Choice | None:
    """The sound ADC map that covers most of the DWI, then the one numbered nearest to it."""
    maps = [
        n
        for n, verdict in enumerate(verdicts)
        if verdict.role is SeriesRole.ADC
        and verdict.candidate
        and verdict.lost is None
        and volumes[n].defect is None
        and volumes[n].components == 1
    ]
    if dwi is None or not maps:
        return None
    target = volumes[dwi.index]

    def closeness(n: int) -> tuple[float, float]:
        covered = _covered(volumes[n].geometry, target.geometry)
        return -round(covered, 1), abs((volumes[n].number or 0) - (target.number or 0))

    best = min(maps, key=closeness)
    if target.geometry is not None and _covered(volumes[best].geometry, target.geometry) < 0.1:
        return None
    return Choice(best, SeriesRole.ADC, verdicts[best].notes)


def _covered(of: Geometry | None, field: Geometry | None) -> float:
    """Share of the field's bounding box that the other one covers, by axis-aligned boxes."""
    if of is None or field is None:
        return 0.0
    a, b = of.corners(), field.corners()
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    return float(np.prod(np.clip(high - low, 0, None)) / np.prod(b.max(0) - b.min(0)))
