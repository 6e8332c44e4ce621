"""Non-inferiority and sample sizes, by simulation and by other ways to the same number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import SettingsError
from pelvimets.evaluation.readings import FalseItem, LesionTally, PatientCall, ReferenceItem
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics import noninferiority
from pelvimets.evaluation.statistics.comparing import pair
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.evaluation.statistics.sample_size import (
    Plan,
    patients_for_auc,
    patients_for_recall,
    patients_for_sensitivity,
    sample_size_table,
)
from pelvimets.evaluation.statistics.sequence_tests import compare_calls, compare_tallies


def paired(b, c, both, neither):
    one = np.array([True] * b + [False] * c + [True] * both + [False] * neither)
    two = np.array([False] * b + [True] * c + [True] * both + [False] * neither)
    return one, two


def score_by_likelihood(b, c, n, d):
    """Tango's statistic with the constrained estimate found by a search."""

    def loss(share):
        parts = (share + d, b), (share, c), (1 - 2 * share - d, n - b - c)
        return -sum(k * np.log(max(p, 1e-300)) for p, k in parts if k)

    low, high = max(0.0, -d), (1 - d) / 2
    share = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded",
                                     options={"xatol": 1e-12}).x  # fmt: skip
    return (b - c - n * d) / np.sqrt(n * (2 * share + d - d**2))


@pytest.mark.parametrize(("b", "c", "n"), [(8, 1, 40), (3, 4, 16), (12, 2, 100)])
def test_score_is_that_of_a_search_for_the_constrained_likelihood(b, c, n):
    for d in (-0.2, -0.05, 0.1, 0.3):
        found = noninferiority.tango_statistic(b, c, n, d)
        assert found == pytest.approx(score_by_likelihood(b, c, n, d), abs=1e-4)


def test_bounds_are_where_the_score_is_that_of_the_level():
    interval = noninferiority.paired_share_interval(*paired(8, 1, 20, 11))
    assert interval.estimate == pytest.approx(7 / 40)
    for bound, z in ((interval.low, 1.959964), (interval.high, -1.959964)):
        assert noninferiority.tango_statistic(8, 1, 40, bound) == pytest.approx(z, abs=1e-5)
    same = noninferiority.paired_share_interval(*paired(0, 0, 16, 0))
    # all 16 right on both: the bounds are n/(n + z^2) away from certainty, not 0
    assert same.high == pytest.approx(1.959964**2 / (16 + 1.959964**2), abs=1e-6)
    assert same.low == pytest.approx(-same.high)


def test_score_interval_covers_what_it_should():
    rng = np.random.default_rng(0)
    shares, inside = [0.2, 0.1, 0.6, 0.1], 0
    for b, c, both, neither in rng.multinomial(30, shares, size=600):
        interval = noninferiority.paired_share_interval(*paired(b, c, both, neither))
        inside += interval.low <= 0.1 <= interval.high
    assert inside / 600 == pytest.approx(0.95, abs=0.025)


def test_non_inferiority_errs_no_more_often_than_the_level_says():
    rng, margin, hits = np.random.default_rng(1), 0.1, 0
    for b, c, both, neither in rng.multinomial(60, [0.1, 0.2, 0.6, 0.1], size=1500):
        hits += noninferiority.shares_not_worse(*paired(b, c, both, neither), margin).p < 0.025
    assert hits / 1500 < 0.025 + 2.6 * np.sqrt(0.025 * 0.975 / 1500)


def test_p_and_interval_say_the_same():
    one, two = paired(4, 3, 60, 5)
    low = noninferiority.paired_share_interval(one, two).low
    for margin in (-low - 0.005, -low + 0.005):
        assert (noninferiority.shares_not_worse(one, two, margin).p < 0.025) == (low > -margin)
    values = {str(n): v for n, v in enumerate(np.random.default_rng(2).normal(0.8, 0.05, 20))}
    other = {k: v + 0.01 for k, v in values.items()}
    other["0"] -= 0.1
    pairs = pair(values, other)
    expected = stats.ttest_1samp(pairs.first - pairs.second, -0.02, alternative="greater").pvalue
    assert noninferiority.mean_not_worse(pairs, 0.02).p == pytest.approx(expected)
    area = noninferiority.area_not_worse(Interval(0.01, -0.05, 0.07, "DeLong"), 40, 0.05)
    assert area.p == pytest.approx(0.025, abs=1e-9)


def tally(name, found, total):
    reference = tuple(ReferenceItem(1.0, None, n < found) for n in range(total))
    return LesionTally(name, reference, (FalseItem(1.0, None, None, None, False),))


def test_models_are_tested_against_the_margin_and_few_patients_are_not():
    settings = EvaluationSettings(bootstrap_samples=500, margin=0.1)
    rng = np.random.default_rng(0)
    many = [tally(str(n), 5, 6) for n in range(20)]
    close = [tally(str(n), 5 if n else 4, 6) for n in range(20)]
    worse = [tally(str(n), 3, 6) for n in range(20)]
    assert compare_tallies(close, many, settings, rng)["recall"].non_inferiority.p < 0.025
    assert compare_tallies(worse, many, settings, rng)["recall"].non_inferiority.p > 0.9
    few = compare_tallies(many[:6], many[:6], settings, rng)["recall"].non_inferiority
    assert np.isnan(few.p) and "tested from 15" in few.note
    calls = [PatientCall(str(n), n % 2 == 0, n % 2 == 0, 0.9 - 0.8 * (n % 2)) for n in range(120)]
    found = compare_calls(calls, calls, settings)
    assert found["sensitivity"].non_inferiority.p < 0.025
    assert found["sensitivity"].difference.low > -0.1
    assert compare_calls(calls, calls, EvaluationSettings())["sensitivity"].non_inferiority is None


def test_patients_for_recall_give_the_width_with_clustered_lesions():
    plan = Plan(
        recall=0.85, lesions_per_patient=4.0, lesion_variation=0.75, lesion_correlation=0.25
    )
    n, rng = patients_for_recall(plan, 0.06), np.random.default_rng(0)
    # negative binomial sizes from 1 on with SD/mean 0.75; beta-binomial finding with ICC 0.25
    mean, variance = 3.0, (0.75 * 4.0) ** 2
    p = mean / variance
    sizes = 1 + rng.negative_binomial(mean * p / (1 - p), p, size=(1500, n))
    a = 0.85 * (1 / 0.25 - 1)
    ease = rng.beta(a, a * 0.15 / 0.85, size=sizes.shape)
    recall = rng.binomial(sizes, ease).sum(axis=1) / sizes.sum(axis=1)
    assert 1.96 * recall.std() == pytest.approx(0.06, rel=0.1)


def test_patients_for_auc_give_the_width():
    plan = Plan(auc=0.85, prevalence=0.4)
    n, rng = patients_for_auc(plan, 0.08), np.random.default_rng(0)
    ill = round(0.4 * n)
    scores = rng.exponential(size=(1500, n))
    scores[:, :ill] *= 0.85 / 0.15  # exponential scores of this area
    ranks = stats.rankdata(scores, axis=1)[:, :ill].sum(axis=1)
    areas = (ranks - ill * (ill + 1) / 2) / (ill * (n - ill))
    assert areas.mean() == pytest.approx(0.85, abs=0.01)
    assert 1.96 * areas.std() == pytest.approx(0.08, rel=0.1)


def test_patients_for_sensitivity_by_the_textbook():
    assert patients_for_sensitivity(Plan(sensitivity=0.5), 0.1) == 97  # 96.04


def test_table_and_command_give_the_same_sizes():
    table = sample_size_table(Plan(), [0.1])
    done = CliRunner().invoke(app, ["sample-size", "--half-width", "0.1"])
    assert done.exit_code == 0, done.output
    for cell in table.rows[0][1:]:
        assert cell in done.output


@pytest.mark.parametrize("wrong", [{"recall": 1.0}, {"auc": 0.4}, {"lesion_correlation": 2.0}])
def test_plans_of_the_impossible_are_refused(wrong):
    with pytest.raises(SettingsError):
        Plan(**wrong)
    with pytest.raises(SettingsError):
        sample_size_table(Plan(), [0.7])
    with pytest.raises(SettingsError):
        EvaluationSettings(margin=0.0)
