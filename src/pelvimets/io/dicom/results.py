"""The DICOM results of a study: Segmentations, Structured Report, encapsulated PDF."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from pelvimets.core.findings import Findings
from pelvimets.core.pipeline import StudyResult
from pelvimets.core.study import Acquisition, Study
from pelvimets.core.volume import Volume
from pelvimets.errors import OutputError, VerificationError
from pelvimets.io.dicom.codes import Clock
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.dicom.report import build_encapsulated_pdf
from pelvimets.io.dicom.rtstruct import write_structure_set
from pelvimets.io.dicom.seg import build_segmentation, segment_maps
from pelvimets.io.dicom.source import HeadersBySeries, SourceImages, source_images
from pelvimets.io.dicom.sr import SegmentedSequence, build_report, verify_report
from pelvimets.io.dicom.text import names_as_given
from pelvimets.io.dicom.verify import verify_segmentation
from pelvimets.labels import Sequence


def write_dicom_results(
    folder: Path,
    result: StudyResult,
    headers_by_series: HeadersBySeries,
    report_pdf: bytes,
    form: DicomForm | None = None,
    *,
    clock: Clock,
) -> tuple[Path, ...]:
    """Write ``{dwi,t1}_seg.dcm``, ``sr.dcm`` and ``report.dcm``, and prove them.

    Every Segmentation is read back and compared with its mask in patient coordinates, the
    report with the findings. UIDs derive from the content: the same masks and findings of
    the same images give the same UIDs, an edited mask gives others. A sequence in which
    neither bone nor lesion was found has no Segmentation.

    Args:
        folder: Where to write; made if it is not there.
        result: Masks and findings of a study that was read from DICOM.
        headers_by_series: Headers (no pixels) of its images, by Series Instance UID.
        report_pdf: The report as PDF.
        form: Kind of Segmentation, RT Structure Sets, a reader's word; None takes the usual.
        clock: Gives the date and time of creation; asked once.

    Returns:
        The files written.

    Raises:
        InputError: if the study does not come from DICOM.
        VerificationError: if a written file does not hold what was meant.
        OutputError: if the report is no PDF or a file cannot be written.
    """
    form, bones, lesions = form or DicomForm(), result.bones, result.lesions
    run = _Run(folder, result.findings, form, clock())
    sources = {
        sequence: source_images(_acquisition(result.study, sequence), headers_by_series)
        for sequence in bones.by_sequence
    }
    _make(folder)
    with names_as_given():
        parts = [run.segmented(source, s, bones[s], lesions[s]) for s, source in sources.items()]
        segmentations = [run.path_of(part) for part in parts if part.segmentation]
        if form.rtstruct:
            segmentations += [run.structured(p, bones[p.sequence]) for p in parts if p.segmentation]
        return (*segmentations, *run.reported(parts, report_pdf))


@dataclass(frozen=True)
class _Run:
    """What all objects of one call share."""

    folder: Path
    findings: Findings
    form: DicomForm
    moment: datetime

    def segmented(
        self, source: SourceImages, sequence: Sequence, bones: Volume, lesions: Volume
    ) -> SegmentedSequence:
        """Write and prove the Segmentation of a sequence."""
        study_uid = source.reference.study_instance_uid
        maps = segment_maps(bones, lesions, self.findings, sequence, study_uid, self.form.signoff)
        if not maps.segments:
            return SegmentedSequence(sequence, source, maps, None)
        segmentation = build_segmentation(
            maps,
            source,
            sequence,
            kind=self.form.segmentation_type,
            bundle=self.findings.bundle,
            moment=self.moment,
        )
        part = SegmentedSequence(sequence, source, maps, segmentation)
        _save(segmentation, self.path_of(part))
        verify_segmentation(self.path_of(part), maps, bones.geometry)
        return part

    def structured(self, part: SegmentedSequence, bones: Volume) -> Path:
        """Write and prove the RT Structure Set of a sequence."""
        path = self.folder / f"{part.sequence}_rtstruct.dcm"
        write_structure_set(
            path, part.maps, part.source, bones.geometry, part.sequence, self.moment
        )
        return path

    def path_of(self, part: SegmentedSequence) -> Path:
        """Where the Segmentation of a sequence lies."""
        return self.folder / f"{part.sequence}_seg.dcm"

    def reported(self, parts: list[SegmentedSequence], pdf: bytes) -> tuple[Path, Path]:
        """Write and prove the Structured Report, then the encapsulated PDF."""
        report, document = self.folder / "sr.dcm", self.folder / "report.dcm"
        measurements = build_report(
            self.findings, parts, moment=self.moment, signoff=self.form.signoff
        )
        _save(measurements, report)
        segmentations = {p.segmentation.SOPInstanceUID: p for p in parts if p.segmentation}
        verify_report(report, self.findings, {uid: p.maps for uid, p in segmentations.items()})
        shown = [measurements, *(p.segmentation for p in segmentations.values() if p.segmentation)]
        printed = build_encapsulated_pdf(
            pdf,
            parts[0].source,
            shown,
            bundle=self.findings.bundle,
            moment=self.moment,
            signoff=self.form.signoff,
        )
        _save(printed, document)
        return report, document


def _acquisition(study: Study, sequence: Sequence) -> Acquisition:
    acquisition = study.sequence(sequence)
    if acquisition is None:
        raise VerificationError(f"There is a mask of {sequence.title} but no image of it")
    return acquisition


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("The folder for DICOM results cannot be made", got=error) from error


def _save(dataset: Dataset, path: Path) -> None:
    try:
        dataset.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise OutputError("A DICOM result cannot be written", got=error) from error
