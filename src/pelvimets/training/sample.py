"""A training sample: one prepared image with its truth, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import cc3d
import numpy as np
import numpy.typing as npt

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.resample import prepare, resample_labels
from pelvimets.core.volume import Volume
from pelvimets.labels import UNIONS, Bone, Sequence

UInt8Array = npt.NDArray[np.uint8]

LESION_BIT, MIMIC_BIT, OPEN_LESION_BIT = 16, 32, 64
OPEN_BONE = 15
"""Low bits of a voxel of which nobody said which bone it is."""
UNION_VALUES = {union.value: max(Bone) + 1 + n for n, union in enumerate(UNIONS)}
"""Low bits of each union, by its value in a mask of the bones."""
ONE_BY_ONE = tuple(range(len(Bone) + 1))
"""Low bits under which background and each bone lie where all were drawn."""
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
        truth: uint8 (z, y, x); bones in the low bits, plus ``LESION_BIT``, ``MIMIC_BIT``, and
            ``OPEN_LESION_BIT`` where nobody looked for lesions.
        lesion_centres: Index (n, 3) of a voxel near each metastasis' centre.
        mimic_centres: The same for mimics.
        values: Low bits under which background and each bone lie: its own, those of a union, or
            0 where no person drew it, though networks may have.
    """

    name: str
    sequence: Sequence
    spacing_mm: tuple[float, float, float]
    image: npt.NDArray[np.float16]
    truth: UInt8Array
    lesion_centres: npt.NDArray[np.int16]
    mimic_centres: npt.NDArray[np.int16]
    values: tuple[int, ...] = ONE_BY_ONE


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
    judged: Judged | None = None,
) -> Sample:
    """Bring an image and its masks to the sample grid, by the same steps as in reading."""
    prepared = prepare(image, grid, intensity)
    bones_there = _low_bits(resample_labels(bones, prepared.geometry).array)
    lesions_there, mimics_there = (
        np.zeros(bones_there.shape, dtype=bool)
        if mask is None
        else resample_labels(
            mask.with_array((mask.array > 0).astype(np.uint8)), prepared.geometry
        ).array
        > 0
        for mask in (_judged_lesions(lesions), mimics)
    )
    sample = sample_from_arrays(
        name,
        sequence,
        prepared.geometry.spacing,
        prepared.array,
        bones_there,
        lesions_there,
        mimics_there,
    )
    if lesions is not None and (lesions.array == UNJUDGED_LESION).any():
        left_open = lesions.with_array((lesions.array == UNJUDGED_LESION).astype(np.uint8))
        there = resample_labels(left_open, prepared.geometry).array > 0
        sample.truth[there] |= np.uint8(OPEN_LESION_BIT)
    return replace(sample, values=_values(judged or Judged()))


def _low_bits(bones: npt.NDArray[np.integer]) -> UInt8Array:
    low = bones.astype(np.uint8)
    for value, bits in {**UNION_VALUES, UNJUDGED_BONE: OPEN_BONE}.items():
        low[bones == value] = bits
    return low


def _values(judged: Judged) -> tuple[int, ...]:
    return (0, *(UNION_VALUES.get(value, value) for value in judged.values.values()))


def _judged_lesions(lesions: Volume | None) -> Volume | None:
    if lesions is None:
        return None
    return lesions.with_array(np.where(lesions.array == UNJUDGED_LESION, 0, lesions.array))


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
    """Low bits of a truth map: bones, unions of bones, and ``OPEN_BONE``."""
    return truth & np.uint8(_BONE_BITS)


def any_bone(truth: UInt8Array) -> npt.NDArray[np.bool_]:
    """Voxels of bone, whoever drew them."""
    low = bones_of(truth)
    return np.asarray((low > 0) & (low != OPEN_BONE))


def drawn_bones(truth: UInt8Array, values: tuple[int, ...]) -> UInt8Array:
    """Low bits of what persons drew; where networks did in their place, 0.

    Args:
        truth: As in ``Sample``.
        values: Of the sample.
    """
    table = np.arange(_BONE_BITS + 1, dtype=np.uint8)
    table[1 : len(values)] = [n if own == n else 0 for n, own in enumerate(values)][1:]
    return np.asarray(table[bones_of(truth)])


def _centres(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    if not mask.any():
        return np.zeros((0, 3), dtype=np.int16)
    centroids = cc3d.statistics(cc3d.connected_components(mask))["centroids"][1:]
    return np.rint(centroids).astype(np.int16)
