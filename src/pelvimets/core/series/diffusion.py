"""Assess diffusion images: acquired or calculated, trace or directions, ADC or another map.

Source: DICOM PS3.3 C.8.13.5.9 (MR Diffusion Macro) and C.8.13.3.1 (image types).
"""

from __future__ import annotations

import re

from pelvimets.config import SelectionSettings
from pelvimets.core.series.facts import SeriesFacts, Verdict, has_word
from pelvimets.core.study import SeriesRole

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
NO_B_VALUE = "looks like diffusion, but no b-value was found"
_B_RANGE_NAME = re.compile(r"b\d+_\d+")


def is_diffusion(facts: SeriesFacts) -> bool:
    """Whether the volume comes from diffusion imaging, maps included.

    A b-value of 0 proves nothing: Philips and GE write it into other images as well.
    """
    if _DIFFUSION_TYPES & set(facts.image_type) or (facts.b_value or 0) > 0:
        return True
    return has_word(_DIFFUSION_NAMES, facts.description) or (
        facts.b_value is not None and "EP" in facts.scanning_sequence
    )


def is_calculated(facts: SeriesFacts) -> bool:
    """Whether the b-value was computed from other b-values.

    Siemens names the sequence of images derived from several b-values by their range, as in
    ``*ep_b50_800``, and an acquired one by its own b-value, as in ``*ep_b800t``.
    """
    return bool(
        _CALCULATED_TYPES & set(facts.image_type)
        or has_word(_CALCULATED_NAMES, facts.description)
        or re.search(r"calc[ _-]?b[ _-]?val", facts.description.lower())
        or _B_RANGE_NAME.search(facts.sequence_name.lower())
    )


def assess_diffusion(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    """Say what a diffusion volume is; a candidate is an ADC map or an acquired high b-value."""
    types = set(facts.image_type)
    if types & _MAP_TYPES or has_word(_MAP_NAMES, facts.description):
        return Verdict(SeriesRole.OTHER, "map computed from diffusion images, not an ADC map")
    if _is_adc(facts):
        return Verdict(SeriesRole.ADC, "ADC map", candidate=True)
    if is_calculated(facts):
        b = "" if facts.b_value is None else f" b = {facts.b_value:g}"
        return Verdict(
            SeriesRole.OTHER, f"calculated{b}: computed from other b-values, not acquired"
        )
    if facts.b_value is None:
        return Verdict(SeriesRole.OTHER, f"{NO_B_VALUE}: {_what_to_do(facts)}")
    return _assess_b_value(facts, facts.b_value, settings)


def _what_to_do(facts: SeriesFacts) -> str:
    if facts.components > 1:
        return (
            f"which of its {facts.components} images of each slice is the high-b one cannot be "
            "told, export that one as a series of its own"
        )
    return "name it with --dwi-series if it is the high-b DWI"


def _is_adc(facts: SeriesFacts) -> bool:
    types = {token for token in facts.image_type if token.startswith("ADC")}
    return bool(types) or has_word(_ADC_NAMES, facts.description)


def _assess_b_value(facts: SeriesFacts, b_value: float, settings: SelectionSettings) -> Verdict:
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
