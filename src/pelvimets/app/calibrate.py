"""Calibration of a bundle: run its networks on a validation cohort, weigh the evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pelvimets.config import LesionSettings, settings_to_dict
from pelvimets.core.judging import Evidence, gather_evidence
from pelvimets.core.lesions import faint_lesions, label_lesions
from pelvimets.core.segmentation import Segmented, segment_study
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.evaluation.lesions import find_overlaps
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.io.bundle import read_description, rewrite_bundle
from pelvimets.io.cohort import CohortPatient, Split, read_case, read_cohort
from pelvimets.io.nifti_study import read_nifti_study
from pelvimets.io.output import check_output, write_json
from pelvimets.io.phantom_record import phantom_command
from pelvimets.io.stamps import stamp
from pelvimets.labels import Sequence
from pelvimets.model.bundle import DESCRIPTION_NAME, bundle_folder, load_segmenter
from pelvimets.training.calibration import (
    THRESHOLDS,
    Candidate,
    CandidateCase,
    CasesByThreshold,
    fit_reading,
)
from pelvimets.training.card import model_card

_SMALLEST_IOU = EvaluationSettings().smallest_iou


class CalibrationObserver(Protocol):
    """Told of each patient that was read."""

    def read(self, patient: str, done: int, total: int) -> None:
        """``done`` of ``total`` patients lie behind."""
        ...


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate.

    Attributes:
        bundle: Folder of the bundle, or the name of a shipped one.
        cohort: Validation cohort; none of its patients may have been trained or tested on.
        out: Folder of the calibrated bundle.
        split: Patients of this split only; None takes all.
        overwrite: Replace an older bundle there.
    """

    bundle: Path
    cohort: Path
    out: Path
    split: str | None = None
    overwrite: bool = False


def calibrate(request: CalibrationRequest, observer: CalibrationObserver) -> dict[str, Any]:
    """Fit threshold, judges, smallest score and operating point; write a bundle with them.

    What was found on each patient is kept in ``<out>.work``, so that an interrupted run goes
    on where it was.

    Returns:
        The record that the model card shows.

    Raises:
        CohortError: if there are too few candidates, or a patient lacks masks.
        OutputError: if the bundle exists and is not to be replaced.
    """
    source = bundle_folder(request.bundle)
    check_output(request.out, overwrite=request.overwrite, result_marker=DESCRIPTION_NAME)
    segmenter = load_segmenter(source)
    patients = _patients(request)
    cases = _all_cases(patients, segmenter, request.out, observer)
    fitted = fit_reading(cases, segmenter.settings.lesions)
    settings = replace(segmenter.settings, lesions=fitted.settings)
    made = phantom_command(request.cohort)
    record = {**fitted.record, "cohort": request.cohort.name, "made_by": made}
    description = {
        **read_description(source),
        "settings": settings_to_dict(settings),
        "calibration": record,
    }
    card = model_card(description)
    rewrite_bundle(source, request.out, description, card, overwrite=request.overwrite)
    return record


def _patients(request: CalibrationRequest) -> tuple[CohortPatient, ...]:
    if request.split is not None and request.split not in list(Split):
        known = ", ".join(Split)
        raise CohortError("Unknown split", got=request.split, remedy=f"Known: {known}")
    cohort = read_cohort(request.cohort)
    if request.split is None:
        return cohort.patients
    patients = cohort.of_split(Split(request.split))
    if not patients:
        raise CohortError(f"The cohort has no patient in the split {request.split}")
    return patients


def _all_cases(
    patients: tuple[CohortPatient, ...],
    segmenter: Segmenter,
    out: Path,
    observer: CalibrationObserver,
) -> CasesByThreshold:
    work = out.with_name(f"{out.name}.work") / segmenter.weights_sha256[:16]
    gathered: dict[float, list[CandidateCase]] = {t: [] for t in THRESHOLDS}
    for number, patient in enumerate(patients):
        observer.read(patient.key, number, len(patients))
        path = work / f"{patient.key}-{_stamp(patient, segmenter)}.json"
        if not path.is_file():
            work.mkdir(parents=True, exist_ok=True)
            write_json(path, patient_cases(patient, segmenter))
        for row in json.loads(path.read_text(encoding="utf-8")):
            gathered[row["threshold"]].append(_case_from_dict(row))
    observer.read("", len(patients), len(patients))
    return {threshold: tuple(found) for threshold, found in gathered.items()}


def _stamp(patient: CohortPatient, segmenter: Segmenter) -> str:
    """What the cases of a patient were made from: his files and how they are read."""
    images = [patient.image_path(s) for s in Sequence]
    masks = [patient.mask_path(s, "lesions") for s in Sequence]
    files = stamp([*images, *masks, patient.adc_path])
    return hashlib.sha256(f"{files}{segmenter.settings}".encode()).hexdigest()[:12]


def patient_cases(patient: CohortPatient, segmenter: Segmenter) -> list[dict[str, Any]]:
    """Candidates of one patient on each sequence and at each threshold, as plain data."""
    truth = {s: _reference(patient, s) for s in patient.sequences}
    study = read_nifti_study(
        dwi=_path(patient, Sequence.DWI),
        t1=_path(patient, Sequence.T1),
        adc=patient.adc_path if patient.adc_path.is_file() else None,
    )
    found = segment_study(study.images, segmenter)
    adc = study.adc.volume if study.adc else None
    return [
        _case(patient.key, s, t, found, adc, truth[s], segmenter.settings.lesions)
        for s in study.sequences
        for t in THRESHOLDS
    ]


def _path(patient: CohortPatient, sequence: Sequence) -> Path | None:
    return patient.image_path(sequence) if sequence in patient.sequences else None


def _reference(patient: CohortPatient, sequence: Sequence) -> Volume:
    lesions = read_case(patient, sequence).lesions
    if lesions is None:
        raise CohortError(
            f"Patient {patient.key}, {sequence.title}: no mask of the lesions",
            remedy="Write an empty one where there is none",
        )
    return lesions


def _case(
    key: str,
    sequence: Sequence,
    threshold: float,
    segmented: Segmented,
    adc: Volume | None,
    truth: Volume,
    settings: LesionSettings,
) -> dict[str, Any]:
    settings = replace(settings, threshold=threshold)
    own, bones = segmented.probability[sequence], segmented.bones.by_sequence[sequence]
    labels = label_lesions(own, bones, settings)
    evidence = gather_evidence(sequence, labels, segmented.probability, adc, settings)
    right = right_labels(labels.array, truth.array)
    faint: dict[int, Evidence] = {}
    if not evidence:
        below = faint_lesions(own, bones, settings)
        faint = gather_evidence(sequence, below, segmented.probability, adc, settings)
    found, real = labels.array > 0, truth.array > 0
    return {
        "threshold": threshold,
        "patient": key,
        "sequence": sequence.value,
        "metastases": len(np.unique(truth.array[real])),
        "candidates": [{**asdict(e), "right": n in right} for n, e in evidence.items()],
        "faint": [asdict(e) for e in faint.values()],
        "voxels": [int((found & real).sum()), int(found.sum()), int(real.sum())],
    }


def right_labels(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> set[int]:
    """Labels that meet a reference lesion with enough overlap over union."""
    overlaps = find_overlaps(truth.astype(np.int32), found.astype(np.int32))
    return {overlap.prediction for overlap in overlaps if overlap.iou >= _SMALLEST_IOU}


def _case_from_dict(row: Mapping[str, Any]) -> CandidateCase:
    both, found, real = row["voxels"]
    return CandidateCase(
        patient=row["patient"],
        sequence=Sequence(row["sequence"]),
        metastases=row["metastases"],
        candidates=tuple(
            Candidate(Evidence(**{k: v for k, v in c.items() if k != "right"}), c["right"])
            for c in row["candidates"]
        ),
        faint=tuple(Evidence(**e) for e in row["faint"]),
        voxels=(both, found, real),
    )
