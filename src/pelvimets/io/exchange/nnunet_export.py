"""A cohort as a raw data set of nnU-Net (version 2); ``io.exchange.nnunet`` reads it back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.annotation import LESION, OWN_BONES, truth_of
from pelvimets.core.judged import EVERYTHING, UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, InputError, OutputError, listed
from pelvimets.io.cohort.folder import (
    TABLE_NAME,
    Case,
    Cohort,
    CohortPatient,
    read_case,
    write_table,
)
from pelvimets.io.cohort.importing import Finished
from pelvimets.io.exchange.nnunet import Channel
from pelvimets.io.exchange.nnunet_dataset import DATASET_NAME, OWN_KEY, SPLITS_NAME
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.record.output import write_json
from pelvimets.labels import Bone, Sequence, Split

ENDING = ".nii.gz"
_FOLDERS = {False: ("imagesTr", "labelsTr"), True: ("imagesTs", "labelsTs")}
_POOLED = "MRI"
_UNCHANGED = "noNorm"  # nnU-Net leaves a channel of this name as it is


class Kind(StrEnum):
    """What the network of the data set is to find."""

    BONES = "bones"
    LESIONS = "lesions"


class Extra(StrEnum):
    """Further channels."""

    BONES = "bones"
    ADC = "adc"


_IGNORED = {Kind.BONES: max(Bone) + 1, Kind.LESIONS: 2}
"""Labels of voxels that nobody judged; nnU-Net wants them to be the highest."""


@dataclass(frozen=True)
class NnunetOrder:
    """What to write.

    Attributes:
        kind: Which masks become the labels.
        sequences: One; or both, then each image is a case of its own in one channel, as
            both sequences have their own grids.
        extras: Further channels, in this order.
    """

    kind: Kind
    sequences: tuple[Sequence, ...]
    extras: tuple[Extra, ...] = ()

    @property
    def pooled(self) -> bool:
        """Whether both sequences stand in one channel."""
        return len(self.sequences) > 1


@dataclass(frozen=True)
class ExportCase:
    """One image that becomes a case."""

    name: str
    patient: CohortPatient
    sequence: Sequence

    @property
    def held_out(self) -> bool:
        """Whether it goes to imagesTs."""
        return self.patient.split is Split.TEST


def check_dataset_name(folder: Path) -> None:
    """Refuse a folder that nnU-Net would not find.

    Raises:
        OutputError: if its name is not ``DatasetNNN_Name``.
    """
    if not re.fullmatch(r"Dataset\d{3}_\w[\w-]*", folder.name):
        raise OutputError(
            "nnU-Net finds a data set by the name of its folder",
            got=folder.name,
            remedy="Name it DatasetNNN_Name with three digits, such as Dataset501_Bones",
        )


def export_cases(cohort: Cohort, order: NnunetOrder) -> tuple[ExportCase, ...]:
    """The images of a cohort that belong to the order.

    Raises:
        CohortError: if there are none to train on, a training image lacks its mask, or only
            some patients have a split.
        InputError: if an extra channel does not fit the order.
    """
    _check_extras(order)
    cases = tuple(
        ExportCase(f"{p.key}_{s}" if order.pooled else p.key, p, s)
        for p in cohort.patients
        for s in order.sequences
        if s in p.sequences
    )
    training = [case for case in cases if not case.held_out]
    if not training:
        raise CohortError(
            "The cohort has nothing to train on",
            got=f"no {' or '.join(order.sequences)} outside the split test",
        )
    _check_splits(training)
    _check_files(cases, order)
    return cases


def _check_extras(order: NnunetOrder) -> None:
    if Extra.BONES in order.extras and order.kind is Kind.BONES:
        raise InputError(
            "The bones are what the network is to find",
            got="bones as a channel",
            remedy="The channel of bones serves --task lesions",
        )
    if Extra.ADC in order.extras and order.sequences != (Sequence.DWI,):
        raise InputError(
            "An ADC map lies on the grid of the DWI",
            got=f"channel adc with {' and '.join(order.sequences)}",
            remedy="It serves --sequence dwi",
        )


def _check_splits(training: Ordered[ExportCase]) -> None:
    without = [case.patient.key for case in training if case.patient.split is None]
    if without and len(without) < len(training):
        raise CohortError(
            "Some patients have a split and some have none",
            got=listed(without),
            remedy=f"Fill the column split of {TABLE_NAME}, or leave it empty for all",
        )


def _check_files(cases: Ordered[ExportCase], order: NnunetOrder) -> None:
    missing = [
        f"{case.patient.key} {path.name}"
        for case in cases
        for path in _needed(case, order)
        if not path.is_file()
    ]
    if missing:
        raise CohortError("Images without a file that the data set needs", got=listed(missing))


def _needed(case: ExportCase, order: NnunetOrder) -> list[Path]:
    patient, sequence = case.patient, case.sequence
    needed = [] if case.held_out else [patient.mask_path(sequence, order.kind.value)]
    if Extra.BONES in order.extras:
        needed.append(patient.mask_path(sequence, "bones"))
    if Extra.ADC in order.extras:
        needed.append(patient.adc_path)
    return needed


def check_cases(cases: Ordered[ExportCase], order: NnunetOrder, finished: Finished) -> None:
    """Read every case once and list all that is wrong, before anything is written.

    Raises:
        CohortError: with up to twenty problems.
    """
    problems = []
    for done, case in enumerate(cases, start=1):
        try:
            _volumes(case, order)
        except InputError as error:
            problems.append(f"{case.name}: {error}")
        finished(done, len(cases))
    if problems:
        raise CohortError(
            f"The cohort has {len(problems)} problems, nothing was written",
            got=listed(problems),
        )


def _volumes(case: ExportCase, order: NnunetOrder) -> tuple[list[Volume], Volume | None]:
    """Channels and label map of a case, all on one grid."""
    read = read_case(case.patient, case.sequence)
    channels = [read.image, *(_extra(extra, case, read) for extra in order.extras)]
    return channels, _label(read, order.kind)


def _extra(extra: Extra, case: ExportCase, read: Case) -> Volume:
    if extra is Extra.BONES:
        assert read.bones is not None, case.name  # looked at before
        return read.image.with_array(_bone_channel(read.bones.array))
    adc = read_nifti(case.patient.adc_path)
    if not adc.geometry.matches(read.image.geometry):
        raise GeometryError("The ADC map does not lie on the grid of the DWI", got=case.name)
    return adc


def _bone_channel(bones: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.asarray((bones > 0) & (bones != UNJUDGED_BONE), dtype=np.uint8)


def _label(read: Case, kind: Kind) -> Volume | None:
    if kind is Kind.LESIONS:
        lesions = read.lesions
        return lesions and lesions.with_array(_lesion_label(lesions.array))
    return read.bones and read.bones.with_array(_bone_label(read.bones, read.judged))


def _lesion_label(lesions: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    label = (lesions > 0).astype(np.uint8)
    label[lesions == UNJUDGED_LESION] = _IGNORED[Kind.LESIONS]
    return label


def _bone_label(bones: Volume, judged: Judged) -> npt.NDArray[np.uint8]:
    """Bones that a person drew; what may be another bone is to be ignored.

    Raises:
        InputError: if bones were drawn as one: nnU-Net has no label for that.
    """
    unions = sorted(judged.structures - EVERYTHING)
    if unions:
        raise InputError(
            "Bones drawn as one cannot be told apart by a label",
            got=", ".join(unions),
            remedy="Export the lesions alone, or take these patients out of the table",
        )
    values = replace(OWN_BONES, unjudged=frozenset({UNJUDGED_BONE}))
    label = truth_of(bones.array, values, bones.geometry.spacing).bones
    assert label is not None
    left_open = [0, *(int(bone) for bone in judged.open_bones)] if judged.open_bones else []
    label[np.isin(label, [*left_open, UNJUDGED_BONE])] = _IGNORED[Kind.BONES]
    return label


def write_dataset(
    cases: Ordered[ExportCase], order: NnunetOrder, folder: Path, name: str, finished: Finished
) -> None:
    """Write the data set into an empty folder.

    Args:
        cases: From ``export_cases``.
        order: What to write.
        folder: Where the files go.
        name: Of the data set, for its description.
        finished: Told of each case.
    """
    for held_out in {case.held_out for case in cases} | {False}:
        for part in _FOLDERS[held_out]:
            (folder / part).mkdir()
    ignored = False
    for done, case in enumerate(cases, start=1):
        ignored |= _write_case(case, order, folder)
        finished(done, len(cases))
    description = dataset_description(cases, order, name)
    if ignored:
        description["labels"]["ignore"] = _IGNORED[order.kind]
    write_json(folder / DATASET_NAME, description)
    if any(case.patient.split for case in cases if not case.held_out):
        write_json(folder / SPLITS_NAME, splits_of(cases))
    patients = {case.patient.key: case.patient for case in cases}
    write_table(folder / TABLE_NAME, table_rows(patients.values()))


def _write_case(case: ExportCase, order: NnunetOrder, folder: Path) -> bool:
    """Write images and label; whether some voxels of it are to be ignored."""
    images, labels = _FOLDERS[case.held_out]
    channels, label = _volumes(case, order)
    for number, volume in enumerate(channels):
        write_nifti(folder / images / f"{case.name}_{number:04d}{ENDING}", volume)
    if label is not None:
        write_nifti(folder / labels / f"{case.name}{ENDING}", label)
    return label is not None and bool((label.array == _IGNORED[order.kind]).any())


def dataset_description(
    cases: Ordered[ExportCase], order: NnunetOrder, name: str
) -> dict[str, Any]:
    """Contents of ``dataset.json``; nnU-Net passes over the keys it does not know."""
    first = _POOLED if order.pooled else {"dwi": "DWI", "t1": "T1"}[order.sequences[0]]
    further = [{Extra.BONES: _UNCHANGED, Extra.ADC: "ADC"}[extra] for extra in order.extras]
    names = {str(n): channel for n, channel in enumerate([first, *further])}
    bones = {bone.key: int(bone) for bone in Bone}
    return {
        "channel_names": names,
        "labels": {"background": 0, **(bones if order.kind is Kind.BONES else {LESION: 1})},
        "numTraining": sum(not case.held_out for case in cases),
        "file_ending": ENDING,
        "name": name,
        OWN_KEY: {"channels": _own_channels(order)},
    }


def _own_channels(order: NnunetOrder) -> dict[str, str]:
    first = Channel.BY_NAME if order.pooled else Channel(order.sequences[0].value)
    further = [{Extra.BONES: Channel.NONE, Extra.ADC: Channel.ADC}[e] for e in order.extras]
    return {str(n): channel.value for n, channel in enumerate([first, *further])}


def splits_of(cases: Ordered[ExportCase]) -> list[dict[str, list[str]]]:
    """Contents of ``splits_final.json``: one fold, the cohort's own."""
    names = {"train": Split.TRAIN, "val": Split.VALIDATION}
    return [{k: sorted(c.name for c in cases if c.patient.split is s) for k, s in names.items()}]


def table_rows(patients: Iterable[CohortPatient]) -> list[dict[str, object]]:
    """The rows of ``patients.csv`` again, as they were read."""
    return [
        {
            "patient": p.key,
            "split": p.split.value if p.split else None,
            "m_stage": p.m_stage,
            "scanner": p.scanner,
            "age": p.age_years,
            "psa": p.psa_ng_per_ml,
            **p.details,
        }
        for p in patients
    ]
