"""Few patients: type I error by simulation, exact p by hand, intervals that stay honest."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pelvimets.evaluation.measures.detection import detect
from pelvimets.evaluation.readings import FalseItem, LesionTally, PatientCall, ReferenceItem
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.permutation import permuted_ratios, swaps
from pelvimets.evaluation.statistics.sequence_tests import compare_tallies
from pelvimets.evaluation.tables.detection import lesion_rate_cell

LEVEL = 0.05


def patient(name, found, total, false):
    return LesionTally(
        name,
        tuple(ReferenceItem(1.0, "ilium", n < found) for n in range(total)),
        (FalseItem(1.0, "ilium", None, None, False),) * false,
    )


def drawn(rng, m1):
    """Two equal readers on patients with 1-8 lesions and on as many without."""
    totals = [*rng.integers(1, 9, m1), *[0] * m1]
    ease = rng.beta(6, 2, 2 * m1)  # lesions of one man resemble each other
    return [
        [
            patient(str(n), rng.binomial(total, ease[n]), total, rng.poisson(0.4))
            for n, total in enumerate(totals)
        ]
        for _ in range(2)
    ]


@pytest.mark.parametrize("m1", [2, 5, 16])
def test_equal_readers_are_told_apart_no_more_often_than_the_level_says(m1):
    rng = np.random.default_rng(m1)
    settings = EvaluationSettings(bootstrap_samples=400)
    p = [compare_tallies(*drawn(rng, m1), settings, rng)["f1"].test.p for _ in range(250)]
    share = np.mean(np.array(p) <= LEVEL)
    assert share <= LEVEL + 2.6 * np.sqrt(LEVEL * (1 - LEVEL) / 250)  # a bootstrap p: 0.17 at two


def test_a_real_difference_is_found():
    rng = np.random.default_rng(0)
    good = [patient(str(n), 5, 6, 0) for n in range(14)]
    poor = [patient(str(n), rng.integers(1, 4), 6, 1) for n in range(14)]
    settings = EvaluationSettings(bootstrap_samples=2000)
    for test in compare_tallies(good, poor, settings, rng).values():
        assert test.test.p < 0.002 and "sampled" in test.test.test


def test_few_patients_are_permuted_in_every_way():
    one = np.array([3.0, 1, 4, 2, 5]), np.array([4.0, 3, 5, 4, 5])
    two = np.array([1.0, 2, 2, 0, 5]), np.array([4.0, 3, 5, 4, 5])
    expected, observed = [], one[0].sum() / one[1].sum() - two[0].sum() / two[1].sum()
    for signs in product((1, -1), repeat=5):
        gap = (np.array(signs) * (one[0] - two[0])).sum() / one[1].sum()
        expected.append(abs(gap) >= abs(observed) - 1e-12)
    found = permuted_ratios(one, two, 1000, np.random.default_rng(0))
    assert found.p == pytest.approx(np.mean(expected))
    assert "exact" in found.test and "no p below 0.125" in found.note


def test_permutation_of_many_patients_is_that_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(1)
    total = np.full(24, 6.0)
    one, two = rng.binomial(6, 0.8, 24).astype(float), rng.binomial(6, 0.65, 24).astype(float)
    expected = stats.permutation_test(
        (one, two), lambda a, b, axis: (a - b).sum(axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=np.random.default_rng(2),
    ).pvalue  # fmt: skip
    found = permuted_ratios((one, total), (two, total), 20_000, np.random.default_rng(3))
    assert found.p == pytest.approx(expected, abs=0.012)


def test_all_ways_are_taken_once():
    rows, exact = swaps(4, 16, np.random.default_rng(0))
    assert exact and len({tuple(row) for row in rows.tolist()}) == 16
    assert not swaps(5, 16, np.random.default_rng(0))[1]


def test_a_full_rate_has_its_exact_interval_beside_the_bootstrap():
    found = detect([patient("a", 11, 11, 0)], EvaluationSettings(), np.random.default_rng(0))
    assert lesion_rate_cell(found.recall) == "100.0 (100.0-100.0; 71.5-100.0), 11/11"


def test_calls_of_one_patient_do_not_break_the_tests():
    from pelvimets.evaluation.statistics.sequence_tests import compare_calls

    one = [PatientCall("a", True, True, 0.9)]
    assert compare_calls(one, one, EvaluationSettings())["sensitivity"].test.p == 1.0
