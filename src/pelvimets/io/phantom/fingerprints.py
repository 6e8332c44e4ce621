"""Fingerprints of a cohort's files, to know a frozen cohort again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pelvimets.errors import PelvimetsError
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.names import image_name
from pelvimets.phantom.cohort.benchmark import (
    IMAGES,
    MASKS,
    Agreement,
    Fingerprint,
    agreement,
    fingerprint,
)


def patient_fingerprints(
    folder: Path, names: tuple[str, ...] = (*IMAGES, *MASKS)
) -> dict[str, Any]:
    """Fingerprint of each volume of a patient's folder, by name.

    Raises:
        InputError: if a file is missing or damaged.
    """
    return {
        name: fingerprint(read_nifti(folder / image_name(name)), labels=name in MASKS)
        for name in names
    }


def compare_patient(
    folder: Path, frozen: Mapping[str, Fingerprint], names: tuple[str, ...] = (*IMAGES, *MASKS)
) -> dict[str, Agreement]:
    """How each volume of a patient's folder agrees with the frozen one; missing is different."""
    found = {}
    for name in names:
        try:
            own = patient_fingerprints(folder, (name,))[name]
            found[name] = agreement(own, frozen[name])
        except PelvimetsError:
            found[name] = Agreement.DIFFERENT
    return found
