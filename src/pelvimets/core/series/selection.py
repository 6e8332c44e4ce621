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
from pelvimets.core.series.completeness import lost_slices
from pelvimets.core.series.diffusion import is_calculated, is_diffusion
from pelvimets.core.series.facts import SeriesFacts, Verdict
from pelvimets.core.series.kind import T1_ROLES, judge
from pelvimets.core.series.stations import overlap
from pelvimets.core.series.table import Choice, refusal_of, series_table
from pelvimets.core.study import SeriesDecision, SeriesRole
from pelvimets.errors import InputError, SelectionError

NONE = "none"
_SAME_PLACE = 0.25  # of the smaller field
_PELVIS_NAMES = ("pelv", "becken", "bassin", "prost", "bacino", "hip")


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
    kinds = [_as_station(judge(facts, settings), facts) for facts in volumes]
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
        return _asked_dwi(volumes, verdicts, wanted, settings)
    return _best(volumes, verdicts, (SeriesRole.HIGH_B_DWI,))


def _choose_t1(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], wanted: str | None
) -> Choice | None:
    if wanted is not None:
        return _asked_t1(volumes, verdicts, wanted)
    return _best(volumes, verdicts, T1_ROLES)


def _best(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], roles: tuple[SeriesRole, ...]
) -> Choice | None:
    fitting = _fitting(verdicts, roles)
    if not fitting:
        return None
    best = min(fitting, key=lambda n: _preference(volumes[n], verdicts[n]))
    return _taken(volumes, verdicts, best, fitting)


def _taken(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], best: int, fitting: Sequence[int]
) -> Choice:
    """The choice with a word on those that are as good: in the same place, and elsewhere."""
    twins = [n for n in fitting if n != best and _alike(volumes, verdicts, n, best)]
    apart = [n for n in twins if not _overlap(volumes, n, best)]
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
    if dwi is None or t1 is None or _overlap(volumes, dwi.index, t1.index):
        return dwi, t1
    of_dwi, of_t1 = (
        [choice.index] if choice.asked else _fitting(verdicts, roles)
        for choice, roles in ((dwi, (SeriesRole.HIGH_B_DWI,)), (t1, T1_ROLES))
    )
    pairs = [(d, t) for d in of_dwi for t in of_t1 if _overlap(volumes, d, t)]
    if not pairs:
        return dwi, t1
    best = min(pairs, key=lambda pair: [_preference(volumes[n], verdicts[n]) for n in pair])
    return (
        _moved(volumes, verdicts, dwi, best[0], of_dwi),
        _moved(volumes, verdicts, t1, best[1], of_t1),
    )


def _moved(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    before: Choice,
    index: int,
    fitting: Sequence[int],
) -> Choice:
    if index == before.index:
        return before
    taken = _taken(volumes, verdicts, index, fitting)
    first = volumes[before.index].label
    note = (
        f"taken because it shows the same part of the body as the other sequence; {first} does not"
    )
    return replace(taken, notes=(*taken.notes, note))


def _fitting(verdicts: Sequence[Verdict], roles: tuple[SeriesRole, ...]) -> list[int]:
    return [n for n, v in enumerate(verdicts) if v.candidate and v.role in roles]


def _overlap(volumes: Sequence[SeriesFacts], first: int, second: int) -> bool:
    """Whether two volumes show the same place; what has no grid is given the benefit."""
    a, b = volumes[first].geometry, volumes[second].geometry
    return a is None or b is None or overlap(a, b) >= _SAME_PLACE


def _preference(facts: SeriesFacts, verdict: Verdict) -> tuple[float, ...]:
    """Smaller is better: by kind, whole, named after the pelvis, wider field, the later one."""
    return (*_quality(facts, verdict), -float(facts.number or 0))


def _quality(facts: SeriesFacts, verdict: Verdict) -> tuple[float, ...]:
    grid = facts.geometry
    text = f"{facts.description} {facts.protocol}".lower()
    named = 0.0 if any(name in text for name in _PELVIS_NAMES) else 1.0
    field = 0.0 if grid is None else -round(float(np.prod(grid.extent_mm())) / 1e6, 1)
    return verdict.grade, float(verdict.lost is not None), named, field


def _alike(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], first: int, second: int
) -> bool:
    return _quality(volumes[first], verdicts[first]) == _quality(volumes[second], verdicts[second])


def _choose_adc(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], dwi: Choice | None
) -> Choice | None:
    """The sound ADC map that covers most of the DWI, then the one numbered nearest to it."""
    fitting = [
        n
        for n, verdict in enumerate(verdicts)
        if verdict.role is SeriesRole.ADC
        and verdict.candidate
        and verdict.lost is None
        and volumes[n].defect is None
        and volumes[n].components == 1
    ]
    if dwi is None or not fitting:
        return None
    target = volumes[dwi.index]

    def preference(n: int) -> tuple[float, float]:
        covered = _covered(volumes[n].geometry, target.geometry)
        return -round(covered, 1), abs((volumes[n].number or 0) - (target.number or 0))

    best = min(fitting, key=preference)
    if target.geometry is not None and _covered(volumes[best].geometry, target.geometry) < 0.1:
        return None
    return Choice(best, SeriesRole.ADC)


def _covered(of: Geometry | None, field: Geometry | None) -> float:
    """Share of the field's bounding box that the other one covers, by axis-aligned boxes."""
    if of is None or field is None:
        return 0.0
    a, b = of.corners(), field.corners()
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    return float(np.prod(np.clip(high - low, 0, None)) / np.prod(b.max(0) - b.min(0)))


# --- overrides ---------------------------------------------------------------------------


def _asked_dwi(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    wanted: str,
    settings: SelectionSettings,
) -> Choice | None:
    found = _matching(volumes, wanted, "--dwi-series")
    if not found:
        return None
    best = _best_among(volumes, verdicts, found, (SeriesRole.HIGH_B_DWI,))
    if best is None:
        best = max(found, key=lambda n: _nearness(volumes[n].b_value, settings))
        same = [n for n in found if volumes[n].b_value == volumes[best].b_value]
        _check_single(volumes, same, "--dwi-series")
    notes = (*verdicts[best].notes, "taken because it was asked for")
    facts = volumes[best]
    if facts.b_value is None or not is_diffusion(facts):
        _check_one_image_per_slice(facts, "--dwi-series")
    if facts.b_value is None:
        notes += ("its b-value is unknown",)
    if is_calculated(facts):
        notes += ("a calculated b-value, not an acquired one",)
    if not is_diffusion(facts):
        notes += ("does not look like a diffusion image",)
    return _asked(best, SeriesRole.HIGH_B_DWI, verdicts[best], notes)


def _nearness(b_value: float | None, settings: SelectionSettings) -> float:
    if b_value is None:
        return -1e6
    low, high = settings.b_range
    return -max(low - b_value, b_value - high, 0.0) + b_value / 1e6


def _asked_t1(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], wanted: str
) -> Choice | None:
    found = _matching(volumes, wanted, "--t1-series")
    if not found:
        return None
    best = _best_among(volumes, verdicts, found, T1_ROLES)
    if best is None:
        _check_single(volumes, found, "--t1-series")
        best = found[0]
        _check_one_image_per_slice(volumes[best], "--t1-series")
    verdict = verdicts[best]
    notes = (*verdict.notes, "taken because it was asked for")
    if not verdict.candidate:
        notes += (f"not what is taken as T1 otherwise: {verdict.reason}",)
    role = verdict.role if verdict.role in T1_ROLES else SeriesRole.T1_LIKE
    return _asked(best, role, verdict, notes)


def _asked(index: int, role: SeriesRole, verdict: Verdict, notes: tuple[str, ...]) -> Choice:
    return Choice(
        index, role, notes if verdict.lost is None else (*notes, verdict.lost), asked=True
    )


def _best_among(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    found: Sequence[int],
    roles: tuple[SeriesRole, ...],
) -> int | None:
    fitting = [n for n in found if verdicts[n].candidate and verdicts[n].role in roles]
    return min(fitting, key=lambda n: _preference(volumes[n], verdicts[n]), default=None)


def _matching(volumes: Sequence[SeriesFacts], wanted: str, option: str) -> list[int]:
    """Volumes of the one series meant: by number, by UID, else by part of the description."""
    if wanted.strip().lower() == NONE:
        return []
    found = _search(volumes, wanted.strip())
    series = {volumes[n].series_instance_uid for n in found}
    if joined := _joined_of(volumes, series):
        return joined
    if len(series) != 1:
        what = "matches more than one series" if series else "matches no series"
        shown = [volumes[n] for n in found] or list(volumes)
        raise SelectionError(
            f"{option} {what}",
            got=repr(wanted),
            remedy=f"Use a number or UID of: {_listed(shown)}",
        )
    usable = [n for n in found if volumes[n].unusable is None]
    if not usable:
        raise SelectionError(
            f"{option} names a series that cannot be read as MR slices",
            got=volumes[found[0]].unusable,
            remedy=f"Choose among: {_listed([v for v in volumes if v.unusable is None])}",
        )
    return usable


def _joined_of(volumes: Sequence[SeriesFacts], series: set[str]) -> list[int]:
    """The volume that all of several series are stations of."""
    if len(series) < 2:
        return []
    return [n for n, v in enumerate(volumes) if v.stations and set(v.all_series) >= series]


def _search(volumes: Sequence[SeriesFacts], wanted: str) -> list[int]:
    tests = (
        lambda v: v.series_instance_uid == wanted,
        lambda v: wanted.isdecimal() and v.number == int(wanted),
        lambda v: v.description.lower() == wanted.lower(),
        lambda v: bool(wanted) and wanted.lower() in v.description.lower(),
    )
    alone = [(n, v) for n, v in enumerate(volumes) if len(v.all_series) == 1]
    hits = ([n for n, v in alone if test(v)] for test in tests)
    return next((found for found in hits if found), [])


def _listed(volumes: Sequence[SeriesFacts]) -> str:
    labels = list(dict.fromkeys(facts.label for facts in volumes))
    more = f" and {len(labels) - 12} more" if len(labels) > 12 else ""
    return ("; ".join(labels[:12]) + more) or "no series of MR slices"


def _check_single(volumes: Sequence[SeriesFacts], found: Sequence[int], option: str) -> None:
    if len(found) > 1:
        kinds = "; ".join(_kind_of_volume(volumes[n]) for n in found[:8])
        raise SelectionError(
            f"{option} names a series of {len(found)} volumes, and none stands out",
            got=kinds,
            remedy="Export the wanted volume as a series of its own, or name another series",
        )


def _check_one_image_per_slice(facts: SeriesFacts, option: str) -> None:
    """Refuse to average images of unknown kind: they may be b-values, or phases of an agent."""
    if facts.components > 1:
        raise SelectionError(
            f"{option} names a series with several images of each slice, "
            "and nothing says which is meant",
            got=f"{facts.components} of each, {facts.images} in all",
            remedy="Export the wanted images as a series of their own, or name another series",
        )


def _kind_of_volume(facts: SeriesFacts) -> str:
    parts = [f"{facts.images} images", "\\".join(facts.image_type)]
    if facts.b_value is not None:
        parts.append(f"b = {facts.b_value:g}")
    if facts.echo_time_ms is not None:
        parts.append(f"echo time {facts.echo_time_ms:g} ms")
    return ", ".join(part for part in parts if part)
