"""Rescaling of image intensities before a network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.config import IntensitySettings


def normalise(
    array: npt.NDArray[Any],
    settings: IntensitySettings,
    valid: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """Clip, scale and z-score an image (paper: scale to 0-65535, then z-score).

    Args:
        array: Image (z, y, x), any numeric type.
        settings: Percentiles kept and range after scaling.
        valid: True inside the field of view; statistics come from there, and voxels
            outside become 0, which is the mean. Default: everywhere.

    Returns:
        float32 (z, y, x); mean 0 and standard deviation 1 over the valid voxels. A constant
        image gives zeros.
    """
    image = np.asarray(array, dtype=np.float32)
    inside = np.ones(image.shape, dtype=bool) if valid is None else valid
    values = image[inside]
    if values.size == 0:
        return np.zeros(image.shape, dtype=np.float32)
    scaled = _scaled(values, settings)
    deviation = float(scaled.std(dtype=np.float64))
    result = np.zeros(image.shape, dtype=np.float32)
    if deviation > 0:
        result[inside] = (scaled - np.float32(scaled.mean(dtype=np.float64))) / np.float32(
            deviation
        )
    return result


def _scaled(
    values: npt.NDArray[np.float32], settings: IntensitySettings
) -> npt.NDArray[np.float32]:
    low, high = np.percentile(values, settings.clip_percentiles)
    if high <= low:
        return np.zeros_like(values)
    start, end = settings.scale
    fraction = (np.clip(values, low, high) - np.float32(low)) / np.float32(high - low)
    return np.asarray(fraction * np.float32(end - start) + np.float32(start), dtype=np.float32)
