"""Between the spins' signal and the stored numbers: coil, ghosts, noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.physics.sampling import (
    Axis,
    Float32Array,
    along_x,
    along_y,
    along_z,
    averaging,
)

UInt16Array = npt.NDArray[np.uint16]
_CONTROL_POINTS = 9


def coil_field(coefficients: tuple[float, ...], shape: tuple[int, int, int]) -> Float32Array:
    """Smooth sensitivity (z, y, x) around 1: a second-order polynomial, exponentiated.

    Args:
        coefficients: Of x, y, z, x*y, y*z, x*z, x^2, y^2, z^2 over (-1, 1).
        shape: Shape of the image.
    """
    line = np.linspace(-1.0, 1.0, _CONTROL_POINTS)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    terms = (x, y, z, x * y, y * z, x * z, x * x, y * y, z * z)
    coarse = np.exp(sum(c * term for c, term in zip(coefficients, terms, strict=True)))
    wz, wy, wx = (_stretch(n) for n in shape)
    return along_x(wx, along_y(wy, along_z(wz, coarse.astype(np.float32))))


def _stretch(count: int) -> Float32Array:
    source = Axis(0.0, 1.0, _CONTROL_POINTS)
    step = (_CONTROL_POINTS - 1) / max(count - 1, 1)
    return averaging(source, Axis(0.0, step * (1 - 1e-6), count), width_mm=0.0)


def with_breathing(image: Float32Array, share: float, shift: float) -> Float32Array:
    """Add ghosts of the moving wall along the phase encoding (y).

    Args:
        image: Signal (z, y, x).
        share: Strength of the first pair of ghosts.
        shift: Distance of neighbouring ghosts as a share of the field of view.
    """
    if share <= 0.0:
        return image
    rows = round(shift * image.shape[1])
    pair = np.roll(image, rows, axis=1) + np.roll(image, -rows, axis=1)
    return np.asarray(image * (1 - share) + share * pair, np.float32)


def averaged_magnitude(
    signal: Float32Array,
    sigma: float,
    averages: int,
    limits: tuple[Float32Array | None, Float32Array, Float32Array],
    rng: np.random.Generator,
) -> Float32Array:
    """Magnitude with Rician noise, the mean of several averages.

    Args:
        signal: Noise-free signal (z, y, x), not negative where it matters.
        sigma: Noise of each of the two channels of one average.
        averages: Number of magnitudes averaged: noise falls, the noise floor stays.
        limits: Band limits along z (None for 2D slices), y and x, which noise passes too.
        rng: Source of randomness.
    """
    if sigma <= 0.0:
        return np.abs(signal)
    total = np.zeros_like(signal)
    for _ in range(averages):
        real = _noise(signal.shape, sigma, limits, rng)
        imaginary = _noise(signal.shape, sigma, limits, rng)
        real += signal
        total += np.hypot(real, imaginary, out=real)
    total /= np.float32(averages)
    return total


def _noise(
    shape: tuple[int, ...],
    sigma: float,
    limits: tuple[Float32Array | None, Float32Array, Float32Array],
    rng: np.random.Generator,
) -> Float32Array:
    noise = rng.standard_normal(shape, np.float32)
    for matrix, along in zip(limits, (along_z, along_y, along_x), strict=True):
        if matrix is not None:
            sigma /= float(np.sqrt((matrix**2).sum() / matrix.shape[0]))
            noise = along(matrix, noise)
    noise *= np.float32(sigma)
    return noise


def stored(image: Float32Array, scale: float) -> UInt16Array:
    """Round to the 12 bits that scanners store."""
    return np.asarray(np.clip(np.rint(image * scale), 0, 4095), np.uint16)
