"""Agreement of two measurements, and of several readers' masks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import stats

from pelvimets.errors import InputError
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray, as_mask
from pelvimets.evaluation.statistics.intervals import LEVEL, Interval

NAN = float("nan")


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


def intraclass_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> Interval:
    """ICC of two measurements: two-way random effects, single, absolute agreement: ICC(A,1).

    Raises:
        InputError: if the lengths differ.
    """
    return intraclass_correlation_of(np.stack(_pairs(first, second), axis=1))


def intraclass_correlation_of(ratings: npt.ArrayLike, kind: str = "ICC(A,1)") -> Interval:
    """ICC by pingouin.

    Args:
        ratings: (cases, raters).
        kind: McGraw and Wong's name: ICC(1,1), ICC(A,1), ICC(C,1), or their k forms.
    """
    import pandas as pd
    import pingouin

    table = np.asarray(ratings, np.float64)
    if table.shape[0] < 3 or np.ptp(table) == 0:
        return Interval(NAN, NAN, NAN, kind)
    cases, raters = np.indices(table.shape)
    data = pd.DataFrame({"case": cases.ravel(), "rater": raters.ravel(), "value": table.ravel()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pingouin's use of pandas and its division by zero
        found = pingouin.intraclass_corr(data, targets="case", raters="rater", ratings="value")
    row = found.loc[found["Type"] == kind].iloc[0]
    low, high = (float(bound) for bound in row["CI95"])
    return Interval(float(row["ICC"]), low, high, kind)


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
