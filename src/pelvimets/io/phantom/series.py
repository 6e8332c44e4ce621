"""Which series each vendor makes of one examination, and how it names them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.choices import DicomStyle, Vendor
from pelvimets.phantom.physics.companions import STIR_AXIAL, CompanionImages
from pelvimets.phantom.physics.imaging import ImagedPatient
from pelvimets.phantom.physics.sequences import DixonImage
from pelvimets.phantom.physics.signal import fat_null_ms


@dataclass(frozen=True, eq=False)
class Stack:
    """One volume of a series.

    Attributes:
        array: Stored numbers (slices, rows, columns).
        geometry: Its grid.
        image_type: Value of Image Type.
        te_ms: Echo time.
        b_s_per_mm2: b-value, None without diffusion weighting.
        directionality: ``NONE`` or ``ISOTROPIC``.
        sequence_name: Siemens writes the b-value there too.
        slope: Rescale slope; 1 writes none except for Philips.
        units: Rescale type.
    """

    array: npt.NDArray[np.uint16]
    geometry: Geometry
    image_type: tuple[str, ...]
    te_ms: float
    b_s_per_mm2: float | None = None
    directionality: str = "NONE"
    sequence_name: str = ""
    slope: float = 1.0
    units: str = "US"


@dataclass(frozen=True, eq=False)
class Series:
    """One series; several stacks share it where the vendor mixes them.

    Attributes:
        number: Series number.
        description: Series description.
        stacks: Volumes in the order of their instance numbers.
        tr_ms, flip_deg: Timing.
        thickness_mm, spacing_mm: Slices.
        scanning: Scanning Sequence and Sequence Variant.
        options: Scan Options.
        dimension: ``2D`` or ``3D``.
        echo_train: Echoes per excitation.
        bandwidth_hz: Pixel bandwidth.
        contrast: Acquisition contrast of an enhanced object.
        inversion_ms: Inversion time, None without an inversion pulse.
    """

    number: int
    description: str
    stacks: tuple[Stack, ...]
    tr_ms: float
    flip_deg: float
    thickness_mm: float
    spacing_mm: float
    scanning: tuple[str, str]
    options: tuple[str, ...] = ()
    dimension: str = "2D"
    echo_train: int = 1
    bandwidth_hz: float = 500.0
    contrast: str = "T2"
    inversion_ms: float | None = None
    extras: dict[str, Any] = field(default_factory=dict)


_DIXON_ORDER = (DixonImage.WATER, DixonImage.IN_PHASE, DixonImage.OUT_PHASE, DixonImage.FAT)


def series_of(imaged: ImagedPatient, style: DicomStyle) -> tuple[Series, ...]:
    """All image series of the study, as the vendor would send them to a PACS."""
    build = {Vendor.GE: _ge, Vendor.PHILIPS: _philips, Vendor.SIEMENS: _siemens}[style.vendor]
    return tuple(build(imaged))


def _ge(imaged: ImagedPatient) -> list[Series]:
    original = ("ORIGINAL", "PRIMARY", "OTHER")
    b_values = tuple(imaged.diffusion.by_b)
    dwi = tuple(_diffusion_stack(imaged, b, original) for b in b_values)
    adc = _adc_stack(imaged, ("DERIVED", "SECONDARY", "OTHER", "ADC"))
    series = [
        _localiser(imaged, 1, "3-pl Loc SSFSE", original),
        *_t2(imaged, (2, 3), ("Sag T2 FRFSE", "Ax T2 FRFSE"), original),
        *_stir(imaged, 6, "Ax STIR FSE", original),
        _diffusion(imaged, 4, f"Ax DWI b{b_values[-1]:.0f} ASSET", dwi),
        _diffusion(imaged, 450, "Apparent Diffusion Coefficient (mm2/s)", (adc,)),
    ]
    names = {"water": "WATER", "in_phase": "InPhase", "out_phase": "OutPhase", "fat": "FAT"}
    for step, image in enumerate(i for i in _DIXON_ORDER if i in imaged.dixon.images):
        kind = ("DERIVED", "PRIMARY", "DIXON", image.value.upper())
        number = 5 if step == 0 else 500 + step
        description = f"{names[image.value]}: Ax LAVA-Flex"
        series.append(_dixon(imaged, number, description, (_dixon_stack(imaged, image, kind),)))
    return series


def _philips(imaged: ImagedPatient) -> list[Series]:
    spin_echo = ("ORIGINAL", "PRIMARY", "M_SE", "M", "SE")
    b_values = tuple(imaged.diffusion.by_b)
    dwi = tuple(_diffusion_stack(imaged, b, spin_echo, slope=1.4652015) for b in b_values)
    adc = _adc_stack(imaged, ("DERIVED", "PRIMARY", "ADC", "ADC", "UNSPECIFIED"), slope=0.9768)
    series = [
        _localiser(imaged, 101, "SURVEY", spin_echo),
        *_t2(imaged, (201, 301), ("T2W_TSE_SAG", "T2W_TSE_TRA"), spin_echo),
        *_stir(imaged, 601, "STIR_TSE_TRA", spin_echo),
        _diffusion(imaged, 401, f"DWI_b{b_values[-1]:.0f}_SPAIR", dwi),
        _diffusion(imaged, 402, f"dDWI_b{b_values[-1]:.0f}_ADC", (adc,)),
    ]
    letters = {"water": "W", "in_phase": "IP", "out_phase": "OP", "fat": "F"}
    kinds = {
        image: ("DERIVED", "PRIMARY", letters[image.value], letters[image.value], "DERIVED")
        for image in _DIXON_ORDER
    }
    stacks = tuple(
        _dixon_stack(imaged, image, kinds[image], slope=0.8791209)
        for image in _DIXON_ORDER
        if image in imaged.dixon.images
    )
    return [*series, _dixon(imaged, 501, "mDIXON_T1W_TRA", stacks)]


def _siemens(imaged: ImagedPatient) -> list[Series]:
    plain = ("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D")
    b_values = tuple(imaged.diffusion.by_b)
    trace = ("ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW", "ND", "NORM")
    dwi = tuple(
        _diffusion_stack(imaged, b, trace, sequence_name=f"*ep_b{b:.0f}t") for b in b_values
    )
    adc_name = f"*ep_b{b_values[0]:.0f}_{b_values[-1]:.0f}"
    adc = _adc_stack(
        imaged, ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM"), sequence_name=adc_name
    )
    series = [
        _localiser(imaged, 1, "localizer", plain),
        *_t2(imaged, (2, 3), ("t2_tse_sag", "t2_tse_tra"), plain),
        *_stir(imaged, 20, "t2_tirm_tra", plain),
        _diffusion(imaged, 4, "ep2d_diff_tra_TRACEW", dwi),
        _diffusion(imaged, 5, "ep2d_diff_tra_ADC", (adc,)),
        _diffusion(imaged, 6, "ep2d_diff_tra_CALC_BVAL", (_calculated_stack(imaged),)),
    ]
    names = {"water": "W", "in_phase": "in", "out_phase": "opp", "fat": "F"}
    for step, image in enumerate(i for i in _DIXON_ORDER if i in imaged.dixon.images):
        kind = ("DERIVED", "PRIMARY", "DIXON", image.value.upper(), "NORM", "DIS3D")
        description = f"t1_vibe_dixon_tra_{names[image.value]}"
        stack = _dixon_stack(imaged, image, kind, sequence_name="*fl3d2")
        series.append(_dixon(imaged, 7 + step, description, (stack,)))
    return series


def _diffusion_stack(
    imaged: ImagedPatient, b: float, image_type: tuple[str, ...], **options: Any
) -> Stack:
    slope = options.get("slope", 1.0)
    return Stack(
        array=_divided(imaged.diffusion.by_b[b], slope),
        geometry=imaged.diffusion.geometry,
        image_type=image_type,
        te_ms=imaged.scanner.diffusion.te_ms,
        b_s_per_mm2=b,
        directionality="ISOTROPIC" if b > 0 else "NONE",
        **options,
    )


def _adc_stack(imaged: ImagedPatient, image_type: tuple[str, ...], **options: Any) -> Stack:
    slope = options.get("slope", 1.0)
    return Stack(
        array=_divided(imaged.diffusion.adc_um2_per_s, slope),
        geometry=imaged.diffusion.geometry,
        image_type=image_type,
        te_ms=imaged.scanner.diffusion.te_ms,
        units="10^-6 mm^2/s",
        **options,
    )


def _calculated_stack(imaged: ImagedPatient, b_s_per_mm2: float = 1400.0) -> Stack:
    """The image a scanner extrapolates from the lowest b-value and the ADC map."""
    lowest, image = next(iter(imaged.diffusion.by_b.items()))
    decay = np.exp(-(b_s_per_mm2 - lowest) * 1e-6 * imaged.diffusion.adc_um2_per_s)
    known = imaged.diffusion.adc_um2_per_s > 0
    array = np.where(known, np.rint(image * decay), 0).astype(np.uint16)
    return Stack(
        array=array,
        geometry=imaged.diffusion.geometry,
        image_type=("DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE", "TRACEW", "ND", "NORM"),
        te_ms=imaged.scanner.diffusion.te_ms,
        b_s_per_mm2=b_s_per_mm2,
        directionality="ISOTROPIC",
        sequence_name=f"*ep_calc_b{b_s_per_mm2:.0f}",
    )


def _dixon_stack(
    imaged: ImagedPatient, image: DixonImage, image_type: tuple[str, ...], **options: Any
) -> Stack:
    sequence = imaged.scanner.dixon
    opposed = image is DixonImage.OUT_PHASE
    return Stack(
        array=_divided(imaged.dixon.images[image], options.get("slope", 1.0)),
        geometry=imaged.dixon.geometry,
        image_type=image_type,
        te_ms=sequence.te_out_ms if opposed else sequence.te_in_ms,
        **options,
    )


def _divided(array: npt.NDArray[np.uint16], slope: float) -> npt.NDArray[np.uint16]:
    if slope == 1.0:
        return array
    return np.asarray(np.clip(np.rint(array * np.float32(1.0 / slope)), 0, 4095), dtype=np.uint16)


def _diffusion(
    imaged: ImagedPatient, number: int, description: str, stacks: tuple[Stack, ...]
) -> Series:
    sequence = imaged.scanner.diffusion
    return Series(
        number=number,
        description=description,
        stacks=stacks,
        tr_ms=sequence.tr_ms,
        flip_deg=90.0,
        thickness_mm=sequence.field.thickness_mm,
        spacing_mm=sequence.field.spacing_mm,
        scanning=("EP", "SK"),
        options=("PFP", "FS"),
        echo_train=max(1, round(sequence.field.matrix[1] * sequence.acquired_fraction[1] / 2)),
        bandwidth_hz=1950.0,
        contrast="DIFFUSION",
        extras={"averages": max(sequence.averages)},
    )


def _dixon(
    imaged: ImagedPatient, number: int, description: str, stacks: tuple[Stack, ...]
) -> Series:
    sequence = imaged.scanner.dixon
    return Series(
        number=number,
        description=description,
        stacks=stacks,
        tr_ms=sequence.tr_ms,
        flip_deg=sequence.flip_deg,
        thickness_mm=sequence.field.thickness_mm,
        spacing_mm=sequence.field.spacing_mm,
        scanning=("GR", "SP"),
        dimension="3D",
        echo_train=2,
        bandwidth_hz=sequence.pixel_bandwidth_hz,
        contrast="T1",
    )


def _localiser(
    imaged: ImagedPatient, number: int, description: str, image_type: tuple[str, ...]
) -> Series:
    found = [c for c in imaged.companions if c.sequence.name == "localiser"]
    return _companion_series(found, number, description, image_type)


def _t2(
    imaged: ImagedPatient,
    numbers: tuple[int, int],
    descriptions: tuple[str, str],
    image_type: tuple[str, ...],
) -> list[Series]:
    found = [c for c in imaged.companions if c.sequence.name.startswith("T2")]
    return [
        _companion_series([companion], number, description, image_type)
        for companion, number, description in zip(found, numbers, descriptions, strict=False)
    ]


def _stir(
    imaged: ImagedPatient, number: int, description: str, image_type: tuple[str, ...]
) -> list[Series]:
    """STIR where it was acquired, with the inversion time that nulls fat."""
    found = [c for c in imaged.companions if c.sequence is STIR_AXIAL]
    if not found:
        return []
    ti_ms = fat_null_ms(STIR_AXIAL.tr_ms, imaged.scanner.field_strength_t)
    series = _companion_series(found, number, description, image_type)
    return [replace(series, inversion_ms=round(ti_ms, 1))]


def _companion_series(
    companions: list[CompanionImages],
    number: int,
    description: str,
    image_type: tuple[str, ...],
) -> Series:
    stacks = tuple(
        Stack(c.array, c.geometry, image_type, c.sequence.te_ms, sequence_name="*tse2d1_17")
        for c in companions
    )
    sequence = companions[0].sequence if companions else None
    return Series(
        number=number,
        description=description,
        stacks=stacks,
        tr_ms=sequence.tr_ms if sequence else 0.0,
        flip_deg=150.0,
        thickness_mm=sequence.thickness_mm if sequence else 1.0,
        spacing_mm=sequence.spacing_mm if sequence else 1.0,
        scanning=("SE", "SK"),
        echo_train=17,
        bandwidth_hz=250.0,
    )
