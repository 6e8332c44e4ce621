"""Find the DICOM files of a folder and read their headers, series by series."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
)

from pelvimets.errors import InputError, ResourceError
from pelvimets.io.dicom.bounds import PIXEL_TAGS, bounded, check_cost, check_frames
from pelvimets.io.dicom.frames import MR_CLASSES, Frame, frames_of
from pelvimets.io.dicom.identity import Identity, identity_of
from pelvimets.io.dicom.text import in_unicode, know_text

_KEYWORDS = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality
    SeriesNumber SeriesDescription ProtocolName InstanceNumber Manufacturer BodyPartExamined
    PatientID IssuerOfPatientID PatientName PatientBirthDate ImageType FrameType
    ComplexImageComponent ScanningSequence ScanOptions SequenceName PulseSequenceName
    EchoPulseSequence EchoPlanarPulseSequence SpectrallySelectedSuppression EchoTime
    EffectiveEchoTime RepetitionTime InversionTime FlipAngle PixelBandwidth
    MagneticFieldStrength ManufacturerModelName
    DiffusionBValue DiffusionDirectionality DiffusionGradientOrientation
    TemporalPositionIdentifier TemporalPositionIndex AcquisitionNumber ContrastBolusAgent
    ContrastBolusAgentSequence
    ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns SliceThickness
    SpacingBetweenSlices ImagesInAcquisition NumberOfSeriesRelatedInstances ConcatenationUID
    InConcatenationNumber InConcatenationTotalNumber SamplesPerPixel BitsAllocated
    NumberOfFrames RescaleSlope RescaleIntercept RescaleType RealWorldValueMappingSequence
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""
_PRIVATE = (
    *((0x0019, e) for e in (0x0010, 0x100C, 0x100D, 0x100E, 0x10BB, 0x10BC, 0x10BD)),
    *((0x0021, e) for e in (0x0010, 0x104F)),
    *((0x2001, e) for e in (0x0010, 0x1003, 0x1004, 0x1018)),
    *((0x2005, e) for e in (0x0010, 0x0014, 0x100E, 0x10B0, 0x10B1, 0x10B2)),
    *((0x0043, e) for e in (0x0010, 0x1030, 0x1039)),
    *((0x0065, e) for e in (0x0010, 0x1009)),
)
_TAGS = [
    *(tag for k in _KEYWORDS.split() if (tag := tag_for_keyword(k)) is not None),
    *((group << 16) | element for group, element in _PRIVATE),
]
_LAST_CLASSIC = 0x200510FF
_ENHANCED = (EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
_UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_PREAMBLE = 128
_BARE_GROUPS = (b"\x08\x00", b"\x02\x00")  # files without preamble begin with group 8 or 2


@dataclass
class ScannedSeries:
    """All files of one series.

    Attributes:
        frames: Of MR images; empty for other objects.
        others: Number of objects that are no MR image, by the name of their class.
    """

    series_instance_uid: str
    number: int | None
    description: str
    protocol: str
    modality: str
    body_part: str
    frames: list[Frame] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """Files of the MR images, each once."""
        return list(dict.fromkeys(frame.path for frame in self.frames))


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes:
        series: By series UID.
        foreign_files: Files that are not DICOM objects of a series.
        damaged_files: DICOM files whose header cannot be read.
        identities: What the headers of MR images say of the patient, each once.
        studies: Study UIDs of the MR images, in order of appearance.
        key: Pseudonym of the study, see ``_key``.
    """

    series: tuple[ScannedSeries, ...]
    foreign_files: int
    damaged_files: int
    identities: tuple[Identity, ...] = field(repr=False)
    studies: tuple[str, ...]
    key: str


def scan(root: Path) -> Scan:
    """Read the headers of every DICOM file in a folder of any nesting, or of one file.

    Files are visited in the order of their names, links to folders are not followed, and
    directory records (DICOMDIR) are passed over.

    Raises:
        InputError: if the path is missing or holds no DICOM image.
        ResourceError: if a file would cost more memory or time than any image.
    """
    if not root.exists():
        raise InputError("There is no such file or folder", got=root, remedy="Check the path")
    found = _Found()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values in headers are judged where they are used
        for path in _files(root):
            found.add(path)
    if not found.series:
        raise InputError(
            "There is no DICOM image that can be read",
            got=f"{found.foreign} other and {found.damaged} damaged files",
            remedy="Give a DICOM folder or zip; for NIfTI use --dwi FILE and --t1 FILE",
        )
    return found.scan()


class _Found:
    """What was found so far."""

    def __init__(self) -> None:
        self.series: dict[str, ScannedSeries] = {}
        self.foreign = self.damaged = 0
        self._identities: dict[Identity, None] = {}
        self._studies: dict[str, None] = {}

    def add(self, path: Path) -> None:
        try:
            read = _read(path)
            if read is None:
                self.foreign += 1
            else:
                self._add(*read, path)
        except (ResourceError, MemoryError):
            raise
        except Exception:  # a damaged header can make the parser raise almost anything
            self.damaged += 1

    def _add(self, dataset: Dataset, left: int, path: Path) -> None:
        """Everything is parsed before anything is kept."""
        uid, kind = str(dataset.SeriesInstanceUID), str(dataset.SOPClassUID)
        frames = _frames(dataset, left, path) if kind in MR_CLASSES else []
        patient, study = identity_of(dataset), str(dataset.get("StudyInstanceUID", ""))
        series = self.series.get(uid) or _new_series(uid, dataset)
        self.series[uid] = series
        if frames:
            series.frames.extend(frames)
            self._identities[patient] = self._studies[study] = None
        else:
            name = "private object" if UID(kind).is_private else UID(kind).name
            series.others[name] = series.others.get(name, 0) + 1

    def scan(self) -> Scan:
        return Scan(
            tuple(self.series.values()),
            self.foreign,
            self.damaged,
            tuple(self._identities),
            tuple(self._studies),
            _key(frozenset(i.digest for i in self._identities), self._studies),
        )


def read_header(path: Path) -> Dataset:
    """The whole header of one file, without pixel data, its text in Unicode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return in_unicode(pydicom.dcmread(path, stop_before_pixels=True, force=True))


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file():
                yield path


def _read(path: Path) -> tuple[Dataset, int] | None:
    """Header of a DICOM object of a series, and bytes after it; None for any other file."""
    with path.open("rb") as file:
        if not _looks_like_dicom(file):
            return None
        check_cost(file, path.stat().st_size)
        past_classic = bounded(_past_classic, file)
        dataset = read_partial(file, past_classic, force=True, specific_tags=_TAGS)
        if str(dataset.get("SOPClassUID")) in _ENHANCED:
            check_frames(int(dataset.get("NumberOfFrames") or 1))
            file.seek(0)
            at_pixels = bounded(_at_pixels, file)
            dataset = read_partial(file, at_pixels, force=True, specific_tags=_TAGS)
        left = path.stat().st_size - file.tell()
    kind = str(dataset.get("SOPClassUID") or "")
    if not kind or kind == MediaStorageDirectoryStorage or not dataset.get("SeriesInstanceUID"):
        return None
    return know_text(dataset), left


def _past_classic(tag: BaseTag, vr: str | None, length: int) -> bool:
    """Stop before the vendors' long sequences: nothing wanted of a classic image follows."""
    return bool(tag > _LAST_CLASSIC)


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in PIXEL_TAGS


def _looks_like_dicom(file: BinaryIO) -> bool:
    start = file.read(_PREAMBLE + 4)
    file.seek(0)
    return start[_PREAMBLE:] == b"DICM" or start[:2] in _BARE_GROUPS


def _frames(dataset: Dataset, left: int, path: Path) -> list[Frame]:
    return list(frames_of(dataset, path, _is_truncated(dataset, left)))


def _is_truncated(dataset: Dataset, left: int) -> bool:
    """Whether fewer bytes are left after the header read than uncompressed pixels need."""
    rows, columns, bits = (dataset.get(k) for k in ("Rows", "Columns", "BitsAllocated"))
    if not (rows and columns and bits):
        return True
    if dataset.file_meta.get("TransferSyntaxUID", _UNCOMPRESSED[0]) not in _UNCOMPRESSED:
        return False
    samples = int(dataset.get("NumberOfFrames") or 1) * int(dataset.get("SamplesPerPixel") or 1)
    return bool(left < rows * columns * bits // 8 * samples)


def _new_series(uid: str, dataset: Dataset) -> ScannedSeries:
    number = dataset.get("SeriesNumber")
    return ScannedSeries(
        series_instance_uid=uid,
        number=None if number in (None, "") else int(number),
        description=_plain(dataset.get("SeriesDescription")),
        protocol=_plain(dataset.get("ProtocolName")),
        modality=_plain(dataset.get("Modality")).upper(),
        body_part=_plain(dataset.get("BodyPartExamined")).upper(),
    )


def _plain(value: object) -> str:
    """One printable line of a header's free text."""
    text = "" if value is None else str(value)
    return "".join(c for c in text if c.isprintable()).strip()[:128]


def _key(patients: frozenset[str], studies: dict[str, None]) -> str:
    """Pseudonym of a study.

    The digest covers the study UID too: one of a short hospital number alone could be turned
    back by trying all numbers.
    """
    text = "|".join(["pelvimets", *sorted(patients), *sorted(studies)])
    return "study-" + hashlib.sha256(text.encode()).hexdigest()[:10]
