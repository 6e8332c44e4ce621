"""From tissue parameters to signal, by the equations of the sequences.

Signals are relative to pure water fully relaxed (1.0). Water and fat are kept apart until
the scanner adds them, because they add with a phase and shift in space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.physics.sequences import (
    GYROMAGNETIC_MHZ_PER_T,
    DiffusionSequence,
    DixonImage,
    DixonSequence,
)
from pelvimets.phantom.physics.tissue_parameters import (
    FAT,
    PARAMETERS,
    Parameters,
    TissueParameters,
    at_field,
)

FloatArray = npt.NDArray[np.float64]
N_TISSUE_VALUES = max(Tissue) + 1


def spoiled_gradient_echo(
    t1_ms: float, t2_star_ms: float, *, tr_ms: float, te_ms: float, flip_deg: float
) -> float:
    """Steady state of a perfectly spoiled gradient echo (Ernst and Anderson 1966).

    >>> round(spoiled_gradient_echo(1400.0, 22.0, tr_ms=3.9, te_ms=2.0, flip_deg=13.0), 4)
    0.0202
    """
    flip = np.deg2rad(flip_deg)
    e1 = np.exp(-tr_ms / t1_ms)
    steady = np.sin(flip) * (1.0 - e1) / (1.0 - np.cos(flip) * e1)
    return float(steady * np.exp(-te_ms / t2_star_ms))


def spin_echo_diffusion(
    t1_ms: float,
    t2_ms: float,
    adc_um2_per_s: float,
    *,
    tr_ms: float,
    te_ms: float,
    b_s_per_mm2: float,
) -> float:
    """Spin echo with diffusion weighting (Stejskal and Tanner 1965), one compartment.

    >>> round(spin_echo_diffusion(1400, 32, 1500, tr_ms=4000, te_ms=60, b_s_per_mm2=800), 4)
    0.0435
    """
    recovered = 1.0 - np.exp(-tr_ms / t1_ms)
    diffusion = np.exp(-b_s_per_mm2 * adc_um2_per_s * 1e-6)
    return float(recovered * np.exp(-te_ms / t2_ms) * diffusion)


def fat_phasor(te_ms: float, field_strength_t: float) -> complex:
    """Sum of the fat peaks at an echo time, relative to their sum at time zero.

    >>> abs(fat_phasor(0.0, 3.0))
    1.0
    """
    larmor_khz_per_ppm = GYROMAGNETIC_MHZ_PER_T * field_strength_t * 1e-3
    areas = np.array([area for area, _ in FAT.peaks])
    shifts = np.array([shift for _, shift in FAT.peaks])
    phases = 2.0 * np.pi * shifts * larmor_khz_per_ppm * te_ms
    return complex((areas * np.exp(1j * phases)).sum() / areas.sum())


def dixon_water(
    sequence: DixonSequence, field_strength_t: float, parameters: Parameters = PARAMETERS
) -> FloatArray:
    """Signal of one unit of each tissue's water, indexed by ``Tissue``."""

    def one(row: TissueParameters) -> float:
        return spoiled_gradient_echo(
            at_field(row.water_t1_ms, field_strength_t),
            at_field(row.water_t2_star_ms, field_strength_t),
            tr_ms=sequence.tr_ms,
            te_ms=sequence.te_in_ms,
            flip_deg=sequence.flip_deg,
        )

    return _table({tissue: row.proton_density * one(row) for tissue, row in parameters.items()})


def dixon_fat(
    sequence: DixonSequence, field_strength_t: float, parameters: Parameters = PARAMETERS
) -> FloatArray:
    """Signal of one unit of fat in each tissue, indexed by ``Tissue``.

    Two-point Dixon adds the water and the fat image to the in-phase image, so fat enters with
    the size of its phasor at the in-phase echo, whatever its angle.
    """
    signal = spoiled_gradient_echo(
        at_field(FAT.t1_ms, field_strength_t),
        at_field(FAT.t2_star_ms, field_strength_t),
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_in_ms,
        flip_deg=sequence.flip_deg,
    )
    signal *= abs(fat_phasor(sequence.te_in_ms, field_strength_t))
    return _table({tissue: row.proton_density * signal for tissue, row in parameters.items()})


def turbo_spin_echo(
    tr_ms: float, te_ms: float, field_strength_t: float, parameters: Parameters = PARAMETERS
) -> tuple[FloatArray, FloatArray]:
    """Signal of one unit of water and of fat in a T2-weighted turbo spin echo, by ``Tissue``.

    The train of echoes lengthens the apparent T2 of fat by undoing its coupling (est: twice).
    """
    fat = spin_echo_diffusion(
        at_field(FAT.t1_ms, field_strength_t),
        2.0 * at_field(FAT.t2_ms, field_strength_t),
        0.0,
        tr_ms=tr_ms,
        te_ms=te_ms,
        b_s_per_mm2=0.0,
    )
    water = {
        tissue: row.proton_density
        * spin_echo_diffusion(
            at_field(row.water_t1_ms, field_strength_t),
            at_field(row.water_t2_ms, field_strength_t),
            0.0,
            tr_ms=tr_ms,
            te_ms=te_ms,
            b_s_per_mm2=0.0,
        )
        for tissue, row in parameters.items()
    }
    return _table(water), _table({t: row.proton_density * fat for t, row in parameters.items()})


def fat_null_ms(tr_ms: float, field_strength_t: float) -> float:
    """Inversion time at which the magnetisation of fat passes through zero.

    >>> round(fat_null_ms(4500.0, 1.5))
    238
    """
    t1_ms = at_field(FAT.t1_ms, field_strength_t)
    return float(t1_ms * np.log(2.0 / (1.0 + np.exp(-tr_ms / t1_ms))))


def short_tau_inversion_recovery(
    tr_ms: float, te_ms: float, field_strength_t: float, parameters: Parameters = PARAMETERS
) -> tuple[FloatArray, FloatArray]:
    """Signal of one unit of water and of fat in STIR, by ``Tissue``; below 0 while inverted.

    Inversion, fat's null, then a turbo spin echo (Bydder and Young, J Comput Assist Tomogr
    1985;9:659). Water relaxes more slowly than fat, so that long T1 and long T2 both add signal.
    """
    ti_ms = fat_null_ms(tr_ms, field_strength_t)
    water, fat = turbo_spin_echo(tr_ms, te_ms, field_strength_t, parameters)

    def inverted(values: tuple[float, float]) -> float:
        t1_ms = at_field(values, field_strength_t)
        recovered = 1.0 - np.exp(-tr_ms / t1_ms)
        left = 1.0 - 2.0 * np.exp(-ti_ms / t1_ms) + np.exp(-tr_ms / t1_ms)
        return float(left / recovered)

    by_tissue = {tissue: inverted(row.water_t1_ms) for tissue, row in parameters.items()}
    return water * _table(by_tissue), fat * inverted(FAT.t1_ms)


def combine_dixon(
    water: npt.NDArray[np.float32], fat: npt.NDArray[np.float32], image: DixonImage
) -> npt.NDArray[np.float32]:
    """One of the four Dixon images from the water and the fat image, all (z, y, x)."""
    if image is DixonImage.IN_PHASE:
        return water + fat
    if image is DixonImage.OUT_PHASE:
        return np.asarray(np.abs(water - fat))
    return water if image is DixonImage.WATER else fat


def diffusion_water(
    sequence: DiffusionSequence,
    field_strength_t: float,
    b_s_per_mm2: float,
    parameters: Parameters = PARAMETERS,
) -> FloatArray:
    """Signal of one unit of each tissue's water, flow included, indexed by ``Tissue``."""

    def one(row: TissueParameters) -> float:
        return spin_echo_diffusion(
            at_field(row.water_t1_ms, field_strength_t),
            at_field(row.water_t2_ms, field_strength_t),
            row.adc_um2_per_s,
            tr_ms=sequence.tr_ms,
            te_ms=sequence.te_ms,
            b_s_per_mm2=b_s_per_mm2,
        )

    weights = {t: row.proton_density * row.flow_kept for t, row in parameters.items()}
    return _table({tissue: weights[tissue] * one(row) for tissue, row in parameters.items()})


def diffusion_fat(
    sequence: DiffusionSequence,
    field_strength_t: float,
    b_s_per_mm2: float,
    parameters: Parameters = PARAMETERS,
) -> FloatArray:
    """Signal of one unit of fat in each tissue before suppression, indexed by ``Tissue``."""
    signal = spin_echo_diffusion(
        at_field(FAT.t1_ms, field_strength_t),
        at_field(FAT.t2_ms, field_strength_t),
        FAT.adc_um2_per_s,
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_ms,
        b_s_per_mm2=b_s_per_mm2,
    )
    return _table({tissue: row.proton_density * signal for tissue, row in parameters.items()})


def fat_left(sequence: DiffusionSequence) -> float:
    """Share of the fat signal that is left where fat suppression works.

    Its peaks on the water side of the spectrum are hardly touched.
    """
    return FAT.water_side + (1.0 - FAT.water_side) * (1.0 - sequence.fat_suppression)


def fat_fractions(parameters: Parameters = PARAMETERS) -> FloatArray:
    """Fat share of each tissue's protons, indexed by ``Tissue``."""
    return _table({tissue: row.fat_fraction for tissue, row in parameters.items()})


def tissue_intensities(
    sequence: Sequence,
    field_strength_t: float,
    protocol: DixonSequence | DiffusionSequence,
    b_s_per_mm2: float | None = None,
) -> npt.NDArray[np.float32]:
    """Mean signal of each tissue in the finished image, for contrasts without a scanner.

    Args:
        sequence: DWI or T1 in phase; must go with the kind of ``protocol``.
        field_strength_t: 1.5 or 3.
        protocol: Sequence settings, for instance ``scanner.DISCOVERY.dixon``.
        b_s_per_mm2: Default the highest of the protocol; unused for T1.

    Returns:
        float32 indexed by ``Tissue`` (values that no tissue has are 0); marrow has its mean
        fat fraction.
    """
    fat_share = fat_fractions()
    if isinstance(protocol, DixonSequence) and sequence is Sequence.T1:
        water = dixon_water(protocol, field_strength_t)
        fat = dixon_fat(protocol, field_strength_t)
    elif isinstance(protocol, DiffusionSequence) and sequence is Sequence.DWI:
        b = protocol.b_values_s_per_mm2[-1] if b_s_per_mm2 is None else b_s_per_mm2
        water = diffusion_water(protocol, field_strength_t, b)
        fat = diffusion_fat(protocol, field_strength_t, b) * fat_left(protocol)
    else:
        raise TypeError(f"{type(protocol).__name__} is no protocol of {sequence.title}")
    signal: npt.NDArray[np.float32] = ((1.0 - fat_share) * water + fat_share * fat).astype("f4")
    return signal


def _table(values: dict[Tissue, float]) -> FloatArray:
    table = np.zeros(N_TISSUE_VALUES)
    for tissue, value in values.items():
        table[tissue] = value
    return table
