"""Trials of a search as they are kept, and which of them count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from pelvimets.training.search.space import Value

SHARES = 20
"""Scores are compared at so many points of the schedule, so that fast and slow networks,
which see different numbers of epochs in the same time, meet at the same share of it."""

_LOSSES_ALLOWED = 2


class Fate(StrEnum):
    """What became of a trial."""

    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    LOST = "lost"  # its worker was stopped; run again as another trial
    SURPLUS = "surplus"  # begun when others had taken the last place

    @property
    def takes_place(self) -> bool:
        """Whether it counts for the total."""
        return self in (Fate.FINISHED, Fate.PRUNED, Fate.FAILED, Fate.RUNNING)


@dataclass(frozen=True)
class TrialRecord:
    """One trial as it is kept.

    Attributes:
        number: Of the trial.
        fate: What became of it.
        score: On the validation samples; of a pruned trial where it was stopped.
        values: Drawn, by name of the setting.
        reason: Of a failure.
        curve: Score by share of the schedule, in ``SHARES``.
        started: When.
        minutes: It took.
        sampler: That drew its values.
        worker: Host, process and its start.
        run: Name of the folder of its run; a trial that was begun again keeps it.
        slot: What it was put in the queue for; taken by the first trial that has it.
        lost: How many workers it has been lost with.
    """

    number: int
    fate: Fate
    score: float | None
    values: Mapping[str, Value]
    reason: str | None
    curve: Mapping[int, float]
    started: datetime | None
    minutes: float | None
    sampler: str | None
    worker: str | None
    run: str
    slot: str | None
    lost: int


def record_of(trial: FrozenTrial) -> TrialRecord:
    """A trial of Optuna's as a record."""
    attributes = trial.user_attrs
    lost = int(attributes.get("lost", 0))
    fate = _fate(trial)
    if trial.state is TrialState.FAIL and not attributes.get("interrupted"):
        lost += 1
    reason = attributes.get("reason")
    if fate is Fate.LOST and lost >= _LOSSES_ALLOWED:
        fate, reason = Fate.FAILED, f"its worker was killed {lost} times; too little memory?"
    duration = trial.duration
    return TrialRecord(
        number=trial.number,
        fate=fate,
        score=trial.value if fate in (Fate.FINISHED, Fate.PRUNED) else None,
        values=dict(trial.params) or dict(trial.system_attrs.get("fixed_params", {})),
        reason=reason,
        curve=dict(sorted(trial.intermediate_values.items())),
        started=_in_utc(trial.datetime_start),
        minutes=duration.total_seconds() / 60 if duration else None,
        sampler=attributes.get("sampler"),
        worker=attributes.get("worker"),
        run=run_name(trial.number, attributes),
        slot=attributes.get("slot"),
        lost=lost,
    )


def _fate(trial: FrozenTrial) -> Fate:
    if trial.state is TrialState.FAIL:
        if trial.user_attrs.get("surplus"):
            return Fate.SURPLUS
        return Fate.FAILED if "reason" in trial.user_attrs else Fate.LOST
    return {
        TrialState.COMPLETE: Fate.FINISHED,
        TrialState.PRUNED: Fate.PRUNED,
        TrialState.RUNNING: Fate.RUNNING,
        TrialState.WAITING: Fate.WAITING,
    }[trial.state]


def is_surplus(records: Iterable[TrialRecord], number: int, total: int) -> bool:
    """Whether a trial that has just begun comes too late.

    True if trials begun before it take all places, or one of them was put in the queue for
    the same purpose. All workers come to the same answer.
    """
    before = [r for r in records if r.number < number]
    slot = next(r.slot for r in records if r.number == number)
    if slot is not None and any(r.slot == slot for r in before):
        return True
    return places_taken(before) >= total


def places_taken(records: Iterable[TrialRecord]) -> int:
    """Trials that count for the total."""
    return sum(record.fate.takes_place for record in records)


def ended(records: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Trials that count for the total and run no more."""
    return tuple(r for r in records if r.fate.takes_place and r.fate is not Fate.RUNNING)


def remaining_minutes(records: Sequence[TrialRecord], total: int) -> float | None:
    """Estimate of the time to the total, at the mean of the trials so far.

    Trials that run now, and the caller, share the rest; None before the first trial has ended.
    """
    done = ended(records)
    took = [r.minutes for r in done if r.minutes is not None]
    if not took:
        return None
    workers = 1 + sum(r.fate is Fate.RUNNING for r in records)
    return max(total - len(done), 0) * sum(took) / len(took) / workers


def best(records: Iterable[TrialRecord], count: int = 1) -> tuple[TrialRecord, ...]:
    """The finished trials with the highest scores, best first; the earlier of equal ones."""
    finished = [r for r in records if r.fate is Fate.FINISHED and r.score is not None]
    return tuple(sorted(finished, key=lambda r: (-(r.score or 0.0), r.number))[:count])


def run_name(number: int, attributes: Mapping[str, Any]) -> str:
    """Name of the folder of a trial's run."""
    return str(attributes.get("run", f"{number:04d}"))


def _in_utc(time_there: datetime | None) -> datetime | None:
    """Optuna keeps the local time of the worker."""
    return None if time_there is None else time_there.astimezone(UTC)
