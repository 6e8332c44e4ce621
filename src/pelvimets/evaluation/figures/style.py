"""Looks of all figures: told apart by lightness, line style and marker, not by colour alone."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pelvimets.evaluation.readings import Reading
from pelvimets.labels import Sequence

IN_SILICO_MARK = "in-silico: digital patients"


@dataclass(frozen=True)
class Look:
    """How one group is drawn: colours from Okabe and Ito, of different lightness."""

    colour: str
    line: str
    marker: str
    hatch: str


SEQUENCE_LOOKS = {
    Sequence.DWI: Look("#0072B2", "-", "o", ""),
    Sequence.T1: Look("#E69F00", "--", "s", "////"),
}
READING_LOOKS = {
    Reading.DWI: SEQUENCE_LOOKS[Sequence.DWI],
    Reading.T1: SEQUENCE_LOOKS[Sequence.T1],
    Reading.EITHER: Look("#000000", "-.", "^", ""),
    Reading.BOTH: Look("#CC79A7", ":", "D", ""),
}
_SETTINGS: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "pelvimets",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "hatch.linewidth": 0.6,
}


def looks() -> AbstractContextManager[None]:
    """Settings within which every figure is drawn."""
    context: AbstractContextManager[None] = mpl.rc_context(_SETTINGS)
    return context


def new_figure(
    columns: int, rows: int = 1, size: tuple[float, float] = (3.2, 3.0)
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels with letters, outside any window system."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    return figure, axes


def letter(axes: list[Axes]) -> None:
    """Letters A, B, ... before the titles of several panels."""
    for name, ax in zip("ABCDEFGHIJKL", axes, strict=False):
        title = ax.get_title(loc="left")
        ax.set_title(f"{name}  {title}" if title else name, loc="left")


def mark_in_silico(figure: Figure) -> None:
    """Say on the figure that its patients are digital."""
    figure.supxlabel(IN_SILICO_MARK, fontsize=7, x=0.99, ha="right", color="0.35")
