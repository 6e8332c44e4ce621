"""Tests of differences: paired and unpaired values, paired calls, predictive values, areas.

Paired tests take mappings from patient to value, so that what is compared is known to belong
together; patients present on one side only are named in the result, never silently used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pelvimets.errors import InputError
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.measures.roc import as_scored, delong_covariance
from pelvimets.evaluation.statistics.intervals import LEVEL, Interval

NAN = float("nan")


@dataclass(frozen=True)
class TestResult:
    """Outcome of a test.

    Attributes:
        test: Its name.
        statistic, p: NaN where the test cannot be done; ``note`` then says why.
        n: Pairs or values used.
        left_out: Patients not used, because a value is missing on one side.
        note: Anything a reader must know.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    test: str
    statistic: float
    p: float
    n: int
    left_out: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Values of the same patients under two conditions."""

    patients: tuple[str, ...]
    first: FloatArray
    second: FloatArray
    left_out: tuple[str, ...]


def pair(first: Mapping[str, float], second: Mapping[str, float]) -> Pairs:
    """Join two sets of values by patient; NaN counts as missing.

    Raises:
        InputError: if no patient has both values: then the data are not paired at all.
    """
    both = [key for key in first if key in second]
    usable = [key for key in both if np.isfinite(first[key]) and np.isfinite(second[key])]
    if (first or second) and not both:
        raise InputError(
            "A paired test was asked for on unpaired data",
            got=f"{len(first)} and {len(second)} values without a patient in common",
            remedy="Give both conditions for the same patients, or use an unpaired test",
        )
    left_out = sorted(str(key) for key in {*first, *second} - set(usable))
    return Pairs(
        tuple(usable),
        np.array([first[key] for key in usable], dtype=np.float64),
        np.array([second[key] for key in usable], dtype=np.float64),
        tuple(left_out),
    )


def paired_t(pairs: Pairs) -> TestResult:
    """Student's t test on the differences first - second."""
    n = len(pairs.patients)
    if n < 2:
        return _impossible("paired t", n, pairs.left_out, "fewer than two pairs")
    difference = pairs.first - pairs.second
    if np.ptp(difference) == 0:
        return _impossible("paired t", n, pairs.left_out, "all differences are equal")
    result = stats.ttest_rel(pairs.first, pairs.second)
    return TestResult("paired t", float(result.statistic), float(result.pvalue), n, pairs.left_out)


def wilcoxon(pairs: Pairs) -> TestResult:
    """Wilcoxon's signed rank test, as R's ``wilcox.test``.

    Exact for up to 50 pairs without ties or zeros; else zeros are dropped and the normal
    approximation is corrected for ties and continuity. The statistic is the smaller rank sum.
    """
    name, n = "Wilcoxon signed rank", len(pairs.patients)
    difference = pairs.first - pairs.second
    moved = difference[difference != 0]
    if moved.size == 0:
        return _impossible(name, n, pairs.left_out, "no difference to rank")
    sizes, repeats = np.unique(np.abs(moved), return_counts=True)
    if sizes.size == difference.size <= 50:
        result = stats.wilcoxon(difference, method="exact")
        return TestResult(name, float(result.statistic), float(result.pvalue), n, pairs.left_out)
    ranks, m = stats.rankdata(np.abs(moved)), moved.size
    statistic = float(min(ranks[moved > 0].sum(), ranks[moved < 0].sum()))
    variance = m * (m + 1) * (2 * m + 1) / 24 - float((repeats**3 - repeats).sum()) / 48
    away = max(m * (m + 1) / 4 - statistic - 0.5, 0.0)
    p = min(1.0, float(2 * stats.norm.sf(away / np.sqrt(variance))))
    return TestResult(name, statistic, p, n, pairs.left_out, "normal approximation")


def mean_difference(pairs: Pairs, level: float = LEVEL) -> Interval:
    """Mean of first - second with its t interval."""
    difference = pairs.first - pairs.second
    if difference.size < 2:
        mean = float(difference.mean()) if difference.size else NAN
        return Interval(mean, NAN, NAN, "paired t", level)
    mean, deviation = float(difference.mean()), float(stats.sem(difference))
    half = float(stats.t.ppf((1 + level) / 2, difference.size - 1)) * deviation
    return Interval(mean, mean - half, mean + half, "paired t", level)


def _impossible(test: str, n: int, left_out: tuple[str, ...], why: str) -> TestResult:
    return TestResult(test, NAN, NAN, n, left_out, why)


_EXACT_BELOW = 25  # discordant pairs


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> TestResult:
    """McNemar's test on two binary results of the same cases; exact below 25 discordant pairs.

    Args:
        first, second: Booleans, one per case, in the same order.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    _same_length(one, two)
    only_one, only_two = int(np.sum(one & ~two)), int(np.sum(two & ~one))
    discordant = only_one + only_two
    if discordant == 0:
        return TestResult("McNemar (exact)", 0.0, 1.0, one.size, note="no discordant pairs")
    note = f"discordant {only_one} and {only_two}"
    if discordant < _EXACT_BELOW:
        fewer = min(only_one, only_two)
        p = float(stats.binomtest(fewer, discordant).pvalue)
        return TestResult("McNemar (exact)", float(fewer), p, one.size, note=note)
    statistic = (only_one - only_two) ** 2 / discordant
    p = float(stats.chi2.sf(statistic, 1))
    return TestResult("McNemar", statistic, p, one.size, note=note)


def marginal_chi_square(first: int, second: int) -> TestResult:
    """Chi-square of (a - b)^2 / (a + b) on two marginal counts: the paper's 'McNemar'.

    It ignores which cases the counts share, so it is no test of paired calls; kept for the
    replication of printed figures only.
    """
    if first + second == 0:
        return _impossible("marginal chi-square", 0, (), "no counts")
    statistic = (first - second) ** 2 / (first + second)
    return TestResult(
        "marginal chi-square", statistic, float(stats.chi2.sf(statistic, 1)), first + second
    )


def predictive_value_test(
    truth: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, *, positive: bool = True
) -> TestResult:
    """Weighted generalised score test of two positive or negative predictive values.

    Kosinski, Stat Med 2013;32:964-977.

    Args:
        truth: Booleans, one per patient.
        first, second: Calls of two tests on the same patients.
        positive: Compare PPV, else NPV.
    """
    disease, one, two = (np.asarray(a, dtype=bool) for a in (truth, first, second))
    _same_length(disease, one, two)
    name = f"weighted generalised score ({'PPV' if positive else 'NPV'})"
    if not positive:
        disease, one, two = ~disease, ~one, ~two
    n_one, n_two = int(one.sum()), int(two.sum())
    if not n_one or not n_two:
        return _impossible(name, disease.size, (), "a test makes no such call")
    hits_one, hits_two = int((disease & one).sum()), int((disease & two).sum())
    pooled = (hits_one + hits_two) / (n_one + n_two)
    both = one & two
    shared = (disease & both).sum() * (1 - pooled) ** 2 + (~disease & both).sum() * pooled**2
    spread = pooled * (1 - pooled) - 2 * shared / (n_one + n_two)
    variance = spread * (1 / n_one + 1 / n_two)
    difference = hits_one / n_one - hits_two / n_two
    if variance <= 1e-15:
        return TestResult(name, 0.0, 1.0, disease.size, note="no spread: both tests agree")
    statistic = float(difference**2 / variance)
    return TestResult(name, statistic, float(stats.chi2.sf(statistic, 1)), disease.size)


def paired_delong(
    truth: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike
) -> tuple[TestResult, Interval]:
    """DeLong's test of two areas on the same patients, and the difference with its interval.

    Raises:
        InputError: see ``roc.as_scored``.
    """
    labels, one = as_scored(truth, first)
    _, two = as_scored(truth, second)
    areas, covariance = delong_covariance(labels, [one, two])
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if not variance > 1e-15:
        note = "no variance: scores rank the patients alike"
        p = 1.0 if difference == 0 else NAN
        result = TestResult("paired DeLong", 0.0, p, labels.size, note=note)
        return result, Interval(difference, NAN, NAN, "DeLong")
    z = difference / np.sqrt(variance)
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance))
    result = TestResult("paired DeLong", float(z), float(2 * stats.norm.sf(abs(z))), labels.size)
    return result, Interval(difference, difference - half, difference + half, "DeLong")


def _same_length(*arrays: BoolArray) -> None:
    if len({array.shape for array in arrays}) != 1:
        raise InputError(
            "A paired test was asked for on unpaired data",
            got=" and ".join(str(array.size) for array in arrays) + " values",
            remedy="Give both results for the same cases in the same order",
        )


def anova(groups: Sequence[npt.ArrayLike]) -> TestResult:
    """One-way analysis of variance across groups; NaN is left out."""
    return _across("ANOVA", groups, smallest=2)


def kruskal(groups: Sequence[npt.ArrayLike]) -> TestResult:
    """Kruskal-Wallis test across groups; NaN is left out."""
    return _across("Kruskal-Wallis", groups, smallest=1)


def _across(name: str, groups: Sequence[npt.ArrayLike], smallest: int) -> TestResult:
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    arrays = [array[np.isfinite(array)] for array in arrays]
    filled = [array for array in arrays if array.size >= smallest]
    n = sum(array.size for array in filled)
    if len(filled) < 2:
        return _impossible(name, n, (), "fewer than two groups with values")
    if np.ptp(np.concatenate(filled)) == 0 or (
        name == "ANOVA" and all(np.ptp(array) == 0 for array in filled)
    ):
        return _impossible(name, n, (), "no spread within the groups")
    test = stats.f_oneway if name == "ANOVA" else stats.kruskal
    result = test(*filled)
    return TestResult(name, float(result.statistic), float(result.pvalue), n)


def count_table_test(table: npt.ArrayLike) -> TestResult:
    """Pearson's chi-square of a table of counts (groups x categories), empty margins dropped."""
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return _impossible("chi-square", int(counts.sum()), (), "fewer than two rows or columns")
    result = stats.chi2_contingency(counts, correction=False)
    low = " (expected counts below 5)" if result.expected_freq.min() < 5 else ""
    return TestResult(
        "chi-square", float(result.statistic), float(result.pvalue), int(counts.sum()), note=low
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values; NaN stays NaN and does not count.

    Own lines, since statsmodels' ``multipletests`` collects garbage on every call; a test
    holds them against it.
    """
    array = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(array.shape, np.nan)
    order = [n for n in np.argsort(array) if np.isfinite(array[n])]
    steps = array[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if order else []
    return [float(p) for p in adjusted]
