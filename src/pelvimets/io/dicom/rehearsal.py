"""Whether DICOM results can be made of a study, found out before the networks run.

A rehearsal: the objects of a small made-up finding are written beside the result, proven as real
ones are, and thrown away. Whatever the headers lack, contradict or spell wrongly shows here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, LesionMasks
from pelvimets.core.measure import Origin, measure
from pelvimets.core.pipeline import StudyResult
from pelvimets.core.study import Study
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, PelvimetsError
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.dicom.results import write_dicom_results
from pelvimets.io.dicom.source import HeadersBySeries
from pelvimets.labels import Bone, Sequence

_PDF = b"%PDF-1.4\n%%EOF\n"
_IDENTIFYING = (
    *("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "OtherPatientNames"),
    *("AccessionNumber", "ReferringPhysicianName", "InstitutionName"),
)
_SHORTEST = 2  # letters of a value that is taken out of a message


def rehearse_dicom_results(
    beside: Path,
    study: Study,
    headers: HeadersBySeries,
    form: DicomForm,
    moment: datetime,
) -> None:
    """Make the DICOM results of a small made-up finding, and throw them away.

    Args:
        beside: Folder to write into meanwhile.
        study: The study that was read from DICOM.
        headers: Headers (no pixels) of its images, by Series Instance UID.
        form: What would be written.
        moment: Date and time of creation.

    Raises:
        InputError: if the study's headers do not allow DICOM results.
    """
    bones, lesions = _made_up(study)
    findings = measure(
        bones,
        lesions,
        None,
        LesionSettings(drop_below_cm3=0.0),
        Origin(patient_key=study.patient_key, bundle="rehearsal", uid_seed="rehearsal"),
    )
    try:
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=beside) as folder:
            write_dicom_results(
                Path(folder),
                StudyResult(study, bones, lesions, findings),
                headers,
                _PDF,
                DicomForm(labelmap=form.labelmap),
                clock=lambda: moment,
            )
    except Exception as error:
        raise InputError(
            "DICOM results cannot be made of this study",
            got=what_failed(error, (h for series in headers.values() for h in series)),
            remedy="Leave out --dicom, or mend the headers of the study",
        ) from error


def _made_up(study: Study) -> tuple[BoneMasks, LesionMasks]:
    """A bone of two slices in the middle of each image, with a lesion of one."""
    bones: dict[Sequence, Volume] = {}
    lesions: dict[Sequence, Volume] = {}
    probability: dict[Sequence, Volume] = {}
    for sequence, image in study.images.items():
        z, y, x = (n // 2 for n in image.geometry.shape)
        bone = np.zeros(image.geometry.shape, dtype=np.uint8)
        bone[max(z - 1, 0) : z + 1, y : y + 2, x : x + 2] = Bone.SACROCOCCYX
        lesion = np.zeros(image.geometry.shape, dtype=np.uint16)
        lesion[z, y, x] = 1
        bones[sequence] = image.with_array(bone)
        lesions[sequence] = image.with_array(lesion)
        probability[sequence] = image.with_array(lesion.astype(np.float32))
    return BoneMasks(bones), LesionMasks.of(lesions, probability)


def what_failed(error: Exception, headers: Iterable[Dataset]) -> str:
    """An error in words, without what headers tell of the patient."""
    text = " ".join(str(error).split()) or "no reason given"
    text = text if isinstance(error, PelvimetsError) else f"{type(error).__name__}: {text}"
    for header in headers:
        for value in _identifying_values(header):
            text = text.replace(value, "...")
    return text[:500]


def _identifying_values(header: Dataset) -> list[str]:
    found = [str(header.get(keyword) or "") for keyword in _IDENTIFYING]
    parts = [part for value in found for part in value.replace("=", "^").split("^")]
    values = {value for value in (*found, *parts) if len(value) > _SHORTEST}
    return sorted(values, key=len, reverse=True)
