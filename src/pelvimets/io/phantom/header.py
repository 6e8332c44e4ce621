"""DICOM headers of a digital patient: the modules that every object shares.

No name, date of birth or address of anybody: the patient is called by his seed. Identifiers
are hashes of seed, style, series and instance, so that the same study has the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from pelvimets.core.geometry import Geometry
from pelvimets.io.phantom.series import Series
from pelvimets.phantom.choices import DicomStyle, Vendor
from pelvimets.phantom.physics.imaging import ImagedPatient

_MANUFACTURERS = {
    Vendor.GE: "GE MEDICAL SYSTEMS",
    Vendor.PHILIPS: "Philips Medical Systems",
    Vendor.SIEMENS: "SIEMENS",
}
_SOFTWARE = {Vendor.GE: "DV25", Vendor.PHILIPS: "5.1.7", Vendor.SIEMENS: "syngo MR B17"}
_STUDY_DATE = "20200114"


@dataclass(frozen=True)
class StudyIdentity:
    """Names and identifiers of one study.

    Attributes:
        seed: The patient's seed.
        style: Vendor style.
        examination: Running number of the examination of this man.
    """

    seed: int
    style: DicomStyle
    examination: int = 0

    def uid(self, *parts: object) -> UID:
        """Identifier that depends on this study and the parts, and on nothing else."""
        own = ["pelvimets phantom", self.seed, self.style.value, self.examination]
        return generate_uid(entropy_srcs=[str(part) for part in (*own, *parts)])

    @property
    def study_date(self) -> str:
        """One date for all; a later examination is half a year later."""
        years, half = divmod(self.examination, 2)
        return f"{2020 + years}{'07' if half else '01'}14" if self.examination else _STUDY_DATE


def file_meta(sop_class: UID, sop_instance: UID) -> FileMetaDataset:
    """File meta information, uncompressed little endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["pelvimets phantom writer"])
    meta.ImplementationVersionName = "PELVIMETS"
    return meta


def study_header(imaged: ImagedPatient, identity: StudyIdentity) -> Dataset:
    """Patient, study, equipment and frame of reference."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    _patient(ds, imaged, identity)
    ds.StudyInstanceUID = identity.uid("study")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = identity.study_date
    ds.StudyTime = "101500"
    ds.StudyID = str(identity.examination + 1)
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "MR PELVIS PROSTATE (DIGITAL PATIENT)"
    ds.FrameOfReferenceUID = identity.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    _equipment(ds, imaged, identity)
    return ds


def _patient(ds: Dataset, imaged: ImagedPatient, identity: StudyIdentity) -> None:
    ds.PatientName = f"Phantom^{identity.seed}"
    ds.PatientID = f"PHANTOM-{identity.seed}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "M"
    ds.PatientAge = f"{round(imaged.patient.age_years):03d}Y"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Digital patient: no person behind it"


def _equipment(ds: Dataset, imaged: ImagedPatient, identity: StudyIdentity) -> None:
    vendor = identity.style.vendor
    scanner = imaged.scanner
    ds.Modality = "MR"
    ds.Manufacturer = _MANUFACTURERS[vendor]
    ds.ManufacturerModelName = scanner.model if scanner.vendor is vendor else "Simulated"
    ds.DeviceSerialNumber = "000000"
    ds.SoftwareVersions = _SOFTWARE[vendor]
    ds.InstitutionName = "In silico"
    ds.StationName = "PHANTOM"
    ds.BodyPartExamined = "PELVIS"
    ds.PatientPosition = "HFS"


def series_header(
    base: Dataset, series: Series, imaged: ImagedPatient, identity: StudyIdentity
) -> Dataset:
    """The study's header with what one series adds."""
    ds = Dataset()
    ds.update(base)
    ds.SeriesInstanceUID = identity.uid("series", series.number)
    ds.SeriesNumber = series.number
    ds.SeriesDescription = series.description
    ds.ProtocolName = series.description[:64]
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = series_time(series.number)
    ds.AcquisitionNumber = 1
    ds.MagneticFieldStrength = decimal(imaged.scanner.field_strength_t)
    ds.ImagedNucleus = "1H"
    ds.ImagingFrequency = decimal(42.577 * imaged.scanner.field_strength_t)
    return ds


def series_time(number: int) -> str:
    """Time of day, in the order in which the series were made."""
    order = number // 100 * 4 if number >= 100 else number * 4
    return f"10{15 + order % 40:02d}{number % 60:02d}.000000"


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters.

    >>> decimal(-123.4567890123), decimal(3.0)
    ('-123.456789', '3')
    """
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def orientation(geometry: Geometry) -> list[str]:
    """Image Orientation (Patient): direction of the rows, then of the columns."""
    along_row, along_column = geometry.axes[2], geometry.axes[1]
    return [_cosine(v) for v in (*along_row, *along_column)]


def _cosine(value: float) -> str:
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def position(geometry: Geometry, slice_index: int) -> list[str]:
    """Image Position (Patient) of a slice."""
    return [decimal(v) for v in geometry.to_lps([slice_index, 0, 0])]


def slice_location(geometry: Geometry, slice_index: int) -> str:
    """Distance along the slice normal."""
    return decimal(float(np.dot(geometry.to_lps([slice_index, 0, 0]), geometry.axes[0])))
