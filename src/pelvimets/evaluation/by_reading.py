"""Lesion and patient level of a cohort under each reading, and in groups of lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.evaluation.measures.case import CaseResult
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
from pelvimets.evaluation.measures.patients import PatientFigures, patient_figures
from pelvimets.evaluation.readings import (
    LesionTally,
    PatientCall,
    Reading,
    call_patient,
    tally_lesions,
)
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.evaluation.tables.facts import GroupOf, PatientFacts, patient_groups


@dataclass(frozen=True)
class ReadingResult:
    """Lesion and patient level under one reading.

    Attributes:
        rule: That of the settings; curves, tests and ``false_by_mimic`` follow it.
        by_rule: Figures under each rule; empty without lesion masks.
        subgroups: Kind of group -> name -> figures under each rule.
        false_by_mimic: False lesions by what they lie on.
        patients: None without calls.
        patient_groups: Kind of group -> name -> patient level, without bootstrap.
        calls: What ``patients`` is made from.
        tallies_by_rule: What ``by_rule`` is made from.
    """

    rule: MatchRule
    by_rule: Mapping[MatchRule, Detection]
    subgroups: Mapping[str, Mapping[str, Mapping[MatchRule, Detection]]]
    false_by_mimic: Mapping[str, int]
    patients: PatientFigures | None
    patient_groups: Mapping[str, Mapping[str, PatientFigures]]
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


def read_all(
    cases: Sequence[CaseResult], facts: Sequence[PatientFacts], settings: EvaluationSettings
) -> dict[Reading, ReadingResult]:
    """Readings that at least one patient allows; each draws its own random numbers."""
    truth = {f.patient: f.m_stage == "M1" for f in facts if f.m_stage is not None}
    by_attribute = patient_groups(facts, settings)
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
            patient_figures(calls, settings, rng) if calls else None,
            _patient_groups(calls, by_attribute, settings),
            tuple(calls),
            tallies,
        )
    return results


def _patient_groups(
    calls: Sequence[PatientCall],
    by_attribute: Mapping[str, GroupOf],
    settings: EvaluationSettings,
) -> dict[str, dict[str, PatientFigures]]:
    found: dict[str, dict[str, PatientFigures]] = {}
    for kind, group_of in by_attribute.items():
        for name in sorted({value for value in group_of.values() if value}):
            members = [call for call in calls if group_of.get(call.patient) == name]
            if members:
                found.setdefault(kind, {})[name] = patient_figures(members, settings, None)
    return found


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
    by_attribute: Mapping[str, GroupOf],
    settings: EvaluationSettings,
    rng: np.random.Generator,
) -> dict[str, dict[str, dict[MatchRule, Detection]]]:
    drawn: dict[int, npt.NDArray[np.int64]] = {}
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
                detected = detect_by_rule(members, settings, rng, curves=False, drawn=drawn)
                found.setdefault(kind, {})[name] = detected
    return found


def _emptied(tally: LesionTally) -> LesionTally:
    return tally.only(lambda _: False)


def _groups(
    tallies: Sequence[LesionTally],
    by_attribute: Mapping[str, GroupOf],
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
