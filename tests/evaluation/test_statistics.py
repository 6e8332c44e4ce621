"""Statistics against published values and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pelvimets.errors import InputError, SettingsError
from pelvimets.evaluation.measures import roc
from pelvimets.evaluation.results import STRUCTURES
from pelvimets.evaluation.statistics import agreement, comparing, intervals
from pelvimets.evaluation.statistics.sequence_tests import compare_structures
from pelvimets.labels import Sequence

# Bland and Altman, Lancet 1986;i:307-310: peak flow, first readings (l/min).
LARGE_METER = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI_METER = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
# R's datasets 'sleep' (Student 1908) and 'PlantGrowth' (Dobson 1983).
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
PLANTS = (
    [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
    [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26],
)
# Kosinski's test in R's DTComPair, data Paired1: calls of both tests, by disease.
PAIRED1 = {
    True: {(True, True): 319, (False, True): 22, (True, False): 78, (False, False): 32},
    False: {(True, True): 31, (False, True): 22, (True, False): 53, (False, False): 155},
}


def by_patient(values):
    return {f"p{n}": value for n, value in enumerate(values)}


@pytest.mark.parametrize(
    ("successes", "trials", "method", "low", "high"),
    [  # Newcombe, Stat Med 1998;17:857-872, Table I
        (81, 263, "clopper-pearson", 0.2527, 0.3676),
        (15, 148, "clopper-pearson", 0.0578, 0.1617),
        (0, 20, "clopper-pearson", 0.0, 0.1684),
        (81, 263, "wilson", 0.2553, 0.3662),
        (15, 148, "wilson", 0.0624, 0.1605),
        (0, 20, "wilson", 0.0, 0.1611),
        (1, 29, "wilson", 0.0061, 0.1718),
    ],
)
def test_proportions_as_published(successes, trials, method, low, high):
    interval = intervals.proportion_interval(successes, trials, method)
    assert (interval.low, interval.high) == (
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


@pytest.mark.parametrize(
    ("first", "second"), [(3, 9), (5, 5), (0, 1), (13, 11), (15, 10), (40, 22)]
)
def test_mcnemar_is_that_of_statsmodels(first, second):
    from statsmodels.stats.contingency_tables import mcnemar as peer

    one = np.array([True] * first + [False] * second + [True] * 4)
    two = np.array([False] * first + [True] * second + [True] * 4)
    exact = first + second < 25
    expected = peer([[4, first], [second, 0]], exact=exact, correction=False)
    found = comparing.mcnemar(one, two)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.statistic == expected.statistic and ("exact" in found.test) == exact


@given(trials=st.integers(1, 400), data=st.data())
def test_proportions_are_those_of_scipy(trials, data):
    successes = data.draw(st.integers(0, trials))
    for method, name in (("clopper-pearson", "exact"), ("wilson", "wilson")):
        expected = stats.binomtest(successes, trials).proportion_ci(0.95, name)
        found = intervals.proportion_interval(successes, trials, method)
        assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1e-8)
        assert found.low <= found.estimate <= found.high


def test_proportion_of_nothing_is_undefined_and_nonsense_refused():
    assert not intervals.proportion_interval(0, 0).defined
    with pytest.raises(InputError):
        intervals.proportion_interval(5, 4)
    with pytest.raises(SettingsError):
        intervals.proportion_interval(1, 4, "wald")


def test_delong_interval_is_that_of_proc(asah):
    interval = roc.auc_interval(asah["poor"], asah["s100b"], logit=False)
    assert [interval.low, interval.estimate, interval.high] == pytest.approx(
        [0.630, 0.731, 0.833], abs=5e-4
    )
    ndka = roc.auc_interval(asah["poor"], asah["ndka"], logit=False)
    assert [ndka.low, ndka.estimate, ndka.high] == pytest.approx(
        [0.501244999271703, 0.611957994579946, 0.722670989888189], abs=1e-12
    )


@pytest.mark.parametrize(
    ("marker", "variance"),
    [("wfns", 0.00146991470882363), ("ndka", 0.0031908105493913), ("s100b", 0.00266868245717244)],
)
def test_delong_variance_is_that_of_proc(asah, marker, variance):
    _, covariance = roc.delong_covariance(asah["poor"], [asah[marker]])
    assert covariance[0, 0] == pytest.approx(variance, rel=1e-12)


def test_logit_interval_is_delong_on_the_logit_scale(asah):
    interval = roc.auc_interval(asah["poor"], asah["s100b"])
    area, sd = 0.7313685636856369, np.sqrt(0.00266868245717244)
    half = 1.959963984540054 * sd / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = [1 / (1 + np.exp(-(logit + side * half))) for side in (-1, 1)]
    assert [interval.low, interval.high] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "z", "p", "low", "high"),
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882, 0.01040617695, 0.17421441925),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098, 0.06340117093, 0.36004056348),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054, -0.28769174463, 0.04887060642),
    ],
)
def test_paired_delong_is_that_of_proc(asah, first, second, z, p, low, high):
    result, difference = comparing.paired_delong(asah["poor"], asah[first], asah[second])
    assert result.statistic == pytest.approx(z, rel=1e-10)
    assert result.p == pytest.approx(p, rel=1e-10)
    if first == "wfns" and second == "s100b":  # pROC's interval of the paired difference
        assert [difference.low, difference.high] == pytest.approx([low, high], abs=1e-9)


def test_identical_scores_do_not_differ(asah):
    result, _ = comparing.paired_delong(asah["poor"], asah["s100b"], asah["s100b"])
    assert (result.statistic, result.p) == (0.0, 1.0)


def test_area_and_curve_are_those_of_scikit_learn(asah):
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.metrics import roc_curve as sklearn_curve

    truth, score = asah["poor"], asah["s100b"]
    assert roc.auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    expected = sklearn_curve(truth, score, drop_intermediate=False)
    curve = roc.roc_curve(truth, score)
    assert curve.false_positive_rate == pytest.approx(expected[0])
    assert curve.true_positive_rate == pytest.approx(expected[1])
    scaled = score / score.max()
    assert roc.calibration(truth, scaled).brier == pytest.approx(brier_score_loss(truth, scaled))


def test_calibration_bins_are_those_of_scikit_learn(asah):
    from sklearn.calibration import calibration_curve

    scaled = asah["s100b"] / asah["s100b"].max()
    found = roc.calibration(asah["poor"], scaled)
    observed, predicted = calibration_curve(asah["poor"], scaled, n_bins=5)
    assert [b.observed.estimate for b in found.bins] == pytest.approx(observed)
    assert [b.mean_score for b in found.bins] == pytest.approx(predicted)


def test_net_benefit_by_its_definition():
    # 10 patients, 4 ill; at 20 %: 4 true and 2 false positives, 4/10 - 2/10 x 0.2/0.8.
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    score = [0.9, 0.8, 0.3, 0.25, 0.5, 0.2, 0.1, 0.1, 0.05, 0.0]
    curve = roc.decision_curve(truth, score, [0.2])
    assert curve.net_benefit[0] == pytest.approx(0.4 - 0.2 * 0.25)
    assert curve.treat_all[0] == pytest.approx(0.4 - 0.6 * 0.25)


def test_scores_that_cannot_be_ranked_are_refused():
    with pytest.raises(InputError, match="NaN"):
        roc.auc([True, False], [0.1, float("nan")])
    with pytest.raises(InputError, match="both classes"):
        roc.auc([True, True], [0.1, 0.2])
    with pytest.raises(InputError, match="length"):
        roc.auc([True, False], [0.1, 0.2, 0.3])


def test_perfect_scores_have_an_area_but_no_interval():
    interval = roc.auc_interval([False, False, True, True], [0.1, 0.2, 0.8, 0.9])
    assert interval.estimate == 1.0 and not interval.defined


def test_bootstrap_of_the_area_agrees_with_delong(asah):
    rng = np.random.default_rng(1)
    found = roc.auc_bootstrap_interval(asah["poor"], asah["s100b"], rng, samples=4000)
    # pROC's own bootstrap: 0.6253-0.8308 (2000 stratified replicates, documentation of ci.auc)
    assert [found.low, found.high] == pytest.approx([0.6253, 0.8308], abs=0.012)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_bootstrap_replicates_are_the_statistic_of_the_drawn_patients(seed):
    rng = np.random.default_rng(seed)
    counts = intervals.resample_counts(rng, 12, 5)
    assert (counts.sum(axis=1) == 12).all()
    found, total = rng.integers(0, 4, 12), rng.integers(4, 8, 12)
    values = np.where(rng.random(12) < 0.3, np.nan, rng.random(12))
    truth, score = np.arange(12) % 2 == 0, np.round(rng.random(12), 1)
    for row in range(5):
        drawn = np.repeat(np.arange(12), counts[row])
        ratio = intervals.ratio_replicates(counts, found, total)[row]
        assert ratio == pytest.approx(found[drawn].sum() / total[drawn].sum())
        if np.isfinite(values[drawn]).any():
            mean = intervals.mean_replicates(counts, values)[row]
            assert mean == pytest.approx(np.nanmean(values[drawn]))
        if len(set(truth[drawn])) == 2:
            area = intervals.auc_replicates(counts, truth, score)[row]
            assert area == pytest.approx(roc.auc(truth[drawn], score[drawn]))


def test_stratified_draws_keep_the_classes():
    strata = np.array([True] * 5 + [False] * 7)
    counts = intervals.resample_counts(np.random.default_rng(0), 12, 50, strata)
    assert (counts[:, :5].sum(axis=1) == 5).all()


def test_bootstrap_interval_of_a_mean_agrees_with_student_t():
    rng = np.random.default_rng(3)
    values = rng.normal(5, 1, 60)
    counts = intervals.resample_counts(rng, 60, 5000)
    found = intervals.percentile_interval(values.mean(), intervals.mean_replicates(counts, values))
    half = 2.0 * values.std(ddof=1) / np.sqrt(60)
    assert [found.low, found.high] == pytest.approx(
        [values.mean() - half, values.mean() + half], abs=0.03
    )


def test_paired_t_is_that_of_r():
    pairs = comparing.pair(by_patient(SLEEP[0]), by_patient(SLEEP[1]))
    result = comparing.paired_t(pairs)
    assert (result.statistic, result.p) == (
        pytest.approx(-4.0621, abs=5e-5),
        pytest.approx(0.002833, abs=5e-7),
    )
    difference = comparing.mean_difference(pairs)
    assert [difference.low, difference.high] == pytest.approx([-2.4598858, -0.7001142], abs=1e-6)


def test_wilcoxon_is_that_of_r():
    # R's example of wilcox.test (Hollander and Wolfe 1973, 29f): V = 40, p = 0.03906 two-sided
    first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    result = comparing.wilcoxon(comparing.pair(by_patient(first), by_patient(second)))
    assert result.p == pytest.approx(0.0390625)
    assert result.statistic == 45 - 40  # the smaller rank sum


def test_wilcoxon_with_ties_is_that_of_r():
    # wilcox.test(extra ~ group, data = sleep, paired = TRUE): V = 0, p-value = 0.009091
    result = comparing.wilcoxon(comparing.pair(by_patient(SLEEP[0]), by_patient(SLEEP[1])))
    assert result.statistic == 0
    assert result.p == pytest.approx(0.009091, abs=5e-7)


def test_anova_and_kruskal_are_those_of_r():
    result = comparing.anova(PLANTS)
    assert (result.statistic, result.p) == (
        pytest.approx(4.846, abs=5e-4),
        pytest.approx(0.01591, abs=5e-6),
    )
    result = comparing.kruskal(PLANTS)
    assert (result.statistic, result.p) == (
        pytest.approx(7.9882, abs=5e-5),
        pytest.approx(0.01842, abs=5e-6),
    )


def _calls(table):
    """Two columns of calls with these counts (both, first only, second only, none)."""
    both, first, second, none = table
    return (
        [True] * (both + first) + [False] * (second + none),
        [True] * both + [False] * first + [True] * second + [False] * none,
    )


def test_mcnemar_is_that_of_r():
    # Agresti 1990, p. 350: approval ratings, mcnemar.test(correct = FALSE): 17.356
    result = comparing.mcnemar(*_calls((794, 150, 86, 570)))
    assert result.statistic == pytest.approx(17.356, abs=5e-4)
    assert result.p == pytest.approx(3.099e-05, rel=1e-3)


def test_mcnemar_is_exact_for_few_discordant_pairs():
    result = comparing.mcnemar(*_calls((10, 8, 1, 5)))  # binom.test(1, 9): 0.03906
    assert "exact" in result.test
    assert result.p == pytest.approx(0.0390625)
    assert comparing.mcnemar([True, False], [True, False]).p == 1.0


@pytest.mark.parametrize(
    ("positive", "statistic", "p"),
    [(True, 5.46588745, 0.01939120), (False, 16.53540, 4.775012e-05)],
)
def test_predictive_values_are_compared_as_by_dtcompair(positive, statistic, p):
    rows = [
        (d, *calls) for d, table in PAIRED1.items() for calls, n in table.items() for _ in range(n)
    ]
    truth, first, second = np.array(rows).T
    result = comparing.predictive_value_test(truth, first, second, positive=positive)
    assert result.statistic == pytest.approx(statistic, rel=1e-6)
    assert result.p == pytest.approx(p, rel=1e-6)


def test_predictive_values_need_calls():
    none = [False, False, False]
    assert np.isnan(comparing.predictive_value_test([True, False, True], none, none).p)


def test_marginal_chi_square_gives_the_printed_figures():
    printed = {(14, 13): 0.847, (15, 14): 0.853, (29, 27): 0.789, (81, 79): 0.874}
    for counts, p in printed.items():
        assert comparing.marginal_chi_square(*counts).p == pytest.approx(p, abs=6e-4)


def test_chi_square_is_that_of_r():
    # Agresti 2007, p. 39 (R's example of chisq.test): X-squared = 30.07, df = 2, p = 2.954e-07
    result = comparing.count_table_test([[762, 327, 468], [484, 239, 477]])
    assert result.statistic == pytest.approx(30.07, abs=5e-3)
    assert result.p == pytest.approx(2.954e-07, rel=1e-3)


def test_holm_is_that_of_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    adjusted = comparing.holm([0.01, 0.04, float("nan"), 0.03, 0.005])
    assert adjusted[:2] == pytest.approx([0.03, 0.06])
    assert adjusted[3:] == pytest.approx([0.06, 0.02])
    assert np.isnan(adjusted[2])
    assert comparing.holm([]) == []


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    assert comparing.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_unpaired_data_are_refused_and_missing_partners_named():
    with pytest.raises(InputError, match="unpaired"):
        comparing.pair({"a": 1.0}, {"b": 1.0})
    with pytest.raises(InputError, match="unpaired"):
        comparing.mcnemar([True], [True, False])
    pairs = comparing.pair({"a": 1.0, "b": 2.0, "c": float("nan")}, {"a": 2.0, "c": 1.0, "d": 3.0})
    assert pairs.patients == ("a",)
    assert pairs.left_out == ("b", "c", "d")


def test_tests_that_cannot_be_done_say_why():
    pairs = comparing.pair({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0})
    for test in (comparing.paired_t, comparing.wilcoxon):
        assert np.isnan(test(pairs).p) and test(pairs).note
    assert comparing.anova([[1.0, 2.0], [float("nan")]]).note


def test_bland_altman_as_published():
    found = agreement.bland_altman(MINI_METER, LARGE_METER, multiple=2)
    assert found.bias.estimate == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert [found.bias.low, found.bias.high] == pytest.approx([-22.0, 17.8], abs=0.06)
    assert [found.lower.estimate, found.upper.estimate] == pytest.approx([-79.7, 75.5], abs=0.11)
    # they took sqrt(3/n) SD for the standard error of a limit, where 2.9 is more exact
    assert [found.lower.low, found.lower.high] == pytest.approx([-114.3, -45.1], abs=0.8)
    assert [found.upper.low, found.upper.high] == pytest.approx([40.9, 110.1], abs=0.8)


def test_lin_is_that_of_simplyagree():
    # R's SimplyAgree, data 'reps' (Zou 2013): CCC 0.4791, 95 % interval 0.1276-0.7237
    x = [7.83, 7.42, 7.89, 7.12, 7.88, 6.16, 7.26, 6.71, 6.54, 4.75]
    x += [5.24, 4.86, 4.78, 6.05, 5.42, 4.21, 3.61, 3.72, 3.87, 3.92]
    y = [6.57, 5.62, 6.90, 6.57, np.nan, 4.06, 4.29, 4.26, np.nan, 4.71]
    y += [5.50, 5.08, 5.02, 6.01, 5.67, 4.14, 4.20, 4.61, 4.68, 5.04]
    found = agreement.concordance(x, y)
    assert [found.estimate, found.low, found.high] == pytest.approx(
        [0.4791, 0.1276, 0.7237], abs=5e-5
    )


def test_intraclass_correlations_as_published():
    # Shrout and Fleiss, Psychol Bull 1979;86:420-428: six targets, four judges
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    for kind, expected in (("ICC(1,1)", 0.17), ("ICC(A,1)", 0.29), ("ICC(C,1)", 0.71)):
        found = agreement.intraclass_correlation_of(judges, kind)
        assert found.estimate == pytest.approx(expected, abs=5e-3)
    assert not agreement.intraclass_correlation([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]).defined


def test_intraclass_correlations_have_the_intervals_of_r():
    # psych::ICC on the same data (its documentation): lower and upper bounds
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    bounds = {"ICC(1,1)": (-0.133, 0.72), "ICC(A,1)": (0.019, 0.76), "ICC(C,1)": (0.342, 0.95)}
    for kind, (low, high) in bounds.items():
        found = agreement.intraclass_correlation_of(judges, kind)
        assert found.low == pytest.approx(low, abs=5e-4)
        assert found.high == pytest.approx(high, abs=5e-3)
    with pytest.raises(SettingsError):
        agreement.intraclass_correlation_of(judges, "ICC(2,9)")


def test_kappa_by_the_textbook_and_its_interval_by_simulation():
    # 50 cases, 20 and 15 agreed, 5 and 10 not: observed 0.7, expected 0.5, kappa 0.4
    shares = np.array([20, 5, 10, 15]) / 50
    found = agreement.kappa(*_calls((20, 5, 10, 15)))
    assert found.estimate == pytest.approx(0.4)
    a, b, c, d = np.random.default_rng(0).multinomial(50, shares, size=20_000).T / 50
    expected = (a + b) * (a + c) + (c + d) * (b + d)
    spread = ((a + d - expected) / (1 - expected)).std()
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(spread, rel=0.05)
    from statsmodels.stats.inter_rater import cohens_kappa

    for table in ((20, 5, 10, 15), (3, 9, 1, 30), (12, 1, 2, 4)):
        expected = cohens_kappa([table[:2], table[2:]])
        found = agreement.kappa(*_calls(table))
        assert found.estimate == pytest.approx(expected.kappa)
        if found.high < 1:
            assert found.high - found.estimate == pytest.approx(1.959964 * expected.std_kappa)
    same = agreement.kappa([True, False, True], [True, False, True])
    assert same.estimate == 1.0 and not same.defined


def test_holm_spans_the_eight_bones_and_leaves_the_lesions_alone():
    rng = np.random.default_rng(0)
    values = {}
    for structure in STRUCTURES:
        for sequence in Sequence:
            numbers = rng.normal(0.85 + 0.02 * (sequence is Sequence.T1), 0.03, 12)
            values[sequence, structure, "dsc"] = by_patient(numbers)
    tests = {test.structure: test for test in compare_structures(values)}
    bones = [test for name, test in tests.items() if name != "lesions"]
    assert [t.holm[0] for t in bones] == pytest.approx(
        comparing.holm([t.tests[0].p for t in bones])
    )
    assert tests["lesions"].holm[0] == tests["lesions"].tests[0].p


def test_staple_finds_the_better_readers_and_the_truth():
    rng = np.random.default_rng(0)
    truth = np.zeros((8, 20, 20), bool)
    truth[2:6, 5:15, 5:15] = True
    noise = {"good": 0.02, "fair": 0.08, "poor": 0.2}
    readers = {name: truth ^ (rng.random(truth.shape) < share) for name, share in noise.items()}
    found = agreement.staple(readers)
    for name, share in noise.items():
        assert found.specificity[name] == pytest.approx(1 - share, abs=0.09)
    assert found.specificity["good"] > found.specificity["fair"] > found.specificity["poor"]
    assert (found.mask == truth).mean() > max((r == truth).mean() for r in readers.values()) - 0.02


def test_staple_of_nothing_of_equals_and_of_one():
    empty = np.zeros((3, 3, 3), bool)
    assert agreement.staple({"a": empty, "b": empty}) is None
    dot = empty.copy()
    dot[1, 1, 1] = True
    assert (agreement.staple({"a": dot, "b": dot}).mask == dot).all()
    with pytest.raises(InputError):
        agreement.staple({"a": dot})
