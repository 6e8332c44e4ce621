"""The static field inside the body: gas and bone disturb it, the shim removes what it can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from pelvimets.phantom.anatomy.patient import DigitalPatient, Tissue
from pelvimets.phantom.physics.sampling import Axis
from pelvimets.phantom.physics.signal import N_TISSUE_VALUES

Float32Array = npt.NDArray[np.float32]

# Susceptibility against water, ppm: air and gas (Schenck, Med Phys 1996;23:815), fat
# (Szczepaniak et al., Magn Reson Med 2002;47:607), bone (Buch et al., Magn Reson Med 2015).
SUSCEPTIBILITY_PPM = {
    Tissue.AIR: 9.4,
    Tissue.GAS: 9.4,
    Tissue.SUBCUTANEOUS_FAT: 0.6,
    Tissue.INTERMUSCULAR_FAT: 0.6,
    Tissue.VISCERAL_FAT: 0.6,
    Tissue.YELLOW_MARROW: 0.0,
    Tissue.CORTICAL_BONE: -2.1,
    Tissue.STOOL: 1.0,
}
_COARSE_MM = 5.0
_MARGIN = 1.35


def field_offset_ppm(patient: DigitalPatient) -> tuple[Float32Array, tuple[Axis, Axis, Axis]]:
    """Field offset from the patient's own tissues after a second-order shim.

    The dipole response is evaluated in Fourier space (Marques and Bowtell, Concepts Magn
    Reson B 2005;25:65) on a coarse grid; the main field points along z.

    Returns:
        Offset in ppm (z, y, x) and the coarse grid's axes, in the patient's frame.
    """
    chi, axes = _coarse_susceptibility(patient)
    body = chi < 0.5 * SUSCEPTIBILITY_PPM[Tissue.AIR]
    offset = _dipole_response(chi, [axis.step_mm for axis in axes])
    return (offset - _shim(offset, body, axes)).astype(np.float32), axes


def patient_axes(patient: DigitalPatient) -> tuple[Axis, Axis, Axis]:
    """The patient's grid as one axis each along z, y and x."""
    x, y, z = patient.geometry.origin
    nz, ny, nx = patient.geometry.shape
    sz, sy, sx = patient.geometry.spacing
    return Axis(z, sz, nz), Axis(y, sy, ny), Axis(x, sx, nx)


def _coarse_susceptibility(
    patient: DigitalPatient,
) -> tuple[Float32Array, tuple[Axis, Axis, Axis]]:
    table = np.zeros(N_TISSUE_VALUES, np.float32)
    for value, ppm in SUSCEPTIBILITY_PPM.items():
        table[value] = ppm
    fine = patient_axes(patient)
    factors = [max(1, round(_COARSE_MM / axis.step_mm)) for axis in fine]
    shape = [axis.count // factor for axis, factor in zip(fine, factors, strict=True)]
    tissue = patient.tissue[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    blocks = table[tissue].reshape(shape[0], factors[0], shape[1], factors[1], shape[2], factors[2])
    axes = [
        Axis(axis.first_mm + axis.step_mm * (factor - 1) / 2, axis.step_mm * factor, count)
        for axis, factor, count in zip(fine, factors, shape, strict=True)
    ]
    return blocks.mean(axis=(1, 3, 5)), (axes[0], axes[1], axes[2])


def _dipole_response(chi: Float32Array, steps_mm: list[float]) -> Float32Array:
    """Field in units of chi; body beyond the ends in z continues, air surrounds it in x, y."""
    pad_z, pad_y, pad_x = (int(n * (_MARGIN - 1) / 2) + 1 for n in chi.shape)
    padded = np.pad(chi, ((pad_z, pad_z), (0, 0), (0, 0)), mode="edge")
    air = SUSCEPTIBILITY_PPM[Tissue.AIR]
    padded = np.pad(padded, ((0, 0), (pad_y, pad_y), (pad_x, pad_x)), constant_values=air)
    size = [fft.next_fast_len(n, real=True) for n in padded.shape]
    spectrum = fft.rfftn((padded - air).astype(np.float32), s=size)
    kz = fft.fftfreq(size[0], steps_mm[0])[:, None, None]
    ky = fft.fftfreq(size[1], steps_mm[1])[None, :, None]
    kx = fft.rfftfreq(size[2], steps_mm[2])[None, None, :]
    squared = kz**2 + ky**2 + kx**2
    squared[0, 0, 0] = 1.0
    kernel = (1.0 / 3.0 - kz**2 / squared).astype(np.float32)
    kernel[0, 0, 0] = 0.0
    response = fft.irfftn(spectrum * kernel, s=size)
    nz, ny, nx = chi.shape
    return np.asarray(
        response[pad_z : pad_z + nz, pad_y : pad_y + ny, pad_x : pad_x + nx], np.float32
    )


def _shim(
    offset: Float32Array, body: npt.NDArray[np.bool_], axes: tuple[Axis, Axis, Axis]
) -> Float32Array:
    """Best second-order polynomial over the body, gas left out."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, axis.count) for axis in axes), indexing="ij")
    terms = [np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x, y * y, z * z]
    usable = body & (np.abs(offset) < 3.0)
    design = np.stack([term[usable] for term in terms], axis=1)
    weights, *_ = np.linalg.lstsq(design[::7], offset[usable][::7], rcond=None)
    return np.asarray(sum(w * term for w, term in zip(weights, terms, strict=True)), np.float32)
