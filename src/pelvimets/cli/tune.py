"""``pelvimets tune``: a search over the settings of training."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import Progress

from pelvimets.cli import console
from pelvimets.cli.requests import from_requests
from pelvimets.cli.train import require_torch
from pelvimets.errors import MissingExtraError
from pelvimets.requests.train import TuneRequest

if TYPE_CHECKING:
    from pelvimets.model_development.tune import TuneSummary
    from pelvimets.training.search.records import TrialRecord

_PATIENTS_PER_LINE = 50


@from_requests
def tune(request: TuneRequest) -> None:
    """Search for better settings, or go on with a search; several may work on one study."""
    require_torch()
    _require_optuna()
    from pelvimets.model_development.tune import tune as run

    try:
        with console.progress_bar() as progress:
            summary = run(request, TuneBar(progress, request.options.trials))
    except (KeyboardInterrupt, SystemExit):
        console.line("Stopped. The same command goes on with the search.")
        raise
    _report(summary, request)


def _report(summary: TuneSummary, request: TuneRequest) -> None:
    for note in summary.notes:
        console.line(f"note: {note}")
    if summary.best is None:
        console.line("No trial has finished yet")
        return
    score, number = summary.best.score, summary.best.number
    console.line(f"Best: trial {number}, score {score:.4f}: {_words(summary.best)}")
    console.line(f"Table and figures: {request.out}")
    preset = "" if request.preset == "default" else f"--preset {request.preset} "
    console.line(
        f"Train with these settings: pelvimets train {request.task} --data {request.data} "
        f"{preset}--settings {summary.settings} -o RUN"
    )


def _words(trial: TrialRecord) -> str:
    return ", ".join(
        f"{name.rsplit('.', 1)[-1]} {value:.3g}"
        if isinstance(value, float)
        else f"{name.rsplit('.', 1)[-1]} {value}"
        for name, value in trial.values.items()
    )


class TuneBar:
    """Progress of a search; implements ``TuneObserver``."""

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
