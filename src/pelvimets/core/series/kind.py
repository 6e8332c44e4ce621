"""Assess one volume: what it is, whether it covers enough, and whether it may be taken."""

from __future__ import annotations

from dataclasses import replace

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.series.diffusion import assess_diffusion, is_diffusion
from pelvimets.core.series.facts import (
    SeriesFacts,
    Verdict,
    axial_cosine,
    orientation_name,
)
from pelvimets.core.series.t1 import assess_t1
from pelvimets.core.series.words import LOCALISER, PROJECTION, REFORMAT, SUBTRACTION
from pelvimets.core.study import SeriesRole

T1_ROLES = (SeriesRole.T1_IN_PHASE, SeriesRole.T1_LIKE)
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
    (LOCALISER, "localiser"),
    (SUBTRACTION, "subtraction, not an acquired image"),
    (PROJECTION, "projection, not slices"),
    (REFORMAT, "reformatted copy of another series"),
)


def assess(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    """Say what a volume is and whether it is a candidate."""
    verdict = kind_of(facts, settings)
    if not verdict.candidate:
        return verdict
    if shortage := _coverage_shortage(facts, settings):
        return Verdict(verdict.role, f"{verdict.reason}: {shortage}")
    return _graded_by_orientation(verdict, facts.geometry, settings)


def kind_of(facts: SeriesFacts, settings: SelectionSettings) -> Verdict:
    """Say what a volume is, whatever it covers."""
    if facts.unusable:
        return Verdict(SeriesRole.OTHER, facts.unusable)
    if copy := copy_kind(facts):
        return Verdict(SeriesRole.OTHER, copy)
    return assess_diffusion(facts, settings) if is_diffusion(facts) else assess_t1(facts, settings)


def same_kind(first: SeriesFacts, second: SeriesFacts) -> bool:
    """Whether two volumes are judged alike: nothing that their headers differ in has a meaning."""
    settings = SelectionSettings()
    a, b = kind_of(first, settings), kind_of(second, settings)
    if a.candidate and b.candidate:
        return a.role == b.role or {a.role, b.role} <= {*T1_ROLES}
    return (a.role, a.reason, a.candidate) == (b.role, b.reason, b.candidate)


def _graded_by_orientation(
    verdict: Verdict, geometry: Geometry | None, settings: SelectionSettings
) -> Verdict:
    """Put any axial volume before one that is not."""
    if geometry is None or axial_cosine(geometry) >= settings.axial_cosine:
        return verdict
    note = f"{orientation_name(geometry)} acquisition, taken only where no axial one serves"
    return replace(verdict, grade=verdict.grade + _NOT_AXIAL, notes=(*verdict.notes, note))


_NOT_AXIAL = 1e6  # beyond every other grade


def copy_kind(facts: SeriesFacts) -> str | None:
    """Why an image is none of its own: localiser, subtraction, phase, ...; None if it is one."""
    for token in facts.image_type:
        if token in _COPIES:
            return _COPIES[token]
    if _NOT_MAGNITUDE & set(facts.image_type[2:]):
        return "phase, real or imaginary part, not a magnitude image"
    return next((reason for idea, reason in _COPY_NAMES if idea.stated(facts.description)), None)


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
