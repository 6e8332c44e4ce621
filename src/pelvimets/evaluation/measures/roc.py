"""Patient scores against the truth: ROC curve, its area, calibration and net benefit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pelvimets.errors import InputError
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.statistics.intervals import (
    LEVEL,
    Interval,
    auc_replicates,
    percentile_interval,
    proportion_interval,
    resample_counts,
)


def as_scored(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Truth and scores as arrays of one length.

    Raises:
        InputError: if lengths differ, a score is NaN, or one class is missing.
    """
    labels = np.asarray(truth, dtype=bool)
    values = np.asarray(scores, dtype=np.float64)
    if labels.shape != values.shape or labels.ndim != 1:
        raise InputError(
            "Truth and scores differ in length", got=f"{labels.shape} and {values.shape}"
        )
    if np.isnan(values).any():
        raise InputError(
            "Scores hold NaN",
            got=f"{int(np.isnan(values).sum())} of {values.size}",
            remedy="Leave these patients out and name them, or give them a score",
        )
    if labels.all() or not labels.any():
        raise InputError(
            "A ROC curve needs patients of both classes",
            got=f"{int(labels.sum())} with and {int((~labels).sum())} without metastases",
        )
    return labels, values


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Points of a ROC curve from (0, 0) to (1, 1).

    Attributes:
        false_positive_rate, true_positive_rate: Coordinates.
        thresholds: A patient counts as positive at or above; the first is infinite.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray

    def youden(self) -> tuple[float, float, float]:
        """Threshold, sensitivity and specificity where their sum is greatest."""
        best = int(np.argmax(self.true_positive_rate - self.false_positive_rate))
        specificity = 1 - self.false_positive_rate[best]
        return (
            float(self.thresholds[best]),
            float(self.true_positive_rate[best]),
            float(specificity),
        )


def roc_curve(truth: npt.ArrayLike, scores: npt.ArrayLike) -> RocCurve:
    """Every operating point of the scores.

    Raises:
        InputError: see ``as_scored``.
    """
    labels, values = as_scored(truth, scores)
    thresholds = np.unique(values)[::-1]
    called = values[None, :] >= thresholds[:, None]
    sensitivity = (called & labels).sum(axis=1) / labels.sum()
    false_alarms = (called & ~labels).sum(axis=1) / (~labels).sum()
    return RocCurve(
        np.concatenate([[0.0], false_alarms]),
        np.concatenate([[0.0], sensitivity]),
        np.concatenate([[np.inf], thresholds]),
    )


def auc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve (Mann-Whitney); ties count half.

    Raises:
        InputError: see ``as_scored``.
    """
    cases, controls = _placements(*as_scored(truth, scores))
    return float(cases.mean()) if cases.size and controls.size else float("nan")


def _placements(labels: BoolArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of controls below each case, and of cases above each control (Sun and Xu 2014)."""
    n_cases, n_controls = int(labels.sum()), int((~labels).sum())
    ranks = stats.rankdata(values)
    cases = (ranks[labels] - stats.rankdata(values[labels])) / n_controls
    controls = 1 - (ranks[~labels] - stats.rankdata(values[~labels])) / n_cases
    return cases, controls


def delong_covariance(labels: BoolArray, scores: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Areas and their covariance matrix for scores of the same patients.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837-845.
    """
    placed = [_placements(labels, values) for values in scores]
    cases = np.stack([cases for cases, _ in placed])
    controls = np.stack([controls for _, controls in placed])
    variance = np.zeros((len(scores), len(scores)))
    for part in (cases, controls):
        if part.shape[1] > 1:
            variance += np.atleast_2d(np.cov(part)) / part.shape[1]
        else:
            variance += np.nan
    return cases.mean(axis=1), variance


def auc_interval(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    logit: bool = True,
    level: float = LEVEL,
) -> Interval:
    """DeLong's interval of the area under the ROC curve.

    Args:
        truth: One boolean per patient.
        scores: One score per patient.
        logit: On the logit scale, so that bounds stay within 0-1; else symmetric, cut at 0, 1.
        level: Confidence level.

    Raises:
        InputError: see ``as_scored``.
    """
    labels, values = as_scored(truth, scores)
    areas, covariance = delong_covariance(labels, [values])
    area, deviation = float(areas[0]), float(np.sqrt(covariance[0, 0]))
    z = float(stats.norm.ppf((1 + level) / 2))
    name = "DeLong (logit)" if logit else "DeLong"
    if not np.isfinite(deviation) or (logit and area in (0.0, 1.0)):
        return Interval(area, float("nan"), float("nan"), name, level)
    if not logit:
        low, high = max(0.0, area - z * deviation), min(1.0, area + z * deviation)
        return Interval(area, low, high, name, level)
    centre = np.log(area / (1 - area))
    half = z * deviation / (area * (1 - area))
    low, high = (float(1 / (1 + np.exp(-(centre + sign * half)))) for sign in (-1, 1))
    return Interval(area, low, high, name, level)


def auc_bootstrap_interval(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    samples: int = 10_000,
    level: float = LEVEL,
) -> Interval:
    """Bootstrap interval of the area, drawn within each class.

    Raises:
        InputError: see ``as_scored``.
    """
    labels, values = as_scored(truth, scores)
    counts = resample_counts(rng, labels.size, samples, strata=labels)
    replicates = auc_replicates(counts, labels, values)
    return percentile_interval(auc(labels, values), replicates, level)


@dataclass(frozen=True)
class CalibrationBin:
    """Patients of similar score: how many, their mean score and the share with metastases."""

    n: int
    mean_score: float
    observed: Interval


@dataclass(frozen=True)
class Calibration:
    """How far scores are probabilities.

    Attributes:
        bins: Groups of patients by score.
        brier: Mean squared difference of score and truth.
        expected_calibration_error: Mean distance of mean score and share over the bins.
    """

    bins: tuple[CalibrationBin, ...]
    brier: float
    expected_calibration_error: float


def calibration(truth: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 5) -> Calibration:
    """Calibration of scores between 0 and 1 in bins of equal width.

    Raises:
        InputError: see ``as_scored``; or if a score lies outside 0-1.
    """
    labels, values = as_scored(truth, scores)
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            "Calibration needs scores between 0 and 1", got=f"{values.min()} to {values.max()}"
        )
    index = np.minimum((values * bins).astype(int), bins - 1)
    filled = [index == n for n in range(bins) if (index == n).any()]
    groups = tuple(
        CalibrationBin(
            int(group.sum()),
            float(values[group].mean()),
            proportion_interval(int(labels[group].sum()), int(group.sum()), "wilson"),
        )
        for group in filled
    )
    error = sum(g.n * abs(g.mean_score - g.observed.estimate) for g in groups) / values.size
    return Calibration(groups, float(np.mean((values - labels) ** 2)), float(error))


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit by threshold probability, beside treating all and none (0).

    Net benefit is TP/n - FP/n x t/(1-t) (Vickers and Elkin, Med Decis Making 2006;26:565-574).
    """

    thresholds: FloatArray
    net_benefit: FloatArray
    treat_all: FloatArray


def decision_curve(
    truth: npt.ArrayLike, scores: npt.ArrayLike, thresholds: npt.ArrayLike | None = None
) -> DecisionCurve:
    """Net benefit of acting at or above each threshold.

    Raises:
        InputError: see ``as_scored``; or if a threshold lies outside 0-1 (1 excluded).
    """
    labels, values = as_scored(truth, scores)
    grid = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, float)
    if grid.min() < 0 or grid.max() >= 1:
        raise InputError("Thresholds lie in 0 <= t < 1", got=f"{grid.min()} to {grid.max()}")
    called = values[None, :] >= grid[:, None]
    weight = grid / (1 - grid)
    benefit = (called & labels).mean(axis=1) - (called & ~labels).mean(axis=1) * weight
    prevalence = labels.mean()
    return DecisionCurve(grid, benefit, prevalence - (1 - prevalence) * weight)
