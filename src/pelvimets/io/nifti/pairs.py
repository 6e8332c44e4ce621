"""A folder of NIfTI images and masks as a plan of a cohort, by the names of the files.

A path such as ``p1/dwi.nii.gz``, ``p1_t1_bones.nii.gz``, ``masks/p1_b800_lesions.nii.gz`` or
``sub-01/anat/sub-01_T1w.nii.gz`` is cut into words. Words that name a sequence or a kind of
mask say what the file is, the others who the patient is; where that fails, patterns say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pelvimets.core.annotation import OWN_BONES, Structure, ValueMap, value_map
from pelvimets.errors import CohortError, InputError, listed
from pelvimets.io.cohort.folder import TABLE_NAME
from pelvimets.io.cohort.importing import (
    check_masks,
    check_names,
    person_of,
    read_table,
)
from pelvimets.io.cohort.plan import KINDS, ImageSource, ImportPlan, MaskSource, PlannedPatient
from pelvimets.io.cohort.rules import ImportRules
from pelvimets.io.nifti.files import SUFFIXES
from pelvimets.labels import FurtherInput, Readers, Sequence

FURTHER = tuple(kind.value for kind in FurtherInput if kind is not FurtherInput.ADC)
SLOTS = ("dwi", "t1", "adc", *FURTHER, *(f"{s}_{kind}" for s in Sequence for kind in KINDS))

_SEQUENCE_WORDS = {
    "dwi": r"dwi|diff|diffusion|trace|tracew|highb|b\d{3,4}",
    "t1": r"t1|t1w|t1ip|inphase|t1inphase",
    "adc": r"adc|adcmap",
}
_KIND_WORDS = {
    "bones": r"bone|bones|bonemask",
    "lesions": r"lesion|lesions|mets|metastasis|metastases",
}
_MASK_WORDS = "|".join((*_KIND_WORDS.values(), r"masks?|d?segs?|labels?(?:tr|ts)?|truth|gt"))
_OTHER_WORDS = (
    r"seg|dseg|segs|segmentation|segmentations|mask|masks|label|labels|truth|gt|annotations|"
    r"image|images|img|imgs|anat|data|nifti|nii|in|phase|ip|ax|axial|tra|desc|space|acq|res|ce|"
    r"derivatives|raw|map|w|(?:reader|rater|observer|annotator)\d*"
)
_FURTHER_NAME = re.compile(rf"(?:(.+?)[-_.])?({'|'.join(FURTHER)})", re.IGNORECASE)
_NOT_IN_PHASE = re.compile(r"oop|opp|opposed|out|outphase|outofphase|water|fat")


@dataclass(frozen=True)
class PairsOptions:
    """What the names of the files do not say.

    Attributes:
        patterns: Paths of a slot with ``{patient}`` and ``*``; given any, only they count.
        values: Structure of a value in the masks of bones; default the package's own.
        person: Pattern whose first group names the man in a patient's name.
        table: Table of patients; default the one in the folder.
        optional: Kinds of mask that an image may lack.
        empty_lesions: Images without a file of lesions have none.
        rules: Options of every import.
    """

    patterns: tuple[tuple[str, str], ...] = ()
    values: Mapping[int, Structure | None] = field(default_factory=dict)
    person: str | None = None
    table: Path | None = None
    optional: tuple[str, ...] = ()
    empty_lesions: bool = False
    rules: ImportRules = field(default_factory=ImportRules)


@dataclass(frozen=True)
class FoundFile:
    """A file of the folder and what it was taken as.

    Attributes:
        path: Of the file.
        name: The path inside the folder.
        patient: Empty if the file is left out.
        slot: One of ``SLOTS``; ``_bones`` and ``_lesions`` alone wait for their sequence.
    """

    path: Path
    name: str
    patient: str = ""
    slot: str = ""


def find_files(folder: Path, options: PairsOptions) -> tuple[FoundFile, ...]:
    """All NIfTI files of a folder and what each is taken as.

    Raises:
        InputError: if there is no NIfTI file, or a pattern cannot be used.
    """
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file())
    names = {p: p.relative_to(folder).as_posix() for p in paths}
    visible = [p for p in paths if not any(part.startswith(".") for part in Path(names[p]).parts)]
    if not visible:
        raise InputError("There is no NIfTI file in the folder", got=folder)
    patterns = [(slot, _compiled(slot, pattern)) for slot, pattern in options.patterns]
    if patterns:
        return tuple(_by_patterns(p, names[p], patterns) for p in visible)
    return _with_sequences([_by_words(p, names[p]) for p in visible])


def _compiled(slot: str, pattern: str) -> re.Pattern[str]:
    if slot not in SLOTS or pattern.count("{patient}") != 1:
        raise InputError(
            "A pattern names what it finds, and the patient once",
            got=f"{slot}={pattern}",
            remedy=f"Write SLOT={{patient}}/image.nii.gz; slots: {', '.join(SLOTS)}",
        )
    parts = re.split(r"(\{patient\}|\*)", pattern)
    known = {"{patient}": r"(?P<patient>[^/]+?)", "*": r"[^/]*"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))


def _by_patterns(
    path: Path, name: str, patterns: Ordered[tuple[str, re.Pattern[str]]]
) -> FoundFile:
    hits = [(slot, match["patient"]) for slot, p in patterns if (match := p.fullmatch(name))]
    if len(set(hits)) > 1:
        raise InputError(
            "A file fits several patterns",
            got=f"{name}: {', '.join(f'{slot} of {patient}' for slot, patient in hits)}",
            remedy="Make the patterns stricter",
        )
    return FoundFile(path, name, hits[0][1], hits[0][0]) if hits else FoundFile(path, name)


def _by_words(path: Path, name: str) -> FoundFile:
    parts = list(PurePosixPath(name).parts)
    stem = next(parts[-1].removesuffix(s) for s in SUFFIXES if parts[-1].endswith(s))
    folders = _from_subject(parts[:-1])
    of_folders = [word for part in folders if _describes(part) for word in _words(part)]
    words = [*of_folders, *_words(stem)]
    names = [part for part in folders if not _describes(part)]
    further = _FURTHER_NAME.fullmatch(stem)
    if further and not any(re.fullmatch(_MASK_WORDS, word) for word in of_folders):
        patient = "_".join(names) or further[1] or ""
        return FoundFile(path, name, patient, further[2].lower() if patient else "")
    if any(_NOT_IN_PHASE.fullmatch(word) for word in words):
        return FoundFile(path, name)
    slot = _slot(words)
    patient = "_".join(names) if names else _prefix(stem)
    return FoundFile(path, name, patient, slot) if slot and patient else FoundFile(path, name)


def _from_subject(folders: list[str]) -> list[str]:
    """In BIDS what stands above ``sub-`` is no part of the patient's name."""
    first = next((n for n, part in enumerate(folders) if part.startswith("sub-")), 0)
    return folders[first:]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _known(word: str) -> bool:
    patterns = [*_SEQUENCE_WORDS.values(), *_KIND_WORDS.values(), _OTHER_WORDS]
    return any(re.fullmatch(pattern, word) for pattern in patterns)


def _describes(part: str) -> bool:
    return all(_known(word) for word in _words(part))


def _slot(words: list[str]) -> str:
    def named(table: Mapping[str, str]) -> list[str]:
        return [n for n, p in table.items() if any(re.fullmatch(p, word) for word in words)]

    sequences, kinds = named(_SEQUENCE_WORDS), named(_KIND_WORDS)
    if "adc" in sequences:  # made of the DWI, and often named with it
        return "" if kinds else "adc"
    if len(sequences) > 1 or len(kinds) > 1 or not (sequences or kinds):
        return ""
    if not kinds and any(word in ("mask", "seg", "dseg", "label", "labels") for word in words):
        return ""
    return "_".join([*(sequences or [""]), *kinds])


def _prefix(stem: str) -> str:
    """The patient in the name of a file: what stands before the first known word."""
    start = 0
    for match in re.finditer(r"[A-Za-z0-9]+", stem):
        if _known(match[0].lower()):
            break
        start = match.end()
    return stem[:start]


def _with_sequences(files: list[FoundFile]) -> tuple[FoundFile, ...]:
    """Give masks that name no sequence the only one that their patient has."""
    images: dict[str, set[str]] = {}
    for file in files:
        if file.slot in list(Sequence):
            images.setdefault(file.patient, set()).add(file.slot)
    return tuple(
        FoundFile(f.path, f.name, f.patient, f"{next(iter(images[f.patient]))}{f.slot}")
        if f.slot.startswith("_") and len(images.get(f.patient, ())) == 1
        else f
        for f in files
    )


def plan_pairs(folder: Path, files: Ordered[FoundFile], options: PairsOptions) -> ImportPlan:
    """What a cohort of these files will hold.

    Raises:
        CohortError: if two files serve for one slot, a mask has no image, or an image no mask.
    """
    by_patient = _slots(files, options)
    values = _bone_values(options)
    patients = options.rules.kept(
        (_patient(key, slots, values, options) for key, slots in by_patient.items()),
        {file.patient for file in files},
    )
    check_names(patients)
    check_masks(patients, options.optional)
    left_out = [file.name for file in files if not file.slot]
    notes = (f"{len(left_out)} files left out",) if left_out else ()
    own_table = Path(folder) / TABLE_NAME
    table = options.table or (own_table if own_table.is_file() else None)
    return options.rules.applied(ImportPlan(patients, notes, read_table(table)))


def _slots(
    files: Ordered[FoundFile], options: PairsOptions
) -> dict[str, dict[str, tuple[Path, ...]]]:
    """Files of each slot by patient; several of a mask are several readers'."""
    found: dict[str, dict[str, list[FoundFile]]] = {}
    for file in files:
        if file.slot and file.patient not in options.rules.leave_out:
            found.setdefault(file.patient, {}).setdefault(file.slot, []).append(file)
    several = options.rules.readers is not Readers.REFUSE
    problems = [p for key, slots in found.items() for p in _problems(key, slots, several=several)]
    if problems or not found:
        raise CohortError(
            "The names of the files do not say clearly what they are",
            got=listed(problems) or "no file was recognised",
            remedy="Look at the table of --dry-run, and say it with --pattern "
            "SLOT={patient}/NAME.nii.gz; slots: " + ", ".join(SLOTS),
        )
    return {
        key: {slot: tuple(file.path for file in hits) for slot, hits in slots.items()}
        for key, slots in found.items()
    }


def _problems(
    key: str, slots: Mapping[str, Ordered[FoundFile]], *, several: bool = False
) -> list[str]:
    problems = [
        f"{key}: {' and '.join(f.name for f in hits)} are both {slot.strip('_')}"
        for slot, hits in slots.items()
        if len(hits) > 1 and not (several and "_" in slot)
    ]
    for slot, hits in slots.items():
        image = "dwi" if slot == "adc" else slot.partition("_")[0]
        if slot in FURTHER:
            image = next(iter(set(slots) & set(Sequence)), "dwi or t1")
        if image not in slots and len(hits) == 1:
            what = f"no image {image}" if image else "it names no sequence"
            problems.append(f"{key}: {hits[0].name}: {what}")
    return problems


def _bone_values(options: PairsOptions) -> ValueMap:
    if not options.values:
        return OWN_BONES
    names = {str(value): value for value in options.values}
    return value_map(names, {str(value): s for value, s in options.values.items()})


def _patient(
    key: str, slots: Mapping[str, Ordered[Path]], values: ValueMap, options: PairsOptions
) -> PlannedPatient:
    images = {
        sequence: _image(slots, sequence, values, options)
        for sequence in Sequence
        if sequence in slots
    }
    adc = slots["adc"][0] if "adc" in slots else None
    further = {kind: slots[kind][0] for kind in map(FurtherInput, FURTHER) if kind in slots}
    return PlannedPatient(key, images, adc, None, person_of(key, options.person), further)


def _image(
    slots: Mapping[str, Ordered[Path]], sequence: Sequence, values: ValueMap, options: PairsOptions
) -> ImageSource:
    meanings = {"bones": values, "lesions": None}
    masks = tuple(
        MaskSource(path, meaning)
        for kind, meaning in meanings.items()
        for path in slots.get(f"{sequence}_{kind}", ())
    )
    no_lesion = options.empty_lesions and f"{sequence}_lesions" not in slots
    return ImageSource(slots[sequence.value][0], masks, no_lesion=no_lesion)
