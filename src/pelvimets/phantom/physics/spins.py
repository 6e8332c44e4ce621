"""The patient as water and fat that give signal, on his own fine grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.anatomy.patient import DigitalPatient, Tissue
from pelvimets.phantom.physics.signal import N_TISSUE_VALUES, fat_fractions
from pelvimets.phantom.physics.tissue_parameters import Parameters

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

# Spread of the fat share within tissues: fat between muscle fibres, septa within fat (est).
_FAT_STREAKS = {
    Tissue.MUSCLE: 0.03,
    Tissue.SUBCUTANEOUS_FAT: 0.03,
    Tissue.INTERMUSCULAR_FAT: 0.06,
    Tissue.VISCERAL_FAT: 0.05,
}


@dataclass(frozen=True, eq=False)
class Spins:
    """A patient prepared for imaging.

    Attributes:
        patient: Who.
        parameters: His tissues.
        fat_share: Fat share of the protons (z, y, x).
        density: Relative density from texture (z, y, x), about 1.
        lesion_voxels: Indices of lesion voxels in the flattened maps.
        lesion_density: Relative density of the water of each of those voxels.
        lesion_adc_um2_per_s: Their ADC.
        lesion_table_adc_um2_per_s: ADC their tissue has in ``parameters``.
    """

    patient: DigitalPatient
    parameters: Parameters
    fat_share: Float32Array
    density: Float32Array
    lesion_voxels: npt.NDArray[np.int64]
    lesion_density: Float32Array
    lesion_adc_um2_per_s: Float32Array
    lesion_table_adc_um2_per_s: Float32Array

    def water(self, table: FloatArray, b_s_per_mm2: float = 0.0) -> Float32Array:
        """Water signal (z, y, x) from a table by ``Tissue``, each lesion with its own ADC.

        Args:
            table: Signal of one unit of water, computed at ``b_s_per_mm2``.
            b_s_per_mm2: 0 for sequences without diffusion weighting.
        """
        signal = table.astype(np.float32)[self.patient.tissue]
        signal *= 1.0 - self.fat_share
        signal *= self.density
        excess = self.lesion_adc_um2_per_s - self.lesion_table_adc_um2_per_s
        factor = self.lesion_density * np.exp(-b_s_per_mm2 * 1e-6 * excess)
        signal.reshape(-1)[self.lesion_voxels] *= factor
        return np.asarray(signal)

    def fat(self, table: FloatArray) -> Float32Array:
        """Fat signal (z, y, x) from a table by ``Tissue``."""
        signal = table.astype(np.float32)[self.patient.tissue]
        signal *= self.fat_share
        signal *= self.density
        return np.asarray(signal)


def prepare_spins(
    patient: DigitalPatient,
    parameters: Parameters,
    texture_strength: float,
    rng: np.random.Generator,
) -> Spins:
    """Draw the texture and gather what all sequences need.

    Args:
        patient: Who.
        parameters: His tissues, for instance from ``varied_parameters``.
        texture_strength: 0 for tissues without inner variation.
        rng: Source of randomness; the same for every examination of the same man.
    """
    texture = _texture(patient.tissue.shape, rng)
    conspicuity = np.exp(rng.normal(0.0, 0.10, len(patient.lesion_table) + 1))
    spread = np.zeros(N_TISSUE_VALUES, np.float32)
    for tissue, row in parameters.items():
        spread[tissue] = texture_strength * row.texture
    density = spread[patient.tissue]
    density *= texture
    density += 1.0
    voxels = np.flatnonzero(patient.lesions)
    numbers = patient.lesions.reshape(-1)[voxels]
    adc = np.array([0.0, *(lesion.adc_um2_per_s for lesion in patient.lesion_table)])
    table_adc = np.zeros(N_TISSUE_VALUES)
    for tissue, row in parameters.items():
        table_adc[tissue] = row.adc_um2_per_s
    return Spins(
        patient=patient,
        parameters=parameters,
        fat_share=_fat_share(patient, parameters, texture, texture_strength),
        density=np.clip(density, 0.3, 1.7),
        lesion_voxels=voxels,
        lesion_density=conspicuity[numbers].astype(np.float32),
        lesion_adc_um2_per_s=adc[numbers].astype(np.float32),
        lesion_table_adc_um2_per_s=table_adc[patient.tissue.reshape(-1)[voxels]].astype("f4"),
    )


def _fat_share(
    patient: DigitalPatient, parameters: Parameters, texture: Float32Array, strength: float
) -> Float32Array:
    """Tissue table, overridden in marrow by the patient's own map; streaks and patches added."""
    share = fat_fractions(parameters).astype(np.float32)[patient.tissue]
    streaks = np.zeros(N_TISSUE_VALUES, np.float32)
    for tissue, spread in _FAT_STREAKS.items():
        streaks[tissue] = strength * spread
    share += streaks[patient.tissue] * texture
    np.clip(share, 0.0, 0.98, out=share)
    is_marrow = np.zeros(N_TISSUE_VALUES, bool)
    is_marrow[[t for t in Tissue if t.is_marrow]] = True
    voxels = np.flatnonzero(is_marrow[patient.tissue] & (patient.marrow_fat_percent > 0))
    own = patient.marrow_fat_percent.reshape(-1)[voxels].astype(np.float32) / 100.0
    own += 0.06 * strength * texture.reshape(-1)[voxels]
    share.reshape(-1)[voxels] = np.clip(own, 0.02, 0.98)
    return share


def _texture(shape: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Smooth random field of unit variance with a coarse and a fine part."""
    coarse_shape = [max(4, n // 5) for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(coarse_shape, np.float32), 0.6)
    coarse /= coarse.std()
    fine = rng.standard_normal(shape, np.float32)
    for axis in range(3):
        fine = ndimage.uniform_filter1d(fine, 2, axis=axis)
    fine *= np.float32(0.75 / fine.std())
    zoomed = coarse
    for axis, (n, m) in enumerate(zip(shape, coarse_shape, strict=True)):
        zoomed = _stretched(zoomed, axis, n, m)
    zoomed *= np.float32(0.65 / zoomed.std())
    zoomed += fine
    return np.asarray(zoomed, np.float32)


def _stretched(array: Float32Array, axis: int, count: int, given: int) -> Float32Array:
    """Linear interpolation along one axis from ``given`` to ``count`` samples."""
    position = np.linspace(0, given - 1, count)
    below = np.minimum(position.astype(int), given - 2)
    share = (position - below).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(3)])
    low, high = np.take(array, below, axis), np.take(array, below + 1, axis)
    return np.asarray(low + (high - low) * share, np.float32)
