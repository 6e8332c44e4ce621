"""Tables as plain text cells, and their forms as CSV, HTML and LaTeX."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from html import escape

from pelvimets.evaluation.measures.voxel import Summary
from pelvimets.evaluation.statistics.intervals import Interval

DASH = "-"
IN_SILICO = "In-silico: digital patients, not men."


@dataclass(frozen=True)
class Table:
    """A table ready to print.

    Attributes:
        key: File name without ending.
        title: Heading.
        columns: Column names.
        rows: Cells, each row as long as ``columns``.
        notes: What a reader must know, below the table.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def to_csv(self) -> str:
        """Comma-separated, with the notes as comment lines at the end."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue() + "".join(f"# {note}\n" for note in self.notes)

    def to_html(self) -> str:
        """A table element with caption and notes."""
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
            for row in self.rows
        )
        notes = "".join(f"<p class='note'>{escape(note)}</p>\n" for note in self.notes)
        return (
            f"<table id='{escape(self.key)}'><caption>{escape(self.title)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n{notes}"
        )

    def to_latex(self) -> str:
        """A table environment for use with the booktabs package."""
        lines = [
            r"\begin{table}",
            rf"\caption{{{_tex(self.title)}}}",
            rf"\label{{tab:{self.key}}}",
            rf"\begin{{tabular}}{{l{'c' * (len(self.columns) - 1)}}}",
            r"\toprule",
            " & ".join(_tex(column) for column in self.columns) + r" \\",
            r"\midrule",
            *(" & ".join(_tex(cell) for cell in row) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {_tex(note)}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def number(value: float, digits: int = 2) -> str:
    """A number, or a dash where there is none.

    >>> number(float("nan"))
    '-'
    """
    return DASH if value != value else f"{value:.{digits}f}"


def percent(value: float) -> str:
    """A share as percent with one digit, or a dash."""
    return DASH if value != value else f"{100 * value:.1f}"


def p_value(value: float) -> str:
    """A p-value with three digits, as '< 0.001' below that, or a dash."""
    if value != value:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent_interval(interval: Interval) -> str:
    """Percent with bounds, as '87.5 (61.7-98.4)'."""
    if not interval.defined:
        return percent(interval.estimate)
    bounds = f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"
    return f"{percent(interval.estimate)} ({bounds})"


def number_interval(interval: Interval, digits: int = 2) -> str:
    """Number with bounds, as '0.85 (0.69 to 0.95)'."""
    if not interval.defined:
        return number(interval.estimate, digits)
    bounds = f"{number(interval.low, digits)} to {number(interval.high, digits)}"
    return f"{number(interval.estimate, digits)} ({bounds})"


def mean_sd(summary: Summary, digits: int = 2) -> str:
    """Mean and SD, as '0.89 ± 0.05'; the number of cases without a value follows in brackets."""
    if not summary.n:
        return DASH
    text = f"{number(summary.mean, digits)} ± {number(summary.sd, digits)}"
    return text + (f" [{summary.n_nan} empty]" if summary.n_nan else "")


def median_quartiles(summary: Summary, digits: int = 2) -> str:
    """Median and quartiles, as '7.50 (5.47, 31.60)'."""
    if not summary.n:
        return DASH
    quartiles = (
        f"{number(summary.lower_quartile, digits)}, {number(summary.upper_quartile, digits)}"
    )
    return f"{number(summary.median, digits)} ({quartiles})"
