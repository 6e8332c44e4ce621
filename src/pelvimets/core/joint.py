"""Both sequences read together: one probability of metastasis from the two networks' own.

Each network sees one sequence. A voxel that one finds doubtful and the other sure is a
metastasis more often than either says alone; one that the other denies, less often. A logistic
regression weighs the two; ``calibration.weights`` fits its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from pelvimets.config import JointSettings, LesionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.lanes import side_by_side
from pelvimets.core.odds import log_odds_of
from pelvimets.core.resample import interpolate_probability
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

FloatArray = npt.NDArray[np.float32]
Read = TypeVar("Read")

_LEAST_SURE = 0.003  # of a voxel's probability before its logit is taken


def read_together(
    own: Mapping[Sequence, Volume], settings: LesionSettings
) -> dict[Sequence, Volume]:
    """Probability on each sequence from all that were read; the network's own where it is alone.

    Args:
        own: What the network of each sequence says, on that sequence's grid.
        settings: With the weights for each sequence; without them nothing changes.
    """
    together = side_by_side(lambda s: _together(s, own, settings.of(s).joint), own)
    return dict(zip(own, together, strict=True))


def _together(
    sequence: Sequence, own: Mapping[Sequence, Volume], joint: JointSettings | None
) -> Volume:
    other = other_of(sequence, own)
    if joint is None or other is None:
        return own[sequence]
    here, there = log_odds(own[sequence], other, joint.reach_mm)
    chance = expit(joint.intercept + joint.own * here + joint.other * there)
    known = ~np.isnan(there)
    return own[sequence].with_array(np.where(known, chance, own[sequence].array).astype(np.float32))


def other_of(sequence: Sequence, read: Mapping[Sequence, Read]) -> Read | None:
    """What belongs to the other sequence, None if it was not read."""
    return next((own for s, own in read.items() if s is not sequence), None)


def log_odds(own: Volume, other: Volume, reach_mm: float) -> tuple[FloatArray, FloatArray]:
    """Logits of both networks on the grid of ``own`` (z, y, x), clipped; NaN outside the other.

    Args:
        own: Probability on its own grid.
        other: Probability of the other sequence's network on that sequence's grid.
        reach_mm: The other's highest probability so far along each axis counts, since
            diffusion images are displaced.
    """
    size = [2 * int(reach_mm / step) + 1 for step in other.geometry.spacing]
    reached = ndimage.maximum_filter(other.array, size)
    there = interpolate_probability(reached, other.geometry, own.geometry)
    there = _logits(there)
    there[~covered(other.geometry, own.geometry)] = np.nan
    return _logits(own.array), there


def _logits(probability: npt.NDArray[np.floating]) -> FloatArray:
    return log_odds_of(probability, _LEAST_SURE).astype(np.float32)


def covered(field: Geometry, grid: Geometry) -> npt.NDArray[np.bool_]:
    """Voxels of a grid whose centre lies in a field of view."""
    to_field = field.inverse @ grid.matrix
    steps = [np.arange(n, dtype=np.float32) for n in grid.shape]
    inside = np.ones(grid.shape, dtype=bool)
    for row, length in zip(to_field[:3].astype(np.float32), field.shape, strict=True):
        lines = [c * s for c, s in zip(row[:3], steps, strict=True)]
        index = lines[0][:, None, None] + lines[1][None, :, None] + lines[2] + row[3]
        inside &= (index >= -0.5) & (index <= length - 0.5)
    return inside
