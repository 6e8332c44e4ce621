"""A course over time as a Structured Report after TID 1500, with references to all studies.

One measurement group per lesion, time point and sequence that shows it (TID 1411, its segment, its
time point); a lesion has one tracking UID over time, that of its first appearance. One group per
region with the suggested response category, its rule and what it rests on (TID 1501).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
from highdicom import sr
from pydicom.dataset import Dataset

from pelvimets.core.findings import BonePart, Lesion
from pelvimets.core.follow_up.course import Course
from pelvimets.core.follow_up.response import Category, Suggestion
from pelvimets.errors import InputError, OutputError, VerificationError
from pelvimets.io.dicom import codes
from pelvimets.io.dicom.source import copied
from pelvimets.io.dicom.source_headers import SOURCE_HEADERS_NAME, read_source_headers
from pelvimets.io.dicom.text import names_as_given
from pelvimets.labels import LESION_CODE, Sequence

SERIES_NUMBER = 9105
_CATEGORY = sr.CodedConcept(
    "METRADSP_CATEGORY",
    codes.PRIVATE_SCHEME,
    "Response category after MET-RADS-P, suggested, to be confirmed",
)


@dataclass(frozen=True, eq=False)
class StudyObjects:
    """The DICOM objects of a time point that a report refers to.

    Attributes:
        sources: Headers of the images that were read.
        segmentations: By sequence.
    """

    sources: tuple[Dataset, ...]
    segmentations: Mapping[Sequence, Dataset]

    @property
    def patient(self) -> tuple[str, str]:
        """Identifier and day of birth: who it is, never to be shown."""
        header = self.sources[0]
        number, born = (header.get(k) or "" for k in ("PatientID", "PatientBirthDate"))
        return str(number).strip(), str(born).strip()

    @property
    def day(self) -> str:
        """Day of the study, ``YYYY-MM-DD``; empty where it is not known."""
        text = str(self.sources[0].get("StudyDate") or "")
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 else ""


def study_objects(folder: Path) -> StudyObjects | None:
    """The objects in the DICOM results of a run; None where there are none.

    Raises:
        InputError: if they are damaged.
    """
    if not (folder / SOURCE_HEADERS_NAME).is_file():
        return None
    known = read_source_headers(folder).values()
    headers = [copied(header) for series in known for header in series]
    files = {s: folder / f"{s}_seg.dcm" for s in Sequence}
    try:
        found = {s: pydicom.dcmread(path) for s, path in files.items() if path.is_file()}
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise InputError("A Segmentation of the DICOM results cannot be read") from error
    return StudyObjects(tuple(headers), found)


def write_follow_up_report(
    path: Path, course: Course, objects: Ordered[StudyObjects], *, moment: datetime
) -> None:
    """Write the report into a file and read it back.

    Args:
        path: File to write.
        course: What to report.
        objects: Of each time point.
        moment: Date and time of creation.

    Raises:
        VerificationError: if the file does not hold what was meant.
        OutputError: if it cannot be written.
    """
    groups = [*_regions(course), *_lesions(course, objects)]
    evidence = [
        dataset
        for own in reversed(list(objects))  # the report belongs to the latest study
        for dataset in (*own.sources, *own.segmentations.values())
    ]
    report = sr.MeasurementReport(
        observation_context=_observer(course, moment),
        procedure_reported=[codes.PROCEDURE],
        imaging_measurements=groups,
        title=codes.REPORT_TITLE,
    )
    identity = [str(o.SOPInstanceUID) for own in objects for o in own.segmentations.values()]
    identity += [repr(suggestion) for suggestion in course.main.suggestions]
    identity += [repr(track) for track in course.tracks]
    with names_as_given():
        document = sr.EnhancedSR(
            evidence=evidence,
            content=report[0],
            series_instance_uid=codes.derived_uid("follow-up series", *identity),
            series_number=SERIES_NUMBER,
            sop_instance_uid=codes.derived_uid("follow-up", codes.SOFTWARE_VERSION, *identity),
            instance_number=1,
            manufacturer=codes.MANUFACTURER,
            manufacturer_model_name=codes.MODEL_NAME,
            software_versions=codes.SOFTWARE_VERSION,
            device_serial_number=course.points[-1].findings.bundle[:64],
            series_description="pelvimets: follow-up",
            is_complete=True,
            is_final=False,
            is_verified=False,
        )
    codes.stamp(document, moment)
    try:
        document.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise OutputError("The Structured Report cannot be written", got=error) from error
    _verify(path, len(groups), objects)


def _observer(course: Course, moment: datetime) -> sr.ObservationContext:
    bundle = course.points[-1].findings.bundle
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=codes.derived_uid("device", codes.SOFTWARE_VERSION, bundle),
        name=codes.MODEL_NAME,
        manufacturer_name=codes.MANUFACTURER,
        model_name=f"{codes.MODEL_NAME} {codes.SOFTWARE_VERSION}",
        serial_number=bundle,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
            observer_identifying_attributes=device,
        )
    )


def _regions(course: Course) -> list[Any]:
    return [_region(suggestion) for suggestion in course.main.suggestions]


def _region(suggestion: Suggestion) -> sr.MeasurementsAndQualitativeEvaluations:
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            codes.derived_uid("region", suggestion.region.value), suggestion.region.value
        ),
        finding_type=codes.concept(LESION_CODE),
        qualitative_evaluations=[sr.QualitativeEvaluation(_CATEGORY, _code(suggestion.category))],
    )
    lines = [f"rule: {suggestion.rule}", *suggestion.facts]
    if suggestion.secondary is not None:
        lines.append(f"other lesions: category {suggestion.secondary.value}")
    for line in lines:
        item = sr.TextContentItem(
            name=codes.COMMENT, value=line, relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
        group[0].ContentSequence.append(item)
    return group


def _code(category: Category | None) -> sr.CodedConcept:
    if category is None:
        return codes.INDETERMINATE
    return sr.CodedConcept(
        f"METRADSP_{category.value}",
        codes.PRIVATE_SCHEME,
        f"{category.value}, {category.words}",
    )


def _lesions(course: Course, objects: Ordered[StudyObjects]) -> list[Any]:
    groups = []
    for track in course.tracks:
        first = next(own[0] for own in track.lesions if own)
        for number, own in enumerate(track.lesions):
            when = sr.TimePointContext(
                time_point=course.points[number].title[:64],
                time_point_order=number + 1,
            )
            groups += [
                group
                for lesion in own
                for group in _lesion(lesion, first.tracking_uid, track.title, objects[number], when)
            ]
    return groups


def _lesion(
    lesion: Lesion,
    tracking_uid: str,
    title: str,
    objects: StudyObjects,
    when: sr.TimePointContext,
) -> list[Any]:
    groups = []
    for sequence, seen in lesion.seen_on.items():
        segmentation = objects.segmentations.get(sequence)
        number = None if segmentation is None else _segment(segmentation, lesion.tracking_uid)
        if segmentation is None or number is None:
            continue
        measurements = [_measured(codes.VOLUME, seen.volume_cm3, codes.CUBIC_CENTIMETRE)]
        if lesion.adc_mean_um2_per_s is not None and sequence is lesion.sequences[0]:
            adc = _measured(codes.ADC, lesion.adc_mean_um2_per_s, codes.ADC_UNIT, codes.MEAN)
            measurements.append(adc)
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(tracking_uid, f"lesion {title}"[:64]),
                referenced_segment=sr.ReferencedSegment.from_segmentation(segmentation, number),
                finding_type=codes.concept(LESION_CODE),
                finding_category=codes.ABNORMAL_STRUCTURE,
                finding_sites=[_site(lesion.part)],
                measurements=measurements,
                time_point_context=when,
            )
        )
    return groups


def _measured(
    name: sr.CodedConcept,
    value: float,
    unit: sr.CodedConcept,
    derivation: sr.CodedConcept | None = None,
) -> sr.Measurement:
    return sr.Measurement(name, float(f"{value:.6g}"), unit, derivation=derivation)


def _site(part: BonePart) -> sr.FindingSite:
    return sr.FindingSite(codes.concept(part.bone.code), codes.laterality(part))


def _segment(segmentation: Dataset, tracking_uid: str) -> int | None:
    for item in segmentation.SegmentSequence:
        if str(item.get("TrackingUID", "")) == tracking_uid:
            return int(item.SegmentNumber)
    return None


def _verify(path: Path, groups: int, objects: Ordered[StudyObjects]) -> None:
    """All groups are there, and every study is referred to."""
    read = pydicom.dcmread(path)
    holder = [
        item
        for item in read.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"  # Imaging Measurements
    ]
    found = len(holder[0].ContentSequence) if holder else 0
    kinds = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
    named = {str(item.StudyInstanceUID) for kind in kinds for item in read.get(kind) or ()}
    meant = {str(own.sources[0].StudyInstanceUID) for own in objects}
    if found != groups or not meant <= named:
        raise VerificationError(
            "The Structured Report of the follow-up does not hold what was meant",
            got=f"{found} of {groups} groups, {len(named & meant)} of {len(meant)} studies",
        )
