"""A result as a whole: written by a run, read again and made anew when a reader corrects it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelvimets import __version__
from pelvimets.core.corrected import ReviewedStudy
from pelvimets.core.findings import BoneMasks, LesionMasks
from pelvimets.core.lanes import side_by_side
from pelvimets.core.pipeline import StudyResult
from pelvimets.core.review import Review
from pelvimets.core.study import Study
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.dicom.source_headers import (
    SOURCE_HEADERS_NAME,
    read_source_headers,
    write_source_headers,
)
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.nifti.names import image_name, mask_name
from pelvimets.io.record.acquisitions import read_study_of_run
from pelvimets.io.record.findings import FINDINGS_NAME
from pelvimets.io.record.output import staged_folder, write_bytes, write_json, write_text
from pelvimets.io.record.run_record import read_run_record
from pelvimets.report.cohort import thumbnail
from pelvimets.report.content import (
    Provenance,
    ReportContent,
    Reviewed,
    local_words,
    report_content,
)
from pelvimets.report.data import findings_to_dict, lesions_csv
from pelvimets.report.html import render_html

if TYPE_CHECKING:
    from pelvimets.io.dicom.source import HeadersBySeries

DICOM_FOLDER = "dicom"
THUMBNAIL_NAME = "thumbnail.png"


def content_of(
    result: StudyResult, bundle: str, created: datetime, review: Review | None = None
) -> ReportContent:
    """What the report of a result says."""
    provenance = Provenance(
        version=__version__,
        bundle=bundle,
        created=local_words(created),
        reviewed=None if review is None else _reviewed(review),
    )
    return report_content(result.study, result.bones, result.lesions, result.findings, provenance)


def _reviewed(review: Review) -> Reviewed:
    signed = local_words(datetime.fromisoformat(review.signed)) if review.signed else ""
    notes = {entry.number: entry.note for entry in review.lesions if entry.note}
    return Reviewed(
        review.reader,
        signed,
        review.verified,
        tally=review.tally,
        comment=review.comment,
        notes=notes,
    )


def write_result(folder: Path, result: StudyResult, content: ReportContent) -> None:
    """Write masks, images for the viewer, findings, lesion list and report."""
    images = folder / "images"
    images.mkdir()
    volumes = {
        images / image_name(name): acquisition.volume
        for name, acquisition in result.study.acquisitions.items()
    }
    for sequence, mask in result.bones.by_sequence.items():
        volumes[folder / mask_name(sequence, "bones")] = mask
        volumes[folder / mask_name(sequence, "lesions")] = result.lesions[sequence]
    side_by_side(lambda file: write_nifti(*file), volumes.items())
    write_json(folder / FINDINGS_NAME, findings_to_dict(result.findings))
    write_text(folder / "lesions.csv", lesions_csv(result.findings))
    _write_report(folder, content)


def _write_report(folder: Path, content: ReportContent) -> None:
    write_text(folder / "report.html", render_html(content))
    picture = thumbnail(content)
    if picture is not None:
        write_bytes(folder / THUMBNAIL_NAME, picture)


def rehearse_dicom(
    beside: Path, study: Study, headers: HeadersBySeries, created: datetime, form: DicomForm
) -> None:
    """Refuse a study of which DICOM results cannot be made, before the networks run.

    Raises:
        InputError: with what its headers do not allow.
    """
    from pelvimets.io.dicom.rehearsal import rehearse_dicom_results  # takes long to load

    rehearse_dicom_results(beside, study, headers, form, created)


def write_dicom(
    folder: Path,
    result: StudyResult,
    headers: HeadersBySeries,
    content: ReportContent,
    created: datetime,
    form: DicomForm,
) -> None:
    """Write the DICOM results and the source headers that a correction needs.

    Raises:
        InputError: if the study does not come from DICOM.
        VerificationError: if what was written does not hold what was meant.
    """
    from pelvimets.io.dicom.results import write_dicom_results  # takes long to load
    from pelvimets.report.printed import print_report

    pdf = print_report(content)
    write_dicom_results(folder, result, headers, pdf, form, clock=lambda: created)
    write_source_headers(folder, headers)


def regenerate(out: Path, reviewed: ReviewedStudy) -> None:
    """Make the report and the DICOM outputs of a run anew after a review.

    The masks of the run stay as the model left them; corrected ones lie in ``out/review``.
    """
    record = read_run_record(out)
    result = _corrected(out, record, reviewed)
    created = datetime.now().astimezone()
    content = content_of(result, record["bundle"]["name"], created, reviewed.review)
    dicom = out / DICOM_FOLDER
    if (dicom / SOURCE_HEADERS_NAME).is_file():
        headers = read_source_headers(dicom)
        with staged_folder(dicom, overwrite=True, result_marker=SOURCE_HEADERS_NAME) as work:
            kinds = {name: bool(record.get(name)) for name in ("labelmap", "rtstruct")}
            from pelvimets.io.dicom.signoff import SignOff

            signoff = SignOff(
                reviewed.review,
                {s: read_nifti(out / mask_name(s, "bones")) for s in reviewed.lesions},
                {s: read_nifti(out / mask_name(s, "lesions")) for s in reviewed.lesions},
            )
            form = DicomForm(**kinds, signoff=signoff)
            write_dicom(work, result, headers, content, created, form)
    _write_report(out, content)


def _corrected(out: Path, record: dict[str, Any], reviewed: ReviewedStudy) -> StudyResult:
    study = read_study_of_run(out, record, reviewed.findings.patient_key)
    bones = dict(reviewed.bones)
    masks = LesionMasks.of(reviewed.lesions)
    return StudyResult(study, BoneMasks(bones), masks, reviewed.findings)
