"""Masks and scores of one patient, from a reference and a prediction folder."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError, PelvimetsError
from pelvimets.evaluation.measured import FlowRow
from pelvimets.evaluation.measures.case import SequenceMasks, SequenceScores
from pelvimets.io.cohort.acquisition import ACQUISITION_NAME, Protocol, read_acquisition
from pelvimets.io.cohort.annotation import ANNOTATION_NAME, read_judged
from pelvimets.io.cohort.folder import TABLE_NAME, CohortPatient, read_patients
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.names import image_name, mask_name
from pelvimets.io.phantom.record import PATIENT_RECORD
from pelvimets.io.record.findings import FINDINGS_NAME, read_findings
from pelvimets.io.record.output import RECORD_NAME
from pelvimets.io.record.run_record import read_run_record
from pelvimets.labels import Sequence

FLOW_NAME = "flow.csv"
STRUCTURES_NAME = "structures.json"
"""What the program of a foreign prediction draws, by sequence."""
FLOW_STEPS = ("screened", "excluded", "included")
_KINDS = {
    "reference_bones": ("reference", "bones"),
    "prediction_bones": ("prediction", "bones"),
    "reference_lesions": ("reference", "lesions"),
    "prediction_lesions": ("prediction", "lesions"),
    "mimics": ("reference", "mimics"),
}


@dataclass(frozen=True)
class CaseFolders:
    """Where one patient's reference and prediction lie."""

    patient: str
    reference: Path
    prediction: Path

    def mask_path(self, side: str, sequence: Sequence, kind: str) -> Path:
        """A mask of either side, whether it exists or not."""
        folder = self.reference if side == "reference" else self.prediction
        return folder / mask_name(sequence, kind)

    def image_path(self, sequence: Sequence) -> Path:
        """The image, whether it exists or not."""
        return self.reference / image_name(sequence)


@dataclass(frozen=True, eq=False)
class CaseInput:
    """What was read of one patient.

    Attributes:
        masks, scores: Per sequence that the reference has masks of.
        problems: What is missing or unreadable, in words.
        protocols: How the images were made, as far as known.
    """

    masks: dict[Sequence, SequenceMasks]
    scores: dict[Sequence, SequenceScores]
    problems: tuple[str, ...]
    protocols: dict[Sequence, Protocol] = field(default_factory=dict)


def patients_of(folder: Path) -> tuple[tuple[CohortPatient, ...], bool]:
    """Patients of a cohort folder, and whether a table named them.

    Without ``patients.csv`` every sub-folder with a mask is a patient.

    Raises:
        CohortError: if the table contradicts itself, for example names a patient twice.
        InputError: if there is neither a table nor a patient.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("There is no such folder", got=folder)
    if (folder / TABLE_NAME).is_file():
        return read_patients(folder), True
    found = sorted(p for p in folder.iterdir() if p.is_dir() and any(p.glob("*_*.nii.gz")))
    if not found:
        raise InputError(
            "The folder holds no patients",
            got=folder,
            remedy="Give a folder with one sub-folder of masks per patient, such as "
            "<patient>/dwi_lesions.nii.gz",
        )
    return tuple(CohortPatient(path.name, path) for path in found), False


def splits_of_models(
    trained_on: Mapping[str, Path], chosen: Collection[CohortPatient]
) -> dict[str, dict[str, str]]:
    """Where each model had each patient: of the tables it was trained on, and of this one.

    Raises:
        CohortError: if a training cohort has no table.
    """
    splits: dict[str, dict[str, str]] = {}
    for model, folder in trained_on.items():
        table, named = patients_of(folder)
        if not named:
            raise CohortError("A training cohort needs its patients.csv", got=folder)
        splits[model] = {p.key: str(p.split) for p in table if p.split is not None}
    for model in ("bones", "lesions"):
        own = {p.key: p.details.get(f"split_{model}", "").lower() for p in chosen}
        if any(own.values()):
            splits.setdefault(model, {}).update({k: v for k, v in own.items() if v})
    return splits


def on_both_sides(
    chosen: Collection[CohortPatient], prediction: Path, present: Collection[str]
) -> list[CaseFolders]:
    """The patients of the reference that are predicted, too.

    Raises:
        InputError: if there is none.
    """
    both = [p for p in chosen if p.key in present and p.folder.is_dir()]
    if not both:
        raise InputError(
            "Prediction and reference have no patient in common",
            got=f"{len(present)} predicted, {len(chosen)} in the reference",
            remedy="Name the folders of both after the patients of the reference",
        )
    return [CaseFolders(p.key, p.folder, prediction / p.key) for p in both]


def read_flow(folder: Path) -> tuple[FlowRow, ...]:
    """The flow of a cohort's patients from the first look on; () if it has none.

    Raises:
        CohortError: if a row is not step, reason and number.
    """
    path = Path(folder) / FLOW_NAME
    if not path.is_file():
        return ()
    rows = []
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        step, count = (row.get("step") or "").strip(), (row.get("patients") or "").strip()
        if step not in FLOW_STEPS or not count.isdigit():
            raise CohortError(
                f"{FLOW_NAME} holds a row that is no step of the flow",
                got=row,
                remedy=f"Columns step ({', '.join(FLOW_STEPS)}), reason, patients",
            )
        rows.append(FlowRow(step, (row.get("reason") or "").strip(), int(count)))
    return tuple(rows)


def run_record_of(prediction: Path) -> dict[str, Any] | None:
    """The record that ``predict`` leaves with a prediction; None without a readable one."""
    try:
        data = read_run_record(prediction)
    except InputError:
        return None
    return data if isinstance(data, dict) else None


def read_case_input(folders: CaseFolders) -> CaseInput:
    """Read all masks and scores; what cannot be read is named, the rest is returned."""
    problems: list[str] = []
    masks = {}
    for sequence in Sequence:
        if any(folders.mask_path("reference", sequence, k).is_file() for k in ("bones", "lesions")):
            masks[sequence] = _read_masks(folders, sequence, problems)
    if not masks:
        problems.append(f"The reference has no masks in {folders.reference.name}/.")
    scores = _read_scores(folders, problems)
    protocols = read_acquisition(folders.reference, folders.prediction)
    return CaseInput(masks, scores, tuple(problems), protocols)


def _read_masks(folders: CaseFolders, sequence: Sequence, problems: list[str]) -> SequenceMasks:
    read: dict[str, Volume | None] = {}
    drawn = _drawn(folders.prediction, sequence)
    for name, (side, kind) in _KINDS.items():
        path = folders.mask_path(side, sequence, kind)
        wanted = folders.mask_path("reference", sequence, kind).is_file()
        if side == "prediction" and drawn is not None:
            wanted &= ("lesions" in drawn) if kind == "lesions" else bool(drawn - {"lesions"})
        read[name] = _read_mask(path, sequence, f"{side}'s {kind}", problems) if wanted else None
    return SequenceMasks(**read, drawn=drawn, judged=_judged(folders.reference, sequence, problems))


def _judged(reference: Path, sequence: Sequence, problems: list[str]) -> frozenset[str] | None:
    """Bones that a person drew in the reference; None for all."""
    try:
        judged = read_judged(reference, sequence)
    except CohortError as error:
        problems.append(f"{sequence.title}: {error}")
        return frozenset()
    return None if judged.whole else judged.structures


def _drawn(prediction: Path, sequence: Sequence) -> frozenset[str] | None:
    """Structures that the prediction's program draws at all; None where it does not say."""
    path = prediction / STRUCTURES_NAME
    if not path.is_file():
        return None
    keys = json.loads(path.read_text(encoding="utf-8")).get(sequence.value)
    return None if keys is None else frozenset(keys)


def _read_mask(path: Path, sequence: Sequence, words: str, problems: list[str]) -> Volume | None:
    if not path.is_file():
        problems.append(f"{sequence.title}: the {words} are missing ({path.name}).")
        return None
    try:
        return read_label_mask(path)
    except PelvimetsError as error:
        problems.append(f"{sequence.title}: the {words} cannot be read. {error}")
        return None


def read_label_mask(path: Path) -> Volume:
    """Read a label map.

    Raises:
        InputError: if it is missing, damaged, or holds values that are no labels.
    """
    volume = read_nifti(path)
    array = volume.array
    if not np.issubdtype(array.dtype, np.integer):
        rounded = np.rint(array)
        if not np.array_equal(rounded, array):
            raise InputError(
                "A mask holds values between labels",
                got=f"{float(array.min()):.3g} to {float(array.max()):.3g}",
                remedy="Give label values; a probability map must be thresholded first",
            )
        array = rounded.astype(np.int32)
    if array.size and array.min() < 0:
        raise InputError("A mask holds negative labels", got=int(array.min()))
    return volume.with_array(array)


def _read_scores(folders: CaseFolders, problems: list[str]) -> dict[Sequence, SequenceScores]:
    path = folders.prediction / FINDINGS_NAME
    if not path.is_file():
        return {}
    try:
        data = read_findings(path)
        given, withheld = data["sequences"], _is_withheld(data)
        return {
            sequence: replace(_scores(given[sequence.value], sequence, problems), withheld=withheld)
            for sequence in Sequence
            if sequence.value in given
        }
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, InputError) else f"{error!r}."
        problems.append(f"The scores in {path.name} cannot be read: {why}")
        return {}


def _is_withheld(data: Mapping[str, Any]) -> bool:
    """Whether the findings say that they make no statement on this patient."""
    stated = data.get("m1_suspicion")
    return stated is not None and stated["suspected"] is None


def _scores(data: Mapping[str, Any], sequence: Sequence, problems: list[str]) -> SequenceScores:
    patient = _number(data.get("patient_score"), f"{sequence.title}: the patient score", problems)
    lesions = {}
    for lesion in data.get("lesions") or ():
        words = f"{sequence.title}: the score of lesion {lesion['label']}"
        score = _number(lesion.get("score", lesion.get("mean_probability")), words, problems)
        if score is not None:
            lesions[int(lesion["label"])] = score
    suspected = data.get("m1_suspected")
    return SequenceScores(patient, suspected if isinstance(suspected, bool) else None, lesions)


def _number(value: Any, words: str, problems: list[str]) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not isfinite(number):
        problems.append(f"{words} is not a number; it is left out.")
        return None
    return number


def fingerprint(folders: CaseFolders, settings: Mapping[str, Any], version: str) -> str:
    """Hash of everything that a case's result depends on: files, settings, version."""
    digest = hashlib.sha256(json.dumps([settings, version], sort_keys=True).encode())
    for path in _inputs(folders):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _inputs(folders: CaseFolders) -> Iterable[Path]:
    paths = [folders.mask_path(side, s, kind) for s in Sequence for side, kind in _KINDS.values()]
    paths += [folders.image_path(sequence) for sequence in Sequence]
    paths += [folders.prediction / name for name in (FINDINGS_NAME, RECORD_NAME, STRUCTURES_NAME)]
    paths += [
        folders.reference / name for name in (ACQUISITION_NAME, ANNOTATION_NAME, PATIENT_RECORD)
    ]
    return [path for path in paths if path.is_file()]
