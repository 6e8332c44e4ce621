"""``pelvimets view OUT``: the viewer in the browser."""

from __future__ import annotations

import contextlib
import importlib
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from pelvimets.cli import console
from pelvimets.errors import MissingExtraError


def view(
    out: Annotated[Path, typer.Argument(help="Output folder of 'pelvimets predict'.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Do not open the page: add the signed review to this cohort folder as a patient "
            "to train on."
        ),
    ] = None,
) -> None:
    """Look at a result over the images, correct it, and sign it.

    The page is served on this machine alone and asks nothing of any other. Research use only.
    """
    from pelvimets.app.view import export_case, open_desk

    if export is not None:
        console.line(f"Case: {export_case(out, export)}")
        return
    server = _web().bind_viewer(open_desk(out), port)
    console.line(f"Viewer: {server.address}")
    console.line("Open it in a browser on this machine. Ctrl+C ends it; each change is saved.")
    if browser:
        webbrowser.open(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()


def _web() -> Any:
    """The viewer is an optional part: loaded by name, and named where it is missing.

    Raises:
        MissingExtraError: if the extra is not installed.
    """
    try:
        return importlib.import_module("pelvimets.web")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pelvimets"):
            raise
        raise MissingExtraError(
            "The viewer is not installed",
            got=f"no module {error.name}",
            remedy="Install it with: pip install 'pelvimets[view]'",
        ) from error
