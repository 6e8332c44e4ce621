"""Findings as plain data and back: ``findings.json`` and ``lesions.csv``.

The published schema is ``resources/schemas/findings.schema.json``.
"""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from pelvimets.core.findings import (
    LESION_COLUMNS,
    BonePart,
    Burden,
    Findings,
    Lesion,
    Lesions,
    QualityFlag,
    SequenceFindings,
    SequenceLesion,
)
from pelvimets.core.schema import check_schema, plain
from pelvimets.labels import Bone, LearnedFrom, Sequence, Side

FINDINGS_VERSION = "1.1"
RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment."
SCANNED_FIELD = "in the scanned field"
READ_FIELD = "in the part of the scanned field that was read"
SUSPICION_WORDING = f"suspicious for M1b {SCANNED_FIELD}"
NO_SUSPICION_WORDING = f"no lesion suspicious for M1b found {SCANNED_FIELD}"
WEAK_WORDING = f"not suspicious for M1b {SCANNED_FIELD}: {{}} too uncertain"
WITHHELD_WORDING = "no statement: the result needs review"


def suspicion_wording(findings: Findings) -> str:
    """What may be said of M staging: never a patient-wide M0, nothing on a doubtful result."""
    if not findings.reliable:
        return WITHHELD_WORDING
    wording = _wording(findings)
    return wording.replace(SCANNED_FIELD, READ_FIELD) if findings.partly_read else wording


def _wording(findings: Findings) -> str:
    if findings.m1_suspected:
        return SUSPICION_WORDING
    count = len(findings.lesions)
    if count:
        return WEAK_WORDING.format(
            "the lesion listed is" if count == 1 else "the lesions listed are"
        )
    return NO_SUSPICION_WORDING


@cache
def findings_schema() -> dict[str, Any]:
    """The published JSON Schema."""
    path = resources.files("pelvimets.resources") / "schemas" / "findings.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def findings_to_dict(findings: Findings) -> dict[str, Any]:
    """Plain data of findings, valid under the published schema."""
    return {
        "schema": FINDINGS_VERSION,
        "notice": RESEARCH_USE,
        "patient_key": findings.patient_key,
        "bundle": findings.bundle,
        "learned_from": findings.learned_from.value,
        "m1_suspicion": {
            "suspected": findings.m1_suspected if findings.reliable else None,
            "wording": suspicion_wording(findings),
            "score": findings.patient_score,
        },
        "lesions": [_lesion_to_dict(lesion) for lesion in findings.lesions],
        "sequences": {s.value: _sequence_to_dict(f) for s, f in findings.sequences.items()},
        "flags": plain(findings.flags),
    }


def findings_from_dict(data: dict[str, Any]) -> Findings:
    """Rebuild findings from plain data.

    Raises:
        InputError: if the data do not follow the schema; the first violation is named.
    """
    remedy = "Write it with this version of pelvimets, or mend the place named"
    check_schema(data, findings_schema(), "findings.json", remedy)
    sequences = {Sequence(s): _sequence_from_dict(s, f) for s, f in data["sequences"].items()}
    return Findings(
        patient_key=data["patient_key"],
        bundle=data["bundle"],
        lesions=Lesions(_lesion_from_dict(item) for item in data["lesions"]),
        sequences=sequences,
        patient_score=data["m1_suspicion"]["score"],
        m1_suspected=any(f.m1_suspected for f in sequences.values()),
        flags=msgspec.convert(data["flags"], tuple[QualityFlag, ...]),
        learned_from=LearnedFrom(data.get("learned_from", LearnedFrom.UNKNOWN)),
    )


def _part_to_dict(part: BonePart) -> dict[str, str]:
    return {"bone": part.bone.key, "side": part.side.value}


def _part_from_dict(data: dict[str, Any]) -> BonePart:
    return BonePart(Bone[data["bone"].upper()], Side(data["side"]))


def _lesion_to_dict(lesion: Lesion) -> dict[str, Any]:
    return {
        "number": lesion.number,
        "tracking_uid": lesion.tracking_uid,
        **_part_to_dict(lesion.part),
        "volume_cm3": lesion.volume_cm3,
        "largest_axial_diameter_mm": lesion.largest_axial_diameter_mm,
        "adc_mean_um2_per_s": lesion.adc_mean_um2_per_s,
        "adc_median_um2_per_s": lesion.adc_median_um2_per_s,
        "score": lesion.score,
        "seen_on": plain(lesion.seen_on),
    }


def _lesion_from_dict(data: dict[str, Any]) -> Lesion:
    return Lesion(
        number=data["number"],
        tracking_uid=data["tracking_uid"],
        part=_part_from_dict(data),
        seen_on=msgspec.convert(data["seen_on"], dict[Sequence, SequenceLesion]),
        adc_mean_um2_per_s=data["adc_mean_um2_per_s"],
        adc_median_um2_per_s=data["adc_median_um2_per_s"],
    )


def _sequence_to_dict(findings: SequenceFindings) -> dict[str, Any]:
    return {
        "lesion_count": len(findings.lesions),
        "total_lesion_volume_cm3": findings.total_lesion_volume_cm3,
        "patient_score": findings.patient_score,
        "m1_suspected": findings.m1_suspected,
        "lesions": plain(findings.lesions),
        "burden": [
            {
                **_part_to_dict(burden.part),
                "bone_volume_cm3": burden.bone_volume_cm3,
                "lesion_volume_cm3": burden.lesion_volume_cm3,
                "lesions": burden.lesions,
                "fraction": burden.fraction,
            }
            for burden in findings.burden
        ],
    }


def _sequence_from_dict(name: str, data: dict[str, Any]) -> SequenceFindings:
    return SequenceFindings(
        sequence=Sequence(name),
        lesions=msgspec.convert(data["lesions"], tuple[SequenceLesion, ...]),
        total_lesion_volume_cm3=data["total_lesion_volume_cm3"],
        burden=tuple(_burden_from_dict(burden) for burden in data["burden"]),
        patient_score=data["patient_score"],
        m1_suspected=data["m1_suspected"],
    )


def _burden_from_dict(data: dict[str, Any]) -> Burden:
    return Burden(
        _part_from_dict(data), data["bone_volume_cm3"], data["lesion_volume_cm3"], data["lesions"]
    )


def lesions_csv(findings: Findings) -> str:
    """The lesion list as CSV: one row per lesion, empty cells where a value does not exist."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(LESION_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(lesion) for lesion in findings.lesions)
    return text.getvalue()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


_DIGITS = {
    "volume_cm3": 3,
    "largest_axial_diameter_mm": 1,
    "adc_mean_um2_per_s": 1,
    "adc_median_um2_per_s": 1,
    "score": 4,
}


def _cells(lesion: Lesion) -> dict[str, Any]:
    return {
        name: "" if value is None else round(value, _DIGITS[name]) if name in _DIGITS else value
        for name, value in lesion.row.items()
    }
