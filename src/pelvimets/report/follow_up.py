"""A course over time as plain data, valid under its schema, and as one page.

The published schema is ``resources/schemas/follow_up.schema.json``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Ordered
from typing import Any

from pelvimets.core.findings import Lesion
from pelvimets.core.follow_up.change import BoneChange, LesionChange, Quantity
from pelvimets.core.follow_up.course import Comparison, Course, Track
from pelvimets.core.follow_up.matching import TimePoint
from pelvimets.core.follow_up.registration import Registration
from pelvimets.core.follow_up.response import Suggestion
from pelvimets.labels import Sequence
from pelvimets.report.curve import Curve, curve_svg
from pelvimets.report.data import RESEARCH_USE
from pelvimets.report.follow_up_pictures import Images, pair_cards
from pelvimets.report.html import templates
from pelvimets.report.pictures import legend

FOLLOW_UP_VERSION = "1.0"
TO_CONFIRM = "Suggested by a rule, for a reader to confirm or change."
SOURCE = (
    "After MET-RADS-P, Table 3, bone (Padhani AR et al., Eur Urol 2017;71:81-92), as far as "
    "volumes and ADC say it: no fractures, no soft tissue, no fat, no signal on high b-values."
)


def course_to_dict(course: Course) -> dict[str, Any]:
    """Plain data of a course."""
    return {
        "schema": FOLLOW_UP_VERSION,
        "notice": RESEARCH_USE,
        "to_confirm": TO_CONFIRM,
        "source_of_categories": SOURCE,
        "patient_key": course.points[0].findings.patient_key,
        "time_points": [_point(point) for point in course.points],
        "comparisons": [_comparison(c, c is course.main) for c in _comparisons(course)],
        "tracks": [_track(track) for track in course.tracks],
    }


def _comparisons(course: Course) -> tuple[Comparison, ...]:
    """Each time point beside the one before, then the last beside the first."""
    more = () if course.main in course.steps else (course.main,)
    return (*course.steps, *more)


def _point(point: TimePoint) -> dict[str, Any]:
    findings = point.findings
    return {
        "title": point.title,
        "bundle": findings.bundle,
        "learned_from": findings.learned_from.value,
        "reliable": findings.reliable,
        "lesions": len(findings.lesions),
        "total_lesion_volume_cm3": {
            s.value: _number(f.total_lesion_volume_cm3) for s, f in findings.sequences.items()
        },
    }


def _comparison(comparison: Comparison, main: bool) -> dict[str, Any]:
    return {
        "before": comparison.before,
        "now": comparison.now,
        "main": main,
        "registrations": {
            s.value: _registration(r) for s, r in comparison.matched.registrations.items()
        },
        "lesions": [_lesion(change) for change in comparison.lesions],
        "bones": [_bone(change) for change in comparison.bones],
        "regions": [_region(suggestion) for suggestion in comparison.suggestions],
    }


def _registration(registration: Registration) -> dict[str, Any]:
    return {
        "overlap": _number(registration.overlap),
        "overlap_before": _number(registration.overlap_before),
        "shift_mm": _number(registration.shift_mm),
        "turn_deg": _number(registration.all_bones.turn_deg),
        "bodies": sorted(registration.bodies),
    }


def _lesion(change: LesionChange) -> dict[str, Any]:
    pair = change.pair
    return {
        "before": [x.number for x in pair.before],
        "now": [x.number for x in pair.now],
        "tracking_uids_before": [x.tracking_uid for x in pair.before],
        "tracking_uids_now": [x.tracking_uid for x in pair.now],
        "fate": pair.fate.value,
        "bone": pair.part.bone.key,
        "side": pair.part.side.value,
        "region": change.region.value,
        "overlap_share": _number(pair.overlap_share),
        "distance_mm": _number(pair.distance_mm),
        "sequence": None if change.sequence is None else change.sequence.value,
        "volume_cm3": _quantity(change.volume_cm3),
        "adc_um2_per_s": _quantity(change.adc_um2_per_s),
    }


def _bone(change: BoneChange) -> dict[str, Any]:
    return {
        "bone": change.part.bone.key,
        "side": change.part.side.value,
        "sequence": change.sequence.value,
        "bone_volume_cm3": _quantity(change.bone_volume_cm3),
        "lesion_volume_cm3": _quantity(change.lesion_volume_cm3),
        "lesions": _quantity(change.lesions),
        "adc_um2_per_s": _quantity(change.adc_um2_per_s),
    }


def _region(suggestion: Suggestion) -> dict[str, Any]:
    category, secondary = suggestion.category, suggestion.secondary
    return {
        "region": suggestion.region.value,
        "category": None if category is None else category.value,
        "words": None if category is None else category.words,
        "secondary": None if secondary is None else secondary.value,
        "rule": suggestion.rule,
        "facts": list(suggestion.facts),
    }


def _track(track: Track) -> dict[str, Any]:
    return {
        "title": track.title,
        "lesions": [[x.number for x in own] for own in track.lesions],
        "volume_cm3": [_number(v) for v in track.volumes_cm3],
        "adc_um2_per_s": [_adc(own) for own in track.lesions],
    }


def _adc(lesions: Ordered[Lesion]) -> float | None:
    known = [x for x in lesions if x.adc_mean_um2_per_s is not None]
    weight = sum(x.volume_cm3 for x in known)
    values = sum((x.adc_mean_um2_per_s or 0.0) * x.volume_cm3 for x in known)
    return _number(values / weight) if weight else None


def _quantity(quantity: Quantity) -> dict[str, float | None]:
    return {
        "before": _number(quantity.before),
        "now": _number(quantity.now),
        "change_percent": _number(quantity.change_percent),
    }


def _number(value: float | None) -> float | None:
    if value is None or math.isnan(value) or math.isinf(value):
        return None
    return round(float(value), 4)


def render_course(course: Course, created: str, images: Ordered[Images] = ()) -> str:
    """The course as one HTML page that opens offline; everything printed is escaped.

    Args:
        course: What was found.
        created: When, in words.
        images: What was acquired at each time point; without them lesions have no pictures.
    """
    cards = [pair_cards(course, c, images) if images else () for c in _comparisons(course)]
    environment = templates()
    environment.filters["plain"] = _plain
    environment.filters["signed"] = _signed
    template = environment.get_template("follow_up.html.j2")
    return template.render(
        course=course_to_dict(course),
        created=created,
        learned=sorted({p.findings.learned_from.words for p in course.points}),
        curves=[curve_svg(curve) for curve in course_curves(course)],
        cards=cards,
        legend={name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in legend().items()},
    )


def course_curves(course: Course) -> list[Curve]:
    """Volume and ADC over time."""
    titles = [point.title for point in course.points]
    volumes = {f"all lesions, {s.title}": list(course.total_volume_cm3(s)) for s in Sequence}
    totals = {name: row for name, row in volumes.items() if any(v is not None for v in row)}
    lesions = {f"lesion {t.title}": list(t.volumes_cm3) for t in course.tracks[:8]}
    adc = {f"lesion {t.title}": [_adc(own) for own in t.lesions] for t in course.tracks[:8]}
    curves = [Curve("Volume of all lesions, cm3", titles, totals)]
    if lesions:
        curves.append(Curve("Volume of each lesion, cm3", titles, lesions))
    if any(v is not None for values in adc.values() for v in values):
        curves.append(Curve("Mean ADC of each lesion, um2/s", titles, adc))
    return curves


def _plain(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.0f} %"
