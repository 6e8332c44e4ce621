"""All figures of a cohort, from measured patients."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field, replace

import numpy as np

from pelvimets.evaluation import checks
from pelvimets.evaluation.by_reading import ReadingResult, read_all
from pelvimets.evaluation.checks import Problem
from pelvimets.evaluation.measures.case import LESIONS, CaseResult
from pelvimets.evaluation.measures.masks import FloatArray
from pelvimets.evaluation.measures.matched import (
    MatchedPair,
    MatchedSummary,
    matched_pairs,
    summarise_matched,
)
from pelvimets.evaluation.measures.voxel import MEASURES, Summary, VoxelMeasures, summarise
from pelvimets.evaluation.readings import (
    Reading,
)
from pelvimets.evaluation.settings import EvaluationSettings
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
    agreement_of_calls,
    compare_groups,
    compare_sequences,
    compare_structures,
)
from pelvimets.evaluation.tables.facts import Characteristics, PatientFacts, characterise
from pelvimets.labels import UNIONS, Bone, Sequence

STRUCTURES = (*(bone.key for bone in Bone), *(union.key for union in UNIONS), LESIONS)
MODELS = ("bones", "lesions")
WITH_METASTASES, ALL_PATIENTS = "patients with metastases", "all patients"


@dataclass(frozen=True)
class VoxelRow:
    """Voxel measures of one structure on one sequence of one patient."""

    patient: str
    sequence: Sequence
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

    sequence: Sequence
    structure: str
    by_measure: Mapping[str, Summary]
    cases: int
    reference_empty: int
    prediction_empty: int
    both_empty: int


@dataclass(frozen=True, eq=False)
class VolumeAgreement:
    """Lesion volume per patient, reference against prediction.

    Who counts is settled by the reference, never by what was predicted.

    Attributes:
        population: Who counts, in words.
        patients: Names, in the order of the volumes.
        reference_cm3, prediction_cm3: Volumes.
        bland_altman: Of prediction - reference.
        concordance, icc: Lin's coefficient; ICC(A,1).
    """

    population: str
    patients: tuple[str, ...]
    reference_cm3: FloatArray
    prediction_cm3: FloatArray
    bland_altman: BlandAltman
    concordance: Interval
    icc: Interval


@dataclass(frozen=True, eq=False)
class CohortResults:
    """Everything that an evaluation reports.

    Attributes:
        volumes, volumes_of_all: Of patients with metastases, and of all.
        pairs, matched: Segmentation lesion by lesion, of matched pairs.
        call_agreement: Cohen's kappa of the calls on DWI and on T1; None without both.
        characteristics: Patients of the bone and of the lesion model: Tables 2 and 3.
        external: Whether the patients are an external cohort, as in the paper's Figure 6.
    """

    settings: EvaluationSettings
    facts: tuple[PatientFacts, ...]
    voxel: tuple[VoxelRow, ...]
    summaries: tuple[VoxelSummary, ...]
    readings: Mapping[Reading, ReadingResult]
    structure_tests: tuple[StructureTest, ...]
    sequence_tests: Mapping[str, GroupTest]
    group_tests: tuple[StructureTest, ...]
    volumes: Mapping[Sequence, VolumeAgreement]
    volumes_of_all: Mapping[Sequence, VolumeAgreement]
    pairs: tuple[MatchedPair, ...]
    matched: Mapping[Sequence, MatchedSummary]
    call_agreement: Interval | None
    characteristics: Mapping[str, Characteristics]
    problems: tuple[Problem, ...]
    title: str = "Evaluation"
    external: bool = False

    def rows_of(self, sequence: Sequence, structure: str) -> list[VoxelRow]:
        """Voxel rows of a structure on a sequence, with lesions in the reference if lesions."""
        rows = [r for r in self.voxel if r.sequence is sequence and r.structure == structure]
        if structure == LESIONS:
            rows = [row for row in rows if not row.measures.reference_empty]
        return rows


@dataclass(frozen=True)
class About:
    """What is said of a cohort beside its measures.

    Attributes:
        title: Of the report.
        external: Whether the patients are an external cohort.
        all_facts: Patients of all splits, for the table of characteristics; None takes those
            that were measured.
        development: Further patients that each model was developed on, for the same table.
        problems: Found before.
        out_of_fold: Whether each was read by networks that did not learn from him.
    """

    title: str = "Evaluation"
    external: bool = False
    all_facts: Ordered[PatientFacts] | None = None
    development: Mapping[str, Ordered[PatientFacts]] = field(default_factory=dict)
    problems: Ordered[Problem] = ()
    out_of_fold: bool = False


def summarise_cohort(
    cases: Ordered[CaseResult],
    facts: Ordered[PatientFacts],
    settings: EvaluationSettings,
    about: About | None = None,
) -> CohortResults:
    """All figures of a cohort.

    Args:
        cases: The measured patients.
        facts: What is known of them; a patient without M stage takes it from the lesions.
        settings: Match rule, intervals, bootstrap.
        about: What is said of the cohort; None says nothing.

    Raises:
        CohortError: if a patient occurs twice.
    """
    about = about or About()
    checks.check_patients_once([case.patient for case in cases])
    known = {fact.patient: fact for fact in facts}
    completed = [_complete(case, known.get(case.patient)) for case in cases]
    found = [
        *about.problems,
        *checks.case_problems(cases),
        *(() if about.out_of_fold else checks.check_split_column(completed)),
        *checks.check_stages(completed),
        *checks.check_sums(completed, None),
        *checks.check_classes(completed),
        *checks.check_scores(cases),
    ]
    rows, readings = _voxel_rows(cases), read_all(cases, completed, settings)
    updated = {fact.patient: fact for fact in completed}
    described = [updated.get(fact.patient, fact) for fact in (about.all_facts or completed)]
    pairs = matched_pairs(cases, settings)
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
        volumes=_volumes(_of_m1(rows, completed), WITH_METASTASES, settings),
        volumes_of_all=_volumes(rows, ALL_PATIENTS, settings),
        pairs=pairs,
        matched=summarise_matched(pairs, settings),
        call_agreement=_call_agreement(readings),
        characteristics={
            model: characterise([*about.development.get(model, ()), *described]) for model in MODELS
        },
        problems=tuple(found),
        title=about.title,
        external=about.external,
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


def _voxel_rows(cases: Ordered[CaseResult]) -> tuple[VoxelRow, ...]:
    return tuple(
        VoxelRow(case.patient, sequence, structure, measures)
        for case in cases
        for sequence, result in case.sequences.items()
        for structure, measures in result.structures.items()
    )


def _values(rows: Ordered[VoxelRow]) -> dict[tuple[Sequence, str, str], dict[str, float]]:
    """Value per patient by (sequence, structure, measure); lesions only where there are any."""
    values: dict[tuple[Sequence, str, str], dict[str, float]] = {}
    for row in rows:
        if row.structure == LESIONS and row.measures.reference_empty:
            continue
        for measure in MEASURES:
            key = (row.sequence, row.structure, measure)
            values.setdefault(key, {})[row.patient] = getattr(row.measures, measure)
    return values


def _summaries(rows: Ordered[VoxelRow]) -> tuple[VoxelSummary, ...]:
    summaries = []
    for sequence in Sequence:
        for structure in STRUCTURES:
            own = [r.measures for r in rows if (r.sequence, r.structure) == (sequence, structure)]
            if own:
                summaries.append(_summary(sequence, structure, own))
    return tuple(summaries)


def _summary(sequence: Sequence, structure: str, measured: Ordered[VoxelMeasures]) -> VoxelSummary:
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


def _group_tests(
    rows: Ordered[VoxelRow], facts: Ordered[PatientFacts]
) -> tuple[StructureTest, ...]:
    """Measures across scanners, data sets and splits (the paper's Tables S1-S4)."""
    tests: list[StructureTest] = []
    for kind in ("scanner", "dataset", "split"):
        group_of = {fact.patient: getattr(fact, kind) for fact in facts if getattr(fact, kind)}
        if len(set(group_of.values())) > 1:
            tests += compare_groups(_values(rows), kind, group_of)
    return tuple(tests)


def _call_agreement(readings: Mapping[Reading, ReadingResult]) -> Interval | None:
    if Reading.DWI not in readings or Reading.T1 not in readings:
        return None
    return agreement_of_calls(readings[Reading.DWI].calls, readings[Reading.T1].calls)


def _of_m1(rows: Ordered[VoxelRow], facts: Ordered[PatientFacts]) -> list[VoxelRow]:
    ill = {fact.patient for fact in facts if fact.m_stage == "M1"}
    return [row for row in rows if row.patient in ill]


def _volumes(
    rows: Ordered[VoxelRow], population: str, settings: EvaluationSettings
) -> dict[Sequence, VolumeAgreement]:
    agreements = {}
    for sequence in Sequence:
        own = [row for row in rows if row.sequence is sequence and row.structure == LESIONS]
        if own:
            agreements[sequence] = _agreement(own, population, settings)
    return agreements


def _agreement(
    rows: Ordered[VoxelRow], population: str, settings: EvaluationSettings
) -> VolumeAgreement:
    reference = np.array([row.measures.reference_cm3 for row in rows])
    prediction = np.array([row.measures.prediction_cm3 for row in rows])
    level = settings.confidence_level
    return VolumeAgreement(
        population,
        tuple(row.patient for row in rows),
        reference,
        prediction,
        bland_altman(reference, prediction, level=level),
        concordance(reference, prediction, level=level),
        intraclass_correlation(reference, prediction, level),
    )
