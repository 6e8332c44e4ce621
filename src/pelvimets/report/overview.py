"""Pictures of the whole pelvis: bones as surfaces, and the image from front and side."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from pelvimets.core.distance import depth_mm, distance_mm
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image, resample_labels, smooth_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import LESION_COLOUR, Bone, Sequence
from pelvimets.report.pictures import (
    ACROSS,
    SIDES,
    Picture,
    Rgb,
    Scan,
    View,
    middle_plane,
    outline,
    picture,
    windowed,
    with_numbers,
    with_sides,
)

_STEP_MM = 2.0
_CLOSED_MM = 6.0
_BACKGROUND = (16, 18, 22)
_VIEWS: tuple[View, ...] = ("coronal", "sagittal")

BoolArray = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint16]


def overviews(scans: Mapping[Sequence, Scan]) -> tuple[Picture, ...]:
    """The bones with all lesions, then the first image, each from the front and from the left.

    All pictures show the same part of the patient in the same size. A diffusion image is shown
    as its highest value along the view, dark on white; any other in a cut through the bones.
    """
    if not scans:
        return ()
    grid = _common_grid([scan.bones.geometry for scan in scans.values()])
    spots = {sequence: _numbered(scan, grid) for sequence, scan in scans.items()}
    bones = _whole_surface(max(scans.values(), key=_bone_mm3).bones, grid)
    first, scan = next(iter(scans.items()))
    of_bones = tuple(_surface_view(bones, tuple(spots.values()), view) for view in _VIEWS)
    return of_bones + tuple(_image_view(scan, first, spots[first], grid, view) for view in _VIEWS)


def _bone_mm3(scan: Scan) -> float:
    return float((scan.bones.array > 0).sum() * scan.bones.geometry.voxel_volume_mm3)


def _common_grid(fields: Ordered[Geometry]) -> Geometry:
    """Patient axes, 2 mm, over every field."""
    corners = np.concatenate([field.corners() for field in fields])
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, z = (max(int(np.ceil(size / _STEP_MM)), 1) for size in high - low)
    start = low + _STEP_MM / 2
    return Geometry.from_axes(
        (z, y, x), (_STEP_MM,) * 3, (float(start[0]), float(start[1]), float(start[2]))
    )


def _numbered(scan: Scan, grid: Geometry) -> Numbers:
    """The lesions of a sequence as a map of their numbers."""
    labels = resample_labels(scan.lesions, grid).array
    table = np.zeros(max([int(labels.max()), *scan.numbers]) + 1, dtype=np.uint16)
    for label, number in scan.numbers.items():
        table[label] = number
    return np.asarray(table[labels])


def _projected(maps: Ordered[Numbers], view: View) -> dict[int, BoolArray]:
    """What each lesion covers, seen along a view, superior up; by its number."""
    masks: dict[int, BoolArray] = {}
    for numbers in maps:
        for number in np.unique(numbers[numbers > 0]):
            seen = (numbers == number).any(axis=ACROSS[view])[::-1]
            masks[int(number)] = masks[int(number)] | seen if int(number) in masks else seen
    return masks


def _whole_surface(bones: Volume, grid: Geometry) -> npt.NDArray[np.uint8]:
    """Bone labels with smooth borders and no cracks where two structures meet."""
    labels = smooth_labels(bones, grid).array.astype(np.uint8)
    together = smooth_labels(bones.with_array((bones.array > 0).astype(np.uint8)), grid).array > 0
    reach = round(_CLOSED_MM / _STEP_MM)
    padded = np.pad(together, reach)
    steps = (_STEP_MM,) * 3
    grown = np.isfinite(distance_mm(padded, steps, _CLOSED_MM))
    closed = depth_mm(grown, steps) > _CLOSED_MM
    together |= closed[(slice(reach, -reach),) * 3]
    return _filled(labels, together)


def _filled(labels: npt.NDArray[np.uint8], mask: BoolArray) -> npt.NDArray[np.uint8]:
    """The labels inside a mask; where it has none, the nearest one."""
    known, missing = np.argwhere(labels), np.argwhere(mask & (labels == 0))
    filled = np.where(mask, labels, np.uint8(0))
    if len(known) and len(missing):
        _, nearest = cKDTree(known).query(missing)
        filled[tuple(missing.T)] = labels[tuple(known[nearest].T)]
    return filled


def _surface_view(labels: npt.NDArray[np.uint8], spots: Ordered[Numbers], view: View) -> Picture:
    """Bones as a shaded surface with the lesions shining through."""
    lesions = np.any([numbers > 0 for numbers in spots], axis=0)
    rgb = _shaded(labels, lesions, ACROSS[view], from_end=view == "sagittal")[::-1]
    return _finished(rgb, _projected(spots, view), view, f"Bones, {view}")


def _image_view(
    scan: Scan, sequence: Sequence, spots: Numbers, grid: Geometry, view: View
) -> Picture:
    if sequence is not Sequence.DWI:
        return middle_plane(scan, view, _finer(grid), f"{scan.title}, {view} cut")
    image = resample_image(scan.image, grid, outside=scan.window[0]).array
    highest = image.max(axis=ACROSS[view])[::-1]
    low, high = np.percentile(highest, (5.0, 99.7))
    grey = 255 - windowed(highest, (float(low), float(max(high, low + 1e-6))))
    rgb = np.repeat(grey[..., None], 3, axis=2)
    caption = f"{scan.title}, {view}, highest value"
    return _finished(rgb, _projected([spots], view), view, caption, rims=True)


def _finer(grid: Geometry) -> Geometry:
    """Half the step over the same field: as large as the other pictures, which are doubled."""
    matrix = grid.matrix.copy()
    matrix[:3, :3] /= 2
    matrix[:3, 3] = grid.to_lps(np.full(3, -0.25))
    z, y, x = (2 * n for n in grid.shape)
    return Geometry((z, y, x), matrix)


def _finished(
    rgb: Rgb, spots: Mapping[int, BoolArray], view: View, caption: str, *, rims: bool = False
) -> Picture:
    """Doubled in size, with numbers and sides."""
    size = (rgb.shape[1] * 2, rgb.shape[0] * 2)
    scaled = np.array(
        Image.fromarray(np.ascontiguousarray(rgb)).resize(size, Image.Resampling.BICUBIC)
    )
    doubled = {n: mask.repeat(2, axis=0).repeat(2, axis=1) for n, mask in spots.items()}
    if rims:
        for mask in doubled.values():
            scaled[outline(mask, 2)] = LESION_COLOUR
    marked = with_sides(with_numbers(Image.fromarray(scaled), doubled), *SIDES[view])
    return picture(marked, caption, f"{view} view of the pelvis. {caption}")


def _shaded(labels: npt.NDArray[np.uint8], spots: BoolArray, axis: int, from_end: bool) -> Rgb:
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


def _light(depth: npt.NDArray[np.intp], hit: BoolArray) -> npt.NDArray[np.float64]:
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
