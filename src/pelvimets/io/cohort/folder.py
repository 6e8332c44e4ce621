"""A cohort on disk: a table of patients and one folder per patient.

::

    COHORT/patients.csv                       patient, split, m_stage, scanner, age, psa, ...
    COHORT/<patient>/dwi.nii.gz, t1.nii.gz    images, each on its own grid; at least one
    COHORT/<patient>/adc.nii.gz               on the grid of dwi; may be absent
    COHORT/<patient>/{fat,water,out_phase,stir,t2}.nii.gz   further images, each on its own grid
    COHORT/<patient>/{dwi,t1}_bones.nii.gz    ``Bone`` values; 255 where nobody judged
    COHORT/<patient>/{dwi,t1}_lesions.nii.gz  number of each metastasis; 65535 likewise
    COHORT/<patient>/annotation.json          which bones a person drew, if not all
    COHORT/<patient>/{dwi,t1}_mimics.nii.gz   digital patients only

Columns beyond the six named are kept as text in ``CohortPatient.details``.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pelvimets.core.further import check_beside
from pelvimets.core.judged import Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, reason
from pelvimets.io.cohort.annotation import read_judged
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.names import image_name, mask_name
from pelvimets.io.record.output import write_text
from pelvimets.labels import FurtherInput, Sequence, Split

TABLE_NAME = "patients.csv"
_KNOWN = ("patient", "split", "m_stage", "scanner", "age", "psa")


@dataclass(frozen=True)
class CohortPatient:
    """One row of the table with its folder.

    Attributes:
        key: Name of the patient and of the folder.
        folder: Where the files are.
        split: None if the table has none for this patient.
        m_stage: ``M0``, ``M1`` or None.
        scanner: None if unknown.
        age_years, psa_ng_per_ml: None if unknown.
        details: Further columns, as text.
    """

    key: str
    folder: Path
    split: Split | None = None
    m_stage: str | None = None
    scanner: str | None = None
    age_years: float | None = None
    psa_ng_per_ml: float | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    def image_path(self, sequence: Sequence) -> Path:
        """Image of a sequence, whether it exists or not."""
        return self.folder / image_name(sequence)

    def mask_path(self, sequence: Sequence, kind: str) -> Path:
        """Mask of a sequence; ``kind`` is ``bones``, ``lesions`` or ``mimics``."""
        return self.folder / mask_name(sequence, kind)

    @property
    def adc_path(self) -> Path:
        """ADC map (um2/s), whether it exists or not."""
        return self.folder / image_name("adc")

    def further_paths(
        self, wanted: Iterable[FurtherInput] = FurtherInput
    ) -> dict[FurtherInput, Path]:
        """Further images that are there."""
        paths = {kind: self.folder / image_name(kind) for kind in wanted}
        return {kind: path for kind, path in paths.items() if path.is_file()}

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """Sequences whose image is there."""
        return tuple(s for s in Sequence if self.image_path(s).is_file())


@dataclass(frozen=True)
class Cohort:
    """The patients of a cohort folder, in the order of the table."""

    folder: Path
    patients: tuple[CohortPatient, ...]

    def of_split(self, split: Split) -> tuple[CohortPatient, ...]:
        """Patients of one split."""
        return tuple(p for p in self.patients if p.split is split)

    def patient(self, key: str) -> CohortPatient:
        """One patient by name.

        Raises:
            CohortError: if there is none of that name.
        """
        for patient in self.patients:
            if patient.key == key:
                return patient
        raise CohortError("The cohort has no such patient", got=key)


@dataclass(frozen=True, eq=False)
class Case:
    """One sequence of one patient: image and whatever truth there is, all on one grid.

    Attributes:
        patient, sequence: Whose image it is.
        image, bones, lesions, mimics: Volumes; None where there is no such mask.
        judged: Which bones a person drew.
    """

    patient: CohortPatient
    sequence: Sequence
    image: Volume
    bones: Volume | None
    lesions: Volume | None
    mimics: Volume | None
    judged: Judged = field(default_factory=Judged)


def is_cohort(folder: Path) -> bool:
    """Whether the folder holds a cohort table."""
    return (folder / TABLE_NAME).is_file()


def read_cohort(folder: Path) -> Cohort:
    """Read the table and find the folders; images are read by ``read_case``.

    Raises:
        CohortError: if the table is missing or names a patient twice, an unknown split or
            M stage, a value that is no number, or a patient without folder or image.
    """
    folder = Path(folder)
    patients = read_patients(folder)
    for patient in patients:
        _check_files(patient)
    return Cohort(folder, patients)


def read_patients(folder: Path) -> tuple[CohortPatient, ...]:
    """Read the table alone; whether the patients' files exist is not looked at.

    Raises:
        CohortError: as ``read_cohort``, missing folders and images aside.
    """
    folder = Path(folder)
    patients = tuple(_patient(folder, row) for row in _read_table(folder))
    if not patients:
        raise CohortError("The cohort's table has no patient", got=folder / TABLE_NAME)
    _check_once_each(patients)
    return patients


def read_case(patient: CohortPatient, sequence: Sequence) -> Case:
    """Read the image of one sequence and its masks.

    Raises:
        InputError: if the image is missing or damaged.
        GeometryError: if a mask lies on another grid than its image.
    """
    image = read_nifti(patient.image_path(sequence))
    masks = {
        kind: _read_mask(patient, sequence, kind, image) for kind in ("bones", "lesions", "mimics")
    }
    judged = read_judged(patient.folder, sequence)
    return Case(patient, sequence, image, masks["bones"], masks["lesions"], masks["mimics"], judged)


def read_further(
    case: Case, wanted: Iterable[FurtherInput] = FurtherInput
) -> dict[FurtherInput, Volume]:
    """Further images of a case's patient, as far as there are, each on its own grid.

    Raises:
        InputError: if one is damaged.
        GeometryError: if one shows another place than the image of the case.
    """
    patient = case.patient
    found = {kind: read_nifti(path) for kind, path in patient.further_paths(wanted).items()}
    grids = {kind: volume.geometry for kind, volume in found.items()}
    check_beside(grids, {case.sequence: case.image.geometry}, f"patient {patient.key}")
    return found


def table_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV text, columns in the order of the first row; None becomes an empty cell.

    >>> print(table_text([{"patient": "p1", "psa": None}]), end="")
    patient,psa
    p1,
    """
    rows = list(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_table(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV table; it appears whole or not at all.

    Raises:
        OutputError: if it cannot be written.
        ResourceError: if the disk is full.
    """
    write_text(path, table_text(rows))


def _read_table(folder: Path) -> list[dict[str, str]]:
    path = folder / TABLE_NAME
    if not path.is_file():
        raise CohortError(
            f"A cohort folder needs a {TABLE_NAME}",
            got=folder,
            remedy=f"Its columns are {', '.join(_KNOWN)}; only patient must be filled",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, restkey="beyond the header", restval=""))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CohortError(
            "The cohort's table cannot be read", got=f"{TABLE_NAME}: {reason(error)}"
        ) from error
    for row in rows:
        if "patient" not in row or "beyond the header" in row:
            raise CohortError(
                "The cohort's table does not fit its header",
                got=f"{path.name}: {row}",
                remedy="Give a column 'patient', and in each row as many cells as there are names",
            )
    return rows


def _patient(folder: Path, row: Mapping[str, str]) -> CohortPatient:
    cells = {name: (cell or "").strip() for name, cell in row.items()}
    key = cells["patient"]
    if not key or Path(key).name != key or key in (".", ".."):
        raise CohortError("A patient's name must be the name of a folder", got=repr(key))
    return CohortPatient(
        key=key,
        folder=folder / key,
        split=_split(key, cells.get("split", "")),
        m_stage=_m_stage(key, cells.get("m_stage", "")),
        scanner=cells.get("scanner") or None,
        age_years=_number(key, "age", cells.get("age", "")),
        psa_ng_per_ml=_number(key, "psa", cells.get("psa", "")),
        details={name: cell for name, cell in cells.items() if name not in _KNOWN},
    )


def _split(key: str, cell: str) -> Split | None:
    try:
        return Split(cell.lower()) if cell else None
    except ValueError:
        known = ", ".join(Split)
        raise CohortError(
            f"Patient {key} has an unknown split", got=cell, remedy=f"Known: {known}"
        ) from None


def _m_stage(key: str, cell: str) -> str | None:
    stage = cell.upper()[:2] or None  # M1b counts as M1
    if stage not in (None, "M0", "M1"):
        raise CohortError(f"Patient {key} has an unknown M stage", got=cell)
    return stage


def _number(key: str, name: str, cell: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        raise CohortError(f"Patient {key}: {name} is no number", got=cell) from None


def _check_once_each(patients: tuple[CohortPatient, ...]) -> None:
    twice = [key for key, count in Counter(p.key for p in patients).items() if count > 1]
    if twice:
        raise CohortError(
            "A patient stands in the cohort's table more than once",
            got=", ".join(sorted(twice)),
            remedy="Give each patient one row and one split",
        )


def _check_files(patient: CohortPatient) -> None:
    if not patient.folder.is_dir():
        raise CohortError(f"Patient {patient.key} has no folder", got=patient.folder)
    if not patient.sequences:
        raise CohortError(
            f"Patient {patient.key} has no image",
            got=patient.folder,
            remedy="Put dwi.nii.gz or t1.nii.gz there",
        )


def _read_mask(
    patient: CohortPatient, sequence: Sequence, kind: str, image: Volume
) -> Volume | None:
    path = patient.mask_path(sequence, kind)
    if not path.is_file():
        return None
    mask = read_nifti(path).turned_to(image.geometry)
    if not mask.geometry.matches(image.geometry):
        raise GeometryError(
            "A mask does not lie on the grid of its image",
            got=f"{path.name} of patient {patient.key}: {mask.geometry.shape} voxels, "
            f"image {image.geometry.shape}",
            remedy="Draw or resample the mask on the image itself",
        )
    return mask
