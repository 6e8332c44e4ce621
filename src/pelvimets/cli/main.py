"""The commands and their options; heavy modules are loaded only by the command that needs them."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets import __version__
from pelvimets.cli import console
from pelvimets.cli.annotate_next import next_patients
from pelvimets.cli.benchmark import app as benchmark
from pelvimets.cli.bundle import bundle, calibrate, card
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.evaluate import agreement, compare, evaluate, replicate, sample_size
from pelvimets.cli.exchange import exporting, importing
from pelvimets.cli.follow_up import follow_up
from pelvimets.cli.listen import listen, queue
from pelvimets.cli.pacs import fetch, find, push
from pelvimets.cli.phantom import app as phantom
from pelvimets.cli.requests import from_requests
from pelvimets.cli.train import train
from pelvimets.cli.tune import tune
from pelvimets.cli.view import view
from pelvimets.errors import OutputError, PelvimetsError
from pelvimets.requests.predict import RunOptions, StudyInput

if TYPE_CHECKING:
    from pelvimets.app.batch import BatchCase
    from pelvimets.io.workers import Jobs

app = typer.Typer(
    name="pelvimets",
    help="Bone metastases on pelvic MRI: from a study to a report. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_READ = "Read a study"
_STUDY = "Make, train and measure"
_INSTALLED = "What is installed"

StudyArgument = Annotated[
    Path | None, typer.Argument(help="DICOM folder or zip, cohort folder, or folder of studies.")
]
SeriesOption = Annotated[
    str | None,
    typer.Option(help="Series to take: number, UID, part of its description; none leaves it out."),
]
SamePatientOption = Annotated[
    bool,
    typer.Option(
        "--same-patient", help="All images are of one patient, whatever their headers say."
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="Bundle of networks: folder or name. [default: shipped]"),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        console.line(f"pelvimets {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Bone metastases on pelvic MRI: from a study to a report. Research use only."""


@app.command(rich_help_panel=_READ)
@from_requests
def predict(
    source: StudyInput,
    options: RunOptions,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the result.")] = Path("out"),
    jobs: Annotated[int, typer.Option(min=1, help="Patients at a time (cohorts only).")] = 1,
    cluster: ClusterOption = None,
) -> None:
    """Read a study, or each study of a cohort, into masks, findings and a report."""
    from pelvimets.app.batch import batch_cases

    _check_source(source)
    options = replace(options, dicom=options.dicom or options.labelmap or options.rtstruct)
    cases = batch_cases(source.path) if source.path is not None else ()
    if not cases:
        _predict_one(source, out, options)
        return
    if source.serves_one_study:
        raise typer.BadParameter(
            "--dwi-series, --t1-series, --bones and --same-patient serve a single study only."
        )
    _predict_batch(cases, out, options, workers(jobs, cluster))


def _check_source(source: StudyInput) -> None:
    if source.path is not None and (source.dwi or source.t1 or source.adc):
        raise typer.BadParameter("Give either STUDY or --dwi/--t1/--adc, not both.")
    if source.path is None and not (source.dwi or source.t1):
        raise typer.BadParameter("Give STUDY, or --dwi FILE and/or --t1 FILE.")


def _predict_one(source: StudyInput, out: Path, options: RunOptions) -> None:
    from pelvimets.app.predict import predict as run
    from pelvimets.io.record.output import check_output
    from pelvimets.report.data import suspicion_wording

    check_output(out, overwrite=options.overwrite)
    with console.shown_progress() as progress:
        summary = run(source, out, options, progress=progress)
    for note in summary.notes:
        console.line(f"note: {note}")
    for flag in summary.findings.flags:
        where = f"{flag.sequence.value.upper()}: " if flag.sequence else ""
        console.line(f"{flag.level}: {where}{flag.message}", style="yellow")
    count = len(summary.findings.lesions)
    lesions = f"{count} lesion{'' if count == 1 else 's'} listed"
    console.line(f"{suspicion_wording(summary.findings)}; {lesions}")
    console.line(f"{summary.seconds:.1f} s, peak memory {summary.peak_memory_mib} MiB")
    console.line(f"Report: {summary.report}")
    for what in summary.failed:
        console.line(f"{what}. Masks and report are there.", style="red")
    if summary.failed:
        raise typer.Exit(1)


def _predict_batch(
    cases: tuple[BatchCase, ...], out: Path, options: RunOptions, jobs: Jobs
) -> None:
    from pelvimets.app.batch import predict_batch
    from pelvimets.reading_room.worklist import write_cohort_page

    with console.batch_bar(len(cases)) as told:
        outcomes = predict_batch(cases, out, options, jobs=jobs, told=told)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    page = write_cohort_page(out, {outcome.name: outcome.message for outcome in failed})
    earlier = sum(outcome.state == "earlier" for outcome in outcomes)
    done = len(outcomes) - len(failed) - earlier
    console.line(f"{done} patients read, {earlier} finished earlier, {len(failed)} failed")
    console.line(f"Cohort: {page}")
    for outcome in failed:
        console.line(f"{outcome.name}: {outcome.message}", style="red")
    if failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=_READ)
def inspect(
    study: Annotated[Path, typer.Argument(help="DICOM folder or zip.")],
    dwi_series: SeriesOption = None,
    t1_series: SeriesOption = None,
    same_patient: SamePatientOption = False,
) -> None:
    """Show every series of a study: taken or not, and why."""
    from pelvimets.core.series.table import series_names
    from pelvimets.io.study import inspect as decisions_of

    decisions = decisions_of(
        study, dwi_series=dwi_series, t1_series=t1_series, same_patient=same_patient
    )
    columns = ("No.", "Description", "Images", "b, s/mm2", "Kind", "Taken as", "Why")
    rows = [
        (
            name,
            d.description,
            str(d.images),
            ", ".join(f"{b:.0f}" for b in d.b_values_s_per_mm2) or "-",
            d.role.value,
            d.taken_as or "-",
            d.reason,
        )
        for d, name in zip(decisions, series_names(decisions), strict=True)
    ]
    console.table("Series", columns, rows)


@app.command(rich_help_panel=_INSTALLED)
def models() -> None:
    """List the bundles of networks that are installed."""
    from pelvimets.model.bundle import installed_bundles

    rows = [
        (b.name, b.version, f"{b.size_mb:.1f}", "intact" if b.intact else "damaged", b.summary)
        for b in installed_bundles()
    ]
    console.table("Bundles", ("Name", "Version", "MB", "Files", "What"), rows)


@app.command(rich_help_panel=_INSTALLED)
def doctor() -> None:
    """Say what is installed, what works and how much memory there is; run a self-test."""
    from pelvimets.app.doctor import examine

    report = examine()
    for group, rows in report.groups:
        console.table(group, ("What", "State"), rows)
    console.line(report.verdict, style="green" if report.healthy else "red")
    if not report.healthy:
        raise typer.Exit(1)


_MOUNTED: dict[str, tuple[Callable[..., None], ...]] = {
    _READ: (view, follow_up, find, fetch, push, listen, queue),
    _STUDY: (
        train,
        tune,
        bundle,
        calibrate,
        card,
        evaluate,
        agreement,
        compare,
        replicate,
        sample_size,
    ),
}
for _panel, _commands in _MOUNTED.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.command(name="next", rich_help_panel=_STUDY)(next_patients)
app.add_typer(phantom, name="phantom", rich_help_panel=_STUDY)
app.add_typer(benchmark, name="benchmark", rich_help_panel=_STUDY)
app.add_typer(importing, name="import", rich_help_panel=_STUDY)
app.add_typer(exporting, name="export", rich_help_panel=_STUDY)


def _terminate(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def _end_in_silence(lost: sys.UnraisableHookArgs) -> None:
    """Being told to stop while something is cleared away is no fault to be told of."""
    if not isinstance(lost.exc_value, SystemExit):
        sys.__unraisablehook__(lost)


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise OutputError(
            "The folder in which this was called is not there any more",
            remedy="Go into another folder and call again",
        ) from error


def _in_words(error: OSError) -> PelvimetsError:
    """What the system refuses, where no step of the work has said it better; names stay out."""
    remedies = {
        errno.ENAMETOOLONG: "Choose a shorter name",
        errno.ENOSPC: "Free some space where the results or the output go",
        errno.EACCES: "Ask for the right to read or write there, or choose another place",
        errno.EMFILE: "Raise the limit of open files (ulimit -n), or use fewer --jobs",
    }
    remedy = remedies.get(error.errno or 0, "Check the paths, the disk and the limits (ulimit -a)")
    return OutputError("The system refuses", got=error.strerror or str(error), remedy=remedy)


def main() -> None:
    """Entry point: errors become a message and exit code 1."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _end_in_silence
    try:
        _check_working_folder()
        app()
    except PelvimetsError as error:
        console.fail(error)
        sys.exit(1)
    except OSError as error:
        console.fail(_in_words(error))
        sys.exit(1)
    except MemoryError:
        console.err.print("[bold red]Error:[/] Not enough memory. Close other programs.")
        sys.exit(1)
