"""Results as plain data for ``results.json``; its schema is ``results.schema.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pelvimets.evaluation.by_reading import ReadingResult
from pelvimets.evaluation.measures.detection import Detection, Rate
from pelvimets.evaluation.measures.patients import PatientFigures, PatientRate, Withheld
from pelvimets.evaluation.measures.roc import calibration
from pelvimets.evaluation.results import CohortResults, VolumeAgreement, VoxelSummary
from pelvimets.evaluation.settings import MatchRule
from pelvimets.evaluation.statistics.comparing import TestResult
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.evaluation.statistics.sequence_tests import GroupTest, StructureTest
from pelvimets.labels import Sequence

SCHEMA_VERSION = "1.2"
NOTICE = "Research use only."
NOTICE_IN_SILICO = "Research use only. In-silico: measured on digital patients, not on men."


def results_to_dict(results: CohortResults, version: str) -> dict[str, Any]:
    """Everything that an evaluation found, as plain data; NaN stands for 'no value'.

    Args:
        results: The figures.
        version: Of the program.
    """
    settings = results.settings
    return {
        "schema": SCHEMA_VERSION,
        "notice": NOTICE_IN_SILICO if settings.in_silico else NOTICE,
        "title": results.title,
        "pelvimets": version,
        "settings": asdict(settings),
        "patients": [asdict(fact) for fact in results.facts],
        "problems": [asdict(problem) for problem in results.problems],
        "voxel": [
            {
                "patient": row.patient,
                "sequence": row.sequence.value,
                "structure": row.structure,
                **asdict(row.measures),
            }
            for row in results.voxel
        ],
        "voxel_summary": [_summary(summary) for summary in results.summaries],
        "lesion": {r.value: _lesion(own) for r, own in results.readings.items() if own.lesions},
        "patient": {r.value: _patient(own) for r, own in results.readings.items() if own.patients},
        "matched_lesions": {s.value: _matched(s, results) for s in results.matched},
        "volume_agreement": {s.value: _volumes(v) for s, v in results.volumes.items()},
        "volume_agreement_of_all": {
            s.value: _volumes(v) for s, v in results.volumes_of_all.items()
        },
        "call_agreement": interval_to_dict(results.call_agreement),
        "tests": {
            "structures": [_structure_test(test) for test in results.structure_tests],
            "sequences": {name: _group_test(t) for name, t in results.sequence_tests.items()},
            "groups": [_structure_test(test) for test in results.group_tests],
        },
        "characteristics": {n: asdict(c) for n, c in results.characteristics.items()},
        "external": results.external,
    }


def interval_to_dict(interval: Interval | None) -> dict[str, Any] | None:
    """Estimate, bounds, method and level."""
    return None if interval is None else asdict(interval)


def test_to_dict(test: TestResult) -> dict[str, Any]:
    """Name, statistic, p, numbers and note."""
    return {**asdict(test), "left_out": list(test.left_out)}


def _summary(summary: VoxelSummary) -> dict[str, Any]:
    return {
        "sequence": summary.sequence.value,
        "structure": summary.structure,
        "cases": summary.cases,
        "reference_empty": summary.reference_empty,
        "prediction_empty": summary.prediction_empty,
        "both_empty": summary.both_empty,
        "measures": {name: asdict(s) for name, s in summary.by_measure.items()},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "estimate": rate.estimate,
        "numerator": rate.numerator,
        "denominator": rate.denominator,
        "bootstrap": interval_to_dict(rate.bootstrap),
        "clopper_pearson": interval_to_dict(rate.clopper_pearson),
        "wilson": interval_to_dict(rate.wilson),
    }


def detection_to_dict(found: Detection) -> dict[str, Any]:
    """Counts, rates with intervals, and curves where there are any."""
    data: dict[str, Any] = {
        "patients": found.patients,
        "reference_lesions": found.reference_lesions,
        "found": found.found,
        "missed": found.missed,
        "false": found.false,
        "false_in_m0": found.false_in_m0,
        "merges": found.merges,
        "splits": found.splits,
        "recall": _rate(found.recall),
        "precision": _rate(found.precision),
        "f1": _rate(found.f1),
        "false_per_patient": interval_to_dict(found.false_per_patient),
        "average_precision": interval_to_dict(found.average_precision),
        "note": found.note,
    }
    if found.froc is not None:
        data["froc"] = {
            "false_positives_per_patient": found.froc.false_positives_per_patient.tolist(),
            "sensitivity": found.froc.sensitivity.tolist(),
            "at": {f"{rate:g}": interval_to_dict(i) for rate, i in found.froc.at.items()},
            "mean_sensitivity": found.froc.mean_sensitivity,
        }
    return data


def _lesion(own: ReadingResult) -> dict[str, Any]:
    assert own.lesions is not None
    return {
        **detection_to_dict(own.lesions),
        "rule": own.rule.value,
        "by_rule": _by_rule(own.by_rule),
        "subgroups": {
            kind: {name: _by_rule(found) for name, found in groups.items()}
            for kind, groups in own.subgroups.items()
        },
        "false_by_mimic": dict(own.false_by_mimic),
        "calibration": _lesion_calibration(own),
        "cases": [
            {
                "patient": tally.patient,
                "reference": len(tally.reference),
                "found": tally.n_found,
                "false": len(tally.false),
            }
            for tally in own.tallies
        ],
    }


def _by_rule(found: Mapping[MatchRule, Detection]) -> dict[str, Any]:
    return {rule.value: detection_to_dict(own) for rule, own in found.items()}


def _lesion_calibration(own: ReadingResult) -> dict[str, Any] | None:
    """Scores of predicted lesions against whether they found one; None without scores."""
    right = [i.score for tally in own.tallies for i in tally.reference if i.found]
    false = [item.score for tally in own.tallies for item in tally.false]
    scores = [score for score in right + false if score is not None and 0 <= score <= 1]
    if len(scores) < len(right) + len(false) or not right or not false:
        return None
    return asdict(calibration([True] * len(right) + [False] * len(false), scores, bins=10))


def patient_figures_to_dict(figures: PatientFigures) -> dict[str, Any]:
    """Counts, rates with intervals, areas and curves."""
    data: dict[str, Any] = {
        "patients": figures.patients,
        "true_positives": figures.true_positives,
        "false_negatives": figures.false_negatives,
        "true_negatives": figures.true_negatives,
        "false_positives": figures.false_positives,
        "auc": interval_to_dict(figures.auc),
        "auc_bootstrap": interval_to_dict(figures.auc_bootstrap),
        "auc_stated": interval_to_dict(figures.auc_stated),
        "auc_of_calls": interval_to_dict(figures.auc_of_calls),
        "note": figures.note,
        "no_statement": _withheld(figures.withheld),
    }
    data |= {name: _patient_rate(rate) for name, rate in figures.rates.items()}
    if figures.roc is not None:
        threshold, sensitivity, specificity = figures.roc.youden()
        data["youden"] = {
            "threshold": threshold,
            "sensitivity": sensitivity,
            "specificity": specificity,
        }
    if figures.calibration is not None:
        data["calibration"] = asdict(figures.calibration)
    return data


def _patient_rate(rate: PatientRate) -> dict[str, Any]:
    return {
        "estimate": rate.estimate,
        "numerator": rate.numerator,
        "denominator": rate.denominator,
        "clopper_pearson": interval_to_dict(rate.clopper_pearson),
        "wilson": interval_to_dict(rate.wilson),
    }


def _withheld(withheld: Withheld) -> dict[str, Any]:
    sides = {
        "as_suspicious": withheld.as_suspicious,
        "as_not_suspicious": withheld.as_not_suspicious,
    }
    return {
        "with_metastases": withheld.with_metastases,
        "without_metastases": withheld.without_metastases,
        "share": _patient_rate(withheld.share),
        **{
            side: {name: _patient_rate(rate) for name, rate in rates.items()}
            for side, rates in sides.items()
        },
    }


def _patient(own: ReadingResult) -> dict[str, Any]:
    assert own.patients is not None
    calls = [asdict(call) for call in own.calls]
    groups = {
        kind: {name: patient_figures_to_dict(found) for name, found in named.items()}
        for kind, named in own.patient_groups.items()
    }
    return {**patient_figures_to_dict(own.patients), "subgroups": groups, "calls": calls}


def _matched(sequence: Sequence, results: CohortResults) -> dict[str, Any]:
    found = results.matched[sequence]
    return {
        "pairs": found.pairs,
        "patients": found.patients,
        "measures": {name: asdict(s) for name, s in found.by_measure.items()},
        "means": {name: interval_to_dict(i) for name, i in found.means.items()},
        "lesions": [
            {
                "patient": pair.patient,
                "bone": pair.bone,
                "reference_cm3": pair.volume_cm3,
                "prediction_cm3": pair.predicted_cm3,
                "dsc": pair.dsc,
                "vs": pair.vs,
                "hd_mm": pair.hd_mm,
            }
            for pair in results.pairs
            if pair.sequence is sequence
        ],
    }


def _volumes(agreement: VolumeAgreement) -> dict[str, Any]:
    return {
        "population": agreement.population,
        "patients": list(agreement.patients),
        "reference_cm3": agreement.reference_cm3.tolist(),
        "prediction_cm3": agreement.prediction_cm3.tolist(),
        "bland_altman": asdict(agreement.bland_altman),
        "concordance": interval_to_dict(agreement.concordance),
        "icc": interval_to_dict(agreement.icc),
    }


def _structure_test(test: StructureTest) -> dict[str, Any]:
    return {
        "structure": test.structure,
        "measure": test.measure,
        "between": test.between,
        "sequence": None if test.sequence is None else test.sequence.value,
        "tests": [test_to_dict(t) for t in test.tests],
        "holm": list(test.holm),
        "difference": interval_to_dict(test.difference),
        "groups": _groups(test.groups),
    }


def _groups(groups: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if groups is None else {name: asdict(s) for name, s in groups.items()}


def _group_test(test: GroupTest) -> dict[str, Any]:
    return {"difference": interval_to_dict(test.difference), **test_to_dict(test.test)}
