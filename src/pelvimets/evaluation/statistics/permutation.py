"""Exact and sampled permutation tests of paired ratios, valid for however few patients.

Under the hypothesis that both conditions are alike, a patient's two results could as well stand
the other way round. A bootstrap p-value is no substitute: with few patients its type I error is
several times the level (``tests/evaluation/test_small_groups.py`` holds a simulation).
"""

from __future__ import annotations

import numpy as np

from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.statistics.comparing import TestResult

Counts = tuple[FloatArray, FloatArray]
"""Numerators and denominators, one of each per patient."""

_FEW = 6
"""With fewer patients that differ, no p-value below 0.05 is possible."""


def swaps(patients: int, samples: int, rng: np.random.Generator) -> tuple[BoolArray, bool]:
    """Which patients' results change places: every way if these are few, else a sample.

    Args:
        patients: Number of patients whose results differ.
        samples: Most rows.
        rng: Source of randomness of the sample.

    Returns:
        (rows, patients), and whether these are all ways.
    """
    if patients < 31 and 2**patients <= samples:
        rows = np.arange(2**patients)[:, None] >> np.arange(patients)[None, :]
        return (rows & 1).astype(bool), True
    return rng.random((samples, patients)) < 0.5, False


def permuted_ratios(
    first: Counts, second: Counts, samples: int, rng: np.random.Generator
) -> TestResult:
    """Two-sided test of the difference of two ratios of sums over the same patients.

    A permuted difference that does not exist (nothing in a denominator) counts as extreme.

    Args:
        first, second: Both conditions, patients in the same order.
        samples: Most permutations; below that all are taken and the test is exact.
        rng: Source of randomness.
    """
    number = int(first[0].size)
    name = "permutation within patients"
    observed = _ratio(*(part.sum() for part in first)) - _ratio(*(part.sum() for part in second))
    if not np.isfinite(observed):
        return TestResult(name, float("nan"), float("nan"), number, note="a ratio is undefined")
    differ = (first[0] != second[0]) | (first[1] != second[1])
    rows, exact = swaps(int(differ.sum()), samples, rng)
    moved = [(two - one)[differ] for one, two in zip(first, second, strict=True)]
    gains = [rows @ part for part in moved]
    one = _ratio(first[0].sum() + gains[0], first[1].sum() + gains[1])
    two = _ratio(second[0].sum() - gains[0], second[1].sum() - gains[1])
    extreme = ~(np.abs(one - two) < abs(observed) - 1e-12)
    hits, tried = int(extreme.sum()), len(rows)
    p = hits / tried if exact else (hits + 1) / (tried + 1)
    note = f"{int(differ.sum())} of {number} patients differ"
    if differ.sum() < _FEW:
        note += f": no p below {min(1.0, 2.0 ** (1 - int(differ.sum()))):.3g} is possible"
    kind = f"{name} ({'exact' if exact else 'sampled'})"
    return TestResult(kind, float(observed), float(p), number, note=note)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    ratios: FloatArray = np.full(above.shape, np.nan)
    np.divide(above, below, out=ratios, where=below != 0)
    return ratios
