"""Bring an ADC map to um2/s, whatever unit it was stored in."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A unit of area per time as it stands in headers, once blanks, carets, stars and dots are gone:
# an optional power of ten, written 10-3, x10-3, 1e-3 or (loosely) 10e-3, then the unit.
_UNIT = re.compile(r"(?:x?10e?([+-]?\d+)|x?1?e([+-]?\d+))?(|m|u|c)m2/(s|ms|sec)")
_UM2 = {"": 1e12, "c": 1e8, "m": 1e6, "u": 1.0}
_PER_S = {"s": 1.0, "sec": 1.0, "ms": 1e3}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻×µμ", "0123456789-xuu")
_PLAUSIBLE_UM2_PER_S = (200.0, 4500.0)  # dense tumour to free water at body temperature, with room
_ABSURD = 10.0  # times beyond what is plausible: such a unit is a mistake, not a noisy map
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
        The map, or None if no known unit gives a plausible median (200 to 4500 um2/s). A unit
        that the header declares counts before what is plausible, unless it is absurd.

    >>> adc_um2_per_s(np.full((4, 5, 6), 1.2, np.float32)).array[0, 0, 0].item()
    1200.0
    """
    inside = values[np.isfinite(values) & (values > 0)]
    if inside.size < _ENOUGH_VOXELS:
        return None
    median = float(np.median(inside))
    stated = declared_factor(declared_unit)
    if stated is not None and _plausible(median * stated, _ABSURD):
        return AdcInUnits(_scaled(values, stated), None)
    factor = next((f for f in _USUAL_FACTORS if _plausible(median * f)), None)
    if factor is None:
        return None
    note = None if factor == 1.0 else f"ADC unit judged from its values (times {factor:g})"
    if stated is not None:
        note = (
            f"the ADC unit in the header, {declared_unit}, cannot be right: judged from the "
            f"values (times {factor:g})"
        )
    return AdcInUnits(_scaled(values, factor), note)


def declared_factor(unit: str) -> float | None:
    """By how much values in this unit are multiplied to be um2/s; None if it is not one of ADC.

    >>> declared_factor("10^-3 mm²/s"), declared_factor("um2/ms"), declared_factor("normalized")
    (1000.0, 1000.0, None)
    """
    plain = re.sub(r"[\s^*.()\[\]]", "", unit.translate(_SUPERSCRIPTS).lower())
    found = _UNIT.fullmatch(plain)
    if found is None:
        return None
    ten, one, length, time = found.groups()
    return float(10.0 ** int(ten or one or 0) * _UM2[length] * _PER_S[time])


def _plausible(value: float, room: float = 1.0) -> bool:
    low, high = _PLAUSIBLE_UM2_PER_S
    return low / room <= value <= high * room


def _scaled(values: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    return (values * np.float32(factor)).astype(np.float32)
