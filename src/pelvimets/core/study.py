"""What was read: a study, its sequences, and what became of each series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pelvimets.core.volume import Volume
from pelvimets.labels import FurtherInput, Sequence


class SeriesRole(StrEnum):
    """What a series (or one b-value of it) is."""

    HIGH_B_DWI = "high-b DWI"
    LOW_B_DWI = "low-b DWI"
    ADC = "ADC map"
    T1_IN_PHASE = "T1 in phase"
    T1_LIKE = "T1-like"
    OTHER = "other"


@dataclass(frozen=True)
class SourceReference:
    """The DICOM objects a volume came from, so that results can point back to them.

    ``sop_instance_uids`` run along the array's first axis; an enhanced object has one,
    with ``frame_numbers`` (1-based) along that axis. A volume spread over several enhanced
    objects has both, one each for every slice. Of a trace computed from directions, these
    are the images of the first direction. A volume joined of several
    ``stations`` may have ``other_series`` than the first one's, and its slices may lie up to half
    a slice from the images named for them.
    """

    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    sop_instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...] | None = None
    other_series: tuple[str, ...] = ()
    stations: int = 1

    @property
    def all_series(self) -> tuple[str, ...]:
        """Every series that a slice comes from."""
        return (self.series_instance_uid, *self.other_series)


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One image of the study with what is known of how it was made.

    Attributes:
        volume: Image on the acquired grid.
        role: What it was taken as.
        label: How a user finds it again: series number and description, or which file.
        notes: Flags for the report, e.g. 'not an in-phase T1: second choice'.
        b_value_s_per_mm2, echo_time_ms, repetition_time_ms, field_strength_t, flip_angle_deg,
            bandwidth_hz_per_px, thickness_mm: None if unknown.
        scanner: Maker and model; '' if unknown.
        source: DICOM reference; None for NIfTI.
    """

    volume: Volume
    role: SeriesRole
    label: str
    notes: tuple[str, ...] = ()
    b_value_s_per_mm2: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    field_strength_t: float | None = None
    flip_angle_deg: float | None = None
    bandwidth_hz_per_px: float | None = None
    thickness_mm: float | None = None
    scanner: str = ""
    source: SourceReference | None = None

    @property
    def title(self) -> str:
        """Name of the sequence as printed: a T1 is 'in phase' only where it is."""
        titles = {
            SeriesRole.ADC: "ADC",
            SeriesRole.T1_IN_PHASE: Sequence.T1.title,
            SeriesRole.T1_LIKE: "T1",
        }
        return titles.get(self.role, Sequence.DWI.title)


@dataclass(frozen=True)
class SeriesDecision:
    """One row of the table of series: taken or not, and why."""

    number: int | None
    description: str
    images: int
    role: SeriesRole
    taken_as: str | None
    reason: str
    b_values_s_per_mm2: tuple[float, ...] = ()
    series_instance_uid: str | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """Everything read of one patient's examination; at least one sequence is present.

    ``patient_key`` is a name for folders and logs that identifies nobody. ``further`` holds images
    that networks may see beside the sequences, as far as they were read.
    """

    patient_key: str
    dwi: Acquisition | None = None
    t1: Acquisition | None = None
    adc: Acquisition | None = None
    decisions: tuple[SeriesDecision, ...] = ()
    notes: tuple[str, ...] = field(default=())
    further: Mapping[FurtherInput, Acquisition] = field(default_factory=dict)

    def sequence(self, sequence: Sequence) -> Acquisition | None:
        """The acquisition of a sequence, or None."""
        return self.dwi if sequence is Sequence.DWI else self.t1

    @property
    def acquisitions(self) -> dict[str, Acquisition]:
        """The acquisitions present, the ADC map too, by the names of their files."""
        named = {Sequence.DWI.value: self.dwi, Sequence.T1.value: self.t1, "adc": self.adc}
        return {name: item for name, item in named.items() if item is not None}

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """The sequences present."""
        return tuple(self.images)

    @property
    def images(self) -> dict[Sequence, Volume]:
        """The image of each sequence present."""
        found = {sequence: self.sequence(sequence) for sequence in Sequence}
        return {sequence: taken.volume for sequence, taken in found.items() if taken is not None}

    @property
    def further_images(self) -> dict[FurtherInput, Volume]:
        """Further images that networks may see; the ADC map is one of them."""
        found = {kind: taken.volume for kind, taken in self.further.items()}
        return found if self.adc is None else {FurtherInput.ADC: self.adc.volume, **found}
