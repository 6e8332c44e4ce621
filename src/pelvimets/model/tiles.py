"""Large images in overlapping tiles, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.model.padding import padded_probabilities

FloatArray = npt.NDArray[np.float32]
Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Box = tuple[slice, slice, slice]
Triple = tuple[int, int, int]


def tiled_probabilities(
    predict: Predict,
    channels: FloatArray,
    multiple_of: Triple,
    largest_voxels: int,
    smallest: Triple = (1, 1, 1),
) -> FloatArray:
    """Call a network on the whole image, or on tiles where it is larger than allowed.

    Tiles overlap by a quarter and are blended with weights that fall towards their borders.

    Args:
        predict: (inputs, z, y, x) to (outputs, z, y, x).
        channels: (inputs, z, y, x).
        multiple_of: What the network's shape must be a multiple of.
        largest_voxels: Voxels of the largest tile.
        smallest: A smaller image is grown to this shape.
    """
    z, y, x = channels.shape[1:]
    tile = tile_shape((z, y, x), multiple_of, largest_voxels)
    if tile == (z, y, x):
        whole = padded_probabilities(predict, channels, multiple_of, smallest)
        return np.asarray(whole, dtype=np.float32)
    total: FloatArray | None = None
    weights = np.zeros((z, y, x), dtype=np.float32)
    for box in tile_boxes((z, y, x), tile):
        found = padded_probabilities(predict, channels[(slice(None), *box)], multiple_of)
        if total is None:
            total = np.zeros((len(found), z, y, x), dtype=np.float32)
        weight = _weight((found.shape[1], found.shape[2], found.shape[3]))
        total[(slice(None), *box)] += found * weight
        weights[box] += weight
    if total is None:
        raise AssertionError("an image has at least one tile")
    total /= weights
    return total


def tile_shape(shape: Triple, multiple_of: Triple, largest_voxels: int) -> Triple:
    """Shape of the tiles: the longest axis is halved until a tile is small enough.

    >>> tile_shape((64, 128, 128), (8, 16, 16), 64 * 128 * 64)
    (64, 64, 128)
    """
    tile = list(shape)
    while np.prod(tile) > largest_voxels:
        steps = [-(-n // m) for n, m in zip(tile, multiple_of, strict=True)]
        axis = int(np.argmax([n if s > 1 else 0 for n, s in zip(tile, steps, strict=True)]))
        if steps[axis] == 1:
            break
        tile[axis] = -(-steps[axis] // 2) * multiple_of[axis]
    return tile[0], tile[1], tile[2]


def tile_boxes(shape: Triple, tile: Triple) -> Iterator[Box]:
    """Boxes that cover the image, evenly spread, overlapping by a quarter or more."""
    starts = [_starts(n, t) for n, t in zip(shape, tile, strict=True)]
    for corner in product(*starts):
        z, y, x = (slice(start, start + t) for start, t in zip(corner, tile, strict=True))
        yield z, y, x


def _starts(length: int, tile: int) -> list[int]:
    if tile >= length:
        return [0]
    count = int(np.ceil((length - tile) / (0.75 * tile))) + 1
    return [int(s) for s in np.rint(np.linspace(0, length - tile, count))]


def _weight(shape: Triple) -> FloatArray:
    """Falls linearly from the middle to the borders, never to zero."""
    weight: FloatArray = np.ones((1, 1, 1), dtype=np.float32)
    for axis, n in enumerate(shape):
        line = 1.0 - 0.95 * np.abs(np.linspace(-1, 1, n + 2)[1:-1])
        shaped = line.astype(np.float32).reshape([n if a == axis else 1 for a in range(3)])
        weight = np.asarray(weight * shaped, dtype=np.float32)
    return weight
