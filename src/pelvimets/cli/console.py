"""What the command line prints: progress with ETA, tables, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

if TYPE_CHECKING:
    from pelvimets.app.batch import BatchOutcome
    from pelvimets.core.progress import Progress

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


def count_of(number: int, one: str, several: str) -> str:
    """A number with its noun.

    >>> count_of(1, "study", "studies"), count_of(0, "study", "studies")
    ('1 study', '0 studies')
    """
    return f"{number} {one if number == 1 else several}"


@contextmanager
def shown_progress(what: str = "start", total: int | None = None) -> Iterator[Progress]:
    """A bar that shows what is done and the time left, on the error stream, gone when done."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=total)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


def progress_bar() -> Bar:
    """A progress bar with elapsed time and ETA on the error stream."""
    return Bar(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


@contextmanager
def batch_bar(patients: int) -> Iterator[Callable[[BatchOutcome, int, int], None]]:
    """A bar for many patients; one that failed is named at once."""
    with progress_bar() as bar:
        task = bar.add_task("patients", total=patients)

        def told(outcome: BatchOutcome, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if outcome.state == "failed":
                bar.console.print(f"{outcome.name}: failed", style="red")

        yield told
