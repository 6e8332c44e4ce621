"""Lines over time as an SVG that stands in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_COLOURS = ("#332288", "#cc6677", "#117733", "#aa4499", "#88ccee", "#999933", "#882255", "#44aa99")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 620, 250, 64, 16, 34, 190
_TICKS = 4
_LINE_HEIGHT = 17


@dataclass(frozen=True)
class Curve:
    """Values over time; None leaves a gap.

    Attributes:
        title: With the unit.
        points: Titles of the time points.
        lines: Values by name, one for each time point.
    """

    title: str
    points: Sequence[str]
    lines: Mapping[str, Sequence[float | None]]


def curve_svg(curve: Curve) -> Markup:
    """The lines with axes and names; starts at 0, so that a change is as large as it looks."""
    values = [v for line in curve.lines.values() for v in line if v is not None]
    top = max(values, default=1.0) or 1.0
    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, curve.title
        ),
        Markup('<text x="{}" y="11" class="title">{}</text>').format(_LEFT, curve.title),
        *_axes(curve, top),
    ]
    for number, (name, line) in enumerate(curve.lines.items()):
        parts += _line(curve, line, top, _COLOURS[number % len(_COLOURS)])
        y = _TOP + 14 + _LINE_HEIGHT * number
        x = _WIDTH - _RIGHT + 14
        parts.append(
            Markup('<rect x="{}" y="{}" width="10" height="10" fill="{}"/>').format(
                x, y - 9, _COLOURS[number % len(_COLOURS)]
            )
        )
        parts.append(Markup('<text x="{}" y="{}">{}</text>').format(x + 15, y, escape(name)))
    return Markup("").join([*parts, Markup("</svg>")])


def _axes(curve: Curve, top: float) -> list[Markup]:
    parts = []
    for n in range(_TICKS + 1):
        y = _y(top * n / _TICKS, top)
        line = Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="grid"/>')
        parts.append(line.format(_LEFT, _WIDTH - _RIGHT, y, y))
        text = Markup('<text x="{}" y="{:.1f}" class="tick" text-anchor="end">{}</text>')
        parts.append(text.format(_LEFT - 6, y + 4, _plain(top * n / _TICKS)))
    for n, title in enumerate(curve.points):
        text = Markup('<text x="{:.1f}" y="{}" class="tick" text-anchor="middle">{}</text>')
        parts.append(text.format(_x(n, curve), _HEIGHT - 12, title))
    return parts


def _line(curve: Curve, line: Sequence[float | None], top: float, colour: str) -> list[Markup]:
    places = [(_x(n, curve), _y(v, top)) for n, v in enumerate(line) if v is not None]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(
            path, colour
        )
    ]
    for x, y in places:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.2" fill="{}"/>')
        parts.append(dot.format(x, y, colour))
    return parts


def _x(number: int, curve: Curve) -> float:
    room = _WIDTH - _LEFT - _RIGHT - 40
    return _LEFT + 20 + room * number / max(len(curve.points) - 1, 1)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM - 12) * value / top


def _plain(value: float) -> str:
    """Three figures, never as a power of ten.

    >>> _plain(1743.2), _plain(9.114), _plain(0.0)
    ('1743', '9.11', '0')
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
