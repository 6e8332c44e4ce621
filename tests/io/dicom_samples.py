"""Small MR series as a scanner would write them, for tests of reading."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume

ROOT = "1.2.826.0.1.3680043.8.498.7"
NAME = "SECRET^PERSON"
PATIENT_ID = "HOSPITAL-4711"


def uid(*parts: object) -> str:
    return f"{ROOT}.{zlib.crc32(repr(parts).encode())}"


def block(
    shape: tuple[int, int, int] = (10, 12, 14),
    spacing: tuple[float, float, float] = (5.0, 10.0, 12.0),
    axes: Any = None,
    seed: int = 0,
) -> Volume:
    """Distinct whole numbers on a coarse grid with a pelvis-sized field."""
    rng = np.random.default_rng(seed)
    array = rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.uint16) + 1
    return Volume(array, Geometry.from_axes(shape, spacing, (-80.0, -60.0, -20.0), axes))


def slices(
    volume: Volume,
    *,
    number: int,
    description: str,
    patient: str = PATIENT_ID,
    study: str = "study",
    first_instance: int = 1,
    tag: object = "",
    edit: Callable[[Dataset, int], None] | None = None,
    **attributes: Any,
) -> list[Dataset]:
    """Classic images of a volume, slice by slice along its first axis."""
    planes = []
    for k in range(volume.array.shape[0]):
        dataset = _common(volume, number, description, patient, study)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = uid(study, number, description, tag, k, first_instance)
        dataset.InstanceNumber = first_instance + k
        dataset.ImagePositionPatient = [float(v) for v in volume.geometry.to_lps([k, 0, 0])]
        _set_pixels(dataset, volume.array[k])
        _set(dataset, attributes)
        if edit is not None:
            edit(dataset, k)
        planes.append(_finished(dataset))
    return planes


def _common(volume: Volume, number: int, description: str, patient: str, study: str) -> Dataset:
    grid = volume.geometry
    dataset = Dataset()
    dataset.PatientID, dataset.PatientName = patient, NAME
    dataset.PatientBirthDate = "19500101"
    dataset.StudyInstanceUID = uid(study)
    dataset.SeriesInstanceUID = uid(study, "series", number, description)
    dataset.FrameOfReferenceUID = uid(study, "frame")
    dataset.Modality, dataset.SeriesNumber = "MR", number
    dataset.SeriesDescription = description
    dataset.BodyPartExamined = "PELVIS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.MagneticFieldStrength = 3.0
    dataset.Rows, dataset.Columns = volume.array.shape[1:]
    dataset.PixelSpacing = [grid.spacing[1], grid.spacing[2]]
    dataset.SliceThickness = grid.spacing[0]
    dataset.ImageOrientationPatient = orientation(grid)
    return dataset


def orientation(grid: Geometry) -> list[float]:
    return [float(v) for v in (*grid.axes[2], *grid.axes[1])]


def _set_pixels(dataset: Dataset, array: np.ndarray) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = array.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(array).tobytes()


def _set(dataset: Dataset, attributes: dict[str, Any]) -> None:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)


def _finished(dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def dwi(volume: Volume, b_value: float | None, *, number: int = 5, **more: Any) -> list[Dataset]:
    """A trace image of one b-value."""
    options = {
        "description": "ep2d_diff_tra",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"],
        "ScanningSequence": ["EP"],
        "EchoTime": 70.0,
        "RepetitionTime": 5000.0,
        "tag": b_value,
        "first_instance": int(b_value or 0) + 1,
    }
    if b_value is not None:
        options["DiffusionBValue"] = float(b_value)
    return slices(volume, number=number, **(options | more))


def t1(volume: Volume, *, number: int = 8, **more: Any) -> list[Dataset]:
    """An in-phase gradient echo."""
    options = {
        "description": "t1_vibe_dixon_tra_in",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"],
        "ScanningSequence": ["GR"],
        "EchoTime": 2.46,
        "RepetitionTime": 5.0,
        "FlipAngle": 10.0,
    }
    return slices(volume, number=number, **(options | more))


def adc(volume: Volume, *, number: int = 6, **more: Any) -> list[Dataset]:
    """An ADC map; like real ones it carries a b-value."""
    options = {
        "description": "ep2d_diff_tra_ADC",
        "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"],
        "ScanningSequence": ["EP"],
        "DiffusionBValue": 800.0,
    }
    return slices(volume, number=number, **(options | more))


def ct(volume: Volume) -> list[Dataset]:
    planes = slices(volume, number=2, description="CT pelvis")
    for dataset in planes:
        dataset.Modality, dataset.SOPClassUID = "CT", CTImageStorage
        _finished(dataset)
    return planes


def enhanced(
    volumes: Sequence[tuple[Volume, float | None]],
    *,
    number: int = 5,
    description: str = "DWI enhanced",
    legacy: bool = False,
    order: Sequence[int] | None = None,
    **attributes: Any,
) -> Dataset:
    """All slices of all volumes (each with its b-value) as frames of one object."""
    first = volumes[0][0]
    dataset = _common(first, number, description, PATIENT_ID, "study")
    for keyword in ("PixelSpacing", "SliceThickness", "ImageOrientationPatient"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = (
        LegacyConvertedEnhancedMRImageStorage if legacy else EnhancedMRImageStorage
    )
    dataset.SOPInstanceUID = uid("enhanced", number, description)
    frames = [(v, b, k) for v, b in volumes for k in range(v.array.shape[0])]
    frames = [frames[n] for n in order or range(len(frames))]
    _set_pixels(dataset, np.stack([v.array[k] for v, _, k in frames]))
    dataset.NumberOfFrames = len(frames)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([_shared(first.geometry, attributes)])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_per_frame(v.geometry, b, k, legacy) for v, b, k in frames]
    )
    return _finished(dataset)


def item(**attributes: Any) -> DicomSequence:
    inner = Dataset()
    _set(inner, attributes)
    return DicomSequence([inner])


def _shared(grid: Geometry, attributes: dict[str, Any]) -> Dataset:
    group = Dataset()
    group.PlaneOrientationSequence = item(ImageOrientationPatient=orientation(grid))
    group.PixelMeasuresSequence = item(
        PixelSpacing=[grid.spacing[1], grid.spacing[2]], SliceThickness=grid.spacing[0]
    )
    _set(group, attributes)
    return group


def _per_frame(grid: Geometry, b_value: float | None, k: int, legacy: bool) -> Dataset:
    group = Dataset()
    position = [float(v) for v in grid.to_lps([k, 0, 0])]
    group.PlanePositionSequence = item(ImagePositionPatient=position)
    if b_value is None:
        return group
    if legacy:
        group.UnassignedPerFrameConvertedAttributesSequence = item(DiffusionBValue=b_value)
    else:
        group.MRDiffusionSequence = item(
            DiffusionBValue=b_value, DiffusionDirectionality="ISOTROPIC"
        )
    return group


def write(folder: Path, datasets: Iterable[Dataset], seed: int | None = 0) -> Path:
    """Save under names that tell nothing; shuffled unless the seed is None."""
    datasets = list(datasets)
    folder.mkdir(parents=True, exist_ok=True)
    order = range(len(datasets))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(datasets))
    start = len(list(folder.iterdir()))
    for count, n in enumerate(order):
        datasets[n].save_as(folder / f"I{start + count:05d}", enforce_file_format=True)
    return folder
