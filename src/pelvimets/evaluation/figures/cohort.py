"""Cohort flow (1) and overlays of best, median and worst cases (3, 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pelvimets.evaluation.figures.overlays import RgbArray
from pelvimets.evaluation.figures.style import new_figure

_WIDTH, _LINE, _PAD, _SPACE = 7.4, 0.165, 0.11, 0.3  # inches
_MAIN, _SIDE = (0.1, 3.45), (4.1, 3.2)  # left edge and width of boxes


@dataclass(frozen=True)
class FlowStep:
    """One box of the cohort flow, and what leaves the flow before the next.

    Attributes:
        text: Lines of the box.
        excluded: Reasons with numbers.
    """

    text: tuple[str, ...]
    excluded: Mapping[str, int]


def flow_figure(steps: Sequence[FlowStep], arms: Sequence[tuple[str, ...]] = ()) -> Figure:
    """Patients from the first look to the figures, in the form of CONSORT and STARD.

    Args:
        steps: Boxes from top to bottom, with what left at each.
        arms: Lines of the last boxes, side by side.
    """
    heights = [_height(len(step.text)) for step in steps]
    sides = [_side_lines(step) for step in steps]
    gaps = [_height(len(lines)) + _SPACE if lines else _SPACE for lines in sides]
    last = max((_height(len(arm)) for arm in arms), default=-_SPACE)
    total = sum(heights) + sum(gaps) + last + 0.3  # below: room for a mark
    figure = Figure(figsize=(_WIDTH, total))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, _WIDTH), ylim=(0, total))
    ax.axis("off")
    top, middle = total - 0.05, _MAIN[0] + _MAIN[1] / 2
    for step, height, lines, gap in zip(steps, heights, sides, gaps, strict=True):
        _box(ax, (_MAIN[0], top - height), (_MAIN[1], height), step.text)
        top -= height
        if step is steps[-1]:
            break
        _arrow(ax, (middle, top), (middle, top - gap))
        if lines:
            _arrow(ax, (middle, top - gap / 2), (_SIDE[0], top - gap / 2))
            size = _height(len(lines))
            _box(ax, (_SIDE[0], top - gap / 2 - size / 2), (_SIDE[1], size), lines, left=True)
        top -= gap
    _arms(ax, arms, top, middle)
    return figure


def _side_lines(step: FlowStep) -> tuple[str, ...]:
    if not step.excluded:
        return ()
    reasons = (f"   {reason} (n = {count})" for reason, count in step.excluded.items())
    return (f"Excluded (n = {sum(step.excluded.values())})", *reasons)


def _height(lines: int) -> float:
    return lines * _LINE + 2 * _PAD


def _arms(ax: Axes, arms: Sequence[tuple[str, ...]], top: float, middle: float) -> None:
    """The last boxes side by side, each with an arrow from the one above."""
    if not arms:
        return
    width = (_WIDTH - 0.2 - 0.3 * (len(arms) - 1)) / len(arms)
    bar = top - _SPACE / 2
    ax.plot([middle, middle], [top, bar], color="black", lw=0.9)
    centres = [0.1 + n * (width + 0.3) + width / 2 for n in range(len(arms))]
    ax.plot([min(*centres, middle), max(*centres, middle)], [bar, bar], color="black", lw=0.9)
    for centre, arm in zip(centres, arms, strict=True):
        height = _height(len(arm))
        _arrow(ax, (centre, bar), (centre, top - _SPACE))
        _box(ax, (centre - width / 2, top - _SPACE - height), (width, height), arm)


def _box(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    lines: Sequence[str],
    *,
    left: bool = False,
) -> None:
    ax.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor="black", lw=0.8))
    x = corner[0] + 0.1 if left else corner[0] + size[0] / 2
    for n, line in enumerate(lines):
        y = corner[1] + size[1] - _PAD - (n + 0.5) * _LINE
        ax.text(x, y, line, ha="left" if left else "center", va="center", fontsize=8)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": "black", "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
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
        ax.imshow(example.picture, interpolation="none")  # embedded as it is, not resampled
        ax.axis("off")
        ax.set_title(example.heading, fontsize=9, fontweight="normal")
    figure.suptitle(f"{title}\n{legend}", fontsize=9, ha="left", x=0.01)
    return figure
