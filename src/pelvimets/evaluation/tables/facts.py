"""What is known of the patients beside their images, and the characteristics of the splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pelvimets.evaluation.measures.voxel import Summary, summarise
from pelvimets.evaluation.settings import (
    COUNT_GROUPS,
    EvaluationSettings,
    count_group,
    number_group,
)
from pelvimets.evaluation.statistics.comparing import TestResult, anova, count_table_test, kruskal

UNKNOWN = "unknown"
EXTERNAL = "external"
"""Name of the external cohort among the splits."""


@dataclass(frozen=True)
class PatientFacts:
    """One row of the patient table.

    Attributes:
        patient: Name.
        m_stage: ``M0``, ``M1`` or None.
        split, scanner, dataset: None if unknown.
        age_years, psa_ng_per_ml, field_strength_t: None if unknown.
        numbers: Further columns that hold numbers.
        lesions, lesion_volume_cm3: Of the reference; None if unknown.
    """

    patient: str
    m_stage: str | None = None
    split: str | None = None
    scanner: str | None = None
    dataset: str | None = None
    age_years: float | None = None
    psa_ng_per_ml: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    lesions: int | None = None
    lesion_volume_cm3: float | None = None
    field_strength_t: float | None = None


GroupOf = Mapping[str, str | None]
"""Name of a group by patient; None where unknown."""


def patient_groups(
    facts: Sequence[PatientFacts], settings: EvaluationSettings
) -> dict[str, GroupOf]:
    """By kind of group, to which each patient belongs."""

    def numbered(value: float | None, bounds: tuple[float, ...], unit: str) -> str | None:
        return None if value is None else number_group(value, bounds, unit)

    ages, psa = settings.age_bounds_years, settings.psa_bounds_ng_per_ml
    return {
        "scanner": {f.patient: f.scanner for f in facts},
        "dataset": {f.patient: f.dataset for f in facts},
        "field strength": {
            f.patient: None if f.field_strength_t is None else f"{f.field_strength_t:.1f} T"
            for f in facts
        },
        "age": {f.patient: numbered(f.age_years, ages, "years") for f in facts},
        "psa": {f.patient: numbered(f.psa_ng_per_ml, psa, "ng/ml") for f in facts},
    }


@dataclass(frozen=True)
class NumberRow:
    """A number described per split, with tests across the splits.

    Attributes:
        name: As printed, with unit.
        as_mean: Print mean and SD (age) instead of median and quartiles.
        by_split: Description per split.
        anova, kruskal: Across the splits, an external cohort aside.
        external: The same tests of the external cohort against all others; None without one.
        of_disease: Whether it describes metastases: it stands in Table 3 then.
    """

    name: str
    as_mean: bool
    by_split: Mapping[str, Summary]
    anova: TestResult
    kruskal: TestResult
    external: tuple[TestResult, TestResult] | None = None
    of_disease: bool = False


@dataclass(frozen=True)
class CountRow:
    """Counts of one category per split; the tests span all categories of ``name``.

    Attributes:
        name, category, by_split: What was counted.
        test: Across the splits, an external cohort aside; in the first row of a name only.
        external: Of the external cohort against all others.
    """

    name: str
    category: str
    by_split: Mapping[str, int]
    test: TestResult | None
    external: TestResult | None = None


@dataclass(frozen=True)
class Characteristics:
    """The splits compared, as in the paper's Tables 2 and 3.

    Attributes:
        patients: Number per split, in the order in which splits are printed.
        numbers: Age, PSA, lesion volume and what else the table holds.
        counts: M stage, scanner, data set and lesions per patient.
        total_lesions: Per split; None where unknown.
    """

    patients: Mapping[str, int]
    numbers: tuple[NumberRow, ...]
    counts: tuple[CountRow, ...]
    total_lesions: Mapping[str, int | None]


_ORDER = {"train": 0, "validation": 1, "test": 2, EXTERNAL: 99}


def characterise(facts: Sequence[PatientFacts]) -> Characteristics:
    """Compare the splits of a cohort."""
    splits: dict[str, list[PatientFacts]] = {}
    for fact in sorted(facts, key=lambda f: (_ORDER.get(f.split or "", 9), f.split or "")):
        splits.setdefault(fact.split or UNKNOWN, []).append(fact)
    return Characteristics(
        {name: len(members) for name, members in splits.items()},
        tuple(_number_rows(splits)),
        tuple(_count_rows(splits)),
        {name: _total(members) for name, members in splits.items()},
    )


def _total(members: Sequence[PatientFacts]) -> int | None:
    known = [fact.lesions for fact in members if fact.lesions is not None]
    return sum(known) if known else None


Splits = Mapping[str, Sequence[PatientFacts]]
Getter = Callable[[PatientFacts], float | None]


def _number_rows(splits: Splits) -> list[NumberRow]:
    getters: list[tuple[str, bool, Getter]] = [
        ("Age (years)", True, lambda fact: fact.age_years),
        ("T-PSA (ng/ml)", False, lambda fact: fact.psa_ng_per_ml),
    ]
    further = sorted({name for members in splits.values() for f in members for name in f.numbers})
    getters += [(name, False, _getter(name)) for name in further]
    rows = [_number_row(splits, *getter) for getter in getters]
    volume = _number_row(splits, "Lesion volume of M1 patients (cm3)", False, _volume)
    rows.append(volume and replace(volume, of_disease=True))
    return [row for row in rows if row is not None]


def _getter(name: str) -> Getter:
    return lambda fact: fact.numbers.get(name)


def _volume(fact: PatientFacts) -> float | None:
    return fact.lesion_volume_cm3 if fact.lesion_volume_cm3 else None


def _number_row(splits: Splits, name: str, as_mean: bool, getter: Getter) -> NumberRow | None:
    values = {
        split: [float("nan") if (v := getter(fact)) is None else v for fact in members]
        for split, members in splits.items()
    }
    if not any(np.isfinite(v).any() for v in values.values()):
        return None
    others = [v for split, v in values.items() if split != EXTERNAL]
    external = None
    if EXTERNAL in values and others:
        both = [[value for group in others for value in group], values[EXTERNAL]]
        external = anova(both), kruskal(both)
    return NumberRow(
        name,
        as_mean,
        {split: summarise(v) for split, v in values.items()},
        anova(others),
        kruskal(others),
        external,
    )


def _count_rows(splits: Splits) -> list[CountRow]:
    rows = []
    for name, getter in (
        ("M stage", lambda fact: fact.m_stage),
        ("Scanner", lambda fact: fact.scanner),
        ("Data set", lambda fact: fact.dataset),
        ("Lesions per M1 patient", lambda fact: count_group(fact.lesions or 0)),
    ):
        rows += _category_rows(splits, name, getter)
    return rows


def _category_rows(
    splits: Splits, name: str, getter: Callable[[PatientFacts], str | None]
) -> list[CountRow]:
    counted = {
        split: Counter(value for fact in members if (value := getter(fact)) is not None)
        for split, members in splits.items()
    }
    present = {category for counter in counted.values() for category in counter}
    if not present:
        return []
    order = [c for c in COUNT_GROUPS if c in present] + sorted(present - set(COUNT_GROUPS))
    test, external = _count_tests(counted, order)
    rows = [CountRow(name, c, {s: counted[s][c] for s in splits}, None) for c in order]
    return [replace(rows[0], test=test, external=external), *rows[1:]]


def _count_tests(
    counted: Mapping[str, Counter[str]], order: Sequence[str]
) -> tuple[TestResult | None, TestResult | None]:
    others = [counter for split, counter in counted.items() if split != EXTERNAL]
    if not others:
        return None, None
    test = count_table_test([[counter[c] for c in order] for counter in others])
    if EXTERNAL not in counted:
        return test, None
    pooled = [sum(counter[c] for counter in others) for c in order]
    return test, count_table_test([pooled, [counted[EXTERNAL][c] for c in order]])
