"""``pelvimets phantom``: digital patients and cohorts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pelvimets.cli import console

if TYPE_CHECKING:
    from pelvimets.io.phantom.series import DicomStyle
    from pelvimets.phantom.cohort.build import PatientSettings
    from pelvimets.phantom.cohort.checks import CheckRow
    from pelvimets.phantom.physics.examination import Artefacts

Kind = TypeVar("Kind", bound=StrEnum)

app = typer.Typer(
    help="Make digital patients with exact ground truth: one man, or a cohort.",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)

_DICOM_HELP = "Write a DICOM study too, as ge, philips, philips-classic or siemens does."
_SCANNER_HELP = "discovery, achieva, intera (3 T) or avanto (1.5 T)."
_ARTEFACT_HELP = "Strength of an artefact, 0 is off: NAME=VALUE, or all=0. May be repeated."
_SOURCE_HELP = (
    "Anatomy to draw from, unseen ones too; may be repeated. [default: all that training sees]"
)
DicomOption = Annotated[str | None, typer.Option("--dicom", help=_DICOM_HELP)]
ScannerOption = Annotated[str | None, typer.Option("--scanner", help=_SCANNER_HELP)]
ArtefactOption = Annotated[list[str] | None, typer.Option("--artefact", help=_ARTEFACT_HELP)]
SourceOption = Annotated[list[str] | None, typer.Option("--anatomy", help=_SOURCE_HELP)]
FollowUpOption = Annotated[
    bool, typer.Option("--follow-up", help="Make a second time point in follow_up/.")
]


@app.callback()
def phantom(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the patient.")] = 0,
    scanner: ScannerOption = None,
    dicom: DicomOption = None,
    artefact: ArtefactOption = None,
    anatomy: SourceOption = None,
    like: Annotated[
        str | None,
        typer.Option(help="Draw him from a population: bones, lesions, external or stress."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="His part of the population: train, validation or test.")
    ] = "train",
    follow_up: FollowUpOption = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier digital patient.")] = False,
) -> None:
    """Make one digital patient: images, truth, and a DICOM study if asked."""
    if ctx.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("Give the folder of the patient.", param_hint="--out")
    from pelvimets.app.phantom import PhantomOrder, make_phantom
    from pelvimets.phantom.cohort.population import Part, Population

    order = PhantomOrder(
        seed=seed,
        scanner=scanner,
        dicom=_dicom_style(dicom),
        artefacts=_artefacts(artefact),
        follow_up=follow_up,
        population=_one_of(Population, like, "--like") if like else None,
        part=_one_of(Part, split, "--split"),
        settings=_settings(anatomy),
    )
    with console.progress_bar() as progress:
        task = progress.add_task("start", total=None)
        make_phantom(
            order,
            out,
            lambda name: progress.update(task, description=name),
            overwrite=overwrite,
        )
    console.line(f"Digital patient {seed}: {out}")


@app.command()
def cohort(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; an interrupted run goes on.")],
    like: Annotated[str, typer.Option(help="bones, lesions, external or stress.")] = "lesions",
    patients: Annotated[int, typer.Option(min=1, help="Number of patients.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Decides the cohort.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Patients at a time.")] = 1,
    scanner: ScannerOption = None,
    dicom: DicomOption = None,
    artefact: ArtefactOption = None,
    anatomy: SourceOption = None,
    follow_up: FollowUpOption = False,
) -> None:
    """Make a study population as in the paper, with splits and the enrolment flow."""
    from pelvimets.app.phantom import CohortOrder, make_cohort
    from pelvimets.phantom.cohort.population import Population

    order = CohortOrder(
        population=_one_of(Population, like, "--like"),
        patients=patients,
        seed=seed,
        scanner=scanner,
        dicom=_dicom_style(dicom),
        artefacts=_artefacts(artefact),
        follow_up=follow_up,
        settings=_settings(anatomy),
    )
    with console.progress_bar() as progress:
        task = progress.add_task("patients", total=patients)
        make_cohort(
            order,
            out,
            jobs=jobs,
            finished=lambda key, done, total: progress.update(task, completed=done, total=total),
        )
    console.line(f"Cohort of {patients} digital patients: {out}")


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
    from pelvimets.app.insertion import InsertionOrder, insert_into_cohort

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
    scanner: Annotated[str, typer.Option(help=_SCANNER_HELP)] = "discovery",
    cohort: Annotated[
        Path | None,
        typer.Option(help="Compare the disease of this cohort with the paper's tables."),
    ] = None,
) -> None:
    """Compare digital patients with the literature, or a cohort's disease with the paper."""
    from pelvimets.app.phantom import check_cohort, check_phantom

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


def _one_of(kind: type[Kind], value: str, option: str) -> Kind:
    """Member of an enumeration, or a usage error that names the known ones."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise typer.BadParameter(f"{value!r} is none of: {known}.", param_hint=option) from None


def _dicom_style(value: str | None) -> DicomStyle | None:
    from pelvimets.io.phantom.series import DicomStyle

    return _one_of(DicomStyle, value, "--dicom") if value else None


def _artefacts(values: list[str] | None) -> Artefacts:
    from pelvimets.phantom.physics.examination import Artefacts

    artefacts = Artefacts()
    for text in values or []:
        name, _, strength = text.partition("=")
        try:
            number = float(strength)
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is not NAME=VALUE.", param_hint="--artefact"
            ) from None
        names = Artefacts.named() if name == "all" else (name.replace("-", "_"),)
        artefacts = artefacts.with_strength(**dict.fromkeys(names, number))
    return artefacts


def _settings(sources: list[str] | None) -> PatientSettings:
    from pelvimets.phantom.anatomy.healthy import AnatomySettings
    from pelvimets.phantom.cohort.build import PatientSettings

    return (
        PatientSettings(anatomy=AnatomySettings(sources=tuple(sources)))
        if sources
        else PatientSettings()
    )
