"""What a tissue gives a scanner: protons, relaxation, diffusion, fat.

Every tissue is a mixture of water and fat. A row describes the water part; the fat part is
the same everywhere (``FAT``). Numbers with a source key were measured; those marked ``est``
are set between tissues of like composition, and ``phantom.cohort.checks`` tests what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.errors import SettingsError
from pelvimets.phantom.anatomy.patient import Tissue

SOURCES = {
    "dB04": "de Bazelaire et al., Radiology 2004;230:652 (abdomen and pelvis, 1.5 and 3 T)",
    "St05": "Stanisz et al., Magn Reson Med 2005;54:507 (relaxation at 1.5 and 3 T)",
    "Go04": "Gold et al., AJR 2004;183:343 (musculoskeletal, 1.5 and 3 T)",
    "Te08": "Techawiboonwong et al., Radiology 2008;248:824 (cortical bone, 3 T)",
    "Si06": "Simpson et al., JMRI 2006;23:377 (marrow water and fat relaxation)",
    "Me11": "Messiou et al., Eur Radiol 2011;21:1713 (marrow and metastases, ADC)",
    "Co21": "Colombo et al., Diagnostics 2021;11:799 (normal marrow, ADC and fat fraction)",
    "Pa17": "Padhani et al., Eur Urol 2017;71:81 (MET-RADS-P: treated above 1400 um2/s)",
    "Ha11": "Hamilton et al., NMR Biomed 2011;24:784 (fat spectrum)",
    "Gi11": "Gibbs et al., Radiology 2009;252:677 (prostate T2 and ADC)",
    "est": "set between tissues of like composition",
}


@dataclass(frozen=True)
class TissueParameters:
    """One tissue.

    Attributes:
        water_t1_ms: T1 of the water part at (1.5 T, 3 T).
        water_t2_ms: T2 of the water part at (1.5 T, 3 T).
        water_t2_star_ms: T2* at (1.5 T, 3 T); trabeculae shorten it in marrow.
        adc_um2_per_s: Diffusion of the water part.
        proton_density: Visible protons, pure water = 1; mineral and gas take room.
        fat_fraction: Share of the protons that are fat, 0-1.
        flow_kept: Share of the signal that survives flow in diffusion imaging.
        texture: Standard deviation of the slow variation within the tissue, relative.
        sources: Keys into ``SOURCES``.
    """

    water_t1_ms: tuple[float, float]
    water_t2_ms: tuple[float, float]
    water_t2_star_ms: tuple[float, float]
    adc_um2_per_s: float
    proton_density: float
    fat_fraction: float
    flow_kept: float = 1.0
    texture: float = 0.04
    sources: tuple[str, ...] = ("est",)


@dataclass(frozen=True)
class FatParameters:
    """The fat part of all tissues.

    Attributes:
        t1_ms, t2_ms, t2_star_ms: At (1.5 T, 3 T).
        adc_um2_per_s: Diffusion of triglycerides, nearly none.
        peaks: Relative area and shift against water (ppm) of the spectrum's peaks.
    """

    t1_ms: tuple[float, float] = (343.0, 382.0)
    t2_ms: tuple[float, float] = (58.0, 68.0)
    t2_star_ms: tuple[float, float] = (45.0, 35.0)
    adc_um2_per_s: float = 30.0
    peaks: tuple[tuple[float, float], ...] = (
        (0.088, -3.80),
        (0.700, -3.40),
        (0.120, -2.60),
        (0.006, -1.94),
        (0.039, -0.39),
        (0.047, 0.60),
    )
    sources: tuple[str, ...] = ("dB04", "Ha11")

    @property
    def water_side(self) -> float:
        """Share of the fat signal near water at long echo times: fat suppression leaves it.

        These peaks are coupled and have lost about two thirds of their signal by then (est).
        """
        return 0.35 * sum(area for area, shift in self.peaks if shift > -1.0)


FAT = FatParameters()


def _row(
    t1: tuple[float, float],
    t2: tuple[float, float],
    t2s: tuple[float, float],
    adc: float,
    pd: float,
    fat: float,
    *sources: str,
    flow: float = 1.0,
    texture: float = 0.04,
) -> TissueParameters:
    return TissueParameters(t1, t2, t2s, adc, pd, fat, flow, texture, sources or ("est",))


_NONE = _row((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), 0.0, 0.0, 0.0, texture=0.0)

PARAMETERS: dict[Tissue, TissueParameters] = {
    Tissue.AIR: _NONE,
    Tissue.GAS: _NONE,
    Tissue.SKIN: _row((900, 1100), (30, 28), (15, 10), 1200, 0.70, 0.10),
    Tissue.SUBCUTANEOUS_FAT: _row((900, 1100), (35, 32), (20, 15), 1000, 0.95, 0.93, "dB04"),
    Tissue.INTERMUSCULAR_FAT: _row((900, 1100), (35, 32), (20, 15), 1000, 0.93, 0.88, "dB04"),
    Tissue.VISCERAL_FAT: _row((900, 1100), (35, 32), (20, 15), 1000, 0.93, 0.90, "dB04"),
    Tissue.MUSCLE: _row(
        (1008, 1400), (35, 32), (28, 22), 1500, 0.80, 0.05, "St05", "Go04", texture=0.06
    ),
    Tissue.TENDON: _row((600, 700), (5, 4), (2.5, 2), 1000, 0.55, 0.02),
    Tissue.URINE: _row((3000, 3600), (1200, 1000), (600, 400), 2950, 1.00, 0.0, texture=0.01),
    Tissue.BLADDER_WALL: _row((1250, 1550), (65, 60), (40, 30), 1500, 0.85, 0.03),
    Tissue.PROSTATE_PERIPHERAL: _row(
        (1350, 1650), (150, 140), (80, 60), 1700, 0.90, 0.0, "dB04", "Gi11", texture=0.08
    ),
    Tissue.PROSTATE_CENTRAL: _row(
        (1300, 1550), (90, 80), (60, 45), 1350, 0.87, 0.0, "dB04", "Gi11", texture=0.12
    ),
    Tissue.SEMINAL_VESICLE: _row((1500, 1850), (200, 180), (90, 70), 1850, 0.92, 0.0, texture=0.15),
    Tissue.BOWEL_WALL: _row((1100, 1400), (65, 60), (35, 25), 1400, 0.82, 0.04),
    Tissue.BOWEL_FLUID: _row((2200, 2600), (350, 300), (120, 80), 2500, 0.95, 0.0, texture=0.06),
    Tissue.STOOL: _row((600, 750), (45, 40), (15, 8), 1100, 0.55, 0.05, texture=0.25),
    Tissue.ARTERY: _row((1441, 1932), (250, 200), (90, 60), 2500, 0.88, 0.0, "St05", flow=0.05),
    Tissue.VEIN: _row((1441, 1932), (150, 90), (60, 35), 1900, 0.88, 0.0, "St05", flow=0.45),
    Tissue.CSF: _row((4000, 4300), (1800, 1600), (700, 500), 2900, 1.00, 0.0, texture=0.01),
    Tissue.NERVE: _row((1050, 1250), (85, 78), (50, 40), 1150, 0.85, 0.10),
    Tissue.DISC_NUCLEUS: _row((1000, 1200), (95, 85), (50, 40), 1750, 0.82, 0.0, texture=0.06),
    Tissue.DISC_ANNULUS: _row((850, 1000), (50, 42), (22, 16), 1250, 0.65, 0.02),
    Tissue.CARTILAGE: _row((1024, 1168), (36, 32), (25, 20), 1300, 0.75, 0.0, "St05", "Go04"),
    Tissue.CORTICAL_BONE: _row((240, 220), (0.5, 0.5), (0.45, 0.4), 500, 0.20, 0.0, "Te08"),
    Tissue.RED_MARROW: _row(
        (850, 1050), (48, 44), (18, 13), 560, 0.85, 0.52, "dB04", "Si06", "Co21", texture=0.09
    ),
    Tissue.YELLOW_MARROW: _row(
        (850, 1050), (42, 38), (20, 14), 500, 0.88, 0.88, "Si06", texture=0.05
    ),
    Tissue.METASTASIS_SCLEROTIC: _row(
        (1050, 1300), (62, 58), (14, 10), 750, 0.58, 0.03, "Me11", texture=0.14
    ),
    Tissue.METASTASIS_LYTIC: _row(
        (1200, 1500), (88, 82), (45, 32), 900, 0.88, 0.02, "Me11", texture=0.12
    ),
    Tissue.METASTASIS_MIXED: _row(
        (1100, 1400), (74, 69), (25, 18), 850, 0.72, 0.04, "Me11", texture=0.18
    ),
    Tissue.METASTASIS_DIFFUSE: _row(
        (1050, 1350), (70, 65), (25, 18), 800, 0.78, 0.08, "Me11", texture=0.14
    ),
    Tissue.METASTASIS_TREATED: _row(
        (1250, 1550), (95, 88), (28, 20), 1750, 0.66, 0.15, "Pa17", texture=0.16
    ),
    Tissue.HAEMANGIOMA: _row((1200, 1450), (125, 115), (40, 28), 1700, 0.88, 0.60, texture=0.15),
    Tissue.BONE_ISLAND: _row((400, 450), (2, 2), (1, 0.8), 500, 0.18, 0.03),
    Tissue.BONE_CYST: _row((2200, 2600), (280, 240), (120, 90), 2300, 0.95, 0.0, texture=0.03),
    Tissue.END_PLATE_OEDEMA: _row((1100, 1350), (80, 74), (24, 17), 1250, 0.85, 0.22, texture=0.1),
    Tissue.END_PLATE_FAT: _row((850, 1050), (45, 42), (20, 14), 500, 0.88, 0.86),
    Tissue.TARLOV_CYST: _row((4000, 4300), (1800, 1600), (700, 500), 2850, 1.0, 0.0, texture=0.01),
    Tissue.LYMPH_NODE: _row((1050, 1300), (82, 76), (50, 38), 1050, 0.88, 0.05),
    Tissue.RED_MARROW_ISLAND: _row((900, 1100), (50, 46), (16, 12), 600, 0.84, 0.30, "Me11"),
    Tissue.FRACTURE_OEDEMA: _row((1250, 1500), (92, 85), (28, 20), 1450, 0.84, 0.28, texture=0.14),
}

Parameters = Mapping[Tissue, TissueParameters]


def varied_parameters(rng: np.random.Generator, strength: float = 1.0) -> Parameters:
    """The table as one man has it: each tissue differs a little from the mean.

    Args:
        rng: Source of randomness.
        strength: 1 for variation between men (about 5 % in T1 and T2, 7 % in ADC, 3 % in
            proton density), 0 for none.
    """
    return {tissue: _varied(row, rng, strength) for tissue, row in PARAMETERS.items()}


def _varied(row: TissueParameters, rng: np.random.Generator, strength: float) -> TissueParameters:
    t1, t2, t2_star, adc, density = np.exp(
        strength * rng.normal(0.0, (0.05, 0.05, 0.08, 0.07, 0.03))
    )
    return replace(
        row,
        water_t1_ms=(row.water_t1_ms[0] * t1, row.water_t1_ms[1] * t1),
        water_t2_ms=(row.water_t2_ms[0] * t2, row.water_t2_ms[1] * t2),
        water_t2_star_ms=(row.water_t2_star_ms[0] * t2_star, row.water_t2_star_ms[1] * t2_star),
        adc_um2_per_s=min(row.adc_um2_per_s * adc, 3050.0),
        proton_density=min(row.proton_density * density, 1.0),
    )


FIELD_STRENGTHS_T = (1.5, 3.0)


def at_field(values: tuple[float, float], field_strength_t: float) -> float:
    """Value at a field strength, linear between 1.5 T and 3 T.

    Raises:
        SettingsError: outside 1.0 to 3.5 T, where the table says nothing.

    >>> at_field((1000.0, 1300.0), 3.0)
    1300.0
    """
    if not 1.0 <= field_strength_t <= 3.5:
        raise SettingsError("Tissue parameters hold for 1.5 T and 3 T", got=f"{field_strength_t} T")
    low, high = FIELD_STRENGTHS_T
    share = (field_strength_t - low) / (high - low)
    return values[0] + share * (values[1] - values[0])
