"""The scanners: the three of the paper's Table 1, and one unlike them.

Table 1 names matrix, field of view, slices, thickness, TE, TR and flip angle. It does not name
gaps: the diffusion series get one of 0.5 to 2 mm. And 112 slices of 4 or 5 mm would cover
45 to 56 cm: such 3D volumes are interpolated between slices, so their slices lie half a
thickness apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from pelvimets.errors import SettingsError
from pelvimets.phantom.choices import Vendor
from pelvimets.phantom.physics.sequences import DiffusionSequence, DixonSequence, Field


@dataclass(frozen=True)
class Scanner:
    """One scanner with its pelvic protocol.

    Attributes:
        name: As in the tables.
        vendor: Who built it.
        model: Model name as written in DICOM.
        field_strength_t: 1.5 or 3.
        diffusion: The diffusion sequence.
        dixon: The T1-weighted Dixon sequence.
    """

    name: str
    vendor: Vendor
    model: str
    field_strength_t: float
    diffusion: DiffusionSequence
    dixon: DixonSequence


DISCOVERY = Scanner(
    name="discovery",
    vendor=Vendor.GE,
    model="DISCOVERY MR750",
    field_strength_t=3.0,
    diffusion=DiffusionSequence(
        te_ms=60.0,
        tr_ms=4000.0,
        b_values_s_per_mm2=(0.0, 800.0),
        averages=(2, 6),
        field=Field((256, 256), (450.0, 366.0), 25, 8.0, 9.0),
        acquired_fraction=(0.5, 0.5),
    ),
    dixon=DixonSequence(
        te_in_ms=2.0,
        te_out_ms=1.1,
        tr_ms=3.9,
        flip_deg=13.0,
        field=Field((288, 192), (450.0, 360.0), 112, 4.0, 2.0),
        acquired_fraction=(1.0, 0.9, 0.5),
    ),
)

INTERA = Scanner(
    name="intera",
    vendor=Vendor.PHILIPS,
    model="Intera",
    field_strength_t=3.0,
    diffusion=DiffusionSequence(
        te_ms=78.0,
        tr_ms=4959.0,
        b_values_s_per_mm2=(0.0, 1000.0),
        averages=(2, 6),
        field=Field((240, 240), (480.0, 360.0), 28, 7.0, 8.0),
        acquired_fraction=(0.6, 0.55),
        muscle_snr=16.0,
        phase_bandwidth_hz=20.0,
        fat_suppression=0.95,
    ),
    dixon=DixonSequence(
        te_in_ms=2.4,
        te_out_ms=1.2,
        tr_ms=7.5,
        flip_deg=10.0,
        field=Field((320, 200), (450.0, 350.0), 112, 5.0, 2.5),
        acquired_fraction=(0.9, 0.85, 0.5),
        muscle_snr=20.0,
    ),
)

ACHIEVA = Scanner(
    name="achieva",
    vendor=Vendor.PHILIPS,
    model="Achieva",
    field_strength_t=3.0,
    diffusion=DiffusionSequence(
        te_ms=54.0,
        tr_ms=3300.0,
        b_values_s_per_mm2=(0.0, 800.0),
        averages=(2, 5),
        field=Field((156, 180), (512.0, 356.0), 24, 7.0, 9.0),
        acquired_fraction=(0.95, 0.7),
        phase_bandwidth_hz=28.0,
    ),
    dixon=DixonSequence(
        te_in_ms=2.4,
        te_out_ms=1.2,
        tr_ms=6.7,
        flip_deg=10.0,
        field=Field((280, 180), (400.0, 400.0), 120, 2.0, 2.0),
        acquired_fraction=(1.0, 0.9, 0.75),
        muscle_snr=14.0,
    ),
)

AVANTO = Scanner(
    name="avanto",
    vendor=Vendor.SIEMENS,
    model="Avanto",
    field_strength_t=1.5,
    diffusion=DiffusionSequence(
        te_ms=70.0,
        tr_ms=6800.0,
        b_values_s_per_mm2=(50.0, 400.0, 900.0),
        averages=(2, 3, 8),
        field=Field((176, 144), (400.0, 327.0), 46, 5.0, 5.5),
        acquired_fraction=(0.75, 0.65),
        muscle_snr=13.0,
        phase_bandwidth_hz=16.0,
        fat_suppression=0.94,
    ),
    dixon=DixonSequence(
        te_in_ms=4.76,
        te_out_ms=2.38,
        tr_ms=6.9,
        flip_deg=10.0,
        field=Field((256, 208), (400.0, 325.0), 88, 3.0, 3.0),
        acquired_fraction=(0.9, 0.8, 0.7),
        muscle_snr=13.0,
        pixel_bandwidth_hz=450.0,
    ),
)

SCANNERS = {s.name: s for s in (DISCOVERY, ACHIEVA, INTERA, AVANTO)}


def scanner_named(name: str) -> Scanner:
    """One of the four scanners.

    Raises:
        SettingsError: if there is none of that name.
    """
    if name not in SCANNERS:
        raise SettingsError("Unknown scanner", got=name, remedy=f"Known: {', '.join(SCANNERS)}")
    return SCANNERS[name]


def scanner_of(vendor: Vendor) -> Scanner:
    """The scanner that stands for a vendor.

    >>> scanner_of(Vendor.PHILIPS).name
    'achieva'
    """
    return next(s for s in SCANNERS.values() if s.vendor is vendor)
