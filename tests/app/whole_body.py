"""A body from the thighs to the skull as a scanner makes it: stations, on DWI, ADC and T1.

The pelvis is that of the known study. What lies above and below looks like bones of it, so
that a reader who takes the whole field for a pelvis is led astray.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from dicom_samples import adc, dwi, t1, write

from pelvimets.core.geometry import Geometry
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone
from tests.app.conftest import LESION_MM, SETTINGS, image_of
from tests.core.test_bones import pelvis
from tests.core.test_lesions import ball

LOW_MM, HIGH_MM = -400.0, 680.0
SPINE_LESION_MM = (0.0, 45.0, 390.0)
SHOULDERS = ((-170.0, 0.0, 480.0), (170.0, 0.0, 480.0))


@dataclass(frozen=True, eq=False)
class Body:
    """Truth on one tall grid, and the networks that know it."""

    bones: Volume
    lesions: Volume
    image: Volume
    segmenter: FixedSegmenter


def body(spacing_mm: float = 6.0) -> Body:
    """The pelvis lies where it lies in the known study; z = 0 are the femoral heads."""
    small = pelvis()
    count = round((HIGH_MM - LOW_MM) / spacing_mm)
    grid = Geometry.from_axes((count, 40, 80), (spacing_mm, 5.0, 5.0), (-200.0, -100.0, LOW_MM))
    labels = np.zeros(grid.shape, np.uint8)
    index = np.indices(grid.shape).reshape(3, -1).T
    at = np.rint(small.geometry.to_index(grid.to_lps(index))).astype(int)
    inside = ((at >= 0) & (at < small.geometry.shape)).all(axis=1)
    flat = labels.reshape(-1)
    flat[inside] = small.array[tuple(at[inside].T)]
    for z in np.arange(140.0, 560.0, 34.0):  # a spine with ribs' width of nothing beside it
        labels[ball(grid, (0.0, 45.0, z), 20)] = Bone.LUMBAR_VERTEBRA
    for centre in SHOULDERS:
        labels[ball(grid, centre, 26)] = Bone.FEMORAL_HEAD
        x, y, z = centre
        labels[ball(grid, (x * 0.8, y + 40, z - 60), 40)] = Bone.ILIUM
    labels[ball(grid, (0.0, 0.0, 610.0), 70)] = Bone.SACROCOCCYX
    for side in (-1, 1):
        labels[ball(grid, (side * 100.0, 0.0, -330.0), 30)] = Bone.FEMORAL_NECK
    marked = np.zeros(grid.shape, np.uint8)
    for centre in (LESION_MM, SPINE_LESION_MM):
        marked[ball(grid, centre, 13)] = 1
    bones, lesions = Volume(labels, grid), Volume(marked, grid)
    image = image_of(bones, lesions)
    stored = image.with_array(np.rint(image.array).astype(np.uint16))
    return Body(bones, lesions, stored, FixedSegmenter(bones, lesions, SETTINGS))


def part(volume: Volume, low: int, high: int) -> Volume:
    """Some slices of a volume."""
    matrix = volume.geometry.matrix.copy()
    matrix[:3, 3] = volume.geometry.to_lps([low, 0, 0])
    shape = (high - low, *volume.array.shape[1:])
    return Volume(volume.array[low:high], Geometry(shape, matrix))


def write_study(folder: Path, made: Body, overlap: int = 6) -> Path:
    """DWI, ADC and T1 as four stations each, every one a series of its own."""
    count = made.image.array.shape[0]
    edges = np.linspace(0, count, 5).astype(int)
    values = np.where(made.lesions.array > 0, 800, 1500).astype(np.uint16)
    map_ = made.image.with_array(values)
    files: list[Dataset] = []
    for n, (low, high) in enumerate(pairwise(edges)):
        ends = max(low - overlap, 0), int(high)
        files += dwi(part(made.image, *ends), 900, number=10 + n, description=f"dwi_wb_{n}")
        files += adc(part(map_, *ends), number=20 + n, description=f"dwi_wb_{n}_ADC")
        files += t1(part(made.image, *ends), number=30 + n, description=f"t1_wb_{n}_in")
    return write(folder, files)
