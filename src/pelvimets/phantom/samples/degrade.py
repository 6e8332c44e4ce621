"""What a scanner does to an image, cheaply and over wide ranges, for training samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.anatomy.lattice import interpolation_matrix, smooth_noise

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DegradeSettings:
    """Ranges.

    Attributes:
        bias: Standard deviation of the logarithm of the coil bias at its lattice points.
        bias_cell_mm: Distance of those points.
        noise: Standard deviation of noise per channel, relative to the mean signal.
        thick_probability: Chance that slices were thicker than the grid's.
        thick_mm: Their thickness.
        blur_probability: Chance of in-plane blur.
        blur_mm: Standard deviation of the blur.
        gamma: Exponent, applied to the image scaled to its maximum.
    """

    bias: tuple[float, float] = (0.0, 0.35)
    bias_cell_mm: tuple[float, float] = (120.0, 260.0)
    noise: tuple[float, float] = (0.0, 0.16)
    thick_probability: float = 0.6
    thick_mm: tuple[float, float] = (4.0, 9.0)
    blur_probability: float = 0.6
    blur_mm: tuple[float, float] = (0.5, 3.5)
    gamma: tuple[float, float] = (0.75, 1.35)


def degrade(
    rng: np.random.Generator,
    image: Float32Array,
    spacing_mm: tuple[float, float, float],
    valid: npt.NDArray[np.bool_],
    settings: DegradeSettings,
) -> Float32Array:
    """Blur, thick slices, bias, gamma, Rician noise; 0 outside the field.

    Args:
        rng: Source of randomness.
        image: Magnitude (z, y, x).
        spacing_mm: (z, y, x).
        valid: Field of view.
        settings: Ranges.
    """
    if rng.random() < settings.blur_probability:
        blur = rng.uniform(*settings.blur_mm)
        image = ndimage.gaussian_filter(
            image, (0.0, blur / spacing_mm[1], blur / spacing_mm[2]), truncate=2.5
        )
    if rng.random() < settings.thick_probability:
        image = _thick_slices(image, spacing_mm[0], rng.uniform(*settings.thick_mm), rng.random())
    cell = rng.uniform(*settings.bias_cell_mm)
    bias = smooth_noise(
        rng, image.shape, (cell / spacing_mm[0], cell / spacing_mm[1], cell / spacing_mm[2])
    )
    image = image * np.exp(bias * np.float32(rng.uniform(*settings.bias)))
    top = max(float(image.max()), 1e-6)
    image = top * (image / top) ** np.float32(rng.uniform(*settings.gamma))
    image = _rician(rng, image, rng.uniform(*settings.noise))
    image[~valid] = 0.0
    return image


def _thick_slices(
    image: Float32Array, spacing_mm: float, thick_mm: float, phase: float
) -> Float32Array:
    """Average into thicker slices, then interpolate back to the grid."""
    if thick_mm <= spacing_mm:
        return image
    n = image.shape[0]
    at = np.arange(n) * spacing_mm
    centres = np.arange(-thick_mm * (1.0 + phase), at[-1] + 2.0 * thick_mm, thick_mm)
    overlap = 0.5 * (thick_mm + spacing_mm) - np.abs(centres[:, None] - at[None, :])
    weights = np.clip(overlap, 0.0, spacing_mm)
    weights[weights.sum(axis=1) == 0, 0] = 1e-6
    kept = weights.sum(axis=1) > 1e-3
    weights, centres = weights[kept], centres[kept]
    weights /= weights.sum(axis=1, keepdims=True)
    if len(centres) < 2:
        return image
    operator = interpolation_matrix(at, centres) @ weights.astype(np.float32)
    return np.maximum(np.tensordot(operator, image, axes=(1, 0)), 0.0)


def _rician(rng: np.random.Generator, image: Float32Array, relative: float) -> Float32Array:
    foreground = image[image > 0.05 * image.max()]
    sigma = np.float32(relative * (foreground.mean() if foreground.size else 1.0))
    real: Float32Array = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    magnitude: Float32Array = np.sqrt(real * real + imaginary * imaginary)
    return magnitude
