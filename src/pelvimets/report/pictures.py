"""Pictures of a result as PNG: overlays at each lesion and overviews of the pelvis.

All pictures follow the radiological convention: the patient's right is on the left of an
axial or coronal picture; sagittal pictures look from the patient's left, anterior to the left.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image, resample_labels, smooth_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import LESION_COLOUR, Bone

Rgb = npt.NDArray[np.uint8]

_PIXEL_MM = 1.0
_OVERVIEW_MM = 2.0
_BACKGROUND = (16, 18, 22)
_SUPERIOR, _POSTERIOR, _LEFT = 0, 1, 2


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; ``alt`` says what is seen for those who do not see it."""

    png: bytes
    caption: str
    alt: str
    width: int
    height: int


def axial_overlay(
    image: Volume,
    bones: Volume,
    lesions: Volume,
    centre_lps_mm: tuple[float, float, float],
    caption: str,
    field_mm: float = 220.0,
) -> Picture:
    """An axial cut through a point: image, outlines of bones and of lesions.

    The cut is one pixel thick on a grid of 1 mm around the point, so that oblique and
    sagittal acquisitions show the same plane as axial ones.
    """
    plane = _plane(centre_lps_mm, field_mm)
    grey = _windowed(resample_image(image, plane, outside=0.0).array[0], _window(image.array))
    rgb = np.repeat(grey[..., None], 3, axis=2)
    bone_slice = resample_labels(bones, plane).array[0]
    for bone in Bone:
        _paint(rgb, _outline(bone_slice == bone, 1), bone.colour)
    lesion_slice = resample_labels(lesions, plane).array[0]
    _paint(rgb, _outline(lesion_slice > 0, 2), LESION_COLOUR)
    marked = _with_sides(Image.fromarray(rgb), "R", "L")
    return _picture(marked, caption, f"Axial image with outlines. {caption}")


def overview(bones: Volume, lesions: Volume, view: str, caption: str) -> Picture:
    """Bones as a shaded surface with the lesions shining through.

    Args:
        bones: Bone label map.
        lesions: Lesion label map on the same grid.
        view: ``coronal`` (from the front) or ``sagittal`` (from the left).
        caption: Caption.
    """
    grid = _isotropic(bones.geometry, _OVERVIEW_MM)
    surface = smooth_labels(bones, grid).array
    spots = resample_labels(lesions, grid).array > 0
    if view == "coronal":
        rgb = _shaded(surface, spots, axis=_POSTERIOR, from_end=False)[::-1]
        sides = ("R", "L")
    else:
        rgb = _shaded(surface, spots, axis=_LEFT, from_end=True)[::-1]
        sides = ("A", "P")
    scaled = Image.fromarray(rgb).resize(
        (rgb.shape[1] * 2, rgb.shape[0] * 2), Image.Resampling.BICUBIC
    )
    return _picture(_with_sides(scaled, *sides), caption, f"{view} view of the bones. {caption}")


def middle_overlay(
    image: Volume, bones: Volume, lesions: Volume, view: str, caption: str
) -> Picture:
    """A coronal or sagittal cut through the middle of the bones with outlines."""
    grid = _isotropic(image.geometry, _OVERVIEW_MM / 2)
    centre = _bone_centre(bones)
    axis = _POSTERIOR if view == "coronal" else _LEFT
    plane = _single(grid, axis, centre)
    grey = _windowed(resample_image(image, plane, outside=0.0).array, _window(image.array))
    rgb = np.repeat(np.take(grey, 0, axis=axis)[..., None], 3, axis=2)
    bone_slice = np.take(resample_labels(bones, plane).array, 0, axis=axis)
    for bone in Bone:
        _paint(rgb, _outline(bone_slice == bone, 1), bone.colour)
    lesion_slice = np.take(resample_labels(lesions, plane).array, 0, axis=axis)
    _paint(rgb, _outline(lesion_slice > 0, 2), LESION_COLOUR)
    sides = ("R", "L") if view == "coronal" else ("A", "P")
    return _picture(
        _with_sides(Image.fromarray(rgb[::-1]), *sides), caption, f"{view} image. {caption}"
    )


def _picture(image: Image.Image, caption: str, alt: str) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return Picture(buffer.getvalue(), caption, alt, image.width, image.height)


def _plane(centre: tuple[float, float, float], field_mm: float) -> Geometry:
    x, y, z = centre
    n = round(field_mm / _PIXEL_MM)
    start = field_mm / 2 - _PIXEL_MM / 2
    return Geometry.from_axes(
        (1, n, n), (_PIXEL_MM, _PIXEL_MM, _PIXEL_MM), (x - start, y - start, z)
    )


def _isotropic(field: Geometry, step_mm: float) -> Geometry:
    corners = field.corners()
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, z = (max(int(np.ceil(size / step_mm)), 1) for size in high - low)
    start = low + step_mm / 2
    return Geometry.from_axes(
        (z, y, x), (step_mm, step_mm, step_mm), (float(start[0]), float(start[1]), float(start[2]))
    )


def _single(grid: Geometry, axis: int, point: npt.NDArray[np.float64]) -> Geometry:
    """The grid reduced to one voxel along an axis, through a point."""
    index = np.zeros(3)
    index[axis] = grid.to_index(point)[axis]
    shape = list(grid.shape)
    shape[axis] = 1
    matrix = grid.matrix.copy()
    matrix[:3, 3] = grid.to_lps(index)
    return Geometry((shape[0], shape[1], shape[2]), matrix)


def _bone_centre(bones: Volume) -> npt.NDArray[np.float64]:
    inside = np.argwhere(bones.array > 0)
    if len(inside) == 0:
        return np.asarray(bones.geometry.corners().mean(axis=0), dtype=np.float64)
    return bones.geometry.to_lps(inside.mean(axis=0))


def _window(array: npt.NDArray[Any]) -> tuple[float, float]:
    sample = array[:: max(array.shape[0] // 16, 1), ::2, ::2]
    low, high = np.percentile(sample, (2.0, 99.7))
    return float(low), float(max(high, low + 1e-6))


def _windowed(array: npt.NDArray[Any], window: tuple[float, float]) -> Rgb:
    low, high = window
    scaled = np.clip((array - low) / (high - low), 0, 1)
    return np.asarray(np.nan_to_num(scaled) * 255, dtype=np.uint8)


def _outline(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    if not mask.any():
        return mask
    return np.asarray(mask & ~ndimage.binary_erosion(mask, iterations=width))


def _paint(rgb: Rgb, mask: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    rgb[mask] = colour


def _shaded(
    labels: npt.NDArray[np.uint8], spots: npt.NDArray[np.bool_], axis: int, from_end: bool
) -> Rgb:
    """Surface seen along an axis, lit from above; lesions seen through it."""
    if from_end:
        labels, spots = np.flip(labels, axis), np.flip(spots, axis)
    depth = (labels > 0).argmax(axis=axis)
    hit = np.asarray((labels > 0).any(axis=axis))
    first = np.take_along_axis(labels, np.expand_dims(depth, axis), axis=axis).squeeze(axis)
    light = _light(depth, hit)
    rgb = np.empty((*hit.shape, 3), dtype=np.uint8)
    rgb[:] = _BACKGROUND
    colours = _colour_table()[first]
    rgb[hit] = np.clip(colours * light[..., None], 0, 255).astype(np.uint8)[hit]
    through = spots.sum(axis=axis)
    share = np.clip(0.45 + 0.1 * through, 0, 0.9)[..., None]
    red = rgb * (1 - share) + np.asarray(LESION_COLOUR) * share
    rgb[through > 0] = red.astype(np.uint8)[through > 0]
    return rgb


def _light(depth: npt.NDArray[np.intp], hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(depth.astype(np.float64), 1.0)
    weight = ndimage.gaussian_filter(hit.astype(np.float64), 1.0)
    relief = np.divide(smooth, weight, out=np.zeros_like(smooth), where=weight > 0.05)
    dz, dx = np.gradient(relief)
    facing = 1.0 / np.sqrt(1.0 + dz**2 + dx**2)
    slope = np.clip(0.15 * dz, -0.2, 0.2)
    return np.asarray(0.35 + 0.75 * facing + slope)


def _colour_table() -> npt.NDArray[np.float64]:
    table = np.zeros((256, 3))
    for bone in Bone:
        table[bone] = bone.colour
    return table


def _with_sides(image: Image.Image, left: str, right: str) -> Image.Image:
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    middle = image.height / 2
    draw.text((4, middle), left, fill=(230, 230, 230), font=font, anchor="lm")
    draw.text((image.width - 4, middle), right, fill=(230, 230, 230), font=font, anchor="rm")
    return image


def legend() -> Mapping[str, tuple[int, int, int]]:
    """Names and colours of what the pictures show."""
    return {**{bone.title: bone.colour for bone in Bone}, "lesion": LESION_COLOUR}
