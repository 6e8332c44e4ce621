"""``pelvimets import`` and ``pelvimets export``: the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pelvimets.cli import console
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.import_options import assigned, pair, rules, structures
from pelvimets.cli.train import require_torch

if TYPE_CHECKING:
    from pelvimets.app.exchange import ExchangeObserver, ImportSummary

Key = TypeVar("Key")
Value = TypeVar("Value")

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


class MissingLesions(StrEnum):
    """What an image without a file of lesions means."""

    REFUSE = "refuse"
    EMPTY = "empty"
    LEAVE = "leave"


class MissingBones(StrEnum):
    """What an image without a file of bones means."""

    REFUSE = "refuse"
    LEAVE = "leave"


class ReadersName(StrEnum):
    """What becomes of several masks of one image."""

    REFUSE = "refuse"
    CONSENSUS = "consensus"
    ALL = "all"


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
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="What a label is: NAME=NAME, none leaves it out. Repeatable."),
]
PersonOption = Annotated[
    str | None,
    typer.Option(help="Pattern with one group, the man in a name; he stays in one split."),
]
TableOption = Annotated[
    Path | None, typer.Option(help="patients.csv with split, m_stage, scanner, age, psa, ...")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides splits that are drawn, 8:1:1.")]
LesionsOption = Annotated[
    MissingLesions, typer.Option(help="Images without a file of lesions, where others have one.")
]
BonesOption = Annotated[
    MissingBones, typer.Option(help="Images without a file of bones, where others have one.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Read and check all as the import would; write nothing.")
]
LabelMapOption = Annotated[
    Path | None,
    typer.Option(help="JSON or YAML file, NAME: NAME or VALUE: NAME, as many --map at once."),
]
AnnotatedOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Bones that were drawn, such as ilium,sacrococcyx; 'values': in each case those "
        "whose values occur. [default: all that have a label]",
    ),
]
IgnoreOption = Annotated[
    list[int] | None, typer.Option(help="Value of voxels that nobody judged. Repeatable.")
]
LeaveOutOption = Annotated[
    list[str] | None, typer.Option(metavar="PATIENT", help="Leave one out. Repeatable.")
]
ResampleOption = Annotated[
    bool, typer.Option("--resample-masks", help="Bring masks to the grid of their image.")
]
ReadersOption = Annotated[
    ReadersName, typer.Option(help="Several masks of one image: what most say, or all of them.")
]
FillOption = Annotated[
    Path | None,
    typer.Option(metavar="BUNDLE", help="Bundle that draws the bones which nobody drew."),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Patients at a time.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier one.")]


@importing.command("nnunet")
def import_nnunet(
    datasets: Annotated[
        list[Path], typer.Argument(help="Folders DatasetNNN_Name; cases of one name are joined.")
    ],
    out: OutOption,
    mapped: MapOption = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="What a channel is: NUMBER=dwi, t1, adc or none. Repeatable."),
    ] = None,
    person: PersonOption = None,
    splits: Annotated[
        Path | None, typer.Option(help="splits_final.json. [default: the one in the data set]")
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold of these splits.")] = 0,
    table: TableOption = None,
    missing_lesions: LesionsOption = MissingLesions.REFUSE,
    missing_bones: BonesOption = MissingBones.REFUSE,
    label_map: LabelMapOption = None,
    annotated: AnnotatedOption = None,
    ignore: IgnoreOption = None,
    readers: ReadersOption = ReadersName.REFUSE,
    fill_bones: FillOption = None,
    leave_out: LeaveOutOption = None,
    resample_masks: ResampleOption = False,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    jobs: JobsOption = 1,
    cluster: ClusterOption = None,
) -> None:
    """Make a cohort of nnU-Net (version 2) raw data: a data set per task and sequence."""
    from pelvimets.app.exchange import ImportJob
    from pelvimets.app.exchange import import_nnunet as run
    from pelvimets.io.exchange.nnunet import Channel, NnunetOptions

    options = NnunetOptions(
        labels=structures(label_map, mapped, str),
        channels=assigned(channel, "--channel", int, Channel),
        person=person,
        splits=splits,
        fold=fold,
        table=table,
        optional=_optional(missing_lesions, missing_bones),
        empty_lesions=missing_lesions is MissingLesions.EMPTY,
        rules=rules(annotated, ignore, readers, leave_out, resample=resample_masks),
    )
    job = ImportJob(seed, dry_run, overwrite, fill_bones, workers(jobs, cluster))
    with _progress() as observer:
        summary = run(datasets, out, options, job, observer)
    _report(summary, out, dry_run=dry_run)


@importing.command("nifti")
def import_nifti(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI images and masks.")],
    out: OutOption,
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a file lies: SLOT={patient}/NAME.nii.gz with * for anything; slots dwi, "
            "t1, adc, dwi_bones, ... Given one, no name is guessed. Repeatable."
        ),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", help="What a value in the masks of bones is: 3=ilium. Repeatable."),
    ] = None,
    person: PersonOption = None,
    table: TableOption = None,
    missing_lesions: LesionsOption = MissingLesions.REFUSE,
    missing_bones: BonesOption = MissingBones.REFUSE,
    label_map: LabelMapOption = None,
    annotated: AnnotatedOption = None,
    ignore: IgnoreOption = None,
    readers: ReadersOption = ReadersName.REFUSE,
    fill_bones: FillOption = None,
    leave_out: LeaveOutOption = None,
    resample_masks: ResampleOption = False,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    jobs: JobsOption = 1,
    cluster: ClusterOption = None,
) -> None:
    """Make a cohort of a folder of NIfTI images and masks, by the names of the files."""
    from pelvimets.app.exchange import ImportJob
    from pelvimets.app.exchange import import_nifti as run
    from pelvimets.io.nifti.pairs import PairsOptions

    options = PairsOptions(
        patterns=tuple(pair(text, "--pattern") for text in pattern or ()),
        values=structures(label_map, mapped, int),
        person=person,
        table=table,
        optional=_optional(missing_lesions, missing_bones),
        empty_lesions=missing_lesions is MissingLesions.EMPTY,
        rules=rules(annotated, ignore, readers, leave_out, resample=resample_masks),
    )
    job = ImportJob(seed, dry_run, overwrite, fill_bones, workers(jobs, cluster))
    if dry_run:
        _show_files(folder, options)
    with _progress() as observer:
        summary = run(folder, out, options, job, observer)
    _report(summary, out, dry_run=dry_run)


def _show_files(folder: Path, options: object) -> None:
    from pelvimets.app.exchange import recognised
    from pelvimets.io.nifti.pairs import PairsOptions

    assert isinstance(options, PairsOptions)
    rows = [(f.name, f.patient or "-", f.slot or "left out") for f in recognised(folder, options)]
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
    with _progress() as observer:
        summary = run(cohort, out, order, overwrite=overwrite, observer=observer)
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


def _optional(lesions: MissingLesions, bones: MissingBones) -> tuple[str, ...]:
    leave = [("lesions", lesions is MissingLesions.LEAVE), ("bones", bones is MissingBones.LEAVE)]
    return tuple(kind for kind, left in leave if left)


class _Steps:
    """Progress of a copy; implements ``app.exchange.ExchangeObserver``."""

    def __init__(self, show: Callable[[str, int, int], None]) -> None:
        self._show = show

    def step(self, name: str, done: int, total: int) -> None:
        """Show how far the step is."""
        self._show(name, done, total)


@contextmanager
def _progress() -> Iterator[ExchangeObserver]:
    with console.progress_bar() as progress:
        task = progress.add_task("look", total=None)
        yield _Steps(
            lambda name, done, total: progress.update(
                task, description=name, completed=done, total=total
            )
        )


def _report(summary: ImportSummary, out: Path, *, dry_run: bool) -> None:
    if dry_run:
        columns = ("Patient", "Split", "Images (masks)", "ADC")
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
