"""A submission to the benchmark: masks and scores of one method, as nnU-Net users have them.

::

    SUBMISSION/method.json           optional: name, description, data, minutes, hardware, url
    SUBMISSION/dwi/CASE.nii.gz       lesions on DWI: a binary mask, or a number per lesion
    SUBMISSION/t1/CASE.nii.gz        lesions on T1
    SUBMISSION/dwi_bones/CASE.nii.gz, t1_bones/CASE.nii.gz      optional: eight structures
    SUBMISSION/scores.csv            optional: case, sequence, lesion, score

CASE is ``<part>_<patient>``, the name of the image in ``inputs/``. In ``scores.csv`` ``lesion`` is
a value of the mask; left empty, the line holds the patient's score. A folder that
``pelvimets predict`` wrote for a part, ``SUBMISSION/<part>/<patient>/dwi_lesions.nii.gz``, serves
as it stands.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pelvimets.errors import InputError
from pelvimets.io.cohort.folder import TABLE_NAME
from pelvimets.io.nifti.names import mask_name
from pelvimets.io.phantom.record import COHORT_RECORD
from pelvimets.io.record.findings import FINDINGS_NAME
from pelvimets.io.record.output import write_json
from pelvimets.labels import Sequence

METHOD_NAME = "method.json"
SCORES_NAME = "scores.csv"
_COLUMNS = {"case", "sequence", "lesion", "score"}
_SHOWN = 5


@dataclass(frozen=True)
class Method:
    """What a submission says of itself.

    Attributes:
        name: As printed on the leaderboard.
        description: What the method is.
        data: What it learned from.
        minutes: Of training, all networks together; None if unknown.
        hardware: On what.
        url: Where it can be had.
    """

    name: str
    description: str = ""
    data: str = ""
    minutes: float | None = None
    hardware: str = ""
    url: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def case_name(part: str, patient: str) -> str:
    """Name of a patient in a submission.

    >>> case_name("seeds", "p0001")
    'seeds_p0001'
    """
    return f"{part}_{patient}"


def read_method(submission: Path) -> Method:
    """What the submission says of itself; without ``method.json`` it has its folder's name.

    Raises:
        InputError: if the file is no JSON object or holds something else.
    """
    path = submission / METHOD_NAME
    if not submission.is_dir():
        raise InputError("There is no such submission folder", got=submission)
    if not path.is_file():
        return Method(submission.name)
    known = {field.name for field in fields(Method)}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(data) - known)
        if unknown:
            raise InputError(
                f"{METHOD_NAME} has unknown entries",
                got=", ".join(unknown),
                remedy=f"Known: {', '.join(sorted(known))}",
            )
        return Method(**data)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{METHOD_NAME} cannot be read", got=error) from error


def stage_submission(
    submission: Path, part: str, patients: Iterable[str], folder: Path
) -> tuple[Sequence, ...]:
    """Lay out a part of a submission as ``pelvimets predict`` writes it, below a folder.

    Args:
        submission: In either layout.
        part: Of the benchmark.
        patients: All of the part; each must be there on each sequence submitted.
        folder: Empty; ``<patient>/<sequence>_lesions.nii.gz`` is written.

    Returns:
        Sequences with lesion masks.

    Raises:
        InputError: if masks are missing, or the scores cannot be read.
    """
    names = list(patients)
    if (submission / part).is_dir():
        for name in names:
            _copy_predicted(submission / part / name, folder / name)
    else:
        scores = _read_scores(submission)
        for name in names:
            _copy_flat(submission, case_name(part, name), folder / name)
            own = scores.get(case_name(part, name))
            if own is not None:
                write_json(folder / name / FINDINGS_NAME, {"sequences": own})
    return _complete(folder, names, part)


def _copy_predicted(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in sorted(source.glob("*_*.nii.gz")):
        shutil.copyfile(path, target / path.name)
    if (source / FINDINGS_NAME).is_file():
        shutil.copyfile(source / FINDINGS_NAME, target / FINDINGS_NAME)


def _copy_flat(submission: Path, case: str, target: Path) -> None:
    target.mkdir(parents=True)
    for sequence in Sequence:
        for folder, kind in ((sequence.value, "lesions"), (f"{sequence.value}_bones", "bones")):
            path = submission / folder / f"{case}.nii.gz"
            if path.is_file():
                shutil.copyfile(path, target / mask_name(sequence, kind))


def _complete(folder: Path, patients: list[str], part: str) -> tuple[Sequence, ...]:
    """Sequences with lesions; refuses one that only some patients have."""
    found = []
    for sequence in Sequence:
        for kind in ("lesions", "bones"):
            name = mask_name(sequence, kind)
            missing = [p for p in patients if not (folder / p / name).is_file()]
            if missing and len(missing) < len(patients):
                more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
                raise InputError(
                    f"Part {part}: masks of {kind} on {sequence.title} are missing",
                    got=", ".join(missing[:_SHOWN]) + more,
                    remedy="Submit a mask of every patient; an empty one where nothing was found",
                )
            if not missing and kind == "lesions":
                found.append(sequence)
    if not found:
        raise InputError(
            f"The submission has no lesion masks of the part {part}",
            got=folder.name,
            remedy=f"Name them dwi/{part}_<patient>.nii.gz and t1/{part}_<patient>.nii.gz",
        )
    return tuple(found)


def _read_scores(submission: Path) -> dict[str, dict[str, Any]]:
    """Scores as they stand in ``findings.json``, by case."""
    path = submission / SCORES_NAME
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{SCORES_NAME} cannot be read", got=error) from error
    if not rows or not set(rows[0]) >= _COLUMNS:
        raise InputError(
            f"{SCORES_NAME} needs the columns {', '.join(sorted(_COLUMNS))}",
            got=", ".join(rows[0]) if rows else "no line",
        )
    scores: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=2):
        _add_score(scores, row, number)
    return scores


def _add_score(scores: dict[str, dict[str, Any]], row: Mapping[str, str], line: int) -> None:
    try:
        sequence, score = Sequence(row["sequence"].strip()), float(row["score"])
        lesion = int(row["lesion"]) if row["lesion"].strip() else None
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"Line {line} of {SCORES_NAME} cannot be read",
            got=error,
            remedy="case, dwi or t1, a value of the mask or nothing, a number",
        ) from error
    own = scores.setdefault(row["case"].strip(), {}).setdefault(sequence.value, {"lesions": []})
    if lesion is None:
        own["patient_score"] = score
    else:
        own["lesions"].append({"label": lesion, "score": score})


def stage_reference(cohort: Path, patients: Iterable[str], prediction: Path, folder: Path) -> None:
    """The truth that a staged submission is measured by: of the masks that it has, no others.

    Args:
        cohort: A part of the benchmark.
        patients: Its patients.
        prediction: Staged submission.
        folder: Empty; gets the table and the masks.
    """
    for name in (TABLE_NAME, COHORT_RECORD):
        shutil.copyfile(cohort / name, folder / name)
    for patient in patients:
        (folder / patient).mkdir()
        for sequence in Sequence:
            own = [mask_name(sequence, kind) for kind in ("lesions", "bones")]
            wanted = [name for name in own if (prediction / patient / name).is_file()]
            if own[0] in wanted:
                wanted.append(mask_name(sequence, "mimics"))
            for name in wanted:
                shutil.copyfile(cohort / patient / name, folder / patient / name)
