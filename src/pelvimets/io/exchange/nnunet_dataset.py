"""nnU-Net raw data sets (version 2) on disk.

::

    DatasetNNN_Name/dataset.json                        channel_names, labels, file_ending, ...
    DatasetNNN_Name/imagesTr/CASE_0000.nii.gz           one file per channel
    DatasetNNN_Name/labelsTr/CASE.nii.gz
    DatasetNNN_Name/imagesTs, labelsTs                  held-out cases; may be absent
    DatasetNNN_Name/splits_final.json                   may be absent, or lie with the plans

The format is described in nnU-Net's documentation (documentation/dataset_format.md of the
repository MIC-DKFZ/nnUNet). One data set has one task and one grid per case, so a cohort
with two sequences and two kinds of mask is made of several data sets, joined by case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pelvimets.errors import CohortError, listed, reason, shown
from pelvimets.io.nifti.files import SUFFIXES
from pelvimets.labels import Split

DATASET_NAME = "dataset.json"
SPLITS_NAME = "splits_final.json"
OWN_KEY = "pelvimets"
_FOLD_KEYS = ("train", "val")
_PARTS = (("imagesTr", "labelsTr", None), ("imagesTs", "labelsTs", Split.TEST))


@dataclass(frozen=True)
class NnunetCase:
    """Files of one case, and the split that the data set gives it."""

    name: str
    images: Mapping[int, Path]
    label: Path | None
    split: Split | None


@dataclass(frozen=True)
class NnunetDataset:
    """A raw data set as found on disk, nothing of it interpreted."""

    folder: Path
    channels: Mapping[int, str]
    labels: Mapping[str, int | tuple[int, ...]]
    cases: tuple[NnunetCase, ...]
    own: Mapping[str, Any]


def read_nnunet(folder: Path, splits: Path | None = None, fold: int = 0) -> NnunetDataset:
    """Read the description of a data set and find its files; no image is read.

    Raises:
        CohortError: if a part is missing or contradicts another.
    """
    folder = Path(folder)
    description = _description(folder)
    channels = _channels(description["channel_names"])
    ending = str(description["file_ending"])
    cases = [
        case
        for images, labels, split in _PARTS
        for case in _cases_of_part(folder, images, labels, split, ending, sorted(channels))
    ]
    training = [case for case in cases if case.split is None]
    if len(training) != description["numTraining"]:
        raise CohortError(
            "The data set does not hold as many training cases as it says",
            got=f"{len(training)} in imagesTr, numTraining {description['numTraining']}",
            remedy=f"Correct numTraining in {DATASET_NAME}, or copy the data set again",
        )
    own_splits = folder / SPLITS_NAME
    path = splits or (own_splits if own_splits.is_file() else None)
    return NnunetDataset(
        folder,
        channels,
        _labels(description["labels"]),
        tuple(cases if path is None else _with_fold(cases, path, fold)),
        _own(description),
    )


def _own(description: Mapping[str, Any]) -> Mapping[str, Any]:
    own = description.get(OWN_KEY)
    return own if isinstance(own, dict) else {}


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DATASET_NAME
    if not path.is_file():
        raise CohortError(
            f"An nnU-Net data set needs a {DATASET_NAME}",
            got=folder,
            remedy="Name the folder DatasetNNN_Name inside nnUNet_raw",
        )
    description = _json(path)
    needed = ("channel_names", "labels", "numTraining", "file_ending")
    missing = [k for k in needed if not isinstance(description, dict) or k not in description]
    if missing:
        old = isinstance(description, dict) and "modality" in description
        raise CohortError(
            f"{DATASET_NAME} lacks what nnU-Net version 2 asks for",
            got=f"no {', '.join(missing)}",
            remedy="Convert it with nnUNetv2_convert_old_nnUNet_dataset (it is of version 1)"
            if old
            else "Complete it as nnU-Net's documentation of the data set format says",
        )
    if "dataset" in description:
        raise CohortError(
            f"{DATASET_NAME} names its files one by one under 'dataset', which is not read",
            got=path,
            remedy="Put the files into imagesTr and labelsTr",
        )
    if description["file_ending"] not in SUFFIXES:
        raise CohortError(
            "Only NIfTI data sets are read",
            got=description["file_ending"],
            remedy="Convert the files to .nii.gz",
        )
    return dict(description)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CohortError(
            "A file of the data set is no JSON", got=f"{shown(path)}: {reason(error)}"
        ) from error


def _channels(names: Any) -> dict[int, str]:
    """Name by number; some tools write a list, or the number by name."""
    plain = dict(enumerate(names)) if isinstance(names, list) else names
    pairs = list(plain.items()) if isinstance(plain, dict) else []
    for found in (pairs, [(number, name) for name, number in pairs]):
        numbers = [str(number) for number, _ in found]
        if found and all(n.isdecimal() for n in numbers) and len(set(numbers)) == len(numbers):
            return {int(number): str(name) for number, name in found}
    raise CohortError(
        "The channels of the data set are no numbers with names",
        got=json.dumps(names)[:200],
        remedy='Version 2 writes {"0": "DWI", "1": "ADC"}',
    )


def _labels(labels: Mapping[str, Any]) -> dict[str, int | tuple[int, ...]]:
    try:
        return {
            name: tuple(int(v) for v in value) if isinstance(value, list) else int(value)
            for name, value in labels.items()
        }
    except (AttributeError, TypeError, ValueError):
        raise CohortError(
            "The labels of the data set are no numbers",
            got=labels,
            remedy='Version 2 writes {"background": 0, "name": 1}',
        ) from None


def _cases_of_part(
    folder: Path, images: str, labels: str, split: Split | None, ending: str, numbers: list[int]
) -> list[NnunetCase]:
    if not (folder / images).is_dir():
        if split is None:
            raise CohortError(f"The data set has no {images}", got=folder)
        return []
    found: dict[str, dict[int, Path]] = {}
    for path in sorted((folder / images).iterdir()):
        match = re.fullmatch(rf"(.+)_(\d{{4}}){re.escape(ending)}", path.name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = path
    _check_channels(found, numbers, images)
    cases = []
    for name, files in found.items():
        label = folder / labels / f"{name}{ending}"
        cases.append(NnunetCase(name, files, label if label.is_file() else None, split))
    if cases and split is None and not any(case.label for case in cases):
        raise CohortError(
            f"No training case has a file in {labels}",
            got=listed([case.name for case in cases]),
            remedy=f"Put the masks into {labels}, named as the images without their channel",
        )
    return cases


def _check_channels(
    found: Mapping[str, Mapping[int, Path]], numbers: list[int], images: str
) -> None:
    wrong = [name for name, files in found.items() if sorted(files) != numbers]
    if wrong:
        raise CohortError(
            f"Cases in {images} that do not have one file per channel",
            got=listed(wrong),
            remedy=f"The channels are {', '.join(f'{n:04d}' for n in numbers)}",
        )


def _is_fold(fold: Any) -> bool:
    return isinstance(fold, dict) and all(isinstance(fold.get(k, []), list) for k in _FOLD_KEYS)


def _with_fold(cases: list[NnunetCase], path: Path, fold: int) -> list[NnunetCase]:
    folds = _json(path)
    if isinstance(folds, list) and not all(_is_fold(f) for f in folds):
        raise CohortError(
            f"{path.name} is no list of folds",
            remedy='nnU-Net writes [{"train": ["case"], "val": ["case"]}]',
        )
    if not isinstance(folds, list) or not 0 <= fold < len(folds):
        count = len(folds) if isinstance(folds, list) else "no list of folds"
        raise CohortError("There is no such fold", got=f"fold {fold}; {path.name} has {count}")
    split = {
        **dict.fromkeys(map(str, folds[fold].get("train", ())), Split.TRAIN),
        **dict.fromkeys(map(str, folds[fold].get("val", ())), Split.VALIDATION),
    }
    training = {case.name for case in cases if case.split is None}
    if training != set(split):
        raise CohortError(
            f"{path.name} does not name the cases of imagesTr",
            got=listed(sorted(training ^ set(split))),
            remedy="Give the splits of this data set with --splits",
        )
    return [c if c.split else replace(c, split=split[c.name]) for c in cases]
