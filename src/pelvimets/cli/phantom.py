"""``pelvimets phantom``: digital patients and cohorts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets.cli import console
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.requests import from_requests
from pelvimets.requests.phantom import SCANNER_HELP, CohortOrder, PhantomOrder

if TYPE_CHECKING:
    from pelvimets.phantom.cohort.checks import CheckRow

app = typer.Typer(
    help="Make digital patients with exact ground truth: one man, or a cohort.",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


@app.callback()
@from_requests
def phantom(
    ctx: typer.Context,
    order: PhantomOrder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier digital patient.")] = False,
) -> None:
    """Make one digital patient: images, truth, and a DICOM study if asked."""
    if ctx.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("Give the folder of the patient.", param_hint="--out")
    from pelvimets.app.phantom import make_phantom

    with console.progress_bar() as progress:
        task = progress.add_task("start", total=None)
        make_phantom(
            order,
            out,
            lambda name: progress.update(task, description=name),
            overwrite=overwrite,
        )
    console.line(f"Digital patient {order.seed}: {out}")


@app.command()
@from_requests
def cohort(
    order: CohortOrder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; an interrupted run goes on.")],
    jobs: Annotated[int, typer.Option(min=1, help="Patients at a time.")] = 1,
    cluster: ClusterOption = None,
) -> None:
    """Make a study population as in the paper, with splits and the enrolment flow."""
    from pelvimets.app.phantom import make_cohort

    with console.shown_progress("patients", order.patients) as progress:
        make_cohort(order, out, jobs=workers(jobs, cluster), progress=progress)
    console.line(f"Cohort of {order.patients} digital patients: {out}")


@app.command()
def insert(
    cohort: Annotated[Path, typer.Argument(help="Real images in which no metastasis is known.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder.")],
    copies: Annotated[int, typer.Option(min=1, help="Of each patient with metastases.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is put in.")] = 0,
    bundle: Annotated[
        Path | None, typer.Option(help="Draws bones where no mask is. [default: the shipped one]")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier one.")] = False,
) -> None:
    """Put simulated metastases into real images: a cohort with truth on real texture."""
    from pelvimets.model_development.insertion import InsertionOrder, insert_into_cohort

    order = InsertionOrder(cohort, out, copies, seed, bundle, overwrite)
    with console.progress_bar() as progress:
        task = progress.add_task("patients", total=None)
        insert_into_cohort(
            order,
            lambda key, done, total: progress.update(task, completed=done, total=total),
        )
    console.line(f"Cohort with metastases put in: {out}")


@app.command()
def check(
    patients: Annotated[int, typer.Option(min=1, help="Digital patients to measure.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first.")] = 0,
    scanner: Annotated[str, typer.Option(help=SCANNER_HELP)] = "discovery",
    cohort: Annotated[
        Path | None,
        typer.Option(help="Compare the disease of this cohort with the paper's tables."),
    ] = None,
) -> None:
    """Compare digital patients with the literature, or a cohort's disease with the paper."""
    from pelvimets.app.phantom import check_cohort
    from pelvimets.phantom.cohort.literature import check_phantom

    if cohort is not None:
        _show_checks(f"Disease in {cohort.name} beside the paper", check_cohort(cohort))
        return
    with console.progress_bar() as progress:
        task = progress.add_task("start", total=None)
        rows = check_phantom(
            tuple(range(seed, seed + patients)),
            scanner,
            lambda name: progress.update(task, description=name),
        )
    _show_checks(f"{patients} digital patients, {scanner}", rows)


def _show_checks(title: str, rows: tuple[CheckRow, ...]) -> None:
    """A table; fails if anything is off."""
    cells = [
        (
            row.reference.title,
            f"{row.value:.4g}" if row.patients else "-",
            f"{row.reference.low:.4g} to {row.reference.high:.4g}",
            row.state,
            row.reference.source,
        )
        for row in rows
    ]
    columns = ("What", "In silico", "Expected", "State", "Source")
    console.table(title, columns, cells)
    if any(row.state == "off" for row in rows):
        raise typer.Exit(1)
