"""Scanners that nobody owns: protocols drawn from wide ranges, for training.

A network that has seen two protocols knows two protocols. Echo-planar images change most from
one scanner to the next: echo time, b-value, bandwidth along the phase encoding (and with it
distortion), fat suppression, resolution and noise are drawn here from what pelvic and
whole-body protocols use (Padhani et al., Eur Urol 2017;71:81, MET-RADS-P, core protocol;
Table 1 of the paper lies inside). The artefacts' strengths are drawn, too.
"""

from __future__ import annotations

import numpy as np

from pelvimets.phantom.choices import Artefacts, Vendor
from pelvimets.phantom.physics.scanner import Scanner
from pelvimets.phantom.physics.sequences import (
    FAT_SHIFT_PPM,
    GYROMAGNETIC_MHZ_PER_T,
    DiffusionSequence,
    DixonSequence,
    Field,
)

_HIGH_B_S_PER_MM2 = (500.0, 600.0, 700.0, 800.0, 900.0, 1000.0, 1200.0, 1400.0)
_HIGH_B_WEIGHT = (0.05, 0.07, 0.08, 0.25, 0.15, 0.25, 0.08, 0.07)
_HEIGHT_MM = (190.0, 300.0)

_STRENGTHS = {
    "noise": (0.6, 1.6),
    "coil_bias": (0.5, 2.0),
    "epi_distortion": (0.5, 1.6),
    "fat_suppression_failure": (0.6, 1.5),
    "ghost": (0.0, 3.0),
    "breathing": (0.0, 2.0),
    "motion": (0.5, 2.0),
    "tilt": (0.5, 1.5),
}


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """A scanner with protocols drawn from the ranges of this module; two in three have 3 T."""
    field_t = 3.0 if rng.random() < 2 / 3 else 1.5
    return Scanner(
        name="drawn",
        vendor=list(Vendor)[rng.integers(len(Vendor))],
        model="drawn protocol",
        field_strength_t=field_t,
        diffusion=_diffusion(rng),
        dixon=_dixon(rng, field_t),
    )


def draw_artefacts(rng: np.random.Generator) -> Artefacts:
    """Artefacts from mild to bad; 1 is usual."""
    strengths = {name: float(rng.uniform(*ends)) for name, ends in _STRENGTHS.items()}
    return Artefacts().with_strength(**strengths)


def _diffusion(rng: np.random.Generator) -> DiffusionSequence:
    thickness = rng.uniform(4.0, 8.0)
    high = float(rng.choice(_HIGH_B_S_PER_MM2, p=_HIGH_B_WEIGHT))
    return DiffusionSequence(
        te_ms=float(rng.uniform(50.0, 95.0)),
        tr_ms=float(rng.uniform(3000.0, 8000.0)),
        b_values_s_per_mm2=(float(rng.choice((0.0, 50.0))), high),
        averages=(2, int(rng.integers(4, 11))),
        field=_field(rng, (1.4, 3.0), thickness, thickness + rng.uniform(0.0, 2.0)),
        acquired_fraction=(float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.45, 0.9))),
        muscle_snr=float(rng.uniform(9.0, 24.0)),
        phase_bandwidth_hz=float(rng.uniform(14.0, 34.0)),
        fat_suppression=float(rng.uniform(0.9, 0.985)),
    )


def _dixon(rng: np.random.Generator, field_t: float) -> DixonSequence:
    cycle_ms = 1e3 / (FAT_SHIFT_PPM * GYROMAGNETIC_MHZ_PER_T * field_t)
    thickness = rng.uniform(2.0, 5.0)
    overlap = rng.choice((0.5, 1.0))  # interpolated between slices, or not
    return DixonSequence(
        te_in_ms=float(cycle_ms * rng.uniform(0.84, 1.07)),
        te_out_ms=float(cycle_ms / 2),
        tr_ms=float(rng.uniform(3.5, 9.0)),
        flip_deg=float(rng.uniform(7.0, 16.0)),
        field=_field(rng, (1.1, 2.2), thickness, max(2.0, overlap * thickness)),
        acquired_fraction=(
            float(rng.uniform(0.8, 1.0)),
            float(rng.uniform(0.7, 1.0)),
            float(rng.uniform(0.5, 1.0)),
        ),
        muscle_snr=float(rng.uniform(9.0, 24.0)),
        pixel_bandwidth_hz=float(rng.uniform(400.0, 1200.0)),
    )


def _field(
    rng: np.random.Generator, pixel_mm: tuple[float, float], thickness_mm: float, spacing_mm: float
) -> Field:
    width = rng.uniform(380.0, 510.0)
    depth = width * rng.uniform(0.72, 1.0)
    pixel = rng.uniform(*pixel_mm)
    columns, rows = (2 * round(length / pixel / 2) for length in (width, depth))
    slices = round(rng.uniform(*_HEIGHT_MM) / spacing_mm)
    return Field((columns, rows), (width, depth), slices, thickness_mm, spacing_mm)
