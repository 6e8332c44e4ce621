"""``run.json``: what a run of ``predict`` says of itself."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pelvimets import __version__
from pelvimets.config import settings_to_dict
from pelvimets.core.budget import Budget
from pelvimets.core.digest import volume_digest
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.study import Study
from pelvimets.errors import InputError, reason
from pelvimets.io.record.acquisitions import acquisition_to_dict
from pelvimets.io.record.output import RECORD_NAME
from pelvimets.io.record.stages import StageClock

_PACKAGES = ("numpy", "scipy", "SimpleITK", "pydicom", "openvino", "connected-components-3d")


def read_run_record(out: Path) -> dict[str, Any]:
    """The record in the folder of a result.

    Raises:
        InputError: if there is none or it cannot be read.
    """
    try:
        record: dict[str, Any] = json.loads((out / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "The run record cannot be read",
            got=f"{RECORD_NAME}: {reason(error)}",
            remedy="Run 'pelvimets predict' again",
        ) from error
    return record


def run_record(
    study: Study, segmenter: Segmenter, clock: StageClock, created: datetime, budget: Budget
) -> dict[str, Any]:
    """What was read by which networks, when, how long it took, and what was expected of it."""
    inputs = {
        name: {"sha256": volume_digest(item.volume), **acquisition_to_dict(item)}
        for name, item in study.acquisitions.items()
    }
    return {
        "pelvimets": __version__,
        "created": created.isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "bundle": {"name": segmenter.name, "weights_sha256": segmenter.weights_sha256},
        "settings": settings_to_dict(segmenter.settings),
        "inputs": inputs,
        **_further(study),
        "notes": list(study.notes),
        "series": [asdict(decision) for decision in study.decisions],
        "stages": clock.stages,
        "seconds": round(clock.seconds, 3),
        "estimate": {"memory_mib": round(budget.memory_mib), "seconds": round(budget.seconds, 1)},
    }


def _further(study: Study) -> dict[str, Any]:
    """Further images that were read, if there were any."""
    found = {
        kind.value: {"sha256": volume_digest(own.volume), "label": own.label}
        for kind, own in study.further.items()
    }
    return {"further_inputs": found} if found else {}
