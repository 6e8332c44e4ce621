"""The trials of a search as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pelvimets.training.search.space import SearchSpace

if TYPE_CHECKING:
    from pelvimets.training.search.records import TrialRecord


def trial_rows(records: Sequence[TrialRecord], space: SearchSpace) -> list[dict[str, object]]:
    """The table of trials; those that came too late for a place are left out."""
    from pelvimets.training.search.records import Fate

    return [
        {
            "trial": r.number,
            "state": r.fate.value,
            "score": r.score,
            **{name: r.values.get(name) for name in space},
            "minutes": None if r.minutes is None else round(r.minutes, 3),
            "started_utc": None if r.started is None else f"{r.started:%Y-%m-%dT%H:%M:%SZ}",
            "sampler": r.sampler,
            "from": r.slot,
            "worker": r.worker,
            "run": r.run,
            "reason": r.reason,
        }
        for r in records
        if r.fate is not Fate.SURPLUS
    ]
