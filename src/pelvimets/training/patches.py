"""From a sample to a training patch: place, affine map, field, intensity.

All parameters are drawn in ``draw_parameters``; ``cut_patch`` applies them without chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cc3d
import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.labels import FurtherInput
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.training.sample import (
    LESION_BIT,
    OPEN_LESION_BIT,
    Sample,
    UInt8Array,
    any_bone,
)
from pelvimets.training.settings import Augmentation, PatchCentres, Stage

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

_LARGEST_WEIGHT = 5.0
_LESION_LEFT_OUT = 0.3  # share of patches on which metastases may be missing from the bones


@dataclass(frozen=True, eq=False)
class PatchParameters:
    """What was drawn for one patch.

    Attributes:
        shape: Voxels (z, y, x).
        matrix: 3 x 3, patch voxels to sample voxels, about the centres.
        centre: Sample index (z, y, x) at the middle of the patch.
        field: Share of the patch kept, (low, high) per axis.
        gamma: Exponent on the intensity.
        bias: Coefficients of the smooth field (linear and quadratic per axis).
        noise: Standard deviation.
        blur_voxels: Sigma.
        noise_seed: Seed of the noise.
    """

    shape: tuple[int, int, int]
    matrix: Matrix
    centre: Matrix
    field: tuple[tuple[float, float], ...]
    gamma: float
    bias: Matrix
    noise: float
    blur_voxels: float
    noise_seed: int


@dataclass(frozen=True, eq=False)
class Patch:
    """Images float32 (z, y, x) and truth uint8 (z, y, x), as in ``Sample``."""

    image: FloatArray
    truth: UInt8Array
    further: Mapping[FurtherInput, FloatArray] = field(default_factory=dict)


def draw_parameters(
    sample: Sample,
    stage: Stage,
    augmentation: Augmentation,
    centres: PatchCentres,
    rng: np.random.Generator,
) -> PatchParameters:
    """Draw everything random of one patch."""
    spacing = np.asarray(sample.spacing_mm)
    step = np.asarray(stage.spacing_mm or sample.spacing_mm)
    affine = _affine(augmentation, rng)
    matrix = np.diag(1 / spacing) @ affine @ np.diag(step)
    reach = np.asarray(stage.shape) * step / spacing  # patch size in sample voxels
    jitter = augmentation.translation * reach * rng.uniform(-1, 1, 3)
    some = rng.random(3) < 0.3
    return PatchParameters(
        shape=stage.shape,
        matrix=matrix,
        centre=_centre(sample, reach, centres, rng) + jitter,
        field=_field(augmentation.shorter_field, rng),
        gamma=float(np.exp(augmentation.gamma * rng.uniform(-1, 1))),
        bias=augmentation.bias * rng.uniform(-1, 1, (2, 3)) * some[0],
        noise=float(augmentation.noise * rng.random() * some[1]),
        blur_voxels=float(augmentation.blur_voxels * rng.random() * some[2]),
        noise_seed=int(rng.integers(2**31)),
    )


def _affine(augmentation: Augmentation, rng: np.random.Generator) -> Matrix:
    angles = np.deg2rad(augmentation.rotation_degrees) * rng.uniform(-1, 1, 3)
    affine = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        affine = affine @ turn
    skew = np.eye(3) + augmentation.shear * rng.uniform(-1, 1, (3, 3)) * (1 - np.eye(3))
    size = np.exp(augmentation.scale * (0.5 * rng.uniform(-1, 1) + 0.5 * rng.uniform(-1, 1, 3)))
    mirror = np.ones(3)
    if augmentation.flip_left_right and rng.random() < 0.5:
        mirror[2] = -1.0
    return np.asarray(affine @ skew @ np.diag(size * mirror))


def _centre(
    sample: Sample, reach: Matrix, centres: PatchCentres, rng: np.random.Generator
) -> Matrix:
    kind = rng.random()
    if kind < centres.on_lesion and len(sample.lesion_centres):
        return np.asarray(rng.choice(sample.lesion_centres) + _off_middle(reach, rng))
    kind -= centres.on_lesion
    if 0 <= kind < centres.on_mimic and len(sample.mimic_centres):
        return np.asarray(rng.choice(sample.mimic_centres) + _off_middle(reach, rng))
    kind -= centres.on_mimic
    if 0 <= kind < centres.on_bone:
        return _random_bone_voxel(sample, rng) + _off_middle(reach, rng)
    size = np.asarray(sample.image.shape, dtype=np.float64)
    low, high = np.minimum(reach, size) / 2, size - np.minimum(reach, size) / 2
    return np.asarray(rng.uniform(low, np.maximum(high, low + 1e-6)) - 0.5)


def _off_middle(reach: Matrix, rng: np.random.Generator) -> Matrix:
    return np.asarray(reach * rng.uniform(-0.25, 0.25, 3))


def _random_bone_voxel(sample: Sample, rng: np.random.Generator) -> Matrix:
    shape = np.asarray(sample.truth.shape)
    for _ in range(200):  # bone fills some per cent of the field
        at = rng.integers(0, shape)
        if sample.truth[tuple(at)]:
            return np.asarray(at, dtype=np.float64)
    return (shape - 1) / 2


def _field(share: float, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    cuts = rng.uniform(0, 0.45, (3, 2)) * (rng.random((3, 2)) < 0.35)
    if rng.random() >= share:
        cuts[:] = 0
    return tuple((float(low), float(1 - high)) for low, high in cuts)


def cut_patch(sample: Sample, parameters: PatchParameters) -> Patch:
    """Resample the patch and change its intensity as drawn.

    Further images go the way of the image, with noise of their own, and end where it ends.
    """
    box, low = _box(sample, parameters)
    image, outside = _intensity(_warped(sample.image[box], low, parameters), parameters)
    middle = (np.asarray(parameters.shape) - 1) / 2
    start = parameters.centre - parameters.matrix @ middle - low
    truth = ndimage.affine_transform(
        sample.truth[box], parameters.matrix, start, parameters.shape, order=0, mode="constant"
    )
    truth[outside] = 0
    further = {}
    for number, (kind, array) in enumerate(sample.further.items(), start=1):
        own = replace(parameters, noise_seed=parameters.noise_seed + number)
        further[kind], _ = _intensity(_warped(array[box], low, parameters), own)
        further[kind][outside] = 0
    return Patch(image, truth, further)


def _warped(array: npt.NDArray[np.float16], low: Matrix, parameters: PatchParameters) -> FloatArray:
    """A box of the sample, which starts at ``low``, on the patch's voxels."""
    fold = _folding(parameters.matrix)
    shrunk = _block_mean(array.astype(np.float32), fold)
    middle = (np.asarray(parameters.shape) - 1) / 2
    start = parameters.centre - parameters.matrix @ middle - low
    scale = np.asarray(fold, dtype=np.float64)
    return np.asarray(
        ndimage.affine_transform(
            shrunk,
            parameters.matrix / scale[:, None],
            (start + 0.5) / scale - 0.5,
            parameters.shape,
            order=1,
            mode="constant",
        )
    )


def _box(sample: Sample, parameters: PatchParameters) -> tuple[tuple[slice, ...], Matrix]:
    """The part of the sample that the patch can touch, and where it starts."""
    half = np.abs(parameters.matrix) @ (np.asarray(parameters.shape) / 2) + 4
    shape = np.asarray(sample.image.shape)
    low = np.clip(np.floor(parameters.centre - half), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(parameters.centre + half), low + 1, shape).astype(int)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), low.astype(np.float64)


def _folding(matrix: Matrix) -> tuple[int, int, int]:
    z, y, x = np.maximum(np.linalg.norm(matrix, axis=1) + 0.2, 1).astype(int)
    return int(z), int(y), int(x)


def _block_mean(array: FloatArray, fold: tuple[int, int, int]) -> FloatArray:
    """Mean over blocks, so that coarse patches are not aliased."""
    for axis, n in enumerate(fold):
        if n > 1 and array.shape[axis] >= n:
            length = array.shape[axis] // n * n
            whole = np.take(array, range(length), axis=axis)
            shape = (*array.shape[:axis], length // n, n, *array.shape[axis + 1 :])
            array = whole.reshape(shape).mean(axis=axis + 1)
    return array


def _intensity(
    image: FloatArray, parameters: PatchParameters
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The image changed, and the voxels outside of its field."""
    outside = image == 0
    _cut_field(outside, parameters.field)
    inside = ~outside
    if not inside.any():
        return np.zeros_like(image), outside
    changed = _contrast(image, inside, parameters)
    if parameters.blur_voxels > 0.2:
        changed = ndimage.gaussian_filter(changed, parameters.blur_voxels, truncate=2.0)
    if parameters.noise > 0:
        noise = np.random.default_rng(parameters.noise_seed)
        changed += np.float32(parameters.noise) * noise.standard_normal(image.shape, np.float32)
    changed[outside] = 0
    return changed, outside


def _cut_field(outside: npt.NDArray[np.bool_], kept: tuple[tuple[float, float], ...]) -> None:
    for axis, (low, high) in enumerate(kept):
        length = outside.shape[axis]
        view = np.moveaxis(outside, axis, 0)
        view[: round(low * length)] = True
        view[round(high * length) :] = True


def _contrast(
    image: FloatArray, inside: npt.NDArray[np.bool_], parameters: PatchParameters
) -> FloatArray:
    """Power law and smooth field; mean and deviation inside stay as they are.

    Where the field was cut, the statistics of what is left become 0 and 1, as in reading.
    """
    values = image[inside]
    low, high = float(values.min()), float(values.max())
    changed = np.clip((image - low) / max(high - low, 1e-6), 0, 1) ** np.float32(parameters.gamma)
    changed = changed * _smooth_field(image.shape, parameters.bias)
    left = changed[inside]
    uncut = all(side == (0.0, 1.0) for side in parameters.field)
    mean, deviation = (float(values.mean()), float(values.std())) if uncut else (0.0, 1.0)
    changed = (changed - left.mean()) / max(float(left.std()), 1e-6) * deviation + mean
    return np.asarray(changed, dtype=np.float32)


def _smooth_field(shape: tuple[int, ...], bias: Matrix) -> FloatArray:
    field = np.ones((1, 1, 1), dtype=np.float32)
    if not bias.any():
        return field
    for axis, length in enumerate(shape):
        at = np.linspace(-1, 1, length, dtype=np.float32)
        line = np.exp(bias[0, axis] * at + bias[1, axis] * at**2).astype(np.float32)
        field = field * line.reshape([length if a == axis else 1 for a in range(3)])
    return np.asarray(field)


def jittered_bones(
    truth: UInt8Array,
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    largest_error_mm: float = 9.0,
) -> npt.NDArray[np.bool_]:
    """Mask of any bone, as the first network might have drawn it.

    Its surface is off by a smooth random distance, so that thin parts are lost and bridges
    appear; and now and then a metastasis is left out, as it looks unlike marrow.

    Args:
        truth: As in ``Sample``.
        spacing_mm: Voxel distance (z, y, x).
        rng: Source of randomness.
        largest_error_mm: Largest standard deviation of the surface's error.
    """
    mask = any_bone(truth)
    if not mask.any():
        return mask
    outside, inside = (
        edt.edt(np.ascontiguousarray(side), anisotropy=spacing_mm, black_border=False)
        for side in (~mask, mask)
    )
    z, y, x = (rng.uniform(10.0, 40.0) / step for step in spacing_mm)
    error = largest_error_mm * rng.random() * smooth_noise(rng, mask.shape, (z, y, x))
    drawn = inside - outside + error > rng.normal(0.0, 0.5)
    if rng.random() < _LESION_LEFT_OUT:
        lesions = cc3d.connected_components(lesions_of(truth))
        kept = rng.random(int(lesions.max()) + 1) < 0.5
        kept[0] = True
        drawn &= kept[lesions]
    return np.asarray(drawn)


def lesions_of(truth: UInt8Array) -> npt.NDArray[np.bool_]:
    """Voxels of metastases."""
    return (truth & np.uint8(LESION_BIT)) > 0


def open_to_lesions(truth: UInt8Array) -> npt.NDArray[np.bool_]:
    """Voxels in which nobody looked for metastases."""
    return (truth & np.uint8(OPEN_LESION_BIT)) > 0


def lesion_weights(
    lesions: npt.NDArray[np.bool_], voxel_cm3: float, small_cm3: float
) -> FloatArray:
    """Weight of each voxel (z, y, x): more in small metastases, 1 elsewhere.

    Without it a lesion of 0.5 cm3 counts a hundredth of one of 50 cm3, and is given up.
    """
    labels = cc3d.connected_components(lesions)
    volumes = np.bincount(labels.ravel()) * voxel_cm3
    weights = np.clip(np.sqrt(small_cm3 / np.maximum(volumes, 1e-6)), 1.0, _LARGEST_WEIGHT)
    weights[0] = 1.0
    return np.asarray(weights.astype(np.float32)[labels])
