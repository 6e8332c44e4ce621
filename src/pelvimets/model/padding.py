"""Padding to the sizes a network takes, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def padded_probabilities(
    predict: Predict, channels: npt.NDArray[Any], multiple_of: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """Call a network on an image of any shape.

    Args:
        predict: (inputs, z, y, x) to (outputs, z, y, x).
        channels: (inputs, z, y, x); zeros are added at the upper ends.
        multiple_of: What the network's shape must be a multiple of.
    """
    shape = channels.shape[1:]
    missing = [(0, -n % m) for n, m in zip(shape, multiple_of, strict=True)]
    padded = np.pad(channels, [(0, 0), *missing])
    z, y, x = shape
    return predict(padded)[:, :z, :y, :x]
