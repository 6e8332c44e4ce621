"""The healthy man: draw his parameters, then fill a fine grid with tissue.

``draw_anatomy`` decides, ``build_anatomy`` applies; the draw is recorded with the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import SettingsError
from pelvimets.phantom.anatomy.atlas import SOURCES, TRAINING_SOURCES, Atlas, load_atlas
from pelvimets.phantom.anatomy.convention import structures
from pelvimets.phantom.anatomy.filling import add_rectal_gas, marble_muscle, resize_bladder
from pelvimets.phantom.anatomy.mapping import Axes, MappedLattice
from pelvimets.phantom.anatomy.marrow import MarrowSettings, fat_percent
from pelvimets.phantom.anatomy.patient import Landmarks, UInt8Array
from pelvimets.phantom.anatomy.variation import (
    Variation,
    VariationSettings,
    draw_variation,
    patient_landmarks,
)

PATIENT_VARIATION = VariationSettings(
    tilt_deg=(-10.0, 10.0),
    lordosis_mm=(-14.0, 14.0),
    femur_version_deg=(-12.0, 12.0),
    femur_abduction_deg=(-5.0, 5.0),
    warp_mm=(1.0, 6.0),
    fine_warp_mm=(0.5, 2.0),
)


@dataclass(frozen=True)
class AnatomySettings:
    """What healthy men differ in.

    Attributes:
        sources: Anatomies in use.
        spacing_mm: Voxel size, isotropic.
        low_mm: Lower border of the grid (z, y, x), LPS mm, origin between the heads.
        high_mm: Upper border.
        lattice_mm: Distance of the points where the deformation is computed.
        age_years: Mean, standard deviation, lowest, highest.
        bladder_scale: Diameter relative to the full bladder of the atlas.
        rectal_gas: Largest share of the rectum's content that is gas; half of men have none.
        muscle_fat: Strands of fat in muscle, 0 lean to 1 heavily infiltrated.
        variation: Shape.
        marrow: Red and yellow marrow.
    """

    sources: tuple[str, ...] = TRAINING_SOURCES
    spacing_mm: float = 1.75
    low_mm: tuple[float, float, float] = (-120.0, -175.0, -225.0)
    high_mm: tuple[float, float, float] = (265.0, 165.0, 225.0)
    lattice_mm: float = 12.0
    age_years: tuple[float, float, float, float] = (69.0, 8.0, 45.0, 90.0)
    bladder_scale: tuple[float, float] = (0.45, 1.0)
    rectal_gas: float = 0.7
    muscle_fat: tuple[float, float] = (0.1, 0.8)
    variation: VariationSettings = PATIENT_VARIATION
    marrow: MarrowSettings = field(default_factory=MarrowSettings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.sources if name not in SOURCES]
        if unknown or not self.sources:
            raise SettingsError(
                "The anatomies in use are not known", got=self.sources, remedy=f"Use {SOURCES}"
            )
        if not 0.5 <= self.spacing_mm <= 8.0:
            raise SettingsError("The voxel size lies outside 0.5-8 mm", got=self.spacing_mm)

    @property
    def geometry(self) -> Geometry:
        """Grid of every patient."""
        extent = np.subtract(self.high_mm, self.low_mm)
        nz, ny, nx = (int(n) for n in np.floor(extent / self.spacing_mm) + 1)
        z, y, x = self.low_mm
        return Geometry.from_axes((nz, ny, nx), (self.spacing_mm,) * 3, (x, y, z))


@dataclass(frozen=True, eq=False)
class AnatomyDraw:
    """One man's parameters; ``build_anatomy`` needs nothing else that is random.

    Attributes:
        source: Name of the anatomy.
        variation: Shape.
        age_years: Age.
        bladder_scale: Diameter relative to the atlas.
        rectal_gas: Share of the rectum's content.
        muscle_fat: Strands of fat in muscle.
        texture_seed: Seed of marrow texture.
    """

    source: str
    variation: Variation
    age_years: float
    bladder_scale: float
    rectal_gas: float
    muscle_fat: float
    texture_seed: int


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A healthy man on the fine grid; all maps (z, y, x).

    Attributes:
        geometry: Grid.
        tissue: ``Tissue`` values.
        part: ``Split`` values.
        bones: ``Bone`` values.
        marrow_fat_percent: 0-100 in marrow, 0 elsewhere.
        landmarks: Femoral heads.
        age_years: Age.
    """

    geometry: Geometry
    tissue: UInt8Array
    part: UInt8Array
    bones: UInt8Array
    marrow_fat_percent: UInt8Array
    landmarks: Landmarks
    age_years: float


def draw_anatomy(
    rng: np.random.Generator, settings: AnatomySettings, age_years: float | None = None
) -> AnatomyDraw:
    """Draw one man; a given age is kept."""
    source = settings.sources[rng.integers(len(settings.sources))]
    mean, spread, youngest, oldest = settings.age_years
    drawn_age = float(np.clip(rng.normal(mean, spread), youngest, oldest))
    return AnatomyDraw(
        source=source,
        variation=draw_variation(
            rng, settings.variation, load_atlas(source).landmarks.head_radius_mm
        ),
        age_years=drawn_age if age_years is None else age_years,
        bladder_scale=float(rng.uniform(*settings.bladder_scale)),
        rectal_gas=max(0.0, float(rng.uniform(-settings.rectal_gas, settings.rectal_gas))),
        muscle_fat=float(rng.uniform(*settings.muscle_fat)),
        texture_seed=int(rng.integers(2**31)),
    )


def build_anatomy(draw: AnatomyDraw, settings: AnatomySettings) -> Anatomy:
    """Fill the grid with the drawn man; the same draw gives the same bytes."""
    atlas = load_atlas(draw.source)
    geometry = settings.geometry
    axes = axes_of(geometry)
    landmarks = patient_landmarks(draw.variation, atlas.landmarks)
    tissue, part = _look_up(draw.variation, atlas, axes, geometry, settings.lattice_mm)
    rng = np.random.default_rng(draw.texture_seed)
    resize_bladder(rng, tissue, geometry.spacing, draw.bladder_scale)
    marble_muscle(rng, tissue, geometry.spacing, draw.muscle_fat)
    add_rectal_gas(tissue, geometry, landmarks, draw.rectal_gas)
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    bones = structures(part, x, y, z, landmarks)
    age = draw.age_years
    fat = fat_percent(rng, tissue, Volume(bones, geometry), landmarks, age, settings.marrow)
    return Anatomy(geometry, tissue, part, bones, fat, landmarks, age)


def axes_of(geometry: Geometry) -> Axes:
    """LPS coordinates along (z, y, x) of an axial, head-up grid."""
    origin = geometry.origin[::-1]
    return tuple(
        np.asarray(o + np.arange(n) * s)
        for o, n, s in zip(origin, geometry.shape, geometry.spacing, strict=True)
    )


def _look_up(
    variation: Variation, atlas: Atlas, axes: Axes, geometry: Geometry, lattice_mm: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Tissue and part of every voxel; above and below the atlas its last slices go on."""
    lattice = MappedLattice.over(axes, geometry.spacing, lattice_mm, variation, atlas)
    code = lattice.look_up(axes)
    return tissue_of(code), part_of(code)


def tissue_of(code: UInt8Array) -> UInt8Array:
    """``Tissue`` in an atlas code."""
    return code & np.uint8(31)


def part_of(code: UInt8Array) -> UInt8Array:
    """``Split`` in an atlas code."""
    return code >> np.uint8(5)
