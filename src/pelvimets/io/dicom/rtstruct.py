"""Bones and lesions of a sequence as an RT Structure Set (PS3.3 A.19), for planning systems.

Outlines run along the edges of voxels in the planes of the source images; a hole is part of the
outline around it (keyhole, PS3.3 C.8.8.6.3).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from pelvimets.core.geometry import Geometry
from pelvimets.errors import OutputError, VerificationError
from pelvimets.io.dicom import codes
from pelvimets.io.dicom.contours import Outline, filled, outlines
from pelvimets.io.dicom.seg import Segment, SegmentMaps
from pelvimets.io.dicom.source import SourceImages
from pelvimets.labels import LESION_COLOUR, Sequence

SERIES_NUMBERS = {Sequence.DWI: 9106, Sequence.T1: 9107}
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, and still what readers expect here
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")
_OF_STUDY = (*_PATIENT, *_STUDY, "ReferringPhysicianName")


def write_structure_set(
    path: Path,
    maps: SegmentMaps,
    source: SourceImages,
    geometry: Geometry,
    sequence: Sequence,
    moment: datetime,
) -> None:
    """Write the structures of a sequence, and read their masks back from the file.

    Args:
        path: File to write.
        maps: What is where, by segment.
        source: Images that the outlines lie in.
        geometry: Of the maps.
        sequence: Which of the sequences.
        moment: Date and time of creation.

    Raises:
        VerificationError: if the outlines in the file do not give the masks.
        OutputError: if it cannot be written.
    """
    drawn = {s.number: _outlines(maps, s) for s in maps.segments}
    dataset = _head(maps, source, sequence, moment)
    dataset.ReferencedFrameOfReferenceSequence = [_frame(source)]
    dataset.StructureSetROISequence = [_roi(s, source) for s in maps.segments]
    dataset.ROIContourSequence = [
        _contours(s, drawn[s.number], source, geometry) for s in maps.segments
    ]
    dataset.RTROIObservationsSequence = [_observation(s) for s in maps.segments]
    dataset.ApprovalStatus = "UNAPPROVED"
    try:
        dataset.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise OutputError("The RT Structure Set cannot be written", got=error) from error
    _verify(path, maps, geometry)


def _outlines(maps: SegmentMaps, segment: Segment) -> dict[int, list[Outline]]:
    """Outlines of a segment by slice."""
    mask = _mask(maps, segment)
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    return {int(k): outlines(mask[k]) for k in slices}


def _mask(maps: SegmentMaps, segment: Segment) -> np.ndarray:
    array = maps.bones if segment.lesion is None else maps.lesions
    return np.asarray(array == segment.number)


def _head(maps: SegmentMaps, source: SourceImages, sequence: Sequence, moment: datetime) -> Dataset:
    dataset, header = Dataset(), source.datasets[0]
    for keyword in _OF_STUDY:
        setattr(dataset, keyword, header.get(keyword, ""))
    identity: tuple[str | bytes, ...] = (
        source.reference.series_instance_uid,
        codes.array_digest(maps.bones),
        codes.array_digest(maps.lesions),
        *(s.tracking_uid for s in maps.segments),
    )
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = codes.derived_uid("structures", *identity)
    dataset.SeriesInstanceUID = codes.derived_uid("structures series", *identity)
    dataset.SeriesNumber, dataset.InstanceNumber = SERIES_NUMBERS[sequence], 1
    dataset.Modality, dataset.OperatorsName = "RTSTRUCT", ""
    dataset.FrameOfReferenceUID = header.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesDescription = f"pelvimets: structures on {source.title}"[:64]
    dataset.Manufacturer, dataset.ManufacturerModelName = codes.MANUFACTURER, codes.MODEL_NAME
    dataset.SoftwareVersions = codes.SOFTWARE_VERSION
    dataset.StructureSetLabel = f"pelvimets {sequence}"[:16]
    dataset.StructureSetDate = moment.strftime("%Y%m%d")
    dataset.StructureSetTime = moment.strftime("%H%M%S")
    codes.stamp(dataset, moment)
    for keyword in ("ContentDate", "ContentTime"):
        delattr(dataset, keyword)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _frame(source: SourceImages) -> Dataset:
    """The images that the outlines lie in."""
    frame, study, series = Dataset(), Dataset(), Dataset()
    count = len(source.reference.frame_numbers or source.reference.sop_instance_uids)
    images = [_image(source, k) for k in range(count)]
    series.SeriesInstanceUID = source.reference.series_instance_uid
    series.ContourImageSequence = images
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.reference.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = source.datasets[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _image(source: SourceImages, index: int) -> Dataset:
    image = Dataset()
    sop_class, uid, number = source.image_of_slice(index)
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = sop_class, uid
    if number is not None:
        image.ReferencedFrameNumber = number
    return image


def _roi(segment: Segment, source: SourceImages) -> Dataset:
    roi = Dataset()
    roi.ROINumber = segment.number
    roi.ReferencedFrameOfReferenceUID = source.datasets[0].FrameOfReferenceUID
    roi.ROIName = segment.label
    roi.ROIGenerationAlgorithm = segment.made.value
    return roi


def _contours(
    segment: Segment, drawn: dict[int, list[Outline]], source: SourceImages, geometry: Geometry
) -> Dataset:
    item = Dataset()
    colour = segment.part.bone.colour if segment.lesion is None else LESION_COLOUR
    item.ROIDisplayColor = list(colour)
    item.ReferencedROINumber = segment.number
    item.ContourSequence = [
        _contour(loop, k, source, geometry) for k, loops in drawn.items() for loop in loops
    ]
    return item


def _contour(loop: Outline, index: int, source: SourceImages, geometry: Geometry) -> Dataset:
    corners = np.column_stack([np.full(len(loop), index), loop - 0.5])
    points = geometry.to_lps(corners)
    contour = Dataset()
    contour.ContourImageSequence = [_image(source, index)]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(loop)
    contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
    return contour


def _observation(segment: Segment) -> Dataset:
    item, code = Dataset(), Dataset()
    item.ObservationNumber = item.ReferencedROINumber = segment.number
    item.RTROIInterpretedType = "ORGAN" if segment.lesion is None else "GTV"
    item.ROIInterpreter = ""
    bone = segment.part.bone.code
    code.CodeValue, code.CodingSchemeDesignator = bone.value, bone.scheme
    code.CodeMeaning = bone.meaning
    item.RTROIIdentificationCodeSequence = [code]
    return item


def read_masks(dataset: Dataset, geometry: Geometry) -> dict[str, np.ndarray]:
    """Masks (z, y, x) by name from the outlines of a structure set on a known grid.

    Raises:
        VerificationError: if an outline does not run along the edges of the grid's voxels.
    """
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in dataset.StructureSetROISequence}
    masks = {}
    for item in dataset.ROIContourSequence:
        mask = np.zeros(geometry.shape, dtype=np.bool_)
        for contour in item.get("ContourSequence") or ():
            points = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            index = geometry.to_index(points)
            corners = np.rint(index[:, 1:] + 0.5)
            off = max(
                np.abs(index[:, 1:] + 0.5 - corners).max(),
                np.abs(index[:, 0] - np.rint(index[0, 0])).max(),
            )
            if off > 0.01:
                raise VerificationError(
                    "An outline does not run along the edges of voxels", got=f"{off:.3f} voxels"
                )
            k = int(np.rint(index[0, 0]))
            mask[k] ^= filled([corners.astype(np.int64)], mask[k].shape)
        masks[names[int(item.ReferencedROINumber)]] = mask
    return masks


def _verify(path: Path, maps: SegmentMaps, geometry: Geometry) -> None:
    found = read_masks(pydicom.dcmread(path), geometry)
    for segment in maps.segments:
        mask = found.get(segment.label)
        if mask is None or not np.array_equal(mask, _mask(maps, segment)):
            raise VerificationError(
                f"The RT Structure Set {path.name} does not hold the mask it was made from",
                got=segment.label,
            )
