"""A digital man: what lies in every voxel, before any scanner has seen it.

Frozen types only; ``phantom.anatomy.healthy`` and ``phantom.disease.metastases`` fill them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.labels import Bone, Side

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]


class Tissue(IntEnum):
    """Values of the tissue map. 0 is air outside the body."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    INTERMUSCULAR_FAT = 3
    VISCERAL_FAT = 4
    MUSCLE = 5
    TENDON = 6
    URINE = 7
    BLADDER_WALL = 8
    PROSTATE_PERIPHERAL = 9
    PROSTATE_CENTRAL = 10
    SEMINAL_VESICLE = 11
    BOWEL_WALL = 12
    BOWEL_FLUID = 13
    STOOL = 14
    GAS = 15
    ARTERY = 16
    VEIN = 17
    CSF = 18
    NERVE = 19
    DISC_NUCLEUS = 20
    DISC_ANNULUS = 21
    CARTILAGE = 22
    CORTICAL_BONE = 23
    RED_MARROW = 24
    YELLOW_MARROW = 25
    METASTASIS_SCLEROTIC = 30
    METASTASIS_LYTIC = 31
    METASTASIS_MIXED = 32
    METASTASIS_DIFFUSE = 33
    METASTASIS_TREATED = 34
    HAEMANGIOMA = 40
    BONE_ISLAND = 41
    BONE_CYST = 42
    END_PLATE_OEDEMA = 43
    END_PLATE_FAT = 44
    TARLOV_CYST = 45
    LYMPH_NODE = 46
    RED_MARROW_ISLAND = 47
    FRACTURE_OEDEMA = 48

    @property
    def is_marrow(self) -> bool:
        """Whether ``marrow_fat_percent`` is defined for it."""
        return self in (Tissue.RED_MARROW, Tissue.YELLOW_MARROW, Tissue.RED_MARROW_ISLAND)


class LesionKind(StrEnum):
    """How a metastasis looks and what it does to bone."""

    SCLEROTIC = "sclerotic"
    LYTIC = "lytic"
    MIXED = "mixed"
    DIFFUSE = "diffuse"
    TREATED = "treated"

    @property
    def tissue(self) -> Tissue:
        """Value in the tissue map."""
        return Tissue[f"METASTASIS_{self.name}"]


class LesionCourse(StrEnum):
    """What became of a lesion since the earlier time point; ``FIRST`` at the first one."""

    FIRST = "first"
    STABLE = "stable"
    GROWN = "grown"
    SHRUNK = "shrunk"
    RESPONDED = "responded"
    NEW = "new"


class MimicKind(StrEnum):
    """What a reader or a network can take for a metastasis."""

    HAEMANGIOMA = "haemangioma"
    BONE_ISLAND = "bone_island"
    CYST = "cyst"
    END_PLATE = "end_plate"
    TARLOV_CYST = "tarlov_cyst"
    NERVE_ROOT = "nerve_root"
    VESSEL = "vessel"
    LYMPH_NODE = "lymph_node"
    RED_MARROW_ISLAND = "red_marrow_island"
    FRACTURE_OEDEMA = "fracture_oedema"

    @property
    def label(self) -> int:
        """Value in the mimic map, from 1 in the order of this list."""
        return list(MimicKind).index(self) + 1

    @property
    def in_bone(self) -> bool:
        """Whether it lies inside a bone."""
        outside = (MimicKind.TARLOV_CYST, MimicKind.NERVE_ROOT)
        return self not in (*outside, MimicKind.VESSEL, MimicKind.LYMPH_NODE)


@dataclass(frozen=True)
class Lesion:
    """One metastasis.

    Attributes:
        number: Its value in the lesion map, from 1.
        kind: Appearance.
        bone: The structure that holds most of it.
        side: Patient side.
        centre_lps_mm: Centre of mass (x, y, z).
        volume_cm3: Volume in the map.
        adc_um2_per_s: Apparent diffusion coefficient.
        breaks_cortex: Whether it grows through the cortex into soft tissue.
        course: Fate since the earlier time point.
    """

    number: int
    kind: LesionKind
    bone: Bone
    side: Side
    centre_lps_mm: tuple[float, float, float]
    volume_cm3: float
    adc_um2_per_s: float
    breaks_cortex: bool
    course: LesionCourse = LesionCourse.FIRST


@dataclass(frozen=True)
class Mimic:
    """One mimic; several of a kind share a value in the mimic map, ``kind.label``.

    Attributes:
        kind: What it is.
        bone: The structure it lies in, none outside bone.
        centre_lps_mm: Centre of mass (x, y, z).
        volume_cm3: Volume in the map.
    """

    kind: MimicKind
    bone: Bone | None
    centre_lps_mm: tuple[float, float, float]
    volume_cm3: float


@dataclass(frozen=True)
class Landmarks:
    """Where the hips are, LPS mm; the convention of the eight structures rests on these.

    Attributes:
        left_head_mm: Centre of the left femoral head (x, y, z).
        right_head_mm: Centre of the right femoral head.
        head_radius_mm: Radius of the heads.
    """

    left_head_mm: tuple[float, float, float]
    right_head_mm: tuple[float, float, float]
    head_radius_mm: float

    @property
    def midline_x_mm(self) -> float:
        """Halfway between the heads."""
        return 0.5 * (self.left_head_mm[0] + self.right_head_mm[0])


@dataclass(frozen=True, eq=False)
class DigitalPatient:
    """Everything known about one man at one time point.

    All maps share ``geometry`` (axial, head-up, about 2 mm isotropic; the midpoint of the
    femoral heads lies near the LPS origin). Treat the arrays as read-only.

    Attributes:
        seed: The seed that made him.
        geometry: Grid of the maps.
        tissue: ``Tissue`` values (z, y, x).
        marrow_fat_percent: Fat fraction 0-100 of marrow voxels (z, y, x), 0 elsewhere.
        bones: Eight structures (``Bone``), 0 elsewhere; a metastasis counts as bone.
        lesions: Number of each metastasis, 0 elsewhere.
        mimics: ``MimicKind.label``, 0 elsewhere.
        lesion_table: One row per metastasis, in the order of their numbers.
        mimic_table: One row per mimic.
        landmarks: Femoral heads.
        age_years: Age.
        source: Name of the anatomy source.
        drawn: The parameters drawn, as plain data.
    """

    seed: int
    geometry: Geometry
    tissue: UInt8Array
    marrow_fat_percent: UInt8Array
    bones: UInt8Array
    lesions: UInt16Array
    mimics: UInt8Array
    lesion_table: tuple[Lesion, ...]
    mimic_table: tuple[Mimic, ...]
    landmarks: Landmarks
    age_years: float
    source: str
    drawn: dict[str, Any]

    @property
    def total_lesion_volume_cm3(self) -> float:
        """Sum over the metastases."""
        return float(sum(lesion.volume_cm3 for lesion in self.lesion_table))
