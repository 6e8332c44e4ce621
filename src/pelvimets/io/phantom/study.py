"""A digital patient's examination as the DICOM study a scanner would export.

Beside the diffusion, ADC and Dixon series lie a localiser, T2-weighted series, a screen
capture, and files that are no DICOM, as on any disc.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from pelvimets.errors import OutputError
from pelvimets.io.phantom.classic import classic_instances
from pelvimets.io.phantom.enhanced import enhanced_instance
from pelvimets.io.phantom.header import (
    StudyIdentity,
    file_meta,
    series_header,
    study_header,
)
from pelvimets.io.phantom.series import Series, series_of
from pelvimets.phantom.choices import DicomStyle
from pelvimets.phantom.physics.imaging import ImagedPatient

FileName = Callable[[Series, int], str]


def write_phantom_study(
    folder: Path, imaged: ImagedPatient, style: DicomStyle, *, examination: int = 0
) -> int:
    """Write the whole study below a folder.

    Args:
        folder: Created if needed; must be empty.
        imaged: With all Dixon images and companions for a complete study.
        style: Vendor.
        examination: Number of the examination of this man; part of the identifiers.

    Returns:
        Number of DICOM files.

    Raises:
        OutputError: if the folder is not empty or cannot be written.
    """
    identity = StudyIdentity(imaged.patient.seed, style, examination)
    base = study_header(imaged, identity)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError("A DICOM study is written into an empty folder", got=folder)
        count = 0
        for series in series_of(imaged, style):
            if series.stacks:
                header = series_header(base, series, imaged, identity)
                count += _write_series(folder, header, series, identity)
        return count + _write_surroundings(folder, base, identity)
    except OSError as error:
        raise OutputError("The DICOM study cannot be written", got=f"{folder}: {error}") from error


def _write_series(folder: Path, header: Dataset, series: Series, identity: StudyIdentity) -> int:
    name = _FILE_NAMES[identity.style]
    if identity.style.enhanced and series.contrast in ("DIFFUSION", "T1"):
        _save(folder / name(series, 1), enhanced_instance(header, series, identity))
        return 1
    count = 0
    for number, ds in classic_instances(header, series, identity):
        _save(folder / name(series, number), ds)
        count += 1
    return count


def _save(path: Path, ds: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def _ge_name(series: Series, number: int) -> str:
    return f"s{series.number:04d}/e1s{series.number}i{number:04d}.MRDC.{number}"


def _philips_name(series: Series, number: int) -> str:
    return f"DICOM/IM_{series.number * 1000 + number:07d}"


def _siemens_name(series: Series, number: int) -> str:
    return f"PELVIS/{series.number:04d}/PHANTOM.MR.{series.number:04d}.{number:04d}.IMA"


_FILE_NAMES: dict[DicomStyle, FileName] = {
    DicomStyle.GE: _ge_name,
    DicomStyle.PHILIPS: _philips_name,
    DicomStyle.PHILIPS_CLASSIC: _philips_name,
    DicomStyle.SIEMENS: _siemens_name,
}


def _write_surroundings(folder: Path, base: Dataset, identity: StudyIdentity) -> int:
    """A screen capture, and files of the disc that are no DICOM."""
    (folder / "README.TXT").write_text("Digital patient, no person behind it. Research use only.\n")
    (folder / "VIEWER").mkdir()
    (folder / "VIEWER" / "viewer.ini").write_text("[viewer]\nlanguage=en\n")
    (folder / "VIEWER" / "thumbs.db").write_bytes(bytes(range(256)) * 2)
    _save(folder / "SC" / "capture.dcm", _screen_capture(base, identity))
    return 1


def _screen_capture(base: Dataset, identity: StudyIdentity) -> Dataset:
    ds = Dataset()
    patient_and_study = (
        *("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        *("PatientAge", "PatientIdentityRemoved", "DeidentificationMethod", "StudyInstanceUID"),
        *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
        *("StudyDescription", "Manufacturer", "Modality", "ContentDate", "BodyPartExamined"),
    )
    for keyword in patient_and_study:
        setattr(ds, keyword, getattr(base, keyword))
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = identity.uid("screen capture")
    ds.SeriesInstanceUID = identity.uid("screen capture series")
    ds.SeriesNumber, ds.InstanceNumber = 9901, 1
    ds.SeriesDescription = "Screen save"
    ds.ContentTime = "104500"
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = 64
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    ds.PixelData = ramp.tobytes()
    ds["PixelData"].VR = "OB"
    ds.file_meta = file_meta(SecondaryCaptureImageStorage, ds.SOPInstanceUID)
    return ds
