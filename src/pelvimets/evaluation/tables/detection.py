"""Tables of detection: Table 5, groups of lesions, false positives, intervals."""

from __future__ import annotations

from collections.abc import Sequence

from pelvimets.evaluation.measures.detection import Detection
from pelvimets.evaluation.measures.patients import RATES
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.settings import MatchRule
from pelvimets.evaluation.tables.table import (
    DASH,
    Table,
    number_interval,
    p_value,
    percent_interval,
)

RATE_TITLES = {
    "sensitivity": "Sensitivity (%)",
    "specificity": "Specificity (%)",
    "accuracy": "Accuracy (%)",
    "ppv": "PPV (%)",
    "npv": "NPV (%)",
}


def detection_table(results: CohortResults) -> Table:
    """Table 5: detection at patient and lesion level."""
    readings = [r for r in Reading if r in results.readings]
    rows = [_patient_row(results, readings, name) for name in RATES]
    rows += [_area_row(results, readings, *names) for names in _AREAS]
    rows += [_lesion_row(results, readings, name) for name in ("recall", "precision", "f1")]
    rows += [_paper_row(results, readings, name) for name in ("recall", "precision", "f1")]
    rows += [_count_row(results, readings, *names) for names in _COUNTS]
    columns = ("Level", "Measure", *(r.title for r in readings), "p, DWI against T1")
    rule = results.settings.rule
    iou = f" at IoU >= {results.settings.smallest_iou:g}" if rule is MatchRule.ONE_TO_ONE else ""
    notes = (
        f"Lesions matched {rule}{iou}; the rows 'any overlap' follow the paper's rule. False "
        "lesions of all patients count, those without metastases included. Intervals 95 %: "
        "Clopper-Pearson at patient level, bootstrap over patients at lesion level, DeLong "
        "(logit) for areas. Tests: McNemar; weighted generalised score for PPV and NPV; DeLong; "
        "bootstrap over patients.",
        *(
            f"{r.title}: {figures.note}."
            for r in readings
            if (figures := results.readings[r].patients) and figures.note
        ),
    )
    title = "Table 5 | Detection of bone metastases"
    return Table("table5_detection", title, columns, tuple(rows), notes)


_AREAS = (("AUC of scores", "auc"), ("AUC of calls", "auc_of_calls"))


_COUNTS = (
    ("Average precision", "average_precision"),
    ("False lesions per patient", "false_per_patient"),
)


def _p_of(results: CohortResults, name: str) -> str:
    test = results.sequence_tests.get(name)
    return DASH if test is None else p_value(test.test.p)


def _patient_row(results: CohortResults, readings: Sequence[Reading], name: str) -> tuple[str, ...]:
    cells = []
    for reading in readings:
        figures = results.readings[reading].patients
        if figures is None:
            cells.append(DASH)
            continue
        rate = figures.rates[name]
        counts = f"{rate.numerator}/{rate.denominator}"
        cells.append(f"{percent_interval(rate.clopper_pearson)}, {counts}")
    return ("Patient", RATE_TITLES[name], *cells, _p_of(results, name))


def _area_row(
    results: CohortResults, readings: Sequence[Reading], title: str, name: str
) -> tuple[str, ...]:
    cells = []
    for reading in readings:
        figures = results.readings[reading].patients
        interval = None if figures is None else getattr(figures, name)
        cells.append(DASH if interval is None else number_interval(interval))
    return ("Patient", title, *cells, _p_of(results, name))


def _detection(results: CohortResults, reading: Reading, *, paper: bool) -> Detection | None:
    own = results.readings[reading]
    return own.lesions_paper if paper else own.lesions


def _rate_cell(found: Detection | None, name: str) -> str:
    if found is None:
        return DASH
    rate = getattr(found, name)
    counts = "" if name == "f1" else f", {rate.numerator}/{rate.denominator}"
    return percent_interval(rate.bootstrap) + counts


def _lesion_row(results: CohortResults, readings: Sequence[Reading], name: str) -> tuple[str, ...]:
    cells = [_rate_cell(_detection(results, r, paper=False), name) for r in readings]
    title = {"recall": "Recall (%)", "precision": "Precision (%)", "f1": "F1 (%)"}[name]
    return ("Lesion", title, *cells, _p_of(results, name))


def _paper_row(results: CohortResults, readings: Sequence[Reading], name: str) -> tuple[str, ...]:
    cells = [_rate_cell(_detection(results, r, paper=True), name) for r in readings]
    title = {"recall": "Recall", "precision": "Precision", "f1": "F1"}[name]
    return ("Lesion", f"{title}, any overlap (%)", *cells, DASH)


def _count_row(
    results: CohortResults, readings: Sequence[Reading], title: str, name: str
) -> tuple[str, ...]:
    found = [_detection(results, r, paper=False) for r in readings]
    cells = [
        DASH if f is None or getattr(f, name) is None else number_interval(getattr(f, name))
        for f in found
    ]
    return ("Lesion", title, *cells, DASH)


def subgroup_table(results: CohortResults) -> Table:
    """Lesion detection by number, bone, volume, scanner and data set."""
    rows = [
        (
            reading.title,
            kind,
            name.replace("_", " ").capitalize() if kind == "bone" else name,
            str(found.patients),
            _rate_cell(found, "recall"),
            _rate_cell(found, "precision"),
            _rate_cell(found, "f1"),
            f"{found.merges} / {found.splits}",
        )
        for reading, result in results.readings.items()
        for kind, groups in result.subgroups.items()
        for name, found in groups.items()
    ]
    columns = (
        "Reading", "Group", "Value", "Patients", "Recall (%)", "Precision (%)", "F1 (%)",
        "Merges / splits",
    )  # fmt: skip
    title = "Detection of lesions in groups"
    return Table("lesion_subgroups", title, columns, tuple(rows))


def false_positive_table(results: CohortResults) -> Table:
    """False lesions by what they lie on."""
    rows = [
        (reading.title, name.replace("_", " "), str(count))
        for reading, result in results.readings.items()
        for name, count in result.false_by_mimic.items()
    ]
    rows += [
        (reading.title, "of these in patients without lesions", str(result.lesions.false_in_m0))
        for reading, result in results.readings.items()
        if result.lesions is not None and result.lesions.false
    ]
    title = "False positive lesions by what they lie on"
    return Table("false_positives", title, ("Reading", "Lies on", "Lesions"), tuple(rows))


def intervals_table(results: CohortResults) -> Table:
    """The same rates by several intervals, and the agreement of volumes."""
    rows = []
    for reading, result in results.readings.items():
        if result.patients is not None:
            for name, rate in result.patients.rates.items():
                cells = (percent_interval(rate.clopper_pearson), percent_interval(rate.wilson))
                rows.append((reading.title, RATE_TITLES[name], *cells, DASH))
            if result.patients.auc and result.patients.auc_bootstrap:
                areas = (result.patients.auc, result.patients.auc_bootstrap)
                cells = number_interval(areas[0], 3), number_interval(areas[1], 3)
                rows.append((reading.title, "AUC (DeLong; bootstrap)", cells[0], DASH, cells[1]))
        if result.lesions is not None:
            for name in ("recall", "precision"):
                rate = getattr(result.lesions, name)
                cells3 = (
                    percent_interval(rate.clopper_pearson),
                    percent_interval(rate.wilson),
                    percent_interval(rate.bootstrap),
                )
                rows.append((reading.title, f"Lesion {name} (%)", *cells3))
    for sequence, agreement in results.volumes.items():
        limits = agreement.bland_altman
        agreed = {
            "Lesion volume, bias (cm3)": number_interval(limits.bias),
            "Lower limit of agreement (cm3)": number_interval(limits.lower),
            "Upper limit of agreement (cm3)": number_interval(limits.upper),
            "Lin's concordance": number_interval(agreement.concordance, 3),
            "ICC(A,1)": number_interval(agreement.icc, 3),
        }
        rows += [(sequence.title, name, cell, DASH, DASH) for name, cell in agreed.items()]
    columns = ("Reading", "Measure", "Clopper-Pearson or own", "Wilson", "Bootstrap over patients")
    title = "Intervals by several methods, and agreement of lesion volumes"
    return Table("intervals", title, columns, tuple(rows))
