"""Frozen settings of reading a study, every default in one place; saved with bundle and run.

Settings of training live in ``training.settings``, those of digital patients in ``phantom``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from pelvimets.errors import SettingsError
from pelvimets.labels import Sequence

_MOST_VOXELS = 1e9
_LARGEST_SPACING_MM = 100.0


class Arithmetic(StrEnum):
    """Numbers in which a network reckons.

    Attributes:
        FLOAT32: On every processor.
        BFLOAT16: Faster where the processor has units for it; answers differ a little.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class GridSettings:
    """The grid on which a network works.

    Exactly one of both is set. With ``spacing_mm`` the size of the grid follows the field
    of view, so that a bone has the same size in voxels in every protocol. With ``shape``
    every field is brought to the same number of voxels, as in the paper.

    Attributes:
        spacing_mm: Voxel distance (z, y, x).
        shape: Voxels (z, y, x).
        multiple_of: The shape is padded up to multiples of these, for the network's levels.
        largest_field_mm: A field beyond this is cropped to its centre (z, y, x).
    """

    spacing_mm: tuple[float, float, float] | None = (4.0, 3.0, 3.0)
    shape: tuple[int, int, int] | None = None
    multiple_of: tuple[int, int, int] = (8, 8, 8)
    largest_field_mm: tuple[float, float, float] = (420.0, 480.0, 560.0)

    def __post_init__(self) -> None:
        if (self.spacing_mm is None) == (self.shape is None):
            raise SettingsError(
                "A grid needs either a spacing or a shape",
                got=f"spacing_mm={self.spacing_mm}, shape={self.shape}",
            )
        positive = (self.spacing_mm or self.shape or (), self.multiple_of, self.largest_field_mm)
        if min(value for values in positive for value in values) <= 0:
            raise SettingsError("Sizes of a grid are above 0", got=repr(self))
        if max(self.spacing_mm or (0,)) > _LARGEST_SPACING_MM:
            raise SettingsError(
                f"Voxels of a grid are at most {_LARGEST_SPACING_MM:g} mm apart",
                got=f"spacing_mm={self.spacing_mm}",
            )
        size = self.shape or tuple(
            field / step
            for field, step in zip(self.largest_field_mm, self.spacing_mm or (), strict=True)
        )
        voxels = math.prod(max(n, m) for n, m in zip(size, self.multiple_of, strict=True))
        if voxels > _MOST_VOXELS:
            raise SettingsError(f"A grid has at most {_MOST_VOXELS:.0e} voxels", got=repr(self))


@dataclass(frozen=True)
class IntensitySettings:
    """Rescaling before the network (paper: scale to 0-65535, then z-score).

    Attributes:
        clip_percentiles: Lower and upper percentile kept; (0, 100) keeps all, as in the paper.
        scale: Range after rescaling.
    """

    clip_percentiles: tuple[float, float] = (0.0, 99.9)
    scale: tuple[float, float] = (0.0, 65535.0)

    def __post_init__(self) -> None:
        low, high = self.clip_percentiles
        if not 0 <= low < high <= 100:
            raise SettingsError("Percentiles rise from 0 to 100", got=self.clip_percentiles)
        if not (self.scale[0] < self.scale[1] and max(map(abs, self.scale)) < 1e30):
            raise SettingsError("A scale rises between numbers below 1e30", got=self.scale)


@dataclass(frozen=True)
class BoneSettings:
    """From bone probabilities to the bone mask.

    Attributes:
        keep_components_per_bone: Largest components kept (paper: 2, one per side).
        keep_vertebrae: The same for the lumbar vertebrae, up to five bones.
        smallest_component_cm3: Components below this are dropped.
        other_in_dwi, other_in_t1: Share of the other sequence, where both show the same bones.
    """

    keep_components_per_bone: int = 2
    keep_vertebrae: int = 5
    smallest_component_cm3: float = 0.5
    other_in_dwi: float = 0.0
    other_in_t1: float = 0.0

    def __post_init__(self) -> None:
        if min(self.keep_components_per_bone, self.keep_vertebrae) < 1:
            raise SettingsError("At least one component of a bone is kept", got=repr(self))
        if not all(0 <= share <= 1 for share in (self.other_in_dwi, self.other_in_t1)):
            raise SettingsError("Shares lie between 0 and 1", got=repr(self))


@dataclass(frozen=True)
class EvidenceWeights:
    """Logistic regression: from the evidence on a candidate to the chance of a metastasis.

    Each weight belongs to one feature of ``core.evidence.features``.

    Attributes:
        intercept: Log odds where all features are 0.
        score: Of the logit of the network's score.
        mean: Of the logit of the mean probability.
        volume: Of the natural logarithm of the volume in cm3.
        other: Of the logit of the score in the same place on the other sequence.
        alone: Added where the other sequence does not show the place.
        adc: Of the median ADC in um2/ms, less 1.
        no_adc: Added where no ADC is known.
        rim: Of the share of voxels at the border of the bone mask or outside of it.
        outside: Of the share of voxels outside the bone mask.
        shape: Of the shortest over the longest extent, 0-1.
        threshold: Voxels of that probability or more make a candidate.
        grow_to: A candidate takes in what touches it down to this probability, so that pieces of
            one metastasis are one candidate; None leaves it as it is.
        patient_intercept, patient_slope: From the logit of a patient's highest lesion score to
            the log odds of metastases in the patient.
    """

    intercept: float = 0.0
    score: float = 1.0
    mean: float = 0.0
    volume: float = 0.0
    other: float = 0.0
    alone: float = 0.0
    adc: float = 0.0
    no_adc: float = 0.0
    rim: float = 0.0
    outside: float = 0.0
    shape: float = 0.0
    threshold: float = 0.5
    grow_to: float | None = None
    patient_intercept: float = 0.0
    patient_slope: float = 1.0


@dataclass(frozen=True)
class JointSettings:
    """Logistic regression: from both networks' probabilities in a voxel to one.

    Attributes:
        own: Of the logit of the sequence's own network.
        other: Of the logit of the other sequence's network in the same place.
        intercept: Log odds where both are one half.
        reach_mm: The other's highest probability so far along each axis counts.
    """

    own: float = 1.0
    other: float = 0.0
    intercept: float = 0.0
    reach_mm: float = 4.0


@dataclass(frozen=True)
class SequenceSettings:
    """How lesions of one sequence are read.

    Attributes:
        evidence: Weigh the evidence on a lesion; None takes the network's own score.
        joint: How the other sequence counts in each voxel; None reads this one by itself.
        decides: Whether these networks find lesions here well enough: where not, lesions are
            listed, but raise no suspicion.
    """

    evidence: EvidenceWeights | None = None
    joint: JointSettings | None = None
    decides: bool = True


@dataclass(frozen=True)
class LesionSettings:
    """From lesion probabilities to single lesions.

    Attributes:
        threshold: Voxels at or above belong to a lesion, where no weights say otherwise.
        grow_to: As in ``EvidenceWeights``, where there are no weights.
        drop_below_cm3: Smaller lesions are dropped (paper: 0.2 cm3).
        connectivity: 6, 18 or 26 neighbours.
        bone_margin_mm: How far outside the predicted bones a lesion voxel may lie.
        smallest_score: Lesions with a lower score are dropped.
        operating_point: Lesion score at or above which M1b is suspected.
        dwi, t1: What is set for one sequence only.
        smallest_own: A lesion drawn from both sequences belongs to one only if that one's
            network gives it this score at least: it must show there, if faintly.
    """

    threshold: float = 0.5
    grow_to: float | None = None
    drop_below_cm3: float = 0.2
    connectivity: int = 26
    bone_margin_mm: float = 4.0
    smallest_score: float = 0.0
    operating_point: float = 0.5
    dwi: SequenceSettings = field(default_factory=SequenceSettings)
    t1: SequenceSettings = field(default_factory=SequenceSettings)
    smallest_own: float = 0.02

    def __post_init__(self) -> None:
        if self.connectivity not in (6, 18, 26):
            raise SettingsError("Neighbours are 6, 18 or 26", got=self.connectivity)
        if min(self.drop_below_cm3, self.bone_margin_mm) < 0 or self.bone_margin_mm > 1000:
            raise SettingsError("Sizes and margins are plausible lengths", got=repr(self))

    def of(self, sequence: Sequence) -> SequenceSettings:
        """What is set for one sequence only."""
        return self.dwi if sequence is Sequence.DWI else self.t1

    def on(self, sequence: Sequence) -> LesionSettings:
        """The same with the thresholds of a sequence."""
        weights = self.of(sequence).evidence
        if weights is None:
            return self
        return replace(self, threshold=weights.threshold, grow_to=weights.grow_to)

    def with_sequences(self, own: Mapping[Sequence, SequenceSettings]) -> LesionSettings:
        """The same with other settings of single sequences; those not given stay."""
        given = {s: own.get(s, self.of(s)) for s in Sequence}
        return replace(self, dwi=given[Sequence.DWI], t1=given[Sequence.T1])

    @classmethod
    def from_earlier(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Plain data as earlier bundles and run records hold it, in the form of today.

        What belongs to one sequence stood in ``judge_dwi``, ``joint_t1``, ``weak_sequences``, ...
        """
        today = dict(data)
        weak = today.pop("weak_sequences", None)
        if unknown := set(weak or ()) - set(Sequence):
            raise SettingsError("Sequences are dwi and t1", got=", ".join(sorted(unknown)))
        for name in map(str, Sequence):
            earlier = {
                new: today.pop(f"{old}_{name}")
                for new, old in (("evidence", "judge"), ("joint", "joint"))
                if f"{old}_{name}" in today
            }
            if weak is not None:
                earlier["decides"] = name not in weak
            if earlier:
                today[name] = earlier | today.get(name, {})
        return today


@dataclass(frozen=True)
class ReadingSettings:
    """Everything between the acquired image and the masks."""

    bone_grid: GridSettings = field(default_factory=GridSettings)
    lesion_grid: GridSettings = field(default_factory=GridSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    bones: BoneSettings = field(default_factory=BoneSettings)
    lesions: LesionSettings = field(default_factory=LesionSettings)


@dataclass(frozen=True)
class SelectionSettings:
    """Which series of a study serve, judged from their headers.

    Attributes:
        b_range: Wanted b-value of the DWI, s/mm2; the nearest is taken (paper: 800-1000).
        smallest_b: A DWI below is not read.
        fewest_slices: A volume of fewer is no candidate (localiser, fragment).
        smallest_extent_mm: Nor is one that covers less along its slice axis.
        smallest_field_mm: Nor is one with a smaller field in its plane.
        axial_cosine: Slices count as axial up to this cosine between normal and body axis.
        isotropic_ratio: A stack that is not axial serves if its voxels are no more elongated.
        phase_tolerance: How far, in periods of fat against water, an echo may lie from in phase.
        longest_t1_echo_ms: Beyond, a gradient or spin echo is not T1-weighted.
        longest_t1_repetition_ms: Beyond, a spin echo is not T1-weighted.
        smallest_t1_flip_deg: Below, a gradient echo has little T1 weighting.
    """

    b_range: tuple[float, float] = (800.0, 1000.0)
    smallest_b: float = 500.0
    fewest_slices: int = 8
    smallest_extent_mm: float = 30.0
    smallest_field_mm: float = 100.0
    axial_cosine: float = 0.7
    isotropic_ratio: float = 2.0
    phase_tolerance: float = 0.2
    longest_t1_echo_ms: float = 30.0
    longest_t1_repetition_ms: float = 1200.0
    smallest_t1_flip_deg: float = 5.0

    def __post_init__(self) -> None:
        low, high = self.b_range
        if not 0 < self.smallest_b <= low <= high:
            raise SettingsError(
                "b-values need 0 < smallest_b <= b_range[0] <= b_range[1]",
                got=f"smallest_b={self.smallest_b:g}, b_range=({low:g}, {high:g})",
            )


PAPER_GRID = GridSettings(spacing_mm=None, shape=(64, 224, 224))
T = TypeVar("T")


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """Plain data of a settings object.

    >>> settings_to_dict(BoneSettings())["keep_vertebrae"]
    5
    """
    return asdict(settings)


def settings_from_dict(cls: type[T], data: Any) -> T:
    """Rebuild settings from plain data; unknown names are refused, missing ones take defaults.

    A class may list names of older versions in ``RETIRED``, each with the one value that still
    means the same; such a pair is passed over. A class whose settings have moved brings older
    data into today's form by its ``from_earlier``.

    Raises:
        SettingsError: if a name is unknown, or a value is of another kind than its setting.

    >>> settings_from_dict(LesionSettings, {"threshold": 0.4}).threshold
    0.4
    """
    try:
        return msgspec.convert(_of_today(cls, data), cls)
    except msgspec.ValidationError as error:
        expected, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`")
        raise SettingsError(
            f"{cls.__name__}{place} has a value of another kind",
            got=repr(_value_at(data, place))[:80],
            remedy=expected,
        ) from None


def _of_today(cls: Any, data: Any) -> Any:
    """Plain data without what is retired; what is no group is left to the conversion."""
    if not isinstance(data, Mapping):
        return data
    data = getattr(cls, "from_earlier", dict)(data)
    retired = getattr(cls, "RETIRED", {}).items()
    data = {name: value for name, value in data.items() if (name, value) not in retired}
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise SettingsError(
            f"Unknown setting in {cls.__name__}",
            got=", ".join(unknown),
            remedy=f"Known: {sorted(known)}",
        )
    for name, value in data.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(
                f"{cls.__name__}.{name} has a value of another kind",
                got=value,
                remedy="It is a finite number",
            )
    return {name: _inner(hints[name], value) for name, value in data.items()}


def _inner(hint: Any, value: Any) -> Any:
    """A group within settings, or several of them."""
    group = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
    if group is not None and isinstance(value, list | tuple):
        return [_of_today(group, one) for one in value]
    return value if group is None else _of_today(group, value)


def _value_at(data: Any, place: str) -> Any:
    """What stands at a place such as ``.stages[0].shape``; all of it where names have moved."""
    for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        try:
            data = data[int(number) if number else name]
        except (KeyError, IndexError, TypeError):
            return data
    return data
