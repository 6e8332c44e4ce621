"""All figures of a cohort, from measured patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.evaluation import checks
from pelvimets.evaluation.checks import Problem
from pelvimets.evaluation.measures.case import LESIONS, CaseResult
from pelvimets.evaluation.measures.detection import (
    Detection,
    Group,
    detect_by_rule,
    false_by_mimic,
    groups_by_attribute,
    groups_by_bone,
    groups_by_count,
    groups_by_volume,
)
from pelvimets.evaluation.measures.masks import FloatArray
from pelvimets.evaluation.measures.patients import PatientFigures, judge
from pelvimets.evaluation.measures.voxel import MEASURES, Summary, VoxelMeasures, summarise
from pelvimets.evaluation.readings import (
    LesionTally,
    PatientCall,
    Reading,
    call_patient,
    tally_lesions,
)
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.evaluation.statistics.agreement import (
    BlandAltman,
    bland_altman,
    concordance,
    intraclass_correlation,
)
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.evaluation.statistics.sequence_tests import (
    GroupTest,
    StructureTest,
    compare_groups,
    compare_sequences,
    compare_structures,
)
from pelvimets.evaluation.tables.facts import Characteristics, PatientFacts, characterise
from pelvimets.labels import Bone
from pelvimets.labels import Sequence as MrSequence

STRUCTURES = (*(bone.key for bone in Bone), LESIONS)


@dataclass(frozen=True)
class VoxelRow:
    """Voxel measures of one structure on one sequence of one patient."""

    patient: str
    sequence: MrSequence
    structure: str
    measures: VoxelMeasures


@dataclass(frozen=True)
class VoxelSummary:
    """Measures of a structure on a sequence over patients.

    For lesions only patients whose reference has lesions count; the others are numbered in
    ``reference_empty``, with those where lesions were predicted all the same.

    Attributes:
        sequence, structure: What is described.
        by_measure: Description per measure; NaN cases are counted there.
        cases: Patients measured.
        reference_empty, prediction_empty, both_empty: Patients with empty masks.
    """

    sequence: MrSequence
    structure: str
    by_measure: Mapping[str, Summary]
    cases: int
    reference_empty: int
    prediction_empty: int
    both_empty: int


@dataclass(frozen=True, eq=False)
class VolumeAgreement:
    """Lesion volume per patient, reference against prediction, of patients with either.

    Attributes:
        patients: Names, in the order of the volumes.
        reference_cm3, prediction_cm3: Volumes.
        bland_altman: Of prediction - reference.
        concordance, icc: Lin's coefficient; ICC(A,1).
    """

    patients: tuple[str, ...]
    reference_cm3: FloatArray
    prediction_cm3: FloatArray
    bland_altman: BlandAltman
    concordance: Interval
    icc: Interval


@dataclass(frozen=True)
class ReadingResult:
    """Lesion and patient level under one reading.

    Attributes:
        rule: That of the settings; curves, tests and ``false_by_mimic`` follow it.
        by_rule: Figures under each rule; empty without lesion masks.
        subgroups: Kind of group -> name -> figures under each rule.
        false_by_mimic: False lesions by what they lie on.
        patients: None without calls.
        calls: What ``patients`` is made from.
        tallies_by_rule: What ``by_rule`` is made from.
    """

    rule: MatchRule
    by_rule: Mapping[MatchRule, Detection]
    subgroups: Mapping[str, Mapping[str, Mapping[MatchRule, Detection]]]
    false_by_mimic: Mapping[str, int]
    patients: PatientFigures | None
    calls: tuple[PatientCall, ...]
    tallies_by_rule: Mapping[MatchRule, tuple[LesionTally, ...]]

    @property
    def lesions(self) -> Detection | None:
        """By the rule of the settings; None without lesion masks."""
        return self.by_rule.get(self.rule)

    @property
    def tallies(self) -> tuple[LesionTally, ...]:
        """By the rule of the settings."""
        return self.tallies_by_rule.get(self.rule, ())


@dataclass(frozen=True, eq=False)
class CohortResults:
    """Everything that an evaluation reports."""

    settings: EvaluationSettings
    facts: tuple[PatientFacts, ...]
    voxel: tuple[VoxelRow, ...]
    summaries: tuple[VoxelSummary, ...]
    readings: Mapping[Reading, ReadingResult]
    structure_tests: tuple[StructureTest, ...]
    sequence_tests: Mapping[str, GroupTest]
    group_tests: tuple[StructureTest, ...]
    volumes: Mapping[MrSequence, VolumeAgreement]
    characteristics: Characteristics
    problems: tuple[Problem, ...]
    title: str = "Evaluation"

    def rows_of(self, sequence: MrSequence, structure: str) -> list[VoxelRow]:
        """Voxel rows of a structure on a sequence, with lesions in the reference if lesions."""
        rows = [r for r in self.voxel if r.sequence is sequence and r.structure == structure]
        if structure == LESIONS:
            rows = [row for row in rows if not row.measures.reference_empty]
        return rows


def summarise_cohort(
    cases: Sequence[CaseResult],
    facts: Sequence[PatientFacts],
    settings: EvaluationSettings,
    *,
    all_facts: Sequence[PatientFacts] | None = None,
    problems: Sequence[Problem] = (),
    title: str = "Evaluation",
) -> CohortResults:
    """All figures of a cohort.

    Args:
        cases: The measured patients.
        facts: What is known of them; a patient without M stage takes it from the lesions.
        settings: Match rule, intervals, bootstrap.
        all_facts: Patients of all splits, for the table of characteristics; default ``facts``.
        problems: Found before.
        title: Of the report.

    Raises:
        CohortError: if a patient occurs twice.
    """
    checks.check_patients_once([case.patient for case in cases])
    known = {fact.patient: fact for fact in facts}
    completed = [_complete(case, known.get(case.patient)) for case in cases]
    found = [
        *problems,
        *checks.case_problems(cases),
        *checks.check_split_column(completed),
        *checks.check_stages(completed),
        *checks.check_sums(completed, None),
        *checks.check_classes(completed),
        *checks.check_scores(cases),
    ]
    rows = _voxel_rows(cases)
    readings = _readings(cases, completed, settings)
    updated = {fact.patient: fact for fact in completed}
    return CohortResults(
        settings=settings,
        facts=tuple(completed),
        voxel=rows,
        summaries=_summaries(rows),
        readings=readings,
        structure_tests=compare_structures(_values(rows)),
        sequence_tests=compare_sequences(
            {r: (result.calls, result.tallies) for r, result in readings.items()}, settings
        ),
        group_tests=_group_tests(rows, completed),
        volumes=_volumes(rows, settings),
        characteristics=characterise(
            [updated.get(fact.patient, fact) for fact in (all_facts or completed)]
        ),
        problems=tuple(found),
        title=title,
    )


def _complete(case: CaseResult, fact: PatientFacts | None) -> PatientFacts:
    """Fill lesion count and volume from the masks, and the M stage where the table has none."""
    fact = fact or PatientFacts(case.patient)
    per_sequence = [r.lesions.reference for r in case.sequences.values() if r.lesions]
    if not per_sequence:
        return fact
    linked = case.linked_reference
    lesions = len(linked) if linked is not None else max(len(group) for group in per_sequence)
    volume = max(sum(lesion.volume_cm3 for lesion in group) for group in per_sequence)
    stage = fact.m_stage or ("M1" if lesions else "M0")
    return replace(fact, m_stage=stage, lesions=lesions, lesion_volume_cm3=volume)


def _voxel_rows(cases: Sequence[CaseResult]) -> tuple[VoxelRow, ...]:
    return tuple(
        VoxelRow(case.patient, sequence, structure, measures)
        for case in cases
        for sequence, result in case.sequences.items()
        for structure, measures in result.structures.items()
    )


def _values(rows: Sequence[VoxelRow]) -> dict[tuple[MrSequence, str, str], dict[str, float]]:
    """Value per patient by (sequence, structure, measure); lesions only where there are any."""
    values: dict[tuple[MrSequence, str, str], dict[str, float]] = {}
    for row in rows:
        if row.structure == LESIONS and row.measures.reference_empty:
            continue
        for measure in MEASURES:
            key = (row.sequence, row.structure, measure)
            values.setdefault(key, {})[row.patient] = getattr(row.measures, measure)
    return values


def _summaries(rows: Sequence[VoxelRow]) -> tuple[VoxelSummary, ...]:
    summaries = []
    for sequence in MrSequence:
        for structure in STRUCTURES:
            own = [r.measures for r in rows if (r.sequence, r.structure) == (sequence, structure)]
            if own:
                summaries.append(_summary(sequence, structure, own))
    return tuple(summaries)


def _summary(
    sequence: MrSequence, structure: str, measured: Sequence[VoxelMeasures]
) -> VoxelSummary:
    counted = [m for m in measured if structure != LESIONS or not m.reference_empty]
    return VoxelSummary(
        sequence,
        structure,
        {name: summarise([getattr(m, name) for m in counted]) for name in MEASURES},
        len(measured),
        sum(m.reference_empty and not m.prediction_empty for m in measured),
        sum(m.prediction_empty and not m.reference_empty for m in measured),
        sum(m.prediction_empty and m.reference_empty for m in measured),
    )


def _readings(
    cases: Sequence[CaseResult], facts: Sequence[PatientFacts], settings: EvaluationSettings
) -> dict[Reading, ReadingResult]:
    """Readings that at least one patient allows; each draws its own random numbers."""
    truth = {f.patient: f.m_stage == "M1" for f in facts if f.m_stage is not None}
    by_attribute = {
        "scanner": {fact.patient: fact.scanner for fact in facts},
        "dataset": {fact.patient: fact.dataset for fact in facts},
    }
    results = {}
    for number, reading in enumerate(Reading):
        rng = np.random.default_rng([settings.seed, number])
        tallies = {rule: _tallies(cases, reading, settings, rule) for rule in MatchRule}
        tallies = {rule: own for rule, own in tallies.items() if own}
        calls = [
            call
            for case in cases
            if case.patient in truth
            and (call := call_patient(case, reading, truth[case.patient])) is not None
        ]
        if not tallies and not calls:
            continue
        results[reading] = ReadingResult(
            settings.rule,
            detect_by_rule(tallies, settings, rng) if tallies else {},
            _subgroups(tallies, by_attribute, settings, rng),
            false_by_mimic(tallies.get(settings.rule, ())),
            judge(calls, settings, rng) if calls else None,
            tuple(calls),
            tallies,
        )
    return results


def _tallies(
    cases: Sequence[CaseResult],
    reading: Reading,
    settings: EvaluationSettings,
    rule: MatchRule,
) -> tuple[LesionTally, ...]:
    tallies = (tally_lesions(case, reading, settings, rule) for case in cases)
    return tuple(tally for tally in tallies if tally is not None)


def _subgroups(
    tallies: Mapping[MatchRule, Sequence[LesionTally]],
    by_attribute: Mapping[str, Mapping[str, str | None]],
    settings: EvaluationSettings,
    rng: np.random.Generator,
) -> dict[str, dict[str, dict[MatchRule, Detection]]]:
    grouped = {rule: _groups(own, by_attribute, settings) for rule, own in tallies.items()}
    found: dict[str, dict[str, dict[MatchRule, Detection]]] = {}
    for kind in next(iter(grouped.values()), {}):
        by_rule = {rule: dict(kinds[kind]) for rule, kinds in grouped.items()}
        for name in dict.fromkeys(name for groups in by_rule.values() for name in groups):
            members = {
                rule: groups[name] if name in groups else [_emptied(t) for t in tallies[rule]]
                for rule, groups in by_rule.items()
            }
            if any(members.values()):
                detected = detect_by_rule(members, settings, rng, curves=False)
                found.setdefault(kind, {})[name] = detected
    return found


def _emptied(tally: LesionTally) -> LesionTally:
    return tally.only(lambda _: False, lambda _: False)


def _groups(
    tallies: Sequence[LesionTally],
    by_attribute: Mapping[str, Mapping[str, str | None]],
    settings: EvaluationSettings,
) -> dict[str, list[Group]]:
    kinds: dict[str, list[Group]] = {
        "lesions per patient": groups_by_count(tallies),
        "bone": groups_by_bone(tallies),
        "volume": groups_by_volume(tallies, settings.volume_bounds_cm3),
    }
    for name, attribute in by_attribute.items():
        kinds[name] = groups_by_attribute(tallies, attribute)
    return kinds


def _group_tests(
    rows: Sequence[VoxelRow], facts: Sequence[PatientFacts]
) -> tuple[StructureTest, ...]:
    """Measures across scanners, data sets and splits (the paper's Tables S1-S4)."""
    tests: list[StructureTest] = []
    for kind in ("scanner", "dataset", "split"):
        group_of = {fact.patient: getattr(fact, kind) for fact in facts if getattr(fact, kind)}
        if len(set(group_of.values())) > 1:
            tests += compare_groups(_values(rows), kind, group_of)
    return tuple(tests)


def _volumes(
    rows: Sequence[VoxelRow], settings: EvaluationSettings
) -> dict[MrSequence, VolumeAgreement]:
    agreements = {}
    for sequence in MrSequence:
        own = [
            row
            for row in rows
            if row.sequence is sequence
            and row.structure == LESIONS
            and not (row.measures.reference_empty and row.measures.prediction_empty)
        ]
        if own:
            agreements[sequence] = _agreement(own, settings)
    return agreements


def _agreement(rows: Sequence[VoxelRow], settings: EvaluationSettings) -> VolumeAgreement:
    reference = np.array([row.measures.reference_cm3 for row in rows])
    prediction = np.array([row.measures.prediction_cm3 for row in rows])
    level = settings.confidence_level
    return VolumeAgreement(
        tuple(row.patient for row in rows),
        reference,
        prediction,
        bland_altman(reference, prediction, level=level),
        concordance(reference, prediction, level=level),
        intraclass_correlation(reference, prediction),
    )
