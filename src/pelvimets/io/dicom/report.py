"""The printable report as an Encapsulated PDF object."""

from __future__ import annotations

from datetime import datetime

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from pelvimets.errors import OutputError
from pelvimets.io.dicom import codes
from pelvimets.io.dicom.signoff import SignOff
from pelvimets.io.dicom.source import SourceImages


def build_encapsulated_pdf(
    pdf: bytes,
    source: SourceImages,
    derived_from: list[Dataset],
    *,
    bundle: str,
    moment: datetime,
    signoff: SignOff | None = None,
) -> Dataset:
    """The report object of a study, ready to be saved.

    Args:
        pdf: The file's content.
        source: Images of the study; patient and study attributes come from there.
        derived_from: Objects that the report presents, for the references.
        bundle: Name and version of the networks.
        moment: Date and time of creation.
        signoff: A reader's review; what he verifies is verified here too.

    Raises:
        OutputError: if the bytes are no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise OutputError("The report is not a PDF", got=repr(pdf[:8]))
    shown = (str(item.SOPInstanceUID) for item in derived_from)
    identity: tuple[str | bytes, ...] = (source.reference.study_instance_uid, pdf, *shown)
    header = source.datasets[0]
    document = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=codes.derived_uid("report series", *identity),
        series_number=codes.SERIES_NUMBERS["report"],
        sop_instance_uid=codes.derived_uid("report", *identity),
        sop_class_uid=EncapsulatedPDFStorage,
        instance_number=1,
        modality="DOC",
        manufacturer=codes.MANUFACTURER,
        manufacturer_model_name=codes.MODEL_NAME,
        software_versions=codes.SOFTWARE_VERSION,
        device_serial_number=bundle[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate,
        study_time=header.StudyTime,
        referring_physician_name=header.get("ReferringPhysicianName"),
        series_description="pelvimets: report",
        specific_character_set=header.get("SpecificCharacterSet"),
    )
    document.copy_patient_and_study_information(header)
    _add_document(document, pdf)
    verified = signoff is not None and signoff.verified
    document.VerificationFlag = "VERIFIED" if verified else "UNVERIFIED"
    document.SourceInstanceSequence = [_reference(item) for item in derived_from]
    codes.stamp(document, moment)
    document.AcquisitionDateTime = ""
    return document


def _add_document(document: Dataset, pdf: bytes) -> None:
    """Encapsulated Document module (PS3.3 C.24.2) and SC Equipment (C.8.6.1)."""
    document.ConversionType = "WSD"
    document.BurnedInAnnotation = "NO"
    document.DocumentTitle = "pelvimets report, research use only"
    document.ConceptNameCodeSequence = [codes.REPORT_TITLE]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def _reference(item: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = item.SOPClassUID
    reference.ReferencedSOPInstanceUID = item.SOPInstanceUID
    return reference


def encapsulated_pdf(document: Dataset) -> bytes:
    """The PDF inside an Encapsulated PDF object, without padding."""
    data: bytes = document.EncapsulatedDocument
    return data[: int(document.EncapsulatedDocumentLength)]
