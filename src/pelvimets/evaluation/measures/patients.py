"""Patient-level figures of a cohort: rates, areas, calibration, net benefit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
class Withheld:
    """Patients on whom the prediction makes no statement, and what they could do to the rates.

    Attributes:
        with_metastases, without_metastases: Patients without a statement.
        share: Of all patients.
        as_suspicious: Rates of all patients if each of these counts as called: the worst case
            for the specificity.
        as_not_suspicious: The same if none counts as called: the worst case for the sensitivity.
    """

    with_metastases: int
    without_metastases: int
    share: PatientRate
    as_suspicious: dict[str, PatientRate]
    as_not_suspicious: dict[str, PatientRate]

    @property
    def patients(self) -> int:
        """All patients without a statement."""
        return self.with_metastases + self.without_metastases


@dataclass(frozen=True)
class PatientFigures:
    """Patient-level figures under one reading.

    Attributes:
        true_positives, false_negatives, true_negatives, false_positives: Patients on whom
            there is a statement.
        rates: Among these, by the names of ``RATES``.
        withheld: The other patients.
        auc, auc_bootstrap: From unthresholded scores of all patients, those without a statement
            included; None where ``note`` says why.
        auc_stated: The same of patients with a statement; None if all have one.
        auc_of_calls: From calls, as in the paper; None if a class is missing.
        roc, calibration, decision: Of the scores of all patients.
        note: What could not be computed, and why.
    """

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int
    rates: dict[str, PatientRate]
    withheld: Withheld
    auc: Interval | None = None
    auc_bootstrap: Interval | None = None
    auc_stated: Interval | None = None
    auc_of_calls: Interval | None = None
    roc: RocCurve | None = None
    calibration: Calibration | None = None
    decision: DecisionCurve | None = None
    note: str = ""

    @property
    def patients(self) -> int:
        """All patients, those without a statement included."""
        positives = self.true_positives + self.false_negatives
        return positives + self.true_negatives + self.false_positives + self.withheld.patients


def patient_figures(
    calls: Sequence[PatientCall],
    settings: EvaluationSettings,
    rng: np.random.Generator | None,
) -> PatientFigures:
    """All patient-level figures.

    Args:
        calls: One per patient.
        settings: Confidence level and bootstrap.
        rng: Source of randomness of the bootstrap; None goes without it.
    """
    truth = np.array([call.truth for call in calls], dtype=bool)
    stated = np.array([call.stated for call in calls], dtype=bool)
    called = np.array([bool(call.called) for call in calls], dtype=bool)
    counts = _counts(truth[stated], called[stated])
    figures = PatientFigures(
        *counts, _rates(*counts, settings), _withheld(truth, called, stated, settings)
    )
    level = settings.confidence_level
    if _has_both(truth[stated]):
        area = auc_interval(truth[stated], called[stated], level=level)
        figures = replace(figures, auc_of_calls=area)
    if not _has_both(truth):
        return replace(figures, note=_missing_class(truth))
    values = np.array(
        [float("nan") if call.score is None else call.score for call in calls], dtype=np.float64
    )
    figures = replace(figures, note=_score_note(values))
    if np.isnan(values).any():
        return figures
    if not stated.all() and _has_both(truth[stated]):
        area = auc_interval(truth[stated], values[stated], level=level)
        figures = replace(figures, auc_stated=area)
    return _with_scores(figures, truth, values, settings, rng)


def _counts(truth: BoolArray, called: BoolArray) -> tuple[int, int, int, int]:
    """Hits, misses, rejections and alarms."""
    return (
        int(np.sum(truth & called)),
        int(np.sum(truth & ~called)),
        int(np.sum(~truth & ~called)),
        int(np.sum(~truth & called)),
    )


def _has_both(truth: BoolArray) -> bool:
    return bool(truth.any() and not truth.all())


def _withheld(
    truth: BoolArray, called: BoolArray, stated: BoolArray, settings: EvaluationSettings
) -> Withheld:
    return Withheld(
        int(np.sum(truth & ~stated)),
        int(np.sum(~truth & ~stated)),
        _rate(int(np.sum(~stated)), truth.size, settings),
        _rates(*_counts(truth, called | ~stated), settings),
        _rates(*_counts(truth, called & stated), settings),
    )


def _with_scores(
    figures: PatientFigures,
    truth: BoolArray,
    values: FloatArray,
    settings: EvaluationSettings,
    rng: np.random.Generator | None,
) -> PatientFigures:
    probabilities = values.min() >= 0 and values.max() <= 1
    level, samples = settings.confidence_level, settings.bootstrap_samples
    return replace(
        figures,
        auc=auc_interval(truth, values, level=level),
        auc_bootstrap=None
        if rng is None
        else auc_bootstrap_interval(truth, values, rng, samples=samples, level=level),
        roc=roc_curve(truth, values),
        calibration=calibration(truth, values) if probabilities else None,
        decision=decision_curve(truth, values) if probabilities else None,
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
    return {name: _rate(above, below, settings) for name, (above, below) in counted.items()}


def _rate(above: int, below: int, settings: EvaluationSettings) -> PatientRate:
    level = settings.confidence_level
    return PatientRate(
        above,
        below,
        proportion_interval(above, below, "clopper-pearson", level),
        proportion_interval(above, below, "wilson", level),
    )


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
