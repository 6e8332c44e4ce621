"""T1-weighted Dixon images of a digital patient, and their truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.patient import DigitalPatient, Tissue
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.examination import Examination, field_axes
from pelvimets.phantom.physics.field_map import patient_axes
from pelvimets.phantom.physics.placement import Truth, placed_geometry, truth_masks
from pelvimets.phantom.physics.reception import (
    UInt16Array,
    averaged_magnitude,
    coil_field,
    stored,
    with_breathing,
)
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
from pelvimets.phantom.physics.sequences import FAT_SHIFT_PPM, GYROMAGNETIC_MHZ_PER_T, DixonImage
from pelvimets.phantom.physics.signal import combine_dixon, dixon_fat, dixon_water
from pelvimets.phantom.physics.spins import Spins
from pelvimets.phantom.physics.truth import straight_projection

_SCALE = 16000.0  # stored numbers per unit of signal


@dataclass(frozen=True, eq=False)
class DixonImages:
    """What the Dixon sequence gives.

    Attributes:
        geometry: Grid of all arrays, LPS.
        images: The images asked for (z, y, x).
        truth: Bones, lesions and mimics on the same grid.
    """

    geometry: Geometry
    images: dict[DixonImage, UInt16Array]
    truth: Truth


def acquire_dixon(
    spins: Spins,
    scanner: Scanner,
    examination: Examination,
    artefacts: Artefacts,
    rng: np.random.Generator,
    wanted: Iterable[DixonImage] = (DixonImage.IN_PHASE,),
) -> DixonImages:
    """Run the Dixon sequence.

    Args:
        spins: The patient.
        scanner: Its ``dixon`` protocol is run.
        examination: Draws; the patient has moved by ``motion_mm``.
        artefacts: Strengths.
        rng: Source of the noise.
        wanted: Images to reconstruct.
    """
    axes = _axes(scanner, examination)
    patient_frame = _as_patient_sees(axes, examination)
    water, fat = _clean_components(spins, scanner, patient_frame, examination, artefacts)
    sigma = _noise_sigma(scanner, artefacts)
    limits = _limits(scanner, artefacts)
    scale = _SCALE * examination.gain[1]
    images = {
        image: stored(
            averaged_magnitude(combine_dixon(water, fat, image), sigma, 1, limits, rng), scale
        )
        for image in wanted
    }
    project = straight_projection(*_averaging(spins.patient, scanner, patient_frame))
    shape = (axes[0].count, axes[1].count, axes[2].count)
    return DixonImages(
        placed_geometry(axes, examination.tilt_deg),
        images,
        truth_masks(spins.patient, shape, project),
    )


def _axes(scanner: Scanner, examination: Examination) -> tuple[Axis, Axis, Axis]:
    field = scanner.dixon.field
    return field_axes(
        field.matrix, field.pixel_mm, field.slices, field.spacing_mm, examination.dixon_centre_mm
    )


def _as_patient_sees(
    axes: tuple[Axis, Axis, Axis], examination: Examination
) -> tuple[Axis, Axis, Axis]:
    """The field of view in the frame of a patient who has moved under it."""
    x, y, z = examination.motion_mm
    return axes[0].moved(-z), axes[1].moved(-y), axes[2].moved(-x)


def dixon_averaging(
    patient: DigitalPatient, scanner: Scanner, examination: Examination
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Matrices (z, y, x) that average the patient over the voxels of the Dixon images."""
    axes = _as_patient_sees(_axes(scanner, examination), examination)
    return _averaging(patient, scanner, axes)


def _averaging(
    patient: DigitalPatient,
    scanner: Scanner,
    axes: tuple[Axis, Axis, Axis],
    fat_shift_mm: float = 0.0,
) -> tuple[Float32Array, Float32Array, Float32Array]:
    source = patient_axes(patient)
    pixel_x, pixel_y = scanner.dixon.field.pixel_mm
    return (
        averaging(source[0], axes[0], scanner.dixon.field.spacing_mm),
        averaging(source[1], axes[1], pixel_y),
        averaging(source[2].moved(fat_shift_mm), axes[2], pixel_x),
    )


def _clean_components(
    spins: Spins,
    scanner: Scanner,
    axes: tuple[Axis, Axis, Axis],
    examination: Examination,
    artefacts: Artefacts,
) -> tuple[Float32Array, Float32Array]:
    """Noise-free water and fat images, coil and breathing included."""
    sequence, field_t = scanner.dixon, scanner.field_strength_t
    larmor_mhz = GYROMAGNETIC_MHZ_PER_T * field_t
    shift_px = FAT_SHIFT_PPM * larmor_mhz / sequence.pixel_bandwidth_hz
    shift_mm = artefacts.chemical_shift * shift_px * sequence.field.pixel_mm[0]
    signals = (
        (spins.water(dixon_water(sequence, field_t, spins.parameters)), 0.0),
        (spins.fat(dixon_fat(sequence, field_t, spins.parameters)), shift_mm),
    )
    coil = coil_field(examination.bias[1], (axes[0].count, axes[1].count, axes[2].count))
    water, fat = (
        _imaged(signal, _averaging(spins.patient, scanner, axes, shift), scanner, artefacts)
        for signal, shift in signals
    )
    share, distance = examination.breathing_share, examination.breathing_shift
    return (
        with_breathing(water, share, distance) * coil,
        with_breathing(fat, share, distance) * coil,
    )


def _imaged(
    signal: Float32Array,
    averaging_matrices: tuple[Float32Array, Float32Array, Float32Array],
    scanner: Scanner,
    artefacts: Artefacts,
) -> Float32Array:
    limits = _limits(scanner, artefacts)
    wz, wy, wx = (limit @ w for limit, w in zip(limits, averaging_matrices, strict=True))
    return along_x(wx, along_y(wy, along_z(wz, signal)))


def _limits(
    scanner: Scanner, artefacts: Artefacts
) -> tuple[Float32Array, Float32Array, Float32Array]:
    nx, ny = scanner.dixon.field.matrix
    fractions = scanner.dixon.acquired_fraction if artefacts.gibbs > 0.0 else (1.0, 1.0, 1.0)
    fx, fy, fz = fractions
    return (
        band_limit(scanner.dixon.field.slices, fz),
        band_limit(ny, fy),
        band_limit(nx, fx),
    )


def _noise_sigma(scanner: Scanner, artefacts: Artefacts) -> float:
    """Noise from the protocol's muscle SNR."""
    table = dixon_water(scanner.dixon, scanner.field_strength_t)
    return artefacts.noise * float(table[Tissue.MUSCLE]) / scanner.dixon.muscle_snr
