"""What a model card shows of the results of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pelvimets.labels import Bone, Sequence


def evaluation_facts(results: Mapping[str, Any], name: str, lines: list[str]) -> dict[str, Any]:
    """What the card shows of ``results.json``."""
    readings = {r: _reading(r, results) for r in ("dwi", "t1", "either") if r in results["lesion"]}
    truth = [call["truth"] for call in results["patient"].get("either", {}).get("calls", [])]
    return {
        "name": name,
        "in_silico": bool(results["settings"]["in_silico"]),
        "smallest_iou": results["settings"]["smallest_iou"],
        "patients": len(results["patients"]),
        "m1": sum(truth),
        "commands": lines,
        "voxel": {s.value: _bones(results, s) for s in Sequence},
        "lesions": readings,
    }


def _bones(results: Mapping[str, Any], sequence: Sequence) -> dict[str, Any]:
    keys = {bone.key for bone in Bone}
    rows = {
        row["structure"]: row["measures"]
        for row in results["voxel_summary"]
        if row["sequence"] == sequence.value and row["structure"] in keys
    }
    own = {
        key: {"dsc": _plain(m["dsc"]["mean"]), "hd_mm": _plain(m["hd_mm"]["mean"])}
        for key, m in rows.items()
    }
    full = [value for value in own.values() if value["dsc"] is not None]
    if full:
        own["mean"] = {
            "dsc": _plain(float(np.mean([v["dsc"] for v in full]))),
            "hd_mm": _plain(float(np.mean([v["hd_mm"] for v in full]))),
        }
    return own


def _reading(reading: str, results: Mapping[str, Any]) -> dict[str, Any]:
    lesion, patient = results["lesion"][reading], results["patient"].get(reading, {})
    healthy = sum(case["reference"] == 0 for case in lesion["cases"])
    masks = [
        row["measures"]["dsc"]["mean"]
        for row in results["voxel_summary"]
        if row["sequence"] == reading and row["structure"] == "lesions"
    ]
    facts: dict[str, Any] = {
        "by_rule": {rule: _of_rule(own, healthy) for rule, own in lesion["by_rule"].items()},
        "average_precision": _estimate(lesion["average_precision"]),
        "dsc": _plain(masks[0]) if masks else None,
        "ece": _ece(lesion["calibration"]),
        "auc": _interval(patient.get("auc")),
        "sensitivity": _rate(patient.get("sensitivity")),
        "specificity": _rate(patient.get("specificity")),
        "patient_ece": _ece(patient.get("calibration")),
        "false_by_mimic": lesion["false_by_mimic"],
    }
    if patient.get("calibration"):
        facts["reliability"] = [
            {
                "n": b["n"],
                "mean_score": _plain(b["mean_score"]),
                "observed": _plain(b["observed"]["estimate"]),
                "low": _plain(b["observed"]["low"]),
                "high": _plain(b["observed"]["high"]),
            }
            for b in patient["calibration"]["bins"]
        ]
    return facts


def _of_rule(found: Mapping[str, Any], healthy: int) -> dict[str, Any]:
    return {
        "recall": _rate(found["recall"]),
        "precision": _rate(found["precision"]),
        "false_per_m0": round(found["false_in_m0"] / healthy, 4) if healthy else None,
    }


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _rate(rate: Mapping[str, Any] | None) -> list[Any] | None:
    if rate is None or _plain(rate["estimate"]) is None:
        return None
    return [_plain(rate["estimate"]), rate["numerator"], rate["denominator"]]


def _estimate(interval: Mapping[str, Any] | None) -> float | None:
    return None if interval is None else _plain(interval["estimate"])


def _interval(interval: Mapping[str, Any] | None) -> list[float | None] | None:
    return None if interval is None else [_plain(interval[k]) for k in ("estimate", "low", "high")]


def _ece(calibration: Mapping[str, Any] | None) -> float | None:
    return None if calibration is None else _plain(calibration["expected_calibration_error"])
