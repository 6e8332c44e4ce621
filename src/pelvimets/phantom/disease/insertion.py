"""Metastases put into real images whose bones are known, so that the background is real.

A metastasis replaces the marrow around it: darker on T1, brighter on DWI, by a factor of the
marrow's signal in that place. Split of the image's own texture stays, and the border is as soft
as the image's voxels make it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.errors import InputError
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.disease.blobs import BlobSettings, Box, blob_level, unravel

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class InsertionSettings:
    """How much disease is put into an image, and what it looks like; pairs are (low, high).

    Attributes:
        none_probability: Share of copies that stay as they are.
        most: Largest number of metastases.
        median_volume_cm3: Of one, before bone limits it.
        volume_spread: Standard deviation of the logarithm of the volume.
        smallest_cm3, largest_cm3: Limits of a single volume.
        t1_signal: Relative to the marrow around.
        dwi_signal: Relative to the marrow around, or to soft tissue where that is brighter.
        texture: Standard deviation of own texture, relative to the signal.
        kept: Share of the image's own texture that stays.
        breaking_probability: Chance of growth a voxel beyond the bone.
        marrow_mm: Width of the neighbourhood whose marrow counts.
    """

    none_probability: float = 0.35
    most: int = 6
    median_volume_cm3: float = 2.5
    volume_spread: float = 1.2
    smallest_cm3: float = 0.36
    largest_cm3: float = 50.0
    t1_signal: tuple[float, float] = (0.25, 0.75)
    dwi_signal: tuple[float, float] = (1.5, 4.5)
    texture: tuple[float, float] = (0.02, 0.2)
    kept: tuple[float, float] = (0.3, 1.0)
    breaking_probability: float = 0.2
    marrow_mm: float = 10.0


def insert_metastases(
    rng: np.random.Generator,
    image: npt.NDArray[np.floating],
    bones: npt.NDArray[np.uint8],
    spacing_mm: Triple,
    sequence: Sequence,
    settings: InsertionSettings | None = None,
) -> tuple[FloatArray, BoolArray]:
    """A copy of an image with metastases in its bones.

    Args:
        rng: Source of all randomness.
        image: Magnitude (z, y, x).
        bones: Its bone labels, 0 elsewhere (z, y, x).
        spacing_mm: Voxel distance (z, y, x).
        sequence: What the image is.
        settings: Ranges.

    Returns:
        The image, and where metastases are.

    Raises:
        InputError: if there is no bone.
    """
    settings = settings or InsertionSettings()
    if not bones.any():
        raise InputError("No bone to put a metastasis into", got="an empty mask")
    out = np.asarray(image, dtype=np.float32).copy()
    lesions = np.zeros(out.shape, dtype=bool)
    if rng.random() < settings.none_probability:
        return out, lesions
    marrow = _marrow_level(out, bones > 0, spacing_mm, settings.marrow_mm)
    floor = 0.6 * _soft_tissue_level(out, bones > 0) if sequence is Sequence.DWI else 0.0
    places = np.flatnonzero(_inner(bones > 0, spacing_mm))
    for flat in rng.choice(places, int(rng.integers(1, settings.most + 1))):
        drawn = _drawn_mask(rng, bones, int(flat), spacing_mm, settings)
        if drawn is not None:
            _replace(rng, out, np.maximum(marrow, floor), drawn, sequence, settings)
            lesions[drawn[0]] |= drawn[1]
    return out, lesions


def _inner(bone: BoolArray, spacing_mm: Triple) -> BoolArray:
    """Bone at least 2 mm below its surface; all of it where nothing is that deep."""
    depth = ndimage.distance_transform_edt(bone, sampling=spacing_mm)
    inner = np.asarray(depth > 2.0 + min(spacing_mm) / 2)
    return inner if inner.any() else bone


def _marrow_level(
    image: FloatArray, bone: BoolArray, spacing_mm: Triple, width_mm: float
) -> FloatArray:
    """Mean signal of the marrow nearby; far from any, that of all marrow."""
    inner = _inner(bone, spacing_mm)
    sigma = [width_mm / s for s in spacing_mm]
    weight = ndimage.gaussian_filter(inner.astype(np.float32), sigma, truncate=3.0)
    level = ndimage.gaussian_filter(np.where(inner, image, 0), sigma, truncate=3.0)
    overall = float(np.median(image[inner]))
    near = weight > 1e-3
    return np.where(near, level / np.where(near, weight, 1.0), overall).astype(np.float32)


def _soft_tissue_level(image: FloatArray, bone: BoolArray) -> float:
    """Median of what gives signal outside the bones."""
    around = image[~bone]
    bright = around[around > 0.05 * np.percentile(image, 99)]
    return float(np.median(bright)) if bright.size else 0.0


def _drawn_mask(
    rng: np.random.Generator,
    bones: npt.NDArray[np.uint8],
    flat: int,
    spacing_mm: Triple,
    settings: InsertionSettings,
) -> tuple[Box, BoolArray] | None:
    volume = settings.median_volume_cm3 * np.exp(settings.volume_spread * rng.standard_normal())
    volume = float(np.clip(volume, 1.3 * settings.smallest_cm3, settings.largest_cm3))
    shape = (bones.shape[0], bones.shape[1], bones.shape[2])
    centre = unravel(flat, shape)
    box, level = blob_level(rng, shape, spacing_mm, centre, 1000.0 * volume, BlobSettings())
    home = bones[box] == bones[centre]
    if rng.random() < settings.breaking_probability:
        home = ndimage.binary_dilation(home)
    mask = np.asarray((level < 1.0) & home)
    enough = mask.sum() * np.prod(spacing_mm) >= 1000.0 * settings.smallest_cm3
    return (box, mask) if enough else None


def _replace(
    rng: np.random.Generator,
    image: FloatArray,
    marrow: FloatArray,
    drawn: tuple[Box, BoolArray],
    sequence: Sequence,
    settings: InsertionSettings,
) -> None:
    """Let a metastasis take the place of marrow, in place."""
    box, mask = drawn
    ranges = settings.t1_signal if sequence is Sequence.T1 else settings.dwi_signal
    factor, kept = rng.uniform(*ranges), rng.uniform(*settings.kept)
    own = 1.0 + rng.uniform(*settings.texture) * smooth_noise(rng, mask.shape, (2.0, 2.0, 2.0))
    here, level = image[box], marrow[box]
    signal = factor * level * own + kept * (here - level) * min(factor, 1.0)
    share = ndimage.gaussian_filter(mask.astype(np.float32), 0.5, truncate=2.0)
    here += share * (np.maximum(signal, 0.0) - here)
