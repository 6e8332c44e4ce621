"""Whether a folder is one study or a folder of studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom

from pelvimets.io.dicom.archive import is_zip
from pelvimets.io.nifti.names import image_name
from pelvimets.labels import Sequence

_LOOK_AT_FILES = 50  # foreign files among a study's first ones that are passed over


def studies_in(folder: Path) -> tuple[Path, ...]:
    """The sub-folders and zips of a folder that each hold a study of their own.

    Told apart by the Study Instance UID of the first DICOM file in each part: parts of one
    study share it. A zip and a folder with ``dwi.nii.gz`` or ``t1.nii.gz`` count as a study, and
    beside studies so does a folder whose DICOM files are damaged: it is not left out in silence.

    Returns:
        Sorted paths; empty if the folder is one study or holds none.
    """
    parts = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    if any(_study_uid(p) for p in parts if p.is_file()):
        return ()
    found = {part: _key(part) for part in parts}
    keys = [key for key in found.values() if key is not None]
    if len(set(keys)) < 2 or len(set(keys)) < len(keys):
        return ()
    return tuple(part for part, key in found.items() if key is not None or _damaged(part))


def has_nifti_images(folder: Path) -> bool:
    """Whether a folder holds images under the names of the cohort layout."""
    return any((folder / image_name(sequence)).is_file() for sequence in Sequence)


def _key(part: Path) -> str | None:
    """What makes this part a study of its own; None if it holds none."""
    if part.is_file():
        return str(part) if is_zip(part) else None
    if has_nifti_images(part):
        return str(part)
    return next(filter(None, map(_study_uid, _first_files(part))), None)


def _damaged(part: Path) -> bool:
    return part.is_dir() and any(map(_is_marked_as_dicom, _first_files(part)))


def _is_marked_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _first_files(folder: Path) -> Iterator[Path]:
    seen = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path
            seen += 1
            if seen >= _LOOK_AT_FILES:
                return


def _study_uid(path: Path) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]
            )
            uid = header.get("StudyInstanceUID")
    except Exception:  # a damaged header can make the parser raise almost anything
        return None
    return str(uid) if uid else None
