"""The simulated images against the literature: what a command prints and a test holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.patient import DigitalPatient, LesionKind, Tissue
from pelvimets.phantom.physics.diffusion import diffusion_averaging
from pelvimets.phantom.physics.dixon import dixon_averaging
from pelvimets.phantom.physics.imaging import ImagedPatient
from pelvimets.phantom.physics.sampling import Float32Array, along_x, along_y, along_z
from pelvimets.phantom.physics.sequences import DixonImage

BoolArray = npt.NDArray[np.bool_]
_FULL = 0.97  # a voxel filled this far counts as pure
_FEWEST_VOXELS = 8


@dataclass(frozen=True)
class Reference:
    """A range from the literature.

    Attributes:
        key: Name of the measurement.
        title: As printed, with unit.
        low, high: Range that the mean must meet.
        source: Where the range comes from.
    """

    key: str
    title: str
    low: float
    high: float
    source: str


_MARROW_ADC = "Colombo 2021: 422 +- 67; Messiou 2011: normal below 655"
_ANATOMY = "adult men, cadaver and CT ranges (est)"
REFERENCES = (
    Reference("volume_femoral_head", "Femoral heads, cm3", 70, 160, "radius 21-27 mm, both"),
    Reference("volume_sacrococcyx", "Sacrum and coccyx, cm3", 150, 420, _ANATOMY),
    Reference("volume_hip_bones", "Both hip bones, cm3", 480, 1150, _ANATOMY),
    Reference("t1_marrow_muscle", "T1: marrow / muscle", 1.2, 3.2, "Vogler, Radiology 1988"),
    Reference("t1_lesion_muscle", "T1: metastasis / muscle", 0.5, 1.35, "Vogler, Radiology 1988"),
    Reference("t1_lesion_marrow", "T1: metastasis / marrow", 0.2, 0.8, "dark on T1: paper"),
    Reference("t1_fat_muscle", "T1: fat / muscle", 1.8, 4.0, "T1 of both: dB04, St05"),
    Reference("dwi_marrow_muscle", "DWI: marrow / muscle", 1.0, 5.0, "Colombo 2021: 3.2 +- 0.9"),
    Reference("dwi_lesion_marrow", "DWI: metastasis / marrow", 1.2, 6.0, "bright on DWI: paper"),
    Reference("adc_marrow", "ADC of marrow, um2/s", 288, 655, _MARROW_ADC),
    Reference("adc_lesion", "ADC of metastases, um2/s", 598, 1510, "Messiou 2011: 1054 +- 456"),
    Reference("adc_treated", "ADC of treated, um2/s", 1400, 2400, "MET-RADS-P 2017"),
    Reference("adc_muscle", "ADC of muscle, um2/s", 1200, 1750, "muscle T2 and diffusion (est)"),
    Reference("adc_urine", "ADC of urine, um2/s", 2500, 3200, "free water at 37 C: 3000"),
    Reference("t1_snr", "T1: SNR of muscle / protocol", 0.7, 1.4, "the scanner's protocol"),
)


@dataclass(frozen=True)
class CheckRow:
    """One line of the table.

    Attributes:
        reference: What should come out.
        value: Mean over the patients that have it; NaN where none has.
        patients: How many had it.
    """

    reference: Reference
    value: float
    patients: int

    @property
    def state(self) -> str:
        """``ok``, ``off`` or ``none`` (no patient had it)."""
        if self.patients == 0:
            return "none"
        return "ok" if self.reference.low <= self.value <= self.reference.high else "off"


def check_table(imaged: Iterable[ImagedPatient]) -> tuple[CheckRow, ...]:
    """Measure patients and compare.

    Args:
        imaged: Examinations without EPI distortion, motion and coil field: the patient's own
            map then says which tissue fills a voxel.
    """
    measured = [measurements(one) for one in imaged]
    rows = []
    for reference in REFERENCES:
        values = [m[reference.key] for m in measured if reference.key in m]
        mean = float(np.mean(values)) if values else float("nan")
        rows.append(CheckRow(reference, mean, len(values)))
    return tuple(rows)


def measurements(imaged: ImagedPatient) -> dict[str, float]:
    """All measurements of one examination; those without enough voxels are missing."""
    return {
        **_volumes(imaged.patient),
        **_t1(imaged),
        **_diffusion(imaged),
    }


def _volumes(patient: DigitalPatient) -> dict[str, float]:
    voxel_cm3 = patient.geometry.voxel_volume_mm3 / 1000.0
    counts = np.bincount(patient.bones.ravel(), minlength=len(Bone) + 1) * voxel_cm3
    hip = (Bone.ILIUM, Bone.ACETABULUM, Bone.ISCHIUM, Bone.PUBIS)
    return {
        "volume_femoral_head": float(counts[Bone.FEMORAL_HEAD]),
        "volume_sacrococcyx": float(counts[Bone.SACROCOCCYX]),
        "volume_hip_bones": float(sum(counts[bone] for bone in hip)),
    }


def _t1(imaged: ImagedPatient) -> dict[str, float]:
    image = imaged.dixon.images[DixonImage.IN_PHASE].astype(np.float32)
    matrices = dixon_averaging(imaged.patient, imaged.scanner, imaged.examination)
    means = _means(image, imaged.patient, matrices)
    found = _ratios(means, "t1")
    if "muscle" in means and "muscle_spread" in means:
        noise = float(np.std(image[_background(image)])) / 0.655  # Rayleigh to Gaussian
        if noise > 0:
            found["t1_snr"] = means["muscle"] / noise / imaged.scanner.dixon.muscle_snr
    return found


def _background(image: Float32Array) -> BoolArray:
    """A corner of air, in front of the patient."""
    corner = np.zeros(image.shape, bool)
    corner[:, : max(image.shape[1] // 12, 2), : max(image.shape[2] // 8, 2)] = True
    return corner


def _diffusion(imaged: ImagedPatient) -> dict[str, float]:
    matrices = diffusion_averaging(imaged.patient, imaged.scanner, imaged.examination)
    highest = imaged.diffusion.by_b[max(imaged.diffusion.by_b)].astype(np.float32)
    found = _ratios(_means(highest, imaged.patient, matrices), "dwi")
    adc = _means(imaged.diffusion.adc_um2_per_s.astype(np.float32), imaged.patient, matrices)
    for name in ("marrow", "lesion", "treated", "muscle", "urine"):
        if name in adc:
            found[f"adc_{name}"] = adc[name]
    return found


def _means(
    image: Float32Array,
    patient: DigitalPatient,
    matrices: tuple[Float32Array, Float32Array, Float32Array],
) -> dict[str, float]:
    """Mean of the image over the pure voxels of each kind of tissue."""
    untreated = [k.tissue for k in LesionKind if k is not LesionKind.TREATED]
    groups = {
        "muscle": [Tissue.MUSCLE],
        "marrow": [Tissue.RED_MARROW],
        "fat": [Tissue.SUBCUTANEOUS_FAT],
        "urine": [Tissue.URINE],
        "lesion": untreated,
        "treated": [Tissue.METASTASIS_TREATED],
    }
    wz, wy, wx = matrices
    found = {}
    for name, tissues in groups.items():
        filling = along_x(wx, along_y(wy, along_z(wz, _indicator(patient, tissues))))
        pure = filling > _FULL
        if np.count_nonzero(pure) >= _FEWEST_VOXELS:
            found[name] = float(image[pure].mean())
            found[f"{name}_spread"] = float(image[pure].std())
    return found


def _indicator(patient: DigitalPatient, tissues: list[Tissue]) -> Float32Array:
    table = np.zeros(256, np.float32)
    table[tissues] = 1.0
    return table[patient.tissue]


def _ratios(means: dict[str, float], prefix: str) -> dict[str, float]:
    pairs = (("marrow", "muscle"), ("lesion", "muscle"), ("lesion", "marrow"), ("fat", "muscle"))
    return {
        f"{prefix}_{one}_{other}": means[one] / means[other]
        for one, other in pairs
        if one in means and other in means and means[other] > 0
    }
