"""Assess whether a volume is a T1 in phase, an ordinary T1, or neither.

Fat and water are 3.4 ppm apart: they are in phase every 4.6 ms at 1.5 T and every 2.3 ms at
3 T. Image types by DICOM PS3.3 C.8.3.1.1.1 and C.8.13.3.1, and as the vendors write them.
"""

from __future__ import annotations

import re
from enum import IntEnum

from pelvimets.config import SelectionSettings
from pelvimets.core.series.facts import SeriesFacts, Verdict, has_word
from pelvimets.core.series.words import (
    AGENT,
    DYNAMIC,
    FAT_SUPPRESSION,
    names_fat,
    names_in_phase,
    names_opposed_phase,
    names_water,
)
from pelvimets.core.study import SeriesRole
from pelvimets.labels import FurtherInput

_FAT_WATER_HZ_PER_T = 3.4e-6 * 42.577e6


class T1Kind(IntEnum):
    """How good a T1 is, best first."""

    IN_PHASE = 0
    IN_PHASE_BY_ECHO = 1
    ORDINARY = 2
    LIKE = 3


_IN_PHASE_TYPES = {"IN_PHASE", "INPHASE", "IN PHASE", "IP", "DIXON_IN", "IN"}
_OPPOSED_TYPES = {"OUT_OF_PHASE", "OUT_PHASE", "OPP_PHASE", "OPPOSED_PHASE", "OP", "OPP", "OOP"}
_WATER_TYPES = {"WATER", "W", "DIXON_WATER"}
_MAP_TYPES = {"FAT_FRACTION", "FF", "T2_STAR", "R2_STAR", "R2STAR"}
_FAT_TYPES = {"FAT", "F", "DIXON_FAT"} | _MAP_TYPES
_MAP_NAMES = r"ff|fat[ _-]?fraction|r2[ _]?star|t2[ _]?star"
_STEADY_STATE = r"tru[ef][a-z]*|trufi|fiesta|b-?ffe|balanced|tfi[23]d.*|ciss|haste|ssfse"
_NOT_T1 = (
    r"t2[a-z*]*|pd[a-z]*|flair|stir|tirm|haste|mrcp|swi|tof|angio|b0|b1|fieldmap|field[ _-]?map"
)
_T1_NAMES = r"t1[a-z]*|vibe|lava|thrive|[bm]?dixon|spgr|fspgr|flash|ideal"


def assess_t1(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    """Say what an image without diffusion is; anything but an in-phase T1 gets a flag."""
    if reason := not_t1_weighted(facts, settings):
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


def not_t1_weighted(facts: SeriesFacts, settings: SelectionSettings) -> str | None:
    """Why an image is not T1-weighted, by its timing or name; None if it may be."""
    gradient, echo = is_gradient_echo(facts), facts.echo_time_ms
    if has_word(_STEADY_STATE, f"{facts.description} {facts.sequence_name}"):
        return "balanced or single-shot sequence, not T1-weighted"
    if "EP" in facts.scanning_sequence:
        return "echo-planar image without diffusion, not T1-weighted"
    if echo is not None and echo > settings.longest_t1_echo_ms:
        return f"T2-weighted (echo time {echo:g} ms)"
    repetition = facts.repetition_time_ms
    if not gradient and repetition is not None and repetition > settings.longest_t1_repetition_ms:
        return f"not T1-weighted (spin echo, repetition time {repetition:g} ms)"
    if has_word(_NOT_T1, facts.description) and not has_word(_T1_NAMES, facts.description):
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
    if part := _dixon_part(facts):
        return part
    if contrast := contrast_of(facts):
        return contrast
    if facts.components > 1:
        return f"{facts.components} time points or repeats of each slice"
    if _is_fat_suppressed(facts):
        return "fat-suppressed: fatty marrow is dark"
    return None


def _dixon_part(facts: SeriesFacts) -> str | None:
    """The part of a Dixon that is not in phase: by image type, else by name."""
    types, name = set(facts.image_type), facts.description
    by_type = not types.isdisjoint(_IN_PHASE_TYPES)
    if types & _WATER_TYPES or (not by_type and names_water(name)):
        return "Dixon water image, not in phase"
    if types & _FAT_TYPES or (not by_type and names_fat(name)):
        return "Dixon fat image or map, not in phase"
    if types & _OPPOSED_TYPES or (not by_type and _is_opposed_by_name(facts)):
        return "opposed phase"
    return None


def dixon_input(facts: SeriesFacts) -> FurtherInput | None:
    """The part of a Dixon that an image is, if it is no map and not in phase."""
    types, part = set(facts.image_type), _dixon_part(facts)
    if part is None or types & _MAP_TYPES or has_word(_MAP_NAMES, facts.description):
        return None
    by_words = {"water": FurtherInput.WATER, "fat": FurtherInput.FAT}
    return next((k for w, k in by_words.items() if f"Dixon {w}" in part), FurtherInput.OUT_PHASE)


def _is_opposed_by_name(facts: SeriesFacts) -> bool:
    """A name of both phases stands over a double echo; there the echo time decides."""
    if not names_opposed_phase(facts.description):
        return False
    if not names_in_phase(facts.description):
        return True
    periods = periods_of_phase(facts)
    return periods is not None and abs(periods - round(periods)) > 0.25


def contrast_of(facts: SeriesFacts) -> str | None:
    """What the header says of an agent comes first; against a name of one it is not believed."""
    if facts.contrast_agent is False:
        named = "contrast-enhanced by its name, though the header says that no agent was given"
        return named if AGENT.stated(facts.description) else None
    if facts.contrast_agent or any(i.stated(facts.description) for i in (AGENT, DYNAMIC)):
        return "contrast-enhanced or dynamic"
    return None


def _is_fat_suppressed(facts: SeriesFacts) -> bool:
    if set(facts.image_type) & _IN_PHASE_TYPES:
        return False
    by_option = "FS" in facts.scan_options and not _is_in_phase(facts)
    return by_option or FAT_SUPPRESSION.stated(facts.description)


def _t1_kind(facts: SeriesFacts, settings: SelectionSettings) -> tuple[T1Kind | None, str]:
    flip, gradient = facts.flip_angle_deg, is_gradient_echo(facts)
    if gradient and flip is not None and flip < settings.smallest_t1_flip_deg:
        return T1Kind.LIKE, f"gradient echo with little T1 weighting (flip angle {flip:g} degrees)"
    if _is_in_phase(facts):
        return T1Kind.IN_PHASE, "T1 in phase, by its image type or name"
    named = has_word(_T1_NAMES, facts.description)
    if gradient:
        return _gradient_kind(facts, named, settings)
    if named or _is_t1_spin_echo(facts):
        kind = " (spin echo)" if "SE" in facts.scanning_sequence else ""
        return T1Kind.ORDINARY, f"ordinary T1{kind}"
    return None, "neither diffusion nor T1 by its header"


def _is_in_phase(facts: SeriesFacts) -> bool:
    types = set(facts.image_type) & _IN_PHASE_TYPES
    return bool(types) or names_in_phase(facts.description)


def _gradient_kind(
    facts: SeriesFacts, named: bool, settings: SelectionSettings
) -> tuple[T1Kind | None, str]:
    periods, echo = periods_of_phase(facts), facts.echo_time_ms
    if echo is not None and echo > 15.0:
        return None, f"T2*-weighted gradient echo (echo time {echo:g} ms)"
    off = None if periods is None else abs(periods - round(periods))
    density = has_word(_NOT_T1, facts.description)
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
