"""Progress of a training: a bar with ETA in a terminal, a line per epoch everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from pelvimets.cli import console
from pelvimets.core.progress import RunObserver, RunState


class TrainingBar(RunObserver):
    """A bar or lines of a training."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._prepared = 0

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show how far it is; outside a terminal a line now and then."""
        self._progress.update(
            self._task, description=f"{what} {done + 1} of {total}", completed=done, total=total
        )
        if not console.out.is_terminal and done % 10 == 0:
            console.line(f"{what}: {done + 1} of {total}")

    def note(self, line: str) -> None:
        """Print the line."""
        self._progress.console.print(line, highlight=False, soft_wrap=True)

    def step(self, state: RunState) -> None:
        """Show the step."""
        self._progress.update(
            self._task, description=step_words(state), completed=state.share, total=1.0
        )

    def epoch(self, state: RunState) -> None:
        """Print the epoch."""
        self._progress.console.print(epoch_words(state), highlight=False, soft_wrap=True)


@contextmanager
def training_bar(*, shown: bool) -> Iterator[TrainingBar]:
    """A bar for a whole run; without a terminal there are lines alone.

    Args:
        shown: Of several processes one prints.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        console=console.out,
        transient=True,
        disable=not (shown and console.out.is_terminal),
    )
    with bar as progress:
        yield TrainingBar(progress, progress.add_task("Getting ready", total=None))


def step_words(state: RunState) -> str:
    """The step that was done, in words."""
    parts = [f"Epoch {state.epoch} of {state.epochs}, step {state.step}"]
    if state.loss is not None:
        parts.append(f"loss {state.loss:.3f}")
    if state.score is not None:
        parts.append(f"score {state.score:.3f}")
    return ", ".join([*parts, *_left(state)])


def epoch_words(state: RunState) -> str:
    """An epoch that has ended, in words."""
    parts = [f"Epoch {state.epoch} of {state.epochs}, step {state.step}"]
    if state.loss is not None:
        parts.append(f"loss {state.loss:.3f}")
    if state.validated and state.score is None:
        parts.append("nothing to measure on the validation images")
    if state.validated and state.score is not None:
        better = " (best so far)" if state.score == state.best else f" (best {state.best:.3f})"
        parts.append(f"score {state.score:.3f}{better}")
    parts.append(f"{duration(state.seconds)} trained")
    return ", ".join([*parts, *_left(state)])


def duration(seconds: float) -> str:
    """A time in two units at most.

    >>> duration(5400)
    '1 h 30 min'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _left(state: RunState) -> list[str]:
    if state.remaining_seconds is None:
        return []
    return [f"about {duration(state.remaining_seconds)} left"]
