"""What the command line prints: progress with ETA, tables, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from pelvimets.app.batch import BatchOutcome

out = Console()
err = Console(stderr=True)


def fail(error: Exception) -> None:
    """Print an error with its remedy."""
    err.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)


def line(text: str, style: str = "") -> None:
    """Print one line; nothing in it is read as markup."""
    out.print(escape(text), style=style or None, soft_wrap=True, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; long cells wrap. Piped into a file it is as wide as it needs to be."""
    width = None if out.is_terminal else 200
    grid = Table(title=title, title_justify="left", header_style="bold", width=width)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    out.print(grid, width=width, crop=out.is_terminal)


class StageBar:
    """Progress of one study; implements ``app.stages.Observer``."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def stage(self, name: str, done: int, total: int) -> None:
        """Show the stage that begins."""
        self._progress.update(self._task, description=name, completed=done, total=total)


@contextmanager
def stage_bar() -> Iterator[StageBar]:
    """A progress bar for one study, on the error stream, gone when done."""
    with progress_bar() as progress:
        yield StageBar(progress, progress.add_task("start", total=None))


def progress_bar() -> Progress:
    """A progress bar with elapsed time and ETA on the error stream."""
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


class BatchBar:
    """Progress of many patients; implements ``app.batch.BatchObserver``."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def finished(self, outcome: BatchOutcome, done: int, total: int) -> None:
        """Count the patient; name the one that failed at once."""
        self._progress.update(self._task, completed=done, total=total)
        if outcome.state == "failed":
            self._progress.console.print(f"{outcome.name}: failed", style="red")
