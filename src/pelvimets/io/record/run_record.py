"""``run.json``: what a run of ``predict`` says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pelvimets.errors import InputError, reason
from pelvimets.io.record.output import RECORD_NAME


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
