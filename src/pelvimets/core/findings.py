"""The result of reading a study as plain, frozen data; what every output is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, LearnedFrom, Sequence, Side


@dataclass(frozen=True, eq=False)
class BoneMasks:
    """Bone label maps (uint8, values of ``labels.Bone``), each on its sequence's own grid."""

    by_sequence: dict[Sequence, Volume]


@dataclass(frozen=True, eq=False)
class LesionMasks:
    """Lesion label maps (uint16; 1..n, each lesion its own number) on their own grids.

    Attributes:
        by_sequence: The label maps.
        probability: The network's lesion probability (float32) on the same grid.
        scores: Score of each label, 0-1; without it a lesion has the network's score.
        patient_scores: Score of the patient per sequence, unthresholded, 0-1.
    """

    by_sequence: dict[Sequence, Volume]
    probability: dict[Sequence, Volume]
    scores: dict[Sequence, dict[int, float]] = field(default_factory=dict)
    patient_scores: dict[Sequence, float] = field(default_factory=dict)


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


class FlagLevel(StrEnum):
    """How a quality flag is meant."""

    NOTE = "note"
    REVIEW = "review"


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
    lesions: tuple[Lesion, ...]
    sequences: dict[Sequence, SequenceFindings]
    patient_score: float
    m1_suspected: bool
    flags: tuple[QualityFlag, ...] = ()
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN

    @property
    def reliable(self) -> bool:
        """Whether no flag asks for review."""
        return all(flag.level is not FlagLevel.REVIEW for flag in self.flags)
