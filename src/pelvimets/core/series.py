"""What one volume of a series is, judged from its header facts alone.

Sources: DICOM PS3.3 C.8.3 and C.8.13 (MR image type values, diffusion macro); fat and water
are 3.4 ppm apart, so that they are in phase every 4.6 ms at 1.5 T and every 2.3 ms at 3 T.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.study import SeriesRole

_FAT_WATER_HZ_PER_T = 3.4e-6 * 42.577e6


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
    field_strength_t: float | None = None
    b_value: float | None = None
    directionality: str = ""
    contrast_agent: bool = False
    components: int = 1
    over_time: bool = False
    geometry: Geometry | None = None
    defect: str | None = None
    unusable: str | None = None

    @property
    def label(self) -> str:
        """Number and description, as printed."""
        number = "without number" if self.number is None else str(self.number)
        return f"series {number} '{self.description}'"


class T1Kind(IntEnum):
    """How good a T1 is, best first."""

    IN_PHASE = 0
    IN_PHASE_BY_ECHO = 1
    ORDINARY = 2
    LIKE = 3


@dataclass(frozen=True)
class Verdict:
    """What a volume is.

    Attributes:
        role: What it would be taken as.
        reason: Why; or, where ``candidate`` is false, why it is not taken.
        candidate: Whether it may be taken without being asked for.
        grade: Smaller is better among candidates of one role.
        notes: Flags for the report if it is taken.
    """

    role: SeriesRole
    reason: str
    candidate: bool = False
    grade: float = 0.0
    notes: tuple[str, ...] = ()


def judge(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    """Say what a volume is and whether it is a candidate."""
    if facts.unusable:
        return Verdict(SeriesRole.OTHER, facts.unusable)
    if copy := _copy_kind(facts):
        return Verdict(SeriesRole.OTHER, copy)
    verdict = (
        _judge_diffusion(facts, settings) if is_diffusion(facts) else _judge_t1(facts, settings)
    )
    if not verdict.candidate:
        return verdict
    if shortage := _coverage_shortage(facts, settings):
        return Verdict(verdict.role, shortage)
    return _graded_by_orientation(verdict, facts.geometry, settings)


def _graded_by_orientation(
    verdict: Verdict, geometry: Geometry | None, settings: SelectionSettings
) -> Verdict:
    """Put any axial volume before one that is not."""
    if geometry is None or axial_cosine(geometry) >= settings.axial_cosine:
        return verdict
    note = f"{orientation_name(geometry)} acquisition, taken only where no axial one serves"
    return replace(verdict, grade=verdict.grade + _NOT_AXIAL, notes=(*verdict.notes, note))


_NOT_AXIAL = 1e6  # beyond every other grade


# --- what kind of copy or picture -------------------------------------------------------

_COPIES = {
    "LOCALIZER": "localiser",
    "SCOUT": "localiser",
    "SUBTRACTION": "subtraction, not an acquired image",
    "SUB": "subtraction, not an acquired image",
    "MIP": "projection, not slices",
    "MAX_IP": "projection, not slices",
    "PROJECTION IMAGE": "projection, not slices",
    "MPR": "reformatted copy of another series",
    "REFORMATTED": "reformatted copy of another series",
    "SCREEN SAVE": "screen picture, not an image",
    "MOSAIC": "mosaic of slices in one picture: export it as single slices or enhanced MR",
}
_NOT_MAGNITUDE = {"P", "PHASE", "R", "REAL", "I", "IMAGINARY", "PHASE MAP", "B0 MAP", "PHASE_MAP"}
_COPY_NAMES = (
    (r"loc|localizer|localiser|scout|survey|3[ -]?pl(ane)?([ -]loc)?", "localiser"),
    (r"sub|subtraction|subtracted", "subtraction, not an acquired image"),
    (r"mip", "projection, not slices"),
    (r"mpr", "reformatted copy of another series"),
)


def _word(pattern: str, text: str) -> bool:
    """Whether the pattern stands as a word of its own; underscores and digits' ends part words."""
    return re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", text.lower()) is not None


def _copy_kind(facts: SeriesFacts) -> str | None:
    for token in facts.image_type:
        if token in _COPIES:
            return _COPIES[token]
    if _NOT_MAGNITUDE & set(facts.image_type[2:]):
        return "phase, real or imaginary part, not a magnitude image"
    names = (reason for pattern, reason in _COPY_NAMES if _word(pattern, facts.description))
    return next(names, None)


# --- diffusion ---------------------------------------------------------------------------

_DIFFUSION_TYPES = {"DIFFUSION", "TRACEW", "TRACE", "ADC", "CALC_BVALUE", "EADC", "DWI"}
_DIFFUSION_NAMES = r"[a-z0-9]*dwi[a-z0-9]*|dwibs|diff|diffusion|dti|adc|dadc|eadc|tracew"
_MAP_TYPES = {"FA", "EADC", "TENSOR", "TENSOR_B0", "FAC", "COLFA", "RA", "EXP", "IVIM", "D_MAP"}
_MAP_NAMES = r"fa|colfa|eadc|exponential([ _-]?adc)?|kurtosis|ivim|perf[a-z]*"
_ADC_NAMES = r"d?adc([a-z]{0,3})?|apparent[ _-]diff[a-z]*([ _-]coeff[a-z]*)?"
_CALCULATED_NAMES = (
    r"calc[a-z]*|[a-z0-9]*calc[ _-]?b[a-z]*|syn|synth[a-z]*|computed|cdwi|sdwi"
    r"|b[ _=-]?\d+[ _-]?calc|(?:synb|cb|sb)[ _=-]?\d{3,4}"
)
_CALCULATED_TYPES = {"CALC_BVALUE", "CALCULATED_BVALUE", "CALCULATED", "COMPUTED", "SYNTHETIC"}
_B_RANGE_NAME = re.compile(r"b\d+_\d+")


def is_diffusion(facts: SeriesFacts) -> bool:
    """Whether the volume comes from diffusion imaging, maps included.

    A b-value of 0 proves nothing: Philips and GE write it into other images as well.
    """
    if _DIFFUSION_TYPES & set(facts.image_type) or (facts.b_value or 0) > 0:
        return True
    return _word(_DIFFUSION_NAMES, facts.description) or (
        facts.b_value is not None and "EP" in facts.scanning_sequence
    )


def is_calculated(facts: SeriesFacts) -> bool:
    """Whether the b-value was computed from other b-values.

    Siemens names the sequence of images derived from several b-values by their range, as in
    ``*ep_b50_800``, and an acquired one by its own b-value, as in ``*ep_b800t``.
    """
    return bool(
        _CALCULATED_TYPES & set(facts.image_type)
        or _word(_CALCULATED_NAMES, facts.description)
        or re.search(r"calc[ _-]?b[ _-]?val", facts.description.lower())
        or _B_RANGE_NAME.search(facts.sequence_name.lower())
    )


def _judge_diffusion(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    types = set(facts.image_type)
    if types & _MAP_TYPES or _word(_MAP_NAMES, facts.description):
        return Verdict(SeriesRole.OTHER, "map computed from diffusion images, not an ADC map")
    if _is_adc(facts):
        return Verdict(SeriesRole.ADC, "ADC map", candidate=True)
    if is_calculated(facts):
        b = "" if facts.b_value is None else f" b = {facts.b_value:g}"
        return Verdict(
            SeriesRole.OTHER, f"calculated{b}: computed from other b-values, not acquired"
        )
    if facts.b_value is None:
        return Verdict(
            SeriesRole.OTHER,
            "looks like diffusion, but no b-value was found: "
            "name it with --dwi-series if it is the high-b DWI",
        )
    return _judge_b_value(facts, facts.b_value, settings)


def _is_adc(facts: SeriesFacts) -> bool:
    types = {token for token in facts.image_type if token.startswith("ADC")}
    return bool(types) or _word(_ADC_NAMES, facts.description)


def _judge_b_value(facts: SeriesFacts, b_value: float, settings: SelectionSettings) -> Verdict:
    if b_value < settings.smallest_b:
        reason = f"b = {b_value:g}, below {settings.smallest_b:g} s/mm2"
        return Verdict(SeriesRole.LOW_B_DWI, reason)
    kind, notes = _diffusion_kind(facts)
    low, high = settings.b_range
    distance = max(low - b_value, b_value - high, 0.0)
    if distance:
        notes += (f"b = {b_value:g} s/mm2 lies outside {low:g}-{high:g}: second choice",)
    grade = distance + (0.0 if kind == "trace" else 1.0) - b_value / 1e5
    return Verdict(
        SeriesRole.HIGH_B_DWI,
        f"acquired b = {b_value:g} s/mm2, {kind}",
        candidate=True,
        grade=grade,
        notes=notes,
    )


def _diffusion_kind(facts: SeriesFacts) -> tuple[str, tuple[str, ...]]:
    if facts.components > 1:
        note = (
            f"{facts.components} diffusion directions or repeats combined to a trace by their "
            "geometric mean"
        )
        return f"{facts.components} directions or repeats", (note,)
    if is_trace(facts):
        return "trace", ()
    if facts.directionality == "DIRECTIONAL":
        return "one direction", ("a single diffusion direction, not a trace",)
    return "one volume", ()


def is_trace(facts: SeriesFacts) -> bool:
    """Whether the header says that directions were combined."""
    return facts.directionality == "ISOTROPIC" or bool(
        {"TRACEW", "TRACE", "ISOTROPIC"} & set(facts.image_type)
    )


# --- T1 ----------------------------------------------------------------------------------

_IN_PHASE_TYPES = {"IN_PHASE", "INPHASE", "IN PHASE", "IP", "DIXON_IN", "IN"}
_OPPOSED_TYPES = {"OUT_OF_PHASE", "OUT_PHASE", "OPP_PHASE", "OPPOSED_PHASE", "OP", "OPP", "OOP"}
_WATER_TYPES = {"WATER", "W", "DIXON_WATER"}
_FAT_TYPES = {"FAT", "F", "DIXON_FAT", "FAT_FRACTION", "FF", "T2_STAR", "R2_STAR", "R2STAR"}
_IN_PHASE_NAME = re.compile(r"(?<![a-z0-9])in[ _-]?ph(ase)?(?![a-z])|_in(?![a-z0-9])|[ _-]ip$|^ip ")
_OPPOSED_NAME = re.compile(
    r"out[ _-]?(of[ _-]?)?phase|opp(osed)?[ _-]?ph|[ _-](opp|oop|op|out)(?![a-z0-9])(?! ?fov)"
)
_WATER_NAME = re.compile(r"^water ?:|[ _-](w|water)$|(?<![a-z])water[ _-]only")
_FAT_NAME = re.compile(r"^fat ?:|[ _-](f|fat)$|fat[ _-]?fraction|fat[ _-]only|[ _-]ff$|r2[ _]?star")
_FAT_SUPPRESSED = r"fs|fat[ _-]?sat|spair|spir|stir|tirm|quick[ _-]?fat[ _-]?sat|fatsat"
_CONTRAST = r"post|gd|gad[oa][a-z]*|contrast|\+c|c\+|ce|dyn|dynamic|perfusion|dce|km|art|arterial"
_STEADY_STATE = r"tru[ef][a-z]*|trufi|fiesta|b-?ffe|balanced|tfi[23]d.*|ciss|haste|ssfse"
_NOT_T1 = (
    r"t2[a-z*]*|pd[a-z]*|flair|stir|tirm|haste|mrcp|swi|tof|angio|b0|b1|fieldmap|field[ _-]?map"
)
_T1_NAMES = r"t1[a-z]*|vibe|lava|thrive|[bm]?dixon|spgr|fspgr|flash|ideal"


def _judge_t1(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    if reason := _not_t1_weighted(facts, settings):
        return Verdict(SeriesRole.OTHER, reason)
    if reason := _t1_of_no_use(facts):
        return Verdict(SeriesRole.OTHER, reason)
    kind, reason = _t1_kind(facts, settings)
    if kind is None:
        return Verdict(SeriesRole.OTHER, reason)
    if kind <= T1Kind.IN_PHASE_BY_ECHO:
        return Verdict(SeriesRole.T1_IN_PHASE, reason, candidate=True, grade=float(kind))
    note = f"{reason}: not an in-phase T1, second choice"
    return Verdict(SeriesRole.T1_LIKE, reason, candidate=True, grade=float(kind), notes=(note,))


def _not_t1_weighted(facts: SeriesFacts, settings: SelectionSettings) -> str | None:
    gradient, echo = is_gradient_echo(facts), facts.echo_time_ms
    if _word(_STEADY_STATE, f"{facts.description} {facts.sequence_name}"):
        return "balanced or single-shot sequence, not T1-weighted"
    if "EP" in facts.scanning_sequence:
        return "echo-planar image without diffusion, not T1-weighted"
    if echo is not None and echo > settings.longest_t1_echo_ms:
        return f"T2-weighted (echo time {echo:g} ms)"
    repetition = facts.repetition_time_ms
    if not gradient and repetition is not None and repetition > settings.longest_t1_repetition_ms:
        return f"not T1-weighted (spin echo, repetition time {repetition:g} ms)"
    if _word(_NOT_T1, facts.description) and not _word(_T1_NAMES, facts.description):
        return None if gradient and _short_echo(facts) else "not T1-weighted by its name"
    return None


def is_gradient_echo(facts: SeriesFacts) -> bool:
    """Whether the sequence is a gradient echo, by the header or by the sequence's name."""
    return "GR" in facts.scanning_sequence or bool(
        re.search(r"\*?(fl|tfl)[23]d", facts.sequence_name.lower())
    )


def _short_echo(facts: SeriesFacts) -> bool:
    return facts.echo_time_ms is not None and facts.echo_time_ms < 8.0


def _t1_of_no_use(facts: SeriesFacts) -> str | None:
    types, name = set(facts.image_type), facts.description.lower()
    if types & _WATER_TYPES or _WATER_NAME.search(name):
        return "Dixon water image, not in phase"
    if types & _FAT_TYPES or _FAT_NAME.search(name):
        return "Dixon fat image or map, not in phase"
    if types & _OPPOSED_TYPES or (_OPPOSED_NAME.search(name) and not _IN_PHASE_NAME.search(name)):
        return "opposed phase"
    if facts.contrast_agent or _word(_CONTRAST, name):
        return "contrast-enhanced or dynamic"
    if facts.components > 1:
        return f"{facts.components} time points or repeats of each slice"
    if "FS" in facts.scan_options or _word(_FAT_SUPPRESSED, name):
        return "fat-suppressed: fatty marrow is dark"
    return None


def _t1_kind(facts: SeriesFacts, settings: SelectionSettings) -> tuple[T1Kind | None, str]:
    flip, gradient = facts.flip_angle_deg, is_gradient_echo(facts)
    if gradient and flip is not None and flip < settings.smallest_t1_flip_deg:
        return T1Kind.LIKE, f"gradient echo with little T1 weighting (flip angle {flip:g} degrees)"
    if set(facts.image_type) & _IN_PHASE_TYPES or _IN_PHASE_NAME.search(facts.description.lower()):
        return T1Kind.IN_PHASE, "T1 in phase, by its image type or name"
    named = _word(_T1_NAMES, facts.description)
    if gradient:
        return _gradient_kind(facts, named, settings)
    if named or _is_t1_spin_echo(facts):
        return T1Kind.ORDINARY, "ordinary T1 (spin echo)"
    return None, "neither diffusion nor T1 by its header"


def _gradient_kind(
    facts: SeriesFacts, named: bool, settings: SelectionSettings
) -> tuple[T1Kind | None, str]:
    periods, echo = periods_of_phase(facts), facts.echo_time_ms
    if echo is not None and echo > 15.0:
        return None, f"T2*-weighted gradient echo (echo time {echo:g} ms)"
    off = None if periods is None else abs(periods - round(periods))
    density = _word(_NOT_T1, facts.description)
    if periods is not None and off is not None and named and not density:
        if round(periods) >= 1 and off <= settings.phase_tolerance:
            return T1Kind.IN_PHASE_BY_ECHO, (
                f"T1 in phase by its echo time ({echo:g} ms at {facts.field_strength_t:g} T)"
            )
        if 0.5 - off <= settings.phase_tolerance / 2:
            return T1Kind.LIKE, f"T1 gradient echo near opposed phase (echo time {echo:g} ms)"
    if named and not density:
        return T1Kind.ORDINARY, "ordinary T1 (gradient echo)"
    return T1Kind.LIKE, "T1-like gradient echo, by echo time and sequence"


def _is_t1_spin_echo(facts: SeriesFacts) -> bool:
    echo, repetition = facts.echo_time_ms, facts.repetition_time_ms
    return "SE" in facts.scanning_sequence and echo is not None and repetition is not None


def periods_of_phase(facts: SeriesFacts) -> float | None:
    """Echo time in periods of fat against water: whole = in phase, half = opposed.

    None where echo time or field strength is unknown.
    """
    if not facts.echo_time_ms or not facts.field_strength_t:
        return None
    return facts.echo_time_ms * 1e-3 * _FAT_WATER_HZ_PER_T * facts.field_strength_t


# --- coverage ----------------------------------------------------------------------------


def _coverage_shortage(facts: SeriesFacts, settings: SelectionSettings) -> str | None:
    slices = facts.images // max(1, facts.components)
    if slices < settings.fewest_slices:
        return f"only {slices} slices; at least {settings.fewest_slices} are needed"
    if facts.geometry is None:
        return None
    extent = facts.geometry.extent_mm()
    if extent[0] < settings.smallest_extent_mm:
        return f"covers only {extent[0]:.0f} mm along its slices"
    if min(extent[1:]) < settings.smallest_field_mm:
        return f"field of only {extent[1]:.0f} x {extent[2]:.0f} mm"
    return _orientation_shortage(facts.geometry, settings)


def _orientation_shortage(geometry: Geometry, settings: SelectionSettings) -> str | None:
    if axial_cosine(geometry) >= settings.axial_cosine:
        return None
    if max(geometry.spacing) <= settings.isotropic_ratio * min(geometry.spacing):
        return None
    return f"{orientation_name(geometry)} with thick slices; axial is needed"


def axial_cosine(geometry: Geometry) -> float:
    """Cosine between slice normal and body axis: 1 for axial slices."""
    return abs(float(geometry.axes[0][2]))


def orientation_name(geometry: Geometry) -> str:
    """The plane that the slices are nearest to."""
    normal = [abs(float(value)) for value in geometry.axes[0]]
    return ("sagittal", "coronal", "axial")[normal.index(max(normal))]
