"""Findings as a Structured Report after TID 1500, by a device; verified if a reader does so.

Measurement groups: one per lesion on each sequence that shows it (TID 1411; such a group
refers to exactly one segment, the tracking UID says that it is the same lesion), one per
bone and side on each sequence with its burden (TID 1411), and one per sequence with what
holds for the whole patient (TID 1501), preceded by one for the study.
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

from pelvimets.core.findings import Burden, Findings, SequenceFindings
from pelvimets.errors import VerificationError
from pelvimets.io.dicom import codes
from pelvimets.io.dicom.seg import Segment, SegmentMaps, slices_of
from pelvimets.io.dicom.signoff import (
    SignOff,
    observer,
    remarks,
    stamp_verification,
    verification,
)
from pelvimets.io.dicom.source import SourceImages
from pelvimets.labels import LESION_CODE, Sequence


@dataclass(frozen=True, eq=False)
class SegmentedSequence:
    """A sequence with its written Segmentation (None where nothing was found to write)."""

    sequence: Sequence
    source: SourceImages
    maps: SegmentMaps
    segmentation: Dataset | None


def build_report(
    findings: Findings,
    sequences: Ordered[SegmentedSequence],
    *,
    moment: datetime,
    signoff: SignOff | None = None,
) -> Dataset:
    """The Structured Report of a study, ready to be saved.

    Args:
        findings: What to report.
        sequences: The sequences read, in order, at least one.
        moment: Date and time of creation.
        signoff: A reader's review; None where there is none.
    """
    identity = _identity(findings, sequences, signoff)
    report = sr.MeasurementReport(
        observation_context=_observers(findings, signoff),
        procedure_reported=_procedures(sequences[0].source.datasets[0]),
        imaging_measurements=_groups(findings, sequences, signoff),
        title=codes.REPORT_TITLE,
    )
    document = sr.EnhancedSR(
        evidence=_evidence(sequences),
        content=report[0],
        series_instance_uid=codes.derived_uid("sr series", *identity),
        series_number=codes.SERIES_NUMBERS["sr"],
        sop_instance_uid=codes.derived_uid("sr", *identity),
        instance_number=1,
        manufacturer=codes.MANUFACTURER,
        manufacturer_model_name=codes.MODEL_NAME,
        software_versions=codes.SOFTWARE_VERSION,
        device_serial_number=findings.bundle[:64],
        series_description="pelvimets: measurements",
        is_complete=True,
        **verification(signoff),
    )
    codes.stamp(document, moment)
    stamp_verification(document, signoff)
    return document


def _identity(
    findings: Findings, sequences: Ordered[SegmentedSequence], signoff: SignOff | None
) -> tuple[str, ...]:
    segmentations = [s.segmentation.SOPInstanceUID for s in sequences if s.segmentation]
    series = [s.source.reference.series_instance_uid for s in sequences]
    review = () if signoff is None else (repr(signoff.review),)
    return (codes.SOFTWARE_VERSION, repr(findings), *series, *segmentations, *review)


def _observers(findings: Findings, signoff: SignOff | None) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=codes.derived_uid("device", codes.SOFTWARE_VERSION, findings.bundle),
        name=codes.MODEL_NAME,
        manufacturer_name=codes.MANUFACTURER,
        model_name=f"{codes.MODEL_NAME} {codes.SOFTWARE_VERSION}",
        serial_number=findings.bundle,
    )
    return sr.ObservationContext(
        observer_person_context=observer(signoff),
        observer_device_context=sr.ObserverContext(
            observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
            observer_identifying_attributes=device,
        ),
    )


def _procedures(header: Dataset) -> list[sr.CodedConcept]:
    """The procedure as the source codes it; otherwise 'MRI' and no more."""
    given = header.get("ProcedureCodeSequence") or []
    coded = [
        sr.CodedConcept(c.CodeValue, c.CodingSchemeDesignator, c.CodeMeaning)
        for c in given
        if all(c.get(k) for k in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    ]
    return coded or [codes.PROCEDURE]


def _evidence(sequences: Ordered[SegmentedSequence]) -> list[Dataset]:
    images = [header for s in sequences for header in s.source.objects]
    return [*images, *(s.segmentation for s in sequences if s.segmentation)]


def _groups(
    findings: Findings, sequences: Ordered[SegmentedSequence], signoff: SignOff | None
) -> list[Any]:
    lesions = [_lesion_group(item, segment) for item, segment in _lesions_in_order(sequences)]
    burdens = [
        _burden_group(item, segment, burden)
        for item in sequences
        for segment, burden in _bones_of(item, findings.sequences[item.sequence].burden)
    ]
    summaries = [_summary_group(item, findings) for item in sequences]
    return [_patient_group(findings, sequences, signoff), *summaries, *lesions, *burdens]


def _lesions_in_order(
    sequences: Ordered[SegmentedSequence],
) -> list[tuple[SegmentedSequence, Segment]]:
    """Lesion by lesion, on each sequence that shows it."""
    pairs = [(item, segment) for item in sequences for segment in item.maps.of_kind(lesions=True)]
    return sorted(pairs, key=lambda pair: pair[1].lesion.number if pair[1].lesion else 0)


def _bones_of(item: SegmentedSequence, burden: Ordered[Burden]) -> list[tuple[Segment, Burden]]:
    by_part = {segment.part: segment for segment in item.maps.of_kind(lesions=False)}
    return [(by_part[b.part], b) for b in burden if b.part in by_part]


def _lesion_group(
    item: SegmentedSequence, segment: Segment
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    lesion = segment.lesion
    assert lesion is not None
    seen = lesion.seen_on[item.sequence]
    measurements = [
        _number(codes.VOLUME, seen.volume_cm3, codes.CUBIC_CENTIMETRE),
        _number(codes.LONG_AXIS, seen.largest_axial_diameter_mm, codes.MILLIMETRE),
        _number(codes.PROBABILITY_OF_CANCER, 100 * seen.mean_probability, codes.PERCENT),
        _number(codes.LESION_SCORE, seen.score, codes.RATIO),
    ]
    if item.sequence is lesion.sequences[0]:  # the mask in which the ADC was measured
        measurements += [
            _number(codes.ADC, value, codes.ADC_UNIT, derivation)
            for value, derivation in (
                (lesion.adc_mean_um2_per_s, codes.MEAN),
                (lesion.adc_median_um2_per_s, codes.MEDIAN),
            )
            if value is not None
        ]
    return _group_of_segment(item, segment, measurements)


def _number(
    name: sr.CodedConcept,
    value: float,
    unit: sr.CodedConcept,
    derivation: sr.CodedConcept | None = None,
) -> sr.Measurement:
    """A measured value, to six digits."""
    return sr.Measurement(name, _digits(value), unit, derivation=derivation)


def _burden_group(
    item: SegmentedSequence, segment: Segment, burden: Burden
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    measurements = [
        _number(codes.VOLUME, burden.bone_volume_cm3, codes.CUBIC_CENTIMETRE),
        _number(codes.LESION_VOLUME, burden.lesion_volume_cm3, codes.CUBIC_CENTIMETRE),
        _number(codes.LESION_SHARE, burden.fraction, codes.RATIO),
        _number(codes.LESION_COUNT, burden.lesions, codes.LESIONS),
    ]
    return _group_of_segment(item, segment, measurements)


def _group_of_segment(
    item: SegmentedSequence, segment: Segment, measurements: Ordered[sr.Measurement]
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411: what was measured in one segment."""
    is_lesion = segment.lesion is not None
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=_referenced_segment(item, segment),
        finding_type=codes.concept(LESION_CODE if is_lesion else segment.part.bone.code),
        finding_category=codes.ABNORMAL_STRUCTURE if is_lesion else codes.ANATOMICAL_STRUCTURE,
        finding_sites=[
            sr.FindingSite(codes.concept(segment.part.bone.code), codes.laterality(segment.part))
        ],
        measurements=measurements,
    )


def _referenced_segment(item: SegmentedSequence, segment: Segment) -> sr.ReferencedSegment:
    """The segment and what it was drawn on: a lesion's images one by one, a bone's one series."""
    assert item.segmentation is not None
    images = series = None
    if segment.lesion is not None or item.source.reference.other_series:
        array = item.maps.bones if segment.lesion is None else item.maps.lesions
        slices = slices_of(array, segment.number)
        images = _images(item.source, slices, sr.SourceImageForSegmentation)
    else:
        series = sr.SourceSeriesForSegmentation(item.source.reference.series_instance_uid)
    return sr.ReferencedSegment(
        sop_class_uid=item.segmentation.SOPClassUID,
        sop_instance_uid=item.segmentation.SOPInstanceUID,
        segment_number=segment.number,
        source_images=images,
        source_series=series,
    )


def _images(source: SourceImages, slices: Ordered[int], kind: type) -> list[Any]:
    """References to the source images of some slices; frames of one enhanced object join."""
    frames: dict[tuple[str, str], list[int]] = {}
    for index in slices:
        sop_class, uid, frame = source.image_of_slice(index)
        frames.setdefault((sop_class, uid), []).extend([] if frame is None else [frame])
    return [kind(sop_class, uid, found or None) for (sop_class, uid), found in frames.items()]


def _summary_group(
    item: SegmentedSequence, findings: Findings
) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501: what holds for the patient as seen on one sequence."""
    found: SequenceFindings = findings.sequences[item.sequence]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            codes.derived_uid("summary", item.source.reference.series_instance_uid),
            f"patient on {item.source.title}",
        ),
        finding_type=codes.concept(LESION_CODE),
        measurements=[
            _number(codes.LESION_COUNT, len(found.lesions), codes.LESIONS),
            sr.Measurement(
                codes.LESION_VOLUME, found.total_lesion_volume_cm3, codes.CUBIC_CENTIMETRE
            ),
            _number(codes.SUSPICION_SCORE, found.patient_score, codes.RATIO),
        ],
        qualitative_evaluations=_evaluations(findings.reliable, found.m1_suspected),
        source_images=_images(
            item.source, range(len(item.maps.bones)), sr.SourceImageForMeasurementGroup
        ),
    )


def _patient_group(
    findings: Findings, sequences: Ordered[SegmentedSequence], signoff: SignOff | None
) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501: the statement on the study; a lesion on at least one sequence counts."""
    study = sequences[0].source.reference.study_instance_uid
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(codes.derived_uid("patient", study), "patient"),
        finding_type=codes.concept(LESION_CODE),
        measurements=[
            _number(codes.LESION_COUNT, len(findings.lesions), codes.LESIONS),
            sr.Measurement(
                codes.LESION_VOLUME,
                sum(lesion.volume_cm3 for lesion in findings.lesions),
                codes.CUBIC_CENTIMETRE,
            ),
            _number(codes.SUSPICION_SCORE, findings.patient_score, codes.RATIO),
        ],
        qualitative_evaluations=_evaluations(findings.reliable, findings.m1_suspected),
    )
    group[0].ContentSequence.append(_comment(findings.learned_from.words))
    titles = {item.sequence: f"{item.source.title}: " for item in sequences}
    for line in remarks(signoff):
        group[0].ContentSequence.append(_comment(line))
    for flag in findings.flags:
        where = titles.get(flag.sequence, "") if flag.sequence else ""
        group[0].ContentSequence.append(_comment(f"{flag.level}: {where}{flag.message}"))
    return group


def _evaluations(reliable: bool, suspected: bool) -> list[sr.QualitativeEvaluation]:
    """Suspicion in the scanned field, never a stage of the patient; none on a doubtful result."""
    statement = codes.SUSPECTED if suspected else codes.NOT_SUSPECTED
    return [
        sr.QualitativeEvaluation(codes.SUSPICION, statement if reliable else codes.INDETERMINATE),
        sr.QualitativeEvaluation(codes.NEEDS_REVIEW, codes.NO if reliable else codes.YES),
    ]


def _comment(text: str) -> sr.TextContentItem:
    return sr.TextContentItem(
        name=codes.COMMENT, value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )


def verify_report(path: Path, findings: Findings, segments: Mapping[str, SegmentMaps]) -> None:
    """Read the written report and compare lesions, volumes and references.

    Args:
        path: The written file.
        findings: What was meant.
        segments: Maps by SOP Instance UID of each written Segmentation.

    Raises:
        VerificationError: if a lesion is missing, has another volume or points nowhere.
    """
    groups = [_GroupFacts.of(item) for item in _measurement_groups(pydicom.dcmread(path))]
    found = sorted(g.lesion for g in groups if g.is_lesion and g.segment is not None)
    meant = sorted(
        (lesion.tracking_uid, _digits(seen.volume_cm3))
        for lesion in findings.lesions
        for seen in lesion.seen_on.values()
    )
    if found != meant:
        raise VerificationError(
            f"The Structured Report {path.name} does not hold the findings it was made from",
            got=f"{len(found)} of {len(meant)} lesions",
        )
    named = {
        (uid, s.number): s.tracking_uid for uid, maps in segments.items() for s in maps.segments
    }
    for group in groups:
        if group.segment is not None and named.get(group.segment) != group.tracking_uid:
            raise VerificationError(
                "The Structured Report refers to a segment that is not there", got=group.segment
            )


@dataclass(frozen=True)
class _GroupFacts:
    """What a measurement group says, read from its content items."""

    tracking_uid: str
    is_lesion: bool
    volume: float
    segment: tuple[str, int] | None

    @classmethod
    def of(cls, group: Dataset) -> _GroupFacts:
        items = {_name(item): item for item in group.ContentSequence}
        volume = items.get(codes.VOLUME.value)
        image = items.get(_REFERENCED_SEGMENT)
        reference = image.ReferencedSOPSequence[0] if image else None
        return cls(
            tracking_uid=items[_TRACKING_UID].UID,
            is_lesion=items[_FINDING].ConceptCodeSequence[0].CodeValue == LESION_CODE.value,
            volume=float(volume.MeasuredValueSequence[0].NumericValue) if volume else 0.0,
            segment=(
                (reference.ReferencedSOPInstanceUID, int(reference.ReferencedSegmentNumber))
                if reference
                else None
            ),
        )

    @property
    def lesion(self) -> tuple[str, float]:
        return self.tracking_uid, self.volume


_REFERENCED_SEGMENT, _TRACKING_UID, _FINDING = "121191", "112040", "121071"
_IMAGING_MEASUREMENTS = "126010"


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _measurement_groups(report: Dataset) -> list[Dataset]:
    containers = [i for i in report.ContentSequence if _name(i) == _IMAGING_MEASUREMENTS]
    return list(containers[0].ContentSequence)


def _digits(value: float) -> float:
    """Six digits: what the report states."""
    return float(f"{value:.6g}")
