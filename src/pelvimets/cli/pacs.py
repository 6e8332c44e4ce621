"""``pelvimets find``, ``fetch`` and ``push``: to a PACS and from it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets.cli import console

if TYPE_CHECKING:
    from pelvimets.arrivals.pacs import Call

_MOST_SHOWN = 10
_ADDRESS_HELP = (
    "http(s)://[USER@]... of a DICOMweb service, or dicom://AETITLE@host:port, dicoms:// over TLS. "
    "A password comes from PELVIMETS_PACS_PASSWORD, ~/.netrc or a prompt, a token from "
    "PELVIMETS_PACS_TOKEN, certificates from PELVIMETS_TLS_CA, _CERTIFICATE and _KEY."
)
AddressArgument = Annotated[str, typer.Argument(help=_ADDRESS_HELP)]
AeTitleOption = Annotated[
    str, typer.Option("--ae-title", help="What this side calls itself over DIMSE.")
]
RetriesOption = Annotated[
    int,
    typer.Option(min=0, max=20, help="More tries where the PACS does not answer or breaks off."),
]
_OUR_TITLE = "PELVIMETS"
_RETRIES = 3


def push(
    out: Annotated[Path, typer.Argument(help="Output folder of 'pelvimets predict --dicom'.")],
    pacs: AddressArgument,
    ae_title: AeTitleOption = _OUR_TITLE,
    retries: RetriesOption = _RETRIES,
) -> None:
    """Store the DICOM results of a run in a PACS."""
    from pelvimets.arrivals.pacs import push_results

    with _call("sending", ae_title, retries) as call:
        stored = push_results(out, pacs, call)
    for note in stored.notes:
        console.line(f"note: {note}", style="yellow")
    console.line(f"{len(stored.sop_instance_uids)} objects stored in {_title(pacs)}")


def fetch(
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    pacs: AddressArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of the study.")],
    move_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Let the PACS send by C-MOVE to this port, under which it knows this machine and "
            "--ae-title. [default: C-GET]",
        ),
    ] = None,
    ae_title: AeTitleOption = _OUR_TITLE,
    retries: RetriesOption = _RETRIES,
) -> None:
    """Fetch a study from a PACS, to be read with 'pelvimets predict'."""
    from pelvimets.arrivals.pacs import fetch_study

    with _call("fetching", ae_title, retries, move_port) as call:
        fetched = fetch_study(study_uid, pacs, out, call)
    console.line(f"{fetched.files} objects fetched into {out}")
    for what in fetched.missing[:_MOST_SHOWN]:
        console.line(f"not fetched: {what}", style="red")
    if (more := len(fetched.missing) - _MOST_SHOWN) > 0:
        console.line(f"not fetched: {more} more", style="red")
    if fetched.missing:
        raise typer.Exit(1)


def find(
    pacs: AddressArgument,
    patient_id: Annotated[str, typer.Option(help="Of this patient, as the PACS has it.")] = "",
    accession: Annotated[str, typer.Option(help="With this accession number.")] = "",
    modality: Annotated[str, typer.Option(help="With a series of this kind.")] = "MR",
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of this day or later.")
    ] = None,
    ae_title: AeTitleOption = _OUR_TITLE,
) -> None:
    """List the studies that a PACS holds, the latest first, to be fetched with 'pelvimets fetch'.

    Names of patients are neither asked for nor shown.
    """
    from pelvimets.arrivals.pacs import Call, studies_at
    from pelvimets.io.pacs.query import Wanted

    wanted = Wanted(patient_id, accession, modality, since.date() if since else None)
    found = studies_at(pacs, wanted, Call(_asked(), ae_title))
    rows = [
        (
            study.uid,
            study.day,
            ", ".join(study.modalities),
            study.description,
            "-" if study.objects is None else str(study.objects),
        )
        for study in found
    ]
    columns = ("Study Instance UID", "Day", "Modalities", "Description", "Objects")
    console.table(console.count_of(len(found), "study", "studies"), columns, rows)


@contextmanager
def _call(what: str, ae_title: str, retries: int, move_port: int | None = None) -> Iterator[Call]:
    """How to call, with a progress bar that is gone when done."""
    from pelvimets.arrivals.pacs import Call
    from pelvimets.io.pacs.patience import Patience
    from pelvimets.io.pacs.transfer import How

    with console.progress_bar() as progress:
        task = progress.add_task(what, total=None)

        def watch(done: int, total: int | None, unit: str) -> None:
            progress.update(task, description=f"{what}, {unit}", completed=done, total=total)

        how = How(Patience(retries + 1), watch, move_port)
        yield Call(_asked(), ae_title, how)


def _asked() -> Callable[[str], str] | None:
    """Asks for a password where somebody sits at the terminal."""
    if not sys.stdin.isatty():
        return None
    return lambda whose: str(typer.prompt(whose, hide_input=True, err=True))


def _title(address: str) -> str:
    """The address as messages show it."""
    from pelvimets.io.pacs.nodes import parse_node

    return parse_node(address).title
