"""Lesions and patients as each reading sees them: one sequence, either, or both.

A lesion counts as found on either sequence if it is found on at least one of those that show
it (the paper's rule for M staging), and on both if it is found on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

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
        split: Whether two or more predictions touch it.
    """

    volume_cm3: float
    bone: str | None
    found: bool
    score: float | None = None
    split: bool = False


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
class MergingItem:
    """A predicted lesion that touches two or more of the reference; see ``LesionRecord``."""

    volume_cm3: float
    bone: str | None


class Placed(Protocol):
    """Anything with a place and a volume, by which lesions are grouped."""

    @property
    def volume_cm3(self) -> float:
        """Volume."""
        ...

    @property
    def bone(self) -> str | None:
        """See ``LesionRecord.bone``."""
        ...


@dataclass(frozen=True)
class LesionTally:
    """Lesions of one patient under one reading.

    Attributes:
        patient: Name.
        reference, false: Lesions of the reference, and predictions that found nothing.
        merging: Predictions that touch several lesions; None for readings of two sequences,
            where merges and splits have no meaning.
    """

    patient: str
    reference: tuple[ReferenceItem, ...]
    false: tuple[FalseItem, ...]
    merging: tuple[MergingItem, ...] | None = None

    @property
    def n_found(self) -> int:
        """Reference lesions found."""
        return sum(item.found for item in self.reference)

    @property
    def merges(self) -> int | None:
        """Number of merging predictions; None where that has no meaning."""
        return None if self.merging is None else len(self.merging)

    @property
    def splits(self) -> int | None:
        """Number of split lesions; None where that has no meaning."""
        return None if self.merging is None else sum(item.split for item in self.reference)

    def only(self, passes: Callable[[Placed], bool]) -> LesionTally:
        """The lesions that pass, each by its own place and volume; for groups."""
        merging = self.merging
        return replace(
            self,
            reference=tuple(item for item in self.reference if passes(item)),
            false=tuple(item for item in self.false if passes(item)),
            merging=None if merging is None else tuple(m for m in merging if passes(m)),
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
    merging = tuple(
        MergingItem(p.volume_cm3, p.bone)
        for p in lesions.prediction
        if p.number in matching.merging
    )
    return LesionTally(patient, reference, false, merging)


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
    split = record.number in matching.split
    return ReferenceItem(record.volume_cm3, record.bone, found, score, split)


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
        called: Whether the prediction says so; None where it makes no statement.
        score: Unthresholded, None if unknown.
    """

    patient: str
    truth: bool
    called: bool | None
    score: float | None

    @property
    def stated(self) -> bool:
        """Whether the prediction makes a statement, one way or the other."""
        return self.called is not None


def call_patient(case: CaseResult, reading: Reading, truth: bool) -> PatientCall | None:
    """The prediction's word on one patient; None where the reading lacks a sequence.

    A sequence's call is the prediction's own suspicion where it states one, else whether it
    marks any lesion. Either sequence: one call is enough and the higher score counts; both:
    both must call and the lower score counts. Where the prediction withholds its statement on
    the patient, no reading has a call; the scores stay.
    """
    calls: dict[Sequence, tuple[bool, float | None]] = {}
    for sequence, result in case.sequences.items():
        scores = result.scores
        if scores.m1_suspected is not None:
            calls[sequence] = scores.m1_suspected, scores.patient_score
        elif result.lesions is not None:
            calls[sequence] = bool(result.lesions.prediction), scores.patient_score
    if reading in (Reading.DWI, Reading.T1):
        calls = {s: call for s, call in calls.items() if s == reading.value}
    if not calls or (reading is Reading.BOTH and len(calls) < len(Sequence)):
        return None
    known = [score for _, score in calls.values()]
    words = [called for called, _ in calls.values()]
    of_words, of_scores = (all, _lowest) if reading is Reading.BOTH else (any, _highest)
    withheld = any(result.scores.withheld for result in case.sequences.values())
    score = None if None in known else of_scores(known)
    return PatientCall(case.patient, truth, None if withheld else of_words(words), score)
