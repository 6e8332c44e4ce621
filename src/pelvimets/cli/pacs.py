"""``pelvimets push`` and ``pelvimets fetch``: to a PACS and from it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console

_MOST_SHOWN = 10
_ADDRESS_HELP = (
    "http(s)://[USER@]... of a DICOMweb service, or dicom://AETITLE@host:port. A password comes "
    "from PELVIMETS_PACS_PASSWORD, ~/.netrc or a prompt, a token from PELVIMETS_PACS_TOKEN."
)


def push(
    out: Annotated[Path, typer.Argument(help="Output folder of 'pelvimets predict --dicom'.")],
    pacs: Annotated[str, typer.Argument(help=_ADDRESS_HELP)],
) -> None:
    """Store the DICOM results of a run in a PACS."""
    from pelvimets.app.pacs import push_results

    stored = push_results(out, pacs, _asked())
    for note in stored.notes:
        console.line(f"note: {note}", style="yellow")
    console.line(f"{len(stored.sop_instance_uids)} objects stored in {_title(pacs)}")


def fetch(
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    pacs: Annotated[str, typer.Argument(help=_ADDRESS_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of the study.")],
) -> None:
    """Fetch a study from a PACS, to be read with 'pelvimets predict'."""
    from pelvimets.app.pacs import fetch_study

    fetched = fetch_study(study_uid, pacs, out, _asked())
    console.line(f"{fetched.files} objects fetched into {out}")
    for what in fetched.missing[:_MOST_SHOWN]:
        console.line(f"not fetched: {what}", style="red")
    if (more := len(fetched.missing) - _MOST_SHOWN) > 0:
        console.line(f"not fetched: {more} more", style="red")
    if fetched.missing:
        raise typer.Exit(1)


def _asked() -> Callable[[str], str] | None:
    """Asks for a password where somebody sits at the terminal."""
    if not sys.stdin.isatty():
        return None
    return lambda whose: str(typer.prompt(whose, hide_input=True, err=True))


def _title(address: str) -> str:
    """The address as messages show it."""
    from pelvimets.io.pacs.nodes import parse_node

    return parse_node(address).title
