"""Predictions of other programs, turned into a cohort of predictions on the reference's grids.

nnU-Net writes one label map per case beside its ``dataset.json``; TotalSegmentator one folder per
case with a file per structure; others DICOM Segmentations. Which sequence a mask belongs to is
said by its name (``..._dwi``, ``..._t1``) or else by its grid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.annotation import LESION, structure_of
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, PelvimetsError
from pelvimets.io.cohort.evaluation_input import STRUCTURES_NAME, patients_of, read_label_mask
from pelvimets.io.dicom.foreign_seg import is_segmentation, read_segments
from pelvimets.io.exchange.forms import PredictionForm
from pelvimets.io.nifti.files import nifti_geometry, write_nifti
from pelvimets.io.nifti.names import mask_name
from pelvimets.io.record.output import write_json
from pelvimets.labels import HIP_BONE, PROXIMAL_FEMUR, Bone, BoneUnion, Sequence

Target = Bone | BoneUnion | str
"""What a foreign structure is here: a bone, a union of bones, or ``lesion``."""

_UNION_NAMES = {"hip": HIP_BONE, "hip bone": HIP_BONE, "femur": PROXIMAL_FEMUR}
_SIDED = re.compile(r"[-_ ]+(left|right|l|r)$", re.IGNORECASE)
_SUFFIX = re.compile(r"[-_](dwi|t1)$", re.IGNORECASE)
_TOTALSEGMENTATOR = ("hip_left.nii.gz", "hip_right.nii.gz", "sacrum.nii.gz")


def form_of(folder: Path) -> PredictionForm:
    """The form of a folder of predictions, from what lies in it.

    Raises:
        InputError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("There is no such folder", got=folder)
    if any(folder.glob("*.nii.gz")) and (folder / "dataset.json").is_file():
        return PredictionForm.NNUNET
    inner = [path for path in folder.iterdir() if path.is_dir()]
    for name in _TOTALSEGMENTATOR:
        if any((path / name).is_file() or any(path.glob(f"*/{name}")) for path in inner):
            return PredictionForm.TOTALSEGMENTATOR
    if any(any(path.glob("*_*.nii.gz")) for path in inner):
        return PredictionForm.COHORT
    if any(is_segmentation(path) for path in sorted(folder.rglob("*.dcm"))[:20]):
        return PredictionForm.DICOM_SEG
    return PredictionForm.COHORT


def target_of(name: str) -> Target | None:
    """What a structure's name means here; None for what has no place.

    >>> target_of("vertebrae_L4") is Bone.LUMBAR_VERTEBRA, target_of("hip_left").key
    (True, 'hip_bone')
    """
    known = structure_of(name)
    if known is not None:
        return known
    return _UNION_NAMES.get(_SIDED.sub("", name.lower()).replace("_", " "))


@dataclass(frozen=True, eq=False)
class _Part:
    """Voxels of one structure, on any grid; ``number`` tells lesions apart."""

    target: Target
    mask: npt.NDArray[np.bool_]
    geometry: Geometry
    number: int = 1


@dataclass(frozen=True, eq=False)
class _ForeignCase:
    """One case: where it lies and what its name says of the sequence."""

    patient: str
    sequence: Sequence | None
    parts: Iterable[_Part]
    drawn: tuple[Target, ...] = ()


def convert_predictions(
    folder: Path, form: PredictionForm, reference: Path, target: Path
) -> tuple[str, ...]:
    """Write foreign predictions as a cohort of predictions.

    Args:
        folder: Of the other program.
        form: What lies in it.
        reference: Cohort whose patients and grids count.
        target: New folder, ``target/<patient>/{dwi,t1}_{bones,lesions}.nii.gz``.

    Returns:
        What was left out and why, in words.

    Raises:
        InputError: if nothing in the folder belongs to a patient of the reference.
    """
    readers = {
        PredictionForm.NNUNET: _nnunet_cases,
        PredictionForm.TOTALSEGMENTATOR: _totalsegmentator_cases,
        PredictionForm.DICOM_SEG: _seg_cases,
    }
    known = {patient.key: patient.folder for patient in patients_of(reference)[0]}
    notes: list[str] = []
    written = 0
    for case in readers[form](Path(folder), sorted(known), notes):
        try:
            written += _write(case, known[case.patient], target, notes)
        except PelvimetsError as error:
            notes.append(f"{case.patient}: {error}")
    if not written:
        raise InputError(
            "Nothing in the folder of predictions belongs to a patient of the reference",
            got=f"{form}: {'; '.join(notes[:3]) or 'no case of a known name'}",
            remedy="Name cases after the patients, with _dwi or _t1 where both have masks",
        )
    return tuple(dict.fromkeys(notes))


@contextmanager
def own_form(
    folder: Path, form: PredictionForm | None, reference: Path, out: Path
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder of predictions in our own form, and what was left out of a foreign one.

    A foreign folder is converted beside the output, and that copy removed in the end.

    Args:
        folder: Predictions.
        form: What lies there; None finds out.
        reference: Cohort whose patients and grids count.
        out: The output to be.
    """
    form = form or form_of(folder)
    if form is PredictionForm.COHORT:
        yield folder, ()
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.foreign.", dir=out.parent) as made:
        yield Path(made), convert_predictions(folder, form, reference, Path(made))


def _named(name: str, patients: Iterable[str]) -> tuple[str, Sequence | None] | None:
    """Patient and sequence that a case's name means; None for a stranger."""
    patients = set(patients)
    if name in patients:
        return name, None
    match = _SUFFIX.search(name)
    if match is not None and name[: match.start()] in patients:
        return name[: match.start()], Sequence(match[1].lower())
    return None


def _nnunet_cases(folder: Path, patients: list[str], notes: list[str]) -> Iterator[_ForeignCase]:
    labels = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
    meant = _values(labels, notes)
    for path in sorted(folder.glob("*.nii.gz")):
        found = _named(path.name.removesuffix(".nii.gz"), patients)
        if found is None:
            notes.append(f"{path.name}: no patient of the reference has this name; left out.")
            continue
        drawn = tuple(dict.fromkeys(target for _, target in meant))
        yield _ForeignCase(*found, _label_parts(path, meant), drawn)


def _values(labels: Mapping[str, Any], notes: list[str]) -> list[tuple[int, Target]]:
    """Values of a label map with their meaning; a value may lie in a bone and in a lesion."""
    meant: list[tuple[int, Target]] = []
    for name, values in labels.items():
        target = target_of(name)
        if target is None:
            if name != "background":
                notes.append(f"Label '{name}' has no counterpart here; left out.")
            continue
        for value in values if isinstance(values, list) else [values]:
            if value:
                meant.append((int(value), target))
    return meant


def _label_parts(path: Path, meant: Iterable[tuple[int, Target]]) -> Iterator[_Part]:
    volume = read_label_mask(path)
    for value, target in meant:
        yield _Part(target, volume.array == value, volume.geometry)


def _totalsegmentator_cases(
    folder: Path, patients: list[str], notes: list[str]
) -> Iterator[_ForeignCase]:
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        inner = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name in list(Sequence)]
        for case in inner or [path]:
            name = f"{path.name}_{case.name}" if inner else path.name
            found = _named(name, patients)
            if found is None:
                notes.append(f"{path.name}/: no patient of the reference has this name; left out.")
                continue
            files = {f: target_of(f.name.removesuffix(".nii.gz")) for f in case.glob("*.nii.gz")}
            meant = {f: target for f, target in sorted(files.items()) if target is not None}
            drawn = tuple(dict.fromkeys(meant.values()))
            yield _ForeignCase(*found, _file_parts(meant), drawn)


def _file_parts(meant: Mapping[Path, Target]) -> Iterator[_Part]:
    for path, target in meant.items():
        volume = read_label_mask(path)
        yield _Part(target, volume.array > 0, volume.geometry)


def _seg_cases(folder: Path, patients: list[str], notes: list[str]) -> Iterator[_ForeignCase]:
    for path in sorted(folder.rglob("*.dcm")):
        words = [*path.relative_to(folder).parts[:-1], path.stem]
        names = ["_".join(words[:n]) for n in range(1, len(words) + 1)]
        found = [known for name in names if (known := _named(name, patients)) is not None]
        if not found or not is_segmentation(path):
            continue
        patient, sequence = next((own for own in found if own[1] is not None), found[0])
        if sequence is None:
            sequence = next((s for s in Sequence if s.value in words), None)
        yield _ForeignCase(patient, sequence, _seg_parts(path, patient, notes))


def _seg_parts(path: Path, patient: str, notes: list[str]) -> Iterator[_Part]:
    lesions = 0
    for segment in read_segments(path):
        target = segment.structure or target_of(segment.label)
        if target is None:
            words = ", ".join((segment.label, *segment.meanings))
            notes.append(f"{patient}: segment '{words}' has no counterpart here; left out.")
            continue
        lesions += target == LESION
        yield _Part(target, segment.mask.array > 0, segment.mask.geometry, max(lesions, 1))


def _write(case: _ForeignCase, reference: Path, target: Path, notes: list[str]) -> int:
    """Masks of one case on the reference's grids; how many structures found a place."""
    grids, folder = _grids(reference), target / case.patient
    maps: dict[tuple[Sequence, str], npt.NDArray[np.uint16]] = {}
    before: dict[tuple[Sequence, str], int] = {}
    drawn: dict[Sequence, set[str]] = {}
    for part in case.parts:
        placed = _place(part, grids, case.sequence)
        if placed is None:
            which = case.sequence.title if case.sequence else "one sequence alone"
            notes.append(f"{case.patient}: a mask does not lie on the grid of {which}; left out.")
            continue
        sequence, where = placed
        kind = "lesions" if part.target == LESION else "bones"
        if (sequence, kind) not in maps:
            maps[sequence, kind] = _begun(folder, sequence, kind, grids[sequence])
            before[sequence, kind] = int(maps[sequence, kind].max())
        lesion = before[sequence, kind] + part.number
        value = lesion if isinstance(part.target, str) else _value(part.target)
        maps[sequence, kind][tuple(where.T)] = value
        drawn.setdefault(sequence, set()).add(_key(part.target))
    for (sequence, kind), array in maps.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_nifti(folder / mask_name(sequence, kind), Volume(array, grids[sequence]))
    if drawn:
        _keep_structures(folder, drawn, case.drawn)
    return sum(len(keys) for keys in drawn.values())


def _begun(folder: Path, sequence: Sequence, kind: str, grid: Geometry) -> npt.NDArray[np.uint16]:
    """The mask that an earlier object of the same patient began, or an empty one."""
    path = folder / mask_name(sequence, kind)
    if path.is_file():
        return read_label_mask(path).array.astype(np.uint16)
    return np.zeros(grid.shape, np.uint16)


def _value(target: Bone | BoneUnion) -> int:
    return int(target) if isinstance(target, Bone) else target.value


def _key(target: Target) -> str:
    return "lesions" if isinstance(target, str) else target.key


def _keep_structures(
    folder: Path, drawn: Mapping[Sequence, set[str]], more: tuple[Target, ...]
) -> None:
    """Say what the program draws, so that the rest does not count as an empty prediction."""
    path = folder / STRUCTURES_NAME
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for sequence, keys in drawn.items():
        named = {*kept.get(sequence.value, ()), *keys, *(_key(target) for target in more)}
        kept[sequence.value] = sorted(named)
    write_json(path, kept)


def _grids(reference: Path) -> dict[Sequence, Geometry]:
    """Grid of each sequence of a reference patient, from whatever file there is."""
    grids = {}
    for sequence in Sequence:
        names = (f"{sequence}_bones", f"{sequence}_lesions", sequence.value)
        path = next((p for n in names if (p := reference / f"{n}.nii.gz").is_file()), None)
        if path is not None:
            grids[sequence] = nifti_geometry(path)
    return grids


def _place(
    part: _Part, grids: Mapping[Sequence, Geometry], named: Sequence | None
) -> tuple[Sequence, npt.NDArray[np.int64]] | None:
    """The sequence on whose voxels a mask lies, and which these are; None if not on one alone."""
    fitting = {
        sequence: where
        for sequence, grid in grids.items()
        if named in (None, sequence) and (where := _voxels_on(part, grid)) is not None
    }
    return next(iter(fitting.items())) if len(fitting) == 1 else None


def _voxels_on(
    part: _Part, grid: Geometry, tolerance: float = 0.02
) -> npt.NDArray[np.int64] | None:
    """Voxels of a grid that a mask fills; None if its voxels are not those of the grid."""
    if not np.allclose(sorted(part.geometry.spacing), sorted(grid.spacing), rtol=1e-3):
        return None
    ends = np.array(list(product(*((0, n - 1) for n in part.geometry.shape))))
    corners = grid.to_index(part.geometry.to_lps(ends))
    if np.abs(corners - np.rint(corners)).max() > tolerance:
        return None
    index = np.argwhere(part.mask)
    if not index.size:
        return np.zeros((0, 3), np.int64)
    place = np.rint(grid.to_index(part.geometry.to_lps(index))).astype(np.int64)
    inside = ((place >= 0) & (place < np.array(grid.shape))).all(axis=1)
    return None if not inside.all() else place
