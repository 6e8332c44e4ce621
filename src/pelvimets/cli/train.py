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
    from pelvimets.cli.training_bar import TrainingBar
    from pelvimets.model_development.train import RunSummary

_TERMINATED = 128 + signal.SIGTERM  # Lightning may end a run on the signal without a code


@from_requests
def train(request: TrainRequest) -> None:
    """Train one of the two networks, or go on with a run that was stopped.

    On several devices: torchrun --nproc_per_node=N -m pelvimets train ..., or srun.
    """
    require_torch()
    from pelvimets.cli.training_bar import training_bar
    from pelvimets.model_development.train import train as run
    from pelvimets.training.processes import launched

    first = launched().first
    try:
        with training_bar(shown=first) as bar:
            if request.folds is not None:
                _train_folds(request, bar if first else None, first=first)
                return
            summary = run(request, bar if first else None)
    except PelvimetsError:
        if first:
            raise
        raise typer.Exit(1) from None  # the first process says it
    except (KeyboardInterrupt, SystemExit) as stop:
        if first:
            console.line("Stopped. The same command goes on.")
        raise SystemExit(getattr(stop, "code", None) or _TERMINATED) from None
    if first:
        _print(summary, request.out)


def _train_folds(request: TrainRequest, bar: TrainingBar | None, *, first: bool) -> None:
    from pelvimets.model_development.folds import train_folds

    def begins(fold: int, folds: int) -> None:
        if bar is not None:
            bar.note(f"Fold {fold} of {folds}")

    summary = train_folds(request, bar, begins)
    if not first:
        return
    for fold, run in summary.runs.items():
        _print(run, request.out / f"fold-{fold}", name=f"Fold {fold}: ")
    scores = [run.best for run in summary.runs.values() if run.best is not None]
    if len(scores) > 1:
        mean = sum(scores) / len(scores)
        console.line(
            f"Best scores of the folds: mean {mean:.3f}, {min(scores):.3f} to {max(scores):.3f}."
        )


def _print(summary: RunSummary, out: Path, name: str = "") -> None:
    from pelvimets.cli.training_bar import duration

    trained = duration(60 * summary.minutes)
    console.line(f"{name}Trained {summary.steps} steps in {trained} on {summary.data}.")
    if summary.score is None or summary.best is None:
        console.line("Score: not measured; the run was shorter than its first validation.")
    else:
        console.line(
            f"Score (DSC on the validation images): {summary.score:.3f}, best {summary.best:.3f}."
        )
    if summary.before is not None and summary.best is not None:
        gained = summary.best > summary.before
        console.line(
            f"Before the first step: {summary.before:.3f}. "
            + ("" if gained else "No step made it better: best.ckpt holds the weights given.")
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
