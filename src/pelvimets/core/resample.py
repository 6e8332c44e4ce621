"""Between grids: from the acquired image to the network's grid, and masks back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.intensity import normalise
from pelvimets.core.volume import Volume

_SMALLEST_PROBABILITY = 1e-3


def from_sitk(image: sitk.Image) -> Volume:
    """Volume with the same voxels in the same place."""
    axes = np.asarray(image.GetDirection()).reshape(3, 3).T[::-1]
    x, y, z = image.GetSpacing()
    ox, oy, oz = image.GetOrigin()
    array = sitk.GetArrayFromImage(image)
    return Volume(array, Geometry.from_axes(array.shape, (z, y, x), (ox, oy, oz), axes))


def network_grid(field: Geometry, settings: GridSettings) -> Geometry:
    """The network's grid over a field of view: patient axes, centred on the field.

    The field is the box around the volume's corners in LPS; with a spacing, the number of
    voxels follows from the size of the field and is padded to ``multiple_of``.
    """
    corners = field.corners()
    low, high = corners.min(axis=0)[::-1], corners.max(axis=0)[::-1]  # (z, y, x)
    centre = (low + high) / 2
    if settings.shape is not None:
        shape = np.asarray(settings.shape)
        spacing = (high - low) / shape
    else:
        spacing = np.asarray(settings.spacing_mm, dtype=np.float64)
        size = np.minimum(high - low, settings.largest_field_mm)
        multiple = np.asarray(settings.multiple_of)
        cells = np.maximum(np.ceil(size / spacing - 1e-6), 1)
        shape = (np.ceil(cells / multiple) * multiple).astype(int)
    origin = centre - spacing * (shape - 1) / 2
    return Geometry.from_axes(
        (int(shape[0]), int(shape[1]), int(shape[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(origin[2]), float(origin[1]), float(origin[0])),
    )


def resample_image(volume: Volume, target: Geometry, outside: float = float("nan")) -> Volume:
    """Linear interpolation, smoothed first along axes on which the target is coarser.

    Returns:
        float32 on the target grid; voxels outside the source's field hold ``outside``.
    """
    smoothed = _anti_aliased(volume, target)
    return Volume(_interpolated(smoothed, target, sitk.sitkLinear, outside), target)


def resample_labels(volume: Volume, target: Geometry) -> Volume:
    """Nearest neighbour; 0 outside."""
    return Volume(_interpolated(volume, target, sitk.sitkNearestNeighbor, 0), target)


def prepare(volume: Volume, grid: GridSettings, intensity: IntensitySettings) -> Volume:
    """An acquired image as a network wants it: on its grid, z-scored, zero outside the field."""
    resampled = resample_image(volume, network_grid(volume.geometry, grid))
    valid = ~np.isnan(resampled.array)
    return resampled.with_array(normalise(resampled.array, intensity, valid))


def labels_from_probabilities(
    probabilities: npt.NDArray[np.float32], source: Geometry, target: Geometry
) -> npt.NDArray[np.uint8]:
    """The most probable class at each voxel of another grid.

    Classes are interpolated one after the other, each only inside the box where it is
    possible, so that memory holds one label map and, of the bones' box, two of probabilities.

    Args:
        probabilities: (classes, z, y, x) on ``source``; channel 0 is background.
        source: Grid of the probabilities.
        target: Grid of the result.

    Returns:
        uint8 labels (z, y, x) on ``target``; 0 outside the source's field.
    """
    labels = np.zeros(target.shape, dtype=np.uint8)
    likely = probabilities[1:] > _SMALLEST_PROBABILITY
    whole = _box_on(target, source, np.asarray(likely.any(axis=0)))
    if whole is None:
        return labels
    inside = _cropped(target, whole)
    best = _interpolated(Volume(probabilities[0], source), inside, sitk.sitkLinear, 1.0)
    found = labels[whole]
    for value, mask in enumerate(likely, start=1):
        box = _box_on(inside, source, mask)
        if box is None:
            continue
        part = Volume(probabilities[value], source)
        candidate = _interpolated(part, _cropped(inside, box), sitk.sitkLinear, 0.0)
        wins = candidate > best[box]
        found[box][wins] = value
        best[box][wins] = candidate[wins]
    return labels


def interpolate_probability(
    probability: npt.NDArray[np.float32], source: Geometry, target: Geometry
) -> npt.NDArray[np.float32]:
    """One probability map on another grid, linear; 0 outside the source's field."""
    result = np.zeros(target.shape, dtype=np.float32)
    box = _box_on(target, source, probability > _SMALLEST_PROBABILITY)
    if box is not None:
        result[box] = _interpolated(
            Volume(probability, source), _cropped(target, box), sitk.sitkLinear, 0.0
        )
    return result


def smooth_labels(labels: Volume, target: Geometry) -> Volume:
    """A label map on another grid with smooth borders: each mask is interpolated on its own.

    For pictures; thick slices do not become stairs.
    """
    result = np.zeros(target.shape, dtype=labels.array.dtype)
    best = np.full(target.shape, 0.5, dtype=np.float32)
    for value in np.unique(labels.array):
        mask = labels.array == value
        box = _box_on(target, labels.geometry, mask) if value else None
        if box is None:
            continue
        part = Volume(mask.astype(np.float32), labels.geometry)
        candidate = _interpolated(part, _cropped(target, box), sitk.sitkLinear, 0.0)
        wins = candidate > best[box]
        result[box][wins] = value
        best[box][wins] = candidate[wins]
    return Volume(result, target)


def _box_on(
    target: Geometry, source: Geometry, mask: npt.NDArray[np.bool_]
) -> tuple[slice, slice, slice] | None:
    """Box of target voxels that can touch the mask on the source grid."""
    if not mask.any():
        return None
    spans = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((hits[0] - 1, hits[-1] + 1))
    corners = np.array(np.meshgrid(*spans, indexing="ij")).reshape(3, -1).T
    at = target.to_index(source.to_lps(corners))
    low = np.clip(np.floor(at.min(axis=0)), 0, None).astype(int)
    high = np.minimum(np.ceil(at.max(axis=0)) + 1, target.shape).astype(int)
    if (high <= low).any():
        return None
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


def _cropped(geometry: Geometry, box: tuple[slice, slice, slice]) -> Geometry:
    matrix = geometry.matrix.copy()
    matrix[:3, 3] = geometry.to_lps([s.start for s in box])
    z, y, x = (s.stop - s.start for s in box)
    return Geometry((z, y, x), matrix)


def _anti_aliased(volume: Volume, target: Geometry) -> Volume:
    array = np.asarray(volume.array, dtype=np.float32)
    step = _steps_along_source(volume.geometry, target)
    for axis, ratio in enumerate(step):
        if ratio > 1.2:
            sigma = 0.42 * np.sqrt(ratio**2 - 1)
            array = ndimage.gaussian_filter1d(array, sigma, axis=axis, truncate=2.0, mode="nearest")
    return Volume(array, volume.geometry)


def _steps_along_source(source: Geometry, target: Geometry) -> npt.NDArray[np.float64]:
    """Target voxel size in source voxels, along each source axis."""
    overlap = np.abs(source.axes @ target.axes.T)
    along = np.asarray(target.spacing)[overlap.argmax(axis=1)]
    return np.asarray(along / np.asarray(source.spacing))


def _interpolated(
    volume: Volume, target: Geometry, method: int, outside: float
) -> npt.NDArray[Any]:
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in target.shape[::-1]])
    resampler.SetOutputOrigin(target.origin)
    resampler.SetOutputSpacing(target.spacing[::-1])
    resampler.SetOutputDirection(target.direction)
    resampler.SetInterpolator(method)
    resampler.SetDefaultPixelValue(outside)
    return np.asarray(sitk.GetArrayFromImage(resampler.Execute(volume.to_sitk())))
