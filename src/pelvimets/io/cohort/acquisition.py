"""How the images of a patient were made: from DICOM headers, kept beside the images.

``acquisition.json`` in a patient's folder holds one object per sequence, with the fields of
``FIELDS``; ``import`` writes it from the JSON files that converters such as dcm2niix leave beside
a NIfTI file, ``predict`` keeps the same facts of a DICOM study in ``run.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pelvimets.io.nifti.files import SUFFIXES
from pelvimets.io.phantom.record import PATIENT_RECORD
from pelvimets.io.record.output import RECORD_NAME, write_json
from pelvimets.labels import Sequence

ACQUISITION_NAME = "acquisition.json"
FIELDS = (
    "scanner",
    "field_strength_t",
    "b_value_s_per_mm2",
    "echo_time_ms",
    "repetition_time_ms",
    "flip_angle_deg",
    "bandwidth_hz_per_px",
    "thickness_mm",
)
Protocol = Mapping[str, float | str]
"""Some of ``FIELDS``."""

_SIDECAR = {  # BIDS names, with the factor to our units
    "MagneticFieldStrength": ("field_strength_t", 1.0),
    "EchoTime": ("echo_time_ms", 1000.0),
    "RepetitionTime": ("repetition_time_ms", 1000.0),
    "FlipAngle": ("flip_angle_deg", 1.0),
    "PixelBandwidth": ("bandwidth_hz_per_px", 1.0),
    "SliceThickness": ("thickness_mm", 1.0),
    "DiffusionBValue": ("b_value_s_per_mm2", 1.0),
}


def read_sidecar(image: Path) -> dict[str, float | str]:
    """What the JSON file beside a NIfTI image says of its protocol; {} without one."""
    stem = next((image.name.removesuffix(s) for s in SUFFIXES if image.name.endswith(s)), "")
    data = _json(image.with_name(f"{stem}.json")) if stem else {}
    found: dict[str, float | str] = {}
    words = [str(data[k]).strip() for k in ("Manufacturer", "ManufacturersModelName") if k in data]
    if words:
        found["scanner"] = " ".join(words)
    for name, (field, factor) in _SIDECAR.items():
        if (value := _number(data.get(name))) is not None:
            found[field] = round(value * factor, 6)
    return found


def write_acquisition(folder: Path, protocols: Mapping[Sequence, Protocol]) -> None:
    """Keep the protocols of a patient; nothing is written if nothing is known."""
    known = {sequence.value: dict(own) for sequence, own in protocols.items() if own}
    if known:
        write_json(folder / ACQUISITION_NAME, known)


def read_acquisition(reference: Path, prediction: Path) -> dict[Sequence, Protocol]:
    """Protocols of a patient: kept at import, of a digital patient, or of the DICOM study read.

    Args:
        reference, prediction: His folders on either side.
    """
    kept = _json(reference / ACQUISITION_NAME)
    if not kept and (scanner := _json(reference / PATIENT_RECORD).get("scanner")):
        kept = _digital(scanner)
    if not kept:
        kept = _json(prediction / RECORD_NAME).get("inputs", {})
    return {s: own for s in Sequence if (own := _known(kept.get(s.value)))}


def _digital(scanner: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Protocols as a digital patient's record tells them."""
    diffusion, dixon = scanner.get("diffusion", {}), scanner.get("dixon", {})
    both = {
        "scanner": f"{scanner.get('vendor', '')} {scanner.get('model', '')}".strip(),
        "field_strength_t": scanner.get("field_strength_t"),
    }
    return {
        Sequence.DWI.value: {
            **both,
            "b_value_s_per_mm2": max(diffusion.get("b_values_s_per_mm2") or [None]),
            "echo_time_ms": diffusion.get("te_ms"),
            "repetition_time_ms": diffusion.get("tr_ms"),
        },
        Sequence.T1.value: {
            **both,
            "echo_time_ms": dixon.get("te_in_ms"),
            "repetition_time_ms": dixon.get("tr_ms"),
            "flip_angle_deg": dixon.get("flip_deg"),
            "bandwidth_hz_per_px": dixon.get("pixel_bandwidth_hz"),
        },
    }


def _known(own: Any) -> dict[str, float | str]:
    if not isinstance(own, Mapping):
        return {}
    found: dict[str, float | str] = {}
    for field in FIELDS:
        value = own.get(field)
        if field == "scanner" and isinstance(value, str) and value:
            found[field] = value
        elif field != "scanner" and (number := _number(value)) is not None:
            found[field] = number
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _json(path: Path) -> dict[str, Any]:
    """Content of a JSON file; {} if there is none or it cannot be read: facts are an extra."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
