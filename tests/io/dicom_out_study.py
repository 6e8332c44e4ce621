"""A small study with masks and findings on any grid, and the headers it would come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, Findings, FlagLevel, LesionMasks, QualityFlag
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import Origin, measure
from pelvimets.core.pipeline import StudyResult
from pelvimets.core.study import Acquisition, SeriesRole, SourceReference, Study
from pelvimets.core.volume import Volume
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.dicom.results import write_dicom_results
from pelvimets.labels import Bone, Sequence

MOMENT = datetime(2026, 3, 4, 5, 6, 7)
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
FRAME_UID = f"{STUDY_UID}.99"
PDF = b"%PDF-1.4\nthe report"  # 19 bytes: an odd length
SETTINGS = LesionSettings(drop_below_cm3=0.0)


@dataclass(frozen=True, eq=False)
class Case:
    """Everything ``write_dicom_results`` takes."""

    study: Study
    headers: dict[str, list[Dataset]]
    bones: BoneMasks
    lesions: LesionMasks
    findings: Findings


def clock() -> datetime:
    return MOMENT


def write(folder, case, **options):
    return write_dicom_results(
        folder,
        StudyResult(case.study, case.bones, case.lesions, case.findings),
        case.headers,
        options.pop("pdf", PDF),
        clock=options.pop("clock", clock),
        form=DicomForm(**options),
    )


def axial(shape=(6, 20, 18), spacing=(5.0, 2.0, 2.5), origin=(-20.0, -18.0, 30.0)) -> Geometry:
    return Geometry.from_axes(shape, spacing, origin)


def turned(geometry: Geometry, degrees: tuple[float, float, float]) -> Geometry:
    """The same grid turned about the patient's x, y and z axes."""
    matrix = geometry.matrix.copy()
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix[:3] = turn @ matrix[:3]
    return Geometry(geometry.shape, matrix)


def pelvis(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Bones and lesions laid out in the patient, so that any grid shows the same."""
    lps = geometry.to_lps(np.indices(geometry.shape).reshape(3, -1).T)
    centre = geometry.corners().mean(axis=0)
    x, y, z = (lps - centre).T
    half = np.abs(geometry.corners() - centre).max(axis=0)
    bones = np.zeros(len(lps), dtype=np.uint8)
    for bone, low, high in (
        (Bone.ILIUM, 0.35, 0.85),
        (Bone.PUBIS, 0.12, 0.3),
    ):
        bones[(np.abs(x) > low * half[0]) & (np.abs(x) < high * half[0]) & (z > 0)] = bone
    bones[(np.abs(x) < 0.15 * half[0]) & (y > 0) & (z > 0)] = Bone.SACROCOCCYX
    bones[(np.abs(x) > 0.3 * half[0]) & (z <= 0) & (y < 0.2 * half[1])] = Bone.ISCHIUM
    lesions = np.zeros(len(lps), dtype=np.uint16)
    big = (np.abs(x - 0.6 * half[0]) < 0.3 * half[0]) & (np.abs(y) < 0.4 * half[1])
    lesions[big & (z > 0.1 * half[2])] = 1  # passes the border of the left ilium
    small = (np.abs(x + 0.6 * half[0]) < 0.2 * half[0]) & (y < -0.4 * half[1])
    lesions[small & (bones == Bone.ISCHIUM)] = 2
    return bones.reshape(geometry.shape), lesions.reshape(geometry.shape)


def classic_headers(geometry: Geometry, series_uid: str, number: int) -> list[Dataset]:
    """One header per slice along the first axis."""
    headers = []
    for k in range(geometry.shape[0]):
        header = _common(geometry, series_uid, number)
        header.SOPClassUID = MRImageStorage
        header.SOPInstanceUID = f"{series_uid}.{k + 1}"
        header.InstanceNumber = k + 1
        header.ImagePositionPatient = _ds(geometry.to_lps([k, 0, 0]))
        header.ImageOrientationPatient = _ds(_cosines(geometry))
        header.PixelSpacing = _ds(geometry.spacing[1:])
        header.SliceThickness = _ds(geometry.spacing[:1])[0]
        headers.append(header)
    return headers


def enhanced_header(
    geometry: Geometry, series_uid: str, number: int, numbers: tuple[int, ...]
) -> Dataset:
    """One object; slice k is frame ``numbers[k]``, other frames lie elsewhere."""
    header = _common(geometry, series_uid, number)
    header.SOPClassUID = EnhancedMRImageStorage
    header.SOPInstanceUID = f"{series_uid}.1"
    header.InstanceNumber = 1
    header.NumberOfFrames = max(numbers)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _ds(geometry.spacing[1:])
    measures.SliceThickness = _ds(geometry.spacing[:1])[0]
    orientation.ImageOrientationPatient = _ds(_cosines(geometry))
    shared.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [shared]
    place = {n: k for k, n in enumerate(numbers)}
    frames = []
    for n in range(1, max(numbers) + 1):
        frame, position = Dataset(), Dataset()
        k = place.get(n, 100 + n)
        position.ImagePositionPatient = _ds(geometry.to_lps([k, 0, 0]))
        frame.PlanePositionSequence = [position]
        frame.PlaneOrientationSequence = [orientation]  # per frame, as scanners write it
        frames.append(frame)
    header.PerFrameFunctionalGroupsSequence = frames
    return header


def make_case(
    grids: dict[Sequence, Geometry],
    *,
    frame_numbers: tuple[int, ...] | None = None,
    with_lesions: bool = True,
    with_bones: bool = True,
) -> Case:
    """A study with these sequences; with frame numbers its objects are enhanced."""
    acquisitions, headers, bones, lesions, probability = {}, {}, {}, {}, {}
    for number, (sequence, geometry) in enumerate(grids.items(), start=3):
        uid = f"{STUDY_UID}.{number}"
        made = (
            classic_headers(geometry, uid, number)
            if frame_numbers is None
            else [enhanced_header(geometry, uid, number, frame_numbers)]
        )
        headers[uid] = made[::-1]  # file order says nothing
        image = Volume(np.zeros(geometry.shape, dtype=np.float32), geometry)
        source = SourceReference(
            STUDY_UID,
            uid,
            FRAME_UID,
            made[0].SOPClassUID,
            tuple(h.SOPInstanceUID for h in made),
            frame_numbers,
        )
        role = SeriesRole.HIGH_B_DWI if sequence is Sequence.DWI else SeriesRole.T1_IN_PHASE
        acquisitions[sequence.value] = Acquisition(image, role, f"series {number}", source=source)
        drawn, marked = pelvis(geometry)
        bones[sequence] = image.with_array(drawn * np.uint8(with_bones))
        lesions[sequence] = image.with_array(marked * np.uint16(with_lesions))
        probability[sequence] = image.with_array((0.75 * (marked > 0)).astype(np.float32))
    masks, found = BoneMasks(bones), LesionMasks.of(lesions, probability)
    flags = (QualityFlag(FlagLevel.NOTE, "border", "the ilium is cut off", Sequence.DWI),)
    adc = Volume(np.full(geometry.shape, 850.0, dtype=np.float32), geometry)
    findings = measure(
        masks,
        found,
        adc,
        SETTINGS,
        Origin(patient_key="p1", bundle="fixed 1.0", uid_seed="seed", flags=flags),
    )
    return Case(Study("p1", **acquisitions), headers, masks, found, findings)


def _common(geometry: Geometry, series_uid: str, number: int) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientName = "Müller^Jörg"
    header.PatientID = "ID-7"
    header.PatientBirthDate = "19500101"
    header.PatientSex = "M"
    header.PatientAge = "076Y"
    header.StudyInstanceUID = STUDY_UID
    header.StudyDate, header.StudyTime, header.StudyID = "20260101", "101112", "S1"
    header.StudyDescription = "MR Pelvis"
    header.AccessionNumber = "A1"
    header.ReferringPhysicianName = "Ref^Doc"
    header.SeriesInstanceUID = series_uid
    header.SeriesNumber = number
    header.Modality = "MR"
    header.Manufacturer = "Scanner maker"
    header.FrameOfReferenceUID = FRAME_UID
    header.PositionReferenceIndicator = ""
    header.Rows, header.Columns = geometry.shape[1:]
    return header


def _cosines(geometry: Geometry) -> np.ndarray:
    return np.concatenate([geometry.axes[2], geometry.axes[1]])


def _ds(values) -> list[str]:
    return [f"{float(v):.10g}" for v in values]
