"""How many patients a planned study needs, before it annotates.

Each size gives an expected 95 % interval of at most the wanted half width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from scipy import stats

from pelvimets.errors import SettingsError
from pelvimets.evaluation.statistics.intervals import LEVEL
from pelvimets.evaluation.tables.table import Table


@dataclass(frozen=True)
class Plan:
    """What is expected of a planned study.

    Attributes:
        recall, sensitivity, auc: Expected, 0-1.
        prevalence: Share of patients with metastases.
        lesions_per_patient: Mean over patients with metastases.
        lesion_variation: SD over mean of that number.
        lesion_correlation: How far lesions of one man are found or missed together (ICC).
        level: Confidence level.
    """

    recall: float = 0.9
    sensitivity: float = 0.87
    auc: float = 0.9
    prevalence: float = 0.5
    lesions_per_patient: float = 5.6
    lesion_variation: float = 0.8
    lesion_correlation: float = 0.2
    level: float = LEVEL

    def __post_init__(self) -> None:
        for name in ("recall", "sensitivity", "auc", "prevalence"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"The expected {name} lies between 0 and 1, both excluded",
                                    got=getattr(self, name))  # fmt: skip
        if self.auc <= 0.5:
            raise SettingsError("An expected area lies above 0.5", got=self.auc)
        if self.lesions_per_patient < 1 or self.lesion_variation < 0:
            raise SettingsError(
                "Patients with metastases have one lesion or more, with a variation of 0 or more",
                got=f"{self.lesions_per_patient}, {self.lesion_variation}",
            )
        if not 0 <= self.lesion_correlation <= 1:
            raise SettingsError("A correlation of lesions lies in 0-1", got=self.lesion_correlation)

    @property
    def design_effect(self) -> float:
        """By how much clustering multiplies the lesions needed (Eldridge et al. 2006).

        Int J Epidemiol 2006;35:1292-1300: clusters of unequal size.
        """
        size = self.lesions_per_patient * (1 + self.lesion_variation**2)
        return 1 + (size - 1) * self.lesion_correlation

    @property
    def z(self) -> float:
        """Normal quantile of the level."""
        return float(stats.norm.ppf((1 + self.level) / 2))


def patients_for_recall(plan: Plan, half_width: float) -> int:
    """Patients with metastases, for the recall of lesions."""
    lesions = (plan.z / half_width) ** 2 * plan.recall * (1 - plan.recall) * plan.design_effect
    return ceil(lesions / plan.lesions_per_patient)


def patients_for_sensitivity(plan: Plan, half_width: float) -> int:
    """Patients with metastases, for the sensitivity of patients."""
    share = plan.sensitivity
    return ceil((plan.z / half_width) ** 2 * share * (1 - share))


def patients_for_auc(plan: Plan, half_width: float) -> int:
    """All patients, for the area under the ROC curve (Hanley and McNeil, Radiology 1982;143:29)."""
    n = 4
    while plan.z * auc_error(plan.auc, *_classes(plan, n)) > half_width:
        n += 1
    return n


def _classes(plan: Plan, n: int) -> tuple[float, float]:
    return max(n * plan.prevalence, 1.0), max(n * (1 - plan.prevalence), 1.0)


def auc_error(auc: float, with_metastases: float, without: float) -> float:
    """Standard error of an area under exponential scores."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    square = auc**2
    variance = auc * (1 - auc) + (with_metastases - 1) * (one - square)
    variance += (without - 1) * (two - square)
    return sqrt(variance / (with_metastases * without))


def sample_size_table(plan: Plan, half_widths: Sequence[float]) -> Table:
    """Patients needed for each half width, and what decides.

    Raises:
        SettingsError: for a half width that is not between 0 and 0.5.
    """
    rows = []
    for half in half_widths:
        if not 0 < half < 0.5:
            raise SettingsError("A half width lies between 0 and 0.5", got=half)
        ill = patients_for_recall(plan, half), patients_for_sensitivity(plan, half)
        area = patients_for_auc(plan, half)
        total = max(ceil(max(ill) / plan.prevalence), area)
        rows.append((f"± {half:g}", *map(str, ill), str(area), str(total)))
    columns = (
        "Half width of the 95 % interval", "M1 patients for lesion recall",
        "M1 patients for sensitivity", "All patients for AUC", "All patients for all three",
    )  # fmt: skip
    notes = (
        f"Expected: recall {plan.recall:g}, sensitivity {plan.sensitivity:g}, AUC {plan.auc:g}, "
        f"{100 * plan.prevalence:g} % with metastases, {plan.lesions_per_patient:g} lesions each "
        f"(SD / mean {plan.lesion_variation:g}), correlation of lesions of one man "
        f"{plan.lesion_correlation:g}: design effect {plan.design_effect:.2f}.",
        "Normal approximation: with small sizes or shares near 1 the interval will be asymmetric "
        "and somewhat wider.",
    )
    if plan.level != LEVEL:
        columns = (f"Half width of the {100 * plan.level:g} % interval", *columns[1:])
    return Table("sample_size", "Patients that a planned study needs", columns, tuple(rows), notes)
