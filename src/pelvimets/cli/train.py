"""``pelvimets train``: own networks from own data or digital patients."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pelvimets.cli import console
from pelvimets.cli.requests import from_requests
from pelvimets.errors import MissingExtraError, PelvimetsError
from pelvimets.requests.train import TrainRequest

if TYPE_CHECKING:
    from pelvimets.app.train import RunSummary

_TERMINATED = 128 + signal.SIGTERM  # Lightning may end a run on the signal without a code


@from_requests
def train(request: TrainRequest) -> None:
    """Train one of the two networks, or go on with a run that was stopped.

    On several devices: torchrun --nproc_per_node=N -m pelvimets train ..., or srun.
    """
    require_torch()
    from pelvimets.app.train import train as run
    from pelvimets.cli.training_bar import training_bar
    from pelvimets.training.processes import launched

    first = launched().first
    try:
        with training_bar(shown=first) as bar:
            summary = run(request, bar if first else None)
    except PelvimetsError:
        if first:
            raise
        raise typer.Exit(1) from None  # the first process says it
    except (KeyboardInterrupt, SystemExit) as stop:
        if first:
            console.line("Stopped. The same command goes on after the last whole epoch.")
        raise SystemExit(getattr(stop, "code", None) or _TERMINATED) from None
    if first:
        _print(summary, request.out)


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
