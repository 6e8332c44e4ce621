"""Who is learned from, who is measured on, who is set aside; nobody in two of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

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


def random_splits(patients: Iterable[str], seed: int) -> Splits:
    """Part a cohort 8:1:1 by patient; the same patients and seed give the same parts.

    Each part gets a patient before the parts' sizes count.

    Raises:
        CohortError: if there are fewer than three patients.
    """
    names = sorted(patients)
    if len(names) < 3:
        raise CohortError(
            "Too few patients to be parted at random",
            got=len(names),
            remedy="Fill the column split with train, validation and test",
        )
    order = [names[n] for n in np.random.default_rng(seed).permutation(len(names))]
    aside = max(1, round(len(names) * _TENTHS[1] / sum(_TENTHS)))
    return Splits(
        train=tuple(sorted(order[2 * aside :])),
        validation=tuple(sorted(order[:aside])),
        test=tuple(sorted(order[aside : 2 * aside])),
    )


def completed_splits(
    given: Mapping[str, str | None], elsewhere: Splits | None, seed: int
) -> Splits:
    """The parts of a cohort, drawn at random where its table gives none.

    Args:
        given: Part of each patient, None if the table has none.
        elsewhere: Parts of another run, which its patients keep; the rest are then drawn.
        seed: Of the draw.

    Raises:
        CohortError: if only some have a part, or fewer than three are to be drawn.
    """
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
        fixed |= random_splits(left, seed).of_patient
    return Splits.from_parts(fixed)


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
