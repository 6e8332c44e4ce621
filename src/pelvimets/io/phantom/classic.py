"""Classic MR images: one file per slice, with each vendor's own tags."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from pelvimets.io.phantom.header import (
    StudyIdentity,
    decimal,
    file_meta,
    orientation,
    position,
    series_time,
    slice_location,
)
from pelvimets.io.phantom.series import Series, Stack
from pelvimets.phantom.choices import Vendor

GE_B_VALUE_OFFSET = 1_000_000_000


def classic_instances(
    header: Dataset, series: Series, identity: StudyIdentity
) -> Iterator[tuple[int, Dataset]]:
    """The files of a series with their instance numbers, in the vendor's order."""
    number = 0
    for index, stack in enumerate(series.stacks):
        template = _stack_template(header, series, stack, identity)
        template.EchoNumbers = 1
        count = stack.array.shape[0]
        for step in range(count):
            number += 1
            k = count - 1 - step if identity.style.vendor is Vendor.GE else step
            yield number, _instance(template, series, stack, identity, (index, k, number))


def _stack_template(
    header: Dataset, series: Series, stack: Stack, identity: StudyIdentity
) -> Dataset:
    ds = Dataset()
    ds.update(header)
    ds.SOPClassUID = MRImageStorage
    ds.ImageType = list(stack.image_type)
    _acquisition(ds, series, stack)
    _pixels(ds, stack, identity)
    _VENDOR_TAGS[identity.style.vendor](ds, series, stack)
    return ds


def _acquisition(ds: Dataset, series: Series, stack: Stack) -> None:
    columns, rows = stack.array.shape[2], stack.array.shape[1]
    ds.ScanningSequence, ds.SequenceVariant = series.scanning
    ds.ScanOptions = list(series.options) or ""
    ds.MRAcquisitionType = series.dimension
    if stack.sequence_name and ds.Manufacturer == "SIEMENS":
        ds.SequenceName = stack.sequence_name
    ds.SliceThickness = decimal(series.thickness_mm)
    ds.SpacingBetweenSlices = decimal(series.spacing_mm)
    ds.RepetitionTime = decimal(series.tr_ms)
    ds.EchoTime = decimal(stack.te_ms)
    if series.inversion_ms is not None:
        ds.ScanningSequence = [series.scanning[0], "IR"]
        ds.InversionTime = decimal(series.inversion_ms)
    ds.EchoTrainLength = series.echo_train
    ds.NumberOfAverages = series.extras.get("averages", 1)
    ds.NumberOfPhaseEncodingSteps = rows
    ds.PercentSampling = "100"
    ds.PercentPhaseFieldOfView = decimal(
        100.0 * rows * stack.geometry.spacing[1] / (columns * stack.geometry.spacing[2])
    )
    ds.PixelBandwidth = decimal(series.bandwidth_hz)
    ds.FlipAngle = decimal(series.flip_deg)
    ds.AcquisitionMatrix = [columns, 0, 0, rows]
    ds.InPlanePhaseEncodingDirection = "COL"
    ds.ImageOrientationPatient = orientation(stack.geometry)
    ds.PixelSpacing = [decimal(v) for v in stack.geometry.spacing[1:]]


def _pixels(ds: Dataset, stack: Stack, identity: StudyIdentity) -> None:
    signed = identity.style.vendor is Vendor.GE
    _, ds.Rows, ds.Columns = stack.array.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored, ds.HighBit = (16, 15) if signed else (12, 11)
    ds.PixelRepresentation = int(signed)
    high = float(np.percentile(stack.array, 99.5)) * stack.slope
    ds.WindowCenter, ds.WindowWidth = decimal(high / 2), decimal(max(high, 1.0))
    if identity.style.vendor is Vendor.PHILIPS:
        ds.RescaleIntercept, ds.RescaleSlope = "0", decimal(stack.slope)
        ds.RescaleType = stack.units if stack.units != "US" else "normalized"


def _instance(
    template: Dataset,
    series: Series,
    stack: Stack,
    identity: StudyIdentity,
    place: tuple[int, int, int],
) -> Dataset:
    stack_index, k, number = place
    ds = Dataset()
    ds.update(template)
    ds.SOPInstanceUID = identity.uid("instance", series.number, stack_index, k)
    ds.InstanceNumber = number
    ds.InstanceCreationDate, ds.InstanceCreationTime = ds.StudyDate, series_time(series.number)
    ds.ImagePositionPatient = position(stack.geometry, k)
    ds.SliceLocation = slice_location(stack.geometry, k)
    ds.PixelData = np.ascontiguousarray(stack.array[k], dtype="<u2").tobytes()
    ds.file_meta = file_meta(MRImageStorage, ds.SOPInstanceUID)
    return ds


def _ge_tags(ds: Dataset, series: Series, stack: Stack) -> None:
    block = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    name = {"EP": "epi2", "GR": "LAVAFLEX", "SE": "frfse"}[series.scanning[0]]
    block.add_new(0x9C, "LO", name)
    block.add_new(0x9E, "LO", name.upper())
    if stack.b_s_per_mm2 is None:
        return
    b = round(stack.b_s_per_mm2)
    coded = b + GE_B_VALUE_OFFSET if b else 0
    parameters = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    parameters.add_new(0x39, "IS", [coded, 8, 0, 0])
    parameters.add_new(0x30, "SS", 16 if b else 14)


def _philips_tags(ds: Dataset, series: Series, stack: Stack) -> None:
    imaging = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    imaging.add_new(0x0B, "CS", _plane(stack))
    imaging.add_new(0x18, "SL", stack.array.shape[0])
    scaling = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    scaling.add_new(0x0D, "FL", 0.0)
    scaling.add_new(0x0E, "FL", round(0.0125 / stack.slope, 8))
    if stack.b_s_per_mm2 is not None:
        imaging.add_new(0x03, "FL", stack.b_s_per_mm2)
        imaging.add_new(0x04, "CS", "I")
        ds.DiffusionBValue = stack.b_s_per_mm2


def _siemens_tags(ds: Dataset, series: Series, stack: Stack) -> None:
    if stack.b_s_per_mm2 is not None or "ADC" in stack.image_type:
        block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0B, "DS", "35")
        if stack.b_s_per_mm2 is not None:
            block.add_new(0x0C, "IS", round(stack.b_s_per_mm2))
            block.add_new(0x0D, "CS", stack.directionality)
    text = ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    text.add_new(0x08, "CS", "IMAGE NUM 4")
    text.add_new(0x0F, "LO", "BO1,2;SP2-4")


def _plane(stack: Stack) -> str:
    normal = np.abs(stack.geometry.axes[0])
    return ("SAGITTAL", "CORONAL", "TRANSVERSAL")[int(normal.argmax())]


_VENDOR_TAGS = {
    Vendor.GE: _ge_tags,
    Vendor.PHILIPS: _philips_tags,
    Vendor.SIEMENS: _siemens_tags,
}
