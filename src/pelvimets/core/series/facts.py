"""Facts of one volume of a series, as its headers state them, and what it is judged to be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pelvimets.core.geometry import Geometry
from pelvimets.core.study import SeriesRole


@dataclass(frozen=True)
class Declared:
    """What headers say of the slices that there should be; None where they say nothing.

    Attributes:
        thickness_mm: Slice thickness.
        spacing_mm: Distance of neighbouring slices.
        slices: Of one volume, by a vendor's count or by positions in a stack.
        images: Of the acquisition or series.
        found: Images of the series that are here.
        number_step: Largest whole number by which all instance numbers are apart.
        parts: Objects over which the images were spread and that are not here.
    """

    thickness_mm: float | None = None
    spacing_mm: float | None = None
    slices: int | None = None
    images: int | None = None
    found: int = 0
    number_step: int = 1
    parts: int = 0


@dataclass(frozen=True, eq=False)
class SeriesFacts:
    """Header facts of one volume: one b-value, echo, image type or time series of a series.

    Attributes:
        series_instance_uid, number, description: How a user finds the series again.
        images: Slices times components.
        components: Repeats of each slice: directions, averages or time points.
        over_time: Whether the components are time points.
        b_value: s/mm2, None if the header says none.
        directionality: 'ISOTROPIC', 'DIRECTIONAL', 'NONE' or ''.
        declared: What the headers say of the slices that there should be.
        contrast_agent: Whether an agent was given; None where the header does not say.
        frame_of_reference: UID of the coordinates.
        stations: Of a volume joined from several: series UID and number of each, from the lowest.
        station_of: Of how many stations that were joined this is one; 1 if it stands alone.
        geometry: Grid, None where the slices form none.
        defect: Why the slices form no grid, and what to do.
        unusable: Why this is no MR volume at all.
    """

    series_instance_uid: str
    number: int | None
    description: str
    images: int
    image_type: tuple[str, ...] = ()
    protocol: str = ""
    sequence_name: str = ""
    scanning_sequence: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    bandwidth_hz_per_px: float | None = None
    scanner: str = ""
    field_strength_t: float | None = None
    b_value: float | None = None
    directionality: str = ""
    contrast_agent: bool | None = None
    components: int = 1
    over_time: bool = False
    declared: Declared = Declared()
    frame_of_reference: str = ""
    stations: tuple[tuple[str, int | None], ...] = ()
    station_of: int = 1
    geometry: Geometry | None = None
    defect: str | None = None
    unusable: str | None = None

    @property
    def label(self) -> str:
        """Number and description, as printed."""
        numbers = [number for _, number in self.stations] or [self.number]
        shown = dict.fromkeys("without number" if n is None else str(n) for n in numbers)
        return f"series {', '.join(shown)} '{self.description}'"

    @property
    def all_series(self) -> tuple[str, ...]:
        """UIDs of the series that its images come from."""
        return tuple(dict.fromkeys(uid for uid, _ in self.stations)) or (self.series_instance_uid,)


@dataclass(frozen=True)
class Verdict:
    """What a volume is.

    Attributes:
        role: What it would be taken as.
        reason: Why; or, where ``candidate`` is false, why it is not taken.
        candidate: Whether it may be taken without being asked for.
        grade: Smaller is better among candidates of one role.
        notes: Flags for the report if it is taken.
        lost: What is missing of its slices, None where nothing is.
    """

    role: SeriesRole
    reason: str
    candidate: bool = False
    grade: float = 0.0
    notes: tuple[str, ...] = ()
    lost: str | None = None


def has_word(pattern: str, text: str) -> bool:
    """Whether the pattern stands as a word of its own; an underscore parts words."""
    return re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", text.lower()) is not None


def axial_cosine(geometry: Geometry) -> float:
    """Cosine between slice normal and body axis: 1 for axial slices."""
    return abs(float(geometry.axes[0][2]))


def orientation_name(geometry: Geometry) -> str:
    """The plane that the slices are nearest to."""
    normal = [abs(float(value)) for value in geometry.axes[0]]
    return ("sagittal", "coronal", "axial")[normal.index(max(normal))]


def told_apart(shown: Iterable[SeriesFacts], among: Iterable[SeriesFacts]) -> list[str]:
    """Labels of series, each once; with their UID where the number does not tell them apart."""
    with_number: dict[int | None, set[str]] = {}
    for facts in among:
        with_number.setdefault(facts.number, set()).add(facts.series_instance_uid)
    labels: dict[str, None] = {}
    for facts in shown:
        alone = facts.number is not None and len(with_number.get(facts.number, ())) < 2
        uid = "" if alone else f" (UID {facts.series_instance_uid})"
        labels[facts.label + uid] = None
    return list(labels)
