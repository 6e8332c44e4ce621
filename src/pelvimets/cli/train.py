"""``pelvimets train``: own networks from own data or digital patients."""

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
    require_torch()
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


def _settings(
    task: str, preset: str, minutes: float | None, epochs: int | None
) -> TrainingSettings:
    from pelvimets.training.presets import preset_settings

    settings = preset_settings(task, preset)
    if minutes is not None:
        settings = replace(settings, minutes=minutes)
    return settings if epochs is None else replace(settings, epochs=epochs)


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
