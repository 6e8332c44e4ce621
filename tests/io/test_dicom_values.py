"""What stored numbers mean: padding is background, and ADC comes in the unit that it declares."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import item, write
from phantom_files import (
    GE,
    PHILIPS,
    PHILIPS_CLASSIC,
    SIEMENS,
    adc_truth,
    check,
    dwi_truth,
    edited,
    images,
    t1_truth,
)
from pydicom.dataset import Dataset

from pelvimets.core.volume import Volume
from pelvimets.io.study import read_study

CORNER = (slice(0, 5), slice(0, 7))


def stored(ds: Dataset) -> np.ndarray:
    return ds.pixel_array.copy()


def cornered(truth: Volume) -> Volume:
    """The truth with background in the padded corner of each slice."""
    array = truth.array.copy()
    array[(slice(None), *CORNER)] = 0
    return truth.with_array(array)


def pad(ds: Dataset, value: int, stated: int, vr: str, limit: int | None = None) -> None:
    array = stored(ds)
    array[(..., *CORNER)] = value
    ds.PixelData = array.tobytes()
    ds.BitsStored, ds.HighBit = 16, 15
    ds.add_new("PixelPaddingValue", vr, stated)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", vr, limit)


@pytest.mark.parametrize(
    ("style", "words", "padding"),
    [
        (GE, ("Ax DWI", "InPhase", "Apparent"), (-32768, -32768, "SS")),
        (GE, ("Ax DWI", "InPhase", "Apparent"), (-2000, 65536 - 2000, "US")),
        (SIEMENS, ("TRACEW", "_in", "_ADC"), (63000, 63000, "US")),
        (SIEMENS, ("TRACEW", "_in", "_ADC"), (63000, 63000 - 65536, "SS")),
        (SIEMENS, ("TRACEW", "_in", "_ADC"), (63000, 65535, "US", 60000)),
        (PHILIPS_CLASSIC, ("SPAIR", "mDIXON", "_ADC"), (63000, 63000, "US")),
        (PHILIPS, ("SPAIR", "mDIXON", "_ADC"), (63000, 63000, "US")),
    ],
)
def test_padding_is_background(tmp_path: Path, style, words, padding):
    files = images(style, *words)
    for ds in files:
        pad(ds, *padding)
    write(tmp_path, files)
    study = read_study(tmp_path)
    check(study.dwi, cornered(dwi_truth(style)))
    check(study.t1, cornered(t1_truth(style)))
    check(study.adc, cornered(adc_truth(style)))


def test_padding_does_not_count_for_the_unit_of_adc(tmp_path: Path):
    def edit(ds: Dataset, k: int) -> None:
        array = stored(ds)
        array[:, :40] = 30_000
        ds.PixelData = array.tobytes()
        ds.add_new("PixelPaddingValue", "SS", 30_000)

    write(tmp_path, [*edited(images(GE, "Apparent"), edit), *images(GE, "Ax DWI")])
    truth = adc_truth(GE)
    array = truth.array.copy()
    array[:, :, :40] = 0
    check(read_study(tmp_path).adc, truth.with_array(array))


@pytest.mark.parametrize(("unit", "slope"), [("um2/s", 1.0), ("10-3.mm2/s", 1e-3), ("mm2/s", 1e-6)])
def test_adc_by_its_real_world_values(tmp_path: Path, unit, slope):
    """The rescaled numbers mean nothing; the mapping to real world values says what they are."""

    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 0.25, 7.0, "normalized"
        mapping = item(RealWorldValueSlope=slope, RealWorldValueIntercept=0.0)
        mapping[0].MeasurementUnitsCodeSequence = item(
            CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit
        )
        ds.RealWorldValueMappingSequence = mapping

    write(tmp_path, [*edited(images(SIEMENS, "_ADC"), edit), *images(SIEMENS, "TRACEW")])
    adc = read_study(tmp_path).adc
    check(adc, adc_truth(SIEMENS))
    assert adc.notes == ()


def test_adc_whose_median_looks_like_another_unit(tmp_path: Path):
    """Bright noise around a small body: the declared unit counts."""

    def edit(ds: Dataset, k: int) -> None:
        array = stored(ds)
        array[array == 0] = 12_000
        ds.PixelData = array.tobytes()
        ds.BitsStored, ds.HighBit = 16, 15
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "10^-6 mm^2/s"

    write(tmp_path, [*edited(images(SIEMENS, "_ADC"), edit), *images(SIEMENS, "TRACEW")])
    truth = adc_truth(SIEMENS)
    assert (truth.array == 0).mean() > 0.5  # so that the median is noise
    check(
        read_study(tmp_path).adc,
        truth.with_array(np.where(truth.array == 0, 12_000, truth.array)),
    )
