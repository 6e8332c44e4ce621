"""What differs from one examination to the next: drawn once, then applied as it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.sampling import Axis
from pelvimets.phantom.physics.scanner import Scanner

LESSER_TROCHANTER_BELOW_HEAD_MM = 62.0


@dataclass(frozen=True)
class Examination:
    """The draw of one examination; the same draw gives the same images.

    Attributes:
        diffusion_centre_mm: Centre of the diffusion field (x, y, z) in the patient's frame.
        dixon_centre_mm: Centre of the Dixon field.
        motion_mm: How the patient moved before the Dixon sequence (x, y, z).
        tilt_deg: Turn of patient and slices about the left-right axis.
        bias: Coefficients of the coil field, one set per sequence.
        edge_ppm: Field error of the magnet at the rim of the field of view.
        ghost_share, ghost_phase_rad: N/2 ghost.
        breathing_share: Ghost of the abdominal wall.
        breathing_shift: Its distance, as a share of the field of view.
        gain: Scale of the stored numbers, per sequence.
    """

    diffusion_centre_mm: tuple[float, float, float]
    dixon_centre_mm: tuple[float, float, float]
    motion_mm: tuple[float, float, float]
    tilt_deg: float
    bias: tuple[tuple[float, ...], tuple[float, ...]]
    edge_ppm: float
    ghost_share: float
    ghost_phase_rad: float
    breathing_share: float
    breathing_shift: float
    gain: tuple[float, float]

    def as_data(self) -> dict[str, Any]:
        """Plain data for the patient's record."""
        return asdict(self)


N_BIAS_TERMS = 9


def draw_examination(
    scanner: Scanner,
    artefacts: Artefacts,
    body_centre_mm: tuple[float, float],
    rng: np.random.Generator,
) -> Examination:
    """Draw everything that differs from one examination to the next.

    The draw takes the same numbers from ``rng`` whatever is switched off, so that switching
    one artefact leaves the others as they were.

    Args:
        scanner: Where he is scanned.
        artefacts: Strengths.
        body_centre_mm: Middle of the body (x, y) in the patient's frame.
        rng: Source of randomness.
    """
    diffusion, dixon = scanner.diffusion.field, scanner.dixon.field
    below = rng.uniform(2.0, 14.0)
    cut = artefacts.cut_off * float(rng.choice([0.0, -45.0, 45.0], p=[0.9, 0.05, 0.05]))
    aside = rng.normal(0.0, 6.0, 2)
    apart = rng.normal(0.0, 4.0)
    centres = []
    for field, offset in ((diffusion, 0.0), (dixon, apart)):
        height = field.slices * field.spacing_mm
        z = height / 2 - LESSER_TROCHANTER_BELOW_HEAD_MM - below + cut + offset
        centres.append((body_centre_mm[0] + aside[0], body_centre_mm[1] + aside[1], z))
    tilted = rng.random() < 0.3
    return Examination(
        diffusion_centre_mm=_rounded(centres[0]),
        dixon_centre_mm=_rounded(centres[1]),
        motion_mm=_rounded(artefacts.motion * rng.normal(0.0, (1.0, 0.8, 1.2))),
        tilt_deg=round(float(artefacts.tilt * tilted * rng.uniform(-7.0, 7.0)), 2),
        bias=(_bias(rng, artefacts, 0.11), _bias(rng, artefacts, 0.14)),
        edge_ppm=float(rng.uniform(0.3, 1.6)),
        ghost_share=float(artefacts.ghost * rng.uniform(0.005, 0.03)),
        ghost_phase_rad=float(rng.uniform(0.0, 2.0 * np.pi)),
        breathing_share=float(artefacts.breathing * rng.uniform(0.0, 0.02)),
        breathing_shift=float(rng.uniform(0.12, 0.3)),
        gain=(float(rng.uniform(0.7, 1.4)), float(rng.uniform(0.7, 1.4))),
    )


def _bias(rng: np.random.Generator, artefacts: Artefacts, spread: float) -> tuple[float, ...]:
    return tuple(float(v) for v in artefacts.coil_bias * rng.normal(0.0, spread, N_BIAS_TERMS))


def _rounded(values: Any) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 2) for v in values)
    return x, y, z


def field_axes(
    field_matrix: tuple[int, int],
    pixel_mm: tuple[float, float],
    slices: int,
    spacing_mm: float,
    centre_mm: tuple[float, float, float],
) -> tuple[Axis, Axis, Axis]:
    """Axes (z, y, x) of a field of view around its centre, in the patient's frame."""
    return (
        Axis.centred(centre_mm[2], spacing_mm, slices),
        Axis.centred(centre_mm[1], pixel_mm[1], field_matrix[1]),
        Axis.centred(centre_mm[0], pixel_mm[0], field_matrix[0]),
    )
