"""``pelvimets train``: own networks from own data or digital patients."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets.cli import console
from pelvimets.errors import MissingExtraError, PelvimetsError
from pelvimets.labels import Sequence

if TYPE_CHECKING:
    from pelvimets.app.train import RunSummary

PHANTOM = "phantom"
_TERMINATED = 128 + signal.SIGTERM  # Lightning may end a run on the signal without a code


def train(
    task: Annotated[str, typer.Argument(help="bones or lesions.")],
    data: Annotated[
        str, typer.Option("--data", help=f"Cohort folder, or '{PHANTOM}' for digital patients.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; resumed if there.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="default, paper, residual or attention; a begun run keeps its own. [default]"
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML file of settings that replace those of the preset."),
    ] = None,
    sequence: Annotated[
        Sequence | None,
        typer.Option(help="Learn from this one alone, for a network of its own. [default: both]"),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="The schedule ends after this time.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", help="Run or bundle whose weights a new run starts with."),
    ] = None,
    from_sequence: Annotated[
        Sequence, typer.Option(help="Which network, if the bundle has one for each sequence.")
    ] = Sequence.DWI,
    split_of: Annotated[
        Path | None,
        typer.Option(help="Run whose patients keep their split, such as that of the bones."),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Folder for prepared samples, to share between runs.")
    ] = None,
    patients: Annotated[
        int, typer.Option(min=2, help="Digital patients: drawn samples, one sequence each.")
    ] = 1000,
    simulated: Annotated[
        int, typer.Option(min=0, help="Digital patients: examined in full, on two scanners each.")
    ] = 150,
    anatomy: Annotated[
        list[str] | None,
        typer.Option(help="Digital patients: build from this anatomy alone; may be repeated."),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(help="Lesions: cohort of real images without metastases, to put some into."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw patches.")] = 1,
) -> None:
    """Train one of the two networks, or go on with a run that was stopped.

    On several devices: torchrun --nproc_per_node=N -m pelvimets train ..., or srun.
    """
    require_torch()
    from pelvimets.app.train import Backgrounds, PhantomPool, run_settings, train_run
    from pelvimets.cli.training_bar import training_bar
    from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES
    from pelvimets.training.processes import launched

    first = launched().first
    try:
        with training_bar(shown=first) as bar:
            summary = train_run(
                run_settings(
                    task,
                    out,
                    preset=preset,
                    changes=settings,
                    start_from=start_from,
                    sequence=sequence,
                    minutes=minutes,
                    epochs=epochs,
                ),
                None if data == PHANTOM else Path(data),
                out,
                start_from=start_from,
                start_sequence=from_sequence,
                split_of=split_of,
                samples=samples,
                pool=PhantomPool(
                    patients,
                    simulated,
                    start_with=min(patients, 40),
                    sources=tuple(anatomy) if anatomy else TRAINING_SOURCES,
                ),
                backgrounds=None if backgrounds is None else Backgrounds(backgrounds),
                workers=workers,
                observer=bar if first else None,
            )
    except PelvimetsError:
        if first:
            raise
        raise typer.Exit(1) from None  # the first process says it
    except (KeyboardInterrupt, SystemExit) as stop:
        if first:
            console.line("Stopped. The same command goes on after the last whole epoch.")
        raise SystemExit(getattr(stop, "code", None) or _TERMINATED) from None
    if first:
        _print(summary, out)


def _print(summary: RunSummary, out: Path) -> None:
    from pelvimets.cli.training_bar import duration

    console.line(
        f"Trained {summary.steps} steps in {duration(60 * summary.minutes)} on {summary.data}."
    )
    if summary.score is None or summary.best is None:
        console.line("Score: not measured; the run was shorter than its first validation.")
    else:
        console.line(
            f"Score (DSC on the validation images): {summary.score:.3f}, best {summary.best:.3f}."
        )
    console.line(f"Run: {out} (checkpoints, log, pictures)")


def require_torch() -> None:
    """Say how to install training, if it is not.

    Raises:
        MissingExtraError: if torch or Lightning is missing.
    """
    missing = [m for m in ("torch", "lightning") if importlib.util.find_spec(m) is None]
    if missing:
        raise MissingExtraError(
            "Training is an optional part and is not installed",
            got=f"no {', '.join(missing)}",
            remedy="pip install 'pelvimets[train]'",
        )
