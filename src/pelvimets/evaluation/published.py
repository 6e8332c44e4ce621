"""The paper's printed figures recomputed: which method gives each, and which contradict.

Liu X. et al., Front Oncol 2021;11:773299, Tables 2-5 and text; figures as data in
``resources/paper/facts.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import numpy as np
import yaml
from scipy import stats

from pelvimets.evaluation.comparing import marginal_chi_square, paired_delong
from pelvimets.evaluation.intervals import Interval, proportion_interval
from pelvimets.evaluation.tables import Table

SEQUENCES = ("DWI", "T1 in phase")
TEST_M1, TEST_M0 = 16, 18
EXTERNAL_M1, EXTERNAL_M0 = 31, 32


class Verdict(StrEnum):
    """What the recomputation says of a printed figure."""

    REPRODUCED = "reproduced"
    LAST_DIGIT = "last digit differs"
    DIFFERS = "differs"
    CONTRADICTS = "contradicts"
    UNTESTABLE = "cannot be tested"


@dataclass(frozen=True)
class Finding:
    """One printed figure and what it should be.

    Attributes:
        where: Table and cell.
        printed, recomputed: As text.
        method: That gives the recomputed figure.
        verdict: How both agree.
        remark: What follows from it.
    """

    where: str
    printed: str
    recomputed: str
    method: str
    verdict: Verdict
    remark: str = ""


def paper_facts() -> dict[str, Any]:
    """The paper's figures as plain data."""
    path = resources.files("pelvimets.resources") / "paper" / "facts.yaml"
    facts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return facts


def audit(facts: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """Recompute every interval, p-value and sum of Tables 2-5."""
    data = paper_facts() if facts is None else facts
    return (
        *_patient_intervals(data),
        *_areas(data),
        *_external_intervals(data),
        *_mcnemar_p(),
        *_area_p(data),
        *_lesion_rates(data),
        *_lesion_sums(data),
        *_sensitivity_bound(data),
        *_structure_p(data),
        *_lesion_segmentation_p(data),
        *_cohort_sums(data),
        *_quartiles(),
        *_limits_of_agreement(data),
        *_texts(),
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


_COUNTS = {  # patient level of the test set, from the printed shares of 16 M1 and 18 M0 patients
    "sensitivity": ((14, 16), (13, 16)),
    "specificity": ((15, 18), (14, 18)),
    "accuracy": ((29, 34), (27, 34)),
    "ppv": ((14, 17), (13, 17)),
    "npv": ((15, 17), (14, 17)),
}


def _compare(printed: Sequence[float], computed: Sequence[float], digits: int) -> Verdict:
    """Equal after rounding, one off in the last digit, or different."""
    step = 10.0**-digits
    gap = max(abs(p - c) for p, c in zip(printed, computed, strict=True)) - 1e-9
    if gap <= step / 2:
        return Verdict.REPRODUCED
    return Verdict.LAST_DIGIT if gap <= 1.5 * step else Verdict.DIFFERS


def _bounds(values: Sequence[float], digits: int = 1) -> str:
    estimate, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{estimate} ({low}-{high})"


def _percents(interval: Interval) -> list[float]:
    return [100 * interval.estimate, 100 * interval.low, 100 * interval.high]


def _patient_intervals(data: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for name, counts in _COUNTS.items():
        for sequence, (k, n), printed in zip(
            SEQUENCES, counts, data["table5_detection"]["patient"][name], strict=True
        ):
            where = f"Table 5, {name}, {sequence} ({k}/{n})"
            findings.append(_interval_finding(where, k, n, printed))
    return findings


def _interval_finding(where: str, k: int, n: int, printed: Sequence[float]) -> Finding:
    """Clopper-Pearson against the printed bounds; Wilson is named if it fits better."""
    exact, score = (_percents(proportion_interval(k, n, m)) for m in ("clopper-pearson", "wilson"))
    verdict = _compare(printed, exact, 1)
    remark = "" if verdict is not Verdict.DIFFERS else f"Wilson would give {_bounds(score)}"
    return Finding(where, _bounds(printed), _bounds(exact), "Clopper-Pearson", verdict, remark)


def _areas(data: Mapping[str, Any]) -> list[Finding]:
    """Areas equal (sensitivity + specificity)/2; intervals are Clopper-Pearson of area x N."""
    findings = []
    printed = data["table5_detection"]["patient"]["auc"]
    n = TEST_M1 + TEST_M0
    for column, sequence in enumerate(SEQUENCES):
        hits, rejections = _COUNTS["sensitivity"][column][0], _COUNTS["specificity"][column][0]
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
        _compare(printed, computed, digits),
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
            k, n = _fraction(staging[name][column])
            where = f"Text, external {name}, {sequence} ({k}/{n})"
            findings.append(_interval_finding(where, k, n, printed[column]))
    for column, sequence in enumerate(SEQUENCES):
        (a, p), (b, q) = (
            _fraction(staging[name][column]) for name in ("sensitivity", "specificity")
        )
        finding = _area_finding(
            f"Text, external AUC, {sequence}", (a / p + b / q) / 2, p + q,
            _EXTERNAL_AREAS[column], digits=3,
        )  # fmt: skip
        if _EXTERNAL_AREAS[0][1:] == _EXTERNAL_AREAS[column][1:] and column:
            remark = "The printed interval is a copy of the DWI row's"
            finding = Finding(
                finding.where, finding.printed, finding.recomputed, finding.method,
                Verdict.CONTRADICTS, remark,
            )  # fmt: skip
        findings.append(finding)
    return findings


def _fraction(text: str) -> tuple[int, int]:
    above, below = text.split("/")
    return int(above), int(below)


_MCNEMAR = (  # Table 5's p between sequences, and the counts that give it
    ("sensitivity", 0.847, (14, 13)),
    ("specificity", 0.852, (15, 14)),
    ("accuracy", 0.789, (29, 27)),
    ("PPV", 0.847, (14, 13)),
    ("NPV", 0.852, (15, 14)),
    ("lesion recall", 0.874, (81, 79)),
)
_PRECISION_P = 0.857


def _mcnemar_p() -> list[Finding]:
    findings = []
    for name, printed, counts in _MCNEMAR:
        p = marginal_chi_square(*counts).p
        remark = (
            "Not McNemar, which needs the discordant pairs"
            if name[1:2].islower()
            else "Predictive values of one cohort have other denominators on each sequence; they "
            "need a test made for them (weighted generalised score)"
        )
        findings.append(
            Finding(
                f"Table 5, p of {name}",
                f"{printed:.3f}",
                f"{p:.3f}",
                f"chi-square (a-b)^2/(a+b) on the counts {counts[0]} and {counts[1]}",
                _compare([printed], [p], 3),
                remark,
            )
        )
    tried = {
        "marginal chi-square on 81, 81": marginal_chi_square(81, 79).p,
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
    (a, n), (b, _) = (_fraction(text) for text in staging["sensitivity"])
    (c, m), (d, _) = (_fraction(text) for text in staging["specificity"])
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
    verdict = _compare([printed], [valid[best]], 3)
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
        recall, precision = (_fraction(lesion[name][column]) for name in ("recall", "precision"))
        f1 = 200 * recall[0] / (recall[1] + precision[1])
        findings.append(
            Finding(
                f"Table 5, F1, {sequence}",
                f"{lesion['f1'][column]:.1f}",
                f"{f1:.1f}",
                "2 TP / (2 TP + FP + FN)",
                _compare([lesion["f1"][column]], [f1], 1),
                "False lesions of patients without metastases are not in the precision",
            )
        )
    printed = {("1", 0): 100.0, (">5", 1): 85.9}
    for (group, column), value in printed.items():
        k, n = _fraction(data["table5_detection"]["lesion_by_count"][group]["precision"][column])
        where = f"Table 5, precision of {group} lesions, {SEQUENCES[column]} ({k}/{n})"
        share = 100 * k / n
        verdict = _compare([value], [share], 1)
        findings.append(Finding(where, f"{value:.1f}", f"{share:.1f}", "division", verdict))
    share = 100 * 29 / 31
    findings.append(
        Finding(
            "Text, external sensitivity, DWI (29/31)", "93.6", f"{share:.1f}", "division",
            _compare([93.6], [share], 1),
        )
    )  # fmt: skip
    return findings


def _lesion_sums(data: Mapping[str, Any]) -> list[Finding]:
    """Groups of Table 5 against its totals, and bins of Table 3 against patients."""
    table, findings = data["table5_detection"], []
    for name in ("recall", "precision"):
        for column, sequence in enumerate(SEQUENCES):
            parts = [_fraction(group[name][column]) for group in table["lesion_by_count"].values()]
            summed = f"{sum(p[0] for p in parts)}/{sum(p[1] for p in parts)}"
            total = table["lesion"][name][column]
            verdict = Verdict.REPRODUCED if summed == total else Verdict.CONTRADICTS
            where = f"Table 5, {name}, sum of the groups, {sequence}"
            findings.append(Finding(where, total, summed, "sum", verdict))
    cohorts = data["cohorts"]
    m1 = dict(
        zip(("train", "validation", "test"), cohorts["lesions"]["with_metastases"], strict=True)
    )
    m1["external"] = cohorts["external"]["with_metastases"]
    for split, row in cohorts["lesions_per_patient"].items():
        verdict = Verdict.REPRODUCED if sum(row["bins"]) == m1[split] else Verdict.CONTRADICTS
        where = f"Table 3, patients by number of lesions, {split}"
        findings.append(Finding(where, str(m1[split]), str(sum(row["bins"])), "sum", verdict))
        findings.append(_bin_total(split, row))
    return findings


def _bin_total(split: str, row: Mapping[str, Any]) -> Finding:
    """Total lesions against the fewest that the bins allow."""
    least = sum(n * low for n, low in zip(row["bins"], (1, 2, 4, 6), strict=True))
    verdict = Verdict.REPRODUCED if row["total"] >= least else Verdict.CONTRADICTS
    where = f"Table 3, total lesions, {split}"
    return Finding(where, str(row["total"]), f">= {least}", "lower bound from the bins", verdict)


def _sensitivity_bound(data: Mapping[str, Any]) -> list[Finding]:
    """Patients missed can hold no more lesions than were missed in their group."""
    findings = []
    bins = data["cohorts"]["lesions_per_patient"]["test"]["bins"]
    for column, sequence in enumerate(SEQUENCES):
        missed = 0
        for size, patients, group in zip(
            (1, 2, 4, 6), bins, data["table5_detection"]["lesion_by_count"].values(), strict=True
        ):
            k, n = _fraction(group["recall"][column])
            missed += min(patients, (n - k) // size)
        hits = _COUNTS["sensitivity"][column][0]
        verdict = Verdict.CONTRADICTS if hits < TEST_M1 - missed else Verdict.REPRODUCED
        findings.append(
            Finding(
                f"Table 5, sensitivity, {sequence}, against the lesions found",
                f"{hits}/{TEST_M1}",
                f">= {TEST_M1 - missed}/{TEST_M1}",
                "a missed patient has all lesions missed; missed lesions per group",
                verdict,
                "More patients called M0 than the missed lesions allow"
                if verdict is Verdict.CONTRADICTS
                else "",
            )
        )
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


def _cohort_sums(data: Mapping[str, Any]) -> list[Finding]:
    cohorts, flow, findings = data["cohorts"], data["flow"], []
    for model in ("bones", "lesions"):
        for n, split in enumerate(("train", "validation", "test")):
            summed = sum(scanner[n] for scanner in cohorts[model]["scanners"].values())
            size = cohorts[model][split]
            verdict = Verdict.REPRODUCED if summed == size else Verdict.CONTRADICTS
            table = 2 if model == "bones" else 3
            where = f"Table {table}, scanners of the {split} set"
            findings.append(Finding(where, str(size), str(summed), "sum", verdict))
    external = cohorts["external"]
    summed = sum(external["scanners"].values())
    findings.append(
        Finding(
            "Tables 2 and 3, scanners of the external set", str(external["patients"]), str(summed),
            "sum", Verdict.CONTRADICTS if summed != external["patients"] else Verdict.REPRODUCED,
            "63 patients in the text and Table 3, 68 in Table 2",
        )
    )  # fmt: skip
    without = {"train": (184, 224, 683), "validation": (23, 16, 88), "test": (23, 18, 88)}
    for split, (m1, m0, size) in without.items():
        findings.append(
            Finding(
                f"Table 2, with and without metastases, {split}", str(size), str(m1 + m0), "sum",
                Verdict.CONTRADICTS, "The men of data set 1 are not named",
            )
        )  # fmt: skip
    datasets = 349 + 280 + 230
    sums = (
        ("Text, data sets 1-3", flow["bones_model"], datasets),
        ("Text, splits of the bone model", flow["bones_model"], 683 + 88 + 88),
        ("Text, splits of the lesion model", flow["lesion_model"], 266 + 34 + 34),
        ("Text, lesion model = data sets 2 and 3 less exclusions", flow["lesion_model"],
         280 + 230 - 27 - 149),
        ("Text, lesion model with and without metastases", flow["lesion_model"], 168 + 166),
        ("Text, external with and without metastases", 63, 31 + 32),
    )  # fmt: skip
    for where, printed, summed in sums:
        verdict = Verdict.REPRODUCED if printed == summed else Verdict.CONTRADICTS
        findings.append(Finding(where, str(printed), str(summed), "sum", verdict))
    return findings


_MEDIANS = (  # where, median, lower and upper quartile, as printed
    ("Table 3, F/T-PSA, training", 0.07, 0.09, 0.18),
    ("Table 3, F/T-PSA, validation", 0.09, 0.07, 0.16),
    ("Table 3, F/T-PSA, testing", 0.09, 0.04, 0.11),
    ("Table 3, F/T-PSA, external", 0.12, 0.09, 0.18),
    ("Table 3, T-PSA, training", 13.04, 9.10, 20.1),
    ("Table 3, T-PSA, validation", 12.65, 10.13, 18.50),
    ("Table 3, T-PSA, testing", 13.95, 12.95, 23.5),
    ("Table 3, T-PSA, external", 12.25, 8.89, 26.92),
    ("Table 3, F-PSA, training", 1.29, 1.01, 5.41),
    ("Table 3, F-PSA, validation", 1.36, 1.08, 4.38),
    ("Table 3, F-PSA, testing", 1.48, 1.07, 4.73),
    ("Table 3, volume, training", 7.50, 5.47, 31.60),
    ("Table 3, volume, validation", 7.98, 2.72, 31.75),
    ("Table 3, volume, testing", 8.05, 2.98, 31.03),
    ("Table 3, volume, external", 7.39, 1.23, 28.23),
    ("Table 2, T-PSA, training", 10.49, 7.11, 15.99),
    ("Table 2, T-PSA, validation", 9.73, 8.46, 12.68),
    ("Table 2, T-PSA, testing", 11.19, 7.44, 15.75),
    ("Table 2, F/T-PSA, training", 0.12, 0.09, 0.17),
    ("Table 2, F/T-PSA, validation", 0.10, 0.07, 0.20),
    ("Table 2, F/T-PSA, testing", 0.10, 0.08, 0.18),
)


def _quartiles() -> list[Finding]:
    findings = []
    for where, median, low, high in _MEDIANS:
        inside = low <= median <= high
        verdict = Verdict.REPRODUCED if inside else Verdict.CONTRADICTS
        remark = "" if inside else "The median lies outside its quartiles"
        printed = f"{median:.2f} ({low:.2f}, {high:.2f})"
        findings.append(Finding(where, printed, "-", "lower <= median <= upper", verdict, remark))
    return findings


def _limits_of_agreement(data: Mapping[str, Any]) -> list[Finding]:
    """Bias and SD that the printed limits imply, against the printed mean volumes."""
    findings = []
    limits = data["lesion_segmentation"]["test"]["bland_altman_loa_cm3"]
    for sequence, (low, high) in zip(SEQUENCES, limits, strict=True):
        text = f"bias {(low + high) / 2:.1f}, SD {(high - low) / 3.92:.2f} cm3"
        findings.append(
            Finding(f"Figure 4, limits of agreement, {sequence}", f"{low} to {high} cm3", text,
                    "bias -/+ 1.96 SD", Verdict.UNTESTABLE, "No bias or SD is printed")
        )  # fmt: skip
    return findings


def _texts() -> list[Finding]:
    """Contradictions that no arithmetic shows."""
    rows = (
        ("Text, 'average volume'", "7.39 cm3", "median", "Table 3 gives medians with quartiles"),
        ("Text, haemangiomas", "two among the false positives", "excluded at enrolment",
         "Definite benign findings were an exclusion criterion"),
        ("Text, 'external' data set", "external", "same centre, later months",
         "Temporal validation"),
        ("Text, observer agreement", "'A1.1 vs A2.1' twice", "the second is A1.1 vs A1.2",
         "Four comparisons were announced"),
        ("Text, McNemar for precision and recall", "paired test on lesions", "not defined",
         "False lesions have no partner on the other sequence"),
    )  # fmt: skip
    return [
        Finding(where, printed, recomputed, "reading", Verdict.CONTRADICTS, remark)
        for where, printed, recomputed, remark in rows
    ]
