"""Lesions and patients as each reading sees them: one sequence, either, or both.

A lesion counts as found on either sequence if it is found on at least one of those that show
it (the paper's rule for M staging), and on both if it is found on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pelvimets.evaluation.measures.case import CaseResult
from pelvimets.evaluation.measures.lesions import (
    LesionRecord,
    LinkedLesion,
    Matching,
    SequenceLesions,
    match_lesions,
)
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.labels import Sequence


class Reading(StrEnum):
    """What a patient is judged by."""

    DWI = "dwi"
    T1 = "t1"
    EITHER = "either"
    BOTH = "both"

    @property
    def title(self) -> str:  # type: ignore[override]
        """Name as printed."""
        return {
            "dwi": "DWI",
            "t1": "T1 in phase",
            "either": "Either sequence",
            "both": "Both sequences",
        }[self.value]


@dataclass(frozen=True)
class ReferenceItem:
    """A lesion of the reference.

    Attributes:
        volume_cm3: The larger of both sequences.
        bone: See ``LesionRecord.bone``.
        found: Whether a prediction found it.
        score: Score of the prediction that found it, None if unknown or not found.
    """

    volume_cm3: float
    bone: str | None
    found: bool
    score: float | None = None


@dataclass(frozen=True)
class FalseItem:
    """A predicted lesion that found nothing.

    Attributes:
        volume_cm3, bone, score, mimic: See ``LesionRecord``.
        touches_lesion: Whether it shares voxels with a reference lesion all the same: a
            fragment, or too little overlap.
    """

    volume_cm3: float
    bone: str | None
    score: float | None
    mimic: str | None
    touches_lesion: bool


@dataclass(frozen=True)
class LesionTally:
    """Lesions of one patient under one reading.

    ``merges`` and ``splits`` see ``Matching``; 0 for readings of two sequences.
    """

    patient: str
    reference: tuple[ReferenceItem, ...]
    false: tuple[FalseItem, ...]
    merges: int = 0
    splits: int = 0

    @property
    def n_found(self) -> int:
        """Reference lesions found."""
        return sum(item.found for item in self.reference)

    def only(
        self,
        reference: Callable[[ReferenceItem], bool],
        false: Callable[[FalseItem], bool],
    ) -> LesionTally:
        """The lesions that pass; for groups by bone or volume."""
        return replace(
            self,
            reference=tuple(item for item in self.reference if reference(item)),
            false=tuple(item for item in self.false if false(item)),
        )


def tally_lesions(
    case: CaseResult, reading: Reading, settings: EvaluationSettings, rule: MatchRule | None = None
) -> LesionTally | None:
    """Match the lesions of one patient; None if a mask that the reading needs is missing.

    Args:
        case: The measured patient.
        reading: What to judge by.
        settings: Match rule and threshold.
        rule: Instead of the rule of the settings.
    """
    matched = {
        sequence: (
            result.lesions,
            match_lesions(result.lesions, rule or settings.rule, settings.smallest_iou),
        )
        for sequence, result in case.sequences.items()
        if result.lesions is not None
    }
    if reading in (Reading.DWI, Reading.T1):
        sequence = Sequence(reading.value)
        return _of_sequence(case.patient, *matched[sequence]) if sequence in matched else None
    if case.linked_reference is not None and case.linked_prediction is not None:
        return _of_both(case, matched, reading)
    if reading is Reading.EITHER and len(matched) == 1:
        return _of_sequence(case.patient, *next(iter(matched.values())))
    return None


def _of_sequence(patient: str, lesions: SequenceLesions, matching: Matching) -> LesionTally:
    reference = tuple(_reference_item(r, lesions, matching) for r in lesions.reference)
    touching = {overlap.prediction for overlap in lesions.overlaps}
    wrong = set(matching.false)
    false = tuple(
        FalseItem(p.volume_cm3, p.bone, p.score, p.mimic, p.number in touching)
        for p in lesions.prediction
        if p.number in wrong
    )
    return LesionTally(patient, reference, false, matching.merges, matching.splits)


def _reference_item(
    record: LesionRecord, lesions: SequenceLesions, matching: Matching
) -> ReferenceItem:
    found = record.number in matching.found
    partners = {p for r, p in matching.pairs if r == record.number}
    if len(lesions.prediction) and not _is_one_to_one(matching):
        partners |= {o.prediction for o in lesions.overlaps if o.reference == record.number}
    scores = [p.score for p in lesions.prediction if p.number in partners]
    known = [score for score in scores if score is not None]
    score = max(known) if found and known else None
    return ReferenceItem(record.volume_cm3, record.bone, found, score)


def _is_one_to_one(matching: Matching) -> bool:
    return len(matching.hits) == len(matching.pairs)


Matched = Mapping[Sequence, tuple[SequenceLesions, Matching]]


def _of_both(case: CaseResult, matched: Matched, reading: Reading) -> LesionTally:
    single = {s: _of_sequence(case.patient, *pair) for s, pair in matched.items()}
    items = {s: dict(enumerate(tally.reference, start=1)) for s, tally in single.items()}
    reference = tuple(_linked_item(link, items, reading) for link in case.linked_reference or ())
    false = tuple(
        item
        for link in case.linked_prediction or ()
        if (item := _linked_false(link, matched, reading)) is not None
    )
    return LesionTally(case.patient, reference, false)


def _members(link: LinkedLesion) -> dict[Sequence, tuple[int, ...]]:
    return {Sequence.DWI: link.dwi, Sequence.T1: link.t1}


def _linked_item(
    link: LinkedLesion, items: Mapping[Sequence, Mapping[int, ReferenceItem]], reading: Reading
) -> ReferenceItem:
    seen = {s: [items[s][n] for n in numbers] for s, numbers in _members(link).items()}
    found = {s: any(item.found for item in members) for s, members in seen.items()}
    largest = max((i for members in seen.values() for i in members), key=lambda i: i.volume_cm3)
    best = {s: _highest(i.score for i in members) for s, members in seen.items() if found[s]}
    if reading is Reading.EITHER:
        return ReferenceItem(
            largest.volume_cm3, largest.bone, any(found.values()), _highest(best.values())
        )
    both = all(found.values())
    score = _lowest(best.values()) if both else None
    return ReferenceItem(largest.volume_cm3, largest.bone, both, score)


def _linked_false(link: LinkedLesion, matched: Matched, reading: Reading) -> FalseItem | None:
    members = _members(link)
    if reading is Reading.BOTH and not all(members.values()):
        return None
    records = []
    for sequence, numbers in members.items():
        lesions, matching = matched[sequence]
        if set(numbers) - set(matching.false):
            return None
        records += [p for p in lesions.prediction if p.number in numbers]
    touching = any(
        overlap.prediction in numbers
        for sequence, numbers in members.items()
        for overlap in matched[sequence][0].overlaps
    )
    largest = max(records, key=lambda record: record.volume_cm3)
    mimic = next((record.mimic for record in records if record.mimic), None)
    pick = _highest if reading is Reading.EITHER else _lowest
    score = pick(record.score for record in records)
    return FalseItem(largest.volume_cm3, largest.bone, score, mimic, touching)


def _highest(scores: Iterable[float | None]) -> float | None:
    return max((score for score in scores if score is not None), default=None)


def _lowest(scores: Iterable[float | None]) -> float | None:
    return min((score for score in scores if score is not None), default=None)


@dataclass(frozen=True)
class PatientCall:
    """One patient under one reading.

    Attributes:
        truth: Whether he has bone metastases (M1).
        called: Whether the prediction says so.
        score: Unthresholded, None if unknown.
    """

    patient: str
    truth: bool
    called: bool
    score: float | None


def call_patient(case: CaseResult, reading: Reading, truth: bool) -> PatientCall | None:
    """The prediction's word on one patient; None where the reading lacks a sequence.

    A sequence's call is the prediction's own suspicion where it states one, else whether it
    marks any lesion. Either sequence: one call is enough and the higher score counts; both:
    both must call and the lower score counts.
    """
    calls: dict[Sequence, tuple[bool, float | None]] = {}
    for sequence, result in case.sequences.items():
        scores = result.scores
        if scores.m1_suspected is not None:
            calls[sequence] = scores.m1_suspected, scores.patient_score
        elif result.lesions is not None:
            calls[sequence] = bool(result.lesions.prediction), scores.patient_score
    if reading in (Reading.DWI, Reading.T1):
        found = calls.get(Sequence(reading.value))
        return None if found is None else PatientCall(case.patient, truth, *found)
    if not calls or (reading is Reading.BOTH and len(calls) < len(Sequence)):
        return None
    known = [score for _, score in calls.values()]
    words = [called for called, _ in calls.values()]
    if reading is Reading.EITHER:
        score = None if None in known else _highest(known)
        return PatientCall(case.patient, truth, any(words), score)
    return PatientCall(case.patient, truth, all(words), None if None in known else _lowest(known))
