"""Two models on one cohort: paired differences with intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.voxel import (
    HIGHER_IS_BETTER,
    MEASURE_TITLES,
    MEASURES,
    Summary,
    summarise,
)
from pelvimets.evaluation.readings import (
    FalseItem,
    LesionTally,
    PatientCall,
    Reading,
    ReferenceItem,
)
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.evaluation.statistics.comparing import (
    TestResult,
    holm,
    mean_difference,
    pair,
    paired_t,
    wilcoxon,
)
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.evaluation.statistics.noninferiority import NAME, mean_not_worse
from pelvimets.evaluation.statistics.sequence_tests import GroupTest, compare_calls, compare_tallies
from pelvimets.evaluation.tables.table import Table, mean_sd, number_interval, p_value
from pelvimets.labels import Sequence

Results = Mapping[str, Any]
"""Content of a ``results.json``."""


@dataclass(frozen=True)
class MeasureComparison:
    """A voxel measure of one structure of two models, on patients that both have.

    Attributes:
        first, second: Description of either model.
        difference: Mean of second - first with its t interval.
        tests: Paired t, Wilcoxon.
        holm: Adjusted p of the t test over the bones of one measure and sequence; lesions alone.
        pairs: Value of either model per patient.
        non_inferiority: Whether the second is no worse by more than the margin; None without
            one, and for distances, to which a margin of shares does not apply.
    """

    sequence: Sequence
    structure: str
    measure: str
    first: Summary
    second: Summary
    difference: Interval
    tests: tuple[TestResult, TestResult]
    holm: float
    pairs: Mapping[str, tuple[float, float]]
    non_inferiority: TestResult | None = None


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison of two models reports.

    Attributes:
        names: Of the models.
        rules: By which lesions were matched in either evaluation, as printed.
        measures, detection: Voxel level; lesion and patient level.
        left_out: Patients that only one evaluation has.
        margin: Of non-inferiority; None if it was not tested.
    """

    names: tuple[str, str]
    rules: tuple[str, str]
    measures: tuple[MeasureComparison, ...]
    detection: Mapping[Reading, Mapping[str, GroupTest]]
    left_out: tuple[str, ...]
    margin: float | None = None


def compare_models(
    first: Results, second: Results, names: tuple[str, str], settings: EvaluationSettings
) -> Comparison:
    """Compare two evaluations of the same patients.

    Args:
        first, second: Content of the ``results.json`` of either model.
        names: Of the models, as printed.
        settings: Bootstrap and confidence level.

    Raises:
        InputError: if they have no patient in common.
    """
    measures = _compare_measures(first, second, settings)
    detection = {
        reading: {
            **compare_calls(*_paired_calls(second, first, reading), settings),
            **compare_tallies(
                *_paired_tallies(second, first, reading),
                settings,
                np.random.default_rng([settings.seed, n]),
            ),
        }
        for n, reading in enumerate(Reading)
    }
    sides = [{row["patient"] for row in results["voxel"]} for results in (first, second)]
    return Comparison(
        names,
        (_rule(first), _rule(second)),
        measures,
        {reading: tests for reading, tests in detection.items() if tests},
        tuple(sorted(sides[0] ^ sides[1])),
        settings.margin,
    )


def _rule(results: Results) -> str:
    settings = results["settings"]
    return MatchRule(settings["rule"]).title(settings["smallest_iou"])


def _values(results: Results) -> dict[tuple[str, str, str], dict[str, float]]:
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in results["voxel"]:
        if row["structure"] == LESIONS and not row["reference_cm3"]:
            continue
        for measure in MEASURES:
            key = (row["sequence"], row["structure"], measure)
            value = row[measure]
            values.setdefault(key, {})[row["patient"]] = float("nan") if value is None else value
    return values


def _compare_measures(
    first: Results, second: Results, settings: EvaluationSettings
) -> tuple[MeasureComparison, ...]:
    sides = _values(first), _values(second)
    found = []
    for key in sides[0]:
        if key not in sides[1]:
            continue
        pairs = pair(sides[1][key], sides[0][key])  # second - first
        sequence, structure, measure = key
        found.append(
            MeasureComparison(
                Sequence(sequence),
                structure,
                measure,
                summarise(pairs.second),
                summarise(pairs.first),
                mean_difference(pairs),
                (paired_t(pairs), wilcoxon(pairs)),
                float("nan"),
                {
                    patient: (float(b), float(a))
                    for patient, a, b in zip(pairs.patients, pairs.first, pairs.second, strict=True)
                },
                mean_not_worse(pairs, settings.margin)
                if settings.margin is not None and HIGHER_IS_BETTER[measure]
                else None,
            )
        )
    return _adjusted(found)


def _adjusted(found: Ordered[MeasureComparison]) -> tuple[MeasureComparison, ...]:
    families: dict[tuple[Sequence, str, bool], list[int]] = {}
    for n, item in enumerate(found):
        family = item.sequence, item.measure, item.structure == LESIONS
        families.setdefault(family, []).append(n)
    adjusted = list(found)
    for members in families.values():
        for n, p in zip(members, holm([found[n].tests[0].p for n in members]), strict=True):
            adjusted[n] = replace(found[n], holm=p)
    return tuple(adjusted)


def _paired_calls(
    first: Results, second: Results, reading: Reading
) -> tuple[list[PatientCall], list[PatientCall]]:
    sides = [
        {c["patient"]: PatientCall(**c) for c in _of(results["patient"], reading, "calls")}
        for results in (first, second)
    ]
    common = [name for name in sides[0] if name in sides[1]]
    return [sides[0][n] for n in common], [sides[1][n] for n in common]


def _paired_tallies(
    first: Results, second: Results, reading: Reading
) -> tuple[list[LesionTally], list[LesionTally]]:
    sides = [
        {c["patient"]: _tally(c) for c in _of(results["lesion"], reading, "cases")}
        for results in (first, second)
    ]
    common = [name for name in sides[0] if name in sides[1]]
    return [sides[0][n] for n in common], [sides[1][n] for n in common]


def _of(level: Mapping[str, Any], reading: Reading, name: str) -> Ordered[Mapping[str, Any]]:
    found: Ordered[Mapping[str, Any]] = level.get(reading.value, {}).get(name, ())
    return found


def _tally(case: Mapping[str, Any]) -> LesionTally:
    """Counts of one patient as a tally without places or scores."""
    reference = tuple(ReferenceItem(0.0, None, n < case["found"]) for n in range(case["reference"]))
    false = (FalseItem(0.0, None, None, None, False),) * case["false"]
    return LesionTally(case["patient"], reference, false)


def comparison_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Segmentation and detection of two models, and non-inferiority where a margin was given."""
    names = comparison.names
    rows = tuple(
        (
            item.sequence.title,
            item.structure.replace("_", " "),
            MEASURE_TITLES[item.measure],
            str(len(item.pairs)),
            mean_sd(item.first, 3),
            mean_sd(item.second, 3),
            number_interval(item.difference, 3),
            p_value(item.tests[0].p),
            p_value(item.holm),
            p_value(item.tests[1].p),
        )
        for item in comparison.measures
    )
    columns = (
        "Sequence", "Structure", "Measure", "Patients", *names,
        "Difference (95 % interval)", "p, paired t", "p, Holm", "p, Wilcoxon",
    )  # fmt: skip
    detection = tuple(
        (reading.title, name, number_interval(test.difference, 3), test.test.test,
         p_value(test.test.p), test.test.note)
        for reading, tests in comparison.detection.items()
        for name, test in tests.items()
    )  # fmt: skip
    note = f"Difference: {names[1]} - {names[0]}. Holm's correction spans the eight bones."
    not_worse = non_inferiority_table(comparison)
    return (
        Table("comparison_voxel", "Segmentation of both models", columns, rows, (note,)),
        Table(
            "comparison_detection",
            f"Detection: {names[1]} - {names[0]}",
            ("Reading", "Measure", "Difference (95 % interval)", "Test", "p", "Note"),
            detection,
            (_rule_note(comparison),),
        ),
        *([not_worse] if not_worse.rows else []),
    )


def non_inferiority_table(comparison: Comparison) -> Table:
    """What was tested against the margin; no rows without one."""
    tested = [
        (item.sequence.title, f"{item.structure.replace('_', ' ')}, {MEASURE_TITLES[item.measure]}",
         item.difference, item.non_inferiority)
        for item in comparison.measures
    ] + [
        (reading.title, name.replace("_", " "), found.difference, found.non_inferiority)
        for reading, tests in comparison.detection.items()
        for name, found in tests.items()
    ]  # fmt: skip
    rows = tuple(
        (
            where,
            what,
            number_interval(difference, 3),
            test.test.removeprefix(f"{NAME} ").strip("()"),
            p_value(test.p),
            _verdict(test),
            test.note,
        )
        for where, what, difference, test in tested
        if test is not None
    )
    names, margin = comparison.names, comparison.margin
    notes = (
        f"Difference: {names[1]} - {names[0]}. Non-inferior: {names[1]} loses less than "
        f"{margin}, one-sided p < 0.025. The margin must have been set before the data were seen; "
        "no correction for the number of rows is made: name one of them beforehand.",
    )
    columns = (
        "Reading", "Measure", "Difference (95 % interval)", "Test", "p, one-sided", "Verdict",
        "Note",
    )  # fmt: skip
    title = f"Non-inferiority of {names[1]}, margin {margin}"
    return Table("comparison_non_inferiority", title, columns, rows, notes)


def _verdict(test: TestResult) -> str:
    if test.p != test.p:
        return "not tested"
    return "non-inferior" if test.p < 0.025 else "not shown"


def _rule_note(comparison: Comparison) -> str:
    first, second = comparison.rules
    if first == second:
        return f"Lesions matched by: {first}."
    return (
        f"Lesions matched by different rules: {comparison.names[0]} {first}; "
        f"{comparison.names[1]} {second}. Their differences mean nothing."
    )
