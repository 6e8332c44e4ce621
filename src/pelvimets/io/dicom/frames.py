"""One record for each frame of each MR image, read from headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from pelvimets.core.series.words import agent_given
from pelvimets.core.stacking import Plane
from pelvimets.io.dicom.bvalue import b_value, direction, directionality
from pelvimets.io.dicom.declared import Counts, counts
from pelvimets.io.dicom.header import Header, frame_headers

MR_CLASSES = frozenset(
    {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}
)


@dataclass(frozen=True)
class RealWorld:
    """From stored numbers to values in a unit (PS3.3 C.7.6.16.2.11)."""

    slope: float
    intercept: float
    unit: str


@dataclass(frozen=True)
class Frame:
    """What one slice of one image says of itself.

    Attributes:
        path: File that holds it.
        index: Number of the frame within the file, from 0; None for a classic image.
        plane: None if position or orientation is missing.
        truncated: Whether the file is shorter than its pixel data must be.
        gray: Whether it has one sample for each pixel.
        real_world: Its real world value mappings, where any.
        counts: What its header says of its siblings.
    """

    path: Path
    index: int | None
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    instance_number: int
    plane: Plane | None
    slope: float
    intercept: float
    rescale_type: str
    image_type: tuple[str, ...]
    sequence_name: str
    scanning_sequence: tuple[str, ...]
    scan_options: tuple[str, ...]
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    flip_angle_deg: float | None
    bandwidth_hz_per_px: float | None
    scanner: str
    field_strength_t: float | None
    b_value: float | None
    directionality: str
    direction: tuple[float, ...] | None
    temporal_position: float | None
    acquisition_number: float | None
    contrast_agent: bool | None
    private_scale_slope: float | None
    truncated: bool
    gray: bool
    real_world: tuple[RealWorld, ...]
    counts: Counts


def frames_of(dataset: Dataset, path: Path, truncated: bool) -> Iterator[Frame]:
    """Records of all frames of an MR image; the dataset needs no pixel data."""
    enhanced = "PerFrameFunctionalGroupsSequence" in dataset
    for number, header in enumerate(frame_headers(dataset)):
        yield _frame(header, dataset, path, number if enhanced else None, truncated)


def _frame(
    header: Header, dataset: Dataset, path: Path, index: int | None, truncated: bool
) -> Frame:
    syntax = dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")
    return Frame(
        path=path,
        index=index,
        sop_instance_uid=header.text("SOPInstanceUID"),
        sop_class_uid=header.text("SOPClassUID"),
        transfer_syntax_uid=str(syntax),
        study_instance_uid=header.text("StudyInstanceUID"),
        series_instance_uid=header.text("SeriesInstanceUID"),
        frame_of_reference_uid=header.text("FrameOfReferenceUID"),
        instance_number=int(header.number("InstanceNumber") or 0),
        plane=_plane(header),
        slope=header.number("RescaleSlope") or 1.0,
        intercept=header.number("RescaleIntercept") or 0.0,
        rescale_type=header.text("RescaleType"),
        image_type=_image_type(header),
        sequence_name=header.text("SequenceName", "PulseSequenceName"),
        scanning_sequence=_scanning_sequence(header),
        scan_options=_scan_options(header),
        echo_time_ms=header.number("EffectiveEchoTime", "EchoTime"),
        repetition_time_ms=header.number("RepetitionTime"),
        inversion_time_ms=header.number("InversionTime"),
        flip_angle_deg=header.number("FlipAngle"),
        bandwidth_hz_per_px=header.number("PixelBandwidth"),
        scanner=_scanner(header),
        field_strength_t=_field_strength(header),
        b_value=b_value(header),
        directionality=directionality(header),
        direction=direction(header),
        temporal_position=header.number("TemporalPositionIndex", "TemporalPositionIdentifier"),
        acquisition_number=header.number("FrameAcquisitionNumber", "AcquisitionNumber"),
        contrast_agent=_contrast_agent(header),
        private_scale_slope=_philips_scale_slope(header),
        truncated=truncated,
        gray=header.number("SamplesPerPixel") in (None, 1.0),
        real_world=tuple(_real_world(header)),
        counts=counts(header),
    )


def _scanner(header: Header) -> str:
    words = header.text("Manufacturer"), header.text("ManufacturerModelName")
    return " ".join(word for word in words if word)


def _plane(header: Header) -> Plane | None:
    position = header.numbers("ImagePositionPatient", 3)
    orientation = header.numbers("ImageOrientationPatient", 6)
    spacing = header.numbers("PixelSpacing", 2)
    rows, columns = header.number("Rows"), header.number("Columns")
    if not (position and orientation and spacing and rows and columns) or min(spacing) <= 0:
        return None
    x, y, z = position
    a, b, c, d, e, f = orientation
    thickness = header.number("SpacingBetweenSlices", "SliceThickness")
    return Plane(
        (x, y, z),
        (a, b, c, d, e, f),
        int(rows),
        int(columns),
        (spacing[0], spacing[1]),
        abs(thickness) if thickness else None,
    )


def _image_type(header: Header) -> tuple[str, ...]:
    """Frame type and image type together; a multi-frame object may say MIXED in the latter."""
    frame = header.tokens("FrameType")
    whole = header.tokens("ImageType")
    tokens = (frame or whole)[:2] + tuple(
        token for token in dict.fromkeys((frame or whole)[2:]) if token not in ("MIXED", "NONE")
    )
    component = header.text("ComplexImageComponent").upper()
    known = component in ("PHASE", "REAL", "IMAGINARY") and component not in tokens
    return (*tokens, component) if known else tokens


def _scanning_sequence(header: Header) -> tuple[str, ...]:
    """Classic tokens; enhanced objects state echo pulse and k-space in attributes of their own."""
    classic = header.tokens("ScanningSequence")
    if classic:
        return classic
    tokens = {"SPIN": "SE", "GRADIENT": "GR", "BOTH": "GR"}
    pulse = tokens.get(header.text("EchoPulseSequence").upper())
    planar = header.text("EchoPlanarPulseSequence").upper() == "YES"
    return tuple(token for token in ("EP" if planar else "", pulse or "") if token)


def _scan_options(header: Header) -> tuple[str, ...]:
    options = header.tokens("ScanOptions")
    suppressed = header.text("SpectrallySelectedSuppression").upper() in ("FAT", "FAT_AND_WATER")
    return (*options, "FS") if suppressed and "FS" not in options else options


def _field_strength(header: Header) -> float | None:
    """In tesla; some archives hold gauss."""
    value = header.number("MagneticFieldStrength")
    return value / 1e4 if value is not None and value > 100 else value


def _contrast_agent(header: Header) -> bool | None:
    """Whether an agent was given; enhanced objects state it for each frame, and the phase."""
    if header.text("ContrastBolusAgentPhase").upper() == "PRE_CONTRAST":
        return False
    administered = header.text("ContrastBolusAgentAdministered").upper()
    if administered in ("YES", "NO"):
        return administered == "YES"
    named = agent_given(header.text("ContrastBolusAgent"))
    return True if named is None and header.get("ContrastBolusAgentSequence") else named


def _real_world(header: Header) -> Iterator[RealWorld]:
    for item in header.get("RealWorldValueMappingSequence") or []:
        slope, intercept = item.get("RealWorldValueSlope"), item.get("RealWorldValueIntercept")
        units = item.get("MeasurementUnitsCodeSequence") or []
        if slope and units:
            unit = str(units[0].get("CodeValue", ""))
            yield RealWorld(float(slope), float(intercept or 0.0), unit)


def _philips_scale_slope(header: Header) -> float | None:
    if not header.text("Manufacturer").upper().startswith("PHILIPS"):
        return None
    value = header.private(0x2005, 0x100E)
    return float(value) if isinstance(value, int | float) else None
