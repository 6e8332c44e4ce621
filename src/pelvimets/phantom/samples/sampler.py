"""Training samples on the fly: a random man, a random contrast, at the network's grid.

The grid's points are mapped back through the deformation into the atlas, so no fine volume
of the whole patient is ever made. The image is formed at up to twice the resolution and
averaged (partial volume); the labels are read at the voxel centres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import (
    PART_SHIFT,
    TISSUE_MASK,
    TRAINING_SOURCES,
    Atlas,
    load_atlas,
)
from pelvimets.phantom.anatomy.convention import structures
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.anatomy.mapping import MappedLattice, grid_axes
from pelvimets.phantom.anatomy.patient import Landmarks, UInt8Array
from pelvimets.phantom.anatomy.variation import (
    VariationSettings,
    draw_variation,
    patient_landmarks,
)
from pelvimets.phantom.samples.contrast import Contrast, ContrastSettings, draw_contrast
from pelvimets.phantom.samples.degrade import DegradeSettings, degrade
from pelvimets.phantom.samples.disease import DiseaseSampling, Patch, draw_patches
from pelvimets.phantom.samples.dressing import DressingSettings, dress

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FieldSettings:
    """Where the image lies and how much of the grid it fills.

    Attributes:
        small_probability: Chance of a slab as in a prostate protocol.
        small_z_mm: Height of the slab.
        small_across_mm: Width and depth of the slab.
        centre_z_mm: Centre of a large field relative to the femoral heads.
        small_centre_z_mm: The same for a slab.
        jitter_mm: Shift of the centre in x and y.
        large_across_mm: Width of a large field; it is cut when the grid is smaller.
    """

    small_probability: float = 0.3
    small_z_mm: tuple[float, float] = (60.0, 120.0)
    small_across_mm: tuple[float, float] = (160.0, 260.0)
    centre_z_mm: tuple[float, float] = (-25.0, 125.0)
    small_centre_z_mm: tuple[float, float] = (-45.0, 60.0)
    jitter_mm: float = 15.0
    large_across_mm: tuple[float, float] = (300.0, 520.0)


@dataclass(frozen=True)
class SamplerSettings:
    """Everything the sampler draws from.

    Attributes:
        sources: Anatomies in use; leave one out to measure transfer to it.
        dwi_probability: Share of DWI-like samples; the others are T1-like.
        realistic_probability: Share with MR-like contrast; the others are arbitrary.
        fine_factor_z: Finer steps inside a voxel along z.
        fine_step_mm: In plane, voxels wider than this are halved.
        lattice_mm: Distance of the points where the deformation is computed.
    """

    sources: tuple[str, ...] = TRAINING_SOURCES
    dwi_probability: float = 0.5
    realistic_probability: float = 0.6
    fine_factor_z: int = 2
    fine_step_mm: float = 2.6
    lattice_mm: float = 12.0
    variation: VariationSettings = field(default_factory=VariationSettings)
    field_of_view: FieldSettings = field(default_factory=FieldSettings)
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    dressing: DressingSettings = field(default_factory=DressingSettings)
    disease: DiseaseSampling = field(default_factory=DiseaseSampling)
    degrade: DegradeSettings = field(default_factory=DegradeSettings)


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """One sample; all arrays (z, y, x) on one grid, axial, head-up.

    Attributes:
        image: Raw magnitude; 0 outside the field.
        bones: ``Bone`` values; 0 outside the field.
        lesions: 1 in metastases.
        mimics: ``MimicKind.label``.
        valid: Inside the field of view.
        sequence: Kind of contrast.
        spacing_mm: Voxel distance (z, y, x).
        source: Anatomy.
        landmarks: Femoral heads, LPS mm, in the frame of ``origin_lps_mm``.
        origin_lps_mm: (x, y, z) of voxel (0, 0, 0).
    """

    image: Float32Array
    bones: UInt8Array
    lesions: UInt8Array
    mimics: UInt8Array
    valid: BoolArray
    sequence: Literal["dwi", "t1"]
    spacing_mm: tuple[float, float, float]
    source: str
    landmarks: Landmarks
    origin_lps_mm: tuple[float, float, float]


@dataclass(frozen=True)
class _Window:
    """Centre of the grid in the patient (z, y, x) and the field's half size in mm."""

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]


def draw_sample(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (48, 96, 96),
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    settings: SamplerSettings | None = None,
) -> TrainingSample:
    """Draw one training sample.

    Args:
        rng: Source of all randomness; the same state gives the same sample.
        shape: Voxels (z, y, x).
        spacing_mm: Voxel distance (z, y, x).
        settings: Ranges; the default ones serve training.

    Raises:
        SettingsError: if a source is unknown.
    """
    settings = settings or SamplerSettings()
    atlas = load_atlas(settings.sources[rng.integers(len(settings.sources))])
    variation = draw_variation(rng, settings.variation, atlas.landmarks.head_radius_mm)
    landmarks = patient_landmarks(variation, atlas.landmarks)
    sequence = Sequence.DWI if rng.random() < settings.dwi_probability else Sequence.T1
    window = _draw_window(rng, settings.field_of_view, shape, spacing_mm, atlas, landmarks)
    contrast = draw_contrast(rng, sequence, settings.realistic_probability, settings.contrast)
    coarse_axes = grid_axes(shape, spacing_mm, window.centre_mm, (1, 1, 1))
    lattice = MappedLattice.over(coarse_axes, spacing_mm, settings.lattice_mm, variation, atlas)
    factors = _fine_factors(spacing_mm, settings)
    fine_axes = grid_axes(shape, spacing_mm, window.centre_mm, factors)
    fine_spacing = tuple(s / f for s, f in zip(spacing_mm, factors, strict=True))
    fine = dress(rng, lattice.look_up(fine_axes), fine_spacing, settings.dressing)
    patches = draw_patches(rng, fine, fine_spacing, contrast, settings.disease)
    image = _average(_paint(rng, fine, patches, contrast, fine_spacing), factors)
    lesions = _share(patches, fine.shape, factors, lesion=True)
    mimics = _share(patches, fine.shape, factors, lesion=False)
    mimics[lesions > 0] = 0
    part = _grown(lattice.look_up(coarse_axes) >> np.uint8(PART_SHIFT), patches, lesions, factors)
    z, y, x = np.meshgrid(*coarse_axes, indexing="ij", sparse=True)
    bones = structures(part, x, y, z, landmarks)
    valid = _inside(coarse_axes, window)
    image = degrade(rng, image, spacing_mm, valid, settings.degrade)
    for labels in (bones, lesions, mimics):
        labels[~valid] = 0
    lesions[bones == 0] = 0
    origin = (float(coarse_axes[2][0]), float(coarse_axes[1][0]), float(coarse_axes[0][0]))
    return TrainingSample(
        image,
        bones,
        lesions,
        mimics,
        valid,
        sequence.value,
        spacing_mm,
        atlas.name,
        landmarks,
        origin,
    )


def _draw_window(
    rng: np.random.Generator,
    field_of_view: FieldSettings,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    atlas: Atlas,
    landmarks: Landmarks,
) -> _Window:
    heads = np.mean([landmarks.left_head_mm, landmarks.right_head_mm], axis=0)
    small = rng.random() < field_of_view.small_probability
    span = field_of_view.small_centre_z_mm if small else field_of_view.centre_z_mm
    jitter = rng.uniform(-1.0, 1.0, 2) * field_of_view.jitter_mm
    centre = (
        float(heads[2] + rng.uniform(*span)),
        float(heads[1] + 5.0 + jitter[0]),
        float(heads[0] + jitter[1]),
    )
    across = field_of_view.small_across_mm if small else field_of_view.large_across_mm
    width = rng.uniform(*across)
    depth = width if small else width * rng.uniform(0.7, 1.0)
    height = rng.uniform(*field_of_view.small_z_mm) if small else np.inf
    return _Window(centre, (height / 2.0, depth / 2.0, width / 2.0))


def _fine_factors(
    spacing_mm: tuple[float, float, float], settings: SamplerSettings
) -> tuple[int, int, int]:
    _, y, x = (2 if s > settings.fine_step_mm else 1 for s in spacing_mm)
    return settings.fine_factor_z, y, x


def _paint(
    rng: np.random.Generator,
    fine: UInt8Array,
    patches: list[Patch],
    contrast: Contrast,
    spacing_mm: tuple[float, ...],
) -> Float32Array:
    """Signal on the fine grid: tissue mean and texture, then what the disease changes."""
    tissue = fine & np.uint8(TISSUE_MASK)
    cell = rng.uniform(5.0, 16.0)
    cells = tuple(max(1.0, cell / s) for s in spacing_mm)
    noise = smooth_noise(rng, fine.shape, (cells[0], cells[1], cells[2]))
    signal = _mean_signal(rng, tissue, contrast, spacing_mm)
    noise *= contrast.texture[tissue]
    signal += noise
    for patch in patches:
        box = signal[patch.box]
        box[patch.mask] = (patch.signal * (1.0 + patch.texture * patch.noise))[patch.mask]
    return np.asarray(np.maximum(signal, 0.0, out=signal))


def _mean_signal(
    rng: np.random.Generator,
    tissue: UInt8Array,
    contrast: Contrast,
    spacing_mm: tuple[float, ...],
) -> Float32Array:
    """Mean of each voxel's tissue, in images with sub-classes of that at its place."""
    count = len(contrast.classes)
    if count == 1:
        return contrast.mean[tissue]
    z, y, x = (max(1.0, contrast.class_cell_mm / s) for s in spacing_mm)
    level = smooth_noise(rng, (tissue.shape[0], tissue.shape[1], tissue.shape[2]), (z, y, x))
    borders = np.quantile(level.reshape(-1)[::97], np.arange(1, count) / count)
    table = contrast.mean * contrast.classes
    return np.asarray(table[np.searchsorted(borders, level), tissue])


def _average(fine: Float32Array, factors: tuple[int, int, int]) -> Float32Array:
    fz, fy, fx = factors
    z, y, x = fine.shape
    blocks = fine.reshape(z // fz, fz, y // fy, fy, x // fx, fx)
    out: Float32Array = blocks[:, 0, :, 0, :, 0].copy()
    for i in range(fz):
        for j in range(fy):
            for k in range(fx):
                if i or j or k:
                    out += blocks[:, i, :, j, :, k]
    return np.asarray(out / np.float32(fz * fy * fx))


def _share(
    patches: list[Patch], shape: tuple[int, ...], factors: tuple[int, int, int], lesion: bool
) -> UInt8Array:
    """Labels of lesions (1) or mimics at voxels that the patches fill to at least half."""
    coarse = tuple(n // f for n, f in zip(shape, factors, strict=True))
    out = np.zeros(coarse, np.uint8)
    for patch in patches:
        if patch.is_lesion != lesion:
            continue
        box, share = _pooled(patch, factors, coarse)
        out[box][share >= 0.5] = 1 if lesion else patch.label
    return out


def _pooled(
    patch: Patch, factors: tuple[int, int, int], coarse: tuple[int, ...]
) -> tuple[tuple[slice, ...], Float32Array]:
    """Share of each coarse voxel that a patch fills."""
    low = [s.start // f for s, f in zip(patch.box, factors, strict=True)]
    high = [-(-s.stop // f) for s, f in zip(patch.box, factors, strict=True)]
    padding = [
        (s.start - a * f, b * f - s.stop)
        for s, a, b, f in zip(patch.box, low, high, factors, strict=True)
    ]
    padded = np.pad(patch.mask, padding).astype(np.float32)
    box = tuple(slice(a, min(b, n)) for a, b, n in zip(low, high, coarse, strict=True))
    return box, _average(padded, factors)


def _grown(
    part: UInt8Array,
    patches: list[Patch],
    lesions: UInt8Array,
    factors: tuple[int, int, int],
) -> UInt8Array:
    """Bone parts with the metastases that grow beyond them: they count as bone."""
    for patch in patches:
        if patch.is_lesion:
            box, share = _pooled(patch, factors, part.shape)
            view = part[box]
            view[(share >= 0.5) & (view == 0) & (lesions[box] > 0)] = patch.part
    return part


def _inside(axes: tuple[npt.NDArray[np.float64], ...], window: _Window) -> BoolArray:
    z, y, x = (
        np.abs(axis - c) <= h
        for axis, c, h in zip(axes, window.centre_mm, window.half_mm, strict=True)
    )
    return z[:, None, None] & y[None, :, None] & x[None, None, :]
