"""The paper's printed figures recomputed: which method gives each, and which contradict.

Liu X. et al., Front Oncol 2021;11:773299, Tables 2-5 and text; figures as data in
``studies/liu2021/facts.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from pelvimets.evaluation.statistics.comparing import marginal_chi_square, paired_delong
from pelvimets.evaluation.statistics.intervals import Interval, proportion_interval
from pelvimets.evaluation.tables.table import Table
from studies.liu2021.characteristics import characteristics
from studies.liu2021.facts import (
    PATIENT_COUNTS,
    SEQUENCES,
    TEST_M0,
    TEST_M1,
    Finding,
    Verdict,
    fraction_of,
    paper_facts,
    verdict_of,
)
from studies.liu2021.sums import (
    cohort_sums,
    lesion_sums,
    limits_of_agreement,
    quartiles,
    sensitivity_bound,
    texts,
)


def audit(facts: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """Recompute the intervals, p-values and sums of Tables 2-5; what cannot be tested says so."""
    data = paper_facts() if facts is None else facts
    return (
        *_patient_intervals(data),
        *_areas(data),
        *_external_intervals(data),
        *_mcnemar_p(),
        *_area_p(data),
        *_lesion_rates(data),
        *lesion_sums(data),
        *sensitivity_bound(data),
        *_structure_p(data),
        *_lesion_segmentation_p(data),
        *cohort_sums(data),
        *quartiles(),
        *limits_of_agreement(data),
        *characteristics(data),
        *texts(data),
    )


def audit_table(findings: Sequence[Finding]) -> Table:
    """All findings as a table."""
    rows = tuple(
        (f.where, f.printed, f.recomputed, f.method, f.verdict.value, f.remark) for f in findings
    )
    counted = {v: sum(f.verdict is v for f in findings) for v in Verdict}
    words = ", ".join(f"{n} {verdict.value}" for verdict, n in counted.items() if n)
    columns = ("Where", "Printed", "Recomputed", "Method", "Verdict", "Remark")
    title = "The paper's printed figures, recomputed"
    return Table("paper_audit", title, columns, rows, (f"{len(findings)} figures: {words}.",))


def _bounds(values: Sequence[float], digits: int = 1) -> str:
    estimate, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{estimate} ({low}-{high})"


def _percents(interval: Interval) -> list[float]:
    return [100 * interval.estimate, 100 * interval.low, 100 * interval.high]


def _patient_intervals(data: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for name, counts in PATIENT_COUNTS.items():
        for sequence, (k, n), printed in zip(
            SEQUENCES, counts, data["table5_detection"]["patient"][name], strict=True
        ):
            where = f"Table 5, {name}, {sequence} ({k}/{n})"
            findings.append(_interval_finding(where, k, n, printed))
    return findings


def _interval_finding(where: str, k: int, n: int, printed: Sequence[float]) -> Finding:
    """Clopper-Pearson against the printed bounds; Wilson is named if it fits better."""
    exact, score = (_percents(proportion_interval(k, n, m)) for m in ("clopper-pearson", "wilson"))
    verdict = verdict_of(printed, exact, 1)
    remark = "" if verdict is not Verdict.DIFFERS else f"Wilson would give {_bounds(score)}"
    return Finding(where, _bounds(printed), _bounds(exact), "Clopper-Pearson", verdict, remark)


def _areas(data: Mapping[str, Any]) -> list[Finding]:
    """Areas equal (sensitivity + specificity)/2; intervals are Clopper-Pearson of area x N."""
    findings = []
    printed = data["table5_detection"]["patient"]["auc"]
    n = TEST_M1 + TEST_M0
    for column, sequence in enumerate(SEQUENCES):
        hits, rejections = (
            PATIENT_COUNTS["sensitivity"][column][0],
            PATIENT_COUNTS["specificity"][column][0],
        )
        area = (hits / TEST_M1 + rejections / TEST_M0) / 2
        findings.append(
            _area_finding(f"Table 5, AUC, {sequence}", area, n, printed[column], digits=2)
        )
    return findings


def _area_finding(
    where: str, area: float, n: int, printed: Sequence[float], digits: int
) -> Finding:
    low, high = _fractional_clopper_pearson(area * n, n)
    computed = [area, low, high]
    return Finding(
        where,
        _bounds(printed, digits),
        _bounds(computed, digits),
        "(sensitivity + specificity)/2; Clopper-Pearson with k = AUC x N",
        verdict_of(printed, computed, digits),
        "An area from binary calls says no more than the two rates; scores are needed",
    )


def _fractional_clopper_pearson(k: float, n: int) -> tuple[float, float]:
    """The beta form, which takes a fractional number of successes."""
    low, high = stats.beta.ppf(0.025, k, n - k + 1), stats.beta.ppf(0.975, k + 1, n - k)
    return float(low), float(high)


_EXTERNAL_PRINTED = {  # in the paper's text
    "sensitivity": ((93.6, 78.6, 99.2), (87.1, 70.2, 96.4)),
    "specificity": ((93.8, 79.6, 99.2), (90.6, 75.0, 98.0)),
}


_EXTERNAL_AREAS = ((0.936, 0.845, 0.982), (0.889, 0.845, 0.982))


def _external_intervals(data: Mapping[str, Any]) -> list[Finding]:
    staging = data["m_staging_external"]
    findings = []
    for name, printed in _EXTERNAL_PRINTED.items():
        for column, sequence in enumerate(SEQUENCES):
            k, n = fraction_of(staging[name][column])
            where = f"Text, external {name}, {sequence} ({k}/{n})"
            findings.append(_interval_finding(where, k, n, printed[column]))
    for column, sequence in enumerate(SEQUENCES):
        (a, p), (b, q) = (
            fraction_of(staging[name][column]) for name in ("sensitivity", "specificity")
        )
        finding = _area_finding(
            f"Text, external AUC, {sequence}", (a / p + b / q) / 2, p + q,
            _EXTERNAL_AREAS[column], digits=3,
        )  # fmt: skip
        copied = column and _EXTERNAL_AREAS[0][1:] == _EXTERNAL_AREAS[column][1:]
        if copied and finding.verdict is Verdict.DIFFERS:
            remark = "The printed interval is a copy of the DWI row's"
            finding = Finding(
                finding.where, finding.printed, finding.recomputed, finding.method,
                Verdict.CONTRADICTS, remark,
            )  # fmt: skip
        findings.append(finding)
    return findings


_NEEDS_PAIRS = "Not McNemar, which needs the discordant pairs"
_NEEDS_OWN_TEST = (
    "Predictive values of one cohort have other denominators on each sequence; they "
    "need a test made for them (weighted generalised score)"
)
_MCNEMAR = (  # Table 5's p between sequences, the counts that give it, and what it is not
    ("sensitivity", 0.847, (14, 13), _NEEDS_PAIRS),
    ("specificity", 0.852, (15, 14), _NEEDS_PAIRS),
    ("accuracy", 0.789, (29, 27), _NEEDS_PAIRS),
    ("PPV", 0.847, (14, 13), _NEEDS_OWN_TEST),
    ("NPV", 0.852, (15, 14), _NEEDS_OWN_TEST),
    ("lesion recall", 0.874, (81, 79), _NEEDS_PAIRS),
)


_PRECISION_P = 0.857


def _mcnemar_p() -> list[Finding]:
    findings = []
    for name, printed, counts, remark in _MCNEMAR:
        p = marginal_chi_square(*counts).p
        findings.append(
            Finding(
                f"Table 5, p of {name}",
                f"{printed:.3f}",
                f"{p:.3f}",
                f"chi-square (a-b)^2/(a+b) on the counts {counts[0]} and {counts[1]}",
                verdict_of([printed], [p], 3),
                remark,
            )
        )
    tried = {
        "marginal chi-square on 81 and 79": marginal_chi_square(81, 79).p,
        "chi-square on 15 and 12 false lesions": marginal_chi_square(15, 12).p,
        "unpaired chi-square 81/96, 79/91": float(
            stats.chi2_contingency([[81, 15], [79, 12]], correction=False).pvalue
        ),
        "the same with Yates": float(stats.chi2_contingency([[81, 15], [79, 12]]).pvalue),
        "Fisher": float(stats.fisher_exact([[81, 15], [79, 12]]).pvalue),
        "chi-square on 96 and 91": marginal_chi_square(96, 91).p,
        "chi-square on 84.38 and 86.81": float(stats.chi2.sf((84.38 - 86.81) ** 2 / 171.19, 1)),
    }
    near = {name: p for name, p in tried.items() if abs(p - _PRECISION_P) < 5e-4}
    nearest = min(tried, key=lambda name: abs(tried[name] - _PRECISION_P))
    findings.append(
        Finding(
            "Table 5, p of lesion precision",
            f"{_PRECISION_P:.3f}",
            f"{tried[nearest]:.3f}",
            f"nearest of {len(tried)} tried: {nearest}",
            Verdict.REPRODUCED if near else Verdict.DIFFERS,
            "" if near else "No method tried gives it",
        )
    )
    return findings


def _area_p(data: Mapping[str, Any]) -> list[Finding]:
    """DeLong on calls: range over all ways in which the calls can pair."""
    test = ((14, 13, TEST_M1), (15, 14, TEST_M0))
    staging = data["m_staging_external"]
    (a, n), (b, _) = (fraction_of(text) for text in staging["sensitivity"])
    (c, m), (d, _) = (fraction_of(text) for text in staging["specificity"])
    return [
        _paired_area_finding("Table 5, p of AUC", 0.442, *test),
        _paired_area_finding("Text, p of external AUC", 0.368, (a, b, n), (c, d, m)),
    ]


def _paired_area_finding(
    where: str, printed: float, m1: tuple[int, int, int], m0: tuple[int, int, int]
) -> Finding:
    """Whether some pairing of the calls gives the printed p by DeLong's test."""
    found = {
        (i, j): _delong_of_calls(m1, i, m0, j)
        for i in _shared_range(*m1)
        for j in _shared_range(*m0)
    }
    valid = {pair: p for pair, p in found.items() if np.isfinite(p)}
    best = min(valid, key=lambda pair: abs(valid[pair] - printed))
    verdict = verdict_of([printed], [valid[best]], 3)
    return Finding(
        where,
        f"{printed:.3f}",
        f"{valid[best]:.3f}",
        f"paired DeLong on binary calls with {best[0]} M1 and {best[1]} M0 patients called right "
        "on both sequences",
        verdict,
        f"Between {min(valid.values()):.3f} and {max(valid.values()):.3f} over all pairings",
    )


def _shared_range(first: int, second: int, total: int) -> range:
    """How many can be right on both, given how many are right on each."""
    return range(max(0, first + second - total), min(first, second) + 1)


def _delong_of_calls(
    m1: tuple[int, int, int], both_m1: int, m0: tuple[int, int, int], both_m0: int
) -> float:
    right_m1, right_m0 = _right(*m1, both_m1), _right(*m0, both_m0)
    truth = np.array([True] * m1[2] + [False] * m0[2])
    calls = [np.concatenate([right_m1[k], ~right_m0[k]]).astype(float) for k in (0, 1)]
    return paired_delong(truth, calls[0], calls[1])[0].p


def _right(first: int, second: int, total: int, both: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Two rows: right on the first and on the second sequence."""
    rows = np.zeros((2, total), bool)
    rows[:, :both] = True
    rows[0, both:first] = True
    rows[1, first : first + second - both] = True
    return rows


def _lesion_rates(data: Mapping[str, Any]) -> list[Finding]:
    lesion, findings = data["table5_detection"]["lesion"], []
    for column, sequence in enumerate(SEQUENCES):
        recall, precision = (fraction_of(lesion[name][column]) for name in ("recall", "precision"))
        f1 = 200 * recall[0] / (recall[1] + precision[1])
        findings.append(
            Finding(
                f"Table 5, F1, {sequence}",
                f"{lesion['f1'][column]:.1f}",
                f"{f1:.1f}",
                "2 TP / (2 TP + FP + FN)",
                verdict_of([lesion["f1"][column]], [f1], 1),
                "False lesions of patients without metastases are not in the precision",
            )
        )
    printed = {("1", 0): 100.0, (">5", 1): 85.9}
    for (group, column), value in printed.items():
        k, n = fraction_of(data["table5_detection"]["lesion_by_count"][group]["precision"][column])
        where = f"Table 5, precision of {group} lesions, {SEQUENCES[column]} ({k}/{n})"
        share = 100 * k / n
        verdict = verdict_of([value], [share], 1)
        findings.append(Finding(where, f"{value:.1f}", f"{share:.1f}", "division", verdict))
    share = 100 * 29 / 31
    findings.append(
        Finding(
            "Text, external sensitivity, DWI (29/31)", "93.6", f"{share:.1f}", "division",
            verdict_of([93.6], [share], 1),
        )
    )  # fmt: skip
    return findings


_STRUCTURE_P = {  # Table 4: p of DSC, VS, HD
    "lumbar_vertebra": (0.001, 0.034, 0.258),
    "sacrococcyx": (0.001, 0.001, 0.001),
    "ilium": (0.001, 0.001, 0.001),
    "acetabulum": (0.001, 0.017, 0.001),
    "femoral_head": (0.001, 0.001, 0.001),
    "femoral_neck": (0.001, 0.015, 0.001),
    "ischium": (0.001, 0.001, 0.295),
    "pubis": (0.022, 0.074, 0.001),
}


_TABLE4_N = 88


def _structure_p(data: Mapping[str, Any]) -> list[Finding]:
    """Whether a paired t test can give the printed p, for some correlation of the pairs."""
    findings = []
    for bone, printed in _STRUCTURE_P.items():
        for measure, p in zip(("dsc", "vs", "hd_mm"), printed, strict=True):
            rows = data["table4_bones"][bone][measure]
            findings.append(_paired_t_finding(f"Table 4, {bone}, {measure}", rows, p, _TABLE4_N))
    return findings


def _paired_t_finding(
    where: str, rows: Sequence[Sequence[float]], printed: float, n: int
) -> Finding:
    """The correlation that the printed p asks for, given means and SD (rounding included)."""
    (mean1, sd1), (mean2, sd2) = rows
    half = 0.005
    grid = np.linspace(-0.99, 0.99, 199)
    spread = np.sqrt(np.maximum(sd1**2 + sd2**2 - 2 * grid * sd1 * sd2, 1e-12) / n)
    gap = abs(mean1 - mean2)
    low = 2 * stats.t.sf((gap + 2 * half) / spread, n - 1)
    high = 2 * stats.t.sf(max(gap - 2 * half, 0.0) / spread, n - 1)
    at_most = printed <= 0.001
    fits = low <= 0.001 if at_most else (low <= printed + 5e-4) & (printed - 5e-4 <= high)
    text = f"{'<= ' if at_most else ''}{printed:.3f}"
    method = f"paired t from mean and SD, n = {n}, any correlation of the pairs"
    if not fits.any():
        best = float(np.clip(printed, low.min(), high.max()))
        where_to = f"nearest {best:.3f}"
        return Finding(where, text, where_to, method, Verdict.DIFFERS, "No correlation gives it")
    reach = f"correlation {grid[fits].min():.2f} to {grid[fits].max():.2f}"
    remark = "" if printed < 0.05 else "'All with p < 0.05' in the text does not hold here"
    verdict = Verdict.REPRODUCED if printed < 0.05 else Verdict.CONTRADICTS
    return Finding(where, text, reach, method, verdict, remark)


def _lesion_segmentation_p(data: Mapping[str, Any]) -> list[Finding]:
    printed = {"dsc": 0.627, "vs": 0.741, "hd_mm": 0.175}
    rows = data["lesion_segmentation"]["test"]
    findings = []
    for measure, p in printed.items():
        found = _paired_t_finding(f"Text, lesions, {measure}", rows[measure], p, TEST_M1)
        verdict = found.verdict if found.verdict is Verdict.DIFFERS else Verdict.REPRODUCED
        findings.append(
            Finding(found.where, found.printed, found.recomputed, found.method, verdict)
        )
    return findings
