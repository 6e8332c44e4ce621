"""Red and yellow marrow: the adult distribution, with age and islands.

Haematopoietic marrow stays in the spine, the sacrum and the pelvis; the femoral heads and
greater trochanters are fatty from early adulthood, the proximal metaphysis keeps islands
(Vogler JB, Murphy WA, Radiology 1988;168:679). Fat in vertebrae rises with age by about
7 % a decade, to 45-55 % in men of 65 (Kugel H et al., J Magn Reson Imaging 2001;13:263).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.anatomy.patient import Landmarks, Tissue, UInt8Array

REFERENCE_AGE_YEARS = 65.0
YELLOW_ABOVE_PERCENT = 72.0

_FAT_AT_REFERENCE: dict[Bone, float] = {
    Bone.LUMBAR_VERTEBRA: 48.0,
    Bone.SACROCOCCYX: 54.0,
    Bone.ILIUM: 58.0,
    Bone.ACETABULUM: 68.0,
    Bone.FEMORAL_HEAD: 87.0,
    Bone.FEMORAL_NECK: 76.0,
    Bone.ISCHIUM: 70.0,
    Bone.PUBIS: 70.0,
}


@dataclass(frozen=True)
class MarrowSettings:
    """Spread between men and within a bone.

    Attributes:
        between_men_percent: Standard deviation of a man's offset.
        within_percent: Standard deviation of patches inside a bone.
        patch_mm: Size of the patches.
        per_year_percent: Rise with age.
    """

    between_men_percent: float = 6.0
    within_percent: float = 6.0
    patch_mm: float = 9.0
    per_year_percent: float = 0.5


def fat_percent(
    rng: np.random.Generator,
    tissue: UInt8Array,
    structures: Volume,
    landmarks: Landmarks,
    age_years: float,
    settings: MarrowSettings,
) -> UInt8Array:
    """Fat fraction of marrow in percent (z, y, x), 0 elsewhere; sets red or yellow in ``tissue``.

    Args:
        rng: Source of randomness.
        tissue: ``Tissue`` values, changed in place in the marrow.
        structures: ``Bone`` values on their grid; femoral shaft is 0.
        landmarks: Femoral heads.
        age_years: Age.
        settings: Spread.
    """
    bones, geometry = structures.array, structures.geometry
    marrow = np.flatnonzero((tissue == Tissue.RED_MARROW) | (tissue == Tissue.YELLOW_MARROW))
    spacing = geometry.spacing
    cell = tuple(settings.patch_mm / s for s in spacing)
    patches = smooth_noise(rng, geometry.shape, (cell[0], cell[1], cell[2])).reshape(-1)[marrow]
    offset = settings.between_men_percent * rng.standard_normal()
    offset += settings.per_year_percent * (age_years - REFERENCE_AGE_YEARS)
    fat = _base(bones.reshape(-1)[marrow]) + offset + settings.within_percent * 1.6 * patches
    fat = np.maximum(fat, _trochanter(marrow, bones, geometry, landmarks))
    percent = np.clip(np.rint(fat), 15, 96).astype(np.uint8)
    yellow = percent > YELLOW_ABOVE_PERCENT
    tissue.reshape(-1)[marrow] = np.where(yellow, Tissue.YELLOW_MARROW, Tissue.RED_MARROW)
    out = np.zeros(geometry.shape, np.uint8)
    out.reshape(-1)[marrow] = percent
    return out


def _base(bones: UInt8Array) -> npt.NDArray[np.float64]:
    table = np.full(len(Bone) + 1, 80.0)
    for bone, fat in _FAT_AT_REFERENCE.items():
        table[bone] = fat
    return table[bones]


def _trochanter(
    flat: npt.NDArray[np.int64], bones: UInt8Array, geometry: Geometry, landmarks: Landmarks
) -> npt.NDArray[np.float64]:
    """The greater trochanter, lateral end of the neck region, is fatty: at least 86 %."""
    _, _, i = np.unravel_index(flat, geometry.shape)
    x = geometry.origin[0] + i * geometry.spacing[2]
    lateral = np.abs(x - landmarks.midline_x_mm)
    reach = 0.5 * (landmarks.left_head_mm[0] - landmarks.right_head_mm[0]) + 42.0
    trochanter = (lateral > reach) & (bones.reshape(-1)[flat] == Bone.FEMORAL_NECK)
    return np.where(trochanter, 86.0, 0.0)
