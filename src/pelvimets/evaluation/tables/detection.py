"""Tables of detection: Table 5, groups of lesions, false positives, intervals."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

from pelvimets.evaluation.by_reading import ReadingResult
from pelvimets.evaluation.measures.detection import Detection, Rate
from pelvimets.evaluation.measures.patients import RATES, PatientFigures, PatientRate
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults, VolumeAgreement
from pelvimets.evaluation.settings import MatchRule
from pelvimets.evaluation.tables.table import (
    DASH,
    Table,
    number,
    number_interval,
    p_value,
    percent_interval,
)
from pelvimets.labels import Sequence

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
    rows += _withheld_rows(results, readings)
    areas = [_area_row(results, readings, *names) for names in _AREAS]
    rows += [row for row in areas if set(row[2:]) != {DASH}]
    for rule in RULES:
        rows += [_lesion_row(results, readings, name, rule) for name in LESION_RATES]
        rows.append(_lesion_row(results, readings, "false_per_patient", rule))
    rows.append(_precision_row(results, readings))
    columns = ("Level", "Measure", *(r.title for r in readings), "p, DWI against T1")
    notes = (
        f"Lesions by both rules: {_MEANING} False lesions of all patients count, those without "
        f"metastases included. Tests by the rule '{own_rule(results)}'. Intervals 95 %: "
        "Clopper-Pearson at patient level; at lesion level bootstrap over patients, then "
        "Clopper-Pearson as if lesions were independent, which alone means something where all "
        "or none were found; DeLong (logit) for areas. Tests: McNemar; weighted generalised "
        "score for PPV and NPV; DeLong; permutation within patients for lesions.",
        "Rates of patients are those among patients with a statement. Worst case: a patient "
        "without a statement counts as missed (sensitivity) or as a false alarm (specificity). "
        "Areas of scores span all patients.",
        *(
            f"{r.title}: {figures.note}."
            for r in readings
            if (figures := results.readings[r].patients) and figures.note
        ),
    )
    title = "Table 5 | Detection of bone metastases"
    return Table("table5_detection", title, columns, tuple(rows), notes)


_AREAS = (
    ("AUC of scores", "auc"),
    ("AUC of scores, with a statement", "auc_stated"),
    ("AUC of calls", "auc_of_calls"),
)


RULES = (MatchRule.ANY_OVERLAP, MatchRule.ONE_TO_ONE)
LESION_RATES = {"recall": "Recall", "precision": "Precision", "f1": "F1"}
_MEANING = (
    "by any overlap a lesion is found if one voxel of it is predicted, and a prediction is false "
    "if it touches none; one to one, a pair needs the IoU named, and further fragments are false."
)


def own_rule(results: CohortResults) -> str:
    """The rule of the settings, as printed."""
    return results.settings.rule.title(results.settings.smallest_iou)


def _p_of(results: CohortResults, name: str) -> str:
    test = results.sequence_tests.get(name)
    return DASH if test is None else p_value(test.test.p)


def _patient_row(results: CohortResults, readings: Ordered[Reading], name: str) -> tuple[str, ...]:
    cells = []
    for reading in readings:
        figures = results.readings[reading].patients
        if figures is None:
            cells.append(DASH)
            continue
        cells.append(patient_rate_cell(figures.rates[name]))
    return ("Patient", RATE_TITLES[name], *cells, _p_of(results, name))


def _withheld_rows(results: CohortResults, readings: Ordered[Reading]) -> list[tuple[str, ...]]:
    """Share without a statement, and both worst cases; the latter only where there are any."""
    found = [results.readings[reading].patients for reading in readings]
    if not any(figures is not None and figures.withheld.patients for figures in found):
        return [("Patient", "No statement (%)", *map(_withheld_cell, found), DASH)]
    worst = (
        ("Sensitivity, worst case (%)", "as_not_suspicious", "sensitivity"),
        ("Specificity, worst case (%)", "as_suspicious", "specificity"),
    )
    rows = [
        ("Patient", "No statement (%)", *map(_withheld_cell, found), _p_of(results, "no_statement"))
    ]
    for title, side, name in worst:
        cells = [
            DASH if f is None else patient_rate_cell(getattr(f.withheld, side)[name]) for f in found
        ]
        rows.append(("Patient", title, *cells, _p_of(results, f"{name}_worst")))
    return rows


def _withheld_cell(figures: PatientFigures | None) -> str:
    return DASH if figures is None else patient_rate_cell(figures.withheld.share)


def patient_rate_cell(rate: PatientRate) -> str:
    """Percent with Clopper-Pearson bounds and counts."""
    counts = f"{rate.numerator}/{rate.denominator}"
    return f"{percent_interval(rate.clopper_pearson)}, {counts}"


def _area_row(
    results: CohortResults, readings: Ordered[Reading], title: str, name: str
) -> tuple[str, ...]:
    cells = []
    for reading in readings:
        figures = results.readings[reading].patients
        interval = None if figures is None else getattr(figures, name)
        cells.append(DASH if interval is None else number_interval(interval))
    return ("Patient", title, *cells, _p_of(results, name))


def _rate_cell(found: Detection | None, name: str) -> str:
    if found is None:
        return DASH
    rate = getattr(found, name)
    return lesion_rate_cell(rate)


def lesion_rate_cell(rate: Rate) -> str:
    """Percent with bounds of the bootstrap over patients, Clopper-Pearson beside, counts."""
    cell = percent_interval(rate.bootstrap)
    if rate.clopper_pearson is None or not rate.clopper_pearson.defined:
        return cell
    exact = rate.clopper_pearson
    bounds = f"{100 * exact.low:.1f}-{100 * exact.high:.1f}"
    cell = cell.replace(")", f"; {bounds})") if rate.bootstrap.defined else f"{cell} ({bounds})"
    return f"{cell}, {rate.numerator}/{rate.denominator}"


def _lesion_row(
    results: CohortResults, readings: Ordered[Reading], name: str, rule: MatchRule
) -> tuple[str, ...]:
    found = [results.readings[r].by_rule.get(rule) for r in readings]
    title = rule.title(results.settings.smallest_iou)
    p = _p_of(results, name) if rule is results.settings.rule else DASH
    if name == "false_per_patient":
        cells = [DASH if f is None else number_interval(f.false_per_patient) for f in found]
        return ("Lesion", f"False lesions per patient, {title}", *cells, p)
    return (
        "Lesion",
        f"{LESION_RATES[name]}, {title} (%)",
        *(_rate_cell(f, name) for f in found),
        p,
    )


def _precision_row(results: CohortResults, readings: Ordered[Reading]) -> tuple[str, ...]:
    areas = [
        None if (found := results.readings[r].lesions) is None else found.average_precision
        for r in readings
    ]
    cells = [DASH if area is None else number_interval(area) for area in areas]
    return ("Lesion", f"Average precision, {own_rule(results)}", *cells, DASH)


def _merges_cell(found: Detection) -> str:
    return DASH if found.merges is None else f"{found.merges} / {found.splits}"


def subgroup_table(results: CohortResults) -> Table:
    """Lesion detection by number, bone, volume, scanner and data set."""
    rows = [
        (
            reading.title,
            kind,
            name.replace("_", " ").capitalize() if kind == "bone" else name,
            str(found[results.settings.rule].patients),
            *(_rate_cell(found.get(rule), rate) for rule in RULES for rate in LESION_RATES),
            _merges_cell(found[results.settings.rule]),
        )
        for reading, result in results.readings.items()
        for kind, groups in result.subgroups.items()
        for name, found in groups.items()
    ]
    short = {MatchRule.ANY_OVERLAP: "any overlap", MatchRule.ONE_TO_ONE: "one to one"}
    rates = (f"{title}, {short[rule]} (%)" for rule in RULES for title in LESION_RATES.values())
    columns = ("Reading", "Group", "Value", "Patients", *rates, "Merges / splits")
    title = "Detection of lesions in groups"
    iou = results.settings.smallest_iou
    notes = (f"One to one at IoU >= {iou:g}: {_MEANING}",)
    return Table("lesion_subgroups", title, columns, tuple(rows), notes)


def patient_subgroup_table(results: CohortResults) -> Table:
    """Patient level by scanner, data set, field strength, age and PSA."""
    rows = [
        (
            reading.title,
            kind,
            name,
            str(found.patients),
            *(patient_rate_cell(found.rates[rate]) for rate in ("sensitivity", "specificity")),
            patient_rate_cell(found.withheld.share),
            DASH if found.auc is None else number_interval(found.auc),
            *_calibration_cells(found),
        )
        for reading, result in results.readings.items()
        for kind, groups in result.patient_groups.items()
        for name, found in groups.items()
    ]
    columns = (
        "Reading", "Group", "Value", "Patients", "Sensitivity (%)", "Specificity (%)",
        "No statement (%)", "AUC of scores", "Mean score", "Share with metastases", "Brier",
    )  # fmt: skip
    notes = ("Groups were not drawn at random and are small: they describe, they test nothing.",)
    title = "Detection at patient level in groups, with calibration"
    return Table("patient_subgroups", title, columns, tuple(rows), notes)


def _calibration_cells(found: PatientFigures) -> tuple[str, str, str]:
    """Mean score, observed share, Brier score; the first two agree where scores are calibrated."""
    if found.calibration is None:
        return (DASH,) * 3
    bins = found.calibration.bins
    n = sum(group.n for group in bins)
    scores = sum(group.n * group.mean_score for group in bins) / n
    observed = sum(group.n * group.observed.estimate for group in bins) / n
    return number(scores), number(observed), number(found.calibration.brier, 3)


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
    title = f"False positive lesions by what they lie on ({own_rule(results)})"
    return Table("false_positives", title, ("Reading", "Lies on", "Lesions"), tuple(rows))


def intervals_table(results: CohortResults) -> Table:
    """The same rates by several intervals, and the agreement of volumes."""
    rows: list[tuple[str, ...]] = []
    for reading, result in results.readings.items():
        rows += [] if result.patients is None else _patient_intervals(reading, result.patients)
        rows += _lesion_intervals(reading, result, results.settings.smallest_iou)
    if results.call_agreement is not None:
        cell = number_interval(results.call_agreement, 3)
        rows.append(("DWI and T1", "Cohen's kappa of the calls", cell, DASH, DASH))
    for found in (results.volumes, results.volumes_of_all):
        for sequence, agreement in found.items():
            rows += _volume_intervals(sequence, agreement)
    columns = ("Reading", "Measure", "Clopper-Pearson or own", "Wilson", "Bootstrap over patients")
    title = "Intervals by several methods, and agreement of lesion volumes"
    return Table("intervals", title, columns, tuple(rows))


def _patient_intervals(reading: Reading, patients: PatientFigures) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, rate in patients.rates.items():
        cells = (percent_interval(rate.clopper_pearson), percent_interval(rate.wilson))
        rows.append((reading.title, RATE_TITLES[name], *cells, DASH))
    if patients.auc and patients.auc_bootstrap:
        exact, drawn = number_interval(patients.auc, 3), number_interval(patients.auc_bootstrap, 3)
        rows.append((reading.title, "AUC (DeLong; bootstrap)", exact, DASH, drawn))
    return rows


def _lesion_intervals(
    reading: Reading, result: ReadingResult, smallest_iou: float
) -> list[tuple[str, ...]]:
    rows = []
    for rule, found in result.by_rule.items():
        for name in ("recall", "precision"):
            rate = getattr(found, name)
            intervals = (rate.clopper_pearson, rate.wilson, rate.bootstrap)
            label = f"Lesion {name}, {rule.title(smallest_iou)} (%)"
            rows.append((reading.title, label, *map(percent_interval, intervals)))
    return rows


def _volume_intervals(sequence: Sequence, agreement: VolumeAgreement) -> list[tuple[str, ...]]:
    limits = agreement.bland_altman
    agreed = {
        f"Lesion volume, bias (cm3), n = {limits.n}": number_interval(limits.bias),
        "Lower limit of agreement (cm3)": number_interval(limits.lower),
        "Upper limit of agreement (cm3)": number_interval(limits.upper),
        "Lin's concordance": number_interval(agreement.concordance, 3),
        "ICC(A,1)": number_interval(agreement.icc, 3),
    }
    who = f"{sequence.title}, {agreement.population}"
    return [(who, name, cell, DASH, DASH) for name, cell in agreed.items()]
