"""Confidence intervals: proportions, areas under the ROC curve, and figures of clustered data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from pelvimets.errors import InputError, SettingsError
from pelvimets.evaluation.measures.masks import FloatArray

LEVEL = 0.95
ProportionMethod = Literal["clopper-pearson", "wilson"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: NaN where there is nothing to estimate.
        low, high: Bounds; NaN where the method gives none.
        method: How the bounds were found.
        level: Confidence level.
    """

    estimate: float
    low: float
    high: float
    method: str
    level: float = LEVEL

    @property
    def defined(self) -> bool:
        """Whether both bounds exist."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def proportion_interval(
    successes: int, trials: int, method: ProportionMethod = "clopper-pearson", level: float = LEVEL
) -> Interval:
    """Interval of a proportion of independent trials.

    Args:
        successes: Number of successes.
        trials: Number of trials; with 0 everything is NaN.
        method: Clopper-Pearson (exact, never too narrow) or Wilson's score.
        level: Confidence level.

    Raises:
        InputError: if the counts are not 0 <= successes <= trials.

    >>> interval = proportion_interval(14, 16)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.617, 0.984)
    """
    if not 0 <= successes <= trials:
        raise InputError("A proportion needs 0 <= successes <= trials", got=f"{successes}/{trials}")
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"), method, level)
    bounds = {"clopper-pearson": _clopper_pearson, "wilson": _wilson}
    if method not in bounds:
        raise SettingsError(
            "Unknown interval of a proportion", got=method, remedy=f"Use {', '.join(bounds)}"
        )
    low, high = bounds[method](successes, trials, 1 - (1 - level) / 2)
    return Interval(successes / trials, low, high, method, level)


def _clopper_pearson(successes: int, trials: int, upper: float) -> tuple[float, float]:
    """By the beta distribution; SciPy's ``binomtest`` searches for the same bounds."""
    k, n = successes, trials
    low = float(special.betaincinv(k, n - k + 1, 1 - upper)) if k else 0.0
    high = float(special.betaincinv(k + 1, n - k, upper)) if k < n else 1.0
    return low, high


def _wilson(successes: int, trials: int, upper: float) -> tuple[float, float]:
    z, share = float(special.ndtri(upper)), successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials)
    half *= float(np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)))
    low = max(0.0, middle - half) if successes else 0.0
    return low, min(1.0, middle + half) if successes < trials else 1.0


def percentile_interval(
    estimate: float, replicates: FloatArray, level: float = LEVEL, method: str = "bootstrap"
) -> Interval:
    """Bounds from bootstrap replicates by percentiles; replicates that are NaN are left out."""
    valid = replicates[np.isfinite(replicates)]
    if valid.size == 0 or not np.isfinite(estimate):
        return Interval(estimate, float("nan"), float("nan"), method, level)
    low, high = np.quantile(valid, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), method, level)


def resample_counts(
    rng: np.random.Generator, patients: int, samples: int, strata: npt.ArrayLike | None = None
) -> npt.NDArray[np.int64]:
    """How often each patient is drawn in each bootstrap sample.

    Args:
        rng: Source of randomness.
        patients: Number of patients.
        samples: Number of bootstrap samples.
        strata: One value per patient; draws keep the size of each stratum.

    Returns:
        (samples, patients) counts; each row sums to the number of patients.
    """
    groups = np.zeros(patients, int) if strata is None else np.asarray(strata)
    counts = np.zeros((samples, patients), np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        share = np.full(members.size, 1.0 / members.size)
        counts[:, members] = rng.multinomial(members.size, share, size=samples)
    return counts


def ratio_replicates(
    counts: npt.NDArray[np.int64], numerators: npt.ArrayLike, denominators: npt.ArrayLike
) -> FloatArray:
    """Bootstrap replicates of sum(numerators) / sum(denominators) over patients.

    Args:
        counts: (samples, patients) from ``resample_counts``.
        numerators, denominators: One value per patient.

    Returns:
        (samples,); NaN where the denominator is 0.
    """
    above = counts @ np.asarray(numerators, dtype=np.float64)
    below = counts @ np.asarray(denominators, dtype=np.float64)
    ratios: FloatArray = np.full(above.shape, np.nan)
    return np.divide(above, below, out=ratios, where=below != 0)


def mean_replicates(counts: npt.NDArray[np.int64], values: npt.ArrayLike) -> FloatArray:
    """Bootstrap replicates of the mean over patients; values that are NaN are left out."""
    array = np.asarray(values, dtype=np.float64)
    valid = np.isfinite(array)
    return ratio_replicates(counts, np.where(valid, array, 0.0), valid)


def auc_replicates(
    counts: npt.NDArray[np.int64], truth: npt.ArrayLike, scores: npt.ArrayLike
) -> FloatArray:
    """Bootstrap replicates of the area under the ROC curve, NaN where a class is missing."""
    positive = np.asarray(truth, dtype=bool)
    score = np.asarray(scores, dtype=np.float64)
    gap = score[positive][:, None] - score[~positive][None, :]
    wins: FloatArray = (gap > 0) + 0.5 * (gap == 0)
    cases, controls = counts[:, positive], counts[:, ~positive]
    won: FloatArray = ((cases @ wins) * controls).sum(axis=1)
    pairs = cases.sum(axis=1) * controls.sum(axis=1)
    areas: FloatArray = np.full(won.shape, np.nan)
    np.divide(won, pairs, out=areas, where=pairs != 0)
    return areas
