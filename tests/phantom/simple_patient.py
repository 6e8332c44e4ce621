"""A man of ellipsoids: enough tissues, bones and disease to test scanners and files."""

from __future__ import annotations

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.labels import Bone, Side
from pelvimets.phantom.anatomy.patient import (
    DigitalPatient,
    Landmarks,
    Lesion,
    LesionKind,
    Mimic,
    MimicKind,
    Tissue,
)

STEP_MM = 3.0
SHAPE = (100, 76, 128)
LESION_CENTRES = {1: (-62.0, 12.0, 60.0), 2: (5.0, 62.0, 70.0)}


def _ellipsoid(grid, centre, radii):
    x, y, z = grid
    cx, cy, cz = centre
    rx, ry, rz = radii
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1


def simple_patient(seed: int = 7, gas: bool = True) -> DigitalPatient:
    """Symmetric but for the lesions: 1 on the right (x < 0), 2 in the sacrum."""
    origin = tuple(-STEP_MM * (n - 1) / 2 for n in SHAPE[::-1])
    geometry = Geometry.from_axes(SHAPE, (STEP_MM,) * 3, (origin[0], origin[1], origin[2] + 30.0))
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    lps = geometry.to_lps(np.stack([z, y, x], axis=-1))
    grid = lps[..., 0], lps[..., 1], lps[..., 2]
    tissue = np.zeros(SHAPE, np.uint8)
    bones = np.zeros(SHAPE, np.uint8)
    lesions = np.zeros(SHAPE, np.uint16)
    mimics = np.zeros(SHAPE, np.uint8)
    tall = 1e4
    tissue[_ellipsoid(grid, (0, 0, 0), (180, 108, tall))] = Tissue.SKIN
    tissue[_ellipsoid(grid, (0, 0, 0), (176, 104, tall))] = Tissue.SUBCUTANEOUS_FAT
    tissue[_ellipsoid(grid, (0, 0, 0), (155, 84, tall))] = Tissue.MUSCLE
    tissue[_ellipsoid(grid, (0, -10, 10), (60, 55, 90))] = Tissue.VISCERAL_FAT
    tissue[_ellipsoid(grid, (0, -25, 20), (34, 26, 26))] = Tissue.URINE
    if gas:
        tissue[_ellipsoid(grid, (0, 30, 5), (11, 11, 26))] = Tissue.GAS
    places = [
        (Bone.ILIUM, 65, 12, 62, 34, 26, 48),
        (Bone.FEMORAL_HEAD, 88, 0, 0, 25, 25, 25),
        (Bone.FEMORAL_NECK, 104, 6, -42, 18, 18, 30),
        (Bone.ISCHIUM, 55, 34, -38, 17, 15, 30),
        (Bone.PUBIS, 32, -48, -20, 22, 12, 14),
    ]
    for bone, cx, cy, cz, *radii in places:
        for side in (1, -1):
            _fill(tissue, bones, grid, (side * cx, cy, cz), radii, bone)
    _fill(tissue, bones, grid, (0, 62, 65), (45, 17, 50), Bone.SACROCOCCYX)
    _fill(tissue, bones, grid, (0, 30, 140), (26, 20, 24), Bone.LUMBAR_VERTEBRA)
    table = []
    for number, kind, radius, bone, side, adc in (
        (1, LesionKind.LYTIC, 12.0, Bone.ILIUM, Side.RIGHT, 850.0),
        (2, LesionKind.TREATED, 7.5, Bone.SACROCOCCYX, Side.LEFT, 1700.0),
    ):
        centre = LESION_CENTRES[number]
        where = _ellipsoid(grid, centre, (radius,) * 3)
        tissue[where], lesions[where], bones[where] = kind.tissue, number, bone
        volume = float(where.sum() * STEP_MM**3 / 1000)
        table.append(Lesion(number, kind, bone, side, centre, volume, adc, False))
    where = _ellipsoid(grid, (66.0, 12.0, 60.0), (9, 9, 9))
    tissue[where], mimics[where] = Tissue.HAEMANGIOMA, MimicKind.HAEMANGIOMA.label
    mimic = Mimic(MimicKind.HAEMANGIOMA, Bone.ILIUM, (66.0, 12.0, 60.0), float(where.sum()) * 0.027)
    fat = np.where(tissue == Tissue.RED_MARROW, 55, 0).astype(np.uint8)
    return DigitalPatient(
        seed=seed,
        geometry=geometry,
        tissue=tissue,
        marrow_fat_percent=fat,
        bones=bones,
        lesions=lesions,
        mimics=mimics,
        lesion_table=tuple(table),
        mimic_table=(mimic,),
        landmarks=Landmarks((88.0, 0.0, 0.0), (-88.0, 0.0, 0.0), 24.0),
        age_years=70.0,
        source="ellipsoids",
        drawn={},
    )


def _fill(tissue, bones, grid, centre, radii, bone):
    outer = _ellipsoid(grid, centre, radii)
    inner = _ellipsoid(grid, centre, [r - 2.5 for r in radii])
    tissue[outer], bones[outer] = Tissue.CORTICAL_BONE, bone
    tissue[inner] = Tissue.RED_MARROW
