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
    verified_contents,
)

CARD_NAME = "model_card.md"
RELIABILITY_NAME = "reliability.svg"
LICENSE_NAME = "LICENSE"


def write_bundle(
    folder: Path,
    description: Mapping[str, Any],
    files_by_name: Mapping[str, bytes],
    card: str,
    *,
    overwrite: bool = False,
) -> None:
    """Write all files of a bundle and their checksums; it appears whole or not at all.

    Args:
        folder: Where it goes.
        description: Contents of ``bundle.json``.
        files_by_name: Networks and pictures.
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
        **files_by_name,
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


def read_description(folder: Path) -> dict[str, Any]:
    """What a bundle says of itself, once all its checksums agree.

    Raises:
        BundleError: if the bundle is missing or damaged.
    """
    description: dict[str, Any] = json.loads(verified_contents(folder)[DESCRIPTION_NAME])
    return description


def rewrite_bundle(
    source: Path,
    folder: Path,
    description: Mapping[str, Any],
    card: str,
    pictures: Mapping[str, bytes] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """The networks of a bundle under another description and card; may replace itself.

    Raises:
        BundleError: if the bundle is missing or damaged.
        OutputError: if the folder exists and is not to be replaced.
    """
    made_anew = {DESCRIPTION_NAME, CARD_NAME, LICENSE_NAME}
    kept = {n: data for n, data in verified_contents(source).items() if n not in made_anew}
    write_bundle(folder, description, {**kept, **(pictures or {})}, card, overwrite=overwrite)


def license_text() -> str:
    """Licence of the weights, the same as that of the package."""
    shipped = files("pelvimets.resources").joinpath("bundles", LICENSE_NAME)
    return shipped.read_text(encoding="utf-8")
