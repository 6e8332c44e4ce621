"""A training sample: one prepared image with its truth, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cc3d
import numpy as np
import numpy.typing as npt

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.resample import prepare, resample_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

UInt8Array = npt.NDArray[np.uint8]

LESION_BIT, MIMIC_BIT = 16, 32
SIMULATED = "simulated-"
"""Names of samples from whole simulated examinations begin so."""
REAL = "real-"
"""Names of samples from real images into which metastases were put begin so."""
_BONE_BITS = 15


@dataclass(frozen=True, eq=False)
class Sample:
    """One sequence of one patient on the sample grid.

    Attributes:
        name: Patient and sequence.
        sequence: Which input it is.
        spacing_mm: Voxel distance (z, y, x).
        image: float16 (z, y, x), normalised, 0 outside the field.
        truth: uint8 (z, y, x); bones in the low bits, plus ``LESION_BIT`` and ``MIMIC_BIT``.
        lesion_centres: Index (n, 3) of a voxel near each metastasis' centre.
        mimic_centres: The same for mimics.
    """

    name: str
    sequence: Sequence
    spacing_mm: tuple[float, float, float]
    image: npt.NDArray[np.float16]
    truth: UInt8Array
    lesion_centres: npt.NDArray[np.int16]
    mimic_centres: npt.NDArray[np.int16]


class SampleSource(Protocol):
    """A store of samples; it may grow while training runs."""

    def names(self) -> tuple[str, ...]:
        """Names of the samples there are now, in a fixed order."""
        ...

    def read(self, name: str) -> Sample:
        """One sample."""
        ...


def prepare_sample(
    name: str,
    sequence: Sequence,
    image: Volume,
    bones: Volume,
    lesions: Volume | None,
    mimics: Volume | None,
    grid: GridSettings,
    intensity: IntensitySettings,
) -> Sample:
    """Bring an image and its masks to the sample grid, by the same steps as in reading."""
    prepared = prepare(image, grid, intensity)
    bones_there = resample_labels(bones, prepared.geometry).array
    lesions_there, mimics_there = (
        np.zeros(bones_there.shape, dtype=bool)
        if mask is None
        else resample_labels(
            mask.with_array((mask.array > 0).astype(np.uint8)), prepared.geometry
        ).array
        > 0
        for mask in (lesions, mimics)
    )
    return sample_from_arrays(
        name,
        sequence,
        prepared.geometry.spacing,
        prepared.array,
        bones_there,
        lesions_there,
        mimics_there,
    )


def sample_from_arrays(
    name: str,
    sequence: Sequence,
    spacing_mm: tuple[float, float, float],
    image: npt.NDArray[np.float32],
    bones: UInt8Array,
    lesions: npt.NDArray[np.bool_],
    mimics: npt.NDArray[np.bool_],
) -> Sample:
    """A sample from arrays (z, y, x) on one grid, the image normalised."""
    truth = bones.astype(np.uint8)
    truth[lesions] |= np.uint8(LESION_BIT)
    truth[mimics] |= np.uint8(MIMIC_BIT)
    return Sample(
        name,
        sequence,
        spacing_mm,
        image.astype(np.float16),
        truth,
        _centres(lesions),
        _centres(mimics),
    )


def bones_of(truth: UInt8Array) -> UInt8Array:
    """Bone labels of a truth map."""
    return truth & np.uint8(_BONE_BITS)


def _centres(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    if not mask.any():
        return np.zeros((0, 3), dtype=np.int16)
    centroids = cc3d.statistics(cc3d.connected_components(mask))["centroids"][1:]
    return np.rint(centroids).astype(np.int16)
