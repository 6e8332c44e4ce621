"""Which part of a tall field is read: the pelvis, wherever in the body it lies.

The networks know the pelvis. In a field from the skull to the thighs they are led to it: the
bone network reads window after window along the body, each prepared by itself as a pelvic
study is, and the window with the most of a plausible pelvis shows where it lies. Bones and
lesions are then read in a part of the field around it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.config import ReadingSettings
from pelvimets.core.bones import clean_bones
from pelvimets.core.findings import BoneMasks, FlagLevel, LesionMasks
from pelvimets.core.geometry import Geometry
from pelvimets.core.quality import PLAUSIBLE_VOLUME_CM3, bone_flags
from pelvimets.core.resample import prepare
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

WINDOW_MM = 280.0
STEP_MM = 100.0
BELOW_MM, ABOVE_MM = 40.0, 60.0
LEAST_MM = 240.0
_ENDS_PERCENT = (0.5, 99.5)
_PRICE_OF_A_DOUBT = 0.15


@dataclass(frozen=True, eq=False)
class Part:
    """A slab of an image between two planes across the body.

    Attributes:
        whole: Grid of the image.
        axis: The array axis that runs along the body.
        start, stop: First voxel and the one after the last along it.
    """

    whole: Geometry
    axis: int
    start: int
    stop: int

    @property
    def geometry(self) -> Geometry:
        """Grid of the part."""
        origin = [0, 0, 0]
        origin[self.axis] = self.start
        shape = list(self.whole.shape)
        shape[self.axis] = self.stop - self.start
        matrix = self.whole.matrix.copy()
        matrix[:3, 3] = self.whole.to_lps(origin)
        return Geometry((shape[0], shape[1], shape[2]), matrix)

    @property
    def range_mm(self) -> tuple[float, float]:
        """Lowest and highest z of the part, voxel borders included."""
        z = self.geometry.corners()[:, 2]
        return float(z.min()), float(z.max())

    def cut(self, volume: Volume) -> Volume:
        """The part of a volume on the whole grid."""
        return Volume(volume.array[self._slices], self.geometry)

    def restored(self, volume: Volume) -> Volume:
        """A volume on the part's grid as one on the whole grid; 0 outside."""
        array: npt.NDArray[Any] = np.zeros(self.whole.shape, dtype=volume.array.dtype)
        array[self._slices] = volume.array
        return Volume(array, self.whole)

    @property
    def _slices(self) -> tuple[slice, ...]:
        return tuple(
            slice(self.start, self.stop) if axis == self.axis else slice(None) for axis in range(3)
        )


def parts_to_read(
    images: Mapping[Sequence, Volume],
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> dict[Sequence, Part]:
    """The part to read of each image that is too tall to be read whole.

    Args:
        images: The image of each sequence.
        segmenter: The networks with their settings.
        stage: Is given the name of each search and entered around it.
    """
    parts = {}
    for sequence, image in images.items():
        if search_windows(image.geometry, segmenter.settings):
            with stage(f"pelvis on {sequence.title}"):
                parts[sequence] = part_to_read(image, sequence, segmenter)
    return parts


def restored_bones(bones: Mapping[Sequence, Volume], parts: Mapping[Sequence, Part]) -> BoneMasks:
    """Bones of the parts on the whole grids, with what was read."""
    whole = {s: _restored(volume, s, parts) for s, volume in bones.items()}
    return BoneMasks(whole, {s: part.range_mm for s, part in parts.items()})


def restored_lesions(lesions: LesionMasks, parts: Mapping[Sequence, Part]) -> LesionMasks:
    """Lesions of the parts on the whole grids."""
    return LesionMasks(
        {
            s: replace(
                own,
                mask=_restored(own.mask, s, parts),
                probability=own.probability and _restored(own.probability, s, parts),
            )
            for s, own in lesions.by_sequence.items()
        }
    )


def _restored(volume: Volume, sequence: Sequence, parts: Mapping[Sequence, Part]) -> Volume:
    return parts[sequence].restored(volume) if sequence in parts else volume


def height_mm(field: Geometry) -> float:
    """How far the field reaches along the body."""
    return float(np.ptp(field.corners()[:, 2]))


def part_to_read(image: Volume, sequence: Sequence, segmenter: Segmenter) -> Part:
    """The part around the pelvis of an image that is too tall to be read whole."""
    windows = search_windows(image.geometry, segmenter.settings)
    found = [_bones_in(window.cut(image), sequence, segmenter) for window in windows]
    best = int(np.argmax([likeness(bones, sequence) for bones in found]))
    largest = segmenter.settings.bone_grid.largest_field_mm[0]
    return _around(found[best], windows[best], largest)


def search_windows(field: Geometry, settings: ReadingSettings) -> list[Part]:
    """Windows of one height along a tall body, overlapping; none for a field that is read whole."""
    if height_mm(field) <= settings.bone_grid.largest_field_mm[0]:
        return []
    axis, step_mm = _along_body(field)
    count = field.shape[axis]
    length = min(count, max(1, round(WINDOW_MM / step_mm)))
    steps = max(1, int(np.ceil((count - length) * step_mm / STEP_MM)))
    starts = np.rint(np.linspace(0, count - length, steps + 1)).astype(int)
    return [Part(field, axis, int(start), int(start) + length) for start in starts]


def _along_body(field: Geometry) -> tuple[int, float]:
    """The array axis nearest to the body's, and the height of a step along it."""
    axis = int(np.abs(field.axes[:, 2]).argmax())
    return axis, field.spacing[axis] * abs(float(field.axes[axis][2]))


def _bones_in(image: Volume, sequence: Sequence, segmenter: Segmenter) -> Volume:
    """Bones on the network's own grid: good enough to see where they lie."""
    settings = segmenter.settings
    prepared = prepare(image, settings.bone_grid, settings.intensity)
    found = segmenter.bone_probabilities(prepared, sequence).argmax(axis=0).astype(np.uint8)
    return clean_bones(prepared.with_array(found), settings.bones)


def likeness(bones: Volume, sequence: Sequence) -> float:
    """How much of a pelvis there is: 1 for all seven structures of it in usual sizes.

    Whatever would make the result doubtful takes away from it: shoulders are as round as
    hips, but lie too far apart, and nothing of a pelvis lies between them.
    """
    counts = np.bincount(bones.array.ravel(), minlength=len(Bone) + 1)
    voxel_cm3 = bones.geometry.voxel_volume_mm3 / 1000
    shares = []
    for bone in _PELVIS:
        low, high = PLAUSIBLE_VOLUME_CM3[bone]
        usual = np.sqrt(low * high) * (2 if bone.paired else 1)
        shares.append(min(float(counts[bone]) * voxel_cm3 / usual, 1.0))
    doubts = sum(flag.level is FlagLevel.REVIEW for flag in bone_flags(bones, sequence))
    return float(np.mean(shares)) - _PRICE_OF_A_DOUBT * doubts


_PELVIS = tuple(bone for bone in Bone if bone is not Bone.LUMBAR_VERTEBRA)
_ENDS = tuple(bone for bone in _PELVIS if bone is not Bone.FEMORAL_NECK)  # a shaft goes on


def _around(bones: Volume, window: Part, largest_mm: float) -> Part:
    """The pelvis with some room: the lowest vertebrae above, the thighs below."""
    low, high = _pelvis_range(bones) or window.range_mm
    low, high = low - BELOW_MM, high + ABOVE_MM
    spare = max(0.0, LEAST_MM - (high - low)) / 2
    high = min(high + spare, low - spare + largest_mm)
    return _between(window.whole, low - spare, high)


def _pelvis_range(bones: Volume) -> tuple[float, float] | None:
    index = np.argwhere(np.isin(bones.array, _ENDS))
    if not len(index):
        return None
    low, high = np.percentile(bones.geometry.to_lps(index)[:, 2], _ENDS_PERCENT)
    return float(low), float(high)


def _between(field: Geometry, low_mm: float, high_mm: float) -> Part:
    """The part between two heights, along the field's middle."""
    axis, _ = _along_body(field)
    middle = [(n - 1) / 2 for n in field.shape]
    ends = []
    for end in (0, field.shape[axis] - 1):
        middle[axis] = end
        ends.append(float(field.to_lps(middle)[2]))
    last = field.shape[axis] - 1
    at = np.interp([low_mm, high_mm], *_rising(ends, [0.0, float(last)]))
    start, stop = int(np.floor(at.min())), int(np.ceil(at.max())) + 1
    return Part(field, axis, start, min(stop, last + 1))


def _rising(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    return (x, y) if x[0] < x[1] else (x[::-1], y[::-1])
