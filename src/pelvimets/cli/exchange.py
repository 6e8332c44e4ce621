"""``pelvimets import`` and ``pelvimets export``: the formats of other tools."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets.cli import console
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.requests import from_requests
from pelvimets.cli.train import require_torch
from pelvimets.requests.exchange import NiftiImport, NnunetImport

if TYPE_CHECKING:
    from pelvimets.app.exchange import ImportSummary
    from pelvimets.io.nifti.pairs import PairsOptions

importing = typer.Typer(
    help="Make a cohort of annotated images: nnU-Net raw data, or a folder of NIfTI pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
exporting = typer.Typer(
    help="Write a cohort as nnU-Net raw data, or a bundle as a MONAI bundle.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class TaskName(StrEnum):
    """What the labels of a data set are."""

    BONES = "bones"
    LESIONS = "lesions"


class SequenceName(StrEnum):
    """Which images become cases."""

    DWI = "dwi"
    T1 = "t1"
    BOTH = "both"


class ExtraName(StrEnum):
    """Further channels."""

    BONES = "bones"
    ADC = "adc"


class NetworkName(StrEnum):
    """Networks of a bundle."""

    BONES = "bones"
    LESIONS_DWI = "lesions-dwi"
    LESIONS_T1 = "lesions-t1"


OutOption = Annotated[Path, typer.Option("--out", "-o", help="New folder of the cohort.")]
JobsOption = Annotated[int, typer.Option(min=1, help="Patients at a time.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier one.")]


@importing.command("nnunet")
@from_requests
def import_nnunet(
    request: NnunetImport, out: OutOption, jobs: JobsOption = 1, cluster: ClusterOption = None
) -> None:
    """Make a cohort of nnU-Net (version 2) raw data: a data set per task and sequence."""
    from pelvimets.app.exchange import import_nnunet as run

    options, job = request.options, replace(request.job, jobs=workers(jobs, cluster))
    with console.shown_progress("look") as progress:
        summary = run(request.datasets, out, options, job, progress)
    _report(summary, out, dry_run=job.dry_run)


@importing.command("nifti")
@from_requests
def import_nifti(
    request: NiftiImport, out: OutOption, jobs: JobsOption = 1, cluster: ClusterOption = None
) -> None:
    """Make a cohort of a folder of NIfTI images and masks, by the names of the files."""
    from pelvimets.app.exchange import import_nifti as run

    options, job = request.options, replace(request.job, jobs=workers(jobs, cluster))
    if job.dry_run:
        _show_files(request.folder, options)
    with console.shown_progress("look") as progress:
        summary = run(request.folder, out, options, job, progress)
    _report(summary, out, dry_run=job.dry_run)


def _show_files(folder: Path, options: PairsOptions) -> None:
    from pelvimets.io.nifti.pairs import find_files

    rows = [(f.name, f.patient or "-", f.slot or "left out") for f in find_files(folder, options)]
    console.table("Files", ("File", "Patient", "Taken as"), rows)


@exporting.command("nnunet")
def export_nnunet(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="nnUNet_raw/DatasetNNN_Name.")],
    task: Annotated[TaskName, typer.Option(help="Which masks become the labels.")],
    sequence: Annotated[
        SequenceName, typer.Option(help="Images to write; both: each is a case of its own.")
    ],
    channel: Annotated[
        list[ExtraName] | None,
        typer.Option(help="Further channel: bones (mask of any bone) or adc. Repeatable."),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a cohort as nnU-Net (version 2) raw data, its splits kept."""
    from pelvimets.app.exchange import export_nnunet as run
    from pelvimets.io.exchange.nnunet_export import Extra, Kind, NnunetOrder
    from pelvimets.labels import Sequence

    both = sequence is SequenceName.BOTH
    order = NnunetOrder(
        Kind(task.value),
        tuple(Sequence) if both else (Sequence(sequence.value),),
        tuple(Extra(extra.value) for extra in dict.fromkeys(channel or ())),
    )
    with console.shown_progress("look") as progress:
        summary = run(cohort, out, order, overwrite=overwrite, progress=progress)
    if summary.without_image:
        console.line(f"note: {summary.without_image} patients have no such image", style="yellow")
    trained = summary.cases - summary.held_out
    console.line(f"{trained} training cases, {summary.held_out} held out: {out}")


@exporting.command("monai")
def export_monai(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the MONAI bundle.")],
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle of networks: folder or name. [default: shipped]")
    ] = None,
    network: Annotated[
        NetworkName, typer.Option(help="Which network of the cascade.")
    ] = NetworkName.BONES,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a network of a bundle as a MONAI bundle that runs without pelvimets."""
    require_torch()
    from pelvimets.app.monai_export import export_monai as run
    from pelvimets.labels import Sequence

    lesions_on = {NetworkName.LESIONS_DWI: Sequence.DWI, NetworkName.LESIONS_T1: Sequence.T1}
    run(bundle, out, lesions_on=lesions_on.get(network), overwrite=overwrite)
    console.line(f"MONAI bundle: {out}; how to run it: {out / 'docs' / 'README.md'}")


def _report(summary: ImportSummary, out: Path, *, dry_run: bool) -> None:
    if dry_run:
        columns = ("Patient", "Split", "Images (masks)", "Further images")
        console.table("Cohort to be", columns, summary.rows)
    for note in summary.notes:
        console.line(f"note: {note}", style="yellow")
    for fault in summary.faults:
        console.line(f"{fault}. Mend: {fault.remedy}.", style="red")
    if summary.filled:
        console.line(f"bones of {summary.filled} images drawn by the networks, marked as predicted")
    counts = ", ".join(f"{count} {split.value}" for split, count in summary.counts.items())
    done = "nothing written" if dry_run else f"cohort: {out}"
    console.line(f"{len(summary.rows)} patients ({counts}); {done}")
    if dry_run:
        wrong = {fault.patient for fault in summary.faults}
        console.line(f"{len(summary.faults)} faults in {len(wrong)} of them")
    if summary.faults:
        raise typer.Exit(1)
