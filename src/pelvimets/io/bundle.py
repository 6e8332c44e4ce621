"""Writing a bundle: made aside, checked by loading it, then moved into place."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pelvimets.errors import OutputError
from pelvimets.model.bundle import (
    CHECKSUMS_NAME,
    DESCRIPTION_NAME,
    checksums_text,
    load_segmenter,
)

CARD_NAME = "model_card.md"
LICENSE_NAME = "LICENSE"


def write_bundle(
    folder: Path,
    description: Mapping[str, Any],
    networks: Mapping[str, bytes],
    card: str,
    *,
    overwrite: bool = False,
) -> None:
    """Write all files of a bundle and their checksums; it appears whole or not at all.

    Args:
        folder: Where it goes.
        description: Contents of ``bundle.json``.
        networks: Files of the networks by name.
        card: The model card.
        overwrite: Replace an older bundle there.

    Raises:
        OutputError: if the folder exists and is not to be replaced.
        BundleError: if what was written cannot be loaded.
    """
    if folder.exists() and not overwrite:
        raise OutputError(
            "The bundle exists already", got=folder, remedy="Choose another folder, or --overwrite"
        )
    contents = {
        DESCRIPTION_NAME: (json.dumps(description, indent=2) + "\n").encode(),
        CARD_NAME: card.encode(),
        LICENSE_NAME: license_text().encode(),
        **networks,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as aside:
        made = Path(aside) / "bundle"
        made.mkdir()
        for name, data in contents.items():
            (made / name).write_bytes(data)
        (made / CHECKSUMS_NAME).write_text(checksums_text(contents), encoding="utf-8")
        load_segmenter(made)
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)


def license_text() -> str:
    """Licence of the weights, the same as that of the package."""
    shipped = files("pelvimets.resources").joinpath("bundles", LICENSE_NAME)
    return shipped.read_text(encoding="utf-8")
