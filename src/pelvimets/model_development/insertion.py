"""Real images without metastases to a cohort in which some have been put: truth on real texture."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np

from pelvimets import __version__
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.errors import SettingsError
from pelvimets.io.cohort.folder import TABLE_NAME, CohortPatient, read_cohort, write_table
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.phantom.record import INSERTED_RECORD
from pelvimets.io.record.output import staged_folder, write_json
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model_development.backgrounds import read_background
from pelvimets.phantom.disease.insertion import InsertionSettings, insert_metastases

_ALWAYS = InsertionSettings(none_probability=0.0)


@dataclass(frozen=True)
class InsertionOrder:
    """A cohort to be made of real images.

    Attributes:
        cohort: Images in which no metastasis is known, with bone masks where there are some.
        out: New folder.
        copies: Of each patient with metastases put in; one more stays as it is.
        seed: With patient and copy it decides what is put in.
        bundle: Draws the bones where no mask is; None takes the shipped one.
        overwrite: Replace an earlier cohort made this way.
    """

    cohort: Path
    out: Path
    copies: int = 3
    seed: int = 0
    bundle: Path | None = None
    overwrite: bool = False


def insert_into_cohort(order: InsertionOrder, progress: Progress = silent) -> Path:
    """Make the cohort; the column ``person`` says whose image a patient is.

    Args:
        order: What to make.
        progress: Told of each patient of the source, how many are done, and of how many.

    Raises:
        SettingsError: if there is to be no copy, or a negative number.
        CohortError: if a metastasis is marked in an image, or no bone is found.
        OutputError: if the folder exists or cannot be written.
    """
    if order.copies < 1:
        raise SettingsError("At least one copy gets metastases", got=order.copies)
    patients = read_cohort(order.cohort).patients
    segmenter = load_segmenter(order.bundle)
    with staged_folder(order.out, overwrite=order.overwrite, result_marker=INSERTED_RECORD) as work:
        rows: list[dict[str, object]] = []
        for number, patient in enumerate(patients):
            progress(patient.key, number, len(patients))
            rows += _copies(patient, segmenter, order, work)
        progress("", len(patients), len(patients))
        write_table(work / TABLE_NAME, rows)
        write_json(work / INSERTED_RECORD, _record(order))
    return order.out


def _record(order: InsertionOrder) -> dict[str, object]:
    return {
        "made_by": f"pelvimets {__version__}",
        "notice": "Real images with simulated metastases put in. Research use only.",
        "images": order.cohort.absolute().name,
        "copies": order.copies,
        "seed": order.seed,
    }


def _copies(
    patient: CohortPatient, segmenter: Segmenter, order: InsertionOrder, work: Path
) -> list[dict[str, object]]:
    """The rows of one patient's copies, whose files are written."""
    known = {s: read_background(patient, s, segmenter) for s in patient.sequences}
    rows: list[dict[str, object]] = []
    for copy in range(order.copies + 1):
        key = f"{patient.key}-{copy}"
        (work / key).mkdir()
        sick = False
        for sequence, (image, bones) in known.items():
            name = f"{patient.key} {sequence}".encode()
            rng = np.random.default_rng([zlib.crc32(name), order.seed, copy]) if copy else None
            sick |= _write_copy(rng, sequence, image, bones, work / key)
        rows.append(
            {
                "patient": key,
                "split": "",
                "m_stage": "M1" if sick else "M0",
                "scanner": patient.scanner or "",
                "person": patient.details.get("person") or patient.key,
            }
        )
    return rows


def _write_copy(
    rng: np.random.Generator | None, sequence: Sequence, image: Volume, bones: Volume, folder: Path
) -> bool:
    """Write image and truth of one sequence; whether anything was put in. None puts nothing."""
    changed, lesions = np.asarray(image.array, np.float32), np.zeros(image.array.shape, np.uint16)
    if rng is not None:
        changed, where = insert_metastases(
            rng, image.array, bones.array, image.geometry.spacing, sequence, _ALWAYS
        )
        lesions = cc3d.connected_components(where, connectivity=26).astype(np.uint16)
    files = {
        "": image.with_array(changed),
        "_bones": bones,
        "_lesions": image.with_array(lesions),
    }
    for ending, volume in files.items():
        write_nifti(folder / f"{sequence.value}{ending}.nii.gz", volume)
    return bool(lesions.any())
