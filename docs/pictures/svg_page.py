"""A small SVG page: what the drawings of the documentation need, and no more."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html import escape

import numpy as np
from PIL import Image

Point = tuple[float, float]

FONT = "'DejaVu Sans', Verdana, 'Segoe UI', Arial, sans-serif"
INK = "#1f2933"


@dataclass
class Page:
    """Shapes in drawing order; y goes down, as in SVG."""

    width: float
    height: float
    metadata: str = ""
    shapes: list[str] = field(default_factory=list)

    def rectangle(
        self,
        at: Point,
        size: Point,
        fill: str,
        stroke: str = "none",
        radius: float = 0,
        line_width: float = 1,
    ) -> None:
        self.shapes.append(
            f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" '
            f'rx="{radius:g}" fill="{fill}" stroke="{stroke}" stroke-width="{line_width:g}"/>'
        )

    def text(
        self,
        at: Point,
        words: str,
        size: float = 13,
        *,
        anchor: str = "start",
        bold: bool = False,
        colour: str = INK,
        upright: bool = True,
    ) -> None:
        """Lines of text; ``at`` is on the base line of the first."""
        style = ' font-weight="600"' if bold else ""
        style += "" if upright else ' font-style="italic"'
        for n, line in enumerate(words.split("\n")):
            y = at[1] + 1.3 * size * n
            self.shapes.append(
                f'<text x="{at[0]:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
                f'fill="{colour}"{style}>{escape(line)}</text>'
            )

    def arrow(
        self, points: list[Point], colour: str, *, width: float = 2, dashed: bool = False
    ) -> None:
        """A line through the points with a head at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = float(np.hypot(x1 - x0, y1 - y0))
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        long, half = 3.2 * width + 2, 1.5 * width + 1.5
        neck = (x1 - ux * long, y1 - uy * long)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*points[:-1], neck])
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'stroke-linejoin="round"{dash}/>'
        )
        head = [
            (x1, y1),
            (neck[0] - uy * half, neck[1] + ux * half),
            (neck[0] + uy * half, neck[1] - ux * half),
        ]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in head)
        self.shapes.append(f'<polygon points="{corners}" fill="{colour}"/>')

    def picture(self, at: Point, size: Point, rgb: np.ndarray, alt: str) -> None:
        """An image (y, x, 3) uint8."""
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, format="jpeg", quality=85, optimize=True)
        data = base64.b64encode(stream.getvalue()).decode()
        self.shapes.append(
            f'<image x="{at[0]:.1f}" y="{at[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" '
            f'preserveAspectRatio="none" href="data:image/jpeg;base64,{data}">'
            f"<title>{escape(alt)}</title></image>"
        )

    def svg(self) -> str:
        body = "\n".join(self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" font-family="{FONT}">\n'
            f"<metadata>{escape(self.metadata)}</metadata>\n"
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
        )
