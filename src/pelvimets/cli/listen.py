"""``pelvimets listen`` and ``pelvimets queue``: studies that arrive by themselves."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Queue, studies and results. [default: listen]")
]


def listen(
    folder: FolderOption = None,
    ae_title: Annotated[
        str | None, typer.Option(help="What this side is called. [default: PELVIMETS]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where to listen. [default: 11112]")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="AE title that may send; may be repeated.")
    ] = None,
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            help="AE@HOST:PORT, or an address as for 'push', that results go to; may be repeated."
        ),
    ] = None,
    poll: Annotated[
        str | None, typer.Option(help="Address of a PACS that is asked for new MR studies.")
    ] = None,
    poll_seconds: Annotated[
        float | None, typer.Option(help="Between two questions. [default: 60]")
    ] = None,
    poll_days: Annotated[
        int | None, typer.Option(min=0, help="Ask for studies of the last days. [default: 1]")
    ] = None,
    quiet_seconds: Annotated[
        float | None,
        typer.Option(help="A study is complete when nothing came for so long. [default: 30]"),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle of networks. [default: shipped]")
    ] = None,
    memory_limit: Annotated[
        int | None, typer.Option(min=1, metavar="MIB", help="Refuse a study that takes more.")
    ] = None,
    disk_limit: Annotated[
        float | None, typer.Option(metavar="GB", help="Most in the folder. [default: 100]")
    ] = None,
    least_free: Annotated[
        float | None, typer.Option(metavar="GB", help="Least left on the disk. [default: 2]")
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(help="Remove the files of a finished study after. [default: 7]"),
    ] = None,
    status_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of the status page, 0 shows none. [default: 8098]"),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(help="File (TOML) of these settings, of TLS and of users; options go first."),
    ] = None,
) -> None:
    """Take studies in as they are sent, read them, and send SEG, SR and PDF to a PACS.

    Ends with Ctrl+C or SIGTERM; the next one goes on where it was.
    """
    from pelvimets.arrivals.listen import listening
    from pelvimets.io.queue.settings import listen_settings

    given = {
        "folder": folder,
        "ae_title": ae_title,
        "port": port,
        "allow": tuple(allow or ()),
        "send_to": tuple(send_to or ()),
        "poll": poll,
        "poll_seconds": poll_seconds,
        "poll_days": poll_days,
        "quiet_seconds": quiet_seconds,
        "bundle": bundle,
        "memory_limit_mib": memory_limit,
        "disk_limit_gb": disk_limit,
        "least_free_gb": least_free,
        "keep_days": keep_days,
        "status_port": status_port,
    }
    with (
        contextlib.suppress(KeyboardInterrupt),
        listening(listen_settings(settings, given), _tell) as listener,
    ):
        if listener.port is not None:
            console.line(f"Listening on port {listener.port}")
        if listener.status_address:
            console.line(f"Status: {listener.status_address}")
        sys.stdout.flush()
        threading.Event().wait()


def _tell(key: str, words: str) -> None:
    console.line(f"{datetime.now():%H:%M:%S} {key} {words}")
    sys.stdout.flush()


def queue(
    folder: Annotated[Path, typer.Argument(help="--folder of 'pelvimets listen'.")],
    again: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Give a refused study another chance.")
    ] = None,
    uid: Annotated[bool, typer.Option("--uid", help="Show Study Instance UIDs too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the studies that arrived: where each is, and why one was refused."""
    from pelvimets.arrivals.listen import read_again
    from pelvimets.io.queue.status import queue_rows
    from pelvimets.io.queue.studies import read_queue

    if again is not None:
        read_again(folder, again)
    studies = read_queue(folder)
    rows = queue_rows(studies)
    if uid:
        rows = [{**row, "uid": study.uid} for row, study in zip(rows, studies, strict=True)]
    if as_json:
        console.out.print_json(json.dumps(rows))
        return
    columns = ["study", "state", "objects", "megabytes", "changed", "reason"] + ["uid"] * uid
    titles = [name.replace("_", " ").capitalize() for name in columns]
    console.table(
        console.count_of(len(rows), "study", "studies"),
        titles,
        [[str(row[c]) for c in columns] for row in rows],
    )
