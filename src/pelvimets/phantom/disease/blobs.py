"""Irregular rounded shapes: ellipsoids with a rough surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.anatomy.lattice import smooth_noise

BoolArray = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class BlobSettings:
    """Shape of a blob.

    Attributes:
        elongation: Largest ratio of half axes.
        roughness: Standard deviation of the surface, relative to the radius.
        grain: Size of the bumps relative to the radius.
    """

    elongation: float = 2.0
    roughness: float = 0.22
    grain: float = 0.8


def blob_level(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    centre: tuple[int, int, int],
    volume_mm3: float,
    settings: BlobSettings,
) -> tuple[Box, npt.NDArray[np.float32]]:
    """Level of a rough ellipsoid on a box of the grid: 1 at its surface, less inside.

    Args:
        rng: Source of randomness.
        shape: Voxels of the grid (z, y, x).
        spacing_mm: (z, y, x).
        centre: Array index.
        volume_mm3: Of the smooth ellipsoid.
        settings: Shape.

    Returns:
        The box and the level in it; thresholds other than 1 make it larger or smaller.
    """
    radius = (volume_mm3 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    stretch = np.exp(rng.uniform(-0.5, 0.5, 3) * np.log(settings.elongation))
    stretch /= np.prod(stretch) ** (1.0 / 3.0)
    reach = np.ceil(1.9 * radius * stretch.max() / np.array(spacing_mm)).astype(int)
    low = np.maximum(np.array(centre) - reach, 0)
    high = np.minimum(np.array(centre) + reach + 1, shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    frame = np.linalg.qr(rng.standard_normal((3, 3)))[0] / (radius * stretch[:, None])
    axes = [
        (np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, centre, spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
    level = sum((row[0] * z + row[1] * y + row[2] * x) ** 2 for row in frame)
    cell = np.maximum(settings.grain * radius / np.array(spacing_mm), 1.0)
    noise = smooth_noise(rng, level.shape, (float(cell[0]), float(cell[1]), float(cell[2])))
    return box, np.sqrt(level) - settings.roughness * noise


def unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Array index (z, y, x) of a flat index."""
    z, y, x = np.unravel_index(flat, shape)
    return int(z), int(y), int(x)
