"""Bones that another program drew, to read a study with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.io.cohort.evaluation_input import read_label_mask
from pelvimets.io.exchange.foreign import target_of
from pelvimets.labels import UNIONS, Bone, BoneUnion

_ENDINGS = (".nii.gz", ".nii")
_VALUES = {*(int(bone) for bone in Bone), *(union.value for union in UNIONS)}


def read_given_bones(place: Path) -> Volume:
    """Bones as one label map.

    Args:
        place: NIfTI file with the values of ``Bone``, of ``HIP_BONE`` and ``PROXIMAL_FEMUR``; or a
            folder with a mask per structure, named as TotalSegmentator does (``hip_left.nii.gz``,
            ``femur_right.nii.gz``, ``sacrum.nii.gz``, ``vertebrae_L5.nii.gz``) or as here.

    Returns:
        Label map; hip bones and femora may be undivided.

    Raises:
        InputError: if there is no bone, or a value that is none.
    """
    volume = _folder(place) if place.is_dir() else read_label_mask(place)
    strange = sorted(set(np.unique(volume.array).tolist()) - _VALUES - {0})
    if strange:
        raise InputError(
            "A mask of given bones holds values that are no bone",
            got=", ".join(map(str, strange[:10])),
            remedy="Give 1 to 8 as in labels.py, 21 for hip bones, 22 for femora; or a folder with "
            "one mask per structure, named after it",
        )
    if not volume.array.any():
        raise InputError("A mask of given bones is empty")
    return volume.with_array(volume.array.astype(np.uint8))


def _folder(folder: Path) -> Volume:
    files = {p: _bone_named(p) for p in sorted(folder.iterdir()) if p.name.endswith(_ENDINGS)}
    meant = {path: bone for path, bone in files.items() if bone is not None}
    if not meant:
        raise InputError(
            "No file of the folder of given bones is named after a bone",
            got=f"{len(files)} NIfTI files",
            remedy="Such as hip_left.nii.gz, femur_left.nii.gz, sacrum.nii.gz, vertebrae_L5.nii.gz",
        )
    return _joined(meant)


def _bone_named(path: Path) -> Bone | BoneUnion | None:
    target = target_of(path.name.removesuffix(".gz").removesuffix(".nii"))
    return target if isinstance(target, Bone | BoneUnion) else None


def _joined(meant: Mapping[Path, Bone | BoneUnion]) -> Volume:
    joined: Volume | None = None
    for path, bone in meant.items():
        mask = read_label_mask(path)
        joined = joined or mask.with_array(np.zeros(mask.array.shape, np.uint8))
        if mask.geometry != joined.geometry:
            mask = resample_labels(mask, joined.geometry)
        value = int(bone) if isinstance(bone, Bone) else bone.value
        joined.array[mask.array > 0] = value
    if joined is None:
        raise AssertionError("at least one file is meant")
    return joined
