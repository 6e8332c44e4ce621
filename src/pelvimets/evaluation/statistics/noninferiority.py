"""Is a second model no worse than a first by more than a margin? And shares of pairs with bounds.

One-sided tests of 'difference <= -margin'; p below 0.025 says the same as a 95 % interval whose
lower bound lies above -margin. The margin is set before the data are seen, not by them.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from pelvimets.errors import InputError
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.statistics.comparing import Pairs, TestResult
from pelvimets.evaluation.statistics.intervals import LEVEL, Interval

FEWEST_PATIENTS = 15
"""Bootstrap over fewer patients finds too much: no test is made."""
NAME = "non-inferiority"


def tango_statistic(first_only: int, second_only: int, pairs: int, difference: float) -> float:
    """Score statistic of a difference of paired shares (Tango, Stat Med 1998;17:891-908).

    Args:
        first_only, second_only: Pairs in which one side alone is right.
        pairs: All pairs.
        difference: First - second under the hypothesis, between -1 and 1.
    """
    b, c, n, d = first_only, second_only, pairs, difference
    linear = -b - c + (2 * n - b + c) * d
    root = np.sqrt(max(linear**2 + 8 * n * c * d * (1 - d), 0.0))
    share = (root - linear) / (4 * n)
    variance = n * (2 * share + d * (1 - d))
    gap = b - c - n * d
    if variance <= 1e-12:
        return 0.0 if abs(gap) < 1e-12 else float(np.copysign(np.inf, gap))
    return float(gap / np.sqrt(variance))


def paired_share_interval(one: BoolArray, two: BoolArray, level: float = LEVEL) -> Interval:
    """Difference of two shares of the same cases with Tango's score interval.

    Raises:
        InputError: if the lengths differ.
    """
    if one.shape != two.shape:
        raise InputError("Paired shares need the same cases", got=f"{one.size} and {two.size}")
    n = int(one.size)
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"), "Tango", level)
    b, c = int(np.sum(one & ~two)), int(np.sum(~one & two))
    estimate = (b - c) / n
    z = float(stats.norm.ppf((1 + level) / 2))
    bounds = [_bound(b, c, n, estimate, side * z, end) for side, end in ((1, -1.0), (-1, 1.0))]
    return Interval(estimate, bounds[0], bounds[1], "Tango", level)


def _bound(b: int, c: int, n: int, estimate: float, z: float, end: float) -> float:
    """Where the statistic crosses z between the estimate and one end of the scale."""
    inner, outer = estimate, end * (1 - 1e-9)

    def gap(difference: float) -> float:
        return tango_statistic(b, c, n, difference) - z

    if gap(inner) * gap(outer) > 0:
        return end
    return float(optimize.brentq(gap, inner, outer, xtol=1e-10))


def shares_not_worse(one: BoolArray, two: BoolArray, margin: float) -> TestResult:
    """Of paired right calls, by Tango's score."""
    b, c = int(np.sum(one & ~two)), int(np.sum(~one & two))
    z = tango_statistic(b, c, int(one.size), -margin) if one.size else float("nan")
    return TestResult(f"{NAME} (Tango)", z, float(stats.norm.sf(z)), int(one.size))


def area_not_worse(difference: Interval, patients: int, margin: float) -> TestResult:
    """Of areas, from DeLong's interval of their difference."""
    width = float(stats.norm.ppf((1 + difference.level) / 2))
    error = (difference.high - difference.low) / (2 * width)
    if not error > 0:
        note = "the difference has no spread"
        return TestResult(f"{NAME} (DeLong)", float("nan"), float("nan"), patients, note=note)
    z = (difference.estimate + margin) / error
    return TestResult(f"{NAME} (DeLong)", float(z), float(stats.norm.sf(z)), patients)


def mean_not_worse(pairs: Pairs, margin: float) -> TestResult:
    """Of means of paired values, by Student's t."""
    difference = pairs.first - pairs.second
    n = int(difference.size)
    if n < 2 or np.ptp(difference) == 0:
        note = "fewer than two pairs" if n < 2 else "the difference has no spread"
        return TestResult(f"{NAME} (t)", float("nan"), float("nan"), n, pairs.left_out, note)
    t = float((difference.mean() + margin) / stats.sem(difference))
    return TestResult(f"{NAME} (t)", t, float(stats.t.sf(t, n - 1)), n, pairs.left_out)


def ratio_not_worse(
    replicates: FloatArray, estimate: float, patients: int, margin: float
) -> TestResult:
    """Of ratios of sums over patients, by bootstrap; not tested on few patients.

    Args:
        replicates: Of the difference.
        estimate: The difference.
        patients: Patients that have anything in a denominator.
        margin: Largest loss that counts as none.
    """
    name = f"{NAME} (bootstrap over patients)"
    valid = replicates[np.isfinite(replicates)]
    if patients < FEWEST_PATIENTS or not valid.size:
        note = f"{patients} patients with lesions; tested from {FEWEST_PATIENTS} on"
        return TestResult(name, estimate, float("nan"), patients, note=note)
    p = (int((valid <= -margin).sum()) + 1) / (valid.size + 1)
    return TestResult(name, estimate, float(p), patients)
