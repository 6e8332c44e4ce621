"""What is known of the patients beside their images, and the characteristics of the splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pelvimets.evaluation.measures.voxel import Summary, summarise
from pelvimets.evaluation.settings import COUNT_GROUPS, count_group
from pelvimets.evaluation.statistics.comparing import TestResult, anova, count_table_test, kruskal

UNKNOWN = "unknown"


@dataclass(frozen=True)
class PatientFacts:
    """One row of the patient table.

    Attributes:
        patient: Name.
        m_stage: ``M0``, ``M1`` or None.
        split, scanner, dataset: None if unknown.
        age_years, psa_ng_per_ml: None if unknown.
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


@dataclass(frozen=True)
class NumberRow:
    """A number described per split, with tests across the splits.

    Attributes:
        name: As printed, with unit.
        as_mean: Print mean and SD (age) instead of median and quartiles.
        by_split: Description per split.
        anova, kruskal: Across the splits.
    """

    name: str
    as_mean: bool
    by_split: Mapping[str, Summary]
    anova: TestResult
    kruskal: TestResult


@dataclass(frozen=True)
class CountRow:
    """Counts of one category per split; ``test`` spans all categories of ``name``."""

    name: str
    category: str
    by_split: Mapping[str, int]
    test: TestResult | None


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


_ORDER = {"train": 0, "validation": 1, "test": 2, "external": 3}


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
    getters.append(("Lesion volume of M1 patients (cm3)", False, _volume))
    return [row for getter in getters if (row := _number_row(splits, *getter)) is not None]


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
    groups = list(values.values())
    return NumberRow(
        name,
        as_mean,
        {split: summarise(v) for split, v in values.items()},
        anova(groups),
        kruskal(groups),
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
    test = count_table_test([[counter[c] for c in order] for counter in counted.values()])
    return [
        CountRow(name, c, {s: counted[s][c] for s in splits}, test if n == 0 else None)
        for n, c in enumerate(order)
    ]
