"""``findings.json`` as plain data, for all that read it; ``report.data`` makes findings of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pelvimets.errors import InputError, reason, shown

FINDINGS_NAME = "findings.json"


def read_findings(path: Path) -> dict[str, Any]:
    """Plain data of findings, not yet checked against their schema.

    Args:
        path: The file; ``findings.json`` holds a reader's corrections, too.

    Raises:
        InputError: if the file is missing or damaged.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError("The findings cannot be read", got=reason(error)) from error
    return json_object(text, path)


def json_object(text: bytes, path: Path) -> dict[str, Any]:
    """The names and values in a JSON text.

    Args:
        text: Content of a file.
        path: The file, for messages.

    Raises:
        InputError: if it is no JSON, or something else than names and values.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError("The file is not JSON", got=f"{shown(path)}: {reason(error)}") from error
    if not isinstance(data, dict):
        raise InputError("The file is not a JSON object", got=path)
    return data
