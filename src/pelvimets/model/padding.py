"""Padding to the sizes a network takes, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def padded_probabilities(
    predict: Predict,
    channels: npt.NDArray[Any],
    multiple_of: tuple[int, int, int],
    smallest: tuple[int, int, int] = (1, 1, 1),
) -> npt.NDArray[Any]:
    """Call a network on an image of any shape.

    Args:
        predict: (inputs, z, y, x) to (outputs, z, y, x).
        channels: (inputs, z, y, x); zeros are added on both sides.
        multiple_of: What the network's shape must be a multiple of.
        smallest: Grow the image to this shape: a network that learned on patches of this size
            does worse on a thin slab without the empty space around it.
    """
    shape = channels.shape[1:]
    wanted = [-(-max(n, s) // m) * m for n, s, m in zip(shape, smallest, multiple_of, strict=True)]
    before = [(w - n) // 2 for n, w in zip(shape, wanted, strict=True)]
    after = [w - n - b for n, w, b in zip(shape, wanted, before, strict=True)]
    padded = np.pad(channels, [(0, 0), *zip(before, after, strict=True)])
    box = tuple(slice(b, b + n) for n, b in zip(shape, before, strict=True))
    return predict(padded)[(slice(None), *box)]
