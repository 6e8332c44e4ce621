"""Lesion-level figures of a cohort: rates, average precision, FROC, and their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.evaluation.readings import LesionTally, Placed
from pelvimets.evaluation.settings import (
    COUNT_GROUPS,
    EvaluationSettings,
    MatchRule,
    count_group,
    volume_group,
)
from pelvimets.evaluation.statistics.intervals import (
    Interval,
    percentile_interval,
    proportion_interval,
    ratio_replicates,
    resample_counts,
)
from pelvimets.labels import Bone

NO_SCORES = "predicted lesions without a score"


@dataclass(frozen=True)
class Rate:
    """A share of lesions with its intervals.

    Attributes:
        numerator, denominator: Counts; NaN interval for a denominator of 0.
        bootstrap: Over patients, so that lesions of one patient may resemble each other.
        clopper_pearson, wilson: As if lesions were independent; None for F1.
    """

    numerator: int
    denominator: int
    bootstrap: Interval
    clopper_pearson: Interval | None = None
    wilson: Interval | None = None

    @property
    def estimate(self) -> float:
        """Numerator over denominator; NaN for a denominator of 0."""
        return self.bootstrap.estimate


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Sensitivity against false positives per patient, by falling score.

    Attributes:
        false_positives_per_patient, sensitivity: Points of the curve, from (0, 0).
        at: Sensitivity with bootstrap interval at fixed numbers of false positives per patient.
        mean_sensitivity: Mean over these.
    """

    false_positives_per_patient: FloatArray
    sensitivity: FloatArray
    at: Mapping[float, Interval]
    mean_sensitivity: float


@dataclass(frozen=True)
class Detection:
    """Lesion-level figures of a group of patients under one reading.

    Attributes:
        patients: Number of patients, those without lesions included.
        found, missed, false: Lesions.
        false_in_m0: False lesions in patients without reference lesions.
        merges, splits: See ``Matching``; None for readings of two sequences.
        recall, precision, f1: Precision is found / (found + false).
        false_per_patient: Mean with bootstrap interval.
        average_precision, froc: None without scores; ``note`` then says why.
    """

    patients: int
    found: int
    missed: int
    false: int
    false_in_m0: int
    merges: int | None
    splits: int | None
    recall: Rate
    precision: Rate
    f1: Rate
    false_per_patient: Interval
    average_precision: Interval | None = None
    froc: FrocCurve | None = None
    note: str = ""

    @property
    def reference_lesions(self) -> int:
        """All lesions of the reference."""
        return self.found + self.missed


def detect(
    tallies: Sequence[LesionTally],
    settings: EvaluationSettings,
    rng: np.random.Generator,
    *,
    curves: bool = True,
) -> Detection:
    """All lesion-level figures of these patients.

    Args:
        tallies: One per patient.
        settings: Bootstrap and FROC settings.
        rng: Source of randomness.
        curves: Whether to compute average precision and FROC.
    """
    counts = resample_counts(rng, len(tallies), settings.bootstrap_samples)
    return _detect(tallies, counts, settings, curves=curves)


def detect_by_rule(
    tallies: Mapping[MatchRule, Sequence[LesionTally]],
    settings: EvaluationSettings,
    rng: np.random.Generator,
    *,
    curves: bool = True,
    drawn: dict[int, npt.NDArray[np.int64]] | None = None,
) -> dict[MatchRule, Detection]:
    """Figures of the same patients under each rule, on the same bootstrap samples.

    Args:
        tallies: By rule, the same patients in the same order.
        settings: Bootstrap and FROC settings; curves are those of its own rule.
        rng: Source of randomness.
        curves: Whether to compute average precision and FROC.
        drawn: Bootstrap samples by number of patients, to be shared between groups; filled here.
    """
    patients = len(next(iter(tallies.values())))
    known = {} if drawn is None else drawn
    if patients not in known:
        known[patients] = resample_counts(rng, patients, settings.bootstrap_samples)
    counts = known[patients]
    return {
        rule: _detect(own, counts, settings, curves=curves and rule is settings.rule)
        for rule, own in tallies.items()
    }


def _detect(
    tallies: Sequence[LesionTally],
    counts: npt.NDArray[np.int64],
    settings: EvaluationSettings,
    *,
    curves: bool,
) -> Detection:
    found = np.array([tally.n_found for tally in tallies], dtype=np.int64)
    total = np.array([len(tally.reference) for tally in tallies], dtype=np.int64)
    false = np.array([len(tally.false) for tally in tallies], dtype=np.int64)
    level = settings.confidence_level
    scored = _scored(tallies) if curves else None
    return Detection(
        patients=len(tallies),
        found=int(found.sum()),
        missed=int((total - found).sum()),
        false=int(false.sum()),
        false_in_m0=int(false[total == 0].sum()),
        merges=_summed([tally.merges for tally in tallies]),
        splits=_summed([tally.splits for tally in tallies]),
        recall=_rate(found, total, counts, level),
        precision=_rate(found, found + false, counts, level),
        f1=_rate(2 * found, found + total + false, counts, level, shares=False),
        false_per_patient=_mean(false, counts, level),
        average_precision=_average_precision(scored, total, counts, level) if scored else None,
        froc=_froc(scored, total, counts, settings) if scored else None,
        note="" if scored or not curves else NO_SCORES,
    )


def _summed(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _rate(
    above: npt.NDArray[np.int64],
    below: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    level: float,
    *,
    shares: bool = True,
) -> Rate:
    numerator, denominator = int(above.sum()), int(below.sum())
    estimate = numerator / denominator if denominator else float("nan")
    bootstrap = percentile_interval(estimate, ratio_replicates(counts, above, below), level)
    if not shares:
        return Rate(numerator, denominator, bootstrap)
    return Rate(
        numerator,
        denominator,
        bootstrap,
        proportion_interval(numerator, denominator, "clopper-pearson", level),
        proportion_interval(numerator, denominator, "wilson", level),
    )


def _mean(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], level: float) -> Interval:
    estimate = float(values.mean()) if values.size else float("nan")
    return percentile_interval(
        estimate, ratio_replicates(counts, values, np.ones(values.size)), level
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """Found and false lesions by falling score; ``last`` marks the end of each tie."""

    patient: npt.NDArray[np.int64]
    hit: BoolArray
    last: npt.NDArray[np.int64]


def _scored(tallies: Sequence[LesionTally]) -> _Scored | None:
    """None if any lesion that counts has no score, or there is nothing predicted."""
    rows: list[tuple[float | None, int, bool]] = []
    for patient, tally in enumerate(tallies):
        rows += [(item.score, patient, True) for item in tally.reference if item.found]
        rows += [(item.score, patient, False) for item in tally.false]
    if not rows or any(score is None or not np.isfinite(score) for score, _, _ in rows):
        return None
    score = np.array([row[0] for row in rows], dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    patient_of = np.array([row[1] for row in rows])[order]
    return _Scored(patient_of, np.array([row[2] for row in rows])[order], last)


_CHUNK = 500  # bootstrap samples at a time, so that memory stays flat


def _cumulated(
    scored: _Scored, counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Found and false lesions at or above each distinct score, (samples, scores)."""
    weight = counts[:, scored.patient]
    hits = np.cumsum(weight * scored.hit, axis=1)[:, scored.last]
    false = np.cumsum(weight * ~scored.hit, axis=1)[:, scored.last]
    return hits, false


def average_precision_of(
    scored: _Scored, total: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> FloatArray:
    """Area under precision against recall, by steps; lesions never found lower the recall."""
    hits, false = _cumulated(scored, counts)
    lesions = counts @ total
    precision = np.divide(hits, hits + false, out=np.zeros(hits.shape), where=hits + false > 0)
    gained = np.diff(hits, axis=1, prepend=0)
    area = (gained * precision).sum(axis=1)
    result: FloatArray = np.full(area.shape, np.nan)
    np.divide(area, lesions, out=result, where=lesions > 0)
    return result


def _average_precision(
    scored: _Scored, total: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], level: float
) -> Interval:
    once = np.ones((1, total.size), np.int64)
    estimate = float(average_precision_of(scored, total, once)[0])
    replicates = np.concatenate(
        [average_precision_of(scored, total, chunk) for chunk in _chunks(counts)]
    )
    return percentile_interval(estimate, replicates, level)


def _chunks(counts: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [counts[start : start + _CHUNK] for start in range(0, len(counts), _CHUNK)]


def _froc(
    scored: _Scored,
    total: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    settings: EvaluationSettings,
) -> FrocCurve:
    once = np.ones((1, total.size), np.int64)
    hits, false = _cumulated(scored, once)
    lesions = max(int(total.sum()), 1)
    rates = settings.false_positives_per_patient
    estimates = _sensitivity_at(scored, total, once, rates)[0]
    replicates = np.concatenate(
        [_sensitivity_at(scored, total, chunk, rates) for chunk in _chunks(counts)]
    )
    at = {
        rate: percentile_interval(float(estimates[n]), replicates[:, n], settings.confidence_level)
        for n, rate in enumerate(rates)
    }
    return FrocCurve(
        np.concatenate([[0.0], false[0] / total.size]),
        np.concatenate([[0.0], hits[0] / lesions]),
        at,
        float(estimates.mean()),
    )


def _sensitivity_at(
    scored: _Scored,
    total: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    rates: Sequence[float],
) -> FloatArray:
    """Sensitivity at the lowest score with at most this many false positives per patient."""
    hits, false = _cumulated(scored, counts)
    lesions = counts @ total
    hits = np.concatenate([np.zeros((len(hits), 1), hits.dtype), hits], axis=1)
    result: FloatArray = np.full((len(counts), len(rates)), np.nan)
    for n, rate in enumerate(rates):
        place = (false <= rate * total.size).sum(axis=1)
        reached = np.take_along_axis(hits, place[:, None], axis=1)[:, 0]
        np.divide(reached, lesions, out=result[:, n], where=lesions > 0)
    return result


Group = tuple[str, list[LesionTally]]


def groups_by_count(tallies: Sequence[LesionTally]) -> list[Group]:
    """Patients with 1, 2-3, 4-5 and more lesions, and those without."""
    by_name: dict[str | None, list[LesionTally]] = {}
    for tally in tallies:
        by_name.setdefault(count_group(len(tally.reference)), []).append(tally)
    named = [(name, by_name.get(name, [])) for name in COUNT_GROUPS]
    return [*named, ("none", by_name.get(None, []))]


def groups_by_bone(tallies: Sequence[LesionTally]) -> list[Group]:
    """Lesions of each structure; every patient stays in each group."""
    reference = {item.bone for tally in tallies for item in tally.reference if item.bone}
    present = reference | {item.bone for tally in tallies for item in tally.false if item.bone}
    known = [bone.key for bone in Bone if bone.key in present]
    names = [*known, *sorted(present - set(known))]
    return [(name, _restricted(tallies, partial(_is_in_bone, name))) for name in names]


def groups_by_volume(tallies: Sequence[LesionTally], bounds: tuple[float, ...]) -> list[Group]:
    """Lesions by volume; false ones by their own; every patient stays in each group."""
    names = dict.fromkeys(volume_group(volume, bounds) for volume in (bounds[0] / 2, *bounds))
    return [(n, _restricted(tallies, partial(_is_of_volume, n, bounds))) for n in names]


def _is_in_bone(name: str, item: Placed) -> bool:
    return item.bone == name


def _is_of_volume(name: str, bounds: tuple[float, ...], item: Placed) -> bool:
    return volume_group(item.volume_cm3, bounds) == name


def groups_by_attribute(
    tallies: Sequence[LesionTally], attribute: Mapping[str, str | None]
) -> list[Group]:
    """Patients by an attribute such as the scanner; patients without one are left out."""
    names = sorted({value for value in attribute.values() if value})
    return [(n, [t for t in tallies if attribute.get(t.patient) == n]) for n in names]


def _restricted(
    tallies: Sequence[LesionTally], passes: Callable[[Placed], bool]
) -> list[LesionTally]:
    return [tally.only(passes) for tally in tallies]


def false_by_mimic(tallies: Sequence[LesionTally]) -> dict[str, int]:
    """False lesions by what they lie on: a named mimic, a reference lesion, or neither."""
    counted = Counter(
        item.mimic or ("part of a lesion" if item.touches_lesion else "nothing named")
        for tally in tallies
        for item in tally.false
    )
    return dict(counted.most_common())
