"""``pelvimets bundle``: a bundle of finished training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console
from pelvimets.cli.train import require_torch


def bundle(
    bones: Annotated[Path, typer.Option(help="Run of the bone network.")],
    lesions: Annotated[Path, typer.Option(help="Run of the lesion network.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle.")],
    lesions_t1: Annotated[
        Path | None, typer.Option(help="Run of a lesion network of its own for T1.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. [default: folder]")] = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    summary: Annotated[str, typer.Option(help="One line on what it is.")] = "Own networks.",
    patients: Annotated[
        int, typer.Option(min=1, help="Unseen digital patients of each sequence to measure on.")
    ] = 20,
    smallest_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Drop lesions with a lower score.")
    ] = 0.0,
    note: Annotated[
        list[str] | None, typer.Option(help="A line of the card on training or limits.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an older bundle.")] = False,
) -> None:
    """Make a bundle of two runs: export, measure on unseen digital patients, write the card."""
    require_torch()
    from pelvimets.app.bundle import make_bundle

    make_bundle(
        bones,
        lesions,
        out,
        name=name or out.name,
        version=version,
        summary=summary,
        lesions_t1=lesions_t1,
        patients=patients,
        smallest_score=smallest_score,
        notes=tuple(note or ()),
        overwrite=overwrite,
    )
    console.line(f"Bundle: {out}")
