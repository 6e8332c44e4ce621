"""A row for each series: taken or not, and why; and why a study must be refused, if so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pelvimets.core.series.diffusion import NO_B_VALUE, is_diffusion
from pelvimets.core.series.facts import SeriesFacts, Verdict, told_apart
from pelvimets.core.series.kind import T1_ROLES
from pelvimets.core.study import SeriesDecision, SeriesRole
from pelvimets.errors import GeometryError, InputError, SelectionError

_SEE_TABLE = "Name a series with --dwi-series or --t1-series, or give a study that has one"


@dataclass(frozen=True)
class Choice:
    """One volume taken.

    Attributes:
        index: Its place in the list of facts.
        role: What it is taken as.
        notes: Flags for the report.
        asked: Whether its series was named by the user.
    """

    index: int
    role: SeriesRole
    notes: tuple[str, ...] = ()
    asked: bool = False


def series_table(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    choices: tuple[Choice | None, Choice | None, Choice | None],
) -> tuple[SeriesDecision, ...]:
    """One row for each series, by number; ``choices`` are those of DWI, ADC and T1."""
    series: dict[str, list[int]] = {}
    for n, facts in enumerate(volumes):
        if not facts.stations:
            series.setdefault(facts.series_instance_uid, []).append(n)
    rows = [_row(volumes, verdicts, members, choices) for members in series.values()]
    return tuple(sorted(rows, key=lambda r: (r.number is None, r.number or 0, r.description)))


def _row(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    members: Sequence[int],
    choices: tuple[Choice | None, Choice | None, Choice | None],
) -> SeriesDecision:
    first = volumes[members[0]]
    taken = [
        (name, choice)
        for name, choice in zip(("dwi", "adc", "t1"), choices, strict=True)
        if choice is not None
        and (
            choice.index in members
            or (volumes[choice.index].stations and _is_part(volumes[choice.index], first))
        )
    ]
    b_values = sorted({b for n in members if (b := volumes[n].b_value) is not None})
    role, reason = (
        _taken_reason(volumes, verdicts, taken)
        if taken
        else _left_reason(volumes, verdicts, members, choices)
    )
    return SeriesDecision(
        number=first.number,
        description=first.description,
        images=sum(volumes[n].images for n in members),
        role=role,
        taken_as=" and ".join(name for name, _ in taken) or None,
        reason=reason,
        b_values_s_per_mm2=tuple(b_values),
        series_instance_uid=first.series_instance_uid,
    )


def _is_part(joined: SeriesFacts, station: SeriesFacts) -> bool:
    return station.series_instance_uid in joined.all_series


def _taken_reason(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    taken: Sequence[tuple[str, Choice]],
) -> tuple[SeriesRole, str]:
    choice = taken[0][1]
    reason = verdicts[choice.index].reason
    said = any(note.startswith(reason) for note in choice.notes)
    parts = [*choice.notes] if said else [reason, *choice.notes]
    if defect := volumes[choice.index].defect or (not choice.asked and verdicts[choice.index].lost):
        parts.append(f"cannot be read: {defect}")
    return choice.role, "; ".join(dict.fromkeys(parts))


def _left_reason(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    members: Sequence[int],
    choices: Sequence[Choice | None],
) -> tuple[SeriesRole, str]:
    """The reason of the volume that came nearest to being taken, then the others' reasons."""
    near = sorted(members, key=lambda n: (not verdicts[n].candidate, _ROLE_RANK[verdicts[n].role]))
    parts = [_why_left(volumes, verdicts[n], choices) for n in near]
    defects = [d.split(" (got")[0] for n in members if (d := volumes[n].defect) is not None]
    text = list(dict.fromkeys(parts + defects[:1]))
    more = f"; and {len(text) - 4} other reasons" if len(text) > 4 else ""
    return verdicts[near[0]].role, "; ".join(text[:4]) + more


_ROLE_RANK = {role: rank for rank, role in enumerate(SeriesRole)}


def _why_left(
    volumes: Sequence[SeriesFacts], verdict: Verdict, choices: Sequence[Choice | None]
) -> str:
    if not verdict.candidate:
        return verdict.reason
    if verdict.lost:
        return f"{verdict.reason}; {verdict.lost}"
    dwi, adc, t1 = choices
    rival = {SeriesRole.HIGH_B_DWI: dwi, SeriesRole.ADC: adc}.get(verdict.role, t1)
    if rival is None:
        missing = "without a DWI it serves nothing" if dwi is None else "was not asked for"
        return f"{verdict.reason}; {missing}"
    return f"{verdict.reason}; {volumes[rival.index].label} serves better"


def refusal_of(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    taken: tuple[Choice | None, Choice | None],
    asked_none: bool,
    decisions: Sequence[SeriesDecision],
) -> InputError | None:
    """The error a study is refused with, None if it can be read; ``taken`` is DWI and T1."""
    for choice in taken:
        if choice is None:
            continue
        if defect := volumes[choice.index].defect:
            return _defect_error(volumes[choice.index], defect)
        if (lost := verdicts[choice.index].lost) and not choice.asked:
            return _lost_error(volumes[choice.index], lost)
    if taken[0] is None and not asked_none and (unnamed := _without_b_value(volumes, verdicts)):
        return SelectionError(
            "A diffusion series states no b-value, so it may or may not be the high-b DWI",
            got="; ".join(unnamed[:4]),
            remedy="Name it with --dwi-series (if it holds one image of each slice), "
            "or leave DWI out with --dwi-series none",
        )
    if taken == (None, None):
        return _nothing_serves(volumes, verdicts, decisions)
    return None


def _defect_error(facts: SeriesFacts, defect: str) -> GeometryError:
    return GeometryError(f"The {facts.label} cannot be read: {defect}")


def _lost_error(facts: SeriesFacts, lost: str) -> GeometryError:
    return GeometryError(
        f"The {facts.label} is not whole: {lost}",
        remedy="Export the whole series again. To read what is here, "
        "name the series with --dwi-series or --t1-series",
    )


def _without_b_value(volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict]) -> list[str]:
    unnamed = (
        facts
        for facts, verdict in zip(volumes, verdicts, strict=True)
        if verdict.reason.startswith(NO_B_VALUE)
    )
    return told_apart(unnamed, volumes)


def _nothing_serves(
    volumes: Sequence[SeriesFacts],
    verdicts: Sequence[Verdict],
    decisions: Sequence[SeriesDecision],
) -> InputError:
    broken = [
        facts
        for facts, verdict in zip(volumes, verdicts, strict=True)
        if facts.defect and (is_diffusion(facts) or verdict.role in T1_ROLES)
    ]
    named = zip(decisions, series_names(decisions), strict=True)
    table = "; ".join(
        f"series {name} '{row.description}' ({row.images} images): {row.reason.rstrip('.')}"
        for row, name in named
    )
    if len({facts.series_instance_uid for facts in volumes}) == 1 and broken:
        verdict = verdicts[volumes.index(broken[0])]
        return GeometryError(
            f"The {broken[0].label} cannot be read: {broken[0].defect}"
            f" It would not be taken either way: {verdict.reason}",
            remedy=_SEE_TABLE,
        )
    return SelectionError(
        "No series serves as high-b DWI or as T1", got=table or "no series", remedy=_SEE_TABLE
    )


def series_names(decisions: Sequence[SeriesDecision]) -> list[str]:
    """What a user can name each series by: its number, with its UID where that is not its own."""
    numbers = [row.number for row in decisions]
    return [
        str(row.number)
        if row.number is not None and numbers.count(row.number) == 1
        else f"{'-' if row.number is None else row.number} (UID {row.series_instance_uid})"
        for row in decisions
    ]
