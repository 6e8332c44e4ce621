"""``pelvimets train`` and ``pelvimets bundle``: own networks from own data or digital patients."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pelvimets.cli import console
from pelvimets.errors import MissingExtraError

if TYPE_CHECKING:
    from pelvimets.training.settings import TrainingSettings

PHANTOM = "phantom"


def train(
    task: Annotated[str, typer.Argument(help="bones or lesions.")],
    data: Annotated[
        str, typer.Option("--data", help=f"Cohort folder, or '{PHANTOM}' for digital patients.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; resumed if there.")],
    preset: Annotated[str, typer.Option(help="Settings: default or paper.")] = "default",
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="The schedule ends after this time.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.")] = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="Run whose weights a new run starts with.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Folder for prepared samples, to share between runs.")
    ] = None,
    patients: Annotated[int, typer.Option(min=2, help="Digital patients to learn from.")] = 1000,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw patches.")] = 1,
) -> None:
    """Train one of the two networks, or go on with a run that was stopped."""
    _require_torch()
    from pelvimets.app.train import PhantomPool, train_run

    settings = _settings(task, preset, minutes, epochs)
    train_run(
        settings,
        None if data == PHANTOM else Path(data),
        out,
        start_from=start_from,
        samples=samples,
        pool=PhantomPool(patients=patients, start_with=min(patients, 40)),
        workers=workers,
    )
    console.line(f"Run: {out}")


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
    _require_torch()
    from pelvimets.app.train import make_bundle

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


def _settings(
    task: str, preset: str, minutes: float | None, epochs: int | None
) -> TrainingSettings:
    from pelvimets.training.presets import preset_settings

    settings = preset_settings(task, preset)
    if minutes is not None:
        settings = replace(settings, minutes=minutes)
    return settings if epochs is None else replace(settings, epochs=epochs)


def _require_torch() -> None:
    missing = [m for m in ("torch", "lightning") if importlib.util.find_spec(m) is None]
    if missing:
        raise MissingExtraError(
            "Training is an optional part and is not installed",
            got=f"no {', '.join(missing)}",
            remedy="pip install 'pelvimets[train]'",
        )
