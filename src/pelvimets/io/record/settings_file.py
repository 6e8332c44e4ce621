"""Files of settings, as JSON or YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pelvimets.errors import MissingExtraError, SettingsError


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read settings as plain data; ``.yaml`` and ``.yml`` as YAML, all else as JSON.

    Raises:
        SettingsError: if the file cannot be read or holds no names with values.
        MissingExtraError: if it is YAML and its reader is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = _yaml(text) if path.suffix.lower() in (".yaml", ".yml") else json.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(
            "The file of settings cannot be read", got=f"{path}: {error}"
        ) from error
    if not isinstance(data, dict):
        raise SettingsError("The file of settings holds no names with values", got=path)
    return data


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            "Reading YAML is an optional part and is not installed",
            remedy="Write the settings as JSON, or pip install 'pelvimets[train]'",
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
