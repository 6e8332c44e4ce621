"""Tables 2 and 3 of the paper: ages, shares and the men of each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from studies.liu2021.facts import Finding, Verdict, sum_verdict, verdict_of

_SPLITS = ("train", "validation", "test")
_AGES = {  # mean and SD of training, validation, testing; p; external; p
    "bones": (((68.3, 10.5), (67.6, 10.9), (67.8, 11.7)), 0.756, (70.7, 8.1), 0.062),
    "lesions": (((69.6, 10.4), (65.9, 11.2), (68.7, 8.9)), 0.548, (70.7, 8.1), 0.268),
}
_TABLE = {"bones": 2, "lesions": 3}
_PERCENTS = {  # Table 3, patients with 1, 2-3, 4-5, > 5 lesions
    "train": (22.39, 26.86, 17.91, 32.84),
    "validation": (22.22, 33.33, 22.22, 22.22),
    "test": (12.50, 31.25, 25.00, 31.25),
    "external": (16.13, 19.35, 25.81, 38.71),
}
_WITHOUT = {"train": (184, 224), "validation": (23, 16), "test": (23, 18)}  # Table 2
_NOT_TESTABLE = (  # p of skewed numbers that are printed as median and quartiles
    ("Table 2, p of T-PSA", (0.556, 0.199)),
    ("Table 2, p of F-PSA", (0.266, 0.112)),
    ("Table 2, p of F/T-PSA", (0.587, 0.399)),
    ("Table 3, p of T-PSA", (0.305, 0.941)),
    ("Table 3, p of F-PSA", (0.993, 0.091)),
    ("Table 3, p of F/T-PSA", (0.356, 0.573)),
    ("Table 3, p of volume", (0.945, 0.645)),
)


def characteristics(data: Mapping[str, Any]) -> list[Finding]:
    """Every figure of Tables 2 and 3 that others of the paper's figures can test."""
    return [*_ages(data), *_shares(data), *_data_sets(data), *_skewed()]


def _ages(data: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for model, (groups, p, external, external_p) in _AGES.items():
        sizes = [data["cohorts"][model][split] for split in _SPLITS]
        where = f"Table {_TABLE[model]}, p of age"
        findings.append(_anova_finding(where, sizes, groups, p))
        n, mean, sd = pooled_of(sizes, groups)
        both = [n, data["cohorts"]["external"]["patients"]]
        findings.append(
            _anova_finding(
                f"{where}, external against development", both, [(mean, sd), external], external_p
            )
        )
    return findings


def pooled_of(
    sizes: Sequence[int], groups: Sequence[tuple[float, float]]
) -> tuple[int, float, float]:
    """Size, mean and SD of groups taken together."""
    n, mean, sd = np.array(sizes), *np.array(groups).T
    total = int(n.sum())
    middle = float((n * mean).sum() / total)
    spread = ((n - 1) * sd**2 + n * (mean - middle) ** 2).sum() / (total - 1)
    return total, middle, float(np.sqrt(spread))


def anova_of(sizes: Sequence[int], means: npt.ArrayLike, sds: npt.ArrayLike) -> float:
    """One-way analysis of variance from sizes, means and SDs."""
    n, mean, sd = (np.asarray(values, float) for values in (sizes, means, sds))
    total, groups = n.sum(), n.size
    between = (n * (mean - (n * mean).sum() / total) ** 2).sum() / (groups - 1)
    within = ((n - 1) * sd**2).sum() / (total - groups)
    return float(stats.f.sf(between / within, groups - 1, total - groups))


def _anova_finding(
    where: str, sizes: Sequence[int], groups: Sequence[tuple[float, float]], printed: float
) -> Finding:
    """The printed p against every p that the rounding of means and SDs allows."""
    means, sds = zip(*groups, strict=True)
    p = anova_of(sizes, means, sds)
    reached = [
        anova_of(sizes, np.add(means, shift), np.add(sds, width))
        for shift in product((-0.05, 0.0, 0.05), repeat=len(sizes))
        for width in (-0.05, 0.05)
    ]
    low, high = min(reached), max(reached)
    fits = low - 5e-4 <= printed <= high + 5e-4
    remark = f"Between {low:.3f} and {high:.3f} with the rounding of means and SDs"
    verdict = Verdict.REPRODUCED if fits else Verdict.DIFFERS
    method = "one-way ANOVA from printed means, SDs and sizes"
    return Finding(where, f"{printed:.3f}", f"{p:.3f}", method, verdict, remark)


def _shares(data: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for split, printed in _PERCENTS.items():
        bins = data["cohorts"]["lesions_per_patient"][split]["bins"]
        for name, count, percent in zip(("1", "2-3", "4-5", ">5"), bins, printed, strict=True):
            share = 100 * count / sum(bins)
            where = f"Table 3, share with {name} lesions, {split} ({count}/{sum(bins)})"
            verdict = verdict_of([percent], [share], 2)
            findings.append(Finding(where, f"{percent:.2f}", f"{share:.2f}", "division", verdict))
    return findings


def _data_sets(data: Mapping[str, Any]) -> list[Finding]:
    """The men of Table 2 against the data sets that the text names."""
    cohorts, findings = data["cohorts"]["bones"], []
    for split, counts in _WITHOUT.items():
        where = f"Table 2, with and without metastases, {split}"
        remark = "The men of data set 1 are not named"
        findings.append(sum_verdict(where, cohorts[split], sum(counts), remark))
    m1, m0 = (sum(column) for column in zip(*_WITHOUT.values(), strict=True))
    healthy = sum(cohorts[split] for split in _SPLITS) - m1 - m0
    sets = data["flow"]["data_sets"]
    rows = (
        ("Table 2, with metastases, against data set 3", sets["dataset3"], m1),
        ("Table 2, without metastases, against data set 2", sets["dataset2"], m0),
        ("Table 2, the remainder, against data set 1", sets["dataset1"], healthy),
    )
    return [*findings, *(sum_verdict(*row) for row in rows)]


def _skewed() -> list[Finding]:
    method = "ANOVA needs means and SDs; median and quartiles are printed"
    return [
        Finding(where, ", ".join(f"{p:.3f}" for p in printed), "-", method, Verdict.UNTESTABLE)
        for where, printed in _NOT_TESTABLE
    ]
