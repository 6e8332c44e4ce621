"""Pictures of a result as PNG: three planes through each lesion, outlined and numbered.

All pictures follow the radiological convention: the patient's right is on the left of an
axial or coronal picture; sagittal pictures look from the patient's left, anterior to the left.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image, smooth_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import LESION_COLOUR, Bone

Rgb = npt.NDArray[np.uint8]
View = Literal["axial", "coronal", "sagittal"]
Point = tuple[float, float]

VIEWS: tuple[View, ...] = ("axial", "coronal", "sagittal")
SUPERIOR, POSTERIOR, LEFT = 0, 1, 2
ACROSS = {"axial": SUPERIOR, "coronal": POSTERIOR, "sagittal": LEFT}
SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
_PIXEL_MM = 0.6
_FIELD_MM = 130.0
_MARGIN_VOXELS = 2
_LETTERS = (235, 235, 235)
_NUMBER = (255, 214, 92)


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; ``alt`` says what is seen for those who do not see it."""

    png: bytes
    caption: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Scan:
    """One sequence with its masks, ready to be cut.

    Attributes:
        title: Name of the sequence as printed.
        image: As acquired.
        bones, lesions: Label maps on the same grid.
        numbers: The lesion's number in the report by its label in ``lesions``.
    """

    title: str
    image: Volume
    bones: Volume
    lesions: Volume
    numbers: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def window(self) -> tuple[float, float]:
        """Grey values shown as black and as white."""
        array = self.image.array
        sample = array[:: max(array.shape[0] // 16, 1), ::2, ::2]
        low, high = np.percentile(sample, (2.0, 99.7))
        return float(low), float(max(high, low + 1e-6))

    def holds(self, place_lps_mm: tuple[float, float, float]) -> bool:
        """Whether a place lies in the image's field."""
        grid = self.image.geometry
        at = grid.to_index(place_lps_mm) + 0.5
        return bool((at >= 0).all() and (at <= np.asarray(grid.shape)).all())


def lesion_planes(
    scan: Scan, centre_lps_mm: tuple[float, float, float], caption: str
) -> tuple[Picture, ...]:
    """Axial, coronal and sagittal cut through a point: image, outlines, numbers.

    A cut is one pixel thick on a grid of 0.6 mm around the point, so that oblique and
    sagittal acquisitions show the same planes as axial ones.

    Args:
        scan: What to cut.
        centre_lps_mm: Where, LPS mm.
        caption: What the captions begin with.
    """
    return tuple(
        cut(scan, plane_through(centre_lps_mm, view), view, f"{caption} {view}") for view in VIEWS
    )


def middle_plane(scan: Scan, view: View, grid: Geometry, caption: str) -> Picture:
    """A cut through the middle of the bones over the field of ``grid``."""
    inside = np.argwhere(scan.bones.array > 0)
    corners = scan.bones.geometry.corners()
    centre = scan.bones.geometry.to_lps(inside.mean(axis=0)) if len(inside) else corners.mean(0)
    return cut(scan, _single(grid, ACROSS[view], centre), view, caption)


def cut(scan: Scan, plane: Geometry, view: View, caption: str) -> Picture:
    """What a scan shows in a plane: image, outlines, numbers.

    Args:
        scan: What to cut.
        plane: One voxel thick along the axis that ``view`` looks along, a little turned or not.
        view: How it is laid down and which letters stand at its sides.
        caption: As printed.
    """
    grey = windowed(resample_image(_near(scan.image, plane), plane, 0.0).array, scan.window)
    rgb = _upright(np.repeat(grey[..., None], 3, axis=-1), view)
    bones = _upright(smooth_labels(_near(scan.bones, plane), plane).array, view)
    for bone in Bone:
        rgb[outline(bones == bone, 1)] = bone.colour
    lesions = _upright(smooth_labels(_near(scan.lesions, plane), plane).array, view)
    for label in np.unique(lesions[lesions > 0]):
        rgb[outline(lesions == label, 2)] = LESION_COLOUR
    shown = {n: lesions == label for label, n in scan.numbers.items() if (lesions == label).any()}
    marked = with_sides(with_numbers(Image.fromarray(rgb), shown), *SIDES[view])
    return picture(marked, caption, f"{view} image with outlines. {caption}")


def plane_through(centre: tuple[float, float, float], view: View) -> Geometry:
    """A plane of 130 mm around a point (LPS mm), in pixels of 0.6 mm."""
    n = round(_FIELD_MM / _PIXEL_MM)
    shape, start = [n, n, n], np.asarray(centre) - (_FIELD_MM - _PIXEL_MM) / 2
    across = ACROSS[view]
    shape[across] = 1
    start[2 - across] = centre[2 - across]
    x, y, z = (float(value) for value in start)
    return Geometry.from_axes((shape[0], shape[1], shape[2]), (_PIXEL_MM,) * 3, (x, y, z))


def _single(grid: Geometry, axis: int, point: npt.NDArray[np.float64]) -> Geometry:
    """The grid reduced to one voxel along an axis, through a point."""
    index = np.zeros(3)
    index[axis] = grid.to_index(point)[axis]
    shape = list(grid.shape)
    shape[axis] = 1
    matrix = grid.matrix.copy()
    matrix[:3, 3] = grid.to_lps(index)
    return Geometry((shape[0], shape[1], shape[2]), matrix)


def _near(volume: Volume, plane: Geometry) -> Volume:
    """The part of a volume that a plane can touch; one voxel of it where it touches none."""
    at = volume.geometry.to_index(plane.corners())
    last = np.asarray(volume.geometry.shape) - 1
    low = np.clip(np.floor(at.min(axis=0)) - _MARGIN_VOXELS, 0, last).astype(int)
    high = np.clip(np.ceil(at.max(axis=0)) + _MARGIN_VOXELS, low, last).astype(int)
    matrix = volume.geometry.matrix.copy()
    matrix[:3, 3] = volume.geometry.to_lps(low)
    z, y, x = (slice(a, b + 1) for a, b in zip(low, high, strict=True))
    array = np.ascontiguousarray(volume.array[z, y, x])
    return Volume(array, Geometry((array.shape[0], array.shape[1], array.shape[2]), matrix))


def _upright(array: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    """A slab of one voxel as a picture: superior or anterior up."""
    flat = np.take(array, 0, axis=ACROSS[view])
    return np.ascontiguousarray(flat if view == "axial" else flat[::-1])


def windowed(array: npt.NDArray[Any], window: tuple[float, float]) -> Rgb:
    """Grey values 0-255."""
    low, high = window
    scaled = np.clip((array - low) / (high - low), 0, 1)
    return np.asarray(np.nan_to_num(scaled) * 255, dtype=np.uint8)


def outline(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """The rim of a mask, inside it."""
    if not mask.any():
        return mask
    return np.asarray(mask & ~ndimage.binary_erosion(mask, iterations=width))


def picture(image: Image.Image, caption: str, alt: str) -> Picture:
    """An image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return Picture(buffer.getvalue(), caption, alt, image.width, image.height)


def with_sides(image: Image.Image, left: str, right: str) -> Image.Image:
    """Letters at the two edges, half way up."""
    draw, middle = ImageDraw.Draw(image), image.height / 2
    font = ImageFont.load_default(size=13)
    draw.text((4, middle), left, fill=_LETTERS, font=font, anchor="lm")
    draw.text((image.width - 4, middle), right, fill=_LETTERS, font=font, anchor="rm")
    return image


def with_numbers(image: Image.Image, masks: Mapping[int, npt.NDArray[np.bool_]]) -> Image.Image:
    """The number of each lesion at the upper right of its mask, none over another."""
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    taken: list[Point] = []
    for number, mask in sorted(masks.items()):
        rows, columns = np.nonzero(mask)
        wanted = (float(columns.max()) + 4, float(rows.min()) - 4)
        x, y = _free(wanted, taken, image.size)
        taken.append((x, y))
        draw.text(
            (x, y), str(number), fill=_NUMBER, font=font, anchor="mm",
            stroke_width=2, stroke_fill=(0, 0, 0),
        )  # fmt: skip
    return image


def _free(wanted: Point, taken: Iterable[Point], size: tuple[int, int]) -> Point:
    """A place for a number inside the picture, moved down past those already there."""
    x = min(max(wanted[0], 8.0), size[0] - 9.0)
    y = min(max(wanted[1], 9.0), size[1] - 9.0)
    places = list(taken)
    while any(abs(x - a) < 15 and abs(y - b) < 14 for a, b in places) and y < size[1] - 9:
        y += 5
    return x, y


def legend() -> Mapping[str, tuple[int, int, int]]:
    """Names and colours of what the pictures show."""
    return {**{bone.title: bone.colour for bone in Bone}, "lesion": LESION_COLOUR}
