"""nnU-Net raw data sets as a plan of a cohort: what channels, labels and cases are here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from pelvimets.core.annotation import IGNORE, Structure, ValueMap, value_map
from pelvimets.errors import CohortError, InputError
from pelvimets.io.cohort.folder import TABLE_NAME, CohortPatient
from pelvimets.io.cohort.importing import check_masks, check_names, person_of, read_table
from pelvimets.io.cohort.plan import ImageSource, ImportPlan, MaskSource, PlannedPatient
from pelvimets.io.cohort.rules import ImportRules
from pelvimets.io.exchange.nnunet_dataset import NnunetCase, NnunetDataset, read_nnunet
from pelvimets.labels import FurtherInput, Readers, Sequence, Split

_CASE_SUFFIX = re.compile(r"[-_](dwi|t1)$", re.IGNORECASE)


class Channel(StrEnum):
    """What a channel of a data set is."""

    DWI = "dwi"
    T1 = "t1"
    ADC = "adc"
    FAT = "fat"
    WATER = "water"
    OUT_PHASE = "out_phase"
    STIR = "stir"
    T2 = "t2"
    BY_NAME = "by-name"
    NONE = "none"


_CHANNEL_NAMES: tuple[tuple[Channel, str], ...] = (
    (Channel.ADC, r"\badc\b|apparent diffusion"),
    (Channel.DWI, r"\bdwi\b|\bdiffusion\b|\btrace\b|\bb ?\d{3,4}\b|\bhigh b\b"),
    (Channel.T1, r"\bt1w?\b|\bin ?phase\b"),
)


@dataclass(frozen=True)
class NnunetOptions:
    """What the names in a data set do not say.

    Attributes:
        labels: Structure of labels by name or value; None leaves one out.
        channels: Meaning of channels by number.
        person: Pattern whose first group names the man in a case's name.
        splits: File of splits; default the one in the data set.
        fold: Which of them.
        table: Table of patients; default the one in the first data set.
        optional: Kinds of mask that an image may lack.
        empty_lesions: Images without a file of lesions have none.
        rules: Options of every import.
    """

    labels: Mapping[str, Structure | None] = field(default_factory=dict)
    channels: Mapping[int, Channel] = field(default_factory=dict)
    person: str | None = None
    splits: Path | None = None
    fold: int = 0
    table: Path | None = None
    optional: tuple[str, ...] = ()
    empty_lesions: bool = False
    rules: ImportRules = field(default_factory=ImportRules)


def plan_nnunet(folders: Ordered[Path], options: NnunetOptions) -> ImportPlan:
    """What a cohort of these data sets will hold; cases of one name are joined.

    Raises:
        CohortError, InputError: if it is unclear what a channel, a label or a case is.
    """
    datasets = [read_nnunet(f, options.splits, options.fold) for f in folders]
    _check_given_names(datasets, options)
    joined: dict[str, PlannedPatient] = {}
    notes: list[str] = []
    for dataset in datasets:
        values = value_map(dataset.labels, _own_labels(dataset, options))
        notes += _notes(dataset, values)
        for patient in _patients(dataset, values, options):
            earlier = joined.get(patient.key)
            readers = options.rules.readers is not Readers.REFUSE
            joined[patient.key] = (
                _joined(earlier, patient, several_readers=readers) if earlier else patient
            )
    left = options.rules.kept(joined.values(), joined)
    patients = tuple(_without_lesions(p) if options.empty_lesions else p for p in left)
    check_names(patients)
    check_masks(patients, options.optional)
    table = read_table(options.table) if options.table else _tables(datasets)
    return options.rules.applied(ImportPlan(patients, tuple(notes), table))


def _check_given_names(datasets: Ordered[NnunetDataset], options: NnunetOptions) -> None:
    labels = {name for dataset in datasets for name in dataset.labels}
    values = {str(value) for dataset in datasets for value in dataset.labels.values()}
    absent = sorted(set(options.labels) - labels - values)
    if absent:
        raise InputError(
            "There is no label of the name given with --map",
            got=", ".join(absent),
            remedy=f"The labels are {', '.join(sorted(labels))}",
        )


def _own_labels(dataset: NnunetDataset, options: NnunetOptions) -> dict[str, Structure | None]:
    """Structures that the user gave, by the label's name; he may have named its value."""
    return {
        name: structure
        for given, structure in options.labels.items()
        for name, value in dataset.labels.items()
        if given in (name, str(value))
    }


def _notes(dataset: NnunetDataset, values: ValueMap) -> list[str]:
    notes = []
    if values.missing_bones:
        names = ", ".join(bone.title for bone in values.missing_bones)
        notes.append(
            f"{dataset.folder.name}: no label for {names}: taken as not annotated, so that loss "
            "and measures leave them out"
        )
    if values.unjudged:
        notes.append(
            f"{dataset.folder.name}: voxels labelled '{IGNORE}' are kept apart, as judged by nobody"
        )
    return notes


def _tables(datasets: Ordered[NnunetDataset]) -> dict[str, CohortPatient]:
    """Rows of the tables that lie in the data sets; they must not contradict each other."""
    rows: dict[str, CohortPatient] = {}
    for dataset in datasets:
        path = dataset.folder / TABLE_NAME
        for key, row in read_table(path if path.is_file() else None).items():
            alone = replace(row, folder=Path(key))
            if rows.setdefault(key, alone) != alone:
                raise CohortError(
                    f"The tables in the data sets say different things of patient {key}",
                    got=path,
                    remedy="Give one table for all with --table",
                )
    return rows


def _patients(
    dataset: NnunetDataset, values: ValueMap, options: NnunetOptions
) -> list[PlannedPatient]:
    channels = channels_of(dataset, options.channels)
    single = set(channels.values()) & {Channel.DWI, Channel.T1, Channel.BY_NAME}
    strip = (not dataset.own or Channel.BY_NAME in single) and len(single) == 1
    strip = strip and all(
        _CASE_SUFFIX.search(c.name) and _fits(c.name, next(iter(single))) for c in dataset.cases
    )
    if Channel.BY_NAME in single and not strip:
        raise _unknown_channels(dataset, options.channels)
    by_key: dict[str, PlannedPatient] = {}
    for case in dataset.cases:
        patient = _patient(case, channels, values, options, strip=strip)
        earlier = by_key.get(patient.key)
        by_key[patient.key] = _joined(earlier, patient) if earlier else patient
    return list(by_key.values())


def channels_of(dataset: NnunetDataset, given: Mapping[int, Channel]) -> dict[int, Channel]:
    """What each channel is: as given, as this package wrote it, or by its name.

    Raises:
        CohortError: if a channel's name does not say it, or two are the same.
    """
    own = {int(n): Channel(c) for n, c in dict(dataset.own.get("channels", {})).items()}
    found = {n: given.get(n) or own.get(n) or _by_name(s) for n, s in dataset.channels.items()}
    if len(found) == 1 and None in found.values():
        return dict.fromkeys(found, Channel.BY_NAME)
    used = [c for c in found.values() if c not in (None, Channel.NONE)]
    images = [c for c in used if c in (Channel.DWI, Channel.T1, Channel.BY_NAME)]
    if None in found.values() or len(set(used)) < len(used) or not images:
        raise _unknown_channels(dataset, given)
    return {n: channel for n, channel in found.items() if channel is not None}


def _by_name(name: str) -> Channel | None:
    plain = re.sub(r"[^a-z0-9]+", " ", name.lower())
    hits = [channel for channel, pattern in _CHANNEL_NAMES if re.search(pattern, plain)]
    return hits[0] if len(hits) == 1 else None


def _unknown_channels(dataset: NnunetDataset, given: Mapping[int, Channel]) -> CohortError:
    names = ", ".join(f"{n} {name!r}" for n, name in sorted(dataset.channels.items()))
    return CohortError(
        f"The channels of {dataset.folder.name} do not say which is DWI and which is T1",
        got=names,
        remedy="Say it with --channel NUMBER=dwi, t1, adc, fat, water, out_phase, stir, t2 or "
        "none; one of the first two is needed, each at most once. With a single channel, cases "
        "may end in _dwi and _t1",
    )


def _fits(name: str, channel: Channel) -> bool:
    match = _CASE_SUFFIX.search(name)
    return bool(match) and channel in (Channel.BY_NAME, match[1].lower() if match else "")


def _patient(
    case: NnunetCase,
    channels: Mapping[int, Channel],
    values: ValueMap,
    options: NnunetOptions,
    *,
    strip: bool,
) -> PlannedPatient:
    key = _CASE_SUFFIX.sub("", case.name) if strip else case.name
    masks = () if case.label is None else (MaskSource(case.label, values),)
    images = {
        _sequence(case.name, channel): ImageSource(case.images[n], masks)
        for n, channel in channels.items()
        if channel in (Channel.DWI, Channel.T1, Channel.BY_NAME)
    }
    adc = next((case.images[n] for n, c in channels.items() if c is Channel.ADC), None)
    kinds = {Channel(kind.value) for kind in FurtherInput} - {Channel.ADC}
    further = {FurtherInput(c.value): case.images[n] for n, c in channels.items() if c in kinds}
    return PlannedPatient(key, images, adc, case.split, person_of(key, options.person), further)


def _sequence(name: str, channel: Channel) -> Sequence:
    if channel is not Channel.BY_NAME:
        return Sequence(channel.value)
    match = _CASE_SUFFIX.search(name)
    assert match is not None, name  # looked at before
    return Sequence(match[1].lower())


def _joined(
    first: PlannedPatient, second: PlannedPatient, *, several_readers: bool = False
) -> PlannedPatient:
    """One patient of two cases: further sequences, or further masks of the same image."""
    images = dict(first.images)
    for sequence, source in second.images.items():
        there = images.get(sequence)
        images[sequence] = (
            source
            if there is None
            else _same_image(first.key, there, source, several_readers=several_readers)
        )
    split = _joined_split(first, second)
    further = {**second.further, **first.further}
    return replace(first, images=images, adc=first.adc or second.adc, split=split, further=further)


def _joined_split(first: PlannedPatient, second: PlannedPatient) -> Split | None:
    """A case in imagesTr without a file of splits may be in training or in validation."""
    splits = {first.split, second.split}
    if len(splits) == 1:
        return first.split
    if Split.TEST in splits or None not in splits:
        raise CohortError(
            f"The data sets put case {first.key} into different splits",
            got=f"{first.split or 'imagesTr'}, {second.split or 'imagesTr'}",
            remedy="Give one file of splits for all, or take the case out of one data set",
        )
    return first.split or second.split


def _same_image(
    key: str, first: ImageSource, second: ImageSource, *, several_readers: bool
) -> ImageSource:
    twice = set(first.kinds) & set(second.kinds)
    if twice and not several_readers:
        raise CohortError(
            f"Case {key} has two masks of one kind for one sequence",
            got=f"{', '.join(sorted(twice))}: {first.path.parent}, {second.path.parent}",
            remedy="Import one of the data sets alone, rename its cases, or say that they are of "
            "several readers: --readers consensus or all",
        )
    return replace(first, masks=first.masks + second.masks, same_as=(*first.same_as, second.path))


def _without_lesions(patient: PlannedPatient) -> PlannedPatient:
    images = {
        sequence: source if "lesions" in source.kinds else replace(source, no_lesion=True)
        for sequence, source in patient.images.items()
    }
    return replace(patient, images=images)
