"""``pelvimets tune``: a search over the settings of training."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from pelvimets.cli import console
from pelvimets.cli.train import PHANTOM, require_torch
from pelvimets.errors import MissingExtraError

if TYPE_CHECKING:
    from pelvimets.app.tune import TuneSummary
    from pelvimets.app.tune_output import Study
    from pelvimets.training.search.records import TrialRecord

_PATIENTS_PER_LINE = 50


def tune(
    task: Annotated[str, typer.Argument(help="bones or lesions.")],
    data: Annotated[
        str, typer.Option("--data", help=f"Cohort folder, or '{PHANTOM}' for digital patients.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the study; gone on with if there.")
    ],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of the whole study, all workers together.")
    ] = 30,
    minutes_per_trial: Annotated[
        float | None, typer.Option(min=0.05, help="The schedule of a trial ends after this time.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a trial.")] = None,
    sampler: Annotated[str, typer.Option(help="random, as in the paper, or tpe.")] = "random",
    pruner: Annotated[
        str, typer.Option(help="Stops poor trials early: median, hyperband or none.")
    ] = "median",
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="PELVIMETS_STORAGE",
            help="Database; for many workers postgresql://USER@HOST/NAME. "
            "Without it, SQLite in the folder.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name in the database; without it, that of the folder.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Settings to start from.")] = "default",
    settings: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML file of settings that replace those of the preset."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="JSON or YAML with the settings to search and their values.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Begin no trial after so many minutes.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn values.")] = 0,
    keep: Annotated[int, typer.Option(min=1, help="Keep the checkpoints of the best.")] = 3,
    split_of: Annotated[
        Path | None, typer.Option(help="Run whose patients keep their split.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Folder for prepared samples, to share between studies.")
    ] = None,
    patients: Annotated[int, typer.Option(min=2, help="Digital patients to learn from.")] = 200,
    validation: Annotated[
        int, typer.Option(min=1, help="Digital patients of each sequence to measure on.")
    ] = 6,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw patches.")] = 1,
) -> None:
    """Search for better settings, or go on with a search; several may work on one study."""
    require_torch()
    _require_optuna()
    from pelvimets.app.samples import PhantomPool
    from pelvimets.app.tune import TuneOptions
    from pelvimets.app.tune import tune as run

    described = _study(task, preset, settings, minutes_per_trial, epochs, space, data, out)
    options = TuneOptions(
        trials=trials,
        timeout_minutes=timeout,
        sampler=sampler,
        pruner=pruner,
        seed=seed,
        storage=storage,
        study=study,
        keep=keep,
        workers=workers,
        pool=PhantomPool(patients, patients // 10, validation),
        samples=samples,
        split_of=split_of,
    )
    try:
        with console.progress_bar() as progress:
            cohort = None if data == PHANTOM else Path(data)
            summary = run(described, cohort, options, TuneBar(progress, trials))
    except (KeyboardInterrupt, SystemExit):
        console.line("Stopped. The same command goes on with the search.")
        raise
    _report(summary, described, data)


def _study(
    task: str,
    preset: str,
    changes: Path | None,
    minutes: float | None,
    epochs: int | None,
    space: Path | None,
    data: str,
    out: Path,
) -> Study:
    from pelvimets.app.tune import described_study

    if minutes is not None and epochs is not None:
        raise typer.BadParameter("Give either --minutes-per-trial or --epochs, not both.")
    return described_study(
        task,
        out,
        preset=preset,
        changes=changes,
        minutes=minutes,
        epochs=epochs,
        space=space,
        in_silico=data == PHANTOM,
    )


def _report(summary: TuneSummary, study: Study, data: str) -> None:
    for note in summary.notes:
        console.line(f"note: {note}")
    if summary.best is None:
        console.line("No trial has finished yet")
        return
    score, number = summary.best.score, summary.best.number
    console.line(f"Best: trial {number}, score {score:.4f}: {_words(summary.best)}")
    console.line(f"Table and figures: {study.folder.folder}")
    preset = "" if study.preset == "default" else f"--preset {study.preset} "
    console.line(
        f"Train with these settings: pelvimets train {study.base.task} --data {data} "
        f"{preset}--settings {study.folder.best} -o RUN"
    )


def _words(trial: TrialRecord) -> str:
    return ", ".join(
        f"{name.rsplit('.', 1)[-1]} {value:.3g}"
        if isinstance(value, float)
        else f"{name.rsplit('.', 1)[-1]} {value}"
        for name, value in trial.values.items()
    )


class TuneBar:
    """Progress of a search; implements ``app.tune.TuneObserver``."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._samples = progress.add_task("samples", total=None, visible=False)
        self._trials = progress.add_task("trials", total=total, visible=False)

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show the preparation."""
        self._progress.update(
            self._samples, description=what, completed=done, total=total, visible=True
        )
        if not self._progress.console.is_terminal and done % _PATIENTS_PER_LINE == 0:
            self._line(f"{what}: {done + 1} of {total}")

    def begun(self, records: Sequence[TrialRecord]) -> None:
        """Show where an earlier start has ended."""
        from pelvimets.training.search.records import ended

        self._done = len(ended(records))
        self._progress.update(self._samples, visible=False)
        self._progress.update(self._trials, completed=self._done, visible=True)
        if self._done:
            self._line(f"going on after {self._done} of {self._total} trials")

    def trial_share(self, share: float) -> None:
        """Move within a trial."""
        self._progress.update(self._trials, completed=self._done + share)

    def finished(self, trial: TrialRecord, records: Sequence[TrialRecord]) -> None:
        """One line for the trial."""
        from pelvimets.training.search.records import best, ended, remaining_minutes

        self._done = len(ended(records))
        self._progress.update(self._trials, completed=self._done)
        parts = [f"trial {trial.number} {trial.fate}"]
        if trial.score is not None:
            parts.append(f"score {trial.score:.4f}")
        parts += [f"best {first.score:.4f} (trial {first.number})" for first in best(records)]
        parts += [f"{trial.minutes or 0.0:.1f} min", f"{self._done} of {self._total}"]
        left = remaining_minutes(records, self._total)
        if left:
            parts.append(f"about {left:.0f} min left" if left >= 1 else "less than 1 min left")
        self._line(f"{', '.join(parts)}: {trial.reason or _words(trial)}")

    def _line(self, text: str) -> None:
        self._progress.console.print(escape(text), soft_wrap=True, highlight=False)


def _require_optuna() -> None:
    """Say how to install the search, if it is not.

    Raises:
        MissingExtraError: if Optuna is missing.
    """
    if importlib.util.find_spec("optuna") is None:
        raise MissingExtraError(
            "The search is an optional part and is not installed",
            got="no optuna",
            remedy="pip install 'pelvimets[train,study]'",
        )
