"""The source images as the DICOM results refer to them.

Results copy the patient and study attributes of the source, and nothing else is known of
the patient. What a source lacks stays empty. Headers are copied before they are touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from pelvimets.core.geometry import Geometry
from pelvimets.core.study import Acquisition, SourceReference
from pelvimets.errors import InputError, VerificationError
from pelvimets.io.dicom.codes import derived_uid
from pelvimets.io.dicom.text import UNICODE

HeadersBySeries = Mapping[str, Ordered[Dataset]]

_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
_SEXES = ("M", "F", "O", "")
_LARGEST_OFFSET_VOXELS = 0.1
_LARGEST_OFFSET_OF_STATIONS = 0.8  # slices between two stations lie between two images


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images a volume was read from, ready to be referred to.

    Attributes:
        datasets: One header per slice along the volume's first axis, or a single enhanced
            header reduced to the frames that were used, in that order.
        reference: As the study holds it.
        objects: Headers of the objects themselves, each once.
        title: Name of the sequence as printed.
    """

    datasets: tuple[Dataset, ...]
    reference: SourceReference
    objects: tuple[Dataset, ...]
    title: str = ""

    @property
    def enhanced(self) -> bool:
        """Whether one multi-frame object holds all slices."""
        return _in_one_object(self.reference)

    @property
    def stands_in(self) -> bool:
        """Whether ``datasets`` stand in for slices of several multi-frame objects or series."""
        spread = self.reference.frame_numbers is not None and not self.enhanced
        return spread or self.reference.stations > 1

    def image_of_slice(self, index: int) -> tuple[str, str, int | None]:
        """SOP class, SOP instance and (enhanced) 1-based frame number of a slice."""
        numbers = self.reference.frame_numbers
        uids = self.reference.sop_instance_uids
        uid = uids[0] if self.enhanced else uids[index]
        return self.reference.sop_class_uid, uid, numbers[index] if numbers else None


def source_images(acquisition: Acquisition, headers: HeadersBySeries) -> SourceImages:
    """Find the headers of an acquisition and prepare them.

    Args:
        acquisition: An image of the study.
        headers: All headers (no pixels) of each series, by Series Instance UID.

    Raises:
        InputError: if the image does not come from DICOM, or its headers are not there.
        VerificationError: if the headers lie elsewhere in the patient than the volume.
    """
    reference = acquisition.source
    if reference is None:
        raise InputError(
            "DICOM results need a DICOM study as their source",
            got=acquisition.label,
            remedy="Leave out --dicom for NIfTI input, or read the DICOM study itself",
        )
    found = _headers_of(reference, headers)
    geometry = acquisition.volume.geometry
    datasets: tuple[Dataset, ...]
    if reference.frame_numbers is None:
        datasets = tuple(_prepared(header, found[0], geometry) for header in found)
    elif _in_one_object(reference):
        datasets = (_reduced_enhanced(found[0], reference.frame_numbers, geometry),)
    else:
        datasets = tuple(
            _one_frame(header, number, found[0], geometry)
            for header, number in zip(found, reference.frame_numbers, strict=True)
        )
    objects = {str(header.SOPInstanceUID): copied(header) for header in found}
    images = SourceImages(datasets, reference, tuple(objects.values()), acquisition.title)
    if images.stands_in:
        _give_stand_ins_one_series(images)
    if reference.stations > 1:
        _check_place(images, geometry, _LARGEST_OFFSET_OF_STATIONS)
        _put_on_grid(images, geometry)
    _check_place(images, geometry)
    return images


def _in_one_object(reference: SourceReference) -> bool:
    return reference.frame_numbers is not None and len(reference.sop_instance_uids) == 1


def _headers_of(reference: SourceReference, headers: HeadersBySeries) -> list[Dataset]:
    by_uid = {
        str(header.SOPInstanceUID): header
        for series in reference.all_series
        for header in headers.get(series, ())
    }
    missing = [uid for uid in reference.sop_instance_uids if uid not in by_uid]
    if missing:
        raise InputError(
            "The headers of the source images are not at hand",
            got=f"{len(missing)} missing of series {reference.series_instance_uid}",
            remedy="Read the study again from the files it was read from",
        )
    found = [by_uid[uid] for uid in reference.sop_instance_uids]
    if not found[0].get("FrameOfReferenceUID"):
        raise InputError(
            "The source images name no frame of reference, so no result can point into them",
            got=f"series {reference.series_instance_uid}",
        )
    return found


def copied(header: Dataset) -> Dataset:
    """A shallow copy: elements can be replaced without touching the source.

    The header's text is decoded (``text.in_unicode``), and is written as Unicode.
    """
    copy = Dataset()
    copy.update(header)
    _replace(copy, "SpecificCharacterSet", UNICODE)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in copy:
            setattr(copy, keyword, "")
    if copy.PatientSex not in _SEXES:
        _replace(copy, "PatientSex", "")
    return copy


def _replace(copy: Dataset, keyword: str, value: Any) -> None:
    """Put in a new element: setting the old one's value would reach into the source."""
    copy.pop(keyword, None)
    setattr(copy, keyword, value)


def _prepared(header: Dataset, first: Dataset, geometry: Geometry) -> Dataset:
    copy = copied(header)
    _replace(copy, "ImageOrientationPatient", first.ImageOrientationPatient)
    _set_measures(copy, copy, geometry)
    return copy


def _set_measures(target: Dataset, given: Dataset, geometry: Geometry) -> None:
    """Thickness as given or else the spacing; the spacing as computed from positions."""
    spacing = f"{geometry.spacing[0]:.10g}"
    _replace(target, "PixelSpacing", given.PixelSpacing)
    _replace(target, "SliceThickness", given.get("SliceThickness") or spacing)
    _replace(target, "SpacingBetweenSlices", spacing)


def _reduced_enhanced(header: Dataset, numbers: Ordered[int], geometry: Geometry) -> Dataset:
    """The enhanced header with the used frames only, their geometry in the usual place."""
    copy = copied(header)
    frames = [header.PerFrameFunctionalGroupsSequence[n - 1] for n in numbers]
    measures, orientation = Dataset(), Dataset()
    _set_measures(measures, _group(header, frames[0], "PixelMeasuresSequence"), geometry)
    orientation.ImageOrientationPatient = _group(
        header, frames[0], "PlaneOrientationSequence"
    ).ImageOrientationPatient
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    positions = [_position_only(header, frame) for frame in frames]
    _replace(copy, "SharedFunctionalGroupsSequence", [shared])
    _replace(copy, "PerFrameFunctionalGroupsSequence", positions)
    _replace(copy, "NumberOfFrames", len(frames))
    return copy


def _one_frame(header: Dataset, number: int, first: Dataset, geometry: Geometry) -> Dataset:
    """One frame of an enhanced object as if it were a classic image."""
    copy = copied(header)
    frame = header.PerFrameFunctionalGroupsSequence[number - 1]
    oriented = _group(first, first.PerFrameFunctionalGroupsSequence[0], "PlaneOrientationSequence")
    _replace(copy, "ImageOrientationPatient", oriented.ImageOrientationPatient)
    _replace(
        copy,
        "ImagePositionPatient",
        _group(header, frame, "PlanePositionSequence").ImagePositionPatient,
    )
    _set_measures(copy, _group(header, frame, "PixelMeasuresSequence"), geometry)
    for keyword in (
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "NumberOfFrames",
    ):
        copy.pop(keyword, None)
    _replace(copy, "SOPClassUID", MRImageStorage)
    return copy


def _give_stand_ins_one_series(images: SourceImages) -> None:
    """A library wants slices of one series, each with a name of its own."""
    series = images.reference.series_instance_uid
    for index, dataset in enumerate(images.datasets):
        _replace(dataset, "SeriesInstanceUID", series)
        _replace(dataset, "SOPInstanceUID", stand_in_uid(images.reference, index))


def stand_in_uid(reference: SourceReference, index: int) -> str:
    """The name that a slice goes by where its image cannot stand for itself."""
    return derived_uid("stand-in", reference.series_instance_uid, str(index))


def _group(header: Dataset, frame: Dataset, keyword: str) -> Dataset:
    holder = frame if keyword in frame else header.SharedFunctionalGroupsSequence[0]
    group: Dataset = holder[keyword][0]
    return group


def _position_only(header: Dataset, frame: Dataset) -> Dataset:
    item, position = Dataset(), Dataset()
    position.ImagePositionPatient = _group(
        header, frame, "PlanePositionSequence"
    ).ImagePositionPatient
    item.PlanePositionSequence = [position]
    return item


def positions_lps_mm(images: SourceImages) -> np.ndarray:
    """LPS mm (slices, 3) of each source slice's first pixel, along the volume's first axis."""
    if images.enhanced:
        frames: Iterable[Dataset] = (
            f.PlanePositionSequence[0] for f in images.datasets[0].PerFrameFunctionalGroupsSequence
        )
    else:
        frames = images.datasets
    return np.array([f.ImagePositionPatient for f in frames], dtype=np.float64)


def _put_on_grid(images: SourceImages, geometry: Geometry) -> None:
    """Slices interpolated between the images of stations lie beside the images named for them."""
    for k, dataset in enumerate(images.datasets):
        position = [f"{float(v):.10g}" for v in geometry.to_lps([k, 0, 0])]
        _replace(dataset, "ImagePositionPatient", position)


def _check_place(
    images: SourceImages, geometry: Geometry, largest: float = _LARGEST_OFFSET_VOXELS
) -> None:
    """Slice by slice: the volume must lie where its source images lie."""
    first = images.datasets[0]
    size = (len(positions_lps_mm(images)), int(first.Rows), int(first.Columns))
    if size != geometry.shape:
        raise VerificationError(
            "The volume and its source images differ in size", got=f"{geometry.shape} and {size}"
        )
    wanted = np.zeros((geometry.shape[0], 3))
    wanted[:, 0] = np.arange(geometry.shape[0])
    offset = np.abs(geometry.to_index(positions_lps_mm(images)) - wanted).max()
    if offset > largest:
        raise VerificationError(
            "The volume and its source images lie in different places",
            got=f"{offset:.2f} voxels apart",
        )
