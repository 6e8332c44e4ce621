"""Diffusion images of a digital patient: spin-echo EPI, its distortion, the ADC map, the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.patient import DigitalPatient, Tissue
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.epi import distorted, with_ghost
from pelvimets.phantom.physics.examination import Examination, field_axes
from pelvimets.phantom.physics.field_map import field_offset_ppm, patient_axes
from pelvimets.phantom.physics.placement import Truth, placed_geometry, truth_masks
from pelvimets.phantom.physics.reception import UInt16Array, averaged_magnitude, coil_field, stored
from pelvimets.phantom.physics.sampling import (
    Axis,
    Float32Array,
    along_x,
    along_y,
    along_z,
    averaging,
    band_limit,
)
from pelvimets.phantom.physics.scanner import Scanner
from pelvimets.phantom.physics.sequences import FAT_SHIFT_PPM, GYROMAGNETIC_MHZ_PER_T
from pelvimets.phantom.physics.signal import diffusion_fat, diffusion_water, fat_left
from pelvimets.phantom.physics.spins import Spins
from pelvimets.phantom.physics.truth import displaced_projection

_SCALE = 4000.0  # stored numbers per unit of signal
_SUPPRESSION_EDGE_PPM = 2.1
_SUPPRESSION_SOFTNESS_PPM = 0.3
_ADC_SIGNAL_FLOOR = 4.0  # b0 signal below this many noise sigmas gives no ADC


@dataclass(frozen=True, eq=False)
class DiffusionImages:
    """What the diffusion sequence gives.

    Attributes:
        geometry: Grid of all arrays, LPS.
        by_b: Image (z, y, x) of each b-value (s/mm2), ascending.
        adc_um2_per_s: ADC map from all b-values; 0 where there is too little signal.
        truth: Bones, lesions and mimics on the same grid.
        displacement_mm: Shift of water along y that 99.9 % of the body stay below.
    """

    geometry: Geometry
    by_b: dict[float, UInt16Array]
    adc_um2_per_s: UInt16Array
    truth: Truth
    displacement_mm: float


@dataclass(frozen=True, eq=False)
class _View:
    """Matrices and shifts between patient and image."""

    axes: tuple[Axis, Axis, Axis]
    source_y: Axis
    wz: Float32Array
    wx: Float32Array
    ppm: Float32Array  # field error on the lines (z of image, y of patient, x of image)
    mm_per_ppm: float  # displacement
    distortion: float  # strength of the artefact

    def lines(self, volume: Float32Array) -> Float32Array:
        return along_x(self.wx, along_z(self.wz, volume))

    def seen(self, lines: Float32Array, extra_ppm: float = 0.0) -> Float32Array:
        ppm = self.ppm * np.float32(self.distortion) + np.float32(extra_ppm)
        shift = ppm * np.float32(self.mm_per_ppm)
        return distorted(lines, shift, self.source_y, self.axes[1])


def acquire_diffusion(
    spins: Spins,
    scanner: Scanner,
    examination: Examination,
    artefacts: Artefacts,
    rng: np.random.Generator,
) -> DiffusionImages:
    """Run the diffusion sequence.

    Args:
        spins: The patient.
        scanner: Its ``diffusion`` protocol is run.
        examination: Draws.
        artefacts: Strengths.
        rng: Source of the noise.
    """
    view = _view(spins.patient, scanner, examination, artefacts)
    clean = _clean_images(spins, scanner, view, examination, artefacts)
    sigma = _noise_sigma(scanner, spins, artefacts)
    by_b = _received(clean, sigma, scanner, examination, artefacts, rng)
    scale = _SCALE * examination.gain[0]
    source_row = _source_rows(view)
    return DiffusionImages(
        geometry=placed_geometry(view.axes, examination.tilt_deg),
        by_b={b: stored(image, scale) for b, image in by_b.items()},
        adc_um2_per_s=adc_map(by_b, _ADC_SIGNAL_FLOOR * sigma),
        truth=truth_masks(
            spins.patient,
            (view.axes[0].count, view.axes[1].count, view.axes[2].count),
            displaced_projection(view.wz, view.wx, source_row),
        ),
        displacement_mm=_largest_shift(view, spins.patient),
    )


def adc_map(by_b: dict[float, Float32Array], floor: float) -> UInt16Array:
    """Least-squares slope of the log signal against b, in um2/s; 0 below the signal floor."""
    b = np.array(list(by_b))
    weight = (b - b.mean()) / ((b - b.mean()) ** 2).sum()
    tiny = np.float32(1e-6)
    slope = sum(
        np.float32(w) * np.log(np.maximum(image, tiny))
        for w, image in zip(weight, by_b.values(), strict=True)
    )
    adc = np.clip(-1e6 * np.asarray(slope), 0.0, 4095.0)
    adc[next(iter(by_b.values())) < max(floor, 1e-5)] = 0.0
    return np.rint(adc).astype(np.uint16)


def diffusion_averaging(
    patient: DigitalPatient, scanner: Scanner, examination: Examination
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Matrices (z, y, x) that average the patient over undistorted diffusion voxels."""
    field = scanner.diffusion.field
    axes = _axes(scanner, examination)
    source = patient_axes(patient)
    return (
        averaging(source[0], axes[0], field.thickness_mm, edge_mm=0.25 * field.thickness_mm),
        averaging(source[1], axes[1], field.pixel_mm[1]),
        averaging(source[2], axes[2], field.pixel_mm[0]),
    )


def _axes(scanner: Scanner, examination: Examination) -> tuple[Axis, Axis, Axis]:
    field = scanner.diffusion.field
    return field_axes(
        field.matrix,
        field.pixel_mm,
        field.slices,
        field.spacing_mm,
        examination.diffusion_centre_mm,
    )


def _view(
    patient: DigitalPatient, scanner: Scanner, examination: Examination, artefacts: Artefacts
) -> _View:
    field = scanner.diffusion.field
    axes = _axes(scanner, examination)
    source = patient_axes(patient)
    wz, _, wx = diffusion_averaging(patient, scanner, examination)
    larmor_mhz = GYROMAGNETIC_MHZ_PER_T * scanner.field_strength_t
    return _View(
        axes=axes,
        source_y=source[1],
        wz=wz,
        wx=wx,
        ppm=_field_on_lines(patient, axes, source[1], examination, artefacts),
        mm_per_ppm=larmor_mhz / scanner.diffusion.phase_bandwidth_hz * field.pixel_mm[1],
        distortion=artefacts.epi_distortion,
    )


def _field_on_lines(
    patient: DigitalPatient,
    axes: tuple[Axis, Axis, Axis],
    source_y: Axis,
    examination: Examination,
    artefacts: Artefacts,
) -> Float32Array:
    """Field error where the signal comes from: the patient's own, and the magnet's at its rim."""
    shape = (axes[0].count, source_y.count, axes[2].count)
    if artefacts.epi_distortion <= 0.0 and artefacts.fat_suppression_failure <= 0.0:
        return np.zeros(shape, np.float32)
    offset, coarse = field_offset_ppm(patient)
    ppm = along_z(averaging(coarse[0], axes[0], 0.0), offset)
    ppm = along_y(averaging(coarse[1], source_y, 0.0), ppm)
    ppm = along_x(averaging(coarse[2], axes[2], 0.0), ppm)
    z = (axes[0].centres_mm / 190.0)[:, None, None]
    y = (source_y.centres_mm / 220.0)[None, :, None]
    x = (axes[2].centres_mm / 220.0)[None, None, :]
    rim = examination.edge_ppm * (np.abs(x) ** 4 + np.abs(z) ** 4 + np.abs(y) ** 4)
    return np.asarray(np.clip(ppm, -4.0, 4.0) + rim, np.float32)


def _clean_images(
    spins: Spins,
    scanner: Scanner,
    view: _View,
    examination: Examination,
    artefacts: Artefacts,
) -> dict[float, Float32Array]:
    """Noise-free images of each b-value before the coil."""
    sequence, field_t = scanner.diffusion, scanner.field_strength_t
    fat_table = diffusion_fat(sequence, field_t, 0.0, spins.parameters)
    fat = view.lines(spins.fat(fat_table)) * _fat_survival(view, scanner, artefacts)
    fat = view.seen(fat, -FAT_SHIFT_PPM * artefacts.chemical_shift)
    images = {}
    for b in sequence.b_values_s_per_mm2:
        table = diffusion_water(sequence, field_t, b, spins.parameters)
        water = view.seen(view.lines(spins.water(table, b)))
        fat_decay = _fat_decay(scanner, spins, b)
        images[b] = _limited(water + np.float32(fat_decay) * fat, scanner, artefacts)
    if artefacts.ghost > 0.0:
        share, phase = examination.ghost_share, examination.ghost_phase_rad
        images = {b: with_ghost(image, share, phase) for b, image in images.items()}
    return images


def _fat_survival(view: _View, scanner: Scanner, artefacts: Artefacts) -> Float32Array:
    """Share of the fat signal left on the lines: little, but all of it where the field is off."""
    left = np.float32(fat_left(scanner.diffusion))
    if artefacts.fat_suppression_failure <= 0.0:
        return np.full_like(view.ppm, left)
    edge = _SUPPRESSION_EDGE_PPM / artefacts.fat_suppression_failure
    excess = (np.abs(view.ppm) - edge) / _SUPPRESSION_SOFTNESS_PPM
    failed = 1.0 / (1.0 + np.exp(-np.clip(excess, -30.0, 30.0)))
    return np.asarray(left + (1.0 - left) * failed, np.float32)


def _fat_decay(scanner: Scanner, spins: Spins, b_s_per_mm2: float) -> float:
    tables = [
        diffusion_fat(scanner.diffusion, scanner.field_strength_t, b, spins.parameters)
        for b in (0.0, b_s_per_mm2)
    ]
    tissue = Tissue.SUBCUTANEOUS_FAT
    return float(tables[1][tissue] / tables[0][tissue])


def _limits(scanner: Scanner, artefacts: Artefacts) -> tuple[Float32Array, Float32Array]:
    nx, ny = scanner.diffusion.field.matrix
    fx, fy = scanner.diffusion.acquired_fraction if artefacts.gibbs > 0.0 else (1.0, 1.0)
    return band_limit(ny, fy), band_limit(nx, fx)


def _limited(image: Float32Array, scanner: Scanner, artefacts: Artefacts) -> Float32Array:
    limit_y, limit_x = _limits(scanner, artefacts)
    return along_x(limit_x, along_y(limit_y, image))


def _noise_sigma(scanner: Scanner, spins: Spins, artefacts: Artefacts) -> float:
    """Noise of one average, from the protocol's muscle SNR at its lowest b-value."""
    sequence = scanner.diffusion
    table = diffusion_water(sequence, scanner.field_strength_t, sequence.b_values_s_per_mm2[0])
    return artefacts.noise * float(table[Tissue.MUSCLE]) / sequence.muscle_snr


def _received(
    clean: dict[float, Float32Array],
    sigma: float,
    scanner: Scanner,
    examination: Examination,
    artefacts: Artefacts,
    rng: np.random.Generator,
) -> dict[float, Float32Array]:
    limits = (None, *_limits(scanner, artefacts))
    shape = next(iter(clean.values())).shape
    coil = coil_field(examination.bias[0], (shape[0], shape[1], shape[2]))
    return {
        b: averaged_magnitude(image * coil, sigma, averages, limits, rng)
        for (b, image), averages in zip(clean.items(), scanner.diffusion.averages, strict=True)
    }


def _source_rows(view: _View) -> Float32Array:
    """For each voxel of the image, the row of the patient's grid its signal comes from."""
    ones = np.ones((view.axes[0].count, view.source_y.count, view.axes[2].count), np.float32)
    rows = np.arange(view.source_y.count, dtype=np.float32)[None, :, None] * ones
    weight = view.seen(ones)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0.05, view.seen(rows) / weight, np.nan).astype(np.float32)


def _largest_shift(view: _View, patient: DigitalPatient) -> float:
    solid = np.isin(patient.tissue, (Tissue.AIR, Tissue.GAS), invert=True)
    inside = view.lines(solid.astype(np.float32)) > 0.5
    if not inside.any():
        return 0.0
    ppm = float(np.quantile(np.abs(view.ppm[inside]), 0.999)) * view.distortion
    return ppm * view.mm_per_ppm
