"""``pelvimets push`` and ``pelvimets fetch``: to a PACS and from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console

_ADDRESS_HELP = "http(s)://... of a DICOMweb service, or dicom://AETITLE@host:port."


def push(
    out: Annotated[Path, typer.Argument(help="Output folder of 'pelvimets predict --dicom'.")],
    pacs: Annotated[str, typer.Argument(help=_ADDRESS_HELP)],
) -> None:
    """Store the DICOM results of a run in a PACS."""
    from pelvimets.app.pacs import push_results

    console.line(f"{len(push_results(out, pacs))} objects stored in {pacs}")


def fetch(
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    pacs: Annotated[str, typer.Argument(help=_ADDRESS_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of the study.")],
) -> None:
    """Fetch a study from a PACS, to be read with 'pelvimets predict'."""
    from pelvimets.app.pacs import fetch_study

    console.line(f"{fetch_study(study_uid, pacs, out)} objects fetched into {out}")
