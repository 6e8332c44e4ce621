"""Pictures of one slice with reference and prediction side by side, as RGB arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.masks import BoolArray, FloatArray
from pelvimets.labels import Bone

RgbArray = npt.NDArray[np.uint8]

REFERENCE_COLOUR = (240, 200, 30)
PREDICTION_COLOUR = (0, 190, 255)
_SMOOTH, _NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
HEIGHT = 360
"""Height of a picture in pixels."""
_PART_MM, _MARGIN_MM = 80.0, 15.0
"""Least width of what is enlarged, and margin around the lesions."""


def bone_overlay(image: Volume, reference: Volume, prediction: Volume | None) -> RgbArray:
    """Image, reference bones and predicted bones on the axial slice with most structures.

    Args:
        image: On the grid of the masks.
        reference, prediction: ``Bone`` values; no prediction leaves its panel plain.

    Returns:
        (height, width, 3): three panels beside each other; patient's right on the left.
    """
    volumes = _canonical(image, reference, prediction)
    slice_ = _slice_with_most_structures(volumes[1])
    grey = _grey(volumes[0][slice_])
    panels = [_coloured(grey, None), _coloured(grey, volumes[1][slice_])]
    panels.append(_coloured(grey, None if volumes[2] is None else volumes[2][slice_]))
    return _beside(panels, image.canonical().geometry)


def lesion_overlay(image: Volume, reference: Volume, prediction: Volume | None) -> RgbArray:
    """The axial slice with most lesion: whole, and what its lesions lie in with both outlines.

    The reference is a solid yellow line, the prediction a dotted blue one, so that they can
    be told apart without colour.

    Args:
        image: On the grid of the masks.
        reference, prediction: Lesions, 0 is background.

    Returns:
        (height, width, 3): the slice with a frame around the part enlarged, that part plain,
        and with outlines; patient's right on the left.
    """
    volumes = _canonical(image, reference, prediction)
    masks = [None if mask is None else mask > 0 for mask in volumes[1:]]
    slice_ = _slice_with_most_lesion(masks, volumes[0].shape[0])
    geometry = image.canonical().geometry
    planes = [None if mask is None else mask[slice_] for mask in masks]
    part = _part_with_lesions(planes, volumes[0].shape[1:], geometry)
    grey = _coloured(_grey(volumes[0][slice_]), None)
    whole, plain = _scaled(grey, geometry).copy(), _scaled(grey[part], geometry)
    _frame(whole, part, grey.shape)
    outlined = plain.copy()
    for plane, colour, dotted in zip(
        planes, (REFERENCE_COLOUR, PREDICTION_COLOUR), (False, True), strict=True
    ):
        if plane is not None:
            _outline(outlined, _scaled_mask(plane[part], geometry), colour, dotted)
    gap = _gap(HEIGHT)
    return np.concatenate([whole, gap, plain, gap, outlined], axis=1)


Part = tuple[slice, slice]


def _part_with_lesions(
    planes: list[BoolArray | None], shape: tuple[int, ...], geometry: Geometry
) -> Part:
    """The lesions of either mask and a margin: at least ``_PART_MM`` wide, within the slice."""
    marked = np.logical_or.reduce(
        [np.zeros(shape, bool), *(plane for plane in planes if plane is not None)]
    )
    if not marked.any():
        return slice(0, shape[0]), slice(0, shape[1])
    part = []
    for axis, places in enumerate(np.nonzero(marked)):
        spacing = geometry.spacing[1 + axis]
        low, high = int(places.min()), int(places.max()) + 1
        wanted = max(_PART_MM / spacing, high - low + 2 * _MARGIN_MM / spacing)
        size = min(shape[axis], round(wanted))
        start = min(max(0, round((low + high - size) / 2)), shape[axis] - size)
        part.append(slice(start, start + size))
    return part[0], part[1]


def _frame(rgb: RgbArray, part: Part, shape: tuple[int, ...]) -> None:
    """A white frame around a part, drawn on the scaled slice."""
    rows, columns = (
        (round(p.start * rgb.shape[k] / shape[k]), round(p.stop * rgb.shape[k] / shape[k]) - 1)
        for k, p in enumerate(part)
    )
    line = np.zeros(rgb.shape[:2], bool)
    line[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
    line[rows[0] + 2 : rows[1] - 1, columns[0] + 2 : columns[1] - 1] = False
    rgb[line] = 255


def _canonical(*volumes: Volume | None) -> list[Any]:
    """Arrays turned to (superior, posterior, left); None stays None."""
    return [None if v is None else v.canonical().array for v in volumes]


def _slice_with_most_structures(labels: npt.NDArray[Any]) -> int:
    score = [
        sum(min(int(np.count_nonzero(plane == bone)), 400) for bone in Bone) for plane in labels
    ]
    return int(np.argmax(score))


def _slice_with_most_lesion(masks: list[BoolArray | None], slices: int) -> int:
    for mask in masks:
        if mask is not None and mask.any():
            return int(np.argmax(mask.sum(axis=(1, 2))))
    return slices // 2


def _grey(plane: npt.NDArray[Any]) -> FloatArray:
    values = plane.astype(np.float64)
    low, high = np.percentile(values, [1, 99.5])
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-9), 0, 1))


def _coloured(grey: FloatArray, labels: npt.NDArray[Any] | None) -> RgbArray:
    rgb = np.repeat(grey[:, :, None], 3, axis=2) * 255
    for bone in Bone if labels is not None else ():
        inside = labels == bone
        rgb[inside] = 0.45 * rgb[inside] + 0.55 * np.array(bone.colour)
    return np.asarray(rgb, dtype=np.uint8)


def _size(shape: tuple[int, ...], geometry: Geometry) -> tuple[int, int]:
    """Width and height that make pixels square and the picture ``HEIGHT`` high."""
    pixels_per_mm = HEIGHT / (shape[0] * geometry.spacing[1])
    return max(1, round(shape[1] * geometry.spacing[2] * pixels_per_mm)), HEIGHT


def _scaled(rgb: RgbArray, geometry: Geometry) -> RgbArray:
    return np.asarray(Image.fromarray(rgb).resize(_size(rgb.shape, geometry), _SMOOTH))


def _scaled_mask(mask: BoolArray, geometry: Geometry) -> BoolArray:
    wide = Image.fromarray(mask.astype(np.uint8)).resize(_size(mask.shape, geometry), _NEAREST)
    return np.asarray(wide) > 0


def _outline(rgb: RgbArray, mask: BoolArray, colour: tuple[int, int, int], dotted: bool) -> None:
    line = mask & ~ndimage.binary_erosion(mask, iterations=2)
    if dotted:
        rows, columns = np.indices(mask.shape)
        line &= (rows // 4 + columns // 4) % 2 == 0
    rgb[line] = colour


def _gap(height: int) -> RgbArray:
    return np.full((height, 6, 3), 255, np.uint8)


def _beside(panels: list[RgbArray], geometry: Geometry) -> RgbArray:
    parts: list[RgbArray] = []
    for panel in panels:
        scaled = _scaled(panel, geometry)
        parts += [scaled, _gap(scaled.shape[0])]
    return np.concatenate(parts[:-1], axis=1)
