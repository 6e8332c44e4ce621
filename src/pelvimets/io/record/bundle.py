"""Writing a bundle: made aside, checked by loading it, then moved into place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pelvimets.io.record.output import staged_folder, write_bytes, write_text
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
    contents = {
        DESCRIPTION_NAME: (json.dumps(description, indent=2) + "\n").encode(),
        CARD_NAME: card.encode(),
        LICENSE_NAME: license_text().encode(),
        **files_by_name,
    }
    with staged_folder(folder, overwrite=overwrite, result_marker=DESCRIPTION_NAME) as made:
        for name, data in contents.items():
            write_bytes(made / name, data)
        write_text(made / CHECKSUMS_NAME, checksums_text(contents))
        load_segmenter(made)


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
