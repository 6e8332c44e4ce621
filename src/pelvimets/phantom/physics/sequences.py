"""Settings of the pulse sequences, as a protocol sheet names them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pelvimets.errors import SettingsError

GYROMAGNETIC_MHZ_PER_T = 42.577
FAT_SHIFT_PPM = 3.4


class DixonImage(StrEnum):
    """The four images of a two-point Dixon acquisition."""

    IN_PHASE = "in_phase"
    OUT_PHASE = "out_phase"
    WATER = "water"
    FAT = "fat"


@dataclass(frozen=True)
class Field:
    """The box that is imaged.

    Attributes:
        matrix: Voxels (x, y): left-right, anterior-posterior.
        fov_mm: Field of view (x, y).
        slices: Number of axial slices.
        thickness_mm: Slice thickness.
        spacing_mm: Distance of slice centres; beyond the thickness a gap, below it an overlap.
    """

    matrix: tuple[int, int]
    fov_mm: tuple[float, float]
    slices: int
    thickness_mm: float
    spacing_mm: float

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Pixel size (x, y)."""
        return self.fov_mm[0] / self.matrix[0], self.fov_mm[1] / self.matrix[1]


@dataclass(frozen=True)
class DixonSequence:
    """Two-point Dixon, 3D spoiled gradient echo.

    Attributes:
        te_in_ms: Echo near phase agreement of water and fat; the in-phase image's TE.
        te_out_ms: Echo near opposition.
        tr_ms: Repetition time.
        flip_deg: Flip angle.
        field: What is imaged.
        acquired_fraction: Share of k-space that is measured (x, y, z); the rest is zeros.
        muscle_snr: Mean muscle signal over noise in the in-phase image.
        pixel_bandwidth_hz: Per pixel along the readout (x).
    """

    te_in_ms: float
    te_out_ms: float
    tr_ms: float
    flip_deg: float
    field: Field
    acquired_fraction: tuple[float, float, float] = (1.0, 0.8, 0.6)
    muscle_snr: float = 18.0
    pixel_bandwidth_hz: float = 900.0


@dataclass(frozen=True)
class DiffusionSequence:
    """Spin-echo EPI with diffusion weighting, trace images.

    Attributes:
        te_ms: Echo time.
        tr_ms: Repetition time.
        b_values_s_per_mm2: Ascending; the last is the one that is read for metastases.
        averages: Number of averages of each b-value.
        field: What is imaged.
        acquired_fraction: Share of k-space that is measured (x, y).
        muscle_snr: Mean muscle signal at the lowest b over the noise of one average.
        phase_bandwidth_hz: Per pixel along the phase encoding (y): small, so that field
            errors shift the image.
        fat_suppression: Share of the fat's main peaks that is removed.
    """

    te_ms: float
    tr_ms: float
    b_values_s_per_mm2: tuple[float, ...]
    averages: tuple[int, ...]
    field: Field
    acquired_fraction: tuple[float, float] = (0.6, 0.5)
    muscle_snr: float = 20.0
    phase_bandwidth_hz: float = 22.0
    fat_suppression: float = 0.97

    def __post_init__(self) -> None:
        ascending = list(self.b_values_s_per_mm2) == sorted(set(self.b_values_s_per_mm2))
        if len(self.b_values_s_per_mm2) < 2 or not ascending:
            raise SettingsError(
                "Diffusion imaging needs at least two ascending b-values",
                got=self.b_values_s_per_mm2,
            )
        if len(self.averages) != len(self.b_values_s_per_mm2):
            raise SettingsError(
                "Each b-value needs its number of averages",
                got=f"{len(self.averages)} for {len(self.b_values_s_per_mm2)} b-values",
            )
