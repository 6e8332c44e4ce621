"""Tests between DWI and T1, and across scanners, data sets and splits."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.measures.voxel import Summary, summarise
from pelvimets.evaluation.readings import LesionTally, PatientCall, Reading
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.agreement import kappa
from pelvimets.evaluation.statistics.comparing import (
    TestResult,
    anova,
    holm,
    kruskal,
    mcnemar,
    mean_difference,
    pair,
    paired_delong,
    paired_t,
    predictive_value_test,
    wilcoxon,
)
from pelvimets.evaluation.statistics.intervals import (
    Interval,
    percentile_interval,
    ratio_replicates,
    resample_counts,
)
from pelvimets.evaluation.statistics.noninferiority import (
    area_not_worse,
    paired_share_interval,
    ratio_not_worse,
    shares_not_worse,
)
from pelvimets.evaluation.statistics.permutation import permuted_ratios
from pelvimets.labels import Sequence

Values = Mapping[tuple[Sequence, str, str], Mapping[str, float]]


@dataclass(frozen=True)
class StructureTest:
    """A voxel measure of one structure compared.

    Attributes:
        structure, measure: What is compared.
        between: ``sequence``, or the attribute whose groups are compared.
        sequence: None for the comparison of both.
        tests: Parametric test first (paired t, ANOVA), then the rank test.
        holm: Adjusted p of each, over the eight bones of one measure; the lesions are another
            question and stand alone.
        difference: Mean of DWI - T1 with interval; None across groups.
        groups: Description per group; empty between sequences.
    """

    structure: str
    measure: str
    between: str
    sequence: Sequence | None
    tests: tuple[TestResult, TestResult]
    holm: tuple[float, float]
    difference: Interval | None = None
    groups: Mapping[str, Summary] | None = None


@dataclass(frozen=True)
class GroupTest:
    """A lesion or patient figure of two conditions.

    Attributes:
        difference: First - second, such as DWI - T1.
        test: Of a difference.
        non_inferiority: Whether the first is no worse by more than the margin; None without one.
    """

    difference: Interval
    test: TestResult
    non_inferiority: TestResult | None = None


def compare_structures(values: Values) -> tuple[StructureTest, ...]:
    """DWI against T1 for each structure and measure, on patients with both."""
    tests = []
    keys = [
        (structure, measure)
        for sequence, structure, measure in values
        if sequence is Sequence.DWI and (Sequence.T1, structure, measure) in values
    ]
    for structure, measure in keys:
        first = values[Sequence.DWI, structure, measure]
        second = values[Sequence.T1, structure, measure]
        if not set(first) & set(second):
            continue
        pairs = pair(first, second)
        tests.append(
            StructureTest(
                structure,
                measure,
                "sequence",
                None,
                (paired_t(pairs), wilcoxon(pairs)),
                (float("nan"), float("nan")),
                mean_difference(pairs),
            )
        )
    return _adjusted(tests)


def compare_groups(
    values: Values, kind: str, group_of: Mapping[str, str]
) -> tuple[StructureTest, ...]:
    """Each structure and measure of each sequence across the groups of an attribute."""
    names = sorted(set(group_of.values()))
    tests = []
    for (sequence, structure, measure), by_patient in values.items():
        groups = {
            name: [v for patient, v in by_patient.items() if group_of.get(patient) == name]
            for name in names
        }
        arrays = list(groups.values())
        tests.append(
            StructureTest(
                structure,
                measure,
                kind,
                sequence,
                (anova(arrays), kruskal(arrays)),
                (float("nan"), float("nan")),
                groups={name: summarise(group) for name, group in groups.items()},
            )
        )
    return _adjusted(tests)


def _adjusted(tests: Ordered[StructureTest]) -> tuple[StructureTest, ...]:
    """Holm over the bones of one measure on one sequence; lesions are a family of their own."""
    families: dict[tuple[str, Sequence | None, bool], list[int]] = {}
    for n, test in enumerate(tests):
        family = test.measure, test.sequence, test.structure == LESIONS
        families.setdefault(family, []).append(n)
    adjusted = list(tests)
    for members in families.values():
        first, second = (holm([tests[n].tests[k].p for n in members]) for k in (0, 1))
        for place, n in enumerate(members):
            adjusted[n] = replace(tests[n], holm=(first[place], second[place]))
    return tuple(adjusted)


T = TypeVar("T", PatientCall, LesionTally)
Read = tuple[Ordered[PatientCall], Ordered[LesionTally]]


def compare_sequences(
    readings: Mapping[Reading, Read], settings: EvaluationSettings
) -> dict[str, GroupTest]:
    """DWI against T1 at patient and lesion level, on patients with both."""
    if Reading.DWI not in readings or Reading.T1 not in readings:
        return {}
    calls = _paired([readings[r][0] for r in (Reading.DWI, Reading.T1)])
    tallies = _paired([readings[r][1] for r in (Reading.DWI, Reading.T1)])
    rng = np.random.default_rng([settings.seed, len(Reading)])
    return {
        **compare_calls(calls[0], calls[1], settings),
        **compare_tallies(tallies[0], tallies[1], settings, rng),
    }


def _paired(sides: Ordered[Ordered[T]]) -> tuple[list[T], list[T]]:
    """Items of the same patients on both sides, in the same order."""
    first, second = ({item.patient: item for item in side} for side in sides)
    common = [name for name in first if name in second]
    return [first[name] for name in common], [second[name] for name in common]


def compare_calls(
    first: Ordered[PatientCall], second: Ordered[PatientCall], settings: EvaluationSettings
) -> dict[str, GroupTest]:
    """Patient-level figures of two sets of calls on the same patients.

    McNemar's test for sensitivity, specificity and accuracy, the weighted generalised score
    for predictive values, DeLong's for areas, on patients on whom both make a statement;
    McNemar's for the share without one, and for the worst case of sensitivity and specificity,
    where no statement counts as wrong. Areas of scores span all patients.
    """
    if not first:
        return {}
    truth = np.array([call.truth for call in first])
    stated = np.array([(one.stated, two.stated) for one, two in zip(first, second, strict=True)])
    one, two = (np.array([bool(call.called) for call in side]) for side in (first, second))
    tests: dict[str, GroupTest] = {}
    both = stated.all(axis=1)
    if both.any():
        sides = one[both], two[both]
        tests |= _compare_stated(truth[both], sides, int(np.sum(~both)), settings)
    if not both.all():
        without = replace(settings, margin=None)
        tests["no_statement"] = _right_calls(~stated[:, 0], ~stated[:, 1], without)
        right = [(one == truth) & stated[:, 0], (two == truth) & stated[:, 1]]
        for name, members in (("sensitivity_worst", truth), ("specificity_worst", ~truth)):
            if members.any():
                tests[name] = _right_calls(right[0][members], right[1][members], settings)
    scores = [[call.score for call in side] for side in (first, second)]
    known = not any(score is None or np.isnan(score) for side in scores for score in side)
    if known and truth.any() and not truth.all():
        first_scores, second_scores = (np.array(side, dtype=np.float64) for side in scores)
        tests["auc"] = _areas(truth, first_scores, second_scores, settings)
    return tests


def _compare_stated(
    truth: BoolArray,
    sides: tuple[BoolArray, BoolArray],
    left_out: int,
    settings: EvaluationSettings,
) -> dict[str, GroupTest]:
    """Figures of calls that both sides make."""
    one, two = sides
    tests: dict[str, GroupTest] = {}
    for name, members in (("sensitivity", truth), ("specificity", ~truth)):
        if members.any():
            tests[name] = _right_calls(
                one[members] == truth[members], two[members] == truth[members], settings
            )
    tests["accuracy"] = _right_calls(one == truth, two == truth, settings)
    for name, positive in (("ppv", True), ("npv", False)):
        values = [
            float(np.mean(truth[c == positive] == positive)) if (c == positive).any() else np.nan
            for c in (one, two)
        ]
        test = predictive_value_test(truth, one, two, positive=positive)
        tests[name] = GroupTest(_bare(values[0] - values[1]), test)
    if truth.any() and not truth.all():
        tests["auc_of_calls"] = _areas(truth, one.astype(float), two.astype(float), settings)
    note = f"{left_out} patients without a statement left out" if left_out else ""
    return {name: _noted(test, note) for name, test in tests.items()}


def _noted(found: GroupTest, note: str) -> GroupTest:
    words = "; ".join(text for text in (found.test.note, note) if text)
    return replace(found, test=replace(found.test, note=words))


def agreement_of_calls(
    first: Ordered[PatientCall], second: Ordered[PatientCall]
) -> Interval | None:
    """Cohen's kappa of the calls on patients on whom both make a statement; None without."""
    one, two = _paired((first, second))
    pairs = [
        (bool(a.called), bool(b.called))
        for a, b in zip(one, two, strict=True)
        if a.stated and b.stated
    ]
    return kappa([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None


def _right_calls(one: BoolArray, two: BoolArray, settings: EvaluationSettings) -> GroupTest:
    margin = settings.margin
    return GroupTest(
        paired_share_interval(one, two, settings.confidence_level),
        mcnemar(one, two),
        None if margin is None else shares_not_worse(one, two, margin),
    )


def _bare(difference: float) -> Interval:
    return Interval(difference, float("nan"), float("nan"), "none")


def _areas(
    truth: BoolArray, one: FloatArray, two: FloatArray, settings: EvaluationSettings
) -> GroupTest:
    test, difference = paired_delong(truth, one, two)
    margin = settings.margin
    own = None if margin is None else area_not_worse(difference, truth.size, margin)
    return GroupTest(difference, test, own)


def compare_tallies(
    first: Ordered[LesionTally],
    second: Ordered[LesionTally],
    settings: EvaluationSettings,
    rng: np.random.Generator,
) -> dict[str, GroupTest]:
    """Recall, precision and F1 of two sets of lesions on the same patients.

    Intervals by bootstrap over patients, p by permutation within patients.
    """
    if not first:
        return {}
    counts = resample_counts(rng, len(first), settings.bootstrap_samples)
    sides = [_lesion_counts(side) for side in (first, second)]
    tests = {}
    for name in ("recall", "precision", "f1"):
        replicates = [ratio_replicates(counts, *side[name]) for side in sides]
        values = [
            above.sum() / below.sum() if below.sum() else float("nan")
            for above, below in (side[name] for side in sides)
        ]
        difference = percentile_interval(
            float(values[0] - values[1]), replicates[0] - replicates[1], settings.confidence_level
        )
        test = permuted_ratios(sides[0][name], sides[1][name], settings.bootstrap_samples, rng)
        tests[name] = GroupTest(difference, test, _not_worse(sides, name, replicates, settings))
    return tests


def _not_worse(
    sides: Ordered[Mapping[str, tuple[FloatArray, FloatArray]]],
    name: str,
    replicates: Ordered[FloatArray],
    settings: EvaluationSettings,
) -> TestResult | None:
    if settings.margin is None:
        return None
    used = int(np.sum((sides[0][name][1] > 0) | (sides[1][name][1] > 0)))
    one, two = (
        above.sum() / below.sum() if below.sum() else float("nan")
        for above, below in (side[name] for side in sides)
    )
    gaps = replicates[0] - replicates[1]
    return ratio_not_worse(gaps, float(one - two), used, settings.margin)


def _lesion_counts(
    tallies: Ordered[LesionTally],
) -> dict[str, tuple[FloatArray, FloatArray]]:
    found, total, false = (
        np.array(values, dtype=np.float64)
        for values in (
            [tally.n_found for tally in tallies],
            [len(tally.reference) for tally in tallies],
            [len(tally.false) for tally in tallies],
        )
    )
    return {
        "recall": (found, total),
        "precision": (found, found + false),
        "f1": (2 * found, found + total + false),
    }
