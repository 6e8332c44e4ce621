"""A run's output folder under review: what a reader sees, and ``review.json`` with new masks.

::

    OUT/findings.json, {dwi,t1}_bones.nii.gz, {dwi,t1}_lesions.nii.gz    of the run
    OUT/images/{dwi,t1,adc}.nii.gz                                       what was acquired
    OUT/review.json                                                      verdicts, notes, signature
    OUT/review/{dwi,t1}_lesions.nii.gz                                   corrected
    OUT/review/drawn/{dwi,t1}_lesions.nii.gz                             with the rejected lesions
    OUT/review/findings_of_model.json                                    findings before the review
    OUT/review/drawn/{dwi,t1}_bones.nii.gz                               where bones were changed
    OUT/review/{dwi,t1,adc}.nii.gz, {dwi,t1}_bones.nii.gz                once it is signed
    OUT/readers/NAME/review.json, OUT/readers/NAME/review/...            of one of several readers

Once signed, ``OUT/review`` is a patient's folder of a cohort.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelvimets.core.geometry import Geometry
from pelvimets.core.review import Review
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, InputError, OutputError, reason, shown
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.nifti.names import image_name, mask_name
from pelvimets.io.record.findings import FINDINGS_NAME, json_object, read_findings
from pelvimets.io.record.locks import held
from pelvimets.io.record.output import tidy, write_bytes
from pelvimets.io.record.review_data import review_from_dict, review_to_dict
from pelvimets.labels import Sequence

REVIEW_NAME = "review.json"
READERS = "readers"
_ADC = "adc"
_LOCK_NAME = ".review.lock"
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class ReviewFolder:
    """Where the parts of a run and of its review lie in ``OUT``.

    ``reader`` is the key of one of several readers, each with a review of his own.
    """

    out: Path
    reader: str | None = None

    @property
    def base(self) -> Path:
        """Where ``review.json`` and the folder ``review`` lie."""
        return self.out if self.reader is None else self.out / READERS / self.reader

    @property
    def findings(self) -> Path:
        """The run's findings; corrected ones after a review."""
        return self.out / FINDINGS_NAME

    @property
    def model_findings(self) -> Path:
        """The findings as the model left them."""
        return self.out / "review" / "findings_of_model.json"

    @property
    def review(self) -> Path:
        """The review."""
        return self.base / REVIEW_NAME

    @property
    def case(self) -> Path:
        """The patient's folder of a cohort that a signed review becomes."""
        return self.base / "review"

    @property
    def report(self) -> Path:
        """The run's report."""
        return self.out / "report.html"

    def image(self, key: str) -> Path:
        """Acquired image; ``key`` is ``dwi``, ``t1`` or ``adc``."""
        return self.out / "images" / image_name(key)

    def bones(self, sequence: Sequence) -> Path:
        """Bone label map."""
        return self.out / mask_name(sequence, "bones")

    def lesions(self, sequence: Sequence) -> Path:
        """Lesion label map of the model."""
        return self.out / mask_name(sequence, "lesions")

    def drawn(self, sequence: Sequence) -> Path:
        """Lesion label map as drawn, rejected lesions included."""
        return self.case / "drawn" / mask_name(sequence, "lesions")

    def drawn_bones(self, sequence: Sequence) -> Path:
        """Bone label map as the reader left it, where he changed it."""
        return self.case / "drawn" / mask_name(sequence, "bones")

    def corrected(self, sequence: Sequence) -> Path:
        """Lesion label map without the rejected lesions."""
        return self.case / mask_name(sequence, "lesions")


@dataclass(frozen=True, eq=False)
class RunOutput:
    """A run's output as a reader needs it.

    Attributes:
        findings: Plain data of the model's findings, not yet checked against their schema.
        findings_sha256: Hash of the file they came from.
        bones, lesions: Label maps per sequence, as the model left them.
        adc: ADC map or None.
        images: Keys of the images there: ``dwi``, ``t1``, ``adc``.
        run: Plain data of the run record; empty if there is none.
    """

    findings: dict[str, Any]
    findings_sha256: str
    bones: dict[Sequence, Volume]
    lesions: dict[Sequence, Volume]
    adc: Volume | None
    images: tuple[str, ...]
    run: dict[str, Any]


def read_run_output(folder: ReviewFolder) -> RunOutput:
    """Read a run's findings and masks; the model's own, even after a review.

    Raises:
        InputError: if it is not the output of a run, or a part is missing or damaged.
        GeometryError: if the masks of a sequence lie on different grids.
    """
    tidy(folder.out.absolute().parent)
    source = folder.model_findings if folder.model_findings.is_file() else folder.findings
    if not source.is_file():
        raise InputError(
            "This is not the output folder of a run: findings.json is missing",
            got=folder.out,
            remedy="Give the folder that 'pelvimets predict STUDY -o OUT' has written",
        )
    text = source.read_bytes()
    sequences = [s for s in Sequence if folder.lesions(s).is_file()]
    images = tuple(k for k in (*Sequence, _ADC) if folder.image(k).is_file())
    _check_images(folder, sequences)
    grids = {s: read_nifti(folder.image(s)).geometry for s in sequences}
    run = folder.out / "run.json"
    return RunOutput(
        findings=json_object(text, source),
        findings_sha256=hashlib.sha256(text).hexdigest(),
        bones={s: _on_grid(folder.bones(s), grids[s]) for s in sequences},
        lesions={s: _on_grid(folder.lesions(s), grids[s]) for s in sequences},
        adc=read_nifti(folder.image(_ADC)) if _ADC in images else None,
        images=tuple(str(k) for k in images),
        run=json_object(run.read_bytes(), run) if run.is_file() else {},
    )


def _check_images(folder: ReviewFolder, sequences: list[Sequence]) -> None:
    missing = [str(folder.image(s)) for s in sequences if not folder.image(s).is_file()]
    if missing or not sequences:
        raise InputError(
            "The run's output holds no image to show",
            got=", ".join(missing) or f"no lesion mask in {folder.out}",
            remedy="Run 'pelvimets predict' again with this version",
        )


def _on_grid(path: Path, grid: Geometry) -> Volume:
    volume = read_nifti(path)
    if not volume.geometry.matches(grid):
        raise GeometryError(
            "A mask does not lie on the grid of its image",
            got=path.name,
            remedy="Run 'pelvimets predict' again; do not mix the files of two runs",
        )
    return volume


def review_version(folder: ReviewFolder) -> str:
    """Changes with every change of the review, and with the findings that it is about."""
    source = folder.model_findings if folder.model_findings.is_file() else folder.findings
    digest = hashlib.sha256()
    for path in (source, folder.review):
        content = read_whole(path) if path.is_file() else b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


@contextmanager
def one_writer(folder: ReviewFolder) -> Iterator[None]:
    """Alone among all viewers of one result.

    Raises:
        OutputError: if another one writes for too long, or the folder cannot be written to.
    """
    with held(folder.out / _LOCK_NAME, _LONGEST_WAIT_S):
        yield


def read_review(folder: ReviewFolder) -> Review | None:
    """The review that was begun, or None.

    Raises:
        InputError: if the file is damaged or does not follow its schema.
    """
    if not folder.review.is_file():
        return None
    return review_from_dict(json_object(folder.review.read_bytes(), folder.review))


def readers(folder: ReviewFolder) -> tuple[str, ...]:
    """Keys of the readers who have begun a review of their own."""
    found = (folder.out / READERS).glob(f"*/{REVIEW_NAME}")
    return tuple(sorted(path.parent.name for path in found))


def read_drawn(folder: ReviewFolder, original: Mapping[Sequence, Volume]) -> dict[Sequence, Volume]:
    """The drawn label maps; the model's own where nothing was drawn.

    Raises:
        GeometryError: if a drawn map lies on another grid.
    """
    drawn = dict(original)
    for sequence in original:
        path = folder.drawn(sequence)
        if not path.is_file():
            continue
        drawn[sequence] = read_nifti(path)
        if not drawn[sequence].geometry.matches(original[sequence].geometry):
            raise GeometryError("A drawn mask lies on another grid than its image", got=path)
    return drawn


def keep_model_findings(folder: ReviewFolder) -> None:
    """Keep a copy of the model's findings before the first review changes them."""
    folder.case.mkdir(parents=True, exist_ok=True)
    if folder.model_findings.is_file():
        return
    folder.model_findings.parent.mkdir(exist_ok=True)
    write_bytes(folder.model_findings, folder.findings.read_bytes())


def write_review(folder: ReviewFolder, review: Review) -> None:
    """Write ``review.json``; it appears whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    text = json.dumps(review_to_dict(review), indent=2, ensure_ascii=False) + "\n"
    write_bytes(folder.review, text.encode())


def write_masks(
    folder: ReviewFolder,
    drawn: Mapping[Sequence, Volume],
    corrected: Mapping[Sequence, Volume],
) -> None:
    """Write the drawn and the corrected label maps, each whole or not at all.

    Raises:
        OutputError: if one cannot be written.
    """
    for sequence in drawn:
        folder.drawn(sequence).parent.mkdir(parents=True, exist_ok=True)
        write_nifti(folder.drawn(sequence), drawn[sequence])
        write_nifti(folder.corrected(sequence), corrected[sequence])


def read_bones(folder: ReviewFolder, original: Mapping[Sequence, Volume]) -> dict[Sequence, Volume]:
    """The bone label maps as the reader left them; the model's own where nothing was drawn.

    Raises:
        GeometryError: if a drawn map lies on another grid.
    """
    paths = {s: folder.drawn_bones(s) for s in original}
    return {
        s: _on_grid(paths[s], bones.geometry) if paths[s].is_file() else bones
        for s, bones in original.items()
    }


def write_bones(folder: ReviewFolder, sequence: Sequence, bones: Volume | None) -> None:
    """Write a changed bone label map, whole or not at all; None removes it.

    Raises:
        OutputError: if it cannot be written.
    """
    path = folder.drawn_bones(sequence)
    if bones is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, bones)


def complete_as_case(folder: ReviewFolder, target: Path | None = None) -> Path:
    """Make a patient's folder of a cohort out of a reviewed run.

    Images and bones are linked where the file system can, else copied.

    Args:
        folder: The run's output with corrected masks.
        target: The patient's folder; that of the review if None.

    Returns:
        The patient's folder.

    Raises:
        OutputError: if it cannot be written.
    """
    target = folder.case if target is None else target
    parts = {image_name(key): folder.image(key) for key in (*Sequence, _ADC)}
    for sequence in Sequence:
        drawn = folder.drawn_bones(sequence)
        parts[mask_name(sequence, "bones")] = drawn if drawn.is_file() else folder.bones(sequence)
        parts[mask_name(sequence, "lesions")] = folder.corrected(sequence)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, source in parts.items():
            if source.is_file() and source != target / name:
                _linked(source, target / name)
    except OSError as error:
        raise OutputError("The case cannot be written", got=f"{target}: {error}") from error
    return target


def _linked(source: Path, target: Path) -> None:
    aside = target.with_name(f".{target.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:
        shutil.copyfile(source, aside)
    aside.replace(target)


def read_whole(path: Path) -> bytes:
    """Content of a small file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            "The file cannot be read", got=f"{shown(path)}: {reason(error)}"
        ) from error


def write_findings(folder: ReviewFolder, data: Mapping[str, Any]) -> None:
    """Write corrected findings over those in ``OUT``; they appear whole or not at all.

    Raises:
        OutputError: if they cannot be written.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(folder.findings, text.encode())


def reviewed_at(folder: ReviewFolder) -> str | None:
    """Time of the review that findings.json shows; None if it shows none."""
    review = read_findings(folder.findings).get("review")
    return review.get("changed") if isinstance(review, dict) else None
