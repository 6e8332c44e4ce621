"""The series around: localiser, T2-weighted images and STIR, as pelvic protocols have them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.examination import Examination
from pelvimets.phantom.physics.field_map import patient_axes
from pelvimets.phantom.physics.placement import placed_geometry
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
from pelvimets.phantom.physics.signal import short_tau_inversion_recovery, turbo_spin_echo
from pelvimets.phantom.physics.spins import Spins

_SCALE = 1600.0


class Plane(StrEnum):
    """Orientation of slices."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"


@dataclass(frozen=True)
class CompanionSequence:
    """A T2-weighted turbo spin echo, or STIR.

    Attributes:
        name: What it is for.
        plane: Orientation.
        tr_ms, te_ms: Repetition and echo time.
        slices, thickness_mm, spacing_mm: Slices.
        pixel_mm, pixels: Square pixels, square matrix.
        muscle_snr: Mean muscle signal over noise.
        nulls_fat: Whether an inversion pulse goes before, timed to null fat.
    """

    name: str
    plane: Plane
    tr_ms: float
    te_ms: float
    slices: int
    thickness_mm: float
    spacing_mm: float
    pixel_mm: float
    pixels: int
    muscle_snr: float = 15.0
    nulls_fat: bool = False


LOCALISERS = tuple(
    CompanionSequence("localiser", plane, 1200.0, 80.0, 5, 8.0, 20.0, 3.5, 128, 8.0)
    for plane in Plane
)
T2_SAGITTAL = CompanionSequence(
    "T2 sagittal", Plane.SAGITTAL, 4500.0, 100.0, 23, 4.0, 4.4, 1.2, 224
)
T2_AXIAL = CompanionSequence("T2 axial", Plane.AXIAL, 5200.0, 102.0, 28, 4.0, 4.4, 0.9, 256)
STIR_AXIAL = CompanionSequence(
    "STIR axial", Plane.AXIAL, 4500.0, 60.0, 44, 5.0, 5.5, 1.5, 272, nulls_fat=True
)


@dataclass(frozen=True, eq=False)
class CompanionImages:
    """One stack of a companion series."""

    sequence: CompanionSequence
    geometry: Geometry
    array: UInt16Array


def acquire_companion(
    spins: Spins,
    sequence: CompanionSequence,
    scanner: Scanner,
    examination: Examination,
    artefacts: Artefacts,
    rng: np.random.Generator,
) -> CompanionImages:
    """Run one companion sequence around the centre of the diffusion field.

    Args:
        spins: The patient.
        sequence: What to run.
        scanner: Its field strength counts.
        examination: Draws.
        artefacts: Strengths.
        rng: Source of the noise.
    """
    axes = _axes(sequence, examination)
    signal_of = short_tau_inversion_recovery if sequence.nulls_fat else turbo_spin_echo
    water_table, fat_table = signal_of(
        sequence.tr_ms, sequence.te_ms, scanner.field_strength_t, spins.parameters
    )
    clean = _sampled(spins.water(water_table) + spins.fat(fat_table), spins, sequence, axes)
    shape = (axes[0].count, axes[1].count, axes[2].count)
    clean = clean * coil_field(examination.bias[0], shape)
    sigma = artefacts.noise * abs(float(water_table[Tissue.MUSCLE])) / sequence.muscle_snr
    limits = (None, band_limit(shape[1], 0.9), band_limit(shape[2], 0.9))
    image = stored(averaged_magnitude(clean, sigma, 1, limits, rng), _SCALE)
    order, flips = _ORDERS[sequence.plane]
    array = image.transpose(order)[
        tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    ]
    geometry = placed_geometry(axes, examination.tilt_deg).reoriented(order, flips)
    return CompanionImages(sequence, geometry, np.ascontiguousarray(array))


_ORDERS: dict[Plane, tuple[tuple[int, int, int], tuple[bool, bool, bool]]] = {
    Plane.AXIAL: ((0, 1, 2), (False, False, False)),
    Plane.SAGITTAL: ((2, 0, 1), (False, True, False)),
    Plane.CORONAL: ((1, 0, 2), (False, True, False)),
}


def _axes(sequence: CompanionSequence, examination: Examination) -> tuple[Axis, Axis, Axis]:
    x, y, z = examination.diffusion_centre_mm
    counts = dict.fromkeys("zyx", (sequence.pixel_mm, sequence.pixels))
    across = {Plane.AXIAL: "z", Plane.CORONAL: "y", Plane.SAGITTAL: "x"}[sequence.plane]
    counts[across] = (sequence.spacing_mm, sequence.slices)
    return (
        Axis.centred(z, *counts["z"]),
        Axis.centred(y, *counts["y"]),
        Axis.centred(x, *counts["x"]),
    )


def _sampled(
    signal: Float32Array,
    spins: Spins,
    sequence: CompanionSequence,
    axes: tuple[Axis, Axis, Axis],
) -> Float32Array:
    source = patient_axes(spins.patient)
    widths = [
        sequence.thickness_mm if axis.step_mm == sequence.spacing_mm else axis.step_mm
        for axis in axes
    ]
    wz, wy, wx = (
        averaging(given, axis, width)
        for given, axis, width in zip(source, axes, widths, strict=True)
    )
    return along_x(wx, along_y(wy, along_z(wz, signal)))
