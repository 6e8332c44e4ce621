"""Who is learned from, who is measured on, who is set aside; nobody in two of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pelvimets.core.strata import Member, spread_persons
from pelvimets.errors import CohortError, listed
from pelvimets.labels import Split

_TENTHS = (8, 1, 1)


PARTS = tuple(split.value for split in Split)


@dataclass(frozen=True)
class Splits:
    """Names of patients in each part of a cohort, sorted.

    Attributes:
        train: Learned from.
        validation: Measured on during training, to choose.
        test: Not seen in training at all.
    """

    train: tuple[str, ...] = field(default=())
    validation: tuple[str, ...] = field(default=())
    test: tuple[str, ...] = field(default=())

    @property
    def of_patient(self) -> dict[str, str]:
        """Part of each patient."""
        return {patient: part for part in PARTS for patient in getattr(self, part)}

    @classmethod
    def from_parts(cls, parts: Mapping[str, str]) -> Splits:
        """From the part of each patient.

        >>> Splits.from_parts({"b": "train", "a": "train", "c": "test"}).train
        ('a', 'b')
        """
        return cls(*(tuple(sorted(p for p, of in parts.items() if of == part)) for part in PARTS))


def random_splits(patients: Iterable[str | Member], seed: int) -> Splits:
    """Part a cohort 8:1:1 by person; the same patients and seed give the same parts.

    Each part gets a person before the parts' sizes count; M stages and scanners are spread
    evenly, as far as they are known.

    Args:
        patients: By name, or with what is known of them.
        seed: Of the draw.

    Raises:
        CohortError: if there are fewer than three persons.
    """
    members = [p if isinstance(p, Member) else Member(p, p) for p in patients]
    order = spread_persons(members, np.random.default_rng(seed))
    if len(order) < 3:
        raise CohortError(
            "Too few patients to be parted at random",
            got=len(order),
            remedy="Fill the column split with train, validation and test",
        )
    aside = max(1, round(len(order) * _TENTHS[1] / sum(_TENTHS)))
    part = dict.fromkeys(order[:aside], "validation")
    part |= dict.fromkeys(order[aside : 2 * aside], "test")
    return Splits.from_parts({m.key: part.get(m.person, "train") for m in members})


def completed_splits(
    given: Mapping[str, str | None],
    elsewhere: Splits | None,
    seed: int,
    members: Iterable[Member] = (),
) -> Splits:
    """The parts of a cohort, drawn at random where its table gives none.

    Args:
        given: Part of each patient, None if the table has none.
        elsewhere: Parts of another run, which its patients keep; the rest are then drawn.
        seed: Of the draw.
        members: What is known of the patients; those left out here are parted by name alone.

    Raises:
        CohortError: if only some have a part, or fewer than three are to be drawn.
    """
    known_members = {member.key: member for member in members}
    known = {} if elsewhere is None else elsewhere.of_patient
    parts = {patient: part or known.get(patient) for patient, part in given.items()}
    fixed = {patient: part for patient, part in parts.items() if part is not None}
    left = sorted(patient for patient, part in parts.items() if part is None)
    if left and any(given.values()):
        raise CohortError(
            "Some patients have a split and some have none",
            got=listed(left),
            remedy="Give each of them one, or none of them to have all drawn at random",
        )
    if left:
        drawn = random_splits([known_members.get(key, key) for key in left], seed)
        fixed |= drawn.of_patient
    return Splits.from_parts(fixed)


def fold_splits(fold_of: Mapping[str, int], fold: int, aside: Iterable[str] = ()) -> Splits:
    """Who is learned from and measured on in one fold of a cross-validation.

    Args:
        fold_of: Fold of each patient.
        fold: The one to measure on.
        aside: Test patients, who are in no fold.

    >>> fold_splits({"a": 1, "b": 2, "c": 1}, 1, ["t"])
    Splits(train=('b',), validation=('a', 'c'), test=('t',))
    """
    parts = {key: "validation" if own == fold else "train" for key, own in fold_of.items()}
    return Splits.from_parts(parts | dict.fromkeys(aside, "test"))


def check_splits(named: Mapping[str, Splits]) -> None:
    """Refuse a patient who stands in two parts, within one model or across models.

    Args:
        named: The parts by what they belong to, such as the name of a run.

    Raises:
        CohortError: with the list of these patients and where each stands.
    """
    places: dict[str, dict[str, str]] = {}
    for name, splits in named.items():
        for part in PARTS:
            for patient in getattr(splits, part):
                places.setdefault(patient, {})[f"{part} of {name}"] = part
    faults = [
        f"{patient}: {', '.join(found)}"
        for patient, found in sorted(places.items())
        if len(set(found.values())) > 1
    ]
    if faults:
        raise CohortError(
            f"{len(faults)} patient(s) stand in more than one split",
            got=listed(faults),
            remedy="Give each patient one split for both networks (train --split-of RUN takes "
            "those of another run); rename different patients of one name",
        )
