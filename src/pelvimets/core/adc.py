"""Bring an ADC map to um2/s, whatever unit it was stored in."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# 1 um2/s = 1e-6 mm2/s. Units as they stand in headers, lower case, without blanks and carets.
_DECLARED = {
    "um2/s": 1.0,
    "10-6mm2/s": 1.0,
    "1e-6mm2/s": 1.0,
    "x10-6mm2/s": 1.0,
    "mm2/s": 1e6,
    "10-3mm2/s": 1e3,
    "1e-3mm2/s": 1e3,
    "x10-3mm2/s": 1e3,
    "um2/ms": 1e3,
}
_PLAUSIBLE_UM2_PER_S = (200.0, 4500.0)  # dense tumour to free water at body temperature, with room
_USUAL_FACTORS = (1.0, 1e3, 1e6, 0.1)
_ENOUGH_VOXELS = 50


@dataclass(frozen=True, eq=False)
class AdcInUnits:
    """ADC in um2/s, and a note where its unit was not stated but found from its values."""

    array: npt.NDArray[np.float32]
    note: str | None


def adc_um2_per_s(values: npt.NDArray[np.float32], declared_unit: str = "") -> AdcInUnits | None:
    """Scale an ADC map to um2/s (1e-6 mm2/s).

    Args:
        values: Rescaled values of the map; zero or less is background.
        declared_unit: Unit by the header, '' if none.

    Returns:
        The map, or None if no known unit gives a plausible median (200 to 4500 um2/s).

    >>> adc_um2_per_s(np.full((4, 5, 6), 1.2, np.float32)).array[0, 0, 0].item()
    1200.0
    """
    inside = values[np.isfinite(values) & (values > 0)]
    if inside.size < _ENOUGH_VOXELS:
        return None
    median = float(np.median(inside))
    stated = _DECLARED.get(_plain_unit(declared_unit))
    if stated is not None and _plausible(median * stated):
        return AdcInUnits(_scaled(values, stated), None)
    factor = next((f for f in _USUAL_FACTORS if _plausible(median * f)), None)
    if factor is None:
        return None
    note = None if factor == 1.0 else f"ADC unit judged from its values (times {factor:g})"
    return AdcInUnits(_scaled(values, factor), note)


def _plain_unit(unit: str) -> str:
    return re.sub(r"[\s^*]", "", unit.lower()).replace("µ", "u")


def _plausible(value: float) -> bool:
    low, high = _PLAUSIBLE_UM2_PER_S
    return low <= value <= high


def _scaled(values: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    return (values * np.float32(factor)).astype(np.float32)
