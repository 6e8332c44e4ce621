"""The result of reading a study as plain, frozen data; what every output is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pelvimets.core.volume import Volume
from pelvimets.errors import MissingExtraError
from pelvimets.labels import Bone, LearnedFrom, Sequence, Side

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class BoneMasks:
    """Bone label maps (uint8, values of ``labels.Bone``), each on its sequence's own grid.

    Attributes:
        by_sequence: The label maps.
        read_mm: Lowest and highest z (LPS mm) of what was read, where it is not the whole field.
    """

    by_sequence: dict[Sequence, Volume]
    read_mm: dict[Sequence, tuple[float, float]] = field(default_factory=dict)

    def __getitem__(self, sequence: Sequence | str) -> Volume:
        """The mask of a sequence, ``"dwi"`` or ``"t1"``."""
        return self.by_sequence[Sequence(sequence)]


@dataclass(frozen=True, eq=False)
class MarkedLesions:
    """The lesions of one sequence, on its own grid.

    Attributes:
        mask: Label map (uint16; 1..n, each lesion its own number).
        probability: Of metastasis (float32) on the same grid; None where a reader drew the mask.
        scores: Score of each label, 0-1; without it a lesion has the network's score.
        patient_score: Of the patient, unthresholded, 0-1; without it that of the surest lesion.
    """

    mask: Volume
    probability: Volume | None = None
    scores: Mapping[int, float] | None = None
    patient_score: float | None = None


@dataclass(frozen=True, eq=False)
class LesionMasks:
    """The lesions of each sequence that was read."""

    by_sequence: dict[Sequence, MarkedLesions]

    def __getitem__(self, sequence: Sequence | str) -> Volume:
        """The mask of a sequence, ``"dwi"`` or ``"t1"``."""
        return self.by_sequence[Sequence(sequence)].mask

    @classmethod
    def of(
        cls, masks: Mapping[Sequence, Volume], probability: Mapping[Sequence, Volume] | None = None
    ) -> LesionMasks:
        """From masks, and probabilities where they are known."""
        known = probability or {}
        return cls({s: MarkedLesions(mask, known.get(s)) for s, mask in masks.items()})


@dataclass(frozen=True)
class BonePart:
    """A structure on one side."""

    bone: Bone
    side: Side

    @property
    def title(self) -> str:
        """As printed.

        >>> BonePart(Bone.ILIUM, Side.LEFT).title
        'left ilium'
        """
        return self.bone.title if self.side is Side.MIDLINE else f"{self.side} {self.bone.title}"


@dataclass(frozen=True)
class SequenceLesion:
    """One lesion as seen on one sequence.

    Attributes:
        label: Its number in that sequence's lesion mask.
        volume_cm3: Volume.
        largest_axial_diameter_mm: Longest distance of two of its voxels in one slice, with
            the voxel size added.
        centre_lps_mm: Centre of mass, LPS mm.
        mean_probability: Mean of the network's probability in the lesion, 0-1.
        score: Score of being a metastasis, 0-1, for operating points and FROC.
    """

    label: int
    volume_cm3: float
    largest_axial_diameter_mm: float
    centre_lps_mm: tuple[float, float, float]
    mean_probability: float
    score: float


LESION_COLUMNS = (
    "number",
    "bone",
    "side",
    "seen_on",
    "volume_cm3",
    "largest_axial_diameter_mm",
    "adc_mean_um2_per_s",
    "adc_median_um2_per_s",
    "score",
    "dwi_label",
    "t1_label",
    "tracking_uid",
)


@dataclass(frozen=True)
class Lesion:
    """One lesion of the patient, on one sequence or on both.

    Attributes:
        number: 1..n, by falling volume.
        tracking_uid: DICOM UID, the same for the same input and bundle.
        part: Structure and side.
        seen_on: The lesion on each sequence that shows it.
        adc_mean_um2_per_s, adc_median_um2_per_s: None where no ADC map exists.
    """

    number: int
    tracking_uid: str
    part: BonePart
    seen_on: dict[Sequence, SequenceLesion]
    adc_mean_um2_per_s: float | None = None
    adc_median_um2_per_s: float | None = None

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """The sequences that show it."""
        return tuple(s for s in Sequence if s in self.seen_on)

    @property
    def volume_cm3(self) -> float:
        """The larger of the volumes on the sequences that show it."""
        return max(seen.volume_cm3 for seen in self.seen_on.values())

    @property
    def largest_axial_diameter_mm(self) -> float:
        """The larger of the diameters on the sequences that show it."""
        return max(seen.largest_axial_diameter_mm for seen in self.seen_on.values())

    @property
    def score(self) -> float:
        """The higher of the scores on the sequences that show it."""
        return max(seen.score for seen in self.seen_on.values())

    @property
    def row(self) -> dict[str, Any]:
        """Plain values by the names in ``LESION_COLUMNS``; None where there is none."""
        labels = {s: seen.label for s, seen in self.seen_on.items()}
        values = (
            self.number,
            self.part.bone.key,
            self.part.side.value,
            "+".join(self.sequences),
            self.volume_cm3,
            self.largest_axial_diameter_mm,
            self.adc_mean_um2_per_s,
            self.adc_median_um2_per_s,
            self.score,
            labels.get(Sequence.DWI),
            labels.get(Sequence.T1),
            self.tracking_uid,
        )
        return dict(zip(LESION_COLUMNS, values, strict=True))


@dataclass(frozen=True)
class Burden:
    """Disease in one structure on one side, on one sequence."""

    part: BonePart
    bone_volume_cm3: float
    lesion_volume_cm3: float
    lesions: int

    @property
    def fraction(self) -> float:
        """Lesion volume over bone volume, 0-1; NaN without bone."""
        return (
            self.lesion_volume_cm3 / self.bone_volume_cm3 if self.bone_volume_cm3 else float("nan")
        )


class Lesions(tuple[Lesion, ...]):
    """The lesions of a patient, by falling volume."""

    __slots__ = ()

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each lesion, columns as in ``lesions.csv``, values unrounded.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError(
                "A table of lesions needs pandas",
                got="no pandas",
                remedy="pip install 'pelvimets[study]'",
            ) from error
        return pd.DataFrame([lesion.row for lesion in self], columns=list(LESION_COLUMNS))


class FlagLevel(StrEnum):
    """How a quality flag is meant."""

    NOTE = "note"
    REVIEW = "review"


PARTLY_READ = "field-read"
"""Code of the flag that says which part of a tall field was read."""


@dataclass(frozen=True)
class QualityFlag:
    """Something a reader must know before trusting the result."""

    level: FlagLevel
    code: str
    message: str
    sequence: Sequence | None = None


@dataclass(frozen=True)
class SequenceFindings:
    """Findings on one sequence; ``patient_score`` is 0-1 and unthresholded."""

    sequence: Sequence
    lesions: tuple[SequenceLesion, ...]
    total_lesion_volume_cm3: float
    burden: tuple[Burden, ...]
    patient_score: float
    m1_suspected: bool


@dataclass(frozen=True)
class Findings:
    """Findings of a study; ``learned_from`` says what its bundle was trained on.

    ``reliable`` is False where a flag asks for review of the whole result: then no
    suspicion is stated, neither way.
    """

    patient_key: str
    bundle: str
    lesions: Lesions
    sequences: dict[Sequence, SequenceFindings]
    patient_score: float
    m1_suspected: bool
    flags: tuple[QualityFlag, ...] = ()
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN

    def __post_init__(self) -> None:
        object.__setattr__(self, "lesions", Lesions(self.lesions))

    @property
    def reliable(self) -> bool:
        """Whether no flag asks for review."""
        return all(flag.level is not FlagLevel.REVIEW for flag in self.flags)

    @property
    def partly_read(self) -> bool:
        """Whether only a part of a field was read, so that no statement holds for all of it."""
        return any(flag.code == PARTLY_READ for flag in self.flags)
