"""Sums, bounds and words of the paper held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studies.liu2021.facts import (
    PATIENT_COUNTS,
    SEQUENCES,
    TEST_M1,
    Finding,
    Verdict,
    fraction_of,
    sum_verdict,
)

SPLITS = ("train", "validation", "test")


def lesion_sums(data: Mapping[str, Any]) -> list[Finding]:
    """Groups of Table 5 against its totals, and bins of Table 3 against patients."""
    table, findings = data["table5_detection"], []
    for name in ("recall", "precision"):
        for column, sequence in enumerate(SEQUENCES):
            parts = [
                fraction_of(group[name][column]) for group in table["lesion_by_count"].values()
            ]
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
        where = f"Table 3, patients by number of lesions, {split}"
        findings.append(sum_verdict(where, m1[split], sum(row["bins"])))
        findings.append(_bin_total(split, row))
    return findings


def _bin_total(split: str, row: Mapping[str, Any]) -> Finding:
    """Total lesions against the fewest that the bins allow."""
    least = sum(n * low for n, low in zip(row["bins"], (1, 2, 4, 6), strict=True))
    verdict = Verdict.REPRODUCED if row["total"] >= least else Verdict.CONTRADICTS
    where = f"Table 3, total lesions, {split}"
    return Finding(where, str(row["total"]), f">= {least}", "lower bound from the bins", verdict)


def sensitivity_bound(data: Mapping[str, Any]) -> list[Finding]:
    """Patients missed can hold no more lesions than were missed in their group."""
    findings = []
    bins = data["cohorts"]["lesions_per_patient"]["test"]["bins"]
    for column, sequence in enumerate(SEQUENCES):
        missed = 0
        for size, patients, group in zip(
            (1, 2, 4, 6), bins, data["table5_detection"]["lesion_by_count"].values(), strict=True
        ):
            k, n = fraction_of(group["recall"][column])
            missed += min(patients, (n - k) // size)
        hits = PATIENT_COUNTS["sensitivity"][column][0]
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


def cohort_sums(data: Mapping[str, Any]) -> list[Finding]:
    """Patients by scanner, disease and data set against the sizes of the sets."""
    cohorts, flow, findings = data["cohorts"], data["flow"], []
    for model, table in (("bones", 2), ("lesions", 3)):
        for n, split in enumerate(SPLITS):
            summed = sum(scanner[n] for scanner in cohorts[model]["scanners"].values())
            where = f"Table {table}, scanners of the {split} set"
            findings.append(sum_verdict(where, cohorts[model][split], summed))
    external = cohorts["external"]
    summed = sum(external["scanners"].values())
    remark = "63 patients in the text and Table 3, 68 in Table 2"
    where = "Tables 2 and 3, scanners of the external set"
    findings.append(sum_verdict(where, external["patients"], summed, remark))
    return [*findings, *_text_sums(cohorts, flow)]


def _text_sums(cohorts: Mapping[str, Any], flow: Mapping[str, Any]) -> list[Finding]:
    """Numbers of the text against the numbers that they consist of."""
    sets, excluded = flow["data_sets"], flow["excluded_for_lesion_model"]
    parts = {name: sum(cohorts[name][split] for split in SPLITS) for name in ("bones", "lesions")}
    ill, external = sum(cohorts["lesions"]["with_metastases"]), flow["temporal_test"]
    rows = (
        ("Text, data sets 1-3", flow["bones_model"], sum(sets.values())),
        ("Text, splits of the bone model", flow["bones_model"], parts["bones"]),
        ("Text, splits of the lesion model", flow["lesion_model"], parts["lesions"]),
        ("Text, lesion model = data sets 2 and 3 less exclusions", flow["lesion_model"],
         sets["dataset2"] + sets["dataset3"] - sum(excluded.values())),
        ("Text, lesion model with metastases, against Table 3", 168, ill),
        ("Text, lesion model without metastases", 166, flow["lesion_model"] - ill),
        ("Text, external with and without metastases", external["included"],
         external["with_metastases"] + external["without"]),
    )  # fmt: skip
    return [sum_verdict(*row) for row in rows]


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


def quartiles() -> list[Finding]:
    """Whether each printed median lies within its quartiles."""
    findings = []
    for where, median, low, high in _MEDIANS:
        inside = low <= median <= high
        verdict = Verdict.REPRODUCED if inside else Verdict.CONTRADICTS
        remark = "" if inside else "The median lies outside its quartiles"
        printed = f"{median:.2f} ({low:.2f}, {high:.2f})"
        findings.append(Finding(where, printed, "-", "lower <= median <= upper", verdict, remark))
    return findings


def limits_of_agreement(data: Mapping[str, Any]) -> list[Finding]:
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


_READERS = ("A1.1 vs A2.1", "A1.1 vs A2.1", "A2.1 vs A2.2", "A1.2 vs A2.2")  # as printed
_AVERAGE_CM3 = 7.39  # 'the average volume of metastases in the external dataset'


def texts(data: Mapping[str, Any]) -> list[Finding]:
    """Words against figures and words against words; the latter by reading alone."""
    median = data["cohorts"]["lesion_volume_per_patient_cm3"]["external"][0]
    benign = "haemangiomas" in data["false_positives"]["others"]
    excluded = any("benign" in reason for reason in data["flow"]["excluded_for_lesion_model"])
    twice = len(set(_READERS)) < len(_READERS)
    computed = (
        ("Text, 'average volume'", f"{_AVERAGE_CM3} cm3", f"median {median} cm3",
         median == _AVERAGE_CM3, "Table 3 gives medians with quartiles"),
        ("Text, haemangiomas", "two among the false positives", "excluded at enrolment",
         benign and excluded, "Definite benign findings were an exclusion criterion"),
        ("Text, observer agreement", f"'{_READERS[1]}'", f"{len(set(_READERS))} of "
         f"{len(_READERS)} comparisons have names of their own", twice,
         "Four comparisons were announced; the second is A1.1 vs A1.2"),
    )  # fmt: skip
    read = (
        ("Text, 'external' data set", "external", "same centre, later months",
         "Temporal validation"),
        ("Text, McNemar for precision and recall", "paired test on lesions", "not defined",
         "False lesions have no partner on the other sequence"),
    )  # fmt: skip
    findings = [
        Finding(where, printed, found, "comparison of printed facts",
                Verdict.CONTRADICTS if wrong else Verdict.REPRODUCED, remark if wrong else "")
        for where, printed, found, wrong, remark in computed
    ]  # fmt: skip
    return findings + [
        Finding(where, printed, found, "reading", Verdict.BY_READING, remark)
        for where, printed, found, remark in read
    ]
