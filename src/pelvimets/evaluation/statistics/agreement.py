"""Agreement of two measurements, and of several readers' masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import stats

from pelvimets.errors import InputError, SettingsError
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray, as_mask
from pelvimets.evaluation.statistics.intervals import LEVEL, Interval

NAN = float("nan")
IccKind = Literal["ICC(1,1)", "ICC(A,1)", "ICC(C,1)"]


def _pairs(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise InputError(
            "Agreement needs two measurements of the same cases",
            got=f"{one.shape} and {two.shape} values",
        )
    valid = np.isfinite(one) & np.isfinite(two)
    return one[valid], two[valid]


@dataclass(frozen=True)
class BlandAltman:
    """Differences second - first against their means.

    Attributes:
        n: Pairs.
        bias: Mean difference with its t interval.
        sd: Standard deviation of the differences.
        lower, upper: Limits of agreement, bias -/+ ``multiple`` SD, with their intervals.
    """

    n: int
    bias: Interval
    sd: float
    lower: Interval
    upper: Interval


def bland_altman(
    first: npt.ArrayLike, second: npt.ArrayLike, *, multiple: float = 1.96, level: float = LEVEL
) -> BlandAltman:
    """Bias and limits of agreement (Bland and Altman, Lancet 1986;i:307-310).

    The standard error of a limit is SD x sqrt(1/n + multiple^2 / (2 (n - 1))) (Stat Methods
    Med Res 1999;8:135-160); intervals by Student's t.

    Args:
        first, second: Two measurements of the same cases; pairs with NaN are left out.
        multiple: Width of the limits in SD.
        level: Confidence level of the intervals.

    Raises:
        InputError: if the lengths differ.
    """
    one, two = _pairs(first, second)
    difference = two - one
    n = difference.size
    if n < 2:
        empty = Interval(NAN, NAN, NAN, "t", level)
        mean = float(difference.mean()) if n else NAN
        return BlandAltman(n, Interval(mean, NAN, NAN, "t", level), NAN, empty, empty)
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    t = float(stats.t.ppf((1 + level) / 2, n - 1))
    half_bias = t * sd / float(np.sqrt(n))
    half_limit = t * sd * float(np.sqrt(1 / n + multiple**2 / (2 * (n - 1))))
    limits = [bias - multiple * sd, bias + multiple * sd]
    lower, upper = (Interval(x, x - half_limit, x + half_limit, "t", level) for x in limits)
    return BlandAltman(
        n, Interval(bias, bias - half_bias, bias + half_bias, "t", level), sd, lower, upper
    )


def concordance(first: npt.ArrayLike, second: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Lin's concordance correlation coefficient with its interval on the z scale.

    Lin, Biometrics 1989;45:255-268, with the variance as corrected in 2000;56:324-325.

    Raises:
        InputError: if the lengths differ.
    """
    one, two = _pairs(first, second)
    n = one.size
    name = "Lin (z)"
    if n < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return Interval(NAN, NAN, NAN, name, level)
    covariance = float(np.mean((one - one.mean()) * (two - two.mean())))
    var_one, var_two = float(one.var()), float(two.var())
    rho = 2 * covariance / (var_one + var_two + (one.mean() - two.mean()) ** 2)
    r = covariance / np.sqrt(var_one * var_two)
    if abs(rho) >= 1 or abs(r) >= 1 or r == 0:
        return Interval(float(rho), NAN, NAN, name, level)
    shift = (one.mean() - two.mean()) ** 2 / np.sqrt(var_one * var_two)
    variance = (
        (1 - r**2) * rho**2 * (1 - rho**2) / r**2
        + 2 * rho**3 * (1 - rho) * shift / r
        - rho**4 * shift**2 / (2 * r**2)
    ) / (n - 2)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance) / (1 - rho**2)
    z = np.arctanh(rho)
    return Interval(float(rho), float(np.tanh(z - half)), float(np.tanh(z + half)), name, level)


def kappa(first: npt.ArrayLike, second: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Cohen's kappa of two yes-or-no readings of the same cases.

    The interval is that of Fleiss, Cohen and Everitt (Psychol Bull 1969;72:323-327). Own lines,
    since statsmodels takes the root of a rounded variance of 0; a test holds them against it.

    Raises:
        InputError: if the lengths differ.
    """
    one, two = np.asarray(first, bool), np.asarray(second, bool)
    if one.shape != two.shape:
        raise InputError(
            "Agreement needs two readings of the same cases", got=f"{one.size}, {two.size}"
        )
    name, n = "Cohen's kappa", one.size
    if not n or (one.all() and two.all()) or not (one.any() or two.any()):
        return Interval(NAN, NAN, NAN, name, level)
    shares = np.array([[np.mean((one == a) & (two == b)) for b in (True, False)]
                       for a in (True, False)])  # fmt: skip
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    expected = float(rows @ columns)
    estimate = (float(np.trace(shares)) - expected) / (1 - expected)
    rest = 1 - estimate
    variance = (
        float(np.diag(shares) @ (1 - (rows + columns) * rest) ** 2)
        + rest**2 * (shares[0, 1] * (columns[0] + rows[1]) ** 2)
        + rest**2 * (shares[1, 0] * (columns[1] + rows[0]) ** 2)
        - (estimate - expected * rest) ** 2
    ) / ((1 - expected) ** 2 * n)
    if variance < 1e-12:  # full agreement, or one reader of one word: no width is known
        return Interval(estimate, NAN, NAN, name, level)
    half = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(variance))
    return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half), name, level)


def intraclass_correlation(
    first: npt.ArrayLike, second: npt.ArrayLike, level: float = LEVEL
) -> Interval:
    """ICC of two measurements: two-way random effects, single, absolute agreement: ICC(A,1).

    Raises:
        InputError: if the lengths differ.
    """
    return intraclass_correlation_of(np.stack(_pairs(first, second), axis=1), level=level)


def intraclass_correlation_of(
    ratings: npt.ArrayLike, kind: IccKind = "ICC(A,1)", level: float = LEVEL
) -> Interval:
    """ICC of single ratings with its F interval (McGraw and Wong, Psychol Methods 1996;1:30-46).

    Args:
        ratings: (cases, raters), complete.
        kind: Their name: ICC(1,1), ICC(A,1) or ICC(C,1).
        level: Confidence level.

    Raises:
        SettingsError: for another kind.
    """
    table = np.asarray(ratings, np.float64)
    n, k = table.shape
    if n < 3 or np.ptp(table) == 0:
        return Interval(NAN, NAN, NAN, kind, level)
    squares = _mean_squares(table)
    bounds = {"ICC(1,1)": _icc_one_way, "ICC(A,1)": _icc_agreement, "ICC(C,1)": _icc_consistency}
    if kind not in bounds:
        raise SettingsError("Unknown intraclass correlation", got=kind, remedy=f"Use {[*bounds]}")
    estimate, low, high = bounds[kind](squares, n, k, 1 - (1 - level) / 2)
    return Interval(estimate, low, high, kind, level)


@dataclass(frozen=True)
class _MeanSquares:
    """Of a two-way table: between cases, between raters, residual, within cases."""

    cases: float
    raters: float
    residual: float
    within: float


def _mean_squares(table: FloatArray) -> _MeanSquares:
    n, k = table.shape
    mean, cases, raters = table.mean(), table.mean(axis=1), table.mean(axis=0)
    residual = table - cases[:, None] - raters[None, :] + mean
    return _MeanSquares(
        float(k * ((cases - mean) ** 2).sum() / (n - 1)),
        float(n * ((raters - mean) ** 2).sum() / (k - 1)),
        float((residual**2).sum() / ((n - 1) * (k - 1))),
        float(((table - cases[:, None]) ** 2).sum() / (n * (k - 1))),
    )


def _of_f(ratio: float, k: int) -> float:
    """An ICC from a ratio of mean squares."""
    return (ratio - 1) / (ratio + k - 1)


def _ratio_bounds(
    cases: float, error: float, freedom: tuple[int, int], k: int, upper: float
) -> tuple[float, float, float]:
    if error == 0:
        return 1.0, 1.0, 1.0
    ratio = cases / error
    low = ratio / float(stats.f.ppf(upper, *freedom))
    high = ratio * float(stats.f.ppf(upper, *freedom[::-1]))
    return _of_f(ratio, k), _of_f(low, k), _of_f(high, k)


def _icc_one_way(squares: _MeanSquares, n: int, k: int, upper: float) -> tuple[float, float, float]:
    return _ratio_bounds(squares.cases, squares.within, (n - 1, n * (k - 1)), k, upper)


def _icc_consistency(
    squares: _MeanSquares, n: int, k: int, upper: float
) -> tuple[float, float, float]:
    return _ratio_bounds(squares.cases, squares.residual, (n - 1, (n - 1) * (k - 1)), k, upper)


def _icc_agreement(
    squares: _MeanSquares, n: int, k: int, upper: float
) -> tuple[float, float, float]:
    cases, raters, residual = squares.cases, squares.raters, squares.residual
    estimate = (cases - residual) / (cases + (k - 1) * residual + k * (raters - residual) / n)
    if residual == 0 and raters == 0:
        return 1.0, 1.0, 1.0
    a, b = k * estimate / (n * (1 - estimate)), 1 + k * estimate * (n - 1) / (n * (1 - estimate))
    parts = (a * raters) ** 2 / (k - 1) + (b * residual) ** 2 / ((n - 1) * (k - 1))
    freedom = (a * raters + b * residual) ** 2 / parts
    spread = k * raters + (k * n - k - n) * residual
    above = float(stats.f.ppf(upper, n - 1, freedom))
    below = float(stats.f.ppf(upper, freedom, n - 1))
    low = n * (cases - above * residual) / (above * spread + n * cases)
    high = n * (below * cases - residual) / (spread + n * below * cases)
    return float(estimate), float(low), float(high)


@dataclass(frozen=True, eq=False)
class Consensus:
    """STAPLE estimate of the truth behind several masks.

    Attributes:
        mask: Voxels with probability of at least one half.
        sensitivity, specificity: Of each reader against the estimate.
        iterations: Until it settled.
    """

    mask: BoolArray
    sensitivity: dict[str, float]
    specificity: dict[str, float]
    iterations: int


def staple(masks: Mapping[str, npt.ArrayLike], margin: int = 4) -> Consensus | None:
    """Consensus of readers' masks (Warfield et al., IEEE TMI 2004;23:903-921), by SimpleITK.

    Specificity depends on how much background is looked at: only the box around all masks
    and a margin of voxels is.

    Args:
        masks: Boolean mask (z, y, x) of each reader; at least two, of one shape.
        margin: Voxels around the joint box.

    Returns:
        None if no reader marked anything.

    Raises:
        InputError: if there are fewer than two readers or shapes differ.
    """
    arrays = {name: as_mask(mask) for name, mask in masks.items()}
    if len(arrays) < 2 or len({array.shape for array in arrays.values()}) != 1:
        raise InputError(
            "A consensus needs at least two masks on one grid",
            got={name: array.shape for name, array in arrays.items()},
        )
    union = np.logical_or.reduce(list(arrays.values()))
    if not union.any():
        return None
    box = tuple(
        slice(max(0, int(axis.min()) - margin), int(axis.max()) + margin + 1)
        for axis in np.nonzero(union)
    )
    return _staple([array[box] for array in arrays.values()], list(arrays), union.shape, box)


def _staple(
    cut: Sequence[BoolArray],
    names: Sequence[str],
    shape: tuple[int, ...],
    box: tuple[slice, ...],
) -> Consensus:
    mask = np.zeros(shape, bool)
    if all((array == cut[0]).all() for array in cut):  # nothing to estimate
        mask[box] = cut[0]
        ones = dict.fromkeys(names, 1.0)
        return Consensus(mask, ones, dict(ones), 0)
    staple_filter = sitk.STAPLEImageFilter()
    staple_filter.SetForegroundValue(1.0)
    staple_filter.SetMaximumIterations(200)
    images = [sitk.GetImageFromArray(array.astype(np.uint8)) for array in cut]
    mask[box] = sitk.GetArrayViewFromImage(staple_filter.Execute(images)) >= 0.5
    return Consensus(
        mask,
        dict(zip(names, staple_filter.GetSensitivity(), strict=True)),
        dict(zip(names, staple_filter.GetSpecificity(), strict=True)),
        staple_filter.GetElapsedIterations(),
    )
