"""Fit what reads a network's output: threshold, weights of the evidence, cuts. Pure.

All is chosen on candidates of a validation cohort. Figures come from tenfold cross-validation
by patient, so that no candidate is weighed by weights that it helped to fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from pelvimets.calibration.candidates import (
    CandidateCase,
    CasesByDrawing,
    Drawing,
    FoundPatient,
    JointVoxels,
    candidate_cases,
    joint_voxels,
)
from pelvimets.calibration.weights import (
    BoolArray,
    FloatArray,
    fit_joint,
    fit_weights,
    left_out,
    platt,
)
from pelvimets.config import EvidenceWeights, JointSettings, LesionSettings
from pelvimets.core.evidence import (
    FEATURES,
    chance_of_faint,
)
from pelvimets.core.odds import log_odds_of
from pelvimets.errors import CohortError
from pelvimets.evaluation.measures.roc import calibration
from pelvimets.labels import Sequence

FEWEST = 8  # right and false candidates each, below which nothing is fitted
_CUTS = np.round(np.arange(0.05, 0.96, 0.05), 2)
WEAK_F1 = 0.5  # below, a sequence's lesions are listed but decide nothing
_BOOTSTRAPS = 2000
_STEPS = (
    ("network's score", ("score",)),
    ("with size and mean", ("score", "mean", "volume")),
    ("with the other sequence", ("score", "mean", "volume", "other", "alone")),
    ("with ADC", ("score", "mean", "volume", "other", "alone", "adc", "no_adc")),
    ("with its place in bone", FEATURES[:-1]),
    ("with its shape", FEATURES),
)


@dataclass(frozen=True)
class Gain:
    """What each kind of evidence adds; figures from cross-validation."""

    evidence: str
    average_precision: float


@dataclass(frozen=True)
class Fitted:
    """Chosen settings and what they reach on the validation cohort.

    Attributes:
        settings: For the bundle.
        record: Plain data for the model card.
    """

    settings: LesionSettings
    record: dict[str, Any]

    @property
    def f1(self) -> float:
        """Of the lesions listed on all sequences."""
        found, listed, metastases = np.sum(list(self.sums.values()), axis=0)
        return float(2 * found / max(listed + metastases, 1))

    @property
    def sums(self) -> dict[str, tuple[int, int, int]]:
        """Lesions (found, listed, all metastases) on each sequence."""
        return {
            name: (own["found"], own["listed"], own["metastases"])
            for name, own in self.record["sequences"].items()
        }


@dataclass(frozen=True, eq=False)
class _Weighed:
    """One sequence: its weights, and scores from cross-validation."""

    weights: EvidenceWeights
    cases: tuple[CandidateCase, ...]
    scores: FloatArray
    right: BoolArray
    patient_scores: FloatArray
    gains: tuple[Gain, ...]

    @property
    def sick(self) -> BoolArray:
        """Whether each patient has metastases."""
        return np.array([case.metastases > 0 for case in self.cases])


def fit_reading(cases: CasesByDrawing, settings: LesionSettings) -> Fitted:
    """Choose threshold, weights, smallest score and operating point.

    A sequence with too few right or false candidates keeps the network's own score; the record
    counts them under ``unweighed``.

    Args:
        cases: Candidates by how they are drawn.
        settings: Of the bundle so far.

    Raises:
        CohortError: if there are too few right or false candidates on every sequence.
    """
    read = [s for s in Sequence if _read(cases, s)]
    weighed = {s: best for s in read if (best := _best_weighed(cases, s))}
    unweighed = {s: _most_candidates(cases, s) for s in read if s not in weighed}
    if not weighed:
        raise CohortError(
            "Too few candidates to weigh the evidence",
            got="; ".join(f"{s.title}: {n} right, {m} false" for s, (n, m) in unweighed.items()),
            remedy=f"Give a cohort with at least {FEWEST} of each on a sequence",
        )
    cut = best_cut(list(weighed.values()))
    weak = tuple(s for s, own in weighed.items() if f1([own], cut) < WEAK_F1)
    deciding = [own for s, own in weighed.items() if s not in weak] or list(weighed.values())
    fitted = replace(
        settings,
        smallest_score=cut,
        operating_point=operating_point(deciding, cut),
    ).with_sequences(
        {
            s: replace(
                settings.of(s),
                evidence=weighed[s].weights if s in weighed else None,
                decides=s not in weak,
            )
            for s in Sequence
        }
    )
    return Fitted(fitted, _record(cases, weighed, unweighed, fitted))


def _read(cases: CasesByDrawing, sequence: Sequence) -> bool:
    return any(case.sequence is sequence for case in next(iter(cases.values())))


def _own(cases: tuple[CandidateCase, ...], sequence: Sequence) -> tuple[CandidateCase, ...]:
    return tuple(case for case in cases if case.sequence is sequence)


def _best_weighed(cases: CasesByDrawing, sequence: Sequence) -> _Weighed | None:
    """The sequence drawn in the way whose weighed candidates reach the best F1.

    Ways with too few candidates to weigh are passed over; None if all have.
    """
    own = {way: _own(found, sequence) for way, found in cases.items()}
    weighed = [
        _weigh(way, found) for way, found in own.items() if min(_right_and_false(found)) >= FEWEST
    ]
    return max(weighed, key=lambda one: f1([one], best_cut([one])), default=None)


def _right_and_false(cases: tuple[CandidateCase, ...]) -> tuple[int, int]:
    right = [candidate.right for case in cases for candidate in case.candidates]
    return sum(right), len(right) - sum(right)


def _most_candidates(cases: CasesByDrawing, sequence: Sequence) -> tuple[int, int]:
    """Right and false ones, drawn in the way that comes nearest to enough of both."""
    return max((_right_and_false(_own(found, sequence)) for found in cases.values()), key=min)


def _dice(cases: tuple[CandidateCase, ...]) -> float:
    both, found, truth = np.sum([case.voxels for case in cases], axis=0)
    return float(2 * both / max(found + truth, 1))


def _weigh(way: Drawing, cases: tuple[CandidateCase, ...]) -> _Weighed:
    found = [(n, c) for n, case in enumerate(cases) for c in case.candidates]
    right = np.array([c.right for _, c in found], dtype=bool)
    owner = np.array([n for n, _ in found])
    persons = {name: n for n, name in enumerate(dict.fromkeys(case.person for case in cases))}
    person = np.array([persons[cases[n].person] for n in owner])
    evidence = [c.evidence for _, c in found]
    scores = left_out(evidence, right, person, FEATURES)
    weights = fit_weights(evidence, right, FEATURES)
    weights = replace(weights, threshold=way.threshold, grow_to=way.grow_to)
    patients = _patient_maxima(cases, owner, scores, weights)
    sick = np.array([case.metastases > 0 for case in cases])
    intercept, slope = platt(patients, sick)
    weights = replace(weights, patient_intercept=intercept, patient_slope=slope)
    gains = tuple(
        Gain(name, _average_precision(right, left_out(evidence, right, person, used)))
        for name, used in _STEPS
    )
    chances = 1 / (1 + np.exp(-(intercept + slope * log_odds_of(patients))))
    return _Weighed(weights, cases, scores, right, chances, gains)


def _patient_maxima(
    cases: tuple[CandidateCase, ...],
    owner: npt.NDArray[Any],
    scores: FloatArray,
    weights: EvidenceWeights,
) -> FloatArray:
    """Highest score of each patient, from what is faint where there is no candidate."""
    highest = (
        scores[owner == n].max() if case.candidates else chance_of_faint(case.faint, weights)
        for n, case in enumerate(cases)
    )
    return np.array(list(highest))


def _average_precision(right: BoolArray, scores: FloatArray) -> float:
    return float(average_precision_score(right, scores))


def best_cut(weighed: list[_Weighed]) -> float:
    """The smallest score with the best F1 over both sequences."""
    return float(max(_CUTS, key=lambda cut: f1(weighed, cut)))


def f1(weighed: list[_Weighed], cut: float) -> float:
    """F1 of lesions when those below the cut are dropped."""
    found = sum(int((j.right & (j.scores >= cut)).sum()) for j in weighed)
    listed = sum(int((j.scores >= cut).sum()) for j in weighed)
    metastases = sum(case.metastases for j in weighed for case in j.cases)
    return 2 * found / max(listed + metastases, 1)


def operating_point(weighed: list[_Weighed], smallest: float) -> float:
    """The lesion score at or above which M1b is suspected: best Youden index over patients.

    A patient is suspected if one lesion on one sequence reaches it.
    """
    names = sorted({case.patient for j in weighed for case in j.cases})
    highest, sick = dict.fromkeys(names, 0.0), dict.fromkeys(names, False)
    for j in weighed:
        start = 0
        for case in j.cases:
            own = j.scores[start : start + len(case.candidates)]
            start += len(case.candidates)
            highest[case.patient] = max(highest[case.patient], float(own.max(initial=0.0)))
            sick[case.patient] |= case.metastases > 0
    value = np.array([highest[n] for n in names])
    truth = np.array([sick[n] for n in names])

    def youden(cut: float) -> float:
        called = value >= cut
        return float(called[truth].mean()) - float(called[~truth].mean())

    cuts = [c for c in _CUTS if c >= smallest]
    if truth.all() or not truth.any():
        return smallest
    return float(max(cuts, key=youden))


def _record(
    cases: CasesByDrawing,
    weighed: dict[Sequence, _Weighed],
    unweighed: dict[Sequence, tuple[int, int]],
    settings: LesionSettings,
) -> dict[str, Any]:
    return {
        "patients": len({case.patient for j in weighed.values() for case in j.cases}),
        "smallest_score": settings.smallest_score,
        "operating_point": settings.operating_point,
        "weak_sequences": tuple(s.value for s in weighed if not settings.of(s).decides),
        "unweighed": {s.value: {"right": n, "false": m} for s, (n, m) in unweighed.items()},
        "sequences": {
            s.value: {
                "threshold": j.weights.threshold,
                "grow_to": j.weights.grow_to,
                "dice_by_threshold": {
                    str(way): round(_dice(_own(c, s)), 4) for way, c in cases.items()
                },
                **_sequence_record(j, settings),
            }
            for s, j in weighed.items()
        },
    }


def _sequence_record(weighed: _Weighed, settings: LesionSettings) -> dict[str, Any]:
    listed = weighed.scores >= settings.smallest_score
    found = int((weighed.right & listed).sum())
    network = np.array([c.evidence.score for case in weighed.cases for c in case.candidates])
    one_class = weighed.sick.all() or not weighed.sick.any()
    return {
        "candidates": len(weighed.right),
        "right": int(weighed.right.sum()),
        "metastases": sum(case.metastases for case in weighed.cases),
        "found": found,
        "listed": int(listed.sum()),
        "recall": round(found / max(sum(case.metastases for case in weighed.cases), 1), 4),
        "precision": round(found / max(int(listed.sum()), 1), 4),
        **_intervals(weighed, listed),
        "gains": {gain.evidence: round(gain.average_precision, 4) for gain in weighed.gains},
        "lesion_ece_network": _ece(weighed.right, network),
        "lesion_ece": _ece(weighed.right, weighed.scores),
        "patient_ece": None if one_class else _ece(weighed.sick, weighed.patient_scores),
    }


def _intervals(weighed: _Weighed, listed: BoolArray) -> dict[str, list[float]]:
    """95 % intervals of recall and precision; persons are drawn, as their lesions are alike."""
    persons = {name: n for n, name in enumerate(dict.fromkeys(c.person for c in weighed.cases))}
    counts = np.zeros((len(persons), 3))  # found, all metastases, listed
    start = 0
    for case in weighed.cases:
        own = slice(start, start + len(case.candidates))
        start = own.stop
        right, shown = weighed.right[own], listed[own]
        counts[persons[case.person]] += (right & shown).sum(), case.metastases, shown.sum()
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(persons), np.full(len(persons), 1 / len(persons)), _BOOTSTRAPS)
    found, metastases, shown = (drawn @ counts).T
    return {
        name: [round(float(v), 4) for v in np.percentile(found / np.maximum(of, 1), [2.5, 97.5])]
        for name, of in (("recall_interval", metastases), ("precision_interval", shown))
    }


def _ece(truth: BoolArray, scores: FloatArray) -> float:
    return round(calibration(truth, scores, bins=10).expected_calibration_error, 4)


def fit_calibration(found: Iterable[FoundPatient], settings: LesionSettings) -> Fitted:
    """Fit on what the networks found: each sequence by itself, and both together.

    Args:
        found: The patients; gone through three times.
        settings: Of the bundle so far; its own joining, if any, is replaced.

    Returns:
        The better of the two by F1 of the lesions, or the one that weighs more sequences; its
        record holds both under ``joining``. Where one of them leaves too few candidates, the other.

    Raises:
        CohortError: if there are too few right or false candidates either way.
    """
    apart = _joined(settings, {})
    together = _joined(apart, _joints(found, settings.bone_margin_mm))
    if together == apart:
        return fit_reading(candidate_cases(found, apart), apart)
    fitted, faults = [], []
    for own in (apart, together):
        try:
            fitted.append(fit_reading(candidate_cases(found, own), own))
        except CohortError as error:
            faults.append(error)
    if not fitted:
        raise faults[0]
    if faults:
        return fitted[0]
    best = max(fitted, key=lambda own: (len(own.sums), own.f1))
    joining = {"apart": fitted[0].sums, "together": fitted[1].sums, "joined": best is fitted[1]}
    return replace(best, record={**best.record, "joining": joining})


def _joined(
    settings: LesionSettings, joints: Mapping[Sequence, JointSettings | None]
) -> LesionSettings:
    own = {s: replace(settings.of(s), joint=joints.get(s)) for s in Sequence}
    return settings.with_sequences(own)


def _joints(
    found: Iterable[FoundPatient], margin_mm: float
) -> dict[Sequence, JointSettings | None]:
    """How the other sequence counts in the voxels of each, for patients with both."""
    drawn: dict[Sequence, list[JointVoxels]] = {s: [] for s in Sequence}
    for patient in found:
        for sequence in patient.sequences:
            voxels = joint_voxels(patient, sequence, margin_mm)
            drawn[sequence] += [] if voxels is None else [voxels]
    return {s: fit_joint(own) if own else None for s, own in drawn.items()}
