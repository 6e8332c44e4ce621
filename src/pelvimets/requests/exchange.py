"""What to import as a cohort: nnU-Net raw data, or a folder of NIfTI images and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pelvimets.errors import SettingsError
from pelvimets.labels import Readers
from pelvimets.options import Request, group, option

if TYPE_CHECKING:
    from pelvimets.core.annotation import Structure
    from pelvimets.io.cohort.rules import ImportRules
    from pelvimets.io.exchange.nnunet import Channel, NnunetOptions
    from pelvimets.io.nifti.pairs import PairsOptions
    from pelvimets.io.workers import Jobs

Key = TypeVar("Key", int, str)
_FROM_VALUES = "values"


class MissingLesions(StrEnum):
    """What an image without a file of lesions means."""

    REFUSE = "refuse"
    EMPTY = "empty"
    LEAVE = "leave"


class MissingBones(StrEnum):
    """What an image without a file of bones means."""

    REFUSE = "refuse"
    LEAVE = "leave"


def named_slots(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``SLOT=PATTERN`` texts as pairs.

    Raises:
        ValueError: if one has another form.
    """
    return tuple(_pair(text, text.partition("=")) for text in texts)


def named_channels(texts: Sequence[str]) -> dict[int, Channel]:
    """``NUMBER=WHAT`` texts as a mapping.

    Raises:
        ValueError: if one has another form, or it is no such channel.
    """
    from pelvimets.io.exchange.nnunet import Channel

    pairs = {text: _pair(text, text.partition("=")) for text in texts}
    return {_told(text, int, n): _told(text, Channel, what) for text, (n, what) in pairs.items()}


def named_structures(
    texts: Sequence[str], *, key: Callable[[str], Key]
) -> dict[Key, Structure | None]:
    """``NAME=STRUCTURE`` texts as a mapping; a name may hold the sign itself.

    Raises:
        ValueError: if one has another form, or the structure is unknown.
    """
    from pelvimets.core.annotation import given_structure

    pairs = {text: _pair(text, text.rpartition("=")) for text in texts}
    return {
        _told(text, key, name): _told(text, given_structure, what)
        for text, (name, what) in pairs.items()
    }


def _pair(text: str, parts: tuple[str, str, str]) -> tuple[str, str]:
    name, found, value = parts
    if not (found and name and value):
        raise ValueError(f"{text!r} is not NAME=VALUE.")
    return name.strip(), value.strip()


Told = TypeVar("Told")


def _told(text: str, meaning: Callable[[str], Told], part: str) -> Told:
    try:
        return meaning(part)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}.") from None


@dataclass(frozen=True)
class ImportJob(Request):
    """How an import is done, whatever its source.

    Attributes:
        fill_bones: Bundle that draws the bones which no person drew; None leaves them out.
        seed: Decides the splits where the source has none.
        dry_run: Read and check everything as the import would, and write nothing.
        overwrite: Replace an earlier import.
        jobs: Patients at a time, or a cluster.
    """

    fill_bones: Path | None = option(
        "Bundle that draws the bones which nobody drew.", default=None, metavar="BUNDLE"
    )
    seed: int = option("Decides splits that are drawn, 8:1:1.", default=0, least=0)
    dry_run: bool = option(
        "Read and check all as the import would; write nothing.", "--dry-run", default=False
    )
    overwrite: bool = option("Replace an earlier one.", "--overwrite", default=False)
    jobs: Jobs = 1


@dataclass(frozen=True)
class Annotations(Request):
    """What a user says of annotations that their files do not say.

    Attributes:
        person: Pattern with one group, the man in a name.
        table: Table of patients.
        missing_lesions, missing_bones: Images without such a file, where others have one.
        annotated: Bones that were drawn, parted by commas; ``values`` takes those that occur.
        ignore: Values of voxels that nobody judged.
        readers: What becomes of several masks of one image.
        leave_out: Patients.
        resample_masks: Bring masks to the grid of their image.
    """

    person: str | None = option(
        "Pattern with one group, the man in a name; he stays in one split.", default=None
    )
    table: Path | None = option(
        "patients.csv with split, m_stage, scanner, age, psa, ...", default=None
    )
    missing_lesions: MissingLesions = option(
        "Images without a file of lesions, where others have one.", default=MissingLesions.REFUSE
    )
    missing_bones: MissingBones = option(
        "Images without a file of bones, where others have one.", default=MissingBones.REFUSE
    )
    annotated: str | None = option(
        "Bones that were drawn, such as ilium,sacrococcyx; 'values': in each case those "
        "whose values occur. [default: all that have a label]",
        default=None,
        metavar="NAMES",
    )
    ignore: tuple[int, ...] = option("Value of voxels that nobody judged. Repeatable.", default=())
    readers: Readers = option(
        "Several masks of one image: what most say, or all of them.", default=Readers.REFUSE
    )
    leave_out: tuple[str, ...] = option("Leave one out. Repeatable.", default=(), metavar="PATIENT")
    resample_masks: bool = option(
        "Bring masks to the grid of their image.", "--resample-masks", default=False
    )

    @property
    def optional(self) -> tuple[str, ...]:
        """Kinds of mask that an image may lack."""
        left = {
            "lesions": self.missing_lesions is MissingLesions.LEAVE,
            "bones": self.missing_bones is MissingBones.LEAVE,
        }
        return tuple(kind for kind, may in left.items() if may)

    @property
    def empty_lesions(self) -> bool:
        """Whether images without a file of lesions have none."""
        return self.missing_lesions is MissingLesions.EMPTY

    @property
    def rules(self) -> ImportRules:
        """As every import takes them.

        Raises:
            InputError: if a structure is unknown.
        """
        from pelvimets.core.judged import structure_names
        from pelvimets.io.cohort.rules import ImportRules

        from_values = self.annotated == _FROM_VALUES
        named = None if self.annotated is None or from_values else self.annotated.split(",")
        return ImportRules(
            annotated=None if named is None else structure_names(named),
            from_values=from_values,
            unjudged=frozenset(self.ignore),
            leave_out=self.leave_out,
            resample=self.resample_masks,
            readers=self.readers,
        )


_LABEL_MAP = "JSON or YAML file, NAME: NAME or VALUE: NAME, as many --map at once."


@dataclass(frozen=True)
class NnunetImport(Request):
    """nnU-Net (version 2) raw data sets to import.

    Attributes:
        datasets: Folders; cases of one name are joined.
        mapped: Structure of a label by its name; None leaves it out.
        label_map: File that says the same of many.
        channel: What a channel is, by its number.
        splits: File of splits; None takes the one in the data set.
        fold: Which of them.
        annotations, job: What the files do not say, and how it is done.
    """

    datasets: tuple[Path, ...] = option(
        "Folders DatasetNNN_Name; cases of one name are joined.", argument=True
    )
    mapped: Mapping[str, Structure | None] = option(
        "What a label is: NAME=NAME, none leaves it out. Repeatable.",
        "--map",
        factory=dict,
        parse=partial(named_structures, key=str),
    )
    label_map: Path | None = option(_LABEL_MAP, default=None)
    channel: Mapping[int, Channel] = option(
        "What a channel is: NUMBER=dwi, t1, adc, fat, water, out_phase, stir, t2 or none. "
        "Repeatable.",
        factory=dict,
        parse=named_channels,
    )
    splits: Path | None = option(
        "splits_final.json. [default: the one in the data set]", default=None
    )
    fold: int = option("Fold of these splits.", default=0, least=0)
    annotations: Annotations = group(Annotations)
    job: ImportJob = group(ImportJob)

    @property
    def options(self) -> NnunetOptions:
        """What the names in the data sets do not say."""
        from pelvimets.io.exchange.nnunet import NnunetOptions

        said = self.annotations
        return NnunetOptions(
            labels={**_of_file(self.label_map, str), **self.mapped},
            channels=self.channel,
            person=said.person,
            splits=self.splits,
            fold=self.fold,
            table=said.table,
            optional=said.optional,
            empty_lesions=said.empty_lesions,
            rules=said.rules,
        )


@dataclass(frozen=True)
class NiftiImport(Request):
    """A folder of NIfTI images and masks to import.

    Attributes:
        folder: Of the images and masks.
        pattern: Where the files of a slot lie; given any, no name is guessed.
        mapped: Structure of a value in the masks of bones; None leaves it out.
        label_map: File that says the same of many.
        annotations, job: What the files do not say, and how it is done.
    """

    folder: Path = option("Folder of NIfTI images and masks.", argument=True)
    pattern: tuple[tuple[str, str], ...] = option(
        "Where a file lies: SLOT={patient}/NAME.nii.gz with * for anything; slots dwi, "
        "t1, adc, fat, stir, dwi_bones, ... Given one, no name is guessed. Repeatable.",
        default=(),
        parse=named_slots,
    )
    mapped: Mapping[int, Structure | None] = option(
        "What a value in the masks of bones is: 3=ilium. Repeatable.",
        "--map",
        factory=dict,
        parse=partial(named_structures, key=int),
    )
    label_map: Path | None = option(_LABEL_MAP, default=None)
    annotations: Annotations = group(Annotations)
    job: ImportJob = group(ImportJob)

    @property
    def options(self) -> PairsOptions:
        """What the names of the files do not say."""
        from pelvimets.io.nifti.pairs import PairsOptions

        said = self.annotations
        return PairsOptions(
            patterns=self.pattern,
            values={**_of_file(self.label_map, int), **self.mapped},
            person=said.person,
            table=said.table,
            optional=said.optional,
            empty_lesions=said.empty_lesions,
            rules=said.rules,
        )


def _of_file(path: Path | None, key: Callable[[str], Key]) -> dict[Key, Structure | None]:
    """What labels are, by a file.

    Raises:
        SettingsError: if it cannot be read or names no structure.
    """
    if path is None:
        return {}
    from pelvimets.io.record.settings_file import read_settings_file

    texts = [f"{name}={meaning}" for name, meaning in read_settings_file(path).items()]
    try:
        return named_structures(texts, key=key)
    except ValueError as error:
        raise SettingsError(
            "The map of labels cannot be used", got=str(error).rstrip("."), remedy=f"Mend {path}"
        ) from None
