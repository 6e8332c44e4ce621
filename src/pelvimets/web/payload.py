"""What the page is told: a study under review as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pelvimets.core.findings import Lesion
from pelvimets.core.review import LesionReview
from pelvimets.labels import Bone, Sequence
from pelvimets.reading_room.beside import PriorImage
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.report.data import RESEARCH_USE, suspicion_wording


def study_payload(desk: ReviewDesk, in_worklist: bool = False) -> dict[str, Any]:
    """Everything the page shows beside the images; positions in LPS mm, as in the findings."""
    findings, review = desk.findings, desk.review
    lesions = {lesion.number: lesion for lesion in desk.lesions}
    return {
        "notice": RESEARCH_USE,
        "patient_key": findings.patient_key,
        "bundle": findings.bundle,
        "suspicion": suspicion_wording(findings),
        "m1_suspected": findings.m1_suspected if findings.reliable else None,
        "patient_score": findings.patient_score,
        "flags": [
            {"level": f.level.value, "message": f.message, "sequence": f.sequence}
            for f in findings.flags
        ],
        "images": [*(_image(desk, key) for key in desk.images), *map(_prior, desk.beside.prior)],
        "series": [{"key": key, "title": title} for key, title in desk.beside.series.items()],
        "role": desk.read_as.role,
        "reader_name": review.reader,
        "in_worklist": in_worklist,
        "bones": [{"value": int(b), "title": b.title, "colour": list(b.colour)} for b in Bone],
        "lesions": [_lesion(desk, entry, lesions.get(entry.number)) for entry in review.lesions],
        "review": {
            "reader": review.reader,
            "comment": review.comment,
            "signed": review.signed,
            "changed": review.changed,
            "verified": review.verified,
            "organisation": review.organisation,
            "bones": {s.value: [b.title for b in bones] for s, bones in review.bones.items()},
            "outputs_current": desk.outputs_current,
        },
        "has_report": desk.has_report,
        "version": desk.version,
    }


def _image(desk: ReviewDesk, key: str) -> dict[str, Any]:
    masks = key if key in desk.sequences else Sequence.DWI.value
    return {
        "key": key,
        "title": desk.titles[key],
        "masks": masks if masks in desk.sequences else None,
        "editable": key in desk.sequences,
    }


def _prior(image: PriorImage) -> dict[str, Any]:
    return {
        "key": image.key,
        "title": image.title,
        "masks": image.masks,
        "editable": False,
        "labels": image.labels,
        "transform": image.motion.tolist(),
    }


def _lesion(desk: ReviewDesk, entry: LesionReview, lesion: Lesion | None) -> dict[str, Any]:
    measured = {} if lesion is None else _measured(lesion)
    return {
        "number": entry.number,
        "origin": entry.origin.value,
        "verdict": entry.verdict.value,
        "note": entry.note,
        "edited": [s.value for s in entry.edited],
        "labels": {s.value: label for s, label in entry.labels.items()},
        "readings": {key: asdict(said) for key, said in desk.opinions(entry.number).items()},
        "differs": desk.differs(entry.number),
        **measured,
    }


def _measured(lesion: Lesion) -> dict[str, Any]:
    return {
        "title": lesion.part.title,
        "volume_cm3": lesion.volume_cm3,
        "largest_axial_diameter_mm": lesion.largest_axial_diameter_mm,
        "adc_mean_um2_per_s": lesion.adc_mean_um2_per_s,
        "adc_median_um2_per_s": lesion.adc_median_um2_per_s,
        "score": lesion.score,
        "seen_on": {
            s.value: {
                "label": seen.label,
                "volume_cm3": seen.volume_cm3,
                "largest_axial_diameter_mm": seen.largest_axial_diameter_mm,
                "centre_lps_mm": list(seen.centre_lps_mm),
                "score": seen.score,
            }
            for s, seen in lesion.seen_on.items()
        },
    }
