"""Enhanced multi-frame MR: a whole series in one file, as Philips exports it."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EnhancedMRImageStorage

from pelvimets.io.phantom.header import (
    StudyIdentity,
    decimal,
    file_meta,
    orientation,
    position,
    series_time,
)
from pelvimets.io.phantom.series import Series, Stack

_PELVIS = ("12921003", "SCT", "Pelvis")


def enhanced_instance(header: Dataset, series: Series, identity: StudyIdentity) -> Dataset:
    """One multi-frame object with all stacks of the series, frames stack by stack."""
    first = series.stacks[0]
    ds = Dataset()
    ds.update(header)
    del ds.ImagedNucleus, ds.ImagingFrequency
    ds.SOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = identity.uid("instance", series.number)
    ds.InstanceNumber = 1
    ds.InstanceCreationDate, ds.InstanceCreationTime = ds.StudyDate, series_time(series.number)
    _image(ds, series)
    if _value_1(first) == "ORIGINAL":
        _pulse_sequence(ds, series)
    _dimensions(ds, series, identity)
    ds.SharedFunctionalGroupsSequence = _sequence(_shared_groups(series, first, ds))
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(_frames(series, ds))
    ds.NumberOfFrames = len(ds.PerFrameFunctionalGroupsSequence)
    pixels = np.concatenate([stack.array for stack in series.stacks])
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    ds.file_meta = file_meta(EnhancedMRImageStorage, ds.SOPInstanceUID)
    return ds


def _item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _sequence(*items: Dataset) -> DicomSequence:
    return DicomSequence(list(items))


def _value_1(stack: Stack) -> str:
    """Enhanced Dixon images count as original, unlike the classic ones."""
    return "ORIGINAL" if _kind(stack)[0] == "DIXON" else stack.image_type[0]


def _kind(stack: Stack) -> tuple[str, str, str]:
    """Image flavour, derived contrast and acquisition contrast (PS3.3 C.8.13.3.1)."""
    if "ADC" in stack.image_type:
        return "DIFFUSION", "ADC", "DIFFUSION"
    if stack.b_s_per_mm2 is not None:
        return "DIFFUSION", "NONE", "DIFFUSION"
    name = {"W": "WATER", "F": "FAT", "IP": "IN_PHASE", "OP": "OUT_OF_PHASE"}
    return "DIXON", name[stack.image_type[2]], "T1"


def _image(ds: Dataset, series: Series) -> None:
    stack = series.stacks[0]
    flavour, derived, contrast = _kind(stack)
    mixed = len({_kind(s) for s in series.stacks}) > 1
    ds.ImageType = [_value_1(stack), "PRIMARY", flavour, "MIXED" if mixed else derived]
    _description(ds, contrast)
    ds.ContentQualification = "RESEARCH"
    ds.ResonantNucleus = "1H"
    ds.KSpaceFiltering = "NONE"
    ds.ApplicableSafetyStandardAgency = "IEC"
    ds.AcquisitionDateTime = ds.StudyDate + series_time(series.number)
    ds.AcquisitionDuration = 180.0
    ds.AcquisitionContextSequence = DicomSequence([])
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    _, ds.Rows, ds.Columns = stack.array.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0


def _description(ds: Dataset, contrast: str) -> None:
    """MR image description macro, on the object and on each frame type."""
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.ComplexImageComponent = "MAGNITUDE"
    ds.AcquisitionContrast = contrast


def _pulse_sequence(ds: Dataset, series: Series) -> None:
    diffusion = series.contrast == "DIFFUSION"
    ds.PulseSequenceName = "DwiSE" if diffusion else "mDIXON"
    ds.MRAcquisitionType = series.dimension
    ds.EchoPulseSequence = "SPIN" if diffusion else "GRADIENT"
    if diffusion:
        ds.MultipleSpinEcho = "NO"
    ds.MultiPlanarExcitation = "NO"
    ds.PhaseContrast = "NO"
    ds.TimeOfFlightContrast = "NO"
    ds.SteadyStatePulseSequence = "NONE"
    ds.EchoPlanarPulseSequence = "YES" if diffusion else "NO"
    ds.SaturationRecovery = "NO"
    ds.SpectrallySelectedSuppression = "FAT" if diffusion else "NONE"
    ds.OversamplingPhase = "NONE"
    ds.GeometryOfKSpaceTraversal = "RECTILINEAR"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.SegmentedKSpaceTraversal = "SINGLE"
    if series.dimension == "3D":
        ds.CoverageOfKSpace = "FULL"
    ds.NumberOfKSpaceTrajectories = 1


def _dimensions(ds: Dataset, series: Series, identity: StudyIdentity) -> None:
    uid = identity.uid("dimensions", series.number)
    ds.DimensionOrganizationSequence = _sequence(_item(DimensionOrganizationUID=uid))
    pointers = [(0x00209057, 0x00209111), (0x00209056, 0x00209111)]  # in-stack position, stack
    if series.contrast == "DIFFUSION" and series.stacks[0].b_s_per_mm2 is not None:
        pointers[1] = (0x00189087, 0x00189117)  # b-value
    ds.DimensionIndexSequence = DicomSequence(
        [
            _item(
                DimensionOrganizationUID=uid,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=group,
            )
            for pointer, group in pointers
        ]
    )


def _shared_groups(series: Series, stack: Stack, ds: Dataset) -> Dataset:
    groups = Dataset()
    groups.PixelMeasuresSequence = _sequence(
        _item(
            PixelSpacing=[decimal(v) for v in stack.geometry.spacing[1:]],
            SliceThickness=decimal(series.thickness_mm),
            SpacingBetweenSlices=decimal(series.spacing_mm),
        )
    )
    groups.PlaneOrientationSequence = _sequence(
        _item(ImageOrientationPatient=orientation(stack.geometry))
    )
    value, scheme, meaning = _PELVIS
    region = _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
    groups.FrameAnatomySequence = _sequence(
        _item(AnatomicRegionSequence=_sequence(region), FrameLaterality="U")
    )
    _timing(groups, series, stack)
    _modifiers(groups, series, ds)
    _coils(groups)
    averages = float(series.extras.get("averages", 1))
    groups.MRAveragesSequence = _sequence(_item(NumberOfAverages=averages))
    return groups


def _timing(groups: Dataset, series: Series, stack: Stack) -> None:
    _, rows, columns = stack.array.shape
    spin_echo = series.contrast == "DIFFUSION"
    mode = _item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")
    groups.MRTimingAndRelatedParametersSequence = _sequence(
        _item(
            RepetitionTime=decimal(series.tr_ms),
            FlipAngle=decimal(series.flip_deg),
            EchoTrainLength=series.echo_train,
            RFEchoTrainLength=1 if spin_echo else 0,
            GradientEchoTrainLength=series.echo_train,
            SpecificAbsorptionRateSequence=_sequence(
                _item(
                    SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY",
                    SpecificAbsorptionRateValue=0.5,
                )
            ),
            GradientOutputType="DB_DT",
            GradientOutput=60.0,
            OperatingModeSequence=_sequence(mode),
        )
    )
    geometry = _item(
        InPlanePhaseEncodingDirection="COLUMN",
        MRAcquisitionFrequencyEncodingSteps=columns,
        MRAcquisitionPhaseEncodingStepsInPlane=rows,
        PercentSampling="100",
        PercentPhaseFieldOfView="100",
    )
    if series.dimension == "3D":
        geometry.MRAcquisitionPhaseEncodingStepsOutOfPlane = stack.array.shape[0]
    groups.MRFOVGeometrySequence = _sequence(geometry)


def _modifiers(groups: Dataset, series: Series, ds: Dataset) -> None:
    groups.MRModifierSequence = _sequence(
        _item(
            InversionRecovery="NO",
            FlowCompensation="NONE",
            Spoiling="NONE" if series.contrast == "DIFFUSION" else "RF",
            T2Preparation="NO",
            SpectrallySelectedExcitation="NONE",
            SpatialPresaturation="NONE",
            PartialFourier="NO",
            ParallelAcquisition="NO",
        )
    )
    groups.MRImagingModifierSequence = _sequence(
        _item(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=float(ds.MagneticFieldStrength) * 42.577,
            PixelBandwidth=decimal(series.bandwidth_hz),
        )
    )


def _coils(groups: Dataset) -> None:
    groups.MRReceiveCoilSequence = _sequence(
        _item(
            ReceiveCoilName="Torso",
            ReceiveCoilManufacturerName="",
            ReceiveCoilType="MULTICOIL",
            QuadratureReceiveCoil="NO",
            MultiCoilDefinitionSequence=_sequence(
                _item(MultiCoilElementName="T1", MultiCoilElementUsed="YES")
            ),
        )
    )
    groups.MRTransmitCoilSequence = _sequence(
        _item(TransmitCoilName="Body", TransmitCoilManufacturerName="", TransmitCoilType="BODY")
    )


def _frames(series: Series, ds: Dataset) -> list[Dataset]:
    frames = []
    for index, stack in enumerate(series.stacks):
        high = float(np.percentile(stack.array, 99.5)) * stack.slope
        for k in range(stack.array.shape[0]):
            frames.append(_frame(stack, index, k, max(high, 1.0), ds))
    return frames


def _frame(stack: Stack, index: int, k: int, high: float, ds: Dataset) -> Dataset:
    frame = Dataset()
    flavour, derived, contrast = _kind(stack)
    kind = _item(FrameType=[_value_1(stack), "PRIMARY", flavour, derived])
    _description(kind, contrast)
    frame.MRImageFrameTypeSequence = _sequence(kind)
    by_b = stack.b_s_per_mm2 is not None
    frame.FrameContentSequence = _sequence(
        _item(
            FrameAcquisitionNumber=1,
            FrameReferenceDateTime=ds.AcquisitionDateTime,
            FrameAcquisitionDateTime=ds.AcquisitionDateTime,
            FrameAcquisitionDuration=180.0,
            StackID="1" if by_b else str(index + 1),
            InStackPositionNumber=k + 1,
            DimensionIndexValues=[k + 1, index + 1],
        )
    )
    frame.PlanePositionSequence = _sequence(_item(ImagePositionPatient=position(stack.geometry, k)))
    frame.MREchoSequence = _sequence(_item(EffectiveEchoTime=stack.te_ms))
    if contrast == "DIFFUSION" and by_b:
        frame.MRDiffusionSequence = _sequence(
            _item(DiffusionBValue=stack.b_s_per_mm2, DiffusionDirectionality=stack.directionality)
        )
    _values(frame, stack, high)
    return frame


def _values(frame: Dataset, stack: Stack, high: float) -> None:
    frame.PixelValueTransformationSequence = _sequence(
        _item(RescaleIntercept="0", RescaleSlope=decimal(stack.slope), RescaleType=stack.units)
    )
    frame.FrameVOILUTSequence = _sequence(
        _item(WindowCenter=decimal(high / 2), WindowWidth=decimal(high))
    )
