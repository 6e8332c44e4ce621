"""A cohort made of files that lie elsewhere: planned, checked as a whole, then written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pelvimets.core.adc import adc_um2_per_s
from pelvimets.core.annotation import Truth, ValueMap, lesion_numbers, truth_of
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, InputError
from pelvimets.io.cohort.acquisition import read_sidecar, write_acquisition
from pelvimets.io.cohort.folder import (
    TABLE_NAME,
    CohortPatient,
    Split,
    read_patients,
    write_table,
)
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import Sequence

Finished = Callable[[int, int], None]
KINDS = ("bones", "lesions")
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class MaskSource:
    """A file of masks; ``values`` None: every value but 0 is a lesion."""

    path: Path
    values: ValueMap | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """``bones``, ``lesions`` or both."""
        return ("lesions",) if self.values is None else self.values.kinds


@dataclass(frozen=True)
class ImageSource:
    """One sequence of a patient.

    Attributes:
        path: The image.
        masks: Files of its masks, each kind once.
        same_as: Further files that must hold the same image.
        no_lesion: Write an empty mask of the lesions.
    """

    path: Path
    masks: tuple[MaskSource, ...] = ()
    same_as: tuple[Path, ...] = ()
    no_lesion: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of mask that will be there."""
        found = {kind for mask in self.masks for kind in mask.kinds}
        return tuple(k for k in KINDS if k in found or (k == "lesions" and self.no_lesion))


@dataclass(frozen=True)
class PlannedPatient:
    """One row and folder of the cohort to be.

    Attributes:
        key: Name of the patient and of the folder.
        images: Of each sequence that there is.
        adc: Map on the grid of the DWI.
        split: Where the source puts him; None if it does not say.
        person: The man, where several keys belong to one; his keys stay in one split.
    """

    key: str
    images: Mapping[Sequence, ImageSource]
    adc: Path | None = None
    split: Split | None = None
    person: str | None = None

    @property
    def man(self) -> str:
        """Whose images these are."""
        return self.person or self.key


@dataclass(frozen=True)
class ImportPlan:
    """All patients, and what the user should know before they are written."""

    patients: tuple[PlannedPatient, ...]
    notes: tuple[str, ...] = ()
    table: Mapping[str, CohortPatient] = field(default_factory=dict)


def check_names(patients: Iterable[PlannedPatient]) -> None:
    """Refuse keys that are no names of folders, or the same on a disk that ignores case.

    Raises:
        CohortError: with the keys.
    """
    seen: dict[str, str] = {}
    for patient in patients:
        key = patient.key
        if not key or Path(key).name != key or key.startswith(".") or key != key.strip():
            raise CohortError("A patient's name must be the name of a folder", got=repr(key))
        if key.lower() in seen:
            raise CohortError("Two patients have the same name", got=f"{seen[key.lower()]}, {key}")
        seen[key.lower()] = key


def check_masks(patients: Iterable[PlannedPatient], optional: Ordered[str]) -> None:
    """Refuse images without a mask of a kind that others have, unless it is optional.

    Raises:
        CohortError: with the patients.
    """
    images = [(p.key, s, image) for p in patients for s, image in p.images.items()]
    wanted = {kind for _, _, image in images for kind in image.kinds} - set(optional)
    bare = [f"{k} {s}" for k, s, i in images if not i.kinds and set(optional) < set(KINDS)]
    lacking = [
        f"{key} {sequence}: {kind}"
        for key, sequence, image in images
        for kind in KINDS
        if kind in wanted and kind not in image.kinds
    ]
    if lacking or bare:
        raise CohortError(
            "Images without a mask",
            got=shortened(lacking or bare),
            remedy="Add the masks, or say what their absence means: --missing-lesions empty "
            "(there is none) or leave (not known), --missing-bones leave",
        )


def shortened(items: Ordered[str], most: int = _MOST_PROBLEMS) -> str:
    """A list for a message.

    >>> shortened(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more])


def person_of(key: str, pattern: str | None) -> str | None:
    """The man that a patient's name means; None without a pattern.

    Raises:
        InputError: if the pattern is no regular expression with a group.

    >>> person_of("p1_scan2", "^([^_]+)")
    'p1'
    """
    if pattern is None:
        return None
    try:
        match = re.search(pattern, key)
        return match[1] if match else key
    except (re.error, IndexError) as error:
        raise InputError(
            "The pattern of the person cannot be used",
            got=f"{pattern!r}: {error}",
            remedy="Give a regular expression with one group, such as '^([^_]+)'",
        ) from None


def read_table(path: Path | None) -> dict[str, CohortPatient]:
    """Rows of a table of patients by key; empty without a table.

    Raises:
        CohortError: as ``read_patients``, or if the file has another name.
    """
    if path is None:
        return {}
    if path.name != TABLE_NAME or not path.is_file():
        raise CohortError(
            f"The table of patients must be a file named {TABLE_NAME}",
            got=path,
            remedy="Its columns are patient, split, m_stage, scanner, age, psa and any further",
        )
    return {patient.key: patient for patient in read_patients(path.parent)}


def check_sources(plan: ImportPlan, finished: Finished) -> None:
    """Read every file once and list all that is wrong, before anything is written.

    Raises:
        CohortError: with up to twenty problems.
    """
    problems: list[str] = []
    for done, patient in enumerate(plan.patients, start=1):
        problems += [f"{patient.key}: {error}" for error in _errors(patient)]
        finished(done, len(plan.patients))
    if problems:
        raise CohortError(
            f"The source has {len(problems)} problems, nothing was written",
            got=shortened(problems),
            remedy="Repair or take out these files",
        )


def _errors(patient: PlannedPatient) -> list[str]:
    errors = []
    dwi: Volume | None = None
    for sequence, source in patient.images.items():
        try:
            image = read_image(source)
            dwi = image if sequence is Sequence.DWI else dwi
            read_truth(source, image)
        except InputError as error:
            errors.append(f"{sequence}: {error}")
    if patient.adc is not None and (dwi is not None or Sequence.DWI not in patient.images):
        try:
            read_adc(patient.adc, dwi)
        except InputError as error:
            errors.append(f"adc: {error}")
    return errors


def write_patient(patient: PlannedPatient, folder: Path) -> None:
    """Write the images and masks of a patient into a new folder."""
    folder.mkdir()
    dwi: Volume | None = None
    protocols = {s: read_sidecar(source.path) for s, source in patient.images.items()}
    write_acquisition(folder, protocols)
    for sequence, source in patient.images.items():
        image = read_image(source)
        dwi = image if sequence is Sequence.DWI else dwi
        write_nifti(folder / f"{sequence}.nii.gz", image)
        truth = read_truth(source, image)
        for kind, array in zip(KINDS, (truth.bones, truth.lesions), strict=True):
            if array is not None:
                write_nifti(folder / f"{sequence}_{kind}.nii.gz", image.with_array(array))
    if patient.adc is not None:
        write_nifti(folder / "adc.nii.gz", read_adc(patient.adc, dwi))


def write_cohort(
    plan: ImportPlan, splits: Mapping[str, Split], folder: Path, finished: Finished
) -> None:
    """Write all patients and their table into an empty folder."""
    for done, patient in enumerate(plan.patients, start=1):
        write_patient(patient, folder / patient.key)
        finished(done, len(plan.patients))
    write_table(folder / TABLE_NAME, [_row(p, splits[p.key], plan) for p in plan.patients])


def _row(patient: PlannedPatient, split: Split, plan: ImportPlan) -> dict[str, object]:
    known = plan.table.get(patient.key)
    row: dict[str, object] = {"patient": patient.key, "split": split.value}
    row["m_stage"] = known.m_stage if known else None
    row["scanner"] = known.scanner if known else None
    row["age"] = known.age_years if known else None
    row["psa"] = known.psa_ng_per_ml if known else None
    names = dict.fromkeys(name for p in plan.table.values() for name in p.details)
    row.update({name: known.details.get(name) if known else None for name in names})
    if any(p.person for p in plan.patients):
        row["person"] = patient.man
    return row


def read_image(source: ImageSource) -> Volume:
    """The image, in a number type that a NIfTI file can hold.

    Raises:
        InputError: if a file is damaged, or ``same_as`` holds another image.
    """
    image = _storable(read_nifti(source.path))
    for path in source.same_as:
        if file_sha256(path) == file_sha256(source.path):
            continue
        other = read_nifti(path)
        if not other.geometry.matches(image.geometry) or (other.array != image.array).any():
            raise InputError(
                "Two sources hold different images of the same sequence of one patient",
                got=f"{source.path.name}, {path.name}",
                remedy="Rename the case in one of them",
            )
    return image


def read_truth(source: ImageSource, image: Volume) -> Truth:
    """Masks of an image.

    Raises:
        GeometryError: if a mask lies on another grid.
        InputError: if it is damaged or holds values that no label explains.
    """
    found: dict[str, Truth] = {}
    for mask in source.masks:
        truth = _read_mask(mask, image)
        found.update(dict.fromkeys(mask.kinds, truth))
    lesions = found["lesions"].lesions if "lesions" in found else None
    if lesions is None and source.no_lesion:
        lesions = np.zeros(image.geometry.shape, dtype=np.uint16)
    return Truth(found["bones"].bones if "bones" in found else None, lesions)


def _read_mask(mask: MaskSource, image: Volume) -> Truth:
    volume = read_nifti(mask.path).turned_to(image.geometry)
    _check_grid(mask.path, volume, image)
    try:
        if mask.values is None:
            return Truth(None, lesion_numbers(volume.array))
        return truth_of(volume.array, mask.values, volume.geometry.spacing)
    except InputError as error:
        raise InputError(
            error.what, got=f"{mask.path.name}: {error.got}", remedy=error.remedy
        ) from error


def _check_grid(path: Path, volume: Volume, image: Volume) -> None:
    if not volume.geometry.matches(image.geometry):
        shapes = f"{volume.geometry.shape} voxels, image {image.geometry.shape}"
        moved = "" if volume.geometry.shape != image.geometry.shape else ", at another place"
        raise GeometryError(
            "A file does not lie on the grid of its image",
            got=f"{path.name}: {shapes}{moved}",
            remedy="Draw or resample it on the image itself",
        )


def read_adc(path: Path, dwi: Volume | None) -> Volume:
    """An ADC map in um2/s.

    Raises:
        GeometryError: if it lies on another grid than the DWI.
        InputError: if there is no DWI, or its values fit no known unit.
    """
    if dwi is None:
        raise InputError("An ADC map needs its DWI", got=path.name)
    volume = read_nifti(path).turned_to(dwi.geometry)
    _check_grid(path, volume, dwi)
    converted = adc_um2_per_s(volume.array.astype(np.float32))
    if converted is None:
        raise InputError(
            "The values of an ADC map fit no known unit",
            got=f"{path.name}, {volume.array.min():g} to {volume.array.max():g}",
            remedy="Write it in um2/s or mm2/s, or leave it out",
        )
    return volume.with_array(converted.array)


def _storable(volume: Volume) -> Volume:
    if volume.array.dtype.kind in "iu" and volume.array.dtype.itemsize == 8:
        return volume.with_array(volume.array.astype(np.int32))
    return volume


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
