"""Order the candidates of a study: which is better, which are as good, which show one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pelvimets.core.series.facts import SeriesFacts, Verdict
from pelvimets.core.series.stations import overlap
from pelvimets.core.study import SeriesRole

_SAME_PLACE = 0.25  # of the smaller field
_PELVIS_NAMES = ("pelv", "becken", "bassin", "prost", "bacino", "hip")


def fitting(verdicts: Sequence[Verdict], roles: tuple[SeriesRole, ...]) -> list[int]:
    """Candidates of some roles."""
    return [n for n, v in enumerate(verdicts) if v.candidate and v.role in roles]


def preference(facts: SeriesFacts, verdict: Verdict) -> tuple[float, ...]:
    """Smaller is better: by kind, whole, named after the pelvis, wider field, the later one."""
    return (*quality(facts, verdict), -float(facts.number or 0))


def quality(facts: SeriesFacts, verdict: Verdict) -> tuple[float, ...]:
    """The same without regard to which is later."""
    grid = facts.geometry
    text = f"{facts.description} {facts.protocol}".lower()
    named = 0.0 if any(name in text for name in _PELVIS_NAMES) else 1.0
    field = 0.0 if grid is None else -round(float(np.prod(grid.extent_mm())) / 1e6, 1)
    return verdict.grade, float(verdict.lost is not None), named, field


def alike(
    volumes: Sequence[SeriesFacts], verdicts: Sequence[Verdict], first: int, second: int
) -> bool:
    """Whether nothing but the number puts one volume before another."""
    return quality(volumes[first], verdicts[first]) == quality(volumes[second], verdicts[second])


def share_place(volumes: Sequence[SeriesFacts], first: int, second: int) -> bool:
    """Whether two volumes show the same place; what has no grid is given the benefit."""
    a, b = volumes[first].geometry, volumes[second].geometry
    return a is None or b is None or overlap(a, b) >= _SAME_PLACE
