"""Patient-level figures of a cohort: rates, areas, calibration, net benefit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.measures.roc import (
    Calibration,
    DecisionCurve,
    RocCurve,
    auc_bootstrap_interval,
    auc_interval,
    calibration,
    decision_curve,
    roc_curve,
)
from pelvimets.evaluation.readings import PatientCall
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.intervals import Interval, proportion_interval

RATES = ("sensitivity", "specificity", "accuracy", "ppv", "npv")


@dataclass(frozen=True)
class PatientRate:
    """A share of patients; Clopper-Pearson as in the paper, and Wilson."""

    numerator: int
    denominator: int
    clopper_pearson: Interval
    wilson: Interval

    @property
    def estimate(self) -> float:
        """Numerator over denominator; NaN for a denominator of 0."""
        return self.clopper_pearson.estimate


@dataclass(frozen=True)
class PatientFigures:
    """Patient-level figures under one reading.

    Attributes:
        true_positives, false_negatives, true_negatives, false_positives: Patients.
        rates: By the names of ``RATES``.
        auc, auc_bootstrap: From unthresholded scores; None where ``note`` says why.
        auc_of_calls: From calls, as in the paper; None if a class is missing.
        roc, calibration, decision: Of the scores.
        note: What could not be computed, and why.
    """

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int
    rates: dict[str, PatientRate]
    auc: Interval | None = None
    auc_bootstrap: Interval | None = None
    auc_of_calls: Interval | None = None
    roc: RocCurve | None = None
    calibration: Calibration | None = None
    decision: DecisionCurve | None = None
    note: str = ""

    @property
    def patients(self) -> int:
        """All patients."""
        positives = self.true_positives + self.false_negatives
        return positives + self.true_negatives + self.false_positives


def judge(
    calls: Sequence[PatientCall], settings: EvaluationSettings, rng: np.random.Generator
) -> PatientFigures:
    """All patient-level figures.

    Args:
        calls: One per patient.
        settings: Confidence level and bootstrap.
        rng: Source of randomness.
    """
    truth = np.array([call.truth for call in calls], dtype=bool)
    called = np.array([call.called for call in calls], dtype=bool)
    counts = (
        int(np.sum(truth & called)),
        int(np.sum(truth & ~called)),
        int(np.sum(~truth & ~called)),
        int(np.sum(~truth & called)),
    )
    one_class = truth.size == 0 or truth.all() or not truth.any()
    if one_class:
        return PatientFigures(*counts, _rates(*counts, settings), note=_missing_class(truth))
    of_calls = auc_interval(truth, called, logit=True, level=settings.confidence_level)
    values = np.array(
        [float("nan") if call.score is None else call.score for call in calls], dtype=np.float64
    )
    note = _score_note(values)
    if np.isnan(values).any():
        return PatientFigures(*counts, _rates(*counts, settings), auc_of_calls=of_calls, note=note)
    return _with_scores(counts, truth, values, of_calls, settings, rng, note)


def _with_scores(
    counts: tuple[int, int, int, int],
    truth: BoolArray,
    values: FloatArray,
    of_calls: Interval,
    settings: EvaluationSettings,
    rng: np.random.Generator,
    note: str,
) -> PatientFigures:
    probabilities = values.min() >= 0 and values.max() <= 1
    level, samples = settings.confidence_level, settings.bootstrap_samples
    return PatientFigures(
        *counts,
        _rates(*counts, settings),
        auc=auc_interval(truth, values, level=level),
        auc_bootstrap=auc_bootstrap_interval(truth, values, rng, samples=samples, level=level),
        auc_of_calls=of_calls,
        roc=roc_curve(truth, values),
        calibration=calibration(truth, values) if probabilities else None,
        decision=decision_curve(truth, values) if probabilities else None,
        note=note,
    )


def _rates(
    hits: int, misses: int, rejections: int, alarms: int, settings: EvaluationSettings
) -> dict[str, PatientRate]:
    counted = {
        "sensitivity": (hits, hits + misses),
        "specificity": (rejections, rejections + alarms),
        "accuracy": (hits + rejections, hits + misses + rejections + alarms),
        "ppv": (hits, hits + alarms),
        "npv": (rejections, rejections + misses),
    }
    level = settings.confidence_level
    return {
        name: PatientRate(
            above,
            below,
            proportion_interval(above, below, "clopper-pearson", level),
            proportion_interval(above, below, "wilson", level),
        )
        for name, (above, below) in counted.items()
    }


def _missing_class(truth: BoolArray) -> str:
    if truth.size == 0:
        return "no patients"
    missing = "without" if truth.all() else "with"
    return f"no patients {missing} metastases in the reference: no area under the ROC curve"


def _score_note(values: FloatArray) -> str:
    missing = int(np.isnan(values).sum())
    if missing:
        return f"{missing} of {values.size} patients have no score: no area from scores"
    if set(np.unique(values)) <= {0.0, 1.0}:
        return "scores are only 0 and 1: the area is that of calls, (sensitivity + specificity)/2"
    return ""
