"""Take the series that the user names, and say in what it differs from what is taken else."""

from __future__ import annotations

from collections.abc import Sequence

from pelvimets.config import SelectionSettings
from pelvimets.core.series.diffusion import is_calculated, is_diffusion
from pelvimets.core.series.facts import SeriesFacts, Verdict, told_apart
from pelvimets.core.series.kind import T1_ROLES
from pelvimets.core.series.ranking import preference
from pelvimets.core.series.table import Choice
from pelvimets.core.study import SeriesRole
from pelvimets.errors import SelectionError

NONE = "none"


def asked_dwi(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    wanted: str,
    settings: SelectionSettings,
) -> Choice | None:
    """The DWI of the series named; None if ``wanted`` leaves it out.

    Raises:
        SelectionError: if no series or more than one is meant, or nothing says which of its images.
    """
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


def asked_t1(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], wanted: str
) -> Choice | None:
    """The T1 of the series named; None if ``wanted`` leaves it out.

    Raises:
        SelectionError: as for the DWI.
    """
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
    return min(fitting, key=lambda n: preference(volumes[n], verdicts[n]), default=None)


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
            remedy=f"Use a number or UID of: {_listed(shown, volumes)}",
        )
    usable = [n for n in found if volumes[n].unusable is None]
    if not usable:
        raise SelectionError(
            f"{option} names a series that cannot be read as MR slices",
            got=volumes[found[0]].unusable,
            remedy=f"Choose among: {_listed([v for v in volumes if v.unusable is None], volumes)}",
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


def _listed(shown: Sequence[SeriesFacts], among: Sequence[SeriesFacts]) -> str:
    labels = told_apart(shown, among)
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
