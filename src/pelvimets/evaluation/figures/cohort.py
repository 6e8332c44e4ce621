"""Cohort flow (1) and overlays of best, median and worst cases (3, 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pelvimets.evaluation.figures.overlays import RgbArray
from pelvimets.evaluation.figures.style import new_figure


@dataclass(frozen=True)
class FlowStep:
    """One box of the cohort flow, and what leaves the flow before the next.

    Attributes:
        text: Lines of the box.
        excluded: Reasons with numbers.
    """

    text: tuple[str, ...]
    excluded: Mapping[str, int]


def flow_figure(steps: Sequence[FlowStep]) -> Figure:
    """Patients from the table to the figures, with what was left out on the way."""
    height = 1.25 * len(steps)
    figure = Figure(figsize=(7.0, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 7), ylim=(0, height))
    ax.axis("off")
    for n, step in enumerate(steps):
        y = height - 0.55 - 1.25 * n
        _box(ax, 2.1, y, step.text)
        if n + 1 < len(steps):
            _arrow(ax, (2.1, y - 0.36), (2.1, y - 0.89))
        if step.excluded:
            lines = tuple(f"{reason}: {count}" for reason, count in step.excluded.items())
            _box(ax, 5.4, y - 0.62, lines, size=7)
            _arrow(ax, (2.1, y - 0.62), (4.05, y - 0.62))
    return figure


def _box(ax: Axes, x: float, y: float, lines: Sequence[str], size: float = 9) -> None:
    ax.text(
        x, y, "\n".join(lines), ha="center", va="center", fontsize=size,
        bbox={"boxstyle": "square,pad=0.5", "facecolor": "white", "edgecolor": "black", "lw": 0.8},
    )  # fmt: skip


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "->", "color": "black", "lw": 0.9}
    ax.annotate("", xy=end, xytext=start, arrowprops=style)


@dataclass(frozen=True, eq=False)
class Example:
    """One picture of the montage: its row heading and the picture."""

    heading: str
    picture: RgbArray


def montage_figure(title: str, examples: Sequence[Example], legend: str) -> Figure:
    """Pictures below each other: best, median and worst case."""
    widths = [e.picture.shape[1] / e.picture.shape[0] for e in examples]
    figure, axes = new_figure(1, len(examples), size=(2.4 * max(widths), 2.65))
    for ax, example in zip(axes, examples, strict=True):
        ax.imshow(example.picture)
        ax.axis("off")
        ax.set_title(example.heading, fontsize=9, fontweight="normal")
    figure.suptitle(f"{title}\n{legend}", fontsize=9, ha="left", x=0.01)
    return figure
