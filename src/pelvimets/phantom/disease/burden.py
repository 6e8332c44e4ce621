"""How many metastases a man has, and how large they are together.

Numbers and volumes follow Table 3 of the paper (Liu X. et al., Front Oncol 2021;11:773299):
patients with 1, 2-3, 4-5 and more than 5 lesions, and the quartiles of the total volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from pelvimets.errors import SettingsError


@dataclass(frozen=True)
class BurdenSettings:
    """Distribution over patients with metastases; the defaults are the paper's training set.

    Attributes:
        bins: Patients with 1, 2-3, 4-5, more than 5 lesions.
        total_lesions: Lesions of all those patients; sets the tail beyond five.
        volume_quartiles_cm3: Lower quartile, median, upper quartile of the total volume.
        volume_range_cm3: Smallest and largest total.
        smallest_cm3: Smallest single lesion.
        correlation: Rank correlation of number and volume.
    """

    bins: tuple[int, int, int, int] = (30, 36, 24, 44)
    total_lesions: int = 664
    volume_quartiles_cm3: tuple[float, float, float] = (5.47, 7.50, 31.60)
    volume_range_cm3: tuple[float, float] = (0.36, 220.0)
    smallest_cm3: float = 0.2
    correlation: float = 0.6

    def __post_init__(self) -> None:
        low, median, high = self.volume_quartiles_cm3
        if not self.volume_range_cm3[0] < low < median < high < self.volume_range_cm3[1]:
            raise SettingsError(
                "Quartiles and range of the lesion volume are out of order",
                got=(self.volume_range_cm3, self.volume_quartiles_cm3),
            )

    @property
    def mean_beyond_five(self) -> float:
        """Mean number in patients with more than five lesions."""
        one, few, some, many = self.bins
        rest = self.total_lesions - one - 2.5 * few - 4.5 * some
        return max(6.0, rest / max(many, 1))


def draw_volumes(rng: np.random.Generator, settings: BurdenSettings) -> tuple[float, ...]:
    """Volume in cm3 of each metastasis of one patient, largest first."""
    z = rng.standard_normal(2)
    second = settings.correlation * z[0] + np.sqrt(1.0 - settings.correlation**2) * z[1]
    number = _number(float(ndtr(z[0])), settings)
    total = total_volume_cm3(float(ndtr(second)), settings)
    return split_volume(rng, total, number, settings.smallest_cm3)


def _number(quantile: float, settings: BurdenSettings) -> int:
    """Number of lesions at a quantile of the patients."""
    edges = np.cumsum(settings.bins) / np.sum(settings.bins)
    chosen = min(int(np.searchsorted(edges, quantile, side="right")), 3)
    start = 0.0 if chosen == 0 else edges[chosen - 1]
    within = (quantile - start) / (edges[chosen] - start)
    if chosen == 0:
        return 1
    if chosen < 3:
        return 2 * chosen + int(within >= 0.5)
    # A geometric tail from six upwards, with the mean that the total number asks for.
    success = 1.0 / (settings.mean_beyond_five - 5.0)
    if success >= 1.0:
        return 6
    return 5 + max(1, int(np.ceil(np.log1p(-min(within, 0.995)) / np.log1p(-success))))


def total_volume_cm3(quantile: float, settings: BurdenSettings) -> float:
    """Total volume in cm3 at a quantile of the patients: linear in the logarithm."""
    low, high = settings.volume_range_cm3
    known = np.log([low, *settings.volume_quartiles_cm3, high])
    return float(np.exp(np.interp(quantile, [0.0, 0.25, 0.5, 0.75, 1.0], known)))


def split_volume(
    rng: np.random.Generator, total_cm3: float, number: int, smallest_cm3: float
) -> tuple[float, ...]:
    """Share a total out among lesions, none under the smallest; a small total is raised."""
    floor = 1.15 * smallest_cm3
    spare = max(total_cm3 - number * floor, 0.0)
    shares: npt.NDArray[np.float64] = rng.dirichlet(np.full(number, 0.7))
    volumes = floor + spare * shares
    return tuple(float(v) for v in np.sort(volumes)[::-1])
