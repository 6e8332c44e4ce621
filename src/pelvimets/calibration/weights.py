"""Logistic regressions that weigh what is known of a candidate. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from pelvimets.calibration.candidates import JointVoxels
from pelvimets.config import EvidenceWeights, JointSettings
from pelvimets.core.evidence import FEATURES, Evidence, features
from pelvimets.core.odds import log_odds_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FOLDS = 10
_HIDDEN_WEIGHT = 0.3  # of a candidate shown again without the other sequence or ADC


def fit_joint(drawn: list[JointVoxels]) -> JointSettings:
    """Logistic regression from both networks' logits to metastasis, over voxels of many patients.

    Two weights and an intercept on many thousand voxels; they are not left out in the
    cross-validation of what follows.
    """
    logits = np.concatenate([np.stack([v.own, v.other], axis=1) for v in drawn])
    right = np.concatenate([v.right for v in drawn])
    if right.all() or not right.any():
        return JointSettings()
    model = LogisticRegression(C=1.0).fit(logits, right)
    own, other = (round(float(w), 6) for w in model.coef_[0])
    return JointSettings(own=own, other=other, intercept=round(float(model.intercept_[0]), 6))


def fit_weights(
    evidence: list[Evidence], right: BoolArray, used: tuple[str, ...]
) -> EvidenceWeights:
    """Logistic regression on the named features, with a Gaussian prior of variance 1.

    Each candidate also counts, with less weight, as if the other sequence or the ADC map were
    missing, so that the weights serve such studies as well.
    """
    shown, labels, weight = _with_hidden(evidence, right)
    columns = [FEATURES.index(name) for name in used]
    table = np.array([features(e) for e in shown])[:, columns]
    model = LogisticRegression(C=1.0, max_iter=1000).fit(table, labels, sample_weight=weight)
    weights = dict.fromkeys(FEATURES, 0.0) | {
        name: round(float(w), 6) for name, w in zip(used, model.coef_[0], strict=True)
    }
    return EvidenceWeights(intercept=round(float(model.intercept_[0]), 6), **weights)


def _with_hidden(
    evidence: list[Evidence], right: BoolArray
) -> tuple[list[Evidence], BoolArray, FloatArray]:
    hiding: tuple[Callable[[Evidence], Evidence], ...] = (
        lambda e: replace(e, other_score=None),
        lambda e: replace(e, adc_um2_per_s=None),
        lambda e: replace(e, other_score=None, adc_um2_per_s=None),
    )
    shown = list(evidence)
    for hide in hiding:
        shown += [hide(e) for e in evidence]
    weight = np.full(len(shown), _HIDDEN_WEIGHT)
    weight[: len(evidence)] = 1.0
    return shown, np.tile(right, 1 + len(hiding)), weight


def chances(weights: EvidenceWeights, evidence: list[Evidence]) -> FloatArray:
    """Chance of a metastasis of each candidate."""
    of_features = np.array([getattr(weights, name) for name in FEATURES])
    table = np.array([features(e) for e in evidence]).reshape(-1, len(FEATURES))
    return np.asarray(1 / (1 + np.exp(-(weights.intercept + table @ of_features))))


def left_out(
    evidence: list[Evidence], right: BoolArray, person: npt.NDArray[Any], used: tuple[str, ...]
) -> FloatArray:
    """Score of each candidate by weights that were fitted without its person."""
    scores = np.zeros(len(evidence))
    fold = person % FOLDS
    for number in np.unique(fold):
        own = fold == number
        weights = fit_weights(
            [e for e, o in zip(evidence, own, strict=True) if not o], right[~own], used
        )
        scores[own] = chances(weights, [e for e, o in zip(evidence, own, strict=True) if o])
    return scores


def platt(scores: FloatArray, sick: BoolArray) -> tuple[float, float]:
    """Intercept and slope on the logit of the scores; (0, 1) where only one class is there."""
    if sick.all() or not sick.any():
        return 0.0, 1.0
    model = LogisticRegression(C=1.0).fit(log_odds_of(scores)[:, None], sick)
    return round(float(model.intercept_[0]), 6), round(float(model.coef_[0, 0]), 6)
