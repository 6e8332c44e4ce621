"""A sheet of validation images: truth beside prediction, axial and coronal, as RGB arrays."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pelvimets.labels import Bone
from pelvimets.training.settings import Task
from pelvimets.training.validation import Answer

RgbArray = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

PANEL_WIDTH = 300
_GAP = 6
_TEXT, _DIM = (235, 235, 235), (160, 160, 160)
_TRUTH, _FOUND = (240, 200, 30), (0, 190, 255)
_COLUMNS = ("axial, truth", "axial, prediction", "coronal, truth", "coronal, prediction")


def picture_row(answer: Answer, task: Task, words: str) -> RgbArray:
    """One image: truth and prediction on an axial and a coronal slice, with a caption.

    The slices are those with most of the truth, so that they stay the same in each epoch.

    Args:
        answer: Image, truth and prediction.
        task: Bones get colours, lesions outlines.
        words: Above the image.

    Returns:
        (height, width, 3); patient's right on the left, head up.
    """
    z, y = (_fullest(answer.truth, axis, task) for axis in (0, 1))
    dz, dy, dx = answer.spacing_mm
    grey = _grey(answer.image)
    panels = []
    for plane, pixel in ((np.s_[z], (dy, dx)), (np.s_[::-1, y], (dz, dx))):
        for mask, colour in ((answer.truth, _TRUTH), (answer.found, _FOUND)):
            panels.append(_panel(grey[plane], mask[plane], pixel, task, colour))
    return _captioned(_beside(panels), words)


def sheet(rows: Sequence[RgbArray], task: Task, title: str) -> RgbArray:
    """All rows below each other, with title, names of the columns and a legend.

    Raises:
        ValueError: if there is no row.
    """
    width = max(row.shape[1] for row in rows)
    head = _lines(width, [(0, title, _TEXT)])
    step = PANEL_WIDTH + _GAP
    names = _lines(width, [(n * step, name, _DIM) for n, name in enumerate(_COLUMNS)])
    parts = [head, names, *(_widened(row, width) for row in rows), _legend(width, task)]
    return np.concatenate(parts, axis=0)


def png_bytes(rgb: RgbArray) -> bytes:
    """The picture as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="PNG")
    return stream.getvalue()


def _grey(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    inside = image[image != 0]
    if not inside.size:
        return np.zeros_like(image)
    low, high = np.percentile(inside, [1, 99.5])
    grey = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(np.where(image == 0, 0, grey), dtype=np.float32)


def _fullest(truth: npt.NDArray[np.uint8], axis: int, task: Task) -> int:
    """The slice with most lesion; of bones the one that shows most structures well."""
    others = tuple(a for a in range(3) if a != axis)
    if not truth.any():
        return int(truth.shape[axis]) // 2
    if task is Task.LESIONS:
        return int(np.argmax((truth > 0).sum(axis=others)))
    enough = max(np.count_nonzero(truth) // (8 * truth.shape[axis]), 1)
    counts = [np.minimum((truth == bone).sum(axis=others), enough) for bone in Bone]
    return int(np.argmax(np.sum(counts, axis=0)))


def _panel(
    grey: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    pixel_mm: tuple[float, float],
    task: Task,
    colour: Colour,
) -> RgbArray:
    height = round(PANEL_WIDTH * grey.shape[0] * pixel_mm[0] / (grey.shape[1] * pixel_mm[1]))
    size = (PANEL_WIDTH, max(height, 1))
    wide = Image.fromarray((255 * grey).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    rgb = np.repeat(np.asarray(wide)[:, :, None], 3, axis=2)
    for value, paint in _paints(task, colour):
        inside = _smooth_mask(mask == value, size)
        edge = inside & ~ndimage.binary_erosion(inside, iterations=2, border_value=1)
        if task is Task.BONES:
            rgb[inside] = (0.65 * rgb[inside] + 0.35 * np.array(paint)).astype(np.uint8)
        rgb[edge] = paint
    return np.asarray(rgb)


def _paints(task: Task, colour: Colour) -> Iterable[tuple[int, Colour]]:
    if task is Task.LESIONS:
        return [(1, colour)]
    return [(int(bone), _light(bone.colour)) for bone in Bone]


def _light(colour: Colour) -> Colour:
    """The same hue, light enough for a line on dark tissue."""
    red, green, blue = (min(255, round(70 + 0.85 * v)) for v in colour)
    return red, green, blue


def _smooth_mask(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    wide = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(wide) >= 128


def _beside(panels: Sequence[RgbArray]) -> RgbArray:
    height = max(panel.shape[0] for panel in panels)
    parts: list[RgbArray] = []
    for panel in panels:
        padded = np.zeros((height, panel.shape[1], 3), np.uint8)
        padded[: panel.shape[0]] = panel
        parts += [padded, np.zeros((height, _GAP, 3), np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


def _captioned(rgb: RgbArray, words: str) -> RgbArray:
    return np.concatenate([_lines(rgb.shape[1], [(0, words, _TEXT)]), rgb], axis=0)


def _lines(width: int, texts: Sequence[tuple[int, str, Colour]]) -> RgbArray:
    strip = Image.new("RGB", (width, 24))
    draw = ImageDraw.Draw(strip)
    for left, text, colour in texts:
        draw.text((left + 4, 4), text, fill=colour, font=ImageFont.load_default(size=14))
    return np.asarray(strip)


def _legend(width: int, task: Task) -> RgbArray:
    if task is Task.LESIONS:
        entries = [("truth", _TRUTH), ("prediction", _FOUND)]
    else:
        entries = [(bone.title, _light(bone.colour)) for bone in Bone]
    step = width // max(len(entries), 4)
    return _lines(width, [(n * step, name, colour) for n, (name, colour) in enumerate(entries)])


def _widened(rgb: RgbArray, width: int) -> RgbArray:
    return np.pad(rgb, ((0, 0), (0, width - rgb.shape[1]), (0, 0)))
