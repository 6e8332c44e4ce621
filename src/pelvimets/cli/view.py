"""``pelvimets view OUT``: the viewer in the browser."""

from __future__ import annotations

import contextlib
import importlib
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pelvimets.cli import console
from pelvimets.errors import MissingExtraError

if TYPE_CHECKING:
    from pelvimets.reading_room.opening import DeskOptions


def view(
    out: Annotated[
        Path, typer.Argument(help="Output of 'pelvimets predict', of a study or of a cohort.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    reader: Annotated[
        str | None,
        typer.Option(help="One of several readers: a review of his own under this name."),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Show --reader nothing of what other readers say.")
    ] = False,
    settle: Annotated[
        bool, typer.Option("--settle", help="Settle in a third review what the readers differ on.")
    ] = False,
    prior: Annotated[
        Path | None,
        typer.Option(help="Result of an earlier examination, to be shown beside this one."),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="The DICOM study that was read: T2 and other series beside."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Do not open the page: add the signed review to this cohort folder as a patient "
            "to train on, or to compare readers by."
        ),
    ] = None,
) -> None:
    """Look at a result over the images, correct it, and sign it; of a cohort, as a worklist.

    The page is served on this machine alone and asks nothing of any other. Research use only.
    """
    from pelvimets.reading_room.opening import DeskOptions
    from pelvimets.reading_room.readers import ReadAs
    from pelvimets.reading_room.worklist import is_cohort_of_results, write_cohort_page

    if settle and (reader or blind):
        raise typer.BadParameter("--settle is a review of its own: leave out --reader and --blind.")
    if blind and not reader:
        raise typer.BadParameter("--blind needs --reader NAME.")
    cohort = is_cohort_of_results(out)
    if export is not None:
        _export(out, export, reader, cohort=cohort)
        return
    server = _bound(
        out, DeskOptions(ReadAs(reader, settle, blind), prior, study), port, cohort=cohort
    )
    console.line(f"{'Worklist' if cohort else 'Viewer'}: {server.address}")
    console.line("Open it in a browser on this machine. Ctrl+C ends it; each change is saved.")
    if browser:
        webbrowser.open(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
    if cohort:
        write_cohort_page(out)  # as the reviews stand now


def _bound(out: Path, options: DeskOptions, port: int, *, cohort: bool) -> Any:
    if cohort:
        from pelvimets.reading_room.worklist import open_worklist

        return _web().bind_worklist(open_worklist(out, options), port)
    from pelvimets.reading_room.opening import open_desk

    return _web().bind_viewer(open_desk(out, options), port)


def _export(out: Path, target: Path, reader: str | None, *, cohort: bool) -> None:
    if not cohort:
        from pelvimets.reading_room.opening import export_case

        console.line(f"Case: {export_case(out, target, reader)}")
        return
    from pelvimets.reading_room.worklist import export_cases

    done, left = export_cases(out, target, reader)
    console.line(f"{done} signed reviews put into the cohort, {len(left)} left out")
    for line in left:
        console.line(line, style="yellow")
    if not done:
        raise typer.Exit(1)


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
