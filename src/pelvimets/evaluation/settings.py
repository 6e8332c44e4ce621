"""Settings of an evaluation, every default in one place; saved with the results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pelvimets.errors import SettingsError
from pelvimets.options import option

Connectivity = Literal[6, 18, 26]


class MatchRule(StrEnum):
    """When a predicted lesion counts as a lesion of the reference.

    ``ONE_TO_ONE``: pairs with an intersection over union at or above a threshold, each lesion
    in one pair at most; as many pairs as possible, then the greatest total overlap.
    ``ANY_OVERLAP``: the paper's rule: a reference lesion is found if one voxel of it is
    predicted, a prediction is false if it touches no reference lesion.
    """

    ONE_TO_ONE = "one-to-one"
    ANY_OVERLAP = "any-overlap"

    def title(self, smallest_iou: float) -> str:  # type: ignore[override]
        """As printed beside a figure.

        >>> MatchRule.ONE_TO_ONE.title(0.1)
        'IoU >= 0.1, one to one'
        """
        if self is MatchRule.ONE_TO_ONE:
            return f"IoU >= {smallest_iou:g}, one to one"
        return "any overlap, as in the paper"


class LesionInstances(StrEnum):
    """What one lesion of a mask is: a connected component, or a label value."""

    COMPONENTS = "components"
    LABELS = "labels"


@dataclass(frozen=True)
class EvaluationSettings:
    """How masks and scores are compared.

    Attributes:
        connectivity: Neighbours that join voxels to one lesion: 6, 18 or 26.
        instances: Connected components of the masks, or their label values.
        rule: When a prediction counts as found.
        smallest_iou: Threshold of ``MatchRule.ONE_TO_ONE``.
        volume_bounds_cm3: Borders between the groups of lesion volume.
        age_bounds_years, psa_bounds_ng_per_ml: Borders between groups of patients; the latter
            those of the usual risk groups.
        false_positives_per_patient: Where the FROC curve is read.
        bootstrap_samples: Number of bootstrap samples over patients.
        confidence_level: Of all intervals.
        seed: Of the bootstrap.
        in_silico: Whether the cohort is of digital patients: then every table, figure and
            report says so.
        margin: Largest loss of a share, area or overlap that counts as none when two models
            are compared; None makes no test of non-inferiority.
    """

    connectivity: Connectivity = option(
        "Neighbours that join voxels to one lesion: 6, 18 or 26.", default=26
    )
    instances: LesionInstances = option(
        "One lesion is a connected component or a label.", default=LesionInstances.COMPONENTS
    )
    rule: MatchRule = option(
        "When a predicted lesion counts as found: 'one-to-one' by IoU, or 'any-overlap' as in "
        "the paper.",
        default=MatchRule.ONE_TO_ONE,
    )
    smallest_iou: float = option(
        "Smallest IoU of a pair with one-to-one.", "--iou", default=0.1, least=0.0, most=1.0
    )
    volume_bounds_cm3: tuple[float, ...] = (0.5, 2.0, 10.0)
    age_bounds_years: tuple[float, ...] = (60.0, 70.0)
    psa_bounds_ng_per_ml: tuple[float, ...] = (10.0, 20.0)
    false_positives_per_patient: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    bootstrap_samples: int = option(
        "Bootstrap samples over patients.", "--bootstrap", default=10_000, least=1
    )
    confidence_level: float = 0.95
    seed: int = option("Of the bootstrap.", default=0)
    in_silico: bool = option(
        "The patients are digital: say so everywhere.", "--in-silico", default=False
    )
    margin: float | None = option(
        "Test whether the second model is no worse: the largest loss that counts as none, "
        "such as 0.05, set before the data were seen.",
        default=None,
    )

    def __post_init__(self) -> None:
        if self.connectivity not in (6, 18, 26):
            raise SettingsError("A connectivity is 6, 18 or 26", got=self.connectivity)
        if not 0 <= self.smallest_iou <= 1:
            raise SettingsError("An IoU threshold lies in 0-1", got=self.smallest_iou)
        if not 0 < self.confidence_level < 1:
            raise SettingsError("A confidence level lies in 0-1", got=self.confidence_level)
        if self.margin is not None and not 0 < self.margin < 1:
            raise SettingsError(
                "A margin of non-inferiority lies between 0 and 1",
                got=self.margin,
                remedy="0.05 allows a loss of five percentage points",
            )
        if self.bootstrap_samples < 1:
            raise SettingsError("At least one bootstrap sample", got=self.bootstrap_samples)


COUNT_GROUPS = {"1": (1, 1), "2-3": (2, 3), "4-5": (4, 5), ">5": (6, None)}
"""The paper's groups of patients by their number of lesions (Table 5)."""


def count_group(lesions: int) -> str | None:
    """Group of a patient by number of lesions; None without lesions.

    >>> count_group(3)
    '2-3'
    """
    for name, (low, high) in COUNT_GROUPS.items():
        if lesions >= low and (high is None or lesions <= high):
            return name
    return None


def volume_group(volume_cm3: float, bounds: tuple[float, ...]) -> str:
    """Name of the volume group.

    >>> volume_group(0.7, (0.5, 2.0))
    '0.5 to < 2 cm3'
    """
    return number_group(volume_cm3, bounds, "cm3")


def number_group(value: float, bounds: tuple[float, ...], unit: str) -> str:
    """Name of the group of a number.

    >>> number_group(71.0, (60.0, 70.0), "years")
    '>= 70 years'
    """
    below = [bound for bound in bounds if value >= bound]
    above = [bound for bound in bounds if value < bound]
    if not below:
        return f"< {bounds[0]:g} {unit}"
    if not above:
        return f">= {bounds[-1]:g} {unit}"
    return f"{below[-1]:g} to < {above[0]:g} {unit}"
