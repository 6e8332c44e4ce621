"""Masks as DICOM Segmentation objects: one per sequence, bones by side and lesions.

BINARY keeps bones and lesions whole, though they overlap. LABELMAP has one value per voxel,
so a voxel of a lesion belongs to the lesion only.

Memory stays bounded whatever the number of lesions: bones and lesions are written as two
label maps that do not overlap in themselves, and the two objects are joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from highdicom.seg import SegmentAlgorithmTypeValues as Made
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from pelvimets.core.bones import midline_plane, part_of, sided_parts
from pelvimets.core.findings import BonePart, Findings, Lesion
from pelvimets.core.volume import Volume
from pelvimets.errors import VerificationError
from pelvimets.io.dicom import codes
from pelvimets.io.dicom.form import SegmentationType
from pelvimets.io.dicom.signoff import SignOff, made_bone, made_lesion
from pelvimets.io.dicom.source import SourceImages, stand_in_uid
from pelvimets.labels import LESION_CODE, LESION_COLOUR, Sequence

LabelArray = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Segment:
    """One segment: a bone on one side, or a lesion.

    ``number`` counts from 1 through the object; ``lesion`` is None for a bone; ``made`` says
    whether a reader drew it.
    """

    number: int
    part: BonePart
    tracking_uid: str
    lesion: Lesion | None = None
    made: Made = Made.AUTOMATIC

    @property
    def tracking_id(self) -> str:
        """Name of the tracked thing, e.g. ``lesion 1``."""
        return self.part.title if self.lesion is None else f"lesion {self.lesion.number}"

    @property
    def label(self) -> str:
        """As shown in a viewer's list, e.g. ``lesion 1, left ilium``."""
        return self.part.title if self.lesion is None else f"{self.tracking_id}, {self.part.title}"


@dataclass(frozen=True, eq=False)
class SegmentMaps:
    """What is written of one sequence: label maps (z, y, x) of segment numbers.

    Bones and lesions overlap each other, never themselves.
    """

    segments: tuple[Segment, ...]
    bones: LabelArray
    lesions: LabelArray

    @property
    def labelmap(self) -> LabelArray:
        """One value per voxel; the lesion wins over its bone."""
        return np.where(self.lesions > 0, self.lesions, self.bones)

    def of_kind(self, lesions: bool) -> tuple[Segment, ...]:
        """The lesions, or the bones."""
        return tuple(s for s in self.segments if (s.lesion is not None) == lesions)


def segment_maps(
    bones: Volume,
    lesions: Volume,
    findings: Findings,
    sequence: Sequence,
    study_uid: str,
    signoff: SignOff | None = None,
) -> SegmentMaps:
    """Number the segments of a sequence and map them.

    Args:
        bones: Bone label map.
        lesions: Lesion label map on the same grid.
        findings: Name the lesions and their tracking UIDs.
        sequence: Which of the sequences.
        study_uid: Study Instance UID; tracking UIDs of bones derive from it.
        signoff: The reader's review; None where there is none.

    Raises:
        VerificationError: if mask and findings name different lesions.
    """
    parts = sided_parts(bones, midline_plane(bones)).array
    values = sorted(
        (int(v) for v in np.flatnonzero(np.bincount(parts.ravel())) if v),
        key=lambda v: (part_of(v).bone, v),
    )
    of_bones = [
        Segment(
            n,
            part_of(v),
            codes.derived_uid("bone", study_uid, part_of(v).title),
            made=made_bone(signoff, sequence, v, parts),
        )
        for n, v in enumerate(values, 1)
    ]
    of_lesions = [
        Segment(
            n,
            lesion.part,
            lesion.tracking_uid,
            lesion,
            made_lesion(signoff, sequence, lesion.tracking_uid, lesions.array),
        )
        for n, lesion in enumerate(
            (x for x in findings.lesions if sequence in x.seen_on), len(values) + 1
        )
    ]
    by_label = {s.lesion.seen_on[sequence].label: s.number for s in of_lesions if s.lesion}
    _check_lesions(lesions.array, by_label, sequence)
    return SegmentMaps(
        segments=(*of_bones, *of_lesions),
        bones=_renumbered(parts, {v: s.number for v, s in zip(values, of_bones, strict=True)}),
        lesions=_renumbered(lesions.array, by_label),
    )


def _check_lesions(array: npt.NDArray[Any], by_label: dict[int, int], sequence: Sequence) -> None:
    present = {int(v) for v in np.flatnonzero(np.bincount(array.ravel())) if v}
    if present != set(by_label):
        raise VerificationError(
            f"The lesion mask of {sequence.title} and the findings name different lesions",
            got=f"mask {sorted(present)}, findings {sorted(by_label)}",
        )


def _renumbered(array: npt.NDArray[Any], numbers: dict[int, int]) -> LabelArray:
    table = np.zeros(max([*numbers, int(array.max())]) + 1, dtype=np.uint16)
    for value, number in numbers.items():
        table[value] = number
    return np.asarray(table[array])


def build_segmentation(
    maps: SegmentMaps,
    source: SourceImages,
    sequence: Sequence,
    *,
    kind: SegmentationType,
    bundle: str,
    moment: datetime,
) -> Dataset:
    """The Segmentation object of one sequence, ready to be saved.

    Args:
        maps: What to write; at least one segment.
        source: The images that were segmented.
        sequence: Which of the sequences.
        kind: BINARY or LABELMAP.
        bundle: Name and version of the networks.
        moment: Date and time of creation.
    """
    identity = _identity(maps, source, (kind, bundle))
    context = _Context(source, sequence, kind, bundle, identity)
    if kind == "LABELMAP":
        result = context.segmentation(maps.labelmap, maps.segments)
    else:
        kinds = [maps.of_kind(lesions=False), maps.of_kind(lesions=True)]
        layers = [
            context.segmentation(array, segments)
            for array, segments in zip((maps.bones, maps.lesions), kinds, strict=True)
            if segments
        ]
        overlap = bool(((maps.bones > 0) & (maps.lesions > 0)).any())
        result = layers[0] if len(layers) == 1 else _joined(layers[0], layers[1], overlap)
    _finish(result, source, context.identity, moment)
    return result


def _identity(maps: SegmentMaps, source: SourceImages, made: tuple[str, ...]) -> tuple[str, ...]:
    """Everything that makes this object what it is; equal objects get equal UIDs."""
    digests = (codes.array_digest(maps.bones).hex(), codes.array_digest(maps.lesions).hex())
    described = repr([(s.label, s.tracking_uid, s.made.value) for s in maps.segments])
    reference = source.reference
    frames = repr((reference.sop_instance_uids, reference.frame_numbers))
    version = codes.SOFTWARE_VERSION
    return (reference.series_instance_uid, frames, version, *made, described, *digests)


@dataclass(frozen=True, eq=False)
class _Context:
    source: SourceImages
    sequence: Sequence
    kind: SegmentationType
    bundle: str
    identity: tuple[str, ...]

    def segmentation(self, array: LabelArray, segments: Ordered[Segment]) -> Segmentation:
        """A label map that does not overlap; its segments are numbered from 1."""
        first = 1 if self.kind == "LABELMAP" else segments[0].number
        local = np.where(array > 0, array - (first - 1), 0)
        return Segmentation(
            source_images=list(self.source.datasets),
            pixel_array=local.astype(np.uint8 if len(segments) < 256 else np.uint16),
            segmentation_type=self.kind,
            segment_descriptions=[self._description(s, n) for n, s in enumerate(segments, start=1)],
            series_instance_uid=codes.derived_uid("seg series", *self.identity),
            series_number=codes.SERIES_NUMBERS[f"{self.sequence}_seg"],
            sop_instance_uid=codes.derived_uid("seg", *self.identity),
            instance_number=1,
            manufacturer=codes.MANUFACTURER,
            manufacturer_model_name=codes.MODEL_NAME,
            software_versions=codes.SOFTWARE_VERSION,
            device_serial_number=self.bundle[:64],
            content_label=f"PELVIC_BONES_{self.sequence.name}",
            content_description=f"Bones and suspected metastases on {self.source.title}",
            series_description=f"pelvimets {self.source.title}: bones and lesions",
        )

    def _description(self, segment: Segment, number: int) -> SegmentDescription:
        is_lesion = segment.lesion is not None
        colour = LESION_COLOUR if is_lesion else segment.part.bone.colour
        description = SegmentDescription(
            segment_number=number,
            segment_label=segment.label,
            segmented_property_category=(
                codes.ABNORMAL_STRUCTURE if is_lesion else codes.ANATOMICAL_STRUCTURE
            ),
            segmented_property_type=codes.concept(
                LESION_CODE if is_lesion else segment.part.bone.code
            ),
            algorithm_type=segment.made,
            algorithm_identification=(
                None if segment.made is Made.MANUAL else codes.algorithm(self.bundle)
            ),
            tracking_uid=segment.tracking_uid,
            tracking_id=segment.tracking_id,
            anatomic_regions=[codes.concept(segment.part.bone.code)],
            display_color=codes.cielab(colour),
        )
        _add_laterality(description, segment)
        return description


def _add_laterality(description: SegmentDescription, segment: Segment) -> None:
    """The side as a modifier: of the region, and of the property where that is the bone."""
    side = codes.laterality(segment.part)
    if side is None:
        return
    description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    if segment.lesion is None:
        bone = description.SegmentedPropertyTypeCodeSequence[0]
        bone.SegmentedPropertyTypeModifierCodeSequence = [side]


def _joined(bones: Segmentation, lesions: Segmentation, overlap: bool) -> Segmentation:
    """Append the segments and frames of the second object to the first."""
    offset = len(bones.SegmentSequence)
    for description in lesions.SegmentSequence:
        description.SegmentNumber += offset
    _number_frames(bones, 0)
    _number_frames(lesions, offset)
    bits = [_frame_bits(part) for part in (bones, lesions)]
    bones.PixelData = _joined_bits(bones.PixelData, bits[0], lesions.PixelData, bits[1])
    for keyword in ("SegmentSequence", "PerFrameFunctionalGroupsSequence"):
        items = [*getattr(bones, keyword), *getattr(lesions, keyword)]
        setattr(bones, keyword, DicomSequence(items))
    bones.NumberOfFrames += lesions.NumberOfFrames
    bones.SegmentsOverlap = "YES" if overlap else "NO"
    bones.pop("DimensionOrganizationType", None)
    return bones


def _number_frames(part: Segmentation, offset: int) -> None:
    """Say in each frame which segment it shows; highdicom says it once for a single segment."""
    shared = part.SharedFunctionalGroupsSequence[0]
    once: Any = shared.pop("SegmentIdentificationSequence", None)
    for frame in part.PerFrameFunctionalGroupsSequence:
        number = (once.value if once else frame.SegmentIdentificationSequence)[0]
        item = Dataset()
        item.ReferencedSegmentNumber = number.ReferencedSegmentNumber + offset
        frame.SegmentIdentificationSequence = [item]


def _frame_bits(part: Segmentation) -> int:
    return int(part.NumberOfFrames) * int(part.Rows) * int(part.Columns)


def _joined_bits(first: bytes, n_first: int, second: bytes, n_second: int) -> bytes:
    """Join two packed bit strings (least significant bit first), padded to even length."""
    if n_first % 8 == 0:
        joined = first[: n_first // 8] + second[: -(-n_second // 8)]
    else:
        bits = np.concatenate(
            [
                np.unpackbits(np.frombuffer(data, np.uint8), count=n, bitorder="little")
                for data, n in ((first, n_first), (second, n_second))
            ]
        )
        joined = np.packbits(bits, bitorder="little").tobytes()
    return joined + b"\0" * (len(joined) % 2)


def _finish(
    result: Segmentation, source: SourceImages, identity: tuple[str, ...], moment: datetime
) -> None:
    _index_dimensions(result)
    organization = codes.derived_uid("dimensions", *identity)
    for item in (*result.DimensionIndexSequence, *result.DimensionOrganizationSequence):
        item.DimensionOrganizationUID = organization
    if source.enhanced:
        _point_to_frames(result, source)
    if source.stands_in:
        _point_to_objects(result, source)
    codes.stamp(result, moment)


def _index_dimensions(result: Dataset) -> None:
    """Dimension indices: the segment where it is a dimension, and the place along the normal."""
    frames = result.PerFrameFunctionalGroupsSequence
    orientation = result.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    row, column = np.array(orientation.ImageOrientationPatient, dtype=float).reshape(2, 3)
    points = [f.PlanePositionSequence[0].ImagePositionPatient for f in frames]
    distances = np.round(np.array(points, dtype=float) @ np.cross(row, column), 4)
    places = np.unique(distances, return_inverse=True)[1] + 1
    by_segment = len(result.DimensionIndexSequence) == 2
    for frame, place in zip(frames, places, strict=True):
        index = [_segment_of(frame), int(place)] if by_segment else [int(place)]
        frame.FrameContentSequence[0].DimensionIndexValues = index


def _segment_of(frame: Dataset) -> int:
    """The segment of a frame; a single one is named in the shared groups, and is the first."""
    if "SegmentIdentificationSequence" not in frame:
        return 1
    return int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _point_to_frames(result: Dataset, source: SourceImages) -> None:
    """Frame numbers as they are in the source, not in its reduced copy."""
    wanted = source.reference.frame_numbers or ()
    for image in _source_items(result.PerFrameFunctionalGroupsSequence):
        image.ReferencedFrameNumber = wanted[int(image.ReferencedFrameNumber) - 1]


def _point_to_objects(result: Dataset, source: SourceImages) -> None:
    """The images themselves in place of those that stood in for them."""
    slices = {stand_in_uid(source.reference, k): k for k in range(len(source.datasets))}
    for image in _source_items(result.PerFrameFunctionalGroupsSequence):
        sop_class, uid, frame = source.image_of_slice(slices[image.ReferencedSOPInstanceUID])
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = sop_class, uid
        if frame is not None:
            image.ReferencedFrameNumber = frame
    by_series: dict[str, list[Dataset]] = {}
    for header in source.objects:
        by_series.setdefault(str(header.SeriesInstanceUID), []).append(_instance(header))
    result.ReferencedSeriesSequence = [_series(uid, items) for uid, items in by_series.items()]


def _instance(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, instances
    return item


def _source_items(frames: Iterable[Dataset]) -> list[Dataset]:
    """The references to source images, each once: highdicom shares them between frames."""
    items = (
        image
        for frame in frames
        for derivation in frame.DerivationImageSequence
        for image in derivation.SourceImageSequence
    )
    return list({id(item): item for item in items}.values())


def slices_of(array: LabelArray, number: int) -> tuple[int, ...]:
    """The slices that a segment touches."""
    return tuple(int(k) for k in np.flatnonzero((array == number).any(axis=(1, 2))))
