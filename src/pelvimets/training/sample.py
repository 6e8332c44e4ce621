"""A training sample: one prepared image with its truth, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import cc3d
import numpy as np
import numpy.typing as npt

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.further import registered
from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.resample import network_grid, prepare, resample_labels
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.labels import UNIONS, Bone, FurtherInput, Sequence

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
        further: Further images on the same grid, float16, normalised, 0 outside of either.
    """

    name: str
    sequence: Sequence
    spacing_mm: tuple[float, float, float]
    image: npt.NDArray[np.float16]
    truth: UInt8Array
    lesion_centres: npt.NDArray[np.int16]
    mimic_centres: npt.NDArray[np.int16]
    values: tuple[int, ...] = ONE_BY_ONE
    further: Mapping[FurtherInput, npt.NDArray[np.float16]] = field(default_factory=dict)


class SampleSource(Protocol):
    """A store of samples; it may grow while training runs."""

    def names(self) -> tuple[str, ...]:
        """Names of the samples there are now, in a fixed order."""
        ...

    def read(self, name: str) -> Sample:
        """One sample."""
        ...


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image as acquired and the masks drawn on it, all on one grid.

    Attributes:
        image: As acquired.
        bones: ``Bone`` values, unions, or what nobody judged.
        lesions, mimics: Non-zero where there is one; None of which there is no mask.
        judged: Which bones a person drew.
    """

    image: Volume
    bones: Volume
    lesions: Volume | None = None
    mimics: Volume | None = None
    judged: Judged = field(default_factory=Judged)

    def __post_init__(self) -> None:
        """Refuse masks that cannot be meant.

        Raises:
            CohortError: with the values found.
        """
        _check_bones(self.bones.array)
        if self.lesions is not None:
            _check_lesions(self.lesions.array)


def _check_bones(array: npt.NDArray[Any]) -> None:
    values = set(np.unique(array).tolist())
    known = {0, UNJUDGED_BONE, *map(int, Bone), *(union.value for union in UNIONS)}
    if not values <= known:
        raise CohortError(
            "Unknown values in the mask of the bones",
            got=sorted(values - known),
            remedy=f"Use 0 and {min(Bone):d} to {max(Bone):d}, in the order of 'labels'; "
            f"{UNJUDGED_BONE} where nobody judged",
        )
    if not any(values):
        raise CohortError(
            "The mask of the bones is empty",
            remedy="Draw the bones, or take the patient out of the table",
        )


def _check_lesions(array: npt.NDArray[Any]) -> None:
    values = np.unique(array)
    if values.min() < 0 or (values != np.round(values)).any():
        raise CohortError(
            "Unknown values in the mask of the lesions",
            got=values[:5].tolist(),
            remedy="Use 0 and whole numbers from 1, one for each lesion or one for all",
        )


def prepare_sample(
    name: str,
    sequence: Sequence,
    given: AnnotatedImage,
    grid: GridSettings,
    intensity: IntensitySettings,
) -> Sample:
    """Bring an image and its masks to the sample grid, by the same steps as in reading."""
    prepared, lesions = prepare(given.image, grid, intensity), given.lesions
    bones_there = _low_bits(resample_labels(given.bones, prepared.geometry).array)
    lesions_there, mimics_there = (
        np.zeros(bones_there.shape, dtype=bool)
        if mask is None
        else resample_labels(
            mask.with_array((mask.array > 0).astype(np.uint8)), prepared.geometry
        ).array
        > 0
        for mask in (_judged_lesions(lesions), given.mimics)
    )
    truth = truth_of(bones_there, lesions_there, mimics_there)
    sample = sample_from_arrays(name, sequence, prepared.geometry.spacing, prepared.array, truth)
    if lesions is not None and (lesions.array == UNJUDGED_LESION).any():
        left_open = lesions.with_array((lesions.array == UNJUDGED_LESION).astype(np.uint8))
        there = resample_labels(left_open, prepared.geometry).array > 0
        sample.truth[there] |= np.uint8(OPEN_LESION_BIT)
    return replace(sample, values=_values(given.judged))


def with_further(
    sample: Sample,
    image: Volume,
    further: Mapping[FurtherInput, Volume],
    grid: GridSettings,
    intensity: IntensitySettings,
) -> Sample:
    """The sample with further images of the patient, registered by their place to its grid.

    Args:
        sample: As ``prepare_sample`` made it of ``image``.
        image: As acquired.
        further: As acquired, each on its own grid.
        grid, intensity: As of ``prepare_sample``.
    """
    there = Volume(sample.image, network_grid(image.geometry, grid))
    placed = {kind: registered(own, there, intensity) for kind, own in further.items()}
    return replace(sample, further={k: own.astype(np.float16) for k, own in placed.items()})


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


def truth_of(
    bones: UInt8Array, lesions: npt.NDArray[np.bool_], mimics: npt.NDArray[np.bool_]
) -> UInt8Array:
    """Bones (low bits), lesions and mimics (z, y, x) in one map, as ``Sample.truth``."""
    truth = bones.astype(np.uint8)
    truth[lesions] |= np.uint8(LESION_BIT)
    truth[mimics] |= np.uint8(MIMIC_BIT)
    return truth


def sample_from_arrays(
    name: str,
    sequence: Sequence,
    spacing_mm: tuple[float, float, float],
    image: npt.NDArray[np.float32],
    truth: UInt8Array,
) -> Sample:
    """A sample from a normalised image and its truth (z, y, x) on one grid."""
    return Sample(
        name,
        sequence,
        spacing_mm,
        image.astype(np.float16),
        truth,
        _centres((truth & np.uint8(LESION_BIT)) > 0),
        _centres((truth & np.uint8(MIMIC_BIT)) > 0),
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
