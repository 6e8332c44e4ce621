"""Log odds of probabilities that are never quite 0 or 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit

LEAST_SURE = 0.001
"""A probability below counts as this, one above one less this as that."""


def log_odds_of(
    probability: float | npt.NDArray[np.floating[Any]], least: float = LEAST_SURE
) -> npt.NDArray[np.floating[Any]]:
    """Logit, clipped: of 0 that of ``least``, of 1 that of its complement.

    >>> round(float(log_odds_of(1.0)), 3), float(log_odds_of(0.5))
    (6.907, 0.0)
    """
    return np.asarray(logit(np.clip(probability, least, 1 - least)))
